//! `status`: the precedence of the contract's section 7, from a state alone.

use crate::machine::{ago, boot_id, cut_off, fail, fresh_state, hold_lock};
use crate::world::{Ran, World};
use linux_patch::system::files::newest_change;
use linux_patch::system::time::Time;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

fn status_of(state: &Value, args: &str) -> Ran {
    let world = World::new();
    world.write_state(state);
    let ran = world.run(&format!("status {args}"));
    assert_eq!(world.read("calls"), "", "status started something");
    ran
}

#[test]
fn the_first_reason_in_the_contracts_order_decides() {
    let max_age = 4 * 3600;
    let base = || fresh_state(100);
    let old = || fresh_state(max_age + 10);
    let cases: Vec<(&str, i32, Value)> = vec![
        ("fresh", 0, base()),
        ("old", 1, old()),
        ("partial", 1, change(base(), |state| fail(state, "partial", 50))),
        ("failed", 2, change(base(), |state| fail(state, "failed", 50))),
        ("failed and old", 2, change(old(), |state| fail(state, "failed", 50))),
        ("other configuration", 1, change(base(), |state| state["source_config"] = json!("00"))),
        ("future", 3, fresh_state(-60)),
        ("attempt in the future", 3, change(base(), |state| fail(state, "failed", -60))),
        ("never tried", 3, json!({"version": 1})),
        (
            "first attempt failed",
            2,
            change(json!({"version": 1, "sources": [{"id": "a"}]}), |state| fail(state, "failed", 50)),
        ),
        (
            "first attempt partial",
            1,
            change(json!({"version": 1, "sources": [{"id": "a"}]}), |state| fail(state, "partial", 50)),
        ),
        ("newer version", 3, change(base(), |state| state["version"] = json!(2))),
        (
            "newer version and failed",
            3,
            change(base(), |state| {
                fail(state, "failed", 50);
                state["version"] = json!(99);
            }),
        ),
        ("version of another kind", 3, change(base(), |state| state["version"] = json!("1"))),
        ("no version", 3, json!({})),
    ];
    for (name, code, state) in cases {
        let ran = status_of(&state, "--format json");
        let doc = ran.json();
        assert_eq!((ran.code, &*ran.stderr), (code, ""), "{name}: {doc}");
        assert_eq!(doc["cache_status"], ["fresh", "stale", "failed", "unknown"][code as usize], "{name}");
    }
}

fn change(mut state: Value, how: impl Fn(&mut Value)) -> Value {
    how(&mut state);
    state
}

#[test]
fn exactly_at_max_age_is_still_fresh_and_a_second_later_stale() {
    let world = World::new();
    // The clock goes on, so both sides are met only by trying.
    let (mut exactly, mut a_second_later) = (false, false);
    for _ in 0..20 {
        world.write_state(&fresh_state(1000));
        for max_age in 998..1004 {
            let doc = world.json(&format!("status --max-age {max_age}"));
            let age = doc["age_seconds"].as_i64().unwrap();
            assert!(age >= 1000, "{age}");
            assert_eq!(doc["exit_code"], i32::from(age > max_age), "age {age}, allowed {max_age}");
            exactly |= age == max_age;
            a_second_later |= age == max_age + 1;
        }
        if exactly && a_second_later {
            break;
        }
    }
    assert!(exactly && a_second_later, "{exactly} {a_second_later}");
    assert_eq!(world.run("status --max-age 0").code, 1);
}

/// Whatever fails at once, nobody starts more programs than that.
#[test]
fn the_hosts_of_no_more_than_twenty_failed_sources_are_looked_up() {
    let world = World::new();
    let mut state = fresh_state(100);
    let failed = |number| json!({"id": format!("http://x{number}.invalid stable"), "error": {"class": "network", "message": "m"}});
    state["sources"] = (0..23).map(failed).collect();
    world.write_state(&state);
    let getent = world.path("fakes/getent");
    std::fs::write(&getent, "#!/bin/sh\necho \"$2\" >>\"${0%/fakes/*}/asked\"\nexit 2\n").unwrap();
    std::fs::set_permissions(&getent, PermissionsExt::from_mode(0o755)).unwrap();
    let text = world.run("status --explain").stdout;
    assert_eq!(text.matches("! source: ").count(), 23, "{text}");
    assert_eq!(text.matches(".invalid does not resolve").count(), 20, "{text}");
    assert_eq!(world.read("asked").lines().count(), 20);
}

