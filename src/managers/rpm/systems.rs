//! The systems whose own packages are those of rpm, as `ID` or `ID_LIKE` in os-release(5) name them.

use crate::system::release::Release;

/// The systems of dnf.
pub const OF_DNF: &[&str] = &["fedora", "rhel", "centos", "amzn", "mageia", "openmandriva"];

/// The systems of yum.
pub const OF_YUM: &[&str] = &["rhel", "centos", "amzn", "ol", "scientific"];

/// The systems of zypper.
pub const OF_ZYPPER: &[&str] = &["suse", "opensuse", "sles", "sled", "sle-micro"];

/// Whether this system is one of them.
pub fn is_this_one() -> bool {
    let release = Release::of_this_system();
    [OF_DNF, OF_YUM, OF_ZYPPER].iter().any(|systems| release.is_one_of(systems))
}
