//! `status` after applies that failed: the failure comes first, until it is mended.

use serde_json::Value;

use crate::bench;
use crate::deb::{Deb, deb};
use crate::repo::Repo;
use crate::sandbox::Sandbox;
use crate::server::Fault;

/// An update whose script fails, with these words, as long as /run/fixed is missing.
fn broken(words: &str) -> Deb {
    deb("tb-broken", "2.0").script("postinst", &format!("if [ ! -e /run/fixed ]; then {words}; exit 1; fi"))
}

/// A root in which an apply has failed in the script of tb-broken.
#[track_caller]
fn failed_in_script(words: &str) -> (Sandbox, Repo) {
    let (sandbox, repo) = bench::one(
        &[deb("tb-broken", "1.0"), deb("tb-hello", "1.0")],
        &[
            broken(words),
            deb("tb-hello", "2.0").script("postinst", "echo an error of another; echo warning: x >&2"),
        ],
    );
    sandbox.patch(&["apply"]).apply_failed("script");
    (sandbox, repo)
}

#[track_caller]
fn is_told(sandbox: &Sandbox, class: &str) {
    let start = format!("the last apply failed ({class}: ");
    let report = sandbox.patch(&["status"]);
    report.exits(1).says("/status", "degraded").says("/cache_status", "fresh").says("/exit_code", 1);
    assert!(report.json["reason"].as_str().unwrap().starts_with(&start), "{report}");
    let log = report.json.pointer("/apply/last/log").and_then(Value::as_str).unwrap().to_string();
    report.mentions("/reason", &log);
    assert!(sandbox.exists(&log), "{report}");
    let text = sandbox.run(&["linux-patch", "status"]);
    let first = text.stdout.lines().next().unwrap_or_default();
    assert!(
        text.code == 1 && first.starts_with(&format!("degraded: {start}")) && first.contains(&log),
        "{text:?}"
    );
    let nagios = sandbox.run(&["linux-patch", "status", "--format", "nagios"]);
    assert!(nagios.code == 1 && nagios.stdout.starts_with(&format!("PATCH WARNING: {start}")), "{nagios:?}");
}

#[track_caller]
fn is_mended(sandbox: &Sandbox) {
    let report = sandbox.patch(&["status"]);
    report.exits(0).says("/status", "healthy");
    assert!(!report.json["reason"].as_str().unwrap().contains("apply"), "{report}");
    let metrics = sandbox.run(&["linux-patch", "status", "--format", "openmetrics"]).stdout;
    assert!(metrics.contains("linux_patch_last_apply_success 1"), "{metrics}");
}

#[test]
fn a_failed_script_stands_first_with_its_own_words_and_the_log() {
    let (sandbox, _repo) = failed_in_script("echo 'tb-broken: the database is gone' >&2; echo bye");
    is_told(&sandbox, "script");
    sandbox.patch(&["status"]).mentions("/reason", "\"tb-broken: the database is gone\"");
    // Nothing is pending any more, but that does not mend it.
    sandbox.patch(&["refresh"]).exits(0).says("/pending/count", 0);
    is_told(&sandbox, "script");
    // Nor does a failed repair, which gives its reason.
    let again = sandbox.patch(&["apply"]);
    again
        .apply_failed("script")
        .mentions("/error/message", "not completely installed: tb-broken (once its script succeeds: ")
        .mentions("/error/message", "dpkg --configure tb-broken); the repair failed");
    again.mentions("/error/message", "\"tb-broken: the database is gone\"");
    is_told(&sandbox, "script");
}

#[test]
fn the_words_of_a_script_are_its_own_wherever_it_prints_them() {
    for (words, quoted) in [
        ("echo 'tb-broken: says no'", "exit status 1: \"tb-broken: says no\""),
        ("cat /nowhere/at/all", "\"cat: /nowhere/at/all: No such file or directory\""),
        ("echo 'Job for x.service failed.'; echo 'See journalctl -xe'", "\"Job for x.service failed.\""),
        ("true", "exit status 1"),
    ] {
        let (sandbox, _repo) = failed_in_script(words);
        let report = sandbox.patch(&["status"]);
        report.mentions("/reason", quoted);
        let wrong = ["another", "warning: x"]
            .iter()
            .any(|other| report.json["reason"].as_str().unwrap().contains(other));
        assert!(!wrong || words == "true", "{report}");
    }
}

#[test]
fn a_failed_apply_stays_one_after_a_download_and_a_dry_run() {
    let (sandbox, repo) = failed_in_script("echo no");
    sandbox.patch(&["apply", "--download-only"]);
    is_told(&sandbox, "script");
    repo.publish(&[broken("echo no"), deb("tb-hello", "3.0")]);
    sandbox.patch(&["apply", "--dry-run"]);
    is_told(&sandbox, "script");
    sandbox.patch(&["apply", "--download-only"]);
    is_told(&sandbox, "script");
    repo.server.fault("/pool/", Fault::Status(404));
    sandbox.patch(&["apply", "--download-only"]);
    is_told(&sandbox, "script");
    repo.server.heal();
    sandbox.write("/run/fixed", "");
    sandbox.patch(&["apply"]).exits(0);
    is_mended(&sandbox);
}

#[test]
fn a_download_that_succeeds_does_not_hide_one_that_failed() {
    let (sandbox, repo) = bench::pending_update();
    repo.server.fault("/pool/", Fault::Status(404));
    sandbox.patch(&["apply"]).apply_failed("fetch");
    repo.server.heal();
    sandbox.patch(&["apply", "--download-only"]).exits(0);
    is_told(&sandbox, "fetch");
    sandbox.patch(&["apply"]).exits(0);
    is_mended(&sandbox);
}

#[test]
fn who_upgrades_by_hand_has_mended_a_failed_download_for_good() {
    let (sandbox, repo) = bench::pending_update();
    repo.server.fault("/pool/", Fault::Status(404));
    sandbox.patch(&["apply"]).apply_failed("fetch");
    is_told(&sandbox, "fetch");
    repo.server.heal();
    bench::tick();
    sandbox.sh("apt-get -q -y upgrade");
    sandbox.patch(&["refresh"]).exits(0).says("/pending/count", 0);
    is_mended(&sandbox);
    // What comes later is another update.
    repo.publish(&[deb("tb-hello", "3.0")]);
    sandbox.patch(&["refresh"]).exits(0).says("/pending/count", 1);
    is_mended(&sandbox);
}

#[test]
fn who_configures_by_hand_has_mended_a_failed_script() {
    let (sandbox, _repo) = failed_in_script("echo no");
    bench::tick();
    // Something was changed, but not the package that failed.
    sandbox.sh("dpkg --purge tb-hello");
    sandbox.patch(&["refresh"]).exits(0).says("/pending/count", 0);
    is_told(&sandbox, "script");
    sandbox.write("/run/fixed", "");
    sandbox.sh("dpkg --configure -a");
    is_told(&sandbox, "script");
    sandbox.patch(&["refresh"]).exits(0).says("/pending/count", 0);
    is_mended(&sandbox);
}
