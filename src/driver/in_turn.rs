//! A refresh that asks one source after the other, and is ended before it has come to all: the sources whose index was
//! stored count, the one that it waited for is named, and those behind that one are asked in another run. Lists and
//! installs after it do without the sources that failed.

use super::Session;
use super::refresh::Runs;
use crate::managers::{Asked, InTurn, Plan};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::SourceResult;
use crate::store::state::State;
use crate::system::process::{End, Finished, Invocation, Limits};
use std::collections::HashSet;
use std::time::Instant;

/// A source, and how far the refresh came with it.
struct Turn {
    asked: Asked,
    /// What became of it; `None` where nothing shows that the refresh was done with it.
    done: Option<Option<Failure>>,
    /// Whether the manager said at its end that it waited for this one.
    is_waited_for: bool,
}

impl Session {
    /// Whether the refresh has no other source to go on with, for a manager that asks them in turn.
    pub(super) fn asks_only_one(&self) -> Option<bool> {
        let in_turn = self.manager.in_turn()?;
        Some(in_turn.order(&self.source_files()).is_none_or(|order| order.len() < 2))
    }

    /// Asks the sources behind one for which the manager waited until its share of the time was over.
    pub(super) fn go_on_behind_slow(&mut self, label: &'static str, runs: &mut Runs, end: Instant) {
        let Some(in_turn) = self.manager.in_turn() else { return };
        loop {
            let Some(before) = runs.run.as_ref().ok().filter(|run| run.end == End::TimedOut).cloned() else {
                return;
            };
            let left = end.saturating_duration_since(Instant::now());
            let Some(order) = in_turn.order(&self.source_files()).filter(|_| !left.is_zero()) else { return };
            let mut turns = self.turns(order, &before);
            turns.retain(|turn| !runs.stopped.iter().any(|slow| slow.id == turn.asked.id));
            let Some(slow) = slow_one(&turns) else { return };
            let id = turns.remove(slow).asked.id;
            let (done, open): (Vec<_>, Vec<_>) = turns.into_iter().partition(|turn| turn.done.is_some());
            if open.is_empty() {
                return;
            }
            let failure = self.not_answered(&id, Class::Timeout);
            runs.stopped.push(SourceResult { id, error: Some(failure) });
            runs.stopped.extend(
                done.into_iter().map(|turn| SourceResult { id: turn.asked.id, error: turn.done.flatten() }),
            );
            let budget = if open.len() == 1 { left } else { self.manager.share(left) };
            let limits = Limits {
                deadline: Some(end),
                budget: Some(budget),
                interruptible: true,
                ..Limits::default()
            };
            let addresses: Vec<_> = open.iter().map(|turn| turn.asked.address.as_str()).collect();
            runs.invocation = in_turn.only(&addresses);
            runs.behind = open.into_iter().map(|turn| turn.asked.id).collect();
            let run = self.run(label, &runs.invocation, &limits);
            runs.run = run.map(|finished| before.followed_by(finished));
        }
    }

    /// The command with the sources that were refreshed alone, where a command line can say so. A manager that asks
    /// sources in turn knows no better one among them: it would take a version from one that failed, fetch there what
    /// another one has too, or wait for it, and nothing ends an install.
    pub fn with_refreshed(&self, command: Invocation, plan: &Plan) -> Invocation {
        self.refreshed_alone(&command, &plan.without).unwrap_or(command)
    }

    /// Says of a list that cannot be made from the sources that were refreshed alone which those are that it lacks.
    pub(super) fn tell_left_aside(&self, failure: Failure, plan: &Plan) -> Failure {
        if failure.class != Class::Dependency || !self.takes_refreshed_alone(&plan.without) {
            return failure;
        }
        let ids = plan.without.join(", ");
        let message = format!("{}; it may be in what was not refreshed: {ids}", failure.message);
        Failure { message, ..failure }
    }

    /// Whether lists and installs are made from the sources that were refreshed alone.
    pub fn takes_refreshed_alone(&self, failed: &[String]) -> bool {
        self.refreshed_alone(&self.manager.list(&Plan::default()), failed).is_some()
    }

    fn refreshed_alone(&self, command: &Invocation, failed: &[String]) -> Option<Invocation> {
        let in_turn = self.manager.in_turn().filter(|_| !failed.is_empty())?;
        in_turn.without(command, &in_turn.order(&self.source_files())?, failed)
    }

