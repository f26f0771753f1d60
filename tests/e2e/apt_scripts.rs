//! Maintainer scripts, configuration files, and a package database that was left half done.

use crate::leisure::at_leisure;

use crate::bench;
use crate::deb::{Deb, deb};

/// An update whose script fails as long as /run/fixed is missing.
fn broken(version: &str) -> Deb {
    deb("tb-broken", version)
        .script("postinst", "if [ ! -e /run/fixed ]; then echo 'tb-broken: says no'; exit 1; fi")
}

#[test]
fn a_failing_script_is_reported_as_one_and_what_did_change_is_listed() {
    let (sandbox, repo) = bench::one(
        &[deb("tb-broken", "1.0"), deb("tb-hello", "1.0")],
        &[broken("2.0"), deb("tb-hello", "2.0")],
    );
    let report = sandbox.patch(&["apply"]);
    report
        .apply_failed("script")
        .mentions("/error/message", "tb-broken")
        .says("/retried", false)
        .remembers("/apply/last/outcome", "failed")
        .remembers("/last_update_success", true);
    assert_eq!(repo.refreshes(), 1);
    sandbox.has_exactly(&["tb-broken 2.0 half-configured", "tb-hello 2.0"]);
    let changed = report.json["packages"].as_array().unwrap();
    let hello = changed.iter().find(|package| package["name"] == "tb-hello");
    assert_eq!(hello.unwrap()["to"], "2.0", "{report}");

    // The script has been fixed on the machine.
    sandbox.write("/run/fixed", "");
    sandbox.patch(&["apply"]).exits(0).says("/status", "healthy");
    sandbox.has_exactly(&["tb-broken 2.0", "tb-hello 2.0"]);
}

#[test]
fn a_failing_script_is_repaired_by_a_fixed_package() {
    let (sandbox, repo) = bench::one(&[deb("tb-broken", "1.0")], &[broken("2.0")]);
    sandbox.patch(&["apply"]).apply_failed("script");
    sandbox.patch(&["apply"]).apply_failed("script");
    repo.publish(&[deb("tb-broken", "3.0")]);
    sandbox.patch(&["apply"]).exits(0).says("/status", "healthy").leaves_pending(&[]);
    sandbox.has_exactly(&["tb-broken 3.0"]);
}

#[test]
fn a_failing_script_before_unpacking_leaves_the_old_version() {
    let (sandbox, repo) = bench::one(
        &[deb("tb-broken", "1.0"), deb("tb-hello", "1.0")],
        &[deb("tb-broken", "2.0").script("preinst", "exit 1"), deb("tb-hello", "2.0")],
    );
    sandbox.patch(&["apply"]).apply_failed("script").says("/retried", false);
    assert_eq!(repo.refreshes(), 1);
    assert_eq!(sandbox.installed()["tb-broken"], "1.0");
    repo.publish(&[deb("tb-broken", "3.0"), deb("tb-hello", "2.0")]);
    sandbox.patch(&["apply"]).exits(0);
    sandbox.has_exactly(&["tb-broken 3.0", "tb-hello 2.0"]);
}

#[test]
fn a_script_that_speaks_like_a_fetch_error_is_still_a_failing_script() {
    let words = "echo 'E: Failed to fetch http://127.88.0.1/x.deb  404  Not Found'\n\
                 echo 'Err:1 http://127.88.0.1 stable InRelease'\n\
                 echo 'E: Unable to fetch some archives, maybe run apt-get update' >&2\nexit 1";
    let (sandbox, repo) =
        bench::one(&[deb("tb-liar", "1.0")], &[deb("tb-liar", "2.0-404").script("postinst", words)]);
    sandbox.patch(&["apply"]).apply_failed("script").says("/retried", false);
    assert_eq!(repo.refreshes(), 1);
}

#[test]
fn a_script_that_succeeds_may_say_what_it_likes() {
    let words = "echo 'E: Failed to fetch http://127.88.0.1/x.deb  404  Not Found'; echo 'dpkg: error' >&2";
    let (sandbox, _repo) =
        bench::one(&[deb("tb-liar", "1.0")], &[deb("tb-liar", "2.0").script("postinst", words)]);
    sandbox.patch(&["apply"]).applied(&["tb-liar 1.0 2.0"]).says("/retried", false);
}

#[test]
fn a_script_that_asks_gets_no_answer_and_holds_up_nothing() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-asks", "1.0")],
        &[deb("tb-asks", "2.0")
            .script("postinst", "read answer || answer=nobody\necho \"$answer\" >/run/answer")],
    );
    sandbox.patch(&["apply"]).applied(&["tb-asks 1.0 2.0"]);
    assert_eq!(sandbox.read("/run/answer").unwrap().trim(), "nobody");
}

