//! The built binary with the real package manager, in throw-away roots, against small signed
//! repositories on loopback that misbehave on cue. Needs root, and a machine of the Debian family.

mod apk;
mod apk_read_only;
mod apk_refresh;
mod apt;
mod bench;
mod deb;
mod dnf;
mod dnf5;
mod evidence;
mod explain;
#[path = "../cli/hangup.rs"]
mod hangup;
mod history;
mod holder;
#[path = "../cli/leisure.rs"]
mod leisure;
mod locks;
#[macro_use]
mod manager;
mod mirrors;
mod older;
mod pacman;
mod patched;
mod repo;
mod report;
mod rpm;
mod sandbox;
mod scenarios;
mod server;
mod services;
mod short_lists;
mod starts;
mod surroundings;
mod zypper;

mod vault;
mod worst_first;

mod apk_settings;

mod apt_apples;
mod apt_cut_off;
mod apt_display;
mod apt_failures;
mod apt_harness;
mod apt_hooks;
mod apt_locks;
mod apt_mixed;
mod apt_odd;
mod apt_partial;
mod apt_pins;
mod apt_refresh;
mod apt_scripts;
mod apt_select;
mod apt_settings;
mod apt_signals;
mod apt_sources;
mod apt_stale;
mod apt_status;

mod detection;

mod dnf_apply;
mod dnf_both;
mod dnf_refresh;
mod dnf_security;
mod dnf_settings;

mod dnf5_apply;
mod dnf5_refresh;
mod dnf5_settings;
mod pacman_apples;
mod pacman_apply;
mod pacman_damage;
mod pacman_locks;
mod pacman_odd;
mod pacman_refresh;
mod pacman_settings;
mod rpm_files;
mod rpm_metadata;
mod rpm_restart;
mod zypper_apply;
mod zypper_refresh;
mod zypper_replaced;
mod zypper_secrets;
mod zypper_settings;

mod traffic;
