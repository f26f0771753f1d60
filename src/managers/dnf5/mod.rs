//! dnf 5: Fedora since 41, and what follows it. Behaviour measured with dnf5 5.4.

mod errors;
mod lists;
mod refresh;

use crate::managers::backend::{
    Advisories, Backend, Damage, History, HistoryPlace, Kernels, Locate, Plan, Quirks, RebootPackages,
};
use crate::managers::rpm;
use crate::managers::rpm::owned;
use crate::managers::rpm::tables::silence;
use crate::system::process::{Finished, Invocation};
use std::time::Duration;

/// The row of the table.
pub const BACKEND: Backend = Backend {
    name: "dnf5",
    programs: &["dnf5"],
    systems: &["fedora"],
    package_databases: rpm::DATABASES,
    // It reads hidden files too.
    source_config: &[
        "/etc/yum.repos.d/*.repo",
        "/etc/yum.repos.d/.*.repo",
        "/etc/distro.repos.d/*.repo",
        "/etc/distro.repos.d/.*.repo",
        "/usr/share/dnf5/repos.d/*.repo",
        "/etc/dnf/repos.override.d/*.repo",
        "/etc/dnf/repos.override.d/.*.repo",
        "/usr/share/dnf5/repos.override.d/*.repo",
        "/etc/dnf/dnf.conf",
        "/etc/dnf/libdnf5.conf.d/*.conf",
        "/etc/dnf/libdnf5.conf.d/.*.conf",
        "/usr/share/dnf5/libdnf.conf.d/*.conf",
        "/etc/dnf/vars",
        "/usr/share/dnf5/vars.d",
    ],
    index: &[
        "/var/cache/libdnf5/*/solv",
        "/etc/dnf/versionlock.toml",
        "/etc/dnf/modules.d",
        "/etc/dnf/vendors.d",
        "/etc/dnf/libdnf5-plugins",
    ],
    cache: "/var/cache/libdnf5",
    locks: &["/var/lib/dnf/system-repo.lock", "/run/dnf/rpmtransaction.lock", rpm::LOCKS[0], rpm::LOCKS[1]],
    pid_files: &[],
    reboot_flags: &[],
    // Those of its needs-restarting, a plugin; it also asks the advisories of the packages.
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
    parse_origins: lists::advisories,
    list_needs,
    download: Some(download),
    install,
    install_began,
    classify: errors::classify,
    list_installed: |_| rpm::list_installed(),
    parse_installed: |text, _| rpm::parse_installed(text),
    quirks: Quirks {
        waits_for_lock: |line| line.starts_with("Waiting for a lock on the system repository"),
        history: Some(&HISTORY),
        keeps_several: rpm::keeps_several,
        ask_provides: Some(rpm::ask_provides),
        rules: rpm::RULES,
        refresh_others: refresh::others,
        locate: Some(&LOCATE),
        elsewhere: refresh::elsewhere,
        alone: Some(refresh::alone),
        leave_out_source: refresh::without_source,
        parse_places: refresh::parse_places,
        with_limits: refresh::with_limits,
        // Where a repository failed, the list is that of the others alone.
        pending_of_refresh: |finished| {
            let is_whole = errors::classify(finished).is_none() && !refresh::has_failed(finished);
            is_whole.then(|| lists::transaction(&finished.stdout))
        },
        completions: lists::COMPLETIONS,
        advisories: Some(Advisories {
            compare: rpm::compare_versions,
            ask_settled: || lists::ask_advisories("--installed"),
            list_security: || {
                upgrade(&Plan::default(), &[&["-C", SKIP], LOOK].concat(), &["--security"], &[])
            },
        }),
        reboot_hint: Some((ask_reboot_hint, lists::reboot_hint)),
        ask_sources: Some(ask_configuration),
        parse_sources: refresh::configured,
        sources_in: refresh::configured,
        culprits: errors::culprits,
        culprits_of_sources: errors::culprits_of_keys,
        plan_of_download: |finished| Some(lists::transaction(&finished.stdout)),
        // A signal that ends dnf5 ends it wherever it is.
        ended_well: |_| false,
        is_index: |path| path.ends_with("/repodata/repomd.xml"),
        ..Quirks::NONE
    },
};

const HISTORY: History = History {
    place: HistoryPlace::Asked(
        || Invocation { env: IN_UTC, ..dnf5(&["-C"], &["history", "info", "last-20..last"]) },
        None,
    ),
    parse: rpm::history::cut_off_runs,
};

/// With times that can be read without knowing the time zone, and names that are not cut short.
const IN_UTC: &[(&str, &str)] = &[("TZ", "UTC"), ("DNF5_FORCE_COLUMNS", "400"), ("FORCE_COLUMNS", "400")];

