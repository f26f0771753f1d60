//! linux-patch killed at any moment: the state stays true, and the next run works.

use crate::machine::{fresh_state, signal};
use crate::world::{World, in_parallel, until};
use linux_patch::store::state_file::{Loaded, parse};
use rustix::process::Signal;
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const MOMENTS: usize = 64;
/// How many programs a refresh starts, and an apply.
const REFRESH: usize = 6;
const APPLY: usize = 12;

/// Ages of the complete refresh that went before.
const BEFORE: i64 = 5000;

/// What must hold at every moment: the state can be read, and there are no other files.
fn assert_sound(world: &World, moment: &str) -> Value {
    let bytes = std::fs::read(world.state_dir().join("state.json")).unwrap();
    assert!(matches!(parse(&bytes), Loaded::Good(_)), "{moment}: {}", String::from_utf8_lossy(&bytes));
    let known = [".state.json.new", "history.jsonl", "lock", "log", "state.json"];
    let files = world.state_files();
    assert!(files.iter().all(|name| known.contains(&name.as_str())), "{moment}: {files:?}");
    serde_json::from_slice(&bytes).unwrap()
}

/// Waits until a fake that outlived linux-patch has ended: it goes on, as apt would.
fn wait_for_orphans(world: &World) {
    let calls = world.read("calls");
    let pids: Vec<_> = calls.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    until("the orphans end", || pids.iter().all(|pid| !crate::machine::is_running(*pid)));
}

/// Starts a run and kills it some milliseconds after so many programs were started, or at its end. So the moment
/// depends on what has happened, not on time.
fn killed(args: &str, part: usize, programs: usize, prepare: impl Fn(&World)) -> World {
    let world = World::new();
    prepare(&world);
    let mut child = world.spawn(args);
    let started = || world.read("calls").lines().count();
    while started() < part % programs && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis((part / programs * 8) as u64));
    // It may have ended.
    if child.try_wait().unwrap().is_none() {
        signal(&child, Signal::KILL);
    }
    child.wait().unwrap();
    world
}

#[test]
fn a_refresh_killed_at_any_moment_leaves_a_true_state() {
    let prepare = |world: &World| {
        world.write_state(&fresh_state(BEFORE));
        world.on(
            "update",
            "sleep 0.05; echo 'Hit:1 http://a s InRelease'; sleep 0.05; touch $world/refreshed",
        );
        world.on("simulate", "sleep 0.03; cat $world/pending");
    };
    let moments: Vec<_> = (0..MOMENTS).collect();
    let (moved, kept) = (AtomicUsize::new(0), AtomicUsize::new(0));
    in_parallel(&moments, |part| {
        let world = killed("refresh", *part, REFRESH, prepare);
        let finished = world.path("refreshed").exists();
        let state = assert_sound(&world, &format!("moment {part}"));
        let age = linux_patch::system::time::Time::now().unix() - unix(&state["last_cache_update"]);
        match age {
            0..60 => {
                assert!(finished, "moment {part}: an unfinished refresh counts as one");
                moved.fetch_add(1, Relaxed);
            }
            _ => {
                assert!((BEFORE..BEFORE + 60).contains(&age), "moment {part}: {age}");
                kept.fetch_add(1, Relaxed);
            }
        }
        wait_for_orphans(&world);
        assert_eq!(world.run("refresh").code, 0, "moment {part}");
        assert_sound(&world, &format!("after moment {part}"));
        assert!(!world.state_files().contains(&".state.json.new".to_string()));
        assert_eq!(world.run("status").code, 0);
    });
    assert!(kept.into_inner() >= 20, "hardly any refresh was killed before its end: {moved:?} ended");
}

fn unix(time: &Value) -> i64 {
    let time: linux_patch::system::time::Time = serde_json::from_value(time.clone()).unwrap();
    time.unix()
}

#[test]
fn an_apply_killed_at_any_moment_is_told_and_repaired_by_the_next() {
    let prepare = |world: &World| {
        world.write_state(&fresh_state(BEFORE));
        world.on("update", "sleep 0.04; echo 'Hit:1 http://a s InRelease'; touch $world/refreshed");
        world.on("download", "sleep 0.04");
        world.on("install", "sleep 0.03; unpack; sleep 0.06");
    };
    let moments: Vec<_> = (0..MOMENTS).collect();
    let (cut, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    in_parallel(&moments, |part| {
        let world = killed("apply", *part, APPLY, prepare);
        let moment = format!("moment {part}");
        let refreshed = world.path("refreshed").exists();
        let state = assert_sound(&world, &moment);
        let age = linux_patch::system::time::Time::now().unix() - unix(&state["last_cache_update"]);
        assert!(refreshed || age >= BEFORE, "{moment}: an unfinished refresh counts as one");
        let was_cut = !state["apply"]["in_progress"].is_null();
        assert_eq!(world.json("status")["apply_interrupted"], was_cut, "{moment}");
        if was_cut {
            cut.fetch_add(1, Relaxed);
            let text = world.run("status").stdout;
            assert!(text.contains("interrupted") && text.contains("--configure -a"), "{moment}: {text}");
        } else {
            let untouched = world.count("update") == 0;
            assert!(untouched || state["apply"]["last"]["outcome"] == "success", "{moment}: {state}");
            ended.fetch_add(1, Relaxed);
        }
        wait_for_orphans(&world);
        let doc = world.json("apply --wait 20s");
        assert_eq!(doc["exit_code"], 0, "{moment}: {doc}");
        assert_eq!(doc["repaired"], was_cut, "{moment}: {doc}");
        assert_eq!(world.count("dpkg"), usize::from(was_cut), "{moment}");
        assert_sound(&world, &format!("after {moment}"));
        assert_eq!(world.json("status")["apply_interrupted"], false, "{moment}");
        assert!(world.read("installed").contains("tb-world\tall\t2.0-1"), "{moment}");
    });
    let cut = cut.into_inner();
    assert!(cut >= 20, "only {cut} applies were cut off, {ended:?} were not");
}

#[test]
fn many_killed_runs_leave_no_heap_of_files() {
    let world = World::new();
    world.on("update", "exit 0");
    let mut begun = 0;
    for number in 0..40 {
        let before = world.count("update");
        let mut child = world.spawn("apply --exclude tb-hello");
        // Its log is there when it refreshes. Half of the runs are killed sooner or later than that.
        if number % 2 == 0 {
            until("it refreshes", || world.count("update") > before);
        }
        std::thread::sleep(Duration::from_millis(number));
        signal(&child, Signal::KILL);
        child.wait().unwrap();
        begun += usize::from(world.count("update") > before);
    }
    assert!(begun >= 20, "{begun}");
    let files = world.state_files();
    assert!(files.len() <= 7, "{files:?}");
    wait_for_orphans(&world);
    world.run("refresh");
    let logs = std::fs::read_dir(world.state_dir().join("log")).unwrap().count();
    assert!(logs <= 42, "{logs} files in the log directory");
}
