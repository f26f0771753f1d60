//! `status` after real refreshes and applies, and reboots.

use serde_json::Value;

use crate::bench;
use crate::deb::{Deb, deb};
use crate::repo::Repo;
use crate::sandbox::Sandbox;
use crate::server::Fault;

const FLAG: &str = "/run/reboot-required";

/// An update that brings a kernel newer than any that runs.
fn kernel(version: &str) -> Deb {
    match version {
        "1.0" => deb("linux-image-test", version),
        _ => deb("linux-image-test", version)
            .file("/boot/vmlinuz-999.0.0-1-amd64", "not really")
            .file("/usr/lib/modules/999.0.0-1-amd64/modules.order", ""),
    }
}

#[track_caller]
fn kernel_pending() -> (Sandbox, Repo) {
    bench::one(&[kernel("1.0")], &[kernel("2.0")])
}

fn restarts(sandbox: &Sandbox) -> String {
    sandbox.read("/run/restarts").unwrap_or_default()
}

#[test]
fn status_before_any_refresh_is_unknown_and_after_one_fresh() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox
        .patch(&["status"])
        .exits(3)
        .says("/cache_status", "unknown")
        .says("/last_cache_update", Value::Null)
        .says("/age_seconds", Value::Null);
    assert!(!sandbox.exists("/var/lib/linux-patch"), "status writes nothing");
    sandbox.patch(&["refresh"]).exits(0);
    sandbox
        .patch(&["status"])
        .exits(0)
        .says("/status", "healthy")
        .says("/cache_status", "fresh")
        .says("/pending/count", 1)
        .says("/pending/outdated", false)
        .says("/reboot_required", false);
    bench::tick();
    bench::tick();
    sandbox.patch(&["status", "--max-age", "1s"]).exits(1).says("/cache_status", "stale");
}

#[test]
fn every_format_says_the_same_in_its_own_words() {
    let (sandbox, repo) = bench::pending_update();
    for (prepare, code, word) in [("", 3, "UNKNOWN"), ("ok", 0, "OK"), ("bad", 2, "CRITICAL")] {
        repo.server.heal();
        if prepare == "bad" {
            repo.server.fault("Release", Fault::Status(404));
        }
        if !prepare.is_empty() {
            sandbox.patch(&["refresh"]);
        }
        for format in ["text", "json", "openmetrics"] {
            let ended = sandbox.run(&["linux-patch", "status", "--format", format]);
            assert!(ended.code == code && !ended.stdout.is_empty(), "{ended:?}");
        }
        let nagios = sandbox.run(&["linux-patch", "--format", "nagios", "status"]);
        assert_eq!(nagios.code, code, "{nagios:?}");
        assert!(nagios.stdout.starts_with(&format!("PATCH {word}: ")), "{nagios:?}");
    }
}

#[test]
fn status_runs_nothing_waits_for_nobody_and_needs_no_root() {
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 80)]);
    sandbox.patch(&["refresh"]).exits(0);
    bench::spy(&sandbox);
    let apply = sandbox.start(sandbox.patch_command(&["apply"]));
    sandbox.wait_for_file(bench::IN_POSTINST);
    bench::calls(&sandbox);
    let command = sandbox.patch_command_of_nobody(&["status"]);
    let report = sandbox.start(command).report();
    report.exits(0);
    // The apply is not over.
    assert!(report.json["apply"]["in_progress"].is_object(), "{report}");
    assert_eq!(bench::calls(&sandbox), Vec::<String>::new());
    sandbox.sh(bench::END_POSTINST);
    apply.report().applied(&["tb-slow 1.0 2.0"]);
}

#[test]
fn a_source_added_after_the_refresh_makes_the_state_stale() {
    let (sandbox, repo) = bench::pending_update();
    sandbox.patch(&["refresh"]).exits(0);
    sandbox.patch(&["status"]).exits(0);
    bench::tick();
    sandbox.add_source("another", &repo);
    sandbox.patch(&["status"]).exits(1).says("/cache_status", "stale");
    sandbox.patch(&["refresh"]).exits(0);
    sandbox.patch(&["status"]).exits(0);
    bench::tick();
    sandbox.sh("rm /etc/apt/sources.list.d/another.list");
    sandbox.patch(&["status"]).exits(1).says("/cache_status", "stale");
}

