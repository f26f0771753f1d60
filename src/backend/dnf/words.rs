//! Reading dnf's and rpm's error lines.

use super::listing::contradiction;
use crate::backend::librepo::{KEYS, decisive, has, is_space, known, reason_class};
use crate::outcome::{Class, Failure, cut};
use crate::process::{End, Finished};

/// A message that is longer is cut.
const MOST_TEXT: usize = 4096;
/// dnf check-update: updates are pending.
const UPDATES_PENDING: i32 = 100;
/// The first of many lines that explain why nothing can be installed.
const NO_KEY: &str = "You have enabled checking of packages via GPG keys.";
/// `exit_on_lock`: another dnf is at work.
const LOCKED: i32 = 200;

/// Why a command of dnf or rpm failed. An exit code of 0 does not mean that every scriptlet went
/// well, and 1 is also said where a simulation ended as it should.
pub fn classify(finished: &Finished) -> Option<Failure> {
    let scriptlet = || scriptlet(finished).map(|line| Failure::new(Class::Script, line));
    if let Some(line) = finished.stderr.lines().find(|line| is_database(line)) {
        return Some(Failure::new(Class::Other, line));
    }
    match finished.end {
        End::Code(0 | UPDATES_PENDING) if !super::install_began(finished) => contradiction(finished),
        End::Code(0) | End::Signal(_) => scriptlet(),
        End::Code(LOCKED) => Some(locked(finished)),
        End::Code(_) if ended_as_asked(&finished.stderr) => contradiction(finished),
        _ => match failure(finished) {
            Some(known) if known.class != Class::Other => Some(known),
            // With rpm 6 dnf exits with 1 after a failed scriptlet, and adds `Could not run transaction.`
            other => Some(scriptlet().or(other).unwrap_or_else(|| undecided(finished))),
        },
    }
}

/// `--assumeno` answers every question with no; `remove --duplicates` found none.
fn ended_as_asked(stderr: &str) -> bool {
    let mut lines = stderr.lines();
    lines.any(|line| {
        line == "Operation aborted." || line == "Error: No duplicated packages found for removal."
    })
}

/// `error: cannot open Packages database in /var/lib/rpm`: with nothing to compare with, dnf goes on as if
/// nothing were installed.
fn is_database(line: &str) -> bool {
    line.starts_with("error: cannot open Packages ") || line.ends_with("rpmdb open failed")
}

/// `metadata already locked by 3432`
fn locked(finished: &Finished) -> Failure {
    let line = finished.stderr.lines().find(|line| line.contains("already locked by"));
    Failure::new(Class::Lock, line.unwrap_or("dnf is locked by another process"))
}

/// rpm's own line, which names version and exit status, or dnf's. rpm writes
/// `warning: %post(tb-brk-2.0-1.noarch) scriptlet failed, exit status 1` where it goes on, `error:`
/// where it does not; what a script prints itself begins otherwise.
fn scriptlet(finished: &Finished) -> Option<&str> {
    let lines = || finished.stdout.lines().chain(finished.stderr.lines());
    let of_rpm = |line: &&str| {
        let rest = line.strip_prefix("warning: %").or_else(|| line.strip_prefix("error: %"));
        rest.is_some_and(|rest| rest.contains(") scriptlet failed, "))
    };
    let of_dnf = |line: &&str| {
        let rest = line.strip_prefix("Error in ");
        rest.is_some_and(|rest| rest.contains(" scriptlet in rpm package "))
    };
    lines().find(of_rpm).or_else(|| lines().find(of_dnf))
}

