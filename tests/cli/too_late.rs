//! `apply --not-after` and `--reboot-at`, on a machine whose clock the test sets.

use crate::world::World;
use serde_json::json;

/// A machine on which it is this time of the day.
fn at(time: &str) -> World {
    let world = World::new();
    world.install_fake("date");
    world.on("date", &format!("echo {time}"));
    world
}

#[test]
fn a_run_that_comes_too_late_refreshes_and_installs_nothing() {
    let world = at("10:00:00");
    let doc = world.json("apply --not-after 05:00 --reboot=always");
    assert_eq!(
        (&doc["exit_code"], &doc["too_late"], &doc["packages"]),
        (&json!(0), &json!(true), &json!([]))
    );
    let reason = "it is past 05:00 (--not-after): 3 updates not installed";
    assert_eq!(doc["reason"], reason, "{doc}");
    let verbs = ["update", "download", "install", "shutdown"].map(|verb| world.count(verb));
    assert_eq!(verbs, [1, 0, 0, 0]);
    assert_eq!(world.state()["pending"]["count"], 3);
    let dry = world.json("apply --not-after 05:00 --dry-run");
    assert_eq!((&dry["reason"], &dry["packages"]), (&json!(reason), &json!([])));
    // Downloading is no install.
    assert_eq!(world.json("apply --not-after 05:00 --download-only")["too_late"], json!(false));
    assert_eq!(world.count("download"), 1);
}

/// The alert must not fall silent with nothing installed.
#[test]
fn a_run_that_comes_too_late_hides_no_failure_of_an_earlier_one() {
    let world = at("03:30:00");
    world.on("install", "echo 'E: it failed' >&2; exit 100");
    assert_eq!(world.json("apply --not-after 05:00")["exit_code"], json!(2));
    assert_eq!(world.json("status")["exit_code"], json!(1));
    world.on("date", "echo 10:00:00").on("install", "unpack");
    let late = world.json("apply --not-after 05:00");
    assert_eq!((&late["exit_code"], &late["too_late"]), (&json!(0), &json!(true)), "{late}");
    assert_eq!(world.json("status")["exit_code"], json!(1));
    world.on("date", "echo 03:30:00");
    assert_eq!(world.json("apply --not-after 05:00")["exit_code"], json!(0));
    assert_eq!(world.json("status")["exit_code"], json!(0));
}

#[test]
fn before_that_time_everything_is_installed_also_where_midnight_lies_between() {
    for (now, time) in [("03:00:00", "05:00"), ("23:30:00", "02:00"), ("04:50:00", "05:00")] {
        let world = at(now);
        let doc = world.json(&format!("apply --not-after {time} --reboot=always"));
        assert_eq!((&doc["exit_code"], &doc["too_late"]), (&json!(0), &json!(false)), "{now}: {doc}");
        assert_eq!((world.count("install"), world.count("shutdown")), (1, 1), "{now}");
    }
}

#[test]
fn what_takes_until_after_that_time_is_not_begun() {
    // Asked at the start, before the download, and before the install.
    let world = at("04:50:00");
    world.on_call("date", 3, "echo 05:00:01");
    let doc = world.json("apply --not-after 05:00");
    assert_eq!((&doc["exit_code"], &doc["too_late"]), (&json!(0), &json!(true)), "{doc}");
    assert_eq!((world.count("download"), world.count("install")), (1, 0));
    // A lock that others hold is waited for in the install.
    let world = at("04:50:00");
    let held =
        "echo 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (x)' >&2; exit 100";
    world.on_call("install", 1, held).on_call("date", 4, "echo 05:00:01");
    let doc = world.json("apply --not-after 05:00");
    assert_eq!((&doc["exit_code"], &doc["too_late"]), (&json!(0), &json!(true)), "{doc}");
    assert_eq!((world.count("date"), world.count("install")), (4, 1));
    assert_eq!(world.state()["apply"]["in_progress"], serde_json::Value::Null);
}

