//! linux-patch killed at random moments: many times with fakes, sometimes with the real apt.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use linux_patch::store::state_file::{Loaded, parse};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::bench;
use crate::deb::deb;
use crate::dice::Dice;
use crate::machine::{cut_off, fresh_state, is_running, signal};
use crate::repo::Repo;
use crate::sandbox::Sandbox;
use crate::tally::{share, tried};
use crate::world::{World, in_parallel, until};

/// Age of the complete refresh that went before: an index that old is stale.
const BEFORE: i64 = 100_000;

/// A machine on which a run takes a while in each phase; the refresh says when it is done.
fn machine() -> World {
    let world = World::new();
    let mut state = fresh_state(BEFORE);
    state["of_tomorrow"] = json!("kept");
    world.write_state(&state);
    world.on(
        "update",
        "sleep 0.03; echo 'Hit:1 http://a s InRelease'; sleep 0.02; : >>$world/refreshed; echo $$ >>$world/refreshed",
    );
    world.on("simulate", "sleep 0.01; cat $world/pending");
    world.on("download", "sleep 0.03");
    world.on("install", "sleep 0.02; unpack; sleep 0.04");
    world.on("dpkg", "sleep 0.04");
    world
}

/// How many refreshes reached their end.
fn refreshed(world: &World) -> u64 {
    world.read("refreshed").lines().count() as u64
}

fn state(world: &World, moment: &str) -> Value {
    let bytes = std::fs::read(world.state_dir().join("state.json")).unwrap();
    assert!(matches!(parse(&bytes), Loaded::Good(_)), "{moment}: {}", String::from_utf8_lossy(&bytes));
    serde_json::from_slice(&bytes).unwrap()
}

fn counted(state: &Value) -> u64 {
    state["counters"]["refresh_total"].as_u64().unwrap()
}

/// What must hold after a kill: the state is the old one, or one that this run made.
fn assert_sound(world: &World, before: &Value, moment: &str) -> Value {
    let after = state(world, moment);
    let known = [".state.json.new", "history.jsonl", "lock", "log", "state.json"];
    let files = world.state_files();
    assert!(files.iter().all(|name| known.contains(&name.as_str())), "{moment}: {files:?}");
    assert_eq!(after["of_tomorrow"], "kept", "{moment}: {after}");
    let (was, is) = (counted(before), counted(&after));
    assert!(is == was || is == was + 1, "{moment}: {was} refreshes became {is}");
    if is == was {
        let field = |state: &Value| (state["last_cache_update"].clone(), state["last_attempt"].clone());
        assert_eq!(field(&after), field(before), "{moment}: a refresh that did not finish");
    }
    assert!(is - 4 <= refreshed(world), "{moment}: a refresh is remembered that did not finish");
    after
}

/// Waits until the fakes have ended that are still running after linux-patch was killed: they go on, as apt would.
fn wait_for_orphans(world: &World) {
    let calls = world.read("calls");
    let pids: Vec<i32> = calls.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    until("the orphans end", || pids.iter().all(|pid| !is_running(*pid)));
}

/// Whether it still ran then.
fn killed_after(mut child: Child, moment: Duration) -> bool {
    std::thread::sleep(moment);
    signal(&child, Signal::KILL);
    child.wait().unwrap().signal().is_some()
}

