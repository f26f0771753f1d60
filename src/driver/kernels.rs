//! Kernels and packages that need a reboot.

use crate::managers::Facts;
use crate::system::boot::{Start, is_flagged};
use crate::system::files::{entries, paths_in, with_extension_in};
use crate::system::time::Time;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The lines of the files `*.conf` in these directories.
pub fn named_in(directories: &[&str]) -> HashSet<String> {
    let files = directories.iter().flat_map(|dir| with_extension_in(dir, "conf"));
    let texts = files.filter(|path| path.is_file()).filter_map(|path| std::fs::read_to_string(path).ok());
    texts.flat_map(|text| text.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>()).collect()
}

/// Whether a reboot is required: there is a flag file; or a kernel that is newer than the running one was installed
/// since the start; or the running kernel's file or one of the microcode was replaced since the start. A newer kernel
/// that was there before the start was not chosen then, and would not be chosen next time either: asking for a reboot
/// would never end. A reboot is also required if a kernel came beside its modules and those of the running one were
/// removed, or are kept though it is newer. Where the boot loader starts a unified image or has an entry of its own,
/// nothing else is in /boot.
pub fn is_required(facts: &Facts, start: &Start) -> bool {
    let Facts { reboot_flags, kernels, microcode, .. } = facts;
    let uname = rustix::system::uname();
    let running = uname.release().to_str().unwrap_or("");
    let dir = Path::new(kernels.dir);
    // The time of the start is known to the second.
    let since = Since { from: start.at, now: Time::now().unix() };
    is_flagged(reboot_flags)
        || microcode.iter().any(|file| is_replaced(Path::new(file), since))
        || kernels.prefixes.iter().any(|prefix| {
            newer_kernel(dir, prefix, running, since)
                || is_replaced(&dir.join(format!("{prefix}{running}")), since)
        })
        || replaced_kernel(Path::new(MODULES), running, since)
}

/// Where modules are, below the name of their kernel's release.
const MODULES: &str = "/usr/lib/modules";

/// Whether a package with this name brings a kernel, the first process, the message bus or microcode.
pub fn is_kernel_or_core(name: &str) -> bool {
    const CORE: &[&str] = &[
        "libc6",
        "glibc",
        "musl",
        "systemd",
        "dbus",
        "dbus-daemon",
        "dbus-broker",
        "intel-microcode",
        "amd64-microcode",
        "intel-ucode",
        "amd-ucode",
    ];
    CORE.contains(&name) || brings_kernel(name)
}

/// The packages that bring a kernel. A name that ends in `*` means all names that begin so.
const KERNELS: &[&str] = &[
    "kernel",
    "kernel-64k*",
    "kernel-PAE*",
    "kernel-azure*",
    "kernel-core*",
    "kernel-default*",
    "kernel-longterm*",
    "kernel-lt*",
    "kernel-ml*",
    "kernel-rt*",
    "kernel-uek*",
    "kernel-uki-*",
    "linux",
    "linux-asahi",
    "linux-cachyos*",
    "linux-edge",
    "linux-hardened",
    "linux-image-*",
    "linux-lqx",
    "linux-lts",
    "linux-rpi*",
    "linux-rt",
    "linux-rt-lts",
    "linux-stable",
    "linux-virt",
    "linux-xanmod*",
    "linux-zen",
    "proxmox-kernel-*",
    "pve-kernel-*",
    "raspberrypi-kernel",
];

/// Parts of names of what comes with a kernel and is none.
const NO_KERNELS: &[&str] = &["-devel", "-headers", "-doc", "-source", "-tools", "-dbg", "-debuginfo"];

fn brings_kernel(name: &str) -> bool {
    let is_one = |kernel: &&str| match kernel.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *kernel,
    };
    KERNELS.iter().any(is_one) && !NO_KERNELS.iter().any(|part| name.contains(part))
}