#[test]
fn a_package_installed_behind_its_back_outdates_what_is_pending() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.patch(&["refresh"]).exits(0);
    sandbox.patch(&["status"]).says("/pending/outdated", false);
    bench::tick();
    sandbox.install(&[deb("tb-hello", "2.0")]);
    sandbox.patch(&["status"]).exits(0).says("/pending/outdated", true);
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&[]);
    sandbox.patch(&["status"]).says("/pending/outdated", false).says("/pending/count", 0);
}

#[test]
fn an_apply_does_not_outdate_its_own_count() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
    sandbox
        .patch(&["status"])
        .exits(0)
        .says("/pending/outdated", false)
        .says("/pending/count", 0)
        .says("/apply/last/outcome", "success");
}

#[test]
fn status_with_refresh_refreshes_only_what_is_not_fresh() {
    let (sandbox, repo) = bench::pending_update();
    sandbox.patch(&["status", "--refresh"]).exits(0).says("/cache_status", "fresh").says("/pending/count", 1);
    assert_eq!(repo.refreshes(), 1);
    sandbox.patch(&["status", "--refresh"]).exits(0);
    assert_eq!(repo.refreshes(), 1);
    bench::tick();
    bench::tick();
    repo.server.fault("Release", Fault::Status(404));
    sandbox.patch(&["status", "--refresh", "--max-age", "1s"]).exits(2).says("/cache_status", "failed");
}

#[test]
fn status_lists_the_sources_that_failed() {
    let (sandbox, repos) = bench::three_with("Release", Fault::Status(404));
    sandbox.patch(&["refresh"]).exits(1);
    let text = sandbox.run(&["linux-patch", "status"]);
    assert_eq!(text.code, 1, "{text:?}");
    assert!(text.stdout.contains(&repos[1].url()), "{text:?}");
    assert!(!text.stdout.contains(&repos[0].url()), "{text:?}");
}

#[test]
fn the_history_has_a_line_for_every_run() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.patch(&["refresh"]).exits(0);
    sandbox.patch(&["apply"]).exits(0);
    sandbox.patch(&["apply"]).exits(0);
    let lines = sandbox.read("/var/lib/linux-patch/history.jsonl").unwrap();
    let runs: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = runs
        .iter()
        .map(|run| (run["command"].as_str().unwrap(), run["exit_code"].as_u64(), run["packages"].as_u64()))
        .collect();
    assert_eq!(
        told,
        [("refresh", Some(0), Some(0)), ("apply", Some(0), Some(1)), ("apply", Some(0), Some(0))]
    );
    let text = sandbox.run(&["linux-patch", "status", "--history"]);
    let history = text.stdout.lines().skip_while(|line| *line != "history:").skip(1);
    let history: Vec<_> = history.take_while(|line| line.starts_with("  ")).collect();
    let (changes, history): (Vec<_>, Vec<_>) = history.into_iter().partition(|line| line.starts_with("    "));
    assert_eq!((changes.as_slice(), history.len()), (&["    tb-hello 1.0 -> 2.0"][..], 3), "{text:?}");
    for (line, verb) in history.iter().zip(["refresh", "apply", "apply"]) {
        assert!(line.contains(&format!(" {verb} exit 0 ")), "{line}");
    }
}

#[test]
fn a_flag_file_says_that_a_reboot_is_required() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-hello", "1.0")],
        &[deb("tb-hello", "2.0").script("postinst", &format!("touch {FLAG}"))],
    );
    sandbox.patch(&["refresh"]).exits(0);
    sandbox.patch(&["status"]).exits(0).says("/reboot_required", false);
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]).says("/reboot_required", true);
    sandbox.patch(&["status"]).exits(0).says("/reboot_required", true);
    sandbox.sh(&format!("rm {FLAG}"));
    sandbox.write(FLAG, "");
    sandbox.patch(&["status"]).says("/reboot_required", true);
    assert_eq!(restarts(&sandbox), "", "nobody asked for a reboot");
}

