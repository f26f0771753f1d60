//! The power is cut at the end of a run: what it wrote and did not have the disk keep is lost, as on the worst of file
//! systems. strace tells what it wrote and when it waited for the disk.

use std::process::Command;

use crate::oracle::{self, Before};
use crate::system::System;
use crate::world::World;

const STATE: &str = "/var/lib/linux-patch/state.json";
const CALLS: &str = "trace=open,openat,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2";

/// What a disk keeps of a file that is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// Its directory was not waited for: the old file may be there.
    Old,
    /// The new name is there, and nothing is in the file.
    Empty,
    New,
}

/// What is kept of the state after calls such as `12 fsync(7</var/lib/linux-patch/.state.json.new>) = 0`.
fn kept(trace: &str) -> Kept {
    let (mut is_synced, mut kept) = (false, Kept::New);
    for line in trace.lines() {
        let call = line.split_whitespace().nth(1).and_then(|word| word.split('(').next()).unwrap_or_default();
        let is_new = line.contains(".state.json.new");
        match call {
            "open" | "openat" | "write" | "pwrite64" | "ftruncate" if is_new => is_synced = false,
            "fsync" | "fdatasync" if is_new => is_synced = true,
            "fsync" if line.contains("/linux-patch>") && kept == Kept::Old => kept = Kept::New,
            "rename" | "renameat" | "renameat2" if is_new => {
                kept = if is_synced { Kept::Old } else { Kept::Empty };
            }
            _ => {}
        }
    }
    kept
}

pub fn cut<M: System>(world: &mut World<M>, verb: &str) {
    if world.spoilt_disk().is_some() {
        return;
    }
    let before = Before::of(world);
    let old = world.sandbox().read(STATE);
    let trace = tempfile::NamedTempFile::new().unwrap();
    let traced = world.command(&[verb]);
    let mut command = Command::new("strace");
    command.env_clear().stdin(std::process::Stdio::null());
    command.args(["-f", "--seccomp-bpf", "-qq", "-y", "-s", "0", "-e", "signal=none", "-e", CALLS, "-o"]);
    command.arg(trace.path()).arg(traced.get_program()).args(traced.get_args());
    command.envs(traced.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let report = world.sandbox().start(command).report();
    oracle::look(world, &before, &[verb], &report);
    let text = std::fs::read_to_string(trace.path()).unwrap();
    assert!(text.contains("/.state.json.new") || report.code == 3, "power: strace saw no state; {report}");
    let kept = kept(&text);
    world.reboot();
    match (kept, old) {
        (Kept::New, _) => {}
        (Kept::Old, Some(old)) => world.sandbox().write(STATE, old),
        (Kept::Old, None) => drop(world.sandbox().sh(&format!("rm {STATE}"))),
        (Kept::Empty, _) => world.sandbox().write(STATE, ""),
    }
    let left = world.sandbox().state();
    for key in ["last_attempt", "apply"] {
        assert_eq!(left[key], report.state[key], "power: what ended is not there; {kept:?} of {report}");
    }
}
