//! zypper: SUSE Linux Enterprise, openSUSE Leap and Tumbleweed. Behaviour measured with zypper
//! 1.14.42 and 1.14.101.

mod autoremove;
mod classes;
mod commands;
mod culprits;
mod details;
mod errors;
mod lists;
mod owned;
mod refresh;
mod settings;
mod xml;

use crate::managers::capabilities::{Autoremove, ConfigFile, Settings};
use crate::managers::configuration::Configuration;
use crate::managers::database::Database;
use crate::managers::facts::{Facts, Places, Plan, Temporary};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::rpm;
use crate::managers::rpm::database::Rpm;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::{CutOff, Damage};
use crate::model::published::Published;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::model::updates::HeldBack;
use crate::system::process::{Finished, Invocation};
use commands::*;
use glob::Pattern;
use std::time::Duration;

/// What never changes of it.
static FACTS: Facts = Facts {
    name: "zypper",
    programs: &["zypper"],
    systems: rpm::systems::OF_ZYPPER,
    package_databases: &[
        "/usr/lib/sysimage/rpm/Packages.db",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/var/lib/rpm/Packages.db",
        "/var/lib/rpm/rpmdb.sqlite",
        "/var/lib/rpm/Packages",
    ],
    source_config: &[
        "/etc/zypp/repos.d/*.repo",
        // zypper numbers a file for a second repository of one name. A service may be in any file but a hidden one.
        "/etc/zypp/repos.d/[!.]*.repo_[0-9]",
        "/etc/zypp/repos.d/[!.]*.repo_[0-9][0-9]",
        "/etc/zypp/services.d/[!.]*",
        "/etc/zypp/vars.d",
        "/etc/zypp/zypp.conf",
        "/etc/zypp/zypp.conf.d/*.conf",
    ],
    // Not the files as they were fetched: zypper gives them a new time at every refresh. Nor `@System`, its list of the
    // installed packages.
    index: &[
        "/var/cache/zypp/solv/[!@]*",
        "/var/cache/zypp/solv/@[!S]*",
        "/etc/zypp/locks",
        "/etc/zypp/vendors.d/[!.]*",
        "/etc/zypp/zypper.conf",
        "/usr/etc/zypp/zypp.conf",
        "/usr/etc/zypp/zypp.conf.d",
    ],
    cache: "/var/cache/zypp/raw",
    locks: rpm::LOCKS,
    pid_files: &["/run/zypp.pid", "/var/run/zypp.pid"],
    reboot_flags: &["/run/reboot-needed"],
    // libzypp knows the packages that need a reboot, and makes the flag.
    knows_security: true,
    lists_all: true,
    noise: Some("<download "),
    rules: rpm::RULES,
    needs_of_new: true,
    leave_out_base: PACKAGE_LOCKS,
    temporary: Temporary {
        dir: "/var/tmp",
        words: &["Valid metadata not found", "Failed to retrieve new repository metadata"],
    },
    ..Facts::NONE
};

/// The manager of this folder.
#[derive(Debug)]
pub struct Zypper;

