//! `apply`: its rows of the exit code table and what it reports.

use crate::machine::{cut_off, fresh_state};
use crate::world::{World, replay, until};
use serde_json::{Value, json};

#[test]
fn everything_pending_is_installed_and_listed_with_both_versions() {
    let world = World::new();
    let doc = world.json("apply");
    assert_eq!((&doc["exit_code"], &doc["retried"], &doc["error"]), (&json!(0), &json!(false), &Value::Null));
    let changed = |name: &str| json!({"name": name, "from": "1.0-1", "to": "2.0-1"});
    assert_eq!(doc["packages"], json!([changed("tb-hello"), changed("tb-sec"), changed("tb-world")]));
    let verbs = ["update", "download", "install", "dpkg", "shutdown"].map(|verb| world.count(verb));
    assert_eq!(verbs, [1, 1, 1, 0, 0]);
    let state = world.state();
    assert_eq!(state["apply"]["last"]["outcome"], "success");
    assert_eq!(state["apply"]["in_progress"], Value::Null);
    assert_eq!(
        (&state["counters"]["apply_total"], &state["counters"]["apply_failed_total"]),
        (&json!(1), &json!(0))
    );
    let text = world.run("status").stdout;
    assert!(text.contains("last apply: ") && text.contains("3 packages changed"), "{text}");
}

#[test]
fn nothing_pending_is_done_without_a_download() {
    let world = World::new();
    world.write("pending", "");
    let doc = world.json("apply");
    assert_eq!((&doc["exit_code"], &doc["reason"]), (&json!(0), &json!("nothing pending")));
    assert_eq!((world.count("update"), world.count("download"), world.count("install")), (1, 0, 0));
}

#[test]
fn what_is_pending_is_not_known_where_it_cannot_be_listed_and_the_reason_is_kept() {
    let world = World::new();
    world.run("refresh");
    assert_eq!(world.state()["pending"]["count"], 3);
    world.on("simulate", "echo 'E: The package cache file is corrupted' >&2; exit 100");
    world.on("update", &replay("3.0-a3-refresh-updates-pending"));
    let doc = world.json("refresh");
    assert_eq!((&doc["exit_code"], &doc["cache_status"]), (&json!(1), &json!("stale")), "{doc}");
    let pending = world.state()["pending"].clone();
    for key in ["count", "security", "packages", "held_back"] {
        assert_eq!(pending[key], Value::Null, "{key}: {pending}");
    }
    assert!(pending["error"]["message"].as_str().unwrap().contains("cache file is corrupted"), "{pending}");
    let status = world.json("status");
    assert_eq!((&status["exit_code"], &status["pending"]["error"]), (&json!(1), &pending["error"]));
    assert!(status["reason"].as_str().unwrap().contains("what is pending is not known"), "{status}");
    for format in ["text", "nagios"] {
        let shown = world.run(&format!("status --format {format}")).stdout;
        assert!(shown.contains("not known (other: ") && !shown.contains("nothing pending"), "{shown}");
    }
    let shown = world.run("status --format nagios").stdout;
    assert!(shown.starts_with("PATCH WARNING: ") && shown.contains(" pending=U;"), "{shown}");
    let has_count =
        || world.run("status --format openmetrics").stdout.contains("linux_patch_pending_updates ");
    assert!(!has_count());
    // The next refresh counts anew, though nothing has changed since.
    world.on("simulate", "cat $world/pending");
    world.on("update", &replay("3.0-a1-refresh-no-updates"));
    assert_eq!(world.json("refresh")["exit_code"], 0);
    assert_eq!(
        (&world.state()["pending"]["count"], &world.state()["pending"]["error"]),
        (&json!(3), &Value::Null)
    );
    assert!(has_count());
}

#[test]
fn a_partial_refresh_installs_what_it_can_unless_strict() {
    let world = World::new();
    world.on("update", &replay("3.0-b07-refused-default"));
    let doc = world.json("apply --strict");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("network")));
    assert_eq!((world.count("download"), world.count("install")), (0, 0));
    let doc = world.json("apply");
    assert_eq!((&doc["exit_code"], doc["packages"].as_array().unwrap().len()), (&json!(1), 3), "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("stale"), "{doc}");
    assert_eq!(world.state()["apply"]["last"]["outcome"], "partial");
}