#[test]
fn a_new_kernel_requires_a_reboot_which_is_made_if_asked_for() {
    let (sandbox, _repo) = kernel_pending();
    sandbox
        .patch(&["apply", "--reboot=if-needed"])
        .applied(&["linux-image-test 1.0 2.0"])
        .says("/reboot_required", true)
        .remembers("/reboot_required", true);
    let restarts = restarts(&sandbox);
    assert_eq!(restarts.lines().count(), 1, "{restarts}");
    assert!(restarts.starts_with("shutdown ") && restarts.contains("-r"), "{restarts}");
}

#[test]
fn new_microcode_requires_a_reboot() {
    for name in ["intel-microcode", "amd64-microcode"] {
        let needs = deb("tb-hello", "2.0").field("Depends", name);
        let (sandbox, _repo) = bench::one(&[deb("tb-hello", "1.0")], &[needs, deb(name, "3.2024")]);
        sandbox.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
        // A file with the same time as the start, in whole seconds, was there at the start.
        std::thread::sleep(std::time::Duration::from_millis(2500));
        sandbox.patch(&["apply", "--dry-run"]).exits(0).says("/reboot_expected", true);
        sandbox.patch(&["apply"]).exits(0).says("/reboot_required", true);
    }
}

#[test]
fn a_new_kernel_alone_makes_no_reboot() {
    let (sandbox, _repo) = kernel_pending();
    sandbox.patch(&["apply"]).applied(&["linux-image-test 1.0 2.0"]).says("/reboot_required", true);
    sandbox.patch(&["status"]).exits(0).says("/reboot_required", true);
    assert_eq!(restarts(&sandbox), "");
}

#[test]
fn no_reboot_is_made_where_none_is_needed() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox
        .patch(&["apply", "--reboot=if-needed"])
        .applied(&["tb-hello 1.0 2.0"])
        .says("/reboot_required", false);
    assert_eq!(restarts(&sandbox), "");
}

#[test]
fn no_reboot_is_made_after_an_apply_that_failed() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-hello", "1.0"), kernel("1.0")],
        &[deb("tb-hello", "2.0").script("postinst", "exit 1"), kernel("2.0")],
    );
    sandbox.write(FLAG, "");
    sandbox.patch(&["apply", "--reboot=always"]).apply_failed("script");
    sandbox.patch(&["apply", "--reboot=if-needed"]).apply_failed("script");
    assert_eq!(restarts(&sandbox), "");
}

#[test]
fn a_reboot_that_was_asked_for_is_made_although_none_is_needed() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.patch(&["apply", "--reboot=always"]).applied(&["tb-hello 1.0 2.0"]);
    let restarts = restarts(&sandbox);
    assert!(restarts.lines().count() == 1 && restarts.starts_with("shutdown "), "{restarts}");
}

#[test]
fn a_reboot_that_is_scheduled_already_is_not_put_off() {
    let (sandbox, _repo) = kernel_pending();
    let scheduled = |mode: &str, after: i64| {
        let script = format!("echo USEC=$(($(date +%s) + {after}))000000; echo MODE={mode}");
        sandbox.sh(&format!("mkdir -p /run/systemd/shutdown; ({script}) >/run/systemd/shutdown/scheduled"));
    };
    let apply = ["apply", "--reboot=always", "--reboot-delay", "2h"];
    scheduled("reboot", 3600);
    sandbox.patch(&apply).exits(0).says("/reboot_scheduled", true);
    scheduled("poweroff", 86400);
    sandbox.patch(&apply).exits(0).says("/reboot_scheduled", false);
    assert_eq!(restarts(&sandbox), "");
    // A reboot that comes later does not serve instead.
    scheduled("reboot", 86400);
    sandbox.patch(&apply).exits(0).says("/reboot_scheduled", true);
    assert!(restarts(&sandbox).starts_with("shutdown -r +120"), "{}", restarts(&sandbox));
}

