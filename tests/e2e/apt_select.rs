//! What `apply` installs, and what it leaves alone.

use crate::bench;
use crate::deb::{Deb, deb};
use crate::repo::Repo;
use crate::sandbox::{Sandbox, is_newer};
use crate::server::Fault;

/// tb-hello and tb-world are installed, with an update each.
#[track_caller]
fn two_pending() -> (Sandbox, Repo) {
    bench::one(&two("1.0"), &two("2.0"))
}

fn two(version: &str) -> [Deb; 2] {
    [deb("tb-hello", version), deb("tb-world", version)]
}

#[test]
fn everything_pending_is_installed_and_remembered() {
    let (sandbox, _repo) = two_pending();
    sandbox
        .patch(&["apply"])
        .applied(&["tb-hello 1.0 2.0", "tb-world 1.0 2.0"])
        .says("/retried", false)
        .says("/repaired", false)
        .says("/reboot_required", false)
        .remembers("/counters/apply_total", 1)
        .remembers("/counters/apply_failed_total", 0)
        .leaves_pending(&[]);
    sandbox.has_exactly(&["tb-hello 2.0", "tb-world 2.0"]);
    let log = sandbox.log();
    assert!(log.contains("Setting up tb-hello (2.0)"), "{log}");
    sandbox.runs_nothing();
}

#[test]
fn nothing_pending_is_a_success_that_starts_no_install() {
    let (sandbox, repo) = bench::one(&[deb("tb-hello", "2.0")], &[deb("tb-hello", "2.0")]);
    bench::spy(&sandbox);
    sandbox.patch(&["apply"]).applied(&[]).says("/retried", false);
    assert_eq!(repo.refreshes(), 1, "apply always refreshes");
    let installs = || bench::calls(&sandbox).iter().filter(|call| call.contains("--no-download")).count();
    assert_eq!(installs(), 0);
    repo.publish(&[deb("tb-hello", "3.0")]);
    sandbox.patch(&["apply"]).applied(&["tb-hello 2.0 3.0"]);
    assert_eq!(installs(), 1);
}

#[test]
fn a_refresh_just_before_does_not_spare_the_one_of_apply() {
    let (sandbox, repo) = two_pending();
    sandbox.patch(&["refresh"]).exits(0);
    repo.publish(&two("3.0"));
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 3.0", "tb-world 1.0 3.0"]);
}

