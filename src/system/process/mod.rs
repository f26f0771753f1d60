//! Running one command: its own process group, output to files, a deadline, signals. Knows
//! nothing about packages.

mod capture;
mod environment;
mod finished;
mod invocation;
mod limits;
mod no_tty;
mod output;
mod stop;

pub use capture::Capture;
pub use environment::find;
pub use finished::{End, Finished};
pub use invocation::Invocation;
pub use limits::Limits;
pub use no_tty::shielded;
pub use stop::{has_rest, wait_for_rest};

use crate::system::signals;
use environment::{is_withheld, path_with_sbin};
use output::Output;
use rustix::process::Pid;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use stop::{TICK, children, end_helpers, still_waits, terminate};
use wait_timeout::ChildExt;

/// What can be seen of a running command.
#[derive(Debug)]
pub struct Glimpse<'a> {
    /// Output since the last glimpse, both streams, whole lines only.
    pub output: &'a str,
    /// The newest line of the progress descriptor.
    pub progress: &'a str,
    /// Time since its start.
    pub elapsed: Duration,
    /// Whether it is about to be ended before its time.
    pub is_ending: bool,
    /// A signal that was received and that does not end this command.
    pub ignored_signal: Option<&'static str>,
}

/// Runs a command to its end. Its standard input is the given one, never ours. It speaks English: LC_ALL is C, and
/// LANGUAGE, which outranks it for some managers, is unset.
///
/// # Errors
/// Only when it cannot be started.
pub fn run(
    invocation: &Invocation,
    limits: &Limits,
    capture: &Capture,
    watch: &mut dyn FnMut(&Glimpse),
) -> io::Result<Finished> {
    let started = Instant::now();
    let progress_file = invocation.progress_arg.map(|_| inherited_file()).transpose()?;
    let mut output = Output::from_now(capture, progress_file.as_ref())?;
    let (program, is_shielded) = program(invocation, limits)?;
    let mut command = command(program, invocation, progress_file.as_ref(), input_file(invocation.input)?);
    command.stdout(capture.out.try_clone()?).stderr(capture.err.try_clone()?);
    // A member of the group that makes its own session must not escape the deadline. When its parent dies it becomes
    // our child, and so is found.
    let adopt = |on: bool| {
        let _ = rustix::process::set_child_subreaper(on.then(rustix::process::getpid));
    };
    adopt(limits.may_end());
    // If a shell became this program by exec, its children are ours now, but none of our business.
    let strangers = children();
    let mut child = command.spawn()?;
    let (end, elapsed) = follow(&mut child, &strangers, started, limits, &mut output, watch)?;
    adopt(false);
    let ([stdout, stderr, progress], is_whole) = output.read()?;
    if let Some(error) = no_tty::start_error(end.code(), &stderr).filter(|_| is_shielded) {
        return Err(error);
    }
    // Nothing may be concluded from a part of what it said.
    let end = if is_whole || !limits.may_end() { end } else { End::Flooded };
    let group = Some(Pid::from_child(&child));
    Ok(Finished { end, stdout, stderr, progress, elapsed, group })
}

/// Watches a command until it ends, or ends it when it has reached a limit. Returns how it ended, and after how long it
/// ended or that was decided.
fn follow(
    child: &mut Child,
    strangers: &[Pid],
    started: Instant,
    limits: &Limits,
    output: &mut Output,
    watch: &mut dyn FnMut(&Glimpse),
) -> io::Result<(End, Duration)> {
    let group = Pid::from_child(child);
    let mut waits = false;
    loop {
        let ended = child.wait_timeout(TICK)?;
        let lines = output.look();
        waits |= limits.waits.is_some_and(|words| lines.lines().any(|line| line.starts_with(words)));
        let signal = signals::received();
        let elapsed = started.elapsed();
        watch(&Glimpse {
            output: &lines,
            progress: &output.progress_line,
            elapsed,
            is_ending: false,
            ignored_signal: signal.filter(|_| !limits.interruptible),
        });
        if let Some(exit) = ended {
            return Ok((natural_end(exit), started.elapsed()));
        }
        let cause = limits.reached(signal, elapsed, output).or_else(|| {
            // It says so once. Where nobody knows, we look again.
            let still = if waits { still_waits(group) } else { Some(false) };
            waits = still.is_none();
            (still == Some(true)).then_some(End::Waiting)
        });
        let Some(cause) = cause else {
            output.forget();
            continue;
        };
        let elapsed = started.elapsed();
        watch(&Glimpse {
            output: "",
            progress: &output.progress_line,
            elapsed,
            is_ending: true,
            ignored_signal: None,
        });
        if limits.gently && !matches!(cause, End::Flooded | End::Waiting) {
            end_helpers(child);
        }
        terminate(child, group, strangers, &mut || output.forget());
        return Ok((cause, elapsed));
    }
}

/// The program to start, and whether it runs behind a shield against terminals.
fn program(invocation: &Invocation, limits: &Limits) -> io::Result<(Command, bool)> {
    // By our PATH, not by the longer one of children: a program that is not on ours counts as missing.
    let program = find(invocation.program).ok_or_else(|| io::Error::other("it is not on PATH"))?;
    let shielded = if limits.may_end() { None } else { no_tty::shielded(&program) };
    if let Some(shielded) = shielded {
        return Ok((shielded, true));
    }
    let mut command = Command::new(&program);
    command.arg0(invocation.program);
    Ok((command, false))
}

