//! Every system call with which a run touches the state directory: linux-patch is killed before
//! it, or it fails. strace counts the calls and spoils one.

use std::path::Path;

use linux_patch::store::state_file::{Loaded, parse};
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::machine::{cut_off, fresh_state};
use crate::tally::{share, tried};
use crate::world::{BINARY, Ran, World, in_parallel};

const STRACE: &str = "/usr/bin/strace";
/// Age of the complete refresh that went before.
const BEFORE: i64 = 5000;

/// What is traced: the state directory itself and what stands in it. The log is left out; how
/// often it is written to depends on how long things take.
const PATHS: [&str; 6] = [
    "state",
    "state/state.json",
    "state/.state.json.new",
    "state/state.json.unsaved",
    "state/lock",
    "state/history.jsonl",
];
/// Calls that change nothing: a kill before one of them is the same as a kill after the call before.
const READING: [&str; 5] = ["fcntl", "statx", "newfstatat", "getdents64", "lseek"];

/// One system call of a run on those paths.
#[derive(Clone, Debug)]
struct Call {
    name: String,
    /// Its number among the calls of that name.
    nth: usize,
    line: String,
}

impl Call {
    /// Whether it is part of replacing the state file. That there is no old temporary file to
    /// remove is the usual case, and nobody looks at how closing ends.
    fn saves(&self) -> bool {
        let of_file = self.line.contains("/.state.json.new") && !["unlink", "close"].contains(&&*self.name);
        let of_dir = self.line.contains("state\", O_RDONLY|O_CLOEXEC") || self.line.contains("state>)");
        of_file || (of_dir && ["openat", "fsync"].contains(&&*self.name))
    }
}

/// One way to run, and the machine it runs on.
struct Scene {
    args: &'static str,
    code: i32,
    prepare: fn(&World),
}

const SCENES: [Scene; 5] = [
    Scene { args: "refresh", code: 0, prepare: |_| {} },
    Scene {
        args: "refresh",
        code: 2,
        prepare: |world| {
            world.on("update", "exit 100");
        },
    },
    Scene {
        args: "refresh --if-stale",
        code: 0,
        prepare: |world| world.write_state(&marked(fresh_state(100))),
    },
    Scene { args: "apply", code: 0, prepare: |_| {} },
    Scene {
        args: "apply",
        code: 0,
        prepare: |world| {
            let mut state = marked(fresh_state(BEFORE));
            state["apply"]["in_progress"] = cut_off("install");
            world.write_state(&state);
        },
    },
];

/// A state with an unknown key that every later state must still have.
fn marked(mut state: Value) -> Value {
    state["of_tomorrow"] = json!("kept");
    state
}

impl Scene {
    fn world(&self) -> World {
        let world = World::new();
        world.on("update", "echo 'Hit:1 http://a s InRelease'; touch $world/refreshed");
        world.write_state(&marked(fresh_state(BEFORE)));
        (self.prepare)(&world);
        world
    }

    /// Runs under strace with these options; what it traced lies in `trace`.
    fn traced(&self, world: &World, inject: Option<&str>) -> (Ran, Option<i32>) {
        assert!(Path::new(STRACE).exists(), "these tests need strace");
        let mut command = world.bare(STRACE);
        command.args(["-qq", "-y", "-s", "100", "-e", "signal=none", "-o"]).arg(world.path("trace"));
        for path in PATHS {
            command.arg("-P").arg(world.path(path));
        }
        if let Some(inject) = inject {
            command.args(["-e", inject]);
        }
        command.arg(BINARY).arg("--state-dir").arg(world.state_dir()).args(self.args.split(' '));
        let output = command.args(["--format", "json"]).output().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        (Ran::from(output), signal)
    }

    /// The calls that change the state directory, in order.
    fn calls(&self) -> Vec<Call> {
        let world = self.world();
        let (ran, _) = self.traced(&world, None);
        assert_eq!(ran.code, self.code, "strace must be allowed to trace: {}", ran.stderr);
        let mut counts = std::collections::HashMap::new();
        let text = world.read("trace").replace(world.path("").to_str().unwrap(), "");
        let calls = text.lines().filter_map(|line| {
            let name = line.split_once('(')?.0;
            let nth = counts.entry(name).and_modify(|count| *count += 1).or_insert(1);
            Some(Call { name: name.to_string(), nth: *nth, line: line.to_string() })
        });
        calls.filter(|call| !READING.contains(&&*call.name)).collect()
    }
}

