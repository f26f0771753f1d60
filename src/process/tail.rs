//! Reading the output of a command while it is written, and when it has ended.

use super::MOST_OUTPUT;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Reads what others append to a file, without moving the offset that the child shares.
pub struct Tail<'a> {
    file: &'a File,
    /// Where it began.
    pub start: u64,
    offset: u64,
}

impl<'a> Tail<'a> {
    /// From where the file ends now.
    pub fn at_end(mut file: &'a File) -> io::Result<Self> {
        let offset = file.seek(SeekFrom::End(0))?;
        Ok(Tail { file, start: offset, offset })
    }

    /// How much has come since the start, read or not.
    pub fn size(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len().saturating_sub(self.start))
    }

    /// The whole lines that have come since the last call, at most 1 MiB of them.
    pub fn lines(&mut self) -> String {
        let mut buffer = vec![0; 64 << 10];
        let mut text = String::new();
        while text.len() < 1 << 20 {
            let read = self.file.read_at(&mut buffer, self.offset).unwrap_or(0);
            let whole = match buffer[..read].iter().rposition(|&byte| byte == b'\n') {
                Some(at) => at + 1,
                // A line longer than the buffer is passed on in pieces.
                None if read == buffer.len() => read,
                None => 0,
            };
            self.offset += whole as u64;
            text.push_str(&String::from_utf8_lossy(&buffer[..whole]));
            if read < buffer.len() {
                break;
            }
        }
        text
    }
}

/// Everything from `offset` on, or the last part when it is too much; then the second value is
/// `false`.
pub fn read_from(mut file: &File, offset: u64) -> io::Result<(String, bool)> {
    let end = file.seek(SeekFrom::End(0))?;
    let is_whole = end.saturating_sub(offset) <= MOST_OUTPUT;
    let from = if is_whole { offset } else { end - MOST_OUTPUT };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(MOST_OUTPUT).read_to_end(&mut bytes)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), is_whole))
}
