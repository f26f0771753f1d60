//! The verdict on a refresh that ended by itself, and where its index is. A refresh that was ended early is judged in
//! `ended_early`.

use super::Session;
use crate::managers::SourceList;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::store::state::{Index, State};
use crate::system::files::{entries, exact_fingerprint, remove_if_there, remove_or_warn};
use crate::system::process::{Finished, Invocation};
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How many directories below the cache an index can be.
const DEPTH: usize = 5;

/// More files of an index than this are never damaged at once.
const MOST_DROPPED: usize = 100;

/// A file of the index that the manager could not read.
struct Damaged {
    name: String,
    words: String,
    /// Whether it was there before the refresh.
    is_old: bool,
}

impl Session {
    /// What a refresh did that ended by itself. Where the manager's output does not tell, the manager is asked. Its
    /// answer may also list what is pending.
    pub(super) fn judge(&self, finished: &Finished, state: &State) -> (Refreshed, Option<Listing>) {
        let dropped = self.drop_damaged(finished);
        let mut refreshed = self.manager.judge(finished);
        if let Some(configured) = self.manager.configured() {
            if !self.is_as_known(&refreshed, state) {
                if let Some(answer) = self.ask_configured() {
                    refreshed = configured.judge(finished, &answer);
                }
            }
        }
        self.blame_for_damaged(dropped, &mut refreshed);
        let found = [
            self.look_again(finished, &mut refreshed),
            self.find_gone(&mut refreshed, state),
            self.find_passed_over(finished, &mut refreshed),
        ];
        if found.contains(&true) {
            refreshed.judge_again();
        }
        if refreshed.outcome != RefreshOutcome::Fresh {
            self.add_sources_not_come_to(&mut refreshed);
        }
        let listed = self.check_own_index(finished, &mut refreshed, state);
        self.add_expired(&mut refreshed);
        self.tell_full_disks(&mut refreshed);
        (refreshed, listed)
    }

    /// Removes files that make the whole index useless, after a power cut or where a repository publishes nonsense. The
    /// manager takes them for unchanged, and would fail as long as they are there.
    fn drop_damaged(&self, finished: &Finished) -> Vec<Damaged> {
        let Some(configured) = self.manager.configured() else { return Vec::new() };
        let mut dropped: Vec<Damaged> = Vec::new();
        let mut damaged = configured.unreadable(finished);
        while let Some((file, words)) = damaged.take() {
            // Other files that it cannot read, such as its package database, are not ours to remove.
            let inode = std::fs::metadata(&file).map(|meta| meta.ino());
            let (Some(dir), Some(name), Ok(inode)) = (file.parent(), file.file_name(), inode) else { break };
            let name = name.to_string_lossy().into_owned();
            let is_old = self.index_dirs.borrow()[0].get(&name).is_some_and(|file| file.inode == inode);
            let is_index = dir == self.places().cache && dropped.len() < MOST_DROPPED;
            if !is_index || remove_if_there(&file).is_err() {
                break;
            }
            dropped.push(Damaged { name, words, is_old });
            // It names them one by one.
            damaged = self.try_ask(&configured.ask()).ok().and_then(|next| configured.unreadable(&next));
        }
        dropped
    }

    /// Blames a source for a damaged file. If the file came just now, the other sources can be used again. If it was
    /// there before, this refresh did not use any source, and the next one fetches the file again.
    fn blame_for_damaged(&self, dropped: Vec<Damaged>, refreshed: &mut Refreshed) {
        let Some(configured) = self.manager.configured().filter(|_| !dropped.is_empty()) else { return };
        let Some(answer) = self.configured_as_known() else { return };
        let files = configured.files_of_each(&answer);
        // The file that lists the others stops only its source.
        let stops_all = |name: &str| !self.manager.ended_early().is_some_and(|early| early.is_list(name));
        let is_old = dropped.iter().any(|file| file.is_old && stops_all(&file.name));
        for Damaged { name, words, .. } in dropped {
            let is_its =
                |source: &&mut SourceResult| files.get(&source.id).is_some_and(|files| files.contains(&name));
            if let Some(source) = refreshed.sources.iter_mut().find(is_its) {
                let text = format!("{words}; it was removed, the next refresh fetches it anew");
                let failure = Failure::new(Class::Fetch, text);
                if is_old {
                    (refreshed.outcome, refreshed.error) = (RefreshOutcome::Failed, Some(failure.clone()));
                }
                source.error = Some(failure);
            }
        }
        if !is_old {
            refreshed.error = None;
            refreshed.judge_again();
        }
    }

