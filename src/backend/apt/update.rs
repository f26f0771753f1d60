//! Judging `apt-get update` source by source: its exit code is 0 with a mirror down.

use super::words::{HOOK_FAILED, Message, class_of, fetch_class, messages};
use crate::outcome::{Class, Failure, RefreshOutcome, Refreshed, SourceResult, one_line};
use crate::process::{End, Finished};
use std::collections::HashMap;

/// More sources than this nobody has configured, and so many lines of complaint nobody needs. Each
/// of these is compared with each of those, which must have an end.
const MOST_SOURCES: usize = 1000;
const MOST_MESSAGES: usize = 10_000;

/// One configured source, as apt's progress lines name it.
#[derive(Debug)]
struct Source {
    uri: String,
    suite: String,
    /// Whether any of its files arrived or was found unchanged. That apt ignores one afterwards, as
    /// it does with a signature it cannot check of a source that is trusted anyway, is no failure.
    arrived: bool,
    error: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `Get:` or `Hit:`.
    Fetched,
    /// `Ign:`: optional, or tried again later under the same number.
    Ignored,
    /// `Err:`.
    Failed,
}

impl Source {
    /// Whether `url` is one of its files. A suite that ends in a slash is the path of a flat
    /// repository (sources.list(5)).
    fn owns(&self, url: &str) -> bool {
        let dists = if self.suite.ends_with('/') { "" } else { "dists/" };
        let path = url.strip_prefix(&self.uri).and_then(|path| path.strip_prefix('/'));
        let suite = self.suite.trim_end_matches('/');
        let in_suite = path.and_then(|path| path.strip_prefix(dists)?.strip_prefix(suite));
        in_suite.is_some_and(|file| suite.is_empty() || file.starts_with('/'))
    }

    fn blame(&mut self, failure: Failure) {
        self.error = Some(match self.error.take() {
            Some(first) => first.more_decisive(failure),
            None => failure,
        });
    }

    /// Its result: good only if something of it arrived and nothing went wrong.
    fn result(self) -> SourceResult {
        let silent = || Failure::new(Class::Other, "apt-get fetched nothing of it and gave no reason");
        SourceResult {
            id: source_id(&self.uri, &self.suite),
            error: self.error.or_else(|| (!self.arrived).then(silent)),
        }
    }
}

/// The name of a source in the ledger.
pub fn source_id(uri: &str, suite: &str) -> String {
    one_line(&format!("{} {suite}", uri.trim_end_matches('/')))
}

