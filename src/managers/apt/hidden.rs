//! Security updates that a pin or APT::Default-Release hides: where another version has the better priority, apt lists
//! neither them nor that it keeps them back.

use super::blame::parts;
use super::commands::{apt_get, setting, upgrade};
use super::{lists, policy};
use crate::managers::facts::Plan;
use crate::managers::machine::Machine;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::Origin;
use crate::model::updates::{HIDDEN_BY_BOTH, HIDDEN_BY_PIN, HIDDEN_BY_RELEASE, HeldBack};
use log::warn;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Without any preference each suite has the priority that its own Release file gives it: nothing comes from backports.
const NO_PREFERENCES: &[&str] =
    &["Dir::Etc::Preferences=/dev/null", "Dir::Etc::PreferencesParts=/dev/null", "APT::Default-Release="];

/// Adds them to a list of what is pending. A list of our own choice is one of a part of that.
pub fn add(machine: &dyn Machine, plan: &Plan, listing: &mut Listing) -> Result<(), Failure> {
    let is_part = plan.leave_out_file.is_some() || plan.mends;
    let Some(why) = what_hides(machine).filter(|_| !is_part) else { return Ok(()) };
    let question = apt_get(NO_PREFERENCES, &[&["-s", "-V"], &upgrade(plan)[..]].concat());
    // What is pending is known without it.
    let all = match machine.ask(&question).and_then(|answer| lists::parse(&answer.stdout).checked()) {
        Ok(all) => all,
        Err(failure) => {
            warn!("could not look for security updates that a pin hides: {}", failure.message);
            return Ok(());
        }
    };
    let found = hidden(all, listing, plan);
    if found.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = found.iter().map(|held| held.name.as_str()).collect();
    let answer = machine.ask(&policy::ask_origins(&names))?.stdout;
    let lists = &machine.places().cache;
    let mut offered = policy::parse_origins(&answer);
    policy::add_labels(&mut offered, lists);
    let here = policy::installed_from(&answer);
    let mut known = HashMap::new();
    let mut is_of_same_release = |name: &str, origin: &Origin| {
        let mut names = |id: &String| -> Vec<String> {
            known.entry(id.clone()).or_insert_with(|| policy::release_names(id, lists)).clone()
        };
        let of_fix = names(&origin.source);
        let of_installed: Vec<_> = here.get(name).into_iter().flatten().flat_map(names).collect();
        of_installed.is_empty() || of_installed.iter().any(|name| of_fix.contains(name))
    };
    for held in found {
        let of = offered.get(&held.name).map(Vec::as_slice).unwrap_or_default();
        let first = of.iter().position(|origin| origin.version == held.candidate).unwrap_or(0);
        let mut secure = of[first..].iter().filter(|origin| origin.is_security);
        // Of a newer release, from which single packages come, the fixes are not for those of this one.
        if let Some(fix) = secure.find(|origin| is_of_same_release(&held.name, origin)) {
            let reason = format!("{why} {}", held.installed.as_deref().unwrap_or_default());
            let candidate = fix.version.clone();
            listing.held_back.push(HeldBack { candidate, reason, security: Some(true), ..held });
        }
    }
    Ok(())
}

/// What apt would update if nothing were preferred, and of which the list says nothing. What is kept back even then is
/// hidden too.
fn hidden(all: Listing, listing: &Listing, plan: &Plan) -> Vec<HeldBack> {
    let updates = all.updates.into_iter().map(|update| update.held_back(""));
    let kept_back = all.held_back.into_iter().filter(|held| held.class.is_none());
    let is_told =
        |name: &String| listing.comes(name) || listing.held(name).is_some() || plan.left_out.contains(name);
    let is_hidden = |held: &HeldBack| held.installed.is_some() && !is_told(&held.name);
    updates.chain(kept_back).filter(is_hidden).collect()
}

/// The beginning of the reason, if the administrator prefers any version.
fn what_hides(machine: &dyn Machine) -> Option<&'static str> {
    let configuration = machine.configuration().unwrap_or_default();
    let dir = PathBuf::from(setting(configuration, "PREFERENCEPARTS").unwrap_or("/etc/apt/preferences.d"));
    let mut files = std::iter::once(machine.places().leave_out_base.clone()).chain(parts(&dir, "pref"));
    let has_release = configuration.lines().any(|line| line.starts_with("RELEASE='") && line != "RELEASE=''");
    match (files.any(|file| has_pin(&file)), has_release) {
        (true, true) => Some(HIDDEN_BY_BOTH),
        (true, false) => Some(HIDDEN_BY_PIN),
        (false, true) => Some(HIDDEN_BY_RELEASE),
        (false, false) => None,
    }
}

fn has_pin(file: &Path) -> bool {
    let text = std::fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().any(|line| line.to_ascii_lowercase().starts_with("pin:"))
}
