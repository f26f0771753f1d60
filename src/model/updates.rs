//! Updates: pending, held back, and done.

use crate::model::failure::{Class, Extra, Failure};
use crate::model::text::{cut, one_line, short_line};
use crate::model::told::Told;
use serde::{Deserialize, Serialize};

/// An update that `apply` would install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Package name, with `:architecture` where it is not the native one.
    pub name: String,
    /// Installed version; `None` for a package that an upgrade brings in anew.
    pub installed: Option<String>,
    /// Version that would be installed.
    pub candidate: String,
    /// Whether it is, or contains, a security update; `None` where the manager cannot tell.
    pub security: Option<bool>,
    /// Where the candidate comes from, for apt `Label:Version/Suite`.
    pub source: Option<String>,
    /// The installed packages that go because this one comes in their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
    /// What else is known of it.
    #[serde(flatten)]
    pub told: Told,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Update {
    /// The same update, as one that is not installed.
    pub fn held_back(self, reason: &str) -> HeldBack {
        HeldBack {
            name: self.name,
            installed: self.installed,
            candidate: Some(self.candidate),
            reason: reason.to_string(),
            class: None,
            security: self.security,
            told: self.told,
            extra: self.extra,
        }
    }
}

/// The reason of an update that stays for a reason which the manager does not tell.
pub const KEPT_BACK: &str = "kept back";

/// The reason of one that is offered to a part of all hosts at a time, to which this one does not belong yet.
pub const PHASED: &str = "phased";

/// A newer version that `apply` does not install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// Package name.
    pub name: String,
    /// Installed version, where the manager says it.
    pub installed: Option<String>,
    /// Version that is held back, where the manager says it.
    pub candidate: Option<String>,
    /// `held` by the administrator, `phased` by the distribution, `kept back` because it
    /// needs a removal or something that cannot be installed, or why linux-patch leaves it out.
    pub reason: String,
    /// What kind of failure it would be, where it is linux-patch that leaves it out, so that the other
    /// updates can be installed. `None` where the manager keeps it back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Whether it is, or contains, a security update.
    pub security: Option<bool>,
    /// What else is known of it.
    #[serde(flatten)]
    pub told: Told,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl HeldBack {
    /// The update that it would be.
    pub fn into_update(self) -> Option<Update> {
        Some(Update {
            name: self.name,
            installed: self.installed,
            candidate: self.candidate?,
            security: self.security,
            source: None,
            replaces: Vec::new(),
            told: self.told,
            extra: self.extra,
        })
    }
}

/// What is pending, as the manager lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// What `apply` would install.
    pub updates: Vec<Update>,
    /// What it would not.
    pub held_back: Vec<HeldBack>,
    /// What it would remove, with the installed version.
    pub removals: Vec<(String, Option<String>)>,
}

/// More updates than this are not a list of updates: the state would become too large to be read.
const MOST_LISTED: usize = 30_000;

/// Whether something that a manager lists can be a package name at all. Looser than what is taken as
/// an argument, since packages with odd names exist, but never an option, a path, a pattern or
/// several names: names go into command lines, and into files that the manager reads.
fn can_be_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._:~@^%".contains(&byte);
    !name.is_empty() && name.len() <= 256 && !name.starts_with('-') && name.bytes().all(allowed)
}

impl Listing {
    /// Moves the updates that cannot be installed from what is pending to what is held back. Another
    /// candidate may be installable: it stays pending.
    pub fn leave_out(&mut self, impossible: &[HeldBack]) {
        for held in impossible {
            let is_it = |update: &Update| {
                let other = held.candidate.as_ref().is_some_and(|candidate| *candidate != update.candidate);
                update.name == held.name && !other
            };
            let Some(at) = self.updates.iter().position(is_it) else { continue };
            let update = self.updates.remove(at);
            self.held_back.retain(|known| known.name != held.name);
            self.held_back.push(HeldBack { class: held.class, ..update.held_back(&held.reason) });
        }
    }

    /// Takes what a fuller list has among its updates for one here too: the administrator allows what
    /// the manager otherwise refuses.
    pub fn allow(&mut self, fuller: &Listing) {
        let is_update = |held: &HeldBack| {
            let is_it = |update: &Update| {
                update.name == held.name && Some(&update.candidate) == held.candidate.as_ref()
            };
            held.class.is_some() && fuller.updates.iter().any(is_it)
        };
        let (allowed, held_back) = std::mem::take(&mut self.held_back).into_iter().partition(is_update);
        self.held_back = held_back;
        self.updates.extend(Vec::into_iter(allowed).filter_map(HeldBack::into_update));
    }

