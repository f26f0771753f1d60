//! contrib/prometheus in the real promtool, node exporter and Prometheus.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use linux_patch::system::time::Time;
use serde_json::{Value, json};

use crate::daemons::{free_address, get, listens, log_of, need, ours, start};
use crate::machine::{ago, cut_off, fail, fresh_state};
use crate::monitored::Monitored;
use crate::repo::Repo;
use crate::sandbox::Sandbox;
use crate::server::Fault;
use crate::world::World;

const RULES: &str = "contrib/prometheus/linux-patch-rules.yml";
const RULES_TEST: &str = "contrib/prometheus/linux-patch-rules-test.yml";
const DASHBOARD: &str = "contrib/prometheus/linux-patch-dashboard.json";
const DROP_IN: &str = "contrib/prometheus/linux-patch-metrics.conf";
const CRON: &str = "contrib/prometheus/linux-patch-metrics.cron";
/// Where Debian's node exporter looks, and the drop-in writes.
const COLLECTED: &str = "/var/lib/prometheus/node-exporter";

/// States that together have every metric, each with a name.
fn worlds() -> Vec<(&'static str, World)> {
    let world = |change: &dyn Fn(&mut Value)| {
        let world = World::new();
        let mut state = fresh_state(100);
        state["outdated_services"] = json!([]);
        state["support_ends"] = json!("2099-12-31");
        state["sources"][0]["published_at"] = json!(ago(5000));
        state["pending"]["packages"][0]["first_seen"] = json!(ago(4000));
        change(&mut state);
        world.write_state(&state);
        world
    };
    let applied = |error: Value| {
        let outcome = if error.is_null() { "success" } else { "failed" };
        json!({"started_at": ago(90), "finished_at": ago(60), "outcome": outcome, "retried": true,
               "packages": [], "error": error})
    };
    let broken = json!({"class": "script", "message": "E: \"postinst\" {failed} \\ 1"});
    vec![
        ("fresh", world(&|state| state["apply"]["last"] = applied(Value::Null))),
        ("stale", world(&|state| state["source_config"] = json!("another"))),
        (
            "failed",
            world(&|state| {
                fail(state, "failed", 5);
                state["apply"] = json!({"last": applied(broken.clone()), "in_progress": cut_off("install")});
            }),
        ),
        (
            "odd names",
            world(&|state| {
                state["sources"][0]["id"] = json!("http://x/\"a\\b\" \u{1b}[31m {stable} ünï");
                state["pending"] = Value::Null;
            }),
        ),
        ("missing", World::new()),
    ]
}

/// The words in a text that are names of metrics of ours, those of a test's series too.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("linux_patch_")).map(str::to_owned).collect()
}

fn emitted() -> BTreeSet<String> {
    let pages = worlds().into_iter().map(|(_, world)| world.run("status --format openmetrics").stdout);
    let lines = pages.flat_map(|page| page.lines().map(str::to_owned).collect::<Vec<_>>());
    let samples = lines.filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(['{', ' ']).next().unwrap().to_string()).collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&ours(DASHBOARD)).expect("the dashboard is JSON")
}

/// The queries of the panels, with the variables of one machine.
fn questions() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let asked = target["expr"].as_str().unwrap().replace("$job", ".*").replace("$instance", ".*");
            assert!(!asked.contains('$'), "a variable that the dashboard does not have: {asked}");
            found.push((panel["title"].as_str().unwrap().to_string(), asked));
        }
    }
    found
}