#[test]
fn an_install_that_has_begun_goes_on_past_that_time() {
    let world = at("04:59:00");
    world.on("install", "unpack; echo 'echo 09:00:00' >$world/scripts/date");
    let doc = world.json("apply --not-after 05:00 --reboot=always");
    assert_eq!((&doc["exit_code"], &doc["too_late"]), (&json!(0), &json!(false)), "{doc}");
    assert_eq!((doc["packages"].as_array().unwrap().len(), world.count("shutdown")), (3, 1), "{doc}");
}

#[test]
fn a_machine_whose_time_is_not_known_is_left_alone() {
    for answer in ["echo soon", "echo 'no time' >&2; exit 1", "echo 25:00:00"] {
        let world = at("10:00:00");
        world.on("date", answer);
        let ran = world.run("apply --not-after 05:00");
        assert_eq!((ran.code, ran.stderr.lines().count()), (3, 1), "{}", ran.stderr);
        assert!(ran.stderr.contains("could not ask date for the local time: "), "{}", ran.stderr);
        assert_eq!(world.count("update"), 0);
    }
    let world = World::new();
    assert_eq!(world.run("apply --not-after 05:00").code, 3);
}

#[test]
fn a_restart_comes_when_the_clock_says_so_next() {
    let world = at("03:30:30");
    let doc = world.json("apply --reboot=always --reboot-at 05:00");
    assert!(world.calls("shutdown")[0].contains("shutdown -r 05:00 "), "{:?}", world.calls("shutdown"));
    assert_eq!(doc["reboot_scheduled"], true, "{doc}");
    let time = |text: &serde_json::Value| {
        linux_patch::system::time::Time::parse(text.as_str()?, "%Y-%m-%dT%H:%M:%SZ")
    };
    let due = time(&doc["reboot_at"]).unwrap().seconds_since(linux_patch::system::time::Time::now());
    assert!((5300..=5370).contains(&due), "{due}: {doc}");
    assert_eq!(world.state()["apply"]["last"]["reboot_at"], doc["reboot_at"]);
    assert_eq!(world.state()["counters"]["apply_total"], 1);
    // It is still known after another run, which asks for none.
    assert_eq!(world.json("apply")["reboot_at"], serde_json::Value::Null);
    let last = world.state()["apply"]["last"].clone();
    assert_eq!((&last["reboot_at"], &last["outcome"]), (&doc["reboot_at"], &json!("success")));
    // A run that comes late because it was missed waits for the next night, and needs no --not-after for that.
    let world = at("09:00:00");
    let doc = world.json("apply --reboot=always --reboot-at 05:00 --not-after 04:00");
    assert_eq!((&doc["too_late"], &doc["reboot_scheduled"]), (&json!(true), &json!(true)), "{doc}");
    let text = at("03:30:00").run("apply --reboot=always --reboot-at 05:00").stdout;
    assert!(text.contains("reboot requested for 20"), "{text}");
    // Without an end, and with nothing to say.
    for args in ["apply --reboot=always --reboot-at 05:00 --dry-run", "apply"] {
        let doc = at("03:30:00").json(args);
        assert_eq!(
            (&doc["reboot_scheduled"], &doc["reboot_at"]),
            (&json!(false), &serde_json::Value::Null),
            "{args}"
        );
    }
}

#[test]
fn an_init_without_a_shutdown_that_takes_a_time_is_waited_for() {
    let world = at("04:59:58");
    world.install_fake("reboot");
    world.on("reboot", "exit 0").on("shutdown", "echo 'Usage: shutdown [-r] [now|+minutes]' >&2; exit 1");
    let ran = world.run("apply --reboot=always --reboot-at 05:00 --format json");
    assert_eq!(ran.json()["reboot_scheduled"], true, "{}", ran.stderr);
    crate::world::until("reboot", || world.count("reboot") == 1);
    // If the time is not known, no install is begun.
    let world = at("");
    let ran = world.run("apply --reboot=always --reboot-at 05:00");
    assert_eq!((ran.code, world.count("update")), (3, 0), "{}", ran.stderr);
}
