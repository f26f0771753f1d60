//! Files that the manager itself makes of the index and cannot read any more: a power cut, a full disk or a failing one
//! leaves them. The manager takes them for current, and would fail until the index changes.

use super::Session;
use super::display::Phase;
use crate::system::files::{globbed, remove_or_warn};
use crate::system::process::{Finished, Limits};
use glob::Pattern;
use log::warn;
use std::path::Path;

impl Session {
    /// Removes what a command could not read. If the same command can make it anew, and there is time left, returns the
    /// limits for that.
    pub(super) fn once_more(&self, limits: &Limits, finished: &Finished, phase: &Phase) -> Option<Limits> {
        if let Some(own) = &self.own_index {
            own.drop_unreadable(finished);
        }
        let budget = limits.budget.map(|budget| budget.saturating_sub(finished.elapsed));
        let left = Limits { budget, ..*limits };
        let is_over = left.left().is_some_and(|left| left.is_zero());
        if is_over || !limits.may_end() {
            return None;
        }
        self.places();
        let mut dropped = false;
        phase.suspend(|| dropped = self.drop_unreadable(finished));
        dropped.then_some(left)
    }

    /// Removes them. Returns whether there were any: the same command makes them anew. Each is removed once in a run.
    pub(super) fn drop_unreadable(&self, finished: &Finished) -> bool {
        let patterns = self.manager.unreadable_copies(finished);
        // Where the index is may be the very question that this answers.
        let Some(places) = self.places.get().filter(|_| !patterns.is_empty()) else { return false };
        let path = |pattern: String| globbed(&format!("{}/{pattern}", escaped(&places.cache)));
        let mut dropped = self.dropped.borrow_mut();
        let before = dropped.len();
        for file in patterns.into_iter().flat_map(path).filter(|file| file.is_file()) {
            if dropped.insert(file.clone()) {
                warn!("{} could not be read; it was removed, and is made anew", file.display());
                remove_or_warn(&file);
            }
        }
        dropped.len() > before
    }
}

fn escaped(dir: &Path) -> String {
    Pattern::escape(&dir.to_string_lossy())
}
