//! Disks that are full or read-only, and files that are not what they should be.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::process::Command;

use linux_patch::store::state_file::{Loaded, load, parse};
use serde_json::{Value, json};

use crate::children::{Watched, watched};
use crate::dice::Dice;
use crate::holder::Holder;
use crate::machine::{ago, fresh_state};
use crate::tally::{share, tried};
use crate::world::{BINARY, Ran, World, in_parallel};

/// A machine of fakes whose state directory, or a part of it, is a disk of its own.
struct Machine {
    holder: Holder,
    world: World,
}

impl Machine {
    /// `mounts` are shell lines in which `$state` is the state directory.
    fn new(world: World, mounts: &str) -> Machine {
        let setup = format!(
            "mount -t proc proc /proc\nstate={}\nmkdir -p $state/log\n{mounts}\nroot=/",
            world.state_dir().display()
        );
        Machine { holder: Holder::start(&setup), world }
    }

    fn run(&self, args: &str) -> Ran {
        let tools = self.world.path("tools");
        let mut command = self.holder.command("env");
        command.arg(format!("PATH={}:{}", self.world.path("fakes").display(), tools.display())).arg(BINARY);
        command.arg("--state-dir").arg(self.world.state_dir()).args(args.split(' '));
        Ran::of(command)
    }

    fn json(&self, args: &str) -> Value {
        self.run(&format!("{args} --format json")).json()
    }

