//! refresh with the real dnf 5.

use crate::leisure::budget;
use std::time::Duration;

use serde_json::Value;

use crate::dnf::shell;
use crate::dnf5::{SYSTEM_LOCK, one, pending_update, root, three};
use crate::locks;
use crate::rpm::{RpmRepo, rpm};
use crate::server::Fault;
use crate::vault::Signer;

#[test]
fn a_refresh_says_which_repositories_and_what_is_pending_in_one_run_of_dnf5() {
    let (root, repo) = one(&[rpm("tb-hello", "1.0"), rpm("tb-old", "1.0")], &[rpm("tb-hello", "1.0")]);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).says("/cache_status", "fresh").leaves_pending(&[]).remembers("/sources/0/id", "test");
    refreshed.remembers("/pending/security", 0);

    repo.publish(&[rpm("tb-hello", "2.0").tag("Epoch: 1"), rpm("tb-new", "1.0").tag("Obsoletes: tb-old")]);
    root.sandbox.write_script("/usr/local/bin/dnf5", "echo \"$*\" >>/run/calls; exec /usr/bin/dnf5 \"$@\"");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).leaves_pending(&["tb-hello 1.0-1 1:2.0-1", "tb-new - 1.0-1"]);
    refreshed.remembers("/pending/security", Value::Null);
    let calls = || root.sandbox.read("/run/calls").unwrap_or_default().matches("color=never").count();
    assert_eq!(calls(), 3, "settings, the refresh and extras: no repository has advisories");
    root.patch(&["refresh"]).exits(0);
    assert_eq!(calls(), 4, "nothing has changed: the refresh alone");
    root.patch(&["status"]).exits(0).says("/cache_status", "fresh");
}

#[test]
fn what_cannot_be_installed_is_held_back_and_not_pending() {
    let old = [rpm("tb-dep", "1.0"), rpm("tb-con", "1.0"), rpm("tb-way", "1.0"), rpm("tb-hello", "1.0")];
    let new = [
        rpm("tb-dep", "2.0").tag("Requires: tb-none"),
        rpm("tb-con", "2.0").tag("Conflicts: tb-way"),
        rpm("tb-hello", "2.0"),
    ];
    let (root, _repo) = one(&old, &new);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]).holds_back(&[
        "tb-con 1.0-1 2.0-1 it conflicts with another package",
        "tb-dep 1.0-1 2.0-1 its dependencies cannot be met",
    ]);
}

#[test]
fn a_refresh_installs_nothing_whatever_dnf_conf_says() {
    let (root, repo) = pending_update();
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\nassumeyes=1\ndefaultyes=1\n");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-hello 1.0"]);
    assert_eq!(repo.server.requests("/tb-hello-"), 0);
}

#[test]
fn every_repository_down_is_failed_also_where_dnf5_itself_would_exit_with_0() {
    let (root, repos) = three("skip_if_unavailable=1\n");
    repos.iter().for_each(|repo| repo.server.fault("/repodata", Fault::Close));
    let plain = root.sandbox.run(&["dnf5", "--refresh", "check-upgrade"]);
    assert_eq!(plain.code, 0, "{plain:?}");
    let refreshed = root.patch(&["refresh"]);
    refreshed.refresh_failed("network");
    assert_eq!(refreshed.failed_sources().len(), 3, "{refreshed}");
    root.patch(&["apply"]).exits(2).changed(&[]);
}

#[test]
fn repositories_that_fail_at_different_files_are_all_named_and_the_rest_is_refreshed() {
    let (root, repos) = three("");
    root.patch(&["refresh"]).exits(0);
    repos[0].publish(&[rpm("tb-alpha", "3.0")]);
    repos[0].server.fault("-primary", Fault::Status(404));
    repos[1].server.fault("/repomd.xml", Fault::Close);
    repos[2].publish(&[rpm("tb-gamma", "3.0")]);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).leaves_pending(&["tb-gamma 1.0-1 3.0-1"]);
    let failed = [("alpha", "fetch"), ("beta", "network")];
    assert_eq!(
        refreshed.failed_sources(),
        failed.map(|(id, class)| (id.into(), class.into())),
        "{refreshed}"
    );
    assert_eq!(refreshed.state["sources"].as_array().map(Vec::len), Some(3), "{refreshed}");
}