#[test]
fn a_failed_refresh_stops_the_run_before_any_download() {
    for script in [replay("3.0-b17-all-404-default"), replay("3.0-r5-malformed-source-line"), "exit 7".into()]
    {
        let world = World::new();
        world.on("update", &script);
        let doc = world.json("apply");
        assert_eq!(doc["exit_code"], 2, "{script}");
        assert_eq!((world.count("update"), world.count("download"), world.count("install")), (1, 0, 0));
        assert_eq!(world.state()["apply"]["last"]["outcome"], "failed");
    }
}

#[test]
fn a_failed_install_reports_what_is_really_installed() {
    let world = World::new();
    let half = world.read("installed").replacen("\t1.0-1", "\t2.0-1", 1);
    world.write("half", &half.replacen("ii ", "iF ", 1));
    world.on(
        "install",
        &format!("progress pmstatus:x; cp $world/half $world/installed; {}", replay("3.0-f1-postinst-fails")),
    );
    let doc = world.json("apply");
    assert_eq!(
        (&doc["exit_code"], &doc["error"]["class"], &doc["retried"]),
        (&json!(2), &json!("script"), &json!(false))
    );
    assert_eq!(doc["packages"], json!([{"name": "tb-hello", "from": "1.0-1", "to": "2.0-1"}]));
    assert_eq!(world.state()["apply"]["last"]["packages"], doc["packages"]);
    let log = std::fs::read_to_string(doc["log"].as_str().unwrap()).unwrap();
    assert!(log.contains("tb-brk: post script says no"), "{log}");
}

#[test]
fn an_install_that_says_0_and_installs_nothing_or_half_is_failed() {
    let world = World::new();
    world.on("install", "progress pmstatus:x");
    let doc = world.json("apply");
    assert_eq!(doc["exit_code"], 2, "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("tb-hello, tb-sec, tb-world"), "{doc}");
    let world = World::new();
    world.write("installed.after", &world.read("installed.after").replace("2.0-1\tii ", "2.0-1\tiF "));
    let doc = world.json("apply");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("script")), "{doc}");
    assert_eq!(doc["packages"].as_array().unwrap().len(), 3);
}

#[test]
fn a_dry_run_refreshes_and_says_what_would_change_and_changes_nothing() {
    let world = World::new();
    let doc = world.json("apply --dry-run");
    assert_eq!((&doc["exit_code"], &doc["dry_run"]), (&json!(0), &json!(true)));
    assert_eq!(doc["packages"].as_array().unwrap().len(), 3);
    assert_eq!((world.count("update"), world.count("download"), world.count("install")), (1, 0, 0));
    assert_eq!(world.state()["apply"]["last"], Value::Null);
    let before = world.state()["counters"]["apply_total"].clone();
    assert_eq!(before, 0);
}

#[test]
fn a_dry_run_leaves_an_earlier_cut_off_on_record() {
    let world = World::new();
    let mut state = fresh_state(100);
    state["apply"]["in_progress"] = cut_off("install");
    world.write_state(&state);
    let ran = world.run("apply --dry-run");
    assert_eq!((ran.code, world.count("dpkg")), (0, 0), "{}", ran.stderr);
    assert_eq!(world.json("status")["apply_interrupted"], true);
}

#[test]
fn an_apply_that_ends_before_the_repair_leaves_the_cut_off_on_record() {
    let world = World::new();
    let mut state = fresh_state(100);
    state["apply"]["in_progress"] = cut_off("install");
    world.write_state(&state);
    world.on("dpkg-query", "echo 'dpkg-query: error: cannot fork' >&2; exit 2");
    let doc = world.json("apply");
    assert_eq!((&doc["exit_code"], world.count("dpkg")), (&json!(2), 0), "{doc}");
    assert_eq!(world.json("status")["apply_interrupted"], true, "the cut-off is forgotten");
}

