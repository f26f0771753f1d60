//! Conditions, beside the freshness of the index, that can change the exit code of a status.

use crate::model::exit_code::ExitCode;
use crate::model::text::{counted, one_line};
use crate::store::health::{Health, Life};
use crate::store::state::{Pending, Source, State};
use crate::system::time::{Time, duration, span};
use glob::Pattern;

/// A condition that the administrator wants to hear about, and how grave it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What it is about.
    pub condition: Condition,
    /// The number from which it holds; 1 by default.
    pub count: usize,
    /// The age in seconds from which it holds.
    pub age: i64,
    /// The sources that it is about; all by default.
    pub sources: Option<Pattern>,
    /// `Stale` (WARNING) or `Failed` (CRITICAL).
    pub level: ExitCode,
}

/// What an alert can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Updates are pending.
    Updates,
    /// Security updates are pending.
    Security,
    /// A security update has been known for some time.
    SecurityAge,
    /// Newer versions are held back.
    HeldBack,
    /// A reboot is required.
    Reboot,
    /// Services run replaced code.
    Services,
    /// Support for the distribution has ended, or ends within some time.
    Support,
    /// The newest index was published some time ago.
    Mirror,
    /// The last apply failed or was cut off.
    Apply,
}

/// What may follow the word of a condition, after a colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// A number from which it holds.
    Count,
    /// An age from which it holds; it is required.
    Age,
    /// An optional age.
    AgeOrNothing,
    /// An age, and after an at sign a pattern for the names of sources.
    AgeOfSources,
    Nothing,
}

/// The words of the command line.
const CONDITIONS: [(&str, Condition, Takes); 9] = [
    ("updates", Condition::Updates, Takes::Count),
    ("security", Condition::Security, Takes::Count),
    ("security-age", Condition::SecurityAge, Takes::Age),
    ("held-back", Condition::HeldBack, Takes::Count),
    ("reboot", Condition::Reboot, Takes::Nothing),
    ("services", Condition::Services, Takes::Nothing),
    ("mirror", Condition::Mirror, Takes::AgeOfSources),
    ("support", Condition::Support, Takes::AgeOrNothing),
    ("apply", Condition::Apply, Takes::Nothing),
];

impl Alert {
    /// Reads `security`, `security=critical` or `updates:20=critical`.
    ///
    /// # Errors
    /// One line that says what is accepted.
    pub fn parse(text: &str) -> Result<Alert, String> {
        Alert::read(text).ok_or_else(|| {
            "write it like security, security=critical, updates:20 or security-age:7d; updates, security, \
             security-age, held-back, reboot, services, mirror, support and apply can be warning or critical, \
             updates, security and held-back from a number on, security-age:7d and mirror:14d or mirror:14d@GLOB \
             from an age on, support:60d some time ahead"
                .to_string()
        })
    }

    /// What completions offer.
    pub const OFFERED: &[&str] = &[
        "updates",
        "updates=critical",
        "security",
        "security=critical",
        "security-age:7d",
        "security-age:7d=critical",
        "held-back",
        "held-back=critical",
        "reboot",
        "reboot=critical",
        "services",
        "services=critical",
        "mirror:14d",
        "mirror:14d=critical",
        "support",
        "support=critical",
        "apply",
        "apply=critical",
    ];

    fn read(text: &str) -> Option<Alert> {
        // A pattern of sources may hold an equals sign too.
        let (what, level) = match text.rsplit_once('=') {
            Some((what, "warning")) => (what, ExitCode::Stale),
            Some((what, "critical")) => (what, ExitCode::Failed),
            _ => (text, ExitCode::Stale),
        };
        let (word, value) = what.split_once(':').map_or((what, None), |(word, value)| (word, Some(value)));
        let (_, condition, takes) = CONDITIONS.into_iter().find(|row| row.0 == word)?;
        let alert = Alert { condition, count: 1, age: 0, sources: None, level };
        let seconds = |text: &str| duration(text).ok().map(|age| age.as_secs() as i64);
        match (takes, value) {
            (Takes::Age | Takes::AgeOfSources, None) | (Takes::Nothing, Some(_)) => None,
            (_, None) => Some(alert),
            (Takes::AgeOfSources, Some(value)) => {
                let (age, sources) = match value.split_once('@') {
                    Some((_, "")) => return None,
                    Some((age, pattern)) => (age, Some(Pattern::new(pattern).ok()?)),
                    None => (value, None),
                };
                Some(Alert { age: seconds(age)?, sources, ..alert })
            }
            (Takes::Age | Takes::AgeOrNothing, Some(value)) => Some(Alert { age: seconds(value)?, ..alert }),
            (Takes::Count, Some(value)) => {
                // A whole number; parse would accept a sign too.
                let count = Some(value).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let count = count.and_then(|text| text.parse().ok()).filter(|count| *count > 0)?;
                Some(Alert { count, ..alert })
            }
        }
    }

