//! A list that is empty or short against the manager's own word is never nothing pending.

use serde_json::Value;

use crate::manager::{Manager, Repository, package};
use crate::report::Report;
use crate::sandbox::{Running, Sandbox};
use crate::{apk::Apk, apt::Apt, dnf::Dnf, zypper::Zypper};

/// A manager of a later day, which prints what it would do in a way that nobody knows.
fn is_not_believed<M: Manager>(program: &str, is_list: &str, change: &str, words: &str) {
    let manager = M::new();
    let repo = M::Repo::with(&[package("tb-hello", "2.0")]);
    manager.add_source("test", &repo);
    manager.install(&[package("tb-hello", "1.0")]);
    let sandbox = manager.sandbox();
    let start = |args: &[&str]| -> Running<'_> {
        sandbox.start(sandbox.patch_command(&[&["--manager", M::NAME], args].concat()))
    };
    let patch = |args: &[&str]| -> Report { start(args).report() };
    let real = real(sandbox, program);
    let changed = format!(
        "case \"$*\" in {is_list}) exec 3>&1; {{ {real} \"$@\" 3>&-; echo $? >/run/code; }} | \
         sed '{change}' >&3; exit $(cat /run/code);; esac\nexec {real} \"$@\""
    );
    sandbox.write_script(&format!("/usr/local/bin/{program}"), &changed);
    let refreshed = patch(&["refresh"]);
    refreshed.exits(1).remembers("/pending/count", Value::Null).remembers("/pending/error/class", "other");
    let error = refreshed.state["pending"]["error"]["message"].as_str().unwrap_or_default();
    assert!(error.contains(words) && error.ends_with("report to linux-patch what it lists"), "{refreshed}");
    patch(&["status"]).exits(1);
    patch(&["apply"]).apply_failed("other").changed(&[]).mentions("/error/message", words);
    assert_eq!(manager.installed(), ["tb-hello 1.0"]);
    sandbox.sh(&format!("rm /usr/local/bin/{program}"));
    patch(&["apply"]).exits(0);
    assert_eq!(manager.installed(), ["tb-hello 2.0"]);
}

fn real(sandbox: &Sandbox, program: &str) -> String {
    sandbox.sh(&format!("command -v {program}")).trim().to_owned()
}

#[test]
fn of_apt() {
    let words = "apt-get says that 1 package would change, but lists 0";
    is_not_believed::<Apt>("apt-get", "*' -s '*", "s/^Inst /Would install /", words);
}

#[test]
fn of_zypper() {
    let words = "zypper says that 1 package would change, but lists 0";
    is_not_believed::<Zypper>("zypper", "*' update '*", "s/to-upgrade>/renewed>/", words);
}

#[test]
fn of_apk() {
    let words = "apk says that 1 package would change, but lists 0";
    is_not_believed::<Apk>("apk", "*' upgrade -s'*", "s/ Upgrading / Renewing /", words);
}

#[test]
fn of_dnf() {
    let words = "dnf says that 1 package would change, but lists 0";
    is_not_believed::<Dnf>("dnf", "*upgrade*", "s/^Upgrading:/New headline:/", words);
}

/// dnf 4, dnf 5 and apt have such a test in their own files.
#[test]
fn a_package_database_that_zypper_cannot_read_is_never_nothing_pending() {
    let (root, _repo) = crate::zypper::pending_update();
    root.patch(&["refresh"]).exits(0);
    root.sandbox().sh("for file in /var/lib/rpm/*; do echo garbage >$file; done");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(2).mentions("/reason", "cannot open Packages database");
    refreshed.says("/pending/count", 1).says("/pending/outdated", true);
    root.patch(&["status"]).exits(2);
    root.patch(&["apply"]).exits(2).changed(&[]);
}
