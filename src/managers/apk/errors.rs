//! Reading apk's words about changes and errors.

use super::classes::{last_reason, package_class, reason_class};
use super::lists::{change, name_and_version, source_id};
use crate::managers::cut_short::undecided;
use crate::managers::last_words;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::one_line;
use crate::system::process::{End, Finished};
use std::collections::{BTreeMap, BTreeSet};

/// How apk exits when it catches SIGINT.
const ENDED_BY_SIGINT: i32 = 130;

/// Whether apk has come to the first package.
pub fn began(stdout: &str) -> bool {
    stdout.lines().any(|line| change(line).is_some())
}

/// The line that ends every change, real or simulated.
struct Verdict<'a> {
    line: &'a str,
    errors: usize,
    is_simulation: bool,
}

/// `OK: 0 MiB in 3 packages` or `2 errors; 58 KiB in 3 packages`. In our simulations, which have `-v`, it is `OK: 3
/// packages, 4 dirs, 3 files, 0 MiB`. Hooks can print lines below it.
fn verdict(stdout: &str) -> Option<Verdict<'_>> {
    stdout.lines().rev().find_map(|line| {
        let (head, rest) = line.split_once([':', ';'])?;
        let is_simulation = rest.contains(" packages, ") && rest.contains(" dirs, ");
        if !is_simulation && !rest.contains(" in ") {
            return None;
        }
        let errors = match head {
            "OK" => 0,
            _ => head.strip_suffix(" errors").or_else(|| head.strip_suffix(" error"))?.parse().ok()?,
        };
        Some(Verdict { line, errors, is_simulation })
    })
}

/// Why a command failed. The exit code is a number of errors, or 99 for other failures. It is 0 where a trigger of apk
/// 2 failed.
pub fn classify(finished: &Finished) -> Option<Failure> {
    if let Some(failure) = errors(finished) {
        return Some(failure);
    }
    match verdict(&finished.stdout) {
        // It also counts packages whose script failed long ago.
        Some(verdict) if verdict.is_simulation => None,
        Some(verdict) if verdict.errors > 0 => Some(of_packages(finished, &verdict)),
        // apk 2 counts neither triggers nor hooks.
        _ => {
            let script =
                own_errors(finished).find_map(|text| script(finished, text)).map(|(_, failure)| failure);
            script.or_else(|| (finished.end != End::Code(0)).then(|| problem(finished)))
        }
    }
}

/// What apk itself reports, without the word in front. A script of apk 2 can print such lines too; apk 3 indents the
/// lines of a script.
fn own_errors(finished: &Finished) -> impl Iterator<Item = &str> {
    finished.stderr.lines().filter_map(|line| line.strip_prefix("ERROR: "))
}

/// The failure of a run that stopped before it touched any package.
pub fn errors(finished: &Finished) -> Option<Failure> {
    let began = began(&finished.stdout);
    // apk 2.12 has no such option: some versions print their usage, others go on without it.
    let is_unknown = finished.stderr.contains("unrecognized option '--force-missing-repositories'");
    if is_unknown && !began && verdict(&finished.stdout).is_none() {
        let text = "this apk is too old to go on without a repository that was not refreshed";
        return Some(Failure::new(Class::Config, text));
    }
    own_errors(finished).find_map(|text| {
        if text.starts_with("System state may be inconsistent: ") {
            return Some(Failure::new(last_reason(text), text));
        }
        if began {
            return None;
        }
        if text.starts_with("Unable to lock database: ") {
            let busy = ["temporary error (try again later)", "Resource temporarily unavailable"];
            // It waited for the lock, and then gave up.
            let is_busy = busy.iter().chain(&["Interrupted system call"]).any(|word| text.ends_with(word));
            return Some(Failure::new(if is_busy { Class::Lock } else { last_reason(text) }, text));
        }
        if text.starts_with("Not continuing due to stale/unavailable repositories") {
            let failure = failures(&finished.stderr).into_values().reduce(Failure::more_decisive);
            return Some(match failure {
                Some(failure) => Failure::new(failure.class, format!("{text} {}", failure.message)),
                None => Failure::new(Class::Fetch, text),
            });
        }
        if text.contains("due to missing repository tags") {
            let warnings = finished.stderr.lines().filter_map(|line| line.strip_prefix("WARNING: "));
            let tag = warnings.filter(|line| line.contains("repository tag")).collect::<Vec<_>>().join("; ");
            return Some(Failure::new(Class::Config, format!("{text} {tag}")));
        }
        if text.starts_with("unable to select packages:") {
            let lines =
                finished.stderr.lines().skip_while(|line| !line.contains("unable to select packages:"));
            return Some(Failure::new(
                Class::Dependency,
                lines.collect::<Vec<_>>().join(" ").replace("ERROR: ", ""),
            ));
        }
        let is_unknown = text.starts_with("Package '") && text.ends_with("' not found");
        if is_unknown
            || text.starts_with("No such package: ")
            || text.starts_with("Unable to select packages.")
        {
            return Some(Failure::new(Class::Dependency, text));
        }
        if text.starts_with("failed to read repositories: ")
            || text.contains("' is not a valid world dependency")
        {
            return Some(Failure::new(Class::Config, text));
        }
        if text == "Unable to remount cache read/write" {
            return Some(Failure::new(Class::Space, text));
        }
        const AT_THE_START: &[&str] =
            &["Unable to ", "Failed to open apk database: ", "Failed to fix directory "];
        AT_THE_START
            .iter()
            .any(|words| text.starts_with(words))
            .then(|| Failure::new(last_reason(text), text))
    })
}

