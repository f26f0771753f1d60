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
mod xml;

use crate::managers::capabilities::{Autoremove, ConfigFile, Settings};
use crate::managers::database::Database;
use crate::managers::facts::{Elsewhere, Facts, Places, Plan};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::rpm;
use crate::managers::rpm::database::Rpm;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::{CutOff, Damage};
use crate::model::published::Published;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::updates::HeldBack;
use crate::system::process::{Finished, Invocation};
use commands::*;
use glob::Pattern;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is fixed of it.
static FACTS: Facts = Facts {
    name: "zypper",
    programs: &["zypper"],
    systems: &["suse", "opensuse", "sles", "sled", "sle-micro"],
    package_databases: &[
        "/usr/lib/sysimage/rpm/Packages.db",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/var/lib/rpm/Packages.db",
        "/var/lib/rpm/rpmdb.sqlite",
        "/var/lib/rpm/Packages",
    ],
    source_config: &[
        "/etc/zypp/repos.d/*.repo",
        "/etc/zypp/services.d/*.service",
        "/etc/zypp/vars.d",
        "/etc/zypp/zypp.conf",
        "/etc/zypp/zypp.conf.d/*.conf",
    ],
    // Not the index as it was fetched: zypper gives that a new time at every refresh. Nor what it keeps there of the
    // installed packages: `@System`.
    index: &[
        "/var/cache/zypp/solv/[!@]*",
        "/var/cache/zypp/solv/@[!S]*",
        "/etc/zypp/locks",
        "/etc/zypp/vendors.d",
        "/etc/zypp/zypper.conf",
        "/usr/etc/zypp/zypp.conf",
        "/usr/etc/zypp/zypp.conf.d",
    ],
    cache: "/var/cache/zypp/raw",
    locks: rpm::LOCKS,
    pid_files: &["/run/zypp.pid", "/var/run/zypp.pid"],
    reboot_flags: &["/run/reboot-needed"],
    // libzypp knows them, and leaves the flag.
    knows_security: true,
    lists_all: true,
    rules: rpm::RULES,
    needs_of_new: true,
    selection_base: LOCKS,
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
        // zypper does not see the older one of two versions that were left, and installs with `--nodeps`
        // too; the update that follows brings what is missing.
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
        // All at once, whatever a setting says of downloads: it is there.
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
        let log = machine.elsewhere().history.as_deref().unwrap_or(Path::new("/var/log/zypp/history"));
        rpm::history::came(&rpm::history::end_of(log))
    }

    fn selection(&self, plan: &Plan) -> Option<String> {
        Some(lock(plan))
    }

    fn settings(&self) -> Option<&'static dyn Settings> {
        Some(&OwnSettings)
    }

    fn longest_silence(&self, _: &Invocation, settings: &str) -> Duration {
        longest_silence(settings)
    }

    fn plan_of_download(&self, finished: &Finished) -> Option<Listing> {
        Some(lists::plan(&finished.stdout))
    }

    fn asks_to_run_again(&self, finished: &Finished) -> bool {
        errors::asks_to_run_again(finished)
    }

    fn refresh_others(&self, refresh: &Invocation, finished: &Finished) -> Option<Invocation> {
        refresh::others(refresh, finished)
    }

    fn read_cut(&self, finished: &Finished) -> Option<Vec<SourceResult>> {
        // Those that it did not come to are none of its words.
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

    fn sources_of_files(&self, files: Vec<ConfigFile>) -> Vec<String> {
        rpm::files::enabled(&files)
    }

    fn with_files(&self, refreshed: Refreshed, read: &dyn Fn() -> Vec<ConfigFile>) -> Refreshed {
        let mut files = read();
        files.sort_by_key(|file| file.listed_at);
        rpm::files::in_the_light_of(files, refreshed)
    }

    fn share(&self, left: Duration) -> Duration {
        share(left)
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
        // Without such a file no index has an end.
        let pattern = machine.places().cache.join("*/repodata/*suseinfo.xml*");
        let mut files = glob::glob(&pattern.to_string_lossy()).into_iter().flatten().flatten();
        if files.next().is_none() {
            return Ok(Vec::new());
        }
        let question = Invocation { input: refresh::SHOW_ALIAS, ..zypper(SHOWING, &["list-updates"]) };
        Ok(errors::expired(&machine.ask(&question)?.stdout))
    }

    fn ask_not_offered(&self) -> Option<Invocation> {
        Some(Invocation { settings: NO_SERVICES, ..plain_zypper(PLAIN, &["packages", "--orphaned"]) })
    }

    fn parse_not_offered(&self, answer: &Finished) -> Option<Vec<String>> {
        lists::not_offered(answer)
    }

    fn release_files(&self, id: &str) -> Vec<String> {
        vec![format!("{}/repodata/repomd.xml", Pattern::escape(&id.replace('/', "_")))]
    }

    fn published(&self, text: &str) -> Published {
        Published::of_repomd(text)
    }

    fn is_index(&self, path: &str) -> bool {
        path.ends_with("/repomd.xml") || path.ends_with("/content")
    }
}

