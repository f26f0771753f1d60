//! What only apk's refresh can meet.

use std::time::Duration;

use crate::apk::{Apk, ApkRepo};
use crate::leisure::{at_leisure, budget, option};
use crate::manager::{Manager, Repository, package};
use crate::report::Report;
use crate::server::Fault;

/// apk does nothing where a name to leave out is nowhere.
#[test]
fn a_repository_that_is_down_and_alone_has_a_new_package_stops_no_update() {
    let apk = Apk::new();
    apk.install(&[package("tb-app", "1.0"), package("tb-hello", "1.0")]);
    let good = ApkRepo::with(&[package("tb-hello", "2.0")]);
    let down = ApkRepo::with(&[package("tb-app", "2.0").needs("tb-new"), package("tb-new", "1.0")]);
    for (name, repo) in [("good", &good), ("down", &down)] {
        apk.add_source(name, repo);
    }
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
    down.server.fault("/", Fault::Status(503));
    patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-r0 2.0-r0"]);
    down.server.heal();
    patch(&["apply"]).exits(0).changed(&["tb-app 1.0-r0 2.0-r0", "tb-new - 1.0-r0"]);
}

/// apk purges what nothing needs any more with every upgrade.
#[test]
fn an_excluded_package_that_an_update_no_longer_needs_stays_with_it_and_the_others_come() {
    let apk = Apk::new();
    apk.install(&[
        package("tb-app", "1.0").needs("tb-dep"),
        package("tb-dep", "1.0"),
        package("tb-own", "1.0"),
    ]);
    apk.sandbox().sh("sed -i /tb-dep/d /etc/apk/world");
    let repo = ApkRepo::with(&[package("tb-app", "2.0"), package("tb-own", "2.0")]);
    apk.add_source("test", &repo);
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    let excluded = patch(&["apply", "--exclude", "tb-dep"]);
    excluded.exits(0).changed(&["tb-own 1.0-r0 2.0-r0"]);
    assert!(excluded.stderr.contains("tb-app"), "{excluded}");
    patch(&["apply"]).exits(0).changed(&["tb-app 1.0-r0 2.0-r0", "tb-dep 1.0-r0 -"]);
}

#[test]
fn an_index_that_cannot_be_stored_is_not_fresh() {
    let apk = Apk::new();
    let repos = ["alpha", "beta"].map(|name| {
        let repo = ApkRepo::with(&[package("tb-hello", "2.0")]);
        apk.add_source(name, &repo);
        repo
    });
    Manager::install(&apk, &[package("tb-hello", "1.0")]);
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-r0 2.0-r0"]);
    let cache = Apk::INDEXES;
    apk.sandbox().sh(&format!("mount --bind {cache} {cache} && mount -o remount,ro,bind {cache}"));
    repos[0].publish(&[package("tb-hello", "3.0")]);
    // It says OK, and its next command reads the index of before.
    let refreshed = patch(&["refresh"]);
    refreshed.refresh_failed("space").mentions("/reason", "/var/cache/apk is mounted read-only");
    patch(&["apply"]).apply_failed("space").changed(&[]);
    apk.sandbox().sh(&format!("umount {cache}"));
    patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-r0 3.0-r0"]);
}

/// Everybody on the machine could read a login in a command line, so that apk is not given the other repositories alone.
#[test]
fn beside_a_login_a_version_stays_that_only_a_source_that_failed_offers() {
    let apk = Apk::new();
    let repos = [[("tb-a", "2.0"), ("tb-both", "3.0")], [("tb-b", "2.0"), ("tb-both", "2.0")]]
        .map(|offered| ApkRepo::with(&offered.map(|(name, version)| package(name, version))));
    apk.add_source("down", &repos[0]);
    let login = repos[1].server.url().replace("://", "://user:secret@");
    apk.sandbox().write("/etc/apk/repositories.d/well.list", format!("{login}\n"));
    Manager::install(&apk, &["tb-a", "tb-b", "tb-both"].map(|name| package(name, "1.0")));
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    patch(&["refresh"]).exits(0);
    repos[0].server.fault("/", Fault::Status(503));
    patch(&["apply"]).exits(1).says("/retried", false).changed(&["tb-b 1.0-r0 2.0-r0"]);
    patch(&["apply"]).exits(1).changed(&[]);
    repos[0].server.heal();
    patch(&["apply"]).exits(0).changed(&["tb-a 1.0-r0 2.0-r0", "tb-both 1.0-r0 3.0-r0"]);
}