/// A short question whose output only we see.
pub fn ask(invocation: &Invocation, limits: &Limits) -> io::Result<Finished> {
    run(invocation, limits, &Capture::in_memory()?, &mut |_| {})
}

fn command(
    mut command: Command,
    invocation: &Invocation,
    progress_file: Option<&File>,
    input: Option<File>,
) -> Command {
    if let (Some(arg), Some(file)) = (invocation.progress_arg, progress_file) {
        let number = file.as_raw_fd().to_string();
        command.arg(arg.replace("{}", &number));
    }
    command.args(&invocation.args).stdin(Stdio::null());
    if let Some(input) = input {
        command.stdin(input);
    }
    command.process_group(0);
    for (name, value) in std::env::vars_os() {
        let (text, value) = (name.to_string_lossy(), value.to_string_lossy());
        if is_withheld(&text, &value) || invocation.withheld.contains(&&*text) {
            command.env_remove(&name);
        }
    }
    command.env("LC_ALL", "C");
    command.env("PATH", path_with_sbin());
    command.envs(invocation.env.iter().copied());
    command.envs(invocation.vars.iter().map(|(name, path)| (name, path)));
    let defaults = invocation.env_defaults.iter().copied();
    command.envs(defaults.filter(|(name, _)| std::env::var_os(name).is_none()));
    command
}

/// A file with this text, to be read from its beginning.
fn input_file(text: &str) -> io::Result<Option<File>> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut file = File::from(rustix::fs::memfd_create("input", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(Some(file))
}

/// A file in memory that stays open in the child under its number, unlike all our others.
fn inherited_file() -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create("progress", rustix::fs::MemfdFlags::empty())?))
}

fn natural_end(exit: ExitStatus) -> End {
    match (exit.code(), exit.signal()) {
        (Some(code), _) => End::Code(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn shell(script: &str) -> Invocation {
        Invocation::of("sh", ["-c", script])
    }

    pub fn run_for(script: &str, budget: Duration) -> Finished {
        let limits = Limits { budget: Some(budget), ..Limits::default() };
        let capture = Capture::in_memory().unwrap();
        run(&shell(script), &limits, &capture, &mut |_| {}).unwrap()
    }

    #[test]
    fn both_streams_and_the_exit_code_come_back() {
        let done = run_for("echo out; echo err >&2; exit 7", Duration::from_secs(5));
        assert_eq!(done.end, End::Code(7));
        assert_eq!((&*done.stdout, &*done.stderr), ("out\n", "err\n"));
    }

    #[test]
    fn what_a_command_is_to_read_it_reads_also_by_name() {
        for script in ["cat", "cat /proc/self/fd/0"] {
            let invocation = Invocation { input: "one\ntwo\n", ..shell(script) };
            let capture = Capture::in_memory().unwrap();
            let done = run(&invocation, &Limits::default(), &capture, &mut |_| {}).unwrap();
            assert_eq!(done.stdout, "one\ntwo\n", "{script}");
        }
        assert_eq!(run_for("cat", Duration::from_secs(5)).stdout, "");
    }

    #[test]
    fn a_daemon_that_keeps_the_output_open_is_not_waited_for() {
        let done = run_for("sleep 5 & echo done", Duration::from_secs(4));
        assert_eq!((done.end, &*done.stdout), (End::Code(0), "done\n"));
        assert!(done.elapsed < Duration::from_secs(2));
    }

    #[test]
    fn a_flood_is_ended_and_never_taken_for_a_report() {
        let done = run_for("yes", Duration::from_secs(20));
        assert_eq!(done.end, End::Flooded);
        let quick = run_for("head -c 40000000 /dev/zero; exit 0", Duration::from_secs(20));
        assert_eq!(quick.end, End::Flooded);
    }

    #[test]
    fn a_killed_command_is_told_from_one_that_exits() {
        let done = run_for("kill -9 $$", Duration::from_secs(5));
        assert_eq!(done.end, End::Signal(9));
    }

    #[test]
    fn the_child_speaks_english_and_reads_nothing() {
        let done = run_for("echo $LC_ALL-$LANGUAGE; cat", Duration::from_secs(5));
        assert_eq!(done.stdout, "C-\n");
    }

    #[test]
    fn a_command_is_ended_when_its_progress_stands_still() {
        let run_with = |script: &str, stall| {
            let invocation = Invocation {
                program: "env",
                progress_arg: Some("FD={}"),
                args: ["sh", "-c", script].map(str::to_owned).into(),
                ..Invocation::default()
            };
            let limits = Limits { stall: Some(stall), ..Limits::default() };
            run(&invocation, &limits, &Capture::in_memory().unwrap(), &mut |_| {}).unwrap()
        };
        let say = "say() { echo dlstatus:1:$1:x >>/proc/self/fd/$FD; };";
        let short = Duration::from_millis(300);
        for script in ["say 1; exec sleep 30", "exec sleep 30", "while :; do say 1; sleep 0.1; done"] {
            assert_eq!(run_with(&format!("{say} {script}"), short).end, End::Stalled, "{script}");
        }
        let moving = format!("{say} for n in 1 2 3 4 5 6 7 8; do say $n; sleep 0.3; done");
        assert_eq!(run_with(&moving, Duration::from_secs(2)).end, End::Code(0));
    }

    #[test]
    fn progress_is_read_from_the_inherited_descriptor() {
        let mut invocation = shell("");
        invocation.progress_arg = Some("{}");
        let file = inherited_file().unwrap();
        let command = command(Command::new("sh"), &invocation, Some(&file), None);
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args[0], &*file.as_raw_fd().to_string());
    }
}
