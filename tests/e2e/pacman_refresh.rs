//! refresh with the real pacman: in a private directory, so that the system's own index never
//! becomes newer than its packages.

use std::time::Duration;

use serde_json::Value;

use crate::leisure::{at_leisure, budget};
use crate::manager::noise;
use crate::pacman::{PkgRepo, Root, one, pending_update, pkg, three};
use crate::sandbox::is_newer;
use crate::server::Fault;
use crate::vault::Signer;

const PRIVATE: &str = "/var/lib/linux-patch/pacman";

#[test]
fn a_refresh_leaves_the_index_of_the_system_as_it_is_byte_for_byte() {
    let (root, repo) = one(&[pkg("tb-hello", "1.0")], &[pkg("tb-hello", "1.0")]);
    // An administrator's own, from before.
    root.sandbox.sh("pacman -Sy >/dev/null 2>&1");
    let before = root.system_index();
    assert!(before.contains("test.db"), "{before}");
    repo.publish(&[pkg("tb-hello", "2.0")]);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    assert_eq!(root.system_index(), before);
    // What pacman itself would install now fits the packages that are installed.
    assert_eq!(root.sandbox.run(&["pacman", "-Qu"]).stdout, "");
    assert!(
        !root.sandbox.exists("/var/lib/pacman/db.lck") && !root.sandbox.exists(&format!("{PRIVATE}/db.lck"))
    );
    root.patch(&["apply", "--download-only"]).exits(0);
    assert_eq!(root.system_index(), before);
    root.patch(&["apply", "--dry-run"]).exits(0);
    assert_eq!(root.system_index(), before);
}

#[test]
fn a_refresh_in_which_nothing_changed_is_one_run_of_pacman() {
    let (root, repo) = pending_update();
    root.patch(&["refresh"]).exits(0);
    root.watch_calls();
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    let refresh = format!("pacman --dbpath={PRIVATE} -Sy --noconfirm --logfile /dev/null --ask 64");
    assert_eq!(root.calls(), ["pacman-conf ", &refresh]);
    repo.publish(&[pkg("tb-hello", "3.0")]);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 3.0-1"]);
    let calls = root.calls();
    let of = |word: &str| calls.iter().filter(|call| call.contains(word)).count();
    assert_eq!((of(" -Su --print "), of(" -Q"), of(" -Qu"), calls.len()), (1, 3, 1, 8), "{calls:?}");
    assert_eq!(of(" -Slq -- test"), 1, "{calls:?}");
    assert!(root.sandbox.read("/var/log/pacman.log").is_none_or(|log| !log.contains("-Sy")));
}

