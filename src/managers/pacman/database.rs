//! The database of installed packages.

use super::commands::pacman;
use crate::managers::database::Database;
use crate::managers::facts::Places;
use crate::model::packages::{Installed, InstalledPackage};
use crate::system::process::Invocation;
use glob::Pattern;

/// Where pacman keeps them.
pub struct Packages;

impl Database for Packages {
    /// The rules of PKGBUILD(5).
    fn is_package_name(&self, name: &str) -> bool {
        name.bytes().next().is_some_and(|byte| !b"-.".contains(&byte))
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@._+-".contains(&byte))
    }

    fn list_installed(&self, _: &Places) -> Invocation {
        pacman(&["-Q"])
    }

    /// Reads `pacman -Q`.
    fn parse_installed(&self, stdout: &str, _: &Places) -> Installed {
        let rows = stdout.lines().filter_map(|line| line.split_once(' '));
        rows.map(|(name, version)| {
            let package = InstalledPackage { version: version.to_string(), ..InstalledPackage::default() };
            (name.to_string(), package)
        })
        .collect()
    }

    fn holds_manager(&self) -> bool {
        true
    }

    fn also_changes(&self, place: &str) -> Option<String> {
        Some(format!("{}/*/desc", Pattern::escape(place.trim_end_matches('/'))))
    }

    fn entry(&self, name: &str, version: &str) -> Option<String> {
        Some(format!("{name}-{version}/desc"))
    }
}
