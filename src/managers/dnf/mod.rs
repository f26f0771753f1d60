//! dnf 4: Fedora up to 40, Red Hat Enterprise Linux 8 and 9 and their relatives. Behaviour
//! measured with dnf 4.14 and 4.24.

mod autoremove;
mod commands;
mod culprits;
mod errors;
mod lists;
mod refresh;
mod settings;

use crate::managers::capabilities::{Autoremove, ConfigFile};
use crate::managers::configuration::Configuration;
use crate::managers::database::Database;
use crate::managers::facts::{Facts, Places, Plan, RebootPackages, Temporary};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::origins::Origins;
use crate::managers::rpm;
use crate::managers::rpm::advisories::Advisories;
use crate::managers::rpm::database::Rpm;
use crate::managers::rpm::owned;
use crate::managers::rpm::tables::{USUAL_SILENCE, is_repository, silence};
use crate::managers::rpm::versions::compare_versions;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::{CutOff, Damage};
use crate::model::published::Published;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::updates::{HeldBack, Update};
use crate::system::process::{End, Finished, Invocation};
use commands::{
    AS_REFRESHED, LOOK, ONLINE, SOURCES, TEST, WHAT_CAN_BE, WITHOUT, dnf, in_utc, list, list_needs, upgrade,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// What never changes of it.
static FACTS: Facts = Facts {
    name: "dnf",
    programs: &["dnf", "dnf-3", "dnf4"],
    systems: rpm::systems::OF_DNF,
    package_databases: rpm::DATABASES,
    source_config: SOURCES,
    index: &["/var/cache/dnf", "/etc/dnf/modules.d", "/etc/dnf/plugins"],
    cache: "/var/cache/dnf",
    locks: rpm::LOCKS,
    pid_files: &[
        "/var/cache/dnf/metadata_lock.pid",
        "/var/cache/dnf/download_lock.pid",
        "/var/lib/dnf/rpmdb_lock.pid",
    ],
    // dnf itself can tell only by another start of it (needs-restarting, a plugin), so a newer kernel counts, and the
    // packages that this plugin knows, also by the directory that it reads.
    reboot_packages: RebootPackages {
        names: &[
            "kernel",
            "kernel-core",
            "kernel-rt",
            "glibc",
            "linux-firmware",
            "systemd",
            "dbus",
            "dbus-broker",
            "dbus-daemon",
            "microcode_ctl",
        ],
        directories: &["/etc/dnf/plugins/needs-restarting.d"],
    },
    knows_security: true,
    lists_all: true,
    passes_over: true,
    rules: rpm::RULES,
    // Only a plugin of dnf could say what these say.
    settings_in: &["/etc/dnf/dnf.conf", "/etc/yum.repos.d", "/etc/yum/repos.d", "/etc/distro.repos.d"],
    temporary: Temporary { dir: "/tmp", words: &["repomd.xml parser error"] },
    ..Facts::NONE
};

/// The manager of this folder.
#[derive(Debug)]
pub struct Dnf;

impl Manager for Dnf {
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
        let options =
            ["-y", "--setopt=assumeno=0", ONLINE, AS_REFRESHED, "--setopt=*.retries=1", USUAL_SILENCE];
        let of_damage = rpm::leftovers::options(damage);
        let options: Vec<_> = options.into_iter().chain(of_damage.iter().map(String::as_str)).collect();
        rpm::leftovers::repair(damage, Some(dnf(&options, &["reinstall"])))
    }

    fn may_repair_later(&self, finished: &Finished, class: Class, stays: &[String]) -> bool {
        rpm::leftovers::may_repair_later(finished, class, stays)
    }

    fn refresh(&self, budget: Duration) -> Invocation {
        // One run refreshes and lists: `check-update` also counts what cannot be installed. With this verbosity dnf
        // names each repository whose metadata it has, which nothing else shows. With `retries=1` dnf asks a silent
        // mirror four times, which takes a quarter of the budget.
        let timeout = silence(budget);
        let options = [VERBOSE, "--refresh", ONLINE, "--setopt=*.retries=1", &timeout, WHAT_CAN_BE];
        dnf(&[&options, LOOK].concat(), &["upgrade"])
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
        rpm::advisories::parse(text)
    }

    fn list_needs(&self, plan: &Plan, names: &[String]) -> Invocation {
        list_needs(plan, names)
    }

    fn download(&self, plan: &Plan) -> Option<Invocation> {
        Some(download(plan))
    }

    fn install(&self, plan: &Plan, _: &Finished) -> Invocation {
        // `-C` uses nothing but the cache, so that the install cannot wait for a mirror.
        let mut invocation = upgrade(plan, &["-y", "--setopt=assumeno=0", "-C", RPM_TELLS], &[]);
        let never_read = plan.never_read.iter().filter(|id| is_repository(id));
        invocation.args.splice(0..0, never_read.map(|id| format!("{}{id}", WITHOUT)));
        invocation
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
        let list = machine.try_ask(&in_utc(dnf(&["-C"], &["history", "list"]))).ok();
        let runs = list.filter(Finished::succeeded).and_then(|list| ask_runs(&list.stdout));
        let answer = runs.and_then(|question| machine.try_ask(&question).ok()).filter(Finished::succeeded);
        answer.map(|answer| rpm::history::cut_off_runs(&answer.stdout)).unwrap_or_default()
    }

    fn sources(&self, machine: &dyn Machine) -> Vec<String> {
        let answer = machine.ask(&ask_sources()).ok();
        answer.map(|answer| lists::repositories(&answer.stdout)).unwrap_or_default()
    }

    fn complete(&self, machine: &dyn Machine, plan: &Plan, listing: Listing) -> Result<Listing, Failure> {
        let configuration = machine.configuration().unwrap_or_default();
        lists::complete(&lists::lists(machine, plan, &|id| self.priority(configuration, id)), listing)
    }

    fn not_from(&self, machine: &dyn Machine, plan: &Plan) -> BTreeSet<(String, String)> {
        let configuration = machine.configuration().unwrap_or_default();
        lists::lists(machine, plan, &|id| self.priority(configuration, id)).not_from(WITHOUT)
    }

    fn excluded(&self, machine: &dyn Machine) -> Vec<Update> {
        rpm::excluded::updates(machine, self, list(&Plan::default()), lists::transaction)
    }

    fn sources_of_files(&self, files: Vec<ConfigFile>) -> Option<Vec<String>> {
        Some(rpm::files::enabled(&files))
    }

    fn with_files(&self, refreshed: Refreshed, read: &dyn Fn() -> Vec<ConfigFile>) -> Refreshed {
        let mut files = read();
        // It reads all directories together, by file name.
        files.sort_by_key(|file| file.path.with_extension(""));
        rpm::files::in_the_light_of(files, refreshed)
    }

    fn refresh_others(
        &self,
        last: &Invocation,
        finished: &Finished,
        _: &dyn Fn() -> Vec<ConfigFile>,
    ) -> Option<Invocation> {
        refresh::others(last, finished)
    }

    fn unreadable_copies(&self, finished: &Finished) -> Vec<String> {
        refresh::unreadable_copies(finished)
    }

    fn pending_of_refresh(&self, finished: &Finished) -> Option<Listing> {
        refresh::of_refresh(finished)
    }

    fn read_cut(&self, finished: &Finished) -> Option<Vec<SourceResult>> {
        Some(refresh::read_cut(finished)).filter(|results| !results.is_empty())
    }

    fn culprits(&self, finished: &Finished) -> Vec<HeldBack> {
        culprits::culprits(finished)
    }

    fn keyless(&self, finished: &Finished) -> Option<String> {
        errors::keyless(finished)
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
            read: rpm::advisories::parse,
            plan: list_security(),
            read_plan: lists::transaction,
        };
        advisories.tell_security(machine, listing)
    }

    fn plan_of_download(&self, finished: &Finished) -> Option<Listing> {
        Some(lists::transaction(&finished.stdout))
    }

    fn was_done_when_killed(&self, finished: &Finished) -> bool {
        // rpm holds back SIGTERM until it is done; its last step, such as `8/8`, shows that. dnf then dies of the
        // signal, while it verifies or before.
        const SIGTERM: i32 = 15;
        let is_step = |line: &&str| {
            line.starts_with("  ") && !line.starts_with("  Preparing") && !line.starts_with("  Verifying")
        };
        let steps = finished.stdout.lines().filter(is_step);
        let counts = steps.filter_map(|line| line.split_whitespace().last()?.split_once('/'));
        let mut counts =
            counts.filter(|(step, _)| !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()));
        finished.end == End::Signal(SIGTERM)
            && errors::install_began(finished)
            && counts.next_back().is_some_and(|(step, of)| step == of)
    }

    fn offers(&self, machine: &dyn Machine, updates: &[Update]) -> Result<Origins, Failure> {
        rpm::offers::offers(machine, dnf, updates)
    }

    fn ask_not_offered(&self) -> Option<Invocation> {
        Some(dnf(&["-C"], rpm::offers::EXTRAS))
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

fn ask_runs(list: &str) -> Option<Invocation> {
    let numbers = rpm::history::marked_runs(list);
    (!numbers.is_empty()).then(|| in_utc(dnf(&["-C"], &["history", "info"])).with(numbers))
}

/// Outranks the `debuglevel` among the options of every command.
const VERBOSE: &str = "--setopt=debuglevel=6";

/// Lists also packages that replace others.
fn list_security() -> Invocation {
    let mut invocation = list(&Plan::default());
    invocation.args.insert(0, "--security".to_string());
    invocation
}

/// Asks for the identifiers of all enabled repositories.
fn ask_sources() -> Invocation {
    dnf(&["-C", "--setopt=debuglevel=0"], &["repolist", "--enabled"])
}

/// Downloads, takes the configured keys where one is needed, verifies all signatures and tests the transaction: all
/// that can go wrong shows while nothing is changed yet. What was tested stays in the cache. Nothing is taken from a
/// repository that was not refreshed; one that was never reached is disabled, as it would be tried again here.
fn download(plan: &Plan) -> Invocation {
    let down = owned::repositories(plan).map(|id| match plan.never_read.contains(id) {
        true => format!("{}{id}", WITHOUT),
        false => format!("--setopt={id}.timeout=1"),
    });
    let options = ["-y", "--setopt=assumeno=0", TEST, ONLINE, AS_REFRESHED, "--setopt=*.retries=1"];
    let mut invocation = upgrade(plan, &options, &[]);
    invocation.args.splice(0..0, down);
    invocation
}

/// With this, rpm names the configuration files that it leaves aside.
const RPM_TELLS: &str = "--setopt=rpmverbosity=info";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_becomes_options_before_the_word_upgrade() {
        let plan = Plan {
            full: true,
            without: vec!["extra".into(), "/etc/yum.repos.d/x.repo".into()],
            left_out: vec!["tb-a".into()],
            ..Plan::default()
        };
        let line = list_needs(&plan, &["tb-b".to_string()]).line();
        let end = "--best --allowerasing --setopt=disable_excludes= --exclude=tb-a upgrade tb-b";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn a_download_does_not_ask_what_was_never_reached() {
        let (without, never_read) = (vec!["extra".into(), "more".into()], vec!["more".into()]);
        let line = download(&Plan { without, never_read, ..Plan::default() }).line();
        assert!(line.starts_with("dnf --setopt=extra.timeout=1 --disablerepo=more "), "{line}");
    }

    #[test]
    fn a_hanging_repository_leaves_the_others_most_of_the_budget() {
        // By default a refresh has two minutes.
        assert_eq!(super::silence(Duration::from_secs(120)), USUAL_SILENCE);
        for (budget, silence) in [(120, 8), (24, 1), (1, 1), (3600, 30)] {
            let args = Dnf.refresh(Duration::from_secs(budget)).args;
            assert!(args.contains(&format!("--setopt=*.timeout={silence}")), "{args:?}");
        }
    }
}
