//! Metrics for a textfile collector, valid as OpenMetrics and in Prometheus' own text format.

use super::Report;
use crate::model::exit_code::ExitCode;
use crate::model::text::one_line;
use crate::store::health;
use crate::store::state::{Pending, State};
use crate::system::time::Time;
use std::collections::BTreeMap;
use std::fmt::Write;

pub(super) fn render(report: &Report) -> String {
    let mut page = Page::default();
    add_index(&mut page, report);
    add_updates(&mut page, report);
    add_host(&mut page, report);
    add_apply(&mut page, report);
    if let Some(state) = &report.state {
        add_sources(&mut page, state);
        add_counters(&mut page, state);
    }
    page.text + "# EOF\n"
}

fn add_index(page: &mut Page, report: &Report) {
    let state = report.state.as_deref();
    page.family("info", "The program and the package manager that it drives.");
    let manager = state.and_then(|state| state.manager.as_deref()).map(one_line);
    let version = ("version", env!("CARGO_PKG_VERSION"));
    // In the order that exporters use.
    let labels: Vec<_> =
        manager.as_deref().map(|name| ("manager", name)).into_iter().chain([version]).collect();
    page.sample("info", &labels, 1);
    page.family("cache_status", "Verdict on the package index; the one that holds has the value 1.");
    for code in [ExitCode::Fresh, ExitCode::Stale, ExitCode::Failed, ExitCode::Unknown] {
        page.sample(
            "cache_status",
            &[("status", code.word())],
            i64::from(code == report.health.verdict.code),
        );
    }
    page.gauge(
        "exit_code",
        "Exit code of linux-patch status: 0 fresh, 1 stale, 2 failed, 3 unknown.",
        i64::from(report.exit.code()),
    );
    page.gauge("max_age_seconds", "Age up to which the index counts as fresh.", report.max_age);
    let updated = state.and_then(|state| state.last_cache_update);
    page.optional(
        "last_cache_update_timestamp_seconds",
        "End of the last refresh in which every source succeeded.",
        updated.map(|time| time.unix()),
    );
    let attempt = state.and_then(|state| state.last_attempt.as_ref());
    page.optional(
        "last_attempt_timestamp_seconds",
        "End of the last refresh.",
        attempt.map(|attempt| attempt.finished_at.unix()),
    );
}

fn add_updates(page: &mut Page, report: &Report) {
    let pending = report.pending().filter(|_| !report.health.pending_outdated);
    page.optional(
        "pending_updates",
        "Updates that apply would install.",
        pending.and_then(|pending| pending.count).map(number),
    );
    let security = pending.and_then(Pending::security);
    page.optional("pending_security_updates", "Security updates among them.", security.map(number));
    page.optional(
        "oldest_security_update_age_seconds",
        "For how long the oldest pending security update has been known here; 0 where there is none.",
        pending
            .and_then(|pending| pending.oldest_security(report.now))
            .map(|oldest| oldest.map_or(0, |(age, _)| age)),
    );
    page.optional(
        "held_back_updates",
        "Newer versions that apply does not install.",
        pending.and_then(Pending::held_back_count).map(number),
    );
    page.optional(
        "held_back_security_updates",
        "Security updates among them.",
        pending.and_then(Pending::held_back_security).map(number),
    );
}

fn add_host(page: &mut Page, report: &Report) {
    let state = report.state.as_deref();
    page.optional(
        "reboot_required",
        "Whether a reboot is required.",
        state.map(|_| i64::from(report.health.reboot_required)),
    );
    page.optional(
        "reboot_required_since_timestamp_seconds",
        "Since when a reboot is required.",
        report.health.reboot_required_since.map(|since| since.unix()),
    );
    page.optional(
        "reboot_scheduled_timestamp_seconds",
        "When a reboot comes that was asked for.",
        report.health.reboot_scheduled_at.map(|at| at.unix()),
    );
    page.optional(
        "outdated_services",
        "Services that still run code which an update has replaced.",
        report.health.outdated_services.as_ref().map(|services| number(services.len())),
    );
    page.optional(
        "support_ends_timestamp_seconds",
        "End of the last day on which the distribution has updates.",
        state.and_then(|state| state.support_end()).map(|end| end.unix()),
    );
}

