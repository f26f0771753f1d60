//! The state in its file: read by anybody, written by the holder of the lock; one counter also by others, in a
//! [`Moment`].

use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::store::glance;
use crate::store::lock::{Lock, Moment};
use crate::store::state::{Pending, State, VERSION, count};
use crate::system::files::{distrust, write_atomic};
use anyhow::{Context, Result};
use rustix::fs::OFlags;
use serde_json::Value;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Its name in the state directory.
pub const FILE: &str = "state.json";

/// The name under which it is put aside when it no longer holds and cannot be replaced.
const UNSAVED: &str = "state.json.unsaved";

/// One byte for each call that shared another process's refresh, until the next writer counts them. If they were
/// counted in the state, each call of a wave would wait for all before it.
const JOINED: &str = "refresh.joined";

/// A real state has some kilobytes; a file larger than this is none.
const MOST_BYTES: u64 = 16 << 20;

/// Notes a call that shared another process's refresh. Best effort: it takes no lock and never waits.
pub fn note_joined(dir: &Path) {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file =
        OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(flags).open(dir.join(JOINED));
    let _ = file.and_then(|mut file| file.write_all(b"."));
}

/// The result of reading the state.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// There is none: never refreshed.
    Missing,
    /// It could be read.
    Good(Box<State>),
    /// It is not a state, with the reason.
    Corrupt(String),
    /// A newer program wrote it, with its version.
    Newer(u64),
    /// It could not be opened or read, with the reason.
    Unreadable(String),
}

impl Loaded {
    /// The manager that it is about, if that is not this one: then it says nothing of the index of this one.
    pub fn of_another(&self, manager: &str) -> Option<&str> {
        let Loaded::Good(state) = self else { return None };
        state.of_another(manager)
    }
}

/// Reads the state of a directory. Any bytes give an answer, never a panic.
pub fn load(dir: &Path) -> Loaded {
    or_unsaved(read(&dir.join(FILE)), dir)
}

/// A run that puts a state aside could not save the one that took its place.
fn or_unsaved(loaded: Loaded, dir: &Path) -> Loaded {
    match loaded {
        Loaded::Missing if dir.join(UNSAVED).exists() => Loaded::Unreadable(
            "the last run could not save it; make room, and run linux-patch refresh".into(),
        ),
        loaded => loaded,
    }
}

/// Reads the state for a status: with what was noted beside it, and with lists of packages only as long as a status in
/// words shows them, or whole.
pub fn load_for_status(dir: &Path, is_whole: bool) -> Loaded {
    let mut loaded = if is_whole { load(dir) } else { glance(dir) };
    if let Loaded::Good(state) = &mut loaded {
        state.counters.add_joined(noted(&dir.join(JOINED)));
    }
    loaded
}

/// How many calls were noted since the last writer.
fn noted(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).ok().filter(Metadata::is_file).map_or(0, |meta| meta.len())
}

/// Reads the state with lists of packages only as long as a status in words shows them.
pub fn glance(dir: &Path) -> Loaded {
    let glance = |file: &File, length| match length <= MOST_BYTES {
        true => glance::glance(file, length as usize),
        false => None,
    };
    or_unsaved(read_by(&dir.join(FILE), glance), dir)
}

/// Reads the state that the next writer would continue.
pub fn load_for_writer(dir: &Path) -> Loaded {
    match read(&dir.join(FILE)) {
        Loaded::Missing => read(&dir.join(UNSAVED)),
        found => found,
    }
}

fn read(path: &Path) -> Loaded {
    read_by(path, |_, _| None)
}

/// Reads a state by a short way, if there is one; else all of it.
fn read_by(path: &Path, short_way: impl FnOnce(&File, u64) -> Option<State>) -> Loaded {
    let mut bytes = Vec::new();
    let mut seen = None;
    // If it is a named pipe, this must not wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path);
    let read = file.and_then(|file| {
        let length = file.metadata()?.len();
        seen = short_way(&file, length);
        if seen.is_some() {
            return Ok(0);
        }
        // A plain file is read at once.
        bytes.reserve(length.min(MOST_BYTES) as usize + 1);
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)
    });
    match read {
        // If anybody can write here, anybody can claim that all is well.
        Ok(_) => match (path.parent().and_then(distrust), seen) {
            (Some(reason), _) => Loaded::Unreadable(reason),
            (None, Some(mut state)) => {
                state.put_in_order();
                Loaded::Good(Box::new(state))
            }
            (None, None) => parse(&bytes),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Loaded::Missing,
        Err(error) => Loaded::Unreadable(error.to_string()),
    }
}

