//! Asking for a reboot.

use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::one_line;
use crate::system::boot::{self, is_reboot, scheduled_reboot, scheduled_shutdown};
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

/// How long a shutdown may take to answer that it will come. One that is still running after that is counting down.
const ANSWER: Duration = Duration::from_secs(5);
/// That of systemd never counts itself. It asks over D-Bus, which gives up after 25 seconds.
const ANSWER_OF_SYSTEMD: Duration = Duration::from_secs(40);

/// The words of a `shutdown` that does not know how we give a time; dinit's shows its options.
const NOT_UNDERSTOOD: &[&str] =
    &["usage", "nrecognized", "nknown", "invalid option", "nvalid argument", "--help"];

/// Programs that reboot a machine at once, where shutdown(8) cannot take a time: busybox, OpenRC, runit and dinit have
/// the first.
const AT_ONCE: &[&[&str]] = &[&["reboot"], &["systemctl", "reboot"], &["openrc-shutdown", "--reboot", "now"]];

/// Whether a shutdown that somebody has already scheduled serves instead of the wanted reboot: a reboot that comes no
/// later, or a power-off. A new one would replace it, and an apply each hour with a delay of two hours would put off
/// its own reboot for ever.
fn is_instead((at, mode): &(i64, String), now: i64, wanted: i64) -> bool {
    let is_end = matches!(&**mode, "poweroff" | "halt");
    *at > now && ((is_reboot(mode) && *at < wanted + 60) || is_end)
}

/// When a reboot is to come.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// After so long, rounded up to whole minutes.
    After(Duration),
    /// When the clock next says so.
    At(TimeOfDay),
}

impl When {
    /// The seconds until then, and how shutdown(8) is told.
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

/// Asks for a reboot: with shutdown(8), or else with another program on PATH, after a wait that goes on when we have
/// ended. Returns the reboot that will come, if any: a shutdown that was scheduled before stays.
///
/// # Errors
/// Why it could not be asked for.
pub fn schedule(when: When) -> Result<Option<Reboot>, Failure> {
    let failed =
        |cause: String| Err(Failure::new(Class::Other, format!("could not reboot the machine: {cause}")));
    let now = Time::now().unix();
    let (seconds, time) = match when.told() {
        Ok(told) => told,
        Err(cause) => return failed(cause),
    };
    let wanted = now.saturating_add(seconds);
    let at = Time::from_unix(wanted);
    if let Some((at, mode)) = scheduled_shutdown().filter(|known| is_instead(known, now, wanted)) {
        let at = Time::from_unix(at);
        let words = at.map(|at| format!(" for {at}")).unwrap_or_default();
        info!("a {} is scheduled{words} already and stays so (shutdown -c cancels it)", one_line(&mode));
        return Ok(is_reboot(&mode).then_some(Reboot { at }));
    }
    let mut said = "shutdown is not on PATH".to_string();
    // Under another name, systemctl is systemd's shutdown, which Debian has in a package of its own.
    let systemctl = || find("systemctl").filter(|_| boot::is_systemd());
    if let Some(shutdown) = find("shutdown").or_else(systemctl) {
        match ask_shutdown(&shutdown, &time) {
            // shutdown(8) itself knows best when the clock will say so: the clock may change tonight.
            Ok(()) => {
                let known = scheduled_reboot().filter(|known| (known - wanted).abs() <= 3700);
                return Ok(Some(Reboot { at: known.and_then(Time::from_unix).or(at) }));
            }
            // The `shutdown` of sysvinit.
            Err(words) if words.contains("already running") => {
                info!("{words}");
                return Ok(Some(Reboot { at: None }));
            }
            Err(words) if NOT_UNDERSTOOD.iter().any(|word| words.to_lowercase().contains(word)) => {
                said = words;
            }
            Err(words) => return failed(words),
        }
    }
    let known = AT_ONCE.iter().find_map(|words| Some((find(words[0])?, &words[1..])));
    let Some((program, args)) = known else {
        return failed(format!("{said}; no reboot, systemctl or openrc-shutdown is on PATH"));
    };
    match wait_and_run(seconds, &program, args) {
        Ok(()) => Ok(Some(Reboot { at })),
        Err(error) => failed(format!("{}: {error}", program.display())),
    }
}

/// Some shutdowns leave the waiting to the init, and end at once. That of sysvinit and others wait themselves, and are
/// left running.
fn ask_shutdown(program: &Path, time: &str) -> Result<(), String> {
    let output = Capture::in_memory().map_err(|error| error.to_string())?;
    let file = || output.out.try_clone().map_err(|error| error.to_string());
    let mut command = Command::new(program);
    command.arg0("shutdown").args(["-r", time, "linux-patch: reboot after updates"]);
    command.env("LC_ALL", "C").process_group(0).stdin(Stdio::null()).stdout(file()?).stderr(file()?);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let patience = if boot::is_systemd() { ANSWER_OF_SYSTEMD } else { ANSWER };
    match child.wait_timeout(patience).map_err(|error| error.to_string())? {
        None if boot::is_systemd() => Err(format!(
            "shutdown did not answer in {} seconds; linux-patch status --explain says whether a reboot is scheduled",
            patience.as_secs()
        )),
        Some(exit) if !exit.success() => {
            let mut words = Vec::new();
            let mut file = file()?;
            let _ = file.rewind().and_then(|()| file.take(10_000).read_to_end(&mut words));
            match String::from_utf8_lossy(&words).trim() {
                "" => Err(format!("shutdown failed ({exit}) and gave no reason")),
                words => Err(format!("shutdown said: {words}")),
            }
        }
        _ => Ok(()),
    }
}

/// Starts a process that outlives us and the terminal, and runs a program after so many seconds.
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

    #[test]
    fn what_is_scheduled_already_stays_unless_it_is_a_reboot_that_comes_later() {
        let is_instead = |mode: &str, now, wanted| super::is_instead(&(5000, mode.to_string()), now, wanted);
        assert!(is_instead("reboot", 4000, 5000) && is_instead("kexec", 4000, 9000));
        assert!(is_instead("poweroff", 4000, 4060) && is_instead("halt", 4000, 9000));
        assert!(!is_instead("reboot", 4000, 4800), "it comes later");
        assert!(!is_instead("poweroff", 6000, 6060), "it did not come");
        assert!(!is_instead("dry-reboot", 4000, 6000) && !is_instead("soft-reboot", 4000, 6000));
    }
}
