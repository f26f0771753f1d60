//! The few file operations whose order matters.

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, fsync, openat, readlinkat, renameat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// Replaces `dir/name` by `content` so that a reader, and a crash at any moment, sees the old
/// file or the new one: temporary file in the same directory, fsync, rename, fsync of the
/// directory. Only one writer at a time may use it on one directory (the holder of the lock),
/// so the temporary file has a fixed name and a crash leaves at most one behind.
///
/// # Errors
/// The step that failed and the path; the old file is then untouched.
pub fn write_atomic(dir: &Path, name: &str, content: &[u8]) -> Result<()> {
    let opened = openat(CWD, dir, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let opened = opened.with_context(|| format!("could not open {}", dir.display()))?;
    replace((&opened, dir), name, &format!(".{name}.new"), content)
}

/// Likewise, in a directory that was opened and is called so, by a temporary file of this name.
///
/// # Errors
/// The step that failed and the path; the old file is then untouched.
pub fn replace((dir, shown): (&OwnedFd, &Path), name: &str, temporary: &str, content: &[u8]) -> Result<()> {
    remove_in(dir, temporary)
        .with_context(|| format!("could not remove {}", shown.join(temporary).display()))?;
    let written = (|| {
        // EXCL: a link that somebody left under that name is never followed.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let file = openat(dir, temporary, flags, mode)
            .with_context(|| format!("could not create {}", shown.join(temporary).display()))?;
        let mut file = File::from(file);
        file.set_permissions(std::fs::Permissions::from_mode(0o644))
            .and_then(|()| file.write_all(content))
            .and_then(|()| file.sync_all())
            .with_context(|| format!("could not write {}", shown.join(temporary).display()))?;
        renameat(dir, temporary, dir, name)
            .with_context(|| format!("could not replace {}", shown.join(name).display()))
    })();
    if written.is_err() {
        // Best effort: the error that counts is the one above.
        let _ = remove_in(dir, temporary);
        return written;
    }
    fsync(dir).with_context(|| format!("could not sync {}", shown.display()))
}

fn remove_in(dir: &OwnedFd, name: &str) -> Result<(), Errno> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

/// Replaces a file that several may write at once, each by a temporary file of its own. Those of
/// processes that were killed over it are removed.
///
/// # Errors
/// The step that failed and the path; the old file is then untouched.
pub fn replace_shared(dir: &Path, name: &str, content: &[u8]) -> Result<()> {
    let opened = open_directory(dir)?;
    let number = |file: &str| file.strip_prefix(&format!(".{name}."))?.parse::<i32>().ok();
    let is_gone = |pid| {
        let process = Pid::from_raw(pid);
        process.is_some_and(|process| test_kill_process(process) == Err(Errno::SRCH))
    };
    for entry in Dir::read_from(&opened).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy();
        if number(&file).is_some_and(is_gone) {
            // Best effort: it is only in the way of people who look.
            let _ = remove_in(&opened, &file);
        }
    }
    replace((&opened, dir), name, &format!(".{name}.{}", std::process::id()), content)
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

/// Likewise, and why another user could put something else in its place while we work: for root, who
/// would write there what was meant for here, also a directory above it that is not root's own.
pub fn distrust_way(dir: &Path) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return distrust(dir);
    }
    let above = walk(dir, &mut |shown, stat, is_last| {
        let others_write = stat.st_mode & 0o002 != 0 || (stat.st_mode & 0o020 != 0 && stat.st_gid != 0);
        // In a sticky directory only the owner of a name can take it away.
        let is_open = others_write && stat.st_mode & 0o1000 == 0 && !is_link(stat);
        let shown = shown.display();
        match () {
            () if is_last => Ok(()),
            () if !is_trusted(stat.st_uid) => bail!("{shown} belongs to user {}", stat.st_uid),
            () if is_open => bail!("{shown} can be written to by others"),
            () => Ok(()),
        }
    });
    let reason = above.err().map(|why| {
        let dir = dir.display();
        format!("{why:#}, so that something else could be put in the place of {dir}; name another directory")
    });
    reason.or_else(|| distrust(dir))
}

