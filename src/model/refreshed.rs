//! What a refresh did.

use crate::model::class::Class;
use crate::model::failure::Failure;
use serde::{Deserialize, Serialize};

/// How a refresh ended, judged by what happened to each source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefreshOutcome {
    /// Every configured source was refreshed.
    Fresh,
    /// Some were, some were not.
    Partial,
    /// None was. What a later program calls otherwise is no success that this one knows.
    #[serde(other)]
    Failed,
}

/// One source after one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceResult {
    /// The manager's own name for it, for apt `URI SUITE`.
    pub id: String,
    /// Why it was not refreshed; `None` when it was.
    pub error: Option<Failure>,
}

/// What one run of the manager's refresh did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The sources the manager spoke of.
    pub sources: Vec<SourceResult>,
    /// The verdict.
    pub outcome: RefreshOutcome,
    /// The decisive error; `None` exactly when the outcome is fresh.
    pub error: Option<Failure>,
    /// Whether anything of the index may have changed.
    pub changed: bool,
}

impl Refreshed {
    /// An attempt in which nothing was refreshed.
    pub fn failed(sources: Vec<SourceResult>, error: Failure) -> Self {
        Refreshed { sources, outcome: RefreshOutcome::Failed, error: Some(error), changed: true }
    }

    /// The verdict on an attempt, by what became of each source, by what stopped it before it came to all, and with the
    /// words for the case that there is no source.
    pub fn of(
        sources: impl IntoIterator<Item = (String, Option<Failure>)>,
        stopped: Option<Failure>,
        unnamed: &str,
    ) -> Self {
        let sources: Vec<_> = sources.into_iter().map(|(id, error)| SourceResult { id, error }).collect();
        let mut errors: Vec<_> = sources.iter().filter_map(|source| source.error.clone()).collect();
        let are_all = errors.len() == sources.len();
        let is_whole = stopped.is_none();
        errors.extend(stopped);
        match errors.into_iter().reduce(Failure::more_decisive) {
            None if sources.is_empty() => Refreshed::failed(sources, Failure::new(Class::Config, unnamed)),
            None => Refreshed { sources, outcome: RefreshOutcome::Fresh, error: None, changed: false },
            Some(error) if are_all || !is_whole => Refreshed::failed(sources, error),
            error => Refreshed { sources, outcome: RefreshOutcome::Partial, error, changed: false },
        }
    }

    /// Makes the verdict again, after more sources turned out to have failed.
    pub fn judge_again(&mut self) {
        let errors = || self.sources.iter().filter_map(|source| source.error.clone());
        let Some(error) = errors().reduce(Failure::more_decisive) else { return };
        let all = errors().count() == self.sources.len();
        self.outcome = if all { RefreshOutcome::Failed } else { RefreshOutcome::Partial };
        self.error = Some(self.error.take().map_or(error.clone(), |known| known.more_decisive(error)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_turned_out_to_have_failed_are_judged_by_their_number() {
        let judged = |classes: &[Option<Class>], before: Option<Class>| {
            let failure = |class: &Option<Class>| class.map(|class| Failure::new(class, "x"));
            let source = |class| SourceResult { id: "a".into(), error: failure(class) };
            let outcome = if before.is_some() { RefreshOutcome::Partial } else { RefreshOutcome::Fresh };
            let sources = classes.iter().map(source).collect();
            let mut judged = Refreshed { sources, outcome, error: failure(&before), changed: false };
            judged.judge_again();
            (judged.outcome, judged.error.map(|error| error.class))
        };
        let fetch = Some(Class::Fetch);
        assert_eq!(judged(&[None, None], None), (RefreshOutcome::Fresh, None));
        assert_eq!(judged(&[fetch, None], None), (RefreshOutcome::Partial, fetch));
        assert_eq!(judged(&[fetch, fetch], None), (RefreshOutcome::Failed, fetch));
        assert_eq!(judged(&[fetch, fetch], fetch), (RefreshOutcome::Failed, fetch));
        let space = Some(Class::Space);
        assert_eq!(judged(&[fetch, None], space), (RefreshOutcome::Partial, space), "the graver one");
        assert_eq!(judged(&[space, None], fetch), (RefreshOutcome::Partial, space), "the graver one");
    }
}
