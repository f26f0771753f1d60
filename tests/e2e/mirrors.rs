//! When the index was published, and mirrors that stand still or fall behind.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::bench;
use crate::deb::deb;
use crate::dnf5;
use crate::pacman;
use crate::pacman_odd;
use crate::repo::{Repo, Validity};
use crate::report::Report;
use crate::rpm::{self, Rpm, RpmRepo, rpm};
use crate::sandbox::Sandbox;
use crate::server::{Fault, kept};
use crate::zypper;

const DAY: i64 = 86400;

fn at(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    DateTime::parse_from_rfc3339(text).unwrap().timestamp()
}

fn now() -> i64 {
    Utc::now().timestamp()
}

/// One mirror that shows three dates: the first, a newer one, and one from before: it has fallen behind. If the server
/// is asked only for newer files it does not send the old one, and the newer index stays in use.
#[track_caller]
fn is_told(sandbox: &Sandbox, is_sent: bool, patch: &dyn Fn(&[&str]) -> Report, publish: &dyn Fn(i64)) {
    publish(3);
    let refreshed = patch(&["refresh"]);
    let published = at(&refreshed.exits(0).json["sources"][0]["published_at"]);
    assert!((now() - 5 * DAY..now() - 2 * DAY).contains(&published), "{refreshed}");
    assert_eq!(at(&patch(&["refresh"]).exits(0).json["sources"][0]["published_at"]), published);
    let status = |alert: &str| patch(&["status", "--alert", alert]);
    status("mirror:14d").exits(0);
    status("mirror:1d").exits(1).mentions("/alerts/0", "the newest index was published ");
    status("mirror:1d@*=critical").exits(2);
    status("mirror:1d@none*").exits(3);
    let text = sandbox.run(&["linux-patch", "status", "--verbose"]).stdout;
    assert!(text.contains(", published 20"), "{text}");
    let metrics = sandbox.run(&["linux-patch", "status", "--format", "openmetrics"]).stdout;
    assert!(metrics.contains("linux_patch_source_published_timestamp_seconds{source=\""), "{metrics}");
    // It goes on, and then back.
    publish(1);
    let refreshed = patch(&["refresh"]);
    let newer = at(&refreshed.exits(0).json["sources"][0]["published_at"]);
    assert!(newer > published + DAY, "{refreshed}");
    publish(20);
    let refreshed = patch(&["refresh"]);
    if !is_sent {
        refreshed.exits(0);
        return assert_eq!(at(&refreshed.json["sources"][0]["published_at"]), newer);
    }
    refreshed.exits(2).says("/cache_status", "failed").says("/sources/0/error/class", "fetch");
    let words = refreshed.json["sources"][0]["error"]["message"].as_str().unwrap();
    assert_eq!(words.matches("Z").count(), 2, "two dates: {refreshed}");
    assert_eq!(at(&refreshed.json["sources"][0]["published_at"]), newer);
    publish(0);
    patch(&["refresh"]).exits(0);
}

#[test]
fn apt_says_it_of_each_source() {
    let (sandbox, repo) = bench::one(&[], &[deb("tb-hello", "1.0")]);
    let publish = |days| repo.publish_claiming(|claims| claims.days_behind = days, &[deb("tb-hello", "2.0")]);
    is_told(&sandbox, true, &|args| sandbox.patch(args), &publish);
}

#[test]
fn apt_says_it_of_a_source_that_comes_from_another_address() {
    for is_list in [true, false] {
        let (sandbox, repo, front) = (Sandbox::new(), Repo::new(&[deb("tb-hello", "1.0")]), Repo::new(&[]));
        sandbox.write("/etc/apt/mirrors.txt", repo.url());
        front.server.fault("/", Fault::Redirect(kept(format!("{}/", repo.url()))));
        let address = if is_list { "mirror+file:/etc/apt/mirrors.txt".into() } else { front.url() };
        let line = format!("deb [signed-by=/etc/apt/keyrings/test.gpg] {address} stable main\n");
        sandbox.write("/etc/apt/sources.list.d/test.list", line);
        let publish =
            |days| repo.publish_claiming(|claims| claims.days_behind = days, &[deb("tb-hello", "2.0")]);
        is_told(&sandbox, true, &|args| sandbox.patch(args), &publish);
    }
}

