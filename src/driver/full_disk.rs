//! Full disks: a manager may report a file that did not fit as one that was damaged in transfer.

use super::Session;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::text::contains_any;
use crate::system::files::is_read_only;
use rustix::fs::StatVfs;
use std::path::{Path, PathBuf};

/// In bytes. With less free space than this, an index may not be whole.
const ROOM: u64 = 64 << 10;

impl Session {
    /// Finds the fetch errors of a refresh that are really errors of a full disk.
    pub(super) fn tell_full_disks(&self, refreshed: &mut Refreshed) {
        let of_sources = refreshed.sources.iter_mut().filter_map(|source| source.error.as_mut());
        of_sources.chain(refreshed.error.as_mut()).for_each(|failure| self.name_full_cache(failure));
    }

    /// Finds the sources whose index was read and not stored.
    pub(super) fn find_unstored(&self, refreshed: &mut Refreshed) {
        let cache = &self.places().cache;
        let Some(index) = self.manager.packed_index().filter(|index| index.is_read_unstored()) else {
            return;
        };
        // A disk of the administrator's choice is made writable for the one run, or it is said that it could not be.
        let is_usual = cache == Path::new(self.manager.facts().cache);
        let why = why_not_written(cache).filter(|why| is_usual || *why != READ_ONLY);
        let Some(why) = why else { return };
        let is_good = |source: &&mut SourceResult| source.error.is_none() && index.is_stored(&source.id);
        let good = refreshed.sources.iter_mut().filter(is_good);
        for source in good {
            let text = format!("{}: its index could not be stored: {} {why}", source.id, cache.display());
            source.error = Some(Failure::new(Class::Space, text));
        }
        refreshed.judge_again();
    }

    /// Refuses an install that could only leave packages half unpacked.
    ///
    /// # Errors
    /// When the system is mounted read-only, and nothing that the manager runs first may change that.
    pub fn is_writable(&self) -> Result<(), Failure> {
        if self.read_only_system().is_none() || self.manager.may_unpack_on_read_only(self)? {
            return Ok(());
        }
        let text = format!(
            "could not install anything: {SYSTEM} is mounted read-only; mount it writable (mount -o remount,rw {SYSTEM}), \
             or let {} do so before each install",
            self.manager.facts().name
        );
        Err(Failure::new(Class::Space, text))
    }

    /// Adds to a failed apply without a reason that the disk with the packages is full or read-only. A reason may also
    /// name no disk, or one that it is not: for rpm a read-only disk has no room.
    pub fn name_full_disk(&self, failure: &mut Failure) {
        self.name_disk_of_lock(failure);
        let Some((place, why)) = self.read_only_system().or_else(|| self.unwritable_database()) else {
            return;
        };
        let names_it = failure.message.contains(&format!("{} ", place.display()));
        let is_vague =
            failure.class == Class::Space && why == READ_ONLY && !names_it && is_vague(&failure.message);
        if failure.class == Class::Other || is_vague {
            let text = format!("{} {why}: {}", place.display(), failure.message);
            *failure = Failure::new(Class::Space, text);
        }
    }

    /// The directories of the packages, where they are mounted read-only.
    fn read_only_system(&self) -> Option<(PathBuf, &'static str)> {
        let is_usual = self.places().database == self.manager.facts().usual_places().database;
        (is_usual && is_read_only(Path::new(SYSTEM))).then(|| (PathBuf::from(SYSTEM), READ_ONLY))
    }

    fn unwritable_database(&self) -> Option<(PathBuf, &'static str)> {
        let place = self.places().database.clone();
        let why = place.ancestors().find(|dir| dir.exists()).and_then(why_not_written)?;
        Some((place, why))
    }

    /// Why a lock file could not be made, though nobody holds the lock.
    pub(super) fn no_place_for_lock(&self) -> Option<String> {
        self.manager.facts().lock_by_existence?;
        let locks = self.lock_files();
        if locks.iter().any(|lock| lock.exists()) {
            return None;
        }
        let dirs = locks.iter().filter_map(|lock| lock.parent());
        let words = |dir: &Path| Some(format!("{} {}", dir.display(), why_not_written(dir)?));
        dirs.map(words).find(Option::is_some).flatten()
    }