/// Reads a state from its bytes.
pub fn parse(bytes: &[u8]) -> Loaded {
    if bytes.len() as u64 > MOST_BYTES {
        return Loaded::Corrupt(format!("larger than {} MiB", MOST_BYTES >> 20));
    }
    directly(bytes).unwrap_or_else(|| judged(bytes))
}

/// Parses an ordinary state directly: this is most of what a status costs.
fn directly(bytes: &[u8]) -> Option<Loaded> {
    let mut state: Box<State> = serde_json::from_slice(bytes).ok()?;
    state.put_in_order();
    (state.version == VERSION).then_some(Loaded::Good(state))
}

/// Reads any bytes, even if a key is there twice, and gives the reason where it is no state.
fn judged(bytes: &[u8]) -> Loaded {
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => return Loaded::Corrupt(error.to_string()),
    };
    match value.get("version").map(Value::as_u64) {
        Some(Some(VERSION)) => {}
        Some(Some(newer)) if newer > VERSION => return Loaded::Newer(newer),
        _ => return Loaded::Corrupt("it has no valid version".to_string()),
    }
    match serde_json::from_value::<Box<State>>(value) {
        Ok(mut state) => {
            state.put_in_order();
            Loaded::Good(state)
        }
        Err(error) => Loaded::Corrupt(error.to_string()),
    }
}

impl State {
    /// The state to continue, for the holder of the lock. A corrupt file is kept as `state.json.corrupt`, and the
    /// second value says so.
    ///
    /// # Errors
    /// When a newer program wrote the state, or it cannot be read: nothing may then be written.
    pub fn load_for_update(lock: &Lock) -> Result<(State, Option<String>)> {
        let empty = State { version: VERSION, ..State::default() };
        let kept = |name| lock.dir().join(name);
        // What an earlier run put aside stays there until a newer state is saved.
        let path = Some(kept(FILE)).filter(|path| path.exists()).unwrap_or_else(|| kept(UNSAVED));
        match load_for_writer(lock.dir()) {
            Loaded::Good(state) => Ok((*state, None)),
            Loaded::Missing => Ok((empty, None)),
            Loaded::Corrupt(reason) => {
                let aside = kept(FILE).with_extension("json.corrupt");
                std::fs::rename(&path, &aside)
                    .with_context(|| format!("could not rename {}, which is damaged", path.display()))?;
                let note = format!("{} is corrupt ({reason}); kept as {}", path.display(), aside.display());
                Ok((empty, Some(note)))
            }
            Loaded::Newer(version) => anyhow::bail!(
                "{} has version {version}, written by a newer linux-patch; this one reads version {VERSION}",
                path.display()
            ),
            Loaded::Unreadable(reason) => anyhow::bail!("could not read {}: {reason}", path.display()),
        }
    }

    /// Counts the calls that were noted since the last writer. The holder of the lock saves the result.
    pub fn count_joined(&mut self, lock: &Lock) {
        let path = lock.dir().join(JOINED);
        let noted = noted(&path);
        if noted > 0 && std::fs::remove_file(&path).is_ok() {
            self.counters.add_joined(noted);
        }
    }

    /// Puts the state aside where only the next writer finds it. Readers learn that there is a newer one that could not
    /// be saved.
    pub fn put_aside(lock: &Lock) {
        // Whoever counts now would write the old one once more.
        let _moment = Moment::take(lock.dir(), Duration::from_millis(1), Duration::from_secs(10));
        // If the file system does not take even this, nothing can be done.
        let _ = std::fs::rename(lock.dir().join(FILE), lock.dir().join(UNSAVED));
    }

