//! The refresh: its runs within the budget, and what is remembered of it.

use super::published::{OfSources, note_published};
use super::{Purpose, Session};
use crate::managers::{ConfigFile, by_name};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::store::state::{Attempt, BootMoment, State};
use crate::system::files::{entries, files_of, fingerprint};
use crate::system::process::{End, Finished, Invocation, Limits};
use crate::system::time::{Time, seconds_since_boot};
use crate::system::{boot, signals};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How things were when a refresh began. A change while the manager reads counts as a change after it.
struct Before {
    started_at: Time,
    started: Instant,
    source_places: Vec<String>,
    source_config: String,
    database: String,
    /// Whether the files of the index may have been changed by somebody else.
    is_unchecked: bool,
}

/// The runs of one refresh.
pub(super) struct Runs {
    /// How they ended. Their output is read as one.
    pub(super) run: Result<Finished, Failure>,
    /// The last of the commands.
    pub(super) invocation: Invocation,
    /// What became of the sources that the last one left out.
    pub(super) stopped: Vec<SourceResult>,
    /// All that the last one asked, where it left some out because they had been asked before.
    pub(super) behind: Vec<String>,
}

impl Runs {
    /// Takes the place of the last run, without these sources.
    fn again_without(&mut self, stopped: Vec<SourceResult>, invocation: Invocation) {
        (self.stopped, self.invocation) = (stopped, invocation);
    }
}

/// What became of a refresh.
struct Verdict {
    refreshed: Refreshed,
    exit_code: Option<i32>,
    /// What is pending, where the refresh lists that too.
    listed: Option<Listing>,
    published: OfSources,
    /// Whether a signal stopped it: then it says nothing of the sources.
    was_stopped: bool,
    /// Whether it failed because none is configured.
    has_no_source: bool,
}

impl Session {
    /// Refreshes the index and remembers what became of it, then counts what is pending and looks whether a reboot is
    /// required. `deadline` and `budget` limit the run.
    pub fn refresh(&mut self, state: &mut State, budget: Duration, deadline: Option<Instant>) -> Refreshed {
        let before = self.note_before(state, deadline);
        let config_changed = state.source_config.as_ref() != Some(&before.source_config);
        // The sources of another manager are none of this one.
        let is_of_another = state.of_another(self.manager.facts().name).is_some();
        let known = match is_of_another {
            true => Cow::Owned(State { sources: Vec::new(), ..state.clone() }),
            false => Cow::Borrowed(&*state),
        };
        let runs = self.run_refresh(&known, budget, config_changed);
        let verdict = self.judge_runs(runs, &known, &before);
        let Verdict { refreshed, exit_code, listed, published, was_stopped, has_no_source } = verdict;
        if was_stopped && is_of_another {
            return refreshed;
        }
        if was_stopped {
            state.manager.get_or_insert_with(|| self.manager.facts().name.to_string());
            state.record_stopped(&refreshed, Time::now());
            return refreshed;
        }
        if has_no_source {
            // Otherwise those that there were would be told as failed ones.
            state.sources.clear();
        }
        let failed_before = state.not_refreshed();
        let listed = listed.map(|listing| (listing, before.database.clone()));
        self.remember(&refreshed, exit_code, before, state);
        note_published(&published, state);
        self.note_advisories(state, &published);
        let basis = |state: &State| state.pending.as_ref().and_then(|pending| pending.basis.clone());
        let counted_before = basis(state);
        if refreshed.outcome != RefreshOutcome::Failed {
            // Now updates of other sources count, though their index has not changed.
            let others = failed_before != state.not_refreshed();
            self.count_listed(state, refreshed.changed || self.purpose == Purpose::Apply || others, listed);
            if self.purpose == Purpose::Refresh {
                self.look_why_not_counted(state);
            }
        }
        self.note_reboot_required(state);
        let is_counted_anew = basis(state) != counted_before;
        let is_asked_anew = is_counted_anew || self.purpose == Purpose::Apply;
        self.note_caveats(state, &published, is_asked_anew);
        self.note_not_offered(state, is_counted_anew);
        refreshed
    }

    fn note_before(&mut self, state: &State, deadline: Option<Instant>) -> Before {
        let (started_at, started) = (Time::now(), Instant::now());
        self.deadline = deadline;
        let source_places = self.elsewhere().sources.clone();
        let source_config = fingerprint(&self.manager.facts().source_places(&source_places));
        let is_unchecked = self.is_changed_since_count(state);
        let database = self.database_now();
        Before { started_at, started, source_config, database, source_places, is_unchecked }
    }

