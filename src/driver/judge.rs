//! The verdict on a refresh that ended by itself, and where its index is. One that did not is judged in `cut_off`.

use super::Session;
use crate::managers::SourceList;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::store::state::{Index, State};
use crate::system::files::{exact_fingerprint, remove_if_there};
use crate::system::process::Finished;
use log::warn;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many directories deep below the one of the cache an index lies.
const DEPTH: usize = 5;

/// No more files of an index are damaged at once.
const MOST_DROPPED: usize = 100;

/// A file of the index that the manager could not read.
struct Damaged {
    name: String,
    words: String,
    /// Whether it lay there before the refresh.
    is_old: bool,
}

impl Session {
    /// What a refresh did that ended by itself. Where the manager's words do not tell, it is asked; its answer may also
    /// list what is pending.
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

    /// Takes files out of the index that make all of it useless, as a power cut or a repository that publishes
    /// nonsense leaves them: the manager takes them for unchanged, and fails as long as they are there.
    fn drop_damaged(&self, finished: &Finished) -> Vec<Damaged> {
        let Some(configured) = self.manager.configured() else { return Vec::new() };
        let mut dropped: Vec<Damaged> = Vec::new();
        let mut damaged = configured.unreadable(finished);
        while let Some((file, words)) = damaged.take() {
            // What else it cannot read, its package database for example, is not ours.
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
            damaged = self.question(&configured.ask()).ok().and_then(|next| configured.unreadable(&next));
        }
        dropped
    }

    /// Where it came just now, the other sources are of use again. Where it lay there before, nothing of this refresh
    /// was, and the next one fetches it anew.
    fn blame_for_damaged(&self, dropped: Vec<Damaged>, refreshed: &mut Refreshed) {
        let Some(configured) = self.manager.configured().filter(|_| !dropped.is_empty()) else { return };
        let known = self.configured.borrow().clone();
        let Some(answer) = known.or_else(|| self.ask_configured()) else { return };
        let is_old = dropped.iter().any(|file| file.is_old);
        for Damaged { name, words, .. } in dropped {
            let is_its =
                |source: &&mut SourceResult| configured.files_of(&answer, &source.id).contains(&name);
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

    /// Finds out whether what came was the source's own, where the refresh leaves that open.
    fn look_again(&self, finished: &Finished, refreshed: &mut Refreshed) -> bool {
        let Some(configured) = self.manager.configured() else { return false };
        let file = self.state_dir.join("second-look");
        let mut is_found = false;
        for (id, mut invocation) in configured.doubts(finished) {
            invocation.args.push(file.display().to_string());
            let answer = self.answer(&invocation);
            let failure = answer.ok().and_then(|answer| configured.is_others(&invocation.args, &answer));
            let source = refreshed.sources.iter_mut().find(|source| source.id == id);
            if let (Some(failure), Some(source)) = (failure, source) {
                source.error.get_or_insert(failure);
                is_found = true;
                self.forget(configured, &id);
            }
            // It may have come under this name and another one.
            for file in [file.clone(), file.with_extension("FAILED")] {
                let _ = remove_if_there(&file);
            }
        }
        is_found
    }

    /// Finds the sources of which nothing is in the index though it came: a hook of the manager's may have
    /// removed it again; and those of which a part was passed over without a word.
    fn find_gone(&self, refreshed: &mut Refreshed, state: &State) -> bool {
        let Some(configured) = self.manager.configured() else { return false };
        let known = self.configured.borrow().clone();
        let is_missing = || state.index.as_ref().is_some_and(|index| index.missing().is_some());
        let Some(answer) = known.or_else(|| is_missing().then(|| self.ask_configured()).flatten()) else {
            return false;
        };
        let mut is_found = false;
        for source in refreshed.sources.iter_mut().filter(|source| source.error.is_none()) {
            let cache = &self.places().cache;
            let mut files = configured.files_of(&answer, &source.id);
            files.retain(|name| !name.is_empty());
            let (class, text) = if !files.is_empty() && !files.iter().any(|name| cache.join(name).exists()) {
                let dir = cache.display();
                let text = format!(
                    "it came, but no file of it is in {dir}: look what removes it there, a hook for example"
                );
                (Class::Other, text)
            } else if let Some(file) = configured.lacks(&answer, &source.id, cache) {
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

    /// Takes what came of a source out of the index: as long as it looks newer than what the source itself has, it
    /// would be taken for that.
    fn forget(&self, configured: &dyn SourceList, id: &str) {
        let known = self.configured.borrow().clone();
        let Some(answer) = known.or_else(|| self.ask_configured()) else { return };
        for name in configured.files_of(&answer, id) {
            if let Err(error) = remove_if_there(&self.places().cache.join(name)) {
                warn!("{error:#}");
            }
        }
    }

    /// Whether a refresh named the sources of the ledger, and the settings are those that these were learnt
    /// with: the manager would only say the same again. That is another process.
    fn is_as_known(&self, refreshed: &Refreshed, state: &State) -> bool {
        let known: HashSet<_> = state.sources.iter().map(|source| &source.id).collect();
        let named: HashSet<_> = refreshed.sources.iter().map(|source| &source.id).collect();
        let settings = state.index.as_ref().and_then(|index| index.settings.as_ref());
        refreshed.outcome == RefreshOutcome::Fresh
            && known == named
            && state.sources.iter().all(|source| source.error.is_none())
            && settings == self.settings().as_ref()
            // Else its settings also depend on what is not looked at here.
            && self.kept.borrow().is_some()
    }

    /// What the manager says of the sources that are configured.
    pub(super) fn ask_configured(&self) -> Option<String> {
        let answer = self.ask(&self.manager.configured()?.ask()).ok()?.stdout;
        self.configured.replace(Some(answer.clone()));
        Some(answer)
    }

    /// A fingerprint of everything that the answer depends on.
    fn settings(&self) -> Option<String> {
        let configured = self.manager.configured()?;
        let named = std::env::var(configured.variable()).unwrap_or_default();
        let paths = [self.manager.facts().source_config, configured.settings(), &[named.as_str()]].concat();
        Some(format!("{} {named}", exact_fingerprint(&paths)).trim_end().to_string())
    }

    /// Remembers where the index is, as long as the last refresh left one.
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

    /// Where the index is that a refresh of ours brings up to date.
    pub(super) fn index_dir(&self) -> PathBuf {
        self.own_index.as_ref().map_or_else(|| self.places().cache.clone(), |own| own.files())
    }

    /// Completes the result of a refresh of our own index by looking at what is stored there. Where the index has to
    /// be read for that, the list of what is pending comes with it.
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

    /// The files of the index of a manager that is known to keep them under lasting names.
    fn index_files(&self) -> Vec<PathBuf> {
        let root = self.index_dir();
        let mut files = Vec::new();
        collect(&root, "", DEPTH, &|path| self.manager.is_index(path), &mut files);
        files.sort();
        files
    }
}

/// Those that are there.
fn paths(files: Vec<PathBuf>) -> Vec<String> {
    let there = files.into_iter().filter(|file| file.exists());
    there.filter_map(|file| file.into_os_string().into_string().ok()).collect()
}

fn collect(dir: &Path, above: &str, depth: usize, is_index: &dyn Fn(&str) -> bool, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
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
