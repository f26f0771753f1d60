//! What linux-patch costs beside what one would run instead, in throw-away roots with three
//! sources on loopback: `cargo bench --bench side_by_side`, or `make bench`.
//!
//! The commands take turns, a batch of runs each, so that a machine that slows down slows down
//! both; the median of the batches is shown. Nothing is asserted: a busy machine is no failure.

#![allow(dead_code)] // The harness of the end-to-end tests has more than is needed here.

#[path = "../tests/e2e/apt.rs"]
mod apt;
#[path = "../tests/e2e/deb.rs"]
mod deb;
#[path = "../tests/e2e/dnf.rs"]
mod dnf;
#[path = "../tests/e2e/dnf5.rs"]
mod dnf5;
#[path = "../tests/cli/hangup.rs"]
mod hangup;
#[path = "../tests/e2e/holder.rs"]
mod holder;
#[path = "../tests/e2e/locks.rs"]
mod locks;
#[path = "../tests/e2e/manager.rs"]
mod manager;
#[path = "../tests/e2e/pacman.rs"]
mod pacman;
#[path = "../tests/e2e/repo.rs"]
mod repo;
#[path = "../tests/e2e/report.rs"]
mod report;
#[path = "../tests/e2e/rpm.rs"]
mod rpm;
#[path = "../tests/e2e/sandbox.rs"]
mod sandbox;
#[path = "../tests/e2e/server.rs"]
mod server;
#[path = "../tests/e2e/vault.rs"]
mod vault;
#[path = "../tests/e2e/zypper.rs"]
mod zypper;

use manager::{Manager, Repository, package};
use sandbox::Sandbox;
use server::Fault;
use std::time::{Duration, Instant};

/// Milliseconds of one run of each command: the median over the batches.
fn compare(sandbox: &Sandbox, commands: &[&str], batches: usize, runs: usize) -> Vec<f64> {
    let mut times = vec![Vec::new(); commands.len()];
    for _ in 0..batches {
        for (command, times) in commands.iter().zip(&mut times) {
            let line =
                format!("i=0; while [ $i -lt {runs} ]; do {command} >/dev/null 2>&1; i=$((i+1)); done");
            let started = Instant::now();
            sandbox.run(&["sh", "-c", &line]);
            times.push(started.elapsed().saturating_sub(idle(sandbox)) / runs as u32);
        }
    }
    times.into_iter().map(|times| median(times).as_secs_f64() * 1000.0).collect()
}

