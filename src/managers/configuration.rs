//! What a manager's own configuration says.

use super::capabilities::{ConfigFile, Locate};
use super::facts::{Elsewhere, Places};
use crate::model::failure::Failure;
use crate::system::process::Invocation;
use std::time::Duration;

/// Reads the text of the configuration: the answer to [`Locate`], or the files of a manager
/// that cannot be asked for it.
pub trait Configuration {
    /// How the manager is asked for it.
    fn locate(&self) -> Option<&'static dyn Locate> {
        None
    }

    /// The files that a file of the configuration includes, where these can be anywhere. The first of
    /// [`Facts::source_config`](super::facts::Facts::source_config) is the one that the manager reads.
    fn includes(&self, _file: &str) -> Vec<String> {
        Vec::new()
    }

    /// The usual places, with those in their stead that the configuration names.
    fn parse_places(&self, usual: Places, _text: &str) -> Places {
        usual
    }

    /// What else it puts in other places.
    fn elsewhere(&self, _text: &str) -> Elsewhere {
        Elsewhere::default()
    }

    /// Lock files of the kind of [`Facts::pid_files`](super::facts::Facts::pid_files) that it puts elsewhere, beside those
    /// that lie with the index.
    fn moved_pid_files(&self, _text: &str) -> Vec<String> {
        Vec::new()
    }

    /// The files that change with the release of the system, if the address of this source is made of that; given the files
    /// that configure the sources.
    fn release_of(&self, _configured: &[ConfigFile], _id: &str) -> &'static [&'static str] {
        &[]
    }

    /// The sources that it names. They are asked for where the manager could not even begin.
    fn sources_in(&self, _text: &str) -> Vec<String> {
        Vec::new()
    }

    /// How much a source counts, the less the more; `None` where the text does not say it.
    fn priority(&self, _text: &str, _id: &str) -> Option<i64> {
        None
    }

    /// A refresh with the limits that the administrator has set in the place of ours.
    fn with_limits(&self, refresh: Invocation, _text: &str) -> Invocation {
        refresh
    }

    /// How long the manager may be silent during this command with the administrator's limits.
    fn longest_silence(&self, _invocation: &Invocation, _text: &str) -> Duration {
        Duration::ZERO
    }

    /// Whether the administrator lets packages be removed.
    fn may_remove(&self, _text: &str) -> bool {
        true
    }

    /// Whether the administrator excludes packages that the manager's lists then leave out.
    fn excludes(&self, _text: &str) -> bool {
        false
    }

    /// What makes the manager speak of another system than this one, or keeps it from installing anything though it
    /// says that it did.
    fn objection(&self, _text: &str, _installs: bool) -> Option<Failure> {
        None
    }

    /// The file and line that a message is about which does not name them.
    fn place_of(&self, _message: &str, _text: &str) -> Option<String> {
        None
    }
}
