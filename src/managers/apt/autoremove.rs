//! `apt-get autoremove`.

use super::commands::{OF_DPKG, apt_get, never_autoremoved};
use super::lists;
use crate::managers::capabilities::{self, Autoremove};
use crate::managers::machine::Machine;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::system::process::Invocation;

/// Reads what apt marks as installed automatically.
pub(super) struct Unneeded;

impl Autoremove for Unneeded {
    fn list(&self, machine: &dyn Machine, keep: &[String]) -> Result<Listing, Failure> {
        Ok(lists::parse(&machine.ask(&command(&[], keep, &["-s", "-V"]))?.stdout))
    }

    fn remove(&self, keep: &[String], _: &[capabilities::Unneeded]) -> Invocation {
        command(OF_DPKG, keep, &["-y"])
    }
}

/// The packages that apt is told to keep also keep what they need.
fn command(options: &[&str], keep: &[String], words: &[&str]) -> Invocation {
    let kept = never_autoremoved(keep);
    let options: Vec<_> = options.iter().copied().chain(kept.iter().map(String::as_str)).collect();
    apt_get(&options, &[words, &["autoremove"]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::apt::commands::install;
    use crate::managers::facts::Plan;
    use crate::system::process::Finished;

    #[test]
    fn what_is_to_stay_is_named_exactly() {
        let line = Unneeded.remove(&["g++".to_string(), "libc6:i386".to_string()], &[]).line();
        let end = "-o APT::NeverAutoRemove::=^g\\+\\+$ -o APT::NeverAutoRemove::=^libc6$ -y autoremove";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn dpkg_gets_the_same_options_as_in_an_install() {
        let of_dpkg = |args: Vec<String>| {
            let is_one = |arg: &String| arg.to_lowercase().starts_with("dpkg::");
            let mut options: Vec<_> = args.into_iter().filter(is_one).collect();
            options.sort();
            options
        };
        let install = install(&Plan::default(), &Finished::ended(0, "", "")).args;
        assert!(install.iter().any(|arg| arg == "DPkg::Lock::Timeout=0"));
        assert_eq!(of_dpkg(Unneeded.remove(&[], &[]).args), of_dpkg(install));
    }
}