#[test]
fn repositories_are_known_by_their_identifiers_whatever_their_names() {
    let root = root(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    let name = "A repository with a name that is much too long for a column of a terminal - 100% | x | y | z";
    let config = |id: &str, url: &str| format!("[{id}]\nname={name}\nbaseurl={url}\ngpgcheck=0\n");
    root.sandbox.write("/etc/yum.repos.d/a.repo", config("first", &repo.server.url()));
    let gone = format!("{}/gone", repo.server.url());
    root.sandbox.write("/etc/yum.repos.d/b.repo", config("second", &gone));
    root.patch(&["refresh"]).exits(1).one_source_failed(2, "second", "fetch");
    root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn a_repository_whose_key_is_missing_is_never_called_fresh() {
    let (root, _repo) = pending_update();
    let signed = RpmRepo::new(&[rpm("tb-hello", "3.0")]);
    signed.sign(Signer::Known);
    let key = "repo_gpgcheck=1\nskip_if_unavailable=1\ngpgkey=file:///etc/pki/gone\n";
    root.add_repo_with("signed", &signed.server.url(), key);
    // What dnf5 itself says: nothing.
    let plain = root.sandbox.run(&["dnf5", "--refresh", "check-upgrade"]);
    assert!(plain.code == 100 && !plain.stderr.contains(">>>"), "{plain:?}");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).one_source_failed(2, "signed", "auth").leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn a_key_that_nobody_has_accepted_is_an_authentication_failure() {
    let root = root(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    repo.sign(Signer::Known);
    let key = "repo_gpgcheck=1\ngpgkey=file:///etc/apt/keyrings/test.gpg\n";
    root.add_repo_with("test", &repo.server.url(), key);
    root.patch(&["refresh"]).refresh_failed("auth");
    root.sandbox.run(&["dnf5", "-y", "makecache"]);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn a_mirror_that_another_one_stands_in_for_is_no_failure() {
    let root = root(&[rpm("tb-hello", "1.0")]);
    let (dead, repo) = (RpmRepo::new(&[]), RpmRepo::new(&[rpm("tb-hello", "2.0")]));
    dead.server.fault("/", Fault::Status(503));
    let urls = format!("{}/ {}/", dead.server.url(), repo.server.url());
    root.add_repo_with("test", &urls, "");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]).says("/retried", false);
}

#[test]
fn a_repository_file_that_cannot_be_read_stops_everything() {
    let (root, _repo) = pending_update();
    root.sandbox.write("/etc/yum.repos.d/broken.repo", "nonsense\n");
    root.patch(&["refresh"]).refresh_failed("config").mentions("/reason", "broken.repo");
    root.patch(&["apply"]).apply_failed("config").changed(&[]);
}

#[test]
fn another_dnf5_in_mid_install_is_waited_for_and_named() {
    let slow =
        rpm("tb-slow", "2.0").post("touch /run/in-post; until [ -e /run/go ]; do /bin/sleep 0.1; done");
    let (root, _repo) = one(&[shell(), rpm("tb-slow", "1.0")], &[slow]);
    let mut other = root.sandbox.command("dnf5");
    other.args(["-y", "upgrade"]);
    let other = root.sandbox.start(other);
    root.sandbox.wait_for_file("/run/in-post");
    let running = root.start(&["refresh", "--timeout", &budget(30)]);
    running.wait_to_hear("waiting for the lock of dnf5: process ");
    root.sandbox.write("/run/go", "");
    let refreshed = running.report();
    refreshed.exits(0).leaves_pending(&[]);
    assert!(refreshed.stderr.contains("dnf5 -y upgrade"), "{refreshed}");
    assert_eq!(other.wait().code, 0);
}

#[test]
fn a_lock_that_only_readers_hold_is_not_waited_for() {
    let (root, _repo) = pending_update();
    let (_holder, _) = locks::hold_shared(&root.sandbox, SYSTEM_LOCK, Duration::from_secs(80));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0);
    assert!(!refreshed.stderr.contains("waiting for the lock"), "{refreshed}");
}

#[test]
fn a_hidden_repository_is_one_that_dnf5_reads() {
    let (root, _repo) = one(&[rpm("tb-hello", "1.0")], &[rpm("tb-hello", "1.0")]);
    root.sandbox.write("/etc/yum.repos.d/.test.repo.swp", "no repository\n");
    root.patch(&["refresh"]).exits(0);
    root.patch(&["status"]).exits(0);
    let hidden = "[hidden]\nname=hidden\nbaseurl=http://127.0.0.1:1/\nenabled=1\nskip_if_unavailable=1\n";
    root.sandbox.write("/etc/yum.repos.d/.hidden.repo", hidden);
    root.patch(&["status"]).exits(1).says("/cache_status", "stale");
    let refreshed = root.patch(&["refresh"]);
    assert_eq!(refreshed.exits(1).state["sources"].as_array().map(Vec::len), Some(2), "{refreshed}");
}

/// Without an index dnf5 does not know which packages the module decides about.
#[test]
fn a_package_of_a_module_stays_where_its_repository_is_down_and_left_no_index() {
    let modular = |name: &str, version: &str| rpm(name, version).tag("ModularityLabel: tb-mod:1:1:12345678");
    let old = [modular("tb-own", "1.0"), modular("tb-obs", "1.0"), rpm("tb-hello", "1.0")];
    let new = [rpm("tb-own", "9.0"), rpm("tb-hello", "2.0"), rpm("tb-new", "1.0").tag("Obsoletes: tb-obs")];
    let (root, _other) = one(&old, &new);
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\nmodule_platform_id=platform:el9\n");
    let repo = RpmRepo::new(&[]);
    repo.publish_module(&[modular("tb-own", "1.0"), modular("tb-obs", "1.0")], false);
    root.add_repo("modular", &repo);
    root.sandbox.sh("dnf5 -y module enable tb-mod:1; rm -rf /var/cache/libdnf5/*");
    repo.server.fault("/", Fault::Status(503));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).one_source_failed(2, "modular", "fetch").leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-hello 2.0", "tb-obs 1.0", "tb-own 1.0"]);
    repo.server.heal();
    repo.publish_module(&[modular("tb-own", "1.1"), modular("tb-obs", "1.0")], false);
    root.patch(&["apply"]).exits(0);
    assert_eq!(root.sandbox.sh("rpm -q tb-own").trim(), "tb-own-1.1-1.noarch");
}

