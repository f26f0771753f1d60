//! What a run does to the files under the state directory.

use crate::machine::{ago, cut_off, fresh_state};
use crate::world::{World, replay};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

#[test]
fn a_failed_or_partial_attempt_never_moves_the_time_of_the_last_complete_one() {
    for (script, code) in [
        (replay("3.0-b17-all-404-default"), 2),
        (replay("3.0-b07-refused-default"), 1),
        ("sleep 60".into(), 2),
    ] {
        for verb in ["refresh", "apply", "status --refresh"] {
            let world = World::new();
            let mut state = fresh_state(100_000);
            state["last_cache_boot"] = json!({"boot_id": "another", "seconds": 5});
            world.write_state(&state);
            let before = world.state()["last_cache_update"].clone();
            world.on("update", &script);
            let timeout = if script.starts_with("sleep") { "1s" } else { "60s" };
            let ran = world.run(&format!("{verb} --timeout {timeout}"));
            assert_eq!(ran.code, code, "{verb}: {}", ran.stderr);
            let after = world.state();
            assert_eq!(after["last_cache_update"], before, "{verb}");
            assert_eq!(
                after["last_cache_boot"], state["last_cache_boot"],
                "{verb}: the clock of the boot too"
            );
            assert_eq!(after["last_update_success"], false, "{verb}");
            // What an index offers that could not be refreshed is no news.
            assert!(code != 2 || world.count("simulate") == 0, "{verb}: {}", world.read("calls"));
            assert!(after["last_attempt"]["finished_at"].as_str().unwrap() > before.as_str().unwrap());
        }
    }
}

#[test]
fn a_source_keeps_the_time_of_its_own_last_success() {
    let world = World::new();
    world.run("refresh");
    let first = world.state();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world.on("update", &replay("3.0-b12-503-default"));
    world.run("refresh");
    let second = world.state();
    let successes = |state: &Value, failed: bool| {
        let sources = state["sources"].as_array().unwrap().clone().into_iter();
        let of_kind = sources.filter(|source| source["error"].is_null() != failed);
        of_kind.map(|source| source["last_success"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    let first_time = first["last_cache_update"].as_str().unwrap();
    assert_eq!(successes(&second, true), [first_time]);
    assert!(successes(&second, false).iter().all(|time| time.as_str() > first_time), "{second}");
    assert_eq!(successes(&second, false).len(), 2);
}

/// Adds a field to an object that must survive.
fn mark(state: &mut Value, pointer: &str) {
    let object = state.pointer_mut(pointer).and_then(Value::as_object_mut);
    object
        .unwrap_or_else(|| panic!("no object at {pointer}"))
        .insert("of_tomorrow".into(), json!({"x": [1]}));
}

/// Those of `pointers` at which the mark is gone.
fn lost<'a>(state: &Value, pointers: &[&'a str]) -> Vec<&'a str> {
    let has = |pointer: &str| state.pointer(pointer).is_some_and(|object| object["of_tomorrow"]["x"][0] == 1);
    pointers.iter().copied().filter(|pointer| !has(pointer)).collect()
}

fn state_with_everything() -> Value {
    let mut state = fresh_state(100);
    state["apply"]["last"] = json!({"started_at": ago(500), "finished_at": ago(400), "outcome": "failed",
        "retried": false, "packages": [{"name": "a", "from": "1", "to": "2"}],
        "error": {"class": "script", "message": "x"}});
    state["sources"][1]["error"] = json!({"class": "fetch", "message": "x"});
    state["last_update_error"] = json!({"class": "fetch", "message": "x"});
    state
}