#[test]
fn what_is_no_state_is_unknown_and_left_alone() {
    let cases: [&[u8]; 7] =
        [b"", b"{", b"\xff\xfe\x00", b"null", b"{\"version\":1,\"sources\":5}", b"[]", b"{\"version\":-1}"];
    for bytes in cases {
        let world = World::new();
        world.write_state_bytes(bytes);
        let doc = world.json("status");
        assert_eq!(doc["exit_code"], 3, "{bytes:?}");
        assert!(doc["reason"].as_str().unwrap().contains("corrupt"), "{doc}");
        assert_eq!(std::fs::read(world.state_dir().join("state.json")).unwrap(), bytes);
        assert_eq!(world.state_files(), ["state.json"]);
    }
}

#[test]
fn a_state_that_is_missing_or_cannot_be_read_is_unknown() {
    let world = World::new();
    let doc = world.json("status");
    assert_eq!(doc["exit_code"], 3);
    assert!(doc["reason"].as_str().unwrap().contains("never refreshed"), "{doc}");
    assert!(!world.state_dir().exists(), "status made the state directory");
    std::fs::create_dir_all(world.state_dir().join("state.json")).unwrap();
    let doc = world.json("status");
    assert_eq!(doc["exit_code"], 3);
    assert!(doc["reason"].as_str().unwrap().contains("cannot be read"), "{doc}");
}

#[test]
fn a_state_that_is_closed_to_the_caller_is_unknown_and_an_open_one_needs_no_root() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    let dir = world.state_dir();
    let args = ["--state-dir", dir.to_str().unwrap(), "status", "--format", "json"];
    let status = || world.run_unprivileged(&args).json();
    assert_eq!(status()["exit_code"], 0);
    let file = world.state_dir().join("state.json");
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o000)).unwrap();
    let doc = status();
    assert_eq!(doc["exit_code"], 3, "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("cannot be read"), "{doc}");
}

#[test]
fn status_takes_no_lock_and_starts_nothing_even_while_an_apply_runs() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    let lock = hold_lock(&world, "apply");
    for args in ["status", "status --history", "status --format nagios", "status --format openmetrics"] {
        let ran = world.run(args);
        assert_eq!(ran.code, 0, "{args}");
        assert!(ran.took < Duration::from_secs(30), "{args} took {:?}", ran.took);
    }
    drop(lock);
    std::fs::remove_file(world.state_dir().join("lock")).unwrap();
    world.run("status --history");
    assert_eq!(world.state_files(), ["state.json"], "status wrote something");
    assert_eq!(world.read("calls"), "");
}

#[test]
fn an_apply_that_was_cut_off_is_told_with_the_command_that_repairs_it() {
    let mut state = fresh_state(100);
    state["apply"]["in_progress"] = cut_off("install");
    for other_boot in [false, true] {
        if other_boot {
            state["apply"]["in_progress"]["boot_id"] = json!("another");
        }
        let text = status_of(&state, "").stdout;
        assert!(text.contains("was interrupted in phase install"), "{text}");
        assert!(text.contains("linux-patch apply"), "{text}");
        assert!(text.contains("dpkg --force-confdef --force-confold --configure -a"), "{text}");
        assert_eq!(status_of(&state, "--format json").json()["apply_interrupted"], true);
        let nagios = status_of(&state, "--format nagios").stdout;
        assert!(nagios.contains("was interrupted in phase install"), "{nagios}");
    }
}

/// A failed apply of so many seconds ago.
fn failed_apply(state: &mut Value, seconds: i64) {
    state["apply"]["last"] = json!({"started_at": ago(seconds + 60), "finished_at": ago(seconds),
        "outcome": "failed", "error": {"class": "script", "message": "tb-a: post-installation script failed"},
        "log": "/var/log/linux-patch/a.log"});
}

