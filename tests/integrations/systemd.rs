//! The units of contrib/systemd, read by systemd-analyze and run by a real systemd.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::booted::{Booted, UNITS, blocks, unit};
use crate::deb::{Deb, deb};
use crate::pacman::{self, PkgRepo, pkg};
use crate::repo::Repo;
use crate::rpm::{self, RpmRepo, rpm};
use crate::sandbox::Sandbox;
use crate::server::Fault;

const REFRESH: &str = "linux-patch-refresh.service";
const REFRESH_TIMER: &str = "linux-patch-refresh.timer";
const APPLY: &str = "linux-patch-apply.service";

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("systemd-analyze");
    // systemd looks for the manual page where it would be installed.
    command.args(["verify", "--man=no", "--recursive-errors=no"]);
    for name in UNITS {
        let path = format!("/srv/units/{name}");
        sandbox.write(&path, unit(name));
        command.arg(path);
    }
    // With what docs/timers.md says to write into them.
    let (mut number, all) = (0, blocks("timers.md"));
    for (section, unit) in [("[Timer]\n", REFRESH_TIMER), ("[Service]\n", REFRESH), ("[Service]\n", APPLY)] {
        for block in all.iter().filter(|block| block.starts_with(section)) {
            number += 1;
            sandbox.write(&format!("/srv/units/{unit}.d/{number}.conf"), block);
        }
    }
    assert!(number >= 4, "docs/timers.md has {number} drop-ins only");
    // It exits with 0 whatever it ignores.
    let ended = sandbox.start(command).wait();
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.code == 0 && said.is_empty(),
        "exit code {} (package systemd is needed): {said}",
        ended.code
    );
}

/// A root with the units, tb-slow 1.0 and a source with this.
#[track_caller]
fn host(update: Deb) -> (Booted, Repo) {
    let booted = Booted::with_units();
    let repo = Repo::new(&[update]);
    booted.sandbox.add_source("test", &repo);
    booted.sandbox.install(&[deb("tb-slow", "1.0")]);
    (booted, repo)
}

/// tb-slow 2.0, whose configuration goes on as long as /srv/gate is there.
fn gated() -> Deb {
    let waits =
        "touch /srv/in-postinst; while [ -e /srv/gate ]; do sleep 0.02; done; echo done >/srv/postinst";
    deb("tb-slow", "2.0").script("postinst", waits)
}

/// Starts the apply unit and waits until dpkg configures tb-slow.
#[track_caller]
fn begin_install(booted: &Booted) {
    booted.sandbox.sh("touch /srv/gate");
    booted.sh(&format!("systemctl start --no-block {APPLY}"));
    booted.sandbox.wait_for_file("/srv/in-postinst");
}

/// What `systemctl edit` makes of a content, with an editor that writes it.
#[track_caller]
fn edit(booted: &Booted, unit: &str, content: &str) {
    booted.sandbox.write("/srv/content", content);
    booted.sandbox.write_script("/srv/editor", "cat /srv/content >\"$1\"");
    // It wants a terminal.
    booted.sh(&format!("SYSTEMD_EDITOR=/srv/editor script -qec 'systemctl edit {unit}' /dev/null"));
    let saved = booted.sandbox.read(&format!("/etc/systemd/system/{unit}.d/override.conf"));
    assert_eq!(saved.unwrap_or_default().trim(), content.trim());
}

/// The drop-in of docs/timers.md for this unit: the block that begins so.
#[track_caller]
fn documented(start: &str) -> String {
    let found = blocks("timers.md").into_iter().find(|block| block.starts_with(start));
    found.unwrap_or_else(|| panic!("docs/timers.md has no block that begins with {start:?}"))
}

fn counter(booted: &Booted, name: &str) -> u64 {
    booted.sandbox.state()["counters"][name].as_u64().unwrap_or_default()
}

/// The exit codes of the runs in the history, oldest first.
fn codes(booted: &Booted) -> Vec<i64> {
    let text = booted.sandbox.read("/var/lib/linux-patch/history.jsonl").unwrap_or_default();
    let code = |line: &str| serde_json::from_str::<Value>(line).ok()?["exit_code"].as_i64();
    text.lines().filter_map(code).collect()
}

