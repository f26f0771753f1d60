//! Leaves the login session before an install. With KillUserProcesses=yes in logind.conf(5), the end of a session ends
//! every process in it, and so does a logout from a desktop anywhere.

use crate::system::boot;
use crate::system::process::{End, Finished, Invocation, Limits, ask, find};
use crate::system::time::Time;
use log::warn;
use std::time::{Duration, Instant};

/// How long systemd may take to move us.
const PATIENCE: Duration = Duration::from_secs(5);

/// If systemd is running, moves this process, and all that it starts from now on, from a login session into a scope of
/// its own. A process outside of a session stays where it is, and if the move fails the run goes on. `systemd-run
/// --scope` does the same, but only for a new process, and a run that it could not start would not take place.
pub fn leave_session() {
    let can = boot::is_systemd() && rustix::process::geteuid().is_root();
    if !can || !is_in_session(&cgroups()) || find("busctl").is_none() {
        return;
    }
    if let Err(cause) = ask_for_scope() {
        warn!("still in the login session, whose end may end the install: {cause}");
    }
}

fn ask_for_scope() -> Result<(), String> {
    // A stop of the scope, also at a shutdown, only waits: it sends SIGCONT instead of the SIGTERM that would reach the
    // package manager, and no SIGKILL later.
    let signal = rustix::process::Signal::CONT.as_raw();
    let waits = format!("KillSignal i {signal} TimeoutStopUSec t {}", u64::MAX);
    // Where memory runs out systemd-oomd kills nothing in it. An older systemd that cannot do one of these for a scope
    // makes one without it.
    let spared = format!("5 {waits} ManagedOOMPreference s omit");
    let mut done = start_scope(&spared)?;
    for properties in [format!("4 {waits}"), "2".to_string()] {
        if !matches!(done.end, End::Code(code) if code != 0) {
            break;
        }
        done = start_scope(&properties)?;
    }
    if done.end != End::Code(0) {
        return Err(format!("busctl said: {}{}", done.stderr, done.stdout));
    }
    // The answer says only that systemd will do it.
    let until = Instant::now() + PATIENCE;
    while is_in_session(&cgroups()) {
        if Instant::now() >= until {
            return Err("systemd did not move this process".to_string());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The number of properties and the first of them are the caller's.
fn start_scope(properties: &str) -> Result<Finished, String> {
    let pid = std::process::id().to_string();
    let name = format!("linux-patch-{pid}-{}.scope", Time::now().unix());
    let manager = "org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager";
    // Name, mode, properties, no further units.
    let call =
        format!("{manager} StartTransientUnit ssa(sv)a(sa(sv)) {name} fail {properties} PIDs au 1 {pid}");
    let invocation = Invocation::of("busctl", ["--system", "call"]).with(call.split(' '));
    let invocation = invocation.with(["Description", "s", "linux-patch apply", "0"]);
    // A signal does not end this wait: it may come from the connection that drops, just when the move is needed.
    let limits = Limits { budget: Some(PATIENCE), ..Limits::default() };
    ask(&invocation, &limits).map_err(|error| format!("could not run busctl: {error}"))
}

fn cgroups() -> String {
    std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default()
}

/// Whether one of systemd's lines of /proc/self/cgroup is below its slice of users. In a container the path can begin
/// with that of the machine, so the last slice counts.
fn is_in_session(cgroups: &str) -> bool {
    let of_systemd = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        rest.strip_prefix("name=systemd:").or_else(|| rest.strip_prefix(':')).map(str::to_owned)
    };
    let top = |name: &&str| ["user.slice", "system.slice", "machine.slice"].contains(name);
    let paths = cgroups.lines().filter_map(of_systemd);
    paths.into_iter().any(|path| path.rsplit('/').find(top) == Some("user.slice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_below_the_slice_of_users_is_in_a_session() {
        for (cgroups, expected) in [
            ("0::/user.slice/user-1000.slice/session-3.scope\n", true),
            ("4:memory:/x\n1:name=systemd:/user.slice/user-0.slice/session-c1.scope\n0::/\n", true),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-7.scope\n", true),
            ("0::/system.slice/linux-patch-apply.service\n", false),
            ("0::/system.slice/linux-patch-7-1700000000.scope\n", false),
            ("0::/system.slice/cron.service\n", false),
            // A unit in a container that a user runs.
            ("0::/user.slice/user-1000.slice/user@1000.service/c.scope/system.slice/x.service\n", false),
            ("0::/\n", false),
            ("4:memory:/user.slice\n", false),
            ("", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_in_session(cgroups), expected, "{cgroups}");
        }
    }
}
