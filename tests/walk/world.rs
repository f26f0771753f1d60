//! What there is: a host with a real package manager, repositories with what they publish, and what the
//! administrator has configured. Everything here is of our own making, so that the oracle can know it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};

use crate::manager::{Package, Repository, package};
use crate::sandbox::Sandbox;
use crate::server::{Fault, kept};
use crate::system::{Flaw, System};

/// What every host has installed in the beginning.
pub const NAMES: [&str; 5] = ["tb-a", "tb-b", "tb-c", "tb-d", "tb-e"];
/// What only a new version of another package brings, and in the end what comes in the place of one.
pub const NEW: [&str; 3] = ["tb-x", "tb-y", "tb-z"];
/// A mirror that is always down, the first one of every list of mirrors.
pub const DOWN: &str = "http://127.88.0.1:1";
/// What shows another time than that of the machine.
pub const FAKETIME: &str = "/usr/local/lib/faketime.so";
/// The sources of a world.
pub fn sources(seed: u64) -> &'static [&'static str] {
    &["alpha", "beta", "gamma", "delta"][..2 + (seed % 3) as usize]
}
/// Output of a maintainer script that could mislead a reader.
const FOOLS: &str = "echo 'E: Failed to fetch http://x 404 Not Found'; echo 'error: failed to retrieve some files' >&2; \
                     echo 'No space left on device'";
/// The mark of a script that takes its time.
pub const IN_SCRIPT: &str = "/run/in-script";

/// A source: a repository and its mirror.
pub struct Source<M: System> {
    pub name: &'static str,
    /// What the file is called that configures it.
    pub file: String,
    pub repo: M::Repo,
    pub is_configured: bool,
    /// Whether it is configured by a list of mirrors; by a metalink.
    pub has_list: bool,
    pub has_metalink: bool,
    /// Whether its packages are a module's, about which no other source decides then.
    pub is_modular: bool,
    /// Whether its index lies in the future of a clock that was set back.
    pub is_early: bool,
    pub packages: Vec<Package>,
    pub flaw: Option<Flaw>,
    /// How the mirror misbehaves, and for what.
    pub faults: BTreeMap<String, String>,
    /// Whether it sent something damaged since it was last refreshed, of which a part may lie in the way of the next.
    pub leaves_parts: bool,
    /// What it offered when it was last refreshed, in which version: as much of it as this host knows.
    pub known: BTreeMap<String, String>,
    /// What was installed from it and, in that version, could have come from no other one.
    pub came: BTreeSet<String>,
    /// All the names that it ever offered.
    pub ever: BTreeSet<String>,
}

/// What may be expected of a source in a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    /// Perhaps it is noticed, and perhaps there was nothing that had to be fetched.
    Doubtful,
    Ill,
}

impl<M: System> Source<M> {
    pub fn health(&self) -> Health {
        let least = if self.leaves_parts || self.is_early { Health::Doubtful } else { Health::Well };
        // A metalink that says that nothing is new is all that is asked for.
        let may_be_asked = !self.has_metalink || self.faults.contains_key("all");
        let faults = self.fault_of_index().into_iter().map(|fault| match fault {
            "404" | "403" | "503" | "close" | "hang" | "self" if may_be_asked => Health::Ill,
            _ => Health::Doubtful,
        });
        let flaw = self.flaw.map(|_| Health::Ill);
        faults.chain(flaw).max_by_key(|health| *health as u8).unwrap_or(least)
    }

    /// What happens to all paths happens to those of the index first.
    pub fn fault_of_index(&self) -> Option<&str> {
        self.faults.get("all").or(self.faults.get("index")).map(String::as_str)
    }

    /// Whether its mirror answers so slowly that a refresh runs out of time.
    pub fn is_slow(&self) -> bool {
        self.fault_of_index().is_some_and(|fault| ["hang", "trickle"].contains(&fault))
    }

    /// Makes the mirror behave as `faults` says.
    pub fn set_faults(&mut self) {
        let server = self.repo.server();
        server.heal();
        for (place, fault) in &self.faults {
            let is_whole = ["404", "403", "503", "close", "self"].contains(&fault.as_str());
            self.leaves_parts |= place != "packages" && !is_whole;
            let pattern = match place.as_str() {
                "packages" => "/tb-",
                "index" => M::INDEX_PATH,
                _ => "/",
            };
            server.fault(pattern, behaviour(fault, &server.url()));
        }
    }

    pub fn publish(&mut self) {
        for package in &self.packages {
            self.ever.insert(package.name.clone());
            self.ever.extend(package.replaces.iter().cloned());
        }
        M::publish(self);
    }
}