#[test]
fn rules_and_dashboard_ask_for_what_the_program_prints() {
    let real = emitted();
    assert!(real.len() >= 20, "{real:?}");
    for path in [RULES, RULES_TEST, DASHBOARD, "docs/monitoring.md"] {
        // Icinga 2 has variables with similar names.
        let text = ours(path);
        let named = metrics_in(text.split("\n## Prometheus\n").last().unwrap_or_default());
        let invented: Vec<_> = named.difference(&real).collect();
        assert!(invented.is_empty(), "{path}: there is no metric {invented:?}");
        assert!(named.len() > 1, "{path}: {named:?}");
    }
    // Each rule is tried by a test, as is each label's value.
    let (rules, tests) = (ours(RULES), ours(RULES_TEST));
    let names: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        assert!(tests.contains(&format!("alertname: {name}\n")), "no test of {name}");
    }
    for word in rules.split("{status=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(["fresh", "stale", "failed", "unknown"].contains(&word), "there is no verdict {word}");
    }
}

#[test]
fn the_dashboard_has_panels_that_do_not_lie_on_each_other() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    assert_eq!(panels.len(), 8);
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "{panel}");
        let place = |key: &str| panel["gridPos"][key].as_i64().unwrap();
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && taken.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
    // A panel that wants a data source of its own would be empty everywhere else.
    assert!(ours(DASHBOARD).matches("\"uid\": \"").count() > 6);
    for rest in ours(DASHBOARD).split("\"uid\": \"").skip(1) {
        assert!(rest.starts_with("${datasource}\"") || rest.starts_with("linux-patch\""), "{rest:.40}");
    }
    assert!(questions().len() >= 6);
}

#[test]
#[ignore = "make integrations"]
fn promtool_takes_the_metrics_of_every_state() {
    need("/usr/bin/promtool", "prometheus");
    for (name, world) in worlds() {
        let ran = world.run("status --format openmetrics");
        let codes = [("fresh", 0), ("stale", 1), ("failed", 2), ("odd names", 0), ("missing", 3)];
        assert!(codes.contains(&(name, ran.code)), "{name} is {}", ran.code);
        let page = ran.stdout;
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && said.is_empty(), "{name}: {said}\n{page}");
    }
}

#[test]
#[ignore = "make integrations"]
fn promtool_takes_the_rules_and_their_tests() {
    need("/usr/bin/promtool", "prometheus");
    for args in [["check", "rules", RULES], ["test", "rules", RULES_TEST]] {
        let ended =
            Command::new("promtool").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && said.contains("SUCCESS"), "{args:?}: {said}");
    }
}

/// The command that the drop-in or the cron file runs.
fn command_of(path: &str) -> String {
    let text = ours(path);
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let line = lines.find(|line| line.contains("/usr/bin/linux-patch status")).expect("a command");
    line[line.find("/usr/bin/linux-patch status").unwrap()..].to_string()
}

/// A machine with two sources, one of them of security updates, whose metrics a real node exporter shows.
struct Machine {
    sandbox: Sandbox,
    sources: [Repo; 2],
    exporter: SocketAddr,
}

impl Machine {
    fn new() -> Machine {
        need("/usr/bin/prometheus-node-exporter", "prometheus-node-exporter");
        need("/usr/bin/prometheus", "prometheus");
        let Monitored { sandbox, sources } = Monitored::new();
        sandbox.sh(&format!("rm -rf {COLLECTED}; mkdir -p {COLLECTED}"));
        let exporter = free_address();
        start(
            &sandbox,
            "exporter",
            &format!(
                "prometheus-node-exporter --collector.disable-defaults --collector.textfile \
                 --collector.textfile.directory={COLLECTED} --web.listen-address={exporter}"
            ),
        );
        listens(&sandbox, "exporter", exporter);
        Machine { sandbox, sources, exporter }
    }

    /// Writes the metrics as the drop-in does, and gives what the exporter shows of them.
    #[track_caller]
    fn written(&self) -> String {
        self.sandbox.run(&["sh", "-c", &command_of(DROP_IN)]);
        self.scraped()
    }

    #[track_caller]
    fn scraped(&self) -> String {
        let page = get(self.exporter, "/metrics");
        assert!(
            page.contains("\nnode_textfile_scrape_error 0\n"),
            "{page}\n{}",
            log_of(&self.sandbox, "exporter")
        );
        page
    }
}

