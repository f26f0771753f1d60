use super::*;
use crate::managers::{MANAGERS, Manager, by_name};
use crate::model::refreshed::RefreshOutcome;
use crate::store::lock::Lock;
use crate::store::state::{Attempt, BootMoment, InProgress, OutdatedService, Pending, ServicesSeen};

const DAY: i64 = 86400;
const REPAIR: &str = "dpkg --force-confdef --force-confold --configure -a; then, for each package that must be \
                      reinstalled: apt-get install --reinstall NAME";

/// A state whose last refresh was so many seconds ago by the wall clock, and so many by the clock of this boot.
pub(crate) fn refreshed(by_wall: i64, by_boot: Option<i64>) -> State {
    let time = Time::from_unix(Time::now().unix() - by_wall).unwrap();
    let attempt = Attempt {
        started_at: time,
        finished_at: time,
        outcome: RefreshOutcome::Fresh,
        exit_code: Some(0),
        duration_ms: 1,
        extra: Default::default(),
    };
    let boot = |passed| BootMoment { boot_id: boot::boot_id(), seconds: time::seconds_since_boot() - passed };
    State {
        version: crate::store::state::VERSION,
        last_cache_update: Some(time),
        last_cache_boot: by_boot.map(boot),
        last_update_success: true,
        last_attempt: Some(attempt),
        ..State::default()
    }
}

fn judged(state: &State) -> Verdict {
    verdict(&Loaded::Good(Box::new(state.clone())), Duration::from_secs(DAY as u64))
}

#[track_caller]
fn assert_age(state: &State, expected: i64) {
    let age = judged(state).age.unwrap();
    assert!((expected..expected + 30).contains(&age), "{age}, not {expected}");
}

#[test]
fn an_age_is_by_the_clock_of_the_boot_where_that_says_much_more() {
    assert_age(&refreshed(100, None), 100);
    assert_age(&refreshed(100, Some(100)), 100);
    // Synchronised by some seconds, or set back.
    assert_age(&refreshed(100, Some(155)), 100);
    assert_age(&refreshed(100, Some(165)), 165);
    for by_wall in [0, 5] {
        let state = refreshed(by_wall, Some(10 * DAY));
        assert_age(&state, 10 * DAY);
        assert_eq!(judged(&state).code, ExitCode::Stale);
        // Set back and forward again, or in another boot: the boot's clock says nothing.
        let mut other = state.clone();
        other.last_cache_boot.as_mut().unwrap().boot_id = "another".into();
        assert_age(&other, by_wall);
        assert_eq!(judged(&other).code, ExitCode::Fresh);
    }
    assert_age(&refreshed(10 * DAY, Some(5)), 10 * DAY);
    // Only a person can have written this.
    let mut state = refreshed(10 * DAY, Some(5));
    for seconds in [i64::MIN, i64::MAX] {
        state.last_cache_boot.as_mut().unwrap().seconds = seconds;
        assert_age(&state, 10 * DAY);
    }
    // Before its own refresh no clock is right.
    let future = judged(&refreshed(-1000, Some(10 * DAY)));
    assert_eq!((future.code, future.age), (ExitCode::Unknown, None));
}

/// A manager that this machine has; `of` names the places of its files and when they changed.
fn at_home(of: fn(&dyn Manager) -> &'static [&'static str]) -> (&'static dyn Manager, i64) {
    let mut found = MANAGERS.iter().filter_map(|manager| Some((*manager, newest_change(of(*manager))?)));
    found.next().expect("the machine has a package manager")
}

#[test]
fn sources_that_were_configured_anew_make_an_index_stale() {
    let (manager, changed) = at_home(|manager| manager.facts().source_config);
    let mut state = refreshed(5, None);
    state.source_config = Some("another".into());
    assert_eq!(judged(&state).code, ExitCode::Fresh, "of an unknown manager nothing is known");
    state.manager = Some(manager.facts().name.into());
    assert_eq!(judged(&state).code, ExitCode::Stale);
    state.source_config = Some(fingerprint(manager.facts().source_config));
    assert_eq!(judged(&state).code, ExitCode::Fresh);
    // Without a fingerprint the times count.
    state.source_config = None;
    for (later, code) in [(-1, ExitCode::Stale), (0, ExitCode::Fresh), (1, ExitCode::Fresh)] {
        let time = Time::from_unix(changed + later).unwrap();
        let attempt = state.last_attempt.as_mut().unwrap();
        (attempt.started_at, attempt.finished_at, state.last_cache_update) = (time, time, Some(time));
        let found = verdict(&Loaded::Good(Box::new(state.clone())), Duration::from_secs(1 << 40));
        assert_eq!(found.code, code, "{later} s after the change");
    }
}

#[test]
fn a_count_is_outdated_where_packages_changed_since() {
    let (manager, changed) = at_home(|manager| manager.facts().package_databases);
    let pending = |as_of, database: Option<String>| Pending {
        as_of: Time::from_unix(as_of).unwrap(),
        count: Some(1),
        security: None,
        error: None,
        packages: Some(Vec::new()),
        held_back: Some(Vec::new()),
        database_places: Vec::new(),
        known: Vec::new(),
        unread: None,
        basis: None,
        database,
        extra: Default::default(),
    };
    let mut state = State { manager: Some(manager.facts().name.into()), ..State::default() };
    assert!(!pending_is_outdated(&state), "there is no count");
    let mut outdated = |as_of, database| {
        state.pending = Some(pending(as_of, database));
        pending_is_outdated(&state)
    };
    assert!(!outdated(0, Some(fingerprint(manager.facts().package_databases))));
    assert!(outdated(i64::from(i32::MAX), Some("another".into())));
    assert_eq!([-1, 0, 1].map(|later| outdated(changed + later, None)), [true, false, false]);
    state.manager = None;
    assert!(!pending_is_outdated(&state));
}

