//! apt: Debian, Ubuntu and their relatives. Behaviour measured with apt 2.2, 2.6, 3.0 and 3.3.

mod blame;
mod commands;
mod cut_off;
mod dpkg;
mod errors;
mod lists;
mod progress;
mod redirect;
mod refresh;
mod sources;

use crate::managers::apt::dpkg::Dpkg;
use crate::managers::capabilities::{EndedEarly, Locate, SourceList};
use crate::managers::database::Database;
use crate::managers::facts::{Elsewhere, Facts, Kernels, Places, Plan, RebootPackages};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::origins;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::{Damage, Origin};
use crate::model::published::Published;
use crate::model::refreshed::Refreshed;
use crate::model::updates::HeldBack;
use crate::system::process::{End, Finished, Invocation};
use commands::{ENV, ENV_DEFAULTS, admin_dir, apt_get, setting};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// What is fixed of it.
static FACTS: Facts = Facts {
    name: "apt",
    programs: &["apt-get"],
    systems: &["debian", "ubuntu"],
    package_databases: &["/var/lib/dpkg/status"],
    source_config: &[
        "/etc/apt/sources.list",
        "/etc/apt/sources.list.d/*.list",
        "/etc/apt/sources.list.d/*.sources",
    ],
    index: &[
        "/var/lib/apt/lists",
        "/etc/apt/preferences",
        "/etc/apt/preferences.d",
        "/etc/apt/apt.conf",
        "/etc/apt/apt.conf.d",
    ],
    cache: "/var/lib/apt/lists",
    locks: &[
        "/var/lib/apt/lists/lock",
        "/var/lib/dpkg/lock-frontend",
        "/var/lib/dpkg/lock",
        "/var/cache/apt/archives/lock",
    ],
    pid_files: &[],
    reboot_flags: &["/run/reboot-required", "/var/run/reboot-required"],
    reboot_packages: RebootPackages::NONE,
    kernels: Kernels::IN_BOOT,
    knows_security: true,
    lists_installed: true,
    lists_refreshed_only: false,
    selection_base: "/etc/apt/preferences",
    ..Facts::NONE
};

/// The manager of this folder.
#[derive(Debug)]
pub struct Apt;

