//! What one run of linux-patch said, what it left in its state, and checks of both.

// The scenarios of tests/faults have it from the other harness too.
#[allow(clippy::duplicate_mod)]
#[path = "../schema/mod.rs"]
mod schema;

use std::fmt;
use std::ops::Deref;

use serde_json::Value;

use crate::sandbox::{Ended, Sandbox};

pub struct Report {
    ended: Ended,
    /// The document it printed.
    pub json: Value,
    /// The state it left.
    pub state: Value,
    log: String,
}

impl Deref for Report {
    type Target = Ended;

    fn deref(&self) -> &Ended {
        &self.ended
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ended with {} after {:.1?}\nSTDOUT {}\nSTDERR {}\nSTATE {:#}\nLOGS {}",
            self.what, self.code, self.elapsed, self.stdout, self.stderr, self.state, self.log
        )
    }
}

impl Report {
    /// Check what the contract promises for every run of every command.
    #[track_caller]
    pub fn check(ended: Ended, sandbox: &Sandbox) -> Report {
        let report = Report {
            json: serde_json::from_str(&ended.stdout).unwrap_or(Value::Null),
            state: sandbox.state(),
            log: sandbox.log(),
            ended,
        };
        assert!(report.json.is_object(), "not one document on stdout: {report}");
        assert!((0..=3).contains(&report.code), "exit code out of range: {report}");
        report.says("/exit_code", report.code);
        let healthy = report.json["status"] == "healthy";
        assert!(healthy || report.json["status"] == "degraded", "unknown status: {report}");
        let word = report.json["cache_status"].as_str().unwrap_or_default();
        assert!(["fresh", "stale", "failed", "unknown"].contains(&word), "unknown cache_status: {report}");
        for key in ["reason", "last_cache_update", "age_seconds", "version"] {
            assert!(report.json.get(key).is_some(), "no {key}: {report}");
        }
        let mut violations = schema::violations(schema::of_document(&report.json), &report.json, false);
        if report.state["version"] == 1 {
            violations.extend(schema::violations("state", &report.state, false));
        }
        assert!(violations.is_empty(), "{violations:?} {report}");
        assert!(!report.stderr.contains("panicked"), "it panicked: {report}");
        report.agrees_with_its_state();
        report
    }

    /// What an apply says it left as it is must be in the state too, and nothing else.
    #[track_caller]
    fn agrees_with_its_state(&self) {
        let held_back = &self.state["pending"]["held_back"];
        let is_saved = !self.stderr.contains("the result of this run is not remembered");
        let is_done =
            is_saved && self.json["command"] == "apply" && self.json["dry_run"] == false && self.code < 2;
        if is_done && held_back.is_array() {
            assert_eq!(self.json["held_back"], *held_back, "held back by {self}");
        }
    }

    #[track_caller]
    pub fn exits(&self, code: i32) -> &Report {
        assert_eq!(self.code, code, "exit code of {self}");
        self
    }

    /// Check one place of the document, given as a JSON pointer.
    #[track_caller]
    pub fn says(&self, pointer: &str, expected: impl Into<Value>) -> &Report {
        let found = self.json.pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(*found, expected.into(), "{pointer} in the document of {self}");
        self
    }

    /// Check one place of the state.
    #[track_caller]
    pub fn remembers(&self, pointer: &str, expected: impl Into<Value>) -> &Report {
        let found = self.state.pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(*found, expected.into(), "{pointer} in the state after {self}");
        self
    }

    /// Check that the text at one place of the document holds these words.
    #[track_caller]
    pub fn mentions(&self, pointer: &str, words: &str) -> &Report {
        let found = self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        assert!(found.contains(words), "no {words:?} at {pointer} of {self}");
        self
    }