#[test]
#[ignore = "make integrations"]
fn the_timer_goes_on_and_on_at_the_interval_that_systemctl_edit_gives_it() {
    let (booted, _repo) = host(deb("tb-slow", "2.0"));
    booted.boot();
    booted.sh(&format!("systemctl enable --now {REFRESH_TIMER}"));
    let calendar = || booted.show(REFRESH_TIMER, "TimersCalendar");
    assert!(calendar().contains("OnCalendar=*-*-* *:00:00 "), "{}", calendar());

    let every_six_hours = documented("[Timer]\nOnCalendar=\n");
    edit(&booted, REFRESH_TIMER, &every_six_hours);
    // The one and no other.
    assert!(calendar().contains("OnCalendar=*-*-* 00/6:00:00 "), "{}", calendar());
    assert_eq!(calendar().matches("OnCalendar").count(), 1, "{}", calendar());
    assert_eq!(booted.show(REFRESH_TIMER, "RandomizedDelayUSec"), "5h 59min");
    assert!(booted.show(REFRESH_TIMER, "TimersMonotonic").contains("OnActiveUSec=0"));
    assert_eq!(counter(&booted, "refresh_total"), 0);

    let often = every_six_hours.replace("00/6:00:00", "*:*:0/2").replace("5h59min", "1s");
    edit(&booted, REFRESH_TIMER, &often);
    booted.wait_until("the timer has fired four times", || counter(&booted, "refresh_total") >= 4);
    assert_eq!(booted.show(REFRESH, "Result"), "success");
    assert_eq!(booted.show(REFRESH_TIMER, "ActiveState"), "active");
    let times: Vec<_> = (booted.journal(REFRESH).lines())
        .filter(|line| line.contains("Finished linux-patch-refresh.service"))
        .map(str::to_owned)
        .collect();
    assert!(times.len() >= 3, "{}", booted.journal(REFRESH));
}

#[test]
#[ignore = "make integrations"]
fn a_failed_refresh_is_a_failed_unit_and_the_next_comes_all_the_same() {
    let (booted, repo) = host(deb("tb-slow", "2.0"));
    let other = Repo::new(&[deb("tb-other", "1.0")]);
    booted.sandbox.add_source("other", &other);
    booted.boot();
    repo.server.fault("/", Fault::Status(404));
    booted.run(&["systemctl", "start", REFRESH]);
    // Some sources were refreshed: this is a success, because status warns about the others.
    assert_eq!((codes(&booted), booted.show(REFRESH, "ActiveState")), (vec![1], "inactive".to_string()));
    assert_eq!(booted.show(REFRESH, "Result"), "success");

    other.server.fault("/", Fault::Status(404));
    let started = booted.run(&["systemctl", "start", REFRESH]);
    assert_ne!(started.code, 0);
    assert_eq!((codes(&booted), booted.show(REFRESH, "ActiveState")), (vec![1, 2], "failed".to_string()));
    assert!(booted.sh("systemctl --failed --plain").contains(REFRESH));
    // The reason is shown also if only warnings and errors are listed.
    let told = |level: &str| booted.sh(&format!("journalctl --no-pager -o cat -p {level} -u {REFRESH}"));
    assert!(told("err").contains("failed: ") && told("err").contains("404"), "{}", told("err"));
    assert!(told("warning").contains("stale: "), "{}", told("warning"));

    let often =
        documented("[Timer]\nOnCalendar=\n").replace("00/6:00:00", "*:*:0/2").replace("5h59min", "1s");
    edit(&booted, REFRESH_TIMER, &often);
    booted.sh(&format!("systemctl enable --now {REFRESH_TIMER}"));
    booted.wait_until("it was tried again", || counter(&booted, "refresh_failed_total") >= 3);
    repo.server.heal();
    other.server.heal();
    booted.wait_until("it is well again", || booted.show(REFRESH, "ActiveState") == "inactive");
    booted.wait_until("the last refresh is complete", || codes(&booted).last() == Some(&0));
}

/// Waits until no full hour comes within the next half minute.
fn away_from_the_hour() {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let into = seconds % 3600;
    if into > 3570 {
        std::thread::sleep(Duration::from_secs(3602 - into));
    }
}

/// The delay that this machine has with at most so much of it, and the drop-in for that.
const SHORT_DELAY: &str = "[Timer]\nRandomizedDelaySec=3s\n";
/// Without a first run if none was missed.
const CALENDAR_ONLY: &str = "[Timer]\nOnCalendar=\nOnCalendar=hourly\nRandomizedDelaySec=3s\n";

