//! A source that failed is not an absent one: nothing is installed from it, and what it decides about stays.

use super::Session;
use crate::managers::Plan;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::Refreshed;
use crate::model::text::contains_any;
use crate::store::state::{Source, State};
use log::warn;
use std::collections::BTreeSet;

impl Session {
    /// A plan that installs only from sources that were refreshed.
    ///
    /// # Errors
    /// When the manager has to be asked how it names them, and does not say.
    pub fn choice(&self, state: &State) -> Result<Plan, Failure> {
        let only_sources = self.manager.arguments_of(self, state.refreshed())?;
        let is_known = |source: &&Source| {
            let words = self.manager.facts().unknown;
            source.error.as_ref().is_some_and(|error| !contains_any(&error.message, words))
        };
        let without: Vec<_> = state.sources.iter().filter(is_known).map(|source| source.id.clone()).collect();
        let never_read = without.iter().filter(|id| !self.has_index_of(id)).cloned().collect();
        let plan = Plan { without, never_read, only_sources, ..Plan::default() };
        let not_from = match plan.without.len() > plan.never_read.len() {
            true => self.manager.not_from(self, &plan),
            false => BTreeSet::new(),
        };
        Ok(Plan { not_from, ..plan })
    }

    /// The list without the packages that a source decides about that was not refreshed.
    pub fn without_owned(&self, listing: Listing, state: &State, plan: &Plan) -> Result<Listing, Failure> {
        if plan.without.is_empty() {
            return Ok(listing);
        }
        let class = state.sources.iter().find_map(|source| source.error.as_ref()).map(|error| error.class);
        self.manager.without_owned(self, listing, plan, class.unwrap_or(Class::Fetch))
    }

    /// An index past its own date of validity counts as not refreshed, even if it came just now.
    pub(super) fn add_expired(&self, refreshed: &mut Refreshed) {
        let expired = match self.manager.expired(self) {
            Ok(expired) => expired,
            Err(failure) => return warn!("could not ask for an expired index: {}", failure.message),
        };
        let is_any = !expired.is_empty();
        for expired in expired {
            if let Some(source) = refreshed.sources.iter_mut().find(|source| source.id == expired.id) {
                source.error = source.error.take().or(expired.error);
            }
        }
        if is_any {
            refreshed.judge_again();
        }
    }
}
