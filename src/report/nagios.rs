//! The output of a plugin, by the Monitoring Plugins guidelines: one line with performance data, and if asked for one
//! more line for each pending package.

use super::Report;
use crate::model::exit_code::ExitCode;
use crate::model::text::{cut, one_line};
use crate::report::alert::{Alert, Condition};
use crate::store::state::Pending;

/// Nagios and older NRPEs keep about 8 kB in all; the first line takes up to 3 kB.
const LIST_BYTES: usize = 4000;
/// If a name with its versions has more characters, it is cut.
const LONGEST: usize = 300;

pub(super) fn render(report: &Report) -> String {
    // The cause of the alert comes first.
    let mut words: Vec<_> = report.more_alerts().cloned().collect();
    let at = if report.is_reason_gravest() { 0 } else { words.len() };
    words.insert(at, report.reason.clone());
    words.extend(report.pending_words());
    words.extend(report.unfinished_words());
    if report.health.reboot_required && !report.alerts.iter().any(|alert| alert == "reboot required") {
        words.push("reboot required".to_string());
    }
    let first = format!("PATCH {}: {}", report.exit.plugin_word(), safe(&words.join("; ")));
    if report.is_refusal() {
        // Nothing was measured.
        return first + "\n";
    }
    // "U" is the guidelines' word for an unknown value.
    let value = |known: Option<String>| known.unwrap_or_else(|| "U".to_string());
    let number = |known: Option<usize>| value(known.map(|number| number.to_string()));
    let seconds = |known: Option<i64>| value(known.map(|seconds| format!("{seconds}s")));
    let of_state = |count: usize| number(report.state.as_deref().map(|_| count));
    // In the guidelines a value is out of the range "3" if it is more than 3.
    let counts = |condition| limits(report, condition, |alert| alert.count as i64 - 1);
    let ages = |condition| limits(report, condition, |alert| alert.age);
    let no_limits = || ";".to_string();
    let critical = report.critical_age.map(|age| age.to_string()).unwrap_or_default();
    let needs_reboot = usize::from(report.health.reboot_required);
    let services = report.health.outdated_services.as_ref().map(Vec::len);
    // An outdated count is never shown as current.
    let counted = report.pending().filter(|_| !report.health.pending_outdated);
    let oldest = counted.and_then(|pending| pending.oldest_security(report.now));
    let oldest = oldest.map(|oldest| oldest.map_or(0, |(age, _)| age));
    let perfdata = [
        ("age", seconds(report.health.verdict.age), format!("{};{critical}", report.max_age), "0"),
        ("pending", number(counted.and_then(|pending| pending.count)), counts(Condition::Updates), "0"),
        ("security", number(counted.and_then(Pending::all_security)), counts(Condition::Security), "0"),
        ("held_back", number(counted.and_then(Pending::held_back_count)), counts(Condition::HeldBack), "0"),
        ("failed_sources", of_state(report.failed_sources()), no_limits(), "0"),
        ("reboot_required", of_state(needs_reboot), counts(Condition::Reboot), "0;1"),
        ("outdated_services", number(services), counts(Condition::Services), "0"),
        ("security_age", seconds(oldest), ages(Condition::SecurityAge), "0"),
        ("security_held_back", number(counted.and_then(Pending::held_back_security)), no_limits(), "0"),
    ];
    let perfdata = perfdata.map(|(name, value, limits, range)| format!("{name}={value};{limits};{range}"));
    let list = if report.is_verbose { list(report) } else { String::new() };
    format!("{first} | {}\n{list}", perfdata.join(" "))
}

/// The first "|" of a line begins performance data, and Nagios turns a semicolon into a colon.
fn safe(text: &str) -> String {
    one_line(text).replace('|', "/").replace(';', ",")
}

/// The numbers from which there is a warning or a critical alert, as `number` has them.
fn limits(report: &Report, condition: Condition, number: fn(&Alert) -> i64) -> String {
    let least = |level: ExitCode| {
        let asked = report.asked.iter().filter(|alert| (alert.condition, alert.level) == (condition, level));
        asked.map(number).min().map(|number| number.to_string()).unwrap_or_default()
    };
    format!("{};{}", least(ExitCode::Stale), least(ExitCode::Failed))
}

/// The pending packages, security updates first.
fn list(report: &Report) -> String {
    let packages = report.listed_updates();
    let mut text = String::new();
    for (listed, update) in packages.iter().enumerate() {
        let from = update.installed.as_deref().unwrap_or("new");
        let mark = safe(&report.marks(update));
        let line =
            cut(safe(&format!("{} {from} -> {}", update.name, update.candidate)), LONGEST) + " " + &mark;
        let line = line.trim_end().to_string();
        if text.len() + line.len() > LIST_BYTES {
            text += &format!("and {} more\n", packages.len() - listed);
            break;
        }
        text += &line;
        text.push('\n');
    }
    text
}
