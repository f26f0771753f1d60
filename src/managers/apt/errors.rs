//! Reading apt's and dpkg's error lines.

use super::classes::{class_of, dpkg_class, is_failed_hook, is_space};
use super::commands::HOOKS_ENDED;
use crate::managers::cut_short::NO_REASON;
use crate::managers::last_words;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::{contains_any, cut};
use crate::system::process::Finished;
use std::path::PathBuf;

/// A longer message is cut.
const MOST_TEXT: usize = 4096;

/// One `E:`, `W:` or `N:` message, its continuation lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether it is an error.
    pub is_error: bool,
    /// Whether it is a warning, not an error or a notice.
    pub is_warning: bool,
    /// Its text, without the prefix.
    pub text: String,
}

/// apt's own messages on standard error. apt 3 can write `Error:` for `E:`.
pub fn messages(stderr: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut open = false;
    for line in stderr.lines() {
        let prefixes = [
            ("E: ", true),
            ("Error: ", true),
            ("W: ", false),
            ("Warning: ", false),
            ("N: ", false),
            ("Notice: ", false),
        ];
        let found =
            prefixes.iter().find_map(|(prefix, is_error)| Some((line.strip_prefix(prefix)?, *is_error)));
        if let Some((text, is_error)) = found {
            let text = cut(text.trim_end().to_string(), MOST_TEXT);
            messages.push(Message { is_error, is_warning: line.starts_with('W'), text });
            open = true;
        } else if let Some(last) = messages.last_mut().filter(|_| open && line.starts_with("  ")) {
            // The decisive part is at the beginning.
            if last.text.len() < MOST_TEXT {
                last.text.push(' ');
                last.text.push_str(line.trim());
            }
        } else {
            open = false;
        }
    }
    messages
}

/// Why apt-get or dpkg, which ended by itself with a non-zero exit code, failed.
pub fn classify(finished: &Finished) -> Failure {
    // In an update apt starts no dpkg: what looks like words of dpkg is a hook's.
    let of_update = words_of_apt(finished).map(str::to_owned);
    if of_update.is_none() {
        if let Some(failure) = hook_failure(&finished.stderr).or_else(|| dpkg_failure(finished)) {
            return failure;
        }
    }
    // Once dpkg has begun, a maintainer script or a hook may print lines like apt's. apt's own come last, and none of
    // them is about a mirror.
    let began = install_began(finished);
    let all = || if began { last_messages(&finished.stderr) } else { finished.stderr.clone() };
    let own = of_update.unwrap_or_else(all);
    let own = messages(&own);
    let dpkg_failed = own.iter().any(is_of_dpkg);
    let errors = own.into_iter().filter(|message| message.is_error);
    let errors = errors.filter(|message| !began || !message.text.starts_with("Failed to fetch "));
    // Where dpkg died, a hook that fails behind it is not the cause.
    let errors = errors.filter(|message| !dpkg_failed || !is_of_hook(&message.text));
    let (summaries, reasons): (Vec<_>, Vec<_>) =
        errors.map(|message| message.text).partition(|text| is_summary(text));
    let failures = if reasons.is_empty() { summaries } else { reasons };
    let decisive = failures
        .into_iter()
        .map(|text| Failure::new(class_of(&text), text))
        .reduce(Failure::more_decisive)
        .unwrap_or_else(|| undecided(finished));
    // apt's child ends so where it could not change the root directory or find dpkg. dpkg itself never does.
    if decisive.message.starts_with("Sub-process /") && decisive.message.ends_with(" error code (100)") {
        let text = format!("could not start dpkg: {} ({})", last_line(finished), decisive.message);
        return Failure::new(Class::Config, text);
    }
    decisive
}

/// What apt itself printed on standard error in an update; `None` where the end of its hooks is not marked: one failed,
/// or the run was over before.
pub(super) fn words_of_apt(finished: &Finished) -> Option<&str> {
    finished.stderr.rsplit_once(HOOKS_ENDED).map(|(_, own)| own)
}

