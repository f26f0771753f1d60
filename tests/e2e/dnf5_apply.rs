//! apply with the real dnf 5.

use crate::leisure::{at_leisure, budget};
use std::time::Instant;

use serde_json::Value;

use crate::dnf::shell;
use crate::dnf5::{SYSTEM_LOCK, one, pending_update, root};
use crate::rpm::{Root, Rpm, RpmRepo, rpm};
use crate::server::Fault;
use crate::vault::Signer;

const HELLO: &str = "/tb-hello-";

#[test]
fn the_install_fetches_nothing() {
    let (root, repo) = pending_update();
    root.patch(&["apply", "--download-only"]).exits(0).changed(&[]);
    let requests = repo.server.requests("");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    assert_eq!(repo.server.requests(HELLO), 1, "downloaded once");
    assert_eq!(repo.server.requests(""), requests + 1, "the refresh asks for the index");
}

/// A plugin of dnf5 that looks for such an advisory fetches the whole index anew.
#[test]
fn no_source_is_asked_again_after_the_install_unless_an_advisory_speaks_of_a_reboot() {
    for (kind, asked) in [("security", 1), ("security, reboot", 2)] {
        let (root, repo) = one(&[rpm("tb-hello", "1.0")], &[]);
        repo.publish_with_advisories(&[("TB-1", kind, "tb-hello", "2.0")], &[rpm("tb-hello", "2.0")]);
        root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
        assert_eq!(repo.server.requests("/repomd.xml"), asked, "{kind}");
        assert_eq!(repo.server.requests("-filelists"), asked - 1, "{kind}");
    }
}

#[test]
fn a_failing_scriptlet_is_reported_with_all_that_is_installed() {
    let broken = rpm("tb-brk", "2.0").post("echo 'Failed to download packages 404'; exit 1");
    let (root, repo) =
        one(&[shell(), rpm("tb-brk", "1.0"), rpm("tb-hello", "1.0")], &[broken, rpm("tb-hello", "2.0")]);
    root.patch(&["apply"])
        .apply_failed("script")
        .mentions("/error/message", "tb-brk")
        .says("/retried", false)
        .changed(&["tb-brk 1.0-1 2.0-1", "tb-hello 1.0-1 2.0-1"]);
    assert_eq!(repo.refreshes(), 1);
    // It is installed, and there is nothing to do again.
    root.patch(&["apply"]).applied(&[]);
}

#[test]
fn a_script_that_prints_the_words_of_dnf5_is_not_taken_for_it() {
    let words = "echo 'Non-critical error in %post scriptlet: x'; echo; echo 'Transaction failed: x'; \
                 echo 'Failed to download packages'; echo 'Waiting for a lock on the system repository'; sleep 1";
    let (root, _repo) = one(&[shell(), rpm("tb-talk", "1.0")], &[rpm("tb-talk", "2.0").post(words)]);
    root.patch(&["apply"]).applied(&["tb-talk 1.0-1 2.0-1"]).says("/retried", false);
}

#[test]
fn an_update_that_cannot_be_resolved_stays_and_the_others_come() {
    let old = [rpm("tb-dep", "1.0"), rpm("tb-hello", "1.0")];
    let dep = || rpm("tb-dep", "2.0").tag("Requires: tb-none");
    let (root, repo) = one(&old, &[dep(), rpm("tb-hello", "2.0")]);
    // What dnf5 itself does: nothing at all.
    let plain = root.sandbox.run(&["dnf5", "-y", "upgrade"]);
    assert_eq!(plain.code, 1, "{plain:?}");
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-hello 1.0-1 2.0-1"]);
    assert!(applied.stderr.contains("tb-dep stays as it is"), "{applied}");
    root.patch(&["apply", "tb-dep"]).apply_failed("dependency").changed(&[]);
    let full = root.patch(&["apply", "--full"]);
    full.applied(&[]).holds_back(&["tb-dep 1.0-1 2.0-1 its dependencies cannot be met"]);
    repo.publish(&[dep(), rpm("tb-hello", "3.0")]);
    root.patch(&["apply", "--full", "--exclude", "tb-d*"]).applied(&["tb-hello 2.0-1 3.0-1"]);
    repo.publish(&[dep(), rpm("tb-hello", "4.0")]);
    root.patch(&["apply", "--full"]).applied(&["tb-hello 3.0-1 4.0-1"]);
}

