//! Which package manager owns this system.

use super::table::MANAGERS;
use crate::managers::manager::Manager;
use crate::system::release::Release;
use std::path::{Path, PathBuf};

/// The manager with this name.
///
/// # Errors
/// One line naming those that there are.
pub fn by_name(name: &str) -> Result<&'static dyn Manager, String> {
    let known = || MANAGERS.iter().map(|manager| manager.facts().name).collect::<Vec<_>>().join(", ");
    let found = MANAGERS.iter().find(|manager| manager.facts().name == name);
    found.copied().ok_or_else(|| format!("{name} is no supported package manager; there are {}", known()))
}

/// The manager with this name, which must be installed. Where its program is a link to another manager, as `dnf` and
/// `yum` are on newer systems, it is that one.
///
/// # Errors
/// One line saying that it is not installed.
pub fn installed(name: &str) -> Result<&'static dyn Manager, String> {
    let named = by_name(name)?;
    let Some(path) = find(named) else {
        return Err(format!("{} is not on PATH, so {name} cannot be driven", named.facts().programs[0]));
    };
    let real = what_it_is(named, &path);
    match find(real) {
        Some(_) => Ok(real),
        None => Err(format!(
            "{} is {} here, but {} is not on PATH",
            path.display(),
            real.facts().name,
            real.facts().programs[0]
        )),
    }
}

/// The manager that owns this system.
///
/// # Errors
/// One line naming what was looked for.
pub fn detect() -> Result<&'static dyn Manager, String> {
    let found: Vec<_> = MANAGERS.iter().copied().filter(|manager| is_itself(*manager)).collect();
    owner(&found, &Release::of_this_system(), &trace_of_database).ok_or_else(|| {
        let programs: Vec<_> = MANAGERS.iter().map(|manager| manager.facts().programs[0]).collect();
        format!("no supported package manager found on PATH (looked for {})", programs.join(", "))
    })
}

/// What can be seen of the package database of a manager.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trace {
    Nothing,
    /// Other files in its directory: the database itself was lost.
    Directory,
    Database,
}

fn trace_of_database(manager: &dyn Manager) -> Trace {
    let has_files = |dir: &Path| dir.read_dir().is_ok_and(|mut files| files.next().is_some());
    let databases = || manager.facts().package_databases.iter().map(Path::new);
    if databases().any(Path::exists) {
        Trace::Database
    } else if databases().filter_map(Path::parent).any(has_files) {
        Trace::Directory
    } else {
        Trace::Nothing
    }
}

fn find(manager: &dyn Manager) -> Option<PathBuf> {
    crate::system::process::find(manager.facts().programs[0])
}

fn is_itself(manager: &'static dyn Manager) -> bool {
    find(manager).is_some_and(|path| what_it_is(manager, &path).facts().name == manager.facts().name)
}

