//! dnf 4: Fedora up to 40, Red Hat Enterprise Linux 8 and 9 and their relatives. Behaviour
//! measured with dnf 4.14 and 4.24.

mod autoremove;
mod commands;
mod culprits;
mod errors;
mod lists;
mod refresh;

use crate::managers::capabilities::{Autoremove, ConfigFile};
use crate::managers::database::Database;
use crate::managers::facts::{Elsewhere, Facts, Places, Plan, RebootPackages};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::origins::{self, Origins};
use crate::managers::rpm;
use crate::managers::rpm::advisories::Advisories;
use crate::managers::rpm::database::Rpm;
use crate::managers::rpm::owned;
use crate::managers::rpm::tables::{self, Setting, is_repository, settings, silence, with_limits};
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::{CutOff, Damage};
use crate::model::published::Published;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::text::one_line;
use crate::model::updates::{HeldBack, Update};
use crate::system::process::{End, Finished, Invocation};
use commands::{
    AS_REFRESHED, LOOK, NOTHING_EXCLUDED, ONLINE, TEST, WHAT_CAN_BE, dnf, in_utc, list, list_needs, upgrade,
};
use std::time::Duration;

/// What is fixed of it.
static FACTS: Facts = Facts {
    name: "dnf",
    programs: &["dnf", "dnf-3", "dnf4"],
    systems: &["fedora", "rhel", "centos", "amzn", "mageia", "openmandriva"],
    package_databases: rpm::DATABASES,
    source_config: &[
        "/etc/yum.repos.d/*.repo",
        "/etc/yum/repos.d/*.repo",
        "/etc/distro.repos.d/*.repo",
        "/etc/dnf/dnf.conf",
        "/etc/dnf/vars",
        "/etc/yum/vars",
    ],
    index: &["/var/cache/dnf", "/etc/dnf/modules.d", "/etc/dnf/plugins"],
    cache: "/var/cache/dnf",
    locks: rpm::LOCKS,
    pid_files: &[
        "/var/cache/dnf/metadata_lock.pid",
        "/var/cache/dnf/download_lock.pid",
        "/var/lib/dnf/rpmdb_lock.pid",
    ],
    // dnf knows only by starting it again (needs-restarting, a plugin): a newer kernel counts.
    // Those of its needs-restarting, a plugin; with the directory that this reads.
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
    // Only a plugin of dnf's would say what they say.
    settings_in: &["/etc/dnf/dnf.conf", "/etc/yum.repos.d", "/etc/yum/repos.d", "/etc/distro.repos.d"],
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
        repair(damage)
    }

    fn refresh(&self, budget: Duration) -> Invocation {
        refresh(budget)
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

    fn install(&self, plan: &Plan, downloaded: &Finished) -> Invocation {
        install(plan, downloaded)
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
        lists::complete(machine, plan, listing)
    }

    fn excluded(&self, machine: &dyn Machine) -> Vec<Update> {
        let question = rpm::excluded::ask(machine.configuration(), list(&Plan::default()), NOTHING_EXCLUDED);
        let answer = question.and_then(|question| machine.ask_in_passing(&question));
        answer.map(|answer| lists::transaction(&answer.stdout).updates).unwrap_or_default()
    }

    fn sources_in(&self, configuration: &str) -> Vec<String> {
        switched_on(configuration)
    }

    fn sources_of_files(&self, files: Vec<ConfigFile>) -> Vec<String> {
        rpm::files::enabled(&files)
    }

    fn with_files(&self, refreshed: Refreshed, read: &dyn Fn() -> Vec<ConfigFile>) -> Refreshed {
        let mut files = read();
        // Of all directories together.
        files.sort_by_key(|file| file.path.with_extension(""));
        rpm::files::in_the_light_of(files, refreshed)
    }

    fn refresh_others(&self, last: &Invocation, finished: &Finished) -> Option<Invocation> {
        refresh::others(last, finished)
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

    fn parse_places(&self, usual: Places, configuration: &str) -> Places {
        parse_places(usual, configuration)
    }

    fn moved_pid_files(&self, configuration: &str) -> Vec<String> {
        moved_pid_files(configuration)
    }

    fn elsewhere(&self, configuration: &str) -> Elsewhere {
        elsewhere(configuration)
    }

    fn with_limits(&self, invocation: Invocation, configuration: &str) -> Invocation {
        with_limits(invocation, configuration)
    }

    fn objection(&self, configuration: &str, installs: bool) -> Option<Failure> {
        objection(configuration, installs)
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

    fn ended_well(&self, finished: &Finished) -> bool {
        ended_well(finished)
    }

    fn offers(&self, machine: &dyn Machine, updates: &[Update]) -> Result<Origins, Failure> {
        let words =
            [&["repoquery", "--queryformat", rpm::offers::FORMAT], &*origins::names(updates)].concat();
        Ok(rpm::offers::offers(&machine.ask(&dnf(&["-C"], &words))?.stdout, updates))
    }

    fn ask_not_offered(&self) -> Option<Invocation> {
        Some(dnf(&["-C"], &["repoquery", "--extras", "--queryformat", "%{name}.%{arch}\n"]))
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
    let mut invocation = in_utc(dnf(&["-C"], &["history", "info"]));
    invocation.args.extend(numbers.iter().map(|number| number.to_string()));
    (!numbers.is_empty()).then_some(invocation)
}

/// Takes the place of the one above.
const VERBOSE: &str = "--setopt=debuglevel=6";

/// One run refreshes and lists: `check-update` counts also what cannot be installed. Being verbose,
/// dnf names each repository whose metadata it has, which nothing else does. With `retries=1` dnf asks a
/// silent mirror four times, which makes a third of the budget.
fn refresh(budget: Duration) -> Invocation {
    let timeout = silence(budget);
    let options = [VERBOSE, "--refresh", ONLINE, "--setopt=*.retries=1", &timeout, WHAT_CAN_BE];
    dnf(&[&options, LOOK].concat(), &["upgrade"])
}

/// Also of packages that come in the place of others.
fn list_security() -> Invocation {
    let mut invocation = list(&Plan::default());
    invocation.args.insert(0, "--security".to_string());
    invocation
}

/// `cachedir`, which only counts in dnf.conf itself.
fn parse_places(usual: Places, text: &str) -> Places {
    let is_it = |setting: &Setting| {
        setting.section == "main" && matches!(setting.name.as_str(), "cachedir" | "system_cachedir")
    };
    match settings(text).into_iter().find(is_it) {
        Some(setting) if setting.value.starts_with('/') => Places { cache: setting.value.into(), ..usual },
        _ => usual,
    }
}

/// The lock of the package database lies in `persistdir`, of which only the last in dnf.conf counts.
fn moved_pid_files(text: &str) -> Vec<String> {
    let is_it = |setting: &Setting| setting.section == "main" && setting.name == "persistdir";
    let dir = settings(text).into_iter().rfind(is_it).map(|setting| setting.value);
    let dir = dir.filter(|dir| dir.starts_with('/'));
    dir.map(|dir| format!("{}/rpmdb_lock.pid", dir.trim_end_matches('/'))).into_iter().collect()
}

/// Where dnf.conf puts repositories and variables, less the usual places.
fn elsewhere(text: &str) -> Elsewhere {
    let is_it = |setting: &Setting| {
        setting.section == "main" && matches!(setting.name.as_str(), "reposdir" | "varsdir")
    };
    let values = settings(text).into_iter().filter(is_it).map(|setting| setting.value);
    let paths: Vec<String> = values
        .flat_map(|value| value.split([',', ' ', '\t']).map(str::to_owned).collect::<Vec<_>>())
        .map(|path| path.trim_end_matches('/').to_string())
        .filter(|path| path.starts_with('/') && !is_usual(path))
        .collect();
    Elsewhere { sources: paths, ..Elsewhere::default() }
}

/// It heeds `destdir` only where it is told to do nothing but download.
fn objection(text: &str, installs: bool) -> Option<Failure> {
    let settings = settings(text);
    let main = settings.iter().filter(|setting| setting.section == "main" && setting.name != "destdir");
    tables::objection(main.map(|setting| (&*setting.name, &*setting.value)), installs)
}

fn is_usual(dir: &str) -> bool {
    FACTS.source_config.iter().any(|usual| usual.trim_end_matches("/*.repo") == dir)
}

/// The repositories that are switched on, where dnf itself cannot say.
fn switched_on(text: &str) -> Vec<String> {
    let settings = settings(text);
    let is_off = |setting: &Setting| setting.name == "enabled" && rpm::files::is_no(&setting.value);
    let off: Vec<_> =
        settings.iter().filter(|setting| is_off(setting)).map(|setting| &setting.section).collect();
    let ids = settings.iter().map(|setting| &setting.section);
    let mut ids: Vec<_> = ids
        .filter(|id| !["main", ""].contains(&id.as_str()) && !off.contains(id))
        .map(|id| one_line(id))
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

/// The identifiers of all repositories that are switched on.
fn ask_sources() -> Invocation {
    dnf(&["-C", "--setopt=debuglevel=0"], &["repolist", "--enabled"])
}

/// Downloads, takes the keys that are configured where one is needed, verifies all signatures and tests
/// the transaction: whatever can be wrong shows where nothing is changed yet. What is tested stays in the
/// cache. From a repository that was not refreshed nothing comes. One that was never reached would be tried
/// again here.
fn download(plan: &Plan) -> Invocation {
    let down = owned::repositories(plan).map(|id| match plan.never_read.contains(id) {
        true => format!("{}{id}", refresh::WITHOUT),
        false => format!("--setopt={id}.timeout=1"),
    });
    let options = ["-y", "--setopt=assumeno=0", TEST, ONLINE, AS_REFRESHED, "--setopt=*.retries=1"];
    let mut invocation = upgrade(plan, &options, &[]);
    invocation.args.splice(0..0, down);
    invocation
}

/// rpm names the configuration files that it leaves aside.
const RPM_TELLS: &str = "--setopt=rpmverbosity=info";

/// `-C` uses nothing but the cache, so that the install cannot wait for a mirror.
fn install(plan: &Plan, _: &Finished) -> Invocation {
    let mut invocation = upgrade(plan, &["-y", "--setopt=assumeno=0", "-C", RPM_TELLS], &[]);
    let never_read = plan.never_read.iter().filter(|id| is_repository(id));
    invocation.args.splice(0..0, never_read.map(|id| format!("{}{id}", refresh::WITHOUT)));
    invocation
}

/// An install that was cut off leaves both versions of a package in the database, where the next
/// upgrade does not see the older one. The newer one is installed again, scripts and all, which takes
/// the place of both; where no repository has it any more, the older one is only taken away.
fn repair(damage: &Damage) -> Vec<Invocation> {
    let options = ["-y", "--setopt=assumeno=0", ONLINE, AS_REFRESHED, "--setopt=*.retries=1"];
    rpm::leftovers::repair(damage, Some(dnf(&options, &["reinstall"])))
}

/// rpm holds SIGTERM back until it is done, which the last step shows, as `8/8`; dnf then dies of
/// it, while it verifies or before.
fn ended_well(finished: &Finished) -> bool {
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
    fn what_dnf_conf_puts_elsewhere_is_found_and_what_is_switched_on() {
        let text = "[main]\nreposdir=/etc/yum.repos.d, /srv/a/\n  /srv/b\nvarsdir = /etc/dnf/vars /srv/v\n[a]\nname=a\n\
                    enabled = 1\n[b]\nreposdir=/no\nenabled=False\n[c]\nbaseurl=x\n";
        assert_eq!(elsewhere(text).sources, ["/srv/a", "/srv/b", "/srv/v"]);
        assert_eq!(switched_on(text), ["a", "c"]);
        assert_eq!(switched_on("retries=3\n[a]\nname=x\n"), ["a"], "a dnf.conf without a section");
        assert_eq!(elsewhere(""), Elsewhere::default());
    }

    #[test]
    fn a_download_does_not_ask_what_was_never_reached() {
        let (without, never_read) = (vec!["extra".into(), "more".into()], vec!["more".into()]);
        let line = download(&Plan { without, never_read, ..Plan::default() }).line();
        assert!(line.starts_with("dnf --setopt=extra.timeout=1 --disablerepo=more "), "{line}");
    }

    #[test]
    fn a_hanging_repository_leaves_the_others_most_of_the_budget() {
        for (budget, silence) in [(120, 10), (24, 2), (1, 1), (3600, 30)] {
            let args = refresh(Duration::from_secs(budget)).args;
            assert!(args.contains(&format!("--setopt=*.timeout={silence}")), "{args:?}");
        }
    }
}