#[test]
fn a_signal_at_dnf5_in_mid_install_is_reported_and_repaired_by_the_next_apply() {
    let post = "echo begun >>/run/in-post; [ -e /run/fast ] || sleep 60; echo done >>/run/in-post";
    let old = [shell(), rpm("tb-slow", "1.0"), rpm("tb-hello", "1.0")];
    let (root, _repo) = one(&old, &[rpm("tb-slow", "2.0").post(post), rpm("tb-hello", "2.0")]);
    let running = root.start(&["apply"]);
    root.sandbox.wait_for_file("/run/in-post");
    root.sandbox.sh("kill -TERM $(pgrep -x dnf5)");
    let stopped = running.report();
    stopped.exits(2).says("/error/class", "interrupted").says("/retried", false);
    // It stays on record until nothing of it is left.
    stopped.remembers("/apply/in_progress/phase", "install");
    root.patch(&["status"]).says("/apply_interrupted", true);
    let told = stopped.state["apply"]["last"]["packages"].to_string();
    assert!(told.contains("tb-slow"), "{stopped}");
    root.sandbox.sh("pkill -KILL sleep || :; rm -f /run/in-post; touch /run/fast");
    // dnf5's own next upgrade does not see this.
    let plain = root.sandbox.run(&["dnf5", "--assumeno", "upgrade", "tb-slow"]);
    assert!(plain.code == 0 && plain.stdout.contains("Nothing to do."), "{plain:?}");
    // A repair comes before the refresh, and needs no index that is there.
    root.sandbox.sh("rm -rf /var/cache/libdnf5");
    root.patch(&["apply"]).repaired().remembers("/apply/in_progress", Value::Null);
    root.has_exactly(&["tb-hello 2.0", "tb-sh 1.0", "tb-slow 2.0"]);
    assert_eq!(root.sandbox.read("/run/in-post").as_deref(), Some("begun\ndone\n"), "its script ran whole");
    root.patch(&["apply"]).applied(&[]).says("/repaired", false);
}

#[test]
fn a_repair_does_not_wait_for_a_repository_that_the_last_refresh_did_not_reach() {
    let post = "echo begun >>/run/in-post; [ -e /run/fast ] || sleep 60";
    let (root, _repo) = one(&[shell(), rpm("tb-slow", "1.0")], &[rpm("tb-slow", "2.0").post(post)]);
    let other = RpmRepo::new(&[]);
    root.add_repo("other", &other);
    root.patch(&["refresh"]).exits(0);
    other.server.fault("/repodata", Fault::Trickle(30));
    let running = root.start(&["apply", "--timeout", &budget(30)]);
    root.sandbox.wait_for_file("/run/in-post");
    root.sandbox.sh("pkill -KILL linux-patch; pkill -KILL dnf5; pkill -KILL sleep; touch /run/fast");
    running.wait();
    let added = RpmRepo::new(&[]);
    added.server.fault("/", Fault::Hang);
    root.add_repo("added", &added);
    let repaired = root.patch(&["apply", "--timeout", &budget(30)]);
    repaired.exits(1).says("/repaired", true).says("/sources/2/error", Value::Null);
    root.has_exactly(&["tb-sh 1.0", "tb-slow 2.0"]);
}

/// A dnf5 that finds the lock taken, for so long, when it comes to the install.
fn locked_at_the_install(seconds: u32) -> String {
    format!(
        "case \"$*\" in *' -y '*' -C '*) if ! [ -e /run/taken ]; then\n\
         setsid perl -e 'use Fcntl; open(my $f, \"+>>\", $ARGV[0]) or die; \
         my $whole = pack(\"s s i l! l! i i\", F_WRLCK, 0, 0, 0, 0, 0, 0); fcntl($f, F_SETLK, $whole) or die; \
         open(my $t, \">\", \"/run/taken\"); close $t; sleep {seconds}' {SYSTEM_LOCK} </dev/null >/dev/null 2>&1 &\n\
         while ! [ -e /run/taken ]; do sleep 0.01; done; fi;; esac\nexec /usr/bin/dnf5 \"$@\""
    )
}

