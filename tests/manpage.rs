//! The manual pages, the README and the files in contrib/ say what the program does: every
//! option, default, variable, exit code, class, key and metric is compared in both directions,
//! and every command line shown is parsed.

#[path = "schema/mod.rs"]
mod schema;

use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, Parser};
use linux_patch::cli::{Cli, Reboot, Verb};
use linux_patch::managers::{Plan, by_name};
use linux_patch::model::class::Class;
use linux_patch::model::exit_code::ExitCode;
use linux_patch::report::finding::Finding;
use linux_patch::report::{Applied, Detail, Report};
use linux_patch::store::{history, state, state_file};
use linux_patch::system::process::Finished;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[allow(dead_code)]
#[path = "integrations/documents.rs"]
mod documents;
use documents::{Code, docs, file};

type Words = BTreeSet<String>;

/// Options of other programs that the documentation names.
const FOREIGN: &[(&str, &str)] = &[
    ("--all-updates", "check_yum"),
    ("--boot-check", "check_updates"),
    ("--boot-check-warning", "check_updates"),
    ("--cache-only", "check_yum"),
    ("--security-only", "check_updates"),
    ("--warn-on-any-update", "check_yum"),
    ("--failed", "systemctl"),
    ("--no-pager", "journalctl"),
    ("--lines", "journalctl"),
    ("--unit", "journalctl"),
    ("--allow-releaseinfo-change", "apt-get"),
    ("--allowerasing", "dnf"),
    ("--available", "apk"),
    ("--ask", "pacman"),
    ("--best", "dnf"),
    ("--check", "ansible-playbook"),
    ("--cleanup-only", "yum-complete-transaction"),
    ("--collector", "prometheus-node-exporter"),
    ("--configure", "dpkg"),
    ("--extra-opts", "check_apt"),
    ("--force-confdef", "dpkg"),
    ("--force-confold", "dpkg"),
    ("--force-missing-repositories", "apk"),
    ("--ignore", "apk"),
    ("--ignore-fail-on-non-empty", "rmdir"),
    ("--limit", "ansible-playbook"),
    ("--no-allow-vendor-change", "zypper"),
    ("--no-refresh", "zypper"),
    ("--nodeps", "rpm"),
    ("--nosignature", "rpm"),
    ("--noconfirm", "pacman"),
    ("--print", "pacman"),
    ("--non-interactive", "zypper"),
    ("--now", "systemctl"),
    ("--reinstall", "apt-get"),
    ("--repo", "zypper"),
    ("--show-output", "cargo test"),
    ("--skip-broken", "yum"),
    ("--system", "apk"),
    ("--tags", "ansible-playbook"),
    ("--test", "cargo"),
    ("--unneeded", "zypper"),
    ("--upgrade", "apk"),
    ("--with-new-pkgs", "apt-get"),
    ("--xmlout", "zypper"),
    ("--force-refresh", "apk"),
];

/// For people: commands, options, exit codes, classes.
const PAGE: &str = "man/linux-patch.8";
/// For programs: state file, history, JSON documents and metrics.
const REFERENCE: &str = "man/linux-patch-state.5";

/// What is different with each package manager.
const OF_MANAGERS: &str = "man/linux-patch-managers.7";

fn page() -> String {
    file(PAGE)
}

fn of_managers() -> String {
    file(OF_MANAGERS)
}

fn reference() -> String {
    file(REFERENCE)
}

/// All pages, by path.
fn pages() -> [(String, String); 3] {
    [PAGE, REFERENCE, OF_MANAGERS].map(|path| (path.to_string(), file(path)))
}

fn readme() -> String {
    file("README.md")
}

/// The lines below a heading of the page, up to the next heading of the same rank or a higher one.
fn section<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let is_section = heading.starts_with(".Sh ");
    let mut lines = page.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "the page has no line {heading:?}");
    lines.take_while(|line| !(line.starts_with(".Sh ") || !is_section && line.starts_with(".Ss "))).collect()
}

/// An entry of a list: the text behind `.It`, and the lines below, inner lists included.
struct Item<'a> {
    head: &'a str,
    body: Vec<&'a str>,
}

fn items<'a>(lines: &[&'a str]) -> Vec<Item<'a>> {
    let mut items: Vec<Item> = Vec::new();
    let (mut depth, mut open) = (0, false);
    for line in lines {
        depth += i32::from(line.starts_with(".Bl ")) - i32::from(*line == ".El");
        open &= depth > 0;
        match line.strip_prefix(".It ") {
            Some(head) if depth == 1 => {
                items.push(Item { head, body: Vec::new() });
                open = true;
            }
            _ if open => items.last_mut().expect("an item is open").body.push(line),
            _ => {}
        }
    }
    items
}

