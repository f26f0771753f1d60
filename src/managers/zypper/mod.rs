//! zypper: SUSE Linux Enterprise, openSUSE Leap and Tumbleweed. Behaviour measured with zypper
//! 1.14.42 and 1.14.101.

mod commands;
mod errors;
mod lists;
mod refresh;
mod xml;

use crate::managers::capabilities::{Expiry, Settings, Unrefreshed};
use crate::managers::facts::{Elsewhere, Facts, Kernels, Places, Plan, RebootPackages};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::rpm;
use crate::model::outcome::{Failure, HeldBack, Listing, Refreshed, SourceResult, Update};
use crate::model::packages::{CutOff, Damage, Installed, Origin};
use crate::system::process::{Finished, Invocation};
use commands::*;
use std::collections::HashMap;
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
    // Not the index as it was fetched: zypper gives that a new time at every refresh.
    index: &[
        "/var/cache/zypp/solv/*",
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
    reboot_packages: RebootPackages::NONE,
    kernels: Kernels::IN_BOOT,
    knows_security: true,
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

    fn repair(&self, _: &Places, damage: &Damage) -> Vec<Invocation> {
        // zypper does not see the older one of two versions that were left, and installs with `--nodeps`
        // too; the update that follows brings what is missing.
        rpm::repair(damage, None)
    }

    fn is_package_name(&self, name: &str) -> bool {
        rpm::is_package_name(name)
    }

    fn plain_name<'a>(&self, name: &'a str) -> &'a str {
        rpm::plain_name(name)
    }

    fn refresh(&self, _: Duration) -> Invocation {
        refresh(&[])
    }

    fn judge(&self, finished: &Finished) -> Refreshed {
        refresh::judge(finished)
    }

    fn pending(&self, plan: &Plan) -> Invocation {
        list(plan)
    }

    fn parse_pending(&self, text: &str) -> Listing {
        lists::plan(text)
    }

    fn list(&self, plan: &Plan) -> Invocation {
        list(plan)
    }

    fn parse_list(&self, text: &str) -> Listing {
        lists::plan(text)
    }

    fn parse_origins(&self, _: &str) -> HashMap<String, Vec<Origin>> {
        HashMap::new()
    }

    fn list_needs(&self, plan: &Plan, names: &[String]) -> Invocation {
        list_needs(plan, names)
    }

    fn download(&self, plan: &Plan) -> Invocation {
        upgrade(plan, &["--download-only"])
    }

    fn install(&self, plan: &Plan, _: &Finished) -> Invocation {
        // All at once, whatever a setting says of downloads: it is there.
        upgrade(plan, &["--download", "in-advance"])
    }

    fn install_began(&self, finished: &Finished) -> bool {
        errors::install_began(finished)
    }

    fn classify(&self, finished: &Finished) -> Option<Failure> {
        errors::classify(finished)
    }

    fn list_installed(&self, _: &Places) -> Invocation {
        rpm::list_installed()
    }

    fn parse_installed(&self, text: &str, _: &Places) -> Installed {
        rpm::parse_installed(text)
    }

    fn cut_off_runs(&self, machine: &dyn Machine) -> Vec<CutOff> {
        let log = machine.elsewhere().history.as_deref().unwrap_or(Path::new("/var/log/zypp/history"));
        rpm::history::came(&rpm::history::end_of(log))
    }

    fn provides(&self, machine: &dyn Machine, names: &[&str]) -> HashMap<String, Vec<String>> {
        rpm::provides(machine, names)
    }

    fn obsoleters(&self, machine: &dyn Machine, name: &str) -> Vec<String> {
        rpm::obsoleters(machine, name)
    }

    fn keeps_several(&self, name: &str, provides: &[&str], rules: &str) -> bool {
        rpm::keeps_several(name, provides, rules)
    }

    fn selection(&self, plan: &Plan) -> Option<String> {
        Some(lock(plan))
    }

    fn settings(&self) -> Option<Settings> {
        Some(SETTINGS)
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

    fn read_cut(&self, finished: &Finished) -> Vec<SourceResult> {
        refresh::read_cut(finished)
    }

    fn sources(&self, machine: &dyn Machine) -> Vec<String> {
        let answer = machine.ask(&list_repositories()).map(|answer| answer.stdout).unwrap_or_default();
        let enabled = lists::repositories(&answer).into_iter().filter(|one| one.is_enabled);
        enabled.map(|one| one.id).collect()
    }

    fn complete(&self, machine: &dyn Machine, plan: &Plan, listing: Listing) -> Result<Listing, Failure> {
        complete(machine, plan, listing)
    }

    fn share(&self, left: Duration) -> Duration {
        share(left)
    }

    fn culprits(&self, finished: &Finished) -> Vec<HeldBack> {
        errors::culprits(finished)
    }

    fn expiry(&self) -> Option<Expiry> {
        Some(Expiry {
            files: "*/repodata/*suseinfo.xml*",
            ask: || Invocation { input: refresh::SHOW_ALIAS, ..zypper(SHOWING, &["list-updates"]) },
            parse: errors::expired,
        })
    }

    fn unrefreshed(&self) -> Option<Unrefreshed> {
        Some(Unrefreshed {
            ask: list_repositories,
            parse: lists::repositories,
            index: |alias| {
                let dir = PathBuf::from(alias.replace('/', "_"));
                ["repodata", "content", "cookie"].map(|name| dir.join(name)).into()
            },
        })
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

/// What a plan adds to a command line. Where some repositories could not be refreshed, the others
/// are named: zypper has no option that leaves one out.
fn with_choice(mut invocation: Invocation, plan: &Plan) -> Invocation {
    for repository in &plan.from {
        invocation.args.extend(["--repo".to_string(), repository.clone()]);
    }
    if let Some(selection) = &plan.selection {
        invocation.vars.push((SETTINGS.variable, settings_path(selection)));
    }
    invocation
}

/// `update` keeps to what is installed and leaves out what it cannot resolve. `dist-upgrade` takes
/// what the repositories have, if need be an older version, and removes what is in the way; never
/// from another vendor than before. Where a repository is missing it would go back to what the
/// others have.
fn upgrade(plan: &Plan, options: &[&str]) -> Invocation {
    let words: &[&str] = match plan.full && plan.without.is_empty() {
        false => &["update"],
        true => &["dist-upgrade", "--no-allow-vendor-change"],
    };
    // That removals may solve a problem, which a setting can say of any command, is not wanted here.
    let words = [words, &["--no-force-resolution"], options].concat();
    with_choice(zypper(OFFLINE, &words), plan)
}

/// Files that are in the way are found once the packages are there, and would end the list, as would a
/// licence.
fn list(plan: &Plan) -> Invocation {
    upgrade(plan, DRY_RUN)
}

/// Of downloads a setting may say that they alone are made, a dry run or not.
const DRY_RUN: &[&str] =
    &["--dry-run", "--download", "in-advance", "--replacefiles", "--auto-agree-with-licenses"];

/// `install` and not `update`, which knows no package that is not installed yet. Nothing is
/// installed here, so that nothing is marked as wanted by a person either.
fn list_needs(plan: &Plan, names: &[String]) -> Invocation {
    let words = [&["install", "--name", "--no-force-resolution"], DRY_RUN].concat();
    let mut invocation = with_choice(zypper(OFFLINE, &words), plan);
    invocation.args.push("--".to_string());
    invocation.args.extend_from_slice(names);
    invocation
}

/// What stays does not stand in the XML summary, nor what replaces what, nor, in old versions, where what
/// comes is from. Of the patches only their own descriptions say which packages they are about, and only those
/// that speak of what is installed are needed.
fn complete(machine: &dyn Machine, plan: &Plan, mut listing: Listing) -> Result<Listing, Failure> {
    let ask = |question: Invocation| machine.ask(&question).map(|answer| answer.stdout);
    let ask_if = |question: Option<Invocation>| question.map_or(Ok(String::new()), ask);
    let of_choice = |words: &[&str]| with_choice(zypper(OFFLINE, words), plan);

    listing = lists::add_held_back(&ask(of_choice(&["list-updates", "--all"]))?, listing);
    if !listing.held_back.is_empty() {
        listing = lists::add_locks(&ask(zypper(OFFLINE, &["locks"]))?, listing);
    }
    if !listing.removals.is_empty() {
        let found = ask_if(ask_replacing(plan, &listing))?;
        let names = lists::found_updates(&found, &listing);
        let names: Vec<_> = names.iter().map(|name| rpm::plain_name(name).to_string()).collect();
        if let Some(question) = info(plan, &["--type", "package", "--obsoletes"], &names) {
            listing = lists::add_replaced(&ask(question)?, listing);
        }
    }
    let patches = lists::needed_patches(&ask(of_choice(&["list-patches"]))?);
    listing = lists::add_patches(&ask_if(info(plan, PATCHES, &patches))?, listing);
    let of_new = lists::found_patches(&ask_if(ask_patches_of_new(plan, &listing))?);
    listing = lists::add_patches(&ask_if(info(plan, PATCHES, &of_new))?, listing);
    if listing.updates.iter().any(|update| update.security.is_none()) {
        listing = lists::add_told(&ask(of_choice(&["list-patches", "--all"]))?, listing);
    }
    if listing.held_back.iter().any(lists::is_missing_fix) {
        listing = lists::without_fixes_of_others(&ask(rpm::list_installed())?, listing);
    }
    Ok(listing)
}

const PATCHES: &[&str] = &["--type", "patch"];

/// Asks for descriptions.
fn info(plan: &Plan, what: &[&str], names: &[String]) -> Option<Invocation> {
    let mut invocation = with_choice(plain_zypper(PLAIN, &[&["info"], what].concat()), plan);
    invocation.env = ENV_IN_UTC;
    invocation.args.push("--".to_string());
    invocation.args.extend_from_slice(names);
    (!names.is_empty()).then_some(invocation)
}

/// Asks for what obsoletes the packages that would be removed.
fn ask_replacing(plan: &Plan, listing: &Listing) -> Option<Invocation> {
    search(plan, &["--type", "package", "--obsoletes"], listing.removals.iter().map(|(name, _)| name))
}

/// Asks for the patches about packages that would come in the place of others.
fn ask_patches_of_new(plan: &Plan, listing: &Listing) -> Option<Invocation> {
    let is_new = |update: &&Update| !update.replaces.is_empty() && update.security != Some(true);
    let names = listing.updates.iter().filter(is_new).map(|update| &update.name);
    search(plan, &["--type", "patch", "--conflicts"], names)
}

/// Asks for what is about packages with these names, if there are any.
fn search<'a>(plan: &Plan, what: &[&str], names: impl Iterator<Item = &'a String>) -> Option<Invocation> {
    let words = [&["search", "--details", "--match-exact"], what].concat();
    let mut invocation = with_choice(zypper(OFFLINE, &words), plan);
    invocation.args.push("--".to_string());
    let options = invocation.args.len();
    let names = names.map(|name| rpm::plain_name(name).to_string()).filter(|name| rpm::is_package_name(name));
    invocation.args.extend(names);
    (invocation.args.len() > options).then_some(invocation)
}

/// The administrator's locks.
const LOCKS: &str = "/etc/zypp/locks";

/// Where zypper is told of our locks. Of the files and directories it reads itself the variable
/// makes it read none, so that ours holds what they hold: without `multiversion` a new kernel
/// would replace the running one.
const SETTINGS: Settings = Settings {
    variable: "ZYPP_CONF",
    // Debian's builds have /usr/share where SUSE's have /usr/etc.
    files: &[
        "/etc/zypp/zypp.conf",
        "/run/zypp/zypp.conf",
        "/usr/etc/zypp/zypp.conf",
        "/usr/share/zypp/zypp.conf",
    ],
    directories: &[
        "/usr/share/zypp/zypp.conf.d",
        "/usr/etc/zypp/zypp.conf.d",
        "/run/zypp/zypp.conf.d",
        "/etc/zypp/zypp.conf.d",
    ],
    path: settings_path,
    text: |selection| format!("[main]\nlocksfile.apply = yes\nlocksfile.path = {}\n", selection.display()),
    base,
    elsewhere,
    kept: None,
};

fn settings_path(selection: &Path) -> PathBuf {
    selection.with_extension("conf")
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
    let solv = below("solvfilesdir", cache.as_ref(), "solv").map(|solv| solv.join("*"));
    let sources = sources.map(|(key, name, files)| of_config((key, name)).map(|dir| dir.join(files)));
    Elsewhere {
        sources: words([&sources[..], &[of_config(("varsdir", "vars.d"))]].concat()),
        index: words([index.map(of_config).into(), vec![solv, path_of(settings, "locksfile.path")]].concat()),
        rules: words(vec![below("multiversiondir", config.as_ref(), "multiversion.d")]),
        history: path_of(settings, "history.logfile"),
        cache: below("metadatadir", cache.as_ref(), "raw").or(cache),
    }
}

/// Locks for what is left out. An installed package that is locked is not replaced either. A lock of the administrator's own would outlive a crash, and
/// `update NAME` would turn packages that came as a dependency into ones that a person wants.
fn lock(plan: &Plan) -> String {
    let stanza = |name: &String| {
        let name = rpm::plain_name(name);
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
    fn what_settings_put_elsewhere_is_found() {
        assert_eq!(elsewhere("# cachedir = /x\n[main]\nreposdir = repos\n"), Elsewhere::default());
        let found = elsewhere("cachedir = /c\nconfigdir = /e\nreposdir=/r\nsolvfilesdir=/s\n");
        assert_eq!(found.cache, Some("/c/raw".into()));
        assert_eq!(found.sources, ["/r/*.repo", "/e/services.d/*.service", "/e/vars.d"]);
        assert_eq!(found.index, ["/e/vendors.d", "/e/multiversion.d", "/s/*"]);
        assert_eq!(found.rules, ["/e/multiversion.d"]);
        let found = elsewhere("history.logfile=/h\nmultiversiondir = /m\n");
        assert_eq!((found.history, &*found.rules), (Some("/h".into()), &["/m".to_string()][..]));
    }
}