#[test]
fn unknown_fields_survive_a_refresh_wherever_the_refresh_has_nothing_new_to_say() {
    let pointers = ["", "/apply", "/apply/last", "/counters", "/pending"];
    let world = World::new();
    let mut state = state_with_everything();
    pointers.iter().for_each(|pointer| mark(&mut state, pointer));
    world.write_state(&state);
    assert_eq!(world.run("refresh").code, 0);
    let after = world.state();
    assert_eq!(after["counters"]["refresh_total"], 5, "nothing was written");
    assert_eq!(lost(&after, &pointers), [""; 0]);
    // The sources, by their names.
    let mut again = after.clone();
    mark(&mut again, "/sources/0");
    world.write_state(&again);
    world.run("refresh");
    assert_eq!(lost(&world.state(), &["/sources/0", ""]), [""; 0]);
    world.run("apply");
    assert_eq!(lost(&world.state(), &["/sources/0", "", "/apply", "/counters"]), [""; 0]);
}

#[test]
fn unknown_fields_at_every_depth_survive_a_rewrite_that_only_counts() {
    let pointers = [
        "",
        "/last_attempt",
        "/sources/0",
        "/pending",
        "/apply",
        "/apply/last",
        "/counters",
        "/last_update_error",
        "/sources/1/error",
        "/pending/packages/0",
        "/pending/held_back/0",
        "/apply/last/packages/0",
        "/apply/last/error",
    ];
    let world = World::new();
    let mut state = state_with_everything();
    pointers.iter().for_each(|pointer| mark(&mut state, pointer));
    world.write_state(&state);
    assert_eq!(world.run("refresh --if-stale").code, 0);
    let after = world.state();
    assert_eq!(after["counters"]["refresh_skipped_fresh_total"], 1, "nothing was written");
    assert_eq!(lost(&after, &pointers), [""; 0]);
}

/// As another program, or a person, may write them.
#[test]
fn what_failed_or_is_not_known_without_a_reason_is_no_success() {
    let told = |change: &dyn Fn(&mut Value), words: &str| {
        let world = World::new();
        let mut state = fresh_state(100);
        change(&mut state);
        world.write_state(&state);
        for args in ["status", "status -v", "status --format nagios"] {
            let ran = world.run(args);
            assert!(
                ran.code == 1 && ran.stdout.contains(words),
                "{args} {state}: {}{}",
                ran.stdout,
                ran.stderr
            );
        }
        let doc = world.json("status");
        assert_eq!((&doc["exit_code"], &doc["status"]), (&json!(1), &json!("degraded")), "{doc}");
    };
    for (outcome, class) in [("failed", "other"), ("interrupted", "interrupted"), ("of tomorrow", "other")] {
        let apply = json!({"started_at": ago(500), "finished_at": ago(400), "outcome": outcome, "retried": false,
            "packages": [], "error": null});
        told(&|state| state["apply"]["last"] = apply.clone(), &format!("{class}: no reason recorded"));
    }
    let unknown =
        json!({"as_of": ago(100), "count": null, "security": null, "error": null, "packages": null});
    told(
        &|state| state["pending"] = unknown.clone(),
        "what is pending is not known (other: no reason recorded)",
    );
}

#[test]
fn a_word_of_a_later_program_is_no_damage() {
    let world = World::new();
    let mut state = state_with_everything();
    state["last_update_error"]["class"] = "quota".into();
    state["sources"][1]["error"]["class"] = "quota".into();
    state["last_attempt"]["outcome"] = "partial".into();
    world.write_state(&state);
    let doc = world.json("status");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(1), &json!("other")), "{doc}");
    state["last_attempt"]["outcome"] = "of tomorrow".into();
    state["counters"]["refresh_total"] = 7.into();
    world.write_state(&state);
    assert_eq!(world.run("status").code, 2, "it is no success that this program knows");
    assert_eq!(world.run("refresh").code, 0);
    assert_eq!(world.state()["counters"]["refresh_total"], 8, "nothing is forgotten");
}