/// What an `apt-get update` that ended by itself did.
pub fn judge(finished: &Finished) -> Refreshed {
    let mut sources = Vec::new();
    read_progress(&finished.stdout, &mut sources);
    let messages = messages(&finished.stderr);
    if sources.len() > MOST_SOURCES || messages.len() > MOST_MESSAGES {
        let text = "apt-get update printed more than a report can be";
        return Refreshed::failed(Vec::new(), Failure::new(Class::Other, text));
    }
    let (mut unattributed, lost) = read_messages(messages, &mut sources);
    // A hook that fails after every source was refreshed takes nothing from the index.
    let hook = |failure: &Failure| failure.message.starts_with(HOOK_FAILED);
    let only_a_hook = unattributed.as_ref().is_some_and(hook) && !sources.is_empty();
    if only_a_hook {
        unattributed = None;
    }
    let changed = finished.stdout.lines().any(|line| line.starts_with("Get:"));
    let results: Vec<_> = sources.into_iter().map(Source::result).collect();

    let failed = results.iter().filter(|source| source.error.is_some()).count();
    // Without its source a reason like "404  Not Found" helps nobody.
    let named = |source: &SourceResult| {
        let failure = source.error.as_ref()?;
        let uri = source.id.split(' ').next().unwrap_or_default();
        let is_named = failure.message.contains(uri);
        let text = format!("{}: {}", source.id, failure.message);
        Some(if is_named { failure.clone() } else { Failure::new(failure.class, text) })
    };
    let of_sources = results.iter().filter_map(named);
    let decisive = of_sources.chain(unattributed.clone()).reduce(Failure::more_decisive).or(lost);
    let code = match finished.end {
        End::Code(code) => code,
        _ => 1,
    };
    let decisive = decisive.or_else(|| {
        (code != 0 && !only_a_hook)
            .then(|| Failure::new(Class::Other, format!("apt-get update exited {code} without a word")))
    });
    // Another process's lock and a source list that cannot be read stop the whole run, whatever
    // was printed before.
    let stopped = unattributed.is_some_and(|failure| matches!(failure.class, Class::Lock | Class::Config));
    let outcome = match (&decisive, results.len()) {
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

/// Reads lines like these; the indented ones say why:
///
/// ```text
/// Get:4 http://127.0.0.1:8080 stable/main amd64 Packages [224 B]
/// Err:2 http://127.0.0.2:8080 stable Release
///   404  X [IP: 127.0.0.2 8080]
/// ```
fn read_progress(stdout: &str, sources: &mut Vec<Source>) {
    let mut failed: Option<usize> = None;
    let mut reason = String::new();
    let mut items = HashMap::new();
    for line in stdout.split(['\n', '\r']) {
        if let Some(at) = failed {
            if let Some(detail) = line.strip_prefix("  ") {
                reason.push_str(if reason.is_empty() { "" } else { " " });
                reason.push_str(detail.trim());
                continue;
            }
            sources[at].blame(Failure::new(fetch_class(&reason), &reason));
            failed = None;
        }
        if sources.len() > MOST_SOURCES {
            return;
        }
        let Some((kind, number, item)) = progress_line(line) else {
            continue;
        };
        if sources.len() > MOST_SOURCES {
            return;
        }
        let Some((uri, suite)) = source_of(item, sources) else {
            continue;
        };
        let at = *items.entry(number).or_insert_with(|| place_of(uri, &suite, sources));
        // The same item from elsewhere: a mirror list's next mirror.
        if sources[at].uri != uri {
            sources[at].uri = uri.to_string();
        }
        sources[at].arrived |= kind == Kind::Fetched;
        if kind == Kind::Failed {
            failed = Some(at);
            reason.clear();
        }
    }
    if let Some(at) = failed {
        sources[at].blame(Failure::new(fetch_class(&reason), &reason));
    }
}

fn progress_line(line: &str) -> Option<(Kind, u32, &str)> {
    let (kind, rest) = line.split_once(':')?;
    let kind = match kind {
        "Get" | "Hit" => Kind::Fetched,
        "Ign" => Kind::Ignored,
        "Err" => Kind::Failed,
        _ => return None,
    };
    let (number, item) = rest.split_once(' ')?;
    Some((kind, number.parse().ok()?, item))
}

/// URI and suite of an item. It is `URI SUITE InRelease` or `URI SUITE/COMPONENT ARCHITECTURE
/// Packages [SIZE]`; a suite may contain slashes too, a cdrom's URI spaces, and the flat
/// repository `/` stands as nothing between two spaces. A list of mirrors is no source.
fn source_of<'a>(item: &'a str, sources: &[Source]) -> Option<(&'a str, String)> {
    let uri_end = match item.strip_prefix("cdrom:") {
        Some(_) => item.find("]/").map(|at| at + 2)?,
        None => item.find(' ')?,
    };
    let uri = item[..uri_end].trim_end_matches('/');
    let mut words = item[uri_end..].strip_prefix(' ')?.split(' ');
    let (place, what) = (words.next()?, words.next().unwrap_or_default());
    if place == "Mirrorlist" {
        return None;
    }
    let suite = match place {
        "" => "/".to_string(),
        place if what.contains("Release") => place.to_string(),
        place => suite_in(place, uri, sources).to_string(),
    };
    Some((uri, suite))
}

/// The place of a source, which is added if it is new.
fn place_of(uri: &str, suite: &str, sources: &mut Vec<Source>) -> usize {
    let found = sources.iter().position(|source| source.uri == uri && source.suite == suite);
    found.unwrap_or_else(|| {
        sources.push(Source { uri: uri.to_string(), suite: suite.to_string(), arrived: false, error: None });
        sources.len() - 1
    })
}

/// The suite in `SUITE/COMPONENT`: one that is known of this URI, else all but the last part.
fn suite_in<'a>(place: &'a str, uri: &str, sources: &'a [Source]) -> &'a str {
    let known = sources.iter().filter(|source| source.uri == uri);
    let of_known = known.map(|source| source.suite.as_str()).filter(|suite| {
        let rest = place.strip_prefix(suite);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || suite.ends_with('/'))
    });
    let guess = || place.rsplit_once('/').map_or(place, |(suite, _)| suite);
    of_known.max_by_key(|suite| suite.len()).unwrap_or_else(guess)
}

