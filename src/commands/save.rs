//! Saving the state at the end of a step.

use crate::model::failure::Failure;
use crate::model::refreshed::RefreshOutcome;
use crate::store::lock::Lock;
use crate::store::state::State;
use log::error;

/// Saves the state. A failure is reported, but the result of the run itself stays. The state on the disk must then not
/// go on saying "fresh" if that is no longer true: it is put aside. If the lock was lost, nothing there is ours any
/// more, and the run has failed.
///
/// # Errors
/// When the lock was lost.
pub fn save_or_tell(state: &State, lock: &Lock) -> Result<(), Failure> {
    let Err(error) = state.save(lock) else { return Ok(()) };
    error!("{error:#}; the result of this run is not remembered");
    lock.watch().check()?;
    if state.last_outcome() != Some(RefreshOutcome::Fresh) {
        State::put_aside(lock);
    }
    Ok(())
}
