//! For dnf 4 and dnf 5: a repository that was not refreshed is not an absent one. Its old index decides, by its
//! priority and its modules, about what others offer, and the lists take that into account. But nothing is installed
//! from it.

use super::names::plain_name;
use super::tables::is_repository;
use crate::managers::facts::Plan;
use crate::managers::machine::Machine;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::{HeldBack, Update};
use crate::system::process::Invocation;
use std::collections::{BTreeSet, HashSet};

/// So many of them may have a package, one behind the other.
const MOST_ROUNDS: usize = 5;

const NOT_REFRESHED: &str = "its repository was not refreshed";
const OWNED: &str = "a repository that was not refreshed decides about it";

/// The repositories that were not refreshed. A file that could not be read is a source that failed, but not a
/// repository; nor is a name that no repository can have.
pub fn repositories(plan: &Plan) -> impl Iterator<Item = &String> {
    plan.without.iter().filter(|source| is_repository(source))
}

/// How a manager lists what it would do.
pub struct Lists<'a> {
    /// Answers the questions.
    pub machine: &'a dyn Machine,
    /// What is to be done.
    pub plan: &'a Plan,
    /// Lists what a plan would do.
    pub list: fn(&Plan) -> Invocation,
    /// Reads such a list.
    pub read: fn(&str) -> Listing,
}

impl Lists<'_> {
    /// What does not come from these repositories because another one offers it too, in whatever version, that counts
    /// no less: the lower its `priority`, the more a repository counts. A module decides by more than that.
    pub fn not_from(&self, priority: &dyn Fn(&str) -> Option<i64>) -> BTreeSet<(String, String)> {
        let mut plan = self.plan.clone();
        let mut listing = Listing::default();
        // Behind what does not come from one there may be the version of a second one.
        for _ in 0..MOST_ROUNDS {
            let Ok(answer) = self.machine.ask(&(self.list)(&plan)) else { return BTreeSet::new() };
            listing = (self.read)(&answer.stdout);
            let of_them = listing.updates.iter().filter(|update| !update.candidate.contains(".module"));
            let of_them =
                of_them.filter_map(|update| Some((stale_source(&plan, update)?, update.name.clone())));
            let of_them: BTreeSet<_> = of_them.collect();
            if of_them.is_subset(&plan.not_from) {
                break;
            }
            plan.not_from.extend(of_them);
        }
        let counts_no_less = |(id, name): &(String, String)| {
            let instead = listing.updates.iter().find(|update| update.name == *name);
            let instead = instead.filter(|update| stale_source(&plan, update).is_none());
            let instead = instead.and_then(|update| priority(update.source.as_ref()?));
            instead.zip(priority(id)).is_some_and(|(instead, theirs)| instead <= theirs)
        };
        plan.not_from.iter().filter(|from| counts_no_less(from)).cloned().collect()
    }

    /// Adds, as held back, what would be done only if these repositories did not exist; `option` with an identifier
    /// leaves one out.
    pub fn add_owned(&self, option: &str, listing: &mut Listing) -> Result<(), Failure> {
        let Lists { plan, .. } = *self;
        if repositories(plan).next().is_some() {
            let options = repositories(plan).map(|id| format!("{option}{id}"));
            let without = Plan { without: Vec::new(), ..plan.clone() };
            let answer = self.machine.ask(&(self.list)(&without).with_before("upgrade", options))?;
            hold_back_new((self.read)(&answer.stdout).updates, listing);
        }
        Ok(())
    }

    /// What is left if nothing of these repositories is installed, nor what they decide about.
    pub fn without_owned(&self, mut listing: Listing) -> Result<Listing, Failure> {
        let mut plan = self.plan.clone();
        // Behind what is left out there may be a second reason.
        for _ in 0..2 {
            let more = more_left_out(&plan, &listing);
            if more.is_empty() {
                break;
            }
            plan.left_out.extend(more);
            let answer = self.machine.ask(&(self.list)(&plan))?;
            listing = add_left_out((self.read)(&answer.stdout), listing);
        }
        Ok(listing)
    }
}

/// Holds back the packages that come only where a repository is absent or left out.
fn hold_back_new(updates: Vec<Update>, listing: &mut Listing) {
    let held: HashSet<_> = listing.held_back.iter().map(|held| held.name.clone()).collect();
    let is_new = |update: &Update| !held.contains(&update.name) && !listing.comes(&update.name);
    let new = updates.into_iter().filter(is_new);
    let new: Vec<_> = new.map(|update| update.left_out(Class::Fetch, OWNED)).collect();
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
    listing.held_back.extend(owned.into_iter().map(|update| update.left_out(Class::Fetch, OWNED)));
    listing
}

/// The one of these repositories from which an update comes, if any.
fn stale_source(plan: &Plan, update: &Update) -> Option<String> {
    update.source.clone().filter(|source| repositories(plan).any(|id| id == source))
}

/// The packages that these repositories offer or decide about, and that the plan does not leave out yet.
fn more_left_out(plan: &Plan, listing: &Listing) -> BTreeSet<String> {
    let is_stale = |update: &&Update| stale_source(plan, update).is_some();
    let of_updates = listing.updates.iter().filter(is_stale).map(|update| &update.name);
    let is_ours = |held: &&HeldBack| held.reason == NOT_REFRESHED || held.reason == OWNED;
    let held = listing.held_back.iter().filter(is_ours).map(|held| &held.name);
    of_updates.chain(held).filter(|name| !plan.left_out.contains(name)).cloned().collect()
}

/// What that plan installs; what it leaves out is held back.
fn add_left_out(mut now: Listing, listing: Listing) -> Listing {
    let comes: Vec<_> = std::mem::take(&mut now.updates);
    let stays = |name: &String| !comes.iter().any(|update| update.name == *name);
    let (gone, known): (Vec<_>, Vec<_>) = listing.updates.into_iter().partition(|update| stays(&update.name));
    let resolved: HashSet<_> = now.held_back.iter().map(|held| held.name.clone()).collect();
    let gone = gone.into_iter().filter(|update| !resolved.contains(&update.name));
    let before = listing.held_back.into_iter().filter(|held| !resolved.contains(&held.name));
    now.held_back.extend(before.chain(gone.map(|update| update.left_out(Class::Fetch, NOT_REFRESHED))));
    let (same, new): (Vec<_>, Vec<_>) =
        comes.into_iter().partition(|update| known.iter().any(|known| known.name == update.name));
    now.updates = same;
    hold_back_new(new, &mut now);
    now
}
