//! What the state remembers of applies: the one under way, and the last that ended.

use crate::model::class::Extra;
use crate::model::failure::Failure;
use crate::model::updates::{Change, WasOpen};
use crate::system::time::Time;
use serde::{Deserialize, Serialize};

/// The apply under way, and the last one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Apply {
    /// Set while one runs; left over when it was cut off.
    pub in_progress: Option<InProgress>,
    /// The last one that ended.
    pub last: Option<LastApply>,
    /// Where that changed nothing: the last one before it that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<Box<LastApply>>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// An apply under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InProgress {
    /// Its process.
    pub pid: u32,
    /// The boot in which it runs.
    pub boot_id: String,
    /// Its start.
    pub started_at: Time,
    /// `repair`, `refresh`, `download` or `install`.
    pub phase: String,
    /// When its process started, in ticks since the start of the machine: its number may be another
    /// process's later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_start: Option<u64>,
    /// The PID namespace in which it has that number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace: Option<String>,
    /// The packages that it was installing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Where the manager's output of it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The apply before it that was cut off, as long as what that left is not repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Box<InProgress>>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl InProgress {
    /// What was cut off, where this is what a run left: one that came no further than its refresh or
    /// its repair has begun nothing, and the one before it is what there is to repair.
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

    /// It, and those before it of which something is left.
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
    /// What really changed.
    #[serde(default)]
    pub packages: Vec<Change>,
    /// For how long each update of these had been known here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_for: Vec<WasOpen>,
    /// Why it did not succeed.
    #[serde(default)]
    pub error: Option<Failure>,
    /// Where the manager's output of it is kept.
    #[serde(default)]
    pub log: Option<String>,
    /// Configuration files that came beside those of the administrator, or were put aside for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_files: Vec<String>,
    /// When the reboot is to come that it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot_at: Option<Time>,
    /// When a refresh found that somebody has mended by hand what had failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mended_at: Option<Time>,
    /// How many packages it changed whose names were not read.
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
    /// What could be is installed; part of the index is stale, or an update could not be installed.
    Partial,
    /// Something failed.
    Failed,
    /// A signal stopped it before the install.
    Interrupted,
}
