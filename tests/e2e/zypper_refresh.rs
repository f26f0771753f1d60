//! refresh with the real zypper: what only it does.

use std::time::Duration;

use serde_json::Value;

use crate::leisure::{at_leisure, budget, option};
use crate::locks;
use crate::rpm::{RpmRepo, rpm};
use crate::sandbox::is_newer;
use crate::server::Fault;
use crate::vault::Signer;
use crate::zypper::{Zypper, one, pending_update};

/// Two repositories with an update each. The second can no longer be had, but its index is there.
fn one_stale() -> (Zypper, [RpmRepo; 2]) {
    let root = Zypper::with(&[rpm("tb-a", "1.0"), rpm("tb-b", "1.0")]);
    let repos = ["tb-a", "tb-b"].map(|name| RpmRepo::new(&[rpm(name, "2.0")]));
    root.add_repo("first", &repos[0]);
    root.add_repo("second", &repos[1]);
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 2);
    repos[1].server.fault("/", Fault::Status(404));
    (root, repos)
}

#[test]
fn what_a_stale_index_offers_is_not_pending_until_it_is_refreshed_again() {
    let (root, repos) = one_stale();
    root.patch(&["refresh"])
        .exits(1)
        .one_source_failed(2, "second", "fetch")
        .leaves_pending(&["tb-a 1.0-1 2.0-1"]);
    repos[1].server.heal();
    // Its index has not changed, and counts again.
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 2.0-1", "tb-b 1.0-1 2.0-1"]);
}

#[test]
fn a_repository_that_hangs_is_asked_nothing_more_in_the_run_that_left_it_out() {
    let (root, repos) = one_stale();
    root.sandbox().sh("rm -rf /var/cache/zypp/*/second");
    root.patch(&["refresh"]).exits(1);
    let asked = repos[1].server.requests("");
    root.patch(&["apply"]).exits(1).changed(&["tb-a 1.0-1 2.0-1"]);
    // The apply's refresh asks for it; if an index is missing, everything else would too.
    let per_refresh = repos[1].server.requests("") - asked;
    let asked = repos[1].server.requests("");
    root.patch(&["refresh"]).exits(1);
    assert_eq!(repos[1].server.requests("") - asked, per_refresh);
}

/// Aliases and names: the same name twice, blanks, a name that is another's alias, a number for one.
const ODD: [(&str, &str); 5] = [
    ("main", "Main <&> 'Repository' (x86_64)"),
    ("more", "Main <&> 'Repository' (x86_64)"),
    ("2", "more"),
    ("odd  <&>", "Two  blanks"),
    ("last", "2"),
];

