//! Step 2: what a run that was cut off has left, by evidence, and its repair.

use super::changes::changes;
use super::{Ending, Run};
use crate::driver::settings_files::administrators;
use crate::managers::{CutOff, Damage, Installed, InstalledPackage, Leftover, OtherVersion, rpm};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::updates::Update;
use crate::store::state::InProgress;
use crate::system::process::{End, Invocation, Limits};
use crate::system::signals;
use log::{info, warn};
use std::collections::HashMap;
use std::path::Path;

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

    /// What a package database holds of a run that was cut off.
    pub(super) fn damage_in(&mut self, installed: &Installed) -> Damage {
        self.excludes_damage = false;
        let broken = installed.iter().filter(|(_, package)| package.is_broken);
        let again = installed.iter().filter(|(_, package)| package.needs_reinstall);
        let several = installed.iter().filter(|(_, package)| !package.others.is_empty());
        let several: Vec<_> = several.filter(|(name, _)| !self.keeps_several(name, &[], "")).collect();
        let obsoleted = obsoleted(installed);
        // Asked once, and not at all where nothing depends on the answer.
        let is_asked = !several.is_empty() || !obsoleted.is_empty();
        let history = if is_asked { self.manager.cut_off_runs(&self.session) } else { Vec::new() };
        Damage {
            broken: broken.map(|(name, _)| name.clone()).collect(),
            needs_reinstall: again.map(|(name, _)| name.clone()).collect(),
            leftovers: [self.leftovers(several, &history), self.obsoleted(obsoleted, &history)].concat(),
            unmet: None,
        }
    }

    /// What is not whole, for people.
    pub(super) fn damage_words(&self) -> String {
        if let Some(unmet) = &self.damage.unmet {
            return unmet.clone();
        }
        let again = |name: &String| self.damage.needs_reinstall.contains(name);
        let broken = self.damage.broken.iter().map(|name| match again(name) {
            true => format!("{name} (which must be installed once more: {})", self.manager.reinstall(name)),
            false => name.clone(),
        });
        let leftovers = self.damage.leftovers.iter();
        let leftovers = leftovers.map(|left| {
            let new = left.obsoleter.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
            let old = rpm::nevra(&left.name, &left.version, &left.architecture);
            format!(
                "{} ({} is still there beside {new}{}; where its own script fails: `rpm -e --nodeps --noscripts {old}`)",
                left.name, left.version, left.newer
            )
        });
        let names: Vec<_> = broken.chain(leftovers).collect();
        match names.is_empty() {
            true => "the package manager says that it was interrupted".to_string(),
            false => format!("not completely installed: {}", names.join(", ")),
        }
    }

    /// The versions that a run which was cut off was to replace: the evidence is our own note of such a
    /// run, or the manager's. All others stand beside newer ones because somebody wants them there.
    fn leftovers(&mut self, several: Vec<(&String, &InstalledPackage)>, history: &[CutOff]) -> Vec<Leftover> {
        if several.is_empty() {
            return Vec::new();
        }
        let mut leftovers = Vec::new();
        let mut kept = Vec::new();
        let provides = self.provides(&several);
        let rules = self.rules();
        let no_words = Vec::new();
        for (name, package) in several {
            let words = provides.get(name.as_str()).unwrap_or(&no_words);
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            if self.keeps_several(name, &words, &rules) {
                continue;
            }
            let (newer, olders) = by_age(package);
            for older in olders {
                let is_left = older.installed_at <= newer.installed_at
                    && (self.is_noted(name, &newer)
                        || history.iter().any(|run| is_left_by(run, name, package, &newer, &older)));
                if is_left && self.selection.is_excluded(name, self.manager) {
                    self.excludes_damage = true;
                } else if is_left {
                    leftovers.push(Leftover {
                        name: name.clone(),
                        architecture: package.architecture.clone(),
                        version: older.version,
                        newer: newer.version.clone(),
                        obsoleter: None,
                    });
                } else {
                    kept.push(format!("{name} {} beside {}", older.version, newer.version));
                }
            }
        }
        if !kept.is_empty() && !std::mem::replace(&mut self.told_of_several, true) {
            info!(
                "installed in two versions, and left alone since no run was cut off over them: {}",
                kept.join(", ")
            );
        }
        leftovers
    }

    /// What was to go for another package that a run which was cut off had installed. The manager itself
    /// never looks at that again.
    fn obsoleted(
        &mut self,
        pairs: Vec<[(&String, &InstalledPackage); 2]>,
        history: &[CutOff],
    ) -> Vec<Leftover> {
        let is_left = |[old, new]: &[(&String, &InstalledPackage); 2]| {
            let mut ours = self.cut_off.iter().flat_map(InProgress::all).filter(|run| run.phase == "install");
            ours.any(|run| run.packages.contains(new.0) && is_between(run.started_at.unix(), *old, *new))
                || history.iter().any(|run| is_obsoleted_by(run, *old, *new))
        };
        let left = pairs.into_iter().filter(is_left).map(|[(name, package), (new, by)]| Leftover {
            name: name.clone(),
            architecture: by.architecture.clone(),
            version: package.version.clone(),
            newer: by.version.clone(),
            obsoleter: Some(new.clone()),
        });
        let is_excluded = |left: &Leftover| self.selection.is_excluded(&left.name, self.manager);
        let (excluded, left): (Vec<_>, Vec<_>) = left.partition(is_excluded);
        self.excludes_damage |= !excluded.is_empty();
        left
    }

    /// Whether a run of ours that was cut off was installing this version of a package.
    fn is_noted(&self, name: &String, newer: &OtherVersion) -> bool {
        let mut runs = self.cut_off.iter().flat_map(InProgress::all).filter(|run| run.phase == "install");
        runs.any(|run| {
            // An older version of this program did not say what it was installing.
            run.packages.is_empty()
                || (run.packages.contains(name)
                    && newer.installed_at.is_some_and(|at| at >= run.started_at.unix()))
        })
    }

    fn keeps_several(&self, name: &str, provides: &[&str], rules: &str) -> bool {
        self.manager.database().keeps_several(name, provides, rules)
    }

    /// What these packages provide; nothing where that cannot be told.
    fn provides(&self, packages: &[(&String, &InstalledPackage)]) -> HashMap<String, Vec<String>> {
        let names: Vec<_> =
            packages.iter().map(|(name, _)| self.manager.database().plain_name(name)).collect();
        self.manager.database().provides(&self.session, &names)
    }

    /// The text of the configuration that says what is kept in several versions.
    fn rules(&self) -> String {
        let usual = self.manager.facts().rules.iter().map(|path| texts(Path::new(path)));
        let elsewhere = &self.session.elsewhere().rules;
        let elsewhere = elsewhere.iter().map(|dir| texts_of(Path::new(dir), "multiversion=\n"));
        let settings = self.manager.settings();
        let settings = settings.and_then(|settings| administrators(settings).ok());
        usual.chain(elsewhere).chain(settings).collect()
    }
}

