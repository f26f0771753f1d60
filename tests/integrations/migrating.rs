//! docs/migrating.md: each updater that it is about beside linux-patch, on the same updates. Their packages are fetched
//! by `make peers` and unpacked in throw-away roots: installed on this machine they would begin to update it.

use std::path::PathBuf;

use crate::deb::{Deb, deb};
use crate::repo::Repo;
use crate::rpm::{Root, RpmRepo, rpm};
use crate::sandbox::{Ended, Sandbox};

/// Unpacks a package that `make peers` has fetched.
#[track_caller]
fn unpack(sandbox: &Sandbox, names: &[&str]) {
    let dir = PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/../peers"));
    for name in names {
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_it =
            |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}_"));
        let path =
            entries.filter(is_it).max().unwrap_or_else(|| panic!("run `make peers`: there is no {name}"));
        sandbox.write("/srv/peer.deb", std::fs::read(path).unwrap());
        // Not into the root itself: one with a directory /lib would take the place of the link.
        sandbox.sh("dpkg-deb -x /srv/peer.deb /srv/peer; cp -r /srv/peer/etc /srv/peer/usr / 2>/dev/null || :; rm -r /srv/peer*");
    }
    // The program that reboots the machine is called by its path.
    for name in ["shutdown", "reboot"] {
        sandbox.write_script(&format!("/usr/sbin/{name}"), &format!("echo \"{name} $*\" >>/run/restarts"));
    }
}

/// tb-a, tb-apple and tb-conf from the release, tb-sec from the security archive, each 1.0 with an update; tb-held on
/// hold, and tb-old, installed automatically, which only tb-a 1.0 needs.
struct Host {
    sandbox: Sandbox,
    _repos: [Repo; 2],
}

fn host() -> Host {
    let conf = |version: &str, text: &str| deb("tb-conf", version).conffile("/etc/tb.conf", text);
    let installed: Vec<Deb> = ["tb-apple", "tb-sec", "tb-held", "tb-old"].map(|name| deb(name, "1.0")).into();
    let sandbox = Sandbox::new();
    sandbox.install(
        &[installed, vec![deb("tb-a", "1.0").field("Depends", "tb-old"), conf("1.0", "one\n")]].concat(),
    );
    sandbox.sh("apt-mark hold tb-held; apt-mark auto tb-old; echo mine >/etc/tb.conf");
    let mut published: Vec<Deb> = ["tb-a", "tb-apple", "tb-held"].map(|name| deb(name, "2.0")).into();
    published.push(conf("2.0", "two\n"));
    let plain = Repo::new(&published);
    let secure = Repo::claiming(
        |claims| (claims.label, claims.suite) = ("Debian-Security".into(), "stable-security".into()),
        &[deb("tb-sec", "2.0")],
    );
    sandbox.add_source("plain", &plain);
    sandbox.add_source("security", &secure);
    Host { sandbox, _repos: [plain, secure] }
}

/// The packages that are no longer 1.0 (`tb-a`), and those that are gone (`-tb-old`).
fn changed(sandbox: &Sandbox) -> Vec<String> {
    let installed = sandbox.installed();
    let names = ["tb-a", "tb-apple", "tb-conf", "tb-held", "tb-old", "tb-sec"];
    let of = |name: &str| match installed.get(name).map(String::as_str) {
        Some("1.0") => None,
        Some(_) => Some(name.to_string()),
        None => Some(format!("-{name}")),
    };
    names.into_iter().filter_map(of).collect()
}

fn restarts(sandbox: &Sandbox) -> String {
    sandbox.read("/run/restarts").unwrap_or_default()
}

/// Their program on one host.
#[track_caller]
fn unattended(options: &str, args: &[&str], before: &str) -> (Host, Ended) {
    let host = host();
    let sandbox = &host.sandbox;
    unpack(sandbox, &["unattended-upgrades", "python3-distro-info"]);
    sandbox
        .write("/etc/apt/apt.conf.d/50unattended-upgrades", options.replace("U-U::", "Unattended-Upgrade::"));
    sandbox.sh(&format!(
        "apt-get -q update; mkdir -p /var/log/unattended-upgrades /var/lib/apt/periodic; {before}"
    ));
    let ended = sandbox.run(&[&["unattended-upgrade", "--verbose"], args].concat());
    (host, ended)
}

