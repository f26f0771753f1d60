//! What dnf 4 and dnf 5 do alike, with the real ones.

use crate::leisure::at_leisure;
use std::time::Duration;

use serde_json::Value;

use crate::locks;
use crate::rpm::{Root, Rpm, RpmRepo, contested, one_in, rpm, three_in};
use crate::server::Fault;

/// Each of these in a root of dnf 4 and in one of dnf 5.
macro_rules! with_both {
    ($($test:ident),* $(,)?) => {
        mod dnf {
            $(#[test] fn $test() { super::$test(crate::rpm::Root::new); })*
        }
        mod dnf5 {
            $(#[test] fn $test() { super::$test(crate::dnf5::root); })*
        }
    };
}

with_both! {
    named_and_excluded_packages_decide_what_is_installed,
    an_excluded_package_is_not_replaced_and_a_named_one_is,
    what_is_not_named_is_neither_updated_nor_replaced,
    an_old_version_whose_script_keeps_it_is_told_with_what_takes_it_away,
    full_removes_what_is_in_the_way_and_obsoletes_need_no_full,
    one_repository_of_three_down_is_partial_whatever_skip_if_unavailable_says,
    an_index_that_is_swapped_under_the_refresh_is_a_fetch_error_and_heals,
    what_a_repository_owns_by_priority_stays_as_it_is_while_that_is_down,
    a_repository_that_is_down_decides_nothing_by_the_height_of_its_versions_alone,
    a_security_update_comes_though_a_repository_that_is_down_has_a_newer_version,
    what_needs_a_package_of_a_repository_that_is_down_stays_too_and_the_others_come,
    a_package_of_a_module_stays_as_it_is_while_the_repository_of_that_is_down,
    a_repository_that_was_never_reached_stops_no_other,
    what_came_from_a_preferred_repository_stays_while_no_index_of_that_is_here,
    security_updates_are_counted_and_an_advisory_that_comes_later_too,
    rpms_own_lock_is_waited_for_and_its_holder_named,
    rpms_own_lock_that_is_never_freed_ends_the_run_in_time,
    a_mirror_that_hangs_ends_within_the_budget_and_leaves_the_others_refreshed,
    a_list_of_mirrors_that_hangs_leaves_the_others_refreshed,
    what_needs_a_new_package_that_cannot_be_installed_is_held_back_with_it,
    a_repository_without_a_place_that_can_be_one_costs_only_itself,
    a_setting_that_the_downloader_refuses_costs_only_its_repository,
    a_repository_at_which_dnf_crashes_costs_only_itself,
    what_the_configuration_excludes_is_held_back_and_not_forgotten,
    what_is_held_back_is_no_security_update_only_where_advisories_tell,
    an_older_version_of_a_repository_that_is_down_does_not_come_for_what_is_excluded,
    what_an_impossible_update_would_replace_is_updated,
    what_was_not_chosen_does_not_come_for_what_is_left_out,
    a_setting_with_which_nothing_is_installed_is_named,
    a_setting_that_makes_dnf_look_after_another_system_is_named,
    a_crash_in_mid_install_is_told_without_what_has_nothing_to_do_with_it,
    no_update_brings_an_older_version_of_another_package,
    what_an_older_version_would_replace_stays,
    what_is_new_comes_with_what_needs_it_where_only_some_sources_are_chosen,
}

/// dnf fails over the name of a package that is not installed.
fn what_is_new_comes_with_what_needs_it_where_only_some_sources_are_chosen(make: fn(&[Rpm]) -> Root) {
    let app = || rpm("tb-app", "2.0").tag("Requires: tb-new");
    for (of_one, of_other, comes) in [
        (
            vec![app(), rpm("tb-new", "1.0")],
            vec![rpm("tb-hello", "2.0")],
            &["tb-app 1.0-1 2.0-1", "tb-new - 1.0-1"][..],
        ),
        (vec![rpm("tb-new", "1.0")], vec![app(), rpm("tb-hello", "2.0")], &[]),
    ] {
        let (root, _one) = one_in(make(&[rpm("tb-app", "1.0"), rpm("tb-hello", "1.0")]), &of_one);
        let other = RpmRepo::new(&of_other);
        root.add_repo("other", &other);
        root.patch(&["apply", "--from", "test"]).exits(0).changed(comes);
    }
}

fn no_update_brings_an_older_version_of_another_package(make: fn(&[Rpm]) -> Root) {
    let (root, _repo) = one_in(
        make(&[rpm("tb-app", "1.0"), rpm("tb-lib", "2.0"), rpm("tb-hello", "1.0")]),
        &[rpm("tb-app", "2.0").tag("Requires: tb-lib = 1.0"), rpm("tb-lib", "1.0"), rpm("tb-hello", "2.0")],
    );
    root.patch(&["apply"]).exits(0).changed(&["tb-hello 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-app 1.0", "tb-hello 2.0", "tb-lib 2.0"]);
}

/// Its newer version is installed, and replaces nothing.
fn what_an_older_version_would_replace_stays(make: fn(&[Rpm]) -> Root) {
    let (root, _repo) = one_in(
        make(&[rpm("tb-c", "1.0"), rpm("tb-z", "3.0"), rpm("tb-hello", "1.0")]),
        &[rpm("tb-z", "3.0").tag("Obsoletes: tb-older"), rpm("tb-c", "1.0"), rpm("tb-hello", "2.0")],
    );
    let other = RpmRepo::new(&[rpm("tb-z", "2.0").tag("Obsoletes: tb-c")]);
    root.add_repo("other", &other);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply"]).exits(0).changed(&["tb-hello 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-c 1.0", "tb-hello 2.0", "tb-z 3.0"]);
}

fn a_setting_that_the_downloader_refuses_costs_only_its_repository(make: fn(&[Rpm]) -> Root) {
    let (root, repo) = one_in(make(&[rpm("tb-hello", "1.0")]), &[rpm("tb-hello", "2.0")]);
    let url = repo.server.url();
    let tls = url.replace("http:", "https:");
    let place = format!("baseurl={url}");
    for lines in [
        format!("{place}\nproxy_username=me"),
        format!("{place}\nmax_parallel_downloads=99"),
        format!("{place}\nproxy=foo://127.0.0.1:9/"),
        format!("{place}\nproxy=nonsense:port"),
        "baseurl=http://[::1/".to_string(),
        "baseurl=http://127.0.0.1:9/ b/".to_string(),
        format!("baseurl={tls}\nsslcacert=/nonexistent"),
        format!("baseurl={tls}\nsslclientcert=/nonexistent\nsslverify=0"),
    ] {
        root.sandbox.write("/etc/yum.repos.d/bad.repo", format!("[bad]\nname=bad\n{lines}\n"));
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(2, "bad", "config").leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    }
    root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
}

/// librepo does not expect it, in both managers.
fn a_repository_at_which_dnf_crashes_costs_only_itself(make: fn(&[Rpm]) -> Root) {
    let (root, repo) = one_in(make(&[rpm("tb-hello", "1.0")]), &[rpm("tb-hello", "2.0")]);
    for name in ["a-bad", "z-bad"] {
        root.sandbox.write(
            &format!("/etc/yum.repos.d/{name}.repo"),
            format!("[{name}]\nname=x\nmetalink=nonsense\n"),
        );
    }
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    let failed = ["a-bad", "z-bad"].map(|id| (id.to_string(), "other".to_string()));
    let mut found = refreshed.failed_sources();
    found.sort();
    assert_eq!(found, failed, "{refreshed}");
    assert!(refreshed.json["reason"].as_str().unwrap().contains("crashed"), "{refreshed}");
    repo.publish(&[rpm("tb-hello", "3.0")]);
    root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 3.0-1"]);
}

fn named_and_excluded_packages_decide_what_is_installed(make: fn(&[Rpm]) -> Root) {
    let old = ["tb-a", "tb-b", "tb-c"].map(|name| rpm(name, "1.0"));
    let new = [rpm("tb-a", "2.0").tag("Requires: tb-b >= 2.0"), rpm("tb-b", "2.0"), rpm("tb-c", "2.0")];
    let (root, _repo) = one_in(make(&old), &new);
    root.patch(&["apply", "tb-a", "--exclude", "tb-b"]).apply_failed("dependency").changed(&[]);
    root.patch(&["apply", "--dry-run", "--exclude", "tb-c"])
        .exits(0)
        .changed(&["tb-a 1.0-1 2.0-1", "tb-b 1.0-1 2.0-1"]);
    root.patch(&["apply", "tb-a"]).applied(&["tb-a 1.0-1 2.0-1", "tb-b 1.0-1 2.0-1"]);
    root.patch(&["apply", "--exclude", "tb-*"]).applied(&[]).leaves_pending(&["tb-c 1.0-1 2.0-1"]);
    root.patch(&["apply", "tb-c.noarch"]).applied(&["tb-c 1.0-1 2.0-1"]);
    root.patch(&["apply", "tb-unknown"]).apply_failed("dependency");
    root.patch(&["apply", "@core"]).exits(3);
}

fn what_is_not_named_is_neither_updated_nor_replaced(make: fn(&[Rpm]) -> Root) {
    let (old, new) = contested();
    let (root, _repo) = one_in(make(&old), &new);
    root.patch(&["apply", "tb-b"]).applied(&["tb-b 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-a 1.0", "tb-b 2.0", "tb-c 1.0"]);
    root.patch(&["apply", "tb-c", "--full"]).applied(&["tb-c 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-a 1.0", "tb-b 2.0", "tb-c 2.0"]);
}

fn an_old_version_whose_script_keeps_it_is_told_with_what_takes_it_away(make: fn(&[Rpm]) -> Root) {
    let old = [crate::dnf::shell(), rpm("tb-a", "1.0").tag("%preun\nexit 1")];
    let (root, _repo) = one_in(make(&old), &[rpm("tb-a", "2.0")]);
    root.patch(&["apply"]).exits(2);
    let told = root.patch(&["apply"]);
    told.exits(2);
    let words = told.json["error"]["message"].as_str().unwrap_or_default().to_string();
    let command = words.split('`').nth(1).unwrap_or_else(|| panic!("nothing to do is said: {told}"));
    assert!(command.starts_with("rpm -e ") && command.contains("tb-a-1.0-1.noarch"), "{told}");
    root.sandbox.sh(command);
    assert_eq!(root.sandbox.sh("rpm -q tb-a").trim(), "tb-a-2.0-1.noarch");
    root.patch(&["apply"]).applied(&[]);
    root.patch(&["status"]).exits(0).says("/apply_interrupted", false);
}

fn an_excluded_package_is_not_replaced_and_a_named_one_is(make: fn(&[Rpm]) -> Root) {
    let (old, new) = contested();
    let (root, _repo) = one_in(make(&old), &new);
    root.patch(&["apply", "--exclude", "tb-a", "--exclude", "tb-c"]).applied(&["tb-b 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-a 1.0", "tb-b 2.0", "tb-c 1.0"]);
    let applied = root.patch(&["apply", "tb-a"]);
    applied.exits(0);
    let changed = applied.json["packages"].to_string();
    assert!(changed.contains("tb-new") && changed.contains("tb-a") && !changed.contains("tb-c"), "{applied}");
    root.patch(&["apply"]).applied(&["tb-c 1.0-1 2.0-1"]);
}

fn full_removes_what_is_in_the_way_and_obsoletes_need_no_full(make: fn(&[Rpm]) -> Root) {
    let old = [rpm("tb-hello", "1.0"), rpm("tb-old", "1.0"), rpm("tb-obs", "1.0")];
    let new =
        [rpm("tb-hello", "2.0").tag("Conflicts: tb-old"), rpm("tb-new", "1.0").tag("Obsoletes: tb-obs")];
    let (root, _repo) = one_in(make(&old), &new);
    root.patch(&["apply"]).applied(&["tb-new - 1.0-1", "tb-obs 1.0-1 -"]);
    root.patch(&["apply", "--full"]).applied(&["tb-hello 1.0-1 2.0-1", "tb-old 1.0-1 -"]);
}

fn one_repository_of_three_down_is_partial_whatever_skip_if_unavailable_says(make: fn(&[Rpm]) -> Root) {
    for more in ["skip_if_unavailable=0\n", "skip_if_unavailable=1\n"] {
        let (root, repos) = three_in(make(&[]), more);
        root.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
        repos[1].server.fault("/repodata", Fault::Status(404));
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(3, "beta", "fetch").remembers("/pending/count", 2);
        let applied = root.patch(&["apply"]);
        applied.exits(1).changed(&["tb-alpha 1.0-1 2.0-1", "tb-gamma 1.0-1 2.0-1"]);
        root.has_exactly(&["tb-alpha 2.0", "tb-beta 1.0", "tb-gamma 2.0"]);
        // The count afterwards does not use the old index of the repository that is down.
        applied.leaves_pending(&[]);
        root.patch(&["apply", "--strict"]).exits(2).changed(&[]);
    }
}

fn an_index_that_is_swapped_under_the_refresh_is_a_fetch_error_and_heals(make: fn(&[Rpm]) -> Root) {
    let (root, repo) = one_in(make(&[rpm("tb-hello", "1.0")]), &[rpm("tb-hello", "2.0")]);
    repo.publish_before("-primary", 1, &[rpm("tb-hello", "3.0")]);
    root.patch(&["refresh"]).refresh_failed("fetch");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 3.0-1"]);
}

fn a_mirror_that_hangs_ends_within_the_budget_and_leaves_the_others_refreshed(make: fn(&[Rpm]) -> Root) {
    let (root, repos) = three_in(make(&[]), "");
    repos[0].server.fault("/repodata", Fault::Hang);
    // With 30 s and more, it would be waited for longer.
    let refreshed = root.patch(&["refresh", "--timeout", "29s"]);
    refreshed.exits(1).one_source_failed(3, "alpha", "network");
    assert!(refreshed.elapsed < at_leisure(26), "{refreshed}");
    // dnf 5 may be done with the others in that time, where these answer.
    repos.iter().for_each(|repo| repo.server.fault("/repodata", Fault::Hang));
    let refreshed = root.patch(&["refresh", "--timeout", "2s"]);
    refreshed.refresh_failed("timeout");
    assert!(refreshed.elapsed < at_leisure(9), "{refreshed}");
    root.sandbox.runs_nothing();
}

fn a_list_of_mirrors_that_hangs_leaves_the_others_refreshed(make: fn(&[Rpm]) -> Root) {
    for setting in ["metalink", "mirrorlist"] {
        let (root, repos) = three_in(make(&[]), "");
        root.patch(&["refresh"]).exits(0);
        let url = repos[1].server.url();
        let text = format!("[beta]\nname=beta\n{setting}={url}/list\ngpgcheck=0\n");
        root.sandbox.write("/etc/yum.repos.d/beta.repo", text);
        repos[1].server.fault("/list", Fault::Hang);
        let refreshed = root.patch(&["refresh", "--timeout", "29s"]);
        refreshed.exits(1).one_source_failed(3, "beta", "network");
        // As the man page says of dnf.
        assert!(root.manager == "dnf5" || repos[1].server.requests("/list") == 12, "{refreshed}");
    }
}

fn security_updates_are_counted_and_an_advisory_that_comes_later_too(make: fn(&[Rpm]) -> Root) {
    let (root, repo) = one_in(make(&[rpm("tb-sec", "1.0"), rpm("tb-hello", "1.0")]), &[]);
    root.patch(&["refresh"]).exits(0);
    let new = [rpm("tb-sec", "2.0"), rpm("tb-hello", "2.0")];
    repo.publish(&new);
    root.patch(&["refresh"])
        .exits(0)
        .remembers("/pending/count", 2)
        .remembers("/pending/security", Value::Null);
    repo.publish_with_advisory("security", &new);
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 2).remembers("/pending/security", 1);
    root.patch(&["apply", "--security"])
        .applied(&["tb-sec 1.0-1 2.0-1"])
        .leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    // Every advisory is installed, and what is left is none.
    root.patch(&["apply", "--security"]).applied(&[]).remembers("/pending/security", 0);
    // Without any advisory nobody can tell: installing nothing would look like success.
    repo.publish(&new);
    let refused = root.patch(&["apply", "--security"]);
    refused.exits(3).mentions("/reason", "cannot tell security updates").changed(&[]);
    root.patch(&["status"]).exits(0);
    // One that is down may have some.
    root.add_repo_with("down", "http://127.0.0.1:9/", "");
    root.patch(&["apply", "--security"]).apply_failed("config").mentions("/reason", "not refreshed: down");
}

fn what_the_configuration_excludes_is_held_back_and_not_forgotten(make: fn(&[Rpm]) -> Root) {
    let names = ["tb-sec", "tb-of-repo", "tb-hello", "tb-new"];
    let old: Vec<_> = names[..3].iter().map(|name| rpm(name, "1.0")).collect();
    let (root, repo) = one_in(make(&old), &[]);
    repo.publish_with_advisory("security", &names.map(|name| rpm(name, "2.0")));
    let other = RpmRepo::new(&[rpm("tb-of-repo", "1.5")]);
    root.add_repo("other", &other);
    root.sandbox.sh("grep -q main /etc/dnf/dnf.conf || echo '[main]' >>/etc/dnf/dnf.conf
        echo 'exclude=tb-s* tb-new' >>/etc/dnf/dnf.conf
        echo excludepkgs=tb-of-repo >>/etc/yum.repos.d/test.repo");
    let held = ["tb-sec 1.0-1 2.0-1 held"];
    let seen = root.patch(&["refresh"]).exits(0).holds_back(&held).state["pending"].clone();
    assert_eq!(seen["count"], 2, "{seen}");
    let told = root.patch(&["status", "--alert", "held-back:1"]);
    assert_eq!(told.exits(1).json["pending"]["held_back_security"], 1, "{told}");
    // What is excluded for one repository comes from the other.
    let both = ["tb-hello 1.0-1 2.0-1", "tb-of-repo 1.0-1 1.5-1"];
    root.patch(&["apply"]).exits(0).applied(&both).holds_back(&held);
    root.patch(&["apply", "--full"]).applied(&[]).holds_back(&held);
    root.patch(&["apply", "--security"]).applied(&[]).holds_back(&held);
    root.sandbox.sh("sed -i /exclude/d /etc/dnf/dnf.conf /etc/yum.repos.d/test.repo");
    root.patch(&["apply"]).applied(&["tb-of-repo 1.5-1 2.0-1", "tb-sec 1.0-1 2.0-1"]).holds_back(&[]);
}

/// Only where tb-y is left out, whose newer version it needs, tb-x would come in an older version: from a repository that
/// is down.
fn an_older_version_of_a_repository_that_is_down_does_not_come_for_what_is_excluded(
    make: fn(&[Rpm]) -> Root,
) {
    let root = make(&["tb-x", "tb-y", "tb-hello"].map(|name| rpm(name, "1.0")));
    let needing = rpm("tb-x", "3.0").tag("Requires: tb-y >= 3.0");
    let good = RpmRepo::new(&[needing, rpm("tb-y", "3.0"), rpm("tb-hello", "2.0")]);
    let down = RpmRepo::new(&[rpm("tb-x", "2.0")]);
    root.add_repo("good", &good);
    root.add_repo("down", &down);
    root.patch(&["refresh"]).exits(0);
    down.server.fault("/", Fault::Status(503));
    root.patch(&["apply", "--exclude", "tb-y"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
    down.server.heal();
    root.patch(&["apply", "--exclude", "tb-y"]).applied(&["tb-x 1.0-1 2.0-1"]);
}

/// It has a file of another package, and is all that is pending.
fn what_an_impossible_update_would_replace_is_updated(make: fn(&[Rpm]) -> Root) {
    let file = |rpm: Rpm, content: &str| rpm.file("", "/usr/share/tb-file", content);
    let vendor = file(rpm("tb-vendor", "5.0").tag("Obsoletes: tb-server"), "another");
    let (root, _repo) = one_in(
        make(&[rpm("tb-server", "1.0"), file(rpm("tb-file", "1.0"), "one")]),
        &[rpm("tb-server", "2.0"), vendor],
    );
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-vendor - 5.0-1"]);
    // Nobody chose that version.
    root.patch(&["apply", "--from", "test", "--min-age", "0s"]).exits(0).changed(&[]);
    root.patch(&["apply"]).exits(0).changed(&["tb-server 1.0-1 2.0-1"]);
}

/// Of two that conflict one is held back, and could come where a choice leaves out the other.
fn what_was_not_chosen_does_not_come_for_what_is_left_out(make: fn(&[Rpm]) -> Root) {
    let root = make(&["tb-a", "tb-b", "tb-sec"].map(|name| rpm(name, "1.0")));
    let repo = RpmRepo::new(&[]);
    let foe = rpm("tb-a", "2.0").tag("Conflicts: tb-b >= 2.0");
    repo.publish_with_advisory("security", &[rpm("tb-sec", "2.0"), foe, rpm("tb-b", "2.0")]);
    root.add_repo("test", &repo);
    let refreshed = root.patch(&["refresh"]);
    assert_eq!(refreshed.exits(0).state["pending"]["count"], 2, "{refreshed}");
    for choice in [&["--security"][..], &["tb-sec"]] {
        let planned = root.patch(&[&["apply", "--dry-run"], choice].concat());
        planned.exits(0).changed(&["tb-sec 1.0-1 2.0-1"]);
    }
    root.patch(&["apply", "--security"]).exits(0).changed(&["tb-sec 1.0-1 2.0-1"]);
}

fn what_is_held_back_is_no_security_update_only_where_advisories_tell(make: fn(&[Rpm]) -> Root) {
    let (root, repo) = one_in(make(&["tb-a", "tb-b"].map(|name| rpm(name, "1.0"))), &[rpm("tb-a", "2.0")]);
    root.sandbox.sh("grep -q main /etc/dnf/dnf.conf || echo '[main]' >>/etc/dnf/dnf.conf
        echo 'exclude=tb-a' >>/etc/dnf/dnf.conf");
    for (is_told, code) in [(false, 3), (true, 0)] {
        if is_told {
            repo.publish_with_advisories(
                &[("TB-1", "security", "tb-b", "1.0")],
                &[rpm("tb-a", "2.0"), rpm("tb-b", "1.0")],
            );
        }
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(0).holds_back(&["tb-a 1.0-1 2.0-1 held"]);
        root.patch(&["status", "--alert", "security"]).exits(code);
        let security = &refreshed.state["pending"]["held_back"][0]["security"];
        assert_eq!(security.as_bool(), is_told.then_some(false), "{refreshed}");
    }
}

const RPMS_LOCK: &str = "/var/lib/rpm/.rpm.lock";

fn rpms_own_lock_is_waited_for_and_its_holder_named(make: fn(&[Rpm]) -> Root) {
    let (root, _repo) = one_in(make(&[rpm("tb-hello", "1.0")]), &[rpm("tb-hello", "2.0")]);
    let (holder, pid) = locks::hold(&root.sandbox, RPMS_LOCK, Duration::from_secs(80));
    let running = root.start(&["apply"]);
    running.wait_to_hear(&format!("process {pid} (perl"));
    root.sandbox.signal(pid, "KILL");
    holder.wait();
    running.report().applied(&["tb-hello 1.0-1 2.0-1"]).says("/retried", false);
}

fn rpms_own_lock_that_is_never_freed_ends_the_run_in_time(make: fn(&[Rpm]) -> Root) {
    let (root, _repo) = one_in(make(&[rpm("tb-hello", "1.0")]), &[rpm("tb-hello", "2.0")]);
    let (_holder, pid) = locks::hold(&root.sandbox, RPMS_LOCK, Duration::from_secs(80));
    let applied = root.patch(&["apply", "--wait", "2s"]);
    applied.apply_failed("lock").mentions("/error/message", &format!("process {pid}")).changed(&[]);
}

/// Vendor has the better priority and decides about tb-own, which replaces another package. The other repository has a
/// higher version of tb-own, an update of tb-hello, and packages that obsolete vendor's.
fn owned(root: &Root) -> [RpmRepo; 2] {
    let vendor = RpmRepo::new(&[rpm("tb-own", "1.1"), rpm("tb-obs", "1.0")]);
    let other = RpmRepo::new(&[
        rpm("tb-own", "9.0"),
        rpm("tb-hello", "2.0"),
        rpm("tb-new", "1.0").tag("Obsoletes: tb-obs"),
        rpm("tb-newer", "1.0").tag("Obsoletes: tb-own"),
    ]);
    root.add_repo_with("vendor", &vendor.server.url(), "priority=1\n");
    root.add_repo("other", &other);
    [vendor, other]
}

fn what_a_repository_owns_by_priority_stays_as_it_is_while_that_is_down(make: fn(&[Rpm]) -> Root) {
    for vendors_own in ["1.1", "1.2"] {
        let root = make(&[rpm("tb-own", "1.1"), rpm("tb-obs", "1.0"), rpm("tb-hello", "1.0")]);
        let [vendor, _other] = owned(&root);
        vendor.publish(&[rpm("tb-own", vendors_own), rpm("tb-obs", "1.0")]);
        root.patch(&["refresh"]).exits(0);
        vendor.server.fault("/", Fault::Status(503));
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(2, "vendor", "fetch").leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        let held = refreshed.state["pending"]["held_back"].to_string();
        assert!(held.contains("\"tb-newer\"") && held.contains("\"tb-new\""), "{refreshed}");
        for narrower in [["--exclude", "tb-newer"], ["--from", "other"]] {
            let planned = root.patch(&[&["apply", "--dry-run"], &narrower[..]].concat());
            planned.exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
        }
        let applied = root.patch(&["apply"]);
        applied.exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
        assert!(applied.stderr.contains("tb-newer stays as it is (fetch: "), "{applied}");
        root.has_exactly(&["tb-hello 2.0", "tb-obs 1.0", "tb-own 1.1"]);
        vendor.server.heal();
        let back = if vendors_own == "1.1" { &[][..] } else { &["tb-own 1.1-1 1.2-1"] };
        root.patch(&["refresh"]).exits(0).leaves_pending(back).holds_back(&[]);
        root.patch(&["apply"]).applied(back);
    }
}

/// What the administrator excludes from it stays so.
fn a_repository_that_is_down_decides_nothing_by_the_height_of_its_versions_alone(make: fn(&[Rpm]) -> Root) {
    let names = ["tb-a", "tb-b", "tb-c", "tb-own"];
    let at = |version: &str| names[..3].iter().map(|name| rpm(name, version)).collect::<Vec<_>>();
    // How it counts, and what it updates once it is back.
    for (priority, from) in [("", Some("2.0")), ("priority=100\n", None), ("priority=98\n", Some("1.0"))] {
        let root = make(&names.map(|name| rpm(name, "1.0")));
        let vendor = RpmRepo::new(&[&at("3.0")[..], &[rpm("tb-own", "3.0")]].concat());
        let other = RpmRepo::new(&at("2.0"));
        root.add_repo_with("vendor", &vendor.server.url(), &format!("excludepkgs=tb-c\n{priority}"));
        root.add_repo("other", &other);
        // Behind what is not taken from the first there is what a second one has.
        let second = RpmRepo::new(&at("2.5"));
        if priority.is_empty() {
            root.add_repo("second", &second);
        }
        root.patch(&["refresh"]).exits(0).remembers("/pending/count", 4);
        [&vendor, &second].iter().for_each(|repo| repo.server.fault("/", Fault::Status(503)));
        let all = ["tb-a 1.0-1 2.0-1", "tb-b 1.0-1 2.0-1", "tb-c 1.0-1 2.0-1"];
        let coming = if from == Some("1.0") { &all[2..] } else { &all };
        root.patch(&["refresh"]).exits(1).leaves_pending(coming);
        root.patch(&["apply"]).exits(1).changed(coming);
        [&vendor, &second].iter().for_each(|repo| repo.server.heal());
        let of_both = |from: &str| ["tb-a", "tb-b"].map(|name| format!("{name} {from}-1 3.0-1"));
        let mut later: Vec<_> = from.map(of_both).into_iter().flatten().collect();
        later.extend(priority.is_empty().then(|| "tb-c 2.0-1 2.5-1".to_string()));
        later.push("tb-own 1.0-1 3.0-1".to_string());
        root.patch(&["apply"]).applied(&later.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

fn a_security_update_comes_though_a_repository_that_is_down_has_a_newer_version(make: fn(&[Rpm]) -> Root) {
    let (root, repo) = one_in(make(&[rpm("tb-sec", "1.0"), rpm("tb-hello", "1.0")]), &[]);
    repo.publish_with_advisory("security", &[rpm("tb-sec", "2.0"), rpm("tb-hello", "2.0")]);
    let vendor = RpmRepo::new(&[rpm("tb-sec", "3.0")]);
    root.add_repo("vendor", &vendor);
    root.patch(&["refresh"]).exits(0).remembers("/pending/security", 1);
    vendor.server.fault("/", Fault::Status(503));
    root.patch(&["refresh"]).exits(1).remembers("/pending/security", 1);
    root.patch(&["apply", "--security"]).exits(1).changed(&["tb-sec 1.0-1 2.0-1"]);
    root.patch(&["apply", "--security"]).exits(1).changed(&[]).remembers("/pending/security", 0);
}

fn what_needs_a_package_of_a_repository_that_is_down_stays_too_and_the_others_come(make: fn(&[Rpm]) -> Root) {
    let root = make(&[rpm("tb-own", "1.0"), rpm("tb-needs", "1.0"), rpm("tb-hello", "1.0")]);
    let vendor = RpmRepo::new(&[rpm("tb-own", "2.0")]);
    let other =
        RpmRepo::new(&[rpm("tb-needs", "2.0").tag("Requires: tb-own >= 2.0"), rpm("tb-hello", "2.0")]);
    root.add_repo("vendor", &vendor);
    root.add_repo("other", &other);
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
    vendor.server.fault("/", Fault::Close);
    let applied = root.patch(&["apply"]);
    applied.exits(1).changed(&["tb-hello 1.0-1 2.0-1"]).leaves_pending(&[]);
    assert_eq!(vendor.server.requests("/tb-hello-"), 0);
    applied.holds_back(&[
        "tb-needs 1.0-1 2.0-1 its dependencies cannot be met",
        "tb-own 1.0-1 2.0-1 its repository was not refreshed",
    ]);
}

/// No repository without modules replaces what a module decides about, however high its version.
fn a_package_of_a_module_stays_as_it_is_while_the_repository_of_that_is_down(make: fn(&[Rpm]) -> Root) {
    for (is_default, has_index) in [(false, true), (true, true), (false, false)] {
        let root = make(&[rpm("tb-own", "1.0"), rpm("tb-hello", "1.0")]);
        // Only dnf 4 keeps a copy of what the module says elsewhere too.
        if !has_index && root.manager == "dnf5" {
            continue;
        }
        root.sandbox
            .sh("mkdir -p /etc/dnf; echo '[main]\nmodule_platform_id=platform:el9' >/etc/dnf/dnf.conf");
        let modular = RpmRepo::new(&[]);
        modular.publish_module(&[rpm("tb-own", "1.0")], is_default);
        let other = RpmRepo::new(&[
            rpm("tb-own", "9.0"),
            rpm("tb-hello", "2.0"),
            rpm("tb-new", "1.0").tag("Obsoletes: tb-own"),
        ]);
        root.add_repo("modular", &modular);
        root.add_repo("other", &other);
        if !is_default {
            root.sandbox.sh(&format!("{} -y module enable tb-mod:1", root.manager));
        }
        other.publish(&[rpm("tb-own", "9.0"), rpm("tb-hello", "2.0")]);
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        if !has_index {
            root.sandbox.sh("rm -rf /var/cache/dnf/* /var/cache/libdnf5/*");
        }
        modular.server.fault("/", Fault::Status(503));
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(2, "modular", "fetch").leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
        root.has_exactly(&["tb-hello 2.0", "tb-own 1.0"]);
        modular.server.heal();
        modular.publish_module(&[rpm("tb-own", "1.1")], is_default);
        root.patch(&["apply"]).applied(&["tb-own 1.0-1 1.1-1"]);
    }
}

fn a_repository_that_was_never_reached_stops_no_other(make: fn(&[Rpm]) -> Root) {
    for more in ["", "skip_if_unavailable=0\n", "priority=1\n"] {
        let (root, repos) = three_in(make(&[]), more);
        repos[1].server.fault("/repodata", Fault::Status(404));
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(3, "beta", "fetch").remembers("/pending/count", 2);
        root.patch(&["apply", "--from", "alpha"]).exits(1).changed(&["tb-alpha 1.0-1 2.0-1"]);
        // Nor does it hide what is excluded.
        root.sandbox.sh("mkdir -p /etc/dnf; echo '[main]\nexcludepkgs=tb-gamma' >/etc/dnf/dnf.conf");
        root.patch(&["refresh"]).holds_back(&["tb-gamma 1.0-1 2.0-1 held"]);
        root.sandbox.sh("rm /etc/dnf/dnf.conf");
        root.patch(&["apply"]).exits(1).changed(&["tb-gamma 1.0-1 2.0-1"]).leaves_pending(&[]);
        repos[1].server.heal();
        root.patch(&["apply"]).applied(&["tb-beta 1.0-1 2.0-1"]);
    }
}

/// Where a typing error is in its new address, or its index was removed and it is down.
fn what_came_from_a_preferred_repository_stays_while_no_index_of_that_is_here(make: fn(&[Rpm]) -> Root) {
    const FORGET: &str = "rm -rf /var/cache/dnf/* /var/cache/libdnf5/*";
    const MOVE: &str = "sed -i s,^baseurl=.*,baseurl=http://127.0.0.1:9/wrong/, /etc/yum.repos.d/vendor.repo";
    for (harm, priority) in [(MOVE, "1"), (FORGET, "1"), (MOVE, "99"), ("", "1")] {
        let root = make(&[rpm("tb-own", "1.0"), rpm("tb-obs", "1.0"), rpm("tb-hello", "1.0")]);
        let vendor = RpmRepo::new(&[rpm("tb-own", "2.0"), rpm("tb-obs", "2.0")]);
        let other = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
        let line = format!("priority={priority}\n");
        root.add_repo_with("vendor", &vendor.server.url(), &line);
        root.add_repo("other", &other);
        root.patch(&["apply"]).exits(0);
        let new = rpm("tb-new", "1.0").tag("Obsoletes: tb-obs");
        other.publish(&[rpm("tb-own", "9.0"), rpm("tb-hello", "3.0"), new]);
        if harm.is_empty() {
            vendor.publish(&[]);
            root.patch(&["refresh"]).exits(0);
        }
        root.sandbox.sh(harm);
        vendor.server.fault("/", Fault::Status(503));
        let owns = priority == "1" && !harm.is_empty();
        let refreshed = root.patch(&["refresh"]);
        let applied = root.patch(&["apply"]);
        if owns {
            refreshed.exits(1).leaves_pending(&["tb-hello 2.0-1 3.0-1"]);
            applied.exits(1).changed(&["tb-hello 2.0-1 3.0-1"]).holds_back(&[
                "tb-new - 1.0-1 a repository that was not refreshed decides about it",
                "tb-own 2.0-1 9.0-1 a repository that was not refreshed decides about it",
            ]);
            root.has_exactly(&["tb-hello 3.0", "tb-obs 2.0", "tb-own 2.0"]);
        } else {
            applied.exits(1).holds_back(&[]);
            root.has_exactly(&["tb-hello 3.0", "tb-new 1.0", "tb-own 9.0"]);
        }
    }
}

fn what_needs_a_new_package_that_cannot_be_installed_is_held_back_with_it(make: fn(&[Rpm]) -> Root) {
    let old = [rpm("tb-owner", "1.0").file("", "/usr/share/tb", "1")];
    let names = ["tb-hello", "tb-more", "tb-a"];
    let (root, repo) = one_in(make(&[&old[..], &names.map(|name| rpm(name, "1.0"))].concat()), &[]);
    let lib = rpm("tb-lib", "1.0").file("", "/usr/share/tb", "2");
    let needs_lib = rpm("tb-hello", "2.0").tag("Requires: tb-lib");
    let needs_hello = rpm("tb-more", "2.0").tag("Requires: tb-hello = 2.0");
    repo.publish(&[lib, needs_lib, needs_hello, rpm("tb-a", "2.0")]);
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 4);
    for changed in [&["tb-a 1.0-1 2.0-1"][..], &[]] {
        let applied = root.patch(&["apply"]);
        applied.applied(changed).leaves_pending(&[]);
        let held = applied.state["pending"]["held_back"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<_> = held.iter().map(|held| held["name"].as_str().unwrap_or_default()).collect();
        names.sort();
        assert_eq!(names, ["tb-hello", "tb-lib", "tb-more"], "{applied}");
        assert!(held.iter().all(|held| held["class"] == "dependency"), "{applied}");
    }
    root.patch(&["refresh"]).exits(0).leaves_pending(&[]);
    repo.publish(&[rpm("tb-hello", "2.0"), rpm("tb-more", "2.0").tag("Requires: tb-hello = 2.0")]);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1", "tb-more 1.0-1 2.0-1"]).holds_back(&[]);
}

fn a_repository_without_a_place_that_can_be_one_costs_only_itself(make: fn(&[Rpm]) -> Root) {
    let (root, _repo) = one_in(make(&[rpm("tb-hello", "1.0")]), &[rpm("tb-hello", "2.0")]);
    let all: [&[(&str, &str, &str)]; 5] = [
        &[("bad", "baseurl=", "config")],
        &[("bad", "", "config")],
        &[("bad", "baseurl=some/where", "config")],
        &[("bad", "metalink=file:///srv/page", "fetch")],
        &[
            ("bad", "baseurl=", "config"),
            ("worse", "baseurl=some/where", "config"),
            ("gone", "baseurl=file:///srv/gone", "fetch"),
            ("else", "baseurl=gopher://127.0.0.9:1/x", "network"),
        ],
    ];
    root.sandbox.write("/srv/page", "<html>a page</html>\n");
    for bad in all {
        let text = bad.iter().map(|(id, place, _)| format!("[{id}]\nname={id}\n{place}\ngpgcheck=0\n"));
        root.sandbox.write("/etc/yum.repos.d/bad.repo", text.collect::<String>());
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        let mut expected: Vec<_> = bad.iter().map(|(id, _, class)| (*id, *class)).collect();
        expected.sort();
        let failed = refreshed.failed_sources();
        let failed: Vec<_> = failed.iter().map(|(id, class)| (&**id, &**class)).collect();
        assert_eq!(failed, expected, "{refreshed}");
        root.patch(&["apply", "--dry-run"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
    }
    root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
}

fn a_setting_with_which_nothing_is_installed_is_named(make: fn(&[Rpm]) -> Root) {
    let (root, _repo) = one_in(make(&[rpm("tb-hello", "1.0")]), &[rpm("tb-hello", "2.0")]);
    let settings = ["tsflags=test", "tsflags=nodocs,test", "destdir=/srv/dest"];
    for setting in settings.iter().filter(|setting| root.manager == "dnf5" || !setting.starts_with("dest")) {
        root.sandbox.write("/etc/dnf/dnf.conf", format!("[main]\n{setting}\n"));
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        let applied = root.patch(&["apply"]);
        applied.apply_failed("config").mentions("/error/message", setting).changed(&[]);
    }
    let harmless = "[main]\ndownloadonly=1\nassumeno=1\ntsflags=nodocs\ndownloaddir=/srv/x\ninstallroot=/\n";
    root.sandbox.write("/etc/dnf/dnf.conf", harmless);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

fn a_setting_that_makes_dnf_look_after_another_system_is_named(make: fn(&[Rpm]) -> Root) {
    let (root, _repo) = one_in(make(&[rpm("tb-hello", "1.0")]), &[rpm("tb-hello", "2.0")]);
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\ninstallroot=/srv/root\n");
    root.patch(&["refresh"]).refresh_failed("config").mentions("/reason", "installroot");
    root.patch(&["apply"]).apply_failed("config").changed(&[]);
}

fn a_crash_in_mid_install_is_told_without_what_has_nothing_to_do_with_it(make: fn(&[Rpm]) -> Root) {
    for signal in ["SEGV", "ABRT", "BUS"] {
        let slow = rpm("tb-m", "2.0").post(
            "[ -e /run/fast ] || { touch /run/in-post; until [ -e /run/go ]; do /bin/sleep 0.1; done; }",
        );
        let old = ["tb-m", "tb-z"].map(|name| rpm(name, "1.0"));
        let new = [slow, rpm("tb-z", "2.0").tag("Requires(post): tb-m >= 2.0")];
        let (root, _repo) = one_in(make(&[&[crate::dnf::shell()], &old[..]].concat()), &new);
        let running = root.start(&["apply"]);
        root.sandbox.wait_for_file("/run/in-post");
        root.sandbox.sh(&format!("kill -{signal} $(pgrep -x 'dnf5?')"));
        root.sandbox.wait_until("the manager is gone", || {
            root.sandbox.processes().iter().all(|(_, name)| !name.starts_with("dnf"))
        });
        root.sandbox.write("/run/go", "");
        let crashed = running.report();
        crashed.exits(2).says("/error/class", "interrupted").changed(&["tb-m 1.0-1 2.0-1"]);
        crashed.mentions("/error/message", "crashed (signal").mentions("/error/message", "tb-m-1.0-1");
        crashed.remembers("/apply/in_progress/phase", "install");
        let words = crashed.json["error"]["message"].as_str().unwrap();
        assert!(!words.contains("release version"), "{crashed}");
        root.sandbox.wait_until("the script has ended", || root.sandbox.processes().is_empty());
        root.patch(&["apply"]).repaired().remembers("/apply/in_progress", Value::Null);
        root.has_exactly(&["tb-m 2.0", "tb-sh 1.0", "tb-z 2.0"]);
    }
}
