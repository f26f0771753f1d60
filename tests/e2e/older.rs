//! No update brings an older version of another package, whichever manager installs it. The tests of dnf and dnf 5 are
//! in `dnf_both`.

use crate::apk::Apk;
use crate::apt::Apt;
use crate::manager::{Manager, Package, Repository, package};
use crate::pacman::Pacman;
use crate::report::Report;
use crate::zypper::Zypper;

/// A root with these packages and a repository with those.
struct Root<M: Manager> {
    manager: M,
    repo: M::Repo,
}

fn root<M: Manager>(installed: &[Package], published: &[Package]) -> Root<M> {
    let manager = M::new();
    let repo = M::Repo::with(published);
    manager.add_source("test", &repo);
    manager.install(installed);
    Root { manager, repo }
}

/// What is installed where an older tb-lib stands in the way; the new tb-app needs that.
fn installed() -> [Package; 3] {
    [package("tb-app", "1.0"), package("tb-hello", "1.0"), package("tb-lib", "2.0")]
}

impl<M: Manager> Root<M> {
    fn patch(&self, args: &[&str]) -> Report {
        self.manager.sandbox().patch(&[&["--manager", M::NAME], args].concat())
    }

    /// Checks what is installed and, as `NAME REASON`, held back.
    #[track_caller]
    fn leaves(&self, report: &Report, installed: &[&str], held: &[&str]) {
        assert_eq!(self.manager.installed(), installed, "{report}");
        let rows = report.json.pointer("/held_back").or(report.json.pointer("/pending/held_back"));
        let row = |row: &serde_json::Value| {
            format!("{} {}", row["name"].as_str().unwrap(), row["reason"].as_str().unwrap())
        };
        let rows: Vec<_> = rows.and_then(|rows| rows.as_array()).into_iter().flatten().map(row).collect();
        assert_eq!(rows, held, "{report}");
    }
}

fn stays<M: Manager>(need: &str, reason: &str) {
    let held = [format!("tb-app {reason}")];
    let held: Vec<_> = held.iter().map(String::as_str).collect();
    let offered =
        [package("tb-app", "2.0").needs(need), package("tb-lib", "1.0"), package("tb-hello", "2.0")];
    let root = root::<M>(&installed(), &offered);
    let refreshed = root.patch(&["refresh"]);
    assert_eq!((refreshed.code, &refreshed.json["pending"]["count"]), (0, &1.into()), "{refreshed}");
    root.leaves(&refreshed, &["tb-app 1.0", "tb-hello 1.0", "tb-lib 2.0"], &held);
    let applied = root.patch(&["apply"]);
    assert_eq!((applied.code, &applied.json["pending"]["count"]), (0, &0.into()), "{applied}");
    let done = ["tb-app 1.0", "tb-hello 2.0", "tb-lib 2.0"];
    root.leaves(&applied, &done, &held);
    root.leaves(&root.patch(&["apply"]), &done, &held);
    root.leaves(&root.patch(&["apply", "--exclude", "tb-hello"]), &done, &held);
    // A refresh finds out that this is over, also if the version is the same.
    root.repo.publish(&[package("tb-app", "2.0"), package("tb-lib", "1.0")]);
    let refreshed = root.patch(&["refresh"]);
    assert_eq!((refreshed.code, &refreshed.json["pending"]["count"]), (0, &1.into()), "{refreshed}");
    root.repo.publish(&offered);
    root.patch(&["refresh"]);
    // Once that is not so any more, it comes.
    root.repo.publish(&[package("tb-app", "3.0"), package("tb-lib", "1.0")]);
    root.leaves(&root.patch(&["apply"]), &["tb-app 3.0", "tb-hello 2.0", "tb-lib 2.0"], &[]);
}

#[test]
fn no_update_of_apk_brings_an_older_version_of_another_package() {
    stays::<Apk>("tb-lib=1.0-r0", "it needs tb-lib 1.0-r0, which is older than the installed 2.0-r0");
}