#[test]
fn a_lock_taken_just_before_the_install_is_waited_for() {
    let (root, _repo) = pending_update();
    root.sandbox.write_script("/usr/local/bin/dnf5", &locked_at_the_install(80));
    let running = root.start(&["apply", "--wait", "60s"]);
    running.wait_to_hear("waiting for the lock of dnf5: process ");
    root.sandbox.sh("pkill -KILL perl");
    running.report().applied(&["tb-hello 1.0-1 2.0-1"]).says("/retried", false);
}

#[test]
fn an_install_that_waits_for_a_lock_for_ever_is_given_up() {
    let (root, _repo) = pending_update();
    root.sandbox.write_script("/usr/local/bin/dnf5", &locked_at_the_install(80));
    let running = root.start(&["apply", "--wait", "3s"]);
    running.wait_to_hear("waiting for the lock of dnf5: process ");
    let since = Instant::now();
    let applied = running.report();
    applied.apply_failed("lock").mentions("/error/message", "held by process ").changed(&[]);
    assert!(since.elapsed() < at_leisure(8), "{applied}");
    root.has_exactly(&["tb-hello 1.0"]);
    let left = root.sandbox.processes();
    assert!(left.iter().all(|(_, name)| name == "perl"), "{left:?}");
}

#[test]
fn a_package_without_the_signature_that_is_asked_for_is_not_installed_and_not_retried() {
    let root = root(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    let text = format!("[test]\nname=test\nbaseurl={}\ngpgcheck=1\n", repo.server.url());
    root.sandbox.write("/etc/yum.repos.d/test.repo", text);
    let applied = root.patch(&["apply"]);
    applied.exits(1).says("/retried", false).changed(&[]).says("/held_back/0/class", "auth");
    applied.mentions(
        "/held_back/0/reason",
        "OpenPGP check for package \"tb-hello-2.0-1.noarch\" from repo \"test\"",
    );
    root.has_exactly(&["tb-hello 1.0"]);
}

/// A repository whose packages must be signed, with its key at an address of its own.
fn checked(root: &Root, id: &str, rpms: &[Rpm]) -> RpmRepo {
    let repo = RpmRepo::new(rpms);
    repo.offer_key(Signer::Known);
    let url = repo.server.url();
    let text = format!("[{id}]\nname={id}\nbaseurl={url}\ngpgcheck=1\ngpgkey={url}/KEY\n");
    root.sandbox.write(&format!("/etc/yum.repos.d/{id}.repo"), text);
    repo
}

#[test]
fn a_key_that_is_configured_by_its_address_is_taken_before_the_install() {
    let root = root(&[rpm("tb-hello", "1.0")]);
    let repo = checked(&root, "test", &[rpm("tb-hello", "2.0").signed(Signer::Known)]);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]).says("/retried", false);
    assert_eq!(repo.server.requests("/KEY"), 1);
}

#[test]
fn one_package_that_is_not_signed_as_asked_for_holds_back_no_other() {
    let names = ["tb-a", "tb-b", "tb-c", "tb-d", "tb-e", "tb-f", "tb-g", "tb-hello"];
    let root = root(&names.map(|name| rpm(name, "1.0")));
    let new = names.map(|name| match name {
        "tb-b" => rpm(name, "2.0"),
        "tb-c" => rpm(name, "2.0").signed(Signer::Stranger),
        _ => rpm(name, "2.0").signed(Signer::Known),
    });
    let repo = checked(&root, "test", &new);
    let applied = root.patch(&["apply"]);
    let expected =
        ["tb-a", "tb-d", "tb-e", "tb-f", "tb-g", "tb-hello"].map(|name| format!("{name} 1.0-1 2.0-1"));
    applied.exits(1).changed(&expected.each_ref().map(String::as_str));
    for (nth, name) in [(0, "tb-b"), (1, "tb-c")] {
        applied
            .says(&format!("/held_back/{nth}/name"), name)
            .says(&format!("/held_back/{nth}/class"), "auth");
        applied.mentions(
            &format!("/held_back/{nth}/reason"),
            &format!("{name}-2.0-1.noarch\" from repo \"test\""),
        );
    }
    applied.remembers("/apply/last/outcome", "partial").leaves_pending(&[]);
    repo.publish(&names.map(|name| rpm(name, "3.0").signed(Signer::Known)));
    repo.offer_key(Signer::Known);
    root.patch(&["apply"]).exits(0);
}

