//! Excluded packages, and the updates that stay because of them.

use super::{MOST_ROUNDS, Selection};
use crate::commands::exclude::matches;
use crate::driver::Session;
use crate::managers::{Installed, Plan};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::{HeldBack, KEPT_BACK, Update, WITHOUT_OTHERS};
use crate::store::state::State;
use glob::Pattern;
use log::warn;
use std::collections::BTreeSet;
use std::path::Path;

impl Selection {
    /// If a package turned out to be impossible, what needs it is impossible too: the manager keeps it back only while
    /// that one is left out. Where something is excluded, what was not planned before depends on that, and is left to the
    /// user.
    pub(super) fn note_dependents(
        &mut self,
        planned: &Listing,
        pending: &Listing,
        wanted: &BTreeSet<String>,
    ) {
        if self.impossible.is_empty() {
            return;
        }
        let goes = |name: &String| planned.removals.iter().any(|(gone, _)| gone == name);
        let stays = |update: &&Update| {
            wanted.contains(&update.name) && !planned.comes(&update.name) && !goes(&update.name)
        };
        let names: Vec<_> = self.impossible.iter().map(|held| held.name.as_str()).collect();
        let without = format!(" without what stays as it is: {}", names.join(", "));
        let of_one = |update: &Update| {
            let was_planned = self.planned.contains(&update.name);
            let reason = match planned.held(&update.name) {
                Some(held) if self.exclude.is_empty() || was_planned => &held.reason,
                // Some managers give no reason.
                None if was_planned => KEPT_BACK,
                _ => return None,
            };
            Some(update.clone().left_out(Class::Dependency, &format!("{reason}{without}")))
        };
        let dependents: Vec<_> = pending.updates.iter().filter(stays).filter_map(of_one).collect();
        self.leave_out(dependents);
    }

    /// Warns of patterns of `--exclude` that match nothing, and says which updates stay because of the others: those
    /// that need what is excluded.
    pub(super) fn tell_excludes(
        &mut self,
        installed: &Installed,
        planned: &Listing,
        pending: &Listing,
        wanted: &BTreeSet<String>,
    ) {
        if self.exclude.is_empty() || std::mem::replace(&mut self.is_told_of_excludes, true) {
            return;
        }
        let plain = |name: &str| self.manager.database().plain_name(name).to_string();
        let is_known = |pattern: &&Pattern| {
            let updates = pending.updates.iter().map(|update| &update.name);
            let mut names = updates.chain(installed.keys());
            names.any(|name| matches(std::slice::from_ref(pattern), name, &plain(name)))
        };
        for pattern in self.exclude.iter().filter(|pattern| !is_known(pattern)) {
            warn!("--exclude {pattern} matches no installed package");
        }
        let stays = |update: &&Update| {
            wanted.contains(&update.name)
                && !self.is_excluded(&update.name)
                && !planned.comes(&update.name)
                // Nothing else is in its way.
                && self.impossible.iter().all(|held| held.name != update.name)
        };
        let dragged: Vec<_> =
            pending.updates.iter().filter(stays).map(|update| update.name.as_str()).collect();
        if !dragged.is_empty() {
            warn!("left out too, because of what is excluded: {}", dragged.join(", "));
        }
    }

    /// The updates of a plan that need an older version of another package, as they may once others are left out.
    pub(super) fn hold_back_older(
        &mut self,
        session: &Session,
        planned: &mut Listing,
        pending: &Listing,
    ) -> Result<Vec<String>, Failure> {
        if !self.manager.facts().lists_newer {
            return Ok(Vec::new());
        }
        let known = planned.held_back.len();
        let updates = pending.updates.iter().map(|update| update.clone().held_back(""));
        let newer: Vec<_> = updates.chain(pending.held_back.iter().cloned()).collect();
        session.hold_back_older(planned, &newer, &|| Ok(self.plan.clone()))?;
        if self.is_everything() {
            // A count does not find that again. After another choice it is none of its business.
            for held in &mut planned.held_back[known..] {
                held.reason = format!("{WITHOUT_OTHERS}: {}", held.reason);
            }
        }
        let needing = planned.held_back[known..].to_vec();
        let names = needing.iter().map(|held| held.name.clone()).collect();
        self.leave_out(needing);
        Ok(names)
    }