#[test]
fn a_held_package_is_left_alone_and_listed_as_held_back() {
    let (sandbox, _repo) = two_pending();
    sandbox.sh("apt-mark hold tb-hello");
    sandbox
        .patch(&["apply"])
        .applied(&["tb-world 1.0 2.0"])
        .leaves_pending(&[])
        .holds_back(&["tb-hello 1.0 2.0 held"]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 2.0"]);
    assert_eq!(sandbox.sh("apt-mark showhold").trim(), "tb-hello");
}

#[test]
fn a_phased_update_is_left_to_apt_and_listed_as_held_back() {
    let (sandbox, repo) = bench::one(
        &two("1.0"),
        &[deb("tb-hello", "2.0").field("Phased-Update-Percentage", "0"), deb("tb-world", "2.0")],
    );
    // Left to itself apt draws lots by the machine, and not at all in what it takes for a chroot.
    sandbox.write("/etc/apt/apt.conf.d/phased", "APT::Get::Never-Include-Phased-Updates \"true\";\n");
    // apt 2.6 does not tell phasing from other reasons.
    sandbox
        .patch(&["apply"])
        .applied(&["tb-world 1.0 2.0"])
        .leaves_pending(&[])
        .holds_back(&["tb-hello 1.0 2.0 phased"]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 2.0"]);
    // What could not come either without phases waits for something else.
    let needs = deb("tb-hello", "3.0").field("Phased-Update-Percentage", "50").field("Depends", "tb-nowhere");
    repo.publish(&[needs, deb("tb-world", "2.0")]);
    let report = sandbox.patch(&["apply"]);
    report.applied(&[]);
    let held = &report.state["pending"]["held_back"][0];
    assert!(held["name"] == "tb-hello" && (is_newer() || held["reason"] == "kept back"), "{report}");
}

#[test]
fn a_new_dependency_comes_with_the_update_that_needs_it() {
    let (sandbox, _repo) = bench::one(
        &two("1.0"),
        &[
            deb("tb-hello", "2.0").field("Depends", "tb-new (>= 1.0)"),
            deb("tb-new", "1.0"),
            deb("tb-unrelated", "1.0"),
            deb("tb-world", "2.0"),
        ],
    );
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0", "tb-new - 1.0", "tb-world 1.0 2.0"]);
    sandbox.has_exactly(&["tb-hello 2.0", "tb-new 1.0", "tb-world 2.0"]);
    assert_eq!(sandbox.sh("apt-mark showauto").trim(), "tb-new");
}

#[test]
fn an_update_that_needs_a_removal_waits_for_full() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-hello", "1.0"), deb("tb-old", "1.0")],
        &[deb("tb-hello", "2.0").field("Conflicts", "tb-old")],
    );
    // apt 3 removes no package that somebody asked for.
    sandbox.sh("apt-mark auto tb-old");
    sandbox.patch(&["apply"]).applied(&[]).holds_back(&["tb-hello 1.0 2.0 kept back"]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-old 1.0"]);
    let trial = sandbox.patch(&["apply", "--full", "--dry-run"]);
    trial.exits(0).changed(&["tb-hello 1.0 2.0", "tb-old 1.0 -"]).says("/held_back", serde_json::json!([]));
    sandbox.patch(&["apply", "--full"]).applied(&["tb-hello 1.0 2.0", "tb-old 1.0 -"]).holds_back(&[]);
    sandbox.has_exactly(&["tb-hello 2.0"]);
}

#[test]
fn an_update_whose_dependency_does_not_exist_keeps_the_others_going() {
    let (sandbox, _repo) = bench::one(
        &two("1.0"),
        &[deb("tb-hello", "2.0").field("Depends", "tb-nowhere"), deb("tb-world", "2.0")],
    );
    sandbox.patch(&["apply"]).applied(&["tb-world 1.0 2.0"]).holds_back(&["tb-hello 1.0 2.0 kept back"]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 2.0"]);
}

#[test]
fn a_security_update_that_is_held_back_is_alerted_of() {
    let (sandbox, repo) =
        bench::one(&[deb("tb-hello", "1.0"), deb("tb-held", "1.0")], &[deb("tb-hello", "1.0")]);
    let security = Repo::claiming(|claims| claims.suite = "stable-security".into(), &[deb("tb-held", "2.0")]);
    sandbox.add_source("security", &security);
    sandbox.sh("apt-mark hold tb-held");
    sandbox.patch(&["refresh"]).exits(0).says("/pending/count", 0).says("/pending/security", 0);
    let alert = &["status", "--alert", "security=critical"];
    let report = sandbox.patch(alert);
    report.exits(2).says("/pending/held_back_security", 1);
    assert_eq!(report.json["alerts"], serde_json::json!(["1 security update held back"]), "{report}");
    let nagios =
        sandbox.run(&["linux-patch", "status", "--alert", "security=critical", "--format", "nagios"]);
    assert!(nagios.stdout.starts_with("PATCH CRITICAL: 1 security update held back"), "{nagios:?}");
    assert!(
        nagios.stdout.contains(" security=1;;0;0 ") && nagios.stdout.contains("security_held_back=1;"),
        "{nagios:?}"
    );
    let metrics = sandbox.run(&["linux-patch", "status", "--format", "openmetrics"]).stdout;
    assert!(metrics.contains("\nlinux_patch_held_back_security_updates 1\n"), "{metrics}");
    assert!(metrics.contains("\nlinux_patch_pending_security_updates 0\n"), "{metrics}");
    sandbox.patch(&["status", "--alert", "security:2=critical"]).exits(0);
    sandbox.patch(&["status", "--alert", "security=critical", "--exclude", "tb-held"]).exits(0);
    repo.publish(&[deb("tb-hello", "2.0")]);
    sandbox.patch(&["refresh"]).exits(0).says("/pending/count", 1);
    sandbox.patch(alert).exits(2);
}

#[test]
fn an_archive_of_security_updates_is_known_by_its_label_wherever_it_matters() {
    let (sandbox, _main) =
        bench::one(&[deb("tb-held", "1.0"), deb("tb-below", "1.0")], &[deb("tb-below", "3.0")]);
    // Where the packages of the machine are those of a release to come there is none.
    sandbox.write("/etc/os-release", "ID=debian\nVERSION_ID=12\n");
    let absent = "no security archive is among the sources";
    sandbox.patch(&["refresh"]).exits(0).mentions("/caveats/0", absent);
    let security = [deb("tb-held", "2.0"), deb("tb-below", "2.0")];
    let security = Repo::claiming(|claims| claims.label = "Debian-Security".into(), &security);
    sandbox.add_source("mirror", &security);
    sandbox.sh("apt-mark hold tb-held");
    let report = sandbox.patch(&["refresh"]);
    report.exits(0).says("/pending/count", 1).says("/pending/security", 1);
    report.says("/pending/held_back_security", 1).says("/caveats", serde_json::json!([]));
    // An archive that could not be read may be one.
    security.server.fault("/dists", Fault::Status(503));
    sandbox.patch(&["refresh"]).exits(1).says("/caveats", serde_json::json!([]));
    sandbox.sh("rm /etc/apt/sources.list.d/mirror.list");
    sandbox.patch(&["refresh"]).exits(0).mentions("/caveats/0", absent);
}

#[test]
fn security_installs_only_what_comes_from_a_security_source() {
    let (sandbox, _main) = bench::one(
        &[deb("tb-hello", "1.0"), deb("tb-label", "1.0"), deb("tb-suite", "1.0")],
        &[deb("tb-hello", "2.0")],
    );
    let by_label =
        Repo::claiming(|claims| claims.label = "Debian-Security".into(), &[deb("tb-label", "2.0")]);
    let by_suite =
        Repo::claiming(|claims| claims.suite = "stable-security".into(), &[deb("tb-suite", "2.0")]);
    sandbox.add_source("label", &by_label);
    sandbox.add_source("suite", &by_suite);
    let report = sandbox.patch(&["refresh"]);
    report.exits(0).remembers("/pending/count", 3).remembers("/pending/security", 2);
    for package in report.state["pending"]["packages"].as_array().unwrap() {
        assert_eq!(package["security"], package["name"] != "tb-hello", "{report}");
    }
    sandbox
        .patch(&["apply", "--security"])
        .applied(&["tb-label 1.0 2.0", "tb-suite 1.0 2.0"])
        .leaves_pending(&["tb-hello 1.0 2.0"])
        .remembers("/pending/security", 0);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-label 2.0", "tb-suite 2.0"]);
    sandbox.patch(&["apply", "--security"]).applied(&[]);
}

/// The preferences of the first round would forbid the second one to ask for what is excluded. What only that needs
/// does not come in either of them.
#[test]
fn a_choice_without_an_excluded_update_is_made_anew_when_its_download_failed() {
    let names = ["tb-dep", "tb-kept", "tb-label"];
    let (sandbox, _main) = bench::one(&names.map(|name| deb(name, "1.0")), &[deb("tb-dep", "2.0")]);
    let needs = |version: &str| deb("tb-kept", version).field("Depends", &format!("tb-dep (>= {version})"));
    let security = Repo::claiming(
        |claims| claims.label = "Debian-Security".into(),
        &[needs("2.0"), deb("tb-label", "2.0")],
    );
    sandbox.add_source("label", &security);
    security.publish_before("tb-label_2.0", 1, &[needs("2.0"), deb("tb-label", "3.0")]);
    let applied = sandbox.patch(&["apply", "--security", "--exclude", "tb-kept"]);
    applied.applied(&["tb-label 1.0 3.0"]).says("/retried", true);
    sandbox.has_exactly(&["tb-dep 1.0", "tb-kept 1.0", "tb-label 3.0"]);
}

#[test]
fn an_excluded_package_stays_as_it_is() {
    let (sandbox, _repo) = two_pending();
    sandbox
        .patch(&["apply", "--exclude", "tb-h*", "--exclude", "nothing-like-it"])
        .applied(&["tb-world 1.0 2.0"])
        .leaves_pending(&["tb-hello 1.0 2.0"]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 2.0"]);
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
}

#[test]
fn a_named_package_is_installed_with_what_it_needs_and_nothing_else() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-hello", "1.0"), deb("tb-lib", "1.0"), deb("tb-world", "1.0")],
        &[
            deb("tb-hello", "2.0").field("Depends", "tb-lib (>= 2.0)"),
            deb("tb-lib", "2.0"),
            deb("tb-world", "2.0"),
        ],
    );
    sandbox.sh("apt-mark auto tb-lib");
    sandbox
        .patch(&["apply", "tb-hello"])
        .applied(&["tb-hello 1.0 2.0", "tb-lib 1.0 2.0"])
        .leaves_pending(&["tb-world 1.0 2.0"]);
    sandbox.has_exactly(&["tb-hello 2.0", "tb-lib 2.0", "tb-world 1.0"]);
    assert_eq!(sandbox.sh("apt-mark showauto").trim(), "tb-lib");
}

#[test]
fn a_package_that_was_installed_automatically_stays_so_when_it_is_named() {
    let (sandbox, _repo) = two_pending();
    sandbox.sh("apt-mark auto tb-hello");
    sandbox.patch(&["apply", "tb-hello"]).applied(&["tb-hello 1.0 2.0"]);
    sandbox.has_exactly(&["tb-hello 2.0", "tb-world 1.0"]);
    assert_eq!(sandbox.sh("apt-mark showauto").trim(), "tb-hello");
    assert_eq!(sandbox.sh("apt-mark showmanual").trim(), "tb-world");
}

#[test]
fn a_named_package_without_an_update_is_no_failure() {
    let (sandbox, _repo) = bench::one(&two("1.0"), &[deb("tb-hello", "2.0"), deb("tb-world", "1.0")]);
    sandbox.patch(&["apply", "tb-world"]).applied(&[]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
}

#[test]
fn an_unknown_package_fails_and_nothing_is_installed() {
    let (sandbox, _repo) = two_pending();
    sandbox
        .patch(&["apply", "tb-hello", "tb-nowhere"])
        .apply_failed("dependency")
        .mentions("/error/message", "tb-nowhere")
        .says("/retried", false)
        .changed(&[]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
}

#[test]
fn what_is_no_package_name_is_refused_before_anything_runs() {
    let (sandbox, repo) = two_pending();
    bench::spy(&sandbox);
    for smuggled in [
        "-o",
        "-oDebug=1",
        "--purge",
        "tb-hello-",
        "../x",
        "/tmp/x.deb",
        "./x.deb",
        "tb-hello=1.0",
        "tb-hello/stable",
        "tb-*",
        "^tb",
        "tb hello",
        "",
        "Tb-Hello",
        "tb-hello;reboot",
        "tb-hello\nx",
        "?installed",
        "~i",
    ] {
        let report = sandbox.patch(&["apply", "--", smuggled]);
        report.exits(3);
        assert_eq!(bench::calls(&sandbox), Vec::<String>::new(), "{smuggled:?} {report}");
    }
    assert_eq!(repo.refreshes(), 0);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let (sandbox, repo) = bench::one(
        &two("1.0"),
        &[deb("tb-hello", "2.0").field("Depends", "tb-new"), deb("tb-new", "1.0"), deb("tb-world", "2.0")],
    );
    sandbox.patch(&["apply", "--dry-run"]).exits(0).says("/dry_run", true).changed(&[
        "tb-hello 1.0 2.0",
        "tb-new - 1.0",
        "tb-world 1.0 2.0",
    ]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
    assert_eq!(repo.server.requests("/pool/"), 0);
    sandbox.patch(&["apply", "--dry-run", "--exclude", "tb-hello"]).exits(0).changed(&["tb-world 1.0 2.0"]);
    sandbox
        .patch(&["apply", "--dry-run", "tb-hello"])
        .exits(0)
        .changed(&["tb-hello 1.0 2.0", "tb-new - 1.0"]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
}

#[test]
fn download_only_fetches_and_installs_nothing() {
    let (sandbox, repo) = two_pending();
    sandbox
        .patch(&["apply", "--download-only"])
        .exits(0)
        .changed(&[])
        .leaves_pending(&["tb-hello 1.0 2.0", "tb-world 1.0 2.0"]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
    let archives = sandbox.list("/var/cache/apt/archives");
    assert!(archives.contains(&"tb-hello_2.0_all.deb".to_owned()), "{archives:?}");
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0", "tb-world 1.0 2.0"]);
    assert_eq!(repo.server.requests("/pool/"), 2, "what was downloaded is used again");
}

#[test]
fn neither_what_is_held_nor_the_running_kernel_is_ever_unneeded() {
    let release = rustix::system::uname().release().to_str().unwrap().to_string();
    let running = format!("linux-image-{release}");
    // The image apt itself keeps, what else belongs to that kernel it does not.
    let modules = format!("tb-modules-{release}");
    let names = [&*running, &*modules, "linux-image-9.9.9-1-none", "tb-held", "tb-own"];
    let (sandbox, _repo) = bench::one(&names.map(|name| deb(name, "1.0")), &[deb("tb-own", "1.0")]);
    sandbox.sh(&format!(
        "apt-mark auto {running} {modules} linux-image-9.9.9-1-none tb-held; apt-mark hold tb-held"
    ));
    let applied = sandbox.patch(&["apply", "--autoremove"]);
    applied.applied(&["linux-image-9.9.9-1-none 1.0 -"]);
    sandbox.has_exactly(&[&format!("{running} 1.0"), "tb-held 1.0", &format!("{modules} 1.0"), "tb-own 1.0"]);
}

#[test]
fn a_removal_that_fails_makes_the_run_fail_and_what_was_installed_is_listed() {
    let stays = deb("tb-stays", "1.0").script("prerm", "echo no; exit 1");
    let (sandbox, _repo) = bench::one(&[stays, deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0")]);
    sandbox.sh("apt-mark auto tb-stays");
    let applied = sandbox.patch(&["apply", "--autoremove", "--reboot=always"]);
    applied.exits(2).changed(&["tb-hello 1.0 2.0"]).says("/error/class", "script");
    applied.mentions("/error/message", "could not remove packages that are no longer needed");
    assert!(sandbox.read("/run/restarts").is_none(), "{applied}");
    sandbox.has_exactly(&["tb-hello 2.0", "tb-stays 1.0"]);
}