#[test]
fn a_key_that_is_not_there_holds_back_its_repository_and_no_other() {
    for (status, gpgkey) in [(Some(404), None), (None, Some("file:///etc/pki/gone"))] {
        let root = root(&[rpm("tb-a", "1.0"), rpm("tb-b", "1.0"), rpm("tb-hello", "1.0")]);
        let key = |name| rpm(name, "2.0").signed(Signer::Known);
        let repo = checked(&root, "signed", &[key("tb-a"), key("tb-b")]);
        let _other = checked(&root, "other", &[rpm("tb-hello", "2.0").signed(Signer::Stranger)]);
        root.sandbox.sh("sed -i 's/gpgcheck=1/gpgcheck=0/' /etc/yum.repos.d/other.repo");
        if let Some(status) = status {
            repo.server.fault("/KEY", Fault::Status(status));
        }
        if let Some(place) = gpgkey {
            root.sandbox.sh(&format!("sed -i 's,gpgkey=.*,gpgkey={place},' /etc/yum.repos.d/signed.repo"));
        }
        let applied = root.patch(&["apply"]);
        applied.exits(1).changed(&["tb-hello 1.0-1 2.0-1"]).says("/retried", false);
        for nth in [0, 1] {
            applied.says(&format!("/held_back/{nth}/class"), "auth");
            let words = if status.is_some() { "404" } else { "/etc/pki/gone" };
            applied.mentions(&format!("/held_back/{nth}/reason"), words);
            applied.mentions(&format!("/held_back/{nth}/reason"), "the key of its repository signed");
        }
    }
}

#[test]
fn two_updates_with_the_same_file_hold_back_one_of_them_and_no_other() {
    let file = |rpm: Rpm, text| rpm.file("", "/usr/share/tb-file", text);
    let (root, _repo) = one(
        &[rpm("tb-a", "1.0"), rpm("tb-b", "1.0"), rpm("tb-hello", "1.0")],
        &[file(rpm("tb-a", "2.0"), "a"), file(rpm("tb-b", "2.0"), "b"), rpm("tb-hello", "2.0")],
    );
    let applied = root.patch(&["apply"]);
    // Either may stay, but never both.
    assert_eq!(applied.json["packages"].as_array().map(Vec::len), Some(2), "{applied}");
    applied
        .exits(0)
        .says("/held_back/0/class", "dependency")
        .mentions("/held_back/0/reason", "/usr/share/tb-file");
    root.patch(&["apply"]).exits(0).changed(&[]).says("/held_back/0/class", "dependency");
}

#[test]
fn a_file_of_an_installed_package_holds_back_the_update_that_has_it_too() {
    let file = |rpm: Rpm, text| rpm.file("", "/usr/share/tb-file", text);
    let (root, _repo) = one(
        &[file(rpm("tb-old", "1.0"), "old"), rpm("tb-b", "1.0"), rpm("tb-hello", "1.0")],
        &[file(rpm("tb-b", "2.0"), "b"), rpm("tb-hello", "2.0")],
    );
    root.patch(&["apply"]).exits(0).changed(&["tb-hello 1.0-1 2.0-1"]).says("/held_back/0/name", "tb-b");
    root.patch(&["apply", "tb-b"]).apply_failed("dependency").changed(&[]);
}

