//! `linux-patch apply`, by the steps that linux-patch(8) numbers.

mod autoremove;
mod changes;
mod conclude;
mod damage;
mod install;
mod others;
mod repair;
mod selection;
mod stale;
mod too_late;
mod verify;
mod work;

use crate::cli::{ApplyArgs, Global, Reboot};
use crate::commands::save::save_or_tell;
use crate::commands::start::{Wait, permitted, setup, state_to_continue, wait_for_lock};
use crate::driver::{Purpose, Session};
use crate::managers::{Manager, Plan};
use crate::model::class::Class;
use crate::model::exit_code::ExitCode;
use crate::model::failure::Failure;
use crate::model::refreshed::RefreshOutcome;
use crate::model::text::counted;
use crate::report::{Applied, Detail, Report};
use crate::store::history;
use crate::store::lock::{self, Lock};
use crate::store::state::{InProgress, State};
use crate::store::state_file::{Loaded, load};
use crate::system::local_time::{Latest, TimeOfDay};
use crate::system::time::{Time, duration, span};
use crate::system::{image, signals};
use clap::ValueEnum;
use log::{info, warn};
use selection::Selection;
use std::time::Instant;
use work::{Remains, Repair, Round, Work};

/// So many times a run makes a new plan without updates that turned out to be impossible: at least one more each time.
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
    let mut state = match state_to_continue(&lock) {
        Ok(state) => state,
        Err(reason) => return Report::refused("apply", reason),
    };
    history::append_killed(&lock, &state);
    state.count_joined(&lock);
    let patience = args.wait.saturating_sub(started.elapsed());
    let mut run = Run {
        manager,
        args,
        selection,
        latest,
        session: Session::start(manager, &setup(global), Purpose::Apply, patience, &lock, &state),
        lock,
        state,
        started,
        started_at: Time::now(),
        remains: Remains::default(),
        repair: Repair::NotTried,
        repair_waits: false,
        work: Work::default(),
    };
    let result = run.execute().and_then(|()| run.remove_unneeded());
    run.conclude(result)
}

/// Checks that packages can be changed in the running system at all.
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

/// Checks that `--reboot always` was not meant as `--reboot=always`: it would mean a reboot if required, and a package
/// `always`. No package has one of the other names that are meant as a value.
///
/// # Errors
/// How it is written.
fn no_blank_after_reboot(args: &ApplyArgs) -> Result<(), String> {
    let mut names = args.packages.iter().filter(|_| args.reboot.is_some());
    let meant = names.find_map(|name| Some((name, meant_as_value(name)?)));
    meant.map_or(Ok(()), |(name, advice)| Err(format!("{name:?} is no package: {advice}")))
}

/// How that is written which somebody must have meant with this word behind `--reboot`.
fn meant_as_value(name: &str) -> Option<String> {
    const YES: &[&str] = &[
        "if-required",
        "ifneeded",
        "needed",
        "required",
        "when-needed",
        "when-required",
        "auto",
        "yes",
        "true",
    ];
    const NO: &[&str] = &["never", "no", "false"];
    let word = name.to_lowercase().replace('_', "-");
    let number = name.strip_prefix('+').unwrap_or(name);
    match word.as_str() {
        word if Reboot::from_str(word, true).is_ok() => {
            Some(format!("write --reboot={word}, with an equals sign"))
        }
        word if YES.contains(&word) => {
            Some("write --reboot=if-needed or --reboot=always, with an equals sign".to_string())
        }
        word if NO.contains(&word) => Some("leave out --reboot, and there is no reboot".to_string()),
        _ if TimeOfDay::parse(name).is_ok() => Some(format!("write --reboot-at {name}")),
        // As shutdown(8) means it.
        _ if number.parse::<u32>().is_ok() => Some(format!("write --reboot-delay {number}m")),
        _ if duration(number).is_ok() => Some(format!("write --reboot-delay {number}")),
        _ => None,
    }
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
    /// What earlier runs that were cut off have left.
    remains: Remains,
    repair: Repair,
    /// Whether a repair could end well another time.
    repair_waits: bool,
    work: Work,
}

