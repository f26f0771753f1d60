//! The refresh: its runs within the budget, and what is remembered of it.

use super::Session;
use super::published::note_published;
use crate::managers::ConfigFile;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::store::state::{Attempt, BootMoment, State};
use crate::system::files::{files_of, fingerprint};
use crate::system::process::{End, Limits};
use crate::system::time::{Time, seconds_since_boot};
use crate::system::{boot, signals};
use std::time::{Duration, Instant};

impl Session {
    /// Refreshes the index and remembers the truth of it, then counts what is pending and looks
    /// whether a reboot is required. `deadline` and `budget` bound the run.
    pub fn refresh(&mut self, state: &mut State, budget: Duration, deadline: Option<Instant>) -> Refreshed {
        let started_at = Time::now();
        let started = Instant::now();
        self.deadline = deadline;
        // Taken before: what is changed while the manager reads it counts as changed since.
        let source_places = self.elsewhere().sources.clone();
        let config = fingerprint(&self.manager.facts().source_places(&source_places));
        let config_changed = state.source_config.as_ref() != Some(&config);
        let database = fingerprint(&self.manager.facts().database_places(&self.database_elsewhere()));
        let mut invocation = self.with_limits(self.manager.refresh(budget));
        let label = "refreshing the package index";
        let gently = self.manager.ended_early().is_some();
        let share = if self.sources_alone(&invocation).is_empty() { budget } else { budget * 3 / 5 };
        let until = started + budget;
        let mut limits =
            Limits { deadline, budget: Some(share), interruptible: true, gently, ..Limits::default() };
        // One source alone has all the time.
        let is_alone = state.sources.len() == 1;
        let manager = self.manager;
        let of_left = |left| if is_alone { left } else { manager.share(left) };
        limits.budget = Some(share.min(of_left(budget)));
        self.note_start();
        let ready = self.is_unhindered(false).and_then(|()| self.prepare_own_index(config_changed));
        let mut run = ready.and_then(|()| self.run(label, &invocation, &limits));
        let mut stopped = Vec::new();
        if run.as_ref().is_ok_and(|finished| finished.end == End::TimedOut) {
            let until = deadline.map_or(until, |deadline| deadline.min(until));
            if let Some((others, failed)) = self.find_the_slow(&invocation, until) {
                (invocation, stopped) = (others, failed);
                limits.deadline = Some(until);
                run = self.run(label, &invocation, &limits);
            }
        }
        while let Ok(finished) = &run {
            let end = deadline.map_or(until, |deadline| deadline.min(until));
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() && !matches!(finished.end, End::Code(_)) {
                break;
            }
            let Some(next) = self.manager.refresh_others(&invocation, finished) else { break };
            limits.deadline = deadline.or(Some(until));
            limits.budget = Some(of_left(left));
            let before = finished.clone();
            run = self.run(label, &next, &limits).map(|finished| before.followed_by(finished));
            invocation = next;
        }
        if let (Ok(finished), true) = (&run, stopped.is_empty()) {
            let end = deadline.map_or(until, |deadline| deadline.min(until));
            let before = finished.clone();
            if let Some((others, failed)) = self.find_the_unnamed(&invocation, &before, end) {
                (invocation, stopped) = (others, failed);
                limits.deadline = Some(end);
                limits.budget = Some(end.saturating_duration_since(Instant::now()));
                run = self.run(label, &invocation, &limits).map(|finished| before.followed_by(finished));
            }
        }
        let (mut refreshed, exit_code, mut listed) = match run {
            Err(failure) => (Refreshed::failed(Vec::new(), failure), None, None),
            Ok(finished) => {
                let cut = self.judge_cut(&invocation, &finished, state).map(|refreshed| (refreshed, None));
                let (refreshed, listed) = cut.unwrap_or_else(|| self.judge(&finished, state));
                (refreshed, finished.end.code(), self.manager.pending_of_refresh(&finished).or(listed))
            }
        };
        if !stopped.is_empty() {
            refreshed.sources.retain(|source| !stopped.iter().any(|slow| slow.id == source.id));
            refreshed.sources.extend(stopped);
            refreshed.judge_again();
            listed = None;
        }
        if refreshed.error.as_ref().is_some_and(|failure| failure.class == Class::Interrupted)
            && signals::received().is_some()
        {
            state.manager.get_or_insert_with(|| self.manager.facts().name.to_string());
            state.record_stopped(&refreshed, Time::now());
            return refreshed;
        }
        self.add_sources_of_configuration(&mut refreshed);
        refreshed = self.with_files(refreshed);
        let before = refreshed.error.clone();
        let published = self.read_published(&mut refreshed, state, &config, started_at);
        // What such a list has from there is no newer.
        listed = listed.filter(|_| before == refreshed.error);
        let attempt = Attempt {
            started_at,
            finished_at: Time::now(),
            outcome: refreshed.outcome,
            exit_code,
            duration_ms: started.elapsed().as_millis() as u64,
            extra: Default::default(),
        };
        let failed_before = state.not_refreshed();
        self.note_index(&refreshed, state);
        state.manager = Some(self.manager.facts().name.to_string());
        state.source_config = Some(config);
        state.source_places = source_places;
        state.record_refresh(&refreshed, attempt);
        note_published(&published, state);
        if state.last_update_success {
            let (boot_id, seconds) = (boot::boot_id(), seconds_since_boot());
            state.last_cache_boot = Some(BootMoment { boot_id, seconds });
        }
        if refreshed.outcome != RefreshOutcome::Failed {
            // Updates of other sources count now, though their index is as it was.
            let others = failed_before != state.not_refreshed();
            self.count_listed(
                state,
                refreshed.changed || self.counts_anew || others,
                listed.map(|listing| (listing, database)),
            );
        }
        self.look_for_restart(state);
        self.note_caveats(state, &published);
        refreshed
    }

    /// The sources that a refresh which failed says nothing of were not refreshed either.
    pub(super) fn add_sources_not_come_to(&self, refreshed: &mut Refreshed) {
        add_sources(self.manager.sources(self), refreshed);
    }

    /// Nor those that only the configuration names, where the manager could not even begin.
    fn add_sources_of_configuration(&self, refreshed: &mut Refreshed) {
        if refreshed.outcome == RefreshOutcome::Failed {
            let configuration = self.configuration();
            let ids = configuration.map(|text| self.manager.sources_in(text)).unwrap_or_default();
            add_sources(ids, refreshed);
        }
    }
}

impl Session {
    /// What the manager does not say itself, but the files of its sources do.
    fn with_files(&self, refreshed: Refreshed) -> Refreshed {
        let Some(read) = self.manager.read_with_files() else { return refreshed };
        let places = self.elsewhere().sources.clone();
        let files = files_of(&self.manager.facts().source_places(&places)).into_iter();
        let files = files.filter_map(|(path, _)| {
            let bytes = std::fs::read(&path).ok()?;
            let mut listed = std::fs::read_dir(path.parent()?).into_iter().flatten().flatten();
            let listed_at = listed.position(|entry| entry.path() == path).unwrap_or_default();
            Some(ConfigFile { path, bytes, listed_at })
        });
        read(files.collect(), refreshed)
    }
}

fn add_sources(ids: Vec<String>, refreshed: &mut Refreshed) {
    if let Some(error) = refreshed.error.clone() {
        for id in ids {
            if !refreshed.sources.iter().any(|source| source.id == id) {
                let text = format!("{id}: not refreshed after this failure: {}", error.message);
                refreshed.sources.push(SourceResult { id, error: Some(Failure::new(error.class, text)) });
            }
        }
    }
}
