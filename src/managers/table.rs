//! All managers.

use crate::managers::manager::Manager;
use crate::managers::{apk, apt, dnf, dnf5, pacman, yum, zypper};

/// The table. If several managers fit equally well, the first is chosen.
pub const MANAGERS: &[&dyn Manager] =
    &[&apt::Apt, &dnf::Dnf, &dnf5::Dnf5, &yum::Yum, &zypper::Zypper, &apk::Apk, &pacman::Pacman];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manager_says_what_it_is_and_what_its_index_and_its_packages_depend_on() {
        for manager in MANAGERS {
            let facts = manager.facts();
            for (what, values) in [
                ("programs", facts.programs),
                ("systems", facts.systems),
                ("package_databases", facts.package_databases),
                ("source_config", facts.source_config),
            ] {
                assert!(!values.is_empty(), "{}: {what}", facts.name);
            }
            assert!(facts.cache.starts_with('/'), "{}: cache", facts.name);
            let is_locked = !facts.locks.is_empty() || facts.lock_by_existence.is_some();
            assert!(is_locked || !facts.pid_files.is_empty(), "{}: locks", facts.name);
        }
    }
}
