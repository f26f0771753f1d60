//! The lock that a whole `refresh` or `apply` holds.

use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::system::files::distrust_way;
use crate::system::lock_holders;
use crate::system::time::Time;
use anyhow::{Context, Result};
use fs2::FileExt;
use rustix::fs::{FlockOperation, MemfdFlags, OFlags, fcntl_lock, memfd_create};
use rustix::io::Errno;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Proof that this process alone may write the state. The file is opened, never replaced, never
/// removed: replacing it would let two holders in. It is close-on-exec, so no child holds it.
#[derive(Debug)]
pub struct Lock {
    file: File,
    dir: PathBuf,
    watch: Watch,
    /// Who held it before and did not release it: a run that was killed.
    left_by: Option<Holder>,
    /// Shows that this process holds the lock even if the file was removed or replaced.
    _mark: OwnedFd,
}

/// The permissions of the lock file.
const MODE: u32 = 0o600;

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
    /// Takes the lock of a state directory without waiting; `None` if another process holds it. A missing directory is
    /// made.
    ///
    /// # Errors
    /// When the directory cannot be made or is not safe to write to, or the lock file cannot be
    /// opened or locked.
    pub fn try_acquire(dir: &Path, command: &str) -> Result<Option<Lock>> {
        // Checked before anything is made there, and again after that.
        trust(dir)?;
        std::fs::create_dir_all(dir).with_context(|| format!("could not create {}", dir.display()))?;
        trust(dir)?;
        let path = dir.join("lock");
        let mut file = open(&path).with_context(|| format!("could not open {}", path.display()))?;
        match file.try_lock_exclusive() {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("could not lock {}", path.display()));
            }
        }
        // A run that ends by itself removes its name.
        let mut before = String::new();
        let left_by = (&mut file).take(256).read_to_string(&mut before).ok().and_then(|_| named_in(&before));
        // The text only tells others whom they wait for: a full disk must not stop the run.
        let text = format!("{} {command} {}\n", std::process::id(), Time::now());
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        let meta = file.metadata()?;
        let mark = lock_holders::Mark::of(dir)?;
        let made = memfd_create(mark.name(), MemfdFlags::CLOEXEC).context("could not mark this process")?;
        let watch = Watch { path, file: (meta.dev(), meta.ino()) };
        let lock = Lock { file, dir: dir.to_path_buf(), watch, left_by, _mark: made };
        // The lock is not ours if the file was removed or replaced before we locked it, or was removed while its
        // holder goes on.
        let is_alone = lock.watch.check().is_ok() && !mark.is_anothers();
        Ok(is_alone.then_some(lock))
    }

    /// The directory this lock guards.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Who held it before and did not release it: a run that was killed, or that went down with the machine.
    pub fn left_by(&self) -> Option<&Holder> {
        self.left_by.as_ref()
    }

    /// What shows whether it still keeps others out.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }
}

/// Whether the locked file is still the one that others would lock. An administrator can remove or replace it, or its
/// directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    path: PathBuf,
    /// Device and number.
    file: (u64, u64),
}

impl Watch {
    /// Checks that it is.
    ///
    /// # Errors
    /// When it is not: another linux-patch may be at work, and nothing of ours may be written any more.
    pub fn check(&self) -> Result<(), Failure> {
        let found = std::fs::symlink_metadata(&self.path).map(|meta| (meta.dev(), meta.ino()));
        if found.is_ok_and(|found| found == self.file) {
            return Ok(());
        }
        let text = format!(
            "the lock {} was removed or replaced during this run, so that another may have begun: this one stops \
             and saves nothing; leave the file alone, and run it again",
            self.path.display()
        );
        Err(Failure::new(Class::Lock, text))
    }
}

fn trust(dir: &Path) -> Result<()> {
    match distrust_way(dir) {
        Some(reason) => anyhow::bail!("state directory not used: {reason}"),
        None => Ok(()),
    }
}

/// Only a user who may write the state may lock it. If the file is a named pipe, nobody is waited for. On a read-only
/// file system an existing lock file still keeps others out.
fn open(path: &Path) -> std::io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    let made = options.clone().write(true).create(true).truncate(false).mode(MODE).open(path);
    let file = match made {
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => options.open(path).map_err(|_| error),
        other => other,
    }?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    if meta.mode() & 0o7777 != MODE {
        // On a read-only file system it stays as it is.
        let _ = file.set_permissions(Permissions::from_mode(MODE));
    }
    Ok(file)
}