impl Manager for Apt {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn database(&self) -> &'static dyn Database {
        &Dpkg
    }

    fn repair(&self, places: &Places, _: &Damage) -> Vec<Invocation> {
        vec![repair(places)]
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
        lists::parse(text)
    }

    fn release_files(&self, id: &str) -> Vec<String> {
        sources::release_files(id)
    }

    fn published(&self, text: &str) -> Published {
        Published::of_release(text)
    }

    fn ask_origins(&self, names: &[&str]) -> Option<Invocation> {
        Some(lists::ask_origins(names))
    }

    fn parse_origins(&self, text: &str) -> HashMap<String, Vec<Origin>> {
        lists::parse_origins(text)
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

    fn install_began(&self, finished: &Finished) -> bool {
        errors::install_began(finished)
    }

    fn classify(&self, finished: &Finished) -> Option<Failure> {
        (finished.end != End::Code(0)).then(|| errors::classify(finished))
    }

    fn locate(&self) -> Option<&'static Locate> {
        Some(&LOCATE)
    }

    fn configured(&self) -> Option<&'static SourceList> {
        Some(&CONFIGURED)
    }

    fn ended_early(&self) -> Option<&'static EndedEarly> {
        Some(&cut_off::ENDED_EARLY)
    }

    fn unmet(&self, machine: &dyn Machine) -> Option<String> {
        let failure = machine.ask(&apt_get(&[], &["check"])).err()?;
        (failure.class == Class::Dependency).then_some(failure.message)
    }

    fn complete(&self, machine: &dyn Machine, _: &Plan, listing: Listing) -> Result<Listing, Failure> {
        match lists::ask_allowed(&listing) {
            Some(question) => Ok(lists::add_allowed(&machine.ask(&question)?.stdout, listing)),
            None => Ok(listing),
        }
    }

    fn may_unpack_on_read_only(&self, machine: &dyn Machine) -> Result<bool, Failure> {
        Ok(has_hooks(&machine.ask(&dump())?.stdout))
    }

    fn cached(
        &self,
        machine: &dyn Machine,
        planned: &Listing,
        downloaded: &Finished,
    ) -> Vec<(PathBuf, String)> {
        let question = lists::ask_hashes(planned, downloaded);
        let answer = question.and_then(|question| machine.ask(&question).ok());
        answer.map(|answer| lists::hashes(&answer.stdout, machine.places())).unwrap_or_default()
    }

    fn parse_places(&self, usual: Places, configuration: &str) -> Places {
        parse_places(usual, configuration)
    }

    fn elsewhere(&self, configuration: &str) -> Elsewhere {
        elsewhere(configuration)
    }

    fn finish(&self, places: &Places, names: &[&str]) -> Option<Invocation> {
        Some(configure(places, names))
    }

    fn past_failures(&self, install: Invocation) -> Option<Invocation> {
        Some(past_failures(install))
    }

    fn reinstall(&self, name: &str) -> String {
        format!("apt-get install --reinstall {name}")
    }

    fn with_limits(&self, invocation: Invocation, configuration: &str) -> Invocation {
        with_limits(invocation, configuration)
    }

    fn tell_security(&self, machine: &dyn Machine, listing: &mut Listing) -> Result<(), Failure> {
        let found = self.origins(machine, &origins::open(listing))?;
        origins::tell(listing, &found, true);
        if lists::may_wait(listing, &found) {
            let options = [
                "APT::Get::Always-Include-Phased-Updates=true",
                "APT::Get::Never-Include-Phased-Updates=false",
            ];
            let question = apt_get(&options, &[&["-s", "-V"], upgrade(&Plan::default())].concat());
            let all = machine.ask(&question).map(|answer| lists::parse(&answer.stdout)).unwrap_or_default();
            lists::tell_phased(listing, &found, &all);
        }
        Ok(())
    }

    fn place_of(&self, message: &str, configuration: &str) -> Option<String> {
        blame::place_of(message, configuration)
    }

    fn may_remove(&self, configuration: &str) -> bool {
        may_remove(configuration)
    }

    fn longest_silence(&self, invocation: &Invocation, configuration: &str) -> Duration {
        longest_silence(invocation, configuration)
    }

    fn selection(&self, plan: &Plan) -> Option<String> {
        Some(selection(plan))
    }

    fn culprits(&self, finished: &Finished) -> Vec<HeldBack> {
        lists::culprits(finished)
    }

    fn disappeared(&self, finished: &Finished) -> Vec<String> {
        lists::disappeared(finished)
    }

    fn progress<'a>(&self, line: &'a str) -> Option<(f64, &'a str)> {
        progress(line)
    }
}

/// apt.conf(5).
const SETTINGS: &[&str] = &["/etc/apt/apt.conf", "/etc/apt/apt.conf.d"];

/// The file of APT_CONFIG may name another directory for all others.
const LOCATE: Locate = Locate {
    ask: locate,
    files: SETTINGS,
    variables: &["APT_CONFIG"],
    of_use: str::to_owned,
    depends_on_more: |text| text.to_ascii_lowercase().contains("#include"),
    is_elsewhere,
};

/// Whether apt.conf itself is not in its usual place. What is read in the end can still move it.
fn is_elsewhere(configuration: &str) -> bool {
    ["MAIN", "PARTS"].into_iter().any(|name| {
        let place = setting(configuration, name).map(|path| path.trim_end_matches('/'));
        place.is_some_and(|place| !SETTINGS.contains(&place))
    })
}

const CONFIGURED: SourceList = SourceList {
    ask: sources::ask,
    settings: SETTINGS,
    variable: "APT_CONFIG",
    judge: refresh::judge_configured,
    files: sources::files,
    doubts: redirect::doubts,
    is_others: redirect::is_others,
    came: redirect::came,
    files_of: sources::files_of,
    lacks: sources::lacks,
    unreadable: errors::unreadable,
};

/// One retry after a second: apt's own default of three turns a hanging mirror into 247 s.
const RETRIES: &str = "Acquire::Retries=1";

/// apt waits for a silent mirror twice the timeout, for each try: with one retry a tenth of the
/// budget leaves more than half of it to the other sources.
fn refresh(budget: Duration) -> Invocation {
    let silence = (budget.as_secs() / 12).clamp(1, 30);
    let [http, https] = ["http", "https"].map(|method| format!("Acquire::{method}::Timeout={silence}"));
    apt_get(&["APT::Update::Error-Mode=any", RETRIES, &http, &https], &["update"])
}