/// The text of some lines: macro names gone, one space between words.
fn plain(lines: &[&str]) -> String {
    let mut words = Vec::new();
    for line in lines {
        let is_macro = line.starts_with('.');
        words.extend(line.split_whitespace().skip(usize::from(is_macro)).filter(|word| {
            // Macros called in the middle of a line.
            !is_macro || !["Fl", "Ar", "Cm", "Ns", "Li", "No", "Va", "Pa", "Op"].contains(word)
        }));
    }
    words.join(" ")
}

fn words(items: impl IntoIterator<Item = impl Into<String>>) -> Words {
    items.into_iter().map(Into::into).collect()
}

fn same(what: &str, documented: &Words, real: &Words) {
    let missing: Vec<_> = real.difference(documented).collect();
    let invented: Vec<_> = documented.difference(real).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "{what}: missing in the documentation: {missing:?}; not in the program: {invented:?}"
    );
}

/// The definition of the command line, and that of each command with its section of the page.
fn commands() -> (Command, Vec<(String, Command)>) {
    let mut whole = Cli::command();
    whole.build();
    let each = whole.get_subcommands().map(|command| (command.get_name().to_string(), command.clone()));
    let each: Vec<_> = each.collect();
    assert_eq!(each.len(), 3);
    (whole, each)
}

/// The options and arguments of one section, without `--help` and the global ones, which have their own.
fn own_args(command: &Command) -> Vec<&Arg> {
    command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help").collect()
}