#[test]
fn what_systemd_says_of_a_reboot_is_waited_for() {
    let (sandbox, _repo) = kernel_pending();
    sandbox.sh("mkdir -p /run/systemd/system");
    let answer = "sleep 7; echo 'Failed to schedule shutdown: Connection timed out' >&2; exit 1";
    sandbox.write_script("/usr/local/sbin/shutdown", answer);
    let applied = sandbox.patch(&["apply", "--reboot=always"]);
    applied.exits(2).says("/reboot_scheduled", false).mentions("/reason", "Connection timed out");
}

#[test]
fn where_path_lacks_the_directories_of_the_administrator_the_reboot_is_asked_for_all_the_same() {
    // As cron starts a line of root's crontab.
    let (sandbox, _repo) = kernel_pending();
    let mut command = sandbox.command("env");
    command.args(["-i", "PATH=/usr/bin:/bin", "linux-patch", "--format", "json", "apply", "--reboot=always"]);
    sandbox.start(command).report().exits(0).says("/reboot_scheduled", true);
    assert!(restarts(&sandbox).starts_with("shutdown -r +1 "), "{}", restarts(&sandbox));
}

#[test]
fn a_shutdown_of_systemd_after_which_nothing_is_scheduled_is_no_reboot() {
    let (sandbox, _repo) = kernel_pending();
    sandbox.sh("mkdir -p /run/systemd/system");
    sandbox.write_script("/usr/local/sbin/shutdown", "echo 'Use the tool of the cluster instead.'");
    let applied = sandbox.patch(&["apply", "--reboot=always"]);
    applied.exits(2).says("/reboot_scheduled", false).says("/reboot_at", Value::Null);
    applied.mentions("/reason", "no reboot is scheduled; it said: Use the tool of the cluster instead.");
}

#[test]
fn what_inhibits_a_shutdown_is_named() {
    // As systemd 257 answers.
    let (sandbox, _repo) = kernel_pending();
    sandbox.sh("mkdir -p /run/systemd/system /run/systemd/inhibit");
    let inhibitor = "WHAT=shutdown\nMODE=block\nUID=0\nPID=67\nWHO=backup\nWHY=a copy is made\n";
    sandbox.write("/run/systemd/inhibit/1", inhibitor);
    sandbox.sh("mkfifo /run/systemd/inhibit/1.ref; sleep 100 <>/run/systemd/inhibit/1.ref >/dev/null 2>&1 &");
    let answer = "echo 'Failed to schedule shutdown: Access denied' >&2; exit 1";
    sandbox.write_script("/usr/local/sbin/shutdown", answer);
    let applied = sandbox.patch(&["apply", "--reboot=always"]);
    applied.exits(2).says("/reboot_scheduled", false);
    applied.mentions("/reason", "Access denied; it is inhibited by backup (process 67): a copy is made");
}

#[test]
fn a_shutdown_that_asks_is_not_answered_and_holds_nothing_up() {
    for (asks, said) in [
        // Nobody is at standard input.
        ("read answer || { echo 'Nobody answers.' >&2; exit 1; }", "Nobody answers."),
        ("until [ \"$answer\" = yes ]; do echo 'Reboot web1, yes or no?'; read answer; done", "yes or no?"),
        // Nor at the terminal, where there is one.
        ("read answer </dev/tty || { echo 'No terminal.' >&2; exit 1; }", "No terminal."),
    ] {
        let (sandbox, _repo) = kernel_pending();
        sandbox.write_script("/usr/local/sbin/shutdown", asks);
        let mut command = sandbox.command("script");
        command.args(["-qec", "linux-patch apply --reboot=always --format json >/run/document", "/dev/null"]);
        let ended = sandbox.start(command).wait();
        let document: Value = serde_json::from_str(&sandbox.read("/run/document").unwrap()).unwrap();
        assert_eq!((ended.code, &document["reboot_scheduled"]), (2, &Value::Bool(false)), "{ended:?}");
        assert!(document["reason"].as_str().unwrap().contains(said), "{document}");
        sandbox.runs_nothing();
    }
}

