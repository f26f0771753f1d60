//! The start of the machine, flag files for a reboot, and a scheduled shutdown.

use crate::system::time::since_boot;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// The identifier of this boot. It is read once, since it outlives this process.
pub fn boot_id() -> String {
    static ID: LazyLock<String> =
        LazyLock::new(|| std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default());
    ID.trim().to_string()
}

/// The start of this machine; in a container, the start of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Different for every start.
    pub id: String,
    /// When it was, in seconds since 1970 by the clock as it is now.
    pub at: i64,
}

impl Start {
    /// Whether something installed at that time came after the start. A time after `now` was written by a wrong clock,
    /// perhaps long before; a reboot would not change that.
    pub fn is_before(&self, installed: i64, now: i64) -> bool {
        installed > self.at && installed <= now
    }
}

/// The last start. In a container it is that of the container's first process, because the machine started long before.
pub fn start() -> Start {
    static TICKS: LazyLock<u64> = LazyLock::new(|| {
        let stat = std::fs::read_to_string("/proc/1/stat").unwrap_or_default();
        ticks_at_start(&stat).unwrap_or(0)
    });
    let ticks = *TICKS;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let passed = since_boot().saturating_sub(Duration::from_millis(ticks.saturating_mul(TICK)));
    Start { id: format!("{} {ticks}", boot_id()), at: now.saturating_sub(passed).as_secs() as i64 }
}

/// The first PID namespace of every machine.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// Identifies the start to which a finding belongs: the boot, and in a container, which can restart within a boot, the
/// container's start.
pub fn this_start() -> String {
    let namespace = std::fs::read_link("/proc/self/ns/pid");
    let is_machine = namespace.is_ok_and(|name| name.as_os_str() == FIRST_NAMESPACE);
    if is_machine { boot_id() } else { start().id }
}

/// Whether a finding belongs to this start. If the first process cannot be seen, only the boot is compared.
pub fn is_this_start(found: &str) -> bool {
    is_same_start(found, &start().id)
}

fn is_same_start(found: &str, now: &str) -> bool {
    let parts = |id: &str| {
        let (boot, ticks) = id.split_once(' ').unwrap_or((id, "0"));
        (boot.to_string(), ticks.parse::<u64>().unwrap_or(0))
    };
    let ((boot, ticks), (this_boot, these_ticks)) = (parts(found), parts(now));
    boot == this_boot && (ticks == these_ticks || ticks == 0 || these_ticks == 0)
}

/// Milliseconds of a tick of proc_pid_stat(5), on every processor that Rust knows.
pub const TICK: u64 = 10;

/// When a process started, in ticks since the start of the machine, by its /proc/PID/stat. Its name there, in
/// parentheses, can hold anything.
pub fn ticks_at_start(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// Whether the distribution left one of its flag files. Costs a call of stat for each.
pub fn is_flagged(flags: &[&str]) -> bool {
    flags.iter().any(|flag| Path::new(flag).exists())
}

/// Whether the first process is systemd, as sd_booted(3) looks for it.
pub fn is_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// When a reboot is scheduled with systemd, in seconds since 1970.
pub fn scheduled_reboot() -> Option<i64> {
    scheduled_shutdown().filter(|(_, mode)| is_reboot(mode)).map(|(at, _)| at)
}

/// When a shutdown is scheduled with systemd, in seconds since 1970, and its kind, such as `reboot` or `poweroff`.
pub fn scheduled_shutdown() -> Option<(i64, String)> {
    let by_logind = std::fs::read_to_string("/run/systemd/shutdown/scheduled").ok();
    by_logind.as_deref().and_then(scheduled_in).or_else(by_our_timer)
}

/// The units that we let systemd make where logind cannot schedule a reboot.
pub const REBOOT_UNIT: &str = "linux-patch-reboot";

fn our_timer() -> String {
    format!("/run/systemd/transient/{REBOOT_UNIT}.timer")
}

/// Whether such a timer is waiting: systemd removes it when it has elapsed or was stopped.
pub fn has_reboot_timer() -> bool {
    Path::new(&our_timer()).exists()
}

/// What cancels the shutdown that is scheduled.
pub fn cancels() -> &'static str {
    // The name is that of REBOOT_UNIT.
    if has_reboot_timer() { "systemctl stop linux-patch-reboot.timer" } else { "shutdown -c" }
}

fn by_our_timer() -> Option<(i64, String)> {
    Some((timer_in(&std::fs::read_to_string(our_timer()).ok()?)?, "reboot".to_string()))
}

/// Reads the line `OnCalendar=@1795863600`.
fn timer_in(text: &str) -> Option<i64> {
    text.lines().find_map(|line| line.strip_prefix("OnCalendar=@"))?.trim().parse().ok()
}