    /// What it says about the state and its health, and the exit code that follows.
    pub fn of(&self, state: &State, health: &Health, now: Time) -> Option<(ExitCode, String)> {
        let holds = |words: String| Some((self.level, words));
        // What is not known must not look like 0.
        let unknown = |words: &str| Some((ExitCode::Unknown, words.to_string()));
        let number = |count: Option<usize>, noun: &str, verb: &str| match count {
            Some(count) if count < self.count => None,
            Some(count) => holds(format!("{} {verb}", counted(count, noun))),
            None => unknown(&format!("not known whether {noun}s are {verb}")),
        };
        let pending = state.pending.as_ref();
        match self.condition {
            Condition::Updates => number(pending.and_then(|pending| pending.count), "update", "pending"),
            Condition::Security => {
                let held = pending.and_then(Pending::held_back_security).unwrap_or(0);
                let perhaps = pending.map_or(0, Pending::may_hold_back);
                match pending.and_then(Pending::security) {
                    Some(count) if count < self.count && count + perhaps >= self.count => {
                        unknown("not known whether security updates are held back")
                    }
                    // A held-back security update is open too, though nobody installs it.
                    Some(0) if held > 0 => number(Some(held), "security update", "held back"),
                    Some(count) => {
                        let of =
                            if held > 0 { format!(" ({held} of them held back)") } else { String::new() };
                        let all = number(Some(count + held), "security update", "pending");
                        all.map(|(level, words)| (level, words + &of))
                    }
                    None if held >= self.count => number(Some(held), "security update", "held back"),
                    None => number(None, "security update", "pending"),
                }
            }
            Condition::SecurityAge => match pending.and_then(|pending| pending.oldest_security(now)) {
                Some(Some((age, name))) if age >= self.age => {
                    holds(format!("a security update has been known for {}: {name}", span(age)))
                }
                Some(_) => None,
                None => unknown("not known how old the pending security updates are"),
            },
            Condition::HeldBack => number(pending.and_then(Pending::held_back_count), "update", "held back"),
            Condition::Reboot => health.reboot_required.then(|| (self.level, "reboot required".to_string())),
            Condition::Services => match health.outdated_services.as_ref().map(Vec::len) {
                Some(0) => None,
                Some(1) => holds("1 service runs replaced code".to_string()),
                Some(count) => holds(format!("{count} services run replaced code")),
                None => unknown("not known whether services run replaced code"),
            },
            Condition::Mirror => self.of_mirrors(state, now),
            Condition::Support => match state.support_end().map(|end| end.seconds_since(now)) {
                Some(left) if left >= self.age.max(0) && left >= 0 => None,
                Some(left) => holds(support_words(state.support_ends.as_deref().unwrap_or_default(), left)),
                None => unknown("not known until when the distribution is supported"),
            },
            Condition::Apply => match &health.apply_trouble {
                Some(words) => holds(words.clone()),
                None if health.unfinished.as_ref().is_some_and(|apply| apply.life == Life::NotKnown) => {
                    unknown("not known whether an apply still runs")
                }
                None => None,
            },
        }
    }

