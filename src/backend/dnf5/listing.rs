//! Reading what dnf5 lists: the table of a transaction, advisories.

use crate::backend::Origin;
use crate::backend::rpm::{listed_name, update};
use crate::backend::yum_family::{Section, stays};
use crate::outcome::{Listing, one_line};
use crate::process::Invocation;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

fn section(headline: &str) -> Section {
    match headline {
        "Skipping packages with conflicts:" => Section::Stays("it conflicts with another package"),
        _ if headline.starts_with("Skipping packages") => Section::Stays("its dependencies cannot be met"),
        _ if headline.contains("groups:") => Section::Unread,
        _ => match headline.split([' ', ':']).next() {
            Some("Installing" | "Upgrading" | "Downgrading" | "Reinstalling") => Section::Comes,
            Some("Removing") => Section::Goes,
            _ => Section::Unread,
        },
    }
}

/// Reads the table that dnf5 prints before every transaction. What is replaced is an older version
/// of the package above, or obsoleted by it.
///
/// ```text
/// Package               Arch   Version Repository      Size
/// Installing:
///  tb-obs               noarch 0:1.0-1 extra       19.5 KiB
///    replacing tb-world noarch 0:1.0-1 <unknown>   19.5 KiB
/// Skipping packages with broken dependencies:
///  tb-dep               noarch 2.0-1   base        19.5 KiB
///
/// Transaction Summary:
/// ```
pub fn transaction(stdout: &str) -> Listing {
    let mut listing = Listing::default();
    let mut part = Section::Unread;
    let mut seen = HashSet::new();
    let table = stdout.lines().skip_while(|line| !line.starts_with("Package "));
    for line in table.skip(1).take_while(|line| !line.is_empty()) {
        if !line.starts_with(' ') {
            part = section(line);
            continue;
        }
        let (row, replaced) = match line.strip_prefix("   replacing ") {
            Some(row) => (row, true),
            None => (line, false),
        };
        let words: Vec<_> = row.split_whitespace().collect();
        let [name, arch, version, source, ..] = words[..] else { continue };
        // As rpm and the lists of dnf write it.
        let version = version.strip_prefix("0:").unwrap_or(version);
        match part {
            Section::Comes | Section::Goes if replaced => {
                listing.removals.push((listed_name(name, arch), Some(version.to_string())));
            }
            Section::Goes => listing.removals.push((listed_name(name, arch), Some(version.to_string()))),
            Section::Comes => {
                let update = update(name, arch, version, source);
                seen.insert(update.name.clone());
                listing.updates.push(update);
            }
            Section::Stays(reason) => listing.held_back.push(stays(name, arch, version, reason)),
            Section::Unread => {}
        }
    }
    // An older version goes where a new one comes; so does the oldest of several kernels.
    listing.removals.retain(|(name, _)| !seen.contains(name));
    listing
}

/// The advisories that what is pending would settle, of every kind.
pub fn ask_advisories() -> Invocation {
    // A repository that was never reached has no cache, and must not keep the others silent.
    super::dnf5(&["-C", super::SKIP], &["advisory", "list", "--updates", "--json"])
}

#[derive(Deserialize)]
struct Advisory {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    nevra: String,
}

/// Reads them. A package of which none speaks comes from a repository that keeps no advisories, or
/// none for it: nothing is told of it.
pub fn advisories(stdout: &str) -> HashMap<String, Vec<Origin>> {
    let mut found: HashMap<String, Vec<Origin>> = HashMap::new();
    for advisory in serde_json::from_str::<Vec<Advisory>>(stdout).unwrap_or_default() {
        let Some((rest, arch)) = advisory.nevra.rsplit_once('.') else { continue };
        let Some(name) = rest.rsplitn(3, '-').nth(2) else { continue };
        found.entry(listed_name(name, arch)).or_default().push(Origin {
            source: one_line(&advisory.name),
            is_security: advisory.kind == "security",
            is_candidate: false,
            version: None,
            priority: 0,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Package Arch Version Repository Size
Removing dependent packages:
 tb-gone                noarch 0:1.0-1 <unknown>  0.0   B
Upgrading:
 tb-hello               noarch 1:2.0-1 base      19.5 KiB
   replacing tb-hello   noarch 0:1.0-1 <unknown> 19.5 KiB
Installing:
 kernel                 x86_64 0:6.2-1 base      19.5 KiB
 tb-obs                 noarch 0:1.0-1 base      19.5 KiB
   replacing tb-obsd    noarch 0:1.0-1 <unknown> 19.5 KiB
Installing dependencies:
 tb-new                 i686   0:1.0-1 base      19.5 KiB
Removing:
 kernel                 x86_64 0:6.0-1 base      19.5 KiB
Installing groups:
 core
Skipping packages with conflicts:
 tb-c                   noarch 2.0-1   base       0.0   B
Skipping packages with broken dependencies:
 tb-dep                 noarch 2.0-1   base       0.0   B

Transaction Summary:
 Installing:         3 packages
";

    #[test]
    fn a_table_says_what_comes_goes_and_stays() {
        let listing = transaction(TABLE);
        let updates: Vec<_> =
            listing.updates.iter().map(|u| (u.name.as_str(), u.candidate.as_str())).collect();
        let foreign = if cfg!(target_arch = "x86_64") { "tb-new.i686" } else { "tb-new" };
        assert_eq!(
            updates,
            [("tb-hello", "1:2.0-1"), ("kernel", "6.2-1"), ("tb-obs", "1.0-1"), (foreign, "1.0-1")]
        );
        let removals: Vec<_> = listing.removals.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(removals, ["tb-gone", "tb-obsd"]);
        let stays: Vec<_> = listing.held_back.iter().map(|h| (h.name.as_str(), h.reason.as_str())).collect();
        assert_eq!(
            stays,
            [("tb-c", "it conflicts with another package"), ("tb-dep", "its dependencies cannot be met")]
        );
        assert!(transaction("Nothing to do.\n").is_empty());
    }

    #[test]
    fn advisories_tell_of_packages_by_name() {
        let text = r#"[{"name":"TB-1","type":"security","severity":"Important","nevra":"tb-sec-2.0-1.noarch","buildtime":1},
            {"name":"TB-2","type":"bugfix","severity":"None","nevra":"tb-a-b-1:2.0-1.noarch","buildtime":1}]"#;
        let found = advisories(text);
        assert!(found["tb-sec"][0].is_security && !found["tb-a-b"][0].is_security);
        assert!(advisories("no list").is_empty());
    }
}
