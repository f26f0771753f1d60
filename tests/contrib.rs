//! What the files of contrib promise, line by line. `make integrations` has the real programs run them, which takes
//! long and is not done at every change. A line that is removed or added is noticed here at once.

use std::collections::BTreeSet;

fn text(path: &str) -> String {
    let full = format!("{}/contrib/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{full}: {error}"))
}

/// The lines of a file that matter: without comments and empty lines.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let is_comment =
        |line: &str| line == "*/" || ["#", "//", "/*", "* "].iter().any(|start| line.starts_with(start));
    text.lines().map(str::trim).map(offered).filter(move |line| !line.is_empty() && !is_comment(line))
}

/// What a line of a crontab runs, also of one that its reader has to uncomment first: `#30 3 * * *  root  linux-patch ...`.
fn offered(line: &str) -> &str {
    line.strip_prefix('#').filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(line)
}

/// The lines of a part that begins with this line, up to the next part of its kind.
#[track_caller]
fn part<'a>(path: &str, text: &'a str, begins: &str) -> Vec<&'a str> {
    let kinds = ["[", "define ", "object ", "template ", "apply ", "const ", "- alert: ", "- name: "];
    let mut lines = lines(text).skip_while(|line| *line != begins);
    assert!(lines.next().is_some(), "{path} has no {begins}");
    lines.take_while(|line| !kinds.iter().any(|kind| line.starts_with(kind))).collect()
}

