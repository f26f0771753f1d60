//! Times on a machine that may have much else to do.

use std::time::Duration;

/// So many seconds where the machine has little to do, more where it is busy: a bound for a run, or a time in which what
/// has no fault must be done.
pub fn at_leisure(seconds: u64) -> Duration {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|average| average.parse().ok()).unwrap_or_default();
    // `make test` itself runs two tests at once on each processor.
    let usual = 2.0 * std::thread::available_parallelism().map_or(1.0, |number| number.get() as f64);
    Duration::from_secs_f64(seconds as f64 * (load / usual).max(1.0))
}

/// A time in whole seconds, as an option of the program. A bound that follows from it is counted from the same time: a
/// later [`at_leisure`] may be of another load.
pub fn option(time: Duration) -> String {
    format!("{}s", time.as_secs())
}

/// Such a time as a budget from which no bound follows.
#[allow(dead_code)] // Not every test that has this module needs it.
pub fn budget(seconds: u64) -> String {
    option(at_leisure(seconds))
}
