//! Signals as flags: a handler only notes the number, the waiting loops look at it.

use crate::exit_code::ExitCode;
use anyhow::{Context, Result};
use signal_hook::consts::signal::{SIGABRT, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU, SIGXFSZ};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Starts noting SIGTERM, SIGINT, SIGQUIT and SIGHUP (SIGHUP not where the caller ignores it,
/// as nohup does), and gives SIGCHLD a handler: a parent that ignored it would otherwise make
/// every wait for a child fail with ECHILD.
///
/// # Errors
/// When the operating system refuses a handler.
pub fn install() -> Result<()> {
    let received = RECEIVED.get_or_init(Default::default);
    let nohup = is_ignored(SIGHUP);
    for signal in [SIGTERM, SIGINT, SIGQUIT, SIGHUP] {
        if signal != SIGHUP || !nohup {
            signal_hook::flag::register_usize(signal, Arc::clone(received), signal as usize)
                .with_context(|| format!("could not handle signal {signal}"))?;
        }
    }
    signal_hook::flag::register(SIGCHLD, Arc::default()).context("could not handle SIGCHLD")?;
    Ok(())
}

/// No limit that the caller has set ends this process with an exit code of its own: a file that is
/// too large is an error of the write, and where the memory or the stack is used up nothing is known.
/// What is started from here gets none of this.
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
    match RECEIVED.get()?.load(Ordering::Relaxed) as i32 {
        0 => None,
        SIGINT => Some("SIGINT"),
        SIGHUP => Some("SIGHUP"),
        SIGQUIT => Some("SIGQUIT"),
        _ => Some("SIGTERM"),
    }
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

fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| (mask >> (signal - 1)) & 1 == 1)
}