    /// The content of a file in the state directory of this machine.
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.world.state_dir().join(name);
        std::fs::read(self.holder.outside_path(path.to_str().unwrap())).ok()
    }

    /// Runs shell lines in the state directory of this machine.
    fn sh(&self, script: &str) {
        let mut command = self.holder.command("sh");
        let script = format!("cd '{}'\n{script}", self.world.state_dir().display());
        let output = command.args(["-ec", &script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Replaces a file by something else.
type Spoil = fn(&World);
/// Makes this many equal bytes.
type Filler = fn(usize) -> Vec<u8>;

const SMALL: &str = "mount -t tmpfs -o size=64k,mode=755 none $state";
/// Writes until nothing more fits; no file has a free byte in its last page then.
const FILL: &str = "cat /dev/zero >filler 2>/dev/null || :";

/// The runs that are tried on each bad disk, what the manager does in them, and how they end.
const RUNS: [(&str, &str, i32); 7] = [
    ("refresh", "echo 'Hit:1 http://a s InRelease'", 0),
    ("refresh", "echo 'Hit:1 http://a s InRelease'; echo 'Err:2 http://b s InRelease'; exit 100", 1),
    ("refresh", "echo 'E: Could not' >&2; exit 100", 2),
    ("refresh --if-stale --max-age 50", "echo 'Hit:1 http://a s InRelease'", 0),
    ("apply", "echo 'Hit:1 http://a s InRelease'", 0),
    ("apply", "echo 'Hit:1 http://a s InRelease'; echo 'Err:2 http://b s InRelease'; exit 100", 1),
    ("apply", "exit 100", 2),
];

/// What a run on a bad disk must still do: its own result, told in full.
fn assert_result(ran: &Ran, run: (&str, &str, i32), what: &str) {
    let (args, _, code) = run;
    let doc = ran.json();
    assert_eq!(doc["exit_code"], code, "{args}, {what}: {doc}{}", ran.stderr);
    if args == "apply" && code < 2 {
        assert_eq!(doc["packages"].as_array().unwrap().len(), 3, "{args}, {what}: {doc}");
    }
}

/// A state directory on a full disk, whichever of its files exist already.
#[test]
fn a_full_disk_under_the_state_and_the_log() {
    let mut tries = Vec::new();
    for run in RUNS {
        for (what, before) in [("with a state", true), ("without one", false)] {
            tries.push((run, what, before));
        }
    }
    let tries = Dice::new("full disk").some_of(tries, share(8, usize::MAX));
    in_parallel(&tries, |&(run, what, before)| {
        let (args, script, code) = run;
        let machine = Machine::new(World::new(), SMALL);
        if before {
            let state = fresh_state(100).to_string();
            machine.sh(&format!("cat >state.json <<'END'\n{state}\nEND\n: >lock"));
        }
        machine.sh(FILL);
        machine.world.on("update", script);
        let ran = machine.run(&format!("{args} --format json"));
        assert_result(&ran, run, what);
        assert!(ran.stderr.contains("not remembered"), "{args}, {what}: {}", ran.stderr);
        if let Some(bytes) = machine.read("state.json") {
            assert!(matches!(parse(&bytes), Loaded::Good(_)), "{args}, {what}: half a state");
        }
        let status = machine.json("status");
        assert!(code == 0 || status["exit_code"] != 0, "{args}, {what}: {status}");
        // As soon as there is room, everything works again, and no stray file is left.
        machine.sh("rm filler");
        machine.world.on("update", "echo 'Hit:1 http://a s InRelease'");
        assert_eq!(machine.json("apply")["exit_code"], 0, "{args}, {what}");
        assert_eq!(machine.json("status")["exit_code"], 0, "{args}, {what}");
        assert!(machine.read(".state.json.new").is_none() && machine.read("state.json.unsaved").is_none());
    });
    tried(tries.len(), "runs on a full disk");
}

/// The log has a disk of its own, as /var/log often has. What the manager and its scripts print
/// must go somewhere, or they fail over a full disk that is none of their business.
#[test]
fn a_full_disk_under_the_log_alone() {
    let mounts = ["8k", "4k", "64k"];
    in_parallel(&mounts, |size| {
        let mount = format!("mount -t tmpfs -o size={size},mode=755 none $state/log");
        for run in RUNS {
            let machine = Machine::new(World::new(), &mount);
            machine.sh(&format!("cd log\n{FILL}"));
            machine.world.on("update", run.1);
            machine.world.on("download", "echo words && head -c 20000 /dev/zero || exit 7");
            machine
                .world
                .on("install", "echo words && yes words | head -c 20000 && echo words >&2 || exit 7; unpack");
            assert_result(&machine.run(&format!("{} --format json", run.0)), run, size);
            let state = machine.read("state.json").unwrap();
            assert!(matches!(parse(&state), Loaded::Good(_)));
        }
    });
    tried(mounts.len() * RUNS.len(), "runs with a full disk under the log");
}

/// A log disk that has room for the first lines only, and fills up while an install prints.
#[test]
fn a_log_disk_that_fills_up_in_mid_install() {
    let machine = Machine::new(World::new(), "mount -t tmpfs -o size=256k,mode=755 none $state/log");
    machine.world.on("install", "yes words | head -c 1000000 && echo words >&2 || exit 7; unpack");
    let doc = machine.json("apply");
    assert_eq!(doc["exit_code"], 0, "{doc}");
}

#[test]
fn a_read_only_state_directory() {
    let mounts = "mount -o bind $state $state && mount -o remount,bind,ro $state";
    in_parallel(&RUNS, |&run| {
        let world = World::new();
        world.write_state(&fresh_state(100));
        std::fs::write(world.state_dir().join("lock"), "").unwrap();
        let machine = Machine::new(world, mounts);
        machine.world.on("update", run.1);
        let ran = machine.run(&format!("{} --format json", run.0));
        assert_result(&ran, run, "read-only");
        assert!(ran.stderr.contains("not remembered"), "{}", ran.stderr);
        assert_eq!(machine.json("status")["exit_code"], 0, "the old state is all there is");
    });
    // Without a lock file other runs cannot be kept out, so the run is refused.
    let machine = Machine::new(World::new(), mounts);
    for verb in ["refresh", "apply"] {
        let doc = machine.json(verb);
        assert_eq!(doc["exit_code"], 3, "{doc}");
        assert!(doc["reason"].as_str().unwrap().contains("/lock"), "{doc}");
    }
    assert_eq!(machine.world.read("calls"), "");
    tried(RUNS.len() + 2, "runs in a read-only state directory");
}

/// The file of `--output` on such a disk.
#[test]
fn a_result_for_a_file_on_a_disk_that_takes_nothing_says_so_and_what_to_do() {
    let option = |words: &str| format!("mount -t tmpfs -o {words} none $state/log");
    for (mounts, words) in [
        (option("size=4k"), "the disk is full; make room there"),
        (option("nr_inodes=1"), "the disk is full; make room there"),
        (option("ro"), "the file system is read-only; make it writable"),
    ] {
        let machine = Machine::new(World::new(), &mounts);
        machine.sh("cat /dev/zero >log/filler 2>/dev/null || :");
        let file = machine.world.state_dir().join("log/result");
        let doc = machine.json(&format!("status --output {}", file.display()));
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&3.into(), &"space".into()), "{doc}");
        let message =
            format!("could not write {}: {words}, or name another file for --output", file.display());
        assert_eq!(doc["error"]["message"], message);
    }
}

fn fifo(path: &std::path::Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A file of the state directory that is something else; nobody waits for it, and what is not a
/// plain file is never written to.
#[test]
fn a_lock_that_is_no_file_refuses_the_run_at_once() {
    let spoils: [(&str, Spoil); 4] = [
        ("a directory", |world| std::fs::create_dir_all(world.state_dir().join("lock/full")).unwrap()),
        ("a named pipe", |world| fifo(&world.state_dir().join("lock"))),
        ("a device", |world| {
            let lock = world.state_dir().join("lock");
            assert!(Command::new("mknod").arg(lock).args(["c", "1", "3"]).status().unwrap().success());
        }),
        ("a link to nowhere", |world| symlink("/proc/nowhere/lock", world.state_dir().join("lock")).unwrap()),
    ];
    in_parallel(&spoils, |(what, spoil)| {
        let world = World::new();
        world.write_state(&fresh_state(100_000));
        spoil(&world);
        for verb in ["refresh", "apply", "refresh --if-stale", "status --refresh"] {
            let ran = within(&world, &format!("{verb} --format json"));
            let doc = ran.json();
            assert_eq!(doc["exit_code"], 3, "{what}, {verb}: {doc}");
            assert!(doc["reason"].as_str().unwrap().contains("/lock"), "{what}, {verb}: {doc}");
        }
        assert_eq!(within(&world, "status").code, 1, "{what}");
        assert_eq!(world.read("calls"), "", "{what}");
    });
    tried(spoils.len() * 5, "runs with a lock that is no file");
}

/// Runs under timeout(1), for files that could be waited for for ever. How long a busy machine takes
/// nobody knows; what hangs takes longer than this.
fn within(world: &World, args: &str) -> Ran {
    let mut command = world.bare("/usr/bin/timeout");
    command.args(["-s", "KILL", "300", BINARY, "--state-dir"]).arg(world.state_dir());
    command.args(args.split(' '));
    let ran = Ran::of(command);
    assert_ne!(ran.code, 137, "{args} hangs");
    assert_ne!(ran.code, -1, "{args} hangs");
    ran
}

#[test]
fn a_missing_lock_is_made_and_a_full_one_emptied() {
    let world = World::new();
    for verb in ["refresh", "apply"] {
        assert_eq!(world.run(verb).code, 0);
        std::fs::remove_file(world.state_dir().join("lock")).unwrap();
    }
    std::fs::write(world.state_dir().join("lock"), vec![b'x'; 10 << 20]).unwrap();
    assert_eq!(world.run("refresh").code, 0);
    assert_eq!(world.state_dir().join("lock").metadata().unwrap().len(), 0);
}

#[test]
fn a_history_that_is_no_file_fails_nothing_and_holds_up_nobody() {
    let spoils: [(&str, Spoil); 5] = [
        ("a named pipe", |world| fifo(&world.state_dir().join("history.jsonl"))),
        ("an older half that is a named pipe", |world| fifo(&world.state_dir().join("history.jsonl.1"))),
        ("a directory", |world| std::fs::create_dir(world.state_dir().join("history.jsonl")).unwrap()),
        ("an older half that is a directory", |world| {
            std::fs::create_dir_all(world.state_dir().join("history.jsonl.1/full")).unwrap();
        }),
        ("a link", |world| symlink(world.path("victim"), world.state_dir().join("history.jsonl")).unwrap()),
    ];
    in_parallel(&spoils, |(what, spoil)| {
        let world = World::new();
        world.write("victim", "mine");
        world.write_state(&fresh_state(100_000));
        spoil(&world);
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(world.state_dir().join("history.jsonl"));
        for args in ["refresh", "apply", "status --history"] {
            let ran = within(&world, &format!("{args} --format json"));
            assert_eq!(ran.json()["exit_code"], 0, "{what}, {args}: {}", ran.stderr);
        }
        if let Some(mut pipe) = open.ok().filter(|_| *what == "a named pipe") {
            let got = pipe.read(&mut [0; 10]);
            assert!(got.is_err(), "{what}: it was written to");
        }
        assert_eq!(world.read("victim"), "mine", "{what}");
    });
    tried(spoils.len() * 3, "runs with a history that is no file");
}

#[test]
fn a_history_stays_bounded_whatever_stands_in_its_way() {
    let runs = share(12, 200);
    let spoils: [(&str, Spoil); 3] = [
        ("nothing", |_| {}),
        ("an older half that is a directory", |world| {
            std::fs::create_dir_all(world.state_dir().join("history.jsonl.1/full")).unwrap();
        }),
        ("a history that is far too big", |world| {
            let entry = format!("{}\n", "x".repeat(999)).repeat(5000);
            std::fs::write(world.state_dir().join("history.jsonl"), entry).unwrap();
        }),
    ];
    in_parallel(&spoils, |(what, spoil)| {
        let world = World::new();
        world.write_state(&fresh_state(100));
        spoil(&world);
        // Long words, so that it fills up soon.
        world.on("update", "printf 'E: %0200000d\\n' 7 >&2; exit 100");
        let file = world.state_dir().join("history.jsonl");
        let length = || file.metadata().map_or(0, |meta| meta.len());
        let (mut most, mut rotated) = (0, false);
        for _ in 0..runs {
            // Near the size limit, so that each pair of runs exceeds it.
            if length() < (1 << 20) - 200 {
                let mut text = std::fs::read_to_string(&file).unwrap_or_default();
                while text.len() < (1 << 20) - 200 {
                    let line = json!({"time": ago(9), "command": "refresh", "exit_code": 0, "class": null,
                        "message": "m".repeat(100), "duration_ms": 1, "packages": 0});
                    text += &format!("{line}\n");
                }
                std::fs::write(&file, text).unwrap();
            }
            let before = length();
            assert_eq!(world.run("refresh").code, 2);
            rotated |= length() < before;
            most = most.max(length());
            let newest = &world.json("status --history")["history"];
            let newest = newest.as_array().unwrap().last().unwrap_or(&Value::Null).clone();
            assert_eq!(newest["exit_code"], 2, "{what}: the newest run is not in the history");
        }
        assert!(rotated || runs < 3, "{what}: it was never rotated");
        let bound = if what.contains("too big") { 6 << 20 } else { (1 << 20) + 8192 };
        assert!(most <= bound, "{what}: {most} bytes");
        assert!(length() <= (1 << 20) + 8192, "{what}: {} bytes in the end", length());
        let files: Vec<_> = world.state_files().into_iter().filter(|name| name.contains("history")).collect();
        assert!(files.len() <= 2, "{files:?}");
    });
    tried(runs * spoils.len(), "runs at the bound of the history");
}

/// A line that a full disk or a crash cut off does not damage the lines of other runs.
#[test]
fn half_a_line_of_history_spoils_no_other() {
    let world = World::new();
    assert_eq!(world.run("refresh").code, 0);
    let file = world.state_dir().join("history.jsonl");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text += "{\"time\":\"2026-05-";
    std::fs::write(&file, text).unwrap();
    assert_eq!(world.run("apply").code, 0);
    let history = world.json("status --history")["history"].clone();
    let commands: Vec<_> = history.as_array().unwrap().iter().map(|entry| entry["command"].clone()).collect();
    assert_eq!(commands, ["refresh", "apply"]);
}

#[test]
fn a_log_directory_that_cannot_be_used_costs_only_the_log() {
    let spoils: [(&str, Spoil); 5] = [
        ("missing", |_| {}),
        ("a file", |world| std::fs::write(world.state_dir().join("log"), "").unwrap()),
        ("a named pipe", |world| fifo(&world.state_dir().join("log"))),
        ("a link to nowhere", |world| symlink("/proc/nowhere/log", world.state_dir().join("log")).unwrap()),
        ("of no use to root either", |world| symlink("/proc/self", world.state_dir().join("log")).unwrap()),
    ];
    in_parallel(&spoils, |(what, spoil)| {
        for run in RUNS {
            let world = World::new();
            world.write_state(&fresh_state(100));
            spoil(&world);
            world.on("update", run.1);
            let ran = within(&world, &format!("{} --format json", run.0));
            assert_result(&ran, run, what);
            assert_eq!(ran.stderr.contains("could not write the log"), *what != "missing", "{}", ran.stderr);
        }
    });
    tried(spoils.len() * RUNS.len(), "runs with a log directory that cannot be used");
}

#[test]
fn a_huge_state_is_read_in_bounded_memory_and_replaced() {
    let big = share(20, 100) << 20;
    let fillers: [(&str, Filler); 4] = [
        ("zeros", |size| vec![0; size]),
        ("one string", |size| format!("{{\"version\": 1, \"x\": \"{}\"}}", "x".repeat(size)).into_bytes()),
        ("nothing but brackets", |size| vec![b'['; size]),
        ("a valid state", |size| {
            let mut state = fresh_state(100).to_string();
            state.insert_str(1, &" ".repeat(size));
            state.into_bytes()
        }),
    ];
    for (what, fill) in fillers {
        let world = World::new();
        world.write_state_bytes(&fill(big));
        let Watched { ran, own: peak, .. } = watched(&world, "status --format json");
        assert_eq!(ran.json()["exit_code"], 3, "{what}: {}", ran.stdout);
        assert!(peak < 120, "{what}: status takes {peak} MiB");
        let Watched { ran, own: peak, .. } = watched(&world, "refresh --format json");
        assert_eq!(ran.json()["exit_code"], 0, "{what}: {}", ran.stderr);
        assert!(peak < 120, "{what}: refresh takes {peak} MiB");
        assert_eq!(world.run("status").code, 0, "{what}");
        assert!(world.state_dir().join("state.json").metadata().unwrap().len() < 100_000);
        println!("{what}: {peak} MiB");
    }
    tried(fillers.len() * 2, &format!("runs with a state of {} MiB", big >> 20));
}

/// A state with every field.
fn full() -> Value {
    let mut state = fresh_state(100);
    let failure = json!({"class": "fetch", "message": "404"});
    state["sources"][1]["error"] = failure.clone();
    state["last_update_error"] = failure.clone();
    state["last_cache_boot"] = json!({"boot_id": crate::machine::boot_id(), "seconds": 5});
    state["apply"] = json!({
        "in_progress": {"pid": 1, "boot_id": "z", "started_at": ago(50), "phase": "install"},
        "last": {"started_at": ago(500), "finished_at": ago(400), "outcome": "failed", "retried": true,
            "packages": [{"name": "p", "from": null, "to": "1"}], "error": failure}});
    state["counters"] = json!({"refresh_total": 1, "refresh_failed_total": 2, "refresh_joined_total": 3,
        "refresh_skipped_fresh_total": 4, "apply_total": 5, "apply_failed_total": 6, "apply_retried_total": 7});
    state
}

/// Every place in a document, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_string());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| places(inner, &format!("{at}/{key}"), found));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(key, inner)| places(inner, &format!("{at}/{key}"), found));
        }
        _ => {}
    }
}