/// The names of repositories stand in a column that is else cut short. The second name is that of
/// versions before 5.4.
const ENV: &[(&str, &str)] = &[("DNF5_FORCE_COLUMNS", "400"), ("FORCE_COLUMNS", "400")];

/// Without a name a repository is called by its identifier.
const BY_ID: &str = "--setopt=*.name=";

/// dnf5 does not say of a repository that is skipped for a missing key that it was.
const STRICT: &str = "--setopt=*.skip_if_unavailable=0";
const SKIP: &str = "--setopt=*.skip_if_unavailable=1";

/// Asks every repository. `--refresh` alone expires nothing where dnf.conf moves `system_cachedir`, and
/// does nothing where it says `cacheonly`.
const ASK_ALL: &[&str] = &["--refresh", "--setopt=*.metadata_expire=0", ONLINE];

const ONLINE: &str = "--setopt=cacheonly=none";

/// An index of any age will do, and one that is not there is fetched.
const OLD_IS_FINE: &str = "--setopt=*.metadata_expire=never";

/// What follows a refresh uses just the indexes that it fetched.
const AS_REFRESHED: &str = "--setopt=cacheonly=metadata";

/// Installs what can be installed, instead of nothing where one update cannot be.
const WHAT_CAN_BE: &str = "--setopt=best=0";

/// Lists what an upgrade would do: `--assumeno` comes before an `assumeyes` in dnf.conf, and needs
/// no more than a look at the package database. Should it not, nothing but a test runs.
const LOOK: &[&str] = &["--assumeno", TEST];

const TEST: &str = "--setopt=tsflags=test";

/// Does it: an `assumeno` in dnf.conf would come before `-y` alone.
const DO: &[&str] = &["-y", "--setopt=assumeno=0"];

/// What every command is told whatever dnf.conf says. The options are named as dnf5 itself names
/// them: names such as `--disablerepo` are aliases that a file defines, which may not be there. With a
/// `destdir` dnf5 puts all packages there and installs none, and says that it is done.
const PLAIN: &[&str] = &["--color=never"];

fn dnf5(options: &[&str], words: &[&str]) -> Invocation {
    let args = PLAIN.iter().chain(options).chain(words);
    Invocation {
        program: "dnf5",
        args: args.map(|word| word.to_string()).collect(),
        env: ENV,
        ..Invocation::default()
    }
}

/// Its plugin `actions` can change settings.
const LOCATE: Locate = Locate {
    ask: ask_configuration,
    files: &["/etc/dnf/libdnf5-plugins", "/etc/dnf/libdnf5-plugins/actions.d"],
    variables: &["DNF"],
    of_use: refresh::of_use,
    depends_on_more: |text| text.contains("_base_setup:") || text.contains("repos_configured:"),
    is_elsewhere: |_| false,
};

/// All settings, as dnf.conf, the files of the repositories and what overrides these have them.
fn ask_configuration() -> Invocation {
    dnf5(&["--dump-main-config", "--dump-repo-config=*"], &[])
}

/// One run refreshes and lists: `check-upgrade` names neither what obsoletes something nor what
/// cannot be installed. With `retries=1` dnf5 asks a silent mirror four times, which makes a third
/// of the budget.
fn refresh(budget: Duration) -> Invocation {
    let timeout = silence(budget);
    let options = [ASK_ALL, &[STRICT, BY_ID, "--setopt=*.retries=1", &timeout, WHAT_CAN_BE]].concat();
    dnf5(&[&options, LOOK].concat(), &["upgrade"])
}

/// What an advisory says of a reboot stands in no list; this plugin looks it up, and wants the lists of
/// files for that.
fn ask_reboot_hint() -> Invocation {
    let options = [SKIP, OLD_IS_FINE, ONLINE, "--setopt=*.retries=1"];
    dnf5(&options, &["needs-restarting", "--json"])
}

/// `upgrade` removes nothing but what is obsoleted. What lets it remove what is in the way is what
/// dnf5 itself then proposes; that fails where one update cannot be installed at all.
fn upgrade(plan: &Plan, options: &[&str], more: &[&str], names: &[String]) -> Invocation {
    let (best, full): (&str, &[&str]) =
        if plan.full { ("--setopt=best=1", &["--allowerasing"]) } else { (WHAT_CAN_BE, &[]) };
    let mut invocation = dnf5(options, &[best]);
    invocation.args.extend(kept_in_mind(plan));
    if !plan.left_out.is_empty() {
        // It would also switch off what is excluded here.
        invocation.args.push("--setopt=disable_excludes=".to_string());
        invocation.args.extend(plan.left_out.iter().map(|name| format!("--exclude={name}")));
    }
    // What only some commands know must stand behind the command.
    let words = ["upgrade"].iter().chain(full).chain(more);
    invocation.args.extend(words.map(|word| word.to_string()));
    invocation.args.extend_from_slice(names);
    invocation
}

