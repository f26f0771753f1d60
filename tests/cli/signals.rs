//! Signals to linux-patch: a clean end before the install, patience during it.

use crate::leisure::at_leisure;
use crate::machine::{is_running, pids_in, signal};
use crate::world::{Ran, World, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::Child;

/// A script that says that it runs and then lasts.
const LASTING: &str =
    "echo $$ >$world/pids; sleep 30 & echo $! >>$world/pids; touch $world/running; wait; sleep 30";

fn started(world: &World, child: Child) -> Child {
    until("the script runs", || world.path("running").exists());
    child
}

#[test]
fn a_signal_before_the_install_ends_the_run_cleanly() {
    for verb in ["update", "download"] {
        for (which, name) in [
            (Signal::TERM, "SIGTERM"),
            (Signal::INT, "SIGINT"),
            (Signal::HUP, "SIGHUP"),
            (Signal::USR1, "SIGUSR1"),
            (Signal::ALARM, "SIGALRM"),
            (Signal::POWER, "SIGPWR"),
        ] {
            let world = World::new();
            world.on(verb, LASTING);
            let child = started(&world, world.spawn("apply --format json"));
            signal(&child, which);
            let doc = Ran::end(child).json();
            assert_eq!(
                (&doc["exit_code"], &doc["error"]["class"]),
                (&json!(2), &json!("interrupted")),
                "{verb} {doc}"
            );
            assert!(doc["reason"].as_str().unwrap().contains(name), "{verb} {doc}");
            let state = world.state();
            assert_eq!(state["apply"]["last"]["outcome"], "interrupted", "{verb} {name}");
            assert_eq!(state["apply"]["in_progress"], Value::Null, "{verb} {name}");
            assert!(pids_in(&world, "pids").iter().all(|pid| !is_running(*pid)), "{verb}: something is left");
            assert_eq!(world.count("install"), 0);
            assert_eq!(world.json("status")["apply_interrupted"], false);
        }
    }
}

#[test]
fn a_signal_ends_a_refresh_with_its_group() {
    for which in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let world = World::new();
        world.on("update", LASTING);
        let child = started(&world, world.spawn("refresh --format json"));
        signal(&child, which);
        let doc = Ran::end(child).json();
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("interrupted")), "{doc}");
        assert!(pids_in(&world, "pids").iter().all(|pid| !is_running(*pid)), "something is left");
        // That is no verdict on the index.
        assert_eq!(world.state()["last_attempt"], json!(null));
    }
}

#[test]
fn an_install_under_way_is_waited_for_whatever_is_sent_and_its_true_result_told() {
    let rows = [("unpack", 0), ("unpack; exit 100", 2)];
    for (rest, code) in rows {
        let world = World::new();
        world.on(
            "install",
            &format!("progress pmstatus:x; touch $world/running; gate; touch $world/mark; {rest}"),
        );
        let mut child = started(&world, world.spawn("apply --format json"));
        for which in [
            Signal::TERM,
            Signal::HUP,
            Signal::INT,
            Signal::TERM,
            Signal::USR1,
            Signal::USR2,
            Signal::ALARM,
            Signal::VTALARM,
            Signal::PROF,
            Signal::POWER,
            Signal::QUIT,
        ] {
            signal(&child, which);
        }
        // A dropped connection closes the messages too.
        drop(child.stderr.take());
        world.write("go", "");
        let doc = Ran::end(child).json();
        assert!(world.path("mark").exists(), "the install was ended");
        assert_eq!(doc["exit_code"], code, "{doc}");
        assert_eq!(doc["packages"].as_array().unwrap().len(), 3, "{doc}");
        let outcome = if code == 0 { "success" } else { "failed" };
        assert_eq!(world.state()["apply"]["last"]["outcome"], outcome);
    }
}

#[test]
fn a_signal_during_the_install_is_told_on_standard_error() {
    let world = World::new();
    world.on("install", "touch $world/running; gate; unpack");
    let child = started(&world, world.spawn_telling("apply", "messages"));
    signal(&child, Signal::TERM);
    until("it is told", || world.read("messages").contains("SIGTERM received"));
    world.write("go", "");
    assert_eq!(Ran::end(child).code, 0);
    assert_eq!(world.read("messages").matches("SIGTERM received").count(), 1);
}

/// A signal that was noted during an install is not forgotten if the install has not begun after all.
#[test]
fn a_signal_during_an_install_that_another_process_keeps_out_ends_the_wait_for_it() {
    let world = World::new();
    world.on(
        "install",
        "touch $world/running; gate
         echo 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1339 (dpkg)' >&2
         exit 100",
    );
    let child = started(&world, world.spawn("apply --wait 60s --format json"));
    signal(&child, Signal::TERM);
    let began = std::time::Instant::now();
    world.write("go", "");
    let ran = Ran::end(child);
    let doc = ran.json();
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("interrupted")), "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("SIGTERM"), "{doc}");
    assert!(began.elapsed() < at_leisure(20), "{:?}", began.elapsed());
    assert_eq!((world.count("install"), doc["packages"].as_array().unwrap().len()), (1, 0), "{doc}");
    let state = world.state();
    assert_eq!(
        (&state["apply"]["in_progress"], &state["apply"]["last"]["outcome"]),
        (&Value::Null, &json!("interrupted"))
    );
}

