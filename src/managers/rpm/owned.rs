//! For dnf 4 and dnf 5: a repository that was not refreshed is not an absent one. Its old index decides, by its
//! priority and its modules, about what others offer, and the lists take that into account. But nothing is installed
//! from it.

use super::names::{listed_name, plain_name};
use super::tables::is_repository;
use crate::managers::facts::Plan;
use crate::managers::machine::Machine;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::{HeldBack, Update};
use crate::system::process::Invocation;
use std::collections::{BTreeSet, HashMap, HashSet};

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
    /// Asks by these words, of what is stored here alone.
    pub query: fn(&[&str]) -> Invocation,
    /// How much a repository counts: the lower its priority, the more.
    pub priority: &'a dyn Fn(&str) -> Option<i64>,
}

impl Lists<'_> {
    /// What does not come from these repositories because another one offers it too, in whatever version, that counts
    /// no less. A module decides by more than that. `option` leaves a repository out.
    pub fn not_from(&self, option: &str) -> BTreeSet<(String, String)> {
        let updates = |question: Invocation| {
            let answer = self.machine.ask(&question).ok()?;
            Some((self.read)(&answer.stdout).updates)
        };
        let mut theirs = updates((self.list)(self.plan)).unwrap_or_default();
        theirs.retain(|update| is_stale(self.plan, update) && !update.candidate.contains(".module"));
        if theirs.is_empty() {
            return BTreeSet::new();
        }
        let others = updates(self.without_them(option)).unwrap_or_default();
        theirs.iter().flat_map(|update| not_from(self.plan, update, &others, self.priority)).collect()
    }

    /// The list that there would be if these repositories did not exist.
    fn without_them(&self, option: &str) -> Invocation {
        let options = repositories(self.plan).map(|id| format!("{option}{id}"));
        let plan = Plan { without: Vec::new(), not_from: BTreeSet::new(), ..self.plan.clone() };
        (self.list)(&plan).with_before("upgrade", options)
    }

    /// Adds, as held back, what would be done only if these repositories did not exist; `option` with an identifier
    /// leaves one out.
    pub fn add_owned(&self, option: &str, listing: &mut Listing) -> Result<(), Failure> {
        if repositories(self.plan).next().is_some() {
            let answer = self.machine.ask(&self.without_them(option))?;
            hold_back_new((self.read)(&answer.stdout).updates, listing);
        }
        Ok(())
    }

    /// Holds back what would replace packages that came from one of these repositories, if that has the better priority
    /// and no index here: its address is a new one, or the cache was emptied. With an index the manager sees to it.
    pub fn hold_back_of_unread(&self, listing: &mut Listing) -> Result<(), Failure> {
        let counts_more = |id: &str, update: &Update| {
            let others = update.source.as_ref().and_then(|source| (self.priority)(source));
            (self.priority)(id).zip(others).is_some_and(|(its, others)| its < others)
        };
        let unread = repositories(self.plan).filter(|id| {
            listing.updates.iter().any(|update| counts_more(id, update)) && !self.is_read_at_its_address(id)
        });
        let unread: BTreeSet<&str> = unread.map(String::as_str).collect();
        if unread.is_empty() {
            return Ok(());
        }
        // One that cannot tell it goes on without.
        let answer = self.machine.try_ask(&(self.query)(INSTALLED_FROM))?;
        let came = if answer.succeeded() { came_from(&answer.stdout) } else { HashMap::new() };
        let is_theirs = |update: &Update| {
            let mut names = std::iter::once(&update.name).chain(&update.replaces);
            let from = |name: &String| came.get(name).copied();
            names.any(|name| from(name).is_some_and(|id| unread.contains(id) && counts_more(id, update)))
        };
        let (theirs, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut listing.updates).into_iter().partition(is_theirs);
        listing.updates = others;
        listing.held_back.extend(theirs.into_iter().map(|update| update.left_out(Class::Fetch, OWNED)));
        Ok(())
    }

    /// An index from another address is none.
    fn is_read_at_its_address(&self, id: &str) -> bool {
        let (skip, of) = (format!("--setopt={id}.skip_if_unavailable=0"), format!("--repo={id}"));
        let question = (self.query)(&["repoquery", &skip, &of, "--queryformat", "%{name}\n"]);
        self.machine.try_ask(&question).is_ok_and(|answer| answer.succeeded())
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

/// Asks from which repository each installed package came.
const INSTALLED_FROM: &[&str] =
    &["repoquery", "--installed", "--queryformat", "%{name}.%{arch} %{from_repo}\n"];

/// Reads `tb-a.noarch vendor`, by the names of lists.
fn came_from(stdout: &str) -> HashMap<String, &str> {
    let rows = stdout.lines().filter_map(|row| row.split_once(' '));
    let rows = rows.filter_map(|(package, from)| Some((package.rsplit_once('.')?, from.trim())));
    rows.map(|((name, arch), from)| (listed_name(name, arch), from)).collect()
}

/// The repositories from which the package of this update does not come, if others offer it too.
fn not_from(
    plan: &Plan,
    update: &Update,
    others: &[Update],
    priority: &dyn Fn(&str) -> Option<i64>,
) -> Vec<(String, String)> {
    let instead = others.iter().find(|other| other.name == update.name);
    let Some(instead) = instead.and_then(|other| priority(other.source.as_ref()?)) else { return Vec::new() };
    // One of which nobody knows how it counts may count more.
    let decides = |id: &String| priority(id).is_none_or(|priority| priority < instead);
    if update.source.as_ref().is_none_or(decides) {
        return Vec::new();
    }
    // Behind the version of one there may be that of a second one.
    let ids = repositories(plan).filter(|id| !decides(id));
    ids.map(|id| (id.clone(), update.name.clone())).collect()
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

/// Whether an update comes from one of these repositories.
fn is_stale(plan: &Plan, update: &Update) -> bool {
    update.source.as_ref().is_some_and(|source| repositories(plan).any(|id| id == source))
}

/// The packages that these repositories offer or decide about, and that the plan does not leave out yet.
fn more_left_out(plan: &Plan, listing: &Listing) -> BTreeSet<String> {
    let of_updates = listing.updates.iter().filter(|update| is_stale(plan, update));
    let of_updates = of_updates.map(|update| &update.name);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_repository_that_is_known_to_count_no_more_than_another_one_decides_nothing() {
        let update =
            |source: &str| Update { name: "tb-a".into(), source: Some(source.into()), ..Update::default() };
        let plan = Plan { without: ["down", "more", "odd"].map(String::from).into(), ..Plan::default() };
        let priorities = [("down", 99), ("more", 1), ("good", 99), ("better", 50)];
        let priority =
            |id: &str| priorities.iter().find(|(known, _)| *known == id).map(|(_, number)| *number);
        let ids = |from: &str, instead: &[&str]| {
            let others: Vec<_> = instead.iter().map(|source| update(source)).collect();
            let found = not_from(&plan, &update(from), &others, &priority).into_iter();
            found.map(|(id, name)| format!("{id} {name}")).collect::<Vec<_>>()
        };
        assert_eq!(ids("down", &["good"]), ["down tb-a"]);
        assert_eq!(ids("down", &["better"]), ["down tb-a"]);
        for (from, instead) in
            [("more", &["good"][..]), ("odd", &["good"]), ("down", &["odd"]), ("down", &[])]
        {
            assert!(ids(from, instead).is_empty(), "{from} {instead:?}");
        }
    }
}
