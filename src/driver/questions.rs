//! Questions to the manager, which change nothing.

use super::Session;
use crate::managers::{Elsewhere, Installed, InstalledPackage, Machine, Places};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::{is_printable, one_line};
use crate::model::updates::Change;
use crate::system::files::exact_fingerprint;
use crate::system::process::{self, Capture, End, Finished, Invocation, Limits};
use crate::system::signals;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

impl Session {
    /// The packages that are installed. They are listed anew if the package database has changed since the last list.
    pub fn installed(&self) -> Result<Rc<Installed>, Failure> {
        self.has_database()?;
        let stamp = self.database_stamp();
        if let Some((_, known)) = self.known_installed.borrow().as_ref().filter(|(known, _)| *known == stamp)
        {
            return Ok(known.clone());
        }
        let installed = Rc::new(self.list_installed()?);
        self.known_installed.replace(Some((stamp, installed.clone())));
        Ok(installed)
    }

    /// A fingerprint of the package database, which changes with whatever a list of it shows.
    fn database_stamp(&self) -> String {
        let elsewhere = self.database_elsewhere();
        let places = self.manager.facts().database_places(&elsewhere);
        let more = places.iter().filter_map(|place| self.manager.database().also_changes(place));
        let more: Vec<_> = more.collect();
        exact_fingerprint(&[places, more.iter().map(String::as_str).collect()].concat())
    }

    fn list_installed(&self) -> Result<Installed, Failure> {
        let places = self.places();
        let basis = self.reboot_basis();
        let database = self.manager.database();
        let invocation = database.list_installed(places);
        let finished = self.ask(&invocation)?;
        let mut installed = database.parse_installed(&finished.stdout, places);
        drop(finished);
        if database.holds_manager() && installed.is_empty() {
            // rpm, which may have several, has none of the usual place.
            let place = match places.database.exists() {
                true => places.database.display().to_string(),
                false => "its package database".to_string(),
            };
            let (program, option) = (invocation.program, &invocation.args[0]);
            let text = format!(
                "{program} {option} lists no package, not even its own; look whether {place} is empty, damaged or moved, \
                 and restore it from a backup"
            );
            return Err(Failure::new(Class::Other, text));
        }
        // If the database is not where we look, nothing can be told.
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
        self.note_reboot_packages(basis, &installed);
        Ok(installed)
    }

    /// Whether no package is half installed, and none of these has its old version still beside the new one.
    pub fn is_whole(&self, changed: &[Change]) -> bool {
        let Ok(installed) = self.installed() else { return false };
        let is_left = |change: &Change| {
            let mut others = installed.get(&change.name).into_iter().flat_map(|package| &package.others);
            change.to.is_some() && others.any(|other| change.from.as_ref() == Some(&other.version))
        };
        !installed.values().any(|package| package.is_broken) && !changed.iter().any(is_left)
    }

    /// Checks that the package database was not lost.
    ///
    /// # Errors
    /// When the package database was lost: to the manager nothing would be pending.
    pub(super) fn has_database(&self) -> Result<(), Failure> {
        let lost = self.manager.database().lost(self.places());
        lost.map_or(Ok(()), |why| Err(Failure::new(Class::Other, why)))
    }

    /// A question to the manager that changes nothing.
    ///
    /// # Errors
    /// When it cannot be asked or gave no answer.
    pub fn ask(&self, invocation: &Invocation) -> Result<Finished, Failure> {
        let basis = self.basis_of_answer(invocation);
        if let Some(known) = basis.as_ref().and_then(|basis| self.answers.borrow().known(invocation, basis)) {
            return Ok(known);
        }
        let finished = self.try_ask(invocation)?;
        if let Some(failure) = self.manager.failure(invocation, &finished) {
            return Err(self.with_place(failure));
        }
        if let Some(basis) = basis {
            self.answers.borrow_mut().keep(invocation, basis, &finished);
        }
        Ok(finished)
    }

