//! What waits to be installed, and since when.

use crate::model::class::Extra;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::told::Told;
use crate::model::updates::{HeldBack, Update};
use crate::system::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// What is pending. If it could not be listed, only `as_of` and `error` are set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// When it was counted.
    pub as_of: Time,
    /// How many updates `apply` would install.
    #[serde(default)]
    pub count: Option<usize>,
    /// How many of them are security updates; `None` where the manager cannot tell.
    #[serde(default)]
    pub security: Option<usize>,
    /// Why what is pending is not known.
    #[serde(default)]
    pub error: Option<Failure>,
    /// Those updates.
    #[serde(default)]
    pub packages: Option<Vec<Update>>,
    /// Newer versions that `apply` does not install.
    #[serde(default)]
    pub held_back: Option<Vec<HeldBack>>,
    /// Where the package database is, beside the usual places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub database_places: Vec<String>,
    /// Fingerprint of everything that decides about the count.
    #[serde(default)]
    pub basis: Option<String>,
    /// Fingerprint of the package database at the count.
    #[serde(default)]
    pub database: Option<String>,
    /// What was pending before and is not listed now, kept because the list may not be complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Open>,
    /// The numbers of the lists, if these were not read to their ends.
    #[serde(skip)]
    pub unread: Option<Figures>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The numbers of the lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// How many updates are listed.
    pub packages: Option<usize>,
    /// How many are held back.
    pub held_back: Option<usize>,
    /// How many of those are security updates.
    pub held_back_security: Option<usize>,
    /// Whether it is known since when each security update is known.
    pub security_is_dated: bool,
    /// The security update that has been known for the longest, and since when.
    pub oldest_security: Option<(Time, String)>,
}

/// An update that has been open since a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Package name.
    pub name: String,
    /// Version installed then.
    #[serde(default)]
    pub installed: Option<String>,
    /// Version that was to be installed.
    #[serde(default)]
    pub candidate: Option<String>,
    /// Since when.
    pub first_seen: Time,
    /// Since when as a security update, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_seen: Option<Time>,
}

impl Pending {
    /// Nothing but the time of the question.
    pub fn not_known(as_of: Time) -> Pending {
        Pending {
            as_of,
            count: None,
            security: None,
            error: None,
            packages: None,
            held_back: None,
            database_places: Vec::new(),
            basis: None,
            database: None,
            known: Vec::new(),
            unread: None,
            extra: Extra::new(),
        }
    }

    /// The updates and what is held back, each with the time since which it is known, and those that could not be
    /// listed.
    pub fn open(&self) -> Vec<Open> {
        let open = |name: &String, installed: &Option<String>, candidate, security, told: &Told| {
            let first_seen = told.first_seen?;
            let security_seen = match security {
                Some(true) => told.since(security),
                _ => told.security_seen,
            };
            let (name, installed) = (name.clone(), installed.clone());
            Some(Open { name, installed, candidate, first_seen, security_seen })
        };
        let updates = self.packages().iter().filter_map(|update| {
            let candidate = Some(update.candidate.clone());
            open(&update.name, &update.installed, candidate, update.security, &update.told)
        });
        let held = self.held_back().iter().filter_map(|held| {
            open(&held.name, &held.installed, held.candidate.clone(), held.security, &held.told)
        });
        self.known.iter().cloned().chain(updates).chain(held).collect()
    }

