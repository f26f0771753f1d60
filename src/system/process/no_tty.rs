//! An install asks nobody. But if a maintainer script reads from /dev/tty or changes its settings, it is no foreground
//! job there: the kernel would stop it, and so the install would never end.

use super::environment::find;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;

/// Both signals are ignored, which a program inherits, so reading fails instead. Not setsid(1): until it has its
/// session, signals to our own group reach it.
const LINES: &str = r#"trap '' TTIN TTOU; exec "$@""#;
/// The shell's name in its messages.
const NAME: &str = "linux-patch";

/// A program that a terminal cannot stop; `None` if we have no terminal.
pub fn shielded(program: &Path) -> Option<Command> {
    File::open("/dev/tty").ok()?;
    let mut command = Command::new(find("sh")?);
    command.args(["-c", LINES, NAME]).arg(program);
    Some(command)
}

/// The error of a program that could not be started in this way, where it printed nothing itself.
pub fn start_error(code: Option<i32>, stderr: &str) -> Option<io::Error> {
    let is_ours = matches!(code, Some(126 | 127)) && stderr.starts_with(&format!("{NAME}: "));
    is_ours.then(|| io::Error::other(stderr.trim().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_could_not_be_started_is_told_from_one_that_failed() {
        let dash = "linux-patch: 1: exec: /usr/bin/apt-get: Permission denied\n";
        assert!(start_error(Some(126), dash).unwrap().to_string().ends_with("Permission denied"));
        assert!(start_error(Some(127), "E: not found\n").is_none());
        assert!(start_error(Some(100), dash).is_none());
    }
}