/// A part of a file, with its lines and what would go wrong without each.
type Part = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Each line of these units, except their descriptions.
const UNITS: &[Part] = &[
    (
        "systemd/linux-patch-refresh.timer",
        "[Timer]",
        &[
            ("OnCalendar=hourly", "--max-age is four hours"),
            (
                "RandomizedDelaySec=59min",
                "a fleet asks its mirror all at once, or a run falls into the next hour",
            ),
            (
                "FixedRandomDelay=true",
                "the spread is another one each hour, and two runs an hour apart or none",
            ),
            ("AccuracySec=1s", "systemd puts the runs together again"),
            ("Persistent=true", "what was missed while the machine was off is not made up for"),
            ("OnActiveSec=0", "a new machine waits for the next hour, and then for its share"),
        ],
    ),
    ("systemd/linux-patch-refresh.timer", "[Install]", &[("WantedBy=timers.target", "it cannot be enabled")]),
    (
        "systemd/linux-patch-apply.timer",
        "[Timer]",
        &[
            ("OnCalendar=*-*-* 03:30:00", "it comes by day"),
            ("RandomizedDelaySec=1h", "a fleet downloads and restarts all at once"),
            ("FixedRandomDelay=true", "nobody knows when one host does it"),
            ("AccuracySec=1s", "systemd puts the runs together again"),
            ("Persistent=true", "a night that was missed is missed for good"),
        ],
    ),
    ("systemd/linux-patch-apply.timer", "[Install]", &[("WantedBy=timers.target", "it cannot be enabled")]),
    (
        "systemd/linux-patch-refresh.service",
        "[Unit]",
        &[
            ("Description=Refresh the package index", ""),
            ("Documentation=man:linux-patch(8)", ""),
            ("Wants=network-online.target", "a run made up for at the start finds no network"),
            ("After=network-online.target", "likewise"),
        ],
    ),
    (
        "systemd/linux-patch-refresh.service",
        "[Service]",
        &[
            ("Type=oneshot", "its end is not waited for"),
            ("ExecStart=/usr/bin/linux-patch refresh", ""),
            ("SuccessExitStatus=1", "one source of many that is down makes a failed unit"),
            ("KillMode=mixed", "the manager is killed beside linux-patch, not ended by it"),
            ("TimeoutStartSec=15min", "a hung run stops the timer for ever"),
            ("Nice=10", "it is in the way of what the machine is there for"),
            ("IOSchedulingPriority=7", "likewise"),
            ("ProtectSystem=strict", "the sandbox"),
            (
                "ReadWritePaths=/var /run -/etc/zypp -/etc/yum.repos.d -/etc/pki -/etc/rhsm -/etc/pacman.d/gnupg",
                "a manager cannot write its index, sources, certificates or keyring; without the - it does not start",
            ),
            ("ProtectHome=read-only", "the sandbox; proxies and keys may stand in /root"),
            ("PrivateTmp=yes", "the sandbox"),
            ("PrivateDevices=yes", "the sandbox"),
            ("PrivateMounts=yes", "the sandbox"),
            ("ProtectClock=yes", "the sandbox"),
            ("ProtectControlGroups=yes", "the sandbox"),
            ("ProtectHostname=yes", "the sandbox"),
            ("ProtectKernelLogs=yes", "the sandbox"),
            ("ProtectKernelModules=yes", "the sandbox"),
            ("ProtectKernelTunables=yes", "the sandbox"),
            ("LockPersonality=yes", "the sandbox"),
            ("NoNewPrivileges=yes", "pacman cannot put its downloads into a sandbox of its own"),
            (
                "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
                "no name is found, or no address",
            ),
            ("RestrictNamespaces=yes", "the sandbox"),
            ("RestrictRealtime=yes", "the sandbox"),
            ("RestrictSUIDSGID=yes", "the sandbox"),
            ("SystemCallArchitectures=native", "the sandbox"),
            (
                "SystemCallFilter=~@clock @cpu-emulation @debug @module @mount @obsolete @raw-io @reboot @swap",
                "an old systemd that does not know a name would allow next to nothing",
            ),
            ("SystemCallErrorNumber=EPERM", "a call that is denied kills the manager"),
            (
                "CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL \
                 CAP_SETGID CAP_SETUID CAP_SYS_PTRACE",
                "apt cannot download as another user, and no holder of a lock is named",
            ),
        ],
    ),
    (
        "systemd/linux-patch-apply.service",
        "[Unit]",
        &[
            ("Description=Install pending updates", ""),
            ("Documentation=man:linux-patch(8)", ""),
            ("Wants=network-online.target", "a run made up for at the start finds no network"),
            (
                "After=network-online.target dbus.service",
                "in a shutdown the bus ends before the maintainer scripts that talk to it",
            ),
        ],
    ),
    (
        "systemd/linux-patch-apply.service",
        "[Service]",
        &[
            ("Type=oneshot", "its end is not waited for"),
            ("ExecStart=/usr/bin/linux-patch apply", ""),
            ("SuccessExitStatus=1", "an index that is stale in part makes a failed unit"),
            ("KillMode=process", "a stop kills dpkg in mid-install"),
            ("TimeoutStopSec=infinity", "a shutdown kills it after 90 s"),
            ("OOMPolicy=continue", "one script that runs out of memory ends the whole install"),
            ("OOMScoreAdjust=-500", "the install is the first to be killed"),
            ("ManagedOOMPreference=omit", "systemd-oomd kills the package manager with all that it runs"),
            ("Nice=10", "it is in the way of what the machine is there for"),
            ("IOSchedulingClass=best-effort", "idle: the install comes to a stand"),
            ("IOSchedulingPriority=7", "it is in the way of what the machine is there for"),
            ("CPUWeight=20", "likewise"),
            ("IOWeight=20", "likewise"),
        ],
    ),
    (
        "prometheus/linux-patch-metrics.conf",
        "[Service]",
        &[(
            "ExecStopPost=-+/usr/bin/linux-patch status --format openmetrics --output \
             /var/lib/prometheus/node-exporter/linux-patch.prom",
            "without - the unit fails for what status says, without + the file cannot be written",
        )],
    ),
];

