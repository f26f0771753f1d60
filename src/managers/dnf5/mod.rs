//! dnf 5: Fedora since 41, and what follows it. Behaviour measured with dnf5 5.4.

mod autoremove;
mod classes;
mod commands;
mod culprits;
mod errors;
mod lists;
mod preferred;
mod refresh;
mod settings;

use crate::managers::capabilities::{Autoremove, ConfigFile};
use crate::managers::configuration::Configuration;
use crate::managers::database::Database;
use crate::managers::facts::{Facts, Places, Plan, RebootPackages};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::origins::Origins;
use crate::managers::rpm;
use crate::managers::rpm::advisories::Advisories;
use crate::managers::rpm::database::Rpm;
use crate::managers::rpm::tables::{USUAL_SILENCE, is_repository, silence};
use crate::managers::rpm::versions::compare_versions;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::{CutOff, Damage};
use crate::model::published::Published;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::updates::{HeldBack, Update};
use crate::system::files::globbed;
use crate::system::process::{End, Finished, Invocation};
use commands::*;
use glob::Pattern;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What never changes of it.
static FACTS: Facts = Facts {
    name: "dnf5",
    programs: &["dnf5"],
    systems: &["fedora"],
    package_databases: rpm::DATABASES,
    source_config: SOURCES,
    index: &[
        "/var/cache/libdnf5/*/solv",
        "/etc/dnf/versionlock.toml",
        "/etc/dnf/modules.d",
        "/etc/dnf/vendors.d",
        "/etc/dnf/libdnf5-plugins",
        "/usr/share/dnf5/libdnf.plugins.conf.d",
    ],
    cache: "/var/cache/libdnf5",
    locks: &[
        "/var/lib/dnf/system-repo.lock",
        // Of 5.4.0 to 5.4.2.0.
        "/usr/lib/sysimage/libdnf5/system-repo.lock",
        "/run/dnf/rpmtransaction.lock",
        rpm::LOCKS[0],
        rpm::LOCKS[1],
    ],
    // The packages that its plugin needs-restarting knows; the plugin also asks the advisories.
    reboot_packages: RebootPackages {
        names: &[
            "kernel",
            "kernel-core",
            "kernel-PAE",
            "kernel-rt",
            "kernel-smp",
            "kernel-xen",
            "linux-firmware",
            "microcode_ctl",
            "dbus",
            "glibc",
            "hal",
            "systemd",
            "udev",
            "gnutls",
            "openssl-libs",
            "dbus-broker",
            "dbus-daemon",
        ],
        directories: &["/etc/dnf/suggest-reboot.d", "/usr/share/dnf5/suggest-reboot.d"],
    },
    knows_security: true,
    lists_all: true,
    passes_over: true,
    rules: rpm::RULES,
    waiting_for_lock: Some("Waiting for a lock on the system repository"),
    ..Facts::NONE
};

/// The manager of this folder.
#[derive(Debug)]
pub struct Dnf5;