#[test]
fn a_state_directory_of_its_own_has_an_index_of_its_own() {
    let (root, _repo) = pending_update();
    let args = ["--manager", "pacman", "--state-dir", "/srv/my state", "refresh", "--format", "json"];
    let ended = root.sandbox.run(&[&["linux-patch"][..], &args].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(root.sandbox.exists("/srv/my state/pacman/sync/test.db"));
    assert!(!root.sandbox.exists("/var/lib/linux-patch"));
    let args = ["--manager", "pacman", "--state-dir", "/srv/my state", "apply", "--format", "json"];
    let ended = root.sandbox.run(&[&["linux-patch"][..], &args].concat());
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    root.has_exactly(&["tb-hello 2.0"]);
}

#[test]
fn one_repository_of_three_down_is_partial_and_an_apply_installs_nothing() {
    for (fault, class) in
        [(Fault::Status(404), "fetch"), (Fault::Status(503), "fetch"), (Fault::Close, "network")]
    {
        let (root, repos) = three();
        let good = root.patch(&["refresh"]);
        good.exits(0).remembers("/pending/count", 3);
        repos[1].server.fault("/", fault);
        repos[0].publish(&[pkg("tb-alpha", "3.0")]);
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(3, "beta", class).remembers("/last_attempt/outcome", "partial");
        refreshed.remembers("/last_cache_update", good.state["last_cache_update"].clone());
        refreshed.remembers("/pending/count", 3);
        let before = root.system_index();
        for args in [&["apply"][..], &["apply", "--strict"]] {
            let applied = root.patch(args);
            applied.apply_failed(class).mentions("/error/message", "partial upgrade").changed(&[]);
        }
        assert_eq!(root.system_index(), before);
        root.has_exactly(&["tb-alpha 1.0", "tb-beta 1.0", "tb-gamma 1.0"]);
        repos[1].server.heal();
        root.patch(&["apply"]).applied(&[
            "tb-alpha 1.0-1 3.0-1",
            "tb-beta 1.0-1 2.0-1",
            "tb-gamma 1.0-1 2.0-1",
        ]);
    }
}

#[test]
fn repositories_that_pacman_did_not_come_to_after_a_failure_are_not_refreshed() {
    let (root, repos) = three();
    let text = root.sandbox.read("/etc/pacman.conf").unwrap();
    root.sandbox.write("/etc/pacman.conf", text.replace("ParallelDownloads = 5", "ParallelDownloads = 1"));
    root.patch(&["refresh"]).exits(0);
    repos[1].server.fault("/", Fault::Status(404));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1);
    let failed: Vec<_> = refreshed.failed_sources().into_iter().map(|(id, _)| id).collect();
    assert_eq!(failed, ["beta", "gamma"], "{refreshed}");
}

#[test]
fn a_mirror_that_another_one_stands_in_for_is_no_failure() {
    let root = Root::new(&[pkg("tb-hello", "1.0")]);
    let gone = PkgRepo::new(&[]);
    gone.server.fault("/", Fault::Status(404));
    let good = PkgRepo::new(&[pkg("tb-hello", "2.0")]);
    good.serve_as("test");
    root.add_servers("test", &["http://127.0.0.1:9", &gone.server.url(), &good.server.url()]);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).remembers("/sources/0/error", Value::Null).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    assert!(root.sandbox.log().contains("error: failed retrieving file 'test.db'"), "{refreshed}");
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-hello 1.0-1 2.0-1"]).says("/retried", false);
    assert!(root.sandbox.log().contains("error: failed retrieving file 'tb-hello"), "{applied}");
}

/// `beta` has these mirrors, which stand in pacman.conf or in a file of their own, and `alpha` has none that works.
fn beside_one_that_fails(beta: &[&str], is_included: bool) -> (Root, PkgRepo) {
    let (root, gone) = (Root::new(&[pkg("tb-beta", "1.0")]), PkgRepo::new(&[]));
    gone.server.fault("/", Fault::Status(404));
    root.add_repo("alpha", &gone);
    if is_included {
        let lines: String = beta.iter().map(|url| format!("Server = {url}\n")).collect();
        root.sandbox.write("/etc/pacman.d/mirrorlist", lines);
        root.configure("[beta]\nInclude = /etc/pacman.d/mirrorlist\n");
    } else {
        root.add_servers("beta", beta);
    }
    (root, gone)
}