    /// Writes the state; only the holder of the lock can.
    ///
    /// # Errors
    /// The step that failed; the old state is then still there.
    pub fn save(&self, lock: &Lock) -> Result<()> {
        if let Err(failure) = lock.watch().check() {
            anyhow::bail!(failure.message);
        }
        // What was counted without the lock since this state was read. Whoever counts now must be done first: it would put
        // the older state in the place of this one. Many may wait to count, so this one looks more often.
        let _moment = Moment::take(lock.dir(), Duration::from_millis(1), Duration::from_secs(10));
        anyhow::ensure!(!self.is_glance, "the state was not read to its end");
        let mut kept = self.clone();
        if let Loaded::Good(found) = load(lock.dir()) {
            let counter = &mut kept.counters.refresh_skipped_fresh_total;
            *counter = found.counters.refresh_skipped_fresh_total.max(*counter);
        }
        let mut bytes = kept.encode()?;
        if bytes.len() as u64 > MOST_BYTES {
            // A list that long is no list of packages, and nobody could read it back.
            if let Some(pending) = &mut kept.pending {
                pending.known.clear();
                (pending.count, pending.security, pending.packages, pending.held_back) =
                    (None, None, None, None);
                let text = format!("more is pending than a state of {} MiB can hold", MOST_BYTES >> 20);
                pending.error = Some(Failure::new(Class::Other, text));
            }
            kept.apply.last.iter_mut().for_each(|last| last.packages.clear());
            kept.apply.last_change = None;
            bytes = kept.encode()?;
        }
        anyhow::ensure!(
            bytes.len() as u64 <= MOST_BYTES,
            "the state is larger than {} MiB",
            MOST_BYTES >> 20
        );
        write_atomic(lock.dir(), FILE, &bytes)?;
        // What was put aside is older.
        let _ = std::fs::remove_file(lock.dir().join(UNSAVED));
        Ok(())
    }

    /// Counts a refresh that was not needed. This is not a run: others may hold the lock, or find it free. Best effort,
    /// like all counting. A run that saves waits for it, ten seconds at most, because it writes what it read.
    pub fn count_skipped(dir: &Path) {
        let (pause, patience) = (Duration::from_millis(20), Duration::from_secs(1));
        let Some(_moment) = Moment::take(dir, pause, patience) else { return };
        let Loaded::Good(mut state) = load(dir) else { return };
        count(&mut state.counters.refresh_skipped_fresh_total, true);
        let _ = state.encode().and_then(|bytes| write_atomic(dir, FILE, &bytes));
    }

    fn encode(&mut self) -> Result<Vec<u8>> {
        // Those that a status shows come first.
        self.pending.iter_mut().for_each(Pending::sort);
        glance::encode(self).context("could not encode the state")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_read_directly_is_the_one_that_is_judged() {
        let state =
            r#"{"version":1,"manager":"apt","own":{"a":[1.5,-0,18446744073709551616,"\ud83d\ude00"]},"#;
        let pending = r#""pending":{"as_of":"2026-05-27T13:00:00Z","count":1,"security":null,"packages":[{"name":"a",
            "installed":null,"candidate":"2","security":true,"source":null,"first_seen":"2026-05-27T13:00:00Z",
            "severity":"low","later":[{}]}],"more":1}}"#;
        let whole = format!("{state}{pending}");
        assert!(matches!(directly(whole.as_bytes()), Some(Loaded::Good(_))));
        let mut odd: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole.as_bytes()[..end].to_vec()).collect();
        let each_byte = |byte: u8| (0..whole.len()).map(move |at| (at, byte));
        for (at, byte) in
            [0, b'0', b'9', b'"', b'{', b'}', b',', b':', b'-', b'e', 0xff].into_iter().flat_map(each_byte)
        {
            let mut bytes = whole.clone().into_bytes();
            bytes[at] = byte;
            odd.push(bytes);
        }
        for (from, to) in [
            ("\"manager\":\"apt\"", "\"manager\":\"apt\",\"manager\":\"dnf\""),
            ("\"more\":1", "\"more\":1,\"more\":2"),
            ("\"more\":1", "\"count\":2"),
            ("\"severity\":\"low\"", "\"severity\":\"low\",\"severity\":\"high\""),
            ("\"version\":1", "\"version\":2"),
            ("\"version\":1", "\"version\":1.0"),
            ("\"version\":1", "\"version\":-1"),
            ("\"version\":1,", ""),
            ("1.5", "1e999"),
            ("\\ude00", ""),
            ("[{}]", &("[".repeat(200) + &"]".repeat(200))),
            ("\"security\":true", "\"security\":1"),
        ] {
            odd.push(whole.replacen(from, to, 1).into_bytes());
        }
        odd.push((whole.clone() + " x").into_bytes());
        odd.push(
            whole
                .replacen("\"own\"", "\"counters\":{\"apply_total\":18446744073709551615},\"own\"", 1)
                .into(),
        );
        odd.push(b"\"text\"".to_vec());
        odd.push(b"[1]".to_vec());
        for bytes in odd {
            if let Some(direct) = directly(&bytes) {
                let text = String::from_utf8_lossy(&bytes);
                assert_eq!(format!("{direct:?}"), format!("{:?}", judged(&bytes)), "{text}");
            }
        }
    }
}