/// Nor is anything removed that it had brought.
#[test]
fn what_came_from_a_source_that_is_down_is_replaced_by_no_older_version() {
    let apk = Apk::new();
    let of_down =
        [package("tb-both", "3.0").needs("tb-lib"), package("tb-lib", "1.0"), package("tb-own", "1.0")];
    let repos =
        [ApkRepo::with(&of_down), ApkRepo::with(&[package("tb-both", "2.0"), package("tb-more", "2.0")])];
    apk.add_source("down", &repos[0]);
    apk.add_source("well", &repos[1]);
    Manager::install(&apk, &["tb-both", "tb-more", "tb-own"].map(|name| package(name, "1.0")));
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    patch(&["apply"]).exits(0).changed(&[
        "tb-both 1.0-r0 3.0-r0",
        "tb-lib - 1.0-r0",
        "tb-more 1.0-r0 2.0-r0",
    ]);
    repos[0].server.fault("/", Fault::Status(503));
    repos[1].publish(&[package("tb-both", "2.0"), package("tb-more", "3.0")]);
    patch(&["apply"]).exits(1).changed(&["tb-more 2.0-r0 3.0-r0"]);
}

/// What is wanted from a repository by its tag comes from there, and nothing else does.
#[test]
fn tags_count_while_a_source_is_down() {
    let others = ["tb-e", "tb-t", "tb-hello"];
    for down in ["first", "edge"] {
        let apk = Apk::new();
        let repo = |offered: &[(&str, &str)]| {
            let packages: Vec<_> = offered.iter().map(|(name, version)| package(name, version)).collect();
            ApkRepo::with(&packages)
        };
        let repos = [
            ("first", "", repo(&[("tb-both", "3.0")])),
            ("edge", "@edge ", repo(&[("tb-e", "2.0"), ("tb-hello", "9.0")])),
            ("testing", "@testing ", repo(&[("tb-t", "2.0"), ("tb-e", "7.0"), ("tb-hello", "8.0")])),
            ("last", "", repo(&[("tb-both", "2.0"), ("tb-hello", "2.0")])),
        ];
        for (number, (name, tag, repo)) in repos.iter().enumerate() {
            let list = format!("/etc/apk/repositories.d/{number}-{name}.list");
            apk.sandbox().write(&list, format!("{tag}{}\n", repo.server.url()));
        }
        let names = [&others[..], &["tb-both"]].concat();
        Manager::install(&apk, &names.iter().map(|name| package(name, "1.0")).collect::<Vec<_>>());
        apk.sandbox().sh("sed -i 's/^tb-e.*/tb-e@edge/; s/^tb-t.*/tb-t@testing/' /etc/apk/world");
        let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
        patch(&["refresh"]).exits(0).remembers("/pending/count", 4);
        repos.iter().find(|(name, ..)| *name == down).unwrap().2.server.fault("/", Fault::Status(503));
        let both = format!("tb-both 1.0-r0 {}-r0", if down == "first" { "2.0" } else { "3.0" });
        let hello = "tb-hello 1.0-r0 2.0-r0";
        let of_tags = ["tb-e 1.0-r0 2.0-r0", "tb-t 1.0-r0 2.0-r0"];
        let coming = match down {
            "first" => vec![&both, of_tags[0], hello, of_tags[1]],
            _ => vec![&both, hello, of_tags[1]],
        };
        patch(&["apply"]).exits(1).says("/retried", false).changed(&coming);
    }
}

/// apk itself does nothing at all while nobody has it.
#[test]
fn what_is_wanted_and_only_a_source_that_failed_offers_is_named() {
    let apk = Apk::new();
    let repos =
        [package("tb-wanted", "1.0"), package("tb-hello", "2.0")].map(|offered| ApkRepo::with(&[offered]));
    apk.add_source("down", &repos[0]);
    apk.add_source("well", &repos[1]);
    Manager::install(&apk, &[package("tb-hello", "1.0")]);
    apk.sandbox().sh("echo tb-wanted >>/etc/apk/world");
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    patch(&["refresh"]).exits(0);
    repos[0].server.fault("/", Fault::Status(503));
    let applied = patch(&["apply"]);
    applied.apply_failed("dependency").mentions("/error/message", "tb-wanted (no such package)");
    let lacks = format!("; it may be in what was not refreshed: {}", repos[0].server.url());
    applied.mentions("/error/message", &lacks);
    repos[0].server.heal();
    patch(&["apply"]).exits(0).changed(&["tb-hello 1.0-r0 2.0-r0", "tb-wanted - 1.0-r0"]);
}

