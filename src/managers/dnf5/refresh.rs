//! Judging a refresh repository by repository. If dnf5 must stop at a repository that fails, it names it; if it may
//! skip it, it may say nothing. So it is told to stop, and then run again without that repository.

use super::classes::is_of_cache;
use super::commands::WITHOUT;
use super::errors::{classify, is_bar, named_repository, why_failed};
use crate::managers::rpm::errors::{known, reason_class};
use crate::managers::rpm::tables::is_repository;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::system::process::{End, Finished, Invocation};
use std::collections::BTreeMap;

/// The first line of every run that asks repositories, and the line that follows when it has all.
const BEGINS: &str = "Updating and loading repositories:";
const LOADED: &str = "Repositories loaded.";

/// The refresh of one repository alone. dnf5 does not accept a command line that both names a repository and leaves one
/// out.
pub fn alone(all: &Invocation, id: &str) -> Invocation {
    let mut invocation = all.clone();
    invocation.args.retain(|arg| !arg.starts_with(WITHOUT) && arg != "upgrade");
    invocation.with([&format!("--repo={id}"), "makecache"])
}

/// The refresh without one.
pub fn without_source(all: Invocation, id: &str) -> Invocation {
    all.with_before("upgrade", [format!("{WITHOUT}{id}")])
}

/// This refresh without the repositories that failed; `None` where it reached the end, or no repository was at
/// fault.
pub fn others(last: &Invocation, finished: &Finished) -> Option<Invocation> {
    if !matches!(finished.end, End::Code(_)) || Seen::of(finished).is_loaded {
        return None;
    }
    let failed = Seen::of(finished).failed;
    let without = failed.keys().map(|id| format!("{WITHOUT}{id}"));
    let new: Vec<_> = without.filter(|option| !last.args.contains(option)).collect();
    (!new.is_empty()).then(|| last.clone().with_before("upgrade", new))
}

/// The copies of the indexes that dnf5 could not load:
///
/// ```text
/// Failed to load primary cache for repo "base" from "/var/cache/libdnf5/base-606e5ed06e1cd10f/solv/base.solv": ...
/// ```
pub fn unreadable_copies(finished: &Finished) -> Vec<String> {
    let below_cache = |line: &str| {
        let (_, rest) = line.split_once(" from \"").filter(|_| is_of_cache(line))?;
        let mut parts = rest.split_once('"')?.0.rsplit('/');
        let name = parts.next().filter(|name| name.ends_with(".solv") || name.ends_with(".solvx"))?;
        let repository = parts.next().filter(|dir| *dir == "solv").and_then(|_| parts.next())?;
        [name, repository].iter().all(|part| is_repository(part)).then(|| format!("{repository}/solv/{name}"))
    };
    finished.stderr.lines().filter_map(below_cache).collect()
}

/// Whether a repository failed.
pub fn has_failed(finished: &Finished) -> bool {
    !Seen::of(finished).failed.is_empty()
}

/// What a refresh did. A repository was refreshed only if the run came to the line that says all are loaded.
pub fn judge(finished: &Finished) -> Refreshed {
    let mut seen = Seen::of(finished);
    if !seen.is_loaded {
        // It stopped somewhere: nobody knows what it had by then.
        seen.refreshed.clear();
    }
    let refreshed = seen.refreshed.into_iter().map(|id| (id, None));
    let mut sources: BTreeMap<String, Option<Failure>> = refreshed.collect();
    sources.extend(seen.failed.into_iter().map(|(id, failure)| (id, Some(failure))));
    let is_any_failed = sources.values().any(Option::is_some);
    let stopped = match seen.is_loaded {
        false => {
            let unnamed = || Failure::new(Class::Other, "dnf5 did not say that the repositories are loaded");
            Some(why_failed(finished).unwrap_or_else(unnamed))
        }
        // A transaction that could not be resolved says nothing against the index; anything else that stopped dnf5 may
        // be the index.
        true if !is_any_failed && !sources.is_empty() => {
            why_failed(finished).filter(|failure| failure.class != Class::Dependency)
        }
        true => None,
    };
    let mut refreshed = Refreshed::of(sources, stopped, "dnf5 named no repository that it refreshed");
    // If its list cannot be believed, pending updates are counted again.
    refreshed.changed |= !is_any_failed && classify(finished).is_some();
    refreshed
}

