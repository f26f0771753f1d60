//! The units of systemd by their files, and what systemctl says about some of them if systemd runs.

use crate::system::boot;
use crate::system::files::{entries, small_text};
use crate::system::process::{Invocation, Limits, ask, find};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The directories of units. The first that has a unit wins.
const DIRS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// How long systemctl may take.
const ANSWER: Duration = Duration::from_secs(5);

/// The units of the host.
pub struct Units {
    /// By name, with the file that counts.
    files: BTreeMap<String, PathBuf>,
    /// Whether systemd runs this host.
    pub is_running: bool,
}

/// A property of a unit from systemctl, such as `ActiveState`.
pub type Told = BTreeMap<String, BTreeMap<String, String>>;

impl Units {
    /// Looks for them.
    pub fn look() -> Units {
        let mut files = BTreeMap::new();
        for dir in DIRS {
            for entry in entries(dir) {
                let Ok(name) = entry.file_name().into_string() else { continue };
                if name.ends_with(".timer") || name.ends_with(".service") {
                    files.entry(name).or_insert_with(|| entry.path());
                }
            }
        }
        Units { files, is_running: boot::is_systemd() }
    }

    /// Whether there is a unit of this name, masked or not.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Whether it is masked.
    pub fn is_masked(&self, name: &str) -> bool {
        let Some(path) = self.files.get(name) else { return false };
        std::fs::read_link(path).is_ok_and(|target| target == Path::new("/dev/null"))
            || std::fs::metadata(path).is_ok_and(|meta| meta.len() == 0)
    }

    /// Whether something starts it at boot.
    pub fn is_enabled(&self, name: &str) -> bool {
        let pulls = |dir: &&str| {
            let mut targets = entries(dir).filter(|entry| {
                let target = entry.file_name();
                let target = target.to_string_lossy();
                target.ends_with(".wants") || target.ends_with(".requires")
            });
            targets.any(|target| target.path().join(name).symlink_metadata().is_ok())
        };
        !self.is_masked(name) && DIRS.iter().any(pulls)
    }

    /// The text of a unit, followed by that of its drop-ins.
    pub fn text(&self, name: &str) -> String {
        let drop_ins = self.drop_ins(name).into_iter().map(|path| small_text(&path));
        let own = self.files.get(name).map(|path| small_text(path)).unwrap_or_default();
        std::iter::once(own).chain(drop_ins).collect::<Vec<_>>().join("\n")
    }

    /// Its drop-ins.
    pub fn drop_ins(&self, name: &str) -> Vec<PathBuf> {
        let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
        for dir in DIRS {
            for entry in entries(format!("{dir}/{name}.d")) {
                let file = entry.file_name().to_string_lossy().into_owned();
                if file.ends_with(".conf") {
                    found.entry(file).or_insert_with(|| entry.path());
                }
            }
        }
        found.into_values().collect()
    }

    /// The service that a timer starts.
    pub fn service_of(&self, timer: &str) -> String {
        let text = self.text(timer);
        let unit = values(&text, "Unit").last().map(|unit| unit.to_string());
        unit.unwrap_or_else(|| timer.replace(".timer", ".service"))
    }

    /// The command lines of a service.
    pub fn commands(&self, service: &str) -> Vec<String> {
        let text = self.text(service);
        let mut commands = Vec::new();
        for line in values(&text, "ExecStart") {
            match line {
                // An empty line takes back those before it.
                "" => commands.clear(),
                line => commands.push(line.to_string()),
            }
        }
        commands
    }

    /// The names of all units that end so.
    pub fn names<'a>(&'a self, end: &'a str) -> impl Iterator<Item = &'a str> {
        self.files.keys().map(String::as_str).filter(move |name| name.ends_with(end))
    }

    /// What systemctl says about them, if systemd runs and it answers in time.
    pub fn told(&self, names: &[&str]) -> Option<Told> {
        if !self.is_running || names.is_empty() || find("systemctl").is_none() {
            return None;
        }
        let properties = "--property=Id,LoadState,ActiveState,Result,UnitFileState,NextElapseUSecRealtime";
        let invocation = Invocation::of("systemctl", ["show", properties]).with(names.iter().copied());
        let limits = Limits { budget: Some(ANSWER), ..Limits::default() };
        let answer = ask(&invocation, &limits).ok().filter(|answer| answer.succeeded())?;
        Some(read_told(&answer.stdout))
    }
}

/// The blocks of `systemctl show`, by the name of their unit.
fn read_told(text: &str) -> Told {
    let block = |block: &str| {
        let pairs = block.lines().filter_map(|line| line.split_once('='));
        let pairs: BTreeMap<_, _> =
            pairs.map(|(key, value)| (key.to_string(), value.trim().to_string())).collect();
        Some((pairs.get("Id")?.clone(), pairs))
    };
    text.split("\n\n").filter_map(block).collect()
}

/// The values of a key in the text of units, in order.
pub fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().map(str::trim);
    lines.filter_map(move |line| Some(line.strip_prefix(key)?.trim_start().strip_prefix('=')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemctl_shows_is_read_unit_by_unit() {
        let told = read_told(
            "Id=a.timer\nActiveState=active\nNextElapseUSecRealtime=Sat 2026-11-28 18:00:00 UTC\n\nId=b.service\nResult=exit-code\n",
        );
        assert_eq!(told["a.timer"]["NextElapseUSecRealtime"], "Sat 2026-11-28 18:00:00 UTC");
        assert_eq!(told["b.service"]["Result"], "exit-code");
    }
}
