//! One source of three fails: what is fresh is still used, and the exit code says that something is not.

use crate::bench;
use crate::deb::deb;
use crate::repo::Repo;
use crate::sandbox::Sandbox;
use crate::server::Fault;

/// After `change` the second of three sources fails for the reason `class`; the others are
/// refreshed and their updates installed.
#[track_caller]
fn the_others_are_applied(class: &str, change: impl FnOnce(&Sandbox, &Repo) -> String) {
    let (sandbox, repos) = bench::three();
    let failing = change(&sandbox, &repos[1]);
    // The time limits of single connections follow from the budget.
    let report = sandbox.patch_with(&["apply"], &[("LINUX_PATCH_TIMEOUT", "29s")]);
    report
        .exits(1)
        .says("/status", "degraded")
        .says("/cache_status", "stale")
        .says("/retried", false)
        .remembers("/last_update_success", false)
        .remembers("/last_cache_update", serde_json::Value::Null)
        .remembers("/last_attempt/outcome", "partial")
        .remembers("/apply/last/outcome", "partial")
        .one_source_failed(3, &failing, class)
        .changed(&["tb-alpha 1.0 2.0", "tb-gamma 1.0 2.0"]);
    sandbox.has_exactly(&["tb-alpha 2.0", "tb-beta 1.0", "tb-gamma 2.0"]);
    sandbox.patch(&["status"]).exits(1).says("/cache_status", "stale");
    sandbox.runs_nothing();
}

fn served_badly(pattern: &'static str, fault: Fault) -> impl FnOnce(&Sandbox, &Repo) -> String {
    move |_, repo| {
        repo.server.fault(pattern, fault);
        repo.url()
    }
}

fn moved_to(url: &'static str) -> impl FnOnce(&Sandbox, &Repo) -> String {
    move |sandbox, _| {
        sandbox.add_source_at("beta", url, "stable");
        url.to_owned()
    }
}

#[test]
fn one_source_of_three_is_gone() {
    the_others_are_applied("fetch", served_badly("Release", Fault::Status(404)));
}

#[test]
fn one_source_of_three_is_overloaded() {
    the_others_are_applied("fetch", served_badly("Release", Fault::Status(503)));
}

#[test]
fn one_source_of_three_has_a_damaged_index() {
    the_others_are_applied("fetch", served_badly("/Packages", Fault::Flip));
}

#[test]
fn one_source_of_three_refuses_connections() {
    the_others_are_applied("network", moved_to(bench::REFUSED));
}

#[test]
fn one_source_of_three_has_an_unknown_name() {
    the_others_are_applied("network", moved_to(bench::UNRESOLVABLE));
}

#[test]
fn one_source_of_three_hangs() {
    the_others_are_applied("network", served_badly("Release", Fault::Hang));
}

#[test]
fn one_source_of_three_is_signed_by_a_stranger() {
    the_others_are_applied("auth", |_, repo| {
        repo.publish_claiming(
            |claims| claims.signer = crate::vault::Signer::Stranger,
            &[deb("tb-beta", "2.0")],
        );
        repo.url()
    });
}

#[test]
fn a_partial_refresh_keeps_the_time_of_the_last_complete_one() {
    let (sandbox, repos) = bench::three();
    let good = sandbox.patch(&["refresh"]).exits(0).state.clone();
    bench::tick();
    repos[1].server.fault("Release", Fault::Status(404));
    let report = sandbox.patch(&["refresh"]);
    report
        .exits(1)
        .says("/cache_status", "stale")
        .remembers("/last_cache_update", good["last_cache_update"].clone())
        .remembers("/last_update_success", false)
        .one_source_failed(3, &repos[1].url(), "fetch");
    // Each source's own last success moves on, except for the one that failed.
    for old in good["sources"].as_array().unwrap() {
        let sources = report.state["sources"].as_array().unwrap();
        let new = sources.iter().find(|source| source["id"] == old["id"]).unwrap();
        let failed = old["id"].as_str().unwrap().contains(&repos[1].url());
        assert_eq!(new["last_success"] == old["last_success"], failed, "{report}");
    }
    assert_eq!(report.json["sources"].as_array().map(Vec::len), Some(3), "{report}");
}

