//! Asking for a reboot.

use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::one_line;
use crate::system::local_time::TimeOfDay;
use crate::system::process::{Capture, find};
use crate::system::time::Time;
use log::info;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use wait_timeout::ChildExt;

/// How long a shutdown may take to say that it will come. One that is still there then counts down.
const ANSWER: Duration = Duration::from_secs(5);

/// What a `shutdown` says that does not know our way of asking for a time; that of dinit shows its options.
const NOT_UNDERSTOOD: &[&str] =
    &["usage", "nrecognized", "nknown", "invalid option", "nvalid argument", "--help"];

/// What reboots a machine at once, where there is no shutdown(8) that takes a time: busybox, OpenRC, runit and
/// dinit have the first.
const AT_ONCE: &[&[&str]] = &[&["reboot"], &["systemctl", "reboot"], &["openrc-shutdown", "--reboot", "now"]];

/// What systemd writes down of a shutdown that is to come.
const SCHEDULED: &str = "/run/systemd/shutdown/scheduled";

/// A shutdown that somebody has asked for already.
#[derive(Debug, PartialEq, Eq)]
struct Scheduled {
    /// When, in seconds since 1970.
    at: i64,
    /// `reboot`, `poweroff`, ...
    mode: String,
}

impl Scheduled {
    /// Reads lines like `USEC=1795863600000000` and `MODE=reboot`.
    fn read(text: &str) -> Option<Scheduled> {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let at = value("USEC")?.trim().parse::<i64>().ok()? / 1_000_000;
        Some(Scheduled { at, mode: value("MODE")?.trim().to_string() })
    }

    /// Whether it comes in the place of a reboot at a time: one that comes no later, and whatever is to
    /// switch the machine off. A new one would take its place: an apply each hour with a delay of two would put
    /// its own reboot off for ever.
    fn is_instead(&self, now: i64, wanted: i64) -> bool {
        let is_reboot = matches!(&*self.mode, "reboot" | "kexec");
        let is_end = matches!(&*self.mode, "poweroff" | "halt");
        self.at > now && ((is_reboot && self.at < wanted + 60) || is_end)
    }
}

/// When a reboot is to come.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// After so long, rounded up to whole minutes.
    After(Duration),
    /// When the clock says so next.
    At(TimeOfDay),
}

impl When {
    /// In so many seconds, and how shutdown(8) is told so.
    fn told(self) -> Result<(i64, String), String> {
        match self {
            When::After(delay) => {
                let minutes = delay.as_secs().div_ceil(60);
                Ok((minutes as i64 * 60, format!("+{minutes}")))
            }
            When::At(time) => Ok((time.seconds_after(TimeOfDay::now()?), time.to_string())),
        }
    }
}

/// A reboot that will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reboot {
    /// When, where that is known.
    pub at: Option<Time>,
}

fn scheduled() -> Option<Scheduled> {
    std::fs::read_to_string(SCHEDULED).ok().and_then(|text| Scheduled::read(&text))
}

