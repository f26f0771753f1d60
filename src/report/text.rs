//! Text for people: the verdict on the first line, details below.

use super::alert::support_words;
use super::{Applied, Detail, Report};
use crate::model::exit_code::ExitCode;
use crate::model::text::{counted, one_line};
use crate::model::updates::{Change, HeldBack};
use crate::report::finding::Finding;
use crate::store::glance::LISTED;
use crate::store::history::Entry;
use crate::store::state::Source;
use crate::system::time::{Time, span};

/// So many seconds before support ends, this is shown.
const SOON: i64 = 90 * 86400;

pub(super) fn render(report: &Report, quiet: bool) -> String {
    let mut first = format!("{}: {}", headline(report), report.reason);
    let is_apply = matches!(report.detail, Detail::Apply(_));
    if let Some(words) = report.pending_words().filter(|_| !is_apply) {
        first += &format!("; {words}");
    }
    for alert in report.more_alerts() {
        first += &format!("; alert: {alert}");
    }
    let mut lines = vec![first];
    if !quiet {
        match &report.detail {
            Detail::Status { .. } => status(report, &mut lines),
            Detail::Refresh { .. } => failed_sources(report, &mut lines),
            Detail::Apply(applied) => apply(report, applied, &mut lines),
            Detail::Refused => {}
        }
    }
    let lines: Vec<_> = lines.iter().map(|line| printable(line)).collect();
    lines.join("\n") + "\n"
}

/// The words for a terminal: the verdict in a colour by the exit code, and security updates in one.
pub(super) fn painted(text: &str, exit: ExitCode) -> String {
    const BOLD_RED: &str = "\x1b[1;31m";
    const PLAIN: &str = "\x1b[0m";
    let colour = match exit {
        ExitCode::Fresh => "\x1b[1;32m",
        ExitCode::Stale => "\x1b[1;33m",
        ExitCode::Failed | ExitCode::Unknown => BOLD_RED,
    };
    let Some((headline, rest)) = text.split_once(':') else { return text.to_string() };
    let mut painted = format!("{colour}{headline}{PLAIN}:");
    let mut parts = rest.split("security").peekable();
    while let Some(part) = parts.next() {
        painted += part;
        let Some(next) = parts.peek() else { break };
        // `(security, known for 3 d)`, `(held, security)`, `(2 security)`
        let before = part.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == ' ');
        let is_mark = before.ends_with(['(', ',']) && next.starts_with([')', ',']) && !part.ends_with("(0 ");
        painted += &if is_mark { format!("{BOLD_RED}security{PLAIN}") } else { "security".to_string() };
    }
    painted
}

/// A printable line that keeps its indentation.
fn printable(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    " ".repeat(indent) + &one_line(line)
}

fn headline(report: &Report) -> &'static str {
    match (&report.detail, report.exit) {
        (Detail::Apply(applied), ExitCode::Fresh) if applied.dry_run => "dry run",
        (Detail::Apply(_), ExitCode::Fresh) => "done",
        (Detail::Apply(_), ExitCode::Stale) => "done in part",
        (Detail::Status { .. }, _) if report.reason_is_apply() => "degraded",
        // Alerts change the exit code, not the verdict on the index.
        (Detail::Status { .. }, _) => report.health.verdict.code.word(),
        _ => report.exit.word(),
    }
}

