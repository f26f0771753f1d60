//! refresh with the real dnf 4.

use crate::leisure::budget;
use serde_json::Value;

use crate::rpm::{Root, RpmRepo, one, pending_update, rpm, three};
use crate::server::Fault;
use crate::vault::Signer;

#[test]
fn apt_owns_a_debian_that_also_has_dnf() {
    let root = Root::new(&[rpm("tb-hello", "1.0")]);
    root.sandbox.patch(&["refresh"]).remembers("/manager", "apt");
    root.patch(&["refresh"]).remembers("/manager", "dnf");
}

#[test]
fn a_refresh_says_which_repositories_and_what_is_pending_in_one_run_of_dnf() {
    let (root, repo) = one(&[rpm("tb-hello", "1.0"), rpm("tb-old", "1.0")], &[rpm("tb-hello", "1.0")]);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).says("/cache_status", "fresh").leaves_pending(&[]).remembers("/sources/0/id", "test");
    refreshed.remembers("/pending/security", 0);

    repo.publish(&[rpm("tb-hello", "2.0").tag("Epoch: 1"), rpm("tb-new", "1.0").tag("Obsoletes: tb-old")]);
    root.sandbox.write_script("/usr/local/bin/dnf", "echo \"$*\" >>/run/calls; exec /usr/bin/dnf \"$@\"");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).leaves_pending(&["tb-hello 1.0-1 1:2.0-1", "tb-new - 1.0-1"]);
    refreshed.remembers("/pending/security", Value::Null);
    let calls = || root.sandbox.read("/run/calls").unwrap_or_default().matches("color=never").count();
    assert_eq!(calls(), 2, "one refresh, and extras: no repository has advisories that could be asked for");
    root.patch(&["refresh"]).exits(0);
    assert_eq!(calls(), 3, "nothing has changed");
    root.patch(&["status"]).exits(0).says("/cache_status", "fresh");
}

#[test]
fn every_repository_down_is_failed_although_dnf_exits_0() {
    let (root, repos) = three("skip_if_unavailable=1\n");
    repos.iter().for_each(|repo| repo.server.fault("/repodata", Fault::Close));
    root.patch(&["refresh"]).refresh_failed("network").remembers("/last_attempt/exit_code", 0);
    root.patch(&["apply"]).exits(2).changed(&[]);
}

#[test]
fn a_repository_file_that_cannot_be_read_is_one_source_that_failed() {
    let (root, _repo) = pending_update();
    root.sandbox.write("/etc/yum.repos.d/broken.repo", "nonsense\n");
    root.patch(&["refresh"]).exits(1).one_source_failed(2, "broken.repo", "config");
    root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
}

/// As the plugin for Spacewalk does, which asks a server for the repositories.
const PLUGIN: &str = "import dnf, logging, os\nclass Channels(dnf.Plugin):\n    name = 'channels'\n\
     \x20   def __init__(self, base, cli):\n        super().__init__(base, cli)\n\
     \x20       if os.path.exists('/srv/down'):\n\
     \x20           logging.getLogger('dnf.plugin').error('%s\\n%s\\n%s',\n\
     \x20               'There was an error communicating with Spacewalk server.',\n\
     \x20               'Spacewalk based repositories will be disabled.',\n\
     \x20               'rhn-plugin: Error communicating with server. The message was:\\nConnection refused')\n\
     \x20           return\n\
     \x20       repo = dnf.repo.Repo('channel', base.conf)\n\
     \x20       repo.baseurl = [open('/srv/url').read()]\n        repo.gpgcheck = False\n\
     \x20       repo.enable()\n        base.repos.add(repo)\n";

/// dnf goes on with the repositories that stand in files.
#[test]
fn a_server_that_does_not_tell_its_repositories_is_a_source_that_failed() {
    let (root, _repo) = one(&[rpm("tb-hello", "1.0"), rpm("tb-a", "1.0")], &[rpm("tb-hello", "2.0")]);
    let channel = RpmRepo::new(&[rpm("tb-a", "2.0")]);
    root.sandbox.sh("mkdir -p /srv/plugins /srv/conf /etc/dnf");
    root.sandbox.write("/srv/plugins/channels.py", PLUGIN);
    root.sandbox.write("/srv/url", channel.server.url());
    let conf = "[main]\nplugins=1\npluginpath=/srv/plugins\npluginconfpath=/srv/conf\n";
    root.sandbox.write("/etc/dnf/dnf.conf", conf);
    let both = ["tb-a 1.0-1 2.0-1", "tb-hello 1.0-1 2.0-1"];
    root.patch(&["refresh"]).exits(0).leaves_pending(&both).remembers("/sources/0/id", "channel");
    root.sandbox.write("/srv/down", "");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).one_source_failed(2, "Spacewalk server (plugin)", "network");
    refreshed.mentions("/reason", "Connection refused");
    root.patch(&["apply"]).exits(1).changed(&both[1..]);
    root.sandbox.sh("rm /srv/down");
    root.patch(&["refresh"]).exits(0).leaves_pending(&both[..1]);
    root.patch(&["apply"]).applied(&both[..1]);
}

