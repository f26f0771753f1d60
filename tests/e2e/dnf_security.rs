//! Security updates as advisories tell them, with the real dnf 4 and dnf 5.

use crate::report::Report;
use crate::rpm::{Root, Rpm, RpmRepo, rpm};

/// Each of these in a root of dnf 4 and in one of dnf 5.
macro_rules! with_both {
    ($($test:ident),* $(,)?) => {
        mod dnf {
            $(#[test] fn $test() { super::$test(crate::rpm::Root::new); })*
        }
        mod dnf5 {
            $(#[test] fn $test() { super::$test(crate::dnf5::root); })*
        }
    };
}

with_both! {
    an_update_is_a_security_update_by_its_version,
    a_fix_that_comes_in_the_place_of_an_installed_package_is_a_security_update,
    a_package_of_another_name_hides_no_fix_of_the_one_that_it_replaces,
}

/// The updates that are pending, with what is told of each.
fn security(report: &Report) -> Vec<String> {
    let packages = report.state["pending"]["packages"].as_array().into_iter().flatten();
    let mut told: Vec<_> = packages
        .map(|update| format!("{} {}", update["name"].as_str().unwrap(), update["security"]))
        .collect();
    told.sort();
    told
}

fn an_update_is_a_security_update_by_its_version(make: fn(&[Rpm]) -> Root) {
    let names = ["tb-bug", "tb-far", "tb-gone", "tb-new", "tb-old", "tb-past", "tb-sec"];
    let root = make(&names.map(|name| rpm(name, "1.0")));
    let repo = RpmRepo::new(&[]);
    repo.publish_with_advisories(
        &[
            ("TB-1", "security", "tb-sec", "2.0"),
            // A fix that is not to be had: what is there settles only a bug.
            ("TB-2", "security", "tb-far", "3.0"),
            ("TB-3", "bugfix", "tb-far", "2.0"),
            // The candidate is newer than the fix.
            ("TB-4", "security", "tb-past", "1.5"),
            // It is settled already.
            ("TB-5", "security", "tb-old", "0.9"),
            ("TB-6", "bugfix", "tb-bug", "2.0"),
            // Nothing of it is offered at all.
            ("TB-7", "security", "tb-gone", "1.1"),
        ],
        &["tb-bug", "tb-far", "tb-new", "tb-old", "tb-past", "tb-sec"].map(|name| rpm(name, "2.0")),
    );
    root.add_repo("test", &repo);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).remembers("/pending/security", 2);
    assert_eq!(
        security(&refreshed),
        ["tb-bug false", "tb-far false", "tb-new false", "tb-old false", "tb-past true", "tb-sec true"],
        "{refreshed}"
    );
    let missing = [
        "tb-far 1.0-1 3.0-1 TB-2 announces this fix, but it is not offered here, or excluded",
        "tb-gone 1.0-1 1.1-1 TB-7 announces this fix, but it is not offered here, or excluded",
    ];
    refreshed.holds_back(&missing);
    root.patch(&["apply", "--security"]).applied(&["tb-past 1.0-1 2.0-1", "tb-sec 1.0-1 2.0-1"]);
    root.patch(&["apply", "--security"]).applied(&[]);
    root.patch(&["apply", "tb-far"]).applied(&["tb-far 1.0-1 2.0-1"]);
    root.patch(&["apply"])
        .exits(0)
        .leaves_pending(&[])
        .holds_back(&missing.map(|row| row.replace("far 1.0-1", "far 2.0-1")).each_ref().map(String::as_str));
}

fn a_fix_that_comes_in_the_place_of_an_installed_package_is_a_security_update(make: fn(&[Rpm]) -> Root) {
    let root = make(&["tb-name", "tb-split", "tb-other", "tb-plain"].map(|name| rpm(name, "1.0")));
    let repo = RpmRepo::new(&[]);
    repo.publish_with_advisories(
        &[("TB-1", "security", "tb-renamed", "2.0"), ("TB-2", "security", "tb-split-lib", "2.0")],
        &[
            rpm("tb-renamed", "2.0").tag("Obsoletes: tb-name < 2"),
            // One package becomes two.
            rpm("tb-split-bin", "2.0").tag("Requires: tb-split-lib").tag("Obsoletes: tb-split < 2"),
            rpm("tb-split-lib", "2.0").tag("Obsoletes: tb-split < 2"),
            rpm("tb-other-new", "2.0").tag("Obsoletes: tb-other < 2"),
            rpm("tb-plain", "2.0"),
        ],
    );
    root.add_repo("test", &repo);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).remembers("/pending/security", 3);
    let told = security(&refreshed);
    for line in
        ["tb-other-new false", "tb-plain false", "tb-renamed true", "tb-split-bin true", "tb-split-lib true"]
    {
        assert!(told.contains(&line.to_string()), "{line}: {told:?} {refreshed}");
    }
    root.patch(&["apply", "--security"]).exits(0);
    let left = root.sandbox.sh("rpm -qa --qf '%{NAME} %{VERSION}\\n' | sort");
    let expected = "tb-other 1.0\ntb-plain 1.0\ntb-renamed 2.0\ntb-split-bin 2.0\ntb-split-lib 2.0\n";
    assert_eq!(left, expected);
}

/// As a vendor's MariaDB-server replaces the distribution's mariadb-server, of which an advisory speaks.
fn a_package_of_another_name_hides_no_fix_of_the_one_that_it_replaces(make: fn(&[Rpm]) -> Root) {
    let root = make(&["tb-server", "tb-low", "tb-plain"].map(|name| rpm(name, "1.0")));
    let repo = RpmRepo::new(&[]);
    repo.publish_with_advisories(
        &[("TB-1", "security", "tb-server", "2.0"), ("TB-2", "security", "tb-low", "6.0")],
        &[
            rpm("tb-server", "2.0"),
            rpm("tb-low", "6.0"),
            rpm("tb-vendor", "5.0").tag("Obsoletes: tb-server"),
            rpm("tb-vendor-low", "5.0").tag("Obsoletes: tb-low"),
            rpm("tb-plain", "2.0"),
        ],
    );
    root.add_repo("test", &repo);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).remembers("/pending/security", 1);
    assert_eq!(security(&refreshed), ["tb-plain false", "tb-vendor true", "tb-vendor-low false"]);
    refreshed.says("/pending/held_back_security", 1);
    refreshed.holds_back(&[
        "tb-low 1.0-1 6.0-1 TB-2 announces this fix, but tb-vendor-low 5.0-1 comes in its place",
    ]);
    // Whoever excludes that gets the fix of the other one, also where it is not the newest of all.
    let excluding = ["apply", "--dry-run", "--exclude", "tb-vendor*", "--exclude", "tb-plain"];
    let planned = root.patch(&excluding);
    planned.exits(0).changed(&["tb-low 1.0-1 6.0-1", "tb-server 1.0-1 2.0-1"]);
    root.patch(&["apply", "--security"]).exits(0).changed(&["tb-server 1.0-1 -", "tb-vendor - 5.0-1"]);
}