fn status(report: &Report, lines: &mut Vec<String>) {
    history(report, lines);
    if let Detail::Status { explanation: Some(findings), .. } = &report.detail {
        lines.extend(findings.iter().flat_map(Finding::lines));
        return;
    }
    let Some(state) = report.state.as_deref() else { return };
    failed_sources(report, lines);
    if report.is_verbose {
        lines.extend(state.sources.iter().filter(|source| source.error.is_none()).map(source_line));
    }
    lines.extend(report.unfinished_words());
    if let Some(pending) = &state.pending {
        let packages = report.listed_updates().into_iter().map(|update| {
            let from = update.installed.as_deref().unwrap_or("new");
            format!("  {} {from} -> {}{}", update.name, update.candidate, report.marks(update))
        });
        let shown = most_listed(report);
        list("pending:", shown, pending.listed(), packages, lines);
        let held = pending.held_back().iter().map(held_back);
        list("held back:", shown, pending.held_back_count(), held, lines);
    }
    if let Some(last) = &state.apply.last {
        let ago = match report.now.seconds_since(last.finished_at) {
            ..0 => format!("in the future ({})", last.finished_at),
            seconds => format!("{} ago", span(seconds)),
        };
        let how = match &last.error {
            Some(failure) => format!("failed ({}: {})", failure.class.word(), failure.message),
            None => format!("{} changed", counted(last.changed(), "package")),
        };
        lines.push(format!("last apply: {ago}, {how}"));
        if let Some(change) = &state.apply.last_change {
            let changed = counted(change.changed(), "package");
            let ago = span(report.now.seconds_since(change.finished_at).max(0));
            lines.push(format!(
                "last change: {ago} ago, {changed} changed (status --history=apply lists them)"
            ));
        }
    }
    if report.health.reboot_required {
        lines.push("reboot required".to_string());
    }
    lines.extend(report.missed_words());
    lines.extend(report.services_words());
    if let Some(left) = state.support_end().map(|end| end.seconds_since(report.now)) {
        let words = support_words(state.support_ends.as_deref().unwrap_or_default(), left);
        match left {
            ..0 => lines.push(format!("{words}: no further updates will come")),
            0..SOON => lines.push(words),
            _ => {}
        }
    }
    lines.extend(state.caveats.iter().cloned());
    if let Some(names) = state.not_offered.as_ref().filter(|names| !names.is_empty()) {
        let many = match names.len() {
            1 => "1 installed package is".to_string(),
            count => format!("{count} installed packages are"),
        };
        let which = if report.is_verbose { format!(": {}", names.join(", ")) } else { String::new() };
        lines.push(format!("{many} offered by no source, and will get no updates{which}"));
    }
}

fn history(report: &Report, lines: &mut Vec<String>) {
    if let Detail::Status { history: Some(history), .. } = &report.detail {
        lines.push("history:".to_string());
        history.iter().for_each(|entry| run(entry, most_listed(report), lines));
    }
}

/// A run of the history, and below it what it changed.
fn run(entry: &Entry, shown: usize, lines: &mut Vec<String>) {
    let exit = entry.exit_code.map_or("did not end".to_string(), |code| format!("exit {code}"));
    let seconds = entry.duration_ms.map(|ms| format!(" {:.1} s", ms as f64 / 1000.0)).unwrap_or_default();
    let dry = if entry.dry_run { " (dry run)" } else { "" };
    lines.push(format!("  {} {}{dry} {exit}{seconds}: {}", entry.time, entry.command, entry.message));
    lines.extend(entry.changes.iter().take(shown).map(|change| format!("  {}", change_line(change))));
    let left_out = entry.packages.unwrap_or(0).saturating_sub(entry.changes.len().min(shown));
    if left_out > 0 && !entry.changes.is_empty() {
        lines.push(format!("    and {left_out} more"));
    }
}

/// `  tb-a 1.1 -> 1.2 (open for 3 d)`
fn change_line(change: &Change) -> String {
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".to_string());
    let open = change.open_seconds.filter(|open| *open >= 60);
    let open = open.map(|open| format!(" (open for {})", span(open))).unwrap_or_default();
    format!("  {} {} -> {}{open}", change.name, version(&change.from), version(&change.to))
}

fn held_back(held: &HeldBack) -> String {
    let candidate = held.candidate.as_deref().unwrap_or("a newer version");
    let class = held.class.map(|class| format!("{}: ", class.word())).unwrap_or_default();
    let mark = if held.security == Some(true) { ", security" } else { "" };
    format!("  {} {candidate} ({class}{}{mark})", held.name, held.reason)
}

