//! What will run linux-patch next, what is wrong with its units, and who else updates this host.

use super::cron::{self, Job, runs_us};
use super::cron_rules::Daemon;
use super::units::{Units, values};
use crate::report::finding::{Finding, Mark};
use crate::system::local_time;
use crate::system::process::{Invocation, Limits, ask};
use chrono::NaiveDateTime;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long date may take.
const ANSWER: Duration = Duration::from_secs(2);

/// The timers and units of others that change packages or hold the manager's locks, with what each is.
const OTHERS: &[(&str, &str)] = &[
    ("apt-daily.timer", "apt's own refresh"),
    ("apt-daily-upgrade.timer", "apt's own upgrade (unattended-upgrades)"),
    ("unattended-upgrades.service", "unattended-upgrades"),
    ("dnf-makecache.timer", "dnf's own refresh"),
    ("dnf-automatic.timer", "dnf-automatic"),
    ("dnf-automatic-download.timer", "dnf-automatic"),
    ("dnf-automatic-install.timer", "dnf-automatic"),
    ("dnf-automatic-notifyonly.timer", "dnf-automatic"),
    ("dnf5-automatic.timer", "dnf5-automatic"),
    ("yum-cron.service", "yum-cron"),
    ("packagekit.service", "PackageKit"),
    ("packagekit-offline-update.service", "PackageKit's updates at boot"),
    ("transactional-update.timer", "transactional-update"),
    ("rebootmgr.service", "rebootmgr"),
];

/// The one of these that starts only on demand, so that nothing enables it.
const ON_DEMAND: &str = "packagekit.service";

/// The timers and cron files that run linux-patch, with the next time.
pub fn own_runs(units: &Units) -> Vec<Finding> {
    let found: Vec<_> = of_timers(units).into_iter().chain(of_cron()).collect();
    let will_run = found.iter().any(|finding| finding.state == Mark::Ok);
    let never = Finding::problem(
        "next run",
        "nothing will ever run linux-patch again on this host",
        match units.is_running && units.has("linux-patch-refresh.timer") {
            true => "systemctl enable --now linux-patch-refresh.timer linux-patch-apply.timer",
            false => "set up its timers (contrib/systemd) or its cron table (contrib/cron)",
        },
    );
    found.into_iter().chain((!will_run).then_some(never)).collect()
}

fn of_timers(units: &Units) -> Vec<Finding> {
    let ours: Vec<_> = units
        .names(".timer")
        .map(|timer| (timer, units.service_of(timer)))
        .filter(|(timer, service)| is_ours(units, timer, service))
        .collect();
    let names: Vec<_> = ours.iter().map(|(timer, _)| *timer).collect();
    let told = units.told(&names);
    let state = |timer: &str| told.as_ref().and_then(|told| told.get(timer));
    ours.iter().map(|(timer, service)| of_timer(units, timer, service, state(timer))).collect()
}

/// Whether a timer will run its service, by what systemctl says about its state.
fn of_timer(units: &Units, timer: &str, service: &str, state: Option<&BTreeMap<String, String>>) -> Finding {
    let problem = |what: String, command: String| Finding::problem("timer", what, command);
    if units.is_masked(timer) {
        let command = format!("systemctl unmask {timer}; systemctl enable --now {timer}");
        return problem(format!("{timer} is masked: it never runs"), command);
    }
    if units.is_masked(service) {
        let what = format!("{timer} starts {service}, which is masked");
        return problem(what, format!("systemctl unmask {service}"));
    }
    let what = of_schedule(units, timer, service);
    if !units.is_running {
        let what = format!("{what}, but systemd does not run here");
        return problem(what, "use cron instead: contrib/cron".to_string());
    }
    let value = |key: &str| state.and_then(|state| state.get(key)).map(String::as_str).unwrap_or_default();
    if value("ActiveState") == "active" {
        let next = Some(value("NextElapseUSecRealtime")).filter(|next| !next.is_empty());
        return Finding::ok("timer", format!("{what}; next: {}", next.unwrap_or("not told")));
    }
    if state.is_none() && units.is_enabled(timer) {
        return Finding::ok("timer", format!("{what}; next: systemctl did not tell"));
    }
    let not = if units.is_enabled(timer) { "not started" } else { "not enabled" };
    problem(format!("{timer} is there but {not}"), format!("systemctl enable --now {timer}"))
}

/// When a timer runs what, and which of the administrator's files change that.
fn of_schedule(units: &Units, timer: &str, service: &str) -> String {
    let text = units.text(timer);
    let calendar = values(&text, "OnCalendar").filter(|when| !when.is_empty()).last();
    let calendar = calendar.unwrap_or("its own schedule");
    let command = units.commands(service).join("; ");
    let drop_ins = units.drop_ins(timer).into_iter().chain(units.drop_ins(service));
    let drop_ins: Vec<_> = drop_ins.map(|path| path.display().to_string()).collect();
    let with = match drop_ins.is_empty() {
        true => String::new(),
        false => format!("; changed by {}", drop_ins.join(", ")),
    };
    format!("{timer} ({calendar}) runs {command}{with}")
}