#[test]
fn no_update_of_pacman_brings_an_older_version_of_another_package() {
    stays::<Pacman>("tb-lib=1.0", "it needs tb-lib 1.0-1, which is older than the installed 2.0-1");
}

#[test]
fn no_update_of_apt_brings_an_older_version_of_another_package() {
    stays::<Apt>("tb-lib (= 1.0)", "kept back");
}

#[test]
fn no_update_of_zypper_brings_an_older_version_of_another_package() {
    stays::<Zypper>("tb-lib = 1.0", "kept back");
}

/// Its newer version is installed.
fn an_older_version_replaces_nothing<M: Manager>(held: &[&str]) {
    let replacing = |version| package("tb-z", version).replacing("tb-a");
    let root = root::<M>(
        &[package("tb-a", "1.0"), package("tb-hello", "1.0"), package("tb-z", "6.2")],
        &[replacing("5.0"), package("tb-hello", "2.0")],
    );
    let refreshed = root.patch(&["refresh"]);
    assert_eq!((refreshed.code, &refreshed.json["pending"]["count"]), (0, &1.into()), "{refreshed}");
    let done = ["tb-a 1.0", "tb-hello 2.0", "tb-z 6.2"];
    for args in [&["apply"][..], &["apply"], &["apply", "--exclude", "tb-hello"]] {
        let applied = root.patch(args);
        assert_eq!((applied.code, &applied.json["pending"]["count"]), (0, &0.into()), "{applied}");
        root.leaves(&applied, &done, held);
    }
    root.repo.publish(&[replacing("7.0")]);
    root.leaves(&root.patch(&["apply"]), &["tb-hello 2.0", "tb-z 7.0"], &[]);
}

#[test]
fn an_older_version_replaces_nothing_with_pacman() {
    let held = "tb-z it would replace another package, and is older than the installed 6.2-1";
    an_older_version_replaces_nothing::<Pacman>(&[held]);
}

#[test]
fn an_older_version_replaces_nothing_with_zypper() {
    an_older_version_replaces_nothing::<Zypper>(&[]);
}

/// Both at once: each is held back once, and neither is pending.
#[test]
fn an_older_version_that_replaces_and_one_that_is_needed_both_stay() {
    let root = root::<Pacman>(
        &[
            package("tb-a", "1.0"),
            package("tb-app", "1.0"),
            package("tb-hello", "1.0"),
            package("tb-lib", "2.0"),
            package("tb-z", "6.2"),
        ],
        &[
            package("tb-z", "5.0").replacing("tb-a"),
            package("tb-app", "2.0").needs("tb-lib=1.0"),
            package("tb-lib", "1.0"),
            package("tb-hello", "2.0"),
        ],
    );
    let held = [
        "tb-z it would replace another package, and is older than the installed 6.2-1",
        "tb-app it needs tb-lib 1.0-1, which is older than the installed 2.0-1",
    ];
    let refreshed = root.patch(&["refresh"]);
    assert_eq!((refreshed.code, &refreshed.json["pending"]["count"]), (0, &1.into()), "{refreshed}");
    let done = ["tb-a 1.0", "tb-app 1.0", "tb-hello 2.0", "tb-lib 2.0", "tb-z 6.2"];
    let applied = root.patch(&["apply"]);
    assert_eq!((applied.code, &applied.json["pending"]["count"]), (0, &0.into()), "{applied}");
    root.leaves(&applied, &done, &held);
}

