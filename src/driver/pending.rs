//! Counting what is pending.

use super::Session;
use crate::managers::{Advisories, Installed, Manager, Origin};
use crate::model::outcome::{Class, Failure, HeldBack, KEPT_BACK, Listing, PHASED, Update};
use crate::model::told::{Advice, Told};
use crate::store::state::{Pending, State};
use crate::system::files::fingerprint;
use crate::system::time::Time;
use log::warn;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

impl Session {
    /// Counts what is pending, unless nothing that decides about it has changed since the last
    /// count, as far as can be seen and is known (`changed`). A count that fails leaves "not
    /// known" and the reason behind, never an old number.
    pub fn count(&self, state: &mut State, changed: bool) {
        self.count_listed(state, changed, None);
    }

    /// Likewise, with the list that the refresh printed, if it did, and the fingerprint that the
    /// package database had then.
    pub(super) fn count_listed(&self, state: &mut State, changed: bool, listed: Option<(Listing, String)>) {
        let as_of = Time::now();
        // What an apply found impossible stays so until the next apply tries it again. What could not
        // be fetched may be there now.
        let mut impossible = match &state.pending {
            Some(pending) if !self.counts_anew => pending.left_out_by_us(),
            _ => Vec::new(),
        };
        impossible.retain(|held| !held.class.is_some_and(Class::is_retried));
        let listed = listed.map(|(mut listing, database)| {
            listing.leave_out(&impossible);
            (listing, database)
        });
        let basis = self.pending_basis();
        let database_places = self.database_elsewhere();
        let still = |pending: &&mut Pending| {
            let same = listed.as_ref().is_none_or(|(listing, _)| same_updates(pending.packages(), listing));
            same && pending.error.is_none() && !changed && pending.basis.as_ref() == Some(&basis)
        };
        if let Some(pending) = state.pending.as_mut().filter(still) {
            pending.as_of = as_of;
            // One that an older program has left says it of none.
            let open = pending.open();
            pending.remember_first_seen(&open, true);
            return;
        }
        let open = state.pending.as_ref().map(Pending::open).unwrap_or_default();
        let (listing, database) = match listed {
            Some((listing, database)) => (Ok(listing), database),
            None => {
                let database = fingerprint(&self.manager.facts().database_places(&database_places));
                (self.pending(state), database)
            }
        };
        let listing = listing.and_then(|listing| self.with_installed(listing));
        let listing = listing.and_then(|listing| self.complete(listing)).map(|mut listing| {
            listing.leave_out(&impossible);
            listing
        });
        if let Err(failure) = &listing {
            warn!("could not list the pending updates: {}", failure.message);
        }
        let extra = state.pending.take().map(|pending| pending.extra).unwrap_or_default();
        let pending = Pending {
            as_of,
            count: None,
            security: None,
            error: None,
            packages: None,
            held_back: None,
            database_places,
            basis: None,
            database: None,
            known: Vec::new(),
            extra,
        };
        state.pending = Some(match listing {
            Err(failure) => Pending { error: Some(failure), ..pending },
            Ok(listing) => Pending {
                count: Some(listing.updates.len()),
                security: security_count(self.manager, &listing),
                packages: Some(listing.updates),
                held_back: Some(listing.held_back),
                basis: Some(basis),
                database: Some(database),
                ..pending
            },
        });
        let may_lack_some = !state.not_refreshed().is_empty();
        if let Some(pending) = &mut state.pending {
            pending.remember_first_seen(&open, may_lack_some);
        }
    }

