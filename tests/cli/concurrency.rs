//! Several runs at once: one refresh for all, locks that are waited for and named.

use crate::machine::{fresh_state, hold_lock, signal};
use crate::world::{BINARY, Ran, World, in_parallel, replay, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// Starts refreshes whose messages can be read while they run.
fn refreshes(world: &World, count: usize) -> Vec<Child> {
    let start = |number: usize| {
        let messages = std::fs::File::create(world.path(&format!("stderr.{number}"))).unwrap();
        world.command("refresh --format json").stderr(Stdio::from(messages)).spawn().unwrap()
    };
    (0..count).map(start).collect()
}

/// Lets the running refresh continue when all others wait for it. Returns what each one said.
fn released(world: &World, children: Vec<Child>) -> Vec<Value> {
    let waiting = || {
        let said = (0..children.len()).map(|number| world.read(&format!("stderr.{number}")));
        said.filter(|text| text.contains("waiting for linux-patch refresh, process")).count()
    };
    until("all the others wait", || waiting() == children.len() - 1 && world.count("update") == 1);
    world.write("go", "");
    children.into_iter().map(|child| Ran::end(child).json()).collect()
}

#[test]
fn fifty_refreshes_at_once_cost_one_and_share_its_result_good_or_bad() {
    for (name, code) in
        [("3.0-a1-refresh-no-updates", 0), ("3.0-b07-refused-default", 1), ("3.0-b17-all-404-default", 2)]
    {
        for before in [None, Some(fresh_state(100_000))] {
            let world = World::new();
            if let Some(state) = &before {
                world.write_state(state);
            }
            world.on("update", &format!("gate; {}", replay(name)));
            let count = if before.is_none() { 50 } else { 10 };
            let docs = released(&world, refreshes(&world, count));
            assert_eq!(world.count("update"), 1, "{name}");
            assert!(docs.iter().all(|doc| doc["exit_code"] == code), "{name}: {docs:?}");
            assert_eq!(docs.iter().filter(|doc| doc["joined"] == true).count(), count - 1, "{name}");
            assert!(docs.iter().all(|doc| doc["sources"] == docs[0]["sources"]), "{name}");
            assert!(docs[0]["sources"].as_array().unwrap().len() >= 3, "{name}");
            assert!(docs.iter().all(|doc| doc["error"].is_null() == (code == 0)), "{name}");
            let why = docs[0]["error"]["message"].as_str().unwrap_or_default();
            assert!(docs.iter().all(|doc| doc["reason"].as_str().unwrap().contains(why)), "{docs:?}");
            let history = std::fs::read_to_string(world.state_dir().join("history.jsonl")).unwrap();
            assert_eq!(history.lines().count(), 1, "{name}");
            let joined = |doc: &Value| doc["counters"]["refresh_joined_total"].clone();
            assert_eq!(joined(&world.json("status")), count - 1, "{name}: at once, not with the next run");
            // A number that falls is one that began anew, for whoever watches it.
            std::fs::remove_file(world.path("go")).unwrap();
            let next = refreshes(&world, 1);
            until("the next one runs", || world.count("update") == 2);
            assert_eq!(joined(&world.json("status")), count - 1, "{name}: also while the next one runs");
            world.write("go", "");
            next.into_iter().for_each(|child| drop(Ran::end(child)));
            assert_eq!(joined(&world.json("status")), count - 1, "{name}: not twice");
        }
    }
}

#[test]
fn refreshes_at_once_cost_one_also_where_the_state_was_corrupt() {
    let world = World::new();
    world.write_state_bytes(b"{");
    world.on("update", &format!("gate; {}", replay("3.0-a1-refresh-no-updates")));
    // All of them ask before the first one has put the corrupt file aside.
    let lock = hold_lock(&world, "refresh");
    let children = refreshes(&world, 5);
    let said = |number: usize| world.read(&format!("stderr.{number}"));
    until("all of them wait", || (0..5).all(|number| said(number).contains("waiting for")));
    drop(lock);
    world.write("go", "");
    let docs: Vec<_> = children.into_iter().map(|child| Ran::end(child).json()).collect();
    assert!(docs.iter().all(|doc| doc["exit_code"] == 0), "{docs:?}");
    assert_eq!(world.count("update"), 1);
}

#[test]
fn a_holder_without_a_name_is_told_by_its_number_and_no_sooner_than_it_could_have_written_one() {
    let world = World::new();
    let lock = hold_lock(&world, "refresh");
    std::fs::write(world.state_dir().join("lock"), "").unwrap();
    for args in ["refresh --timeout 3s", "apply --wait 3s"] {
        let told = world.run(args).stderr;
        let waiting: Vec<_> = told.lines().filter(|line| line.contains("waiting for ")).collect();
        assert_eq!(waiting.len(), 1, "{args}: {told}");
        assert!(
            waiting[0].contains(&format!("waiting for process {} ", std::process::id())),
            "{args}: {told}"
        );
    }
    drop(lock);
}

#[test]
fn a_refresh_that_asks_after_another_ended_runs_its_own() {
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(world.json("refresh")["joined"], false);
    }
    assert_eq!(world.count("update"), 2);
}

