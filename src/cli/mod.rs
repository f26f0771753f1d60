//! The command line, and nothing else: parser, help, man page and completions agree with it.

mod values;

use crate::managers::MANAGERS;
use crate::report::alert::Alert;
use crate::report::print::Format;
use crate::system::local_time::TimeOfDay;
use crate::system::streams;
pub use crate::system::time::duration;
use clap::builder::{FalseyValueParser, PossibleValuesParser};
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
pub use values::{History, Reboot};
use values::{Offered, budget};

/// Refresh the package index, know whether it is fresh, install what is pending.
#[derive(Clone, Debug, Parser)]
// Without a name of its own the help shows what the caller put into argv[0].
#[command(name = "linux-patch", bin_name = "linux-patch", version, term_width = help_width())]
#[command(disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 fresh or done, 1 stale, 2 failed, 3 unknown or could not run. See linux-patch(8)."
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The width of the help: that of the terminal, unless the user sets another, but never so wide that lines are hard to
/// read.
fn help_width() -> usize {
    let given = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let width = given.filter(|columns| *columns > 0).or_else(streams::terminal_width);
    width.unwrap_or(MOST_HELP_WIDTH).min(MOST_HELP_WIDTH)
}

const MOST_HELP_WIDTH: usize = 100;

/// Options of every command; they may stand before or after it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Package manager to drive [default: the one that owns the system]
    #[arg(long, global = true, env = "LINUX_PATCH_MANAGER", hide_env = true, value_name = "NAME")]
    #[arg(value_parser = managers())]
    pub manager: Option<String>,
    /// Directory of the state file and its lock
    #[arg(long, global = true, env = "LINUX_PATCH_STATE_DIR", hide_env = true, value_name = "DIR")]
    #[arg(default_value = crate::DEFAULT_STATE_DIR)]
    pub state_dir: PathBuf,
    /// Form of the result on standard output
    #[arg(long, global = true, env = "LINUX_PATCH_FORMAT", hide_env = true, value_name = "FORMAT")]
    #[arg(value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Show what the package manager prints, and every package instead of the first 20
    #[arg(short, long, global = true, env = "LINUX_PATCH_VERBOSE", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub verbose: bool,
    /// Say nothing when all is well
    #[arg(short, long, global = true, env = "LINUX_PATCH_QUIET", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub quiet: bool,
}

impl Global {
    /// Whether only errors go to standard error. For a plugin this must be so: Icinga 2 takes the rest for a part of
    /// the result, and check_by_ssh for a failure.
    pub fn is_silent(&self) -> bool {
        self.quiet || self.format == Format::Nagios
    }
}

fn managers() -> PossibleValuesParser {
    MANAGERS.iter().map(|manager| manager.facts().name).into()
}

/// `linux-patch status` alone. Building the options of the other commands too would take a tenth of the time of a
/// status, which runs every minute on every host.
#[derive(Debug, Parser)]
struct StatusAlone {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    args: StatusArgs,
}

impl Cli {
    /// Reads a command line, the program's own name first.
    ///
    /// # Errors
    /// What is wrong with it, or the help that was asked for.
    pub fn read(args: &[OsString]) -> Result<Cli, clap::Error> {
        if args.get(1).is_some_and(|word| word == "status") {
            let alone = StatusAlone::try_parse_from(args[..1].iter().chain(&args[2..]));
            // Anything else, mistakes and help too, is for the whole definition.
            if let Ok(StatusAlone { global, args: status }) = alone {
                return Cli { global, verb: Verb::Status(status) }.checked(args);
            }
        }
        // People know `help apply`; clap's own version would add a command to help and completions.
        if let [name, help, verb @ ..] = args {
            if help == "help" && verb.len() < 2 {
                let flag = OsString::from("--help");
                return Cli::try_parse_from([name].into_iter().chain(verb).chain([&flag]));
            }
        }
        Cli::try_parse_from(args)?.checked(args)
    }

    /// `--warning` outranks the variable of `--max-age`, as every option does. clap cannot be told that the two options
    /// conflict: it does not tell an option from its variable.
    fn checked(self, args: &[OsString]) -> Result<Cli, clap::Error> {
        let is_max_age = |word: &OsString| {
            word.to_str().is_some_and(|word| word == "--max-age" || word.starts_with("--max-age="))
        };
        match &self.verb {
            Verb::Status(status) if status.warning.is_some() && args.iter().any(is_max_age) => {
                let text = "the argument '--warning <DUR>' cannot be used with '--max-age <DUR>'";
                Err(Cli::command().error(clap::error::ErrorKind::ArgumentConflict, text))
            }
            _ => Ok(self),
        }
    }
}