fn publish_rpm(repo: &RpmRepo, days: i64) {
    repo.publish_dated(now() - days * DAY, &[rpm("tb-hello", "2.0")]);
}

#[test]
fn managers_of_rpm_say_it_of_each_source() {
    let none: &[Rpm] = &[];
    let (root, repo) = rpm::one(none, &[rpm("tb-hello", "1.0")]);
    is_told(&root.sandbox, true, &|args| root.patch(args), &|days| publish_rpm(&repo, days));
    let (root, repo) = dnf5::one(none, &[rpm("tb-hello", "1.0")]);
    is_told(&root.sandbox, true, &|args| root.patch(args), &|days| publish_rpm(&repo, days));
    // Another mirror may be behind the one before: that is no mirror that went back.
    publish_rpm(&repo, 20);
    root.patch(&["refresh"]).exits(2);
    root.sandbox.sh("sed -i '$a # changed' /etc/yum.repos.d/*.repo");
    let refreshed = root.patch(&["refresh"]);
    assert!(at(&refreshed.exits(0).json["sources"][0]["published_at"]) < now() - 15 * DAY, "{refreshed}");
    let (root, repo) = zypper::one(none, &[rpm("tb-hello", "1.0")]);
    is_told(root.sandbox(), true, &|args| root.patch(args), &|days| publish_rpm(&repo, days));
    // So may be the repository of a new release, if its address has that. The package of the release brings a file that is
    // as old as the package.
    for (of_release, exit) in [("", 2), ("rel-$releasever/x/", 0)] {
        let root = zypper::Zypper::with(none);
        let repo = RpmRepo::new(&[]);
        repo.server.fault("/x/", Fault::Alias("/"));
        root.add_repo_with("test", &format!("{}/{of_release}", repo.server.url()), "");
        publish_rpm(&repo, 1);
        root.patch(&["refresh"]).exits(0);
        publish_rpm(&repo, 20);
        root.patch(&["refresh"]).exits(2);
        root.sandbox().sh(
            "sleep 1; echo 'VERSION_ID=99' >/etc/os-release; touch -d 2020-01-01 /etc/os-release; sleep 1",
        );
        root.patch(&["refresh"]).exits(exit);
        publish_rpm(&repo, 40);
        root.patch(&["refresh"]).exits(2);
    }
}

#[test]
fn pacman_says_it_by_the_time_of_the_server() {
    let (root, repo) = pacman::one(&[], &[pacman::pkg("tb-hello", "1.0")]);
    let publish = |days| {
        repo.publish(&[pacman::pkg("tb-hello", "2.0")]);
        repo.days_behind(days);
    };
    is_told(&root.sandbox, false, &|args| root.patch(args), &publish);
}

/// A package that was built so many days ago.
fn built(name: &str, days: i64) -> pacman::Pkg {
    pacman::pkg(name, "2.0").built(now() - days * DAY)
}

fn published_at(refreshed: &Report) -> Option<i64> {
    let value = &refreshed.exits(0).json["sources"][0]["published_at"];
    value.as_str().map(|_| at(value))
}

#[track_caller]
fn is_days_old(refreshed: &Report, days: i64) {
    let age = published_at(refreshed).map(|published| now() - published);
    assert!(age.is_some_and(|age| (days * DAY..days * DAY + DAY * 4 / 5).contains(&age)), "{refreshed}");
}

