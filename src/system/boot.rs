//! Whether a reboot is required, and asking for it.

use crate::managers::Kernels;
use crate::model::outcome::{Class, Failure};
use crate::system::process::{Capture, find};
use crate::system::time::since_boot;
use std::collections::HashSet;
use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};
use wait_timeout::ChildExt;

/// This boot's own name.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_string()
}

/// The start of this system: that of the machine, or of the container that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What tells it from every other.
    pub id: String,
    /// When it was, in seconds since 1970 by the clock as it is set now.
    pub at: i64,
}

impl Start {
    /// Whether what was installed then came after it. What comes after `now` was installed by a clock
    /// that was wrong, perhaps long before: a restart would change nothing about that.
    pub fn is_before(&self, installed: i64, now: i64) -> bool {
        installed > self.at && installed <= now
    }
}

/// The last start. In a container the machine started long before; the first process, which a
/// container has of its own, with it.
pub fn start() -> Start {
    let stat = std::fs::read_to_string("/proc/1/stat").unwrap_or_default();
    let ticks = ticks_at_start(&stat).unwrap_or(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let passed = since_boot().saturating_sub(Duration::from_millis(ticks.saturating_mul(TICK)));
    Start { id: format!("{} {ticks}", boot_id()), at: now.saturating_sub(passed).as_secs() as i64 }
}

/// Milliseconds of what proc_pid_stat(5) counts, on every processor that Rust knows.
pub const TICK: u64 = 10;

/// When a process started, in ticks since the start of the machine, from its /proc/PID/stat. Its name,
/// in parentheses, can hold anything.
pub fn ticks_at_start(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// The lines of the files `*.conf` in these directories.
pub fn named_in(directories: &[&str]) -> HashSet<String> {
    let entries = directories.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let files = paths.filter(|path| path.is_file() && path.extension().is_some_and(|end| end == "conf"));
    let texts = files.filter_map(|path| std::fs::read_to_string(path).ok());
    texts.flat_map(|text| text.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>()).collect()
}

/// Whether the distribution left one of its flag files: the price of a stat.
pub fn is_flagged(flags: &[&str]) -> bool {
    flags.iter().any(|flag| Path::new(flag).exists())
}

/// Whether a reboot is required: a flag file, a kernel that is newer than the running one and
/// was installed since the start, or the running one replaced since by another of its name. One that was
/// there before was not chosen at the start, and would not be by another: asking again would never end.
/// Where `modules` names a directory, also when those of the running kernel had to make room, or were kept
/// beside those of a newer one.
pub fn is_required(flags: &[&str], kernels: &Kernels, modules: Option<&str>, since: i64) -> bool {
    let uname = rustix::system::uname();
    let running = uname.release().to_str().unwrap_or("");
    let dir = Path::new(kernels.dir);
    is_flagged(flags)
        || newer_kernel(dir, kernels.prefix, running, since)
        || is_replaced(&dir.join(format!("{}{running}", kernels.prefix)), since)
        || modules.is_some_and(|modules| replaced_kernel(Path::new(modules), running, since))
}

/// Whether the running kernel, whose file this is, came since the start: what runs is another.
fn is_replaced(kernel: &Path, since: i64) -> bool {
    std::fs::metadata(kernel).is_ok_and(|meta| meta.is_file() && meta.ctime() > since)
}

/// Whether another kernel was put there since the machine started, and the running one's modules are gone,
/// or kept though it is older. A container has neither; a kernel from elsewhere never had its own.
fn replaced_kernel(modules: &Path, running: &str, since: i64) -> bool {
    // Of two kinds that are installed side by side, each has a name of its own.
    let kind = |release: &Path| std::fs::read_to_string(release.join("pkgbase")).ok();
    let own = modules.join(running);
    let is_kept = own.exists();
    let is_newer = |release: &Path| {
        let name = release.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_other_kind = kind(&own).zip(kind(release)).is_some_and(|(own, other)| own != other);
        numbers(name) > numbers(running) && !is_other_kind
    };
    let entries = std::fs::read_dir(modules).into_iter().flatten().flatten();
    let kernels = entries.filter(|entry| entry.path().join("vmlinuz").exists());
    let mut new = kernels.filter(|entry| entry.metadata().is_ok_and(|meta| meta.ctime() >= since));
    !running.is_empty() && new.any(|entry| !is_kept || is_newer(&entry.path()))
}

fn newer_kernel(dir: &Path, prefix: &str, running: &str, since: i64) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.metadata().is_ok_and(|meta| !meta.is_symlink() && meta.ctime() >= since))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| name.strip_prefix(prefix).map(numbers))
        .any(|installed| installed > numbers(running))
}