/// All versions of a package, the one that was installed last and the others.
fn by_age(package: &InstalledPackage) -> (OtherVersion, Vec<OtherVersion>) {
    let main = OtherVersion { version: package.version.clone(), installed_at: package.installed_at };
    let mut newer = main;
    let mut olders = Vec::new();
    for other in &package.others {
        let mut older = other.clone();
        if older.installed_at > newer.installed_at {
            std::mem::swap(&mut older, &mut newer);
        }
        olders.push(older);
    }
    (newer, olders)
}

/// Whether a run of the manager that was cut off was to replace one version by the other.
fn is_left_by(
    run: &CutOff,
    name: &str,
    package: &InstalledPackage,
    newer: &OtherVersion,
    older: &OtherVersion,
) -> bool {
    let named = |version: &OtherVersion| rpm::nevra(name, &version.version, &package.architecture);
    if !run.comes.is_empty() {
        return is_then(run, newer.installed_at) && run.comes.contains(&named(newer));
    }
    let is_in_time = run.began.is_none_or(|began| {
        newer.installed_at.is_some_and(|at| at >= began) && older.installed_at.is_some_and(|at| at <= began)
    });
    is_in_time && run.goes.contains(&named(older))
}

/// The installed packages in whose place another one came that is there too, with that one. A manager takes
/// the first away when the second comes.
fn obsoleted(installed: &Installed) -> Vec<[(&String, &InstalledPackage); 2]> {
    let of_one = |new: (&'_ String, &'_ InstalledPackage)| {
        let found = new.1.obsoletes.iter().filter_map(|obsoletes| {
            let name = obsoletes.split(' ').next().unwrap_or_default();
            let (name, old) = installed.get_key_value(&rpm::listed_name(name, &new.1.architecture))?;
            let is_it = rpm::is_obsoleted(obsoletes, name, &old.version)
                && name != new.0
                && old.others.is_empty()
                && old.architecture == new.1.architecture
                && old.installed_at <= new.1.installed_at;
            is_it.then_some((name.clone(), new.0.clone()))
        });
        found.collect::<Vec<_>>()
    };
    let mut names: Vec<_> = installed.iter().flat_map(of_one).collect();
    names.sort();
    names.dedup_by(|one, other| one.0 == other.0);
    let entry = |name: &String| installed.get_key_value(name);
    names.iter().filter_map(|(old, new)| Some([entry(old)?, entry(new)?])).collect()
}