/// It asks one repository after the other, and waits minutes for a silent one: some time is left for
/// those behind it, and for the seconds until it is killed, as it hears no signal then.
fn share(left: Duration) -> Duration {
    (left * 3 / 4).saturating_sub(Duration::from_secs(5)).max(left / 2)
}

const SHOWING: &[&str] = &["--no-refresh", "--config", "/proc/self/fd/0"];

/// Names are not unique, aliases are: where they are shown instead of names is a setting.
fn refresh(aliases: &[String]) -> Invocation {
    let mut invocation = zypper(&["--config", "/proc/self/fd/0"], &["refresh"]);
    invocation.input = refresh::SHOW_ALIAS;
    if !aliases.is_empty() {
        invocation.settings = NO_SERVICES;
        invocation.args.push("--".to_string());
        invocation.args.extend_from_slice(aliases);
    }
    invocation
}

/// `install` and not `update`, which knows no package that is not installed yet. Nothing is
/// installed here, so that nothing is marked as wanted by a person either.
fn list_needs(plan: &Plan, names: &[String]) -> Invocation {
    let words = [&["install", "--name", "--no-force-resolution"], DRY_RUN].concat();
    let mut invocation = with_choice(zypper(OFFLINE, &words), plan);
    invocation.args.push("--".to_string());
    invocation.args.extend_from_slice(names);
    invocation
}

/// The administrator's locks.
const LOCKS: &str = "/etc/zypp/locks";

/// Where zypper is told of our locks. Of the files and directories it reads itself the variable
/// makes it read none, so that ours holds what they hold: without `multiversion` a new kernel
/// would replace the running one.
struct OwnSettings;

impl Settings for OwnSettings {
    fn variable(&self) -> &'static str {
        SETTINGS_VARIABLE
    }

    fn files(&self) -> &'static [&'static str] {
        // Debian's builds have /usr/share where SUSE's have /usr/etc.
        &[
            "/etc/zypp/zypp.conf",
            "/run/zypp/zypp.conf",
            "/usr/etc/zypp/zypp.conf",
            "/usr/share/zypp/zypp.conf",
        ]
    }

    fn directories(&self) -> &'static [&'static str] {
        &[
            "/usr/share/zypp/zypp.conf.d",
            "/usr/etc/zypp/zypp.conf.d",
            "/run/zypp/zypp.conf.d",
            "/etc/zypp/zypp.conf.d",
        ]
    }

    fn path(&self, selection: &Path) -> PathBuf {
        settings_path(selection)
    }

    fn text(&self, selection: &Path) -> String {
        format!("[main]\nlocksfile.apply = yes\nlocksfile.path = {}\n", selection.display())
    }

    fn base(&self, settings: &str) -> Option<PathBuf> {
        base(settings)
    }

    fn elsewhere(&self, settings: &str) -> Elsewhere {
        elsewhere(settings)
    }
}

/// Where the administrator keeps the locks, if it is not the usual place; nowhere, if they are not
/// to be applied.
fn base(settings: &str) -> Option<PathBuf> {
    let is_off = |value: &str| ["0", "no", "off", "false", "never", "-"].contains(&&*value.to_lowercase());
    match value_of(settings, "locksfile.apply") {
        Some(value) if is_off(value) => Some(PathBuf::from("/dev/null")),
        _ => path_of(settings, "locksfile.path"),
    }
}

/// The last value of a key.
fn value_of<'a>(settings: &'a str, key: &str) -> Option<&'a str> {
    let mut values = settings.lines().rev().filter_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found.trim() == key).then(|| value.trim())
    });
    values.next()
}

/// How long a download may be silent by the limits that the administrator has set, and some time for what
/// zypper does between two. libzypp takes an hour at most for each.
fn longest_silence(settings: &str) -> Duration {
    const LIMITS: [&str; 2] = ["download.transfer_timeout", "download.connect_timeout"];
    let limits = LIMITS.into_iter().filter_map(|key| value_of(settings, key)?.parse::<u64>().ok());
    let sum: u64 = limits.map(|limit| limit.min(3600)).sum();
    Duration::from_secs(if sum == 0 { 0 } else { sum + 60 })
}

