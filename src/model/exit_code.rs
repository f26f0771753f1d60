//! The exit codes. Nothing else in the program knows the numbers.

use std::process::Termination;

/// What a run of `linux-patch` tells its caller. The numbers are those of a monitoring plugin (OK, WARNING, CRITICAL,
/// UNKNOWN). Greater is worse, except for `Unknown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// 0: the index is complete and recent, or the work asked for was done.
    Fresh = 0,
    /// 1: part of the index is out of date.
    Stale = 1,
    /// 2: the last attempt, or this run, failed.
    Failed = 2,
    /// 3: nothing can be said, or the run could not start.
    #[default]
    Unknown = 3,
}

impl ExitCode {
    /// The number given to the operating system.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The word used in text and JSON.
    pub fn word(self) -> &'static str {
        match self {
            ExitCode::Fresh => "fresh",
            ExitCode::Stale => "stale",
            ExitCode::Failed => "failed",
            ExitCode::Unknown => "unknown",
        }
    }

    /// The service state of the Monitoring Plugins guidelines.
    pub fn plugin_word(self) -> &'static str {
        match self {
            ExitCode::Fresh => "OK",
            ExitCode::Stale => "WARNING",
            ExitCode::Failed => "CRITICAL",
            ExitCode::Unknown => "UNKNOWN",
        }
    }
}

impl Termination for ExitCode {
    fn report(self) -> std::process::ExitCode {
        std::process::ExitCode::from(self.code())
    }
}