#[test]
fn a_corrupt_state_is_kept_aside_by_the_next_writer_and_only_by_it() {
    for verb in ["refresh", "apply"] {
        let world = World::new();
        world.write_state_bytes(b"{\"version\": 1, half");
        assert_eq!(world.run("status").code, 3);
        assert!(!world.state_files().contains(&"state.json.corrupt".to_string()));
        let ran = world.run(verb);
        assert_eq!(ran.code, 0, "{verb}: {}", ran.stderr);
        assert!(ran.stderr.contains("corrupt"), "{verb}: {}", ran.stderr);
        let aside = std::fs::read(world.state_dir().join("state.json.corrupt")).unwrap();
        assert_eq!(aside, b"{\"version\": 1, half");
        assert_eq!(world.run("status").code, 0, "{verb}");
    }
}

#[test]
fn a_state_of_a_newer_version_is_refused_and_untouched() {
    let bytes = b"{\"version\": 2, \"new\":  [1, 2] }\n\n";
    for args in ["refresh", "refresh --if-stale", "apply", "apply --dry-run", "status --refresh", "status"] {
        let world = World::new();
        world.write_state_bytes(bytes);
        let doc = world.json(args);
        assert_eq!(doc["exit_code"], 3, "{args}");
        assert!(doc["reason"].as_str().unwrap().contains("newer linux-patch"), "{args}: {doc}");
        assert_eq!(std::fs::read(world.state_dir().join("state.json")).unwrap(), bytes, "{args}");
        assert_eq!(world.read("calls"), "", "{args}");
        assert!(!world.state_files().contains(&"state.json.corrupt".to_string()), "{args}");
    }
}

#[test]
fn a_state_directory_that_cannot_be_made_or_written_refuses_the_run() {
    let world = World::new();
    world.write("file", "");
    for verb in ["refresh", "apply"] {
        let mut command = world.bare(crate::world::BINARY);
        command.arg("--state-dir").arg(world.path("file/state")).arg(verb);
        let ran = crate::world::Ran::of(command);
        assert_eq!((ran.code, ran.stderr.lines().count()), (3, 1), "{verb}: {}", ran.stderr);
        assert!(ran.stderr.contains("file/state"), "{verb}: {}", ran.stderr);
    }
    std::fs::create_dir_all(world.state_dir().join("state.json")).unwrap();
    assert_eq!(world.json("refresh")["exit_code"], 3);
    assert_eq!(world.read("calls"), "");
}

#[test]
fn a_state_that_cannot_be_saved_does_not_change_the_result_of_the_run() {
    let world = World::new();
    std::fs::create_dir_all(world.state_dir().join(".state.json.new/full")).unwrap();
    let ran = world.run("refresh --format json");
    assert_eq!(ran.json()["exit_code"], 0);
    assert!(ran.stderr.contains("not remembered"), "{}", ran.stderr);
}

#[test]
fn a_log_or_history_that_cannot_be_written_fails_no_run() {
    for verb in ["refresh", "apply"] {
        let world = World::new();
        std::fs::create_dir_all(world.state_dir().join("history.jsonl")).unwrap();
        std::fs::write(world.state_dir().join("log"), "a file").unwrap();
        let ran = world.run(&format!("{verb} --format json"));
        let doc = ran.json();
        assert_eq!(doc["exit_code"], 0, "{verb}: {}", ran.stderr);
        assert!(ran.stderr.contains("could not write the log"), "{verb}: {}", ran.stderr);
        assert!(verb == "refresh" || doc["log"].is_null(), "{doc}");
    }
}

