//! When the index of each source was published, by what the manager itself has stored of it.

use super::Session;
use crate::managers::Came;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::published::Published;
use crate::model::refreshed::Refreshed;
use crate::store::state::State;
use crate::system::files::remove_if_there;
use crate::system::process::Finished;
use crate::system::time::Time;
use glob::Pattern;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What says it stands at the beginning, and the whole of repomd.xml is no larger.
const MOST_BYTES: u64 = 256 << 10;
/// A repository has no more indexes than that: one for each release and each processor that was ever used.
const MOST_FILES: usize = 20;

/// What the indexes say, by the source.
pub(super) type OfSources = HashMap<String, Published>;

impl Session {
    /// Reads what the indexes of the sources that were refreshed say of themselves. One that is older than the one
    /// before was not refreshed, whatever the manager says: a mirror has fallen behind, or somebody plays an old
    /// one back.
    pub(super) fn read_published(
        &self,
        refreshed: &mut Refreshed,
        state: &State,
        config: &str,
        started: Time,
    ) -> OfSources {
        let mut found = OfSources::new();
        let mut is_older = false;
        // Another mirror may be behind this one, and somebody wanted it. A date that is still to come is none.
        let is_comparable = state.source_config.as_deref() == Some(config);
        let to_compare = |before: &Time| is_comparable && *before <= started;
        // Some have many: none is looked for among all.
        let known: HashMap<_, _> = state.sources.iter().map(|known| (known.id.as_str(), known)).collect();
        for source in refreshed.sources.iter_mut().filter(|source| source.error.is_none()) {
            let published = self.published(&source.id, started);
            let before =
                known.get(source.id.as_str()).and_then(|known| known.published_at).filter(to_compare);
            if let (Some(now), Some(before)) =
                (published.at, before.filter(|before| published.at < Some(*before)))
            {
                source.error = Some(older(&source.id, now, before));
                is_older = true;
            }
            found.insert(source.id.clone(), published);
        }
        if is_older {
            refreshed.judge_again();
        }
        found
    }

    /// Finds the sources whose index came and was passed over without a word, because it is older than the one that is
    /// there. It is fetched once more only where what is kept did not change though something came: by a server that
    /// never says that nothing has changed, or with an older index.
    pub(super) fn find_passed_over(&self, finished: &Finished, refreshed: &mut Refreshed) {
        let Some(configured) = self.manager.configured() else { return };
        let second = self.state_dir.join("second-look");
        let mut is_found = false;
        for Came { id, file, mut again } in (configured.came)(finished) {
            let kept = self.places().cache.join(&file);
            let inode = std::fs::metadata(&kept).map(|meta| meta.ino()).ok();
            let before = self.index_dirs.borrow()[0].get(&file).map(|file| file.inode);
            let source =
                refreshed.sources.iter_mut().find(|source| source.id == id && source.error.is_none());
            let Some(source) = source.filter(|_| inode.is_some() && inode == before) else { continue };
            again.args.push(second.display().to_string());
            let answer = self.answer(&again);
            let date = |file: &Path| self.manager.published(&head_of(file)).at;
            let (theirs, ours) = (answer.ok().and_then(|_| date(&second)), date(&kept));
            for file in [second.clone(), second.with_extension("FAILED")] {
                let _ = remove_if_there(&file);
            }
            if let (Some(theirs), Some(ours)) = (theirs, ours.filter(|ours| theirs < Some(*ours))) {
                source.error = Some(older(&id, theirs, ours));
                is_found = true;
            }
        }
        if is_found {
            refreshed.judge_again();
        }
    }

    fn published(&self, id: &str, started: Time) -> Published {
        let private = self.manager.private().zip(self.private_dir.as_ref());
        let (root, by_time) = match private {
            Some((private, dir)) => {
                (dir.join(private.index), self.configuration().is_some_and(private.fetches_by_itself))
            }
            None => (self.places().cache.clone(), false),
        };
        for pattern in self.manager.release_files(id) {
            let Some(file) = newest(&root, &pattern) else { continue };
            return match private {
                Some(_) if by_time => by_time_of(&file, started),
                Some(_) => Published::default(),
                None => self.manager.published(&head_of(&file)),
            };
        }
        Published::default()
    }
}

fn older(id: &str, now: Time, before: Time) -> Failure {
    let text = format!("{id}: its index is of {now}, older than that of {before} which was there before");
    Failure::new(Class::Fetch, text)
}

/// Remembers it. Of an older index the date of the newer one stays, so that it is noticed as long as it is there.
pub(super) fn note_published(found: &OfSources, state: &mut State) {
    for source in state.sources.iter_mut().filter(|source| source.error.is_none()) {
        if let Some(published) = found.get(&source.id) {
            source.published_at = published.at;
            source.valid_until = published.until;
        }
    }
}

/// A manager that fetches by itself gives a file the time that the server says it has; where it says none, that of
/// the refresh, which tells nothing.
fn by_time_of(file: &Path, started: Time) -> Published {
    let modified = std::fs::metadata(file).ok().map(|meta| (meta.mtime(), meta.ctime()));
    let told =
        modified.filter(|(modified, stored)| *modified > 0 && *modified + 2 < started.unix().min(*stored));
    Published { at: told.and_then(|(modified, _)| Time::from_unix(modified)), ..Published::default() }
}

/// The newest of the files that such a pattern stands for.
fn newest(root: &Path, pattern: &str) -> Option<PathBuf> {
    let root = Pattern::escape(&root.to_string_lossy());
    let files = glob::glob(&format!("{root}/{pattern}")).into_iter().flatten().flatten().take(MOST_FILES);
    let with_time = files.filter_map(|file| Some((std::fs::metadata(&file).ok()?.mtime(), file)));
    with_time.max().map(|(_, file)| file)
}

/// The beginning of a file.
fn head_of(file: &Path) -> String {
    let mut bytes = Vec::new();
    // What cannot be read says nothing.
    let _ = File::open(file).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
