//! contrib/nagios in a real Nagios, which checks a real machine by itself, by NRPE and by ssh.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use clap::Parser;
use linux_patch::cli::{Cli, Verb};
use linux_patch::report::print::Format;

use crate::bench;
use crate::booted::blocks;
use crate::daemons::{log_of, need, ours, start};
use crate::deb::deb;
use crate::monitored::{Monitored, STORY, Seen, overflow};
use crate::repo::Repo;
use crate::sandbox::Sandbox;

const STATUS: &str = "/var/lib/nagios4/status.dat";
const DESCRIPTION: &str = "Package updates";

/// Debian's own configuration with ours, and a host for each way to check; of Debian's objects those
/// that check something else are left out.
fn configure(sandbox: &Sandbox, hosts: &[(&str, &str, String)]) {
    need("/usr/sbin/nagios4", "nagios4-core");
    sandbox.write("/etc/nagios4/conf.d/linux-patch.cfg", ours("contrib/nagios/linux-patch.cfg"));
    let mut objects = String::new();
    for (name, template, address) in hosts {
        objects += &format!(
            "define host {{\n  use generic-host\n  host_name {name}\n  address {address}\n  max_check_attempts 1\n\
             check_period 24x7\n  contact_groups admins\n}}\n\
             define service {{\n  use {template}\n  host_name {name}\n}}\n"
        );
    }
    // The service of docs/monitoring.md, for a group of its own.
    let documented = blocks("monitoring.md").into_iter().find(|block| block.starts_with("define service"));
    objects += &documented.expect("docs/monitoring.md shows a service");
    objects += &format!(
        "define host {{\n  use generic-host\n  host_name web1\n  address {}\n  max_check_attempts 1\n  \
         check_period 24x7\n  contact_groups admins\n}}\n\
         define hostgroup {{\n  hostgroup_name linux-servers\n  members web1\n}}\n",
        hosts[1].2
    );
    sandbox.write("/etc/nagios4/conf.d/hosts.cfg", objects);
    sandbox.sh(
        "sed -i -e '/localhost.cfg/d' -e 's/^check_result_reaper_frequency=.*/check_result_reaper_frequency=1/' \
           -e 's/^status_update_interval=.*/status_update_interval=1/' -e 's/^check_for_updates=1/check_for_updates=0/' \
           -e 's/^enable_notifications=1/enable_notifications=0/' -e 's/^use_syslog=1/use_syslog=0/' \
           /etc/nagios4/nagios.cfg
         install -d -o nagios /var/log/nagios4 /var/log/nagios4/archives /run/nagios4
         rm -f /var/lib/nagios4/status.dat /var/lib/nagios4/retention.dat /var/lib/nagios4/rw/*",
    );
}

/// `nagios4 -v` finds nothing wrong.
#[track_caller]
fn verify(sandbox: &Sandbox) {
    let ended = sandbox.run(&["nagios4", "-v", "/etc/nagios4/nagios.cfg"]);
    let said = ended.stdout;
    assert!(
        ended.code == 0 && said.contains("Total Warnings: 0") && said.contains("Total Errors:   0"),
        "{said}"
    );
}

/// The fields of our service on a host, out of status.dat.
fn fields(sandbox: &Sandbox, host: &str) -> BTreeMap<String, String> {
    let text = sandbox.read(STATUS).unwrap_or_default();
    let blocks = text.split("servicestatus {").skip(1);
    let read = |block: &str| -> BTreeMap<String, String> {
        let lines = block.split("\n\t}").next().unwrap_or_default().lines();
        let pairs = lines.filter_map(|line| line.trim().split_once('='));
        pairs.map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    let ours = |fields: &BTreeMap<String, String>| {
        fields["host_name"] == host && fields["service_description"] == DESCRIPTION
    };
    blocks.map(read).find(ours).unwrap_or_default()
}

/// Makes Nagios check all hosts now, and returns the results.
#[track_caller]
fn check(sandbox: &Sandbox, hosts: &[&str]) -> Vec<Seen> {
    let last_check = |host: &str| -> i64 {
        fields(sandbox, host).get("last_check").and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    let before: Vec<_> = hosts.iter().map(|host| last_check(host)).collect();
    // Two checks in one second could not be told apart.
    std::thread::sleep(Duration::from_millis(1100));
    sandbox.sh(&format!(
        r#"now=$(date +%s); for host in {}; do
             echo "[$now] SCHEDULE_FORCED_SVC_CHECK;$host;{DESCRIPTION};$now" >/var/lib/nagios4/rw/nagios.cmd
           done"#,
        hosts.join(" ")
    ));
    let start = Instant::now();
    while hosts.iter().zip(&before).any(|(host, before)| last_check(host) <= *before) {
        assert!(
            start.elapsed() < Duration::from_secs(40),
            "{hosts:?} are not checked:\n{}\n{}",
            log_of(sandbox, "nagios"),
            sandbox.read("/var/log/nagios4/nagios.log").unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let seen = |host: &&str| {
        let fields = fields(sandbox, host);
        Seen {
            code: fields["current_state"].parse().unwrap(),
            output: fields["plugin_output"].trim().to_string(),
            long_output: fields["long_plugin_output"]
                .replace("\\n", "\n")
                .lines()
                .map(str::to_owned)
                .collect(),
            perfdata: fields["performance_data"].split_whitespace().map(str::to_owned).collect(),
        }
    };
    hosts.iter().map(seen).collect()
}

/// With the options of a template, the command line of its command is understood.
#[test]
fn the_options_of_the_templates_are_understood() {
    let text = ours("contrib/nagios/linux-patch.cfg");
    let field = |name: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| Some(line.strip_prefix(name)?.trim().to_string())).collect()
    };
    let commands: BTreeMap<_, _> = field("command_name").into_iter().zip(field("command_line")).collect();
    let mut tried = 0;
    for check in field("check_command") {
        let (command, options) = check.split_once('!').unwrap();
        if command == "check_nrpe" {
            let defined = format!("\ncommand[{options}]=/usr/bin/linux-patch status ");
            assert!(ours("contrib/nagios/nrpe.cfg").contains(&defined), "{check}");
            continue;
        }
        let line = commands[command].replace("$ARG1$", options);
        let (_, call) = line.split_once("/usr/bin/").unwrap();
        let words = call.trim_end_matches('\'').split(' ');
        let read = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        let Verb::Status(status) = read.verb else { panic!("{line}") };
        assert!(read.global.format == Format::Nagios && status.alert.len() == 3, "{line}");
        tried += 1;
    }
    assert_eq!(tried, 4);
}

/// The rows of docs/monitoring.md that put a call of check_apt beside options of ours.
fn mapped() -> Vec<(Vec<String>, Vec<String>)> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let text = ours("docs/monitoring.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `check_apt")).filter_map(|row| {
        let (theirs, rest) = row.split_once("` | ")?;
        let options = rest.strip_prefix('`').and_then(|rest| rest.strip_suffix("` |")).unwrap_or_default();
        Some((words(theirs.trim()), words(options)))
    });
    let without_empty = |words: Vec<String>| words.into_iter().filter(|word| !word.is_empty()).collect();
    rows.map(|(theirs, options)| (without_empty(theirs), without_empty(options))).collect()
}

#[test]
#[ignore = "make integrations"]
fn what_check_apt_says_is_said_by_the_options_beside_it() {
    need("/usr/lib/nagios/plugins/check_apt", "monitoring-plugins-basic");
    let rows = mapped();
    assert!(rows.len() >= 7, "{rows:?}");
    let names = ["linux-image-tb", "tb-a", "tb-b", "tb-c"];
    let mut installed: Vec<_> = names.iter().map(|name| deb(name, "1.0")).collect();
    installed.push(deb("tb-sec", "1.0"));
    let (sandbox, plain) = bench::one(&installed, &[]);
    let secure = Repo::claiming(|claims| claims.label = "Debian-Security".into(), &[]);
    sandbox.add_source("security", &secure);
    // First the difference: ours also says that there never was an index.
    let theirs = sandbox.run(&["/usr/lib/nagios/plugins/check_apt"]);
    assert_eq!(theirs.code, 0, "{}", theirs.stdout);
    assert_eq!(sandbox.run(&["linux-patch", "status", "--format", "nagios"]).code, 3);
    let mut codes = BTreeSet::new();
    for (published, security) in [
        (&[][..], false),
        (&["tb-a"][..], false),
        (&["linux-image-tb"][..], false),
        (&["linux-image-tb", "tb-a", "tb-b"][..], false),
        (&names[..], false),
        (&[][..], true),
        (&names[..], true),
    ] {
        plain.publish(&published.iter().map(|name| deb(name, "2.0")).collect::<Vec<_>>());
        secure.publish(&security.then(|| deb("tb-sec", "2.0")).into_iter().collect::<Vec<_>>());
        bench::tick();
        sandbox.patch(&["refresh"]).exits(0);
        for (theirs, options) in &rows {
            let mut argv = vec!["/usr/lib/nagios/plugins/check_apt"];
            argv.extend(theirs.iter().map(String::as_str));
            let said = sandbox.run(&argv);
            let place = format!("{published:?} {security} {theirs:?}: {}", said.stdout);
            let mut argv = vec!["linux-patch", "status", "--format", "nagios"];
            argv.extend(options.iter().map(String::as_str));
            let ran = sandbox.run(&argv);
            let ours = Seen::of_text(ran.code, &ran.stdout);
            if theirs[..] == ["-n"] {
                // It runs nothing and says so; ours reports on the index.
                assert_eq!((said.code, ours.code), (0, 0), "{place}");
                continue;
            }
            let theirs_seen = Seen::of_text(said.code, &said.stdout);
            codes.insert(said.code);
            assert_eq!(ours.code, said.code, "{place}{}", ran.stdout);
            let number = |seen: &Seen, label: &str| {
                let value = seen.perfdata.iter().find_map(|value| value.strip_prefix(label));
                value.unwrap_or_default().split(';').next().unwrap_or_default().to_string()
            };
            assert_eq!(
                number(&ours, "pending="),
                number(&theirs_seen, "available_upgrades="),
                "{place}{}",
                ran.stdout
            );
            assert_eq!(
                number(&ours, "security="),
                number(&theirs_seen, "critical_updates="),
                "{place}{}",
                ran.stdout
            );
            if theirs[..] == ["-l"] {
                // The same packages in the same order.
                let firsts = |seen: &Seen, prefix: &str| -> Vec<String> {
                    let lines = seen.long_output.iter().filter_map(|line| line.strip_prefix(prefix));
                    lines.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
                };
                assert_eq!(firsts(&ours, ""), firsts(&theirs_seen, ""), "{place}{}", ran.stdout);
            }
        }
    }
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), [0, 1, 2], "not every code was tried");
}

#[test]
#[ignore = "make integrations"]
fn nagios_sees_every_state_itself_by_nrpe_and_by_ssh() {
    let machine = Monitored::new();
    let sandbox = &machine.sandbox;
    let (nrpe, ssh) = (machine.with_nrpe(), machine.with_sshd());
    let hosts = [
        ("itself", "linux-patch-local", "127.0.0.1".to_string()),
        ("by-nrpe", "linux-patch-by-nrpe", nrpe.to_string()),
        ("by-ssh", "linux-patch-by-ssh", ssh.to_string()),
    ];
    let names = ["itself", "by-nrpe", "by-ssh", "web1"];
    configure(sandbox, &hosts);
    verify(sandbox);
    start(sandbox, "nagios", "nagios4 /etc/nagios4/nagios.cfg");
    sandbox.wait_for_file(STATUS);
    sandbox.wait_for_file("/var/lib/nagios4/rw/nagios.cmd");
    for step in STORY {
        (step.happens)(&machine);
        for (host, seen) in names.iter().zip(check(sandbox, &names)) {
            seen.is(host, step);
        }
    }
    overflow(&machine);
    for (host, seen) in names.iter().zip(check(sandbox, &names)) {
        seen.has_overflown(host);
    }
    let log = sandbox.read("/var/log/nagios4/nagios.log").unwrap_or_default();
    assert!(log.contains("starting..."), "{log}");
    assert!(!log.contains("Warning:") && !log.contains("Error:"), "{log}");
}