#[test]
fn repositories_are_known_by_their_aliases_whatever_they_are_called() {
    for (nth, (bad, _)) in ODD.iter().enumerate() {
        let root = Zypper::with(&ODD.map(|(alias, _)| rpm(&package_of(alias), "1.0")));
        let repos = ODD.map(|(alias, name)| {
            let repo = RpmRepo::new(&[rpm(&package_of(alias), "2.0")]);
            let text = format!(
                "[{alias}]\nname={name}\nenabled=1\nautorefresh={}\nbaseurl={}\ngpgcheck=0\n",
                u8::from(alias != "main"),
                repo.server.url()
            );
            root.sandbox().write(&format!("/etc/zypp/repos.d/{}.repo", package_of(alias)), text);
            repo
        });
        root.add_repo_with("off", "http://127.88.0.1:1/", "enabled=0\n");
        root.patch(&["refresh"]).exits(0).remembers("/pending/count", 5);
        repos[nth].server.fault("/", Fault::Status(503));
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(5, bad, "fetch").remembers("/pending/count", 4);
        assert_eq!(refreshed.failed_sources()[0].0, *bad);
        let others = ODD.iter().filter(|(alias, _)| alias != bad);
        let mut changes: Vec<_> =
            others.map(|(alias, _)| format!("{} 1.0-1 2.0-1", package_of(alias))).collect();
        changes.sort();
        root.patch(&["apply"]).exits(1).changed(&changes.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

fn package_of(alias: &str) -> String {
    let plain = alias.chars().filter(char::is_ascii_alphanumeric);
    format!("tb-{}", plain.collect::<String>())
}

#[test]
fn a_service_that_cannot_be_had_costs_no_repository() {
    let (root, _repo) = pending_update();
    root.sandbox().write(
        "/etc/zypp/services.d/ris.service",
        format!(
            "[my-ris]\nname=Some  service\nenabled=1\nautorefresh=1\nurl={}\ntype=ris\n",
            RpmRepo::new(&[]).server.url()
        ),
    );
    // Old versions do not refresh it, and so find nothing missing.
    let refreshed = root.patch(&["refresh"]);
    refreshed.leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    match is_newer() {
        true => refreshed.exits(1).one_source_failed(2, "service my-ris", "network"),
        false => refreshed.exits(0),
    };
    let applied = root.patch(&["apply"]);
    applied.exits(i32::from(is_newer())).changed(&["tb-hello 1.0-1 2.0-1"]);
}

/// The older zypper does not ask it.
#[test]
fn a_service_that_hangs_is_named_and_costs_no_repository() {
    let (root, _repo) = pending_update();
    let silent = RpmRepo::new(&[]);
    silent.server.fault("/", Fault::Hang);
    let service = format!("[my-ris]\nenabled=1\nautorefresh=1\nurl={}\ntype=ris\n", silent.server.url());
    root.sandbox().write("/etc/zypp/services.d/ris.service", service);
    let refreshed = root.patch(&["refresh", "--timeout", &budget(20)]);
    refreshed.leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    match is_newer() {
        true => refreshed.exits(1).one_source_failed(2, "service my-ris", "timeout"),
        false => refreshed.exits(0),
    };
}

/// Who holds the lock may be adding a service. The older zypper refreshes no service, and so needs no second run.
#[test]
fn a_service_that_comes_while_the_lock_is_waited_for_keeps_its_repositories() {
    let root = Zypper::with(&["tb-hello"].map(|name| rpm(name, "1.0")));
    let (repo, gone) = (RpmRepo::new(&[rpm("tb-hello", "2.0")]), RpmRepo::new(&[]));
    root.add_repo("plain", &repo);
    let service =
        |id: &str| format!("[{id}]\nenabled=1\nautorefresh=1\nurl={}\ntype=ris\n", gone.server.url());
    root.sandbox().write("/etc/zypp/services.d/first.service", service("first"));
    root.sandbox().write("/srv/more.service", service("more"));
    let of_more =
        format!("[more:main]\nenabled=1\nbaseurl={}\ngpgcheck=0\nservice=more\n", repo.server.url());
    root.sandbox().write("/srv/more.repo", of_more);
    let locked = "System management is locked by the application with pid 1 (init).";
    let script = format!(
        "case \"$*\" in *'refresh -- '*) [ -e /run/was-locked ] || {{ touch /run/was-locked
            cp /srv/more.service /etc/zypp/services.d; cp /srv/more.repo /etc/zypp/repos.d
            echo '<?xml version=\"1.0\"?><stream><message type=\"error\">{locked}</message></stream>'; exit 7; }};; esac
        exec /usr/bin/zypper \"$@\""
    );
    root.sandbox().write_script("/usr/local/bin/zypper", &script);
    let refreshed = root.patch(&["refresh"]);
    assert_eq!(root.sandbox().exists("/run/was-locked"), is_newer(), "{refreshed}");
    root.patch(&["refresh"]);
    let files = root.sandbox().sh("ls /etc/zypp/repos.d");
    assert_eq!(files.contains("more.repo"), is_newer(), "{files} {refreshed}");
}

/// As the modules of a medium of SUSE have it. The index of such a one is kept below that path.
#[test]
fn a_repository_with_a_path_has_the_say_and_a_date_too() {
    let root = Zypper::with(&["tb-own", "tb-hello"].map(|name| rpm(name, "1.0")));
    let own = RpmRepo::new(&[rpm("tb-own", "1.0")]);
    own.server.fault("/Module-Own/x/", Fault::Alias("/"));
    let other = RpmRepo::new(&[rpm("tb-own", "2.0"), rpm("tb-hello", "2.0")]);
    root.add_repo_with("own", &own.server.url(), "path=/Module-Own/x\npriority=10\n");
    root.add_repo("other", &other);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    let sources = refreshed.state["sources"].as_array().unwrap();
    assert!(sources.iter().all(|source| source["published_at"].is_string()), "{refreshed}");
    own.server.heal();
    own.server.fault("/", Fault::Status(503));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    refreshed.holds_back(&["tb-own 1.0-1 2.0-1 not refreshed: own, which has the say about it"]);
}

/// As every registered SLES has them. zypper takes a repository whose service it does not know for a left-over one, and
/// removes its file, also where it is only asked.
#[test]
fn no_repository_of_a_service_is_removed() {
    let root = Zypper::with(&["tb-hello", "tb-other", "tb-orphan"].map(|name| rpm(name, "1.0")));
    let repos = [RpmRepo::new(&[rpm("tb-hello", "2.0")]), RpmRepo::new(&[rpm("tb-other", "2.0")])];
    let gone = RpmRepo::new(&[]);
    root.add_repo("plain", &repos[0]);
    root.add_repo_with("my-ris:main", &repos[1].server.url(), "service=my-ris\n");
    for refreshes in ["0", "1"] {
        let service = format!(
            "[my-ris]\nname=Some service\nenabled=1\nautorefresh={refreshes}\nurl={}\ntype=ris\n",
            gone.server.url()
        );
        root.sandbox().write("/etc/zypp/services.d/ris.service", service);
        let files = || root.sandbox().sh("cd /etc/zypp; cat repos.d/* services.d/*; ls repos.d services.d");
        let before = files();
        let same = |report: &crate::report::Report| assert_eq!(files(), before, "{report}");
        for fault in [None, Some(&repos[0]), Some(&repos[1])] {
            let failing = fault.inspect(|repo| repo.server.fault("/", Fault::Status(503)));
            let refreshed = root.patch(&["refresh"]);
            same(&refreshed);
            let with_service = if refreshes == "1" && is_newer() { 1 } else { 0 };
            let failed = refreshed.failed_sources();
            assert_eq!(failed.len(), with_service + usize::from(failing.is_some()), "{refreshed}");
            assert_eq!(refreshed.state["sources"].as_array().unwrap().len(), 2 + with_service, "{refreshed}");
            same(&root.patch(&["apply", "--dry-run"]));
            repos.iter().for_each(|repo| repo.server.heal());
        }
        same(&root.patch(&["status", "--explain"]));
    }
    let applied = root.patch(&["apply"]);
    applied.changed(&["tb-hello 1.0-1 2.0-1", "tb-other 1.0-1 2.0-1"]);
    assert!(root.sandbox().sh("ls /etc/zypp/repos.d").contains("my-ris"), "{applied}");
}

/// Everything that zypp.conf(5) can put elsewhere is there.
fn everything_elsewhere(root: &Zypper) {
    root.sandbox().write(
        "/etc/zypp/zypp.conf",
        "[main]\ncachedir = /srv/zypp/cache\nmetadatadir = /srv/zypp/raw\nsolvfilesdir = /srv/zypp/solv\n\
         packagesdir = /srv/zypp/packages\nreposdir = /srv/zypp/repos\nservicesdir = /srv/zypp/services\n\
         varsdir = /srv/zypp/vars\nvendordir = /srv/zypp/vendors\nmultiversiondir = /srv/zypp/multi\n\
         locksfile.path = /srv/zypp/locks\nhistory.logfile = /srv/zypp/history\n",
    );
    root.sandbox().sh("mkdir -p /srv/zypp; mv /etc/zypp/repos.d /srv/zypp/repos");
}

#[test]
fn what_is_pending_is_counted_wherever_zypper_keeps_its_index() {
    let only_cache = |root: &Zypper| {
        root.sandbox().write("/etc/zypp/zypp.conf", "[main]\ncachedir = /srv/zypp\n");
    };
    for put in [everything_elsewhere as fn(&Zypper), only_cache] {
        let (root, repo) = one(&["tb-a", "tb-b"].map(|name| rpm(name, "1.0")), &[]);
        put(&root);
        root.patch(&["refresh"]).exits(0).leaves_pending(&[]);
        let new = ["tb-a", "tb-b"].map(|name| rpm(name, "2.0"));
        repo.publish(&new);
        // Also where somebody else has refreshed in between.
        root.sandbox().sh("zypper --non-interactive refresh");
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 2.0-1", "tb-b 1.0-1 2.0-1"]);
        repo.publish(&new[..1]);
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 2.0-1"]);
        root.patch(&["apply"]).applied(&["tb-a 1.0-1 2.0-1"]);
    }
}

#[test]
fn sources_and_locks_are_seen_to_change_wherever_they_are() {
    let (root, repo) = pending_update();
    everything_elsewhere(&root);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.sandbox().sh("zypper --non-interactive addlock tb-hello");
    root.patch(&["refresh"]).exits(0).holds_back(&["tb-hello 1.0-1 2.0-1 held"]);
    root.patch(&["status"]).exits(0);
    root.sandbox()
        .write("/srv/zypp/repos/more.repo", format!("[more]\nenabled=0\nbaseurl={}\n", repo.server.url()));
    root.patch(&["status"]).exits(1).says("/cache_status", "stale");
    root.patch(&["refresh"]).exits(0);
    root.patch(&["status"]).exits(0);
}

/// What a source decides about by its priority stays as it is while that source is down.
#[test]
fn a_repository_that_is_down_keeps_what_it_owns() {
    let old = ["tb-own", "tb-obs", "tb-next", "tb-free"].map(|name| rpm(name, "1.1"));
    let root = Zypper::with(&old);
    let own = RpmRepo::new(&[rpm("tb-own", "1.1"), rpm("tb-obs", "1.1"), rpm("tb-next", "1.2")]);
    let other = RpmRepo::new(&[
        rpm("tb-own", "9.0"),
        rpm("tb-new", "9.0").tag("Obsoletes: tb-obs"),
        rpm("tb-next", "9.0"),
        rpm("tb-free", "2.0"),
    ]);
    root.add_repo_with("own", &own.server.url(), "priority=1\n");
    root.add_repo("other", &other);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-free 1.1-1 2.0-1", "tb-next 1.1-1 1.2-1"]);
    own.server.fault("/", Fault::Status(404));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).one_source_failed(2, "own", "fetch").leaves_pending(&["tb-free 1.1-1 2.0-1"]);
    let applied = root.patch(&["apply"]);
    applied.exits(1).changed(&["tb-free 1.1-1 2.0-1"]).says("/error", Value::Null);
    root.has_exactly(&["tb-free 2.0", "tb-next 1.1", "tb-obs 1.1", "tb-own 1.1"]);
    assert!(applied.stderr.contains("own"), "{applied}");
    own.server.heal();
    root.patch(&["apply"]).applied(&["tb-next 1.1-1 1.2-1"]);
}

