//! What a manager may ask of the machine while it answers a question of ours.

use super::facts::{Elsewhere, Places};
use crate::model::failure::Failure;
use crate::model::packages::Installed;
use crate::system::process::{Finished, Invocation};

/// The driver runs the commands for real; tests give recorded answers.
pub trait Machine {
    /// Where the manager's configuration puts things.
    fn places(&self) -> &Places;

    /// The manager's configuration, as far as it is asked for or read; none where it does not say.
    fn configuration(&self) -> Option<&str>;

    /// What the administrator's settings put in other places than the usual.
    fn elsewhere(&self) -> &Elsewhere;

    /// A question to the manager that changes nothing.
    ///
    /// # Errors
    /// When it cannot be asked, or the manager says that it failed.
    fn ask(&self, question: &Invocation) -> Result<Finished, Failure>;

    /// The same question, whatever the answer is worth.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn try_ask(&self, question: &Invocation) -> Result<Finished, Failure>;

    /// The same question where its answer is no more than welcome: it waits for no lock, and a failure is no answer.
    fn ask_in_passing(&self, question: &Invocation) -> Option<Finished> {
        self.try_ask(question).ok()
    }

    /// The packages that are installed.
    ///
    /// # Errors
    /// When the manager cannot list them.
    fn installed(&self) -> Result<Installed, Failure>;
}
