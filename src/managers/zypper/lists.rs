//! Reading what zypper lists: what an update would do, what stays, locks, patches.

use super::xml::{Element, elements, id_of, named};
use crate::managers::facts::Configured;
use crate::managers::rpm::DEFAULT_PRIORITY;
use crate::managers::rpm::database::parse_installed;
use crate::managers::rpm::names::{listed_name, plain_name};
use crate::managers::rpm::versions::{compare_versions, is_within};
use crate::model::listing::Listing;
use crate::model::text::one_line;
use crate::model::time::Time;
use crate::model::told::{Advice, Told};
use crate::model::updates::{HeldBack, KEPT_BACK, Update};
use crate::system::process::Finished;
use glob::Pattern;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Reads `zypper packages --orphaned`, which is a table also where XML is asked for:
///
/// ```text
/// S  | Repository | Name    | Version | Arch
/// ---+------------+---------+---------+-------
/// i+ | @System    | tb-gone | 1.0-1   | noarch
/// ```
pub fn not_offered(answer: &Finished) -> Option<Vec<String>> {
    let row = |line: &str| {
        let cells: Vec<_> = line.split(" | ").map(str::trim).collect();
        let [_, "@System", name, _, arch] = cells[..] else { return None };
        Some(listed_name(name, arch))
    };
    answer.succeeded().then(|| answer.stdout.lines().filter_map(row).collect())
}

fn name_of(element: &Element) -> Option<String> {
    let arch = element.get("arch").unwrap_or_default();
    Some(listed_name(&one_line(&element.get("name")?), &arch))
}

fn value(element: &Element, key: &str) -> Option<String> {
    element.get(key).map(|value| one_line(&value)).filter(|value| !value.is_empty())
}

/// Reads the summary of an update. Patches, patterns and products come with their packages; old versions do not name
/// the repository.
///
/// ```text
/// <to-upgrade>
/// <solvable type="package" name="tb-a" edition="2-1" arch="noarch" repository="base" edition-old="1-1" .../>
/// </to-upgrade>
/// <to-remove>
/// ```
///
/// Before it stands `<install-summary download-size="27645" space-usage-diff="0" packages-to-change="6">`.
pub fn plan(report: &str) -> Listing {
    let mut listing = Listing::default();
    let mut coming = BTreeSet::new();
    for Row { section, name, version, element } in rows(report) {
        match section.as_str() {
            "to-remove" => listing.removals.push((name, Some(version))),
            // The same version is installed again.
            "to-reinstall" => {}
            _ if coming.insert(name.clone()) => listing.updates.push(Update {
                name,
                installed: value(&element, "edition-old"),
                candidate: version,
                source: value(&element, "repository"),
                ..Update::default()
            }),
            _ => {}
        }
    }
    listing.removals.retain(|(name, _)| !coming.contains(name));
    let summary = named(report, "install-summary").last();
    let told = summary.and_then(|summary| summary.get("packages-to-change")?.parse().ok());
    listing.compare("zypper", told.unwrap_or_default(), rows(report).count());
    listing
}

/// A package of the summary, with the section that it stands in.
struct Row<'a> {
    section: String,
    name: String,
    version: String,
    element: Element<'a>,
}

fn rows(report: &str) -> impl Iterator<Item = Row<'_>> {
    let mut section = String::new();
    elements(report).filter_map(move |element| {
        match element.name {
            "/install-summary" => section.clear(),
            name if name.starts_with("to-") || name.starts_with('_') => section = name.to_string(),
            name if name.starts_with("/to-") => section.clear(),
            "solvable" if element.is("type", "package") && section.starts_with("to-") => {
                let (name, version) = (name_of(&element)?, value(&element, "edition")?);
                return Some(Row { section: section.clone(), name, version, element });
            }
            _ => {}
        }
        None
    })
}