/// `upgrade --with-new-pkgs` is what `apt upgrade` does: new dependencies come in (a kernel
/// update is nothing else), nothing is removed.
fn upgrade(plan: &Plan) -> &'static [&'static str] {
    if plan.mends {
        // The solver of apt 3 gives up where a package that was cut off has to come with another.
        return &["-o", "APT::Solver=internal", "-f", "install"];
    }
    if plan.full { &["dist-upgrade"] } else { &["--with-new-pkgs", "upgrade"] }
}

fn selection_option(plan: &Plan) -> Option<String> {
    let path = plan.selection.as_ref()?;
    Some(format!("Dir::Etc::Preferences={}", path.display()))
}

/// A simulation cannot install anything whatever apt.conf says, unlike `--assume-no`, which an
/// `APT::Get::Assume-Yes` overrules.
fn list(plan: &Plan) -> Invocation {
    let selection = selection_option(plan);
    let options: Vec<&str> = selection.as_deref().into_iter().collect();
    apt_get(&options, &[&["-s", "-V"], upgrade(plan)].concat())
}

fn list_needs(plan: &Plan, names: &[String]) -> Invocation {
    let selection = selection_option(plan);
    let options: Vec<&str> = selection.as_deref().into_iter().collect();
    let mut invocation = apt_get(&options, &["-s", "-V", "--only-upgrade", "install"]);
    invocation.args.extend_from_slice(names);
    invocation
}

/// apt_preferences(5) records: at a negative priority no version of the package is a candidate,
/// so that it stays as it is. Unlike a hold or `install NAME` this leaves nothing behind: no
/// hold after a crash, and no package turned from automatically to manually installed. The
/// first record for a package or one of its versions wins, so ours stand before the administrator's.
fn selection(plan: &Plan) -> String {
    let record =
        |name: &str, version: &str| format!("Package: {name}\nPin: version {version}\nPin-Priority: -1\n\n");
    let left_out = plan.left_out.iter().map(|name| record(name, "*"));
    let passed_over = plan.passed_over.iter().map(|(name, version)| record(name, version));
    left_out.chain(passed_over).collect()
}

fn change(plan: &Plan, options: &[&str], words: &[&str]) -> Invocation {
    let selection = selection_option(plan);
    let mut all = vec![
        // We wait for locks ourselves, inside a budget; apt.conf may say "for ever".
        "DPkg::Lock::Timeout=0",
        // How long a mirror may be silent is apt.conf's to say: a download that stands still is ended.
        RETRIES,
    ];
    all.extend_from_slice(options);
    all.extend(selection.as_deref());
    apt_get(&all, &[words, upgrade(plan)].concat())
}

fn download(plan: &Plan) -> Invocation {
    change(plan, &[], &["-y", "-d"])
}

/// With `--no-download` the install cannot wait for a mirror. Packages of `file:` and `cdrom:`
/// sources are never copied to the archive directory, and apt fails over them with that option;
/// they are only "fetched" from the local disk.
fn install(plan: &Plan, downloaded: &Finished) -> Invocation {
    let has_local = downloaded.stdout.lines().any(|line| {
        let item = line.strip_prefix("Get:").and_then(|rest| rest.split_once(' '));
        item.is_some_and(|(_, item)| {
            ["file:", "copy:", "cdrom:"].iter().any(|scheme| item.starts_with(scheme))
        })
    });
    let words: &[&str] = if has_local { &["-y"] } else { &["-y", "--no-download"] };
    let options = [
        // Without a terminal of its own dpkg's words reach us unchanged, and a script that
        // reads its input finds the end of /dev/null instead of waiting for ever.
        "Dpkg::Use-Pty=0",
        // Both: confdef alone asks where there is no default, confold alone overrules it.
        "Dpkg::Options::=--force-confdef",
        "Dpkg::Options::=--force-confold",
    ];
    change(plan, &options, words)
}

/// apt runs dpkg several times where packages have to be configured before others are unpacked, and no more after
/// one of these has failed.
fn past_failures(mut invocation: Invocation) -> Invocation {
    invocation.args.splice(0..0, ["-o", "Dpkg::StopOnError=false"].map(str::to_owned));
    invocation
}

fn repair(places: &Places) -> Invocation {
    configure(places, &["-a"])
}

