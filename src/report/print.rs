//! The formats of a result, and where they are written.

use super::{Report, json, nagios, openmetrics, text};
use crate::model::class::Class;
use crate::model::exit_code::ExitCode;
use crate::system::files::replace_shared;
use crate::system::streams::{error_mark, stdout_is_the_journal, stdout_takes_colour, write_patiently};
use clap::ValueEnum;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

/// If the reader of a result takes nothing for so long, the rest is dropped.
const RESULT_PATIENCE: Duration = Duration::from_secs(30);

/// The format of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// One line of a monitoring plugin (status only).
    Nagios,
    /// Metrics for a textfile collector (status only).
    Openmetrics,
}

impl Report {
    /// The result in one format, with its line end; `None` if there is nothing to say.
    pub fn render(&self, format: Format, quiet: bool) -> Option<String> {
        let is_status = self.is_of_status();
        match format {
            Format::Json => Some(json::render(self)),
            Format::Nagios if is_status => Some(nagios::render(self)),
            Format::Openmetrics if is_status => Some(openmetrics::render(self)),
            Format::Nagios | Format::Openmetrics => None,
            // A refusal is an error message, which goes to standard error.
            Format::Text if self.is_refusal() || (quiet && self.exit == ExitCode::Fresh) => None,
            Format::Text => Some(text::render(self, quiet)),
        }
    }

    /// Writes the result to a file in one step and returns the exit code. If the file cannot be written that is
    /// reported, and the exit code is 3.
    pub fn finish_in(&self, path: &Path, format: Format) -> ExitCode {
        let here = |dir: &Path| dir.as_os_str().is_empty();
        let dir = path.parent().map(|dir| if here(dir) { Path::new(".") } else { dir });
        // If root named these, they would be replaced too: /dev/null, and the link /dev/stdout.
        let is_in_the_way = std::fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file());
        let written = match (self.render(format, false), dir.zip(path.file_name().and_then(OsStr::to_str))) {
            _ if is_in_the_way => Err(anyhow::anyhow!(
                "{} is no regular file, and not replaced; name another for --output",
                path.display()
            )),
            (Some(text), Some((dir, name))) => replace_shared(dir, name, text.as_bytes()),
            // A refusal in text goes only to standard error.
            (None, _) => Ok(()),
            (_, None) => Err(anyhow::anyhow!("{} is no file", path.display())),
        };
        match written {
            Ok(()) if !self.is_refusal() => self.exit,
            Ok(()) => self.finish(Format::Text, false),
            // Readers of JSON or a plugin's line then get it on standard output.
            Err(error) => {
                let here = if format == Format::Openmetrics { Format::Text } else { format };
                let (class, text) = not_written(path, &error);
                Report::refused_for(self.command, class, text).finish(here, false)
            }
        }
    }

    /// Prints the result and returns the exit code, which does not change if standard output is closed or nobody reads
    /// it.
    pub fn finish(&self, format: Format, quiet: bool) -> ExitCode {
        // A plugin says everything on standard output.
        if self.is_refusal() && !(format == Format::Nagios && self.is_of_status()) {
            let line = format!("{}linux-patch: {}\n", error_mark(), self.reason);
            write_patiently(std::io::stderr(), line.as_bytes(), RESULT_PATIENCE);
        }
        if let Some(mut text) = self.render(format, quiet) {
            if format == Format::Text && !quiet && stdout_takes_colour() {
                text = text::painted(&text, self.exit);
            }
            // For `journalctl -p warning`: the first line gives the reason.
            let mark = match self.exit {
                _ if format != Format::Text || !stdout_is_the_journal() => "",
                ExitCode::Fresh => "",
                ExitCode::Stale => "<4>",
                ExitCode::Failed | ExitCode::Unknown => "<3>",
            };
            write_patiently(std::io::stdout(), format!("{mark}{text}").as_bytes(), RESULT_PATIENCE);
        }
        self.exit
    }
}

/// Why the file of `--output` could not be written, and what to do about it.
fn not_written(path: &Path, error: &anyhow::Error) -> (Class, String) {
    let cause = error.root_cause();
    let of_io = cause.downcast_ref().and_then(std::io::Error::raw_os_error);
    let number = of_io.or(cause.downcast_ref::<Errno>().map(|errno| errno.raw_os_error()));
    let (class, words) = match number.map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT) => (Class::Space, "the disk is full; make room there"),
        Some(Errno::ROFS) => (Class::Space, "the file system is read-only; make it writable"),
        Some(Errno::NAMETOOLONG) => return (Class::Other, too_long(path)),
        _ => return (Class::Other, format!("{error:#}")),
    };
    (class, format!("could not write {}: {words}, or name another file for --output", path.display()))
}

fn too_long(path: &Path) -> String {
    format!("could not write {}: the name is too long; give a shorter one to --output", path.display())
}
