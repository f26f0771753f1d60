//! The sources as apt is configured.

use super::{errors, redirect, refresh, settings, sources};
use crate::managers::capabilities::{Came, SourceList};
use crate::model::failure::Failure;
use crate::model::refreshed::Refreshed;
use crate::system::process::{Finished, Invocation};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Asks `apt-get indextargets`.
pub struct Configured;

impl SourceList for Configured {
    fn ask(&self) -> Invocation {
        sources::ask()
    }

    fn settings(&self) -> &'static [&'static str] {
        settings::SETTINGS
    }

    fn variable(&self) -> &'static str {
        "APT_CONFIG"
    }

    fn judge(&self, finished: &Finished, answer: &str) -> Refreshed {
        refresh::judge_configured(finished, answer)
    }

    fn files(&self, answer: &str) -> Vec<PathBuf> {
        sources::files(answer)
    }

    fn doubts(&self, finished: &Finished) -> Vec<(String, Invocation)> {
        redirect::doubts(finished)
    }

    fn is_others(&self, args: &[String], finished: &Finished) -> Option<Failure> {
        redirect::is_others(args, finished)
    }

    fn came(&self, finished: &Finished) -> Vec<Came> {
        redirect::came(finished)
    }

    fn files_of_each(&self, answer: &str) -> HashMap<String, Vec<String>> {
        sources::files_of_each(answer)
    }

    fn lacking(&self, answer: &str, index: &Path) -> HashMap<String, String> {
        sources::lacking(answer, index)
    }

    fn unreadable(&self, finished: &Finished) -> Option<(PathBuf, String)> {
        errors::unreadable(finished)
    }

    fn hosts(&self, text: &str) -> Vec<String> {
        sources::hosts(text)
    }
}
