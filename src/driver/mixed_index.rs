//! An index of which one file is older than the others: what a power cut, a full disk, a manager that was killed or a
//! copy from a backup leaves. Where a source says that nothing has changed apt looks at none of them.

use super::Session;
use crate::managers::{Listed, SourceList};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::store::state::{Source, State};
use crate::system::files::remove_or_warn;
use crate::system::process::Invocation;
use log::warn;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

impl Session {
    /// Whether something that decides about what is pending is not as it was when that was counted: only then the files
    /// of the index are looked at.
    pub(super) fn is_changed_since_count(&self, state: &State) -> bool {
        let counted = state.pending.as_ref().and_then(|pending| pending.basis.as_ref());
        self.manager.configured().is_some() && counted != Some(&self.pending_basis())
    }

    /// Removes the files of the index that are not those which their source lists. The next refresh fetches them.
    pub(super) fn drop_mixed(&self, refreshed: &mut Refreshed) {
        let Some(configured) = self.manager.configured() else { return };
        let is_failed = refreshed.outcome == RefreshOutcome::Failed;
        let is_of_packed = refreshed.error.as_ref().is_some_and(|error| configured.is_of_packed(error));
        if is_failed && !is_of_packed {
            return;
        }
        let listed: Vec<(usize, Listed)> = self.kept_files(configured, refreshed);
        let of_other_size = |(_, file): &&(usize, Listed)| {
            !file.is_packed && std::fs::metadata(&file.path).is_ok_and(|meta| meta.len() != file.size)
        };
        let mut wrong: HashSet<PathBuf> =
            listed.iter().filter(of_other_size).map(|(_, file)| file.path.clone()).collect();
        wrong.extend(self.of_other_content(configured, &listed));
        for (at, file) in listed.iter().filter(|(_, file)| wrong.contains(&file.path)) {
            remove_or_warn(&file.path);
            let text = format!(
                "{} is not the file that its source lists; it was removed, the next refresh fetches it anew",
                file.path.display()
            );
            let failure = Failure::new(Class::Fetch, text);
            if is_failed {
                refreshed.error = Some(failure.clone());
            }
            refreshed.sources[*at].error = Some(failure);
        }
        if !wrong.is_empty() && !is_failed {
            refreshed.judge_again();
        }
    }

    /// If what is pending could not be told, a file of the index may be damaged though its size and time are as they were.
    /// Called when nothing is planned any more: without that file nothing would be pending.
    pub fn look_why_not_counted(&self, state: &mut State) {
        let Some(error) = state.pending.as_mut().and_then(|pending| pending.error.as_mut()) else { return };
        let result = |source: &Source| SourceResult { id: source.id.clone(), error: source.error.clone() };
        let sources: Vec<SourceResult> = state.sources.iter().map(result).collect();
        let mut looked_at =
            Refreshed { sources, outcome: RefreshOutcome::Partial, error: None, changed: false };
        self.drop_mixed(&mut looked_at);
        if let Some(found) = looked_at.error {
            warn!("{}", found.message);
            *error = found;
        }
    }

    /// The files of the refreshed sources that did not come in this refresh, each with the place of its source. What
    /// comes is looked at by the manager.
    fn kept_files(&self, configured: &dyn SourceList, refreshed: &Refreshed) -> Vec<(usize, Listed)> {
        let dir = &self.places().cache;
        let dirs = self.index_dirs.borrow();
        let is_kept = |path: &Path| {
            let before = path.file_name().and_then(|name| dirs[0].get(name.to_str()?));
            let inode = std::fs::metadata(path).map(|meta| meta.ino());
            before.zip(inode.ok()).is_some_and(|(before, inode)| before.inode == inode)
        };
        let good = refreshed.sources.iter().enumerate().filter(|(_, source)| source.error.is_none());
        let files = good.flat_map(|(at, source)| {
            configured.listed(&source.id, dir).into_iter().map(move |file| (at, file))
        });
        files.filter(|(_, file)| is_kept(&file.path)).collect()
    }

    fn of_other_content(&self, configured: &dyn SourceList, listed: &[(usize, Listed)]) -> Vec<PathBuf> {
        let (packed, plain) = listed.iter().map(|(_, file)| file).partition(|file| file.is_packed);
        let plain = self.with_other_sum(plain, |paths| Invocation::of("sha256sum", ["--"]).with(paths));
        let packed = self.with_other_sum(packed, |paths| configured.sums_of_packed(paths));
        [plain, packed].concat()
    }

    fn with_other_sum(
        &self,
        files: Vec<&Listed>,
        question: impl FnOnce(Vec<String>) -> Invocation,
    ) -> Vec<PathBuf> {
        if files.is_empty() {
            return Vec::new();
        }
        let paths = files.iter().map(|file| file.path.display().to_string());
        let answer = match self.ask(&question(paths.collect())) {
            Ok(answer) => answer.stdout,
            Err(failure) => {
                warn!("could not check the files of the index: {}", failure.message);
                return Vec::new();
            }
        };
        let sums: HashMap<_, _> =
            answer.lines().filter_map(|line| line.split_once("  ")).map(|(sum, path)| (path, sum)).collect();
        // A file whose sum could not be had is no other file.
        let is_other = |file: &&Listed| {
            let sum = sums.get(&*file.path.display().to_string());
            sum.is_some_and(|sum| sum.len() == file.sum.len() && *sum != file.sum)
        };
        files.into_iter().filter(is_other).map(|file| file.path.clone()).collect()
    }
}