/// Runs the scripts of packages that are unpacked.
fn configure(places: &Places, names: &[&str]) -> Invocation {
    let mut args = admin_dir(places);
    let words = ["--force-confdef", "--force-confold", "--configure"];
    args.extend(words.iter().chain(names).map(|word| word.to_string()));
    Invocation { program: "dpkg", args, env: ENV, env_defaults: ENV_DEFAULTS, ..Invocation::default() }
}

/// apt's idea of where things are: apt.conf and APT_CONFIG can put them anywhere.
fn locate() -> Invocation {
    let words = [
        ("DATABASE", "Dir::State::status/f"),
        ("PREFERENCES", "Dir::Etc::Preferences/f"),
        ("ARCHITECTURE", "APT::Architecture"),
        ("LISTS", "Dir::State::lists/d"),
        ("SOURCELIST", "Dir::Etc::sourcelist/f"),
        ("SOURCEPARTS", "Dir::Etc::sourceparts/d"),
        ("PREFERENCEPARTS", "Dir::Etc::preferencesparts/d"),
        ("ARCHIVES", "Dir::Cache::archives/d"),
        ("MAIN", "Dir::Etc::main/f"),
        ("PARTS", "Dir::Etc::parts/d"),
        // A setting for apt-get alone goes before one for all.
        ("HTTP", "Acquire::http::Timeout"),
        ("HTTP", "Binary::apt-get::Acquire::http::Timeout"),
        ("HTTPS", "Acquire::https::Timeout"),
        ("HTTPS", "Binary::apt-get::Acquire::https::Timeout"),
        ("RETRIES", "Acquire::Retries"),
        ("RETRIES", "Binary::apt-get::Acquire::Retries"),
        ("DELAY", "Acquire::Retries::Delay::Maximum"),
        ("REMOVE", "APT::Get::Remove"),
        ("REMOVE", "Binary::apt-get::APT::Get::Remove"),
    ];
    let words = words.into_iter().flat_map(|(name, option)| [name, option]);
    Invocation {
        program: "apt-config",
        args: std::iter::once("shell").chain(words).map(str::to_owned).collect(),
        env: ENV,
        ..Invocation::default()
    }
}

/// All that apt.conf says.
fn dump() -> Invocation {
    Invocation { program: "apt-config", args: vec!["dump".to_string()], env: ENV, ..Invocation::default() }
}

/// Whether a line like `DPkg::Pre-Invoke:: "mount -o remount,rw /usr";` is there.
fn has_hooks(dump: &str) -> bool {
    let hooks = dump.lines().filter(|line| line.to_lowercase().starts_with("dpkg::pre-invoke"));
    let mut values = hooks.filter_map(|line| line.split_once(' '));
    values.any(|(_, value)| !value.trim_end_matches(';').trim_matches('"').is_empty())
}

/// Puts limits that are set in apt.conf, for a proxy that needs its time, in the place of ours where they are
/// higher. apt takes the time of http for https too, where that has none of its own.
fn with_limits(mut invocation: Invocation, configuration: &str) -> Invocation {
    let value = |name: &str| number(configuration, name);
    let http = value("HTTP");
    for (option, theirs) in [
        ("Acquire::http::Timeout=", http),
        ("Acquire::https::Timeout=", value("HTTPS").or(http)),
        ("Acquire::Retries=", value("RETRIES")),
    ] {
        for arg in &mut invocation.args {
            let ours = arg.strip_prefix(option).and_then(|ours| ours.parse().ok());
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                *arg = format!("{option}{}", theirs.max(ours));
            }
        }
    }
    invocation
}

/// With `APT::Get::Remove "false"` apt refuses a whole run that would remove something.
fn may_remove(configuration: &str) -> bool {
    let mut values =
        configuration.lines().filter_map(|line| line.strip_prefix("REMOVE='")?.strip_suffix('\''));
    // As apt's StringToBool reads it.
    let is_off = |value: &str| {
        ["no", "false", "without", "off", "disable"].contains(&value.to_lowercase().as_str())
            || value.parse::<i64>() == Ok(0)
    };
    !values.next_back().is_some_and(is_off)
}

/// The last of the values with this name, where it is a number.
fn number(configuration: &str, name: &str) -> Option<u64> {
    let values = configuration.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("='"));
    values.filter_map(|value| value.strip_suffix('\'')?.parse().ok()).next_back()
}

