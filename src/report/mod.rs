//! The result of a run as one value; every form on standard output is rendered from it.

pub mod alert;
mod explain;
pub mod finding;
mod json;
mod nagios;
mod openmetrics;
pub mod print;
mod text;

use crate::model::class::Class;
use crate::model::exit_code::ExitCode;
use crate::model::failure::Failure;
use crate::model::text::{counted, cut, one_line};
use crate::model::updates::{Change, HeldBack, Update};
use crate::report::alert::{Alert, graver};
use crate::report::finding::Finding;
use crate::store::health::{Health, Life, Unfinished, Verdict, verdict};
use crate::store::history::Entry;
use crate::store::state::{Pending, Source, State};
use crate::store::state_file::Loaded;
use crate::system::time::{Time, span};
use std::cmp::Ordering;
use std::time::Duration;

/// A longer reason is cut: Nagios keeps 8 kB of a line, with the performance data.
const MAX_REASON_CHARS: usize = 2000;

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// `refresh`, `status` or `apply`; empty for a usage error.
    pub command: &'static str,
    /// The exit code of this run.
    pub exit: ExitCode,
    /// Why, in one line.
    pub reason: String,
    /// What follows from the state. The verdict is not always that of the run.
    pub health: Health,
    /// When the report was made.
    pub now: Time,
    /// Age in seconds up to which the index counts as fresh.
    pub max_age: i64,
    /// Age in seconds from which the exit code is 2, where there is one.
    pub critical_age: Option<i64>,
    /// The alerts that hold, beside the verdict.
    pub alerts: Vec<String>,
    /// All alerts that were asked for.
    pub asked: Vec<Alert>,
    /// Whether lists are shown whole, and the pending packages follow a plugin's line.
    pub is_verbose: bool,
    /// The state, where it could be read.
    pub state: Option<Box<State>>,
    /// The part of the result that depends on the command.
    pub detail: Detail,
    /// If the run was refused, the class of that.
    pub refused_for: Class,
}

/// The part of the result that depends on the command.
#[derive(Clone, Debug, Default)]
pub enum Detail {
    /// The run was refused before it began.
    #[default]
    Refused,
    /// Of `status`.
    Status {
        /// The last runs, if asked for.
        history: Option<Vec<Entry>>,
        /// Why the host is as it is, if asked for.
        explanation: Option<Vec<Finding>>,
    },
    /// Of `refresh`.
    Refresh {
        /// Whether a refresh, of this run or a shared one, took place and refreshed a source.
        refreshed: bool,
        /// Whether the result is another process's.
        joined: bool,
        /// Why not every source was refreshed.
        error: Option<Failure>,
    },
    /// Of `apply`.
    Apply(Applied),
}

impl Detail {
    /// What a refused command says: nothing happened.
    fn of_refused(command: &str) -> Detail {
        match command {
            "status" => Detail::Status { history: None, explanation: None },
            "refresh" => Detail::Refresh { refreshed: false, joined: false, error: None },
            "apply" => Detail::Apply(Applied::default()),
            _ => Detail::Refused,
        }
    }
}

/// What an apply did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// Whether it refreshed and downloaded a second time.
    pub retried: bool,
    /// Whether it repaired an install that had been cut off.
    pub repaired: bool,
    /// What really changed; with `dry_run`, what would change.
    pub packages: Vec<Change>,
    /// What was not installed though there is a newer version: left out by linux-patch, by the administrator or by the
    /// manager.
    pub held_back: Vec<HeldBack>,
    /// Whether nothing was meant to be installed.
    pub dry_run: bool,
    /// Whether it was too late to begin an install, or another one.
    pub too_late: bool,
    /// Why it did not succeed.
    pub error: Option<Failure>,
    /// How many bytes a dry run would download, if the manager says it.
    pub download_bytes: Option<u64>,
    /// Whether a reboot would be required after a dry run, if that can be known.
    pub reboot_expected: Option<bool>,
    /// Configuration files that came beside the administrator's own, or were put aside for them.
    pub config_files: Vec<String>,
    /// Whether a reboot was asked for.
    pub reboot_scheduled: bool,
    /// When it will come, if known.
    pub reboot_at: Option<Time>,
    /// The manager's own output, if it is worth reading.
    pub log: Option<String>,
}

impl Report {
    /// A report of the state and of what can be seen of the system now. The exit code follows the verdict on the index.
    pub fn of_state(command: &'static str, loaded: Loaded, max_age: Duration) -> Self {
        let verdict = verdict(&loaded, max_age);
        Report::of_verdict(command, verdict, loaded, max_age)
    }

    /// The same with this verdict on the index.
    pub fn of_verdict(command: &'static str, verdict: Verdict, loaded: Loaded, max_age: Duration) -> Self {
        let health = Health::of(&loaded, verdict);
        let state = match loaded {
            Loaded::Good(state) => Some(state),
            _ => None,
        };
        Report::of_health(command, health, state, max_age)
    }

