//! Reading what apk lists: changes, newer versions, sources.

use crate::managers::origins::Origins;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::Origin;
use crate::model::text::one_line;
use crate::model::updates::{HeldBack, KEPT_BACK, Update};
use std::collections::BTreeSet;

/// What `apk upgrade -s` would do.
///
/// ```text
/// (1/3) Upgrading tb-hello (1.0-r0 -> 2.0-r0)
/// (2/3) Installing tb-new (1.0-r0)
/// (3/3) Purging tb-old (1.0-r0)
/// OK: 3 packages, 4 dirs, 3 files, 0 MiB
/// ```
pub fn changes(stdout: &str) -> Listing {
    let mut listing = Listing::default();
    for Change { name, from, to } in stdout.lines().filter_map(change) {
        match to {
            // Only its source or its files would change.
            Some(_) if from == to => {}
            Some(to) => listing.updates.push(Update {
                name: name.to_string(),
                installed: from.map(str::to_owned),
                candidate: to.to_string(),
                ..Update::default()
            }),
            None => listing.removals.push((name.to_string(), from.map(str::to_owned))),
        }
    }
    // Where apk itself is updated first, the others are counted anew.
    let told = stdout.lines().filter_map(|line| Some(numbered(line)?.0)).max().unwrap_or_default();
    let is_read = |line: &&str| {
        change(line).is_some()
            || numbered(line).is_some_and(|(_, what)| what.starts_with("Updating pinning "))
    };
    listing.compare("apk", told, stdout.lines().filter(is_read).count());
    listing
}

/// Splits `tb-hello-1.0-r0`. A name may end in a number, and a version may have no revision; a version begins with a
/// digit.
pub fn name_and_version(text: &str) -> Option<(&str, &str)> {
    let (rest, last) = text.rsplit_once('-')?;
    let is_revision = last.strip_prefix('r').is_some_and(|number| number.parse::<u64>().is_ok());
    let (name, version) = match rest.rsplit_once('-') {
        Some((name, _)) if is_revision => (name, &text[name.len() + 1..]),
        _ => (rest, last),
    };
    (!name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit())).then_some((name, version))
}

/// Reads `apk version -l '<'`, which also lists what a version in world holds back.
///
/// ```text
/// Installed:                                Available:
/// tb-hello-1.0-r0                         < 2.0-r0 @edge
/// ```
pub fn newer(stdout: &str) -> Vec<HeldBack> {
    let rows = stdout.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, version) = name_and_version(words.next()?)?;
        let candidate = words.next().filter(|word| *word == "<").and(words.next())?;
        Some(HeldBack::listed(name, Some(version), candidate, KEPT_BACK))
    });
    rows.collect()
}

/// Where these versions can be had, by `apk policy`.
///
/// ```text
/// tb-hello policy:
///   1.0-r0:
///     lib/apk/db/installed
///   2.0-r0:
///     @edge http://127.0.0.1:8080
/// ```
pub fn offers(stdout: &str) -> Origins {
    let mut found = Origins::new();
    let (mut name, mut version) = ("", "");
    let mut of_version: Vec<&str> = Vec::new();
    for line in stdout.lines().chain([""]) {
        if let Some(source) = line.strip_prefix("    ") {
            of_version.push(source.split(' ').next_back().unwrap_or(source));
            continue;
        }
        // The version above is complete.
        let is_installed = of_version.iter().any(|source| source.ends_with("/installed"));
        let sources = of_version.drain(..).filter(|_| !is_installed && !name.is_empty());
        let origins = sources.map(|source| Origin {
            source: source_id(source),
            is_candidate: true,
            version: Some(version.to_string()),
            ..Origin::default()
        });
        let origins: Vec<_> = origins.collect();
        if !origins.is_empty() {
            found.entry(name.to_string()).or_default().extend(origins);
        }
        if let Some(next) = line.strip_suffix(" policy:") {
            name = next;
        } else if let Some(next) = line.strip_suffix(':') {
            version = next.trim_start();
        }
    }
    found
}

/// Names the changed packages whose files differ from what was installed. A file that the package's own script rewrote
/// looks the same.
///
/// ```text
/// tb-hello-2.0-r0
/// ```
pub fn audited(stdout: &str, changed: &[(&str, &str)]) -> Option<Failure> {
    let rows: BTreeSet<_> = stdout.lines().filter_map(name_and_version).collect();
    let names: Vec<_> = changed.iter().filter(|row| rows.contains(row)).map(|(name, _)| *name).collect();
    let text = || {
        format!(
            "files of {} are not as they came, as when the disk is full; apk fix {} installs them again",
            names.join(", "),
            names.join(" ")
        )
    };
    (!names.is_empty()).then(|| Failure::new(Class::Other, text()))
}

/// One package that apk is about to change.
#[derive(Debug, PartialEq, Eq)]
pub struct Change<'a> {
    pub name: &'a str,
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
}

/// How many changes there are, and what one is.
fn numbered(line: &str) -> Option<(usize, &str)> {
    let (count, rest) = line.strip_prefix('(')?.split_once(") ")?;
    let (number, all) = count.split_once('/')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_count = is_number(number.trim_start()) && is_number(all);
    Some((all.parse().ok().filter(|_| is_count)?, rest))
}