    /// Fills in what the list itself does not say: what is held back and who holds it, and security
    /// updates that are not the candidate itself but below it.
    pub fn complete(&self, mut listing: Listing) -> Result<Listing, Failure> {
        if self.manager.facts().lists_newer {
            let newer = self.manager.newer(self)?;
            let names: HashSet<_> = listing.updates.iter().map(|update| update.name.clone()).collect();
            for held in newer.into_iter().filter(|held| !names.contains(&held.name)) {
                match listing.held_back.iter_mut().find(|known| known.name == held.name) {
                    Some(known) => {
                        known.installed = known.installed.take().or(held.installed);
                        known.candidate = known.candidate.take().or(held.candidate);
                    }
                    None => listing.held_back.push(held),
                }
            }
            // Such a list names each installed version: what has none would be new, and holds back another.
            let is_update = |held: &HeldBack| held.class.is_none() || held.installed.is_some();
            listing.held_back.retain(|held| !self.manager.facts().lists_installed || is_update(held));
            listing = listing.checked()?;
        }
        let open = listing
            .updates
            .iter()
            .filter(|update| update.security != Some(true) && update.installed.is_some());
        let held = listing.held_back.iter().map(|held| &held.name);
        let names: Vec<_> = open.map(|update| &update.name).chain(held).map(String::as_str).collect();
        if let Some(advisories) = self.manager.advisories() {
            self.tell_security(&mut listing, advisories)?;
            return self.tell_holders(listing);
        }
        let origins =
            if self.manager.facts().knows_security { self.origins(&names)? } else { HashMap::new() };
        // What stands above the candidate is not what would be installed.
        let secure = |name: &str, candidate: Option<&str>| {
            let of = origins.get(name).map(Vec::as_slice).unwrap_or_default();
            let is_it = |origin: &Origin| origin.version.is_some() && origin.version.as_deref() == candidate;
            let first = of.iter().position(is_it).unwrap_or(0);
            of[first..].iter().any(|origin| origin.is_security)
        };
        for update in &mut listing.updates {
            let told = origins.contains_key(&update.name).then_some(false);
            update.security =
                update.security.or(told).map(|known| known || secure(&update.name, Some(&update.candidate)));
        }
        self.tell_phased(&mut listing, &origins);
        for held in &mut listing.held_back {
            let is_asked = self.manager.facts().knows_security && self.manager.ask_origins(&[]).is_some();
            let told = || is_asked.then(|| secure(&held.name, held.candidate.as_deref()));
            held.security = held.security.or_else(told);
        }
        self.tell_holders(listing)
    }

    /// Finds the updates that only wait for their phase.
    fn tell_phased(&self, listing: &mut Listing, origins: &HashMap<String, Vec<Origin>>) {
        let waits = |held: &HeldBack| {
            let of = origins.get(&held.name).into_iter().flatten();
            held.reason == KEPT_BACK && of.into_iter().any(|origin| origin.is_candidate && origin.is_phased)
        };
        if !listing.held_back.iter().any(waits) {
            return;
        }
        let answer = self.manager.list_with_phased().and_then(|invocation| self.ask(&invocation).ok());
        let all = answer.map(|answer| self.manager.parse_list(&answer.stdout)).unwrap_or_default();
        let comes = |held: &HeldBack| all.updates.iter().any(|update| update.name == held.name);
        for held in listing.held_back.iter_mut().filter(|held| waits(held) && comes(held)) {
            held.reason = PHASED.to_string();
        }
    }

    /// What is held back by the administrator.
    fn tell_holders(&self, mut listing: Listing) -> Result<Listing, Failure> {
        if !listing.held_back.is_empty() {
            let installed = self.installed()?;
            for held in &mut listing.held_back {
                if installed.get(&held.name).is_some_and(|package| package.is_held) {
                    held.reason = "held".to_string();
                }
            }
        }
        Ok(listing)
    }

