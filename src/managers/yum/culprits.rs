//! The updates because of which yum does nothing at all.

use super::errors::install_began;
use super::lists::transaction;
use crate::managers::rpm::names::{listed_name, parts_of_nevra};
use crate::managers::rpm::{self, WOULD_GO};
use crate::model::class::Class;
use crate::model::updates::{HeldBack, Update};
use crate::system::process::{End, Finished};

/// The updates that cannot be installed, by what yum says before the install: a wrong signature, a key that cannot be
/// had, a file that two packages have, a missing dependency. Other unmet dependencies yum skips by itself.
///
/// ```text
/// Package tb-a-2.0-1.noarch.rpm is not signed
///  Failing package is: tb-a-2.0-1.noarch
///   file /usr/share/x conflicts between attempted installs of tb-a-2.0-1.noarch and tb-b-2.0-1.noarch
/// tb-c = 1.0 is needed by tb-a-2.0-1.noarch
/// Error: Protected multilib versions: tb-a-2.0-1.i686 != tb-a-1.0-1.x86_64
/// ```
pub fn culprits(finished: &Finished) -> Vec<HeldBack> {
    if !matches!(finished.end, End::Code(1)) || install_began(finished) {
        return Vec::new();
    }
    if finished.stderr.lines().any(|line| line.starts_with(LOST_KEY)) {
        return without_key(finished);
    }
    let protected: Vec<_> = finished.stderr.lines().filter_map(protected).collect();
    if !protected.is_empty() {
        let held = |name: &str| HeldBack::left_out(name, Class::Dependency, WOULD_GO);
        return protected.into_iter().map(held).collect();
    }
    let updates = transaction(&finished.stdout).updates;
    let mut found: Vec<HeldBack> = Vec::new();
    for line in finished.stderr.lines().chain(test_of_rpm(finished)) {
        let words = line.trim_start();
        let (packages, class) = if let Some(package) = of_signature(words) {
            (vec![package], Class::Auth)
        } else if let Some((_, versions)) = words.split_once("Protected multilib versions: ") {
            (versions.split(" != ").collect(), Class::Dependency)
        } else {
            (of_test(words).into_iter().collect(), Class::Dependency)
        };
        for package in packages {
            let held = match updates.iter().find(|update| is_of(package, update)) {
                Some(update) => {
                    let source = update.source.as_deref().unwrap_or_default();
                    let reason = match class {
                        Class::Auth => format!("{words} (repository {source})"),
                        _ => words.to_string(),
                    };
                    update.clone().left_out(class, &reason)
                }
                // Before it has solved the transaction yum shows no table.
                None if updates.is_empty() => match name_of_package(package) {
                    Some(name) => HeldBack::left_out(name, class, words),
                    None => continue,
                },
                None => continue,
            };
            if found.iter().all(|known| known.name != held.name) {
                found.push(held);
            }
        }
    }
    found
}

/// A protected package that would be replaced: yum then does nothing at all. If there are several, only the first line
/// has the word in front. Taken from yum's source; not recorded.
///
/// ```text
/// Error: Trying to remove "tb-a", which is protected
/// ```
fn protected(line: &str) -> Option<&str> {
    line.trim_start()
        .trim_start_matches("Error: ")
        .strip_prefix("Trying to remove \"")?
        .strip_suffix("\", which is protected")
}

const LOST_KEY: &str = "GPG key retrieval failed: ";

/// All updates of a repository whose key cannot be had; rpm's warning about the first of them names it.
///
/// ```text
/// warning: /var/cache/yum/x86_64/7/base/packages/tb-a-2.0-1.noarch.rpm: Header V4 RSA/SHA512 Signature, key ID cac94235: NOKEY
/// GPG key retrieval failed: [Errno 14] HTTP Error 404 - Not Found
/// ```
fn without_key(finished: &Finished) -> Vec<HeldBack> {
    let lines = || finished.stderr.lines();
    let why = lines().find(|line| line.starts_with(LOST_KEY)).unwrap_or_default();
    let files = lines().filter(|line| line.ends_with(": NOKEY")).filter_map(|line| {
        let (path, _) = line.strip_prefix("warning: ")?.split_once(".rpm: ")?;
        path.rsplit('/').next()
    });
    let updates = transaction(&finished.stdout).updates;
    let of_file = |file| updates.iter().find(|update| is_of(file, update));
    let Some(source) = files.filter_map(of_file).next_back().and_then(|update| update.source.clone()) else {
        return Vec::new();
    };
    let of_it = updates.iter().filter(|update| update.source.as_ref() == Some(&source));
    let held = of_it.map(|update| {
        let reason = format!("could not get the key of its repository {source}: {why}");
        update.clone().left_out(Class::Auth, &reason)
    });
    held.collect()
}

/// The repository because of which yum does nothing: it must be verified, and names no key.
pub fn keyless(finished: &Finished) -> Option<String> {
    let line = finished.stderr.lines().find_map(|line| line.strip_prefix("Problem repository: "))?;
    let id = line.split('/').next().unwrap_or(line).trim();
    crate::managers::rpm::tables::is_repository(id).then(|| id.to_string())
}

/// What rpm found that yum had not seen: on standard output, below this headline.
fn test_of_rpm(finished: &Finished) -> impl Iterator<Item = &str> {
    finished.stdout.lines().skip_while(|line| !line.starts_with("ERROR with transaction check"))
}

/// The package in a line about a signature.
fn of_signature(words: &str) -> Option<&str> {
    if let Some(package) = words.strip_prefix("Failing package is: ") {
        return Some(package);
    }
    rpm::errors::of_signature(words)
}

/// The package in a line of rpm's test. An installed package is no update.
fn of_test(words: &str) -> Option<&str> {
    let package = if words.starts_with("file ") {
        let parts = [" attempted installs of ", " from install of "];
        parts.iter().find_map(|of| words.split_once(of))?.1
    } else {
        words.split_once(" is needed by ").filter(|_| !words.contains(" by (installed)"))?.1
    };
    package.split([' ', ',']).next()
}

/// Whether this is the package of an update. Its file in the cache may have more in front of the name.
fn is_of(package: &str, update: &Update) -> bool {
    let version = update.candidate.rsplit(':').next().unwrap_or_default();
    let (rest, arch) = package.rsplit_once('.').unwrap_or((package, ""));
    let rest = rest.strip_suffix(version).and_then(|rest| rest.strip_suffix('-')).unwrap_or_default();
    let is_it = |rest: &str| listed_name(rest, arch) == update.name;
    let mut shorter = rest.match_indices(['-', ':']).map(|(at, _)| &rest[at + 1..]);
    is_it(rest) || shorter.any(is_it)
}

/// The name in `tb-a-2.0-1.noarch`.
fn name_of_package(package: &str) -> Option<String> {
    let (name, _, arch) = parts_of_nevra(package.trim())?;
    Some(listed_name(name.rsplit(':').next().unwrap_or(name), arch))
}
