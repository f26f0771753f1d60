//! A repository that failed is not an absent one. zypper keeps its old index; the packages that it decides about stay
//! as they are.

use super::commands::{INDEX_BELOW, list, list_needs, list_repositories};
use super::details::complete;
use super::lists;
use crate::managers::facts::{Configured, Plan};
use crate::managers::machine::Machine;
use crate::managers::rpm::DEFAULT_PRIORITY;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::text::one_line;
use crate::model::updates::{NOT_REFRESHED, Update};
use glob::Pattern;
use log::warn;
use std::path::Path;

/// The configured repositories.
pub fn configured(machine: &dyn Machine) -> Result<Vec<Configured>, Failure> {
    Ok(lists::repositories(&machine.ask(&list_repositories())?.stdout))
}

/// The list without what a repository decides about that was not refreshed. What only such a repository offers is held
/// back.
pub fn without_owned(
    machine: &dyn Machine,
    listing: Listing,
    plan: &Plan,
    class: Class,
) -> Result<Listing, Failure> {
    let cache = &machine.places().cache;
    let at_hand: Vec<_> = plan.without.iter().filter(|alias| has_index(cache, alias)).collect();
    if at_hand.is_empty() {
        return Ok(listing);
    }
    let configured = configured(machine)?;
    let mut whole = Plan { full: false, ..plan.clone() };
    whole.only_sources.extend(at_hand.iter().map(|id| argument_of(&configured, id)));
    let all = machine.ask(&list(&whole));
    let all = all.and_then(|all| complete(machine, &whole, lists::plan(&all.stdout))?.checked());
    match all {
        Ok(all) => {
            let installed = machine.installed()?;
            let is_new = |update: &Update| {
                update.replaces.is_empty()
                    && !installed.contains_key(&update.name)
                    && !all.comes(&update.name)
            };
            let needed_by = |names: &[String]| {
                let answer = machine.ask(&list_needs(plan, names));
                answer.map(|answer| lists::plan(&answer.stdout).names()).unwrap_or_default()
            };
            let new = New { is_new: &is_new, needed_by: &needed_by };
            Ok(hold_back_owned(listing, &all, &new, &plan.without, &configured, class))
        }
        Err(failure) => {
            warn!(
                "could not read the old index of the repositories that were not refreshed: {}",
                failure.message
            );
            Ok(listing)
        }
    }
}

/// Whether the index of a repository was fetched and is still there. zypper fetches any other, also with `--no-refresh`.
fn has_index(cache: &Path, alias: &str) -> bool {
    let dir = Pattern::escape(&cache.join(alias.replace('/', "_")).to_string_lossy());
    let is_there = |name: String| {
        let found = glob::glob(&format!("{dir}/{name}"));
        found.into_iter().flatten().flatten().any(|path| path.is_file())
    };
    let names = ["repodata/repomd.xml", "content", "cookie"];
    INDEX_BELOW.iter().any(|below| names.iter().any(|name| is_there(format!("{below}{name}"))))
}

/// The repository as a command line names it.
pub fn argument_of(configured: &[Configured], id: &str) -> String {
    let found = configured.iter().find(|source| source.id == id);
    found.map_or_else(|| id.to_string(), |source| source.argument.clone())
}

/// What is known of new packages that the old indexes would not bring.
struct New<'a> {
    is_new: &'a dyn Fn(&Update) -> bool,
    /// What these updates bring with them.
    needed_by: &'a dyn Fn(&[String]) -> Vec<String>,
}

/// Holds back what would not be installed, or would come from a source that was not refreshed and has a better
/// priority, if the old indexes were in use.
fn hold_back_owned(
    mut listing: Listing,
    all: &Listing,
    new: &New,
    failed: &[String],
    configured: &[Configured],
    class: Class,
) -> Listing {
    let priority = |id: &String| {
        // As a list of packages writes it, in one line.
        let source = configured.iter().find(|source| one_line(&source.id) == one_line(id));
        source.map_or(DEFAULT_PRIORITY, |source| source.priority)
    };
    let is_failed = |id: &str| failed.iter().any(|failed| one_line(failed) == one_line(id));
    let (mut kept, mut owned): (Vec<_>, Vec<_>) =
        std::mem::take(&mut listing.updates).into_iter().partition(|update| {
            all.updates.iter().find(|of_all| of_all.name == update.name).is_some_and(|of_all| {
                // A version that the refreshed sources do not offer can only come from the others.
                let theirs = of_all.source.as_ref().filter(|source| is_failed(source));
                let most = match theirs {
                    Some(source) => priority(source),
                    None if of_all.candidate == update.candidate => return true,
                    None => failed.iter().map(priority).min().unwrap_or(DEFAULT_PRIORITY),
                };
                update.source.as_ref().map_or(DEFAULT_PRIORITY, priority) <= most
            })
        });
    // Nothing owns a new package. It comes with the update that needs it.
    let (of_others, old): (Vec<_>, Vec<_>) = owned.into_iter().partition(|update| (new.is_new)(update));
    owned = old;
    let names: Vec<_> = kept.iter().map(|update| update.name.clone()).collect();
    let needed = if of_others.is_empty() || names.is_empty() { Vec::new() } else { (new.needed_by)(&names) };
    let (comes, stays): (Vec<_>, Vec<_>) =
        of_others.into_iter().partition(|update| needed.contains(&update.name));
    kept.extend(comes);
    owned.extend(stays);
    listing.updates = kept;
    let of_failed = |update: &&Update| update.source.as_deref().is_none_or(is_failed);
    let theirs = all.updates.iter().filter(of_failed).filter(|update| {
        !listing.comes(&update.name)
            && listing.held(&update.name).is_none()
            && !owned.iter().any(|owned| owned.name == update.name)
    });
    let theirs: Vec<_> = theirs.cloned().collect();
    let failed = failed.join(", ");
    let reason = format!("{NOT_REFRESHED}: {failed}, which has the say about it");
    listing.held_back.extend(owned.into_iter().map(|update| update.left_out(class, &reason)));
    listing.held_back.extend(theirs.into_iter().map(|update| {
        let source = update.source.as_ref().unwrap_or(&failed);
        let reason = format!("{NOT_REFRESHED}: {source}, which alone offers it");
        update.left_out(class, &reason)
    }));
    listing.removals.retain(|(name, _)| all.removals.iter().any(|(gone, _)| gone == name));
    listing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::updates::HeldBack;

    fn update(name: &str, candidate: &str, source: &str) -> Update {
        Update {
            name: name.into(),
            installed: Some("1".into()),
            candidate: candidate.into(),
            source: Some(source.into()),
            ..Update::default()
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
                update("theirs-alone", "2", "third"),
                update("new-from-good", "2", "good"),
            ],
            ..Listing::default()
        };
        let new = New { is_new: &|_| false, needed_by: &|_| Vec::new() };
        let left = hold_back_owned(listing, &all, &new, &failed, &configured, Class::Network);
        let names = |of: &[Update]| of.iter().map(|update| update.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&left.updates), ["both", "newer-in-third"]);
        let held: Vec<_> = left.held_back.iter().map(|held| (held.name.as_str(), held.class)).collect();
        let network = Some(Class::Network);
        let expected = ["owned", "owned-too", "unknown", "theirs-alone"].map(|name| (name, network));
        assert_eq!(held, expected);
        assert_eq!(left.held_back[3].reason, "not refreshed: third, which alone offers it");
        assert!(left.held_back.iter().all(HeldBack::lacks_source), "a refresh finds it anew");
        assert!(left.removals.is_empty());
    }
}