/// What had become of the repositories when dnf5 was ended. It stores nothing before it has every index: none was
/// refreshed then, also those that had answered. Once it has them, only the list is missing.
pub fn read_cut(finished: &Finished) -> Option<Vec<SourceResult>> {
    let Seen { is_loaded, refreshed, failed } = Seen::of(finished);
    let refreshed = refreshed.into_iter().filter(|_| is_loaded).map(|id| SourceResult { id, error: None });
    let failed = failed.into_iter().map(|(id, failure)| SourceResult { id, error: Some(failure) });
    let is_told = is_loaded || matches!(finished.end, End::Interrupted(_));
    is_told.then(|| refreshed.chain(failed).collect())
}

/// What one or more runs said of the repositories.
struct Seen {
    /// Whether the last run had all that it should have.
    is_loaded: bool,
    /// The repositories that the last run asked, without those that failed.
    refreshed: Vec<String>,
    failed: BTreeMap<String, Failure>,
}

impl Seen {
    /// Below the line of a repository stand the mirrors that failed, each with its URL, and last why none was left. If
    /// another mirror had the file, there is no such last line.
    ///
    /// ```text
    /// Updating and loading repositories:
    ///  extra                     100% |  11.7 KiB/s |  24.0   B |  00m00s
    /// >>> Status code: 404 for http://127.0.0.2/repodata/repomd.xml (IP: 127.0.0.2) - http://127.0.0.2/repodata/repomd.xml
    /// >>> Usable URL not found
    /// Failed to download metadata (baseurl: "http://127.0.0.2/") for repository "extra": Usable URL not found
    /// ```
    fn of(finished: &Finished) -> Seen {
        let mut seen = Seen { is_loaded: false, refreshed: Vec::new(), failed: BTreeMap::new() };
        let mut current: Option<&str> = None;
        let mut reasons: BTreeMap<&str, Failure> = BTreeMap::new();
        let mut last_error: Option<&str> = None;
        // What became of a key that was fetched: its bar shows its address.
        let mut of_key: Option<&str> = None;
        let mut is_key = false;
        let mut has_begun = false;
        for line in finished.stderr.lines() {
            if line == BEGINS {
                if !has_begun {
                    // Nothing was fetched yet: these are words of an action. Faults of the configuration end dnf5 there.
                    (seen.failed, reasons, has_begun) = (BTreeMap::new(), BTreeMap::new(), true);
                }
                (seen.is_loaded, current, last_error) = (false, None, None);
                seen.refreshed.clear();
            } else if line == LOADED {
                seen.is_loaded = true;
            } else if let Some(bar) = asked(line) {
                current = repository(bar);
                is_key = bar.contains("://");
                of_key = None;
                seen.refreshed.extend(current.map(str::to_owned));
            } else if let Some(words) = line.strip_prefix(">>> ") {
                of_key = Some(words).filter(|_| is_key);
                let Some(id) = current else { continue };
                let reason = Failure::new(reason_class(words), format!("{id}: {words}"));
                let cause = match reasons.remove(id) {
                    Some(before) => known(before, reason),
                    None => reason,
                };
                if !is_of_a_mirror(words) {
                    seen.fail(id, not_to_be_had(cause.clone()));
                }
                reasons.insert(id, cause);
            } else if !line.starts_with("Is this ok") {
                // ` No valid source (...) found for repository "x"` stands below a headline.
                let text = last_error.filter(|_| line.starts_with(' ')).unwrap_or_default();
                if let Some(id) = named_repository(line).filter(|id| repository(id) == Some(id)) {
                    let text = format!("{text}{line}");
                    let of_line = match of_key.filter(|_| line.starts_with("Failed to download key ")) {
                        Some(words) => key_failure(line, words),
                        None if is_of_cache(&text) => Failure::new(Class::Fetch, text),
                        None => Failure::new(reason_class(&text), text),
                    };
                    let cause =
                        reasons.get(id).cloned().map_or(of_line.clone(), |cause| known(cause, of_line));
                    let is_download = line.starts_with("Failed to download ");
                    seen.fail(id, if is_download { not_to_be_had(cause) } else { cause });
                }
                last_error = Some(line);
            }
        }
        let Seen { refreshed, failed, .. } = &mut seen;
        refreshed.retain(|id| !failed.contains_key(id));
        seen
    }

