//! `status --explain`: looks at the host itself. It changes nothing.

mod cron;
mod cron_rules;
mod host;
mod schedule;
mod sources;
mod units;

use crate::managers::{self, Manager};
use crate::report::Report;
use crate::report::finding::Finding;
use crate::store::health::driven;
use std::path::Path;

/// Everything that was found, in a fixed order.
pub fn findings(report: &Report, state_dir: &Path) -> Vec<Finding> {
    let state = report.state.as_deref();
    let manager: Option<&dyn Manager> = state.and_then(driven).or_else(|| managers::detect().ok());
    let mut findings = report.explained_index();
    findings.extend(sources::look(state, manager, report.now));
    findings.extend(host::room());
    findings.extend(host::locks(manager, state, state_dir));
    findings.extend(report.explained_updates());
    let units = units::Units::look();
    findings.extend(schedule::own_runs(&units));
    findings.extend(schedule::failed_units(&units));
    findings.extend(schedule::other_updaters(&units));
    findings.extend(host::shutdown(report.now));
    findings
}