/// What went wrong with single packages, while the others were installed. A line counts only if it names a package of
/// this run, and no more packages count than apk itself counts: otherwise the output of a script of apk 2 could pass
/// for a fetch error.
fn of_packages(finished: &Finished, verdict: &Verdict) -> Failure {
    let changes = finished.stdout.lines().filter_map(change);
    let packages: BTreeSet<_> =
        changes.filter_map(|change| Some(format!("{}-{}", change.name, change.to?))).collect();
    let mut found: BTreeMap<&str, Failure> = BTreeMap::new();
    for text in own_errors(finished) {
        let of_package = || {
            let (package, reason) = text.split_once(": ")?;
            packages.contains(package).then(|| (package, Failure::new(package_class(reason), text)))
        };
        let Some((package, failure)) = script(finished, text).or_else(of_package) else { continue };
        let failure = match found.remove(package) {
            Some(before) => failure.more_decisive(before),
            None => failure,
        };
        found.insert(package, failure);
    }
    let is_believable = found.len() <= verdict.errors;
    let is_script = |failure: &&Failure| failure.class == Class::Script;
    if let Some(failure) = found.values().find(is_script).filter(|_| !is_believable) {
        return failure.clone();
    }
    match found.into_values().reduce(Failure::more_decisive) {
        Some(failure) if is_believable => failure,
        Some(failure) => Failure::new(Class::Other, format!("{}: {}", verdict.line, failure.message)),
        None if own_errors(finished).next().is_none() => Failure::new(
            Class::Script,
            format!("{}: a package whose script failed earlier; apk fix installs it again", verdict.line),
        ),
        None => problem(finished),
    }
}

/// What a script printed on standard error before the line about it; apk 3 puts `  * ` before each line.
fn said<'a>(finished: &'a Finished, text: &str) -> Option<&'a str> {
    let lines: Vec<_> = finished.stderr.lines().collect();
    let at = lines.iter().position(|line| line.strip_prefix("ERROR: ") == Some(text))?;
    let is_of_apk = |line: &&&str| line.starts_with("ERROR: ") || line.starts_with("WARNING: ");
    let said = lines[..at].iter().rev().take_while(|line| !is_of_apk(line)).count();
    last_words::decisive(lines[at - said..at].iter().map(|line| line.strip_prefix("  * ").unwrap_or(line)))
}

/// `tb-brk-2.0-r0.post-upgrade: script exited with error 1`; in apk 3 `lib/apk/exec/tb-brk-2.0-r0.post-upgrade: exited
/// with error 1`; for a commit hook, its file.
fn script<'a>(finished: &Finished, text: &'a str) -> Option<(&'a str, Failure)> {
    let (what, how) = text.split_once(": ")?;
    let is_end =
        ["script exited ", "script terminated ", "exited ", "terminated ", "killed ", "failed to execute"]
            .iter()
            .any(|word| how.starts_with(word));
    if !is_end || what.contains(' ') {
        return None;
    }
    let what = what.rsplit('/').next().unwrap_or(what);
    let package = what.rsplit_once('.').map_or(what, |(package, _)| package);
    let again = match name_and_version(package) {
        Some((name, _)) => format!("; apk fix {name} runs it again"),
        None => String::new(),
    };
    Some((package, Failure::new(Class::Script, last_words::quoted(text, said(finished, text)) + &again)))
}

