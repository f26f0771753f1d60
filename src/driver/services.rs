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
        let needs_reboot = found.needs_reboot || still_needs_reboot(&seen, &boot_id, is_late);
        state.services_seen = Some(ServicesSeen { boot_id, database, needs_reboot, ..seen });
        state.outdated_services = is_all.then(|| {
            let service = |(unit, processes)| OutdatedService { unit, processes, extra: Default::default() };
            found.units.into_iter().map(service).collect()
        });
    }
}

/// What was found before stays until there is time to look at all processes, or a reboot.
fn still_needs_reboot(seen: &ServicesSeen, boot_id: &str, is_late: bool) -> bool {
    is_late && seen.boot_id == boot_id && seen.needs_reboot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_reboot_is_forgotten_only_after_a_look_at_all_or_a_reboot() {
        let seen = |needs_reboot| ServicesSeen { boot_id: "a".into(), needs_reboot, ..Default::default() };
        assert!(still_needs_reboot(&seen(true), "a", true));
        assert!(!still_needs_reboot(&seen(true), "b", true), "another boot");
        assert!(!still_needs_reboot(&seen(true), "a", false), "there was time");
        assert!(!still_needs_reboot(&seen(false), "a", true));
    }
}
