//! What only apk's refresh can meet.

use crate::apk::{Apk, ApkRepo};
use crate::manager::{Manager, Repository, package};
use crate::server::Fault;

#[test]
fn an_index_that_cannot_be_stored_is_not_fresh() {
    let apk = Apk::new();
    let repos = ["alpha", "beta"].map(|name| {
        let repo = ApkRepo::with(&[package("tb-hello", "2.0")]);
        apk.add_source(name, &repo);
        repo
    });
    Manager::install(&apk, &[package("tb-hello", "1.0")]);
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-r0 2.0-r0"]);
    let cache = Apk::INDEXES;
    apk.sandbox().sh(&format!("mount --bind {cache} {cache} && mount -o remount,ro,bind {cache}"));
    repos[0].publish(&[package("tb-hello", "3.0")]);
    // It says OK, and its next command reads the index of before.
    let refreshed = patch(&["refresh"]);
    refreshed.refresh_failed("space").mentions("/reason", "/var/cache/apk is mounted read-only");
    patch(&["apply"]).apply_failed("space").changed(&[]);
    apk.sandbox().sh(&format!("umount {cache}"));
    patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-r0 3.0-r0"]);
}

/// apk itself would try to install it, and fail.
#[test]
fn a_version_that_only_a_source_that_failed_offers_stays_though_another_offers_an_older_one() {
    let apk = Apk::new();
    let repos = [[("tb-a", "2.0"), ("tb-both", "3.0")], [("tb-b", "2.0"), ("tb-both", "2.0")]]
        .map(|offered| ApkRepo::with(&offered.map(|(name, version)| package(name, version))));
    apk.add_source("down", &repos[0]);
    apk.add_source("well", &repos[1]);
    Manager::install(&apk, &["tb-a", "tb-b", "tb-both"].map(|name| package(name, "1.0")));
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    patch(&["refresh"]).exits(0);
    repos[0].server.fault("/", Fault::Status(503));
    patch(&["apply"]).exits(1).says("/retried", false).changed(&["tb-b 1.0-r0 2.0-r0"]);
    patch(&["apply"]).exits(1).changed(&[]);
    repos[0].server.heal();
    patch(&["apply"]).exits(0).changed(&["tb-a 1.0-r0 2.0-r0", "tb-both 1.0-r0 3.0-r0"]);
}
