//! contrib/ansible, run by the real Ansible over real ssh connections.

use std::process::Command;

use serde_json::json;

use crate::booted::UNITS;
use crate::deb::{Deb, deb};
use crate::network::{Fleet, HERE, Host, Played, in_own_network};
use crate::repo::Repo;
use crate::rpm;
use crate::server::Fault;
use crate::spread::delay_of_timer;

const REPORTS: &str = "/srv/home/reports";

#[test]
#[ignore = "make integrations"]
fn ansible_lint_has_nothing_to_say() {
    let dir = format!("{}/contrib/ansible", env!("CARGO_MANIFEST_DIR"));
    let home = tempfile::tempdir().unwrap();
    // Named one by one: in a directory it checks only files that it takes for Ansible's.
    let ended = Command::new("ansible-lint")
        .args([
            "--offline",
            "--nocolor",
            "--strict",
            "install.yml",
            "apply.yml",
            "uninstall.yml",
            "roles/linux_patch",
        ])
        .current_dir(dir)
        .env("HOME", home.path())
        .env("XDG_CACHE_HOME", home.path())
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("could not run ansible-lint (package ansible-lint)");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("0 failure(s), 0 warning(s)"), "{said}");
    let files = said.rsplit_once(" on ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<usize>().ok());
    assert!(files.is_some_and(|files| files > 15), "it looked at {files:?} files: {said}");
}

/// A package with the program and its units, as a release has it.
fn package(fleet: &Fleet) {
    let root = env!("CARGO_MANIFEST_DIR");
    let work = tempfile::tempdir().unwrap();
    let tree = work.path().join("tree");
    let install = |mode: &str, from: &str, to: &str| {
        let to = tree.join(to);
        let done = Command::new("install").args(["-D", "-m", mode, from]).arg(to).status();
        assert!(done.unwrap().success(), "could not install {from}");
    };
    install("755", env!("CARGO_BIN_EXE_linux-patch"), "usr/bin/linux-patch");
    for unit in UNITS {
        install("644", &format!("{root}/contrib/systemd/{unit}"), &format!("lib/systemd/system/{unit}"));
    }
    std::fs::create_dir(tree.join("DEBIAN")).unwrap();
    std::fs::write(
        tree.join("DEBIAN/control"),
        "Package: linux-patch\nVersion: 9.9\nArchitecture: all\nMaintainer: Nobody <nobody@example.invalid>\n\
         Description: made by a test\n",
    )
    .unwrap();
    let path = work.path().join("linux-patch_9.9_all.deb");
    let built = Command::new("dpkg-deb")
        .args(["-Znone", "--root-owner-group", "--build"])
        .args([&tree, &path])
        .output();
    assert!(built.unwrap().status.success());
    fleet.controller.write("/srv/home/linux-patch_9.9_all.deb", std::fs::read(path).unwrap());
}

fn machine_id(host: &Host) -> u128 {
    0x0123_4567_89ab_cdef_1357_9bdf_0246_8ace ^ u128::from(host.number)
}