#[test]
fn pacman_says_by_its_packages_what_the_server_does_not() {
    let (root, repo) = pacman::one(&[], &[pacman::pkg("tb-hello", "1.0")]);
    repo.server.fault(".db", Fault::Undated);
    let refresh = || root.patch(&["refresh"]);
    // The newest of them counts, and none of tomorrow.
    repo.publish(&[built("tb-a", 30), built("tb-b", 6), built("tb-c", 8), built("tb-d", -1)]);
    is_days_old(&refresh(), 6);
    // It is not read again.
    let dates = root.sandbox.state()["index_dates"].clone();
    assert_eq!((&dates[0]["id"], &dates[0]["made"]), (&"test".into(), &Value::Null), "{dates}");
    is_days_old(&refresh(), 6);
    assert_eq!(root.sandbox.state()["index_dates"], dates);
    let status = |alert: &str| root.patch(&["status", "--alert", alert]);
    status("mirror:14d").exits(0);
    status("mirror:4d").exits(1).mentions("/alerts/0", "the newest index was published 6 d ago");
    // The newest was withdrawn: the index may be newer all the same.
    repo.publish(&[built("tb-a", 30), built("tb-c", 8)]);
    is_days_old(&refresh(), 8);
    // pacman reads what is packed otherwise, but only its packages are known then.
    for (command, is_read) in [("cat", true), ("gzip", true), ("xz", false), ("zstd -q", false)] {
        repo.publish(&[built("tb-a", 30), built("tb-e", 5)]);
        repo.pack_index(command);
        let refreshed = refresh();
        match is_read {
            true => is_days_old(&refreshed, 5),
            false => assert_eq!(published_at(&refreshed), None, "{command}: {refreshed}"),
        }
        refreshed.leaves_pending(&[]);
    }
}

#[test]
fn pacman_says_it_by_what_proves_more() {
    for (command, is_read) in [("cat", true), ("gzip", true), ("xz", false), ("zstd -q", false)] {
        let (root, repo) = pacman::one(&[], &[pacman::pkg("tb-hello", "1.0")]);
        let publish = |packages: &[pacman::Pkg], days| {
            repo.publish(packages);
            repo.pack_index(command);
            repo.days_behind(days);
            root.patch(&["refresh"])
        };
        // The server's copy has a wrong time: what was built later was published later.
        let refreshed = publish(&[built("tb-a", 7), built("tb-b", 9)], 20);
        is_days_old(&refreshed, if is_read { 7 } else { 20 });
        is_days_old(&publish(&[built("tb-a", 7), built("tb-b", 9)], 2), 2);
        // An index from which a package was withdrawn is not older.
        is_days_old(&publish(&[built("tb-b", 9)], 1), 1);
        is_days_old(&root.patch(&["refresh"]), 1);
    }
}

#[test]
fn pacman_says_it_whatever_program_fetches() {
    let (root, repo) = pacman::one(&[], &[pacman::pkg("tb-hello", "1.0")]);
    pacman_odd::fetch_otherwise(&root);
    repo.publish(&[built("tb-a", 9)]);
    is_days_old(&root.patch(&["refresh"]), 9);
    repo.publish(&[built("tb-b", 12)]);
    is_days_old(&root.patch(&["refresh"]), 12);
}

#[test]
fn until_when_an_index_of_apt_is_valid_is_told() {
    let (sandbox, repo) = bench::one(&[], &[deb("tb-hello", "1.0")]);
    sandbox.patch(&["refresh"]).exits(0).says("/sources/0/valid_until", Value::Null);
    repo.publish_claiming(|claims| claims.validity = Validity::ForAWeek, &[deb("tb-hello", "2.0")]);
    let refreshed = sandbox.patch(&["refresh"]);
    let until = at(&refreshed.exits(0).json["sources"][0]["valid_until"]);
    assert!((now() + 6 * DAY..now() + 8 * DAY).contains(&until), "{refreshed}");
}

/// Updates in an index that went back were perhaps withdrawn: none of them is pending, even if the refresh itself lists
/// them.
#[test]
fn an_index_that_went_back_offers_nothing() {
    for of_dnf5 in [true, false] {
        let installed = [rpm("tb-hello", "1.0"), rpm("tb-other", "1.0")];
        let published = [rpm("tb-hello", "2.0")];
        let (root, _repo) =
            if of_dnf5 { dnf5::one(&installed, &published) } else { rpm::one(&installed, &published) };
        let mirror = RpmRepo::new(&[]);
        root.add_repo("mirror", &mirror);
        let publish =
            |days: i64, version| mirror.publish_dated(now() - days * DAY, &[rpm("tb-other", version)]);
        publish(1, "1.0");
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        publish(20, "2.0");
        for _ in 0..2 {
            let refreshed = root.patch(&["refresh"]);
            refreshed.exits(1).one_source_failed(2, "mirror", "fetch");
            refreshed.leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        }
        root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
    }
}
