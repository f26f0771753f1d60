//! A repository that was not refreshed is not an absent one: what it had when it last was decides, by its
//! priority and its modules, about what others offer. Installed from it nothing is. For dnf 4 and dnf 5,
//! whose lists take its old index into account.

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

/// The repositories that were not refreshed. A file that could not be read is a source that failed, but
/// no repository; nor is one with a name that none can have.
pub fn repositories(plan: &Plan) -> impl Iterator<Item = &String> {
    plan.without.iter().filter(|source| is_repository(source))
}

/// Lists what would be done in their absence; `option` with an identifier leaves one out.
pub fn ask_without(plan: &Plan, list: fn(&Plan) -> Invocation, option: &str) -> Option<Invocation> {
    repositories(plan).next()?;
    let mut invocation = list(&Plan { without: Vec::new(), ..plan.clone() });
    let command = invocation.args.iter().position(|arg| arg == "upgrade").unwrap_or_default();
    let options = repositories(plan).map(|id| format!("{option}{id}"));
    invocation.args.splice(command..command, options);
    Some(invocation)
}

/// Adds what would only be done in their absence: it is held back.
pub fn add_owned(without: Listing, mut listing: Listing) -> Listing {
    hold_back_new(without.updates, &mut listing);
    listing
}

/// What would only come where a repository is absent, or stays out.
fn hold_back_new(updates: Vec<Update>, listing: &mut Listing) {
    let held: HashSet<_> = listing.held_back.iter().map(|held| held.name.clone()).collect();
    let is_known = |update: &Update| listing.updates.iter().any(|known| known.name == update.name);
    let new = updates.into_iter().filter(|update| !held.contains(&update.name) && !is_known(update));
    let new: Vec<_> = new.map(|update| held_for_source(update, OWNED)).collect();
    listing.held_back.extend(new);
}

/// Asks which of the installed packages are a module's, for a manager that knows nothing of a module while the
/// index of its repository is not there.
pub fn ask_modular(plan: &Plan) -> Option<Invocation> {
    repositories(plan).next()?;
    let args = ["-qa", "--qf", "%{NAME}\\t%{MODULARITYLABEL}\\n"].map(str::to_string).to_vec();
    Some(Invocation { program: "rpm", args, ..Invocation::default() })
}

/// Holds back what would come in the place of these and is no module's itself, as its release says.
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

/// The plan without the packages that these repositories offer or own, where it is another.
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

/// What that plan installs, with what it leaves out as held back.
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