/// Every section that describes options, with what it must describe.
fn option_sections(whole: &Command, each: &[(String, Command)]) -> Vec<(String, Vec<Arg>)> {
    let global = whole.get_arguments().cloned().collect();
    let mut sections = vec![(".Sh GLOBAL OPTIONS".to_string(), global)];
    for (name, command) in each {
        sections.push((format!(".Ss {name}"), own_args(command).into_iter().cloned().collect()));
    }
    sections
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// An option as the page's markup writes it.
fn markup(arg: &Arg) -> String {
    let value = arg.get_value_names().map(|names| names[0].to_string()).unwrap_or_default();
    let Some(long) = arg.get_long() else {
        return format!("Ar {value} ...");
    };
    let short = arg.get_short().map(|short| format!("Fl {short} , ")).unwrap_or_default();
    let value = match (takes_value(arg), arg.is_require_equals_set()) {
        (false, _) => String::new(),
        (true, false) => format!(" Ar {value}"),
        (true, true) => format!(" Ns Op = Ns Ar {value}"),
    };
    format!("{short}Fl Fl {long}{value}")
}

fn is_option(item: &Item) -> bool {
    item.head.starts_with("Fl ") || item.head.starts_with("Ar ")
}

#[test]
fn every_option_is_described_in_the_section_of_its_command_and_no_other() {
    let (page, (whole, each)) = (page(), commands());
    for (heading, args) in option_sections(&whole, &each) {
        let lines = section(&page, &heading);
        let documented = words(items(&lines).iter().filter(|item| is_option(item)).map(|item| item.head));
        same(&heading, &documented, &words(args.iter().map(markup)));
    }
}

#[test]
fn the_synopsis_lists_every_option() {
    let (page, (_, each)) = (page(), commands());
    let synopsis = section(&page, ".Sh SYNOPSIS");
    let mut documented: Vec<(&str, Words)> = Vec::new();
    for line in &synopsis {
        let option = line.strip_prefix(".Op ").filter(|option| *option != "Ar GLOBAL OPTION ...");
        if let Some(name) = line.strip_prefix(".Cm ") {
            documented.push((name, Words::new()));
        } else if let (Some(option), Some(last)) = (option, documented.last_mut()) {
            last.1.insert(option.to_string());
        }
    }
    let named = words(documented.iter().map(|(name, _)| *name));
    same("commands", &named, &words(each.iter().map(|(name, _)| name.as_str())));
    for ((name, command), (_, found)) in each.iter().zip(&documented) {
        same(name, found, &words(own_args(command).into_iter().map(markup)));
    }
}

#[test]
fn defaults_and_possible_values_are_those_of_the_program() {
    let (page, (whole, each)) = (page(), commands());
    for (heading, args) in option_sections(&whole, &each) {
        let lines = section(&page, &heading);
        let items = items(&lines);
        for arg in args.iter().filter(|arg| takes_value(arg)) {
            let place = format!("{heading}, {}", markup(arg));
            let item = items.iter().find(|item| item.head == markup(arg)).expect(&place);
            let text = plain(&item.body);
            let said = text.split("The default is ").skip(1).map(|rest| rest.split(' ').next().unwrap());
            let real = arg.get_default_values().iter().map(|value| value.to_string_lossy());
            same(&format!("{place}, default"), &words(said), &words(real));
            // What completions offer may have an example of a value behind the word.
            let is_word = |word: &str| {
                let word = word.split([':', '=']).next();
                text.split([' ', ',', ':']).any(|found| Some(found) == word)
            };
            for value in arg.get_possible_values() {
                assert!(is_word(value.get_name()), "{place}: {} is not described", value.get_name());
            }
            let values: Vec<_> = arg.get_possible_values().iter().map(|v| v.get_name().to_string()).collect();
            for inner in item.body.iter().filter_map(|line| line.strip_prefix(".It Cm ")) {
                assert!(values.iter().any(|value| value == inner), "{place}: there is no value {inner}");
            }
        }
    }
    let cli = Cli::try_parse_from(["linux-patch", "apply", "--reboot"]).unwrap();
    let Verb::Apply(args) = cli.verb else { panic!("apply was asked for") };
    assert_eq!(args.reboot, Some(Reboot::IfNeeded));
    assert!(plain(&section(&page, ".Ss apply")).contains("without one it is if-needed ."));
}

#[test]
fn every_variable_is_described_and_every_one_described_exists() {
    let (page, (whole, each)) = (page(), commands());
    let mut real = Words::new();
    for (_, args) in option_sections(&whole, &each) {
        for arg in args {
            if let (Some(name), Some(long)) = (arg.get_env(), arg.get_long()) {
                real.insert(format!("{} --{long}", name.to_string_lossy()));
            }
        }
    }
    let lines = section(&page, ".Sh ENVIRONMENT");
    let documented = items(&lines)
        .into_iter()
        .filter(|item| item.head.starts_with("Ev LINUX_PATCH_"))
        .map(|item| format!("{} --{}", &item.head[3..], plain(&item.body[1..]).replace(" .", "")));
    same("variables", &words(documented), &real);

    let names = words(real.iter().map(|row| row.split(' ').next().unwrap()));
    let mut texts = vec![("README.md".to_string(), readme())];
    texts.extend(pages());
    texts.extend(contrib());
    texts.extend(docs());
    for (of, text) in texts {
        let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
        for word in text.split(|c| !is_part(c)).filter(|word| word.starts_with("LINUX_PATCH_")) {
            assert!(names.contains(word), "{of}: there is no variable {word}");
        }
    }
}

#[test]
fn every_option_that_the_documentation_names_exists() {
    let (whole, each) = commands();
    let args = option_sections(&whole, &each).into_iter().flat_map(|(_, args)| args);
    let mut known = words(args.filter_map(|arg| Some(format!("--{}", arg.get_long()?))));
    let foreign = words(FOREIGN.iter().map(|(option, _)| *option));
    known.extend(foreign.iter().cloned());
    let mut texts = vec![("README.md".to_string(), readme())];
    texts.extend(pages().map(|(path, text)| (path, text.replace("Fl Fl ", "--"))));
    texts.extend(contrib());
    texts.extend(docs());
    let mut found = Words::new();
    for (of, text) in texts {
        for (at, _) in text.match_indices("--") {
            let is_start = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
            let rest = &text[at + 2..];
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
            if is_start && rest.starts_with(|c: char| c.is_ascii_lowercase()) {
                let option = format!("--{}", &rest[..end]);
                assert!(known.contains(&option), "{of}: there is no option {option}");
                found.insert(option);
            }
        }
    }
    same("FOREIGN", &words(foreign.intersection(&found).cloned()), &foreign);
}

/// All exit codes: a new one does not compile until it is here.
fn exit_codes() -> Vec<ExitCode> {
    let next = |code: &ExitCode| match code {
        ExitCode::Fresh => Some(ExitCode::Stale),
        ExitCode::Stale => Some(ExitCode::Failed),
        ExitCode::Failed => Some(ExitCode::Unknown),
        ExitCode::Unknown => None,
    };
    std::iter::successors(Some(ExitCode::Fresh), next).collect()
}

/// Likewise.
fn classes() -> Vec<Class> {
    let next = |class: &Class| match class {
        Class::Fetch => Some(Class::Network),
        Class::Network => Some(Class::Lock),
        Class::Lock => Some(Class::Auth),
        Class::Auth => Some(Class::Clock),
        Class::Clock => Some(Class::Space),
        Class::Space => Some(Class::Dependency),
        Class::Dependency => Some(Class::Script),
        Class::Script => Some(Class::Interrupted),
        Class::Interrupted => Some(Class::Config),
        Class::Config => Some(Class::Timeout),
        Class::Timeout => Some(Class::Other),
        Class::Other => None,
    };
    std::iter::successors(Some(Class::Fetch), next).collect()
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let page = page();
    let real =
        exit_codes().into_iter().map(|it| format!("{} Ta {} Ta {}", it.code(), it.word(), it.plugin_word()));
    let lines = section(&page, ".Sh EXIT STATUS");
    let rows = lines.iter().filter_map(|line| line.strip_prefix(".It "));
    same(
        "exit codes",
        &words(rows.filter(|row| row.contains(" Ta ") && !row.starts_with("Sy"))),
        &words(real),
    );
    for command in ["refresh", "status", "apply"] {
        let lines = section(&page, &format!(".Ss Of {command}"));
        let rows = lines.iter().filter_map(|line| line.strip_prefix(".It "));
        let real = exit_codes().into_iter().map(|it| it.code().to_string());
        same(command, &words(rows), &words(real));
    }
    let readme = readme();
    let rows = readme.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        cells.get(1)?.parse::<u8>().ok().map(|_| format!("{} {}", cells[1], cells[2]))
    });
    let real = exit_codes().into_iter().map(|it| format!("{} {}", it.code(), it.word()));
    same("exit codes of README.md", &words(rows), &words(real));
}

