//! Reading what zypper lists: what an update would do, what stays, locks, patches.

use super::refresh::id_of;
use super::xml::{Element, elements};
use crate::backend::Configured;
use crate::backend::rpm::{compare_versions, listed_name, plain_name};
use crate::outcome::{Extra, HeldBack, Listing, Update, one_line};
use glob::Pattern;
use std::collections::{BTreeSet, HashMap};

fn name_of(element: &Element) -> Option<String> {
    let arch = element.get("arch").unwrap_or_default();
    Some(listed_name(&one_line(&element.get("name")?), &arch))
}

fn value(element: &Element, key: &str) -> Option<String> {
    element.get(key).map(|value| one_line(&value)).filter(|value| !value.is_empty())
}

/// Reads the summary of an update. Patches, patterns and products come by themselves with their
/// packages; old versions do not name the repository.
///
/// ```text
/// <to-upgrade>
/// <solvable type="package" name="tb-a" edition="2-1" arch="noarch" repository="base" edition-old="1-1" .../>
/// </to-upgrade>
/// <to-remove>
/// ```
pub fn plan(report: &str) -> Listing {
    let mut listing = Listing::default();
    let mut coming = BTreeSet::new();
    let mut section = String::new();
    for element in elements(report) {
        match element.name {
            "/install-summary" => section.clear(),
            name if name.starts_with("to-") || name.starts_with('_') => section = name.to_string(),
            name if name.starts_with("/to-") => section.clear(),
            "solvable" if element.get("type").as_deref() == Some("package") => {
                let (Some(name), Some(version)) = (name_of(&element), value(&element, "edition")) else {
                    continue;
                };
                match section.as_str() {
                    "to-remove" => listing.removals.push((name, Some(version))),
                    // Installed again as it is.
                    "to-reinstall" => {}
                    of if of.starts_with("to-") && coming.insert(name.clone()) => {
                        listing.updates.push(Update {
                            name,
                            installed: value(&element, "edition-old"),
                            candidate: version,
                            security: None,
                            source: value(&element, "repository"),
                            replaces: Vec::new(),
                            extra: Extra::new(),
                        });
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    listing.removals.retain(|(name, _)| !coming.contains(name));
    listing
}

/// Reads `list-updates --all` into the plan: the newer versions that it leaves out, and where those
/// come from that it holds.
pub fn add_held_back(report: &str, mut listing: Listing) -> Listing {
    let mut source = String::new();
    let mut update: Option<(String, Option<String>, Option<String>)> = None;
    let mut sources = HashMap::new();
    let mut stays = Vec::new();
    for element in elements(report) {
        match element.name {
            "update" if element.get("kind").as_deref() == Some("package") => {
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
    // What is listed here need not be what would be installed.
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
        reason: "kept back".to_string(),
        class: None,
        security: None,
        extra: Extra::new(),
    }));
    listing
}

/// Reads `locks`: names, and patterns of names.
///
/// ```text
/// <lock number="1"><name>tb-wor*</name><type>package</type></lock>
/// ```
pub fn add_locks(report: &str, mut listing: Listing) -> Listing {
    let names = elements(report).filter(|element| element.name == "name");
    let locks: Vec<_> = names.filter_map(|element| Pattern::new(&element.text()).ok()).collect();
    for held in &mut listing.held_back {
        if locks.iter().any(|lock| lock.matches(plain_name(&held.name))) {
            held.reason = "held".to_string();
        }
    }
    listing
}

/// Reads `repos`. `--repo` takes an alias, a name or a place in this list, and the first repository
/// that one of them fits: what fits several is named by its place, as `+2`, which fits no other.
///
/// ```text
/// <repo alias="base" name="Main Repository" type="rpm-md" priority="99" enabled="1" .../>
/// ```
pub fn repositories(report: &str) -> Vec<Configured> {
    let listed: Vec<_> = elements(report).filter(|element| element.name == "repo").collect();
    let fits = |alias: &str| {
        let is = |element: &&Element, key| element.get(key).as_deref() == Some(alias);
        listed.iter().filter(|element| is(element, "alias") || is(element, "name")).count()
    };
    let read = |(nth, element): (usize, &Element)| {
        let alias = element.get("alias")?.into_owned();
        let is_clear = fits(&alias) == 1 && alias.trim().parse::<i64>().is_err();
        let priority = element.get("priority").and_then(|number| number.parse().ok());
        Some(Configured {
            id: id_of(&alias),
            argument: if is_clear { alias } else { format!("+{}", nth + 1) },
            priority: priority.unwrap_or(99),
            is_enabled: element.get("enabled").as_deref() == Some("1"),
        })
    };
    listed.iter().enumerate().filter_map(read).collect()
}

/// The names of the patches that `list-patches` says are needed.
pub fn needed_patches(report: &str) -> Vec<String> {
    let patches = elements(report).filter(|element| {
        let is = |key, value| element.get(key).as_deref() == Some(value);
        element.name == "update" && is("kind", "patch") && is("status", "needed")
    });
    let names = patches.filter_map(|element| element.get("name").map(|name| name.into_owned()));
    // What comes from a repository must not become an option.
    names.filter(|name| is_patch_name(name)).collect()
}

fn is_patch_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._:".contains(&byte))
}

/// Reads the descriptions of patches into the list: whether what is pending is about security.
/// A package of which none speaks comes from a repository that keeps no patches, or none for it:
/// nothing is told of it.
pub fn add_patches(text: &str, mut listing: Listing) -> Listing {
    let about = patches(text);
    let mut missing = Vec::new();
    for update in &mut listing.updates {
        let Some(fixes) = about.get(&update.name) else { continue };
        let is_open = |version: &str| {
            update.installed.as_deref().is_none_or(|old| compare_versions(old, version).is_lt())
        };
        let comes = |version: &str| compare_versions(version, &update.candidate).is_le();
        let mut open = fixes.iter().filter(|fix| fix.is_security && is_open(&fix.version));
        update.security = Some(open.clone().any(|fix| comes(&fix.version)));
        if let Some(fix) = open.find(|fix| !comes(&fix.version)) {
            let reason = format!("{} announces this fix, but it is not offered here", fix.patch);
            let held = update.clone().held_back(&reason);
            missing.push(HeldBack { candidate: Some(fix.version.clone()), security: Some(true), ..held });
        }
    }
    for held in &mut listing.held_back {
        let Some(fixes) = about.get(&held.name) else { continue };
        let comes = |fix: &&Fix| {
            let candidate = held.candidate.as_deref();
            candidate.is_none_or(|new| compare_versions(&fix.version, new).is_le())
        };
        held.security = Some(fixes.iter().filter(comes).any(|fix| fix.is_security));
    }
    listing.held_back.extend(missing);
    listing
}

/// Reads `list-patches --all`: where there are patches of any kind, sources tell security updates from
/// others, and what none speaks of is none.
pub fn add_told(report: &str, mut listing: Listing) -> Listing {
    let is_patch =
        |element: &Element| element.name == "update" && element.get("kind").as_deref() == Some("patch");
    if elements(report).any(|element| is_patch(&element)) {
        listing.updates.iter_mut().for_each(|update| update.security = update.security.or(Some(false)));
    }
    listing
}

/// A version of a package that a patch requires.
#[derive(Debug)]
struct Fix {
    patch: String,
    version: String,
    is_security: bool,
}

/// Which packages each patch is about, and whether one of theirs is for security. What stands
/// indented is prose, or one of several conflicts.
///
/// ```text
/// Name        : TB-2026:0001
/// Category    : security
/// Description :
///     fix
/// Conflicts   : [2]
///     tb-sec.noarch < 2.0-1
///     tb-sec-devel.noarch < 2.0-1
/// Conflicts   : tb-sec < 2.0-1
/// ```
fn patches(text: &str) -> HashMap<String, Vec<Fix>> {
    let mut found: HashMap<String, Vec<Fix>> = HashMap::new();
    let (mut is_security, mut in_conflicts) = (false, false);
    let mut patch = String::new();
    for line in text.lines() {
        let conflict = match line.split_once(':').map(|(key, value)| (key.trim_end(), value.trim())) {
            _ if line.starts_with(' ') => line.trim(),
            Some(("Category", category)) => {
                is_security = category == "security";
                continue;
            }
            Some(("Name", name)) => {
                patch = one_line(name);
                in_conflicts = false;
                continue;
            }
            Some((key, rest)) => {
                in_conflicts = key == "Conflicts";
                rest
            }
            None => continue,
        };
        let Some((package, version)) = conflict.split_once(" < ").filter(|_| in_conflicts) else { continue };
        let fix = Fix { patch: patch.clone(), version: one_line(version), is_security };
        found.entry(package_of(package)).or_default().push(fix);
    }
    found
}

/// `tb-sec.noarch`, and `tb-sec` where the patch does not say for which architecture.
fn package_of(package: &str) -> String {
    const ARCHES: &[&str] = &["noarch", "x86_64", "aarch64", "ppc64le", "s390x", "armv7hl", "riscv64"];
    match package.rsplit_once('.') {
        Some((name, arch)) if ARCHES.contains(&arch) => name.to_string(),
        Some((name, arch)) if listed_name(name, arch) != name => listed_name(name, arch),
        _ => package.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_what_goes_and_what_stays() {
        let report = "<install-summary><to-upgrade><solvable type=\"package\" name=\"a\" edition=\"2-1\" arch=\"noarch\" edition-old=\"1-1\"/><solvable type=\"patch\" name=\"P\" edition=\"1\" arch=\"noarch\"/></to-upgrade><to-install><solvable type=\"package\" name=\"n\" edition=\"1-1\" arch=\"i586\" repository=\"r\"/></to-install><to-reinstall><solvable type=\"package\" name=\"x\" edition=\"1\" arch=\"noarch\"/></to-reinstall><to-remove><solvable type=\"package\" name=\"o\" edition=\"1-1\" arch=\"noarch\"/></to-remove><to-change-vendor><solvable type=\"package\" name=\"a\" edition=\"2-1\" arch=\"noarch\"/></to-change-vendor></install-summary><solvable type=\"package\" name=\"z\" edition=\"1\"/>";
        let listing = plan(report);
        let names: Vec<_> = listing.updates.iter().map(|update| update.name.as_str()).collect();
        assert_eq!(names[0], "a");
        assert_eq!(names.len(), 2);
        assert_eq!(listing.removals, [("o".to_string(), Some("1-1".to_string()))]);

        let all = "<update kind=\"package\" name=\"a\" edition=\"2-1\" arch=\"noarch\"><summary>s</summary><source alias=\"base\"/></update><update kind=\"package\" name=\"o\" edition=\"2\" arch=\"noarch\"><source alias=\"base\"/></update><update kind=\"package\" name=\"k\" edition=\"2-1\" edition-old=\"1-1\" arch=\"noarch\"><source alias=\"base\"/></update>";
        let listing = add_held_back(all, listing);
        assert_eq!(listing.updates[0].source.as_deref(), Some("base"));
        assert_eq!(listing.updates[1].source.as_deref(), Some("r"));
        assert_eq!(listing.held_back.len(), 1);
        assert_eq!((&*listing.held_back[0].name, &*listing.held_back[0].reason), ("k", "kept back"));
        let locks = "<lock number=\"1\"><name>k*</name><type>package</type></lock>";
        assert_eq!(add_locks(locks, listing).held_back[0].reason, "held");
    }

    #[test]
    fn a_patch_tells_of_its_packages_and_its_prose_of_none() {
        let text = "Name        : P-1\nCategory    : security\nDescription : \n    Conflicts   : [1]\n        x.noarch < 2\nProvides    : patch:P-1 = 1\nConflicts   : [2]\n    a.x86_64 < 2.0-1\n    python3.11 < 3\nName        : P-2\nCategory    : recommended\nConflicts   : b < 2\n";
        let found = patches(text);
        let mut names: Vec<_> = found.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "python3.11"]);
        let is_security = |name: &str| found[name].iter().any(|fix| fix.is_security);
        assert!(is_security("a") && is_security("python3.11") && !is_security("b"));
        assert_eq!((&*found["a"][0].version, &*found["a"][0].patch), ("2.0-1", "P-1"));
    }

    #[test]
    fn security_is_a_matter_of_versions() {
        let update = |name: &str, installed: &str, candidate: &str| Update {
            name: name.into(),
            installed: Some(installed.into()),
            candidate: candidate.into(),
            security: None,
            source: None,
            replaces: Vec::new(),
            extra: Extra::new(),
        };
        let updates = vec![
            update("a", "1-1", "2-1"),
            update("b", "1-1", "2-1"),
            update("c", "2-1", "3-1"),
            update("d", "1", "2"),
        ];
        let listing = Listing { updates, ..Listing::default() };
        let text = "Name        : P-1\nCategory    : security\nConflicts   : [3]\n    a.noarch < 2-1\n    b.noarch < 3-1\n    c.noarch < 2-1\n";
        let listing = add_patches(text, listing);
        let told: Vec<_> = listing.updates.iter().map(|update| update.security).collect();
        assert_eq!(told, [Some(true), Some(false), Some(false), None]);
        assert_eq!(listing.held_back.len(), 1);
        let held = &listing.held_back[0];
        assert_eq!((&*held.name, held.candidate.as_deref(), held.security), ("b", Some("3-1"), Some(true)));
        assert!(held.reason.contains("P-1"), "{}", held.reason);
        let listing = add_told("<update kind=\"patch\" name=\"P-1\" status=\"applied\"/>", listing);
        assert_eq!(listing.updates[3].security, Some(false));
    }

    #[test]
    fn no_patch_becomes_an_option() {
        let report = "<update kind=\"patch\" name=\"--help\" status=\"needed\"/><update kind=\"patch\" name=\"A:1\" status=\"needed\"/><update kind=\"patch\" name=\"B\" status=\"applied\"/>";
        assert_eq!(needed_patches(report), ["A:1"]);
    }
}
