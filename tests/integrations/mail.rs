//! contrib/mail beside the units, in a real systemd: a mail when a unit fails, and after each change.

use crate::booted::{Booted, blocks};
use crate::daemons::ours;
use crate::deb::deb;
use crate::repo::Repo;
use crate::server::Fault;

const REFRESH: &str = "linux-patch-refresh.service";
const APPLY: &str = "linux-patch-apply.service";
/// Stands for a mail server.
const SENDMAIL: &str = "[ \"$*\" = -t ] && [ ! -e /srv/no-mail ] || exit 75
mkdir -p /srv/mail; cat >/srv/mail/$$.new; mv /srv/mail/$$.new /srv/mail/$(date +%s.%N)";

/// A host with tb-hello 1.0 and an update, and all that docs/timers.md says to install.
fn host() -> (Booted, Repo) {
    let booted = Booted::with_units();
    let repo = Repo::new(&[deb("tb-hello", "2.0")]);
    booted.sandbox.add_source("test", &repo);
    booted.sandbox.install(&[deb("tb-hello", "1.0")]);
    for name in ["linux-patch-mail", "linux-patch-mail@.service", "on-failure.conf", "report.conf"] {
        booted.sandbox.write(&format!("/srv/contrib/mail/{name}"), ours(&format!("contrib/mail/{name}")));
    }
    booted.sandbox.write_script("/usr/sbin/sendmail", SENDMAIL);
    let all = blocks("timers.md");
    let install = all.iter().find(|block| block.contains("contrib/mail/")).expect("docs/timers.md has it");
    booted.boot();
    booted.sh(&format!("mkdir -p /usr/local/sbin; cd /srv; {install}"));
    let verified =
        booted.run(&["systemd-analyze", "verify", "--man=no", APPLY, "linux-patch-mail@x.service"]);
    let said = format!("{}{}", verified.stdout, verified.stderr);
    assert!(!said.contains("linux-patch"), "{said}");
    (booted, repo)
}

/// The mails that have come, oldest first, once there are so many.
#[track_caller]
fn mails(booted: &Booted, count: usize) -> Vec<String> {
    let names = || booted.sandbox.list("/srv/mail").into_iter().filter(|name| !name.ends_with(".new"));
    if count > 0 {
        booted.wait_until("the mail has come", || {
            booted.sandbox.exists("/srv/mail") && names().count() >= count
        });
    }
    let of = |name: String| booted.sandbox.read(&format!("/srv/mail/{name}")).unwrap();
    let mails: Vec<_> = if booted.sandbox.exists("/srv/mail") { names().map(of).collect() } else { vec![] };
    assert_eq!(mails.len(), count, "{mails:#?}");
    mails
}

/// Runs a unit to its end, and the mail about it.
#[track_caller]
fn start(booted: &Booted, unit: &str) -> i32 {
    let code = booted.run(&["systemctl", "start", unit]).code;
    let mail = format!("linux-patch-mail@{unit}.service");
    booted.wait_until("the mail is done", || {
        !["activating", "active"].contains(&booted.show(&mail, "ActiveState").as_str())
    });
    code
}

#[test]
#[ignore = "make integrations"]
fn a_unit_that_fails_mails_why_and_not_every_hour() {
    let (booted, repo) = host();
    assert_eq!(start(&booted, REFRESH), 0);
    mails(&booted, 0);
    repo.server.fault("/InRelease", Fault::Status(503));
    assert_ne!(start(&booted, REFRESH), 0);
    let mail = &mails(&booted, 1)[0];
    assert!(mail.starts_with("To: root\nSubject: "), "{mail}");
    for words in [
        &*format!(": {REFRESH} failed\n\n"),
        "\n! source: ",
        "503",
        "    -> linux-patch refresh",
        &*format!("\nThe last lines of {REFRESH}:\n"),
        "\nlinux-patch: refreshing the package index\n",
    ] {
        assert!(mail.contains(words), "no {words:?} in {mail}");
    }
    assert_ne!(start(&booted, REFRESH), 0);
    mails(&booted, 1);
    // A mail about the other unit, and later another about the same one.
    booted.sh("mkdir -p /etc/systemd/system/linux-patch-mail@.service.d
        printf '[Service]\\nEnvironment=MAILTO=admin@example.org\\n' >/etc/systemd/system/linux-patch-mail@.service.d/to.conf
        systemctl daemon-reload");
    assert_ne!(start(&booted, APPLY), 0);
    let mail = &mails(&booted, 2)[1];
    assert!(mail.starts_with("To: admin@example.org\n") && mail.contains("\n! apply: "), "{mail}");
    booted.sh(&format!("touch -d '13 hours ago' /run/linux-patch-mail.{REFRESH}"));
    assert_ne!(start(&booted, REFRESH), 0);
    mails(&booted, 3);
}

#[test]
#[ignore = "make integrations"]
fn an_apply_that_changed_something_mails_what() {
    let (booted, repo) = host();
    assert_eq!(start(&booted, APPLY), 0);
    let mail = &mails(&booted, 1)[0];
    assert!(mail.contains(": packages changed\n\n  20"), "{mail}");
    assert!(mail.contains("\n    tb-hello 1.0 -> 2.0"), "{mail}");
    // With nothing to do, also after refreshes.
    assert_eq!((start(&booted, REFRESH), start(&booted, APPLY)), (0, 0));
    mails(&booted, 1);
    // Held-back updates are listed after the history, and are not changes.
    booted.sh("apt-mark hold tb-hello");
    repo.publish(&[deb("tb-hello", "3.0")]);
    assert_eq!(start(&booted, APPLY), 0);
    mails(&booted, 1);
    booted.sh("apt-mark unhold tb-hello; touch /srv/no-mail");
    assert_eq!(start(&booted, APPLY), 0, "{}", booted.journal(APPLY));
    booted.sandbox.has_exactly(&["tb-hello 3.0"]);
    mails(&booted, 1);
}
