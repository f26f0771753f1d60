//! Step 2: finds what a run that was cut off has left, by evidence, and repairs it.

use super::Run;
use super::changes::changes;
use super::work::{Ending, Repair};
use crate::managers::Installed;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::system::process::Limits;
use log::{info, warn};
use std::rc::Rc;

impl Run<'_> {
    /// Step 2 for a manager whose repair fetches packages. A package that it could not get would then be missing.
    pub(super) fn repair_with_fresh_index(&mut self) -> Result<(), Failure> {
        if !self.needs_repair() {
            return Ok(());
        }
        let is_needed = !self.manager.repair(self.session.places(), &self.remains.damage).is_empty();
        if is_needed && self.is_index_partial() {
            warn!("a package is broken; it is repaired when every source was refreshed");
            return Ok(());
        }
        self.enter("repair")?;
        self.repair()?;
        self.session.count(&mut self.state);
        Ok(())
    }

    /// Once more, with the new index, if the first repair found a package and could not have it. An old index may name
    /// what is gone.
    pub(super) fn repair_again(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.repair_waits) || self.is_whole() {
            return Ok(());
        }
        self.enter("repair")?;
        self.repair()?;
        self.session.count(&mut self.state);
        Ok(())
    }

    /// Step 2: first finishes an install that was cut off. If a script fails again the run goes on: a pending update
    /// may mend it.
    pub(super) fn repair(&mut self) -> Result<(), Failure> {
        if !self.needs_repair() {
            return Ok(());
        }
        if self.args.dry_run || self.args.download_only {
            let option = if self.args.dry_run { "--dry-run" } else { "--download-only" };
            warn!("an install was cut off; an apply without {option} repairs it");
            return Ok(());
        }
        // The install may still be running in another process: then there is nothing to repair.
        if let Some(holder) = self.session.lock_holder() {
            self.session.wait_until_free(&holder)?;
            self.work.before = self.look()?;
            if !self.needs_repair() {
                return Ok(());
            }
        }
        self.session.refuse_left_lock()?;
        info!("an earlier install was cut off; repairing it");
        self.repair = Repair::Tried;
        let known = self.remains.damage.unmet.clone();
        let (after, failed) = self.run_repair()?;
        self.note_unmet(known);
        let has_changed = after.is_some_and(|after| !changes(&self.work.before, &after).is_empty());
        if has_changed {
            self.work.note_change();
        }
        if let Some(failure) = &failed {
            warn!("the repair failed: {}", failure.message);
        } else if !self.is_whole() && self.remains.damage.unmet.is_none() {
            warn!("the repair changed nothing: {}", self.damage_words());
        }
        self.repair = match failed {
            failed if !self.is_whole() => Repair::Open(failed.map(|failure| failure.message)),
            // A failed command may also have removed what was to be repaired. If all of that is excluded, nothing was
            // repaired.
            None if has_changed || !self.remains.is_some_excluded => Repair::Done,
            _ => Repair::Tried,
        };
        if self.is_whole() {
            self.forget();
        }
        Ok(())
    }

    /// Runs the commands of the repair until the package database is whole. Returns the installed packages, and why the
    /// last command failed, if it did.
    fn run_repair(&mut self) -> Result<(Option<Rc<Installed>>, Option<Failure>), Failure> {
        let (mut after, mut failed) = (None, None);
        for step in 0.. {
            let commands = self.manager.repair(self.session.places(), &self.remains.damage);
            let Some(invocation) = commands.get(step) else { break };
            self.session.answers_outlast_signals = true;
            let finished =
                self.session.run("repairing an interrupted install", invocation, &Limits::default());
            // Nothing is changed from here until the install, so the run may be interrupted again.
            self.session.answers_outlast_signals = false;
            let finished = finished?;
            self.session.wait_for_what_goes_on(&finished);
            failed = self.manager.failure(invocation, &finished);
            after = Some(self.look()?);
            // The next command would remove what this one can still mend.
            let stays = &self.remains.damage.stays;
            self.repair_waits = failed
                .as_ref()
                .is_some_and(|failure| self.manager.may_repair_later(&finished, failure.class, stays));
            if self.is_whole() || self.repair_waits {
                break;
            }
        }
        Ok((after, failed))
    }

    /// Whether a plan failed because dependencies of installed packages are not met.
    pub(super) fn can_mend(&self, failure: &Failure) -> bool {
        !self.work.has_begun()
            && failure.class == Class::Dependency
            && failure.culprits.is_empty()
            && self.manager.unmet(&self.session).is_ok_and(|unmet| unmet.is_some())
    }

    /// Asks whether dependencies are not met. Where the manager cannot say, what was known before stays.
    fn note_unmet(&mut self, known: Option<String>) {
        self.remains.damage.unmet = self.manager.unmet(&self.session).unwrap_or_else(|failure| {
            // Then dpkg's own journal is what is told.
            if failure.class != Class::Interrupted {
                warn!("could not tell whether dependencies are met: {}", failure.message);
            }
            known
        });
    }

    /// Mends unmet dependencies, as an install leaves them that was cut off between two packages. What the manager
    /// proposes is downloaded and installed, unless it removes something.
    ///
    /// # Errors
    /// When that is for a person to decide, or fails.
    pub(super) fn mend(&mut self, failure: Failure) -> Result<(), Failure> {
        let mended = self.mend_unmet(failure);
        self.selection.plan.mends = false;
        mended
    }

    fn mend_unmet(&mut self, failure: Failure) -> Result<(), Failure> {
        let unmet = failure.message.trim_end_matches('.');
        if self.args.dry_run || self.args.download_only {
            let text = format!("{unmet}; an apply that may install mends that, if it can");
            return Err(Failure::new(Class::Dependency, text));
        }
        let dir = self.lock.dir();
        let listing = match self.selection.mend(&self.session, &self.state, &self.work.before, dir) {
            Err(failure) if failure.class != Class::Dependency => return Err(failure),
            listing => listing.map_err(|_| format!("{} cannot mend that", self.manager.facts().name)),
        };
        let proposed = listing.and_then(|listing| match listing.removals.first() {
            Some((name, _)) => Err(format!("to mend it {name} would have to be removed")),
            None if listing.updates.is_empty() => {
                Err("the package manager proposes nothing that would mend it".to_string())
            }
            None => Ok(listing),
        });
        self.work.planned = proposed.map_err(|why| {
            Failure::new(Class::Dependency, format!("{unmet}; {why}: {}", self.mend_by_hand()))
        })?;
        let names = self.work.planned.names().join(", ");
        info!("dependencies are not met; mending that with {names}");
        self.repair = match std::mem::replace(&mut self.repair, Repair::NotTried) {
            Repair::Open(failed) => Repair::Open(failed),
            _ => Repair::Open(None),
        };
        let mended = self.download_and_install();
        self.session.answers_outlast_signals = false;
        if let Err(failure) = mended {
            if !self.work.has_begun() {
                self.work.planned = Listing::default();
            }
            return Err(failure);
        }
        self.work.end_round();
        self.work.begin_anew();
        self.session.count(&mut self.state);
        Ok(())
    }

    /// What a person can do if unmet dependencies cannot be mended.
    fn mend_by_hand(&self) -> String {
        let again = self.remains.damage.needs_reinstall.iter().map(|name| self.manager.reinstall(name));
        let again: Vec<_> = again.collect();
        match again.is_empty() {
            true => self.manager.mend_by_hand().to_string(),
            false => format!("once a source offers it again, run `{}`", again.join("` and `")),
        }
    }

    /// Looks at the package database, and at what a run that was cut off has left in it.
    pub(super) fn look(&mut self) -> Result<Rc<Installed>, Failure> {
        let installed = self.session.installed()?;
        self.note_remains(&installed);
        Ok(installed)
    }

    /// Updates the record at the end of this run: what was cut off stays there until the package database is whole.
    pub(super) fn settle(&mut self, after: &Installed) {
        let earlier = self.remains.run.clone();
        if self.work.failed.is_some() {
            self.remains.run = self.state.apply.in_progress.clone();
        }
        let known = self.remains.damage.unmet.clone();
        self.note_remains(after);
        let has_leftovers = !self.remains.damage.leftovers.is_empty();
        // Not every manager fails where an old version stays.
        if self.work.has_installed() && self.remains.run.is_none() && has_leftovers {
            self.remains.run = self.state.apply.in_progress.clone();
        }
        let has_tried = self.repair != Repair::NotTried || self.work.failed.is_some();
        if has_tried {
            self.note_unmet(known);
        }
        if self.is_whole() {
            if matches!(self.repair, Repair::Open(_)) {
                self.repair = Repair::Done;
            }
            if has_tried {
                self.forget();
            }
        } else if self.work.failed == Some(Ending::ByItself) && !has_leftovers {
            // A script that fails is no interruption.
            self.remains.run = earlier;
        }
    }

    /// Removes what was cut off from the record, unless this run was told to leave some of it.
    fn forget(&mut self) {
        self.remains.run.take_if(|_| !self.remains.is_some_excluded);
    }

    /// Whether nothing is left of a run that was cut off.
    pub(super) fn is_whole(&self) -> bool {
        self.remains.damage.is_none() && !self.manager.database().was_cut_off(self.session.places())
    }

    pub(super) fn needs_repair(&self) -> bool {
        self.remains.run.is_some() || !self.is_whole()
    }
}