/// Two repositories with the same packages, or with older ones, can replace each other.
#[test]
fn what_another_repository_of_the_same_rank_offers_does_not_wait_for_the_one_that_is_down() {
    let root = Zypper::with(&[rpm("tb-both", "1.0"), rpm("tb-older", "1.0")]);
    let [one, two] = [
        RpmRepo::new(&[rpm("tb-both", "2.0"), rpm("tb-older", "3.0")]),
        RpmRepo::new(&[rpm("tb-both", "2.0"), rpm("tb-older", "2.0")]),
    ];
    root.add_repo("one", &one);
    root.add_repo("two", &two);
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 2);
    one.server.fault("/", Fault::Close);
    let applied = root.patch(&["apply"]);
    applied.exits(1).changed(&["tb-both 1.0-1 2.0-1", "tb-older 1.0-1 2.0-1"]);
}

#[test]
fn an_index_that_is_past_its_own_date_is_not_fresh() {
    let root = Zypper::with(&[rpm("tb-a", "1.0"), rpm("tb-b", "1.0")]);
    let (good, old) = (RpmRepo::new(&[rpm("tb-a", "2.0")]), RpmRepo::new(&[rpm("tb-b", "2.0")]));
    root.add_repo("good", &good);
    root.add_repo_with("old", &old.server.url(), "name=Some name\n");
    root.patch(&["refresh"]).exits(0);
    old.publish_expired(&[rpm("tb-b", "3.0")]);
    for _ in 0..2 {
        root.patch(&["refresh"])
            .exits(1)
            .one_source_failed(2, "old", "clock")
            .leaves_pending(&["tb-a 1.0-1 2.0-1"]);
    }
    root.patch(&["apply"]).exits(1).changed(&["tb-a 1.0-1 2.0-1"]);
    old.publish(&[rpm("tb-b", "4.0")]);
    root.patch(&["apply"]).applied(&["tb-b 1.0-1 4.0-1"]);
}

