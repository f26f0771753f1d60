//! The state and the readers of the managers' output, with input that nobody expects.

#[allow(dead_code)] // Its own tests run with those of faults.
#[path = "faults/metrics.rs"]
mod metrics;
#[path = "faults/plain.rs"]
mod plain;
#[path = "faults/readers.rs"]
mod readers;
#[path = "faults/rendered.rs"]
mod rendered;
mod replay;

use linux_patch::managers::{MANAGERS, Manager, by_name};
use linux_patch::model::class::Class;
use linux_patch::model::exit_code::ExitCode;
use linux_patch::model::failure::Failure;
use linux_patch::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use linux_patch::report::alert::Alert;
use linux_patch::report::print::Format;
use linux_patch::report::{Detail, Report};
use linux_patch::store::health::judge;
use linux_patch::store::lock::Lock;
use linux_patch::store::state::{Attempt, State};
use linux_patch::store::state_file::FILE;
use linux_patch::store::state_file::{Loaded, glance, load, load_for_writer, note_joined, parse};
use linux_patch::system::process::{End, Finished};
use linux_patch::system::time::Time;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> Time {
    Time::from_unix(seconds).unwrap()
}

fn text(seconds: i64) -> String {
    at(seconds).to_string()
}

/// A state with every field that there is.
fn full() -> Value {
    let failure = json!({"class": "fetch", "message": "404"});
    json!({
        "version": 1, "manager": "apt", "last_cache_update": text(NOW - 100), "last_update_success": true,
        "last_cache_boot": {"boot_id": "z", "seconds": 5}, "last_update_error": failure,
        "last_attempt": {"started_at": text(NOW - 101), "finished_at": text(NOW - 100), "outcome": "fresh",
            "exit_code": 0, "duration_ms": 900},
        "sources": [{"id": "a", "last_success": text(NOW - 100), "published_at": text(NOW - 900), "valid_until": null, "error": null},
            {"id": "b", "last_success": null, "published_at": null, "valid_until": text(NOW), "error": failure}],
        "pending": {"as_of": text(NOW - 99), "count": 1, "security": 0, "error": null, "packages": [{"name": "p",
            "installed": "1", "candidate": "2", "security": false, "source": "s", "first_seen": text(NOW - 700),
            "issued": text(NOW - 900), "severity": "low"}], "held_back": [{"name": "h",
            "installed": null, "candidate": null, "reason": "held", "class": "auth", "security": null, "first_seen": text(NOW - 600),
            "issued": null, "severity": null}], "known": [{"name": "k", "installed": "1", "candidate": "2", "first_seen": text(NOW - 600)}], "basis": "x",
            "database": "y"},
        "reboot_required": true, "reboot_boot_id": "z",
        "reboot_packages": {"names": ["p"], "start": "z 1", "basis": "x"}, "source_config": "c",
        "support_ends": "2028-06-30", "caveats": ["c"], "not_offered": ["p"], "not_offered_asked": true,
        "outdated_services": [{"unit": "u", "processes": [3, 4]}],
        "services_seen": {"boot_id": "z", "database": "y", "needs_reboot": false},
        "index": {"files": [], "settings": "x", "configuration": {"basis": "x", "text": "y"}},
        "index_dates": [{"id": "a", "mark": "m", "made": text(NOW - 900), "built": null}],
        "apply": {"in_progress": {"pid": 1, "boot_id": "z", "started_at": text(NOW - 50), "phase": "install"},
            "last": {"started_at": text(NOW - 500), "finished_at": text(NOW - 400), "outcome": "interrupted",
                "retried": true, "packages": [{"name": "p", "from": null, "to": "1"}], "open_for": [{"name": "p", "seconds": 9}], "error": failure, "log": "/l"}},
        "counters": {"refresh_total": 1, "refresh_failed_total": 2, "refresh_joined_total": 3,
            "refresh_skipped_fresh_total": 4, "apply_total": 5, "apply_failed_total": 6, "apply_retried_total": 7},
    })
}

