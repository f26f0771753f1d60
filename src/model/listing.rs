//! What a manager would do, as it lists it.

use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::{counted, cut, one_line, short_line};
use crate::model::updates::{Change, HeldBack, Update};

/// What a person does about a list that linux-patch cannot read.
pub const REPORT_IT: &str =
    "update with the package manager itself for now, and report to linux-patch what it lists";

/// Why a list is not believed from which another number of packages could be read than the manager counts.
pub fn not_believed(manager: &str, told: usize, listed: usize) -> String {
    format!("{manager} says that {} would change, but lists {listed}; {REPORT_IT}", counted(told, "package"))
}

/// What is pending, as the manager lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// What `apply` would install.
    pub updates: Vec<Update>,
    /// Newer versions that it would not install.
    pub held_back: Vec<HeldBack>,
    /// What it would remove, with the installed version.
    pub removals: Vec<(String, Option<String>)>,
    /// Why the list cannot be used, where the manager itself counts more than could be read.
    pub contradiction: Option<String>,
}

impl Listing {
    /// Moves the updates that cannot be installed from what is pending to what is held back. Another candidate may be
    /// installable, and stays pending.
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

    /// Adds the updates of a fuller list: the administrator allows what the manager otherwise refuses.
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

    /// The list with everything safe to print.
    ///
    /// # Errors
    /// When one of its names cannot be one, or there are too many: leaving out some would not keep
    /// them from being installed. When it is short: an empty or short list would look like nothing to do.
    pub fn checked(mut self) -> Result<Listing, Failure> {
        if let Some(text) = self.contradiction.take() {
            return Err(Failure::new(Class::Other, text));
        }
        let names = self.updates.iter().map(|update| &update.name);
        let names = names.chain(self.held_back.iter().map(|held| &held.name));
        let mut names = names.chain(self.removals.iter().map(|(name, _)| name));
        if names.clone().nth(MOST_LISTED).is_some() {
            return Err(Failure::new(Class::Other, format!("more than {MOST_LISTED} packages are listed")));
        }
        if let Some(name) = names.find(|name| !can_be_name(name)) {
            let text = format!(
                "the list of packages has a name that no package can have: {}",
                cut(one_line(name), 100)
            );
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

    /// Notes that fewer packages could be read than the manager counts.
    pub fn compare(&mut self, manager: &str, told: usize, listed: usize) {
        if listed < told {
            self.contradiction = Some(not_believed(manager, told, listed));
        }
    }

    /// The names of what would be installed.
    pub fn names(&self) -> Vec<String> {
        self.updates.iter().map(|update| update.name.clone()).collect()
    }

    /// Whether it would install an update of this package.
    pub fn comes(&self, name: &str) -> bool {
        self.updates.iter().any(|update| update.name == name)
    }

    /// Whether it would install this version.
    pub fn brings(&self, wanted: &Update) -> bool {
        self.updates.iter().any(|update| update.name == wanted.name && update.candidate == wanted.candidate)
    }

    /// The newer version of this package that it would not install.
    pub fn held(&self, name: &str) -> Option<&HeldBack> {
        self.held_back.iter().find(|held| held.name == name)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty() && self.removals.is_empty()
    }

    /// What would change by it.
    pub fn as_changes(&self) -> Vec<Change> {
        let updates = self.updates.iter().map(|update| Change {
            name: update.name.clone(),
            from: update.installed.clone(),
            to: Some(update.candidate.clone()),
            ..Change::default()
        });
        let removals = self.removals.iter().map(|(name, installed)| Change {
            name: name.clone(),
            from: installed.clone(),
            ..Change::default()
        });
        updates.chain(removals).collect()
    }
}

/// More updates than this are not a list of updates: the state would become too large to read.
const MOST_LISTED: usize = 30_000;

/// Whether something in a manager's list can be the name of a package. Packages with odd names exist, so more is
/// accepted than in arguments, but never an option, a path, a pattern or several names: names go into command lines,
/// and into files that the manager reads.
fn can_be_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._:~@^%".contains(&byte);
    !name.is_empty() && name.len() <= 256 && !name.starts_with('-') && name.bytes().all(allowed)
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