impl Manager for Zypper {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn database(&self) -> &'static dyn Database {
        &Rpm
    }

    fn repair(&self, _: &Places, damage: &Damage) -> Vec<Invocation> {
        // zypper does not see the older one of two versions that were left, and installs with `--nodeps` too; the
        // update after the repair brings what is missing.
        rpm::leftovers::repair(damage, None)
    }

    fn refresh(&self, _: Duration) -> Invocation {
        refresh(&[])
    }

    fn judge(&self, finished: &Finished) -> Refreshed {
        refresh::judge(finished)
    }

    fn list(&self, plan: &Plan) -> Invocation {
        list(plan)
    }

    fn parse_list(&self, text: &str) -> Listing {
        lists::plan(text)
    }

    fn list_needs(&self, plan: &Plan, names: &[String]) -> Invocation {
        list_needs(plan, names)
    }

    fn download(&self, plan: &Plan) -> Option<Invocation> {
        Some(upgrade(plan, &["--download-only"]))
    }

    fn install(&self, plan: &Plan, _: &Finished) -> Invocation {
        // All at once, whatever a setting says about downloads: everything has been downloaded.
        upgrade(plan, &["--download", "in-advance"])
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
        rpm::history::came(&rpm::history::end_of(settings::history(machine)))
    }

    fn leave_out_text(&self, plan: &Plan) -> Option<String> {
        Some(package_locks(plan))
    }

    fn settings(&self) -> Option<&'static dyn Settings> {
        Some(&settings::OwnSettings)
    }

    fn plan_of_download(&self, finished: &Finished) -> Option<Listing> {
        Some(lists::plan(&finished.stdout))
    }

    fn asks_to_run_again(&self, finished: &Finished) -> bool {
        errors::asks_to_run_again(finished)
    }

    fn refresh_others(
        &self,
        refresh: &Invocation,
        finished: &Finished,
        read: &dyn Fn() -> Vec<ConfigFile>,
    ) -> Option<Invocation> {
        let passed_over = || refresh::of_passed_over(finished, &rpm::files::to_be_asked(&as_listed(read)));
        refresh::others(refresh, finished).or_else(passed_over)
    }

    fn read_cut(&self, finished: &Finished) -> Option<Vec<SourceResult>> {
        // The output does not name those that it did not come to.
        Some(refresh::read_cut(finished))
    }

    fn sources(&self, machine: &dyn Machine) -> Vec<String> {
        let answer = machine.ask(&list_repositories()).map(|answer| answer.stdout).unwrap_or_default();
        let enabled = lists::repositories(&answer).into_iter().filter(|one| one.is_enabled);
        enabled.map(|one| one.id).collect()
    }

    fn complete(&self, machine: &dyn Machine, plan: &Plan, listing: Listing) -> Result<Listing, Failure> {
        details::complete(machine, plan, listing)
    }

    fn sources_of_files(&self, files: Vec<ConfigFile>) -> Option<Vec<String>> {
        Some(rpm::files::enabled(&files))
    }

    fn with_files(&self, refreshed: Refreshed, read: &dyn Fn() -> Vec<ConfigFile>) -> Refreshed {
        let files = as_listed(read);
        let not_mounted = rpm::files::not_mounted(&files);
        let enabled = rpm::files::to_be_asked(&files);
        let mut refreshed = rpm::files::in_the_light_of(files, refreshed);
        refresh::add_passed_over(&enabled, &mut refreshed);
        let mut is_found = false;
        for (id, dir) in not_mounted {
            let its = refreshed.sources.iter_mut().find(|source| source.id == id && source.error.is_none());
            if let Some(source) = its {
                let text = format!("{id}: {dir} is not there or empty; look whether it is mounted");
                source.error = Some(Failure::new(Class::Fetch, text));
                is_found = true;
            }
        }
        if is_found && refreshed.outcome != RefreshOutcome::Failed {
            refreshed.judge_again();
        }
        refreshed
    }

    fn share(&self, left: Duration) -> Duration {
        // It asks one repository after the other, and waits minutes for a silent one. So some time is left for those
        // behind it, and some seconds until it is killed, because it ignores signals then.
        (left * 3 / 4).saturating_sub(Duration::from_secs(5)).max(left / 2)
    }

    fn culprits(&self, finished: &Finished) -> Vec<HeldBack> {
        culprits::culprits(finished)
    }

    fn arguments_of(&self, machine: &dyn Machine, mut sources: Vec<String>) -> Result<Vec<String>, Failure> {
        if !sources.is_empty() {
            let configured = owned::configured(machine)?;
            sources.iter_mut().for_each(|id| *id = owned::argument_of(&configured, id));
        }
        Ok(sources)
    }

    fn without_owned(
        &self,
        machine: &dyn Machine,
        listing: Listing,
        plan: &Plan,
        class: Class,
    ) -> Result<Listing, Failure> {
        owned::without_owned(machine, listing, plan, class)
    }

    fn expired(&self, machine: &dyn Machine) -> Result<Vec<SourceResult>, Failure> {
        // Without such a file no index has an end of validity.
        let is_any = |below: &&str| {
            let pattern = machine.places().cache.join(format!("*/{below}repodata/*suseinfo.xml*"));
            glob::glob(&pattern.to_string_lossy()).into_iter().flatten().flatten().next().is_some()
        };
        if !INDEX_BELOW.iter().any(is_any) {
            return Ok(Vec::new());
        }
        let question = Invocation { input: refresh::SHOW_ALIAS, ..zypper(SHOWING, &["list-updates"]) };
        Ok(errors::expired(&machine.ask(&question)?.stdout))
    }

    fn ask_not_offered(&self) -> Option<Invocation> {
        Some(plain_zypper(PLAIN, &["packages", "--orphaned"]))
    }

    fn parse_not_offered(&self, answer: &Finished) -> Option<Vec<String>> {
        lists::not_offered(answer)
    }

    fn release_files(&self, id: &str) -> Vec<String> {
        let dir = Pattern::escape(&id.replace('/', "_"));
        INDEX_BELOW.iter().map(|below| format!("{dir}/{below}repodata/repomd.xml")).collect()
    }

    fn published(&self, text: &str) -> Published {
        Published::of_repomd(text)
    }

    fn is_index(&self, path: &str) -> bool {
        path.ends_with("/repomd.xml") || path.ends_with("/content")
    }
}