impl Run<'_> {
    /// Steps 2 to 6. An error ends the run; what was installed by then is found afterwards.
    fn execute(&mut self) -> Result<(), Failure> {
        self.remains.run = self.state.apply.in_progress.clone().map(InProgress::cut_off);
        self.enter("repair")?;
        self.work.before = self.look()?;
        if self.manager.facts().repair_fetches {
            self.refresh()?;
            self.repair_with_fresh_index()?;
        } else {
            self.repair()?;
            self.refresh()?;
            self.repair_again()?;
        }
        let (mut rounds, mut may_mend, mut may_run_again) = (0, true, true);
        loop {
            rounds += 1;
            match self.plan_and_install() {
                // Once: a newer index names files that exist.
                Err(failure) if failure.class.is_retried() && self.may_retry() => self.retry(&failure)?,
                // Once: the manager does nothing else while dependencies are not met.
                Err(failure) if may_mend && self.can_mend(&failure) => match self.mend(failure) {
                    Err(failure) if failure.class.is_retried() && self.may_retry() => self.retry(&failure)?,
                    mended => {
                        may_mend = false;
                        mended?;
                    }
                },
                // An update that cannot be installed must not hold back the others.
                Err(failure) if rounds <= MOST_ROUNDS && !self.work.has_begun() => {
                    self.narrow_down(failure)?
                }
                // The keys are installed now.
                Ok(_) if self.selection.has_installed_keys(self.work.has_begun()) => {
                    may_run_again = false;
                    self.plan_the_rest();
                    self.work.begin_anew();
                }
                // Once.
                Ok(Round::LeftTheRest) if may_run_again => {
                    may_run_again = false;
                    info!("{} was updated itself; installing what it left", self.manager.facts().name);
                    self.plan_the_rest();
                    self.work.begin_anew();
                }
                ended => {
                    self.tell_left_lock(ended.is_ok());
                    return ended.map(drop);
                }
            }
        }
    }

    /// Says after a good end that a lock of the manager was left behind: nothing that needs it would come to an end.
    fn tell_left_lock(&self, is_good: bool) {
        if is_good && !self.args.dry_run {
            if let Err(left) = self.session.refuse_left_lock() {
                warn!("{}", left.message);
            }
        }
    }

    /// Prepares the next round, without the updates that a failure names.
    ///
    /// # Errors
    /// The failure, where that is nothing new.
    fn narrow_down(&mut self, mut failure: Failure) -> Result<(), Failure> {
        let culprits = std::mem::take(&mut failure.culprits);
        let planned = &self.work.planned;
        if self.selection.install_keys_first(&failure, planned) {
            warn!("{}; installing the pending keys first", failure.message);
        } else if !self.selection.leave_out(culprits) {
            return Err(failure);
        }
        // Nothing was changed, and the next steps may be interrupted again.
        self.session.answers_outlast_signals = false;
        Ok(())
    }

    /// Counts what is pending after a round that is not the last.
    fn plan_the_rest(&mut self) {
        self.work.end_round();
        self.session.count(&mut self.state);
    }

    /// Whether the steps may be tried again: only while nothing was changed, or if the install fetches by itself and
    /// does the rest when it is run again. A signal is noticed between two installs.
    fn may_retry(&self) -> bool {
        let has_begun = self.work.has_begun();
        let is_safe = !has_begun || self.manager.download(&Plan::default()).is_none();
        is_safe && !self.work.is_retried && (!has_begun || signals::received().is_none())
    }

    /// Prepares that once more, with a newer index.
    fn retry(&mut self, failure: &Failure) -> Result<(), Failure> {
        warn!("{}; refreshing and trying once more", failure.message);
        self.work.is_retried = true;
        self.refresh()
    }

    /// Step 3: always.
    fn refresh(&mut self) -> Result<(), Failure> {
        self.enter("refresh")?;
        let timeout = self.args.freshness.timeout;
        let refreshed = self.session.refresh(&mut self.state, timeout, None);
        save_or_tell(&self.state, &self.lock)?;
        let failed = refreshed.sources.iter().filter(|source| source.error.is_some()).count();
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

    /// Whether this run's refresh reached only some of the sources.
    fn is_index_partial(&self) -> bool {
        self.state.last_outcome() == Some(RefreshOutcome::Partial)
    }
}

/// Step 1: takes the lock, and waits for it as long as `--wait` allows.
fn take_lock(global: &Global, args: &ApplyArgs, until: Instant) -> Result<Lock, Box<Report>> {
    let dir = &global.state_dir;
    let holder = || lock::holder_words(dir);
    let (class, text) = match wait_for_lock(dir, "apply", until, || None, || phase_of(&load(dir))) {
        Ok(Wait::Ours(lock)) => return Ok(lock),
        Err(reason) => return Err(Box::new(Report::refused("apply", reason))),
        Ok(Wait::TooLate | Wait::Needless(())) => {
            let waited = span(args.wait.as_secs() as i64);
            (Class::Lock, format!("{} holds the lock; waited {waited}", holder()))
        }
        Ok(Wait::Signal(signal)) => {
            (Class::Interrupted, format!("{signal} received while waiting for {}", holder()))
        }
    };
    let mut report = Report::new("apply", ExitCode::Failed, text.clone(), load(dir), args.freshness.max_age);
    report.detail = Detail::Apply(Applied::default());
    report.set_error(Failure::new(class, text));
    Err(Box::new(report))
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
