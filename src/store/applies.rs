//! What the state remembers of applies: the one that is running, and the last one that ended.

use crate::model::class::Extra;
use crate::model::failure::Failure;
use crate::model::updates::{Change, WasOpen};
use crate::system::time::Time;
use serde::{Deserialize, Serialize};

/// The apply that is running, and the last one that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Apply {
    /// Set while an apply runs. If it was cut off, this stays.
    pub in_progress: Option<InProgress>,
    /// The last one that ended.
    pub last: Option<LastApply>,
    /// If the last one changed nothing: the last one before it that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<Box<LastApply>>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// An apply that is running, or was cut off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InProgress {
    /// The number of its process.
    pub pid: u32,
    /// The boot in which it began.
    pub boot_id: String,
    /// Its start.
    pub started_at: Time,
    /// `repair`, `refresh`, `download` or `install`.
    pub phase: String,
    /// When its process started, in ticks since the start of the machine: another process may get its number later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_start: Option<u64>,
    /// The PID namespace of that number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace: Option<String>,
    /// The packages that it was installing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Where the manager's output of this apply is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// An earlier apply that was cut off, until what it left is repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Box<InProgress>>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl InProgress {
    /// The run that has something to repair, of this one and those before it. A run that came no further than its
    /// refresh or its repair has begun nothing.
    pub fn cut_off(mut self) -> InProgress {
        // Every run that fails in its install adds one.
        const MOST: usize = 5;
        if let Some(earlier) = self.earlier.take_if(|_| self.phase != "install") {
            return *earlier;
        }
        let mut last = &mut self;
        for _ in 1..MOST {
            let Some(earlier) = last.earlier.as_mut() else { return self };
            last = earlier;
        }
        last.earlier = None;
        self
    }

    /// This run and those before it that left something.
    pub fn all(&self) -> impl Iterator<Item = &InProgress> {
        std::iter::successors(Some(self), |apply| apply.earlier.as_deref())
    }
}

/// An apply that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastApply {
    /// Its start.
    pub started_at: Time,
    /// Its end.
    pub finished_at: Time,
    /// How it ended.
    pub outcome: ApplyOutcome,
    /// Whether it refreshed and downloaded a second time.
    #[serde(default)]
    pub retried: bool,
    /// What it changed.
    #[serde(default)]
    pub packages: Vec<Change>,
    /// For how long each of these updates had been known here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_for: Vec<WasOpen>,
    /// Why it did not succeed.
    #[serde(default)]
    pub error: Option<Failure>,
    /// Where the manager's output of it is kept.
    #[serde(default)]
    pub log: Option<String>,
    /// Configuration files that came beside the administrator's own, or were put aside for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_files: Vec<String>,
    /// When the reboot will come that it, or one before it, asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot_at: Option<Time>,
    /// When a refresh found that somebody had mended by hand what had failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mended_at: Option<Time>,
    /// How many packages it changed beyond the names that were read.
    #[serde(skip)]
    pub unread: usize,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl LastApply {
    /// How many packages it changed.
    pub fn changed(&self) -> usize {
        self.packages.len() + self.unread
    }
}

/// How an apply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplyOutcome {
    /// Everything selected is installed.
    Success,
    /// What could be installed is installed. Part of the index is stale, or an update could not be installed.
    Partial,
    /// A signal stopped it before the install.
    Interrupted,
    /// Something failed. What a later program calls otherwise was no success that this one knows.
    #[serde(other)]
    Failed,
}
