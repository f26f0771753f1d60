//! What follows from the state and from a few calls of stat: the verdict on the index, an apply that was cut off,
//! whether a reboot is required.

use crate::managers;
use crate::model::class::Class;
use crate::model::exit_code::ExitCode;
use crate::model::failure::Failure;
use crate::model::refreshed::RefreshOutcome;
use crate::model::text::short_line;
use crate::store::state::{InProgress, Index, LastApply, NO_REASON, OutdatedService, State};
use crate::store::state_file::Loaded;
use crate::system::files::{fingerprint, newest_change};
use crate::system::time::{self, Time, span};
use crate::system::{boot, lock_holders};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::path::Path;
use std::time::Duration;

#[cfg(test)]
#[path = "health_tests.rs"]
pub(crate) mod tests;

/// What follows from the state, now. Without a state nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The verdict on the index.
    pub verdict: Verdict,
    /// Whether packages changed since the pending updates were counted.
    pub pending_outdated: bool,
    /// Whether a reboot is required.
    pub reboot_required: bool,
    /// Since when, where that is known.
    pub reboot_required_since: Option<Time>,
    /// When the reboot comes that was asked for.
    pub reboot_scheduled_at: Option<Time>,
    /// When a reboot was to come that did not.
    pub reboot_missed: Option<Time>,
    /// What still runs code that an update has replaced; `None` where it is not known.
    pub outdated_services: Option<Vec<OutdatedService>>,
    /// An apply that began and did not end.
    pub unfinished: Option<Unfinished>,
    /// What is wrong with the last apply, in one line: it was cut off, or it failed and nobody has mended it since.
    pub apply_trouble: Option<String>,
}

impl Health {
    /// Looks at a state, and calls stat a few times. The verdict is known already.
    pub fn of(loaded: &Loaded, verdict: Verdict) -> Health {
        let Loaded::Good(state) = loaded else { return Health { verdict, ..Health::default() } };
        let unfinished = unfinished(state);
        Health {
            verdict,
            pending_outdated: pending_is_outdated(state),
            reboot_required: reboot_required(state),
            reboot_required_since: reboot_required_since(state),
            reboot_scheduled_at: reboot_scheduled_at(state),
            reboot_missed: reboot_missed(state),
            outdated_services: outdated_services(state),
            apply_trouble: apply_trouble(state, unfinished.as_ref()),
            unfinished,
        }
    }
}

/// The verdict on the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Fresh, stale, failed or unknown.
    pub code: ExitCode,
    /// Why, in one line, without the verdict itself.
    pub reason: String,
    /// Age of the index in seconds; `None` if there was no complete refresh, or its time lies in the future.
    pub age: Option<i64>,
}

impl Verdict {
    /// The verdict on the index of a manager where the last run drove another one.
    pub fn of_another(manager: &str, driven: &str) -> Verdict {
        let reason = format!(
            "the last run drove {driven}, and nothing is known of the index of {manager}; run linux-patch --manager {manager} refresh"
        );
        Verdict { code: ExitCode::Unknown, reason, age: None }
    }
}

const NEVER: &str = "the index was never refreshed by linux-patch; run linux-patch refresh";

