//! Disk space, locks, and a shutdown that is scheduled.

use crate::driver::lock_wait::moved_lock_holder;
use crate::driver::settings_files;
use crate::managers::Manager;
use crate::report::finding::Finding;
use crate::store::lock;
use crate::store::state::State;
use crate::system::boot;
use crate::system::files::is_read_only;
use crate::system::time::{Time, span};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const MIB: u64 = 1 << 20;

/// How much must be free so that an update can work: for what is downloaded and unpacked, and for a kernel.
const PLACES: &[(&str, u64)] = &[("/", 500 * MIB), ("/var", 500 * MIB), ("/boot", 100 * MIB)];

/// Whether there is enough space for updates.
pub fn room() -> Vec<Finding> {
    let mut seen = Vec::new();
    let mut findings = Vec::new();
    for (place, needed) in PLACES {
        let Ok(meta) = std::fs::metadata(place) else { continue };
        if seen.contains(&meta.dev()) {
            continue;
        }
        seen.push(meta.dev());
        let Ok(disk) = rustix::fs::statvfs(*place) else { continue };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let (free_mib, inodes) = (free / MIB, disk.f_favail);
        let problem = |text: String, command: String| Finding::problem("room", text, command);
        findings.push(if is_read_only(Path::new(place)) {
            problem(format!("{place} is mounted read-only"), format!("mount -o remount,rw {place}"))
        } else if disk.f_files > 0 && inodes < 1000 {
            problem(format!("{place} has no inodes left ({inodes})"), format!("df -i {place}"))
        } else if free < *needed {
            let look = format!("du -xh {place} | sort -h | tail -20");
            problem(format!("{place} has only {free_mib} MiB free"), look)
        } else {
            Finding::ok("room", format!("{place} has {free_mib} MiB free"))
        });
    }
    findings
}

/// The manager's configuration, from the last refresh or from its files.
fn configuration(manager: &dyn Manager, state: Option<&State>) -> String {
    let kept = state.and_then(|state| state.index.as_ref()?.configuration.as_ref());
    match (kept, manager.facts().settings_in) {
        (Some(kept), _) => kept.text.clone(),
        (None, []) => String::new(),
        (None, places) => settings_files::text_of(places, &|text| manager.elsewhere(text)),
    }
}

/// Who holds the locks that a run needs.
pub fn locks(manager: Option<&dyn Manager>, state: Option<&State>, state_dir: &Path) -> Vec<Finding> {
    let ours = lock::holder(state_dir).map(|holder| {
        Finding::problem(
            "lock",
            format!("{holder} holds the lock of linux-patch"),
            format!("ps -fp {}", holder.pid),
        )
    });
    let theirs = manager.and_then(|manager| {
        let configuration = configuration(manager, state);
        let usual = manager.facts().usual_places();
        let places = match configuration.is_empty() {
            true => usual,
            false => manager.parse_places(usual, &configuration),
        };
        let file = manager.facts().lock_file(&places).filter(|file| file.exists());
        let holder = manager.facts().lock_holder(&file.iter().cloned().collect::<Vec<_>>());
        let holder = holder.or_else(|| moved_lock_holder(manager, &configuration, &places.cache));
        let name = manager.facts().name;
        match (holder, file) {
            (Some(holder), _) => {
                let text = format!("{holder} holds a lock of {name}");
                Some(Finding::problem("lock", text, "wait for it, or see what it does: ps -ef"))
            }
            (None, Some(file)) => {
                let text = format!("{} is there, and no process is seen that has it open", file.display());
                Some(Finding::problem("lock", text, format!("if no {name} runs: rm {}", file.display())))
            }
            (None, None) => None,
        }
    });
    let found: Vec<_> = ours.into_iter().chain(theirs).collect();
    match found.is_empty() {
        true => vec![Finding::ok("lock", "nobody holds one that a run needs")],
        false => found,
    }
}

/// A shutdown that is scheduled.
pub fn shutdown(now: Time) -> Vec<Finding> {
    let scheduled = boot::scheduled_shutdown().and_then(|(at, mode)| Some((Time::from_unix(at)?, mode)));
    let mut findings = Vec::new();
    if let Some((at, mode)) = scheduled {
        let text = match at.seconds_since(now) {
            ..0 => format!("a {mode} was due at {at}"),
            left => format!("a {mode} comes at {at}, in {}", span(left)),
        };
        findings.push(Finding::problem("shutdown", text, format!("{} (calls it off)", boot::cancels())));
    }
    if let Ok(words) = std::fs::read_to_string("/run/nologin") {
        let text = format!("/run/nologin keeps users from logging in: {}", words.trim());
        findings.push(Finding::problem("shutdown", text, "rm /run/nologin, unless a shutdown is under way"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("shutdown", "none is scheduled"));
    }
    findings
}
