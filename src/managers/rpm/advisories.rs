//! Finds the security updates by advisories. dnf 4, dnf 5 and yum list these, each with the version that settles it.

use super::names::{listed_name, parts_of_nevra};
use super::versions::compare_versions;
use crate::managers::machine::Machine;
use crate::managers::origins::Origins;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::{Installed, Origin};
use crate::model::text::one_line;
use crate::model::time::Time;
use crate::model::told::{Advice, Told};
use crate::model::updates::{HeldBack, Update};
use crate::system::process::Invocation;
use std::cmp::Ordering;
use std::rc::Rc;

/// The questions, and the functions that read the answers.
pub struct Advisories {
    /// Lists the advisories for versions above the installed ones.
    pub open: Invocation,
    /// Lists the advisories that installed packages have settled. If there are any, the sources tell security updates
    /// from others.
    pub settled: Invocation,
    /// Reads a list of advisories.
    pub read: fn(&str) -> Origins,
    /// Lists what would be done for security updates alone. Advisories do not speak of packages that are not installed
    /// and would replace others.
    pub plan: Invocation,
    /// Reads that plan.
    pub read_plan: fn(&str) -> Listing,
}

impl Advisories {
    /// Marks the security updates, by advisories and their versions, and adds the fixes that are announced and cannot
    /// be had.
    pub fn tell_security(&self, machine: &dyn Machine, listing: &mut Listing) -> Result<(), Failure> {
        let is_asked = !machine.has_no_advisories();
        let origins = if is_asked { (self.read)(&machine.ask(&self.open)?.stdout) } else { Origins::new() };
        let is_named = |update: &Update| {
            origins.contains_key(&update.name) || update.replaces.iter().any(|old| origins.contains_key(old))
        };
        let mut told = listing.updates.iter().any(is_named);
        let is_held = !listing.held_back.is_empty() && origins.is_empty();
        if is_asked && !told && (!listing.updates.is_empty() || is_held) {
            let settled = machine.ask(&self.settled).map(|answer| answer.stdout).unwrap_or_default();
            told = !(self.read)(&settled).is_empty();
        }
        let mut installed = Rc::default();
        if !origins.is_empty() {
            installed = machine.installed()?;
            missing_fixes(listing, &origins, &installed);
        }
        if is_asked && listing.updates.iter().any(|update| !update.replaces.is_empty()) {
            // If this question fails, the marks by the list of advisories still hold.
            let answer = machine.ask(&self.plan).map(|answer| answer.stdout).unwrap_or_default();
            let mut security = (self.read_plan)(&answer).updates;
            // The rest is what these need.
            security.retain(|one| !one.replaces.is_empty());
            for update in &mut listing.updates {
                let same = |one: &&Update| one.name == update.name && one.candidate == update.candidate;
                if security.iter().any(|one| same(&one)) {
                    update.security = Some(true);
                }
            }
        }
        let settled = |name: &str, installed: Option<&str>, candidate: Option<&str>| -> Vec<&Origin> {
            let of = origins.get(name).map(Vec::as_slice).unwrap_or_default();
            let is_settled = |origin: &&Origin| {
                let Some(version) = origin.version.as_deref() else { return true };
                let is_below = installed.is_none_or(|old| compare_versions(old, version) == Ordering::Less);
                is_below && candidate.is_some_and(|new| compare_versions(version, new) != Ordering::Greater)
            };
            of.iter().filter(is_settled).collect()
        };
        let is_security = |settled: &[&Origin]| settled.iter().any(|origin| origin.is_security);
        told |= listing.updates.iter().any(|update| update.security.is_some());
        for update in &mut listing.updates {
            let candidate = Some(update.candidate.as_str());
            let mut by_it = settled(&update.name, update.installed.as_deref(), candidate);
            // An advisory about the package in whose place this one comes.
            by_it.extend(update.replaces.iter().flat_map(|old| {
                let installed = installed.get(old).map(|package| package.version.as_str());
                installed.map(|installed| settled(old, Some(installed), candidate)).unwrap_or_default()
            }));
            update.security = update.security.or_else(|| told.then(|| is_security(&by_it)));
            update.told.take(&advice_of(&by_it));
        }
        let is_told = told || !origins.is_empty();
        for held in &mut listing.held_back {
            let settled = settled(&held.name, held.installed.as_deref(), held.candidate.as_deref());
            // Where no advisory could be read it is not known.
            held.security = held.security.or_else(|| is_told.then(|| is_security(&settled)));
            held.told.take(&advice_of(&settled));
        }
        Ok(())
    }
}