    /// The list with everything in it fit to be printed.
    ///
    /// # Errors
    /// When one of its names cannot be one, or there are too many: leaving out some would not keep
    /// them from being installed.
    pub fn checked(mut self) -> Result<Listing, Failure> {
        let names = self.updates.iter().map(|update| &update.name);
        let names = names.chain(self.held_back.iter().map(|held| &held.name));
        let mut names = names.chain(self.removals.iter().map(|(name, _)| name));
        if names.clone().nth(MOST_LISTED).is_some() {
            return Err(Failure::new(Class::Other, format!("more than {MOST_LISTED} packages are listed")));
        }
        if let Some(name) = names.find(|name| !can_be_name(name)) {
            let text = format!("what is listed as a package cannot be one: {}", cut(one_line(name), 100));
            return Err(Failure::new(Class::Other, text));
        }
        let tidy = |text: &mut String| *text = short_line(text);
        for update in &mut self.updates {
            tidy(&mut update.candidate);
            update.installed.iter_mut().chain(&mut update.source).for_each(tidy);
        }
        let told = self.updates.iter_mut().map(|update| &mut update.told);
        let told = told.chain(self.held_back.iter_mut().map(|held| &mut held.told));
        told.filter_map(|told| told.severity.as_mut()).for_each(tidy);
        for held in &mut self.held_back {
            tidy(&mut held.reason);
            held.installed.iter_mut().chain(&mut held.candidate).for_each(tidy);
        }
        self.removals.iter_mut().filter_map(|(_, version)| version.as_mut()).for_each(tidy);
        Ok(self)
    }

    /// The names of what would be installed.
    pub fn names(&self) -> Vec<String> {
        self.updates.iter().map(|update| update.name.clone()).collect()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty() && self.removals.is_empty()
    }

    /// What would change if it were installed.
    pub fn as_changes(&self) -> Vec<Change> {
        let updates = self.updates.iter().map(|update| Change {
            name: update.name.clone(),
            from: update.installed.clone(),
            to: Some(update.candidate.clone()),
            open_seconds: None,
            extra: Extra::new(),
        });
        let removals = self.removals.iter().map(|(name, installed)| Change {
            name: name.clone(),
            from: installed.clone(),
            to: None,
            open_seconds: None,
            extra: Extra::new(),
        });
        updates.chain(removals).collect()
    }
}

/// One package whose version changed during a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Package name.
    pub name: String,
    /// Version before; `None` when it was not installed.
    pub from: Option<String>,
    /// Version after; `None` when it was removed.
    pub to: Option<String>,
    /// For how long the update had been known here; told beside the list, see [`were_open`].
    #[serde(skip)]
    pub open_seconds: Option<i64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// For how long the update of a package that was changed had been known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasOpen {
    /// Package name.
    pub name: String,
    /// How many seconds.
    pub seconds: i64,
}

/// The changes of which that is known.
pub fn were_open(changes: &[Change]) -> Vec<WasOpen> {
    let one = |change: &Change| Some(WasOpen { name: change.name.clone(), seconds: change.open_seconds? });
    changes.iter().filter_map(one).collect()
}

impl Change {
    /// Name and version of a package that came or was changed.
    pub fn new_version(&self) -> Option<(&str, &str)> {
        Some((&self.name, self.to.as_deref()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::text::is_printable;

    fn listing(name: &str) -> Listing {
        let removals = vec![(name.to_string(), Some("1\x1b[m".to_string()))];
        Listing { removals, ..Listing::default() }
    }

    #[test]
    fn a_list_with_a_name_that_cannot_be_one_is_none() {
        for name in ["", "-o", "--full", "a b", "*", "a*", "a?", "/x", "a,b", "a=1", "$(id)", "a\x1b[m", "ü"]
        {
            let failure = listing(name).checked().expect_err(name);
            assert!(failure.message.chars().all(is_printable), "{failure:?}");
        }
        for name in ["tb-hello", "g++", "libc6:i386", "NetworkManager", ".build-deps", "a_b", "x~y@z"] {
            let listed = listing(name).checked().unwrap();
            assert_eq!(listed.removals, [(name.to_string(), Some("1 [m".to_string()))]);
        }
        assert!(listing(&"a".repeat(257)).checked().is_err());
        let many = |count| Listing { removals: vec![("a".to_string(), None); count], ..Listing::default() };
        assert!(many(MOST_LISTED).checked().is_ok() && many(MOST_LISTED + 1).checked().is_err());
    }
}