/// What must hold at any moment: the state can be read and has lost nothing, a refresh that did
/// not end is none, and nothing else has gathered. Gives the state, unless it was put aside.
fn assert_sound(world: &World, moment: &str) -> Option<Value> {
    let files = world.state_files();
    let known = [".state.json.new", "history.jsonl", "lock", "log", "state.json", "state.json.unsaved"];
    assert!(files.iter().all(|name| known.contains(&name.as_str())), "{moment}: {files:?}");
    let read = |name: &str| {
        let bytes = std::fs::read(world.state_dir().join(name)).ok()?;
        assert!(matches!(parse(&bytes), Loaded::Good(_)), "{moment}: {}", String::from_utf8_lossy(&bytes));
        Some(serde_json::from_slice::<Value>(&bytes).unwrap())
    };
    let (state, aside) = (read("state.json"), read("state.json.unsaved"));
    let any = state.as_ref().or(aside.as_ref()).unwrap_or_else(|| panic!("{moment}: no state is left"));
    assert_eq!(any["of_tomorrow"], "kept", "{moment}: {any}");
    let age = age_of(any);
    assert!(world.path("refreshed").exists() || age >= 100, "{moment}: an unfinished refresh counts: {any}");
    state
}

fn age_of(state: &Value) -> i64 {
    let time: linux_patch::system::time::Time =
        serde_json::from_value(state["last_cache_update"].clone()).unwrap();
    linux_patch::system::time::Time::now().unix() - time.unix()
}

/// The next run works and leaves no trace of the accident.
fn assert_mended(world: &World, scene: &Scene, moment: &str) {
    world.on("update", "echo 'Hit:1 http://a s InRelease'; touch $world/refreshed");
    let verb = scene.args.split(' ').next().unwrap();
    let ran = world.run(&format!("{verb} --format json"));
    assert_eq!(ran.json()["exit_code"], 0, "{moment}: {}", ran.stdout);
    assert!(!ran.stderr.contains("not remembered"), "{moment}: {}", ran.stderr);
    let state = assert_sound(world, moment).unwrap();
    let files = world.state_files();
    assert!(!files.iter().any(|name| name.ends_with(".new") || name.ends_with(".unsaved")), "{files:?}");
    if verb == "apply" {
        assert_eq!(state["apply"]["in_progress"], Value::Null, "{moment}: {state}");
    }
    assert_eq!(world.json("status")["apply_interrupted"], verb != "apply" && was_cut(&state), "{moment}");
}

fn was_cut(state: &Value) -> bool {
    !state["apply"]["in_progress"].is_null()
}

#[test]
fn killed_at_any_system_call_that_touches_the_state_directory() {
    let mut dice = Dice::new("system calls, kill");
    let tries = SCENES.iter().flat_map(|scene| scene.calls().into_iter().map(move |call| (scene, call)));
    let tries = dice.some_of(tries.collect(), share(40, usize::MAX));
    in_parallel(&tries, |(scene, call)| {
        let world = scene.world();
        let Call { name, nth, line } = call;
        let moment = format!("{}, killed at {line}", scene.args);
        let inject = format!("inject={name}:signal=KILL:when={nth}");
        let (ran, signal) = scene.traced(&world, Some(&inject));
        assert_eq!(signal, Some(9), "{moment}: exit {}, {}", ran.code, ran.stderr);
        let state = assert_sound(&world, &moment);
        let doc = world.json("status");
        let cut = state.as_ref().is_some_and(was_cut);
        assert_eq!(doc["apply_interrupted"], cut, "{moment}: {doc}");
        if cut {
            let text = world.run("status").stdout;
            assert!(text.contains("repair it with: linux-patch apply"), "{moment}: {text}");
        }
        assert_mended(&world, scene, &moment);
    });
    tried(tries.len(), "kills at a system call that changes the state directory");
}

#[test]
fn a_failing_system_call_while_the_state_is_saved() {
    let mut dice = Dice::new("system calls, errors");
    let calls = SCENES.iter().flat_map(|scene| scene.calls().into_iter().map(move |call| (scene, call)));
    let saving = calls.filter(|(_, call)| call.saves());
    let tries =
        saving.flat_map(|(scene, call)| ["ENOSPC", "EIO", "EROFS"].map(|error| (scene, call.clone(), error)));
    let tries = dice.some_of(tries.collect(), share(40, usize::MAX));
    in_parallel(&tries, |(scene, call, error)| {
        let world = scene.world();
        let Call { name, nth, line } = call;
        let moment = format!("{}, {error} at {line}", scene.args);
        let inject = format!("inject={name}:error={error}:when={nth}");
        let (ran, _) = scene.traced(&world, Some(&inject));
        let trace = world.read("trace");
        assert!(trace.contains("(INJECTED)"), "{moment}: {trace}");
        let doc = ran.json();
        assert_eq!(doc["exit_code"], scene.code, "{moment}: {doc}{}", ran.stderr);
        if !scene.args.contains("if-stale") {
            assert!(ran.stderr.contains("not remembered"), "{moment}: {}", ran.stderr);
        }
        assert_sound(&world, &moment);
        let status = world.json("status");
        if scene.code == 2 {
            assert_ne!(status["exit_code"], 0, "{moment}: {status}");
        } else if scene.args == "refresh" {
            assert_eq!(status["exit_code"], 0, "{moment}: {status}");
        }
        assert_mended(&world, scene, &moment);
    });
    tried(tries.len(), "errors of a system call that saves the state");
}
