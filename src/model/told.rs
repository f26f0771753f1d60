//! What is known of an update apart from its versions: since when, and what advisories say about it.

use crate::model::time::Time;
use serde::{Deserialize, Serialize};

/// What is known of an update apart from its versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Since when an update of the package has been known here, in any version.
    pub first_seen: Option<Time>,
    /// Since when it has been a security update here, if that is later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_seen: Option<Time>,
    /// When the first advisory that it settles was issued.
    pub issued: Option<Time>,
    /// How grave the gravest of them is.
    pub severity: Option<String>,
}

/// What one advisory says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// Whether it is about security.
    pub is_security: bool,
    /// When it was issued.
    pub issued: Option<Time>,
    /// How grave it is, in its own words.
    pub severity: Option<String>,
}

impl Advice {
    /// An advisory with such a word for its severity. The word may mean that nobody gives one.
    pub fn new(is_security: bool, issued: Option<Time>, severity: &str) -> Advice {
        const NONE: [&str; 5] = ["", "none", "unknown", "unspecified", "n/a"];
        let severity = severity.trim().to_string();
        let is_said = !NONE.contains(&severity.to_ascii_lowercase().as_str());
        Advice { is_security, issued, severity: is_said.then_some(severity) }
    }

    /// Words for the severity, with those that only some distributions use, the gravest last.
    fn rank(&self) -> usize {
        const RANKS: [&str; 6] = ["low", "medium", "moderate", "high", "important", "critical"];
        let word = self.severity.as_deref().unwrap_or_default().to_ascii_lowercase();
        RANKS.iter().position(|rank| *rank == word).map_or(0, |rank| rank + 1)
    }
}

impl Told {
    /// Since when the update has been known here as what it is now.
    pub fn since(&self, security: Option<bool>) -> Option<Time> {
        self.security_seen.filter(|_| security == Some(true)).or(self.first_seen)
    }

    /// Takes over what the advisories say that the update settles. If any is about security, only those count.
    pub fn take(&mut self, advisories: &[&Advice]) {
        let is_security = advisories.iter().any(|advice| advice.is_security);
        let of_kind = || advisories.iter().filter(|advice| advice.is_security == is_security);
        let gravest = of_kind().filter(|advice| advice.severity.is_some()).max_by_key(|advice| advice.rank());
        self.issued = self.issued.into_iter().chain(of_kind().filter_map(|advice| advice.issued)).min();
        self.severity = gravest.and_then(|advice| advice.severity.clone()).or_else(|| self.severity.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_day_and_the_gravest_word_of_what_is_settled_count() {
        let time = |day: i64| Time::from_unix(day * 86400);
        let advice = |is_security, day, word| Advice::new(is_security, time(day), word);
        let told = |all: &[Advice]| {
            let mut told = Told::default();
            told.take(&all.iter().collect::<Vec<_>>());
            (told.issued, told.severity)
        };
        assert_eq!(told(&[]), (None, None));
        let fixes = [advice(true, 9, "Important"), advice(true, 7, "Moderate"), advice(false, 3, "Critical")];
        assert_eq!(told(&fixes), (time(7), Some("Important".to_string())));
        assert_eq!(told(&fixes[2..]), (time(3), Some("Critical".to_string())));
        assert_eq!(told(&[advice(true, 9, "None"), advice(true, 9, " ")]), (time(9), None));
        assert_eq!(told(&[advice(true, 1, "Tapir"), advice(true, 1, "low")]).1.as_deref(), Some("low"));
    }
}
