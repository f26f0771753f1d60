//! When the index of each source was published, by what the manager itself has stored of it.

use super::Session;
use crate::managers::{Came, ConfigFile, PackedIndex};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::published::{IndexDates, Published, comparable};
use crate::model::refreshed::Refreshed;
use crate::store::state::{Source, State};
use crate::system::archive::{self, Part};
use crate::system::files::{beginning, entries};
use crate::system::process::Finished;
use crate::system::time::Time;
use glob::Pattern;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The decisive part is at the beginning, and a whole repomd.xml is no larger.
const MOST_BYTES: u64 = 256 << 10;
/// A repository has no more indexes than this: one for each release and architecture that was ever used.
const MOST_FILES: usize = 20;

/// No more indexes than this are fetched again.
const MOST_LOOKS: usize = 20;

/// An index that is an archive is not read further than this, unpacked. The largest, `extra` of Arch Linux, has some
/// 50 MiB.
const MOST_UNPACKED: u64 = 256 << 20;
/// Nor are those of all sources together for longer than this.
const LONGEST: Duration = Duration::from_secs(5);

/// What the index of each source says.
pub(super) type OfSources = HashMap<String, Published>;

impl Session {
    /// Reads when the indexes of the refreshed sources were published. If an index is older than the one before, its
    /// source was not refreshed, whatever the manager says: a mirror has fallen behind, or somebody replays an old
    /// index.
    pub(super) fn read_published(
        &self,
        refreshed: &mut Refreshed,
        state: &State,
        config: &str,
        started: Time,
    ) -> OfSources {
        let mut found = OfSources::new();
        let mut is_any_failed = false;
        let mut kept = Kept::of(self);
        // With other sources configured, the new mirror may be behind the old one, and somebody wanted it.
        let is_same_config = state.source_config.as_deref() == Some(config);
        // There may be many sources, so they are not searched one by one.
        let known: HashMap<_, _> = state.sources.iter().map(|known| (known.id.as_str(), known)).collect();
        for source in refreshed.sources.iter_mut().filter(|source| source.error.is_none()) {
            let dates = state.index_dates.iter().find(|dates| dates.id == source.id);
            let published = self.published(&source.id, &mut kept, dates, started);
            let known = known.get(source.id.as_str());
            let before = comparable(known.and_then(|known| known.published_at), dates);
            let at = comparable(published.at, published.dates.as_ref());
            let before = before.filter(|before| is_same_config && went_back(at, *before, started));
            let before = before.filter(|_| known.is_some_and(|known| self.is_of_this_release(known)));
            if let (Some(now), Some(before)) = (at, before) {
                source.error = Some(older(&source.id, now, before));
            }
            // Not every manager checks what it stores.
            if published.is_no_index {
                source.error = Some(no_index(&source.id));
            }
            is_any_failed |= source.error.is_some();
            found.insert(source.id.clone(), published);
        }
        if is_any_failed {
            refreshed.judge_again();
        }
        found
    }

    /// Whether the system has had its release since this source was refreshed last, or the address of the source has
    /// nothing to do with that. Otherwise it is another repository, whose index may be older. A package gives its files the
    /// time when it was built, so the time counts at which they came here.
    fn is_of_this_release(&self, known: &Source) -> bool {
        let files = self.manager.release_of(&self.source_files(), &known.id).iter();
        let since = files.filter_map(|file| std::fs::metadata(file).ok()).map(|meta| meta.ctime()).max();
        since.is_none_or(|since| known.last_success.is_some_and(|at| at.unix() > since))
    }

    /// Finds the sources whose index came and was dropped without a word, because it is older than the stored one. The
    /// index is fetched again only if the stored file stayed the same though something came. That happens with a server
    /// that never answers "not modified", and with an older index. Returns whether there are any.
    pub(super) fn find_passed_over(&self, finished: &Finished, refreshed: &mut Refreshed) -> bool {
        let Some(configured) = self.manager.configured() else { return false };
        let date = |file: &Path| self.manager.published(&head_of(file)).at;
        let mut is_found = false;
        let mut looks = 0;
        let answer = self.configured.borrow().clone();
        for Came { id, file, again } in configured.came(finished, answer.as_deref()) {
            let kept = self.places().cache.join(&file);
            let inode = std::fs::metadata(&kept).map(|meta| meta.ino()).ok();
            let before = self.index_dirs.borrow()[0].get(&file).map(|file| file.inode);
            let source =
                refreshed.sources.iter_mut().find(|source| source.id == id && source.error.is_none());
            let is_kept = inode.is_some() && inode == before && looks < MOST_LOOKS;
            let Some(source) = source.filter(|_| is_kept) else { continue };
            looks += 1;
            let (theirs, ours) = (self.fetch_again(&again, |_, file| date(file)), date(&kept));
            if let (Some(theirs), Some(ours)) = (theirs, ours.filter(|ours| theirs < Some(*ours))) {
                source.error = Some(older(&id, theirs, ours));
                is_found = true;
            }
        }
        is_found
    }

