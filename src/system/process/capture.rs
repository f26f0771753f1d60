//! The output of a command: where it goes, and reading it.

use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};

/// More output than this is not a package manager's report. A command that may be ended is ended; of an install only
/// the last part is read.
pub(super) const MOST_OUTPUT: u64 = 32 << 20;

/// The files for a command's output. They are never pipes: a daemon left behind keeps a pipe open for ever, and a pipe
/// that nobody reads any more kills the writer.
#[derive(Debug)]
pub struct Capture {
    /// Standard output, appended to.
    pub out: File,
    /// Standard error, appended to.
    pub err: File,
}

impl Capture {
    /// Files in memory, for short questions and for disks that are full.
    ///
    /// # Errors
    /// When the kernel has no memory for them.
    pub fn in_memory() -> io::Result<Self> {
        let file = || -> io::Result<File> {
            let flags = rustix::fs::MemfdFlags::CLOEXEC;
            Ok(File::from(rustix::fs::memfd_create("output", flags)?))
        };
        Ok(Capture { out: file()?, err: file()? })
    }
}

/// Reads what others append to a file, without moving the offset that the child shares.
pub(super) struct Tail<'a> {
    file: &'a File,
    start: u64,
    offset: u64,
    /// Nothing before this is kept any more.
    forgotten: u64,
}

impl<'a> Tail<'a> {
    pub fn at_end(mut file: &'a File) -> io::Result<Self> {
        let offset = file.seek(SeekFrom::End(0))?;
        Ok(Tail { file, start: offset, offset, forgotten: offset })
    }

    /// All output since the start, or only the last part if it is too much; then the second value is `false`.
    pub fn read(&self) -> io::Result<(String, bool)> {
        read_from(self.file, self.start)
    }

    /// How much output there was since the start, read or not.
    pub fn size(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len().saturating_sub(self.start))
    }

    /// Frees the memory of output that is too old to be read in the end. A command that prints without end, and may not
    /// be ended or takes its time to end, must not use up all memory.
    pub fn forget(&mut self) {
        let Ok(meta) = self.file.metadata() else { return };
        let old = meta.len().saturating_sub(MOST_OUTPUT);
        // A file with a name is on the disk, and is the log.
        if meta.nlink() > 0 || old <= self.forgotten {
            return;
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // If the kernel cannot do it, the memory stays in use until the end.
        let _ = fallocate(self.file, flags, self.forgotten, old - self.forgotten);
        self.forgotten = old;
        self.offset = self.offset.max(old);
    }

    /// The whole lines that have come since the last call, at most 1 MiB of them.
    pub fn lines(&mut self) -> String {
        // Somebody has emptied the log, as logrotate does with copytruncate.
        if self.file.metadata().is_ok_and(|meta| meta.len() < self.offset) {
            (self.start, self.offset) = (0, 0);
        }
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

/// Everything from `offset` on, or only the last part.
fn read_from(mut file: &File, offset: u64) -> io::Result<(String, bool)> {
    let end = file.seek(SeekFrom::End(0))?;
    let offset = if offset > end { 0 } else { offset };
    let is_whole = end.saturating_sub(offset) <= MOST_OUTPUT;
    let from = if is_whole { offset } else { end - MOST_OUTPUT };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(MOST_OUTPUT).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes);
    Ok((text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()), is_whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_printed_after_somebody_emptied_the_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut file = File::options().create(true).read(true).append(true).open(&path).unwrap();
        let mut print = |text: &str| file.write_all(text.as_bytes()).unwrap();
        print("what came before, and is longer\n");
        let reader = File::open(&path).unwrap();
        for looks_on in [true, false] {
            let mut tail = Tail::at_end(&reader).unwrap();
            print("before\n");
            if looks_on {
                assert_eq!(tail.lines(), "before\n");
            }
            std::fs::write(&path, "").unwrap();
            print("after\n");
            assert_eq!(tail.lines(), "after\n");
            assert_eq!(tail.read().unwrap().0, "after\n");
            print("the output of the first loop, which is longer\n");
        }
    }
}
