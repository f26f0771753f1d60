//! `--not-after`: from a time of the day on no install is begun.

use super::Run;
use crate::model::text::counted;

impl Run<'_> {
    /// Whether no install may begin any more.
    pub(super) fn is_too_late(&self) -> bool {
        !self.args.download_only && self.latest.is_some_and(|latest| latest.is_over())
    }

    /// That it was too late, in words.
    pub(super) fn too_late_words(&self) -> Option<String> {
        let latest = self.latest?;
        let left = counted(self.work.too_late_for?, "update");
        Some(format!("it is past {latest} (--not-after): {left} not installed"))
    }
}
