//! What only some package managers can or need.

use super::facts::Elsewhere;
use super::machine::Machine;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::Refreshed;
use crate::system::process::{Finished, Invocation};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The question for the manager's configuration. Its answer is kept as long as nothing that it depends on changes.
pub trait Locate {
    /// Asks it.
    fn ask(&self) -> Invocation;

    /// Files that the answer depends on, beside [`Facts::source_config`](super::facts::Facts::source_config) and the
    /// package database.
    fn files(&self) -> &'static [&'static str] {
        &[]
    }

    /// With a variable whose name begins so, the answer is not kept.
    fn variables(&self) -> &'static [&'static str] {
        &[]
    }

    /// The part of the answer that is kept: what we read out of it, and no secret.
    fn of_use(&self, answer: &str) -> String;

    /// Whether the answer also depends on something that is in none of those files, by the text of one of them.
    fn depends_on_more(&self, _file: &str) -> bool {
        false
    }

    /// Whether the answer also depends on a file that is not among those.
    fn is_elsewhere(&self, _answer: &str) -> bool {
        false
    }
}

/// The sources as the manager is configured.
pub trait SourceList {
    /// Asks for them.
    fn ask(&self) -> Invocation;

    /// The manager's own settings, which decide about the answer as the sources do.
    fn settings(&self) -> &'static [&'static str];

    /// The variable that names one more such file.
    fn variable(&self) -> &'static str;

    /// What a refresh did that ended by itself, given the answer.
    fn judge(&self, finished: &Finished, answer: &str) -> Refreshed;

    /// The files that hold the index, given the answer. It also lists files that a source may have and does not.
    fn files(&self, answer: &str) -> Vec<PathBuf>;

    /// The sources for which the refresh leaves open whether the file that came is their own. With each, the command
    /// that fetches this file again and says from where; the name of the file to write is added at its end.
    fn doubts(&self, finished: &Finished) -> Vec<(String, Invocation)>;

    /// Whether that command shows that the file is another source's, and why, given its arguments.
    fn is_others(&self, args: &[String], finished: &Finished) -> Option<Failure>;

    /// The Release files that came in a refresh. The manager drops one without a word if it is older than the one that
    /// it has. Without an answer each is of the source whose address the manager printed.
    fn came(&self, finished: &Finished, answer: Option<&str>) -> Vec<Came>;

    /// The names that the files of each source may have in the directory of the index, given the answer. If they are
    /// removed, the next refresh fetches them again.
    fn files_of_each(&self, answer: &str) -> HashMap<String, Vec<String>>;

    /// For each source that lacks one, the first file that it lists and that is not in the directory of the index,
    /// though the manager said nothing of it.
    fn lacking(&self, answer: &str, index: &Path) -> HashMap<String, String>;

    /// The files in the directory of the index of which a file of this source says what they are.
    fn listed(&self, id: &str, index: &Path) -> Vec<Listed>;

    /// Prints the sums of packed files of the index, as sha256sum does with the unpacked ones.
    fn sums_of_packed(&self, paths: Vec<String>) -> Invocation;

    /// Whether the manager failed over a packed file of the index that it may not have named.
    fn is_of_packed(&self, failure: &Failure) -> bool;

    /// The file of the index that the manager could not read, with its words. The whole index is of no use then.
    fn unreadable(&self, finished: &Finished) -> Option<(PathBuf, String)>;

    /// The hosts in such a file of the configuration. A refresh asks all of them at once, and prints something about
    /// each only when it has answered.
    fn hosts(&self, text: &str) -> Vec<String>;
}

/// A file that configures the sources.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Its path.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Its place in its directory as the system lists that. Some managers read the files in this order.
    pub listed_at: usize,
}

/// What a file of the index should be.
#[derive(Debug)]
pub struct Listed {
    /// Where it is.
    pub path: PathBuf,
    /// How many bytes it has, unpacked.
    pub size: u64,
    /// Its SHA-256 sum, unpacked.
    pub sum: String,
    /// Whether it is kept packed.
    pub is_packed: bool,
}

/// A file that came in a refresh.
#[derive(Debug)]
pub struct Came {
    /// The source that it is of.
    pub id: String,
    /// The name under which it is kept in the directory of the index.
    pub file: String,
    /// Fetches it again, into the file whose name is added at its end.
    pub again: Invocation,
}

/// A refresh that is ended before its time, for a manager that is ended gently: the index may then hold a source's new
/// lists beside its old index.
pub trait EndedEarly {
    /// Whether a file in the directory of the index lists what a source offers.
    fn is_list(&self, name: &str) -> bool;

