//! What `refresh` and `apply` share: the manager, the display, the log, waiting for locks.

mod answers;
mod caveats;
pub mod display;
mod ended_early;
mod full_disk;
mod in_turn;
mod judge;
pub mod kernels;
mod lists;
pub mod lock_wait;
mod mixed_index;
mod older;
mod one_by_one;
mod own_index;
mod pending;
mod published;
mod questions;
mod reboot;
mod refresh;
pub mod run_log;
mod services;
mod settings;
pub mod settings_files;
pub mod shutdown;
mod unreadable;
mod unrefreshed;

use crate::driver::answers::Answers;
use crate::driver::display::Display;
use crate::driver::run_log::RunLog;
use crate::managers::{Elsewhere, IndexDir, Manager, OwnIndex, Places};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::packages::Installed;
use crate::store::lock::{Lock, Watch};
use crate::store::state::{Configuration, State};
use crate::system::local_time::Latest;
use crate::system::login_session;
use crate::system::process::{self, End, Finished, Glimpse, Invocation, Limits};
use log::{info, warn};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// If a lock stopped earlier tries, a last one that was ended does not count if it had less time than this.
const LAST_TRY: Duration = Duration::from_secs(1);

/// What a list of installed packages shows about those that require a reboot.
#[derive(Debug)]
pub(super) struct Seen {
    /// Fingerprint of the package database and the configuration before the list was read.
    basis: String,
    /// Their names, and when they were installed.
    packages: Vec<(String, i64)>,
}

/// Where a run keeps its state and its log, and how much it shows.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Directory of the state.
    pub state_dir: PathBuf,
    /// Directory of the manager's output.
    pub log_dir: PathBuf,
    /// Whether only warnings are shown.
    pub is_silent: bool,
    /// Whether everything that the manager prints is shown.
    pub is_verbose: bool,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Refreshing the index.
    Refresh,
    /// Installing what is pending. Pending updates are counted again after every refresh, because changes of an index
    /// in an unusual place cannot be seen.
    Apply,
}

impl Purpose {
    /// The command of ours that does it.
    pub fn command(self) -> &'static str {
        match self {
            Purpose::Refresh => "refresh",
            Purpose::Apply => "apply",
        }
    }
}

/// Why a command did not run to its end.
enum NotRun {
    Failed(Failure),
    /// When the lock that the failure names was free, it was too late to begin.
    TooLate(Failure),
}

impl From<Failure> for NotRun {
    fn from(failure: Failure) -> Self {
        NotRun::Failed(failure)
    }
}

/// One run that drives the package manager.
#[derive(Debug)]
pub struct Session {
    /// The manager.
    pub manager: &'static dyn Manager,
    /// Our own lock.
    watch: Watch,
    display: RefCell<Display>,
    log: RunLog,
    /// How long this run may still wait for locks that others hold.
    patience: Cell<Duration>,
    /// When even questions to the manager must have been answered.
    deadline: Option<Instant>,
    /// While set, no signal ends a question to the manager: an install is about to begin, or its result is looked at.
    pub answers_outlast_signals: bool,
    purpose: Purpose,
    /// How much the last listed plan would download, if the manager says it.
    pub download_size: Cell<Option<u64>>,
    /// Whether the last refresh showed that no index that is stored here has advisories.
    has_no_advisories: bool,
    configuration: OnceCell<Option<String>>,
    places: OnceCell<Places>,
    /// The last list of installed packages, with a fingerprint of the package database before it.
    known_installed: RefCell<Option<(String, Rc<Installed>)>>,
    /// What the manager has answered since it last did something.
    answers: RefCell<Answers>,
    /// What the last list of installed packages showed about those that require a reboot.
    reboot_packages_seen: RefCell<Option<Seen>>,
    /// Files made of the index that this run has removed.
    dropped: RefCell<HashSet<PathBuf>>,
    /// The index of our own, for a manager that has one.
    own_index: Option<Box<dyn OwnIndex>>,
    state_dir: PathBuf,
    elsewhere: OnceCell<Elsewhere>,
    /// The manager's answer to the question which sources are configured.
    configured: RefCell<Option<String>>,
    /// The manager's configuration, kept from an earlier answer.
    kept: RefCell<Option<Configuration>>,
    /// The directory of the index at the start of a refresh, and just before the refresh was ended early.
    index_dirs: RefCell<[IndexDir; 2]>,
}

