//! `linux-patch status`: what the state says, in a millisecond. No lock, no child, no root.

#[cfg(test)]
mod tests;

use crate::cli::{Format, Freshness, Global, RefreshArgs, StatusArgs};
use crate::commands::apply::selection::{matches, patterns};
use crate::commands::refresh;
use crate::managers;
use crate::model::exit_code::ExitCode;
use crate::model::outcome::{Class, Failure, short_line};
use crate::report::{Detail, Report};
use crate::store::history;
use crate::store::state::{Index, LastApply, Loaded, State, Verdict, judge, load};
use crate::system::boot;
use crate::system::files::{fingerprint, newest_change};
use crate::system::lock_holders;
use crate::system::lock_holders::Life;
use crate::system::time;
use crate::system::time::{Time, span};
use glob::Pattern;
use std::time::Duration;

/// How many runs `--history` lists.
const RUNS_SHOWN: usize = 20;

/// Judges the remembered state.
pub fn run(global: &Global, args: &StatusArgs) -> Report {
    if let Some(Err(reason)) = global.manager.as_deref().map(managers::by_name) {
        return Report::refused("status", reason);
    }
    let exclude = match patterns(&args.exclude) {
        Ok(exclude) => exclude,
        Err(reason) => return Report::refused("status", reason),
    };
    let max_age = args.max_age();
    let mut loaded = load(&global.state_dir);
    if args.refresh && verdict(&loaded, max_age).code != ExitCode::Fresh {
        let freshness = Freshness { max_age, ..args.freshness };
        let refresh_args = RefreshArgs { if_stale: false, freshness, splay: None };
        // Text and JSON of the refresh itself are not shown: the status below is the result.
        let refreshed = refresh::run(global, &refresh_args);
        if refreshed.is_refusal() {
            return Report::refused("status", refreshed.reason);
        }
        loaded = load(&global.state_dir);
    }
    if let Loaded::Good(state) = &mut loaded {
        leave_out(state, &exclude);
    }
    let mut report = Report::of_state("status", loaded, max_age);
    report.critical_age = args.critical.map(|age| age.as_secs() as i64);
    if report.critical_age.is_some_and(|most| report.verdict.age.is_some_and(|age| age > most)) {
        report.raise(ExitCode::Failed, format!("older than {}", span(report.critical_age.unwrap_or(0))));
    }
    report.tell_apply_trouble();
    report.lists_packages = global.verbose;
    report.asked = args.alert.clone();
    for alert in &args.alert {
        if let Some((level, words)) = alert.of(&report) {
            report.raise(level, words);
        }
    }
    let wants_history = args.history && matches!(global.format, Format::Text | Format::Json);
    report.detail =
        Detail::Status { history: wants_history.then(|| history::last(&global.state_dir, RUNS_SHOWN)) };
    report
}

/// Takes the updates of packages that are not to count out of what is pending.
fn leave_out(state: &mut State, exclude: &[Pattern]) {
    let plain = driven(state).map_or((|name| name) as fn(&str) -> &str, |backend| backend.plain_name);
    let Some(pending) = state.pending.as_mut().filter(|_| !exclude.is_empty()) else { return };
    if let Some(mut packages) = pending.packages.take() {
        packages.retain(|update| !matches(exclude, &update.name, plain));
        pending.set_packages(packages);
    }
    if let Some(held_back) = &mut pending.held_back {
        held_back.retain(|held| !matches(exclude, &held.name, plain));
    }
}

/// The verdict on the index, now.
pub fn verdict(loaded: &Loaded, max_age: Duration) -> Verdict {
    let config_changed = matches!(loaded, Loaded::Good(state) if config_changed(state));
    let verdict = judge(loaded, now(loaded), max_age.as_secs() as i64, config_changed);
    let Loaded::Good(state) = loaded else { return verdict };
    match state.index.as_ref().and_then(Index::missing).filter(|_| verdict.code == ExitCode::Fresh) {
        Some(file) => {
            let reason =
                format!("the index is gone since the last refresh: {} is not there", short_line(file));
            Verdict { code: ExitCode::Stale, reason, ..verdict }
        }
        None => verdict,
    }
}

/// The present moment, for judging an age: by the wall clock, unless that was set back since the
/// last complete refresh, as the clock shows that began with the boot.
fn now(loaded: &Loaded) -> Time {
    let now = Time::now();
    let Loaded::Good(state) = loaded else { return now };
    let (Some(updated), Some(then)) = (state.last_cache_update, &state.last_cache_boot) else { return now };
    let passed = time::seconds_since_boot().saturating_sub(then.seconds);
    let by_wall = now.seconds_since(updated);
    // That they differ by some seconds is what keeping the wall clock right does.
    if by_wall < 0 || passed.saturating_sub(by_wall) <= 60 || then.boot_id != boot::boot_id() {
        return now;
    }
    Time::from_unix(updated.unix().saturating_add(passed)).unwrap_or(now)
}

