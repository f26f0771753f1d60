//! The command lines of pacman.

use crate::managers::facts::Plan;
use crate::system::process::Invocation;
use std::path::Path;

/// The name, in our directory, of the configuration that gives the system the same index.
pub const CONFIG: &str = "install.conf";

/// The name, in our directory, of the configuration with some of the repositories.
pub const SOME_CONFIG: &str = "some.conf";

pub fn pacman(words: &[&str]) -> Invocation {
    Invocation::of("pacman", words.iter().copied())
}

pub fn pacman_conf(words: &[&str]) -> Invocation {
    Invocation { program: "pacman-conf", ..pacman(words) }
}

/// Runs pacman with our directory instead of the system's: it has another index and another lock.
pub fn private(words: &[&str]) -> Invocation {
    Invocation { private_arg: Some("--dbpath={}"), ..pacman(words) }
}

/// Answers to questions that `--noconfirm` would answer otherwise; each is a bit.
mod answers {
    /// No: an ignored package is not installed because another one needs it.
    pub const INSTALL_IGNORED: u32 = 1;
    /// Yes: a package that is in the way may be removed.
    pub const REMOVE_CONFLICTING: u32 = 4;
    /// No: a key that is missing is not accepted.
    pub const IMPORT_KEY: u32 = 64;
}

/// What a plan adds to a command line.
fn choice(plan: &Plan) -> Vec<String> {
    // The answer is one for all that is in the way, and what is excluded stays.
    let full = if plan.full && plan.kept.is_empty() { answers::REMOVE_CONFLICTING } else { 0 };
    let ignored = if plan.staying().next().is_none() { 0 } else { answers::INSTALL_IGNORED };
    let mut args = vec!["--ask".to_string(), (answers::IMPORT_KEY | full | ignored).to_string()];
    args.extend(plan.staying().flat_map(|name| ["--ignore".to_string(), name.clone()]));
    args
}

pub fn refresh() -> Invocation {
    private(&["-Sy", "--noconfirm", "--logfile", "/dev/null"]).with(choice(&Plan::default()))
}

/// Refreshes the repositories of this configuration alone.
pub fn refresh_some(config: &Path) -> Invocation {
    refresh().with(["--config".to_string(), config.display().to_string()])
}

/// Reads the whole index of these repositories.
pub fn read(ids: &[String]) -> Invocation {
    private(&["-Slq"]).with(["--"]).with(ids)
}

pub fn list(plan: &Plan) -> Invocation {
    private(&["-Su", "--print", "--print-format", "%n %v %r", "--noconfirm"]).with(choice(plan))
}

/// An upgrade without `--print`, because a list leaves out warnings. Nobody answers its question whether to go
/// on, which means no.
pub fn upgrade_in_words() -> Invocation {
    private(&["-Suw", "--logfile", "/dev/null"])
}

pub fn download(plan: &Plan) -> Invocation {
    private(&["-Suw", "--noconfirm"]).with(choice(plan))
}

/// Our directory is the only source in this configuration. So `-yy` gives the system exactly that index in the run that
/// upgrades, and pacman cannot ask a mirror for anything.
pub fn install(plan: &Plan) -> Invocation {
    let private_arg = Some("--config={}/install.conf");
    Invocation { private_arg, ..pacman(&["-Syyu", "--noconfirm"]).with(choice(plan)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_becomes_options() {
        let plan = Plan { full: true, left_out: vec!["a".into(), "b".into()], ..Plan::default() };
        assert!(download(&plan).line().ends_with("-Suw --noconfirm --ask 69 --ignore a --ignore b"));
        let plan = Plan { kept: vec!["b".into(), "c".into()], ..plan };
        assert!(download(&plan).line().ends_with(" --ask 65 --ignore a --ignore b --ignore c"));
        assert_eq!(download(&Plan::default()).line(), "pacman -Suw --noconfirm --ask 64");
    }
}
