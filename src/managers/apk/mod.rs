//! apk: Alpine Linux and its relatives. Behaviour measured with apk 2.12.14, 2.14.6, 2.14.10, 3.0.6
//! and 3.0.8.

mod classes;
mod culprits;
mod database;
mod errors;
mod in_turn;
mod index;
mod lists;
mod refresh;
mod settings;

use crate::managers::capabilities::{ConfigFile, InTurn, PackedIndex, Settings};
use crate::managers::configuration::Configuration;
use crate::managers::database::Database;
use crate::managers::facts::{Facts, Kernels, MICROCODE_IN_BOOT, Places, Plan};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::origins::{self, Origins};
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::Damage;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::updates::{HeldBack, Update};
use crate::system::process::{Finished, Invocation};
use std::time::Duration;

/// What never changes of apk.
static FACTS: Facts = Facts {
    name: "apk",
    programs: &["apk"],
    systems: &["alpine", "chimera", "wolfi"],
    package_databases: &["/lib/apk/db/installed", "/usr/lib/apk/db/installed"],
    source_config: &[
        "/etc/apk/repositories",
        "/etc/apk/repositories.d/*.list",
        "/lib/apk/repositories.d/*.list",
        "/etc/apk/arch",
        "/etc/apk/config",
        "/lib/apk/config",
    ],
    index: &["/var/cache/apk", "/etc/apk/cache", "/etc/apk/world"],
    cache: "/var/cache/apk",
    locks: &["/lib/apk/db/lock", "/usr/lib/apk/db/lock"],
    // The files in /boot have no version in their names.
    microcode: MICROCODE_IN_BOOT,
    kernels: Kernels { dir: "/lib/modules", prefixes: &[""] },
    repair_fetches: true,
    lists_installed: true,
    lists_refreshed_only: false,
    caches: &["/etc/apk/cache"],
    lists_newer: true,
    ..Facts::NONE
};

/// The manager of this folder.
#[derive(Debug)]
pub struct Apk;

impl Manager for Apk {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn database(&self) -> &'static dyn Database {
        &database::Packages
    }

    fn repair(&self, _: &Places, damage: &Damage) -> Vec<Invocation> {
        // Only a package whose script failed or whose files are not all there is marked. An update that was cut off is
        // not marked, but still pending.
        if damage.broken.is_empty() {
            return Vec::new();
        }
        vec![Invocation::of("sh", ["-c", FIX, "sh"]).with(damage.broken.clone())]
    }

    fn refresh(&self, _: Duration) -> Invocation {
        // Without `-U`, apk 2.14.10 asks no mirror while its index is younger than four hours, and says OK. There is no
        // option for silent mirrors in apk 2.12. All versions give up after a minute.
        apk(in_turn::UPDATE)
    }

    fn judge(&self, finished: &Finished) -> Refreshed {
        refresh::judge(finished)
    }

    fn list(&self, plan: &Plan) -> Invocation {
        choose(simulate(plan), plan)
    }

    fn parse_list(&self, text: &str) -> Listing {
        lists::changes(text)
    }

    fn ask_origins(&self, names: &[&str]) -> Option<Invocation> {
        Some(ask_origins(names))
    }

    fn parse_origins(&self, text: &str) -> Origins {
        lists::offers(text)
    }

    fn offers(&self, machine: &dyn Machine, updates: &[Update]) -> Result<Origins, Failure> {
        Ok(lists::offers(&machine.ask(&ask_origins(&origins::names(updates)))?.stdout))
    }

    fn list_needs(&self, plan: &Plan, names: &[String]) -> Invocation {
        simulate(plan).with(names)
    }

    fn install(&self, plan: &Plan, _: &Finished) -> Invocation {
        // Takes an index of any age, so that the install uses exactly what the refresh before it got.
        let invocation = upgrade(plan, &["--cache-max-age", "525600"]);
        Invocation { progress_arg: Some("--progress-fd={}"), ..choose(invocation, plan) }
    }

    fn install_began(&self, finished: &Finished) -> bool {
        errors::began(&finished.stdout)
    }

    fn classify(&self, finished: &Finished) -> Option<Failure> {
        errors::classify(finished)
    }

    fn newer(&self, machine: &dyn Machine) -> Result<Vec<HeldBack>, Failure> {
        Ok(lists::newer(&machine.ask(&apk(&[OFFLINE, "version", "-l", "<"]))?.stdout))
    }

    fn is_older(&self, machine: &dyn Machine, version: &str, than: &str) -> Option<bool> {
        let is_version = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let question = apk(&["version", "-t", version, than]);
        let is_answered = is_version(version) && is_version(than);
        Some(is_answered.then(|| machine.ask(&question).ok())??.stdout.trim() == "<")
    }

    fn ask_audit(&self) -> Option<Invocation> {
        // apk 2 says OK where a full disk cut files off.
        Some(apk(&["audit", "--system", "--packages"]))
    }

    fn audited(&self, answer: &str, changed: &[(&str, &str)]) -> Option<Failure> {
        lists::audited(answer, changed)
    }

    fn sources_of_files(&self, files: Vec<ConfigFile>) -> Option<Vec<String>> {
        in_turn::ids(&files)
    }

    fn with_files(&self, mut refreshed: Refreshed, read: &dyn Fn() -> Vec<ConfigFile>) -> Refreshed {
        in_turn::add_unread(&read(), &mut refreshed);
        refreshed
    }

    fn settings(&self) -> Option<&'static dyn Settings> {
        Some(&settings::OwnSettings)
    }

    fn progress<'a>(&self, line: &'a str) -> Option<(f64, &'a str)> {
        // A line of the progress descriptor: `21076/259826`; apk 3 adds what it does, `install`.
        let (numbers, words) = line.split_once(' ').unwrap_or((line, ""));
        let (done, all) = numbers.split_once('/')?;
        let (done, all): (u64, u64) = (done.parse().ok()?, all.parse().ok()?);
        (all > 0 && done <= all).then(|| (100.0 * done as f64 / all as f64, words))
    }

    fn culprits(&self, finished: &Finished) -> Vec<HeldBack> {
        culprits::culprits(finished)
    }

    fn may_unpack_on_read_only(&self, _: &dyn Machine) -> Result<bool, Failure> {
        // apk runs what lies there before an install.
        let dirs = ["/etc/apk/commit_hooks.d", "/lib/apk/commit_hooks.d"].map(std::fs::read_dir);
        Ok(dirs.into_iter().flatten().flatten().flatten().next().is_some())
    }

    fn read_cut(&self, finished: &Finished) -> Option<Vec<SourceResult>> {
        Some(refresh::read_cut(finished)).filter(|results| !results.is_empty())
    }

    fn in_turn(&self) -> Option<&'static dyn InTurn> {
        Some(&in_turn::Repositories)
    }

    fn share(&self, left: Duration) -> Duration {
        // By itself it gives up a silent repository after a minute, which is less than this by default.
        left * 3 / 5
    }

    fn packed_index(&self) -> Option<&'static dyn PackedIndex> {
        Some(&index::Indexes)
    }

    fn is_index(&self, path: &str) -> bool {
        path.contains("APKINDEX") && path.ends_with(".tar.gz")
    }
}