    /// Runs the command, and what has to follow if it stopped at a source.
    fn run_refresh(&mut self, state: &State, budget: Duration, config_changed: bool) -> Runs {
        const LABEL: &str = "refreshing the package index";
        let until = Instant::now() + budget;
        let end = self.deadline.map_or(until, |deadline| deadline.min(until));
        let left = || end.saturating_duration_since(Instant::now());
        let invocation = self.with_limits(self.manager.refresh(budget));
        let share = if self.sources_alone(&invocation).is_empty() { budget } else { budget * 3 / 5 };
        // A single source gets all the time.
        let is_alone = self.asks_only_one().unwrap_or(state.sources.len() == 1);
        let manager = self.manager;
        let of_left = |left| if is_alone { left } else { manager.share(left) };
        let mut limits = Limits {
            deadline: self.deadline,
            budget: Some(share.min(of_left(budget))),
            interruptible: true,
            gently: manager.ended_early().is_some(),
            ..Limits::default()
        };
        self.note_start();
        self.tell_asked();
        self.drop_stamps_of_the_future();
        let ready = self.is_unhindered(false).and_then(|()| self.prepare_own_index(config_changed));
        let run = ready.and_then(|()| self.run(LABEL, &invocation, &limits));
        let mut runs = Runs { run, invocation, stopped: Vec::new(), behind: Vec::new() };
        if runs.run.as_ref().is_ok_and(|finished| finished.end == End::TimedOut) {
            let sources = self.sources_alone(&runs.invocation);
            if let Some((others, slow)) = self.try_alone(&runs.invocation, sources, end) {
                runs.again_without(slow, others);
                limits.deadline = Some(end);
                runs.run = self.run(LABEL, &runs.invocation, &limits);
            }
        }
        while let Ok(finished) = &runs.run {
            if left().is_zero() && !matches!(finished.end, End::Code(_)) {
                break;
            }
            let next = manager.refresh_others(&runs.invocation, finished, &|| self.source_files());
            let Some(next) = next.filter(|next| *next != runs.invocation) else { break };
            limits.deadline = self.deadline.or(Some(until));
            limits.budget = Some(of_left(left()));
            let before = finished.clone();
            runs.run = self.run(LABEL, &next, &limits).map(|finished| before.followed_by(finished));
            runs.invocation = next;
        }
        self.go_on_behind_slow(LABEL, &mut runs, end);
        if let (Ok(finished), true) = (&runs.run, runs.stopped.is_empty()) {
            let before = finished.clone();
            if let Some((others, unnamed)) = self.find_the_unnamed(&runs.invocation, &before, end) {
                runs.again_without(unnamed, others);
                limits.deadline = Some(end);
                limits.budget = Some(left());
                let run = self.run(LABEL, &runs.invocation, &limits);
                runs.run = run.map(|finished| before.followed_by(finished));
            }
        }
        runs
    }

    /// Tells a terminal who is asked.
    fn tell_asked(&self) {
        if !self.display.borrow().has_bar() {
            return;
        }
        let files = self.manager.configured().map(|list| (list, self.source_files()));
        let hosts = files.iter().flat_map(|(list, files)| {
            files.iter().flat_map(|file| list.hosts(&String::from_utf8_lossy(&file.bytes)))
        });
        let sources = match &self.own_index {
            Some(own) => own.sources(self),
            None => self.configuration().map(|text| self.manager.sources_in(text)).unwrap_or_default(),
        };
        self.display.borrow_mut().waits_for(hosts.collect(), sources);
    }

    /// The verdict, which nothing changes later: by what the runs printed, by the configuration of the sources, and by
    /// what their indexes say of themselves.
    fn judge_runs(&mut self, runs: Runs, state: &State, before: &Before) -> Verdict {
        let (mut refreshed, exit_code, mut listed) = self.judge_output(runs, state);
        let is_interrupted =
            refreshed.error.as_ref().is_some_and(|failure| failure.class == Class::Interrupted);
        let was_stopped = is_interrupted && signals::received().is_some();
        let mut published = OfSources::new();
        let mut has_no_source = false;
        if !was_stopped {
            if before.is_unchecked || refreshed.outcome == RefreshOutcome::Failed {
                self.drop_mixed(&mut refreshed);
            }
            self.add_sources_of_configuration(&mut refreshed);
            refreshed = self.manager.with_files(refreshed, &|| self.source_files());
            self.find_unstored(&mut refreshed);
            if refreshed.outcome == RefreshOutcome::Failed && refreshed.sources.is_empty() {
                let named = self.manager.sources_of_files(self.source_files());
                let is_config = refreshed.error.as_ref().is_some_and(|error| error.class == Class::Config);
                has_no_source = is_config && named.as_ref().is_some_and(Vec::is_empty);
                if state.sources.is_empty() {
                    add_sources(named.unwrap_or_default(), &mut refreshed);
                }
            }
            let error = refreshed.error.clone();
            published = self.read_published(&mut refreshed, state, &before.source_config, before.started_at);
            // A list that was made from an index that went back says nothing new.
            listed = listed.filter(|_| error == refreshed.error);
        }
        Verdict { refreshed, exit_code, listed, published, was_stopped, has_no_source }
    }

