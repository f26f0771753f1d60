//! `--not-after`: from a time of the day on no install is begun.

use super::Run;
use crate::model::listing::Listing;
use crate::model::text::counted;

impl Run<'_> {
    /// Whether no install may begin any more.
    pub(super) fn is_too_late(&self) -> bool {
        !self.args.download_only && self.latest.is_some_and(|latest| latest.is_over())
    }

    /// Leaves what is planned to another run.
    pub(super) fn leave_planned(&mut self) {
        let updates = counted(self.work.planned.updates.len(), "update");
        self.work.too_late_for = Some(format!("{updates} not installed"));
        self.work.planned = Listing::default();
    }

    /// That it was too late, in words.
    pub(super) fn too_late_words(&self) -> Option<String> {
        let (latest, left) = (self.latest?, self.work.too_late_for.as_ref()?);
        Some(format!("it is past {latest} (--not-after): {left}"))
    }
}
