//! Packages that came as a dependency, and that nothing needs any more, not even optionally.

use super::commands::{pacman, pacman_conf};
use super::config;
use crate::managers::capabilities::{Autoremove, Unneeded};
use crate::managers::machine::Machine;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::system::process::Invocation;
use std::collections::BTreeSet;

/// Reads which packages pacman has recorded as dependencies.
pub(super) struct OfOthers;

impl Autoremove for OfOthers {
    fn list(&self, machine: &dyn Machine, _: &[String]) -> Result<Listing, Failure> {
        let names = machine.ask(&pacman(&["-Qdtq"]))?.stdout;
        if names.is_empty() {
            return Ok(Listing::default());
        }
        // `-Rs --print` would also list what others need optionally, and nothing at all beside what `HoldPkg` names.
        let held = config::held(&machine.ask(&pacman_conf(&[]))?.stdout);
        let may_go = |name: &str| !held.iter().any(|pattern| pattern.matches(name));
        let all = machine.ask(&pacman(&["-Qi"]))?.stdout;
        let goes = with_what_only_they_need(names.lines().filter(|name| may_go(name)), &all, may_go);
        Ok(Listing { removals: goes.into_iter().map(|name| (name, None)).collect(), ..Listing::default() })
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

/// A package that came as a dependency, and what needs it, if only optionally.
#[derive(Debug, Default)]
struct Dependency<'a> {
    name: &'a str,
    is_of_others: bool,
    needed_by: Vec<&'a str>,
}

/// Adds to these packages those that came as dependencies and that nothing else needs. `all` are the details of all
/// installed packages:
///
/// ```text
/// Name            : tb-deep
/// Required By     : tb-dep
/// Optional For    : None
/// Install Reason  : Installed as a dependency for another package
/// ```
fn with_what_only_they_need<'a>(
    names: impl Iterator<Item = &'a str>,
    all: &'a str,
    may_go: impl Fn(&str) -> bool,
) -> BTreeSet<String> {
    let mut goes: BTreeSet<&str> = names.collect();
    let mut left = dependencies(all);
    left.retain(|package| package.is_of_others && !package.needed_by.is_empty() && may_go(package.name));
    loop {
        let before = goes.len();
        let only_they = |package: &&Dependency| package.needed_by.iter().all(|name| goes.contains(name));
        let more: Vec<_> = left.iter().filter(only_they).map(|package| package.name).collect();
        goes.extend(more);
        if goes.len() == before {
            return goes.into_iter().map(str::to_owned).collect();
        }
    }
}

fn dependencies(all: &str) -> Vec<Dependency<'_>> {
    let mut found: Vec<Dependency> = Vec::new();
    let mut key = "";
    for line in all.lines() {
        // A long list goes on in the next line.
        let value = match line.split_once(" : ").filter(|_| !line.starts_with(' ')) {
            Some((name, value)) => {
                key = name.trim();
                value
            }
            None => line,
        };
        if key == "Name" && !line.is_empty() {
            found.push(Dependency { name: value.trim(), ..Dependency::default() });
            continue;
        }
        let Some(package) = found.last_mut() else { continue };
        match key {
            "Required By" | "Optional For" => {
                package.needed_by.extend(value.split_whitespace().filter(|word| *word != "None"));
            }
            "Install Reason" => package.is_of_others |= value.contains("as a dependency"),
            _ => {}
        }
    }
    found
}

/// Neither a question nor a notice begins so.
const MARK: &str = "goes:";
const FORM: &str = "goes:%n %v";

fn printed(stdout: &str) -> Listing {
    let rows = stdout.lines().filter_map(|line| line.strip_prefix(MARK)?.split_once(' '));
    let removals = rows.map(|(name, version)| (name.to_string(), Some(version.to_string()))).collect();
    Listing { removals, ..Listing::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(name: &str, required: &str, optional: &str, reason: &str) -> String {
        format!(
            "Name            : {name}\nVersion         : 1.0-1\nOptional Deps   : x : y\n                  Name : z\n\
             Required By     : {required}\nOptional For    : {optional}\nInstall Reason  : {reason}\n\n"
        )
    }

    #[test]
    fn what_only_unneeded_packages_need_goes_with_them_and_nothing_else() {
        const OF_OTHERS: &str = "Installed as a dependency for another package";
        let all = [
            block("app", "None", "None", "Explicitly installed"),
            block("dep", "None", "None", OF_OTHERS),
            block("deep", "dep", "None", OF_OTHERS),
            block("deeper", "deep\n                  dep", "None", OF_OTHERS),
            block("shared", "app  dep", "None", OF_OTHERS),
            block("optional", "dep", "app", OF_OTHERS),
            block("of-optional", "optional", "None", OF_OTHERS),
            block("wanted", "dep", "None", "Explicitly installed"),
            block("held", "dep", "None", OF_OTHERS),
            block("of-held", "held", "None", OF_OTHERS),
            // What nothing needs at all is for pacman to tell.
            block("alone", "None", "None", OF_OTHERS),
        ];
        let found = with_what_only_they_need(["dep"].into_iter(), &all.concat(), |name| name != "held");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["deep", "deeper", "dep"]);
        let found = with_what_only_they_need(["dep"].into_iter(), "no details", |_| true);
        assert_eq!(found.len(), 1);
    }
}
