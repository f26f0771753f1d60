//! The command lines of dnf 4.

use crate::managers::facts::Plan;
use crate::managers::rpm;
use crate::system::process::Invocation;

/// Python keeps what it prints to a file back until it ends: killed, it would have said nothing.
pub(super) const ENV: &[(&str, &str)] = &[("PYTHONUNBUFFERED", "1")];

/// What every command is told, whatever dnf.conf says of it. With the first dnf gives up at once where
/// another dnf is at work (exit code 200); left alone it waits for ever, and we wait ourselves, inside a
/// budget. The others keep colours out of what we read, and errors and tables in it. A repository
/// that is down, or of which there is no index yet, must not stop the others: dnf names it then.
pub(super) const ALWAYS: [&str; 5] = [
    "--setopt=exit_on_lock=1",
    "--setopt=color=never",
    "--setopt=debuglevel=2",
    "--setopt=errorlevel=3",
    "--setopt=*.skip_if_unavailable=1",
];

/// What follows a refresh uses just what was refreshed, and what reads or fetches an index uses no
/// old one because dnf.conf says so.
pub(super) const AS_REFRESHED: &str = "--setopt=*.metadata_expire=never";

pub(super) const ONLINE: &str = "--setopt=cacheonly=0";

/// Lists what an upgrade would do. `--assumeno` comes before an `assumeyes` in dnf.conf, and answers a
/// question about a key with no; should it not, nothing but a test runs. That no package is checked
/// here keeps a repository without a key from stopping the list as a whole: before packages are
/// installed they are checked.
pub(super) const LOOK: &[&str] = &["--assumeno", TEST, "--setopt=*.gpgcheck=0"];

pub(super) const TEST: &str = "--setopt=tsflags=test";

/// Looks also at what the configuration excludes.
pub(super) const NOTHING_EXCLUDED: &str = "--setopt=disable_excludes=all";

/// Installs what can be installed, instead of nothing where one update cannot be.
pub(super) const WHAT_CAN_BE: &str = "--setopt=best=0";

pub(super) fn dnf(options: &[&str], words: &[&str]) -> Invocation {
    let args = ALWAYS.iter().chain(options).chain(words);
    let args = args.map(|word| word.to_string()).collect();
    Invocation { program: "dnf", args, env: ENV, ..Invocation::default() }
}

/// `upgrade` removes only obsoleted packages, and leaves out what it cannot resolve. With `--allowerasing`, which dnf
/// itself proposes then, it removes what is in the way. A repository that was not refreshed takes part with its old
/// index.
pub(super) fn upgrade(plan: &Plan, options: &[&str], names: &[String]) -> Invocation {
    let full: &[&str] = if plan.full { &["--best", "--allowerasing"] } else { &[WHAT_CAN_BE] };
    let mut invocation = dnf(options, full);
    // There is none, so that no package of such a repository can be right; without a word of one dnf
    // would do nothing at all.
    let keys = plan.keyless.iter().map(|id| format!("--setopt={id}.gpgkey=file:///nonexistent"));
    invocation.args.extend(keys);
    invocation.args.extend(rpm::excludes::excludes_of_dnf(plan));
    invocation.args.push("upgrade".to_string());
    invocation.args.extend_from_slice(names);
    invocation
}

pub(super) fn list(plan: &Plan) -> Invocation {
    list_needs(plan, &[])
}

pub(super) fn list_needs(plan: &Plan, names: &[String]) -> Invocation {
    upgrade(plan, &[&["-C"], LOOK].concat(), names)
}

/// With times that can be read without knowing the time zone.
pub(super) fn in_utc(invocation: Invocation) -> Invocation {
    Invocation { env: IN_UTC, ..invocation }
}

const IN_UTC: &[(&str, &str)] = &[("TZ", "UTC")];