/// Judges the index by the state, in the order in which linux-patch(8) lists the verdicts.
pub fn judge(loaded: &Loaded, now: Time, max_age: i64, config_changed: bool) -> Verdict {
    let unknown = |reason: String| Verdict { code: ExitCode::Unknown, reason, age: None };
    let state = match loaded {
        Loaded::Good(state) => state,
        Loaded::Missing => return unknown(NEVER.into()),
        Loaded::Corrupt(reason) => {
            return unknown(format!("the state is corrupt: {reason}; run linux-patch refresh"));
        }
        Loaded::Unreadable(reason) => return unknown(format!("the state cannot be read: {reason}")),
        Loaded::Newer(version) => {
            return unknown(format!(
                "the state has version {version}, written by a newer linux-patch; upgrade this one"
            ));
        }
    };
    if state.latest_time().is_some_and(|time| time > now) {
        return unknown("the last refresh lies in the future: the clock was set back".into());
    }
    let age = state.last_cache_update.map(|time| now.seconds_since(time));
    let verdict = |code, reason| Verdict { code, reason, age };
    let ago = age.map_or("never".to_string(), |age| format!("{} ago", span(age)));
    let error = || match &state.last_update_error {
        Some(failure) => format!("{}: {}", failure.class.word(), failure.message),
        None => NO_REASON.to_string(),
    };
    match state.last_outcome() {
        None => unknown(NEVER.into()),
        Some(RefreshOutcome::Failed) => verdict(
            ExitCode::Failed,
            format!("the last refresh failed ({}); last complete refresh {ago}", error()),
        ),
        Some(RefreshOutcome::Partial) => {
            let failed = state.sources.iter().filter(|source| source.error.is_some()).count();
            let of = match failed {
                // Something after the sources, such as a hook, did not end.
                0 => "every source was refreshed, but the refresh did not end well".to_string(),
                _ => format!("{failed} of {} sources not refreshed", state.sources.len()),
            };
            verdict(ExitCode::Stale, format!("{of} ({}); last complete refresh {ago}", error()))
        }
        Some(RefreshOutcome::Fresh) => match age {
            None => unknown("the state has no time of its last refresh; run linux-patch refresh".into()),
            Some(age) if age > max_age => {
                verdict(ExitCode::Stale, format!("refreshed {ago}, more than {} allowed", span(max_age)))
            }
            Some(_) if config_changed => verdict(
                ExitCode::Stale,
                format!("the source configuration is newer than the last refresh, {ago}"),
            ),
            // The words about what is pending give the reason.
            Some(_) if state.pending.as_ref().is_some_and(|pending| pending.error.is_some()) => {
                verdict(ExitCode::Stale, format!("refreshed {ago}"))
            }
            Some(_) => verdict(ExitCode::Fresh, format!("refreshed {ago}")),
        },
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

/// The present moment, for judging an age. It is the wall clock, unless that was set back since the last complete
/// refresh, which the clock shows that began with the boot.
fn now(loaded: &Loaded) -> Time {
    let now = Time::now();
    let Loaded::Good(state) = loaded else { return now };
    let (Some(updated), Some(then)) = (state.last_cache_update, &state.last_cache_boot) else { return now };
    let passed = time::seconds_since_boot().saturating_sub(then.seconds);
    let by_wall = now.seconds_since(updated);
    // A clock that is synchronised moves by some seconds.
    if by_wall < 0 || passed.saturating_sub(by_wall) <= 60 || then.boot_id != boot::boot_id() {
        return now;
    }
    Time::from_unix(updated.unix().saturating_add(passed)).unwrap_or(now)
}

/// Whether the configuration of the sources has changed since the last attempt. If the attempt left a fingerprint, that
/// decides, because it also shows an older file that was put back; otherwise the times decide.
fn config_changed(state: &State) -> bool {
    let Some(manager) = driven(state) else {
        return false;
    };
    if let Some(before) = &state.source_config {
        return *before != fingerprint(&manager.facts().source_places(&state.source_places));
    }
    let refreshed = state.last_attempt.as_ref().map(|attempt| attempt.started_at).or(state.last_cache_update);
    let changed = newest_change(manager.facts().source_config);
    matches!((changed, refreshed), (Some(changed), Some(refreshed)) if changed > refreshed.unix())
}

/// Whether packages were installed or removed since the pending updates were counted.
fn pending_is_outdated(state: &State) -> bool {
    let (Some(manager), Some(pending)) = (driven(state), &state.pending) else {
        return false;
    };
    match &pending.database {
        Some(before) => *before != fingerprint(&manager.facts().database_places(&pending.database_places)),
        None => newest_change(manager.facts().package_databases)
            .is_some_and(|changed| changed > pending.as_of.unix()),
    }
}

/// Whether a reboot is required: there is a flag file now, or the last run in this boot found so.
fn reboot_required(state: &State) -> bool {
    let flagged = driven(state).is_some_and(|manager| boot::is_flagged(manager.facts().reboot_flags));
    let in_this_boot = |boot: &String| boot::is_this_start(boot);
    flagged || (state.reboot_required && state.reboot_boot_id.as_ref().is_none_or(in_this_boot))
}

/// Since when, by the last run, or else by the time of a flag file.
fn reboot_required_since(state: &State) -> Option<Time> {
    if !reboot_required(state) {
        return None;
    }
    let by_flag = || newest_change(driven(state)?.facts().reboot_flags).and_then(Time::from_unix);
    let found = state.reboot_required_since.filter(|_| state.reboot_required);
    found.or_else(by_flag)
}

/// When a reboot comes, by systemd, or else by what the last apply asked for, if the machine has not started since.
/// systemd also knows of one that was cancelled.
fn reboot_scheduled_at(state: &State) -> Option<Time> {
    let asked = || asked_reboot(state).filter(|at| *at > Time::now() && !boot::is_systemd());
    boot::scheduled_reboot().and_then(Time::from_unix).or_else(asked)
}

/// The same, if an apply asked for it and its time has not come. Without systemd it cannot be told whether somebody has
/// cancelled it.
pub fn reboot_to_come(state: &State) -> Option<Time> {
    let asked = asked_reboot(state).filter(|at| *at > Time::now())?;
    match boot::is_systemd() {
        // Somebody may have cancelled it, and scheduled another one.
        true => {
            let coming = boot::scheduled_reboot().and_then(Time::from_unix);
            coming.filter(|at| at.seconds_since(asked).abs() <= 120)
        }
        false => Some(asked),
    }
}

/// When the reboot is due that an apply asked for, if the machine has not started since.
fn asked_reboot(state: &State) -> Option<Time> {
    let last = state.apply.last.as_ref()?;
    last.reboot_at.filter(|_| boot::start().at <= last.finished_at.unix())
}

/// A shutdown that takes longer than these seconds hangs.
const SLOWEST_SHUTDOWN: i64 = 600;

/// When the reboot that the last apply asked for was to come, if that time has passed and the machine has not started
/// since: it was cancelled, or the init could not make it.
fn reboot_missed(state: &State) -> Option<Time> {
    let has_passed = |at: &Time| Time::now().seconds_since(*at) > SLOWEST_SHUTDOWN;
    asked_reboot(state).filter(|at| has_passed(at) && boot::scheduled_shutdown().is_none())
}

/// What still runs replaced code, if the last run that looked was in this boot: after a reboot everything has started
/// again.
fn outdated_services(state: &State) -> Option<Vec<OutdatedService>> {
    let in_this_boot = || state.services_seen.as_ref().is_some_and(|seen| boot::is_this_start(&seen.boot_id));
    let mut services = state.outdated_services.clone()?;
    if !services.is_empty() && !in_this_boot() {
        services.clear();
    }
    Some(services)
}

/// The manager of the last run, if this program knows it.
pub fn driven(state: &State) -> Option<&'static dyn managers::Manager> {
    managers::by_name(state.manager.as_deref()?).ok()
}

/// An apply that began and did not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Whether it still runs. If not, it was cut off.
    pub life: Life,
    /// When it began.
    pub since: Time,
    /// How far it had come.
    pub phase: String,
    /// What repairs it by hand, or must be done first.
    pub repair: Option<String>,
}

