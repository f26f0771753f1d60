//! What the walk must know of a package manager: how its configuration is written, what it chooses of what is
//! offered, and where on this host its index lies.

mod apk;
mod apt;
mod pacman;
mod rpm;

use std::collections::BTreeMap;

use crate::manager::{Manager, Repository};
use crate::walk::Walked;
use crate::world::{Offer, Plan, Source};

/// As `--manager` has them.
pub const NAMES: [&str; 6] = ["apk", "apt", "dnf", "dnf5", "zypper", "pacman"];

/// What may be wrong with an index itself, whatever its server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nobody knows who signed it.
    Stranger,
    /// Its own date of validity has passed.
    Expired,
}

pub trait System: Manager {
    /// Lines of its configuration that change what it prints, asks or keeps, and must change nothing that is told.
    const SETTINGS: &'static [&'static str];
    /// What it finds out of an index, which it then must not take from the future either.
    const FLAWS: &'static [Flaw] = &[];
    /// Part of every path of an index.
    const INDEX_PATH: &'static str;
    /// Part of the path that every refresh asks for, also where nothing is new.
    const ASKED: &'static str = Self::INDEX;
    /// Parts of the paths of files that say where an index comes from.
    const SOURCE_FILES: &'static [&'static str];
    /// Whether it has sources that are preferred to others.
    const PREFERS: bool = true;
    /// Whether a preferred source also decides about packages installed in a newer version than it offers.
    const OWNS_OLDER: bool = false;
    /// Whether an older version may be installed if the newest one does not come.
    const FALLS_BACK: bool = true;
    /// Whether a package is replaced by another one that declares it, without being asked.
    const OBSOLETES: bool = true;
    /// Whether what nothing needs any more goes without being asked.
    const SWEEPS: bool = false;
    /// Whether it has updates that are not for every host yet.
    const PHASES: bool = false;
    /// Whether it reads metalinks; and modules, of which the walk knows what comes of them.
    const METALINKS: bool = false;
    const MODULES: bool = false;
    /// Whether parts of an upgrade can be chosen, or be left out.
    const CHOOSES: bool = true;
    /// Seconds that are enough for a refresh, whatever else this machine does.
    const BUDGET: u64 = 6;
    /// How often one refresh asks for an index that is new.
    const REQUESTS: usize = 1;
    /// How many times as often it may ask a source that fails.
    const TRIES: usize = 8;
    /// The programs that install.
    const PROGRAMS: &'static [&'static str];
    /// A lock that whoever is killed leaves behind, and that only a person may take away.
    const LEFT_LOCK: Option<&'static str> = None;
    /// Whether it says only for all sources together that another mirror had what one had not.
    const HIDES_MIRRORS: bool = false;

    /// Whether a refresh ends at the first source that fails.
    fn stops_at_failure(_: &Plan<Self>) -> bool {
        false
    }

    /// What a repository needs before the first refresh.
    fn start(_: &Source<Self>) {}

    /// Publishes what a source has.
    fn publish(source: &Source<Self>) {
        source.repo.publish(&source.packages);
    }

    /// All of its configuration, by path.
    fn configuration(plan: &Plan<Self>) -> BTreeMap<String, String>;

    /// The version that it wants of those that are offered; they are sorted, the newest first. Of what a preferred source
    /// offers nothing of the others counts, as long as it is no older than what is installed.
    fn candidate<'a>(plan: &Plan<Self>, installed: &str, offers: &'a [Offer]) -> Option<&'a Offer> {
        let has_say = |offer: &&Offer| {
            Some(offer.source) == plan.preferred && (Self::OWNS_OLDER || !offer.is_older_than(installed))
        };
        offers.iter().find(has_say).or(offers.first())
    }

    /// The index of a source as it is served, and as it lies on this host.
    fn served(repo: &Self::Repo) -> Vec<u8>;
    fn here(&self, plan: &Plan<Self>, source: &Source<Self>) -> Vec<u8>;

    /// Part of the identifier of a source in the state.
    fn id(&self, _: &Plan<Self>, source: &Source<Self>) -> String {
        self.source_id(source.name, &source.repo)
    }

    /// Lets the administrator keep a package as it is, or no longer, where [`System::configuration`] does not.
    fn hold(&self, _name: &str, _is_held: bool) {}
}

/// Walks with the manager of this name.
pub fn walk(manager: &str, seed: u64, steps: &[String]) -> Walked {
    use crate::walk::walk;
    match manager {
        "apk" => walk::<crate::apk::Apk>(seed, steps),
        "apt" => walk::<crate::apt::Apt>(seed, steps),
        "dnf" => walk::<crate::dnf::Dnf>(seed, steps),
        "dnf5" => walk::<crate::dnf5::Dnf5>(seed, steps),
        "zypper" => walk::<crate::zypper::Zypper>(seed, steps),
        "pacman" => walk::<crate::pacman::Pacman>(seed, steps),
        _ => panic!("MANAGER is one of {NAMES:?}"),
    }
}
