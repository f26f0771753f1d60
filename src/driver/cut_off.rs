//! A refresh that was ended before its time, by its budget or by a signal: the sources that it was done with count, the
//! others are named.

use super::Session;
use crate::managers::{Ended, EndedEarly, IndexDir, IndexFile, cut_short, how_it_was_cut};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::store::state::State;
use crate::system::files::{remove_if_there, write_atomic};
use crate::system::process::{End, Finished, Invocation, Limits};
use log::warn;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the manager may still be asked what it did after the budget is spent.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// No list of what a source offers is larger.
const MOST_BYTES: u64 = 16 << 20;

impl Session {
    /// Remembers the index before a refresh.
    pub(super) fn note_start(&self) {
        if self.manager.ended_early().is_some() {
            let dir = read_dir(&self.places().cache, |_| false);
            self.index_dirs.replace([dir, IndexDir::new()]);
        }
    }

    /// Remembers the index once more, just before that refresh is ended early.
    pub(super) fn note_before_end(&self) {
        if let Some(early) = self.manager.ended_early() {
            self.index_dirs.borrow_mut()[1] = read_dir(&self.places().cache, |name| early.is_list(name));
        }
    }

    /// The sources that can be refreshed one by one: there are several, and the manager stores none of them before it
    /// has all.
    pub(super) fn sources_alone(&self, all: &Invocation) -> Vec<String> {
        let configuration = self.configuration().filter(|_| self.manager.alone(all, "").is_some());
        let ids = configuration.map(|text| self.manager.sources_in(text)).unwrap_or_default();
        if ids.len() > 1 { ids } else { Vec::new() }
    }

    /// After a refresh that ran out of time: tries each source alone for a share of the remaining time. Returns the
    /// refresh without those that failed again, and these sources; `None` where none or all failed.
    pub(super) fn find_slow_sources(
        &mut self,
        all: &Invocation,
        until: Instant,
    ) -> Option<(Invocation, Vec<SourceResult>)> {
        self.try_alone(all, self.sources_alone(all), until)
    }

    /// The same after a refresh that stopped at a source that the manager does not name, or crashed at it.
    pub(super) fn find_the_unnamed(
        &mut self,
        all: &Invocation,
        finished: &Finished,
        until: Instant,
    ) -> Option<(Invocation, Vec<SourceResult>)> {
        let mut ids = self.sources_alone(all);
        if finished.end.is_crash() {
            return self.try_alone(all, ids, until);
        }
        if ids.is_empty() || !matches!(finished.end, End::Code(_)) {
            return None;
        }
        let judged = self.manager.judge(finished);
        let can_be_of_one = |failure: Failure| {
            matches!(
                failure.class,
                Class::Config | Class::Fetch | Class::Network | Class::Auth | Class::Other
            )
        };
        if judged.outcome != RefreshOutcome::Failed || !judged.error.is_some_and(can_be_of_one) {
            return None;
        }
        ids.retain(|id| !judged.sources.iter().any(|source| source.id == *id));
        self.try_alone(all, ids, until)
    }

    fn try_alone(
        &mut self,
        all: &Invocation,
        ids: Vec<String>,
        until: Instant,
    ) -> Option<(Invocation, Vec<SourceResult>)> {
        let (mut others, mut slow) = (all.clone(), Vec::new());
        for (nth, id) in ids.iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            let share = left / (ids.len() - nth + 2) as u32;
            let limits = Limits { budget: Some(share), interruptible: true, ..Limits::default() };
            let invocation = self.manager.alone(all, id)?;
            let finished = self.run("refreshing the sources one by one", &invocation, &limits).ok()?;
            if matches!(finished.end, End::Interrupted(_)) {
                return None;
            }
            if let Some(failure) = self.manager.failure(&invocation, &finished) {
                let text = match failure.class {
                    Class::Timeout => format!("{id}: not refreshed within {:.1} s", share.as_secs_f64()),
                    _ if failure.message.contains(id.as_str()) => failure.message,
                    _ => format!("{id}: {}", failure.message),
                };
                others = self.manager.leave_out_source(others, id);
                // No signal came.
                let class = if finished.end.is_crash() { Class::Other } else { failure.class };
                slow.push(SourceResult { id: id.clone(), error: Some(Failure::new(class, text)) });
            }
        }
        // When the budget is spent, a moment is left for counting what is pending.
        self.deadline = self.deadline.map(|deadline| deadline.max(until + AFTERWARDS / 2));
        (!slow.is_empty() && slow.len() < ids.len()).then_some((others, slow))
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
        let committed = std::mem::replace(&mut self.committed, true);
        let results = self.results_of_cut(finished, &cut, state);
        self.committed = committed;
        let is_done = |result: &&SourceResult| result.error.is_none();
        if results.is_empty() {
            return Some(Refreshed::failed(Vec::new(), plain));
        }
        let open: Vec<_> =
            results.iter().filter(|result| !is_done(result)).map(|result| &*result.id).collect();
        let text = match open.as_slice() {
            // What runs after the sources is the manager's own: a hook, for instance.
            [] => format!(
                "{}, though every source was refreshed: a hook of its configuration may hang",
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
        if let Some(results) = self.own_index.as_ref().and_then(|own| own.stored_before(self, cut)) {
            return results;
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
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| {
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
        if let Err(error) = remove_if_there(&dir.join(name)) {
            warn!("{error:#}");
        }
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