#[test]
fn a_cut_off_apply_is_repaired_first_and_that_is_said() {
    let world = World::new();
    let mut state = fresh_state(100);
    state["apply"]["in_progress"] = cut_off("install");
    world.write_state(&state);
    let ran = world.run("apply --format json");
    assert_eq!(ran.json()["repaired"], true, "{}", ran.stderr);
    assert!(ran.stderr.contains("repairing"), "{}", ran.stderr);
    let calls = world.read("calls");
    let order: Vec<_> = calls.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    let at = |verb: &str| order.iter().position(|word| *word == verb).unwrap();
    assert!(at("dpkg") < at("update"), "{order:?}");
    assert!(world.calls("dpkg")[0].ends_with("--force-confdef --force-confold --configure -a"), "{calls}");
    assert_eq!(world.json("status")["apply_interrupted"], false);
    assert_eq!(world.json("apply")["repaired"], false);
    assert_eq!(world.count("dpkg"), 1);
}

#[test]
fn a_package_that_the_database_calls_half_installed_is_repaired_too() {
    let world = World::new();
    world.write("installed", &world.read("installed").replacen("ii ", "iU ", 1));
    world.on("dpkg", "sed 's/iU /ii /' $world/installed >$world/fixed; mv $world/fixed $world/installed");
    let doc = world.json("apply");
    assert_eq!((&doc["exit_code"], &doc["repaired"]), (&json!(0), &json!(true)), "{doc}");
}

#[test]
fn a_download_only_run_installs_nothing() {
    let world = World::new();
    let doc = world.json("apply --download-only");
    assert_eq!((&doc["exit_code"], &doc["reason"]), (&json!(0), &json!("3 packages downloaded")));
    assert_eq!((world.count("download"), world.count("install"), &doc["packages"]), (1, 0, &json!([])));
}

/// A world in which a selection leaves only tb-sec, and the selection can be looked at.
fn selecting() -> World {
    let world = World::new();
    let only =
        world.read("pending").lines().filter(|line| line.contains("tb-sec [")).collect::<Vec<_>>().join("\n");
    world.write("selected", &only);
    world.on(
        "simulate",
        "case $* in
            *Dir::Etc::Preferences=*)
                cp \"$(echo \"$*\" | sed 's/.*Dir::Etc::Preferences=\\([^ ]*\\).*/\\1/')\" $world/preferences
                cat $world/selected ;;
            *--only-upgrade*) cat $world/selected ;;
            *) cat $world/pending ;;
        esac",
    );
    let after = world.read("installed").replace("tb-sec\tall\t1.0-1", "tb-sec\tall\t2.0-1");
    world.write("installed.after", &after);
    world
}

#[test]
fn a_selection_pins_everything_else_and_is_removed_afterwards() {
    for args in ["apply tb-sec", "apply --security", "apply --exclude tb-[hw]* --exclude libc6"] {
        let world = selecting();
        let doc = world.json(args);
        assert_eq!(
            doc["packages"],
            json!([{"name": "tb-sec", "from": "1.0-1", "to": "2.0-1"}]),
            "{args}: {doc}"
        );
        let pins = world.read("preferences");
        assert!(
            pins.contains("Package: tb-hello\n") && pins.contains("Package: tb-world\n"),
            "{args}: {pins}"
        );
        assert!(!pins.contains("tb-sec"), "{args}: {pins}");
        for verb in ["download", "install"] {
            assert!(world.calls(verb)[0].contains("Dir::Etc::Preferences="), "{args} {verb}");
        }
        let files = world.state_files();
        assert!(files.contains(&"state.json".to_string()), "{args}: {files:?}");
        assert!(!files.contains(&"selection".to_string()), "{args}: {files:?}");
    }
}

