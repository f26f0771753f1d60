//! `linux-patch apply`: the numbered steps of the contract's section 6.

mod changes;
mod repair;
pub mod selection;
mod verify;

use crate::cli::{ApplyArgs, Global, Reboot};
use crate::commands::refresh::save;
use crate::commands::start::{permitted, setup};
use crate::driver::{Session, shutdown};
use crate::managers::{Damage, Installed, Manager};
use crate::model::exit_code::ExitCode;
use crate::model::failure::{Class, Failure};
use crate::model::refreshed::RefreshOutcome;
use crate::model::text::counted;
use crate::model::updates::{HeldBack, Listing, Update, were_open};
use crate::report::{Applied, Detail, Report};
use crate::store::history;
use crate::store::lock::{self, Lock};
use crate::store::state::{ApplyOutcome, InProgress, LastApply, Loaded, Open, Pending, State, count, load};
use crate::system::process::{End, Finished, Limits};
use crate::system::time::{Time, span};
use crate::system::{boot, lock_holders, signals};
use changes::{changes, tell_since};
use clap::ValueEnum;
use log::{info, warn};
use selection::Selection;
use std::time::{Duration, Instant};

/// A download in which nothing moves for so long is ended, unless the administrator allows longer silence.
const DOWNLOAD_STALL: Duration = Duration::from_secs(5 * 60);
/// So often a run plans anew without updates that turned out to be impossible: each time at least one more.
const MOST_ROUNDS: usize = 500;
/// No download may take longer; what it got is kept for the next run.
const DOWNLOAD_BUDGET: Duration = Duration::from_secs(2 * 3600);

/// Refreshes, then installs what is pending.
pub fn run(global: &Global, args: &ApplyArgs) -> Report {
    let started = Instant::now();
    let prepared = permitted(global).and_then(|manager| {
        no_blank_after_reboot(args)?;
        let selection = Selection::new(manager, args)?;
        Ok((manager, selection))
    });
    let (manager, selection) = match prepared {
        Ok(prepared) => prepared,
        Err(reason) => return Report::refused("apply", reason),
    };
    let lock = match take_lock(global, args, started + args.wait) {
        Ok(lock) => lock,
        Err(report) => return *report,
    };
    let (mut state, note) = match State::load_for_update(&lock) {
        Ok(loaded) => loaded,
        Err(error) => return Report::refused("apply", format!("{error:#}")),
    };
    if let Some(note) = note {
        warn!("{note}");
    }
    state.count_joined(&lock);
    let patience = args.wait.saturating_sub(started.elapsed());
    let mut session = Session::start(manager, &setup(global), "apply", patience, &lock, &state);
    session.counts_anew = true;
    let mut run = Run {
        manager,
        args,
        selection,
        session,
        lock,
        state,
        started,
        started_at: Time::now(),
        cut_off: None,
        damage: Damage::default(),
        excludes_damage: false,
        repair_tried: false,
        mend_tried: false,
        told_of_several: false,
        is_repair_open: false,
        install_failed: None,
        before: None,
        index_partial: false,
        is_partial: false,
        planned: Listing::default(),
        open: Vec::new(),
        done: Vec::new(),
        disappeared: Vec::new(),
        asked_to_run_again: false,
        ran_again: false,
        install_began: false,
        changed: false,
        recorded: false,
        applied: Applied { dry_run: args.dry_run, ..Applied::default() },
    };
    let result = run.execute();
    run.conclude(result)
}

/// That `--reboot always` is not taken for a restart only where it is required, and a package `always`.
///
/// # Errors
/// How it is written.
fn no_blank_after_reboot(args: &ApplyArgs) -> Result<(), String> {
    let is_value = |name: &&String| Reboot::from_str(name, true).is_ok();
    match args.packages.iter().find(is_value).filter(|_| args.reboot.is_some()) {
        Some(value) => Err(format!("{value:?} is no package: write --reboot={value}, with an equals sign")),
        None => Ok(()),
    }
}

/// How an install came to its end that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It gave up.
    ByItself,
    /// It was cut off.
    CutOff,
}

