//! The index of our own that is refreshed instead of the manager's.

use super::machine::Machine;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::updates::HeldBack;
use crate::system::process::Finished;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

/// Such an index: a directory below the state directory that the manager takes for the directory of its package
/// database.
pub trait OwnIndex: Debug {
    /// The directory of the index. It takes the place of `{}` in
    /// [`private_arg`](crate::system::process::Invocation::private_arg).
    fn dir(&self) -> &Path;

    /// The directory in it with the files of the index.
    fn files(&self) -> PathBuf;

    /// The lock file of a manager that works with it; it exists as long as the lock is held.
    fn lock(&self) -> PathBuf;

    /// The files in it that decide what is pending.
    fn basis(&self) -> Vec<String>;

    /// Whether a file of the index has the time that the server gave.
    fn has_times_of_server(&self, machine: &dyn Machine) -> bool;

    /// Makes the directory ready for a refresh, and removes what a killed manager left in it.
    ///
    /// # Errors
    /// When something else is in the way.
    fn prepare(&self, machine: &dyn Machine, config_changed: bool) -> Result<(), Failure>;

    /// The sources that it should have; none where the configuration does not say.
    fn sources(&self, machine: &dyn Machine) -> Vec<String>;

    /// Looks at what is being fetched, just before a refresh is ended.
    fn note_before_end(&self);

    /// What became of the sources in a refresh that was ended before its time for this reason. The sources whose files
    /// were stored are refreshed, and those that are found to be so when they are asked for once more. It names the one
    /// that was being fetched.
    fn done_before(&self, machine: &dyn Machine, cut: &Failure) -> Option<Vec<SourceResult>>;

    /// Adds the sources that the refresh did not name.
    fn complete(&self, machine: &dyn Machine, finished: &Finished, refreshed: &mut Refreshed);

    /// Checks that what was fetched is an index. If nothing has changed since it was last read, it is not read again.
    /// Reading it gives the list of what is pending.
    fn check(&self, machine: &dyn Machine, was_read: bool, refreshed: &mut Refreshed) -> Option<Listing>;

    /// Whether one of these sources has no index at all: then the manager lists no upgrade.
    fn lacks(&self, sources: &[String]) -> bool;

    /// Removes the files that a command could not read.
    fn drop_unreadable(&self, finished: &Finished);

    /// The updates signed with keys that a download lacked. The manager names only the keys.
    fn signed_with_missing_keys(
        &self,
        machine: &dyn Machine,
        downloaded: &Finished,
        planned: &Listing,
    ) -> Vec<HeldBack>;

    /// Makes the install use exactly the index and the packages that the download used.
    ///
    /// # Errors
    /// When the manager cannot say what its configuration is, or something cannot be written.
    fn offer(&self, machine: &dyn Machine, planned: &Listing) -> Result<(), Failure>;
}