/// `other`, with apk's last words.
pub fn problem(finished: &Finished) -> Failure {
    if finished.end == End::Code(ENDED_BY_SIGINT) {
        return Failure::new(Class::Interrupted, "apk was interrupted by a signal");
    }
    match own_errors(finished).last() {
        Some(error) => Failure::new(Class::Other, error),
        None => undecided(finished),
    }
}

/// The repositories that were not refreshed, and why. One counts as failed also where an old index of it was read.
pub fn failures(stderr: &str) -> BTreeMap<String, Failure> {
    let mut failures = BTreeMap::new();
    for line in stderr.lines() {
        let Some((id, failure)) = failure(line) else { continue };
        // Before this line apk 2.12.10 has said why the index is not there, unless the repository is a local one.
        if line.starts_with(IGNORING) {
            failures.entry(id).or_insert(failure);
        } else {
            failures.insert(id, failure);
        }
    }
    failures
}

/// How apk up to 2.12.10 (Alpine 3.17) begins a line about a repository whose index it cannot read.
const IGNORING: &str = "WARNING: Ignoring ";

/// The repository of such a line, and its reason. Apk 2.12.10 and older say `ERROR: http://h/main: temporary error (try
/// again later)` and `WARNING: Ignoring http://h/main: No such file or directory`; no error about a package has an
/// address before its first colon and space.
fn of_old_apk(line: &str) -> Option<(&str, &str)> {
    let ignored = line.strip_prefix(IGNORING).and_then(|rest| rest.split_once(": "));
    let failed = || line.strip_prefix("ERROR: ")?.split_once(": ").filter(|(url, _)| url.contains("://"));
    ignored.or_else(failed).filter(|(url, _)| !url.contains(' '))
}