#[test]
fn a_reboot_of_busybox_that_no_init_hears_is_not_announced() {
    let (sandbox, _repo) = kernel_pending();
    sandbox.sh("rm -f /usr/local/sbin/* /usr/sbin/shutdown; ln -s /srv/busybox /usr/local/sbin/reboot");
    sandbox.write_script("/srv/busybox", "kill -s TERM 1");
    let applied = sandbox.patch(&["apply", "--reboot=always", "--reboot-delay", "1d"]);
    applied.exits(2).says("/reboot_scheduled", false);
    applied.mentions("/reason", "no init that could reboot; restart the container from outside");
    sandbox.runs_nothing();
}

#[test]
fn a_shutdown_that_waits_itself_is_left_alone_with_it() {
    // That of systemd never does.
    let (sandbox, _repo) = kernel_pending();
    sandbox.write_script(
        "/usr/local/sbin/shutdown",
        "touch /run/waits; until [ -e /run/go ]; do sleep 0.1; done; touch /run/done",
    );
    sandbox.patch(&["apply", "--reboot=always"]).exits(0).says("/reboot_scheduled", true);
    assert!(sandbox.exists("/run/waits") && !sandbox.exists("/run/done"));
    sandbox.write("/run/go", "");
    sandbox.wait_until("it goes on", || sandbox.exists("/run/done"));
}

#[test]
fn where_systemd_comes_without_its_shutdown_it_is_told_the_time_all_the_same() {
    let (sandbox, _repo) = kernel_pending();
    // A reboot that a process of ours waits for would end with the session or the unit it was started in.
    sandbox.sh("mkdir -p /run/systemd/system /run/dbus; touch /run/dbus/system_bus_socket
        rm -f /usr/local/sbin/shutdown /usr/sbin/shutdown");
    let note = "echo \"systemctl as $(tr '\\0' ' ' </proc/$$/cmdline): $*\" >>/run/restarts
        mkdir -p /run/systemd/shutdown
        echo \"USEC=$(($(date +%s) + 300))000000\" >/run/systemd/shutdown/scheduled
        echo MODE=reboot >>/run/systemd/shutdown/scheduled";
    sandbox.write_script("/usr/local/sbin/systemctl", note);
    let applied = sandbox.patch(&["apply", "--reboot=always", "--reboot-delay", "5m"]);
    applied.exits(0).says("/reboot_scheduled", true);
    let restarts = restarts(&sandbox);
    assert!(restarts.contains(": -r +5 "), "{restarts}");
}

#[test]
fn a_reboot_that_was_cancelled_or_has_come_is_not_announced_any_more() {
    let (sandbox, _repo) = kernel_pending();
    let apply = ["apply", "--reboot=always", "--reboot-delay", "2h"];
    sandbox.patch(&apply).exits(0).says("/reboot_scheduled", true);
    let announced = || sandbox.patch(&["status"]).json["reboot_scheduled_at"].clone();
    assert!(announced().is_string(), "an init that says nothing of it: {}", announced());
    let missed = |passed: i64| {
        // As if it had been asked for a while ago, but after the start.
        let at = format!("$(date -u -d '-{passed} seconds' +%Y-%m-%dT%H:%M:%SZ)");
        let change = format!(
            "sed -i \"s/\\(\\\"reboot_at\\\": *\\\"\\)[^\\\"]*/\\1{at}/\" /var/lib/linux-patch/state.json"
        );
        sandbox.sh(&change);
        sandbox.run(&["linux-patch", "status"]).stdout.contains("did not come")
    };
    let state = sandbox.read("/var/lib/linux-patch/state.json").unwrap();
    assert!(!missed(60), "it may be under way");
    assert!(missed(1000));
    sandbox.write("/var/lib/linux-patch/state.json", state);
    // systemd writes down what is to come, and nothing is.
    sandbox.sh("mkdir -p /run/systemd/system");
    assert_eq!(announced(), Value::Null);
    sandbox.sh("rm -r /run/systemd");
    // Somebody restarted the machine before.
    let state = sandbox.read("/var/lib/linux-patch/state.json").unwrap();
    let finished = sandbox.state()["apply"]["last"]["finished_at"].as_str().unwrap().to_string();
    sandbox.write("/var/lib/linux-patch/state.json", state.replace(&finished, "2001-01-01T00:00:00Z"));
    assert_eq!(announced(), Value::Null);
}

#[test]
fn a_dry_run_never_reboots() {
    let (sandbox, _repo) = kernel_pending();
    sandbox.write(FLAG, "");
    sandbox.patch(&["apply", "--dry-run", "--reboot=always"]).exits(0);
    sandbox.patch(&["apply", "--download-only", "--reboot=if-needed"]).exits(0);
    assert_eq!(restarts(&sandbox), "");
    // Without these options it is a reboot.
    sandbox.patch(&["apply", "--reboot=if-needed"]).exits(0);
    assert_ne!(restarts(&sandbox), "");
}

#[test]
fn a_failed_apply_counts_until_the_next_goes_well_or_others_have_done_its_work() {
    let (sandbox, repo) =
        bench::one(&[deb("tb-brk", "1.0")], &[deb("tb-brk", "2.0").script("postinst", "exit 1")]);
    sandbox.patch(&["apply"]).apply_failed("script");
    let status = sandbox.patch(&["status"]);
    status.exits(1).says("/cache_status", "fresh").says("/status", "degraded");
    let log = status.json["apply"]["last"]["log"].as_str().unwrap().to_string();
    assert!(status.json["reason"].as_str().unwrap().contains(&log), "{status}");
    assert!(sandbox.exists(&log), "{log}");
    // Changes by others elsewhere do not mend a broken package.
    bench::tick();
    bench::tick();
    sandbox.install(&[deb("tb-other", "1.0")]);
    sandbox.patch(&["refresh"]).exits(0);
    sandbox.patch(&["status"]).exits(1);
    repo.publish(&[deb("tb-brk", "3.0")]);
    sandbox.patch(&["apply"]).exits(0);
    sandbox.patch(&["status"]).exits(0).says("/status", "healthy");

    let (sandbox, repo) = bench::pending_update();
    sandbox.patch(&["refresh"]).exits(0);
    repo.server.fault(".deb", Fault::Status(404));
    sandbox.patch(&["apply"]).apply_failed("fetch");
    sandbox.patch(&["status"]).exits(1);
    repo.server.heal();
    bench::tick();
    bench::tick();
    sandbox.sh("apt-get -qq update && apt-get -qq -y upgrade");
    sandbox.patch(&["status"]).exits(1).says("/pending/outdated", true);
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&[]);
    sandbox.patch(&["status"]).exits(0).says("/status", "healthy");
}