/// Lines of other files that something depends on. The rest of these files is a matter of taste.
const OTHERS: &[Part] = &[
    (
        "cron/linux-patch",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        &[
            ("MAILTO=root", "nobody is told"),
            (
                "0 * * * *  root  command -v linux-patch >/dev/null || exit 0; linux-patch refresh --quiet --splay 59min",
                "a fleet at once, or a mail an hour, or one where the program was removed",
            ),
            (
                "30 3 * * *  root  command -v linux-patch >/dev/null || exit 0; \
                 linux-patch refresh --quiet --splay 59min >/dev/null 2>&1; linux-patch apply --quiet",
                "nothing is installed where that is asked for, or by a fleet at once",
            ),
        ],
    ),
    (
        "nagios/linux-patch.cfg",
        "define command {",
        &[(
            "command_line         /usr/bin/linux-patch status --format nagios --verbose $ARG1$",
            "no performance data",
        )],
    ),
    (
        "nagios/linux-patch.cfg",
        "define service {",
        &[
            ("name                 linux-patch", "no service has these"),
            ("check_interval       15", "what failed is seen late"),
            ("retry_interval       15", "one failed refresh alerts before the next, an hour later"),
            ("max_check_attempts   6", "likewise"),
        ],
    ),
    (
        "icinga2/linux-patch.conf",
        "template Service \"linux-patch\" {",
        &[
            ("check_interval = 15m", "what failed is seen late"),
            ("retry_interval = 15m", "one failed refresh alerts before the next, an hour later"),
            ("max_check_attempts = 6", "likewise"),
        ],
    ),
    (
        "icinga2/linux-patch.conf",
        "object CheckCommand \"linux_patch_by_ssh\" {",
        &[
            ("vars.by_ssh_options = \"BatchMode=yes\"", "ssh waits for a password"),
            ("vars.by_ssh_arguments = LinuxPatchArguments", "no alert reaches the machine"),
            ("vars.by_ssh_timeout = 30", "a slow login is no answer"),
            ("arguments[\"-E\"] = {", "a motto of the shell is taken for a failure"),
            ("arguments[\"-U\"] = {", "a connection that is lost is read as CRITICAL"),
        ],
    ),
    (
        "icinga2/linux-patch.conf",
        "template CheckCommand \"linux-patch-vars\" {",
        &[
            ("vars.linux_patch_warning = \"4h\"", "a dead timer is seen late"),
            ("vars.linux_patch_critical = \"1d\"", "likewise"),
            (
                "vars.linux_patch_alert = [ \"security\", \"reboot\", \"apply=critical\" ]",
                "a failed apply is no matter",
            ),
        ],
    ),
    (
        "prometheus/linux-patch-metrics.cron",
        "*/15 * * * *  root  [ ! -x /usr/bin/linux-patch ] || /usr/bin/linux-patch status --quiet \
         --format openmetrics --output /var/lib/prometheus/node-exporter/linux-patch.prom",
        &[],
    ),
    (
        "ansible/apply.yml",
        "- name: Install pending updates, batch by batch",
        &[
            ("max_fail_percentage: 10", "a bad update reaches the whole fleet"),
            ("ansible_ssh_retries: 0", "an apply is started twice"),
            ("serial: \"{{ linux_patch_batches | default([1, '10%', '25%']) }}\"", "all hosts at once"),
        ],
    ),
    (
        "ansible/roles/linux_patch/tasks/apply.yml",
        "- name: Start the apply",
        &[
            ("async: 604800", "a lost connection ends the install"),
            ("poll: 0", "the hosts of a batch wait for each other"),
            ("check_mode: false", "--check does not even look"),
            (
                "+ (['--dry-run'] if ansible_check_mode else []) + linux_patch_apply_options }}",
                "--check installs",
            ),
        ],
    ),
    (
        "ansible/roles/linux_patch/tasks/apply.yml",
        "- name: Reboot the host if it requires it",
        &[
            ("- not ansible_check_mode", "--check restarts"),
            ("- linux_patch_reboot | bool", "it cannot be switched off"),
            ("- linux_patch_document.exit_code | int < 2", "a host is restarted over a half install"),
        ],
    ),
];

