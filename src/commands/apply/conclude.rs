//! What an apply came to: exit code, state, history, reboot, report.

use super::Run;
use super::changes::{changes, tell_since};
use crate::cli::Reboot;
use crate::commands::refresh::save;
use crate::driver::shutdown::{self, When};
use crate::model::class::Class;
use crate::model::exit_code::ExitCode;
use crate::model::failure::Failure;
use crate::model::text::counted;
use crate::model::updates::{HeldBack, were_open};
use crate::report::{Detail, Report};
use crate::store::health::{apply_failure, note_mended};
use crate::store::history;
use crate::store::state::{ApplyOutcome, LastApply, count};
use crate::store::state_file::Loaded;
use crate::system::time::Time;
use log::warn;

/// What linux-patch itself left out, so that the other updates could be installed, each with its class. Else the
/// administrator or the manager holds an update back.
fn left_out_by_us(held_back: &[HeldBack]) -> impl Iterator<Item = (&HeldBack, Class)> {
    held_back.iter().filter_map(|held| Some((held, held.class?)))
}

impl Run<'_> {
    /// Step 7: whatever happened, look at what is really installed before saying anything.
    pub(super) fn conclude(mut self, result: Result<(), Failure>) -> Report {
        if self.lock.watch().check().is_ok() {
            self.selection.clean_up(self.lock.dir(), self.manager.settings());
        }
        self.session.committed = true;
        let mut error = result.err();
        if self.args.dry_run {
            self.tell_what_would_be();
        } else {
            self.look_back(&mut error);
        }
        tell_since(&mut self.applied.packages, &self.open);
        if let Some(failure) = error.as_mut().filter(|_| !self.args.dry_run) {
            self.session.tell_no_place(failure);
        }
        for (held, class) in left_out_by_us(&self.applied.held_back) {
            warn!("{} stays as it is ({}: {})", held.name, class.word(), held.reason);
        }
        // What cannot be resolved the manager itself would hold back, and be content.
        let is_failure = |class: Class| class != Class::Dependency;
        self.is_partial |= left_out_by_us(&self.applied.held_back).any(|(_, class)| is_failure(class));
        let code = match (&error, self.is_partial) {
            (Some(_), _) if self.selection.is_refused => ExitCode::Unknown,
            (Some(_), _) => ExitCode::Failed,
            (None, true) => ExitCode::Stale,
            (None, false) => ExitCode::Fresh,
        };
        self.applied.error = error;
        if let Err(lost) = self.remember() {
            self.applied.error.get_or_insert(lost);
            return self.report(ExitCode::Failed);
        }
        // The restart comes last, when the state is safe; that it could not be asked for is a
        // failure of this run too.
        if let Err(failure) = self.restart(code) {
            self.applied.error = Some(failure);
            let _ = self.remember();
            return self.report(ExitCode::Failed);
        }
        if self.applied.reboot_at.is_some() {
            let _ = self.remember();
        }
        self.report(code)
    }

    /// What a dry run found.
    fn tell_what_would_be(&mut self) {
        self.applied.packages = self.planned.as_changes();
        let is_any = !self.planned.updates.is_empty();
        self.applied.download_bytes = self.session.download_size.get().filter(|_| is_any);
        self.applied.reboot_expected = self.session.expects_restart(&self.planned, &self.state);
        let known = self.state.pending.as_ref().map(|pending| pending.held_back()).unwrap_or_default();
        let impossible = self.selection.impossible();
        let is_new = |held: &&HeldBack| impossible.iter().all(|other| other.name != held.name);
        self.applied.held_back = known.iter().filter(is_new).chain(impossible).cloned().collect();
    }

    /// What is installed now, and what is pending and required after it.
    fn look_back(&mut self, error: &mut Option<Failure>) {
        let database = self.session.database_now();
        let warn_of = |error: &mut Option<Failure>, failure: Failure| {
            warn!("{}", failure.message);
            error.get_or_insert(failure);
        };
        match self.session.installed() {
            Ok(after) => {
                self.settle(&after);
                if let Some(before) = self.before.as_ref().filter(|_| self.changed) {
                    self.applied.packages = changes(before, &after);
                }
                match (error.as_mut(), self.contradiction(&after)) {
                    // The manager's words alone do not say what to do about it.
                    (Some(known), Some(failure))
                        if known.class == Class::Script && !self.damage.leftovers.is_empty() =>
                    {
                        known.message = format!("{}; {}", known.message, failure.message);
                    }
                    (_, Some(failure)) => warn_of(error, failure),
                    _ => {}
                }
                if let Some(failure) = self.damage() {
                    warn_of(error, failure);
                }
            }
            Err(failure) => warn_of(error, failure),
        }
        // Where no advisory spoke of what was pending, none speaks of a reboot.
        let has_advisories = self.state.pending.as_ref().is_some_and(|known| known.security.is_some());
        if error.is_none() && self.nothing_is_left() {
            self.session.count_none(&mut self.state, database);
        } else if self.changed || self.applied.repaired {
            self.session.count(&mut self.state, true);
        }
        if let Some(pending) = &mut self.state.pending {
            pending.leave_out(self.selection.impossible());
            self.applied.held_back = pending.held_back().to_vec();
        }
        if self.changed && has_advisories {
            self.session.look_for_restart_after_install(&mut self.state);
        } else {
            self.session.look_for_restart(&mut self.state);
        }
    }

    /// Writes down how this apply ended; a dry run was none.
    ///
    /// # Errors
    /// When the lock was lost.
    pub(super) fn remember(&mut self) -> Result<(), Failure> {
        if self.selection.is_refused && !self.changed {
            self.state.apply.in_progress = self.cut_off.clone();
        } else if !self.args.dry_run {
            self.record();
        }
        save(&self.state, &self.lock)
    }

    pub(super) fn record(&mut self) {
        let error = self.applied.error.clone();
        let interrupted = |failure: &Failure| failure.class == Class::Interrupted && !self.install_began;
        let outcome = match &error {
            Some(failure) if interrupted(failure) => ApplyOutcome::Interrupted,
            Some(_) => ApplyOutcome::Failed,
            None if self.is_partial => ApplyOutcome::Partial,
            None => ApplyOutcome::Success,
        };
        // Recorded a second time when only the restart failed: it is still one run.
        let again = std::mem::replace(&mut self.recorded, true);
        let counters = &mut self.state.counters;
        count(&mut counters.apply_total, !again);
        count(&mut counters.apply_failed_total, error.is_some());
        count(&mut counters.apply_retried_total, self.applied.retried && !again);
        self.state.apply.in_progress = self.cut_off.clone();
        // A download mends nothing of what failed before, and must not hide it.
        if self.args.download_only {
            let session = &self.session;
            note_mended(&mut self.state, |last| session.is_whole(&last.packages));
            if apply_failure(&self.state).is_some() {
                return;
            }
        }
        // What changed last night is not forgotten because nothing did since.
        let before = self.state.apply.last.take().filter(|last| !last.packages.is_empty());
        let apply = &mut self.state.apply;
        apply.last_change = match self.applied.packages.is_empty() {
            true => before.map(Box::new).or(apply.last_change.take()),
            false => None,
        };
        apply.last = Some(LastApply {
            started_at: self.started_at,
            finished_at: Time::now(),
            outcome,
            retried: self.applied.retried,
            packages: self.applied.packages.clone(),
            open_for: were_open(&self.applied.packages),
            error,
            log: self.session.log_path(),
            config_files: self.applied.config_files.clone(),
            reboot_at: self.applied.reboot_at,
            mended_at: None,
            extra: Default::default(),
        });
    }

    /// Asks for the restart where it is wanted; never after a failure.
    pub(super) fn restart(&mut self, code: ExitCode) -> Result<(), Failure> {
        let wanted = match self.args.reboot {
            Some(Reboot::Always) => true,
            Some(Reboot::IfNeeded) => self.state.reboot_required,
            None => false,
        };
        let installs = !self.args.dry_run && !self.args.download_only;
        if wanted && installs && matches!(code, ExitCode::Fresh | ExitCode::Stale) {
            if let Some(latest) = self
                .latest
                .filter(|latest| self.args.reboot_at.is_none() && !self.changed && latest.is_over())
            {
                warn!("no reboot is asked for: it is past {latest} (--not-after)");
                return Ok(());
            }
            let when = self.args.reboot_at.map_or(When::After(self.args.reboot_delay), When::At);
            let restart = shutdown::schedule(when)?;
            self.applied.reboot_scheduled = restart.is_some();
            self.applied.reboot_at = restart.and_then(|restart| restart.at);
        }
        Ok(())
    }

    pub(super) fn report(mut self, code: ExitCode) -> Report {
        self.applied.log = self.session.log_path();
        let count = counted(self.applied.packages.len(), "package");
        let reason = match &self.applied.error {
            Some(failure) => format!("{}: {}", failure.class.word(), failure.message),
            None if self.applied.too_late && self.applied.packages.is_empty() => {
                self.too_late_words().unwrap_or_default()
            }
            None if self.args.dry_run => format!("{count} would change"),
            None if self.args.download_only => {
                format!("{} downloaded", counted(self.planned.updates.len(), "package"))
            }
            None if self.planned.is_empty() && self.done.is_empty() && self.applied.packages.is_empty() => {
                "nothing pending".to_string()
            }
            None => format!("{count} changed"),
        };
        let reason = match self.index_partial && self.applied.error.is_none() {
            true if self.state.not_refreshed().is_empty() => {
                format!("{reason}; the refresh did not end well")
            }
            true => format!("{reason}; part of the index is stale"),
            false => reason,
        };
        let reason = match left_out_by_us(&self.applied.held_back).count() {
            0 => reason,
            held => format!("{reason}; {} held back", counted(held, "update")),
        };
        let reason = match self.too_late_words() {
            Some(words) if self.applied.error.is_none() && !self.applied.packages.is_empty() => {
                format!("{reason}; {words}")
            }
            _ => reason,
        };
        let reason = match self.selection.young_words(&self.planned) {
            Some(words) if self.applied.error.is_none() => format!("{reason}; {words}"),
            _ => reason,
        };
        let entry = history::Entry {
            time: Time::now(),
            command: "apply".into(),
            exit_code: Some(code.code()),
            class: self.applied.error.as_ref().map(|failure| failure.class),
            message: reason.clone(),
            duration_ms: Some(self.started.elapsed().as_millis() as u64),
            packages: Some(self.applied.packages.len()),
            changes: self.applied.packages.iter().take(history::MOST_PACKAGES).cloned().collect(),
            dry_run: self.args.dry_run,
            open_for: were_open(&self.applied.packages).into_iter().take(history::MOST_PACKAGES).collect(),
        };
        history::append(&self.lock, &entry);
        let loaded = Loaded::Good(Box::new(self.state));
        let mut report = Report::new("apply", code, reason, loaded, self.args.freshness.max_age);
        report.detail = Detail::Apply(self.applied);
        report
    }
}
