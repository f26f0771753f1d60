//! Systems that start from an image: packages are changed in the next image, never in the running one.

use crate::system::files::is_read_only;
use crate::system::process::find;
use rustix::fs::statfs;
use std::path::Path;

/// What shows that a system is an image.
struct Signs<'a> {
    /// Whether it was started by ostree.
    is_ostree: bool,
    /// Whether its root or `/usr` cannot be written to.
    is_read_only: bool,
    /// Whether its file system can never be written to.
    is_sealed: bool,
    /// Whether there is such a program.
    has: &'a dyn Fn(&str) -> bool,
}

/// What updates systems of ostree.
const OF_OSTREE: &[(&str, &str)] = &[("bootc", "bootc upgrade"), ("rpm-ostree", "rpm-ostree upgrade")];

/// What updates systems with a read-only root, if it is installed: openSUSE MicroOS and SLE Micro, any system of bootc,
/// SteamOS, Vanilla OS.
const OF_READ_ONLY: &[(&str, &str)] = &[
    ("transactional-update", "transactional-update up"),
    ("bootc", "bootc upgrade"),
    ("steamos-update", "steamos-update"),
    ("abroot", "abroot upgrade"),
];

/// What to run instead of an install, where the running system is an image.
pub fn updater() -> Option<&'static str> {
    // squashfs, erofs, cramfs, iso9660
    const SEALED: [u64; 4] = [0x7371_7368, 0xe0f5_e1e2, 0x28cd_3d45, 0x9660];
    let is_sealed =
        |path: &str| statfs(path).is_ok_and(|found| SEALED.contains(&(found.f_type as u64 & 0xffff_ffff)));
    // cron's PATH lacks some directories.
    let is_in = |dir: &str, program: &str| Path::new(dir).join(program).exists();
    let has = |program: &str| {
        find(program).is_some() || ["/usr/sbin", "/usr/bin"].iter().any(|dir| is_in(dir, program))
    };
    let signs = Signs {
        is_ostree: Path::new("/run/ostree-booted").exists(),
        is_read_only: ["/usr", "/"].iter().any(|dir| is_read_only(Path::new(dir))),
        is_sealed: is_sealed("/usr"),
        has: &has,
    };
    of(&signs)
}

fn of(signs: &Signs) -> Option<&'static str> {
    let known = |tools: &[(&str, &'static str)]| {
        tools.iter().find(|(program, _)| (signs.has)(program)).map(|(_, command)| *command)
    };
    match signs {
        Signs { is_ostree: true, .. } => Some(known(OF_OSTREE).unwrap_or("ostree admin upgrade")),
        Signs { is_read_only: true, .. } if known(OF_READ_ONLY).is_some() => known(OF_READ_ONLY),
        Signs { is_sealed: true, .. } => Some("what brings this system its images"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_updates_an_image_is_told_by_what_is_there() {
        let told = |is_ostree, is_read_only, is_sealed, programs: &[&str]| {
            of(&Signs { is_ostree, is_read_only, is_sealed, has: &|program| programs.contains(&program) })
        };
        assert_eq!(told(true, true, false, &["rpm-ostree"]), Some("rpm-ostree upgrade"));
        assert_eq!(told(true, true, false, &["rpm-ostree", "bootc"]), Some("bootc upgrade"));
        assert_eq!(told(true, false, false, &[]), Some("ostree admin upgrade"));
        assert_eq!(told(false, true, false, &["transactional-update"]), Some("transactional-update up"));
        // The tools alone, as where images are made, or a disk that is only mounted read-only, do not make an image.
        assert_eq!(told(false, false, false, &["bootc", "rpm-ostree", "transactional-update"]), None);
        assert_eq!(told(false, true, false, &[]), None);
        assert!(told(false, true, true, &[]).is_some());
    }
}