/// How long apt says nothing in a download from a mirror that never answers: it asks again after a pause, and
/// each time waits for an answer from two addresses that a mirror may have.
fn longest_silence(invocation: &Invocation, configuration: &str) -> Duration {
    const ADDRESSES: u64 = 2;
    let timeout = ["HTTP", "HTTPS"].into_iter().filter_map(|name| number(configuration, name)).max();
    let mut retries =
        invocation.args.iter().filter_map(|arg| arg.strip_prefix("Acquire::Retries=")?.parse().ok());
    let retries: u64 = retries.next_back().unwrap_or(0);
    let pause = number(configuration, "DELAY").unwrap_or(30);
    let waits = timeout.unwrap_or(30).saturating_mul(ADDRESSES).saturating_mul(retries.saturating_add(1));
    Duration::from_secs(waits.saturating_add(retries.saturating_mul(pause)))
}

/// Where apt.conf puts the sources and the preferences, where that is not the usual place.
fn elsewhere(configuration: &str) -> Elsewhere {
    let usual = [FACTS.source_config, FACTS.index].concat();
    let is_usual =
        |path: &str| usual.iter().any(|usual| *usual == path || usual.starts_with(&format!("{path}/")));
    let unusual = |name: &str| {
        let path = setting(configuration, name)?.trim_end_matches('/');
        (!is_usual(path)).then(|| path.to_string())
    };
    let parts = unusual("SOURCEPARTS")
        .into_iter()
        .flat_map(|dir| ["list", "sources"].map(|end| format!("{dir}/*.{end}")));
    let index = ["PREFERENCES", "PREFERENCEPARTS"].into_iter().filter_map(unusual).collect();
    let sources = unusual("SOURCELIST").into_iter().chain(parts).collect();
    Elsewhere { sources, index, ..Elsewhere::default() }
}

/// Reads lines like `DATABASE='/var/lib/dpkg/status'`.
fn parse_places(usual: Places, stdout: &str) -> Places {
    let value = |name: &str| setting(stdout, name);
    Places {
        database: value("DATABASE").map_or(usual.database, PathBuf::from),
        selection_base: value("PREFERENCES").map_or(usual.selection_base, PathBuf::from),
        architecture: value("ARCHITECTURE").map_or(usual.architecture, str::to_owned),
        cache: value("LISTS").map_or(usual.cache, |dir| PathBuf::from(dir.trim_end_matches('/'))),
        archives: value("ARCHIVES").map_or(usual.archives, PathBuf::from),
    }
}

