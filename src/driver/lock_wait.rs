//! Waiting for locks of the manager that other processes hold.

use super::Session;
use crate::managers::{Manager, cut_short};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::system::files::remove_if_there;
use crate::system::process::{self, End, Finished, Invocation};
use crate::system::{lock_holders, signals};
use log::{info, warn};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Names the process that holds a lock of the manager that the administrator's configuration has moved.
pub fn moved_lock_holder(manager: &dyn Manager, configuration: &str, cache: &Path) -> Option<String> {
    let facts = manager.facts();
    let mut files = manager.moved_pid_files(configuration);
    if cache != Path::new(facts.cache) {
        let below = facts.pid_files.iter().filter_map(|file| file.strip_prefix(facts.cache));
        files.extend(below.map(|rest| format!("{}{rest}", cache.display())));
    }
    lock_holders::of_pid_files(&files.iter().map(String::as_str).collect::<Vec<_>>())
}

impl Session {
    /// The failure of a command that was stopped by another process's lock before it changed anything. A command that
    /// gave no reason counts too, if somebody holds a lock.
    pub(super) fn stopped_by_lock(&self, invocation: &Invocation, finished: &Finished) -> Option<Failure> {
        if finished.end == End::Waiting {
            return cut_short(invocation, finished);
        }
        let by_itself = matches!(finished.end, End::Code(_)) && !self.manager.install_began(finished);
        let failure = if by_itself { self.manager.classify(finished) } else { None };
        failure.filter(|failure| match failure.class {
            Class::Lock => self.no_place_for_lock().is_none(),
            Class::Other => self.lock_holder().is_some(),
            _ => false,
        })
    }

    /// Names the process that holds one of the manager's locks.
    pub fn lock_holder(&self) -> Option<String> {
        self.manager.facts().lock_holder(&self.lock_files()).or_else(|| self.moved_lock_holder())
    }

    /// Names the process that holds a lock which the administrator has moved.
    fn moved_lock_holder(&self) -> Option<String> {
        if self.manager.facts().pid_files.is_empty() {
            return None;
        }
        moved_lock_holder(self.manager, self.configuration().unwrap_or_default(), &self.places().cache)
    }

    /// The lock files that exist as long as the lock is held: the system's and that of our own index.
    pub(super) fn lock_files(&self) -> Vec<PathBuf> {
        let own = self.own_index.as_ref().map(|own| own.lock());
        self.lock_by_existence().into_iter().chain(own).collect()
    }

    /// The lock file that holds the lock by existing, if the manager has one.
    fn lock_by_existence(&self) -> Option<PathBuf> {
        let facts = self.manager.facts();
        // The places are asked for only here, because that may need another process.
        facts.lock_by_existence.and_then(|_| facts.lock_file(self.places()))
    }

    /// Refuses to wait for a lock file that a killed process left behind. A file that is older than the start of the
    /// machine, as after a power cut, is removed, because nobody can hold it.
    ///
    /// # Errors
    /// When it was left since that start, saying what to do. It is not removed: what the killed manager had
    /// started may still be at work.
    pub fn refuse_left_lock(&self) -> Result<(), Failure> {
        self.refuse_reused_pid()?;
        let name = self.manager.facts().name;
        // Only root sees the open files of other users' processes.
        let is_root = rustix::process::geteuid().is_root();
        let Some(lock) = self.lock_by_existence().filter(|_| is_root) else { return Ok(()) };
        if !lock_holders::is_left(&lock) {
            return Ok(());
        }
        let file = lock.display();
        if lock_holders::is_of_earlier_boot(&lock) {
            remove_if_there(&lock).map_err(Failure::of(Class::Lock))?;
            warn!("{file} is older than the last start of this machine, so that no {name} holds it: removed");
            return Ok(());
        }
        let text = format!(
            "{file} was left behind by a {name} that was killed, no process has it open: if no {name} runs, \
             remove it (rm {file}) and run apply again"
        );
        Err(Failure::new(Class::Lock, text))
    }

    /// Refuses to wait for a process that only happens to have the number that a dead manager left in its lock file.
    ///
    /// # Errors
    /// When there is one, saying what to do.
    pub(super) fn refuse_reused_pid(&self) -> Result<(), Failure> {
        let Some((file, process)) = lock_holders::of_reused_number(self.manager.facts().pid_files) else {
            return Ok(());
        };
        let name = self.manager.facts().name;
        let text = format!(
            "{file} was left behind by a {name} that is gone, and {name} takes {process}, which has its number \
             now, for that: if no {name} runs, remove it (rm {file}) and run this again"
        );
        Err(Failure::new(Class::Lock, text))
    }

    /// Waits until everything is done that a killed manager had started.
    pub fn wait_for_what_goes_on(&self, ended: &Finished) {
        if !matches!(ended.end, End::Signal(_)) {
            return;
        }
        self.wait_for_installer();
        // The script of a package holds no lock.
        if let Some(group) = ended.group.filter(|group| process::has_rest(*group)) {
            info!("{} was killed; waiting for what it had started, which goes on", self.manager.facts().name);
            process::wait_for_rest(group);
        }
    }

    /// Waits for an installer, which holds a lock. As with the install itself, nothing ends it, and there is no time
    /// limit.
    fn wait_for_installer(&self) {
        // An installer that has only just started may not hold the lock yet.
        let until = Instant::now() + Duration::from_millis(500);
        let holder = loop {
            match self.lock_holder() {
                Some(holder) => break holder,
                None if Instant::now() >= until => return,
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        info!("{} was killed; waiting for {holder}, which goes on", self.manager.facts().name);
        // Another process that takes the lock after it does not count.
        while self.lock_holder().as_ref() == Some(&holder) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until nobody holds the manager's locks.
    ///
    /// # Errors
    /// When they are not free in time, naming the holder, or a signal comes.
    pub fn wait_until_free(&self, holder: &str) -> Result<(), Failure> {
        info!("waiting for the lock of {}: {holder}", self.manager.facts().name);
        let busy = Failure::new(Class::Lock, format!("{} is busy", self.manager.facts().name));
        self.wait_for_lock(Some(holder.to_string()), &busy, None)
    }

    /// Waits until nobody holds the manager's locks, as long as the patience and the deadline allow. The time that it
    /// waited is taken from the patience.
    ///
    /// # Errors
    /// When it is still held then, naming the holder, or a signal comes.
    pub(super) fn wait_for_lock(
        &self,
        mut holder: Option<String>,
        stopped_at: &Failure,
        deadline: Option<Instant>,
    ) -> Result<(), Failure> {
        let started = Instant::now();
        let patient_until = started + self.patience.get();
        let until = deadline.map_or(patient_until, |deadline| deadline.min(patient_until));
        // A holder that cannot be seen may be gone at any time: only another try tells.
        let pause = Duration::from_millis(if holder.is_some() { 100 } else { 1000 });
        let result = loop {
            let now = Instant::now();
            if now >= until {
                let who = holder.map(|who| format!(", held by {who}")).unwrap_or_default();
                let text = format!("{}{who}; no more time to wait", stopped_at.message);
                break Err(Failure::new(Class::Lock, text));
            }
            if let Err(signal) = signals::sleep_until(until.min(now + pause)) {
                let text = format!("{signal} received while waiting for a lock");
                break Err(Failure::new(Class::Interrupted, text));
            }
            match self.lock_holder() {
                // A try with no time left would only look like a slow manager.
                None if Instant::now() < until => break Ok(()),
                still => holder = still.or(holder),
            }
        };
        self.patience.set(self.patience.get().saturating_sub(started.elapsed()));
        result
    }
}