impl Session {
    /// Starts the log and the display of a run; `patience` is how long it may wait, in all, for
    /// locks of the manager.
    pub fn start(
        manager: &'static dyn Manager,
        setup: &Setup,
        purpose: Purpose,
        patience: Duration,
        lock: &Lock,
        state: &State,
    ) -> Session {
        let (log, problem) = RunLog::create(&setup.log_dir, purpose.command());
        if let Some(problem) = problem {
            warn!("{problem:#}; going on without it");
        }
        // The directory exists: our lock is in it. A manager may change its working directory, so it needs an absolute
        // path.
        let state_dir = setup.state_dir.canonicalize().unwrap_or_else(|_| setup.state_dir.clone());
        Session {
            manager,
            watch: lock.watch().clone(),
            display: RefCell::new(Display::new(setup.is_silent, setup.is_verbose && !setup.is_silent)),
            log,
            patience: Cell::new(patience),
            deadline: None,
            answers_outlast_signals: false,
            purpose,
            download_size: Cell::new(None),
            has_no_advisories: false,
            configuration: OnceCell::new(),
            places: OnceCell::new(),
            known_installed: RefCell::new(None),
            answers: RefCell::default(),
            reboot_packages_seen: RefCell::new(None),
            dropped: RefCell::default(),
            own_index: manager.own_index(&state_dir),
            state_dir,
            elsewhere: OnceCell::new(),
            configured: RefCell::default(),
            kept: RefCell::new(state.index.as_ref().and_then(|index| index.configuration.clone())),
            index_dirs: RefCell::default(),
        }
    }

    /// Where the manager's configuration puts things; the usual places if it does not say.
    pub fn places(&self) -> &Places {
        self.places.get_or_init(|| {
            let mut usual = self.manager.facts().usual_places();
            let in_its_place = self.manager.facts().caches.iter().map(PathBuf::from).find(|dir| dir.is_dir());
            if let Some(cache) = self.elsewhere().cache.as_ref().or(in_its_place.as_ref()) {
                usual.cache = cache.clone();
            }
            match self.configuration() {
                Some(text) => self.manager.parse_places(usual, text),
                None => usual,
            }
        })
    }

    /// The manager's configuration, if the manager was asked for it or its files were read.
    pub(super) fn configuration(&self) -> Option<&str> {
        let ask = || {
            let locate = self.manager.locate()?;
            self.kept_configuration(locate).or_else(|| self.ask_and_keep_configuration(locate))
        };
        let read = || match self.manager.facts().settings_in {
            [] => None,
            places => Some(settings_files::text_of(places, &|text| self.manager.elsewhere(text))),
        };
        self.configuration.get_or_init(|| ask().or_else(read)).as_deref()
    }

    /// A refresh or a download with the limits that the administrator has set.
    pub fn with_limits(&self, invocation: Invocation) -> Invocation {
        match self.configuration() {
            Some(text) => self.manager.with_limits(invocation, text),
            None => invocation,
        }
    }

    /// Whether the administrator lets the manager remove packages.
    pub fn may_remove(&self) -> bool {
        self.configuration().is_none_or(|text| self.manager.may_remove(text))
    }

    /// Checks that nothing in the manager's configuration makes it work on another system, or keeps it from installing
    /// anything.
    ///
    /// # Errors
    /// When something does, naming it.
    pub fn is_unhindered(&self, installs: bool) -> Result<(), Failure> {
        let configuration = self.configuration();
        let objection = configuration.and_then(|text| self.manager.objection(text, installs));
        objection.map_or(Ok(()), Err)
    }

    /// How long the manager may be silent in such a command by those limits.
    pub fn longest_silence(&self, invocation: &Invocation) -> Duration {
        self.manager.longest_silence(invocation, self.configuration().unwrap_or_default())
    }

    /// Adds to a failure the updates that stop the others, where only the configuration shows which these are.
    pub fn with_culprits(&self, mut failure: Failure, finished: &Finished) -> Failure {
        if failure.culprits.is_empty() {
            let whole = match self.manager.locate() {
                Some(locate) => self.ask_configuration(locate),
                None => self.configuration().map(str::to_owned),
            };
            let whole = whole.unwrap_or_default();
            failure.culprits = self.manager.culprits_of_sources(&failure, finished, &whole);
        }
        failure
    }

