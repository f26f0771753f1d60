//! What the manager has answered in this run: what was asked before is not asked again, as long as nothing has changed.

use crate::system::process::{Finished, Invocation};

/// So many answers are kept.
const MOST_ANSWERS: usize = 8;
/// A longer answer, in bytes, is not kept.
const LONGEST: usize = 256 << 10;

/// The last answers of the manager.
#[derive(Debug, Default)]
pub(super) struct Answers(Vec<Answer>);

#[derive(Debug)]
struct Answer {
    question: Invocation,
    /// Fingerprint of everything that decides about the answer, from before the question.
    basis: String,
    finished: Finished,
}

impl Answers {
    /// The answer to this question from before, if it still holds.
    pub(super) fn known(&self, question: &Invocation, basis: &str) -> Option<Finished> {
        let same = |answer: &&Answer| answer.question == *question && answer.basis == basis;
        self.0.iter().find(same).map(|answer| answer.finished.clone())
    }

    /// Keeps an answer, in the place of an earlier one or of the oldest.
    pub(super) fn keep(&mut self, question: &Invocation, basis: String, finished: &Finished) {
        if finished.stdout.len() + finished.stderr.len() > LONGEST {
            return;
        }
        self.0.retain(|answer| answer.question != *question);
        if self.0.len() == MOST_ANSWERS {
            self.0.remove(0);
        }
        self.0.push(Answer { question: question.clone(), basis, finished: finished.clone() });
    }
}
