//! What an apply really did: the package database before and after it, and the files.

use super::Run;
use super::work::Repair;
use crate::managers::{Installed, cut_short};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::counted;
use crate::model::updates::{Change, Update};
use crate::system::files::remove_if_there;
use crate::system::process::{End, Finished, Invocation, Limits};
use log::warn;
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::time::Duration;

/// How long reading every installed file may take.
const AUDIT_BUDGET: Duration = Duration::from_secs(15 * 60);

impl Run<'_> {
    /// Finds what exit code 0 does not prove: a selected package that is missing, or one that is half installed.
    pub(super) fn contradiction(&self, after: &Installed) -> Option<Failure> {
        let (work, damage) = (&self.work, &self.remains.damage);
        let others_at_work = || !work.has_installed() && self.session.lock_holder().is_some();
        if !damage.is_none() && !others_at_work() {
            let class = if damage.unmet.is_some() { Class::Dependency } else { Class::Script };
            let words = self.damage_words();
            let text = match &self.repair {
                // A repair has run the script again; what the script said then is the reason.
                Repair::Open(Some(why)) if !work.has_begun() => format!("{words}; the repair failed: {why}"),
                _ => words,
            };
            return Some(Failure::new(class, text));
        }
        let is_there =
            |name: &str, version: &str| after.get(name).is_some_and(|package| package.version == version);
        let planned = &work.planned.updates;
        let is_newer = |done: &&Update| planned.iter().any(|update| update.name == done.name);
        let impossible = self.selection.impossible();
        let is_left = |done: &&Update| {
            work.too_late_for.is_some() || impossible.iter().any(|held| held.name == done.name)
        };
        let done = work.done.iter().filter(|done| !is_newer(done) && (work.has_begun() || !is_left(done)));
        let updates = planned.iter().filter(|_| work.has_begun()).chain(done);
        // Another package may now own all its files.
        let is_gone = |name: &String| work.disappeared.contains(name) && !after.contains_key(name);
        let is_missing = |update: &&Update| !is_there(&update.name, &update.candidate);
        let missing: Vec<_> = updates.filter(is_missing).filter(|update| !is_gone(&update.name)).collect();
        let names: Vec<_> = missing.iter().map(|update| update.name.as_str()).collect();
        if names.is_empty() {
            return None;
        }
        let text = format!("selected but not installed: {}", names.join(", "));
        Some(match self.manager.diverted() {
            Some(setting) => {
                Failure::new(Class::Config, format!("{text}; {setting} prevents it: remove that setting"))
            }
            None => Failure::new(Class::Other, text),
        })
    }

    /// Whether nothing can be pending: everything that is offered was pending, exactly that has changed in the package
    /// database, and the offer is still the same. Otherwise it is counted.
    pub(super) fn nothing_is_left(&self, changes: &[Change]) -> bool {
        let Some(pending) = &self.state.pending else { return false };
        let (Some(listed), Some(held_back)) = (&pending.packages, &pending.held_back) else { return false };
        let is_all = self.manager.facts().lists_all
            && !self.is_index_partial()
            && held_back.is_empty()
            && self.selection.impossible().is_empty();
        let as_listed = || {
            let mut listed: Vec<_> =
                listed.iter().map(|update| (&update.name, Some(&update.candidate))).collect();
            let mut changed: Vec<_> =
                changes.iter().map(|change| (&change.name, change.to.as_ref())).collect();
            listed.sort();
            changed.sort();
            listed == changed
        };
        // What came in anew may itself be replaced by what is offered.
        let brings_in_none = || listed.iter().all(|update| update.installed.is_some());
        let is_offered_still =
            || self.work.offered.as_ref().is_some_and(|offered| *offered == self.session.offer());
        self.work.has_changed() && is_all && as_listed() && brings_in_none() && is_offered_still()
    }

    /// Removes packages from the manager's cache that differ from what the index says. That is a fetch error: the next
    /// download fetches them.
    pub(super) fn drop_damaged_packages(&mut self, downloaded: &Finished) -> Result<(), Failure> {
        let mut files = self.manager.cached(&self.session, &self.work.planned, downloaded);
        // The manager itself compared what it took from other places.
        files.retain(|(path, _)| path.is_absolute() && path.is_file());
        if files.is_empty() {
            return Ok(());
        }
        let paths = files.iter().map(|(path, _)| path.display().to_string());
        let invocation = Invocation::of("sha256sum", ["--"]).with(paths);
        let limits = Limits { budget: Some(AUDIT_BUDGET), interruptible: true, ..Limits::default() };
        let hashed = match self.session.run("checking what was downloaded before", &invocation, &limits) {
            Err(failure) if failure.class == Class::Other => {
                warn!("could not check what was downloaded before: {}", failure.message);
                return Ok(());
            }
            hashed => hashed?,
        };
        if let Some(failure) = cut_short(&invocation, &hashed) {
            return Err(failure);
        }
        let sums: HashSet<&str> = hashed.stdout.lines().collect();
        // One file may have two names in the index, with two sums.
        let is_whole =
            |(path, sum): &&(PathBuf, String)| sums.contains(&*format!("{sum}  {}", path.display()));
        let whole: HashSet<_> = files.iter().filter(is_whole).map(|(path, _)| path).collect();
        let damaged: BTreeSet<_> =
            files.iter().map(|(path, _)| path).filter(|path| !whole.contains(path)).collect();
        for path in &damaged {
            remove_if_there(path).map_err(Failure::of(Class::Space))?;
        }
        match damaged.first() {
            None => Ok(()),
            Some(first) => {
                let (first, number) = (first.display(), counted(damaged.len(), "file"));
                let text = format!("{first} was not what the index says and was removed ({number} in all)");
                Err(Failure::new(Class::Fetch, text))
            }
        }
    }

    /// Finds what neither exit code nor database shows: files that differ from what was to be installed.
    pub(super) fn changed_files(&mut self, changes: &[Change]) -> Option<Failure> {
        let invocation = self.manager.ask_audit()?;
        let changed: Vec<_> = changes.iter().filter_map(Change::new_version).collect();
        if changed.is_empty() {
            return None;
        }
        let limits = Limits { budget: Some(AUDIT_BUDGET), ..Limits::default() };
        let audit = self.session.run("checking what was installed", &invocation, &limits);
        let why = match audit {
            Ok(finished) if finished.end == End::Code(0) => {
                return self.manager.audited(&finished.stdout, &changed);
            }
            Ok(finished) => finished.stderr.trim().to_string(),
            Err(failure) => failure.message,
        };
        warn!("could not check the installed files: {why}");
        None
    }
}
