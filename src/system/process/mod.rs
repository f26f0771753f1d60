//! Running one command: its own process group, output to files, a deadline, signals. Knows
//! nothing about packages.

mod capture;
mod environment;
mod no_tty;
mod output;
mod stop;

pub use capture::Capture;
pub use environment::find;

use crate::system::signals;

use environment::{is_withheld, path_with_sbin};
use output::Output;
use rustix::process::Pid;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use stop::{TICK, children, end_helpers, still_waits, terminate};
use wait_timeout::ChildExt;

/// A command as data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Found on PATH.
    pub program: &'static str,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables it gets beside the inherited ones.
    pub env: &'static [(&'static str, &'static str)],
    /// Likewise, except those that the caller has set.
    pub env_defaults: &'static [(&'static str, &'static str)],
    /// Variables that it does not get.
    pub withheld: &'static [&'static str],
    /// Variables that name a file of this run.
    pub vars: Vec<(&'static str, PathBuf)>,
    /// Where set, the child inherits a descriptor for machine-readable progress, and this
    /// argument, with `{}` replaced by its number, goes first.
    pub status_arg: Option<&'static str>,
    /// What it reads from its standard input; `/dev/null` where that is nothing.
    pub input: &'static str,
    /// Settings that are put behind the administrator's for this command alone.
    pub settings: &'static str,
    /// Where set, this argument, with `{}` replaced by the manager's private directory, goes first.
    pub private_arg: Option<&'static str>,
}

impl Invocation {
    /// The command line for logs.
    pub fn line(&self) -> String {
        let mut line = self.program.to_string();
        for arg in &self.args {
            line.push(' ');
            line.push_str(arg);
        }
        if !self.input.is_empty() {
            line.push_str(&format!(" <<<{:?}", self.input));
        }
        line
    }
}

/// What may end a command before it ends by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// The whole process group is ended at this moment.
    pub deadline: Option<Instant>,
    /// Likewise when it has run for so long.
    pub budget: Option<Duration>,
    /// Likewise when its progress has not moved for so long; only for commands that report it.
    pub stall: Option<Duration>,
    /// Likewise when linux-patch receives a signal. `false` for an install: it goes on, and the
    /// signal is only noted.
    pub interruptible: bool,
    /// Likewise when it prints a line with this beginning and holds no lock itself: it then waits for a lock of
    /// others, and we do that ourselves, within a budget. This goes for an install too, which has not begun then.
    pub waits: Option<&'static str>,
    /// Where it is ended, the programs that it has started are ended first, and it gets some seconds to put
    /// away what they had done.
    pub gently: bool,
}

impl Limits {
    /// Whether anything of ours may end the command at all.
    pub fn may_end(&self) -> bool {
        self.interruptible || self.deadline.is_some() || self.budget.is_some() || self.stall.is_some()
    }