/// Three repositories, each with an update.
fn three() -> (Zypper, [RpmRepo; 3]) {
    named(["alpha", "beta", "gamma"])
}

fn named(names: [&str; 3]) -> (Zypper, [RpmRepo; 3]) {
    let root = Zypper::with(&names.map(|name| rpm(&format!("tb-{name}"), "1.0")));
    let repos = names.map(|name| {
        let repo = RpmRepo::new(&[rpm(&format!("tb-{name}"), "2.0")]);
        root.add_repo(name, &repo);
        repo
    });
    (root, repos)
}

/// These, of which this one never answers.
fn one_hangs(silent: usize) -> (Zypper, [RpmRepo; 3]) {
    let (root, repos) = three();
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
    repos[silent].server.fault("/", Fault::Hang);
    (root, repos)
}

#[test]
fn a_mirror_that_hangs_leaves_time_for_those_behind_it() {
    let (root, _repos) = one_hangs(0);
    let time = at_leisure(20);
    let refreshed = root.patch(&["refresh", "--timeout", &option(time)]);
    refreshed.exits(1).one_source_failed(3, "alpha", "timeout").remembers("/pending/count", 2);
    assert!(refreshed.elapsed < time + at_leisure(6), "{refreshed}");
    root.sandbox().runs_nothing();
}

/// zypper 1.14.101 asks those first that have "update" in the name or the address.
#[test]
fn the_one_that_hangs_is_told_whatever_the_order_in_which_they_are_asked() {
    let names = ["alpha", "my-update", "zeta"];
    for silent in [0, 1, 2] {
        let (root, repos) = named(names);
        root.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
        repos[silent].server.fault("/", Fault::Hang);
        let refreshed = root.patch(&["refresh", "--timeout", &budget(20)]);
        refreshed.exits(1).one_source_failed(3, names[silent], "timeout").remembers("/pending/count", 2);
        let log = root.sandbox().log();
        assert!(log.contains("Checking whether to refresh") && !log.contains("<download "), "{log}");
    }
}

/// zypper stores the page, says that all is well, and then lists nothing of that repository.
#[test]
fn a_login_page_in_the_place_of_an_index_is_a_failed_repository() {
    for had_index in [false, true] {
        let (root, repos) = three();
        if had_index {
            root.patch(&["refresh"]).exits(0);
        }
        repos[1].server.fault("/", Fault::Page);
        let refreshed = root.patch(&["refresh"]);
        refreshed
            .exits(1)
            .one_source_failed(3, "beta", "fetch")
            .mentions("/reason", "no index of a repository");
        root.patch(&["status"]).exits(1);
        root.patch(&["apply"]).exits(1).changed(&["tb-alpha 1.0-1 2.0-1", "tb-gamma 1.0-1 2.0-1"]);
        repos.iter().for_each(|repo| repo.server.fault("/", Fault::Page));
        root.patch(&["refresh"]).refresh_failed("fetch");
        repos.iter().for_each(|repo| repo.server.heal());
        root.patch(&["apply"]).applied(&["tb-beta 1.0-1 2.0-1"]);
    }
}

#[test]
fn a_mirror_that_trickles_leaves_time_for_those_behind_it() {
    for silent in [0, 1] {
        let (root, repos) = one_hangs(silent);
        repos[silent].server.heal();
        repos[silent].server.fault("/", Fault::Trickle(5));
        let time = at_leisure(20);
        let refreshed = root.patch(&["refresh", "--timeout", &option(time)]);
        refreshed.exits(1).one_source_failed(3, ["alpha", "beta"][silent], "timeout");
        assert!(refreshed.elapsed < time + at_leisure(6), "{refreshed}");
        root.sandbox().runs_nothing();
    }
}