/// `dlstatus:3:66.6709:Retrieving file 3 of 3`, `pmstatus:tb-hello:7.6923:Unpacking tb-hello`.
fn progress(line: &str) -> Option<(f64, &str)> {
    let mut parts = line.splitn(4, ':');
    let kind = parts.next()?;
    let percent = parts.nth(1)?.parse().ok()?;
    (kind == "dlstatus" || kind == "pmstatus").then_some((percent, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hanging_mirror_leaves_the_other_sources_half_of_the_budget() {
        for (budget, silence) in [(120, 10), (24, 2), (1, 1), (3600, 30)] {
            let args = refresh(Duration::from_secs(budget)).args;
            assert!(args.contains(&format!("Acquire::http::Timeout={silence}")), "{args:?}");
        }
    }

    #[test]
    fn limits_of_apt_conf_are_never_undercut() {
        let limits = |configuration: &str| {
            let limited = with_limits(refresh(Duration::from_secs(120)), configuration);
            let ends = ["http::Timeout=", "https::Timeout=", "Retries="];
            let of = |end: &str| {
                limited.args.iter().find_map(|arg| arg.strip_prefix("Acquire::")?.strip_prefix(end))
            };
            ends.map(|end| of(end).unwrap().to_string()).join(" ")
        };
        for (configuration, expected) in [
            ("", "10 10 1"),
            ("HTTP='180'\n", "180 180 1"),
            ("HTTP='180'\nHTTPS='60'\nRETRIES='5'\n", "180 60 5"),
            ("HTTP='180'\nHTTP='200'\n", "200 200 1"),
            ("HTTP='3'\nRETRIES='0'\n", "10 10 1"),
            ("HTTP='never'\n", "10 10 1"),
        ] {
            assert_eq!(limits(configuration), expected, "{configuration}");
        }
    }

    #[test]
    fn removals_are_off_where_apt_takes_them_for_off() {
        for off in ["REMOVE='false'\n", "REMOVE='0'\n", "REMOVE='true'\nREMOVE='Off'\n"] {
            assert!(!may_remove(off), "{off}");
        }
        for on in ["", "REMOVE='true'\n", "REMOVE='x'\n", "REMOVE='false'\nREMOVE='1'\n"] {
            assert!(may_remove(on), "{on}");
        }
    }

    #[test]
    fn a_silence_that_apt_conf_allows_is_no_standstill() {
        let silence = |configuration: &str| {
            let download = download(&Plan::default());
            longest_silence(&with_limits(download, configuration), configuration).as_secs()
        };
        // Two attempts of 30 s, each at two addresses, and a pause.
        assert_eq!(silence(""), 150);
        assert_eq!(silence("HTTP='180'\n"), 750);
        assert_eq!(silence("HTTPS='600'\n"), 2430);
        assert_eq!(silence("HTTP='180'\nRETRIES='5'\nDELAY='120'\n"), 2760);
        assert_eq!(silence("HTTP='18446744073709551615'\n"), u64::MAX);
    }

    #[test]
    fn left_out_packages_are_pinned() {
        let plan = Plan { left_out: vec!["tb-a".into()], ..Plan::default() };
        assert_eq!(selection(&plan), "Package: tb-a\nPin: version *\nPin-Priority: -1\n\n");
        let plan = Plan { passed_over: [("tb-b".into(), "1:3.0".into())].into(), ..Plan::default() };
        assert_eq!(selection(&plan), "Package: tb-b\nPin: version 1:3.0\nPin-Priority: -1\n\n");
    }

    #[test]
    fn only_what_is_run_before_dpkg_is_a_hook() {
        assert!(has_hooks(
            "DPkg \"\";\nDPkg::Pre-Invoke \"\";\nDPkg::Pre-Invoke:: \"mount -o remount,rw /usr\";\n"
        ));
        assert!(has_hooks("dpkg::pre-invoke:: \"/usr/local/sbin/rw\";\n"));
        assert!(!has_hooks(
            "DPkg::Pre-Invoke \"\";\nDPkg::Post-Invoke:: \"x\";\nDPkg::Pre-Install-Pkgs:: \"x\";\n"
        ));
    }

    #[test]
    fn a_database_elsewhere_is_told_to_dpkg() {
        let usual =
            parse_places(FACTS.usual_places(), "DATABASE='/var/lib/dpkg/status'\nARCHITECTURE='amd64'\n");
        assert_eq!(usual, Places { architecture: "amd64".into(), ..FACTS.usual_places() });
        assert_eq!(repair(&usual).args[0], "--force-confdef");
        let elsewhere = parse_places(usual, "DATABASE='/srv/root/dpkg/status'\nPREFERENCES='/srv/prefs'\n");
        assert_eq!(repair(&elsewhere).args[0], "--admindir=/srv/root/dpkg");
        assert_eq!(elsewhere.selection_base, std::path::Path::new("/srv/prefs"));
    }

    #[test]
    fn sources_and_preferences_in_unusual_places_are_known() {
        let usual = "SOURCELIST='/etc/apt/sources.list'\nSOURCEPARTS='/etc/apt/sources.list.d/'\n\
                     PREFERENCES='/etc/apt/preferences'\nPREFERENCEPARTS='/etc/apt/preferences.d/'\n";
        assert_eq!(elsewhere(usual), Elsewhere::default());
        let found = elsewhere("SOURCEPARTS='/srv/parts/'\nPREFERENCES='/srv/prefs'\n");
        assert_eq!(
            (found.sources, found.index),
            (vec!["/srv/parts/*.list".into(), "/srv/parts/*.sources".into()], vec!["/srv/prefs".into()])
        );
    }

    #[test]
    fn progress_lines_give_percent_and_words() {
        assert_eq!(
            progress("dlstatus:3:66.6709:Retrieving file 3 of 3"),
            Some((66.6709, "Retrieving file 3 of 3"))
        );
        assert_eq!(progress("pmstatus:dpkg-exec:0.0000:Running dpkg"), Some((0.0, "Running dpkg")));
        assert_eq!(progress("pmerror:x:1:y"), None);
        assert_eq!(progress(""), None);
    }
}
