//! The steps of an apply that change the system: plan, download, install.

use super::{Ending, Run};
use crate::commands::refresh::save;
use crate::managers::left_aside;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::one_line;
use crate::store::state::{InProgress, Pending};
use crate::system::process::{End, Finished, Invocation, Limits};
use crate::system::{boot, lock_holders, signals};
use log::warn;
use std::path::Path;
use std::time::Duration;

/// A download in which nothing moves for so long is ended, unless the administrator allows longer silence.
const DOWNLOAD_STALL: Duration = Duration::from_secs(5 * 60);

/// No download may take longer; what it got is kept for the next run.
const DOWNLOAD_BUDGET: Duration = Duration::from_secs(2 * 3600);

impl Run<'_> {
    /// Steps 4 to 6: what is to be installed, and the installing of it.
    pub(super) fn plan_and_install(&mut self) -> Result<(), Failure> {
        let before = self.before.as_ref();
        self.open.extend(self.state.pending.iter().flat_map(Pending::open));
        self.planned = self.selection.plan(&self.session, &self.state, before, self.lock.dir())?;
        if !self.planned.is_empty() && self.is_too_late() {
            self.begin_nothing();
        }
        if self.planned.is_empty() || self.args.dry_run {
            return Ok(());
        }
        self.download_and_install()
    }

    /// The download of what is planned, where the manager has one.
    fn download(&self) -> Option<Invocation> {
        let download = self.manager.download(&self.selection.plan)?;
        Some(self.session.with_limits(download))
    }

    /// Steps 5 and 6.
    pub(super) fn download_and_install(&mut self) -> Result<(), Failure> {
        if !self.args.download_only {
            self.session.is_writable()?;
            self.session.is_unhindered(true)?;
        }
        let Some(mut invocation) = self.download() else {
            return self.install(&Finished::ended(0, "", ""));
        };
        self.enter("download")?;
        let label = "downloading updates";
        let downloaded = loop {
            let limits = Limits {
                budget: Some(DOWNLOAD_BUDGET),
                stall: Some(DOWNLOAD_STALL.max(self.session.longest_silence(&invocation))),
                interruptible: true,
                ..Limits::default()
            };
            let downloaded = self.session.run(label, &invocation, &limits)?;
            // It costs only what comes from there.
            let keyless = &mut self.selection.plan.keyless;
            match self.manager.keyless(&downloaded).filter(|id| !keyless.contains(id)) {
                Some(id) => keyless.push(id),
                None => break downloaded,
            }
            invocation = self.download().unwrap_or(invocation);
        };
        if let Some(failure) = self.manager.failure(&invocation, &downloaded) {
            let mut failure = self.session.with_culprits(failure, &downloaded);
            if failure.class == Class::Auth && failure.culprits.is_empty() {
                failure.culprits = self.session.signed_with_missing_keys(&downloaded, &self.planned);
            }
            return Err(failure);
        }
        self.drop_damaged(&downloaded)?;
        if let Some(exact) = self.manager.plan_of_download(&downloaded) {
            self.planned = self.session.with_installed(exact)?;
            for held in &self.planned.held_back {
                warn!("{} stays as it is: {}", held.name, held.reason);
            }
        }
        if self.args.download_only || self.planned.is_empty() {
            return Ok(());
        }
        self.install(&downloaded)
    }

    /// Step 6: from here on nothing of ours ends the manager.
    pub(super) fn install(&mut self, downloaded: &Finished) -> Result<(), Failure> {
        if let Some(signal) = signals::received() {
            return Err(Failure::new(Class::Interrupted, format!("{signal} received before the install")));
        }
        if self.is_too_late() {
            self.begin_nothing();
            return Ok(());
        }
        self.session.offer_own_index(&self.planned)?;
        self.enter("install")?;
        // What others installed while we waited for their locks is not ours.
        if !self.changed && !self.ran_again {
            self.before = Some(self.session.installed()?);
            self.offered = self.session.offer_as_counted(&self.state);
        }
        self.session.committed = true;
        let invocation = self.manager.install(&self.selection.plan, downloaded);
        let label = "installing updates";
        self.session.latest = self.latest;
        let finished = self.session.run(label, &invocation, &Limits::default());
        self.session.latest = None;
        if std::mem::take(&mut self.session.was_too_late) {
            self.begin_nothing();
            return Ok(());
        }
        let finished = finished?;
        if matches!(finished.end, End::Signal(_)) {
            self.session.outlast_installer();
        }
        let failure = self.manager.failure(&invocation, &finished);
        self.install_failed = failure.as_ref().map(|failure| match failure.class {
            Class::Interrupted => Ending::CutOff,
            _ => Ending::ByItself,
        });
        self.install_began |= failure.is_none() || self.manager.install_began(&finished);
        self.changed |= self.install_began;
        self.note_left_aside(&finished);
        for note in self.manager.notes(&finished) {
            warn!("{note}");
        }
        self.disappeared.extend(self.manager.disappeared(&finished));
        self.asked_to_run_again = failure.is_none() && self.manager.asks_to_run_again(&finished);
        if self.install_failed == Some(Ending::ByItself) && self.install_began {
            self.finish_others()?;
            if let Some(failed) = &failure {
                self.install_others(invocation, failed)?;
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Notes the configuration files that came beside those of the administrator.
    pub(super) fn note_left_aside(&mut self, finished: &Finished) {
        let named = [&finished.stdout, &finished.stderr].map(|output| left_aside(output));
        let there = named.concat().into_iter().filter(|path| Path::new(path).symlink_metadata().is_ok());
        let known = &self.applied.config_files;
        let new: Vec<_> = there.map(|path| one_line(&path)).filter(|path| !known.contains(path)).collect();
        self.applied.config_files.extend(new);
    }

    /// Remembers how far this run has come, so that the next one knows what was cut off.
    ///
    /// # Errors
    /// When the lock was lost: nothing more is done then.
    pub(super) fn enter(&mut self, phase: &str) -> Result<(), Failure> {
        if self.args.dry_run {
            return Ok(());
        }
        // Should this be the first run ever, and be cut off: it is known whose repair it needs.
        self.state.manager = Some(self.manager.facts().name.to_string());
        self.state.apply.in_progress = Some(InProgress {
            pid: std::process::id(),
            boot_id: boot::boot_id(),
            started_at: self.started_at,
            phase: phase.to_string(),
            process_start: lock_holders::started(std::process::id()),
            pid_namespace: lock_holders::pid_namespace(),
            packages: if phase == "install" { self.planned.names() } else { Vec::new() },
            log: self.session.log_path(),
            earlier: self.cut_off.clone().map(Box::new),
            extra: Default::default(),
        });
        save(&self.state, &self.lock)
    }
}
