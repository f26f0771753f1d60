//! `status --explain`: why the host is as it is, and what will run next.

use crate::leisure::{at_leisure, budget};
use std::io::Write;

use serde_json::Value;

use crate::bench;
use crate::deb::deb;
use crate::repo::Repo;
use crate::sandbox::Sandbox;

/// What was found of a topic, as `STATE TEXT -> COMMAND`.
#[track_caller]
fn found(sandbox: &Sandbox, topic: &str) -> Vec<String> {
    let report = sandbox.patch(&["status", "--explain"]);
    let findings =
        report.json["explanation"].as_array().unwrap_or_else(|| panic!("nothing explained: {report}"));
    let of = findings.iter().filter(|finding| finding["topic"] == topic);
    let line = |finding: &Value| {
        let command = finding["command"].as_str().map(|command| format!(" -> {command}")).unwrap_or_default();
        format!("{} {}{command}", finding["state"].as_str().unwrap(), finding["text"].as_str().unwrap())
    };
    of.map(line).collect()
}

#[track_caller]
fn says(sandbox: &Sandbox, topic: &str, words: &[&str]) {
    let found = found(sandbox, topic);
    assert!(
        found.iter().any(|line| words.iter().all(|word| line.contains(word))),
        "{topic}: {words:?} not in {found:#?}"
    );
}