/// The numbers of a kernel release before its flavour: `6.1.0-13-amd64` gives 6, 1, 0, 13.
fn numbers(release: &str) -> Vec<u64> {
    let words = release.split(['.', '-', '+', '~', '_']);
    words.map_while(|word| word.parse().ok()).collect()
}

/// How long a shutdown may take to say that it will come. One that is still there then counts down.
const ANSWER: Duration = Duration::from_secs(5);

/// What a `shutdown` says that does not know our way of asking for a time.
const NOT_UNDERSTOOD: &[&str] = &["usage", "nrecognized", "nknown", "invalid option", "nvalid argument"];

/// What restarts a machine at once, where there is no shutdown(8) that takes a time: busybox, OpenRC and
/// dinit have the first.
const AT_ONCE: &[&[&str]] = &[&["reboot"], &["systemctl", "reboot"], &["openrc-shutdown", "--reboot", "now"]];

/// Asks for a restart after `delay`, rounded up to whole minutes: shutdown(8), or what else of that kind
/// PATH has, after a wait that outlives us.
///
/// # Errors
/// Why it could not be asked for.
pub fn schedule(delay: Duration) -> Result<(), Failure> {
    let minutes = delay.as_secs().div_ceil(60);
    let failed =
        |cause: String| Err(Failure::new(Class::Other, format!("could not restart the machine: {cause}")));
    let mut said = "shutdown: it is not on PATH".to_string();
    if let Some(shutdown) = find("shutdown") {
        match ask_shutdown(&shutdown, minutes) {
            Ok(()) => return Ok(()),
            Err(words) if NOT_UNDERSTOOD.iter().any(|word| words.to_lowercase().contains(word)) => {
                said = format!("shutdown said: {words}");
            }
            Err(words) => return failed(format!("shutdown said: {words}")),
        }
    }
    let known = AT_ONCE.iter().find_map(|words| Some((find(words[0])?, &words[1..])));
    let Some((program, args)) = known else {
        return failed(format!("{said}; neither is reboot, systemctl or openrc-shutdown"));
    };
    match wait_and_run(minutes * 60, &program, args) {
        Ok(()) => Ok(()),
        Err(error) => failed(format!("{}: {error}", program.display())),
    }
}

/// Some shutdowns leave the waiting to the init, and end at once; that of sysvinit and others wait
/// themselves, and are left alone with it.
fn ask_shutdown(program: &Path, minutes: u64) -> Result<(), String> {
    let output = Capture::in_memory().map_err(|error| error.to_string())?;
    let file = || output.out.try_clone().map_err(|error| error.to_string());
    let mut command = Command::new(program);
    command.args(["-r", &format!("+{minutes}"), "linux-patch: restart after updates"]);
    command.env("LC_ALL", "C").process_group(0).stdin(Stdio::null()).stdout(file()?).stderr(file()?);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    match child.wait_timeout(ANSWER).map_err(|error| error.to_string())? {
        Some(exit) if !exit.success() => {
            let mut words = Vec::new();
            let mut file = file()?;
            let _ = file.rewind().and_then(|()| file.take(10_000).read_to_end(&mut words));
            Err(String::from_utf8_lossy(&words).trim().to_string())
        }
        _ => Ok(()),
    }
}

