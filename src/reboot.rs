//! Whether a reboot is required, and asking for it.

use crate::backend::Kernels;
use crate::outcome::{Class, Failure};
use crate::process::{End, Invocation, Limits, ask};
use crate::time::since_boot;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

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

/// Whether a reboot is required: a flag file, or a kernel that is newer than the running one and
/// was installed since the start. One that was there before was not chosen at the start,
/// and would not be by another: asking again would never end. Where `modules` names a directory,
/// also when those of the running kernel had to make room.
pub fn is_required(flags: &[&str], kernels: &Kernels, modules: Option<&str>, since: i64) -> bool {
    let uname = rustix::system::uname();
    let running = uname.release().to_str().unwrap_or("");
    is_flagged(flags)
        || newer_kernel(Path::new(kernels.dir), kernels.prefix, running, since)
        || modules.is_some_and(|modules| replaced_kernel(Path::new(modules), running, since))
}

/// Whether the running kernel's modules are gone and those of another were put there since the
/// machine started. A container has neither; a kernel from elsewhere never had its own.
fn replaced_kernel(modules: &Path, running: &str, since: i64) -> bool {
    let entries = std::fs::read_dir(modules).into_iter().flatten().flatten();
    let kernels = entries.filter(|entry| entry.path().join("vmlinuz").exists());
    let mut new = kernels.filter(|entry| entry.metadata().is_ok_and(|meta| meta.ctime() >= since));
    !running.is_empty() && !modules.join(running).exists() && new.next().is_some()
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

/// Asks shutdown(8), found on PATH, for a restart after `delay`, rounded up to whole minutes.
///
/// # Errors
/// Why it could not be asked for.
pub fn schedule(delay: Duration) -> Result<(), Failure> {
    let minutes = delay.as_secs().div_ceil(60);
    let when = format!("+{minutes}");
    let invocation = Invocation {
        program: "shutdown",
        args: ["-r", &when, "linux-patch: restart after updates"].map(str::to_owned).to_vec(),
        ..Invocation::default()
    };
    let failed =
        |cause: String| Err(Failure::new(Class::Other, format!("could not restart the machine: {cause}")));
    let limits = Limits { budget: Some(Duration::from_secs(60)), ..Limits::default() };
    match ask(&invocation, &limits) {
        Ok(done) if done.end == End::Code(0) => Ok(()),
        Ok(done) => failed(format!("shutdown said: {}{}", done.stderr, done.stdout)),
        Err(error) => failed(format!("shutdown: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

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
}
