//! What differs between two looks at the package database.

use crate::managers::Installed;
use crate::model::updates::Change;
use crate::store::state::Open;
use crate::system::time::Time;
use std::collections::HashMap;

/// What differs between two looks at the package database, including older versions that stood beside others and are
/// gone.
pub(super) fn changes(before: &Installed, after: &Installed) -> Vec<Change> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let version = |of: &Installed, name: &String| of.get(name).map(|package| package.version.clone());
    let change = |name: &String, from, to| Change { name: name.clone(), from, to, ..Change::default() };
    let changes = names.into_iter().flat_map(|name| {
        let (from, to) = (version(before, name), version(after, name));
        let is_there = |version: &String| {
            let package = after.get(name);
            package.is_some_and(|package| {
                package.version == *version || package.others.iter().any(|other| other.version == *version)
            })
        };
        let others = before.get(name).into_iter().flat_map(|package| &package.others);
        let gone = others.map(|other| &other.version).filter(|version| !is_there(version));
        let gone: Vec<_> = gone.map(|version| change(name, Some(version.clone()), None)).collect();
        (from != to).then(|| change(name, from, to)).into_iter().chain(gone)
    });
    changes.collect()
}

/// Notes for each package that came or changed for how long its update had been known.
pub(super) fn tell_since(changes: &mut [Change], open: &[Open]) {
    let now = Time::now();
    let mut since: HashMap<(&str, Option<&str>), Time> = HashMap::new();
    for open in open {
        let first = since.entry((&open.name, open.installed.as_deref())).or_insert(open.first_seen);
        *first = open.first_seen.min(*first);
    }
    for change in changes.iter_mut().filter(|change| change.to.is_some()) {
        let first = since.get(&(change.name.as_str(), change.from.as_deref()));
        change.open_seconds = first.map(|first| now.seconds_since(*first).max(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::InstalledPackage;

    fn installed(packages: &[(&str, &str)]) -> Installed {
        let package = |version: &str| InstalledPackage {
            version: version.to_string(),
            architecture: "all".into(),
            ..InstalledPackage::default()
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
            ..Change::default()
        };
        let expected = [
            change("a", Some("1"), Some("2")),
            change("gone", Some("1"), None),
            change("new", None, Some("3")),
        ];
        assert_eq!(changes(&before, &after), expected);
    }
}
