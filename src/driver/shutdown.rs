//! Asking for a reboot.

use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::one_line;
use crate::system::boot::{self, is_reboot, scheduled_reboot, scheduled_shutdown};
use crate::system::local_time::TimeOfDay;
use crate::system::process::{Capture, find, shielded};
use crate::system::time::Time;
use log::info;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use wait_timeout::ChildExt;

/// How long a shutdown may take to answer that it will come. One that is still running after that is counting down.
const ANSWER: Duration = Duration::from_secs(5);
/// How long that of systemd may take, which never counts down itself. It asks over D-Bus, which gives up after 25
/// seconds.
const ANSWER_OF_SYSTEMD: Duration = Duration::from_secs(40);

/// A shutdown that prints more than this asks a question again and again, and gets no answer.
const MOST_BYTES: u64 = 64 * 1024;

/// Nearer than so many seconds is now.
const SOON: i64 = 10;

/// systemd's shutdown leaves the waiting to logind, and says this where logind or the message bus is missing.
const NO_LOGIND: &[&str] = &["Failed to connect to bus", "login1"];

/// systemd's shutdown says this in a chroot, where it does nothing and exits with 0.
const IGNORED: &str = "ignoring request";

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

/// Asks for a reboot: with shutdown(8), or else with a timer of systemd, or with another program on PATH after a wait
/// that goes on when we have ended. Returns the reboot that will come, if any: a shutdown that was scheduled before
/// stays.
pub fn schedule(when: When) -> Result<Option<Reboot>, Failure> {
    let known = ask(when);
    known.map_err(|cause| Failure::new(Class::Other, format!("could not reboot the machine: {cause}")))
}

fn ask(when: When) -> Result<Option<Reboot>, String> {
    let now = Time::now().unix();
    let (seconds, time) = when.told()?;
    let wanted = now.saturating_add(seconds);
    let at = Time::from_unix(wanted);
    if let Some((at, mode)) = scheduled_shutdown().filter(|known| is_instead(known, now, wanted)) {
        let at = Time::from_unix(at);
        let words = at.map(|at| format!(" for {at}")).unwrap_or_default();
        let (mode, cancels) = (one_line(&mode), boot::cancels());
        info!("a {mode} is scheduled{words} already and stays so ({cancels} cancels it)");
        return Ok(is_reboot(&mode).then_some(Reboot { at }));
    }
    let mut said = "shutdown is not on PATH".to_string();
    // Under another name, systemctl is systemd's shutdown, which Debian has in a package of its own.
    let systemctl = || find("systemctl").filter(|_| boot::is_systemd());
    let shutdown = find("shutdown").or_else(systemctl);
    if shutdown.as_deref().is_some_and(|shutdown| seconds >= SOON && would_not_wait(shutdown)) {
        said = "logind or the message bus is missing".to_string();
    } else if let Some(shutdown) = shutdown {
        match ask_shutdown(&shutdown, &time) {
            Ok(words) => return what_will_come(wanted, seconds, &words).map(Some),
            // The `shutdown` of sysvinit.
            Err(words) if words.contains("already running") => {
                info!("{words}");
                return Ok(Some(Reboot { at: None }));
            }
            Err(words) if is_worth_another(&words) => said = words,
            Err(words) => return Err(refusal(words)),
        }
    }
    let done = match boot::is_systemd() {
        true => set_timer(wanted, seconds),
        false => wait_and_run(seconds),
    };
    done.map_err(|cause| format!("{said}; {cause}"))?;
    Ok(Some(Reboot { at }))
}

/// Why a shutdown refused. An inhibitor is not named in its own words.
fn refusal(words: String) -> String {
    let is_denied = words.contains("Access denied") || words.contains("inhibit");
    match boot::inhibitor().filter(|_| is_denied) {
        Some(inhibitor) => format!("{words}; it is inhibited by {}", one_line(&inhibitor)),
        None => words,
    }
}

