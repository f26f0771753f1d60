//! What only apk's refresh can meet.

use crate::apk::{Apk, ApkRepo};
use crate::manager::{Manager, Repository, package};

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