/// As Fedora 41 and 42 came: dnf5 before 5.2.13.
#[test]
fn a_dnf5_that_knows_no_option_for_colours_is_driven_too() {
    let (root, _repo) = crate::dnf5::pending_update();
    let script = "case \" $* \" in *' --color'*) echo 'Unknown argument \"--color=never\" for command \"dnf5\"' >&2; \
                  exit 2;; esac; exec /usr/bin/dnf5 \"$@\"";
    root.sandbox.write_script("/usr/local/bin/dnf5", script);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply", "--autoremove"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

/// Where this setting is on, dnf5 says no to a transaction before it asks.
#[test]
fn what_dnf5_protects_of_the_administrators_files_is_nothing_against_the_index() {
    let new = rpm("tb-hello", "2.0").file("", "/etc/tb-hello.conf", "x");
    let (root, _repo) = crate::dnf5::one(&[rpm("tb-hello", "1.0")], &[new]);
    root.sandbox.sh("mkdir -p /etc/dnf/usr-drift-protected-paths.d");
    root.sandbox.write("/etc/dnf/usr-drift-protected-paths.d/x.conf", "/etc/tb*\n");
    let refreshed = root.patch(&["refresh"]);
    refreshed
        .exits(1)
        .remembers("/last_update_success", true)
        .remembers("/pending/error/class", "dependency");
}

#[test]
fn an_action_that_speaks_as_dnf5_does_before_it_begins_blames_no_repository() {
    let (root, _repos) = crate::dnf5::three("");
    let words = [
        ">>> Status code: 404 for http://x/repomd.xml (IP: 127.0.0.1) - http://x/repomd.xml",
        ">>> Usable URL not found",
        "Failed to download metadata (baseurl: \"http://x/\") for repository \"gamma\": Usable URL not found",
    ];
    root.sandbox
        .write_script("/usr/local/bin/speaks", &format!("cat >&2 <<'END'\n{}\nEND", words.join("\n")));
    for hook in ["pre_base_setup", "repos_configured"] {
        let action = format!("{hook}::::/usr/local/bin/speaks\n");
        root.sandbox.write("/etc/dnf/libdnf5-plugins/actions.d/x.actions", action);
        let refreshed = root.patch(&["refresh"]);
        assert_eq!(refreshed.code, 0, "{hook}: {refreshed}");
        refreshed.says("/cache_status", "fresh").remembers("/pending/count", 3);
        assert!(refreshed.to_string().contains(words[2]), "the action was not run: {refreshed}");
    }
}