    /// Finds out whether a file that came is the source's own, where the refresh leaves that open. Returns whether a
    /// source failed by that.
    fn look_again(&self, finished: &Finished, refreshed: &mut Refreshed) -> bool {
        let Some(configured) = self.manager.configured() else { return false };
        let mut is_found = false;
        for (id, invocation) in configured.doubts(finished) {
            let failure =
                self.fetch_again(&invocation, |answer, _| configured.is_others(&invocation.args, answer));
            let source = refreshed.sources.iter_mut().find(|source| source.id == id);
            if let (Some(failure), Some(source)) = (failure, source) {
                source.error.get_or_insert(failure);
                is_found = true;
                self.forget(configured, &id);
            }
        }
        is_found
    }

    /// Fetches a file of the index again, and looks at the answer and at the file before that is removed.
    pub(super) fn fetch_again<T>(
        &self,
        invocation: &Invocation,
        look: impl FnOnce(&Finished, &Path) -> Option<T>,
    ) -> Option<T> {
        let file = self.state_dir.join("second-look");
        let answer = self.answer(&invocation.clone().with([file.display().to_string()]));
        let seen = answer.ok().and_then(|answer| look(&answer, &file));
        // It may have come under this name or the other.
        for file in [&file, &file.with_extension("FAILED")] {
            let _ = remove_if_there(file);
        }
        seen
    }

    /// Finds the sources that have no file in the index though they were fetched: a hook of the manager's may have
    /// removed them. Also finds sources of which the manager skipped a part without a word. Returns whether there are
    /// any.
    fn find_gone(&self, refreshed: &mut Refreshed, state: &State) -> bool {
        let Some(configured) = self.manager.configured() else { return false };
        let known = self.configured.borrow().clone();
        let is_missing = || state.index.as_ref().is_some_and(|index| index.missing().is_some());
        let Some(answer) = known.or_else(|| is_missing().then(|| self.ask_configured()).flatten()) else {
            return false;
        };
        let mut is_found = false;
        let cache = &self.places().cache;
        let (files, lacking) = (configured.files_of_each(&answer), configured.lacking(&answer, cache));
        for source in refreshed.sources.iter_mut().filter(|source| source.error.is_none()) {
            let files = files.get(&source.id).into_iter().flatten();
            let mut files = files.filter(|name| !name.is_empty()).peekable();
            let (class, text) = if files.peek().is_some() && !files.any(|name| cache.join(name).exists()) {
                let dir = cache.display();
                let text = format!(
                    "it came, but no file of it is in {dir}: look what removes it there, a hook for example"
                );
                (Class::Other, text)
            } else if let Some(file) = lacking.get(&source.id) {
                let text = format!(
                    "{} did not take its {file} and gave no reason: the source names it in a way that is of no use, \
                     or something removed it",
                    self.manager.facts().name
                );
                (Class::Fetch, text)
            } else {
                continue;
            };
            source.error = Some(Failure::new(class, text));
            is_found = true;
        }
        is_found
    }

    /// Removes the files by whose dates the manager tells how old its index is, if the clock was set back since they were
    /// written: it would take the index for new, and ask nobody.
    pub(super) fn drop_stamps_of_the_future(&self) {
        let Some(stamp) = self.manager.facts().stamp else { return };
        let mut found = Vec::new();
        collect(&self.index_dir(), "", DEPTH, &|path| path.ends_with(stamp), &mut found);
        let is_future = |file: &&PathBuf| {
            let changed = file.metadata().ok().and_then(|meta| meta.modified().ok());
            changed.is_some_and(|changed| changed > SystemTime::now())
        };
        found.iter().filter(is_future).for_each(|file| remove_or_warn(file));
    }

    /// Removes the files of a source from the index. They look newer than what the source itself has, so they would be
    /// kept.
    fn forget(&self, configured: &dyn SourceList, id: &str) {
        let Some(answer) = self.configured_as_known() else { return };
        for name in configured.files_of_each(&answer).get(id).into_iter().flatten() {
            remove_or_warn(&self.places().cache.join(name));
        }
    }

