//! The steps of an apply that change the system: plan, download, install.

use super::Run;
use super::work::{Changed, Ending, Round};
use crate::commands::save::save_or_tell;
use crate::managers::left_aside;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::one_line;
use crate::store::state::{InProgress, Pending};
use crate::system::process::{Finished, Invocation, Limits};
use crate::system::{boot, lock_holders, signals};
use log::warn;
use std::path::Path;
use std::time::Duration;

/// A download in which nothing moves for so long is ended, unless the administrator allows a longer silence.
const DOWNLOAD_STALL: Duration = Duration::from_secs(5 * 60);

/// No download may take longer. What it got is kept for the next run.
const DOWNLOAD_BUDGET: Duration = Duration::from_secs(2 * 3600);

impl Run<'_> {
    /// Steps 4 to 6: plans what to install, and installs it.
    pub(super) fn plan_and_install(&mut self) -> Result<Round, Failure> {
        self.work.open.extend(self.state.pending.iter().flat_map(Pending::open));
        self.work.planned =
            self.selection.make_plan(&self.session, &self.state, &self.work.before, self.lock.dir())?;
        if !self.work.planned.is_empty() && self.is_too_late() {
            self.leave_planned();
        }
        if self.work.planned.is_empty() || self.args.dry_run {
            return Ok(Round::Done);
        }
        self.download_and_install()
    }

    /// Steps 5 and 6.
    pub(super) fn download_and_install(&mut self) -> Result<Round, Failure> {
        if !self.args.download_only {
            self.session.is_writable()?;
            self.session.is_unhindered(true)?;
        }
        let Some(invocation) = self.download() else {
            return self.install(&Finished::ended(0, "", ""));
        };
        self.enter("download")?;
        let downloaded = self.run_download(invocation)?;
        self.drop_damaged_packages(&downloaded)?;
        if let Some(exact) = self.manager.plan_of_download(&downloaded) {
            self.work.planned = self.session.with_installed(exact)?;
            for held in &self.work.planned.held_back {
                warn!("{} stays as it is: {}", held.name, held.reason);
            }
        }
        if self.args.download_only || self.work.planned.is_empty() {
            return Ok(Round::Done);
        }
        self.install(&downloaded)
    }

    /// The command that downloads the plan, if the manager has one.
    fn download(&self) -> Option<Invocation> {
        let download = self.manager.download(&self.selection.plan)?;
        Some(self.session.with_limits(download))
    }

    /// Step 5. A source without a key stops only the packages that come from it: for each such source the download is
    /// run again.
    fn run_download(&mut self, mut invocation: Invocation) -> Result<Finished, Failure> {
        let downloaded = loop {
            let limits = Limits {
                budget: Some(DOWNLOAD_BUDGET),
                stall: Some(DOWNLOAD_STALL.max(self.session.longest_silence(&invocation))),
                interruptible: true,
                ..Limits::default()
            };
            let downloaded = self.session.run("downloading updates", &invocation, &limits)?;
            let keyless = &mut self.selection.plan.keyless;
            match self.manager.keyless(&downloaded).filter(|id| !keyless.contains(id)) {
                Some(id) => keyless.push(id),
                None => break downloaded,
            }
            invocation = self.download().unwrap_or(invocation);
        };
        let Some(failure) = self.manager.failure(&invocation, &downloaded) else { return Ok(downloaded) };
        let mut failure = self.session.with_culprits(failure, &downloaded);
        if failure.class == Class::Auth && failure.culprits.is_empty() {
            failure.culprits = self.session.signed_with_missing_keys(&downloaded, &self.work.planned);
        }
        Err(failure)
    }

    /// Step 6: from here on nothing of ours ends the manager.
    fn install(&mut self, downloaded: &Finished) -> Result<Round, Failure> {
        if let Some(signal) = signals::received() {
            return Err(Failure::new(Class::Interrupted, format!("{signal} received before the install")));
        }
        if self.is_too_late() {
            self.leave_planned();
            return Ok(Round::Done);
        }
        self.session.offer_own_index(&self.work.planned)?;
        self.enter("install")?;
        // What others installed while we waited for their locks is not our change.
        if !self.work.has_changed() {
            self.work.before = self.session.installed()?;
            self.work.offered = self.session.offer_as_counted(&self.state);
        }
        if let Some(autoremove) = self.manager.autoremove() {
            autoremove.note_before_install();
        }
        self.session.answers_outlast_signals = true;
        let plan = &self.selection.plan;
        let invocation = self.session.with_refreshed(self.manager.install(plan, downloaded), plan);
        let label = "installing updates";
        let limits = Limits::default();
        let latest = self.latest.filter(|_| !self.selection.plan.mends);
        let Some(finished) = self.session.run_unless_late(label, &invocation, &limits, latest)? else {
            self.leave_planned();
            return Ok(Round::Done);
        };
        self.judge_install(invocation, &finished)
    }

    /// Judges an install that has ended, and installs the rest if another package failed.
    fn judge_install(&mut self, invocation: Invocation, finished: &Finished) -> Result<Round, Failure> {
        self.session.wait_for_what_goes_on(finished);
        let failure = self.manager.failure(&invocation, finished);
        self.work.failed = failure.as_ref().map(Ending::of);
        if failure.is_none() || self.manager.install_began(finished) {
            self.work.changed = Changed::ByThisRound;
        }
        self.note_left_aside(finished);
        for note in self.manager.notes(finished) {
            warn!("{note}");
        }
        self.work.disappeared.extend(self.manager.disappeared(finished));
        let Some(failure) = failure else {
            return Ok(match self.manager.asks_to_run_again(finished) {
                true => Round::LeftTheRest,
                false => Round::Done,
            });
        };
        if self.work.failed == Some(Ending::ByItself) && self.work.has_begun() {
            self.finish_others()?;
            self.install_others(invocation, &failure)?;
        }
        Err(failure)
    }

    /// Notes the configuration files that came beside the administrator's own.
    pub(super) fn note_left_aside(&mut self, finished: &Finished) {
        let named = [&finished.stdout, &finished.stderr].map(|output| left_aside(output));
        let there = named.concat().into_iter().filter(|path| Path::new(path).symlink_metadata().is_ok());
        let known = &self.work.config_files;
        let new: Vec<_> = there.map(|path| one_line(&path)).filter(|path| !known.contains(path)).collect();
        self.work.config_files.extend(new);
    }

    /// Records how far this run has come, so that the next one knows what was cut off.
    ///
    /// # Errors
    /// When the lock was lost: nothing more is done then.
    pub(super) fn enter(&mut self, phase: &str) -> Result<(), Failure> {
        if self.args.dry_run {
            return Ok(());
        }
        // If this is the first run ever and it is cut off, the state must say whose repair it needs. Before that of
        // another manager is refreshed, the state is not about its index.
        self.state.manager.get_or_insert_with(|| self.manager.facts().name.to_string());
        self.state.apply.in_progress = Some(InProgress {
            pid: std::process::id(),
            boot_id: boot::boot_id(),
            started_at: self.started_at,
            phase: phase.to_string(),
            process_start: lock_holders::started(std::process::id()),
            pid_namespace: lock_holders::pid_namespace(),
            packages: if phase == "install" { self.work.planned.names() } else { Vec::new() },
            log: self.session.log_path(),
            earlier: self.remains.run.clone().map(Box::new),
            extra: Default::default(),
        });
        save_or_tell(&self.state, &self.lock)
    }
}
