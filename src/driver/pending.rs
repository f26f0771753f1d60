//! Counting what is pending.

use super::caveats::is_of_updates;
use super::{Purpose, Session};
use crate::managers::{Elsewhere, Installed, Manager, Plan};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::{HeldBack, Update};
use crate::store::state::{Pending, State};
use crate::system::files::fingerprint;
use crate::system::time::Time;
use log::warn;
use std::collections::HashSet;
use std::rc::Rc;

impl Session {
    /// A fingerprint of everything that can change what is pending.
    pub(super) fn pending_basis(&self) -> String {
        let own = self.own_index.iter().flat_map(|own| own.basis());
        self.basis_of(self.manager.facts().pending_basis(), own)
    }

    fn basis_of(&self, places: Vec<&str>, own_index: impl Iterator<Item = String>) -> String {
        let cache = self.places().cache.display().to_string();
        let in_place = |path: &str| match path.strip_prefix(self.manager.facts().cache) {
            Some(rest) => format!("{cache}{rest}"),
            None => path.to_string(),
        };
        let mut paths: Vec<String> = places.into_iter().map(in_place).collect();
        let Elsewhere { sources, index, .. } = self.elsewhere();
        paths.extend(sources.iter().chain(index).cloned());
        paths.extend(own_index);
        fingerprint(&paths.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A fingerprint of what is offered now, if nothing has changed since the last count.
    pub fn offer_as_counted(&self, state: &State) -> Option<String> {
        let counted = state.pending.as_ref().and_then(|pending| pending.basis.as_ref())?;
        (*counted == self.pending_basis()).then(|| self.offer())
    }

    /// A fingerprint of the sources, their index and the settings for them.
    pub fn offer(&self) -> String {
        let own = self.own_index.iter().map(|own| own.files().display().to_string());
        self.basis_of(self.manager.facts().offer_basis(), own)
    }

    /// A fingerprint of the package database.
    pub fn database_now(&self) -> String {
        fingerprint(&self.manager.facts().database_places(&self.database_elsewhere()))
    }

    /// Counts what is pending.
    pub fn count(&self, state: &mut State) {
        self.count_listed(state, true, None);
    }

    /// Notes that nothing is pending and nothing held back, where that is known without asking. The fingerprint is that
    /// of the package database before it was listed.
    pub fn count_none(&self, state: &mut State, database: String) {
        let known = Known { as_of: Time::now(), basis: self.pending_basis(), database };
        self.note_counted(state, Ok(Listing::default()), known);
    }

    /// Counts what is pending, unless nothing that decides about it has changed since the last count, as far as can be
    /// seen (and `changed` says). If a list of it is known already, it comes with the fingerprint of the package
    /// database at that time. If the count fails, "not known" and the reason are noted, never an old number.
    pub(super) fn count_listed(&self, state: &mut State, changed: bool, listed: Option<(Listing, String)>) {
        let as_of = Time::now();
        let mut impossible = self.still_impossible(state);
        let basis = self.pending_basis();
        let still = |pending: &&mut Pending| {
            let is_it = |listing: &Listing| {
                let mut listing = listing.clone();
                listing.leave_out(&impossible);
                same_updates(pending.packages(), &listing)
            };
            let same = listed.as_ref().is_none_or(|(listing, _)| is_it(listing));
            same && pending.error.is_none() && !changed && pending.basis.as_ref() == Some(&basis)
        };
        if let Some(pending) = state.pending.as_mut().filter(still) {
            pending.as_of = as_of;
            // An older program did not note that.
            let open = pending.open();
            pending.remember_first_seen(&open, true);
            return;
        }
        // What only a list shows is found again.
        impossible.retain(|held| !held.is_found_again());
        let (listing, database) = match listed {
            Some((listing, database)) => {
                let listing = self.not_of_an_empty_database(listing);
                let more = |listing| self.ask_for_more(listing, &self.choice(state)?);
                (listing.and_then(more), database)
            }
            None => {
                let database = self.database_now();
                (self.pending(state), database)
            }
        };
        let listing = listing.and_then(|listing| self.with_installed(listing));
        let of_all = || self.choice(state);
        let listing = listing.and_then(|listing| self.fill_in(listing, &of_all)).map(|mut listing| {
            listing.leave_out(&impossible);
            listing
        });
        if let Err(failure) = &listing {
            warn!("could not list the pending updates: {}", failure.message);
        }
        self.note_counted(state, listing, Known { as_of, basis, database });
    }

    fn note_counted(&self, state: &mut State, listing: Result<Listing, Failure>, known: Known) {
        let Known { as_of, basis, database } = known;
        let open = state.pending.as_ref().map(Pending::open).unwrap_or_default();
        let extra = state.pending.take().map(|pending| pending.extra).unwrap_or_default();
        let mut pending = match listing {
            Err(failure) => Pending { error: Some(failure), ..Pending::not_known(as_of) },
            Ok(listing) => Pending {
                count: Some(listing.updates.len()),
                security: security_count(self.manager, &listing),
                packages: Some(listing.updates),
                held_back: Some(listing.held_back),
                basis: Some(basis),
                database: Some(database),
                ..Pending::not_known(as_of)
            },
        };
        pending.remember_first_seen(&open, !state.not_refreshed().is_empty());
        if pending.count == Some(0) {
            state.caveats.retain(|caveat| !is_of_updates(caveat));
        }
        state.pending = Some(Pending { database_places: self.database_elsewhere(), extra, ..pending });
    }

    /// What an apply found impossible stays so until the next apply tries it again. But what could not be fetched then
    /// may be there now, and what waits for a source that was not refreshed is found again.
    fn still_impossible(&self, state: &State) -> Vec<HeldBack> {
        let pending = state.pending.as_ref().filter(|_| self.purpose == Purpose::Refresh);
        let found = pending.map(Pending::left_out_by_us).unwrap_or_default().into_iter();
        found.filter(|held| !held.class.is_some_and(Class::is_retried) && !held.lacks_source()).collect()
    }

    /// Fills in what the list itself does not say: what is held back and by whom, and security updates below the
    /// candidate. `plan` is what was listed.
    pub fn fill_in(
        &self,
        mut listing: Listing,
        plan: &dyn Fn() -> Result<Plan, Failure>,
    ) -> Result<Listing, Failure> {
        if self.manager.facts().lists_newer {
            let newer = self.manager.newer(self)?;
            self.hold_back_older(&mut listing, &newer, plan)?;
            let names = HashSet::<String>::from_iter(listing.names());
            for held in newer.into_iter().filter(|held| !names.contains(&held.name)) {
                match listing.held_back.iter_mut().find(|known| known.name == held.name) {
                    Some(known) => {
                        known.installed = known.installed.take().or(held.installed);
                        known.candidate = known.candidate.take().or(held.candidate);
                    }
                    None => listing.held_back.push(held),
                }
            }
            // Such a list gives every installed version. A package without one would be new, and keeps back another.
            let is_update = |held: &HeldBack| held.class.is_none() || held.installed.is_some();
            listing.held_back.retain(|held| !self.manager.facts().lists_installed || is_update(held));
            listing = listing.checked()?;
        }
        let installed = self.add_excluded(&mut listing)?;
        self.manager.tell_security(self, &mut listing)?;
        self.tell_holders(listing, installed)
    }

    /// Holds back what the administrator excludes, if the manager's lists leave that out. Returns the installed packages
    /// if it had to ask for them.
    fn add_excluded(&self, listing: &mut Listing) -> Result<Option<Rc<Installed>>, Failure> {
        let excluded = self.manager.excluded(self);
        if excluded.is_empty() {
            return Ok(None);
        }
        let installed = self.installed()?;
        let known = listing.updates.iter().map(|update| &update.name);
        let known: HashSet<_> =
            known.chain(listing.held_back.iter().map(|held| &held.name)).cloned().collect();
        for update in excluded.into_iter().filter(|update| !known.contains(&update.name)) {
            if let Some(package) = installed.get(&update.name) {
                let held = Update { installed: Some(package.version.clone()), ..update }.held_back("held");
                listing.held_back.push(held);
            }
        }
        *listing = std::mem::take(listing).checked()?;
        Ok(Some(installed))
    }

    /// Says of each update that the administrator holds that it is held.
    fn tell_holders(
        &self,
        mut listing: Listing,
        installed: Option<Rc<Installed>>,
    ) -> Result<Listing, Failure> {
        if !listing.held_back.is_empty() {
            let installed = installed.map_or_else(|| self.installed(), Ok)?;
            for held in &mut listing.held_back {
                if installed.get(&held.name).is_some_and(|package| package.is_held) {
                    held.reason = "held".to_string();
                }
            }
        }
        Ok(listing)
    }
}

/// When a count was taken, and the fingerprints of that time: of what decides about it, and of the package database.
struct Known {
    as_of: Time,
    basis: String,
    database: String,
}

/// How many of the updates are security updates; `None` where no update says whether it is one. Without any update it
/// is 0.
fn security_count(manager: &dyn Manager, listing: &Listing) -> Option<usize> {
    let told =
        manager.facts().knows_security && listing.updates.iter().any(|update| update.security.is_some());
    let secure = || listing.updates.iter().filter(|update| update.security == Some(true)).count();
    (told || listing.updates.is_empty()).then(secure)
}

/// Whether a list is what was pending at the last count.
fn same_updates(before: &[Update], listing: &Listing) -> bool {
    let sorted = |updates: &[Update]| -> Vec<_> {
        let key = |update: &Update| (update.name.clone(), update.candidate.clone(), update.source.clone());
        let mut keys: Vec<_> = updates.iter().map(key).collect();
        keys.sort();
        keys
    };
    sorted(before) == sorted(&listing.updates)
}