fn add_apply(page: &mut Page, report: &Report) {
    let state = report.state.as_deref();
    page.optional(
        "apply_interrupted",
        "Whether an apply was cut off and waits for its repair.",
        state.and_then(|_| report.is_interrupted()).map(i64::from),
    );
    let last = state.and_then(|state| state.apply.last.as_ref());
    page.optional(
        "last_apply_timestamp_seconds",
        "End of the last apply.",
        last.map(|last| last.finished_at.unix()),
    );
    page.optional(
        "last_apply_success",
        "Whether the last apply ended without a failure, or that was mended.",
        state.filter(|_| last.is_some()).map(|state| i64::from(health::apply_failure(state).is_none())),
    );
    page.optional(
        "last_apply_duration_seconds",
        "How long the last apply took.",
        last.map(|last| last.finished_at.seconds_since(last.started_at)).filter(|seconds| *seconds >= 0),
    );
    page.optional(
        "last_apply_packages",
        "Packages that the last apply changed.",
        last.map(|last| number(last.changed())),
    );
    let failures = [
        (
            "last_apply_failure",
            "Class of the failure of the last apply.",
            state.and_then(health::apply_failure),
        ),
        (
            "last_refresh_failure",
            "Class of the failure of the last refresh.",
            state.and_then(|state| state.last_update_error.as_ref()),
        ),
    ];
    for (name, help, failure) in failures {
        if let Some(failure) = failure {
            page.family(name, help);
            page.sample(name, &[("class", failure.class.word())], 1);
        }
    }
    page.optional(
        "apply_in_progress",
        "Whether an apply is running.",
        state.and_then(|_| report.is_applying()).map(i64::from),
    );
}

fn add_sources(page: &mut Page, state: &State) {
    // A series that is there twice makes the whole page invalid. Two sources can differ only in something that is not
    // shown.
    let mut sources: BTreeMap<String, (bool, Option<Time>)> = BTreeMap::new();
    for source in &state.sources {
        let (is_up, published) = sources.entry(one_line(&source.id)).or_insert((true, None));
        *is_up &= source.error.is_none();
        *published = source.published_at.max(*published);
    }
    page.family("source_up", "Whether the last attempt refreshed the source.");
    for (id, (is_up, _)) in &sources {
        page.sample("source_up", &[("source", id)], i64::from(*is_up));
    }
    page.family("source_published_timestamp_seconds", "When the index of the source was published.");
    for (id, at) in sources.iter().filter_map(|(id, (_, published))| Some((id, (*published)?))) {
        page.sample("source_published_timestamp_seconds", &[("source", id)], at.unix());
    }
}

fn add_counters(page: &mut Page, state: &State) {
    let counters = &state.counters;
    for (name, help, value) in [
        ("refresh_total", "Refreshes run.", counters.refresh_total),
        (
            "refresh_failed_total",
            "Refreshes in which no source was refreshed.",
            counters.refresh_failed_total,
        ),
        ("refresh_joined_total", "Refreshes that shared another's result.", counters.refresh_joined_total),
        (
            "refresh_skipped_fresh_total",
            "Refreshes skipped because the index was fresh.",
            counters.refresh_skipped_fresh_total,
        ),
        ("apply_total", "Applies run.", counters.apply_total),
        ("apply_failed_total", "Applies that failed.", counters.apply_failed_total),
        (
            "apply_retried_total",
            "Applies that refreshed and downloaded a second time.",
            counters.apply_retried_total,
        ),
    ] {
        page.counter(name, help, value);
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP linux_patch_{name} {help}\n# TYPE linux_patch_{name} gauge");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: i64) {
        let labels: Vec<_> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "linux_patch_{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) {
        self.family(name, help);
        self.sample(name, &[], value);
    }

    fn optional(&mut self, name: &str, help: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.gauge(name, help, value);
        }
    }

    /// Without a TYPE line: OpenMetrics names a counter's family without `_total`, Prometheus' text format names it
    /// with it. Both read an untyped one.
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let _ = writeln!(self.text, "# HELP linux_patch_{name} {help}\nlinux_patch_{name} {value}");
    }
}

/// A value of one printable line between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}
