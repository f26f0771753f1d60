//! The index of our own that is refreshed in the place of the manager's.

use super::machine::Machine;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::updates::HeldBack;
use crate::system::process::Finished;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

/// Such an index, for a manager whose own must not become newer than the packages: a directory below the state
/// directory, which the manager takes for that of its package database.
pub trait OwnIndex: Debug {
    /// That directory. It takes the place of `{}` in [`private_arg`](crate::system::process::Invocation::private_arg).
    fn dir(&self) -> &Path;

    /// Where in it the files of the index are.
    fn files(&self) -> PathBuf;

    /// The lock file of a manager that works with it; it exists as long as it is held.
    fn lock(&self) -> PathBuf;

    /// The files in it that decide what is pending.
    fn basis(&self) -> Vec<String>;

    /// Whether the time of a file of the index is that which the server gave.
    fn has_times_of_server(&self, machine: &dyn Machine) -> bool;

    /// Makes the directory ready for a refresh, and takes away what a manager that was killed left in it.
    ///
    /// # Errors
    /// When something else is in the way.
    fn prepare(&self, machine: &dyn Machine, config_changed: bool) -> Result<(), Failure>;

    /// The sources that it is to have; none where the configuration does not say.
    fn sources(&self, machine: &dyn Machine) -> Vec<String>;

    /// What became of the sources in a refresh that was ended before its time for this reason: what it has stored
    /// counts. Of the others it has said nothing; one that it was at work with is named.
    fn stored_before(&self, machine: &dyn Machine, cut: &Failure) -> Option<Vec<SourceResult>>;

    /// Adds the sources that the refresh did not name.
    fn complete(&self, machine: &dyn Machine, finished: &Finished, refreshed: &mut Refreshed);

    /// Looks whether what was fetched is an index at all. Where nothing has changed since it was read it is not
    /// read again. Reading it gives the list of what is pending.
    fn check(&self, machine: &dyn Machine, was_read: bool, refreshed: &mut Refreshed) -> Option<Listing>;

    /// Whether there is no index of one of these sources: then the manager lists no upgrade at all.
    fn lacks(&self, sources: &[String]) -> bool;

    /// Removes the files that a command could not read.
    fn drop_unreadable(&self, finished: &Finished);

    /// The updates whose signatures, as downloaded, are by keys that a download missed: it names the keys alone.
    fn signed_with_missing_keys(
        &self,
        machine: &dyn Machine,
        downloaded: &Finished,
        planned: &Listing,
    ) -> Vec<HeldBack>;

    /// Makes the install get the very index that the download used, and the packages.
    ///
    /// # Errors
    /// When the manager cannot say what its configuration is, or something cannot be written.
    fn offer(&self, machine: &dyn Machine, planned: &Listing) -> Result<(), Failure>;
}
