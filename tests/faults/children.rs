//! Package managers that misbehave in many ways, in each phase that starts them.

use crate::leisure::{at_leisure, option};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use linux_patch::store::state_file::{Loaded, load};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bench;
use crate::deb::deb;
use crate::dice::Dice;
use crate::machine::{end, is_running, pids_in, signal};
use crate::tally::{share, tried};
use crate::world::{Ran, World, in_parallel, until};

/// What the manager prints and does in each phase when nothing is wrong.
const PHASES: [(&str, &str); 3] =
    [("update", "echo 'Hit:1 http://a s InRelease'"), ("download", ":"), ("install", "unpack")];

/// Runs the phase in which the manager does this.
fn run(world: &World, phase: &str) -> Ran {
    world.run(&format!("{} --format json", if phase == "update" { "refresh" } else { "apply" }))
}

/// What must be true after every run.
fn assert_sane(world: &World, ran: &Ran, what: &str) -> Value {
    let doc = ran.json();
    assert!(!ran.stderr.contains("internal error"), "{what}: {}", ran.stderr);
    let raw = |text: &str| text.contains(|c: char| c.is_control() && c != '\n');
    assert!(!raw(&ran.stdout) && !raw(&ran.stderr), "{what}: {:?}", ran.stderr);
    assert!(matches!(load(&world.state_dir()), Loaded::Good(_)), "{what}");
    assert_eq!(world.state()["apply"]["in_progress"], Value::Null, "{what}");
    doc
}

/// Asserts that no process whose number is in the file `pids` runs, and ends those that do.
fn assert_gone(world: &World, what: &str) {
    let pids = pids_in(world, "pids");
    let left: Vec<_> = pids.iter().copied().filter(|pid| is_running(*pid)).collect();
    left.iter().for_each(|pid| end(*pid));
    assert!(left.is_empty(), "{what}: {left:?} of {pids:?} are left");
}

#[test]
fn a_daemon_that_holds_the_output_open_is_waited_for_in_no_phase() {
    let daemons = [
        "sleep 120 & echo $! >>$world/pids",
        "setsid sleep 120 & echo $! >>$world/pids",
        "(setsid sh -c 'echo $$ >>'$world/pids'; exec sleep 120' &)
         while [ ! -e $world/pids ]; do sleep 0.01; done",
        "(trap '' TERM HUP; while :; do sleep 1; done) & echo $! >>$world/pids",
    ];
    let tries: Vec<_> = PHASES.iter().flat_map(|phase| daemons.map(|daemon| (phase, daemon))).collect();
    in_parallel(&tries, |((phase, well), daemon)| {
        let what = format!("{phase}: {daemon}");
        let world = World::new();
        world.on(phase, &format!("{daemon}; {well}"));
        let ran = run(&world, phase);
        let pids = pids_in(&world, "pids");
        let runs = pids.iter().all(|pid| is_running(*pid));
        pids.iter().for_each(|pid| end(*pid));
        let doc = assert_sane(&world, &ran, &what);
        assert_eq!(doc["exit_code"], 0, "{what}: {doc}");
        assert!(ran.took < Duration::from_secs(60), "{what}: {:?}", ran.took);
        assert!(runs, "{what}: the daemon was ended");
    });
    tried(tries.len(), "managers that leave a daemon with their output open");
}

/// As one in a system call that never ends, a process that somebody traces is not gone when it is killed: its tracer,
/// which is stopped, must hear of that first.
#[test]
fn a_process_that_is_not_gone_when_it_is_killed_keeps_nobody() {
    let world = World::new();
    world.on(
        "update",
        "setsid sleep 300 & p=$!; echo $p >>$world/pids
         setsid /usr/bin/strace -qq -o /dev/null -p $p & echo $! >>$world/pids
         until /usr/bin/grep -q TracerPid:.*[1-9] /proc/$p/status; do sleep 0.01; done
         kill -STOP $!; echo traced >$world/traced; sleep 300",
    );
    let ran = world.run(&format!("refresh --timeout {} --format json", option(at_leisure(5))));
    assert!(world.path("traced").exists(), "{}", ran.stderr);
    let doc = assert_sane(&world, &ran, "traced");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("timeout")), "{doc}");
    assert_gone(&world, "traced");
}

