//! Whole results in every format, compared with the files beside this one: a changed line shows what a user will see.
//! `UPDATE_GOLDEN=1` writes them again.

#[path = "../replay/mod.rs"]
mod replay;

use linux_patch::managers::{Damage, MANAGERS, Machine, Plan};
use linux_patch::model::class::Class;
use linux_patch::model::exit_code::ExitCode;
use linux_patch::model::failure::Failure;
use linux_patch::model::listing::Listing;
use linux_patch::model::updates::Update;
use linux_patch::report::alert::Alert;
use linux_patch::report::print::Format;
use linux_patch::report::{Applied, Detail, Report};
use linux_patch::store::health::Verdict;
use linux_patch::store::health::judge;
use linux_patch::store::health::{Life, Unfinished, apply_trouble};
use linux_patch::store::history::Entry;
use linux_patch::store::state::State;
use linux_patch::store::state_file::{Loaded, parse};
use linux_patch::system::process::{Finished, Invocation};
use linux_patch::system::time::Time;
use replay::Replay;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
/// 2026-05-27 13:00:00 UTC.
const NOW: i64 = 1_779_886_800;
const MAX_AGE: Duration = Duration::from_secs(4 * 3600);

fn state(name: &str, change: impl Fn(&mut Value)) -> Box<State> {
    let text = std::fs::read_to_string(format!("{DIR}/{name}.json")).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    change(&mut value);
    match parse(value.to_string().as_bytes()) {
        Loaded::Good(state) => state,
        other => panic!("{other:?}"),
    }
}

/// A status of this state at a fixed moment, on a machine of which nothing else is known.
fn status(state: Box<State>) -> Report {
    let loaded = Loaded::Good(state);
    let now = Time::from_unix(NOW).unwrap();
    let verdict = judge(&loaded, now, MAX_AGE.as_secs() as i64, false);
    let (exit, reason) = (verdict.code, verdict.reason.clone());
    let mut report = Report::new("status", exit, reason, loaded, MAX_AGE);
    report.now = now;
    report.health.verdict = verdict;
    report.health.pending_outdated = false;
    report.health.reboot_required = false;
    report.health.reboot_required_since = None;
    report.health.reboot_scheduled_at = None;
    report.health.outdated_services = report.state.as_ref().and_then(|state| state.outdated_services.clone());
    report.health.unfinished = None;
    report.detail = Detail::Status { history: None, explanation: None };
    report
}

/// Makes the last refresh a complete one.
fn well(state: &mut Value) {
    state["last_attempt"]["outcome"] = "fresh".into();
    state["last_update_error"] = Value::Null;
    state["last_update_success"] = true.into();
    for at in [1, 2] {
        state["sources"][at]["error"] = Value::Null;
        state["sources"][at]["last_success"] = state["last_attempt"]["finished_at"].clone();
    }
}

/// The report in every form, one below the other.
fn in_every_form(report: &Report) -> String {
    let mut all = format!("exit code {}\n", report.exit.code());
    let mut add = |title: &str, text: Option<String>| {
        all += &format!("\n===== {title}\n{}", text.unwrap_or_else(|| "(nothing)\n".to_string()));
    };
    add("text", report.render(Format::Text, false));
    add("text, --quiet", report.render(Format::Text, true));
    if report.command == "status" {
        add("nagios", report.render(Format::Nagios, false));
        let verbose = Report { is_verbose: true, ..report.clone() };
        add("nagios, --verbose", verbose.render(Format::Nagios, false));
        add("openmetrics", report.render(Format::Openmetrics, false));
    }
    let json: Value = serde_json::from_str(&report.render(Format::Json, false).unwrap()).unwrap();
    add("json", Some(serde_json::to_string_pretty(&json).unwrap() + "\n"));
    all
}