#[track_caller]
fn has(page: &str, line: &str) {
    assert!(page.lines().any(|found| found == line), "no line {line:?} in\n{page}");
}

#[test]
#[ignore = "make integrations"]
fn a_node_exporter_shows_what_every_kind_of_refresh_leaves() {
    let machine = Machine::new();
    // Before anything was refreshed.
    has(&machine.written(), "linux_patch_exit_code 3");
    machine.sandbox.patch(&["refresh"]).exits(0);
    let page = machine.written();
    has(&page, "linux_patch_exit_code 0");
    has(&page, "linux_patch_pending_updates 2");
    has(&page, "linux_patch_pending_security_updates 1");
    has(&page, r#"linux_patch_cache_status{status="fresh"} 1"#);
    // The values are those of the state, and nothing that the program prints is missing.
    let state = machine.sandbox.state();
    let time = |pointer: &str| -> f64 {
        let time: Time = serde_json::from_value(state.pointer(pointer).unwrap().clone()).unwrap();
        time.unix() as f64
    };
    let number = |pointer: &str| state.pointer(pointer).and_then(Value::as_f64).unwrap();
    let shown = |series: &str| -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("{series} ")));
        line.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse().unwrap()
    };
    for (series, value) in [
        ("last_cache_update_timestamp_seconds", time("/last_cache_update")),
        ("last_attempt_timestamp_seconds", time("/last_attempt/finished_at")),
        ("pending_updates", number("/pending/count")),
        ("pending_security_updates", number("/pending/security")),
        ("refresh_total", number("/counters/refresh_total")),
        ("refresh_failed_total", 0.0),
        ("apply_total", 0.0),
        ("held_back_updates", 0.0),
        ("reboot_required", 0.0),
        ("max_age_seconds", 4.0 * 3600.0),
    ] {
        assert_eq!(shown(&format!("linux_patch_{series}")), value, "{series}");
    }
    assert!(number("/counters/refresh_total") > 0.0 && number("/pending/count") > 0.0);
    assert_eq!(page.matches("\nlinux_patch_source_up{").count(), 2, "{page}");
    let printed = machine.sandbox.run(&["linux-patch", "status", "--format", "openmetrics"]).stdout;
    let samples = printed.lines().filter(|line| !line.starts_with('#'));
    let missing: Vec<_> = samples
        .map(|line| line.rsplit_once(' ').unwrap().0)
        .filter(|series| !page.contains(&format!("\n{series} ")))
        .collect();
    assert!(printed.lines().count() > 20 && missing.is_empty(), "{missing:?} of {printed}");
    // One source of two, then none.
    machine.sources[0].server.fault("/InRelease", Fault::Status(503));
    machine.sandbox.patch(&["refresh"]).exits(1);
    let page = machine.written();
    has(&page, "linux_patch_exit_code 1");
    assert_eq!(page.matches("linux_patch_source_up{").count(), 2, "{page}");
    assert_eq!(
        page.lines()
            .filter(|line| line.starts_with("linux_patch_source_up{") && line.ends_with(" 0"))
            .count(),
        1
    );
    machine.sources[1].server.fault("/InRelease", Fault::Status(503));
    machine.sandbox.patch(&["refresh"]).exits(2);
    let page = machine.written();
    has(&page, "linux_patch_exit_code 2");
    has(&page, "linux_patch_refresh_failed_total 1");
    has(&page, "linux_patch_refresh_total 3");
    // What cron runs writes the same file.
    machine.sandbox.sh(&format!("rm {COLLECTED}/*"));
    assert_eq!(machine.sandbox.run(&["sh", "-c", &command_of(CRON)]).code, 2);
    has(&machine.scraped(), "linux_patch_exit_code 2");
}