/// Our program on another.
#[track_caller]
fn ours(args: &[&str], before: &str) -> (Host, Ended) {
    let host = host();
    host.sandbox.write_script("/usr/sbin/shutdown", "echo \"shutdown $*\" >>/run/restarts");
    host.sandbox.sh(&format!("rm -f /usr/local/sbin/shutdown; {before}"));
    let ended = host.sandbox.run(&[&["linux-patch", "apply"], args].concat());
    (host, ended)
}

/// What both do, with their options and with ours.
struct Same {
    theirs: &'static str,
    ours: &'static [&'static str],
    /// What the page calls the option of theirs, or one like it.
    named: &'static str,
    changes: &'static [&'static str],
}

/// With all sources, and the configuration files kept.
const ALL: &str =
    "U-U::Origins-Pattern { \"origin=*\"; };\nDpkg::Options { \"--force-confdef\"; \"--force-confold\"; };\n";
const KEEP_UNUSED: &str = "U-U::Remove-New-Unused-Dependencies \"false\";\n";

const UNATTENDED: &[Same] = &[
    Same {
        theirs: "U-U::Origins-Pattern { \"label=Debian-Security\"; };",
        ours: &["--security"],
        named: "`Allowed-Origins`, `Origins-Pattern` with security archives alone",
        changes: &["tb-sec"],
    },
    Same {
        theirs: "U-U::Allowed-Origins { \"Debian:stable-security\"; };",
        ours: &["--from", "*-security"],
        named: "`--from '*-security'`",
        changes: &["tb-sec"],
    },
    Same {
        theirs: "ALL KEEP",
        ours: &[],
        named: "`Dpkg::Options` with `--force-confold`",
        changes: &["tb-a", "tb-apple", "tb-conf", "tb-sec"],
    },
    Same {
        theirs: "ALL KEEP U-U::Package-Blacklist { \"tb-a\"; };",
        ours: &["--exclude", "tb-a*"],
        named: "`Package-Blacklist`",
        changes: &["tb-conf", "tb-sec"],
    },
    Same {
        theirs: "ALL U-U::Package-Whitelist { \"tb-a$\"; }; U-U::Package-Whitelist-Strict \"true\";",
        ours: &["tb-a"],
        named: "`Package-Whitelist-Strict`",
        changes: &["tb-a"],
    },
    Same {
        theirs: "ALL U-U::Remove-Unused-Dependencies \"true\";",
        ours: &["--autoremove"],
        named: "`Remove-Unused-Dependencies`",
        changes: &["tb-a", "tb-apple", "tb-conf", "-tb-old", "tb-sec"],
    },
];

fn options(words: &str) -> String {
    words.replace("ALL", ALL).replace("KEEP", KEEP_UNUSED)
}

fn page() -> String {
    crate::documents::file("docs/migrating.md")
}

#[test]
#[ignore = "make integrations"]
fn what_unattended_upgrades_installs_is_installed_with_the_options_beside_it() {
    for row in UNATTENDED {
        assert!(page().contains(row.named), "docs/migrating.md has no {}", row.named);
        let (theirs, said) = unattended(&options(row.theirs), &[], "");
        assert_eq!(
            (said.code, changed(&theirs.sandbox)),
            (0, row.changes.iter().map(|it| it.to_string()).collect()),
            "{said:?}"
        );
        let (ours, said) = ours(row.ours, "");
        assert_eq!(
            (said.code, changed(&ours.sandbox)),
            (0, changed(&theirs.sandbox)),
            "{:?}: {said:?}",
            row.ours
        );
        assert_eq!(ours.sandbox.read("/etc/tb.conf").as_deref(), Some("mine\n"));
    }
}

