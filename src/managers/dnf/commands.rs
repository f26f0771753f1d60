//! The command lines of dnf 4.

use crate::managers::facts::Plan;
use crate::managers::rpm;
use crate::system::process::Invocation;

/// The files that configure its repositories.
pub(super) const SOURCES: &[&str] = &[
    "/etc/yum.repos.d/*.repo",
    "/etc/yum/repos.d/*.repo",
    "/etc/distro.repos.d/*.repo",
    "/etc/dnf/dnf.conf",
    "/etc/dnf/vars",
    "/etc/yum/vars",
];

/// Python holds back what it prints to a file until it ends; if it is killed, all of that is lost.
/// Without aliases: one of the administrator's can make another command of `upgrade`.
pub(super) const ENV: &[(&str, &str)] = &[("PYTHONUNBUFFERED", "1"), ("DNF_DISABLE_ALIASES", "1")];

/// Options of every command, whatever dnf.conf says. With the first, dnf gives up at once where another dnf is at work
/// (exit code 200). Without it dnf waits for ever; we wait ourselves, within a budget. The next keep colours out of the
/// output that we read, and errors and tables in it. With the last, a repository that is down or has no index yet does
/// not stop the others; dnf then names it.
pub(super) const ALWAYS: [&str; 5] = [
    "--setopt=exit_on_lock=1",
    "--setopt=color=never",
    "--setopt=debuglevel=2",
    "--setopt=errorlevel=3",
    "--setopt=*.skip_if_unavailable=1",
];

/// Commands after a refresh use exactly what it fetched. A command that reads or fetches an index must not use an old
/// one because dnf.conf allows it.
pub(super) const AS_REFRESHED: &str = "--setopt=*.metadata_expire=never";

pub(super) const WITHOUT: &str = "--disablerepo=";

pub(super) const ONLINE: &str = "--setopt=cacheonly=0";

/// Lists what an upgrade would do. `--assumeno` outranks an `assumeyes` in dnf.conf, and answers a question about a key
/// with no. If it did not, only a test would run. Packages are not checked here, so that a repository without a key
/// does not stop the whole list; they are checked before they are installed.
pub(super) const LOOK: &[&str] = &["--assumeno", TEST, "--setopt=*.gpgcheck=0"];

pub(super) const TEST: &str = "--setopt=tsflags=test";

/// Installs what can be installed. Otherwise one update that cannot be installed would stop all.
pub(super) const WHAT_CAN_BE: &str = "--setopt=best=0";

pub(super) fn dnf(options: &[&str], words: &[&str]) -> Invocation {
    Invocation { env: ENV, ..Invocation::of("dnf", [&ALWAYS, options, words].concat()) }
}

/// `upgrade` removes only obsoleted packages, and leaves out what it cannot resolve. With `--allowerasing`, which dnf
/// itself proposes then, it removes what is in the way. A repository that was not refreshed takes part with its old
/// index.
pub(super) fn upgrade(plan: &Plan, options: &[&str], names: &[String]) -> Invocation {
    let full: &[&str] = if plan.full { &["--best", "--allowerasing"] } else { &[WHAT_CAN_BE] };
    let choice = rpm::excludes::of_keyless(plan).chain(rpm::excludes::excludes_of_dnf(plan));
    dnf(options, full).with(choice).with(["upgrade"]).with(names)
}

pub(super) fn list(plan: &Plan) -> Invocation {
    list_needs(plan, &[])
}

pub(super) fn list_needs(plan: &Plan, names: &[String]) -> Invocation {
    upgrade(plan, &[&["-C"], LOOK].concat(), names)
}

/// Times that can be read without knowing the time zone.
pub(super) fn in_utc(invocation: Invocation) -> Invocation {
    Invocation { env: IN_UTC, ..invocation }
}

const IN_UTC: &[(&str, &str)] = &[("TZ", "UTC")];
