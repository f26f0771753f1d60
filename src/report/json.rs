//! One JSON document, for every command and every exit code.

use super::{Detail, Report};
use crate::model::exit_code::ExitCode;
use crate::model::text::printable_json;
use crate::model::updates::were_open;
use serde_json::{Map, Value, json};

pub(super) fn render(report: &Report) -> String {
    let healthy = report.exit == ExitCode::Fresh;
    let state = report.state.as_deref();
    let mut doc = Map::new();
    let mut put = |key: &str, value: Value| doc.insert(key.to_string(), value);
    put("command", json!(report.command));
    put("status", json!(if healthy { "healthy" } else { "degraded" }));
    put("cache_status", json!(report.health.verdict.code.word()));
    put("exit_code", json!(report.exit.code()));
    put("reason", json!(report.reason));
    put("last_cache_update", json!(state.and_then(|state| state.last_cache_update)));
    put("age_seconds", json!(report.health.verdict.age));
    put("version", json!(env!("CARGO_PKG_VERSION")));
    put("manager", json!(state.and_then(|state| state.manager.as_deref())));
    put("reboot_required", json!(report.health.reboot_required));
    put("support_ends", json!(state.and_then(|state| state.support_ends.as_deref())));
    put("caveats", json!(state.map(|state| state.caveats.as_slice()).unwrap_or_default()));
    put("outdated_services", json!(report.health.outdated_services));
    put("sources", json!(state.map(|state| &state.sources).unwrap_or(&Vec::new())));
    put("pending", pending(report));
    put("error", json!(state.and_then(|state| state.last_update_error.as_ref())));
    // A run that was refused has the same keys as one that took place.
    let refused = Detail::of_refused(report.command);
    let detail = if report.is_refusal() { &refused } else { &report.detail };
    match detail {
        Detail::Refused => {}
        Detail::Status { history, explanation } => {
            put("max_age_seconds", json!(report.max_age));
            put("reboot_required_since", json!(report.health.reboot_required_since));
            put("reboot_scheduled_at", json!(report.health.reboot_scheduled_at));
            put("alerts", json!(report.alerts));
            put("last_attempt", json!(state.and_then(|state| state.last_attempt.as_ref())));
            put("apply", json!(state.map(|state| &state.apply)));
            put("apply_interrupted", json!(report.is_interrupted()));
            put("counters", json!(state.map(|state| &state.counters)));
            if let Some(history) = history {
                put("history", json!(history));
            }
            if let Some(findings) = explanation {
                put("explanation", json!(findings));
            }
        }
        Detail::Refresh { refreshed, joined, error } => {
            put("refreshed", json!(refreshed));
            put("joined", json!(joined));
            put("error", json!(error));
        }
        Detail::Apply(applied) => {
            put("retried", json!(applied.retried));
            put("repaired", json!(applied.repaired));
            put("packages", json!(applied.packages));
            put("open_for", json!(were_open(&applied.packages)));
            put("held_back", json!(applied.held_back));
            put("download_bytes", json!(applied.download_bytes));
            put("reboot_expected", json!(applied.reboot_expected));
            put("config_files", json!(applied.config_files));
            put("dry_run", json!(applied.dry_run));
            put("too_late", json!(applied.too_late));
            put("error", json!(applied.error));
            put("reboot_scheduled", json!(applied.reboot_scheduled));
            put("reboot_at", json!(applied.reboot_at));
            put("log", json!(applied.log));
        }
    }
    if report.is_refusal() {
        put("error", json!({"class": "other", "message": report.reason}));
    }
    printable_json(Value::Object(doc).to_string()) + "\n"
}

fn pending(report: &Report) -> Value {
    let pending = report.state.as_deref().and_then(|state| state.pending.as_ref());
    let mut value = json!(pending);
    if let (Some(object), Some(pending)) = (value.as_object_mut(), pending) {
        object.insert("security".to_string(), json!(pending.security()));
        object.insert("held_back_security".to_string(), json!(pending.held_back_security()));
        object.insert("outdated".to_string(), json!(report.health.pending_outdated));
        // Of use to this program only.
        object.remove("basis");
        object.remove("database");
    }
    value
}
