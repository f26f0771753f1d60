//! Asking for a reboot.

use crate::model::outcome::{Class, Failure};
use crate::system::process::{Capture, find};
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use wait_timeout::ChildExt;

/// How long a shutdown may take to say that it will come. One that is still there then counts down.
const ANSWER: Duration = Duration::from_secs(5);

/// What a `shutdown` says that does not know our way of asking for a time.
const NOT_UNDERSTOOD: &[&str] = &["usage", "nrecognized", "nknown", "invalid option", "nvalid argument"];

/// What restarts a machine at once, where there is no shutdown(8) that takes a time: busybox, OpenRC and
/// dinit have the first.
const AT_ONCE: &[&[&str]] = &[&["reboot"], &["systemctl", "reboot"], &["openrc-shutdown", "--reboot", "now"]];

/// Asks for a restart after `delay`, rounded up to whole minutes: shutdown(8), or what else of that kind
/// PATH has, after a wait that outlives us.
///
/// # Errors
/// Why it could not be asked for.
pub fn schedule(delay: Duration) -> Result<(), Failure> {
    let minutes = delay.as_secs().div_ceil(60);
    let failed =
        |cause: String| Err(Failure::new(Class::Other, format!("could not restart the machine: {cause}")));
    let mut said = "shutdown: it is not on PATH".to_string();
    if let Some(shutdown) = find("shutdown") {
        match ask_shutdown(&shutdown, minutes) {
            Ok(()) => return Ok(()),
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
    match wait_and_run(minutes * 60, &program, args) {
        Ok(()) => Ok(()),
        Err(error) => failed(format!("{}: {error}", program.display())),
    }
}

/// Some shutdowns leave the waiting to the init, and end at once; that of sysvinit and others wait
/// themselves, and are left alone with it.
fn ask_shutdown(program: &Path, minutes: u64) -> Result<(), String> {
    let output = Capture::in_memory().map_err(|error| error.to_string())?;
    let file = || output.out.try_clone().map_err(|error| error.to_string());
    let mut command = Command::new(program);
    command.args(["-r", &format!("+{minutes}"), "linux-patch: restart after updates"]);
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
fn wait_and_run(seconds: u64, program: &Path, args: &[&str]) -> std::io::Result<()> {
    let shell = find("sh").ok_or_else(|| std::io::Error::other("there is no sh on PATH to wait with"))?;
    let mut command = Command::new(shell);
    command.args(["-c", "trap '' HUP INT TERM; sleep \"$1\"; shift; exec \"$@\"", "linux-patch"]);
    command.arg(seconds.to_string()).arg(program).args(args).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop)
}