#[test]
fn the_log_holds_what_the_manager_said_and_how_it_ended() {
    let world = World::new();
    world.on("update", &replay("3.0-b17-all-404-default"));
    world.run("refresh");
    let logs: Vec<_> = std::fs::read_dir(world.state_dir().join("log")).unwrap().flatten().collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    let text = std::fs::read_to_string(logs[0].path()).unwrap();
    for words in ["$ apt-get ", "Err:3 http://127.0.0.1:8080", "--- stderr", "E: The repository", "exit 100"]
    {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
}

#[test]
fn files_are_as_open_as_the_contract_says_under_any_umask() {
    let world = World::new();
    let masked = world.launched(&["sh", "-c", "umask 077; exec \"$0\" \"$@\""], "refresh");
    assert_eq!(crate::world::Ran::of(masked).code, 0);
    let mode = |name: &str| world.state_dir().join(name).metadata().unwrap().permissions().mode() & 0o777;
    let modes: Vec<_> =
        ["state.json", "lock", "history.jsonl", "log"].map(|name| (name, format!("{:o}", mode(name)))).into();
    let expected = [("state.json", "644"), ("lock", "600"), ("history.jsonl", "644"), ("log", "755")];
    assert_eq!(modes, expected.map(|(name, mode)| (name, mode.to_string())));
}

#[test]
fn a_reader_never_sees_half_a_state() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    world.on("update", "echo 'Hit:1 http://a s InRelease'");
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let mut command = world.launched(
                &["sh", "-c", "for n in 1 2 3 4 5 6 7 8 9 10; do \"$0\" \"$@\" || exit; done"],
                "refresh -q",
            );
            command.process_group(0).spawn().unwrap()
        })
        .collect();
    let mut read = 0;
    let mut running = writers;
    while !running.is_empty() {
        world.state();
        read += 1;
        running.retain_mut(|writer| match writer.try_wait().unwrap() {
            Some(end) => {
                assert!(end.success());
                false
            }
            None => true,
        });
    }
    assert!(read > 50, "read only {read} times");
}

#[test]
fn a_failure_that_cannot_be_saved_leaves_no_fresh_state_behind() {
    let world = World::new();
    world.write_state(&fresh_state(60));
    let counted = world.state()["counters"]["refresh_total"].as_u64().unwrap_or(0);
    // A directory with the name of the temporary file does the work of a full disk.
    let blocker = world.state_dir().join(".state.json.new");
    std::fs::create_dir(&blocker).unwrap();
    world.on("update", &replay("3.0-b17-all-404-default"));
    let ran = world.run("refresh");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("not remembered"), "{}", ran.stderr);
    assert_eq!(world.run("status").code, 3);
    std::fs::remove_dir(&blocker).unwrap();
    assert_eq!(world.run("refresh").code, 2);
    assert_eq!(world.state()["counters"]["refresh_total"], counted + 1, "the state was not taken back");
    assert_eq!(world.run("status").code, 2);
}

