//! `history.jsonl`: one line per refresh and apply, for people and for `status --history`.

use crate::model::class::Class;
use crate::model::text::{printable_json, short_line};
use crate::model::updates::{Change, WasOpen};
use crate::store::lock::Lock;
use crate::store::state::State;
use crate::system::files::end_of;
use crate::system::time::Time;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Its name in the state directory. The older half has `.1` added.
const FILE: &str = "history.jsonl";
/// It is rotated at this size.
const MOST_BYTES: u64 = 1 << 20;

/// A line names no more packages than this.
pub const MOST_PACKAGES: usize = 500;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it ended.
    pub time: Time,
    /// `refresh` or `apply`.
    pub command: String,
    /// Its exit code; `None` if it was killed.
    pub exit_code: Option<u8>,
    /// Class of its error.
    pub class: Option<Class>,
    /// Its error, or what it did, in one line.
    pub message: String,
    /// Wall time in milliseconds; `None` if it was killed.
    pub duration_ms: Option<u64>,
    /// How many packages changed, or would change in a dry run; `None` if it was killed.
    pub packages: Option<usize>,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Whether nothing was to be installed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// For how long the updates of these first packages had been known here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_for: Vec<WasOpen>,
}

/// Adds a line for the run that held the lock before and was killed, if there is one. The lock tells which command it
/// was, and the state how far an apply had come.
pub fn append_killed(lock: &Lock, state: &State) {
    let Some(killed) = lock.left_by().filter(|killed| matches!(killed.command.as_str(), "refresh" | "apply"))
    else {
        return;
    };
    let apply = state.apply.in_progress.as_ref().filter(|apply| apply.pid == killed.pid);
    let phase = apply.map(|apply| format!(" in phase {}", apply.phase)).unwrap_or_default();
    let names = apply.map(|apply| apply.packages.as_slice()).unwrap_or_default();
    let mut words = format!(
        "the {} of {} (process {}) did not end: it was killed, or the machine went down{phase}",
        killed.command, killed.since, killed.pid
    );
    if !names.is_empty() {
        words += &format!("; it was installing {}", names.join(", "));
    }
    let entry = Entry {
        time: Time::now(),
        command: killed.command.clone(),
        exit_code: None,
        class: Some(Class::Interrupted),
        message: short_line(&words),
        duration_ms: None,
        packages: None,
        changes: Vec::new(),
        dry_run: false,
        open_for: Vec::new(),
    };
    append(lock, &entry);
}

/// Adds a line, and rotates a full file. Best effort: a history that cannot be written does not fail the run. Only the
/// holder of the lock can write it.
pub fn append(lock: &Lock, entry: &Entry) {
    if lock.watch().check().is_err() {
        return;
    }
    let path = lock.dir().join(FILE);
    let is_full = std::fs::metadata(&path).is_ok_and(|meta| meta.len() >= MOST_BYTES);
    let is_stuck = is_full && std::fs::rename(&path, path.with_extension("jsonl.1")).is_err();
    // Best effort: a line that the disk does not take is lost.
    let _ = add(&path, entry, is_stuck);
}

fn add(path: &Path, entry: &Entry, anew: bool) -> std::io::Result<()> {
    let mut line = printable_json(serde_json::to_string(entry)?) + "\n";
    let mut file = open(OpenOptions::new().read(true).append(true).create(true).mode(0o644), path)?;
    if anew {
        file.set_len(0)?;
    }
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(-1)).is_ok() {
        file.read_exact(&mut last)?;
    }
    // The last line may be cut off, by a crash or a full disk. This one must not be joined to it.
    if last != [b'\n'] {
        line.insert(0, '\n');
    }
    file.write_all(line.as_bytes())
}

/// Opens the file if it is a plain one. A link is not followed, and a pipe not waited for.
fn open(options: &mut OpenOptions, path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits() as i32).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(ErrorKind::InvalidInput.into()),
    }
}