#[test]
fn a_restart_was_found_required_in_this_boot_or_nobody_knows_in_which() {
    let found = |required, boot: Option<&str>| {
        let boot = boot.map(str::to_owned);
        reboot_required(&State { reboot_required: required, reboot_boot_id: boot, ..State::default() })
    };
    let this = boot::boot_id();
    assert!(found(true, None) && found(true, Some(&this)));
    let another = format!("{this} {}", u64::MAX);
    let knows_start = !boot::start().id.ends_with(" 0");
    assert_eq!(found(true, Some(&another)), !knows_start, "a container that was restarted");
    assert!(!found(true, Some("another")) && !found(false, None) && !found(false, Some(&this)));
}

#[test]
fn what_was_found_to_run_in_another_boot_is_over() {
    let found = |units: Option<&[&str]>, boot: &str| {
        let service =
            |unit: &&str| serde_json::from_value(serde_json::json!({"unit": unit, "processes": [1]}));
        let seen = ServicesSeen { boot_id: boot.to_string(), ..ServicesSeen::default() };
        let outdated_services = units
            .map(|units| units.iter().map(service).map(Result::unwrap).collect::<Vec<OutdatedService>>());
        let state = State { outdated_services, services_seen: Some(seen), ..State::default() };
        super::outdated_services(&state).map(|services| services.len())
    };
    let this = boot::this_start();
    assert_eq!(found(Some(&["a", "b"]), &this), Some(2));
    assert_eq!(found(Some(&["a", "b"]), "another"), Some(0));
    assert_eq!(found(Some(&[]), "another"), Some(0));
    assert_eq!(found(None, &this), None);
    assert_eq!(found(None, "another"), None, "nobody has looked in that one either");
}

/// What a status says of an apply that a process with this number began in this boot, with this change.
fn seen(pid: u32, change: impl FnOnce(&mut InProgress)) -> Unfinished {
    let mut apply = InProgress {
        log: None,
        pid,
        boot_id: boot::boot_id(),
        started_at: Time::now(),
        phase: "install\x1b[m".into(),
        process_start: lock_holders::started(pid),
        pid_namespace: lock_holders::pid_namespace(),
        packages: Vec::new(),
        earlier: None,
        extra: Default::default(),
    };
    change(&mut apply);
    let mut state = State { manager: Some("apt".into()), ..State::default() };
    assert_eq!(unfinished(&state), None);
    state.apply.in_progress = Some(apply);
    unfinished(&state).unwrap()
}

#[test]
fn an_apply_is_known_by_its_number_its_start_and_the_boot() {
    let own = std::process::id();
    let ours = seen(own, |_| {});
    assert_eq!((ours.life, ours.repair.as_deref()), (Life::Running, None));
    assert_eq!(ours.phase, "install [m");
    let other_boot = seen(own, |apply| apply.boot_id = "another".into());
    assert_eq!((other_boot.life, other_boot.repair.as_deref()), (Life::Gone, Some(REPAIR)));
    assert_eq!(seen(own, |apply| apply.process_start = Some(1)).life, Life::Gone, "its number is another's");
    for pid in [u32::MAX, i32::MAX as u32, 0] {
        assert_eq!(seen(pid, |_| {}).life, Life::Gone);
    }
    let other_namespace = seen(own, |apply| apply.pid_namespace = Some("pid:[1]".into()));
    assert_eq!((other_namespace.life, other_namespace.repair), (Life::NotKnown, None));
    let mut child = std::process::Command::new("true").spawn().unwrap();
    while lock_holders::started(child.id()).is_some() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(seen(child.id(), |_| {}).life, Life::Gone, "a zombie does not run");
    child.wait().unwrap();
}

#[test]
fn an_apply_of_an_older_version_is_known_by_the_lock_that_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let _lock = Lock::try_acquire(dir.path(), "apply").unwrap().unwrap();
    let own = std::process::id();
    assert_eq!(seen(own, |apply| apply.process_start = None).life, Life::Running);
    let before_us = |apply: &mut InProgress| {
        apply.process_start = None;
        apply.started_at = Time::from_unix(1_500_000_000).unwrap();
    };
    assert_eq!(seen(own, before_us).life, Life::Gone, "it began before the process with its number");
    // In a chroot without /proc a run knows only its number.
    let without_proc = |apply: &mut InProgress| {
        apply.process_start = None;
        apply.boot_id = String::new();
        apply.pid_namespace = None;
    };
    assert_eq!(seen(own, without_proc).life, Life::Running, "no boot was written down: that is no other one");
    assert_eq!(seen(4_194_305, without_proc).life, Life::Gone);
}

#[test]
fn a_repair_by_hand_is_a_command_or_nothing() {
    for manager in MANAGERS {
        let mut state = State { manager: Some(manager.facts().name.into()), ..State::default() };
        assert!(driven(&state).is_some_and(|found| found.facts().name == manager.facts().name));
        state.manager = Some("another".into());
        assert!(driven(&state).is_none());
    }
    assert_eq!(by_hand(by_name("apt").unwrap()).as_deref(), Some(REPAIR));
}
