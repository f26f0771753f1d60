//! The few file operations whose order matters.

use anyhow::{Context, Result};
use std::fs::{File, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Replaces `dir/name` by `content` so that a reader, and a crash at any moment, sees the old
/// file or the new one: temporary file in the same directory, fsync, rename, fsync of the
/// directory. Only one writer at a time may use it on one directory (the holder of the lock),
/// so the temporary file has a fixed name and a crash leaves at most one behind.
///
/// # Errors
/// The step that failed and the path; the old file is then untouched.
pub fn write_atomic(dir: &Path, name: &str, content: &[u8]) -> Result<()> {
    replace(dir, name, &format!(".{name}.new"), content)
}

/// Likewise, by a temporary file of this name.
///
/// # Errors
/// The step that failed and the path; the old file is then untouched.
pub fn replace(dir: &Path, name: &str, temporary: &str, content: &[u8]) -> Result<()> {
    let temporary = dir.join(temporary);
    let target = dir.join(name);
    remove_if_there(&temporary)?;
    let written = (|| {
        // create_new is O_EXCL: a link that somebody left under that name is never followed.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&temporary)
            .with_context(|| format!("could not create {}", temporary.display()))?;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))
            .and_then(|()| file.write_all(content))
            .and_then(|()| file.sync_all())
            .with_context(|| format!("could not write {}", temporary.display()))?;
        std::fs::rename(&temporary, &target)
            .with_context(|| format!("could not replace {}", target.display()))
    })();
    if written.is_err() {
        // Best effort: the error that counts is the one above.
        let _ = std::fs::remove_file(&temporary);
        return written;
    }
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("could not sync {}", dir.display()))
}

/// Why nobody should write into a directory as this user: what is in it could be another user's
/// trap. `None` where it is a directory of our own, or of root, that nobody else can write to.
pub fn distrust(dir: &Path) -> Option<String> {
    // Without a slash at the end, which would follow the link.
    let dir: PathBuf = dir.components().collect();
    let shown = dir.display();
    let meta = std::fs::symlink_metadata(&dir).ok()?;
    let us = rustix::process::geteuid().as_raw();
    if meta.is_symlink() {
        return Some(format!("{shown} is a symbolic link; name the directory itself with --state-dir"));
    }
    if meta.uid() != us && meta.uid() != 0 {
        return Some(format!("{shown} belongs to user {}, not to us; chown it or name another", meta.uid()));
    }
    let by_group = meta.mode() & 0o020 != 0 && us == 0 && meta.gid() != 0;
    (meta.mode() & 0o002 != 0 || by_group)
        .then(|| format!("{shown} can be written to by others; chmod 755 it or name another"))
}

/// Removes a file; one that is not there is no error.
///
/// # Errors
/// Any other reason why it could not be removed.
pub fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// A short text that changes whenever one of `paths`, or a file directly in one of them that is
/// a directory, is added, removed or rewritten. It costs a stat each and reads no content. `*`
/// stands for any name.
pub fn fingerprint(paths: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    for path in paths.iter().flat_map(|path| places(path)) {
        for (path, meta) in files(&path) {
            (path, meta.len(), meta.mtime(), meta.mtime_nsec()).hash(&mut hasher);
        }
    }
    format!("{:016x}", hasher.finish())
}

/// The latest modification time (seconds since 1970) of `paths`, their files when they are
/// directories, and those directories themselves; `None` when none of them exists.
pub fn newest_change(paths: &[&str]) -> Option<i64> {
    paths
        .iter()
        .flat_map(|path| {
            let own = std::fs::metadata(path).ok().map(|meta| meta.mtime());
            let inner = files(Path::new(path)).into_iter();
            own.into_iter().chain(inner.map(|(_, meta)| meta.mtime()))
        })
        .max()
}

fn places(path: &str) -> Vec<PathBuf> {
    match path.contains('*') {
        true => glob::glob(path).into_iter().flatten().flatten().collect(),
        false => vec![PathBuf::from(path)],
    }
}

/// `path` itself when it is a file, else the plain files directly in it, sorted by name.
fn files(path: &Path) -> Vec<(PathBuf, Metadata)> {
    let Ok(meta) = std::fs::metadata(path) else {
        return Vec::new();
    };
    if !meta.is_dir() {
        return vec![(path.to_path_buf(), meta)];
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let meta = std::fs::metadata(entry.path()).ok()?;
            (meta.is_file() && !is_note(&entry.file_name().to_string_lossy())).then(|| (entry.path(), meta))
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

/// Lock files, and what dnf writes down for itself at every run, say nothing about the index
/// beside them.
fn is_note(name: &str) -> bool {
    name == "lock" || name.ends_with(".pid") || name.ends_with(".json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_file_and_leaves_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".state.json.new"), "left by a crash").unwrap();
        write_atomic(dir.path(), "state.json", b"one").unwrap();
        write_atomic(dir.path(), "state.json", b"two").unwrap();
        let names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["state.json"]);
        let path = dir.path().join("state.json");
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_link_under_the_temporary_name_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(".state.json.new")).unwrap();
        write_atomic(dir.path(), "state.json", b"new").unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    }

    #[test]
    fn only_a_directory_that_others_cannot_write_to_is_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        assert_eq!(distrust(&own), None);
        std::fs::create_dir(&own).unwrap();
        let set = |mode| std::fs::set_permissions(&own, std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o755);
        assert_eq!(distrust(&own), None);
        set(0o1777);
        assert!(distrust(&own).unwrap().contains("by others"));
        set(0o700);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        for path in [link.clone(), link.join("")] {
            assert!(distrust(&path).unwrap().contains("symbolic link"), "{}", path.display());
        }
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&own, Some(65534), None).unwrap();
            assert!(distrust(&own).unwrap().contains("user 65534"));
            std::os::unix::fs::chown(&own, Some(0), Some(65534)).unwrap();
            assert_eq!(distrust(&own), None);
            set(0o775);
            assert!(distrust(&own).unwrap().contains("by others"));
        }
    }

    #[test]
    fn a_fingerprint_sees_files_added_rewritten_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let empty = fingerprint(&[path, "/does/not/exist"]);
        std::fs::write(dir.path().join("a.list"), "x").unwrap();
        let one = fingerprint(&[path]);
        std::fs::write(dir.path().join("a.list"), "xy").unwrap();
        let longer = fingerprint(&[path]);
        std::fs::write(dir.path().join("lock"), "").unwrap();
        assert_eq!(longer, fingerprint(&[path]));
        std::fs::remove_file(dir.path().join("a.list")).unwrap();
        assert!(empty != one && one != longer);
        assert_eq!(fingerprint(&[path]), empty);
    }
}
