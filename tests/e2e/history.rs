//! `status --history`: what ran, and what it changed.

use serde_json::{Value, json};

use crate::bench;
use crate::deb::deb;
use crate::sandbox::Sandbox;

#[track_caller]
fn listed(sandbox: &Sandbox, history: &str) -> Vec<Value> {
    let report = sandbox.patch(&["status", history]);
    report.json["history"].as_array().unwrap_or_else(|| panic!("no history: {report}")).clone()
}

fn commands(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["command"].as_str().unwrap()).collect()
}

#[test]
fn what_changed_last_night_is_one_command_also_after_a_day_of_refreshes() {
    let (sandbox, repo) = bench::pending_update();
    sandbox.patch(&["apply", "--dry-run"]).exits(0);
    sandbox.patch(&["apply"]).exits(0);
    let log = sandbox.state().pointer("/apply/last/log").unwrap().as_str().unwrap().to_string();
    for _ in 0..22 {
        sandbox.patch(&["refresh"]).exits(0).says("/refreshed", true);
    }
    assert!(sandbox.exists(&log), "the refreshes have removed the log of the install");
    let entries = listed(&sandbox, "--history=apply");
    assert_eq!(commands(&entries), ["apply", "apply"]);
    assert_eq!((&entries[0]["dry_run"], &entries[0]["packages"]), (&json!(true), &json!(1)));
    assert!(entries[1].get("dry_run").is_none());
    assert_eq!(entries[1]["changes"], json!([{"name": "tb-hello", "from": "1.0", "to": "2.0"}]));
    let text = sandbox.run(&["linux-patch", "status", "--history=apply"]).stdout;
    assert!(text.contains("apply (dry run) exit 0") && text.contains("    tb-hello 1.0 -> 2.0\n"), "{text}");
    assert_eq!(commands(&listed(&sandbox, "--history")), ["refresh"; 20]);
    assert_eq!(commands(&listed(&sandbox, "--history=3")), ["refresh"; 3]);
    assert_eq!(listed(&sandbox, "--history=1000").len(), 24);
    assert_eq!(listed(&sandbox, "--history=refresh").len(), 20);
    // A run that changes nothing hides nothing.
    sandbox.patch(&["apply"]).exits(0);
    let status = sandbox.patch(&["status"]);
    status.says("/apply/last/packages", json!([])).says("/apply/last_change/packages/0/name", "tb-hello");
    let text = sandbox.run(&["linux-patch", "status"]).stdout;
    assert!(text.contains("\nlast change: ") && text.contains(" ago, 1 package changed"), "{text}");
    repo.publish(&[deb("tb-hello", "3.0")]);
    sandbox.patch(&["apply"]).exits(0);
    sandbox
        .patch(&["status"])
        .says("/apply/last/packages/0/to", "3.0")
        .says("/apply/last_change", Value::Null);
}

#[test]
fn a_run_that_was_killed_is_listed_once_the_next_one_has_found_it() {
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 60)]);
    let run = sandbox.start(sandbox.patch_command(&["apply"]));
    sandbox.wait_for_file(bench::IN_POSTINST);
    sandbox.kill_everything();
    run.wait();
    sandbox.write("/run/fast", "");
    assert_eq!(listed(&sandbox, "--history=apply"), [] as [Value; 0]);
    sandbox.patch(&["refresh"]);
    sandbox.patch(&["refresh"]);
    let entries = listed(&sandbox, "--history=apply");
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!((&entries[0]["exit_code"], &entries[0]["class"]), (&Value::Null, &json!("interrupted")));
    let message = entries[0]["message"].as_str().unwrap();
    assert!(message.contains("in phase install; it was installing tb-slow"), "{message}");
    let text = sandbox.run(&["linux-patch", "status", "--history"]).stdout;
    assert!(text.contains(" apply did not end: the apply of "), "{text}");
}

#[test]
fn a_refresh_says_whether_one_took_place() {
    let (sandbox, repo) = bench::pending_update();
    sandbox.patch(&["refresh"]).exits(0).says("/refreshed", true);
    sandbox.patch(&["refresh", "--if-stale"]).exits(0).says("/refreshed", false);
    repo.server.fault("Release", crate::server::Fault::Status(404));
    sandbox.patch(&["refresh"]).exits(2).says("/refreshed", false);
    repo.server.heal();
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 60)]);
    let run = sandbox.start(sandbox.patch_command(&["apply"]));
    sandbox.wait_for_file(bench::IN_POSTINST);
    sandbox
        .patch(&["refresh", "--timeout", "1s"])
        .exits(0)
        .says("/refreshed", false)
        .mentions("/reason", "holds the lock");
    sandbox.kill_everything();
    run.wait();
}

#[test]
fn a_history_that_is_asked_for_wrongly_is_refused_in_one_line() {
    let (sandbox, _repo) = bench::pending_update();
    for wrong in
        ["--history=0", "--history=-1", "--history=", "--history=status", "--history=99999999999999999999999"]
    {
        let ended = sandbox.run(&["linux-patch", "status", wrong]);
        assert!(ended.code == 3 && ended.stderr.lines().count() == 1, "{ended:?}");
        assert!(ended.stderr.contains("--history=apply"), "{ended:?}");
    }
}
