//! The last words of a script that failed: the manager tells only its exit status, which does not say what is wrong.

use crate::model::text::{contains_any, cut};

/// How many lines before the end of a script are looked at.
const LINES: usize = 50;
/// A quoted line with more characters is cut.
const LONGEST: usize = 300;
/// Words in a line that say why something failed.
const DECISIVE: &[&str] = &[
    "error",
    "fail",
    "cannot",
    "can't",
    "could not",
    "couldn't",
    "unable",
    "denied",
    "refused",
    "not found",
    "no such",
    "invalid",
    "fatal",
    "missing",
    "unbound",
    "timed out",
    "not permitted",
    "no space left",
];

/// The decisive line of what a script printed: the last that speaks of an error, or the last of all.
pub fn decisive<'a>(lines: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lines: Vec<_> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = || lines.iter().rev().take(LINES);
    last().find(|line| speaks_of_error(line)).or_else(|| last().next()).copied()
}

/// Whether a line says that something went wrong.
fn speaks_of_error(line: &str) -> bool {
    let line = line.to_lowercase();
    contains_any(&line, DECISIVE)
}

/// A failure's line with what the script said.
pub fn quoted(line: &str, words: Option<&str>) -> String {
    match words {
        Some(words) => format!("{line}: \"{}\"", cut(words.to_string(), LONGEST)),
        None => line.to_string(),
    }
}

/// rpm's line about a scriptlet, with what the scriptlet printed. The output stands between the line of the step and
/// rpm's line.
///
/// ```text
///   Running scriptlet: tb-brk-2.0-1.noarch                                    4/8
/// tb-brk: post script says no
/// warning: %post(tb-brk-2.0-1.noarch) scriptlet failed, exit status 1
/// ```
pub fn of_scriptlet(output: &str, line: &str) -> String {
    let lines: Vec<_> = output.split(['\n', '\r']).map(without_markup).collect();
    let Some(at) = lines.iter().position(|other| *other == line) else { return line.to_string() };
    let said = lines[..at].iter().rev().take(LINES).take_while(|other| !is_step(other));
    let mut said: Vec<_> = said.copied().collect();
    said.reverse();
    quoted(line, decisive(said.into_iter()))
}

/// A line of zypper's XML without the element around it.
fn without_markup(line: &str) -> &str {
    let line = line.trim_end();
    let inner = line.strip_prefix("<message ").and_then(|rest| rest.split_once('>')).map(|(_, rest)| rest);
    inner.map_or(line, |inner| inner.strip_suffix("</message>").unwrap_or(inner))
}

/// A line of the manager or of rpm itself: `  Upgrading : a-1.noarch   1/4`, `(1/4) Installing: a`, `warning: %post`.
fn is_step(line: &str) -> bool {
    let is_count = |text: &str| {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.split_once('/').is_some_and(|(done, all)| is_number(done) && is_number(all))
    };
    let of_dnf = line.starts_with("  ") && line.rsplit(' ').next().is_some_and(is_count);
    let of_zypper =
        line.strip_prefix('(').and_then(|rest| rest.split_once(") ")).is_some_and(|it| is_count(it.0));
    let starts = [
        "<",
        "Running transaction",
        "Error in ",
        "Non-fatal ",
        "Received signal :",
        "warning: %",
        "error: %",
        "Additional rpm output:",
        "rpm: RPM should not",
        "rpm: However assuming",
    ];
    of_dnf || of_zypper || starts.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decisive_line_is_the_last_that_speaks_of_an_error() {
        let of = |text: &str| decisive(text.lines()).unwrap_or_default().to_string();
        assert_eq!(of("one\ntb: says no\n\n"), "tb: says no");
        assert_eq!(
            of("Job for x.service failed.\nSee \"journalctl -xe\" for details.\n  Loaded: loaded\n"),
            "Job for x.service failed."
        );
        assert_eq!(
            of("mkdir: cannot create directory '/x'\nsed: can't read /y\nbye\n"),
            "sed: can't read /y"
        );
        assert_eq!(of(" \n"), "");
    }

    #[test]
    fn what_a_scriptlet_printed_is_quoted_and_nothing_before_its_step() {
        let failed = "warning: %post(b-2-1.noarch) scriptlet failed, exit status 1";
        for (before, said) in [
            ("of another: error\n  Running scriptlet: b-2-1.noarch      4/8 \nsays no\n", ": \"says no\""),
            ("an error of another\n(4/4) Executing postin script for: b [.\nsays no\n", ": \"says no\""),
            ("<progress id=\"x\"/>\n<message type=\"info\">says no</message>\n", ": \"says no\""),
            ("x\n  Updating   : b-2-1.noarch     2/4\n", ""),
        ] {
            assert_eq!(
                of_scriptlet(&format!("{before}{failed}\n"), failed),
                format!("{failed}{said}"),
                "{before}"
            );
        }
        assert_eq!(of_scriptlet("", failed), failed);
    }
}
