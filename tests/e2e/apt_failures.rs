//! `refresh` and `apply` when the whole index cannot be had.

use crate::leisure::at_leisure;

use serde_json::Value;

use crate::bench;
use crate::deb::deb;
use crate::locks;
use crate::repo::{Claims, Repo, Validity};
use crate::sandbox::{Sandbox, is_newer};
use crate::server::Fault;
use crate::vault::Signer;

/// After a good refresh, `change` makes the next one fail for the reason `class`. What was known before is kept, and an
/// apply installs nothing.
#[track_caller]
fn fails_after_a_good_refresh(class: &str, change: impl FnOnce(&Sandbox, &Repo)) {
    let (sandbox, repo) = bench::pending_update();
    let good = sandbox.patch(&["refresh"]).exits(0).state["last_cache_update"].clone();
    assert!(good.is_string());
    bench::tick();
    change(&sandbox, &repo);
    sandbox
        .patch(&["refresh"])
        .refresh_failed(class)
        .remembers("/last_cache_update", good.clone())
        .says("/last_cache_update", good.clone())
        .remembers("/counters/refresh_failed_total", 1);
    sandbox.patch(&["status"]).exits(2).says("/cache_status", "failed");
    sandbox
        .patch(&["apply"])
        .apply_failed(class)
        .says("/retried", false)
        .changed(&[])
        .remembers("/last_cache_update", good)
        .remembers("/apply/last/outcome", "failed");
    sandbox.has_exactly(&["tb-hello 1.0"]);
    sandbox.runs_nothing();
}

/// The same with nothing known before.
#[track_caller]
fn fails_at_first(class: &str, change: impl FnOnce(&Sandbox, &Repo)) {
    let (sandbox, repo) = bench::pending_update();
    change(&sandbox, &repo);
    sandbox.patch(&["refresh"]).refresh_failed(class).remembers("/last_cache_update", Value::Null);
    sandbox.patch(&["apply"]).apply_failed(class).changed(&[]);
    sandbox.has_exactly(&["tb-hello 1.0"]);
}

fn claim(change: impl FnOnce(&mut Claims)) -> impl FnOnce(&Sandbox, &Repo) {
    move |_, repo| repo.publish_claiming(change, &[deb("tb-hello", "2.0")])
}

fn fault(pattern: &'static str, fault: Fault) -> impl FnOnce(&Sandbox, &Repo) {
    move |_, repo| repo.server.fault(pattern, fault)
}

#[test]
fn a_repository_that_is_gone_is_a_fetch_failure() {
    fails_after_a_good_refresh("fetch", fault("Release", Fault::Status(404)));
    fails_at_first("fetch", fault("Release", Fault::Status(404)));
}

#[test]
fn a_repository_that_is_overloaded_is_a_fetch_failure() {
    fails_after_a_good_refresh("fetch", fault("Release", Fault::Status(503)));
}

#[test]
fn a_refused_connection_is_a_network_failure() {
    fails_after_a_good_refresh("network", |sandbox, _| {
        sandbox.add_source_at("test", bench::REFUSED, "stable")
    });
}

#[test]
fn an_unknown_host_is_a_network_failure() {
    fails_at_first("network", |sandbox, _| {
        sandbox.add_source_at("test", bench::UNRESOLVABLE, "stable");
    });
}

#[test]
fn a_connection_closed_without_an_answer_is_a_network_failure() {
    fails_at_first("network", fault("Release", Fault::Close));
}

#[test]
fn an_index_that_does_not_match_its_hash_is_a_fetch_failure() {
    fails_at_first("fetch", fault("/Packages", Fault::Flip));
}

#[test]
fn an_index_that_changed_and_then_does_not_match_is_a_fetch_failure() {
    fails_after_a_good_refresh("fetch", |_, repo| {
        repo.publish(&[deb("tb-hello", "3.0")]);
        repo.server.fault("/Packages", Fault::Flip);
    });
}

#[test]
fn an_index_that_is_missing_from_its_repository_is_a_fetch_failure() {
    fails_at_first("fetch", fault("/Packages", Fault::Status(404)));
}

#[test]
fn a_truncated_index_is_a_fetch_failure() {
    fails_at_first("fetch", fault("/Packages", Fault::Short));
}

/// apt has one sentence for a Release file that came damaged and for one that it had no room to look at.
#[test]
fn a_release_file_that_came_damaged_is_a_fetch_failure_and_one_without_room_for_it_is_not() {
    for damage in [Fault::Short, Fault::Flip, Fault::Page] {
        fails_at_first("fetch", fault("InRelease", damage));
    }
    for (place, class) in [("size=4k,mode=1777", "space"), ("mode=700", "other")] {
        let (sandbox, _repo) = bench::pending_update();
        let fill = "head -c 8192 /dev/zero >/tmp/x || true";
        sandbox.sh(&format!("mount -t tmpfs -o {place} none /tmp; [ {class} = other ] || {fill}"));
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.refresh_failed(class).mentions("/error/message", "/tmp");
        sandbox.sh("umount /tmp");
        sandbox.patch(&["refresh"]).exits(0);
    }
}

/// apt looks at signatures as another user, who may start no process here.
#[test]
fn a_signature_that_could_not_be_looked_at_is_no_matter_of_keys() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.patch(&["refresh"]).exits(0);
    let mut command = sandbox.command("bash");
    command.args(["-c", "ulimit -u 1; exec linux-patch --format json refresh"]);
    sandbox.start(command).report().refresh_failed("other");
}

