//! pacman's lock is a file that exists as long as the lock is held. If a killed pacman left it, that is explained, and
//! the file is not removed unless it is older than the machine's start.

use crate::leisure::at_leisure;
use std::time::Duration;

use crate::pacman::{LOCK, hold_lock, one, pending_update, pkg};

const PRIVATE_LOCK: &str = "/var/lib/linux-patch/pacman/db.lck";

const FOR_EVER: Duration = Duration::from_secs(80);

/// What a run says that waits for such a holder.
fn waits_for(pid: u32) -> String {
    format!("waiting for the lock of pacman: process {pid} (sleep 80)")
}

#[test]
fn a_refresh_and_a_download_do_not_need_the_lock_of_the_system() {
    let (root, repo) = pending_update();
    let (holder, pid) = hold_lock(&root.sandbox, LOCK, Duration::from_secs(60));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply", "--download-only"]).exits(0);
    assert_eq!(repo.server.requests("/tb-hello"), 1);
    root.sandbox.signal(pid, "KILL");
    holder.wait();
}

#[test]
fn a_lock_whose_owner_is_dead_is_explained_and_neither_waited_for_nor_removed() {
    let (root, _repo) = pending_update();
    root.sandbox.sh(&format!("touch {LOCK}"));
    root.patch(&["refresh"]).exits(0);
    let applied = root.patch(&["apply"]);
    applied.apply_failed("lock").changed(&[]).says("/retried", false);
    applied.mentions("/error/message", "was left behind by a pacman that was killed");
    applied.mentions("/error/message", &format!("rm {LOCK}"));
    assert!(!applied.stderr.contains("waiting for the lock"), "{applied}");
    assert!(root.sandbox.exists(LOCK));
    root.sandbox.sh(&format!("rm {LOCK}"));
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn a_lock_that_is_left_is_told_where_nothing_is_pending_too() {
    let (root, _repo) = one(&[pkg("tb-hello", "1.0")], &[pkg("tb-hello", "1.0")]);
    root.sandbox.write(LOCK, "");
    let applied = root.patch(&["apply"]);
    applied.exits(0).says("/reason", "nothing pending");
    assert!(applied.stderr.contains("db.lck was left behind by a pacman that was killed"), "{applied}");
    assert!(root.sandbox.exists(LOCK));
}

#[test]
fn a_lock_that_is_older_than_the_boot_goes_and_one_that_somebody_holds_all_the_same_is_waited_for() {
    let (root, repo) = pending_update();
    // As a power cut leaves it.
    root.sandbox.sh(&format!("touch -d 2001-02-03 {LOCK}"));
    root.patch(&["refresh"]).exits(0);
    root.patch(&["apply", "--dry-run"]).exits(0);
    assert!(root.sandbox.exists(LOCK), "removed where nothing was to be installed");
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-hello 1.0-1 2.0-1"]);
    let removed = format!("{LOCK} is older than the last start of this machine");
    assert!(applied.stderr.contains(&removed), "{applied}");
    // The clock was set since.
    repo.publish(&[pkg("tb-hello", "3.0")]);
    let (holder, pid) = hold_lock(&root.sandbox, LOCK, FOR_EVER);
    root.sandbox.sh(&format!("touch -d 2001-02-03 {LOCK}"));
    let run = root.start(&["apply"]);
    run.wait_to_hear(&waits_for(pid));
    root.sandbox.signal(pid, "KILL");
    let applied = run.report();
    applied.applied(&["tb-hello 2.0-1 3.0-1"]);
    assert!(!applied.stderr.contains(&removed), "{applied}");
    holder.wait();
}

#[test]
fn after_a_power_cut_in_mid_install_the_next_apply_ends_it_by_itself() {
    let slow = pkg("tb-a", "2.0").script("[ -e /run/fast ] || { touch /run/in-script; sleep 60; }");
    let (root, _repo) = one(&[pkg("tb-a", "1.0"), pkg("tb-z", "1.0")], &[slow, pkg("tb-z", "2.0")]);
    let running = root.start(&["apply"]);
    root.sandbox.wait_for_file("/run/in-script");
    root.sandbox.kill_everything();
    running.wait();
    root.sandbox.sh(&format!("touch -d 2001-02-03 {LOCK}; touch /run/fast"));
    root.patch(&["apply"]).repaired().changed(&["tb-z 1.0-1 2.0-1"]).leaves_pending(&[]);
    assert!(!root.sandbox.exists(LOCK));
}

#[test]
fn a_lock_in_our_own_directory_that_somebody_holds_is_waited_for_and_one_that_nobody_holds_goes() {
    let (root, _repo) = pending_update();
    root.patch(&["refresh"]).exits(0);
    let (holder, pid) = hold_lock(&root.sandbox, PRIVATE_LOCK, FOR_EVER);
    let run = root.start(&["refresh"]);
    run.wait_to_hear(&waits_for(pid));
    root.sandbox.signal(pid, "KILL");
    run.report().exits(0);
    holder.wait();
    root.sandbox.sh(&format!("touch {PRIVATE_LOCK}"));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0);
    assert!(!refreshed.stderr.contains("waiting for the lock"), "{refreshed}");
    root.sandbox.sh(&format!("touch {PRIVATE_LOCK}"));
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

/// pacman itself leaves it where it is killed between the refresh and the download of an apply.
#[test]
fn a_lock_in_our_own_directory_that_is_left_in_mid_run_is_not_waited_for() {
    for before in ["-Suw", "--print", "-Qu"] {
        let (root, _repo) = pending_update();
        root.option("IgnorePkg = tb-other");
        let body = format!(
            "case \"$*\" in *{before}*) [ -e /run/left ] || {{ touch /run/left; touch {PRIVATE_LOCK}; }};; esac\n\
             exec /usr/bin/pacman \"$@\""
        );
        root.sandbox.write_script("/usr/local/bin/pacman", &body);
        let applied = root.patch(&["apply"]);
        applied.applied(&["tb-hello 1.0-1 2.0-1"]);
        assert!(root.sandbox.exists("/run/left"));
        assert!(applied.elapsed < at_leisure(10), "{applied}");
    }
}

#[test]
fn everything_killed_in_mid_install_is_explained_and_ended_by_the_next_apply() {
    let slow = pkg("tb-a", "2.0").script("[ -e /run/fast ] || { touch /run/in-script; sleep 60; }");
    let (root, _repo) = one(&[pkg("tb-a", "1.0"), pkg("tb-z", "1.0")], &[slow, pkg("tb-z", "2.0")]);
    let running = root.start(&["apply"]);
    root.sandbox.wait_for_file("/run/in-script");
    root.sandbox.kill_everything();
    running.wait();
    root.has_exactly(&["tb-a 2.0", "tb-z 1.0"]);
    let status = root.sandbox.run(&["linux-patch", "status"]).stdout;
    assert!(
        status.contains("interrupted in phase install") && status.contains(&format!("rm {LOCK}")),
        "{status}"
    );
    root.sandbox.write("/run/fast", "");
    let applied = root.patch(&["apply"]);
    applied
        .exits(2)
        .says("/error/class", "lock")
        .mentions("/error/message", &format!("rm {LOCK}"))
        .changed(&[]);
    // The run that was cut off must still be finished.
    let status = root.sandbox.run(&["linux-patch", "status"]).stdout;
    assert!(status.contains("interrupted in phase install"), "{status}");
    root.sandbox.sh(&format!("rm {LOCK}"));
    let applied = root.patch(&["apply"]);
    applied.repaired().changed(&["tb-z 1.0-1 2.0-1"]).leaves_pending(&[]);
    assert!(!root.sandbox.run(&["linux-patch", "status"]).stdout.contains("interrupted"));
    root.sandbox.runs_nothing();
}

#[test]
fn pacman_killed_alone_in_mid_install_is_told_with_what_is_left_to_do() {
    let slow = pkg("tb-a", "2.0").script("touch /run/in-script; until [ -e /run/go ]; do sleep 0.1; done");
    let (root, _repo) = one(&[pkg("tb-a", "1.0"), pkg("tb-z", "1.0")], &[slow, pkg("tb-z", "2.0")]);
    let running = root.start(&["apply"]);
    root.sandbox.wait_for_file("/run/in-script");
    root.sandbox.sh("kill -TERM $(pgrep -x pacman)");
    root.sandbox
        .wait_until("pacman is gone", || root.sandbox.processes().iter().all(|(_, name)| name != "pacman"));
    root.sandbox.write("/run/go", "");
    let applied = running.report();
    applied.apply_failed("interrupted").changed(&["tb-a 1.0-1 2.0-1"]).leaves_pending(&["tb-z 1.0-1 2.0-1"]);
    root.patch(&["apply"]).apply_failed("lock").mentions("/error/message", &format!("rm {LOCK}"));
    root.sandbox.wait_until("the script has ended", || root.sandbox.processes().is_empty());
    root.sandbox.sh(&format!("rm {LOCK}"));
    root.patch(&["apply"]).applied(&["tb-z 1.0-1 2.0-1"]);
}

#[test]
fn a_package_that_was_cut_off_is_never_passed_over_and_what_mends_it_is_said() {
    let cut = || pkg("tb-cut", "2.0").file("/usr/share/tb/more", "more");
    let (root, repo) = one(&[cut(), pkg("tb-hello", "1.0")], &[cut(), pkg("tb-hello", "1.0")]);
    root.sandbox.sh("pacman -Sy >/dev/null 2>&1");
    // As after a power failure between the files and the entry.
    root.sandbox.sh("rm /var/lib/pacman/local/tb-cut-2.0-1/* /usr/share/tb/more");
    // pacman itself sees nothing wrong, and nothing to do.
    assert!(root.installed().contains(&"tb-cut 2.0".to_string()));
    root.sandbox.sh("pacman -Su --noconfirm 2>&1 | grep 'there is nothing to do'");
    let applied = root.patch(&["apply"]);
    applied.exits(2).mentions("/error/message", "not completely installed: tb-cut").says("/repaired", false);
    repo.publish(&[cut(), pkg("tb-hello", "2.0")]);
    let applied = root.patch(&["apply"]);
    applied
        .apply_failed("interrupted")
        .mentions("/error/message", "an install of tb-cut-2.0-1 was cut off; remove ");
    applied.changed(&[]).mentions("/error/message", "pacman -S --overwrite '*'");
    root.sandbox
        .sh("rm -r /var/lib/pacman/local/tb-cut-2.0-1; pacman -S --noconfirm --overwrite '*' tb-cut 2>&1");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    assert!(root.sandbox.exists("/usr/share/tb/more"));
}

#[test]
fn a_lock_that_cannot_be_made_is_no_lock_that_somebody_holds() {
    for dir in ["/var/lib/linux-patch", "/var/lib/pacman"] {
        let (root, _repo) = pending_update();
        root.patch(&["refresh"]).exits(0);
        root.sandbox.sh(&format!("mount --bind {dir} {dir} && mount -o remount,ro,bind {dir}"));
        let applied = root.patch(&["apply", "--wait", "60s"]);
        applied.exits(2).says("/error/class", "space").mentions("/error/message", "is mounted read-only");
        assert!(applied.elapsed < at_leisure(30), "{applied}");
        root.sandbox.sh(&format!("umount {dir}"));
        root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    }
}
