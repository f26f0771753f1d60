//! The updates because of which dnf 5 does nothing at all.

use super::errors::{errors, install_began, without_path};
use super::lists::transaction;
use crate::managers::rpm::names::{listed_name, parts_of_nevra};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::updates::{HeldBack, Update};
use crate::system::process::{End, Finished};

/// The updates that cannot be installed, by what a test of the transaction says: a wrong signature, a file that two
/// packages have, a missing dependency.
///
/// ```text
/// OpenPGP check for package "tb-a-2.0-1.noarch" (/var/.../tb-a-2.0-1.noarch.rpm) from repo "x" has failed: The package is not signed.
///   - file /usr/share/x conflicts between attempted installs of tb-a-2.0-1.noarch and tb-b-2.0-1.noarch
///   - file /usr/share/x from install of tb-a-2.0-1.noarch conflicts with file from package tb-c-1.0-1.noarch
///   - tb-c = 1.0 is needed by tb-a-2.0-1.noarch
/// Problem: cannot install the best update candidate for package tb-a-1.0-1.noarch
/// ```
pub fn culprits(finished: &Finished) -> Vec<HeldBack> {
    if !matches!(finished.end, End::Code(_)) || began_for_real(finished) {
        return Vec::new();
    }
    let mut found: Vec<HeldBack> = Vec::new();
    let updates = transaction(&finished.stdout).updates;
    let mut add = |package: &str, class: Class, reason: &str| {
        let Some((name, _, arch)) = parts_of_nevra(package) else { return };
        let name = listed_name(name, arch);
        if !found.iter().any(|held| held.name == name) {
            let update = updates.iter().find(|update| update.name == name);
            let candidate = update.map(|update| update.candidate.clone());
            found.push(HeldBack { candidate, ..HeldBack::left_out(name, class, reason) });
        }
    };
    let is_unresolved =
        finished.stderr.lines().any(|line| line.starts_with("Failed to resolve the transaction"));
    for line in finished.stderr.lines() {
        let words = line.strip_prefix("  - ").unwrap_or(line);
        // Before 5.2.7 it says "PGP".
        let check = line.strip_prefix("Open").unwrap_or(line).strip_prefix("PGP check for package \"");
        if let Some(check) = check {
            add(check.split('"').next().unwrap_or_default(), Class::Auth, &without_path(line));
        } else if words.starts_with("file ") && words.len() < line.len() {
            let installs = [" attempted installs of ", " from install of "];
            let package = installs.iter().find_map(|of| words.split_once(of)?.1.split(' ').next());
            add(package.unwrap_or_default(), Class::Dependency, words);
        } else if let Some((_, package)) = words.split_once(" is needed by ") {
            add(package.split(' ').next().unwrap_or_default(), Class::Dependency, words);
        } else if let Some((_, package)) = line.split_once(UNRESOLVED).filter(|_| is_unresolved) {
            add(package.trim(), Class::Dependency, "its dependencies cannot be met");
        }
    }
    found
}

const UNRESOLVED: &str = ": cannot install the best update candidate for package ";

/// All updates of a repository whose key cannot be had.
///
/// ```text
/// >>> Status code: 404 for http://127.0.0.1/KEY (IP: 127.0.0.1)
/// Failed to download files
///  Librepo error: Status code: 404 for http://127.0.0.1/KEY (IP: 127.0.0.1)
/// cannot open file: (2) - No such file or directory [/etc/pki/gone]
/// ```
pub fn culprits_of_keys(failure: &Failure, finished: &Finished, configuration: &str) -> Vec<HeldBack> {
    if !matches!(failure.class, Class::Auth | Class::Network) || began_for_real(finished) {
        return Vec::new();
    }
    let mut keys: Vec<(&str, &str)> = Vec::new();
    let mut id = "";
    for line in configuration.lines() {
        if line.starts_with("======== ") {
            id = line.split('"').nth(1).unwrap_or_default();
        } else if let Some(of_repository) = line.strip_prefix("gpgkey = ") {
            keys.extend(of_repository.split([',', ' ']).filter(|key| !key.is_empty()).map(|key| (id, key)));
        }
    }
    let says = |key: &str| {
        let path = key.strip_prefix("file://").unwrap_or(key);
        let words = [format!(" for {key} "), format!("[{path}]")];
        errors(&finished.stderr).any(|line| words.iter().any(|words| line.contains(words.as_str())))
    };
    let ids: Vec<_> = keys.into_iter().filter(|(_, key)| says(key)).map(|(id, _)| id).collect();
    let of_them =
        |update: &Update| update.source.as_ref().is_some_and(|source| ids.contains(&source.as_str()));
    let updates = transaction(&finished.stdout).updates.into_iter().filter(of_them);
    let reason = |update: &Update| {
        let source = update.source.as_deref().unwrap_or_default();
        format!("could not get the key of its repository {source}: {}", failure.message)
    };
    updates
        .map(|update| {
            let candidate = Some(update.candidate.clone());
            HeldBack { candidate, ..HeldBack::left_out(&update.name, failure.class, reason(&update)) }
        })
        .collect()
}

/// Whether packages may have changed: it was not a test, and its transaction began.
fn began_for_real(finished: &Finished) -> bool {
    let is_test = finished.stderr.lines().any(|line| line.starts_with("Test mode enabled: "));
    !is_test && install_began(finished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_update_in_the_way_is_named_only_where_nothing_is_changed_yet() {
        let table = "Package Arch Version Repository Size\nUpgrading:\n tb-a noarch 0:2.0-1 x 1 B\n\n";
        let test = "Test mode enabled: x\nRunning transaction\nTransaction failed: Rpm transaction failed.\n";
        let conflict = "  - file /x from install of tb-a-2.0-1.noarch conflicts with file from package tb-b-1-1.noarch\n";
        let needed = "  - tb-b = 1.0 is needed by tb-a-2.0-1.noarch\n";
        let key = "PGP check for package \"tb-a-2.0-1.noarch\" (/x/tb-a.rpm) from repo \"x\" has failed: not signed.\n";
        for key in [key.to_string(), format!("Open{key}")] {
            let found = culprits(&Finished::ended(1, table, &format!("{test}{key}")));
            assert_eq!((found[0].name.as_str(), found[0].class), ("tb-a", Some(Class::Auth)));
        }
        for line in [conflict, needed] {
            let found = culprits(&Finished::ended(1, table, &format!("{test}{line}")));
            assert_eq!(found.len(), 1, "{line}");
            assert_eq!((found[0].name.as_str(), found[0].class), ("tb-a", Some(Class::Dependency)));
            assert_eq!(found[0].candidate.as_deref(), Some("2.0-1"));
        }
        let began = format!("Running transaction\n[1/2] Prepare transaction 100% | 1 | 2 | 3\n{conflict}");
        assert!(culprits(&Finished::ended(1, table, &began)).is_empty());
    }
}