/// Boots with a timer whose last run was this long ago; counts the refreshes of the next eight seconds.
fn refreshes_after_boot(drop_in: &str, last: Option<&str>) -> u64 {
    away_from_the_hour();
    let (booted, _repo) = host(deb("tb-slow", "2.0"));
    let sandbox = &booted.sandbox;
    sandbox.write(&format!("/etc/systemd/system/{REFRESH_TIMER}.d/override.conf"), drop_in);
    sandbox.sh(&format!(
        "mkdir -p /etc/systemd/system/timers.target.wants
         ln -s /usr/lib/systemd/system/{REFRESH_TIMER} /etc/systemd/system/timers.target.wants/"
    ));
    if let Some(last) = last {
        sandbox.sh(&format!("touch -d '{last}' /var/lib/systemd/timers/stamp-{REFRESH_TIMER}"));
    }
    booted.boot();
    std::thread::sleep(Duration::from_secs(8));
    counter(&booted, "refresh_total")
}

#[test]
#[ignore = "make integrations"]
fn what_was_missed_is_made_up_for_once_and_a_first_run_comes_anyway() {
    assert_eq!(refreshes_after_boot(CALENDAR_ONLY, Some("3 days ago")), 1, "a missed run");
    assert_eq!(refreshes_after_boot(CALENDAR_ONLY, Some("now")), 0, "nothing missed");
    assert_eq!(refreshes_after_boot(SHORT_DELAY, Some("now")), 1, "nothing missed, as shipped");
    assert_eq!(refreshes_after_boot(SHORT_DELAY, None), 1, "never run, as shipped");
    assert_eq!(refreshes_after_boot(SHORT_DELAY, Some("3 days ago")), 1, "a missed run, as shipped");
}

#[test]
#[ignore = "make integrations"]
fn the_first_refresh_after_a_boot_waits_for_the_network() {
    let (booted, _repo) = host(deb("tb-slow", "2.0"));
    let sandbox = &booted.sandbox;
    sandbox.write(
        &format!("/etc/systemd/system/{REFRESH_TIMER}.d/override.conf"),
        "[Timer]\nRandomizedDelaySec=0\n",
    );
    sandbox.write(
        "/etc/systemd/system/test-wait-online.service",
        "[Unit]\nBefore=network-online.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
         ExecStart=/bin/sh -c 'touch /srv/waits; until [ -e /srv/network ]; do sleep 0.1; done'\n",
    );
    sandbox.sh(&format!(
        "cd /etc/systemd/system; mkdir -p timers.target.wants network-online.target.wants
         ln -s /usr/lib/systemd/system/{REFRESH_TIMER} timers.target.wants/
         ln -s ../test-wait-online.service network-online.target.wants/"
    ));
    sandbox.sh("rm -f /srv/is-off; touch /srv/boot");
    sandbox.wait_for_file("/srv/waits");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(counter(&booted, "refresh_total"), 0, "it did not wait");
    sandbox.sh("touch /srv/network");
    booted.wait_until("it refreshes", || counter(&booted, "refresh_total") == 1);
    assert_eq!(codes(&booted), [0]);
}

/// The delays that many timers like ours have, which differ by their names, in seconds.
fn delays(booted: &Booted) -> BTreeMap<String, usize> {
    booted.sh("cd /usr/lib/systemd/system; systemctl start like-*.timer");
    let text = booted.sh("systemctl show --property=Id --property=NextElapseUSecRealtime 'like-*.timer'");
    let delay = |block: &str| {
        let value = |key: &str| block.lines().find_map(|line| line.strip_prefix(key));
        // Sun 2026-11-22 07:47:22 UTC
        let clock = value("NextElapseUSecRealtime=")?.split(' ').nth(2)?;
        let [_, minutes, seconds] = clock.split(':').collect::<Vec<_>>()[..] else { return None };
        Some((
            value("Id=")?.to_string(),
            minutes.parse::<usize>().ok()? * 60 + seconds.parse::<usize>().ok()?,
        ))
    };
    text.split("\n\n").map(|block| delay(block).unwrap_or_else(|| panic!("{block}"))).collect()
}