    /// The age of the newest index of these sources: among several archives, one may rightly be old.
    fn of_mirrors(&self, state: &State, now: Time) -> Option<(ExitCode, String)> {
        let is_meant = |source: &&Source| {
            self.sources.as_ref().is_none_or(|pattern| pattern.matches(&one_line(&source.id)))
        };
        // A date in the future is not counted, because it would silence the alert until then. But the clock here may be
        // a little slow.
        let has_come = |published: &Time| now.seconds_since(*published) >= -86400;
        let published = state.sources.iter().filter(is_meant).filter_map(|source| source.published_at);
        let published = published.filter(has_come).max();
        let of = self.sources.as_ref().map(|pattern| format!(" of {pattern}")).unwrap_or_default();
        match published.map(|published| now.seconds_since(published)) {
            Some(age) if age <= self.age => None,
            Some(age) => Some((self.level, format!("the newest index{of} was published {} ago", span(age)))),
            None => Some((ExitCode::Unknown, format!("not known when an index{of} was published"))),
        }
    }
}

/// Says when support ends or that it has ended, by the last day and the seconds until then.
pub(super) fn support_words(date: &str, left: i64) -> String {
    match left {
        ..0 => format!("support ended on {date}"),
        _ => format!("support ends on {date}"),
    }
}