#[test]
fn a_repository_whose_second_mirror_answers_is_not_blamed_for_one_that_fails() {
    let good = PkgRepo::new(&[pkg("tb-beta", "2.0")]);
    good.serve_as("beta");
    // The same machine under another path.
    good.server.fault("/old/", Fault::Status(404));
    good.server.fault("/new/", Fault::Alias("/"));
    let bad = |fault| {
        let bad = PkgRepo::new(&[]);
        bad.server.fault("/", fault);
        bad
    };
    let [missing, closed, hanging, half] =
        [Fault::Status(404), Fault::Close, Fault::Hang, Fault::Cut].map(bad);
    half.serve_as("beta");
    let url = good.server.url();
    let (old, new) = (format!("{url}/old"), format!("{url}/new"));
    let refused = "http://127.0.0.1:9".to_owned();
    let unknown = "http://no.such.host.invalid".to_owned();
    for (nth, first) in
        [missing.server.url(), refused.clone(), closed.server.url(), half.server.url(), unknown]
            .iter()
            .chain([&hanging.server.url()])
            .enumerate()
    {
        let (root, gone) = beside_one_that_fails(&[first, &url], nth % 2 == 0);
        // At first the index is new here, then the second mirror has nothing newer, and then it has.
        for version in ["2.0", "2.0", "3.0"] {
            good.publish(&[pkg("tb-beta", version)]);
            let refreshed = root.patch(&["refresh"]);
            refreshed.exits(1).one_source_failed(2, "alpha", "fetch");
            refreshed.leaves_pending(&[&format!("tb-beta 1.0-1 {version}-1")]);
            if first == &hanging.server.url() || first == &half.server.url() {
                // The one takes ten seconds each time, the other has nothing newer either.
                break;
            }
        }
        gone.publish(&[]);
        gone.server.heal();
        root.patch(&["refresh"]).exits(0);
    }
    for (mirrors, is_well) in [
        (vec![&url, &refused], true),
        (vec![&old, &new], true),
        (vec![&old, &old, &refused, &new], true),
        (vec![&old, &refused], false),
        (vec![&old, &old], false),
        (vec![&refused, &old, &old], false),
    ] {
        let mirrors: Vec<&str> = mirrors.into_iter().map(String::as_str).collect();
        let (root, _gone) = beside_one_that_fails(&mirrors, true);
        let refreshed = root.patch(&["refresh"]);
        match is_well {
            true => _ = refreshed.exits(1).one_source_failed(2, "alpha", "fetch"),
            false => {
                refreshed.exits(2);
                assert_eq!(refreshed.failed_sources().len(), 2, "{mirrors:?}: {refreshed}");
            }
        };
    }
}

/// pacman asks a mirror that failed three times no more.
#[test]
fn many_repositories_with_one_list_of_mirrors_are_well_if_the_second_is() {
    let names = ["alpha", "beta", "gamma", "delta", "epsilon"];
    for (streams, is_down) in [(1, false), (5, false), (1, true), (5, true)] {
        let root = Root::new(&[pkg("tb-hello", "1.0")]);
        let (gone, good) = (PkgRepo::new(&[]), PkgRepo::new(&[pkg("tb-hello", "2.0")]));
        gone.server.fault("/", Fault::Status(503));
        let text = root.sandbox.read("/etc/pacman.conf").unwrap();
        let streams = format!("ParallelDownloads = {streams}");
        root.sandbox.write("/etc/pacman.conf", text.replace("ParallelDownloads = 5", &streams));
        root.sandbox.write(
            "/etc/pacman.d/mirrorlist",
            format!("Server = {}\nServer = {}\n", gone.server.url(), good.server.url()),
        );
        for name in names {
            good.serve_as(name);
            root.configure(&format!("[{name}]\nInclude = /etc/pacman.d/mirrorlist\n"));
        }
        root.patch(&["refresh"]).exits(0);
        root.configure("[zeta]\nInclude = /etc/pacman.d/mirrorlist\n");
        root.patch(&["refresh"]).exits(1).one_source_failed(6, "zeta", "fetch");
        if is_down {
            good.server.fault("/", Fault::Status(404));
            let refreshed = root.patch(&["refresh"]);
            refreshed.exits(2);
            assert_eq!(refreshed.failed_sources().len(), 6, "{refreshed}");
        }
    }
}

/// pacman looks at no signature where a download failed.
#[test]
fn beside_a_repository_that_fails_one_with_a_bad_signature_is_not_well() {
    let (root, repos) = three();
    root.trust("DatabaseRequired PackageNever");
    repos[1].sign_index(Signer::Stranger);
    repos[2].sign_index(Signer::Known);
    repos[0].server.fault("/", Fault::Status(404));
    let text = root.sandbox.read("/etc/pacman.conf").unwrap();
    let text = text.replace("[beta]\n", "[beta]\nServer = http://127.0.0.1:9\n");
    root.sandbox
        .write("/etc/pacman.conf", text.replace("[gamma]\n", "[gamma]\nServer = http://127.0.0.1:9\n"));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1);
    let failed = refreshed.failed_sources();
    let failed: Vec<_> = failed.iter().map(|(id, class)| format!("{id} {class}")).collect();
    assert_eq!(failed, ["alpha fetch", "beta auth"], "{refreshed}");
}

