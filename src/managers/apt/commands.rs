//! The command lines of apt.

use crate::managers::facts::{Places, Plan};
use crate::system::process::{Finished, Invocation};
use std::path::Path;
use std::time::Duration;

/// dpkg's database, unless apt.conf names another.
pub(super) const DATABASE: &str = "/var/lib/dpkg/status";

/// Nothing may ask a question: not debconf, ucf, needrestart or apt-listchanges. dpkg's output must be in English.
pub(super) const ENV: &[(&str, &str)] = &[
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("UCF_FORCE_CONFFOLD", "1"),
    ("DPKG_COLORS", "never"),
];

/// needrestart lists what needs a restart. If an administrator exports `a`, it restarts these services.
pub(super) const ENV_DEFAULTS: &[(&str, &str)] = &[("NEEDRESTART_MODE", "l")];

/// Without the index in its memory apt-cache knows no package, and apt-get no update.
const CACHE: &str = "APT::Cache::Generate=true";

/// Settings of apt.conf that would change what a command does or how it prints are fixed here. What it says about
/// packages (pins, holds, recommendations, purging, downgrades) is for the administrator to decide, and stays.
pub(super) const FIXED: &[&str] = &[
    "APT::Get::Simulate=false",
    "APT::Get::Print-URIs=false",
    "APT::Get::Download-Only=false",
    "APT::Get::Download=true",
    "APT::Get::Trivial-Only=false",
    "APT::Get::Assume-No=false",
    "APT::Get::Fix-Missing=false",
    "APT::Get::Fix-Broken=false",
    "APT::Get::Fix-Policy-Broken=false",
    "quiet::NoProgress=false",
    "quiet::NoUpdate=false",
    "APT::Output-Version=0",
    "APT::Color=no",
    CACHE,
    "Debug::pkgDPkgPM=false",
    "Debug::NoLocking=false",
    // We wait for locks ourselves, within a budget; apt.conf may say "for ever". Also `check` takes them.
    "DPkg::Lock::Timeout=0",
    // What it says of passwords comes in pieces, and words of another process between them: no reader finds all.
    "Debug::Acquire::netrc=false",
];

/// `-q=1` and not `-q`: that would add to a level set in apt.conf, and at level 2 apt no longer
/// names its sources.
pub(super) fn apt_get(options: &[&str], words: &[&str]) -> Invocation {
    let options = FIXED.iter().chain(options).flat_map(|option| ["-o", option]);
    let args = std::iter::once("-q=1").chain(options).chain(words.iter().copied());
    let progress_arg = Some("-oAPT::Status-Fd={}");
    Invocation { env: ENV, env_defaults: ENV_DEFAULTS, progress_arg, ..Invocation::of("apt-get", args) }
}

pub(super) fn apt_cache(verb: &str, names: impl IntoIterator<Item = impl Into<String>>) -> Invocation {
    Invocation { env: ENV, ..Invocation::of("apt-cache", ["-o", CACHE, verb]).with(names) }
}

/// Asks for the values of options; each is given with the name under which it is answered.
pub(super) fn apt_config(options: impl IntoIterator<Item = (&'static str, &'static str)>) -> Invocation {
    let words = options.into_iter().flat_map(|(name, option)| [name, option]);
    Invocation { env: ENV, ..Invocation::of("apt-config", ["shell"]).with(words) }
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

/// One retry, after a second: with apt's own default of three a hanging mirror takes 247 s.
pub const RETRIES: &str = "Acquire::Retries=1";

/// For each try apt waits twice the timeout for a silent mirror. With one retry, a twelfth of the budget leaves more than
/// half of it to the other sources.
pub fn refresh(budget: Duration) -> Invocation {
    let silence = (budget.as_secs() / 12).clamp(1, 30);
    let [http, https] = ["http", "https"].map(|method| format!("Acquire::{method}::Timeout={silence}"));
    // With one queue for all, a mirror that closes its connections would make the others wait for ever.
    let queues = "Acquire::Queue-Mode=host";
    let marks_end = format!("APT::Update::Post-Invoke::=echo '{HOOKS_ENDED}' >&2");
    let marks_begin = format!("APT::Update::Pre-Invoke::=echo '{UPDATE_BEGINS}'");
    let options = ["APT::Update::Error-Mode=any", queues, RETRIES, &http, &https, &marks_begin, &marks_end];
    apt_get(&options, &["update"])
}

/// A hook of ours prints this on standard output after all hooks of apt.conf that run before an update: progress lines
/// before it are not apt's.
pub(super) const UPDATE_BEGINS: &str = "linux-patch: the update itself begins";

/// A hook of ours prints this on standard error. apt runs it after all hooks of apt.conf, and prints its own errors and
/// warnings at its end: what stands before is not apt's.
pub(super) const HOOKS_ENDED: &str = "linux-patch: the hooks of this update have ended";

/// `install` also removes what nothing needs where apt.conf says so. To mend something is no reason for that.
const NO_AUTOREMOVE: &[&str] =
    &["-o", "APT::Get::AutomaticRemove=false", "-o", "APT::Get::AutomaticRemove::Kernels=false"];

/// `upgrade --with-new-pkgs` is what `apt upgrade` does: it installs new dependencies (a kernel update is a new
/// package), and removes nothing.
pub fn upgrade(plan: &Plan) -> Vec<&'static str> {
    match (plan.mends, plan.full) {
        // The solver of apt 3 gives up where a package that was cut off must come together with another.
        (true, _) => [NO_AUTOREMOVE, &["-o", "APT::Solver=internal", "-f", "install"]].concat(),
        (false, true) => vec!["dist-upgrade"],
        (false, false) => vec!["--with-new-pkgs", "upgrade"],
    }
}

