//! Restricts a selection to some sources.

use super::super::stale::{Stale, is_one, of_other_sources, stale_updates};
use super::{Counted, MOST_ROUNDS, Selection};
use crate::driver::Session;
use crate::managers::Installed;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::text::is_printable;
use crate::model::updates::Update;
use crate::store::state::State;
use glob::Pattern;
use log::warn;
use std::collections::BTreeSet;
use std::path::Path;

impl Selection {
    /// What is pending, and the updates to leave out because only sources offer them that were not refreshed. If a
    /// refreshed source offers an older version that nothing keeps back, that one is pending instead.
    pub(super) fn pending_of_refreshed(
        &mut self,
        session: &Session,
        state: &State,
        dir: &Path,
    ) -> Result<(Listing, BTreeSet<String>), Failure> {
        self.plan.passed_over.clear();
        let mut pending = self.pending(session, state)?;
        let mut stale = stale_updates(session, state, &pending)?;
        for _ in 0..MOST_ROUNDS {
            let Some(without) = self.pass_over(session, dir, &mut stale)? else { break };
            let known = std::mem::take(&mut stale.names);
            pending = without;
            stale = stale_updates(session, state, &pending)?;
            // Such a list may not have them any more.
            stale.names.extend(known.into_iter().filter(|name| !pending.comes(name)));
        }
        self.of_others = self.choose_sources(session, dir, &mut pending)?;
        if !stale.names.is_empty() {
            let names: Vec<_> = stale.names.iter().map(String::as_str).collect();
            warn!("left out, because their source was not refreshed: {}", names.join(", "));
        }
        Ok((pending, stale.names))
    }

    /// Makes a plan that only mends unmet dependencies, and lists it. What is excluded stays. What only sources offer that
    /// were not refreshed is passed over, if it can be mended without.
    ///
    /// # Errors
    /// When the manager cannot list it, or the plan cannot be written down for it.
    pub fn mend(
        &mut self,
        session: &Session,
        state: &State,
        installed: &Installed,
        dir: &Path,
    ) -> Result<Listing, Failure> {
        self.plan.left_out = self.excluded_among(installed);
        self.plan.mends = true;
        self.plan.passed_over.clear();
        self.write(session, dir)?;
        let all = session.list(&self.plan)?;
        let mut proposed = all.clone();
        for _ in 0..MOST_ROUNDS {
            let stale = stale_updates(session, state, &proposed)?;
            let theirs = proposed.updates.iter().filter(|update| stale.names.contains(&update.name));
            let theirs = theirs.map(|update| (update.name.clone(), update.candidate.clone()));
            let before = self.plan.passed_over.len();
            self.plan.passed_over.extend(theirs.chain(stale.passed_over.iter().cloned()));
            if self.plan.passed_over.len() == before {
                return Ok(proposed);
            }
            self.write(session, dir)?;
            match session.list(&self.plan) {
                Ok(listing) if listing.removals.is_empty() && !listing.updates.is_empty() => {
                    proposed = listing
                }
                _ => break,
            }
        }
        self.plan.passed_over.clear();
        self.write(session, dir)?;
        Ok(all)
    }

    /// Prefers what the chosen sources offer to newer versions of other sources, if the manager can do that. Returns
    /// the updates that only other sources offer.
    pub(super) fn choose_sources(
        &mut self,
        session: &Session,
        dir: &Path,
        pending: &mut Listing,
    ) -> Result<BTreeSet<String>, Failure> {
        if self.from.is_empty() {
            return Ok(BTreeSet::new());
        }
        for _ in 0..MOST_ROUNDS {
            let mut others = of_other_sources(session, pending, &self.from)?;
            match self.pass_over(session, dir, &mut others)? {
                Some(without) => *pending = without,
                None => return Ok(others.names),
            }
        }
        let text = format!(
            "after {MOST_ROUNDS} tries other sources still offer newer versions than those of --from; \
             run apply without --from, or name the packages"
        );
        Err(Failure::new(Class::Dependency, text))
    }

    /// What is pending if the plan passes over these versions too; `None` where it passes over all of them already.
    fn pass_over(
        &mut self,
        session: &Session,
        dir: &Path,
        stale: &mut Stale,
    ) -> Result<Option<Listing>, Failure> {
        let before = self.plan.passed_over.len();
        self.plan.passed_over.append(&mut stale.passed_over);
        if self.plan.passed_over.len() == before {
            return Ok(None);
        }
        self.write(session, dir)?;
        let listing = session.ask_for_more(session.list(&self.plan)?, &self.plan)?;
        session.fill_in(listing, &|| Ok(self.plan.clone())).map(Some)
    }

