//! A random walk: the built binary with a real package manager in a throw-away root, among small repositories and
//! mirrors that change and misbehave, and after each step an oracle that knows the truth from the repositories
//! and the package database.
//!
//! `world` is what there is, `step` what can happen to it, `oracle` what must then hold, `walk` runs the
//! steps of a seed and shortens those that fail, `system` is what differs from manager to manager.
//! CONTRIBUTING.md says how to run, and repeat, a walk.

#![allow(dead_code)] // The harness of the end-to-end tests has more than is needed here.

#[path = "../e2e/apk.rs"]
mod apk;
#[path = "../e2e/apt.rs"]
mod apt;
#[path = "../e2e/deb.rs"]
mod deb;
#[path = "../faults/dice.rs"]
mod dice;
#[path = "../e2e/dnf.rs"]
mod dnf;
#[path = "../e2e/dnf5.rs"]
mod dnf5;
#[path = "../cli/hangup.rs"]
mod hangup;
#[path = "../e2e/holder.rs"]
mod holder;
#[path = "../cli/leisure.rs"]
mod leisure;
#[path = "../e2e/locks.rs"]
mod locks;
#[macro_use]
#[path = "../e2e/manager.rs"]
mod manager;
#[path = "../e2e/pacman.rs"]
mod pacman;
#[path = "../e2e/repo.rs"]
mod repo;
#[path = "../e2e/report.rs"]
mod report;
#[path = "../e2e/rpm.rs"]
mod rpm;
#[path = "../e2e/sandbox.rs"]
mod sandbox;
#[path = "../e2e/server.rs"]
mod server;
#[path = "../e2e/vault.rs"]
mod vault;
#[path = "../e2e/zypper.rs"]
mod zypper;

mod oracle;
mod power;
mod step;
mod system;
mod walk;
mod world;

use std::time::{Duration, Instant};

/// The quick share of `make test`: one walk with each manager.
macro_rules! walks {
    ($($test:ident: $manager:literal, $seed:literal;)*) => {$(
        #[test]
        fn $test() {
            walk::named($manager, $seed).expect_well();
        }
    )*};
}

walks! {
    a_host_of_apk_is_told_the_truth_at_every_step: "apk", 1;
    a_host_of_apt_is_told_the_truth_at_every_step: "apt", 1;
    a_host_of_dnf_is_told_the_truth_at_every_step: "dnf", 3;
    a_host_of_dnf5_is_told_the_truth_at_every_step: "dnf5", 3;
    a_host_of_zypper_is_told_the_truth_at_every_step: "zypper", 1;
    a_host_of_pacman_is_told_the_truth_at_every_step: "pacman", 1;
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str) -> Option<u64> {
    text(name).map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// `make walk`: WALK_SECONDS of walks with MANAGER, or with all in turn, from SEED on; or the steps of REPLAY.
#[test]
#[ignore = "as long as it is told to"]
fn as_long_as_is_asked() {
    if let Some(file) = text("REPLAY") {
        return walk::replay(&file).expect_well();
    }
    let until = Instant::now() + Duration::from_secs(number("WALK_SECONDS").unwrap_or(600));
    let managers: Vec<String> =
        text("MANAGER").map_or(system::NAMES.map(str::to_owned).to_vec(), |name| vec![name]);
    let first = number("SEED").unwrap_or_else(|| std::process::id().into());
    let (mut steps, mut seed) = (0, first);
    let began = Instant::now();
    while Instant::now() < until {
        let manager = &managers[(seed - first) as usize % managers.len()];
        let walked = walk::named(manager, seed);
        steps += walked.steps;
        seed += 1;
        println!("{manager} {}: {} steps, {steps} in {:.0?}", walked.seed, walked.steps, began.elapsed());
        walked.expect_well();
    }
}