/// Options with which these packages, and what they need, are not removed because nothing needs them. An upgrade
/// removes old kernels so, where apt.conf says so.
pub(super) fn never_autoremoved(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("APT::NeverAutoRemove::=^{}$", escaped(name))).collect()
}

/// A name as an extended regular expression.
fn escaped(name: &str) -> String {
    let name = name.split(':').next().unwrap_or(name);
    name.chars()
        .flat_map(|letter| if "+.".contains(letter) { vec!['\\', letter] } else { vec![letter] })
        .collect()
}

pub fn leave_out_option(plan: &Plan) -> Option<String> {
    let path = plan.leave_out_file.as_ref()?;
    Some(format!("Dir::Etc::Preferences={}", path.display()))
}

/// A simulation installs nothing, whatever apt.conf says. `--assume-no` would not be enough: `APT::Get::Assume-Yes`
/// overrules it.
pub fn list(plan: &Plan) -> Invocation {
    let (selection, kept) = (leave_out_option(plan), never_autoremoved(&plan.kept));
    let options: Vec<&str> = selection.iter().chain(&kept).map(String::as_str).collect();
    apt_get(&options, &[&["-s", "-V"], &upgrade(plan)[..]].concat())
}

pub fn list_needs(plan: &Plan, names: &[String]) -> Invocation {
    let selection = leave_out_option(plan);
    let options: Vec<&str> = selection.as_deref().into_iter().collect();
    apt_get(&options, &["-s", "-V", "--only-upgrade", "install"]).with(names)
}

/// apt_preferences(5) records: at a negative priority no version of the package is a candidate,
/// so that it stays as it is. Unlike a hold or `install NAME` this leaves nothing behind: no
/// hold after a crash, and no package turned from automatically to manually installed. The
/// first record for a package or one of its versions wins, so ours stand before the administrator's.
pub fn leave_out_text(plan: &Plan) -> String {
    let record =
        |name: &str, version: &str| format!("Package: {name}\nPin: version {version}\nPin-Priority: -1\n\n");
    let left_out = plan.left_out.iter().map(|name| record(name, "*"));
    let passed_over = plan.passed_over.iter().map(|(name, version)| record(name, version));
    left_out.chain(passed_over).collect()
}

pub fn change(plan: &Plan, options: &[&str], words: &[&str]) -> Invocation {
    let (selection, kept) = (leave_out_option(plan), never_autoremoved(&plan.kept));
    let mut all = vec![
        // How long a mirror may be silent is for apt.conf to say; we end a download that stands still.
        RETRIES,
    ];
    all.extend_from_slice(options);
    if plan.mends {
        // The list removed nothing, but others may have installed something since.
        all.push("APT::Get::Remove=false");
    }
    all.extend(selection.iter().chain(&kept).map(String::as_str));
    apt_get(&all, &[words, &upgrade(plan)].concat())
}

pub fn download(plan: &Plan) -> Invocation {
    change(plan, &[], &["-y", "-d"])
}

/// How apt is to run dpkg.
pub(super) const OF_DPKG: &[&str] = &[
    // Without a terminal of its own dpkg prints unchanged lines, and a script that reads its input finds the end of
    // /dev/null instead of waiting for ever.
    "Dpkg::Use-Pty=0",
    // Both are needed: confdef alone asks where there is no default, confold alone overrules the default.
    "Dpkg::Options::=--force-confdef",
    "Dpkg::Options::=--force-confold",
    // Else what is unpacked last, or a trigger, may stay so.
    "DPkg::ConfigurePending=true",
];

/// With `--no-download` the install cannot wait for a mirror. But apt fails with that option where packages come from
/// `file:` and `cdrom:` sources, because these are never copied to the archive directory; they are only "fetched" from
/// the local disk.
pub fn install(plan: &Plan, downloaded: &Finished) -> Invocation {
    let has_local = downloaded.stdout.lines().any(|line| {
        let item = line.strip_prefix("Get:").and_then(|rest| rest.split_once(' '));
        item.is_some_and(|(_, item)| {
            ["file:", "copy:", "cdrom:"].iter().any(|scheme| item.starts_with(scheme))
        })
    });
    let words: &[&str] = if has_local { &["-y"] } else { &["-y", "--no-download"] };
    change(plan, OF_DPKG, words)
}

/// apt runs dpkg several times where packages must be configured before others are unpacked. After one of these runs
/// fails it starts no more.
pub fn past_failures(mut invocation: Invocation) -> Invocation {
    invocation.args.splice(0..0, ["-o", "Dpkg::StopOnError=false"].map(str::to_owned));
    invocation
}

pub fn repair(places: &Places) -> Invocation {
    configure(places, &["-a"])
}

/// Runs the scripts of packages that are only unpacked.
pub fn configure(places: &Places, names: &[&str]) -> Invocation {
    let words = [&["--force-confdef", "--force-confold", "--configure"], names].concat();
    let invocation = Invocation::of("dpkg", admin_dir(places)).with(words);
    Invocation { env: ENV, env_defaults: ENV_DEFAULTS, ..invocation }
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
    fn left_out_packages_are_pinned() {
        let plan = Plan { left_out: vec!["tb-a".into()], ..Plan::default() };
        assert_eq!(leave_out_text(&plan), "Package: tb-a\nPin: version *\nPin-Priority: -1\n\n");
        let plan = Plan { passed_over: [("tb-b".into(), "1:3.0".into())].into(), ..Plan::default() };
        assert_eq!(leave_out_text(&plan), "Package: tb-b\nPin: version 1:3.0\nPin-Priority: -1\n\n");
    }
}
