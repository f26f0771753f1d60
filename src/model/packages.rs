//! What is installed, and what an install that was cut off has left.

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
    /// What an advisory says of the version, where this is one.
    pub advice: Option<Advice>,
    /// Whether the version is the one that would be installed.
    pub is_candidate: bool,
    /// The version, where the manager tells it; they are listed from new to old.
    pub version: Option<String>,
    /// The priority that the administrator or the source gives it, where there is one.
    pub priority: i64,
    /// Whether the version is offered to a part of all hosts at a time.
    pub is_phased: bool,
}

/// The packages on the system, by name.
pub type Installed = BTreeMap<String, InstalledPackage>;

/// One installed package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Its version.
    pub version: String,
    /// Its architecture, in the manager's words: one of a few, which thousands of packages share.
    pub architecture: Rc<str>,
    /// Whether an install of it was begun and not ended.
    pub is_broken: bool,
    /// Whether that only waits for its last step, which runs its scripts.
    pub is_unpacked: bool,
    /// Whether it has to be installed once more, which no repair does.
    pub needs_reinstall: bool,
    /// Other versions of it in the package database: because somebody or a rule of the manager wants
    /// them there, or because an install that was cut off left them.
    pub others: Vec<OtherVersion>,
    /// Whether the administrator holds it.
    pub is_held: bool,
    /// When it was installed, in seconds since 1970, where the list tells.
    pub installed_at: Option<i64>,
    /// In the place of which packages it comes, where the list tells: `tb-old < 2.0`.
    pub obsoletes: Vec<String>,
}

/// The same packages in less memory: a map that was filled in the order of its keys is half empty.
pub fn compact(mut installed: Installed) -> Installed {
    let mut full = Installed::from_iter(installed.pop_last());
    full.append(&mut installed);
    full
}

/// Texts of which there are few, each once.
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

/// A version of a package that stands beside another in the package database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherVersion {
    /// The version.
    pub version: String,
    /// When it was installed, in seconds since 1970, where the list tells.
    pub installed_at: Option<i64>,
}

/// What an install that was cut off left in the package database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// The packages of which an install was begun and not ended.
    pub broken: Vec<String>,
    /// Those of them that have to be installed once more.
    pub needs_reinstall: Vec<String>,
    /// Versions that were to go.
    pub leftovers: Vec<Leftover>,
    /// What the manager says of dependencies that are not met, if it was asked.
    pub unmet: Option<String>,
}

impl Damage {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.broken.is_empty() && self.leftovers.is_empty() && self.unmet.is_none()
    }
}

/// A version that an install which was cut off was to replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The name of the package, as lists have it.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// The version that was to go.
    pub version: String,
    /// The version that came.
    pub newer: String,
    /// The package that came in its place, where that is another one.
    pub obsoleter: Option<String>,
}

/// What the manager's own history says of a run of it that was cut off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutOff {
    /// When that began, in seconds since 1970, where the history tells.
    pub began: Option<i64>,
    /// The versions that came, as `name-version-release.architecture`.
    pub comes: Vec<String>,
    /// The versions that were to go.
    pub goes: Vec<String>,
}