#[test]
fn keys_that_apt_does_not_use_are_told_with_the_reason() {
    for (spoil, words) in [
        ("chmod 600 $key", "not readable by user"),
        ("echo '<html>404</html>' >$key", "unsupported filetype"),
    ] {
        let (sandbox, repo) = bench::pending_update();
        sandbox.write(
            "/etc/apt/sources.list.d/test.list",
            format!("deb {} {} main\n", repo.url(), repo.suite()),
        );
        let key = "key=/etc/apt/trusted.gpg.d/test.gpg; cp /etc/apt/keyrings/test.gpg $key";
        sandbox.sh(key);
        sandbox.patch(&["refresh"]).exits(0);
        sandbox.sh(&format!("{key}; {spoil}; rm /var/lib/apt/lists/*Release"));
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.refresh_failed("auth").mentions("/error/message", words);
        refreshed.mentions("/error/message", "/etc/apt/trusted.gpg.d/test.gpg");
    }
}

#[test]
fn an_unknown_key_is_an_authentication_failure() {
    fails_at_first("auth", claim(|claims| claims.signer = Signer::Stranger));
}

#[test]
fn a_key_that_changed_is_an_authentication_failure_although_apt_goes_on() {
    // apt keeps the old lists, prints warnings and exits 0.
    fails_after_a_good_refresh("auth", claim(|claims| claims.signer = Signer::Stranger));
}

#[test]
fn a_missing_signature_is_an_authentication_failure() {
    fails_at_first("auth", claim(|claims| claims.signer = Signer::Nobody));
}

#[test]
fn an_expired_release_is_a_failure_of_the_clock() {
    fails_at_first("clock", claim(|claims| claims.validity = Validity::Expired));
}

#[test]
fn a_release_from_the_future_is_a_failure_of_the_clock() {
    fails_after_a_good_refresh("clock", claim(|claims| claims.validity = Validity::NotYet));
}

#[test]
fn a_repository_that_changed_its_label_is_not_fresh() {
    let (sandbox, repo) = bench::pending_update();
    sandbox.patch(&["refresh"]).exits(0);
    repo.publish_claiming(|claims| claims.label = "Somebody else".into(), &[deb("tb-hello", "3.0")]);
    sandbox.patch(&["refresh"]).exits(2).remembers("/last_update_success", false);
    let error = sandbox.state()["last_update_error"]["message"].to_string();
    assert!(error.contains("Label"), "{error}");
    sandbox.patch(&["apply"]).exits(2);
    sandbox.has_exactly(&["tb-hello 1.0"]);
}

#[test]
fn no_source_at_all_is_never_fresh() {
    fails_at_first("config", |sandbox, _| {
        sandbox.sh("rm /etc/apt/sources.list.d/test.list");
    });
}

#[test]
fn a_malformed_source_is_a_failure_of_the_configuration() {
    fails_after_a_good_refresh("config", |sandbox, _| {
        sandbox.write("/etc/apt/sources.list.d/broken.list", "deb http://127.88.0.1:1\n");
    });
}

#[test]
fn a_full_disk_under_the_index_is_no_fetch_failure() {
    fails_at_first("space", |sandbox, repo| {
        sandbox.sh("mount -t tmpfs -o size=32k full /var/lib/apt/lists; mkdir -p /var/lib/apt/lists/partial");
        repo.publish(&[deb("tb-hello", "2.0").field("Comment", &"x".repeat(100_000))]);
    });
}

/// The budget is used up while data still trickles in or nothing comes at all.
#[track_caller]
fn times_out(fault: Fault) {
    let (sandbox, repo) = bench::pending_update();
    repo.server.fault("/InRelease", fault);
    let report = sandbox.patch(&["refresh", "--timeout", "3s"]);
    report.refresh_failed("timeout");
    assert!(report.elapsed < at_leisure(10), "{report}");
    sandbox.runs_nothing();
    assert!(locks::is_free(&sandbox, locks::LISTS));
}

#[test]
fn a_hung_mirror_costs_no_more_than_the_budget() {
    times_out(Fault::Hang);
}

#[test]
fn a_trickling_mirror_costs_no_more_than_the_budget() {
    times_out(Fault::Trickle(5));
}

#[test]
fn a_hung_mirror_does_not_hold_up_an_apply_for_ever() {
    let (sandbox, repo) = bench::pending_update();
    repo.server.fault("/InRelease", Fault::Hang);
    let report = sandbox.patch_with(&["apply"], &[("LINUX_PATCH_TIMEOUT", "3s")]);
    report.apply_failed("timeout").changed(&[]);
    assert!(report.elapsed < at_leisure(10), "{report}");
    sandbox.runs_nothing();
}

/// None of our own command lines makes the solver of apt 3 give up, so its words come from another one.
#[test]
fn what_a_solver_says_that_finds_no_way_is_of_class_dependency() {
    let new = deb("tb-hello", "2.0").field("Depends", "tb-none");
    let (sandbox, _repo) = bench::one(&[deb("tb-hello", "1.0")], &[new]);
    let words = "case \"$*\" in *' -s '*) exec /usr/bin/apt-get -s install tb-hello;; esac; exec /usr/bin/apt-get \"$@\"";
    sandbox.write_script("/usr/local/bin/apt-get", words);
    let refreshed = sandbox.patch(&["refresh"]);
    refreshed
        .exits(1)
        .remembers("/pending/count", Value::Null)
        .remembers("/pending/error/class", "dependency");
    let told = refreshed.state["pending"]["error"]["message"].to_string();
    let expected = if is_newer() { "Reached two conflicting" } else { "held broken packages" };
    assert!(told.contains(expected), "{refreshed}");
}