/// It says once that it waits for a lock, and on a busy machine, or as here under a tracer, it may not stand still while
/// we look whether it does.
#[test]
fn a_manager_that_waits_for_a_lock_is_looked_at_until_that_is_known() {
    let world = World::new();
    world.install_fake("dnf5");
    world.install_fake("rpm");
    world.on("rpm", "exit 0");
    world.on(
        "dnf5",
        "case $* in *--refresh*) ;; *) exit 0 ;; esac
         echo >>$world/runs
         [ $(sed -n '$=' $world/runs) -gt 1 ] || {
             /usr/bin/strace -qq -o /dev/null -p $$ & tracer=$!
             until /usr/bin/grep -q TracerPid:.*[1-9] /proc/$$/status; do sleep 0.01; done
             (sleep 0.5; echo 'Waiting for a lock on the system repository' >&2; sleep 1; kill -KILL $tracer) &
             kill -STOP $tracer
             sleep 600
         }
         printf '%s\\n' 'Updating and loading repositories:' \\
             ' test                      100% |  11.7 KiB/s |  24.0   B |  00m00s' \\
             'Repositories loaded.' 'Nothing to do.' >&2",
    );
    let doc = world.json(&format!("refresh --manager dnf5 --timeout {}", option(at_leisure(20))));
    assert_eq!(world.read("runs").lines().count(), 2, "{doc}");
    assert_eq!(doc["exit_code"], 0, "{doc}");
}

/// A manager that has its own session, is stopped or ignores signals, when linux-patch gets a signal.
#[test]
fn a_signal_ends_whatever_may_be_ended() {
    let scripts = [
        "exec setsid -w sh -c 'echo $$ >>'$world/pids'; touch '$world/running'; sleep 120'",
        "touch $world/running; kill -STOP $$; sleep 120",
        "(setsid sh -c 'echo $$ >>'$world/pids'; kill -STOP $$; sleep 120' &)
         while [ ! -e $world/pids ]; do sleep 0.01; done; touch $world/running; sleep 120",
        "exec >&- 2>&-; touch $world/running; sleep 120",
        "touch $world/running; trap '' TERM; while :; do sleep 1; done",
    ];
    let tries: Vec<_> =
        PHASES[..2].iter().flat_map(|(phase, _)| scripts.map(|script| (phase, script))).collect();
    in_parallel(&tries, |(phase, script)| {
        let what = format!("{phase}: {script}");
        let world = World::new();
        world.on(phase, &format!("echo $$ >>$world/pids; {script}"));
        let child = world.spawn("apply --format json");
        until("the script runs", || world.path("running").exists());
        let started = Instant::now();
        signal(&child, Signal::TERM);
        let ran = Ran::end(child);
        assert_gone(&world, &what);
        let doc = assert_sane(&world, &ran, &what);
        assert_eq!(
            (&doc["exit_code"], &doc["error"]["class"]),
            (&json!(2), &json!("interrupted")),
            "{what}: {doc}"
        );
        // The grace time and a lot more for a busy machine, but less than the manager would take.
        assert!(started.elapsed() < at_leisure(25), "{what}: {:?}", started.elapsed());
        assert_eq!(world.count("install"), 0, "{what}");
    });
    tried(tries.len(), "managers ended by a signal");
}

