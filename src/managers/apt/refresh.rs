//! Judging `apt-get update` source by source: its exit code is 0 with a mirror down.

use super::alike::like;
use super::classes::{HOOK_FAILED, class_of, fetch_class};
use super::errors::{Message, is_loss, is_unusable, messages, method_of, skipped_file, words_of_apt};
use super::hooks::{SUMMARY, items_of_apt, speaks_of_loss, sums_up};
use super::progress::{Item, Kind, MIRRORS, unprinted};
use super::sources::{Source, suite_of};
use super::told::{Told, named, result};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{RefreshOutcome, Refreshed};
use crate::system::process::{End, Finished};
use std::collections::{BTreeSet, HashMap, HashSet};

/// `http://HOST/dists/stable/InRelease: The key(s) in the keyring /etc/apt/trusted.gpg.d/x.gpg are ignored as the file
/// is not readable by user '_apt' executing apt-key.`
const UNUSED_KEYS: &str = ": The key(s) in the keyring ";

/// Nobody needs more complaints than that.
const MOST_MESSAGES: usize = 10_000;

/// What an `apt-get update` that ended by itself did, where apt cannot be asked for its sources: only those that it
/// named are known.
pub fn judge(finished: &Finished) -> Refreshed {
    judge_sources(finished, Vec::new())
}

/// What such a run did, with the sources that apt says are configured.
pub fn judge_configured(finished: &Finished, answer: &str) -> Refreshed {
    judge_sources(finished, super::sources::parse(answer))
}

fn judge_sources(finished: &Finished, configured: Vec<Source>) -> Refreshed {
    let own = words_of_apt(finished);
    let items = items_of_apt(finished, own, &configured);
    let changed = items.iter().any(|item| item.arrived && item.last != Kind::Hit);
    let sources = if configured.is_empty() { named_by(&items) } else { configured };
    let mut report = Reader::new(&sources, &items);
    let mut messages = messages(own.unwrap_or(&finished.stderr));
    messages.truncate(MOST_MESSAGES);
    if own.is_some() && sums_up(&messages) {
        // A missing component is told of a source that is there.
        let is_whole = |message: &&Message| speaks_of_loss(message) && skipped_file(&message.text).is_none();
        let losses = messages.iter().filter(is_whole);
        report.lost_by_name = losses.flat_map(|loss| report.spoken_of(&loss.text)).collect();
    }
    report.read_items();
    // A lock stops apt before its first line of progress.
    messages.retain(|message| items.is_empty() || class_of(&message.text) != Class::Lock);
    for message in &messages {
        report.read_message(message);
    }
    report.conclude(finished, changed)
}

/// The sources that progress lines name.
fn named_by(items: &[Item]) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    let mut by_uri: HashMap<&str, Vec<usize>> = HashMap::new();
    for item in items {
        // The last one: before it there may be other mirrors of a list.
        let Some(&(uri, place)) = item.names.last().filter(|_| item.what != MIRRORS) else { continue };
        let of_uri = by_uri.entry(uri).or_default();
        let known = of_uri.iter().any(|&at| is_of_suite(&sources[at].suite, place, item.is_release()));
        if !known {
            let suite = match suite_of(place) {
                place if item.is_release() || place.ends_with('/') => place,
                place => place.rsplit_once('/').map_or(place, |(suite, _)| suite),
            };
            of_uri.push(sources.len());
            sources.push(Source { uri: uri.to_string(), suite: suite.to_string(), targets: Vec::new() });
        }
    }
    sources
}

/// Whether a place such as `stable/main` is of this suite.
fn is_of_suite(suite: &str, place: &str, is_release: bool) -> bool {
    if suite == "/" || place.is_empty() {
        return suite == "/" && place.is_empty();
    }
    let rest = place.strip_prefix(suite);
    rest.is_some_and(|rest| {
        rest.is_empty() || (!is_release && (rest.starts_with('/') || suite.ends_with('/')))
    })
}

/// An item of a source.
pub struct Given<'a> {
    pub item: &'a Item<'a>,
    /// Whether it can be no other's: it has the source's name, or every other source of that suite has items of its own
    /// name.
    pub is_sure: bool,
}

/// The items of each source.
pub fn items_of<'a>(sources: &'a [Source], items: &'a [Item<'a>]) -> Vec<Vec<Given<'a>>> {
    let mut reader = Reader::new(sources, items);
    reader.read_items();
    let given = |at: usize| Given { item: &items[at], is_sure: !reader.unsure.contains(&at) };
    reader.told.iter().map(|told| told.items.iter().copied().map(given).collect()).collect()
}