/// Reads lines like `USEC=1795863600000000` and `MODE=reboot`.
fn scheduled_in(text: &str) -> Option<(i64, String)> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let at = value("USEC")?.trim().parse::<i64>().ok()? / 1_000_000;
    Some((at, value("MODE").unwrap_or("shutdown").trim().to_string()))
}

/// What keeps systemd from shutting down: from version 257 on it then refuses that to root too, and says no more than
/// "Access denied".
pub fn inhibitor() -> Option<String> {
    let entries = std::fs::read_dir("/run/systemd/inhibit").ok()?.flatten();
    // Beside each file is a pipe, from which nothing ever comes.
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.filter_map(|entry| inhibitor_in(&std::fs::read_to_string(entry.path()).ok()?)).min()
}

/// Reads lines like `WHAT=shutdown:sleep`, `MODE=block`, `PID=67`, `WHO=backup` and `WHY=a copy is made`.
fn inhibitor_in(text: &str) -> Option<String> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let is_one = value("MODE")? == "block" && value("WHAT")?.split(':').any(|what| what == "shutdown");
    let or_unknown = |name| value(name).unwrap_or("unknown");
    is_one.then(|| format!("{} (process {}): {}", or_unknown("WHO"), or_unknown("PID"), or_unknown("WHY")))
}

/// Whether the machine starts again after a shutdown of this kind.
pub fn is_reboot(mode: &str) -> bool {
    matches!(mode, "reboot" | "kexec")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::time::Time;

    #[test]
    fn only_a_shutdown_that_comes_back_is_a_reboot() {
        let comes_back =
            |text: &str| scheduled_in(text).filter(|(_, mode)| is_reboot(mode)).map(|(at, _)| at);
        assert_eq!(comes_back("USEC=1795863600000000\nWARN_WALL=1\nMODE=reboot\n"), Some(1_795_863_600));
        for text in ["", "USEC=x\nMODE=reboot\n", "USEC=1\n", "USEC=1795863600000000\nMODE=poweroff\n"] {
            assert_eq!(comes_back(text), None, "{text}");
        }
        assert_eq!(scheduled_in("USEC=2000000\nMODE=poweroff\n"), Some((2, "poweroff".to_string())));
        let timer = "[Timer]\nOnCalendar=@1795863600\nAccuracySec=1s\nRemainAfterElapse=no\n";
        assert_eq!(timer_in(timer), Some(1_795_863_600));
        assert_eq!(timer_in("[Timer]\nOnCalendar=daily\n"), None);
    }

    #[test]
    fn only_what_blocks_a_shutdown_is_an_inhibitor_of_it() {
        let text = |what: &str, mode: &str| {
            format!("WHAT={what}\nMODE={mode}\nUID=0\nPID=67\nWHO=backup\nWHY=a copy is made\nFIFO=/x\n")
        };
        let expected = Some("backup (process 67): a copy is made".to_string());
        assert_eq!(inhibitor_in(&text("shutdown:sleep", "block")), expected);
        for other in [text("sleep", "block"), text("shutdown", "delay"), String::new()] {
            assert_eq!(inhibitor_in(&other), None, "{other}");
        }
    }

    #[test]
    fn only_what_was_installed_since_the_start_counts() {
        let start = Start { id: String::new(), at: 100 };
        let counts = |installed| start.is_before(installed, 200);
        assert_eq!([99, 100, 101, 200, 201].map(counts), [false, false, true, true, false]);
    }

    #[test]
    fn a_finding_is_of_a_boot_and_in_a_container_of_a_start() {
        for (found, is_same) in [
            ("b 7", true),
            ("b", true),
            ("b 0", true),
            ("b 8", false),
            ("c 7", false),
            ("c", false),
            ("", false),
        ] {
            assert_eq!(is_same_start(found, "b 7"), is_same, "{found}");
        }
        assert!(is_same_start("b 7", "b 0"), "the first process cannot be seen");
        assert!(is_this_start(&this_start()));
    }

    #[test]
    fn the_start_is_that_of_the_first_process() {
        let stat = "1 (a) R 1 (b) S 0 1 1 0 -1 4194560 9 9 9 9 9 9 9 9 20 0 1 0 4711 9 9 184467 1\n";
        assert_eq!(ticks_at_start(stat), Some(4711));
        for cut in ["", "1 (init", "1 (init) S 0 1"] {
            assert_eq!(ticks_at_start(cut), None, "{cut}");
        }
        let start = start();
        assert!(start.at <= Time::now().unix() && start.id.starts_with(&boot_id()), "{start:?}");
    }
}
