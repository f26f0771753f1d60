//! Why something failed.

use crate::model::text::short_line;
use crate::model::updates::HeldBack;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Fields that a later program of the same state version wrote; they survive a rewrite.
pub type Extra = Map<String, Value>;

/// Why something failed, as far as a script can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// 404, 403, 5xx, hash or size mismatch, truncated file.
    Fetch,
    /// DNS, refused, reset, timed out, TLS.
    Network,
    /// A lock, the manager's or our own, is held by somebody else.
    Lock,
    /// Unknown key, bad or missing signature.
    Auth,
    /// A Release file outside its period of validity.
    Clock,
    /// Disk full or read-only file system.
    Space,
    /// Unmet or conflicting dependencies, unknown package, file conflicts.
    Dependency,
    /// A maintainer script failed.
    Script,
    /// A signal, or an earlier install that was cut off.
    Interrupted,
    /// Malformed source, or no source at all.
    Config,
    /// Our own time budget.
    Timeout,
    /// Anything else.
    Other,
}

impl Class {
    /// The word used in the state, in JSON and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Class::Fetch => "fetch",
            Class::Network => "network",
            Class::Lock => "lock",
            Class::Auth => "auth",
            Class::Clock => "clock",
            Class::Space => "space",
            Class::Dependency => "dependency",
            Class::Script => "script",
            Class::Interrupted => "interrupted",
            Class::Config => "config",
            Class::Timeout => "timeout",
            Class::Other => "other",
        }
    }

    /// Whether a refresh and a second download can mend it.
    pub fn is_retried(self) -> bool {
        matches!(self, Class::Fetch | Class::Network)
    }

    /// Which of two errors of one run is the cause to report: a full disk and a bad signature
    /// also make fetches fail, never the other way round. Higher wins.
    fn rank(self) -> u8 {
        match self {
            Class::Space => 6,
            Class::Lock => 5,
            Class::Config => 4,
            Class::Auth => 3,
            Class::Clock => 2,
            Class::Fetch | Class::Network => 1,
            _ => 0,
        }
    }
}

/// A failure: its class and one line with the manager's own decisive words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub class: Class,
    /// One line for people.
    pub message: String,
    /// The updates without which the others could be installed, where nothing was changed yet.
    #[serde(skip)]
    pub culprits: Vec<HeldBack>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Failure {
    /// A failure with its message made safe to print: one line, no control characters, no
    /// credentials out of URLs.
    pub fn new(class: Class, message: impl AsRef<str>) -> Self {
        Failure { class, message: short_line(message.as_ref()), culprits: Vec::new(), extra: Extra::new() }
    }

    /// The failure that names the cause better; the first one when they rank alike.
    pub fn more_decisive(self, other: Failure) -> Failure {
        if other.class.rank() > self.class.rank() { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cause of a failed fetch is named, not the fetch; of two that rank alike the first.
    #[test]
    fn the_more_decisive_of_two_failures_is_told() {
        let ranks = [
            &[Class::Space][..],
            &[Class::Lock],
            &[Class::Config],
            &[Class::Auth],
            &[Class::Clock],
            &[Class::Fetch, Class::Network],
            &[Class::Dependency, Class::Script, Class::Interrupted, Class::Timeout, Class::Other],
        ];
        let all: Vec<_> = ranks
            .iter()
            .enumerate()
            .flat_map(|(rank, of)| of.iter().map(move |class| (rank, *class)))
            .collect();
        for (rank, class) in &all {
            for (other_rank, other) in &all {
                let told = Failure::new(*class, "first").more_decisive(Failure::new(*other, "second"));
                let expected = if other_rank < rank { "second" } else { "first" };
                assert_eq!(told.message, expected, "{class:?}, then {other:?}");
            }
        }
    }
}