/// Two updates need two older packages, one of which needs the other, and one has a newer version too.
fn several_stay<M: Manager>(lib: &str, base: &str) {
    let root = root::<M>(
        &["tb-app", "tb-base", "tb-hello", "tb-lib", "tb-other"].map(|name| package(name, "2.0")),
        &[
            package("tb-app", "3.0").needs(lib),
            package("tb-other", "3.0").needs(base),
            package("tb-lib", "1.0").needs(base),
            package("tb-base", "1.0"),
            package("tb-hello", "3.0"),
        ],
    );
    let applied = root.patch(&["apply"]);
    assert_eq!(applied.code, 0, "{applied}");
    let done = ["tb-app 2.0", "tb-base 2.0", "tb-hello 3.0", "tb-lib 2.0", "tb-other 2.0"];
    assert_eq!(root.manager.installed(), done, "{applied}");
    let names = applied.json["held_back"].as_array().into_iter().flatten().map(|held| &held["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["tb-app", "tb-other"], "{applied}");
}

#[test]
fn updates_that_need_several_older_versions_all_stay() {
    several_stay::<Apk>("tb-lib=1.0-r0", "tb-base=1.0-r0");
    several_stay::<Pacman>("tb-lib=1.0", "tb-base=1.0");
}

/// apk would take the newest.
#[test]
fn an_update_whose_newest_version_needs_an_older_package_stays_though_another_version_does_not() {
    let newest = package("tb-app", "3.0").needs("tb-lib=1.0-r0");
    let offered = [newest, package("tb-app", "2.0"), package("tb-lib", "1.0"), package("tb-hello", "2.0")];
    let root = root::<Apk>(&installed(), &offered);
    let held = ["tb-app it needs tb-lib 1.0-r0, which is older than the installed 2.0-r0"];
    root.leaves(&root.patch(&["apply"]), &["tb-app 1.0", "tb-hello 2.0", "tb-lib 2.0"], &held);
}

/// What is newer by the index, and yet comes as an older version.
#[test]
fn an_older_version_is_one_though_there_is_a_newer_one_too() {
    let offered = [
        package("tb-app", "2.0").needs("tb-lib=1.0-r0"),
        package("tb-lib", "1.0"),
        package("tb-lib", "3.0"),
        package("tb-hello", "2.0"),
    ];
    let root = root::<Apk>(&installed(), &offered);
    let held = ["tb-app it needs tb-lib 1.0-r0, which is older than the installed 3.0-r0"];
    let refreshed = root.patch(&["refresh"]);
    assert_eq!(refreshed.json["pending"]["count"], 2, "{refreshed}");
    root.leaves(&root.patch(&["apply"]), &["tb-app 1.0", "tb-hello 2.0", "tb-lib 3.0"], &held);
}

#[test]
fn a_package_that_is_named_and_needs_an_older_version_of_another_one_is_refused() {
    let offered = [
        package("tb-app", "2.0").needs("tb-lib=1.0-r0"),
        package("tb-lib", "1.0"),
        package("tb-hello", "2.0"),
    ];
    let root = root::<Apk>(&installed(), &offered);
    root.patch(&["apply", "tb-app"]).apply_failed("dependency").mentions("/error/message", "tb-lib 1.0-r0");
    assert_eq!(root.manager.installed(), ["tb-app 1.0", "tb-hello 1.0", "tb-lib 2.0"]);
}

#[test]
fn an_older_version_that_the_world_of_apk_names_comes_with_what_it_needs() {
    let offered = || {
        [
            package("tb-app", "2.0").needs("tb-lib=1.0-r0"),
            package("tb-app", "0.5").needs("tb-lib=1.0-r0"),
            package("tb-lib", "1.0"),
            package("tb-hello", "2.0"),
        ]
    };
    for (line, done) in [
        ("tb-lib=1.0-r0", ["tb-app 2.0", "tb-hello 2.0", "tb-lib 1.0"]),
        ("tb-lib<2", ["tb-app 2.0", "tb-hello 2.0", "tb-lib 1.0"]),
        ("tb-app=2.0-r0", ["tb-app 2.0", "tb-hello 2.0", "tb-lib 1.0"]),
        ("tb-app=0.5-r0", ["tb-app 0.5", "tb-hello 2.0", "tb-lib 1.0"]),
    ] {
        let root = root::<Apk>(&installed(), &offered());
        let name = &line[..6];
        root.manager.sandbox().sh(&format!("sed -i 's/^{name}$/{line}/' /etc/apk/world"));
        let applied = root.patch(&["apply"]);
        assert_eq!(
            (applied.code, root.manager.installed()),
            (0, done.map(str::to_owned).to_vec()),
            "{applied}"
        );
    }
}