/// Gives each error or warning to the source it speaks of; returns the decisive error that belongs
/// to none, and the decisive warning that something was not refreshed, whatever it belongs to.
fn read_messages(messages: Vec<Message>, sources: &mut [Source]) -> (Option<Failure>, Option<Failure>) {
    let (mut unattributed, mut lost) = (Vec::new(), Vec::new());
    let mut summed_up = None;
    for message in messages {
        let text = message.text.as_str();
        let urls: Vec<_> = text.split_whitespace().filter(|word| word.contains(":/")).collect();
        let failure = Failure::new(class_of(text), text);
        // Only sums up the lines before it.
        if text.starts_with("Some index files failed to download") {
            summed_up = Some(failure);
            continue;
        }
        // A file that could not be fetched bears no signature either.
        let unsigned = text.ends_with("is not signed.") || text.ends_with("is no longer signed.");
        let follows = |source: &Source| unsigned && source.error.is_some();
        match sources.iter_mut().find(|source| speaks_of(text, &urls, source)) {
            Some(source) if follows(source) => {}
            Some(source) if message.is_error || (message.is_warning && is_loss(text)) => {
                source.blame(failure)
            }
            Some(_) => {}
            None if message.is_error => unattributed.push(failure),
            None if message.is_warning && is_loss(text) => lost.push(failure),
            None => {}
        }
    }
    let lost = lost.into_iter().reduce(Failure::more_decisive).or(summed_up);
    (unattributed.into_iter().reduce(Failure::more_decisive), lost)
}

/// Whether a warning means that something of the source was not refreshed.
fn is_loss(text: &str) -> bool {
    text.starts_with("Failed to fetch ")
        || text.starts_with("Skipping acquire of configured file")
        || text.contains("previous index files will be used")
}