fn behaviour(word: &str, url: &str) -> Fault {
    match word {
        "close" => Fault::Close,
        "hang" => Fault::Hang,
        "trickle" => Fault::Trickle(30),
        "short" => Fault::Short,
        "long" => Fault::Long,
        "cut" => Fault::Cut,
        "flip" => Fault::Flip,
        "self" => Fault::Redirect(kept(format!("{url}/"))),
        "page" => Fault::Page,
        code => Fault::Status(code.parse().expect("a fault is a word or a status")),
    }
}

/// What the administrator has configured.
pub struct Plan<M: System> {
    pub sources: Vec<Source<M>>,
    /// The source that is preferred for what it offers.
    pub preferred: Option<usize>,
    /// Which of [`System::SETTINGS`] are made.
    pub settings: BTreeSet<usize>,
    /// Packages that are to stay as they are.
    pub held: BTreeSet<String>,
}

impl<M: System> Plan<M> {
    pub fn configured(&self) -> impl Iterator<Item = (usize, &Source<M>)> {
        self.sources.iter().enumerate().filter(|(_, source)| source.is_configured)
    }
}

/// A version of a package that a source offers.
#[derive(Clone, Debug)]
pub struct Offer {
    pub source: usize,
    pub version: String,
    pub needs: Vec<String>,
    pub replaces: Vec<String>,
    pub is_phased: bool,
}

impl Offer {
    pub fn is_older_than(&self, version: &str) -> bool {
        number(&self.version) < number(version)
    }
}

/// `12.3` as what is compared.
pub fn number(version: &str) -> (u32, u32) {
    let (whole, part) = version.split_once('.').unwrap_or((version, "0"));
    (whole.parse().unwrap_or(0), part.parse().unwrap_or(0))
}

/// What the oracle remembers from one run to the next.
#[derive(Default)]
pub struct Memory {
    /// Whether the last refresh was complete, and nothing has happened since that a status must notice; if that is
    /// known.
    pub is_fresh: Option<bool>,
    /// Whether the last apply failed; if that is known.
    pub has_failed: Option<bool>,
    /// Whether an apply was cut off, and none has ended well since.
    pub is_cut_off: bool,
    /// Whether a status must say so: what was excluded since need not be whole.
    pub is_to_be_told: bool,
    /// When the last refresh ended, by the clock of the host; if that is known.
    pub refreshed_at: Option<DateTime<Utc>>,
    /// A package that was replaced in the middle of the run.
    pub raced: Option<String>,
}

pub struct World<M: System> {
    pub manager: M,
    pub plan: Plan<M>,
    /// Files of the administrator's: what is in them now.
    pub files: BTreeMap<String, String>,
    /// What was ever offered to come in the place of a package, by that.
    pub replacers: BTreeMap<String, BTreeSet<String>>,
    /// Packages of which an advisory was ever published: also one that is gone may be known here.
    pub secured: BTreeSet<String>,
    /// What is wrong with the host itself: then only true reports can be required.
    pub troubles: BTreeSet<String>,
    /// Whether whoever runs linux-patch speaks another language.
    pub speaks_german: bool,
    /// By how many seconds the clock of the host is wrong.
    pub clock: i64,
    /// Since when each version of a package can be known here, by that clock.
    pub since: BTreeMap<(String, String), DateTime<Utc>>,
    pub memory: Memory,
}

impl<M: System> World<M> {
    pub fn new(seed: u64) -> World<M> {
        let manager = M::new();
        let sources = sources(seed).iter().map(|name| {
            let packages = NAMES.map(|name| made(name, "1.0", "plain")).to_vec();
            let repo = M::Repo::with(&packages);
            let ever = NAMES.iter().map(|name| (*name).to_owned()).collect();
            Source {
                name,
                file: (*name).to_owned(),
                repo,
                is_configured: true,
                has_list: false,
                has_metalink: false,
                is_modular: false,
                is_early: false,
                packages,
                flaw: None,
                faults: BTreeMap::new(),
                leaves_parts: false,
                known: BTreeMap::new(),
                came: BTreeSet::new(),
                ever,
            }
        });
        let plan = Plan {
            sources: sources.collect(),
            preferred: None,
            settings: BTreeSet::new(),
            held: BTreeSet::new(),
        };
        manager.install(&NAMES.map(|name| made(name, "1.0", "plain")));
        let mut world = World {
            manager,
            plan,
            files: BTreeMap::new(),
            replacers: BTreeMap::new(),
            secured: BTreeSet::new(),
            troubles: BTreeSet::new(),
            speaks_german: false,
            clock: 0,
            since: BTreeMap::new(),
            memory: Memory { is_fresh: Some(false), has_failed: Some(false), ..Memory::default() },
        };
        world.plan.sources.iter().for_each(M::start);
        world.configure();
        world
    }