fn of_cron() -> Vec<Finding> {
    let daemon = Daemon::look();
    let jobs = cron::jobs(daemon);
    let now = if jobs.is_empty() { None } else { local_now() };
    let of_job = |job: &Job| {
        let what = format!("{} ({}) runs {}", job.file.display(), job.when, job.command);
        if let Some(unread) = &job.unread {
            let what = format!("{what}, but cron does not read that file: {}", unread.why);
            return Finding::problem("cron", what, &*unread.command);
        }
        if daemon == Daemon::No {
            let what = format!("{what}, but no cron daemon runs");
            return Finding::problem("cron", what, "systemctl enable --now cron, or crond");
        }
        let next = now.and_then(|now| cron::next(&job.when, now));
        let next = next.map(|next| format!("; next: {} local time", next.format("%Y-%m-%d %H:%M")));
        Finding::ok("cron", what + &next.unwrap_or_default())
    };
    jobs.iter().map(of_job).collect()
}

/// Whether a timer runs linux-patch. A masked timer has no text, so only its name counts.
fn is_ours(units: &Units, timer: &str, service: &str) -> bool {
    let is_named_so = timer == "linux-patch-refresh.timer" || timer == "linux-patch-apply.timer";
    is_named_so || units.commands(service).iter().any(|line| runs_us(line))
}

/// Units of linux-patch that have failed or are masked.
pub fn failed_units(units: &Units) -> Vec<Finding> {
    let services: Vec<_> = units
        .names(".service")
        .filter(|name| {
            units.commands(name).iter().any(|line| runs_us(line))
                || (name.starts_with("linux-patch-") && units.is_masked(name))
        })
        .collect();
    let masked = services.iter().filter(|name| units.is_masked(name));
    let mut findings: Vec<_> = masked
        .map(|name| Finding::problem("unit", format!("{name} is masked"), format!("systemctl unmask {name}")))
        .collect();
    for (name, state) in units.told(&services).unwrap_or_default() {
        if state.get("ActiveState").is_some_and(|state| state == "failed") {
            let result = state.get("Result").cloned().unwrap_or_default();
            let text = format!("{name} has failed ({result})");
            findings.push(Finding::problem(
                "unit",
                text,
                format!("journalctl -u {name} -e; systemctl reset-failed {name}"),
            ));
        }
    }
    if findings.is_empty() && !services.is_empty() {
        findings
            .push(Finding::ok("unit", format!("none of {} has failed or is masked", services.join(", "))));
    }
    findings
}

/// Who else updates this host.
pub fn other_updaters(units: &Units) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, what) in OTHERS.iter().filter(|(name, _)| units.has(name)) {
        findings.push(if units.is_masked(name) {
            Finding::ok("other updater", format!("{what} ({name}) is masked"))
        } else if let Some(why) = harmless(name).filter(|_| units.is_enabled(name)) {
            Finding::ok("other updater", format!("{what} ({name}) is enabled, and {why}"))
        } else if units.is_enabled(name) {
            let text =
                format!("{what} ({name}) is enabled: it takes the same locks, and installs by its own rules");
            Finding::problem(
                "other updater",
                text,
                format!("systemctl disable --now {name}, if linux-patch is to do it"),
            )
        } else if *name == ON_DEMAND {
            Finding::ok("other updater", format!("{what} ({name}) starts on demand"))
        } else {
            Finding::ok("other updater", format!("{what} ({name}) is there and not enabled"))
        });
    }
    let has_timer = units.is_enabled("apt-daily-upgrade.timer");
    if is_unattended() && !has_timer {
        let text = "apt.conf.d lets unattended-upgrades install (APT::Periodic::Unattended-Upgrade)";
        findings.push(Finding::problem(
            "other updater",
            text,
            "dpkg-reconfigure unattended-upgrades, if linux-patch is to do it",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("other updater", "none is installed"));
    }
    findings
}

/// Why an enabled timer installs nothing at present: Debian enables its timers on every host.
fn harmless(name: &str) -> Option<&'static str> {
    const REFRESHES: &[&str] = &[
        "apt-daily.timer",
        "dnf-makecache.timer",
        "dnf-automatic-notifyonly.timer",
        "dnf-automatic-download.timer",
    ];
    if REFRESHES.contains(&name) {
        return Some("installs nothing");
    }
    match name {
        "apt-daily-upgrade.timer" | "unattended-upgrades.service" if !is_unattended() => {
            Some("apt.conf lets it install nothing")
        }
        "packagekit-offline-update.service" if !Path::new("/system-update").is_symlink() => {
            Some("nothing is prepared for it")
        }
        _ => None,
    }
}

/// Whether apt's configuration turns unattended-upgrades on, and it is installed. apt is asked, because its files can
/// say it in many ways. If apt does not answer, it may be on.
fn is_unattended() -> bool {
    if !Path::new("/usr/bin/unattended-upgrade").exists() {
        return false;
    }
    let value = |name: &str| {
        let question = Invocation::of("apt-config", ["dump", "--format=%v%n", name]);
        let limits = Limits { budget: Some(ANSWER), ..Limits::default() };
        let answer = ask(&question, &limits).ok().filter(|answer| answer.succeeded())?;
        Some(answer.stdout.trim().to_string())
    };
    let is_off = |name: &str, off: &[&str]| value(name).is_some_and(|value| off.contains(&&*value));
    !is_off("APT::Periodic::Enable", &["0"]) && !is_off("APT::Periodic::Unattended-Upgrade", &["", "0"])
}

/// The local time.
fn local_now() -> Option<NaiveDateTime> {
    const FORM: &str = "%Y-%m-%d %H:%M";
    let told = local_time::ask(FORM, ANSWER).ok()?;
    NaiveDateTime::parse_from_str(&told, FORM).ok()
}