/// apk reads names that apt does not.
#[test]
fn a_repository_in_a_file_with_any_name_makes_the_index_stale_when_it_is_added() {
    for name in ["a+b", "a b", "\u{e9}", "1"] {
        let apk = Apk::new();
        let repos = [ApkRepo::with(&[package("tb-a", "2.0")]), ApkRepo::with(&[package("tb-b", "2.0")])];
        apk.add_source("first", &repos[0]);
        Manager::install(&apk, &["tb-a", "tb-b"].map(|name| package(name, "1.0")));
        let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
        patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-r0 2.0-r0"]);
        apk.add_source(name, &repos[1]);
        patch(&["status"]).exits(1).says("/cache_status", "stale");
        patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-r0 2.0-r0", "tb-b 1.0-r0 2.0-r0"]);
    }
}

/// apk 3 reads no further in a file at a line that begins with a blank, and tells of no word that it does not know where
/// the file is.
#[test]
fn what_apk_does_not_read_of_its_files_is_not_fresh() {
    let (apk, repos) = three();
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    let [first, second, third] = repos.each_ref().map(|repo| repo.server.url());
    apk.sandbox().sh("rm /etc/apk/repositories.d/*");
    for (between, is_read) in [("", true), ("# a\n\n", true), (" \n", false), ("\t# a\n", false)] {
        apk.sandbox().write("/etc/apk/repositories", format!("{first}\n{between}{second}\n{third}/\n"));
        let refreshed = patch(&["refresh"]);
        let told: Vec<_> = refreshed.failed_sources();
        match is_read {
            true => refreshed.exits(0).remembers("/pending/count", 3),
            false => refreshed.exits(1).mentions("/reason", "remove the blank"),
        };
        let unread = [(second.trim_end_matches('/'), "config"), (third.trim_end_matches('/'), "config")];
        let unread = unread.map(|(id, class)| (id.to_owned(), class.to_owned()));
        assert_eq!(told, if is_read { vec![] } else { unread.to_vec() }, "{between:?}");
    }
    apk.sandbox().write("/etc/apk/repositories", format!("{first}\n"));
    apk.sandbox().write("/etc/apk/repositories.d/own.list", format!("nonsense x\n{second}\n"));
    patch(&["refresh"]).exits(1).mentions("/reason", "own.list:1");
}

/// It makes the disk writable for itself.
#[test]
fn a_cache_on_a_disk_that_is_mounted_read_only_between_two_runs_is_good() {
    let (apk, repos) = three();
    apk.sandbox().sh("mkdir -p /media/usb; mount -t tmpfs none /media/usb; mkdir /media/usb/cache; \
                      rm -rf /etc/apk/cache; ln -s /media/usb/cache /etc/apk/cache; mount -o remount,ro /media/usb");
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    for version in ["3.0", "4.0"] {
        repos[0].publish(&[package("tb-0", version)]);
        patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
        assert!(apk.sandbox().sh("grep ' /media/usb ' /proc/mounts").contains("ro,"));
    }
    patch(&["apply"]).exits(0).changed(&["tb-0 1.0-r0 4.0-r0", "tb-1 1.0-r0 2.0-r0", "tb-2 1.0-r0 2.0-r0"]);
}

#[test]
fn a_refresh_asks_past_the_copies_of_proxies() {
    let (apk, repos) = three();
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    repos[0].server.fault("APKINDEX", Fault::Cached);
    patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
    // So does the run with those behind one that hangs.
    repos[0].server.heal();
    repos[0].server.fault("/", Fault::Hang);
    repos[1].server.fault("APKINDEX", Fault::Cached);
    patch(&["refresh", "--timeout", &budget(6)]).exits(1).one_source_failed(
        3,
        &repos[0].server.url(),
        "timeout",
    );
}

