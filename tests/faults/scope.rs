//! Under systemd an install leaves the login session, whose end may end every process in it. A fake
//! systemd: the directory that says it runs, a busctl, and a control group that the test makes up.

use crate::leisure::at_leisure;

use crate::bench;
use crate::deb::deb;
use crate::report::Report;
use crate::sandbox::Sandbox;
use crate::tally::{share, tried};
use crate::world::in_parallel;

const SESSION: &str = "0::/user.slice/user-1000.slice/session-3.scope";

/// Moves the caller a moment after the answer, as systemd does.
const MOVES: &str = "(sleep 0.1; echo 0::/system.slice/linux-patch.scope >/run/cgroup) >/dev/null 2>&1 &";

/// An apply in such a control group, with such a busctl. Returns the arguments of busctl, and where the
/// install ran.
fn apply(cgroup: &str, busctl: Option<&str>, args: &str) -> (Report, String, String) {
    let update = deb("tb-hello", "2.0").script("postinst", "cat /run/cgroup >/run/installed-in");
    let (sandbox, _repo) = bench::one(&[deb("tb-hello", "1.0")], &[update]);
    sandbox.sh("mkdir -p /run/systemd/system");
    sandbox.write("/run/cgroup", format!("{cgroup}\n"));
    if let Some(lines) = busctl {
        sandbox.write_script("/usr/local/bin/busctl", &format!("echo \"$PPID $*\" >>/run/busctl\n{lines}"));
    } else {
        without_busctl(&sandbox);
    }
    let mut command = sandbox.command("sh");
    // The number stays the same, and so does what is mounted there.
    let script = "mount --bind /run/cgroup /proc/$$/cgroup && exec linux-patch --format json \"$@\"";
    command.args(["-c", script, "sh"]).args(args.split(' '));
    let report = sandbox.start(command).report();
    let read = |path| sandbox.read(path).unwrap_or_default().trim().to_string();
    (report, read("/run/busctl"), read("/run/installed-in"))
}

fn without_busctl(sandbox: &Sandbox) {
    sandbox.sh("rm -f /usr/bin/busctl /bin/busctl");
}

#[test]
fn an_install_leaves_the_login_session() {
    let sessions = [
        SESSION,
        "1:name=systemd:/user.slice/user-0.slice/session-c2.scope",
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-7.scope",
    ];
    let tries = &sessions[..share(1, sessions.len())];
    in_parallel(tries, |cgroup| {
        let (report, told, place) = apply(cgroup, Some(MOVES), "apply");
        report.applied(&["tb-hello 1.0 2.0"]);
        assert!(!report.stderr.contains("session"), "{report}");
        assert_eq!(place, "0::/system.slice/linux-patch.scope", "{told}");
        let words: Vec<_> = told.split(' ').collect();
        let (pid, manager) = (words[0], "org.freedesktop.systemd1.Manager StartTransientUnit");
        assert!(told.contains(manager) && told.contains(&format!("PIDs au 1 {pid}")), "{told}");
        assert!(words.iter().any(|word| word.starts_with(&format!("linux-patch-{pid}-"))), "{told}");
    });
    tried(tries.len(), "installs started in a login session");
}

#[test]
fn an_install_leaves_the_session_also_with_a_systemd_that_knows_less() {
    for (unknown, asked) in [("ManagedOOMPreference", 2), ("KillSignal", 3)] {
        let knows_less = format!(
            "case $* in *{unknown}*) echo 'Cannot set property {unknown}' >&2; exit 1;; esac; {MOVES}"
        );
        let (report, told, place) = apply(SESSION, Some(&knows_less), "apply");
        report.applied(&["tb-hello 1.0 2.0"]);
        assert_eq!(place, "0::/system.slice/linux-patch.scope", "{told}");
        assert!(!report.stderr.contains("session"), "{report}");
        let calls: Vec<_> = told.lines().collect();
        assert_eq!(calls.len(), asked, "{told}");
        assert!(calls[0].contains(" ManagedOOMPreference s omit "), "{told}");
        assert!(calls[1].contains(" 4 KillSignal i 18 TimeoutStopUSec t 18446744073709551615 "), "{told}");
    }
}

#[test]
fn an_install_goes_on_in_the_session_where_it_cannot_leave() {
    let fakes = [
        Some("echo 'Call failed: Connection refused' >&2; exit 1"),
        Some("exit 0"),
        Some("trap '' TERM; sleep 600"),
        Some("kill -9 $$"),
        None,
    ];
    let tries = &fakes[..share(2, fakes.len())];
    in_parallel(tries, |busctl| {
        let (report, _, place) = apply(SESSION, *busctl, "apply");
        report.applied(&["tb-hello 1.0 2.0"]);
        assert_eq!(place, SESSION);
        assert_eq!(report.stderr.contains("still in the login session"), busctl.is_some(), "{report}");
        assert!(report.elapsed < at_leisure(25), "{report}");
    });
    tried(tries.len(), "installs in a login session with a systemd that does not help");
}

#[test]
fn what_a_unit_started_and_what_installs_nothing_stays_where_it_is() {
    let tries = [
        ("0::/system.slice/linux-patch-apply.service", "apply"),
        ("0::/system.slice/ssh.service", "apply"),
        (SESSION, "apply --download-only"),
        (SESSION, "apply --dry-run"),
        (SESSION, "refresh"),
    ];
    let tries = &tries[..share(3, tries.len())];
    in_parallel(tries, |(cgroup, args)| {
        let (report, told, _) = apply(cgroup, Some(MOVES), args);
        report.exits(0);
        assert_eq!(told, "", "{report}");
    });
    tried(tries.len(), "runs that have no session to leave");
}

#[test]
fn a_repair_leaves_the_login_session() {
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 60)]);
    let run = sandbox.start(sandbox.patch_command(&["apply"]));
    sandbox.wait_for_file(bench::IN_POSTINST);
    sandbox.kill_everything();
    run.wait();
    sandbox.write("/run/fast", "");
    sandbox.sh("mkdir -p /run/systemd/system");
    sandbox.write("/run/cgroup", format!("{SESSION}\n"));
    sandbox.write_script("/usr/local/bin/busctl", &format!("touch /run/left\n{MOVES}"));
    sandbox.write_script("/usr/local/bin/dpkg", "cp /run/cgroup /run/repaired-in; exec /usr/bin/dpkg \"$@\"");
    let mut command = sandbox.command("sh");
    let script = "mount --bind /run/cgroup /proc/$$/cgroup && exec linux-patch --format json apply";
    command.args(["-c", script]);
    sandbox.start(command).report().repaired();
    assert_eq!(sandbox.read("/run/repaired-in").unwrap().trim(), "0::/system.slice/linux-patch.scope");
}