#[test]
fn what_only_a_source_offers_that_was_not_refreshed_is_left_out() {
    let world = selecting();
    world.on("update", &replay("3.0-b12-503-default"));
    let table = |name: &str, source: &str| {
        format!(
            "{name}:\n  Installed: 1.0-1\n  Candidate: 2.0-1\n  Version table:\n     2.0-1 500\n        \
             500 {source} amd64 Packages\n *** 1.0-1 100\n        100 /var/lib/dpkg/status\n"
        )
    };
    let tables = [
        table("tb-hello", "http://127.0.0.2:8080 stable/main"),
        table("tb-sec", "http://127.0.0.3:8080 stable-security/main"),
        table("tb-world", "http://127.0.0.2:8080 stable/main"),
    ];
    world.write("policy", &tables.concat());
    world.on("apt-cache", "cat $world/policy");
    let ran = world.run("apply --format json");
    let doc = ran.json();
    assert_eq!(doc["exit_code"], 1, "{doc}");
    assert_eq!(doc["packages"], json!([{"name": "tb-sec", "from": "1.0-1", "to": "2.0-1"}]), "{doc}");
    assert!(ran.stderr.contains("left out") && ran.stderr.contains("tb-hello, tb-world"), "{}", ran.stderr);
}

#[test]
fn a_package_that_is_not_installed_or_held_back_is_a_failure_before_any_download() {
    let world = selecting();
    for name in ["tb-unknown", "tb-sec:i386"] {
        let doc = world.json(&format!("apply {name}"));
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("dependency")), "{doc}");
        assert!(doc["reason"].as_str().unwrap().contains(name), "{doc}");
    }
    assert_eq!(world.count("download"), 0);
}

#[test]
fn full_asks_apt_for_a_dist_upgrade_and_nothing_else_does() {
    let world = World::new();
    world.run("apply --full");
    assert!(world.calls("install")[0].ends_with(" dist-upgrade"), "{:?}", world.calls("install"));
    let world = World::new();
    world.run("apply");
    assert!(world.calls("install")[0].ends_with(" --with-new-pkgs upgrade"), "{:?}", world.calls("install"));
    assert!(!world.read("calls").contains("dist-upgrade"));
}

