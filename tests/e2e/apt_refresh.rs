//! `refresh` when all is well, and what it leaves behind.

use crate::bench;
use crate::deb::deb;
use crate::repo::Repo;
use crate::sandbox::Sandbox;

#[test]
fn the_first_refresh_is_recorded_in_state_history_and_log() {
    let (sandbox, repo) = bench::pending_update();
    sandbox
        .patch(&["refresh"])
        .exits(0)
        .says("/status", "healthy")
        .says("/cache_status", "fresh")
        .says("/joined", false)
        .remembers("/version", 1)
        .remembers("/manager", "apt")
        .remembers("/last_update_success", true)
        .remembers("/last_update_error", serde_json::Value::Null)
        .remembers("/last_attempt/outcome", "fresh")
        .remembers("/counters/refresh_total", 1)
        .remembers("/counters/refresh_failed_total", 0)
        .leaves_pending(&["tb-hello 1.0 2.0"]);
    let state = sandbox.state();
    assert!(state["last_cache_update"].is_string(), "{state:#}");
    assert_eq!(state["sources"].as_array().unwrap().len(), 1, "{state:#}");
    assert!(state["sources"][0]["last_success"].is_string(), "{state:#}");
    assert!(state["sources"][0]["id"].as_str().unwrap().contains(&repo.url()), "{state:#}");
    assert_eq!(sandbox.mode("/var/lib/linux-patch/state.json"), 0o644);
    assert_eq!(sandbox.mode("/var/lib/linux-patch/lock"), 0o600);
    let history = sandbox.read("/var/lib/linux-patch/history.jsonl").unwrap();
    assert_eq!(history.lines().count(), 1, "{history}");
    assert!(sandbox.log().contains("InRelease"), "{}", sandbox.log());
    sandbox.has_exactly(&["tb-hello 1.0"]);
    sandbox.runs_nothing();
}

#[test]
fn nothing_pending_is_counted_as_nothing() {
    let (sandbox, repo) = bench::pending_update();
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0 2.0"]);
    repo.publish(&[deb("tb-hello", "1.0"), deb("tb-new", "1.0")]);
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&[]).holds_back(&[]);
}

#[test]
fn an_unchanged_index_is_not_counted_again() {
    let (sandbox, _repo) = bench::pending_update();
    bench::spy(&sandbox);
    sandbox.patch(&["refresh"]).exits(0);
    let first = bench::calls(&sandbox);
    assert!(first.iter().any(|call| call.contains("upgrade")), "{first:#?}");
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0 2.0"]);
    let second = bench::calls(&sandbox);
    assert!(second.iter().any(|call| call.contains(" update")), "{second:#?}");
    assert!(!second.iter().any(|call| call.contains("upgrade")), "{second:#?}");
}

#[test]
fn an_unchanged_index_is_counted_again_after_something_else_changed() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-hello", "1.0"), deb("tb-world", "1.0")],
        &[deb("tb-hello", "2.0"), deb("tb-world", "2.0")],
    );
    sandbox.patch(&["refresh"]).leaves_pending(&["tb-hello 1.0 2.0", "tb-world 1.0 2.0"]);
    bench::tick();
    sandbox.install(&[deb("tb-hello", "1.5")]);
    sandbox.patch(&["refresh"]).leaves_pending(&["tb-hello 1.5 2.0", "tb-world 1.0 2.0"]);
    bench::tick();
    sandbox.sh("apt-mark hold tb-hello");
    sandbox.patch(&["refresh"]).leaves_pending(&["tb-world 1.0 2.0"]).holds_back(&["tb-hello 1.5 2.0 held"]);
    bench::tick();
    sandbox.write("/etc/apt/preferences.d/world", "Package: tb-world\nPin: version 2.0\nPin-Priority: -1\n");
    sandbox.patch(&["refresh"]).leaves_pending(&[]);
}

#[test]
fn refreshes_at_the_same_time_cost_one_refresh() {
    let (sandbox, repo) = bench::pending_update();
    let release = repo.server.hold_back("/InRelease");
    let first = sandbox.start(sandbox.patch_command(&["refresh"]));
    sandbox.wait_until("the index is asked for", || repo.refreshes() == 1);
    let others = [(); 3].map(|()| sandbox.start(sandbox.patch_command(&["refresh"])));
    others.iter().for_each(|other| other.wait_to_hear("waiting for linux-patch refresh"));
    drop(release);
    first.report().exits(0).says("/joined", false);
    for other in others {
        other.report().exits(0).says("/joined", true);
    }
    assert_eq!(repo.refreshes(), 1);
    assert_eq!(sandbox.state()["counters"]["refresh_total"], 1);
    // Those that shared it are counted by the next run.
    sandbox.patch(&["refresh"]).remembers("/counters/refresh_joined_total", 3);
}

