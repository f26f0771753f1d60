//! `--not-after`: no install begins after a time of the day.

use super::Run;
use crate::model::listing::Listing;
use crate::model::text::counted;

impl Run<'_> {
    /// Whether it is too late to begin an install.
    pub(super) fn is_too_late(&self) -> bool {
        // A repair is made at any time.
        let is_bound = !self.args.download_only && !self.selection.plan.mends;
        is_bound && self.latest.is_some_and(|latest| latest.is_over())
    }

    /// Leaves the plan to another run.
    pub(super) fn leave_planned(&mut self) {
        let updates = counted(self.work.planned.updates.len(), "update");
        self.work.too_late_for = Some(format!("{updates} not installed"));
        self.work.planned = Listing::default();
    }

    /// Says in words that it was too late.
    pub(super) fn too_late_words(&self) -> Option<String> {
        let (latest, left) = (self.latest?, self.work.too_late_for.as_ref()?);
        Some(format!("it is past {latest} (--not-after): {left}"))
    }
}
