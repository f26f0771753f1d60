//! `linux-patch refresh`.

use crate::cli::{Freshness, Global, RefreshArgs};
use crate::commands::save::save_or_tell;
use crate::commands::start::{Wait, permitted, setup, state_to_continue, wait_for_lock};
use crate::driver::{Purpose, Session};
use crate::managers::Manager;
use crate::model::class::Class;
use crate::model::exit_code::ExitCode;
use crate::model::failure::Failure;
use crate::model::refreshed::RefreshOutcome;
use crate::model::text::{counted, one_line};
use crate::report::{Detail, Report};
use crate::store::lock::{self, Lock};
use crate::store::state::State;
use crate::store::state_file::{FILE, Loaded, load, load_for_writer, note_joined};
use crate::store::{health, history};
use crate::system::files::fingerprint;
use crate::system::signals;
use crate::system::time::{Time, span};
use log::info;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Refreshes the index, or shares the result of another process's refresh.
pub fn run(global: &Global, args: &RefreshArgs) -> Report {
    let manager = match permitted(global) {
        Ok(manager) => manager,
        Err(reason) => return Report::refused("refresh", reason),
    };
    let is_fresh = || args.if_stale && verdict(global, args.freshness, manager) == ExitCode::Fresh;
    let nothing_to_do = || report(global, args.freshness, ExitCode::Fresh, "nothing to do".into(), false);
    if is_fresh() {
        State::count_skipped(&global.state_dir);
        return nothing_to_do();
    }
    if let Some(splay) = args.splay {
        let share = share_of(splay, &this_host());
        info!("waiting {} of a splay of {}", span(share.as_secs() as i64), span(splay.as_secs() as i64));
        if let Err(signal) = signals::sleep_until(Instant::now() + share) {
            let text = format!("{signal} received while waiting");
            return failed(global, args.freshness, Class::Interrupted, text);
        }
        if is_fresh() {
            return nothing_to_do();
        }
    }
    refresh_or_share(global, args.freshness, manager)
}

/// Refreshes the index, unless another process does it while this one waits for the lock.
fn refresh_or_share(global: &Global, freshness: Freshness, manager: &'static dyn Manager) -> Report {
    let deadline = Instant::now() + freshness.timeout;
    let asked = attempt_seen(&global.state_dir);
    // A refresh that began before the sources were changed may not have read all of them.
    let config = |state: &State| fingerprint(&manager.facts().source_places(&state.source_places));
    let is_ours = |state: &State| state.of_another(manager.facts().name).is_none();
    let is_shared = |state: &State| {
        is_ours(state) && seen_in(state) != asked && state.source_config.as_ref() == Some(&config(state))
    };
    let joined = |code| {
        note_joined(&global.state_dir);
        let text = "shared the result of another refresh";
        let mut report = report(global, freshness, code, text.into(), true);
        if let Detail::Refresh { error: Some(failure), .. } = &report.detail {
            report.reason = format!("{text}: {}", failure.message);
        }
        report
    };
    let look = look_for_result(&global.state_dir, &is_shared);
    let lock = match wait_for_lock(&global.state_dir, "refresh", deadline, look, String::new) {
        Ok(Wait::Ours(lock)) => lock,
        Ok(Wait::Needless(code)) => return joined(code),
        Ok(Wait::TooLate) => return never_free(global, freshness, manager),
        Ok(Wait::Signal(signal)) => {
            let text = format!("{signal} received while waiting for the lock");
            return failed(global, freshness, Class::Interrupted, text);
        }
        Err(reason) => return Report::refused("refresh", reason),
    };
    let state = match state_to_continue(&lock) {
        Ok(state) => state,
        Err(reason) => return Report::refused("refresh", reason),
    };
    // Another refresh ended between our look at the state and our lock. Its result is ours too.
    if let Some(outcome) = state.last_outcome().filter(|_| is_shared(&state)) {
        drop(lock);
        return joined(code_of(outcome, &state));
    }
    history::append_killed(&lock, &state);
    refresh(global, freshness, manager, lock, state, deadline)
}

/// Refreshes the index while holding our lock.
fn refresh(
    global: &Global,
    freshness: Freshness,
    manager: &'static dyn Manager,
    lock: Lock,
    mut state: State,
    deadline: Instant,
) -> Report {
    let started = Instant::now();
    let mut session =
        Session::start(manager, &setup(global), Purpose::Refresh, freshness.timeout, &lock, &state);
    let mut refreshed = session.refresh(&mut state, freshness.timeout, Some(deadline));
    health::note_mended(&mut state, |last| session.is_whole(&last.packages));
    let mut code = code_of(refreshed.outcome, &state);
    // Just before they are saved: until then a status counts them itself.
    state.count_joined(&lock);
    if let Err(lost) = save_or_tell(&state, &lock) {
        code = ExitCode::Failed;
        refreshed.error = Some(lost);
    }
    let reason = match &refreshed.error {
        None => format!("{} refreshed", counted(refreshed.sources.len(), "source")),
        Some(failure) => failure.message.clone(),
    };
    let error = refreshed.error.or_else(|| not_counted(&state));
    let entry = history::Entry {
        time: Time::now(),
        command: "refresh".into(),
        exit_code: Some(code.code()),
        class: error.as_ref().map(|failure| failure.class),
        message: reason.clone(),
        duration_ms: Some(started.elapsed().as_millis() as u64),
        packages: Some(0),
        changes: Vec::new(),
        dry_run: false,
        open_for: Vec::new(),
    };
    history::append(&lock, &entry);
    drop(lock);
    let mut report = Report::new("refresh", code, reason, Loaded::Good(Box::new(state)), freshness.max_age);
    report.detail =
        Detail::Refresh { refreshed: refreshed.outcome != RefreshOutcome::Failed, joined: false, error };
    report
}