/// A repository that could not be refreshed is not an absent one: what it had when it last could be
/// decides, by its priority and its modules, about what others offer. Installed from it nothing is. One
/// that was never reached has no cache, and is passed over.
fn kept_in_mind(plan: &Plan) -> impl Iterator<Item = String> {
    owned::repositories(plan).map(|id| format!("--setopt={id}.skip_if_unavailable=1"))
}

const WITHOUT: &str = "--disable-repo=";

fn list(plan: &Plan) -> Invocation {
    list_needs(plan, &[])
}

fn list_needs(plan: &Plan, names: &[String]) -> Invocation {
    upgrade(plan, &[&["-C"], LOOK].concat(), &[], names)
}

/// Downloads, takes the keys that are configured where one is needed, verifies all signatures and tests
/// the transaction: whatever can be wrong shows where nothing is changed yet.
fn download(plan: &Plan) -> Invocation {
    upgrade(plan, &[DO, &[AS_REFRESHED, TEST]].concat(), &[], &[])
}

/// `-C` uses nothing but the cache, so that the install cannot wait for a mirror.
fn install(plan: &Plan, _: &Finished) -> Invocation {
    upgrade(plan, &[DO, &["-C"]].concat(), &[], &[])
}

/// An install that was cut off leaves both versions of a package in the database, where the next
/// upgrade does not see the older one. The newer one is installed again, scripts and all, which takes
/// the place of both; where no repository has it any more, the older one is only taken away.
fn repair(damage: &Damage) -> Vec<Invocation> {
    rpm::repair(damage, Some(dnf5(&[DO, &[SKIP, OLD_IS_FINE, ONLINE]].concat(), &["reinstall"])))
}

/// `[2/8] Prepare transaction` is the first thing that rpm does; before it only files are verified and
/// keys fetched, each with a bar that has its address. `Running transaction` is also printed where rpm's
/// lock or a key then cannot be had, which is said below.
fn install_began(finished: &Finished) -> bool {
    let mut lines = finished.stderr.lines().skip_while(|line| *line != "Running transaction");
    let runs = lines.next().is_some();
    let mut failed = false;
    for line in lines {
        let is_before = ["] Verify package files ", "] Total ", "://"].iter().any(|part| line.contains(part));
        if errors::is_bar(line) && !is_before {
            return true;
        }
        failed |= NOT_BEGUN.iter().any(|start| line.starts_with(start));
    }
    runs && !failed
}

/// What is said of a transaction that was not begun.
const NOT_BEGUN: &[&str] =
    &["Transaction failed: ", "Failed to download files", "Cannot download files", "cannot open file: "];

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
        let line = download(&Plan::default()).line();
        assert!(
            line.ends_with("--setopt=cacheonly=metadata --setopt=tsflags=test --setopt=best=0 upgrade"),
            "{line}"
        );
    }

    #[test]
    fn no_list_can_install_anything() {
        for invocation in [refresh(Duration::from_secs(120)), list(&Plan::default())] {
            for guard in ["--assumeno", "--setopt=tsflags=test"] {
                assert!(invocation.args.iter().any(|arg| arg == guard), "{}", invocation.line());
            }
        }
    }

    #[test]
    fn a_hanging_repository_leaves_the_others_most_of_the_budget() {
        for (budget, silence) in [(120, 10), (24, 2), (1, 1), (3600, 30)] {
            let args = refresh(Duration::from_secs(budget)).args;
            assert!(args.contains(&format!("--setopt=*.timeout={silence}")), "{args:?}");
        }
    }

    #[test]
    fn an_install_has_begun_when_it_prepares_or_says_no_more() {
        let bar = |name: &str| format!("[1/4] {name}        100% |   0.0   B/s |   1.0   B |  00m00s\n");
        let failed = "Transaction failed: Rpm transaction failed.\n";
        let lock = format!("Running transaction\n{failed}");
        assert!(!install_began(&printed(&lock)));
        let verified = format!("Running transaction\n{}{failed}", bar("Verify package files"));
        assert!(!install_began(&printed(&verified)));
        assert!(install_began(&printed("Running transaction\n")));
        let prepared = format!("Running transaction\n{}{failed}", bar("Prepare transaction"));
        assert!(install_began(&printed(&prepared)));
        assert!(!install_began(&printed(&bar("tb-hello-0:2.0-1.noarch"))));
        let keys = format!("Running transaction\n{}{}", bar("http://a/KEY"), bar("Total"));
        assert!(!install_began(&printed(&format!("{keys}Failed to download files\n"))));
        assert!(install_began(&printed(&format!("{keys}{}", bar("Upgrading tb-hello-0:2.0-1.noarch")))));
    }
}