/// Adds what `list-updates --all` says: newer versions that the plan leaves out, and the repositories of the others.
pub fn add_held_back(report: &str, mut listing: Listing) -> Listing {
    let mut source = String::new();
    let mut update: Option<(String, Option<String>, Option<String>)> = None;
    let mut sources = HashMap::new();
    let mut stays = Vec::new();
    for element in elements(report) {
        match element.name {
            "update" if element.is("kind", "package") => {
                let versions = (value(&element, "edition-old"), value(&element, "edition"));
                update = name_of(&element).map(|name| (name, versions.0, versions.1));
            }
            "source" => source = value(&element, "alias").unwrap_or_default(),
            "/update" => {
                if let Some((name, installed, candidate)) = update.take() {
                    sources.insert((name.clone(), candidate.clone()), std::mem::take(&mut source));
                    stays.push((name, installed, candidate));
                }
            }
            _ => {}
        }
    }
    // A version in this list is not always the one that would be installed.
    for update in listing.updates.iter_mut().filter(|update| update.source.is_none()) {
        let of_candidate = sources.get(&(update.name.clone(), Some(update.candidate.clone())));
        update.source = of_candidate.filter(|source| !source.is_empty()).cloned();
    }
    let comes: BTreeSet<_> = listing.updates.iter().map(|update| update.name.clone()).collect();
    let goes: BTreeSet<_> = listing.removals.iter().map(|(name, _)| name.clone()).collect();
    stays.retain(|(name, ..)| !comes.contains(name) && !goes.contains(name));
    listing.held_back.extend(stays.into_iter().map(|(name, installed, candidate)| HeldBack {
        name,
        installed,
        candidate,
        reason: KEPT_BACK.to_string(),
        ..HeldBack::default()
    }));
    listing
}

/// Reads `locks`: names, and patterns of names.
///
/// ```text
/// <lock number="1"><name>tb-wor*</name><type>package</type></lock>
/// ```
pub fn locks(report: &str) -> Vec<Pattern> {
    named(report, "name").filter_map(|element| Pattern::new(&element.text()).ok()).collect()
}

/// Marks as held what the locks hold back.
pub fn add_locks(report: &str, mut listing: Listing) -> Listing {
    let locks = locks(report);
    for held in &mut listing.held_back {
        if locks.iter().any(|lock| lock.matches(plain_name(&held.name))) {
            held.reason = "held".to_string();
        }
    }
    listing
}

/// Reads `repos`. `--repo` takes an alias, a name or a place in this list, and uses the first repository that fits.
/// Where several fit, the place is used, as `+2`, which fits only one.
///
/// ```text
/// <repo alias="base" name="Main Repository" type="rpm-md" priority="99" enabled="1" .../>
/// ```
pub fn repositories(report: &str) -> Vec<Configured> {
    let listed: Vec<_> = named(report, "repo").collect();
    let fits = |alias: &str| {
        listed.iter().filter(|element| element.is("alias", alias) || element.is("name", alias)).count()
    };
    let read = |(nth, element): (usize, &Element)| {
        let alias = element.get("alias")?.into_owned();
        let is_clear = fits(&alias) == 1 && alias.trim().parse::<i64>().is_err();
        let priority = element.get("priority").and_then(|number| number.parse().ok());
        Some(Configured {
            id: id_of(&alias),
            argument: if is_clear { alias } else { format!("+{}", nth + 1) },
            priority: priority.unwrap_or(DEFAULT_PRIORITY),
            is_enabled: element.is("enabled", "1"),
        })
    };
    listed.iter().enumerate().filter_map(read).collect()
}

/// The updates that a search found.
///
/// ```text
/// <solvable status="not-installed" name="tb-new" kind="package" edition="2.0-1" arch="noarch" repository="test"/>
/// ```
pub fn found_updates(report: &str, listing: &Listing) -> Vec<String> {
    let found: BTreeSet<_> = named(report, "solvable")
        .filter_map(|element| Some((name_of(&element)?, value(&element, "edition")?)))
        .collect();
    let is_found = |update: &&Update| found.contains(&(update.name.clone(), update.candidate.clone()));
    listing.updates.iter().filter(is_found).map(|update| update.name.clone()).collect()
}