#[test]
fn a_file_that_two_packages_own_is_a_dependency_failure() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-hello", "1.0"), deb("tb-world", "1.0").file("/usr/share/tb/file", "world")],
        &[deb("tb-hello", "2.0").file("/usr/share/tb/file", "hello")],
    );
    sandbox.patch(&["apply"]).apply_failed("dependency").says("/retried", false);
    assert_eq!(sandbox.installed()["tb-world"], "1.0");
}

/// apt gives dpkg more than five packages in a directory of links: `/tmp/apt-dpkg-install-XXXXXX/3-tb-d_2.0_all.deb`.
#[test]
fn of_many_packages_that_dpkg_gets_at_once_the_one_that_fails_is_named() {
    let names = ["tb-a", "tb-b", "tb-c", "tb-d", "tb-e", "tb-f", "tb-g"];
    let mut old: Vec<_> = names.iter().map(|name| deb(name, "1.0")).collect();
    old.push(deb("tb-world", "1.0").file("/usr/share/tb/file", "world"));
    old.push(deb("tb-z", "1.0"));
    // apt takes these first, all at once, and starts dpkg again when what the last one needs is configured.
    let first = |name: &str| deb(name, "2.0").field("Priority", "required").field("Pre-Depends", "tb-world");
    let mut new: Vec<_> = names.iter().map(|name| first(name)).collect();
    new[3] = first("tb-d").file("/usr/share/tb/file", "hello");
    new.push(deb("tb-z", "2.0").field("Pre-Depends", "tb-g (>= 2.0)"));
    let (sandbox, _repo) = bench::one(&old, &new);
    // As on every host that has dpkg itself in its package database.
    sandbox.write("/etc/apt/apt.conf.d/recursive", "DPkg::Install::Recursive \"true\";\n");
    let applied = sandbox.patch(&["apply"]);
    assert!(sandbox.log().contains("/apt-dpkg-install-"), "{}", sandbox.log());
    applied.apply_failed("dependency").mentions("/error/message", "archive tb-d_2.0_all.deb (--unpack)");
    assert_eq!((&*sandbox.installed()["tb-d"], &*sandbox.installed()["tb-z"]), ("1.0", "2.0"), "{applied}");
}

#[test]
fn a_configuration_file_changed_on_the_machine_is_kept_without_a_question() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-conf", "1.0").conffile("/etc/tb-conf", "as shipped 1\n")],
        &[deb("tb-conf", "2.0").conffile("/etc/tb-conf", "as shipped 2\n")],
    );
    sandbox.write("/etc/tb-conf", "changed here\n");
    sandbox.patch(&["apply"]).applied(&["tb-conf 1.0 2.0"]);
    assert_eq!(sandbox.read("/etc/tb-conf").unwrap(), "changed here\n");
    assert_eq!(sandbox.read("/etc/tb-conf.dpkg-dist").unwrap(), "as shipped 2\n");
}

#[test]
fn a_configuration_file_nobody_changed_is_updated() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-conf", "1.0").conffile("/etc/tb-conf", "as shipped 1\n")],
        &[deb("tb-conf", "2.0").conffile("/etc/tb-conf", "as shipped 2\n")],
    );
    sandbox.patch(&["apply"]).applied(&["tb-conf 1.0 2.0"]);
    assert_eq!(sandbox.read("/etc/tb-conf").unwrap(), "as shipped 2\n");
}

#[test]
fn a_service_started_by_a_script_neither_holds_up_the_run_nor_is_ended_by_it() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-service", "1.0")],
        &[deb("tb-service", "2.0").script("postinst", "sleep 600 &")],
    );
    let report = sandbox.patch(&["apply"]);
    report.applied(&["tb-service 1.0 2.0"]);
    assert!(report.elapsed < at_leisure(20), "{report}");
    let left = sandbox.processes();
    assert!(left.len() == 1 && left[0].1 == "sleep", "{left:?}");
}

#[test]
fn a_dpkg_killed_in_the_middle_is_repaired_first() {
    let (sandbox, _repo) =
        bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0"), bench::slow("1.0", 60)]);
    sandbox.sh("apt-get -q update");
    let mut other = sandbox.command("apt-get");
    other.args(["-q", "-y", "install", "tb-slow"]);
    let other = sandbox.start(other);
    sandbox.wait_for_file(bench::IN_POSTINST);
    sandbox.kill_everything();
    assert_ne!(other.wait().code, 0);
    sandbox.write("/run/fast", "");
    assert!(!sandbox.list("/var/lib/dpkg/updates").is_empty(), "dpkg left no journal");
    let plain = sandbox.run(&["apt-get", "-q", "-y", "upgrade"]);
    assert!(plain.stderr.contains("dpkg was interrupted"), "{plain:?}");

    sandbox.patch(&["apply"]).repaired();
    sandbox.has_exactly(&["tb-hello 2.0", "tb-slow 1.0"]);
    sandbox.patch(&["apply"]).applied(&[]).says("/repaired", false);
}

