//! How the verbs that drive the manager begin.

use crate::cli::Global;
use crate::driver::Setup;
use crate::managers::{self, Manager};
use crate::store::lock::{self, Lock};
use crate::store::state::State;
use crate::system::signals;
use log::{info, warn};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Checks everything that a run needs before it may drive the manager.
///
/// # Errors
/// One line saying what is missing: the run then ends with exit code 3.
pub fn permitted(global: &Global) -> Result<&'static dyn Manager, String> {
    if has_usual_state(global) && !rustix::process::geteuid().is_root() {
        return Err(
            "root is needed to drive the package manager; use sudo, or --state-dir for a private root".into(),
        );
    }
    match &global.manager {
        Some(name) => managers::installed(name),
        None => managers::detect(),
    }
}

/// What the driver needs to know from the command line.
pub fn setup(global: &Global) -> Setup {
    // If a run has a state directory of its own, it keeps its logs there too.
    let log_dir = match has_usual_state(global) {
        true => PathBuf::from(crate::DEFAULT_LOG_DIR),
        false => global.state_dir.join("log"),
    };
    Setup {
        state_dir: global.state_dir.clone(),
        log_dir,
        is_silent: global.is_silent(),
        is_verbose: global.verbose,
    }
}

fn has_usual_state(global: &Global) -> bool {
    global.state_dir == Path::new(crate::DEFAULT_STATE_DIR)
}

/// How a wait for our lock ended.
pub enum Wait<T> {
    /// The lock is ours.
    Ours(Lock),
    /// Something was found that makes it needless.
    Needless(T),
    /// Another process held it for too long.
    TooLate,
    /// A signal of this name came.
    Signal(&'static str),
}

/// Waits for our lock until the deadline, or until `look` finds what makes it needless. Once it says who is waited for,
/// with what `more` adds.
///
/// # Errors
/// When it can never be taken.
pub fn wait_for_lock<T>(
    dir: &Path,
    command: &str,
    deadline: Instant,
    mut look: impl FnMut() -> Option<T>,
    more: impl Fn() -> String,
) -> Result<Wait<T>, String> {
    let started = Instant::now();
    let mut told = false;
    loop {
        if let Some(lock) = Lock::try_acquire(dir, command).map_err(|error| format!("{error:#}"))? {
            return Ok(Wait::Ours(lock));
        }
        if let Some(found) = look() {
            return Ok(Wait::Needless(found));
        }
        let to_tell = || lock::holder_to_tell(dir, started.elapsed());
        if let Some(holder) = (!told).then(to_tell).flatten() {
            info!("waiting for {holder}{}", more());
            told = true;
        }
        if Instant::now() >= deadline {
            return Ok(Wait::TooLate);
        }
        let pause = Instant::now() + Duration::from_millis(20);
        if let Err(signal) = signals::sleep_until(pause.min(deadline)) {
            return Ok(Wait::Signal(signal));
        }
    }
}

/// The state that a run continues. Warns where the old one was of no use.
///
/// # Errors
/// When nothing may be written there.
pub fn state_to_continue(lock: &Lock) -> Result<State, String> {
    let (mut state, note) = State::load_for_update(lock).map_err(|error| format!("{error:#}"))?;
    if let Some(note) = note {
        warn!("{note}");
    }
    // An apply of another namespace of processes, as of a container that was started again, cannot be seen. But while
    // our lock is ours it does not run.
    state.apply.in_progress.iter_mut().for_each(|apply| apply.pid_namespace = None);
    Ok(state)
}
