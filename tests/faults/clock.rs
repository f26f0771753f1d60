//! The clock is set back and forward, between runs and in the middle of one. libfaketime gives
//! linux-patch another time than the machine's; the fakes of the manager see it too.

use crate::leisure::{at_leisure, option};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use linux_patch::system::time::Time;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::machine::{ago, end, fresh_state, is_running, pids_in, signal};
use crate::tally::{share, tried};
use crate::world::{Ran, World, in_parallel, until};

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86400;
/// How old an index may be, unless another age is given.
const MAX_AGE: i64 = 4 * 3600;

fn faketime() -> PathBuf {
    let places = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut found = places.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    found.find(|path| path.exists()).expect("these tests need libfaketime (package faketime)")
}

/// A run at this many seconds from now.
fn shifted(world: &World, args: &str, seconds: i64) -> Ran {
    let mut command = world.command(args);
    preload(&mut command).env("FAKETIME", format!("{seconds:+}"));
    Ran::of(command)
}

fn preload(command: &mut Command) -> &mut Command {
    // The monotonic clock cannot be set.
    command.env("LD_PRELOAD", faketime()).env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// A status in every format, this many seconds from now: no age is negative. Returns the exit code.
fn status_at(world: &World, seconds: i64) -> i32 {
    let doc = shifted(world, "status --history --format json", seconds).json();
    let age = &doc["age_seconds"];
    assert!(age.is_null() || age.as_i64().unwrap() >= 0, "{seconds}: {doc}");
    let code = doc["exit_code"].as_i64().unwrap() as i32;
    assert!(code == 3 || !age.is_null() || doc["last_cache_update"].is_null(), "{seconds}: {doc}");
    for format in ["text", "nagios", "openmetrics"] {
        let ran = shifted(world, &format!("status --history --format {format}"), seconds);
        assert_eq!(ran.code, code, "{format} at {seconds}: {}", ran.stdout);
        let words = ran.stdout.split([' ', '=', ';', '(', ')', '\n']);
        let negative: Vec<_> = words.filter(|word| is_negative(word)).collect();
        assert!(negative.is_empty(), "{format} at {seconds}: {negative:?} in {}", ran.stdout);
        let unknown = ran.stdout.contains("age=U;");
        assert!(format != "nagios" || unknown == age.is_null(), "{seconds}: {}", ran.stdout);
    }
    code
}

fn is_negative(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

const SHIFTS: [i64; 17] = [
    -50 * 365 * DAY,
    -365 * DAY,
    // Not on the bound itself: two checks in a row could be on both sides of it.
    -MAX_AGE - MINUTE,
    -HOUR,
    -MINUTE,
    -10,
    0,
    MINUTE,
    HOUR,
    MAX_AGE - MINUTE,
    MAX_AGE + MINUTE,
    DAY,
    30 * DAY,
    365 * DAY,
    10 * 365 * DAY,
    // After the end of 32 bits, and of NTP's era.
    20 * 365 * DAY,
    100 * 365 * DAY,
];

#[test]
fn a_clock_that_was_set_between_runs() {
    let shifts = &SHIFTS[..];
    let shifts: Vec<_> = shifts.iter().copied().step_by(share(3, 1)).collect();
    in_parallel(&shifts, |shift| {
        // Refreshed at the right time, checked with a wrong clock.
        let world = World::new();
        assert_eq!(world.run("apply").code, 0);
        let code = status_at(&world, *shift);
        let expected = match *shift {
            ..0 => 3,
            0..=MAX_AGE => 0,
            _ => 1,
        };
        assert_eq!(code, expected, "looked at {shift} s from the refresh");
        // If the index is not known to be fresh it is refreshed, and then it is fresh by both clocks.
        let before = world.count("update");
        assert_eq!(shifted(&world, "refresh --if-stale", *shift).code, 0);
        assert_eq!(world.count("update") - before, usize::from(expected != 0), "at {shift}");
        assert_eq!(status_at(&world, *shift), 0, "refreshed at {shift}");
        if expected != 0 {
            let code = status_at(&world, 0);
            assert_eq!(
                code,
                if *shift > 0 {
                    3
                } else if *shift < -MAX_AGE {
                    1
                } else {
                    0
                },
                "back from {shift}"
            );
        }
        // A failure does not become a success because the clock moves, in either direction.
        world.on("update", "exit 100");
        assert_eq!(shifted(&world, "refresh", *shift).code, 2);
        for later in [-DAY, 0, MINUTE, 2 * DAY] {
            assert!(status_at(&world, shift + later) >= 2, "failed at {shift}, looked at {later} later");
        }
    });
    tried(shifts.len() * 7 * 4, "looks at a state by a clock that was set");
}

/// The wall clock was set back by days while the machine ran: this makes nothing fresh again.
#[test]
fn a_clock_set_back_makes_nothing_young_again() {
    let world = World::new();
    assert_eq!(world.run("refresh").code, 0);
    // The refresh was ten days ago, and the clock goes ten days late since.
    let mut state = world.state();
    let since =
        state["last_cache_boot"]["seconds"].as_i64().expect("the state knows no clock but the wall's");
    state["last_cache_boot"]["seconds"] = json!(since - 10 * DAY);
    world.write_state(&state);
    let doc = world.json("status");
    assert_eq!((&doc["exit_code"], &doc["cache_status"]), (&json!(1), &json!("stale")), "{doc}");
    assert!((10 * DAY..10 * DAY + 60).contains(&doc["age_seconds"].as_i64().unwrap()), "{doc}");
    assert_eq!(world.json("refresh --if-stale")["exit_code"], 0);
    assert_eq!((world.count("update"), world.run("status").code), (2, 0));
    // In another boot that clock started again and tells nothing.
    let mut state = world.state();
    state["last_cache_boot"] = json!({"boot_id": "another", "seconds": -20 * DAY});
    world.write_state(&state);
    assert_eq!(world.run("status").code, 0);
}

/// The clock jumps while the manager runs: the fake of the manager sets it.
fn jump(verb: &str, script: &str, seconds: i64, timeout: &str) -> (World, Ran) {
    let world = World::new();
    world.write("clock", "+0");
    world.on(verb, &format!("echo {seconds:+} >$world/clock; {script}"));
    let command = if verb == "update" { "refresh" } else { "apply" };
    let mut command = world.command(&format!("{command} --timeout {timeout} --format json"));
    preload(&mut command).env("FAKETIME_TIMESTAMP_FILE", world.path("clock")).env("FAKETIME_NO_CACHE", "1");
    let ran = Ran::of(command);
    (world, ran)
}

#[test]
fn a_clock_that_jumps_in_the_middle_of_a_run() {
    let hit = "sleep 0.3; echo 'Hit:1 http://a s InRelease'";
    let cases = [("update", hit), ("download", "sleep 0.3"), ("install", "sleep 0.3; unpack")];
    let shifts: Vec<_> = SHIFTS.iter().copied().step_by(share(5, 1)).collect();
    in_parallel(&shifts, |shift| {
        for (verb, script) in cases {
            let (world, ran) = jump(verb, script, *shift, "60s");
            let doc = ran.json();
            let moment = format!("{verb}, a jump of {shift} s");
            assert_eq!(doc["exit_code"], 0, "{moment}: {doc}{}", ran.stderr);
            assert!(ran.took < at_leisure(60), "{moment}: {:?}", ran.took);
            let state = world.state();
            let took = state["last_attempt"]["duration_ms"].as_u64().unwrap();
            assert!(took < 60_000, "{moment}: {state}");
            let history = world.read("state/history.jsonl");
            let entry: Value = serde_json::from_str(history.lines().last().unwrap()).unwrap();
            assert!(entry["duration_ms"].as_u64().unwrap() < 60_000, "{moment}: {entry}");
            assert!(status_at(&world, 0) != 2, "{moment}");
            assert_eq!(world.json("status")["apply_interrupted"], false, "{moment}");
        }
    });
    tried(shifts.len() * cases.len(), "jumps of the clock in the middle of a run");
}

#[test]
fn a_budget_is_spent_by_time_that_passes_and_not_by_the_clock() {
    let shifts = [-DAY, DAY];
    in_parallel(&shifts, |shift| {
        let (world, ran) = jump("update", "echo $$ >$world/pids; exec sleep 100", *shift, "5s");
        let doc = ran.json();
        assert_eq!(doc["error"]["class"], "timeout", "{doc}");
        assert!((4900..45_000).contains(&ran.took.as_millis()), "{:?}", ran.took);
        assert!(!is_running(pids_in(&world, "pids")[0]));
    });
    tried(shifts.len(), "budgets over which the clock jumped");
}

/// An apply; during its download every clock goes forward by the time that the fake says.
fn slow_download(script: &str) -> Ran {
    slow(&World::new(), &[("download", script)], "apply")
}

/// A run in which time passes by every clock as the fakes say: they call `pass` with seconds, and may call
/// `progress`.
fn slow(world: &World, fakes: &[(&str, &str)], args: &str) -> Ran {
    world.write("clock", "+0");
    let pass = "pass() { read -r at <$world/clock; echo +$((at + $1)) >$world/clock.new; mv $world/clock.new $world/clock; at=$((at + $1)); }; at=0";
    for (verb, script) in fakes {
        world.on(verb, &format!("{pass}; {script}"));
    }
    let mut command = world.command(&format!("{args} --format json"));
    command.env("LD_PRELOAD", faketime()).env("FAKETIME_TIMESTAMP_FILE", world.path("clock"));
    command.env("FAKETIME_NO_CACHE", "1");
    let ran = Ran::of(command);
    assert!(ran.took < at_leisure(60), "{fakes:?}: {:?}", ran.took);
    ran
}

#[test]
fn a_question_to_the_manager_is_answered_within_a_minute_or_ended() {
    let cases = [("pass 50; sleep 0.5; cat $world/installed", 0), ("pass 70; sleep 40", 2)];
    in_parallel(&cases, |(script, code)| {
        let doc = slow(&World::new(), &[("dpkg-query", script)], "apply").json();
        assert_eq!(doc["exit_code"], *code, "{script}: {doc}");
        if *code == 2 {
            assert_eq!(doc["error"]["class"], "timeout", "{doc}");
            let message = doc["error"]["message"].as_str().unwrap();
            assert!(message.starts_with("dpkg-query did not end within 1 min"), "{doc}");
        }
    });
    tried(cases.len(), "questions that took their time");
}

/// dnf 5 stops at a repository that fails, and is run again without it. Both runs have one budget.
#[test]
fn a_refresh_in_several_runs_has_one_budget() {
    let seconds = [("pass 15", 1), ("pass 40; sleep 40", 2)];
    let cases: Vec<_> = ["refresh", "apply"]
        .into_iter()
        .flat_map(|verb| seconds.map(|(second, code)| (verb, second, code)))
        .collect();
    in_parallel(&cases, |(verb, second, code)| {
        let world = World::new();
        world.install_fake("dnf5");
        world.install_fake("rpm");
        let bar = "100% |  11.7 KiB/s |  24.0   B |  00m00s";
        let failed = format!(
            "printf '%s\\n' 'Updating and loading repositories:' ' extra                     {bar}' \
             '>>> Status code: 404 for http://127.0.0.2/repodata/repomd.xml (IP: 127.0.0.2)' \
             '>>> Usable URL not found' >&2; exit 1"
        );
        let others = format!(
            "printf '%s\\n' 'Updating and loading repositories:' ' test                      {bar}' \
             'Repositories loaded.' 'Nothing to do.' >&2; exit 0"
        );
        let script = format!(
            "case $* in *--refresh*) ;; *) exit 0 ;; esac; echo >>$world/runs
             case $(sed -n '$=' $world/runs) in 1) pass 90; {failed} ;; 2) {second}; {others} ;; *) {others} ;; esac"
        );
        let doc = slow(
            &world,
            &[("dnf5", &script), ("rpm", "exit 0")],
            &format!("{verb} --manager dnf5 --timeout 120s"),
        )
        .json();
        assert_eq!(doc["exit_code"], *code, "{verb}, {second}: {doc}");
        if *code == 2 {
            assert_eq!(doc["error"]["class"], "timeout", "{verb}: {doc}");
        }
    });
    tried(cases.len(), "refreshes in several runs");
}

