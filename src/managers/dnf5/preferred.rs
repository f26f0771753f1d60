//! Where a repository with a better priority has only an older version than the installed one, dnf5 takes a newer one
//! from no other. With [`NO_OLDER`] it does not see that older version, and takes the newer one.

use super::commands::{NO_OLDER, list};
use super::lists::{downgraded, transaction};
use crate::managers::facts::Plan;
use crate::managers::rpm::owned::Lists;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::{BETTER_PRIORITY, Update};
use crate::system::process::Invocation;

/// One question shows what needs older versions, the next one what else comes once that is left out. More than this is
/// a puzzle for a person.
const MOST_ROUNDS: usize = 5;

/// Holds back what dnf5 would not install by itself, if a repository with a better priority than that of an update is
/// among the `enabled` ones. Returns what is left, and the plan for it.
pub fn hold_back(
    lists: &Lists,
    enabled: &[String],
    mut listing: Listing,
) -> Result<(Plan, Listing), Failure> {
    let mut plan = lists.plan.clone();
    let best = enabled.iter().filter_map(|id| (lists.priority)(id)).min();
    let counts_less = |update: &Update| {
        let its = update.source.as_ref().and_then(|id| (lists.priority)(id));
        its.zip(best).is_some_and(|(its, best)| its > best)
    };
    if !listing.updates.iter().any(counts_less) {
        return Ok((plan, listing));
    }
    let own = by_itself(lists, &listing)?;
    let installed = lists.machine.installed()?;
    let mut held = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let is_unwanted = |update: &&Update| counts_less(update) && !own.brings(update);
        let unwanted: Vec<_> = listing.updates.iter().filter(is_unwanted).cloned().collect();
        // What is new comes for another update, and no more once that is left out.
        let is_new = |update: &Update| !installed.contains_key(&update.name) && update.replaces.is_empty();
        let (new, old): (Vec<_>, Vec<_>) = unwanted.into_iter().partition(is_new);
        let theirs = if old.is_empty() { new } else { old };
        if theirs.is_empty() {
            break;
        }
        plan.left_out.extend(theirs.iter().map(|update| update.name.clone()));
        held.extend(theirs.into_iter().map(|update| update.left_out(Class::Dependency, BETTER_PRIORITY)));
        // Something else may come in the place of what is held back, or stay because of that.
        listing = transaction(&lists.machine.ask(&list(&plan))?.stdout);
    }
    listing.held_back.retain(|known| held.iter().all(|held| held.name != known.name));
    listing.held_back.extend(held);
    Ok((plan, listing))
}

/// What dnf5 would do by itself.
#[derive(Debug, Default)]
struct ByItself {
    /// What it would install if nothing needed an older version.
    comes: Listing,
    /// What it would install only with older versions of something, or because that is so.
    with_older: Vec<Update>,
}

impl ByItself {
    /// Whether it would install this update, or another one of the same package. What needs an older version cannot come
    /// where none is installed.
    fn brings(&self, update: &Update) -> bool {
        self.comes.comes(&update.name) || self.with_older.contains(update)
    }
}

fn by_itself(lists: &Lists, listing: &Listing) -> Result<ByItself, Failure> {
    let mut plan = lists.plan.clone();
    let mut found = ByItself::default();
    let mut rounds = 0;
    loop {
        let answer = lists.machine.ask(&list_with_older(&plan))?.stdout;
        let older = downgraded(&answer);
        found.comes = transaction(&answer);
        rounds += 1;
        if older.is_empty() || rounds == MOST_ROUNDS {
            return Ok(found);
        }
        let more = found.comes.updates.iter().filter(|update| !listing.brings(update)).cloned();
        let (older, needing): (Vec<_>, Vec<_>) = more.partition(|update| older.contains(&update.name));
        if needing.is_empty() {
            plan.left_out.extend(older.into_iter().map(|update| update.name));
        } else {
            let versions = needing.iter().map(|update| (update.name.clone(), update.candidate.clone()));
            plan.passed_over.extend(versions);
            found.with_older.extend(needing);
        }
    }
}

/// What dnf5 would list if it could install older versions.
fn list_with_older(plan: &Plan) -> Invocation {
    let mut question = list(plan);
    question.args.retain(|arg| arg != NO_OLDER);
    question
}