struct Reader<'a> {
    sources: &'a [Source],
    items: &'a [Item<'a>],
    by_uri: HashMap<&'a str, Vec<usize>>,
    told: Vec<Told>,
    /// The sources that apt's errors name, where it has one for each that failed.
    lost_by_name: BTreeSet<usize>,
    /// Other names of a source's items: mirrors, and targets of redirects.
    aliases: HashMap<&'a str, BTreeSet<usize>>,
    /// The items that may be those of several sources.
    unsure: HashSet<usize>,
    /// Errors that belong to no source.
    strays: Vec<Failure>,
    /// Warnings that something was not refreshed, of no source.
    lost: Vec<Failure>,
    summed_up: Option<Failure>,
    hook: Option<Failure>,
    /// Set where the directory of the index cannot be written to.
    read_only: Option<String>,
}

impl<'a> Reader<'a> {
    fn new(sources: &'a [Source], items: &'a [Item<'a>]) -> Reader<'a> {
        let mut by_uri: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, source) in sources.iter().enumerate() {
            by_uri.entry(&source.uri).or_default().push(at);
        }
        Reader {
            sources,
            items,
            by_uri,
            told: vec![Told::default(); sources.len()],
            lost_by_name: BTreeSet::new(),
            aliases: HashMap::new(),
            unsure: HashSet::new(),
            strays: Vec::new(),
            lost: Vec::new(),
            summed_up: None,
            hook: None,
            read_only: None,
        }
    }

    /// The source with this name; of several, the one with the longest suite that fits.
    fn source_at(&self, (uri, place): (&str, &str), is_release: bool) -> Option<usize> {
        let of_uri = self.by_uri.get(uri)?.iter().copied();
        let fitting = of_uri.filter(|&at| is_of_suite(&self.sources[at].suite, place, is_release));
        fitting.max_by_key(|&at| self.sources[at].suite.len())
    }

    /// Gives each item to its source. An item that has no source's name comes from a mirror or from the target of a
    /// redirect. It belongs to a source of the same suite that no item names.
    fn read_items(&mut self) {
        let mut seen = HashSet::new();
        let mut spoken_of = HashSet::new();
        let mut others = Vec::new();
        for (number, item) in self.items.iter().enumerate().filter(|(_, item)| item.what != MIRRORS) {
            let names = item.names.iter().rev();
            let found = names.filter_map(|name| self.source_at(*name, item.is_release())).next();
            // A source has one InRelease file: another of that name came by a redirect.
            match found.filter(|&at| !item.is_release() || seen.insert((at, item.what))) {
                Some(at) => {
                    spoken_of.insert(at);
                    self.note(number, &[at]);
                }
                None => others.push(number),
            }
        }
        let silent: Vec<_> = (0..self.sources.len()).filter(|at| !spoken_of.contains(at)).collect();
        for number in others {
            let item = &self.items[number];
            let of_suite = self.of_suite(item, &silent);
            if of_suite.len() > 1 {
                self.unsure.insert(number);
            }
            let candidates = self.candidates(item, of_suite);
            if candidates.is_empty() && item.last == Kind::Failed {
                self.strays.push(self.failure_of(item));
            }
            for &(uri, _) in &item.names {
                self.aliases.entry(uri).or_default().extend(&candidates);
            }
            self.note(number, &candidates);
        }
    }

    /// The sources of an item's suite, of these.
    fn of_suite(&self, item: &Item, silent: &[usize]) -> Vec<usize> {
        let is_named = |at: &usize| {
            let suite = &self.sources[*at].suite;
            item.names.iter().any(|(_, place)| is_of_suite(suite, place, item.is_release()))
        };
        silent.iter().copied().filter(is_named).collect()
    }

    /// The silent sources of its suite that an item can belong to; all of them where it cannot be told. One that failed
    /// belongs to those that apt's errors name.
    fn candidates(&self, item: &Item, of_suite: Vec<usize>) -> Vec<usize> {
        let mut found = like(self.sources, item, of_suite);
        let is_lost = |at: &usize| self.lost_by_name.contains(at);
        if item.last == Kind::Failed && found.iter().any(is_lost) {
            found.retain(is_lost);
        }
        found
    }

    /// Gives an item to its sources, and blames them if it failed. apt prints `Err:` only for a file without which it
    /// takes nothing of a source, be it a translation: one that may be missing is ignored (`Ign:`).
    fn note(&mut self, number: usize, sources: &[usize]) {
        let item = &self.items[number];
        for &at in sources {
            self.told[at].items.push(number);
            self.told[at].arrived |= item.arrived;
            if item.last == Kind::Failed {
                let failure = self.failure_of(item);
                self.told[at].blame(failure);
            }
        }
    }

    /// Why an item failed. Where its list of mirrors could not be fetched, why that failed.
    fn failure_of(&self, item: &Item) -> Failure {
        let is_its_list = |list: &&Item| {
            let is_failed = list.what == MIRRORS && list.last == Kind::Failed;
            is_failed
                && list.names.iter().any(|(list, _)| {
                    item.names.iter().any(|(uri, _)| uri.strip_prefix("mirror+") == Some(*list))
                })
        };
        let list = self.items.iter().find(is_its_list).filter(|_| item.reason.contains("mirror file"));
        match list {
            Some(list) => {
                Failure::new(fetch_class(&list.reason), format!("{}: {}", item.reason, list.reason))
            }
            None => Failure::new(fetch_class(&item.reason), &item.reason),
        }
    }

    /// Whether a failed item has already said this. It knows better to which source it belongs: the URL in apt's
    /// message can be the target of a redirect, and so look like another source's.
    fn is_said(&self, reason: &str) -> bool {
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let reason = plain(reason);
        let mut failed = self.items.iter().filter(|item| item.last == Kind::Failed && item.what != MIRRORS);
        !reason.is_empty() && failed.any(|item| plain(&item.reason).contains(&reason))
    }

    /// The sources that a message is about: apt names one as `'URI SUITE InRelease'`, as `URI SUITE InRelease:`, by a
    /// URL of it or by the name of a file in the directory of the index.
    fn spoken_of(&self, text: &str) -> Vec<usize> {
        let mut words = text.split(' ').map(|word| word.trim_matches(['\'', ','])).peekable();
        while let Some(word) = words.next() {
            if !word.contains(":/") && !word.starts_with('/') {
                continue;
            }
            let uri = word.trim_end_matches('/');
            let suite = words.peek().copied().unwrap_or_default();
            if let Some(at) = self.source_at((uri, suite), true) {
                return vec![at];
            }
            // `Failed to fetch URL`: the source with the longest URI that has this file.
            for (end, _) in word.rmatch_indices('/') {
                let of_uri = self.by_uri.get(&word[..end]).into_iter().flatten().copied();
                let owners = of_uri.filter(|&at| self.sources[at].owns(word));
                if let Some(at) = owners.max_by_key(|&at| self.sources[at].suite.len()) {
                    return vec![at];
                }
            }
            if let Some(at) = self.owner_of_file(word) {
                return vec![at];
            }
            if let Some(sources) = self.aliases.get(uri) {
                let of_suite =
                    sources.iter().copied().filter(|&at| is_of_suite(&self.sources[at].suite, suite, true));
                return of_suite.collect();
            }
        }
        // The name of a cdrom holds spaces, and other names may.
        let is_named = |source: &Source| {
            source.uri.contains(' ')
                && (text.contains(&format!("{} {} ", source.uri, source.suite))
                    || text.contains(&format!("{}/", source.uri)))
        };
        (0..self.sources.len()).filter(|&at| is_named(&self.sources[at])).collect()
    }

    /// `/var/lib/apt/lists/partial/h_dists_stable_main_binary-amd64_Packages`
    fn owner_of_file(&self, word: &str) -> Option<usize> {
        let path = word.split_once(":/").map_or(word, |(_, path)| path);
        let name = path.rsplit('/').next().filter(|name| name.contains('_'))?;
        let prefix = |at: &usize| self.sources[*at].prefix().filter(|prefix| name.starts_with(prefix));
        let owners = (0..self.sources.len()).filter(|at| prefix(at).is_some());
        owners.max_by_key(|at| prefix(at).map(str::len))
    }

    fn read_message(&mut self, message: &Message) {
        let text = message.text.as_str();
        let failure = Failure::new(class_of(text), text);
        if let Some(at) = text.find(UNUSED_KEYS).filter(|_| message.is_warning) {
            for source in self.spoken_of(&text[..at]) {
                self.told[source]
                    .unused_keys
                    .get_or_insert_with(|| text[at..].trim_start_matches([':', ' ']).into());
            }
            return;
        }
        if text.starts_with(SUMMARY) {
            self.summed_up = Some(failure);
            return;
        }
        if text.starts_with("The list of sources could not be read") && !self.strays.is_empty() {
            let whys = self.strays.iter_mut().filter(|why| why.class == Class::Other);
            whys.for_each(|why| why.class = failure.class);
            return;
        }
        if text.starts_with(HOOK_FAILED) {
            self.hook = Some(failure);
            return;
        }
        // If apt cannot store a file, it says the same as if the file had not come.
        if message.is_warning && text.contains("Read-only file system") {
            self.read_only.get_or_insert_with(|| text.to_string());
        }
        if self.hook.is_some() && text.starts_with("Sub-process returned an error code") {
            return;
        }
        let is_loss = message.is_warning && is_loss(text);
        if !message.is_error && !is_loss {
            return;
        }
        let fetch =
            text.strip_prefix("Failed to fetch ").map(|rest| rest.split_once("  ").unwrap_or((rest, "")));
        if fetch.is_some_and(|(_, reason)| self.is_said(reason)) {
            return;
        }
        let sources = match method_of(text) {
            Some(method) => self.sources_by(method),
            None => self.spoken_of(text),
        };
        if let Some(key) = skipped_file(text) {
            for &at in &sources {
                self.told[at].skipped.push((key.to_string(), failure.clone()));
            }
        }
        // A file that could not be fetched has no signature either.
        let unsigned = text.ends_with("is not signed.") || text.ends_with("is no longer signed.");
        for &at in &sources {
            let follows = unsigned && self.told[at].error.is_some();
            // Without a reason: this is on a line of its own.
            let says_nothing = fetch.is_some_and(|(_, reason)| reason.trim().is_empty());
            if skipped_file(text).is_none() && !follows && !(says_nothing && self.told[at].error.is_some()) {
                self.told[at].blame(failure.clone());
            }
        }
        match sources.is_empty() {
            true if message.is_error => self.strays.push(failure),
            true => self.lost.push(failure),
            false => {}
        }
    }

    /// The sources that are fetched by this method, such as `tor+http`.
    fn sources_by(&self, method: &str) -> Vec<usize> {
        let is_by =
            |at: &usize| self.sources[*at].uri.split_once(':').is_some_and(|(scheme, _)| scheme == method);
        (0..self.sources.len()).filter(is_by).collect()
    }

    fn conclude(self, finished: &Finished, changed: bool) -> Refreshed {
        let mut results = Vec::new();
        let mut more = Vec::new();
        let stray = self.strays.into_iter().reduce(Failure::more_decisive);
        let silent = self.told.iter().filter(|told| told.is_silent()).count();
        let merged = finished.succeeded() && silent <= unprinted(&finished.stdout);
        for (source, mut told) in self.sources.iter().zip(self.told) {
            told.arrived |= merged && told.is_silent();
            told.explain_keys();
            let (result, files) = result(source, told, stray.as_ref());
            results.push(result);
            more.extend(files);
        }
        // Without space for its temporary files apt cannot check a signature.
        if let Some(full) = stray.as_ref().filter(|failure| failure.class == Class::Space) {
            let errors = results.iter_mut().filter_map(|source| source.error.as_mut());
            errors.filter(|error| error.class == Class::Auth).for_each(|error| *error = full.clone());
        }
        if let Some(reason) = &self.read_only {
            let errors = results.iter_mut().filter_map(|source| source.error.as_mut());
            errors.for_each(|error| *error = Failure::new(Class::Space, reason));
        }
        let all = results.len();
        let failed = results.iter().filter(|source| source.error.is_some()).count();
        // Some sources took this error as theirs, because nothing else was said about them.
        let is_theirs = |why: &Failure| results.iter().any(|source| source.error.as_ref() == Some(why));
        let is_taken = stray.as_ref().is_some_and(is_theirs);
        results.extend(more);
        let lost = self.lost.into_iter().reduce(Failure::more_decisive).or(self.summed_up);
        let decisive =
            results.iter().filter_map(named).chain(stray.clone()).reduce(Failure::more_decisive).or(lost);
        let code = match finished.end {
            End::Code(code) => code,
            _ => 1,
        };
        // If a hook fails after every source was refreshed, the index is still fresh.
        let only_a_hook = self.hook.is_some() && all > 0;
        let silent =
            || Failure::new(Class::Other, format!("apt-get update exited {code} and gave no reason"));
        let hook = self.hook.filter(|_| !only_a_hook);
        let decisive = decisive.or(hook).or_else(|| (code != 0 && !only_a_hook).then(silent));
        // Another process's lock, a source list that cannot be read and a cache without space stop the whole run,
        // whatever was printed before. An error that belongs to no source counts for all of them.
        let stops = |failure: &Failure| {
            !is_taken && (failed == 0 || matches!(failure.class, Class::Lock | Class::Config))
        };
        let stopped = stray.as_ref().is_some_and(|failure| stops(failure) || is_unusable(&failure.message));
        let outcome = match (&decisive, all) {
            (None, 0) => {
                let error = Failure::new(Class::Config, "no package source is configured");
                return Refreshed::failed(results, error);
            }
            (None, _) => RefreshOutcome::Fresh,
            (Some(_), all) if stopped || failed == all => RefreshOutcome::Failed,
            (Some(_), _) => RefreshOutcome::Partial,
        };
        Refreshed { sources: results, outcome, error: decisive, changed }
    }
}

#[cfg(test)]
#[path = "refresh_tests.rs"]
mod tests;