#[test]
fn a_package_that_was_only_unpacked_is_configured() {
    let (sandbox, _repo) = bench::pending_update();
    let path = sandbox.bring(&deb("tb-half", "1.0"));
    sandbox.sh(&format!("dpkg --unpack {path}"));
    assert_eq!(sandbox.installed()["tb-half"], "1.0 unpacked");
    sandbox.patch(&["apply"]).exits(0).says("/status", "healthy");
    sandbox.has_exactly(&["tb-half 1.0", "tb-hello 2.0"]);
}

#[test]
fn a_repair_that_fails_does_not_hide_its_reason() {
    let (sandbox, _repo) = bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0")]);
    let path = sandbox.bring(&broken("1.0"));
    assert_ne!(sandbox.run(&["dpkg", "--install", &path]).code, 0);
    sandbox.patch(&["apply"]).apply_failed("script").mentions("/error/message", "tb-broken");
    sandbox.write("/run/fixed", "");
    sandbox.patch(&["apply"]).exits(0);
    sandbox.has_exactly(&["tb-broken 1.0", "tb-hello 2.0"]);
}

#[test]
fn a_package_of_which_another_takes_over_all_files_may_disappear() {
    let shared = |deb: Deb| deb.file("/usr/share/tb/file", "the same");
    let (sandbox, _repo) = bench::one(
        &[shared(deb("tb-hello", "1.0")), deb("tb-world", "1.0")],
        &[shared(deb("tb-hello", "2.0")), shared(deb("tb-world", "2.0").field("Replaces", "tb-hello"))],
    );
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 -", "tb-world 1.0 2.0"]).leaves_pending(&[]);
    sandbox.has_exactly(&["tb-world 2.0"]);
}

/// A package that fails in these scripts as long as /run/fixed is missing.
fn failing(scripts: &[(&str, &str)]) -> Deb {
    let failing = |script: &str| {
        format!("[ -e /run/fixed ] || case $1 in {script}) echo 'tb-bad: says no'; exit 1;; esac")
    };
    scripts.iter().fold(deb("tb-bad", "1.0"), |bad, (part, when)| bad.script(part, &failing(when)))
}

#[test]
fn a_package_whose_removal_failed_keeps_no_other_from_its_update_and_what_to_do_is_told() {
    for (scripts, how, status, command) in [
        (&[("postrm", "remove")][..], "dpkg --remove tb-bad", "rH ", "dpkg --remove tb-bad"),
        (&[("postrm", "remove|purge")], "apt-get -y purge tb-bad", "iH ", "dpkg --remove tb-bad"),
        (
            &[("prerm", "remove"), ("postinst", "abort-remove|configure")],
            "dpkg --remove tb-bad",
            "rF ",
            "dpkg --configure tb-bad",
        ),
    ] {
        for is_offered in [false, true] {
            let mut published = vec![deb("tb-hello", "2.0"), deb("tb-world", "2.0")];
            published.extend(is_offered.then(|| failing(scripts)));
            let (sandbox, repo) = bench::one(&[deb("tb-hello", "1.0"), deb("tb-world", "1.0")], &published);
            sandbox.write("/run/fixed", "");
            sandbox.install(&[failing(scripts).script("preinst", "true")]);
            sandbox.sh("rm /run/fixed");
            sandbox.run(&["sh", "-c", how]);
            let row = || sandbox.sh("dpkg -l tb-bad | tail -n 1");
            assert!(row().starts_with(status), "{how}: {}", row());
            let applied = sandbox.patch(&["apply"]);
            applied.apply_failed("script").mentions("/error/message", command);
            applied.changed(&["tb-hello 1.0 2.0", "tb-world 1.0 2.0"]).leaves_pending(&[]);
            // It goes on to be told, and to keep nothing back.
            repo.publish(&[deb("tb-hello", "3.0"), deb("tb-world", "2.0")]);
            let applied = sandbox.patch(&["apply"]);
            applied.apply_failed("script").mentions("/error/message", command);
            applied.changed(&["tb-hello 2.0 3.0"]);
            // That does it.
            sandbox.write("/run/fixed", "");
            sandbox.sh(&format!("{command} >&2"));
            sandbox.patch(&["apply"]).exits(0);
            sandbox.patch(&["status"]).exits(0);
        }
    }
}
