//! How the verbs that drive the manager begin.

use crate::cli::Global;
use crate::driver::Setup;
use crate::managers::{self, Manager};
use std::path::PathBuf;

/// Checks everything that a run needs before it may drive the manager.
///
/// # Errors
/// One line saying what is missing: the run then ends with exit code 3.
pub fn permitted(global: &Global) -> Result<&'static dyn Manager, String> {
    let is_default = global.state_dir == std::path::Path::new(crate::DEFAULT_STATE_DIR);
    if is_default && !rustix::process::geteuid().is_root() {
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
    Setup {
        state_dir: global.state_dir.clone(),
        log_dir: log_dir(global),
        is_silent: global.is_silent(),
        is_verbose: global.verbose,
    }
}

/// If a run has a state directory of its own, it keeps its logs there too.
fn log_dir(global: &Global) -> PathBuf {
    match global.state_dir.as_path() {
        dir if dir == std::path::Path::new(crate::DEFAULT_STATE_DIR) => PathBuf::from(crate::DEFAULT_LOG_DIR),
        dir => dir.join("log"),
    }
}
