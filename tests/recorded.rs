//! What the classifiers make of recorded output of real package managers, one row a case.
//!
//! `tests/fixtures/MANAGER/VERSION-CASE.txt` holds a command, its exit code and what it printed;
//! `tests/fixtures/MANAGER.expected` says what must be read from it. A row holds for the case of
//! every version, or of one where it is written `VERSION-CASE`. A fixture without a row fails, a
//! row without a fixture fails, and so does a manager without either.
//!
//! A recording of another command than the program's own is read as if it were that: a
//! `check-update` without `-v`, for example, names no repository, so that none counts as refreshed.

#[path = "recorded/lines.rs"]
mod lines;
mod replay;

use linux_patch::managers::{MANAGERS, Manager, Plan};
use linux_patch::model::class::Class;
use linux_patch::model::failure::Failure;
use linux_patch::model::listing::Listing;
use linux_patch::model::refreshed::Refreshed;
use linux_patch::model::updates::HeldBack;
use linux_patch::system::process::{End, Finished};
use replay::Replay;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

struct Recording {
    command: String,
    finished: Finished,
}

fn read(path: &Path) -> Recording {
    let text = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, rest) = text.split_once("--- stdout\n").expect("a fixture has its standard output");
    let (stdout, stderr) = rest.split_once("--- stderr\n").unwrap_or((rest, ""));
    let (stdout, status) = stdout.split_once("--- status-fd:\n").unwrap_or((stdout, ""));
    let exit = head.lines().find_map(|line| line.strip_prefix("exit ")).expect("a fixture has its exit code");
    // A negative code in a recording is the number of the signal that ended the command. One that
    // did not end by itself was ended after some seconds.
    let end = match exit.trim().parse::<i32>() {
        Ok(exit) if exit < 0 => End::Signal(-exit),
        Ok(exit) => End::Code(exit),
        Err(_) => End::TimedOut,
    };
    // What the recorder saw around the command is not its output.
    let stdout = stdout.split_once("--- processes before the signal:").map_or(stdout, |(stdout, _)| stdout);
    Recording {
        command: head.lines().next().unwrap().trim_start_matches("$ ").to_string(),
        finished: Finished {
            end,
            stdout: stdout.to_string(),
            stderr: stderr.to_string(),
            progress: status.to_string(),
            elapsed: Duration::ZERO,
            group: None,
        },
    }
}

fn class(failure: &Option<Failure>) -> &'static str {
    failure.as_ref().map_or("-", |failure| failure.class.word())
}

/// What the manager reads from a recording, in the words of the table.
fn verdict(manager: &dyn Manager, recording: &Recording) -> String {
    let Recording { command, finished } = recording;
    let words: Vec<_> = command.split(' ').collect();
    let by_signal = matches!(finished.end, End::Signal(_)) && manager.was_done_when_killed(finished);
    if !matches!(finished.end, End::Code(_)) && !by_signal {
        "killed".to_string()
    } else if is_refresh(&words) {
        let listing = manager.pending_of_refresh(finished).unwrap_or_default();
        format!("{} pending {}", refreshed(manager, finished), listing.updates.len())
    } else if let Some(told) = told_by_apk(manager, recording) {
        told
    } else if words.contains(&"--print") {
        let listing = manager.parse_list(&finished.stdout);
        format!("{} comes {}", ended(manager, finished), listing.updates.len())
    } else if (words.contains(&"-Sy") || words.contains(&"-Syy")) && !words.contains(&"-Su") {
        refreshed(manager, finished)
    } else if words.contains(&"-Qu") && !words.contains(&"-Su") {
        listed(manager, finished)
    } else if words.contains(&"-Q") {
        let count =
            manager.database().parse_installed(&finished.stdout, &manager.facts().usual_places()).len();
        format!("{} installed {count}", ended(manager, finished))
    } else if words.contains(&"updateinfo") || words.contains(&"advisory") {
        let told = manager.parse_origins(&finished.stdout);
        let secure = told.values().filter(|of| of.iter().any(|origin| origin.is_security)).count();
        format!("advisories {} security {secure}", told.len())
    } else if words.contains(&"refresh") {
        refreshed(manager, finished)
    } else if let Some(told) = ask_for_more(manager, &words, finished) {
        told
    } else if let Some(plan) = planned(manager, &words, finished) {
        plan
    } else if words.contains(&"update") {
        refreshed(manager, finished)
    } else if words.contains(&"-s") && finished.end == End::Code(0) {
        let listing = whole(manager.parse_list(&finished.stdout), finished);
        let security = listing.updates.iter().filter(|update| update.security == Some(true)).count();
        format!("pending {} security {security} held {}", listing.updates.len(), listing.held_back.len())
    } else {
        ended(manager, finished).to_string()
    }
}