impl Unfinished {
    /// Whether it certainly was cut off.
    pub fn is_cut_off(&self) -> bool {
        self.life == Life::Gone
    }
}

/// What a person would do about an install that was cut off, if an apply is not enough.
fn by_hand(manager: &dyn managers::Manager) -> Option<String> {
    let places = manager.facts().usual_places();
    if let Some(repair) = manager.repair(&places, &Default::default()).first() {
        let again = match manager.repair_leaves_some() {
            true => {
                format!("; then, for each package that must be reinstalled: {}", manager.reinstall("NAME"))
            }
            false => String::new(),
        };
        return Some(repair.line() + &again);
    }
    let lock = manager.facts().lock_file(&places).filter(|lock| lock.exists())?;
    Some(format!("if no {} runs, rm {} first", manager.facts().name, lock.display()))
}

/// The apply that began and did not end, if there is one.
fn unfinished(state: &State) -> Option<Unfinished> {
    let apply = state.apply.in_progress.as_ref()?;
    let life = life(apply);
    Some(Unfinished {
        life,
        since: apply.started_at,
        phase: short_line(&apply.phase),
        // Nobody should interfere with an install that may still be running.
        repair: driven(state).filter(|_| life == Life::Gone).and_then(by_hand),
    })
}

/// What is wrong with the last apply, in one line: it was cut off, or it failed and nobody has mended it since.
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

