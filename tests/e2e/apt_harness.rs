//! The test bench itself: plain apt-get in a sandbox, against repositories that fail as told. A scenario proves nothing
//! if its fault does not happen.

use std::time::Duration;

use crate::bench;
use crate::deb::deb;
use crate::locks;
use crate::repo::Validity;
use crate::sandbox::Sandbox;
use crate::server::Fault;
use crate::vault::Signer;

/// `apt-get update`, with every failure an error.
fn update(sandbox: &Sandbox) -> crate::sandbox::Ended {
    sandbox.run(&[
        "apt-get",
        "-q",
        "-oAPT::Update::Error-Mode=any",
        "-oAcquire::Retries=0",
        "-oAcquire::http::Timeout=1",
        "update",
    ])
}

#[test]
fn plain_apt_upgrades_from_a_signed_repository() {
    let (sandbox, repo) =
        bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0"), deb("tb-new", "1.0")]);

    let updated = update(&sandbox);
    assert_eq!(updated.code, 0, "{updated:?}");
    assert_eq!(repo.refreshes(), 1);
    let upgraded = sandbox.run(&["apt-get", "-q", "-y", "upgrade"]);
    assert_eq!(upgraded.code, 0, "{upgraded:?}");
    sandbox.has_exactly(&["tb-hello 2.0"]);

    repo.publish(&[deb("tb-hello", "3.0").field("Depends", "tb-new"), deb("tb-new", "1.0")]);
    assert_eq!(update(&sandbox).code, 0);
    let upgraded = sandbox.run(&["apt-get", "-q", "-y", "upgrade", "--with-new-pkgs"]);
    assert_eq!(upgraded.code, 0, "{upgraded:?}");
    sandbox.has_exactly(&["tb-hello 3.0", "tb-new 1.0"]);
    sandbox.runs_nothing();
}

#[test]
fn an_unchanged_index_is_not_fetched_again() {
    let (sandbox, repo) = bench::one(&[], &[deb("tb-hello", "1.0")]);
    assert_eq!(update(&sandbox).code, 0);
    let again = update(&sandbox);
    assert!(again.stdout.contains("Hit:1"), "{again:?}");
    assert_eq!((repo.refreshes(), repo.server.requests("/Packages")), (2, 1));
    repo.publish(&[deb("tb-hello", "2.0")]);
    let changed = update(&sandbox);
    assert!(changed.stdout.contains("Get:1"), "{changed:?}");
    assert_eq!((repo.refreshes(), repo.server.requests("/Packages")), (3, 2));
}

#[test]
fn a_sandbox_sees_neither_the_machines_packages_nor_its_devices() {
    let sandbox = Sandbox::new();
    sandbox.has_exactly(&[]);
    sandbox.runs_nothing();
    sandbox
        .sh("rm /dev/null; echo mine >/dev/null; echo mine >/usr/bin/linux-patch-test; ! [ -e /sys/kernel ]");
    assert!(std::fs::metadata("/dev/null").unwrap().len() == 0);
    assert!(!std::path::Path::new("/usr/bin/linux-patch-test").exists());
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains("patch-sandbox"), "the sandbox's mounts show outside: {mounts}");
    assert_eq!(sandbox.sh("env | cut -d= -f1 | sort | tr '\\n' ' '").trim(), "HOME PATH PWD");
    assert_eq!(sandbox.run(&["apt-get", "-q", "update"]).code, 0);
}

#[test]
fn what_is_written_into_a_sandbox_stays_there_whatever_links_are_on_the_way() {
    let (sandbox, outside) = (Sandbox::new(), tempfile::tempdir().unwrap());
    let target = outside.path().display().to_string();
    sandbox.sh(&format!("mkdir -p {target}; ln -s {target} /srv/dir; ln -s {target}/file /srv/file"));
    for (path, mode) in [("/srv/dir/data", 0o640), ("/srv/dir/program", 0o755), ("/srv/file", 0o644)] {
        sandbox.write_mode(path, path, mode);
        assert_eq!(sandbox.sh(&format!("stat -c %a {path}; cat {path}")), format!("{mode:o}\n{path}"));
    }
    assert_eq!(sandbox.list(&target), ["data", "program"]);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0, "written outside");
}

