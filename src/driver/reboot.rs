//! Whether a reboot is required.

use super::{Seen, Session, kernels};
use crate::managers::{Facts, Installed};
use crate::model::listing::Listing;
use crate::model::text::one_line;
use crate::store::state::{RebootPackages, State};
use crate::system::boot::{self, Start};
use crate::system::files::fingerprint;
use crate::system::time::Time;

impl Session {
    /// Remembers whether a reboot is required, in which boot that was found, and which services run replaced code.
    pub fn note_reboot_required(&self, state: &mut State) {
        let start = boot::start();
        let is_of_this_boot = state.reboot_boot_id.as_deref().is_some_and(boot::is_this_start);
        let since = state.reboot_required_since.take().filter(|_| is_of_this_boot);
        state.reboot_packages = self.packages_since(&start, state.reboot_packages.take());
        state.reboot_required = kernels::is_required(self.manager.facts(), &start)
            || state
                .reboot_packages
                .as_ref()
                .is_some_and(|packages| !packages.names.is_empty() || !packages.by_advisory.is_empty());
        self.look_for_replaced_code(state);
        state.reboot_required |= state.services_seen.as_ref().is_some_and(|seen| seen.needs_reboot);
        state.reboot_boot_id = Some(boot::this_start());
        state.reboot_required_since = state.reboot_required.then(|| since.unwrap_or_else(Time::now));
    }

    /// Notes whether an install requires a reboot: the manager may know more than the names of packages.
    pub fn note_reboot_required_by_install(&self, state: &mut State) {
        self.note_reboot_required(state);
        let known = state.reboot_packages.as_mut().filter(|_| !state.reboot_required);
        let Some(known) = known else { return };
        if let Some(names) = self.manager.wanting_reboot(self) {
            known.by_advisory = names.iter().map(|name| one_line(name)).collect();
            state.reboot_required = !known.by_advisory.is_empty();
            state.reboot_required_since = state.reboot_required.then(Time::now);
        }
    }

    /// Which of the packages that require a reboot were installed since the start. The list is read only if the package
    /// database has changed, and this run has not read it already.
    fn packages_since(&self, start: &Start, known: Option<RebootPackages>) -> Option<RebootPackages> {
        let basis = self.reboot_basis()?;
        let known = known.filter(|known| known.start == start.id);
        let is_seen = self.reboot_packages_seen.borrow().as_ref().is_some_and(|seen| seen.basis == basis);
        if !is_seen {
            if known.as_ref().is_some_and(|known| known.basis == basis) {
                return known;
            }
            // If it cannot be read now, the next run tries again.
            let _ = self.installed();
        }
        let seen = self.reboot_packages_seen.borrow();
        let Some(seen) = seen.as_ref() else { return known };
        // A finding stays until the reboot, even if the clock changes.
        let before = known.as_ref().map(|known| known.names.as_slice()).unwrap_or_default();
        let now = Time::now().unix();
        let new =
            seen.packages.iter().filter(|(name, at)| start.is_before(*at, now) || before.contains(name));
        Some(RebootPackages {
            names: new.map(|(name, _)| name.clone()).collect(),
            by_advisory: known.as_ref().map(|known| known.by_advisory.clone()).unwrap_or_default(),
            start: start.id.clone(),
            basis: seen.basis.clone(),
            extra: known.map(|known| known.extra).unwrap_or_default(),
        })
    }

    /// Whether a reboot will be required once a plan is installed. Yes, if one is required already, or if the plan
    /// brings a kernel, the libc, systemd, dbus or another such package of the distribution. No, if the plan is empty.
    /// Otherwise it is not known.
    pub fn expects_reboot(&self, planned: &Listing, state: &State) -> Option<bool> {
        let Facts { reboot_packages, .. } = self.manager.facts();
        let more = kernels::named_in(reboot_packages.directories);
        let is_one = |name: &str| {
            let plain = self.manager.database().plain_name(name);
            kernels::is_kernel_or_core(plain)
                || reboot_packages.names.contains(&plain)
                || more.contains(plain)
        };
        match state.reboot_required || planned.updates.iter().any(|update| is_one(&update.name)) {
            true => Some(true),
            false => planned.is_empty().then_some(false),
        }
    }

    /// A fingerprint of what decides about that; `None` where the manager names no such packages.
    pub(super) fn reboot_basis(&self) -> Option<String> {
        let Facts { package_databases, reboot_packages, .. } = self.manager.facts();
        let is_any = !reboot_packages.names.is_empty();
        is_any.then(|| fingerprint(&[*package_databases, reboot_packages.directories].concat()))
    }

    pub(super) fn note_reboot_packages(&self, basis: Option<String>, installed: &Installed) {
        let Some(basis) = basis else { return };
        let packages = &self.manager.facts().reboot_packages;
        let more = kernels::named_in(packages.directories);
        let is_one = |name: &&str| packages.names.contains(name) || more.contains(*name);
        let packages = installed.iter().filter_map(|(name, package)| {
            let name = Some(self.manager.database().plain_name(name)).filter(is_one)?;
            Some((name.to_string(), package.installed_at?))
        });
        self.reboot_packages_seen.replace(Some(Seen { basis, packages: packages.collect() }));
    }
}
