//! The command lines of apt.

use crate::managers::facts::Places;
use crate::system::process::Invocation;
use std::path::Path;

/// dpkg's database, unless apt.conf names another.
pub(super) const DATABASE: &str = "/var/lib/dpkg/status";

/// Nothing may ask a question: not debconf, ucf, needrestart or apt-listchanges. dpkg's words are read.
pub(super) const ENV: &[(&str, &str)] = &[
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("UCF_FORCE_CONFFOLD", "1"),
    ("DPKG_COLORS", "never"),
];

/// needrestart lists what needs a restart; an administrator who exports `a` lets it restart.
pub(super) const ENV_DEFAULTS: &[(&str, &str)] = &[("NEEDRESTART_MODE", "l")];

/// What apt.conf may say that would change what a command does or how it prints. What it says about
/// packages (pins, holds, recommendations, purging, what may be downgraded) is the administrator's
/// to say, and holds.
pub(super) const FIXED: &[&str] = &[
    "APT::Get::Simulate=false",
    "APT::Get::Print-URIs=false",
    "APT::Get::Download-Only=false",
    "APT::Get::Download=true",
    "APT::Get::Trivial-Only=false",
    "APT::Get::Assume-No=false",
    "APT::Get::Fix-Missing=false",
    "quiet::NoProgress=false",
    "quiet::NoUpdate=false",
    "APT::Output-Version=0",
    "APT::Color=no",
];

/// `-q=1` and not `-q`: that would add to a level set in apt.conf, and at level 2 apt no longer
/// names its sources.
pub(super) fn apt_get(options: &[&str], words: &[&str]) -> Invocation {
    let options = FIXED.iter().chain(options).flat_map(|option| ["-o", option]);
    let args = std::iter::once("-q=1").chain(options).chain(words.iter().copied());
    Invocation {
        program: "apt-get",
        args: args.map(str::to_owned).collect(),
        env: ENV,
        env_defaults: ENV_DEFAULTS,
        status_arg: Some("-oAPT::Status-Fd={}"),
        ..Invocation::default()
    }
}

/// dpkg's option for a database that is not in its usual place.
pub(super) fn admin_dir(places: &Places) -> Vec<String> {
    let usual = places.database == Path::new(DATABASE);
    let dir = places.database.parent().filter(|_| !usual);
    dir.map(|dir| format!("--admindir={}", dir.display())).into_iter().collect()
}

/// The value in a line like `DATABASE='/var/lib/dpkg/status'`.
pub(super) fn setting<'a>(stdout: &'a str, name: &str) -> Option<&'a str> {
    let line = stdout.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("='"));
    line.and_then(|value| value.strip_suffix('\'')).filter(|value| !value.is_empty())
}