fn shipped(name: &str) -> String {
    std::fs::read_to_string(format!("{}/contrib/systemd/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn each_failed_source_is_explained_by_what_is_seen_of_it() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&[deb("tb-hello", "1.0")]);
    sandbox.add_source("good", &repo);
    sandbox.add_source_at("dead", bench::REFUSED, "stable");
    sandbox.add_source_at("wrong", bench::UNRESOLVABLE, "stable");
    sandbox.add_source_at("gone", &repo.url(), "nowhere");
    sandbox.patch(&["refresh", "--timeout", &budget(20)]).exits(1);
    says(&sandbox, "index", &["problem stale: 3 of 4 sources", "-> linux-patch refresh"]);
    says(
        &sandbox,
        "source",
        &[
            "problem http://127.88.0.1:1 ",
            "never refreshed",
            "127.88.0.1 (127.88.0.1) port 1 does not answer",
        ],
    );
    says(
        &sandbox,
        "source",
        &["problem http://mirror.invalid", "the name mirror.invalid does not resolve", "resolv.conf"],
    );
    says(&sandbox, "source", &["nowhere", "answers", "-> linux-patch refresh --verbose"]);
    assert_eq!(found(&sandbox, "source").len(), 3);
    let text = sandbox.run(&["linux-patch", "status", "--explain"]);
    assert!(text.code == 1 && text.stdout.starts_with("stale: "), "{text:?}");
    assert!(
        text.stdout.contains("\n! source: http://127.88.0.1:1 ") && text.stdout.contains("\n    -> "),
        "{text:?}"
    );
    // A name server that does not answer delays nothing, and no process is left behind.
    sandbox.write_script("/usr/local/bin/getent", "exec sleep 600");
    says(&sandbox, "source", &["problem http://mirror.invalid", "its name server does not answer"]);
    sandbox.runs_nothing();
    // Nor is it blamed where nothing can ask it.
    sandbox.sh("rm /usr/local/bin/getent; rm $(command -v getent)");
    says(&sandbox, "source", &["problem http://mirror.invalid", "cannot be looked up without getent"]);
}

#[test]
fn the_certificate_of_a_failed_source_is_looked_at() {
    // Of this machine, which has openssl, also where newer managers are tried.
    let sandbox = Sandbox::prepared("");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    sandbox.sh(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
         -keyout /srv/key.pem -out /srv/cert.pem 2>/dev/null",
    );
    let mut server = sandbox.command("openssl");
    let accept = format!("127.0.0.1:{port}");
    server.args(["s_server", "-accept", &accept, "-cert", "/srv/cert.pem", "-key", "/srv/key.pem", "-www"]);
    let server = sandbox.start(server);
    sandbox.wait_until("the server listens", || std::net::TcpStream::connect(&accept).is_ok());
    let source = format!("https://localhost:{port}");
    sandbox.add_source_at("own", &source, "stable");
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    sandbox.add_source_at("plain", &format!("https://{}", plain.local_addr().unwrap()), "stable");
    std::thread::spawn(move || {
        for mut peer in plain.incoming().flatten() {
            let _ = peer.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        }
    });
    sandbox.add_source_at("silent", &format!("https://{}", silent.local_addr().unwrap()), "stable");
    sandbox.patch(&["refresh", "--timeout", &budget(5)]).exits(2);
    let explained = |env: &str| sandbox.sh(&format!("env {env} linux-patch status --explain || true"));
    let text = explained("A=b");
    assert!(
        text.contains("answers, but this system does not trust its certificate: self-signed certificate\n"),
        "{text}"
    );
    assert!(text.contains("answers, but not with TLS\n"), "{text}");
    assert!(text.contains("does not answer within 3 s\n"), "{text}");
    let text = explained("SSL_CERT_FILE=/srv/cert.pem");
    assert!(text.contains("answers, and this system trusts its certificate\n"), "{text}");
    // Of another name it is not.
    sandbox.sh("sed -i 's/localhost/127.0.0.1/' /etc/apt/sources.list.d/own.list");
    sandbox.patch(&["refresh", "--timeout", &budget(5)]).exits(2);
    let text = explained("SSL_CERT_FILE=/srv/cert.pem");
    assert!(text.contains("does not trust its certificate: IP address mismatch\n"), "{text}");
    sandbox.sh("rm /usr/bin/openssl");
    let text = explained("A=b");
    assert!(
        text.contains("answers; its certificate was not checked, because openssl is not installed"),
        "{text}"
    );
    sandbox.kill_everything();
    drop(server);
}

#[test]
fn explaining_changes_nothing_and_works_before_the_first_refresh() {
    let (sandbox, repo) = bench::pending_update();
    says(&sandbox, "index", &["unknown unknown: the index was never refreshed", "-> linux-patch refresh"]);
    says(&sandbox, "source", &["unknown none is known yet"]);
    assert!(!sandbox.exists("/var/lib/linux-patch"), "it writes nothing");
    sandbox.patch(&["refresh"]).exits(0);
    let before =
        sandbox.sh("cd /; find var etc -path var/tmp -prune -o -type f -print | sort | xargs md5sum");
    let requests = repo.refreshes();
    bench::spy(&sandbox);
    says(&sandbox, "updates", &["problem 1 update pending", "-> linux-patch apply"]);
    says(&sandbox, "source", &["ok the last refresh reached all 1"]);
    assert_eq!(
        before,
        sandbox.sh("cd /; find var etc -path var/tmp -prune -o -type f -print | sort | xargs md5sum")
    );
    assert_eq!((repo.refreshes(), bench::calls(&sandbox)), (requests, Vec::<String>::new()));
}

#[test]
fn what_is_held_back_and_what_failed_is_explained() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-held", "1.0"), deb("tb-broken", "1.0")],
        &[deb("tb-held", "2.0"), deb("tb-broken", "2.0").script("postinst", "echo no disk today; exit 1")],
    );
    sandbox.sh("apt-mark hold tb-held");
    sandbox.patch(&["apply"]).apply_failed("script");
    says(
        &sandbox,
        "apply",
        &["problem the last apply failed (script: ", "no disk today", "-> less /var/log/linux-patch/"],
    );
    says(&sandbox, "held back", &["problem tb-held 2.0 (held)", "EXCLUDING PACKAGES FOR GOOD"]);
    says(&sandbox, "room", &["/"]);
    says(&sandbox, "lock", &["ok nobody"]);
}

#[test]
fn a_host_on_which_nothing_runs_linux_patch_is_told_so() {
    let (sandbox, _repo) = bench::pending_update();
    says(&sandbox, "next run", &["problem nothing will ever run linux-patch again on this host"]);
    // Somebody only looks.
    sandbox.write("/etc/cron.d/look", "* * * * * root linux-patch status\n");
    says(&sandbox, "next run", &["nothing will ever run"]);
    sandbox.write(
        "/etc/cron.d/linux-patch",
        "# every hour\n0 * * * *  root  linux-patch refresh --quiet --splay 59min\n",
    );
    // No daemon reads this directory here.
    says(
        &sandbox,
        "cron",
        &["problem /etc/cron.d/linux-patch (0 * * * *) runs linux-patch refresh", "no cron daemon runs"],
    );
    says(&sandbox, "next run", &["nothing will ever run"]);
    let mut daemon = sandbox.command("sh");
    daemon.args(["-c", "cp /bin/sleep /tmp/cron; exec /tmp/cron 600"]);
    let _daemon = sandbox.start(daemon);
    sandbox.wait_until("the daemon runs", || sandbox.processes().iter().any(|(_, name)| name == "cron"));
    says(
        &sandbox,
        "cron",
        &["ok /etc/cron.d/linux-patch (0 * * * *) runs linux-patch refresh", ":00 local time"],
    );
    assert_eq!(found(&sandbox, "next run"), [] as [&str; 0]);
    sandbox.kill_everything();
}