/// Kills a run at random moments, sometimes twice or three times before one may end.
fn attack(verb: &str, prepare: fn(&World), quick: usize) {
    let kills = share(quick, 320);
    let mut dice = Dice::new(verb);
    // As long as a run takes while other runs take place.
    let took = Mutex::new(Duration::ZERO);
    in_parallel(&[(); 8], |()| {
        let world = machine();
        prepare(&world);
        let ran = world.run(verb);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let mut took = took.lock().unwrap();
        *took = took.max(ran.took);
    });
    let whole = took.into_inner().unwrap();
    let tally = Mutex::new(BTreeMap::new());
    let too_late = AtomicUsize::new(0);
    let try_one = |moments: &Vec<Duration>| {
        let world = machine();
        prepare(&world);
        for moment in moments {
            let before = state(&world, "before");
            let was_killed = killed_after(world.spawn(verb), *moment);
            let moment = format!("{verb} killed after {moment:?}");
            let after = assert_sound(&world, &before, &moment);
            if !was_killed {
                too_late.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let phase = after["apply"]["in_progress"]["phase"].as_str();
            let was_cut = phase.is_some();
            let unchanged = before == after;
            let word = phase.unwrap_or(if unchanged { "unchanged" } else { "done" }).to_string();
            *tally.lock().unwrap().entry(word).or_insert(0) += 1;
            assert_eq!(world.json("status")["apply_interrupted"], was_cut, "{moment}");
            if was_cut {
                let text = world.run("status").stdout;
                let words = "repair it with: linux-patch apply (by hand: dpkg ";
                assert!(text.contains("interrupted") && text.contains(words), "{moment}: {text}");
            }
            wait_for_orphans(&world);
        }
        let moment = format!("after {verb} was killed at {moments:?}");
        let was_cut = !state(&world, &moment)["apply"]["in_progress"].is_null();
        let repairs = world.count("dpkg");
        let doc = world.json(verb);
        assert_eq!(doc["exit_code"], 0, "{moment}: {doc}");
        if verb == "apply" {
            assert_eq!(doc["repaired"], was_cut, "{moment}: {doc}");
            assert_eq!(world.count("dpkg") - repairs, usize::from(was_cut), "{moment}");
            assert!(world.read("installed").contains("tb-world\tall\t2.0-1"), "{moment}");
            assert_eq!(world.json("status")["apply_interrupted"], false, "{moment}");
        }
        assert_eq!(world.run("status").code, 0, "{moment}");
        let files = world.state_files();
        assert!(!files.contains(&".state.json.new".to_string()), "{moment}: {files:?}");
        let logs = std::fs::read_dir(world.state_dir().join("log")).unwrap().count();
        assert!(logs <= 2 * (moments.len() + 1), "{moment}: {logs} logs");
    };
    let killed = || tally.lock().unwrap().values().sum::<usize>();
    // A signal after the end of the run does not count as a kill.
    while killed() < kills {
        let mut tries = Vec::new();
        while tries.iter().map(Vec::len).sum::<usize>() < kills - killed() {
            tries.push((0..=dice.below(3)).map(|_| dice.moment(whole)).collect());
        }
        in_parallel(&tries, try_one);
        let too_late = too_late.load(Ordering::SeqCst);
        assert!(
            too_late < 20 * kills,
            "{too_late} of the kills come after the end, and only {} before",
            killed()
        );
    }
    let count = killed();
    let tally = tally.into_inner().unwrap();
    println!("{verb}, over {whole:?}: {tally:?}, and {too_late:?} came too late");
    tried(count, &format!("kills of `{verb}` at random moments"));
    let phases: &[&str] = if verb == "apply" { &["refresh", "download", "install"] } else { &["unchanged"] };
    // A few kills may all miss a short phase, hundreds do not.
    let is_hit = |phase: &&&str| tally.contains_key(**phase);
    let hit = phases.iter().filter(is_hit).count();
    let wanted = if count < 100 { 1 } else { phases.len() };
    assert!(hit >= wanted, "the kills miss a phase: {tally:?}");
}

#[test]
fn a_refresh_killed_at_random_moments() {
    attack("refresh", |_| {}, 30);
}

#[test]
fn a_refresh_if_stale_killed_at_random_moments() {
    attack("refresh --if-stale", |_| {}, 15);
}

#[test]
fn a_status_that_refreshes_killed_at_random_moments() {
    attack("status --refresh", |_| {}, 15);
}

#[test]
fn an_apply_killed_at_random_moments() {
    attack("apply", |_| {}, 40);
}

#[test]
fn an_apply_that_repairs_killed_at_random_moments() {
    attack(
        "apply",
        |world| {
            let mut state = fresh_state(BEFORE);
            state["of_tomorrow"] = json!("kept");
            state["apply"]["in_progress"] = cut_off("install");
            world.write_state(&state);
        },
        20,
    );
}

/// tb-slow 1.0 is installed, and 2.0 takes a while to configure.
fn slow_pending() -> (Sandbox, Repo) {
    bench::one(
        &[deb("tb-slow", "1.0"), deb("tb-hello", "1.0")],
        &[bench::slow("2.0", 1), deb("tb-hello", "2.0")],
    )
}

/// What the next apply does in a root in which an apply was cut off.
fn assert_repaired(sandbox: &Sandbox, moment: &str) {
    sandbox.write("/run/fast", "");
    let was_cut = !sandbox.state()["apply"]["in_progress"].is_null();
    let status = sandbox.patch(&["status"]);
    status.says("/apply_interrupted", was_cut);
    if was_cut {
        let text = sandbox.run(&["linux-patch", "status"]).stdout;
        assert!(text.contains("repair it with: linux-patch apply (by hand: dpkg "), "{moment}: {text}");
    }
    let report = sandbox.patch(&["apply"]);
    report.exits(0).remembers("/apply/in_progress", Value::Null).remembers("/apply/last/outcome", "success");
    assert!(!was_cut || report.json["repaired"] == true, "{moment}: {report}");
    sandbox.has_exactly(&["tb-hello 2.0", "tb-slow 2.0"]);
    sandbox.patch(&["status"]).exits(0).says("/apply_interrupted", false).says("/pending/count", 0);
    let files = sandbox.list("/var/lib/linux-patch");
    assert_eq!(files, ["history.jsonl", "lock", "state.json"], "{moment}");
    sandbox.runs_nothing();
}

/// Kills in roots with the real apt, some of them at once, over the whole length of an apply.
fn in_roots(what: &str, count: usize, attack: impl Fn(Duration) -> String + Sync) {
    let mut dice = Dice::new(what);
    let took = Mutex::new(Vec::new());
    in_parallel(&[(); 4], |()| {
        let (sandbox, _repo) = slow_pending();
        let elapsed = sandbox.patch(&["apply"]).elapsed;
        took.lock().unwrap().push(elapsed);
    });
    let whole = *took.lock().unwrap().iter().max().unwrap();
    let moments: Vec<_> = (0..count).map(|_| dice.moment(whole)).collect();
    let tally = Mutex::new(BTreeMap::new());
    in_parallel(&moments, |moment| {
        let phase = attack(*moment);
        *tally.lock().unwrap().entry(phase).or_insert(0) += 1;
    });
    println!("{what}, over {whole:?}: {:?}", tally.into_inner().unwrap());
    tried(count, what);
}

fn start_and_wait<'a>(sandbox: &'a Sandbox, moment: Duration) -> crate::sandbox::Running<'a> {
    let started = Instant::now();
    let run = sandbox.start(sandbox.patch_command(&["apply"]));
    std::thread::sleep(moment.saturating_sub(started.elapsed()));
    run
}