#[test]
fn an_apply_that_failed_makes_a_fresh_index_no_healthy_machine_and_is_named_first() {
    let mut state = fresh_state(100);
    failed_apply(&mut state, 50);
    let doc = status_of(&state, "--format json").json();
    assert_eq!((&doc["exit_code"], &doc["cache_status"]), (&json!(1), &json!("fresh")), "{doc}");
    let words = "the last apply failed (script: tb-a: post-installation script failed), its output: \
                 /var/log/linux-patch/a.log";
    assert!(doc["reason"].as_str().unwrap().starts_with(words), "{doc}");
    assert_eq!(doc["apply"]["last"]["log"], "/var/log/linux-patch/a.log");
    let text = status_of(&state, "").stdout;
    assert!(text.starts_with(&format!("degraded: {words}; the index is fresh, refreshed")), "{text}");
    let nagios = status_of(&state, "--format nagios").stdout;
    assert!(nagios.starts_with(&format!("PATCH WARNING: {words}")), "{nagios}");
    let metrics = status_of(&state, "--format openmetrics").stdout;
    for line in ["exit_code 1", "last_apply_success 0", "cache_status{status=\"fresh\"} 1"] {
        assert!(metrics.contains(&format!("linux_patch_{line}\n")), "{metrics}");
    }
    // It is said before a stale index, but not before a failed one.
    let stale = status_of(&state, "--max-age 1s");
    assert_eq!(
        (stale.code, stale.stdout.starts_with("stale: the last apply failed")),
        (1, true),
        "{}",
        stale.stdout
    );
    fail(&mut state, "failed", 20);
    let failed = status_of(&state, "");
    assert_eq!(failed.code, 2);
    let (index, apply) = ("failed: the last refresh failed", "; the last apply failed");
    assert!(failed.stdout.starts_with(index) && failed.stdout.contains(apply), "{}", failed.stdout);
    // An apply that was cut off is no better than one that failed.
    let mut state = fresh_state(100);
    state["apply"]["in_progress"] = cut_off("install");
    let doc = status_of(&state, "--format json").json();
    assert_eq!((&doc["exit_code"], &doc["cache_status"]), (&json!(1), &json!("fresh")), "{doc}");
    assert!(doc["reason"].as_str().unwrap().starts_with("an apply was interrupted"), "{doc}");
}

#[test]
fn a_failed_apply_counts_as_mended_once_others_changed_packages_and_nothing_is_pending() {
    let code = |class: &str, failed_ago: i64, count: i64| {
        let mut state = fresh_state(10);
        failed_apply(&mut state, failed_ago);
        state["apply"]["last"]["error"]["class"] = json!(class);
        (state["pending"]["count"], state["pending"]["packages"]) = (json!(count), json!([]));
        status_of(&state, "").code
    };
    // It may change while this is looked at.
    let changed = || newest_change(crate::machine::apt().facts().package_databases).expect("dpkg's database");
    let found = (0..5).find_map(|_| {
        let before = changed();
        let age = Time::now().unix() - before;
        let found = [
            ("others have changed packages since", code("fetch", age + 100, 0)),
            ("something is pending still", code("fetch", age + 100, 1)),
            ("nobody has changed a package since", code("fetch", age / 2, 0)),
            ("a package may be broken still", code("script", age + 100, 0)),
        ];
        (changed() == before).then_some(found)
    });
    let found = found.expect("somebody changes packages all the time");
    assert_eq!(found.map(|(_, code)| code), [0, 1, 1, 1], "{found:?}");
}

#[test]
fn a_restart_that_another_boot_asked_for_is_done() {
    // It belongs to no manager, so no flag of this machine matters.
    let mut state = fresh_state(100);
    state["manager"] = Value::Null;
    state["reboot_required"] = json!(true);
    state["reboot_boot_id"] = json!("another");
    assert_eq!(status_of(&state, "--format json").json()["reboot_required"], false);
    state["reboot_boot_id"] = json!(boot_id());
    assert_eq!(status_of(&state, "--format json").json()["reboot_required"], true);
    assert!(status_of(&state, "").stdout.contains("reboot required"));
    state["reboot_required"] = json!(false);
    assert_eq!(status_of(&state, "--format json").json()["reboot_required"], false);
}

#[test]
fn a_count_from_before_packages_changed_is_marked_as_outdated() {
    let mut state = fresh_state(100);
    assert_eq!(status_of(&state, "--format json").json()["pending"]["outdated"], false);
    state["pending"]["database"] = json!("0000000000000000");
    let doc = status_of(&state, "--format json").json();
    assert_eq!((&doc["pending"]["outdated"], &doc["exit_code"]), (&json!(true), &json!(0)));
    let text = status_of(&state, "").stdout;
    assert!(text.lines().next().unwrap().contains("outdated"), "{text}");
}

