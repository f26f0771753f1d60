//! The values that options take.

use crate::system::time::duration;
use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, ValueEnum};
use std::ffi::OsStr;
use std::time::Duration;

/// A parser for a value, with some words for the completions. It accepts more than these words.
#[derive(Clone)]
pub struct Offered<T> {
    pub parse: fn(&str) -> Result<T, String>,
    pub words: &'static [&'static str],
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Offered<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        self.parse.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.words.iter().map(PossibleValue::new)))
    }
}

/// Which runs are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// How many.
    pub most: usize,
    /// Of which command; `None` for both.
    pub command: Option<&'static str>,
}

impl History {
    /// How many runs are listed if no number is given.
    const USUAL: usize = 20;

    pub(super) const OFFERED: [&str; 2] = ["refresh", "apply"];

    pub(super) fn parse(text: &str) -> Result<History, String> {
        let of = |command| Ok(History { most: History::USUAL, command: Some(command) });
        match text {
            "refresh" => of("refresh"),
            "apply" => of("apply"),
            _ => {
                let number = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let most = number.and_then(|text| text.parse().ok()).filter(|most| *most > 0);
                let most =
                    most.ok_or("write --history, --history=50, --history=refresh or --history=apply")?;
                Ok(History { most, command: None })
            }
        }
    }
}

/// When to reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reboot {
    /// Only where the distribution or a newer kernel asks for it.
    IfNeeded,
    /// After every apply that did not fail.
    Always,
}

/// A duration that is long enough for something to be done.
pub fn budget(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        short if short < Duration::from_secs(1) => Err("at least 1s is needed".to_string()),
        enough => Ok(enough),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_manual_page_writes_them() {
        for (text, seconds) in [("90s", 90), ("4h", 14400), ("1h30m", 5400), ("45", 45), ("0", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "-5", "5x", "5M", "1h5M", "99999999999999999999", "999y", " ", "h", "５"] {
            assert!(duration(text).is_err(), "{text:?} was accepted");
        }
        assert!(budget("0").is_err() && budget("500ms").is_err());
    }
}
