//! Who holds a lock file of the package manager, from /proc/locks or from the file itself.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Names the process that holds one of `locks`: `process 3473 (apt-get update)`. `None` when
/// none is held, or the holder cannot be seen (another PID namespace).
///
/// /proc/locks (proc(5)) gives device and inode too, but on an overlay file system not those that
/// stat(2) gives; so the holder is recognized by the files it has open.
pub fn of(locks: &[&str]) -> Option<String> {
    let table = std::fs::read_to_string("/proc/locks").ok()?;
    let locks: Vec<_> = locks.iter().filter_map(|lock| identity(Path::new(lock))).collect();
    let own = std::process::id();
    let pids = table.lines().filter_map(pid);
    let mut holders = pids.filter(|pid| *pid != own && has_open(*pid, &locks));
    holders.next().map(describe)
}

/// Whether a process is there and holds any lock. The table alone may name one that was killed: a
/// child that it was just starting keeps the lock until it becomes another program.
pub fn holds_a_lock(of: u32) -> bool {
    let table = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    Path::new(&format!("/proc/{of}")).exists() && table.lines().filter_map(pid).any(|pid| pid == of)
}

/// Whether a process surely holds no lock that the kernel knows of.
pub fn holds_no_lock(of: u32) -> bool {
    let table = std::fs::read_to_string("/proc/locks");
    table.is_ok_and(|table| !table.lines().filter_map(pid).any(|pid| pid == of))
}

/// Names the live process whose number stands in one of `files`. A file that a dead process left
/// behind names nobody.
pub fn of_pid_files(files: &[&str]) -> Option<String> {
    let pids = files.iter().filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok());
    pids.filter(|pid| *pid != std::process::id()).find(|pid| is_alive(*pid)).map(describe)
}

/// Names a process that has one of `files` open; for locks that the kernel does not know of.
pub fn of_open_files(files: &[PathBuf]) -> Option<String> {
    let files: Vec<_> = files.iter().filter_map(|file| identity(file)).collect();
    if files.is_empty() {
        return None;
    }
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let own = std::process::id();
    pids.filter(|pid| *pid != own).find(|pid| has_open(*pid, &files)).map(describe)
}

/// A zombie has no command line any more, and holds nothing.
fn is_alive(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// `1: POSIX  ADVISORY  WRITE 3473 fe:00:12345 0 EOF`; a line with `->` waits for a lock.
fn pid(line: &str) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    if words.next()? == "->" {
        return None;
    }
    words.nth(2)?.parse().ok()
}

/// By the file itself and not by its name: a process in a container has a file of the same name.
fn has_open(pid: u32, locks: &[(u64, u64)]) -> bool {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let files = open.into_iter().flatten().flatten().filter_map(|entry| identity(&entry.path()));
    files.into_iter().any(|file| locks.contains(&file))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// A process for people: its number and its command line, 80 characters of it at most.
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
        let parent = std::os::unix::process::parent_id();
        let (live, dead, own) = (
            file("a", format!("{parent}\n")),
            file("b", "4194305".into()),
            file("c", std::process::id().to_string()),
        );
        assert_eq!(of_pid_files(&[&dead, &own, "/nonexistent"]), None);
        let holder = of_pid_files(&[&dead, &live]).unwrap();
        assert!(holder.starts_with(&format!("process {parent} (")), "{holder}");
    }

    #[test]
    fn who_has_a_file_open_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db.lck");
        let paths = [path.clone(), dir.path().join("none")];
        // Children of other tests have it open too until they become another program.
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