fn good(value: &Value) -> Option<State> {
    match parse(value.to_string().as_bytes()) {
        Loaded::Good(state) => Some(*state),
        _ => None,
    }
}

/// Every place in a document, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_string());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| places(inner, &format!("{at}/{key}"), found))
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, inner)| places(inner, &format!("{at}/{index}"), found))
        }
        _ => {}
    }
}

fn junk() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[[{"x": 1}]]])),
        (-90_000_000_000i64..253_402_300_799).prop_map(|seconds| json!(text(seconds.max(0)))),
        Just(json!("9999-12-31T23:59:59+23:59")),
        Just(json!("9999-12-31T23:59:59-23:59")),
        Just(json!("0000-01-01T00:00:00+23:59")),
        Just(json!("2026-05-27T13:00:00.999999999Z")),
        Just(json!("2026-06-30T23:59:60Z")),
        prop_oneof!["fresh", "partial", "failed", "timeout", "install"].prop_map(Value::from),
    ]
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Fetch), Just(Class::Lock), Just(Class::Space), Just(Class::Timeout)]
}

fn refreshed() -> impl Strategy<Value = Refreshed> {
    let error = || proptest::option::of(class().prop_map(|class| Failure::new(class, "why")));
    let source = ("[a-d]", error()).prop_map(|(id, error)| SourceResult { id, error });
    let outcome =
        prop_oneof![Just(RefreshOutcome::Fresh), Just(RefreshOutcome::Partial), Just(RefreshOutcome::Failed)];
    (vec(source, 0..5), outcome, error()).prop_map(|(sources, outcome, error)| Refreshed {
        sources,
        outcome,
        error,
        changed: true,
    })
}

fn attempt(outcome: RefreshOutcome, end: i64) -> Attempt {
    Attempt {
        started_at: at(end - 1),
        finished_at: at(end),
        outcome,
        exit_code: None,
        duration_ms: 1000,
        extra: Default::default(),
    }
}

fn apt() -> &'static dyn Manager {
    by_name("apt").unwrap()
}

