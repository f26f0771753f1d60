//! Judging `zypper refresh` repository by repository.

use super::errors::{cause, classify, has_no_repository, has_skipped};
use super::lists::repositories;
use super::xml::{elements, id_of};
use crate::managers::facts::Configured;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::model::text::one_line;
use crate::system::process::{End, Finished, Invocation};
use std::collections::BTreeMap;

/// Exit code when some or all repositories could not be refreshed.
const SOME_FAILED: i32 = 4;

/// The repositories by alias, as zypper shows them with `showAlias`.
type Sources = BTreeMap<String, Option<Failure>>;

/// With this setting zypper names repositories by their aliases, which are unique.
pub const SHOW_ALIAS: &str = "[main]\nshowAlias = yes\n";

/// What to run after a refresh that zypper ended early: the list of the repositories, then a refresh of those that it
/// had not come to. New versions stop at a service that fails.
pub fn others(last: &Invocation, finished: &Finished) -> Option<Invocation> {
    let is_list = last.args.iter().any(|arg| arg == "repos");
    match finished.end {
        End::Code(0) if !is_list => None,
        End::Code(_) if has_no_repository(finished) => None,
        End::Code(_) | End::TimedOut if !is_list && configured(&finished.stdout).is_empty() => {
            Some(super::commands::list_repositories())
        }
        End::Code(_) | End::TimedOut => {
            let sources = of_report(&finished.stdout);
            let left = configured(&finished.stdout).into_iter();
            let left = left.filter(|repository| !sources.contains_key(&repository.id));
            let left: Vec<_> = left.map(|repository| repository.argument).collect();
            // Each run must come to one of them at least; otherwise another run is of no use.
            let asked = last.args.iter().rev().take_while(|arg| *arg != "--").count();
            let is_first = !last.args.iter().any(|arg| arg == "--");
            (!left.is_empty() && (is_first || left.len() < asked)).then(|| super::refresh(&left))
        }
        _ => None,
    }
}

/// What comes after a refresh that passed over repositories without a word, given those that are enabled by their files:
/// the list, and a refresh that must be made. New versions else never ask one that has nothing but a list of mirrors
/// whether there is anything new.
pub fn of_passed_over(finished: &Finished, enabled: &[String]) -> Option<Invocation> {
    let sources = of_report(&finished.stdout);
    // Where none is named and it did not end well it says something else, which is judged.
    if !matches!(finished.end, End::Code(_)) || (sources.is_empty() && finished.end != End::Code(0)) {
        return None;
    }
    let listed = configured(&finished.stdout);
    if listed.is_empty() {
        let is_any = enabled.iter().any(|id| !sources.keys().any(|told| one_line(told) == *id));
        return is_any.then(super::commands::list_repositories);
    }
    let left = listed.into_iter().filter(|repository| !sources.contains_key(&repository.id));
    let left: Vec<_> = left.map(|repository| repository.argument).collect();
    (!left.is_empty()).then(|| super::refresh(&left).with_before("--", ["--force".to_string()]))
}

/// Adds the repositories of which zypper says nothing even then: they were not refreshed.
pub fn add_passed_over(enabled: &[String], refreshed: &mut Refreshed) {
    let is_told = |id: &&String| refreshed.sources.iter().any(|source| one_line(&source.id) == **id);
    let left: Vec<_> = enabled.iter().filter(|id| !is_told(id)).cloned().collect();
    if refreshed.outcome == RefreshOutcome::Failed || left.is_empty() {
        return;
    }
    refreshed.sources.extend(left.into_iter().map(|id| {
        let text = format!("{id}: zypper passed over it and gave no reason: see zypper refresh --force {id}");
        SourceResult { id, error: Some(Failure::new(Class::Other, text)) }
    }));
    refreshed.judge_again();
}

/// The enabled repositories, where they were listed.
fn configured(report: &str) -> Vec<Configured> {
    let mut repositories: Vec<_> = report.split("<?xml ").flat_map(repositories).collect();
    repositories.retain(|repository| repository.is_enabled);
    repositories
}

/// What a refresh did that was ended before its time.
pub fn read_cut(finished: &Finished) -> Vec<SourceResult> {
    of_report(&finished.stdout).into_iter().map(|(id, error)| SourceResult { id, error }).collect()
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
            let unknown = Failure::new(Class::Other, "zypper did not reach it");
            let why = why.clone().unwrap_or(unknown);
            Some(Failure::new(why.class, format!("{id}: not refreshed after this failure: {}", why.message)))
        };
        sources.entry(id.clone()).or_insert_with(not_reached);
    }
    let is_any_failed = sources.values().any(Option::is_some);
    // With this code zypper has come to every repository; otherwise the list says which there are.
    let is_told = (finished.end == End::Code(SOME_FAILED) || !configured.is_empty()) && is_any_failed;
    let stopped = stopped.filter(|_| !is_told);
    let none = stopped.clone().filter(|_| has_no_repository(finished));
    let mut refreshed = Refreshed::of(sources, stopped, "zypper named no repository that it refreshed");
    refreshed.error = none.or(refreshed.error);
    if refreshed.outcome == RefreshOutcome::Fresh && has_skipped(finished) {
        let text = "zypper skipped a repository and did not say which: see zypper refresh";
        refreshed.outcome = RefreshOutcome::Partial;
        refreshed.error = Some(Failure::new(Class::Other, text));
    }
    refreshed
}