/// Whether a name may be that of a kernel, of its modules or of something that belongs to one. In doubt, yes.
fn may_be_of_kernel(name: &str) -> bool {
    brings_kernel(name) || name.starts_with("linux") || name.contains("kernel") || name.contains("vmlinu")
}

/// Whether a package with this name and version belongs, or may belong, to the running kernel. Debian has the release
/// in the name; others have it in the version, with the architecture or the kind behind it, or SUSE's number of a
/// rebuild.
pub fn is_of_running(name: &str, version: &str) -> bool {
    let uname = rustix::system::uname();
    is_of(name, version, uname.release().to_str().unwrap_or(""))
}

fn is_of(name: &str, version: &str, release: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        text.split(|letter: char| !letter.is_ascii_alphanumeric()).map(str::to_owned).collect()
    };
    let version = parts(version.split_once(':').map_or(version, |(_, version)| version));
    let release_parts = parts(release);
    let without_kind = &release_parts[..release_parts.len() - 1];
    let is_version =
        release_parts.starts_with(&version) || (without_kind.len() > 2 && version.starts_with(without_kind));
    !release.is_empty() && (name.contains(release) || (may_be_of_kernel(name) && is_version))
}

/// From the start until now. Later times were written by a clock that was wrong, perhaps long before.
#[derive(Clone, Copy, Debug)]
struct Since {
    from: i64,
    now: i64,
}

impl Since {
    fn has(self, meta: &std::fs::Metadata) -> bool {
        (self.from..=self.now).contains(&meta.ctime())
    }
}

/// Whether a file was replaced since the start: what runs was read from the one before.
fn is_replaced(file: &Path, since: Since) -> bool {
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.ctime() != since.from && since.has(&meta))
}

/// Whether another kernel was put there since the start, and the running kernel's modules are gone, or are kept though
/// it is older. A container has no modules; a kernel from elsewhere never had any here.
fn replaced_kernel(modules: &Path, running: &str, since: Since) -> bool {
    // Two kinds that are installed side by side have different names.
    let kind = |release: &Path| std::fs::read_to_string(release.join("pkgbase")).ok();
    let own = modules.join(running);
    let is_kept = own.exists();
    let is_newer = |release: &Path| {
        let name = release.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_other_kind = kind(&own).zip(kind(release)).is_some_and(|(own, other)| own != other);
        is_newer_release(name, running) && !is_other_kind
    };
    // The time of the directory does not count: it changes with each module that is built for it.
    let is_since = |image: PathBuf| std::fs::metadata(image).is_ok_and(|meta| since.has(&meta));
    let mut new = paths_in(modules).into_iter().filter(|release| images(release).any(is_since));
    !running.is_empty() && new.any(|release| !is_kept || is_newer(&release))
}

/// The kernel beside its modules: `vmlinuz`, or as a unified image `vmlinuz-virt.efi`.
fn images(release: &Path) -> impl Iterator<Item = PathBuf> {
    let is_image = |name: &str| {
        ["vmlinuz", "vmlinux", "Image"].contains(&name)
            || (name.starts_with("vmlinuz") && name.ends_with(".efi"))
    };
    let named = entries(release).filter(move |entry| entry.file_name().to_str().is_some_and(is_image));
    named.map(|entry| entry.path())
}

fn newer_kernel(dir: &Path, prefix: &str, running: &str, since: Since) -> bool {
    entries(dir)
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry)))
        .filter_map(|(name, entry)| Some((name.strip_prefix(prefix)?.to_string(), entry.path())))
        .filter(|(release, _)| is_newer_release(release, running))
        .any(|(release, path)| {
            // Some distributions keep it beside its modules and have a link to it here. A link to another release says
            // nothing about this one.
            let target = path.canonicalize().unwrap_or_default();
            let parts = || target.components().filter_map(|part| part.as_os_str().to_str());
            let is_itself = parts().any(|part| part.strip_prefix(prefix).unwrap_or(part) == release);
            is_itself && std::fs::metadata(&target).is_ok_and(|meta| since.has(&meta))
        })
}

