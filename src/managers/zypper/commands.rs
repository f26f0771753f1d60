//! The command lines of zypper.

use crate::managers::facts::Plan;
use crate::system::process::Invocation;
use std::path::{Path, PathBuf};

/// zypper must not wait for its lock itself, whatever the caller has set: we wait, within a budget.
pub(super) const ENV: &[(&str, &str)] = &[
    ("ZYPP_LOCK_TIMEOUT", "0"),
    // The log must not go to standard error, nor the lock to a place where we do not look.
    ("ZYPP_LOGFILE", "/var/log/zypper.log"),
    ("ZYPP_LOCKFILE_ROOT", "/"),
    // That of SLES 12 tells only then that a script failed.
    ("ZYPPER_ON_CODE12_RETURN_107", "1"),
];

/// The variables of commands that print times without a time zone.
pub(super) const ENV_IN_UTC: &[(&str, &str)] = &[ENV[0], ENV[1], ENV[2], ENV[3], ("TZ", "UTC")];

/// Also where a setting asks for colours always.
pub(super) const PLAIN: &[&str] = &["--no-color", "--no-refresh"];

/// The report is XML, so that the output of a package's script cannot be taken for zypper's. Questions get the answers
/// that zypper marks as careful: an unknown key is rejected, an unsolved problem cancels the run.
pub(super) fn zypper(options: &[&str], words: &[&str]) -> Invocation {
    plain_zypper(&[&["--xmlout"], options].concat(), words)
}

pub(super) fn plain_zypper(options: &[&str], words: &[&str]) -> Invocation {
    let args = [&["--non-interactive"], options, words].concat();
    Invocation { env: ENV, withheld: WITHHELD, ..Invocation::of("zypper", args) }
}

pub(super) fn list_repositories() -> Invocation {
    Invocation { settings: KEPT_SERVICES, ..zypper(OFFLINE, &["repos"]) }
}

/// If a service cannot be had, new versions of zypper refresh nothing, and also a list of the repositories waits for it.
/// So no service is refreshed. But all are there: zypper removes the file of a repository whose service it does not know.
pub(super) const KEPT_SERVICES: &str = "services as they are";

/// Where the index of a repository is below its directory in the cache: with `path=` in that path, as the modules of a
/// medium of SUSE have it.
pub(super) const INDEX_BELOW: &[&str] = &["", "*/", "*/*/", "*/*/*/"];

/// Commands after a refresh use exactly what it fetched, and wait for no mirror.
pub(super) const OFFLINE: &[&str] = &["--no-refresh"];

/// With these variables zypper prints its own log or rpm's into what we read, checks no lock, or keeps no download; an
/// old zypper crashes.
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

/// What a plan adds to a command line. If some repositories could not be refreshed, the others are named: zypper has no
/// option that leaves one out.
pub(super) fn with_choice(invocation: Invocation, plan: &Plan) -> Invocation {
    let mut invocation =
        invocation.with(plan.only_sources.iter().flat_map(|repository| ["--repo", repository]));
    if let Some(file) = &plan.leave_out_file {
        invocation.vars.push((SETTINGS_VARIABLE, settings_path(file)));
    }
    invocation
}

/// `update` keeps the installed packages and leaves out what it cannot resolve. `dist-upgrade` installs what the
/// repositories have, even an older version, and removes what is in the way; we never let it change the vendor. If a
/// repository is missing, it would go back to what the others have.
pub(super) fn upgrade(plan: &Plan, options: &[&str]) -> Invocation {
    let words: &[&str] = match plan.full && plan.without.is_empty() {
        false => &["update"],
        true => &["dist-upgrade", "--no-allow-vendor-change"],
    };
    // A setting can allow removals in any command; here they are not wanted.
    let words = [words, &["--no-force-resolution"], options].concat();
    with_choice(zypper(OFFLINE, &words), plan)
}

/// A setting may say that packages are only downloaded, in a dry run too.
pub(super) const DRY_RUN: &[&str] =
    &["--dry-run", "--download", "in-advance", "--replacefiles", "--auto-agree-with-licenses"];

/// Conflicting files are found only once the packages are there. They, or a licence, would end the list.
pub(super) fn list(plan: &Plan) -> Invocation {
    upgrade(plan, DRY_RUN)
}

/// Lists what these packages bring with them.
pub(super) fn list_needs(plan: &Plan, names: &[String]) -> Invocation {
    // `install` and not `update`, which does not accept a package that is not installed yet. Nothing is installed here,
    // so nothing is marked as asked for by a person.
    let words = [&["install", "--name", "--no-force-resolution"], DRY_RUN].concat();
    with_choice(zypper(OFFLINE, &words), plan).with(["--"]).with(names)
}

/// The variable that names the file with zypper's settings.
pub(super) const SETTINGS_VARIABLE: &str = "ZYPP_CONF";

/// Where our settings are: beside our selection.
pub(super) fn settings_path(selection: &Path) -> PathBuf {
    selection.with_extension("conf")
}
