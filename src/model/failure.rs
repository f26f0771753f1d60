//! Why something failed.

use crate::model::class::{Class, Extra};
use crate::model::text::short_line;
use crate::model::updates::HeldBack;
use serde::{Deserialize, Serialize};

/// A failure: its class and one line with the manager's own decisive words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub class: Class,
    /// One line for people.
    pub message: String,
    /// The updates without which the others could be installed, if nothing was changed yet.
    #[serde(skip)]
    pub culprits: Vec<HeldBack>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Failure {
    /// A failure with a message that is safe to print: one line, no control characters, no credentials in URLs.
    pub fn new(class: Class, message: impl AsRef<str>) -> Self {
        Failure { class, message: short_line(message.as_ref()), culprits: Vec::new(), extra: Extra::new() }
    }

    /// Makes a failure of an error with its causes.
    pub fn of(class: Class) -> impl Fn(anyhow::Error) -> Failure {
        move |error| Failure::new(class, format!("{error:#}"))
    }

    /// The failure that is closer to the cause; the first one if they rank alike.
    pub fn more_decisive(self, other: Failure) -> Failure {
        if other.class.rank() > self.class.rank() { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cause of a failed fetch is named, not the fetch; the first of two that rank alike.
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
