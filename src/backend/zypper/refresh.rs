//! Judging `zypper refresh` repository by repository.

use super::listing::repositories;
use super::words::{cause, classify, has_no_repository, has_skipped};
use super::xml::elements;
use crate::backend::Configured;
use crate::outcome::{
    Class, Failure, RefreshOutcome, Refreshed, SourceResult, is_printable, one_line, without_passwords,
};
use crate::process::{End, Finished, Invocation};
use std::collections::BTreeMap;

/// Some repositories, or all, could not be refreshed.
const SOME_FAILED: i32 = 4;

/// The repositories by alias, which zypper shows where `showAlias` is set.
type Sources = BTreeMap<String, Option<Failure>>;

/// With this zypper names repositories by their aliases, which are unique.
pub const SHOW_ALIAS: &str = "[main]\nshowAlias = yes\n";

/// What goes on after a refresh that zypper ended early: the list of the repositories, then a
/// refresh of those that it had not come to. New versions stop at a service that fails.
pub fn others(last: &Invocation, finished: &Finished) -> Option<Invocation> {
    let is_list = last.args.iter().any(|arg| arg == "repos");
    match finished.end {
        End::Code(0) if !is_list => None,
        End::Code(_) if has_no_repository(finished) => None,
        End::Code(_) if !is_list && configured(&finished.stdout).is_empty() => {
            Some(super::list_repositories())
        }
        End::Code(_) => {
            let sources = of_report(&finished.stdout);
            let left = configured(&finished.stdout).into_iter();
            let left = left.filter(|repository| !sources.contains_key(&repository.id));
            let left = left.map(|repository| repository.argument).filter(|name| !last.args.contains(name));
            let left: Vec<_> = left.collect();
            (!left.is_empty()).then(|| super::refresh(&left))
        }
        _ => None,
    }
}

/// The repositories that are enabled, where they were listed.
fn configured(report: &str) -> Vec<Configured> {
    let mut repositories = repositories(report);
    repositories.retain(|repository| repository.is_enabled);
    repositories
}

/// An alias as the state has it, and as `--repo` takes it: as it is, blanks and all.
pub fn id_of(alias: &str) -> String {
    let is_plain = alias.chars().all(is_printable) && without_passwords(alias) == alias;
    if is_plain { alias.to_string() } else { one_line(alias) }
}

/// What a refresh that ended by itself did.
pub fn judge(finished: &Finished) -> Refreshed {
    let mut sources = match finished.stdout.starts_with("<?xml ") {
        true => of_report(&finished.stdout),
        false => of_text(finished),
    };
    let stopped = classify(finished);
    let configured = configured(&finished.stdout);
    let first = sources.values().flatten().cloned().reduce(Failure::more_decisive);
    let why = first.or(stopped.clone());
    for Configured { id, .. } in &configured {
        let not_reached = || {
            let unknown = Failure::new(Class::Other, "zypper did not come to it");
            let why = why.clone().unwrap_or(unknown);
            Some(Failure::new(why.class, format!("{id}: not refreshed after this failure: {}", why.message)))
        };
        sources.entry(id.clone()).or_insert_with(not_reached);
    }
    let sources: Vec<_> = sources.into_iter().map(|(id, error)| SourceResult { id, error }).collect();
    let failures: Vec<_> = sources.iter().filter_map(|source| source.error.clone()).collect();
    let (all, failed) = (sources.len(), failures.len());
    let error = failures.into_iter().reduce(Failure::more_decisive);
    // With this code zypper has come to every repository; otherwise the list says which there are.
    let is_told = (finished.end == End::Code(SOME_FAILED) || !configured.is_empty()) && error.is_some();
    match (error, stopped) {
        (error, Some(stopped)) if !is_told => {
            let error = error.filter(|_| !has_no_repository(finished));
            let error = error.map_or(stopped.clone(), |error| error.more_decisive(stopped));
            Refreshed::failed(sources, error)
        }
        (None, _) if all == 0 => {
            let error = Failure::new(Class::Config, "zypper named no repository that it refreshed");
            Refreshed::failed(sources, error)
        }
        (None, _) if has_skipped(finished) => {
            let error = Some(Failure::new(
                Class::Other,
                "zypper skipped a repository and did not say which: see zypper refresh",
            ));
            Refreshed { sources, outcome: RefreshOutcome::Partial, error, changed: false }
        }
        (None, _) => Refreshed { sources, outcome: RefreshOutcome::Fresh, error: None, changed: false },
        (Some(error), _) if failed == all => Refreshed::failed(sources, error),
        (error, _) => Refreshed { sources, outcome: RefreshOutcome::Partial, error, changed: false },
    }
}