#[test]
fn if_stale_on_a_fresh_index_exits_at_once_even_while_the_lock_is_held() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    let lock = hold_lock(&world, "apply");
    for args in ["refresh --if-stale", "refresh --if-stale --splay 10h", "refresh --if-stale --timeout 1s"] {
        let ran = world.run(&format!("{args} --format json"));
        assert_eq!(ran.json()["exit_code"], 0, "{args}");
        assert!(ran.took < Duration::from_secs(30), "{args} took {:?}", ran.took);
    }
    drop(lock);
    assert_eq!(world.json("refresh --if-stale")["exit_code"], 0);
    assert_eq!(world.read("calls"), "");
    assert_eq!(world.json("refresh --if-stale --max-age 50")["exit_code"], 0);
    assert_eq!(world.count("update"), 1);
}

#[test]
fn if_stale_refreshes_after_a_failure_however_recent() {
    let world = World::new();
    world.on_call("update", 1, "exit 100");
    assert_eq!(world.run("refresh").code, 2);
    assert_eq!((world.run("refresh --if-stale").code, world.count("update")), (0, 2));
}

#[test]
fn a_refresh_during_a_long_apply_answers_from_the_state_and_names_the_holder() {
    let world = World::new();
    world.on("install", "touch $world/installing; gate; unpack");
    let apply = world.spawn("apply --format json");
    until("the install runs", || world.path("installing").exists());
    let running = world.json("status");
    assert_eq!(running["apply_interrupted"], false, "{running}");
    assert!(world.run("status").stdout.contains("an apply is running"));
    let doc = world.json("refresh --timeout 1s");
    assert_eq!(
        (&doc["exit_code"], &doc["cache_status"], &doc["joined"]),
        (&json!(0), &json!("fresh"), &json!(false))
    );
    let holder = format!("linux-patch apply, process {}", apply.id());
    assert!(doc["reason"].as_str().unwrap().contains(&holder), "{doc}");
    assert_eq!(world.count("update"), 1);
    world.write("go", "");
    assert_eq!(Ran::end(apply).json()["exit_code"], 0);
}

#[test]
fn an_answer_from_the_state_has_the_exit_code_of_that_state() {
    let world = World::new();
    world.write_state(&fresh_state(100_000));
    let lock = hold_lock(&world, "apply");
    let doc = world.json("refresh --timeout 1s");
    assert_eq!((&doc["exit_code"], &doc["cache_status"]), (&json!(1), &json!("stale")), "{doc}");
    drop(lock);
    let world = World::new();
    let _lock = hold_lock(&world, "refresh");
    let doc = world.json("refresh --timeout 1s");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("lock")), "{doc}");
}