#[test]
fn repositories_that_were_done_when_the_time_was_over_count() {
    let (root, _repos) = one_hangs(1);
    let time = at_leisure(6);
    let refreshed = root.patch(&["refresh", "--timeout", &option(time)]);
    refreshed.exits(1).mentions("/reason", "beta");
    assert!(refreshed.elapsed < time + at_leisure(9), "{refreshed}");
    let sources = refreshed.state["sources"].as_array().unwrap();
    let failed: Vec<_> = sources.iter().filter(|source| !source["error"].is_null()).collect();
    assert!(sources.len() == 3 && failed.iter().all(|source| source["id"] != "alpha"), "{refreshed}");
}

#[test]
fn a_refresh_that_somebody_stops_names_the_repository_it_waited_for() {
    let (root, repos) = one_hangs(1);
    let asked = repos[1].server.requests("");
    let running = root.start(&["refresh"]);
    root.sandbox().wait_until("beta is asked", || repos[1].server.requests("") > asked);
    root.sandbox().signal(root.sandbox().patch_pid(), "INT");
    let refreshed = running.report();
    refreshed.exits(2).mentions("/reason", "beta");
    root.patch(&["status"]).exits(0).says("/cache_status", "fresh");
}

#[test]
fn only_disabled_repositories_are_no_source() {
    let root = Zypper::with(&[]);
    root.add_repo_with("off", "http://127.88.0.1:1/", "enabled=0\n");
    root.patch(&["refresh"]).refresh_failed("config").mentions("/reason", "no repository");
}

#[test]
fn a_refresh_that_finds_nothing_new_starts_zypper_once() {
    let (root, repo) = pending_update();
    root.patch(&["refresh"]).exits(0);
    root.spy();
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    assert_eq!(root.calls(), ["--non-interactive --xmlout --verbose --config /proc/self/fd/0 refresh"]);
    repo.publish(&[rpm("tb-hello", "3.0")]);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 3.0-1"]);
    assert!(root.calls().len() > 1);
    // A lock changes what is pending, though neither index nor packages have changed.
    root.sandbox().sh("zypper --non-interactive addlock tb-hello; rm /run/calls");
    root.patch(&["refresh"]).exits(0).leaves_pending(&[]).holds_back(&["tb-hello 1.0-1 3.0-1 held"]);
}

#[test]
fn locked_and_unresolvable_updates_are_held_back_each_for_its_reason() {
    let names = ["tb-dep", "tb-hello", "tb-locked"];
    let new =
        [rpm("tb-dep", "2.0").tag("Requires: tb-none"), rpm("tb-hello", "2.0"), rpm("tb-locked", "2.0")];
    let (root, _repo) = one(&names.map(|name| rpm(name, "1.0")), &new);
    root.sandbox().sh("zypper --non-interactive addlock 'tb-lock*'");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    refreshed.holds_back(&["tb-dep 1.0-1 2.0-1 kept back", "tb-locked 1.0-1 2.0-1 held"]);
    root.patch(&["apply", "tb-locked"]).apply_failed("dependency").mentions("/error/message", "held");
    root.patch(&["apply", "tb-dep"]).apply_failed("dependency").mentions("/error/message", "kept back");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn security_updates_are_counted_where_the_repository_has_patches() {
    let (root, repo) = one(&[rpm("tb-sec", "1.0"), rpm("tb-hello", "1.0")], &[]);
    root.patch(&["refresh"]).exits(0).remembers("/pending/security", 0);
    repo.publish_with_advisory("security", &[rpm("tb-sec", "2.0"), rpm("tb-hello", "2.0")]);
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 2).remembers("/pending/security", 1);
    root.patch(&["apply", "--security"])
        .applied(&["tb-sec 1.0-1 2.0-1"])
        .leaves_pending(&["tb-hello 1.0-1 2.0-1"])
        .remembers("/pending/security", 0);
    // No patch mentions what is left, and there are patches.
    root.patch(&["apply", "--security"]).applied(&[]);
    repo.publish_with_advisory("recommended", &[rpm("tb-hello", "2.0")]);
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 1).remembers("/pending/security", 0);
    root.patch(&["apply", "--security"]).applied(&[]);
}