#[test]
#[ignore = "make integrations"]
fn unattended_upgrades_restarts_when_we_do() {
    const REBOOT: &str = "ALL U-U::Automatic-Reboot \"true\";";
    for (is_required, time) in [(true, None), (false, None), (true, Some("05:00"))] {
        let before = if is_required { "touch /run/reboot-required" } else { "" };
        let at = time.map(|time| format!("U-U::Automatic-Reboot-Time \"{time}\";")).unwrap_or_default();
        let (theirs, said) = unattended(&options(&format!("{REBOOT}{at}")), &[], before);
        let when = time.unwrap_or("now");
        let expected = if is_required { format!("shutdown -r {when}\n") } else { String::new() };
        assert_eq!(restarts(&theirs.sandbox), expected, "{said:?}");
        let args: Vec<_> =
            ["--reboot"].into_iter().chain(time.into_iter().flat_map(|time| ["--reboot-at", time])).collect();
        let (ours, said) = ours(&args, before);
        let when = time.unwrap_or("+1");
        assert_eq!(restarts(&ours.sandbox).is_empty(), !is_required, "{said:?}");
        assert!(restarts(&ours.sandbox).starts_with(expected.replace("now\n", when).trim_end()), "{said:?}");
    }
}

#[test]
#[ignore = "make integrations"]
fn what_is_different_with_unattended_upgrades_is_as_the_page_says() {
    // It removes what an update makes superfluous, unless told not to.
    let (theirs, _) = unattended(&options("ALL"), &[], "");
    assert!(changed(&theirs.sandbox).contains(&"-tb-old".to_string()));
    // A whitelist that is not strict has no effect; a pattern of the blacklist matches the beginning of a name.
    let (theirs, _) = unattended(&options("ALL U-U::Package-Whitelist { \"tb-a$\"; };"), &[], "");
    assert!(changed(&theirs.sandbox).contains(&"tb-apple".to_string()));
    // A package whose configuration file was changed here is held back.
    let (theirs, said) = unattended("U-U::Origins-Pattern { \"origin=*\"; };", &[], "");
    assert_eq!(
        (said.code, changed(&theirs.sandbox).contains(&"tb-conf".to_string())),
        (1, false),
        "{said:?}"
    );
    let (ours_too, said) = ours(&[], "");
    assert_eq!(
        (said.code, changed(&ours_too.sandbox).contains(&"tb-conf".to_string())),
        (0, true),
        "{said:?}"
    );
    // It refreshes nothing itself: what another day has published is unknown to it.
    let host = host();
    unpack(&host.sandbox, &["unattended-upgrades", "python3-distro-info"]);
    host.sandbox.write(
        "/etc/apt/apt.conf.d/50unattended-upgrades",
        options("ALL").replace("U-U::", "Unattended-Upgrade::"),
    );
    host.sandbox.sh("apt-get -q update; mkdir -p /var/log/unattended-upgrades");
    host._repos[1].publish(&[deb("tb-sec", "3.0")]);
    let said = host.sandbox.run(&["unattended-upgrade"]);
    assert_ne!(host.sandbox.installed()["tb-sec"], "3.0", "{said:?}");
    assert_eq!(host.sandbox.run(&["linux-patch", "apply"]).code, 0);
    assert_eq!(host.sandbox.installed()["tb-sec"], "3.0");
    // Days, and a dry run of both.
    let (theirs, said) = unattended(&options("ALL U-U::Update-Days { \"Someday\"; };"), &[], "");
    assert!(said.stdout.contains("patch days") && changed(&theirs.sandbox).is_empty(), "{said:?}");
    let (theirs, _) = unattended(&options("ALL"), &["--dry-run"], "");
    let (ours, said) = ours(&["--dry-run"], "");
    assert_eq!(changed(&theirs.sandbox), [""; 0]);
    assert!(changed(&ours.sandbox).is_empty() && said.stdout.contains("tb-sec 1.0 -> 2.0"), "{said:?}");
}