#[test]
fn a_state_that_is_a_named_pipe_keeps_nobody_waiting() {
    let world = World::new();
    let pipe = world.state_dir().join("state.json");
    std::fs::create_dir_all(world.state_dir()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let ran = world.run("status");
    assert_eq!(ran.code, 3);
    assert!(ran.took < std::time::Duration::from_secs(60), "{:?}", ran.took);
}

/// Nor one in which all was well where an install is going on, or failed.
#[test]
fn an_install_that_cannot_be_saved_leaves_no_state_in_which_all_is_well() {
    let world = World::new();
    world.write_state(&fresh_state(60));
    let blocker = world.state_dir().join(".state.json.new");
    std::fs::create_dir(&blocker).unwrap();
    let dir = world.state_dir();
    world
        .on("install", &format!("test -e {}/state.json || echo 'E: put aside' >&2; exit 100", dir.display()));
    let ran = world.run("apply --format json");
    assert!(ran.json()["error"]["message"].as_str().unwrap().contains("put aside"), "{}", ran.stdout);
    assert!(ran.stderr.contains("not remembered"), "{}", ran.stderr);
    assert_eq!((ran.code, world.run("status").code), (2, 3));
    // Where the next step can be saved, nothing stays aside.
    world.on("install", &format!("mv {} $world/gone; unpack", blocker.display()));
    let ran = world.run("apply");
    assert!(ran.stderr.contains("not remembered"), "{}", ran.stderr);
    let status = world.run("status");
    assert_eq!((ran.code, status.code), (0, 0), "{}{}", ran.stderr, status.stdout);
    assert!(!dir.join("state.json.unsaved").exists());
}

#[test]
fn a_failure_that_is_known_is_told_also_where_no_newer_state_can_be_saved() {
    let world = World::new();
    let mut state = fresh_state(60);
    state["apply"]["last"] = json!({"started_at": ago(50), "finished_at": ago(40), "outcome": "failed",
        "error": {"class": "script", "message": "tb-a: post-installation script failed"}});
    world.write_state(&state);
    std::fs::create_dir(world.state_dir().join(".state.json.new")).unwrap();
    for verb in ["refresh", "apply"] {
        world.on("install", "exit 100");
        let ran = world.run(verb);
        assert!(ran.stderr.contains("not remembered"), "{}", ran.stderr);
        let doc = world.json("status");
        assert_eq!(doc["exit_code"], 1, "{doc}");
        assert!(doc["reason"].as_str().unwrap().contains("post-installation script failed"), "{doc}");
    }
}

/// Every verb that judges the index, where the last run drove another manager.
#[test]
fn the_state_of_another_manager_says_nothing_of_the_index_of_this_one() {
    let world = World::new();
    world.install_fake("pacman");
    world.on("pacman", "echo 'error: failed to initialize alpm library' >&2; exit 255");
    world.write_state(&fresh_state(60));
    for args in ["status", "--manager apt status"] {
        assert_eq!(world.json(args)["exit_code"], 0, "{args}");
    }
    let doc = world.json("--manager pacman status");
    assert_eq!((&doc["exit_code"], &doc["cache_status"]), (&json!(3), &json!("unknown")), "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("the last run drove apt"), "{doc}");
    assert_eq!(world.run("--manager pacman status --alert security=critical").code, 2);
    let doc = world.json("--manager pacman refresh --if-stale");
    assert!(world.count("pacman") > 0, "{doc}");
    assert_eq!((&doc["exit_code"], &doc["sources"]), (&json!(2), &json!([])), "{doc}");
    let (state, after) = (fresh_state(60), world.state());
    assert_eq!((&after["manager"], &after["last_cache_update"]), (&json!("pacman"), &Value::Null), "{after}");
    assert_eq!((&after["pending"], after["counters"]["refresh_total"].as_u64()), (&Value::Null, Some(5)));
    assert_eq!(after["apply"]["last"], state["apply"]["last"]);
    assert_eq!(world.run("--manager pacman status").code, 2);
    // A run that is stopped or cut off before the end of its refresh changes nothing about the other one.
    for (signal, verb, code) in [("TERM", "refresh", 0), ("KILL", "apply", 1)] {
        world.write_state(&fresh_state(60));
        world.on("pacman", &format!("kill -{signal} $PPID; exec sleep 5"));
        assert_ne!(world.run(&format!("--manager pacman {verb}")).code, 0);
        assert_eq!(world.run("--manager pacman status").code, 3, "{signal}");
        let doc = world.json("status");
        assert_eq!(
            (&doc["exit_code"], &doc["cache_status"]),
            (&json!(code), &json!("fresh")),
            "{signal}: {doc}"
        );
    }
}

/// The processes of a container that was started again are others, in the same boot.
#[test]
fn an_apply_that_cannot_be_seen_was_cut_off_where_the_lock_is_free() {
    let world = World::new();
    let mut state = fresh_state(60);
    state["apply"]["in_progress"] = cut_off("install");
    state["apply"]["in_progress"]["pid_namespace"] = json!("pid:[1]");
    world.write_state(&state);
    let doc = world.json("status");
    assert_eq!((&doc["exit_code"], &doc["apply_interrupted"]), (&json!(0), &Value::Null), "{doc}");
    assert_eq!(world.run("refresh").code, 0);
    let doc = world.json("status");
    assert_eq!((&doc["exit_code"], &doc["apply_interrupted"]), (&json!(1), &json!(true)), "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("an apply was interrupted"), "{doc}");
}