/// What it takes to enter the root and do nothing.
fn idle(sandbox: &Sandbox) -> Duration {
    let started = Instant::now();
    sandbox.run(&["sh", "-c", ":"]);
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A root with three sources of a hundred packages each, ten of which are installed, one of them
/// in an older version.
fn with_three_sources<M: Manager>() -> (M, Vec<M::Repo>) {
    let manager = M::new();
    let packages: Vec<_> = (0..300).map(|number| package(&format!("tb-number-{number}"), "2.0")).collect();
    let repos: Vec<_> = packages.chunks(100).map(M::Repo::with).collect();
    for (number, repo) in repos.iter().enumerate() {
        manager.add_source(&format!("source-{number}"), repo);
    }
    manager.install(&packages[1..10]);
    manager.install(&[package("tb-number-0", "1.0")]);
    (manager, repos)
}

/// How long a mirror takes to answer that is not on this machine.
const FAR: u64 = 20;

/// A refresh of an index that has not changed, beside what the manager itself takes for that: from
/// this machine, where the manager has nothing to wait for, and from a mirror that takes its time.
fn refresh_beside<M: Manager>(bare: &str, batches: usize, runs: usize) {
    let (manager, repos) = with_three_sources::<M>();
    let ours = format!("linux-patch --manager {} refresh", M::NAME);
    let sandbox = manager.sandbox();
    sandbox.patch(&["--manager", M::NAME, "refresh"]).exits(0).remembers("/pending/count", 1);
    let commands = [bare, &ours];
    println!("refresh of an unchanged index beside {bare}:");
    show(&commands, &compare(sandbox, &commands, batches, runs));
    repos.iter().for_each(|repo| repo.server().fault("", Fault::Late(FAR)));
    println!("the same, from mirrors that take {FAR} milliseconds for an answer:");
    show(&commands, &compare(sandbox, &commands, batches, runs));
}

/// How many packages an apply updates, and about how many bytes each of them has.
const UPDATED: usize = 60;
const BYTES: usize = 100_000;

/// An apply of updates, and one that finds none, beside the bare commands that do the same. Each run updates all
/// packages once more, since a newer version of each was published before it.
fn apply_beside<M: Manager>(bare: &str, pairs: usize) {
    let all = |version: usize| -> Vec<_> {
        let one = |number| package(&format!("tb-number-{number}"), &format!("{version}.0")).padded(BYTES);
        (0..UPDATED).map(one).collect()
    };
    let manager = M::new();
    manager.install(&all(1));
    let repo = M::Repo::with(&all(1));
    manager.add_source("one", &repo);
    let ours = format!("linux-patch --manager {} apply", M::NAME);
    let commands = [bare, &ours];
    let sandbox = manager.sandbox();
    // Neither is the first that loads the programs.
    for command in commands {
        spent(sandbox, command);
    }
    let mut version = 1;
    for (what, publishes) in [("that updates", true), ("that finds nothing of", false)] {
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..pairs {
            for (command, runs) in commands.iter().zip(&mut runs) {
                if publishes {
                    version += 1;
                    repo.publish(&all(version));
                }
                runs.push(spent(sandbox, command));
            }
        }
        println!("an apply {what} {UPDATED} packages of {} kB beside {bare}:", BYTES / 1000);
        println!("  ms a run   ratio  CPU ms   ratio");
        let middle = |runs: &[(Duration, Duration)]| {
            let of = |which: fn(&(Duration, Duration)) -> Duration| median(runs.iter().map(which).collect());
            [of(|run| run.0), of(|run| run.1)].map(|time| time.as_secs_f64() * 1000.0)
        };
        let [[wall, cpu], ours] = runs.map(|runs| middle(&runs));
        for (command, [its_wall, its_cpu]) in commands.iter().zip([[wall, cpu], ours]) {
            let (walls, cpus) = (its_wall / wall, its_cpu / cpu);
            println!("  {its_wall:8.0}  {walls:6.2}  {its_cpu:6.0}  {cpus:6.2}  {command}");
        }
    }
    let expected: Vec<_> = (0..UPDATED).map(|number| format!("tb-number-{number} {version}.0")).collect();
    let installed = manager.installed();
    assert!(expected.iter().all(|package| installed.contains(package)), "{installed:?}");
}

/// How long a command takes, and how much time of the processors.
fn spent(sandbox: &Sandbox, command: &str) -> (Duration, Duration) {
    let started = Instant::now();
    let said = sandbox.run(&["sh", "-c", &format!("{{ {command}; }} >/run/said 2>&1 || exit 9; times")]);
    let wall = started.elapsed();
    assert_eq!(said.code, 0, "{command}: {:?}", sandbox.read("/run/said"));
    // `0m1.230s 0m0.450s`, of the shell itself and of what it ran.
    let second = |word: &str| {
        let (minutes, seconds) = word.trim_end_matches('s').split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let cpu: f64 = said.stdout.split_whitespace().filter_map(second).sum();
    (wall, Duration::from_secs_f64(cpu))
}

fn show(commands: &[&str], times: &[f64]) {
    println!("  ms a run   ratio");
    for (command, time) in commands.iter().zip(times) {
        println!("  {time:8.2}  {:6.2}  {command}", time / times[0]);
    }
}

fn main() {
    let (manager, _repos) = with_three_sources::<apt::Apt>();
    let sandbox = manager.sandbox();
    sandbox.patch(&["refresh"]).exits(0);

    let commands = ["/bin/true", "linux-patch status", "/usr/lib/nagios/plugins/check_apt"];
    println!("status beside check_apt:");
    show(&commands, &compare(sandbox, &commands, 21, 20));

    refresh_beside::<apt::Apt>("apt-get update", 15, 4);
    refresh_beside::<dnf::Dnf>("dnf check-update --refresh", 15, 2);
    refresh_beside::<dnf5::Dnf5>("dnf5 check-upgrade --refresh", 15, 4);
    refresh_beside::<zypper::Zypper>("zypper --non-interactive refresh", 15, 4);
    refresh_beside::<pacman::Pacman>("pacman -Sy", 15, 10);

    apply_beside::<apt::Apt>("apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -y upgrade", 5);
    apply_beside::<dnf::Dnf>("dnf -y --refresh upgrade", 3);
    apply_beside::<dnf5::Dnf5>("dnf5 -y --refresh upgrade", 3);
    apply_beside::<zypper::Zypper>("zypper --non-interactive refresh && zypper --non-interactive update", 3);
    apply_beside::<pacman::Pacman>("pacman -Syu --noconfirm", 5);

    let memory = sandbox.sh("/usr/bin/time -f %M linux-patch status 2>&1 >/dev/null");
    println!("peak memory of status: {} KiB", memory.trim());
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_linux-patch")).map_or(0, |meta| meta.len());
    println!("size of the program: {} KiB", size / 1024);
}
