//! The state as text, and a way to read it without the parts that a status only counts. Without its lists of packages a
//! state has some kilobytes; the lists may have megabytes. So the first line of the file says which bytes a status can
//! leave out, and what it would have counted there.

use crate::model::text::{is_printable, printable_json};
use crate::store::pending::Figures;
use crate::store::state::{State, VERSION};
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, Serializer};
use std::cell::Cell;
use std::fs::File;
use std::io::{Result, Write};
use std::os::unix::fs::FileExt;

/// A status in words lists so many packages, and only counts the rest.
pub const LISTED: usize = 20;

/// The lists that may be long, by the keys that lead to them, and how much of each is shown.
const LONG: [(&[&str], usize); 8] = [
    (&["pending", "packages"], LISTED),
    (&["pending", "held_back"], LISTED),
    (&["pending", "known"], 0),
    (&["apply", "in_progress", "packages"], 0),
    (&["apply", "last", "packages"], 0),
    (&["apply", "last", "open_for"], 0),
    (&["apply", "last_change", "packages"], 0),
    (&["apply", "last_change", "open_for"], 0),
];

/// A file up to this size is read whole and compared with its checksum.
const WHOLE: usize = 64 << 10;
/// Of a larger file, so much is read first.
const FIRST: usize = 16 << 10;

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Summary {
    /// How many bytes follow it.
    bytes: usize,
    /// Their checksum.
    checksum: u64,
    /// The bytes among them that a status need not read, from and to.
    skip: Vec<(usize, usize)>,
    /// What a status would have counted there.
    pending: Option<Figures>,
    /// How many packages the last apply changed, and the last one before it that changed any.
    changed: [usize; 2],
}

const BEGIN: &[u8] = b"{\"summary\":";
const END: &[u8] = b",";

/// The text of a state file.
pub(super) fn encode(state: &State) -> serde_json::Result<Vec<u8>> {
    let written = Written::default();
    let mut text = Text { bytes: Vec::new(), written: &written };
    state.serialize(&mut Serializer::with_formatter(&mut text, Layout::new(&written)))?;
    text.bytes.push(b'\n');
    // The opening brace is in the first line.
    let body = &text.bytes[1..];
    let last = state.apply.last.as_ref().map_or(0, |apply| apply.packages.len());
    let before = state.apply.last_change.as_ref().map_or(0, |apply| apply.packages.len());
    let summary = Summary {
        bytes: body.len(),
        checksum: checksum(body),
        skip: written.skip.take().iter().map(|(from, to)| (from - 1, to - 1)).collect(),
        pending: state.pending.as_ref().map(|pending| pending.figures()),
        changed: [last, before],
    };
    let summary = printable_json(serde_json::to_string(&summary)?);
    Ok([BEGIN, summary.as_bytes(), END, body].concat())
}

/// The state in a file of this length, without what a status only counts. `None` where the file has another layout, by
/// an older version or by hand: then all of it must be read.
pub(super) fn glance(file: &File, length: usize) -> Option<State> {
    let mut text = vec![0; if length > WHOLE { FIRST } else { length }];
    file.read_exact_at(&mut text, 0).ok()?;
    let first = text.iter().position(|byte| *byte == b'\n')?;
    let summary = text[..first].strip_prefix(BEGIN)?.strip_suffix(END)?;
    let summary: Summary = serde_json::from_slice(summary).ok()?;
    let is_as_written =
        first + summary.bytes == length && (length > WHOLE || summary.checksum == checksum(&text[first..]));
    if !is_as_written {
        return None;
    }
    let mut short = b"{".to_vec();
    let mut at = first;
    for (from, to) in summary.skip.into_iter().chain([(summary.bytes, summary.bytes)]) {
        let (from, to) = (first.checked_add(from)?, first.checked_add(to)?);
        if from < at || to < from || to > length {
            return None;
        }
        match text.get(at..from) {
            Some(bytes) => short.extend_from_slice(bytes),
            None => {
                let begin = short.len();
                short.resize(begin + from - at, 0);
                file.read_exact_at(&mut short[begin..], at as u64).ok()?;
            }
        }
        at = to;
    }
    let mut state: State = serde_json::from_slice(&short).ok()?;
    if state.version != VERSION || state.pending.is_some() != summary.pending.is_some() {
        return None;
    }
    state.is_glance = true;
    state.pending.iter_mut().for_each(|pending| pending.unread = summary.pending.clone());
    let [last, before] = summary.changed;
    state.apply.last.iter_mut().for_each(|apply| apply.unread = last);
    state.apply.last_change.iter_mut().for_each(|apply| apply.unread = before);
    Some(state)
}

