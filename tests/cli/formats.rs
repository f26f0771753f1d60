//! The forms of standard output: one JSON document, a line of a monitoring plugin, metrics, text.

use crate::machine::{ago, boot_id, cut_off, fail, fresh_state};
use crate::world::World;
use serde_json::{Value, json};

/// States of every kind, with the exit code of `status` on them.
fn states() -> Vec<(&'static str, i32, Option<Value>)> {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut state = fresh_state(100);
        change(&mut state);
        Some(state)
    };
    vec![
        ("missing", 3, None),
        ("fresh", 0, with(&|_| {})),
        ("old", 1, with(&|state| *state = fresh_state(200_000))),
        ("partial", 1, with(&|state| fail(state, "partial", 50))),
        ("failed", 2, with(&|state| fail(state, "failed", 50))),
        ("future", 3, with(&|state| *state = fresh_state(-7200))),
        ("newer", 3, with(&|state| state["version"] = json!(2))),
        ("no state", 3, with(&|state| *state = json!([1, 2]))),
        ("outdated", 0, with(&|state| state["pending"]["database"] = json!("0"))),
        ("uncounted", 0, with(&|state| state["pending"] = json!(null))),
        ("cannot tell", 0, with(&|state| state["pending"]["security"] = json!(null))),
        ("cut off", 1, with(&|state| state["apply"]["in_progress"] = cut_off("install"))),
        (
            "hostile",
            2,
            with(&|state| {
                fail(state, "failed", 50);
                let text = "a|b\n'c' = 1;2 \"q\" \\ \u{1b}[31m # EOF\t√";
                state["last_update_error"]["message"] = json!(text);
                state["sources"][0]["id"] = json!(text);
                state["pending"]["packages"][0]["name"] = json!(text);
                let mut apply = cut_off(text);
                apply["boot_id"] = json!("another");
                state["apply"]["in_progress"] = apply;
                state["reboot_required"] = json!(true);
                state["reboot_boot_id"] = json!(boot_id());
            }),
        ),
    ]
}

/// What each format prints on each of the states.
fn printed(format: &str) -> Vec<(&'static str, i32, String)> {
    let rows = states().into_iter().map(|(name, code, state)| {
        let world = World::new();
        if let Some(state) = state {
            world.write_state(&state);
        }
        let ran = world.run(&format!("status --format {format}"));
        assert_eq!(ran.code, code, "{name}: {}", ran.stdout);
        assert_eq!(ran.stderr, "", "{name}");
        if format == "json" {
            ran.json();
        }
        (name, code, ran.stdout)
    });
    rows.collect()
}

/// A label and its value with unit, thresholds and limits, as the Monitoring Plugins guidelines
/// write them: `label=value[UOM];[warn];[crit];[min];[max]`.
fn perfdata(word: &str) -> (String, String) {
    let (label, rest) = word.split_once('=').expect("a label and a value");
    assert!(!label.is_empty() && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    let fields: Vec<_> = rest.split(';').collect();
    assert!(fields.len() <= 5, "{word}");
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = fields[0];
    assert!(value == "U" || digits(value.strip_suffix('s').unwrap_or(value)), "{word}");
    assert!(fields[1..].iter().all(|field| field.is_empty() || digits(field)), "{word}");
    (label.to_string(), value.to_string())
}

#[test]
fn nagios_output_is_one_line_with_performance_data_by_the_guidelines() {
    for (name, code, text) in printed("nagios") {
        let word = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][code as usize];
        assert!(text.starts_with(&format!("PATCH {word}: ")), "{name}: {text}");
        assert!(text.ends_with('\n') && text.lines().count() == 1, "{name}: {text}");
        assert!(!text.trim_end().contains(char::is_control), "{name}: {text:?}");
        assert_eq!(text.matches('|').count(), 1, "{name}: {text}");
        let (_, data) = text.trim_end().split_once(" | ").unwrap();
        let values: Vec<_> = data.split(' ').map(perfdata).collect();
        let labels: Vec<_> = values.iter().map(|(label, _)| label.as_str()).collect();
        let expected = [
            "age",
            "pending",
            "security",
            "held_back",
            "failed_sources",
            "reboot_required",
            "outdated_services",
            "security_age",
            "security_held_back",
        ];
        assert_eq!(labels, expected, "{name}");
        let value = |label: &str| values.iter().find(|pair| pair.0 == label).unwrap().1.as_str();
        match name {
            "fresh" => {
                assert!(data.starts_with("age=10") && data.contains("s;14400;;0 "), "{data}");
                assert_eq!((value("pending"), value("security"), value("failed_sources")), ("1", "1", "0"));
            }
            "missing" | "future" => assert_eq!(value("age"), "U", "{name}"),
            // Never an old number as the current one.
            "outdated" | "uncounted" => assert_eq!((value("pending"), value("held_back")), ("U", "U")),
            "cannot tell" => assert_eq!((value("pending"), value("security")), ("1", "U")),
            "failed" => assert_eq!(value("failed_sources"), "1"),
            "hostile" => assert_eq!(value("reboot_required"), "1"),
            _ => {}
        }
    }
}

