//! Reading what dnf5 lists: the table of a transaction, advisories.

use super::commands::{SKIP, WITHOUT, dnf5, list};
use crate::managers::facts::Plan;
use crate::managers::machine::Machine;
use crate::managers::origins::Origins;
use crate::managers::rpm::excluded::NOTHING_EXCLUDED;
use crate::managers::rpm::names::{listed_name, parts_of_nevra};
use crate::managers::rpm::owned::{self, Lists};
use crate::managers::rpm::tables::{Section, stays};
use crate::managers::rpm::update;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::Origin;
use crate::model::text::one_line;
use crate::model::time::Time;
use crate::model::told::Advice;
use crate::system::process::Invocation;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashSet;

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

/// A row of the table that dnf5 prints before every transaction, with the part of the table that it stands in.
struct Row<'a> {
    part: Section,
    /// Whether an older version comes.
    is_older: bool,
    /// Whether it is what the package above it replaces.
    is_replaced: bool,
    name: &'a str,
    arch: &'a str,
    version: &'a str,
    source: &'a str,
}

/// The rows of the table of a transaction.
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
fn rows(stdout: &str) -> impl Iterator<Item = Row<'_>> {
    let (mut part, mut is_older) = (Section::Unread, false);
    let table = stdout.lines().skip_while(|line| !line.starts_with("Package "));
    table.skip(1).take_while(|line| !line.is_empty()).filter_map(move |line| {
        if !line.starts_with(' ') {
            (part, is_older) = (section(line), line.starts_with("Downgrading"));
            return None;
        }
        let replaced = line.strip_prefix("   replacing ");
        let words: Vec<_> = replaced.unwrap_or(line).split_whitespace().collect();
        let [name, arch, version, source, ..] = words[..] else { return None };
        // As rpm and the lists of dnf write it.
        let version = version.strip_prefix("0:").unwrap_or(version);
        Some(Row { part, is_older, is_replaced: replaced.is_some(), name, arch, version, source })
    })
}

/// How many packages come or go by its rows.
pub fn rows_to_change(stdout: &str) -> usize {
    rows(stdout).filter(|row| !row.is_replaced && matches!(row.part, Section::Comes | Section::Goes)).count()
}

/// How many packages the summary below the table counts.
///
/// ```text
/// Transaction Summary:
///  Installing:         3 packages
///  Replacing:          1 package
/// ```
pub fn said_to_change(stdout: &str) -> usize {
    let summary = stdout.lines().skip_while(|line| *line != "Transaction Summary:").skip(1);
    let changes = summary.take_while(|line| line.starts_with(' ')).filter_map(|line| {
        let (what, number) = line.trim().strip_suffix("s").unwrap_or(line.trim()).split_once(':')?;
        let is_change =
            matches!(what, "Installing" | "Upgrading" | "Downgrading" | "Reinstalling" | "Removing");
        let number = number.strip_suffix(" package").filter(|_| is_change)?;
        number.trim().parse::<usize>().ok()
    });
    changes.sum()
}

/// What a transaction would do. A replaced package is an older version of the one above it, or obsoleted by it.
pub fn transaction(stdout: &str) -> Listing {
    let mut listing = Listing::default();
    let mut seen = HashSet::new();
    for Row { part, is_replaced, name, arch, version, source, .. } in rows(stdout) {
        match part {
            Section::Goes => listing.removals.push((listed_name(name, arch), Some(version.to_string()))),
            Section::Comes if is_replaced => {
                let old = listed_name(name, arch);
                if let Some(new) = listing.updates.last_mut().filter(|new| new.name != old) {
                    new.replaces.push(old.clone());
                }
                listing.removals.push((old, Some(version.to_string())));
            }
            Section::Comes => {
                let update = update(name, arch, version, source);
                seen.insert(update.name.clone());
                listing.updates.push(update);
            }
            Section::Stays(reason) => listing.held_back.push(stays(name, arch, version, reason)),
            Section::Unread => {}
        }
    }
    // An older version is removed where a new one comes, and so is the oldest of several kernels.
    listing.removals.retain(|(name, _)| !seen.contains(name));
    listing
}