/// Whether a shutdown is that of systemd where nobody is there who waits: those before version 248 then reboot the
/// machine at once.
fn would_not_wait(shutdown: &Path) -> bool {
    const BUS: &str = "/run/dbus/system_bus_socket";
    const MASKED: [&str; 2] =
        ["/etc/systemd/system/systemd-logind.service", "/run/systemd/system/systemd-logind.service"];
    let is_masked = |unit: &str| std::fs::read_link(unit).is_ok_and(|to| to == Path::new("/dev/null"));
    boot::is_systemd()
        && shutdown.canonicalize().is_ok_and(|path| path.ends_with("systemctl"))
        && (!Path::new(BUS).exists() || MASKED.iter().any(|unit| is_masked(unit)))
}

/// Whether what a shutdown said is no refusal: it does not know how we give a time, or has nobody who waits.
fn is_worth_another(words: &str) -> bool {
    let is_without_logind = boot::is_systemd() && NO_LOGIND.iter().any(|word| words.contains(word));
    is_without_logind || NOT_UNDERSTOOD.iter().any(|word| words.to_lowercase().contains(word))
}

/// The reboot that a shutdown has scheduled. systemd writes down what will come: a wrapper that refuses, or a shutdown
/// that ignores what it is asked in a chroot, may exit with 0 all the same.
fn what_will_come(wanted: i64, seconds: i64, words: &str) -> Result<Reboot, String> {
    // shutdown(8) itself knows best when the clock will say so: the clock may change tonight.
    let known = scheduled_reboot().filter(|known| (known - wanted).abs() <= 3700);
    let is_ignored = words.contains(IGNORED);
    match known {
        None if is_ignored || (boot::is_systemd() && seconds > 0) => Err(match words {
            "" => "shutdown ended well, but no reboot is scheduled".to_string(),
            words => format!("shutdown ended well, but no reboot is scheduled; it said: {words}"),
        }),
        known => Ok(Reboot { at: Time::from_unix(known.unwrap_or(wanted)) }),
    }
}

/// Some shutdowns leave the waiting to the init, and end at once. That of sysvinit and others wait themselves, and are
/// left running. Returns what it said.
fn ask_shutdown(program: &Path, time: &str) -> Result<String, String> {
    let is_script = || program.file_name().is_some_and(|name| name == "shutdown");
    // A wrapper may ask a question on the terminal.
    let mut command = shielded(program).filter(|_| is_script()).unwrap_or_else(|| {
        let mut command = Command::new(program);
        command.arg0("shutdown");
        command
    });
    command.args(["-r", time, "linux-patch: reboot after updates"]);
    let patience = if boot::is_systemd() { ANSWER_OF_SYSTEMD } else { ANSWER };
    match answer("shutdown", command, patience)? {
        Answer::Ended(words) => Ok(words),
        Answer::Failed(words) => Err(words),
        Answer::StillRuns(mut child) if boot::is_systemd() => {
            end(&mut child);
            Err(format!(
                "shutdown did not answer in {} seconds; linux-patch status --explain says whether a reboot is scheduled",
                patience.as_secs()
            ))
        }
        Answer::StillRuns(_) => Ok(String::new()),
    }
}

/// What came of a program that was given some time.
enum Answer {
    /// It ended well, and said this.
    Ended(String),
    /// Why it failed.
    Failed(String),
    StillRuns(Child),
}

/// Starts a program in a process group of its own, and waits some time for its end.
fn answer(name: &str, mut command: Command, patience: Duration) -> Result<Answer, String> {
    let output = Capture::in_memory().map_err(|error| error.to_string())?.out;
    let file = || output.try_clone().map_err(|error| error.to_string());
    command.env("LC_ALL", "C").process_group(0).stdin(Stdio::null()).stdout(file()?).stderr(file()?);
    let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let ended = child.wait_timeout(left.min(Duration::from_millis(100)));
        match ended.map_err(|error| error.to_string())? {
            Some(exit) if exit.success() => return Ok(Answer::Ended(said(file()?))),
            Some(exit) => {
                return Ok(Answer::Failed(match &*said(file()?) {
                    "" => format!("{name} failed ({exit}) and gave no reason"),
                    words => format!("{name} said: {words}"),
                }));
            }
            None if output.metadata().is_ok_and(|meta| meta.len() > MOST_BYTES) => {
                end(&mut child);
                let words = said(file()?);
                let first = words.lines().next().unwrap_or_default();
                return Err(format!("{name} asks again and again, and was ended; it said: {first}"));
            }
            None if left.is_zero() => return Ok(Answer::StillRuns(child)),
            None => {}
        }
    }
}

