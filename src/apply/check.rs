//! What an apply really did: the package database before and after it, and the files.

use super::Run;
use crate::backend::Installed;
use crate::outcome::{Change, Class, Extra, Failure, Update};
use crate::process::{End, Limits};
use log::warn;
use std::time::Duration;

/// Reading every installed file may take so long.
const AUDIT_BUDGET: Duration = Duration::from_secs(15 * 60);

impl Run<'_> {
    /// What the manager's exit code 0 does not say: a package that was selected and is not
    /// there, or one that was left half installed.
    pub(super) fn contradiction(&self, after: &Installed) -> Option<Failure> {
        let broken = broken(&Some(after.clone()));
        let others_at_work = !self.install_began && self.session.lock_holder().is_some();
        if !broken.is_empty() && !others_at_work {
            let text = format!("not completely installed: {}", broken.join(", "));
            return Some(Failure::new(Class::Script, text));
        }
        let is_there =
            |name: &str, version: &str| after.get(name).is_some_and(|package| package.version == version);
        let planned = &self.planned.updates;
        let is_newer = |done: &&Update| planned.iter().any(|update| update.name == done.name);
        let done = self.done.iter().filter(|done| !is_newer(done));
        let updates = planned.iter().chain(done).filter(|_| self.install_began);
        let missing: Vec<_> = updates.filter(|update| !is_there(&update.name, &update.candidate)).collect();
        let names: Vec<_> = missing.iter().map(|update| update.name.as_str()).collect();
        (!names.is_empty())
            .then(|| Failure::new(Class::Other, format!("selected but not installed: {}", names.join(", "))))
    }

    /// What neither exit code nor database say: files that are not as they were to be installed.
    pub(super) fn damage(&mut self) -> Option<Failure> {
        let (ask, parse) = self.backend.quirks.audit?;
        let changed: Vec<_> = self.applied.packages.iter().filter_map(Change::new_version).collect();
        if changed.is_empty() {
            return None;
        }
        let limits = Limits { budget: Some(AUDIT_BUDGET), ..Limits::default() };
        let audit = self.session.run("checking what was installed", &ask(), &limits);
        let why = match audit {
            Ok(finished) if finished.end == End::Code(0) => return parse(&finished.stdout, &changed),
            Ok(finished) => finished.stderr.trim().to_string(),
            Err(failure) => failure.message,
        };
        warn!("could not check the installed files: {why}");
        None
    }
}

/// The packages of which an install was begun and not ended.
pub(super) fn broken(installed: &Option<Installed>) -> Vec<String> {
    let packages = installed.iter().flatten();
    packages.filter(|(_, package)| package.is_broken).map(|(name, _)| name.clone()).collect()
}

/// What differs between two looks at the package database.
pub(super) fn changes(before: &Installed, after: &Installed) -> Vec<Change> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let version = |of: &Installed, name: &String| of.get(name).map(|package| package.version.clone());
    let changes = names.into_iter().map(|name| Change {
        name: name.clone(),
        from: version(before, name),
        to: version(after, name),
        extra: Extra::new(),
    });
    changes.filter(|change| change.from != change.to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::InstalledPackage;

    fn installed(packages: &[(&str, &str)]) -> Installed {
        let package = |version: &str| InstalledPackage {
            version: version.to_string(),
            architecture: "all".to_string(),
            is_broken: false,
            leftovers: Vec::new(),
            is_held: false,
            installed_at: None,
        };
        packages.iter().map(|(name, version)| (name.to_string(), package(version))).collect()
    }

    #[test]
    fn changes_are_what_differs_in_the_package_database() {
        let before = installed(&[("a", "1"), ("b", "1"), ("gone", "1")]);
        let after = installed(&[("a", "2"), ("b", "1"), ("new", "3")]);
        let change = |name: &str, from: Option<&str>, to: Option<&str>| Change {
            name: name.into(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            extra: Extra::new(),
        };
        let expected = [
            change("a", Some("1"), Some("2")),
            change("gone", Some("1"), None),
            change("new", None, Some("3")),
        ];
        assert_eq!(changes(&before, &after), expected);
    }
}