#[test]
fn what_is_no_index_is_not_refreshed_although_pacman_exits_0_and_heals_by_itself() {
    let (root, repo) = pending_update();
    root.patch(&["refresh"]).exits(0);
    let good = repo.index();
    let mut flipped = good.clone();
    flipped[20] ^= 0xff;
    for bad in [b"<html>please log in</html>".to_vec(), flipped, good[..good.len() / 2].to_vec(), Vec::new()]
    {
        repo.publish(&[pkg("tb-hello", "2.0")]);
        repo.publish_as_index(&bad);
        let refreshed = root.patch(&["refresh"]);
        refreshed
            .refresh_failed("fetch")
            .remembers("/last_attempt/exit_code", 0)
            .remembers("/sources/0/id", "test");
        // Again, though the mirror now says that nothing has changed since.
        root.patch(&["refresh"]).refresh_failed("fetch");
        root.patch(&["apply"]).apply_failed("fetch").changed(&[]);
        // With exactly the time that the bad one had.
        repo.publish_as_index(&good);
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    }
}

#[test]
fn one_damaged_index_of_three_is_partial() {
    let (root, repos) = three();
    repos[0].publish_as_index(b"<html>please log in</html>");
    root.patch(&["refresh"]).exits(1).one_source_failed(3, "alpha", "fetch").remembers("/pending/count", 2);
    root.patch(&["apply"]).apply_failed("fetch").changed(&[]);
}

#[test]
fn a_signature_that_is_missing_or_a_strangers_is_no_fetch_error() {
    let (root, repo) = pending_update();
    root.trust("PackageNever DatabaseRequired");
    root.patch(&["refresh"]).refresh_failed("auth").remembers("/sources/0/error/class", "auth");
    repo.sign_index(Signer::Stranger);
    let refreshed = root.patch(&["refresh"]);
    refreshed.refresh_failed("auth").remembers("/sources/0/id", "test").mentions("/reason", "is unknown");
    root.patch(&["apply"]).apply_failed("auth").says("/retried", false).changed(&[]);
    // The install checks the signature too, of the index that it gets from us.
    repo.sign_index(Signer::Known);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    assert!(root.sandbox.exists("/var/lib/pacman/sync/test.db.sig"));
}

/// pacman looks at what it fetched when all of it is there.
#[test]
fn what_came_damaged_in_a_refresh_that_was_ended_is_no_index() {
    for fault in [Fault::Short, Fault::Page] {
        let (root, repos) = three();
        root.patch(&["refresh"]).exits(0);
        repos[0].publish(&[pkg("tb-alpha", "3.0")]);
        repos[1].publish(&[pkg("tb-beta", "3.0")]);
        repos[2].publish(&[pkg("tb-gamma", "3.0")]);
        repos[0].server.fault("/", fault);
        // pacman itself gives up on one that says nothing.
        repos[2].server.fault("/", Fault::Trickle(5));
        let refreshed = root.patch(&["refresh", "--timeout", &budget(4)]);
        let expected = [("alpha", "fetch"), ("gamma", "timeout")];
        let expected = expected.map(|(id, class)| (id.to_string(), class.to_string()));
        assert_eq!(refreshed.exits(1).failed_sources(), expected, "{refreshed}");
        // What came of the others can be read without it.
        refreshed.leaves_pending(&["tb-beta 1.0-1 3.0-1", "tb-gamma 1.0-1 2.0-1"]);
        repos.iter().for_each(|repo| repo.server.heal());
        root.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
    }
}