    /// Whether there is an index of a source, of whatever age.
    pub(super) fn has_index_of(&self, id: &str) -> bool {
        let files = self.manager.release_files(id);
        let mut kept = Kept::of(self);
        let says = kept.says;
        let is_one = |file: PathBuf| match says {
            Says::Content => !self.manager.published(&head_of(&file)).is_no_index,
            _ => true,
        };
        files.is_empty() || files.iter().any(|pattern| kept.newest(pattern).is_some_and(is_one))
    }

    /// Whether there are indexes of these sources, and each that is stored, from whatever mirror and of whatever age,
    /// says that it has no advisories.
    pub(super) fn stores_no_advisories<'a>(&self, mut ids: impl Iterator<Item = &'a String>) -> bool {
        let mut kept = Kept::of(self);
        let has_none =
            |(_, file): &(i64, PathBuf)| self.manager.published(&head_of(file)).has_advisories == Some(false);
        ids.all(|id| {
            let patterns = self.manager.release_files(id).into_iter();
            let files: Vec<_> =
                patterns.flat_map(|pattern| kept.all(&pattern)).take(MOST_FILES + 1).collect();
            (1..=MOST_FILES).contains(&files.len()) && files.iter().all(has_none)
        })
    }

    fn published(&self, id: &str, kept: &mut Kept, dates: Option<&IndexDates>, started: Time) -> Published {
        let files = self.manager.release_files(id);
        let file = files.iter().find_map(|pattern| kept.newest(pattern));
        let published = match (&file, kept.says) {
            (Some(file), Says::Content) => self.manager.published(&head_of(file)),
            (Some(file), Says::Time) => by_time_of(file, started),
            (None, _) | (_, Says::Nothing) => Published::default(),
        };
        match self.manager.packed_index() {
            Some(packed) => self.with_dates(published, id, packed, kept, dates, started),
            None => published,
        }
    }

    /// Adds what the dates in an archive show. `known`: what they were the last time.
    fn with_dates(
        &self,
        published: Published,
        id: &str,
        packed: &dyn PackedIndex,
        kept: &mut Kept,
        known: Option<&IndexDates>,
        started: Time,
    ) -> Published {
        let names = packed.names(id, kept.configured.get_or_init(|| self.source_files()));
        let modified = |file: &PathBuf| std::fs::metadata(file).ok().map(|meta| meta.mtime());
        let file = names.iter().filter_map(|name| kept.newest(name)).max_by_key(modified);
        let Some(file) = file.and_then(|path| File::open(path).ok()) else { return published };
        let mark = mark_of(&file).unwrap_or_default();
        let dates = known.filter(|known| !mark.is_empty() && known.mark == mark).cloned();
        let dates = dates.unwrap_or_else(|| {
            let until = *kept.until.get_or_init(|| Instant::now() + LONGEST);
            dates_in(file, packed, mark, started, until)
        });
        let at = published.at.max(dates.made).max(dates.built);
        let dates = Some(dates).filter(|dates| dates.made.max(dates.built).is_some());
        Published { at, dates, ..published }
    }
}

/// What shows when a file of the index was published.
#[derive(Clone, Copy)]
enum Says {
    Content,
    Time,
    Nothing,
}

/// The files of the index. Each directory is read once, however many sources there are.
struct Kept {
    root: PathBuf,
    says: Says,
    names: HashMap<PathBuf, Vec<String>>,
    /// The files that configure the sources.
    configured: OnceCell<Vec<ConfigFile>>,
    /// When no more may be read.
    until: OnceCell<Instant>,
}

impl Kept {
    fn of(session: &Session) -> Kept {
        let says = match &session.own_index {
            None => Says::Content,
            Some(own) if own.has_times_of_server(session) => Says::Time,
            Some(_) => Says::Nothing,
        };
        Kept::below(session.index_dir(), says)
    }

    fn below(root: PathBuf, says: Says) -> Kept {
        Kept { root, says, names: HashMap::new(), configured: OnceCell::new(), until: OnceCell::new() }
    }

