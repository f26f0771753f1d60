//! Any words of a manager, given to every reader of one row of the table.
//!
//! An input is a byte that selects the row, by the order of the names, a byte that says how the command ended, then standard
//! output, standard error and the lines of the progress descriptor with a zero byte between them.

#![no_main]

#[path = "../../tests/faults/plain.rs"]
mod plain;
#[path = "../../tests/faults/readers.rs"]
mod readers;
#[path = "../../tests/replay/mod.rs"]
mod replay;

use libfuzzer_sys::fuzz_target;
use linux_patch::managers::MANAGERS;
use linux_patch::system::process::{End, Finished};
use std::time::Duration;

fuzz_target!(|input: &[u8]| {
    let [row, end, text @ ..] = input else { return };
    let mut parts = text.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    let mut part = || parts.next().unwrap_or_default();
    let end = match end {
        255 => End::Signal(15),
        code => End::Code(i32::from(*code)),
    };
    let finished =
        Finished { end, stdout: part(), stderr: part(), status: part(), elapsed: Duration::ZERO, group: None };
    let mut rows = MANAGERS.to_vec();
    rows.sort_by_key(|manager| manager.facts().name);
    readers::read_all(rows[usize::from(*row) % rows.len()], &finished);
});