/// One address may be there with a tag and without, and what stands in front of the tag may be the format of its index.
#[test]
fn a_tag_counts_in_every_form_while_a_source_is_down() {
    let apk = Apk::new();
    let all = ["tb-a", "tb-t"];
    let repo = |offered: &[(&str, &str)]| {
        ApkRepo::with(&offered.iter().map(|(name, version)| package(name, version)).collect::<Vec<_>>())
    };
    let down = repo(&[("tb-a", "2.0")]);
    let testing = repo(&[("tb-a", "9.0"), ("tb-t", "2.0")]);
    let both = repo(&[("tb-a", "3.0")]);
    let url = |repo: &ApkRepo| repo.server.url();
    let lines =
        format!("{}\nv2 @testing {}\n{}\n@both {}\n", url(&down), url(&testing), url(&both), url(&both));
    apk.sandbox().write("/etc/apk/repositories", lines);
    Manager::install(&apk, &all.map(|name| package(name, "1.0")));
    apk.sandbox().sh("sed -i 's/^tb-a.*/tb-a@both/; s/^tb-t.*/tb-t@testing/' /etc/apk/world");
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    patch(&["refresh"]).exits(0).remembers("/pending/count", 2);
    down.server.fault("/", Fault::Status(503));
    let coming = ["tb-a 1.0-r0 3.0-r0", "tb-t 1.0-r0 2.0-r0"];
    patch(&["apply"]).exits(1).changed(&coming);
}

/// apk ends before it comes to any repository.
#[test]
fn repositories_that_apk_never_came_to_stand_in_the_ledger() {
    let (apk, repos) = three();
    apk.sandbox().write("/etc/apk/repositories", format!("# no\n@tag {}/\n", repos[2].server.url()));
    apk.sandbox().sh("mv /lib/apk/db /lib/apk/gone");
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    let stands = |refreshed: &Report| {
        let mut found: Vec<_> = refreshed.failed_sources().into_iter().map(|(id, _)| id).collect();
        found.sort();
        let mut expected = repos.each_ref().map(|repo| repo.server.url());
        expected.sort();
        assert_eq!(found, expected, "{refreshed}");
        assert_eq!(refreshed.state["sources"].as_array().map(Vec::len), Some(3), "{refreshed}");
    };
    stands(patch(&["refresh"]).exits(2));
    apk.sandbox().sh("mv /lib/apk/gone /lib/apk/db");
    patch(&["refresh"]).exits(0);
    // Nor does one that was added and that it does not come to in time.
    repos[2].server.fault("/", Fault::Hang);
    let more = ApkRepo::with(&[package("tb-new", "1.0")]);
    apk.add_source("zzz", &more);
    more.server.fault("/", Fault::Hang);
    let refreshed = patch(&["refresh", "--timeout", &budget(3)]);
    let ids = refreshed.exits(1).state["sources"].to_string();
    assert!(ids.contains(&more.server.url()), "{refreshed}");
    assert_eq!(refreshed.failed_sources().len(), 2, "{refreshed}");
}

/// Three repositories, each with an update for a package of its own: tb-0, tb-1, tb-2. apk asks them in this order, and
/// says nothing of them before its end.
fn three() -> (Apk, [ApkRepo; 3]) {
    let apk = Apk::new();
    let names = ["tb-0", "tb-1", "tb-2"];
    let repos = names.map(|name| {
        let repo = ApkRepo::with(&[package(name, "2.0")]);
        apk.add_source(name, &repo);
        repo
    });
    Manager::install(&apk, &names.map(|name| package(name, "1.0")));
    (apk, repos)
}