/// Shows whether somebody has edited the file. It does not protect against a person who means to deceive, who could as
/// well write another file.
fn checksum(bytes: &[u8]) -> u64 {
    let mix = |sum: u64, part: u64| (sum ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let mut parts = bytes.chunks_exact(8);
    let mut sum = 0;
    for part in &mut parts {
        sum = mix(sum, part.try_into().map_or(0, u64::from_le_bytes));
    }
    let rest = parts.remainder().iter().fold(sum, |sum, byte| mix(sum, u64::from(*byte)));
    // A number that every reader of JSON can hold.
    rest >> 11
}

/// What the layout tells the writer.
#[derive(Default)]
struct Written {
    /// How many bytes there are.
    length: Cell<usize>,
    /// The bytes that can be left out.
    skip: Cell<Vec<(usize, usize)>>,
}

struct Text<'a> {
    bytes: Vec<u8>,
    written: &'a Written,
}

impl Write for Text<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.bytes.extend_from_slice(bytes);
        self.written.length.set(self.bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Writes JSON over several lines for people, with one line for each entry of a list, and notes where the rest of each
/// long list begins and ends. Everything that cannot be printed is escaped.
struct Layout<'a> {
    written: &'a Written,
    /// The current depth, and the depth of the list entry that is being written.
    depth: usize,
    entry: Option<usize>,
    /// The keys that lead here.
    keys: Vec<String>,
    is_key: bool,
    /// For each open list, the number of its entries; for a long one also how many are shown, and where these end.
    lists: Vec<(usize, Option<usize>, usize)>,
}

impl<'a> Layout<'a> {
    fn new(written: &'a Written) -> Self {
        Layout { written, depth: 0, entry: None, keys: Vec::new(), is_key: false, lists: Vec::new() }
    }

    /// Begins a line, or goes on in the line of a list entry.
    fn line<W: ?Sized + Write>(&self, writer: &mut W, is_first: bool) -> Result<()> {
        let comma: &[u8] = if is_first { b"" } else { b"," };
        writer.write_all(comma)?;
        match self.entry {
            Some(_) if is_first => Ok(()),
            Some(_) => writer.write_all(b" "),
            None => write!(writer, "\n{:1$}", "", 2 * self.depth),
        }
    }
}

impl Formatter for Layout<'_> {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.depth += 1;
        writer.write_all(b"[")?;
        let most = LONG.iter().find(|(keys, _)| *keys == self.keys.as_slice()).map(|(_, most)| *most);
        self.lists.push((0, most, self.written.length.get()));
        Ok(())
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        self.line(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> Result<()> {
        if let Some((entries, most, shown)) = self.lists.last_mut() {
            *entries += 1;
            if *most == Some(*entries) {
                *shown = self.written.length.get();
            }
        }
        Ok(())
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.depth -= 1;
        let (entries, most, shown) = self.lists.pop().unwrap_or_default();
        if most.is_some_and(|most| entries > most) {
            let mut skip = self.written.skip.take();
            skip.push((shown, self.written.length.get()));
            self.written.skip.set(skip);
        }
        if entries > 0 && self.entry.is_none() {
            self.line(writer, true)?;
        }
        writer.write_all(b"]")
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        if !self.lists.is_empty() && self.entry.is_none() {
            self.entry = Some(self.depth);
        }
        self.depth += 1;
        writer.write_all(b"{")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        self.keys.push(String::new());
        self.is_key = true;
        self.line(writer, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> Result<()> {
        self.is_key = false;
        Ok(())
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> Result<()> {
        self.keys.pop();
        Ok(())
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.depth -= 1;
        match self.entry {
            None => self.line(writer, true)?,
            Some(depth) if depth == self.depth => self.entry = None,
            Some(_) => {}
        }
        writer.write_all(b"}")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> Result<()> {
        if let Some(key) = self.keys.last_mut().filter(|_| self.is_key) {
            key.push_str(fragment);
        }
        if fragment.chars().all(is_printable) {
            return writer.write_all(fragment.as_bytes());
        }
        for c in fragment.chars() {
            match is_printable(c) {
                true => writer.write_all(c.encode_utf8(&mut [0; 4]).as_bytes())?,
                false => {
                    c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?
                }
            }
        }
        Ok(())
    }
}
