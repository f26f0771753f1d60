//! Compares versions as rpm does.

use super::names::plain_name;
use std::cmp::Ordering;

/// Compares two `EPOCH:VERSION-RELEASE` as rpm does; a missing epoch is 0.
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    fn parts(text: &str) -> (u64, &str, &str) {
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch.parse().unwrap_or(0), version, release)
    }
    let (one, other) = (parts(one), parts(other));
    let by_epoch = one.0.cmp(&other.0);
    by_epoch.then_with(|| compare_parts(one.1, other.1)).then_with(|| compare_parts(one.2, other.2))
}

/// Compares two versions or two releases run by run of digits or letters (rpmvercmp): digits are newer
/// than letters, `~` is older than the end, `^` newer than the end and older than anything else.
fn compare_parts(mut one: &str, mut other: &str) -> Ordering {
    let is_separator = |c: char| !c.is_ascii_alphanumeric() && c != '~' && c != '^';
    loop {
        (one, other) = (one.trim_start_matches(is_separator), other.trim_start_matches(is_separator));
        let rank = |text: &str| match text.bytes().next() {
            Some(b'~') => 0,
            None => 1,
            Some(b'^') => 2,
            Some(byte) if byte.is_ascii_digit() => 4,
            Some(_) => 3,
        };
        match (rank(one), rank(other)) {
            (1, 1) => return Ordering::Equal,
            (0, 0) | (2, 2) => (one, other) = (&one[1..], &other[1..]),
            (3, 3) | (4, 4) => {
                let is_digit = rank(one) == 4;
                let run = |text: &str| {
                    let same = |c: char| c.is_ascii_alphanumeric() && c.is_ascii_digit() == is_digit;
                    text.find(|c| !same(c)).unwrap_or(text.len())
                };
                let (of_one, of_other) = (&one[..run(one)], &other[..run(other)]);
                (one, other) = (&one[of_one.len()..], &other[of_other.len()..]);
                let order = if is_digit {
                    let (a, b) = (of_one.trim_start_matches('0'), of_other.trim_start_matches('0'));
                    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
                } else {
                    of_one.cmp(of_other)
                };
                if order != Ordering::Equal {
                    return order;
                }
            }
            (a, b) => return a.cmp(&b),
        }
    }
}

/// Whether what a package obsoletes, such as `tb-old < 2.0`, is this version of a package.
pub fn is_obsoleted(obsoletes: &str, name: &str, version: &str) -> bool {
    let words: Vec<_> = obsoletes.split_whitespace().collect();
    let (relation, limit) = match words[..] {
        [old] => return old == plain_name(name),
        [old, relation, limit] if old == plain_name(name) => (relation, limit),
        _ => return false,
    };
    is_within(version, relation, limit)
}

/// Whether a version is `< 2.0-1`, `= 3`. A limit without a release means every release.
pub fn is_within(version: &str, relation: &str, limit: &str) -> bool {
    let version = match limit.contains('-') {
        true => version,
        false => version.rsplit_once('-').map_or(version, |(version, _)| version),
    };
    let order = compare_versions(version, limit);
    (relation.contains('<') && order.is_lt())
        || (relation.contains('>') && order.is_gt())
        || (relation.contains('=') && order.is_eq())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs as in rpm's own manual, rpm-version(7), and of real packages.
    #[test]
    fn versions_are_compared_as_rpm_compares_them() {
        use Ordering::{Equal, Greater, Less};
        for (one, other, order) in [
            ("1.0-1", "1.0-1", Equal),
            ("1.0-1", "1.0-2", Less),
            ("1.10-1", "1.9-1", Greater),
            ("1:1.0-1", "2.0-1", Greater),
            ("0:2.0-1", "2.0-1", Equal),
            ("1.0~rc1-1", "1.0-1", Less),
            ("1.0^git1-1", "1.0-1", Greater),
            ("1.0^git1-1", "1.0.1-1", Less),
            ("1.0~rc1^g1-1", "1.0~rc1-1", Greater),
            ("1.a-1", "1.1-1", Less),
            ("1.0a-1", "1.0-1", Greater),
            ("1.05-1", "1.5-1", Equal),
            ("1_0-1", "1.0-1", Equal),
            ("2.50-1", "2.5-1", Greater),
            ("5.14.0-362.8.1.el9_3", "5.14.0-362.13.1.el9_3", Less),
            ("6.0.rc1-1", "6.0-1", Greater),
            ("1.0-1.el9", "1.0-1.el9_2", Less),
            ("20230101-99999999999999999999", "20230101-100000000000000000000", Less),
        ] {
            assert_eq!(compare_versions(one, other), order, "{one} {other}");
            assert_eq!(compare_versions(other, one), order.reverse(), "{other} {one}");
        }
    }

    #[test]
    fn what_a_package_obsoletes_is_told_by_name_and_version() {
        for (obsoletes, version, is_it) in [
            ("tb-a", "1.0-1", true),
            ("tb-b", "1.0-1", false),
            ("tb-a < 2", "1.0-1", true),
            ("tb-a < 2", "2-0", false),
            ("tb-a <= 2", "2-5", true),
            ("tb-a <= 2-4", "2-5", false),
            ("tb-a = 1:2-5", "1:2-5", true),
            ("tb-a < 1:1", "2.0-1", true),
            ("tb-a >= 2", "1.9-1", false),
            ("tb-a > 1", "1.9-1", true),
            ("(none)", "1.0-1", false),
            ("tb-a ? 2", "1.0-1", false),
        ] {
            assert_eq!(is_obsoleted(obsoletes, "tb-a", version), is_it, "{obsoletes} {version}");
        }
    }
}