    /// The installed packages that `--exclude` names.
    pub fn excluded_among(&self, installed: &Installed) -> Vec<String> {
        installed.keys().filter(|name| self.is_excluded(name)).cloned().collect()
    }

    /// The updates that need the removal of an excluded package, which a plan without removals does not have. If
    /// leaving out one of them keeps the excluded package, that one; otherwise all of them.
    pub(super) fn removers(
        &mut self,
        session: &Session,
        dir: &Path,
        planned: &Listing,
        excluded: &str,
    ) -> Result<Vec<HeldBack>, Failure> {
        let kept = session.list(&Plan { full: false, ..self.plan.clone() })?;
        let reason = format!("it needs the removal of {excluded}, which is excluded");
        let held = |update: &&Update| Update::clone(update).left_out(Class::Dependency, &reason);
        if kept.removals.iter().any(|(name, _)| name == excluded) {
            // Some managers know no plan without removals: what nothing needs any more goes.
            let culprit = self.only_remover(session, dir, planned, excluded)?;
            return Ok(culprit.iter().map(held).collect());
        }
        let stays = |update: &&Update| !kept.comes(&update.name);
        let suspects: Vec<_> = planned.updates.iter().filter(stays).collect();
        for suspect in suspects.iter().take(MOST_ROUNDS) {
            if self.stays_without(session, dir, &[*suspect], excluded)? {
                return Ok(vec![held(suspect)]);
            }
        }
        Ok(suspects.iter().map(held).collect())
    }

    /// The one update of all without which an excluded package stays, if there is one.
    fn only_remover<'a>(
        &mut self,
        session: &Session,
        dir: &Path,
        planned: &'a Listing,
        excluded: &str,
    ) -> Result<Option<&'a Update>, Failure> {
        let mut suspects: Vec<_> = planned.updates.iter().collect();
        if !self.stays_without(session, dir, &suspects, excluded)? {
            return Ok(None);
        }
        while suspects.len() > 1 {
            let others = suspects.split_off(suspects.len() / 2);
            if !self.stays_without(session, dir, &suspects, excluded)? {
                suspects = others;
            }
        }
        let is_it = self.stays_without(session, dir, &suspects, excluded)?;
        Ok(suspects.pop().filter(|_| is_it))
    }

    /// Whether an excluded package stays if these updates are left out too.
    fn stays_without(
        &mut self,
        session: &Session,
        dir: &Path,
        updates: &[&Update],
        excluded: &str,
    ) -> Result<bool, Failure> {
        let known = self.plan.left_out.len();
        self.plan.left_out.extend(updates.iter().map(|update| update.name.clone()));
        let without = self.write(session, dir).and_then(|()| session.list(&self.plan));
        self.plan.left_out.truncate(known);
        match without {
            Err(failure) if failure.class == Class::Dependency => Ok(false),
            without => Ok(without?.removals.iter().all(|(name, _)| name != excluded)),
        }
    }

    /// The updates that bring a package which is to be left out. Some managers take one that is not installed all the
    /// same, if an update needs it.
    pub(super) fn what_brings(&self, session: &Session, planned: &Listing) -> Result<Vec<String>, Failure> {
        let is_out = |name: &String| self.plan.left_out.contains(name);
        let Some(comes) = planned.updates.iter().find(|update| is_out(&update.name)) else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for name in planned.names().into_iter().filter(|name| !is_out(name)) {
            let needs = session.list_needs(&self.plan, std::slice::from_ref(&name))?;
            if needs.comes(&comes.name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The excluded packages among those that the last count knew. A single update that cannot be installed may stop a
    /// whole full upgrade.
    pub(super) fn known_excluded(&self, state: &State) -> Vec<String> {
        let known = state.pending.iter().filter(|_| self.plan.full);
        let names = known.flat_map(|known| {
            let held = known.held_back().iter().map(|held| &held.name);
            held.chain(known.packages().iter().map(|update| &update.name))
        });
        names.filter(|name| self.is_excluded(name)).cloned().collect()
    }

    /// Whether an update changes an excluded package, or replaces it.
    pub(super) fn touches_excluded(&self, update: &Update) -> bool {
        std::iter::once(&update.name).chain(&update.replaces).any(|name| self.is_excluded(name))
    }

    /// Whether `--exclude` names a package.
    pub fn is_excluded(&self, name: &str) -> bool {
        matches(&self.exclude, name, self.manager.database().plain_name(name))
    }
}