#[test]
fn an_apply_that_cannot_have_the_lock_in_time_names_the_holder() {
    let world = World::new();
    world.on("update", "touch $world/refreshing; gate");
    let refresh = world.spawn("refresh");
    until("the refresh runs", || world.path("refreshing").exists());
    let ran = world.run("apply --wait 1s --format json");
    let doc = ran.json();
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("lock")), "{doc}");
    let holder = format!("linux-patch refresh, process {}", refresh.id());
    assert!(doc["reason"].as_str().unwrap().contains(&holder), "{doc}");
    assert!(ran.took >= Duration::from_secs(1) && ran.took < Duration::from_secs(15), "{:?}", ran.took);
    assert_eq!((world.count("download"), world.count("install")), (0, 0));
    world.write("go", "");
    Ran::end(refresh);
}

#[test]
fn an_apply_waits_for_a_refresh_and_goes_on() {
    let world = World::new();
    world.on_call("update", 1, "touch $world/refreshing; gate; echo 'Hit:1 http://a s InRelease'");
    let refresh = world.spawn("refresh");
    until("the refresh runs", || world.path("refreshing").exists());
    let apply = world.spawn_telling("apply --wait 60s --format json", "messages");
    until("it waits", || world.read("messages").contains("waiting for linux-patch refresh"));
    world.write("go", "");
    let doc = Ran::end(apply).json();
    assert_eq!((&doc["exit_code"], doc["packages"].as_array().unwrap().len()), (&json!(0), 3));
    assert_eq!((Ran::end(refresh).code, world.count("update")), (0, 2));
}

#[test]
fn a_signal_while_waiting_for_the_lock_ends_the_wait() {
    let world = World::new();
    let _lock = hold_lock(&world, "apply");
    for args in ["refresh", "apply"] {
        let told = format!("messages.{args}");
        let child = world.spawn_telling(&format!("{args} --format json"), &told);
        // Its handlers are there when it says that it waits.
        until("it waits", || world.read(&told).contains("waiting for linux-patch apply"));
        signal(&child, Signal::TERM);
        let doc = Ran::end(child).json();
        assert_eq!(
            (&doc["exit_code"], &doc["error"]["class"]),
            (&json!(2), &json!("interrupted")),
            "{args}: {doc}"
        );
    }
    assert_eq!(world.read("calls"), "");
}

#[test]
fn a_signal_during_the_splay_ends_the_run() {
    let world = World::new();
    let child = world.spawn_telling("refresh --splay 3000d --format json", "messages");
    until("it waits", || world.read("messages").contains(" of a splay of "));
    signal(&child, Signal::TERM);
    let doc = Ran::end(child).json();
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("interrupted")), "{doc}");
    assert_eq!(world.read("calls"), "");
}

#[test]
fn a_lock_file_is_never_replaced_and_a_link_in_its_place_is_refused() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    world.run("refresh");
    let inode = || world.state_dir().join("lock").metadata().unwrap().ino();
    let first = inode();
    world.run("apply");
    world.run("refresh");
    assert_eq!(inode(), first);
    std::fs::remove_file(world.state_dir().join("lock")).unwrap();
    world.write("victim", "mine");
    std::os::unix::fs::symlink(world.path("victim"), world.state_dir().join("lock")).unwrap();
    assert_eq!(world.run("refresh").code, 3);
    assert_eq!(world.read("victim"), "mine");
}

#[test]
fn the_name_of_a_dead_holder_in_the_lock_file_is_not_believed() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let (name, own) = (dead.id(), std::process::id());
    for pid in [name, 1, u32::MAX] {
        let lock = hold_lock(&world, "apply");
        // The file is as a killed run leaves it; another process has locked it since.
        world.write("state/lock", &format!("{pid} apply {}\n", crate::machine::ago(30)));
        let doc = world.json("refresh --timeout 1s");
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("lock")), "{doc}");
        let reason = doc["reason"].as_str().unwrap();
        assert!(reason.contains(&format!("process {own} (")), "{doc}");
        let doc = world.json("apply --wait 0s");
        assert!(doc["reason"].as_str().unwrap().contains(&format!("process {own} (")), "{doc}");
        drop(lock);
    }
    assert_eq!(world.run("refresh --timeout 60s").code, 0);
}

