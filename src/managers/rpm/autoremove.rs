//! `autoremove` of dnf 4, dnf 5 and yum, less what is to stay.

use super::names::nevra;
use crate::managers::capabilities::{Autoremove, Unneeded};
use crate::managers::machine::Machine;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::system::process::Invocation;

/// What the manager marks as installed only because others needed it.
pub struct OfOthers {
    /// Lists it.
    pub list: fn() -> Invocation,
    /// Lists what would be removed with the packages whose names are added at its end.
    pub look: fn() -> Invocation,
    /// Removes the packages whose names are added at its end alone, and not what nothing needs after that.
    pub remove: fn() -> Invocation,
    /// Reads these lists.
    pub read: fn(&str) -> Listing,
}

impl Autoremove for OfOthers {
    fn list(&self, machine: &dyn Machine, _: &[String]) -> Result<Listing, Failure> {
        Ok((self.read)(&machine.ask(&(self.list)())?.stdout))
    }

    fn goes_with(&self, machine: &dyn Machine, packages: &[Unneeded]) -> Result<Listing, Failure> {
        Ok((self.read)(&machine.ask(&(self.look)().with(names(packages)))?.stdout))
    }

    fn remove(&self, _: &[String], packages: &[Unneeded]) -> Invocation {
        (self.remove)().with(names(packages))
    }
}

fn names(packages: &[Unneeded]) -> impl Iterator<Item = String> {
    packages.iter().map(|one| nevra(&one.name, &one.version, &one.architecture))
}