/// Words that the readers look for, so that random input gets past the first comparison.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => "\\PC{0,12}",
        2 => "[ \\t\\r\\n:;/()\\[\\]'.0-9=>]{1,4}",
        1 => prop_oneof![
            "Inst ", "Remv ", "Hit:1 ", "Get:2 ", "Err:3 ", "Ign:4 ", "http://h/d ", "stable InRelease",
            "cdrom:\\[x\\]/ ", "E: ", "W: ", "N: ", "Failed to fetch ", "  404  Not Found", "No space left on device",
            "dpkg: error processing ", "dpkg: unrecoverable fatal error, aborting:", "dpkg: error: dpkg ",
            "lock was locked by ", "Could not get lock", "The following packages have been kept back:\n",
            "  Version table:\n", " \\*\\*\\* 1 100\n", "pmstatus:", "dlstatus:1:5.0:x", "ii ", "iHR",
            ": using metadata from ", "Ignoring repositories: ", "  - ", "Status code: 404", "Dependencies resolved.\n",
            "Upgrading:\n", "Transaction Summary\n", "\nObsoleting Packages\n", "p.noarch 1-1 base\n", "    q.noarch 1 @System\n",
            "     replacing  ", "Error: Failed to download metadata for repo 'r'", "Error: Error downloading packages:\n",
            "X-1 Important/Sec. p-1-1.noarch\n", "\tnoarch\t0:1-1\t5\n", "\\) scriptlet failed, ", "warning: %",
        ],
        1 => prop_oneof![
            "\x1b\\[31m", "\u{9b}2J", "\u{2028}", "\u{202e}", "\x7f", "\x08", "://me:secret@", "-o", "\u{feff}",
        ],
        1 => prop_oneof![
            "error: ", "warning: ", " core downloading\\.\\.\\.\n", "failed retrieving file '", "core.db", "' from h : ", " -> ",
            "failed to commit transaction \\(", "could not open file /x/sync/", "could not open file /x/local/", "/desc: ",
            "database file for '", "' does not exist", "Packages \\(2\\) ", "Package \\(2\\)  Old Version  New Version  Net Change\n",
            "a-1-1  b-2-1 \\[removal\\]", "upgrading tb...\n", "signature from ", "Hangup signal received\n",
        ],
        1 => Just("\n".to_string()),
        1 => Just("\t".to_string()),
    ];
    vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_and_judged_without_a_panic(
        bytes in vec(any::<u8>(), 0..300), now in 0i64..4_000_000_000, max_age in any::<i64>(), changed: bool,
    ) {
        let verdict = judge(&parse(&bytes), at(now), max_age, changed);
        prop_assert!(verdict.code.code() <= 3 && !verdict.reason.is_empty());
    }

    #[test]
    fn any_words_in_any_place_of_a_state_are_harmless_in_every_form(
        texts in vec((".{0,30}", any::<proptest::sample::Index>()), 1..6),
    ) {
        let mut value = full();
        let mut found = Vec::new();
        places(&value, "", &mut found);
        for (text, index) in &texts {
            let place: &String = index.get(&found);
            let place = value.pointer_mut(place);
            // Words replace words; the test above tries what is no text.
            if let Some(place) = place.filter(|place| place.is_string() || place.is_null()) {
                *place = json!(text);
            }
        }
        rendered::check(value.to_string().as_bytes());
    }

    #[test]
    fn a_state_cut_anywhere_or_with_bytes_changed_is_read_without_a_panic(
        cut in 0usize..2000, changes in vec((0usize..2000, any::<u8>()), 0..4),
    ) {
        let mut bytes = full().to_string().into_bytes();
        for (place, byte) in changes {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        bytes.truncate(cut);
        let loaded = parse(&bytes);
        judge(&loaded, at(NOW), 86400, false);
        if cut < full().to_string().len() {
            prop_assert!(!matches!(loaded, Loaded::Good(_)), "half a state was taken for a whole one");
        }
    }

    #[test]
    fn a_state_with_anything_anywhere_is_judged_and_survives_its_own_rewrite(
        changes in vec((any::<prop::sample::Index>(), junk()), 1..4), max_age in any::<i64>(), changed: bool,
    ) {
        let mut value = full();
        for (index, junk) in changes {
            let mut found = Vec::new();
            places(&value, "", &mut found);
            let place: &String = index.get(&found);
            *value.pointer_mut(place).unwrap() = junk;
        }
        let loaded = parse(value.to_string().as_bytes());
        judge(&loaded, at(NOW), max_age, changed);
        if let Loaded::Good(state) = loaded {
            let again = serde_json::to_value(&*state).unwrap();
            prop_assert_eq!(good(&again), Some(*state));
        }
    }

    #[test]
    fn only_a_complete_refresh_within_max_age_and_not_in_the_future_is_fresh(
        updated in proptest::option::of(NOW - 1000..NOW + 1000), ended in NOW - 1000..NOW + 1000,
        outcome in prop_oneof!["fresh", "partial", "failed"], max_age in -5i64..1500, changed: bool,
    ) {
        let mut value = full();
        value["last_cache_update"] = updated.map(text).into();
        value["last_attempt"]["finished_at"] = text(ended).into();
        value["last_attempt"]["outcome"] = outcome.clone().into();
        let verdict = judge(&parse(value.to_string().as_bytes()), at(NOW), max_age, changed);
        let future = ended > NOW || updated.is_some_and(|time| time > NOW);
        // The contract's section 7, in its order.
        let expected = match (outcome.as_str(), updated) {
            _ if future => ExitCode::Unknown,
            ("failed", _) => ExitCode::Failed,
            ("partial", _) => ExitCode::Stale,
            (_, None) => ExitCode::Unknown,
            (_, Some(time)) if NOW - time > max_age || changed => ExitCode::Stale,
            _ => ExitCode::Fresh,
        };
        prop_assert_eq!(verdict.code, expected, "{}", &verdict.reason);
        prop_assert!(verdict.age.is_none_or(|age| age >= 0));
    }

    #[test]
    fn only_a_complete_refresh_moves_the_time_of_the_last_complete_one(
        runs in vec((refreshed(), 1i64..1000), 1..8),
    ) {
        let mut state = State { version: 1, ..State::default() };
        let (mut time, mut complete, mut failed) = (NOW, None, 0);
        for (refreshed, later) in &runs {
            time += later;
            state.record_refresh(refreshed, attempt(refreshed.outcome, time));
            match refreshed.outcome {
                RefreshOutcome::Fresh => complete = Some(at(time)),
                RefreshOutcome::Partial => {}
                RefreshOutcome::Failed => failed += 1,
            }
            prop_assert_eq!(state.last_cache_update, complete);
            prop_assert_eq!(state.last_update_success, refreshed.outcome == RefreshOutcome::Fresh);
            prop_assert_eq!(state.last_outcome(), Some(refreshed.outcome));
            for source in &refreshed.sources {
                let kept = state.sources.iter().filter(|kept| kept.id == source.id);
                prop_assert!(kept.clone().count() >= 1);
                if source.error.is_none() {
                    prop_assert!(kept.clone().any(|kept| kept.last_success == Some(at(time))));
                }
            }
            prop_assert!(state.sources.iter().all(|source| source.last_success <= Some(at(time))));
        }
        prop_assert_eq!(state.counters.refresh_total, runs.len() as u64);
        prop_assert_eq!(state.counters.refresh_failed_total, failed);
        prop_assert_eq!(good(&serde_json::to_value(&state).unwrap()), Some(state));
    }

    #[test]
    fn no_words_of_a_manager_make_a_reader_panic(
        stdout in words(), stderr in words(), status in words(), code in 0i32..256,
    ) {
        let finished = Finished {
            end: End::Code(code),
            stdout,
            stderr,
            progress: status,
            elapsed: Duration::ZERO,
            group: None,
        };
        MANAGERS.iter().for_each(|manager| readers::read_all(*manager, &finished));
    }

    #[test]
    fn a_package_name_that_is_accepted_is_never_an_option_a_path_or_an_order(name in "\\PC{0,12}|[-a-z0-9+.:=/*^~?]{1,8}") {
        if apt().database().is_package_name(&name) {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.:".contains(&byte));
            prop_assert!(plain && !name.starts_with('-') && !name.ends_with('-'), "{}", name);
        }
    }

    #[test]
    fn every_pending_update_and_every_installed_package_is_read(
        rows in proptest::collection::btree_map("[a-z][a-z0-9+.-]{1,8}[a-z]", "[0-9][0-9a-z.+~:-]{0,8}", 0..20),
    ) {
        let list: String =
            rows.iter().map(|(name, version)| format!("Inst {name} [0] ({version} L:stable [all])\n")).collect();
        let listing = apt().parse_list(&list);
        let read: Vec<_> = listing.updates.iter().map(|update| (&update.name, &update.candidate)).collect();
        prop_assert_eq!(read, rows.iter().collect::<Vec<_>>());
        let table: String = rows.iter().map(|(name, version)| format!("{name}\tall\t{version}\tii \n")).collect();
        let installed = apt().database().parse_installed(&table, &apt().facts().usual_places());
        let read: Vec<_> = installed.iter().map(|(name, package)| (name, &package.version)).collect();
        prop_assert_eq!(read, rows.iter().collect::<Vec<_>>());
    }
}

