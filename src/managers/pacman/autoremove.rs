//! Packages that came as a dependency, and that nothing needs any more, not even optionally.

use super::commands::pacman;
use crate::managers::capabilities::{Autoremove, Unneeded};
use crate::managers::machine::Machine;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::system::process::Invocation;

/// Reads which packages pacman has recorded as dependencies.
pub(super) struct OfOthers;

impl Autoremove for OfOthers {
    fn list(&self, machine: &dyn Machine, _: &[String]) -> Result<Listing, Failure> {
        let names = machine.ask(&pacman(&["-Qdtq"]))?.stdout;
        if names.is_empty() {
            return Ok(Listing::default());
        }
        // These packages, and those that only they need.
        let question = pacman(&["-Rs", "--print", "--print-format", FORM]).with(names.lines());
        Ok(printed(&machine.ask(&question)?.stdout))
    }

    fn goes_with(&self, machine: &dyn Machine, packages: &[Unneeded]) -> Result<Listing, Failure> {
        let question = pacman(&["-Rc", "--print", "--print-format", FORM]);
        Ok(printed(&machine.ask(&question.with(packages.iter().map(|one| &one.name)))?.stdout))
    }

    fn remove(&self, _: &[String], packages: &[Unneeded]) -> Invocation {
        // pacman does not remove what another package needs.
        pacman(&["-R", "--noconfirm"]).with(packages.iter().map(|one| &one.name))
    }
}

/// Neither a question nor a notice begins so.
const MARK: &str = "goes:";
const FORM: &str = "goes:%n %v";

fn printed(stdout: &str) -> Listing {
    let rows = stdout.lines().filter_map(|line| line.strip_prefix(MARK)?.split_once(' '));
    let removals = rows.map(|(name, version)| (name.to_string(), Some(version.to_string()))).collect();
    Listing { removals, ..Listing::default() }
}
