//! `history.jsonl`: one line per refresh and apply, for people and for `status --history`.

use crate::model::class::Class;
use crate::model::text::printable_json;
use crate::model::updates::WasOpen;
use crate::store::lock::Lock;
use crate::system::time::Time;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Its name in the state directory; the older half has `.1` behind it.
const FILE: &str = "history.jsonl";
/// Where it is rotated.
const MOST_BYTES: u64 = 1 << 20;

/// A line has room for so many packages: what is read of the file at a time holds several lines.
pub const MOST_OPEN: usize = 500;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it ended.
    pub time: Time,
    /// `refresh` or `apply`.
    pub command: String,
    /// Its exit code.
    pub exit_code: u8,
    /// Class of its error.
    pub class: Option<Class>,
    /// Its error, or what it did, in one line.
    pub message: String,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
    /// Packages changed.
    pub packages: usize,
    /// For how long the updates of the first of them had been known here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_for: Vec<WasOpen>,
}

/// Adds a line, and rotates when the file is full. Best effort: a history that cannot be written
/// fails no run. Only the holder of the lock can.
pub fn append(lock: &Lock, entry: &Entry) {
    if lock.watch().check().is_err() {
        return;
    }
    let path = lock.dir().join(FILE);
    let is_full = std::fs::metadata(&path).is_ok_and(|meta| meta.len() >= MOST_BYTES);
    let is_stuck = is_full && std::fs::rename(&path, path.with_extension("jsonl.1")).is_err();
    // Best effort, as said: what the disk does not take is lost.
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
    // A line that a crash or a full disk cut off must not take this one along.
    if last != [b'\n'] {
        line.insert(0, '\n');
    }
    file.write_all(line.as_bytes())
}

/// Opens a plain file. What else may be there is neither followed nor waited for.
fn open(options: &mut OpenOptions, path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits() as i32).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(ErrorKind::InvalidInput.into()),
    }
}

/// The last `most` runs, oldest first. Lines that are no entries are passed over.
pub fn last(dir: &Path, most: usize) -> Vec<Entry> {
    let newer = entries(&dir.join(FILE), most);
    let mut all = entries(&dir.join(FILE).with_extension("jsonl.1"), most - newer.len());
    all.extend(newer);
    all
}

/// The last `most` entries of one file; only its last 256 KiB are read.
fn entries(path: &Path, most: usize) -> Vec<Entry> {
    const TAIL: u64 = 256 << 10;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = open(OpenOptions::new().read(true), path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut entries: Vec<_> =
        text.lines().rev().filter_map(|line| serde_json::from_str(line).ok()).take(most).collect();
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
            exit_code: 0,
            class: None,
            message: "x".repeat(1000),
            duration_ms: number,
            packages: 0,
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
        let last: Vec<_> = last(dir.path(), 3).iter().map(|entry| entry.duration_ms).collect();
        assert_eq!(last, [2497, 2498, 2499]);
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        append(&Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap(), &entry(1));
        std::fs::write(dir.path().join("history.jsonl.1"), b"\xff{\n{}\n").unwrap();
        assert_eq!(last(dir.path(), 20).len(), 1);
    }
}