/// The graver of two exit codes. Critical stays critical, and unknown is graver than a warning.
pub fn graver(one: ExitCode, other: ExitCode) -> ExitCode {
    let rank = |code| match code {
        ExitCode::Fresh => 0,
        ExitCode::Stale => 1,
        ExitCode::Unknown => 2,
        ExitCode::Failed => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_every_condition_and_is_understood() {
        let of = |word: &&str| Alert::read(word).unwrap_or_else(|| panic!("{word}")).condition;
        let offered: Vec<_> = Alert::OFFERED.iter().map(of).collect();
        assert!(CONDITIONS.iter().all(|(_, condition, _)| offered.contains(condition)));
    }

    #[test]
    fn alerts_are_read_with_and_without_a_level() {
        let alert = |condition, level| Ok(Alert { condition, count: 1, age: 0, sources: None, level });
        assert_eq!(Alert::parse("security"), alert(Condition::Security, ExitCode::Stale));
        assert_eq!(Alert::parse("apply=critical"), alert(Condition::Apply, ExitCode::Failed));
        assert_eq!(Alert::parse("services"), alert(Condition::Services, ExitCode::Stale));
        assert_eq!(Alert::parse("updates=warning"), alert(Condition::Updates, ExitCode::Stale));
        let many = |condition, level| Ok(Alert { condition, count: 20, age: 0, sources: None, level });
        let old = Alert {
            condition: Condition::SecurityAge,
            count: 1,
            age: 604_800,
            sources: None,
            level: ExitCode::Failed,
        };
        assert_eq!(Alert::parse("security-age:7d=critical"), Ok(old.clone()));
        assert_eq!(Alert::parse("updates:20"), many(Condition::Updates, ExitCode::Stale));
        assert_eq!(Alert::parse("held-back:20=critical"), many(Condition::HeldBack, ExitCode::Failed));
        let soon = Alert {
            condition: Condition::Support,
            count: 1,
            age: 5_184_000,
            sources: None,
            level: ExitCode::Stale,
        };
        assert_eq!(Alert::parse("support:60d"), Ok(soon.clone()));
        assert_eq!(Alert::parse("support"), Ok(Alert { age: 0, ..soon }));
        let sources = Some(Pattern::new("*=x@y*").unwrap());
        let still =
            Alert { condition: Condition::Mirror, age: 1_209_600, sources, level: ExitCode::Failed, ..old };
        assert_eq!(Alert::parse("mirror:14d@*=x@y*=critical"), Ok(still));
        for text in [
            "",
            "securty",
            "reboot=",
            "reboot=fatal",
            "=critical",
            "reboot=critical=x",
            "updates:",
            "updates:0",
            "updates:-1",
            "updates:+1",
            "updates:2:3",
            "updates:x",
            "reboot:1",
            "services:1",
            "security-age",
            "security-age:",
            "security-age:x",
            "security-age:-1d",
            "security-age:7M",
            "support:",
            "mirror",
            "mirror:",
            "mirror:14d@",
            "mirror:@x",
            "mirror:14d@[",
            "support:x",
            "apply:2=critical",
            ":3",
            "updates=warning:3",
            "updates:99999999999999999999999",
        ] {
            assert!(Alert::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn critical_outranks_unknown_and_unknown_a_warning() {
        use ExitCode::{Failed, Fresh, Stale, Unknown};
        for (one, other, expected) in [
            (Fresh, Stale, Stale),
            (Stale, Fresh, Stale),
            (Stale, Unknown, Unknown),
            (Unknown, Failed, Failed),
            (Failed, Unknown, Failed),
        ] {
            assert_eq!(graver(one, other), expected, "{one:?} {other:?}");
        }
    }

    #[test]
    fn an_index_of_a_day_that_is_still_to_come_keeps_no_alert_quiet() {
        const DAY: i64 = 86400;
        let now = 2_000 * DAY;
        let at = |day: i64| Time::from_unix(now + day * DAY).unwrap();
        let level = |alert: &str, days: &[i64]| {
            let source = |day: &i64| serde_json::json!({"id": format!("s{day}"), "published_at": at(*day)});
            let state = serde_json::json!({"sources": days.iter().map(source).collect::<Vec<_>>()});
            let state: State = serde_json::from_value(state).unwrap();
            let alert = Alert::parse(alert).unwrap();
            alert.of(&state, &Health::default(), at(0)).map(|(level, _)| level)
        };
        for (alert, days, expected) in [
            ("mirror:14d", &[-14, -30][..], None),
            ("mirror:14d", &[-15, -30], Some(ExitCode::Stale)),
            ("mirror:14d=critical", &[-15, 9], Some(ExitCode::Failed)),
            ("mirror:14d", &[-3, 9], None),
            ("mirror:14d", &[1], None),
            ("mirror:14d", &[9], Some(ExitCode::Unknown)),
            ("mirror:14d", &[], Some(ExitCode::Unknown)),
            ("mirror:14d@s-15", &[-3, -15], Some(ExitCode::Stale)),
            ("mirror:14d@S-3", &[-3], Some(ExitCode::Unknown)),
        ] {
            assert_eq!(level(alert, days), expected, "{alert} {days:?}");
        }
    }

    #[test]
    fn a_security_update_is_alerted_of_from_that_age_on() {
        let level = |first_seen: &str| {
            let package = serde_json::json!({"name": "a", "candidate": "2", "security": true, "first_seen": first_seen});
            let pending =
                serde_json::json!({"as_of": "2026-01-01T00:00:00Z", "security": 1, "packages": [package]});
            let state: State = serde_json::from_value(serde_json::json!({"pending": pending})).unwrap();
            let now = Time::parse("2026-01-10 00:00:00", "%Y-%m-%d %H:%M:%S").unwrap();
            let alert = Alert::parse("security-age:7d").unwrap();
            alert.of(&state, &Health::default(), now).map(|(level, _)| level)
        };
        assert_eq!(level("2026-01-03T00:00:00Z"), Some(ExitCode::Stale));
        assert_eq!(level("2026-01-03T00:00:01Z"), None);
    }

    #[test]
    fn support_is_alerted_of_from_that_day_on() {
        let level = |alert: &str, ends: &str| {
            let state: State = serde_json::from_value(serde_json::json!({"support_ends": ends})).unwrap();
            let now = Time::parse("2026-01-10 23:59:59", "%Y-%m-%d %H:%M:%S").unwrap();
            Alert::parse(alert).unwrap().of(&state, &Health::default(), now).map(|(level, _)| level)
        };
        for (alert, ends, expected) in [
            ("support", "2026-01-10", None),
            ("support", "2026-01-09", Some(ExitCode::Stale)),
            ("support=critical", "2026-01-09", Some(ExitCode::Failed)),
            ("support:60d", "2026-03-11", None),
            ("support:60d", "2026-03-10", Some(ExitCode::Stale)),
            ("support:60d", "2026-01-09", Some(ExitCode::Stale)),
            ("support", "soon", Some(ExitCode::Unknown)),
        ] {
            assert_eq!(level(alert, ends), expected, "{alert} {ends}");
        }
    }
}