#[test]
fn a_download_may_take_two_hours_and_stand_still_for_five_minutes_and_no_longer() {
    let steps = |seconds: u32| {
        format!(
            "while [ $at -lt {seconds} ]; do pass 60; progress \"dlstatus:1:$at.0:Retrieving\"; sleep 0.02; done"
        )
    };
    let still =
        |seconds: u32| format!("progress 'dlstatus:1:5.0:Retrieving'; sleep 0.5; pass {seconds}; sleep 0.5");
    let cases = [
        (steps(7000), None),
        (format!("{}; sleep 40", steps(7300)), Some("apt-get did not end within 2 h")),
        (still(280), None),
        (
            format!("{}; sleep 40", still(310)),
            Some("apt-get made no more progress and was ended after 5 min"),
        ),
    ];
    in_parallel(&cases, |(script, told)| {
        let doc = slow_download(script).json();
        match told {
            None => assert_eq!(doc["exit_code"], 0, "{script}: {doc}"),
            Some(words) => {
                assert_eq!(
                    (&doc["exit_code"], &doc["error"]["class"]),
                    (&json!(2), &json!("timeout")),
                    "{doc}"
                );
                assert!(doc["error"]["message"].as_str().unwrap().starts_with(words), "{doc}");
            }
        }
    });
    tried(cases.len(), "downloads that took their time");
}