    /// Leaves out too what comes only because others are left out, if it was not chosen, or would have been held back if
    /// it had been pending: a source may have the say about it, or alone offer it, that was not refreshed. What is pending
    /// was checked for that. Returns whether there is any.
    pub(super) fn leave_out_unchecked(
        &mut self,
        session: &Session,
        state: &State,
        planned: &Listing,
        counted: &Counted,
    ) -> Result<bool, Failure> {
        let is_unchecked =
            |update: &&Update| !counted.pending.brings(update) && !self.plan.left_out.contains(&update.name);
        let unchecked: Vec<_> = planned.updates.iter().filter(is_unchecked).collect();
        if unchecked.is_empty() {
            return Ok(false);
        }
        let is_change = |update: &&&Update| update.installed.is_some() || !update.replaces.is_empty();
        let is_unchosen =
            |update: &&&Update| counted.chosen.as_ref().is_some_and(|chosen| !chosen.contains(&update.name));
        let unchosen: Vec<_> = unchecked.iter().filter(is_change).filter(is_unchosen).collect();
        if !unchosen.is_empty() {
            self.plan.left_out.extend(unchosen.into_iter().map(|update| update.name.clone()));
            return Ok(true);
        }
        let listing = session.ask_for_more(planned.clone(), &self.plan)?;
        let listing = session.without_owned(listing, state, &self.plan)?;
        let mut stale = stale_updates(session, state, &listing)?;
        let names = || unchecked.iter().map(|update| &update.name);
        stale.passed_over.retain(|(name, _)| names().any(|unchecked| unchecked == name));
        let held = |name: &String| {
            let mut held = listing.held_back.iter().rev().filter(|held| held.name == *name);
            held.next().filter(|_| !listing.comes(name))
        };
        let of_reason = |name: &String| match held(name) {
            Some(held) => Some((name.clone(), held.reason.clone())),
            None => stale.names.contains(name).then(|| (name.clone(), "its source was not refreshed".into())),
        };
        let mut more: Vec<(String, String)> = names().filter_map(of_reason).collect();
        if more.is_empty() {
            // Without a reason of its own it may only have come with others.
            let gone = names().filter(|name| !listing.comes(name));
            more = gone.map(|name| (name.clone(), "it would have been held back".into())).collect();
        }
        for (name, reason) in more.iter().filter(|(name, _)| self.told_unchecked.insert(name.clone())) {
            warn!("{name} is left out too: {reason}");
        }
        let known = self.plan.passed_over.len();
        self.plan.passed_over.extend(stale.passed_over);
        let is_more = !more.is_empty() || self.plan.passed_over.len() > known;
        self.plan.left_out.extend(more.into_iter().map(|(name, _)| name));
        Ok(is_more)
    }

    /// Checks that every pattern matches a source: otherwise a typing error would look like nothing to do.
    ///
    /// # Errors
    /// When one matches none, with all that there are.
    pub(super) fn knows_sources(&mut self, state: &State) -> Result<(), Failure> {
        let is_any = |pattern: &&Pattern| {
            state.sources.iter().any(|source| is_one(std::slice::from_ref(pattern), &source.id))
        };
        let Some(unknown) = self.from.iter().find(|pattern| !is_any(pattern)) else { return Ok(()) };
        self.is_refused = true;
        let ids: Vec<_> = state.sources.iter().map(|source| source.id.as_str()).collect();
        let text = format!("--from {unknown} matches no source; there are: {}", ids.join(", "));
        Err(Failure::new(Class::Config, text))
    }

    /// The patterns of `--from`. An identifier may hold any printable character.
    ///
    /// # Errors
    /// When one is no pattern.
    pub(super) fn patterns_of(globs: &[String]) -> Result<Vec<Pattern>, String> {
        let pattern = |glob: &String| match Pattern::new(glob) {
            Ok(pattern) if !glob.trim().is_empty() && glob.chars().all(is_printable) => Ok(pattern),
            _ => Err(format!("{glob:?} is not a pattern of sources, like *-security")),
        };
        globs.iter().map(pattern).collect()
    }
}
