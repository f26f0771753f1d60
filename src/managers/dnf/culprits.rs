//! The updates because of which dnf does nothing at all.

use super::errors::{install_began, is_unresolved, lost_key};
use super::lists::transaction;
use crate::managers::rpm::WOULD_GO;
use crate::managers::rpm::errors::of_signature;
use crate::managers::rpm::names::{listed_name, parts_of_nevra};
use crate::managers::rpm::tables::settings;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::updates::{HeldBack, Update};
use crate::system::process::{End, Finished};

/// The updates that cannot be installed, by what a test of the transaction says: a wrong signature, a key that cannot
/// be had, a file that two packages have, a missing dependency.
///
/// ```text
/// Package tb-a-2.0-1.noarch.rpm is not signed
/// Public key for tb-a-2.0-1.noarch.rpm is not installed. Failing package is: tb-a-2.0-1.noarch
///   file /usr/share/x conflicts between attempted installs of tb-a-2.0-1.noarch and tb-b-2.0-1.noarch
///   file /usr/share/x from install of tb-a-2.0-1.noarch conflicts with file from package tb-c-1.0-1.noarch
///   tb-c = 1.0 is needed by tb-a-2.0-1.noarch
/// Error: transaction check vs depsolve:
/// rpmlib(TooNew) <= 9.0-1 is needed by tb-a-2.0-1.noarch
/// ```
pub fn culprits(finished: &Finished) -> Vec<HeldBack> {
    if !matches!(finished.end, End::Code(1)) || install_began(finished) {
        return Vec::new();
    }
    if is_unresolved(finished) {
        return unresolved(finished);
    }
    let updates = transaction(&finished.stdout).updates;
    let mut found: Vec<HeldBack> = Vec::new();
    let mut is_check = false;
    for line in finished.stderr.lines() {
        let words = line.trim_start().trim_start_matches("- ");
        is_check |= line.ends_with("transaction check vs depsolve:");
        let is_detail = is_check || words.len() < line.len();
        let word = |(_, rest): (&str, &str)| rest.split([' ', ',']).next().unwrap_or_default().to_string();
        let (package, class) = if let Some(parts) = line.split_once("Failing package is: ") {
            (word(parts), Class::Auth)
        } else if let Some(package) = of_signature(line) {
            (package.to_string(), Class::Auth)
        } else if words.starts_with("file ") && is_detail {
            let parts = [" attempted installs of ", " from install of "];
            let parts = parts.iter().find_map(|of| words.split_once(of));
            (parts.map(word).unwrap_or_default(), Class::Dependency)
        } else if let Some(parts) = words.split_once(" is needed by ").filter(|_| is_detail) {
            (word(parts), Class::Dependency)
        } else {
            continue;
        };
        let Some((name, _, arch)) = parts_of_nevra(package.trim_end_matches(".rpm")) else { continue };
        let name = listed_name(name, arch);
        let Some(update) = updates.iter().find(|update| update.name == name) else { continue };
        if found.iter().any(|held| held.name == name) {
            continue;
        }
        let source = update.source.as_deref().unwrap_or_default();
        let reason = match class {
            Class::Auth => format!("{words} (repository {source})"),
            _ => words.to_string(),
        };
        found.push(update.clone().left_out(class, &reason));
    }
    found
}

/// What to leave out where dnf refuses to do anything, so that it installs the rest: the protected packages that would
/// be replaced, or else the packages that it cannot update.
///
/// ```text
/// Error:
///  Problem: The operation would result in removing the following protected packages: tb-a, tb-b
///   - cannot install the best update candidate for package tb-c-1.0-1.noarch
/// ```
fn unresolved(finished: &Finished) -> Vec<HeldBack> {
    let held = |name: String, reason: &str| HeldBack::left_out(name, Class::Dependency, reason);
    let lines = || finished.stderr.lines();
    let names = lines().filter_map(|line| line.split_once(PROTECTED)).flat_map(|(_, names)| names.split(','));
    let names = names.map(str::trim).filter(|name| !name.is_empty());
    let protected: Vec<_> = names.map(|name| held(name.to_string(), WOULD_GO)).collect();
    if !protected.is_empty() {
        return protected;
    }
    let packages = lines().filter_map(|line| line.split_once(NOT_THE_BEST)?.1.split_whitespace().next());
    let names = packages.filter_map(parts_of_nevra).map(|(name, _, arch)| listed_name(name, arch));
    names.map(|name| held(name, "its dependencies cannot be met")).collect()
}

const NOT_THE_BEST: &str = "cannot install the best update candidate for package ";

const PROTECTED: &str = "The operation would result in removing the following protected packages: ";

/// All updates of a repository whose key cannot be had. dnf names only the address of the key.
///
/// ```text
/// retrieving repo key for test unencrypted from http://127.0.0.1/KEY
/// Status code: 404 for http://127.0.0.1/KEY (IP: 127.0.0.1)
/// ```
pub fn culprits_of_keys(failure: &Failure, finished: &Finished, configuration: &str) -> Vec<HeldBack> {
    let Some(line) = lost_key(finished).filter(|_| !install_began(finished)) else {
        return Vec::new();
    };
    let names_it = |key: &str| {
        // The part of the address before the file name may hold variables.
        let name = key.rsplit('/').next().unwrap_or_default();
        !name.is_empty() && line.split([' ', '/', '[', ']', '\'']).any(|word| word == name)
    };
    let settings = settings(configuration).into_iter().filter(|setting| setting.name == "gpgkey");
    let ids = settings.filter(|setting| setting.value.split([',', ' ']).any(names_it));
    let mut ids: Vec<_> = ids.map(|setting| setting.section).collect();
    let told = finished.stderr.lines().rev().find_map(|line| line.strip_prefix("retrieving repo key for "));
    if let Some((id, _)) = told.and_then(|rest| rest.split_once(" unencrypted from ")) {
        ids = vec![id.to_string()];
    }
    let of_them = |update: &Update| update.source.as_ref().is_some_and(|source| ids.contains(source));
    let updates = transaction(&finished.stdout).updates.into_iter().filter(of_them);
    updates
        .map(|update| {
            let source = update.source.clone().unwrap_or_default();
            let reason = format!("could not get the key of its repository {source}: {line}");
            update.left_out(failure.class, &reason)
        })
        .collect()
}
