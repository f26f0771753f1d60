//! Which updates are security updates, by advisories: dnf 4, dnf 5 and yum list these, each with the version that
//! settles it.

use super::compare_versions;
use crate::managers::machine::Machine;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::{Installed, Origin};
use crate::model::told::{Advice, Told};
use crate::model::updates::{HeldBack, Update};
use crate::system::process::Invocation;
use std::cmp::Ordering;
use std::collections::HashMap;

/// The questions for them, and what reads the answers.
pub struct Advisories {
    /// Lists the advisories for versions above the installed ones.
    pub open: Invocation,
    /// Lists those that installed packages have settled: where there are any, the sources tell security updates from
    /// others.
    pub settled: Invocation,
    /// Reads a list of advisories.
    pub read: fn(&str) -> HashMap<String, Vec<Origin>>,
    /// Lists what would be done for security updates alone. No list of advisories speaks of packages that are not
    /// installed and would come in the place of others.
    pub plan: Invocation,
    /// Reads that plan.
    pub read_plan: fn(&str) -> Listing,
}

impl Advisories {
    /// Which updates are security updates, by advisories and their versions; and the fixes that are
    /// announced and cannot be had.
    ///
    /// # Errors
    /// When the manager cannot list the open ones.
    pub fn tell_security(&self, machine: &dyn Machine, listing: &mut Listing) -> Result<(), Failure> {
        let origins = (self.read)(&machine.ask(&self.open)?.stdout);
        let mut told = listing.updates.iter().any(|update| origins.contains_key(&update.name));
        if !told && !listing.updates.is_empty() {
            let settled = machine.ask(&self.settled).map(|answer| answer.stdout).unwrap_or_default();
            told = !(self.read)(&settled).is_empty();
        }
        if !origins.is_empty() {
            missing_fixes(listing, &origins, &machine.installed()?);
        }
        if listing.updates.iter().any(|update| !update.replaces.is_empty()) {
            // Where that cannot be told, what stands in the list of advisories still is.
            let answer = machine.ask(&self.plan).map(|answer| answer.stdout).unwrap_or_default();
            let mut security = (self.read_plan)(&answer).updates;
            // The others are what these need.
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
            let settled = settled(&update.name, update.installed.as_deref(), Some(&update.candidate));
            update.security = update.security.or_else(|| told.then(|| is_security(&settled)));
            update.told.take(&advice_of(&settled));
        }
        for held in &mut listing.held_back {
            let settled = settled(&held.name, held.installed.as_deref(), held.candidate.as_deref());
            held.security = held.security.or_else(|| Some(is_security(&settled)));
            held.told.take(&advice_of(&settled));
        }
        Ok(())
    }
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

/// Adds the fixes of installed packages that an advisory announces and no source offers: the newest of
/// each package.
fn missing_fixes(listing: &mut Listing, origins: &HashMap<String, Vec<Origin>>, installed: &Installed) {
    for (name, of) in origins {
        let Some(package) = installed.get(name) else { continue };
        let is_offered = |version: &str| {
            let updates = listing.updates.iter().filter(|update| update.name == *name);
            let held = listing.held_back.iter().filter(|held| held.name == *name);
            let held = held.filter_map(|held| held.candidate.as_deref());
            let mut all = updates.map(|update| update.candidate.as_str()).chain(held);
            all.any(|candidate| compare_versions(version, candidate) != Ordering::Greater)
        };
        let is_replaced = listing.updates.iter().any(|update| update.replaces.contains(name));
        let fixes = of.iter().filter(|origin| origin.is_security && !is_replaced);
        let fixes = fixes.filter_map(|origin| Some((origin, origin.version.as_deref()?)));
        let missing = fixes.filter(|(_, version)| {
            compare_versions(&package.version, version) == Ordering::Less && !is_offered(version)
        });
        let Some((fix, version)) = missing.max_by(|one, other| compare_versions(one.1, other.1)) else {
            continue;
        };
        listing.held_back.push(HeldBack {
            name: name.clone(),
            installed: Some(package.version.clone()),
            candidate: Some(version.to_string()),
            reason: format!("{} announces this fix, but it is not offered here, or excluded", fix.source),
            security: Some(true),
            told: advised(fix),
            ..HeldBack::default()
        });
    }
    listing.held_back.sort_by(|one, other| one.name.cmp(&other.name));
}