    /// Which of them a command has reached that has run for so long.
    fn reached(&self, signal: Option<&'static str>, elapsed: Duration, output: &mut Output) -> Option<End> {
        let is_over = |most: Option<Duration>, time: Duration| most.is_some_and(|most| time >= most);
        if let Some(signal) = signal.filter(|_| self.interruptible) {
            Some(End::Interrupted(signal))
        } else if self.deadline.is_some_and(|at| Instant::now() >= at) || is_over(self.budget, elapsed) {
            Some(End::TimedOut)
        } else if output.unmoved().is_some_and(|time| is_over(self.stall, time)) {
            Some(End::Stalled)
        } else {
            (self.may_end() && output.is_flood()).then_some(End::Flooded)
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Code(i32),
    /// A signal that was not ours killed it.
    Signal(i32),
    /// We ended it because its deadline passed.
    TimedOut,
    /// We ended it because it made no progress.
    Stalled,
    /// We ended it because it printed more than a report can be.
    Flooded,
    /// We ended it because it waited for a lock that another process holds.
    Waiting,
    /// We ended it because we received this signal.
    Interrupted(&'static str),
}

impl End {
    /// The code that it exited with by itself.
    pub fn code(self) -> Option<i32> {
        match self {
            End::Code(code) => Some(code),
            _ => None,
        }
    }

    /// Whether it stumbled over itself: no such signal is sent by anybody else.
    pub fn is_crash(self) -> bool {
        use signal_hook::consts::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
        let signals = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP];
        matches!(self, End::Signal(signal) if signals.contains(&signal))
    }
}

/// A finished command with all it printed.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// What it wrote to the progress descriptor.
    pub status: String,
    /// Wall time from start to end, or until we decided to end it.
    pub elapsed: Duration,
}

impl Finished {
    /// A command that ended by itself and printed this.
    pub fn ended(code: i32, stdout: &str, stderr: &str) -> Finished {
        Finished {
            end: End::Code(code),
            stdout: stdout.to_string(),
            stderr: stderr.to_string(),
            status: String::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Whether it ended by itself with 0.
    pub fn succeeded(&self) -> bool {
        self.end == End::Code(0)
    }

    /// This command and the next, as if one command had printed all of it.
    pub fn followed_by(self, next: Finished) -> Finished {
        Finished {
            end: next.end,
            stdout: self.stdout + &next.stdout,
            stderr: self.stderr + &next.stderr,
            status: self.status + &next.status,
            elapsed: self.elapsed + next.elapsed,
        }
    }
}

/// What can be seen of a running command.
#[derive(Debug)]
pub struct Glimpse<'a> {
    /// Output since the last glimpse, both streams, whole lines only.
    pub output: &'a str,
    /// The newest line of the progress descriptor.
    pub status: &'a str,
    /// Time since its start.
    pub elapsed: Duration,
    /// Whether it is about to be ended before its time.
    pub is_ending: bool,
    /// A signal that was received and that does not end this command.
    pub ignored_signal: Option<&'static str>,
}

/// Runs a command to its end. Its standard input is the one given, never ours, and it speaks English: LC_ALL is
/// C, and LANGUAGE, which overrules even that for some managers, is not there.
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
    let status_file = match invocation.status_arg {
        Some(_) => Some(inherited_file()?),
        None => None,
    };
    let mut output = Output::from_now(capture, status_file.as_ref())?;
    let (program, is_shielded) = program(invocation, limits)?;
    let mut command = command(program, invocation, status_file.as_ref(), input_file(invocation.input)?);
    command.stdout(capture.out.try_clone()?).stderr(capture.err.try_clone()?);
    // A group member that makes a session of its own must not escape the deadline: it becomes
    // our child when its parent dies, and is found again.
    let adopt = |on: bool| {
        let _ = rustix::process::set_child_subreaper(on.then(rustix::process::getpid));
    };
    adopt(limits.may_end());
    // A shell that becomes us by exec leaves us its children: they are none of our business.
    let strangers = children();
    let mut child = command.spawn()?;
    let (end, elapsed) = follow(&mut child, &strangers, started, limits, &mut output, watch)?;
    adopt(false);
    let ([stdout, stderr, status], is_whole) = output.read()?;
    if let Some(error) = no_tty::start_error(end.code(), &stderr).filter(|_| is_shielded) {
        return Err(error);
    }
    // Nothing good may be concluded from a part of what it said.
    let end = if is_whole || !limits.may_end() { end } else { End::Flooded };
    Ok(Finished { end, stdout, stderr, status, elapsed })
}

/// Watches a command until it ends, or ends it where it has reached a limit; how it ended, and after how long that
/// was so or was decided.
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
            status: &output.status_line,
            elapsed,
            is_ending: false,
            ignored_signal: signal.filter(|_| !limits.interruptible),
        });
        if let Some(exit) = ended {
            return Ok((natural_end(exit), started.elapsed()));
        }
        let cause = limits.reached(signal, elapsed, output).or_else(|| {
            let is_waiting = std::mem::take(&mut waits) && still_waits(group);
            is_waiting.then_some(End::Waiting)
        });
        let Some(cause) = cause else {
            output.forget();
            continue;
        };
        let elapsed = started.elapsed();
        watch(&Glimpse {
            output: "",
            status: &output.status_line,
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

/// What is to be started, and whether it stands behind a shield against terminals.
fn program(invocation: &Invocation, limits: &Limits) -> io::Result<(Command, bool)> {
    // By our PATH, not by the longer one that the child gets: what is not on it is not there.
    let program = find(invocation.program).ok_or_else(|| io::Error::other("it is not on PATH"))?;
    let shielded = if limits.may_end() { None } else { no_tty::shielded(&program) };
    if let Some(shielded) = shielded {
        return Ok((shielded, true));
    }
    let mut command = Command::new(&program);
    command.arg0(invocation.program);
    Ok((command, false))
}

/// A short question whose output goes nowhere but to us.
///
/// # Errors
/// When it cannot be started.
pub fn ask(invocation: &Invocation, limits: &Limits) -> io::Result<Finished> {
    run(invocation, limits, &Capture::in_memory()?, &mut |_| {})
}

fn command(
    mut command: Command,
    invocation: &Invocation,
    status_file: Option<&File>,
    input: Option<File>,
) -> Command {
    if let (Some(arg), Some(file)) = (invocation.status_arg, status_file) {
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

/// A file in memory that, unlike all our others, stays open in the child under its number.
fn inherited_file() -> io::Result<File> {
    let file = File::from(rustix::fs::memfd_create("status", rustix::fs::MemfdFlags::empty())?);
    Ok(file)
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
        Invocation { program: "sh", args: vec!["-c".into(), script.into()], ..Invocation::default() }
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
                status_arg: Some("FD={}"),
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
        invocation.status_arg = Some("{}");
        let file = inherited_file().unwrap();
        let command = command(Command::new("sh"), &invocation, Some(&file), None);
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args[0], &*file.as_raw_fd().to_string());
    }
}