#[test]
fn a_mirror_that_hangs_costs_the_ten_seconds_of_pacman_or_our_budget() {
    let (root, repos) = three();
    repos[0].server.fault("/", Fault::Hang);
    let refreshed = root.patch(&["refresh", "--timeout", &budget(24)]);
    refreshed.exits(1).one_source_failed(3, "alpha", "network");
    assert!(refreshed.elapsed < at_leisure(16), "{refreshed}");
    // What was stored before the end counts.
    repos[1].publish(&[pkg("tb-beta", "3.0")]);
    let refreshed = root.patch(&["refresh", "--timeout", "5s"]);
    refreshed.exits(1).one_source_failed(3, "alpha", "timeout");
    assert!(refreshed.elapsed < Duration::from_secs(5) + at_leisure(7), "{refreshed}");
    root.sandbox.runs_nothing();
}

#[test]
fn the_lock_that_the_ended_pacman_left_in_our_directory_stops_nobody() {
    let (root, repo) = pending_update();
    repo.server.fault("/", Fault::Hang);
    root.patch(&["refresh", "--timeout", "5s"]).refresh_failed("timeout");
    assert!(root.sandbox.exists(&format!("{PRIVATE}/db.lck")));
    repo.server.heal();
    root.patch(&["refresh"]).exits(0);
    assert!(!root.sandbox.exists(&format!("{PRIVATE}/db.lck")));
}

/// pacman tells only at its end which sources failed and which have nothing newer, and as another user pacman 7 stores
/// nothing before.
#[test]
fn what_pacman_was_done_with_when_it_was_ended_is_told_from_what_failed() {
    for user in [None, Some("nobody")].into_iter().take(if is_newer() { 2 } else { 1 }) {
        let (root, repos) = three();
        user.iter().for_each(|user| root.option(&format!("DownloadUser = {user}")));
        root.patch(&["refresh"]).exits(0);
        repos[1].publish(&[pkg("tb-beta", "3.0")]);
        let ended = || root.patch(&["refresh", "--timeout", &budget(4)]);
        let publish = |name: usize, version: &str| {
            repos[name].publish(&[pkg(["tb-alpha", "tb-beta", "tb-gamma"][name], version)]);
        };
        for (fault, newer) in [(Fault::Trickle(1), 0), (Fault::Hang, 2)] {
            repos[1].server.fault("/", fault);
            publish(newer, "3.0");
            let refreshed = ended();
            refreshed.exits(1).one_source_failed(3, "beta", "timeout");
            refreshed.mentions("/reason", "not refreshed: beta");
        }
        let pending = |alpha: &str| [alpha, "tb-beta 1.0-1 2.0-1", "tb-gamma 1.0-1 3.0-1"].map(str::to_owned);
        let is_pending = |alpha: &str| {
            let expected = pending(alpha);
            root.patch(&["status"]).leaves_pending(&expected.each_ref().map(String::as_str));
        };
        is_pending("tb-alpha 1.0-1 3.0-1");
        // One that has no file any more may have failed.
        publish(0, "4.0");
        repos[0].server.fault("/", Fault::Status(404));
        let of_both = [("alpha", "fetch"), ("beta", "timeout")].map(|(id, class)| (id.into(), class.into()));
        assert_eq!(ended().exits(1).failed_sources(), of_both);
        repos[0].server.heal();
        // One after the other: the third had not begun.
        let text = root.sandbox.read("/etc/pacman.conf").unwrap();
        let text = text.replace("ParallelDownloads = 5", "ParallelDownloads = 1");
        root.sandbox.write("/etc/pacman.conf", text);
        root.sandbox.write(&format!("{PRIVATE}/sync/gamma.db.part"), "of a pacman that was killed");
        let seen = format!(
            "case \"$*\" in *some.conf*) cp {PRIVATE}/some.conf /run;; esac; exec /usr/bin/pacman \"$@\""
        );
        root.sandbox.write_script("/usr/local/bin/pacman", &seen);
        ended().exits(1).one_source_failed(3, "beta", "timeout");
        is_pending("tb-alpha 1.0-1 4.0-1");
        let seen = root.sandbox.read("/run/some.conf").expect("pacman was not asked once more");
        assert!(seen.contains("[gamma]") && !seen.contains("[beta]"), "{seen}");
        assert!(!root.sandbox.exists(&format!("{PRIVATE}/some.conf")), "it has passwords");
        repos[1].server.heal();
        root.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
    }
}