/// The hook that failed, and nothing else did. What stands before apt's words about that are the hook's own:
///
/// ```text
/// E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (dpkg)
/// E: Problem executing scripts DPkg::Pre-Invoke 'my-hook'
/// E: Sub-process returned an error code
/// ```
fn hook_failure(stderr: &str) -> Option<Failure> {
    let own = messages(&last_messages(stderr));
    let hook = own.iter().rev().find(|message| message.is_error && is_failed_hook(&message.text))?;
    if own.iter().any(is_of_dpkg) {
        return None;
    }
    let lines = stderr.lines().take_while(|line| !line.ends_with(&hook.text));
    let said = last_words::decisive(lines.filter(|line| !line.starts_with("E: Sub-process ")));
    Some(Failure::new(Class::Script, last_words::quoted(&hook.text, said)))
}

/// Whether apt says that dpkg failed: with an exit code or by a signal.
fn is_of_dpkg(message: &Message) -> bool {
    let ends = ["/dpkg returned ", "/dpkg exited unexpectedly", "/dpkg received "];
    message.text.starts_with("Sub-process /") && contains_any(&message.text, &ends)
}

/// Whether a message is about a failed hook; the second of the two names none.
fn is_of_hook(text: &str) -> bool {
    is_failed_hook(text) || text == "Sub-process returned an error code"
}

/// The messages below everything else that was printed.
fn last_messages(stderr: &str) -> String {
    let is_message = |line: &&str| line.starts_with("  ") || !messages(line).is_empty();
    let last: Vec<_> = stderr.lines().rev().take_while(is_message).collect();
    last.into_iter().rev().flat_map(|line| [line, "\n"]).collect()
}

/// The package list or the Release file that apt says it cannot read, and its words:
///
/// ```text
/// W: ... GPG error: http://HOST stable InRelease: Splitting up /var/lib/apt/lists/HOST_dists_stable_InRelease into data and signature failed
/// E: Unable to parse package file /var/lib/apt/lists/HOST_dists_stable_main_binary-amd64_Packages (1)
/// E: Problem with MergeList /var/lib/apt/lists/HOST_dists_stable_main_binary-amd64_Packages
/// ```
pub fn unreadable(finished: &Finished) -> Option<(PathBuf, String)> {
    const WORDS: &[&str] = &["Unable to parse package file ", "Problem with MergeList "];
    let own = words_of_apt(finished).unwrap_or(&finished.stderr);
    messages(own).into_iter().find_map(|Message { text, is_error, .. }| {
        let of_list = || WORDS.iter().find_map(|words| text.strip_prefix(words)).filter(|_| is_error);
        let of_release = || text.split_once(": Splitting up ").map(|(_, rest)| rest);
        let rest = of_list().or_else(of_release)?;
        let path = PathBuf::from(rest.split(' ').next()?);
        Some((path, text))
    })
}

/// Whether a message only says that something failed, and another one says why.
fn is_summary(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "Sub-process ",
        "Some files failed to download",
        "Unable to fetch some archives",
        "Failed to fetch some archives",
        "Some index files failed to download",
        "Aborting install",
        "The package lists or status file could not be parsed or opened",
        "The list of sources could not be read",
    ];
    WORDS.iter().any(|words| text.starts_with(words))
}

/// `other`, with the last line that was printed.
fn undecided(finished: &Finished) -> Failure {
    Failure::new(Class::Other, last_line(finished))
}

/// The last line that is not a summary of apt's, or the last of all.
fn last_line(finished: &Finished) -> &str {
    let is_reason =
        |line: &&str| !line.trim().is_empty() && !line.trim_start_matches("E: ").starts_with("Sub-process ");
    finished.lines().rfind(is_reason).or_else(|| finished.last_line()).unwrap_or(NO_REASON)
}

