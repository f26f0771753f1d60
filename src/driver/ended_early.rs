//! A refresh that was ended before its time, by its budget or by a signal: the sources that it was done with count, the
//! others are named.

use super::Session;
use crate::managers::{Ended, EndedEarly, IndexDir, IndexFile, cut_short, how_it_was_cut};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::store::state::State;
use crate::system::files::{entries, remove_or_warn, write_atomic};
use crate::system::process::{End, Finished, Invocation};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the manager may still be asked what it did after the budget is spent.
pub(super) const AFTERWARDS: Duration = Duration::from_secs(10);
/// No list of what a source offers is larger.
const MOST_BYTES: u64 = 16 << 20;

impl Session {
    /// Remembers the index before a refresh.
    pub(super) fn note_start(&self) {
        if self.manager.ended_early().is_some() || self.manager.in_turn().is_some() {
            let dir = read_dir(&self.places().cache, |_| false);
            self.index_dirs.replace([dir, IndexDir::new()]);
        }
    }

    /// Remembers the index once more, just before that refresh is ended early.
    pub(super) fn note_before_end(&self) {
        if let Some(early) = self.manager.ended_early() {
            self.index_dirs.borrow_mut()[1] = read_dir(&self.places().cache, |name| early.is_list(name));
        }
        if let Some(own) = &self.own_index {
            own.note_before_end();
        }
    }

    /// What became of a refresh that did not end by itself; `None` for one that did.
    pub(super) fn judge_cut(
        &mut self,
        invocation: &Invocation,
        finished: &Finished,
        state: &State,
    ) -> Option<Refreshed> {
        let plain = cut_short(invocation, finished)?;
        let can_tell = matches!(finished.end, End::TimedOut | End::Stalled | End::Interrupted(_));
        let cut = how_it_was_cut(invocation, finished, "").filter(|_| can_tell);
        let Some(cut) = cut else { return Some(Refreshed::failed(Vec::new(), plain)) };
        // Also after a signal or a spent budget there is a moment for finding out what is done.
        self.deadline = self.deadline.map(|deadline| deadline.max(Instant::now() + AFTERWARDS));
        let answers_outlast_signals = std::mem::replace(&mut self.answers_outlast_signals, true);
        let results = self.results_of_cut(finished, &cut, state);
        self.answers_outlast_signals = answers_outlast_signals;
        let is_done = |result: &&SourceResult| result.error.is_none();
        if results.is_empty() {
            return Some(Refreshed::failed(Vec::new(), plain));
        }
        let open: Vec<_> =
            results.iter().filter(|result| !is_done(result)).map(|result| &*result.id).collect();
        let text = match open.as_slice() {
            // What runs after the sources is the manager's own: a hook, for instance.
            [] => format!(
                "{}, though every source was refreshed: what it does after that takes too long, a hook for example",
                cut.message
            ),
            open => format!("{}; not refreshed: {}", cut.message, open.join(", ")),
        };
        let all = open.len() == results.len() || cut.class == Class::Interrupted;
        let outcome = if all { RefreshOutcome::Failed } else { RefreshOutcome::Partial };
        let error = Some(Failure::new(cut.class, text));
        Some(Refreshed { sources: results, outcome, error, changed: true })
    }

    /// What became of each source.
    fn results_of_cut(&self, finished: &Finished, cut: &Failure, state: &State) -> Vec<SourceResult> {
        let open = |id: String| SourceResult { id, error: Some(cut.clone()) };
        if let Some(early) = self.manager.ended_early() {
            let Some(answer) = self.ask_configured() else { return Vec::new() };
            let ended = self.read_early(early, finished, &answer);
            let result = |ended: Ended| match ended.is_done {
                true => SourceResult { id: ended.id, error: None },
                false => SourceResult { error: ended.error.or_else(|| Some(cut.clone())), id: ended.id },
            };
            return ended.into_iter().map(result).collect();
        }
        if let Some(results) = self.own_index.as_ref().and_then(|own| own.done_before(self, cut)) {
            return results;
        }
        if let Some(in_turn) = self.manager.in_turn() {
            return self.results_in_turn(in_turn, finished, cut, state);
        }
        let Some(mut results) = self.manager.read_cut(finished) else { return Vec::new() };
        let mut ids = self.manager.sources(self);
        if ids.is_empty() {
            ids = state.sources.iter().map(|source| source.id.clone()).collect();
        }
        for id in ids {
            if !results.iter().any(|result| result.id == id) {
                results.push(open(id));
            }
        }
        results
    }

    /// Whether a file of the index was stored since the refresh began.
    pub(super) fn is_stored_anew(&self, name: &str) -> bool {
        let meta = std::fs::metadata(self.places().cache.join(name)).ok();
        let is_other = |meta: &std::fs::Metadata| {
            let before = &self.index_dirs.borrow()[0];
            let is_same =
                |file: &IndexFile| (file.inode, file.modified) == (meta.ino(), meta.modified().ok());
            !before.get(name).is_some_and(is_same)
        };
        !name.starts_with('/') && meta.is_some_and(|meta| meta.is_file() && meta.len() > 0 && is_other(&meta))
    }

    fn read_early(&self, early: &dyn EndedEarly, finished: &Finished, answer: &str) -> Vec<Ended> {
        let cache = &self.places().cache;
        let after = read_dir(cache, |name| early.is_list(name));
        let dirs = self.index_dirs.borrow();
        let ended = early.read(finished, answer, [&dirs[0], &dirs[1], &after]);
        for list in ended.iter().filter(|ended| !ended.is_done).flat_map(|ended| &ended.lists) {
            let before = dirs[1].get(list);
            let is_new = after.get(list).map(|file| file.inode) != before.map(|file| file.inode);
            if is_new {
                put_back(cache, list, before);
            }
        }
        ended
    }
}

fn read_dir(dir: &Path, is_list: impl Fn(&str) -> bool) -> IndexDir {
    let files = entries(dir).filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let text = (is_list(&name) && meta.len() < MOST_BYTES).then(|| std::fs::read(entry.path()).ok());
        Some((name, IndexFile { inode: meta.ino(), modified: meta.modified().ok(), text: text.flatten() }))
    });
    files.collect()
}

/// Puts a list of what a source offers back as it was, with its time, because the source is asked for anything newer
/// than that. If that fails the list is removed: the next refresh fetches it.
fn put_back(dir: &Path, name: &str, before: Option<&IndexFile>) {
    let old = before.and_then(|file| Some((file.text.as_ref()?, file.modified?)));
    let is_back = old.is_some_and(|(text, modified)| {
        let written = write_atomic(dir, name, text).is_ok();
        let file = File::options().write(true).open(dir.join(name));
        written && file.and_then(|file| file.set_modified(modified)).is_ok()
    });
    if !is_back {
        remove_or_warn(&dir.join(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_put_back_with_its_time_or_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h_InRelease");
        std::fs::write(&path, "old").unwrap();
        let then = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        let before = read_dir(dir.path(), |name| name.ends_with("Release"));
        std::fs::write(&path, "new").unwrap();
        put_back(dir.path(), "h_InRelease", before.get("h_InRelease"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(path.metadata().unwrap().modified().unwrap(), then);
        put_back(dir.path(), "h_InRelease", None);
        assert!(!path.exists());
    }
}
