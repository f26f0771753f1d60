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
use std::collections::BTreeSet;

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
    let (by_itself, preferred) = by_itself(lists, &listing)?;
    let mut held = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let is_unwanted = |update: &&Update| {
            counts_less(update) && (preferred.contains(&update.name) || !by_itself.comes(&update.name))
        };
        let theirs: Vec<_> = listing.updates.iter().filter(is_unwanted).cloned().collect();
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

/// What dnf5 would install by itself if nothing needed an older version, and the packages of which it would all the
/// same install one.
fn by_itself(lists: &Lists, listing: &Listing) -> Result<(Listing, BTreeSet<String>), Failure> {
    let mut plan = lists.plan.clone();
    let mut preferred = BTreeSet::new();
    let mut rounds = 0;
    loop {
        let answer = lists.machine.ask(&list_with_older(&plan))?.stdout;
        let (comes, older) = (transaction(&answer), downgraded(&answer));
        rounds += 1;
        if older.is_empty() || rounds == MOST_ROUNDS {
            return Ok((comes, preferred));
        }
        let more = comes.updates.iter().filter(|update| !listing.brings(update));
        let (older, needing): (Vec<_>, Vec<_>) = more.partition(|update| older.contains(&update.name));
        if needing.is_empty() {
            preferred.extend(older.iter().map(|update| update.name.clone()));
            plan.left_out.extend(older.into_iter().map(|update| update.name.clone()));
        } else {
            let versions = needing.into_iter().map(|update| (update.name.clone(), update.candidate.clone()));
            plan.passed_over.extend(versions);
        }
    }
}

/// What dnf5 would list if it could install older versions.
fn list_with_older(plan: &Plan) -> Invocation {
    let mut question = list(plan);
    question.args.retain(|arg| arg != NO_OLDER);
    question
}