/// What dpkg itself reports. Its errors also come over apt's status descriptor, to which no script writes: if there are
/// any there, only those count.
fn dpkg_failure(finished: &Finished) -> Option<Failure> {
    let mut errors = [dpkg_errors(&finished.stdout), dpkg_errors(&finished.stderr)].concat();
    let told: Vec<_> = finished.progress.lines().filter_map(told_error).collect();
    if !told.is_empty() {
        errors.retain(|(_, reason)| told.iter().any(|(_, told)| reason.starts_with(told)));
    }
    if errors.is_empty() {
        errors = told.iter().map(|(what, why)| (format!("{what}: {why}"), why.to_string())).collect();
    }
    let failure = |(text, reason): &(String, String)| {
        let (class, text) = (dpkg_class(reason), without_links(text));
        let said = said_by_script(finished, &text, reason).filter(|_| class == Class::Script);
        Failure::new(class, last_words::quoted(&text, said))
    };
    let is_full = errors.iter().find(|(_, reason)| is_space(reason));
    // That another package is not configured only follows from the first error.
    let is_cause = |(_, reason): &&(String, String)| !reason.starts_with("dependency problems");
    is_full.or_else(|| errors.iter().find(is_cause)).or(errors.first()).map(failure)
}

/// What the script printed that dpkg says failed. On standard error it stands just before dpkg's line; on standard
/// output it stands below the line that names the package:
///
/// ```text
/// Setting up tb-brk (2.0-1) ...
/// tb-brk: post script says no
/// ```
fn said_by_script<'a>(finished: &'a Finished, text: &str, reason: &str) -> Option<&'a str> {
    let what = text.strip_prefix("package ").or_else(|| text.strip_prefix("archive ")).unwrap_or(text);
    let what = what.split([' ', ':']).next().unwrap_or_default();
    let name = what.rsplit('/').next().and_then(|file| file.split('_').next()).unwrap_or_default();
    let lines: Vec<_> = finished.stderr.split(['\n', '\r']).collect();
    let is_told = |line: &&str| line.trim() == reason;
    let before = lines.iter().position(is_told).and_then(|at| at.checked_sub(1)).unwrap_or(0);
    let is_of_dpkg = |line: &&&str| line.starts_with("dpkg: ") || line.starts_with("Errors were encountered");
    let count = lines[..before].iter().rev().take_while(|line| !is_of_dpkg(line)).count();
    const CHATTER: &[&str] = &["debconf: ", "Created symlink ", "Removed ", "update-alternatives: ", " "];
    let is_words = |line: &&str| !CHATTER.iter().any(|start| line.starts_with(start));
    let on_stderr = || last_words::decisive(lines[before - count..before].iter().copied().filter(is_words));
    let mut section: Vec<&str> = Vec::new();
    let mut is_its = false;
    for line in finished.stdout.split(['\n', '\r']) {
        if let Some(step) = step_of(line) {
            let is_it = |word: &str| word.split('_').next() == Some(name);
            let mut words = step.split([' ', ':', '/']);
            let names = words.any(|word| word == name || is_it(word) || is_it(without_number(word)));
            // dpkg names twice what it unpacks.
            if names && !is_its {
                section.clear();
            }
            is_its = names;
        } else if is_its && !line.starts_with("dpkg: ") {
            section.push(line);
        } else {
            is_its = false;
        }
    }
    let on_stdout = last_words::decisive(section.into_iter());
    // Standard error may hold a warning of another package's script; standard output does not.
    match (on_stderr(), on_stdout) {
        (Some(error), Some(said)) if error.to_lowercase().contains("warning") => Some(said),
        (Some(error), _) => Some(error),
        (None, said) => said,
    }
}

/// A text in which each package file has its own name. More than five at once apt gives dpkg as links in a directory
/// that is gone afterwards:
///
/// ```text
/// /tmp/apt-dpkg-install-Ab3dEf/03-tb-x_2.0_all.deb
/// ```
fn without_links(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let link = word
            .split_once("/apt-dpkg-install-")
            .and_then(|(dir, rest)| Some((dir, rest.split_once('/')?.1)));
        words.push(match link {
            Some((dir, file)) => {
                let quote = dir.find('/').map_or("", |at| &dir[..at]);
                format!("{quote}{}", without_number(file))
            }
            None => word.to_string(),
        });
    }
    words.join(" ")
}

/// The name of such a link without the number in front.
fn without_number(file: &str) -> &str {
    let name = file.trim_start_matches(|letter: char| letter.is_ascii_digit());
    name.strip_prefix('-').filter(|_| name.len() < file.len()).unwrap_or(file)
}