    fn of_health(
        command: &'static str,
        health: Health,
        state: Option<Box<State>>,
        max_age: Duration,
    ) -> Self {
        Report {
            command,
            exit: health.verdict.code,
            reason: cut(one_line(&health.verdict.reason), MAX_REASON_CHARS),
            health,
            now: Time::now(),
            max_age: max_age.as_secs() as i64,
            critical_age: None,
            alerts: Vec::new(),
            asked: Vec::new(),
            is_verbose: false,
            state,
            detail: Detail::default(),
            refused_for: Class::Other,
        }
    }

    /// A report of a run that took place, with its own exit code and reason.
    pub fn new(
        command: &'static str,
        exit: ExitCode,
        reason: String,
        loaded: Loaded,
        max_age: Duration,
    ) -> Self {
        let reason = cut(one_line(&reason), MAX_REASON_CHARS);
        Report { exit, reason, ..Report::of_state(command, loaded, max_age) }
    }

    /// A report of a run that could not start: exit code 3.
    pub fn refused(command: &'static str, reason: String) -> Self {
        Report::refused_for(command, Class::Other, reason)
    }

    /// The same, with the class of the failure.
    pub fn refused_for(command: &'static str, refused_for: Class, reason: String) -> Self {
        let reason = cut(one_line(&reason), MAX_REASON_CHARS);
        Report { reason, refused_for, ..Report::of_health(command, Health::default(), None, Duration::ZERO) }
    }

    /// Whether the run could not start.
    pub fn is_refusal(&self) -> bool {
        matches!(self.detail, Detail::Refused)
    }

    /// What is pending, if that was ever counted.
    fn pending(&self) -> Option<&Pending> {
        self.state.as_deref()?.pending.as_ref()
    }

    /// The sources of the last attempt.
    fn sources(&self) -> &[Source] {
        self.state.as_deref().map(|state| state.sources.as_slice()).unwrap_or_default()
    }

    /// Whether it belongs to `status`, which has the formats of monitoring systems, or to no command.
    fn is_of_status(&self) -> bool {
        matches!(self.command, "status" | "")
    }

    /// Adds alerts. They can only make the exit code graver. The gravest comes first, and of two with the same text
    /// only one is shown.
    pub fn raise(&mut self, mut alerts: Vec<(ExitCode, String)>) {
        alerts.sort_by(|(one, _), (other, _)| match graver(*one, *other) {
            _ if one == other => Ordering::Equal,
            level if level == *one => Ordering::Less,
            _ => Ordering::Greater,
        });
        for (level, words) in alerts {
            self.exit = graver(self.exit, level);
            let words = one_line(&words);
            if !self.alerts.contains(&words) {
                self.alerts.push(words);
            }
        }
    }

    /// Puts what is wrong with the last apply first, unless the index is worse: a machine that knows what it lacks and
    /// cannot get it is not healthy.
    pub fn tell_apply_trouble(&mut self) {
        let Some(words) = &self.health.apply_trouble else { return };
        let apply = self.state.as_ref().map(|state| &state.apply);
        let is_cut_off = self.health.unfinished.as_ref().is_some_and(Unfinished::is_cut_off);
        let log = apply.and_then(|apply| match is_cut_off {
            true => apply.in_progress.as_ref()?.log.as_ref(),
            false => apply.last.as_ref()?.log.as_ref(),
        });
        let log = log.map(|log| format!(", its output: {log}")).unwrap_or_default();
        let reason = match self.exit {
            ExitCode::Fresh => format!("{words}{log}; the index is fresh, {}", self.reason),
            ExitCode::Stale => format!("{words}{log}; {}", self.reason),
            _ => format!("{}; {words}{log}", self.reason),
        };
        self.reason = cut(one_line(&reason), MAX_REASON_CHARS);
        self.exit = graver(self.exit, ExitCode::Stale);
    }

    /// Whether the index alone gives this exit code, and is failed or unknown.
    fn is_reason_gravest(&self) -> bool {
        let code = self.health.verdict.code;
        code == self.exit && matches!(code, ExitCode::Failed | ExitCode::Unknown)
    }

    /// Whether the index is fresh and the reason is about the last apply.
    fn reason_is_apply(&self) -> bool {
        self.health.verdict.code == ExitCode::Fresh && self.health.apply_trouble.is_some()
    }

    /// The alerts that the reason does not name already.
    fn more_alerts(&self) -> impl Iterator<Item = &String> {
        self.alerts.iter().filter(|alert| self.health.apply_trouble.as_ref() != Some(alert))
    }

    /// Sets the error of a refresh or an apply.
    pub fn set_error(&mut self, failure: Failure) {
        match &mut self.detail {
            Detail::Refresh { error, .. } => *error = Some(failure),
            Detail::Apply(applied) => applied.error = Some(failure),
            Detail::Refused | Detail::Status { .. } => {}
        }
    }

