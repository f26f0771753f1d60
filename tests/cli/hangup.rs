//! Tests under nohup.

use signal_hook::consts::SIGHUP;
use std::sync::{Arc, Once};

/// If a hangup is ignored, as under nohup, all that a test starts would ignore it too. A signal with a handler here is
/// not ignored there.
pub fn hear() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
        if mask & (1 << (SIGHUP - 1)) != 0 {
            signal_hook::flag::register(SIGHUP, Arc::default()).unwrap();
        }
    });
}