/// Each was tried with Debian's cron, which runs none of these (`make integrations`: `cron::`).
#[test]
fn a_table_or_script_that_cron_does_not_read_is_told_with_the_reason() {
    let (sandbox, _repo) = bench::pending_update();
    let table = "/etc/cron.d/linux-patch";
    for (spoil, words, command) in UNREAD {
        sandbox.sh("rm -rf /etc/cron.d /etc/cron.daily; mkdir /etc/cron.d /etc/cron.daily");
        sandbox.write(table, "0 * * * * root linux-patch refresh\n");
        sandbox.sh(&format!("cd /etc/cron.d; {spoil}"));
        says(&sandbox, "cron", &["problem /etc/cron.d/linux-patch", words, command]);
        says(&sandbox, "next run", &["nothing will ever run"]);
    }
    let script = "#!/bin/sh\nexec linux-patch apply\n";
    for (name, mode, words) in [
        ("linux-patch.sh", 0o755, "a name with other characters"),
        ("linux-patch", 0o644, "may not be executed"),
    ] {
        sandbox.sh("rm -rf /etc/cron.d/* /etc/cron.daily/*");
        sandbox.write_mode(&format!("/etc/cron.daily/{name}"), script, mode);
        says(&sandbox, "cron", &["problem /etc/cron.daily/linux-patch", words]);
    }
    // A copy beside the table that is read is none.
    sandbox.sh("rm /etc/cron.daily/*");
    sandbox.write(table, "0 * * * * root linux-patch refresh\n");
    for end in ["~", ".dpkg-dist", ".bak"] {
        sandbox.sh(&format!("cp {table} {table}{end}"));
    }
    assert_eq!(found(&sandbox, "cron").len(), 1, "{:?}", found(&sandbox, "cron"));
    sandbox.sh(&format!("rm {table}*"));
    sandbox.write("/etc/anacrontab", "START_HOURS_RANGE=3-22\n1 10 patch.daily nice linux-patch apply\n");
    says(&sandbox, "cron", &["/etc/anacrontab (anacron, days: 1) runs nice linux-patch apply"]);
}

/// What is done to the table, why cron does not read it then, and what mends that.
pub const UNREAD: [(&str, &str, &str); 8] = [
    ("mv linux-patch linux-patch.cron", "a name with other characters", "mv /etc/cron.d/linux-patch.cron"),
    ("chmod 664 linux-patch", "its mode is 664", "chmod 644"),
    ("chmod 666 linux-patch", "its mode is 666", "chmod 644"),
    ("chown 65534 linux-patch", "it belongs to user 65534", "chown root"),
    (
        "cp linux-patch /srv/x; chown 65534 /srv/x; ln -sf /srv/x linux-patch",
        "it belongs to user 65534",
        "chown root",
    ),
    ("mkdir x; ln linux-patch x/y", "it has another name too", "cp "),
    ("printf '0 * * * * root linux-patch refresh' >linux-patch", "its last line has no end", "echo >>"),
    ("echo '0 * * * * linux-patch refresh' >linux-patch", "a line in it names no user", "write root before"),
];