    /// The newest of the files that a pattern matches.
    fn newest(&mut self, pattern: &str) -> Option<PathBuf> {
        self.all(pattern).take(MOST_FILES).max().map(|(_, file)| file)
    }

    /// The files that a pattern matches, each behind the time when it was last modified.
    fn all(&mut self, pattern: &str) -> impl Iterator<Item = (i64, PathBuf)> + use<> {
        let (from, pattern) = match pattern.strip_prefix('/') {
            Some(rest) => (PathBuf::from("/"), rest),
            None => (self.root.clone(), pattern),
        };
        let mut found = vec![from];
        for part in pattern.split('/') {
            found = found.into_iter().flat_map(|dir| self.matching(dir, part)).collect();
        }
        found.into_iter().filter_map(|file| {
            let meta = std::fs::metadata(&file).ok().filter(std::fs::Metadata::is_file)?;
            Some((meta.mtime(), file))
        })
    }

    /// What one part of a pattern matches in a directory. A plain name need not exist.
    fn matching(&mut self, dir: PathBuf, part: &str) -> Vec<PathBuf> {
        if !part.contains(['*', '?', '[']) {
            return vec![dir.join(part)];
        }
        let Ok(part) = Pattern::new(part) else { return Vec::new() };
        let names = self.names.entry(dir.clone()).or_insert_with_key(|dir| {
            entries(dir).filter_map(|entry| entry.file_name().into_string().ok()).collect()
        });
        names.iter().filter(|name| part.matches(name)).map(|name| dir.join(name)).collect()
    }
}

/// Whether an index is older than the one before. An index from the future does not count.
fn went_back(now: Option<Time>, before: Time, started: Time) -> bool {
    before <= started && now.is_some_and(|now| now < before)
}

fn older(id: &str, now: Time, before: Time) -> Failure {
    let text = format!("{id}: its index is of {now}, older than that of {before} which was there before");
    Failure::new(Class::Fetch, text)
}

fn no_index(id: &str) -> Failure {
    let text = format!(
        "{id}: what its server sent is no index of a repository (is it behind a login page?): open its address in a browser"
    );
    Failure::new(Class::Fetch, text)
}

/// Remembers it. If the index went back, the date of the newer one stays, so that it is noticed as long as the older
/// one is there.
pub(super) fn note_published(found: &OfSources, state: &mut State) {
    for source in state.sources.iter_mut().filter(|source| source.error.is_none()) {
        if let Some(published) = found.get(&source.id) {
            source.published_at = published.at;
            source.valid_until = published.until;
            state.index_dates.retain(|dates| dates.id != source.id);
            let id = || source.id.clone();
            state.index_dates.extend(published.dates.clone().map(|dates| IndexDates { id: id(), ..dates }));
        }
    }
    state.index_dates.retain(|dates| state.sources.iter().any(|source| source.id == dates.id));
}

/// The time of the file: a manager gives it the time that the server sent. If the server sent none, the file has the
/// time of the refresh, which says nothing.
fn by_time_of(file: &Path, started: Time) -> Published {
    let modified = std::fs::metadata(file).ok().map(|meta| (meta.mtime(), meta.ctime()));
    let told =
        modified.filter(|(modified, stored)| *modified > 0 && *modified + 2 < started.unix().min(*stored));
    Published { at: told.and_then(|(modified, _)| Time::from_unix(modified)), ..Published::default() }
}

