//! Updates of sources that were not refreshed or not chosen, and what other sources offer instead.

use crate::driver::Session;
use crate::managers::Origin;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::Update;
use crate::store::state::State;
use glob::Pattern;
use std::collections::BTreeSet;

/// Updates that only sources offer which were not refreshed. Their index is old, and the files that it names are often
/// gone.
#[derive(Debug, Default)]
pub(super) struct Stale {
    /// Those that are left out: what such a source decides about stays as it is.
    pub(super) names: BTreeSet<String>,
    /// Those for which another source offers an older version that nothing keeps back.
    pub(super) passed_over: BTreeSet<(String, String)>,
}

impl Stale {
    fn note(&mut self, update: &Update, choice: Choice) {
        match choice {
            Choice::Fresh => {}
            Choice::Stale => drop(self.names.insert(update.name.clone())),
            Choice::Older(versions) => {
                self.passed_over.extend(versions.into_iter().map(|version| (update.name.clone(), version)));
            }
        }
    }
}

pub(super) fn stale_updates(session: &Session, state: &State, pending: &Listing) -> Result<Stale, Failure> {
    let failed = state.not_refreshed();
    let mut stale = Stale::default();
    if failed.is_empty() || session.manager.facts().lists_refreshed_only {
        return Ok(stale);
    }
    let names: Vec<_> = pending.updates.iter().map(|update| update.name.as_str()).collect();
    let origins = session.manager.origins(session, &names)?;
    // A list of the refreshed sources alone passes over it by itself.
    let can_pass_over = session.manager.facts().passes_over || session.takes_refreshed_alone(&failed);
    for update in &pending.updates {
        let origins = origins.get(&update.name).map(Vec::as_slice).unwrap_or_default();
        let choice = match choose(origins, &update.candidate, &|source| !failed.contains(source)) {
            Choice::Older(_) if !can_pass_over => Choice::Stale,
            choice => choice,
        };
        stale.note(update, choice);
    }
    Ok(stale)
}

/// Updates that none of the chosen sources offers, and versions newer than the one that a chosen source offers. If the
/// source of an update is not known, it counts as not offered.
pub(super) fn of_other_sources(
    session: &Session,
    pending: &Listing,
    from: &[Pattern],
) -> Result<Stale, Failure> {
    let mut others = Stale::default();
    if pending.updates.is_empty() {
        return Ok(others);
    }
    let offers = session.manager.offers(session, &pending.updates)?;
    for update in &pending.updates {
        let of_update = offers.get(&update.name).map(Vec::as_slice).unwrap_or_default();
        let is_known = of_update.iter().any(|origin| origin.version.as_ref() == Some(&update.candidate));
        let choice = match choose(of_update, &update.candidate, &|source| is_one(from, source)) {
            Choice::Fresh if !is_known => Choice::Stale,
            Choice::Older(_) if !session.manager.facts().passes_over => Choice::Stale,
            choice => choice,
        };
        others.note(update, choice);
    }
    Ok(others)
}

/// Whether one of the patterns matches the identifier of a source.
pub(super) fn is_one(from: &[Pattern], source: &str) -> bool {
    from.iter().any(|pattern| pattern.matches(source))
}

/// What becomes of a candidate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// A source that was refreshed offers it, or nobody knows who does.
    Fresh,
    /// Only other sources offer it.
    Stale,
    /// Only other sources offer it, and a source that was refreshed offers a version older than these.
    Older(Vec<String>),
}

fn choose(origins: &[Origin], candidate: &str, is_usable: &dyn Fn(&String) -> bool) -> Choice {
    let is_fresh = |origin: &Origin| is_usable(&origin.source);
    let is_candidate = |origin: &&Origin| match &origin.version {
        Some(version) => version == candidate,
        None => origin.is_candidate,
    };
    let mut of_candidate = origins.iter().filter(is_candidate).peekable();
    let Some(priority) = of_candidate.peek().map(|origin| origin.priority) else { return Choice::Fresh };
    if of_candidate.any(is_fresh) {
        return Choice::Fresh;
    }
    // A version with a higher priority than all others must not be replaced by another source's.
    let is_other = |origin: &Origin| {
        is_fresh(origin) && origin.priority == priority && origin.version.is_some() && !is_candidate(&origin)
    };
    let Some(other) = origins.iter().position(is_other) else { return Choice::Stale };
    let is_newer = |origin: &&Origin| origin.priority == priority && origin.version != origins[other].version;
    let newer = origins[..other].iter().filter(is_newer).filter_map(|origin| origin.version.clone());
    // apk does not list the newest first.
    let mut newer: Vec<_> = newer.collect();
    if !newer.iter().any(|version| version == candidate) {
        newer.push(candidate.to_string());
    }
    Choice::Older(newer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_of_a_refreshed_source_takes_the_place_of_one_that_cannot_be_had() {
        let origin = |(version, source, priority): &(&str, &str, i64)| Origin {
            source: source.to_string(),
            version: Some(version.to_string()),
            priority: *priority,
            ..Origin::default()
        };
        let chosen = |table: &[(&str, &str, i64)]| {
            let origins: Vec<_> = table.iter().map(origin).collect();
            choose(&origins, "3", &|source| source != "dead")
        };
        let older = |versions: &[&str]| Choice::Older(versions.iter().map(ToString::to_string).collect());
        assert_eq!(chosen(&[]), Choice::Fresh, "nobody knows");
        assert_eq!(chosen(&[("3", "dead", 500), ("3", "a", 500), ("2", "a", 500)]), Choice::Fresh);
        assert_eq!(chosen(&[("3", "dead", 500)]), Choice::Stale);
        assert_eq!(chosen(&[("3", "dead", 500), ("2", "dead", 500)]), Choice::Stale);
        assert_eq!(chosen(&[("3", "dead", 500), ("2", "a", 500)]), older(&["3"]));
        let both =
            [("4", "a", 100), ("3", "dead", 500), ("2", "dead", 500), ("2", "a", 500), ("1", "a", 500)];
        assert_eq!(chosen(&both), older(&["3"]));
        assert_eq!(chosen(&[("2", "a", 500), ("3", "dead", 500)]), older(&["3"]), "in any order");
        assert_eq!(chosen(&[("3", "dead", 990), ("2", "a", 500)]), Choice::Stale, "it has the say");
        assert_eq!(chosen(&[("3", "dead", 500), ("2", "a", 100)]), Choice::Stale, "nobody wants that one");
    }
}