const REFRESH_EXAMPLES: &str = "Examples:
  linux-patch refresh --timeout 5m
  linux-patch refresh --if-stale && apt-get install nginx";
const STATUS_EXAMPLES: &str = "Examples:
  linux-patch status --explain
  linux-patch status --format nagios --alert security --alert apply=critical";
const APPLY_EXAMPLES: &str = "Examples:
  linux-patch apply --dry-run
  linux-patch apply --security --exclude 'linux-image-*' --reboot --reboot-at 05:00";

/// The three commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Refresh the package index and record whether that worked
    #[command(after_help = REFRESH_EXAMPLES)]
    Refresh(RefreshArgs),
    /// Say whether the index is fresh, by exit code
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Refresh, then install what is pending
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(ApplyArgs),
}

impl Verb {
    /// The word on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Verb::Refresh(_) => "refresh",
            Verb::Status(_) => "status",
            Verb::Apply(_) => "apply",
        }
    }
}

/// How long a refresh may take, and how old its result may be.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Refresh")]
pub struct Freshness {
    /// Age up to which the index counts as fresh
    #[arg(long, env = "LINUX_PATCH_MAX_AGE", hide_env = true, value_name = "DUR")]
    #[arg(value_parser = duration, default_value = "4h")]
    pub max_age: Duration,
    /// Time budget of a refresh, lock waits included
    #[arg(long, env = "LINUX_PATCH_TIMEOUT", hide_env = true, value_name = "DUR")]
    #[arg(value_parser = budget, default_value = "120s")]
    pub timeout: Duration,
}

/// `linux-patch refresh`.
#[derive(Clone, Debug, Args)]
pub struct RefreshArgs {
    /// Do nothing where the index is still fresh
    #[arg(long)]
    pub if_stale: bool,
    /// Age and budget.
    #[command(flatten)]
    pub freshness: Freshness,
    /// Wait a share of this time first, constant per host (for cron)
    #[arg(long, env = "LINUX_PATCH_SPLAY", hide_env = true, value_name = "DUR")]
    #[arg(value_parser = duration)]
    pub splay: Option<Duration>,
}

/// `linux-patch status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Refresh first where the index is not fresh
    #[arg(long)]
    pub refresh: bool,
    /// Age and budget.
    #[command(flatten)]
    pub freshness: Freshness,
    /// Say why the host is not fresh or not patched, what to do, and what will run next
    #[arg(help_heading = "Output")]
    #[arg(long)]
    pub explain: bool,
    /// List the last 20 runs; with a number so many, with refresh or apply only those of that command
    #[arg(help_heading = "Output")]
    #[arg(long, value_name = "RUNS", num_args = 0..=1, require_equals = true)]
    #[arg(value_parser = Offered { parse: History::parse, words: &History::OFFERED })]
    #[arg(default_missing_value = "20", hide_possible_values = true)]
    pub history: Option<History>,
    /// Age above which the exit code is 1; the same as --max-age
    #[arg(help_heading = "Exit code")]
    #[arg(short, long, value_name = "DUR", value_parser = duration)]
    pub warning: Option<Duration>,
    /// Age above which the exit code is 2
    #[arg(help_heading = "Exit code")]
    #[arg(short, long, value_name = "DUR", value_parser = duration)]
    pub critical: Option<Duration>,
    /// What else changes the exit code.
    #[arg(help_heading = "Exit code")]
    #[arg(
        long,
        value_name = "WHAT",
        value_parser = Offered { parse: Alert::parse, words: Alert::OFFERED },
        hide_possible_values = true,
        help = "Let something else change the exit code too: updates, security, held-back (each with :COUNT), \
                security-age:DUR, reboot, services, mirror:DUR[@GLOB], support[:DUR] or apply, with =warning or \
                =critical (may be repeated)"
    )]
    pub alert: Vec<Alert>,
    /// Leave out the packages whose names match (may be repeated)
    #[arg(help_heading = "Output")]
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Write the result to this file, replaced in one step, instead of standard output
    #[arg(help_heading = "Output")]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl StatusArgs {
    /// Age up to which the index counts as fresh.
    pub fn max_age(&self) -> Duration {
        self.warning.unwrap_or(self.freshness.max_age)
    }
}