/// A manager that may not be ended is waited for, whatever its state.
#[test]
fn an_install_that_stops_itself_or_leaves_the_group_is_waited_for() {
    let scripts = [
        "kill -STOP $$; unpack",
        "setsid -w sh -c 'echo $$ >>'$world/stopped'; kill -STOP $$; touch '$world/done; unpack",
        "exec >&- 2>&-; sleep 1; unpack",
        "trap '' TERM HUP INT CHLD; sleep 1 & wait; unpack",
    ];
    in_parallel(&scripts, |script| {
        let world = World::new();
        world.on("install", &format!("echo $$ >>$world/stopped; touch $world/running; {script}"));
        let mut child = world.spawn("apply --format json");
        until("the install runs", || world.path("running").exists());
        signal(&child, Signal::TERM);
        std::thread::sleep(Duration::from_millis(500));
        // What has to stop itself first may take its time.
        let end = Instant::now() + at_leisure(60);
        while child.try_wait().unwrap().is_none() && Instant::now() < end {
            for pid in pids_in(&world, "stopped") {
                // It may have ended already.
                let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::CONT);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let ran = Ran::end(child);
        let doc = assert_sane(&world, &ran, script);
        assert_eq!(doc["exit_code"], 0, "{script}: {doc}");
        assert_eq!(doc["packages"].as_array().unwrap().len(), 3, "{script}: {doc}");
    });
    tried(scripts.len(), "installs that stop themselves or leave the group");
}

/// A run that was watched until its end.
pub struct Watched {
    pub ran: Ran,
    /// The most memory of its own, in MiB.
    pub own: u64,
    /// The most memory of the files in memory that it made, in MiB.
    pub files: u64,
    /// The processor time that it took itself, without the programs that it started: a busy machine changes nothing in
    /// that.
    pub processor: Duration,
}

/// Runs it, and watches it until its end.
pub fn watched(world: &World, args: &str) -> Watched {
    let started = Instant::now();
    watch(world.spawn(args), started)
}

/// Watches a run that was started at that moment.
fn watch(child: Child, started: Instant) -> Watched {
    let pid = child.id();
    let own = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    let processor = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // utime and stime of proc(5), in hundredths of a second.
        let fields = text.rsplit(')').next().unwrap_or_default().split(' ').skip(12).take(2);
        Duration::from_millis(fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * 10)
    };
    let files = || {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let metas = entries.filter_map(|entry| std::fs::metadata(entry.path()).ok());
        use std::os::unix::fs::MetadataExt;
        let in_memory = metas.filter(|meta| meta.is_file() && meta.nlink() == 0);
        in_memory.map(|meta| (meta.ino(), meta.blocks() * 512)).collect::<std::collections::HashMap<_, _>>()
    };
    let done = AtomicBool::new(false);
    let (ran, peaks) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peaks = (0, 0, Duration::ZERO);
            while !done.load(Relaxed) {
                let files = files().values().sum::<u64>() >> 20;
                peaks = (own().max(peaks.0), files.max(peaks.1), processor().max(peaks.2));
                std::thread::sleep(Duration::from_millis(5));
            }
            peaks
        });
        let ran = Ran::end(child);
        done.store(true, Relaxed);
        (ran, watcher.join().unwrap())
    });
    let (own, files, processor) = peaks;
    Watched { ran: Ran { took: started.elapsed(), ..ran }, own, files, processor }
}

#[test]
fn a_manager_that_prints_without_end_takes_bounded_memory() {
    let bytes = share(150, 1024) << 20;
    let zeros = format!("head -c {bytes} /dev/zero");
    let lines = format!("yes 'Inst a [1] (2 x [all])' | head -c {bytes}");
    let deaf = "trap '' TERM; yes";
    let cases: Vec<(&str, String, i32)> = vec![
        ("update", format!("{zeros}; echo 'Hit:1 http://a s InRelease'"), 2),
        ("update", format!("{lines} >&2; echo 'Hit:1 http://a s InRelease'"), 2),
        ("update", format!("{zeros} >>/proc/self/fd/$fd; echo 'Hit:1 http://a s InRelease'"), 2),
        ("update", deaf.into(), 2),
        ("simulate", lines.clone(), 2),
        ("download", lines.clone(), 2),
        ("download", deaf.into(), 2),
        ("install", format!("{lines}; {zeros} >&2; unpack"), 0),
        ("install", format!("{zeros} >>/proc/self/fd/$fd; unpack"), 0),
        ("dpkg-query", lines, 2),
    ];
    // One after the other: each may take some hundred megabytes for a moment.
    for (verb, script, code) in &cases {
        let world = World::new();
        // No disk for the log: even the output of an install is kept in memory.
        std::fs::create_dir_all(world.state_dir()).unwrap();
        std::fs::write(world.state_dir().join("log"), "a file").unwrap();
        world.on(verb, script);
        let args = if *verb == "update" { "refresh" } else { "apply" };
        let Watched { ran, own, files, processor } = watched(&world, &format!("{args} --format json"));
        let what = format!("{verb}: {script}");
        let doc = assert_sane(&world, &ran, &what);
        assert_eq!(doc["exit_code"], *code, "{what}: {doc}");
        println!("{what}: own {own} MiB, files in memory {files} MiB, {processor:?} of {:?}", ran.took);
        assert!(own < 200, "{what}: {own} MiB of our own");
        assert!(files < 1000, "{what}: {files} MiB in files");
        assert!(processor < Duration::from_secs(30), "{what}: {processor:?}");
    }
    tried(cases.len(), &format!("managers that print {} MiB or without end", bytes >> 20));
}