    /// Which updates are security updates, by advisories and their versions; and the fixes that are
    /// announced and cannot be had.
    fn tell_security(&self, listing: &mut Listing, advisories: Advisories) -> Result<(), Failure> {
        let Some(question) = self.manager.ask_origins(&[]) else { return Ok(()) };
        let origins = self.manager.parse_origins(&self.ask(&question)?.stdout);
        let Advisories { compare, ask_settled, list_security } = advisories;
        let mut told = listing.updates.iter().any(|update| origins.contains_key(&update.name));
        if !told && !listing.updates.is_empty() {
            let settled = self.ask(&ask_settled()).map(|answer| answer.stdout).unwrap_or_default();
            told = !self.manager.parse_origins(&settled).is_empty();
        }
        if !origins.is_empty() {
            missing_fixes(listing, &origins, &self.installed()?, compare);
        }
        if listing.updates.iter().any(|update| !update.replaces.is_empty()) {
            // Where that cannot be told, what stands in the list of advisories still is.
            let answer = self.ask(&list_security()).map(|answer| answer.stdout).unwrap_or_default();
            let mut security = self.manager.parse_list(&answer).updates;
            // The others are what these need.
            security.retain(|one| !one.replaces.is_empty());
            for update in &mut listing.updates {
                let same = |one: &&Update| one.name == update.name && one.candidate == update.candidate;
                if security.iter().any(|one| same(&one)) {
                    update.security = Some(true);
                }
            }
        }
        let settled = |name: &str, installed: Option<&str>, candidate: Option<&str>| -> Vec<&Origin> {
            let of = origins.get(name).map(Vec::as_slice).unwrap_or_default();
            let is_settled = |origin: &&Origin| {
                let Some(version) = origin.version.as_deref() else { return true };
                let is_below = installed.is_none_or(|old| compare(old, version) == Ordering::Less);
                is_below && candidate.is_some_and(|new| compare(version, new) != Ordering::Greater)
            };
            of.iter().filter(is_settled).collect()
        };
        let is_security = |settled: &[&Origin]| settled.iter().any(|origin| origin.is_security);
        told |= listing.updates.iter().any(|update| update.security.is_some());
        for update in &mut listing.updates {
            let settled = settled(&update.name, update.installed.as_deref(), Some(&update.candidate));
            update.security = update.security.or_else(|| told.then(|| is_security(&settled)));
            update.told.take(&advice_of(&settled));
        }
        for held in &mut listing.held_back {
            let settled = settled(&held.name, held.installed.as_deref(), held.candidate.as_deref());
            held.security = held.security.or_else(|| Some(is_security(&settled)));
            held.told.take(&advice_of(&settled));
        }
        Ok(())
    }
}

/// What one advisory says.
fn advised(fix: &Origin) -> Told {
    let mut told = Told::default();
    told.take(&advice_of(&[fix]));
    told
}

/// What the advisories among these say.
fn advice_of<'a>(settled: &[&'a Origin]) -> Vec<&'a Advice> {
    settled.iter().filter_map(|origin| origin.advice.as_ref()).collect()
}

/// Adds the fixes of installed packages that an advisory announces and no source offers: the newest of
/// each package.
fn missing_fixes(
    listing: &mut Listing,
    origins: &HashMap<String, Vec<Origin>>,
    installed: &Installed,
    compare: fn(&str, &str) -> Ordering,
) {
    for (name, of) in origins {
        let Some(package) = installed.get(name) else { continue };
        let is_offered = |version: &str| {
            let updates = listing.updates.iter().filter(|update| update.name == *name);
            let held = listing.held_back.iter().filter(|held| held.name == *name);
            let held = held.filter_map(|held| held.candidate.as_deref());
            let mut all = updates.map(|update| update.candidate.as_str()).chain(held);
            all.any(|candidate| compare(version, candidate) != Ordering::Greater)
        };
        let is_replaced = listing.updates.iter().any(|update| update.replaces.contains(name));
        let fixes = of.iter().filter(|origin| origin.is_security && !is_replaced);
        let fixes = fixes.filter_map(|origin| Some((origin, origin.version.as_deref()?)));
        let missing = fixes.filter(|(_, version)| {
            compare(&package.version, version) == Ordering::Less && !is_offered(version)
        });
        let Some((fix, version)) = missing.max_by(|one, other| compare(one.1, other.1)) else { continue };
        listing.held_back.push(HeldBack {
            name: name.clone(),
            installed: Some(package.version.clone()),
            candidate: Some(version.to_string()),
            reason: format!("{} announces this fix, but it is not offered here, or excluded", fix.source),
            class: None,
            security: Some(true),
            told: advised(fix),
            extra: Default::default(),
        });
    }
    listing.held_back.sort_by(|one, other| one.name.cmp(&other.name));
}

/// How many of the updates are security updates; `None` where that is told of none of them. Of no update
/// at all it is known.
fn security_count(manager: &dyn Manager, listing: &Listing) -> Option<usize> {
    let told =
        manager.facts().knows_security && listing.updates.iter().any(|update| update.security.is_some());
    let secure = || listing.updates.iter().filter(|update| update.security == Some(true)).count();
    (told || listing.updates.is_empty()).then(secure)
}

/// Whether a list holds what was pending at the last count.
fn same_updates(before: &[Update], listing: &Listing) -> bool {
    let key = |update: &Update| (update.name.clone(), update.candidate.clone(), update.source.clone());
    before.iter().map(key).eq(listing.updates.iter().map(key))
}