impl Manager for Dnf5 {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn database(&self) -> &'static dyn Database {
        &Rpm
    }

    fn repair(&self, _: &Places, damage: &Damage) -> Vec<Invocation> {
        // An install that was cut off leaves both versions of a package in the database, and the next upgrade does not
        // see the older one. Installing the newer one again, with its scripts, replaces both. Where no repository has
        // the newer one any more, the older one is only removed.
        let options = [SKIP, OLD_IS_FINE, ONLINE, "--setopt=*.retries=1", USUAL_SILENCE];
        let mut of_damage = rpm::leftovers::options(damage);
        // Nor for one that was added since. The last of these options counts.
        let mut reached = damage.refreshed.iter().filter(|source| is_repository(source)).peekable();
        if reached.peek().is_some() {
            of_damage.push("--setopt=*.timeout=1".to_string());
            of_damage.extend(reached.map(|id| USUAL_SILENCE.replacen('*', id, 1)));
        }
        let options = DO.iter().copied().chain(options).chain(of_damage.iter().map(String::as_str));
        rpm::leftovers::repair(damage, Some(dnf5(&options.collect::<Vec<_>>(), &["reinstall"])))
    }

    fn may_repair_later(&self, finished: &Finished, class: Class, stays: &[String]) -> bool {
        rpm::leftovers::may_repair_later(finished, class, stays)
    }

    fn refresh(&self, budget: Duration) -> Invocation {
        // One run refreshes and lists: `check-upgrade` shows neither what obsoletes something nor what cannot be
        // installed. With `retries=1` dnf5 asks a silent mirror four times, which takes a quarter of the budget.
        let timeout = silence(budget);
        let options =
            [ASK_ALL, &[STRICT, BY_ID, "--setopt=*.retries=1", &timeout, NO_OLDER, WHAT_CAN_BE]].concat();
        dnf5(&[&options, LOOK].concat(), &["upgrade"])
    }

    fn judge(&self, finished: &Finished) -> Refreshed {
        refresh::judge(finished)
    }

    fn list(&self, plan: &Plan) -> Invocation {
        list(plan)
    }

    fn parse_list(&self, text: &str) -> Listing {
        lists::transaction(text)
    }

    fn parse_origins(&self, text: &str) -> Origins {
        lists::advisories(text)
    }

    fn list_needs(&self, plan: &Plan, names: &[String]) -> Invocation {
        list_needs(plan, names)
    }

    fn download(&self, plan: &Plan) -> Option<Invocation> {
        // Downloads, takes the configured keys where one is needed, verifies all signatures and tests the transaction:
        // all that can go wrong shows while nothing is changed yet.
        Some(upgrade(plan, &[DO, &[AS_REFRESHED, TEST]].concat(), &[], &[]))
    }

    fn install(&self, plan: &Plan, _: &Finished) -> Invocation {
        // `-C` uses nothing but the cache, so that the install cannot wait for a mirror.
        upgrade(plan, &[DO, &["-C"]].concat(), &[], &[])
    }

    fn autoremove(&self) -> Option<&'static dyn Autoremove> {
        Some(&autoremove::UNNEEDED)
    }

    fn install_began(&self, finished: &Finished) -> bool {
        errors::install_began(finished)
    }

    fn classify(&self, finished: &Finished) -> Option<Failure> {
        errors::classify(finished)
    }

    fn cut_off_runs(&self, machine: &dyn Machine) -> Vec<CutOff> {
        let question = Invocation { env: IN_UTC, ..dnf5(&["-C"], &["history", "info", "last-20..last"]) };
        let answer = machine.try_ask(&question).ok().filter(Finished::succeeded);
        answer.map(|answer| rpm::history::cut_off_runs(&answer.stdout)).unwrap_or_default()
    }

    fn refresh_others(
        &self,
        refresh: &Invocation,
        finished: &Finished,
        _: &dyn Fn() -> Vec<ConfigFile>,
    ) -> Option<Invocation> {
        refresh::others(refresh, finished)
    }

    fn read_cut(&self, finished: &Finished) -> Option<Vec<SourceResult>> {
        refresh::read_cut(finished)
    }

    fn alone(&self, refresh: &Invocation, source: &str) -> Option<Invocation> {
        Some(refresh::alone(refresh, source))
    }

    fn leave_out_source(&self, refresh: Invocation, source: &str) -> Invocation {
        refresh::without_source(refresh, source)
    }

    fn sources_of_files(&self, files: Vec<ConfigFile>) -> Option<Vec<String>> {
        Some(rpm::files::enabled(&files))
    }

    fn with_files(&self, refreshed: Refreshed, read: &dyn Fn() -> Vec<ConfigFile>) -> Refreshed {
        rpm::files::in_the_light_of(read(), refreshed)
    }

    fn unreadable_copies(&self, finished: &Finished) -> Vec<String> {
        refresh::unreadable_copies(finished)
    }

    fn pending_of_refresh(&self, finished: &Finished) -> Option<Listing> {
        // If a repository failed, the list is that of the others alone.
        let is_whole = errors::classify(finished).is_none() && !refresh::has_failed(finished);
        is_whole.then(|| lists::transaction(&finished.stdout))
    }

    fn wanting_reboot(&self, machine: &dyn Machine) -> Option<Vec<String>> {
        // The plugin fetches every index anew, together with the lists of files.
        if !asks_for_reboot(&machine.places().cache) {
            return Some(Vec::new());
        }
        let answer = machine.try_ask(&ask_reboot_hint()).ok()?;
        // Before 5.4.1 the plugin did not know this option.
        (answer.end != End::Code(2)).then(|| lists::reboot_hint(&answer.stdout))
    }

    fn sources(&self, machine: &dyn Machine) -> Vec<String> {
        let answer = self.locate().and_then(|settings| machine.ask(&settings.ask()).ok());
        answer.map(|answer| self.sources_in(&answer.stdout)).unwrap_or_default()
    }

    fn complete(&self, machine: &dyn Machine, plan: &Plan, listing: Listing) -> Result<Listing, Failure> {
        let configuration = machine.configuration().unwrap_or_default();
        let priority = |id: &str| self.priority(configuration, id);
        let lists = |plan| lists::lists(machine, plan, &priority);
        let (plan, listing) = preferred::hold_back(&lists(plan), &self.sources_in(configuration), listing)?;
        lists::complete(&lists(&plan), listing)
    }

    fn not_from(&self, machine: &dyn Machine, plan: &Plan) -> BTreeSet<(String, String)> {
        let configuration = machine.configuration().unwrap_or_default();
        lists::lists(machine, plan, &|id| self.priority(configuration, id)).not_from(WITHOUT)
    }

    fn excluded(&self, machine: &dyn Machine) -> Vec<Update> {
        // One that was never reached would stop it.
        let list = list(&Plan::default()).with_before("upgrade", [SKIP.to_string()]);
        rpm::excluded::updates(machine, self, list, lists::transaction)
    }

    fn culprits(&self, finished: &Finished) -> Vec<HeldBack> {
        culprits::culprits(finished)
    }

    fn culprits_of_sources(
        &self,
        failure: &Failure,
        finished: &Finished,
        configuration: &str,
    ) -> Vec<HeldBack> {
        culprits::culprits_of_keys(failure, finished, configuration)
    }

    fn is_older(&self, _: &dyn Machine, version: &str, than: &str) -> Option<bool> {
        Some(compare_versions(version, than).is_lt())
    }

    fn tell_security(&self, machine: &dyn Machine, listing: &mut Listing) -> Result<(), Failure> {
        let advisories = Advisories {
            open: lists::ask_advisories("--available"),
            settled: lists::ask_advisories("--installed"),
            read: lists::advisories,
            plan: upgrade(&Plan::default(), &[&["-C", SKIP], LOOK].concat(), &["--security"], &[]),
            read_plan: lists::transaction,
        };
        advisories.tell_security(machine, listing)
    }

    fn plan_of_download(&self, finished: &Finished) -> Option<Listing> {
        Some(lists::transaction(&finished.stdout))
    }

    fn offers(&self, machine: &dyn Machine, updates: &[Update]) -> Result<Origins, Failure> {
        let with_skip = |options: &[&str], words: &[&str]| dnf5(&[options, &[SKIP]].concat(), words);
        rpm::offers::offers(machine, with_skip, updates)
    }

    fn ask_not_offered(&self) -> Option<Invocation> {
        Some(dnf5(&["-C"], rpm::offers::EXTRAS))
    }

    fn parse_not_offered(&self, answer: &Finished) -> Option<Vec<String>> {
        rpm::offers::not_offered(answer)
    }

    fn release_files(&self, id: &str) -> Vec<String> {
        rpm::release_files(id)
    }

    fn published(&self, text: &str) -> Published {
        Published::of_repomd(text)
    }

    fn is_index(&self, path: &str) -> bool {
        path.ends_with("/repodata/repomd.xml")
    }
}

