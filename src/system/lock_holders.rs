//! Who holds a lock file, by /proc/locks or by the file itself; whether a process that left its number still runs; and
//! the mark of a process that works on a state directory.

use crate::system::boot;
use crate::system::files::entries;
use crate::system::time::{Time, since_boot};
use rustix::fs::{AtFlags, CWD, StatxFlags};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When a process started, in ticks since the start of the machine; `None` if there is none with that number, it has
/// ended, or it cannot be seen.
pub fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let has_ended = fields.starts_with(['Z', 'X']);
    boot::ticks_at_start(&stat).filter(|_| !has_ended)
}

/// Whether a process with this start was running at a time, in seconds since 1970. The wall clock may have been
/// corrected by some seconds since.
pub fn started_before(ticks: u64, time: i64) -> bool {
    let ago = since_boot().saturating_sub(Duration::from_millis(ticks.saturating_mul(boot::TICK)));
    Time::now().unix().saturating_sub(ago.as_secs() as i64) <= time.saturating_add(3)
}

/// The name of our PID namespace; `None` where /proc does not say it.
pub fn pid_namespace() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// Names the process that holds one of `locks`: `process 3473 (apt-get update)`. `None` if none is held, or the holder
/// is in another PID namespace. /proc/locks (proc(5)) also gives device and inode, but on an overlay file system these
/// differ from those of stat(2). So the holder is found by its open files.
pub fn of(locks: &[&str]) -> Option<String> {
    let table = table().ok()?;
    let locks: Vec<_> = locks.iter().filter_map(|lock| identity(Path::new(lock))).collect();
    let own = std::process::id();
    let pids = table.lines().filter_map(pid);
    let mut holders = pids.filter(|pid| *pid != own && has_open(*pid, &locks));
    holders.next().map(describe)
}

/// Whether a process runs and holds any lock. The table alone may name a killed process: a child that it was just
/// starting keeps the lock until it becomes another program.
pub fn holds_a_lock(of: u32) -> bool {
    let table = table().unwrap_or_default();
    Path::new(&format!("/proc/{of}")).exists() && table.lines().filter_map(pid).any(|pid| pid == of)
}

/// Whether a process holds the lock on a file, as far as can be seen: it has the file open. For a process of another
/// user, only that it holds a lock can be seen.
pub fn has_lock(of: u32, path: &Path) -> bool {
    let can_be_seen = std::fs::read_dir(format!("/proc/{of}/fd")).is_ok();
    let file: Vec<_> = identity(path).into_iter().collect();
    started(of).is_some() && if can_be_seen { has_open(of, &file) } else { holds_a_lock(of) }
}

/// Identifies a state directory: the directory itself, whatever its name or mount, and its path, whatever is there now.
/// A process that works on it holds an unnamed file in memory with this name.
#[derive(Debug)]
pub struct Mark {
    name: String,
}

/// The name of every process with such a mark, so that other processes need not be looked at.
const CALLED: &str = "linux-patch";

impl Mark {
    /// The mark of an existing directory.
    pub fn of(dir: &Path) -> std::io::Result<Mark> {
        let dir = dir.canonicalize()?;
        let (own, above) = (dir.metadata()?, dir.parent().unwrap_or(&dir).metadata()?);
        let mut hasher = DefaultHasher::new();
        dir.file_name().hash(&mut hasher);
        let place = format!("{}:{}:{:x}", above.dev(), above.ino(), hasher.finish());
        // Others see only the name of the first thread.
        let _ = std::fs::write("/proc/self/comm", CALLED);
        Ok(Mark { name: format!("linux-patch {}:{} {place}", own.dev(), own.ino()) })
    }

