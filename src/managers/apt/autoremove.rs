//! `apt-get autoremove`.

use super::commands::{apt_get, never_autoremoved};
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
        let options = ["DPkg::Lock::Timeout=0", "Dpkg::Use-Pty=0", "Dpkg::Options::=--force-confdef"];
        let confold = ["Dpkg::Options::=--force-confold"];
        command(&[&options[..], &confold].concat(), keep, &["-y"])
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

    #[test]
    fn what_is_to_stay_is_named_exactly() {
        let line = Unneeded.remove(&["g++".to_string(), "libc6:i386".to_string()], &[]).line();
        let end = "-o APT::NeverAutoRemove::=^g\\+\\+$ -o APT::NeverAutoRemove::=^libc6$ -y autoremove";
        assert!(line.ends_with(end), "{line}");
    }
}