#[test]
#[ignore = "make integrations"]
fn the_delay_is_constant_on_a_host_and_even_over_many() {
    const TIMERS: usize = 600;
    away_from_the_hour();
    let booted = Booted::with_units();
    let write = format!(
        "cd /usr/lib/systemd/system; sed -i '/OnActiveSec/d' {REFRESH_TIMER}
         for n in $(seq {TIMERS}); do sed '/^Persistent/d; /^.Timer.$/aUnit={REFRESH}' {REFRESH_TIMER} >like-$n.timer; done"
    );
    booted.sandbox.sh(&write);
    booted.boot();
    let first = delays(&booted);
    assert_eq!(first.len(), TIMERS);
    for _ in 0..3 {
        booted.sh("systemctl daemon-reload");
    }
    assert_eq!(delays(&booted), first, "after a reload");
    booted.reboot_with(|| ());
    assert_eq!(delays(&booted), first, "after a restart");
    // With what systemd may add to it, it must stay within the hour.
    assert!(first.values().all(|delay| *delay <= 59 * 60), "{first:?}");

    // The peak of ten minutes: with so many, chance alone makes it a tenth higher than the mean.
    let mut tens = [0; 6];
    first.values().for_each(|delay| tens[*delay / 600] += 1);
    println!("refreshes of {TIMERS} timers in each ten minutes: {tens:?}");
    assert!(tens.iter().all(|count| *count * 10 < TIMERS / 6 * 13), "{tens:?}");

    booted.reboot_with(|| booted.sandbox.write("/etc/machine-id", "fedcba9876543210fedcba9876543210\n"));
    let other = delays(&booted);
    let same = other.iter().filter(|(name, delay)| first[*name] == **delay).count();
    assert!(same < 20, "{same} delays are the same on another host");
}

/// The install is done and recorded, and the unit of it succeeded.
#[track_caller]
fn has_installed(sandbox: &Sandbox) {
    sandbox.has_exactly(&["tb-slow 2.0"]);
    let apply = sandbox.state()["apply"].clone();
    assert_eq!(apply["in_progress"], Value::Null, "{apply:#}");
    assert_eq!(apply["last"]["outcome"], "success", "{apply:#}");
    assert_eq!(apply["last"]["packages"][0]["to"], "2.0", "{apply:#}");
}

#[test]
#[ignore = "make integrations"]
fn a_stop_in_mid_install_waits_for_its_end() {
    let (booted, _repo) = host(gated());
    booted.boot();
    begin_install(&booted);
    booted.sh(&format!("systemctl stop --no-block {APPLY}"));
    // DefaultTimeoutStopSec is two seconds here.
    std::thread::sleep(Duration::from_secs(4));
    assert!(booted.sandbox.processes().iter().any(|(_, name)| name == "dpkg"), "{}", booted.journal(APPLY));
    assert_eq!(booted.show(APPLY, "ActiveState"), "deactivating");
    booted.sandbox.sh("rm /srv/gate");
    booted.wait_until("it has stopped", || booted.show(APPLY, "ActiveState") != "deactivating");
    has_installed(&booted.sandbox);
    assert_eq!(booted.show(APPLY, "Result"), "success", "{}", booted.journal(APPLY));
    // Low priority.
    assert_eq!(booted.show(APPLY, "Nice"), "10");
}

#[test]
#[ignore = "make integrations"]
fn a_shutdown_in_mid_install_waits_for_its_end() {
    let (booted, _repo) = host(gated());
    booted.boot();
    begin_install(&booted);
    booted.run(&["systemctl", "poweroff"]);
    std::thread::sleep(Duration::from_secs(4));
    assert!(!booted.sandbox.exists("/srv/is-off"), "the machine went off");
    assert!(booted.sandbox.processes().iter().any(|(_, name)| name == "dpkg"));
    booted.sandbox.sh("rm /srv/gate");
    booted.goes_off();
    has_installed(&booted.sandbox);
    let status = booted.sandbox.run(&["linux-patch", "status"]);
    assert!(status.code == 0 && status.stdout.contains("1 package changed"), "{status:?}");
}

#[test]
#[ignore = "make integrations"]
fn a_shutdown_waits_for_an_install_that_was_started_from_a_session() {
    let (booted, _repo) = host(gated());
    booted.boot();
    booted.sandbox.sh("touch /srv/gate");
    // Where a login session is.
    booted.sh("systemd-run --quiet --scope --slice=user.slice linux-patch apply >/srv/said 2>&1 &");
    booted.sandbox.wait_for_file("/srv/in-postinst");
    let scopes = booted.sh("systemctl list-units --plain --no-legend 'linux-patch-*.scope'");
    assert_eq!(scopes.lines().count(), 1, "{scopes}{:?}", booted.sandbox.read("/srv/said"));
    booted.run(&["systemctl", "poweroff"]);
    std::thread::sleep(Duration::from_secs(5));
    assert!(booted.sandbox.processes().iter().any(|(_, name)| name == "dpkg"), "dpkg was ended");
    booted.sandbox.sh("rm /srv/gate");
    booted.goes_off();
    has_installed(&booted.sandbox);
}

