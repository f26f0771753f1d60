//! Which daemon of cron runs, and which files it does not read. Measured with Debian's cron 3.0 and busybox 1.35; those of
//! cronie are from its source.

use crate::system::release::Release;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The daemon that reads the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// One runs.
    Runs,
    /// That of busybox runs, which reads only tables of users.
    OfBusybox,
    /// None runs.
    No,
    /// Processes cannot be seen.
    Unknown,
}

impl Daemon {
    /// The one of this system.
    pub fn look() -> Daemon {
        const DAEMONS: &[&str] = &["cron", "crond", "fcron", "dcron", "cronie", "bcron-sched"];
        let Ok(entries) = std::fs::read_dir("/proc") else { return Daemon::Unknown };
        let mut seen = Daemon::Unknown;
        for process in entries.flatten().map(|entry| entry.path()) {
            let Ok(name) = std::fs::read_to_string(process.join("comm")) else { continue };
            seen = Daemon::No;
            let is_named = DAEMONS.contains(&name.trim());
            let is_applet = || {
                std::fs::read(process.join("cmdline")).is_ok_and(|line| line.starts_with(b"busybox\0crond\0"))
            };
            if is_named || (name.trim() == "busybox" && is_applet()) {
                let program = std::fs::read_link(process.join("exe")).unwrap_or_default();
                let is_busybox =
                    program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("busybox"));
                return if is_busybox { Daemon::OfBusybox } else { Daemon::Runs };
            }
        }
        seen
    }
}

/// Why a file is not read, and what mends that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Why.
    pub why: String,
    /// What to do.
    pub command: String,
}

/// What a daemon expects of a file.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    daemon: Daemon,
    is_debian: bool,
}

impl Rules {
    /// Those of this system.
    pub fn of_this_system(daemon: Daemon) -> Rules {
        Rules { daemon, is_debian: Release::of_this_system().is_one_of(&["debian", "ubuntu"]) }
    }

    /// Whether a file is only a copy that somebody or a package has left beside the one that is read.
    pub fn is_copy(self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let is_read = |read: &str| read != name && path.with_file_name(read).exists();
        !self.takes_name(path) && (is_read(&stem) || is_read(name.trim_end_matches('~')))
    }

    /// Why a table in `/etc` is not read.
    pub fn unread_table(self, path: &Path, text: &str) -> Option<Unread> {
        let shown = path.display();
        if self.daemon == Daemon::OfBusybox {
            return unread("the crond of busybox reads only tables of users", "crontab -e, as root");
        }
        let meta = path.metadata().ok()?;
        let is_in_dir = path.starts_with("/etc/cron.d");
        let runs = meta.mode() & 0o111 != 0 && !self.is_debian;
        match () {
            () if is_in_dir && !self.takes_name(path) => self.unread_name(path),
            () if meta.uid() != 0 => {
                unread(&format!("it belongs to user {}", meta.uid()), &format!("chown root {shown}"))
            }
            () if meta.mode() & 0o022 != 0 || runs => {
                unread(&format!("its mode is {:o}", meta.mode() & 0o777), &format!("chmod 644 {shown}"))
            }
            () if meta.nlink() != 1 => {
                unread("it has another name too", &format!("cp {shown} {shown}.new; mv {shown}.new {shown}"))
            }
            () if self.is_debian && !text.ends_with('\n') => {
                unread("its last line has no end", &format!("echo >>{shown}"))
            }
            () if text.lines().any(names_no_user) => {
                unread("a line in it names no user", &format!("write root before the command in {shown}"))
            }
            () => None,
        }
    }

    /// Why a script in a directory such as `/etc/cron.daily` is not run.
    pub fn unread_script(self, path: &Path) -> Option<Unread> {
        let is_program = |meta: Metadata| meta.mode() & 0o111 != 0;
        if !self.takes_name(path) {
            return self.unread_name(path);
        }
        if path.metadata().is_ok_and(is_program) {
            return None;
        }
        unread("it may not be executed", &format!("chmod 755 {}", path.display()))
    }

    fn takes_name(self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if self.is_debian {
            return name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        }
        const ENDS: [&str; 4] = ["~", ".rpmsave", ".rpmorig", ".rpmnew"];
        !name.starts_with(['.', '#']) && !ENDS.iter().any(|end| name.ends_with(end))
    }

    fn unread_name(self, path: &Path) -> Option<Unread> {
        let why = if self.is_debian {
            "it has a name with other characters than letters, digits, - and _"
        } else {
            "it has a name that begins with . or #, or ends in ~, .rpmsave, .rpmorig or .rpmnew"
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let plain = name.replace(|c| !is_plain(c), "-");
        let shown = path.display().to_string();
        let is_word = shown.chars().all(|c| is_plain(c) || "./~".contains(c));
        let shown = if is_word { shown } else { format!("'{}'", shown.replace('\'', r"'\''")) };
        unread(why, &format!("mv {shown} {}", path.with_file_name(plain.trim_matches('-')).display()))
    }
}

/// Whether a program stands where a table of the system has the user, as in one of a user.
fn names_no_user(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let times = match words.clone().next() {
        None => return false,
        Some(word)
            if word.starts_with('#')
                || !word.starts_with(|c: char| c == '*' || c == '@' || c.is_ascii_digit()) =>
        {
            return false;
        }
        Some(word) if word.starts_with('@') => 1,
        Some(_) => 5,
    };
    words.nth(times).is_some_and(|user| user == "linux-patch" || user.contains(['/', '=']))
}

fn unread(why: &str, command: &str) -> Option<Unread> {
    Some(Unread { why: why.to_string(), command: command.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_name_gives_one_that_is_read() {
        for is_debian in [true, false] {
            let rules = Rules { daemon: Daemon::Runs, is_debian };
            for (name, command) in [
                (".linux-patch", "mv /etc/cron.d/.linux-patch /etc/cron.d/linux-patch"),
                ("#a 'b'~", r"mv '/etc/cron.d/#a '\''b'\''~' /etc/cron.d/a--b"),
            ] {
                let path = Path::new("/etc/cron.d").join(name);
                assert_eq!(rules.unread_name(&path).unwrap().command, command);
                assert!(!rules.is_copy(&path), "{name}");
            }
            assert!(rules.takes_name(Path::new("/etc/cron.d/a--b")));
        }
    }
}