/// Reads the report of `--xmlout`:
///
/// ```text
/// <message type="info">Repository &apos;base&apos; is up to date.</message>
/// <progress id="raw-refresh" name="Retrieving repository &apos;more&apos; metadata" done="1"/>
/// <message type="error">Repository &apos;extra&apos; is invalid.
/// [extra|http://127.0.0.2:8080/] Valid metadata not found at specified URL
/// </message>
/// <message type="error">Skipping repository &apos;extra&apos; because of the above error.</message>
/// ```
fn of_report(report: &str) -> Sources {
    let mut sources = Sources::new();
    // One that was cut off ends anywhere.
    for report in report.split("<?xml ") {
        add_report(&mut sources, report);
    }
    sources
}

fn add_report(sources: &mut Sources, report: &str) {
    let mut said = Vec::new();
    for element in elements(report) {
        let done = element.get("done");
        match (element.name, done.as_deref()) {
            ("progress", Some(done)) => {
                let name = element.get("name").unwrap_or_default();
                let Some(alias) = progress_of(&name) else { continue };
                if done == "1" {
                    sources.entry(id_of(alias)).or_insert(None);
                } else {
                    fail(sources, alias, &[]);
                }
            }
            // What zypper tells and explains is no reason.
            ("message", _) if element.get("type").as_deref() == Some("info") => {
                if let Some(alias) = up_to_date(&element.text()) {
                    sources.entry(id_of(alias)).or_insert(None);
                }
            }
            ("message", _) => hear(sources, &mut said, &element.text()),
            _ => {}
        }
    }
}

/// `Retrieving repository 'extra' metadata`, `Building repository 'extra' cache`.
fn progress_of(label: &str) -> Option<&str> {
    let rest = label.strip_prefix("Retrieving repository '");
    match rest {
        Some(rest) => rest.strip_suffix("' metadata"),
        None => label.strip_prefix("Building repository '")?.strip_suffix("' cache"),
    }
}

/// Reads what zypper says to people. Which of them failed stands on standard error.
fn of_text(finished: &Finished) -> Sources {
    let mut sources = Sources::new();
    for line in finished.stdout.lines() {
        let (begun, end) = line.split_once(" [").unwrap_or((line, ""));
        let Some(id) = progress_of(begun).or_else(|| up_to_date(line)) else { continue };
        if end.ends_with("error]") {
            fail(&mut sources, id, &[]);
        } else {
            sources.entry(id_of(id)).or_insert(None);
        }
    }
    let mut said = Vec::new();
    finished.stderr.lines().for_each(|line| hear(&mut sources, &mut said, line));
    sources
}

fn up_to_date(line: &str) -> Option<&str> {
    line.strip_prefix("Repository '")?.strip_suffix("' is up to date.")
}

/// Takes one message in. The reason stands above the words that a repository is skipped.
fn hear(sources: &mut Sources, said: &mut Vec<String>, message: &str) {
    let skipped = |what: &str| {
        let rest = message.trim().strip_prefix("Skipping ")?.strip_prefix(what)?;
        rest.strip_suffix("' because of the above error.").map(str::to_owned)
    };
    if let Some(id) = skipped("repository '") {
        fail(sources, &id, said);
        said.clear();
    } else if let Some(service) = skipped("service '") {
        fail(sources, &format!("service {service}"), said);
        said.clear();
    } else {
        let lines = message.lines().map(|line| line.trim().trim_start_matches("- ").to_string());
        said.extend(lines.filter(|line| !line.is_empty() && !line.starts_with("History:")));
    }
}

/// Remembers that a repository failed; with a reason, when it becomes known.
fn fail(sources: &mut Sources, id: &str, said: &[String]) {
    let mine = said.iter().rposition(|line| line.contains(&format!("'{id}'")));
    let said = &said[mine.unwrap_or(0)..];
    let no_reason = || Failure::new(Class::Other, "zypper skipped it and gave no reason");
    let reason = cause(said).unwrap_or_else(no_reason);
    let failure = Failure::new(reason.class, format!("{id}: {}", reason.message));
    sources.insert(id_of(id), Some(failure));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: i32, stdout: &str, stderr: &str) -> Refreshed {
        judge(&Finished::ended(code, stdout, stderr))
    }

    #[test]
    fn a_repository_that_was_skipped_is_never_fresh() {
        let good = "Repository 'base' is up to date.\n";
        assert_eq!(judged(0, good, "").outcome, RefreshOutcome::Fresh);
        assert_eq!(judged(106, good, "").outcome, RefreshOutcome::Partial);
        let report = "<?xml version='1.0'?>\n<stream>\n<message type=\"info\">Repository &apos;base&apos; is up to date.</message>\n</stream>\n";
        assert_eq!(judged(0, report, "").outcome, RefreshOutcome::Fresh);
        assert_eq!(judged(106, report, "").outcome, RefreshOutcome::Partial);
        for code in [0, 4, 106] {
            let failed = format!("{good}Retrieving repository 'extra' metadata [.error]\n");
            let judged = judged(code, &failed, "Repository 'extra' is invalid.\n");
            assert_eq!(judged.outcome, RefreshOutcome::Partial, "{code}");
            let failed: Vec<_> = judged.sources.iter().map(|source| source.error.is_some()).collect();
            assert_eq!(failed, [false, true], "{code}");
        }
    }
}