#[test]
fn an_index_without_the_signature_that_is_asked_for_is_an_authentication_failure() {
    let (root, _repo) = pending_update();
    let more = RpmRepo::new(&[]);
    root.add_repo_with("signed", &more.server.url(), "repo_gpgcheck=1\n");
    root.patch(&["refresh"]).exits(1).one_source_failed(2, "signed", "auth");
    root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn an_index_signed_by_a_stranger_is_an_authentication_failure_and_its_key_stays_one() {
    let (root, repo) = pending_update();
    root.add_repo_with("test", &repo.server.url(), "repo_gpgcheck=1\n");
    repo.sign(Signer::Stranger);
    root.patch(&["refresh"]).refresh_failed("auth");
    root.patch(&["apply"]).apply_failed("auth").changed(&[]);
    root.patch(&["refresh"]).refresh_failed("auth");
    assert_eq!(root.sandbox().sh("rpm -qa 'gpg-pubkey*'"), "", "a key was imported");
}

#[test]
fn a_repository_file_that_cannot_be_read_fails_them_all() {
    let (root, _repo) = pending_update();
    root.sandbox().write("/etc/zypp/repos.d/broken.repo", "nonsense\n");
    root.patch(&["refresh"]).refresh_failed("config").mentions("/reason", "broken.repo");
    root.patch(&["apply"]).apply_failed("config").changed(&[]);
}

#[test]
fn a_repository_without_an_address_is_one_source_that_failed() {
    let (root, _repo) = pending_update();
    root.sandbox().write("/etc/zypp/repos.d/nowhere.repo", "[nowhere]\nname=nowhere\nenabled=1\n");
    root.patch(&["refresh"]).exits(1).one_source_failed(2, "nowhere", "config");
    root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn zypper_does_not_wait_for_its_lock_itself_whatever_the_caller_has_set() {
    let (root, _repo) = pending_update();
    let (holder, pid) = locks::hold_by_number(root.sandbox(), "/run/zypp.pid", Duration::from_secs(60));
    let env = [("ZYPP_LOCK_TIMEOUT", "6000")];
    let refreshed =
        root.sandbox().patch_with(&["--manager", "zypper", "refresh", "--timeout", &budget(4)], &env);
    refreshed.refresh_failed("lock").mentions("/reason", &format!("process {pid}"));
    root.sandbox().signal(pid, "KILL");
    holder.wait();
}

#[test]
fn a_lock_that_a_killed_zypper_left_is_in_nobodys_way() {
    let (root, repo) = pending_update();
    repo.server.fault("/repomd.xml", Fault::Hang);
    let time = at_leisure(4);
    let refreshed = root.patch(&["refresh", "--timeout", &option(time)]);
    // It ignores SIGTERM while it waits for a mirror.
    refreshed.refresh_failed("timeout");
    assert!(refreshed.elapsed < time + at_leisure(7), "{refreshed}");
    root.sandbox().runs_nothing();
    let left = root.sandbox().read("/run/zypp.pid").unwrap_or_default();
    assert!(!left.trim().is_empty(), "zypper was killed and could not clean up");
    repo.server.heal();
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    assert!(!refreshed.stderr.contains("waiting"), "{refreshed}");
}

#[test]
fn the_flag_of_libzypp_says_that_a_restart_is_required() {
    let (root, _repo) = pending_update();
    root.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
    root.sandbox().write("/run/reboot-needed", "");
    root.patch(&["refresh"]).exits(0).remembers("/reboot_required", true);
}

#[test]
fn a_fix_that_no_repository_has_makes_no_other_update_a_fix() {
    let (root, repo) = one(&[rpm("tb-sec", "1.0"), rpm("tb-old", "2.0")], &[]);
    let fixes = [("TB-3", "security", "tb-sec", "3.0"), ("TB-2", "security", "tb-old", "2.0")];
    repo.publish_with_advisories(&fixes, &[rpm("tb-sec", "2.0"), rpm("tb-old", "3.0")]);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).remembers("/pending/count", 2).remembers("/pending/security", 0);
    refreshed
        .remembers("/pending/held_back/0/candidate", "3.0-1")
        .remembers("/pending/held_back/0/security", true);
    root.patch(&["apply", "--security"]).applied(&[]);
    root.patch(&["apply"]).exits(0).changed(&["tb-old 2.0-1 3.0-1", "tb-sec 1.0-1 2.0-1"]);
}

#[test]
fn security_that_no_repository_tells_of_is_not_guessed() {
    let (root, _repo) = pending_update();
    root.patch(&["refresh"]).exits(0).remembers("/pending/security", Value::Null);
    let refused = root.patch(&["apply", "--security"]);
    refused.exits(3).mentions("/reason", "cannot tell security updates").changed(&[]);
}

/// New versions ask for what such a repository has once, and then say that all repositories were refreshed.
#[test]
fn a_repository_that_only_has_a_list_of_mirrors_is_asked_every_time() {
    let (root, repo) = one(&["tb-a", "tb-b"].map(|name| rpm(name, "1.0")), &[rpm("tb-a", "2.0")]);
    let listed = RpmRepo::new(&[rpm("tb-b", "2.0")]);
    root.root.sandbox.write("/etc/listed.mirrors", format!("{}\n", listed.server.url()));
    let text = "[listed]\nname=Some Words\nenabled=1\nautorefresh=1\nmirrorlist=file:///etc/listed.mirrors\ngpgcheck=0\n";
    root.root.sandbox.write("/etc/zypp/repos.d/listed.repo", text);
    for version in ["2.0", "3.0", "4.0"] {
        listed.publish(&[rpm("tb-b", version)]);
        let candidate = format!("tb-b 1.0-1 {version}-1");
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 2.0-1", &candidate]);
    }
    // The other one fails, at which zypper stops in its own way, and then this one.
    listed.publish(&[rpm("tb-b", "5.0")]);
    repo.server.fault("/", Fault::Status(404));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).one_source_failed(2, "test", "fetch");
    refreshed.leaves_pending(&["tb-b 1.0-1 5.0-1"]);
    repo.server.heal();
    listed.server.fault("/", Fault::Status(404));
    root.patch(&["refresh"]).exits(1).one_source_failed(2, "listed", "fetch");
    listed.server.heal();
    root.patch(&["apply"]).applied(&["tb-a 1.0-1 2.0-1", "tb-b 1.0-1 5.0-1"]);
}

