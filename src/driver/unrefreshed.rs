//! A source that failed is not an absent one.

use super::Session;
use crate::managers::{Configured, Plan};
use crate::model::outcome::{Class, Extra, Failure, HeldBack, Listing, Refreshed, one_line};
use crate::store::state::State;
use log::warn;

impl Session {
    /// A plan that installs only from sources which were refreshed.
    ///
    /// # Errors
    /// When the manager has to be asked how it names them, and does not say.
    pub fn choice(&self, state: &State) -> Result<Plan, Failure> {
        let mut plan = Plan { without: state.not_refreshed(), from: state.refreshed(), ..Plan::default() };
        if !plan.from.is_empty() && self.manager.unrefreshed().is_some() {
            let configured = self.configured()?;
            plan.from.iter_mut().for_each(|id| *id = argument_of(&configured, id));
        }
        Ok(plan)
    }

    /// The list of what the refreshed sources offer, less what a source that was not refreshed has the
    /// say about, as its old index shows.
    ///
    /// # Errors
    /// When the manager cannot list its sources.
    pub fn without_owned(&self, listing: Listing, state: &State, plan: &Plan) -> Result<Listing, Failure> {
        let Some(unrefreshed) = self.manager.unrefreshed().filter(|_| !plan.without.is_empty()) else {
            return Ok(listing);
        };
        let cache = &self.places().cache;
        let is_there = |id: &&String| (unrefreshed.index)(id).iter().any(|index| cache.join(index).exists());
        let at_hand: Vec<_> = plan.without.iter().filter(is_there).collect();
        if at_hand.is_empty() || listing.updates.is_empty() {
            return Ok(listing);
        }
        let configured = self.configured()?;
        let mut whole = Plan { full: false, left_out: Vec::new(), selection: None, ..plan.clone() };
        whole.from.extend(at_hand.iter().map(|id| argument_of(&configured, id)));
        let all = self.ask(&self.manager.list(&whole));
        let all = all.and_then(|all| self.told_more(self.manager.parse_list(&all.stdout), &whole));
        let all = match all {
            Ok(all) => all,
            Err(failure) => {
                warn!("could not look into the old index of what was not refreshed: {}", failure.message);
                return Ok(listing);
            }
        };
        let failed: Vec<_> = state.sources.iter().filter(|source| source.error.is_some()).collect();
        let class = failed.iter().filter_map(|source| source.error.as_ref()).map(|error| error.class).next();
        let class = class.unwrap_or(Class::Fetch);
        Ok(hold_back_owned(listing, &all, &plan.without, &configured, class))
    }

    /// An index that is past its own date of validity is none, however new it is to us.
    pub(super) fn add_expired(&self, refreshed: &mut Refreshed) {
        let Some(expiry) = self.manager.expiry() else { return };
        let pattern = self.places().cache.join(expiry.files);
        let files = glob::glob(&pattern.to_string_lossy()).into_iter().flatten();
        if files.flatten().next().is_none() {
            return;
        }
        let expired = match self.ask(&(expiry.ask)()) {
            Ok(answer) => (expiry.parse)(&answer.stdout),
            Err(failure) => return warn!("could not ask for an expired index: {}", failure.message),
        };
        for expired in expired {
            if let Some(source) = refreshed.sources.iter_mut().find(|source| source.id == expired.id) {
                source.error = source.error.take().or(expired.error);
            }
        }
        refreshed.judge_again();
    }

    fn configured(&self) -> Result<Vec<Configured>, Failure> {
        match self.manager.unrefreshed() {
            Some(unrefreshed) => Ok((unrefreshed.parse)(&self.ask(&(unrefreshed.ask)())?.stdout)),
            None => Ok(Vec::new()),
        }
    }
}

fn argument_of(configured: &[Configured], id: &str) -> String {
    let found = configured.iter().find(|source| source.id == id);
    found.map_or_else(|| id.to_string(), |source| source.argument.clone())
}

/// Holds back what would not be installed, or would come from a source that was not refreshed and
/// has more to say, were the old index of those in use.
fn hold_back_owned(
    mut listing: Listing,
    all: &Listing,
    failed: &[String],
    configured: &[Configured],
    class: Class,
) -> Listing {
    let priority = |id: &String| {
        // As a list of packages has it, in one line.
        let source = configured.iter().find(|source| one_line(&source.id) == one_line(id));
        source.map_or(DEFAULT_PRIORITY, |source| source.priority)
    };
    let is_failed = |id: &str| failed.iter().any(|failed| one_line(failed) == one_line(id));
    let (kept, owned) = std::mem::take(&mut listing.updates).into_iter().partition(|update| {
        all.updates.iter().find(|of_all| of_all.name == update.name).is_some_and(|of_all| {
            // Another version than the refreshed sources offer can only be from the others.
            let theirs = of_all.source.as_ref().filter(|source| is_failed(source));
            let most = match theirs {
                Some(source) => priority(source),
                None if of_all.candidate == update.candidate => return true,
                None => failed.iter().map(priority).min().unwrap_or(DEFAULT_PRIORITY),
            };
            update.source.as_ref().map_or(DEFAULT_PRIORITY, priority) <= most
        })
    });
    listing.updates = kept;
    let owned: Vec<_> = owned;
    listing.held_back.extend(owned.into_iter().map(|update| HeldBack {
        name: update.name,
        installed: update.installed,
        candidate: Some(update.candidate),
        reason: format!("not refreshed: {}, which has the say about it", failed.join(", ")),
        class: Some(class),
        security: update.security,
        told: Default::default(),
        extra: Extra::new(),
    }));
    let stays = |name: &String| !all.removals.iter().any(|(gone, _)| gone == name);
    listing.removals.retain(|(name, _)| !stays(name));
    listing
}

/// Of a source of which none is known.
const DEFAULT_PRIORITY: i64 = 99;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Update;

    fn update(name: &str, candidate: &str, source: &str) -> Update {
        Update {
            name: name.into(),
            installed: Some("1".into()),
            candidate: candidate.into(),
            security: None,
            source: Some(source.into()),
            replaces: Vec::new(),
            told: Default::default(),
            extra: Extra::new(),
        }
    }

    #[test]
    fn what_a_source_that_failed_owns_stays() {
        let of = |id: &str, priority| Configured {
            id: id.into(),
            argument: id.into(),
            priority,
            is_enabled: true,
        };
        let configured = [of("good", 99), of("own", 1), of("third", 99)];
        let failed = ["own".to_string(), "third".to_string()];
        let listing = Listing {
            updates: vec![
                update("both", "2", "good"),
                update("owned", "9", "good"),
                update("owned-too", "9", "good"),
                update("newer-in-third", "2", "good"),
                Update { source: None, ..update("unknown", "9", "") },
            ],
            removals: vec![("obsoleted".into(), None)],
            ..Listing::default()
        };
        let all = Listing {
            updates: vec![
                update("both", "2", "good"),
                update("owned-too", "2", "own"),
                update("newer-in-third", "3", "third"),
                Update { source: None, ..update("unknown", "2", "") },
            ],
            ..Listing::default()
        };
        let left = hold_back_owned(listing, &all, &failed, &configured, Class::Network);
        let names = |of: &[Update]| of.iter().map(|update| update.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&left.updates), ["both", "newer-in-third"]);
        let held: Vec<_> = left.held_back.iter().map(|held| (held.name.as_str(), held.class)).collect();
        let network = Some(Class::Network);
        assert_eq!(held, [("owned", network), ("owned-too", network), ("unknown", network)]);
        assert!(left.removals.is_empty());
    }
}