/// Drawn once in a whole run of the tests.
#[test]
fn an_architecture_is_no_order_to_remove() {
    let is_name = |name| apt().database().is_package_name(name);
    assert!(is_name("a0:amd64") && is_name("a0:linux-any"));
    assert!(!is_name("a0:a-") && !is_name("a0-") && !is_name("a0:amd64-"));
}

#[test]
fn the_full_state_of_these_tests_is_one() {
    let state = good(&full()).expect("it is a state");
    assert_eq!(serde_json::to_value(&state).unwrap(), full());
}

#[test]
fn exactly_at_max_age_is_fresh_and_a_second_more_is_not() {
    let mut value = full();
    value["last_attempt"]["finished_at"] = text(NOW - 86400).into();
    value["last_cache_update"] = text(NOW - 86400).into();
    let loaded = parse(value.to_string().as_bytes());
    assert_eq!(judge(&loaded, at(NOW), 86400, false).code, ExitCode::Fresh);
    assert_eq!(judge(&loaded, at(NOW + 1), 86400, false).code, ExitCode::Stale);
    assert_eq!(judge(&loaded, at(NOW - 86400), 86400, false).code, ExitCode::Fresh, "refreshed this second");
    assert_eq!(judge(&loaded, at(NOW - 86401), 86400, false).code, ExitCode::Unknown);
}