fn phase_of(sandbox: &Sandbox) -> String {
    match sandbox.state() {
        Value::Null => "nothing".to_string(),
        state => state["apply"]["in_progress"]["phase"].as_str().unwrap_or("done").to_string(),
    }
}

#[test]
fn linux_patch_alone_killed_over_the_real_apt_leaves_it_to_finish() {
    in_roots("kills of linux-patch alone over the real apt-get", share(3, 40), |moment| {
        let (sandbox, _repo) = slow_pending();
        let run = start_and_wait(&sandbox, moment);
        let ours = sandbox.processes().into_iter().find(|(_, name)| name == "linux-patch");
        if let Some((pid, _)) = ours {
            // It may have ended just now.
            sandbox.run(&["kill", "-s", "KILL", &pid.to_string()]);
        }
        run.wait();
        let phase = phase_of(&sandbox);
        let in_install = sandbox.processes().iter().any(|(_, name)| name == "dpkg");
        sandbox.wait_until("apt has ended", || sandbox.processes().is_empty());
        if phase == "install" && in_install {
            sandbox.has_exactly(&["tb-hello 2.0", "tb-slow 2.0"]);
        }
        assert_repaired(&sandbox, &format!("linux-patch killed after {moment:?}, {phase}"));
        phase
    });
}

