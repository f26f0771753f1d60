//! How a command ended, and what it printed.

use rustix::process::Pid;
use std::time::Duration;

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
    /// Its exit code, if it ended by itself.
    pub fn code(self) -> Option<i32> {
        match self {
            End::Code(code) => Some(code),
            _ => None,
        }
    }

    /// Whether it crashed: nobody sends such a signal on purpose.
    pub fn is_crash(self) -> bool {
        use signal_hook::consts::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
        let signals = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP];
        matches!(self, End::Signal(signal) if signals.contains(&signal))
    }
}

/// A finished command with what it printed, of an install at most the last 32 MiB of each stream.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// What it wrote to the progress descriptor.
    pub progress: String,
    /// Time from start to end, or until we decided to end it.
    pub elapsed: Duration,
    /// Its process group, in which something may still run.
    pub group: Option<Pid>,
}

impl Finished {
    /// A command that ended by itself and printed this.
    pub fn ended(code: i32, stdout: &str, stderr: &str) -> Finished {
        Finished {
            end: End::Code(code),
            stdout: stdout.to_string(),
            stderr: stderr.to_string(),
            progress: String::new(),
            elapsed: Duration::ZERO,
            group: None,
        }
    }

    /// Both outputs, standard output first.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.stdout.lines().chain(self.stderr.lines())
    }

    /// The last line of these that says something.
    pub fn last_line(&self) -> Option<&str> {
        self.lines().rfind(|line| !line.trim().is_empty())
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
            progress: self.progress + &next.progress,
            elapsed: self.elapsed + next.elapsed,
            group: next.group,
        }
    }
}