/// One apply, from its lock to its report.
struct Run<'a> {
    manager: &'static dyn Manager,
    args: &'a ApplyArgs,
    selection: Selection,
    session: Session,
    lock: Lock,
    state: State,
    started: Instant,
    started_at: Time,
    /// An earlier apply that was cut off, until what it left is repaired.
    cut_off: Option<InProgress>,
    /// What of that is in the package database.
    damage: Damage,
    /// Whether `--exclude` names something that was cut off.
    excludes_damage: bool,
    repair_tried: bool,
    mend_tried: bool,
    told_of_several: bool,
    /// Whether it was tried and the package database was not whole then.
    is_repair_open: bool,
    install_failed: Option<Ending>,
    before: Option<Installed>,
    index_partial: bool,
    /// Whether something that was selected had to be left out.
    is_partial: bool,
    planned: Listing,
    /// Since when what was pending is known.
    open: Vec<Open>,
    /// What was planned before the manager updated itself.
    done: Vec<Update>,
    /// What the manager itself removed because others have taken over all its files.
    disappeared: Vec<String>,
    asked_to_run_again: bool,
    ran_again: bool,
    install_began: bool,
    /// Whether anything of ours has changed packages.
    changed: bool,
    recorded: bool,
    applied: Applied,
}

impl Run<'_> {
    /// Steps 2 to 6. An error ends the run; what was installed until then is read back later.
    fn execute(&mut self) -> Result<(), Failure> {
        self.cut_off = self.state.apply.in_progress.clone().map(InProgress::cut_off);
        self.enter("repair")?;
        self.look()?;
        if self.manager.facts().repair_fetches {
            self.refresh()?;
            self.repair_with_fresh_index()?;
        } else {
            self.repair()?;
            self.refresh()?;
        }
        let mut rounds = 0;
        loop {
            rounds += 1;
            match self.plan_and_install() {
                // Once: a newer index names files that exist.
                Err(failure) if failure.class.is_retried() && self.may_retry() => {
                    warn!("{}; refreshing and trying once more", failure.message);
                    self.applied.retried = true;
                    self.refresh()?;
                }
                // While dependencies are not met the manager does nothing else.
                Err(failure) if self.may_mend(&failure) => self.mend(failure)?,
                // One update that cannot be installed holds back itself, not the others.
                Err(mut failure) if rounds <= MOST_ROUNDS && !self.install_began => {
                    let culprits = std::mem::take(&mut failure.culprits);
                    let planned = &self.planned.updates;
                    if self.selection.install_keys_first(self.manager, &failure, planned) {
                        warn!("{}; installing the pending keys first", failure.message);
                    } else if !self.selection.leave_out(culprits) {
                        return Err(failure);
                    }
                    // Nothing was changed, and what follows may be stopped again.
                    self.session.committed = false;
                }
                // The keys are there now.
                Ok(()) if self.selection.has_installed_keys(self.install_began) => {
                    self.done.append(&mut self.planned.updates);
                    self.install_began = false;
                    self.ran_again = true;
                    self.session.count(&mut self.state, true);
                }
                // The manager has updated itself, and left the rest to its new version.
                Ok(()) if self.asked_to_run_again && !self.ran_again => {
                    info!("{} was updated itself; installing what it left", self.manager.facts().name);
                    self.ran_again = true;
                    self.done.append(&mut self.planned.updates);
                    self.session.count(&mut self.state, true);
                }
                result => return result,
            }
        }
    }

    /// Only while nothing was changed, or where an install fetches by itself and does the rest when
    /// it is run again. That somebody wants us to stop is heard between two installs.
    fn may_retry(&self) -> bool {
        let is_safe = !self.install_began || !self.manager.facts().downloads_first;
        is_safe && !self.applied.retried && (!self.install_began || signals::received().is_none())
    }

    /// Step 3: always.
    fn refresh(&mut self) -> Result<(), Failure> {
        self.enter("refresh")?;
        let timeout = self.args.freshness.timeout;
        let refreshed = self.session.refresh(&mut self.state, timeout, None);
        save(&self.state, &self.lock)?;
        let failed = refreshed.sources.iter().filter(|source| source.error.is_some()).count();
        self.index_partial = refreshed.outcome == RefreshOutcome::Partial;
        self.is_partial = self.index_partial;
        match (refreshed.outcome, refreshed.error) {
            (RefreshOutcome::Fresh, _) | (_, None) => Ok(()),
            (RefreshOutcome::Partial, Some(failure)) if self.manager.facts().only_whole.is_some() => {
                let why = self.manager.facts().only_whole.unwrap_or_default();
                Err(Failure::new(failure.class, format!("{}; nothing is installed: {why}", failure.message)))
            }
            (RefreshOutcome::Partial, Some(failure)) if !self.args.strict => {
                let of = counted(refreshed.sources.len(), "source");
                match failed {
                    0 => warn!("every source was refreshed, going on: {}", failure.message),
                    _ => {
                        warn!("{failed} of {of} not refreshed, going on with the others: {}", failure.message)
                    }
                }
                Ok(())
            }
            (_, Some(failure)) => Err(failure),
        }
    }

    /// Steps 4 to 6: what is to be installed, and the installing of it.
    fn plan_and_install(&mut self) -> Result<(), Failure> {
        let before = self.before.as_ref();
        self.open.extend(self.state.pending.iter().flat_map(Pending::open));
        self.planned = self.selection.plan(&self.session, &self.state, before, self.lock.dir())?;
        if self.planned.is_empty() || self.args.dry_run {
            return Ok(());
        }
        self.download_and_install()
    }

    /// Steps 5 and 6.
    fn download_and_install(&mut self) -> Result<(), Failure> {
        if !self.args.download_only {
            self.session.is_writable()?;
            self.session.is_unhindered(true)?;
        }
        if !self.manager.facts().downloads_first {
            return self.install(&Finished::ended(0, "", ""));
        }
        self.enter("download")?;
        let label = "downloading updates";
        let (invocation, downloaded) = loop {
            let invocation = self.session.with_limits(self.manager.download(&self.selection.plan));
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
                None => break (invocation, downloaded),
            }
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
    fn install(&mut self, downloaded: &Finished) -> Result<(), Failure> {
        if let Some(signal) = signals::received() {
            return Err(Failure::new(Class::Interrupted, format!("{signal} received before the install")));
        }
        self.session.offer_private(&self.planned)?;
        self.enter("install")?;
        // What others installed while we waited for their locks is not ours.
        if !self.changed && !self.ran_again {
            self.before = Some(self.session.installed()?);
        }
        self.session.committed = true;
        let invocation = self.manager.install(&self.selection.plan, downloaded);
        let label = "installing updates";
        let finished = self.session.run(label, &invocation, &Limits::default())?;
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

    /// Remembers how far this run has come, so that the next one knows what was cut off.
    ///
    /// # Errors
    /// When the lock was lost: nothing more is done then.
    fn enter(&mut self, phase: &str) -> Result<(), Failure> {
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
            earlier: self.cut_off.clone().map(Box::new),
            extra: Default::default(),
        });
        save(&self.state, &self.lock)
    }

    /// Step 7: whatever happened, look at what is really installed before saying anything.
    fn conclude(mut self, result: Result<(), Failure>) -> Report {
        if self.lock.watch().check().is_ok() {
            self.selection.clean_up(self.lock.dir(), self.manager.settings());
        }
        self.session.committed = true;
        let mut error = result.err();
        let mut warn_of = |failure: Failure| {
            warn!("{}", failure.message);
            error.get_or_insert(failure);
        };
        if self.args.dry_run {
            self.applied.packages = self.planned.as_changes();
            self.applied.held_back = self.selection.impossible().to_vec();
        } else {
            match self.session.installed() {
                Ok(after) => {
                    self.settle(&after);
                    if let Some(before) = self.before.as_ref().filter(|_| self.changed) {
                        self.applied.packages = changes(before, &after);
                    }
                    if let Some(failure) = self.contradiction(&after) {
                        warn_of(failure);
                    }
                    if let Some(failure) = self.damage() {
                        warn_of(failure);
                    }
                }
                Err(failure) => warn_of(failure),
            }
            // Where no advisory spoke of what was pending, none speaks of a reboot.
            let has_advisories = self.state.pending.as_ref().is_some_and(|known| known.security.is_some());
            if self.changed || self.applied.repaired {
                self.session.count(&mut self.state, true);
            }
            if let Some(pending) = &mut self.state.pending {
                pending.leave_out(self.selection.impossible());
                self.applied.held_back = pending.left_out_by_us();
            }
            if self.changed && has_advisories {
                self.session.look_for_restart_after_install(&mut self.state);
            } else {
                self.session.look_for_restart(&mut self.state);
            }
        }
        tell_since(&mut self.applied.packages, &self.open);
        if let Some(failure) = error.as_mut().filter(|_| !self.args.dry_run) {
            self.session.tell_no_place(failure);
        }
        for held in &self.applied.held_back {
            let class = held.class.unwrap_or(Class::Other).word();
            warn!("{} stays as it is ({class}: {})", held.name, held.reason);
        }
        // What cannot be resolved the manager itself would hold back, and be content.
        let is_failure = |held: &HeldBack| held.class.is_some_and(|class| class != Class::Dependency);
        self.is_partial |= self.applied.held_back.iter().any(is_failure);
        let code = match (&error, self.is_partial) {
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
        self.report(code)
    }

    /// Writes down how this apply ended; a dry run was none.
    ///
    /// # Errors
    /// When the lock was lost.
    fn remember(&mut self) -> Result<(), Failure> {
        if !self.args.dry_run {
            self.record();
        }
        save(&self.state, &self.lock)
    }

    fn record(&mut self) {
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
        self.state.apply.last = Some(LastApply {
            started_at: self.started_at,
            finished_at: Time::now(),
            outcome,
            retried: self.applied.retried,
            packages: self.applied.packages.clone(),
            open_for: were_open(&self.applied.packages),
            error,
            log: self.session.log_path(),
            extra: Default::default(),
        });
    }

    /// Asks for the restart where it is wanted; never after a failure.
    fn restart(&mut self, code: ExitCode) -> Result<(), Failure> {
        let wanted = match self.args.reboot {
            Some(Reboot::Always) => true,
            Some(Reboot::IfNeeded) => self.state.reboot_required,
            None => false,
        };
        let installs = !self.args.dry_run && !self.args.download_only;
        if wanted && installs && code != ExitCode::Failed {
            self.applied.reboot_scheduled = shutdown::schedule(self.args.reboot_delay)?;
        }
        Ok(())
    }

    fn report(mut self, code: ExitCode) -> Report {
        self.applied.log = self.session.log_path();
        let count = counted(self.applied.packages.len(), "package");
        let reason = match &self.applied.error {
            Some(failure) => format!("{}: {}", failure.class.word(), failure.message),
            None if self.args.dry_run => format!("{count} would change"),
            None if self.args.download_only => {
                format!("{} downloaded", counted(self.planned.updates.len(), "package"))
            }
            None if self.planned.is_empty() && self.done.is_empty() => "nothing pending".to_string(),
            None => format!("{count} changed"),
        };
        let reason = match self.index_partial && self.applied.error.is_none() {
            true if self.state.not_refreshed().is_empty() => {
                format!("{reason}; the refresh did not end well")
            }
            true => format!("{reason}; part of the index is stale"),
            false => reason,
        };
        let reason = match self.applied.held_back.len() {
            0 => reason,
            held => format!("{reason}; {} held back", counted(held, "update")),
        };
        let reason = match self.selection.young_words(&self.planned) {
            Some(words) if self.applied.error.is_none() => format!("{reason}; {words}"),
            _ => reason,
        };
        let entry = history::Entry {
            time: Time::now(),
            command: "apply".into(),
            exit_code: code.code(),
            class: self.applied.error.as_ref().map(|failure| failure.class),
            message: reason.clone(),
            duration_ms: self.started.elapsed().as_millis() as u64,
            packages: self.applied.packages.len(),
            open_for: were_open(&self.applied.packages).into_iter().take(history::MOST_OPEN).collect(),
        };
        history::append(&self.lock, &entry);
        let loaded = Loaded::Good(Box::new(self.state));
        let mut report = Report::new("apply", code, reason, loaded, self.args.freshness.max_age);
        report.detail = Detail::Apply(self.applied);
        report
    }
}