#[test]
#[ignore = "make integrations"]
fn the_death_of_linux_patch_in_mid_install_is_not_that_of_the_package_manager() {
    let (booted, _repo) = host(gated());
    booted.boot();
    begin_install(&booted);
    let pid = booted.show(APPLY, "MainPID");
    booted.sh(&format!("kill -s KILL {pid}"));
    booted.wait_until("the unit has failed", || booted.show(APPLY, "ActiveState") == "failed");
    std::thread::sleep(Duration::from_secs(3));
    assert!(booted.sandbox.processes().iter().any(|(_, name)| name == "dpkg"), "{}", booted.journal(APPLY));
    booted.sandbox.sh("rm /srv/gate");
    booted.sandbox.wait_for_file("/srv/postinst");
    booted
        .wait_until("it has ended", || booted.sandbox.processes().iter().all(|(_, name)| name != "apt-get"));
    booted.sandbox.has_exactly(&["tb-slow 2.0"]);
    // The next run records what that one could not.
    booted.sh(&format!("systemctl start {APPLY}"));
    assert_eq!(booted.sandbox.state()["apply"]["in_progress"], Value::Null);
}

#[test]
#[ignore = "make integrations"]
fn a_stop_before_the_install_is_a_stop() {
    for path in ["/InRelease", "/pool/"] {
        let (booted, repo) = host(gated());
        booted.boot();
        let held_back = repo.server.hold_back(path);
        booted.sh(&format!("systemctl start --no-block {APPLY}"));
        booted.wait_until("it asks the mirror", || repo.server.requests(path) == 1);
        let stop = booted.run(&["systemctl", "stop", APPLY]);
        assert!(stop.code == 0 && stop.elapsed < Duration::from_secs(8), "{stop:?}");
        drop(held_back);
        booted.sandbox.has_exactly(&["tb-slow 1.0"]);
        assert_eq!(booted.sandbox.state()["apply"]["last"]["outcome"], "interrupted", "{path}");
        assert!(booted.sandbox.processes().iter().all(|(_, name)| name != "apt-get"));
    }
}

/// Fails if something is possible that the sandbox of the refresh forbids. (1 would be success.)
const PROBES: &str = "[Service]
ExecStartPre=/bin/sh -c 'for dir in /etc /usr /boot /root /opt /srv; do ! touch $dir/probe || exit 9; done'
ExecStartPre=/bin/sh -c '! mount -t tmpfs none /mnt || exit 9'
ExecStartPre=/bin/sh -c '! unshare --net true || exit 9'
ExecStartPre=/bin/sh -c '! date -s @0 || exit 9'
ExecStartPre=/bin/sh -c '! hostname probe || exit 9'
ExecStartPre=/bin/sh -c 'touch /var/lib/probe /run/probe /tmp/probe || exit 9'
";

/// Runs the refresh unit with this manager, all that its sandbox forbids being tried first.
#[track_caller]
fn refresh_in_the_sandbox(booted: &Booted, manager: &str) {
    let drop_in = format!("{PROBES}Environment=LINUX_PATCH_MANAGER={manager}\n");
    booted.sandbox.write(&format!("/etc/systemd/system/{REFRESH}.d/test.conf"), drop_in);
    booted.boot();
    let started = booted.run(&["systemctl", "start", REFRESH]);
    let (journal, log) = (booted.journal(REFRESH), booted.sandbox.log());
    assert_eq!(started.code, 0, "{manager}: {journal}\n{log}");
    let state = booted.sandbox.state();
    assert_eq!(state["last_attempt"]["outcome"], "fresh", "{manager}: {journal}\n{log}");
    assert_eq!(state["pending"]["count"], 1, "{manager}: {state:#}\n{log}");
    assert_eq!(state["pending"]["packages"][0]["candidate"].as_str().unwrap().split('-').next(), Some("2.0"));
    for said in ["denied", "Read-only", "not permitted"] {
        // Except for messages that the probes cause.
        let line = log.lines().find(|line| line.contains(said));
        assert!(line.is_none(), "{manager}: {line:?}\n{log}");
    }
}

