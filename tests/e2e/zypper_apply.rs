//! apply with the real zypper: what only it does.

use std::time::Duration;

use crate::dnf::shell;
use crate::locks;
use serde_json::Value;

use crate::rpm::{RpmRepo, one as dnf_one, rpm};
use crate::sandbox::{Sandbox, is_newer};
use crate::server::Fault;
use crate::vault::Signer;
use crate::zypper::{Zypper, one, pending_update};

const HELLO: &str = "/tb-hello-";

#[test]
fn the_install_asks_no_mirror_for_anything() {
    let (root, repo) = pending_update();
    // By default zypper refreshes no more than every ten minutes, by itself.
    root.sandbox().write("/etc/zypp/zypp.conf", "[main]\nrepo.refresh.delay = 0\n");
    let (gate, body) = ("/run/downloaded", "case \"$*\" in *--download-only*) touch /run/downloaded;; esac");
    let script = format!("/usr/bin/zypper \"$@\"; code=$?; {body}; exit $code");
    root.sandbox().write_script("/usr/local/bin/zypper", &script);
    let running = root.start(&["apply"]);
    root.sandbox().wait_for_file(gate);
    let asked = repo.server.requests("");
    repo.server.fault("/", Fault::Close);
    running.report().applied(&["tb-hello 1.0-1 2.0-1"]);
    assert_eq!(repo.server.requests(""), asked);
}

#[test]
fn a_script_that_stops_the_install_is_told_from_what_it_prints() {
    let broken = rpm("tb-pre", "2.0").tag("%pre\necho 'No space left on device'; exit 1\n");
    let (root, repo) = one(&[rpm("tb-pre", "1.0")], &[broken]);
    root.patch(&["apply"])
        .apply_failed("script")
        .mentions("/error/message", "%pre")
        .mentions("/error/message", "tb-pre")
        .says("/retried", false)
        .changed(&[]);
    assert_eq!(repo.server.requests("/tb-pre-"), 1);
}

#[test]
fn a_file_of_another_package_in_the_way_is_no_fetch_error() {
    let old = [rpm("tb-a", "1.0").file("", "/usr/share/tb/x", "a\n"), rpm("tb-b", "1.0")];
    let (root, _repo) = one(&old, &[rpm("tb-b", "2.0").file("", "/usr/share/tb/x", "b\n")]);
    let applied = root.patch(&["apply"]);
    applied.exits(0).says("/retried", false).changed(&[]);
    applied.mentions("/held_back/0/reason", "/usr/share/tb/x").says("/held_back/0/class", "dependency");
    root.has_exactly(&["tb-a 1.0", "tb-b 1.0"]);
}