    /// What became of each source in a refresh that was ended for this reason.
    pub(super) fn results_in_turn(
        &self,
        in_turn: &dyn InTurn,
        finished: &Finished,
        cut: &Failure,
        state: &State,
    ) -> Vec<SourceResult> {
        let known = || state.sources.iter().map(|source| Asked::named(&source.id)).collect();
        let order = in_turn.order(&self.source_files()).filter(|order| !order.is_empty());
        let mut turns = self.turns(order.unwrap_or_else(known), finished);
        let slow = slow_one(&turns);
        let results = turns.drain(..).enumerate().map(|(nth, Turn { asked, done, .. })| {
            let open = || match slow == Some(nth) {
                true => self.not_answered(&asked.id, cut.class),
                false => cut.clone(),
            };
            let error = done.unwrap_or_else(|| Some(open()));
            SourceResult { id: asked.id, error }
        });
        let mut results: Vec<_> = results.collect();
        for told in self.manager.read_cut(finished).unwrap_or_default() {
            if !results.iter().any(|result| result.id == told.id) {
                results.push(told);
            }
        }
        results
    }

    /// How far the refresh came with each of these.
    fn turns(&self, order: Vec<Asked>, finished: &Finished) -> Vec<Turn> {
        let told = self.manager.read_cut(finished).unwrap_or_default();
        let files = self.source_files();
        let turn = |asked: Asked| {
            let told = told.iter().find(|told| told.id == asked.id).map(|told| told.error.clone());
            // The one that it waited for at its end is told so.
            let is_over =
                |error: &Option<Failure>| error.as_ref().is_some_and(|it| it.class == Class::Timeout);
            let is_waited_for = told.as_ref().is_some_and(is_over);
            let told = told.filter(|error| !is_over(error));
            let names = self.manager.packed_index().map(|index| index.names(&asked.id, &files));
            let is_stored = || names.is_some_and(|names| names.iter().any(|name| self.is_stored_anew(name)));
            let done = told.or_else(|| is_stored().then_some(None));
            Turn { asked, done, is_waited_for }
        };
        // One address may have several tags, and is asked once.
        let mut seen = HashSet::new();
        order.into_iter().filter(|asked| seen.insert(asked.id.clone())).map(turn).collect()
    }

    fn not_answered(&self, id: &str, class: Class) -> Failure {
        let text = format!("{id}: it had not answered when {} was ended", self.manager.facts().name);
        Failure::new(class, text)
    }
}

/// The place of the source that the manager waited for: it stores no index of those behind that one. What it says counts
/// more: apk 2 asks those of a command line in the opposite order.
fn slow_one(turns: &[Turn]) -> Option<usize> {
    if let Some(nth) = turns.iter().position(|turn| turn.is_waited_for && turn.done.is_none()) {
        return Some(nth);
    }
    let last = turns.iter().rposition(|turn| turn.done.is_some() && turn.asked.is_stored);
    let from = last.map_or(0, |last| last + 1);
    let is_open = |turn: &&Turn| turn.done.is_none() && turn.asked.is_stored;
    let open = turns[from..].iter().position(|turn| is_open(&turn)).map(|nth| from + nth);
    open.or_else(|| turns.iter().position(|turn| turn.done.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_that_is_waited_for_is_the_first_that_is_not_stored_behind_those_that_are() {
        let turn = |is_stored: bool, done: bool| Turn {
            asked: Asked { is_stored, ..Asked::named("x") },
            done: done.then_some(None),
            is_waited_for: false,
        };
        let waited_for = || Turn { is_waited_for: true, ..turn(true, false) };
        let stored = |done: &[bool]| done.iter().map(|done| turn(true, *done)).collect::<Vec<_>>();
        for (turns, slow) in [
            (stored(&[true, false, false]), Some(1)),
            (stored(&[false, false]), Some(0)),
            (stored(&[true, true]), None),
            // Nothing is stored of a directory.
            (vec![turn(false, false), turn(true, true), turn(true, false)], Some(2)),
            (vec![turn(true, true), turn(false, false), turn(true, false)], Some(2)),
            (vec![turn(false, false), turn(true, true)], Some(0)),
            // The manager has said it.
            (vec![turn(true, false), waited_for(), turn(true, false)], Some(1)),
            (vec![waited_for(), turn(true, true), turn(true, false)], Some(0)),
        ] {
            assert_eq!(slow_one(&turns), slow);
        }
    }
}