/// `(1/3) Upgrading tb-hello@edge (1.0-r0 -> 2.0-r0)`; the number may be padded with spaces.
pub fn change(line: &str) -> Option<Change<'_>> {
    let (_, rest) = numbered(line)?;
    let rest = rest.strip_prefix("[APK unavailable, skipped] ").unwrap_or(rest);
    let (verb, rest) = rest.split_once(' ')?;
    let (name, versions) = rest.strip_suffix(')')?.split_once(" (")?;
    let name = name.split('@').next().filter(|name| !name.is_empty() && !name.contains(' '))?;
    let (from, to) = match (verb, versions.split_once(" -> ")) {
        ("Upgrading" | "Downgrading" | "Replacing", Some((from, to))) => (Some(from), Some(to)),
        ("Installing", None) => (None, Some(versions)),
        ("Purging", None) => (Some(versions), None),
        ("Reinstalling", None) => (Some(versions), Some(versions)),
        _ => return None,
    };
    Some(Change { name, from, to })
}

/// A repository as the administrator wrote it, without the path of its index that apk adds in some lines
/// (`/x86_64/APKINDEX.tar.gz`, and for a `v3` one of apk 3 `/x86_64/Packages.adb`), and without slashes at its end, which
/// are not in all lines: `http://127.0.0.1:8080`.
pub fn source_id(url: &str) -> String {
    let without = |file: &&str| url.strip_suffix(file)?.rsplit_once('/');
    let base = ["/APKINDEX.tar.gz", "/Packages.adb"].iter().find_map(without);
    one_line(base.map_or(url, |(base, _)| base).trim_end_matches('/'))
}

/// Whether a repository is a directory of this machine; no index of it is stored.
pub fn is_local(id: &str) -> bool {
    id.starts_with('/') || id.starts_with("file:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_one_name_whatever_its_index() {
        for end in ["", "/", "/x86_64/APKINDEX.tar.gz", "/x86_64/Packages.adb"] {
            assert_eq!(source_id(&format!("https://h/current/main{end}")), "https://h/current/main", "{end}");
        }
    }

    #[test]
    fn names_and_versions_are_told_apart() {
        for (text, name, version) in [
            ("tb-hello-1.0-r0", "tb-hello", "1.0-r0"),
            ("gtk-4-4.10.3-r2", "gtk-4", "4.10.3-r2"),
            (".build-deps-20260101.120000", ".build-deps", "20260101.120000"),
            ("a-1.2_git20260101-r12", "a", "1.2_git20260101-r12"),
        ] {
            assert_eq!(name_and_version(text), Some((name, version)));
        }
        for text in ["", "-", "a", "a-b", "Installed:", "-1.0-r0", "r0", "-r0", "a-r1"] {
            assert_eq!(name_and_version(text), None, "{text}");
        }
    }

    #[test]
    fn new_removed_and_tagged_packages_are_listed_and_reinstalled_ones_are_not() {
        let text = "(1/6) Purging tb-old (1.0-r0)\n(2/6) Installing tb-new (1.0-r0)\n\
            ( 3/16) Upgrading tb-e@edge (1.0-r0 -> 2.0-r0)\n(4/6) Downgrading tb-d (3-r0 -> 2-r0)\n\
            (5/6) Replacing tb-r (1-r0 -> 1-r0)\n(6/6) [APK unavailable, skipped] Reinstalling tb-b (2-r0)\n\
            (x) Upgrading a (1 -> 2)\n(1/1) Upgrading a\nOK: 1 packages, 2 dirs, 3 files, 0 MiB\n";
        let listing = changes(text);
        let updates: Vec<_> =
            listing.updates.iter().map(|u| (u.name.as_str(), u.candidate.as_str())).collect();
        assert_eq!(updates, [("tb-new", "1.0-r0"), ("tb-e", "2.0-r0"), ("tb-d", "2-r0")]);
        assert_eq!(listing.removals, [("tb-old".to_string(), Some("1.0-r0".to_string()))]);
    }

    #[test]
    fn a_version_that_is_installed_is_no_candidate() {
        let text = "a policy:\n  1-r0:\n    lib/apk/db/installed\n    http://h/main\n  2-r0:\n    http://u:p@h/main\n    \
            @edge http://h/edge\nb policy:\n  1-r0:\n    lib/apk/db/installed\n";
        let found = offers(text);
        let sources: Vec<_> = found["a"].iter().map(|origin| origin.source.as_str()).collect();
        assert_eq!(sources, ["http://h/main", "http://h/edge"]);
        assert!(!found.contains_key("b"));
        let versions: Vec<_> = found["a"].iter().map(|origin| origin.version.clone()).collect();
        assert_eq!(versions, [Some("2-r0".to_string()), Some("2-r0".to_string())]);
    }

    #[test]
    fn an_audit_speaks_only_of_what_was_changed() {
        let text = "tb-hello-2.0-r0\ntb-other-1.0-r0\ntb-sec-1.0-r0\n";
        let changed = [("tb-hello", "2.0-r0"), ("tb-sec", "2.0-r0")];
        let failure = audited(text, &changed).unwrap();
        assert!(failure.message.ends_with("apk fix tb-hello installs them again"), "{}", failure.message);
        assert_eq!(audited(text, &changed[1..]), None);
    }
}
