//! The state: what is remembered between runs, and how it changes. It is read and written in `state_file`; only
//! `Index::missing` looks at files.

use crate::model::class::{Class, Extra};
use crate::model::failure::Failure;
pub use crate::model::published::IndexDates;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
pub use crate::store::applies::{Apply, ApplyOutcome, InProgress, LastApply};
pub use crate::store::pending::{Open, Pending};
use crate::system::release::last_second;
use crate::system::time::Time;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

/// The version this program writes.
pub const VERSION: u64 = 1;

/// Where a state says that something failed, and not why.
pub const NO_REASON: &str = "no reason recorded";

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Always [`VERSION`] in what this program writes.
    pub version: u64,
    /// The package manager that was driven.
    pub manager: Option<String>,
    /// End of the last refresh in which every source succeeded.
    pub last_cache_update: Option<Time>,
    /// The same moment by a clock that nobody can set.
    pub last_cache_boot: Option<BootMoment>,
    /// Whether the last attempt refreshed every source.
    pub last_update_success: bool,
    /// Why not.
    pub last_update_error: Option<Failure>,
    /// The last attempt.
    pub last_attempt: Option<Attempt>,
    /// The sources, each with what became of it.
    pub sources: Vec<Source>,
    /// What waits to be installed; `None` when that was never counted.
    pub pending: Option<Pending>,
    /// Whether a reboot was required after the last run.
    pub reboot_required: bool,
    /// The boot (`/proc/sys/kernel/random/boot_id`) in which that was found; in a container also the container's start.
    pub reboot_boot_id: Option<String>,
    /// Since when; `None` if none is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reboot_required_since: Option<Time>,
    /// The packages that require it; `None` if the manager names no such packages.
    pub reboot_packages: Option<RebootPackages>,
    /// What still runs code that an update has replaced; `None` if that could not be told.
    pub outdated_services: Option<Vec<OutdatedService>>,
    /// When that was looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services_seen: Option<ServicesSeen>,
    /// The last day on which the distribution has updates, as `2028-06-30`; `None` if nothing on the disk says it.
    pub support_ends: Option<String>,
    /// Why more may be pending than is listed, a sentence for each reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<String>,
    /// The installed packages that no source offers in any version; `None` if that could not be told.
    pub not_offered: Option<Vec<String>>,
    /// Whether the question was asked since anything that decides about it changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not_offered_asked: bool,
    /// Fingerprint of the source configuration that the last attempt used.
    pub source_config: Option<String>,
    /// The places of that configuration beside the usual ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_places: Vec<String>,
    /// Where the index was after the last refresh that did not fail.
    pub index: Option<Index>,
    /// The dates in the indexes that must be read through for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub index_dates: Vec<IndexDates>,
    /// The applies.
    pub apply: Apply,
    /// How often things happened.
    pub counters: Counters,
    /// What the file says about its own layout: written anew each time.
    #[serde(skip_serializing)]
    pub summary: IgnoredAny,
    /// Whether the lists of packages were not read to their ends. Such a state is only shown.
    #[serde(skip)]
    pub is_glance: bool,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A moment by the clock that began with the boot and that nobody can set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootMoment {
    /// The boot (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// Seconds since its start, including the time that the machine was suspended.
    pub seconds: i64,
}

/// Where the index is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Index {
    /// The files that hold it. If one of them is gone, the result of the refresh is lost.
    pub files: Vec<String>,
    /// Fingerprint of the manager's settings that decide about them.
    pub settings: Option<String>,
    /// What the manager said about its configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configuration>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// An answer of the manager that holds until something that it depends on changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// Fingerprint of all that it depends on, and of the question.
    pub basis: String,
    /// The part of the answer that is used.
    pub text: String,
}

impl Index {
    /// The first of its files that no longer exists. One in a directory that this user may not enter may be there.
    pub fn missing(&self) -> Option<&str> {
        let is_gone = |file: &&str| {
            let found = Path::new(file).metadata();
            found.is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
        };
        self.files.iter().map(String::as_str).find(is_gone)
    }
}

