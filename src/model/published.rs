//! What an index says about itself: when it was published, and until when it is valid.

use crate::model::class::Extra;
use crate::model::time::Time;
use serde::{Deserialize, Serialize};

/// What an index says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// When it was published; if only the dates in it tell, at that time or later.
    pub at: Option<Time>,
    /// The dates in it, for an index that is an archive.
    pub dates: Option<IndexDates>,
    /// Until when it is valid.
    pub until: Option<Time>,
    /// Whether it has advisories; `None` where such an index never has any, or its end is missing.
    pub has_advisories: Option<bool>,
    /// Whether it says that it is an archive of security updates; never said where each repository may have advisories.
    pub is_security: bool,
    /// Whether it is not an index at all, but for example the login page of a network.
    pub is_no_index: bool,
}

/// The dates in an index that is an archive of what it says about each package. It is not read again as long as it stays
/// the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexDates {
    /// The source.
    pub id: String,
    /// Tells this index from the next one.
    pub mark: String,
    /// When it was made, as the archive itself says.
    pub made: Option<Time>,
    /// When the newest of its packages was built. An index from which that package was withdrawn is newer, though this
    /// date is older.
    pub built: Option<Time>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The date of an index if it can be compared with that of another: not one before which the index cannot have been
/// published, as the newest of its packages was not built before.
pub fn comparable(at: Option<Time>, dates: Option<&IndexDates>) -> Option<Time> {
    let built = dates.and_then(|dates| dates.built);
    at.filter(|at| built.is_none_or(|built| built < *at))
}

/// Whether the archive of security updates of Debian, or a copy of it, has this label.
pub fn is_security_label(label: &str) -> bool {
    label == "Debian-Security"
}

/// Whether it is the name of a suite of security updates of Debian, Ubuntu (ESM too) or a relative: `stable-security`,
/// `jammy-security`, and `buster/updates` as it was until Debian 10.
pub fn is_security_suite(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

impl Published {
    /// What the Release file of a Debian archive says, signed or not:
    ///
    /// ```text
    /// Date: Sat, 28 Nov 2026 12:00:00 UTC
    /// Valid-Until: Sat, 05 Dec 2026 12:00:00 UTC
    /// Label: Debian-Security
    /// Suite: stable-security
    /// ```
    pub fn of_release(text: &str) -> Published {
        let fields = text.lines().take_while(|line| !line.starts_with(' '));
        let field = |name: &str| {
            let mut values = fields.clone().filter_map(|line| line.split_once(": "));
            values.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
        };
        let time = |name: &str| {
            let value = field(name)?;
            let value = ["UTC", "GMT", "+0000", "Z"].iter().find_map(|zone| value.strip_suffix(zone))?;
            Time::parse(value.trim(), "%a, %d %b %Y %H:%M:%S")
        };
        let has = |name: &str, is_it: fn(&str) -> bool| field(name).is_some_and(is_it);
        Published {
            at: time("Date"),
            until: time("Valid-Until"),
            is_security: has("Label", is_security_label) || has("Suite", is_security_suite),
            ..Published::default()
        }
    }

    /// What repomd.xml of an rpm repository says. Its revision is the time in most repositories; where it is another
    /// number, the time of its newest file counts.
    ///
    /// ```text
    /// <revision>1767225600</revision>
    /// <data type="updateinfo"> ... <timestamp>1767225600</timestamp>
    /// ```
    pub fn of_repomd(text: &str) -> Published {
        // No repository is older than that, and a larger number, such as 202601281234, is not a time in seconds.
        const TIMES: std::ops::Range<i64> = 1_000_000_000..10_000_000_000;
        let times = |tag: &'static str| {
            let open = format!("<{tag}>");
            let values = text.split(&open[..]).skip(1).map(|rest| rest.split('<').next().unwrap_or_default());
            let seconds = values.filter_map(|value| value.trim().parse::<i64>().ok());
            seconds.filter(|seconds| TIMES.contains(seconds)).max()
        };
        let is_one = text.contains("<repomd") || text.contains("<data type=");
        let is_whole = is_one && text.contains("</repomd>");
        Published {
            at: times("revision").or_else(|| times("timestamp")).and_then(Time::from_unix),
            has_advisories: text.contains("updateinfo").then_some(true).or(is_whole.then_some(false)),
            is_no_index: !is_one,
            ..Published::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(published: Published) -> (String, String) {
        let show = |time: Option<Time>| time.map(|time| time.to_string()).unwrap_or_default();
        (show(published.at), show(published.until))
    }

    #[test]
    fn a_release_file_says_both_in_its_head_alone() {
        let date = "Sat, 28 Nov 2026 12:00:00 UTC";
        let (at, until) = ("2026-11-28T12:00:00Z", "2026-12-05T12:00:00Z");
        for (text, expected) in [
            (
                format!(
                    "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: D\nDate: {date}\nValid-Until: Sat, 05 Dec 2026 12:00:00 UTC\nMD5Sum:\n 1 2 x\n"
                ),
                (at, until),
            ),
            (format!("Date: {}\n", date.replace("UTC", "+0000")), (at, "")),
            (format!("MD5Sum:\n 1 2 x\nDate: {date}\n"), ("", "")),
            ("Date: yesterday\nDate: UTC\n".to_string(), ("", "")),
            (format!("Date: {}\n", date.replace("UTC", "+0200")), ("", "")),
            (String::new(), ("", "")),
        ] {
            let (found_at, found_until) = shown(Published::of_release(&text));
            assert_eq!((&*found_at, &*found_until), expected, "{text}");
        }
    }

    #[test]
    fn an_archive_of_security_updates_says_so_in_its_label_or_its_suite() {
        let is_one = |text: &str| Published::of_release(text).is_security;
        for text in
            ["Label: Debian-Security\n", "Origin: U\nSuite: noble-security\n", "Suite: stretch/updates\n"]
        {
            assert!(is_one(text), "{text}");
        }
        for text in
            ["Label: Debian\nSuite: stable-updates\n", "MD5Sum:\n 1 2 x\nLabel: Debian-Security\n", ""]
        {
            assert!(!is_one(text), "{text}");
        }
    }

    #[test]
    fn a_repository_is_of_its_revision_or_of_its_newest_file() {
        for (text, expected, advisories) in [
            (
                "<repomd><revision>1767225600</revision><timestamp>1777225600</timestamp></repomd>",
                "2026-01-01T00:00:00Z",
                Some(false),
            ),
            (
                "<repomd><revision>42</revision><data type=\"updateinfo\"><timestamp>1</timestamp><timestamp>1767225600</timestamp>",
                "2026-01-01T00:00:00Z",
                Some(true),
            ),
            (
                "<repomd><revision>20260128123456</revision><timestamp>1767225600</timestamp></repomd>",
                "2026-01-01T00:00:00Z",
                Some(false),
            ),
            (
                "<repomd><revision>202601281234</revision><timestamp>1767225600</timestamp>",
                "2026-01-01T00:00:00Z",
                None,
            ),
            (
                "<repomd><revision>x</revision><timestamp>99999999999999999999</timestamp></repomd>",
                "",
                Some(false),
            ),
            ("<repomd><data type='updateinfo'></data></repomd>", "", Some(true)),
            ("no index", "", None),
        ] {
            let published = Published::of_repomd(text);
            assert_eq!(published.has_advisories, advisories, "{text}");
            assert_eq!(shown(published).0, expected, "{text}");
        }
    }
}
