//! What differs between two looks at the package database.

use crate::managers::{Installed, Leftover};
use crate::model::class::Extra;
use crate::model::updates::Change;
use crate::store::state::Open;
use crate::system::time::Time;

/// What differs between two looks at the package database. Of a version that stood beside another, that
/// it is gone.
pub(super) fn changes(before: &Installed, after: &Installed) -> Vec<Change> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let version = |of: &Installed, name: &String| of.get(name).map(|package| package.version.clone());
    let change = |name: &String, from, to| Change {
        name: name.clone(),
        from,
        to,
        open_seconds: None,
        extra: Extra::new(),
    };
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

/// The packages as they count: an update is not done while the version is still there that it was to replace.
pub(super) fn without_unfinished(installed: &Installed, leftovers: &[Leftover]) -> Installed {
    let mut installed = installed.clone();
    for left in leftovers.iter().filter(|left| left.obsoleter.is_none()) {
        let Some(package) = installed.get_mut(&left.name) else { continue };
        let not_there = if package.version == left.newer {
            package.version = left.version.clone();
            &left.version
        } else {
            &left.newer
        };
        package.others.retain(|other| other.version != *not_there);
    }
    installed
}

/// Says of each package that came or changed for how long its update had been known.
pub(super) fn tell_since(changes: &mut [Change], open: &[Open]) {
    let now = Time::now();
    for change in changes.iter_mut().filter(|change| change.to.is_some()) {
        let of_it = open.iter().filter(|open| open.name == change.name && open.installed == change.from);
        change.open_seconds = of_it.map(|open| now.seconds_since(open.first_seen).max(0)).max();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::{InstalledPackage, OtherVersion};

    fn installed(packages: &[(&str, &str)]) -> Installed {
        let package = |version: &str| InstalledPackage {
            version: version.to_string(),
            architecture: "all".to_string(),
            is_broken: false,
            others: Vec::new(),
            is_unpacked: false,
            needs_reinstall: false,
            is_held: false,
            installed_at: None,
        };
        packages.iter().map(|(name, version)| (name.to_string(), package(version))).collect()
    }

    fn change(name: &str, from: Option<&str>, to: Option<&str>) -> Change {
        Change {
            name: name.into(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            open_seconds: None,
            extra: Extra::new(),
        }
    }

    #[test]
    fn an_update_is_done_when_the_version_has_gone_that_it_replaces() {
        let several = |versions: &[&str]| {
            let mut several = installed(&[("a", versions[0])]);
            let other = |version: &&str| OtherVersion { version: version.to_string(), installed_at: None };
            several.get_mut("a").unwrap().others = versions[1..].iter().map(other).collect();
            several
        };
        let left = |version: &str, newer: &str| Leftover {
            name: "a".into(),
            architecture: "noarch".into(),
            version: version.into(),
            newer: newer.into(),
            obsoleter: None,
        };
        // Of an update, of a downgrade, and of two updates one after the other.
        for (there, lefts, done, expected) in [
            (several(&["2", "1"]), vec![left("1", "2")], "2", vec![("1", Some("2"))]),
            (several(&["2", "1"]), vec![left("2", "1")], "1", vec![("2", Some("1"))]),
            (
                several(&["3", "1", "2"]),
                vec![left("1", "3"), left("2", "3")],
                "3",
                vec![("1", Some("3")), ("2", None)],
            ),
            // What somebody put beside it is no part of that.
            (several(&["2", "1", "0"]), vec![left("1", "2")], "2", vec![("1", Some("2")), ("0", None)]),
        ] {
            let counts = without_unfinished(&there, &lefts);
            let before = installed(&[("a", expected[0].0)]);
            assert!(changes(&before, &counts).is_empty(), "{there:?}");
            let expected: Vec<_> =
                expected.into_iter().map(|(from, to)| change("a", Some(from), to)).collect();
            assert_eq!(changes(&counts, &installed(&[("a", done)])), expected);
        }
        // What took the place of another package is there, whole.
        let by = Leftover { obsoleter: Some("b".into()), ..left("1", "2") };
        let both = installed(&[("a", "1"), ("b", "2")]);
        assert_eq!(without_unfinished(&both, &[by]), both);
    }

    #[test]
    fn changes_are_what_differs_in_the_package_database() {
        let before = installed(&[("a", "1"), ("b", "1"), ("gone", "1")]);
        let after = installed(&[("a", "2"), ("b", "1"), ("new", "3")]);
        let expected = [
            change("a", Some("1"), Some("2")),
            change("gone", Some("1"), None),
            change("new", None, Some("3")),
        ];
        assert_eq!(changes(&before, &after), expected);
    }
}