#[test]
fn a_download_may_stand_still_for_as_long_as_apt_conf_lets_a_mirror_be_silent() {
    for (seconds, code) in [(600, 0), (800, 2)] {
        let world = World::new();
        world.on("apt-config", "echo \"HTTP='180'\"");
        let still = format!(
            "progress 'dlstatus:1:5.0:Retrieving'; sleep 0.5; pass {seconds}; sleep 0.5; [ {code} = 0 ] || sleep 40"
        );
        let doc = slow(&world, &[("download", &still)], "apply").json();
        assert_eq!(doc["exit_code"], code, "{seconds}: {doc}");
    }
}

/// A manager that does not end within a budget of one second, in several ways.
#[test]
fn a_budget_of_a_second_ends_whatever_the_manager_does() {
    let stubborn = [
        "trap '' TERM HUP INT; while :; do sleep 1; done",
        "kill -STOP $$",
        "trap '' TERM; kill -STOP $$; while :; do sleep 1; done",
        "setsid sh -c 'echo $$ >>'$world/pids'; kill -STOP $$' & wait; sleep 60",
        "exec setsid -w sh -c 'echo $$ >>'$world/pids'; trap \"\" TERM; while :; do sleep 1; done'",
        "exec >&- 2>&-; sleep 60",
        "(trap '' TERM; while :; do sleep 1; done) & echo $! >>$world/pids; wait",
        "while :; do :; done",
    ];
    in_parallel(&stubborn, |script| {
        let world = World::new();
        world.write_state(&fresh_state(100_000));
        world.on("update", &format!("echo $$ >>$world/pids; {script}"));
        let ran = world.run("refresh --timeout 1s --format json");
        let doc = ran.json();
        let pids = pids_in(&world, "pids");
        let left: Vec<_> = pids.iter().copied().filter(|pid| is_running(*pid)).collect();
        left.iter().for_each(|pid| end(*pid));
        assert!(left.is_empty(), "{script}: {left:?} of {pids:?} are left");
        assert_eq!(
            (&doc["exit_code"], &doc["error"]["class"]),
            (&json!(2), &json!("timeout")),
            "{script}: {doc}"
        );
        // One second, two grace times and a lot for a busy machine, but less than the manager would take.
        assert!(ran.took < at_leisure(25), "{script}: {:?}", ran.took);
        assert_eq!(world.run("refresh --if-stale --timeout 1s").code, 2);
        assert_eq!(world.json("status")["exit_code"], 2);
    });
    tried(stubborn.len(), "managers that do not end within a budget of a second");
}