#[test]
#[ignore = "make integrations"]
fn the_sandbox_of_the_refresh_leaves_apt_what_it_needs() {
    let (booted, _repo) = host(deb("tb-slow", "2.0"));
    // The hooks that distributions put there.
    booted.sandbox.write(
        "/etc/apt/apt.conf.d/50hook",
        "APT::Update::Post-Invoke-Success {\"touch /var/lib/hook /var/cache/hook /run/hook /var/log/hook\";};\n",
    );
    refresh_in_the_sandbox(&booted, "apt");
    assert!(booted.sandbox.exists("/var/lib/hook"));
    // As the user of the downloads.
    let options = booted.run(&["apt-config", "dump", "APT::Sandbox::User"]).stdout;
    assert!(options.contains("_apt"), "{options}");
}

#[test]
#[ignore = "make integrations"]
fn the_sandbox_of_the_refresh_leaves_dnf_what_it_needs() {
    let booted = Booted::with_units();
    rpm::Root::prepare(&booted.sandbox);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    install_rpm(&booted, &rpm("tb-hello", "1.0"));
    let text = format!("[test]\nname=test\nbaseurl={}\ngpgcheck=0\n", repo.server.url());
    booted.sandbox.write("/etc/yum.repos.d/test.repo", text);
    refresh_in_the_sandbox(&booted, "dnf");
}

