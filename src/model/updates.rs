//! Updates: pending, held back, and done.

use crate::model::class::{Class, Extra};
use crate::model::time::Time;
use crate::model::told::Told;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// An update that `apply` would install.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AsRead")]
pub struct Update {
    /// Package name, with `:architecture` where it is not the native one.
    pub name: String,
    /// Installed version; `None` for a new package that an upgrade brings.
    pub installed: Option<String>,
    /// Version that would be installed.
    pub candidate: String,
    /// Whether it is, or contains, a security update; `None` if the manager cannot tell.
    pub security: Option<bool>,
    /// Where the candidate comes from, for apt `Label:Version/Suite`.
    pub source: Option<String>,
    /// The installed packages that it replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
    /// What else is known of it.
    #[serde(flatten)]
    pub told: Told,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// An update with all keys side by side. Values that are read into a nested struct are copied, and there may be
/// thousands.
#[derive(Deserialize)]
struct AsRead {
    name: String,
    installed: Option<String>,
    candidate: String,
    security: Option<bool>,
    source: Option<String>,
    #[serde(default)]
    replaces: Vec<String>,
    first_seen: Option<Time>,
    security_seen: Option<Time>,
    issued: Option<Time>,
    severity: Option<String>,
    #[serde(flatten)]
    extra: Extra,
}

impl From<AsRead> for Update {
    fn from(read: AsRead) -> Self {
        let AsRead { name, installed, candidate, security, source, replaces, extra, .. } = read;
        let (first_seen, security_seen) = (read.first_seen, read.security_seen);
        let (issued, severity) = (read.issued, read.severity);
        let told = Told { first_seen, security_seen, issued, severity };
        Update { name, installed, candidate, security, source, replaces, told, extra }
    }
}

impl Update {
    /// Security updates come first, of these the oldest. An update without a time was written by an older program, and
    /// counts as old.
    pub fn in_order(&self, other: &Update) -> Ordering {
        let key = |update: &Update| (update.security != Some(true), update.told.since(update.security));
        key(self).cmp(&key(other)).then_with(|| self.name.cmp(&other.name))
    }

    /// The same update, as one that is not installed.
    pub fn held_back(self, reason: &str) -> HeldBack {
        HeldBack {
            name: self.name,
            installed: self.installed,
            candidate: Some(self.candidate),
            reason: reason.to_string(),
            class: None,
            security: self.security,
            told: self.told,
            extra: self.extra,
        }
    }

    /// The same update, left out because of a failure of this class.
    pub fn left_out(self, class: Class, reason: &str) -> HeldBack {
        HeldBack { class: Some(class), ..self.held_back(reason) }
    }
}

/// The reason of an update that stays if the manager gives none.
pub const KEPT_BACK: &str = "kept back";

/// The reason of an update that is offered to a part of all hosts at a time, when this host is not yet among them.
pub const PHASED: &str = "phased";

/// The reason of what the manager itself leaves to a repository with a better priority.
pub const BETTER_PRIORITY: &str =
    "a repository with a better priority decides about it, and has nothing newer";

/// Before the version that stays, in the reason of a security update that the administrator's preferences hide.
pub const HIDDEN_BY_PIN: &str = "a pin keeps";
/// The same, where there is no pin.
pub const HIDDEN_BY_RELEASE: &str = "APT::Default-Release keeps";
/// The same, where it may be either.
pub const HIDDEN_BY_BOTH: &str = "a pin, or APT::Default-Release, keeps";

/// In the reason of what is held back because of an older version.
pub const OLDER: &str = "older than the installed";
/// In the reason of what is held back because of several.
pub const OLDER_ONES: &str = "older versions of what is installed";

/// Before the reason of what is held back only because other updates are.
pub const WITHOUT_OTHERS: &str = "without what stays";

/// In the reason of what is held back because a source was not refreshed that decides about it.
pub const NOT_REFRESHED: &str = "not refreshed";

/// A newer version that `apply` does not install.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// Package name.
    pub name: String,
    /// Installed version, if the manager says it.
    pub installed: Option<String>,
    /// Version that is held back, if the manager says it.
    pub candidate: Option<String>,
    /// `held` by the administrator; `phased` by the distribution; `kept back` because it needs a removal or something
    /// that cannot be installed; or why linux-patch leaves it out.
    pub reason: String,
    /// The kind of failure that it would be, if linux-patch leaves it out so that the other updates can be installed.
    /// `None` if the manager keeps it back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Whether it is, or contains, a security update.
    pub security: Option<bool>,
    /// What else is known of it.
    #[serde(flatten)]
    pub told: Told,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl HeldBack {
    /// A package of which nothing else is known, left out because of a failure of this class.
    pub fn left_out(name: impl Into<String>, class: Class, reason: impl Into<String>) -> HeldBack {
        HeldBack { name: name.into(), reason: reason.into(), class: Some(class), ..HeldBack::default() }
    }

    /// A newer version of which a manager lists no more than this.
    pub fn listed(
        name: impl Into<String>,
        installed: Option<&str>,
        candidate: impl Into<String>,
        reason: &str,
    ) -> HeldBack {
        HeldBack {
            name: name.into(),
            installed: installed.map(str::to_owned),
            candidate: Some(candidate.into()),
            reason: reason.to_string(),
            ..HeldBack::default()
        }
    }

    /// Whether it is held back only because a source was not refreshed.
    pub fn lacks_source(&self) -> bool {
        self.class.is_some() && self.reason.contains(NOT_REFRESHED)
    }

    /// Whether each count finds out by itself that it is held back, and when that is over.
    pub fn is_found_again(&self) -> bool {
        !self.reason.starts_with(WITHOUT_OTHERS)
            && [BETTER_PRIORITY, OLDER, OLDER_ONES].iter().any(|why| self.reason.contains(why))
    }

    /// Whether the administrator's preferences keep it back.
    pub fn is_hidden(&self) -> bool {
        [HIDDEN_BY_PIN, HIDDEN_BY_RELEASE, HIDDEN_BY_BOTH].iter().any(|why| self.reason.starts_with(why))
    }

    /// The update that it would be.
    pub fn into_update(self) -> Option<Update> {
        Some(Update {
            name: self.name,
            installed: self.installed,
            candidate: self.candidate?,
            security: self.security,
            source: None,
            replaces: Vec::new(),
            told: self.told,
            extra: self.extra,
        })
    }
}

/// One package whose version changed during a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Package name.
    pub name: String,
    /// Version before; `None` when it was not installed.
    pub from: Option<String>,
    /// Version after; `None` when it was removed.
    pub to: Option<String>,
    /// For how long the update had been known here. Written beside the list, see [`were_open`].
    #[serde(skip)]
    pub open_seconds: Option<i64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// For how long the update of a changed package had been known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasOpen {
    /// Package name.
    pub name: String,
    /// How many seconds.
    pub seconds: i64,
}

/// The changes for which that is known.
pub fn were_open(changes: &[Change]) -> Vec<WasOpen> {
    let one = |change: &Change| Some(WasOpen { name: change.name.clone(), seconds: change.open_seconds? });
    changes.iter().filter_map(one).collect()
}

impl Change {
    /// Name and version of a package that was installed or changed.
    pub fn new_version(&self) -> Option<(&str, &str)> {
        Some((&self.name, self.to.as_deref()?))
    }
}