/// The package in a line with which dpkg begins something new.
fn step_of(line: &str) -> Option<&str> {
    const STEPS: &[&str] = &[
        "Setting up ",
        "Preparing to unpack ",
        "Unpacking ",
        "Removing ",
        "Purging configuration files for ",
        "Processing triggers for ",
        "Selecting previously unselected package ",
    ];
    STEPS
        .iter()
        .find_map(|step| line.strip_prefix(step))
        .filter(|rest| rest.ends_with("...") || rest.ends_with('.'))
}

/// Reads `pmerror:WHAT:PERCENT:REASON`; a package may be named with its architecture.
fn told_error(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("pmerror:")?;
    let colons = rest.match_indices(':').map(|(at, _)| at);
    let is_percent = |at: &usize| {
        let next = rest[at + 1..].split(':').next().unwrap_or_default();
        next.contains('.') && next.parse::<f64>().is_ok()
    };
    let at = colons.clone().find(is_percent)?;
    let (_, reason) = rest[at + 1..].split_once(':')?;
    Some((&rest[..at], reason.trim()))
}

/// The errors that dpkg itself prints, each with its reason, which may stand on the line below:
///
/// ```text
/// dpkg: error processing package tb-brk (--configure):
///  installed tb-brk package post-installation script subprocess returned error exit status 1
/// ```
fn dpkg_errors(output: &str) -> Vec<(String, String)> {
    let mut errors = Vec::new();
    let mut lines = output.split(['\n', '\r']).filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        if let Some(reason) = line.strip_prefix("dpkg-query: error: ") {
            let more = if reason.ends_with(':') { lines.next().unwrap_or_default() } else { "" };
            let reason = format!("{reason}{more}");
            errors.push((reason.clone(), reason));
        } else if let Some(rest) = line.strip_prefix("dpkg: error processing ") {
            let (what, mut reason) =
                (rest.trim_end_matches(':'), lines.next().unwrap_or_default().trim().to_string());
            if reason.ends_with(" you should") {
                reason = format!("{reason} {}", lines.next().unwrap_or_default().trim());
            }
            errors.push((format!("{what}: {reason}"), reason));
        } else if let Some(reason) = line.strip_prefix("dpkg: unrecoverable fatal error, aborting:") {
            let reason = format!("{} {}", reason.trim(), lines.next().unwrap_or_default().trim());
            errors.push((format!("dpkg: {}", reason.trim()), reason.trim().to_string()));
        } else if let Some(reason) = line.strip_prefix("dpkg: error: ") {
            errors.push((format!("dpkg: {reason}"), reason.to_string()));
        }
        if errors.len() >= MOST_ERRORS {
            break;
        }
    }
    errors
}

/// dpkg itself gives up after 50.
const MOST_ERRORS: usize = 1000;

/// apt writes `pmstatus:dpkg-exec:...` just before it starts dpkg.
pub(super) fn install_began(finished: &Finished) -> bool {
    finished.progress.contains("pmstatus:")
}

/// Whether a warning means that a part of the source was not refreshed.
pub fn is_loss(text: &str) -> bool {
    text.starts_with("Failed to fetch ")
        || skipped_file(text).is_some()
        || text.contains("previous index files will be used")
}

/// `Skipping acquire of configured file 'main/source/Sources' as repository 'URI SUITE InRelease' ...`
pub fn skipped_file(text: &str) -> Option<&str> {
    text.strip_prefix("Skipping acquire of configured file '")?.split_once('\'').map(|(key, _)| key)
}

/// `The method driver /usr/lib/apt/methods/tor+http could not be found.`
pub fn method_of(text: &str) -> Option<&str> {
    let path = text.strip_prefix("The method driver ")?.split(' ').next()?;
    path.rsplit('/').next()
}

/// Whether an error says that the whole index cannot be read, whatever was refreshed.
pub fn is_unusable(text: &str) -> bool {
    ["MergeList", "could not be parsed or opened", "MMap", "mmap", "package cache"]
        .iter()
        .any(|word| text.contains(word))
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
