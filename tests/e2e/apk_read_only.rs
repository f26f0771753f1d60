//! apk on a system that is mounted read-only, where only its database can be written.

use crate::apk::{Apk, ApkRepo};
use crate::manager::{Manager, Repository, package};

#[test]
fn a_system_that_is_mounted_read_only_gets_no_package_unless_a_hook_may_change_that() {
    let apk = Apk::new();
    let repo = ApkRepo::with(&[package("tb-hello", "2.0")]);
    apk.add_source("test", &repo);
    Manager::install(&apk, &[package("tb-hello", "1.0")]);
    apk.sandbox().sh("cp -a /lib/apk/db /run/db; mount --bind /usr /usr; mount -o remount,ro,bind /usr; \
                      mount --bind /run/db /lib/apk/db");
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    // apk itself would take it for installed, with its files missing.
    let applied = patch(&["apply"]);
    applied.apply_failed("space").changed(&[]).mentions("/error/message", "/usr is mounted read-only");
    assert_eq!(apk.installed(), ["tb-hello 1.0"]);
    let hook = "[ \"$1\" != pre-commit ] || mount -o remount,rw,bind /usr";
    apk.sandbox().write_script("/etc/apk/commit_hooks.d/rw", hook);
    patch(&["apply"]).applied(&["tb-hello 1.0-r0 2.0-r0"]);
}
