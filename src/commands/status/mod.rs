//! `linux-patch status`: what the state says, in a millisecond. Takes no lock, starts no process, needs no root, except
//! with `--refresh`, which refreshes first if it must.

#[cfg(test)]
mod tests;

use crate::cli::{Freshness, Global, History, RefreshArgs, StatusArgs};
use crate::commands::exclude::{matches, patterns};
use crate::commands::explain;
use crate::commands::refresh;
use crate::managers;
use crate::model::exit_code::ExitCode;
use crate::report::alert::Alert;
use crate::report::print::Format;
use crate::report::{Detail, Report};
use crate::store::health::{Verdict, driven, verdict};
use crate::store::history;
use crate::store::state::State;
use crate::store::state_file::{Loaded, load_for_status};
use crate::system::time::span;
use glob::Pattern;

/// Judges the remembered state.
pub fn run(global: &Global, args: &StatusArgs) -> Report {
    if let Some(Err(reason)) = global.manager.as_deref().map(managers::by_name) {
        return Report::refused("status", reason);
    }
    // The name of one that is a link to another manager means that one.
    let real = |name| managers::installed(name).map_or(name, |real| real.facts().name);
    let manager = global.manager.as_deref().map(real);
    let exclude = match patterns(&args.exclude) {
        Ok(exclude) => exclude,
        Err(reason) => return Report::refused("status", reason),
    };
    let max_age = args.max_age();
    // Listing the packages, or counting them again, needs all of them.
    let shows_all = match global.format {
        Format::Json => true,
        Format::Nagios => global.verbose,
        Format::Text => global.verbose || args.explain,
        Format::Openmetrics => false,
    };
    let shows_all = shows_all || !exclude.is_empty();
    let judged = |loaded: &Loaded| match manager.and_then(|name| Some((name, loaded.of_another(name)?))) {
        Some((name, driven)) => Verdict::of_another(name, driven),
        None => verdict(loaded, max_age),
    };
    let mut loaded = load_for_status(&global.state_dir, shows_all);
    if args.refresh && judged(&loaded).code != ExitCode::Fresh {
        let freshness = Freshness { max_age, ..args.freshness };
        let refresh_args = RefreshArgs { if_stale: false, freshness, splay: None };
        // Text and JSON of the refresh itself are not shown: the status below is the result.
        let refreshed = refresh::run(global, &refresh_args);
        if refreshed.is_refusal() {
            return Report::refused("status", refreshed.reason);
        }
        loaded = load_for_status(&global.state_dir, shows_all);
    }
    let judged = judged(&loaded);
    if let Loaded::Good(state) = &mut loaded {
        leave_out(state, &exclude);
    }
    let mut report = Report::of_verdict("status", judged, loaded, max_age);
    report.critical_age = args.critical.map(|age| age.as_secs() as i64);
    let Verdict { code, age, .. } = report.health.verdict;
    let too_old = report.critical_age.and_then(|most| match age {
        Some(age) => (age > most).then(|| (ExitCode::Failed, format!("older than {}", span(most)))),
        // Its age cannot be told.
        None => {
            (code == ExitCode::Stale).then(|| (ExitCode::Unknown, "never completely refreshed".to_string()))
        }
    });
    report.tell_apply_trouble();
    report.asked = args.alert.clone();
    let state = report.state.as_deref();
    let of_alert = |alert: &Alert| alert.of(state?, &report.health, report.now);
    let alerts: Vec<_> = too_old.into_iter().chain(args.alert.iter().filter_map(of_alert)).collect();
    report.raise(alerts);
    let history = args.history.as_ref().filter(|_| matches!(global.format, Format::Text | Format::Json));
    let listed = |asked: &History| history::last(&global.state_dir, asked.most, asked.command);
    let is_explained = args.explain && matches!(global.format, Format::Text | Format::Json);
    let explanation = is_explained.then(|| explain::findings(&report, &global.state_dir));
    report.detail = Detail::Status { history: history.map(listed), explanation };
    report
}

/// Takes updates that are not to count out of what is pending.
fn leave_out(state: &mut State, exclude: &[Pattern]) {
    let manager = driven(state);
    let is_excluded = |name: &str| {
        matches(exclude, name, manager.map_or(name, |manager| manager.database().plain_name(name)))
    };
    let Some(pending) = state.pending.as_mut().filter(|_| !exclude.is_empty()) else { return };
    if let Some(mut packages) = pending.packages.take() {
        packages.retain(|update| !is_excluded(&update.name));
        pending.set_packages(packages);
    }
    if let Some(held_back) = &mut pending.held_back {
        held_back.retain(|held| !is_excluded(&held.name));
    }
}