impl Configuration for Zypper {
    fn release_of(&self, configured: &[ConfigFile], id: &str) -> &'static [&'static str] {
        rpm::files::release_of(configured, id)
    }
}

/// The files of the repositories, as zypper reads them.
fn as_listed(read: &dyn Fn() -> Vec<ConfigFile>) -> Vec<ConfigFile> {
    let mut files = read();
    files.sort_by_key(|file| file.listed_at);
    files
}

const SHOWING: &[&str] = &["--no-refresh", "--config", "/proc/self/fd/0"];

/// Names need not be unique, aliases are. A setting makes zypper show aliases instead of names. With `--verbose` it says
/// which repository it asks before it waits for it.
fn refresh(aliases: &[String]) -> Invocation {
    let all = zypper(&["--verbose", "--config", "/proc/self/fd/0"], &["refresh"]);
    let all = Invocation { input: refresh::SHOW_ALIAS, ..all };
    match aliases {
        [] => all,
        _ => Invocation { settings: KEPT_SERVICES, ..all.with(["--"]).with(aliases) },
    }
}

/// The administrator's locks of packages; [`rpm::LOCKS`] are of the database.
const PACKAGE_LOCKS: &str = "/etc/zypp/locks";

/// Locks for what is left out. A locked package is not replaced either. Locks in the administrator's own file would
/// survive a crash, and `update NAME` would mark packages that came as a dependency as asked for by a person.
fn package_locks(plan: &Plan) -> String {
    let stanza = |name: &String| {
        let name = rpm::names::plain_name(name);
        format!("\ntype: package\nmatch_type: exact\ncase_sensitive: on\nsolvable_name: {name}\n\n")
    };
    plan.staying().map(stanza).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_plan_becomes_repositories_and_a_settings_file() {
        let plan = Plan {
            full: true,
            only_sources: vec!["Main Repository".into()],
            without: vec!["other".into()],
            left_out: vec!["tb-a".into(), "tb-b.i686".into()],
            leave_out_file: Some("/x/selection".into()),
            ..Plan::default()
        };
        let invocation = Zypper.list_needs(&plan, &["tb-c".to_string()]);
        let end = "--dry-run --download in-advance --replacefiles --auto-agree-with-licenses --repo Main Repository -- tb-c";
        assert!(invocation.line().ends_with(end), "{}", invocation.line());
        assert_eq!(invocation.vars, [("ZYPP_CONF", PathBuf::from("/x/selection.conf"))]);
        assert!(list(&plan).line().contains(" update "), "{}", list(&plan).line());
        let whole = Plan { full: true, ..Plan::default() };
        assert!(list(&whole).line().contains(" dist-upgrade --no-allow-vendor-change "));
        let locks = package_locks(&plan);
        assert!(
            locks.contains("solvable_name: tb-a\n") && locks.contains("solvable_name: tb-b\n"),
            "{locks}"
        );
    }
}
