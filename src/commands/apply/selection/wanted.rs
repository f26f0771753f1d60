//! Which of the pending updates are wanted.

use super::Selection;
use crate::driver::Session;
use crate::managers::Installed;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::text::counted;
use crate::model::updates::Update;
use crate::store::state::{Pending, State};
use crate::system::time::{Time, span};
use log::warn;
use std::collections::BTreeSet;

impl Selection {
    /// The updates that this host has not known for long enough, except those of security. An update that was never
    /// seen before counts as new.
    pub(super) fn known_too_shortly(&self, pending: &Listing, state: &State) -> BTreeSet<String> {
        let Some(min_age) = self.min_age else { return BTreeSet::new() };
        let open = state.pending.as_ref().map(Pending::open).unwrap_or_default();
        let now = Time::now();
        let is_young = |update: &&Update| {
            let known = open.iter().filter(|open| open.name == update.name).map(|open| open.first_seen).min();
            let age = known.map(|first_seen| now.seconds_since(first_seen));
            update.security != Some(true) && age.is_none_or(|age| age < min_age)
        };
        pending.updates.iter().filter(is_young).map(|update| update.name.clone()).collect()
    }

    /// Which of these the plan leaves out, in words.
    pub fn young_words(&self, planned: &Listing) -> Option<String> {
        let count = self.young.iter().filter(|name| !planned.comes(name)).count();
        let age = span(self.min_age?);
        (count > 0).then(|| format!("{} known for less than {age}", counted(count, "update")))
    }

    /// The names of the selected updates and of what they need, without the excluded ones.
    pub(super) fn wanted(
        &self,
        session: &Session,
        pending: &Listing,
        named: &[String],
    ) -> Result<BTreeSet<String>, Failure> {
        let is_named = |update: &&Update| named.is_empty() || named.contains(&update.name);
        let is_secure = |update: &&Update| !self.security || update.security == Some(true);
        let is_old = |update: &&Update| !self.young.contains(&update.name);
        let is_from = |update: &&Update| !self.of_others.contains(&update.name);
        let updates = pending.updates.iter().filter(is_from);
        let selected = updates.filter(is_named).filter(is_secure).filter(is_old);
        let mut wanted: BTreeSet<_> = selected.map(|update| update.name.clone()).collect();
        if wanted.len() < pending.updates.len() && !wanted.is_empty() {
            // An update that replaces an installed package is asked for by that package's name. What is new otherwise
            // comes only with an update, and dnf fails over its name. What an update needs that stays is not asked for.
            let stays = |update: &Update| {
                let is_impossible = self.impossible.iter().any(|held| held.name == update.name);
                is_impossible || self.touches_excluded(update)
            };
            let names =
                pending.updates.iter().filter(|update| wanted.contains(&update.name) && !stays(update));
            let names = names.flat_map(|update| match update.installed {
                None if !session.manager.facts().needs_of_new => update.replaces.clone(),
                _ => vec![update.name.clone()],
            });
            let names: Vec<_> = names.collect();
            if !names.is_empty() {
                let needs = session.list_needs(&self.plan, &names)?.updates;
                wanted.extend(needs.into_iter().map(|update| update.name));
            }
        }
        // When a package is split, its own update is needed beside the one that replaces its old version. Otherwise it
        // would be removed.
        let split = pending.updates.iter().filter(|update| wanted.contains(&update.name));
        let split: Vec<_> = split.flat_map(|update| update.replaces.clone()).collect();
        let updates = pending.updates.iter().map(|update| &update.name);
        wanted.extend(updates.filter(|name| split.contains(name)).cloned());
        wanted.retain(|name| !self.is_excluded(name));
        for update in pending.updates.iter().filter(|update| self.touches_excluded(update)) {
            wanted.remove(&update.name);
            if !self.is_excluded(&update.name) {
                let (name, old) = (&update.name, update.replaces.join(", "));
                warn!("left out, because it would replace {old}, which is excluded: {name}");
            }
        }
        Ok(wanted)
    }

