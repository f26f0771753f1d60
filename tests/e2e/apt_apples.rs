//! One update that cannot be installed, or a source that is down: what happens to the others.

use serde_json::Value;

use crate::bench;
use crate::deb::{Deb, deb};
use crate::repo::{Claims, Repo};
use crate::report::Report;
use crate::sandbox::Sandbox;
use crate::server::Fault;
use crate::vault::Signer;

fn two(version: &str) -> [Deb; 2] {
    [deb("tb-hello", version), deb("tb-world", version)]
}

/// What the apply and the state say is held back, as `"tb-hello 2.0 auth"`.
#[track_caller]
fn held_back_for(report: &Report, expected: &[&str]) {
    for list in [&report.json["held_back"], &report.state["pending"]["held_back"]] {
        let row = |held: &Value| {
            ["name", "candidate", "class"].map(|key| held[key].as_str().unwrap_or("-")).join(" ")
        };
        let mut found: Vec<_> = list.as_array().into_iter().flatten().map(row).collect();
        found.sort();
        assert_eq!(found, expected, "{report}");
    }
}

/// An apply that held these back for a reason to look at, and installed those.
#[track_caller]
fn leaves_out(sandbox: &Sandbox, held: &[&str], changes: &[&str]) {
    let report = sandbox.patch(&["apply"]);
    report.exits(1).says("/error", Value::Null).says("/retried", false).changed(changes);
    held_back_for(&report, held);
}

#[test]
fn a_downgrade_by_pin_is_held_back_and_the_others_are_installed() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-hello", "2.0"), deb("tb-lib", "3.0"), deb("tb-world", "1.0")],
        &[deb("tb-hello", "1.0"), deb("tb-lib", "1.0"), deb("tb-world", "2.0")],
    );
    let pin = |packages: &str| {
        let text = format!("Package: {packages}\nPin: release o=Debian\nPin-Priority: 1001\n");
        sandbox.write("/etc/apt/preferences.d/pin", text);
    };
    pin("tb-hello");
    sandbox
        .patch(&["refresh"])
        .exits(0)
        .leaves_pending(&["tb-world 1.0 2.0"])
        .holds_back(&["tb-hello 2.0 1.0 a pin makes it a downgrade"])
        .remembers("/pending/held_back/0/class", "dependency");
    let report = sandbox.patch(&["apply"]);
    report.applied(&["tb-world 1.0 2.0"]);
    held_back_for(&report, &["tb-hello 1.0 dependency"]);
    sandbox.has_exactly(&["tb-hello 2.0", "tb-lib 3.0", "tb-world 2.0"]);
    // All of one source.
    pin("*");
    let report = sandbox.patch(&["apply"]);
    report.applied(&[]);
    held_back_for(&report, &["tb-hello 1.0 dependency", "tb-lib 1.0 dependency"]);
    // The administrator wants it so.
    sandbox.write("/etc/apt/apt.conf.d/allow", "APT::Get::allow-downgrades \"true\";\n");
    sandbox.patch(&["apply", "--exclude", "tb-lib"]).applied(&["tb-hello 2.0 1.0"]).holds_back(&[]);
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-lib 3.0 1.0"]);
    sandbox.patch(&["apply"]).applied(&["tb-lib 3.0 1.0"]);
}

/// It is the highest of no source, but no other one may have it.
#[test]
fn a_downgrade_of_a_source_that_is_down_keeps_no_update_of_another_one_back() {
    let (sandbox, good) =
        bench::one(&[deb("tb-hello", "2.0"), deb("tb-world", "1.0")], &[deb("tb-world", "2.0")]);
    let old = Repo::claiming(|claims| claims.origin = "Old".into(), &[deb("tb-hello", "1.0")]);
    sandbox.add_source("old", &old);
    sandbox.write("/etc/apt/preferences.d/pin", "Package: *\nPin: release o=Old\nPin-Priority: 1001\n");
    sandbox.write("/etc/apt/apt.conf.d/allow", "APT::Get::allow-downgrades \"true\";\n");
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 2.0 1.0", "tb-world 1.0 2.0"]);
    old.server.fault("/", Fault::Status(503));
    let applied = sandbox.patch(&["apply"]);
    applied.exits(1).changed(&["tb-world 1.0 2.0"]).says("/retried", false);
    old.server.heal();
    let from = |repo: &Repo| sandbox.patch(&["apply", "--from", &format!("{}*", repo.url())]);
    from(&good).exits(0).changed(&[]);
    from(&old).exits(0).changed(&["tb-hello 2.0 1.0"]);
}