#[test]
fn a_failed_refresh_is_shared_as_a_failure() {
    let (sandbox, repo) = bench::pending_update();
    let release = repo.server.hold_back("/InRelease");
    repo.server.fault("Release", crate::server::Fault::Status(404));
    let first = sandbox.start(sandbox.patch_command(&["refresh"]));
    sandbox.wait_until("the index is asked for", || repo.refreshes() == 1);
    let second = sandbox.start(sandbox.patch_command(&["refresh"]));
    second.wait_to_hear("waiting for linux-patch refresh");
    drop(release);
    first.report().refresh_failed("fetch").says("/joined", false);
    second.report().refresh_failed("fetch").says("/joined", true);
}

#[test]
fn if_stale_does_nothing_while_the_state_is_fresh() {
    let (sandbox, repo) = bench::pending_update();
    sandbox.patch(&["refresh", "--if-stale"]).exits(0);
    assert_eq!(repo.refreshes(), 1);
    bench::spy(&sandbox);
    sandbox.patch(&["refresh", "--if-stale"]).exits(0).remembers("/counters/refresh_skipped_fresh_total", 1);
    assert_eq!(bench::calls(&sandbox), Vec::<String>::new());
    bench::tick();
    bench::tick();
    sandbox.patch(&["refresh", "--if-stale", "--max-age", "1s"]).exits(0);
    assert_eq!(repo.refreshes(), 2);
}

#[test]
fn a_file_source_counts_as_a_source() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&[deb("tb-hello", "2.0")]);
    for (path, bytes) in repo.files() {
        sandbox.write(&format!("/srv/mirror{path}"), bytes.as_slice());
    }
    sandbox.add_source_at("local", "file:/srv/mirror", "stable");
    sandbox.install(&[deb("tb-hello", "1.0")]);
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0 2.0"]);
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
    sandbox.has_exactly(&["tb-hello 2.0"]);
    sandbox.sh("rm -r /srv/mirror");
    sandbox.patch(&["refresh"]).refresh_failed("fetch");
}

#[test]
fn a_source_in_the_newer_format_counts_unless_it_is_disabled() {
    let (sandbox, _repo) = bench::one(&[], &[]);
    let newer = Repo::new(&[deb("tb-hello", "2.0")]);
    let block = |enabled: &str, url: &str| {
        format!(
            "Enabled: {enabled}\nTypes: deb\nURIs: {url}\nSuites: stable\nComponents: main\n\
             Signed-By: /etc/apt/keyrings/test.gpg\n\n"
        )
    };
    sandbox.write(
        "/etc/apt/sources.list.d/newer.sources",
        block("yes", &newer.url()) + &block("no", bench::REFUSED),
    );
    sandbox.patch(&["refresh"]).exits(0);
    let sources = &sandbox.state()["sources"];
    assert_eq!(sources.as_array().unwrap().len(), 2, "{sources:#}");
}

#[test]
fn a_source_written_twice_is_no_failure() {
    let (sandbox, repo) = bench::pending_update();
    sandbox.add_source("again", &repo);
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0 2.0"]);
}

#[test]
fn without_root_a_refresh_is_refused_and_leaves_nothing() {
    let (sandbox, repo) = bench::pending_update();
    let command = sandbox.patch_command_of_nobody(&["refresh"]);
    sandbox.start(command).report().exits(3);
    assert_eq!(repo.refreshes(), 0);
    assert!(!sandbox.exists("/var/lib/linux-patch"));
}

#[test]
fn the_manager_never_sees_the_callers_language() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.write(
        "/etc/apt/apt.conf.d/spy",
        "APT::Update::Pre-Invoke { \"env >/run/env-update\"; };\nDPkg::Pre-Invoke { \"env >/run/env-install\"; };\n",
    );
    let german =
        [("LANGUAGE", "de"), ("LANG", "de_DE.UTF-8"), ("LC_ALL", "de_DE.UTF-8"), ("LC_MESSAGES", "de_DE")];
    sandbox.patch_with(&["apply"], &german).applied(&["tb-hello 1.0 2.0"]);
    for when in ["update", "install"] {
        let seen = sandbox.read(&format!("/run/env-{when}")).unwrap();
        assert!(seen.lines().any(|line| line == "LC_ALL=C"), "{when}: {seen}");
        assert!(!seen.contains("LANGUAGE="), "{when}: {seen}");
    }
    let install = sandbox.read("/run/env-install").unwrap();
    assert!(install.contains("DEBIAN_FRONTEND=noninteractive"), "{install}");
}
