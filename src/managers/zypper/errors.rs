//! Reading zypper's and rpm's error lines.

use super::classes::{VAGUE, class_of};
use super::xml::{Element, elements, id_of, named};
use crate::managers::last_words;
use crate::managers::rpm::errors::is_scriptlet;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::SourceResult;
use crate::model::text::contains_any;
use crate::system::process::{End, Finished};
use std::collections::BTreeMap;

/// zypper's exit codes (zypper(8), EXIT CODES).
mod code {
    pub const NO_REPOSITORY: i32 = 6;
    pub const LOCKED: i32 = 7;
    pub const RESTART_NEEDED: i32 = 103;
    /// 0, 100 and 101 (patch-check), 102 (reboot the machine) and [`RESTART_NEEDED`].
    pub const SUCCESS: [i32; 5] = [0, 100, 101, 102, RESTART_NEEDED];
    pub const ON_SIGNAL: i32 = 105;
    pub const REPOSITORIES_SKIPPED: i32 = 106;
    pub const SCRIPT_FAILED: i32 = 107;
    pub const NOT_FOUND: i32 = 104;
}

/// Whether zypper itself was updated and asks to be run again.
pub fn asks_to_run_again(finished: &Finished) -> bool {
    finished.end == End::Code(code::RESTART_NEEDED)
}

/// Whether a report of `--xmlout` lacks its last tag.
pub fn is_cut_short(stdout: &str) -> bool {
    stdout.starts_with("<?xml ") && !stdout.contains("</stream>")
}

/// Whether zypper found no repository that is enabled.
pub fn has_no_repository(finished: &Finished) -> bool {
    finished.end == End::Code(code::NO_REPOSITORY)
}

/// Whether zypper went on without a repository.
pub fn has_skipped(finished: &Finished) -> bool {
    finished.end == End::Code(code::REPOSITORIES_SKIPPED)
}

/// Whether a search says so that it found nothing.
fn has_found_nothing(report: &str) -> bool {
    !is_cut_short(report) && named(report, "message").any(|message| message.text().trim() == NOTHING_FOUND)
}

const NOTHING_FOUND: &str = "No matching items found.";

/// Whether this says what an update would install.
fn is_plan(stdout: &str) -> bool {
    contains_any(stdout, &["<install-summary", " going to be ", "Nothing to do."])
}

/// zypper reads what we give it as a file in `/proc`. Without our settings it shows names, which are not unique.
const NO_SETTINGS: &str = "Warning: Config file '/proc/self/fd/0' does not exist.";

/// Why a command of zypper or rpm failed.
pub fn classify(finished: &Finished) -> Option<Failure> {
    let End::Code(code) = finished.end else { return None };
    if finished.stdout.starts_with(NO_SETTINGS) {
        let text =
            "zypper could not read the settings that it was given: /proc is not mounted here; mount it";
        return Some(Failure::new(Class::Config, text));
    }
    let lines = lines(finished);
    if code::SUCCESS.contains(&code) {
        if is_cut_short(&finished.stdout) {
            return Some(Failure::new(Class::Other, "zypper's report ends in the middle"));
        }
        if let Some(failure) = failed_posttrans(&finished.stdout) {
            return Some(failure);
        }
        // In new versions a download alone ends well whatever is missing. An install would not.
        let missing: Vec<_> = lines.fetched.into_values().collect();
        return cause(&missing).filter(|_| !install_began(finished));
    }
    let by_code = |class, text: &str| Failure::new(class, lines.errors.first().map_or(text, String::as_str));
    match code {
        code::LOCKED => Some(by_code(Class::Lock, "zypper is locked by another process")),
        code::NO_REPOSITORY => Some(Failure::new(Class::Config, "no repository is defined and enabled")),
        code::SCRIPT_FAILED => {
            let line = lines.of_rpm.iter().find(|line| is_scriptlet(line));
            let line = line.map_or("a script of a package failed", String::as_str);
            Some(Failure::new(Class::Script, last_words::of_scriptlet(&finished.stdout, line)))
        }
        // What can be installed is installed, and the refresh has named the repositories that failed. A plan is not
        // trusted only if it lacks a repository that was refreshed.
        code::REPOSITORIES_SKIPPED if install_began(finished) || !is_plan(&finished.stdout) => None,
        code::NOT_FOUND if has_found_nothing(&finished.stdout) => None,
        code::ON_SIGNAL => Some(Failure::new(Class::Interrupted, "zypper was stopped by a signal")),
        _ => Some(decisive(&lines, install_began(finished)).unwrap_or_else(|| undecided(finished))),
    }
}

/// How old versions report a failed script, although they exit with 0:
///
/// ```text
/// <message type="warning">tb-y-3.0-1.noarch.rpm %posttrans script failed (returned 1)</message>
/// ```
fn failed_posttrans(report: &str) -> Option<Failure> {
    let is_one =
        |text: &String| !text.contains('\n') && text.contains(".rpm %posttrans script failed (returned ");
    warnings(report).find(is_one).map(|text| Failure::new(Class::Script, text))
}

