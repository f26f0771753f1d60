//! The command lines of dnf 5.

use crate::managers::facts::Plan;
use crate::managers::rpm::{self, owned};
use crate::system::process::Invocation;

/// Without these, the column with the names of repositories is cut short. The second variable is for versions before
/// 5.4.4.
pub(super) const ENV: &[(&str, &str)] = &[("DNF5_FORCE_COLUMNS", "400"), ("FORCE_COLUMNS", "400")];

/// Without a name a repository is called by its identifier.
pub(super) const BY_ID: &str = "--setopt=*.name=";

/// With this dnf5 names a repository that lacks a key; if told to skip it, dnf5 does not say that it did.
pub(super) const STRICT: &str = "--setopt=*.skip_if_unavailable=0";

pub(super) const SKIP: &str = "--setopt=*.skip_if_unavailable=1";

/// Asks every repository. `--refresh` alone has no effect on the cache where dnf.conf moves `system_cachedir`, and does
/// nothing where dnf.conf says `cacheonly`.
pub(super) const ASK_ALL: &[&str] = &["--refresh", "--setopt=*.metadata_expire=0", ONLINE];

pub(super) const ONLINE: &str = "--setopt=cacheonly=none";

/// An index of any age is accepted; one that does not exist is fetched.
pub(super) const OLD_IS_FINE: &str = "--setopt=*.metadata_expire=never";

/// Commands after a refresh use exactly the indexes that it fetched.
pub(super) const AS_REFRESHED: &str = "--setopt=cacheonly=metadata";

/// Installs what can be installed. Otherwise one update that cannot be installed would stop all.
pub(super) const WHAT_CAN_BE: &str = "--setopt=best=0";

/// Otherwise an upgrade brings older versions of what is installed where another update needs or replaces something by
/// them.
pub(super) const NO_OLDER: &str = "--setopt=allow_downgrade=0";

/// Lists what an upgrade would do. `--assumeno` outranks an `assumeyes` in dnf.conf, and needs only to read the package
/// database. If it did not work, only a test would run.
pub(super) const LOOK: &[&str] = &["--assumeno", TEST];

pub(super) const TEST: &str = "--setopt=tsflags=test";

/// Really does it: an `assumeno` in dnf.conf would outrank `-y` alone.
pub(super) const DO: &[&str] = &["-y", "--setopt=assumeno=0"];

/// Options of every command, whatever dnf.conf says. They have the names that dnf5 itself uses: names such as
/// `--disablerepo` are aliases from a file, which may be missing. `--color` exists since 5.2.13 only.
pub(super) const PLAIN: &[&str] = &["--setopt=color=never"];

pub(super) fn dnf5(options: &[&str], words: &[&str]) -> Invocation {
    Invocation { env: ENV, ..Invocation::of("dnf5", [PLAIN, options, words].concat()) }
}

/// `upgrade` removes only what is obsoleted. With the option that dnf5 itself proposes it also removes what is in the
/// way; then it fails where one update cannot be installed at all.
pub(super) fn upgrade(plan: &Plan, options: &[&str], more: &[&str], names: &[String]) -> Invocation {
    let (best, full): (&str, &[&str]) =
        if plan.full { ("--setopt=best=1", &["--allowerasing"]) } else { (WHAT_CAN_BE, &[]) };
    let invocation = dnf5(options, &[NO_OLDER, best]).with(kept_in_mind(plan));
    // Options that only some commands know must stand behind the command.
    let words = [&["upgrade"], full, more].concat();
    invocation.with(rpm::excludes::excludes_of_dnf(plan)).with(words).with(names)
}

/// A repository that could not be refreshed is not an absent one: its old index decides, by its priority and its
/// modules, about what others offer. But nothing is installed from it. One that was never reached has no cache, and is
/// skipped.
pub(super) fn kept_in_mind(plan: &Plan) -> impl Iterator<Item = String> {
    owned::repositories(plan).map(|id| format!("--setopt={id}.skip_if_unavailable=1"))
}

pub(super) const WITHOUT: &str = "--disable-repo=";

pub(super) fn list(plan: &Plan) -> Invocation {
    list_needs(plan, &[])
}

/// The files that configure its repositories. dnf5 reads hidden files too.
pub(super) const SOURCES: &[&str] = &[
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
];

pub(super) fn list_needs(plan: &Plan, names: &[String]) -> Invocation {
    upgrade(plan, &[&["-C"], LOOK].concat(), &[], names)
}
