//! The command line of yum.

use crate::managers::facts::Plan;
use crate::managers::rpm::{excludes::excludes, owned};
use crate::system::process::Invocation;

/// The files of yum.conf, the repositories and their variables.
pub(super) const SOURCES: &[&str] =
    &["/etc/yum.repos.d/*.repo", "/etc/yum/repos.d/*.repo", "/etc/yum.conf", "/etc/yum/vars"];

/// Python holds back what it prints to a file until it ends; if it is killed, all of that is lost.
const ENV: &[(&str, &str)] = &[("PYTHONUNBUFFERED", "1")];

/// No colour, and as much output as by default, whatever yum.conf says. With the last option yum gives up at once where
/// another one is at work. Without it yum waits for ever; we wait ourselves, within a budget.
const ALWAYS: [&str; 6] = ["--color=never", "-d", "2", "-e", "2", "--setopt=exit_on_lock=1"];

pub(super) fn yum(options: &[&str], words: &[&str]) -> Invocation {
    Invocation { env: ENV, ..Invocation::of("yum", [&ALWAYS, options, words].concat()) }
}

/// What a plan adds to a command line.
pub(super) fn choice(plan: &Plan) -> Vec<String> {
    let without = owned::repositories(plan).map(|id| format!("--disablerepo={id}"));
    without.chain(excludes(plan)).collect()
}