#[test]
fn what_needs_an_update_that_cannot_be_installed_is_held_back_by_name_too() {
    let names = ["tb-b", "tb-hello", "tb-user"];
    let old =
        [&names.map(|name| rpm(name, "1.0"))[..], &[rpm("tb-a", "1.0").file("", "/usr/share/tb/x", "a\n")]];
    let new = [
        rpm("tb-b", "2.0").file("", "/usr/share/tb/x", "b\n"),
        rpm("tb-hello", "2.0"),
        rpm("tb-user", "2.0").tag("Requires: tb-b = 2.0"),
    ];
    for exclude in [&[][..], &["--exclude", "tb-a"]] {
        let (root, _repo) = one(&old.concat(), &new);
        let applied = root.patch(&[&["apply"][..], exclude].concat());
        applied.exits(0).changed(&["tb-hello 1.0-1 2.0-1"]);
        let held = applied.json["held_back"].as_array().unwrap();
        let names: Vec<_> = held.iter().map(|held| held["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["tb-b", "tb-user"], "{applied}");
        applied.leaves_pending(&[]).mentions("/held_back/1/reason", "tb-b");
    }
}

#[test]
fn a_package_without_the_signature_that_is_asked_for_is_not_installed_and_not_retried() {
    let (root, repo) = pending_update();
    root.add_repo_with("test", &repo.server.url(), "repo_gpgcheck=0\npkg_gpgcheck=1\n");
    let applied = root.patch(&["apply"]);
    applied.exits(1).says("/retried", false).changed(&[]).says("/held_back/0/class", "auth");
    applied.mentions("/held_back/0/reason", "Signature verification failed");
    root.has_exactly(&["tb-hello 1.0"]);
}

/// Each of these stopped the whole update.
#[test]
fn one_update_that_cannot_be_installed_keeps_no_other_back() {
    let names = ["tb-one", "tb-two", "tb-bad"];
    let plain = names.map(|name| rpm(name, "2.0"));
    let in_the_way = names.map(|name| match name {
        "tb-bad" => rpm(name, "2.0").file("", "/usr/share/tb/x", "mine\n"),
        _ => rpm(name, "2.0"),
    });
    let clash = names.map(|name| match name {
        "tb-one" => rpm(name, "2.0"),
        _ => rpm(name, "2.0").file("", "/usr/share/tb/y", name),
    });
    for (new, more, class, word) in [
        (&plain, "pkg_gpgcheck=1\n", "auth", "igned"),
        (&in_the_way, "", "dependency", "/usr/share/tb/x"),
        (&clash, "", "dependency", "/usr/share/tb/y"),
        (&plain, "licence", "config", "licence"),
    ] {
        let other = rpm("tb-other", "1.0").file("", "/usr/share/tb/x", "theirs\n");
        let root = Zypper::with(&[names.map(|name| rpm(name, "1.0")).as_slice(), &[other]].concat());
        let (good, bad) = (RpmRepo::new(&new[..2]), RpmRepo::new(&new[2..]));
        if more == "licence" {
            bad.publish_with_licence(&new[2..]);
        }
        root.add_repo("good", &good);
        let more = if more == "licence" { "" } else { more };
        root.add_repo_with("bad", &bad.server.url(), &format!("repo_gpgcheck=0\n{more}"));
        root.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
        let applied = root.patch(&["apply"]);
        applied.exits(i32::from(class != "dependency")).says("/error", Value::Null).says("/retried", false);
        applied.says("/held_back/0/class", class).mentions("/held_back/0/reason", word);
        assert_eq!(applied.json["packages"].as_array().map(Vec::len), Some(2), "{class} {word}: {applied}");
        root.patch(&["refresh"])
            .exits(0)
            .remembers("/pending/count", 0)
            .remembers("/pending/held_back/0/class", class);
    }
}

#[test]
fn a_licence_that_the_administrator_agrees_to_is_agreed_to() {
    let (root, repo) = pending_update();
    repo.publish_with_licence(&[rpm("tb-hello", "2.0")]);
    root.sandbox().write("/etc/zypp/zypper.conf", "[commit]\nautoAgreeWithLicenses = yes\n");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

/// Newer versions exit with 107, and 1.14.42 with 0.
#[test]
fn a_script_that_fails_after_all_is_installed_is_told() {
    let broken = rpm("tb-after", "2.0").tag("%posttrans\necho oops; exit 1\n");
    let (root, _repo) = one(&[rpm("tb-after", "1.0")], &[broken]);
    let applied = root.patch(&["apply"]);
    applied
        .apply_failed("script")
        .mentions("/error/message", "%posttrans")
        .changed(&["tb-after 1.0-1 2.0-1"]);
}

#[test]
fn a_file_that_is_longer_than_the_index_says_is_a_fetch_error() {
    let (root, repo) = pending_update();
    repo.server.fault(HELLO, Fault::Long);
    root.patch(&["apply"]).apply_failed("fetch").says("/retried", true).changed(&[]);
    repo.server.heal();
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn what_is_excluded_keeps_back_what_needs_it_and_nothing_is_left_behind() {
    let old = ["tb-a", "tb-b", "tb-c", "tb-locked"].map(|name| rpm(name, "1.0"));
    let new = [
        rpm("tb-a", "2.0").tag("Requires: tb-b >= 2.0"),
        rpm("tb-b", "2.0"),
        rpm("tb-c", "2.0"),
        rpm("tb-locked", "2.0"),
    ];
    let (root, _repo) = one(&old, &new);
    root.sandbox().sh(
        "zypper --non-interactive addlock tb-locked; mkdir -p /var/lib/zypp; echo tb-a >/var/lib/zypp/AutoInstalled; \
         md5sum /etc/zypp/locks >/run/locks.md5",
    );
    root.patch(&["apply", "tb-a", "--exclude", "tb-b"]).apply_failed("dependency").changed(&[]);
    root.patch(&["apply", "--exclude", "tb-b"]).applied(&["tb-c 1.0-1 2.0-1"]);
    root.patch(&["apply", "tb-a.noarch"]).applied(&["tb-a 1.0-1 2.0-1", "tb-b 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-a 2.0", "tb-b 2.0", "tb-c 2.0", "tb-locked 1.0"]);
    // The administrator's locks are as they were, and what came by itself still has.
    root.sandbox().sh("md5sum --check --quiet /run/locks.md5; grep -qx tb-a /var/lib/zypp/AutoInstalled");
    let left = root.sandbox().list("/var/lib/linux-patch");
    assert!(left.iter().any(|name| name == "state.json"), "{left:?}");
    assert!(!left.iter().any(|name| name.contains("selection")), "{left:?}");
}

#[test]
fn the_files_of_a_selection_that_was_killed_do_not_outlive_the_next_apply() {
    let old = ["tb-hello", "tb-world"].map(|name| rpm(name, "1.0"));
    let (root, repo) = one(&old, &[rpm("tb-hello", "2.0"), rpm("tb-world", "2.0")]);
    repo.server.fault(HELLO, Fault::Hang);
    let running = root.start(&["apply", "--exclude", "tb-world"]);
    root.sandbox().wait_until("the download hangs", || repo.server.requests(HELLO) > 0);
    root.sandbox().kill_everything();
    running.wait();
    let files = || {
        let names = root.sandbox().list("/var/lib/linux-patch");
        names.into_iter().filter(|name| name.starts_with("selection")).collect::<Vec<_>>()
    };
    assert_eq!(files(), ["selection", "selection.conf"]);
    assert!(!root.sandbox().exists("/etc/zypp/locks"));
    repo.server.heal();
    root.patch(&["apply"]).exits(0).changed(&["tb-hello 1.0-1 2.0-1", "tb-world 1.0-1 2.0-1"]);
    assert!(files().is_empty());
}

/// Without `multiversion` in the settings of a selection, a new kernel would replace the running one. Newer versions of
/// libzypp read drop-ins too; this test shows that our file contains them.
#[test]
fn the_administrators_settings_and_locks_hold_for_a_selection_too() {
    let old = ["kernel-tb", "tb-a", "tb-locked"].map(|name| rpm(name, "1.0"));
    let new = ["kernel-tb", "tb-a", "tb-locked"].map(|name| rpm(name, "2.0"));
    let (root, _repo) = one(&old, &new);
    root.sandbox().write("/etc/zypp/zypp.conf", "[main]\nlocksfile.path = /etc/zypp/my-locks\n");
    root.sandbox().write("/etc/zypp/zypp.conf.d/kernel.conf", "[main]\nmultiversion = kernel-tb\n");
    root.sandbox().write("/usr/etc/zypp/zypp.conf.d/kernel.conf", "[main]\nmultiversion = masked\n");
    root.sandbox()
        .write("/etc/zypp/my-locks", "\ntype: package\nmatch_type: glob\nsolvable_name: tb-lo*\n\n");
    root.patch(&["apply", "--exclude", "tb-a"]).exits(0);
    root.has_exactly(&["kernel-tb 1.0", "kernel-tb 2.0", "tb-a 1.0", "tb-locked 1.0"]);
}

#[test]
fn full_removes_what_is_in_the_way_and_obsoletes_need_no_full() {
    let old = [rpm("tb-hello", "1.0"), rpm("tb-old", "1.0"), rpm("tb-obs", "1.0")];
    let new =
        [rpm("tb-hello", "2.0").tag("Conflicts: tb-old"), rpm("tb-new", "1.0").tag("Obsoletes: tb-obs")];
    let (root, _repo) = one(&old, &new);
    root.patch(&["apply"]).applied(&["tb-new - 1.0-1", "tb-obs 1.0-1 -"]);
    root.patch(&["apply", "--full"]).exits(0).changed(&["tb-hello 1.0-1 2.0-1", "tb-old 1.0-1 -"]);
}

#[test]
fn full_goes_back_to_older_versions_only_where_every_repository_was_refreshed() {
    let root = Zypper::with(&[rpm("tb-a", "2.0"), rpm("tb-b", "1.0")]);
    let [base, updates] = [
        crate::rpm::RpmRepo::new(&[rpm("tb-a", "1.0"), rpm("tb-b", "2.0")]),
        crate::rpm::RpmRepo::new(&[rpm("tb-a", "2.0")]),
    ];
    root.add_repo("base", &base);
    root.add_repo("updates", &updates);
    updates.server.fault("/", Fault::Status(404));
    root.patch(&["apply", "--full"]).exits(1).changed(&["tb-b 1.0-1 2.0-1"]);
    updates.server.heal();
    updates.publish(&[]);
    root.patch(&["apply", "--full"]).exits(0).changed(&["tb-a 2.0-1 1.0-1"]);
}

#[test]
fn full_that_cannot_be_resolved_changes_nothing() {
    let old = [rpm("tb-dep", "1.0"), rpm("tb-hello", "1.0")];
    let (root, _repo) = one(&old, &[rpm("tb-dep", "2.0").tag("Requires: tb-none"), rpm("tb-hello", "2.0")]);
    root.patch(&["apply", "--full"])
        .apply_failed("dependency")
        .mentions("/error/message", "tb-none")
        .changed(&[]);
}

#[test]
fn rpms_own_lock_is_waited_for() {
    let (root, _repo) = pending_update();
    let (holder, pid) = locks::hold(root.sandbox(), "/var/lib/rpm/.rpm.lock", Duration::from_secs(80));
    let running = root.start(&["apply"]);
    root.sandbox()
        .wait_until("rpm meets the lock", || root.sandbox().log().contains("create transaction lock"));
    running.wait_to_hear("waiting for the lock of zypper: process ");
    root.sandbox().signal(pid, "KILL");
    holder.wait();
    let applied = running.report();
    applied.applied(&["tb-hello 1.0-1 2.0-1"]).says("/retried", false);
    assert!(applied.stderr.contains(&format!("process {pid} (perl")), "{applied}");
}

/// zypper 1.14.42 exits with 8 and says nothing when the current package is installed; a newer one goes on to the end.
#[test]
fn somebody_elses_sigterm_at_zypper_is_told_with_what_is_installed() {
    let old = [rpm("tb-slow", "1.0"), rpm("tb-world", "1.0")];
    let slow = rpm("tb-slow", "2.0")
        .post("trap '' TERM; touch /run/in-post; until [ -e /run/go ]; do /bin/sleep 0.1; done");
    let (root, _repo) = one(&old, &[slow, rpm("tb-world", "2.0")]);
    let running = root.start(&["apply"]);
    root.sandbox().wait_for_file("/run/in-post");
    // Newer versions name their main thread.
    root.sandbox().sh("kill -TERM $(pgrep -x 'zypper|Zypp-main'); touch /run/go");
    let report = running.report();
    if is_newer() {
        report.applied(&["tb-slow 1.0-1 2.0-1", "tb-world 1.0-1 2.0-1"]);
        return;
    }
    report.apply_failed("other").changed(&["tb-slow 1.0-1 2.0-1"]);
    report.mentions("/error/message", "Installing: tb-slow-2.0-1");
    report.leaves_pending(&["tb-world 1.0-1 2.0-1"]);
    root.patch(&["apply"]).exits(0).changed(&["tb-world 1.0-1 2.0-1"]);
}

/// A zypper that installs only tb-zypper and says that it has updated itself. It says so this many times, later without
/// doing anything.
fn updates_itself(root: &Zypper, times: u32) {
    let script = format!(
        "echo \"$*\" >>/run/calls\ncase \"$*\" in *--dry-run*|*--download-only*|*refresh|*list*|*locks*|*info*|*orphaned*) ;; *)\n\
         echo x >>/run/installs; [ $(wc -l </run/installs) -gt {times} ] || {{\n\
         [ $(wc -l </run/installs) -gt 1 ] || /usr/bin/zypper \"$@\" tb-zypper; exit 103; }};; esac\n\
         exec /usr/bin/zypper \"$@\""
    );
    root.sandbox().write_script("/usr/local/bin/zypper", &script);
}

fn with_update_of_itself() -> (Zypper, crate::rpm::RpmRepo) {
    let names = ["tb-hello", "tb-zypper"];
    one(&names.map(|name| rpm(name, "1.0")), &names.map(|name| rpm(name, "2.0")))
}

#[test]
fn an_update_of_zypper_itself_is_followed_by_the_rest() {
    let (root, repo) = with_update_of_itself();
    updates_itself(&root, 1);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1", "tb-zypper 1.0-1 2.0-1"]).leaves_pending(&[]);
    assert_eq!(root.sandbox().read("/run/installs").unwrap(), "x\nx\n");
    assert_eq!(repo.server.requests(HELLO), 1);
}

#[test]
fn a_zypper_that_always_asks_to_be_run_again_is_run_once_more_and_no_further() {
    let (root, _repo) = with_update_of_itself();
    updates_itself(&root, 9);
    root.patch(&["apply"])
        .apply_failed("other")
        .mentions("/error/message", "tb-hello")
        .changed(&["tb-zypper 1.0-1 2.0-1"])
        .leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    assert_eq!(root.sandbox().read("/run/installs").unwrap(), "x\nx\n");
}

/// Two managers of one package database, as on a SUSE with dnf beside.
#[test]
fn what_dnf_installed_is_seen_by_zypper() {
    let (dnf, repo) = dnf_one(&[shell(), rpm("tb-hello", "1.0")], &[rpm("tb-hello", "2.0")]);
    dnf.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    dnf.sandbox.sh("mkdir -p /etc/zypp/repos.d; cp /etc/yum.repos.d/test.repo /etc/zypp/repos.d/");
    repo.publish(&[rpm("tb-hello", "3.0")]);
    dnf.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 2.0-1 3.0-1"]);
    // It is the same update, known for as long.
    const SINCE: &str = "2026-01-01T00:00:00Z";
    let older = format!("s/(\"first_seen\": *\")[^\"]*/\\1{SINCE}/");
    dnf.sandbox.sh(&format!("sed -E -i '{older}' /var/lib/linux-patch/state.json"));
    let refreshed = dnf.sandbox.patch(&["--manager", "zypper", "refresh"]);
    refreshed.exits(0).leaves_pending(&["tb-hello 2.0-1 3.0-1"]).remembers("/manager", "zypper");
    refreshed.remembers("/pending/packages/0/first_seen", SINCE);
}

/// Where zypper has not written down what it installed for others, it takes all for that which its history does not say
/// somebody asked for: what came with the image, or by rpm.
#[test]
fn what_zypper_only_supposes_to_be_unneeded_stays() {
    let (root, repo) =
        one(&["tb-app", "tb-hello", "tb-x"].map(|name| rpm(name, "1.0")), &[rpm("tb-hello", "2.0")]);
    root.patch(&["apply", "--autoremove"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply", "--autoremove"]).applied(&[]);
    // What it knows to have brought itself goes.
    repo.publish(&[rpm("tb-hello", "3.0").tag("Requires: tb-dep"), rpm("tb-dep", "1.0")]);
    root.patch(&["apply", "--autoremove"]).applied(&["tb-dep - 1.0-1", "tb-hello 2.0-1 3.0-1"]);
    repo.publish(&[rpm("tb-hello", "4.0")]);
    root.patch(&["apply", "--autoremove"]).applied(&["tb-dep 1.0-1 -", "tb-hello 3.0-1 4.0-1"]);
    root.has_exactly(&["tb-app 1.0", "tb-hello 4.0", "tb-x 1.0"]);

    // A zypper that somebody calls is as ever.
    let (root, repo) = one(&["tb-app", "tb-hello"].map(|name| rpm(name, "1.0")), &[rpm("tb-hello", "2.0")]);
    root.root.sandbox.sh("zypper --non-interactive update >/run/zypper 2>&1 || cat /run/zypper >&2");
    repo.publish(&[rpm("tb-hello", "3.0")]);
    let applied = root.patch(&["apply", "--autoremove"]);
    applied.applied(&["tb-hello 2.0-1 3.0-1"]);
    assert!(applied.stderr.contains("zypper does not know what somebody asked for"), "{applied}");
}

#[test]
fn what_zypper_supposed_before_this_program_came_stays_whatever_was_asked_for_since() {
    let old = ["tb-app", "tb-hello", "tb-x"].map(|name| rpm(name, "1.0"));
    let asked = [rpm("tb-asked", "1.0").tag("Requires: tb-dep"), rpm("tb-dep", "1.0")];
    let by_hand = |root: &Zypper, command: &str| {
        root.sandbox()
            .sh(&format!("zypper --non-interactive {command} >/run/zypper 2>&1 || cat /run/zypper >&2"));
    };
    let (root, repo) = one(&old, &asked);
    // Its history begins with this, and it supposes whatever that does not say.
    by_hand(&root, "addrepo --disable http://127.0.0.1:1 other");
    by_hand(&root, "install tb-asked");
    root.root.install(&[rpm("tb-agent", "1.0")]);
    repo.publish(&[rpm("tb-hello", "2.0"), rpm("tb-asked", "2.0")]);
    let applied = root.patch(&["apply", "--autoremove"]);
    applied.applied(&["tb-asked 1.0-1 2.0-1", "tb-hello 1.0-1 2.0-1"]);
    assert!(applied.stderr.contains("zypper does not know what somebody asked for"), "{applied}");
    root.has_exactly(&[
        "tb-agent 1.0",
        "tb-app 1.0",
        "tb-asked 2.0",
        "tb-dep 1.0",
        "tb-hello 2.0",
        "tb-x 1.0",
    ]);

    // With a record from the beginning zypper knows, wherever its history is.
    let deps = ["tb-dep", "tb-dep2", "tb-dep3", "tb-dep4"];
    let mut asked = vec![rpm("tb-asked", "1.0").tag(&format!("Requires: {}", deps.join(" ")))];
    asked.extend(deps.map(|name| rpm(name, "1.0")));
    for settings in ["[main]\n", "[main]\nhistory.logfile = /srv/history\n"] {
        let (root, repo) = one(&[rpm("tb-app", "1.0")], &asked);
        root.sandbox().sh("mkdir -p /var/lib/zypp; echo '#' >/var/lib/zypp/AutoInstalled");
        root.sandbox().write("/etc/zypp/zypp.conf", settings);
        by_hand(&root, "install tb-asked");
        repo.publish(&[rpm("tb-asked", "2.0")]);
        let mut changes: Vec<_> = deps.iter().map(|name| format!("{name} 1.0-1 -")).collect();
        changes.insert(0, "tb-asked 1.0-1 2.0-1".to_string());
        let changes: Vec<_> = changes.iter().map(String::as_str).collect();
        root.patch(&["apply", "--autoremove"]).applied(&changes);
        root.has_exactly(&["tb-app 1.0", "tb-asked 2.0"]);
    }
}

#[test]
fn a_package_that_rpm_itself_wants_signed_is_no_riddle() {
    for make in [|| Sandbox::prepared(""), Sandbox::newer as fn() -> Sandbox] {
        let manager = Zypper::over(make(), &[rpm("tb-hello", "1.0")]);
        let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
        manager.add_repo("test", &repo);
        manager.sandbox().sh("echo '%_pkgverify_level all' >>/etc/rpm/macros");
        let applied = manager.patch(&["apply"]);
        applied.exits(2).says("/error/class", "auth").mentions("/error/message", "does not verify");
        manager.has_exactly(&["tb-hello 1.0"]);
    }
}

/// zypper itself never says that the key was not there.
#[test]
fn a_key_that_is_not_where_the_configuration_says_is_of_class_auth_and_not_retried() {
    let new = rpm("tb-hello", "2.0").signed(Signer::Stranger);
    let (root, repo) = one(&[rpm("tb-hello", "1.0")], &[new]);
    let url = repo.server.url();
    let keyed = |checks: &str| root.add_repo_with("test", &url, &format!("{checks}gpgkey={url}/none/KEY\n"));
    keyed("gpgcheck=1\n");
    root.patch(&["refresh"]).refresh_failed("auth");
    keyed("repo_gpgcheck=0\npkg_gpgcheck=1\n");
    let applied = root.patch(&["apply"]);
    applied.exits(1).changed(&[]).says("/retried", false).says("/held_back/0/class", "auth");
    applied.mentions("/held_back/0/reason", "tb-hello-2.0-1.noarch (test): Signature verification failed");
    assert!(repo.server.requests("/none/KEY") > 0, "{applied}");
}