#[test]
fn the_group_of_an_install_is_not_signalled_with_ours() {
    let world = World::new();
    world.on("install", "echo $$ >$world/pids; touch $world/running; gate; unpack");
    let mut command = world.command("apply");
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = started(&world, command.spawn().unwrap());
    // What a terminal does at Ctrl-C, and at a hangup.
    let group = rustix::process::Pid::from_child(&child);
    for which in [Signal::INT, Signal::HUP] {
        rustix::process::kill_process_group(group, which).unwrap();
    }
    world.write("go", "");
    assert_eq!(Ran::end(child).code, 0);
}

#[test]
fn a_hangup_that_the_caller_ignores_stays_ignored() {
    let world = World::new();
    world.on("download", "touch $world/running; gate; touch $world/mark");
    let nohup = ["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""];
    let child = started(&world, world.launched(&nohup, "apply --format json").spawn().unwrap());
    signal(&child, Signal::HUP);
    world.write("go", "");
    let doc = Ran::end(child).json();
    assert_eq!(doc["exit_code"], 0, "{doc}");
    assert!(world.path("mark").exists());
    let world = World::new();
    world.on("download", LASTING);
    let child = started(&world, world.launched(&nohup, "apply --format json").spawn().unwrap());
    signal(&child, Signal::HUP);
    signal(&child, Signal::TERM);
    assert_eq!(Ran::end(child).json()["error"]["class"], "interrupted");
}

#[test]
fn a_signal_between_download_and_install_installs_nothing() {
    let world = World::new();
    // The download itself is done when the signal comes: sending it is its last act.
    world.on("download", "read -r pid <$world/patch.pid; kill -TERM $pid");
    world.on(
        "update",
        "sed -n 's/^PPid:[^0-9]*//p' /proc/$$/status >$world/patch.pid; echo 'Hit:1 http://a s InRelease'",
    );
    let doc = world.json("apply");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("interrupted")), "{doc}");
    assert_eq!(world.count("install"), 0);
}

#[test]
fn a_question_after_the_install_that_a_signal_hits_is_asked_again() {
    // A child leaves our group a moment after its start: a signal to the group in between reaches it too.
    for times in [1, 3] {
        let world = World::new();
        world.on("install", "touch $world/installed.now; unpack");
        world.on(
            "dpkg-query",
            &format!(
                "if [ -e $world/installed.now ] && [ ! -e $world/hit.{times} ]; then
                     n=1; while [ -e $world/hit.$n ]; do n=$((n + 1)); done; touch $world/hit.$n
                     kill -HUP $PPID; kill -HUP $$
                 fi
                 cat $world/installed"
            ),
        );
        let doc = world.json("apply");
        assert_eq!((&doc["exit_code"], doc["packages"].as_array().unwrap().len()), (&json!(0), 3), "{doc}");
        assert!(world.path(&format!("hit.{times}")).exists());
        assert_eq!(world.state()["apply"]["last"]["outcome"], "success");
    }
}

/// A started program inherits an alarm(2): `perl -e 'alarm 60; exec @ARGV'` is a known way to set a limit.
#[test]
fn an_alarm_that_the_caller_set_ends_no_install() {
    // On a busy machine it may come before the install: then there is nothing to see.
    let has_hit = [1, 2, 4, 8, 16].into_iter().any(|seconds| {
        let world = World::new();
        world.on("install", &format!("touch $world/installing; sleep {seconds}.5; unpack"));
        let alarm = format!("alarm {seconds}; exec @ARGV");
        let doc = Ran::of(world.launched(&["perl", "-e", &alarm], "apply --format json")).json();
        let has_begun = world.path("installing").exists();
        let (code, count) = if has_begun { (0, 3) } else { (2, 0) };
        assert_eq!(doc["exit_code"], code, "{doc}");
        assert_eq!(doc["packages"].as_array().unwrap().len(), count, "{doc}");
        has_begun
    });
    assert!(has_hit, "no alarm came within an install");
    let limit = ["perl", "-e", "alarm 1; exec @ARGV"];
    let world = World::new();
    world.on("update", LASTING);
    let doc = Ran::of(world.launched(&limit, "refresh --format json")).json();
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("interrupted")), "{doc}");
}

#[test]
fn a_signal_that_the_caller_left_blocked_stops_a_run_all_the_same() {
    let block = "use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM, SIGCHLD)); exec @ARGV";
    for verb in ["refresh", "apply"] {
        let world = World::new();
        world.on("update", LASTING);
        let blocked = world.launched(&["perl", "-e", block], &format!("{verb} --format json")).spawn();
        let child = started(&world, blocked.unwrap());
        let began = std::time::Instant::now();
        signal(&child, Signal::TERM);
        let doc = Ran::end(child).json();
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("interrupted")), "{doc}");
        assert!(began.elapsed() < at_leisure(20), "{:?}", began.elapsed());
        assert!(pids_in(&world, "pids").iter().all(|pid| !is_running(*pid)), "something is left");
    }
}