/// Whether a refresh found that somebody mended it. If the failed apply changed nothing, that can be seen without a
/// refresh too.
fn is_mended(state: &State, last: &LastApply) -> bool {
    last.mended_at.is_some() || (seems_mended(state, last) && !may_leave_halves(last))
}

/// Whether a failure can leave packages half installed. Then the package database must say that all are whole.
fn may_leave_halves(last: &LastApply) -> bool {
    let before_the_install = |failure: &Failure| {
        matches!(
            failure.class,
            Class::Fetch
                | Class::Network
                | Class::Lock
                | Class::Auth
                | Class::Clock
                | Class::Dependency
                | Class::Config
        )
    };
    last.error.as_ref().is_some_and(|failure| !before_the_install(failure))
}

/// Notes that the failure of the last apply was mended since, so that this stays so when new updates come. `is_whole`
/// tells whether no package is half installed, which may need a program.
pub fn note_mended(state: &mut State, is_whole: impl FnOnce(&LastApply) -> bool) {
    let Some(last) =
        state.apply.last.as_ref().filter(|last| last.error.is_some() && last.mended_at.is_none())
    else {
        return;
    };
    if seems_mended(state, last) && (!may_leave_halves(last) || is_whole(last)) {
        state.apply.last.iter_mut().for_each(|last| last.mended_at = Some(Time::now()));
    }
}

/// Whether others changed packages since an apply, and a count after that found nothing pending.
fn seems_mended(state: &State, last: &LastApply) -> bool {
    let (Some(manager), Some(pending)) = (driven(state), &state.pending) else { return false };
    let changed = newest_change(manager.facts().package_databases);
    pending.count == Some(0)
        && !pending_is_outdated(state)
        && changed.is_some_and(|changed| changed > last.finished_at.unix())
}

/// Whether a process still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It does.
    Running,
    /// It does not.
    Gone,
    /// It cannot be seen from here, by this user or in this namespace.
    NotKnown,
}

/// Whether the process of an apply still runs. Another process may have its number by now.
fn life(apply: &InProgress) -> Life {
    let boot_id = boot::boot_id();
    // A run that does not know its boot, in a chroot without /proc, is not one of another boot.
    let is_told = !boot_id.is_empty() && !apply.boot_id.is_empty();
    if is_told && boot_id != apply.boot_id {
        return Life::Gone;
    }
    let namespace = lock_holders::pid_namespace();
    if apply.pid_namespace.is_some() && apply.pid_namespace != namespace {
        return Life::NotKnown;
    }
    if let Some(start) = lock_holders::started(apply.pid) {
        let is_it = match apply.process_start {
            Some(recorded) => recorded == start,
            // An older version did not note that. An apply that runs holds its lock.
            None => {
                lock_holders::started_before(start, apply.started_at.unix())
                    && lock_holders::holds_a_lock(apply.pid)
            }
        };
        return if is_it { Life::Running } else { Life::Gone };
    }
    // Processes that cannot be seen can still be asked for. A zombie counts as ended.
    let pid = i32::try_from(apply.pid).ok().and_then(Pid::from_raw);
    let is_nowhere = pid.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH));
    let is_zombie = Path::new(&format!("/proc/{}/stat", apply.pid)).exists();
    // Without /proc it is not known what the number means here.
    if (is_nowhere || is_zombie) && namespace.is_some() { Life::Gone } else { Life::NotKnown }
}
