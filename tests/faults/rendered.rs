//! A state of any bytes in every format, and what must be true of each format.

use crate::metrics;
use crate::plain::is_plain;
use linux_patch::model::class::Class;
use linux_patch::model::exit_code::ExitCode;
use linux_patch::model::failure::Failure;
use linux_patch::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use linux_patch::report::print::Format;
use linux_patch::report::{Detail, Report};
use linux_patch::store::health::judge;
use linux_patch::store::state::Attempt;
use linux_patch::store::state_file::{Loaded, parse};
use linux_patch::system::time::Time;
use std::time::Duration;

const MAX_AGE: Duration = Duration::from_secs(86400);

/// Shows a state in every format, checks each, and returns the nagios line and the metrics.
pub fn check(bytes: &[u8]) -> Option<(String, Vec<metrics::Sample>)> {
    let loaded = parse(bytes);
    let verdict = judge(&loaded, Time::now(), 86400, false);
    assert!(!verdict.reason.is_empty() && verdict.age.is_none_or(|age| age >= 0));
    if let Loaded::Good(state) = &loaded {
        check_memory(state);
    }
    let mut report = Report::new("status", verdict.code, verdict.reason, loaded, MAX_AGE);
    report.detail = Detail::Status { history: None, explanation: None };
    let render = |format| report.render(format, false);

    let text = render(Format::Text)?;
    assert!(text.lines().all(|line| line.chars().all(is_plain)), "{text:?}");
    let json = render(Format::Json)?;
    assert!(json.trim_end_matches('\n').chars().all(is_plain), "{json:?}");
    let doc: serde_json::Value = serde_json::from_str(&json).expect("one document");
    assert_eq!(doc["exit_code"], report.exit.code());

    let nagios = render(Format::Nagios)?;
    let line = nagios.strip_suffix('\n').expect("a whole line");
    assert!(line.chars().all(is_plain), "{line:?}");
    assert!(line.starts_with(&format!("PATCH {}: ", report.exit.plugin_word())), "{line}");
    assert_eq!(line.matches('|').count(), 1, "{line}");
    assert!(line.chars().count() < 8000, "{} characters", line.chars().count());
    let (_, data) = line.split_once(" | ").expect("performance data");
    for word in data.split(' ') {
        let (label, values) = word.split_once('=').expect("a label");
        assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{data}");
        let is_value = |value: &str| {
            let number = value.strip_suffix('s').unwrap_or(value);
            value == "U" || number.bytes().all(|byte| byte.is_ascii_digit())
        };
        assert!(values.split(';').all(is_value), "{data}");
    }
    let page = render(Format::Openmetrics)?;
    let samples = metrics::read(&page).unwrap_or_else(|error| panic!("{error} in {page}"));
    assert!(
        samples.iter().filter(|sample| sample.metric.ends_with("_total")).all(|sample| sample.value >= 0.0)
    );
    Some((nagios, samples))
}

/// The written state can be read again and is the same, and another refresh can be recorded in it.
fn check_memory(state: &linux_patch::store::state::State) {
    let again = |state: &linux_patch::store::state::State| match parse(&serde_json::to_vec(state).unwrap()) {
        Loaded::Good(state) => *state,
        other => panic!("what was written cannot be read: {other:?}"),
    };
    assert_eq!(again(state), *state);
    let error = Failure::new(Class::Network, "no answer");
    let ids = state.sources.iter().map(|source| source.id.clone());
    for (outcome, error) in [(RefreshOutcome::Fresh, None), (RefreshOutcome::Failed, Some(error))] {
        let mut state = state.clone();
        let sources = ids.clone().map(|id| SourceResult { id, error: error.clone() }).collect();
        let refreshed = Refreshed { sources, outcome, error, changed: true };
        let now = Time::now();
        let attempt = Attempt {
            started_at: now,
            finished_at: now,
            outcome,
            exit_code: Some(0),
            duration_ms: 1,
            extra: Default::default(),
        };
        state.record_refresh(&refreshed, attempt);
        let is_counted = state.pending.as_ref().is_none_or(|pending| pending.error.is_none());
        // Counters at their maximum stay there.
        let written = again(&state);
        assert_eq!(again(&written), written);
        let verdict = judge(&Loaded::Good(Box::new(state)), now, 86400, false);
        let expected = match outcome {
            RefreshOutcome::Fresh if is_counted => ExitCode::Fresh,
            RefreshOutcome::Fresh => ExitCode::Stale,
            _ => ExitCode::Failed,
        };
        // A time in the future stays one until a refresh succeeds.
        assert!(verdict.code == expected || verdict.code == ExitCode::Unknown, "{verdict:?}");
    }
}
