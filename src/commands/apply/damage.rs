//! What a run that was cut off has left in the package database.

use super::Run;
use super::work::Remains;
use crate::driver::settings_files::administrators;
use crate::managers::rpm::leftovers::{by_age, is_between, is_left_by, is_obsoleted_by, obsoleted};
use crate::managers::{CutOff, Damage, Installed, InstalledPackage, Leftover, OtherVersion, rpm};
use crate::store::state::{InProgress, Source};
use crate::system::files::paths_in;
use log::info;
use std::collections::HashMap;
use std::path::Path;

impl Run<'_> {
    /// Notes what a run that was cut off has left in the package database.
    pub(super) fn note_remains(&mut self, installed: &Installed) {
        let broken = installed.iter().filter(|(_, package)| package.is_broken);
        let again = installed.iter().filter(|(_, package)| package.needs_reinstall);
        let half_gone = installed.iter().filter(|(_, package)| package.removal_failed);
        let several = installed.iter().filter(|(_, package)| !package.others.is_empty());
        let several: Vec<_> = several.filter(|(name, _)| !self.keeps_several(name, &[], "")).collect();
        let obsoleted = obsoleted(installed);
        // Asked once, and only if something depends on the answer.
        let is_asked = !several.is_empty() || !obsoleted.is_empty();
        let history = if is_asked { self.manager.cut_off_runs(&self.session) } else { Vec::new() };
        let (leftovers, side_by_side) = self.leftovers(several, &history);
        let leftovers = [leftovers, self.obsoleted(obsoleted, &history)].concat();
        let (excluded, leftovers): (Vec<_>, Vec<_>) = leftovers.into_iter().partition(|left| {
            let mut names = std::iter::once(&left.name).chain(&left.obsoleter);
            names.any(|name| self.selection.is_excluded(name))
        });
        // What would be installed once more removes all that it replaces.
        let replaces_excluded =
            |name: &String| excluded.iter().any(|left| left.obsoleter.as_ref() == Some(name));
        let leftovers: Vec<_> = leftovers
            .into_iter()
            .filter(|left| !replaces_excluded(left.obsoleter.as_ref().unwrap_or(&left.name)))
            .collect();
        if !side_by_side.is_empty() && self.remains.side_by_side.is_empty() {
            info!(
                "installed in two versions, and left alone since no run was cut off over them: {}",
                side_by_side.join(", ")
            );
        }
        // Those of another manager are none of this one.
        let is_ours = self.state.of_another(self.manager.facts().name).is_none();
        let (reached, not_reached): (Vec<_>, Vec<_>) =
            self.state.sources.iter().filter(|_| is_ours).partition(|source| source.error.is_none());
        // A repository that is configured no more is unknown, and dnf5 does nothing at all with an unknown one.
        let configured = if leftovers.is_empty() { Vec::new() } else { self.manager.sources(&self.session) };
        let is_configured = |id: &String| configured.is_empty() || configured.contains(id);
        let ids = |sources: Vec<&Source>| {
            sources.iter().map(|source| source.id.clone()).filter(is_configured).collect()
        };
        self.remains = Remains {
            run: self.remains.run.take(),
            damage: Damage {
                broken: broken.map(|(name, _)| name.clone()).collect(),
                needs_reinstall: again.map(|(name, _)| name.clone()).collect(),
                removal_failed: half_gone.map(|(name, _)| name.clone()).collect(),
                leftovers,
                unmet: None,
                stays: self.selection.excluded_among(installed),
                refreshed: ids(reached),
                not_refreshed: ids(not_reached),
            },
            is_some_excluded: !excluded.is_empty(),
            side_by_side,
        };
    }

    /// What is not whole, in words.
    pub(super) fn damage_words(&self) -> String {
        if let Some(unmet) = &self.remains.damage.unmet {
            return unmet.clone();
        }
        let damage = &self.remains.damage;
        let broken = damage.broken.iter().map(|name| match damage.needs_reinstall.contains(name) {
            true => format!("{name} (which must be installed once more: {})", self.manager.reinstall(name)),
            false => match self.manager.end_by_hand(name, damage.removal_failed.contains(name)) {
                Some(words) => format!("{name} ({words})"),
                None => name.clone(),
            },
        });
        let leftovers = self.remains.damage.leftovers.iter();
        let leftovers = leftovers.map(|left| {
            let new = left.obsoleter.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
            let old = rpm::names::nevra(&left.name, &left.version, &left.architecture);
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

    /// The versions that a run which was cut off was to replace. The evidence is our own note of such a run, or the
    /// manager's. All others are there because somebody wants them beside newer ones; these are returned in words.
    fn leftovers(
        &self,
        several: Vec<(&String, &InstalledPackage)>,
        history: &[CutOff],
    ) -> (Vec<Leftover>, Vec<String>) {
        let (mut leftovers, mut kept) = (Vec::new(), Vec::new());
        if several.is_empty() {
            return (leftovers, kept);
        }
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
                let is_left = self.came_first(name, &older, &newer)
                    && (self.is_noted(name, &newer)
                        || history.iter().any(|run| is_left_by(run, name, &newer, &older)));
                if is_left {
                    leftovers.push(Leftover {
                        name: name.clone(),
                        architecture: older.architecture.to_string(),
                        version: older.version,
                        newer: newer.version.clone(),
                        newer_architecture: newer.architecture.to_string(),
                        obsoleter: None,
                    });
                } else {
                    kept.push(format!("{name} {} beside {}", older.version, newer.version));
                }
            }
        }
        (leftovers, kept)
    }

    /// Whether the older version was there before the newer one came. What somebody puts beside it in the second in
    /// which that came has the same time.
    fn came_first(&self, name: &str, older: &OtherVersion, newer: &OtherVersion) -> bool {
        if older.installed_at != newer.installed_at {
            return older.installed_at < newer.installed_at;
        }
        let database = self.manager.database();
        let order = database.in_order(&self.session, database.plain_name(name));
        let place = |one: &OtherVersion| order.iter().position(|version| *version == one.version);
        place(older).zip(place(newer)).is_none_or(|(older, newer)| older < newer)
    }

    /// Packages that were to be replaced by another one, which a run that was cut off had installed. The manager itself
    /// never looks at them again.
    fn obsoleted(&self, pairs: Vec<[(&String, &InstalledPackage); 2]>, history: &[CutOff]) -> Vec<Leftover> {
        let is_left = |[old, new]: &[(&String, &InstalledPackage); 2]| {
            let is_noted = |run: &InProgress| {
                run.packages.contains(new.0) && is_between(run.started_at.unix(), *old, *new)
            };
            self.installs_cut_off().any(is_noted)
                || history.iter().any(|run| is_obsoleted_by(run, *old, *new))
        };
        let left = pairs.into_iter().filter(is_left).map(|[(name, package), (new, by)]| Leftover {
            name: name.clone(),
            architecture: package.architecture.to_string(),
            version: package.version.clone(),
            newer: by.version.clone(),
            newer_architecture: by.architecture.to_string(),
            obsoleter: Some(new.clone()),
        });
        left.collect()
    }

    /// Our own runs that were cut off while they installed.
    fn installs_cut_off(&self) -> impl Iterator<Item = &InProgress> {
        self.remains.run.iter().flat_map(InProgress::all).filter(|run| run.phase == "install")
    }

    /// Whether one of our runs that was cut off was installing this version of a package.
    fn is_noted(&self, name: &String, newer: &OtherVersion) -> bool {
        self.installs_cut_off().any(|run| {
            // An older version of this program did not note what it was installing.
            run.packages.is_empty()
                || (run.packages.contains(name)
                    && newer.installed_at.is_some_and(|at| at >= run.started_at.unix()))
        })
    }

    fn keeps_several(&self, name: &str, provides: &[&str], rules: &str) -> bool {
        self.manager.database().keeps_several(name, provides, rules)
    }

    /// What these packages provide; nothing where it cannot be told.
    fn provides(&self, packages: &[(&String, &InstalledPackage)]) -> HashMap<String, Vec<String>> {
        let names: Vec<_> =
            packages.iter().map(|(name, _)| self.manager.database().plain_name(name)).collect();
        self.manager.database().provides(&self.session, &names)
    }

    /// The text of the configuration that says which packages are kept in several versions.
    fn rules(&self) -> String {
        let usual = self.manager.facts().rules.iter().map(|path| texts(Path::new(path)));
        let elsewhere = &self.session.elsewhere().rules;
        let elsewhere = elsewhere.iter().map(|dir| texts_of(Path::new(dir), "multiversion=\n"));
        let settings = self.manager.settings();
        let settings = settings.and_then(|settings| administrators(settings).ok());
        usual.chain(elsewhere).chain(settings).collect()
    }
}

/// The text of a file, or of the files `*.conf` in a directory. Each file begins on a new line.
fn texts(path: &Path) -> String {
    if !path.is_dir() {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        return format!("[]\n{text}\n");
    }
    // The files of multiversion.d hold only names.
    texts_of(path, if path.ends_with("multiversion.d") { "multiversion=\n" } else { "[]\n" })
}

/// The texts of the files in a directory, each with this in front.
fn texts_of(dir: &Path, head: &str) -> String {
    let files = paths_in(dir).into_iter().filter(|file| file.is_file());
    files.map(|file| format!("{head}{}\n", std::fs::read_to_string(file).unwrap_or_default())).collect()
}
