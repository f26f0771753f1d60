//! The output of a plugin, by the Monitoring Plugins guidelines: one line with performance data, and if asked for one
//! more line for each pending package.

use super::Report;
use crate::model::exit_code::ExitCode;
use crate::model::text::{cut, one_line};
use crate::report::alert::Condition;
use crate::store::state::Pending;

/// Nagios and older NRPEs keep about 8 kB in all; the first line takes up to 3 kB.
const LIST_BYTES: usize = 4000;
/// If a name with its versions has more characters, it is cut.
const LONGEST: usize = 300;

pub(super) fn render(report: &Report) -> String {
    let pending = report.state.as_deref().and_then(|state| state.pending.as_ref());
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
    // An outdated count is never shown as current.
    let counted = pending.filter(|_| !report.health.pending_outdated);
    let perfdata = [
        format!(
            "age={};{};{};0",
            value(report.health.verdict.age.map(|age| format!("{age}s"))),
            report.max_age,
            report.critical_age.map(|age| age.to_string()).unwrap_or_default()
        ),
        format!(
            "pending={};{};0",
            number(counted.and_then(|pending| pending.count)),
            thresholds(report, Condition::Updates)
        ),
        format!(
            "security={};{};0",
            number(counted.and_then(Pending::all_security)),
            thresholds(report, Condition::Security)
        ),
        format!(
            "held_back={};{};0",
            number(counted.and_then(Pending::held_back_count)),
            thresholds(report, Condition::HeldBack)
        ),
        format!("failed_sources={};;;0", number(report.state.as_deref().map(|_| report.failed_sources()))),
        format!(
            "reboot_required={};{};0;1",
            number(report.state.as_deref().map(|_| usize::from(report.health.reboot_required))),
            thresholds(report, Condition::Reboot)
        ),
        format!(
            "outdated_services={};{};0",
            number(report.health.outdated_services.as_ref().map(Vec::len)),
            thresholds(report, Condition::Services)
        ),
        format!(
            "security_age={};{};0",
            value(
                counted
                    .and_then(|pending| pending.oldest_security(report.now))
                    .map(|oldest| { format!("{}s", oldest.map_or(0, |(age, _)| age)) })
            ),
            ages(report, Condition::SecurityAge)
        ),
        format!("security_held_back={};;;0", number(counted.and_then(Pending::held_back_security))),
    ];
    let list = if report.is_verbose { list(report) } else { String::new() };
    format!("{first} | {}\n{list}", perfdata.join(" "))
}

/// The first "|" of a line begins performance data, and Nagios turns a semicolon into a colon.
fn safe(text: &str) -> String {
    one_line(text).replace('|', "/").replace(';', ",")
}

/// The numbers from which there is a warning or a critical alert. In the guidelines a value is out of the range "3" if
/// it is more than 3.
fn thresholds(report: &Report, condition: Condition) -> String {
    let most = |level: ExitCode| {
        let asked = report.asked.iter().filter(|alert| (alert.condition, alert.level) == (condition, level));
        asked.map(|alert| alert.count - 1).min().map(|most| most.to_string()).unwrap_or_default()
    };
    format!("{};{}", most(ExitCode::Stale), most(ExitCode::Failed))
}

/// The same for alerts from an age on.
fn ages(report: &Report, condition: Condition) -> String {
    let least = |level: ExitCode| {
        let asked = report.asked.iter().filter(|alert| (alert.condition, alert.level) == (condition, level));
        asked.map(|alert| alert.age).min().map(|age| age.to_string()).unwrap_or_default()
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