/// The failure that dnf's own words tell of.
fn failure(finished: &Finished) -> Option<Failure> {
    let stderr = &finished.stderr;
    let began = super::install_began(finished);
    if let Some(line) = stderr.lines().find(|line| line.contains("can't create transaction lock")) {
        return Some(Failure::new(Class::Lock, line));
    }
    if let Some(line) = stderr.lines().find(|line| is_space(line)) {
        return Some(Failure::new(Class::Space, line));
    }
    let mut lines = stderr.lines().chain(finished.stdout.lines()).skip_while(|line| !is_error(line));
    let first = lines.next()?;
    // The lines below belong to it: `Error: Transaction test error:`, `Error: ` and ` Problem: ...`.
    let more: Vec<_> = lines.by_ref().take_while(|line| line.starts_with(' ')).collect();
    let text = std::iter::once(first).chain(more).collect::<Vec<_>>().join(" ");
    // What decides stands at the beginning.
    let text = &cut(text.trim_start_matches("Error: ").trim_start_matches("RPM: error: ").into(), MOST_TEXT);
    if text.starts_with("Error downloading packages") && !began {
        return Some(download(text, finished));
    }
    let metadata = text.starts_with("Failed to download metadata for repo");
    if metadata {
        let reasons = stderr.lines().filter_map(|line| line.strip_prefix("  - "));
        let of_line = Failure::new(reason_class(text), text);
        return Some(match decisive(text, reasons) {
            Some(failure) => known(of_line, failure),
            None => of_line,
        });
    }
    let class = match class_of(text, began) {
        Class::Other if !began => reason_class(text),
        class => class,
    };
    Some(Failure::new(class, text))
}

fn is_error(line: &str) -> bool {
    let words =
        ["Error: ", "Error:", "RPM: error: ", "error: ", "[Errno ", "Config error: ", "GPG key ", NO_KEY];
    words.iter().any(|word| line.starts_with(word))
}

/// On standard error all downloads fail alike; why stands on standard output.
///
/// ```text
/// [MIRROR] tb-hello-2.0-1.noarch.rpm: Status code: 404 for http://...
/// [FAILED] tb-hello-2.0-1.noarch.rpm: No more mirrors to try - All mirrors were already tried without success
/// ```
fn download(text: &str, finished: &Finished) -> Failure {
    let reasons = finished.stdout.lines().filter_map(|line| {
        let rest = line.strip_prefix("[MIRROR] ").or_else(|| line.strip_prefix("[FAILED] "))?;
        Some(rest.split_once(": ")?.1)
    });
    let failure = decisive(text, reasons).unwrap_or_else(|| Failure::new(reason_class(text), text));
    match failure.class {
        Class::Other => Failure { class: Class::Fetch, ..failure },
        _ => failure,
    }
}

/// The class of one of dnf's error messages.
fn class_of(text: &str, began: bool) -> Class {
    const CONFIG: &[&str] = &[
        "There are no enabled repositories",
        "Unknown repo",
        "Config error",
        "Invalid config",
        "Parsing file",
        "Cannot find a valid baseurl",
    ];
    const DEPENDENCY: &[&str] = &[
        "Problem",
        "conflict",
        "Unable to find a match",
        "No match for argument",
        "No packages marked for",
        "is needed by",
        "nothing provides",
        "protected packages",
    ];
    // The cache was emptied by another dnf that ended in between; a new download fills it again.
    let cache_gone =
        (text.starts_with("[Errno 2] ") && text.contains(".rpm")) || text.contains("\"--cacheonly\"");
    if is_space(text) || text.starts_with("[Errno 28]") || text.starts_with("[Errno 30]") {
        Class::Space
    } else if cache_gone && !began {
        Class::Fetch
    } else if has(text, CONFIG) {
        Class::Config
    } else if has(text, &["terrupted", "Terminated"]) {
        Class::Interrupted
    } else if has(text, DEPENDENCY) {
        Class::Dependency
    } else if has(text, KEYS) {
        Class::Auth
    } else if has(text, &["scriptlet"]) {
        Class::Script
    } else {
        Class::Other
    }
}

/// `other`, with the last line that was printed.
fn undecided(finished: &Finished) -> Failure {
    let lines = finished.stdout.lines().chain(finished.stderr.lines());
    let last = lines.rev().find(|line| !line.trim().is_empty());
    Failure::new(Class::Other, last.unwrap_or("it failed without a word"))
}