/// The manager that the program of `named` really is, by the file that a link leads to. `dnf` leads to `dnf5` in Fedora
/// since release 41, `yum` to `dnf-3` in RHEL since release 8.
fn what_it_is(named: &'static dyn Manager, path: &Path) -> &'static dyn Manager {
    let real = path.canonicalize().ok();
    let name = real.as_deref().and_then(Path::file_name);
    let is_called_so = |manager: &&&dyn Manager| {
        manager.facts().programs.iter().any(|program| name == Some(program.as_ref()))
    };
    match MANAGERS.iter().find(is_called_so) {
        Some(real) if name != path.file_name() => *real,
        _ => named,
    }
}

/// The manager that owns the system, of several that are installed: apt-get can be installed on a Fedora, dnf on a
/// Debian, and zypper and dnf share one package database. In this order: one that os-release names and whose database
/// exists; one whose database exists; one that os-release names; the first. For one that `ID` names, the directory of a
/// database that was lost is enough.
fn owner(
    found: &[&'static dyn Manager],
    release: &Release,
    trace: &dyn Fn(&dyn Manager) -> Trace,
) -> Option<&'static dyn Manager> {
    let rank = |manager: &dyn Manager| {
        let systems = manager.facts().systems;
        let named = u8::from(release.is_one_of(systems)) + u8::from(release.is(systems));
        let trace = trace(manager);
        let is_there = trace == Trace::Database || (trace == Trace::Directory && named == 2);
        (if is_there { named } else { 0 }, is_there, named)
    };
    // max_by_key gives the last of equals.
    found.iter().rev().copied().max_by_key(|manager| rank(*manager))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<&'static dyn Manager> {
        MANAGERS.to_vec()
    }

    fn owner_of(os_release: &str, databases: &[&str]) -> &'static str {
        owner_beside_lost(os_release, databases, &[])
    }

    fn owner_beside_lost(os_release: &str, databases: &[&str], lost: &[&str]) -> &'static str {
        let trace = |manager: &dyn Manager| match manager.facts().name {
            name if databases.contains(&name) => Trace::Database,
            name if lost.contains(&name) => Trace::Directory,
            _ => Trace::Nothing,
        };
        owner(&all(), &Release::parse(os_release), &trace).unwrap().facts().name
    }

    const RPM: &[&str] = &["dnf", "dnf5", "yum", "zypper"];

    #[test]
    fn os_release_decides_between_managers_with_a_database() {
        for (os_release, databases, expected) in [
            ("ID=debian\n", &["apt", "dnf", "dnf5", "yum", "zypper"][..], "apt"),
            ("NAME=x\nID=ubuntu\nID_LIKE=debian\n", &["apt", "dnf"], "apt"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", &["apt", "dnf"], "apt"),
            ("ID=fedora\n", &["apt", "dnf"], "dnf"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", &["apt", "dnf"], "dnf"),
            ("ID='rhel'\n", &["apt", "dnf"], "dnf"),
        ] {
            assert_eq!(owner_of(os_release, databases), expected, "{os_release}");
        }
    }

    #[test]
    fn a_database_that_was_lost_makes_no_other_manager_the_owner() {
        assert_eq!(owner_beside_lost("ID=debian\n", &["pacman"], &["apt"]), "apt");
        assert_eq!(owner_beside_lost("ID=arch\n", &["apt"], &["pacman"]), "pacman");
        // The leftovers of a manager that never owned the system.
        assert_eq!(owner_beside_lost("ID=pika\nID_LIKE=debian\n", &["dnf"], &["apt"]), "dnf");
        assert_eq!(owner_beside_lost("", &["dnf"], &["apt"]), "dnf");
    }

    #[test]
    fn without_help_from_os_release_the_database_decides_and_then_the_order() {
        assert_eq!(owner_of("", &["dnf"]), "dnf");
        assert_eq!(owner_of("ID=debian\n", RPM), "dnf");
        assert_eq!(owner_of("ID=fedora\n", &[]), "dnf");
        assert_eq!(owner_of("ID=something\n", &[]), "apt");
        assert!(owner(&[], &Release::parse("ID=debian\n"), &|_| Trace::Database).is_none());
    }

    #[test]
    fn a_link_is_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let link = |name: &str, target: &str| {
            std::fs::write(dir.path().join(target), "").unwrap();
            let _ = std::fs::remove_file(dir.path().join(name));
            std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
            dir.path().join(name)
        };
        for manager in all() {
            for program in manager.facts().programs {
                let found = what_it_is(MANAGERS[0], &link("apt-get-link", program));
                assert_eq!(found.facts().name, manager.facts().name, "{program}");
            }
            let itself = what_it_is(manager, &dir.path().join(manager.facts().programs[0]));
            assert_eq!(itself.facts().name, manager.facts().name);
        }
        assert_eq!(
            what_it_is(MANAGERS[1], &link("dnf-link", "whatever")).facts().name,
            MANAGERS[1].facts().name
        );
    }

    #[test]
    fn no_two_managers_share_a_name_or_a_program() {
        let names = all().into_iter().flat_map(|manager| manager.facts().programs.iter());
        let mut programs: Vec<_> = names.collect();
        programs.sort();
        let count = programs.len();
        programs.dedup();
        assert_eq!(programs.len(), count);
        for manager in MANAGERS {
            assert_eq!(by_name(manager.facts().name).unwrap().facts().name, manager.facts().name);
            assert!(!manager.facts().systems.is_empty(), "{}", manager.facts().name);
        }
        assert!(by_name("pkg").unwrap_err().contains("there are apt, "));
    }
}