/// Step 1: the lock, waited for as long as `--wait` allows.
fn take_lock(global: &Global, args: &ApplyArgs, until: Instant) -> Result<Lock, Box<Report>> {
    let started = Instant::now();
    let mut told = false;
    let stop = |class, text: String| {
        let loaded = load(&global.state_dir);
        let mut report = Report::new("apply", ExitCode::Failed, text.clone(), loaded, args.freshness.max_age);
        report.detail = Detail::Apply(Applied::default());
        report.set_error(Failure::new(class, text));
        Err(Box::new(report))
    };
    loop {
        match Lock::try_acquire(&global.state_dir, "apply") {
            Ok(Some(lock)) => return Ok(lock),
            Err(error) => return Err(Box::new(Report::refused("apply", format!("{error:#}")))),
            Ok(None) => {}
        }
        let holder = || lock::holder_words(&global.state_dir);
        let to_tell = || lock::holder_to_tell(&global.state_dir, started.elapsed());
        if let Some(holder) = (!told).then(to_tell).flatten() {
            info!("waiting for {holder}{}", phase_of(&load(&global.state_dir)));
            told = true;
        }
        if Instant::now() >= until {
            let waited = span(args.wait.as_secs() as i64);
            return stop(Class::Lock, format!("{} holds the lock; waited {waited}", holder()));
        }
        let pause = until.min(Instant::now() + Duration::from_millis(50));
        if let Err(signal) = signals::sleep_until(pause) {
            return stop(Class::Interrupted, format!("{signal} received while waiting for {}", holder()));
        }
    }
}

/// How far the apply that we wait for has come.
fn phase_of(loaded: &Loaded) -> String {
    match loaded {
        Loaded::Good(state) => {
            let running = state.apply.in_progress.as_ref();
            running.map(|apply| format!(" (phase {})", apply.phase)).unwrap_or_default()
        }
        _ => String::new(),
    }
}
