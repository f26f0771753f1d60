//! The lock that a whole `refresh` or `apply` holds.

use crate::fs::distrust;
use crate::holder;
use crate::time::Time;
use anyhow::{Context, Result};
use fs2::FileExt;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Proof that this process alone may write the state. The file is opened, never replaced, never
/// removed: replacing it would let two holders in. It is close-on-exec, so no child holds it.
#[derive(Debug)]
pub struct Lock {
    file: File,
    dir: PathBuf,
}

/// Who holds the lock, as its text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process number.
    pub pid: u32,
    /// `refresh` or `apply`.
    pub command: String,
    /// When it took the lock, RFC 3339.
    pub since: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Holder { pid, command, since } = self;
        write!(f, "linux-patch {command}, process {pid}, since {since}")
    }
}

impl Lock {
    /// Takes the lock of a state directory without waiting; `None` when somebody else holds it.
    /// The directory is made if it is not there.
    ///
    /// # Errors
    /// When the directory cannot be made or is not safe to write to, or the lock file cannot be
    /// opened or locked.
    pub fn try_acquire(dir: &Path, command: &str) -> Result<Option<Lock>> {
        std::fs::create_dir_all(dir).with_context(|| format!("could not create {}", dir.display()))?;
        if let Some(reason) = distrust(dir) {
            anyhow::bail!("state directory not used: {reason}");
        }
        let path = dir.join("lock");
        let mut file = open(&path).with_context(|| format!("could not open {}", path.display()))?;
        anyhow::ensure!(file.metadata().is_ok_and(|meta| meta.is_file()), "{} is not a file", path.display());
        match file.try_lock_exclusive() {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("could not lock {}", path.display()));
            }
        }
        // The text only tells others who to wait for: a full disk must not stop the run.
        let text = format!("{} {command} {}\n", std::process::id(), Time::now());
        let _ = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
        Ok(Some(Lock { file, dir: dir.to_path_buf() }))
    }

    /// The directory this lock guards.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Nothing is waited for, should it be a named pipe. On a read-only file system a lock that is there
/// keeps others out all the same.
fn open(path: &Path) -> std::io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    let made = options.clone().write(true).create(true).truncate(false).mode(0o644).open(path);
    match made {
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => options.open(path).map_err(|_| error),
        other => other,
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // So that nobody is named after the lock is free; closing the file frees it.
        let _ = self.file.set_len(0);
    }
}

/// Who holds the lock, by its text. `None` where that names a process which does not: one that was
/// killed leaves its name behind.
pub fn holder(dir: &Path) -> Option<Holder> {
    let mut text = String::new();
    let flags = OFlags::NONBLOCK.bits() as i32;
    let path = dir.join("lock");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).ok()?;
    file.take(256).read_to_string(&mut text).ok()?;
    let mut words = text.split_whitespace();
    let named = Holder {
        pid: words.next()?.parse().ok()?,
        command: words.next()?.to_string(),
        since: words.next()?.to_string(),
    };
    holder::has_lock(named.pid, &path).then_some(named)
}

/// Names who holds the lock, for people.
pub fn holder_words(dir: &Path) -> String {
    let path = dir.join("lock");
    let other = || holder::of(&[path.to_str()?]);
    let named = holder(dir).map(|named| named.to_string());
    named.or_else(other).unwrap_or_else(|| "another process".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holder_at_a_time_and_its_name_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
        assert!(Lock::try_acquire(dir.path(), "apply").unwrap().is_none());
        let named = holder(dir.path()).unwrap();
        assert_eq!((named.pid, &*named.command), (std::process::id(), "refresh"));
        drop(lock);
        assert_eq!(holder(dir.path()), None);
        assert!(Lock::try_acquire(dir.path(), "apply").unwrap().is_some());
    }

    #[test]
    fn a_lock_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("lock")).unwrap();
        assert!(Lock::try_acquire(dir.path(), "apply").is_err());
    }
}