/// dnf 5 is asked for a refresh and for the list of an upgrade at once.
fn is_refresh(words: &[&str]) -> bool {
    let all = |wanted: &[&str]| wanted.iter().all(|word| words.contains(word));
    all(&["check-update"])
        || all(&["check-upgrade"])
        || all(&["makecache"])
        || all(&["--refresh", "--assumeno"])
        || all(&["shell"])
}

/// For a manager that downloads while it installs: its other lists, and how an install ended.
fn told_by_apk(manager: &dyn Manager, recording: &Recording) -> Option<String> {
    if manager.download(&Plan::default()).is_some() {
        return None;
    }
    let Recording { command, finished } = recording;
    let words: Vec<_> = command.split(' ').collect();
    let stdout = &finished.stdout;
    let ended = ended(manager, finished);
    let listing = whole(manager.parse_list(stdout), finished);
    let counts = format!("changes {} removes {}", listing.updates.len(), listing.removals.len());
    if words.contains(&"grep") {
        let installed = manager.database().parse_installed(stdout, &manager.facts().usual_places());
        let broken = installed.values().filter(|package| package.is_broken).count();
        let held = installed.values().filter(|package| package.is_held).count();
        Some(format!("{ended} installed {} broken {broken} held {held}", installed.len()))
    } else if words.contains(&"version") {
        Some(format!("{ended} newer {}", newer(manager, &recording.finished).len()))
    } else if words.contains(&"policy") {
        let origins: Vec<_> = manager.parse_origins(stdout).into_values().flatten().collect();
        let sources: BTreeSet<_> = origins.iter().map(|origin| origin.source.as_str()).collect();
        Some(format!("{ended} from {}", sources.into_iter().collect::<Vec<_>>().join(" ")))
    } else if words.contains(&"audit") {
        let changed = [("tb-hello", "2.0-r0"), ("tb-sec", "2.0-r0"), ("tb-world", "2.0-r0")];
        let damage = manager.audited(stdout, &changed);
        Some(damage.map_or("ok".to_string(), |failure| failure.message))
    } else if words.contains(&"-s") {
        Some(format!("{ended} would: {counts}"))
    } else if words.contains(&"upgrade") || words.contains(&"fix") {
        let began = if manager.install_began(finished) { " began" } else { "" };
        Some(format!("{ended}{began} {counts}"))
    } else {
        None
    }
}

/// The class of a failure, or `ok`.
fn ended(manager: &dyn Manager, finished: &Finished) -> &'static str {
    let failure = manager.classify(finished);
    assert!(failure.as_ref().is_none_or(|failure| !failure.message.is_empty()), "failed without a message");
    failure.map_or("ok", |failure| failure.class.word())
}

/// No real manager counts more than it lists, where it came to its end.
fn whole(listing: Listing, finished: &Finished) -> Listing {
    assert_eq!(listing.contradiction.as_ref().filter(|_| finished.end == End::Code(0)), None);
    listing
}

fn refreshed(manager: &dyn Manager, finished: &Finished) -> String {
    let judged = manager.judge(finished);
    let failed = judged.sources.iter().filter(|source| source.error.is_some()).count();
    let outcome = format!("{:?}", judged.outcome).to_lowercase();
    format!("{outcome} {} {failed}/{}", class(&judged.error), judged.sources.len())
}

/// How many sources of an index of our own a list could not read.
fn unreadable(manager: &dyn Manager, finished: &Finished) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let Some(own) = manager.own_index(dir.path()) else { return 0 };
    let mut refreshed = Refreshed::of(BTreeMap::new(), None, "");
    own.check(&Replay::new(manager, finished), false, &mut refreshed);
    refreshed.sources.len()
}