/// The texts of zypper's warnings.
fn warnings(report: &str) -> impl Iterator<Item = String> {
    let warnings = named(report, "message").filter(|message| message.is("type", "warning"));
    warnings.map(|warning| warning.text().trim().to_string())
}

/// The repositories whose index is older than it says it is valid. zypper says so, and uses them:
///
/// ```text
/// <message type="warning">Repository &apos;exp&apos; metadata expired since 2001-09-09 01:47:40 UTC.</message>
/// <message type="warning">Repository &apos;exp&apos; appears to be outdated. Consider using a different mirror or server.</message>
/// ```
pub fn expired(report: &str) -> Vec<SourceResult> {
    let read = |text: String| {
        let rest = text.strip_prefix("Repository '")?;
        let words = ["' metadata expired since ", "' appears to be outdated."];
        let (alias, _) = words.iter().find_map(|words| rest.split_once(words))?;
        let id = id_of(alias);
        let failure = Failure::new(Class::Clock, format!("{id}: {text}"));
        Some(SourceResult { id, error: Some(failure) })
    };
    warnings(report).filter_map(read).collect()
}

/// The lines of a command, sorted by who printed them.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// zypper's errors, and the problems that its solver cannot solve.
    pub(super) errors: Vec<String>,
    /// Why files could not be fetched, where a line says it: `Preloading: NAME [REASON]`.
    fetched: BTreeMap<String, String>,
    /// `error: ...` and `warning: ...`, as rpm prints them; a script can print such lines too.
    of_rpm: Vec<String>,
}

impl Lines {
    /// Takes in what rpm says, and which files could not be fetched.
    fn read(&mut self, text: &str) {
        self.of_rpm.extend(solid(text).filter(|line| is_rpms(line)));
        solid(text).for_each(|line| self.fetch(line));
    }

    /// Takes in `Preloading: tb-a-2.0-1.noarch.rpm [The requested URL returned error: 404]`. Another mirror may still
    /// have the file.
    fn fetch(&mut self, line: String) {
        let Some((file, result)) = line.strip_prefix("Preloading: ").and_then(|rest| rest.split_once(" ["))
        else {
            return;
        };
        if matches!(result, "done]" | "already in cache]") {
            self.fetched.remove(file);
        } else {
            let file = file.to_string();
            self.fetched.insert(file, line);
        }
    }
}

pub(super) fn lines(finished: &Finished) -> Lines {
    let mut lines = Lines::default();
    if finished.stdout.starts_with("<?xml ") {
        let mut in_the_way = Vec::new();
        // A package describes itself in its own words.
        let mut is_of_package = false;
        for element in elements(&finished.stdout) {
            let text = element.text();
            match element.name {
                "message" => {
                    if element.is("type", "error") {
                        lines.errors.extend(solid(&text));
                    }
                    lines.read(&text);
                }
                "fileconflict" => in_the_way.clear(),
                "file" | "name" if in_the_way.len() < 4 && !in_the_way.contains(&text) => {
                    in_the_way.push(text)
                }
                "/fileconflict" => {
                    lines.errors.push(format!("file conflict: {}", in_the_way.join(" ")));
                }
                "solvable" => is_of_package = true,
                "/solvable" | "prompt" => is_of_package = false,
                "description" if !is_of_package => lines.errors.extend(solid(&text).filter_map(problem)),
                _ => {}
            }
        }
    } else {
        lines.errors.extend(solid(&finished.stdout).filter_map(problem));
        lines.read(&finished.stdout);
    }
    lines.errors.extend(solid(&finished.stderr));
    lines.of_rpm.extend(solid(&finished.stderr).filter(|line| is_rpms(line)));
    lines
}

