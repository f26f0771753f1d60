//! What a refresh did to the index, and where the index is.

use super::Session;
use crate::managers::SourceList;
use crate::model::outcome::{Class, Failure, RefreshOutcome, Refreshed};
use crate::store::state::{Index, State};
use crate::system::files::{exact_fingerprint, remove_if_there};
use crate::system::process::Finished;
use log::warn;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// How many directories deep below the one of the cache an index lies.
const DEPTH: usize = 5;

impl Session {
    /// What a refresh that ended by itself did, also where the manager's words leave that open, and
    /// what is pending, if finding that out showed it.
    pub(super) fn judge(
        &self,
        finished: &Finished,
        state: &State,
    ) -> (Refreshed, Option<crate::model::outcome::Listing>) {
        let mut refreshed = self.manager.judge(finished);
        if let Some(configured) = self.manager.configured() {
            if !self.is_as_known(&refreshed, state) {
                if let Some(answer) = self.ask_configured() {
                    refreshed = (configured.judge)(finished, &answer);
                }
            }
        }
        self.look_again(finished, &mut refreshed);
        self.find_gone(&mut refreshed, state);
        if refreshed.outcome != RefreshOutcome::Fresh {
            self.add_sources_not_come_to(&mut refreshed);
        }
        let listed = self.read_private(finished, &mut refreshed, state);
        self.add_expired(&mut refreshed);
        self.tell_full_disks(&mut refreshed);
        (refreshed, listed)
    }

    /// Finds out whether what came was the source's own, where the refresh leaves that open.
    fn look_again(&self, finished: &Finished, refreshed: &mut Refreshed) {
        let Some(configured) = self.manager.configured() else { return };
        let file = self.state_dir.join("second-look");
        let mut is_found = false;
        for (id, mut invocation) in (configured.doubts)(finished) {
            invocation.args.push(file.display().to_string());
            let answer = self.answer(&invocation);
            let failure = answer.ok().and_then(|answer| (configured.is_others)(&invocation.args, &answer));
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
        if is_found {
            refreshed.judge_again();
        }
    }

    /// Finds the sources of which nothing is in the index though it came: a hook of the manager's may have
    /// removed it again.
    fn find_gone(&self, refreshed: &mut Refreshed, state: &State) {
        let Some(configured) = self.manager.configured() else { return };
        let known = self.configured.borrow().clone();
        let is_missing = || state.index.as_ref().is_some_and(|index| index.missing().is_some());
        let Some(answer) = known.or_else(|| is_missing().then(|| self.ask_configured()).flatten()) else {
            return;
        };
        let mut is_found = false;
        for source in refreshed.sources.iter_mut().filter(|source| source.error.is_none()) {
            let mut files = (configured.files_of)(&answer, &source.id);
            files.retain(|name| !name.is_empty());
            if !files.is_empty() && !files.iter().any(|name| self.places().cache.join(name).exists()) {
                let dir = self.places().cache.display();
                let text = format!(
                    "it came, but no file of it is in {dir}: look what removes it there, a hook for example"
                );
                source.error = Some(Failure::new(Class::Other, text));
                is_found = true;
            }
        }
        if is_found {
            refreshed.judge_again();
        }
    }

    /// Takes what came of a source out of the index: as long as it looks newer than what the source itself has, it
    /// would be taken for that.
    fn forget(&self, configured: &SourceList, id: &str) {
        let known = self.configured.borrow().clone();
        let Some(answer) = known.or_else(|| self.ask_configured()) else { return };
        for name in (configured.files_of)(&answer, id) {
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
            && settings == self.settings().as_ref()
            // Else its settings also depend on what is not looked at here.
            && self.kept.borrow().is_some()
    }

    /// What the manager says of the sources that are configured.
    pub(super) fn ask_configured(&self) -> Option<String> {
        let answer = self.ask(&(self.manager.configured()?.ask)()).ok()?.stdout;
        self.configured.replace(Some(answer.clone()));
        Some(answer)
    }

    /// A fingerprint of what decides about that answer.
    fn settings(&self) -> Option<String> {
        let configured = self.manager.configured()?;
        let named = std::env::var(configured.variable).unwrap_or_default();
        let paths = [self.manager.facts().source_config, configured.settings, &[named.as_str()]].concat();
        Some(format!("{} {named}", exact_fingerprint(&paths)).trim_end().to_string())
    }

    /// Remembers where the index is, as long as the last refresh left one.
    pub(super) fn note_index(&self, refreshed: &Refreshed, state: &mut State) {
        if refreshed.outcome != RefreshOutcome::Failed {
            let before = state.index.take().unwrap_or_default();
            let answer = self.configured.borrow();
            let files = match (self.manager.configured(), answer.as_ref()) {
                (Some(configured), Some(answer)) => paths((configured.files)(answer)),
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

    /// The files of the index of a manager that is known to keep them under lasting names.
    fn index_files(&self) -> Vec<PathBuf> {
        let private = self.manager.private().zip(self.private_dir.as_ref());
        let root = match private {
            Some((private, dir)) => dir.join(private.index),
            None => self.places().cache.clone(),
        };
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
