//! Hundreds of callers at once: one manager at a time, one refresh a wave, and nobody is kept
//! waiting for longer than the work takes.

use crate::leisure::at_leisure;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::machine::{ago, fresh_state};
use crate::tally::{share, tried};
use crate::world::{Ran, World, until};

/// How long the manager works in each of its phases.
const WORK: Duration = Duration::from_millis(400);

/// A machine whose manager notes when it starts and ends.
fn machine(age: i64) -> World {
    let world = World::new();
    world.write_state(&fresh_state(age));
    let noted = |verb: &str, work: &str| {
        world.on(
            verb,
            &format!(
                "echo \"+ {verb}\" >>$world/notes; sleep {}; {work}; echo \"- {verb}\" >>$world/notes",
                WORK.as_secs_f64()
            ),
        );
    };
    noted("update", "echo 'Hit:1 http://a s InRelease'");
    noted("download", ":");
    noted("install", "unpack");
    world
}

/// Asserts that only one manager ran at a time; returns how often each verb ran.
fn assert_one_at_a_time(world: &World) -> Vec<String> {
    let notes = world.read("notes");
    let lines: Vec<_> = notes.lines().collect();
    for pair in lines.chunks(2) {
        let verb = |line: &str, sign: &str| line.strip_prefix(sign).map(str::to_owned);
        assert_eq!(verb(pair[0], "+ "), verb(pair[1], "- "), "two managers at once: {notes}");
        assert!(pair[0].starts_with('+'), "{notes}");
    }
    lines.iter().step_by(2).map(|line| line[2..].to_string()).collect()
}

struct Answer {
    args: &'static str,
    doc: Value,
    /// From its own start to its end.
    took: Duration,
    ended: Instant,
}

/// Starts all of them as fast as possible and waits for them; the end of each is noticed at once.
fn wave(world: &World, callers: &[&'static str]) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let started: Vec<_> = callers
            .iter()
            .map(|args| {
                let mut command = world.command(&format!("{args} --format json"));
                let started = Instant::now();
                // As from cron: nobody reads its output while it runs.
                let child = command.stderr(Stdio::null()).spawn().unwrap();
                scope.spawn(move || {
                    let ran = Ran::end(child);
                    let (took, ended) = (started.elapsed(), Instant::now());
                    Answer { args, doc: ran.json(), took, ended }
                })
            })
            .collect();
        started.into_iter().map(|answer| answer.join().unwrap()).collect()
    })
}

fn slowest(answers: &[Answer], of: &str) -> Duration {
    answers.iter().filter(|answer| answer.args == of).map(|answer| answer.took).max().unwrap_or_default()
}

