//! Compares versions as pacman does. Not every pacman comes with `vercmp`.

use std::cmp::Ordering;

/// Compares two `EPOCH:VERSION-RELEASE` as alpm_pkg_vercmp(3) does: a missing epoch is 0, and without a release in both
/// the release does not count.
pub fn compare(one: &str, other: &str) -> Ordering {
    fn parts(text: &str) -> (&str, &str, Option<&str>) {
        let is_epoch = |(epoch, _): &(&str, &str)| epoch.bytes().all(|byte| byte.is_ascii_digit());
        let (epoch, rest) = text.split_once(':').filter(is_epoch).unwrap_or(("0", text));
        match rest.rsplit_once('-') {
            Some((version, release)) => (epoch, version, Some(release)),
            None => (epoch, rest, None),
        }
    }
    let (one, other) = (parts(one), parts(other));
    let by_release = || match (one.2, other.2) {
        (Some(one), Some(other)) => compare_parts(one, other),
        _ => Ordering::Equal,
    };
    let by_epoch = compare_parts(if one.0.is_empty() { "0" } else { one.0 }, other.0);
    by_epoch.then_with(|| compare_parts(one.1, other.1)).then_with(by_release)
}

/// Compares run by run of digits or letters: digits are newer than letters, a longer separator than a shorter one, and
/// letters at the end are older than nothing (`1.0rc` than `1.0`).
fn compare_parts(mut one: &str, mut other: &str) -> Ordering {
    fn cut(text: &str, is_in: impl Fn(char) -> bool) -> (&str, &str) {
        text.split_at(text.find(|c| !is_in(c)).unwrap_or(text.len()))
    }
    let is_separator = |c: char| !c.is_ascii_alphanumeric();
    while !one.is_empty() && !other.is_empty() {
        let ((before_one, of_one), (before_other, of_other)) =
            (cut(one, is_separator), cut(other, is_separator));
        (one, other) = (of_one, of_other);
        if one.is_empty() || other.is_empty() {
            break;
        }
        let by_separator = before_one.len().cmp(&before_other.len());
        if by_separator.is_ne() {
            return by_separator;
        }
        let is_digit = one.starts_with(|c: char| c.is_ascii_digit());
        let is_same = |c: char| c.is_ascii_alphanumeric() && c.is_ascii_digit() == is_digit;
        let ((run_of_one, rest_of_one), (run_of_other, rest_of_other)) =
            (cut(one, is_same), cut(other, is_same));
        if run_of_other.is_empty() {
            return if is_digit { Ordering::Greater } else { Ordering::Less };
        }
        let order = if is_digit {
            let (a, b) = (run_of_one.trim_start_matches('0'), run_of_other.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        } else {
            run_of_one.cmp(run_of_other)
        };
        if order.is_ne() {
            return order;
        }
        (one, other) = (rest_of_one, rest_of_other);
    }
    let is_letter = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
    match (one.is_empty(), other.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) if !is_letter(other) => Ordering::Less,
        _ if is_letter(one) => Ordering::Less,
        _ => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the rules of alpm_pkg_vercmp(3), and what pacman's own tests have.
    #[test]
    fn versions_stand_in_the_order_of_pacman() {
        for row in [
            "1.0a < 1.0b < 1.0beta < 1.0p < 1.0pre < 1.0rc < 1.0 < 1.0.a < 1.0.1",
            "1 < 1.0 < 1.1 < 1.1.1 < 1.2 < 2.0 < 3.0.0",
            "1.5.0 < 1.5.1-1 < 1.5.1-2 < 1.5.2",
            "1.5-1 < 1.5-2 < 1.5.0-1 < 1.5.1-1 < 1.6-1",
            "1.5.a < 1.5.b < 1.5.1",
            "1.5b < 1.5 < 1.5.b",
            "1.0 < 1.0. < 1..0 < 1..1",
            "9 < 10 < 1:1.0-1 < 1:1.0-2 < 2:0",
            "1.001 < 1.2 < 1.010",
        ] {
            let versions: Vec<_> = row.split(" < ").collect();
            for (nth, older) in versions.iter().enumerate() {
                assert_eq!(compare(older, older), Ordering::Equal, "{older}");
                for newer in &versions[nth + 1..] {
                    assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
                    assert_eq!(compare(newer, older), Ordering::Greater, "{newer} {older}");
                }
            }
        }
        for [one, other] in [["1.5", "1.5-1"], ["0:1.0", "1.0"], [":1.0", "1.0"], ["1.01", "1.1"]] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
    }
}
