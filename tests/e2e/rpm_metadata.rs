//! Repositories of which one file of the index, such as the advisories, is not what it should be.

use crate::rpm::{Root, Rpm, RpmRepo, rpm};
use crate::sandbox::Sandbox;
use crate::server::Fault;
use crate::{dnf5, zypper};

/// Each manager with two repositories: tb-hello with a security update, and tb-other.
fn each(play: impl Fn(&str, &Sandbox, &dyn Fn(&[&str]) -> crate::report::Report, &RpmRepo)) {
    let old: [Rpm; 2] = ["tb-hello", "tb-other"].map(|name| rpm(name, "1.0"));
    let repos = || {
        let repos = ["tb-hello", "tb-other"].map(|name| RpmRepo::new(&[rpm(name, "2.0")]));
        repos[0].publish_with_advisory("security", &[rpm("tb-hello", "2.0")]);
        repos
    };
    for root in [Root::new(&old), dnf5::root(&old)] {
        let repos = repos();
        root.add_repo("one", &repos[0]);
        root.add_repo("two", &repos[1]);
        play(root.manager, &root.sandbox, &|args| root.patch(args), &repos[0]);
    }
    let root = zypper::Zypper::with(&old);
    let repos = repos();
    root.add_repo("one", &repos[0]);
    root.add_repo("two", &repos[1]);
    play("zypper", root.sandbox(), &|args| root.patch(args), &repos[0]);
}

/// A wrong number of updates is worse than none.
#[test]
fn a_file_of_the_index_that_does_not_come_never_looks_like_no_updates() {
    let tried = [
        ("updateinfo", Fault::Status(404), false),
        ("updateinfo", Fault::Page, false),
        ("updateinfo", Fault::Status(404), true),
        ("updateinfo", Fault::Flip, true),
        ("primary", Fault::Status(404), true),
        ("primary", Fault::Short, true),
        ("filelists", Fault::Status(404), true),
        ("filelists", Fault::Flip, true),
        ("other", Fault::Status(404), true),
    ];
    for (file, fault, known_before) in tried {
        each(|name, _, patch, repo| {
            if known_before {
                patch(&["refresh"]).exits(0).remembers("/pending/security", 1);
                repo.publish_with_advisory("security", &[rpm("tb-hello", "3.0")]);
            }
            repo.server.fault(&format!("-{file}."), fault);
            let refreshed = patch(&["refresh"]);
            let is_failed = refreshed.failed_sources().iter().any(|(id, _)| id == "one");
            assert_eq!(is_failed, refreshed.code != 0, "{name} {file} {refreshed}");
            if !is_failed {
                let pending = &refreshed.state["pending"];
                assert!(
                    pending["security"] == 1 || pending["security"].is_null(),
                    "{name} {file} {refreshed}"
                );
                assert_eq!(pending["count"], 2, "{name} {file} {refreshed}");
                let newest = if known_before { "3.0-1" } else { "2.0-1" };
                let versions = pending["packages"].as_array().into_iter().flatten();
                let mut versions = versions.map(|update| &update["candidate"]);
                assert!(versions.any(|version| version == newest), "{name} {file} {refreshed}");
            }
            repo.server.heal();
            patch(&["refresh"]).exits(0).remembers("/pending/security", 1).remembers("/pending/count", 2);
        });
    }
}

/// An rpm that is too old for a package says so only when it tests the transaction. zypper has rpm not look at that.
#[test]
fn a_package_for_a_newer_rpm_stays_and_the_others_come() {
    let too_new = || rpm("tb-bad", "2.0").tag("Requires: rpmlib(NotYetInvented) <= 9.0-1");
    let old = ["tb-bad", "tb-hello"].map(|name| rpm(name, "1.0"));
    let new = [too_new(), rpm("tb-hello", "2.0")];
    let check = |applied: crate::report::Report| {
        applied.changed(&["tb-hello 1.0-1 2.0-1"]);
        assert!(applied.to_string().contains("tb-bad"), "{applied}");
    };
    let (root, _repo) = crate::rpm::one(&old, &new);
    check(root.patch(&["apply"]));
    let (root, _repo) = dnf5::one(&old, &new);
    check(root.patch(&["apply"]));
}

/// dnf and dnf 5 take a copy for current by its time, and would fail at it until the next publication.
#[test]
fn a_copy_of_the_index_that_is_cut_on_the_disk_is_made_anew_in_the_same_run() {
    each(|name, sandbox, patch, _| {
        let dirs = "/var/cache/dnf /var/cache/libdnf5 /var/cache/zypp/solv";
        patch(&["refresh"]).exits(0).remembers("/pending/security", 1);
        let copies = sandbox.sh(&format!("find {dirs} -name '*.solv*' 2>/dev/null || :"));
        assert_eq!(copies.lines().count() >= 3, name != "zypper", "{copies}");
        let cut = |copy: &str| {
            format!(
                "cp -p {copy} /srv/c; truncate -s $(($(stat -c %s {copy}) / 2)) {copy}; touch -r /srv/c {copy}\n"
            )
        };
        let one_by_one = copies.lines().map(cut);
        // At the first that it cannot read dnf 5 stops.
        for cut in one_by_one.chain([copies.lines().map(cut).collect()]) {
            sandbox.sh(&cut);
            let refreshed = patch(&["refresh"]);
            assert_eq!(refreshed.code, 0, "{name} {cut}: {refreshed}");
            refreshed.says("/cache_status", "fresh").remembers("/pending/count", 2);
            refreshed.remembers("/pending/security", 1);
        }
        patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1", "tb-other 1.0-1 2.0-1"]);
    });
}
