//! Sources that are refreshed one by one, to find those that keep the manager from refreshing the others.

use super::Session;
use super::ended_early::AFTERWARDS;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{RefreshOutcome, SourceResult};
use crate::system::process::{End, Finished, Invocation, Limits};
use std::time::Instant;

impl Session {
    /// The sources that can be refreshed one by one: there are several, and the manager stores none of them before it
    /// has all.
    pub(super) fn sources_alone(&self, all: &Invocation) -> Vec<String> {
        let configuration = self.configuration().filter(|_| self.manager.alone(all, "").is_some());
        let ids = configuration.map(|text| self.manager.sources_in(text)).unwrap_or_default();
        if ids.len() > 1 { ids } else { Vec::new() }
    }

    /// Tries the sources alone after a refresh that stopped at one that the manager does not name, or crashed at it.
    pub(super) fn find_the_unnamed(
        &mut self,
        all: &Invocation,
        finished: &Finished,
        until: Instant,
    ) -> Option<(Invocation, Vec<SourceResult>)> {
        let mut ids = self.sources_alone(all);
        if finished.end.is_crash() {
            return self.try_alone(all, ids, until);
        }
        if ids.is_empty() || !matches!(finished.end, End::Code(_)) {
            return None;
        }
        let judged = self.manager.judge(finished);
        let can_be_of_one = |failure: Failure| {
            matches!(
                failure.class,
                Class::Config | Class::Fetch | Class::Network | Class::Auth | Class::Other
            )
        };
        if judged.outcome != RefreshOutcome::Failed || !judged.error.is_some_and(can_be_of_one) {
            return None;
        }
        ids.retain(|id| !judged.sources.iter().any(|source| source.id == *id));
        self.try_alone(all, ids, until)
    }

    /// Tries each of these sources alone for a share of the remaining time. Returns the refresh without those that
    /// failed again, and these sources; `None` where none or all failed.
    pub(super) fn try_alone(
        &mut self,
        all: &Invocation,
        ids: Vec<String>,
        until: Instant,
    ) -> Option<(Invocation, Vec<SourceResult>)> {
        let (mut others, mut slow) = (all.clone(), Vec::new());
        for (nth, id) in ids.iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            let share = left / (ids.len() - nth + 2) as u32;
            let limits = Limits { budget: Some(share), interruptible: true, ..Limits::default() };
            let invocation = self.manager.alone(all, id)?;
            let finished = self.run("refreshing the sources one by one", &invocation, &limits).ok()?;
            if matches!(finished.end, End::Interrupted(_)) {
                return None;
            }
            if let Some(failure) = self.manager.failure(&invocation, &finished) {
                let text = match failure.class {
                    Class::Timeout => format!("{id}: not refreshed within {:.1} s", share.as_secs_f64()),
                    _ if failure.message.contains(id.as_str()) => failure.message,
                    _ => format!("{id}: {}", failure.message),
                };
                others = self.manager.leave_out_source(others, id);
                // No signal came.
                let class = if finished.end.is_crash() { Class::Other } else { failure.class };
                slow.push(SourceResult { id: id.clone(), error: Some(Failure::new(class, text)) });
            }
        }
        // When the budget is spent, a moment is left for counting what is pending.
        self.deadline = self.deadline.map(|deadline| deadline.max(until + AFTERWARDS / 2));
        (!slow.is_empty() && slow.len() < ids.len()).then_some((others, slow))
    }
}
