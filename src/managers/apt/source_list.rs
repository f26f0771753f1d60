//! Asks apt which sources are configured, and reads the answer.

use super::commands::apt_get;
use super::sources::{ENDS, Source, Target, parse};
use super::{errors, redirect, refresh, settings, sources};
use crate::managers::capabilities::{Came, Listed, SourceList};
use crate::model::failure::Failure;
use crate::model::refreshed::Refreshed;
use crate::system::process::{Finished, Invocation};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Asks `apt-get indextargets`.
pub struct Configured;

const FORMAT: &str = "$(REPO_URI)\t$(RELEASE)\t$(METAKEY)\t$(CREATED_BY)\t$(FILENAME)";

impl SourceList for Configured {
    fn ask(&self) -> Invocation {
        apt_get(&[], &["--no-release-info", "--format", FORMAT, "indextargets"])
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
        let sources = parse(answer);
        let targets = sources.iter().flat_map(|source| &source.targets);
        let needed = targets.filter(|target| target.is_needed());
        needed.flat_map(|target| ENDS.map(|end| PathBuf::from(format!("{}{end}", target.path)))).collect()
    }

    fn doubts(&self, finished: &Finished) -> Vec<(String, Invocation)> {
        redirect::doubts(finished)
    }

    fn is_others(&self, args: &[String], finished: &Finished) -> Option<Failure> {
        redirect::is_others(args, finished)
    }

    fn came(&self, finished: &Finished, answer: Option<&str>) -> Vec<Came> {
        match answer {
            Some(answer) => redirect::came_of(finished, &parse(answer)),
            None => redirect::came(finished),
        }
    }

    fn files_of_each(&self, answer: &str) -> HashMap<String, Vec<String>> {
        let of_target = |target: &Target| ENDS.map(|end| format!("{}{end}", target.file()));
        let of_source = |source: &Source| -> Vec<String> {
            source.lists().into_iter().chain(source.targets.iter().flat_map(of_target)).collect()
        };
        parse(answer).iter().map(|source| (source.id(), of_source(source))).collect()
    }

    fn lacking(&self, answer: &str, index: &Path) -> HashMap<String, String> {
        parse(answer).iter().filter_map(|source| Some((source.id(), source.lacks(index)?))).collect()
    }

    fn listed(&self, id: &str, index: &Path) -> Vec<Listed> {
        sources::listed(id, index)
    }

    fn sums_of_packed(&self, paths: Vec<String>) -> Invocation {
        Invocation::of("sh", ["-c", SUMS_OF_PACKED, "sh"]).with(paths)
    }

    fn is_of_packed(&self, failure: &Failure) -> bool {
        const LIBRARIES: &[&str] = &["LZ4F: ", "ZSTD: ", "BZ2_bzread: ", "lzma_read: ", "gzread: "];
        LIBRARIES.iter().any(|library| failure.message.starts_with(library))
    }

    fn unreadable(&self, finished: &Finished) -> Option<(PathBuf, String)> {
        errors::unreadable(finished)
    }

    fn hosts(&self, text: &str) -> Vec<String> {
        sources::hosts(text)
    }
}

/// Only apt itself unpacks all that it packs. Without it nothing is printed: that is no file with another sum.
const SUMS_OF_PACKED: &str = r#"unpack="/usr/lib/apt/apt-helper cat-file"
$unpack /dev/null || exit
for file do
  sum=$($unpack "$file" 2>/dev/null | sha256sum)
  echo "${sum%% *}  $file"
done"#;
