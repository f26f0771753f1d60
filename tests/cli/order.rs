//! What must come before what, and what time is spent on: faults that only show when something is slow, is
//! killed, or looks in between.

use crate::machine::{fresh_state, hold_lock};
use crate::world::{INSTALL_ALL, Ran, World, replay, until};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

const LOCKED: &str =
    "echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)' >&2; exit 100";

#[test]
fn the_result_is_safe_before_a_reboot_is_asked_for() {
    let world = World::new();
    world.on("shutdown", "cp $world/state/state.json $world/seen");
    assert_eq!(world.json("apply --reboot=always --reboot-delay 0")["reboot_scheduled"], true);
    let seen: Value = serde_json::from_str(&world.read("seen")).expect("shutdown saw a state");
    assert_eq!(seen["apply"]["in_progress"], Value::Null, "{seen}");
    assert_eq!(seen["apply"]["last"]["outcome"], "success", "{seen}");
    assert_eq!(seen["apply"]["last"]["packages"].as_array().unwrap().len(), 3, "{seen}");
}

#[test]
fn a_reboot_that_could_not_be_asked_for_makes_the_apply_a_failed_one() {
    let world = World::new();
    world.on("shutdown", "echo 'Failed to talk to init daemon' >&2; exit 1");
    let doc = world.json("apply --reboot=always");
    assert_eq!((&doc["exit_code"], &doc["reboot_scheduled"]), (&json!(2), &json!(false)), "{doc}");
    let state = world.state();
    assert_eq!(state["apply"]["last"]["outcome"], "failed", "{state}");
    let counters = &state["counters"];
    assert_eq!((&counters["apply_total"], &counters["apply_failed_total"]), (&json!(1), &json!(1)));
    let metrics = world.run("status --format openmetrics").stdout;
    assert!(metrics.contains("linux_patch_last_apply_success 0\n"), "{metrics}");
    assert!(metrics.contains("linux_patch_apply_failed_total 1\n"), "{metrics}");
}

#[test]
fn security_updates_alone_with_nothing_pending_is_nothing_to_do() {
    let world = World::new();
    world.write("pending", "");
    let doc = world.json("apply --security");
    assert_eq!((&doc["exit_code"], &doc["reason"]), (&json!(0), &json!("nothing pending")), "{doc}");
}

/// `--wait` is one time for our lock and the manager's: 8 s, of which ours takes 5.
#[test]
fn waiting_for_several_locks_takes_no_longer_than_was_allowed_in_all() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    world.on("update", LOCKED);
    let lock = hold_lock(&world, "refresh");
    let messages = std::fs::File::create(world.path("messages")).unwrap();
    let started = std::time::Instant::now();
    let mut command = world.command("apply --wait 8s --format json");
    let child = command.stderr(Stdio::from(messages)).spawn().unwrap();
    until("it waits", || world.read("messages").contains("waiting for linux-patch refresh"));
    std::thread::sleep(Duration::from_secs(5));
    drop(lock);
    let ran = Ran::end(child);
    let took = started.elapsed();
    let doc = ran.json();
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("lock")), "{doc}");
    assert!(took >= Duration::from_secs(7), "it gave up after {took:?}");
    assert!(took < Duration::from_secs(12), "it waited for {took:?}");
    // However often it tried.
    let told = world.read("messages");
    assert!(world.count("update") > 1, "it tried once");
    assert_eq!(told.matches("waiting for the lock of apt").count(), 1, "{told}");
}

#[test]
fn quiet_is_quiet_about_warnings_and_never_about_an_exit_code() {
    let world = World::new();
    let well = world.run("refresh --quiet");
    assert_eq!((well.code, &*well.stdout, &*well.stderr), (0, "", ""));
    // A warning alone: the count of what was listed is well.
    world.on("download", &format!("echo 'W: something odd' >&2; {}", "exit 0"));
    let apply = world.run("apply --quiet");
    assert_eq!((apply.code, &*apply.stdout, &*apply.stderr), (0, "", ""));
    let mut state = fresh_state(100);
    state["pending"]["database"] = Value::Null;
    state["pending"]["as_of"] = json!(crate::machine::ago(0));
    world.write_state(&state);
    assert_eq!(world.run("status --quiet").stdout, "");
    let alerted = world.run("status --quiet --alert security=critical");
    assert_eq!(alerted.code, 2);
    assert!(alerted.stdout.contains("1 security update pending"), "an alert fired: {:?}", alerted.stdout);
    world.on("update", &replay("3.0-b07-refused-default"));
    let partial = world.run("refresh --quiet");
    assert_eq!((partial.code, partial.stdout.lines().count(), &*partial.stderr), (1, 1, ""));
}

