//! What linux-patch plugs into, for real: the units, configurations and packages of `contrib` are
//! loaded and run by the programs they are for, in throw-away roots. Tests that need packages which
//! `make test` does not install are ignored there, and run by `make integrations`.

#![allow(dead_code)] // The harnesses of the other tests have more than is needed here.

#[path = "../e2e/apt.rs"]
mod apt;
#[path = "../e2e/bench.rs"]
mod bench;
mod booted;
mod daemons;
#[path = "../e2e/deb.rs"]
mod deb;
mod documents;
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
mod monitored;
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
#[path = "../cli/world.rs"]
mod world;

mod ansible;
mod commands;
mod consumer;
mod cron;
mod icinga;
mod mail;
mod metrics_units;
mod migrating;
mod nagios;
mod network;
mod nrpe;
mod packages;
mod prometheus;
mod reboots;
mod services;
mod spread;
mod systemd;
