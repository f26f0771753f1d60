//! The constants of apt.

use crate::managers::facts::{Facts, Temporary};

/// What never changes of apt.
pub static FACTS: Facts = Facts {
    name: "apt",
    programs: &["apt-get"],
    systems: &["debian", "ubuntu"],
    package_databases: &["/var/lib/dpkg/status"],
    source_config: &[
        "/etc/apt/sources.list",
        "/etc/apt/sources.list.d/*.list",
        "/etc/apt/sources.list.d/*.sources",
    ],
    index: &[
        "/var/lib/apt/lists",
        "/etc/apt/preferences",
        "/etc/apt/preferences.d",
        "/etc/apt/apt.conf",
        "/etc/apt/apt.conf.d",
    ],
    cache: "/var/lib/apt/lists",
    locks: &[
        "/var/lib/apt/lists/lock",
        "/var/lib/dpkg/lock-frontend",
        "/var/lib/dpkg/lock",
        "/var/cache/apt/archives/lock",
    ],
    reboot_flags: &["/run/reboot-required", "/var/run/reboot-required"],
    // dpkg writes these lists anew with each version.
    microcode: &["/var/lib/dpkg/info/intel-microcode.list", "/var/lib/dpkg/info/amd64-microcode.list"],
    knows_security: true,
    lists_installed: true,
    lists_all: true,
    lists_refreshed_only: false,
    temporary: Temporary {
        dir: "/tmp",
        words: &["Splitting up ", "Couldn't create temporary file ", "Unable to mkstemp "],
    },
    passes_over: true,
    leave_out_base: "/etc/apt/preferences",
    ..Facts::NONE
};