/// Reads the report of `--xmlout`:
///
/// ```text
/// <message type="info">Checking whether to refresh metadata for base</message>
/// <message type="info">Repository &apos;base&apos; is up to date.</message>
/// <progress id="raw-refresh" name="Retrieving repository &apos;more&apos; metadata" done="1"/>
/// <message type="error">Repository &apos;extra&apos; is invalid.
/// [extra|http://127.0.0.2:8080/] Valid metadata not found at specified URL
/// </message>
/// <message type="error">Skipping repository &apos;extra&apos; because of the above error.</message>
/// ```
fn of_report(report: &str) -> Sources {
    let mut sources = Sources::new();
    let configured = configured(report);
    // A report that was cut off can end anywhere.
    for report in report.split("<?xml ").filter(|report| !report.is_empty()) {
        let begun = add_report(&mut sources, report);
        // One that does not say what it does asks in the order of the list.
        let is_silent = !report.contains("<message type=\"info\">Verbosity: ");
        let next = || {
            configured
                .iter()
                .filter(|_| is_silent)
                .find(|one| !sources.contains_key(&one.id))
                .map(|one| one.id.clone())
        };
        if let Some(id) = begun.or_else(next).filter(|_| is_cut(report)) {
            let text = format!("{id}: zypper waited for it until its time was over");
            sources.insert(id, Some(Failure::new(Class::Timeout, text)));
        }
    }
    sources
}

/// Whether a report ends where zypper was ended. If the signal comes between two pieces of an answer, zypper still
/// closes the report, and then says nothing of the answer.
fn is_cut(report: &str) -> bool {
    let told = elements(report).filter(|element| !["stream", "/stream", "download"].contains(&element.name));
    let is_of_one = |text: &str| {
        up_to_date(text).or(checked(text)).or(asked_service(text)).is_some()
            || text.trim().starts_with("Skipping repository ")
    };
    let is_open = match told.filter(|element| !element.name.starts_with('/')).last() {
        Some(last) if last.name == "message" => is_of_one(&last.text()),
        Some(last) => last.name == "progress",
        None => true,
    };
    is_open || !report.contains("</stream>")
}

/// Reads a report. Returns the repository that zypper waited for at its end.
fn add_report(sources: &mut Sources, report: &str) -> Option<String> {
    let mut said = Vec::new();
    let (mut begun, mut asked) = (None, None);
    for element in elements(report) {
        let done = element.get("done");
        match (element.name, done.as_deref()) {
            ("progress", None) => {
                let name = element.get("name").unwrap_or_default();
                begun = progress_of(&name).map(id_of);
            }
            ("progress", Some(done)) => {
                let name = element.get("name").unwrap_or_default();
                begun = None;
                match progress_of(&name) {
                    Some(alias) if done != "1" => fail(sources, alias, &[]),
                    Some(alias) if is_retrieval(&name) => drop(sources.entry(id_of(alias)).or_insert(None)),
                    _ => {}
                }
            }
            // zypper's explanations are no reason.
            ("message", _) if element.is("type", "info") => {
                let text = element.text();
                if let Some(alias) = up_to_date(&text) {
                    sources.entry(id_of(alias)).or_insert(None);
                } else if let Some(alias) = checked(&text) {
                    asked = Some(id_of(alias));
                } else if let Some(service) = asked_service(&text) {
                    asked = Some(id_of(&format!("service {service}")));
                } else if text.trim() == "Initializing Target" {
                    // Behind the services.
                    asked = None;
                }
            }
            ("message", _) => hear(sources, &mut said, &element.text()),
            _ => {}
        }
    }
    begun.or(asked.filter(|id| !sources.contains_key(id)))
}

/// `Retrieving repository 'extra' metadata`, `Building repository 'extra' cache`.
fn progress_of(label: &str) -> Option<&str> {
    let rest = label.strip_prefix("Retrieving repository '");
    match rest {
        Some(rest) => rest.strip_suffix("' metadata"),
        None => label.strip_prefix("Building repository '")?.strip_suffix("' cache"),
    }
}

/// Whether such a step asks the repository. Its cache is also built of what has lain here for long.
fn is_retrieval(label: &str) -> bool {
    label.starts_with("Retrieving ")
}

