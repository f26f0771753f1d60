//! Packages of rpm that only a restart puts to use.

use std::time::Duration;

use crate::dnf5;
use crate::report::Report;
use crate::rpm::{Root, Rpm, RpmRepo, one, rpm};
use crate::sandbox::Sandbox;
use crate::zypper::Zypper;

/// As `linux-patch ARGS` after a restart: its first process has just begun, as that of a container.
#[track_caller]
fn restarted(root: &Root, args: &[&str]) -> Report {
    restarted_and_grown_older(root, "0", args)
}

/// The same, the start being so many seconds ago.
fn restarted_and_grown_older(root: &Root, seconds: &str, args: &[&str]) -> Report {
    let mut command = root.sandbox.command("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "sh", "-c", "sleep $0; exec \"$@\"", seconds]);
    command.args(["linux-patch", "--format", "json"]);
    command.args(["--manager", root.manager]).args(args);
    root.sandbox.start(command).report()
}

/// Makes installed packages older than any later start, and the last start older than what comes next: package times
/// are whole seconds.
fn grow_older() {
    std::thread::sleep(Duration::from_millis(2500));
}

/// Write down from now on how often rpm lists what is installed.
fn spy(root: &Root) {
    let body = "echo \"$*\" >>/run/calls; exec /usr/bin/rpm \"$@\"";
    root.sandbox.write_script("/usr/local/bin/rpm", body);
}

fn calls(root: &Root) -> usize {
    let text = root.sandbox.read("/run/calls").unwrap_or_default();
    root.sandbox.sh("rm -f /run/calls");
    text.lines().filter(|line| line.starts_with("-qa")).count()
}

#[track_caller]
fn both(installed: &[Rpm], published: &[Rpm], play: fn(&Root, &RpmRepo)) {
    let (root, repo) = one(installed, published);
    play(&root, &repo);
    let (root, repo) = dnf5::one(installed, published);
    play(&root, &repo);
}

#[test]
fn an_update_requires_a_restart_until_it_was_made() {
    both(&[rpm("glibc", "1.0")], &[rpm("glibc", "2.0")], |root, _| {
        grow_older();
        restarted(root, &["refresh"]).exits(0).leaves_pending(&["glibc 1.0-1 2.0-1"]);
        restarted(root, &["refresh"]).remembers("/reboot_required", false);
        let applied = root.patch(&["apply"]);
        applied.applied(&["glibc 1.0-1 2.0-1"]).says("/reboot_required", true);
        applied.remembers("/reboot_packages/names/0", "glibc");
        grow_older();
        root.patch(&["refresh"]).exits(0).remembers("/reboot_required", true);
        restarted(root, &["refresh"]).exits(0).remembers("/reboot_required", false);
        restarted(root, &["status"]).says("/reboot_required", false);
        let again = restarted(root, &["apply", "--reboot=if-needed"]);
        again.applied(&[]).says("/reboot_required", false).says("/reboot_scheduled", false);
    });
}

#[test]
fn what_others_installed_is_found_by_the_next_refresh_and_looked_for_once() {
    both(&[], &[rpm("tb-hello", "1.0")], |root, _| {
        root.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
        spy(root);
        root.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
        assert_eq!(calls(root), 0, "nothing has changed");
        grow_older();
        root.install(&[rpm("dbus", "1.0")]);
        calls(root);
        root.patch(&["refresh"]).exits(0).remembers("/reboot_required", true);
        assert_eq!(calls(root), 1);
        root.patch(&["refresh"]).exits(0).remembers("/reboot_required", true);
        assert_eq!(calls(root), 0);
        // It is not there any more.
        root.sandbox.sh("rpm -e dbus");
        root.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
    });
}

#[test]
fn packages_that_the_administrator_names_for_dnf_require_a_restart_too() {
    let (root, repo) = one(&[rpm("tb-hello", "1.0")], &[rpm("tb-hello", "2.0")]);
    grow_older();
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]).says("/reboot_required", false);
    root.sandbox.write("/etc/dnf/plugins/needs-restarting.d/site.conf", "tb-other\ntb-hello\n");
    root.patch(&["refresh"]).exits(0).remembers("/reboot_required", true);
    repo.publish(&[rpm("tb-hello", "3.0")]);
    root.patch(&["apply"]).applied(&["tb-hello 2.0-1 3.0-1"]).says("/reboot_required", true);
}