#[test]
fn a_source_that_went_down_with_an_update_still_listed_does_not_hold_up_the_others() {
    let (sandbox, repos) = bench::three();
    sandbox.patch(&["refresh"]).exits(0);
    // apt keeps the old index, and with it an update that nobody can fetch.
    repos[1].server.fault("/", Fault::Status(404));
    sandbox.patch(&["apply"]).exits(1).changed(&["tb-alpha 1.0 2.0", "tb-gamma 1.0 2.0"]);
    sandbox.has_exactly(&["tb-alpha 2.0", "tb-beta 1.0", "tb-gamma 2.0"]);
}

#[test]
fn strict_stops_at_a_partial_refresh() {
    let (sandbox, repos) = bench::three_with("Release", Fault::Status(404));
    sandbox
        .patch(&["apply", "--strict"])
        .apply_failed("fetch")
        .changed(&[])
        .says("/retried", false)
        .remembers("/last_attempt/outcome", "partial")
        .one_source_failed(3, &repos[1].url(), "fetch");
    sandbox.has_exactly(&["tb-alpha 1.0", "tb-beta 1.0", "tb-gamma 1.0"]);
}

#[test]
fn a_source_that_comes_back_makes_the_state_fresh_again() {
    let (sandbox, repos) = bench::three_with("Release", Fault::Status(503));
    sandbox.patch(&["refresh"]).exits(1);
    repos[1].server.heal();
    sandbox.patch(&["refresh"]).exits(0).remembers("/last_update_success", true);
    sandbox.patch(&["status"]).exits(0);
}

#[test]
fn all_three_sources_down_install_nothing() {
    let (sandbox, repos) = bench::three();
    sandbox.patch(&["refresh"]).exits(0);
    for repo in &repos {
        repo.server.fault("/", Fault::Status(503));
    }
    sandbox.patch(&["apply"]).apply_failed("fetch").changed(&[]).says("/retried", false);
    sandbox.has_exactly(&["tb-alpha 1.0", "tb-beta 1.0", "tb-gamma 1.0"]);
}

/// apt takes nothing of a source of which it cannot have a file that the Release file lists, be it only a translation.
/// Where it has an error of another source, only its lines of progress say so.
#[test]
fn a_source_whose_translations_do_not_come_has_failed_beside_one_that_is_gone() {
    for (fault, words) in [(Fault::Status(404), "404"), (Fault::Short, "unexpected size")] {
        let (sandbox, repos) = bench::three();
        repos[1].publish_claiming(|claims| claims.is_translated = true, &[deb("tb-beta", "2.0")]);
        sandbox.patch(&["refresh"]).exits(0);
        assert!(repos[1].server.requests("/Translation-en") > 0);
        repos[1].publish(&[deb("tb-beta", "3.0")]);
        repos[0].server.fault("Release", Fault::Status(404));
        repos[1].server.fault("/Translation-en", fault);
        let refreshed = sandbox.patch(&["refresh"]);
        let mut expected = repos[..2].iter().map(|repo| format!("{} stable", repo.url())).collect::<Vec<_>>();
        expected.sort();
        let mut failed = refreshed.exits(1).failed_sources();
        failed.sort();
        let ids: Vec<_> = failed.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(ids, expected, "{refreshed}");
        assert!(failed.iter().all(|(_, class)| class == "fetch"), "{refreshed}");
        let sources = refreshed.state["sources"].as_array().unwrap();
        let beta = sources.iter().find(|source| source["id"].as_str().unwrap().contains(&repos[1].url()));
        let message = beta.unwrap()["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
        assert!(
            sandbox.sh("cat /var/lib/apt/lists/*_Packages").contains("Version: 2.0"),
            "apt keeps its old index"
        );
        assert!(!sandbox.sh("cat /var/lib/apt/lists/*_Packages").contains("Version: 3.0"), "{refreshed}");
        repos[1].server.heal();
        let others = sandbox.patch(&["refresh"]);
        others.exits(1).one_source_failed(3, &repos[0].url(), "fetch");
    }
}

/// One that the Release file does not list is optional.
#[test]
fn a_source_without_translations_is_fresh_beside_one_that_is_gone() {
    let (sandbox, repos) = bench::three_with("Release", Fault::Status(404));
    repos[0].server.fault("/Translation-en", Fault::Status(404));
    sandbox.patch(&["refresh"]).exits(1).one_source_failed(3, &repos[1].url(), "fetch");
}