fn failure(line: &str) -> Option<(String, Failure)> {
    const ACTIONS: &[&str] = &[
        "updating and opening ",
        "updating ",
        "opening from cache ",
        "opening ",
        "fetching ",
        "constructing url ",
    ];
    let warning = line.strip_prefix("WARNING: ");
    let of_action = || ACTIONS.iter().find_map(|action| warning?.strip_prefix(action))?.split_once(": ");
    if let Some((url, reason)) = of_action().or_else(|| of_old_apk(line)) {
        let id = source_id(url);
        let (class, hint) = match reason_class(reason) {
            // An unknown word, or a path that does not exist.
            _ if !url.contains("://") => (Class::Config, ""),
            // apk says this about an index that ends too early, and about one signed with an unknown key.
            Class::Auth => (Class::Auth, " (unknown key, or an index that was cut off)"),
            Class::Space if reason == "Operation not permitted" => {
                (Class::Space, " (apk could not write its cache; it says this where the disk is full)")
            }
            class => (class, ""),
        };
        return Some((id.clone(), Failure::new(class, format!("{id}: {reason}{hint}"))));
    }
    // `etc/apk/repositories:2: unrecogized keyword: nonsense`, of apk 3.
    let (place, rest) = warning?.split_once(": ")?;
    let (file, line) = place.rsplit_once(':')?;
    // Of a file in `repositories.d` it says only the name.
    let is_file = file.contains("repositories") || file.ends_with(".list");
    let is_place = is_file && line.bytes().all(|byte| byte.is_ascii_digit());
    (is_place && !rest.is_empty())
        .then(|| (one_line(place), Failure::new(Class::Config, format!("{place}: {rest}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::assert_classes;

    fn class(code: i32, stdout: &str, stderr: &str) -> Option<Class> {
        let finished = Finished::ended(code, stdout, stderr);
        classify(&finished).map(|failure| failure.class)
    }

    const TWO: &str = "(1/2) Upgrading a (1-r0 -> 2-r0)\n(2/2) Upgrading b (1-r0 -> 2-r0)\n";

    #[test]
    fn what_a_script_prints_is_no_error_of_a_fetch() {
        let gone = "ERROR: a-2-r0: package mentioned in index not found (try 'apk update')\n";
        let failed = "ERROR: b-2-r0.post-upgrade: script exited with error 1\n";
        let count = |errors: &str| format!("{TWO}{errors}; 0 MiB in 2 packages\n");
        assert_eq!(class(1, &count("1 error"), gone), Some(Class::Fetch));
        // Both at once: the fetch error is the one that can be mended.
        assert_eq!(class(2, &count("2 errors"), &format!("{gone}{failed}")), Some(Class::Fetch));
        // One error, two packages: one of the lines is not apk's.
        assert_eq!(class(1, &count("1 error"), &format!("{gone}{failed}")), Some(Class::Script));
        let two = format!("{gone}ERROR: b-2-r0: HTTP 404: Not Found\n");
        assert_eq!(class(1, &count("1 error"), &two), Some(Class::Other));
        assert_eq!(class(0, &format!("{TWO}OK: 0 MiB in 2 packages\n"), gone), None);
        let foreign = "ERROR: c-2-r0: HTTP 404: Not Found\nE: Failed to fetch http://h 404 Not Found\n";
        assert_eq!(class(1, &count("1 error"), &format!("{foreign}{failed}")), Some(Class::Script));
        assert_eq!(class(1, &count("1 error"), foreign), Some(Class::Other));
    }

    #[test]
    fn a_failed_trigger_counts_although_apk_says_ok() {
        let text = "ERROR: busybox-1.36-r0.trigger: script exited with error 1\n";
        assert_eq!(class(0, &format!("{TWO}OK: 0 MiB in 2 packages\n"), text), Some(Class::Script));
    }

    #[test]
    fn a_simulation_counts_old_failures_which_are_none_of_its_own() {
        assert_eq!(class(1, "1 error; 4 packages, 7 dirs, 4 files, 0 MiB\n", ""), None);
        assert_eq!(class(1, "1 error; 0 MiB in 4 packages\n", ""), Some(Class::Script));
    }

    #[test]
    fn a_line_of_a_hook_below_the_last_one_is_not_the_last_one() {
        let gone = "ERROR: a-2-r0: package mentioned in index not found (try 'apk update')\n";
        for hook in ["OK: 2 packages, all well", "OK: 2 dirs, all well", "1 error: packages, dirs"] {
            let text = format!("{TWO}1 error; 0 MiB in 2 packages\n{hook}\n");
            assert_eq!(class(1, &text, gone), Some(Class::Fetch), "{hook}");
        }
    }

    #[test]
    fn an_apk_that_goes_on_without_an_option_is_not_too_old() {
        let unknown = "apk: unrecognized option '--force-missing-repositories'\n";
        assert_eq!(class(0, "OK: 6 MiB in 14 packages\n", unknown), None);
        assert_eq!(class(1, "apk-tools 2.12.0\n", unknown), Some(Class::Config));
    }

    #[test]
    fn a_package_that_ends_too_early_is_a_failed_fetch() {
        let count = format!("{TWO}1 error; 0 MiB in 2 packages\n");
        // The words of glibc and of musl for the same error.
        for reason in ["Software caused connection abort", "Connection aborted"] {
            let extract = format!("ERROR: a-2-r0: failed to extract usr/a: {reason}\n");
            assert_eq!(class(1, &count, &extract), Some(Class::Fetch), "{reason}");
            let other = format!("ERROR: a-2-r0: {reason}\n");
            assert_eq!(class(1, &count, &other), Some(Class::Network), "{reason}");
        }
    }

    #[test]
    fn a_lock_stops_only_what_has_not_begun() {
        let held = "ERROR: Unable to lock database: Resource temporarily unavailable\n\
            ERROR: Failed to open apk database: Resource temporarily unavailable\n";
        assert_eq!(class(99, "", held), Some(Class::Lock));
        assert_eq!(class(99, TWO, held), Some(Class::Other));
        let denied = "ERROR: Unable to lock database: Permission denied\n";
        assert_eq!(class(99, "", denied), Some(Class::Other));
        let read_only = "ERROR: Unable to lock database: Read-only file system\n";
        assert_eq!(class(99, "", read_only), Some(Class::Space));
    }

    #[test]
    fn each_error_of_a_whole_run_has_its_class() {
        let table = [
            (Class::Lock, "Unable to lock database: Resource temporarily unavailable"),
            (Class::Space, "Unable to lock database: Read-only file system"),
            (Class::Space, "Unable to remount cache read/write"),
            (Class::Space, "Unable to setup the cache: Read-only file system"),
            (
                Class::Space,
                "System state may be inconsistent: failed to write database: No space left on device",
            ),
            (Class::Config, "failed to read repositories: /srv/x: No such file or directory"),
            (
                Class::Config,
                "Not committing changes due to missing repository tags. Use --force-broken-world to override.",
            ),
            (Class::Dependency, "unable to select packages:"),
            (Class::Dependency, "Package 'tb-x' not found"),
            (Class::Dependency, "No such package: tb-x"),
            (Class::Dependency, "Unable to select packages. Run apk fix."),
            (Class::Config, "'a@@b' is not a valid world dependency, format is name(@tag)([<>~=]version)"),
        ];
        let class =
            |line: &str| classify(&Finished::ended(1, "", &format!("ERROR: {line}\n"))).unwrap().class;
        assert_classes(&table, class);
    }
}
