//! `zypper packages --unneeded`, and what only these need.

use super::commands::{OFFLINE, PLAIN, plain_zypper, zypper};
use super::lists;
use super::settings::history;
use crate::managers::capabilities::{Autoremove, Unneeded};
use crate::managers::machine::Machine;
use crate::managers::rpm::names::plain_name;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::system::process::Invocation;
use log::warn;
use std::collections::BTreeSet;
use std::path::Path;

/// Reads which packages zypper has recorded as installed only because others needed them, in
/// `/var/lib/zypp/AutoInstalled`.
pub(super) struct OfOthers;

const NOTES: &str = "/var/lib/zypp/AutoInstalled";

impl Autoremove for OfOthers {
    /// If the file does not exist, zypper makes it after its next change, with everything that nobody asked for by its
    /// history: all packages of an image, for instance.
    fn note_before_install(&self) {
        if Path::new(NOTES).symlink_metadata().is_err() {
            let made = std::fs::create_dir_all("/var/lib/zypp").and_then(|()| std::fs::write(NOTES, "#\n"));
            if let Err(error) = made {
                warn!(
                    "could not write {NOTES}: {error}; without it zypper does not know which packages somebody asked for"
                );
            }
        }
    }

    fn list(&self, machine: &dyn Machine, _: &[String]) -> Result<Listing, Failure> {
        let question = plain_zypper(&[PLAIN, INSTALLED].concat(), &["packages", "--unneeded"]);
        let mut names = unneeded(&machine.ask(&question)?.stdout);
        if !names.is_empty() {
            let notes = std::fs::read_to_string(NOTES).unwrap_or_default();
            let log = history(machine);
            let history = std::fs::read(log).unwrap_or_default();
            let installed = machine.installed()?;
            let installed: Vec<_> = installed.keys().map(|name| plain_name(name)).collect();
            if is_supposed(&notes, &String::from_utf8_lossy(&history), &installed) {
                warn!(
                    "nothing is removed: zypper does not know what somebody asked for, because it made its list of \
                     what came automatically ({NOTES}) from its history ({}), in which nothing of an image or of \
                     rpm stands; take the names of all packages that should stay out of that list",
                    log.display()
                );
                return Ok(Listing::default());
            }
            // A locked package cannot be removed, and would stop the removal of the others.
            let locked = lists::locks(&machine.ask(&zypper(OFFLINE, &["locks"]))?.stdout);
            names.retain(|one| !locked.iter().any(|lock| plain(one).is_some_and(|name| lock.matches(name))));
        }
        if names.is_empty() {
            return Ok(Listing::default());
        }
        // zypper names only what nothing at all needs.
        let question = remove(&["--clean-deps", "--dry-run"], names);
        Ok(lists::plan(&machine.ask(&question)?.stdout))
    }

    fn goes_with(&self, machine: &dyn Machine, packages: &[Unneeded]) -> Result<Listing, Failure> {
        let question = remove(&["--no-clean-deps", "--dry-run"], arguments(packages));
        Ok(lists::plan(&machine.ask(&question)?.stdout))
    }

    fn remove(&self, _: &[String], packages: &[Unneeded]) -> Invocation {
        remove(&["--no-clean-deps"], arguments(packages))
    }
}

/// Only what is installed decides here. zypper would fetch the index of a repository that was never read.
const INSTALLED: &[&str] = &["--disable-repositories"];

fn remove(options: &[&str], names: Vec<String>) -> Invocation {
    // If zypper may only download, it removes nothing either.
    let settings = "[main]\ncommit.downloadMode = DownloadInAdvance\n";
    let invocation = zypper(INSTALLED, &[&["remove"], options, &["--"]].concat()).with(names);
    Invocation { settings, ..invocation }
}

/// `NAME.ARCHITECTURE=VERSION` means exactly this package.
fn arguments(packages: &[Unneeded]) -> Vec<String> {
    let argument = |one: &Unneeded| format!("{}.{}={}", plain_name(&one.name), one.architecture, one.version);
    packages.iter().map(argument).collect()
}