/// What a list of newer versions says, and how many sources it could not read.
fn listed(manager: &dyn Manager, finished: &Finished) -> String {
    let (held_back, updates): (Vec<_>, Vec<_>) =
        newer(manager, finished).into_iter().partition(|newer| newer.reason == "held");
    let counts = [updates.len(), held_back.len(), unreadable(manager, finished)];
    format!("{} pending {} held {} unreadable {}", ended(manager, finished), counts[0], counts[1], counts[2])
}

/// How a transaction ended, for a manager that prints what it is about to do.
fn planned(manager: &dyn Manager, words: &[&str], finished: &Finished) -> Option<String> {
    const WORDS: [&str; 11] = [
        "upgrade",
        "update",
        "remove",
        "dist-upgrade",
        "install",
        "patch",
        "-Su",
        "-Suw",
        "-Syu",
        "-Syyu",
        "-S",
    ];
    let is_transaction = WORDS.iter().any(|word| words.contains(word)) && !words.contains(&"info");
    let plan = manager.plan_of_download(finished).filter(|_| is_transaction)?;
    let plan = whole(plan, finished);
    let began = if manager.install_began(finished) { " began" } else { "" };
    let counts = [plan.updates.len(), plan.removals.len(), plan.held_back.len()];
    Some(format!(
        "{}{began} comes {} goes {} stays {}",
        ended(manager, finished),
        counts[0],
        counts[1],
        counts[2]
    ))
}

/// What the answer to a question adds to a list, or to what further question it leads.
fn ask_for_more(manager: &dyn Manager, words: &[&str], finished: &Finished) -> Option<String> {
    let is_list = words.contains(&"list-updates");
    if !(is_list || words.contains(&"list-patches")) {
        return None;
    }
    let machine = Replay::new(manager, finished);
    let listing = manager.complete(&machine, &Plan::default(), Listing::default()).unwrap();
    let questions = machine.questions.take();
    if questions.is_empty() {
        return None;
    }
    let how = ended(manager, finished);
    if is_list {
        return Some(format!("{how} newer {}", listing.held_back.len()));
    }
    let question = questions.iter().find(|question| question.line().contains(" -- "));
    let names = question.map(|question| question.line().split(" -- ").nth(1).unwrap_or("-").to_string());
    Some(format!("{how} asks {}", names.as_deref().unwrap_or("nothing")))
}

fn newer(manager: &dyn Manager, finished: &Finished) -> Vec<HeldBack> {
    manager.newer(&Replay::new(manager, finished)).unwrap()
}

/// The table, by case or by version and case.
fn expected(manager: &str) -> BTreeMap<String, String> {
    let path = format!("tests/fixtures/{manager}.expected");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|row| {
        let (case, verdict) = row.split_once(": ").unwrap_or_else(|| panic!("{path}: no verdict in {row:?}"));
        (case.to_string(), verdict.to_string())
    })
    .collect()
}