/// Reads zypper's output for people. The repositories that failed are named on standard error.
fn of_text(finished: &Finished) -> Sources {
    let mut sources = Sources::new();
    for line in finished.stdout.lines() {
        let (begun, end) = line.split_once(" [").unwrap_or((line, ""));
        let Some(id) = progress_of(begun).or_else(|| up_to_date(line)) else { continue };
        if end.ends_with("error]") {
            fail(&mut sources, id, &[]);
        } else if is_retrieval(begun) || up_to_date(line).is_some() {
            sources.entry(id_of(id)).or_insert(None);
        }
    }
    let mut said = Vec::new();
    finished.stderr.lines().for_each(|line| hear(&mut sources, &mut said, line));
    sources
}

/// What zypper says before it asks whether there is anything new, with `--verbose`. It does not ask in the order of its
/// list: 1.14.101 begins with those that have "update" in the name or the address.
fn checked(text: &str) -> Option<&str> {
    text.trim().strip_prefix("Checking whether to refresh metadata for ")
}

fn asked_service(text: &str) -> Option<&str> {
    text.trim().strip_prefix("Refreshing service '")?.strip_suffix("'.")
}

fn up_to_date(line: &str) -> Option<&str> {
    line.strip_prefix("Repository '")?.strip_suffix("' is up to date.")
}

/// Reads one message. The reason comes before the words that a repository is skipped.
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

/// Notes that a repository failed, with the reason once that is known.
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
    fn a_repository_that_zypper_waited_for_is_told_from_those_behind_it() {
        let list = "<?xml version='1.0'?><stream><repo alias=\"a\" name=\"a\" enabled=\"1\"/><repo alias=\"b\" name=\"b\" enabled=\"1\"/><repo alias=\"c\" name=\"c\" enabled=\"1\"/></stream>";
        let done = |alias: &str| {
            format!("<message type=\"info\">Repository &apos;{alias}&apos; is up to date.</message>")
        };
        let begun = "<progress id=\"raw-refresh\" name=\"Retrieving repository &apos;b&apos; metadata\" value=\"0\"/>";
        let checks = "<message type=\"info\">Checking whether to refresh metadata for b</message>";
        for (first, cut, last) in [
            ("a", "", "c"),
            ("a", begun, "c"),
            ("a", "<progress id=\"raw-ref", "c"),
            ("a", "</stream>", "c"),
            ("a", checks, "c"),
            ("c", checks, "a"),
            ("c", &format!("{checks}</stream>"), "a"),
            ("a", &format!("{begun}<download url=\"http://x/\" percent=\"-1\"/>"), "c"),
        ] {
            let report = format!(
                "<?xml version='1.0'?><stream>{}{cut}{list}<?xml version='1.0'?><stream>{}</stream>",
                done(first),
                done(last)
            );
            let judged = judged(0, &report, "");
            assert_eq!(judged.outcome, RefreshOutcome::Partial, "{cut}");
            let failed: Vec<_> = judged.sources.iter().filter(|source| source.error.is_some()).collect();
            assert_eq!((failed.len(), &*failed[0].id), (1, "b"), "{cut}");
            assert_eq!(failed[0].error.as_ref().unwrap().class, Class::Timeout, "{cut}");
        }
    }

    #[test]
    fn a_service_that_hangs_is_named_and_what_hangs_before_any_is_asked_is_nobody() {
        let list = "<?xml version='1.0'?><stream><repo alias=\"a\" name=\"a\" enabled=\"1\"/></stream>";
        let said = |messages: &[&str]| {
            let messages: Vec<_> =
                messages.iter().map(|text| format!("<message type=\"info\">{text}</message>")).collect();
            let report = format!("<?xml version='1.0'?><stream>{}{list}", messages.concat());
            of_report(&report).into_keys().collect::<Vec<_>>()
        };
        let service = "Refreshing service &apos;s&apos;.";
        assert_eq!(said(&["Verbosity: 2", service]), ["service s"]);
        assert!(said(&["Verbosity: 2", service, "Initializing Target"]).is_empty());
        assert!(said(&["Verbosity: 2"]).is_empty());
        let checks = "Checking whether to refresh metadata for a";
        assert_eq!(said(&["Verbosity: 2", service, "Initializing Target", checks]), ["a"]);
    }

    #[test]
    fn a_service_that_was_skipped_is_the_end_of_a_report() {
        let list = "<?xml version='1.0'?><stream><repo alias=\"a\" name=\"a\" enabled=\"1\"/></stream>";
        let skipped = "<?xml version='1.0'?><stream><message type=\"warning\">Skipping service &apos;s&apos; because of \
                       the above error.</message></stream>";
        let ids = |report: &str| of_report(report).into_keys().collect::<Vec<_>>();
        assert_eq!(ids(&format!("{skipped}{list}")), ["service s"]);
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
