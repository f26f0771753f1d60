//! Installed packages, and what an install that was cut off has left.

use crate::model::told::Advice;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

/// A source that offers a version newer than the installed one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The source, as a refresh names it.
    pub source: String,
    /// Whether it is a source of security updates.
    pub is_security: bool,
    /// What an advisory says about the version, if this is one.
    pub advice: Option<Advice>,
    /// Whether the version is the one that would be installed.
    pub is_candidate: bool,
    /// The version, if the manager tells it. Versions are listed from new to old.
    pub version: Option<String>,
    /// Its priority, by the administrator or the source, if there is one.
    pub priority: i64,
    /// Whether the version is offered only to a part of all hosts at a time.
    pub is_phased: bool,
}

/// The packages on the system, by name.
pub type Installed = BTreeMap<String, InstalledPackage>;

/// One installed package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Its version.
    pub version: String,
    /// Its architecture, in the manager's words. There are few, which thousands of packages share.
    pub architecture: Rc<str>,
    /// Whether an install of it began and did not end.
    pub is_broken: bool,
    /// Whether only its last step is missing, which runs its scripts.
    pub is_unpacked: bool,
    /// Whether it must be installed again, which no repair does.
    pub needs_reinstall: bool,
    /// Whether its removal began and did not end.
    pub removal_failed: bool,
    /// Other versions of it in the package database. Somebody or a rule of the manager wants them there, or an install
    /// that was cut off left them.
    pub others: Box<[OtherVersion]>,
    /// Whether the administrator holds it.
    pub is_held: bool,
    /// When it was installed, in seconds since 1970, if the list tells it.
    pub installed_at: Option<i64>,
    /// The packages that it replaces, if the list tells them: `tb-old < 2.0`.
    pub obsoletes: Box<[String]>,
}

/// Keeps one copy of each of a few texts.
#[derive(Default)]
pub struct Shared(HashSet<Rc<str>>);

impl Shared {
    /// The text.
    pub fn of(&mut self, text: &str) -> Rc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let text: Rc<str> = text.into();
        self.0.insert(text.clone());
        text
    }
}

/// A version of a package that is installed beside another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherVersion {
    /// The version.
    pub version: String,
    /// Its architecture, which may be another one than that of the other version.
    pub architecture: Rc<str>,
    /// When it was installed, in seconds since 1970, if the list tells it.
    pub installed_at: Option<i64>,
}

/// What an install that was cut off left in the package database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// The packages whose install began and did not end.
    pub broken: Vec<String>,
    /// Those of them that must be installed again.
    pub needs_reinstall: Vec<String>,
    /// Those of them that somebody began to remove.
    pub removal_failed: Vec<String>,
    /// Versions that were to be removed.
    pub leftovers: Vec<Leftover>,
    /// What the manager says about unmet dependencies, if it was asked.
    pub unmet: Option<String>,
    /// The installed packages that a repair leaves as they are.
    pub stays: Vec<String>,
    /// The sources that the last refresh reached.
    pub refreshed: Vec<String>,
    /// Those that it did not reach.
    pub not_refreshed: Vec<String>,
}

impl Damage {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.broken.is_empty() && self.leftovers.is_empty() && self.unmet.is_none()
    }
}

/// A version that was to be replaced by an install that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The name of the package, as lists have it.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// The version that was to be removed.
    pub version: String,
    /// The version that was installed.
    pub newer: String,
    /// The architecture of that.
    pub newer_architecture: String,
    /// The package that replaced it, if that is another one.
    pub obsoleter: Option<String>,
}

/// What the manager's own history says about one of its runs that was cut off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutOff {
    /// When it began, in seconds since 1970, if the history tells it.
    pub began: Option<i64>,
    /// The versions that were installed, as `name-version-release.architecture`.
    pub comes: Vec<String>,
    /// The versions that were to be removed.
    pub goes: Vec<String>,
}