/// What must not be in these files, with the reason.
const NEVER: &[(&str, &str, &str)] = &[
    ("systemd/linux-patch-refresh.service", "RemainAfterExit", "its timer would start it once"),
    ("systemd/linux-patch-refresh.service", "MemoryDenyWriteExecute", "it breaks plugins in Python"),
    ("systemd/linux-patch-apply.service", "Protect", "maintainer scripts may do anything"),
    ("systemd/linux-patch-apply.service", "Private", "likewise"),
    ("systemd/linux-patch-apply.service", "TimeoutStartSec", "an install would be killed"),
    ("systemd/linux-patch-apply.service", "RuntimeMaxSec", "likewise"),
    ("cron/linux-patch", "nice ", "what an update restarts would keep that priority"),
    ("cron/linux-patch.crontab", "nice ", "likewise"),
    ("nagios/nrpe.cfg", "$ARG", "dont_blame_nrpe would have to be 1"),
];

#[test]
fn each_line_that_something_depends_on_is_there() {
    for (path, begins, expected) in UNITS.iter().chain(OTHERS) {
        let text = text(path);
        let found = part(path, &text, begins);
        for (line, why) in *expected {
            assert_eq!(found.iter().filter(|it| *it == line).count(), 1, "{path}: {line}; else: {why}");
        }
    }
}

#[test]
fn no_unit_has_a_line_without_a_reason() {
    for (path, begins, expected) in UNITS {
        let text = text(path);
        let known: BTreeSet<&str> = expected.iter().map(|(line, _)| *line).collect();
        let more: Vec<_> =
            part(path, &text, begins).into_iter().filter(|line| !known.contains(line)).collect();
        assert!(more.is_empty(), "{path}: what would go wrong without {more:?}?");
    }
}

#[test]
fn what_would_do_harm_is_not_there() {
    for (path, words, why) in NEVER {
        let text = text(path);
        assert!(lines(&text).count() > 0, "{path} is empty");
        assert!(!lines(&text).any(|line| line.contains(words)), "{path} has {words}: {why}");
    }
}

/// All ways of asking use the same options, except where a machine is the monitoring server itself.
#[test]
fn every_plugin_alerts_of_the_same() {
    const ASKED: &str = "--warning 4h --critical 1d --alert security --alert reboot --alert apply=critical";
    let nagios = text("nagios/linux-patch.cfg");
    let checks: Vec<_> = lines(&nagios)
        .filter_map(|line| line.strip_prefix("check_command ")?.trim().split_once('!'))
        .collect();
    let all_updates = ASKED.replace("security", "updates");
    let expected = [
        ("check_nrpe", "check_linux_patch"),
        ("check_linux_patch_by_ssh", ASKED),
        ("check_linux_patch", ASKED),
        ("check_nrpe", "check_linux_patch_all_updates"),
        ("check_linux_patch_by_ssh", &all_updates),
        ("check_linux_patch", &all_updates),
    ];
    assert_eq!(checks, expected);
    let nrpe = text("nagios/nrpe.cfg");
    let status = "=/usr/bin/linux-patch status --format nagios --verbose";
    let command = format!("command[check_linux_patch]{status} {ASKED}");
    let of_all_updates = format!("command[check_linux_patch_all_updates]{status} {all_updates}");
    assert_eq!(lines(&nrpe).collect::<Vec<_>>(), [command, of_all_updates]);
    let by_ssh = lines(&nagios).find(|line| line.contains("check_by_ssh -H")).expect("no command with ssh");
    for (option, why) in [
        (" -E ", "a motto of the shell is taken for a failure"),
        (" -U ", "a connection that is lost is read as CRITICAL"),
        (" -o BatchMode=yes ", "ssh waits for a password"),
        (" -t 30 ", "a slow login is no answer"),
    ] {
        assert!(by_ssh.contains(option), "{by_ssh} has no{option}: {why}");
    }
}