#[test]
fn the_failure_classes_are_those_of_the_program() {
    let page = page();
    let lines = section(&page, ".Sh FAILURE CLASSES");
    let documented = words(items(&lines).iter().filter_map(|item| item.head.strip_prefix("Cm ")));
    same("classes", &documented, &words(classes().into_iter().map(Class::word)));
    let retried: Vec<_> = classes().into_iter().filter(|class| class.is_retried()).map(Class::word).collect();
    let sentence = format!("Only {} are retried.", retried.join(" and "));
    assert!(plain(&lines).ends_with(&sentence), "the page does not end the list with {sentence:?}");
}

/// A state in which every field is filled.
fn full_state() -> state_file::Loaded {
    let time = "2026-05-27T13:00:00Z";
    let error = json!({"class": "fetch", "message": "m"});
    let loaded = state_file::parse(
        &serde_json::to_vec(&json!({
            "version": state::VERSION, "manager": "apt", "last_cache_update": time,
            "last_update_error": error, "index": {"files": [], "settings": "x", "configuration": {"basis": "x", "text": "y"}},
            "last_attempt": {"started_at": time, "finished_at": time, "outcome": "partial"},
            "support_ends": "2028-06-30", "caveats": ["c"], "source_places": ["/p"], "not_offered": ["p"], "not_offered_asked": true,
            "outdated_services": [{"unit": "u", "processes": [1]}],
            "services_seen": {"boot_id": "b", "database": "d", "needs_reboot": false},
            "last_cache_boot": {"boot_id": "b", "seconds": 1},
            "reboot_required_since": time,
            "reboot_packages": {"names": ["p"], "by_advisory": ["q"], "start": "s", "basis": "x"},
            "index_dates": [{"id": "s", "mark": "m", "made": time, "built": time}],
            "sources": [{"id": "s", "last_success": time, "published_at": time, "error": error}],
            "pending": {"as_of": time, "count": 1, "security": 1, "packages": [
                {"name": "p", "installed": "1", "candidate": "2", "security": true, "source": "s", "first_seen": time, "security_seen": time,
                 "replaces": ["o"]}],
                "known": [{"name": "p", "first_seen": time}], "database_places": ["/p"],
                "held_back": [{"name": "p", "installed": "1", "candidate": "2", "reason": "held", "class": "auth",
                               "security": true, "first_seen": time, "security_seen": time}]},
            "apply": {
                "in_progress": {"pid": 1, "boot_id": "b", "started_at": time, "phase": "install",
                                "process_start": 1, "pid_namespace": "n", "packages": ["p"], "log": "l",
                                "earlier": {"pid": 1, "boot_id": "b", "started_at": time, "phase": "install"}},
                "last": {"started_at": time, "finished_at": time, "outcome": "success",
                         "packages": [{"name": "p", "from": "1", "to": "2"}], "error": error,
                         "mended_at": time},
                "last_change": {"started_at": time, "finished_at": time, "outcome": "success"}},
        }))
        .unwrap(),
    );
    assert!(matches!(loaded, state_file::Loaded::Good(_)), "{loaded:?}");
    loaded
}

fn report(command: &'static str, detail: Detail) -> Report {
    let hour = Duration::from_secs(3600);
    let mut report = Report::new(command, ExitCode::Stale, "r".into(), full_state(), hour);
    report.health.pending_outdated = false;
    report.detail = detail;
    report
}

fn status_report() -> Report {
    let entry = json!({"time": "2026-05-27T13:00:00Z", "command": "refresh", "exit_code": 0, "class": null,
                       "message": "m", "duration_ms": 1, "packages": 1, "dry_run": true,
                       "changes": [{"name": "p", "from": "1", "to": "2"}],
                       "open_for": [{"name": "p", "seconds": 1}]});
    let entry: history::Entry = serde_json::from_value(entry).unwrap();
    let finding = Finding::problem("source", "t", "c");
    report("status", Detail::Status { history: Some(vec![entry]), explanation: Some(vec![finding]) })
}

fn all_keys(value: &Value, keys: &mut Words) {
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| {
            keys.insert(key.clone());
            all_keys(value, keys);
        }),
        Value::Array(values) => values.iter().for_each(|value| all_keys(value, keys)),
        _ => {}
    }
}

