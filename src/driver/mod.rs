//! What `refresh` and `apply` share: the manager, the display, the log, waiting for locks.

mod caveats;
mod cut_off;
pub mod display;
mod full_disk;
mod index;
mod kernels;
mod lock_wait;
mod pending;
mod private;
mod published;
mod reboot;
mod refresh;
pub mod run_log;
mod services;
mod settings;
pub mod settings_files;
pub mod shutdown;
mod unrefreshed;

use crate::driver::display::Display;
use crate::driver::run_log::RunLog;
use crate::driver::settings_files::administrators;
use crate::managers::{Elsewhere, IndexDir, Installed, InstalledPackage, Machine, Manager, Places, Plan};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::text::{is_printable, one_line};
use crate::model::updates::HeldBack;
use crate::store::lock::{Lock, Watch};
use crate::store::state::{Configuration, State};
use crate::system::process::{self, End, Finished, Glimpse, Invocation, Limits};
use crate::system::{login_session, signals};
use log::{info, warn};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// So many updates may be in the way of the others.
const MOST_LEFT_OUT: usize = 100;

/// A try that had to end so soon, after others that a lock has stopped, was none.
const LAST_TRY: Duration = Duration::from_secs(1);

/// What a list of installed packages says of those that require a reboot.
#[derive(Debug)]
pub(super) struct Seen {
    /// Of the package database and the configuration, before the list was read.
    basis: String,
    /// Their names, and when they were installed.
    packages: Vec<(String, i64)>,
}

/// Which file of the index is which, before a refresh: one that the manager stores is another file.
type Stored = BTreeMap<String, (u64, i64, i64)>;

/// Where a run keeps what it remembers, and what it shows.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Directory of the state.
    pub state_dir: PathBuf,
    /// Directory of the manager's output.
    pub log_dir: PathBuf,
    /// Whether nothing is shown but warnings.
    pub is_silent: bool,
    /// Whether all that the manager prints is shown.
    pub is_verbose: bool,
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
    /// Set when packages were changed: from then on no signal stops the looking at the result.
    pub committed: bool,
    /// Set where what is pending is to be installed: then it is counted anew after every refresh.
    /// What others did to an index in an unusual place cannot be seen.
    pub counts_anew: bool,
    configuration: OnceCell<Option<String>>,
    places: OnceCell<Places>,
    /// What the last list of installed packages said of those that require a restart.
    restart_seen: RefCell<Option<Seen>>,
    /// Where the manager's private index is, for one that has it.
    private_dir: Option<PathBuf>,
    /// The files of that index before the refresh.
    index_before: RefCell<Stored>,
    state_dir: PathBuf,
    elsewhere: OnceCell<Elsewhere>,
    /// What the manager said of the sources that are configured.
    configured: RefCell<Option<String>>,
    /// The manager's configuration as it said it before.
    kept: RefCell<Option<Configuration>>,
    /// The directory of the index at the start of a refresh, and just before it was ended early.
    index_dirs: RefCell<[IndexDir; 2]>,
}

/// Where the private index is. The state directory is there: our lock is in it. The manager may change its working
/// directory, and needs a path that holds wherever it is.
fn private_dir(manager: &dyn Manager, state_dir: &Path) -> Option<PathBuf> {
    let private = manager.private()?;
    Some(state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_path_buf()).join(private.dir))
}

impl Session {
    /// Starts the log and the display of a run; `patience` is how long it may wait, in all, for
    /// locks of the manager.
    pub fn start(
        manager: &'static dyn Manager,
        setup: &Setup,
        command: &str,
        patience: Duration,
        lock: &Lock,
        state: &State,
    ) -> Session {
        let (log, problem) = RunLog::create(&setup.log_dir, command);
        if let Some(problem) = problem {
            warn!("{problem:#}; going on without it");
        }
        Session {
            manager,
            watch: lock.watch().clone(),
            display: RefCell::new(Display::new(setup.is_silent, setup.is_verbose && !setup.is_silent)),
            log,
            patience: Cell::new(patience),
            deadline: None,
            committed: false,
            counts_anew: false,
            configuration: OnceCell::new(),
            places: OnceCell::new(),
            restart_seen: RefCell::new(None),
            private_dir: private_dir(manager, &setup.state_dir),
            index_before: RefCell::default(),
            state_dir: setup.state_dir.canonicalize().unwrap_or_else(|_| setup.state_dir.clone()),
            elsewhere: OnceCell::new(),
            configured: RefCell::default(),
            kept: RefCell::new(state.index.as_ref().and_then(|index| index.configuration.clone())),
            index_dirs: RefCell::default(),
        }
    }