/// Which alerts there are, and after how long they come. Otherwise a rule that was forgotten would not be missed.
#[test]
fn every_alert_of_prometheus_waits_as_long_as_it_should() {
    let rules = text("prometheus/linux-patch-rules.yml");
    let names = lines(&rules).filter_map(|line| line.strip_prefix("- alert: LinuxPatch"));
    let found: Vec<_> = names
        .map(|name| {
            let part = part("rules", &rules, &format!("- alert: LinuxPatch{name}"));
            let value = |key: &str| {
                let found = part.iter().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
                found.trim().to_string()
            };
            format!("{name} {} {}", value("for:"), value("severity:"))
        })
        .collect();
    let expected = [
        "IndexOld 1h warning",
        "RefreshFailed 8h warning",
        "SourceDown 1d warning",
        "MirrorOld 1h warning",
        "Unknown 8h warning",
        "PendingUnknown 2h warning",
        "SecurityUpdatesPending 3d critical",
        "SecurityHeldBack 3d critical",
        "SecurityUpdateOld 1h critical",
        "UpdatesPileUp 14d warning",
        "ApplyOverdue 1h warning",
        "ApplyFailed 5m critical",
        "ApplyInterrupted 30m critical",
        "RebootRequired 2d warning",
        "ServicesOutdated 2d warning",
        "SupportEnds 1h warning",
        "MetricsOld  warning",
        "Missing 1d warning",
    ];
    assert_eq!(found, expected);
}

#[test]
fn ansible_sets_in_the_table_of_root_what_the_file_for_it_says() {
    let table = text("cron/linux-patch.crontab");
    let line = lines(&table).next().expect("the table has a line");
    let job = line.strip_prefix("0 * * * *").expect("at every full hour").trim();
    let role = text("ansible/roles/linux_patch/tasks/cron.yml");
    let task = part("cron.yml", &role, "- name: Set the refresh in the table of root");
    assert!(task.contains(&&*format!("job: {job}")) && task.contains(&"minute: \"0\""), "{task:?}");
}

#[test]
fn every_variable_of_the_role_has_its_kind() {
    let role = |name: &str| text(&format!("ansible/roles/linux_patch/{name}"));
    let (defaults, specs) = (role("defaults/main.yml"), role("meta/argument_specs.yml"));
    let name = |line: &str| {
        let name = line.trim().split(':').next().filter(|name| name.starts_with("linux_patch_"))?;
        Some(name.to_string())
    };
    let set: BTreeSet<_> = defaults.lines().filter(|line| !line.starts_with('#')).filter_map(name).collect();
    let known: BTreeSet<_> = specs.lines().filter_map(name).collect();
    assert!(set.len() > 10, "{set:?}");
    assert_eq!(set, known);
}

#[test]
fn every_variable_of_the_role_is_in_its_readme_and_has_a_type() {
    let defaults = text("ansible/roles/linux_patch/defaults/main.yml");
    let named = defaults.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    let named: BTreeSet<_> = named.filter(|name| name.starts_with("linux_patch_")).collect();
    assert!(named.len() > 15, "{named:?}");
    let specs = text("ansible/roles/linux_patch/meta/argument_specs.yml");
    let typed = specs.lines().filter_map(|line| line.trim().split_once(": {type: ")).map(|(name, _)| name);
    assert_eq!(named, typed.collect());
    let readme = text("ansible/roles/linux_patch/README.md");
    let told = readme.lines().filter_map(|line| line.strip_prefix("| `linux_patch_")?.split('`').next());
    let told: BTreeSet<_> = told.map(|rest| format!("linux_patch_{rest}")).collect();
    assert_eq!(told, named.into_iter().map(str::to_owned).collect());
}
