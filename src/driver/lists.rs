//! The lists of the manager: what is pending, what a plan would install.

use super::{Purpose, Session};
use crate::managers::{Plan, download_size};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::HeldBack;
use crate::store::state::State;
use crate::system::process::Finished;

/// So many updates may keep the others from being listed.
pub(super) const MOST_LEFT_OUT: usize = 100;

impl Session {
    /// Lists what a plan would install.
    pub fn list(&self, plan: &Plan) -> Result<Listing, Failure> {
        // Some lists fetch what is missing in the index.
        let question = self.with_limits(self.with_refreshed(self.manager.list(plan), plan));
        let finished = self.ask(&question).map_err(|failure| self.tell_left_aside(failure, plan))?;
        self.note_download(&finished);
        self.with_installed(self.manager.parse_list(&finished.stdout))
    }

    /// Lists what these packages bring with them.
    pub fn list_needs(&self, plan: &Plan, names: &[String]) -> Result<Listing, Failure> {
        let finished = self.ask(&self.with_refreshed(self.manager.list_needs(plan, names), plan))?;
        self.manager.parse_list(&finished.stdout).checked()
    }

    /// Remembers the download size of the list that was just made, if the manager says it.
    pub(super) fn note_download(&self, listed: &Finished) {
        self.download_size.set(download_size(&listed.stdout).or_else(|| download_size(&listed.stderr)));
    }

    /// Every newer version as an update, for managers that list nothing where one package cannot be had.
    pub fn newer_versions(&self) -> Result<Listing, Failure> {
        let newer = self.manager.newer(self)?;
        let updates = newer.into_iter().filter_map(HeldBack::into_update).collect();
        Listing { updates, ..Listing::default() }.checked()
    }

    /// What is newer than what is installed, of the sources that have an index. An upgrade may do more or less, but
    /// none is possible before all sources have an index.
    pub(super) fn newer_than_installed(&self) -> Result<Listing, Failure> {
        let newer = self.manager.newer(self)?.into_iter();
        let (held_back, updates): (Vec<_>, Vec<_>) = newer.partition(|newer| newer.reason == "held");
        let updates = updates.into_iter().filter_map(HeldBack::into_update).collect();
        Listing { updates, held_back, ..Listing::default() }.checked()
    }

    /// Lists what is pending, of the sources that were refreshed.
    pub(super) fn pending(&self, state: &State) -> Result<Listing, Failure> {
        self.has_database()?;
        let mut plan = self.choice(state)?;
        let mut left_out: Vec<HeldBack> = Vec::new();
        let mut is_each_tried = false;
        // One update that stops all others does not make these less pending.
        let finished = loop {
            let failure = match self.ask(&self.manager.pending(&plan)) {
                Ok(finished) => break finished,
                Err(failure) => failure,
            };
            if self.own_index.as_ref().is_some_and(|own| own.lacks(&plan.without)) {
                return self.newer_than_installed();
            }
            let is_known = |held: &HeldBack| plan.left_out.contains(&held.name);
            let mut new: Vec<_> = failure.culprits.iter().filter(|held| !is_known(held)).cloned().collect();
            if new.is_empty() && failure.class == Class::Dependency && !is_each_tried {
                is_each_tried = true;
                new = self.impossible_by_themselves(&plan)?;
            }
            if new.is_empty() || left_out.len() >= MOST_LEFT_OUT {
                return Err(failure);
            }
            left_out.extend(new);
            plan.left_out = left_out.iter().map(|held| held.name.clone()).collect();
        };
        self.note_download(&finished);
        let mut listing = self.manager.parse_pending(&finished.stdout).checked()?;
        listing.held_back.extend(left_out);
        let listing = self.not_of_an_empty_database(listing)?;
        let listing = self.ask_for_more(listing, &plan)?;
        self.without_owned(listing, state, &plan)
    }

    /// Passes a list on, unless it is empty because the package database is missing.
    ///
    /// # Errors
    /// When that is so.
    pub(super) fn not_of_an_empty_database(&self, listing: Listing) -> Result<Listing, Failure> {
        // An apply has read the database before.
        let is_known = self.purpose == Purpose::Apply;
        if self.manager.database().holds_manager() && listing.is_empty() && !is_known {
            self.installed()?;
        }
        Ok(listing)
    }

    /// The updates that cannot be installed even alone, for a manager that does not name the one that stops all others.
    pub(super) fn impossible_by_themselves(&self, plan: &Plan) -> Result<Vec<HeldBack>, Failure> {
        let newer = match self.manager.facts().only_whole {
            None => self.manager.newer(self)?,
            Some(_) => Vec::new(),
        };
        let tried = newer.into_iter().filter(|held| !plan.left_out.contains(&held.name)).take(MOST_LEFT_OUT);
        let impossible = tried.filter_map(|held| {
            let failure = self.ask(&self.manager.list_needs(plan, std::slice::from_ref(&held.name))).err()?;
            let is_it = failure.class == Class::Dependency;
            is_it.then_some(HeldBack { reason: failure.message, class: Some(failure.class), ..held })
        });
        Ok(impossible.collect())
    }

    /// Adds to a list of what is pending the things that the manager says only when asked.
    pub fn ask_for_more(&self, listing: Listing, plan: &Plan) -> Result<Listing, Failure> {
        self.manager.complete(self, plan, listing)?.checked()
    }

    /// Checks a list of the manager's, and fills in missing installed versions.
    ///
    /// # Errors
    /// When the list cannot be one, or the manager cannot say what is installed.
    pub fn with_installed(&self, listing: Listing) -> Result<Listing, Failure> {
        let mut listing = listing.checked()?;
        let lacks = listing.updates.iter().any(|update| update.installed.is_none())
            || listing.held_back.iter().any(|held| held.installed.is_none());
        if self.manager.facts().lists_installed || !lacks {
            return Ok(listing);
        }
        let installed = self.installed()?;
        let version = |name: &str| installed.get(name).map(|package| package.version.clone());
        for update in &mut listing.updates {
            update.installed = version(&update.name);
        }
        for held in &mut listing.held_back {
            held.installed = version(&held.name);
        }
        // dnf also lists what is no newer among what it skips.
        let is_newer = |held: &HeldBack| match (&held.candidate, &held.installed) {
            (Some(version), Some(installed)) if !self.manager.facts().lists_newer => {
                version != installed && self.manager.is_older(self, version, installed) != Some(true)
            }
            _ => true,
        };
        listing.held_back.retain(is_newer);
        Ok(listing)
    }
}
