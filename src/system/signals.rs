//! Signals as flags: a handler only notes the number, and the waiting loops look at it.

use crate::model::exit_code::ExitCode;
use anyhow::{Context, Result};
use signal_hook::consts::signal::{
    SIGABRT, SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM,
    SIGXCPU, SIGXFSZ,
};
use signal_hook::low_level::signal_name;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();
/// Signals that would stop us, but that the caller has blocked: no handler runs for them.
static BLOCKED: OnceLock<u64> = OnceLock::new();

/// These stop a run even if the caller ignores them.
const STOPPING: [i32; 3] = [SIGTERM, SIGINT, SIGQUIT];
/// These stop a run unless the caller ignores them, as nohup ignores SIGHUP. Without a handler, the others would end
/// this process silently, even in an install: an alarm(2), for instance, is inherited.
const STOPPING_UNLESS_IGNORED: [i32; 8] =
    [SIGHUP, SIGALRM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGPROF, SIGIO, SIGPWR];
/// For a machine that loses its power. The library has no name for it.
const SIGPWR: i32 = rustix::process::Signal::POWER.as_raw();

/// Starts noting the signals that stop a run, and gives SIGCHLD a handler: if a parent ignored it, every wait for a
/// child would fail with ECHILD.
///
/// # Errors
/// When the operating system refuses a handler.
pub fn install() -> Result<()> {
    let received = RECEIVED.get_or_init(Default::default);
    let ignored = own_signals("SigIgn:");
    let heard = STOPPING_UNLESS_IGNORED.into_iter().filter(|signal| ignored & bit(*signal) == 0);
    let mut stopping = 0;
    for signal in STOPPING.into_iter().chain(heard) {
        signal_hook::flag::register_usize(signal, Arc::clone(received), signal as usize)
            .with_context(|| format!("could not handle signal {signal}"))?;
        stopping |= bit(signal);
    }
    BLOCKED.get_or_init(|| own_signals("SigBlk:") & stopping);
    signal_hook::flag::register(SIGCHLD, Arc::default()).context("could not handle SIGCHLD")?;
    Ok(())
}

/// Makes sure that no limit of the caller's ends this process with an exit code of its own. A file that is too large
/// then gives an error of the write; if memory or stack is used up, the result is "unknown". Programs that we start get
/// none of this.
pub fn outlast_limits() {
    for signal in [SIGXFSZ, SIGXCPU] {
        // Without it the limit ends the process, as it does others.
        let _ = signal_hook::flag::register(signal, Arc::default());
    }
    let unknown = i32::from(ExitCode::Unknown.code());
    let _ = signal_hook::flag::register_conditional_shutdown(SIGABRT, unknown, Arc::new(true.into()));
}

/// The name of the last signal noted, if any.
pub fn received() -> Option<&'static str> {
    let noted = RECEIVED.get()?.load(Ordering::Relaxed) as i32;
    let number = if noted == 0 { received_though_blocked()? } else { noted };
    signal_name(number).or(Some(if number == SIGPWR { "SIGPWR" } else { "a signal" }))
}

/// A signal that is blocked and waits, for the whole process or for its first thread.
fn received_though_blocked() -> Option<i32> {
    let blocked = BLOCKED.get().copied().filter(|blocked| *blocked != 0)?;
    let waiting = blocked & (own_signals("ShdPnd:") | own_signals("SigPnd:"));
    (1..64).find(|signal| waiting & bit(*signal) != 0)
}

/// Sleeps until `until`, looking at the signals every 50 ms; `Err` names the one that ended it.
///
/// # Errors
/// The name of the signal received.
pub fn sleep_until(until: Instant) -> Result<(), &'static str> {
    loop {
        if let Some(signal) = received() {
            return Err(signal);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// A set of signals from the kernel's report about this process; empty if it does not say.
fn own_signals(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix(name));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}
