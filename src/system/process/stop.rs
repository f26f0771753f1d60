//! Ending a command before it ends by itself, with everything that it has started.

use crate::system::files::entries;
use crate::system::lock_holders;
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process, kill_process_group, test_kill_process_group, waitpgid, waitpid,
};
use std::process::Child;
use std::time::{Duration, Instant};

/// How often the loop looks at deadline, signals and progress. The end of the child is noticed at once.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Time between the polite and the final signal.
pub const GRACE: Duration = Duration::from_secs(5);

/// Whether a process that said that it waits for a lock still does. It is stopped while we look. If it holds a lock it
/// goes on, because what it waited for may be running. `None` if it did not stop in time, so that nobody knows.
pub fn still_waits(pid: Pid) -> Option<bool> {
    let _ = kill_process(pid, Signal::STOP);
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let stands = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
    let until = Instant::now() + TICK;
    while !stands() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    let waits = stands().then(|| lock_holders::holds_no_lock(pid.as_raw_nonzero().get().unsigned_abs()));
    if waits != Some(true) {
        let _ = kill_process(pid, Signal::CONT);
    }
    waits
}

/// How long what a killed command has started is waited for: a daemon may be among it.
const REST: Duration = Duration::from_secs(60);

/// Whether something of a group still runs.
pub fn has_rest(group: Pid) -> bool {
    test_kill_process_group(group).is_ok()
}

/// Waits for the others of the group of a command that was killed, such as the script of a package.
pub fn wait_for_rest(group: Pid) {
    let until = Instant::now() + REST;
    while has_rest(group) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How long a command may go on after its helpers were ended.
const GENTLE: Duration = Duration::from_secs(3);

/// Ends the processes that a command has started, and gives it some seconds to end by itself, if there are any.
pub fn end_helpers(child: &mut Child) {
    let tasks = entries(format!("/proc/{}/task", child.id()));
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let helpers = lists.collect::<Vec<_>>().join(" ");
    let mut helpers =
        helpers.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).peekable();
    if helpers.peek().is_none() {
        return;
    }
    for helper in helpers {
        let _ = kill_process(helper, Signal::TERM);
    }
    let until = Instant::now() + GENTLE;
    while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends the whole group: TERM (and CONT for a stopped one), KILL after the grace time; then every process that left the
/// group and became our child. `meanwhile` is called while we wait.
pub fn terminate(child: &mut Child, group: Pid, strangers: &[Pid], meanwhile: &mut dyn FnMut()) {
    for signal in [Signal::TERM, Signal::KILL] {
        // ESRCH: there is nobody left, which is the aim.
        let _ = kill_process_group(group, signal);
        let _ = kill_process_group(group, Signal::CONT);
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            let reaped = !matches!(child.try_wait(), Ok(None));
            if reaped {
                // Members that lost their parent are our children now, and stay in the group until we take their exit
                // codes.
                while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
                if test_kill_process_group(group).is_err() {
                    return end_adopted(strangers);
                }
            }
            meanwhile();
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    end_adopted(strangers);
}

/// Kills the processes that made a session of their own and became our children when their parent died, and those that
/// these leave behind.
fn end_adopted(strangers: &[Pid]) {
    // One that forks faster than we kill, or that the kernel does not let go, must not keep us for ever.
    let until = Instant::now() + GRACE;
    loop {
        let adopted: Vec<_> = children().into_iter().filter(|pid| !strangers.contains(pid)).collect();
        if adopted.is_empty() || Instant::now() >= until {
            return;
        }
        for pid in adopted {
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Our own children.
pub fn children() -> Vec<Pid> {
    let listed = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::process::tests::{run_for, shell};
    use crate::system::process::{Capture, End, Invocation, Limits, run};

    #[test]
    fn a_spent_budget_ends_the_whole_group_even_when_it_ignores_term() {
        let script = "trap '' TERM; sleep 30 & echo $!; wait; sleep 30";
        let done = run_for(script, Duration::from_millis(300));
        assert_eq!(done.end, End::TimedOut);
        assert!(done.elapsed < GRACE);
        let pid: i32 = done.stdout.trim().parse().unwrap();
        let left = rustix::process::test_kill_process(Pid::from_raw(pid).unwrap());
        assert!(left.is_err(), "the sleeping child is still there");
    }

    #[test]
    fn a_spent_budget_asks_before_it_kills() {
        // Also one that is stopped.
        for waits in ["sleep 30 & wait", "kill -STOP $$; sleep 30"] {
            let script = format!("trap 'echo asked; exit 1' TERM; {waits}");
            let done = run_for(&script, Duration::from_millis(300));
            assert_eq!((done.end, &*done.stdout), (End::TimedOut, "asked\n"), "{waits}");
        }
    }

    #[test]
    fn a_group_that_ends_at_once_is_not_waited_for() {
        let started = Instant::now();
        let done = run_for("sleep 30 & sleep 30", Duration::from_millis(300));
        assert_eq!(done.end, End::TimedOut);
        assert!(started.elapsed() < GRACE, "the grace was waited out for processes that were gone");
    }

    #[test]
    fn a_command_that_is_ended_gently_can_put_away_what_its_helpers_did() {
        let limits = Limits { budget: Some(Duration::from_millis(300)), gently: true, ..Limits::default() };
        let script = shell("echo one; sleep 30; echo put away");
        let mut endings = 0;
        let done = run(&script, &limits, &Capture::in_memory().unwrap(), &mut |glimpse| {
            endings += usize::from(glimpse.is_ending);
        });
        let done = done.unwrap();
        assert_eq!((done.end, &*done.stdout, endings), (End::TimedOut, "one\nput away\n", 1));
        let stubborn = shell("sleep 30; sleep 30");
        let started = Instant::now();
        let done = run(&stubborn, &limits, &Capture::in_memory().unwrap(), &mut |_| {}).unwrap();
        assert_eq!(done.end, End::TimedOut);
        assert!(started.elapsed() < GENTLE + GRACE);
        // Without helpers there is nothing to wait for.
        let started = Instant::now();
        let done =
            run(&shell("exec sleep 30"), &limits, &Capture::in_memory().unwrap(), &mut |_| {}).unwrap();
        assert_eq!(done.end, End::TimedOut);
        assert!(started.elapsed() < GENTLE);
    }

    #[test]
    fn a_command_that_waits_for_a_lock_is_ended_unless_it_holds_one() {
        let limits = Limits { waits: Some("waiting"), ..Limits::default() };
        let run = |invocation: &Invocation| {
            run(invocation, &limits, &Capture::in_memory().unwrap(), &mut |_| {}).unwrap()
        };
        let done = run(&shell("echo waiting; sleep 30"));
        assert_eq!(done.end, End::Waiting);
        assert!(done.elapsed < GRACE);
        // It has got what it waited for, and is working.
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let script = "echo waiting; sleep 1; echo done".to_owned();
        let done = run(&Invocation::of("flock", [&*path, "-c", &script]));
        assert_eq!((done.end, &*done.stdout), (End::Code(0), "waiting\ndone\n"));
    }
}