#[test]
fn what_an_advisory_or_a_file_of_the_administrator_says_of_a_reboot_counts_with_dnf5() {
    let root = dnf5::root(&[rpm("tb-hello", "1.0"), rpm("tb-other", "1.0"), rpm("tb-site", "1.0")]);
    let new = |name| rpm(name, "2.0");
    let repo = RpmRepo::new(&[new("tb-hello")]);
    root.add_repo("test", &repo);
    root.sandbox.sh("stat /proc/1");
    grow_older();
    repo.publish_with_advisory("security", &[new("tb-hello")]);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]).says("/reboot_required", false);
    repo.publish_with_advisory("security, reboot", &[new("tb-other"), new("tb-hello")]);
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-other 1.0-1 2.0-1"]).says("/reboot_required", true);
    applied.remembers("/reboot_packages/by_advisory/0", "tb-other");
    grow_older();
    root.patch(&["refresh"]).exits(0).remembers("/reboot_required", true);
    restarted(&root, &["refresh"]).exits(0).remembers("/reboot_required", false);

    root.sandbox.write("/etc/dnf/suggest-reboot.d/site.conf", "# ours\ntb-site\n");
    repo.publish(&[new("tb-site")]);
    let applied = restarted_and_grown_older(&root, "2.5", &["apply"]);
    applied.applied(&["tb-site 1.0-1 2.0-1"]).says("/reboot_required", true);
}

#[test]
fn a_reboot_that_an_advisory_asks_dnf5_for_is_seen_beside_other_wishes_and_without_its_cache() {
    for (setting, wishes) in [
        ("", "security, restart, relogin, reboot"),
        ("", "security, reboot, restart"),
        ("[main]\nbuild_cache=0\n", "security, reboot"),
    ] {
        let root = dnf5::root(&[rpm("tb-hello", "1.0")]);
        let [other, repo] = [RpmRepo::new(&[]), RpmRepo::new(&[])];
        other.publish_with_advisory("security", &[rpm("tb-hello", "1.5")]);
        root.add_repo("other", &other);
        root.patch(&["refresh"]).exits(0);
        root.sandbox.sh(&format!("stat /proc/1; printf '{setting}' >>/etc/dnf/dnf.conf"));
        repo.publish_with_advisory(wishes, &[rpm("tb-hello", "2.0")]);
        root.add_repo("test", &repo);
        grow_older();
        let applied = root.patch(&["apply"]);
        applied.applied(&["tb-hello 1.0-1 2.0-1"]).says("/reboot_required", true);
        applied.remembers("/reboot_packages/by_advisory/0", "tb-hello");
    }
}

#[test]
fn a_kernel_that_is_only_a_unified_image_beside_its_modules_requires_a_restart() {
    let running = rustix::system::uname().release().to_string_lossy().into_owned();
    let image = "/usr/lib/modules/99.0.0-1.fc99.x86_64/vmlinuz-virt.efi";
    let kernel = |version: &str| match version {
        "1.0" => rpm("tb-kernel-uki", version),
        _ => rpm("tb-kernel-uki", version).file("", image, "kernel"),
    };
    let modules = format!("rm -rf /usr/lib/modules; mkdir -p /usr/lib/modules/{running}");
    let play = |root: &Root| {
        root.sandbox.sh(&modules);
        root.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
        let applied = root.patch(&["apply"]);
        applied.applied(&["tb-kernel-uki 1.0-1 2.0-1"]).says("/reboot_required", true);
    };
    let (root, _repo) = one(&[kernel("1.0")], &[kernel("2.0")]);
    play(&root);
    let (root, _repo) = dnf5::one(&[kernel("1.0")], &[kernel("2.0")]);
    play(&root);
    let root = Zypper::with(&[kernel("1.0")]);
    let repo = RpmRepo::new(&[kernel("2.0")]);
    root.add_repo("test", &repo);
    root.sandbox().sh(&modules);
    root.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
    root.patch(&["apply"]).exits(0).says("/reboot_required", true);
}

#[test]
fn zypper_leaves_its_flag_for_packages_that_say_so_themselves() {
    let root = Zypper::over(Sandbox::newer(), &[rpm("tb-hello", "1.0"), rpm("systemd", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0"), rpm("systemd", "2.0")]);
    root.add_repo("test", &repo);
    // Only this: there, a name alone is not enough.
    let applied = root.patch(&["apply"]);
    applied.applied(&["systemd 1.0-1 2.0-1", "tb-hello 1.0-1 2.0-1"]).says("/reboot_required", false);
    repo.publish(&[rpm("tb-hello", "3.0").tag("Provides: installhint(reboot-needed)")]);
    root.patch(&["apply"]).applied(&["tb-hello 2.0-1 3.0-1"]).says("/reboot_required", true);
    assert_eq!(root.sandbox().run(&["zypper", "needs-rebooting"]).code, 102);
}

#[test]
fn dnf5_says_the_same() {
    for name in ["systemd", "gnutls", "tb-hello", "systemd-libs"] {
        let (root, _repo) = dnf5::one(&[], &[rpm("tb-new", "1.0")]);
        // It takes the time of somebody's first look at the first process for the start.
        root.sandbox.sh("stat /proc/1");
        grow_older();
        root.install(&[rpm(name, "1.0")]);
        let ours = root.patch(&["refresh"]);
        let theirs = root.sandbox.run(&["dnf5", "needs-restarting"]);
        assert!(theirs.stdout.contains("libraries or services"), "{theirs:?}");
        ours.exits(0).remembers("/reboot_required", theirs.code == 1);
        let expected = ["systemd", "gnutls"].contains(&name);
        assert_eq!(theirs.code == 1, expected, "{name}: {theirs:?}");
    }
}
