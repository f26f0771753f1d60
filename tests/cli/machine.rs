//! Processes and states that tests make or look at.

use crate::world::World;
use linux_patch::managers::{Manager, by_name};
use linux_patch::system::files::fingerprint;
use linux_patch::system::time::Time;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::process::Child;

pub fn apt() -> &'static dyn Manager {
    by_name("apt").unwrap()
}

/// A moment before now, as the state writes it.
pub fn ago(seconds: i64) -> String {
    Time::from_unix(Time::now().unix() - seconds).unwrap().to_string()
}

/// A state as a refresh of so many seconds ago leaves it, with three updates pending.
pub fn fresh_state(age: i64) -> Value {
    let time = ago(age);
    json!({
        "version": 1, "manager": "apt", "last_cache_update": time, "last_update_success": true,
        "last_update_error": null,
        "last_attempt": {"started_at": time, "finished_at": time, "outcome": "fresh", "exit_code": 0, "duration_ms": 5},
        "sources": [
            {"id": "http://a stable", "last_success": time, "error": null},
            {"id": "http://b stable", "last_success": time, "error": null}],
        "pending": {"as_of": time, "count": 1, "security": 1, "packages": [
            {"name": "tb-sec", "installed": "1.0-1", "candidate": "2.0-1", "security": true, "source": "D:s"}],
            "held_back": [
            {"name": "tb-held", "installed": "1", "candidate": "2", "reason": "held", "security": false}],
            "basis": fingerprint(&apt().facts().pending_basis()),
            "database": fingerprint(apt().facts().package_databases)},
        "reboot_required": false, "reboot_boot_id": null,
        "source_config": fingerprint(apt().facts().source_config),
        "apply": {"in_progress": null, "last": null},
        "counters": {"refresh_total": 4},
    })
}

/// What a failed attempt of so many seconds ago makes of a state.
pub fn fail(state: &mut Value, outcome: &str, seconds: i64) {
    let error = json!({"class": "fetch", "message": "404 Not Found"});
    state["last_update_success"] = json!(false);
    state["last_update_error"] = error.clone();
    state["last_attempt"] = json!({"started_at": ago(seconds), "finished_at": ago(seconds), "outcome": outcome, "exit_code": 100});
    state["sources"][0]["error"] = error;
}

/// An apply that was cut off. The number of its process belongs to another program by now, which lives to the end of
/// the tests because nobody waits for it. Our own process cannot be used: other tests hold locks in it.
pub fn cut_off(phase: &str) -> Value {
    let other = std::process::Command::new("true").spawn().expect("could not run true");
    let pid = other.id();
    std::mem::forget(other);
    json!({"pid": pid, "boot_id": boot_id(), "started_at": ago(30), "phase": phase})
}

pub fn boot_id() -> String {
    linux_patch::system::boot::boot_id()
}

/// The lock, held by this process in the name of a command. Something that another test's thread is just starting may
/// hold an earlier one for a moment.
pub fn hold_lock(world: &World, command: &str) -> linux_patch::store::lock::Lock {
    for _ in 0..1000 {
        if let Some(lock) = linux_patch::store::lock::Lock::try_acquire(&world.state_dir(), command).unwrap()
        {
            return lock;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the lock is not free");
}

pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Whether a process runs; one that ended and was not waited for does not.
pub fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z" && state != "X")
}

/// The process numbers in a file that a fake wrote them to.
pub fn pids_in(world: &World, file: &str) -> Vec<i32> {
    world.read(file).split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Ends what a fake left behind on purpose.
pub fn end(pid: i32) {
    // It may be gone already.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}