/// New versions pass over one that has nothing but a list of mirrors, and say only that they built its cache.
#[test]
fn a_cache_that_is_built_anew_is_no_refresh() {
    let (root, _repo) = one(&["tb-a", "tb-b"].map(|name| rpm(name, "1.0")), &[rpm("tb-a", "2.0")]);
    let listed = RpmRepo::new(&[rpm("tb-b", "2.0")]);
    root.add_repo_with("listed", &listed.server.url(), "autorefresh=1\n");
    root.patch(&["refresh"]).exits(0);
    let sandbox = &root.root.sandbox;
    sandbox.write("/etc/listed.mirrors", format!("{}\n", listed.server.url()));
    let text =
        "[listed]\nname=x\nenabled=1\nautorefresh=1\nmirrorlist=file:///etc/listed.mirrors\ngpgcheck=0\n";
    for nth in [3, 4] {
        sandbox.write("/etc/zypp/repos.d/listed.repo", text);
        sandbox.sh("rm -rf /var/cache/zypp/solv/*");
        listed.server.fault("/", Fault::Status(503));
        root.patch(&["refresh"]).exits(1).one_source_failed(2, "listed", "fetch");
        listed.server.heal();
        listed.publish(&[rpm("tb-b", &format!("{nth}.0"))]);
        sandbox.sh("rm -rf /var/cache/zypp/solv/*");
        let candidate = format!("tb-b 1.0-1 {nth}.0-1");
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 2.0-1", &candidate]);
    }
}

#[test]
fn what_a_source_that_failed_had_the_say_about_is_pending_once_that_is_refreshed() {
    let root = Zypper::with(&["tb-a", "tb-b"].map(|name| rpm(name, "1.0")));
    let own = RpmRepo::new(&[rpm("tb-a", "1.0")]);
    let other = RpmRepo::new(&["tb-a", "tb-b"].map(|name| rpm(name, "2.0")));
    root.add_repo_with("own", &own.server.url(), "priority=10\n");
    root.add_repo("other", &other);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-b 1.0-1 2.0-1"]);
    own.server.fault("/", Fault::Hang);
    let refreshed = root.patch(&["refresh", "--timeout", &budget(20)]);
    refreshed.exits(1).one_source_failed(2, "own", "timeout");
    refreshed.holds_back(&["tb-a 1.0-1 2.0-1 not refreshed: own, which has the say about it"]);
    own.server.heal();
    own.publish(&[rpm("tb-c", "1.0")]);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).holds_back(&[]).leaves_pending(&["tb-a 1.0-1 2.0-1", "tb-b 1.0-1 2.0-1"]);
}

/// A source that is down has the say about tb-own, and what another one offers of it was never counted: it would come
/// only in the place of what is left out.
#[test]
fn what_comes_in_the_place_of_what_is_left_out_is_checked_for_who_has_the_say_too() {
    let root = Zypper::with(&["tb-own", "tb-hello"].map(|name| rpm(name, "1.0")));
    let own = RpmRepo::new(&[rpm("tb-own", "1.0")]);
    let replaces = rpm("tb-new", "1.0").tag("Obsoletes: tb-own");
    let other = RpmRepo::new(&[replaces, rpm("tb-own", "2.0"), rpm("tb-hello", "2.0")]);
    root.add_repo_with("own", &own.server.url(), "priority=10\n");
    root.add_repo("other", &other);
    root.patch(&["refresh"]).exits(0);
    own.server.fault("/", Fault::Status(503));
    for full in [&[][..], &["--full"]] {
        root.patch(&[&["apply", "--exclude", "tb-hello"], full].concat()).exits(1).changed(&[]);
        root.patch(&[&["apply", "--dry-run"], full].concat()).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
    }
    root.has_exactly(&["tb-hello 1.0", "tb-own 1.0"]);
    root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-hello 2.0", "tb-own 1.0"]);
}

#[test]
fn a_security_update_comes_though_a_repository_that_is_down_has_a_newer_version() {
    let root = Zypper::with(&["tb-hello", "tb-own", "tb-sec"].map(|name| rpm(name, "1.0")));
    let vendor = RpmRepo::new(&[rpm("tb-sec", "3.0")]);
    let better = RpmRepo::new(&[rpm("tb-own", "1.0")]);
    root.add_repo_with("better", &better.server.url(), "priority=10\n");
    let other = RpmRepo::new(&[]);
    // What it needs is new, and not in the list as long as the newest version is to come.
    let needing = rpm("tb-sec", "2.0").tag("Requires: tb-new");
    let others = [needing, rpm("tb-new", "1.0"), rpm("tb-hello", "2.0"), rpm("tb-own", "2.0")];
    other.publish_with_advisory("security", &others);
    root.add_repo("vendor", &vendor);
    root.add_repo("other", &other);
    root.patch(&["refresh"]).exits(0).remembers("/pending/security", 1);
    for down in [&vendor, &better] {
        down.server.fault("/", Fault::Status(503));
    }
    root.patch(&["refresh"]).exits(1).remembers("/pending/security", 1);
    root.patch(&["apply", "--security"]).exits(1).changed(&["tb-new - 1.0-1", "tb-sec 1.0-1 2.0-1"]);
    root.patch(&["apply", "--security"]).exits(1).changed(&[]).remembers("/pending/security", 0);
}