/// Asks for a reboot: with shutdown(8), or else with another such program on PATH, after a wait that goes on when we
/// have ended. Gives back the reboot that will come, if any: a shutdown that was scheduled before stays.
///
/// # Errors
/// Why it could not be asked for.
pub fn schedule(when: When) -> Result<Option<Reboot>, Failure> {
    let failed =
        |cause: String| Err(Failure::new(Class::Other, format!("could not restart the machine: {cause}")));
    let now = Time::now().unix();
    let (seconds, time) = match when.told() {
        Ok(told) => told,
        Err(cause) => return failed(cause),
    };
    let wanted = now.saturating_add(seconds);
    let at = Time::from_unix(wanted);
    if let Some(Scheduled { at, mode }) = scheduled().filter(|scheduled| scheduled.is_instead(now, wanted)) {
        let at = Time::from_unix(at);
        let words = at.map(|at| format!(" for {at}")).unwrap_or_default();
        info!("a {} is scheduled{words} already and stays so (shutdown -c cancels it)", one_line(&mode));
        let is_reboot = !matches!(&*mode, "poweroff" | "halt");
        return Ok(is_reboot.then_some(Reboot { at }));
    }
    let mut said = "shutdown: it is not on PATH".to_string();
    if let Some(shutdown) = find("shutdown") {
        match ask_shutdown(&shutdown, &time) {
            // It knows better when the clock says so: that may be changed tonight.
            Ok(()) => {
                let is_it = |known: &Scheduled| known.mode == "reboot" && (known.at - wanted).abs() <= 3700;
                let known = scheduled().filter(is_it);
                return Ok(Some(Reboot { at: known.and_then(|known| Time::from_unix(known.at)).or(at) }));
            }
            // That of sysvinit.
            Err(words) if words.contains("already running") => {
                info!("shutdown said: {words}");
                return Ok(Some(Reboot { at: None }));
            }
            Err(words) if NOT_UNDERSTOOD.iter().any(|word| words.to_lowercase().contains(word)) => {
                said = format!("shutdown said: {words}");
            }
            Err(words) => return failed(format!("shutdown said: {words}")),
        }
    }
    let known = AT_ONCE.iter().find_map(|words| Some((find(words[0])?, &words[1..])));
    let Some((program, args)) = known else {
        return failed(format!("{said}; neither is reboot, systemctl or openrc-shutdown"));
    };
    match wait_and_run(seconds, &program, args) {
        Ok(()) => Ok(Some(Reboot { at })),
        Err(error) => failed(format!("{}: {error}", program.display())),
    }
}

/// Some shutdowns leave the waiting to the init, and end at once; that of sysvinit and others wait
/// themselves, and are left alone with it.
fn ask_shutdown(program: &Path, time: &str) -> Result<(), String> {
    let output = Capture::in_memory().map_err(|error| error.to_string())?;
    let file = || output.out.try_clone().map_err(|error| error.to_string());
    let mut command = Command::new(program);
    command.args(["-r", time, "linux-patch: restart after updates"]);
    command.env("LC_ALL", "C").process_group(0).stdin(Stdio::null()).stdout(file()?).stderr(file()?);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    match child.wait_timeout(ANSWER).map_err(|error| error.to_string())? {
        Some(exit) if !exit.success() => {
            let mut words = Vec::new();
            let mut file = file()?;
            let _ = file.rewind().and_then(|()| file.take(10_000).read_to_end(&mut words));
            Err(String::from_utf8_lossy(&words).trim().to_string())
        }
        _ => Ok(()),
    }
}

/// Starts a process that outlives us, and the terminal, and runs a program after so many seconds.
fn wait_and_run(seconds: i64, program: &Path, args: &[&str]) -> std::io::Result<()> {
    let shell = find("sh").ok_or_else(|| std::io::Error::other("there is no sh on PATH to wait with"))?;
    let mut command = Command::new(shell);
    command.args(["-c", "trap '' HUP INT TERM; sleep \"$1\"; shift; exec \"$@\"", "linux-patch"]);
    command.arg(seconds.to_string()).arg(program).args(args).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_scheduled_already_stays_unless_it_is_a_restart_that_comes_later() {
        let read = |mode: &str| {
            Scheduled::read(&format!("USEC=5000000000\nWARN_WALL=1\nMODE={mode}\nUID=0\n")).unwrap()
        };
        let is_instead = |mode: &str, now, wanted| read(mode).is_instead(now, wanted);
        assert!(is_instead("reboot", 4000, 5000) && is_instead("kexec", 4000, 9000));
        assert!(is_instead("poweroff", 4000, 4060) && is_instead("halt", 4000, 9000));
        assert!(!is_instead("reboot", 4000, 4800), "it comes later");
        assert!(!is_instead("poweroff", 6000, 6060), "it did not come");
        assert!(!is_instead("dry-reboot", 4000, 6000) && !is_instead("soft-reboot", 4000, 6000));
        for text in ["", "USEC=x\nMODE=reboot", "USEC=1"] {
            assert_eq!(Scheduled::read(text), None, "{text}");
        }
    }
}