#[test]
fn every_type_in_every_field_of_the_state() {
    let mut all = Vec::new();
    places(&full(), "", &mut all);
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(""),
        json!("\u{0}\u{1b}[31m|\"\\\n\u{202e}"),
        json!("2026-05-27T13:00:00Z"),
        json!("9999-12-31T23:59:59Z"),
        json!("0000-01-01T00:00:00+23:59"),
        json!([]),
        json!([[[[]]]]),
        json!({}),
        json!({"class": "fetch"}),
    ];
    let tries: Vec<_> =
        all.iter().flat_map(|place| values.iter().map(move |value| (place.clone(), value.clone()))).collect();
    // Cases that failed once are always tried.
    let known = |(place, value): &(String, Value)| {
        (place.contains("total") || place == "/pending/count") && *value == json!(u64::MAX)
            || (place == "/sources/0/id" && value.as_str().is_some_and(|text| text.contains('|')))
    };
    let (known, others): (Vec<_>, Vec<_>) = tries.into_iter().partition(known);
    let tries = [known, Dice::new("types").some_of(others, share(40, usize::MAX))].concat();
    in_parallel(&tries, |(place, value)| {
        let world = World::new();
        let mut state = full();
        *state.pointer_mut(place).unwrap() = value.clone();
        world.write_state(&state);
        let what = format!("{value} at {place:?}");
        let code = world.json("status --history")["exit_code"].as_i64().unwrap() as i32;
        for format in ["text", "nagios", "openmetrics"] {
            let ran = world.run(&format!("status --format {format}"));
            assert_eq!(ran.code, code, "{what}, {format}: {}", ran.stderr);
            let raw = |text: &str| text.contains(|c: char| c.is_control() && c != '\n');
            assert!(!raw(&ran.stdout) && !raw(&ran.stderr), "{what}, {format}: {:?}", ran.stdout);
            match format {
                "nagios" => {
                    assert_eq!(ran.stdout.lines().count(), 1, "{what}: {}", ran.stdout);
                    assert!(!ran.stdout.contains("=-"), "{what}: {}", ran.stdout);
                }
                "openmetrics" => {
                    assert!(ran.stdout.ends_with("# EOF\n"), "{what}: {}", ran.stdout);
                    let samples = ran.stdout.lines().filter(|line| !line.starts_with('#'));
                    let values = samples.map(|line| line.rsplit(' ').next().unwrap());
                    let timed = |line: &&str| line.parse::<f64>().is_err();
                    assert_eq!(values.clone().find(timed), None, "{what}: {}", ran.stdout);
                    let negative = ran.stdout.lines().find(|line| {
                        !line.contains("timestamp") && line.rsplit(' ').next().unwrap().starts_with('-')
                    });
                    assert_eq!(negative, None, "{what}: {}", ran.stdout);
                }
                _ => {}
            }
        }
        let newer = matches!(load(&world.state_dir()), Loaded::Newer(_));
        for verb in ["refresh", "apply"] {
            let ran = world.run(&format!("{verb} --format json"));
            let doc = ran.json();
            assert_eq!(doc["exit_code"], if newer { 3 } else { 0 }, "{what}, {verb}: {doc}{}", ran.stderr);
            assert!(!ran.stderr.contains("internal error"), "{what}, {verb}: {}", ran.stderr);
        }
        assert_eq!(world.run("status").code, if newer { 3 } else { 0 }, "{what}");
    });
    tried(tries.len(), "states with another type in one of their fields");
}

#[test]
fn a_lost_state_is_rebuilt() {
    let world = World::new();
    for (name, lose) in [
        (
            "state.json",
            &(|| std::fs::remove_file(world.state_dir().join("state.json")).unwrap()) as &dyn Fn(),
        ),
        ("everything", &|| std::fs::remove_dir_all(world.state_dir()).unwrap()),
        ("all bytes", &|| std::fs::write(world.state_dir().join("state.json"), "").unwrap()),
    ] {
        for verb in ["refresh", "apply", "refresh --if-stale", "status --refresh"] {
            assert_eq!(world.run("refresh").code, 0);
            lose();
            assert_eq!(world.run("status").code, 3, "{name}");
            assert_eq!(world.run(verb).code, 0, "{name}, {verb}");
            assert_eq!(world.run("status").code, 0, "{name}, {verb}");
            assert!(world.state()["pending"]["count"].is_u64(), "{name}, {verb}");
        }
    }
    // If a reader may not read the file, this is reported; the index is not called fresh.
    std::fs::set_permissions(world.state_dir().join("state.json"), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(world.run("refresh").code, 0);
    let mode = world.state_dir().join("state.json").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    tried(12, "states lost and rebuilt");
}
