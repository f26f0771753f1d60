//! How much a run would download, as the managers print it before they list what they would do.

/// In bytes; `None` where the output does not say it. Simulations of apt, pacman and apk do not.
///
/// ```text
/// Total download size: 77 k
/// Total size of inbound packages is 77 KiB. Need to download 26 KiB.
/// <install-summary download-size="27645" space-usage-diff="0" packages-to-change="6">
/// ```
pub fn download_size(output: &str) -> Option<u64> {
    output.lines().rev().find_map(|line| {
        if let Some((_, rest)) = line.split_once("<install-summary download-size=\"") {
            return rest.split('"').next()?.parse().ok();
        }
        let told = line.strip_prefix("Total download size: ");
        bytes(told.or_else(|| Some(line.split_once(". Need to download ")?.1.trim_end_matches('.')))?)
    })
}

/// Reads `77 k`, `1.5 M`, `26 KiB`, `0 B`: each unit is 1024 of the one below.
fn bytes(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let number: f64 = words.next()?.parse().ok()?;
    let power = match words.next().unwrap_or_default().chars().next() {
        None | Some('B') => 0,
        Some('k' | 'K') => 1,
        Some('M') => 2,
        Some('G') => 3,
        Some('T') => 4,
        Some(_) => return None,
    };
    let bytes = number * 1024_f64.powi(power);
    (bytes.is_finite() && (0.0..1e15).contains(&bytes)).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_download_is_read() {
        for (line, size) in [
            ("Total download size: 77 k", Some(77 * 1024)),
            ("Total download size: 1.5 M", Some(1_572_864)),
            ("Total download size: 0  ", Some(0)),
            ("Total size of inbound packages is 77 KiB. Need to download 26 KiB.", Some(26 * 1024)),
            ("Total size of inbound packages is 11 KiB. Need to download 0 B.", Some(0)),
            ("<install-summary download-size=\"27645\" space-usage-diff=\"0\">", Some(27645)),
            ("Total download size: many", None),
            ("Total download size: 9 x", None),
            ("", None),
        ] {
            assert_eq!(download_size(line), size, "{line}");
        }
    }
}
