//! What only some package managers can or need.

use super::facts::Elsewhere;
use crate::model::failure::Failure;
use crate::model::refreshed::Refreshed;
use crate::system::process::{Finished, Invocation};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The question for the manager's configuration. Its answer is kept as long as nothing that it depends on changes.
#[derive(Debug)]
pub struct Locate {
    /// Asks it.
    pub ask: fn() -> Invocation,
    /// Files that the answer depends on, beside [`Facts::source_config`](super::facts::Facts::source_config) and the package database.
    pub files: &'static [&'static str],
    /// Beginnings of the names of variables with which the answer is not kept.
    pub variables: &'static [&'static str],
    /// What of the answer is kept: what is read out of it, and no secret.
    pub of_use: fn(&str) -> String,
    /// Whether the text of one of those files makes the answer depend on what stands in none of them.
    pub depends_on_more: fn(&str) -> bool,
    /// Whether the answer names a file on which it depends and that is none of those.
    pub is_elsewhere: fn(&str) -> bool,
}

/// The sources as the manager is configured.
#[derive(Debug)]
pub struct SourceList {
    /// Asks for them.
    pub ask: fn() -> Invocation,
    /// The manager's own settings, which decide about the answer as the sources do.
    pub settings: &'static [&'static str],
    /// The variable that names one more such file.
    pub variable: &'static str,
    /// What a refresh that ended by itself did, given the answer.
    pub judge: fn(&Finished, &str) -> Refreshed,
    /// The files that hold the index, given the answer; those that the sources do not have are not there.
    pub files: fn(&str) -> Vec<PathBuf>,
    /// The sources of which a refresh leaves open whether what came was theirs; and what fetches the file in
    /// question once more, into the one named behind it, saying from where.
    pub doubts: fn(&Finished) -> Vec<(String, Invocation)>,
    /// Whether that shows that it was another's: why, given the arguments.
    pub is_others: fn(&[String], &Finished) -> Option<Failure>,
    /// The Release files that came in a refresh: the manager passes one over without a word that is older than its own.
    pub came: fn(&Finished) -> Vec<Came>,
    /// The names that the files of a source may have in the directory of the index, given the first answer and
    /// the source: without them what came is fetched anew.
    pub files_of: fn(&str, &str) -> Vec<String>,
    /// The first file that a source names as its own and that is not in the directory of the index, though the
    /// manager said nothing of it.
    pub lacks: fn(&str, &str, &Path) -> Option<String>,
    /// The file of the index that the manager could not read, so that all of it is of no use, and its words.
    pub unreadable: fn(&Finished) -> Option<(PathBuf, String)>,
}

/// A file that came in a refresh.
#[derive(Debug)]
pub struct Came {
    /// The source that it is of.
    pub id: String,
    /// The name under which it is kept in the directory of the index.
    pub file: String,
    /// What fetches it once more, into the file named behind it.
    pub again: Invocation,
}

/// How a refresh that is ended before its time is ended, and what it did then. It is ended gently, after which
/// the index may hold new lists of what a source offers beside an old index of it.
#[derive(Debug)]
pub struct EndedEarly {
    /// Whether a file in the directory of the index is such a list.
    pub is_list: fn(&str) -> bool,
    /// What became of each configured source, given the answer of [`SourceList::ask`] and what lay in the
    /// directory of the index at the start, just before the end and after it.
    pub read: fn(&Finished, &str, [&IndexDir; 3]) -> Vec<Ended>,
}

/// The files in the directory of the index.
pub type IndexDir = HashMap<String, IndexFile>;

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexFile {
    /// Tells a file from the one that replaces it.
    pub inode: u64,
    /// When it was published.
    pub modified: Option<std::time::SystemTime>,
    /// What it says, where it is a list of what a source offers.
    pub text: Option<Vec<u8>>,
}

/// What became of a source in a refresh that was ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The source.
    pub id: String,
    /// Whether the refresh was done with it.
    pub is_done: bool,
    /// Why it failed, if that was before the end.
    pub error: Option<Failure>,
    /// Its lists of what it offers, which are put back as they were where the refresh was not done with it.
    pub lists: Vec<String>,
}

/// A file with settings that takes the place of the administrator's.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The variable that names it.
    pub variable: &'static str,
    /// Where the administrator's settings are; the first file that is there counts.
    pub files: &'static [&'static str],
    /// Directories with more of them, `*.conf`; one in a later directory takes the place of those
    /// with its name in earlier ones.
    pub directories: &'static [&'static str],
    /// Where ours is, given the place of the selection.
    pub path: fn(&Path) -> PathBuf,
    /// What stands in ours behind the administrator's, given the place of the selection.
    pub text: fn(&Path) -> String,
    /// Where the administrator's settings say that the administrator's own selection is.
    pub base: fn(&str) -> Option<PathBuf>,
    /// What else they put in other places than the usual.
    pub elsewhere: fn(&str) -> Elsewhere,
    /// What of the administrator's counts for every command of ours, where that is not all of it.
    pub kept: Option<fn(&str) -> String>,
}