#[test]
fn without_fingerprints_the_times_of_files_decide_to_the_second() {
    let manager = linux_patch::managers::MANAGERS
        .iter()
        .find(|manager| {
            [manager.facts().package_databases, manager.facts().source_config]
                .iter()
                .all(|of| newest_change(of).is_some())
        })
        .expect("this system has a package manager");
    let written = |files: &[&str]| newest_change(files).unwrap();
    let at = |seconds: i64| json!(Time::from_unix(seconds).unwrap().to_string());
    // Packages may be installed on this machine at this very moment: then the test looks again.
    let of_unchanged = |files: &[&str], look: &dyn Fn(i64)| {
        let looked = (0..20).any(|_| {
            let before = written(files);
            let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(before)));
            let is_unchanged = written(files) == before;
            assert!(seen.is_ok() || !is_unchanged, "see above");
            is_unchanged
        });
        assert!(looked, "packages change all the time");
    };
    for (later, outdated) in [(-1, true), (0, false), (1, false)] {
        of_unchanged(manager.facts().package_databases, &|written| {
            let state = change(fresh_state(0), |state| {
                state["manager"] = json!(manager.facts().name);
                state["pending"]["database"] = json!(null);
                state["pending"]["as_of"] = at(written + later);
            });
            let doc = status_of(&state, "--format json --max-age 9y").json();
            assert_eq!(doc["pending"]["outdated"], outdated, "{later}: {doc}");
        });
        of_unchanged(manager.facts().source_config, &|written| {
            let state = change(fresh_state(0), |state| {
                state["manager"] = json!(manager.facts().name);
                state["source_config"] = json!(null);
                state["last_attempt"]["started_at"] = at(written + later);
            });
            assert_eq!(status_of(&state, "--max-age 9y").code, i32::from(outdated), "{later}");
        });
    }
}

#[test]
fn status_with_refresh_refreshes_only_what_is_not_fresh() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    assert_eq!((world.run("status --refresh").code, world.count("update")), (0, 0));
    world.write_state(&fresh_state(100_000));
    let doc = world.json("status --refresh");
    assert_eq!((&doc["exit_code"], &doc["command"]), (&json!(0), &json!("status")));
    assert_eq!(world.count("update"), 1);
    world.on("update", "exit 100");
    world.write_state(&fresh_state(100_000));
    assert_eq!(world.json("status --refresh")["exit_code"], 2);
}

#[test]
fn an_apt_that_cannot_tell_what_no_source_offers_is_asked_once_until_something_changes() {
    for answer in ["echo 'N: Unable to locate package ?obsolete' >&2", "exit 100", "kill -9 $$"] {
        let world = World::new();
        world.on("apt-cache", &format!("case \"$*\" in *obsolete*) {answer} ;; esac"));
        let asked = || world.calls("apt-cache").iter().filter(|call| call.contains("?obsolete")).count();
        for _ in 0..3 {
            assert_eq!(world.run("refresh").code, 0, "{answer}");
            assert_eq!((asked(), &world.state()["not_offered"]), (1, &Value::Null), "{answer}");
        }
        let mut state = world.state();
        state["pending"]["basis"] = json!("of another index");
        world.write_state(&state);
        assert_eq!((world.run("refresh").code, asked()), (0, 2), "{answer}");
    }
}

#[test]
fn the_history_lists_the_last_runs_oldest_first() {
    let world = World::new();
    let lines: String = (0..30)
        .map(|number| {
            let entry = json!({"time": ago(1000 - number), "command": "refresh", "exit_code": 0, "class": null,
                "message": format!("run {number}"), "duration_ms": 1, "packages": 0});
            format!("{entry}\nnot json\n")
        })
        .collect();
    world.write_state(&fresh_state(100));
    std::fs::write(world.state_dir().join("history.jsonl"), lines).unwrap();
    let doc = world.json("status --history");
    let messages: Vec<_> = doc["history"].as_array().unwrap().iter().map(|entry| &entry["message"]).collect();
    assert_eq!((messages.len(), messages[0], messages[19]), (20, &json!("run 10"), &json!("run 29")));
    assert!(world.run("status --history").stdout.contains("run 29"));
    assert!(world.json("status").get("history").is_none());
}
