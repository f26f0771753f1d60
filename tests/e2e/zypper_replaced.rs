//! Packages that replace others, and fixes that come in this way or not at all, with the real zypper.

use serde_json::Value;

use crate::report::Report;
use crate::rpm::{self, RpmRepo, rpm};
use crate::server::Fault;
use crate::zypper::{Zypper, one};

fn contested() -> (Zypper, RpmRepo) {
    let (old, new) = rpm::contested();
    one(&old, &new)
}

#[test]
fn an_excluded_package_is_neither_updated_nor_replaced_and_the_others_come() {
    let (root, _repo) = contested();
    let applied = root.patch(&["apply", "--exclude", "tb-a"]);
    applied.applied(&["tb-b 1.0-1 2.0-1", "tb-c 1.0-1 2.0-1"]);
    assert!(applied.stderr.contains("would replace tb-a, which is excluded: tb-new"), "{applied}");
    root.has_exactly(&["tb-a 1.0", "tb-b 2.0", "tb-c 2.0"]);
    assert!(
        applied.state["pending"]["packages"].to_string().contains("\"replaces\":[\"tb-a\"]"),
        "{applied}"
    );
    // With a pattern, with --full, and where there is nothing else.
    for args in [&["--exclude", "tb-[a]*"][..], &["--exclude", "tb-a", "--full"], &["--exclude", "tb-*"]] {
        root.patch(&[&["apply"], args].concat()).applied(&[]);
    }
    root.has_exactly(&["tb-a 1.0", "tb-b 2.0", "tb-c 2.0"]);
}

#[test]
fn what_is_not_named_is_not_replaced_either() {
    let (root, _repo) = contested();
    root.patch(&["apply", "tb-b"]).applied(&["tb-b 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-a 1.0", "tb-b 2.0", "tb-c 1.0"]);
    // By the name of the installed package, with the one that replaces it.
    root.patch(&["apply", "--dry-run", "tb-a"]).exits(0).changed(&["tb-a 1.0-1 -", "tb-new - 2.0-1"]);
    root.patch(&["apply", "tb-a"]).applied(&["tb-a 1.0-1 -", "tb-new - 2.0-1"]);
    root.patch(&["apply"]).applied(&["tb-c 1.0-1 2.0-1"]);
}

#[test]
fn what_an_excluded_package_would_replace_is_updated() {
    let vendor = rpm("tb-vendor", "5.0").tag("Obsoletes: tb-server");
    let (root, _repo) = one(&[rpm("tb-server", "1.0")], &[rpm("tb-server", "2.0"), vendor]);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-vendor - 5.0-1"]);
    // A choice of others is none of it.
    root.patch(&["apply", "--exclude", "tb-vendor", "--min-age", "1d"]).applied(&[]);
    // Nor is a repository that is down, and has nothing to say about it.
    let down = RpmRepo::new(&[rpm("tb-far", "1.0")]);
    root.add_repo("down", &down);
    root.patch(&["refresh"]).exits(0);
    down.server.fault("/", Fault::Status(503));
    root.patch(&["apply", "--exclude", "tb-vendor"]).exits(1).changed(&["tb-server 1.0-1 2.0-1"]);
}

#[test]
fn an_update_that_makes_another_package_obsolete_is_told_with_it() {
    let old = ["tb-a", "tb-b", "tb-c", "tb-d", "tb-e"].map(|name| rpm(name, "1.0"));
    let new = [
        rpm("tb-b", "2.0").tag("Obsoletes: tb-a, tb-none").tag("Requires: tb-data"),
        rpm("tb-data", "1.0"),
        // Only older versions than the installed one.
        rpm("tb-c", "2.0").tag("Obsoletes: tb-a < 0.5"),
        rpm("tb-d", "2.0"),
        rpm("tb-all", "1.0").tag("Obsoletes: tb-d = 1.0").tag("Obsoletes: tb-e <= 1.0-1"),
    ];
    let (root, _repo) = one(&old, &new);
    let refreshed = root.patch(&["refresh"]);
    let replaced: Vec<_> = updates(&refreshed)
        .map(|update| format!("{} {}", update["name"].as_str().unwrap(), update["replaces"]))
        .collect();
    let expected = ["tb-b [\"tb-a\"]", "tb-c null", "tb-all [\"tb-d\",\"tb-e\"]", "tb-data null"];
    for line in expected {
        assert!(replaced.contains(&line.to_string()), "{line}: {replaced:?} {refreshed}");
    }
    root.patch(&["apply", "--exclude", "tb-e"]).exits(0);
    let left = root.sandbox().sh("rpm -q --qf '%{NAME} %{VERSION}\\n' tb-e tb-c tb-b");
    assert_eq!(left, "tb-e 1.0\ntb-c 2.0\ntb-b 2.0\n");
    root.patch(&["apply", "tb-e"]).exits(0);
    root.sandbox().sh("rpm -q tb-all");
}

/// The updates that are pending.
fn updates(report: &Report) -> impl Iterator<Item = &Value> {
    report.state["pending"]["packages"].as_array().into_iter().flatten()
}

/// Those, with what is told of each.
fn security(report: &Report) -> Vec<String> {
    let mut told: Vec<_> = updates(report)
        .map(|update| format!("{} {}", update["name"].as_str().unwrap(), update["security"]))
        .collect();
    told.sort();
    told
}