/// Reads `TB-2026:0001 Important/Sec. tb-sec-2.0-1.noarch`. A package without a line comes from a repository that keeps
/// no advisories, or none for it: then nothing is known of it.
pub fn parse(stdout: &str) -> Origins {
    let mut found = Origins::new();
    for line in stdout.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let (advisory, kind, package, issued) = match words[..] {
            [advisory, kind, package] | [advisory, kind, package, "None"] => (advisory, kind, package, None),
            [advisory, kind, package, day, time] => {
                let Some(issued) = Time::parse(&format!("{day} {time}"), "%Y-%m-%d %H:%M:%S") else {
                    continue;
                };
                (advisory, kind, package, Some(issued))
            }
            _ => continue,
        };
        let Some((name, version, arch)) = parts_of_nevra(package) else { continue };
        let is_security = kind.ends_with("/Sec.") || kind == "security";
        let severity = kind.strip_suffix("/Sec.").unwrap_or_default();
        found.entry(listed_name(name, arch)).or_default().push(Origin {
            source: one_line(advisory),
            is_security,
            advice: Some(Advice::new(is_security, issued, severity)),
            version: Some(version.to_string()),
            ..Origin::default()
        });
    }
    found
}

/// What one advisory says.
fn advised(fix: &Origin) -> Told {
    let mut told = Told::default();
    told.take(&advice_of(&[fix]));
    told
}

/// What the advisories among these say.
fn advice_of<'a>(settled: &[&'a Origin]) -> Vec<&'a Advice> {
    settled.iter().filter_map(|origin| origin.advice.as_ref()).collect()
}

/// Adds the fixes of installed packages that an advisory announces and no source offers, only the newest of each
/// package.
fn missing_fixes(listing: &mut Listing, origins: &Origins, installed: &Installed) {
    for (name, of) in origins {
        let Some(package) = installed.get(name) else { continue };
        let is_offered = |version: &str| {
            let is_it = |update: &&Update| update.name == *name || update.replaces.contains(name);
            let updates = listing.updates.iter().filter(is_it);
            let held = listing.held_back.iter().filter(|held| held.name == *name);
            let held = held.filter_map(|held| held.candidate.as_deref());
            let mut all = updates.map(|update| update.candidate.as_str()).chain(held);
            all.any(|candidate| compare_versions(version, candidate) != Ordering::Greater)
        };
        let fixes = of.iter().filter(|origin| origin.is_security);
        let fixes = fixes.filter_map(|origin| Some((origin, origin.version.as_deref()?)));
        let missing = fixes.filter(|(_, version)| {
            compare_versions(&package.version, version) == Ordering::Less && !is_offered(version)
        });
        let Some((fix, version)) = missing.max_by(|one, other| compare_versions(one.1, other.1)) else {
            continue;
        };
        let why = match listing.updates.iter().find(|update| update.replaces.contains(name)) {
            Some(update) => format!("{} {} comes in its place", update.name, update.candidate),
            None => "it is not offered here, or excluded".to_string(),
        };
        listing.held_back.push(HeldBack {
            name: name.clone(),
            installed: Some(package.version.clone()),
            candidate: Some(version.to_string()),
            reason: format!("{} announces this fix, but {why}", fix.source),
            security: Some(true),
            told: advised(fix),
            ..HeldBack::default()
        });
    }
    listing.held_back.sort_by(|one, other| one.name.cmp(&other.name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advisories_are_read_with_and_without_their_days() {
        let text = "TB-1 Important/Sec. tb-sec-2.0-1.noarch 2026-01-01 00:00:00\nTB-2 bugfix tb-a-b-1:2.0-1.noarch None\n\
                    TB-3 security tb-c-1-1.x86_64\ntimer: sack setup: 12.0 ms\n";
        let found = parse(text);
        let advice = |name: &str| found[name][0].advice.clone().unwrap();
        let day = Time::parse("2026-01-01 00:00:00", "%Y-%m-%d %H:%M:%S");
        assert_eq!(advice("tb-sec"), Advice::new(true, day, "Important"));
        assert_eq!(
            (advice("tb-a-b"), advice("tb-c")),
            (Advice::new(false, None, ""), Advice::new(true, None, ""))
        );
        assert!(found["tb-sec"][0].is_security && !found["tb-a-b"][0].is_security);
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