    /// What the runs printed, with the exit code and the list of what is pending that they gave.
    fn judge_output(&mut self, runs: Runs, state: &State) -> (Refreshed, Option<i32>, Option<Listing>) {
        let Runs { run, invocation, stopped, behind } = runs;
        let finished = match run {
            Ok(finished) => finished,
            Err(failure) => return (Refreshed::failed(Vec::new(), failure), None, None),
        };
        let cut = self.judge_cut(&invocation, &finished, state).map(|refreshed| (refreshed, None));
        let (mut refreshed, listed) = cut.unwrap_or_else(|| self.judge(&finished, state));
        self.note_download(&finished);
        let listed = self.manager.pending_of_refresh(&finished).or(listed).filter(|_| stopped.is_empty());
        // A signal is no verdict, whatever was found before it.
        let is_interrupted = refreshed.error.as_ref().is_some_and(|error| error.class == Class::Interrupted);
        if !stopped.is_empty() && !is_interrupted {
            refreshed.sources.retain(|source| !stopped.iter().any(|slow| slow.id == source.id));
            refreshed.sources.extend(stopped);
            refreshed.judge_again();
            add_sources(behind, &mut refreshed);
        }
        (refreshed, finished.end.code(), listed)
    }

    /// Writes what a refresh did into the state.
    fn remember(&self, refreshed: &Refreshed, exit_code: Option<i32>, before: Before, state: &mut State) {
        let attempt = Attempt {
            started_at: before.started_at,
            finished_at: Time::now(),
            outcome: refreshed.outcome,
            exit_code,
            duration_ms: before.started.elapsed().as_millis() as u64,
            extra: Default::default(),
        };
        self.forget_another_manager(state);
        self.note_index(refreshed, state);
        state.manager = Some(self.manager.facts().name.to_string());
        state.source_config = Some(before.source_config);
        state.source_places = before.source_places;
        state.record_refresh(refreshed, attempt);
        if state.last_update_success {
            let (boot_id, seconds) = (boot::boot_id(), seconds_since_boot());
            state.last_cache_boot = Some(BootMoment { boot_id, seconds });
        }
    }

    /// Forgets what an earlier run found out about the index and the sources of another manager. What is pending goes
    /// on where both have one package database.
    fn forget_another_manager(&self, state: &mut State) {
        let facts = self.manager.facts();
        let Some(before) = state.of_another(facts.name) else { return };
        let is_ours = |database: &&str| facts.package_databases.contains(database);
        let shares = by_name(before).is_ok_and(|before| before.facts().package_databases.iter().any(is_ours));
        state.pending = state.pending.take().filter(|_| shares);
        (state.last_cache_update, state.last_cache_boot) = (None, None);
        state.sources.clear();
    }

    /// The files that configure the sources, in the order of their names.
    pub(super) fn source_files(&self) -> Vec<ConfigFile> {
        let places = self.elsewhere().sources.clone();
        let files = files_of(&self.manager.facts().source_places(&places)).into_iter();
        // Each directory is listed once, however many files it has.
        let mut listed: HashMap<PathBuf, HashMap<PathBuf, usize>> = HashMap::new();
        let files = files.filter_map(|(path, _)| {
            let bytes = std::fs::read(&path).ok()?;
            let in_order = listed.entry(path.parent()?.to_path_buf()).or_insert_with_key(|dir| {
                entries(dir).enumerate().map(|(at, entry)| (entry.path(), at)).collect()
            });
            let listed_at = in_order.get(&path).copied().unwrap_or_default();
            Some(ConfigFile { path, bytes, listed_at })
        });
        files.collect()
    }

    /// If a refresh failed, sources that it does not mention were not refreshed either.
    pub(super) fn add_sources_not_come_to(&self, refreshed: &mut Refreshed) {
        add_sources(self.manager.sources(self), refreshed);
    }

    /// Adds the sources that only the configuration names, where the manager could not even begin.
    fn add_sources_of_configuration(&self, refreshed: &mut Refreshed) {
        if refreshed.outcome == RefreshOutcome::Failed {
            let configuration = self.configuration();
            let ids = configuration.map(|text| self.manager.sources_in(text)).unwrap_or_default();
            add_sources(ids, refreshed);
        }
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