/// Takes the place of a mail program: writes the mail to /srv/mail.
fn catch_mail(sandbox: &Sandbox) {
    for name in ["sendmail", "mail", "mailx"] {
        sandbox.sh(&format!("rm -f /usr/bin/{name} /usr/sbin/{name}"));
        sandbox.write_script(&format!("/usr/bin/{name}"), "{ echo \"$*\"; cat; } >>/srv/mail");
    }
}

#[test]
#[ignore = "make integrations"]
fn cron_apt_downloads_what_download_only_downloads() {
    let theirs = host();
    unpack(&theirs.sandbox, &["cron-apt"]);
    catch_mail(&theirs.sandbox);
    theirs.sandbox.write("/etc/cron-apt/config", "RUNSLEEP=0\nMAILON=\"upgrade\"\nMAILTO=root\n");
    theirs.sandbox.sh("mkdir -p /var/lib/cron-apt /var/log/cron-apt; : >/etc/mtab");
    let said = theirs.sandbox.run(&["cron-apt"]);
    let debs = |sandbox: &Sandbox| {
        let names = sandbox.list("/var/cache/apt/archives");
        names.into_iter().filter(|name| name.ends_with(".deb")).collect::<Vec<_>>()
    };
    assert_eq!(debs(&theirs.sandbox).len(), 4, "{said:?}");
    let mail = theirs.sandbox.read("/srv/mail").unwrap_or_default();
    assert!(mail.contains("tb-a") && mail.contains("tb-sec"), "{mail}");
    let (ours, said) = ours(&["--download-only"], "");
    assert_eq!((said.code, debs(&ours.sandbox)), (0, debs(&theirs.sandbox)), "{said:?}");
    assert_eq!((changed(&theirs.sandbox), changed(&ours.sandbox)), (vec![], vec![]));
    let status = ours.sandbox.run(&["linux-patch", "status", "--format", "nagios", "--alert", "updates"]);
    assert!(status.code == 1 && status.stdout.contains("4 updates pending"), "{status:?}");
}

#[test]
#[ignore = "make integrations"]
fn apticron_mails_what_status_prints() {
    let theirs = |config: &str, before: &str| {
        let host = host();
        unpack(&host.sandbox, &["apticron"]);
        catch_mail(&host.sandbox);
        host.sandbox.write(
            "/etc/apticron/apticron.conf",
            format!("EMAIL=root\nSYSTEM=here\nIPADDRESSES=192.0.2.1\n{config}"),
        );
        host.sandbox.sh(&format!("mkdir -p /var/lib/apticron; {before}"));
        let ended = host.sandbox.run(&["apticron"]);
        let mail = host.sandbox.read("/srv/mail").unwrap_or_default();
        println!("{config:?} {before:?}: {ended:?}\n{mail}");
        mail
    };
    let mail = theirs("", "");
    for name in ["tb-a", "tb-apple", "tb-conf", "tb-sec", "tb-held"] {
        assert!(mail.contains(&format!("\t{name} 2.0")), "no {name}: {mail}");
    }
    assert!(!theirs("NOTIFY_HOLDS=0\n", "").contains("\ttb-held"));
    let (ours, _) = ours(&["--dry-run"], "");
    let status = |args: &[&str]| ours.sandbox.run(&[&["linux-patch", "status"], args].concat());
    let said = status(&[]).stdout;
    for name in ["tb-a", "tb-apple", "tb-conf", "tb-sec"] {
        assert!(said.contains(&format!("\n  {name} 1.0 -> 2.0")), "no {name}: {said}");
    }
    assert!(said.contains("\n  tb-held 2.0 (held)"), "{said}");
    assert_eq!(status(&["--alert", "held-back", "--format", "nagios"]).code, 1);
    // While nothing is pending neither says anything.
    let none =
        "apt-get -q update; apt-mark unhold tb-held; apt-get -q -y -oDpkg::Options::=--force-confold upgrade";
    assert_eq!(theirs("NOTIFY_NO_UPDATES=0\n", none), "");
    assert!(theirs("NOTIFY_NO_UPDATES=1\n", none).contains("No updates for here"));
    ours.sandbox.run(&["linux-patch", "apply"]);
    assert_eq!(status(&["--quiet"]).stdout, "");
}