/// The names of the packages of which a transaction would bring an older version.
pub fn downgraded(stdout: &str) -> Vec<String> {
    let older = rows(stdout).filter(|row| row.is_older && !row.is_replaced);
    older.map(|row| listed_name(row.name, row.arch)).collect()
}

/// Where a repository was not refreshed: what others would do if it did not exist, and then what is left if nothing of
/// its own is installed. What would then come instead is left out too.
pub fn complete(lists: &Lists, mut listing: Listing) -> Result<Listing, Failure> {
    lists.add_owned(WITHOUT, &mut listing)?;
    if let Some(question) = owned::ask_modular(lists.plan) {
        listing = owned::hold_back_modular(&lists.machine.ask(&question)?.stdout, listing);
    }
    lists.hold_back_of_unread(&mut listing)?;
    lists.without_owned(listing)
}

/// How dnf5 lists what it would do.
pub fn lists<'a>(
    machine: &'a dyn Machine,
    plan: &'a Plan,
    priority: &'a dyn Fn(&str) -> Option<i64>,
) -> Lists<'a> {
    Lists { machine, plan, list, read: transaction, priority, query: |words| dnf5(&["-C"], words) }
}

/// Asks for the advisories of every kind for installed packages: for newer versions, even those that no repository
/// offers or that are excluded (`--available`), or up to the installed ones (`--installed`).
pub fn ask_advisories(which: &str) -> Invocation {
    // A repository that was never reached has no cache, and must not hide the advisories of the others.
    dnf5(&["-C", SKIP, NOTHING_EXCLUDED], &["advisory", "list", which, "--json"])
}

#[derive(Deserialize)]
struct Hint {
    #[serde(default)]
    packages: Vec<String>,
}

/// Reads `[{"type": "reboot", "reboot_required": true, "packages": ["tb-a"]}]`.
pub fn reboot_hint(stdout: &str) -> Vec<String> {
    let hints = serde_json::from_str::<Vec<Hint>>(stdout).unwrap_or_default();
    hints.into_iter().flat_map(|hint| hint.packages).collect()
}

#[derive(Deserialize)]
struct Advisory {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    nevra: String,
    #[serde(default)]
    severity: String,
    /// Seconds since 1970; before dnf5 5.3 `2026-01-31 12:00:00`, in UTC.
    #[serde(default)]
    buildtime: Value,
}

impl Advisory {
    fn issued(&self) -> Option<Time> {
        let seconds = self.buildtime.as_i64().filter(|seconds| *seconds > 0);
        let text = || Time::parse(self.buildtime.as_str()?, "%Y-%m-%d %H:%M:%S");
        seconds.and_then(Time::from_unix).or_else(text).filter(|at| at.unix() > 0)
    }
}

/// Reads them. A package without an advisory comes from a repository that keeps none, or none for it: then nothing is
/// known of it.
pub fn advisories(stdout: &str) -> Origins {
    let mut found = Origins::new();
    for advisory in serde_json::from_str::<Vec<Advisory>>(stdout).unwrap_or_default() {
        let Some((name, version, arch)) = parts_of_nevra(&advisory.nevra) else { continue };
        let is_security = advisory.kind == "security";
        let issued = advisory.issued();
        found.entry(listed_name(name, arch)).or_default().push(Origin {
            source: one_line(&advisory.name),
            is_security,
            advice: Some(Advice::new(is_security, issued, &advisory.severity)),
            version: Some(version.to_string()),
            ..Origin::default()
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
        let advice = found["tb-sec"][0].advice.clone().unwrap();
        assert_eq!((advice.issued, advice.severity.as_deref()), (Time::from_unix(1), Some("Important")));
        assert_eq!(found["tb-a-b"][0].advice, Some(Advice::new(false, Time::from_unix(1), "")));
        assert!(advisories("no list").is_empty());
        // As dnf5 5.2 writes it.
        let text = text.replace("\"buildtime\":1}", "\"buildtime\":\"1970-01-01 00:00:01\"}");
        assert_eq!(advisories(&text)["tb-sec"][0].advice, found["tb-sec"][0].advice);
    }
}
