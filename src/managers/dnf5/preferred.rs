//! Where a repository with a better priority has only an older version than the installed one, dnf5 takes a newer one
//! from no other. With [`NO_OLDER`] it does not see that older version, and takes the newer one.

use super::commands::{NO_OLDER, list};
use super::lists::{downgraded, transaction};
use crate::managers::facts::Plan;
use crate::managers::rpm::owned::Lists;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::Update;
use crate::system::process::Invocation;

const DECIDES: &str = "a repository with a better priority decides about it, and has nothing newer";

/// What needs an older version is left out, and then what is downgraded behind that.
const MOST_ROUNDS: usize = 4;

/// Holds back what dnf5 would not install by itself, if a repository with a better priority than that of an update is
/// among the `enabled` ones.
pub fn hold_back(lists: &Lists, enabled: &[String], mut listing: Listing) -> Result<Listing, Failure> {
    let best = enabled.iter().filter_map(|id| (lists.priority)(id)).min();
    let counts_less = |update: &Update| {
        let its = update.source.as_ref().and_then(|id| (lists.priority)(id));
        its.zip(best).is_some_and(|(its, best)| its > best)
    };
    if !listing.updates.iter().any(counts_less) {
        return Ok(listing);
    }
    let mut plan = lists.plan.clone();
    for _ in 0..MOST_ROUNDS {
        let answer = lists.machine.ask(&list_with_older(&plan))?.stdout;
        let by_itself = transaction(&answer);
        let more = only_with_older(&by_itself, &downgraded(&answer), &listing);
        if more.is_empty() {
            let stays =
                |update: &Update| !by_itself.comes(&update.name) && !plan.left_out.contains(&update.name);
            let (theirs, others): (Vec<_>, _) =
                std::mem::take(&mut listing.updates).into_iter().partition(stays);
            listing.updates = others;
            let held = theirs.into_iter().map(|update| update.left_out(Class::Dependency, DECIDES));
            listing.held_back.extend(held);
            break;
        }
        plan.left_out.extend(more);
    }
    Ok(listing)
}

/// What dnf5 would list if it could install older versions.
fn list_with_older(plan: &Plan) -> Invocation {
    let mut question = list(plan);
    question.args.retain(|arg| arg != NO_OLDER);
    question
}

/// What comes only because older versions may: what needs them, or if nothing does, the older versions themselves.
fn only_with_older(by_itself: &Listing, downgraded: &[String], listing: &Listing) -> Vec<String> {
    let more = by_itself.updates.iter().filter(|update| !listing.brings(update)).map(|update| &update.name);
    let (older, needing): (Vec<_>, Vec<_>) = more.cloned().partition(|name| downgraded.contains(name));
    if needing.is_empty() { older } else { needing }
}
