//! contrib/icinga2 in a real Icinga 2, which checks a real machine by itself, by NRPE and by ssh, and
//! hands the performance data on.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use linux_patch::cli::{Cli, Verb};
use linux_patch::report::print::Format;
use serde_json::Value;

use crate::booted::blocks;
use crate::daemons::{free_address, listens, log_of, need, ours, start};
use crate::monitored::{Monitored, STORY, Seen, overflow};
use crate::sandbox::Sandbox;

const HOSTS: [&str; 4] = ["itself", "by-nrpe", "by-ssh", "lenient"];

/// A Graphite that keeps what it is told.
struct Graphite {
    address: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
    is_connected: Arc<AtomicBool>,
}

impl Graphite {
    fn new() -> Graphite {
        let listener = TcpListener::bind((free_address().ip(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let keeps = told.clone();
        let is_connected = Arc::new(AtomicBool::new(false));
        let connected = is_connected.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connected.store(true, Ordering::SeqCst);
                let lines = BufReader::new(stream).lines();
                lines.map_while(Result::ok).for_each(|line| keeps.lock().unwrap().push(line));
            }
        });
        Graphite { address, told, is_connected }
    }

    /// The last value of a series.
    fn last(&self, series: &str) -> Option<String> {
        let told = self.told.lock().unwrap();
        told.iter().rev().find_map(|line| {
            let mut words = line.split(' ');
            (words.next() == Some(series)).then(|| words.next().unwrap_or_default().to_string())
        })
    }
}

/// Debian's own configuration with ours, without Debian's checks of something else.
fn configure(sandbox: &Sandbox, hosts: &str, api: SocketAddr, graphite: &Graphite) {
    need("/usr/sbin/icinga2", "icinga2-bin and icinga2-common");
    need("/usr/bin/curl", "curl");
    sandbox.sh(
        // It cannot copy a file from one layer of an overlay to another.
        "cp -a /etc/icinga2 /srv/icinga2; mount --bind /srv/icinga2 /etc/icinga2
         cd /etc/icinga2/conf.d; rm -f hosts.conf services.conf notifications.conf apt.conf downtimes.conf
         /usr/lib/icinga2/prepare-dirs /etc/default/icinga2
         icinga2 api setup --cn icinga.test >/srv/setup.log 2>&1 || { cat /srv/setup.log; exit 1; }",
    );
    sandbox.write("/etc/icinga2/conf.d/linux-patch.conf", ours("contrib/icinga2/linux-patch.conf"));
    sandbox.write("/etc/icinga2/conf.d/hosts.conf", hosts);
    sandbox.write(
        "/etc/icinga2/conf.d/user.conf",
        "object ApiUser \"test\" {\n  password = \"test\"\n  permissions = [ \"*\" ]\n}\n",
    );
    sandbox.write(
        "/etc/icinga2/features-enabled/api.conf",
        format!(
            "object ApiListener \"api\" {{\n  bind_host = \"{}\"\n  bind_port = \"{}\"\n}}\n",
            api.ip(),
            api.port()
        ),
    );
    sandbox.write(
        "/etc/icinga2/features-enabled/graphite.conf",
        format!(
            "object GraphiteWriter \"graphite\" {{\n  host = \"{}\"\n  port = \"{}\"\n  \
             enable_send_thresholds = true\n}}\n",
            graphite.address.ip(),
            graphite.address.port()
        ),
    );
}

/// Makes Icinga check a host now, and returns the result.
struct Icinga<'a> {
    sandbox: &'a Sandbox,
    api: SocketAddr,
}

impl Icinga<'_> {
    #[track_caller]
    fn ask(&self, options: &[&str], path: &str) -> Value {
        let url = format!("https://{}/v1/{path}", self.api);
        let mut argv = vec!["curl", "-sS", "-k", "-u", "test:test", "-H", "Accept: application/json"];
        argv.extend(options);
        argv.push(&url);
        let ended = self.sandbox.run(&argv);
        serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{path}: {error}: {}{}", ended.stdout, ended.stderr))
    }

    #[track_caller]
    fn result(&self, host: &str) -> Value {
        let answer = self.ask(&[], &format!("objects/services/{host}!package%20updates"));
        answer["results"][0]["attrs"]["last_check_result"].clone()
    }

    #[track_caller]
    fn check(&self, hosts: &[&str]) -> Vec<Seen> {
        let asked = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        for host in hosts {
            let query = format!("actions/reschedule-check?service={host}!package%20updates&force=true");
            let answer = self.ask(&["-X", "POST"], &query);
            assert_eq!(answer["results"][0]["code"], 200, "{answer}");
        }
        let start = Instant::now();
        let mut seen = Vec::new();
        for host in hosts {
            let result = loop {
                let result = self.result(host);
                if result["schedule_start"].as_f64().is_some_and(|time| time >= asked) {
                    break result;
                }
                assert!(
                    start.elapsed() < Duration::from_secs(40),
                    "{host} is not checked: {result}\n{}",
                    log_of(self.sandbox, "icinga")
                );
                std::thread::sleep(Duration::from_millis(100));
            };
            let output = result["output"].as_str().unwrap();
            let mut one = Seen::of_text(result["state"].as_f64().unwrap() as i32, output);
            let perfdata = result["performance_data"].as_array().unwrap();
            one.perfdata = perfdata.iter().map(|value| value.as_str().unwrap().to_string()).collect();
            seen.push(one);
        }
        seen
    }
}