#[test]
fn timers_are_told_with_their_next_time_and_what_keeps_them_from_it() {
    let (sandbox, _repo) = bench::pending_update();
    for name in ["linux-patch-refresh", "linux-patch-apply"] {
        for end in ["service", "timer"] {
            let name = format!("{name}.{end}");
            sandbox.write(&format!("/usr/lib/systemd/system/{name}"), shipped(&name));
        }
    }
    says(&sandbox, "timer", &["problem linux-patch-refresh.timer", "systemd does not run here"]);
    says(&sandbox, "next run", &["nothing will ever run"]);
    // One that systemd runs.
    sandbox.sh("mkdir -p /run/systemd/system /etc/systemd/system/timers.target.wants /etc/systemd/system/linux-patch-apply.service.d");
    sandbox.write(
        "/etc/systemd/system/linux-patch-apply.service.d/ours.conf",
        "[Service]\nExecStart=\nExecStart=linux-patch apply --security\n",
    );
    sandbox
        .sh("ln -s /usr/lib/systemd/system/linux-patch-apply.timer /etc/systemd/system/timers.target.wants/");
    let block = |timer: &str, active: &str, next: &str| {
        format!("echo Id={timer}; echo ActiveState={active}; echo NextElapseUSecRealtime={next}; echo\n")
    };
    let answer = block("linux-patch-apply.timer", "active", "'Sun 2026-11-29 03:30:00 UTC'")
        + &block("linux-patch-refresh.timer", "inactive", "");
    sandbox.write_script("/usr/local/sbin/systemctl", &answer);
    says(
        &sandbox,
        "timer",
        &["ok linux-patch-apply.timer", "apply --security", "ours.conf", "next: Sun 2026-11-29 03:30:00 UTC"],
    );
    says(
        &sandbox,
        "timer",
        &["problem linux-patch-refresh.timer is there but not enabled", "-> systemctl enable --now"],
    );
    assert_eq!(found(&sandbox, "next run"), [] as [&str; 0]);
    // A program that does not answer does not delay it for long.
    sandbox.write_script("/usr/local/sbin/systemctl", "sleep 600");
    let report = sandbox.patch(&["status", "--explain"]);
    assert!(report.elapsed < at_leisure(20), "{report}");
    sandbox.sh("ln -s /dev/null /etc/systemd/system/linux-patch-apply.timer");
    says(&sandbox, "timer", &["problem linux-patch-apply.timer is masked", "-> systemctl unmask"]);
    says(&sandbox, "next run", &["nothing will ever run"]);
}

#[test]
fn others_that_update_the_host_and_a_shutdown_are_told() {
    let (sandbox, _repo) = bench::pending_update();
    says(&sandbox, "shutdown", &["ok none"]);
    sandbox.sh(
        "find /etc/systemd/system -name 'apt-daily*' -delete; rm -f /etc/systemd/system/packagekit.service",
    );
    sandbox.write("/usr/lib/systemd/system/apt-daily-upgrade.timer", "[Timer]\nOnCalendar=daily\n");
    sandbox.write(
        "/usr/lib/systemd/system/packagekit.service",
        "[Service]\nExecStart=/usr/libexec/packagekitd\n",
    );
    says(
        &sandbox,
        "other updater",
        &["ok apt's own upgrade (unattended-upgrades) (apt-daily-upgrade.timer) is there and not enabled"],
    );
    sandbox.sh("mkdir -p /etc/systemd/system/timers.target.wants /run/systemd/shutdown");
    sandbox
        .sh("ln -s /usr/lib/systemd/system/apt-daily-upgrade.timer /etc/systemd/system/timers.target.wants/");
    // On every Debian it is, and does nothing there.
    let harmless = "apt-daily-upgrade.timer) is enabled, and apt.conf lets it install nothing";
    says(&sandbox, "other updater", &["ok ", harmless]);
    sandbox.write_script("/usr/bin/unattended-upgrade", "exit 0");
    says(&sandbox, "other updater", &["ok ", harmless]);
    // In any of the forms that apt reads.
    let block = "APT { Periodic { Unattended-Upgrade \"1\"; }; };\n";
    sandbox.write("/etc/apt/apt.conf.d/20auto-upgrades", block);
    says(
        &sandbox,
        "other updater",
        &[
            "problem ",
            "apt-daily-upgrade.timer) is enabled",
            "-> systemctl disable --now apt-daily-upgrade.timer",
        ],
    );
    says(&sandbox, "other updater", &["ok PackageKit (packagekit.service) starts on demand"]);
    sandbox.write("/run/systemd/shutdown/scheduled", "USEC=4102444800000000\nMODE=reboot\n");
    sandbox.write("/run/nologin", "going down\n");
    says(&sandbox, "shutdown", &["problem a reboot comes at 2100-01-01T00:00:00Z", "-> shutdown -c"]);
    says(&sandbox, "shutdown", &["/run/nologin", "going down"]);
    // A running apply is explained.
    says(&sandbox, "lock", &["ok "]);
}