    /// A refresh that failed for this reason: said, remembered, and never taken for fresh.
    #[track_caller]
    pub fn refresh_failed(&self, class: &str) -> &Report {
        self.exits(2)
            .says("/status", "degraded")
            .says("/cache_status", "failed")
            .remembers("/last_update_success", false)
            .remembers("/last_update_error/class", class)
            .remembers("/last_attempt/outcome", "failed")
    }

    /// An apply that failed for this reason: said, remembered, nothing in progress any more.
    #[track_caller]
    pub fn apply_failed(&self, class: &str) -> &Report {
        self.exits(2)
            .says("/status", "degraded")
            .says("/error/class", class)
            .remembers("/apply/last/error/class", class)
            .remembers("/apply/in_progress", Value::Null)
    }

    /// An apply that did everything it was asked to.
    #[track_caller]
    pub fn applied(&self, changes: &[&str]) -> &Report {
        self.exits(0)
            .says("/status", "healthy")
            .says("/cache_status", "fresh")
            .says("/error", Value::Null)
            .remembers("/last_update_success", true)
            .remembers("/apply/in_progress", Value::Null)
            .remembers("/apply/last/outcome", "success")
            .changed(changes)
    }

    /// An apply that first had to repair what an earlier run left.
    #[track_caller]
    pub fn repaired(&self) -> &Report {
        self.exits(0).says("/status", "healthy").says("/repaired", true)
    }

    /// Check which packages it says it changed: `"tb-hello 1.0 2.0"`, `-` for not there.
    #[track_caller]
    pub fn changed(&self, expected: &[&str]) -> &Report {
        assert_eq!(changes(&self.json["packages"]), expected, "packages changed by {self}");
        if self.json["dry_run"] != true {
            let remembered = changes(&self.state["apply"]["last"]["packages"]);
            assert_eq!(remembered, expected, "packages in the state after {self}");
        }
        self
    }

    /// Check what it says is pending: `"tb-hello 1.0 2.0"`.
    #[track_caller]
    pub fn leaves_pending(&self, expected: &[&str]) -> &Report {
        let pending = &self.state["pending"];
        let mut found = rows(&pending["packages"], ["name", "installed", "candidate"]);
        found.sort();
        assert_eq!(found, expected, "pending after {self}");
        self.remembers("/pending/count", expected.len())
    }

    /// Check what it says is held back: `"tb-hello 1.0 2.0 held"`.
    #[track_caller]
    pub fn holds_back(&self, expected: &[&str]) -> &Report {
        let mut found =
            rows(&self.state["pending"]["held_back"], ["name", "installed", "candidate", "reason"]);
        found.sort();
        assert_eq!(found, expected, "held back after {self}");
        self
    }

    /// The sources that failed, as (id, class).
    pub fn failed_sources(&self) -> Vec<(String, String)> {
        let sources = self.state["sources"].as_array().into_iter().flatten();
        let failed = sources.filter(|source| !source["error"].is_null());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        failed.map(|source| (text(&source["id"]), text(&source["error"]["class"]))).collect()
    }

    /// Check that exactly one of so many sources failed, which one, and why.
    #[track_caller]
    pub fn one_source_failed(&self, of: usize, id_part: &str, class: &str) -> &Report {
        assert_eq!(self.state["sources"].as_array().map(Vec::len), Some(of), "sources of {self}");
        let failed = self.failed_sources();
        assert_eq!(failed.len(), 1, "failed sources of {self}");
        assert!(failed[0].0.contains(id_part), "{id_part} did not fail: {self}");
        assert_eq!(failed[0].1, class, "class of the failed source of {self}");
        self
    }
}

fn changes(packages: &Value) -> Vec<String> {
    let mut found = rows(packages, ["name", "from", "to"]);
    found.sort();
    found
}

fn rows<const N: usize>(list: &Value, keys: [&str; N]) -> Vec<String> {
    let line = |row: &Value| keys.map(|key| row[key].as_str().unwrap_or("-").to_owned()).join(" ");
    list.as_array().into_iter().flatten().map(line).collect()
}
