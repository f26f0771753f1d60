//! Full disks: a manager may take the file that had no room for one that was damaged on its way.

use super::Session;
use crate::outcome::{Class, Failure, Refreshed};
use std::path::Path;

/// In bytes. With less than this free, no index can be relied on to be whole.
const ROOM: u64 = 64 << 10;

impl Session {
    /// Tells the fetch errors of a refresh that are none: there was no room for what was fetched.
    pub(super) fn tell_full_disks(&self, refreshed: &mut Refreshed) {
        let of_sources = refreshed.sources.iter_mut().filter_map(|source| source.error.as_mut());
        of_sources.chain(refreshed.error.as_mut()).for_each(|failure| self.tell_full_disk(failure));
    }

    fn tell_full_disk(&self, failure: &mut Failure) {
        if failure.class != Class::Fetch {
            return;
        }
        let private = self.backend.quirks.private.zip(self.private_dir.as_ref());
        let private = private.map(|(private, dir)| dir.join(private.index));
        let cache = private.unwrap_or_else(|| self.backend.cache.into());
        if is_full(&cache) {
            let text = format!("no room left in {}: {}", cache.display(), failure.message);
            *failure = Failure::new(Class::Space, text);
        }
    }
}

/// Whether the file system has no room, or can take no more files. What cannot be looked at is not full.
fn is_full(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|disk| {
        // Root may use what is kept back from others.
        let free = if rustix::process::geteuid().is_root() { disk.f_bfree } else { disk.f_bavail };
        // Some file systems do not count files.
        let takes_files = disk.f_files == 0 || disk.f_ffree > 0;
        free.saturating_mul(disk.f_frsize) < ROOM || !takes_files
    })
}