#[test]
#[ignore = "make integrations"]
fn the_role_installs_and_sets_the_timers_once() {
    in_own_network("ansible::the_role_installs_and_sets_the_timers_once", || {
        let fleet = Fleet::new(4, 3, |host| {
            host.sandbox().sh("mv /usr/bin/linux-patch /srv/the-real-one");
            host.sandbox().write("/etc/machine-id", format!("{:032x}\n", machine_id(host)));
        });
        let [packaged, copied, plain, of_rpm] = &fleet.hosts[..] else { unreachable!() };
        package(&fleet);
        rpm::Root::prepare(of_rpm.sandbox());
        let program = "#!/bin/sh\nexec /srv/the-real-one \"$@\"\n";
        let stand_in = rpm::rpm("linux-patch", "9.9").tag("AutoReqProv: no").file(
            "%attr(0755,root,root) ",
            "/usr/bin/linux-patch",
            program,
        );
        fleet.controller.write("/srv/home/linux-patch-9.9.rpm", stand_in.bytes().as_slice());
        let extra = |host: &Host, line: &str| {
            fleet
                .controller
                .write(&format!("/srv/home/host_vars/{}.yml", host.name()), format!("---\n{line}\n"));
        };
        extra(packaged, "linux_patch_package: /srv/home/linux-patch_9.9_all.deb");
        extra(of_rpm, "linux_patch_package: /srv/home/linux-patch-9.9.rpm");
        extra(copied, "linux_patch_binary: /usr/bin/linux-patch");
        extra(plain, "linux_patch_binary: /usr/bin/linux-patch");

        let checked = fleet.play("install.yml", &["--check"]);
        assert_eq!(checked.code, 0);
        for host in &fleet.hosts {
            assert!(checked.count(host, "changed") > 0);
            assert!(!host.sandbox().exists("/usr/bin/linux-patch"), "{}", host.name());
        }
        let first = fleet.play("install.yml", &[]);
        assert_eq!(first.code, 0);
        for host in &fleet.hosts {
            assert!(first.count(host, "changed") > 0);
            assert_eq!(host.sandbox().run(&["linux-patch", "--version"]).code, 0);
        }
        assert_eq!(packaged.sandbox().installed()["linux-patch"], "9.9");
        assert!(of_rpm.sandbox().sh("rpm -q linux-patch").starts_with("linux-patch-9.9-"));
        let again = fleet.play("install.yml", &[]);
        assert_eq!(again.code, 0);
        fleet.hosts.iter().for_each(|host| assert_eq!(again.count(host, "changed"), 0));
        // A newer package than the one of the controller stays.
        let older = rpm::rpm("linux-patch", "9.8").tag("AutoReqProv: no");
        fleet.controller.write("/srv/home/linux-patch-9.8.rpm", older.bytes().as_slice());
        extra(of_rpm, "linux_patch_package: /srv/home/linux-patch-9.8.rpm");
        assert_eq!(fleet.play("install.yml", &[&*format!("--limit={}", of_rpm.name())]).code, 0);
        assert!(of_rpm.sandbox().sh("rpm -q linux-patch").starts_with("linux-patch-9.9-"));

        const REFRESH: &str = "linux-patch-refresh.timer";
        const APPLY: &str = "linux-patch-apply.timer";
        for host in [packaged, copied] {
            for (timer, enabled, active) in [(REFRESH, "enabled", "active"), (APPLY, "disabled", "inactive")]
            {
                assert_eq!(host.booted.show(timer, "UnitFileState"), enabled, "{timer}");
                assert_eq!(host.booted.show(timer, "ActiveState"), active, "{timer}");
            }
            assert!(host.booted.show(REFRESH, "TimersCalendar").contains("OnCalendar=*-*-* *:00:00"));
            // systemd does what docs/fleet.md assumes: Sun 2026-11-22 07:47:22 UTC
            let next = host.booted.show(REFRESH, "NextElapseUSecRealtime");
            let clock = next.split(' ').nth(2).unwrap_or_else(|| panic!("no next time: {next}"));
            let delay = delay_of_timer()(machine_id(host)).as_secs();
            assert!(
                clock.ends_with(&format!(":{:02}:{:02}", delay / 60, delay % 60)),
                "{next}, not {delay} s"
            );
        }
        for host in [plain, of_rpm] {
            let cron = host.sandbox().read("/etc/cron.d/linux-patch").unwrap();
            assert!(cron.contains("linux-patch refresh --quiet --splay"), "{cron}");
        }

        // Other times, and the apply timer; then back again.
        let booted = &copied.booted;
        let set = [
            "--limit=host2",
            "-e",
            r#"{"linux_patch_refresh_calendar": "00/6:00:00", "linux_patch_refresh_spread": "5h59min",
                "linux_patch_apply_calendar": "Sun 03:00", "linux_patch_max_age": "14h",
                "linux_patch_apply_timer": true, "linux_patch_apply_timer_options": ["--security", "--reboot"]}"#,
        ];
        assert!(fleet.play("install.yml", &set).count(copied, "changed") > 0);
        assert!(booted.show(REFRESH, "TimersCalendar").contains("OnCalendar=*-*-* 00/6:00:00"));
        assert!(booted.show(REFRESH, "TimersMonotonic").contains("OnActiveUSec=0"));
        assert_eq!(booted.show(REFRESH, "RandomizedDelayUSec"), "5h 59min");
        assert_eq!(booted.show(APPLY, "UnitFileState"), "enabled");
        assert_eq!(booted.show(APPLY, "ActiveState"), "active");
        // An apply comes at its time, not at each start of the timer.
        assert!(booted.show(APPLY, "TimersCalendar").contains("OnCalendar=Sun *-*-* 03:00:00"));
        assert_eq!(booted.show(APPLY, "TimersMonotonic"), "");
        let command = booted.show("linux-patch-apply.service", "ExecStart");
        assert!(command.contains("argv[]=/usr/bin/linux-patch apply --security --reboot ;"), "{command}");
        assert_eq!(fleet.play("install.yml", &set).count(copied, "changed"), 0);
        assert!(fleet.play("install.yml", &["--limit=host2"]).count(copied, "changed") > 0);
        assert!(booted.show(REFRESH, "TimersCalendar").contains("OnCalendar=*-*-* *:00:00"));
        assert_eq!(booted.show(REFRESH, "RandomizedDelayUSec"), "59min");
        assert_eq!(booted.show(APPLY, "ActiveState"), "inactive");

        // A time that systemd would ignore.
        let wrong =
            fleet.play("install.yml", &["--limit=host2", "-e", "linux_patch_refresh_calendar=6hourly"]);
        assert_eq!((wrong.code, wrong.count(copied, "failed")), (2, 1));
        assert_eq!(booted.show(REFRESH, "ActiveState"), "active");
    });
}