#[test]
fn everything_killed_over_the_real_apt_is_repaired_by_the_next_apply() {
    in_roots("kills of everything over the real apt-get", share(3, 40), |moment| {
        let (sandbox, _repo) = slow_pending();
        let run = start_and_wait(&sandbox, moment);
        sandbox.kill_everything();
        run.wait();
        let phase = phase_of(&sandbox);
        assert_repaired(&sandbox, &format!("everything killed after {moment:?}, {phase}"));
        phase
    });
}

#[test]
fn a_repair_with_the_real_dpkg_killed_at_random_moments() {
    in_roots("kills of everything during a repair by the real dpkg", share(2, 20), |moment| {
        let (sandbox, _repo) = slow_pending();
        let run = sandbox.start(sandbox.patch_command(&["apply"]));
        sandbox.wait_for_file(bench::IN_POSTINST);
        sandbox.kill_everything();
        run.wait();
        // Twice: a repair that is cut off is itself repaired.
        for _ in 0..2 {
            let run = start_and_wait(&sandbox, moment / 3);
            sandbox.kill_everything();
            run.wait();
        }
        let phase = phase_of(&sandbox);
        assert_repaired(&sandbox, &format!("a repair killed after {:?}, {phase}", moment / 3));
        phase
    });
}

#[test]
fn an_install_outlives_linux_patch() {
    let (sandbox, _repo) = slow_pending();
    let run = sandbox.start(sandbox.patch_command(&["apply"]));
    sandbox.wait_for_file(bench::IN_POSTINST);
    sandbox.signal(sandbox.patch_pid(), "KILL");
    run.wait();
    let text = sandbox.run(&["linux-patch", "status"]).stdout;
    assert!(text.contains("was interrupted in phase install; repair it with: linux-patch apply"), "{text}");
    sandbox.wait_until("apt has ended", || sandbox.processes().is_empty());
    sandbox.has_exactly(&["tb-hello 2.0", "tb-slow 2.0"]);
    assert!(sandbox.log().contains("Setting up tb-slow"), "its words are lost: {}", sandbox.log());
    // Nothing is half done, but the next apply checks all the same.
    assert_repaired(&sandbox, "killed in mid-install");
}

#[test]
fn the_first_apply_ever_names_its_repair_when_it_is_cut_off() {
    let world = World::new();
    world.on("update", "touch $world/running; gate");
    let child = world.spawn("apply");
    until("the refresh runs", || world.path("running").exists());
    killed_after(child, Duration::ZERO);
    let text = world.run("status").stdout;
    world.write("go", "");
    assert!(text.contains("repair it with: linux-patch apply (by hand: dpkg "), "{text}");
}

#[test]
fn a_hundred_killed_runs_leave_no_heap_of_files() {
    let world = machine();
    world.on("simulate", "sleep 0.01; case \"$*\" in *Preferences*) sed '/tb-hello/d; s/^3 upgraded/2 upgraded/' $world/pending ;; *) cat $world/pending ;; esac");
    world.on("install", "progress pmstatus:x; sleep 0.02; sed '/tb-hello/!s/1.0-1/2.0-1/' $world/installed >$world/installed.new; mv $world/installed.new $world/installed");
    let count = share(25, 100);
    let mut dice = Dice::new("heap");
    for _ in 0..count {
        let mut command = world.command("apply --exclude tb-hello");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        killed_after(command.spawn().unwrap(), dice.moment(Duration::from_millis(300)));
    }
    wait_for_orphans(&world);
    let known =
        [".selection.new", ".state.json.new", "history.jsonl", "lock", "log", "selection", "state.json"];
    let files = world.state_files();
    assert!(files.iter().all(|name| known.contains(&name.as_str())), "{files:?}");
    let logs = || std::fs::read_dir(world.state_dir().join("log")).unwrap().count();
    assert!(logs() <= 42, "{} files in the log directory", logs());
    let last = world.run("apply --exclude tb-hello");
    assert_eq!(last.code, 0, "{}{}", last.stdout, last.stderr);
    assert_eq!(world.state_files(), ["history.jsonl", "lock", "log", "state.json"]);
    tried(count, "killed runs in one state directory");
}