#[test]
fn a_fix_that_comes_in_the_place_of_an_installed_package_is_a_security_update() {
    let old = ["tb-name", "tb-split", "tb-other", "tb-plain", "tb-known"].map(|name| rpm(name, "1.0"));
    let (root, repo) = one(&old, &[]);
    repo.publish_with_advisories(
        &[
            ("TB-1", "security", "tb-renamed", "2.0"),
            ("TB-2", "security", "tb-split-lib", "2.0"),
            // By the name that is installed.
            ("TB-3", "security", "tb-known", "2.0"),
            ("TB-4", "security", "tb-other-new", "3.0"),
            ("TB-5", "recommended", "tb-other-new", "2.0"),
        ],
        &[
            rpm("tb-renamed", "2.0").tag("Obsoletes: tb-name < 2").tag("Requires: tb-data"),
            rpm("tb-data", "2.0"),
            // One package becomes two.
            rpm("tb-split", "2.0").tag("Requires: tb-split-lib"),
            rpm("tb-split-lib", "2.0").tag("Obsoletes: tb-split < 2"),
            rpm("tb-other-new", "2.0").tag("Obsoletes: tb-other < 2"),
            rpm("tb-known-new", "2.0").tag("Obsoletes: tb-known < 2"),
            rpm("tb-plain", "2.0"),
        ],
    );
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).remembers("/pending/security", 3);
    let told = security(&refreshed);
    for line in
        ["tb-known-new true", "tb-other-new false", "tb-plain false", "tb-renamed true", "tb-split-lib true"]
    {
        assert!(told.contains(&line.to_string()), "{line}: {told:?} {refreshed}");
    }
    root.patch(&["apply", "--security"]).exits(0);
    let left = root.sandbox().sh("rpm -qa --qf '%{NAME} %{VERSION}\\n' 'tb-*' | sort");
    for line in [
        "tb-known-new 2.0",
        "tb-other 1.0",
        "tb-plain 1.0",
        "tb-renamed 2.0",
        "tb-data 2.0",
        "tb-split-lib 2.0",
    ] {
        assert!(left.lines().any(|row| row == line), "{line}: {left}");
    }
    root.patch(&["apply", "--security"]).applied(&[]).remembers("/pending/security", 0);
}

#[test]
fn what_is_locked_is_no_security_update_only_where_patches_tell() {
    let (root, repo) = one(&["tb-a", "tb-b"].map(|name| rpm(name, "1.0")), &[rpm("tb-a", "2.0")]);
    root.sandbox().sh("zypper -n addlock tb-a");
    root.patch(&["refresh"]).exits(0).leaves_pending(&[]);
    root.patch(&["status", "--alert", "security"]).exits(3);
    repo.publish_with_advisories(
        &[("TB-1", "security", "tb-b", "1.0")],
        &[rpm("tb-a", "2.0"), rpm("tb-b", "1.0")],
    );
    root.patch(&["refresh"]).exits(0);
    root.patch(&["status", "--alert", "security"]).exits(0).says("/pending/held_back/0/security", false);
}

#[test]
fn an_obsoleter_of_older_versions_does_not_hide_a_fix() {
    let (root, repo) = one(&[rpm("tb-a", "1.0")], &[]);
    let new = [rpm("tb-new", "5.0").tag("Obsoletes: tb-a < 0.5"), rpm("tb-a", "2.0")];
    repo.publish_with_advisories(&[("TB-1", "security", "tb-a", "2.0")], &new);
    root.patch(&["refresh"]).exits(0).remembers("/pending/security", 1);
    root.patch(&["apply", "--security"]).applied(&["tb-a 1.0-1 2.0-1"]);
}

/// Packages of a patch that are not installed are no missing fixes.
#[test]
fn a_fix_that_cannot_be_had_here_is_said_also_where_nothing_is_pending() {
    let (root, repo) = one(&[rpm("tb-gone", "1.0"), rpm("tb-far", "1.0"), rpm("tb-old", "2.0")], &[]);
    let advisories = [
        ("TB-1", "security", "tb-gone", "1.1"),
        ("TB-2", "security", "tb-far", "3.0"),
        ("TB-3", "security", "tb-far", "2.5"),
        ("TB-4", "security", "tb-none", "9.0"),
        ("TB-5", "security", "tb-old", "1.5"),
        ("TB-6", "recommended", "tb-old", "9.0"),
    ];
    repo.publish_with_advisories(&advisories, &[]);
    let missing = [
        "tb-far 1.0-1 3.0-1 TB-2 announces this fix, but it is not offered here",
        "tb-gone 1.0-1 1.1-1 TB-1 announces this fix, but it is not offered here",
    ];
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).remembers("/pending/count", 0).remembers("/pending/security", 0).holds_back(&missing);
    repo.publish_with_advisories(&advisories, &[rpm("tb-far", "2.0"), rpm("tb-old", "3.0")]);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).remembers("/pending/count", 2).remembers("/pending/security", 0).holds_back(&missing);
    root.patch(&["apply", "--security"]).applied(&[]);
    root.patch(&["apply", "tb-far"]).applied(&["tb-far 1.0-1 2.0-1"]);
    root.patch(&["apply"]).exits(0).changed(&["tb-old 2.0-1 3.0-1"]);
}

/// If every advisory is installed, `--security` has nothing to do, whoever offers the other update.
#[test]
fn an_update_of_no_advisory_is_none_once_all_advisories_are_installed() {
    let (root, repo) = one(&[rpm("tb-sec", "2.0"), rpm("tb-third", "1.0")], &[]);
    repo.publish_with_advisory("security", &[rpm("tb-sec", "2.0")]);
    let third = RpmRepo::new(&[rpm("tb-third", "2.0")]);
    root.add_repo("third", &third);
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 1).remembers("/pending/security", 0);
    root.patch(&["apply", "--security"]).applied(&[]);
    root.patch(&["status", "--alert", "security"]).exits(0);
    root.patch(&["apply"]).applied(&["tb-third 1.0-1 2.0-1"]);
}
