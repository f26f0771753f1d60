//! Judging `dnf --refresh --assumeno upgrade` repository by repository: its exit code is 1 where
//! updates are pending, and 0 where no repository answered.

use super::commands::WITHOUT;
use super::errors::{classify, is_unresolved, why_failed};
use super::lists::transaction;
use crate::managers::rpm::errors::{known, reason_class, silent_server};
use crate::managers::rpm::tables::is_repository;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::text::one_line;
use crate::system::process::{Finished, Invocation};
use std::collections::{BTreeMap, HashSet};

/// What a refresh that ended by itself did. A repository was refreshed only if dnf says that it has its metadata.
pub fn judge(finished: &Finished) -> Refreshed {
    let sources = seen(finished, &failures(finished));
    // A transaction that cannot be resolved says nothing against the index. Anything else stopped dnf before it had
    // looked at every repository: nothing is known of the others.
    let is_unresolved = is_unresolved(finished) && !sources.is_empty();
    let stopped = why_failed(finished).filter(|_| !is_unresolved);
    let mut refreshed = Refreshed::of(sources, stopped, "dnf named no repository that it refreshed");
    // A list that cannot be believed says nothing against the index either.
    refreshed.changed |= is_unresolved || classify(finished).is_some();
    refreshed
}

/// This refresh without the repository at which dnf crashed: with it dnf would never come to those behind.
pub fn others(last: &Invocation, finished: &Finished) -> Option<Invocation> {
    let run = finished.stdout.rsplit(BANNER).next().filter(|_| finished.end.is_crash())?;
    let option = format!("{WITHOUT}{}", begun(run)?);
    (!last.args.contains(&option)).then(|| last.clone().with_before("upgrade", [option]))
}

/// The copies of the indexes that dnf could not load:
///
/// ```text
/// Error: Loading repository 'base' has failed
/// ```
pub fn unreadable_copies(finished: &Finished) -> Vec<String> {
    let id = |line: &str| {
        let (_, rest) = line.split_once("Loading repository '")?;
        let id = rest.strip_suffix("' has failed").filter(|id| is_repository(id))?;
        Some([format!("{id}.solv"), format!("{id}-*.solvx")])
    };
    finished.lines().filter_map(id).flatten().collect()
}

/// The first line of a run.
const BANNER: &str = "DNF version: ";

/// The repository that a run began with and did not finish.
///
/// ```text
/// repo: downloading from remote: extra
/// ```
fn begun(run: &str) -> Option<&str> {
    let id =
        run.lines().filter_map(|line| line.strip_prefix("repo: downloading from remote: ")).next_back()?;
    let is_known = run.lines().filter_map(refreshed).any(|known| known == id);
    (!is_known).then_some(id)
}

/// What dnf did until it was ended: it takes one repository after the other.
pub fn read_cut(finished: &Finished) -> Vec<SourceResult> {
    let sources = seen(finished, &failures(finished));
    sources.into_iter().map(|(id, error)| SourceResult { id, error }).collect()
}

fn seen(finished: &Finished, failures: &[(String, Failure)]) -> BTreeMap<String, Option<Failure>> {
    let mut sources: BTreeMap<String, Option<Failure>> = BTreeMap::new();
    for id in finished.stdout.lines().filter_map(refreshed) {
        sources.insert(one_line(id), None);
    }
    for (id, failure) in failures {
        sources.insert(one_line(id), Some(failure.clone()));
    }
    sources
}

/// `base: using metadata from Sun Nov 22 02:20:45 2026.`
fn refreshed(line: &str) -> Option<&str> {
    let (id, _) = line.split_once(": using metadata from ")?;
    (!id.is_empty() && !id.contains(' ')).then_some(id)
}

