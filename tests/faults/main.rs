//! Tries to break every promise. A quick share of each attack runs with the other tests;
//! `make faults` runs them whole and prints how much was tried. The results of the last whole run
//! are in docs/reliability.md.

#![allow(dead_code)] // The harnesses of the other tests have more than is needed here.

#[path = "../e2e/apt.rs"]
mod apt;
#[path = "../e2e/bench.rs"]
mod bench;
#[path = "../e2e/deb.rs"]
mod deb;
#[path = "../cli/hangup.rs"]
mod hangup;
#[path = "../e2e/holder.rs"]
mod holder;
#[path = "../cli/leisure.rs"]
mod leisure;
#[path = "../e2e/locks.rs"]
mod locks;
#[path = "../cli/machine.rs"]
mod machine;
#[path = "../e2e/manager.rs"]
mod manager;
mod metrics;
mod plain;
mod readers;
mod rendered;
#[path = "../replay/mod.rs"]
mod replay;
#[path = "../e2e/repo.rs"]
mod repo;
#[path = "../e2e/report.rs"]
mod report;
#[path = "../e2e/sandbox.rs"]
mod sandbox;
#[path = "../e2e/server.rs"]
mod server;
mod tally;
#[path = "../e2e/vault.rs"]
mod vault;
#[path = "../cli/world.rs"]
mod world;

mod children;
mod clock;
mod crash;
mod dice;
mod disk;
mod flood;
mod hostile;
mod power;
mod root;
mod scope;
mod ssh;
mod suspend;
mod syscalls;
mod vm;
