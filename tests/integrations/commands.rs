//! Every command that README.md, docs and the manual page show is run: by this file, word for word, or
//! by another test, which is named here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::booted::Booted;
use crate::daemons::{free_address, listens, need, start};
use crate::deb::deb;
use crate::documents::{Code, commands, docs, file};
use crate::network::{Fleet, HERE, in_own_network};
use crate::packages::made;
use crate::repo::Repo;
use crate::rpm::{self, rpm};
use crate::sandbox::{Ended, Sandbox};

/// How it is tested that a command that is shown works.
enum Proof {
    /// Run by this file in such a place, in the order of the table, with this exit code. The shell lines
    /// must succeed afterwards; `$said` is a file with what the command has printed.
    Run(Place, i32, &'static [&'static str]),
    /// Run by this test of another file, which has these words, or by a function beside it.
    In(&'static str, &'static [&'static str]),
    /// Not run, for this reason.
    Not(&'static str),
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// A machine with two sources and five updates pending, one of them for security.
    Machine,
    /// Such a machine that is reached with ssh, as web1 and as host, and requires a reboot.
    Remote,
    /// A copy of the sources on such a machine, whose dpkg knows of nothing to build them with. cargo is
    /// a stand-in that leaves what was built already: the real one runs this.
    Sources,
    /// The same, with a real systemd as the first process.
    Systemd,
    /// A copy of the sources where cargo also leaves the packages that `make deb` and `make rpm` made.
    Dpkg,
    Rpm,
}

use Place::{Dpkg, Machine, Remote, Rpm, Sources, Systemd};
use Proof::{In, Not, Run};

const MAILS: &str = "a_unit_that_fails_mails_why_and_not_every_hour";
const CHECK_APT: &str = "what_check_apt_says_is_said_by_the_options_beside_it";

const COMMANDS: &[(&str, Proof)] = &[
    // A machine, from its first refresh on.
    (
        "linux-patch refresh",
        Run(Machine, 0, &["grep -qx 'fresh: 2 sources refreshed; 5 updates pending (1 security)' $said"]),
    ),
    (
        "linux-patch status",
        Run(Machine, 0, &["grep -q '^fresh: refreshed .*; 5 updates pending (1 security)$' $said"]),
    ),
    (
        "/usr/bin/linux-patch status --format nagios --warning 4h --critical 1d --alert security --alert reboot",
        Run(Machine, 1, &["grep -q '^PATCH WARNING: 1 security update pending, ' $said"]),
    ),
    (
        "linux-patch status --format nagios --verbose --warning 4h --critical 1d --alert security --alert reboot",
        Run(
            Machine,
            1,
            &[
                "grep -q '^PATCH WARNING: 1 security update pending, ' $said",
                "sed -n 2p $said | grep -qx 'tb-sec 1.0 -> 2.0 (security)'",
            ],
        ),
    ),
    (
        "linux-patch status --format nagios -w 4h -c 1d --alert security --alert reboot",
        Run(Machine, 1, &["grep -q '^PATCH WARNING: 1 security update pending, ' $said"]),
    ),
    ("linux-patch status --format nagios", Run(Machine, 0, &["grep -q '^PATCH OK: ' $said"])),
    (
        "linux-patch status --format openmetrics --output /var/lib/prometheus/node-exporter/linux-patch.prom",
        Run(
            Machine,
            0,
            &["grep -qx 'linux_patch_pending_updates 5' /var/lib/prometheus/node-exporter/linux-patch.prom"],
        ),
    ),
    (
        "linux-patch apply --dry-run",
        Run(Machine, 0, &["grep -q 'tb-hello 1.0 -> 2.0' $said", "is tb-hello 1.0"]),
    ),
    ("apt-get update", Run(Machine, 0, &[])),
    ("apt-get -s upgrade", Run(Machine, 0, &["grep -q '^Inst tb-hello ' $said", "is tb-hello 1.0"])),
    (
        "linux-patch apply openssl libssl3",
        Run(Machine, 0, &["is openssl 2.0", "is libssl3 2.0", "is tb-sec 1.0", "is tb-hello 1.0"]),
    ),
    (
        "linux-patch apply --security",
        Run(Machine, 0, &["grep -qx 'done: 1 package changed' $said", "is tb-sec 2.0", "is tb-hello 1.0"]),
    ),
    (
        "linux-patch apply --exclude 'linux-image-*' --exclude 'linux-headers-*'",
        Run(Machine, 0, &["is tb-hello 2.0", "is linux-image-tb 1.0"]),
    ),
    ("linux-patch apply", Run(Machine, 0, &["is linux-image-tb 2.0"])),
    ("linux-patch apply --full", Run(Machine, 0, &[])),
    ("linux-patch status --explain", Run(Machine, 0, &["grep -q 'will ever run\\|timer: ' $said"])),
    ("linux-patch status --history", Run(Machine, 0, &["grep -q apply $said"])),
    ("linux-patch status --history=apply", Run(Machine, 0, &["grep -q '^    tb-hello 1.0 -> 2.0' $said"])),
    // Run on another machine.
    (
        "ssh root@web1 linux-patch apply --dry-run",
        Run(Remote, 0, &["grep -q 'tb-sec 1.0 -> 2.0' $said", "is tb-sec 1.0"]),
    ),
    (
        "ssh root@web1 linux-patch apply --security --reboot",
        Run(
            Remote,
            0,
            &["is tb-sec 2.0", "is tb-hello 1.0", "grep -q shutdown /run/restarts", "rm /run/restarts"],
        ),
    ),
    ("ssh root@web1 linux-patch status", Run(Remote, 0, &["grep -q '^fresh: ' $said"])),
    (
        "ssh root@host linux-patch apply --security",
        Run(Remote, 0, &["is tb-hello 1.0", "! test -e /run/restarts"]),
    ),
    ("ssh root@host linux-patch status", Run(Remote, 0, &["grep -q '^fresh: ' $said"])),
    (
        "linux-patch apply --security --reboot --reboot-delay 5m",
        Run(Remote, 0, &["grep -q 'shutdown .*+5' /run/restarts"]),
    ),
    (
        "ssh -t",
        In(
            "a_lost_connection_stops_a_run_before_the_install_and_never_after",
            &["\"-tt\"", "(phase, true, loss)"],
        ),
    ),
    // A copy of the sources.
    (
        "apt-get update && apt-get install -y make && make run",
        Run(
            Sources,
            0,
            &[
                "is make 2.0",
                "is gcc 2.0",
                "grep -qx 'rustc --release --locked --bin linux-patch -- -C target-feature=+crt-static' cargo.log",
                "test $(grep -cx 'exit code 0' $said) = 3",
                "grep -q '^fresh: 2 sources refreshed' $said",
            ],
        ),
    ),
    (
        "make install",
        Run(
            Sources,
            0,
            &[
                "cmp /usr/local/bin/linux-patch target/release/linux-patch",
                "grep -q ExecStart=/usr/local/bin/ /usr/local/lib/systemd/system/linux-patch-refresh.service",
            ],
        ),
    ),
    ("apt-get update && apt-get install -y make && make test", Not("it runs this test")),
    ("make test", Not("it runs this test")),
    ("make integrations", Not("it runs this test")),
    ("make integrations PARTS=migrating", Not("it runs other tests beside this one")),
    ("make faults", Not("it runs tests, and does for long")),
    ("make walk", Not("it runs tests, and does for long")),
    ("make fuzz", Not("it wants cargo-fuzz, and runs for half an hour")),
    ("make mutants", Not("it wants cargo-mutants, and runs for hours")),
    ("make bench PARTS=growth", Not("it measures too, for many minutes")),
    ("make bench PARTS=\"status refresh apply full-host\"", Not("it measures too, for many minutes")),
    // One that systemd has booted.
    (
        "make install PREFIX=/usr",
        Run(
            Systemd,
            0,
            &[
                "cmp /usr/bin/linux-patch target/release/linux-patch",
                "test -e /usr/lib/systemd/system/linux-patch-refresh.timer",
                "test -e /usr/share/man/man8/linux-patch.8",
                "test -e /usr/share/man/man5/linux-patch-state.5",
                "test -e /usr/share/man/man7/linux-patch-managers.7",
            ],
        ),
    ),
    ("systemctl daemon-reload", Run(Systemd, 0, &["systemctl cat linux-patch-refresh.timer"])),
    (
        "systemctl enable --now linux-patch-refresh.timer",
        Run(
            Systemd,
            0,
            &[
                "systemctl is-enabled linux-patch-refresh.timer",
                "systemctl is-active linux-patch-refresh.timer",
                "! systemctl is-active linux-patch-apply.timer",
            ],
        ),
    ),
    (
        "systemctl enable --now linux-patch-apply.timer",
        Run(
            Systemd,
            0,
            &["systemctl is-enabled linux-patch-apply.timer", "systemctl is-active linux-patch-apply.timer"],
        ),
    ),
    (
        "systemctl list-timers 'linux-patch-*'",
        Run(
            Systemd,
            0,
            &["grep -q linux-patch-refresh.service $said", "grep -q linux-patch-apply.service $said"],
        ),
    ),
    (
        "systemctl list-timers linux-patch-refresh.timer",
        Run(Systemd, 0, &["grep -q linux-patch-refresh.service $said", "! grep -q linux-patch-apply $said"]),
    ),
    (
        "systemctl edit linux-patch-refresh.timer",
        Run(
            Systemd,
            0,
            &["test \"$(systemctl show --value -p Description linux-patch-refresh.timer)\" = edited"],
        ),
    ),
    (
        "systemctl edit linux-patch-refresh.service",
        Run(
            Systemd,
            0,
            &["test \"$(systemctl show --value -p Description linux-patch-refresh.service)\" = edited"],
        ),
    ),
    (
        "systemctl edit linux-patch-apply.service",
        Run(
            Systemd,
            0,
            &["test \"$(systemctl show --value -p Description linux-patch-apply.service)\" = edited"],
        ),
    ),
    (
        "install -m 755 contrib/mail/linux-patch-mail /usr/local/sbin/",
        In(MAILS, &["block.contains(\"contrib/mail/\")"]),
    ),
    (
        "install -m 644 contrib/mail/linux-patch-mail@.service /etc/systemd/system/",
        In(MAILS, &["block.contains(\"contrib/mail/\")"]),
    ),
    (
        "for unit in refresh apply; do\ninstall -D -m 644 contrib/mail/on-failure.conf /etc/systemd/system/linux-patch-$unit.service.d/on-failure.conf\ndone",
        In(MAILS, &["block.contains(\"contrib/mail/\")"]),
    ),
    (
        "install -m 644 contrib/mail/report.conf /etc/systemd/system/linux-patch-apply.service.d/",
        In(MAILS, &["block.contains(\"contrib/mail/\")"]),
    ),
    (
        "for unit in refresh apply; do\ninstall -D -m 644 contrib/prometheus/linux-patch-metrics.conf /etc/systemd/system/linux-patch-$unit.service.d/metrics.conf\ndone",
        Run(
            Systemd,
            0,
            &[
                "systemctl daemon-reload",
                "systemctl cat linux-patch-apply.service | grep -q metrics",
                "systemctl start linux-patch-refresh.service",
                "test -s /var/lib/prometheus/node-exporter/linux-patch.prom",
            ],
        ),
    ),
    (
        "linux-patch status --format json | jq -r '.pending.packages[] | select(.security) | .name'",
        Run(Systemd, 0, &["test \"$(cat $said)\" = tb-sec"]),
    ),
    ("systemctl --failed", Run(Systemd, 0, &["! grep -q linux-patch $said"])),
    ("man -l man/linux-patch.8", Run(Systemd, 0, &["grep -q 'EXIT STATUS' $said"])),
    ("man -l man/linux-patch-managers.7", Run(Systemd, 0, &["grep -q 'PACMAN' $said"])),
    ("man -l man/linux-patch-state.5", Run(Systemd, 0, &["grep -q 'HISTORY FILE' $said"])),
    (
        "systemctl stop linux-patch-apply.service",
        In("a_stop_in_mid_install_waits_for_its_end", &["systemctl stop ", "{APPLY}"]),
    ),
    (
        "systemctl poweroff",
        In("a_shutdown_in_mid_install_waits_for_its_end", &["\"systemctl\", \"poweroff\""]),
    ),
    (
        "systemd-analyze security",
        In("the_sandbox_is_as_good_as_the_documentation_says", &["systemd-analyze security"]),
    ),
    // Packages.
    ("make deb", Run(Dpkg, 0, &["is dpkg-dev 2.0", "ls target/debian/linux-patch_*.deb"])),
    ("make rpm", Run(Dpkg, 0, &["ls target/generate-rpm/linux-patch-*.rpm"])),
    (
        "make deb && apt-get install ./target/debian/linux-patch_*.deb",
        Run(
            Dpkg,
            0,
            &[
                "dpkg-query -W linux-patch",
                "linux-patch --version",
                "test -e /usr/lib/systemd/system/linux-patch-refresh.timer",
            ],
        ),
    ),
    (
        "make rpm && dnf install ./target/generate-rpm/linux-patch-*.rpm",
        Run(
            Rpm,
            0,
            &[
                "rpm -q linux-patch",
                "linux-patch --version",
                "test -e /usr/lib/systemd/system/linux-patch-refresh.timer",
            ],
        ),
    ),
    (
        "make deb TARGET=x86_64-unknown-linux-musl",
        Run(
            Dpkg,
            0,
            &[
                "grep -qx 'build --release --locked --target x86_64-unknown-linux-musl' cargo.log",
                "ls target/x86_64-unknown-linux-musl/debian/linux-patch_*.deb",
            ],
        ),
    ),
    (
        "make rpm TARGET=x86_64-unknown-linux-musl",
        Run(Dpkg, 0, &["ls target/x86_64-unknown-linux-musl/generate-rpm/linux-patch-*.rpm"]),
    ),
    ("rustup target add x86_64-unknown-linux-musl", Not("it loads a compiler's library")),
    ("cargo install", Not("it loads a program from a registry; the Makefile says which")),
    // Monitoring.
    (
        "/usr/lib/nagios/plugins/check_nrpe -H web1 -c check_linux_patch",
        In(
            "check_nrpe_passes_every_state_on",
            &["\"/usr/lib/nagios/plugins/check_nrpe\", \"-H\", &address, \"-c\", \"check_linux_patch\""],
        ),
    ),
    ("check_nrpe -2", In("check_nrpe_passes_every_state_on", &["check(&[\"-2\"])"])),
    (
        "promtool test rules",
        In("promtool_takes_the_rules_and_their_tests", &["[\"test\", \"rules\", RULES_TEST]"]),
    ),
    ("check_apt -o", In(CHECK_APT, &["mapped()", "strip_prefix(\"| `check_apt\")"])),
    ("check_apt -w 3", In(CHECK_APT, &["mapped()", "strip_prefix(\"| `check_apt\")"])),
    ("check_apt -e linux-image", In(CHECK_APT, &["mapped()", "strip_prefix(\"| `check_apt\")"])),
    ("check_apt -e linux-image -o", In(CHECK_APT, &["mapped()", "strip_prefix(\"| `check_apt\")"])),
    ("check_apt -l", In(CHECK_APT, &["mapped()", "strip_prefix(\"| `check_apt\")"])),
    ("check_apt -n", In(CHECK_APT, &["mapped()", "strip_prefix(\"| `check_apt\")"])),
    // A fleet.
    ("cd contrib/ansible", In(ROLE, &["Fleet::new"])),
    (
        "ansible-playbook -i inventory install.yml -e linux_patch_package=/path/to/linux-patch.deb",
        In(ROLE, &["\"install.yml\"", "linux_patch_package"]),
    ),
    (
        "ansible-playbook -i inventory uninstall.yml",
        In(
            "the_role_sets_metrics_and_nrpe_and_takes_everything_away_again",
            &["fleet.play(\"uninstall.yml\", &[])"],
        ),
    ),
    ("ansible-playbook -i inventory apply.yml --check", In(ROLLOUT, &["\"apply.yml\"", "\"--check\""])),
    ("ansible-playbook -i inventory apply.yml", In(ROLLOUT, &["\"apply.yml\""])),
    (
        "ansible-playbook -i inventory apply.yml --limit web -e '{\"linux_patch_apply_options\": [\"--security\"]}'",
        In(
            "a_rollout_may_be_of_security_updates_only",
            &["\"apply.yml\"", "\"--limit\"", r#""linux_patch_apply_options": ["--security"]"#],
        ),
    ),
    (
        "ansible -i inventory all -m ansible.builtin.command -a 'linux-patch status'",
        In(
            "part_of_an_index_that_is_stale_is_a_failure_only_where_it_is_to_be",
            &["[\"all\", \"-m\", \"ansible.builtin.command\", \"-a\", \"linux-patch status\"]"],
        ),
    ),
    (
        "jq -r 'select(.failed) | .host + \": \" + .summary' linux-patch-reports/*/*.json",
        Run(Systemd, 0, &["test \"$(cat $said)\" = 'web1: fetch: 404'"]),
    ),
    (
        "while read -r host; do\nline=$(ssh -n \"$host\" linux-patch status --format nagios --alert security --alert reboot --alert apply=critical)\necho \"$? $host ${line%%|*}\"\ndone <hosts | sort -n",
        Run(Remote, 0, &["grep -q '^[01] web1 PATCH [OW]' $said", "grep -qx '255 nowhere ' $said"]),
    ),
];
const ROLE: &str = "the_role_installs_and_sets_the_timers_once";
const ROLLOUT: &str = "a_rollout_stops_where_a_share_fails_and_goes_on_where_it_left_off";

/// Blocks that are no commands, by how they begin, with the test that tries them and words of it.
const CONTENTS: &[(&str, &str, &[&str])] = &[
    (
        "define service {",
        "nagios_sees_every_state_itself_by_nrpe_and_by_ssh",
        &[r#"blocks("monitoring.md")"#],
    ),
    (
        r#"object Host "web1" {"#,
        "icinga_sees_every_state_itself_by_nrpe_and_by_ssh",
        &[r#"blocks("monitoring.md")"#],
    ),
    (
        "restrict,command=",
        "check_by_ssh_takes_no_word_on_standard_error_for_a_failure",
        &[" ssh-ed25519 AAAA..."],
    ),
    (
        "#!/usr/bin/python3\n",
        "the_program_that_is_shown_reads_what_hosts_answer",
        &[r#"blocks("monitoring.md")"#],
    ),
    (
        "[Timer]\nOnCalendar=\n",
        "the_timer_goes_on_and_on_at_the_interval_that_systemctl_edit_gives_it",
        &["documented("],
    ),
    ("[Service]\nExecStart=\nExecStart=/usr/bin/linux-patch refresh --splay 59min\n", UNITS_READ, &[TIMERS]),
    (
        "[Service]\nExecStart=\nExecStart=/usr/bin/linux-patch apply --security --reboot",
        UNITS_READ,
        &[TIMERS],
    ),
    ("[Service]\nReadWritePaths=", UNITS_READ, &[TIMERS]),
    ("0 * * * *  root  linux-patch refresh --quiet --splay 59min", CRON, &["LINE.replace("]),
    ("linux_patch_refresh_calendar: ", ROLE, &["linux_patch_refresh_calendar"]),
    ("- hosts: web\n", "the_playbook_that_is_shown_is_understood", &["--syntax-check"]),
    // Of the output of a program.
    ("failed: http://deb.example.org stable: 404 Not Found;", CRON, &[r#"starts_with("failed: ")"#]),
    (
        "ExecStart=/usr/bin/linux-patch apply\nKillMode=process\n",
        "the_unit_in_the_page_is_that_of_contrib",
        &["file(APPLY_UNIT)"],
    ),
];
const UNITS_READ: &str = "systemd_has_nothing_to_say_about_the_units";
const TIMERS: &str = r#"blocks("timers.md")"#;
const CRON: &str = "cron_mails_nothing_when_all_is_well_and_one_line_when_it_is_not";
const APPLY_UNIT: &str = "contrib/systemd/linux-patch-apply.service";
const PAGE: &str = "man/linux-patch.8";
const REFERENCE: &str = "man/linux-patch-state.5";
const OF_MANAGERS: &str = "man/linux-patch-managers.7";

/// Every document with its code. What stands within a line of the page is words, not commands.
fn shown() -> Vec<(String, Code)> {
    let mut texts = docs();
    texts.push(("README.md".to_string(), file("README.md")));
    let mut shown: Vec<_> = texts.into_iter().map(|(path, text)| (path, Code::of_markdown(&text))).collect();
    for page in [PAGE, REFERENCE, OF_MANAGERS] {
        shown.push((page.to_string(), Code { spans: Vec::new(), ..Code::of_page(&file(page)) }));
    }
    shown
}

/// Where a test is, and what it does: its own text and that of the functions of its file that it calls, one
/// through another, without comments.
fn tests() -> BTreeMap<String, (String, String)> {
    let mut tests = BTreeMap::new();
    for suite in ["cli", "e2e", "faults", "integrations"] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(suite);
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let place = format!("{suite} {}", path.file_stem().unwrap().to_str().unwrap());
            let text = std::fs::read_to_string(path).unwrap();
            let functions = functions(&text);
            for (name, (_, is_test)) in &functions {
                if *is_test {
                    tests.insert(name.to_string(), (place.clone(), reached(name, &functions)));
                }
            }
        }
    }
    tests
}

/// The functions in the first column and in the blocks there, each with its text, and whether it is a test.
fn functions(text: &str) -> BTreeMap<String, (String, bool)> {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    let lines: Vec<_> = text.lines().filter(|line| !is_comment(line)).collect();
    let mut functions: BTreeMap<String, (String, bool)> = BTreeMap::new();
    let (mut open, mut is_test): (Option<(String, String)>, bool) = (None, false);
    for line in lines {
        let was_test = is_test;
        is_test = line.trim() == "#[test]" || was_test && line.trim_start().starts_with("#[");
        let begins = line.trim_start().trim_start_matches("pub ").strip_prefix("fn ");
        let indent = &line[..line.len() - line.trim_start().len()];
        if let (Some(rest), true, true) = (begins, open.is_none(), indent.len() <= 4) {
            let name = rest.split(['(', '<']).next().unwrap().to_string();
            functions.insert(name.clone(), (String::new(), was_test));
            open = Some((name, format!("{indent}}}")));
        }
        let Some((name, end)) = &open else { continue };
        functions.get_mut(name).expect("it is open").0 += &format!("{line}\n");
        if line == end || line.trim_start().starts_with("fn ") && line.ends_with('}') {
            open = None;
        }
    }
    functions
}

/// The text of a function and of all that it calls in its file.
fn reached(name: &str, functions: &BTreeMap<String, (String, bool)>) -> String {
    let (mut seen, mut next) = (BTreeSet::from([name]), vec![name]);
    let mut all = String::new();
    while let Some(name) = next.pop() {
        let text = &functions[name].0;
        // Up to its body no function calls another, and its own name stands there.
        let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let called = functions.keys().map(String::as_str).filter(|other| words.contains(other));
        next.extend(called.filter(|other| seen.insert(other)));
        all += text;
    }
    all
}

#[test]
fn what_a_test_reaches_is_what_it_calls() {
    let text = "use x;\n#[test]\nfn one() {\n    two();\n    // three\n}\n\nfn two() { four() }\n\nfn three() {\n    \
                here();\n}\n\nimpl X {\n    pub fn four() {\n        there();\n    }\n}\n";
    let functions = functions(text);
    assert_eq!(functions.iter().filter(|(_, (_, is_test))| *is_test).count(), 1);
    let reached = reached("one", &functions);
    assert!(
        reached.contains("there();")
            && !reached.contains("here();\n}\n\nimpl")
            && !reached.contains(" three")
    );
    assert!(!reached.contains("    here();"), "{reached}");
}

/// Whether it asks cargo for a test by its module and the beginning of its name, or by a part of the name,
/// and that is there.
fn asks_for_a_test(command: &str, tests: &BTreeMap<String, (String, String)>) -> bool {
    let Some((suite, filter)) = command.strip_prefix("cargo test --test ").and_then(|it| it.split_once(' '))
    else {
        return false;
    };
    let filter = filter.split(' ').next().unwrap_or(filter);
    tests.iter().any(|(test, (place, _))| match filter.split_once("::") {
        Some((module, name)) => *place == format!("{suite} {module}") && test.starts_with(name),
        None => place.starts_with(&format!("{suite} ")) && test.contains(filter),
    })
}

#[test]
fn every_command_that_is_shown_is_run() {
    let tests = tests();
    let known = |command: &str| COMMANDS.iter().any(|(known, _)| *known == command);
    // Code within a line is a command if it begins like one.
    let programs: BTreeSet<&str> =
        COMMANDS.iter().map(|(command, _)| command.split(' ').next().unwrap()).collect();
    let (mut found, mut contents, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (place, code) in shown() {
        let mut here: Vec<String> = Vec::new();
        for block in &code.blocks {
            let text = block.join("\n");
            match CONTENTS.iter().find(|(start, ..)| text.starts_with(start)) {
                Some((start, ..)) => _ = contents.insert(*start),
                None => here.extend(commands(block)),
            }
        }
        let is_command =
            |span: &&String| span.split_once(' ').is_some_and(|(first, _)| programs.contains(first));
        here.extend(code.spans.iter().filter(is_command).cloned());
        wrong.extend(
            here.iter()
                .filter(|command| !known(command) && !asks_for_a_test(command, &tests))
                .map(|command| format!("{place} shows what no test runs: {command}")),
        );
        found.extend(here);
    }
    wrong.extend(
        COMMANDS
            .iter()
            .filter(|(command, _)| !found.contains(*command))
            .map(|(command, _)| format!("nothing shows any more: {command}")),
    );
    wrong.extend(
        CONTENTS
            .iter()
            .filter(|(start, ..)| !contents.contains(start))
            .map(|(start, ..)| format!("nothing shows any more: {start}")),
    );
    let by_others = COMMANDS.iter().filter_map(|(command, proof)| match proof {
        In(test, words) => Some((*command, *test, *words)),
        Not(reason) => {
            assert!(reason.split(' ').count() > 2, "{command} has no reason");
            None
        }
        Run(..) => None,
    });
    for (what, test, words) in by_others.chain(CONTENTS.iter().copied()) {
        match tests.get(test) {
            None => wrong.push(format!("there is no test {test}: {what}")),
            Some((_, text)) => wrong.extend(
                words
                    .iter()
                    .filter(|word| !text.contains(*word))
                    .map(|word| format!("{test} has no {word}: {what}")),
            ),
        }
    }
    let mut seen = BTreeSet::new();
    wrong.extend(
        COMMANDS
            .iter()
            .filter(|(command, _)| !seen.insert(*command))
            .map(|(command, _)| format!("twice in the table: {command}")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_unit_in_the_page_is_that_of_contrib() {
    let unit = file(APPLY_UNIT);
    let of_page = Code::of_page(&file(PAGE)).blocks;
    let block = of_page.iter().find(|block| block[0].starts_with("ExecStart=")).expect("no unit in the page");
    for line in block {
        assert!(unit.lines().any(|found| found == line), "{APPLY_UNIT} has no line {line}");
    }
}

#[test]
fn commands_are_found_in_blocks() {
    let found = |text: &str| -> Vec<String> {
        Code::of_markdown(text).blocks.iter().flat_map(|block| commands(block)).collect()
    };
    assert_eq!(found("Text `a b`:\n\n    one    # why\n    two --x\n\nText\n"), ["one", "two --x"]);
    assert_eq!(found("```console\n# one\nits output\n# two\n```\n"), ["one", "two"]);
    assert_eq!(found("    $ one | two\n    its output\n"), ["one | two"]);
    assert_eq!(found("    one |\n      two\n    three \\\n      four\n"), ["one | two", "three four"]);
    assert_eq!(
        found("    for x in a b; do\n      one $x\n    done\n    two\n"),
        ["for x in a b; do\none $x\ndone", "two"]
    );
}

/// What a machine has, and where the rest comes from: five updates, one of them for security, and the
/// packages that make asks for.
#[track_caller]
fn furnish(sandbox: &Sandbox) -> [Repo; 2] {
    let names = ["tb-hello", "linux-image-tb", "openssl", "libssl3", "make", "gcc", "libc6-dev", "dpkg-dev"];
    let plain = Repo::new(&names.map(|name| deb(name, "2.0")));
    let secure = Repo::claiming(|claims| claims.label = "Debian-Security".into(), &[deb("tb-sec", "2.0")]);
    sandbox.add_source("test", &plain);
    sandbox.add_source("security", &secure);
    let mut installed: Vec<_> = names[..4].iter().map(|name| deb(name, "1.0")).collect();
    installed.extend([deb("tb-sec", "1.0"), deb("libc6", "99")]);
    sandbox.install(&installed);
    sandbox.sh("mkdir -p /var/lib/prometheus/node-exporter /srv/linux-patch; rm -f /var/lib/prometheus/node-exporter/*");
    [plain, secure]
}

/// A copy of the sources in /srv/linux-patch, with the stand-in for cargo.
#[track_caller]
fn clone(sandbox: &Sandbox, packages: bool) {
    let tar = Command::new("tar")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "-cf", "-"])
        .args(["Makefile", "README.md", "Cargo.toml", "contrib", "docs", "man", "packaging"])
        .output()
        .expect("could not run tar");
    assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
    sandbox.write("/srv/tree.tar", tar.stdout);
    sandbox.sh(
        "tar -C /srv/linux-patch -xf /srv/tree.tar; mkdir /srv/built; mv /usr/bin/linux-patch /srv/built/",
    );
    for (dir, kind) in [("debian", "deb"), ("generate-rpm", "rpm")].into_iter().filter(|_| packages) {
        let package = made(dir, kind);
        let name = package.file_name().unwrap().to_str().unwrap();
        sandbox.write(&format!("/srv/built/{name}"), std::fs::read(&package).unwrap());
    }
    let makefile = file("Makefile");
    let version = |name: &str| {
        let line = makefile.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
        line.unwrap_or_else(|| panic!("Makefile has no {name}")).to_string()
    };
    let [deb, rpm] = ["CARGO_DEB", "CARGO_RPM"].map(version);
    sandbox.write_script(
        "/usr/local/bin/cargo",
        &format!(
            r#"echo "$*" >>cargo.log
to=target/$(expr " $*" : '.* --target \([^ ]*\)')
case "$*" in
  "deb --version") echo cargo-deb {deb} ;;
  "generate-rpm --version") echo cargo-generate-rpm {rpm} ;;
  "build --release "* | "rustc --release "*) install -D /srv/built/linux-patch $to/release/linux-patch ;;
  "deb "*) out=$(expr "$*" : '.* -o \([^ ]*\)')
    [ -x $to/release/linux-patch ] && mkdir -p $out && cp /srv/built/*.deb $out ;;
  "generate-rpm "*) [ -x $to/release/linux-patch ] && mkdir -p $to/generate-rpm && cp /srv/built/*.rpm $to/generate-rpm/ ;;
  *) exit 101 ;;
esac"#
        ),
    );
    sandbox.write_script("/usr/local/bin/rustc", "echo /srv");
}

/// Runs what the table has for a place, each as it is shown, with `start` to run shell lines there.
#[track_caller]
fn run_all(place: Place, start: impl Fn(&str, &str) -> Ended) {
    let mut number = 0;
    for (command, proof) in COMMANDS {
        let Run(at, code, checks) = proof else { continue };
        if *at != place {
            continue;
        }
        number += 1;
        let run = match command {
            // It needs a terminal.
            command if command.starts_with("systemctl edit ") => {
                format!("SYSTEMD_EDITOR=/srv/editor script -qec '{command}' /dev/null")
            }
            // It asks for confirmation.
            command if command.contains("dnf install ") => format!("yes | {{ {command}; }}"),
            command => command.to_string(),
        };
        let ended = start("cd /srv/linux-patch; eval \"$1\" >/srv/said 2>&1", &run);
        let said = start("cat /srv/said", "").stdout;
        assert_eq!(ended.code, *code, "{command}\n{said}{}", ended.stderr);
        for check in *checks {
            let is = "is() { dpkg-query -W -f '${Version}\\n' $1 | grep -qxF \"$2\"; }";
            let checked = start(&format!("cd /srv/linux-patch; said=/srv/said; {is}\n{check}"), "");
            assert_eq!(checked.code, 0, "{command}\n{check}\n{said}{}{}", checked.stdout, checked.stderr);
        }
    }
    assert!(number > 0, "the table has nothing for this place");
}

fn in_sandbox(place: Place, sandbox: &Sandbox) {
    run_all(place, |script, argument| sandbox.run(&["sh", "-c", script, "sh", argument]));
}

#[test]
fn what_is_shown_for_one_machine_does_it() {
    let sandbox = Sandbox::prepared("");
    let _sources = furnish(&sandbox);
    in_sandbox(Machine, &sandbox);
}

#[test]
fn what_is_shown_with_ssh_does_it() {
    need("/usr/sbin/sshd", "openssh-server");
    let sandbox = Sandbox::prepared("");
    let _sources = furnish(&sandbox);
    let address = free_address();
    let (ip, port) = (address.ip(), address.port());
    // Root's own shell would read files of the machine.
    sandbox.sh(&format!(
        "mkdir -p -m 755 /run/sshd /srv/ssh; mkdir -m 700 /srv/root /srv/root/.ssh
         sed -i 's#^root:.*#root:x:0:0:root:/srv/root:/bin/sh#' /etc/passwd
         sed -i 's#^root:[^:]*:#root:*:#' /etc/shadow
         for name in /srv/ssh/host /srv/root/.ssh/id_ed25519; do ssh-keygen -q -t ed25519 -N '' -f $name; done
         cp /srv/root/.ssh/id_ed25519.pub /srv/ssh/authorized
         echo \"[{ip}]:{port} $(cut -d' ' -f1,2 /srv/ssh/host.pub)\" >/srv/root/.ssh/known_hosts
         printf 'Host web1 host\\n  HostName {ip}\\n  Port {port}\\n' >/srv/root/.ssh/config
         touch /run/reboot-required"
    ));
    sandbox.write(
        "/srv/ssh/config",
        format!(
            "ListenAddress {ip}:{port}\nHostKey /srv/ssh/host\nAuthorizedKeysFile /srv/ssh/authorized\n\
             PermitRootLogin yes\nStrictModes yes\nPidFile none\nUsePAM no\n"
        ),
    );
    sandbox.write("/srv/linux-patch/hosts", "web1\nnowhere\n");
    start(&sandbox, "sshd", "/usr/sbin/sshd -D -e -f /srv/ssh/config");
    listens(&sandbox, "sshd", address);
    in_sandbox(Remote, &sandbox);
}

#[test]
fn what_is_shown_for_a_copy_of_the_sources_does_it() {
    let sandbox = Sandbox::prepared("");
    let _sources = furnish(&sandbox);
    clone(&sandbox, false);
    in_sandbox(Sources, &sandbox);
}

#[test]
#[ignore = "make integrations"]
fn what_is_shown_for_systemd_does_it() {
    for (program, package) in
        [("/usr/bin/jq", "jq"), ("/usr/bin/man", "man-db"), ("/usr/bin/script", "bsdutils")]
    {
        need(program, package);
    }
    let booted = Booted::prepared("");
    let _sources = furnish(&booted.sandbox);
    clone(&booted.sandbox, false);
    booted.sandbox.write_script("/srv/editor", r#"printf '[Unit]\nDescription=edited\n' >"$1""#);
    // As roles/linux_patch/tasks/report.yml writes them.
    for (host, failed, summary) in [("web1", true, "fetch: 404"), ("web2", false, "up to date")] {
        let report = serde_json::json!({"host": host, "failed": failed, "summary": summary});
        booted.sandbox.write(
            &format!("/srv/linux-patch/linux-patch-reports/2026-01-01/{host}.json"),
            report.to_string(),
        );
    }
    booted.boot();
    run_all(Systemd, |script, argument| booted.run(&["sh", "-c", script, "sh", argument]));
}

#[test]
#[ignore = "make integrations"]
fn what_is_shown_for_packages_of_dpkg_does_it() {
    let sandbox = Sandbox::prepared("");
    let _sources = furnish(&sandbox);
    clone(&sandbox, true);
    in_sandbox(Dpkg, &sandbox);
}

#[test]
#[ignore = "make integrations"]
fn what_is_shown_for_packages_of_rpm_does_it() {
    let sandbox = Sandbox::prepared("");
    let _sources = furnish(&sandbox);
    clone(&sandbox, true);
    rpm::Root::prepare(&sandbox);
    // Its dependencies, which rpm does not know in this root.
    let package = made("generate-rpm", "rpm");
    let needs =
        Command::new("rpm").args(["-qp", "--requires"]).arg(package).output().expect("could not run rpm");
    let needs = String::from_utf8(needs.stdout).unwrap();
    let needs = needs.lines().filter(|line| !line.starts_with("rpmlib("));
    let base = needs.fold(rpm("tb-base", "1.0"), |base, need| base.tag(&format!("Provides: {need}")));
    sandbox.write("/srv/base.rpm", base.bytes().as_slice());
    sandbox.sh("rpm -i --nodeps /srv/base.rpm 2>&1");
    in_sandbox(Rpm, &sandbox);
}

#[test]
#[ignore = "make integrations"]
fn the_playbook_that_is_shown_is_understood() {
    need("/usr/bin/ansible-playbook", "ansible-core");
    let blocks = Code::of_markdown(&file("docs/fleet.md")).blocks;
    let block =
        blocks.iter().find(|block| block[0] == "- hosts: web").expect("docs/fleet.md shows a playbook");
    let work = tempfile::tempdir().unwrap();
    let play = work.path().join("play.yml");
    // The lines before and after are the reader's own.
    std::fs::write(&play, block.join("\n").replace("[...]", "[]") + "\n").unwrap();
    let ended = Command::new("ansible-playbook")
        .args(["-i", "web,", "--list-tasks", "--syntax-check"])
        .arg(&play)
        .env("HOME", work.path())
        .env("LC_ALL", "C.UTF-8")
        .env("ANSIBLE_ROLES_PATH", concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/ansible/roles"))
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
#[ignore = "make integrations"]
fn a_rollout_may_be_of_security_updates_only() {
    in_own_network("commands::a_rollout_may_be_of_security_updates_only", || {
        let repo = Repo::at(HERE, &[deb("tb-hello", "2.0")]);
        let fleet = Fleet::new(1, 1, |host| host.has(&[deb("tb-hello", "1.0")], &repo));
        let host = &fleet.hosts[0];
        let options = r#"{"linux_patch_apply_options": ["--security"], "linux_patch_poll": 1}"#;
        for (args, version, changed) in
            [(&["-e", options][..], "1.0", 0), (&["-e", "linux_patch_poll=1"], "2.0", 1)]
        {
            let played = fleet.play("apply.yml", &[&["--limit", "host1"], args].concat());
            assert_eq!((played.code, played.count(host, "changed")), (0, changed));
            host.sandbox().has_exactly(&[&format!("tb-hello {version}")]);
        }
    });
}