#[test]
fn the_json_keys_are_those_of_the_program() {
    let changed = json!({"name": "p", "from": null, "to": "1"});
    let applied = Applied { packages: vec![serde_json::from_value(changed).unwrap()], ..Applied::default() };
    let reports = [
        status_report(),
        report("refresh", Detail::Refresh { refreshed: true, joined: false, error: None }),
        report("apply", Detail::Apply(applied)),
    ];
    let mut everything = Words::new();
    let mut tops = Vec::new();
    for report in &reports {
        let text = report.render(linux_patch::report::print::Format::Json, false).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        all_keys(&document, &mut everything);
        tops.push((report.command, words(document.as_object().unwrap().keys())));
    }
    let common = tops.iter().map(|(_, keys)| keys.clone()).reduce(|a, b| &a & &b).unwrap();
    same("keys of every command", &keys_of(".Ss Of every command"), &common);
    for (command, keys) in &tops {
        same(command, &keys_of(&format!(".Ss Of {command}")), &(keys - &common));
    }
    let mut own = Words::new();
    all_keys(&full_state_json(), &mut own);
    everything.extend(own);
    let page = reference();
    let of_all = [".Sh JSON DOCUMENTS", ".Sh OBJECTS", ".Sh STATE FILE", ".Sh HISTORY FILE"];
    let named = of_all.iter().flat_map(|heading| variables(&section(&page, heading)));
    same("keys", &named.collect(), &everything);
}

#[test]
fn every_document_is_as_its_schema_says_and_no_key_is_missing_there() {
    let changed = json!({"name": "p", "from": null, "to": "1"});
    let applied = Applied { packages: vec![serde_json::from_value(changed).unwrap()], ..Applied::default() };
    let is_missing = |command| {
        Report::new(command, ExitCode::Unknown, "r".into(), state_file::Loaded::Missing, Duration::ZERO)
    };
    let never =
        Report { detail: Detail::Status { history: None, explanation: None }, ..is_missing("status") };
    let reports = [
        status_report(),
        never,
        report("refresh", Detail::Refresh { refreshed: true, joined: false, error: None }),
        report("apply", Detail::Apply(applied)),
        Report::refused("status", "r".into()),
        Report::refused("refresh", "r".into()),
        Report::refused("apply", "r".into()),
        Report::refused("", "r".into()),
    ];
    for report in reports {
        let text = report.render(linux_patch::report::print::Format::Json, false).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let found = schema::violations(schema::of_document(&document), &document, true);
        assert!(found.is_empty(), "{found:#?} {document:#}");
        for run in document["history"].as_array().into_iter().flatten() {
            assert_eq!(schema::violations("history", run, true), [""; 0]);
        }
        // A validator that accepts everything is useless.
        let mut wrong = document.clone();
        wrong["exit_code"] = json!(4);
        wrong["last_cache_update"] = json!("yesterday");
        wrong.as_object_mut().unwrap().remove("reason");
        wrong["new"] = json!(1);
        assert_eq!(schema::violations(schema::of_document(&wrong), &wrong, true).len(), 4, "{wrong:#}");
    }
    assert_eq!(schema::violations("state", &full_state_json(), true), [""; 0]);
}

/// The variables that head the items of a section of the reference.
fn keys_of(heading: &str) -> Words {
    let page = reference();
    let heads: Vec<_> = items(&section(&page, heading)).iter().map(|item| item.head.to_string()).collect();
    variables(&heads.iter().map(String::as_str).collect::<Vec<_>>())
}

fn keys(value: &Value) -> Words {
    words(value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys())
}

fn full_state_json() -> Value {
    let state_file::Loaded::Good(state) = full_state() else { unreachable!("asserted where it is made") };
    serde_json::to_value(&state).unwrap()
}