    /// The PACKAGE arguments as the manager lists them.
    ///
    /// # Errors
    /// When one is not installed, or held back.
    pub(super) fn named(&self, pending: &Listing, installed: &Installed) -> Result<Vec<String>, Failure> {
        let refuse = |text: String| Err(Failure::new(Class::Dependency, text));
        let mut names = Vec::new();
        for argument in &self.packages {
            let Some(name) = listed_name(argument, installed) else {
                return refuse(format!("{argument} is not installed; apply only updates what is"));
            };
            if let Some(held) = self.impossible.iter().find(|held| held.name == name) {
                let class = held.class.unwrap_or(Class::Other);
                return Err(Failure::new(class, format!("{name} cannot be updated: {}", held.reason)));
            }
            match pending.held(name).filter(|_| !pending.comes(name)) {
                // Its candidate is installed: to the manager it is up to date.
                Some(held) if held.is_hidden() => warn!("{name} is not updated: {}", held.reason),
                Some(held) => return refuse(format!("{name} cannot be updated: {}", held.reason)),
                None => {}
            }
            let in_its_place =
                pending.updates.iter().filter(|update| update.replaces.iter().any(|old| old == name));
            names.extend(in_its_place.map(|update| update.name.clone()));
            names.push(name.to_string());
        }
        Ok(names)
    }

    /// Checks that security updates can be told from others: otherwise selecting nothing would look like nothing to do.
    ///
    /// # Errors
    /// When security updates are asked for, and the sources say of no update what it is.
    pub(super) fn can_tell(&mut self, pending: &Listing, state: &State) -> Result<(), Failure> {
        let told = pending.updates.iter().any(|update| update.security.is_some());
        if !self.security || told || pending.updates.is_empty() {
            return Ok(());
        }
        let failed = state.not_refreshed();
        self.is_refused = failed.is_empty();
        let advice = match self.is_refused {
            true => "run apply without --security".to_string(),
            false => format!("there may be some in what was not refreshed: {}", failed.join(", ")),
        };
        let text = format!(
            "{} cannot tell security updates from others: no advisory for any of what is pending; {advice}",
            self.manager.facts().name
        );
        Err(Failure::new(Class::Config, text))
    }

    /// The installed packages that only unwanted updates would replace. An update that counts as absent replaces none.
    pub(super) fn kept(
        pending: &Listing,
        wanted: &BTreeSet<String>,
        is_absent: &dyn Fn(&Update) -> bool,
    ) -> Vec<String> {
        let (of_wanted, of_others): (Vec<_>, Vec<_>) =
            pending.updates.iter().partition(|update| wanted.contains(&update.name));
        let goes = |name: &String| {
            of_wanted.iter().any(|update| update.name == *name || update.replaces.contains(name))
        };
        let others = of_others.iter().filter(|update| !is_absent(update));
        let names = others.flat_map(|update| &update.replaces).filter(|name| !goes(name));
        names.cloned().collect()
    }
}

/// `libc6:amd64` is listed as `libc6` where amd64 is the native architecture, and `bash.x86_64` as `bash`.
pub(super) fn listed_name<'a>(argument: &'a str, installed: &Installed) -> Option<&'a str> {
    if installed.contains_key(argument) {
        return Some(argument);
    }
    let (plain, architecture) = argument.rsplit_once([':', '.'])?;
    let package = installed.get(plain)?;
    (*package.architecture == *architecture).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_unwanted_updates_would_replace_is_kept() {
        let update = |name: &str, replaces: &[&str]| Update {
            name: name.into(),
            candidate: "2".into(),
            replaces: replaces.iter().map(ToString::to_string).collect(),
            ..Update::default()
        };
        let updates = vec![update("new", &["a", "b"]), update("other", &["b"]), update("plain", &[])];
        let pending = Listing { updates, ..Listing::default() };
        let kept_without = |absent: &str, wanted: &[&str]| {
            let wanted = wanted.iter().map(ToString::to_string).collect();
            Selection::kept(&pending, &wanted, &|update| update.name == absent)
        };
        let kept = |wanted: &[&str]| kept_without("", wanted);
        assert_eq!(kept(&["new", "other", "plain"]), [""; 0]);
        assert_eq!(kept(&["other"]), ["a"]);
        assert_eq!(kept(&["plain"]), ["a", "b", "b"]);
        assert_eq!(kept_without("new", &["plain"]), ["b"]);
    }
}