#[test]
fn repositories_that_hang_or_trickle_cost_only_themselves() {
    for (slow, fault, is_known) in [
        (&[1][..], Fault::Hang, true),
        (&[1], Fault::Trickle(20), true),
        (&[0], Fault::Trickle(20), false),
        (&[2], Fault::Hang, false),
        (&[0, 2], Fault::Hang, true),
    ] {
        let (apk, repos) = three();
        let time = at_leisure(4);
        let patch = |args: &[&str]| {
            let args = [&["--manager", "apk"], args].concat();
            apk.sandbox().patch_with(&args, &[("LINUX_PATCH_TIMEOUT", &*option(time))])
        };
        if is_known {
            patch(&["refresh"]).exits(0);
        }
        slow.iter().for_each(|nth| repos[*nth].server.fault("/", fault));
        let good: Vec<usize> = (0..3).filter(|nth| !slow.contains(nth)).collect();
        good.iter().for_each(|nth| repos[*nth].publish(&[package(&format!("tb-{nth}"), "3.0")]));
        let refreshed = patch(&["refresh"]);
        refreshed.exits(1).remembers("/last_attempt/outcome", "partial");
        let mut failed: Vec<_> =
            slow.iter().map(|nth| (repos[*nth].server.url(), "timeout".to_string())).collect();
        let mut found = refreshed.failed_sources();
        found.sort();
        failed.sort();
        assert_eq!(found, failed, "{refreshed}");
        assert_eq!(refreshed.state["sources"].as_array().map(Vec::len), Some(3), "{refreshed}");
        assert!(refreshed.elapsed < time + at_leisure(7), "{refreshed}");
        let pending: Vec<_> = good.iter().map(|nth| format!("tb-{nth} 1.0-r0 3.0-r0")).collect();
        let pending: Vec<_> = pending.iter().map(String::as_str).collect();
        // What the index of before offers is listed too, and not installed.
        let listed = refreshed.state["pending"]["packages"].to_string();
        assert_eq!(listed.matches("3.0-r0").count(), good.len(), "{refreshed}");
        // Nothing ends an install, so it must not wait for an index that has never come.
        let applied = patch(&["apply"]);
        applied.exits(1).changed(&pending);
        assert!(applied.elapsed < time + at_leisure(11), "{applied}");
        repos.iter().for_each(|repo| repo.server.heal());
        patch(&["apply"]).exits(0);
        assert_eq!(apk.installed().iter().filter(|row| row.ends_with(" 1.0")).count(), 0);
        apk.sandbox().runs_nothing();
    }
}

#[test]
fn an_index_that_came_before_an_interruption_counts_and_the_one_that_was_waited_for_is_named() {
    let (apk, repos) = three();
    let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
    let before = patch(&["refresh"]);
    before.exits(0);
    // Times in the state are whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    repos[1].server.fault("/", Fault::Hang);
    let asked = repos[1].server.requests(Apk::INDEX);
    let running = apk.sandbox().start(apk.sandbox().patch_command(&["--manager", "apk", "refresh"]));
    apk.sandbox().wait_until("it is asked", || repos[1].server.requests(Apk::INDEX) > asked);
    apk.sandbox().signal(apk.sandbox().patch_pid(), "INT");
    let stopped = running.report();
    stopped.exits(2).says("/error/class", "interrupted").mentions("/error/message", &repos[1].server.url());
    // That is no verdict.
    stopped.says("/cache_status", "fresh").remembers("/last_attempt", before.state["last_attempt"].clone());
    let success = |report: &Report, nth: usize| {
        let sources = report.state["sources"].as_array().unwrap();
        let source = sources.iter().find(|source| source["id"] == repos[nth].server.url()).unwrap();
        source["last_success"].as_str().unwrap().to_owned()
    };
    assert!(success(&stopped, 0) > success(&before, 0), "{stopped}");
    for nth in [1, 2] {
        assert_eq!(success(&stopped, nth), success(&before, nth), "{stopped}");
    }
    apk.sandbox().runs_nothing();
}

/// What comes damaged does not take the place of the index, so the file that stays proves nothing.
#[test]
fn an_index_that_came_damaged_before_another_hung_is_not_fresh() {
    for fault in [Fault::Short, Fault::Flip, Fault::Page, Fault::Status(503)] {
        let (apk, repos) = three();
        let patch = |args: &[&str]| apk.sandbox().patch(&[&["--manager", "apk"], args].concat());
        patch(&["refresh"]).exits(0);
        repos[0].server.fault("/", fault);
        repos[1].server.fault("/", Fault::Hang);
        let refreshed = patch(&["refresh", "--timeout", &budget(3)]);
        refreshed.exits(1);
        let failed: Vec<_> = refreshed.failed_sources().into_iter().map(|(id, _)| id).collect();
        let expected = [0, 1].map(|nth| repos[nth].server.url());
        assert!(failed.len() == 2 && expected.iter().all(|id| failed.contains(id)), "{refreshed}");
    }
}