#[test]
fn output_that_is_no_text_in_every_phase() {
    let outputs = [
        "printf 'Hit:1 http://a s InRelease'",
        "head -c 4000000 /dev/urandom",
        "head -c 4000000 /dev/zero",
        "head -c 4000000 /dev/zero | tr '\\0' '\\377'",
        "head -c 4000000 /dev/zero | tr '\\0' '\\r'",
        "printf '\\033]0;title\\007\\033[2J\\033[31mE: red\\n'; exit 100",
        "printf '\\355\\240\\200 \\300\\200 \\370\\210\\200\\200\\200\\n'; exit 100",
        "yes '://a@b/' | tr -d '\\n' | head -c 15000000; exit 100",
        "printf 'E: '; yes 'x://u:p@' | tr -d '\\n' | head -c 8000000; exit 100",
        "yes 'E: Failed to fetch http://a/x  404' | head -c 2000000; exit 100",
        "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo \"Hit:$i http://h$i s InRelease\"; done",
        "perl -e 'print \"Hit:$_ http://h$_ s InRelease\\n\" for 1..100000'",
        "perl -e 'print \"Inst p$_ [1] (2 x [all])\\n\" for 1..50000'",
        "perl -e 'print \"Err:$_ http://h$_ s InRelease\\n  404  Not Found\\n\" for 1..20000'; exit 100",
        "perl -e 'print \"p$_\\tall\\t1\\tii \\n\" for 1..50000'",
    ];
    let verbs = ["update", "simulate", "download", "install", "dpkg-query", "apt-cache"];
    let tries: Vec<_> = verbs.iter().flat_map(|verb| outputs.map(|output| (*verb, output))).collect();
    let tries = Dice::new("no text").some_of(tries, share(6, 45));
    in_parallel(&tries, |(verb, output)| {
        for stream in ["", ">&2"] {
            let what = format!("{verb}: {output} {stream}");
            let world = World::new();
            let link = std::os::unix::fs::symlink("/usr/bin/tr", world.path("tools/tr"));
            link.unwrap();
            world.on(verb, &format!("({output}) {stream}"));
            for args in ["refresh", "apply", "refresh"] {
                let mut command = world.command(&format!("{args} --verbose --format json"));
                command.stderr(std::fs::File::create(world.path("stderr")).unwrap());
                let started = Instant::now();
                let child = command.stdout(Stdio::piped()).spawn().unwrap();
                let Watched { ran, processor, .. } = watch(child, started);
                let ran = Ran { stderr: world.read("stderr"), ..ran };
                assert!(!ran.stderr.is_empty(), "{what}: nothing is said");
                let doc = assert_sane(&world, &ran, &what);
                assert!(doc["exit_code"].as_i64().unwrap() < 3, "{what}: {doc}");
                assert!(processor < Duration::from_secs(60), "{what}: {processor:?}");
            }
            let ran = world.run("status --history");
            assert!(ran.code < 3, "{what}: {}", ran.stdout);
        }
    });
    tried(tries.len() * 2, "managers whose output is no text, or too much of it");
}