#[test]
fn a_sandbox_takes_everything_along_when_a_test_panics() {
    let marker = format!("sleep 86{}", std::process::id());
    let (seconds, line) = (marker.split_once(' ').unwrap().1.to_owned(), marker.replace(' ', "\0"));
    let ended = std::thread::spawn(move || {
        let sandbox = Sandbox::new();
        sandbox.sh(&format!("setsid sleep {seconds} >/dev/null 2>&1 & sleep 0.1"));
        assert!(!sandbox.processes().is_empty());
        std::panic::resume_unwind(Box::new("as a failing test does"));
    });
    assert!(ended.join().is_err());
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!arguments.starts_with(&line), "left running: {entry:?}");
    }
}

#[test]
fn every_fault_of_an_index_is_what_apt_says_it_is() {
    let (sandbox, repo) = bench::one(&[], &[deb("tb-hello", "1.0")]);
    for (path, fault, words) in [
        ("/InRelease", Fault::Status(503), "503"),
        ("/InRelease", Fault::Close, "Failed to fetch"),
        ("/InRelease", Fault::Hang, "Failed to fetch"),
        ("Release", Fault::Status(404), "does not have a Release file"),
        ("/Packages", Fault::Status(404), "404"),
        ("/Packages", Fault::Flip, "Hash Sum mismatch"),
        ("/Packages", Fault::Short, "unexpected size"),
        ("/Packages", Fault::Cut, "Failed to fetch"),
    ] {
        repo.server.fault(path, fault);
        let failed = update(&sandbox);
        assert!(failed.code == 100 && failed.stderr.contains(words), "{path} {fault:?}: {failed:?}");
        repo.server.heal();
    }
    assert_eq!(update(&sandbox).code, 0);
}

#[test]
fn a_release_can_be_expired_or_early_or_signed_by_a_stranger() {
    let (sandbox, repo) = bench::one(&[], &[]);
    repo.publish_claiming(|claims| claims.validity = Validity::Expired, &[]);
    assert!(update(&sandbox).stderr.contains("is expired"));
    repo.publish_claiming(|claims| claims.validity = Validity::NotYet, &[]);
    assert!(update(&sandbox).stderr.contains("is not valid yet"));
    repo.publish_claiming(
        |claims| (claims.validity, claims.signer) = (Validity::Always, Signer::Stranger),
        &[],
    );
    assert!(update(&sandbox).stderr.contains("is not signed"));
}

#[test]
fn a_hook_can_publish_before_the_faulty_answer_leaves() {
    let (sandbox, repo) = bench::pending_update();
    repo.publish_before("/pool/tb-hello", 1, &[deb("tb-hello", "3.0")]);
    assert_eq!(update(&sandbox).code, 0);
    let failed = sandbox.run(&["apt-get", "-q", "-y", "upgrade"]);
    assert!(failed.stderr.contains("404"), "{failed:?}");
    assert_eq!(update(&sandbox).code, 0);
    assert_eq!(sandbox.run(&["apt-get", "-q", "-y", "upgrade"]).code, 0);
    sandbox.has_exactly(&["tb-hello 3.0"]);
}

#[test]
fn a_trickle_comes_at_the_promised_rate() {
    let (sandbox, repo) = bench::one(&[], &[deb("tb-hello", "2.0")]);
    repo.server.fault("/Packages", Fault::Trickle(100));
    let slow = update(&sandbox);
    assert!(slow.code == 0 && slow.elapsed > Duration::from_secs(2), "{slow:?}");
}

#[test]
fn a_held_lock_stops_apt_until_it_is_let_go() {
    let (sandbox, _repo) = bench::one(&[], &[]);
    let (holder, pid) = locks::hold(&sandbox, locks::LISTS, Duration::from_secs(60));
    assert!(!locks::is_free(&sandbox, locks::LISTS));
    let failed = update(&sandbox);
    assert!(failed.stderr.contains(&format!("held by process {pid} (perl)")), "{failed:?}");
    sandbox.signal(pid, "KILL");
    holder.wait();
    assert!(locks::is_free(&sandbox, locks::LISTS));
    assert_eq!(update(&sandbox).code, 0);
}
