//! What linux-patch costs beside what one would run instead, in throw-away roots with sources on loopback: `make bench`,
//! or of its parts (status, refresh, apply, full-host, growth) some: `make bench PARTS="status apply"`.
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
#[path = "full_host/mod.rs"]
mod full_host;
#[path = "growth/mod.rs"]
mod growth;
#[path = "../tests/cli/hangup.rs"]
mod hangup;
#[path = "../tests/e2e/holder.rs"]
mod holder;
#[path = "../tests/cli/leisure.rs"]
mod leisure;
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

/// Puts an older program beside this one, if `BENCH_BESIDE` names it: its command line for one of ours.
fn older(sandbox: &Sandbox, ours: &str) -> Option<String> {
    let path = std::env::var("BENCH_BESIDE").ok().filter(|path| !path.is_empty())?;
    let binary = std::fs::read(&path).unwrap_or_else(|error| panic!("BENCH_BESIDE={path}: {error}"));
    sandbox.write_mode("/usr/bin/linux-patch-older", binary, 0o755);
    sandbox.sh("rm -rf /var/lib/older && cp -a /var/lib/linux-patch /var/lib/older 2>/dev/null || :");
    Some(ours.replacen("linux-patch", "linux-patch-older --state-dir /var/lib/older", 1))
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
    let older = older(sandbox, &ours);
    let commands: Vec<_> = [bare, &ours].into_iter().chain(older.as_deref()).collect();
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
fn apply_beside<M: Manager>(bare: &str, others: &[&str], pairs: usize) {
    let all = |version: usize| -> Vec<_> {
        let one = |number| package(&format!("tb-number-{number}"), &format!("{version}.0")).padded(BYTES);
        (0..UPDATED).map(one).collect()
    };
    let manager = M::new();
    let sandbox = manager.sandbox();
    own_packages_of_this_machine::<M>(sandbox);
    manager.install(&all(1));
    let repo = M::Repo::with(&all(1));
    manager.add_source("one", &repo);
    let ours = format!("linux-patch --manager {} apply", M::NAME);
    let is_there = |command: &&&str| {
        let program = command.split(' ').next().unwrap_or_default();
        let is_there = sandbox.run(&["sh", "-c", &format!("command -v {program}")]).code == 0;
        if !is_there {
            println!("{program} is not on this machine");
        }
        is_there
    };
    let others = others.iter().filter(is_there).copied();
    let older = older(sandbox, &ours);
    let commands: Vec<_> = [bare, &ours].into_iter().chain(others).chain(older.as_deref()).collect();
    println!("an apply of {UPDATED} packages of {} kB, and one that finds nothing:", BYTES / 1000);
    let mut version = 1;
    beside(M::NAME, sandbox, &commands, pairs, || {
        version += 1;
        repo.publish(&all(version));
    });
}

/// Prints a table: what each command takes when something is pending, which `publish` sees to, and when nothing is.
fn beside(manager: &str, sandbox: &Sandbox, commands: &[&str], pairs: usize, mut publish: impl FnMut()) {
    // Neither is the first that loads the programs.
    for command in commands {
        spent(sandbox, command);
    }
    println!("| | ms | ratio | CPU, ms | ratio | starts of {manager} | of its other programs |");
    println!("|---|---|---|---|---|---|---|");
    for publishes in [true, false] {
        let mut runs = vec![Vec::new(); commands.len()];
        for _ in 0..pairs {
            for (command, runs) in commands.iter().zip(&mut runs) {
                if publishes {
                    publish();
                }
                runs.push(spent(sandbox, command));
            }
        }
        let starts: Vec<_> = commands
            .iter()
            .map(|command| {
                if publishes {
                    publish();
                }
                starts(manager, sandbox, command)
            })
            .collect();
        // In pairs: a machine that slows down slows down both.
        let ratio = |which: fn(&(Duration, Duration)) -> Duration, of: &[(Duration, Duration)]| {
            let beside = of.iter().zip(&runs[0]);
            let mut all: Vec<_> =
                beside.map(|(one, bare)| which(one).as_secs_f64() / which(bare).as_secs_f64()).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let middle = |which: fn(&(Duration, Duration)) -> Duration, of: &[(Duration, Duration)]| {
            median(of.iter().map(which).collect()).as_secs_f64() * 1000.0
        };
        for ((command, runs), (own, other)) in commands.iter().zip(&runs).zip(starts) {
            let (wall, cpu) = (middle(|run| run.0, runs), middle(|run| run.1, runs));
            let (walls, cpus) = (ratio(|run| run.0, runs), ratio(|run| run.1, runs));
            let what = if publishes { "updates" } else { "nothing pending" };
            println!(
                "| {what}: `{command}` | {wall:.0} | {walls:.2} | {cpu:.0} | {cpus:.2} | {own} | {other} |"
            );
        }
    }
}

/// Installs in name what is installed on this machine, so that apt and dpkg have as much to read as on a real host.
fn own_packages_of_this_machine<M: Manager>(sandbox: &Sandbox) {
    if M::NAME != "apt" {
        return;
    }
    let status = std::fs::read_to_string("/var/lib/dpkg/status").unwrap_or_default();
    sandbox.write("/run/status", &status);
    sandbox.sh("cat /run/status >>/var/lib/dpkg/status; cd /var/lib/dpkg/info; \
         sed -n 's/^Package: \\(.*\\)/\\1.list/p' /run/status | xargs touch; rm /run/status");
    println!(
        "{} packages of this machine are installed in name",
        status.matches("\nStatus: install ok").count()
    );
}

/// How often a command starts the manager, and its other programs.
fn starts(manager: &str, sandbox: &Sandbox, command: &str) -> (usize, usize) {
    let own = if manager == "apt" { "apt-get" } else { manager };
    let programs = [own, "apt-config", "apt-cache", "dpkg-query", "rpm", "pacman-conf"];
    for name in programs {
        let script = "#!/bin/sh\necho NAME >>/run/starts\nexec REAL \"$@\"\n".replace("NAME", name);
        let real = sandbox.run(&["sh", "-c", &format!("command -v {name}")]);
        if real.code == 0 {
            sandbox.write_mode(
                &format!("/usr/local/bin/{name}"),
                script.replace("REAL", real.stdout.trim()),
                0o755,
            );
        }
    }
    sandbox.write("/run/starts", "");
    spent(sandbox, command);
    let started = sandbox.read("/run/starts").unwrap_or_default();
    sandbox.sh(&format!("cd /usr/local/bin && rm -f {}", programs.join(" ")));
    let of_own = started.lines().filter(|name| *name == own).count();
    (of_own, started.lines().count() - of_own)
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

fn status_beside() {
    let (manager, _repos) = with_three_sources::<apt::Apt>();
    let sandbox = manager.sandbox();
    sandbox.patch(&["refresh"]).exits(0);
    println!("status with a number of updates pending:");
    println!("| | ms | ratio | peak memory, KiB |\n|---|---|---|---|");
    let state: serde_json::Value = sandbox.state();
    for pending in [100, 1_000, 10_000] {
        let mut state = state.clone();
        let update = |number: usize| {
            serde_json::json!({"name": format!("tb-number-{number}"), "installed": "1.0-1+deb12u1", "candidate": "1.0-1+deb12u2",
                "security": number % 10 == 0, "source": "Debian-Security:12/stable-security", "first_seen": "2026-01-01T00:00:00Z",
                "issued": null, "severity": null})
        };
        state["pending"]["packages"] = (0..pending).map(update).collect();
        state["pending"]["count"] = pending.into();
        state["pending"]["security"] = pending.div_ceil(10).into();
        sandbox.write("/var/lib/linux-patch/state.json", state.to_string());
        // Written anew by the program itself.
        sandbox.patch(&["refresh", "--if-stale", "--max-age", "1d"]).exits(0);
        let beside = if pending == 100 { "/usr/lib/nagios/plugins/check_apt" } else { "" };
        let forms = ["", " --format nagios", " --format openmetrics", " --format json"];
        let mut ours = Vec::from(forms.map(|form| format!("linux-patch status{form}")));
        let before = ours.iter().filter_map(|ours| older(sandbox, ours)).collect::<Vec<_>>();
        ours.extend(before);
        let commands = ["/bin/true"].into_iter().chain(ours.iter().map(String::as_str)).chain([beside]);
        let commands: Vec<_> = commands.filter(|command| !command.is_empty()).collect();
        let times = compare(sandbox, &commands, 21, 20);
        for (command, time) in commands.iter().zip(&times) {
            let memory = sandbox.sh(&format!("/usr/bin/time -f %M {command} 2>&1 >/dev/null || :"));
            let memory = memory.trim().lines().last().unwrap_or_default().to_string();
            println!("| {pending} pending: `{command}` | {time:.2} | {:.2} | {memory} |", time / times[0]);
        }
    }
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_linux-patch")).map_or(0, |meta| meta.len());
    println!("size of the program: {} KiB", size / 1024);
}

fn refreshes_beside() {
    refresh_beside::<apt::Apt>("apt-get update", 15, 4);
    refresh_beside::<dnf::Dnf>("dnf check-update --refresh", 15, 2);
    refresh_beside::<dnf5::Dnf5>("dnf5 check-upgrade --refresh", 15, 4);
    refresh_beside::<zypper::Zypper>("zypper --non-interactive refresh", 15, 4);
    refresh_beside::<pacman::Pacman>("pacman -Sy", 15, 10);
}

fn applies_beside() {
    let unattended = "unattended-upgrade";
    apply_beside::<apt::Apt>(
        "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -y upgrade",
        &[unattended],
        5,
    );
    apply_beside::<dnf::Dnf>("dnf -y --refresh upgrade", &["dnf-automatic --installupdates"], 3);
    apply_beside::<dnf5::Dnf5>("dnf5 -y --refresh upgrade", &[], 3);
    let zypper = "zypper --non-interactive refresh && zypper --non-interactive update";
    apply_beside::<zypper::Zypper>(zypper, &[], 3);
    apply_beside::<pacman::Pacman>("pacman -Syu --noconfirm", &[], 5);
}

fn main() {
    let parts = std::env::var("BENCH_PARTS").unwrap_or_default();
    let parts: Vec<_> = parts.split_whitespace().collect();
    let all: [(&str, fn()); 5] = [
        ("status", status_beside),
        ("refresh", refreshes_beside),
        ("apply", applies_beside),
        ("full-host", full_host::measure),
        ("growth", growth::measure),
    ];
    for (name, measure) in all {
        if parts.is_empty() || parts.contains(&name) {
            let started = Instant::now();
            measure();
            println!("({name}: {} s)\n", started.elapsed().as_secs());
        }
    }
}