#[test]
fn the_options_of_the_command_are_understood() {
    let text = ours("contrib/icinga2/linux-patch.conf");
    let vars: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("  vars.linux_patch_")?.split_once(" = ")).collect();
    let strings =
        |value: &str| -> Vec<String> { value.split('"').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut words: Vec<String> = ["linux-patch", "status"].map(str::to_owned).to_vec();
    for option in text.split("\n  \"--").skip(1) {
        let (name, rest) = option.split_once('"').unwrap();
        let (kind, value) = rest[rest.find('{').unwrap() + 1..].trim().split_once(" = ").unwrap();
        let value = value.split('"').nth(1).unwrap();
        let values = match value.strip_prefix("$linux_patch_").map(|name| name.trim_end_matches('$')) {
            Some("exclude") => vec!["linux-image-*".to_string()],
            Some(name) => strings(vars.get(name).unwrap_or_else(|| panic!("{name} has no default"))),
            None => vec![value.to_string()],
        };
        match kind {
            "set_if" => words.push(format!("--{name}")),
            _ => words.extend(values.into_iter().map(|value| format!("--{name}={value}"))),
        }
    }
    let read = Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let Verb::Status(status) = read.verb else { panic!("{words:?}") };
    assert_eq!((status.alert.len(), status.exclude.len()), (3, 1), "{words:?}");
    assert!(read.global.verbose && read.global.format == Format::Nagios, "{words:?}");
    assert!(status.warning.is_some() && status.critical.is_some(), "{words:?}");
}

#[test]
#[ignore = "make integrations"]
fn icinga_sees_every_state_itself_by_nrpe_and_by_ssh() {
    let machine = Monitored::new();
    let sandbox = &machine.sandbox;
    let (nrpe, ssh) = (machine.with_nrpe(), machine.with_sshd());
    let (graphite, api) = (Graphite::new(), free_address());
    let host = |name: &str, address: &str, vars: &str| {
        format!(
            "object Host \"{name}\" {{\n  import \"generic-host\"\n  check_command = \"dummy\"\n  address = \"{address}\"\n{vars}}}\n"
        )
    };
    let hosts = [
        host("itself", "127.0.0.1", "  vars.linux_patch_by = \"here\"\n"),
        // Its agent is not named: this Icinga must not check itself instead.
        host("unnamed", "127.0.0.9", "  vars.linux_patch_by = \"agent\"\n"),
        host("by-nrpe", &nrpe.to_string(), "  vars.linux_patch_by = \"nrpe\"\n"),
        host("by-ssh", &ssh.to_string(), "  vars.linux_patch_by = \"ssh\"\n"),
        // Values of its own, over ssh, where they pass through a shell.
        host(
            "lenient",
            &ssh.to_string(),
            "  vars.linux_patch_by = \"ssh\"\n  vars.linux_patch_alert = [ \"updates:20\", \"security=critical\" ]\n  \
             vars.linux_patch_exclude = [ \"tb-s*\", \"linux-*\" ]\n  vars.linux_patch_verbose = false\n",
        ),
    ];
    configure(sandbox, &hosts.concat(), api, &graphite);
    // The host of docs/monitoring.md: its definition is read, but it is not checked.
    let documented = blocks("monitoring.md").into_iter().find(|block| block.starts_with("object Host"));
    sandbox.write("/etc/icinga2/conf.d/web1.conf", documented.expect("docs/monitoring.md shows a host"));
    let ended = sandbox.run(&["icinga2", "daemon", "-C"]);
    assert!(ended.code == 0 && ended.stdout.contains("Instantiated 5 Services"), "{}", ended.stdout);
    sandbox.sh("rm /etc/icinga2/conf.d/web1.conf");
    let ended = sandbox.run(&["icinga2", "daemon", "-C"]);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(ended.code == 0 && said.contains("Instantiated 4 Services"), "{said}");
    assert!(
        said.contains("information/") && !said.contains("warning/") && !said.contains("critical/"),
        "{said}"
    );
    start(sandbox, "icinga", "icinga2 daemon");
    listens(sandbox, "icinga", api);
    // Results of checks from before Icinga has connected are dropped, and not sent later.
    sandbox.wait_until("Icinga has found Graphite", || graphite.is_connected.load(Ordering::SeqCst));
    let icinga = Icinga { sandbox, api };
    for step in STORY {
        (step.happens)(&machine);
        for (host, seen) in HOSTS.iter().zip(icinga.check(&HOSTS)) {
            if *host != "lenient" {
                seen.is(host, step);
            } else if step.what == "a security update is pending" {
                // It is excluded, and the other one is less than twenty.
                assert!(seen.code == 0 && seen.long_output.is_empty(), "{seen:?}");
                assert!(seen.output.ends_with(", 1 update pending (0 security)"), "{seen:?}");
                assert!(seen.perfdata.contains(&"pending=1;19;;0".to_string()), "{seen:?}");
            }
        }
        let series =
            |rest: &str| format!("icinga2.itself.services.package_updates.linux_patch.perfdata.{rest}");
        for (label, value) in
            step.perfdata.iter().filter_map(|value| value.split(';').next()?.split_once('='))
        {
            // Values that are not known are left out, the others are there.
            if value != "U" {
                sandbox.wait_until(&format!("Graphite has {label} {value}"), || {
                    graphite.last(&series(&format!("{label}.value"))).as_deref() == Some(value)
                });
            }
        }
    }
    let named = |label: &str| format!("icinga2.itself.services.package_updates.linux_patch.perfdata.{label}");
    assert_eq!(graphite.last(&named("age.warn")).as_deref(), Some("14400"));
    assert_eq!(graphite.last(&named("age.crit")).as_deref(), Some("86400"));
    assert_eq!(graphite.last(&named("security.warn")).as_deref(), Some("0"));
    overflow(&machine);
    for (host, seen) in HOSTS.iter().zip(icinga.check(&HOSTS[..3])) {
        seen.has_overflown(host);
    }
}
