//! Local times of the day. date(1) is asked for them, because it knows the time zone that the administrator has set. It
//! runs only for options with such a time.

use crate::system::process::{self, Invocation, Limits};
use crate::system::time::since_boot;
use std::time::Duration;

const DAY: i64 = 86400;

/// A local time of the day, in seconds since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay(i64);

impl TimeOfDay {
    /// Reads `05:00`.
    ///
    /// # Errors
    /// One line that says what is accepted.
    pub fn parse(text: &str) -> Result<TimeOfDay, String> {
        let said = || "write it like 05:00 or 23:30, in local time".to_string();
        let is_form = text.len() == 5 && text.as_bytes()[2] == b':';
        if !is_form {
            return Err(said());
        }
        TimeOfDay::read(&format!("{text}:00")).ok_or_else(said)
    }

    /// Reads `05:00:31`.
    fn read(text: &str) -> Option<TimeOfDay> {
        let number = |text: &str| {
            let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<i64>().ok()).flatten()
        };
        let parts: Vec<_> = text.split(':').map(number).collect::<Option<_>>()?;
        // 60 is a leap second.
        let is_time = matches!(parts[..], [..24, ..60, ..=60]);
        is_time.then(|| TimeOfDay(parts[0] * 3600 + parts[1] * 60 + parts[2]))
    }

    /// The local time of the day now.
    pub fn now() -> Result<TimeOfDay, String> {
        let told = ask("%H:%M:%S", Duration::from_secs(10));
        let told = told.and_then(|text| TimeOfDay::read(&text).ok_or(format!("it said {text:?}")));
        told.map_err(|cause| format!("could not ask date for the local time: {cause}"))
    }

    /// Seconds until the clock next says this: more than 0, and at most a day.
    pub fn seconds_after(self, now: TimeOfDay) -> i64 {
        match (self.0 - now.0).rem_euclid(DAY) {
            0 => DAY,
            seconds => seconds,
        }
    }

    /// Seconds to this time of yesterday, today or tomorrow, whichever is nearest; negative if it is past.
    fn distance(self, now: TimeOfDay) -> i64 {
        (self.0 - now.0 + DAY / 2).rem_euclid(DAY) - DAY / 2
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 3600, self.0 / 60 % 60)
    }
}

/// The local time in a format of date(1), which may take so long.
pub fn ask(form: &str, budget: Duration) -> Result<String, String> {
    let question = Invocation::of("date", [format!("+{form}")]);
    let limits = Limits { budget: Some(budget), ..Limits::default() };
    let answer = process::ask(&question, &limits).map_err(|error| error.to_string())?;
    match answer.succeeded() {
        true => Ok(answer.stdout.trim().to_string()),
        false => Err(answer.stderr.trim().to_string()),
    }
}

/// Until when something may begin: the nearest moment with this time of the day, seen from the start of the run. With
/// 05:00, a run at 23:00 may begin until the morning, and a run at 09:00 is too late.
#[derive(Clone, Copy, Debug)]
pub struct Latest {
    time: TimeOfDay,
    started: Duration,
    left: i64,
}

impl Latest {
    /// Counted from now.
    pub fn from_now(time: TimeOfDay) -> Result<Latest, String> {
        Ok(Latest { time, started: since_boot(), left: time.distance(TimeOfDay::now()?) })
    }

    /// Whether it is over. The clock is asked again, because it may have been set. A run that was suspended for a day
    /// does not begin at that time of the next day.
    pub fn is_over(&self) -> bool {
        let elapsed = since_boot().saturating_sub(self.started).as_secs() as i64;
        self.is_over_after(elapsed, || TimeOfDay::now().ok())
    }

    fn is_over_after(&self, elapsed: i64, now: impl FnOnce() -> Option<TimeOfDay>) -> bool {
        elapsed > self.left || now().is_some_and(|now| self.time.distance(now) < 0)
    }
}

impl std::fmt::Display for Latest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.time.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> TimeOfDay {
        TimeOfDay::parse(text).unwrap()
    }

    #[test]
    fn only_hours_and_minutes_of_a_day_are_times() {
        for text in ["00:00", "05:00", "23:59"] {
            assert_eq!(at(text).to_string(), text);
        }
        let wrong = [
            "", "5", "5:00", "05:0", "24:00", "05:60", "-1:00", "05:00:00", "05.00", "5h", "+5:00", "０5:00",
        ];
        for text in wrong {
            assert!(TimeOfDay::parse(text).is_err(), "{text:?} was accepted");
        }
        assert_eq!(TimeOfDay::read("05:00:31"), Some(TimeOfDay(5 * 3600 + 31)));
        assert_eq!(TimeOfDay::read("05:00"), None);
    }

    #[test]
    fn the_nearest_time_of_yesterday_today_or_tomorrow_counts() {
        for (now, time, hours) in [
            ("03:00", "05:00", 2),
            ("10:00", "05:00", -5),
            ("23:00", "02:00", 3),
            ("00:00", "23:00", -1),
            ("05:00", "05:00", 0),
            ("16:00", "05:00", -11),
            ("18:00", "05:00", 11),
        ] {
            assert_eq!(at(time).distance(at(now)), hours * 3600, "{time} at {now}");
        }
        assert_eq!(at("05:00").distance(TimeOfDay(5 * 3600 + 1)), -1);
    }

    #[test]
    fn the_time_of_one_night_is_no_time_of_the_next() {
        let night = Latest { time: at("05:00"), started: Duration::ZERO, left: 7200 };
        let is_over = |elapsed, now: &str| night.is_over_after(elapsed, || Some(at(now)));
        assert!(!is_over(7200, "05:00") && is_over(7201, "05:00"));
        // It was suspended for a day, and the clock says four again.
        assert!(is_over(86400 + 3600, "04:00"));
        // The clock was set forward.
        assert!(
            is_over(60, "09:00") && night.is_over_after(7201, || None) && !night.is_over_after(60, || None)
        );
    }

    #[test]
    fn the_next_time_is_always_to_come() {
        assert_eq!(at("05:00").seconds_after(at("03:30")), 5400);
        assert_eq!(at("05:00").seconds_after(at("05:30")), 86400 - 1800);
        assert_eq!(at("05:00").seconds_after(at("05:00")), 86400);
    }
}