#[test]
#[ignore = "make integrations"]
fn the_sandbox_of_the_refresh_leaves_zypper_what_it_needs() {
    let booted = Booted::with_units();
    rpm::Root::prepare(&booted.sandbox);
    booted.sandbox.sh("rm -rf /etc/zypp /usr/etc/zypp /var/cache/zypp /var/lib/zypp /var/log/zypp
         mkdir -p /etc/zypp/repos.d");
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    install_rpm(&booted, &rpm("tb-hello", "1.0").tag("Provides: glibc"));
    let text =
        format!("[test]\nname=test\nenabled=1\nautorefresh=1\nbaseurl={}\ngpgcheck=0\n", repo.server.url());
    booted.sandbox.write("/etc/zypp/repos.d/test.repo", text);
    refresh_in_the_sandbox(&booted, "zypper");
}

#[track_caller]
fn install_rpm(booted: &Booted, package: &rpm::Rpm) {
    let path = format!("/srv/{}", package.file_name());
    booted.sandbox.write(&path, package.bytes().as_slice());
    booted.sandbox.sh(&format!("rpm -i --force --nodeps {path} 2>&1"));
}

#[test]
#[ignore = "make integrations"]
fn the_sandbox_of_the_refresh_leaves_pacman_what_it_needs() {
    let booted = Booted::with_units();
    pacman::Root::prepare(&booted.sandbox);
    let repo = PkgRepo::new(&[pkg("tb-hello", "2.0")]);
    repo.serve_as("core");
    let config = booted.sandbox.read("/etc/pacman.conf").unwrap();
    booted.sandbox.write("/etc/pacman.conf", format!("{config}[core]\nServer = {}\n", repo.server.url()));
    let old = pkg("tb-hello", "1.0");
    booted.sandbox.write("/srv/old.pkg.tar.gz", old.bytes().as_slice());
    booted
        .sandbox
        .sh("pacman -Q 2>&1 || true; pacman -U --noconfirm /srv/old.pkg.tar.gz >/srv/pacman-u 2>&1");
    refresh_in_the_sandbox(&booted, "pacman");
}

#[test]
#[ignore = "make integrations"]
fn the_sandbox_is_as_good_as_the_documentation_says() {
    let sandbox = Sandbox::new();
    sandbox.write("/srv/units/linux-patch-refresh.service", unit(REFRESH));
    let said = sandbox
        .sh("systemd-analyze security --no-pager --offline=yes /srv/units/linux-patch-refresh.service");
    let figure = said.lines().last().unwrap().split(' ').find_map(|word| word.parse::<f32>().ok());
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/timers.md")).unwrap();
    let figure = figure.expect("no figure");
    assert!(text.contains(&format!("gives `linux-patch-refresh.service` {figure} of 10")), "it is {figure}");
}

/// The unit as it is, but in the root of a newer Debian, with what makes that root one of this manager's.
#[track_caller]
fn refresh_in_the_newer_root(manager: &str, files: &[(&str, Vec<u8>)], setup: &str) {
    let booted = Booted::with_newer();
    let sandbox = &booted.sandbox;
    sandbox.sh("cp /usr/bin/linux-patch /srv/newer/usr/bin/; mkdir -p /srv/newer/srv");
    for (path, content) in files {
        sandbox.write(&format!("/srv/newer{path}"), content);
    }
    let done = sandbox.run(&["chroot", "/srv/newer", "sh", "-exc", setup]);
    assert_eq!(done.code, 0, "{manager}: {}{}", done.stdout, done.stderr);
    // Its paths are those of that root.
    let unit = unit(REFRESH);
    let paths = unit.lines().find_map(|line| line.strip_prefix("ReadWritePaths=")).unwrap();
    let paths: Vec<_> = paths.split(' ').map(|path| path.replacen('/', "+/", 1)).collect();
    sandbox.write(
        &format!("/etc/systemd/system/{REFRESH}.d/test.conf"),
        format!(
            "[Service]\nRootDirectory=/srv/newer\nMountAPIVFS=yes\nReadWritePaths=\nReadWritePaths={}\n\
             Environment=LINUX_PATCH_MANAGER={manager}\n\
             ExecStartPre=/bin/sh -c '! touch /etc/probe && ! touch /usr/probe && touch /var/probe || exit 9'\n",
            paths.join(" ")
        ),
    );
    booted.boot();
    let started = booted.run(&["systemctl", "start", REFRESH]);
    let state = sandbox.read("/srv/newer/var/lib/linux-patch/state.json").unwrap_or_default();
    let log = sandbox.sh("cat /srv/newer/var/log/linux-patch/*.log || true");
    assert_eq!(started.code, 0, "{manager}: {}\n{log}", booted.journal(REFRESH));
    let state: Value = serde_json::from_str(&state).unwrap_or_default();
    assert_eq!(state["last_attempt"]["outcome"], "fresh", "{manager}: {state:#}\n{log}");
    assert_eq!(state["pending"]["count"], 1, "{manager}: {state:#}\n{log}");
    for said in ["denied", "Read-only", "not permitted"] {
        let line = log.lines().find(|line| line.contains(said));
        assert!(line.is_none(), "{manager}: {line:?}\n{log}");
    }
}

#[test]
#[ignore = "make integrations"]
fn the_sandbox_of_the_refresh_leaves_newer_managers_what_they_need() {
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    let old = rpm("tb-hello", "1.0").tag("Provides: glibc");
    let setup = "rm -rf /etc/yum.repos.d /etc/zypp /var/lib/rpm /root/.rpmdb
                 mkdir -p /etc/rpm /var/lib/rpm; mv /srv/etc/* /etc; echo %_dbpath /var/lib/rpm >/etc/rpm/macros
                 rpm --initdb; rpm -i --nodeps --force /srv/old.rpm";
    let source = format!("[test]\nname=test\nenabled=1\nbaseurl={}\ngpgcheck=0\n", repo.server.url());
    for manager in ["dnf5", "dnf", "zypper"] {
        let dir = if manager == "zypper" { "zypp/repos.d" } else { "yum.repos.d" };
        let source_path = format!("/srv/etc/{dir}/test.repo");
        let files =
            [("/srv/old.rpm", old.bytes().to_vec()), (source_path.as_str(), source.clone().into_bytes())];
        refresh_in_the_newer_root(manager, &files, setup);
    }

    let repo = PkgRepo::new(&[pkg("tb-hello", "2.0")]);
    repo.serve_as("core");
    // As newer versions do on Arch: downloads have their own user and their own sandbox.
    let config = format!(
        "[options]\nArchitecture = auto\nSigLevel = Never\nLocalFileSigLevel = Never\nDownloadUser = nobody\n\
         [core]\nServer = {}\n",
        repo.server.url()
    );
    let old = pkg("tb-hello", "1.0");
    let files = [("/srv/old.pkg.tar.gz", old.bytes().to_vec()), ("/etc/pacman.conf", config.into_bytes())];
    let setup = "mkdir -p /var/lib/pacman /var/cache/pacman/pkg; pacman -U --noconfirm /srv/old.pkg.tar.gz";
    refresh_in_the_newer_root("pacman", &files, setup);
}