/// Adds which removed package is replaced by which update, by the descriptions of the packages.
///
/// ```text
/// Name           : tb-many
/// Obsoletes      : [2]
///     tb-x
///     tb-y < 1:2.0-1
/// ```
pub fn add_replaced(text: &str, mut listing: Listing) -> Listing {
    for Line { of, key, value } in described(text) {
        let mut words = value.split_whitespace();
        let Some(old) = words.next().filter(|_| key == "Obsoletes") else { continue };
        let bound = words.next().zip(words.next());
        let goes = listing.removals.iter().filter(|(name, version)| {
            let installed = version.as_deref().unwrap_or_default();
            plain_name(name) == old && bound.is_none_or(|(sign, bound)| is_within(installed, sign, bound))
        });
        let goes: Vec<_> = goes.map(|(name, _)| name.clone()).collect();
        for update in listing.updates.iter_mut().filter(|update| plain_name(&update.name) == of) {
            let new: Vec<_> = goes.iter().filter(|name| !update.replaces.contains(name)).cloned().collect();
            update.replaces.extend(new);
        }
    }
    listing
}

/// The names of the patches that `list-patches` says are needed.
pub fn needed_patches(report: &str) -> Vec<String> {
    let patches = named(report, "update").filter(|element| element.is("kind", "patch"));
    names_of(patches.filter(|element| element.is("status", "needed")))
}

/// The names of the patches that a search found.
pub fn found_patches(report: &str) -> Vec<String> {
    names_of(named(report, "solvable").filter(|element| element.is("kind", "patch")))
}

fn names_of<'a>(patches: impl Iterator<Item = Element<'a>>) -> Vec<String> {
    let names = patches.filter_map(|element| Some(element.get("name")?.into_owned()));
    // A name from a repository must not become an option.
    names.filter(|name| is_patch_name(name)).collect()
}

fn is_patch_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._:".contains(&byte))
}

/// Adds what the descriptions of patches say: which pending updates are about security, and which fixes no pending
/// update brings. Nothing is known of a package that is in no patch.
pub fn add_patches(text: &str, mut listing: Listing) -> Listing {
    let about = patches(text);
    for update in &mut listing.updates {
        // A package that replaces another counts as a version of it.
        let names = std::iter::once(&update.name).chain(&update.replaces);
        let mut fixes: Vec<_> = names.filter_map(|name| about.get(name)).flatten().collect();
        if fixes.is_empty() {
            continue;
        }
        fixes.retain(|fix| {
            let old = update.installed.as_deref();
            let is_open = old.is_none_or(|old| compare_versions(old, &fix.version).is_lt());
            is_open && compare_versions(&fix.version, &update.candidate).is_le()
        });
        update.security = Some(update.security == Some(true) || fixes.iter().any(|fix| fix.is_security));
        update.told.take(&fixes.iter().map(|fix| &fix.advice).collect::<Vec<_>>());
    }
    for held in &mut listing.held_back {
        let Some(fixes) = about.get(&held.name) else { continue };
        let comes = |fix: &&Fix| {
            let candidate = held.candidate.as_deref();
            candidate.is_none_or(|new| compare_versions(&fix.version, new).is_le())
        };
        held.security =
            Some(held.security == Some(true) || fixes.iter().filter(comes).any(|fix| fix.is_security));
        held.told.take(&fixes.iter().filter(comes).map(|fix| &fix.advice).collect::<Vec<_>>());
    }
    let missing = missing_fixes(&about, &listing);
    listing.held_back.extend(missing);
    listing
}

/// The reason for a fix that no update brings.
const NOT_OFFERED: &str = " announces this fix, but it is not offered here";

/// The newest fix of each package, if no repository offers it. Patches also name packages that are not installed.
fn missing_fixes(about: &BTreeMap<String, Vec<Fix>>, listing: &Listing) -> Vec<HeldBack> {
    let newest = |(name, fixes): (&String, &Vec<Fix>)| {
        let updates = listing.updates.iter().filter(|update| update.name == *name);
        let held = listing.held_back.iter().filter(|held| held.name == *name);
        let installed = updates.clone().find_map(|update| update.installed.clone());
        let held = held.filter_map(|held| held.candidate.as_deref());
        let mut offered = updates.map(|update| update.candidate.as_str()).chain(held);
        let is_replaced = listing.updates.iter().any(|update| update.replaces.contains(name));
        let secure = fixes.iter().filter(|fix| fix.is_security && !is_replaced);
        let fix = secure.max_by(|one, other| compare_versions(&one.version, &other.version))?;
        let is_missing = offered.all(|version| compare_versions(version, &fix.version).is_lt());
        is_missing.then(|| HeldBack {
            name: name.clone(),
            installed,
            candidate: Some(fix.version.clone()),
            reason: format!("{}{NOT_OFFERED}", fix.patch),
            security: Some(true),
            told: Told {
                issued: fix.advice.issued,
                severity: fix.advice.severity.clone(),
                ..Told::default()
            },
            ..HeldBack::default()
        })
    };
    about.iter().filter_map(newest).collect()
}

