//! What was found on a host, and what mends it.

use crate::model::text::short_line;
use serde::Serialize;

/// The result of looking at one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub topic: &'static str,
    /// Whether it is as it should be.
    pub state: Mark,
    /// What was found, in one line.
    pub text: String,
    /// What mends it, or tells more; `None` if nothing is to be done.
    pub command: Option<String>,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// It is, or this is only information.
    Ok,
    /// It is not.
    Problem,
    /// Nobody can tell.
    Unknown,
}

impl Finding {
    /// A finding without a problem.
    pub fn ok(topic: &'static str, text: impl AsRef<str>) -> Finding {
        Finding { topic, state: Mark::Ok, text: short_line(text.as_ref()), command: None }
    }

    /// A problem.
    pub fn problem(topic: &'static str, text: impl AsRef<str>, command: impl Into<String>) -> Finding {
        let command = Some(short_line(&command.into()));
        Finding { topic, state: Mark::Problem, text: short_line(text.as_ref()), command }
    }

    /// A finding that could not be told.
    pub fn unknown(topic: &'static str, text: impl AsRef<str>, command: impl Into<String>) -> Finding {
        Finding { state: Mark::Unknown, ..Finding::problem(topic, text, command) }
    }

    /// The finding as lines for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mark = match self.state {
            Mark::Ok => "  ",
            Mark::Problem => "! ",
            Mark::Unknown => "? ",
        };
        let command = self.command.as_ref().map(|command| format!("    -> {command}"));
        std::iter::once(format!("{mark}{}: {}", self.topic, self.text)).chain(command).collect()
    }
}