    /// What became of each configured source, given the answer to [`SourceList::ask`] and what lay in the
    /// directory of the index at the start, just before the end and after it.
    fn read(&self, finished: &Finished, answer: &str, dirs: [&IndexDir; 3]) -> Vec<Ended>;
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
    /// Its lists of what it offers. Where the refresh was not done with it they are put back as they were.
    pub lists: Vec<String>,
}

/// A refresh that asks one source after the other and does not say how far it has come. It replaces the file of the index
/// of each source when that has come whole.
pub trait InTurn {
    /// The sources in the order in which they are asked; `None` where only the manager knows it.
    fn order(&self, configured: &[ConfigFile]) -> Option<Vec<Asked>>;

    /// The refresh of these alone.
    fn only(&self, addresses: &[&str]) -> Invocation;

    /// A list or an install without those of these sources that failed; `None` where none did or none is left, or where
    /// a command line cannot say so.
    fn without(&self, command: &Invocation, sources: &[Asked], failed: &[String]) -> Option<Invocation>;
}

/// A source that is asked in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The source.
    pub id: String,
    /// What a command line takes for it.
    pub address: String,
    /// Whether an index of it is stored.
    pub is_stored: bool,
    /// The tag by which packages must be wanted from it, if it has one, as it is written: `@edge`.
    pub tag: Option<String>,
}

impl Asked {
    /// One of which nothing but its name is known.
    pub fn named(id: &str) -> Asked {
        Asked { id: id.to_string(), address: id.to_string(), is_stored: true, tag: None }
    }
}

/// The index of a source as one file, which is an archive of what it says about each package.
pub trait PackedIndex {
    /// Whether the index of this source is stored: that of a directory of this machine need not be.
    fn is_stored(&self, _id: &str) -> bool {
        true
    }

    /// The paths that this file may have, as patterns: whole ones, or below the directory of the index. Given the files
    /// that configure the sources.
    fn names(&self, id: &str, configured: &[ConfigFile]) -> Vec<String>;

    /// Whether a refresh says nothing of an index that it cannot store, and reads it all the same: the commands after it
    /// read the older one.
    fn is_read_unstored(&self) -> bool {
        false
    }

    /// Whether the times in the archive are those at which the index was made.
    fn has_times(&self) -> bool;

    /// When a package was built (seconds since 1970), by a line of the archive and the line before it.
    fn built(&self, before: &[u8], line: &[u8]) -> Option<i64>;
}

/// A package that may be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unneeded {
    /// Its name, as lists have it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
}

/// The removal of what was installed automatically and nothing needs any more.
pub trait Autoremove {
    /// Called before an install: makes sure that packages do not count as installed automatically if nobody knows that
    /// they were.
    fn note_before_install(&self) {}

    /// What that is, given the plain names of packages that are to stay. If one of these is listed all the same, it
    /// stays too.
    fn list(&self, machine: &dyn Machine, keep: &[String]) -> Result<Listing, Failure>;

    /// What else would be removed with some of them. Empty where the removal takes nothing by itself that is to stay.
    fn goes_with(&self, _machine: &dyn Machine, _packages: &[Unneeded]) -> Result<Listing, Failure> {
        Ok(Listing::default())
    }

    /// Removes them.
    fn remove(&self, keep: &[String], packages: &[Unneeded]) -> Invocation;
}

/// A file with settings that takes the place of the administrator's.
pub trait Settings {
    /// The variable that names it.
    fn variable(&self) -> &'static str;

    /// Where the administrator's settings are; the first file that is there counts.
    fn files(&self) -> &'static [&'static str];

    /// Directories with more of them, `*.conf`; one in a later directory takes the place of those
    /// with its name in earlier ones.
    fn directories(&self) -> &'static [&'static str] {
        &[]
    }

    /// Where our file is, given the place of the selection.
    fn path(&self, selection: &Path) -> PathBuf;

    /// What we add behind the administrator's settings, given the place of the selection.
    fn text(&self, _selection: &Path) -> String {
        String::new()
    }

    /// Where the administrator's own selection is, by the administrator's settings.
    fn base(&self, _settings: &str) -> Option<PathBuf> {
        None
    }

    /// What else these settings put in other places.
    fn elsewhere(&self, settings: &str) -> Elsewhere;

    /// What is added behind the administrator's settings for a command that asks for this
    /// ([`Invocation::settings`](crate::system::process::Invocation::settings)). Files that it names are written below
    /// `dir`, which is ours.
    ///
    /// # Errors
    /// When one cannot be written.
    fn added(&self, asked: &'static str, _theirs: &str, _dir: &Path) -> Result<String, Failure> {
        Ok(asked.to_string())
    }

    /// Whether some of the administrator's settings are left out of every command of ours.
    fn leaves_some_out(&self) -> bool {
        false
    }

    /// The administrator's settings without those.
    fn kept(&self, settings: &str) -> String {
        settings.to_string()
    }
}