    /// Whether a refresh named exactly the known sources, and the settings are as they were then. Asking the manager
    /// would start another process and give the same answer.
    fn is_as_known(&self, refreshed: &Refreshed, state: &State) -> bool {
        let known: HashSet<_> = state.sources.iter().map(|source| &source.id).collect();
        let named: HashSet<_> = refreshed.sources.iter().map(|source| &source.id).collect();
        let settings = state.index.as_ref().and_then(|index| index.settings.as_ref());
        refreshed.outcome == RefreshOutcome::Fresh
            && known == named
            && state.sources.iter().all(|source| source.error.is_none())
            && settings == self.settings().as_ref()
            // Otherwise its settings depend on more than what is compared here.
            && self.kept.borrow().is_some()
    }

    /// Asks the manager which sources are configured.
    pub(super) fn ask_configured(&self) -> Option<String> {
        let answer = self.ask(&self.manager.configured()?.ask()).ok()?.stdout;
        self.configured.replace(Some(answer.clone()));
        Some(answer)
    }

    /// Which sources are configured, by an earlier answer of this run if there is one.
    fn configured_as_known(&self) -> Option<String> {
        let known = self.configured.borrow().clone();
        known.or_else(|| self.ask_configured())
    }

    /// A fingerprint of everything that this answer depends on.
    fn settings(&self) -> Option<String> {
        let configured = self.manager.configured()?;
        let named = std::env::var(configured.variable()).unwrap_or_default();
        let paths = [self.manager.facts().source_config, configured.settings(), &[named.as_str()]].concat();
        Some(format!("{} {named}", exact_fingerprint(&paths)).trim_end().to_string())
    }

    /// Remembers where the index is, unless the refresh failed.
    pub(super) fn note_index(&self, refreshed: &Refreshed, state: &mut State) {
        if refreshed.outcome != RefreshOutcome::Failed {
            let before = state.index.take().unwrap_or_default();
            let answer = self.configured.borrow();
            let files = match (self.manager.configured(), answer.as_ref()) {
                (Some(configured), Some(answer)) => paths(configured.files(answer)),
                (Some(_), None) => before.files,
                (None, _) => paths(self.index_files()),
            };
            let settings = match answer.as_ref() {
                Some(_) => self.settings(),
                None => before.settings,
            };
            let configuration = self.kept.borrow().clone();
            state.index = Some(Index { files, settings, configuration, extra: before.extra });
        }
    }

    /// Where the index is that our refresh updates.
    pub(super) fn index_dir(&self) -> PathBuf {
        self.own_index.as_ref().map_or_else(|| self.places().cache.clone(), |own| own.files())
    }

    /// Completes the result of a refresh of our own index by what is stored there. If the index must be read for that,
    /// the list of what is pending comes with it.
    fn check_own_index(
        &self,
        finished: &Finished,
        refreshed: &mut Refreshed,
        state: &State,
    ) -> Option<Listing> {
        let own = self.own_index.as_ref()?;
        own.complete(self, finished, refreshed);
        if refreshed.outcome == RefreshOutcome::Failed {
            return None;
        }
        let read = state.pending.as_ref().and_then(|pending| pending.basis.as_ref());
        own.check(self, read == Some(&self.pending_basis()), refreshed)
    }

    /// The files of the index, for a manager that keeps them under lasting names.
    fn index_files(&self) -> Vec<PathBuf> {
        let root = self.index_dir();
        let mut files = Vec::new();
        collect(&root, "", DEPTH, &|path| self.manager.is_index(path), &mut files);
        files.sort();
        files
    }
}

/// The files that exist, as text.
fn paths(files: Vec<PathBuf>) -> Vec<String> {
    let there = files.into_iter().filter(|file| file.exists());
    there.filter_map(|file| file.into_os_string().into_string().ok()).collect()
}

fn collect(dir: &Path, above: &str, depth: usize, is_index: &dyn Fn(&str) -> bool, found: &mut Vec<PathBuf>) {
    for entry in entries(dir) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let below = format!("{above}{name}");
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && depth > 1 {
            collect(&entry.path(), &format!("{below}/"), depth - 1, is_index, found);
        } else if !is_dir && is_index(&below) {
            found.push(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_an_index_are_found_below_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        ["a/repodata/repomd.xml", "a/repodata/other.xml", "repomd.xml", "a/b/c/repomd.xml"]
            .into_iter()
            .for_each(put);
        let mut found = Vec::new();
        collect(dir.path(), "", DEPTH, &|path| path.ends_with("repodata/repomd.xml"), &mut found);
        assert_eq!(found, [dir.path().join("a/repodata/repomd.xml")]);
        assert_eq!(paths(vec![dir.path().join("repomd.xml"), dir.path().join("gone")]).len(), 1);
    }
}