#[test]
fn what_needs_an_update_that_cannot_be_installed_is_held_back_by_name_whatever_is_excluded() {
    let file = |rpm: Rpm, text| rpm.file("", "/usr/share/tb-file", text);
    let names = ["tb-b", "tb-hello", "tb-user", "tb-x"];
    let old = [&names.map(|name| rpm(name, "1.0"))[..], &[file(rpm("tb-old", "1.0"), "old")]].concat();
    let user = rpm("tb-user", "2.0").tag("Requires: tb-b = 2.0");
    let (root, _repo) =
        one(&old, &[file(rpm("tb-b", "2.0"), "b"), rpm("tb-hello", "2.0"), rpm("tb-x", "2.0"), user]);
    let applied = root.patch(&["apply", "--exclude", "tb-x"]);
    applied.exits(0).changed(&["tb-hello 1.0-1 2.0-1"]).leaves_pending(&["tb-x 1.0-1 2.0-1"]);
    applied.says("/held_back/0/name", "tb-b").says("/held_back/1/name", "tb-user");
}

/// dnf5 itself installs none of what is held back here. It is told to install no older versions, and would then not see
/// those of the preferred repository.
#[test]
fn a_preferred_repository_decides_also_about_what_it_has_only_in_an_older_version() {
    const OWN: &str =
        "tb-own 2.0-1 3.0-1 a repository with a better priority decides about it, and has nothing newer";
    let names = ["tb-app", "tb-hello", "tb-need", "tb-user"];
    let mut installed: Vec<_> = names.iter().map(|name| rpm(name, "1.0")).collect();
    installed.extend(["tb-lib", "tb-own", "tb-used"].map(|name| rpm(name, "2.0")));
    let root = root(&installed);
    let vendor = RpmRepo::new(&[rpm("tb-own", "1.0"), rpm("tb-used", "1.0")]);
    let preferred = |line: &str| root.add_repo_with("vendor", &vendor.server.url(), line);
    preferred("priority=10\n");
    let other = RpmRepo::new(&[
        rpm("tb-app", "2.0").tag("Requires: tb-lib = 1.0"),
        rpm("tb-hello", "2.0"),
        rpm("tb-lib", "1.0"),
        rpm("tb-lib", "3.0"),
        rpm("tb-need", "2.0").tag("Requires: tb-lib = 3.0"),
        rpm("tb-own", "3.0"),
        rpm("tb-used", "3.0"),
        rpm("tb-user", "2.0").tag("Requires: tb-used = 1.0"),
    ]);
    root.add_repo("other", &other);
    let refreshed = root.patch(&["refresh"]);
    let unmet = |name: &str| format!("{name} 1.0-1 2.0-1 its dependencies cannot be met");
    let held = [unmet("tb-app"), OWN.into(), OWN.replace("tb-own", "tb-used"), unmet("tb-user")];
    let held: Vec<_> = held.iter().map(String::as_str).collect();
    let done = ["tb-hello 1.0-1 2.0-1", "tb-lib 2.0-1 3.0-1", "tb-need 1.0-1 2.0-1"];
    refreshed.exits(0).leaves_pending(&done).holds_back(&held);
    root.patch(&["refresh"]).exits(0).leaves_pending(&done).holds_back(&held);
    let named = root.patch(&["apply", "tb-own"]);
    named.apply_failed("dependency").changed(&[]);
    root.patch(&["apply", "--exclude", "tb-hello"]).exits(0).changed(&done[1..]);
    root.patch(&["apply"]).exits(0).changed(&done[..1]);
    root.patch(&["apply", "--full"]).exits(0).changed(&[]);
    // It decides also while it is down.
    vendor.server.fault("/", Fault::Status(503));
    root.patch(&["apply"]).exits(1).changed(&[]);
    vendor.server.heal();
    preferred("priority=99\n");
    let both = ["tb-own 2.0-1 3.0-1", "tb-used 2.0-1 3.0-1"];
    root.patch(&["refresh"]).exits(0).leaves_pending(&both);
    root.patch(&["apply"]).exits(0).changed(&both);
}

