//! What came as a dependency, and is neither needed nor wanted optionally any more.

use super::commands::pacman;
use crate::managers::capabilities::{Autoremove, Unneeded};
use crate::managers::machine::Machine;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::system::process::Invocation;

/// What pacman has written down as installed as a dependency.
pub(super) struct OfOthers;

impl Autoremove for OfOthers {
    fn list(&self, machine: &dyn Machine, _: &[String]) -> Result<Listing, Failure> {
        let names = machine.ask(&pacman(&["-Qdtq"]))?.stdout;
        let names: Vec<_> = names.lines().map(str::to_owned).collect();
        if names.is_empty() {
            return Ok(Listing::default());
        }
        // These, and what they alone need.
        Ok(printed(&machine.ask(&with(&["-Rs", "--print", "--print-format", FORM], names))?.stdout))
    }

    fn goes_with(&self, machine: &dyn Machine, packages: &[Unneeded]) -> Result<Listing, Failure> {
        let names = packages.iter().map(|one| one.name.clone()).collect();
        Ok(printed(&machine.ask(&with(&["-Rc", "--print", "--print-format", FORM], names))?.stdout))
    }

    fn remove(&self, _: &[String], packages: &[Unneeded]) -> Invocation {
        // What is needed by something else it does not remove.
        with(&["-R", "--noconfirm"], packages.iter().map(|one| one.name.clone()).collect())
    }
}

/// No question and no notice begins so.
const MARK: &str = "goes:";
const FORM: &str = "goes:%n %v";

fn printed(stdout: &str) -> Listing {
    let rows = stdout.lines().filter_map(|line| line.strip_prefix(MARK)?.split_once(' '));
    let removals = rows.map(|(name, version)| (name.to_string(), Some(version.to_string()))).collect();
    Listing { removals, ..Listing::default() }
}

fn with(words: &[&str], names: Vec<String>) -> Invocation {
    let mut invocation = pacman(words);
    invocation.args.extend(names);
    invocation
}
