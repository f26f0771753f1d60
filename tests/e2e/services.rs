//! Which services still run code that an update has replaced.

use serde_json::{Value, json};

use crate::bench;
use crate::deb::{Deb, deb};
use crate::repo::Repo;
use crate::sandbox::Sandbox;

const LIBRARY: &str = "/usr/lib/tb/libtb.so.1";
const DAEMON: &str = "/usr/sbin/tb-daemon";

/// A library, and a daemon with it and one that has its own program alone.
fn library(version: &str) -> Deb {
    deb("tb-library", version).program(LIBRARY, "/lib/x86_64-linux-gnu/libm.so.6")
}

fn daemon(version: &str) -> Deb {
    deb("tb-daemon", version).program(DAEMON, "/usr/bin/sleep")
}

/// Starts a program that goes on.
fn start(sandbox: &Sandbox, line: &str) {
    const STARTERS: [&str; 6] = ["sh", "setsid", "env", "unshare", "chroot", "perl"];
    // One that was killed before may still be there.
    let before = sandbox.processes();
    let is_new = |process: &(u32, String)| {
        !STARTERS.contains(&process.1.as_str()) && before.iter().all(|(pid, _)| *pid != process.0)
    };
    sandbox.sh(&format!("setsid {line} >/dev/null 2>&1 </dev/null &"));
    sandbox.wait_until(line, || sandbox.processes().iter().any(is_new));
}

#[track_caller]
fn pending() -> (Sandbox, Repo) {
    let (sandbox, repo) = bench::one(&[library("1.0"), daemon("1.0")], &[library("1.0"), daemon("1.0")]);
    start(&sandbox, &format!("env LD_PRELOAD={LIBRARY} sleep 600"));
    start(&sandbox, &format!("{DAEMON} 600"));
    (sandbox, repo)
}

fn names(state: &Value) -> Vec<String> {
    let services = state["outdated_services"].as_array().expect("not known");
    services.iter().map(|service| service["unit"].as_str().unwrap().to_string()).collect()
}

#[test]
fn what_runs_a_replaced_library_or_program_is_named_until_it_is_restarted() {
    let (sandbox, repo) = pending();
    sandbox.patch(&["refresh"]).exits(0).remembers("/outdated_services", json!([]));
    repo.publish(&[library("2.0"), daemon("1.0")]);
    let applied = sandbox.patch(&["apply"]);
    applied.applied(&["tb-library 1.0 2.0"]).says("/reboot_required", false);
    assert_eq!(names(&applied.state), ["sleep"], "{applied}");
    repo.publish(&[library("2.0"), daemon("2.0")]);
    let applied = sandbox.run(&["linux-patch", "apply"]);
    let words = "2 services still run replaced code: sleep, tb-daemon";
    assert!(applied.code == 0 && applied.stdout.contains(words), "{applied:?}");
    let state = sandbox.state();
    let of_daemon = sandbox.processes().into_iter().find(|(_, name)| name == "tb-daemon").unwrap().0;
    assert_eq!(state["outdated_services"][1], json!({"unit": "tb-daemon", "processes": [of_daemon]}));
    let status = |args: &[&str]| sandbox.patch(&[&["status"], args].concat());
    status(&[]).exits(0).says("/outdated_services/0/unit", "sleep");
    status(&["--alert", "services"]).exits(1).says("/alerts/0", "2 services run replaced code");
    status(&["--alert", "services=critical"]).exits(2);
    // A service that was restarted is seen by the next refresh.
    sandbox.signal(of_daemon, "KILL");
    start(&sandbox, &format!("{DAEMON} 600"));
    assert_eq!(names(&sandbox.patch(&["refresh"]).exits(0).state), ["sleep"]);
    sandbox.kill_everything();
    sandbox.patch(&["refresh"]).exits(0).remembers("/outdated_services", json!([]));
    status(&["--alert", "services"]).exits(0).says("/outdated_services", json!([]));
}

/// Only code of packages counts. Other deleted files do not: a program in memory, temporary files, an administrator's
/// own programs.
#[test]
fn what_is_deleted_and_no_code_of_a_package_is_none() {
    let (sandbox, repo) = pending();
    sandbox.kill_everything();
    for dir in ["/tmp", "/var/tmp", "/run", "/dev/shm", "/usr/local/sbin", "/home", "/root", "/srv"] {
        let file = format!("{dir}/tb-own");
        sandbox.sh(&format!("mkdir -p {dir}; cp /usr/bin/sleep {file}"));
        start(&sandbox, &format!("{file} 600"));
        sandbox.sh(&format!("rm {file}"));
    }
    sandbox.write(
        "/srv/in-memory",
        "my $name = 'tb'; my $fd = syscall(319, $name, 0); open(my $file, '<', '/usr/bin/sleep'); local $/;\n\
         my $all = <$file>; syscall(1, $fd, $all, length $all) > 0 or die; exec \"/proc/self/fd/$fd\", 600;\n",
    );
    start(&sandbox, "perl /srv/in-memory");
    let deleted = sandbox.sh("grep -l 'r-xp.*(deleted)' /proc/[0-9]*/maps | wc -l");
    assert_eq!(deleted.trim(), "9", "{:?}", sandbox.processes());
    repo.publish(&[library("2.0"), daemon("2.0")]);
    let applied = sandbox.patch(&["apply"]);
    applied.applied(&["tb-daemon 1.0 2.0", "tb-library 1.0 2.0"]);
    applied.says("/outdated_services", json!([])).says("/reboot_required", false);
}

#[test]
fn the_message_bus_wants_a_reboot_instead() {
    let bus = |version: &str| deb("dbus-daemon", version).program("/usr/bin/dbus-daemon", "/usr/bin/sleep");
    let (sandbox, repo) = bench::one(&[bus("1.0")], &[bus("1.0")]);
    start(&sandbox, "/usr/bin/dbus-daemon 600");
    sandbox.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
    repo.publish(&[bus("2.0")]);
    let applied = sandbox.patch(&["apply"]);
    applied
        .applied(&["dbus-daemon 1.0 2.0"])
        .says("/outdated_services", json!([]))
        .says("/reboot_required", true);
    sandbox.patch(&["status", "--alert", "reboot", "--alert", "services"]).exits(1);
    sandbox.patch(&["refresh"]).exits(0).remembers("/reboot_required", true);
    // Somebody has restarted it.
    sandbox.kill_everything();
    sandbox.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
}

/// A container of this machine has files of its own.
#[test]
fn what_runs_in_another_root_has_updates_of_its_own() {
    let (sandbox, repo) = pending();
    sandbox.kill_everything();
    sandbox.sh("for file in /usr/bin/sleep /lib64/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/libc.so.6; do \
           mkdir -p /srv/root${file%/*}; cp -L $file /srv/root$file; done");
    start(&sandbox, "unshare --mount chroot /srv/root /usr/bin/sleep 600");
    sandbox.sh("rm /srv/root/usr/bin/sleep");
    let deleted = sandbox.sh("grep -h 'r-xp.*(deleted)' /proc/[0-9]*/maps");
    assert!(deleted.contains("/usr/bin/sleep (deleted)"), "{deleted}");
    repo.publish(&[library("2.0"), daemon("1.0")]);
    let applied = sandbox.patch(&["apply"]);
    applied.applied(&["tb-library 1.0 2.0"]).says("/outdated_services", json!([]));
}