/// What an administrator can do to the lock of a run that goes on.
#[test]
fn a_run_whose_lock_is_taken_away_keeps_others_waiting_and_saves_nothing() {
    let remove = |world: &World| std::fs::remove_file(world.path("state/lock")).unwrap();
    let replace = |world: &World| {
        world.write("other", "");
        std::fs::rename(world.path("other"), world.path("state/lock")).unwrap();
    };
    let rename =
        |world: &World| std::fs::rename(world.path("state/lock"), world.path("state/lock.old")).unwrap();
    let remove_all = |world: &World| std::fs::remove_dir_all(world.state_dir()).unwrap();
    let swap = |world: &World| {
        std::fs::rename(world.state_dir(), world.path("state.old")).unwrap();
        std::fs::create_dir(world.state_dir()).unwrap();
    };
    type Way<'a> = &'a (dyn Fn(&World) + Sync);
    let ways: [(&str, Way); 5] = [
        ("removed", &remove),
        ("replaced", &replace),
        ("renamed", &rename),
        ("removed with its directory", &remove_all),
        ("renamed with its directory", &swap),
    ];
    let cases: Vec<_> = ways.iter().flat_map(|way| ["refresh", "apply"].map(|verb| (way, verb))).collect();
    in_parallel(&cases, |((name, take_away), verb)| {
        let world = World::new();
        world.on_call("update", 1, &format!("gate; {}", replay("3.0-a1-refresh-no-updates")));
        let first = world.spawn(&format!("{verb} --format json"));
        until("the first run refreshes", || world.count("update") == 1);
        take_away(&world);
        // Also if the program has another name.
        let program = world.copy_program(Path::new(BINARY), "nightly-patch");
        let mut second = world.command_of(&program, "refresh --format json");
        let second = second.stderr(world.messages("messages")).spawn().unwrap();
        until("the second run waits", || world.read("messages").contains("waiting for "));
        assert_eq!(world.count("update"), 1, "{verb}, {name}: two managers at once");
        world.write("go", "");
        let first = Ran::end(first).json();
        assert_eq!(
            (&first["exit_code"], &first["error"]["class"]),
            (&json!(2), &json!("lock")),
            "{verb}, {name}: {first}"
        );
        assert!(first["reason"].as_str().unwrap().contains("removed or replaced"), "{verb}, {name}: {first}");
        let second = Ran::end(second).json();
        assert_eq!(second["exit_code"], 0, "{verb}, {name}: {second}");
        assert_eq!((world.count("update"), world.count("install")), (2, 0), "{verb}, {name}");
        assert_eq!(world.state()["counters"]["refresh_total"], 1, "{verb}, {name}: the first has saved");
        let history = world.read("state/history.jsonl");
        assert_eq!(history.lines().count(), 1, "{verb}, {name}: {history}");
    });
}

#[test]
fn a_refresh_that_is_not_needed_never_takes_the_lock() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    world.json("refresh --if-stale");
    let path = world.state_dir().join("lock");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..50 {
                assert_eq!(world.run("refresh --if-stale").code, 0);
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            // For a moment, a child of another test's thread may share what is ours.
            let lock = std::fs::File::open(&path).unwrap();
            let is_held = fs2::FileExt::try_lock_shared(&lock).is_err();
            assert!(!is_held, "a refresh that had nothing to do held the lock");
        }
    });
    assert_eq!(world.state()["counters"]["refresh_skipped_fresh_total"], 51);
    // And none waits for it.
    let lock = hold_lock(&world, "apply");
    assert_eq!(world.run("refresh --if-stale").code, 0);
    drop(lock);
    assert_eq!(world.state()["counters"]["refresh_skipped_fresh_total"], 52);
}
