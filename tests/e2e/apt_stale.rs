//! The reason why the tool exists: the index no longer fits the mirror when the packages are fetched. There is one new
//! refresh and one new download, never more.

use serde_json::Value;

use crate::bench;
use crate::deb::deb;
use crate::sandbox::Sandbox;
use crate::server::Fault;

const POOL: &str = "/pool/tb-hello";

#[test]
fn one_missing_package_of_two_keeps_both_until_it_can_be_had() {
    let (sandbox, repo) = bench::one(
        &[deb("tb-hello", "1.0"), deb("tb-world", "1.0")],
        &[deb("tb-hello", "2.0"), deb("tb-world", "2.0")],
    );
    repo.server.fault(POOL, Fault::Status(404));
    sandbox.patch(&["apply"]).apply_failed("fetch").says("/retried", true).changed(&[]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
    assert_eq!(repo.server.requests("/pool/tb-world"), 1, "what was downloaded is used again");
    repo.server.heal();
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0", "tb-world 1.0 2.0"]);
}

/// A download that fails like this is retried once: either it succeeds after the second refresh, or it fails with this
/// class.
#[track_caller]
fn is_retried_once(fault: Fault, class: &str) {
    let (sandbox, repo) = bench::pending_update();
    repo.server.fault(POOL, fault);
    sandbox.patch(&["apply"]).apply_failed(class).says("/retried", true).changed(&[]);
    sandbox.has_exactly(&["tb-hello 1.0"]);
    assert_eq!(repo.refreshes(), 2);

    repo.server.heal_before("/InRelease", 4);
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]).says("/retried", true);
    sandbox.has_exactly(&["tb-hello 2.0"]);
    assert_eq!(repo.refreshes(), 4);
}

#[test]
fn a_package_that_does_not_match_its_hash_is_retried_once() {
    is_retried_once(Fault::Flip, "fetch");
}

#[test]
fn a_package_shorter_than_announced_is_retried_once() {
    is_retried_once(Fault::Short, "fetch");
}

#[test]
fn a_forbidden_package_is_retried_once() {
    is_retried_once(Fault::Status(403), "fetch");
}

#[test]
fn an_overloaded_mirror_is_retried_once() {
    is_retried_once(Fault::Status(503), "fetch");
}

#[test]
fn a_connection_closed_during_the_download_is_retried_once() {
    is_retried_once(Fault::Close, "network");
}

#[test]
fn a_download_cut_in_the_middle_ends_well_or_is_retried() {
    // apt resumes a partial file by itself, so that this may well need no retry of ours.
    let (sandbox, repo) = bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0").padded(50_000)]);
    repo.server.fault(POOL, Fault::Cut);
    repo.server.heal_before("/InRelease", 2);
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
    sandbox.has_exactly(&["tb-hello 2.0"]);
}

#[test]
fn a_mirror_that_goes_away_before_the_retry_ends_the_run() {
    let (sandbox, repo) = bench::pending_update();
    repo.server.fault(POOL, Fault::Status(404));
    repo.server.fault_from("/InRelease", 2, Fault::Status(503));
    sandbox
        .patch(&["apply"])
        .exits(2)
        .changed(&[])
        .remembers("/last_update_success", false)
        .remembers("/apply/in_progress", Value::Null);
    sandbox.has_exactly(&["tb-hello 1.0"]);
    assert_eq!(repo.server.requests(POOL), 1);
}

#[test]
fn a_full_disk_is_no_fetch_error_although_apt_words_it_as_one() {
    let (sandbox, repo) = bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0").padded(300_000)]);
    sandbox.sh(
        "mount -t tmpfs -o size=100k full /var/cache/apt/archives; mkdir /var/cache/apt/archives/partial",
    );
    sandbox.patch(&["apply"]).apply_failed("space").says("/retried", false).changed(&[]);
    sandbox.has_exactly(&["tb-hello 1.0"]);
    assert_eq!(repo.refreshes(), 1);
    sandbox.sh("umount /var/cache/apt/archives");
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
}