#[test]
fn a_link_that_leads_elsewhere_is_put_right() {
    let (root, _repo) = pending_update();
    root.patch(&["refresh"]).exits(0);
    root.sandbox.sh(&format!("mkdir /srv/empty; ln -sfn /srv/empty {PRIVATE}/local"));
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    assert_eq!(
        root.sandbox.sh(&format!("readlink {PRIVATE}/local")).trim_end_matches(['/', '\n']),
        "/var/lib/pacman/local"
    );
}

#[test]
fn a_directory_or_a_file_in_the_wrong_place_below_our_directory_goes() {
    let (root, repo) = pending_update();
    root.patch(&["refresh"]).exits(0);
    root.sandbox.sh(&format!(
        "cd {PRIVATE}; rm sync/test.db; mkdir -p sync/test.db/x sync/test.db.part/x db.lck/x mirror/x/y install.conf/x; \
         mkdir -p /srv/precious/x; ln -s /srv/precious mirror/link"
    ));
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    repo.publish(&[pkg("tb-hello", "3.0")]);
    root.sandbox.sh(&format!("cd {PRIVATE}; rm -r sync mirror; touch sync mirror"));
    root.patch(&["apply"]).applied(&["tb-hello 2.0-1 3.0-1"]);
    assert!(root.sandbox.exists("/srv/precious/x"), "a link was followed");
}

#[test]
fn a_repository_without_a_server_is_the_one_that_is_blamed() {
    let (root, _repos) = three();
    let config = root.sandbox.read("/etc/pacman.conf").unwrap();
    let (before, after) = config.split_once("[beta]").unwrap();
    let (_, rest) = after.split_once("Server").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    root.sandbox.write("/etc/pacman.conf", format!("{before}[beta]\n{rest}"));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(2).mentions("/reason", "beta: no servers configured for repository");
    let sources = refreshed.state["sources"].as_array().unwrap();
    let blamed = sources.iter().filter(|one| {
        !one["error"]["message"]
            .as_str()
            .unwrap()
            .contains("not refreshed after this failure: beta: no servers")
    });
    assert_eq!(blamed.map(|one| &one["id"]).collect::<Vec<_>>(), ["beta"], "{refreshed}");
}

#[test]
fn what_others_put_in_the_place_of_our_directory_is_not_used() {
    let (root, _repo) = pending_update();
    root.sandbox.sh(&format!("mkdir -p /var/lib/linux-patch /srv/theirs; ln -s /srv/theirs {PRIVATE}"));
    root.patch(&["refresh"]).refresh_failed("config").mentions("/reason", "symbolic link");
    assert!(root.sandbox.list("/srv/theirs").is_empty());
    root.sandbox.sh(&format!("rm {PRIVATE}; mkdir {PRIVATE}; chown 65534 {PRIVATE}"));
    root.patch(&["refresh"]).refresh_failed("config");
    // A directory in the place of the link may hold packages: nothing of it is removed.
    root.sandbox.sh(&format!("chown 0 {PRIVATE}; mkdir {PRIVATE}/local; touch {PRIVATE}/local/precious"));
    root.patch(&["refresh"]).refresh_failed("config").mentions("/reason", "is not a link");
    assert!(root.sandbox.exists(&format!("{PRIVATE}/local/precious")));
}