/// The first list has neither: in the place of one package another one would come, and one is in the way of a third. That
/// comes also beside an update that needs an older version. libsolv looks at tb-aa first.
#[test]
fn what_comes_in_the_place_of_what_a_preferred_repository_keeps_is_looked_at_too() {
    let [old, new] =
        ["1.0", "2.0"].map(|version| ["tb-app", "tb-hello", "tb-up"].map(|name| rpm(name, version)));
    let kept = ["tb-lib", "tb-more", "tb-own", "tb-aa"].map(|name| rpm(name, "2.0"));
    let root = root(&[&kept[..], &old].concat());
    let vendor = RpmRepo::new(&["tb-more", "tb-own", "tb-aa"].map(|name| rpm(name, "1.0")));
    root.add_repo_with("vendor", &vendor.server.url(), "priority=10\n");
    let [app, hello, up] = new;
    let other = RpmRepo::new(&[
        app.tag("Requires: tb-lib = 1.0"),
        hello,
        rpm("tb-lib", "1.0"),
        rpm("tb-own", "3.0"),
        rpm("tb-new", "1.0").tag("Obsoletes: tb-own < 4"),
        // What it needs is not held back as well.
        rpm("tb-more", "3.0").tag("Requires: tb-with"),
        rpm("tb-with", "1.0"),
        rpm("tb-aa", "3.0"),
        up.tag("Conflicts: tb-aa >= 3"),
    ]);
    root.add_repo("other", &other);
    let comes = ["tb-hello 1.0-1 2.0-1", "tb-up 1.0-1 2.0-1"];
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).leaves_pending(&comes);
    let held = refreshed.state["pending"]["held_back"].as_array().unwrap();
    let names: Vec<_> = held.iter().map(|held| held["name"].as_str().unwrap()).collect();
    assert!(
        ["tb-app", "tb-more", "tb-new", "tb-own", "tb-aa"].iter().all(|name| names.contains(name)),
        "{refreshed}"
    );
    assert!(!names.contains(&"tb-with"), "{refreshed}");
    root.patch(&["apply"]).exits(0).changed(&comes);
    root.has_exactly(&[
        "tb-aa 2.0",
        "tb-app 1.0",
        "tb-hello 2.0",
        "tb-lib 2.0",
        "tb-more 2.0",
        "tb-own 2.0",
        "tb-up 2.0",
    ]);
    root.patch(&["apply", "--exclude", "tb-new"]).exits(0).changed(&[]);
}

/// dnf5 itself would bring the older one, which replaces another package.
#[test]
fn of_what_a_preferred_repository_has_in_an_older_version_that_replaces_another_package_nothing_comes() {
    let root = root(
        &["tb-hello", "tb-old"]
            .map(|name| rpm(name, "1.0"))
            .into_iter()
            .chain([rpm("tb-own", "2.0")])
            .collect::<Vec<_>>(),
    );
    let vendor = RpmRepo::new(&[rpm("tb-own", "1.0").tag("Obsoletes: tb-old")]);
    root.add_repo_with("vendor", &vendor.server.url(), "priority=10\n");
    let other = RpmRepo::new(&[rpm("tb-hello", "2.0"), rpm("tb-own", "3.0")]);
    root.add_repo("other", &other);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply"]).exits(0).changed(&["tb-hello 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-hello 2.0", "tb-old 1.0", "tb-own 2.0"]);
}

/// As dnf 5 itself, which does not replace what a preferred repository has by what another one has.
#[test]
fn what_comes_for_an_excluded_obsoleter_is_not_of_a_repository_that_counts_less() {
    let root = root(&[rpm("tb-own", "2.0"), rpm("tb-hello", "1.0")]);
    let vendor = RpmRepo::new(&[rpm("tb-own", "1.0"), rpm("tb-new", "1.0").tag("Obsoletes: tb-own")]);
    root.add_repo_with("vendor", &vendor.server.url(), "priority=10\n");
    let other = RpmRepo::new(&[rpm("tb-hello", "2.0"), rpm("tb-own", "3.0")]);
    root.add_repo("other", &other);
    let applied = root.patch(&["apply", "--exclude", "tb-new"]);
    applied.exits(0).changed(&["tb-hello 1.0-1 2.0-1"]);
    assert!(applied.stderr.contains("tb-own is left out too: "), "{applied}");
    root.has_exactly(&["tb-hello 2.0", "tb-own 2.0"]);
}
