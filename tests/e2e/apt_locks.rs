//! Somebody else holds a lock: wait for it within the limit, then say who it is.

use std::time::{Duration, Instant};

use crate::bench::{self, END_POSTINST};
use crate::deb::deb;
use crate::leisure::{at_leisure, budget};
use crate::locks;
use crate::report::Report;
use crate::sandbox::Sandbox;

const FOR_EVER: Duration = Duration::from_secs(80);

/// The run gave up in time and said whom it waited for.
#[track_caller]
fn names_the_holder(report: &Report, pid: u32, place: &str) {
    report.mentions(place, &pid.to_string()).mentions(place, "perl");
    assert!(report.elapsed < at_leisure(12), "{report}");
}

/// An apply waits for a lock that is released after a moment.
#[track_caller]
fn apply_waits_for(path: &str) {
    let (sandbox, _repo) = bench::pending_update();
    let (holder, pid) = locks::hold(&sandbox, path, FOR_EVER);
    let run = sandbox.start(sandbox.patch_command(&["apply", "--wait", "60s"]));
    run.wait_to_hear("waiting for the lock of apt");
    sandbox.signal(pid, "KILL");
    run.report().applied(&["tb-hello 1.0 2.0"]).says("/retried", false);
    holder.wait();
}

/// An apply gives up on a lock that is never released, and the next one is fine.
#[track_caller]
fn apply_gives_up_on(path: &str) {
    let (sandbox, _repo) = bench::pending_update();
    let (holder, pid) = locks::hold(&sandbox, path, FOR_EVER);
    let report = sandbox.patch(&["apply", "--wait", "3s"]);
    report.apply_failed("lock").says("/retried", false).changed(&[]);
    names_the_holder(&report, pid, "/error/message");
    sandbox.has_exactly(&["tb-hello 1.0"]);
    sandbox.signal(pid, "KILL");
    holder.wait();
    sandbox.runs_nothing();
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
}

#[test]
fn an_apply_waits_for_the_lock_of_dpkgs_frontends() {
    apply_waits_for(locks::FRONTEND);
}

#[test]
fn an_apply_gives_up_on_the_lock_of_dpkgs_frontends() {
    apply_gives_up_on(locks::FRONTEND);
}

#[test]
fn an_apply_waits_for_the_lock_of_the_package_database() {
    apply_waits_for("/var/lib/dpkg/lock");
}

#[test]
fn an_apply_waits_for_the_lock_of_the_downloads() {
    // Which apt itself never waits for.
    apply_waits_for("/var/cache/apt/archives/lock");
}

#[test]
fn an_apply_waits_for_a_real_install_by_somebody_else() {
    let (sandbox, _repo) =
        bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0"), bench::slow("1.0", 80)]);
    sandbox.sh("apt-get -q update");
    let mut other = sandbox.command("apt-get");
    other.args(["-q", "-y", "install", "tb-slow"]);
    let other = sandbox.start(other);
    sandbox.wait_for_file(bench::IN_POSTINST);
    let run = sandbox.start(sandbox.patch_command(&["apply"]));
    run.wait_to_hear("waiting for the lock of apt");
    sandbox.sh(END_POSTINST);
    run.report().applied(&["tb-hello 1.0 2.0"]);
    assert_eq!(other.wait().code, 0);
    sandbox.has_exactly(&["tb-hello 2.0", "tb-slow 1.0"]);
}

#[test]
fn what_an_install_by_somebody_else_that_is_killed_brought_is_not_ours() {
    let (sandbox, repo) = bench::pending_update();
    let path = sandbox.bring(&bench::slow("1.0", 600));
    let keeper = repo.server.hold_back("/pool/");
    let running = sandbox.start(sandbox.patch_command(&["apply"]));
    sandbox.wait_until("the download has begun", || repo.server.requests("/pool/") > 0);
    let mut other = sandbox.command("dpkg");
    other.args(["--install", &path]);
    let other = sandbox.start(other);
    sandbox.wait_for_file(bench::IN_POSTINST);
    let dpkg = sandbox.processes().into_iter().find(|(_, name)| name == "dpkg").expect("no dpkg");
    sandbox.signal(dpkg.0, "KILL");
    other.wait();
    sandbox.sh(&format!("touch /run/fast; kill $(cat {})", bench::IN_POSTINST));
    drop(keeper);
    running.report().exits(2).says("/error/class", "interrupted").changed(&[]);
    sandbox.patch(&["apply"]).changed(&["tb-hello 1.0 2.0"]);
}

#[test]
fn a_real_refresh_by_somebody_else_that_hangs_is_named() {
    let (sandbox, repo) = bench::pending_update();
    repo.server.fault("/InRelease", crate::server::Fault::Hang);
    let mut other = sandbox.command("apt-get");
    other.args(["-q", "update"]);
    let other = sandbox.start(other);
    sandbox.wait_until("the index is asked for", || repo.refreshes() == 1);
    sandbox
        .patch(&["refresh", "--timeout", &budget(4)])
        .refresh_failed("lock")
        .mentions("/reason", "apt-get");
    let apt = |sandbox: &Sandbox| sandbox.processes().into_iter().find(|(_, name)| name == "apt-get");
    let (pid, _) = apt(&sandbox).expect("somebody else's apt-get was touched");
    sandbox.signal(pid, "TERM");
    other.wait();
}

#[test]
fn a_second_apply_waits_its_turn_and_then_says_whose_turn_it_is() {
    let (sandbox, _repo) = bench::one(&[bench::slow("1.0", 0)], &[bench::slow("2.0", 80)]);
    sandbox.sh(&format!("rm {}", bench::IN_POSTINST));
    let first = sandbox.start(sandbox.patch_command(&["apply"]));
    sandbox.wait_for_file(bench::IN_POSTINST);
    let pid = sandbox.state()["apply"]["in_progress"]["pid"].to_string();
    let second = sandbox.patch(&["apply", "--wait", "1s"]);
    second.exits(2).says("/error/class", "lock").mentions("/error/message", &pid);
    assert!(second.elapsed < at_leisure(4), "{second}");
    // The run that was turned away has not overwritten the state of the running one.
    assert_eq!(second.state["apply"]["in_progress"]["pid"].to_string(), pid, "{second}");
    let third = sandbox.start(sandbox.patch_command(&["apply", "--wait", "60s"]));
    third.wait_to_hear("waiting for linux-patch apply");
    sandbox.sh(END_POSTINST);
    third.report().applied(&[]);
    first.report().exits(0).says("/packages/0/name", "tb-slow");
}

#[test]
fn a_termination_while_waiting_for_a_lock_ends_the_run_at_once() {
    let (sandbox, _repo) = bench::pending_update();
    let (holder, pid) = locks::hold(&sandbox, locks::FRONTEND, FOR_EVER);
    let run = sandbox.start(sandbox.patch_command(&["apply"]));
    run.wait_to_hear("waiting for the lock of apt");
    sandbox.signal(sandbox.patch_pid(), "TERM");
    let since = Instant::now();
    let report = run.report();
    report.apply_failed("interrupted").remembers("/apply/last/outcome", "interrupted");
    assert!(since.elapsed() < at_leisure(8), "{report}");
    sandbox.signal(pid, "KILL");
    holder.wait();
    sandbox.runs_nothing();
    sandbox.has_exactly(&["tb-hello 1.0"]);
}