#[test]
fn a_held_package_stays_held_where_holds_are_ignored() {
    let (sandbox, _repo) = bench::one(&two("1.0"), &two("2.0"));
    sandbox.sh("apt-mark hold tb-hello");
    sandbox.write("/etc/apt/apt.conf.d/ignore", "APT::Ignore-Hold \"true\";\n");
    sandbox.patch(&["apply"]).applied(&["tb-world 1.0 2.0"]).holds_back(&["tb-hello 1.0 2.0 held"]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 2.0"]);
}

/// tb-hello has an update in a second source, which is configured with these options.
#[track_caller]
fn doubtful(options: &str, change: impl FnOnce(&mut Claims)) -> (Sandbox, [Repo; 2]) {
    let (sandbox, good) = bench::one(&two("1.0"), &[deb("tb-world", "2.0")]);
    let doubtful = Repo::claiming(change, &[deb("tb-hello", "2.0")]);
    let line =
        format!("deb [{options} signed-by=/etc/apt/keyrings/test.gpg] {} stable main\n", doubtful.url());
    sandbox.write("/etc/apt/sources.list.d/doubtful.list", line);
    (sandbox, [good, doubtful])
}

#[test]
fn an_update_of_a_source_that_is_not_trusted_holds_up_no_other() {
    for (options, change) in [
        ("trusted=no", (|_| ()) as fn(&mut Claims)),
        ("allow-insecure=yes", |claims| claims.signer = Signer::Nobody),
        ("allow-weak=yes", |claims| claims.has_md5_only = true),
    ] {
        let (sandbox, _repos) = doubtful(options, change);
        sandbox.patch(&["refresh"]).exits(0);
        leaves_out(&sandbox, &["tb-hello 2.0 auth"], &["tb-world 1.0 2.0"]);
        sandbox.has_exactly(&["tb-hello 1.0", "tb-world 2.0"]);
        // It stays held back, with its reason, until it can be had.
        sandbox.patch(&["refresh"]).exits(0).leaves_pending(&[]);
        leaves_out(&sandbox, &["tb-hello 2.0 auth"], &[]);
        sandbox.write("/etc/apt/apt.conf.d/allow", "APT::Get::AllowUnauthenticated \"true\";\n");
        sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
    }
}

#[test]
fn what_needs_an_update_that_cannot_be_authenticated_stays_with_it() {
    let (sandbox, _good) = bench::one(
        &[deb("tb-hello", "1.0"), deb("tb-lib", "1.0"), deb("tb-world", "1.0")],
        &[deb("tb-hello", "2.0").field("Depends", "tb-lib (>= 2.0)"), deb("tb-world", "2.0")],
    );
    let unsigned = Repo::claiming(|claims| claims.signer = Signer::Nobody, &[deb("tb-lib", "2.0")]);
    let line = format!("deb [allow-insecure=yes] {} stable main\n", unsigned.url());
    sandbox.write("/etc/apt/sources.list.d/unsigned.list", line);
    sandbox.patch(&["apply"]).exits(1).changed(&["tb-world 1.0 2.0"]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-lib 1.0", "tb-world 2.0"]);
    sandbox.patch(&["apply", "tb-hello"]).apply_failed("dependency").says("/retried", false);
}

#[test]
fn an_update_of_which_only_a_weak_hash_is_known_holds_up_no_other() {
    let (sandbox, repo) = bench::one(&two("1.0"), &[]);
    repo.publish_claiming(|claims| claims.with_md5_only = vec!["tb-hello".into()], &two("2.0"));
    leaves_out(&sandbox, &["tb-hello 2.0 auth"], &["tb-world 1.0 2.0"]);
    assert_eq!(repo.refreshes(), 1);
    // The index is mended.
    repo.publish_claiming(|claims| claims.with_md5_only.clear(), &two("2.0"));
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
}

#[test]
fn two_updates_that_cannot_be_had_for_two_reasons_hold_up_no_other() {
    let (sandbox, repos) = doubtful("trusted=no", |_| ());
    sandbox.install(&[deb("tb-pin", "2.0"), deb("tb-weak", "1.0")]);
    repos[0].publish_claiming(
        |claims| claims.with_md5_only = vec!["tb-weak".into()],
        &[deb("tb-pin", "1.0"), deb("tb-weak", "2.0"), deb("tb-world", "2.0")],
    );
    sandbox.write("/etc/apt/preferences", "Package: tb-pin\nPin: version 1.0\nPin-Priority: 1001\n");
    let held = ["tb-hello 2.0 auth", "tb-pin 1.0 dependency", "tb-weak 2.0 auth"];
    leaves_out(&sandbox, &held, &["tb-world 1.0 2.0"]);
    assert!(!sandbox.exists("/var/lib/linux-patch/selection"));
}

/// tb-hello 2.0 is in a security archive, 3.0 in another source, which was refreshed once and is down.
#[track_caller]
fn with_a_dead_source() -> (Sandbox, [Repo; 2]) {
    let sandbox = Sandbox::new();
    sandbox.install(&two("1.0"));
    let security =
        Repo::claiming(|claims| claims.suite = "stable-security".into(), &[deb("tb-hello", "2.0")]);
    let third = |claims: &mut Claims| (claims.origin, claims.label) = ("Third".into(), "Third".into());
    let dead = Repo::claiming(third, &two("3.0"));
    sandbox.add_source("security", &security);
    sandbox.add_source("dead", &dead);
    sandbox.patch(&["refresh"]).exits(0).remembers("/pending/security", 1);
    dead.server.fault("/", Fault::Status(503));
    (sandbox, [security, dead])
}

#[test]
fn a_source_that_is_down_hides_no_update_of_another() {
    for args in [&["apply"][..], &["apply", "--security"], &["apply", "tb-hello"], &["apply", "--full"]] {
        let (sandbox, _repos) = with_a_dead_source();
        sandbox.patch(&[args, &["--dry-run"]].concat()).exits(1).changed(&["tb-hello 1.0 2.0"]);
        sandbox.patch(args).exits(1).changed(&["tb-hello 1.0 2.0"]);
        sandbox.has_exactly(&["tb-hello 2.0", "tb-world 1.0"]);
    }
}

#[test]
fn a_dead_list_of_mirrors_hides_no_update_of_another_source() {
    let (sandbox, repos) = with_a_dead_source();
    sandbox.write("/etc/apt/mirrors.txt", format!("{}\n", repos[1].url()));
    let line = "deb [signed-by=/etc/apt/keyrings/test.gpg] mirror+file:/etc/apt/mirrors.txt stable main\n";
    sandbox.write("/etc/apt/sources.list.d/dead.list", line);
    repos[1].server.heal();
    sandbox.patch(&["refresh"]).exits(0).remembers("/pending/security", 1);
    repos[1].server.fault("/", Fault::Status(503));
    sandbox.patch(&["apply", "--security"]).exits(1).changed(&["tb-hello 1.0 2.0"]);
    sandbox.has_exactly(&["tb-hello 2.0", "tb-world 1.0"]);
}

#[test]
fn the_administrators_pins_hold_for_what_a_source_that_is_down_leaves() {
    // The packages that the dead source decides about stay as they are.
    let (sandbox, _repos) = with_a_dead_source();
    let dead = "Package: *\nPin: release o=Third\nPin-Priority: 990\n";
    sandbox.write("/etc/apt/preferences", dead);
    sandbox.patch(&["apply"]).exits(1).changed(&[]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
    // A version that nobody is to have is not installed now either.
    sandbox.write("/etc/apt/preferences", "Package: tb-hello\nPin: version 2.0\nPin-Priority: -1\n");
    sandbox.patch(&["apply"]).exits(1).changed(&[]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
}

#[test]
fn a_version_that_a_source_which_is_down_shares_with_another_is_installed() {
    let (sandbox, repos) = with_a_dead_source();
    repos[0].publish(&[deb("tb-hello", "3.0"), deb("tb-world", "2.0")]);
    sandbox.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0 3.0", "tb-world 1.0 2.0"]);
}