/// Whether a run that began then came between the two.
fn is_between(began: i64, old: (&String, &InstalledPackage), new: (&String, &InstalledPackage)) -> bool {
    old.1.installed_at.is_some_and(|at| at <= began) && new.1.installed_at.is_some_and(|at| at >= began)
}

/// Whether a run of the manager that was cut off was to replace one package by the other.
fn is_obsoleted_by(
    run: &CutOff,
    old: (&String, &InstalledPackage),
    new: (&String, &InstalledPackage),
) -> bool {
    let named = |(name, package): (&String, &InstalledPackage)| {
        rpm::nevra(name, &package.version, &package.architecture)
    };
    if !run.comes.is_empty() {
        return is_then(run, new.1.installed_at) && run.comes.contains(&named(new));
    }
    run.began.is_none_or(|began| is_between(began, old, new)) && run.goes.contains(&named(old))
}

/// Whether what zypper wrote down then was installed then, by the clock of a time zone that is not known.
fn is_then(run: &CutOff, installed_at: Option<i64>) -> bool {
    let later = run.began.zip(installed_at).map(|(began, at)| began - at);
    later.is_some_and(|later| later.abs() <= 15 * 3600 && later.rem_euclid(900) <= 120)
}

/// The text of a file, or of the files `*.conf` in a directory. Each file begins anew.
fn texts(path: &Path) -> String {
    if !path.is_dir() {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        return format!("[]\n{text}\n");
    }
    // Those of multiversion.d hold nothing but names.
    texts_of(path, if path.ends_with("multiversion.d") { "multiversion=\n" } else { "[]\n" })
}