/// The name in such an argument.
fn plain(argument: &str) -> Option<&str> {
    Some(argument.split_once('=')?.0.rsplit_once('.')?.0)
}

/// Whether zypper has supposed what is noted: it takes everything for installed automatically that its history does not
/// say that somebody asked for. So if it has noted most of what its history does not know, nobody knows who asked for it.
fn is_supposed(notes: &str, history: &str, installed: &[&str]) -> bool {
    let noted: BTreeSet<&str> = notes.lines().map(str::trim).collect();
    let came: BTreeSet<&str> = history.lines().filter_map(installed_by_zypper).collect();
    let installed = installed.iter().filter(|name| **name != "gpg-pubkey");
    let of_others: Vec<_> = installed.clone().filter(|name| !came.contains(*name)).collect();
    let supposed = of_others.iter().filter(|name| noted.contains(**name)).count();
    2 * supposed > of_others.len() || installed.clone().all(|name| noted.contains(name))
}

/// `2026-11-29 01:10:37|install|tb-dep|1.0-1|noarch||test|...`, also for an update.
fn installed_by_zypper(line: &str) -> Option<&str> {
    let mut cells = line.split('|').map(str::trim);
    let (time, what) = (cells.next()?, cells.next()?);
    cells.next().filter(|_| what == "install" && !time.starts_with('#'))
}

/// Reads that list without the packages that a person has asked for (`i+`).
///
/// ```text
/// S | Repository | Name   | Version | Arch
/// --+------------+--------+---------+-------
/// i | @System    | tb-dep | 1.0-1   | noarch
/// ```
fn unneeded(stdout: &str) -> Vec<String> {
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        match cells[..] {
            ["i", _, name, version, architecture] => Some(format!("{name}.{architecture}={version}")),
            _ => None,
        }
    };
    let mut found: Vec<_> = stdout.lines().filter_map(row).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_most_of_what_zypper_did_not_install_is_noted_nothing_is_known() {
        let notes = "# AutoInstalled generated Sun Nov 29 00:04:57 2026\n#\nproduct:x\ntb-a\ntb-b\n";
        assert!(is_supposed(notes, "", &["gpg-pubkey", "tb-a", "tb-b"]));
        assert!(is_supposed(notes, "", &["tb-a", "tb-b", "tb-c"]));
        assert!(!is_supposed(notes, "", &["tb-a", "tb-c"]), "a person noted it");
        let row = |name: &str| format!("2026-11-29 01:10:37|install|{name}|1.0-1|noarch||test|0123|\n");
        assert!(is_supposed(notes, &row("tb-c"), &["tb-a", "tb-b", "tb-c"]));
        assert!(is_supposed(notes, &format!("# {}", row("tb-a")), &["tb-a", "tb-b", "tb-c"]));
        assert!(!is_supposed(notes, &(row("tb-a") + &row("tb-b")), &["tb-a", "tb-b", "tb-c"]));
        let command =
            "2026-11-29 01:10:37|command|root@vm|'zypper' 'install'|\n2026-11-29 01:10:37|remove |tb-a|1|\n";
        assert!(is_supposed(notes, command, &["tb-a", "tb-b", "tb-c"]));
    }

    #[test]
    fn what_a_person_has_asked_for_is_not_unneeded() {
        let text = "S  | Repository | Name   | Version | Arch\n---+------------+--------+---------+-------\ni  | @System    | tb-dep | 1.0-1   | noarch\n\
                    i+ | @System    | tb-own | 1.0-1   | noarch\ni  | test       | tb-dep | 1.0-1   | noarch\n";
        assert_eq!(unneeded(text), ["tb-dep.noarch=1.0-1"]);
        assert_eq!(plain("tb.dep.noarch=1.0-1"), Some("tb.dep"));
    }
}
