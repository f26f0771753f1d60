//! Clocks, and durations as people write them.

pub use crate::model::time::Time;
use std::time::Duration;

/// Seconds since the machine started, by a clock that nobody can set and that also counts while the machine is
/// suspended.
pub fn seconds_since_boot() -> i64 {
    since_boot().as_secs() as i64
}

/// The exact time since then.
pub fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec as u32)
}

/// `90s`, `4h`, `1h30m`, or just a number of seconds; at most ten years, so that adding it to a time cannot overflow.
///
/// # Errors
/// One line that says what is accepted.
pub fn duration(text: &str) -> Result<Duration, String> {
    // With the leap days, so that `10y` is one too.
    const MOST: Duration = Duration::from_secs(3653 * 86400);
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if digits {
        text.parse().ok().map(Duration::from_secs)
    } else {
        // humantime reads `5M` as five months. A typing error must not make an index of that age fresh.
        humantime::parse_duration(text).ok().filter(|_| !text.contains('M'))
    };
    match parsed {
        Some(duration) if duration <= MOST => Ok(duration),
        Some(_) => Err("longer than ten years".to_string()),
        None => Err("write it like 90s, 4h or 1h30m; a bare number is seconds".to_string()),
    }
}

/// A number of seconds in words: `45 s`, `12 min`, `3 h 20 min`, `6 d 2 h`.
pub fn span(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86400 if minutes % 60 == 0 => format!("{hours} h"),
        3600..86400 => format!("{hours} h {} min", minutes % 60),
        _ if hours % 24 == 0 => format!("{days} d"),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_years_are_the_longest_time_in_whatever_unit() {
        for (text, is_short_enough) in [("10y", true), ("3653d", true), ("11y", false), ("3654d", false)] {
            assert_eq!(duration(text).is_ok(), is_short_enough, "{text}");
        }
    }

    #[test]
    fn spans_are_written_for_people() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (720, "12 min"),
            (7200, "2 h"),
            (12000, "3 h 20 min"),
            (86400, "1 d"),
            (525_600, "6 d 2 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