/// A state as text, made so large by spaces before it: its last byte must have been read.
fn padded(length: usize) -> Vec<u8> {
    let text = full().to_string();
    let mut bytes = vec![b' '; length - text.len()];
    bytes.extend(text.bytes());
    bytes
}

#[test]
fn the_largest_state_is_read_and_one_byte_more_is_not() {
    const MOST: usize = 16 << 20;
    let dir = tempfile::tempdir().unwrap();
    for (length, is_read) in [(MOST, true), (MOST + 1, false)] {
        assert_eq!(matches!(parse(&padded(length)), Loaded::Good(_)), is_read, "{length} bytes");
        std::fs::write(dir.path().join(FILE), padded(length)).unwrap();
        match load(dir.path()) {
            Loaded::Good(_) => assert!(is_read, "{length} bytes in a file"),
            Loaded::Corrupt(why) => {
                assert!(!is_read && why.contains("larger than 16 MiB"), "{length}: {why}")
            }
            other => panic!("{length}: {other:?}"),
        }
    }
}

#[test]
fn a_state_that_could_not_be_read_is_not_written() {
    const MOST: usize = 16 << 20;
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
    let mut state = good(&full()).unwrap();
    state.manager = Some(String::new());
    state.save(&lock).unwrap();
    let empty = std::fs::read(dir.path().join(FILE)).unwrap().len();
    // The numbers of the first line may have some digits more or less.
    const DIGITS: usize = 64;
    state.manager = Some("x".repeat(MOST - empty - DIGITS));
    state.save(&lock).unwrap();
    assert!(matches!(load(dir.path()), Loaded::Good(kept) if *kept == state));
    // A little more costs the lists, and a state that no list makes that large is not written.
    state.manager = Some("x".repeat(MOST - empty + DIGITS));
    state.save(&lock).unwrap();
    let Loaded::Good(kept) = load(dir.path()) else { panic!("it cannot be read") };
    let pending = kept.pending.unwrap();
    assert!(pending.count.is_none() && pending.packages.is_none());
    assert!(pending.error.unwrap().message.contains("more is pending than"));
    state.manager = Some("y".repeat(MOST));
    assert!(format!("{:#}", state.save(&lock).unwrap_err()).contains("larger than 16 MiB"));
    let Loaded::Good(kept) = load(dir.path()) else { panic!("the old state is gone") };
    assert!(kept.manager.unwrap().starts_with('x'));
}

/// Something else than a file there cannot be read, which is not the same as missing.
#[test]
fn a_state_that_is_no_file_is_unreadable_and_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(load(dir.path()), Loaded::Missing));
    std::fs::write(dir.path().join(FILE), "").unwrap();
    assert!(matches!(load(dir.path()), Loaded::Corrupt(_)));
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    std::fs::create_dir(dir.path().join(FILE)).unwrap();
    assert!(matches!(load(dir.path()), Loaded::Unreadable(_)), "{:?}", load(dir.path()));
    assert!(matches!(load_for_writer(dir.path()), Loaded::Unreadable(_)));
    let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
    let error = format!("{:#}", State::load_for_update(&lock).unwrap_err());
    assert!(error.contains("could not read"), "{error}");
}

