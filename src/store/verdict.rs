//! Judging the index by what is remembered.

use super::state::Loaded;
use crate::model::exit_code::ExitCode;
use crate::model::outcome::RefreshOutcome;
use crate::system::time::Time;

/// The verdict on the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Fresh, stale, failed or unknown.
    pub code: ExitCode,
    /// Why, in one line without the verdict itself.
    pub reason: String,
    /// Age of the index in seconds; `None` when there was no complete refresh, or its time lies
    /// in the future.
    pub age: Option<i64>,
}

/// Judges the index by what is remembered (the contract's section 7, in its order).
pub fn judge(loaded: &Loaded, now: Time, max_age: i64, config_changed: bool) -> Verdict {
    let unknown = |reason: String| Verdict { code: ExitCode::Unknown, reason, age: None };
    let state = match loaded {
        Loaded::Good(state) => state,
        Loaded::Missing => return unknown("the index was never refreshed by linux-patch".into()),
        Loaded::Corrupt(reason) => {
            return unknown(format!("the state is corrupt: {reason}; run linux-patch refresh"));
        }
        Loaded::Unreadable(reason) => return unknown(format!("the state cannot be read: {reason}")),
        Loaded::Newer(version) => {
            return unknown(format!(
                "the state has version {version}, written by a newer linux-patch; upgrade this one"
            ));
        }
    };
    if state.latest_time().is_some_and(|time| time > now) {
        return unknown("the last refresh lies in the future: the clock was set back".into());
    }
    let age = state.last_cache_update.map(|time| now.seconds_since(time));
    let verdict = |code, reason| Verdict { code, reason, age };
    let ago = age.map_or("never".to_string(), |age| format!("{} ago", crate::system::time::span(age)));
    let error = |fallback: &str| match &state.last_update_error {
        Some(failure) => format!("{}: {}", failure.class.word(), failure.message),
        None => fallback.to_string(),
    };
    match state.last_outcome() {
        None => unknown("the index was never refreshed by linux-patch".into()),
        Some(RefreshOutcome::Failed) => verdict(
            ExitCode::Failed,
            format!("the last refresh failed ({}); last complete refresh {ago}", error("no reason recorded")),
        ),
        Some(RefreshOutcome::Partial) => {
            let failed = state.sources.iter().filter(|source| source.error.is_some()).count();
            let of = match failed {
                // Something behind them, such as a hook, did not end.
                0 => "every source was refreshed, but the refresh did not end well".to_string(),
                _ => format!("{failed} of {} sources not refreshed", state.sources.len()),
            };
            verdict(
                ExitCode::Stale,
                format!("{of} ({}); last complete refresh {ago}", error("no reason recorded")),
            )
        }
        Some(RefreshOutcome::Fresh) => match age {
            None => unknown("the state has no time of its last refresh; run linux-patch refresh".into()),
            Some(age) if age > max_age => verdict(
                ExitCode::Stale,
                format!("refreshed {ago}, more than {} allowed", crate::system::time::span(max_age)),
            ),
            Some(_) if config_changed => verdict(
                ExitCode::Stale,
                format!("the source configuration is newer than the last refresh, {ago}"),
            ),
            // Why not follows in the words on what is pending.
            Some(_) if state.pending.as_ref().is_some_and(|pending| pending.error.is_some()) => {
                verdict(ExitCode::Stale, format!("refreshed {ago}"))
            }
            Some(_) => verdict(ExitCode::Fresh, format!("refreshed {ago}")),
        },
    }
}