#[test]
fn what_only_root_should_read_and_what_everybody_may() {
    let world = World::new();
    // Whatever the caller's umask allows or forbids.
    for umask in ["000", "077"] {
        let script = format!("umask {umask}; exec \"$@\"");
        assert_eq!(Ran::of(world.launched(&["sh", "-c", &script, "sh"], "apply")).code, 0);
        let mode = |name: &str| {
            let meta = std::fs::metadata(world.state_dir().join(name));
            meta.unwrap_or_else(|error| panic!("{name}: {error}")).permissions().mode() & 0o7777
        };
        for (name, expected) in
            [("state.json", 0o644), ("history.jsonl", 0o644), ("lock", 0o600), ("log", 0o755), ("", 0o755)]
        {
            assert_eq!(mode(name), expected, "{name} with umask {umask}: {:o}", mode(name));
        }
        let logs: Vec<_> = std::fs::read_dir(world.state_dir().join("log")).unwrap().flatten().collect();
        assert!(!logs.is_empty());
        for log in logs {
            let mode = log.metadata().unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode & 0o027, 0, "{:?} with umask {umask}: {mode:o}", log.path());
        }
        std::fs::remove_dir_all(world.state_dir()).unwrap();
        world.write("installed", &world.read("installed").replace("\t2.0-1", "\t1.0-1"));
    }
}

/// In the order of the system calls: the new state is on the disk before it takes the place of the old
/// one, and its name is on the disk before the run ends.
#[test]
fn the_state_is_on_the_disk_before_and_after_it_is_renamed() {
    let world = World::new();
    let trace = world.path("trace");
    let mut command = world.launched(&["env"], "refresh");
    command.args([] as [&str; 0]);
    let mut strace = std::process::Command::new("strace");
    strace
        .args(["-f", "-y", "-o"])
        .arg(&trace)
        .args(["-e", "trace=fsync,fdatasync,rename,renameat,renameat2,linkat"]);
    strace.arg(crate::world::BINARY).arg("--state-dir").arg(world.state_dir()).arg("refresh");
    strace.env_clear().env(
        "PATH",
        format!("{}:{}:/usr/bin:/bin", world.path("fakes").display(), world.path("tools").display()),
    );
    let ended = strace.output().expect("could not run strace (package strace)");
    assert!(ended.status.success(), "{ended:?}");
    let text = world.read("trace");
    let state = "state.json\"";
    let renamed = text.lines().position(|line| line.contains("rename") && line.contains(state));
    let renamed = renamed.unwrap_or_else(|| panic!("no rename: {text}"));
    let is_sync = |line: &&str| line.contains("fsync(") || line.contains("fdatasync(");
    let before: Vec<_> = text.lines().take(renamed).filter(is_sync).collect();
    assert!(before.iter().any(|line| line.contains("state.json")), "the file is not synced first: {text}");
    let after: Vec<_> = text.lines().skip(renamed).filter(is_sync).collect();
    let dir = format!("{}>", world.state_dir().canonicalize().unwrap().display());
    assert!(after.iter().any(|line| line.contains(&dir)), "the directory is not synced after it: {text}");
}

#[test]
fn nobodys_half_install_is_told_as_ours() {
    // Somebody else's dpkg is at work when we look: what is half installed is its business.
    let world = World::new();
    world.write("pending", "");
    world.write("installed", "tb-hello\tall\t1.0-1\tii \n");
    let doc = world.json("apply");
    assert_eq!(doc["exit_code"], 0, "{doc}");
    // The same half-installed package with nobody at work is told.
    let world = World::new();
    world.on("install", &format!("{INSTALL_ALL}; sed -i 's/tb-sec\\tall\\t2.0-1\\tii /tb-sec\\tall\\t2.0-1\\tiF /' $world/installed; progress 'pmstatus:dpkg-exec:0.0000:Running dpkg'"));
    let doc = world.json("apply");
    assert_eq!(doc["exit_code"], 2, "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("tb-sec"), "{doc}");
}