fn solid(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

/// What the solver cannot solve: `Problem: nothing provides x`; or `Problem: 1: Detailed information:`, and below that
/// `- nothing provides x`.
fn problem(line: String) -> Option<String> {
    let is_headline = line.trim_end().ends_with("Detailed information:");
    match line.strip_prefix("- ") {
        Some(detail) => Some(format!("Problem: {detail}")),
        None => (line.starts_with("Problem: ") && !is_headline).then_some(line),
    }
}

fn is_rpms(line: &str) -> bool {
    line.starts_with("error: ") || line.starts_with("warning: ")
}

/// The failure by zypper's own words. Once rpm is at work, an error message can hold the output of a script: then only
/// rpm's own forms count.
fn decisive(lines: &Lines, began: bool) -> Option<Failure> {
    let find = |all: &[String], is: &dyn Fn(&str) -> bool| all.iter().find(|line| is(line)).cloned();
    let is_lock = |line: &str| line.starts_with("error: can't create transaction lock");
    if let Some(line) = find(&lines.of_rpm, &is_lock) {
        return Some(Failure::new(Class::Lock, line));
    }
    if let Some(line) = find(&lines.of_rpm, &|line| line.starts_with("error: ") && is_scriptlet(line)) {
        return Some(Failure::new(Class::Script, line));
    }
    let is_full = |line: &str| {
        line.contains(" more space on the ")
            || (line.starts_with("error: ") && class_of(line) == Some(Class::Space))
    };
    if let Some(line) = find(&lines.errors, &is_full).or_else(|| find(&lines.of_rpm, &is_full)) {
        return Some(Failure::new(Class::Space, line));
    }
    // Where the macros of rpm say that packages must be signed.
    let is_unsigned = |line: &str| line.starts_with("package ") && line.contains(" does not verify: ");
    if let Some(line) = find(&lines.errors, &is_unsigned) {
        return Some(Failure::new(Class::Auth, line));
    }
    if began {
        let line = lines.of_rpm.iter().find(|line| line.starts_with("error: ")).or(lines.errors.first())?;
        return Some(Failure::new(Class::Other, line));
    }
    let told: Vec<_> = lines.errors.iter().chain(lines.fetched.values()).cloned().collect();
    cause(&told).filter(|cause| cause.class != Class::Other)
}

/// The failure in some lines of zypper's; the first line where none says more.
pub fn cause(lines: &[String]) -> Option<Failure> {
    let lines = joined(lines);
    let known = lines.iter().filter_map(|line| Some(Failure::new(class_of(line)?, line)));
    let vague = || lines.first().map(|line| Failure::new(Class::Other, line));
    known.reduce(clearer).or_else(vague)
}

/// `Error code: Connection failed` and `Error message: Could not resolve host: x` are one reason.
fn joined(lines: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in lines {
        let code = all.last_mut().filter(|last| last.starts_with("Error code: "));
        match (line.strip_prefix("Error message: "), code) {
            (Some(message), Some(code)) => *code = format!("{}: {message}", code[12..].trim()),
            _ => all.push(line.clone()),
        }
    }
    all
}

/// Of two lines about one repository, the one that says what happened: "no valid metadata" only follows from it.
fn clearer(first: Failure, other: Failure) -> Failure {
    let is_vague = |failure: &Failure| contains_any(&failure.message, VAGUE);
    if is_vague(&first) && !is_vague(&other) { other } else { first.more_decisive(other) }
}

/// What zypper says after the reason.
const CLOSING: &[&str] = &[
    "Please see the above error message",
    "Please check if the URIs defined",
    "Check if the URI is valid",
    "Problem occurred during or after installation",
    "Installation has been aborted as directed",
    "Some of the repositories have not been refreshed",
    "Some of the services have not been refreshed",
    "Executing the transaction failed because",
    "Please file a bug report about this",
    "for instructions.",
    "History:",
    "ABORT request",
];

/// `other`, with what was said last.
fn undecided(finished: &Finished) -> Failure {
    let lines = lines(finished);
    let telling = lines.errors.iter().rev().find(|line| !contains_any(line, CLOSING));
    if let Some(last) = telling.or(lines.errors.last()) {
        return Failure::new(Class::Other, last);
    }
    let step = named(&finished.stdout, "progress").last();
    let step = step.and_then(|step| step.get("name").map(|name| format!(" at {name:?}")));
    Failure::new(Class::Other, format!("zypper ended{} and gave no reason", step.unwrap_or_default()))
}

/// Whether rpm has begun to change packages. Old versions start it once for each package; if another process holds its
/// lock, the first start did nothing.
pub(super) fn install_began(finished: &Finished) -> bool {
    const STEPS: &[&str] =
        &["install-resolvable", "remove-resolvable", "cleanup-task", "execute-resolvable-script"];
    let steps: Vec<bool> = if finished.stdout.starts_with("<?xml ") {
        let is_step = |step: &Element| step.get("id").is_some_and(|id| STEPS.contains(&&*id));
        let steps = named(&finished.stdout, "progress").filter(is_step);
        steps.map(|step| step.is("done", "1")).collect()
    } else {
        let is_step = |line: &&str| {
            let label = line.strip_prefix('(').and_then(|rest| rest.split_once(") "));
            label.is_some_and(|(count, label)| {
                count.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/')
                    && ["Installing: ", "Removing: ", "Cleaning up: ", "Executing "]
                        .iter()
                        .any(|word| label.starts_with(word))
            })
        };
        finished.stdout.lines().filter(is_step).map(|line| line.ends_with("done]")).collect()
    };
    let is_locked = || {
        finished
            .lines()
            .any(|line| line.starts_with("error: can") && line.contains(" create transaction lock on "))
    };
    steps.contains(&true) || (!steps.is_empty() && !is_locked())
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
