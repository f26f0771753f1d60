//! The rows of the exit code table that `refresh` can reach, and who may not run at all.

use crate::leisure::{at_leisure, option};
use crate::world::{World, in_parallel, replay};

const VERSIONS: [&str; 4] = ["2.2", "2.6", "3.0", "3.3"];

/// Recorded updates: exit code, and the class of the error.
const UPDATES: [(&str, i32, Option<&str>); 25] = [
    ("a1-refresh-no-updates", 0, None),
    ("a3-refresh-updates-pending", 0, None),
    ("k1-update-statusfd", 0, None),
    ("b01-404-fresh-default", 1, Some("fetch")),
    ("b02-404-fresh-errormode-any", 1, Some("fetch")),
    ("b04-404-had-index-default", 1, Some("fetch")),
    ("b07-refused-default", 1, Some("network")),
    ("b08-refused-errormode-any", 1, Some("network")),
    ("b10-dns-default", 1, Some("network")),
    ("b12-503-default", 1, Some("fetch")),
    ("b14-reset-default", 1, Some("network")),
    ("b15-hang-timeout2-retries0", 1, Some("network")),
    ("b17-all-404-default", 2, Some("fetch")),
    ("b18-all-404-errormode-any", 2, Some("fetch")),
    ("b19-packages-404-default", 1, Some("fetch")),
    ("b21-nokey-one-repo-default", 1, Some("auth")),
    ("b22-nokey-one-repo-fresh", 1, Some("auth")),
    ("b23-label-changed-default", 1, Some("config")),
    ("b24-label-changed-allow", 0, None),
    ("d8-index-swapped-errormode-any", 1, Some("fetch")),
    ("e1-lists-lock-update", 2, Some("lock")),
    ("h-index-flipped", 1, Some("fetch")),
    ("r1-release-expired", 1, Some("clock")),
    ("r3-release-from-the-future", 1, Some("clock")),
    ("r5-malformed-source-line", 2, Some("config")),
];

#[test]
fn a_refresh_exits_as_the_recorded_update_went_whatever_apt_exited_with() {
    let cases: Vec<_> =
        VERSIONS.iter().flat_map(|version| UPDATES.iter().map(move |row| (*version, *row))).collect();
    in_parallel(&cases, |(version, (case, code, class))| {
        let name = format!("{version}-{case}");
        let world = World::new();
        world.on("update", &replay(&name));
        // Long enough on a busy machine; only a lock is waited for until it is over.
        let timeout = if *class == Some("lock") { option(at_leisure(3)) } else { "60s".into() };
        let doc = world.json(&format!("refresh --timeout {timeout}"));
        assert_eq!(doc["exit_code"], *code, "{name}: {doc}");
        assert_eq!(doc["error"]["class"].as_str(), *class, "{name}: {doc}");
        assert_eq!(doc["joined"], false, "{name}");
        let word = ["fresh", "stale", "failed"][*code as usize];
        assert_eq!(doc["cache_status"], word, "{name}");
        let state = world.state();
        assert_eq!(
            state["last_attempt"]["outcome"],
            ["fresh", "partial", "failed"][*code as usize],
            "{name}"
        );
        assert_eq!(state["last_cache_update"].is_string(), *code == 0, "{name}");
        assert_eq!(world.run("status").code, *code, "{name}");
    });
}

#[test]
fn apt_get_exiting_0_with_a_source_missing_is_not_fresh() {
    let world = World::new();
    world.on(
        "update",
        "echo 'Hit:1 http://a s InRelease'; echo 'Err:2 http://b s InRelease'; echo '  Could not connect'
         echo 'W: Failed to fetch http://b/dists/s/InRelease  Could not connect' >&2",
    );
    let doc = world.json("refresh");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&1.into(), &"network".into()));
    assert_eq!(doc["sources"][0]["error"], serde_json::Value::Null);
    assert_eq!(doc["sources"][1]["id"], "http://b s");
}

#[test]
fn a_refresh_of_no_source_at_all_is_failed() {
    let world = World::new();
    world.on("update", "echo 'Reading package lists...'");
    let doc = world.json("refresh");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&2.into(), &"config".into()));
}

#[test]
fn a_lock_of_apt_that_is_freed_in_time_costs_only_the_wait() {
    let world = World::new();
    world.on_call("update", 1, &replay("3.0-e1-lists-lock-update"));
    let ran = world.run("refresh --timeout 10s");
    assert_eq!((ran.code, world.count("update")), (0, 2), "{}", ran.stderr);
    assert!(ran.stderr.contains("waiting for the lock of apt"), "{}", ran.stderr);
}

#[test]
fn a_refresh_that_is_killed_by_another_is_failed() {
    for signal in ["KILL", "SEGV"] {
        let world = World::new();
        world.on("update", &format!("echo 'Hit:1 http://a s InRelease'; kill -{signal} $$"));
        let doc = world.json("refresh");
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&2.into(), &"interrupted".into()));
    }
}

#[test]
fn an_install_that_crashes_was_cut_off_like_one_that_is_killed() {
    for signal in ["KILL", "SEGV", "ABRT"] {
        let world = World::new();
        world.on("install", &format!("progress pmstatus:dpkg-exec:0.0000:Running; kill -{signal} $$"));
        let doc = world.json("apply");
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&2.into(), &"interrupted".into()), "{doc}");
    }
}

#[test]
fn without_a_manager_the_run_is_refused_and_says_what_was_looked_for() {
    for args in ["refresh", "apply", "status --refresh --max-age 0"] {
        let world = World::new();
        std::fs::remove_file(world.path("fakes/apt-get")).unwrap();
        let ran = world.run(args);
        assert_eq!(ran.code, 3, "{args}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{args}: {}", ran.stderr);
        for manager in linux_patch::managers::MANAGERS {
            assert!(ran.stderr.contains(manager.facts().programs[0]), "{args}: {}", ran.stderr);
        }
        assert!(!world.has_state(), "{args}");
    }
}

#[test]
fn a_manager_that_was_named_and_is_not_there_is_refused_too() {
    for args in ["refresh", "apply"] {
        let world = World::new();
        std::fs::remove_file(world.path("fakes/apt-get")).unwrap();
        let ran = world.run(&format!("--manager apt {args}"));
        assert_eq!(ran.code, 3, "{args}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("apt-get"), "{args}: {}", ran.stderr);
    }
}

#[test]
fn without_root_only_a_state_directory_of_ones_own_can_be_written() {
    let world = World::new();
    // A machine that linux-patch looks after may not look fresh either: there was no refresh.
    for verb in ["refresh", "apply", "status --refresh --max-age 0"] {
        let words: Vec<_> = verb.split(' ').chain(["--format", "json"]).collect();
        let ran = world.run_unprivileged(&words);
        assert_eq!(ran.json()["exit_code"], 3, "{verb}");
        assert!(ran.stderr.contains("root is needed"), "{verb}: {}", ran.stderr);
        assert_eq!(world.read("calls"), "", "{verb}");
    }
    let own = world.path("own");
    let own = own.to_str().unwrap();
    assert_eq!(world.run_unprivileged(&["refresh", "--state-dir", own]).code, 0);
    assert_eq!(world.run_unprivileged(&["status", "--state-dir", own]).code, 0);
}
