//! Reboots with a real systemd.

use crate::booted::Booted;
use crate::deb::deb;
use crate::repo::Repo;

fn machine() -> (Booted, Repo) {
    let booted = Booted::with_units();
    let repo = Repo::new(&[deb("tb-hello", "1.0")]);
    booted.sandbox.add_source("test", &repo);
    booted.boot();
    (booted, repo)
}

fn apply(booted: &Booted, args: &[&str]) -> (i32, serde_json::Value) {
    let ended =
        booted.run(&[&["linux-patch", "--format", "json", "apply", "--reboot=always"], args].concat());
    let doc = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    (ended.code, doc)
}

fn announced(booted: &Booted) -> String {
    let ended = booted.run(&["linux-patch", "--format", "json", "status"]);
    let doc: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    doc["reboot_scheduled_at"].as_str().unwrap_or_default().to_string()
}

#[test]
#[ignore = "make integrations"]
fn a_reboot_is_announced_as_systemd_has_scheduled_it() {
    let (booted, _repo) = machine();
    let (code, doc) = apply(&booted, &["--reboot-delay", "20m"]);
    assert_eq!((code, &doc["reboot_scheduled"]), (0, &true.into()), "{doc}");
    assert_eq!(announced(&booted), doc["reboot_at"].as_str().unwrap());
    booted.sh("shutdown -c");
    assert_eq!(announced(&booted), "");
}

/// systemd's shutdown as it was before version 248.
#[test]
#[ignore = "make integrations"]
fn a_shutdown_that_would_reboot_at_once_is_not_asked_for_a_later_reboot() {
    let (booted, _repo) = machine();
    booted.sh("systemctl mask --now systemd-logind");
    // The same file under the name of systemctl, as where shutdown is a link to that.
    booted.sh("mkdir -p /srv/old; mv /usr/bin/systemctl /srv/old/real; ln -sf /usr/bin/systemctl /usr/sbin/shutdown");
    let script =
        "case ${0##*/} in shutdown) touch /srv/at-once ;; *) exec -a systemctl /srv/old/real \"$@\" ;; esac";
    booted.sandbox.write_script("/usr/bin/systemctl", &format!("exec bash -c '{script}' \"$0\" \"$@\""));
    let (code, doc) = apply(&booted, &["--reboot-delay", "20m"]);
    assert_eq!((code, &doc["reboot_scheduled"]), (0, &true.into()), "{doc}");
    assert!(!booted.sandbox.exists("/srv/at-once"));
    assert_eq!(announced(&booted), doc["reboot_at"].as_str().unwrap());
}

#[test]
#[ignore = "make integrations"]
fn where_nobody_can_schedule_a_reboot_systemd_itself_makes_it() {
    let (booted, _repo) = machine();
    // As where the message bus is not installed.
    booted.sh("systemctl mask --now systemd-logind dbus.service dbus.socket; rm -rf /run/dbus/*");
    let (code, doc) = apply(&booted, &["--reboot-delay", "20m"]);
    assert_eq!((code, &doc["reboot_scheduled"]), (0, &true.into()), "{doc}");
    let at = doc["reboot_at"].as_str().unwrap();
    assert_eq!(announced(&booted), at);
    let explained = booted.run(&["linux-patch", "status", "--explain"]).stdout;
    assert!(explained.contains("systemctl stop linux-patch-reboot.timer"), "{explained}");
    // It is not put off, and one that comes too late is replaced.
    let (_, doc) = apply(&booted, &["--reboot-delay", "40m"]);
    assert_eq!((announced(&booted), doc["reboot_at"].as_str().unwrap()), (at.to_string(), at));
    booted.sh("systemctl stop linux-patch-reboot.timer");
    assert_eq!(announced(&booted), "", "it was cancelled");
    apply(&booted, &["--reboot-delay", "1h"]);
    let first = booted.leader();
    let (code, _) = apply(&booted, &["--reboot-delay", "0"]);
    assert_eq!(code, 0);
    booted.wait_until("it has rebooted", || booted.leader().is_some_and(|now| Some(now) != first));
}

#[test]
#[ignore = "make integrations"]
fn what_inhibits_a_shutdown_is_found_where_systemd_keeps_it() {
    let (booted, _repo) = machine();
    booted.sh("systemd-run --quiet systemd-inhibit --what=shutdown --mode=block --who=backup --why='a copy' sleep 60");
    booted.wait_until("it inhibits", || booted.run(&["systemd-inhibit", "--list"]).stdout.contains("backup"));
    // As from systemd 257 on.
    booted.sh("rm /usr/sbin/shutdown");
    booted
        .sandbox
        .write_script("/usr/sbin/shutdown", "echo 'Failed to schedule shutdown: Access denied' >&2; exit 1");
    let (code, doc) = apply(&booted, &[]);
    assert_eq!((code, &doc["reboot_scheduled"]), (2, &false.into()), "{doc}");
    let reason = doc["reason"].as_str().unwrap();
    assert!(reason.contains("it is inhibited by backup (process ") && reason.ends_with("): a copy"), "{doc}");
}
