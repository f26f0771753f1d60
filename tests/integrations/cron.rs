//! The file of contrib/cron, run by a real cron whose mails are kept.

use std::time::{Duration, Instant};

use crate::bench;
use crate::deb::deb;
use crate::repo::Repo;
use crate::sandbox::Sandbox;
use crate::server::Fault;

/// What the file says for the hosts of a fleet: once an hour, spread over the hour.
const LINE: &str =
    "0 * * * *  root  command -v linux-patch >/dev/null || exit 0; linux-patch refresh --quiet --splay 59min";

/// A root in which cron runs, with the file of contrib, but every minute and with a short wait.
fn host() -> (Sandbox, Repo) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/cron/linux-patch");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.lines().any(|line| line == LINE), "{path} has no line {LINE:?}");
    let often = LINE.replace("0 * * * *", "* * * * *").replace("59min", "3s");
    let (sandbox, repo) = bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0")]);
    assert!(sandbox.exists("/usr/sbin/cron"), "/usr/sbin/cron is needed (package cron)");
    sandbox.sh("rm -f /etc/cron.d/* /var/spool/cron/crontabs/* /etc/crontab; mkdir -p /etc/cron.d /srv/mail");
    sandbox.write("/etc/cron.d/linux-patch", text.replace(LINE, &often));
    sandbox.write_script(
        "/usr/sbin/sendmail",
        "cat >/srv/mail/$$.new; mv /srv/mail/$$.new /srv/mail/$(date +%s.%N)",
    );
    // The configuration of this machine needs things that this root does not have.
    sandbox.write(
        "/etc/pam.d/cron",
        "account required pam_permit.so\nsession required pam_permit.so\nauth required pam_permit.so\n",
    );
    sandbox.sh("cron -f >/srv/cron 2>&1 &");
    (sandbox, repo)
}

fn runs(sandbox: &Sandbox) -> usize {
    sandbox.read("/var/lib/linux-patch/history.jsonl").unwrap_or_default().lines().count()
}

/// Waits longer than `Sandbox::wait_until` does: cron looks at the clock once a minute.
#[track_caller]
fn wait_for_runs(sandbox: &Sandbox, number: usize) {
    let start = Instant::now();
    while runs(sandbox) < number {
        let said = sandbox.read("/srv/cron");
        assert!(start.elapsed() < Duration::from_secs(150), "cron did not run it: {said:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    // The mail comes when it has ended.
    sandbox.wait_until("it has ended", || sandbox.processes().iter().all(|(_, name)| name != "linux-patch"));
    std::thread::sleep(Duration::from_secs(1));
}

#[test]
#[ignore = "make integrations"]
fn cron_mails_nothing_when_all_is_well_and_one_line_when_it_is_not() {
    let (sandbox, repo) = host();
    let other = Repo::new(&[deb("tb-other", "1.0")]);
    sandbox.add_source("other", &other);
    wait_for_runs(&sandbox, 1);
    assert_eq!(sandbox.list("/srv/mail"), [""; 0], "a mail about nothing");
    assert_eq!(sandbox.state()["last_attempt"]["outcome"], "fresh");

    repo.server.fault("/", Fault::Status(404));
    let partial = next_mail(&sandbox, 2);
    assert!(partial.starts_with("stale: ") && partial.contains(&repo.url()), "{partial}");

    other.server.fault("/", Fault::Status(404));
    let failed = next_mail(&sandbox, 3);
    assert!(failed.starts_with("failed: ") && failed.contains("404"), "{failed}");

    repo.server.heal();
    other.server.heal();
    wait_for_runs(&sandbox, 4);
    assert_eq!(sandbox.list("/srv/mail").len(), 2, "all is well again");
}

/// The text of the one mail that the next run makes.
#[track_caller]
fn next_mail(sandbox: &Sandbox, run: usize) -> String {
    let before = sandbox.list("/srv/mail");
    wait_for_runs(sandbox, run);
    let after = sandbox.list("/srv/mail");
    assert_eq!(after.len(), before.len() + 1, "{after:?}");
    let mail = sandbox.read(&format!("/srv/mail/{}", after.last().unwrap())).unwrap();
    let (head, body) = mail.split_once("\n\n").expect("a mail without a body");
    let subject = head.lines().find(|line| line.starts_with("Subject: ")).unwrap_or_default();
    assert!(subject.contains("linux-patch refresh --quiet"), "{mail}");
    assert!(head.lines().any(|line| line == "To: root"), "{mail}");
    assert_eq!(body.trim_end().lines().count(), 1, "{mail}");
    println!("{mail}");
    body.to_string()
}

/// As on Alpine, whose crond reads only tables of users.
#[test]
#[ignore = "make integrations"]
fn the_crond_of_busybox_runs_the_table_of_root() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/cron/linux-patch.crontab");
    let text = std::fs::read_to_string(path).unwrap();
    let (sandbox, _repo) = bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0")]);
    assert!(sandbox.exists("/usr/bin/busybox"), "/usr/bin/busybox is needed (package busybox-static)");
    assert!(text.contains("\n0 * * * *  ") && text.contains(" --splay 59min\n"), "{text}");
    let often = text.replace("\n0 * * * *", "\n* * * * *").replace("59min", "1s");
    sandbox.sh("rm -rf /var/spool/cron; mkdir -p /var/spool/cron/crontabs");
    sandbox.write("/srv/linux-patch.crontab", often);
    sandbox.sh("set +e; cd /srv; { busybox crontab -l; cat linux-patch.crontab; } | busybox crontab -");
    let table = sandbox.read("/var/spool/cron/crontabs/root").unwrap_or_default();
    assert!(table.contains("\n* * * * *  "), "{table:?}");
    sandbox.sh("env -i busybox crond -f -l 0 -L /srv/cron >/dev/null 2>&1 &");
    wait_for_runs(&sandbox, 1);
    assert_eq!(sandbox.state()["last_attempt"]["outcome"], "fresh");
}

/// What `status --explain` says of a table that cron does not read is true: the real cron runs none of these.
#[test]
#[ignore = "make integrations"]
fn what_is_said_not_to_be_read_cron_does_not_run() {
    let (sandbox, _repo) = host();
    sandbox.sh("rm -f /etc/cron.d/*; mkdir -p /srv/own /srv/ran");
    let spoilt = [
        ("dot.cron", "true"),
        ("group", "chmod 664 group"),
        ("all", "chmod 666 all"),
        ("theirs", "chown 65534 theirs"),
        ("linked", "ln linked /etc/cron.d/linked-too"),
        ("user", "echo '* * * * * /usr/bin/linux-patch refresh' >user"),
        ("open", "printf '* * * * * root touch /srv/ran/open; linux-patch refresh' >open"),
    ];
    for (name, spoil) in spoilt {
        sandbox.write(
            &format!("/etc/cron.d/{name}"),
            format!("* * * * * root touch /srv/ran/{name}; linux-patch refresh\n"),
        );
        sandbox.sh(&format!("cd /etc/cron.d; {spoil}"));
    }
    let explained = sandbox.run(&["linux-patch", "status", "--explain"]).stdout;
    let unread = explained.lines().filter(|line| line.contains("but cron does not read that file")).count();
    assert_eq!(unread, spoilt.len() + 1, "{explained}");
    sandbox.write("/etc/cron.d/good", "* * * * * root touch /srv/ran/good; linux-patch refresh\n");
    wait_for_runs(&sandbox, 2);
    assert_eq!(sandbox.list("/srv/ran"), ["good"]);
}
