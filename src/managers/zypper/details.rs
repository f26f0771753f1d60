//! What zypper says about pending updates only when asked.

use super::commands::{ENV_IN_UTC, OFFLINE, PLAIN, plain_zypper, with_choice, zypper};
use super::lists;
use crate::managers::facts::Plan;
use crate::managers::machine::Machine;
use crate::managers::rpm;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::Update;
use crate::system::process::Invocation;

/// Adds what the XML summary lacks: what is held back, what replaces what, and in old versions the repositories of the
/// updates. A patch is an advisory. Only its description names its packages. Only patches for installed packages are
/// listed as needed.
pub fn complete(machine: &dyn Machine, plan: &Plan, mut listing: Listing) -> Result<Listing, Failure> {
    let ask = |question: Invocation| machine.ask(&question).map(|answer| answer.stdout);
    let ask_if = |question: Option<Invocation>| question.map_or(Ok(String::new()), ask);
    let of_choice = |words: &[&str]| with_choice(zypper(OFFLINE, words), plan);

    listing = lists::add_held_back(&ask(of_choice(&["list-updates", "--all"]))?, listing);
    if !listing.held_back.is_empty() {
        listing = lists::add_locks(&ask(zypper(OFFLINE, &["locks"]))?, listing);
    }
    if !listing.removals.is_empty() {
        let found = ask_if(ask_replacing(plan, &listing))?;
        let names = lists::found_updates(&found, &listing);
        let names: Vec<_> = names.iter().map(|name| rpm::names::plain_name(name).to_string()).collect();
        if let Some(question) = info(plan, &["--type", "package", "--obsoletes"], &names) {
            listing = lists::add_replaced(&ask(question)?, listing);
        }
    }
    if machine.has_no_advisories() {
        return Ok(listing);
    }
    let patches = lists::needed_patches(&ask(of_choice(&["list-patches"]))?);
    listing = lists::add_patches(&ask_if(info(plan, PATCHES, &patches))?, listing);
    let of_new = lists::found_patches(&ask_if(ask_patches_of_new(plan, &listing))?);
    listing = lists::add_patches(&ask_if(info(plan, PATCHES, &of_new))?, listing);
    let is_held =
        !listing.held_back.is_empty() && listing.held_back.iter().all(|held| held.security.is_none());
    if is_held || listing.updates.iter().any(|update| update.security.is_none()) {
        listing = lists::add_told(&ask(of_choice(&["list-patches", "--all"]))?, listing);
    }
    if listing.held_back.iter().any(lists::is_missing_fix) {
        listing = lists::without_fixes_of_others(&ask(rpm::database::list_installed())?, listing);
    }
    Ok(listing)
}

const PATCHES: &[&str] = &["--type", "patch"];

/// Asks for descriptions.
fn info(plan: &Plan, what: &[&str], names: &[String]) -> Option<Invocation> {
    let question = with_choice(plain_zypper(PLAIN, &[&["info"], what].concat()), plan).with(["--"]);
    (!names.is_empty()).then(|| Invocation { env: ENV_IN_UTC, ..question.with(names) })
}

/// Asks what obsoletes the packages that would be removed.
fn ask_replacing(plan: &Plan, listing: &Listing) -> Option<Invocation> {
    search(plan, &["--type", "package", "--obsoletes"], listing.removals.iter().map(|(name, _)| name))
}

/// Asks for the patches about packages that would replace others.
fn ask_patches_of_new(plan: &Plan, listing: &Listing) -> Option<Invocation> {
    let is_new = |update: &&Update| !update.replaces.is_empty() && update.security != Some(true);
    let names = listing.updates.iter().filter(is_new).map(|update| &update.name);
    search(plan, &["--type", "patch", "--conflicts"], names)
}

/// Asks for what is about packages with these names, if there are any.
fn search<'a>(plan: &Plan, what: &[&str], names: impl Iterator<Item = &'a String>) -> Option<Invocation> {
    let words = [&["search", "--details", "--match-exact"], what].concat();
    let names = names.map(|name| rpm::names::plain_name(name));
    let names: Vec<_> = names.filter(|name| rpm::names::is_package_name(name)).collect();
    (!names.is_empty()).then(|| with_choice(zypper(OFFLINE, &words), plan).with(["--"]).with(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_stands_among_the_names() {
        let plan = Plan { only_sources: vec!["good".into()], ..Plan::default() };
        let names = ["tb-a".to_string()];
        let questions = [info(&plan, &["--type", "package"], &names), search(&plan, &[], names.iter())];
        for question in questions.into_iter().flatten() {
            let line = question.line();
            assert!(line.contains(" --repo good") && line.ends_with(" -- tb-a"), "{line}");
        }
    }
}