impl Configuration for Apk {}

/// Otherwise these questions wait for a repository that hangs and was never read.
const OFFLINE: &str = "--no-network";

fn apk(words: &[&str]) -> Invocation {
    Invocation::of("apk", words.iter().copied())
}

/// Installs packages once more. `apk fix` alone removes one whose file its mirror does not give, so that is tried before.
/// Of a name apk fetches the newest version there is, also one of a tagged repository or past a pin. Of apk 3 all versions
/// can be had, of apk 2 what the repositories without a tag have.
const FIX: &str = "set -f; names=; failed=0; \
                   for name; do \
                   installed=$(apk info -ve \"$name\" 2>/dev/null); \
                   newest=$(apk fetch --simulate \"$name\" 2>/dev/null); \
                   case $newest in \"Downloading \"*) \
                   untagged=$(sed -n 's/^[a-z/]/-X &/p' /etc/apk/repositories 2>/dev/null); fetch=; \
                   for way in \"fetch $name\" \"fetch --all-matches $name\" \
                   \"--repositories-file /dev/null $untagged fetch $name\"; do \
                   case \" $(echo $(apk $way --simulate 2>/dev/null)) \" in \
                   *\" Downloading $installed \"*) fetch=$way; break ;; \
                   esac; \
                   done; \
                   if [ -z \"$fetch\" ]; then \
                   echo \"ERROR: $installed: apk fetches only ${newest#Downloading }: \
                   install that, for example without --exclude\" >&2; failed=1; continue; \
                   fi; \
                   apk $fetch --stdout >/dev/null || { failed=1; continue; } ;; \
                   esac; \
                   names=\"$names $name\"; \
                   done; \
                   [ -z \"$names\" ] || apk fix $names || exit; \
                   exit $failed";

/// The part of the command line that a simulation and an install share. apk does nothing while any index cannot be had,
/// unless an option allows it.
fn upgrade(plan: &Plan, options: &[&str]) -> Invocation {
    let missing: &[&str] = if plan.without.is_empty() { &[] } else { &[in_turn::GO_ON_WITHOUT] };
    apk(&[options, missing, &["upgrade"]].concat())
}

/// With `--ignore` the names are those to leave out. `apk add -u NAME` would write names into world. apk leaves out only
/// what is installed, and does nothing at all where no repository has one of the names.
fn choose(invocation: Invocation, plan: &Plan) -> Invocation {
    let names: Vec<_> = plan.left_out.iter().filter(|name| !plan.new.contains(*name)).collect();
    if names.is_empty() { invocation } else { invocation.with(["--ignore"]).with(names) }
}

/// A simulation. [`errors::classify`] recognises it by its last line, which `-v` changes.
fn simulate(plan: &Plan) -> Invocation {
    upgrade(plan, &["-v"]).with(["-s"])
}

fn ask_origins(names: &[&str]) -> Invocation {
    apk(&[&[OFFLINE, "policy"], names].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_never_trusts_the_age_of_the_index() {
        assert_eq!(Apk.refresh(Duration::ZERO).line(), "apk -U update --force-refresh");
    }

    #[test]
    fn what_is_left_out_is_named_and_no_plan_writes_to_world() {
        let plan = Plan { left_out: vec!["a".into(), "b".into()], ..Plan::default() };
        assert_eq!(
            Apk.install(&plan, &Finished::ended(0, "", "")).line(),
            "apk --cache-max-age 525600 upgrade --ignore a b"
        );
        assert_eq!(Apk.list(&plan).line(), "apk -v upgrade -s --ignore a b");
        assert_eq!(Apk.list_needs(&plan, &["c".to_string()]).line(), "apk -v upgrade -s c");
        let plan = Plan { without: vec!["http://h".into()], full: true, ..Plan::default() };
        assert_eq!(Apk.list(&plan).line(), "apk -v --force-missing-repositories upgrade -s");
    }

    #[test]
    fn progress_is_read_in_both_forms() {
        assert_eq!(Apk.progress("20011/60033"), Some((100.0 * 20011.0 / 60033.0, "")));
        assert_eq!(Apk.progress("50/100 install"), Some((50.0, "install")));
        for line in ["", "x", "1/", "/1", "0/0", "2/1", "-1/5", "1/2/3"] {
            assert_eq!(Apk.progress(line), None, "{line}");
        }
    }
}