    /// The name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether another process, of ours or of root's, has a mark for the same directory, or for one in its place. This
    /// looks at all processes, which takes some microseconds each. Reading `/proc/locks` would take the kernel 8 to 20
    /// milliseconds, and this is done in each run.
    pub fn is_anothers(&self) -> bool {
        let (own, us) = (std::process::id(), rustix::process::geteuid().as_raw());
        let is_called_so = |pid: u32| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == CALLED)
        };
        let has_it = |pid: u32| {
            // No other user can be in our way.
            let of = std::fs::metadata(format!("/proc/{pid}"));
            of.is_ok_and(|meta| [0, us].contains(&meta.uid())) && is_called_so(pid) && {
                let open = entries(format!("/proc/{pid}/fd"));
                let mut files = open.filter_map(|file| std::fs::read_link(file.path()).ok());
                files.any(|file| self.is_like(&file.to_string_lossy()))
            }
        };
        processes().any(|pid| pid != own && has_it(pid))
    }

    /// Whether a file with this name in /proc marks the same directory, or one in the same place.
    fn is_like(&self, file: &str) -> bool {
        let other = file.strip_prefix("/memfd:").and_then(|file| file.strip_suffix(" (deleted)"));
        let mut pairs = other.into_iter().flat_map(|other| other.split(' ').zip(self.name.split(' ')));
        pairs.next().is_some_and(|(theirs, ours)| theirs == ours)
            && pairs.any(|(theirs, ours)| theirs == ours)
    }
}

/// The numbers of all visible processes.
fn processes() -> impl Iterator<Item = u32> {
    entries("/proc").filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a process certainly holds no lock that the kernel knows of.
pub fn holds_no_lock(of: u32) -> bool {
    let table = table();
    table.is_ok_and(|table| !table.lines().filter_map(pid).any(|pid| pid == of))
}

/// Names the running process whose number is in one of `files`. A file of a dead process names nobody, even if another
/// process has its number now.
pub fn of_pid_files(files: &[&str]) -> Option<String> {
    in_pid_files(files).find(|(file, pid)| has_written(*pid, file)).map(|(_, pid)| describe(pid))
}

/// The file among `files` that has the number of a running process which started after the file was written, and that
/// process. Managers take it for the holder of their lock.
pub fn of_reused_number(files: &[&str]) -> Option<(String, String)> {
    let mut named = in_pid_files(files).filter(|(file, pid)| !has_written(*pid, file));
    named.next().map(|(file, pid)| (file.to_string(), describe(pid)))
}

/// The running processes whose numbers are in these files.
fn in_pid_files<'a>(files: &'a [&'a str]) -> impl Iterator<Item = (&'a str, u32)> {
    let named = files.iter().filter_map(|file| {
        let pid = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
        Some((*file, pid))
    });
    named.filter(|(_, pid)| *pid != std::process::id() && is_alive(*pid))
}

/// Whether a process was running when the file was written. The wall clock may have been set since, so a process that
/// has the file open, or has a manager's name, always counts as its writer.
fn has_written(pid: u32, file: &str) -> bool {
    const MANAGERS: [&str; 5] = ["dnf", "yum", "zypp", "packagekit", "YaST"];
    let path = Path::new(file);
    let written = std::fs::metadata(path).map(|meta| meta.mtime());
    started(pid).zip(written.ok()).is_some_and(|(start, written)| started_before(start, written))
        || MANAGERS.iter().any(|name| describe(pid).contains(name))
        || identity(path).is_some_and(|file| has_open(pid, &[file]))
}

/// Names a process that has one of `files` open, for locks that the kernel does not know of.
pub fn of_open_files(files: &[PathBuf]) -> Option<String> {
    let files: Vec<_> = files.iter().filter_map(|file| identity(file)).collect();
    if files.is_empty() {
        return None;
    }
    let own = std::process::id();
    processes().filter(|pid| *pid != own).find(|pid| has_open(*pid, &files)).map(describe)
}

/// Whether a lock file is there that no process has open.
pub fn is_left(lock: &Path) -> bool {
    // A process that releases the lock closes the file before it removes it.
    for _ in 0..3 {
        if !lock.exists() || of_open_files(&[lock.to_path_buf()]).is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

/// Whether a file was written before this machine started, so that no running process made it. `false` if machines may
/// share the file, or the boot is not known.
pub fn is_of_earlier_boot(file: &Path) -> bool {
    let written = std::fs::symlink_metadata(file).ok().filter(std::fs::Metadata::is_file);
    let is_earlier = written.is_some_and(|meta| !started_before(0, meta.mtime()));
    let is_ours = || rustix::fs::statfs(file).is_ok_and(|system| !is_shared(system.f_type as u64));
    is_earlier && !boot::boot_id().is_empty() && is_ours()
}

/// Whether several machines can share a file system of this kind.
fn is_shared(kind: u64) -> bool {
    // NFS, CIFS, SMB 2, Ceph, 9P, and FUSE with virtiofs.
    const SHARED: [u64; 6] = [0x6969, 0xff53_4d42, 0xfe53_4d42, 0x00c3_6400, 0x0102_1997, 0x6573_5546];
    // On 32 bits some of them are negative.
    SHARED.contains(&(kind & 0xffff_ffff))
}

/// A zombie has no command line, and holds nothing.
fn is_alive(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// All locks that the kernel knows of. The kernel gives the table in pieces. If it changes between two pieces, a lock
/// that is held all the time can be missing from both.
fn table() -> std::io::Result<String> {
    let mut file = std::fs::File::open("/proc/locks")?;
    let (mut table, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(String::from_utf8_lossy(&table).into_owned()),
            read => table.extend_from_slice(&piece[..read]),
        }
    }
}

/// `1: POSIX  ADVISORY  WRITE 3473 fe:00:12345 0 EOF`; a line with `->` is of a process that waits.
fn pid(line: &str) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    if words.next()? == "->" {
        return None;
    }
    words.nth(2)?.parse().ok()
}

/// Compared by the file itself, not by its name: a process in a container has a file with the same name.
fn has_open(pid: u32, locks: &[(u64, u64)]) -> bool {
    let mut files = entries(format!("/proc/{pid}/fd")).filter_map(|entry| identity(&entry.path()));
    files.any(|file| locks.contains(&file))
}

/// Asks no server of a file system for it: one that does not answer would hold us up for ever.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let known = rustix::fs::statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO);
    match known {
        Ok(known) => Some((rustix::fs::makedev(known.stx_dev_major, known.stx_dev_minor), known.stx_ino)),
        Err(rustix::io::Errno::NOENT) => None,
        // Linux before 4.11, and containers that forbid it.
        Err(_) => std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino())),
    }
}

