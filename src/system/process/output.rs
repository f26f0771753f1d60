//! What a running command has printed so far.

use super::capture::{Capture, MOST_OUTPUT, Tail};
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

/// Both streams and, where there is one, the progress descriptor.
pub(super) struct Output<'a> {
    out: Tail<'a>,
    err: Tail<'a>,
    progress: Option<Tail<'a>>,
    /// The newest line of the progress descriptor.
    pub progress_line: String,
    /// When that line last showed work.
    moved_at: Instant,
}

impl<'a> Output<'a> {
    /// Output from now on.
    pub fn from_now(capture: &'a Capture, progress_file: Option<&'a File>) -> io::Result<Self> {
        Ok(Output {
            out: Tail::at_end(&capture.out)?,
            err: Tail::at_end(&capture.err)?,
            progress: progress_file.map(Tail::at_end).transpose()?,
            progress_line: String::new(),
            moved_at: Instant::now(),
        })
    }

    /// The whole lines of both streams since the last call.
    pub fn look(&mut self) -> String {
        let newest = self.progress.as_mut().and_then(|tail| tail.lines().lines().last().map(str::to_owned));
        if let Some(line) = newest {
            if progress_mark(&line) != progress_mark(&self.progress_line) {
                self.moved_at = Instant::now();
            }
            self.progress_line = line;
        }
        self.out.lines() + &self.err.lines()
    }

    /// For how long no work was done, if the command reports progress.
    pub fn unmoved(&self) -> Option<Duration> {
        self.progress.as_ref().map(|_| self.moved_at.elapsed())
    }

    fn tails(&mut self) -> impl Iterator<Item = &mut Tail<'a>> {
        [&mut self.out, &mut self.err].into_iter().chain(&mut self.progress)
    }

    /// Whether it is more than a report can be.
    pub fn is_flood(&mut self) -> bool {
        self.tails().map(|tail| tail.size()).sum::<u64>() > MOST_OUTPUT
    }

    /// Frees the memory of output that is too old to be read in the end.
    pub fn forget(&mut self) {
        self.tails().for_each(Tail::forget);
    }

    /// All output: standard output, standard error and progress, and whether it is complete.
    pub fn read(&self) -> io::Result<([String; 3], bool)> {
        let (out, out_whole) = self.out.read()?;
        let (err, err_whole) = self.err.read()?;
        let (progress, progress_whole) =
            self.progress.as_ref().map_or(Ok((String::new(), true)), |tail| tail.read())?;
        Ok(([out, err, progress], out_whole && err_whole && progress_whole))
    }
}

/// The part of a progress line that changes only when work is done: while a mirror hangs, apt repeats its lines and
/// counts down an estimate.
fn progress_mark(line: &str) -> &str {
    line.split(':').nth(2).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_work_moves_the_mark_of_progress() {
        assert_eq!(progress_mark("dlstatus:3:66.67:Retrieving (2s remaining)"), "66.67");
        assert_eq!(progress_mark("done"), "done");
    }
}