#[test]
fn a_container_that_was_restarted_requires_no_reboot_any_more() {
    let (sandbox, _repo) = bench::pending_update();
    let required =
        r#"sed -i -E 's/"reboot_required": ?false/"reboot_required": true/' /var/lib/linux-patch/state.json"#;
    let status = "linux-patch --format json status";
    // Each has a first process of its own, and so has a container at each of its starts.
    let container = |lines: &str| {
        let ended = sandbox.run(&["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", lines]);
        let document: Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
        assert!(document.is_object(), "{ended:?}");
        document["reboot_required"].clone()
    };
    let found = container(&format!("linux-patch -q refresh >&2; {required}; {status}"));
    assert_eq!(found, true, "in the start in which it was found");
    assert_eq!(container(&format!("sleep 0.1; {status}")), false, "in the next");
}

#[test]
fn an_update_whose_script_changes_what_is_offered_is_counted_after() {
    let installed = [deb("tb-pins", "1.0"), deb("tb-pinned", "1.0")];
    let lifts = deb("tb-pins", "2.0").script("postinst", "rm -f /etc/apt/preferences.d/pin");
    let (sandbox, _repo) = bench::one(&installed, &[lifts, deb("tb-pinned", "2.0")]);
    sandbox.write("/etc/apt/preferences.d/pin", "Package: tb-pinned\nPin: version 2.0\nPin-Priority: -1\n");
    let applied = sandbox.patch(&["apply"]);
    assert_eq!(applied.json["packages"].as_array().map(Vec::len), Some(1));
    applied.exits(0).says("/pending/count", 1).says("/pending/packages/0/name", "tb-pinned");
    // Nothing of that one is left.
    sandbox.patch(&["apply"]).exits(0).says("/pending/count", 0).says("/pending/security", 0);
    sandbox.patch(&["status"]).exits(0).says("/pending/count", 0).says("/pending/outdated", false);
}

