//! Files: replaced and removed so that a crash and other users do no harm, compared, and read within limits.

use anyhow::{Context, Result, bail, ensure};
use log::warn;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, StatVfsMountFlags, fstat, fsync, openat, readlinkat,
    renameat, statvfs, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::ffi::OsString;
use std::fs::{File, Metadata, ReadDir};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek, SeekFrom, Write};
use std::iter::Flatten;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// Replaces `dir/name` with `content`, so that a reader always sees the old file or the new one, also after a crash:
/// temporary file in the same directory, fsync, rename, fsync of the directory. The temporary file has a fixed name, so
/// a crash leaves at most one. Therefore only one process at a time may do this in a directory: the holder of the lock.
///
/// # Errors
/// The step that failed and the path; the old file is then untouched.
pub fn write_atomic(dir: &Path, name: &str, content: &[u8]) -> Result<()> {
    let opened = openat(CWD, dir, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let opened = opened.with_context(|| format!("could not open {}", dir.display()))?;
    replace((&opened, dir), name, &format!(".{name}.new"), content)
}

/// Replaces a file like that, in a directory that is already open under this name, with this name for the temporary
/// file.
///
/// # Errors
/// The step that failed and the path; the old file is then untouched.
pub fn replace((dir, shown): (&OwnedFd, &Path), name: &str, temporary: &str, content: &[u8]) -> Result<()> {
    remove_in(dir, temporary)
        .with_context(|| format!("could not remove {}", shown.join(temporary).display()))?;
    let written = (|| {
        // EXCL: a link that somebody left under this name is not followed.
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
        // Best effort: the error above is the one to report.
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

/// Replaces a file that several processes may write at once, each with a temporary file of its own. Removes the
/// temporary files of processes that were killed.
///
/// # Errors
/// The step that failed and the path; the old file is then untouched.
pub fn replace_shared(dir: &Path, name: &str, content: &[u8]) -> Result<()> {
    let opened = open_directory(dir)?;
    // With the number behind it the whole name would be too long.
    let start = format!(".{}.", name.chars().take(60).collect::<String>());
    let number = |file: &str| file.strip_prefix(&start)?.parse::<i32>().ok();
    let is_gone = |pid| {
        let process = Pid::from_raw(pid);
        process.is_some_and(|process| test_kill_process(process) == Err(Errno::SRCH))
    };
    for entry in Dir::read_from(&opened).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy();
        if number(&file).is_some_and(is_gone) {
            // Best effort: the leftovers only disturb people who look there.
            let _ = remove_in(&opened, &file);
        }
    }
    replace((&opened, dir), name, &format!("{start}{}", std::process::id()), content)
}

/// Why nobody should write into a directory as this user: its content could be another user's trap. `None` if the
/// directory is ours or root's, and nobody else can write to it.
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

/// Why such a directory is not to be trusted; for root also why another user could replace it while we work: a
/// directory above it that does not belong to root.
pub fn distrust_way(dir: &Path) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return distrust(dir);
    }
    let above = walk(dir, &mut |shown, stat, is_last| {
        let others_write = stat.st_mode & 0o002 != 0 || (stat.st_mode & 0o020 != 0 && stat.st_gid != 0);
        // In a sticky directory only the owner of a name can remove it.
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

/// Opens a directory to write files in it. Every step of the path must belong to root or to us: a link of another
/// user's is not followed.
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

/// Root, ourselves, and the owner of the root directory: in a container root may have another number.
fn is_trusted(uid: u32) -> bool {
    let of_root = || std::fs::metadata("/").is_ok_and(|meta| meta.uid() == uid);
    uid == 0 || uid == rustix::process::geteuid().as_raw() || of_root()
}

/// Goes to a directory one name at a time and shows each directory and link on the way to `visit`; `None` if the way
/// ends early. Renaming something meanwhile cannot lead it elsewhere.
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

/// Removes a file. If it does not exist, that is no error.
pub fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes a file if there is one; a reason why it could not be removed is only warned of.
pub fn remove_or_warn(path: &Path) {
    if let Err(error) = remove_if_there(path) {
        warn!("{error:#}");
    }
}

/// Removes whatever has this name, in a directory of ours. No link is followed.
pub fn remove_whatever(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => {
            std::fs::remove_dir_all(path).with_context(|| format!("could not remove {}", path.display()))
        }
        _ => remove_if_there(path),
    }
}

/// Makes a directory that everybody may read and only we may write to. An existing one must be such a directory; a link
/// under that name is not followed.
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

/// Makes a link, or corrects one that leads elsewhere. Anything else under its name stays: it may be what the link
/// should lead to.
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

/// A short text that changes whenever one of `paths` is added, removed or rewritten; for a directory also each file
/// directly in it. It calls stat for each and reads no content. The last name may be a pattern such as `*.list`, where
/// a manager reads only such files of a directory. Elsewhere a path may be any pattern of glob. A path with a slash at
/// its end is the directory alone, whose time changes with what is in it.
pub fn fingerprint(paths: &[&str]) -> String {
    hashed(paths, |meta| (meta.len(), meta.mtime(), meta.mtime_nsec()))
}

/// A fingerprint for what is kept as long as that stays the same. It also notices files that were given an old time.
pub fn exact_fingerprint(paths: &[&str]) -> String {
    let times =
        |meta: &Metadata| (meta.mtime(), meta.mtime_nsec(), meta.ino(), meta.ctime(), meta.ctime_nsec());
    hashed(paths, |meta| (meta.len(), times(meta)))
}

fn hashed<T: Hash>(paths: &[&str], what: impl Fn(&Metadata) -> T) -> String {
    let mut hasher = DefaultHasher::new();
    files_of(paths).iter().for_each(|(path, meta)| (path, what(meta)).hash(&mut hasher));
    format!("{:016x}", hasher.finish())
}

/// The end of a file, which may be long, with no more bytes than `most`.
pub fn end_of(mut file: File, most: u64) -> std::io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is in a directory; nothing where it cannot be read.
pub fn entries(dir: impl AsRef<Path>) -> Flatten<Flatten<std::result::IntoIter<ReadDir>>> {
    std::fs::read_dir(dir).into_iter().flatten().flatten()
}

/// The paths of what is in a directory, sorted.
pub fn paths_in(dir: impl AsRef<Path>) -> Vec<PathBuf> {
    let mut paths: Vec<_> = entries(dir).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The paths of what in a directory has this extension, such as `conf`, sorted.
pub fn with_extension_in(dir: impl AsRef<Path>, end: &str) -> Vec<PathBuf> {
    let all = paths_in(dir).into_iter();
    all.filter(|path| path.extension().is_some_and(|found| found == end)).collect()
}

/// The text of a configuration file. Nothing, where it cannot be read, or is larger than any such file.
pub fn small_text(path: &Path) -> String {
    const MOST_BYTES: u64 = 1 << 20;
    let is_fit = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= MOST_BYTES);
    let bytes = if is_fit { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether the file system of a directory is mounted read-only; `false` where it cannot be looked at.
pub fn is_read_only(dir: &Path) -> bool {
    statvfs(dir).is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// The existing files that such paths mean.
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

/// The beginning of a file, no more than so many bytes. A file that cannot be read has none.
pub fn beginning(file: &Path, most: u64) -> String {
    let mut bytes = Vec::new();
    let _ = File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a pattern means. As for glob(3) with `GLOB_NOCHECK`, one that nothing matches is a name.
pub fn globbed(pattern: &str) -> Vec<PathBuf> {
    let found: Vec<_> = glob::glob(pattern).into_iter().flatten().flatten().collect();
    if found.is_empty() { vec![PathBuf::from(pattern)] } else { found }
}

/// The files that such a path means, sorted by name.
fn files(path: &str) -> Vec<(PathBuf, Metadata)> {
    let (dir, name) = path.rsplit_once('/').unwrap_or((".", path));
    match name.strip_prefix('*') {
        Some(end) if !dir.contains('*') && end.starts_with('.') => {
            // apk takes any name.
            let is_apts = [".list", ".sources"].contains(&end) && !dir.ends_with("/apk/repositories.d");
            files_in(Path::new(dir), |name| {
                name.ends_with(end) && !name.starts_with('.') && (!is_apts || is_name_for_apt(name))
            })
        }
        _ if path.contains(['*', '?', '[']) => globbed(path).iter().flat_map(|path| files_at(path)).collect(),
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
    let mut files: Vec<_> = entries(dir)
        .filter(|entry| is_read(&entry.file_name().to_string_lossy()))
        .filter_map(|entry| Some((entry.path(), std::fs::metadata(entry.path()).ok()?)))
        .filter(|(_, meta)| meta.is_file())
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

/// Lock files, and what dnf writes for itself at every run, say nothing about the index beside them.
fn is_note(name: &str) -> bool {
    name == "lock" || name.ends_with(".pid") || name.ends_with(".json")
}

/// Whether the file is in a directory such as apt.conf.d, where all files are read and names have no meaning.
fn is_setting(dir: &Path, name: &str) -> bool {
    name == "lock" && dir.extension().is_some_and(|end| end == "d")
}

/// Whether apt reads a file with this name in such a directory: with the right extension, or with none.
fn is_read_in(dir: &Path, name: &str) -> bool {
    let end = match dir.file_name().and_then(|dir| dir.to_str()) {
        Some("apt.conf.d") => "conf",
        Some("preferences.d") => "pref",
        _ => return true,
    };
    is_name_for_apt(name) && name.rsplit_once('.').is_none_or(|(_, found)| found == end)
}

/// Whether apt reads files with such names. It skips others, with a message or without.
fn is_name_for_apt(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-:.".contains(&byte))
}

/// Files that a package manager or an editor leaves for people beside a configuration file.
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