/// Whether the first of two kernel releases is newer, as far as their numbers tell: `6.1.0-14-amd64` than
/// `6.1.0-13-cloud-amd64`, `6.12.43+deb13+1-amd64` than `6.12.43+deb13-amd64`, `6.6.2-arch1-2` than `6.6.2-arch1-1`.
/// Releases with different words are of different kinds from there on.
fn is_newer_release(one: &str, other: &str) -> bool {
    let mut pairs = [parts(one), parts(other)].map(Vec::into_iter);
    loop {
        match pairs.each_mut().map(Iterator::next) {
            [Some(Part::Number(one)), Some(Part::Number(other))] if one != other => return one > other,
            [Some(Part::Number(_)), Some(Part::Word(_)) | None] => return true,
            [Some(one), Some(other)] if one == other => {}
            _ => return false,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Number(u64),
    Word(&'a str),
}

/// The numbers and words of a kernel release.
fn parts(release: &str) -> Vec<Part<'_>> {
    let is_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let mut parts = Vec::new();
    for mut word in release.split(['.', '-', '+', '~', '_']) {
        while !word.is_empty() {
            let is_number = is_digit(word);
            let end = word.find(|c: char| c.is_ascii_digit() != is_number).unwrap_or(word.len());
            let (part, rest) = word.split_at(end);
            parts.push(if is_number {
                Part::Number(part.parse().unwrap_or(u64::MAX))
            } else {
                Part::Word(part)
            });
            word = rest;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_the_running_kernel_are_known_by_name_or_version() {
        for (name, version, release) in [
            ("linux-image-6.1.0-13-amd64", "6.1.55-1", "6.1.0-13-amd64"),
            ("kernel-core", "6.5.6-300.fc39", "6.5.6-300.fc39.x86_64"),
            ("kernel-uek", "0:5.15.0-1.el9", "5.15.0-1.el9.x86_64"),
            ("kernel-default", "5.14.21-150500.55.31.1", "5.14.21-150500.55.31-default"),
            ("linux", "6.6.1.arch1-1", "6.6.1-arch1-1"),
            ("linux-lts", "6.1.60-1", "6.1.60-1-lts"),
        ] {
            assert!(is_of(name, version, release), "{name} {version} {release}");
        }
        for (name, version, release) in [
            ("linux-image-6.1.0-12-amd64", "6.1.52-1", "6.1.0-13-amd64"),
            ("kernel-core", "6.5.5-300.fc39", "6.5.6-300.fc39.x86_64"),
            ("kernel-default", "5.14.21-150500.55.30.1", "5.14.21-150500.55.31-default"),
            ("tb-lib", "6.5.6-300.fc39", "6.5.6-300.fc39.x86_64"),
            ("linux", "6.6.1.arch1-1", ""),
        ] {
            assert!(!is_of(name, version, release), "{name} {version} {release}");
        }
    }

    #[test]
    fn a_release_is_newer_by_its_numbers_up_to_where_its_kind_begins() {
        for (new, old) in [
            ("6.1.0-14-amd64", "6.1.0-9-amd64"),
            ("6.1.0-14-amd64", "6.1.0-13-cloud-amd64"),
            ("6.1.0-14-rt-amd64", "6.1.0-13-rt-amd64"),
            ("6.12.43+deb13+1-amd64", "6.12.43+deb13-amd64"),
            ("6.5.0-15-generic", "5.15.0-91-generic"),
            ("5.14.0-427.13.1.el9_4.x86_64", "5.14.0-427.el9.x86_64"),
            ("6.17.7-200.fc43.x86_64", "6.17.7-200.fc42.x86_64"),
            ("5.15.0-205.149.5.1.el8uek.x86_64", "5.15.0-204.147.6.2.el8uek.x86_64"),
            ("6.4.0-150600.23.10-default", "6.4.0-150600.23.7-default"),
            ("6.6.2-arch1-2", "6.6.2-arch1-1"),
            ("6.6.2-zen2-1-zen", "6.6.2-zen1-1-zen"),
            ("6.12.8-1-virt", "6.12.8-0-virt"),
            ("6.6.31-x64v3-xanmod2", "6.6.31-x64v3-xanmod1"),
        ] {
            assert!(is_newer_release(new, old) && !is_newer_release(old, new), "{new} {old}");
            assert!(!is_newer_release(new, new), "{new}");
        }
        for (one, other) in [
            ("6.1.0-13-amd64", "6.1.0-13-cloud-amd64"),
            ("6.1.0-13-686", "6.1.0-13-686-pae"),
            ("6.8.0-31-generic", "6.8.0-31-lowlatency"),
            ("0-rescue-0123456789abcdef", "5.14.0-427.el9.x86_64"),
            ("linux", "6.6.2-arch1-1"),
            ("", "6.6.2-arch1-1"),
        ] {
            assert!(!is_newer_release(one, other), "{one} {other}");
        }
    }

    const EVER: Since = Since { from: 0, now: i64::MAX };
    const LATER: Since = Since { from: i64::MAX, now: i64::MAX };

    #[test]
    fn a_kernel_beside_its_modules_counts_by_the_link_to_it() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir(path("boot")).unwrap();
        for release in ["6.4.0-150600.23.7-default", "6.4.0-150600.23.10-default"] {
            std::fs::create_dir_all(path(&format!("modules/{release}"))).unwrap();
            std::fs::write(path(&format!("modules/{release}/vmlinuz")), "").unwrap();
            let link = path(&format!("boot/vmlinuz-{release}"));
            std::os::unix::fs::symlink(format!("../modules/{release}/vmlinuz"), link).unwrap();
        }
        let boot = path("boot");
        let is_newer = |running| newer_kernel(&boot, "vmlinuz-", running, EVER);
        assert!(is_newer("6.4.0-150600.23.7-default") && !is_newer("6.4.0-150600.23.10-default"));
        std::fs::remove_file(path("modules/6.4.0-150600.23.10-default/vmlinuz")).unwrap();
        assert!(!is_newer("6.4.0-150600.23.7-default"), "it leads nowhere");
    }

    #[test]
    fn what_comes_with_a_kernel_is_none() {
        for name in [
            "kernel-64k-core",
            "kernel-lt",
            "kernel-uki-virt",
            "kernel-default-base",
            "linux-image-cloud-amd64",
            "linux-image-6.1.0-14-amd64-unsigned",
            "linux-zen",
            "linux-rpi4",
            "linux-xanmod-edge",
            "proxmox-kernel-6.8.12-4-pve-signed",
            "raspberrypi-kernel",
        ] {
            assert!(brings_kernel(name), "{name}");
        }
        for name in [
            "kernel-default-devel",
            "kernel-tools",
            "kernel-rt-devel",
            "kernelshark",
            "linux-image-6.1.0-14-amd64-dbg",
            "linux-firmware",
            "linux-headers-amd64",
            "linux-zen-headers",
            "linux-libc-dev",
            "raspberrypi-kernel-headers",
        ] {
            assert!(!brings_kernel(name), "{name}");
        }
    }

    #[test]
    fn a_unified_image_beside_its_modules_counts() {
        let modules = tempfile::tempdir().unwrap();
        let add = |release: &str, file: &str| {
            std::fs::create_dir_all(modules.path().join(release)).unwrap();
            std::fs::write(modules.path().join(release).join(file), "").unwrap();
        };
        add("6.17.7-200.fc42.x86_64", "vmlinuz-virt.efi");
        add("6.17.8-200.fc42.x86_64", "vmlinuz-virt.efi.hmac");
        assert!(!replaced_kernel(modules.path(), "6.17.7-200.fc42.x86_64", EVER), "no kernel");
        add("6.17.8-200.fc42.x86_64", "vmlinuz-virt.efi");
        assert!(replaced_kernel(modules.path(), "6.17.7-200.fc42.x86_64", EVER));
        assert!(!replaced_kernel(modules.path(), "6.17.8-200.fc42.x86_64", EVER));
        assert!(!replaced_kernel(modules.path(), "6.17.7-200.fc42.x86_64", LATER));
    }

    #[test]
    fn only_a_newer_kernel_installed_since_the_start_counts() {
        let boot = tempfile::tempdir().unwrap();
        std::fs::write(boot.path().join("vmlinuz-6.1.0-13-amd64"), "").unwrap();
        assert!(newer_kernel(boot.path(), "vmlinuz-", "6.1.0-9-amd64", EVER));
        assert!(newer_kernel(boot.path(), "vmlinuz-", "5.10.0-30-amd64", EVER));
        assert!(!newer_kernel(boot.path(), "vmlinuz-", "6.1.0-13-cloud-amd64", EVER));
        assert!(!newer_kernel(boot.path(), "vmlinuz-", "6.2.0", EVER));
        assert!(!newer_kernel(boot.path(), "vmlinuz-", "6.1.0-9-amd64", LATER));
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
        assert!(newer_kernel(modules.path(), "", "6.12.8-0-lts", EVER));
        assert!(!newer_kernel(modules.path(), "", "6.12.9-0-lts", EVER));
        assert!(!newer_kernel(modules.path(), "", "6.12.8-0-lts", LATER));
        std::os::unix::fs::symlink("6.12.9-0-lts", modules.path().join("9.9.9-0-lts")).unwrap();
        assert!(!newer_kernel(modules.path(), "", "6.12.9-0-lts", EVER));
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
        assert!(!replaced_kernel(modules.path(), "6.6.1-arch1-1", EVER), "a container");
        add("extramodules", &["x.ko"]);
        assert!(!replaced_kernel(modules.path(), "6.6.1-arch1-1", EVER));
        add("6.6.2-arch1-1", &["vmlinuz"]);
        assert!(replaced_kernel(modules.path(), "6.6.1-arch1-1", EVER));
        assert!(!replaced_kernel(modules.path(), "6.6.1-arch1-1", LATER), "it was there at the start");
        assert!(!replaced_kernel(modules.path(), "6.6.2-arch1-1", EVER));
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
        let required = |running: &str| replaced_kernel(modules.path(), running, EVER);
        assert!(!required("6.6.2-arch1-1"), "the other one is older");
        assert!(!required("6.1.9-1-lts"), "the other one is of another kind");
        add("6.6.3-arch1-1", "linux");
        assert!(required("6.6.2-arch1-1") && !required("6.1.9-1-lts") && !required("6.6.3-arch1-1"));
        assert!(!replaced_kernel(modules.path(), "6.6.2-arch1-1", LATER), "it was there at the start");
    }

    #[test]
    fn a_running_kernel_that_was_replaced_under_its_name_counts() {
        let boot = tempfile::tempdir().unwrap();
        let kernel = boot.path().join("vmlinuz-6.1.0-13-amd64");
        let is_replaced = |kernel: &Path, from| super::is_replaced(kernel, Since { from, now: i64::MAX });
        assert!(!is_replaced(&kernel, 0), "there is none");
        std::fs::write(&kernel, "").unwrap();
        let at = std::fs::metadata(&kernel).unwrap().ctime();
        assert!(is_replaced(&kernel, at - 1) && !is_replaced(&kernel, at) && !is_replaced(&kernel, at + 1));
        assert!(!is_replaced(boot.path(), 0), "a directory changes with what is in it");
        // Written by a clock that was wrong: the next start would find the same again.
        let earlier = Since { from: 0, now: at - 1 };
        assert!(!super::is_replaced(&kernel, earlier));
        assert!(!newer_kernel(boot.path(), "vmlinuz-", "6.1.0-9-amd64", earlier));
    }
}