    /// Notes for each update since when it is known, by an earlier list. With another candidate it is the same update,
    /// unless a version was installed meanwhile. A time in the future came from a wrong clock. If the list may not be
    /// complete, as after a failed count, updates that it lacks stay known. An update of which it cannot be told now
    /// whether it is about security stays what it was.
    pub fn remember_first_seen(&mut self, open: &[Open], may_lack_some: bool) {
        let by_name: HashMap<_, _> = open.iter().rev().map(|open| (open.name.as_str(), open)).collect();
        let now = self.as_of;
        let since = |name: &str, installed: &Option<String>, candidate: Option<&str>| {
            let is_same =
                |open: &&&Open| open.installed == *installed || open.candidate.as_deref() == candidate;
            by_name.get(name).filter(is_same)
        };
        let note = |told: &mut Told, known: Option<&&Open>, security: Option<bool>| {
            let first_seen = known.map_or(now, |known| known.first_seen.min(now));
            let before = known.and_then(|known| known.security_seen).map(|known| known.min(now));
            let security_seen = match security {
                Some(true) => before.or(Some(now)),
                Some(false) => None,
                None => before,
            };
            (told.first_seen, told.security_seen) =
                (Some(first_seen), security_seen.filter(|seen| security.is_none() || *seen > first_seen));
        };
        for update in self.packages.iter_mut().flatten() {
            let known = since(&update.name, &update.installed, Some(&update.candidate));
            note(&mut update.told, known, update.security);
        }
        for held in self.held_back.iter_mut().flatten() {
            let known = since(&held.name, &held.installed, held.candidate.as_deref());
            note(&mut held.told, known, held.security);
        }
        self.known.clear();
        if may_lack_some || self.packages.is_none() {
            let listed: HashSet<_> = self.open().into_iter().map(|open| open.name).collect();
            self.known = open.iter().filter(|open| !listed.contains(&open.name)).cloned().collect();
        }
    }

    /// The numbers of the lists.
    pub fn figures(&self) -> Figures {
        let oldest = self.oldest();
        Figures {
            packages: self.listed(),
            held_back: self.held_back_count(),
            held_back_security: self.held_back_security(),
            security_is_dated: oldest.is_some(),
            oldest_security: oldest.flatten().map(|(since, name)| (since, name.to_string())),
        }
    }

    /// How many updates are listed; `None` where that is not known.
    pub fn listed(&self) -> Option<usize> {
        self.unread.as_ref().map_or_else(|| self.packages.as_ref().map(Vec::len), |unread| unread.packages)
    }

    /// How many are held back; `None` where that is not known.
    pub fn held_back_count(&self) -> Option<usize> {
        self.unread.as_ref().map_or_else(|| self.held_back.as_ref().map(Vec::len), |unread| unread.held_back)
    }

    /// The security update that has been known for the longest, held back or not: since when, and its name.
    fn oldest(&self) -> Option<Option<(Time, &str)>> {
        if let Some(unread) = &self.unread {
            let oldest = unread.oldest_security.as_ref().map(|(since, name)| (*since, name.as_str()));
            return unread.security_is_dated.then_some(oldest);
        }
        let packages = self.packages.as_ref()?;
        self.security()?;
        let updates = packages.iter().map(|update| (&update.name, update.security, &update.told));
        let held = self.held_back().iter().map(|held| (&held.name, held.security, &held.told));
        let mut oldest: Option<(Time, &str)> = None;
        for (name, security, told) in updates.chain(held).filter(|(_, security, _)| *security == Some(true)) {
            let since = told.since(security)?;
            if oldest.is_none_or(|(known, _)| since < known) {
                oldest = Some((since, name));
            }
        }
        (oldest.is_some() || self.may_hold_back() == 0).then_some(oldest)
    }

    /// The security update that has been known for the longest, held back or not: for how many seconds, and its name.
    /// `Some(None)` where there is none, `None` where it cannot be told.
    pub fn oldest_security(&self, now: Time) -> Option<Option<(i64, &str)>> {
        let oldest = self.oldest()?;
        Some(oldest.map(|(since, name)| (now.seconds_since(since).max(0), name)))
    }

    /// How many of the updates are security updates. If none is pending it is 0, even if the manager cannot tell them
    /// apart.
    pub fn security(&self) -> Option<usize> {
        self.security.or((self.count == Some(0)).then_some(0))
    }

    /// How many security updates are held back; `None` if no held update says whether it is one.
    pub fn held_back_security(&self) -> Option<usize> {
        if let Some(unread) = &self.unread {
            return unread.held_back_security;
        }
        let held = self.held_back.as_ref()?;
        let is_told = held.is_empty() || held.iter().any(|held| held.security.is_some());
        is_told.then(|| held.iter().filter(|held| held.security == Some(true)).count())
    }

    /// How many of those that are held back may be security updates because none of them says whether it is one.
    pub fn may_hold_back(&self) -> usize {
        if self.held_back_security().is_some() { 0 } else { self.held_back_count().unwrap_or(0) }
    }