/// A manager prints a lot, and every line looks right.
#[test]
fn a_report_is_judged_by_what_it_says_however_long_it_is() {
    let sources = "perl -e 'print \"Hit:$_ http://h$_ s InRelease\\n\" for 1..20000'";
    let complaints = "echo 'Hit:1 http://a s InRelease'
        perl -e 'print STDERR \"W: Failed to fetch http://a/dists/s/$_  404\\n\" for 1..50000'";
    let rows = [(sources, json!(0), Value::Null), (complaints, json!(2), json!("fetch"))];
    in_parallel(&rows, |(script, code, class)| {
        let world = World::new();
        world.on("update", script);
        let doc = world.json("refresh");
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (code, class), "{script}");
        assert!(world.has_good_state(), "{script}");
    });
    // More updates than the state can hold: the important part is still remembered.
    let world = World::new();
    world.on("simulate", "perl -e 'print \"Inst p$_ [1] (2 Debian-Security:s [all])\\n\" for 1..170000'");
    world.on("apt-cache", "exit 0");
    let world_state = |world: &World| load(&world.state_dir());
    assert_eq!(world.run("refresh").code, 1);
    assert!(matches!(world_state(&world), Loaded::Good(_)), "{:?}", world.run("status").stdout);
    let doc = world.json("status");
    assert_eq!((&doc["exit_code"], &doc["pending"]["count"]), (&json!(1), &Value::Null), "{doc}");
    tried(3, "reports of more than there can be");
}