/// What was asked, in random order.
fn shuffled(dice: &mut Dice, parts: &[(&'static str, usize)]) -> Vec<&'static str> {
    let mut callers: Vec<_> = parts.iter().flat_map(|(args, count)| vec![*args; *count]).collect();
    for at in (1..callers.len()).rev() {
        callers.swap(at, dice.below(at + 1));
    }
    callers
}

#[test]
fn two_hundred_callers_cost_one_refresh() {
    let mut dice = Dice::new("a wave of refreshes");
    let waves = share(1, 10);
    for number in 0..waves {
        // Old enough to be stale: all of them want the same refresh.
        let world = machine(100_000);
        let callers = shuffled(&mut dice, &[("refresh", 70), ("refresh --if-stale", 70), ("status", 60)]);
        let started = Instant::now();
        let first = wave_begun(&world);
        let answers = wave(&world, &callers);
        let first = Ran::end(first).json();
        assert_eq!(first["joined"], false);
        let spawned = answers.iter().map(|answer| answer.ended - answer.took).max().unwrap() - started;
        let last = answers.iter().map(|answer| answer.ended).max().unwrap() - started;
        // Those that came too late for the first refresh share a second one, and no third.
        let refreshes = assert_one_at_a_time(&world).len();
        println!(
            "wave {number}: {refreshes} refreshes; all started within {spawned:?}, all ended within {last:?}; \
             slowest status {:?}, refresh {:?}, --if-stale {:?}",
            slowest(&answers, "status"),
            slowest(&answers, "refresh"),
            slowest(&answers, "refresh --if-stale"),
        );
        let most = 1 + spawned.as_millis().div_ceil(WORK.as_millis()) as usize;
        assert!(refreshes <= most, "{refreshes} refreshes for a wave that took {spawned:?} to start");
        for answer in &answers {
            let Answer { args, doc, .. } = answer;
            let code = &doc["exit_code"];
            if *args == "status" {
                assert!(*code == 0 || *code == 1, "{doc}");
            } else {
                assert_eq!(*code, 0, "{args}: {doc}");
                assert_eq!(doc["cache_status"], "fresh", "{args}: {doc}");
            }
        }
        let runs = answers.iter().filter(|answer| answer.doc["joined"] == false && answer.args == "refresh");
        assert!(runs.count() < refreshes, "more callers claim a refresh of their own than there were");
        let state = world.state();
        assert_eq!(state["counters"]["refresh_total"], json!(4 + refreshes), "{state}");
        let history = world.read("state/history.jsonl");
        assert_eq!(history.lines().count(), refreshes, "{history}");
        // Nobody waits for anything but the work. Generous, since a machine may have much to do:
        // two hundred processes at once on few processors.
        assert!(last < WORK * (refreshes as u32) + spawned + at_leisure(8), "{last:?}");
    }
    tried(waves * 201, "callers at once that cost one refresh");
}

/// A running refresh, which the others will share.
fn wave_begun(world: &World) -> Child {
    let child = world.spawn("refresh --format json");
    until("the first refresh runs", || world.read("notes").contains("+ update"));
    child
}

#[test]
fn two_hundred_callers_of_all_kinds() {
    let mut dice = Dice::new("a mixed wave");
    let waves = share(1, 5);
    for number in 0..waves {
        let world = machine(100_000);
        let parts = [("refresh", 65), ("refresh --if-stale", 65), ("status", 65), ("apply", 5)];
        let callers = shuffled(&mut dice, &parts);
        let started = Instant::now();
        let answers = wave(&world, &callers);
        let last = started.elapsed();
        let ran = assert_one_at_a_time(&world);
        let count = |verb: &str| ran.iter().filter(|name| *name == verb).count();
        println!(
            "mixed wave {number}: {} refreshes, {} installs in {last:?}; slowest status {:?}, refresh {:?}, \
             --if-stale {:?}, apply {:?}",
            count("update"),
            count("install"),
            slowest(&answers, "status"),
            slowest(&answers, "refresh"),
            slowest(&answers, "refresh --if-stale"),
            slowest(&answers, "apply"),
        );
        for answer in &answers {
            let Answer { args, doc, .. } = answer;
            let code = doc["exit_code"].as_i64().unwrap();
            assert!(code == 0 || (*args == "status" && code == 1), "{args}: {doc}");
            if *args == "apply" {
                assert_eq!(doc["error"], Value::Null, "{doc}");
            }
        }
        // Each apply refreshes, and all others share the refresh that is running.
        assert_eq!(count("install"), 1, "{ran:?}");
        let spawned = answers.iter().map(|answer| answer.ended - answer.took).max().unwrap() - started;
        let most = 6 + spawned.as_millis().div_ceil(WORK.as_millis()) as usize;
        assert!(
            (5..=most.max(12)).contains(&count("update")),
            "{ran:?} for a wave that took {spawned:?} to start"
        );
        let installed: Vec<_> =
            answers.iter().filter(|a| a.doc["packages"].as_array().is_some_and(|p| p.len() == 3)).collect();
        assert_eq!(installed.len(), 1, "the packages were changed once");
        let state = world.state();
        assert_eq!(state["counters"]["apply_total"], 5, "{state}");
        assert_eq!(state["apply"]["in_progress"], Value::Null);
        assert_eq!(world.json("status")["exit_code"], 0);
        assert_eq!(state["counters"]["refresh_total"], json!(4 + count("update")), "{state}");
        let work = WORK * ran.len() as u32;
        assert!(last < work + at_leisure(15), "{last:?} for {work:?} of work");
    }
    tried(waves * 200, "callers of all kinds at once");
}

/// If the index is fresh, no run waits for another: not for a refresh that goes on all the while.
#[test]
fn two_hundred_callers_on_a_fresh_index_cost_nothing() {
    let world = machine(100);
    world.on(
        "update",
        "touch $world/running
        until [ -e $world/go ] || [ ! -d $world/fakes ]; do sleep 0.05; done
        echo 'Hit:1 http://a s InRelease'",
    );
    let running = world.spawn("refresh --format json");
    until("the refresh runs", || world.path("running").exists());
    let mut dice = Dice::new("a fresh wave");
    let callers = shuffled(&mut dice, &[("refresh --if-stale --timeout 5s", 100), ("status", 100)]);
    let answers = wave(&world, &callers);
    println!("fresh wave: slowest {:?}", answers.iter().map(|answer| answer.took).max());
    for Answer { args, doc, .. } in &answers {
        assert_eq!((&doc["exit_code"], &doc["cache_status"]), (&json!(0), &json!("fresh")), "{args}: {doc}");
        // One that had waited for the lock, in vain, would name who holds it.
        assert!(!doc["reason"].to_string().contains("process"), "{args}: {doc}");
    }
    assert_eq!(world.count("update"), 1, "only the one that runs");
    world.write("go", "");
    assert_eq!(Ran::end(running).json()["joined"], false);
    // Nor does one of them work where no refresh runs.
    let quiet = wave(&world, &callers);
    assert!(quiet.iter().all(|answer| answer.doc["exit_code"] == 0));
    assert_eq!(world.count("update"), 1);
    assert!(world.has_good_state());
    tried(400, "callers at once on a fresh index");
}

/// Those who share a result do not queue up to be counted: none of them writes the state, each leaves a byte for the
/// next run. When each wrote the state, the last of 40 came half a second later.
#[test]
fn who_shares_a_result_has_it_at_once() {
    let (waves, callers) = (share(3, 10), share(40, 200));
    for _ in 0..waves {
        let world = machine(100_000);
        world.on(
            "update",
            "touch $world/running; gate; echo 'Hit:1 http://a s InRelease'; touch $world/ended",
        );
        let messages = |number: usize| world.path(&format!("stderr.{number}"));
        let start = |number: usize| {
            let file = std::fs::File::create(messages(number)).unwrap();
            world.command("refresh --format json").stderr(Stdio::from(file)).spawn().unwrap()
        };
        let children: Vec<_> = (0..callers).map(start).collect();
        let waits = |number: &usize| world.read(&format!("stderr.{number}")).contains("waiting for");
        until("all others wait", || (0..callers).filter(waits).count() == callers - 1);
        world.write("go", "");
        let answers = Mutex::new(Vec::new());
        let ends = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for child in children {
                let (answers, ends) = (&answers, &ends);
                scope.spawn(move || {
                    let ran = Ran::end(child);
                    ends.lock().unwrap().push(SystemTime::now());
                    answers.lock().unwrap().push(ran.json());
                });
            }
        });
        let (answers, ends) = (answers.into_inner().unwrap(), ends.into_inner().unwrap());
        assert!(answers.iter().all(|doc| doc["exit_code"] == 0));
        assert_eq!(answers.iter().filter(|doc| doc["joined"] == true).count(), callers - 1);
        let work_ended = world.path("ended").metadata().unwrap().modified().unwrap();
        let delay = ends.iter().max().unwrap().duration_since(work_ended).unwrap();
        println!("from the end of the work to the last of {callers} answers: {delay:?}");
        let joined = || world.state()["counters"]["refresh_joined_total"].as_u64();
        let noted = world.state_dir().join("refresh.joined").metadata().unwrap().len();
        assert_eq!((joined().unwrap_or(0), noted), (0, callers as u64 - 1));
        // They are counted by the next run.
        assert_eq!(world.run("refresh").code, 0);
        assert_eq!(world.state()["counters"]["refresh_joined_total"], callers - 1);
        assert!(!world.state_files().contains(&"refresh.joined".to_string()));
    }
    tried(waves * callers, "callers that share a result");
}

/// The refresh of the timer comes during a long apply: it reports the state, and which process holds the lock.
#[test]
fn refreshes_during_a_long_apply_answer_from_the_state() {
    let world = World::new();
    world.on("install", "touch $world/installing; gate; unpack");
    let apply = world.spawn("apply --format json");
    until("the install runs", || world.path("installing").exists());
    let callers = vec!["refresh --timeout 1s"; share(20, 100)];
    let answers = wave(&world, &callers);
    let holder = format!("linux-patch apply, process {}", apply.id());
    for Answer { doc, took, .. } in &answers {
        assert_eq!((&doc["exit_code"], &doc["joined"]), (&json!(0), &json!(false)), "{doc}");
        assert!(doc["reason"].as_str().unwrap().contains(&holder), "{doc}");
        assert!(took.as_millis() >= 900 && *took < at_leisure(8), "{took:?}");
    }
    let fresh = wave(&world, &["refresh --if-stale"; 20]);
    assert!(fresh.iter().all(|answer| answer.doc["exit_code"] == 0), "a fresh index needs no waiting");
    // If the index has become stale meanwhile, that is reported.
    let mut state = world.state();
    state["last_cache_update"] = json!(ago(200_000));
    state["last_cache_boot"] = Value::Null;
    world.write_state(&state);
    let stale = wave(&world, &["refresh --timeout 1s"; 5]);
    assert!(stale.iter().all(|answer| answer.doc["exit_code"] == 1), "{}", stale[0].doc);
    world.write("go", "");
    assert_eq!(Ran::end(apply).json()["exit_code"], 0);
    assert_eq!(world.count("update"), 1);
    tried(answers.len() + 25, "refreshes during a long apply");
}