/// apt names a source as `'URI SUITE InRelease'`, as `URI SUITE InRelease:` or by a URL of it.
fn speaks_of(text: &str, urls: &[&str], source: &Source) -> bool {
    let suite = if source.suite == "/" { "" } else { &source.suite };
    let named = format!("{} {suite} ", source.uri);
    text.contains(&named) || urls.iter().any(|url| source.owns(url.trim_matches('\'')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(code: i32, stdout: &str, stderr: &str) -> Refreshed {
        judge(&Finished::ended(code, stdout, stderr))
    }

    #[test]
    fn no_source_is_never_fresh() {
        let judged = update(0, "Reading package lists...\n", "");
        assert_eq!(judged.outcome, RefreshOutcome::Failed);
        assert_eq!(judged.error.unwrap().class, Class::Config);
    }

    #[test]
    fn an_exit_code_without_a_word_is_never_fresh() {
        let judged = update(100, "Hit:1 http://h stable InRelease\n", "");
        assert_eq!(judged.outcome, RefreshOutcome::Partial);
    }

    #[test]
    fn a_suite_with_slashes_and_a_flat_source_are_one_source_each() {
        let lines = "Hit:1 http://h/d buster/updates InRelease\nGet:2 http://h/d buster/updates/main amd64 Packages [1 B]\n\
                     Ign:3 file:/srv ./ InRelease\nGet:4 file:/srv ./ Packages\nIgn:4 file:/srv ./ Packages\n\
                     Get:4 file:/srv ./ Packages [9 B]\n";
        let judged = update(0, lines, "");
        let ids: Vec<_> = judged.sources.iter().map(|source| &*source.id).collect();
        assert_eq!(ids, ["http://h/d buster/updates", "file:/srv ./"]);
        assert_eq!(judged.outcome, RefreshOutcome::Fresh);
    }

    #[test]
    fn a_warning_of_a_loss_is_never_fresh_though_no_line_names_the_source() {
        let summary =
            "W: Some index files failed to download. They have been ignored, or old ones used instead.\n";
        let fetch = "W: Failed to fetch http://b/dists/s/InRelease  Could not connect to b:80 (1.2.3.4). - connect (111: Connection refused)\n";
        let old = "W: An error occurred during the signature verification. The repository is not updated and the previous index files will be used. GPG error: http://b s InRelease: The following signatures were invalid: BADSIG 1\n";
        for (warnings, class) in [
            (format!("{fetch}{summary}"), Class::Network),
            (fetch.to_string(), Class::Network),
            (old.to_string(), Class::Auth),
            (summary.to_string(), Class::Fetch),
        ] {
            let judged = update(0, "Hit:1 http://a s InRelease\n", &warnings);
            assert_eq!(judged.outcome, RefreshOutcome::Partial, "{warnings}");
            assert_eq!(judged.error.unwrap().class, class, "{warnings}");
            assert_eq!(update(0, "", &warnings).outcome, RefreshOutcome::Failed, "{warnings}");
        }
        let harmless = "W: http://a/dists/s/InRelease: Key is stored in legacy trusted.gpg keyring\n";
        assert_eq!(update(0, "Hit:1 http://a s InRelease\n", harmless).outcome, RefreshOutcome::Fresh);
    }

    #[test]
    fn a_source_that_was_only_ignored_was_not_refreshed() {
        let judged = update(0, "Hit:1 http://a s InRelease\nIgn:2 http://b s InRelease\n", "");
        assert_eq!(judged.outcome, RefreshOutcome::Partial);
        assert!(judged.sources[1].error.is_some());
    }

    #[test]
    fn a_missing_component_is_a_source_that_is_not_complete() {
        let warning = "W: Skipping acquire of configured file 'x/binary-amd64/Packages' as repository 'http://a s InRelease' doesn't have the component 'x' (component misspelt in sources.list?)\n";
        let judged = update(0, "Hit:1 http://a s InRelease\nHit:2 http://b s InRelease\n", warning);
        assert_eq!(judged.outcome, RefreshOutcome::Partial);
        assert_eq!(judged.sources[0].error.as_ref().unwrap().class, Class::Config);
        let notice = "N: Skipping acquire of configured file 'main/binary-i386/Packages' as repository 'http://a s InRelease' doesn't support architecture 'i386'\n";
        assert_eq!(update(0, "Hit:1 http://a s InRelease\n", notice).outcome, RefreshOutcome::Fresh);
    }

    #[test]
    fn one_suite_whose_name_begins_like_another_is_not_blamed_for_it() {
        let lines = "Hit:1 http://a s InRelease\nErr:2 http://a s-security InRelease\n  503  X\n";
        let error = "E: Failed to fetch http://a/dists/s-security/InRelease  503  X\n";
        let judged = update(100, lines, error);
        assert!(judged.sources[0].error.is_none());
        assert_eq!(judged.sources[1].error.as_ref().unwrap().class, Class::Fetch);
    }

    #[test]
    fn a_source_that_cannot_be_fetched_is_not_one_with_a_bad_signature() {
        let error = "E: Failed to fetch http://a/dists/s/InRelease  503  X\nE: The repository 'http://a s InRelease' is not signed.\n";
        let judged = update(100, "Err:1 http://a s InRelease\n  503  X\n", error);
        assert_eq!(judged.error.unwrap().class, Class::Fetch);
        let unsigned = "E: The repository 'http://a s InRelease' is not signed.\n";
        let judged = update(100, "Get:1 http://a s InRelease [1 B]\n", unsigned);
        assert_eq!(judged.error.unwrap().class, Class::Auth);
    }

    #[test]
    fn the_next_mirror_of_a_list_is_the_same_source() {
        let lines = "Get:1 file:/etc/apt/mirrors.txt Mirrorlist [40 B]\nIgn:2 http://m1 s InRelease\nGet:2 http://m2 s InRelease [9 B]\n";
        let judged = update(0, lines, "");
        assert_eq!(judged.outcome, RefreshOutcome::Fresh);
        let ids: Vec<_> = judged.sources.iter().map(|source| &*source.id).collect();
        assert_eq!(ids, ["http://m2 s"], "the one that had it");
        let down =
            "Get:1 file:/etc/apt/mirrors.txt Mirrorlist [40 B]\nErr:2 http://m1 s InRelease\n  503  X\n";
        assert_eq!(update(100, down, "").outcome, RefreshOutcome::Failed);
    }

    #[test]
    fn the_flat_repository_at_the_root_is_a_source() {
        let judged = update(0, "Hit:1 http://h/deb  InRelease\nGet:2 http://h/deb  Packages [9 B]\n", "");
        let ids: Vec<_> = judged.sources.iter().map(|source| &*source.id).collect();
        assert_eq!((judged.outcome, ids.as_slice()), (RefreshOutcome::Fresh, ["http://h/deb /"].as_slice()));
        let error = "E: Failed to fetch http://h/deb/InRelease  503  X\n";
        let judged = update(100, "Err:1 http://h/deb  InRelease\n  503  X\n", error);
        assert_eq!(judged.sources.len(), 1);
    }

    #[test]
    fn a_trusted_source_with_an_unknown_signature_arrived() {
        let judged = update(0, "Get:1 http://h s InRelease [9 B]\nIgn:1 http://h s InRelease\n", "");
        assert_eq!(judged.outcome, RefreshOutcome::Fresh);
    }

    #[test]
    fn an_index_that_apt_will_not_use_was_not_refreshed() {
        let warning = "W: Skipping acquire of configured file 'main/binary-amd64/Packages' as repository 'http://a s InRelease' provides only weak security information for it\n";
        let judged = update(0, "Hit:1 http://a s InRelease\n", warning);
        assert_eq!(judged.outcome, RefreshOutcome::Failed);
    }

    #[test]
    fn a_warning_that_costs_nothing_of_the_index_is_none_of_a_source() {
        let hit = "Hit:1 http://a s InRelease\n";
        for warning in [
            "http://a/dists/s/InRelease: Key is stored in legacy trusted.gpg keyring (/etc/apt/trusted.gpg), see the DEPRECATION section in apt-key(8) for details.",
            "http://a/dists/s/InRelease: Signature by key 0123 uses weak digest algorithm (SHA1)",
            "Conflicting distribution: http://a s InRelease (expected s but got t)",
        ] {
            let judged = update(0, hit, &format!("W: {warning}\n"));
            assert_eq!((judged.outcome, judged.error), (RefreshOutcome::Fresh, None), "{warning}");
        }
        let old = "W: An error occurred during the signature verification. The repository is not updated and the previous index files will be used. GPG error: http://a s InRelease: x\n";
        assert_eq!(update(0, hit, old).outcome, RefreshOutcome::Failed);
    }

    #[test]
    fn a_hook_that_fails_takes_nothing_from_the_index() {
        let error = "E: Problem executing scripts APT::Update::Post-Invoke 'false'\nE: Sub-process returned an error code\n";
        let judged = update(
            100,
            "Hit:1 http://a s InRelease\n",
            "E: Problem executing scripts APT::Update::Post-Invoke 'false'\n",
        );
        assert_eq!(judged.outcome, RefreshOutcome::Fresh);
        assert_eq!(update(100, "", error).outcome, RefreshOutcome::Failed);
    }

    #[test]
    fn credentials_do_not_reach_the_ledger() {
        let judged = update(0, "Hit:1 http://me:secret@h s InRelease\n", "");
        assert_eq!(judged.sources[0].id, "http://h s");
    }
}