/// dnf-automatic of this root with these lines under [commands]; and what is installed then.
#[track_caller]
fn automatic(sandbox: Sandbox, commands: &str) -> (Root, Ended) {
    let root = rpm_host(sandbox);
    root.sandbox.write(
        "/etc/dnf/automatic.conf",
        format!("[commands]\nnetwork_online_timeout=0\n{commands}\n[emitters]\nemit_via=stdio\n"),
    );
    root.sandbox.write_script("/usr/bin/restarts", "echo \"$*\" >>/run/restarts");
    let main = "import sys, dnf.automatic.main as a; sys.exit(a.main(sys.argv[1:]))";
    let ended = root.sandbox.run(&["/usr/bin/python3", "-c", main, "/etc/dnf/automatic.conf"]);
    (root, ended)
}

fn rpm_host(sandbox: Sandbox) -> Root {
    let release = rpm("tb-release", "9").tag("Provides: system-release = 9");
    let root = Root::of("dnf", sandbox, &[rpm("tb-a", "1.0"), rpm("tb-sec", "1.0"), release]);
    let repo = RpmRepo::new(&[]);
    repo.publish_with_advisory("security", &[rpm("tb-sec", "2.0")]);
    let plain = RpmRepo::new(&[rpm("tb-a", "2.0")]);
    root.add_repo("secure", &repo);
    root.add_repo("plain", &plain);
    // Served as long as the test runs.
    std::mem::forget((repo, plain));
    root
}

fn updated(root: &Root) -> Vec<&'static str> {
    let text = root.sandbox.sh("rpm -qa --qf '%{NAME} %{VERSION}\\n'");
    ["tb-a", "tb-sec"].into_iter().filter(|name| text.contains(&format!("{name} 2.0"))).collect()
}

#[test]
#[ignore = "make integrations"]
fn what_dnf_automatic_does_is_done_with_the_options_beside_it() {
    for is_newer in [false, true] {
        let sandbox = || if is_newer { Sandbox::newer() } else { Sandbox::new() };
        for (commands, args, expected) in [
            ("apply_updates=yes", &[][..], &["tb-a", "tb-sec"][..]),
            ("apply_updates=yes\nupgrade_type=security", &["--security"], &["tb-sec"]),
            ("download_updates=yes", &["--download-only"], &[]),
        ] {
            let (theirs, said) = automatic(sandbox(), commands);
            assert_eq!((said.code, updated(&theirs)), (0, expected.to_vec()), "{commands}: {said:?}");
            let ours = rpm_host(sandbox());
            ours.patch(&[&["apply"], args].concat()).exits(0);
            assert_eq!(updated(&ours), expected, "{args:?}");
            let rpms = |root: &Root| {
                root.sandbox.sh("find /var/cache/dnf -name '*-2.0-*.rpm' | wc -l").trim().to_string()
            };
            if commands.starts_with("download") {
                assert_eq!((rpms(&theirs), rpms(&ours)), ("2".into(), "2".into()), "{said:?}");
            }
        }
    }
    // Older ones do not restart.
    for (reboot, restarts) in [("never", None), ("when-changed", Some("now\n"))] {
        let commands = format!("apply_updates=yes\nreboot={reboot}\nreboot_command=restarts now");
        let (theirs, said) = automatic(Sandbox::newer(), &commands);
        assert_eq!(theirs.sandbox.read("/run/restarts").as_deref(), restarts, "{said:?}");
    }
    let ours = rpm_host(Sandbox::newer());
    ours.patch(&["apply", "--reboot=always", "--reboot-delay", "5m"]).exits(0);
    let asked = ours.sandbox.read("/run/restarts").unwrap_or_default();
    assert!(asked.starts_with("shutdown -r +5 "), "{asked}");
}
