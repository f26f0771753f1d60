//! What an index says about itself: when it was published, and until when it is valid.

use crate::model::time::Time;

/// What an index says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// When it was published.
    pub at: Option<Time>,
    /// Until when it is valid.
    pub until: Option<Time>,
    /// Whether it has advisories; `None` where such an index never has any.
    pub has_advisories: Option<bool>,
    /// Whether it is not an index at all, but for example the login page of a network.
    pub is_no_index: bool,
}

impl Published {
    /// What the Release file of a Debian archive says, signed or not:
    ///
    /// ```text
    /// Date: Sat, 28 Nov 2026 12:00:00 UTC
    /// Valid-Until: Sat, 05 Dec 2026 12:00:00 UTC
    /// ```
    pub fn of_release(text: &str) -> Published {
        let fields = text.lines().take_while(|line| !line.starts_with(' '));
        let time = |name: &str| {
            let mut values =
                fields.clone().filter_map(|line| line.split_once(": ").filter(|(key, _)| *key == name));
            let value = values.next()?.1.trim();
            let value = ["UTC", "GMT", "+0000", "Z"].iter().find_map(|zone| value.strip_suffix(zone))?;
            Time::parse(value.trim(), "%a, %d %b %Y %H:%M:%S")
        };
        Published { at: time("Date"), until: time("Valid-Until"), has_advisories: None, is_no_index: false }
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
        Published {
            at: times("revision").or_else(|| times("timestamp")).and_then(Time::from_unix),
            until: None,
            has_advisories: is_one.then(|| text.contains("type=\"updateinfo")),
            is_no_index: !is_one,
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
    fn a_repository_is_of_its_revision_or_of_its_newest_file() {
        for (text, expected, advisories) in [
            (
                "<repomd><revision>1767225600</revision><timestamp>1777225600</timestamp>",
                "2026-01-01T00:00:00Z",
                Some(false),
            ),
            (
                "<repomd><revision>42</revision><data type=\"updateinfo\"><timestamp>1</timestamp><timestamp>1767225600</timestamp>",
                "2026-01-01T00:00:00Z",
                Some(true),
            ),
            (
                "<repomd><revision>20260128123456</revision><timestamp>1767225600</timestamp>",
                "2026-01-01T00:00:00Z",
                Some(false),
            ),
            (
                "<repomd><revision>202601281234</revision><timestamp>1767225600</timestamp>",
                "2026-01-01T00:00:00Z",
                Some(false),
            ),
            ("<repomd><revision>x</revision><timestamp>99999999999999999999</timestamp>", "", Some(false)),
            ("no index", "", None),
        ] {
            let published = Published::of_repomd(text);
            assert_eq!(shown(published).0, expected, "{text}");
            assert_eq!(published.has_advisories, advisories, "{text}");
        }
    }
}