fn path_of(settings: &str, key: &str) -> Option<PathBuf> {
    value_of(settings, key).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The places that zypp.conf(5) can name; some are below others unless they are named themselves.
fn elsewhere(settings: &str) -> Elsewhere {
    let below = |key: &str, top: Option<&PathBuf>, name: &str| {
        path_of(settings, key).or_else(|| top.map(|top| top.join(name)))
    };
    let words = |paths: Vec<Option<PathBuf>>| -> Vec<String> {
        paths.into_iter().flatten().map(|path| path.display().to_string()).collect()
    };
    let (cache, config) = (path_of(settings, "cachedir"), path_of(settings, "configdir"));
    let sources = [("reposdir", "repos.d", "*.repo"), ("servicesdir", "services.d", "*.service")];
    let index = [("vendordir", "vendors.d"), ("multiversiondir", "multiversion.d")];
    let of_config = |(key, name): (&str, &str)| below(key, config.as_ref(), name);
    let solv = below("solvfilesdir", cache.as_ref(), "solv");
    let solv = ["[!@]*", "@[!S]*"].map(|names| solv.as_ref().map(|solv| solv.join(names)));
    let sources = sources.map(|(key, name, files)| of_config((key, name)).map(|dir| dir.join(files)));
    Elsewhere {
        sources: words([&sources[..], &[of_config(("varsdir", "vars.d"))]].concat()),
        index: words([&index.map(of_config)[..], &solv, &[path_of(settings, "locksfile.path")]].concat()),
        rules: words(vec![below("multiversiondir", config.as_ref(), "multiversion.d")]),
        history: path_of(settings, "history.logfile"),
        cache: below("metadatadir", cache.as_ref(), "raw").or(cache),
    }
}

/// Locks for what is left out. An installed package that is locked is not replaced either. A lock of the administrator's own would outlive a crash, and
/// `update NAME` would turn packages that came as a dependency into ones that a person wants.
fn lock(plan: &Plan) -> String {
    let stanza = |name: &String| {
        let name = rpm::names::plain_name(name);
        format!("\ntype: package\nmatch_type: exact\ncase_sensitive: on\nsolvable_name: {name}\n\n")
    };
    plan.staying().map(stanza).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_becomes_repositories_and_a_settings_file() {
        let plan = Plan {
            full: true,
            from: vec!["Main Repository".into()],
            without: vec!["other".into()],
            left_out: vec!["tb-a".into(), "tb-b.i686".into()],
            selection: Some("/x/selection".into()),
            ..Plan::default()
        };
        let invocation = list_needs(&plan, &["tb-c".to_string()]);
        let end = "--dry-run --download in-advance --replacefiles --auto-agree-with-licenses --repo Main Repository -- tb-c";
        assert!(invocation.line().ends_with(end), "{}", invocation.line());
        assert_eq!(invocation.vars, [("ZYPP_CONF", PathBuf::from("/x/selection.conf"))]);
        assert!(list(&plan).line().contains(" update "), "{}", list(&plan).line());
        let whole = Plan { full: true, ..Plan::default() };
        assert!(list(&whole).line().contains(" dist-upgrade --no-allow-vendor-change "));
        let locks = lock(&plan);
        assert!(
            locks.contains("solvable_name: tb-a\n") && locks.contains("solvable_name: tb-b\n"),
            "{locks}"
        );
    }

    #[test]
    fn the_administrators_own_place_of_locks_is_found() {
        assert_eq!(base("# locksfile.path = /x\n[main]\nmultiversion = a\n"), None);
        assert_eq!(base("[main]\n locksfile.path=/a\nlocksfile.path = /b \n"), Some("/b".into()));
        assert_eq!(base("locksfile.path = /b\nlocksfile.apply = No\n"), Some("/dev/null".into()));
    }

    #[test]
    fn the_limits_of_the_administrator_are_not_undercut() {
        for (settings, seconds) in [
            ("[main]\n# download.transfer_timeout = 180\n", 0),
            ("[main]\ndownload.transfer_timeout = 900\n", 960),
            (
                "download.transfer_timeout=900\ndownload.transfer_timeout = 600\ndownload.connect_timeout = 40\n",
                700,
            ),
            ("download.transfer_timeout = 99999999999\n", 3660),
            ("download.transfer_timeout = soon\n", 0),
        ] {
            assert_eq!(longest_silence(settings), Duration::from_secs(seconds), "{settings}");
        }
    }

    #[test]
    fn what_settings_put_elsewhere_is_found() {
        assert_eq!(elsewhere("# cachedir = /x\n[main]\nreposdir = repos\n"), Elsewhere::default());
        let found = elsewhere("cachedir = /c\nconfigdir = /e\nreposdir=/r\nsolvfilesdir=/s\n");
        assert_eq!(found.cache, Some("/c/raw".into()));
        assert_eq!(found.sources, ["/r/*.repo", "/e/services.d/*.service", "/e/vars.d"]);
        assert_eq!(found.index, ["/e/vendors.d", "/e/multiversion.d", "/s/[!@]*", "/s/@[!S]*"]);
        assert_eq!(found.rules, ["/e/multiversion.d"]);
        let found = elsewhere("history.logfile=/h\nmultiversiondir = /m\n");
        assert_eq!((found.history, &*found.rules), (Some("/h".into()), &["/m".to_string()][..]));
    }
}
