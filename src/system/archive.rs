//! Reading a tar archive, plain or packed with gzip, within limits and without keeping it in memory.

use flate2::bufread::MultiGzDecoder;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};
use std::time::Instant;

/// How what gzip packs begins.
pub const GZIP: [u8; 2] = [0x1f, 0x8b];

const BLOCK: usize = 512;
const BUFFER: usize = 64 << 10;
/// Only the beginning of a longer line is told.
const LONGEST_LINE: usize = 64;

/// What an archive consists of.
pub enum Part<'a> {
    /// A file begins, which was last changed at this time (seconds since 1970).
    File(i64),
    /// A line of it.
    Line(&'a [u8]),
}

/// Tells the parts of an archive in their order, until its end, until it makes no sense, or until it has become longer
/// than `most` bytes unpacked or the time is over. Returns whether all of it was told.
pub fn read(file: impl Read, most: u64, until: Instant, tell: &mut dyn FnMut(Part)) -> bool {
    let mut packed = BufReader::with_capacity(BUFFER, Limited { from: file, left: u64::MAX, until });
    let is_gzip = packed.fill_buf().is_ok_and(|head| head.starts_with(&GZIP));
    let unpacked: Box<dyn Read> = match is_gzip {
        true => Box::new(MultiGzDecoder::new(packed)),
        false => Box::new(packed),
    };
    let limited = Limited { from: unpacked, left: most, until };
    read_parts(&mut BufReader::with_capacity(BUFFER, limited), tell).is_ok()
}