#[test]
#[ignore = "make integrations"]
fn a_scrape_in_the_midst_of_a_write_sees_a_whole_page() {
    let machine = Machine::new();
    machine.sandbox.patch(&["refresh"]);
    machine.written();
    let command = command_of(DROP_IN);
    let loops = format!("while [ ! -e /srv/enough ]; do {command}; done; touch /srv/done");
    for _ in 0..2 {
        start(&machine.sandbox, "writer", &format!("sh -c \"{loops}\""));
    }
    for _ in 0..300 {
        let page = machine.scraped();
        has(&page, "linux_patch_exit_code 0");
        has(&page, "linux_patch_apply_retried_total 0");
    }
    machine.sandbox.sh("touch /srv/enough");
    machine.sandbox.wait_for_file("/srv/done");
    machine
        .sandbox
        .wait_until("the writers have ended", || machine.sandbox.list(COLLECTED) == ["linux-patch.prom"]);
}

#[test]
#[ignore = "make integrations"]
fn a_prometheus_answers_every_panel_and_rule() {
    let machine = Machine::new();
    let server = free_address();
    let sandbox = &machine.sandbox;
    sandbox.write("/srv/prometheus/rules.yml", ours(RULES));
    sandbox.write(
        "/srv/prometheus/config.yml",
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
             scrape_configs: [{{job_name: node, static_configs: [{{targets: ['{}']}}]}}]\n",
            machine.exporter
        ),
    );
    assert_eq!(sandbox.run(&["promtool", "check", "config", "/srv/prometheus/config.yml"]).code, 0);
    sandbox.patch(&["refresh"]);
    // A failed apply, so that every metric and every panel has something to show.
    machine.sources[0].server.fault(".deb", Fault::Status(404));
    sandbox.patch(&["apply"]).exits(2);
    sandbox.sh("mkdir -p /run && touch /run/reboot-required");
    machine.sources[0].server.fault("/InRelease", Fault::Status(503));
    sandbox.patch(&["refresh"]).exits(1);
    machine.written();
    start(
        sandbox,
        "prometheus",
        &format!(
            "prometheus --config.file=/srv/prometheus/config.yml --storage.tsdb.path=/srv/prometheus/data \
             --web.listen-address={server}"
        ),
    );
    listens(sandbox, "prometheus", server);
    let ask = |expr: &str| -> Value {
        let ended =
            sandbox.run(&["promtool", "query", "instant", "-o", "json", &format!("http://{server}"), expr]);
        assert_eq!(ended.code, 0, "{expr}: {}{}", ended.stdout, ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    };
    let has_two_scrapes = "count_over_time(linux_patch_exit_code[1m]) > 1";
    sandbox.wait_until("it has scraped twice", || !ask(has_two_scrapes).as_array().unwrap().is_empty());
    for (title, question) in questions() {
        let answer = ask(&question);
        assert!(!answer.as_array().unwrap().is_empty(), "{title}: {question} has no answer");
    }
    // The panels show the true values of this machine.
    let value = |expr: &str| ask(expr)[0]["value"][1].as_str().unwrap_or("none").to_string();
    assert_eq!(value("sum(linux_patch_pending_updates)"), "2");
    assert_eq!(value(r#"sum by (status) (linux_patch_cache_status) == 1"#), "1");
    let rules = || -> Value { serde_json::from_str(&get(server, "/api/v1/rules")).unwrap() };
    let groups = |rules: &Value| rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    sandbox.wait_until("each rule was evaluated", || {
        groups(&rules()).iter().all(|rule| rule["health"] != "unknown")
    });
    let mut pending = BTreeSet::new();
    for rule in groups(&rules()) {
        assert_eq!(rule["health"], "ok", "{rule}");
        if rule["state"] != "inactive" {
            pending.insert(rule["name"].as_str().unwrap().to_string());
        }
    }
    let expected = [
        "LinuxPatchApplyFailed",
        "LinuxPatchRebootRequired",
        "LinuxPatchSecurityUpdatesPending",
        "LinuxPatchSourceDown",
        "LinuxPatchUpdatesPileUp",
    ];
    assert_eq!(pending.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