/// Whether the sources were configured anew since the last attempt. By fingerprint where the
/// attempt left one, which also sees an older file put back; else by time.
fn config_changed(state: &State) -> bool {
    let Some(backend) = driven(state) else {
        return false;
    };
    if let Some(before) = &state.source_config {
        return *before != fingerprint(&backend.source_places(&state.source_places));
    }
    let refreshed = state.last_attempt.as_ref().map(|attempt| attempt.started_at).or(state.last_cache_update);
    let changed = newest_change(backend.source_config);
    matches!((changed, refreshed), (Some(changed), Some(refreshed)) if changed > refreshed.unix())
}

/// Whether packages were installed or removed since the pending updates were counted.
pub fn pending_is_outdated(state: &State) -> bool {
    let (Some(backend), Some(pending)) = (driven(state), &state.pending) else {
        return false;
    };
    match &pending.database {
        Some(before) => *before != fingerprint(&backend.database_places(&pending.database_places)),
        None => {
            newest_change(backend.package_databases).is_some_and(|changed| changed > pending.as_of.unix())
        }
    }
}

/// Whether a reboot is required: a flag file now, or a finding of the last run in this boot.
pub fn restart_required(state: &State) -> bool {
    let flagged = driven(state).is_some_and(|backend| boot::is_flagged(backend.reboot_flags));
    let in_this_boot = |boot: &String| *boot == boot::boot_id();
    flagged || (state.reboot_required && state.reboot_boot_id.as_ref().is_none_or(in_this_boot))
}

fn driven(state: &State) -> Option<&'static managers::Backend> {
    managers::by_name(state.manager.as_deref()?).ok()
}

/// An apply that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Whether it still runs; where it does not, it was cut off.
    pub life: Life,
    /// When it began.
    pub since: Time,
    /// How far it had come.
    pub phase: String,
    /// What repairs it by hand, or is to be done first.
    pub repair: Option<String>,
}

impl Unfinished {
    /// Whether it was surely cut off.
    pub fn is_cut_off(&self) -> bool {
        self.life == Life::Gone
    }
}

/// What a person would do about an install that was cut off, where it is more than an apply.
fn by_hand(backend: &managers::Backend) -> Option<String> {
    let places = backend.usual_places();
    if let Some(repair) = (backend.repair)(&places, &Default::default()).first() {
        return Some(repair.line());
    }
    let lock = backend.lock_file(&places).filter(|lock| lock.exists())?;
    Some(format!("if no {} runs, rm {} first", backend.name, lock.display()))
}

/// The apply that has begun and not ended, if there is one.
pub fn unfinished(state: &State) -> Option<Unfinished> {
    let apply = state.apply.in_progress.as_ref()?;
    let life = lock_holders::life(apply);
    Some(Unfinished {
        life,
        since: apply.started_at,
        phase: short_line(&apply.phase),
        // Not into an install that may be under way.
        repair: driven(state).filter(|_| life == Life::Gone).and_then(by_hand),
    })
}

/// What is wrong with the last apply, in one line: it was cut off, or it failed and nobody has mended
/// that since.
pub fn apply_trouble(state: &State, unfinished: Option<&Unfinished>) -> Option<String> {
    if unfinished.is_some_and(Unfinished::is_cut_off) {
        return Some("an apply was interrupted".to_string());
    }
    let failure = apply_failure(state)?;
    Some(format!("the last apply failed ({}: {})", failure.class.word(), failure.message))
}

/// Why the last apply failed, unless that was mended since.
pub fn apply_failure(state: &State) -> Option<&Failure> {
    let last = state.apply.last.as_ref()?;
    last.error.as_ref().filter(|_| !is_mended(state, last))
}

/// Whether packages were changed by others since an apply, and a count after that found nothing pending.
/// Of a failure that can leave a package half installed only another apply knows whether it is whole.
fn is_mended(state: &State, last: &LastApply) -> bool {
    let (Some(backend), Some(pending), Some(failure)) = (driven(state), &state.pending, &last.error) else {
        return false;
    };
    let before_the_install = matches!(
        failure.class,
        Class::Fetch
            | Class::Network
            | Class::Lock
            | Class::Auth
            | Class::Clock
            | Class::Dependency
            | Class::Config
    );
    let changed = newest_change(backend.package_databases);
    before_the_install
        && pending.count == Some(0)
        && !pending_is_outdated(state)
        && changed.is_some_and(|changed| changed > last.finished_at.unix())
}