/// zypper reads the index of each repository that it is not told to leave alone.
#[test]
fn no_question_waits_for_a_repository_that_was_never_read_and_hangs() {
    let root = Zypper::with(&["tb-hello", "tb-old"].map(|name| rpm(name, "1.0")));
    let good = RpmRepo::new(&[rpm("tb-hello", "2.0"), rpm("tb-new", "1.0").tag("Obsoletes: tb-old")]);
    let hangs = RpmRepo::new(&[]);
    hangs.server.fault("/", Fault::Hang);
    for (name, repo) in [("good", &good), ("hangs", &hangs)] {
        root.add_repo(name, repo);
    }
    let refreshed = root.patch(&["refresh", "--timeout", &budget(8)]);
    refreshed.exits(1).leaves_pending(&["tb-hello 1.0-1 2.0-1", "tb-new - 1.0-1"]);
    let applied = root.patch(&["apply", "--timeout", &budget(8)]);
    applied.exits(1).changed(&["tb-hello 1.0-1 2.0-1", "tb-new - 1.0-1", "tb-old 1.0-1 -"]);
}

#[test]
fn a_removal_waits_for_no_repository_that_was_never_read_and_hangs() {
    let root = Zypper::with(&[rpm("tb-hello", "1.0")]);
    let good = RpmRepo::new(&[rpm("tb-hello", "1.1").tag("Requires: tb-dep"), rpm("tb-dep", "1.0")]);
    root.add_repo("good", &good);
    root.patch(&["apply"]).applied(&["tb-dep - 1.0-1", "tb-hello 1.0-1 1.1-1"]);
    let hangs = RpmRepo::new(&[rpm("tb-hello", "1.5")]);
    root.add_repo("hangs", &hangs);
    // Only the directories are left of its index.
    root.patch(&["refresh"]).exits(0);
    root.sandbox().sh("find /var/cache/zypp -type f -path '*/hangs/*' -delete");
    good.publish(&[rpm("tb-hello", "2.0")]);
    hangs.server.fault("/", Fault::Hang);
    let applied = root.patch(&["apply", "--autoremove", "--timeout", &budget(8)]);
    applied.exits(1).changed(&["tb-dep 1.0-1 -", "tb-hello 1.1-1 2.0-1"]);
    assert!(applied.elapsed < at_leisure(60), "{applied}");
}

#[test]
fn a_host_with_nothing_but_lists_of_mirrors_is_refreshed_every_time() {
    let root = Zypper::with(&["tb-a", "tb-b"].map(|name| rpm(name, "1.0")));
    let repos = ["tb-a", "tb-b"].map(|name| RpmRepo::new(&[rpm(name, "2.0")]));
    for (name, repo) in ["one", "two"].into_iter().zip(&repos) {
        let list = format!("/etc/{name}.mirrors");
        root.sandbox().write(&list, format!("{}\n", repo.server.url()));
        let text =
            format!("[{name}]\nname=x\nenabled=1\nautorefresh=1\nmirrorlist=file://{list}\ngpgcheck=0\n");
        root.sandbox().write(&format!("/etc/zypp/repos.d/{name}.repo"), text);
    }
    for version in ["2.0", "3.0"] {
        repos[1].publish(&[rpm("tb-b", version)]);
        let candidate = format!("tb-b 1.0-1 {version}-1");
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 2.0-1", &candidate]);
    }
}

#[test]
fn a_directory_that_is_not_there_or_not_mounted_is_no_repository_without_packages() {
    let (root, _repo) = pending_update();
    let more = RpmRepo::new(&[rpm("tb-more", "2.0")]);
    root.add_repo_with("more", "dir:///srv/more", "");
    for make in ["", "mkdir /srv/more"] {
        root.sandbox().sh(make);
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(2, "more", "fetch").remembers("/pending/count", 1);
    }
    for (path, bytes) in more.files() {
        root.sandbox().write(&format!("/srv/more{path}"), bytes.as_slice());
    }
    root.patch(&["refresh"]).exits(0);
    root.sandbox().sh("mount -t tmpfs none /srv/more");
    root.patch(&["refresh"]).exits(1).one_source_failed(2, "more", "fetch");
    // Somebody puts packages there and makes no index of them.
    root.sandbox().write("/srv/more/tb-more.rpm", rpm("tb-more", "2.0").bytes().as_slice());
    root.sandbox().sh("rm -rf /etc/zypp/repos.d/more.repo /var/cache/zypp/*/more");
    root.add_repo_with("more", "dir:///srv/more", "type=plaindir\n");
    root.patch(&["refresh"]).exits(0);
}

#[test]
fn a_certificate_that_is_not_there_is_a_fault_of_the_configuration() {
    let (root, _repo) = pending_update();
    root.add_repo_with("more", "https://127.88.0.1:1/?ssl_clientcert=/nonexistent", "");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).one_source_failed(2, "more", "config");
}

/// As in a chroot in which an image is built.
#[test]
fn without_proc_zypper_cannot_read_its_settings_and_that_is_said() {
    let (root, _repo) = crate::zypper::pending_update();
    let lines =
        "mount -t tmpfs none /proc; linux-patch --manager zypper refresh; code=$?; umount /proc; exit $code";
    let ended = root.sandbox().run(&["sh", "-c", lines]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stdout.contains("/proc is not mounted here; mount it"), "{ended:?}");
    root.patch(&["refresh"]).exits(0);
}