    /// The reason of the exit code. In words the count has a place of its own.
    fn whole_reason(&self) -> String {
        let is_uncounted = self.pending().is_some_and(|pending| pending.error.is_some());
        match self.pending_words().filter(|_| is_uncounted && self.command == "status") {
            Some(words) => cut(one_line(&format!("{}; {words}", self.reason)), MAX_REASON_CHARS),
            None => self.reason.clone(),
        }
    }

    /// `3 updates pending, 1 of them security`; with a mark if the number is not current.
    fn pending_words(&self) -> Option<String> {
        let pending = self.pending()?;
        if let Some(failure) = &pending.error {
            let class = failure.class.word();
            return Some(format!("what is pending is not known ({class}: {})", failure.message));
        }
        let count = pending.count?;
        let mut words = match count {
            0 => "nothing pending".to_string(),
            count => format!("{} pending", counted(count, "update")),
        };
        if let Some(security) = pending.security().filter(|_| count > 0) {
            words += &format!(" ({security} security)");
        }
        if let Some(held) = pending.held_back_count().filter(|held| *held > 0) {
            words += &format!(", {held} held back");
            match pending.held_back_security() {
                Some(security) if security > 0 => words += &format!(" ({security} security)"),
                _ => {}
            }
        }
        if self.health.pending_outdated {
            words += " (outdated: packages have changed since they were counted)";
        }
        Some(words)
    }

    /// Whether an apply was cut off; `None` if it began and may still run.
    fn is_interrupted(&self) -> Option<bool> {
        let Some(unfinished) = &self.health.unfinished else { return Some(false) };
        (unfinished.life != Life::NotKnown).then(|| unfinished.is_cut_off())
    }

    /// Whether an apply is running; `None` if one began and its process cannot be seen.
    fn is_applying(&self) -> Option<bool> {
        let Some(unfinished) = &self.health.unfinished else { return Some(false) };
        (unfinished.life != Life::NotKnown).then_some(unfinished.life == Life::Running)
    }

    /// What an operator must know about the last apply, in one line.
    fn unfinished_words(&self) -> Option<String> {
        let unfinished = self.health.unfinished.as_ref()?;
        let Unfinished { since, phase, repair, .. } = unfinished;
        match unfinished.life {
            Life::Running => return Some(format!("an apply is running since {since} (phase {phase})")),
            Life::NotKnown => {
                return Some(format!(
                    "an apply of {since} has not ended (phase {phase}); not known whether it still runs: its \
                     process cannot be seen from here"
                ));
            }
            Life::Gone => {}
        }
        let by_hand = repair.as_ref().map(|line| format!(" (by hand: {line})")).unwrap_or_default();
        Some(format!(
            "an apply of {since} was interrupted in phase {phase}; repair it with: linux-patch apply{by_hand}"
        ))
    }

    /// The pending updates: security updates first, of these the oldest.
    fn listed_updates(&self) -> Vec<&Update> {
        let mut updates: Vec<_> = self.pending().map(Pending::packages).unwrap_or_default().iter().collect();
        updates.sort_by(|one, other| one.in_order(other));
        updates
    }

    /// ` (security, important, known for 3 d)`: what is known of an update apart from its versions.
    fn marks(&self, update: &Update) -> String {
        let since = update.told.since(update.security);
        let age = since.map(|first| self.now.seconds_since(first)).filter(|age| *age >= 60);
        let security = (update.security == Some(true)).then(|| "security".to_string());
        let marks = security.into_iter().chain(update.told.severity.clone());
        let marks: Vec<_> = marks.chain(age.map(|age| format!("known for {}", span(age)))).collect();
        if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) }
    }

    /// That a reboot did not come.
    fn missed_words(&self) -> Option<String> {
        let at = self.health.reboot_missed?;
        Some(format!("the reboot that was to come at {at} did not come"))
    }

    /// What still runs replaced code, and what makes it run the new code, in one line.
    fn services_words(&self) -> Option<String> {
        const MOST: usize = 20;
        let services = self.health.outdated_services.as_deref().filter(|services| !services.is_empty())?;
        let mut units: Vec<_> = services.iter().map(|service| service.unit.as_str()).collect();
        // For a login, or a user's own services, only the end of the session helps.
        let is_restarted = |unit: &&str| unit.ends_with(".service") && !unit.starts_with("user@");
        let restarted: Vec<_> = units.iter().copied().filter(is_restarted).take(MOST).collect();
        let verb = if units.len() == 1 { "runs" } else { "run" };
        let count = counted(units.len(), "service");
        let more = units.len().saturating_sub(MOST);
        units.truncate(MOST);
        let mut words = format!("{count} still {verb} replaced code: {}", units.join(", "));
        if more > 0 {
            words += &format!(" and {more} more");
        }
        if !restarted.is_empty() {
            words += &format!("; systemctl restart {}", restarted.join(" "));
        }
        Some(words)
    }

    /// How many sources the last attempt did not refresh.
    fn failed_sources(&self) -> usize {
        self.sources().iter().filter(|source| source.error.is_some()).count()
    }
}