/// Replaces a helper program by another one.
fn replace(world: &World, name: &str, text: &str, mode: u32) {
    let path = world.path("fakes").join(name);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_manager_that_cannot_be_started() {
    let shapes: [(&str, &str, u32); 6] = [
        ("a script without its interpreter", "#!/nonexistent/interpreter\n", 0o755),
        ("no program", "\0\0\0\0", 0o755),
        ("empty", "", 0o755),
        ("half a program", "\x7fELF\x02\x01\x01", 0o755),
        ("a script whose interpreter is a directory", "#!/usr\n", 0o755),
        ("a loop of interpreters", "#!/proc/self/exe\n", 0o755),
    ];
    let mut count = 0;
    for helper in ["apt-get", "dpkg-query", "apt-cache", "apt-config"] {
        for (what, text, mode) in shapes {
            let world = World::new();
            replace(&world, helper, text, mode);
            for args in ["refresh", "apply"] {
                let ran = world.run(&format!("{args} --format json"));
                let doc = assert_sane(&world, &ran, &format!("{helper} is {what}"));
                let needed = helper == "apt-get" || (helper == "dpkg-query" && args == "apply");
                assert!(!needed || doc["exit_code"] == 2, "{helper} is {what}, {args}: {doc}");
                assert!(doc["exit_code"] != 3, "{helper} is {what}, {args}: {doc}");
                let named = doc["reason"].as_str().unwrap().contains(helper);
                assert!(!needed || named, "{helper} is {what}, {args}: {doc}");
                assert_eq!(world.count("install") > 0, args == "apply" && !needed && doc["exit_code"] == 0);
                count += 1;
            }
        }
    }
    tried(count, "runs of a manager that cannot be started");
}

#[test]
fn a_manager_that_is_no_executable_is_none() {
    let world = World::new();
    replace(&world, "apt-get", "#!/bin/sh\n", 0o644);
    for args in ["refresh", "apply", "refresh --manager apt"] {
        let doc = world.json(args);
        assert_eq!(doc["exit_code"], 3, "{args}: {doc}");
        assert!(doc["reason"].as_str().unwrap().contains("on PATH"), "{args}: {doc}");
    }
    // A program that cannot be run does not hide one later in PATH.
    let world = World::new();
    std::fs::create_dir(world.path("first")).unwrap();
    std::fs::write(world.path("first/apt-get"), "#!/bin/sh\nexit 9\n").unwrap();
    std::fs::create_dir(world.path("first/dpkg-query")).unwrap();
    let mut command = world.command("apply --format json");
    let path = ["first", "fakes", "tools"].map(|dir| world.path(dir).display().to_string()).join(":");
    command.env("PATH", path);
    assert_eq!(Ran::of(command).json()["exit_code"], 0);
    tried(4, "runs with a manager that is no executable");
}

#[test]
fn a_manager_that_vanishes_in_the_middle_of_a_run() {
    let programs = ["apt-get", "apt-cache", "apt-config", "dpkg-query"];
    let mut tries = Vec::new();
    for program in programs {
        for at in ["dpkg-query", "apt-config", "update", "simulate", "download", "install"] {
            tries.push((program, at));
        }
    }
    in_parallel(&tries, |(program, at)| {
        let what = format!("{program} vanishes during {at}");
        let world = World::new();
        let script = world.read(&format!("scripts/{at}"));
        world.on(at, &format!("rm -f $world/fakes/{program}; {script}"));
        let ran = world.run("apply --format json");
        let doc = assert_sane(&world, &ran, &what);
        assert!(doc["exit_code"] == 0 || doc["exit_code"] == 2, "{what}: {doc}");
        let installed = world.count("install") > 0;
        let is_missing = *program == "apt-get" && *at != "install";
        assert!(!is_missing || !installed, "{what}: {doc}");
        if is_missing || *program == "dpkg-query" {
            assert_eq!(doc["exit_code"], 2, "{what}: {doc}");
            let words = format!("could not run {program}: it is not on PATH");
            assert!(doc["reason"].as_str().unwrap().contains(&words), "{what}: {doc}");
        }
        if installed && *program != "dpkg-query" {
            assert_eq!(doc["packages"].as_array().unwrap().len(), 3, "{what}: {doc}");
        }
        // When it is back, the next run ends well.
        if !world.path("fakes").join(program).exists() {
            world.install_fake(program);
        }
        world.on(at, &script);
        assert_eq!(world.json("apply")["exit_code"], 0, "{what}");
    });
    tried(tries.len(), "programs that vanish in the middle of an apply");
}

#[test]
fn a_small_fork_bomb_is_ended_whole() {
    let bombs = [
        // All processes stay in the process group.
        "n=0; while [ $n -lt 100 ]; do n=$((n+1)); (echo $$ >/dev/null; exec sleep 120) & echo $! >>$world/pids; done; wait",
        // Each in a session of its own.
        "n=0; while [ $n -lt 60 ]; do n=$((n+1)); setsid sh -c 'echo $$ >>'$world/pids'; exec sleep 120' & done; wait",
        // A chain in which each starts the next and dies, every link in a session of its own.
        "echo 'echo $$ >>$world/pids; sleep 0.02; [ ! -e $world/stop ] || exit; setsid sh $world/link & exit' >$world/link
         export world; setsid sh $world/link & sleep 120",
        // Each process ignores TERM and starts two more, several times.
        "echo 'trap \"\" TERM; echo $$ >>$world/pids; [ $1 -gt 0 ] || exec sleep 120
               sh $world/tree $(($1 - 1)) & setsid sh $world/tree $(($1 - 1)) & wait' >$world/tree
         export world; sh $world/tree 5",
    ];
    in_parallel(&bombs, |bomb| {
        let world = World::new();
        world.on("update", &format!("echo $$ >>$world/pids; {bomb}"));
        let ran = world.run(&format!("refresh --timeout {} --format json", option(at_leisure(3))));
        // Processes that were starting when linux-patch ended have written down their numbers by now.
        std::thread::sleep(Duration::from_millis(300));
        world.write("stop", "");
        let doc = assert_sane(&world, &ran, bomb);
        assert_gone(&world, bomb);
        assert_eq!(
            (&doc["exit_code"], &doc["error"]["class"]),
            (&json!(2), &json!("timeout")),
            "{bomb}: {doc}"
        );
        assert!(ran.took < Duration::from_secs(60), "{bomb}: {:?}", ran.took);
        assert!(pids_in(&world, "pids").len() > 10, "{bomb}: {:?}", pids_in(&world, "pids"));
    });
    tried(bombs.len(), "small fork bombs");
}

/// The disk of the log fills up while a maintainer script prints: the package must not fail because of that.
#[test]
fn a_script_that_prints_more_than_the_log_disk_takes_is_installed() {
    let script = "set -e\nyes 'a line that fills the disk' | head -n 20000\necho done";
    let (sandbox, _repo) =
        bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0").script("postinst", script)]);
    sandbox.sh("mkdir -p /var/log/linux-patch && mount -t tmpfs -o size=256k none /var/log/linux-patch");
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
    sandbox.has_exactly(&["tb-hello 2.0"]);
    tried(1, "packages of the real apt whose words the log disk does not take");
}
