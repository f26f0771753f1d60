//! pacman: Arch Linux and its relatives. Behaviour measured with pacman 6.0.2 and 7.1.

mod autoremove;
mod cached;
mod classes;
mod commands;
mod config;
mod culprits;
mod database;
mod ended_early;
mod errors;
mod fetch;
mod index_files;
mod lines;
mod lists;
mod own_index;
mod refresh;
mod scripts;
mod versions;

use crate::managers::capabilities::{Autoremove, ConfigFile, Locate, PackedIndex};
use crate::managers::configuration::Configuration;
use crate::managers::database::Database;
use crate::managers::facts::{Facts, MICROCODE_IN_BOOT, Places, Plan};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::own_index::OwnIndex;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::Damage;
use crate::model::refreshed::Refreshed;
use crate::model::updates::HeldBack;
use crate::system::files::with_extension_in;
use crate::system::process::{Finished, Invocation};
use commands::{pacman_conf, private};
use glob::Pattern;
use std::path::Path;
use std::time::Duration;

/// What never changes of it.
static FACTS: Facts = Facts {
    microcode: MICROCODE_IN_BOOT,
    name: "pacman",
    programs: &["pacman"],
    systems: &["arch", "archarm", "manjaro"],
    // Each package has a directory in it, so every install changes the time of this one.
    package_databases: &["/var/lib/pacman/local/"],
    source_config: &["/etc/pacman.conf"],
    cache: "/var/lib/pacman/sync",
    lock_by_existence: Some("db.lck"),
    only_whole: Some("pacman upgrades all or nothing, and a partial upgrade breaks the system"),
    includes_files: true,
    lists_all: true,
    lists_newer: true,
    lists_no_replaced: true,
    ..Facts::NONE
};

/// The manager of this folder.
#[derive(Debug)]
pub struct Pacman;

impl Manager for Pacman {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn database(&self) -> &'static dyn Database {
        &database::Packages
    }

    fn repair(&self, _: &Places, _: &Damage) -> Vec<Invocation> {
        // The next upgrade finishes what was cut off. pacman cannot mend an empty entry.
        Vec::new()
    }

    fn refresh(&self, _: Duration) -> Invocation {
        commands::refresh()
    }

    fn judge(&self, finished: &Finished) -> Refreshed {
        refresh::judge(finished)
    }

    fn list(&self, plan: &Plan) -> Invocation {
        commands::list(plan)
    }

    fn parse_list(&self, text: &str) -> Listing {
        lists::plan(text)
    }

    fn list_needs(&self, plan: &Plan, _: &[String]) -> Invocation {
        commands::list(plan)
    }

    fn download(&self, plan: &Plan) -> Option<Invocation> {
        Some(commands::download(plan))
    }

    fn install(&self, plan: &Plan, _: &Finished) -> Invocation {
        commands::install(plan)
    }

    fn autoremove(&self) -> Option<&'static dyn Autoremove> {
        Some(&autoremove::OfOthers)
    }

    fn install_began(&self, finished: &Finished) -> bool {
        errors::install_began(finished)
    }

    fn classify(&self, finished: &Finished) -> Option<Failure> {
        errors::classify(finished)
    }

    fn own_index(&self, state_dir: &Path) -> Option<Box<dyn OwnIndex>> {
        Some(Box::new(own_index::Own::below(state_dir, &Pacman)))
    }

    fn newer(&self, machine: &dyn Machine) -> Result<Vec<HeldBack>, Failure> {
        let mut newer = lists::newer(&machine.ask(&private(&["-Qu"]))?.stdout);
        if machine.configuration().is_none_or(config::may_ignore) {
            // Unlike the lists, this needs the lock of the index, which a pacman that was ended may have left.
            let words = machine.ask_in_passing(&commands::upgrade_in_words());
            newer.extend(words.iter().flat_map(|words| lists::ignored_replacements(&words.stderr)));
        }
        Ok(newer)
    }

    fn is_older(&self, _: &dyn Machine, version: &str, than: &str) -> Option<bool> {
        // Where a repository that nothing is upgraded from stands before the others, `-Qu` looks only at that.
        Some(versions::compare(version, than).is_lt())
    }

    fn plan_of_download(&self, finished: &Finished) -> Option<Listing> {
        lists::table(&finished.stdout)
    }

    fn notes(&self, finished: &Finished) -> Vec<String> {
        errors::notes(finished)
    }

    fn sources_of_files(&self, files: Vec<ConfigFile>) -> Option<Vec<String>> {
        let text = |file: &ConfigFile| config::written(&String::from_utf8_lossy(&file.bytes));
        Some(files.iter().flat_map(text).collect())
    }

    fn culprits(&self, finished: &Finished) -> Vec<HeldBack> {
        culprits::read(finished)
    }

    fn may_unpack_on_read_only(&self, machine: &dyn Machine) -> Result<bool, Failure> {
        let places = machine.ask(&pacman_conf(&["HookDir"]))?;
        Ok(places.stdout.lines().any(|dir| has_hook_before(Path::new(dir))))
    }

    fn is_keyring(&self, name: &str) -> bool {
        // `archlinux-keyring` and those of its relatives. gnome-keyring and python-keyring keep other keys.
        const OTHERS: &[&str] = &["gnome", "libgnome", "python"];
        name.strip_suffix("-keyring").is_some_and(|of| !of.is_empty() && !OTHERS.contains(&of))
    }

    fn ask_not_offered(&self) -> Option<Invocation> {
        Some(private(&["-Qmq"]))
    }

    fn parse_not_offered(&self, answer: &Finished) -> Option<Vec<String>> {
        lists::not_offered(answer)
    }

    fn release_files(&self, id: &str) -> Vec<String> {
        vec![Pattern::escape(&format!("{id}.db"))]
    }

    fn packed_index(&self) -> Option<&'static dyn PackedIndex> {
        Some(&Databases)
    }

    fn is_index(&self, path: &str) -> bool {
        path.ends_with(".db")
    }
}

