//! Services that still run code which an update has replaced.

use super::Session;
use crate::store::state::{OutdatedService, ServicesSeen, State};
use crate::system::boot;
use crate::system::replaced::{self, Looked};
use std::time::Duration;

/// Looking at ten thousand processes takes half a second.
const BUDGET: Duration = Duration::from_secs(2);

impl Session {
    /// Looks which services still run replaced code, unless nothing was installed since the last look and that found
    /// none. One that was found may have been restarted since.
    pub(super) fn look_for_replaced_code(&self, state: &mut State) {
        let boot_id = boot::this_start();
        let database = self.database_now();
        let is_same =
            |seen: &ServicesSeen| seen.boot_id == boot_id && seen.database == database && !seen.needs_reboot;
        let is_none = state.outdated_services.as_ref().is_some_and(Vec::is_empty);
        if is_none && state.services_seen.as_ref().is_some_and(is_same) {
            return;
        }
        let Looked { found, is_all, is_late } = replaced::look(BUDGET);
        let seen = state.services_seen.take().unwrap_or_default();
        // What was found stays until there is time to look at all, or a reboot.
        let was_needed = is_late && seen.boot_id == boot_id && seen.needs_reboot;
        let needs_reboot = found.needs_reboot || was_needed;
        state.services_seen = Some(ServicesSeen { boot_id, database, needs_reboot, ..seen });
        state.outdated_services = is_all.then(|| {
            let service = |(unit, processes)| OutdatedService { unit, processes, extra: Default::default() };
            found.units.into_iter().map(service).collect()
        });
    }
}