fn status_json() -> Value {
    let text = status_report().render(linux_patch::report::print::Format::Json, false).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_keys_of_the_state_file_are_those_of_the_program() {
    same("state.json", &keys_of(".Sh STATE FILE"), &keys(&full_state_json()));
}

#[test]
fn the_keys_of_the_history_are_those_of_the_program() {
    same("history.jsonl", &keys_of(".Sh HISTORY FILE"), &keys(&status_json()["history"][0]));
}

#[test]
fn the_keys_of_each_object_are_those_of_the_program() {
    let (state, status) = (full_state_json(), status_json());
    for (heading, place) in [
        (".Ss A source", "/sources/0"),
        (".Ss Pending", "/pending"),
        (".Ss A pending update", "/pending/packages/0"),
        (".Ss A held-back update", "/pending/held_back/0"),
        (".Ss A service", "/outdated_services/0"),
        (".Ss A refresh", "/last_attempt"),
        (".Ss Apply", "/apply"),
        (".Ss A change", "/apply/last/packages/0"),
        (".Ss Counters", "/counters"),
    ] {
        // Null in the document: what was found in another boot, for example.
        let objects = [&state, &status].into_iter().filter_map(|of| of.pointer(place));
        same(heading, &keys_of(heading), &objects.flat_map(keys).collect());
    }
}

/// Everything that is marked up as a variable.
fn variables(lines: &[&str]) -> Words {
    let mut found = Words::new();
    for line in lines {
        let mut is_variable = false;
        for word in line.trim_start_matches('.').split_whitespace() {
            match word {
                "Va" => is_variable = true,
                "No" | "Li" | "Cm" | "Ns" => is_variable = false,
                _ if is_variable && word.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                    found.insert(word.to_string());
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn the_metrics_are_those_of_the_program() {
    let page = reference();
    let mut report = status_report();
    let now = Some(report.now);
    (report.health.reboot_required_since, report.health.reboot_scheduled_at) = (now, now);
    let mut failed = report.clone();
    failed.state.as_mut().unwrap().apply.last.as_mut().unwrap().mended_at = None;
    let texts =
        [report, failed].map(|report| report.render(linux_patch::report::print::Format::Openmetrics, false));
    let text = texts.map(Option::unwrap).concat();
    let names = text.lines().filter_map(|line| line.strip_prefix("linux_patch_"));
    let real = names.map(|line| line.split(['{', ' ']).next().unwrap());
    let lines = section(&page, ".Sh METRICS");
    let items = items(&lines);
    let documented = items
        .iter()
        .filter_map(|item| item.head.strip_prefix("Va "))
        .map(|head| head.split(' ').next().unwrap());
    same("metrics", &words(documented), &words(real));
}

#[test]
fn the_options_given_to_apt_are_those_of_the_program() {
    let apt = by_name("apt").unwrap();
    let nothing = Finished::ended(0, "", "");
    let plan = Plan::default();
    let invocations =
        [apt.refresh(Duration::from_secs(120)), apt.download(&plan).unwrap(), apt.install(&plan, &nothing)];
    let args = invocations.iter().flat_map(|invocation| &invocation.args);
    let options: Words = args.filter(|arg| arg.contains("::")).cloned().collect();
    let page = of_managers();
    let text = plain(&section(&page, ".Ss Options given to apt"));
    for option in &options {
        // The time limits are told in words, dpkg's options as dpkg takes them.
        let short = match option.split_once('=') {
            Some((name, _)) if name.ends_with("::Timeout") && !name.starts_with("DPkg::Lock") => name,
            Some(("Dpkg::Options::", value)) => value,
            // What the hook runs is told in words too.
            Some((name @ ("APT::Update::Pre-Invoke::" | "APT::Update::Post-Invoke::"), _)) => name,
            _ => option,
        };
        assert!(text.contains(short), "the page does not name {short}");
    }
    for word in text.split([' ', ',']).filter(|word| word.contains("::")) {
        let word = word.trim_end_matches('.');
        let is_real = options.iter().any(|option| option == word || option.starts_with(&format!("{word}=")));
        assert!(is_real, "apt is not given {word}");
    }
    let repair = apt.repair(&apt.facts().usual_places(), &Default::default())[0].line();
    assert!(repair.starts_with("dpkg ") && repair.ends_with(" --configure -a"), "{repair}");
}

#[test]
fn mandoc_has_nothing_to_say_about_the_pages() {
    for path in [PAGE, REFERENCE, OF_MANAGERS] {
        let lint = std::process::Command::new("mandoc")
            .args(["-Tlint", "-W", "warning"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
            .output()
            .expect("mandoc is needed for this test: apt-get install mandoc");
        let said =
            String::from_utf8_lossy(&lint.stdout).into_owned() + &String::from_utf8_lossy(&lint.stderr);
        // Examples stand near the top, where a reader looks first, and not at the end.
        let is_order = |line: &&str| line.ends_with("sections out of conventional order: Sh ENVIRONMENT");
        let said: Vec<_> = said.lines().filter(|line| !is_order(line)).collect();
        assert!(said.is_empty(), "{said:#?}");
    }
}

#[test]
fn each_manager_has_a_section_and_what_is_fixed_for_all_names_none_but_apt() {
    let of_managers = of_managers();
    for name in
        Cli::command().get_arguments().find(|arg| arg.get_id() == "manager").unwrap().get_possible_values()
    {
        let lines = section(&of_managers, &format!(".Sh {}", name.get_name().to_uppercase()));
        assert!(lines.len() > 10, "there is next to nothing about {}", name.get_name());
    }
    let page = page();
    let fixed = plain(&section(&page, ".Sh NOT CONFIGURABLE"));
    for word in ["dnf", "yum", "zypper", "apk", "pacman"] {
        assert!(!fixed.contains(word), "what concerns {word} belongs in its own section");
    }
}

#[test]
fn each_page_leads_to_the_others() {
    for (page, other) in [
        (page(), "linux-patch-state 5"),
        (page(), "linux-patch-managers 7"),
        (reference(), "linux-patch 8"),
        (of_managers(), "linux-patch 8"),
        (of_managers(), "linux-patch-state 5"),
    ] {
        let lines = section(&page, ".Sh SEE ALSO");
        assert!(lines.iter().any(|line| line.trim_end_matches(" ,") == format!(".Xr {other}")), "{other}");
    }
}

#[test]
fn what_packages_and_installs_ship_is_all_pages() {
    for place in ["Makefile", "Cargo.toml", "README.md", "contrib/ansible/roles/linux_patch/tasks/binary.yml"]
    {
        let text = file(place);
        let said = |page: &str| text.matches(page).count();
        assert!(said(PAGE) > 0, "{place} does not name {PAGE}");
        assert_eq!(said(REFERENCE), said(PAGE), "{place} names one page more often than another");
        assert_eq!(said(OF_MANAGERS), said(PAGE), "{place} names one page more often than another");
    }
}

/// Otherwise a reference to a missing section of the page would look like any other word.
#[test]
fn sections_that_are_referred_to_exist() {
    for (path, text) in pages() {
        for line in text.lines() {
            for (at, _) in line.match_indices("Sx ").filter(|(at, _)| *at == 1 || line[..*at].ends_with(' '))
            {
                let name = line[at + 3..].trim_end_matches([' ', '.', ',', ':', ';']);
                let is_there = [".Sh", ".Ss"].iter().any(|kind| text.contains(&format!("\n{kind} {name}\n")));
                assert!(is_there, "{path}: there is no section {name:?}");
            }
        }
    }
}

fn all_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("contrib/completions") || path.is_symlink() && path.ends_with("man") => {}
            true => all_files(&path, found),
            false => found.push(path),
        }
    }
}

/// The files of contrib/, except the completions, which are generated, and the link to the manual pages.
fn contrib() -> Vec<(String, String)> {
    let mut found = Vec::new();
    all_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib"), &mut found);
    found.sort();
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
    found.into_iter().map(read).collect()
}

/// The arguments of every `linux-patch` that is called in a line of shell, systemd or cron.
fn calls(line: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for (at, _) in line.match_indices("linux-patch ") {
        let before = line[..at].strip_suffix("/usr/bin/").or(line[..at].strip_suffix("/usr/local/bin/"));
        let before = before.unwrap_or(&line[..at]);
        // These only ask whether it is there.
        let is_asked_for = ["command -v ", "[ ! -x "].iter().any(|words| before.ends_with(words));
        if !is_asked_for && (before.is_empty() || before.ends_with([' ', '=', '\'', '"', '('])) {
            calls.push(arguments(&line[at + "linux-patch ".len()..]));
        }
    }
    calls
}

/// Words as a shell makes them, up to the end of the command.
fn arguments(text: &str) -> Vec<String> {
    let mut arguments = vec!["linux-patch".to_string()];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, end) = match first {
            '\'' | '"' => match rest[1..].find(first) {
                Some(close) => (&rest[1..1 + close], close + 2),
                // It closes a string in which the whole command stands.
                None => break,
            },
            '|' | ';' | '&' | '>' | '<' | ')' | '#' | '`' => break,
            _ => {
                let end = rest.find([' ', ';', '\'', '"', ')', '|']).unwrap_or(rest.len());
                (&rest[..end], end)
            }
        };
        // Nagios puts the options of a service there.
        if word != "$ARG1$" {
            arguments.push(word.to_string());
        }
        rest = rest[end..].trim_start();
    }
    arguments
}

#[test]
fn every_command_line_shown_is_understood() {
    let mut code: Vec<(String, String)> = Vec::new();
    for (path, text) in pages() {
        code.extend(Code::of_page(&text).lines().into_iter().map(|line| (path.clone(), line)));
    }
    code.extend(Code::of_markdown(&readme()).lines().into_iter().map(|line| ("README.md".to_string(), line)));
    for (path, text) in docs() {
        code.extend(Code::of_markdown(&text).lines().into_iter().map(|line| (path.clone(), line)));
    }
    for (path, text) in contrib() {
        // Comments are prose, except for commands with their path.
        let is_call = |line: &&str| !line.starts_with('#') || line.contains("bin/linux-patch ");
        code.extend(text.lines().filter(is_call).map(|line| (path.clone(), line.to_string())));
    }
    let mut of = Words::new();
    for (place, line) in code {
        for call in calls(&line) {
            let words: Vec<_> = call.iter().map(std::ffi::OsString::from).collect();
            if let Some(error) =
                Cli::read(&words).err().filter(|error| error.kind() != ErrorKind::DisplayHelp)
            {
                panic!("{place}: {line}\n{call:?}\n{error}");
            }
            of.insert(place.clone());
        }
    }
    assert!(of.len() >= 6, "command lines were found in {of:?} only");
}

#[test]
fn calls_are_found_in_shell_systemd_and_cron() {
    let found = |line: &str| calls(line).into_iter().map(|call| call[1..].join(" ")).collect::<Vec<_>>();
    assert_eq!(found("17 * * * * root linux-patch refresh --quiet"), ["refresh --quiet"]);
    assert_eq!(found("ExecStart=/usr/bin/linux-patch apply"), ["apply"]);
    assert_eq!(found("ssh h 'linux-patch status' || exit"), ["status"]);
    assert_eq!(
        found("linux-patch apply --exclude 'a-*' | tee x; linux-patch status"),
        ["apply --exclude a-*", "status"]
    );
    assert_eq!(found("command -v linux-patch >/dev/null || exit 0; linux-patch status"), ["status"]);
    assert_eq!(found("[ ! -x /usr/bin/linux-patch ] || /usr/bin/linux-patch apply"), ["apply"]);
    assert!(found("install target/release/linux-patch /usr/local/bin").is_empty());
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = file("Makefile");
    let is_target = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    let mut found = 0;
    let own = ["README.md", "CONTRIBUTING.md"].map(|name| (name.to_string(), file(name)));
    for (document, text) in docs().into_iter().chain(own) {
        for line in Code::of_markdown(&text).lines() {
            if let Some(target) =
                line.trim_start().strip_prefix("make ").and_then(|rest| rest.split(' ').next())
            {
                assert!(is_target(target), "{document}: there is no target {target}");
                found += 1;
            }
        }
    }
    assert!(found > 0, "no call of make was found");
}

/// As `MODULE::NAME` or, behind "scenario", as `NAME`; of a name its beginning is enough.
#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    ["src", "tests"].iter().for_each(|dir| all_files(&root.join(dir), &mut sources));
    let is_in = |module: &str, name: &str| {
        let mut of_module = sources.iter().filter(|path| {
            let dir = path.parent().and_then(Path::file_name);
            path.file_stem().is_some_and(|stem| stem == module) || dir.is_some_and(|dir| dir == module)
        });
        let defines = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            ["fn", "mod"].iter().any(|word| text.contains(&format!("{word} {name}")))
        };
        of_module.any(|path| path.extension().is_some_and(|end| end == "rs") && defines(path))
    };
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let text = file("docs/reliability.md");
    let mut found = 0;
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let mut is_scenario = false;
        for (nth, part) in row.split('`').enumerate() {
            if nth % 2 == 0 {
                let goes_on = matches!(part.trim(), "," | "and");
                is_scenario = part.trim_end().ends_with("scenario")
                    || part.trim_end().ends_with("scenarios")
                    || (is_scenario && goes_on);
                continue;
            }
            is_scenario &= is_word(part);
            let scenario = Some(("scenarios", part)).filter(|_| is_scenario);
            let named = part.split(' ').next_back().and_then(|word| word.rsplit_once("::")).or(scenario);
            let Some((module, name)) = named.filter(|(module, name)| is_word(module) && is_word(name)) else {
                continue;
            };
            if module.starts_with(|first: char| first.is_ascii_lowercase()) {
                assert!(is_in(module, name), "there is no test {module}::{name}, of {part:?}");
                found += 1;
            }
        }
    }
    assert!(found > 100, "only {found} tests are named");
}

