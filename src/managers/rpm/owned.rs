//! For dnf 4 and dnf 5: a repository that was not refreshed is not an absent one. Its old index decides, by its
//! priority and its modules, about what others offer, and the lists take that into account. But nothing is installed
//! from it.

use super::names::plain_name;
use super::tables::is_repository;
use crate::managers::facts::Plan;
use crate::model::class::Class;
use crate::model::listing::Listing;
use crate::model::updates::{HeldBack, Update};
use crate::system::process::Invocation;
use std::collections::HashSet;

const NOT_REFRESHED: &str = "its repository was not refreshed";
const OWNED: &str = "a repository that was not refreshed decides about it";

/// The repositories that were not refreshed. A file that could not be read is a source that failed, but not a
/// repository; nor is a name that no repository can have.
pub fn repositories(plan: &Plan) -> impl Iterator<Item = &String> {
    plan.without.iter().filter(|source| is_repository(source))
}

/// Lists what would be done if they did not exist; `option` with an identifier leaves one out.
pub fn ask_without(plan: &Plan, list: fn(&Plan) -> Invocation, option: &str) -> Option<Invocation> {
    repositories(plan).next()?;
    let options = repositories(plan).map(|id| format!("{option}{id}"));
    Some(list(&Plan { without: Vec::new(), ..plan.clone() }).with_before("upgrade", options))
}

/// Adds, as held back, what would be done only if they did not exist.
pub fn add_owned(without: Listing, mut listing: Listing) -> Listing {
    hold_back_new(without.updates, &mut listing);
    listing
}

/// Holds back the packages that come only where a repository is absent or left out.
fn hold_back_new(updates: Vec<Update>, listing: &mut Listing) {
    let held: HashSet<_> = listing.held_back.iter().map(|held| held.name.clone()).collect();
    let is_known = |update: &Update| listing.updates.iter().any(|known| known.name == update.name);
    let new = updates.into_iter().filter(|update| !held.contains(&update.name) && !is_known(update));
    let new: Vec<_> = new.map(|update| held_for_source(update, OWNED)).collect();
    listing.held_back.extend(new);
}

/// Asks which installed packages belong to a module, for a manager that does not know a module while the index of its
/// repository is missing.
pub fn ask_modular(plan: &Plan) -> Option<Invocation> {
    repositories(plan).next()?;
    Some(Invocation::of("rpm", ["-qa", "--qf", "%{NAME}\\t%{MODULARITYLABEL}\\n"]))
}

/// Holds back what would replace these and does not belong to a module itself, which its release shows.
pub fn hold_back_modular(answer: &str, mut listing: Listing) -> Listing {
    let rows = answer.lines().filter_map(|row| row.split_once('\t'));
    let modular: HashSet<_> =
        rows.filter(|(_, label)| !matches!(*label, "" | "(none)")).map(|(name, _)| name).collect();
    let is_owned = |update: &Update| {
        let mut names = std::iter::once(&update.name).chain(&update.replaces);
        names.any(|name| modular.contains(plain_name(name))) && !update.candidate.contains(".module")
    };
    let (owned, others): (Vec<_>, Vec<_>) = listing.updates.into_iter().partition(is_owned);
    listing.updates = others;
    listing.held_back.extend(owned.into_iter().map(|update| held_for_source(update, OWNED)));
    listing
}

/// The plan without the packages that these repositories offer or decide about; `None` where that is the same plan.
pub fn left_out(plan: &Plan, listing: &Listing) -> Option<Plan> {
    let is_stale = |update: &&Update| {
        update.source.as_ref().is_some_and(|source| repositories(plan).any(|id| id == source))
    };
    let of_updates = listing.updates.iter().filter(is_stale).map(|update| &update.name);
    let is_ours = |held: &&HeldBack| held.reason == NOT_REFRESHED || held.reason == OWNED;
    let held = listing.held_back.iter().filter(is_ours).map(|held| &held.name);
    let left_out: Vec<_> = plan.left_out.iter().chain(of_updates).chain(held).cloned().collect();
    (left_out.len() > plan.left_out.len()).then(|| Plan { left_out, ..plan.clone() })
}

/// What that plan installs; what it leaves out is held back.
pub fn add_left_out(mut now: Listing, listing: Listing) -> Listing {
    let comes: Vec<_> = std::mem::take(&mut now.updates);
    let stays = |name: &String| !comes.iter().any(|update| update.name == *name);
    let (gone, known): (Vec<_>, Vec<_>) = listing.updates.into_iter().partition(|update| stays(&update.name));
    let resolved: HashSet<_> = now.held_back.iter().map(|held| held.name.clone()).collect();
    let gone = gone.into_iter().filter(|update| !resolved.contains(&update.name));
    let before = listing.held_back.into_iter().filter(|held| !resolved.contains(&held.name));
    now.held_back.extend(before.chain(gone.map(|update| held_for_source(update, NOT_REFRESHED))));
    let (same, new): (Vec<_>, Vec<_>) =
        comes.into_iter().partition(|update| known.iter().any(|known| known.name == update.name));
    now.updates = same;
    hold_back_new(new, &mut now);
    now
}

fn held_for_source(update: Update, reason: &str) -> HeldBack {
    HeldBack { class: Some(Class::Fetch), ..update.held_back(reason) }
}