/// Fails when so many bytes were read, or the time is over.
struct Limited<R> {
    from: R,
    left: u64,
    until: Instant,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.left == 0 || Instant::now() >= self.until {
            return Err(Error::other("too much"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.from.read(&mut buffer[..most])?;
        self.left -= got as u64;
        Ok(got)
    }
}

fn read_parts(from: &mut dyn BufRead, tell: &mut dyn FnMut(Part)) -> Result<()> {
    let mut header = [0; BLOCK];
    while !from.fill_buf()?.is_empty() {
        from.read_exact(&mut header)?;
        // Such blocks mark the end, but another archive may follow.
        if header.iter().all(|byte| *byte == 0) {
            continue;
        }
        let (size, modified) = read_header(&header).ok_or(ErrorKind::InvalidData)?;
        tell(Part::File(modified));
        read_lines(from, size, tell)?;
        let padding = size.wrapping_neg() as usize % BLOCK;
        from.read_exact(&mut header[..padding])?;
    }
    Ok(())
}

/// The size of a file, and when it was last changed.
fn read_header(header: &[u8; BLOCK]) -> Option<(u64, i64)> {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let number = |at: std::ops::Range<usize>| {
        let text = std::str::from_utf8(&header[at]).ok()?.trim_matches(['\0', ' ']);
        u64::from_str_radix(text, 8).ok()
    };
    let sum = header.iter().enumerate().map(|(at, byte)| match CHECKSUM.contains(&at) {
        true => u64::from(b' '),
        false => u64::from(*byte),
    });
    let is_whole = number(CHECKSUM)? == sum.sum::<u64>();
    let modified = number(136..148).and_then(|seconds| i64::try_from(seconds).ok());
    is_whole.then_some((number(124..136)?, modified.unwrap_or_default()))
}

fn read_lines(from: &mut dyn BufRead, size: u64, tell: &mut dyn FnMut(Part)) -> Result<()> {
    let mut left = size;
    let mut line = Vec::with_capacity(LONGEST_LINE);
    while left > 0 {
        let buffer = from.fill_buf()?;
        let part = &buffer[..buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        if part.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut pieces = part.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            line.extend_from_slice(&piece[..piece.len().min(LONGEST_LINE - line.len())]);
            // The last piece goes on in the next part.
            if pieces.peek().is_some() {
                tell(Part::Line(&line));
                line.clear();
            }
        }
        let used = part.len();
        left -= used as u64;
        from.consume(used);
    }
    if !line.is_empty() {
        tell(Part::Line(&line));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;
    use std::time::Duration;

    /// A file in an archive.
    pub(crate) fn file(name: &str, modified: i64, text: &[u8]) -> Vec<u8> {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..136].copy_from_slice(format!("{:011o}\0", text.len()).as_bytes());
        header[136..148].copy_from_slice(format!("{modified:011o}\0").as_bytes());
        header[148..156].fill(b' ');
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let padding = vec![0; text.len().wrapping_neg() % BLOCK];
        [&header[..], text, &padding].concat()
    }

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn told(bytes: &[u8], most: u64) -> (bool, Vec<String>) {
        let mut parts = Vec::new();
        let until = Instant::now() + Duration::from_secs(60);
        let is_whole = read(bytes, most, until, &mut |part| {
            parts.push(match part {
                Part::File(modified) => format!("@{modified}"),
                Part::Line(line) => String::from_utf8_lossy(line).into_owned(),
            });
        });
        (is_whole, parts)
    }

    #[test]
    fn files_and_lines_are_told_whether_packed_or_not() {
        let end = vec![0; 2 * BLOCK];
        let long = "x".repeat(200_000);
        let text = format!("one\n\n{long}\nlast");
        let archive =
            [file(".SIGN", 7, &[0xff; 300]), file("a/", 8, b""), file("a/desc", 0, text.as_bytes()), end]
                .concat();
        let (is_whole, parts) = told(&archive, 1 << 20);
        assert!(is_whole);
        let cut = "x".repeat(LONGEST_LINE);
        assert_eq!((parts[0].as_str(), parts.len()), ("@7", 8));
        assert_eq!(parts[2..], ["@8", "@0", "one", "", &cut, "last"]);
        assert_eq!(told(&gzip(&archive), 1 << 20), (true, parts.clone()));
        // apk's is packed in several pieces.
        let (signature, rest) = archive.split_at(2 * BLOCK);
        assert_eq!(told(&[gzip(signature), gzip(rest)].concat(), 1 << 20), (true, parts));
    }

    #[test]
    fn what_is_damaged_or_no_archive_is_told_up_to_there() {
        let archive = [file("a", 1, b"one\n"), file("b", 2, b"two\n")].concat();
        assert_eq!(told(b"", 1 << 20), (true, Vec::new()));
        for bytes in [&b"<html>"[..], &[0x1f, 0x8b], &gzip(b"<html>"), &[b'x'; 5000], b"\x28\xb5\x2f\xfd"] {
            assert_eq!(told(bytes, 1 << 20), (false, Vec::new()), "{bytes:?}");
        }
        for cut in [700, 1000, 1030, 1600] {
            let (is_whole, parts) = told(&archive[..cut], 1 << 20);
            assert!(!is_whole && parts[0] == "@1", "{cut} {parts:?}");
        }
        let packed = gzip(&archive);
        assert!(!told(&packed[..packed.len() - 9], 1 << 20).0);
        let mut flipped = archive.clone();
        flipped[BLOCK * 2 + 125] = b'7';
        assert_eq!(told(&flipped, 1 << 20), (false, vec!["@1".to_string(), "one".to_string()]));
    }

    #[test]
    fn nothing_is_read_for_ever() {
        // A gigabyte of zeros, packed in a megabyte.
        let pieces: Vec<_> = vec![gzip(&vec![0; 1 << 20]); 1024].concat();
        assert!(!told(&pieces, 8 << 20).0);
        let beginning = &file("a", 1, &[b'\n'; 1 << 20])[..BLOCK];
        let mut parts = 0;
        let from = beginning.chain(std::io::repeat(b'\n'));
        let until = Instant::now() + Duration::from_secs(60);
        assert!(!read(from, 1 << 19, until, &mut |_| parts += 1));
        assert_eq!(parts, 1 + (1 << 19) - BLOCK);
        // Pieces in which nothing is: only the time ends it.
        let from = Endless { piece: gzip(b""), at: 0 };
        assert!(!read(from, 8 << 20, Instant::now() + Duration::from_millis(50), &mut |_| ()));
    }

    proptest::proptest! {
        #[test]
        fn no_change_of_bytes_stops_the_reader(
            changes in proptest::collection::vec((0..2600_usize, proptest::num::u8::ANY), 1..20),
            is_packed in proptest::bool::ANY,
        ) {
            let archive = [file("a", 1, &[b'\n'; 700]), file("b", 2, b"two\n")].concat();
            let mut bytes = if is_packed { gzip(&archive) } else { archive };
            for (at, byte) in changes {
                let length = bytes.len();
                bytes[at % length] = byte;
            }
            told(&bytes, 1 << 20);
        }
    }

    struct Endless {
        piece: Vec<u8>,
        at: usize,
    }

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
            buffer.iter_mut().for_each(|byte| {
                *byte = self.piece[self.at];
                self.at = (self.at + 1) % self.piece.len();
            });
            Ok(buffer.len())
        }
    }
}
