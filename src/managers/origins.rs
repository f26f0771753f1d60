//! Which updates are security updates, by the sources that offer them.

use crate::model::listing::Listing;
use crate::model::packages::Origin;
use crate::model::updates::Update;
use std::collections::HashMap;

/// For each package, where it can be had.
pub type Origins = HashMap<String, Vec<Origin>>;

/// The names of packages that would be updated.
pub fn names(updates: &[Update]) -> Vec<&str> {
    updates.iter().map(|update| update.name.as_str()).collect()
}

/// The packages that are not known to bring a security update: a version below the candidate may be one.
pub fn open(listing: &Listing) -> Vec<&str> {
    let open =
        listing.updates.iter().filter(|update| update.security != Some(true) && update.installed.is_some());
    let held = listing.held_back.iter().map(|held| &held.name);
    open.map(|update| &update.name).chain(held).map(String::as_str).collect()
}

/// The sources that the lists name.
pub fn of_lists(updates: &[Update]) -> Origins {
    let of_update = |update: &Update| {
        let origin = Origin {
            source: update.source.clone()?,
            is_candidate: true,
            version: Some(update.candidate.clone()),
            ..Origin::default()
        };
        Some((update.name.clone(), vec![origin]))
    };
    updates.iter().filter_map(of_update).collect()
}

/// Marks the security updates by these origins. `is_asked`: the manager can also say it for what is held back.
pub fn tell(listing: &mut Listing, origins: &Origins, is_asked: bool) {
    // Versions above the candidate would not be installed.
    let secure = |name: &str, candidate: Option<&str>| {
        let of = origins.get(name).map(Vec::as_slice).unwrap_or_default();
        let is_it = |origin: &Origin| origin.version.is_some() && origin.version.as_deref() == candidate;
        let first = of.iter().position(is_it).unwrap_or(0);
        of[first..].iter().any(|origin| origin.is_security)
    };
    for update in &mut listing.updates {
        let told = origins.contains_key(&update.name).then_some(false);
        update.security =
            update.security.or(told).map(|known| known || secure(&update.name, Some(&update.candidate)));
    }
    for held in &mut listing.held_back {
        let told = || is_asked.then(|| secure(&held.name, held.candidate.as_deref()));
        held.security = held.security.or_else(told);
    }
}