    /// How many security updates are known, pending or held back; `None` instead of 0 if others may be among those held
    /// back.
    pub fn all_security(&self) -> Option<usize> {
        let known = self.security()? + self.held_back_security().unwrap_or(0);
        (known > 0 || self.may_hold_back() == 0).then_some(known)
    }

    /// Sorts the updates as they are shown: security updates first, of these the oldest.
    pub fn sort(&mut self) {
        self.packages.iter_mut().for_each(|updates| updates.sort_by(Update::in_order));
    }

    /// The updates; none where they are not known.
    pub fn packages(&self) -> &[Update] {
        self.packages.as_deref().unwrap_or_default()
    }

    /// What is held back; nothing where that is not known.
    pub fn held_back(&self) -> &[HeldBack] {
        self.held_back.as_deref().unwrap_or_default()
    }

    /// What linux-patch itself leaves out so that the other updates can be installed.
    pub fn left_out_by_us(&self) -> Vec<HeldBack> {
        self.held_back().iter().filter(|held| held.class.is_some()).cloned().collect()
    }

    /// Moves these from what is pending to what is held back, and counts again.
    pub fn leave_out(&mut self, impossible: &[HeldBack]) {
        let (Some(updates), Some(held_back)) = (self.packages.take(), self.held_back.take()) else { return };
        let mut listing = Listing { updates, held_back, ..Listing::default() };
        listing.leave_out(impossible);
        self.set_packages(listing.updates);
        self.held_back = Some(listing.held_back);
    }