/// Whether this is a fix that no repository offers.
pub fn is_missing_fix(held: &HeldBack) -> bool {
    held.reason.ends_with(NOT_OFFERED)
}

/// Drops the fixes that no repository offers for packages that are not installed.
pub fn without_fixes_of_others(answer: &str, mut listing: Listing) -> Listing {
    let installed = parse_installed(answer);
    listing.held_back.retain_mut(|held| {
        if !is_missing_fix(held) {
            return true;
        }
        held.installed = installed.get(&held.name).map(|package| package.version.clone());
        let fix = held.candidate.as_deref().unwrap_or_default();
        held.installed.as_deref().is_some_and(|version| compare_versions(version, fix).is_lt())
    });
    listing
}

/// Reads `list-patches --all`. If there are patches of any kind, the sources tell security updates from others, and an
/// update without a patch is not a security update, held back or not.
pub fn add_told(report: &str, mut listing: Listing) -> Listing {
    if named(report, "update").any(|element| element.is("kind", "patch")) {
        let updates = listing.updates.iter_mut().map(|update| &mut update.security);
        let held = listing.held_back.iter_mut().map(|held| &mut held.security);
        updates.chain(held).for_each(|security| *security = security.or(Some(false)));
    }
    listing
}

/// A version of a package that a patch requires.
#[derive(Debug)]
struct Fix {
    patch: String,
    version: String,
    is_security: bool,
    advice: Advice,
}

/// Which packages each patch is about, and whether one of theirs is for security.
///
/// ```text
/// Name        : TB-2026:0001
/// Category    : security
/// Severity    : important
/// Created On  : Thu Jan  1 00:00:00 2026
/// Conflicts   : [2]
///     tb-sec.noarch < 2.0-1
///     tb-sec-devel.noarch < 2.0-1
/// Conflicts   : tb-sec < 2.0-1
/// ```
fn patches(text: &str) -> BTreeMap<String, Vec<Fix>> {
    let mut found: BTreeMap<String, Vec<Fix>> = BTreeMap::new();
    let (mut is_security, mut severity, mut issued) = (false, "", None);
    for Line { of, key, value } in described(text) {
        match key {
            "Name" => (is_security, severity, issued) = (false, "", None),
            "Category" => is_security = value == "security",
            "Severity" => severity = value,
            "Created On" => issued = Time::parse(value, "%a %b %e %H:%M:%S %Y"),
            "Conflicts" => {
                let Some((package, version)) = value.split_once(" < ") else { continue };
                let advice = Advice::new(is_security, issued, severity);
                let fix = Fix { patch: one_line(of), version: one_line(version), is_security, advice };
                found.entry(package_of(package)).or_default().push(fix);
            }
            _ => {}
        }
    }
    found
}

/// A line of the descriptions that `info` prints.
struct Line<'a> {
    /// The name of what is described.
    of: &'a str,
    key: &'a str,
    value: &'a str,
}

/// Reads those lines. Indented lines are prose, or one of several values.
fn described(text: &str) -> impl Iterator<Item = Line<'_>> {
    let (mut of, mut key) = ("", "");
    text.lines().filter_map(move |line| {
        if line.starts_with(' ') {
            return Some(Line { of, key, value: line.trim() });
        }
        let (found, value) = line.split_once(':')?;
        key = found.trim_end();
        if key == "Name" {
            of = value.trim();
        }
        Some(Line { of, key, value: value.trim() })
    })
}

/// `tb-sec.noarch`, or `tb-sec` where the patch does not say for which architecture.
fn package_of(package: &str) -> String {
    const ARCHES: &[&str] = &["noarch", "x86_64", "aarch64", "ppc64le", "s390x", "armv7hl", "riscv64"];
    match package.rsplit_once('.') {
        Some((name, arch)) if ARCHES.contains(&arch) => name.to_string(),
        Some((name, arch)) if listed_name(name, arch) != name => listed_name(name, arch),
        _ => package.to_string(),
    }
}

#[cfg(test)]
#[path = "lists_tests.rs"]
mod tests;