#[test]
fn a_state_that_begins_has_this_version() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
    let (begun, note) = State::load_for_update(&lock).unwrap();
    assert_eq!((begun.version, note), (1, None));
    begun.save(&lock).unwrap();
    assert!(matches!(load(dir.path()), Loaded::Good(_)));
}

/// The run ended before the manager mentioned any source: none was refreshed, and the reason is known.
#[test]
fn a_state_that_knows_sources_blames_a_run_that_named_none() {
    let mut state = good(&full()).unwrap();
    let why = Failure::new(Class::Timeout, "too slow");
    let error = Some(why.clone());
    let refreshed = Refreshed { sources: Vec::new(), outcome: RefreshOutcome::Failed, error, changed: false };
    let before = state.sources.clone();
    state.record_refresh(&refreshed, attempt(RefreshOutcome::Failed, NOW));
    assert!(state.sources.iter().all(|source| source.error.as_ref() == Some(&why)), "{:?}", state.sources);
    let times = |sources: &[linux_patch::store::state::Source]| -> Vec<_> {
        sources.iter().map(|source| (source.id.clone(), source.last_success)).collect()
    };
    assert_eq!(times(&state.sources), times(&before));
}

/// A state that could not be replaced is found by the next writer, and by nobody who only looks.
#[test]
fn a_state_put_aside_is_found_by_the_next_writer_alone() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
    let state = good(&full()).unwrap();
    state.save(&lock).unwrap();
    State::put_aside(&lock);
    assert!(matches!(load(dir.path()), Loaded::Unreadable(reason) if reason.contains("could not save")));
    assert!(matches!(load_for_writer(dir.path()), Loaded::Good(found) if *found == state));
    assert_eq!(State::load_for_update(&lock).unwrap(), (state.clone(), None));
    // Nor is it found by others before that one is saved.
    assert!(matches!(load(dir.path()), Loaded::Unreadable(_)));
    state.save(&lock).unwrap();
    assert!(matches!(load(dir.path()), Loaded::Good(_)));
    assert!(!dir.path().join("state.json.unsaved").exists());
    // A state that a later run could save is not overwritten by one that was put aside before.
    std::fs::write(dir.path().join("state.json.unsaved"), "{}").unwrap();
    assert_eq!(State::load_for_update(&lock).unwrap(), (state, None));
}

/// Each call that shares a result is counted once, by the next writer, and no link is followed.
#[test]
fn calls_that_share_a_result_are_noted_and_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
    let mut state = good(&full()).unwrap();
    for _ in 0..3 {
        note_joined(dir.path());
    }
    for _ in 0..2 {
        state.count_joined(&lock);
        assert_eq!(state.counters.refresh_joined_total, 6);
    }
    let noted = dir.path().join("refresh.joined");
    assert!(!noted.exists());
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "").unwrap();
    std::os::unix::fs::symlink(&victim, &noted).unwrap();
    note_joined(dir.path());
    state.count_joined(&lock);
    assert_eq!((std::fs::read(&victim).unwrap().len(), state.counters.refresh_joined_total), (0, 6));
    // A directory has a length too.
    std::fs::remove_file(&noted).unwrap();
    std::fs::create_dir(&noted).unwrap();
    state.count_joined(&lock);
    assert_eq!(state.counters.refresh_joined_total, 6);
}

#[test]
fn only_version_1_is_a_state_and_only_a_larger_one_is_newer() {
    for (version, expected) in
        [("0", "Corrupt"), ("1", "Good"), ("2", "Newer"), ("-1", "Corrupt"), ("1.5", "Corrupt")]
    {
        let found = format!("{:?}", parse(format!("{{\"version\":{version}}}").as_bytes()));
        assert!(found.starts_with(expected), "{version}: {found}");
    }
}

