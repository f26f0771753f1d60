//! The database of installed packages, which several managers may share.

use super::facts::Places;
use super::machine::Machine;
use crate::model::packages::Installed;
use crate::system::process::Invocation;
use std::collections::HashMap;

/// How packages are named there, what is installed, and what shows that the database is not whole.
pub trait Database: Sync {
    /// Whether a PACKAGE argument follows the rules for names.
    fn is_package_name(&self, name: &str) -> bool;

    /// A package name as the lists have it, without the architecture.
    fn plain_name<'a>(&self, name: &'a str) -> &'a str {
        name
    }

    /// Lists the installed packages.
    fn list_installed(&self, places: &Places) -> Invocation;

    /// Reads that list.
    fn parse_installed(&self, text: &str, places: &Places) -> Installed;

    /// Whether the manager is itself a package in it, so that an empty list must be wrong.
    fn holds_manager(&self) -> bool {
        false
    }

    /// The file that a package with this name and version has once it is installed whole, for a manager whose list does
    /// not tell that.
    fn entry(&self, _name: &str, _version: &str) -> Option<String> {
        None
    }

    /// What shows that the database has lost packages: the manager does not know that these are installed, and lists no
    /// updates for them. Reads files.
    fn lost(&self, _places: &Places) -> Option<String> {
        None
    }

    /// What shows changes that the time of this file or directory of the database does not show: a path or a pattern.
    fn also_changes(&self, _place: &str) -> Option<String> {
        None
    }

    /// Whether its own journal shows an install that was cut off. Reads a directory.
    fn was_cut_off(&self, _places: &Places) -> bool {
        false
    }

    /// Whether several versions of the package with this name stand side by side by rule, given what it provides
    /// and the text of [`Facts::rules`](super::facts::Facts::rules).
    fn keeps_several(&self, _name: &str, _provides: &[&str], _rules: &str) -> bool {
        false
    }

    /// What these packages provide, by package, for the question above; empty where it cannot be told.
    fn provides(&self, _machine: &dyn Machine, _names: &[&str]) -> HashMap<String, Vec<String>> {
        HashMap::new()
    }

    /// The installed versions of a package in the order in which they came; empty where it cannot be told. Their times
    /// are of the same second.
    fn in_order(&self, _machine: &dyn Machine, _name: &str) -> Vec<String> {
        Vec::new()
    }
}
