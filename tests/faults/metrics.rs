//! A strict reader of text that is valid both as OpenMetrics and as the text format of Prometheus.

use std::collections::BTreeSet;

/// One sample: its metric, its labels with their values unescaped, its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub metric: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

/// Reads a whole page.
pub fn read(page: &str) -> Result<Vec<Sample>, String> {
    let body = page.strip_suffix("# EOF\n").ok_or("the page has no end")?;
    if !(body.is_empty() || body.ends_with('\n')) {
        return Err("the end is not a line of its own".into());
    }
    let mut samples: Vec<Sample> = Vec::new();
    let mut families: BTreeSet<String> = BTreeSet::new();
    let mut series: BTreeSet<String> = BTreeSet::new();
    let mut family = String::new();
    for line in body.split_terminator('\n') {
        let wrong = |what: &str| Err(format!("{what}: {line:?}"));
        if line.chars().any(char::is_control) {
            return wrong("a control character");
        }
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap_or((help, ""));
            if !is_name(name) || words.is_empty() || words.contains('\\') {
                return wrong("a bad HELP line");
            }
            if !families.insert(name.to_string()) {
                return wrong("a family that stands there twice");
            }
            family = name.to_string();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let first = samples.last().is_none_or(|sample| sample.metric != family);
            if kind != format!("{family} gauge") || !first {
                return wrong("a bad TYPE line");
            }
        } else {
            let sample = match sample(line) {
                Some(sample) => sample,
                None => return wrong("no sample"),
            };
            if sample.metric != family {
                return wrong("a sample outside of its family");
            }
            if !series.insert(format!("{} {:?}", sample.metric, sample.labels)) {
                return wrong("a series that stands there twice");
            }
            samples.push(sample);
        }
    }
    Ok(samples)
}

fn is_name(text: &str) -> bool {
    text.starts_with("linux_patch_") && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// `metric{label="value",...} 1`
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (metric, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (key, quoted) = rest.split_once("=\"")?;
            let (value, after) = quoted_value(quoted)?;
            let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase());
            if !is_key || labels.iter().any(|(known, _)| known == key) {
                return None;
            }
            labels.push((key.to_string(), value));
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix('}')?;
                    break;
                }
            }
        }
    }
    let number = rest.strip_prefix(' ')?;
    let digits = number.strip_prefix('-').unwrap_or(number);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let value = number.parse().ok().filter(|_| is_number && is_name(metric))?;
    Some(Sample { metric: metric.to_string(), labels, value })
}

/// The value up to its closing quote, unescaped, and what follows.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_that_every_reader_takes_is_read() {
        let head = "# HELP linux_patch_x Words.\n# TYPE linux_patch_x gauge\n";
        let page = |samples: &str| read(&format!("{head}{samples}# EOF\n"));
        let one = page("linux_patch_x{source=\"a\\\\b\\\"c d\"} 1\n").unwrap();
        assert_eq!(one[0].labels, [("source".to_string(), "a\\b\"c d".to_string())]);
        assert_eq!(page("linux_patch_x -5\n").unwrap()[0].value, -5.0);
        for bad in [
            "linux_patch_x{source=\"a\"} 1\nlinux_patch_x{source=\"a\"} 1\n",
            "linux_patch_x{source=\"a\"b\"} 1\n",
            "linux_patch_x{source=\"a\\t\"} 1\n",
            "linux_patch_x{source=\"a\x1b[m\"} 1\n",
            "linux_patch_x{source=\"a\r\"} 1\n",
            "linux_patch_x{source=\"a} 1\n",
            "linux_patch_x 1.5\n",
            "linux_patch_x  1\n",
            "linux_patch_y 1\n",
            "\n",
            "# EOF\n",
        ] {
            assert!(page(bad).is_err(), "{bad:?}");
        }
    }
}