/// dnf says so in one line, and goes on as if it did not exist.
#[test]
fn a_repository_that_dnf_does_not_take_for_one_is_a_source_that_failed() {
    let more = RpmRepo::new(&[rpm("tb-a", "2.0")]);
    for id in ["my repo", "my/repo", "my!repo", " padded ", "x-$nope", "m\u{fc}ller"] {
        let (root, _repo) = one(&[rpm("tb-hello", "1.0"), rpm("tb-a", "1.0")], &[rpm("tb-hello", "2.0")]);
        let text = format!("[{id}]\nname=x\nbaseurl={}\ngpgcheck=0\n", more.server.url());
        root.sandbox.write("/etc/yum.repos.d/more.repo", text);
        let refreshed = root.patch(&["refresh"]);
        refreshed
            .exits(1)
            .one_source_failed(2, id.trim(), "config")
            .leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
    }
}

#[test]
fn an_index_without_the_signature_that_is_asked_for_is_an_authentication_failure() {
    let root = Root::new(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    root.sandbox.write("/etc/pki/key", "no key\n");
    root.add_repo_with("test", &repo.server.url(), "repo_gpgcheck=1\ngpgkey=file:///etc/pki/key\n");
    root.patch(&["refresh"]).refresh_failed("auth");
    root.patch(&["apply"]).apply_failed("auth").changed(&[]);
}

#[test]
fn a_package_without_the_signature_that_is_asked_for_is_not_installed_and_not_retried() {
    let root = Root::new(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    root.sandbox.write("/etc/pki/key", "no key\n");
    let text =
        format!("[test]\nname=test\nbaseurl={}\ngpgcheck=1\ngpgkey=file:///etc/pki/key\n", repo.server.url());
    root.sandbox.write("/etc/yum.repos.d/test.repo", text);
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 1);
    root.patch(&["apply"]).exits(1).says("/held_back/0/class", "auth").says("/retried", false).changed(&[]);
    root.has_exactly(&["tb-hello 1.0"]);
}

#[test]
fn a_repository_in_a_directory_counts_as_any_other() {
    let root = Root::new(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    for (path, bytes) in repo.files() {
        root.sandbox.write(&format!("/srv/repo{path}"), bytes.as_slice());
    }
    root.add_repo_with("local", "file:///srv/repo", "");
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 1).remembers("/sources/0/id", "local");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    root.sandbox.sh("rm -rf /srv/repo");
    root.patch(&["refresh"]).refresh_failed("fetch");
}

#[test]
fn only_obsoleting_packages_are_pending_too() {
    let (root, _repo) = one(&[rpm("tb-old", "1.0")], &[rpm("tb-new", "1.0").tag("Obsoletes: tb-old")]);
    let plain = root.sandbox.run(&["dnf", "check-update"]);
    assert_eq!(plain.code, 100, "{plain:?}");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-new - 1.0-1"]);
    root.patch(&["apply"]).applied(&["tb-new - 1.0-1", "tb-old 1.0-1 -"]).leaves_pending(&[]);
}

#[test]
fn an_obsoleter_of_older_versions_hides_no_update() {
    let old = [rpm("tb-a", "1.0"), rpm("tb-b", "1.0")];
    let new = [
        rpm("tb-a", "2.0"),
        rpm("tb-a-compat", "1.0").tag("Obsoletes: tb-a < 1.5"),
        rpm("tb-b", "2.0"),
        rpm("tb-other", "1.0").tag("Obsoletes: tb-b < 0.5"),
    ];
    let (root, _repo) = one(&old, &new);
    let plain = root.sandbox.run(&["dnf", "--assumeno", "upgrade"]);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0);
    for name in ["tb-a", "tb-a-compat", "tb-b", "tb-other"] {
        let listed = plain.stdout.contains(&format!("\n {name} "));
        let packages = refreshed.state["pending"]["packages"].to_string();
        assert_eq!(
            packages.contains(&format!("\"name\":\"{name}\"")),
            listed,
            "{name}: {plain:?} {refreshed}"
        );
    }
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
    let held = [
        "tb-con 1.0-1 2.0-1 it conflicts with another package",
        "tb-dep 1.0-1 2.0-1 its dependencies cannot be met",
    ];
    // RHEL's default, with which dnf itself installs nothing here.
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\nbest=True\n");
    let plain = root.sandbox.run(&["dnf", "-y", "upgrade"]);
    assert_eq!(plain.code, 1, "{plain:?}");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]).holds_back(&held);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]).leaves_pending(&[]).holds_back(&held);
    root.patch(&["apply"]).applied(&[]).says("/reason", "nothing pending");
}