/// A process in words: its number and up to 80 characters of its command line.
fn describe(pid: u32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    let mut words = line.trim().to_string();
    if let Some((at, _)) = words.char_indices().nth(80) {
        words.truncate(at);
        words.push_str("...");
    }
    format!("process {pid} ({words})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_live_process_holds_a_pid_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: String| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_string()
        };
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let live_pid = child.id();
        // For a moment it has none.
        while !is_alive(live_pid) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (live, dead, own) = (
            file("a", format!("{live_pid}\n")),
            file("b", "4194305".into()),
            file("c", std::process::id().to_string()),
        );
        let none = dir.path().join("none").display().to_string();
        assert_eq!(of_pid_files(&[&dead, &own, &none]), None);
        let holder = of_pid_files(&[&dead, &live]).unwrap();
        assert_eq!(holder, format!("process {live_pid} (sleep 60)"));
        assert_eq!(of_reused_number(&[&dead, &live]), None);
        // Written before a process with this number started, so by an earlier one.
        let old = std::time::SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::open(&live).unwrap().set_modified(old).unwrap();
        assert_eq!(of_pid_files(&[&dead, &live]), None);
        assert_eq!(of_reused_number(&[&dead, &live]), Some((live.clone(), holder)));
        let opened = std::fs::File::open(&live).unwrap();
        // It has no child that would outlive it.
        let mut manager = std::process::Command::new("sh")
            .args(["-c", "read line; : dnf"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = std::process::Command::new("sleep").arg("60").stdin(opened).spawn().unwrap();
        for process in [&mut manager, &mut reader] {
            std::fs::write(&live, process.id().to_string()).unwrap();
            std::fs::File::open(&live).unwrap().set_modified(old).unwrap();
            while !is_alive(process.id()) {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(of_reused_number(&[&live]), None, "the clock was set, or it started anew");
            process.kill().unwrap();
            process.wait().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_was_written_before_the_boot_is_of_an_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db.lck");
        assert!(!is_of_earlier_boot(&path), "there is none");
        let file = std::fs::File::create(&path).unwrap();
        assert!(!is_of_earlier_boot(&path));
        let boot = std::time::SystemTime::now() - since_boot();
        for (seconds, is_earlier) in [(5, true), (3600, true), (1, false)] {
            file.set_modified(boot - Duration::from_secs(seconds)).unwrap();
            assert_eq!(is_of_earlier_boot(&path), is_earlier, "{seconds} s before the boot");
        }
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(!is_of_earlier_boot(dir.path()) && !is_of_earlier_boot(&link), "no file");
    }

    #[test]
    fn a_file_that_machines_share_is_of_no_boot_of_ours() {
        // By statfs(2). ext4, xfs, btrfs, tmpfs, overlay and zfs belong to one machine.
        for kind in [
            0x6969_u64,
            0xff53_4d42,
            0xffff_ffff_ff53_4d42,
            0xfe53_4d42,
            0x00c3_6400,
            0x0102_1997,
            0x6573_5546,
        ] {
            assert!(is_shared(kind), "{kind:x}");
        }
        for kind in [0xef53_u64, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1] {
            assert!(!is_shared(kind), "{kind:x}");
        }
    }

    #[test]
    fn a_directory_is_known_by_itself_and_by_its_place() {
        let mark = |name: &str| Mark { name: name.to_string() };
        let ours = mark("linux-patch 1:2 1:1:a");
        let is_like = |name: &str| ours.is_like(&format!("/memfd:{name} (deleted)"));
        for name in ["linux-patch 1:2 1:1:a", "linux-patch 1:2 8:8:a", "linux-patch 1:3 1:1:a"] {
            assert!(is_like(name), "{name}");
        }
        for name in ["linux-patch 1:3 1:1:b", "other 1:2 1:1:a", "linux-patch", "linux-patch 1:1:a 1:2"] {
            assert!(!is_like(name), "{name}");
        }
        assert!(!ours.is_like("/memfd:linux-patch 1:2 1:1:a") && !ours.is_like("/tmp/linux-patch 1:2 1:1:a"));
    }

    #[test]
    fn who_has_a_file_open_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db.lck");
        let paths = [path.clone(), dir.path().join("none")];
        // Children of other tests have it open too, until they become another program.
        let becomes = |expected: Option<String>| {
            for _ in 0..500 {
                if of_open_files(&paths) == expected {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            panic!("{:?}, not {expected:?}", of_open_files(&paths));
        };
        let file = std::fs::File::create(&path).unwrap();
        becomes(None);
        let mut child = std::process::Command::new("sleep").arg("60").stdin(file).spawn().unwrap();
        becomes(Some(format!("process {} (sleep 60)", child.id())));
        child.kill().unwrap();
        child.wait().unwrap();
        becomes(None);
    }

    #[test]
    fn waiting_lines_name_no_holder() {
        assert_eq!(pid("1: POSIX  ADVISORY  WRITE 3473 fe:00:12345 0 EOF"), Some(3473));
        assert_eq!(pid("1: -> POSIX  ADVISORY  WRITE 3474 fe:00:12345 0 EOF"), None);
        assert_eq!(pid("12: FLOCK  ADVISORY  WRITE 12 00:2a:7 0 EOF"), Some(12));
        assert_eq!(pid(""), None);
    }
}