/// The repositories that failed. The reason stands above the line that names the repository:
///
/// ```text
/// Errors during downloading metadata for repository 'extra':
///   - Status code: 404 for http://127.0.0.2:8080/repodata/repomd.xml (IP: 127.0.0.2)
/// Error: Failed to download metadata for repo 'extra': Cannot download repomd.xml: ...
/// Ignoring repositories: extra
/// Warning: failed loading '/etc/yum.repos.d/third.repo', skipping.
/// Bad id for repo: my repo, byte =   2
/// ```
pub fn failures(finished: &Finished) -> Vec<(String, Failure)> {
    let mut found: Vec<(String, Failure)> = Vec::new();
    let mut ignored: Vec<&str> = Vec::new();
    let mut reasons: Vec<&str> = Vec::new();
    // For those that it ignores, dnf gives all reasons in order before it names the repositories.
    let mut errors: Vec<&str> = Vec::new();
    for line in finished.stderr.lines().chain(finished.stdout.lines()) {
        errors.extend(line.strip_prefix("Error: ").filter(|_| ignored.is_empty()));
        if let Some(reason) = line.strip_prefix("  - ") {
            reasons.push(reason);
        } else if let Some(rest) = line.strip_prefix("Error: Failed to download metadata for repo '") {
            let (id, words) = rest.split_once('\'').unwrap_or((rest, ""));
            let words = words.trim_start_matches(": ");
            let causes = reasons.drain(..).chain([words]);
            let cause = causes.map(|text| Failure::new(reason_class(text), text)).reduce(known);
            let cause = cause.unwrap_or_else(|| Failure::new(Class::Fetch, line));
            found.push((id.to_string(), Failure::new(cause.class, format!("{id}: {}", cause.message))));
        } else if let Some(id) = line.strip_prefix("Error: Cannot find a valid baseurl for repo: ") {
            found.push((id.to_string(), Failure::new(Class::Config, line.trim_start_matches("Error: "))));
        } else if let Some(rest) = line.strip_prefix("Warning: failed loading '") {
            // Nobody knows which repositories that file names.
            let file = rest.split('\'').next().unwrap_or(rest);
            found.push((file.to_string(), Failure::new(Class::Config, line.trim_start_matches("Warning: "))));
        } else if let Some((id, _)) = passed_over(line) {
            found.push((id.to_string(), Failure::new(Class::Config, line)));
        } else if let Some(ids) = line.strip_prefix("Ignoring repositories: ") {
            ignored.extend(ids.split(", ").map(str::trim));
        } else if line.starts_with("Errors during downloading metadata for repository ") {
            reasons.clear();
        }
    }
    let known: HashSet<String> = found.iter().map(|(id, _)| id.clone()).collect();
    let is_told = errors.len() == ignored.len();
    for (nth, id) in ignored.into_iter().enumerate().filter(|(_, id)| !known.contains(*id)) {
        let failure = match errors.get(nth).filter(|_| is_told) {
            Some(text) => {
                let class = Some(reason_class(text)).filter(|class| *class != Class::Other);
                Failure::new(class.unwrap_or(Class::Fetch), format!("{id}: {text}"))
            }
            None => Failure::new(Class::Fetch, format!("{id}: dnf ignored it and gave no reason")),
        };
        found.push((id.to_string(), failure));
    }
    found.extend(silent_server(&finished.stderr));
    // If another run follows this one, this one crashed.
    let mut runs: Vec<_> = finished.stdout.split(BANNER).collect();
    runs.pop();
    for id in runs.into_iter().filter_map(begun) {
        let words = finished.stderr.lines().rfind(|line| line.contains("Assertion")).unwrap_or_default();
        let text = format!("{id}: dnf crashed while it fetched its index {words}");
        found.push((id.to_string(), Failure::new(Class::Other, text.trim_end())));
    }
    found
}

/// A section that dnf does not accept as a repository, and goes on without: its identifier, and why.
///
/// ```text
/// Bad id for repo: my repo, byte =   2
/// Repository 'x': Error parsing config: ...
/// ```
fn passed_over(line: &str) -> Option<(&str, &str)> {
    match line.strip_prefix("Bad id for repo: ") {
        Some(rest) => rest.rsplit_once(", byte = "),
        None => line.strip_prefix("Repository '")?.split_once("': Error parsing config: "),
    }
}

/// What is pending, as a refresh lists it. `None` where the list cannot be relied on: dnf is then asked again, and says
/// why. `None` also where a repository failed: the list is then that of the others alone.
pub fn of_refresh(finished: &Finished) -> Option<Listing> {
    let is_whole = classify(finished).is_none() && failures(finished).is_empty();
    is_whole.then(|| transaction(&finished.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copies_of_a_repository_that_could_not_be_loaded_are_known() {
        let copies = |line: &str| unreadable_copies(&Finished::ended(1, "", line));
        assert_eq!(copies("Error: Loading repository 'b' has failed\n"), ["b.solv", "b-*.solvx"]);
        assert_eq!(copies("Error: Loading repository '../b' has failed\n"), [""; 0]);
    }
}