/// Starts a process that outlives us, and the terminal, and runs a program after so many seconds.
fn wait_and_run(seconds: u64, program: &Path, args: &[&str]) -> std::io::Result<()> {
    let shell = find("sh").ok_or_else(|| std::io::Error::other("there is no sh on PATH to wait with"))?;
    let mut command = Command::new(shell);
    command.args(["-c", "trap '' HUP INT TERM; sleep \"$1\"; shift; exec \"$@\"", "linux-patch"]);
    command.arg(seconds.to_string()).arg(program).args(args).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::time::Time;

    #[test]
    fn only_a_newer_kernel_installed_since_the_start_counts() {
        let boot = tempfile::tempdir().unwrap();
        std::fs::write(boot.path().join("vmlinuz-6.1.0-13-amd64"), "").unwrap();
        assert!(newer_kernel(boot.path(), "vmlinuz-", "6.1.0-9-amd64", 0));
        assert!(newer_kernel(boot.path(), "vmlinuz-", "5.10.0-30-amd64", 0));
        assert!(!newer_kernel(boot.path(), "vmlinuz-", "6.1.0-13-cloud-amd64", 0));
        assert!(!newer_kernel(boot.path(), "vmlinuz-", "6.2.0", 0));
        assert!(!newer_kernel(boot.path(), "vmlinuz-", "6.1.0-9-amd64", i64::MAX));
    }

    #[test]
    fn only_what_was_installed_since_the_start_counts() {
        let start = Start { id: String::new(), at: 100 };
        let counts = |installed| start.is_before(installed, 200);
        assert_eq!([99, 100, 101, 200, 201].map(counts), [false, false, true, true, false]);
    }

    #[test]
    fn the_start_is_that_of_the_first_process() {
        let stat = "1 (a) R 1 (b) S 0 1 1 0 -1 4194560 9 9 9 9 9 9 9 9 20 0 1 0 4711 9 9 184467 1\n";
        assert_eq!(ticks_at_start(stat), Some(4711));
        for cut in ["", "1 (init", "1 (init) S 0 1"] {
            assert_eq!(ticks_at_start(cut), None, "{cut}");
        }
        let start = start();
        assert!(start.at <= Time::now().unix() && start.id.starts_with(&boot_id()), "{start:?}");
    }

    #[test]
    fn the_administrators_own_names_are_read_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.conf"), "tb-a \ntb-b\n").unwrap();
        std::fs::write(dir.path().join("b.conf.old"), "tb-c\n").unwrap();
        std::fs::create_dir(dir.path().join("d.conf")).unwrap();
        let named = named_in(&[dir.path().to_str().unwrap(), "/none"]);
        assert_eq!(named, HashSet::from(["tb-a".to_string(), "tb-b".to_string()]));
    }

    #[test]
    fn a_kernel_whose_modules_alone_have_its_version_counts_too() {
        let modules = tempfile::tempdir().unwrap();
        std::fs::create_dir(modules.path().join("6.12.9-0-lts")).unwrap();
        assert!(newer_kernel(modules.path(), "", "6.12.8-0-lts", 0));
        assert!(!newer_kernel(modules.path(), "", "6.12.9-0-lts", 0));
        assert!(!newer_kernel(modules.path(), "", "6.12.8-0-lts", i64::MAX));
        std::os::unix::fs::symlink("6.12.9-0-lts", modules.path().join("9.9.9-0-lts")).unwrap();
        assert!(!newer_kernel(modules.path(), "", "6.12.9-0-lts", 0));
    }

    #[test]
    fn modules_that_made_room_for_those_of_another_kernel_count() {
        let modules = tempfile::tempdir().unwrap();
        let add = |release: &str, files: &[&str]| {
            std::fs::create_dir(modules.path().join(release)).unwrap();
            files
                .iter()
                .for_each(|file| std::fs::write(modules.path().join(release).join(file), "").unwrap());
        };
        assert!(!replaced_kernel(modules.path(), "6.6.1-arch1-1", 0), "a container");
        add("extramodules", &["x.ko"]);
        assert!(!replaced_kernel(modules.path(), "6.6.1-arch1-1", 0));
        add("6.6.2-arch1-1", &["vmlinuz"]);
        assert!(replaced_kernel(modules.path(), "6.6.1-arch1-1", 0));
        assert!(!replaced_kernel(modules.path(), "6.6.1-arch1-1", i64::MAX), "it was there at the start");
        assert!(!replaced_kernel(modules.path(), "6.6.2-arch1-1", 0));
    }

    #[test]
    fn modules_that_were_kept_beside_those_of_a_newer_kernel_count() {
        let modules = tempfile::tempdir().unwrap();
        let add = |release: &str, kind: &str| {
            std::fs::create_dir(modules.path().join(release)).unwrap();
            std::fs::write(modules.path().join(release).join("vmlinuz"), "").unwrap();
            std::fs::write(modules.path().join(release).join("pkgbase"), kind).unwrap();
        };
        add("6.6.2-arch1-1", "linux");
        add("6.1.9-1-lts", "linux-lts");
        let required = |running: &str| replaced_kernel(modules.path(), running, 0);
        assert!(!required("6.6.2-arch1-1"), "the other one is older");
        assert!(!required("6.1.9-1-lts"), "the other one is of another kind");
        add("6.6.3-arch1-1", "linux");
        assert!(required("6.6.2-arch1-1") && !required("6.1.9-1-lts") && !required("6.6.3-arch1-1"));
        assert!(!replaced_kernel(modules.path(), "6.6.2-arch1-1", i64::MAX), "it was there at the start");
    }

    #[test]
    fn a_running_kernel_that_was_replaced_under_its_name_counts() {
        let boot = tempfile::tempdir().unwrap();
        let kernel = boot.path().join("vmlinuz-6.1.0-13-amd64");
        assert!(!is_replaced(&kernel, 0), "there is none");
        std::fs::write(&kernel, "").unwrap();
        let at = std::fs::metadata(&kernel).unwrap().ctime();
        assert!(is_replaced(&kernel, at - 1) && !is_replaced(&kernel, at) && !is_replaced(&kernel, at + 1));
        assert!(!is_replaced(boot.path(), 0), "a directory changes with what is in it");
    }
}
