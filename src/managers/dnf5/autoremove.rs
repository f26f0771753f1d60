//! `dnf5 autoremove`, less what is to stay.

use super::commands::{DO, LOOK, SKIP, dnf5};
use super::lists;
use crate::managers::capabilities::{Autoremove, Unneeded};
use crate::managers::machine::Machine;
use crate::managers::rpm::names::nevras;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::system::process::Invocation;

/// Reads what dnf5 marks as installed only because others needed it.
pub(super) struct OfOthers;

impl Autoremove for OfOthers {
    fn list(&self, machine: &dyn Machine, _: &[String]) -> Result<Listing, Failure> {
        let question = dnf5(&[&["-C", SKIP], LOOK].concat(), &["autoremove"]);
        Ok(lists::transaction(&machine.ask(&question)?.stdout))
    }

    fn goes_with(&self, machine: &dyn Machine, packages: &[Unneeded]) -> Result<Listing, Failure> {
        let question = remove(&[&["-C", SKIP], LOOK].concat(), packages);
        Ok(lists::transaction(&machine.ask(&question)?.stdout))
    }

    fn remove(&self, _: &[String], packages: &[Unneeded]) -> Invocation {
        remove(&[DO, &["-C", SKIP]].concat(), packages)
    }
}

/// Removes these alone, and not what nothing needs after that.
fn remove(options: &[&str], packages: &[Unneeded]) -> Invocation {
    let mut invocation = dnf5(options, &["remove", "--no-autoremove"]);
    invocation.args.extend(nevras(packages));
    invocation
}