#[test]
fn a_database_that_pacman_conf_puts_elsewhere_is_the_one() {
    let (root, _repo) = pending_update();
    root.sandbox.sh("mkdir -p /srv/db; mv /var/lib/pacman/local /srv/db/; rm -rf /var/lib/pacman");
    root.option("DBPath = /srv/db/");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    assert!(root.sandbox.exists("/srv/db/sync/test.db"));
    assert!(!root.sandbox.exists("/var/lib/pacman"));
}

#[test]
fn ignored_packages_and_groups_are_held_back() {
    let (root, _repo) = one(
        &[pkg("tb-a", "1.0"), pkg("tb-b", "1.0"), pkg("tb-c", "1.0").info("group = tb-group")],
        &[pkg("tb-a", "2.0"), pkg("tb-b", "2.0"), pkg("tb-c", "2.0").info("group = tb-group")],
    );
    root.option("IgnorePkg = tb-a");
    root.option("IgnoreGroup = tb-group");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).leaves_pending(&["tb-b 1.0-1 2.0-1"]).remembers("/pending/security", Value::Null);
    refreshed.holds_back(&["tb-a 1.0-1 2.0-1 held", "tb-c 1.0-1 2.0-1 held"]);
    root.patch(&["apply"]).applied(&["tb-b 1.0-1 2.0-1"]).leaves_pending(&[]);
}

/// By the name of the old package, of the new one, and by group; one new package for two old ones.
#[test]
fn replacements_that_are_ignored_are_held_back_too() {
    let replaces = |name: &str, olds: &[&str]| {
        olds.iter().fold(pkg(name, "1.0"), |new, old| {
            new.info(&format!("replaces = {old}")).info(&format!("conflict = {old}"))
        })
    };
    let (root, _repo) = one(
        &["tb-a", "tb-b", "tb-b2", "tb-c", "tb-d", "tb-x"].map(|name| pkg(name, "1.0")),
        &[
            replaces("tb-a-new", &["tb-a"]),
            replaces("tb-b-new", &["tb-b", "tb-b2"]),
            replaces("tb-c-new", &["tb-c"]).info("group = tb-group"),
            replaces("tb-d-new", &["tb-d"]),
            pkg("tb-x", "2.0"),
        ],
    );
    root.option("IgnorePkg = tb-a tb-b-new");
    root.option("IgnoreGroup = tb-group");
    let held = ["tb-a-new - 1.0-1 held", "tb-b-new - 1.0-1 held", "tb-c-new - 1.0-1 held"];
    let pending = ["tb-d-new - 1.0-1", "tb-x 1.0-1 2.0-1"];
    root.patch(&["refresh"]).exits(0).leaves_pending(&pending).holds_back(&held);
    assert!(root.sandbox.list("/var/cache/pacman/pkg").is_empty());
    let changes = ["tb-d 1.0-1 -", "tb-d-new - 1.0-1", "tb-x 1.0-1 2.0-1"];
    root.patch(&["apply"]).applied(&changes).leaves_pending(&[]).holds_back(&held);
}

#[test]
fn mistakes_in_the_configuration_are_no_fetch_errors() {
    for mistake in ["[more]\n", "[more]\nServer = nonsense\n", "[more]\nInclude = /nonexistent\n"] {
        let (root, _repo) = pending_update();
        root.configure(mistake);
        root.patch(&["refresh"]).refresh_failed("config");
        root.patch(&["apply"]).apply_failed("config").says("/retried", false);
    }
    // pacman takes the first.
    let (root, repo) = pending_update();
    root.add_repo("test", &repo);
    root.patch(&["refresh"]).exits(0);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn a_full_disk_under_the_index_is_no_fetch_error() {
    let (root, repo) = pending_update();
    root.patch(&["refresh"]).exits(0);
    repo.publish(&[pkg("tb-hello", "3.0")]);
    repo.publish_as_index(noise(400_000).as_bytes());
    root.sandbox.sh(&format!("mount -t tmpfs -o size=100k full {PRIVATE}/sync"));
    root.patch(&["refresh"]).refresh_failed("space");
    root.patch(&["apply"]).apply_failed("space").says("/retried", false).changed(&[]);
}
