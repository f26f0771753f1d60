//! When the index was published, and mirrors that stand still or fall behind.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::bench;
use crate::deb::deb;
use crate::dnf5;
use crate::pacman;
use crate::repo::Validity;
use crate::report::Report;
use crate::rpm::{self, Rpm, RpmRepo, rpm};
use crate::sandbox::Sandbox;
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
