//! The package manager's own output, one file per run.

use crate::model::secrets::without_passwords;
use crate::system::files::open_directory;
use crate::system::process::{Capture, End, Finished, Invocation};
use crate::system::time::Time;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, unlinkat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many runs of each command are kept: hourly refreshes must not push out the log of an install.
const KEPT: usize = 20;

/// An install writes its output to a disk only if that has so much space: a script that cannot print fails, and its
/// package with it.
const ROOM: u64 = 64 << 20;

/// The log of this run. The output of a command that may be ended is kept in memory while it runs, because on a full
/// disk its decisive line would be lost. An install writes to the disk at once, if there is space, so that its output
/// survives us; its standard error has a file of its own until it ends, to tell it from standard output.
#[derive(Debug)]
pub struct RunLog {
    files: Option<Capture>,
    /// The directory as it was opened: if somebody makes its name lead elsewhere, nothing is written there.
    dir: Option<OwnedFd>,
    path: PathBuf,
    /// Whether what runs now writes to the disk at once.
    at_once: bool,
    /// Where its output begins in the file.
    start: u64,
}

impl RunLog {
    /// Starts the log of a run and removes the oldest ones. The second value says why there is none, if the directory
    /// cannot be written to.
    pub fn create(dir: &Path, command: &str) -> (RunLog, Option<anyhow::Error>) {
        let name = format!("{}-{command}-{}", Time::now().compact(), std::process::id());
        let path = dir.join(name + ".log");
        let opened = std::fs::create_dir_all(dir).map_err(Into::into).and_then(|()| open_directory(dir));
        let mut log = RunLog { files: None, dir: None, path, at_once: false, start: 0 };
        let on_disk = opened.and_then(|dir| {
            let dir = log.dir.insert(dir);
            let made = new_file(dir, &log.path).and_then(|mut out| {
                // On a full disk the file can be made but not written.
                writeln!(out, "# linux-patch {command}, {}", Time::now())?;
                let err = new_file(dir, &log.path.with_extension("stderr"))?;
                Ok(Capture { out, err })
            });
            prune(dir, command, &Time::now().compact());
            Ok(made?)
        });
        match on_disk {
            Ok(files) => {
                log.files = Some(files);
                (log, None)
            }
            Err(error) => {
                let context = format!("could not write the log {}", log.path.display());
                (log, Some(error.context(context)))
            }
        }
    }

    /// The log file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.files.as_ref().map(|_| self.path.as_path())
    }

    /// Writes the command line, and gives the files for its output; with `at_once` those on the disk, if it has space.
    /// A log that cannot be written does not fail the run.
    ///
    /// # Errors
    /// When there is neither disk nor memory for it.
    pub fn begin(&mut self, invocation: &Invocation, at_once: bool) -> std::io::Result<Capture> {
        let Some(files) = &mut self.files else {
            return Capture::in_memory();
        };
        let _ = writeln!(files.out, "\n$ {}", without_passwords(&invocation.line()));
        self.at_once = at_once && has_room(&files.out);
        self.start = files.out.metadata().map_or(0, |meta| meta.len());
        match self.at_once {
            true => Ok(Capture { out: files.out.try_clone()?, err: files.err.try_clone()? }),
            false => Capture::in_memory(),
        }
    }

    /// Writes how the command ended below its output, and the output too if it is not there yet, without the lines that
    /// begin with `noise`.
    pub fn end(&mut self, finished: &Finished, noise: Option<&str>) {
        let Some(files) = &mut self.files else { return };
        let end = match finished.end {
            End::Code(code) => format!("exit {code}"),
            End::Signal(signal) => format!("killed by signal {signal}"),
            End::TimedOut => "ended by us: out of time".to_string(),
            End::Stalled => "ended by us: no progress".to_string(),
            End::Flooded => "ended by us: too much output".to_string(),
            End::Waiting => "ended by us: it waited for a lock".to_string(),
            End::Interrupted(signal) => format!("ended by us: {signal}"),
        };
        let mut stdout = without_passwords(&finished.stdout);
        // Output that is there already is replaced if all of it is known and it holds a password.
        let until = self.start + finished.stdout.len() as u64;
        let is_whole = || files.out.metadata().is_ok_and(|meta| meta.len() == until);
        let is_wrong = self.at_once && stdout != finished.stdout && is_whole();
        let is_replaced = is_wrong && files.out.set_len(self.start).is_ok();
        match noise {
            _ if self.at_once && !is_replaced => stdout.clear(),
            Some(noise) => stdout = without_noise(&stdout, noise),
            None => {}
        }
        let (stderr, seconds) = (without_passwords(&finished.stderr), finished.elapsed.as_secs_f64());
        let _ = write!(files.out, "{stdout}--- stderr\n{stderr}--- {end} after {seconds:.2} s\n");
    }
}

/// Without the lines that begin so, and what is repeated between them.
fn without_noise(text: &str, noise: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut is_behind_noise = false;
    for line in text.split_inclusive('\n') {
        if line.starts_with(noise) {
            is_behind_noise = true;
        } else if !is_behind_noise || kept.last() != Some(&line) {
            is_behind_noise = false;
            kept.push(line);
        }
    }
    kept.concat()
}