/// Packages installed since the last start that require a reboot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RebootPackages {
    /// Their names.
    pub names: Vec<String>,
    /// Other packages whose advisories ask for a reboot, by the manager.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_advisory: Vec<String>,
    /// The start of the machine or container since which this is so.
    pub start: String,
    /// Fingerprint of what decides about it.
    pub basis: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A service that still runs code which an update has replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutdatedService {
    /// Its unit; for processes without one, their name.
    pub unit: String,
    /// The numbers of those processes.
    pub processes: Vec<u32>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The last look at what runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServicesSeen {
    /// The boot (`/proc/sys/kernel/random/boot_id`). After another boot nothing that was found then still runs.
    pub boot_id: String,
    /// Fingerprint of the package database.
    pub database: String,
    /// Whether only a reboot replaces some of it.
    pub needs_reboot: bool,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One refresh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its start.
    pub started_at: Time,
    /// Its end.
    pub finished_at: Time,
    /// How it ended.
    pub outcome: RefreshOutcome,
    /// Exit code of the manager; `None` when it was killed.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// How long it took, in milliseconds, without the time that the machine was suspended.
    #[serde(default)]
    pub duration_ms: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The manager's name for it.
    pub id: String,
    /// When it was refreshed last.
    #[serde(default)]
    pub last_success: Option<Time>,
    /// When its index was published, by the index itself.
    #[serde(default)]
    pub published_at: Option<Time>,
    /// Until when its index is valid, by the index itself.
    #[serde(default)]
    pub valid_until: Option<Time>,
    /// Why the last attempt did not refresh it.
    #[serde(default)]
    pub error: Option<Failure>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// How often things happened since the state was first written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Refreshes run, those of applies included.
    pub refresh_total: u64,
    /// How many of these refreshed no source.
    pub refresh_failed_total: u64,
    /// Calls that shared the result of another process's refresh.
    pub refresh_joined_total: u64,
    /// Calls with `--if-stale` that found the index fresh.
    pub refresh_skipped_fresh_total: u64,
    /// Applies run.
    pub apply_total: u64,
    /// How many of these failed.
    pub apply_failed_total: u64,
    /// How many of these refreshed and downloaded a second time.
    pub apply_retried_total: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Adds one if it happened. A state that somebody wrote by hand may hold any number.
pub fn count(counter: &mut u64, happened: bool) {
    *counter = counter.saturating_add(u64::from(happened));
}

impl Counters {
    /// Adds calls that shared the result of another process's refresh.
    pub(super) fn add_joined(&mut self, calls: u64) {
        self.refresh_joined_total = self.refresh_joined_total.saturating_add(calls);
    }

    /// Limits numbers that no machine reaches, so that counting cannot overflow, to the largest that every reader of
    /// JSON and of metrics can hold.
    fn bound(&mut self) {
        const MOST: u64 = 1 << 53;
        for counter in [
            &mut self.refresh_total,
            &mut self.refresh_failed_total,
            &mut self.refresh_joined_total,
            &mut self.refresh_skipped_fresh_total,
            &mut self.apply_total,
            &mut self.apply_failed_total,
            &mut self.apply_retried_total,
        ] {
            *counter = (*counter).min(MOST);
        }
    }
}

impl State {
    /// Completes what another program or a person left out: what failed, or is not known, has a reason.
    pub(super) fn put_in_order(&mut self) {
        self.counters.bound();
        let uncounted =
            self.pending.as_mut().filter(|pending| pending.count.is_none() && pending.error.is_none());
        if let Some(pending) = uncounted {
            pending.error = Some(Failure::new(Class::Other, NO_REASON));
        }
        if let Some(last) = self.apply.last.as_mut().filter(|last| last.error.is_none()) {
            let class = match last.outcome {
                ApplyOutcome::Failed => Class::Other,
                ApplyOutcome::Interrupted => Class::Interrupted,
                ApplyOutcome::Success | ApplyOutcome::Partial => return,
            };
            last.error = Some(Failure::new(class, NO_REASON));
        }
    }

    /// The manager that the last run drove, if that is not this one.
    pub fn of_another(&self, manager: &str) -> Option<&str> {
        self.manager.as_deref().filter(|name| *name != manager)
    }

    /// The end of the last day on which the distribution has updates.
    pub fn support_end(&self) -> Option<Time> {
        last_second(self.support_ends.as_deref()?)
    }

    /// The sources that the last refresh did not reach.
    pub fn not_refreshed(&self) -> Vec<String> {
        let failed = self.sources.iter().filter(|source| source.error.is_some());
        failed.map(|source| source.id.clone()).collect()
    }

    /// The sources that the last refresh reached, if it did not reach others; else none.
    pub fn refreshed(&self) -> Vec<String> {
        let some_failed = self.sources.iter().any(|source| source.error.is_some());
        let fine = self.sources.iter().filter(|source| some_failed && source.error.is_none());
        fine.map(|source| source.id.clone()).collect()
    }

    /// Records a refresh. A failed or partial one never changes `last_cache_update`.
    pub fn record_refresh(&mut self, refreshed: &Refreshed, attempt: Attempt) {
        let now = attempt.finished_at;
        self.last_update_success = refreshed.outcome == RefreshOutcome::Fresh;
        self.last_update_error = refreshed.error.clone();
        if self.last_update_success {
            self.last_cache_update = Some(now);
        }
        count(&mut self.counters.refresh_total, true);
        count(&mut self.counters.refresh_failed_total, refreshed.outcome == RefreshOutcome::Failed);
        self.last_attempt = Some(attempt);
        let before = std::mem::take(&mut self.sources);
        // From the end, so that of several with the same name the first is found.
        let by_id: HashMap<_, _> = before.iter().rev().map(|source| (source.id.as_str(), source)).collect();
        let now_known = |result: &SourceResult| {
            let before =
                by_id.get(result.id.as_str()).map(|source| Source::clone(source)).unwrap_or_default();
            let last_success = if result.error.is_none() { Some(now) } else { before.last_success };
            Source { id: result.id.clone(), last_success, error: result.error.clone(), ..before }
        };
        self.sources = refreshed.sources.iter().map(now_known).collect();
        // A run that ended before the manager mentioned any source says nothing about the sources. A run that mentioned
        // some mentioned all that are configured.
        if refreshed.sources.is_empty() {
            let failed = |source| Source { error: refreshed.error.clone(), ..source };
            self.sources = before.into_iter().map(failed).collect();
        }
    }

    /// Records the sources that a refresh was done with when it was interrupted. This is no verdict on the others or on
    /// the index.
    pub fn record_stopped(&mut self, refreshed: &Refreshed, now: Time) {
        for result in refreshed.sources.iter().filter(|result| result.error.is_none()) {
            let last_success = Some(now);
            match self.sources.iter_mut().find(|source| source.id == result.id) {
                Some(source) => (source.last_success, source.error) = (last_success, None),
                None => {
                    self.sources.push(Source { id: result.id.clone(), last_success, ..Source::default() });
                }
            }
        }
    }

    /// How the last attempt ended; `None` before the first. If the state lacks the attempt itself, its flag decides,
    /// and also if the attempt is "fresh" and the flag says otherwise.
    pub fn last_outcome(&self) -> Option<RefreshOutcome> {
        let by_flag = || match self.last_update_success {
            true => Some(RefreshOutcome::Fresh),
            false => {
                let tried = self.last_cache_update.is_some() || self.last_update_error.is_some();
                tried.then_some(RefreshOutcome::Failed)
            }
        };
        let outcome = self.last_attempt.as_ref().map(|attempt| attempt.outcome);
        outcome.filter(|outcome| *outcome != RefreshOutcome::Fresh).or_else(by_flag)
    }

    /// The later of the times that freshness is judged by.
    pub(super) fn latest_time(&self) -> Option<Time> {
        let attempt = self.last_attempt.as_ref().map(|attempt| attempt.finished_at);
        self.last_cache_update.max(attempt)
    }
}