#[test]
fn a_file_of_sources_counts_where_apt_reads_it_by_its_name_and_otherwise_not() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.patch(&["refresh"]).exits(0);
    let letters = || {
        (b'!'..=b'~')
            .chain([b' '])
            .filter(|byte| *byte != b'/' && (!byte.is_ascii_alphanumeric() || b"aZ0".contains(byte)))
            .map(char::from)
    };
    let ends = ["", ".", ".list", ".sources", ".txt", ".LIST", ".list.d", ".list.1", ".list."];
    for end in [".list", ".sources", ""] {
        let names = letters().map(|letter| format!("a{letter}b")).chain(ends.map(|end| format!("a{end}")));
        let all: Vec<_> = names.map(|name| format!("/etc/apt/sources.list.d/{name}{end}")).collect();
        let write = |nth: usize| {
            let uri = format!("http://127.0.0.250/n{nth}n");
            let text = match all[nth].ends_with(".sources") {
                true => format!("Types: deb\nURIs: {uri}\nSuites: x\nComponents: main\n"),
                false => format!("deb {uri} x main\n"),
            };
            sandbox.write(&all[nth], text);
        };
        (0..all.len()).for_each(write);
        let read = sandbox.run(&["apt-get", "update", "--print-uris"]);
        assert_eq!(read.code, 0, "{read:?}");
        let read = read.stdout;
        all.iter().for_each(|path| drop(sandbox.run(&["rm", "-f", path])));
        let mut wrong = Vec::new();
        for (nth, path) in all.iter().enumerate() {
            let is_read = read.contains(&format!("/n{nth}n/"));
            write(nth);
            if (sandbox.patch(&["status"]).code == 1) != is_read {
                wrong.push((path, is_read));
            }
            sandbox.run(&["rm", path]);
        }
        assert!(wrong.is_empty(), "{wrong:?}, with whether apt reads it");
        assert!(read.matches("/n").count() > 3, "{read}");
    }
}

#[test]
fn since_when_a_reboot_is_required_is_remembered_and_metrics_tell_no_more_than_is_known() {
    let (sandbox, _repo) = kernel_pending();
    let metrics =
        |sandbox: &Sandbox| sandbox.run(&["linux-patch", "status", "--format", "openmetrics"]).stdout;
    let page = metrics(&sandbox);
    for unknown in
        ["reboot_required", "apply_in_progress", "apply_interrupted", "last_apply", "held_back", "manager="]
    {
        assert!(!page.contains(unknown), "{unknown}: {page}");
    }
    assert!(page.contains("\nlinux_patch_info{version=\""), "{page}");
    sandbox.patch(&["apply"]).exits(0).remembers("/reboot_required", true);
    let since = sandbox.state()["reboot_required_since"].as_str().unwrap().to_string();
    bench::tick();
    sandbox.patch(&["refresh"]).exits(0).remembers("/reboot_required_since", since.clone());
    sandbox
        .patch(&["status"])
        .says("/reboot_required_since", since)
        .says("/reboot_scheduled_at", Value::Null);
    let page = metrics(&sandbox);
    for line in [
        "last_apply_packages 1",
        "apply_in_progress 0",
        "reboot_required 1",
        "info{manager=\"apt\",version=\"0.1.0\"} 1",
    ] {
        assert!(page.contains(&format!("\nlinux_patch_{line}\n")), "{line}: {page}");
    }
    assert!(page.contains("\nlinux_patch_reboot_required_since_timestamp_seconds "), "{page}");
    assert!(!page.contains("failure{"), "{page}");
    sandbox.sh("mkdir -p /run/systemd/shutdown");
    sandbox.write("/run/systemd/shutdown/scheduled", "USEC=4102444800000000\nMODE=reboot\n");
    sandbox.patch(&["status"]).says("/reboot_scheduled_at", "2100-01-01T00:00:00Z");
    assert!(metrics(&sandbox).contains("\nlinux_patch_reboot_scheduled_timestamp_seconds 4102444800\n"));
}
