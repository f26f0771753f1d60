//! Whether a restart is required, and asking for it.

use crate::backend::Kernels;
use crate::outcome::{Class, Failure};
use crate::process::{End, Invocation, Limits, ask};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// This boot's own name.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_string()
}

/// Whether the distribution left one of its flag files: the price of a stat.
pub fn is_flagged(flags: &[&str]) -> bool {
    flags.iter().any(|flag| Path::new(flag).exists())
}

/// Whether a restart is required: a flag file, or a kernel that is newer than the running one and
/// was installed since the machine started. One that was there before was not chosen at the start,
/// and would not be by another: asking again would never end. Where `modules` names a directory,
/// also when those of the running kernel had to make room.
pub fn is_required(flags: &[&str], kernels: &Kernels, modules: Option<&str>) -> bool {
    let uname = rustix::system::uname();
    let running = uname.release().to_str().unwrap_or("");
    is_flagged(flags)
        || newer_kernel(Path::new(kernels.dir), kernels.prefix, running, boot_time())
        || modules.is_some_and(|modules| replaced_kernel(Path::new(modules), running, boot_time()))
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

/// When the machine started, in seconds since 1970; the distant future when that is unknown, so
/// that no kernel seems newer.
fn boot_time() -> i64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|time| time.trim().parse().ok()).unwrap_or(i64::MAX)
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
