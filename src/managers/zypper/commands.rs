//! The command lines of zypper.

use crate::managers::facts::Plan;
use crate::system::process::Invocation;
use std::path::{Path, PathBuf};

/// zypper must not wait for its lock itself, whatever the caller has set: we wait, inside a
/// budget.
pub(super) const ENV: &[(&str, &str)] = &[
    ("ZYPP_LOCK_TIMEOUT", "0"),
    // Not to standard error, nor a lock where we do not look for it.
    ("ZYPP_LOGFILE", "/var/log/zypper.log"),
    ("ZYPP_LOCKFILE_ROOT", "/"),
];

/// Likewise for commands that print times without their zone.
pub(super) const ENV_IN_UTC: &[(&str, &str)] = &[ENV[0], ENV[1], ENV[2], ("TZ", "UTC")];

/// Also where colours are wanted always.
pub(super) const PLAIN: &[&str] = &["--no-color", "--no-refresh"];

/// The report is XML, in which the words of a package's script cannot be taken for zypper's.
/// Questions get the answers that zypper marks as the careful ones: an unknown key is rejected,
/// what cannot be resolved is cancelled.
pub(super) fn zypper(options: &[&str], words: &[&str]) -> Invocation {
    plain_zypper(&[&["--xmlout"], options].concat(), words)
}

pub(super) fn plain_zypper(options: &[&str], words: &[&str]) -> Invocation {
    let args = ["--non-interactive"].iter().chain(options).chain(words);
    Invocation {
        program: "zypper",
        args: args.map(|arg| arg.to_string()).collect(),
        env: ENV,
        withheld: WITHHELD,
        ..Invocation::default()
    }
}

pub(super) fn list_repositories() -> Invocation {
    Invocation { settings: NO_SERVICES, ..zypper(OFFLINE, &["repos"]) }
}

/// Services that cannot be had keep new versions from refreshing anything: none, then.
pub(super) const NO_SERVICES: &str = "[main]\nservicesdir = /run/linux-patch/none\n";

/// What follows a refresh uses just what was refreshed, and waits for no mirror.
pub(super) const OFFLINE: &[&str] = &["--no-refresh"];

/// With these it prints its own log or rpm's among what we read, looks for no lock, or keeps nothing that was
/// downloaded; an old one crashes.
pub(super) const WITHHELD: &[&str] = &[
    "ZYPP_FULLLOG",
    "ZYPP_LIBSOLV_FULLLOG",
    "ZYPP_LIBSAT_FULLLOG",
    "ZYPP_RPM_DEBUG",
    "ZYPP_READONLY_HACK",
    "ZYPP_COMMIT_NO_PACKAGE_CACHE",
    "ZYPP_PCK_PRELOAD",
    "ZYPP_TESTSUITE_FAKE_ARCH",
];

/// What a plan adds to a command line. Where some repositories could not be refreshed, the others
/// are named: zypper has no option that leaves one out.
pub(super) fn with_choice(mut invocation: Invocation, plan: &Plan) -> Invocation {
    for repository in &plan.from {
        invocation.args.extend(["--repo".to_string(), repository.clone()]);
    }
    if let Some(selection) = &plan.selection {
        invocation.vars.push((SETTINGS_VARIABLE, settings_path(selection)));
    }
    invocation
}

/// `update` keeps to what is installed and leaves out what it cannot resolve. `dist-upgrade` takes
/// what the repositories have, if need be an older version, and removes what is in the way; never
/// from another vendor than before. Where a repository is missing it would go back to what the
/// others have.
pub(super) fn upgrade(plan: &Plan, options: &[&str]) -> Invocation {
    let words: &[&str] = match plan.full && plan.without.is_empty() {
        false => &["update"],
        true => &["dist-upgrade", "--no-allow-vendor-change"],
    };
    // That removals may solve a problem, which a setting can say of any command, is not wanted here.
    let words = [words, &["--no-force-resolution"], options].concat();
    with_choice(zypper(OFFLINE, &words), plan)
}

/// Of downloads a setting may say that they alone are made, a dry run or not.
pub(super) const DRY_RUN: &[&str] =
    &["--dry-run", "--download", "in-advance", "--replacefiles", "--auto-agree-with-licenses"];

/// Files that are in the way are found once the packages are there, and would end the list, as would a
/// licence.
pub(super) fn list(plan: &Plan) -> Invocation {
    upgrade(plan, DRY_RUN)
}

/// The variable that names the file with zypper's settings.
pub(super) const SETTINGS_VARIABLE: &str = "ZYPP_CONF";

/// Where our settings are, beside our selection.
pub(super) fn settings_path(selection: &Path) -> PathBuf {
    selection.with_extension("conf")
}
