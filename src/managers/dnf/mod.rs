//! dnf 4: Fedora up to 40, Red Hat Enterprise Linux 8 and 9 and their relatives. Behaviour
//! measured with dnf 4.14 and 4.24.

mod commands;
mod errors;
mod lists;
mod refresh;

use crate::managers::backend::{
    Advisories, Backend, Damage, Elsewhere, History, HistoryPlace, Kernels, Places, Plan, Quirks,
    RebootPackages,
};
use crate::managers::rpm;
use crate::managers::rpm::owned;
use crate::managers::rpm::tables::{Setting, settings, silence, with_limits};
use crate::model::outcome::one_line;
use crate::system::process::{End, Finished, Invocation};
use commands::{AS_REFRESHED, LOOK, ONLINE, TEST, WHAT_CAN_BE, dnf, list, list_needs, upgrade};
use std::time::Duration;

/// The row of the table.
pub const BACKEND: Backend = Backend {
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
    reboot_flags: &[],
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
    kernels: Kernels::IN_BOOT,
    repair: |_, damage| repair(damage),
    knows_security: true,
    is_package_name: rpm::is_package_name,
    plain_name: rpm::plain_name,
    refresh,
    judge: refresh::judge,
    pending: list,
    parse_pending: lists::transaction,
    list,
    parse_list: lists::transaction,
    ask_origins: Some(|_| lists::ask_advisories("--available")),
    parse_origins: rpm::advisories,
    list_needs,
    download: Some(download),
    install,
    install_began: errors::install_began,
    classify: errors::classify,
    list_installed: |_| rpm::list_installed(),
    parse_installed: |text, _| rpm::parse_installed(text),
    quirks: Quirks {
        history: Some(&HISTORY),
        keeps_several: rpm::keeps_several,
        ask_provides: Some(rpm::ask_provides),
        rules: rpm::RULES,
        ask_sources: Some(ask_sources),
        parse_sources: lists::repositories,
        sources_in: switched_on,
        pending_of_refresh: refresh::of_refresh,
        read_cut: refresh::read_cut,
        completions: lists::COMPLETIONS,
        advisories: Some(Advisories {
            compare: rpm::compare_versions,
            ask_settled: || lists::ask_advisories("--installed"),
            list_security,
        }),
        culprits: errors::culprits,
        keyless: errors::keyless,
        culprits_of_sources: errors::culprits_of_keys,
        // Only a plugin of dnf's would say what they say.
        settings_in: &["/etc/dnf/dnf.conf", "/etc/yum.repos.d", "/etc/yum/repos.d", "/etc/distro.repos.d"],
        parse_places,
        elsewhere,
        with_limits,
        plan_of_download: |finished| Some(lists::transaction(&finished.stdout)),
        ended_well,
        is_index: |path| path.ends_with("/repodata/repomd.xml"),
        ..Quirks::NONE
    },
};

/// Of the runs in the list the ones that did not end are asked for by their numbers.
const HISTORY: History = History {
    place: HistoryPlace::Asked(|| in_utc(dnf(&["-C"], &["history", "list"])), Some(ask_runs)),
    parse: rpm::history::cut_off_runs,
};

fn ask_runs(list: &str) -> Option<Invocation> {
    let numbers = rpm::history::marked_runs(list);
    let mut invocation = in_utc(dnf(&["-C"], &["history", "info"]));
    invocation.args.extend(numbers.iter().map(|number| number.to_string()));
    (!numbers.is_empty()).then_some(invocation)
}

/// With times that can be read without knowing the time zone.
fn in_utc(invocation: Invocation) -> Invocation {
    Invocation { env: IN_UTC, ..invocation }
}

const IN_UTC: &[(&str, &str)] = &[("TZ", "UTC")];

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

fn is_usual(dir: &str) -> bool {
    BACKEND.source_config.iter().any(|usual| usual.trim_end_matches("/*.repo") == dir)
}

/// The repositories that are switched on, where dnf itself cannot say.
fn switched_on(text: &str) -> Vec<String> {
    let settings = settings(text);
    let is_off = |setting: &Setting| {
        setting.name == "enabled"
            && matches!(&*setting.value.to_ascii_lowercase(), "0" | "no" | "false" | "off")
    };
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
/// again here, which is not to take long.
fn download(plan: &Plan) -> Invocation {
    let down = owned::repositories(plan).map(|id| format!("--setopt={id}.timeout=1"));
    let options = ["-y", "--setopt=assumeno=0", TEST, ONLINE, AS_REFRESHED, "--setopt=*.retries=1"];
    let mut invocation = upgrade(plan, &options, &[]);
    invocation.args.splice(0..0, down);
    invocation
}

/// `-C` uses nothing but the cache, so that the install cannot wait for a mirror.
fn install(plan: &Plan, _: &Finished) -> Invocation {
    upgrade(plan, &["-y", "--setopt=assumeno=0", "-C"], &[])
}

/// An install that was cut off leaves both versions of a package in the database, where the next
/// upgrade does not see the older one. The newer one is installed again, scripts and all, which takes
/// the place of both; where no repository has it any more, the older one is only taken away.
fn repair(damage: &Damage) -> Vec<Invocation> {
    let options = ["-y", "--setopt=assumeno=0", ONLINE, AS_REFRESHED, "--setopt=*.retries=1"];
    rpm::repair(damage, Some(dnf(&options, &["reinstall"])))
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
    fn a_hanging_repository_leaves_the_others_most_of_the_budget() {
        for (budget, silence) in [(120, 10), (24, 2), (1, 1), (3600, 30)] {
            let args = refresh(Duration::from_secs(budget)).args;
            assert!(args.contains(&format!("--setopt=*.timeout={silence}")), "{args:?}");
        }
    }
}