    fn fail(&mut self, id: &str, cause: Failure) {
        let cause = match self.failed.remove(id) {
            Some(before) => known(before, cause),
            None => cause,
        };
        self.failed.insert(id.to_string(), cause);
    }
}

/// A key that cannot be fetched is not an index that a later refresh could find.
fn key_failure(line: &str, words: &str) -> Failure {
    let class = match reason_class(words) {
        class @ (Class::Network | Class::Space | Class::Interrupted) => class,
        _ => Class::Auth,
    };
    let start = line.split_once(": ").map_or(line, |(start, _)| start);
    Failure::new(class, format!("{start}: {words}"))
}

/// A file that cannot be had for no known reason is a fetch error.
fn not_to_be_had(cause: Failure) -> Failure {
    if cause.class == Class::Other { Failure { class: Class::Fetch, ..cause } } else { cause }
}

/// The name in a line of progress, also behind a question that was not answered.
fn asked(line: &str) -> Option<&str> {
    let bar = line.strip_prefix("Is this ok [y/N]: ").unwrap_or(line);
    (bar.starts_with(' ') && is_bar(bar)).then(|| bar.split_whitespace().next()).flatten()
}

/// A word that can be the identifier of a repository. Keys that are downloaded have such lines too.
pub fn repository(word: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (!word.is_empty() && word.len() <= 200 && word.bytes().all(allowed)).then_some(word)
}