    pub fn sandbox(&self) -> &Sandbox {
        self.manager.sandbox()
    }

    /// What the clock of the host shows.
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + Duration::seconds(self.clock)
    }

    /// Whether the index is fresh now, as far as that is known: never one whose time lies in the future.
    pub fn is_fresh(&self) -> Option<bool> {
        let is_fresh = self.memory.is_fresh?;
        let age = self.memory.refreshed_at.map(|at| (self.now() - at).num_seconds());
        Some(is_fresh && age.is_some_and(|age| (0..=4 * 3600).contains(&age)))
    }

    /// Sets the clock of the host this far from the true time.
    pub fn set_clock(&mut self, seconds: i64) {
        if seconds != 0 && !self.sandbox().exists(FAKETIME) {
            let places = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
            let mut found = places.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
            let found =
                found.find(|path| path.exists()).expect("a walk needs libfaketime (package faketime)");
            self.sandbox().write(FAKETIME, std::fs::read(found).unwrap());
        }
        self.clock = seconds;
        let now = self.now();
        self.since.values_mut().for_each(|since| *since = now.min(*since));
        for source in &mut self.plan.sources {
            source.is_early = M::FLAWS.contains(&Flaw::Expired) && seconds < 0;
        }
    }

    /// Writes what is planned, where it is not so already.
    pub fn configure(&mut self) {
        let wanted = M::configuration(&self.plan);
        // What came with a package somebody may have changed.
        let is_config = |path: &String| !path.starts_with("/etc/tb-");
        let old: Vec<String> = self.files.keys().filter(|path| is_config(path)).cloned().collect();
        for path in old.iter().filter(|path| !wanted.contains_key(*path)) {
            self.sandbox().sh(&format!("rm -f {path}"));
            self.files.remove(path);
            self.memory.is_fresh = None;
        }
        for (path, text) in wanted {
            if self.files.get(&path) != Some(&text) {
                self.sandbox().write(&path, &text);
                // A status notices what decides where the index comes from.
                let is_of_sources = M::SOURCE_FILES.iter().any(|part| path.contains(part));
                let was_fresh = self.memory.is_fresh != Some(false);
                self.memory.is_fresh = (is_of_sources || !was_fresh).then_some(false);
                self.files.insert(path, text);
            }
        }
    }

    pub fn source(&self, name: &str) -> Option<usize> {
        self.plan.sources.iter().position(|source| source.name == name)
    }

    /// The source that is a module.
    pub fn modular(&self) -> Option<usize> {
        self.plan.sources.iter().position(|source| source.is_modular)
    }

    /// What is offered of a package by sources that are configured and `usable`, the newest first.
    pub fn offers(&self, name: &str, usable: impl Fn(usize) -> bool) -> Vec<Offer> {
        let mut offers = Vec::new();
        for (nth, source) in self.plan.configured().filter(|(nth, _)| usable(*nth)) {
            for package in source.packages.iter().filter(|package| package.name == name) {
                let Package { version, needs, replaces, .. } = package.clone();
                let is_phased = package.is_phased && M::PHASES;
                offers.push(Offer { source: nth, version, needs, replaces, is_phased });
            }
        }
        offers.sort_by_key(|offer| std::cmp::Reverse(number(&offer.version)));
        offers
    }
}

/// What an update of a package pushes out: never in a circle, in which dnf 5 itself installs older versions, and never
/// tb-b, whose file somebody edits.
pub fn goes_for(name: &str) -> &'static str {
    match name {
        "tb-a" | "tb-b" => "tb-c",
        "tb-c" => "tb-d",
        "tb-d" => "tb-e",
        _ => "tb-none",
    }
}

/// A package of one of the kinds that there are.
pub fn made(name: &str, version: &str, kind: &str) -> Package {
    let made = package(name, version);
    let made = if name == "tb-b" { made.config(&format!("of {version}\n")) } else { made };
    match kind {
        "new" => made.needs(NEW[0]),
        "newer" => made.needs(NEW[1]),
        "unmet" => made.needs("tb-none"),
        "fails" => made.script(&format!("{FOOLS}; exit 1")),
        "fools" => made.script(FOOLS),
        "slow" => made.script(&format!("[ -e /run/fast ] || {{ echo $$ >{IN_SCRIPT}; sleep 1; }}")),
        "ousts" => made.replacing(goes_for(name)),
        "phased" => made.phased(),
        "security" => made.security(),
        "big" => made.padded(300_000),
        _ => made,
    }
}
