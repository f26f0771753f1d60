//! `yum autoremove`, less what is to stay.

use super::commands::yum;
use super::lists;
use crate::managers::capabilities::{Autoremove, Unneeded};
use crate::managers::machine::Machine;
use crate::managers::rpm::names::nevras;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::system::process::Invocation;

const LOOK: &[&str] = &["--assumeno", "-C", "--setopt=tsflags=test"];

/// Reads what yum marks as installed only because others needed it.
pub(super) struct OfOthers;

impl Autoremove for OfOthers {
    fn list(&self, machine: &dyn Machine, _: &[String]) -> Result<Listing, Failure> {
        let question = yum(&[&["--setopt=clean_requirements_on_remove=1"], LOOK].concat(), &["autoremove"]);
        Ok(lists::transaction(&machine.ask(&question)?.stdout))
    }

    fn goes_with(&self, machine: &dyn Machine, packages: &[Unneeded]) -> Result<Listing, Failure> {
        let question = remove(LOOK, packages);
        Ok(lists::transaction(&machine.ask(&question)?.stdout))
    }

    fn remove(&self, _: &[String], packages: &[Unneeded]) -> Invocation {
        remove(&["-y", "-C"], packages)
    }
}

/// Removes these alone, and not what nothing needs after that.
fn remove(options: &[&str], packages: &[Unneeded]) -> Invocation {
    let mut invocation = yum(&[options, &["--setopt=clean_requirements_on_remove=0"]].concat(), &["remove"]);
    invocation.args.extend(nevras(packages));
    invocation
}