/// linux-patch itself and its manager stand still for longer than the budget, as in a container
/// that is frozen: it ends what is over time as soon as it can, or takes the result.
#[test]
fn a_standstill_inside_a_budget() {
    let world = World::new();
    world.write_state(&fresh_state(100_000));
    world.on("update", "echo $$ >$world/pids; touch $world/running; sleep 600");
    let time = at_leisure(2);
    let child = world.spawn(&format!("refresh --timeout {} --format json", option(time)));
    until("the refresh runs", || world.path("running").exists());
    let manager = rustix::process::Pid::from_raw(pids_in(&world, "pids")[0]).unwrap();
    signal(&child, Signal::STOP);
    rustix::process::kill_process(manager, Signal::STOP).unwrap();
    std::thread::sleep(time + Duration::from_millis(500));
    let started = std::time::Instant::now();
    signal(&child, Signal::CONT);
    let doc = Ran::end(child).json();
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("timeout")), "{doc}");
    assert!(started.elapsed() < at_leisure(7), "{:?}", started.elapsed());
    assert!(!is_running(pids_in(&world, "pids")[0]));

    // The manager was done before the standstill ended.
    let world = World::new();
    world.on("update", "echo 'Hit:1 http://a s InRelease'; touch $world/running; sleep 0.2");
    let time = at_leisure(1);
    let child = world.spawn(&format!("refresh --timeout {} --format json", option(time)));
    until("the refresh runs", || world.path("running").exists());
    signal(&child, Signal::STOP);
    std::thread::sleep(time + Duration::from_millis(500));
    signal(&child, Signal::CONT);
    let doc = Ran::end(child).json();
    assert!(doc["exit_code"] == 0 || doc["error"]["class"] == "timeout", "{doc}");
    assert_eq!(world.state()["last_attempt"]["outcome"] == "fresh", doc["exit_code"] == 0);
}

#[test]
fn logs_from_the_future_do_not_push_out_the_log_of_this_run() {
    let world = World::new();
    world.on("install", "exit 100");
    for number in 0..30 {
        let time = Time::from_unix(Time::now().unix() + DAY + number).unwrap().compact();
        std::fs::create_dir_all(world.state_dir().join("log")).unwrap();
        std::fs::write(world.state_dir().join(format!("log/{time}-apply-1.log")), "").unwrap();
    }
    for _ in 0..3 {
        let doc = world.json("apply");
        let log = doc["log"].as_str().unwrap();
        assert!(std::path::Path::new(log).exists(), "{log} is gone");
    }
    let logs = std::fs::read_dir(world.state_dir().join("log")).unwrap().count();
    assert!(logs <= 21, "{logs} logs");
}

#[test]
fn the_last_apply_lies_in_the_future() {
    let world = World::new();
    let mut state = fresh_state(100);
    state["apply"]["last"] = json!({"started_at": ago(-DAY), "finished_at": ago(-DAY), "outcome": "success",
        "retried": false, "packages": [], "error": null});
    world.write_state(&state);
    let text = world.run("status").stdout;
    assert!(text.contains("last apply: in the future"), "{text}");
}