/// The texts of the files in a directory, with this before each.
fn texts_of(dir: &Path, head: &str) -> String {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = entries.filter(|file| file.is_file());
    files.map(|file| format!("{head}{}\n", std::fs::read_to_string(file).unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: &str, at: i64) -> OtherVersion {
        OtherVersion { version: version.into(), installed_at: Some(at) }
    }

    fn package(versions: &[(&str, i64)]) -> InstalledPackage {
        let text = versions.iter().map(|(version, at)| format!("a\tnoarch\t0:{version}\t{at}\n"));
        rpm::database::parse_installed(&text.collect::<String>()).remove("a").unwrap()
    }

    #[test]
    fn a_version_is_left_by_a_run_that_was_to_take_it_away_and_came_between_the_two() {
        let both = package(&[("1-1", 50), ("2-1", 100)]);
        let (newer, olders) = by_age(&both);
        assert_eq!((newer.clone(), olders.clone()), (version("2-1", 100), vec![version("1-1", 50)]));
        let left = |run: &CutOff| is_left_by(run, "a", &both, &newer, &olders[0]);
        let run = |began, goes: &str| CutOff { began, goes: vec![goes.into()], comes: Vec::new() };
        assert!(left(&run(Some(90), "a-1-1.noarch")) && left(&run(None, "a-1-1.noarch")));
        // Of another package or version; before the one was there; after the other was.
        for (began, goes) in
            [(90, "b-1-1.noarch"), (90, "a-0-1.noarch"), (40, "a-1-1.noarch"), (101, "a-1-1.noarch")]
        {
            assert!(!left(&run(Some(began), goes)), "{began} {goes}");
        }
    }

    #[test]
    fn what_zypper_logged_in_the_same_second_of_any_time_zone_came_by_it() {
        let both = package(&[("1-1", 50), ("2-1", 100_000)]);
        let (newer, olders) = by_age(&both);
        let left = |at: i64, comes: &str| {
            let run = CutOff { began: Some(at), comes: vec![comes.into()], goes: Vec::new() };
            is_left_by(&run, "a", &both, &newer, &olders[0])
        };
        for at in [100_000, 100_001, 107_200, 100_000 - 5 * 3600 - 2700] {
            assert!(left(at, "a-2-1.noarch"), "{at}");
        }
        for at in [99_990, 100_300, 100_000 + 86_400] {
            assert!(!left(at, "a-2-1.noarch"), "{at}");
        }
        assert!(!left(100_000, "a-1-1.noarch"));
    }

    #[test]
    fn a_package_is_left_beside_what_obsoletes_it_by_a_run_that_came_between_the_two() {
        let pairs = |text: &str| {
            let installed = rpm::database::parse_installed(text);
            let names = obsoleted(&installed).into_iter().map(|[old, new]| format!("{} {}", old.0, new.0));
            names.collect::<Vec<_>>()
        };
        let new = "new\tnoarch\t0:1-1\t100\told < 2,none  ,new < 1,\n";
        let both = format!("old\tnoarch\t0:1-1\t50\t(none) (none) (none),\n{new}");
        assert_eq!(pairs(&both), ["old new"]);
        for old in ["old\tnoarch\t0:2-1\t50\t\n", "old\tnoarch\t0:1-1\t101\t\n", "old\tx86_64\t0:1-1\t50\t\n"]
        {
            assert!(pairs(&format!("{old}{new}")).is_empty(), "{old}");
        }
        let installed = rpm::database::parse_installed(&both);
        let [old, new] = obsoleted(&installed)[0];
        let run = |began, goes: &str| CutOff { began, goes: vec![goes.into()], comes: Vec::new() };
        assert!(is_obsoleted_by(&run(Some(90), "old-1-1.noarch"), old, new));
        assert!(is_obsoleted_by(&run(None, "old-1-1.noarch"), old, new));
        for (began, goes) in [(90, "old-0-1.noarch"), (40, "old-1-1.noarch"), (101, "old-1-1.noarch")] {
            assert!(!is_obsoleted_by(&run(Some(began), goes), old, new), "{began} {goes}");
        }
        let logged =
            |began| CutOff { began: Some(began), comes: vec!["new-1-1.noarch".into()], goes: vec![] };
        assert!(is_obsoleted_by(&logged(101), old, new) && !is_obsoleted_by(&logged(90), old, new));
    }

    #[test]
    fn of_a_downgrade_the_older_version_is_the_one_that_came() {
        let (newer, olders) = by_age(&package(&[("2-1", 50), ("1-1", 100)]));
        assert_eq!((newer, olders), (version("1-1", 100), vec![version("2-1", 50)]));
        // In the same second the higher version.
        assert_eq!(by_age(&package(&[("2-1", 50), ("1-1", 50)])).0, version("2-1", 50));
    }
}
