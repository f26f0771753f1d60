//! `linux-patch apply`: the numbered steps of the contract's section 6.

mod autoremove;
mod changes;
mod conclude;
mod damage;
mod install;
mod repair;
mod selection;
mod stale;
mod too_late;
mod verify;

use crate::cli::{ApplyArgs, Global, Reboot};
use crate::commands::refresh::save;
use crate::commands::start::{permitted, setup};
use crate::driver::Session;
use crate::managers::{Damage, Installed, Manager, Plan};
use crate::model::class::Class;
use crate::model::exit_code::ExitCode;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::RefreshOutcome;
use crate::model::text::counted;
use crate::model::updates::Update;
use crate::report::{Applied, Detail, Report};
use crate::store::history;
use crate::store::lock::{self, Lock};
use crate::store::state::{InProgress, Open, State};
use crate::store::state_file::{Loaded, load};
use crate::system::local_time::{Latest, TimeOfDay};
use crate::system::time::{Time, span};
use crate::system::{image, signals};
use clap::ValueEnum;
use log::{info, warn};
use selection::Selection;
use std::time::{Duration, Instant};

/// So often a run plans anew without updates that turned out to be impossible: each time at least one more.
const MOST_ROUNDS: usize = 500;
/// Refreshes, then installs what is pending.
pub fn run(global: &Global, args: &ApplyArgs) -> Report {
    let started = Instant::now();
    let prepared = permitted(global).and_then(|manager| {
        no_blank_after_reboot(args)?;
        changes_no_image()?;
        let selection = Selection::new(manager, args)?;
        if args.reboot_at.is_some() {
            TimeOfDay::now()?;
        }
        let latest = args.not_after.map(Latest::from_now).transpose()?;
        Ok((manager, selection, latest))
    });
    let (manager, selection, latest) = match prepared {
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
    history::append_killed(&lock, &state);
    state.count_joined(&lock);
    let patience = args.wait.saturating_sub(started.elapsed());
    let mut session = Session::start(manager, &setup(global), "apply", patience, &lock, &state);
    session.counts_anew = true;
    let mut run = Run {
        manager,
        args,
        selection,
        latest,
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
        repair_failed: None,
        install_failed: None,
        before: None,
        offered: None,
        index_partial: false,
        is_partial: false,
        planned: Listing::default(),
        left: 0,
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
    let result = run.execute().and_then(|()| run.remove_unneeded());
    run.conclude(result)
}

/// That packages can be changed in the running system at all.
///
/// # Errors
/// What to run instead.
fn changes_no_image() -> Result<(), String> {
    match image::updater() {
        Some(command) => Err(format!(
            "this system is an image, in which no package is changed while it runs; use {command} instead of apply"
        )),
        None => Ok(()),
    }
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
    /// Until when an install may begin.
    latest: Option<Latest>,
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
    /// Why a repair of this run failed.
    repair_failed: Option<String>,
    install_failed: Option<Ending>,
    before: Option<Installed>,
    /// What was offered when the install began, if all of that was counted.
    offered: Option<String>,
    index_partial: bool,
    /// Whether something that was selected had to be left out.
    is_partial: bool,
    planned: Listing,
    /// How many updates it was too late for.
    left: usize,
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
        let is_safe = !self.install_began || self.manager.download(&Plan::default()).is_none();
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