    /// Sets what is pending, and counts it.
    pub fn set_packages(&mut self, packages: Vec<Update>) {
        let secure = packages.iter().filter(|update| update.security == Some(true)).count();
        self.security = self.security.or(packages.is_empty().then_some(0)).map(|_| secure);
        self.count = Some(packages.len());
        self.packages = Some(packages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(day: i64) -> Time {
        Time::from_unix(day * 86400).unwrap()
    }

    /// The pending updates of one day: name, installed version and candidate of each.
    fn pending(day: i64, updates: &[(&str, &str, &str)]) -> Pending {
        let update = |(name, installed, candidate): &(&str, &str, &str)| json!({"name": name, "installed": installed, "candidate": candidate, "security": true, "source": null});
        let packages: Vec<_> = updates.iter().map(update).collect();
        serde_json::from_value(json!({"as_of": at(day), "packages": packages, "held_back": []})).unwrap()
    }

    fn since(pending: &Pending) -> Vec<i64> {
        let days = pending.packages().iter().map(|update| update.told.first_seen.unwrap().unix() / 86400);
        days.collect()
    }

    #[test]
    fn an_update_is_as_old_as_the_first_look_that_found_it() {
        let mut first = pending(1, &[("a", "1", "2")]);
        first.remember_first_seen(&[], false);
        for (now, expected) in [
            (pending(5, &[("a", "1", "2"), ("b", "1", "2")]), vec![1, 5]),
            // Its candidate keeps changing.
            (pending(5, &[("a", "1", "3")]), vec![1]),
            // It was installed meanwhile, and another version came.
            (pending(5, &[("a", "2", "3")]), vec![5]),
            // The clock was wrong then.
            (pending(0, &[("a", "1", "2")]), vec![0]),
        ] {
            let mut now = now;
            now.remember_first_seen(&first.open(), false);
            assert_eq!(since(&now), expected);
            assert!(now.known.is_empty());
        }
    }

    #[test]
    fn what_could_not_be_listed_for_once_is_as_old_as_before() {
        let mut first = pending(1, &[("a", "1", "2"), ("b", "1", "2")]);
        first.remember_first_seen(&[], false);
        let mut failed = Pending { packages: None, held_back: None, ..pending(2, &[]) };
        failed.remember_first_seen(&first.open(), false);
        let mut partial = pending(3, &[("b", "1", "2")]);
        partial.remember_first_seen(&failed.open(), true);
        let mut whole = pending(4, &[("a", "1", "3"), ("b", "1", "2")]);
        whole.remember_first_seen(&partial.open(), false);
        assert_eq!(since(&whole), [1, 1]);
        let mut gone = pending(3, &[("b", "1", "2")]);
        gone.remember_first_seen(&failed.open(), false);
        whole.remember_first_seen(&gone.open(), false);
        assert_eq!(since(&whole), [4, 1]);
    }

    /// The fix of a package that had an ordinary update for weeks is as old as the fix. That holds over a candidate that
    /// changes, over a day on which the manager cannot tell, and over what could not be listed.
    #[test]
    fn a_security_update_is_as_old_as_the_look_that_found_it_to_be_one() {
        let of_day = |day: i64, candidate: &str, security: Option<bool>, before: &Pending| {
            let mut now = pending(day, &[("a", "1", candidate)]);
            now.packages.as_mut().unwrap()[0].security = security;
            now.security = Some(1);
            now.remember_first_seen(&before.open(), false);
            now
        };
        let plain = of_day(1, "2", Some(false), &pending(0, &[]));
        let fix = of_day(30, "3", Some(true), &plain);
        assert_eq!(fix.oldest_security(at(31)), Some(Some((86400, "a"))));
        let newer = of_day(32, "4", Some(true), &of_day(31, "3", None, &fix));
        assert_eq!((since(&newer), newer.oldest_security(at(35))), (vec![1], Some(Some((5 * 86400, "a")))));
        let mut failed = Pending { packages: None, held_back: None, ..pending(33, &[]) };
        failed.remember_first_seen(&newer.open(), false);
        let again = of_day(34, "4", Some(true), &failed);
        assert_eq!(again.oldest_security(at(35)), Some(Some((5 * 86400, "a"))));
        // It is written only where it says more, and one that was always a security update has one time.
        let text = serde_json::to_string(&again).unwrap();
        assert!(text.contains("security_seen"), "{text}");
        let always = of_day(9, "3", Some(true), &of_day(8, "2", Some(true), &pending(0, &[])));
        assert_eq!(always.oldest_security(at(10)), Some(Some((2 * 86400, "a"))));
        assert!(!serde_json::to_string(&always).unwrap().contains("security_seen"));
        let told = of_day(12, "3", Some(true), &of_day(11, "3", None, &always));
        assert_eq!(told.oldest_security(at(13)), Some(Some((5 * 86400, "a"))));
        // No fix any more, and one anew.
        let other = of_day(40, "6", Some(true), &of_day(36, "5", Some(false), &again));
        assert_eq!(other.oldest_security(at(41)), Some(Some((86400, "a"))));
    }

    #[test]
    fn the_oldest_security_update_counts_and_nothing_that_is_not_told() {
        let mut now = pending(9, &[("a", "1", "2"), ("b", "1", "2"), ("c", "1", "2")]);
        assert_eq!(now.oldest_security(at(10)), None, "the manager cannot tell");
        now.set_packages(now.packages().to_vec());
        now.security = Some(3);
        assert_eq!(now.oldest_security(at(10)), None, "an older program left it");
        now.remember_first_seen(&pending(9, &[]).open(), false);
        let packages = now.packages.as_mut().unwrap();
        (packages[0].security, packages[0].told.first_seen) = (Some(false), Some(at(1)));
        packages[1].told.first_seen = Some(at(3));
        assert_eq!(now.oldest_security(at(10)), Some(Some((7 * 86400, "b"))));
        assert_eq!(now.oldest_security(at(1)), Some(Some((0, "b"))), "the clock was set back");
        let held = now.packages()[1].clone().held_back("held");
        now.leave_out(&[held]);
        assert_eq!(now.oldest_security(at(10)), Some(Some((7 * 86400, "b"))));
        now.set_packages(Vec::new());
        now.held_back = None;
        assert_eq!(now.oldest_security(at(10)), Some(None));
        let held = pending(9, &[("a", "1", "2")]).packages()[0].clone().held_back("held");
        now.held_back = Some(vec![HeldBack { security: None, ..held }]);
        assert_eq!((now.may_hold_back(), now.all_security()), (1, None), "it may be one");
        assert_eq!(now.oldest_security(at(10)), None);
    }

    #[test]
    fn what_moves_to_what_is_held_back_stays_as_old() {
        let mut now = pending(1, &[("a", "1", "2")]);
        now.remember_first_seen(&[], false);
        let held = now.packages()[0].clone().held_back("held");
        now.leave_out(&[held]);
        assert_eq!(now.open()[0].first_seen, at(1));
        let mut later = pending(4, &[("a", "1", "2")]);
        later.remember_first_seen(&now.open(), false);
        assert_eq!(since(&later), [1]);
    }
}