#[track_caller]
fn compare(name: &str, report: &Report) {
    compare_text(name, &in_every_form(report).replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[track_caller]
fn compare_text(name: &str, shown: &str) {
    let path = Path::new(DIR).join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, shown).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = shown.lines().zip(kept.lines()).find(|(new, old)| new != old);
    assert!(
        shown == kept,
        "tests/golden/{name}.txt shows something else, at {differing:?}; if it is to be so: UPDATE_GOLDEN=1"
    );
}

#[test]
fn a_state_in_which_every_field_says_something() {
    let mut report = status(state("full", |_| {}));
    report.health.reboot_required = true;
    report.health.reboot_required_since = Time::from_unix(NOW - 90_000);
    report.health.reboot_scheduled_at = Time::from_unix(NOW + 3600);
    report.critical_age = Some(7 * 86400);
    let entry = |command: &str, exit_code, class, message: &str, duration_ms, packages| Entry {
        time: Time::from_unix(NOW - 5000).unwrap(),
        command: command.into(),
        exit_code: Some(exit_code),
        class,
        message: message.into(),
        duration_ms: Some(duration_ms),
        packages: Some(packages),
        changes: Vec::new(),
        dry_run: false,
        open_for: Vec::new(),
    };
    let changes = ["tb-c", "tb-d"].map(|name| {
        serde_json::from_value(serde_json::json!({"name": name, "from": "1", "to": "2"})).unwrap()
    });
    let killed = Entry {
        exit_code: None,
        duration_ms: None,
        packages: None,
        ..entry("apply", 0, Some(Class::Interrupted), "the apply did not end", 0, 0)
    };
    let history = vec![
        killed,
        Entry { dry_run: true, ..entry("apply", 0, None, "3 packages would change", 900, 3) },
        entry("refresh", 1, Some(Class::Fetch), "b: 404", 1234, 0),
        Entry { changes: changes.to_vec(), ..entry("apply", 0, None, "2 packages changed", 65_400, 2) },
    ];
    report.detail = Detail::Status { history: Some(history), explanation: None };
    compare("full", &report);
}

#[test]
fn alerts_make_a_fresh_index_worse() {
    let mut report = status(state("full", well));
    report.health.reboot_required = true;
    report.asked = [
        "updates:2",
        "updates:3=critical",
        "security=critical",
        "held-back:2",
        "reboot",
        "services=critical",
        "security-age:3d",
        "support:60d",
        "mirror:14d",
        "mirror:14d@*b.example*",
        "apply",
    ]
    .map(|text| Alert::parse(text).unwrap())
    .to_vec();
    for alert in report.asked.clone() {
        if let Some((level, words)) =
            report.state.as_deref().and_then(|state| alert.of(state, &report.health, report.now))
        {
            report.raise(vec![(level, words)]);
        }
    }
    compare("alerts", &report);
}

#[test]
fn the_end_of_support_is_told_from_ninety_days_before_on() {
    for (day, words) in [
        ("2026-05-26", "support ended on 2026-05-26: no further updates will come"),
        ("2026-05-27", "support ends on 2026-05-27"),
        ("2026-08-24", "support ends on 2026-08-24"),
        ("2026-08-25", ""),
    ] {
        let report = status(state("full", |state| {
            well(state);
            state["support_ends"] = day.into();
        }));
        let text = report.render(Format::Text, false).unwrap();
        let told: Vec<_> = text.lines().filter(|line| line.contains("support end")).collect();
        assert_eq!(told.join(" "), words, "{text}");
    }
}

#[test]
fn what_is_not_known_is_never_a_number() {
    let mut report = status(state("full", |state| {
        for key in ["count", "security", "packages", "held_back", "basis", "database"] {
            state["pending"][key] = Value::Null;
        }
        state["pending"]["error"] = serde_json::json!({"class": "dependency", "message": "unmet: tb-x"});
        for key in ["last_cache_update", "last_cache_boot"] {
            state[key] = Value::Null;
        }
        state["apply"]["last"] = Value::Null;
        state["outdated_services"] = Value::Null;
        state["support_ends"] = Value::Null;
    }));
    report.asked = ["updates", "security", "security-age:1d", "held-back=critical", "services", "support"]
        .map(|text| Alert::parse(text).unwrap())
        .to_vec();
    for alert in report.asked.clone() {
        if let Some((level, words)) =
            report.state.as_deref().and_then(|state| alert.of(state, &report.health, report.now))
        {
            report.raise(vec![(level, words)]);
        }
    }
    compare("unknown", &report);
}

/// More packages than a list shows, names longer than a line, two sources that look alike, and words that mean
/// something in a format.
#[test]
fn what_is_too_long_or_means_something_else_is_cut_and_told_apart() {
    let mut report = status(state("full", |state| {
        well(state);
        let package = |at: usize| {
            let name = format!("tb-{at:02}-{}", "long".repeat(if at == 3 { 100 } else { 25 }));
            serde_json::json!({"name": name, "installed": "1|a;b", "candidate": "2 ' \"", "security": at % 20 == 3})
        };
        state["pending"]["packages"] = (0..40).map(package).collect();
        state["pending"]["count"] = 40.into();
        state["pending"]["security"] = 2.into();
        state["pending"]["held_back"] = (0..21)
            .map(|at| serde_json::json!({"name": format!("tb-h{at}"), "candidate": "2", "reason": "held\u{1b}[31m"}))
            .collect();
        // The first of them failed.
        state["sources"][0]["id"] = "http://b.example \\ \"stable\"\n".into();
        state["sources"][0]["error"] = serde_json::json!({"class": "network", "message": "it | fell; \u{7}"});
        state["sources"][1]["id"] = "http://b.example \\ \"stable\"".into();
        end_well(state);
        state["apply"]["last"]["packages"] = serde_json::json!([]);
    }));
    report.asked = ["updates:300", "updates:250", "updates:400=critical", "updates:500=critical"]
        .map(|text| Alert::parse(text).unwrap())
        .to_vec();
    compare("long", &report);
}

/// The last apply succeeded.
fn end_well(state: &mut Value) {
    state["apply"]["last"]["error"] = Value::Null;
    state["apply"]["last"]["outcome"] = "success".into();
}

#[test]
fn an_apply_that_has_begun_and_not_ended() {
    let begun = |life, repair: Option<&str>| {
        let mut report = status(state("full", |state| {
            well(state);
            end_well(state);
        }));
        report.health.unfinished = Some(Unfinished {
            life,
            since: Time::from_unix(NOW - 300).unwrap(),
            phase: "install".into(),
            repair: repair.map(str::to_string),
        });
        let state = report.state.as_deref().unwrap();
        report.health.apply_trouble = apply_trouble(state, report.health.unfinished.as_ref());
        report.tell_apply_trouble();
        report
    };
    compare("cut-off", &begun(Life::Gone, Some("dpkg --configure -a")));
    compare("running", &begun(Life::Running, None));
    compare("not-seen", &begun(Life::NotKnown, None));
}

#[test]
fn a_failed_apply_on_a_fresh_index_is_told_first() {
    let mut report = status(state("full", |state| {
        well(state);
        state["apply"]["last"]["log"] = "/var/log/linux-patch/y.log".into();
    }));
    report.health.apply_trouble = apply_trouble(report.state.as_deref().unwrap(), None);
    report.tell_apply_trouble();
    compare("trouble", &report);
}

#[test]
fn an_outdated_count_is_marked_in_every_form() {
    let mut report = status(state("full", |_| {}));
    report.health.pending_outdated = true;
    compare("outdated", &report);
}

#[test]
fn a_state_of_the_first_version_of_the_program() {
    compare("older", &status(state("older", |_| {})));
}

#[test]
fn a_machine_that_was_never_refreshed() {
    let loaded = Loaded::Missing;
    let verdict = judge(&loaded, Time::from_unix(NOW).unwrap(), MAX_AGE.as_secs() as i64, false);
    let mut report = Report::new("status", verdict.code, verdict.reason, loaded, MAX_AGE);
    report.detail = Detail::Status { history: None, explanation: None };
    compare("never", &report);
}

#[test]
fn a_run_that_was_refused() {
    compare("refused", &Report::refused("status", "the state has version 2".into()));
}

/// Whatever a manager said, the reason is one line, and of limited length.
#[test]
fn a_reason_is_one_printable_line_of_some_length() {
    let words = format!("http://user:secret@a: it\nPATCH OK: fresh\u{1b}[31m {}", "and so on ".repeat(1000));
    let loaded = || Loaded::Good(state("full", |_| {}));
    for report in [
        Report::new("refresh", ExitCode::Failed, words.clone(), loaded(), MAX_AGE),
        Report::refused("refresh", words.clone()),
    ] {
        assert!(report.reason.contains("it PATCH OK: fresh [31m and so on and"), "{}", report.reason);
        assert!(!report.reason.contains(char::is_control) && !report.reason.contains("secret"));
        assert!((1000..2010).contains(&report.reason.chars().count()), "{}", report.reason.len());
    }
}

#[test]
fn a_refresh_in_part() {
    let mut report = Report { command: "refresh", ..status(state("full", |_| {})) };
    report.exit = ExitCode::Stale;
    report.reason = "b: 404".into();
    report.detail =
        Detail::Refresh { refreshed: true, joined: true, error: Some(Failure::new(Class::Fetch, "b: 404")) };
    compare("refresh", &report);
}

#[test]
fn an_apply_with_everything_that_it_can_say() {
    let state = state("full", |_| {});
    let mut changed = state.apply.last.as_ref().unwrap().packages.clone();
    changed[0].open_seconds = Some(200_000);
    let held_back = state.pending.as_ref().unwrap().left_out_by_us();
    let applied = Applied {
        retried: true,
        repaired: true,
        packages: changed,
        held_back,
        dry_run: false,
        too_late: false,
        download_bytes: None,
        reboot_expected: None,
        config_files: vec!["/etc/tb-c.conf.dpkg-dist".into()],
        error: None,
        reboot_scheduled: true,
        reboot_at: Time::from_unix(NOW + 3600),
        log: Some("/var/log/linux-patch/x.log".into()),
    };
    let mut report = Report { command: "apply", ..status(state) };
    report.exit = ExitCode::Stale;
    report.reason = "2 packages changed; part of the index is stale".into();
    report.detail = Detail::Apply(applied.clone());
    compare("apply", &report);

    report.exit = ExitCode::Failed;
    report.reason = "script: tb-c: the script failed".into();
    let error = Some(Failure::new(Class::Script, "tb-c: the script failed"));
    report.health.reboot_required = true;
    report.detail =
        Detail::Apply(Applied { error, reboot_scheduled: false, reboot_at: None, ..applied.clone() });
    compare("apply-failed", &report);

    report.exit = ExitCode::Fresh;
    report.reason = "2 packages would change".into();
    let many = (0..25).map(|at| linux_patch::model::updates::Change {
        name: format!("tb-{at}"),
        ..applied.packages[0].clone()
    });
    report.detail = Detail::Apply(Applied {
        dry_run: true,
        packages: many.collect(),
        download_bytes: Some(1_600_000),
        reboot_expected: Some(true),
        ..Applied::default()
    });
    compare("apply-dry-run", &report);
}

/// A verdict that has no place elsewhere: `Verdict` is what `status` compares with `--max-age`.
#[test]
fn an_index_that_is_too_old() {
    let mut report = status(state("full", |state| {
        well(state);
        state["last_cache_update"] = "2026-05-27T08:59:59Z".into();
    }));
    let Verdict { code, .. } = report.health.verdict;
    assert_eq!(code, ExitCode::Stale);
    report.critical_age = Some(14_000);
    report.raise(vec![(ExitCode::Failed, "older than 3 h 53 min".into())]);
    compare("old", &report);
}

/// Every command line that a manager gets. One option less may mean requests to a mirror, a question that waits for
/// ever, or output in another form.
#[test]
fn every_command_line_of_every_manager() {
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
    let chosen = Plan {
        full: true,
        without: names(&["base"]),
        only_sources: names(&["extra"]),
        left_out: names(&["tb-held"]),
        kept: names(&["tb-held", "tb-kept"]),
        passed_over: [("tb-old".to_string(), "3".to_string())].into(),
        leave_out_file: Some("/state/selection".into()),
        ..Plan::default()
    };
    let mut all = String::new();
    for manager in MANAGERS {
        all += &format!("\n===== {}\n", manager.facts().name);
        let mut add = |what: &str, invocation: &Invocation| {
            let Invocation { env, env_defaults, vars, progress_arg, settings, private_arg, .. } = invocation;
            all += &format!("{what}: {}\n", invocation.line());
            let fixed = env.iter().chain(*env_defaults).map(|(key, value)| format!(" {key}={value}"));
            let files = vars.iter().map(|(key, path)| format!(" {key}={}", path.display()));
            let environment = fixed.chain(files).collect::<String>();
            all += &if environment.is_empty() { environment } else { format!("    with{environment}\n") };
            for more in
                progress_arg.iter().chain(private_arg).chain(Some(settings).filter(|text| !text.is_empty()))
            {
                all += &format!("    {}\n", more.trim_end().replace('\n', "\n    "));
            }
        };
        let (plain, places, ended) =
            (Plan::default(), manager.facts().usual_places(), Finished::ended(0, "", ""));
        add("refresh", &manager.refresh(Duration::from_secs(120)));
        for (which, plan) in [("", &plain), (" of a choice", &chosen)] {
            add(&format!("pending{which}"), &manager.pending(plan));
            add(&format!("list{which}"), &manager.list(plan));
            add(&format!("needs{which}"), &manager.list_needs(plan, &names(&["tb-a"])));
            if let Some(download) = manager.download(plan) {
                add(&format!("download{which}"), &download);
            }
            add(&format!("install{which}"), &manager.install(plan, &ended));
        }
        add("installed", &manager.database().list_installed(&places));
        if let Some(origins) = manager.ask_origins(&["tb-a"]) {
            add("origins", &origins);
        }
        let damage = Damage { broken: names(&["tb-broken"]), ..Damage::default() };
        for repair in manager.repair(&places, &damage) {
            add("repair", &repair);
        }
        let others = manager.finish(&places, &["tb-a"]);
        let commands = [
            ("audit", manager.ask_audit()),
            (
                "configuration",
                manager.own_index(&places.cache).and(manager.locate()).map(|locate| locate.ask()),
            ),
            ("the others", others),
        ];
        for (what, invocation) in commands {
            if let Some(invocation) = invocation {
                add(what, &invocation);
            }
        }
        let machine = Replay::new(*manager, &ended);
        let mut ask = |what: &str, question: &dyn Fn(&dyn Machine)| {
            question(&machine);
            machine.questions.take().iter().for_each(|asked| add(what, asked));
        };
        ask("sources", &|machine| drop(manager.sources(machine)));
        ask("unmet", &|machine| drop(manager.unmet(machine)));
        ask("newer", &|machine| drop(manager.newer(machine)));
        ask("provides", &|machine| drop(manager.database().provides(machine, &["tb-a"])));
        ask("reboot", &|machine| drop(manager.wanting_reboot(machine)));
        ask("hooks", &|machine| drop(manager.may_unpack_on_read_only(machine)));
        ask("security", &|machine| drop(manager.tell_security(machine, &mut replacing())));
        ask("old index", &|machine| drop(manager.arguments_of(machine, names(&["good"]))));
        ask("cut-off runs", &|machine| drop(manager.cut_off_runs(machine)));
        ask("more", &|machine| drop(manager.complete(machine, &chosen, Listing::default())));
    }
    compare_text("commands", &all);
}

/// A list with a package that replaces another one.
fn replacing() -> Listing {
    let text = r#"{"name": "tb-new", "candidate": "2.0", "replaces": ["tb-old"]}"#;
    let mut update: Update = serde_json::from_str(text).unwrap();
    update.replaces = vec!["tb-old".to_string()];
    Listing { updates: vec![update], ..Listing::default() }
}