/// `linux-patch apply`.
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// Install the updates of these packages only, and what they need
    #[arg(value_name = "PACKAGE")]
    pub packages: Vec<String>,
    /// Install security updates only
    #[arg(help_heading = "What to install")]
    #[arg(long)]
    pub security: bool,
    /// Leave out updates that this host has known for less time, except security updates
    #[arg(help_heading = "What to install")]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub min_age: Option<Duration>,
    /// Leave out the packages whose names match (may be repeated)
    #[arg(help_heading = "What to install")]
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Install only updates from sources whose id matches, and what they need from others (may be repeated)
    #[arg(help_heading = "What to install")]
    #[arg(long, value_name = "GLOB")]
    pub from: Vec<String>,
    /// Also install updates that need the removal of a package
    #[arg(help_heading = "What to install")]
    #[arg(long)]
    pub full: bool,
    /// Also remove packages that were installed automatically and are no longer needed
    #[arg(help_heading = "What to install")]
    #[arg(long)]
    pub autoremove: bool,
    /// Download what is pending, install nothing
    #[arg(help_heading = "What to install")]
    #[arg(long, conflicts_with = "dry_run")]
    pub download_only: bool,
    /// Refresh, say what would be installed, install nothing
    #[arg(help_heading = "What to install")]
    #[arg(long)]
    pub dry_run: bool,
    /// How long to wait for locks that others hold
    #[arg(help_heading = "Time and reboot")]
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "10m")]
    pub wait: Duration,
    /// Install nothing where only some sources were refreshed
    #[arg(help_heading = "What to install")]
    #[arg(long)]
    pub strict: bool,
    /// Begin no install after this time of the day, HH:MM in local time
    #[arg(help_heading = "Time and reboot")]
    #[arg(long, value_name = "TIME", value_parser = TimeOfDay::parse)]
    pub not_after: Option<TimeOfDay>,
    /// Reboot the machine afterwards [without a value: if-needed]
    #[arg(help_heading = "Time and reboot")]
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true)]
    #[arg(value_enum, default_missing_value = "if-needed")]
    pub reboot: Option<Reboot>,
    /// How long to wait before the reboot, in whole minutes
    #[arg(help_heading = "Time and reboot")]
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "1m", requires = "reboot")]
    pub reboot_delay: Duration,
    /// Reboot at the next HH:MM in local time, instead of after a delay
    #[arg(help_heading = "Time and reboot")]
    #[arg(long, value_name = "TIME", value_parser = TimeOfDay::parse)]
    #[arg(requires = "reboot", conflicts_with = "reboot_delay")]
    pub reboot_at: Option<TimeOfDay>,
    /// Age and budget.
    #[command(flatten)]
    pub freshness: Freshness,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for args in
            [["linux-patch", "--format", "json", "status"], ["linux-patch", "status", "--format", "json"]]
        {
            assert_eq!(Cli::parse_from(args).global.format, Format::Json);
        }
    }

    #[test]
    fn a_status_read_alone_is_the_status_of_the_whole_definition() {
        let lines = [
            "x status",
            "x status --refresh --max-age 4h --history",
            "x status --format json --state-dir /x -q",
            "x status -v --timeout 9 --manager apt",
            "x --format nagios status",
        ];
        for line in lines {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let whole = Cli::try_parse_from(&words).unwrap();
            assert_eq!(format!("{:?}", Cli::read(&words).unwrap()), format!("{whole:?}"), "{line}");
        }
        for line in ["x status --bogus", "x status refresh", "x status --if-stale", "x status --version"] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let whole = Cli::try_parse_from(&words).unwrap_err().to_string();
            assert_eq!(Cli::read(&words).unwrap_err().to_string(), whole, "{line}");
        }
    }

    #[test]
    fn help_is_a_command_too() {
        let told = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            Cli::read(&words).unwrap_err().to_string()
        };
        assert_eq!(told("x help"), told("x --help"));
        assert_eq!(told("x help apply"), told("x apply --help"));
        assert!(
            told("x help apply").contains("Examples:") && told("x help nonsense").contains("unrecognized")
        );
        assert!(told("x help apply status").contains("unrecognized"));
    }

    #[test]
    fn reboot_takes_its_value_only_after_an_equals_sign() {
        let parse = |args: &[&str]| match Cli::parse_from(args).verb {
            Verb::Apply(args) => (args.reboot, args.packages),
            _ => unreachable!("only apply is parsed here"),
        };
        let name = vec!["always".to_string()];
        assert_eq!(parse(&["x", "apply", "--reboot", "always"]), (Some(Reboot::IfNeeded), name));
        assert_eq!(parse(&["x", "apply", "--reboot=always"]), (Some(Reboot::Always), vec![]));
    }
}
