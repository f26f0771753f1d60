//! What may end a command before it ends by itself.

use super::finished::End;
use super::output::Output;
use std::time::{Duration, Instant};

/// What may end a command before it ends by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// At this moment the whole process group is ended.
    pub deadline: Option<Instant>,
    /// It is also ended when it has run for so long.
    pub budget: Option<Duration>,
    /// It is also ended when its progress has not moved for so long. Only for commands that report progress.
    pub stall: Option<Duration>,
    /// It is also ended when linux-patch receives a signal. `false` for an install: it goes on, and the signal is only
    /// noted.
    pub interruptible: bool,
    /// It is also ended when it prints a line with this beginning and holds no lock itself. It is then waiting for
    /// another process's lock, and we do that ourselves, within a budget. This includes an install, which has not begun
    /// then.
    pub waits: Option<&'static str>,
    /// If it is ended, the programs that it has started are ended first, and it gets some seconds to store what they
    /// had done.
    pub gently: bool,
}

impl Limits {
    /// Whether anything of ours may end the command at all. Only what it waits for in vain ([`Limits::waits`]) ends it all
    /// the same.
    pub fn may_end(&self) -> bool {
        self.interruptible || self.deadline.is_some() || self.budget.is_some() || self.stall.is_some()
    }

    /// How long a command may run that starts now, if that is limited.
    pub fn left(&self) -> Option<Duration> {
        let until = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        until.into_iter().chain(self.budget).min()
    }

    /// Which limit has been reached by a command that has run for so long.
    pub(super) fn reached(
        &self,
        signal: Option<&'static str>,
        elapsed: Duration,
        output: &mut Output,
    ) -> Option<End> {
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