/// The metric, labels and value of one sample line.
fn sample(line: &str) -> (String, String, i64) {
    let (name_and_labels, value) = line.rsplit_once(' ').expect("a sample has a value");
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let (name, labels) = match name_and_labels.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').expect("labels are closed")),
        None => (name_and_labels, ""),
    };
    assert!(name.starts_with("linux_patch_"), "{line}");
    assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
    let pairs = match labels.split_once("\",version=") {
        Some((manager, version)) if name == "linux_patch_info" => {
            vec![format!("{manager}\""), format!("version={version}")]
        }
        _ => vec![labels.to_string()],
    };
    for labels in pairs.iter().filter(|labels| !labels.is_empty()) {
        let (key, quoted) = labels.split_once("=\"").expect("a label has a quoted value");
        assert!(["status", "source", "version", "manager", "class"].contains(&key), "{line}");
        let inner = quoted.strip_suffix('"').expect("the quotes are closed");
        let mut chars = inner.chars();
        while let Some(char) = chars.next() {
            assert!(char != '"' && char != '\n', "{line}");
            if char == '\\' {
                assert!(matches!(chars.next(), Some('\\' | '"' | 'n')), "{line}");
            }
        }
    }
    (name.to_string(), labels.to_string(), value)
}

#[test]
fn every_line_of_the_metrics_can_be_read_and_the_page_has_its_end() {
    for (state, code, text) in printed("openmetrics") {
        assert!(text.ends_with("\n# EOF\n"), "{state}: {text}");
        assert_eq!(text.lines().filter(|line| *line == "# EOF").count(), 1, "{state}: {text}");
        let mut samples = Vec::new();
        let mut families: Vec<String> = Vec::new();
        for line in text.strip_suffix("# EOF\n").unwrap().lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (family, words) = help.split_once(' ').unwrap();
                assert!(!words.is_empty() && !families.contains(&family.to_string()), "{state}: {line}");
                families.push(family.to_string());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                assert_eq!(kind, format!("{} gauge", families.last().unwrap()), "{state}");
            } else {
                let read = sample(line);
                // OpenMetrics: the lines of a family must follow each other.
                assert_eq!(Some(&read.0), families.last(), "{state}: {line}");
                samples.push(read);
            }
        }
        let value = |name: &str, labels: &str| {
            let found = samples.iter().find(|(n, l, _)| *n == format!("linux_patch_{name}") && l == labels);
            found.map(|found| found.2)
        };
        assert_eq!(value("exit_code", ""), Some(i64::from(code)), "{state}");
        let words = ["fresh", "stale", "failed", "unknown"];
        for (number, word) in words.iter().enumerate() {
            // The verdict on the index does not depend on the last apply.
            let verdict = if state == "cut off" { 0 } else { code };
            let holds = i64::from(number as i32 == verdict);
            assert_eq!(value("cache_status", &format!("status=\"{word}\"")), Some(holds), "{state}");
        }
        match state {
            "fresh" => {
                assert_eq!(value("pending_updates", ""), Some(1));
                assert_eq!(value("source_up", "source=\"http://a stable\""), Some(1));
                assert_eq!(value("refresh_total", ""), Some(4));
            }
            "partial" => assert_eq!(value("source_up", "source=\"http://a stable\""), Some(0)),
            "outdated" | "uncounted" => assert_eq!(value("pending_updates", ""), None, "{state}"),
            "cut off" => assert_eq!(value("apply_interrupted", ""), Some(1)),
            _ => {}
        }
    }
}

