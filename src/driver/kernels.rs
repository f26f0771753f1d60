//! Kernels that wait for a reboot, and packages that do.

use crate::managers::Kernels;
use crate::system::boot::is_flagged;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The lines of the files `*.conf` in these directories.
pub fn named_in(directories: &[&str]) -> HashSet<String> {
    let entries = directories.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let files = paths.filter(|path| path.is_file() && path.extension().is_some_and(|end| end == "conf"));
    let texts = files.filter_map(|path| std::fs::read_to_string(path).ok());
    texts.flat_map(|text| text.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>()).collect()
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