impl Drop for RunLog {
    fn drop(&mut self) {
        if let (Some(_), Some(dir)) = (&self.files, &self.dir) {
            // Its content is in the log by now.
            remove(dir, &self.path.with_extension("stderr"));
        }
    }
}

fn has_room(file: &File) -> bool {
    rustix::fs::fstatvfs(file).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM)
}

/// Makes a new file in the directory of the log; of its path only the name counts.
fn new_file(dir: &OwnedFd, path: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let name = path.file_name().unwrap_or_default();
    Ok(File::from(openat(dir, name, flags, Mode::from_raw_mode(0o640))?))
}

fn remove(dir: &OwnedFd, path: &Path) {
    // Best effort: an extra log does no harm.
    let _ = unlinkat(dir, path.file_name().unwrap_or_default(), AtFlags::empty());
}

/// Removes all but the newest logs of a command. Names begin with the time, so they sort by age. Logs later than `now`,
/// from before the clock was set back, are removed first: otherwise each run would remove its own log.
fn prune(dir: &OwnedFd, command: &str, now: &str) {
    let entries = Dir::read_from(dir).into_iter().flatten().flatten();
    let names = entries.map(|entry| PathBuf::from(OsStr::from_bytes(entry.file_name().to_bytes())));
    let paths: Vec<_> = names.filter(|path| is_ours(path, command)).collect();
    let age = |path: &Path| {
        let run = path.with_extension("");
        let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name.split('-').next() <= Some(now), name)
    };
    let is_log = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "log");
    let mut ages: Vec<_> = paths.iter().filter(is_log).map(|path| age(path)).collect();
    ages.sort();
    let Some(oldest_kept) = ages.len().checked_sub(KEPT).map(|at| &ages[at]) else {
        return;
    };
    for path in paths.iter().filter(|path| age(path) < *oldest_kept) {
        remove(dir, path);
    }
}

/// `20260527T130000Z-apply-1234.log`; other programs may keep logs in the directory too.
fn is_ours(path: &Path, command: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(".log").or_else(|| name.strip_suffix(".stderr")).unwrap_or_default();
    let parts: Vec<_> = stem.split('-').collect();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match parts.as_slice() {
        [time, of, pid] if *of == command => {
            let (date, clock) = time.split_once('T').unwrap_or_default();
            date.len() == 8
                && digits(date)
                && clock.len() == 7
                && digits(clock.trim_end_matches('Z'))
                && digits(pid)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_download_only_its_beginning_and_its_end_are_kept() {
        let text = "a\na\np\n<d 1\np\n<d 2\np\nq\nq\n<d 3\n";
        assert_eq!(without_noise(text, "<d "), "a\na\np\nq\nq\n");
    }

    #[test]
    fn the_newest_twenty_logs_of_a_command_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        for day in 1..=25 {
            for kind in ["log", "stderr"] {
                let name = format!("202601{day:02}T000000Z-apply-1.{kind}");
                std::fs::write(dir.path().join(name), "").unwrap();
            }
        }
        std::fs::write(dir.path().join("01-app.log"), "somebody else's").unwrap();
        let (log, problem) = RunLog::create(dir.path(), "refresh");
        assert!(
            dir.path().join("20260101T000000Z-apply-1.log").exists(),
            "a refresh removed the log of an apply"
        );
        drop(log);
        let (log, problem) = match problem {
            None => RunLog::create(dir.path(), "apply"),
            Some(problem) => panic!("{problem:#}"),
        };
        assert!(problem.is_none() && log.path().unwrap().exists());
        drop(log);
        let mut left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".log"))
            .collect();
        left.sort();
        assert_eq!(left.len(), KEPT + 2, "with one of a refresh and one of somebody else");
        assert_eq!(left[..2], ["01-app.log", "20260107T000000Z-apply-1.log"]);
        assert!(!dir.path().join("20260106T000000Z-apply-1.stderr").exists());
    }

    #[test]
    fn a_password_that_an_install_wrote_to_the_disk_is_gone_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, problem) = RunLog::create(dir.path(), "apply");
        assert!(problem.is_none());
        let invocation = Invocation::of("x", ["http://me:s3cr3t@h/y"]);
        let mut write = |text: &str, known: &str| {
            let mut capture = log.begin(&invocation, true).unwrap();
            capture.out.write_all(text.as_bytes()).unwrap();
            log.end(&Finished::ended(0, known, ""), None);
        };
        write("one http://me:s3cr3t@h/x\n", "one http://me:s3cr3t@h/x\n");
        write("two\n", "two\n");
        // If not all of the output is known, none of it is removed.
        write("three http://me:kept@h/x\nmore\n", "three http://me:kept@h/x\n");
        let text = std::fs::read_to_string(log.path().unwrap()).unwrap();
        assert!(!text.contains("s3cr3t") && text.contains("one http://h/x\n--- stderr\n"), "{text}");
        assert!(
            text.contains("\ntwo\n--- stderr\n") && text.contains("kept@h/x\nmore\n--- stderr"),
            "{text}"
        );
        assert_eq!(text.matches("\n$ x http://h/y\n").count(), 3, "{text}");
    }

    #[test]
    fn a_log_directory_that_cannot_be_made_costs_only_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let (log, problem) = RunLog::create(&file.join("log"), "apply");
        assert!(log.path().is_none() && problem.is_some());
    }
}