/// A short lock for replacing the state, where the whole [`Lock`] would keep others from a run. It is a record lock of
/// fcntl(2) on the same file, which does not interfere with flock(2), and is held as long as this value lives.
#[derive(Debug)]
pub struct Moment {
    file: File,
}

impl Moment {
    /// Takes it, with a look at it once in each pause; `None` if other processes hold it for longer than `patience`, or the
    /// directory is not safe.
    pub fn take(dir: &Path, pause: Duration, patience: Duration) -> Option<Moment> {
        trust(dir).ok()?;
        let file = open(&dir.join("lock")).ok()?;
        let end = Instant::now() + patience;
        loop {
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Some(Moment { file }),
                Err(Errno::AGAIN | Errno::ACCESS) if Instant::now() < end => std::thread::sleep(pause),
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        // Closing the file releases it too.
        let _ = fcntl_lock(&self.file, FlockOperation::Unlock);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // So that the text names nobody after the lock is free. Closing the file releases it.
        let _ = self.file.set_len(0);
    }
}

/// Who holds the lock, by its text. `None` if the named process does not hold it: a killed one leaves its name.
pub fn holder(dir: &Path) -> Option<Holder> {
    let mut text = String::new();
    let flags = OFlags::NONBLOCK.bits() as i32;
    let path = dir.join("lock");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).ok()?;
    file.take(256).read_to_string(&mut text).ok()?;
    let named = named_in(&text)?;
    lock_holders::has_lock(named.pid, &path).then_some(named)
}

/// `4711 apply 2026-05-27T13:00:00Z`
fn named_in(text: &str) -> Option<Holder> {
    let mut words = text.split_whitespace();
    Some(Holder {
        pid: words.next()?.parse().ok()?,
        command: words.next()?.to_string(),
        since: words.next()?.to_string(),
    })
}

/// Names the process that is waited for, once it is known. A holder writes its name just after it has taken the lock;
/// if there is no name after a second, there will be none.
pub fn holder_to_tell(dir: &Path, waited: Duration) -> Option<String> {
    let named = holder(dir).map(|named| named.to_string());
    named.or_else(|| (waited >= Duration::from_secs(1)).then(|| holder_words(dir)))
}

/// Names the holder of the lock in words.
pub fn holder_words(dir: &Path) -> String {
    let path = dir.join("lock");
    let other = || lock_holders::of(&[path.to_str()?]);
    let named = holder(dir).map(|named| named.to_string());
    named.or_else(other).unwrap_or_else(|| "another process".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a free lock. A child that another test's thread is just starting may hold it for a moment longer.
    fn taken(dir: &Path, command: &str) -> Lock {
        for _ in 0..1000 {
            if let Some(lock) = Lock::try_acquire(dir, command).unwrap() {
                return lock;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the lock is not free");
    }

    #[test]
    fn only_one_holder_at_a_time_and_its_name_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = taken(dir.path(), "refresh");
        assert!(Lock::try_acquire(dir.path(), "apply").unwrap().is_none());
        let named = holder(dir.path()).unwrap();
        assert_eq!((named.pid, &*named.command), (std::process::id(), "refresh"));
        drop(lock);
        assert_eq!(holder(dir.path()), None);
        taken(dir.path(), "apply");
    }

    #[test]
    fn only_who_may_write_the_state_may_lock_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mode = || path.metadata().unwrap().permissions().mode() & 0o7777;
        drop(taken(dir.path(), "refresh"));
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        drop(taken(dir.path(), "refresh"));
        assert_eq!(mode(), 0o600, "one that is there is put right");
    }

    #[test]
    fn a_lock_that_was_removed_or_replaced_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = taken(dir.path(), "refresh");
        lock.watch().check().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(lock.watch().check().unwrap_err().class, Class::Lock);
        std::fs::write(&path, "").unwrap();
        assert!(lock.watch().check().is_err(), "another file");
    }

    #[test]
    fn the_moment_of_a_write_is_in_nobodys_way_who_takes_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let take = || Moment::take(dir.path(), Duration::ZERO, Duration::ZERO);
        let moment = take().unwrap();
        let lock = taken(dir.path(), "apply");
        drop(moment);
        assert!(take().is_some(), "nor is the lock in its way");
        drop(lock);
    }

    #[test]
    fn a_lock_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("lock")).unwrap();
        assert!(Lock::try_acquire(dir.path(), "apply").is_err());
    }
}