#[test]
fn a_machine_whose_shutdown_is_missing_or_takes_no_time_is_restarted_by_what_its_init_has() {
    let without_shutdown = || {
        let world = World::new();
        std::fs::remove_file(world.path("fakes/shutdown")).unwrap();
        world
    };
    for (program, line) in
        [("reboot", "reboot"), ("systemctl", "reboot"), ("openrc-shutdown", "--reboot now")]
    {
        let world = without_shutdown();
        world.install_fake(program);
        world.on(program, "exit 0");
        assert_eq!(
            world.json("apply --reboot=always --reboot-delay 0")["reboot_scheduled"],
            true,
            "{program}"
        );
        until(program, || world.count(program) == 1);
        assert!(world.calls(program)[0].trim_end().ends_with(line), "{:?}", world.calls(program));
    }
    // The answers of inits whose shutdown reboots at once or not at all: dinit's, one that does not know the option,
    // runit 2.1.2's.
    for answer in [
        "echo 'shutdown :   shutdown the system'; echo '  --help           : show this help'; exit 1",
        "echo 'Unrecognized command-line parameter: +0' >&2; exit 1",
        "echo 'Usage: shutdown [-F] [-f] [-r] [-h] [now] ' >&2; exit 1",
    ] {
        let world = World::new();
        world.install_fake("reboot");
        world.on("shutdown", answer).on("reboot", "exit 0");
        let doc = world.json("apply --reboot=always --reboot-delay 0");
        assert_eq!(doc["reboot_scheduled"], true, "{answer}: {doc}");
        until("reboot", || world.count("reboot") == 1);
    }
    // systemd's in a chroot.
    let world = World::new();
    world.on("shutdown", "echo 'Running in chroot, ignoring request.' >&2");
    let doc = world.json("apply --reboot=always");
    assert_eq!((&doc["exit_code"], &doc["reboot_scheduled"]), (&json!(2), &json!(false)), "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("Running in chroot"), "{doc}");
    // sysvinit's, which waits for the time itself.
    let world = World::new();
    world.on("shutdown", "echo 'shutdown: already running (pid 4711).' >&2; exit 1");
    let doc = world.json("apply --reboot=always");
    assert_eq!((&doc["exit_code"], &doc["reboot_scheduled"]), (&json!(0), &json!(true)), "{doc}");
    // With a delay nothing comes before it, and nothing waits for it.
    let world = without_shutdown();
    world.install_fake("reboot");
    let ran = world.run("--format json apply --reboot=always --reboot-delay 1m");
    assert_eq!((&ran.json()["reboot_scheduled"], world.count("reboot")), (&json!(true), 0));
    assert!(ran.took < std::time::Duration::from_secs(20), "{:?}", ran.took);
    let world = without_shutdown();
    let doc = world.json("apply --reboot=always");
    assert_eq!(doc["exit_code"], 2, "{doc}");
    assert!(
        doc["reason"]
            .as_str()
            .unwrap()
            .contains("shutdown is not on PATH; no reboot, systemctl or openrc-shutdown is on PATH"),
        "{doc}"
    );
}

#[test]
fn a_value_of_reboot_behind_a_blank_is_told_how_to_be_written() {
    for value in ["always", "if-needed"] {
        let world = World::new();
        let doc = world.json(&format!("apply --reboot {value}"));
        assert_eq!(doc["exit_code"], 3, "{doc}");
        assert!(doc["reason"].as_str().unwrap().contains(&format!("write --reboot={value}")), "{doc}");
        assert_eq!(world.count("update"), 0);
        // Without the option it may be a package.
        assert_eq!(world.json(&format!("apply {value}"))["error"]["class"], "dependency");
    }
}

#[test]
fn what_can_only_be_meant_as_a_value_of_reboot_is_no_package() {
    let said = [
        ("if-required", "write --reboot=if-needed or --reboot=always"),
        ("IfNeeded", "write --reboot=if-needed or --reboot=always"),
        ("yes", "write --reboot=if-needed or --reboot=always"),
        ("never", "leave out --reboot, and there is no reboot"),
        ("false", "leave out --reboot, and there is no reboot"),
        ("5m", "write --reboot-delay 5m"),
        ("+10", "write --reboot-delay 10m"),
        ("10", "write --reboot-delay 10m"),
        ("05:00", "write --reboot-at 05:00"),
    ];
    for (value, words) in said {
        let world = World::new();
        let doc = world.json(&format!("apply --reboot {value}"));
        assert_eq!(doc["exit_code"], 3, "{doc}");
        assert!(doc["reason"].as_str().unwrap().contains(words), "{doc}");
        assert_eq!(world.count("update"), 0);
    }
    // A package that may be meant is one.
    assert_eq!(World::new().json("apply --reboot tb-hello")["exit_code"], 0);
}

#[test]
fn a_delay_without_a_reboot_is_refused_like_a_time_without_one() {
    for args in ["apply --reboot-delay 5m", "apply --reboot-at 05:00"] {
        let world = World::new();
        let doc = world.json(args);
        assert_eq!(doc["exit_code"], 3, "{doc}");
        assert!(doc["reason"].as_str().unwrap().contains("--reboot"), "{doc}");
        assert_eq!(world.count("update"), 0);
    }
}

#[test]
fn a_restart_is_asked_for_only_after_a_success_and_only_when_wanted() {
    let world = World::new();
    assert_eq!(world.json("apply --reboot=always --reboot-delay 61s")["reboot_scheduled"], true);
    assert!(world.calls("shutdown")[0].contains("shutdown -r +2 "), "{:?}", world.calls("shutdown"));
    for args in ["apply --reboot=always --dry-run", "apply --reboot=always --download-only", "apply"] {
        let world = World::new();
        assert_eq!(world.json(args)["reboot_scheduled"], false, "{args}");
        assert_eq!(world.count("shutdown"), 0, "{args}");
    }
    // Whether a reboot is needed depends on this machine; the test is that it is asked for exactly then.
    let world = World::new();
    let doc = world.json("apply --reboot");
    assert_eq!(
        (&doc["reboot_scheduled"], world.count("shutdown") == 1),
        (&doc["reboot_required"], doc["reboot_required"] == true)
    );
    let world = World::new();
    world.on("install", "exit 1");
    assert_eq!(world.json("apply --reboot=always")["exit_code"], 2);
    assert_eq!(world.count("shutdown"), 0);
    let world = World::new();
    world.on("shutdown", "echo 'Failed to talk to init daemon.' >&2; exit 1");
    let doc = world.json("apply --reboot=always");
    assert_eq!(doc["exit_code"], 2);
    assert!(doc["reason"].as_str().unwrap().contains("Failed to talk to init daemon."), "{doc}");
}