#[test]
fn every_recorded_output_is_read_as_the_table_says() {
    let mut wrong = Vec::new();
    for manager in MANAGERS {
        let expected = expected(manager.facts().name);
        let mut used = BTreeSet::new();
        let dir = format!("tests/fixtures/{}", manager.facts().name);
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_string();
            let (_, case) = name.split_once('-').expect("a fixture is named VERSION-CASE");
            let row = if expected.contains_key(&name) { name.as_str() } else { case };
            let verdict = verdict(*manager, &read(&path));
            used.insert(row.to_string());
            match expected.get(row) {
                Some(expected) if *expected == verdict => {}
                Some(expected) => wrong.push(format!("{name}: {verdict}, not {expected}")),
                None => wrong.push(format!("{name}: {verdict}, but the table has no row for it")),
            }
        }
        let unused = expected.keys().filter(|row| !used.contains(*row));
        wrong.extend(unused.map(|row| format!("{}.expected: no fixture for {row}", manager.facts().name)));
        assert!(used.len() > 50, "{} has only {} recorded cases", manager.facts().name, used.len());
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// dnf5 tells what it skips once the repositories are loaded, and goes on with the others.
#[test]
fn what_dnf5_skips_is_not_why_something_else_failed() {
    const LOADED: &str = "Repositories loaded.\n";
    let skipped = format!(
        "{LOADED}Problem: cannot install the best update candidate for package tb-d-1.0-1.noarch\n  \
         - nothing provides tb-none needed by tb-d-2.0-1.noarch from base\n\n"
    );
    let manager = linux_patch::managers::by_name("dnf5").unwrap();
    let classify = |finished: &Finished| {
        let failure = manager.classify(finished);
        failure.map(|failure| (failure.class, failure.message))
    };
    let mut failures = 0;
    for entry in std::fs::read_dir("tests/fixtures/dnf5").unwrap() {
        let path = entry.unwrap().path();
        let finished = read(&path).finished;
        let stderr = finished.stderr.replacen(LOADED, &skipped, 1);
        let expected = classify(&finished);
        // Where it says nothing of its own, what it skipped is all that is known.
        let is_told = expected.as_ref().is_some_and(|(class, _)| *class != Class::Interrupted);
        if stderr == finished.stderr || !is_told {
            continue;
        }
        failures += 1;
        assert_eq!(classify(&Finished { stderr, ..finished }), expected, "{}", path.display());
    }
    assert!(failures > 20, "only {failures} failures");
}

/// The words in which a recording is told to people: why it failed, source by source, and what else
/// there is to say of it.
fn told(manager: &dyn Manager, recording: &Recording) -> String {
    let finished = &recording.finished;
    let words = |failure: &Failure| format!("{}: {}", failure.class.word(), failure.message);
    let mut lines: Vec<_> = manager.classify(finished).iter().map(words).collect();
    let verdict = verdict(manager, recording);
    if ["fresh ", "partial ", "failed "].iter().any(|outcome| verdict.starts_with(outcome)) {
        let judged = manager.judge(finished);
        lines.extend(judged.error.iter().map(|failure| format!("refresh {}", words(failure))));
        lines.extend(judged.sources.iter().map(|source| {
            let error = source.error.as_ref().map_or("ok".to_string(), words);
            format!("source {} {error}", source.id)
        }));
    }
    lines.extend(manager.notes(finished).into_iter().map(|note| format!("note {note}")));
    let began = manager.install_began(finished).then_some("changed packages");
    let again = manager.asks_to_run_again(finished).then_some("asks to be run again");
    lines.extend(began.into_iter().chain(again).map(str::to_string));
    lines.into_iter().map(|line| format!("    {line}\n")).collect()
}

/// One text for all recordings of which the same is told. `UPDATE_TOLD=1` writes the files anew: what
/// changes in them is what users will read, and is to be looked at.
#[test]
fn what_is_told_of_every_recording_is_what_was_looked_at() {
    let update = std::env::var_os("UPDATE_TOLD").is_some_and(|value| value == "1");
    for manager in MANAGERS {
        let mut names = BTreeMap::<String, Vec<String>>::new();
        for entry in std::fs::read_dir(format!("tests/fixtures/{}", manager.facts().name)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_string();
            names.entry(told(*manager, &read(&path))).or_default().push(name);
        }
        let mut blocks: Vec<_> = names
            .into_iter()
            .map(|(text, mut names)| {
                names.sort();
                format!("{}\n{text}", names.join(" "))
            })
            .collect();
        blocks.sort();
        let made = blocks.concat();
        let path = format!("tests/fixtures/{}.told", manager.facts().name);
        if update {
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
        assert!(made == kept, "{path}: the first difference is {differs:?}; UPDATE_TOLD=1 writes it anew");
    }
}

#[test]
fn every_failure_of_a_fetch_is_retried_and_no_other() {
    let retried: Vec<_> = [
        Class::Fetch,
        Class::Network,
        Class::Lock,
        Class::Auth,
        Class::Clock,
        Class::Space,
        Class::Dependency,
        Class::Script,
        Class::Interrupted,
        Class::Config,
        Class::Timeout,
        Class::Other,
    ]
    .into_iter()
    .filter(|class| class.is_retried())
    .collect();
    assert_eq!(retried, [Class::Fetch, Class::Network]);
}