    fn name_disk_of_lock(&self, failure: &mut Failure) {
        if failure.class == Class::Lock {
            if let Some(words) = self.no_place_for_lock() {
                *failure = Failure::new(Class::Space, format!("{words}: {}", failure.message));
            }
        }
    }

    /// Finds out whether a failed download is one of a full disk with the cache, or with temporary files.
    fn name_full_cache(&self, failure: &mut Failure) {
        self.name_disk_of_lock(failure);
        let temporary = &self.manager.facts().temporary;
        let is_temporary = temporary.words.iter().any(|words| failure.message.contains(words));
        let set = std::env::var_os("TMPDIR").map(PathBuf::from);
        let mut dirs = set.into_iter().chain([PathBuf::from(temporary.dir)]).filter(|_| is_temporary);
        if let Some((dir, why)) = dirs.find_map(|dir| why_not_written(&dir).map(|why| (dir, why))) {
            *failure = Failure::new(Class::Space, format!("{} {why}: {}", dir.display(), failure.message));
        }
        if failure.class != Class::Fetch {
            return;
        }
        let cache = self.index_dir();
        if cache.ancestors().find(|dir| dir.exists()).is_some_and(is_full) {
            let text = format!("no room left in {}: {}", cache.display(), failure.message);
            *failure = Failure::new(Class::Space, text);
        }
    }
}

/// The directories where packages put most of their files.
const SYSTEM: &str = "/usr";

const READ_ONLY: &str = "is mounted read-only";

/// Words of a failure that do not say which disk is read-only: `Unable to lock database: Read-only file system`,
/// `installing package tb-a-2.0-1.noarch needs 12KB more space on the / filesystem`.
fn is_vague(message: &str) -> bool {
    contains_any(message, &["Read-only file system", " more space on the /", " more space needed on the /"])
}

fn why_not_written(dir: &Path) -> Option<&'static str> {
    match dir {
        dir if is_read_only(dir) => Some(READ_ONLY),
        dir if is_full(dir) => Some("has no room left"),
        _ => None,
    }
}

/// Whether the file system of a directory is full; `false` where it cannot be looked at.
fn is_full(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|disk| has_no_room(&disk, rustix::process::geteuid().is_root()))
}

/// Whether a file system has no space, or can take no more files.
fn has_no_room(disk: &StatVfs, is_root: bool) -> bool {
    // Root may also use the reserved blocks.
    let free = if is_root { disk.f_bfree } else { disk.f_bavail };
    // Some file systems do not count files, and some do not count blocks.
    let is_short = disk.f_blocks > 0 && free.saturating_mul(disk.f_frsize) < ROOM;
    is_short || (disk.f_files > 0 && disk.f_ffree == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::StatVfsMountFlags;

    /// In blocks of 4 KiB: all, free, and usable; in files: all and free.
    fn disk(blocks: [u64; 3], files: [u64; 2]) -> StatVfs {
        StatVfs {
            f_bsize: 1 << 20,
            f_frsize: 4096,
            f_blocks: blocks[0],
            f_bfree: blocks[1],
            f_bavail: blocks[2],
            f_files: files[0],
            f_ffree: files[1],
            f_favail: files[1],
            f_fsid: 0,
            f_flag: StatVfsMountFlags::empty(),
            f_namemax: 255,
        }
    }

    #[test]
    fn a_file_system_is_full_without_blocks_or_without_files() {
        for (blocks, files, full) in [
            ([100, 16, 16], [9, 9], false),
            ([100, 15, 15], [9, 9], true),
            ([100, 0, 0], [9, 9], true),
            ([100, u64::MAX, u64::MAX], [9, 1], false),
            ([100, 50, 50], [9, 0], true),
            // btrfs counts no files; other file systems count nothing.
            ([100, 50, 50], [0, 0], false),
            ([100, 15, 15], [0, 0], true),
            ([0, 0, 0], [0, 0], false),
        ] {
            let disk = disk(blocks, files);
            assert_eq!(has_no_room(&disk, true), full, "{blocks:?} {files:?}");
            assert_eq!(has_no_room(&disk, false), full, "{blocks:?} {files:?}");
        }
        let kept_back = disk([100, 50, 0], [9, 9]);
        assert!(!has_no_room(&kept_back, true) && has_no_room(&kept_back, false));
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_full() {
        assert!(!is_full(Path::new("/nothing/is/here")));
    }
}
