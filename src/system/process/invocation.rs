//! A command as data.

use std::path::PathBuf;

/// A command as data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The program, found on PATH.
    pub program: &'static str,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables that it gets beside the inherited ones.
    pub env: &'static [(&'static str, &'static str)],
    /// Variables that it gets unless the caller has set them.
    pub env_defaults: &'static [(&'static str, &'static str)],
    /// Variables that it does not get.
    pub withheld: &'static [&'static str],
    /// Variables that name a file of this run.
    pub vars: Vec<(&'static str, PathBuf)>,
    /// If set, the child inherits a descriptor for machine-readable progress. This argument, with its number in the
    /// place of `{}`, goes first.
    pub progress_arg: Option<&'static str>,
    /// What it reads from standard input; `/dev/null` if empty.
    pub input: &'static str,
    /// What this command alone needs behind the administrator's settings; what is written for it is for the manager to
    /// say.
    pub settings: &'static str,
    /// If set, this argument goes first, with the directory of our own index in the place of `{}`.
    pub private_arg: Option<&'static str>,
}

impl Invocation {
    /// A program with these arguments.
    pub fn of(program: &'static str, args: impl IntoIterator<Item = impl Into<String>>) -> Invocation {
        Invocation { program, ..Invocation::default() }.with(args)
    }

    /// This command with more arguments behind the others.
    pub fn with(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Invocation {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// This command with more arguments before the first that is this word.
    pub fn with_before(mut self, word: &str, args: impl IntoIterator<Item = String>) -> Invocation {
        let at = self.args.iter().position(|arg| arg == word).unwrap_or_default();
        self.args.splice(at..at, args);
        self
    }

    /// The command line as logs show it.
    pub fn line(&self) -> String {
        let mut line = self.program.to_string();
        for arg in &self.args {
            line.push(' ');
            line.push_str(arg);
        }
        if !self.input.is_empty() {
            line.push_str(&format!(" <<<{:?}", self.input));
        }
        line
    }
}
