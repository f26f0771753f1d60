//! The load of a fleet on its mirror: when each host refreshes by the shipped timer and cron table,
//! computed by the same functions that systemd and linux-patch use.

// The algorithm of systemd is the one that the standard library has under this name.
#![allow(deprecated)]

use std::hash::{Hasher, SipHasher};
use std::time::Duration;

use linux_patch::commands::refresh::share_of;

fn contrib(name: &str) -> String {
    let path = format!("{}/contrib/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The last value of a key of the shipped timer.
fn of_timer(key: &str) -> Option<String> {
    let text = contrib("systemd/linux-patch-refresh.timer");
    let value = text.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.map(str::to_owned)
}

/// An hour: anything else would need a simulation of its own.
const INTERVAL: usize = 3600;

/// What systemd adds to the time of the shipped timer on the host with a machine ID: its
/// FixedRandomDelay (src/core/timer.c).
pub fn delay_of_timer() -> impl Fn(u128) -> Duration {
    assert_eq!(of_timer("OnCalendar").as_deref(), Some("hourly"));
    assert_eq!(of_timer("FixedRandomDelay").as_deref(), Some("true"));
    let range = of_timer("RandomizedDelaySec").expect("the timer has no spread");
    let range = u64::try_from(linux_patch::cli::duration(&range).unwrap().as_micros()).unwrap();
    let key = [0x510a_db76_2951_42c2_u64, 0x8035_eae6_8e3a_37bd].map(u64::swap_bytes);
    move |machine_id| {
        let mut hash = SipHasher::new_with_keys(key[0], key[1]);
        hash.write(&machine_id.to_be_bytes());
        // The manager of the system, which runs as root.
        hash.write(&[1]);
        hash.write(&0_u32.to_ne_bytes());
        hash.write(b"linux-patch-refresh.timer");
        Duration::from_micros(hash.finish() % range)
    }
}

/// When the shipped table of cron lets the host with a machine ID refresh, within its hour.
fn time_of_cron() -> impl Fn(u128) -> Duration {
    let table = contrib("cron/linux-patch");
    let line = table.lines().find(|line| line.contains("linux-patch refresh")).expect("no refresh in it");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[1..5], ["*"; 4], "not hourly: {line}");
    let minute: u64 = words[0].parse().unwrap();
    let splay = words.iter().skip_while(|word| **word != "--splay").nth(1).expect("no splay");
    let splay = linux_patch::cli::duration(splay).unwrap();
    move |machine_id| Duration::from_secs(minute * 60) + share_of(splay, &format!("{machine_id:032x}"))
}

/// The machine IDs of so many hosts: a fleet of this number, always the same.
fn machine_ids(hosts: usize, fleet: u64) -> impl Iterator<Item = u128> {
    // SplitMix64.
    let mut state = fleet.wrapping_mul(0x1234_5678_9abc_def1);
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    (0..hosts).map(move |_| u128::from(next()) << 64 | u128::from(next()))
}

/// The largest number of refreshes in any piece of the hour with this length, in a steady state.
fn peak(hosts: usize, fleet: u64, seconds: usize, time: &dyn Fn(u128) -> Duration) -> usize {
    let mut pieces = vec![0; INTERVAL / seconds];
    for machine_id in machine_ids(hosts, fleet) {
        pieces[time(machine_id).as_secs() as usize % INTERVAL / seconds] += 1;
    }
    assert_eq!(pieces.iter().sum::<usize>(), hosts);
    pieces.into_iter().max().unwrap()
}

type Schedule = (&'static str, Box<dyn Fn(u128) -> Duration>);

fn schedules() -> [Schedule; 3] {
    [
        ("timer as shipped", Box::new(delay_of_timer())),
        ("cron as shipped", Box::new(time_of_cron())),
        ("all on the hour", Box::new(|_| Duration::ZERO)),
    ]
}

/// One row of docs/fleet.md.
fn row(hosts: usize, seconds: usize, (name, time): &Schedule) -> (String, f64) {
    let mean = hosts as f64 * seconds as f64 / INTERVAL as f64;
    let peak = peak(hosts, 1, seconds, time);
    let ratio = peak as f64 / mean;
    let row = format!("| {hosts} | {name} | {} min | {mean:.1} | {peak} | {ratio:.2} |", seconds / 60);
    (row, ratio)
}

#[test]
fn a_fleet_is_spread_over_the_hour() {
    let docs = format!("{}/docs/fleet.md", env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_to_string(docs).unwrap_or_default();
    let mut missing = Vec::new();
    for (hosts, seconds) in [(10, 600), (1_000, 600), (1_000, 60), (100_000, 600), (100_000, 60)] {
        for schedule in &schedules() {
            let (row, ratio) = row(hosts, seconds, schedule);
            println!("{row}");
            missing.extend((!docs.contains(&row)).then(|| row.clone()));
            // With a handful of refreshes in each piece of the hour, chance alone can make a peak.
            let counts = hosts * seconds / INTERVAL > 100 && schedule.0 != "all on the hour";
            assert!(!counts || ratio <= 1.3, "{row}");
        }
    }
    assert!(missing.is_empty(), "docs/fleet.md does not say:\n{}", missing.join("\n"));
}

/// One fleet alone could be lucky.
#[test]
fn hardly_any_fleet_of_a_thousand_has_a_higher_peak() {
    for (name, time) in &schedules()[..2] {
        let mut peaks: Vec<usize> = (1..=500).map(|fleet| peak(1_000, fleet, 600, time)).collect();
        peaks.sort_unstable();
        let over = peaks.iter().filter(|peak| **peak as f64 * 6.0 > 1.3 * 1_000.0).count();
        println!(
            "{name}: of 500 fleets {over} have a peak over 1.3 times the mean; half have up to {:.2}, the worst {:.2}",
            peaks[250] as f64 * 6.0 / 1_000.0,
            peaks[499] as f64 * 6.0 / 1_000.0
        );
        assert!(over <= 5, "{name}: {over} of 500 fleets");
    }
}
