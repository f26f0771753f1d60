//! Writing to standard output and standard error without being held up by their readers: a full pipe that nobody reads
//! must not hang a run that holds the lock.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// If a pipe says that it takes more, it takes this much at once (pipe(7), PIPE_BUF).
const PIECE: usize = 4096;

/// Replaces each of the three standard streams that is closed: with `/dev/null`, or if that does not exist with a file
/// in memory. Without `/dev/null` Rust's own start would end the program, so this runs before it, when the standard
/// library is not ready yet.
pub extern "C" fn open_closed_streams() {
    // A new file gets the lowest free number.
    while let Some(file) = stand_in().filter(|file| file.as_raw_fd() <= 2) {
        let _ = file.into_raw_fd();
    }
}

fn stand_in() -> Option<OwnedFd> {
    let null = rustix::fs::open(c"/dev/null", OFlags::RDWR, Mode::empty());
    null.or_else(|_| rustix::fs::memfd_create(c"stream", rustix::fs::MemfdFlags::empty())).ok()
}

/// Writes as much as the reader takes. If it takes no byte for `patience`, the rest is dropped. A reader that has gone
/// is no error.
pub fn write_patiently(to: impl AsFd, mut bytes: &[u8], patience: Duration) {
    let terminal = rustix::termios::isatty(to.as_fd());
    let own = if terminal { opened_anew(&to) } else { None };
    let piece = if terminal && own.is_none() { 1 } else { PIECE };
    let to = own.as_ref().map_or(to.as_fd(), AsFd::as_fd);
    let mut until = Instant::now() + patience;
    while !bytes.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if !takes_more(&to, left.min(Duration::from_millis(100))) {
            if left.is_zero() {
                return;
            }
            continue;
        }
        match rustix::io::write(to, &bytes[..bytes.len().min(piece)]) {
            Ok(written) => {
                bytes = &bytes[written..];
                until = Instant::now() + patience;
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) if !left.is_zero() => {}
            Err(_) => return,
        }
    }
}

/// The width of the terminal on standard output, or else on standard error, if it is known.
pub fn terminal_width() -> Option<usize> {
    let of = |size: rustix::io::Result<rustix::termios::Winsize>| size.ok().map(|size| size.ws_col.into());
    let known = |width: &usize| *width > 0;
    let out = of(rustix::termios::tcgetwinsize(io::stdout())).filter(known);
    out.or_else(|| of(rustix::termios::tcgetwinsize(io::stderr())).filter(known))
}

/// Whether to use colours on standard output: it is a terminal with colours, and the user has not declined them
/// (no-color.org).
pub fn stdout_takes_colour() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let has_colours = set("TERM").is_some_and(|term| term != "dumb");
    has_colours && set("NO_COLOR").is_none() && rustix::termios::isatty(io::stdout())
}

/// A terminal says that it takes more when it takes one byte, and a longer write would wait. Opened for us alone it
/// does not make us wait; changing the shared one would change it for everybody.
fn opened_anew(terminal: &impl AsFd) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", terminal.as_fd().as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

fn takes_more(to: &impl AsFd, wait: Duration) -> bool {
    let mut polled = [PollFd::new(to, PollFlags::OUT)];
    let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
    matches!(poll(&mut polled, Some(&wait)), Ok(ready) if ready > 0)
}

/// Standard error: what it does not take at once is dropped.
#[derive(Debug)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_patiently(io::stderr(), bytes, Duration::ZERO);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The prefix of an error line that is not logged: its journald priority, under systemd.
pub fn error_mark() -> &'static str {
    if stderr_is_the_journal() { "<3>" } else { "" }
}

/// Whether standard error goes to the journal.
pub fn stderr_is_the_journal() -> bool {
    is_the_journal("/proc/self/fd/2")
}

/// Whether standard output does.
pub fn stdout_is_the_journal() -> bool {
    is_the_journal("/proc/self/fd/1")
}

/// `$JOURNAL_STREAM` has the device and inode of the journal's socket (systemd.exec(5)). It is inherited, so only a
/// stream that is this very socket counts.
fn is_the_journal(stream: &str) -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    std::fs::metadata(stream).is_ok_and(|meta| named == format!("{}:{}", meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_full_pipe_costs_the_patience_and_no_more() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let started = Instant::now();
        write_patiently(&writer, &vec![b'x'; 1 << 20], Duration::from_millis(50));
        assert!(started.elapsed() < Duration::from_secs(5));
        drop(writer);
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        assert!(got.len() >= PIECE && got.len() < 1 << 20);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let (reader, writer) = UnixStream::pair().unwrap();
        drop(reader);
        write_patiently(&writer, b"nobody reads this", Duration::from_secs(5));
    }
}
