//! A command as data.

use std::path::PathBuf;

/// A command as data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Found on PATH.
    pub program: &'static str,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables it gets beside the inherited ones.
    pub env: &'static [(&'static str, &'static str)],
    /// Likewise, except those that the caller has set.
    pub env_defaults: &'static [(&'static str, &'static str)],
    /// Variables that it does not get.
    pub withheld: &'static [&'static str],
    /// Variables that name a file of this run.
    pub vars: Vec<(&'static str, PathBuf)>,
    /// Where set, the child inherits a descriptor for machine-readable progress, and this
    /// argument, with `{}` replaced by its number, goes first.
    pub status_arg: Option<&'static str>,
    /// What it reads from its standard input; `/dev/null` where that is nothing.
    pub input: &'static str,
    /// Settings that are put behind the administrator's for this command alone.
    pub settings: &'static str,
    /// Where set, this argument, with `{}` replaced by the manager's private directory, goes first.
    pub private_arg: Option<&'static str>,
}

impl Invocation {
    /// The command line for logs.
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