/// Opens a directory to write files in it. The way there is what root or we have made it: a link of
/// another user's is not followed.
///
/// # Errors
/// When it is not there, or only by such a link.
pub fn open_directory(dir: &Path) -> Result<OwnedFd> {
    let found = walk(dir, &mut |shown, stat, _| {
        let theirs = is_link(stat) && !is_trusted(stat.st_uid);
        ensure!(!theirs, "{} is a link of user {}, and not followed", shown.display(), stat.st_uid);
        Ok(())
    })?;
    let open = |at: OwnedFd| openat(at, c".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let opened = found.ok_or(Errno::NOENT).and_then(open);
    opened.with_context(|| format!("could not open {}", dir.display()))
}

fn is_link(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_symlink()
}

/// Root, ourselves, and whoever has the root directory: a container may show root as somebody else.
fn is_trusted(uid: u32) -> bool {
    let of_root = || std::fs::metadata("/").is_ok_and(|meta| meta.uid() == uid);
    uid == 0 || uid == rustix::process::geteuid().as_raw() || of_root()
}

/// Goes to a directory one name after the other and shows each directory and link on the way; `None`
/// where the way ends before. Nothing that is renamed meanwhile leads elsewhere.
///
/// # Errors
/// Those of `visit`, and when something is in the way.
fn walk(dir: &Path, visit: &mut dyn FnMut(&Path, &Stat, bool) -> Result<()>) -> Result<Option<OwnedFd>> {
    const MOST_LINKS: usize = 40;
    let names = |path: &Path| -> Vec<_> {
        let names = path.components().rev().filter(|part| !matches!(part, Component::RootDir));
        names.map(|part| part.as_os_str().to_owned()).collect()
    };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = || openat(CWD, c"/", flags, Mode::empty());
    let dir = std::path::absolute(dir)?;
    let (mut at, mut shown, mut rest, mut links) = (root()?, PathBuf::from("/"), names(&dir), 0);
    loop {
        let stat = fstat(&at)?;
        visit(&shown, &stat, rest.is_empty())?;
        let Some(name) = rest.pop() else { return Ok(Some(at)) };
        let next = match openat(&at, name.as_os_str(), flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            next => next.with_context(|| format!("could not open {}", shown.join(&name).display()))?,
        };
        let stat = fstat(&next)?;
        if !is_link(&stat) {
            (at, shown) = (next, shown.join(name));
            continue;
        }
        links += 1;
        ensure!(links <= MOST_LINKS, "{} leads through too many links", dir.display());
        visit(&shown.join(&name), &stat, false)?;
        let target = PathBuf::from(OsString::from_vec(readlinkat(&next, c"", Vec::new())?.into_bytes()));
        if target.is_absolute() {
            (at, shown) = (root()?, PathBuf::from("/"));
        }
        rest.extend(names(&target));
    }
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

/// Removes whatever is there, in a directory of ours. No link is followed.
///
/// # Errors
/// When there is something that cannot be removed.
pub fn remove_whatever(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => {
            std::fs::remove_dir_all(path).with_context(|| format!("could not remove {}", path.display()))
        }
        _ => remove_if_there(path),
    }
}

/// Makes a directory that everybody may read and nobody else may write in. One that is there must
/// be such a directory: a link that somebody left under that name is never followed.
///
/// # Errors
/// When it cannot be made, or what is there is not such a directory.
pub fn own_directory(path: &Path) -> Result<()> {
    match std::fs::DirBuilder::new().mode(0o755).create(path) {
        // Whatever the umask: a manager may download as another user.
        Ok(()) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
            .with_context(|| format!("could not change the mode of {}", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("could not create {}", path.display())),
    }
    match distrust(path) {
        Some(why) => bail!(why),
        None if !path.is_dir() => bail!("{} is not a directory", path.display()),
        None => Ok(()),
    }
}

/// Makes a link, or corrects one that leads elsewhere. Anything else under its name stays: it may be
/// what the link is to lead to.
///
/// # Errors
/// When it cannot be made, or something else is there.
pub fn own_link(path: &Path, target: &Path) -> Result<()> {
    match std::fs::read_link(path) {
        Ok(found) if found == target => return Ok(()),
        Ok(_) => remove_if_there(path)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{} is not a link", path.display())),
    }
    symlink(target, path).with_context(|| format!("could not create {}", path.display()))
}

/// A short text that changes whenever one of `paths`, or a file directly in one of them that is
/// a directory, is added, removed or rewritten. It costs a stat each and reads no content. Its last name
/// may be a pattern like `*.list`, for a directory of which a manager reads only such files; elsewhere `*`
/// stands for any name. A path with a slash at its end is the directory alone, where that changes with
/// what is in it.
pub fn fingerprint(paths: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    for (path, meta) in files_of(paths) {
        (path, meta.len(), meta.mtime(), meta.mtime_nsec()).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// Likewise, for what is kept as long as it stays the same: also of files that were given an old time.
pub fn exact_fingerprint(paths: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    for (path, meta) in files_of(paths) {
        (path, meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ino(), meta.ctime(), meta.ctime_nsec())
            .hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// The files that are there of such paths.
pub fn files_of(paths: &[&str]) -> Vec<(PathBuf, Metadata)> {
    paths.iter().flat_map(|path| files(path)).collect()
}

/// The latest modification time (seconds since 1970) of `paths`, their files when they are
/// directories, and those directories themselves; `None` when none of them exists.
pub fn newest_change(paths: &[&str]) -> Option<i64> {
    let of = |path: &&str| {
        let own = std::fs::metadata(path).ok().map(|meta| meta.mtime());
        own.into_iter().chain(files(path).into_iter().map(|(_, meta)| meta.mtime()))
    };
    paths.iter().flat_map(of).max()
}

/// The files that such a path stands for, sorted by name.
fn files(path: &str) -> Vec<(PathBuf, Metadata)> {
    let (dir, name) = path.rsplit_once('/').unwrap_or((".", path));
    match name.strip_prefix('*') {
        Some(end) if !dir.contains('*') && end.starts_with('.') => {
            let is_apts = [".list", ".sources"].contains(&end);
            files_in(Path::new(dir), |name| {
                name.ends_with(end) && !name.starts_with('.') && (!is_apts || is_name_for_apt(name))
            })
        }
        _ if path.contains(['*', '?', '[']) => {
            let found = glob::glob(path).into_iter().flatten().flatten();
            found.flat_map(|path| files_at(&path)).collect()
        }
        _ => files_at(Path::new(path)),
    }
}

/// `path` itself when it is a file or ends with a slash, else the plain files directly in it.
fn files_at(path: &Path) -> Vec<(PathBuf, Metadata)> {
    match std::fs::metadata(path) {
        Err(_) => Vec::new(),
        Ok(meta) if !meta.is_dir() || path.as_os_str().as_bytes().ends_with(b"/") => {
            vec![(path.to_path_buf(), meta)]
        }
        Ok(_) => files_in(path, |name| {
            (!is_note(name) || is_setting(path, name)) && !is_leftover(name) && is_read_in(path, name)
        }),
    }
}

fn files_in(dir: &Path, is_read: impl Fn(&str) -> bool) -> Vec<(PathBuf, Metadata)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .filter(|entry| is_read(&entry.file_name().to_string_lossy()))
        .filter_map(|entry| Some((entry.path(), std::fs::metadata(entry.path()).ok()?)))
        .filter(|(_, meta)| meta.is_file())
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

/// Lock files, and what dnf writes down for itself at every run, say nothing about the index
/// beside them.
fn is_note(name: &str) -> bool {
    name == "lock" || name.ends_with(".pid") || name.ends_with(".json")
}

/// Whether the file is one of a directory such as apt.conf.d, all of which are read: a name there means nothing.
fn is_setting(dir: &Path, name: &str) -> bool {
    name == "lock" && dir.extension().is_some_and(|end| end == "d")
}

/// Whether apt reads a file with this name in such a directory of its settings: with the end that belongs there, or
/// none.
fn is_read_in(dir: &Path, name: &str) -> bool {
    let end = match dir.file_name().and_then(|dir| dir.to_str()) {
        Some("apt.conf.d") => "conf",
        Some("preferences.d") => "pref",
        _ => return true,
    };
    is_name_for_apt(name) && name.rsplit_once('.').is_none_or(|(_, found)| found == end)
}

/// Whether apt reads files with such names: others it passes over, with a note or without.
fn is_name_for_apt(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-:.".contains(&byte))
}

/// What a package manager or an editor puts beside a file of configuration, for people.
fn is_leftover(name: &str) -> bool {
    const ENDS: [&str; 22] = [
        "~",
        ".bak",
        ".backup",
        ".old",
        ".orig",
        ".save",
        ".swp",
        ".tmp",
        ".dpkg-dist",
        ".dpkg-new",
        ".dpkg-old",
        ".dpkg-tmp",
        ".dpkg-bak",
        ".ucf-dist",
        ".ucf-new",
        ".ucf-old",
        ".rpmnew",
        ".rpmsave",
        ".rpmorig",
        ".pacnew",
        ".pacorig",
        ".apk-new",
    ];
    // pacman numbers what it saves a second time.
    name.starts_with('.') || name.contains(".pacsave") || ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