#[test]
fn a_state_without_an_attempt_is_judged_by_what_else_it_holds() {
    let outcome = |words: &str| {
        let Loaded::Good(state) = parse(format!("{{\"version\":1{words}}}").as_bytes()) else {
            panic!("{words}")
        };
        state.last_outcome()
    };
    assert_eq!(outcome(""), None);
    assert_eq!(outcome(",\"last_update_success\":true"), Some(RefreshOutcome::Fresh));
    assert_eq!(outcome(",\"last_cache_update\":\"2026-05-27T13:00:00Z\""), Some(RefreshOutcome::Failed));
    assert_eq!(
        outcome(",\"last_update_error\":{\"class\":\"fetch\",\"message\":\"x\"}"),
        Some(RefreshOutcome::Failed)
    );
    let mut contradiction = full();
    contradiction["last_update_success"] = false.into();
    assert_eq!(good(&contradiction).unwrap().last_outcome(), Some(RefreshOutcome::Failed));
}

#[test]
fn an_unknown_number_survives_a_rewrite_to_its_last_digit() {
    let mut value = full();
    // Found by fuzzing: if it is read carelessly the result is a neighbouring value.
    value["later"] = serde_json::from_str("18446333333333333333333333333333333333333333333.333").unwrap();
    let once = serde_json::to_value(good(&value).unwrap()).unwrap();
    let twice = serde_json::to_value(good(&once).unwrap()).unwrap();
    assert_eq!((once["later"].to_string(), &once), (value["later"].to_string(), &twice));
}

#[test]
fn counters_stop_where_readers_of_numbers_do() {
    let mut value = full();
    value["counters"]["apply_total"] = json!(u64::MAX);
    value["counters"]["refresh_total"] = json!((1u64 << 53) - 1);
    let counters = good(&value).unwrap().counters;
    assert_eq!((counters.apply_total, counters.refresh_total), (1 << 53, (1 << 53) - 1));
}

