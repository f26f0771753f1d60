//! The private index of a manager whose own must not become newer than the packages.

use super::{Session, Stored};
use crate::managers::{Elsewhere, Plan, Private};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::model::text::one_line;
use crate::model::updates::{HeldBack, Update};
use crate::store::state::State;
use crate::system::files::{
    fingerprint, own_directory, own_link, remove_if_there, remove_whatever, write_atomic,
};
use crate::system::lock_holders;
use crate::system::process::{End, Finished, Invocation};
use log::warn;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

fn failed(error: anyhow::Error) -> Failure {
    Failure::new(Class::Config, format!("{error:#}"))
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Gives the files of an index a time so old that a program which compares times fetches them all again: a file
/// that it leaves as it is then tells that it fetched nothing. Halves of files go, which it might go on with.
fn make_old(index: &Path) {
    for path in files_in(index) {
        let is_half = path.extension().is_some_and(|end| end == "part");
        let done = match is_half {
            true => remove_if_there(&path),
            false => File::options()
                .write(true)
                .open(&path)
                .and_then(|file| file.set_modified(UNIX_EPOCH))
                .map_err(Into::into),
        };
        if let Err(error) = done {
            warn!("{}", one_line(&format!("{}: {error:#}", path.display())));
        }
    }
}

/// Removes the directories among places in our directory where files are to be.
fn drop_directories(among: &[PathBuf]) -> Result<(), Failure> {
    let is_directory = |path: &&PathBuf| path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    among.iter().filter(is_directory).try_for_each(|path| remove_whatever(path).map_err(failed))
}

/// Removes a file in our directory where a directory is to be.
fn drop_file(place: &Path) -> Result<(), Failure> {
    let is_file = place.symlink_metadata().is_ok_and(|meta| meta.is_file());
    if is_file { remove_whatever(place).map_err(failed) } else { Ok(()) }
}

impl Session {
    fn private(&self) -> Option<(&'static Private, &Path)> {
        self.manager.private().zip(self.private_dir.as_deref())
    }

    /// The command with the directory in its arguments, if it takes it.
    pub(super) fn with_private_arg(&self, invocation: &Invocation) -> Invocation {
        let mut invocation = invocation.clone();
        if let (Some(arg), Some(dir)) = (invocation.private_arg.take(), &self.private_dir) {
            invocation.args.insert(0, arg.replace("{}", &dir.display().to_string()));
        }
        invocation
    }

    /// Makes the directory, its link to the packages of the system, and takes away what a manager that
    /// was killed left in it.
    ///
    /// # Errors
    /// When something else is in the way.
    pub(super) fn prepare_private(&self, config_changed: bool) -> Result<(), Failure> {
        let Some((private, dir)) = self.private() else { return Ok(()) };
        own_directory(dir).map_err(failed)?;
        let link = dir.join(private.link);
        let usual = self.manager.facts().usual_places().database;
        // The manager is asked only where there may be another answer than the last time: that is
        // another process.
        let is_usual = std::fs::read_link(&link).is_ok_and(|target| target == usual);
        if config_changed || !is_usual {
            own_link(&link, &self.places().database).map_err(failed)?;
        }
        let index = dir.join(private.index);
        drop_file(&index)?;
        drop_directories(&files_in(&index))?;
        // Nobody else works here while we have our lock, but for a manager that has outlived its
        // linux-patch.
        let lock = dir.join(private.lock);
        if lock.exists() && lock_holders::of_open_files(std::slice::from_ref(&lock)).is_none() {
            remove_whatever(&lock).map_err(failed)?;
        }
        if !self.configuration().is_some_and(private.fetches_by_itself) {
            make_old(&index);
        }
        self.index_before.replace(self.stored());
        Ok(())
    }

    /// The files of the index, as they are now.
    fn stored(&self) -> Stored {
        let Some((private, dir)) = self.private() else { return Stored::new() };
        let entries = std::fs::read_dir(dir.join(private.index)).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            Some((entry.file_name().into_string().ok()?, (meta.ino(), meta.ctime(), meta.ctime_nsec())))
        });
        files.collect()
    }

    /// What a refresh did that was ended before its time, for a manager with a private index: what it has
    /// stored counts. Of the others it has said nothing; one that it was at work with is named.
    pub(super) fn stored_before(&self, cut: &Failure) -> Option<Vec<SourceResult>> {
        let (private, _) = self.private()?;
        let config = self.ask(&(private.ask_config)()).ok()?;
        let (before, now) = (self.index_before.borrow(), self.stored());
        let is_new = |file: &str| now.get(file).is_some_and(|stored| before.get(file) != Some(stored));
        let results = (private.sources)(&config.stdout).into_iter().map(|id| {
            let file = (private.file)(&id);
            let at_work = || {
                let text = format!("{id}: not done when {} was ended", self.manager.facts().name);
                Failure::new(cut.class, text)
            };
            let error = match (is_new(&file), is_new(&format!("{file}.part"))) {
                (true, _) => None,
                (false, true) => Some(at_work()),
                (false, false) => Some(cut.clone()),
            };
            SourceResult { id, error }
        });
        Some(results.collect())
    }

    /// Adds the sources of the configuration that the refresh did not name: a manager that leaves the
    /// fetching to another program names none. Those whose files that program has stored were refreshed,
    /// whatever it exits with, and the first of the others is the one that failed.
    fn complete_ledger(&self, refreshed: &mut Refreshed, finished: &Finished) {
        let Some((private, _)) = self.private() else { return };
        if refreshed.outcome == RefreshOutcome::Fresh {
            return;
        }
        let is_well = finished.end == End::Code(0) && self.manager.classify(finished).is_none();
        let config = match self.ask(&(private.ask_config)()) {
            Ok(config) => config,
            Err(failure) if is_well => {
                let text = format!("could not list the repositories: {}", failure.message);
                *refreshed = Refreshed::failed(Vec::new(), Failure::new(failure.class, text));
                return;
            }
            Err(_) => return,
        };
        let ids = (private.sources)(&config.stdout);
        if is_well && !ids.is_empty() {
            *refreshed = Refreshed { outcome: RefreshOutcome::Fresh, error: None, ..refreshed.clone() };
        }
        let of_all = refreshed.error.clone().filter(|_| refreshed.sources.is_empty());
        for (id, failure) in of_all.iter().flat_map(|failure| (private.blamed)(failure, &config.stdout)) {
            if refreshed.sources.is_empty() {
                refreshed.error = Some(failure.clone());
            }
            refreshed.sources.push(SourceResult { id, error: Some(failure) });
        }
        let nothing_stored = |id: &str| {
            let text = format!("{id}: {} stored no index, and says that all is well", private.fetcher);
            Failure::new(Class::Fetch, text)
        };
        let (before, now) = (self.index_before.borrow(), self.stored());
        let is_stored = |id: &str| {
            let file = (private.file)(id);
            now.get(&file).is_some_and(|stored| before.get(&file) != Some(stored))
        };
        let mut first = !refreshed.sources.iter().any(|source| source.error.is_some());
        for id in ids {
            if refreshed.sources.iter().any(|source| source.id == id) {
                continue;
            }
            let failure = |error: &Failure| {
                let why = if std::mem::take(&mut first) { "" } else { "not refreshed after this failure: " };
                Failure::new(error.class, format!("{id}: {why}{}", error.message))
            };
            let error = (!is_stored(&id))
                .then(|| refreshed.error.as_ref().map_or_else(|| nothing_stored(&id), failure));
            refreshed.sources.push(SourceResult { id, error });
        }
        if is_well || refreshed.sources.iter().any(|source| source.error.is_none()) {
            refreshed.judge_again();
        }
    }

    /// Everything whose change can change what is pending, as a fingerprint.
    pub(super) fn pending_basis(&self) -> String {
        let cache = self.places().cache.display().to_string();
        let in_place = |path: &str| match path.strip_prefix(self.manager.facts().cache) {
            Some(rest) => format!("{cache}{rest}"),
            None => path.to_string(),
        };
        let mut paths: Vec<String> = self.manager.facts().pending_basis().into_iter().map(in_place).collect();
        let Elsewhere { sources, index, .. } = self.elsewhere();
        paths.extend(sources.iter().chain(index).cloned());
        if let Some((private, dir)) = self.private() {
            paths.push(dir.join(private.index).display().to_string());
            paths.push(format!("{}/", dir.join(private.link).display()));
        }
        fingerprint(&paths.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Looks whether what was fetched is an index at all: a manager that only stores it does not.
    /// Where nothing has changed since it was read it is not read again. Reading it gives the list of
    /// what is pending.
    pub(super) fn read_private(
        &self,
        finished: &Finished,
        refreshed: &mut Refreshed,
        state: &State,
    ) -> Option<Listing> {
        let (private, dir) = self.private()?;
        self.complete_ledger(refreshed, finished);
        if refreshed.outcome == RefreshOutcome::Failed {
            return None;
        }
        let size_of = |id: &str| {
            let file = dir.join(private.index).join((private.file)(id));
            file.metadata().ok().map(|meta| meta.len())
        };
        let got = refreshed.sources.iter().filter(|source| source.error.is_none());
        let bad = got.filter_map(|source| {
            let what = match size_of(&source.id) {
                None => "missing",
                Some(0) => "empty",
                Some(_) => return None,
            };
            let text = format!("{}: its index is {what}", source.id);
            Some(SourceResult { id: source.id.clone(), error: Some(Failure::new(Class::Fetch, text)) })
        });
        let mut bad: Vec<_> = bad.collect();
        let read = state.pending.as_ref().and_then(|pending| pending.basis.as_ref());
        let mut listing = None;
        if read != Some(&self.pending_basis()) {
            let invocation = self.manager.pending(&Plan::default());
            // Why it could not be asked is said where it is asked again.
            if let Ok(finished) = self.question(&invocation) {
                bad.extend((private.unreadable)(&finished));
                let is_whole = bad.is_empty() && self.manager.failure(&invocation, &finished).is_none();
                listing = is_whole.then(|| self.manager.parse_pending(&finished.stdout));
                // A package database that is gone looks like one with nothing to do: that is said where
                // it is asked again.
                listing = listing.filter(|listing| !listing.is_empty() || self.installed().is_ok());
            }
        }
        self.drop_index_of(&bad);
        for failed in bad {
            match refreshed.sources.iter_mut().find(|source| source.id == failed.id) {
                // Why it was not fetched says more than that it is not there.
                Some(source) => source.error = source.error.take().or(failed.error),
                None => refreshed.sources.push(failed),
            }
        }
        refreshed.judge_again();
        listing
    }

    /// Whether there is no index of one of these sources: then the manager lists no upgrade at all.
    pub(super) fn lacks_index(&self, sources: &[String]) -> bool {
        let Some((private, dir)) = self.private() else { return false };
        sources.iter().any(|id| !dir.join(private.index).join((private.file)(id)).exists())
    }

    /// What is newer than what is installed, of the sources that have an index: an upgrade could do
    /// more, or less, but none is possible before all have.
    ///
    /// # Errors
    /// When the manager cannot list it.
    pub(super) fn newer_than_installed(&self) -> Result<Listing, Failure> {
        let newer = self.manager.newer(self)?;
        let (held_back, updates): (Vec<_>, Vec<_>) =
            newer.into_iter().partition(|newer| newer.reason == "held");
        let updates = updates.into_iter().filter_map(HeldBack::into_update).collect();
        Listing { updates, held_back, ..Listing::default() }.checked()
    }

    /// Removes the files of the private index that a command could not read.
    pub(super) fn drop_unreadable(&self, finished: &Finished) {
        if let Some((private, _)) = self.private() {
            self.drop_index_of(&(private.unreadable)(finished));
        }
    }

    /// Left there, they would be taken for new as long as the source has nothing newer.
    fn drop_index_of(&self, sources: &[SourceResult]) {
        let Some((private, dir)) = self.private() else { return };
        let names = sources.iter().map(|source| (private.file)(&source.id));
        for name in names.filter(|name| !name.contains('/')) {
            if let Err(error) = remove_if_there(&dir.join(private.index).join(name)) {
                warn!("{}", one_line(&format!("{error:#}")));
            }
        }
    }

    /// The updates whose signatures, as downloaded, are by keys that a download missed: it names the keys
    /// alone.
    pub fn signed_with_missing_keys(&self, downloaded: &Finished, planned: &Listing) -> Vec<HeldBack> {
        let Some((private, _)) = self.private() else { return Vec::new() };
        let keys = (private.missing_keys)(downloaded);
        let config =
            Some(()).filter(|()| !keys.is_empty()).and_then(|()| self.ask(&(private.ask_config)()).ok());
        let Some(config) = config else { return Vec::new() };
        let bytes_of = |key: &String| u64::from_str_radix(key, 16).map(u64::to_be_bytes).ok();
        let downloads = (private.downloads)(&config.stdout);
        let mut found = Vec::new();
        for path in downloads.iter().flat_map(|dir| files_in(dir)) {
            let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".sig"));
            let Some(package) = name.and_then(private.package_of) else { continue };
            let is_it = |update: &&Update| package == format!("{}-{}", update.name, update.candidate);
            let Some(update) = planned.updates.iter().find(is_it) else { continue };
            let signature = std::fs::read(&path).unwrap_or_default();
            let is_by =
                |key: &&String| bytes_of(key).is_some_and(|key| signature.windows(8).any(|part| part == key));
            if let Some(key) = keys.iter().find(is_by) {
                let reason = format!("its signature is by the key {key}, which is not in the keyring");
                found.push(HeldBack { class: Some(Class::Auth), ..update.clone().held_back(&reason) });
            }
        }
        found
    }

    /// Writes the configuration with which the install gets the very index that the download used, and
    /// the packages: where a signature of one is optional and not there, pacman fetches it once more.
    /// One directory has both, since pacman asks no server any more that had three files too few.
    ///
    /// # Errors
    /// When the manager cannot say what its configuration is, or ours cannot be written.
    pub fn offer_private(&self, planned: &Listing) -> Result<(), Failure> {
        let Some((private, dir)) = self.private() else { return Ok(()) };
        let config = self.ask(&(private.ask_config)())?;
        let mirror = dir.join(private.mirror);
        drop_file(&mirror)?;
        own_directory(&mirror).map_err(failed)?;
        for old in files_in(&mirror) {
            remove_whatever(&old).map_err(failed)?;
        }
        drop_directories(&[dir.join(private.config)])?;
        let is_planned = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(private.package_of);
            name.is_some_and(|package| {
                let is_it = |update: &Update| package == format!("{}-{}", update.name, update.candidate);
                planned.updates.iter().any(is_it)
            })
        };
        let downloads = (private.downloads)(&config.stdout);
        let packages = downloads.iter().flat_map(|dir| files_in(dir)).filter(is_planned);
        for path in files_in(&dir.join(private.index)).into_iter().chain(packages) {
            let link = path.file_name().map(|name| mirror.join(name));
            link.map_or(Ok(()), |link| own_link(&link, &path)).map_err(failed)?;
        }
        let text = (private.make_config)(&config.stdout, &mirror);
        write_atomic(dir, private.config, text.as_bytes())
            .map_err(|error| Failure::new(Class::Space, format!("{error:#}")))
    }
}