/// All files below these directories whose name contains ours.
fn traces(host: &Host) -> Vec<String> {
    let find = "find /etc /usr /var /opt -xdev -name '*linux?patch*' ! -path '/var/tmp/*' 2>/dev/null || :; \
                crontab -u root -l 2>/dev/null | grep linux-patch || :";
    host.sandbox().sh(find).lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "make integrations"]
fn the_role_sets_metrics_and_nrpe_and_takes_everything_away_again() {
    in_own_network("ansible::the_role_sets_metrics_and_nrpe_and_takes_everything_away_again", || {
        const PAGE: &str = "/var/lib/prometheus/node-exporter/linux-patch.prom";
        let repo = Repo::at(HERE, &[hello("2.0")]);
        let fleet = Fleet::new(4, 3, |host| {
            host.has(&[hello("1.0")], &repo);
            let sandbox = host.sandbox();
            sandbox.sh("mv /usr/bin/linux-patch /srv/the-real-one; mkdir -p /etc/nagios/nrpe.d
                rm -rf /var/lib/prometheus /etc/cron.d/* /var/spool/cron/crontabs/* /usr/share/linux-patch*");
            match host.number {
                // As Arch Linux; its NRPE has no service of that name in here.
                2 => sandbox.write("/etc/os-release", "ID=arch\nNAME=\"Arch Linux\"\n"),
                // Without a cron daemon.
                3 => _ = sandbox.sh("rm -f /usr/sbin/cron"),
                _ => {}
            }
            sandbox.write(
                "/etc/systemd/system/nagios-nrpe-server.service",
                "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo >>/srv/nrpe'\n",
            );
        });
        let [packaged, arch, no_cron, cron] = &fleet.hosts[..] else { unreachable!() };
        package(&fleet);
        for (host, line) in [
            (packaged, "linux_patch_package: /srv/home/linux-patch_9.9_all.deb"),
            (
                arch,
                "linux_patch_binary: /usr/bin/linux-patch\nlinux_patch_nrpe_dir: /etc/nagios/nrpe.d\n\
                    linux_patch_nrpe_service: nagios-nrpe-server\nlinux_patch_max_age: 14h",
            ),
            (no_cron, "linux_patch_binary: /usr/bin/linux-patch\nlinux_patch_nrpe: false"),
            (cron, "linux_patch_binary: /usr/bin/linux-patch\nlinux_patch_nrpe: false"),
        ] {
            let vars = format!("---\n{line}\n");
            fleet.controller.write(&format!("/srv/home/host_vars/{}.yml", host.name()), vars);
        }
        let both = format!("---\nlinux_patch_metrics_file: {PAGE}\nlinux_patch_nrpe: true\n");
        fleet.controller.write("/srv/home/group_vars/all.yml", &*both);
        const BY_HAND: &str = "/etc/nagios/nrpe.d/linux-patch.cfg";
        no_cron.sandbox().write(BY_HAND, "command[check_linux_patch]=/bin/true\n");
        let before: Vec<_> = fleet.hosts.iter().map(traces).collect();
        let first = fleet.play("install.yml", &[]);
        assert_eq!(first.code, 0);
        assert!(first.said.contains("nothing refreshes by itself"), "{}", first.said);
        let again = fleet.play("install.yml", &[]);
        assert_eq!(again.code, 0);
        fleet.hosts.iter().for_each(|host| assert_eq!(again.count(host, "changed"), 0, "{}", host.name()));

        assert!(no_cron.sandbox().exists(BY_HAND), "it is not the role's");

        // Each run of a unit writes the metrics, and NRPE asks.
        for (host, asks, age) in [(packaged, "--alert security ", 4), (arch, "--alert updates ", 14)] {
            let unit = "linux-patch-refresh.service";
            let manager = "mkdir -p /etc/systemd/system/linux-patch-refresh.service.d; \
                printf '[Service]\\nEnvironment=LINUX_PATCH_MANAGER=apt\\n' \
                >/etc/systemd/system/linux-patch-refresh.service.d/test.conf; systemctl daemon-reload";
            host.booted.sh(manager);
            let ended = host.booted.run(&["systemctl", "start", unit]);
            assert_eq!(ended.code, 0, "{}", host.booted.journal(unit));
            let page = host.sandbox().read(PAGE).unwrap_or_default();
            assert!(page.contains("\nlinux_patch_pending_updates 1\n"), "{page}");
            assert!(page.contains(&format!("\nlinux_patch_max_age_seconds {}\n", age * 3600)), "{page}");
            let command = host.sandbox().read("/etc/nagios/nrpe.d/linux-patch.cfg").unwrap();
            assert!(
                command.contains(&format!("status --format nagios --verbose --warning {age}h "))
                    && command.contains(asks)
            );
            let line = command.lines().find_map(|line| line.strip_prefix("command[check_linux_patch]="));
            let said = host.sandbox().run(&["sh", "-c", line.unwrap()]).stdout;
            assert!(said.starts_with("PATCH "), "{said}");
            assert!(host.sandbox().exists("/srv/nrpe"), "it was not restarted");
        }
        let table = cron.sandbox().read("/etc/cron.d/linux-patch-metrics").unwrap();
        assert!(table.contains(&format!(" --output {PAGE}\n")), "{table}");
        assert!(cron.sandbox().exists("/etc/cron.d/linux-patch"));
        let tables = no_cron.sandbox().list("/etc/cron.d");
        assert!(!tables.iter().any(|name| name.contains("linux-patch")), "{tables:?}");

        // A part alone.
        let args = ["--tags=metrics", "-e", "linux_patch_metrics_file=", "-e", "linux_patch_nrpe=false"];
        assert_eq!(fleet.play("install.yml", &args).code, 0);
        for host in [packaged, arch, cron] {
            assert!(!traces(host).iter().any(|path| path.contains("metrics")), "{:?}", traces(host));
        }
        assert!(!packaged.sandbox().exists("/etc/systemd/system/linux-patch-refresh.service.d/metrics.conf"));
        assert!(packaged.sandbox().exists("/etc/nagios/nrpe.d/linux-patch.cfg"));
        assert_eq!(fleet.play("install.yml", &["--tags=metrics"]).code, 0);
        packaged.booted.run(&["systemctl", "start", "linux-patch-refresh.service"]);

        // Then everything is removed; files of the administrator, state and logs stay.
        assert_eq!(fleet.play("uninstall.yml", &["--check"]).code, 0);
        assert!(packaged.sandbox().exists("/usr/bin/linux-patch"));
        assert_eq!(fleet.play("uninstall.yml", &[]).code, 0);
        assert!(packaged.sandbox().exists("/etc/systemd/system/linux-patch-refresh.service.d/test.conf"));
        for host in &fleet.hosts {
            host.sandbox().sh("rm -rf /etc/systemd/system/linux-patch-refresh.service.d");
        }
        for (host, before) in fleet.hosts.iter().zip(&before) {
            let kept = ["/var/lib/linux-patch", "/var/log/linux-patch"];
            let left = traces(host).into_iter().filter(|path| !before.contains(path));
            let left: Vec<_> = left.filter(|path| !kept.contains(&path.as_str())).collect();
            assert_eq!(left, [""; 0], "{}", host.name());
            assert!(!host.sandbox().exists(PAGE), "{}", host.name());
        }
        assert!(packaged.sandbox().exists("/var/lib/linux-patch/state.json"));
        let again = fleet.play("uninstall.yml", &[]);
        assert_eq!(again.code, 0);
        fleet.hosts.iter().for_each(|host| assert_eq!(again.count(host, "changed"), 0, "{}", host.name()));
        assert_eq!(fleet.play("uninstall.yml", &["-e", "linux_patch_purge=true"]).code, 0);
        assert!(fleet.hosts.iter().all(|host| !host.sandbox().exists("/var/lib/linux-patch")));

        // Not while an apply is running.
        assert_eq!(fleet.play("install.yml", &["--limit=host2"]).code, 0);
        repo.publish(&[gated("3.0")]);
        arch.sandbox().sh("touch /srv/gate");
        arch.booted.sh("systemd-run --quiet linux-patch --manager apt apply");
        arch.sandbox().wait_for_file("/srv/in-postinst");
        let refused = fleet.play("uninstall.yml", &["--limit=host2"]);
        assert_eq!((refused.code, refused.count(arch, "failed")), (2, 1));
        assert!(refused.said.contains("An apply is running"), "{}", refused.said);
        assert!(arch.sandbox().exists("/usr/bin/linux-patch"));
        arch.sandbox().sh("rm /srv/gate");
    });
}

/// Makes Ansible think that this is Alpine, where cron reads no directory of tables.
#[test]
#[ignore = "make integrations"]
fn on_alpine_the_role_sets_the_table_of_root() {
    in_own_network("ansible::on_alpine_the_role_sets_the_table_of_root", || {
        let fleet = Fleet::new(2, 0, |host| {
            host.sandbox().sh("rm -rf /etc/cron.d /var/spool/cron/crontabs/*");
            if host.number == 2 {
                // Made by another package by mistake.
                host.sandbox().sh("mkdir /etc/cron.d");
            }
            host.sandbox().write("/etc/alpine-release", "3.20.0\n");
            host.sandbox().write("/etc/os-release", "ID=alpine\nNAME=\"Alpine Linux\"\nVERSION_ID=3.20.0\n");
        });
        let first = fleet.play("install.yml", &[]);
        assert_eq!(first.code, 0);
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/cron/linux-patch.crontab");
        let shipped = std::fs::read_to_string(shipped).unwrap();
        let job = |text: &str| {
            let line = text.lines().find(|line| line.starts_with('0')).unwrap_or_default();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        for host in &fleet.hosts {
            let table = host.sandbox().sh("crontab -u root -l");
            assert_eq!(job(&table), job(&shipped), "{table}");
            assert!(!host.sandbox().exists("/etc/cron.d/linux-patch"));
        }
        let again = fleet.play("install.yml", &[]);
        assert_eq!(again.code, 0);
        fleet.hosts.iter().for_each(|host| assert_eq!(again.count(host, "changed"), 0));
    });
}

fn hello(version: &str) -> Deb {
    deb("tb-hello", version)
}

/// Runs a rolling apply on these hosts.
#[track_caller]
fn apply(fleet: &Fleet, reports: &str, args: &[&str]) -> Played {
    fleet.play("apply.yml", &settings(reports, args).iter().map(String::as_str).collect::<Vec<_>>())
}

fn settings(reports: &str, args: &[&str]) -> Vec<String> {
    let fixed = json!({"linux_patch_reports": reports, "linux_patch_poll": 1, "linux_patch_reconnect": 20});
    let mut all = vec!["-e".to_owned(), fixed.to_string()];
    all.extend(args.iter().map(|arg| arg.to_string()));
    all
}

#[test]
#[ignore = "make integrations"]
fn a_rollout_stops_where_a_share_fails_and_goes_on_where_it_left_off() {
    in_own_network("ansible::a_rollout_stops_where_a_share_fails_and_goes_on_where_it_left_off", || {
        // The update of the first host requires a reboot, and the mirror of the third has nothing.
        let asks = hello("2.0").script("postinst", "touch /run/reboot-required");
        let repos = [vec![asks], vec![hello("2.0")], vec![hello("2.0")], vec![hello("2.0")]]
            .map(|debs| Repo::at(HERE, &debs));
        repos[2].server.fault("/InRelease", Fault::Status(404));
        let fleet = Fleet::new(4, 5, |host| {
            let number: usize = host.name()[4..].parse().unwrap();
            host.has(&[hello("1.0")], &repos[number - 1]);
        });
        let [first, second, third, fourth] = &fleet.hosts[..] else { unreachable!() };
        let boots = || [first, second].map(Host::boot_id);
        let before = boots();

        let checked = apply(&fleet, "/srv/home/checked", &["--check", "--limit=host1,host2"]);
        assert_eq!(checked.code, 0);
        for host in [first, second] {
            host.sandbox().has_exactly(&["tb-hello 1.0"]);
            assert_eq!(checked.count(host, "changed"), 1);
            let report = fleet.report("/srv/home/checked", host).unwrap();
            assert_eq!(report["document"]["dry_run"], true, "{report:#}");
            assert_eq!(report["document"]["packages"][0]["to"], "2.0", "{report:#}");
        }

        let batches = r#"{"linux_patch_batches": [1, 2, 1]}"#;
        let stopped = apply(&fleet, REPORTS, &["-e", batches]);
        assert_eq!(stopped.code, 2);
        for (host, changed, failed) in [(first, 1, 0), (second, 1, 0), (third, 0, 1)] {
            let counts = (stopped.count(host, "changed"), stopped.count(host, "failed"));
            assert_eq!(counts, (changed, failed), "{}", host.name());
            let report = fleet.report(REPORTS, host).unwrap();
            assert_eq!(report["changed"], changed == 1, "{report:#}");
            assert_eq!(report["failed"], failed == 1, "{report:#}");
            assert_eq!(report["document"]["exit_code"], 2 * failed, "{report:#}");
        }
        let report = fleet.report(REPORTS, fourth).unwrap();
        assert_eq!((&report["begun"], &report["failed"]), (&json!(false), &json!(false)), "{report:#}");
        assert_eq!(repos[3].refreshes(), 0, "the last batch was begun");
        fourth.sandbox().has_exactly(&["tb-hello 1.0"]);
        third.sandbox().has_exactly(&["tb-hello 1.0"]);
        let report = fleet.report(REPORTS, third).unwrap();
        assert_eq!(report["document"]["error"]["class"], "fetch", "{report:#}");

        // The host that required a reboot was rebooted, and no longer requires one.
        let report = fleet.report(REPORTS, first).unwrap();
        assert_eq!(report["rebooted"], true, "{report:#}");
        assert_eq!(report["document"]["packages"], json!([{"name": "tb-hello", "from": "1.0", "to": "2.0"}]));
        let after = boots();
        assert_ne!(before[0], after[0], "it was not restarted");
        assert_eq!(before[1], after[1], "it was restarted");
        assert_eq!(first.sandbox().state()["apply"]["last"]["outcome"], "success");
        assert!(!first.booted.run(&["linux-patch", "status"]).stdout.contains("reboot"));

        repos[2].server.heal();
        let rest = apply(&fleet, "/srv/home/rest", &["-e", batches]);
        assert_eq!(rest.code, 0);
        for (host, changed) in [(first, 0), (second, 0), (third, 1), (fourth, 1)] {
            assert_eq!(rest.count(host, "changed"), changed, "{}", host.name());
            host.sandbox().has_exactly(&["tb-hello 2.0"]);
            let report = fleet.report("/srv/home/rest", host).unwrap();
            assert_eq!(
                (&report["failed"], &report["rebooted"]),
                (&json!(false), &json!(false)),
                "{report:#}"
            );
        }
    });
}

/// tb-hello of this version, whose configuration goes on as long as /srv/gate is there.
fn gated(version: &str) -> Deb {
    let waits = "touch /srv/in-postinst; while [ -e /srv/gate ]; do sleep 0.05; done";
    hello(version).script("postinst", waits)
}

#[test]
#[ignore = "make integrations"]
fn a_lost_connection_starts_nothing_again() {
    in_own_network("ansible::a_lost_connection_starts_nothing_again", || {
        let repo = Repo::at(HERE, &[gated("2.0")]);
        let fleet = Fleet::new(3, 3, |host| host.has(&[hello("1.0")], &repo));
        let [host, other, third] = &fleet.hosts[..] else { unreachable!() };

        // In the middle of the install on one of two hosts, until Ansible has noticed.
        host.sandbox().sh("touch /srv/gate");
        let args = settings(REPORTS, &["--limit=host1,host2", "-e", r#"{"linux_patch_batches": [2]}"#]);
        let mut play = fleet.start("apply.yml", &args.iter().map(String::as_str).collect::<Vec<_>>());
        let installs = |host: &Host| host.sandbox().exists("/srv/in-postinst");
        play.wait_until("the install", |_| installs(host));
        host.cable(false);
        play.wait_until("it noticed", |said| said.contains("Wait until the host can be reached again"));
        host.sandbox().sh("rm /srv/gate");
        host.cable(true);
        let played = play.wait();
        assert_eq!(played.code, 0);
        for host in [host, other] {
            host.sandbox().has_exactly(&["tb-hello 2.0"]);
            assert_eq!(played.count(host, "changed"), 1);
            assert_eq!(host.runs("apply"), 1, "{}", host.name());
        }
        let report = fleet.report(REPORTS, host).unwrap();
        assert_eq!(
            (&report["connection_losses"], &report["failed"]),
            (&json!(1), &json!(false)),
            "{report:#}"
        );
        assert_eq!(report["document"]["packages"][0]["to"], "2.0", "{report:#}");

        // The answer itself is lost too: what was done is read back from the state.
        repo.publish(&[gated("3.0")]);
        other.sandbox().sh("rm -f /srv/in-postinst; touch /srv/gate");
        let args = settings("/srv/home/lost", &["--limit=host2"]);
        let mut play = fleet.start("apply.yml", &args.iter().map(String::as_str).collect::<Vec<_>>());
        play.wait_until("the install", |_| installs(other));
        other.sandbox().sh("rm -rf /srv/.ansible_async; rm /srv/gate");
        let played = play.wait();
        assert_eq!((played.code, played.count(other, "changed"), other.runs("apply")), (0, 1, 2));
        let report = fleet.report("/srv/home/lost", other).unwrap();
        assert_eq!(report["document"]["read_back"], true, "{report:#}");
        assert_eq!(report["document"]["packages"][0]["to"], "3.0", "{report:#}");
        other.sandbox().has_exactly(&["tb-hello 3.0"]);

        // One that cannot be reached at all counts as failed, and is reported.
        host.cable(false);
        let played = apply(&fleet, "/srv/home/down", &["-e", r#"{"linux_patch_batches": [1, 2]}"#]);
        assert_eq!((played.code, played.count(host, "failed")), (2, 1));
        let report = fleet.report("/srv/home/down", host).unwrap();
        assert_eq!((&report["failed"], &report["document"]), (&json!(true), &json!({})), "{report:#}");
        assert_eq!(
            fleet.report("/srv/home/down", other).unwrap()["begun"],
            false,
            "the next batch was begun"
        );
        host.cable(true);
        assert_eq!((host.runs("apply"), third.runs("apply")), (1, 0));
    });
}

#[test]
#[ignore = "make integrations"]
fn part_of_an_index_that_is_stale_is_a_failure_only_where_it_is_to_be() {
    in_own_network("ansible::part_of_an_index_that_is_stale_is_a_failure_only_where_it_is_to_be", || {
        let repo = Repo::at(HERE, &[hello("2.0")]);
        let gone = Repo::at(std::net::Ipv4Addr::new(10, 77, 0, 2), &[hello("2.0")]);
        gone.server.fault("/InRelease", Fault::Status(404));
        let fleet = Fleet::new(1, 1, |host| {
            host.has(&[hello("1.0")], &repo);
            host.sandbox().add_source("gone", &gone);
        });
        let host = &fleet.hosts[0];
        let played = apply(&fleet, REPORTS, &[]);
        assert_eq!((played.code, played.count(host, "changed"), played.count(host, "failed")), (0, 1, 0));
        let report = fleet.report(REPORTS, host).unwrap();
        assert_eq!(report["document"]["exit_code"], 1, "{report:#}");
        let played = apply(&fleet, REPORTS, &["-e", "linux_patch_fail_from=1"]);
        assert_eq!((played.code, played.count(host, "changed"), played.count(host, "failed")), (2, 0, 1));

        // Options that the playbook itself sets.
        let options = r#"{"linux_patch_apply_options": ["--reboot=always"]}"#;
        assert_eq!(apply(&fleet, "/srv/home/refused", &["-e", options]).code, 2);
        assert_eq!(fleet.report("/srv/home/refused", host).unwrap()["begun"], false);

        // The summary of the whole fleet.
        let args = ["all", "-m", "ansible.builtin.command", "-a", "linux-patch status"];
        let said = fleet.command("ansible", &args).output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains("host1 | FAILED | rc=1 >>\nstale: "), "{said}");
    });
}

/// A shell for connections that runs what is asked for, and, where /srv/cut is there, kills the connection
/// as soon as Ansible's detached job has been started.
const CUTS: &str = r#"case "$SSH_ORIGINAL_COMMAND" in *sftp*) exec /usr/lib/openssh/sftp-server ;; esac
sh -c "$SSH_ORIGINAL_COMMAND"
code=$?
case "$SSH_ORIGINAL_COMMAND" in
  *" 604800 "*)
    [ -e /srv/cut ] || exit $code
    echo cut >>/srv/admin/cuts
    server=$PPID
    until [ "$(cat /proc/$server/comm)" = sshd ]; do server=$(cut -d' ' -f4 /proc/$server/stat); done
    kill -s KILL $server
esac
exit $code"#;

#[test]
#[ignore = "make integrations"]
fn an_apply_is_not_started_again_where_its_start_or_its_end_is_unknown() {
    in_own_network("ansible::an_apply_is_not_started_again_where_its_start_or_its_end_is_unknown", || {
        let repo = Repo::at(HERE, &[hello("2.0").script("postinst", "sleep 2")]);
        let fleet = Fleet::new(1, 1, |host| {
            host.has(&[hello("1.0")], &repo);
            host.sandbox().write_script("/srv/shell", CUTS);
        });
        let host = &fleet.hosts[0];
        // Ansible's own retries are set by the harness, and must not count.
        host.sandbox().sh("sed -i 's#^#command=\"/srv/shell\" #' /srv/ssh/authorized; touch /srv/cut");
        let played = apply(&fleet, REPORTS, &[]);
        assert_eq!(
            host.sandbox().read("/srv/admin/cuts").as_deref(),
            Some("cut\n"),
            "the start was repeated"
        );
        assert_eq!((played.code, played.count(host, "changed"), host.runs("apply")), (0, 1, 1));
        let report = fleet.report(REPORTS, host).unwrap();
        assert_eq!(report["document"]["read_back"], true, "{report:#}");
        assert_eq!(report["document"]["packages"][0]["to"], "2.0", "{report:#}");

        // A run that neither answers nor records anything: the record there is that of the run before.
        host.sandbox().sh("rm /srv/cut; mv /usr/bin/linux-patch /usr/bin/the-real-one");
        host.sandbox().write_script(
            "/usr/bin/linux-patch",
            r#"case " $* " in *" apply "*) echo >>/srv/applies; exit 0 ;; esac; exec the-real-one "$@""#,
        );
        let played = apply(&fleet, "/srv/home/unknown", &[]);
        assert_eq!((played.code, played.count(host, "changed")), (2, 0));
        let report = fleet.report("/srv/home/unknown", host).unwrap();
        assert_eq!((&report["failed"], &report["document"]), (&json!(true), &json!({})), "{report:#}");
        assert!(report["summary"].as_str().unwrap().contains("is not known"), "{report:#}");
        assert_eq!(host.sandbox().read("/srv/applies").as_deref(), Some("\n"), "the start was repeated");

        // One that does not end in time.
        host.sandbox().write_script(
            "/usr/bin/linux-patch",
            r#"case " $* " in *" apply "*) exec sleep 60 ;; esac; exec the-real-one "$@""#,
        );
        let played = apply(&fleet, "/srv/home/late", &["-e", "linux_patch_patience=3"]);
        assert_eq!((played.code, played.count(host, "changed")), (2, 0));
        let report = fleet.report("/srv/home/late", host).unwrap();
        assert!(report["summary"].as_str().unwrap().contains("still under way after 3 s"), "{report:#}");
        assert!(host.sandbox().processes().iter().any(|(_, name)| name == "sleep"), "it was ended");

        // And a host without any answer.
        host.sandbox().sh("rm /usr/bin/linux-patch");
        assert_eq!(apply(&fleet, "/srv/home/none", &[]).code, 2);
        let report = fleet.report("/srv/home/none", host).unwrap();
        assert!(report["summary"].as_str().unwrap().contains("its status could not be read"), "{report:#}");
    });
}

#[test]
#[ignore = "make integrations"]
fn a_host_without_the_program_or_without_root_is_a_failure_that_says_so() {
    in_own_network("ansible::a_host_without_the_program_or_without_root_is_a_failure_that_says_so", || {
        let repo = Repo::at(HERE, &[hello("2.0")]);
        let fleet = Fleet::new(2, 2, |host| {
            host.has(&[hello("1.0")], &repo);
            if host.name() == "host2" {
                host.sandbox().sh("rm /usr/bin/linux-patch");
            }
        });
        let [of_admin, without] = &fleet.hosts[..] else { unreachable!() };
        for more in [&["--check"][..], &[]] {
            let reports = format!("/srv/home/reports{}", more.len());
            let args =
                [&["-e", "ansible_become=false", "-e", r#"{"linux_patch_batches": ["100%"]}"#][..], more]
                    .concat();
            let played = apply(&fleet, &reports, &args);
            for (host, words) in [(of_admin, "root"), (without, "linux-patch")] {
                let report = fleet.report(&reports, host).unwrap();
                assert_eq!(
                    (played.count(host, "failed"), played.count(host, "changed")),
                    (1, 0),
                    "{report:#}"
                );
                assert_eq!(report["failed"], true, "{report:#}");
                assert!(report["summary"].as_str().unwrap().contains(words), "{report:#}");
            }
        }
        assert_eq!(of_admin.sandbox().installed()["tb-hello"], "1.0");
        // What is not there is taken away without a word.
        let gone = fleet.play("uninstall.yml", &["--limit=host2", "--check"]);
        assert_eq!((gone.code, gone.count(without, "failed")), (0, 0));
        let gone = fleet.play("uninstall.yml", &["--limit=host2"]);
        assert_eq!((gone.code, gone.count(without, "failed"), gone.count(without, "changed")), (0, 0, 0));
        // Nothing of it can be installed without root.
        let refused = fleet.play(
            "install.yml",
            &["--limit=host1", "-e", "ansible_become=false", "-e", "linux_patch_binary=/usr/bin/linux-patch"],
        );
        assert_eq!((refused.code, refused.count(of_admin, "failed")), (2, 1));
    });
}