#[test]
fn a_disk_that_fills_up_during_the_download_is_no_fetch_error() {
    let (sandbox, repo) = bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0").padded(300_000)]);
    sandbox.sh(
        "mount -t tmpfs -o size=600k full /var/cache/apt/archives; mkdir /var/cache/apt/archives/partial",
    );
    // apt looks at the free space first; the space goes while the answer is coming.
    let mut fill = sandbox.command("sh");
    fill.args(["-c", "head -c 450000 /dev/zero >/var/cache/apt/archives/other"]);
    repo.server.before(POOL, 1, move || assert!(fill.status().unwrap().success()));
    sandbox.patch(&["apply"]).apply_failed("space").says("/retried", false).changed(&[]);
    sandbox.has_exactly(&["tb-hello 1.0"]);
    assert_eq!(repo.refreshes(), 1);
}

#[test]
fn dockers_own_apt_settings_do_not_take_the_downloads_away() {
    let (sandbox, _repo) = bench::pending_update();
    let clean = "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true";
    sandbox.write(
        "/etc/apt/apt.conf.d/docker-clean",
        format!(
            "DPkg::Post-Invoke {{ \"{clean}\"; }};\nAPT::Update::Post-Invoke {{ \"{clean}\"; }};\n\
             Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\nAcquire::GzipIndexes \"true\";\n\
             Acquire::Languages \"none\";\nAPT::Keep-Downloaded-Packages \"false\";\n"
        ),
    );
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]).says("/retried", false);
    sandbox.has_exactly(&["tb-hello 2.0"]);
}

/// What a power cut leaves: files of the right size in the cache, one with zeros only, the other incomplete.
#[track_caller]
fn damage(sandbox: &Sandbox) {
    sandbox.sh("cd /var/cache/apt/archives\n\
                size=$(stat -c %s tb-hello_2.0_all.deb); head -c $size /dev/zero >tb-hello_2.0_all.deb\n\
                printf x | dd of=tb-world_1%3a2.0_all.deb bs=1 seek=15000 conv=notrunc 2>/dev/null");
}

#[test]
fn damaged_packages_in_the_cache_are_fetched_anew() {
    let (sandbox, repo) = bench::one(
        &[deb("tb-hello", "1.0"), deb("tb-third", "1.0"), deb("tb-world", "1.0")],
        &[deb("tb-hello", "2.0"), deb("tb-third", "2.0"), deb("tb-world", "1:2.0")],
    );
    sandbox.patch(&["apply", "--download-only"]).exits(0);
    damage(&sandbox);
    sandbox
        .patch(&["apply"])
        .applied(&["tb-hello 1.0 2.0", "tb-third 1.0 2.0", "tb-world 1.0 1:2.0"])
        .says("/retried", true);
    assert_eq!(repo.server.requests("/pool/tb-third"), 1, "what is whole is used again");
    assert_eq!(repo.server.requests("/pool/"), 5);
}

#[test]
fn damaged_packages_that_cannot_be_fetched_anew_are_a_fetch_failure() {
    let (sandbox, repo) = bench::one(
        &[deb("tb-hello", "1.0"), deb("tb-world", "1.0")],
        &[deb("tb-hello", "2.0"), deb("tb-world", "1:2.0")],
    );
    sandbox.patch(&["apply", "--download-only"]).exits(0);
    damage(&sandbox);
    repo.server.fault(POOL, Fault::Status(404));
    sandbox.patch(&["apply"]).apply_failed("fetch").says("/retried", true).changed(&[]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
    repo.server.heal();
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0", "tb-world 1.0 1:2.0"]);
}

#[test]
fn a_machine_without_the_tool_that_checks_downloads_installs_all_the_same() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.patch(&["apply", "--download-only"]).exits(0);
    sandbox.sh("rm -f /usr/bin/sha256sum");
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]).says("/retried", false);
}
