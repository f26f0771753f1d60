//! A machine that is suspended for longer than any budget in the middle of runs, and wakes by a clock
//! that was set back. All runs sleep through the same suspend.

use std::time::Duration;

use linux_patch::commands::refresh::share_of;
use linux_patch::system::time::Time;
use serde_json::{Value, json};

use crate::tally::tried;
use crate::vm::System;
use crate::world::World;

/// Longer than every budget here.
const ASLEEP: i64 = 75;
/// By more than the minute from which on the clock of the boot is believed.
const SET_BACK: i64 = 70;
const SPLAY: Duration = Duration::from_secs(60);
const HIT: &str = "echo 'Hit:1 http://a s InRelease'";

/// A run that the suspend falls into.
struct Run<'a> {
    name: &'static str,
    world: &'a World,
    args: &'static str,
    /// What shows that it has reached the point where it is to be suspended.
    begins: &'static str,
}

/// How a run ended.
struct Ended {
    code: i64,
    doc: Value,
    state: Value,
    /// Seconds that it ran before the suspend and after it, by the clock that goes on in one.
    before: i64,
    after: i64,
    /// The wall clock at its end.
    wall: i64,
}

/// A manager that is in the middle of a verb when the machine is suspended, and some seconds from its
/// end.
fn world(verb: &str, script: &str) -> World {
    let world = World::new();
    world.on("update", HIT);
    let middle = "echo $$ >>$world/running; until [ -e /suspended ]; do sleep 0.1; done; sleep 6";
    world.on(verb, &format!("{middle}; {script}"));
    world
}

/// A name of a host whose share of the splay is about a third of it.
fn host() -> String {
    let is_third = |share: Duration| (20..23).contains(&share.as_secs());
    (0..).map(|number| format!("host{number}")).find(|host| is_third(share_of(SPLAY, host))).unwrap()
}

/// linux-patch in this world, in the machine.
fn patch(world: &World) -> String {
    format!("patch {} --state-dir {} --format json", world.path("").display(), world.state_dir().display())
}

fn script(runs: &[Run], old: &World, ended: &World) -> String {
    let mut script = format!("echo {} >/etc/machine-id; {} refresh >/dev/null\n", host(), patch(old));
    for Run { name, world, args, begins } in runs {
        let (path, state) = (world.path(""), world.state_dir());
        script += &format!(
            "cd {}; mkdir -p {}; uptime >/begun.{name}
             {{ {} {args} >/said.{name} 2>/told.{name}; echo $? $(uptime) $(date +%s) >/new.{name}; mv /new.{name} /ended.{name}; }} &
             until {begins} /told.{name}; do sleep 0.1; done\n",
            path.display(), state.display(), patch(world)
        );
    }
    script += &format!(
        "ls / | grep -c ended.; touch /suspended; uptime
         echo +{ASLEEP} >/sys/class/rtc/rtc0/wakealarm; echo mem >/sys/power/state
         date -s @$(($(date +%s) - {SET_BACK})) >/dev/null; uptime\n"
    );
    for Run { name, world, .. } in &runs[1..] {
        let state = world.state_dir().join("state.json");
        script += &format!(
            "until [ -e /ended.{name} ]; do sleep 0.1; done
             cat /begun.{name} /ended.{name} /said.{name}; tr -d '\\n' <{}; echo\n",
            state.display()
        );
    }
    script += &format!("kill -0 $(cat {}/running) 2>/dev/null; echo $?\n", ended.path("").display());
    script + &format!("{} status --max-age 60s\n", patch(old))
}