/// `Status code: 404 for URL (IP: ...) - URL`
fn is_of_a_mirror(words: &str) -> bool {
    words.rsplit_once(" - ").is_some_and(|(_, url)| url.contains("://") && !url.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::dnf5::Dnf5;
    use crate::managers::manager::Manager;
    use crate::model::refreshed::RefreshOutcome;
    use std::time::Duration;

    fn printed(code: i32, stderr: &str) -> Finished {
        Finished::ended(code, "", stderr)
    }

    fn bar(id: &str) -> String {
        format!(" {id}      100% | 502.4 KiB/s |   3.5 KiB |  00m00s\n")
    }

    fn ids(refreshed: &Refreshed) -> Vec<(&str, bool)> {
        refreshed.sources.iter().map(|source| (source.id.as_str(), source.error.is_none())).collect()
    }

    const GONE: &str = ">>> Status code: 404 for http://a/r.xml (IP: 127.0.0.2) - http://a/r.xml\n>>> Usable URL not found\n";

    #[test]
    fn what_dnf5_had_loaded_when_it_was_ended_was_refreshed() {
        let asked = format!("{BEGINS}\n{}{}{GONE}", bar("a"), bar("b"));
        let told = |end: End, stderr: &str| {
            let results = read_cut(&Finished { end, ..printed(1, stderr) })?;
            Some(results.into_iter().map(|result| (result.id, result.error.is_none())).collect::<Vec<_>>())
        };
        let both = vec![("a".to_string(), true), ("b".to_string(), false)];
        assert_eq!(told(End::TimedOut, &format!("{asked}{LOADED}\n")), Some(both.clone()));
        assert_eq!(told(End::Interrupted("SIGTERM"), &format!("{asked}{LOADED}\n")), Some(both.clone()));
        assert_eq!(told(End::Interrupted("SIGTERM"), &asked), Some(both[1..].to_vec()));
        assert_eq!(told(End::TimedOut, &asked), None);
        assert_eq!(told(End::TimedOut, &format!("{asked}{LOADED}\n{BEGINS}\n{}", bar("a"))), None);
    }

    #[test]
    fn the_others_are_refreshed_without_those_that_failed() {
        let first = format!(
            "{BEGINS}\n{}{GONE}{}Failed to download metadata (baseurl: \"http://a/\") for repository \"b\": x\n",
            bar("a"),
            bar("c")
        );
        let finished = printed(1, &first);
        let next = others(&Dnf5.refresh(Duration::from_secs(60)), &finished).unwrap();
        let end = "--disable-repo=a --disable-repo=b upgrade";
        assert!(next.line().ends_with(end), "{}", next.line());
        assert_eq!(others(&next, &finished), None, "nothing new failed");
        assert_eq!(judge(&finished).outcome, RefreshOutcome::Failed);
        let both = finished.followed_by(printed(1, &format!("{BEGINS}\n{}{LOADED}\n", bar("c"))));
        assert_eq!(others(&next, &both), None);
        let judged = judge(&both);
        assert_eq!(ids(&judged), [("a", false), ("b", false), ("c", true)]);
        assert_eq!(judged.outcome, RefreshOutcome::Partial);
        assert_eq!(judged.error.unwrap().class, Class::Fetch);
    }

    #[test]
    fn a_mirror_that_another_one_stands_in_for_is_no_failure() {
        let mirror =
            ">>> Curl error (7): Could not connect to server for http://a/r.xml [x] - http://a/r.xml\n";
        let judged = judge(&printed(0, &format!("{BEGINS}\n{}{mirror}{LOADED}\n", bar("a"))));
        assert_eq!((ids(&judged), judged.outcome), (vec![("a", true)], RefreshOutcome::Fresh));
    }

    /// Found by fuzzing: everything was loaded, and dnf5 still failed.
    #[test]
    fn a_run_that_failed_after_all_was_loaded_is_not_fresh() {
        let after = |words: &str| judge(&printed(1, &format!("{BEGINS}\n{}{LOADED}\n{words}\n", bar("a"))));
        let judged = after("Something nobody has seen before");
        assert_eq!(judged.outcome, RefreshOutcome::Failed);
        assert_eq!(judged.error.unwrap().message, "Something nobody has seen before");
        let unresolved = "Failed to resolve the transaction:\nNo match for argument: x";
        assert_eq!(after(unresolved).outcome, RefreshOutcome::Fresh);
        assert_eq!(after("Operation aborted by the user.").outcome, RefreshOutcome::Fresh);
    }

    #[test]
    fn a_copy_that_cannot_be_read_is_known_by_its_place_in_the_cache() {
        let copies = |path: &str| {
            let words = "Failed to load updateinfo cache for repo \"b\" from";
            unreadable_copies(&printed(1, &format!("{words} \"{path}\": x\n")))
        };
        assert_eq!(copies("/c/b-1/solv/b-updateinfo.solvx"), ["b-1/solv/b-updateinfo.solvx"]);
        for other in ["/c/b-1/solv/b.solv.LzOD4R", "/c/b-1/repodata/b.solv", "/c/b */solv/b.solv", "b.solv"] {
            assert_eq!(copies(other), [""; 0], "{other}");
        }
    }

    #[test]
    fn keys_are_no_repositories_and_an_unanswered_question_hides_none() {
        let text = format!(
            "{BEGINS}\n{}{}Importing OpenPGP key 0x7E28C160:\nIs this ok [y/N]: {}>>> Signing key not found\n{LOADED}\n",
            bar("http://a/key"),
            bar("b"),
            bar("sig")
        );
        assert_eq!(ids(&judge(&printed(0, &text))), [("b", true), ("sig", false)]);
    }

    #[test]
    fn an_option_can_not_be_slipped_in_as_a_repository() {
        let text = format!("{BEGINS}\nFailed to download metadata for repository \"a --foo\": x\n");
        assert_eq!(others(&Dnf5.refresh(Duration::ZERO), &printed(1, &text)), None);
    }
}
