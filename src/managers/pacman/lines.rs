//! What pacman prints on standard error, without the word in front.

use crate::system::process::Finished;

/// Its error lines.
pub fn errors(finished: &Finished) -> impl Iterator<Item = &str> {
    finished.stderr.lines().filter_map(|line| line.strip_prefix("error: "))
}

/// Its warnings.
pub fn warnings(finished: &Finished) -> impl Iterator<Item = &str> {
    finished.stderr.lines().filter_map(|line| line.strip_prefix("warning: "))
}