    /// Runs a command of the manager, shown and logged. If another process holds the manager's lock, waits for it and
    /// tries again as long as the patience lasts.
    ///
    /// # Errors
    /// When the command cannot be started, the lock was not free in time, or a signal came.
    pub fn run(
        &mut self,
        label: &'static str,
        invocation: &Invocation,
        limits: &Limits,
    ) -> Result<Finished, Failure> {
        self.run_in_turn(label, invocation, limits, None).map_err(|not_run| match not_run {
            NotRun::Failed(failure) | NotRun::TooLate(failure) => failure,
        })
    }

    /// The same, but begins nothing after `latest`; `None` where that time was over when the lock was free.
    pub fn run_unless_late(
        &mut self,
        label: &'static str,
        invocation: &Invocation,
        limits: &Limits,
        latest: Option<Latest>,
    ) -> Result<Option<Finished>, Failure> {
        match self.run_in_turn(label, invocation, limits, latest) {
            Ok(finished) => Ok(Some(finished)),
            Err(NotRun::TooLate(_)) => Ok(None),
            Err(NotRun::Failed(failure)) => Err(failure),
        }
    }

    fn run_in_turn(
        &mut self,
        label: &'static str,
        invocation: &Invocation,
        limits: &Limits,
        latest: Option<Latest>,
    ) -> Result<Finished, NotRun> {
        self.watch.check()?;
        self.answers.take();
        let mut limits = Limits { waits: self.manager.facts().waiting_for_lock, ..*limits };
        // Nothing of ours may end this command, so the end of a login session must not end it either.
        if !limits.may_end() {
            login_session::leave_session();
            self.known_installed.take();
        }
        let mut told = false;
        let mut waited_for: Option<Failure> = None;
        let mut display = self.display.borrow_mut();
        let mut phase = display.phase(label);
        loop {
            // Who held a lock may have changed the settings.
            let invocation = &self.with_settings(self.with_own_index(invocation))?;
            let could_not_run =
                |error| Failure::new(Class::Other, format!("could not run {}: {error}", invocation.program));
            let at_once = !limits.may_end();
            let capture = self.log.begin(invocation, at_once).map_err(could_not_run)?;
            let manager = self.manager;
            let watch = &mut |glimpse: &Glimpse| {
                if glimpse.is_ending {
                    self.note_before_end();
                }
                phase.show(glimpse, &|line| manager.progress(line));
            };
            let had_no_time = limits.left().is_some_and(|left| left < LAST_TRY);
            let finished = process::run(invocation, &limits, &capture, watch).map_err(could_not_run)?;
            self.log.end(&finished, manager.facts().noise);
            if let Some(left) = self.once_more(&limits, &finished, &phase) {
                limits = left;
                continue;
            }
            let Some(stopped_at) = self.stopped_by_lock(invocation, &finished) else {
                // It only says that the time was spent on waiting.
                return match waited_for.filter(|_| had_no_time && finished.end == End::TimedOut) {
                    Some(lock) => {
                        Err(Failure::new(Class::Lock, format!("{}; no more time to wait", lock.message))
                            .into())
                    }
                    None => Ok(finished),
                };
            };
            self.refuse_left_lock()?;
            self.drop_left_lock()?;
            let holder = self.lock_holder();
            if !told {
                let who = holder.as_deref().unwrap_or(&stopped_at.message);
                phase.suspend(|| info!("waiting for the lock of {}: {who}", self.manager.facts().name));
                told = true;
            }
            self.wait_for_lock(holder, &stopped_at, limits.deadline)?;
            if latest.is_some_and(|latest| latest.is_over()) {
                return Err(NotRun::TooLate(stopped_at));
            }
            waited_for = Some(stopped_at);
        }
    }

    /// Where the manager's output of this run is kept.
    pub fn log_path(&self) -> Option<String> {
        self.log.path().map(|path| path.display().to_string())
    }

    /// Adds the file and line that a failure is about, where only the administrator's configuration shows them. The
    /// manager is not asked for it here: asking it may be what failed.
    fn with_place(&self, failure: Failure) -> Failure {
        let known = self.configuration.get().and_then(Option::as_deref).unwrap_or_default();
        match self.manager.place_of(&failure.message, known) {
            Some(place) => Failure { message: format!("{place}: {}", failure.message), ..failure },
            None => failure,
        }
    }
}