    /// Where the manager's configuration puts things; the usual places when it does not say.
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

    /// The manager's configuration, as far as it is asked for or read; none where it does not say.
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

    /// Checks that nothing in the manager's configuration makes it speak of another system, or keeps it
    /// from installing anything.
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
        let settings = || self.manager.settings().and_then(|settings| administrators(&settings).ok());
        let text = self.configuration().map(str::to_owned).or_else(settings).unwrap_or_default();
        self.manager.longest_silence(invocation, &text)
    }

    /// A failure with the updates that the configuration shows to be in the way.
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

    /// Runs a command of the manager, shown and logged; when another process holds the manager's
    /// lock, waits for it and tries again while its patience lasts.
    ///
    /// # Errors
    /// When the command cannot be started, the lock was not free in time, or a signal came.
    pub fn run(
        &mut self,
        label: &'static str,
        invocation: &Invocation,
        limits: &Limits,
    ) -> Result<Finished, Failure> {
        self.watch.check()?;
        let limits = &Limits { waits: self.manager.facts().waiting_for_lock, ..*limits };
        // What nothing of ours may end, the end of a login session must not end either.
        if !limits.may_end() {
            login_session::leave_session();
        }
        let mut told = false;
        let mut waited_for: Option<Failure> = None;
        let invocation = &self.with_settings(self.with_private_arg(invocation))?;
        let mut display = self.display.borrow_mut();
        let mut phase = display.phase(label);
        loop {
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
            let finished = process::run(invocation, limits, &capture, watch).map_err(could_not_run)?;
            self.log.end(&finished);
            self.drop_unreadable(&finished);
            let Some(stopped_at) = self.stopped_by_lock(invocation, &finished) else {
                let had_no_time = finished.end == End::TimedOut && finished.elapsed < LAST_TRY;
                // It says nothing but that the time was spent on waiting.
                return match waited_for.filter(|_| had_no_time) {
                    Some(lock) => {
                        Err(Failure::new(Class::Lock, format!("{}; no more time to wait", lock.message)))
                    }
                    None => Ok(finished),
                };
            };
            self.nobody_left_its_lock()?;
            let holder = self.lock_holder();
            if !told {
                let who = holder.as_deref().unwrap_or(&stopped_at.message);
                phase.suspend(|| info!("waiting for the lock of {}: {who}", self.manager.facts().name));
                told = true;
            }
            self.wait_for_lock(holder, &stopped_at, limits.deadline)?;
            waited_for = Some(stopped_at);
        }
    }

    /// Where the manager's output of this run is kept.
    pub fn log_path(&self) -> Option<String> {
        self.log.path().map(|path| path.display().to_string())
    }

    /// Lists what a plan would install.
    ///
    /// # Errors
    /// When the manager cannot list it.
    pub fn list(&self, plan: &Plan) -> Result<Listing, Failure> {
        let finished = self.ask(&self.manager.list(plan))?;
        self.with_installed(self.manager.parse_list(&finished.stdout))
    }

    /// Every newer version as an update, for managers that list nothing where one cannot be had.
    ///
    /// # Errors
    /// When the manager cannot list them.
    pub fn newer_versions(&self) -> Result<Listing, Failure> {
        let newer = self.manager.newer(self)?;
        let updates = newer.into_iter().filter_map(HeldBack::into_update).collect();
        Listing { updates, ..Listing::default() }.checked()
    }

    /// Lists what is pending, of the sources that were refreshed.
    ///
    /// # Errors
    /// When the manager cannot list it.
    fn pending(&self, state: &State) -> Result<Listing, Failure> {
        self.has_database()?;
        let mut plan = self.choice(state)?;
        let mut left_out: Vec<HeldBack> = Vec::new();
        let mut is_each_tried = false;
        // Where one update is in the way of all, the others are pending all the same.
        let finished = loop {
            let failure = match self.ask(&self.manager.pending(&plan)) {
                Ok(finished) => break finished,
                Err(failure) => failure,
            };
            if self.lacks_index(&plan.without) {
                return self.newer_than_installed();
            }
            let is_known = |held: &HeldBack| plan.left_out.contains(&held.name);
            let mut new: Vec<_> = failure.culprits.iter().filter(|held| !is_known(held)).cloned().collect();
            if new.is_empty() && failure.class == Class::Dependency && !is_each_tried {
                is_each_tried = true;
                new = self.impossible_by_themselves(&plan)?;
            }
            if new.is_empty() || left_out.len() >= MOST_LEFT_OUT {
                return Err(failure);
            }
            left_out.extend(new);
            plan.left_out = left_out.iter().map(|held| held.name.clone()).collect();
        };
        let mut listing = self.manager.parse_pending(&finished.stdout).checked()?;
        listing.held_back.extend(left_out);
        // A package database that is gone looks like one with nothing to do.
        if self.manager.database().holds_manager() && listing.is_empty() {
            self.installed()?;
        }
        let listing = self.told_more(listing, &plan)?;
        self.without_owned(listing, state, &plan)
    }

    /// The updates that cannot even be installed alone, for a manager that does not name the one which
    /// is in the way of all.
    ///
    /// # Errors
    /// When the manager cannot list what is newer.
    fn impossible_by_themselves(&self, plan: &Plan) -> Result<Vec<HeldBack>, Failure> {
        let newer = match self.manager.facts().only_whole {
            None => self.manager.newer(self)?,
            Some(_) => Vec::new(),
        };
        let names = |held: &HeldBack| std::slice::from_ref(&held.name).to_vec();
        let tried = newer.into_iter().filter(|held| !plan.left_out.contains(&held.name)).take(MOST_LEFT_OUT);
        let impossible = tried.filter_map(|held| {
            let failure = self.ask(&self.manager.list_needs(plan, &names(&held))).err()?;
            let is_it = failure.class == Class::Dependency;
            is_it.then_some(HeldBack { reason: failure.message, class: Some(failure.class), ..held })
        });
        Ok(impossible.collect())
    }

    /// Adds to a list of what is pending what the manager says only when it is asked for it.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn told_more(&self, listing: Listing, plan: &Plan) -> Result<Listing, Failure> {
        self.manager.complete(self, plan, listing)?.checked()
    }

    /// Checks a list of the manager's, and fills in the installed versions where it lacks them.
    ///
    /// # Errors
    /// When the list cannot be one, or the manager cannot say what is installed.
    pub fn with_installed(&self, listing: Listing) -> Result<Listing, Failure> {
        let mut listing = listing.checked()?;
        let lacks = listing.updates.iter().any(|update| update.installed.is_none())
            || listing.held_back.iter().any(|held| held.installed.is_none());
        if self.manager.facts().lists_installed || !lacks {
            return Ok(listing);
        }
        let installed = self.installed()?;
        let version = |name: &str| installed.get(name).map(|package| package.version.clone());
        for update in &mut listing.updates {
            update.installed = version(&update.name);
        }
        for held in &mut listing.held_back {
            held.installed = version(&held.name);
        }
        Ok(listing)
    }

    /// The packages that are installed.
    ///
    /// # Errors
    /// When the manager cannot list them.
    pub fn installed(&self) -> Result<Installed, Failure> {
        self.has_database()?;
        let places = self.places();
        let basis = self.restart_basis();
        let database = self.manager.database();
        let invocation = database.list_installed(places);
        let finished = self.ask(&invocation)?;
        let mut installed = database.parse_installed(&finished.stdout, places);
        if database.holds_manager() && installed.is_empty() {
            let text = format!("{} lists no package, not even itself", invocation.line());
            let place = places.database.display();
            return Err(Failure::new(
                Class::Other,
                format!("{text}; look whether {place} is what it should be"),
            ));
        }
        // Where the database is not where we look for it nothing can be told.
        for (name, package) in installed.iter_mut().filter(|_| places.database.is_dir()) {
            let Some(entry) = database.entry(name, &package.version) else { break };
            let file = places.database.join(entry);
            package.is_broken |= std::fs::metadata(file).map_or(true, |meta| meta.len() == 0);
        }
        let is_fit = |text: &str| text.chars().all(is_printable);
        if !installed.iter().all(|(name, package)| is_fit(name) && is_fit(&package.version)) {
            let tidy = |(name, package): (String, InstalledPackage)| {
                (one_line(&name), InstalledPackage { version: one_line(&package.version), ..package })
            };
            installed = installed.into_iter().map(tidy).collect();
        }
        self.note_for_restart(basis, &installed);
        Ok(installed)
    }

    /// # Errors
    /// When the package database was lost: to the manager nothing would be pending.
    fn has_database(&self) -> Result<(), Failure> {
        let lost = self.manager.database().lost(self.places());
        lost.map_or(Ok(()), |why| Err(Failure::new(Class::Other, why)))
    }

    /// A question to the manager that changes nothing.
    ///
    /// # Errors
    /// When it cannot be asked or gave no answer.
    pub fn ask(&self, invocation: &Invocation) -> Result<Finished, Failure> {
        let finished = self.question(invocation)?;
        match self.manager.failure(invocation, &finished) {
            Some(failure) => Err(self.with_place(failure)),
            None => Ok(finished),
        }
    }

    /// With the file and line it is about, where only the administrator's configuration tells. That is not asked
    /// for here: asking it may have failed.
    fn with_place(&self, failure: Failure) -> Failure {
        let known = self.configuration.get().and_then(Option::as_deref).unwrap_or_default();
        match self.manager.place_of(&failure.message, known) {
            Some(place) => Failure { message: format!("{place}: {}", failure.message), ..failure },
            None => failure,
        }
    }

    /// Asks it. Where even that needs a lock that another process holds, it is asked again while
    /// patience lasts.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn question(&self, invocation: &Invocation) -> Result<Finished, Failure> {
        loop {
            let finished = self.answer(invocation)?;
            let Some(stopped_at) = self.stopped_by_lock(invocation, &finished) else {
                return Ok(finished);
            };
            self.no_number_is_reused()?;
            self.wait_for_lock(self.lock_holder(), &stopped_at, self.deadline)?;
        }
    }

    /// Asks it once; a minute for the answer, whatever that is worth.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn answer(&self, invocation: &Invocation) -> Result<Finished, Failure> {
        let invocation = &self.with_settings(self.with_private_arg(invocation))?;
        let limits = Limits {
            deadline: self.deadline,
            budget: Some(Duration::from_secs(60)),
            interruptible: !self.committed,
            waits: self.manager.facts().waiting_for_lock,
            ..Limits::default()
        };
        let mut hits = 0;
        loop {
            let finished = process::ask(invocation, &limits).map_err(|error| {
                Failure::new(Class::Other, format!("could not run {}: {error}", invocation.program))
            })?;
            // What is sent to our group, as by a terminal that hangs up, reaches a child that has not
            // left it yet. After an install the answer is needed all the same.
            let is_hit = matches!(finished.end, End::Signal(_)) && signals::received().is_some();
            if !is_hit || !self.committed || hits == 3 {
                return Ok(finished);
            }
            hits += 1;
        }
    }
}

impl Machine for Session {
    fn places(&self) -> &Places {
        self.places()
    }

    fn elsewhere(&self) -> &Elsewhere {
        self.elsewhere()
    }

    fn ask(&self, question: &Invocation) -> Result<Finished, Failure> {
        self.ask(question)
    }

    fn try_ask(&self, question: &Invocation) -> Result<Finished, Failure> {
        self.question(question)
    }

    fn installed(&self) -> Result<Installed, Failure> {
        self.installed()
    }
}
