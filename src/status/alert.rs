//! What else than the freshness of the index is to change the exit code of a status.

use crate::exit_code::ExitCode;
use crate::outcome::counted;
use crate::report::Report;

/// A condition that the administrator wants to hear of, and how loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Of what.
    pub condition: Condition,
    /// `Stale` (WARNING) or `Failed` (CRITICAL).
    pub level: ExitCode,
}

/// What can be alerted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Updates are pending.
    Updates,
    /// Security updates are pending.
    Security,
    /// A restart is required.
    Reboot,
    /// The last apply failed or was cut off.
    Apply,
}

/// The words of the command line.
const CONDITIONS: [(&str, Condition); 4] = [
    ("updates", Condition::Updates),
    ("security", Condition::Security),
    ("reboot", Condition::Reboot),
    ("apply", Condition::Apply),
];

impl Alert {
    /// Reads `security` or `security=critical`.
    ///
    /// # Errors
    /// One line that says what is accepted.
    pub fn parse(text: &str) -> Result<Alert, String> {
        let (word, level) = text.split_once('=').unwrap_or((text, "warning"));
        let condition = CONDITIONS.iter().find(|row| row.0 == word).map(|row| row.1);
        let level = match level {
            "warning" => Some(ExitCode::Stale),
            "critical" => Some(ExitCode::Failed),
            _ => None,
        };
        match (condition, level) {
            (Some(condition), Some(level)) => Ok(Alert { condition, level }),
            _ => Err("write it like security or security=critical; updates, security, reboot and apply \
                      can be warning or critical"
                .to_string()),
        }
    }

    /// What it has to say of this report, and the exit code that it calls for.
    pub fn of(self, report: &Report) -> Option<(ExitCode, String)> {
        let state = report.state.as_deref()?;
        let number = |count: Option<usize>, words: &str, noun: &str| match count {
            Some(0) => None,
            Some(count) => Some((self.level, counted(count, noun) + " pending")),
            // What nobody knows must not look like none.
            None => Some((ExitCode::Unknown, format!("not known whether {words} are pending"))),
        };
        let pending = state.pending.as_ref();
        match self.condition {
            Condition::Updates => number(pending.map(|pending| pending.count), "updates", "update"),
            Condition::Security => {
                number(pending.and_then(|pending| pending.security), "security updates", "security update")
            }
            Condition::Reboot => report.reboot_required.then(|| (self.level, "restart required".to_string())),
            Condition::Apply => {
                let cut_off = report.unfinished.as_ref().is_some_and(|apply| !apply.is_running);
                let error = state.apply.last.as_ref().and_then(|last| last.error.as_ref());
                let words = match error {
                    _ if cut_off => Some("an apply was interrupted".to_string()),
                    Some(error) => {
                        Some(format!("the last apply failed ({}: {})", error.class.word(), error.message))
                    }
                    None => None,
                };
                words.map(|words| (self.level, words))
            }
        }
    }
}

/// The graver of two exit codes: what is critical stays so, and what is unknown is more than a
/// warning.
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
    fn alerts_are_read_with_and_without_a_level() {
        let alert = |condition, level| Ok(Alert { condition, level });
        assert_eq!(Alert::parse("security"), alert(Condition::Security, ExitCode::Stale));
        assert_eq!(Alert::parse("apply=critical"), alert(Condition::Apply, ExitCode::Failed));
        assert_eq!(Alert::parse("updates=warning"), alert(Condition::Updates, ExitCode::Stale));
        for text in ["", "securty", "reboot=", "reboot=fatal", "=critical", "reboot=critical=x"] {
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
}