#[test]
fn deep_and_large_input_is_corrupt_and_no_overflow() {
    let deep = "[".repeat(100_000);
    let nested = format!("{{\"version\":1,\"x\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    let large = vec![b' '; (16 << 20) + 1];
    for bytes in [deep.as_bytes(), nested.as_bytes(), &large] {
        assert!(matches!(parse(bytes), Loaded::Corrupt(_)));
    }
}

/// A state with so many entries in each of its lists, some of them different.
fn with_long_lists(entries: usize) -> Value {
    let mut state = full();
    let long = |state: &mut Value, list: &str| {
        let first = state.pointer(list).and_then(|list| list.get(0)).cloned().unwrap_or_else(|| json!("p"));
        let entry = |number: usize| {
            let mut entry = first.clone();
            if let Some(object) = entry.as_object_mut() {
                object["name"] = json!(format!("p\u{202e}\"]}}-{}", number * 7919 % entries.max(1)));
                if object.contains_key("security") {
                    object["security"] = json!(number % 3 == 0);
                    object["first_seen"] = json!(text(NOW - 1000 - number as i64 * 7919 % 500));
                    object.insert("of_tomorrow".to_string(), json!({"packages": [[{"a": []}]]}));
                }
            }
            entry
        };
        let (above, key) = list.rsplit_once('/').unwrap();
        state.pointer_mut(above).unwrap()[key] = (0..entries).map(entry).collect();
    };
    state["apply"]["last_change"] = state["apply"]["last"].clone();
    for list in [
        "/pending/packages",
        "/pending/held_back",
        "/pending/known",
        "/apply/in_progress/packages",
        "/apply/last/packages",
        "/apply/last/open_for",
        "/apply/last_change/packages",
        "/apply/last_change/open_for",
    ] {
        long(&mut state, list);
    }
    state["pending"]["count"] = json!(entries);
    state["pending"]["security"] = json!(entries.div_ceil(3));
    state["pending"]["packages"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .for_each(|update| update["installed"] = json!("\u{feff}1"));
    state["more"] = json!({"pending": {"packages": vec![0; entries]}, "empty": [{}, [], [[]]]});
    state
}

/// What a status shows of a state, in every format that does not list all packages.
fn shown(loaded: &Loaded) -> Vec<Option<String>> {
    let alerts =
        ["updates:9", "security", "held-back", "security-age:1s"].map(|alert| Alert::parse(alert).unwrap());
    let mut report = Report::of_state("status", loaded.clone(), Duration::from_secs(86400));
    report.now = at(NOW);
    report.detail = Detail::Status { history: None, explanation: None };
    let raised: Vec<_> = alerts
        .iter()
        .filter_map(|alert| alert.of(report.state.as_deref()?, &report.health, report.now))
        .collect();
    report.raise(raised);
    [Format::Text, Format::Nagios, Format::Openmetrics].map(|format| report.render(format, false)).to_vec()
}

#[test]
fn a_glance_at_a_state_shows_what_reading_all_of_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
    for entries in [0, 1, 19, 20, 21, 40, 300, 3000] {
        let mut state = good(&with_long_lists(entries)).unwrap();
        state.save(&lock).unwrap();
        // In the order in which they are shown.
        state.pending.as_mut().unwrap().sort();
        let file = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(
            serde_json::from_str::<Value>(&file).is_ok()
                && file.lines().all(|line| line.chars().all(plain::is_plain))
        );
        let all = load(dir.path());
        assert!(matches!(&all, Loaded::Good(read) if **read == state), "{entries} entries");
        let glanced = glance(dir.path());
        let Loaded::Good(seen) = &glanced else { panic!("{glanced:?}") };
        assert!(seen.is_glance && seen.pending.as_ref().unwrap().packages().len() <= 20, "{entries} entries");
        assert_eq!(shown(&glanced), shown(&all), "{entries} entries");
        assert!(seen.save(&lock).is_err(), "the rest would be lost");
    }
}

#[test]
fn a_state_that_somebody_else_wrote_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
    let path = dir.path().join(FILE);
    for entries in [30, 3000] {
        good(&with_long_lists(entries)).unwrap().save(&lock).unwrap();
        let file = std::fs::read_to_string(&path).unwrap();
        let value: Value = serde_json::from_str(&file).unwrap();
        let whole = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let (glanced, all) = (glance(dir.path()), load(dir.path()));
            assert!(!matches!(&glanced, Loaded::Good(seen) if seen.is_glance), "{:?}", text.get(..300));
            assert_eq!(format!("{glanced:?}"), format!("{all:?}"));
        };
        // Written anew, and cut off at any place.
        whole(&value.to_string());
        whole(&serde_json::to_string_pretty(&value).unwrap());
        let (first, rest) = file.split_once('\n').unwrap();
        whole(&format!("{{\n{rest}"));
        whole(&format!("{first}\n{rest}\n"));
        for end in
            (0..file.len()).step_by(file.len() / 12).chain([first.len(), first.len() + 1, file.len() - 1])
        {
            if file.is_char_boundary(end) {
                whole(&file[..end]);
            }
        }
        // A version that is still to come.
        whole(&file.replacen("\"version\": 1,", "\"version\": 2,", 1));
        // Edited in place.
        for (from, to) in [("\"security\": true", "\"security\":false"), ("p\\u202e", "q\\u202e")] {
            let edited = file.replacen(from, to, entries);
            assert_eq!(edited.len(), file.len());
            if entries == 30 {
                whole(&edited);
            }
        }
        // The first line counts something that is not there, or in another order.
        for (from, to) in [
            ("\"skip\":[[", "\"skip\":[[9"),
            ("\"skip\":[[", "\"skip\":[[9,3],["),
            ("\"bytes\":", "\"bytes\":9"),
        ] {
            whole(&file.replacen(from, to, 1));
        }
    }
}