#[test]
fn what_the_page_says_of_packages_is_in_them() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/systemd");
    let names =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let timers = names.filter(|name| name.ends_with(".timer"));
    let page = page();
    let of_page = |dir: &str| {
        let lines = section(&page, ".Sh FILES");
        words(items(&lines).iter().filter_map(|item| item.head.strip_prefix("Pa ")?.strip_prefix(dir)))
    };
    same("timers", &of_page("/usr/lib/systemd/system/"), &words(timers));
    let docs = of_page("/usr/share/doc/linux-patch/");
    assert!(!docs.is_empty());
    let manifest = file("Cargo.toml");
    for name in docs {
        // One for dpkg and one for rpm.
        assert!(file(&format!("docs/{name}")).len() > 100);
        let said = manifest.matches(&format!("\"docs/{name}\"")).count();
        let said = said + manifest.matches("\"docs/*.md\"").count();
        assert_eq!(said, 2, "{name} is not in both packages");
    }
}

#[test]
fn links_lead_somewhere() {
    let own = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "DECISIONS.md"]
        .map(|name| (name.to_string(), file(name)));
    let mut found = 0;
    for (document, text) in docs().into_iter().chain(own) {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(&document);
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap();
            let is_elsewhere = target.is_empty() || target.contains("://");
            let there = dir.parent().unwrap().join(target);
            assert!(is_elsewhere || there.exists(), "{document}: there is no {target}");
            found += 1;
        }
    }
    assert!(found > 10, "{found} links were found");
}

#[test]
fn the_readme_asks_for_the_rust_of_the_manifest() {
    let version = format!("Rust {}", env!("CARGO_PKG_RUST_VERSION"));
    assert!(readme().contains(&version), "README.md does not ask for {version}");
}