#[test]
fn no_setting_hides_what_is_pending_or_asks_no_mirror() {
    let (root, repo) = pending_update();
    for settings in
        ["color=always", "debuglevel=0", "errorlevel=0", "debuglevel=10", "cacheonly=1", "metadata_expire=-1"]
    {
        root.sandbox.write("/etc/dnf/dnf.conf", format!("[main]\n{settings}\n"));
        let before = repo.refreshes();
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        assert_eq!(repo.refreshes(), before + 1, "{settings}");
    }
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn a_new_repository_that_is_down_costs_only_itself() {
    for more in ["skip_if_unavailable=0\n", "skip_if_unavailable=1\n"] {
        let (root, _repo) = pending_update();
        let new = RpmRepo::new(&[rpm("tb-new", "1.0")]);
        new.server.fault("/", Fault::Close);
        root.add_repo_with("new", &new.server.url(), more);
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(2, "new", "network").leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
        root.has_exactly(&["tb-hello 2.0"]);
    }
}

#[test]
fn a_package_database_that_cannot_be_read_is_never_nothing_pending() {
    let (root, _repos) = three("");
    root.sandbox.sh("rm -rf /var/lib/rpm/*; mkdir /var/lib/rpm/rpmdb.sqlite");
    let refreshed = root.patch(&["refresh"]);
    refreshed.refresh_failed("other").mentions("/reason", "Packages");
    root.patch(&["apply"]).exits(2);
}

#[test]
fn an_unattended_refresh_imports_no_key() {
    let root = Root::new(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    repo.sign(Signer::Stranger);
    let key = format!("repo_gpgcheck=1\ngpgkey={}/repodata/repomd.xml.key\n", repo.server.url());
    root.add_repo_with("test", &repo.server.url(), &key);
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\ndefaultyes=1\n");
    root.patch(&["refresh"]).refresh_failed("auth");
    root.patch(&["apply"]).apply_failed("auth").changed(&[]);
    root.has_exactly(&["tb-hello 1.0"]);
}

#[test]
fn a_repository_that_needs_longer_than_we_would_wait_gets_the_time_that_dnf_conf_gives_it() {
    let (root, repo) = pending_update();
    repo.server.fault("/repodata", Fault::Late(2500));
    // With 30 s and more, ours would be longer.
    root.patch(&["refresh", "--timeout", "29s"]).refresh_failed("network");
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\ntimeout=15\n");
    root.patch(&["refresh", "--timeout", "29s"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
}

/// Three repositories that were refreshed once, and the second one hangs now.
fn one_hangs() -> (Root, [RpmRepo; 3]) {
    let (root, repos) = three("");
    root.patch(&["refresh"]).exits(0);
    repos[1].server.fault("/repodata", Fault::Hang);
    (root, repos)
}

#[test]
fn a_refresh_that_somebody_stops_is_no_verdict_and_what_was_done_counts() {
    let (root, repos) = one_hangs();
    let before = root.sandbox.state()["sources"].clone();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let asked = repos[1].server.requests("");
    let running = root.start(&["refresh"]);
    root.sandbox.wait_until("beta is asked", || repos[1].server.requests("") > asked);
    root.sandbox.signal(root.sandbox.patch_pid(), "INT");
    let stopped = running.report();
    stopped.exits(2).says("/error/class", "interrupted").mentions("/reason", "beta");
    let after = stopped.state["sources"].clone();
    assert!(
        after[0]["last_success"] != before[0]["last_success"] && after[0]["error"].is_null(),
        "{stopped}"
    );
    assert_eq!(after[1]["last_success"], before[1]["last_success"], "{stopped}");
    root.patch(&["status"]).exits(0).says("/cache_status", "fresh");
}

/// dnf gives up on a silent mirror by itself, but waits for one that answers bit by bit.
#[test]
fn a_repository_that_dribbles_costs_only_itself() {
    let (root, repos) = three("");
    root.patch(&["refresh"]).exits(0);
    repos[1].server.fault("/repodata", Fault::Trickle(2));
    let refreshed = root.patch(&["refresh", "--timeout", &budget(12)]);
    refreshed.exits(1).mentions("/reason", "beta");
    let sources = refreshed.state["sources"].as_array().unwrap();
    let error = |at: usize| sources[at]["error"].is_null();
    assert!(sources.len() == 3 && error(0) && !error(1), "{refreshed}");
}

/// As where an administrator's dnf made the directories under `umask 027`.
#[test]
fn an_index_that_may_not_be_looked_at_is_not_gone() {
    let (root, _repo) = one(&[rpm("tb-hello", "1.0")], &[]);
    root.patch(&["refresh"]).exits(0);
    root.sandbox.sh("chmod 0750 /var/cache/dnf/*-*/");
    let ended = root.sandbox.start(root.sandbox.patch_command_of_nobody(&["status"])).wait();
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    root.sandbox.sh("rm -r /var/cache/dnf/*-*/");
    root.patch(&["status"]).exits(1).mentions("/reason", "the index is gone");
}