impl Configuration for Pacman {
    fn locate(&self) -> Option<&'static dyn Locate> {
        Some(&WrittenOut)
    }

    fn includes(&self, text: &str) -> Vec<String> {
        config::includes(text)
    }

    fn parse_places(&self, usual: Places, configuration: &str) -> Places {
        config::parse_places(usual, configuration)
    }
}

/// Asks `pacman-conf`.
struct WrittenOut;

impl Locate for WrittenOut {
    fn ask(&self) -> Invocation {
        pacman_conf(&[])
    }

    fn of_use(&self, answer: &str) -> String {
        config::of_use(answer)
    }
}

/// The files of the index: `PACKAGE-VERSION/desc` for each package.
///
/// ```text
/// %BUILDDATE%
/// 1700000000
/// ```
struct Databases;

impl PackedIndex for Databases {
    fn names(&self, id: &str, _: &[ConfigFile]) -> Vec<String> {
        Pacman.release_files(id)
    }

    /// `repo-add` keeps the times of the entries that were there before.
    fn has_times(&self) -> bool {
        false
    }

    fn built(&self, before: &[u8], line: &[u8]) -> Option<i64> {
        let value = (before == b"%BUILDDATE%").then(|| std::str::from_utf8(line).ok())??;
        value.parse().ok()
    }
}

/// Whether a directory of the administrator's has a hook that runs before packages are changed.
fn has_hook_before(dir: &Path) -> bool {
    let mut hooks = with_extension_in(dir, "hook").into_iter();
    hooks.any(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("PreTransaction")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_downloaded_file_is_known_by_its_package() {
        for (file, package) in [
            ("tb-hello-2.0-1-any.pkg.tar.zst", "tb-hello-2.0-1"),
            ("a-b-1:2.0-1.1-x86_64.pkg.tar.xz.sig", "a-b-1:2.0-1.1"),
        ] {
            assert_eq!(culprits::package_of(file), Some(package));
        }
        assert!(
            ["", "x.db", "x.pkg.tar", "download-XyZ"].iter().all(|file| culprits::package_of(file).is_none())
        );
        assert_eq!(
            config::downloads("CacheDir = /a/\nHookDir = /b/\nCacheDir = /c d/\n"),
            ["/a/", "/c d/"].map(PathBuf::from)
        );
    }

    #[test]
    fn nothing_that_asks_a_mirror_touches_the_index_of_the_system() {
        let plan = Plan::default();
        let refresh = Pacman.refresh(Default::default());
        for invocation in [refresh, commands::download(&plan), commands::list(&plan), Pacman.pending(&plan)] {
            assert_eq!(invocation.private_arg, Some("--dbpath={}"), "{}", invocation.line());
        }
        assert_eq!(commands::install(&plan).private_arg, Some("--config={}/install.conf"));
    }

    #[test]
    fn the_database_is_where_the_configuration_says() {
        let places = config::parse_places(
            FACTS.usual_places(),
            "[options]\nRootDir = /\nDBPath = /srv/db/\n[x]\nDBPath = /no\n",
        );
        assert_eq!(places.database, Path::new("/srv/db/local"));
        assert_eq!(FACTS.lock_file(&places).unwrap(), Path::new("/srv/db/db.lck"));
        assert_eq!(config::parse_places(FACTS.usual_places(), ""), FACTS.usual_places());
        let usual = FACTS.lock_file(&FACTS.usual_places()).unwrap();
        assert_eq!(usual, Path::new("/var/lib/pacman/db.lck"));
    }
}