/// Tells an archive from the next one. apk replaces the file also by the same one, but packed with gzip it ends with a
/// checksum: its length, its beginning and its end tell it. Of others the file itself does.
fn mark_of(file: &File) -> Option<String> {
    const ENDS: usize = 4096;
    let meta = file.metadata().ok()?;
    let mut ends = [0; 2 * ENDS];
    let (head, tail) = ends.split_at_mut(ENDS);
    let got = file.read_at(head, 0).ok()?;
    let got = (got, file.read_at(tail, meta.len().saturating_sub(ENDS as u64)).ok()?);
    let is_packed = head.starts_with(&archive::GZIP);
    let itself = (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
    let mut hasher = DefaultHasher::new();
    (meta.len(), got, ends, (!is_packed).then_some(itself)).hash(&mut hasher);
    Some(format!("{:016x}", hasher.finish()))
}

/// The dates in an archive. Those still to come do not count. If it could not be read to its end, nothing shows whether
/// its packages are older than the archive itself, and it is read again the next time.
fn dates_in(
    file: impl Read,
    packed: &dyn PackedIndex,
    mark: String,
    started: Time,
    until: Instant,
) -> IndexDates {
    let (mut made, mut built) = (0, 0);
    let mut before = Vec::new();
    let newer = |newest: i64, date: i64| if date <= started.unix() { newest.max(date) } else { newest };
    let is_whole = archive::read(file, MOST_UNPACKED, until, &mut |part| match part {
        Part::File(modified) if packed.has_times() => made = newer(made, modified),
        Part::File(_) => {}
        Part::Line(line) => {
            built = packed.built(&before, line).map_or(built, |date| newer(built, date));
            before.clear();
            before.extend_from_slice(line);
        }
    });
    let time = |seconds: i64| (seconds > 0).then(|| Time::from_unix(seconds)).flatten();
    let dates = IndexDates { made: time(made), built: time(built), ..IndexDates::default() };
    match is_whole {
        true => IndexDates { mark, ..dates },
        false => IndexDates { built: dates.made.max(dates.built), made: None, ..dates },
    }
}

/// The part of a file that is decisive.
fn head_of(file: &Path) -> String {
    beginning(file, MOST_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_goes_back_only_behind_a_day_that_has_come() {
        let at = |day: i64| Time::from_unix(day * 86400).unwrap();
        for (now, before, expected) in [
            (Some(1), 2, true),
            (Some(2), 2, false),
            (Some(3), 2, false),
            (None, 2, false),
            (Some(9), 10, true),
            // The refresh is of the tenth day.
            (Some(1), 11, false),
        ] {
            assert_eq!(went_back(now.map(at), at(before), at(10)), expected, "{now:?} {before}");
        }
    }

    #[test]
    fn the_newest_file_is_found_and_each_directory_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, age: u64| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let time = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
            File::create(&path).unwrap().set_modified(time).unwrap();
            path
        };
        let (older, newer) = (file("a-00/repomd.xml", 50), file("a-11/repomd.xml", 5));
        let odd = file("[x]/repomd.xml", 5);
        let deep = file("x86_64/9/b/repomd.xml", 5);
        std::fs::create_dir_all(dir.path().join("a-22/repomd.xml")).unwrap();
        let mut kept = Kept::below(dir.path().into(), Says::Content);
        assert_eq!(kept.newest("a-[0-9][0-9]/repomd.xml"), Some(newer));
        assert_eq!(kept.newest("a-00/repomd.xml"), Some(older.clone()));
        assert_eq!(kept.newest("[[]x[]]/repomd.xml"), Some(odd));
        assert_eq!(kept.newest("*/*/b/repomd.xml"), Some(deep));
        let whole = older.to_str().unwrap();
        assert_eq!(kept.newest(whole), Some(older.clone()));
        for none in ["b/repomd.xml", "*/b/repomd.xml", "none/*/b", "a-[", "a-00"] {
            assert_eq!(kept.newest(none), None, "{none}");
        }
        let late = file("a-33/repomd.xml", 0);
        assert_eq!(kept.newest("a-33/repomd.xml"), Some(late));
        assert_eq!(kept.newest("a-3[0-9]/repomd.xml"), None, "the directory was read before");
    }

    #[test]
    fn an_archive_is_known_by_what_is_in_it_if_it_has_a_checksum_and_else_by_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let mark = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            if !path.exists() {
                std::fs::write(&path, bytes).unwrap();
            }
            mark_of(&File::open(path).unwrap()).unwrap()
        };
        let packed = [&archive::GZIP[..], &[7; 20_000]].concat();
        let mut other = packed.clone();
        *other.last_mut().unwrap() = 8;
        let first = mark("a", &packed);
        assert_eq!(mark("b", &packed), first);
        assert_ne!(mark("c", &other), first);
        assert_ne!(mark("d", &packed[..19_999]), first);
        let first = mark("e", b"plain");
        assert_eq!(mark("e", b"plain"), first);
        assert_ne!(mark("f", b"plain"), first);
    }

    #[test]
    fn the_time_of_a_file_tells_only_where_the_server_gave_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("core.db");
        let file = File::create(&path).unwrap();
        let (now, day) = (std::time::SystemTime::now(), std::time::Duration::from_secs(86400));
        let started = Time::now();
        assert_eq!(by_time_of(&path, started), Published::default(), "as it came");
        file.set_modified(now - 3 * day).unwrap();
        let at = by_time_of(&path, started).at.unwrap();
        assert!((3 * 86400 - 5..3 * 86400 + 5).contains(&started.seconds_since(at)), "{at}");
        file.set_modified(now + 3 * day).unwrap();
        assert_eq!(by_time_of(&path, started), Published::default(), "it is still to come");
        assert_eq!(by_time_of(&dir.path().join("none"), started), Published::default());
    }
}