/// The last `most` runs, of one command if that is given, oldest first. Lines that are not entries are skipped.
pub fn last(dir: &Path, most: usize, command: Option<&str>) -> Vec<Entry> {
    let newer = entries(&dir.join(FILE), most, command);
    let mut all = entries(&dir.join(FILE).with_extension("jsonl.1"), most - newer.len(), command);
    all.extend(newer);
    all
}

/// The last `most` entries of one file. If the file is larger than it can become, only its end is read.
fn entries(path: &Path, most: usize, command: Option<&str>) -> Vec<Entry> {
    const TAIL: u64 = MOST_BYTES + (256 << 10);
    if most == 0 {
        return Vec::new();
    }
    let bytes = open(OpenOptions::new().read(true), path).and_then(|file| end_of(file, TAIL));
    let bytes = bytes.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let parsed = text.lines().rev().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
    let is_asked = |entry: &Entry| command.is_none_or(|command| entry.command == command);
    let mut entries: Vec<_> = parsed.filter(is_asked).take(most).collect();
    entries.reverse();
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        Entry {
            time: Time::from_unix(1_800_000_000 + number as i64).unwrap(),
            command: "refresh".into(),
            exit_code: Some(0),
            class: None,
            message: "x".repeat(1000),
            duration_ms: Some(number),
            packages: Some(0),
            changes: Vec::new(),
            dry_run: false,
            open_for: Vec::new(),
        }
    }

    #[test]
    fn the_history_is_bounded_and_the_newest_runs_stay() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
        for number in 0..2500 {
            append(&lock, &entry(number));
        }
        let bytes = |name: &str| dir.path().join(name).metadata().unwrap().len();
        assert!(bytes("history.jsonl") <= MOST_BYTES + 2000);
        assert!(bytes("history.jsonl.1") <= MOST_BYTES + 2000);
        let last: Vec<_> = last(dir.path(), 3, None).iter().map(|entry| entry.duration_ms.unwrap()).collect();
        assert_eq!(last, [2497, 2498, 2499]);
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        append(&Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap(), &entry(1));
        std::fs::write(dir.path().join("history.jsonl.1"), b"\xff{\n{}\n").unwrap();
        assert_eq!(last(dir.path(), 20, None).len(), 1);
    }

    #[test]
    fn the_applies_are_found_behind_all_the_refreshes() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
        for number in 0..900 {
            let command = if number % 600 == 5 { "apply" } else { "refresh" };
            append(&lock, &Entry { command: command.into(), ..entry(number) });
        }
        let of = |most, command| {
            let entries = last(dir.path(), most, command);
            entries.iter().map(|entry| entry.duration_ms.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(of(20, Some("apply")), [5, 605]);
        assert_eq!(of(1, Some("apply")), [605]);
        assert_eq!(of(2, Some("refresh")), [898, 899]);
        assert_eq!(of(2, None), [898, 899]);
    }

    #[test]
    fn a_run_that_was_killed_is_in_the_history_once_the_next_one_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        drop(Lock::try_acquire(dir.path(), "apply").unwrap().unwrap());
        let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
        append_killed(&lock, &State::default());
        assert_eq!(last(dir.path(), 9, None), [], "it gave the lock back");
        drop(lock);
        std::fs::write(dir.path().join("lock"), "77 apply 2026-05-27T13:00:00Z\n").unwrap();
        let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
        append_killed(&lock, &State::default());
        drop(lock);
        append_killed(&Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap(), &State::default());
        let [entry] = &last(dir.path(), 9, None)[..] else { panic!("not one") };
        assert_eq!(
            (entry.command.as_str(), entry.exit_code, entry.class),
            ("apply", None, Some(Class::Interrupted))
        );
        assert!(
            entry.message.starts_with("the apply of 2026-05-27T13:00:00Z (process 77) did not end"),
            "{entry:?}"
        );
    }
}
