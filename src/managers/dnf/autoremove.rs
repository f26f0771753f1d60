//! `dnf autoremove`, less what is to stay.

use super::commands::{LOOK, dnf};
use super::lists;
use crate::managers::capabilities::{Autoremove, Unneeded};
use crate::managers::machine::Machine;
use crate::managers::rpm::names::nevras;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::system::process::Invocation;

/// If dnf.conf turns it off, dnf finds nothing that could be removed.
const CLEAN: &str = "--setopt=clean_requirements_on_remove=1";

/// Reads what dnf marks as installed only because others needed it.
pub(super) struct OfOthers;

impl Autoremove for OfOthers {
    fn list(&self, machine: &dyn Machine, _: &[String]) -> Result<Listing, Failure> {
        let question = dnf(&[&["-C", CLEAN], LOOK].concat(), &["autoremove"]);
        Ok(lists::transaction(&machine.ask(&question)?.stdout))
    }

    fn goes_with(&self, machine: &dyn Machine, packages: &[Unneeded]) -> Result<Listing, Failure> {
        let question = remove(&[&["-C"], LOOK].concat(), packages);
        Ok(lists::transaction(&machine.ask(&question)?.stdout))
    }

    fn remove(&self, _: &[String], packages: &[Unneeded]) -> Invocation {
        remove(&["-y", "--setopt=assumeno=0", "-C"], packages)
    }
}

/// Removes these alone, and not what nothing needs after that.
fn remove(options: &[&str], packages: &[Unneeded]) -> Invocation {
    let mut invocation = dnf(&[options, &["--setopt=clean_requirements_on_remove=0"]].concat(), &["remove"]);
    invocation.args.extend(nevras(packages));
    invocation
}
