//! What people see on standard error while a run goes on. Standard output is for results only.

use crate::model::secrets::without_passwords;
use crate::model::text::{cut, one_line};
use crate::system::process::Glimpse;
use crate::system::streams::{Stderr, stderr_is_the_journal};
use crate::system::time::span;
use log::{Level, LevelFilter, info, warn};
use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A message is cut behind so many characters: it may name all packages that there are.
const MOST_CHARS: usize = 2000;

/// Starts logging to standard error: errors and warnings always, phases unless `quiet`. Under
/// systemd every line carries its journald priority.
pub fn init(quiet: bool) {
    let level = if quiet { LevelFilter::Error } else { LevelFilter::Info };
    let journal = stderr_is_the_journal();
    // A second call, as tests make, keeps the first logger.
    let _ = env_logger::Builder::new()
        .filter_level(level)
        .target(env_logger::Target::Pipe(Box::new(Stderr)))
        .format(move |out, record| {
            if journal {
                write!(out, "<{}>", priority(record.level()))?;
            }
            writeln!(out, "linux-patch: {}", cut(one_line(&record.args().to_string()), MOST_CHARS))
        })
        .try_init();
}

/// syslog(3) priorities, as journald reads them at the start of a line.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Reads percent and words out of a line of the progress descriptor.
type Progress<'a> = dyn for<'b> Fn(&'b str) -> Option<(f64, &'b str)> + 'a;

/// How a phase is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// One line per phase, or none with `--quiet`.
    Lines,
    /// Also every line the manager prints.
    Verbose,
    /// One line on the terminal that is written over and over.
    Bar,
}

/// The line on the terminal: twenty cells, or a mark that moves while there is no percentage.
#[derive(Debug)]
struct Bar {
    label: &'static str,
    drawn: Cell<bool>,
}

impl Bar {
    const CELLS: usize = 20;

    fn draw(&self, percent: Option<f64>, elapsed: Duration, words: &str) {
        let width = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| size.ws_col.max(20));
        let line = self.line(percent, elapsed, words, usize::from(width) - 1);
        self.drawn.set(true);
        let _ = Stderr.write(format!("\r{line}\x1b[K").as_bytes());
    }

    fn line(&self, percent: Option<f64>, elapsed: Duration, words: &str, width: usize) -> String {
        let seconds = elapsed.as_secs();
        let cells = match percent {
            Some(percent) => {
                let full = (percent.clamp(0.0, 100.0) as usize * Self::CELLS) / 100;
                "#".repeat(full) + &".".repeat(Self::CELLS - full)
            }
            None => {
                let at = elapsed.as_millis() as usize / 100 % Self::CELLS;
                ".".repeat(at) + "#" + &".".repeat(Self::CELLS - 1 - at)
            }
        };
        let percent = percent.map(|percent| format!(" {percent:.0}%")).unwrap_or_default();
        let line = format!("{} [{cells}]{percent} {} {words}", self.label, span(seconds as i64));
        line.chars().take(width).collect()
    }

    fn clear(&self) {
        if self.drawn.take() {
            let _ = Stderr.write(b"\r\x1b[K");
        }
    }
}

/// Shows the phases of one run.
#[derive(Debug)]
pub struct Display {
    mode: Mode,
    told: Option<&'static str>,
}

/// One phase on display, from its start to its end.
#[derive(Debug)]
pub struct Phase<'a> {
    display: &'a mut Display,
    label: &'static str,
    bar: Option<Bar>,
    last_line: String,
    started: Instant,
}

impl Display {
    /// Chooses the way of showing by flags and by what standard error is.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let mode = if verbose {
            Mode::Verbose
        } else if !quiet && !dumb && std::io::stderr().is_terminal() {
            Mode::Bar
        } else {
            Mode::Lines
        };
        Display { mode, told: None }
    }

    /// Begins a phase.
    pub fn phase(&mut self, label: &'static str) -> Phase<'_> {
        let bar = (self.mode == Mode::Bar).then(|| Bar { label, drawn: Cell::new(false) });
        if bar.is_none() {
            info!("{label}");
        }
        Phase { display: self, label, bar, last_line: String::new(), started: Instant::now() }
    }
}

impl Phase<'_> {
    /// Prints something while the bar, if there is one, is out of the way.
    pub fn suspend(&self, say: impl FnOnce()) {
        if let Some(bar) = &self.bar {
            bar.clear();
        }
        say();
    }

    /// Shows what can be seen of the running command; `progress` reads percent and words out of
    /// the newest line of its progress descriptor.
    pub fn show(&mut self, glimpse: &Glimpse, progress: &Progress) {
        if self.display.mode == Mode::Verbose {
            for line in glimpse.output.lines() {
                let _ = Stderr.write((one_line(&without_passwords(line)) + "\n").as_bytes());
            }
        }
        let news = glimpse.ignored_signal.filter(|signal| self.display.told != Some(signal));
        if let Some(signal) = news {
            self.display.told = Some(signal);
            self.suspend(|| {
                warn!("{signal} received; an install under way is not interrupted, waiting for its end")
            });
        }
        let Some(bar) = &self.bar else { return };
        if let Some(line) = glimpse.output.lines().rev().find(|line| !line.trim().is_empty()) {
            self.last_line = one_line(line.trim_end_matches('\r').rsplit('\r').next().unwrap_or(line));
        }
        let (percent, words) = match progress(glimpse.status) {
            Some((percent, words)) => (Some(percent), one_line(words)),
            None => (None, self.last_line.clone()),
        };
        bar.draw(percent, glimpse.elapsed, &words);
    }
}

impl Drop for Phase<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.clear();
            let took = self.started.elapsed();
            // What took no time is not worth a line.
            if took > Duration::from_millis(500) {
                info!("{}: {}", self.label, span(took.as_secs() as i64));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_percent_or_a_moving_mark_and_fits_the_terminal() {
        let bar = Bar { label: "downloading", drawn: Cell::new(false) };
        let half = bar.line(Some(50.0), Duration::from_secs(3), "file 1 of 2", 80);
        assert_eq!(half, "downloading [##########..........] 50% 3 s file 1 of 2");
        let unknown = bar.line(None, Duration::from_millis(200), "x", 80);
        assert!(unknown.contains("[..#................."), "{unknown}");
        assert_eq!(bar.line(None, Duration::ZERO, &"long ".repeat(50), 40).chars().count(), 40);
    }
}