/// Times that can be read without knowing the time zone, and names that are not cut short.
const IN_UTC: &[(&str, &str)] = &[("TZ", "UTC"), ("DNF5_FORCE_COLUMNS", "400"), ("FORCE_COLUMNS", "400")];

/// No list shows whether an advisory asks for a reboot. This plugin looks it up, and needs the lists of files for that.
fn ask_reboot_hint() -> Invocation {
    // No question about a key is answered with yes here.
    let options = ["--assumeno", SKIP, OLD_IS_FINE, ONLINE, "--setopt=*.retries=1", USUAL_SILENCE];
    dnf5(&options, &["needs-restarting", "--json"])
}

/// Whether an advisory may ask for a reboot, by what dnf5 has made of the advisories on the disk: if none does, the word
/// is missing among their keys. Where `build_cache` is off nothing is made of them, and one may.
fn asks_for_reboot(cache: &Path) -> bool {
    let in_cache =
        |pattern: &str| globbed(&format!("{}/*/{pattern}", Pattern::escape(&cache.to_string_lossy())));
    let made = in_cache("solv/*-updateinfo.solvx");
    let of_repository = |file: &Path| file.ancestors().nth(2).map(Path::to_path_buf);
    let is_made = |list: &PathBuf| made.iter().any(|file| of_repository(file) == of_repository(list));
    let may_ask = |file: &PathBuf| {
        let is_it = |bytes: Vec<u8>| bytes.windows(REBOOT.len()).any(|part| part == REBOOT);
        std::fs::read(file).map_or(true, is_it)
    };
    !in_cache("repodata/*updateinfo*").iter().all(is_made) || made.iter().any(may_ask)
}

