//! One line and performance data, by the Monitoring Plugins guidelines.

use super::Report;
use crate::outcome::one_line;

pub(super) fn render(report: &Report) -> String {
    let pending = report.state.as_deref().and_then(|state| state.pending.as_ref());
    let mut words = vec![report.reason.clone()];
    // What makes the service red comes first.
    words.splice(0..0, report.alerts.iter().cloned());
    words.extend(report.pending_words());
    words.extend(report.unfinished_words());
    if report.reboot_required && !report.alerts.iter().any(|alert| alert == "restart required") {
        words.push("restart required".to_string());
    }
    // "U" is the guidelines' word for a value that could not be determined.
    let value = |known: Option<String>| known.unwrap_or_else(|| "U".to_string());
    let number = |known: Option<usize>| value(known.map(|number| number.to_string()));
    // An outdated count is never shown as current.
    let counted = pending.filter(|_| !report.pending_outdated);
    let perfdata = [
        format!(
            "age={};{};{};0",
            value(report.verdict.age.map(|age| format!("{age}s"))),
            report.max_age,
            report.critical_age.map(|age| age.to_string()).unwrap_or_default()
        ),
        format!("pending={};;;0", number(counted.map(|pending| pending.count))),
        format!("security={};;;0", number(counted.and_then(|pending| pending.security))),
        format!("held_back={};;;0", number(counted.map(|pending| pending.held_back.len()))),
        format!("failed_sources={};;;0", number(report.state.as_deref().map(|_| report.failed_sources()))),
        format!("reboot_required={};;;0;1", u8::from(report.reboot_required)),
    ];
    // The first "|" begins the performance data.
    let words = one_line(&words.join("; ")).replace('|', "/");
    format!("PATCH {}: {words} | {}\n", report.exit.plugin_word(), perfdata.join(" "))
}
