//! What a monitoring system can ask of a status beside the verdict on the index.

use crate::machine::{ago, fresh_state};
use crate::world::World;
use serde_json::{Value, json};

/// A fresh index of so many seconds, changed in some way.
fn world_with(age: i64, change: impl Fn(&mut Value)) -> World {
    let world = World::new();
    let mut state = fresh_state(age);
    change(&mut state);
    world.write_state(&state);
    world
}

fn failed_apply(state: &mut Value) {
    state["apply"]["last"] = json!({
        "started_at": ago(90), "finished_at": ago(60), "outcome": "failed", "retried": true, "packages": [],
        "error": {"class": "fetch", "message": "404 | Not Found"}});
}

#[test]
fn ages_have_a_threshold_for_warning_and_one_for_critical() {
    let world = world_with(7200, |_| {});
    for (args, code) in [
        ("", 0),
        ("-w 1h", 1),
        ("--warning 3h", 0),
        ("-c 1h", 2),
        ("-w 3h -c 4h", 0),
        ("-w 1h -c 4h", 1),
        ("-w 1h -c 90m", 2),
        ("-w 3600 -c 100000", 1),
    ] {
        let ran = world.run(&format!("status --format nagios {args}"));
        assert_eq!(ran.code, code, "{args}: {}", ran.stdout);
        let words = ["OK", "WARNING", "CRITICAL"][code as usize];
        assert!(ran.stdout.starts_with(&format!("PATCH {words}: ")), "{args}: {}", ran.stdout);
    }
    let line = world.run("status --format nagios -w 3h -c 4h").stdout;
    assert!(line.contains("age=720") && line.contains("s;10800;14400;0"), "{line}");
    assert_eq!(world.run("status -w 3h --max-age 4h").code, 3);
    assert_eq!(world.run("status -c soon").code, 3);
    assert_eq!(world.run("refresh -w 3h").code, 3);
}

#[test]
fn each_alert_changes_the_exit_code_by_its_level_and_says_why() {
    let reboot = |state: &mut Value| state["reboot_required"] = json!(true);
    let nothing = |state: &mut Value| {
        state["pending"]["count"] = json!(0);
        state["pending"]["security"] = json!(0);
        state["pending"]["packages"] = json!([]);
    };
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [(&str, Change, &str); 5] = [
        ("updates", &|_| {}, "1 update pending"),
        ("security", &|_| {}, "1 security update pending"),
        ("reboot", &reboot, "restart required"),
        ("apply", &failed_apply, "the last apply failed (fetch: 404"),
        (
            "apply",
            &|state| {
                state["apply"]["in_progress"] =
                    json!({"pid": 1, "boot_id": "another", "started_at": ago(60), "phase": "install"})
            },
            "an apply was interrupted",
        ),
    ];
    for (what, change, words) in cases {
        let world = world_with(10, change);
        assert_eq!(world.run("status").code, 0, "{what} without being asked");
        for (level, code) in [("", 1), ("=warning", 1), ("=critical", 2)] {
            let doc = world.json(&format!("status --alert {what}{level}"));
            assert_eq!(doc["exit_code"], code, "{what}{level}: {doc}");
            assert_eq!(doc["cache_status"], "fresh", "{what}{level}: {doc}");
            assert!(doc["alerts"][0].as_str().unwrap().contains(words), "{what}{level}: {doc}");
            let line = world.run(&format!("status --format nagios --alert {what}{level}")).stdout;
            let word = ["OK", "WARNING", "CRITICAL"][code as usize];
            assert!(line.starts_with(&format!("PATCH {word}: {words}")), "{line}");
            assert_eq!(line.matches('|').count(), 1, "{line}");
            let text = world.run(&format!("status --alert {what}{level}")).stdout;
            let first = text.lines().next().unwrap();
            assert!(first.starts_with("fresh: ") && first.contains(&format!("; alert: {words}")), "{text}");
        }
        // Where there is nothing to tell, nothing is told.
        let calm = world_with(10, nothing);
        assert_eq!(calm.json(&format!("status --alert {what}=critical"))["exit_code"], 0, "{what}");
    }
    let world = world_with(10, |state| {
        failed_apply(state);
        reboot(state);
    });
    let all = "status --alert reboot --alert apply=critical --alert security";
    let doc = world.json(all);
    assert_eq!((&doc["exit_code"], doc["alerts"].as_array().unwrap().len()), (&json!(2), 3), "{doc}");
}

#[test]
fn what_is_not_known_is_never_taken_for_none() {
    let world = world_with(10, |state| state["pending"]["security"] = Value::Null);
    assert_eq!(world.run("status --alert security").code, 3);
    assert_eq!(world.run("status --alert updates").code, 1);
    let world = world_with(10, |state| state["pending"] = Value::Null);
    assert_eq!(world.run("status --alert updates").code, 3);
    // A failed refresh stays critical, and a state that cannot be read unknown.
    let world = World::new();
    assert_eq!(world.run("status --alert security=critical").code, 3);
}

#[test]
fn alerts_that_are_none_are_refused() {
    let world = world_with(10, |_| {});
    for args in ["--alert", "--alert disk", "--alert security=red", "--alert=", "--alert reboot=critical,x"] {
        let ran = world.run(&format!("status {args}"));
        assert_eq!((ran.code, ran.stderr.lines().count()), (3, 1), "{args}: {}", ran.stderr);
    }
    assert_eq!(world.run("apply --alert security").code, 3);
}

#[test]
fn a_result_in_a_file_is_whole_and_readable_and_leaves_nothing_else() {
    let world = world_with(10, |_| {});
    std::fs::create_dir(world.path("out")).unwrap();
    let file = world.path("out/linux-patch.prom");
    std::fs::write(&file, "old").unwrap();
    let ran = world.run(&format!("status --format openmetrics --output {}", file.display()));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert_eq!(world.read("out/linux-patch.prom"), world.run("status --format openmetrics").stdout);
    let mut command = world.command("status --format json --output result.json --max-age 5");
    command.current_dir(world.path("out"));
    assert_eq!(crate::world::Ran::of(command).code, 1, "the exit code is that of the status");
    let doc: Value = serde_json::from_str(&world.read("out/result.json")).unwrap();
    assert_eq!(doc["exit_code"], 1);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read_dir(world.path("out")).unwrap().count(), 2);
    let directory = world.path("out");
    for wrong in ["/nonexistent/x.prom", "/", directory.to_str().unwrap()] {
        let ran = world.run(&format!("status --output {wrong}"));
        assert_eq!((ran.code, ran.stderr.lines().count()), (3, 1), "{wrong}: {}", ran.stderr);
    }
}
