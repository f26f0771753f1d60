//! What is taken for evidence: of an apply that runs, of a holder of a lock, of a run that was cut off.

use std::process::Command;

use crate::bench;
use crate::deb::deb;
use crate::locks;
use crate::report::Report;
use crate::rpm;
use crate::sandbox::Sandbox;
use crate::zypper;

/// A status for a user who may do nothing, who sees /proc as mounted with these options.
#[track_caller]
fn hidden_status(sandbox: &Sandbox, options: &str, args: &str) -> Report {
    let mut command: Command = sandbox.command("unshare");
    let script = format!(
        "mount -t proc -o {options} proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups \
         linux-patch --format json status {args}"
    );
    command.args(["--mount", "sh", "-ec", &script]);
    sandbox.start(command).report()
}

const HIDING: [&str; 3] = ["hidepid=2", "subset=pid", "hidepid=2,subset=pid"];

#[test]
fn a_running_apply_that_a_user_cannot_see_is_not_said_to_be_cut_off() {
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 60)]);
    let running = sandbox.start(sandbox.patch_command(&["apply"]));
    sandbox.wait_for_file(bench::IN_POSTINST);
    for options in HIDING {
        let seen = hidden_status(&sandbox, options, "");
        let sees = options == "subset=pid";
        seen.exits(0).says("/apply_interrupted", if sees { Some(false) } else { None });
        let critical = hidden_status(&sandbox, options, "--alert apply=critical");
        critical.exits(if sees { 0 } else { 3 });
        let mut text: Command = sandbox.command("unshare");
        let script = format!(
            "mount -t proc -o {options} proc /proc; exec setpriv --reuid=65534 --regid=65534 \
             --clear-groups linux-patch status"
        );
        text.args(["--mount", "sh", "-ec", &script]);
        let text = sandbox.start(text).wait().stdout;
        assert!(text.contains(if sees { "is running" } else { "not known whether it still runs" }), "{text}");
        assert!(!text.contains("interrupted") && !text.contains("dpkg"), "{text}");
    }
    sandbox.kill_everything();
    running.wait();
    for options in HIDING {
        hidden_status(&sandbox, options, "").says("/apply_interrupted", true);
    }
    sandbox.patch(&["status"]).says("/apply_interrupted", true);
}

#[test]
fn a_process_that_got_the_number_of_a_dead_apply_is_not_that_apply() {
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 60)]);
    let running = sandbox.start(sandbox.patch_command(&["apply"]));
    sandbox.wait_for_file(bench::IN_POSTINST);
    let pid = sandbox.patch_pid();
    sandbox.kill_everything();
    running.wait();
    // The next process gets this number. It holds a lock, as any daemon may.
    let script = format!(
        "echo {} >/proc/sys/kernel/ns_last_pid; flock /run/any sleep 80 & until flock -n /run/any true; [ $? = 1 ]; do :; done; \
         echo $! >/run/number; wait",
        pid - 1
    );
    let other = sandbox.start({
        let mut command = sandbox.command("sh");
        command.args(["-c", &script]);
        command
    });
    sandbox.wait_for_file("/run/number");
    assert_eq!(sandbox.read("/run/number").unwrap().trim(), pid.to_string());
    sandbox.patch(&["status"]).says("/apply_interrupted", true);
    sandbox.kill_everything();
    other.wait();
}

#[test]
fn a_number_in_a_lock_file_that_another_process_got_is_said_to_be_no_holder() {
    let (dnf, _repo) = rpm::pending_update();
    let (root, _repo) = zypper::pending_update();
    let all: [(&Sandbox, &str, &str); 2] =
        [(&dnf.sandbox, "dnf", "/var/lib/dnf/rpmdb_lock.pid"), (root.sandbox(), "zypper", "/run/zypp.pid")];
    for (sandbox, manager, file) in all {
        sandbox.sh(&format!("mkdir -p {}", file.rsplit_once('/').unwrap().0));
        let (holder, pid) = locks::hold_by_number(sandbox, file, std::time::Duration::from_secs(80));
        sandbox.sh(&format!("touch -d '1 hour ago' {file}"));
        let applied = sandbox.patch(&["--manager", manager, "apply"]);
        applied.apply_failed("lock").mentions("/error/message", &format!("rm {file}"));
        applied.mentions("/error/message", &format!("process {pid} (sleep"));
        assert!(applied.elapsed.as_secs() < 30, "{applied}");
        sandbox.sh(&format!("rm {file}"));
        sandbox.patch(&["--manager", manager, "apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
        sandbox.signal(pid, "KILL");
        holder.wait();
    }
}
