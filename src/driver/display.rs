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

/// A message is cut after so many characters: it may name all packages that there are.
const MOST_CHARS: usize = 2000;

/// Starts logging to standard error: always errors and warnings, phases unless `quiet`. Under systemd every line
/// carries its journald priority.
pub fn init(quiet: bool) {
    let level = if quiet { LevelFilter::Error } else { LevelFilter::Info };
    let journal = stderr_is_the_journal();
    // A second call, as in tests, keeps the first logger.
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
    /// One line on the terminal that is overwritten.
    Bar,
}

/// The line on the terminal: up to twenty cells, or a moving mark while there is no percentage.
#[derive(Debug)]
struct Bar {
    label: &'static str,
    drawn: Cell<bool>,
}

impl Bar {
    const CELLS: usize = 20;
    /// With fewer cells there is no bar.
    const FEWEST_CELLS: usize = 5;

    fn draw(&self, percent: Option<f64>, elapsed: Duration, words: &str) {
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
        // A terminal that does not know its width says 0.
        let width = size.map(|size| size.ws_col).filter(|width| *width > 0).unwrap_or(80).max(20);
        let line = self.line(percent, elapsed, words, usize::from(width) - 1);
        self.drawn.set(true);
        let _ = Stderr.write(format!("\r{line}\x1b[K").as_bytes());
    }

    /// On a narrow terminal the words are left out first, then the cells, the time and the end of the label. The
    /// percentage stays.
    fn line(&self, percent: Option<f64>, elapsed: Duration, words: &str, width: usize) -> String {
        let number = percent.map(|percent| format!(" {percent:.0}%")).unwrap_or_default();
        let label: String = self.label.chars().take(width.saturating_sub(number.len())).collect();
        let mut line = label.trim_end().to_string();
        let time = format!(" {}", span(elapsed.as_secs() as i64));
        let room = width - line.chars().count() - number.len();
        // ` [` and `]` stand around the cells.
        let cells = room.saturating_sub(time.len() + 3).min(Self::CELLS);
        if cells >= Self::FEWEST_CELLS {
            let cells = match percent {
                Some(percent) => {
                    let full = (percent.clamp(0.0, 100.0) as usize * cells) / 100;
                    "#".repeat(full) + &".".repeat(cells - full)
                }
                None => {
                    let at = elapsed.as_millis() as usize / 100 % cells;
                    ".".repeat(at) + "#" + &".".repeat(cells - 1 - at)
                }
            };
            line += &format!(" [{cells}]");
        }
        line += &number;
        if room >= time.len() {
            line += &format!("{time} {words}");
        }
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
    /// Hosts that the next phase asks all at once and that have not answered yet.
    silent: Vec<String>,
    /// The sources that are asked, if the manager's lines do not name them.
    asked: Vec<String>,
}

/// One phase on display, from its start to its end.
#[derive(Debug)]
pub struct Phase<'a> {
    display: &'a mut Display,
    label: &'static str,
    bar: Option<Bar>,
    last_line: String,
    started: Instant,
    is_question: bool,
}

impl Display {
    /// Chooses the mode by the options and by what standard error is.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let mode = if verbose {
            Mode::Verbose
        } else if !quiet && !dumb && std::io::stderr().is_terminal() {
            Mode::Bar
        } else {
            Mode::Lines
        };
        Display { mode, told: None, silent: Vec::new(), asked: Vec::new() }
    }

    /// Whether there is a line on a terminal that shows what is going on.
    pub fn has_bar(&self) -> bool {
        self.mode == Mode::Bar
    }

    /// Names the hosts that the next phase asks all at once, for a manager that prints a line about each only when it
    /// has answered. For other managers it names the sources.
    pub fn waits_for(&mut self, hosts: Vec<String>, sources: Vec<String>) {
        (self.silent, self.asked) = (hosts, sources);
    }

    /// Begins a phase.
    pub fn phase(&mut self, label: &'static str) -> Phase<'_> {
        let bar = self.has_bar().then(|| Bar { label, drawn: Cell::new(false) });
        if bar.is_none() {
            info!("{label}");
        }
        self.begin(label, bar)
    }

    /// Begins a question to the manager. Only a bar shows it, and nothing of it stays on the screen.
    pub fn question(&mut self, program: &str) -> Option<Phase<'_>> {
        const LABEL: &str = "listing packages";
        self.has_bar().then(|| {
            let mut phase = self.begin(LABEL, Some(Bar { label: LABEL, drawn: Cell::new(false) }));
            phase.is_question = true;
            phase.last_line = program.to_string();
            phase
        })
    }

    fn begin(&mut self, label: &'static str, bar: Option<Bar>) -> Phase<'_> {
        let started = Instant::now();
        Phase { display: self, label, bar, last_line: String::new(), started, is_question: false }
    }
}

