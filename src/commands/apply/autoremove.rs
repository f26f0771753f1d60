//! `--autoremove`: also removes what was installed automatically and nothing needs any more.

use super::Run;
use super::work::Ending;
use crate::driver::kernels::is_of_running;
use crate::managers::{Autoremove, Installed, InstalledPackage, Unneeded};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::counted;
use crate::system::process::{Invocation, Limits};
use crate::system::signals;
use log::{info, warn};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Some managers name only packages that nothing at all needs. When these are gone there may be more.
const MOST_ROUNDS: usize = 10;

/// If something that must stay needs some of them, so many are looked at one by one.
const MOST_TRIED: usize = 50;

impl Run<'_> {
    /// Removes these packages after an install that went well.
    pub(super) fn remove_unneeded(&mut self) -> Result<(), Failure> {
        if !self.args.autoremove || self.args.download_only || self.work.too_late_for.is_some() {
            return Ok(());
        }
        // Some managers remove them with every install.
        let Some(manager) = self.manager.autoremove() else { return Ok(()) };
        if !self.session.may_remove() {
            info!("{} is configured to remove nothing", self.manager.facts().name);
            return Ok(());
        }
        let mut removed: Vec<Unneeded> = Vec::new();
        for _ in 0..MOST_ROUNDS {
            let installed = self.session.installed()?;
            let (keep, unneeded) = self.unneeded(manager, &installed)?;
            if let Some(left) = unneeded.iter().find(|one| removed.contains(one)) {
                let text = format!("{} was removed as no longer needed, and is still installed", left.name);
                return Err(Failure::new(Class::Other, text));
            }
            if self.args.dry_run {
                let new = unneeded.into_iter().map(|package| (package.name, Some(package.version)));
                let known = std::mem::take(&mut self.work.planned.removals);
                self.work.planned.removals = new.filter(|new| !known.contains(new)).collect();
                self.work.planned.removals.splice(0..0, known);
                return Ok(());
            }
            if unneeded.is_empty() {
                return Ok(());
            }
            if self.is_too_late() {
                let packages = counted(unneeded.len(), "package");
                self.work.too_late_for = Some(format!("{packages} not removed though no longer needed"));
                return Ok(());
            }
            if let Some(signal) = signals::received() {
                warn!("{signal} received: {} not removed", counted(unneeded.len(), "package"));
                return Ok(());
            }
            self.remove(manager.remove(&keep, &unneeded), &unneeded, installed)?;
            removed = unneeded;
        }
        Ok(())
    }

    /// Sorts the packages into those that stay and those that may be removed. What is excluded stays, with what it
    /// needs, and so does the running kernel.
    fn unneeded(
        &self,
        manager: &dyn Autoremove,
        installed: &Installed,
    ) -> Result<(Vec<String>, Vec<Unneeded>), Failure> {
        let is_kept = |name: &str, version: &str| {
            let plain = self.manager.database().plain_name(name);
            self.selection.is_excluded(name) || is_of_running(plain, version)
        };
        let is_one = |(name, package): &(&String, &InstalledPackage)| {
            package.is_held || is_kept(name, &package.version)
        };
        let keep = installed.iter().filter(is_one);
        let keep: Vec<_> =
            keep.map(|(name, _)| self.manager.database().plain_name(name).to_string()).collect();
        let listed = manager.list(&self.session, &keep)?.checked()?;
        let mut found: Vec<_> = listed
            .removals
            .into_iter()
            .filter_map(|(name, version)| {
                let package = installed.get(&name)?;
                let version = version.unwrap_or_else(|| package.version.clone());
                Some(Unneeded { name, version, architecture: package.architecture.to_string() })
            })
            .collect();
        let is_held = |name: &str| installed.get(name).is_some_and(|package| package.is_held);
        found.retain(|one| !is_kept(&one.name, &one.version) && !is_held(&one.name));
        let names: BTreeSet<_> = found.iter().map(|one| one.name.clone()).collect();
        // Whatever the manager would remove with them must be among them.
        let goes_too = |these: &[Unneeded]| -> Result<bool, Failure> {
            if these.is_empty() {
                return Ok(false);
            }
            let goes = manager.goes_with(&self.session, these)?.removals;
            Ok(goes.iter().any(|(name, version)| {
                let is_kept = version.as_ref().is_some_and(|version| is_kept(name, version));
                is_kept || !names.contains(name)
            }))
        };
        if !goes_too(&found)? {
            return Ok((keep, found));
        }
        if found.len() > MOST_TRIED {
            warn!(
                "--autoremove removes nothing: packages that stay need some of the {} that could go; \
                 remove them by name with the package manager",
                found.len()
            );
            return Ok((keep, Vec::new()));
        }
        let mut left = Vec::new();
        for one in found {
            if !goes_too(std::slice::from_ref(&one))? {
                left.push(one);
            }
        }
        // Together they must not take more with them than each one alone.
        Ok((keep, if goes_too(&left)? { Vec::new() } else { left }))
    }

    fn remove(
        &mut self,
        invocation: Invocation,
        unneeded: &[Unneeded],
        installed: Rc<Installed>,
    ) -> Result<(), Failure> {
        // What others installed while we waited for their locks must stay.
        if !self.work.has_changed() {
            self.work.before = installed;
        }
        self.enter("install")?;
        self.session.answers_outlast_signals = true;
        let finished = self.session.run("removing what nothing needs", &invocation, &Limits::default())?;
        self.session.wait_for_what_goes_on(&finished);
        self.work.note_change();
        self.note_left_aside(&finished);
        // A package that was updated before may be removed with it.
        self.work.disappeared.extend(unneeded.iter().map(|one| one.name.clone()));
        let Some(failure) = self.manager.failure(&invocation, &finished) else { return Ok(()) };
        self.work.failed = Some(Ending::of(&failure));
        let message = format!("could not remove packages that are no longer needed: {}", failure.message);
        Err(Failure { message, culprits: Vec::new(), ..failure })
    }
}
