//! A refresh that is ended before its time: the sources that it was done with count, and those that it was waiting for
//! are named.

use serde_json::Value;

use crate::bench;
use crate::deb::deb;
use crate::leisure::{at_leisure, budget, option};
use crate::repo::Repo;
use crate::report::Report;
use crate::sandbox::Sandbox;
use crate::server::Fault;

/// When a source was refreshed last, as (its address, the time).
fn last_success(report: &Report, repo: &Repo) -> Value {
    let sources = report.state["sources"].as_array().into_iter().flatten();
    let mut of_repo =
        sources.filter(|source| source["id"].as_str().unwrap_or_default().contains(&repo.url()));
    of_repo.next().map_or(Value::Null, |source| source["last_success"].clone())
}

const SLOW: [(&str, Fault); 4] = [
    ("/InRelease", Fault::Trickle(10)),
    ("/Packages", Fault::Trickle(10)),
    ("/InRelease", Fault::Hang),
    ("/Packages", Fault::Hang),
];

/// Three sources that were refreshed once, with a newer version in each of them since. apt itself gives up on none of
/// them.
#[track_caller]
fn three_with_news() -> (Sandbox, [Repo; 3]) {
    let (sandbox, repos) = bench::three();
    sandbox.write("/etc/apt/apt.conf.d/patient", bench::PATIENT);
    sandbox.patch(&["refresh"]).exits(0);
    for (repo, name) in repos.iter().zip(["tb-alpha", "tb-beta", "tb-gamma"]) {
        repo.publish(&[deb(name, "3.0")]);
    }
    bench::tick();
    (sandbox, repos)
}

#[test]
fn a_source_that_trickles_costs_only_itself() {
    for (pattern, fault) in SLOW {
        let (sandbox, repos) = three_with_news();
        repos[1].server.fault(pattern, fault);
        let time = at_leisure(3);
        let refreshed = sandbox.patch(&["refresh", "--timeout", &option(time)]);
        refreshed.exits(1).one_source_failed(3, &repos[1].url(), "timeout");
        refreshed.says("/error/class", "timeout").mentions("/error/message", &repos[1].url());
        // What the slow one offered before is still known, as with any source that fails.
        refreshed.leaves_pending(&["tb-alpha 1.0 3.0", "tb-beta 1.0 2.0", "tb-gamma 1.0 3.0"]);
        assert!(refreshed.elapsed < time + at_leisure(6), "{refreshed}");
        sandbox.runs_nothing();
        let applied = sandbox.patch_with(&["apply"], &[("LINUX_PATCH_TIMEOUT", &*budget(3))]);
        applied.exits(1).changed(&["tb-alpha 1.0 3.0", "tb-gamma 1.0 3.0"]);
        // No file of the slow source is taken for new later.
        repos[1].server.heal();
        sandbox.patch(&["apply"]).applied(&["tb-beta 1.0 3.0"]);
    }
}

#[test]
fn a_source_that_trickles_from_the_start_costs_only_itself() {
    for (pattern, fault) in SLOW {
        let (sandbox, repos) = bench::three_with(pattern, fault);
        sandbox.write("/etc/apt/apt.conf.d/patient", bench::PATIENT);
        let refreshed = sandbox.patch(&["refresh", "--timeout", &budget(3)]);
        refreshed.exits(1).one_source_failed(3, &repos[1].url(), "timeout");
        refreshed.leaves_pending(&["tb-alpha 1.0 2.0", "tb-gamma 1.0 2.0"]);
        repos[1].server.heal();
        sandbox.patch(&["apply"]).applied(&["tb-alpha 1.0 2.0", "tb-beta 1.0 2.0", "tb-gamma 1.0 2.0"]);
    }
}

#[test]
fn an_interruption_is_no_verdict_and_what_was_done_counts() {
    for (signal, (pattern, fault)) in ["INT", "TERM", "INT", "HUP"].into_iter().zip(SLOW) {
        let (sandbox, repos) = three_with_news();
        repos[1].server.fault(pattern, fault);
        let before = sandbox.state();
        let asked = repos[1].server.requests(pattern);
        let running = sandbox.start(sandbox.patch_command(&["refresh"]));
        sandbox.wait_until("the slow file is asked for", || repos[1].server.requests(pattern) > asked);
        let done = "grep -Els 'tb-(alpha|gamma)_3.0' /var/lib/apt/lists/*_Packages /var/lib/apt/lists/partial/*_Packages | wc -l";
        sandbox.wait_until("the others are there", || sandbox.sh(done).trim() == "2");
        sandbox.signal(sandbox.patch_pid(), signal);
        let stopped = running.report();
        stopped.exits(2).says("/error/class", "interrupted").mentions("/error/message", &repos[1].url());
        for key in ["last_cache_update", "last_attempt", "last_update_error", "last_update_success"] {
            stopped.remembers(&format!("/{key}"), before[key].clone());
        }
        let earlier = before["last_cache_update"].clone();
        assert_eq!(last_success(&stopped, &repos[1]), earlier, "{stopped}");
        for good in [&repos[0], &repos[2]] {
            assert_ne!(last_success(&stopped, good), earlier, "{pattern} {fault:?}: {stopped}");
        }
        assert!(stopped.failed_sources().is_empty(), "{stopped}");
        sandbox.patch(&["status"]).exits(0).says("/cache_status", "fresh");
        sandbox.runs_nothing();
        repos[1].server.heal();
        sandbox.patch(&["refresh"]).exits(0).leaves_pending(&[
            "tb-alpha 1.0 3.0",
            "tb-beta 1.0 3.0",
            "tb-gamma 1.0 3.0",
        ]);
    }
}

#[test]
fn a_hook_that_hangs_is_named_and_no_source_is_blamed() {
    let (sandbox, _repos) = bench::three();
    sandbox.write("/etc/apt/apt.conf.d/hook", "APT::Update::Post-Invoke { \"sleep 600\"; };\n");
    for _ in 0..2 {
        let refreshed = sandbox.patch(&["refresh", "--timeout", &budget(3)]);
        refreshed.exits(1).says("/error/class", "timeout").mentions("/error/message", "hook");
        assert!(refreshed.failed_sources().is_empty(), "{refreshed}");
        assert!(!refreshed.stderr.contains("Packages"), "{refreshed}");
        sandbox.runs_nothing();
    }
    let words = sandbox.run(&["linux-patch", "status"]).stdout;
    assert!(words.starts_with("stale: every source was refreshed, but"), "{words}");
    let applied = sandbox.patch_with(&["apply"], &[("LINUX_PATCH_TIMEOUT", &*budget(3))]);
    applied.mentions("/reason", "the refresh did not end well");
    assert!(!applied.stderr.contains("0 of 3"), "{applied}");
    applied.exits(1).changed(&["tb-alpha 1.0 2.0", "tb-beta 1.0 2.0", "tb-gamma 1.0 2.0"]);
}
