//! What came of an apply: exit code, state, history, reboot, report.

use super::Run;
use super::changes::{changes, tell_since};
use super::work::Repair;
use crate::cli::Reboot;
use crate::commands::save::save_or_tell;
use crate::driver::shutdown::{self, When};
use crate::managers::Installed;
use crate::model::class::Class;
use crate::model::exit_code::ExitCode;
use crate::model::failure::Failure;
use crate::model::text::counted;
use crate::model::updates::{Change, HeldBack, Update, were_open};
use crate::report::{Applied, Detail, Report};
use crate::store::health::{apply_failure, note_mended, reboot_to_come};
use crate::store::history;
use crate::store::state::{ApplyOutcome, LastApply, count};
use crate::store::state_file::Loaded;
use crate::system::time::Time;
use log::warn;

/// What linux-patch itself left out so that the other updates could be installed, each with its class. The
/// administrator or the manager holds back the rest.
fn left_out_by_us(held_back: &[HeldBack]) -> impl Iterator<Item = (&HeldBack, Class)> {
    held_back.iter().filter_map(|held| Some((held, held.class?)))
}

impl Run<'_> {
    /// Step 7: whatever happened, looks at what is really installed before it says anything.
    pub(super) fn conclude(mut self, result: Result<(), Failure>) -> Report {
        if self.lock.watch().check().is_ok() {
            self.selection.clean_up(self.lock.dir());
        }
        self.session.answers_outlast_signals = true;
        let mut applied = match (self.args.dry_run, result.err()) {
            (true, error) => Applied { error, ..self.what_would_be() },
            (false, error) => self.look_back(error),
        };
        if applied.error.is_some() {
            self.session.look_why_not_counted(&mut self.state);
        }
        tell_since(&mut applied.packages, &self.work.open);
        for (held, class) in left_out_by_us(&applied.held_back) {
            warn!("{} stays as it is ({}: {})", held.name, class.word(), held.reason);
        }
        let outcome = self.outcome(&applied);
        if let Err(lost) = self.remember(&applied, outcome) {
            applied.error.get_or_insert(lost);
            return self.report(applied, ExitCode::Failed);
        }
        // The reboot comes last, when the state is saved. If it could not be asked for, this run has failed too.
        if let Err(failure) = self.ask_for_reboot(&mut applied, outcome) {
            applied.error = Some(failure);
            self.amend(&applied, ApplyOutcome::Failed);
            return self.report(applied, ExitCode::Failed);
        }
        if applied.reboot_at.is_some() {
            self.amend(&applied, outcome);
        }
        let code = match outcome {
            _ if applied.error.is_some() && self.selection.is_refused => ExitCode::Unknown,
            ApplyOutcome::Failed | ApplyOutcome::Interrupted => ExitCode::Failed,
            ApplyOutcome::Partial => ExitCode::Stale,
            ApplyOutcome::Success => ExitCode::Fresh,
        };
        self.report(applied, code)
    }

    /// What a dry run found.
    fn what_would_be(&mut self) -> Applied {
        let planned = &self.work.planned;
        let known = self.state.pending.as_ref().map(|pending| pending.held_back()).unwrap_or_default();
        let impossible = self.selection.impossible();
        // The count knows nothing of `--full`.
        let comes = |held: &HeldBack| {
            let is_it = |update: &Update| {
                let candidate = held.candidate.as_ref();
                update.name == held.name && candidate.is_none_or(|version| *version == update.candidate)
            };
            planned.updates.iter().any(is_it) || planned.removals.iter().any(|(name, _)| *name == held.name)
        };
        let is_new =
            |held: &&HeldBack| impossible.iter().all(|other| other.name != held.name) && !comes(held);
        Applied {
            dry_run: true,
            packages: planned.as_changes(),
            download_bytes: self.session.download_size.get().filter(|_| !planned.updates.is_empty()),
            reboot_expected: self.session.expects_reboot(planned, &self.state),
            held_back: known.iter().filter(is_new).chain(impossible).cloned().collect(),
            ..self.what_was_done()
        }
    }

    /// What the steps noted.
    fn what_was_done(&mut self) -> Applied {
        Applied {
            retried: self.work.is_retried,
            repaired: self.repair == Repair::Done,
            too_late: self.work.too_late_for.is_some(),
            config_files: std::mem::take(&mut self.work.config_files),
            log: self.session.log_path(),
            ..Applied::default()
        }
    }

    /// What is installed now, and what is pending and required after it.
    fn look_back(&mut self, error: Option<Failure>) -> Applied {
        let database = self.session.database_now();
        let (packages, mut error) = match self.session.installed() {
            Ok(after) => {
                self.settle(&after);
                self.compare(&after, error)
            }
            Err(failure) => (Vec::new(), Some(warned(error, failure))),
        };
        // If no advisory named a pending update, none asks for a reboot.
        let has_advisories = self.state.pending.as_ref().is_some_and(|known| known.security.is_some());
        if error.is_none() && self.nothing_is_left(&packages) {
            // That is known without asking.
            self.session.count_none(&mut self.state, database);
        } else if self.work.has_changed() || self.repair == Repair::Done {
            self.session.count(&mut self.state);
        }
        let mut held_back = Vec::new();
        if let Some(pending) = &mut self.state.pending {
            pending.leave_out(self.selection.impossible());
            held_back = pending.held_back().to_vec();
        }
        if self.work.has_changed() && has_advisories {
            self.session.note_reboot_required_by_install(&mut self.state);
        } else {
            self.session.note_reboot_required(&mut self.state);
        }
        if let Some(failure) = &mut error {
            self.session.name_full_disk(failure);
        }
        Applied { packages, held_back, error, ..self.what_was_done() }
    }

    /// What has changed and what went wrong, given how the run ended.
    fn compare(&mut self, after: &Installed, mut error: Option<Failure>) -> (Vec<Change>, Option<Failure>) {
        let packages = match self.work.has_changed() {
            true => changes(&self.work.before, after),
            false => Vec::new(),
        };
        let damage = &self.remains.damage;
        let is_half_done = !damage.leftovers.is_empty() || !damage.broken.is_empty();
        let is_of_package = |class: Class| matches!(class, Class::Script | Class::Interrupted);
        match (error.as_mut(), self.contradiction(after)) {
            // The manager's words alone do not say what to do about it.
            (Some(known), Some(failure)) if is_of_package(known.class) && is_half_done => {
                known.message = format!("{}; {}", known.message, failure.message);
            }
            (_, Some(failure)) => error = Some(warned(error, failure)),
            _ => {}
        }
        if let Some(failure) = self.changed_files(&packages) {
            error = Some(warned(error, failure));
        }
        (packages, error)
    }

    /// How it ended.
    fn outcome(&self, applied: &Applied) -> ApplyOutcome {
        // The manager itself would hold back what cannot be resolved, and not fail.
        let is_failure = |class: Class| class != Class::Dependency;
        let has_failed = left_out_by_us(&applied.held_back).any(|(_, class)| is_failure(class));
        match &applied.error {
            Some(failure) if failure.class == Class::Interrupted && !self.work.has_installed() => {
                ApplyOutcome::Interrupted
            }
            Some(_) => ApplyOutcome::Failed,
            None if self.is_index_partial() || has_failed => ApplyOutcome::Partial,
            None => ApplyOutcome::Success,
        }
    }

    /// Writes down how this apply ended, unless it was a dry run.
    ///
    /// # Errors
    /// When the lock was lost.
    fn remember(&mut self, applied: &Applied, outcome: ApplyOutcome) -> Result<(), Failure> {
        if self.selection.is_refused && !self.work.has_changed() {
            self.state.apply.in_progress = self.remains.run.clone();
        } else if !self.args.dry_run {
            self.record(applied, outcome);
        }
        save_or_tell(&self.state, &self.lock)
    }

    fn record(&mut self, applied: &Applied, outcome: ApplyOutcome) {
        let counters = &mut self.state.counters;
        count(&mut counters.apply_total, true);
        count(&mut counters.apply_failed_total, applied.error.is_some());
        count(&mut counters.apply_retried_total, applied.retried);
        self.state.apply.in_progress = self.remains.run.clone();
        // A download, or a run that came too late, does not mend an earlier failure, and must not hide it.
        let is_left = self.work.too_late_for.is_some() && !self.work.has_installed();
        if self.args.download_only || is_left {
            let session = &self.session;
            note_mended(&mut self.state, |last| session.is_whole(&last.packages));
            if apply_failure(&self.state).is_some() {
                return;
            }
        }
        // It comes also if this run asks for none.
        let reboot_at = reboot_to_come(&self.state);
        // The changes of last night are kept if a later run changes nothing.
        let before = self.state.apply.last.take().filter(|last| !last.packages.is_empty());
        let apply = &mut self.state.apply;
        apply.last_change = match applied.packages.is_empty() {
            true => before.map(Box::new).or(apply.last_change.take()),
            false => None,
        };
        apply.last = Some(LastApply {
            started_at: self.started_at,
            finished_at: Time::now(),
            outcome,
            retried: applied.retried,
            packages: applied.packages.clone(),
            open_for: were_open(&applied.packages),
            error: applied.error.clone(),
            log: applied.log.clone(),
            config_files: applied.config_files.clone(),
            reboot_at,
            mended_at: None,
            unread: 0,
            extra: Default::default(),
        });
    }

    /// Adds the scheduled reboot, or why there is none, to the record of this run.
    fn amend(&mut self, applied: &Applied, outcome: ApplyOutcome) {
        if let Some(last) = &mut self.state.apply.last {
            last.outcome = outcome;
            last.error = applied.error.clone();
            last.reboot_at = applied.reboot_at.or(last.reboot_at);
        }
        count(&mut self.state.counters.apply_failed_total, applied.error.is_some());
        // The run itself is already recorded; a failure of this addition is reported there.
        let _ = save_or_tell(&self.state, &self.lock);
    }

    /// Asks for the reboot if it is wanted; never after a failure.
    fn ask_for_reboot(&self, applied: &mut Applied, outcome: ApplyOutcome) -> Result<(), Failure> {
        let wanted = match self.args.reboot {
            Some(Reboot::Always) => true,
            Some(Reboot::IfNeeded) => self.state.reboot_required,
            None => false,
        };
        let installs = !self.args.dry_run && !self.args.download_only;
        if wanted && installs && matches!(outcome, ApplyOutcome::Success | ApplyOutcome::Partial) {
            let is_kept = self.args.reboot_at.is_none() && !self.work.has_installed();
            if let Some(latest) = self.latest.filter(|latest| is_kept && latest.is_over()) {
                warn!("no reboot is asked for: it is past {latest} (--not-after)");
                return Ok(());
            }
            let when = self.args.reboot_at.map_or(When::After(self.args.reboot_delay), When::At);
            let reboot = shutdown::schedule(when)?;
            applied.reboot_scheduled = reboot.is_some();
            applied.reboot_at = reboot.and_then(|reboot| reboot.at);
        }
        Ok(())
    }

    /// Makes the report.
    fn report(self, applied: Applied, code: ExitCode) -> Report {
        let reason = self.reason(&applied);
        let few = |most| applied.packages.iter().take(most).cloned().collect();
        let entry = history::Entry {
            time: Time::now(),
            command: "apply".into(),
            exit_code: Some(code.code()),
            class: applied.error.as_ref().map(|failure| failure.class),
            message: reason.clone(),
            duration_ms: Some(self.started.elapsed().as_millis() as u64),
            packages: Some(applied.packages.len()),
            changes: few(history::MOST_PACKAGES),
            dry_run: self.args.dry_run,
            open_for: were_open(&applied.packages).into_iter().take(history::MOST_PACKAGES).collect(),
        };
        history::append(&self.lock, &entry);
        let loaded = Loaded::Good(Box::new(self.state));
        let mut report = Report::new("apply", code, reason, loaded, self.args.freshness.max_age);
        report.detail = Detail::Apply(applied);
        report
    }

    /// The result in one line, with what was left out or left undone.
    fn reason(&self, applied: &Applied) -> String {
        let work = &self.work;
        let count = counted(applied.packages.len(), "package");
        let has_changed = !applied.packages.is_empty();
        let is_well = applied.error.is_none();
        let too_late = self.too_late_words();
        let mut parts = vec![match (&applied.error, &too_late) {
            (Some(failure), _) => format!("{}: {}", failure.class.word(), failure.message),
            (None, Some(words)) if !has_changed => words.clone(),
            _ if self.args.dry_run => format!("{count} would change"),
            _ if self.args.download_only => {
                format!("{} downloaded", counted(work.planned.updates.len(), "package"))
            }
            _ if work.planned.is_empty() && work.done.is_empty() && !has_changed => {
                "nothing pending".to_string()
            }
            _ => format!("{count} changed"),
        }];
        if is_well && self.is_index_partial() {
            parts.push(match self.state.not_refreshed().is_empty() {
                true => "the refresh did not end well".to_string(),
                false => "part of the index is stale".to_string(),
            });
        }
        match left_out_by_us(&applied.held_back).count() {
            0 => {}
            held => parts.push(format!("{} held back", counted(held, "update"))),
        }
        if is_well {
            parts.extend(too_late.filter(|_| has_changed));
            parts.extend(self.selection.young_words(&work.planned));
        }
        parts.join("; ")
    }
}

/// Warns of a failure. The first failure of the run becomes its error.
fn warned(error: Option<Failure>, failure: Failure) -> Failure {
    warn!("{}", failure.message);
    error.unwrap_or(failure)
}