/// Whether the last refresh refreshed a source.
fn has_refreshed(state: Option<&State>) -> bool {
    let outcome = state.and_then(State::last_outcome);
    outcome.is_some_and(|outcome| outcome != RefreshOutcome::Failed)
}

/// Why what is pending is not known.
fn not_counted(state: &State) -> Option<Failure> {
    state.pending.as_ref().and_then(|pending| pending.error.clone())
}

/// The exit code of a refresh with this outcome and this state after it.
fn code_of(outcome: RefreshOutcome, state: &State) -> ExitCode {
    match outcome {
        RefreshOutcome::Fresh if not_counted(state).is_none() => ExitCode::Fresh,
        RefreshOutcome::Fresh | RefreshOutcome::Partial => ExitCode::Stale,
        RefreshOutcome::Failed => ExitCode::Failed,
    }
}

/// Tells one refresh attempt from the next; `None` where the state cannot be read.
type Seen = Option<(u64, Option<Time>)>;

fn seen_in(state: &State) -> Seen {
    let attempt = state.last_attempt.as_ref();
    Some((state.counters.refresh_total, attempt.map(|attempt| attempt.finished_at)))
}

fn attempt_seen(dir: &Path) -> Seen {
    match load_for_writer(dir) {
        Loaded::Good(state) => seen_in(&state),
        // The first state ever written holds the first attempt.
        Loaded::Missing => Some((0, None)),
        _ => None,
    }
}

/// Tells a state file from the one that replaces it.
fn stamp(dir: &Path) -> Option<(u64, i64, i64)> {
    let meta = std::fs::metadata(dir.join(FILE)).ok()?;
    Some((meta.ino(), meta.mtime(), meta.mtime_nsec()))
}

/// Looks whether a refresh has ended whose result can be ours too. The state is read only if it was replaced: hundreds
/// of processes may wait, and it may be long.
fn look_for_result(dir: &Path, is_shared: &dyn Fn(&State) -> bool) -> impl FnMut() -> Option<ExitCode> {
    let mut looked_at = None;
    move || {
        let written = stamp(dir);
        if std::mem::replace(&mut looked_at, written) == written {
            return None;
        }
        let Loaded::Good(state) = load(dir) else { return None };
        let outcome = state.last_outcome().filter(|_| is_shared(&state))?;
        Some(code_of(outcome, &state))
    }
}

/// The report of a run for which the lock was never free. After an apply what it has refreshed may be enough.
fn never_free(global: &Global, freshness: Freshness, manager: &dyn Manager) -> Report {
    let who = lock::holder_words(&global.state_dir);
    let text = format!("{who} holds the lock for longer than {}", span(freshness.timeout.as_secs() as i64));
    if lock::holder(&global.state_dir).is_some_and(|holder| holder.command == "apply") {
        return report(global, freshness, verdict(global, freshness, manager), text, false);
    }
    failed(global, freshness, Class::Lock, text)
}

/// The report of a run that failed before anything ran.
fn failed(global: &Global, freshness: Freshness, class: Class, text: String) -> Report {
    let mut report = report(global, freshness, ExitCode::Failed, text.clone(), false);
    report.set_error(Failure::new(class, text));
    report
}

fn verdict(global: &Global, freshness: Freshness, manager: &dyn Manager) -> ExitCode {
    let loaded = load(&global.state_dir);
    match loaded.of_another(manager.facts().name) {
        Some(_) => ExitCode::Unknown,
        None => health::verdict(&loaded, freshness.max_age).code,
    }
}

fn report(global: &Global, freshness: Freshness, code: ExitCode, reason: String, joined: bool) -> Report {
    let loaded = load(&global.state_dir);
    let error = match &loaded {
        Loaded::Good(state) if code != ExitCode::Fresh => {
            state.last_update_error.clone().or_else(|| not_counted(state))
        }
        _ => None,
    };
    let mut report = Report::new("refresh", code, one_line(&reason), loaded, freshness.max_age);
    let refreshed = joined && has_refreshed(report.state.as_deref());
    report.detail = Detail::Refresh { refreshed, joined, error };
    report
}

/// Tells this host from others, always the same way: its machine-id, or else its name.
fn this_host() -> String {
    match std::fs::read_to_string("/etc/machine-id") {
        Ok(id) if !id.trim().is_empty() => id.trim().to_string(),
        _ => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    }
}

/// A host's share of a splay, the same for every run.
pub fn share_of(splay: Duration, host: &str) -> Duration {
    let mut hasher = DefaultHasher::new();
    host.hash(&mut hasher);
    let millis = splay.as_millis() as u64;
    Duration::from_millis(if millis == 0 { 0 } else { hasher.finish() % millis })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_constant_and_within_the_splay() {
        let splay = Duration::from_secs(300);
        let host = this_host();
        assert_eq!(share_of(splay, &host), share_of(splay, &this_host()));
        assert!(share_of(splay, &host) < splay);
        assert_ne!(share_of(splay, &host), share_of(splay, "another"));
        assert_eq!(share_of(Duration::ZERO, &host), Duration::ZERO);
    }
}
