//! What all managers of rpm packages have in common.

pub mod advisories;
pub mod autoremove;
pub mod database;
pub mod errors;
pub mod excluded;
pub mod excludes;
pub mod files;
pub mod history;
pub mod leftovers;
pub mod names;
pub mod offers;
pub mod owned;
pub mod settings;
pub mod systems;
pub mod tables;
pub mod versions;

use crate::model::listing::Listing;
use crate::model::updates::Update;
use glob::Pattern;
use names::listed_name;
use std::collections::HashSet;

/// The package database, in the places that Fedora and its relatives have used.
pub const DATABASES: &[&str] = &[
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages.db",
    "/var/lib/rpm/Packages",
];

/// The priority of a repository that has none set.
pub const DEFAULT_PRIORITY: i64 = 99;

/// The lock of this database.
pub const LOCKS: &[&str] = &["/usr/lib/sysimage/rpm/.rpm.lock", "/var/lib/rpm/.rpm.lock"];

/// The files that tell dnf, yum and libzypp of which packages they keep several versions.
pub const RULES: &[&str] = &[
    "/etc/dnf/dnf.conf",
    "/etc/dnf/libdnf5.conf.d",
    "/usr/share/dnf5/libdnf.conf.d",
    "/etc/yum.conf",
    "/usr/etc/zypp/zypp.conf",
    "/usr/etc/zypp/zypp.conf.d",
    "/etc/zypp/zypp.conf",
    "/etc/zypp/zypp.conf.d",
    "/etc/zypp/multiversion.d",
];

/// Why a protected package stays as it is, and what would replace it too.
pub const WOULD_GO: &str =
    "it is protected, and an update would remove it: another package comes in its place or is in its way";

/// Where dnf keeps the index of a repository: its directory is named after it, with the digits of a checksum.
pub fn release_files(id: &str) -> Vec<String> {
    vec![format!("{}-{}/repodata/repomd.xml", Pattern::escape(id), "[0-9a-f]".repeat(16))]
}

/// A pending update in a list that does not show the installed version.
pub fn update(name: &str, arch: &str, candidate: &str, source: &str) -> Update {
    Update {
        name: listed_name(name, arch),
        candidate: candidate.to_string(),
        source: Some(source.to_string()),
        ..Update::default()
    }
}

/// A list of updates, with the packages that replace others.
pub fn with_obsoleting(updates: Vec<Update>, obsoleting: Vec<Update>, obsoleted: Vec<String>) -> Vec<Update> {
    let mut obsoleted: HashSet<String> = obsoleted.into_iter().collect();
    // A package can obsolete an older one of its own name, which is an update like any other.
    for new in &obsoleting {
        obsoleted.remove(&new.name);
    }
    let mut updates = updates;
    updates.retain(|update| !obsoleted.contains(&update.name));
    let mut listed: HashSet<_> = updates.iter().map(|update| update.name.clone()).collect();
    updates.extend(obsoleting.into_iter().filter(|new| listed.insert(new.name.clone())));
    updates
}

/// If the oldest of several kernels is removed and a new one comes, that is an update.
pub fn without_replaced(mut listing: Listing) -> Listing {
    let comes: HashSet<_> = listing.updates.iter().map(|update| &update.name).collect();
    listing.removals.retain(|(name, _)| !comes.contains(name));
    listing
}