#[test]
fn json_has_one_document_on_every_state_and_the_details_of_status() {
    for (name, _, text) in printed("json") {
        let doc: Value = serde_json::from_str(&text).unwrap();
        let age = doc["age_seconds"].as_i64();
        assert_eq!(
            age.is_some(),
            !["missing", "future", "newer", "no state"].contains(&name),
            "{name}: {age:?}"
        );
        assert_eq!(doc["apply_interrupted"], ["cut off", "hostile"].contains(&name), "{name}");
        if name == "outdated" {
            assert_eq!(doc["pending"]["outdated"], true);
        }
    }
}

#[test]
fn text_begins_with_the_verdict_and_every_line_is_printable() {
    for (name, code, text) in printed("text") {
        let first = text.lines().next().unwrap();
        let word = match name {
            "cut off" => "degraded: ",
            _ => ["fresh: ", "stale: ", "failed: ", "unknown: "][code as usize],
        };
        assert!(first.starts_with(word), "{text}");
        assert!(text.ends_with('\n'), "{name}");
        assert!(text.lines().all(|line| !line.contains(char::is_control)), "{name}: {text:?}");
        match name {
            "fresh" => assert!(first.contains("1 update pending (1 security), 1 held back"), "{first}"),
            "outdated" => assert!(first.contains("outdated"), "{first}"),
            "partial" | "failed" => {
                assert!(
                    text.contains("\nsource http://a stable: fetch: as above (last refreshed "),
                    "{text}"
                );
                assert_eq!(text.matches("404 Not Found").count(), 1, "each error is said once: {text}");
            }
            "cut off" => {
                assert!(text.contains("dpkg --force-confdef --force-confold --configure -a"), "{text}")
            }
            _ => {}
        }
    }
}

#[test]
fn every_command_prints_exactly_one_document_whatever_becomes_of_it() {
    let breaks: [(&str, &str); 7] = [
        ("update", "exit 0"),
        ("update", "exit 100"),
        ("simulate", "exit 100"),
        ("download", "echo 'E: Unable to locate package x' >&2; exit 100"),
        ("install", "exit 1"),
        ("dpkg-query", "exit 2"),
        ("apt-cache", "kill -9 $$"),
    ];
    for (verb, script) in breaks {
        for args in ["refresh", "status", "status --history", "status --refresh", "apply", "apply --dry-run"]
        {
            let world = World::new();
            world.on(verb, script);
            world.json(args);
        }
    }
    let world = World::new();
    world.json("apply");
    let history = world.json("status --history")["history"].clone();
    assert_eq!(history[0]["command"], "apply", "{history}");
    assert!(history[0]["time"].as_str().unwrap() <= ago(0).as_str());
}

#[test]
fn text_lists_the_first_twenty_and_all_of_them_with_verbose() {
    let world = World::new();
    let mut state = fresh_state(100);
    let row = |nth: usize| json!({"name": format!("tb-{nth}"), "installed": "1", "candidate": "2", "security": false, "source": "s"});
    let held = |nth: usize| json!({"name": format!("tb-held-{nth}"), "installed": "1", "candidate": "2", "reason": "held", "security": false});
    state["pending"]["count"] = json!(30);
    state["pending"]["security"] = json!(0);
    state["pending"]["packages"] = (0..30).map(row).collect();
    state["pending"]["held_back"] = (0..25).map(held).collect();
    world.write_state(&state);
    // From now on it is laid out as the program does it: a status need not read it to its end.
    assert_eq!(world.run("refresh --if-stale").code, 0);
    assert!(world.read("state/state.json").starts_with("{\"summary\":"));
    let rows = |text: &str| text.lines().filter(|line| line.starts_with("  tb-")).count();
    let short = world.run("status").stdout;
    assert_eq!(rows(&short), 40, "{short}");
    assert!(short.contains("\n  and 10 more\n") && short.contains("\n  and 5 more\n"), "{short}");
    let whole = world.run("status --verbose").stdout;
    assert_eq!(rows(&whole), 55, "{whole}");
    assert!(!whole.contains(" more\n"), "{whole}");
}
