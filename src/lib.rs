//! linux-patch: refresh the package index, know whether it is fresh, install what is pending.
//!
//! Data goes one way: command line, manager and verb, lock, commands as data, what they
//! printed, an outcome, the state, a report, an exit code. ARCHITECTURE.md draws it.
#![forbid(unsafe_code)]

pub mod cli;
pub mod commands;
pub mod driver;
pub mod managers;
pub mod model;
pub mod report;
pub mod store;
pub mod system;

use clap::error::ErrorKind;
use cli::{Cli, StatusArgs, Verb};
use model::exit_code::ExitCode;
use model::text::is_printable;
use report::Report;
use report::print::Format;
use std::ffi::OsString;

/// Where the state is kept by default.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/linux-patch";
/// Where the manager's output is kept beside the default state directory.
pub const DEFAULT_LOG_DIR: &str = "/var/log/linux-patch";

/// This is many times more stack than anything here needs.
const STACK: usize = 1 << 20;

/// Runs the program with its arguments, its own name first, and prints the result.
pub fn run(args: Vec<OsString>) -> ExitCode {
    system::signals::outlast_limits();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
    if limit.is_none_or(|limit| limit >= STACK as u64) {
        return run_here(args);
    }
    // A limit that the caller has set counts only for the first thread.
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(|| run_here(args));
    thread.map_or(ExitCode::Unknown, |thread| thread.join().unwrap_or(ExitCode::Unknown))
}

fn run_here(args: Vec<OsString>) -> ExitCode {
    let format = format_asked(&args);
    exit_3_on_panic(format);
    let mut cli = match Cli::read(&args) {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // A closed standard output must not make a help text fail.
            let _ = error.print();
            return ExitCode::Fresh;
        }
        Err(error) => return usage(&error).finish(format, false),
    };
    // The manager gets this path too, and may read a relative one in another way.
    match std::path::absolute(&cli.global.state_dir) {
        Ok(dir) if dir.to_str().is_some_and(|dir| dir.chars().all(is_printable)) => {
            cli.global.state_dir = dir;
        }
        _ => {
            let text = format!("{} cannot be a state directory", cli.global.state_dir.display());
            return Report::refused(cli.verb.name(), text).finish(format, false);
        }
    }
    let global = &cli.global;
    let mut report = match (&cli.verb, global.format) {
        // clap's own check would take an environment variable that is set to "no" for a given option.
        (verb, _) if global.quiet && global.verbose => {
            Report::refused(verb.name(), "--quiet and --verbose contradict each other; give one".into())
        }
        (Verb::Refresh(_) | Verb::Apply(_), Format::Nagios | Format::Openmetrics) => {
            let text = format!(
                "{} prints text or json; nagios and openmetrics are forms of status",
                cli.verb.name()
            );
            Report::refused(cli.verb.name(), text)
        }
        (Verb::Status(args), _) if !args.refresh => commands::status::run(global, args),
        (verb, _) => {
            // First of all: a signal must find its handler, which gives our exit code.
            if let Err(error) = system::signals::install() {
                return Report::refused(verb.name(), format!("{error:#}"))
                    .finish(global.format, global.quiet);
            }
            driver::display::init(global.is_silent());
            // Everybody may read what we and the manager create, whatever the caller's umask: a status that only root
            // can read is useless.
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
            match verb {
                Verb::Refresh(args) => commands::refresh::run(global, args),
                Verb::Status(args) => commands::status::run(global, args),
                Verb::Apply(args) => commands::apply::run(global, args),
            }
        }
    };
    report.is_verbose = global.verbose;
    match &cli.verb {
        Verb::Status(StatusArgs { output: Some(path), .. }) => report.finish_in(path, global.format),
        _ => report.finish(global.format, global.quiet),
    }
}

/// Makes one line of clap's many, which names the argument and what to do.
fn usage(error: &clap::Error) -> Report {
    if matches!(
        error.kind(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        let text = "a command is needed: refresh, status or apply; see linux-patch --help";
        return Report::refused("", text.to_string());
    }
    let text = error.to_string();
    let is_advice = |line: &str| line.starts_with("Usage:") || line.starts_with("For more information");
    let said = text.lines().take_while(|line| !is_advice(line));
    let words: Vec<_> = said.map(str::trim).filter(|line| !line.is_empty()).map(question).collect();
    let words = words.join("; ").replace(":; ", ": ").replace("; [", " [");
    let words = words.strip_prefix("error: ").unwrap_or(&words);
    let end = if words.ends_with('?') { " See" } else { "; see" };
    Report::refused("", format!("{words}{end} linux-patch --help"))
}

/// `tip: a similar subcommand exists: 'status'` as a question.
fn question(line: &str) -> String {
    let similar = line.strip_prefix("tip: ").filter(|tip| tip.contains("similar"));
    match similar.and_then(|tip| tip.split_once(": ")) {
        Some((_, names)) => format!("did you mean {}?", names.replace('\'', "")),
        None => line.strip_prefix("tip: ").unwrap_or(line).to_string(),
    }
}

/// The format asked for, even if the rest of the command line is wrong: a program that reads JSON gets JSON for a usage
/// error too.
fn format_asked(args: &[OsString]) -> Format {
    let environment = std::env::var("LINUX_PATCH_FORMAT").ok();
    let mut asked = environment.as_deref().map(str::to_owned);
    let mut words = args.iter().skip(1).map(|arg| arg.to_string_lossy()).take_while(|arg| arg != "--");
    while let Some(word) = words.next() {
        match word.strip_prefix("--format") {
            Some("") => asked = words.next().map(|word| word.into_owned()),
            Some(value) => asked = value.strip_prefix('=').map(str::to_owned).or(asked),
            None => {}
        }
    }
    match asked.as_deref() {
        Some("json") => Format::Json,
        Some("nagios") => Format::Nagios,
        Some("openmetrics") => Format::Openmetrics,
        _ => Format::Text,
    }
}

/// A panic is a bug, but its exit code must still say "unknown" and not 101. An install is not touched: it is a process
/// of its own and goes on.
fn exit_3_on_panic(format: Format) {
    std::panic::set_hook(Box::new(move |panic| {
        let report = Report::refused("", format!("internal error, please report it: {panic}"));
        let code = report.finish(format, false);
        std::process::exit(i32::from(code.code()));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_found_on_a_command_line_that_is_wrong() {
        let asked = |words: &[&str]| format_asked(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(asked(&["x", "--format", "json", "--bogus"]), Format::Json);
        assert_eq!(asked(&["x", "bogus", "--format=nagios"]), Format::Nagios);
        assert_eq!(asked(&["x", "apply", "--", "--format=json"]), Format::Text);
        assert_eq!(asked(&["x", "--format"]), Format::Text);
    }
}
