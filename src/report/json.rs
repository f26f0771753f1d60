//! One JSON document, for every command and every exit code.

use super::{Detail, Report};
use crate::model::class::Extra;
use crate::model::exit_code::ExitCode;
use crate::model::failure::Failure;
use crate::model::text::printable_json;
use crate::model::updates::{HeldBack, Update, were_open};
use crate::store::state::Open;
use crate::system::time::Time;
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

/// Each key with its value as text, because there may be thousands of packages.
struct Doc(BTreeMap<&'static str, Box<RawValue>>);

impl Doc {
    fn put(&mut self, key: &'static str, value: impl Serialize) {
        let text = to_raw_value(&value);
        self.0.insert(key, text.unwrap_or_else(|_| RawValue::NULL.to_owned()));
    }
}

/// What is pending, without the fingerprints, which only this program uses.
#[derive(Serialize)]
struct Shown<'a> {
    as_of: Time,
    count: Option<usize>,
    security: Option<usize>,
    error: &'a Option<Failure>,
    outdated: bool,
    packages: &'a Option<Vec<Update>>,
    held_back: &'a Option<Vec<HeldBack>>,
    held_back_security: Option<usize>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    database_places: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    known: &'a [Open],
    #[serde(flatten)]
    extra: Extra,
}

pub(super) fn render(report: &Report) -> String {
    let healthy = report.exit == ExitCode::Fresh;
    let state = report.state.as_deref();
    let mut doc = Doc(BTreeMap::new());
    doc.put("command", report.command);
    doc.put("status", if healthy { "healthy" } else { "degraded" });
    doc.put("cache_status", report.health.verdict.code.word());
    doc.put("exit_code", report.exit.code());
    doc.put("reason", report.whole_reason());
    doc.put("last_cache_update", state.and_then(|state| state.last_cache_update));
    doc.put("age_seconds", report.health.verdict.age);
    doc.put("version", env!("CARGO_PKG_VERSION"));
    doc.put("manager", state.and_then(|state| state.manager.as_deref()));
    doc.put("reboot_required", report.health.reboot_required);
    doc.put("support_ends", state.and_then(|state| state.support_ends.as_deref()));
    doc.put("caveats", state.map(|state| state.caveats.as_slice()).unwrap_or_default());
    doc.put("outdated_services", &report.health.outdated_services);
    doc.put("sources", report.sources());
    doc.put("pending", pending(report));
    doc.put("error", state.and_then(|state| state.last_update_error.as_ref()));
    // A refused run has the same keys as one that took place.
    let refused = Detail::of_refused(report.command);
    let detail = if report.is_refusal() { &refused } else { &report.detail };
    match detail {
        Detail::Refused => {}
        Detail::Status { history, explanation } => {
            doc.put("max_age_seconds", report.max_age);
            doc.put("reboot_required_since", report.health.reboot_required_since);
            doc.put("reboot_scheduled_at", report.health.reboot_scheduled_at);
            doc.put("not_offered", state.and_then(|state| state.not_offered.as_ref()));
            doc.put("alerts", &report.alerts);
            doc.put("last_attempt", state.and_then(|state| state.last_attempt.as_ref()));
            doc.put("apply", state.map(|state| &state.apply));
            doc.put("apply_interrupted", report.is_interrupted());
            doc.put("counters", state.map(|state| &state.counters));
            if let Some(history) = history {
                doc.put("history", history);
            }
            if let Some(findings) = explanation {
                doc.put("explanation", findings);
            }
        }
        Detail::Refresh { refreshed, joined, error } => {
            doc.put("refreshed", refreshed);
            doc.put("joined", joined);
            doc.put("error", error);
        }
        Detail::Apply(applied) => {
            doc.put("retried", applied.retried);
            doc.put("repaired", applied.repaired);
            doc.put("packages", &applied.packages);
            doc.put("open_for", were_open(&applied.packages));
            doc.put("held_back", &applied.held_back);
            doc.put("download_bytes", applied.download_bytes);
            doc.put("reboot_expected", applied.reboot_expected);
            doc.put("config_files", &applied.config_files);
            doc.put("dry_run", applied.dry_run);
            doc.put("too_late", applied.too_late);
            doc.put("error", &applied.error);
            doc.put("reboot_scheduled", applied.reboot_scheduled);
            doc.put("reboot_at", applied.reboot_at);
            doc.put("log", &applied.log);
        }
    }
    if report.is_refusal() {
        doc.put("error", json!({"class": report.refused_for, "message": report.reason}));
    }
    printable_json(serde_json::to_string(&doc.0).unwrap_or_default()) + "\n"
}

fn pending(report: &Report) -> Option<Shown<'_>> {
    let pending = report.pending()?;
    let mut extra = pending.extra.clone();
    // No key is there twice, whoever wrote the state.
    extra.remove("outdated");
    extra.remove("held_back_security");
    Some(Shown {
        as_of: pending.as_of,
        count: pending.count,
        security: pending.security(),
        error: &pending.error,
        outdated: report.health.pending_outdated,
        packages: &pending.packages,
        held_back: &pending.held_back,
        held_back_security: pending.held_back_security(),
        database_places: &pending.database_places,
        known: &pending.known,
        extra,
    })
}
