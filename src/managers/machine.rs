//! What a manager may ask of the machine to answer a question of ours.

use super::facts::{Elsewhere, Places};
use crate::model::failure::Failure;
use crate::model::packages::Installed;
use crate::system::process::{Finished, Invocation};
use std::rc::Rc;
use std::time::Duration;

/// The driver runs the commands for real; tests give recorded answers.
pub trait Machine {
    /// Where the manager's configuration puts things.
    fn places(&self) -> &Places;

    /// The manager's configuration, if the manager was asked for it or its files were read.
    fn configuration(&self) -> Option<&str>;

    /// What the administrator's settings put in other places.
    fn elsewhere(&self) -> &Elsewhere;

    /// A question to the manager that changes nothing.
    ///
    /// # Errors
    /// When it cannot be asked, or the manager says that it failed.
    fn ask(&self, question: &Invocation) -> Result<Finished, Failure>;

    /// The same question; the answer is given also where the manager failed.
    fn try_ask(&self, question: &Invocation) -> Result<Finished, Failure>;

    /// The same question, for which it waits no longer than this.
    fn answer_within(&self, question: &Invocation, _: Duration) -> Option<Finished> {
        self.try_ask(question).ok()
    }

    /// The same question where the answer is only a help: it waits for no lock, and gives nothing where it fails.
    fn ask_in_passing(&self, question: &Invocation) -> Option<Finished> {
        self.try_ask(question).ok()
    }

    /// The same, where what must be known is asked after it: it takes at most half of the time that is left.
    fn ask_if_time(&self, question: &Invocation) -> Option<Finished> {
        self.ask_in_passing(question)
    }

    /// Whether the stored index of every source shows that it has no advisories.
    fn has_no_advisories(&self) -> bool {
        false
    }

    /// The packages that are installed.
    fn installed(&self) -> Result<Rc<Installed>, Failure>;
}
