//! Saving the state at the end of a step.

use crate::model::failure::Failure;
use crate::model::refreshed::RefreshOutcome;
use crate::store::health::apply_failure;
use crate::store::lock::Lock;
use crate::store::state::{InProgress, State};
use crate::store::state_file::{Loaded, load};
use log::error;

/// Saves the state. A failure is reported, but the result of the run itself stays. The state on the disk is put aside
/// if it says less of what is wrong than this one. If the lock was lost, nothing there is ours any more, and
/// the run has failed.
///
/// # Errors
/// When the lock was lost.
pub fn save_or_tell(state: &State, lock: &Lock) -> Result<(), Failure> {
    let Err(error) = state.save(lock) else { return Ok(()) };
    error!("{error:#}; the result of this run is not remembered");
    lock.watch().check()?;
    if matches!(load(lock.dir()), Loaded::Good(old) if hides(&old, state)) {
        State::put_aside(lock);
    }
    Ok(())
}

/// Whether an older state knows nothing of what is wrong by this one.
fn hides(old: &State, state: &State) -> bool {
    let gravity = |of: &State| match of.last_outcome() {
        None | Some(RefreshOutcome::Fresh) => 0,
        Some(RefreshOutcome::Partial) => 1,
        Some(RefreshOutcome::Failed) => 2,
    };
    let is_installing = |run: &InProgress| run.phase == "install";
    // An install that is cut off now, too, must not pass for one that never began.
    let has_trouble =
        |of: &State| apply_failure(of).is_some() || of.apply.in_progress.as_ref().is_some_and(is_installing);
    gravity(state) > gravity(old) || (has_trouble(state) && !has_trouble(old))
}