/// What a program printed, at its beginning.
fn said(mut file: File) -> String {
    let mut words = Vec::new();
    let _ = file.rewind().and_then(|()| file.take(10_000).read_to_end(&mut words));
    String::from_utf8_lossy(&words).trim().to_string()
}

fn end(child: &mut Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    // The kernel may not let it go.
    let _ = child.wait_timeout(Duration::from_secs(5));
}

/// Has systemd itself reboot the machine. A process of ours would end with the unit or the session it was started in.
fn set_timer(at: i64, seconds: i64) -> Result<(), String> {
    let program = |name: &str| find(name).ok_or_else(|| format!("{name} is not on PATH"));
    let systemctl = program("systemctl")?;
    let run = |args: &[&str]| {
        let mut command = Command::new(&systemctl);
        command.args(args);
        answer("systemctl", command, ANSWER_OF_SYSTEMD)
    };
    // A timer for a time that has come never elapses.
    if seconds < SOON {
        return match run(&["reboot"])? {
            Answer::Failed(words) => Err(words),
            Answer::Ended(_) | Answer::StillRuns(_) => Ok(()),
        };
    }
    let timer = format!("{}.timer", boot::REBOOT_UNIT);
    if boot::has_reboot_timer() {
        // It would come too late.
        run(&["stop", &timer])?;
    }
    let mut command = Command::new(program("systemd-run")?);
    command.arg(format!("--unit={}", boot::REBOOT_UNIT)).arg(format!("--on-calendar=@{at}"));
    command.args(["--timer-property=AccuracySec=1s", "--description=Reboot after updates (linux-patch)"]);
    command.arg(&systemctl).arg("reboot");
    match answer("systemd-run", command, ANSWER_OF_SYSTEMD)? {
        Answer::Ended(_) => {
            info!("{} cancels the reboot", boot::cancels());
            Ok(())
        }
        Answer::Failed(words) => Err(words),
        Answer::StillRuns(mut child) => {
            end(&mut child);
            Err(format!("systemd-run did not answer in {} seconds", ANSWER_OF_SYSTEMD.as_secs()))
        }
    }
}

/// Starts a process that outlives us and the terminal, and after so many seconds runs what reboots the machine.
fn wait_and_run(seconds: i64) -> Result<(), String> {
    let known = AT_ONCE.iter().find_map(|words| Some((find(words[0])?, &words[1..])));
    let (program, args) = known.ok_or("no reboot, systemctl or openrc-shutdown is on PATH")?;
    is_heard_by_the_init(&program)?;
    let shell = find("sh").ok_or("there is no sh on PATH to wait with")?;
    let mut command = Command::new(shell);
    command.args(["-c", "trap '' HUP INT TERM; sleep \"$1\"; shift; exec \"$@\"", "linux-patch"]);
    command.arg(seconds.to_string()).arg(&program).args(args);
    // Only what fails at once can be told.
    let patience = if seconds == 0 { ANSWER } else { Duration::ZERO };
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    match answer(&name, command, patience)? {
        Answer::Failed(words) => Err(words),
        Answer::Ended(_) | Answer::StillRuns(_) => Ok(()),
    }
}

/// busybox's `reboot` only sends its init a signal, which another first process, as that of many containers, ignores or
/// takes for something else.
fn is_heard_by_the_init(reboot: &Path) -> Result<(), String> {
    let is_of_busybox = reboot.canonicalize().is_ok_and(|path| path.ends_with("busybox"));
    let first = std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
    match first.trim() {
        "" | "init" | "linuxrc" => Ok(()),
        first if is_of_busybox => Err(format!(
            "the first process here is {} and no init that could reboot; restart the container from outside",
            one_line(first)
        )),
        _ => Ok(()),
    }
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
