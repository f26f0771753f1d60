//! Security updates that a pin or APT::Default-Release hides: where another version has the better priority, apt lists
//! neither them nor that it keeps them back.

use super::blame::parts;
use super::commands::{apt_get, setting, upgrade};
use super::policy::{self, Release};
use super::{errors, lists};
use crate::managers::facts::Plan;
use crate::managers::machine::Machine;
use crate::model::listing::Listing;
use crate::model::packages::Origin;
use crate::model::updates::{HIDDEN_BY_BOTH, HIDDEN_BY_PIN, HIDDEN_BY_RELEASE, HeldBack};
use crate::system::process::{End, Invocation};
use log::warn;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Without any preference each suite has the priority that its own Release file gives it: nothing comes from backports.
const NO_PREFERENCES: &[&str] =
    &["Dir::Etc::Preferences=/dev/null", "Dir::Etc::PreferencesParts=/dev/null", "APT::Default-Release="];

/// Adds them to a list of what is pending. A list of our own choice is one of a part of that.
pub fn add(machine: &dyn Machine, plan: &Plan, listing: &mut Listing) {
    let is_part = plan.leave_out_file.is_some() || plan.mends;
    let Some(why) = what_hides(machine).filter(|_| !is_part) else { return };
    let question = apt_get(NO_PREFERENCES, &[&["-s", "-V"], &upgrade(plan)[..]].concat());
    let Some(all) = asked(machine, &question) else { return };
    let found = lists::parse(&all).checked().map(|all| hidden(all, listing, plan)).unwrap_or_default();
    if found.is_empty() {
        return;
    }
    let names: Vec<_> = found.iter().map(|held| held.name.as_str()).collect();
    let Some(answer) = asked(machine, &policy::ask_origins(&names)) else { return };
    let lists = &machine.places().cache;
    let mut offered = policy::parse_origins(&answer);
    policy::add_labels(&mut offered, lists);
    let here = policy::installed_from(&answer);
    let mut known = HashMap::new();
    let mut release = |id: &String| known.entry(id.clone()).or_insert_with(|| Release::of(id, lists)).clone();
    // What comes from a vendor's repository, or from a newer release, has its fixes from there.
    let mut is_of_same_release = |name: &str, origin: &Origin| {
        let of_fix = release(&origin.source);
        let sources = here.get(name).map(Vec::as_slice).unwrap_or_default();
        sources.is_empty() || sources.iter().any(|id| release(id).is_same(&of_fix))
    };
    for held in found {
        let of = offered.get(&held.name).map(Vec::as_slice).unwrap_or_default();
        let first = of.iter().position(|origin| origin.version == held.candidate).unwrap_or(0);
        let mut secure = of[first..].iter().filter(|origin| origin.is_security);
        if let Some(fix) = secure.find(|origin| is_of_same_release(&held.name, origin)) {
            let reason = format!("{why} {}", held.installed.as_deref().unwrap_or_default());
            let candidate = fix.version.clone();
            listing.held_back.push(HeldBack { candidate, reason, security: Some(true), ..held });
        }
    }
}

/// An answer, or a warning: what is pending is known without it.
fn asked(machine: &dyn Machine, question: &Invocation) -> Option<String> {
    let answer = machine.ask_if_time(question);
    let why = match answer {
        Some(answer) if answer.succeeded() => return Some(answer.stdout),
        Some(answer) if matches!(answer.end, End::Code(_)) => errors::classify(&answer).message,
        _ => format!("{} did not answer in time", question.program),
    };
    warn!("could not look for security updates that a pin hides: {why}");
    None
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
    may_hide(&String::from_utf8_lossy(&text))
}

/// Whether a pin among these may hide a security update. One that says from which host named packages come (NodeSource's
/// `Package: nodejs`, `Pin: origin deb.nodesource.com`) hides no fix for what comes from there; nor does what each Ubuntu
/// has for the services of Ubuntu Pro, whose versions are fixes themselves.
fn may_hide(text: &str) -> bool {
    let mut record: [&str; 3] = [""; 3];
    let mut found = false;
    // The last record has no empty line behind it.
    for line in text.lines().filter(|line| !line.starts_with('#')).chain([""]) {
        if line.trim().is_empty() {
            found |= hides(std::mem::take(&mut record));
        } else if let Some((field, value)) = line.split_once(':') {
            let known = ["package", "pin", "pin-priority"];
            let at = known.iter().position(|known| field.trim().eq_ignore_ascii_case(known));
            at.into_iter().for_each(|at| record[at] = value.trim());
        }
    }
    found
}

fn hides([package, pin, priority]: [&str; 3]) -> bool {
    let is_named = !package.contains(['*', '?', '[', '/', ':']);
    let is_never = priority.starts_with('-') || priority == "never";
    let only_places = pin.starts_with("origin ") && is_named && !is_never;
    let is_of_pro = ["release o=UbuntuESM", "release o=UbuntuESMApps"].contains(&pin)
        && priority.parse::<i32>().is_ok_and(|priority| priority > 500);
    !pin.is_empty() && !only_places && !is_of_pro
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_says_where_a_package_comes_from_hides_no_fix() {
        let pin = |package: &str, pin: &str, priority: &str| {
            format!("Explanation: x\nPackage: {package}\nPin: {pin}\nPin-Priority: {priority}\n")
        };
        let place = pin("nodejs", "origin deb.nodesource.com", "600");
        // ubuntu-pro-client 31 installs these.
        let esm = ["UbuntuESM", "UbuntuESMApps"].map(|name| pin("*", &format!("release o={name}"), "510"));
        let esm = esm.join("\n");
        for harmless in
            ["", "# Pin: version 1.0\n", "Package: a\n", &place, &pin("a b", "origin \"h\"", "1001"), &esm]
        {
            assert!(!may_hide(harmless), "{harmless}");
        }
        for hiding in [
            pin("*", "release a=stable", "990"),
            pin("nodejs", "version 1.0", "990"),
            pin("nodejs", "release n=bookworm", "990"),
            pin("nodejs", "origin security.debian.org", "-1"),
            pin("nodejs", "origin security.debian.org", "never"),
            pin("/^lib/", "origin h", "600"),
            pin("src:nodejs", "origin h", "600"),
            pin("lib*", "release o=x", "600"),
            pin("*", "release o=UbuntuESM", "450"),
            pin("*", "release o=UbuntuESMApps,n=x", "510"),
        ] {
            assert!(may_hide(&hiding), "{hiding}");
            assert!(may_hide(&format!("{place}\n{hiding}\n{place}")), "{hiding}");
        }
    }
}
