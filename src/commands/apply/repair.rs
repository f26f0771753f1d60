//! Step 2: what a run that was cut off has left, by evidence, and its repair.

use super::changes::changes;
use super::{Ending, Run};
use crate::managers::Installed;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::updates::Update;
use crate::system::process::{End, Invocation, Limits};
use crate::system::signals;
use log::{info, warn};

impl Run<'_> {
    /// Step 2 where the repair fetches packages: one that it could not get would be missing then.
    pub(super) fn repair_with_fresh_index(&mut self) -> Result<(), Failure> {
        if !self.needs_repair() {
            return Ok(());
        }
        let is_needed = !self.manager.repair(self.session.places(), &self.damage).is_empty();
        if is_needed && self.index_partial {
            warn!("a package is broken; it is repaired when every source was refreshed");
            return Ok(());
        }
        self.enter("repair")?;
        self.repair()?;
        self.session.count(&mut self.state, true);
        Ok(())
    }

    /// Step 2: an install that was cut off is ended first. That a script fails again stops
    /// nothing here: the update that mends it may be the one that is pending.
    pub(super) fn repair(&mut self) -> Result<(), Failure> {
        if !self.needs_repair() {
            return Ok(());
        }
        if self.args.dry_run || self.args.download_only {
            let option = if self.args.dry_run { "--dry-run" } else { "--download-only" };
            warn!("an install was cut off; an apply without {option} repairs it");
            return Ok(());
        }
        // It may be under way still, in other hands: then there is nothing to repair.
        if let Some(holder) = self.session.lock_holder() {
            self.session.wait_until_free(&holder)?;
            self.look()?;
            if !self.needs_repair() {
                return Ok(());
            }
        }
        self.session.nobody_left_its_lock()?;
        info!("an earlier install was cut off; repairing it");
        self.repair_tried = true;
        let before = self.before.clone();
        let mut failed = None;
        for step in 0.. {
            let commands = self.manager.repair(self.session.places(), &self.damage);
            let Some(invocation) = commands.get(step) else { break };
            self.session.committed = true;
            let finished =
                self.session.run("repairing an interrupted install", invocation, &Limits::default());
            // What follows changes nothing until the install, and may be stopped again.
            self.session.committed = false;
            let finished = finished?;
            if matches!(finished.end, End::Signal(_)) {
                self.session.outlast_installer();
            }
            failed = self.manager.failure(invocation, &finished);
            self.look()?;
            if self.is_whole() {
                break;
            }
        }
        self.damage.unmet = self.manager.unmet(&self.session);
        let after = std::mem::replace(&mut self.before, before);
        let changed =
            self.before.as_ref().zip(after.as_ref()).is_some_and(|(a, b)| !changes(a, b).is_empty());
        self.changed |= changed;
        // What failed may also have lost what it was to repair; where all of it is excluded nothing was repaired.
        self.applied.repaired = self.is_whole() && failed.is_none() && (changed || !self.excludes_damage);
        self.is_repair_open = !self.is_whole();
        if self.is_whole() {
            self.forget();
        }
        if let Some(failure) = failed {
            warn!("the repair failed: {}", failure.message);
            self.repair_failed = Some(failure.message);
        } else if self.is_repair_open && self.damage.unmet.is_none() {
            warn!("the repair changed nothing: {}", self.damage_words());
        }
        Ok(())
    }

    /// Whether a plan failed because dependencies of what is installed are not met.
    pub(super) fn may_mend(&self, failure: &Failure) -> bool {
        let is_first = !self.mend_tried && !self.install_began;
        is_first
            && failure.class == Class::Dependency
            && failure.culprits.is_empty()
            && self.manager.unmet(&self.session).is_some()
    }

    /// Mends dependencies that are not met, as an install leaves them that was cut off between two
    /// packages: what the manager proposes is downloaded and installed, if it removes nothing.
    ///
    /// # Errors
    /// When that is for a person to decide, or fails.
    pub(super) fn mend(&mut self, failure: Failure) -> Result<(), Failure> {
        self.mend_tried = true;
        let again = self.damage.needs_reinstall.iter().map(|name| self.manager.reinstall(name));
        let again: Vec<_> = again.collect();
        let unmet = failure.message.trim_end_matches('.');
        let by_hand = |why: &str| {
            let advice = match again.is_empty() {
                true => "look at what `apt-get -f install` proposes, or install the versions that belong \
                         together by name (apt-get install NAME=VERSION NAME=VERSION)"
                    .to_string(),
                false => format!("once a source offers it again, run `{}`", again.join("` and `")),
            };
            Failure::new(Class::Dependency, format!("{unmet}; {why}: {advice}"))
        };
        if self.args.dry_run || self.args.download_only {
            let text = format!("{unmet}; an apply that may install mends that, if it can");
            return Err(Failure::new(Class::Dependency, text));
        }
        let installed = self.before.clone().unwrap_or_default();
        self.selection.mend(&self.session, &installed, self.lock.dir())?;
        let listing = match self.session.list(&self.selection.plan) {
            Ok(listing) => listing,
            Err(_) => return Err(by_hand("apt-get -f install cannot mend that")),
        };
        if let Some((name, _)) = listing.removals.first() {
            return Err(by_hand(&format!("to mend it {name} would have to be removed")));
        }
        if listing.updates.is_empty() {
            return Err(by_hand("the package manager proposes nothing that would mend it"));
        }
        info!("dependencies are not met; mending that with {}", listing.names().join(", "));
        self.repair_tried = true;
        self.is_repair_open = true;
        self.planned = listing;
        let mended = self.download_and_install();
        self.selection.plan.mends = false;
        self.session.committed = false;
        self.done.append(&mut self.planned.updates);
        mended?;
        self.install_began = false;
        self.session.count(&mut self.state, true);
        Ok(())
    }

    /// Ends the install of the packages that were left unpacked because another one failed.
    pub(super) fn finish_others(&mut self) -> Result<(), Failure> {
        if self.manager.finish(self.session.places(), &[]).is_none() {
            return Ok(());
        }
        let installed = self.session.installed()?;
        let unpacked = installed.iter().filter(|(_, package)| package.is_unpacked);
        let names: Vec<_> = unpacked.map(|(name, _)| name.as_str()).collect();
        let invocation = self.manager.finish(self.session.places(), &names);
        if let Some(invocation) = invocation.filter(|_| !names.is_empty()) {
            let label = "ending the install of the others";
            let finished = self.session.run(label, &invocation, &Limits::default())?;
            if let Some(failure) = self.manager.failure(&invocation, &finished) {
                warn!("{}", failure.message);
            }
        }
        Ok(())
    }

    /// Installs the updates to which the manager did not come because another one failed, as it would stop there
    /// in every run. Not where something is to be removed: it would go although what replaces it is not there.
    pub(super) fn install_others(&mut self, install: Invocation, failed: &Failure) -> Result<(), Failure> {
        let Some(install) = self.manager.past_failures(install) else { return Ok(()) };
        let is_theirs = matches!(failed.class, Class::Script | Class::Dependency);
        let removes = self.selection.plan.full || !self.planned.removals.is_empty();
        if !is_theirs || removes || signals::received().is_some() {
            return Ok(());
        }
        let installed = self.session.installed()?;
        let is_named = |name: &str| {
            let plain = self.manager.database().plain_name(name);
            [format!("package {plain} "), format!("package {plain}:"), format!("/{plain}_")]
                .iter()
                .any(|words| failed.message.contains(words))
        };
        let is_untouched = |update: &&Update| {
            let package = installed.get(&update.name);
            package.map(|package| &package.version) == update.installed.as_ref() && !is_named(&update.name)
        };
        let others = self.planned.updates.iter().filter(is_untouched).count();
        // Without a word of which one failed it may be all of them.
        let is_known = self.planned.updates.iter().any(|update| {
            is_named(&update.name) || installed.get(&update.name).is_some_and(|package| package.is_broken)
        });
        if others > 0 && is_known {
            warn!(
                "{}; going on with the {others} to which {} did not come",
                failed.message,
                self.manager.facts().name
            );
            let label = "installing the others";
            let finished = self.session.run(label, &install, &Limits::default())?;
            self.note_left_aside(&finished);
            if matches!(finished.end, End::Signal(_)) {
                self.session.outlast_installer();
            }
            self.finish_others()?;
        }
        Ok(())
    }

    /// Looks at the package database, and at what of a run that was cut off is left in it.
    pub(super) fn look(&mut self) -> Result<(), Failure> {
        let installed = self.session.installed()?;
        self.damage = self.damage_in(&installed);
        self.before = Some(installed);
        Ok(())
    }

    /// What remains on record, now that this run has ended: what was cut off stays there until the
    /// package database is whole.
    pub(super) fn settle(&mut self, after: &Installed) {
        let earlier = self.cut_off.clone();
        if self.install_failed.is_some() {
            self.cut_off = self.state.apply.in_progress.clone();
        }
        self.damage = self.damage_in(after);
        // Not every manager takes it for a failure that an old version does not go.
        if self.install_began && self.cut_off.is_none() && !self.damage.leftovers.is_empty() {
            self.cut_off = self.state.apply.in_progress.clone();
        }
        if self.repair_tried || self.install_failed.is_some() {
            self.damage.unmet = self.manager.unmet(&self.session);
        }
        if self.is_whole() {
            self.applied.repaired |= std::mem::take(&mut self.is_repair_open);
            if self.repair_tried || self.install_failed.is_some() {
                self.forget();
            }
        } else if self.install_failed == Some(Ending::ByItself) && self.damage.leftovers.is_empty() {
            // A script that fails is no interruption.
            self.cut_off = earlier;
        }
    }

    /// Takes what was cut off from the record, unless this run was told to leave some of it.
    fn forget(&mut self) {
        self.cut_off.take_if(|_| !self.excludes_damage);
    }

    /// Whether nothing is left of a run that was cut off.
    pub(super) fn is_whole(&self) -> bool {
        self.damage.is_none() && !self.manager.database().was_cut_off(self.session.places())
    }

    pub(super) fn needs_repair(&self) -> bool {
        self.cut_off.is_some() || !self.is_whole()
    }
}