fn failed_sources(report: &Report, lines: &mut Vec<String>) {
    for source in report.sources() {
        if let Some(failure) = &source.error {
            let last = source
                .last_success
                .map_or("never refreshed".to_string(), |time| format!("last refreshed {time}"));
            // It is shown once: in the first line, or with the first source that has it.
            let is_said = |line: &String| !failure.message.is_empty() && line.contains(&failure.message);
            let message = if lines.iter().any(is_said) { "as above" } else { &failure.message };
            lines.push(format!("source {}: {}: {message} ({last})", source.id, failure.class.word()));
        }
    }
}

/// A source that was refreshed, with what its index says about itself.
fn source_line(source: &Source) -> String {
    let time = |what: &str, time: Option<Time>| time.map(|time| format!("{what} {time}"));
    let parts = [
        time("last refreshed", source.last_success),
        time("published", source.published_at),
        time("valid until", source.valid_until),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("source {}: {}", source.id, parts.join(", "))
}

fn apply(report: &Report, applied: &Applied, lines: &mut Vec<String>) {
    if report.exit != ExitCode::Fresh {
        failed_sources(report, lines);
    }
    let title = if applied.dry_run { "would change:" } else { "changed:" };
    let changes = applied.packages.iter().map(change_line);
    let shown = most_listed(report);
    list(title, shown, None, changes, lines);
    list("held back:", shown, None, applied.held_back.iter().map(held_back), lines);
    let files = applied.config_files.iter().map(|path| format!("  {path}"));
    list("configuration files to compare:", shown, None, files, lines);
    let size = applied.download_bytes.map(|bytes| format!("{} to download", size_words(bytes)));
    lines.extend(size);
    if applied.reboot_expected == Some(true) && !report.health.reboot_required {
        lines.push("a reboot will be required".to_string());
    }
    if applied.repaired {
        lines.push("an install that had been cut off was repaired first".to_string());
    }
    if applied.reboot_scheduled {
        let at = applied.reboot_at.map(|at| format!(" for {at}")).unwrap_or_default();
        lines.push(format!("reboot requested{at}"));
    } else if report.health.reboot_required {
        lines.push("reboot required".to_string());
    }
    lines.extend(report.services_words().filter(|_| !applied.dry_run));
    if let Some(log) = applied.log.as_ref().filter(|_| applied.error.is_some()) {
        lines.push(format!("log: {log}"));
    }
}

/// `312 B`, `26 KiB`, `1.5 MiB`.
fn size_words(bytes: u64) -> String {
    let (mut number, mut unit) = (bytes as f64, 0);
    while number >= 1024.0 && unit < 4 {
        number /= 1024.0;
        unit += 1;
    }
    let unit = ["B", "KiB", "MiB", "GiB", "TiB"][unit];
    if bytes < 1024 || number >= 10.0 { format!("{number:.0} {unit}") } else { format!("{number:.1} {unit}") }
}

/// How much of a list is shown.
fn most_listed(report: &Report) -> usize {
    if report.is_verbose { usize::MAX } else { LISTED }
}

/// The first of these lines, up to so many, and how many more there are. `of` is the whole number, if not all lines are
/// given.
fn list(
    title: &str,
    shown: usize,
    of: Option<usize>,
    items: impl ExactSizeIterator<Item = String>,
    lines: &mut Vec<String>,
) {
    let count = items.len().max(of.unwrap_or(0));
    if count == 0 {
        return;
    }
    lines.push(title.to_string());
    lines.extend(items.take(shown));
    if count > shown {
        lines.push(format!("  and {} more", count - shown));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_and_the_marks_of_security_are_painted_and_nothing_else() {
        let text = "stale: http://x/trixie-security; 9 pending (2 security), 1 held back (1 security)\n  \
                    libsecurity 1 -> 2 (security, known for 3 d)\n  security 1 (held, security) (0 security)\n";
        let painted = painted(text, ExitCode::Stale);
        assert!(painted.starts_with("\x1b[1;33mstale\x1b[0m: http://x/trixie-security;"), "{painted:?}");
        assert_eq!(painted.matches("\x1b[1;31msecurity\x1b[0m").count(), 4, "{painted:?}");
        let plain = painted.replace("\x1b[1;33m", "").replace("\x1b[1;31m", "").replace("\x1b[0m", "");
        assert_eq!(plain, text);
    }
}
