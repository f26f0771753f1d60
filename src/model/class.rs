//! The kinds of failures, as far as they matter to a script.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Fields that a later program with the same state version wrote. They survive a rewrite.
pub type Extra = Map<String, Value>;

/// Why something failed, as far as it matters to a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// 404, 403, 5xx, hash or size mismatch, truncated file.
    Fetch,
    /// DNS, refused, reset, timed out, TLS.
    Network,
    /// Another process holds a lock, the manager's or our own.
    Lock,
    /// Unknown key, bad or missing signature.
    Auth,
    /// A Release file outside of its period of validity.
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
    /// Our own time budget was used up.
    Timeout,
    /// Anything else, and in a state every word that this program does not know.
    #[serde(other)]
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

    /// Decides which of two errors of one run is the cause to report; the higher one wins. A full disk or a bad
    /// signature also makes fetches fail, never the other way round.
    pub(super) fn rank(self) -> u8 {
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

/// Fails with every line for which this function does not give the class in the table.
#[cfg(test)]
pub fn assert_classes(table: &[(Class, &str)], class_of: impl Fn(&str) -> Class) {
    let wrong = table.iter().filter(|(expected, line)| class_of(line) != *expected);
    let wrong: Vec<_> = wrong.map(|(_, line)| (line, class_of(line))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