/// The end of the key `update:reboot`. What it has in common with the key before it, at most that of `update:restart`,
/// is not written again.
const REBOOT: &[u8] = b"boot\0";

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(stderr: &str) -> Finished {
        Finished::ended(1, "", stderr)
    }

    #[test]
    fn a_plan_becomes_options_before_the_word_upgrade_and_behind_it() {
        let plan = Plan {
            full: true,
            without: vec!["extra".into()],
            left_out: vec!["tb-a".into()],
            ..Plan::default()
        };
        let line = list_needs(&plan, &["tb-b".to_string()]).line();
        let end = "--setopt=best=1 --setopt=extra.skip_if_unavailable=1 --setopt=disable_excludes= --exclude=tb-a \
                   upgrade --allowerasing tb-b";
        assert!(line.ends_with(end), "{line}");
        let line = Dnf5.download(&Plan::default()).unwrap().line();
        assert!(
            line.ends_with(" --setopt=tsflags=test --setopt=allow_downgrade=0 --setopt=best=0 upgrade"),
            "{line}"
        );
    }

    #[test]
    fn no_list_can_install_anything() {
        assert!(ask_reboot_hint().args.contains(&"--assumeno".to_string()));
        for invocation in [Dnf5.refresh(Duration::from_secs(120)), list(&Plan::default())] {
            for guard in ["--assumeno", "--setopt=tsflags=test"] {
                assert!(invocation.args.iter().any(|arg| arg == guard), "{}", invocation.line());
            }
        }
    }

    #[test]
    fn a_hanging_repository_leaves_the_others_most_of_the_budget() {
        for (budget, silence) in [(120, 8), (24, 1), (1, 1), (3600, 30)] {
            let args = Dnf5.refresh(Duration::from_secs(budget)).args;
            assert!(args.contains(&format!("--setopt=*.timeout={silence}")), "{args:?}");
        }
    }

    #[test]
    fn an_install_has_begun_when_it_prepares_or_says_no_more() {
        let bar = |name: &str| format!("[1/4] {name}        100% |   0.0   B/s |   1.0   B |  00m00s\n");
        let failed = "Transaction failed: Rpm transaction failed.\n";
        let lock = format!("Running transaction\n{failed}");
        assert!(!errors::install_began(&printed(&lock)));
        let verified = format!("Running transaction\n{}{failed}", bar("Verify package files"));
        assert!(!errors::install_began(&printed(&verified)));
        assert!(errors::install_began(&printed("Running transaction\n")));
        let prepared = format!("Running transaction\n{}{failed}", bar("Prepare transaction"));
        assert!(errors::install_began(&printed(&prepared)));
        assert!(!errors::install_began(&printed(&bar("tb-hello-0:2.0-1.noarch"))));
        let keys = format!("Running transaction\n{}{}", bar("http://a/KEY"), bar("Total"));
        assert!(!errors::install_began(&printed(&format!("{keys}Failed to download files\n"))));
        assert!(errors::install_began(&printed(&format!(
            "{keys}{}",
            bar("Upgrading tb-hello-0:2.0-1.noarch")
        ))));
    }
}