    /// A fingerprint of what decides about an answer. `None` where the question names a file or an index of ours, which
    /// may have changed, and as long as it is not known where things are: that is asked too.
    fn basis_of_answer(&self, question: &Invocation) -> Option<String> {
        let Invocation { vars, private_arg, args, .. } = question;
        let ours = self.state_dir.to_string_lossy();
        let reads_ours =
            !vars.is_empty() || private_arg.is_some() || args.iter().any(|arg| arg.contains(&*ours));
        let knows_places = self.places.get().is_some() && self.elsewhere.get().is_some();
        (!reads_ours && knows_places).then(|| format!("{} {}", self.pending_basis(), self.database_stamp()))
    }

    /// The same question; the answer is given also where the manager failed. If even that needs a lock that another
    /// process holds, asks again as long as the patience lasts.
    pub fn try_ask(&self, invocation: &Invocation) -> Result<Finished, Failure> {
        loop {
            let finished = self.answer(invocation)?;
            if self.drop_unreadable(&finished) {
                continue;
            }
            let Some(stopped_at) = self.stopped_by_lock(invocation, &finished) else {
                return Ok(finished);
            };
            self.refuse_reused_pid()?;
            self.drop_left_lock()?;
            self.wait_for_lock(self.lock_holder(), &stopped_at, self.deadline)?;
        }
    }

    /// Asks it once, and waits a minute for the answer, which is returned also where the manager failed.
    pub(super) fn answer(&self, invocation: &Invocation) -> Result<Finished, Failure> {
        self.answer_within(invocation, PATIENCE)
    }

    fn answer_within(&self, invocation: &Invocation, time: Duration) -> Result<Finished, Failure> {
        let invocation = &self.with_settings(self.with_own_index(invocation))?;
        let limits = Limits {
            deadline: self.deadline,
            budget: Some(time),
            interruptible: !self.answers_outlast_signals,
            waits: self.manager.facts().waiting_for_lock,
            ..Limits::default()
        };
        let mut hits = 0;
        loop {
            let finished = self.ask_shown(invocation, &limits).map_err(|error| {
                Failure::new(Class::Other, format!("could not run {}: {error}", invocation.program))
            })?;
            // A signal to our process group, as from a terminal that hangs up, also reaches a child that is still in
            // it. After an install the answer is needed all the same.
            let is_hit = matches!(finished.end, End::Signal(_)) && signals::received().is_some();
            if !is_hit || !self.answers_outlast_signals || hits == 3 {
                return Ok(finished);
            }
            hits += 1;
        }
    }

    /// Asks it, and shows that on a terminal, except within a phase, which has the display.
    fn ask_shown(&self, invocation: &Invocation, limits: &Limits) -> io::Result<Finished> {
        let mut display = self.display.try_borrow_mut().ok();
        let mut phase = display.as_mut().and_then(|display| display.question(invocation.program));
        let capture = Capture::in_memory()?;
        process::run(invocation, limits, &capture, &mut |glimpse| {
            if let Some(phase) = &mut phase {
                phase.show(glimpse, &|_| None);
            }
        })
    }
}

impl Machine for Session {
    fn places(&self) -> &Places {
        self.places()
    }

    fn configuration(&self) -> Option<&str> {
        self.configuration()
    }

    fn elsewhere(&self) -> &Elsewhere {
        self.elsewhere()
    }

    fn ask(&self, question: &Invocation) -> Result<Finished, Failure> {
        self.ask(question)
    }

    fn try_ask(&self, question: &Invocation) -> Result<Finished, Failure> {
        self.try_ask(question)
    }

    fn answer_within(&self, question: &Invocation, time: Duration) -> Option<Finished> {
        self.answer_within(question, time).ok()
    }

    fn ask_in_passing(&self, question: &Invocation) -> Option<Finished> {
        self.answer(question).ok()
    }

    fn ask_if_time(&self, question: &Invocation) -> Option<Finished> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()) / 2);
        self.answer_within(question, left.unwrap_or(PATIENCE).min(PATIENCE)).ok()
    }

    fn has_no_advisories(&self) -> bool {
        self.has_no_advisories
    }

    fn installed(&self) -> Result<Rc<Installed>, Failure> {
        self.installed()
    }
}