impl Phase<'_> {
    /// Prints something while the bar is hidden.
    pub fn suspend(&self, say: impl FnOnce()) {
        if let Some(bar) = &self.bar {
            bar.clear();
        }
        say();
    }

    /// Shows the running command; `progress` reads percent and words from the newest line of its progress descriptor.
    pub fn show(&mut self, glimpse: &Glimpse, progress: &Progress) {
        if self.display.mode == Mode::Verbose {
            for line in glimpse.output.lines() {
                let _ = Stderr.write((one_line(&without_passwords(line)) + "\n").as_bytes());
            }
        }
        let news = glimpse.ignored_signal.filter(|_| !self.is_question);
        let news = news.filter(|signal| self.display.told != Some(signal));
        if let Some(signal) = news {
            self.display.told = Some(signal);
            self.suspend(|| {
                warn!("{signal} received; an install under way is not interrupted, waiting for its end")
            });
        }
        let Some(bar) = &self.bar else { return };
        let (silent, asked) = (&mut self.display.silent, &self.display.asked);
        // apt may try again what it ignores.
        let answers =
            |host: &str| glimpse.output.lines().any(|line| line.contains(host) && !line.starts_with("Ign:"));
        silent.retain(|host| !answers(host));
        if !self.is_question {
            if let Some(line) = glimpse.output.lines().rev().find(|line| !line.trim().is_empty()) {
                self.last_line = one_line(line.trim_end_matches('\r').rsplit('\r').next().unwrap_or(line));
            }
        }
        let elapsed = self.started.elapsed();
        let is_slow = elapsed >= Duration::from_secs(1);
        let (percent, mut words) = match progress(glimpse.progress) {
            Some((percent, words)) => (Some(percent), one_line(words)),
            None => (None, self.last_line.clone()),
        };
        if is_slow && !silent.is_empty() {
            words = format!("no answer yet from {}", silent.join(", "));
        } else if is_slow && !asked.is_empty() && !asked.iter().any(|id| words.contains(id.as_str())) {
            words = format!("asking {}", asked.join(", "));
        }
        // Most questions are answered before anybody could read them.
        if !self.is_question || elapsed > Duration::from_millis(300) {
            bar.draw(percent, elapsed, &words);
        }
    }
}

impl Drop for Phase<'_> {
    fn drop(&mut self) {
        self.display.waits_for(Vec::new(), Vec::new());
        if let Some(bar) = &self.bar {
            bar.clear();
            let took = self.started.elapsed();
            // A phase that took no time is not worth a line.
            if took > Duration::from_millis(500) && !self.is_question {
                info!("{}: {}", self.label, time_words(took));
            }
        }
    }
}

/// `0.7 s`, `42 s`, `1 min 59 s`, `1 h 5 min`.
fn time_words(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        ..10 => format!("{:.1} s", took.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => span(seconds as i64),
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

    #[test]
    fn on_a_narrow_terminal_the_percentage_stays() {
        let line = |label, width| {
            let bar = Bar { label, drawn: Cell::new(false) };
            bar.line(Some(50.0), Duration::from_secs(75), "file 1 of 2", width)
        };
        assert_eq!(line("installing updates", 39), "installing updates [####....] 50% 1 min");
        assert_eq!(line("refreshing the package index", 39), "refreshing the package index 50% 1 min ");
        assert_eq!(line("refreshing the package index", 33), "refreshing the package index 50%");
        assert_eq!(line("refreshing the package index", 19), "refreshing the 50%");
    }

    #[test]
    fn the_time_that_a_phase_took_is_told_as_it_was() {
        for (ms, words) in [(640, "0.6 s"), (9_940, "9.9 s"), (12_800, "12 s"), (119_000, "1 min 59 s")] {
            assert_eq!(time_words(Duration::from_millis(ms)), words);
        }
        assert_eq!(time_words(Duration::from_secs(3900)), "1 h 5 min");
    }
}