#[test]
#[ignore = "make faults"]
fn a_machine_that_is_suspended_for_longer_than_every_budget() {
    let slow = world("update", HIT);
    let hangs = world("update", "exec sleep 600");
    let held = world("update", "exec sleep 600");
    let installs = world("install", "unpack");
    let downloads = world("download", "exit 0");
    let [splays, old] = [World::new(), World::new()];
    splays.on("update", HIT);
    old.on("update", HIT);
    let runs_it = "[ -s running ] || false";
    let waits = "grep -q waiting";
    let run = |name, world, args, begins| Run { name, world, args, begins };
    // Runs whose time must run out start last: starting all may take a while.
    let runs = [
        run("holds", &held, "refresh --timeout 10m", runs_it),
        run("slow", &slow, "refresh --timeout 60s", runs_it),
        run("joins", &slow, "refresh --timeout 60s", waits),
        run("queues", &slow, "apply --wait 60s --timeout 60s", waits),
        run("installs", &installs, "apply --wait 60s --timeout 60s", runs_it),
        run("downloads", &downloads, "apply --wait 60s --timeout 60s", runs_it),
        run("splays", &splays, "refresh --splay 60s --timeout 60s", waits),
        run("locked", &held, "apply --wait 20s", waits),
        run("over", &hangs, "refresh --timeout 20s", runs_it),
    ];
    let worlds = [&slow, &hangs, &installs, &downloads, &held, &splays, &old];
    let system = System::new(&worlds, &[], &script(&runs, &old, &hangs));
    let mut machine = system.boot(&[]);
    let mut numbers = |what: &str| -> Vec<i64> {
        let line = machine.line();
        line.split(' ').map(|word| word.parse().unwrap_or_else(|_| panic!("{what}: {line}"))).collect()
    };
    assert_eq!(numbers("runs that ended before"), [0]);
    let (asleep, awake) = (numbers("asleep")[0], numbers("awake")[0]);
    assert!(awake - asleep >= ASLEEP - 1, "it slept for {} s", awake - asleep);
    let mut ended = Vec::new();
    // That one goes on until the power is cut.
    for run in &runs[1..] {
        let begun: i64 = machine.line().parse().unwrap();
        let end: Vec<i64> = machine.line().split(' ').map(|word| word.parse().unwrap()).collect();
        let parse = |text: String| -> Value {
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}: {text}", run.name))
        };
        let (doc, state) = (parse(machine.line()), machine.line());
        let state = if state.is_empty() { Value::Null } else { parse(state) };
        let (before, after) = (asleep - begun, end[1] - awake);
        println!("{}: {before} s before the suspend, {after} s after it, exit code {}", run.name, end[0]);
        ended.push((run.name, Ended { code: end[0], doc, state, before, after, wall: end[2] }));
    }
    let of = |name: &str| &ended.iter().find(|(of, _)| *of == name).unwrap().1;

    // A run that would have ended within its budget does so.
    for name in ["slow", "joins", "queues", "installs", "downloads", "splays"] {
        let run = of(name);
        assert_eq!((run.code, &run.doc["exit_code"]), (0, &json!(0)), "{name}: {}", run.doc);
    }
    assert_eq!(of("joins").doc["joined"], true);
    for name in ["queues", "installs", "downloads"] {
        let run = of(name);
        assert_eq!(run.doc["packages"].as_array().unwrap().len(), 3, "{name}: {}", run.doc);
        assert_eq!(run.state["apply"]["in_progress"], Value::Null, "{name}: {}", run.state);
    }
    // Only the time in which it ran counts, and no time is negative.
    for name in ["slow", "over", "installs", "downloads", "splays"] {
        let took = of(name).state["last_attempt"]["duration_ms"].as_i64().unwrap();
        assert!((0..70_000).contains(&took), "{name}: {took} ms");
    }
    // The time of a refresh is that of its end, by the clock as it was then.
    for name in ["slow", "joins", "splays"] {
        let run = of(name);
        let time: Time = serde_json::from_value(run.doc["last_cache_update"].clone()).unwrap();
        assert!((run.wall - 10..=run.wall).contains(&time.unix()), "{name}: {} {}", run.wall, run.doc);
    }
    // A run that takes too long, or waits in vain, has the rest of its budget and no more.
    let over = of("over");
    assert_eq!((over.code, &over.doc["error"]["class"]), (2, &json!("timeout")), "{}", over.doc);
    let locked = of("locked");
    assert_eq!((locked.code, &locked.doc["error"]["class"]), (2, &json!("lock")), "{}", locked.doc);
    for (name, run) in [("over", over), ("locked", locked)] {
        let whole = run.before + run.after;
        assert!((18..60).contains(&whole), "{name}: {} s and {} s", run.before, run.after);
    }
    let share = share_of(SPLAY, &host()).as_secs() as i64;
    let splays = of("splays");
    assert!(splays.before + splays.after >= share - 2, "{} s and {} s", splays.before, splays.after);
    assert_ne!(machine.line(), "0", "a manager was left behind");
    // The age of an index is the time that really passed, whatever the wall clock says.
    let status: Value = serde_json::from_str(&machine.line()).unwrap();
    assert_eq!((&status["exit_code"], &status["cache_status"]), (&json!(1), &json!("stale")), "{status}");
    assert!((ASLEEP - 1..600).contains(&status["age_seconds"].as_i64().unwrap()), "{status}");
    assert_eq!(machine.line(), "end");
    tried(runs.len() - 1, "runs through a suspend, and a clock that was set back in it");
}
