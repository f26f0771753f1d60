//! What an apply has found and done so far. Each step writes here what later ones must know.

use crate::managers::{Damage, Installed};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::Update;
use crate::store::state::{InProgress, Open};
use std::rc::Rc;

/// What earlier runs that were cut off have left.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// The last of these runs, with those before it, until its damage is repaired.
    pub(super) run: Option<InProgress>,
    /// What they left in the package database.
    pub(super) damage: Damage,
    /// Whether they left more that `--exclude` names. That stays.
    pub(super) is_some_excluded: bool,
    /// Packages in two versions that none of these runs has left, in words.
    pub(super) side_by_side: Vec<String>,
}

/// What came of the repair.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Repair {
    NotTried,
    /// It was tried, and repaired nothing.
    Tried,
    /// The package database was not whole after it. With the reason, if the repair failed.
    Open(Option<String>),
    /// It was repaired.
    Done,
}

/// What this run has planned and done.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// The package database before anything of ours changed it.
    pub(super) before: Rc<Installed>,
    /// What was offered when the install began, if all of that was counted.
    pub(super) offered: Option<String>,
    /// Since when the pending updates are known.
    pub(super) open: Vec<Open>,
    /// What is to be installed in this round. After the run, that of the last round.
    pub(super) planned: Listing,
    /// What was planned in earlier rounds, which ended.
    pub(super) done: Vec<Update>,
    /// Whether it refreshed and downloaded a second time.
    pub(super) is_retried: bool,
    /// What was left to another run because it was too late, in words.
    pub(super) too_late_for: Option<String>,
    /// Whether packages have changed.
    pub(super) changed: Changed,
    /// How the last install failed, if it did.
    pub(super) failed: Option<Ending>,
    /// What the manager itself removed because other packages own all its files, or nothing needs it.
    pub(super) disappeared: Vec<String>,
    /// Configuration files that came beside the administrator's own, or were put aside for them.
    pub(super) config_files: Vec<String>,
}

impl Work {
    /// Whether anything of ours has changed packages.
    pub(super) fn has_changed(&self) -> bool {
        self.changed != Changed::Nothing
    }

    /// Whether the install of this round has begun. What it leaves is no longer what the plan was made for.
    pub(super) fn has_begun(&self) -> bool {
        self.changed == Changed::ByThisRound
    }

    /// Whether an install has begun, of this round or of one before.
    pub(super) fn has_installed(&self) -> bool {
        self.has_begun() || !self.done.is_empty()
    }

    /// Notes that a repair or a removal changed something.
    pub(super) fn note_change(&mut self) {
        if !self.has_changed() {
            self.changed = Changed::Before;
        }
    }

    /// Counts the plan as done, so that the rest can be planned.
    pub(super) fn end_round(&mut self) {
        self.done.append(&mut self.planned.updates);
    }

    /// Lets the next steps be tried again as if nothing had begun.
    pub(super) fn begin_anew(&mut self) {
        if self.has_begun() {
            self.changed = Changed::Before;
        }
    }
}

/// Whether packages have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Changed {
    #[default]
    Nothing,
    /// By a repair, or by an install that has ended.
    Before,
    /// By the install of this round.
    ByThisRound,
}

/// How a failed install ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It gave up.
    ByItself,
    /// It was cut off.
    CutOff,
}

impl Ending {
    pub(super) fn of(failure: &Failure) -> Ending {
        match failure.class {
            Class::Interrupted => Ending::CutOff,
            _ => Ending::ByItself,
        }
    }
}

/// How a round of plan, download and install that went well ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// Nothing of the plan is left, or nothing was to be installed.
    Done,
    /// The manager has updated itself, and left the rest to its new version.
    LeftTheRest,
}
