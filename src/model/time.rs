//! Times as the state keeps them: whole seconds, UTC, RFC 3339.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, Timelike, Utc};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::SystemTime;

/// A moment in UTC, in whole seconds, so that every tool's RFC 3339 parser reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(DateTime<Utc>);

impl Time {
    /// The present moment of the wall clock.
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// Whole seconds from `earlier` to `self`; negative when `earlier` is later.
    pub fn seconds_since(self, earlier: Time) -> i64 {
        self.unix().saturating_sub(earlier.unix())
    }

    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub fn unix(self) -> i64 {
        self.0.timestamp()
    }

    /// A moment given as seconds since 1970-01-01 00:00:00 UTC; `None` outside the years 0 to 9999,
    /// since RFC 3339 has no others.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        const YEARS: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;
        DateTime::from_timestamp(seconds, 0).filter(|_| YEARS.contains(&seconds)).map(Time)
    }

    /// A moment in UTC in a format of strftime(3) in the C locale.
    pub fn parse(text: &str, form: &str) -> Option<Self> {
        let time = NaiveDateTime::parse_from_str(text, form).ok()?;
        Time::from_unix(time.and_utc().timestamp())
    }

    /// `20260527T130000Z`: for file names.
    pub fn compact(self) -> String {
        self.0.format("%Y%m%dT%H%M%SZ").to_string()
    }
}

impl Time {
    /// Reads the form that this program writes, `2026-05-27T13:00:00Z`; `None` for every other form.
    fn as_written(text: &str) -> Option<Time> {
        let bytes: &[u8; 20] = text.as_bytes().try_into().ok()?;
        let [_, _, _, _, b'-', _, _, b'-', _, _, b'T', _, _, b':', _, _, b':', _, _, b'Z'] = bytes else {
            return None;
        };
        let pair = |at: usize| {
            let digits = bytes[at].is_ascii_digit() && bytes[at + 1].is_ascii_digit();
            digits.then(|| u32::from(bytes[at] - b'0') * 10 + u32::from(bytes[at + 1] - b'0'))
        };
        let year = pair(0)? * 100 + pair(2)?;
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, pair(5)?, pair(8)?)?;
        Some(Time(date.and_hms_opt(pair(11)?, pair(14)?, pair(17)?)?.and_utc()))
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let full = DateTime::<Utc>::from(time);
        Time::from_unix(full.timestamp()).unwrap_or(Time(full))
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (date, time) = (self.0.date_naive(), self.0.time());
        let Some(year) = u32::try_from(date.year()).ok().filter(|year| *year <= 9999) else {
            return f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Secs, true));
        };
        // Written by hand, because a status may write thousands.
        let mut text = *b"0000-00-00T00:00:00Z";
        let numbers = [
            (0, year / 100),
            (2, year % 100),
            (5, date.month()),
            (8, date.day()),
            (11, time.hour()),
            (14, time.minute()),
            (17, time.second()),
        ];
        for (at, number) in numbers {
            text[at] += (number / 10) as u8;
            text[at + 1] += (number % 10) as u8;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// A text that is parsed without a copy.
struct Text;

impl Visitor<'_> for Text {
    type Value = Time;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a time as of RFC 3339")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
        if let Some(time) = Time::as_written(text) {
            return Ok(time);
        }
        let time = DateTime::parse_from_rfc3339(text).map_err(E::custom)?;
        // Without its offset it may be in the year 10000, which nobody could read back.
        Time::from_unix(time.timestamp()).ok_or_else(|| E::custom("no time of the years 0 to 9999"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_and_read_by_hand_as_by_the_library() {
        for seconds in (-62_167_219_200..=253_402_300_799_i64).step_by(86_400 * 977 + 12_345).chain([
            0,
            951_782_399,
            253_402_300_799,
        ]) {
            let time = Time::from_unix(seconds).unwrap();
            let text = time.0.to_rfc3339_opts(SecondsFormat::Secs, true);
            assert_eq!(time.to_string(), text);
            assert_eq!(Time::as_written(&text), Some(time));
        }
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-05-27T13:00:60Z",
            "2026-05-27 13:00:00Z",
            "2026-05-27T13:00:00+",
            "2026-05-2xT13:00:00Z",
        ] {
            assert_eq!(Time::as_written(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_survives_json_in_whole_seconds() {
        let text = "\"2026-05-27T13:00:00Z\"";
        let time: Time = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&time).unwrap(), text);
        let offset: Time = serde_json::from_str("\"2026-05-27T15:00:00.75+02:00\"").unwrap();
        assert_eq!(offset.seconds_since(time), 0);
        assert_eq!(offset, time);
        for text in ["yesterday", "9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01"] {
            assert!(serde_json::from_str::<Time>(&format!("\"{text}\"")).is_err(), "{text}");
        }
        for text in ["\"9999-12-31T23:59:59Z\"", "\"0000-01-01T00:00:00Z\""] {
            let time: Time = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&time).unwrap(), text);
        }
    }
}
