//! The package managers as a table of data and pure functions. Adding one is a new file and a
//! word in [`MANAGERS`]; nothing else in the program asks for a manager's name.

use crate::model::outcome::{Class, Failure, HeldBack, Listing, Refreshed, SourceResult, one_line};
use crate::system::lock_holders;
use crate::system::process::{End, Finished, Invocation};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything the program knows about one package manager. The functions do no I/O: they make
/// command lines and read what those printed.
#[derive(Debug)]
pub struct Backend {
    /// Its name on the command line and in the state.
    pub name: &'static str,
    /// The program that is run, then what else the file may be called that a link of another name
    /// leads to.
    pub programs: &'static [&'static str],
    /// The systems it owns, as `ID` or `ID_LIKE` in os-release(5) name them.
    pub systems: &'static [&'static str],
    /// The files that every install rewrites, under the names they have had; where one exists the
    /// manager owns the system.
    pub package_databases: &'static [&'static str],
    /// Files and directories that configure the sources; of a directory only what it reads.
    pub source_config: &'static [&'static str],
    /// Beside those and the package database, what decides which updates are pending.
    pub index: &'static [&'static str],
    /// The directory below which it keeps the index.
    pub cache: &'static str,
    /// Lock files of the manager that the kernel knows about.
    pub locks: &'static [&'static str],
    /// Lock files of the manager that only hold the number of the process.
    pub pid_files: &'static [&'static str],
    /// Files whose existence says that a reboot is required.
    pub reboot_flags: &'static [&'static str],
    /// Packages that were put to use at the start, and in new versions are only by another.
    pub reboot_packages: RebootPackages,
    /// Where the names of installed kernels tell their versions.
    pub kernels: Kernels,
    /// What repairs an install that was cut off, given what that left: commands to be run one after
    /// the other until the package database is whole; none where the next install mends all there is
    /// to mend.
    pub repair: fn(&Places, &Damage) -> Vec<Invocation>,
    /// Whether security updates can be told from others, where the sources say it.
    pub knows_security: bool,
    /// Whether a PACKAGE argument follows the manager's naming rules.
    pub is_package_name: fn(&str) -> bool,
    /// A package name as the lists have it, without the architecture.
    pub plain_name: fn(&str) -> &str,
    /// The refresh, given its whole time budget.
    pub refresh: fn(Duration) -> Invocation,
    /// What a refresh that ended by itself did, source by source.
    pub judge: fn(&Finished) -> Refreshed,
    /// Lists what is pending as a refresh would.
    pub pending: fn(&Plan) -> Invocation,
    /// Reads that list.
    pub parse_pending: fn(&str) -> Listing,
    /// Lists what the plan would install, without changing anything.
    pub list: fn(&Plan) -> Invocation,
    /// Reads that list.
    pub parse_list: fn(&str) -> Listing,
    /// Asks where the newer versions of these packages can be had, or what they are; `None` where
    /// the manager cannot say more of them.
    pub ask_origins: Option<fn(&[&str]) -> Invocation>,
    /// Reads the answer, by package.
    pub parse_origins: fn(&str) -> HashMap<String, Vec<Origin>>,
    /// Lists what the named packages need, without changing anything.
    pub list_needs: fn(&Plan, &[String]) -> Invocation,
    /// Downloads what the plan installs. Where there is none, the install fetches each package as
    /// it comes to it, leaves out what it cannot get, and may be run once more.
    pub download: Option<fn(&Plan) -> Invocation>,
    /// Installs what was downloaded, given the download's output.
    pub install: fn(&Plan, &Finished) -> Invocation,
    /// Whether an install that ended has begun to change packages.
    pub install_began: fn(&Finished) -> bool,
    /// Why a command failed that ended by itself; `None` when it did what it was to do. The exit
    /// code is only one of the signs.
    pub classify: fn(&Finished) -> Option<Failure>,
    /// Lists the installed packages.
    pub list_installed: fn(&Places) -> Invocation,
    /// Reads that list.
    pub parse_installed: fn(&str, &Places) -> Installed,
    /// What it needs that most managers do not.
    pub quirks: Quirks,
}

/// What single managers need. A row names what is so with its manager, the others nothing of it.
#[derive(Debug)]
pub struct Quirks {
    /// Whether a line says that the manager waits for such a lock, which it cannot be told not to.
    pub waits_for_lock: fn(&str) -> bool,
    /// A lock file beside the package database that is there while it is held. Its holder has it
    /// open; one that nobody has open was left by a process that was killed.
    pub lock_by_existence: Option<&'static str>,
    /// Where the running kernel's modules lie in a directory of its release, if an update of the
    /// kernel takes that away.
    pub kernel_modules: Option<&'static str>,
    /// Directory of the manager's journal beside its database, and which file names in it tell of
    /// an install that was cut off.
    pub journal: (&'static str, fn(&str) -> bool),
    /// Ends the install of packages that are unpacked, for a manager that leaves those where another
    /// package of the same run fails.
    pub finish: Option<fn(&Places, &[&str]) -> Invocation>,
    /// Makes an install go on past what fails in it, for a manager that stops there.
    pub past_failures: Option<fn(Invocation) -> Invocation>,
    /// Asks whether all dependencies of what is installed are met, for a manager that else does nothing
    /// but mend them, given [`Plan::mends`].
    pub check: Option<fn() -> Invocation>,
    /// How a person installs this package once more.
    pub reinstall: fn(&str) -> String,
    /// Its history, where that tells what a run of it that was cut off has left.
    pub history: Option<&'static History>,
    /// Whether it keeps several versions of the package with this name by its own rules, given what
    /// the package provides and the lines of the manager's configuration.
    pub keeps_several: fn(&str, &[&str], &str) -> bool,
    /// Asks what packages provide, for that.
    pub ask_provides: Option<fn(&[&str]) -> Invocation>,
    /// The files and directories of that configuration.
    pub rules: &'static [&'static str],
    /// Whether a repair fetches packages. It then comes after the refresh, and only where every source
    /// was refreshed.
    pub repair_fetches: bool,
    /// Asks the manager for its configuration, for its own idea of [`Places`] and for limits.
    pub locate: Option<&'static Locate>,
    /// Where it has not: files, and directories of files `*.repo`, whose text is its configuration.
    pub settings_in: &'static [&'static str],
    /// The files that a file of the configuration includes, where such can be anywhere. The first of
    /// [`Backend::source_config`] is the one that the manager reads.
    pub includes: Option<fn(&str) -> Vec<String>>,
    /// Reads the answer over the usual places.
    pub parse_places: fn(Places, &str) -> Places,
    /// Why only all updates of all sources may be installed together, where that is so.
    pub only_whole: Option<&'static str>,
    /// The directory of our own in which the index is refreshed, for a manager whose own index
    /// must not become newer than the packages.
    pub private: Option<&'static Private>,
    /// The refresh to run next where one stopped at sources that failed, so that the others are
    /// refreshed too. What they print is read as one.
    pub refresh_others: fn(&Invocation, &Finished) -> Option<Invocation>,
    /// Asks for the identifiers of the sources, where a refresh that fails may not have come to all of
    /// them.
    pub ask_sources: Option<fn() -> Invocation>,
    /// Reads them; one a line unless the manager says it otherwise.
    pub parse_sources: fn(&str) -> Vec<String>,
    /// Reads them from the configuration, where the manager could not even begin.
    pub sources_in: fn(&str) -> Vec<String>,
    /// How much of the time that is left one run of a refresh may take, where others may have to follow.
    pub share: fn(Duration) -> Duration,
    /// Puts the limits that the administrator has set into a refresh, in the place of ours, given the
    /// answer to [`Quirks::locate`].
    pub with_limits: fn(Invocation, &str) -> Invocation,
    /// How long it may be silent with its own limits, given such a command and that answer.
    pub longest_silence: fn(&Invocation, &str) -> Duration,
    /// For managers whose refresh names mirrors, or not all sources: what they are by configuration.
    pub configured: Option<&'static SourceList>,
    /// For managers that keep nothing of any source before they are done with all: the refresh of one
    /// source alone, given that of all.
    pub alone: Option<fn(&Invocation, &str) -> Invocation>,
    /// Directories that take the place of [`Backend::cache`] where they are there.
    pub caches: &'static [&'static str],
    /// The refresh without this source, for those.
    pub leave_out_source: fn(Invocation, &str) -> Invocation,
    /// Reads places out of the answer to [`Quirks::locate`].
    pub elsewhere: fn(&str) -> Elsewhere,
    /// What a refresh did that was ended before its time, as far as what it printed shows that: the sources it
    /// was done with, without an error, and those that failed by themselves.
    pub read_cut: fn(&Finished) -> Vec<SourceResult>,
    /// The same for managers whose words do not show it.
    pub ended_early: Option<&'static EndedEarly>,
    /// Whether a path below [`Backend::cache`], or below the private directory of the index, is that of a file
    /// without which a source has no index. It must keep its name from one refresh to the next.
    pub is_index: fn(&str) -> bool,
    /// What is pending, where the refresh says that too.
    pub pending_of_refresh: fn(&Finished) -> Option<Listing>,
    /// Questions whose answers complete that list, asked in turn.
    pub completions: &'static [Completion],
    /// For managers whose [`Backend::parse_origins`] reads advisories, each with the version that settles it.
    pub advisories: Option<Advisories>,
    /// Whether [`Backend::list_needs`] takes the names of packages that are not installed.
    pub needs_of_new: bool,
    /// Whether these lists name the installed versions.
    pub lists_installed: bool,
    /// Whether they hold nothing that only sources offer which were not refreshed, given
    /// [`Plan::without`].
    pub lists_refreshed_only: bool,
    /// For managers whose lists do not say what stays as it is: lists every newer version.
    pub newer: Option<NewerList>,
    /// For managers that read from a file what to leave out: the usual place of the administrator's
    /// own file of that kind, and what goes into [`Plan::selection`] before that.
    pub selection: Option<SelectionFile>,
    /// For managers that a variable can tell to read settings of ours instead of the administrator's.
    pub settings: Option<Settings>,
    /// For managers that keep the old index of a source which could not be refreshed.
    pub unrefreshed: Option<Unrefreshed>,
    /// For managers that use an index which has come to the end of its own validity.
    pub expiry: Option<Expiry>,
    /// What a download says will be installed, where that is more exact than the list before it.
    pub plan_of_download: fn(&Finished) -> Option<Listing>,
    /// Whether an install that a signal ended had done all its work.
    pub ended_well: fn(&Finished) -> bool,
    /// For managers whose success does not say that all files are there.
    pub audit: Option<Audit>,
    /// Asks which packages that were installed since the start their advisories want a reboot for, and reads
    /// the answer. It may fetch much, so it is asked after an install alone.
    pub reboot_hint: Option<RebootHint>,
    /// What to look at after an install, which is no failure: one line each.
    pub notes: fn(&Finished) -> Vec<String>,
    /// Whether an install that ended well is to be run once more, because the manager itself was
    /// updated and has left the rest for its new version.
    pub asks_to_run_again: fn(&Finished) -> bool,
    /// The updates that kept a list, a download or a check before the install from succeeding, and without
    /// which the others can be installed; each with its class and reason.
    pub culprits: fn(&Finished) -> Vec<HeldBack>,
    /// For managers that begin to unpack on a system that is mounted read-only, and leave packages half
    /// installed: asks for what the administrator runs before an install, which may make it writable.
    pub before_install: Option<AskHooks>,
    /// The packages that an install removed because others have taken over all their files.
    pub disappeared: fn(&Finished) -> Vec<String>,
    /// For managers that look at no more than the size of a package they find in their cache.
    pub cached: Option<Cached>,
    /// A source for whose want of a key the manager refused to do anything at all.
    pub keyless: fn(&Finished) -> Option<String>,
    /// Culprits likewise, where that takes the configuration, as [`Quirks::locate`] asks for it.
    pub culprits_of_sources: fn(&Failure, &Finished, &str) -> Vec<HeldBack>,
    /// Whether a package with this name brings the keys of others.
    pub is_keyring: fn(&str) -> bool,
    /// The file in the package database that a package with this name and version has once it is
    /// installed whole, where the list does not tell.
    pub entry: Option<fn(&str, &str) -> String>,
    /// What shows that the package database was lost, for a manager to which nothing is installed then, and
    /// so nothing pending.
    pub lost_database: fn(&Places) -> Option<String>,
    /// Percent and words of a line of the progress descriptor.
    pub progress: fn(&str) -> Option<(f64, &str)>,
}

impl Quirks {
    /// A manager without any.
    pub const NONE: Quirks = Quirks {
        waits_for_lock: |_| false,
        lock_by_existence: None,
        kernel_modules: None,
        journal: ("", |_| false),
        finish: None,
        past_failures: None,
        check: None,
        reinstall: |name| format!("install {name} again"),
        history: None,
        keeps_several: |_, _, _| false,
        ask_provides: None,
        rules: &[],
        repair_fetches: false,
        locate: None,
        settings_in: &[],
        includes: None,
        parse_places: |usual, _| usual,
        only_whole: None,
        private: None,
        refresh_others: |_, _| None,
        ask_sources: None,
        sources_in: |_| Vec::new(),
        with_limits: |invocation, _| invocation,
        longest_silence: |_, _| Duration::ZERO,
        parse_sources: |stdout| stdout.lines().filter(|line| !line.trim().is_empty()).map(one_line).collect(),
        configured: None,
        alone: None,
        caches: &[],
        leave_out_source: |invocation, _| invocation,
        elsewhere: |_| Elsewhere::default(),
        read_cut: |_| Vec::new(),
        share: |left| left,
        ended_early: None,
        is_index: |_| false,
        pending_of_refresh: |_| None,
        completions: &[],
        advisories: None,
        needs_of_new: false,
        lists_installed: false,
        lists_refreshed_only: true,
        newer: None,
        selection: None,
        settings: None,
        unrefreshed: None,
        expiry: None,
        plan_of_download: |_| None,
        ended_well: |_| false,
        audit: None,
        reboot_hint: None,
        notes: |_| Vec::new(),
        asks_to_run_again: |_| false,
        culprits: |_| Vec::new(),
        before_install: None,
        is_keyring: |_| false,
        disappeared: |_| Vec::new(),
        cached: None,
        keyless: |_| None,
        culprits_of_sources: |_, _, _| Vec::new(),
        entry: None,
        lost_database: |_| None,
        progress: |_| None,
    };
}

/// The usual place of the administrator's own file, and what makes ours.
pub type SelectionFile = (&'static str, fn(&Plan) -> String);

/// Asks which packages want a reboot, and reads their names.
pub type RebootHint = (fn() -> Invocation, fn(&str) -> Vec<String>);

/// Lists every newer version, installable or not, and reads that list.
pub type NewerList = (fn() -> Invocation, fn(&str) -> Vec<HeldBack>);

/// How to find out whether packages that lay in the cache before a download are whole: a power cut leaves
/// files of the right size with nothing in them.
#[derive(Clone, Copy, Debug)]
pub struct Cached {
    /// Asks what the index knows of the packages that the download found there, if it found any.
    pub ask: fn(&Listing, &Finished) -> Option<Invocation>,
    /// Reads the files and their SHA-256 from the answer.
    pub files: fn(&str, &Places) -> Vec<(PathBuf, String)>,
}

/// Asks for the settings, and says whether anything is run before an install.
pub type AskHooks = (fn() -> Invocation, fn(&str) -> bool);

/// Compares all files with what was installed, and says what is wrong with those of the changed
/// packages (name and version), and how that is mended.
pub type Audit = (fn() -> Invocation, fn(&str, &[(&str, &str)]) -> Option<Failure>);

/// The question for the manager's configuration. Its answer is kept as long as nothing that it depends on changes.
#[derive(Debug)]
pub struct Locate {
    /// Asks it.
    pub ask: fn() -> Invocation,
    /// Files that the answer depends on, beside [`Backend::source_config`] and the package database.
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
    /// The names that the files of a source may have in the directory of the index, given the first answer and
    /// the source: without them what came is fetched anew.
    pub files_of: fn(&str, &str) -> Vec<String>,
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

/// A directory with an entry for each installed kernel, such as `vmlinuz-6.1.0-13-amd64`.
#[derive(Debug)]
pub struct Kernels {
    /// The directory.
    pub dir: &'static str,
    /// What stands before the version: it depends on the architecture.
    pub prefixes: &'static [&'static str],
}

impl Kernels {
    /// Where most distributions keep them.
    pub const IN_BOOT: Kernels =
        Kernels { dir: "/boot", prefixes: &["vmlinuz-", "vmlinux-", "Image-", "image-"] };
}

/// Packages that require a restart once they were installed since the last.
#[derive(Debug)]
pub struct RebootPackages {
    /// Their names.
    pub names: &'static [&'static str],
    /// Directories in which the administrator names more of them, one a line of a file `*.conf`.
    pub directories: &'static [&'static str],
}

impl RebootPackages {
    /// None, or the manager looks after that itself.
    pub const NONE: RebootPackages = RebootPackages { names: &[], directories: &[] };
}

/// A directory of our own, below the state directory, that a manager takes for that of its package
/// database: a link leads to the packages of the system, the index in it is ours.
#[derive(Debug)]
pub struct Private {
    /// Its name.
    pub dir: &'static str,
    /// The name in it of the link to the package database.
    pub link: &'static str,
    /// The name in it of the lock of a manager that works with it.
    pub lock: &'static str,
    /// Where in it the files of the index are.
    pub index: &'static str,
    /// The file there that holds the index of a source.
    pub file: fn(&str) -> String,
    /// The sources that the administrator's configuration has the manager refresh.
    pub sources: fn(&str) -> Vec<String>,
    /// Whether the manager fetches by itself, by that configuration. What another program stores is the only
    /// evidence that it fetched something.
    pub fetches_by_itself: fn(&str) -> bool,
    /// That other program, in words.
    pub fetcher: &'static str,
    /// The sources whose files a listing could not read, and why.
    pub unreadable: fn(&Finished) -> Vec<SourceResult>,
    /// The name in it of the directory from which the install gets index and packages.
    pub mirror: &'static str,
    /// The directories with downloaded packages, by the administrator's configuration.
    pub downloads: fn(&str) -> Vec<PathBuf>,
    /// Name and version of the package to which a file there belongs.
    pub package_of: fn(&str) -> Option<&str>,
    /// The numbers of keys that a download misses, in hexadecimal, where it does not say for which packages.
    pub missing_keys: fn(&Finished) -> Vec<String>,
    /// The name in it of the configuration with which the system gets the same index.
    pub config: &'static str,
    /// Asks for the administrator's configuration.
    pub ask_config: fn() -> Invocation,
    /// Makes ours of the answer, given that directory.
    pub make_config: fn(&str, &Path) -> String,
}

/// A question that completes a list of what is pending, if there is anything to ask, given the list
/// so far and the answer to the question before; and what adds its answer.
pub type Completion = (fn(&Plan, &Listing, &str) -> Option<Invocation>, fn(&str, Listing) -> Listing);

/// What a list of advisories needs.
#[derive(Clone, Copy, Debug)]
pub struct Advisories {
    /// Compares two versions: an advisory holds for an update from a version below its own to its own or
    /// one above.
    pub compare: fn(&str, &str) -> Ordering,
    /// Asks for the advisories that what is installed has settled: where there are any, sources tell
    /// security updates from others.
    pub ask_settled: fn() -> Invocation,
    /// Lists what would be done for security updates alone. No list of advisories speaks of packages that are not
    /// installed and would come in the place of others.
    pub list_security: fn() -> Invocation,
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

/// How to find out what is owned by sources that could not be refreshed: a package stays as it is
/// while the source that has the say about it, by its priority, cannot speak.
#[derive(Clone, Copy, Debug)]
pub struct Unrefreshed {
    /// Lists the configured sources.
    pub ask: fn() -> Invocation,
    /// Reads that list.
    pub parse: fn(&str) -> Vec<Configured>,
    /// Where in the cache the index of a source is, if it was ever fetched.
    pub index: fn(&str) -> Vec<PathBuf>,
}

/// How to find out which sources have an index that is past its own date of validity.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// Files in the cache, as a pattern, without which no index has such a date.
    pub files: &'static str,
    /// What says it.
    pub ask: fn() -> Invocation,
    /// The sources of which it is said.
    pub parse: fn(&str) -> Vec<SourceResult>,
}

/// A source as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// As [`Refreshed`] names it.
    pub id: String,
    /// As a command line names it.
    pub argument: String,
    /// The lower, the more it has to say.
    pub priority: i64,
    /// Whether it is in use.
    pub is_enabled: bool,
}

/// Places that the administrator's settings name instead of the usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// The directory below which the index is kept; `None` for the usual.
    pub cache: Option<PathBuf>,
    /// Files and directories that configure the sources.
    pub sources: Vec<String>,
    /// What else decides about what is pending.
    pub index: Vec<String>,
    /// Directories with more of [`Quirks::rules`].
    pub rules: Vec<String>,
    /// The file of [`HistoryPlace::File`].
    pub history: Option<PathBuf>,
}

/// What an apply is to install.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Also what needs removals.
    pub full: bool,
    /// Only what mends dependencies that are not met.
    pub mends: bool,
    /// Sources not to install from, because they were not refreshed.
    pub without: Vec<String>,
    /// The sources that were refreshed, where some were not.
    pub from: Vec<String>,
    /// Sources whose packages are to be verified, and that have no key.
    pub keyless: Vec<String>,
    /// Packages to leave as they are.
    pub left_out: Vec<String>,
    /// Installed packages in whose place another would come, which is left out, and which are to stay too.
    pub kept: Vec<String>,
    /// Versions, by package, to leave out in favour of older ones, because their sources were not refreshed.
    pub passed_over: BTreeSet<(String, String)>,
    /// Where their names are written for the manager; `None` when nothing is left out, or the
    /// manager is told by arguments.
    pub selection: Option<PathBuf>,
}

impl Plan {
    /// The names of all packages that are to stay as they are.
    pub fn staying(&self) -> impl Iterator<Item = &String> {
        self.left_out.iter().chain(self.kept.iter().filter(|name| !self.left_out.contains(name)))
    }
}

/// Where the manager's configuration puts what we look at ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The package database.
    pub database: PathBuf,
    /// The directory below which the manager keeps the index.
    pub cache: PathBuf,
    /// The administrator's file of the kind that [`Backend::selection`] makes.
    pub selection_base: PathBuf,
    /// The native architecture; empty where it is not known.
    pub architecture: String,
    /// Where downloaded packages are kept, where that is looked at.
    pub archives: PathBuf,
}

/// A source that offers a version newer than the installed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The source, as [`Refreshed`] names it.
    pub source: String,
    /// Whether it is a source of security updates.
    pub is_security: bool,
    /// Whether the version is the one that would be installed.
    pub is_candidate: bool,
    /// The version, where the manager tells it; they are listed from new to old.
    pub version: Option<String>,
    /// The priority that the administrator or the source gives it, where there is one.
    pub priority: i64,
}

/// The packages on the system, by name.
pub type Installed = BTreeMap<String, InstalledPackage>;

/// One installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Its version.
    pub version: String,
    /// Its architecture, in the manager's words.
    pub architecture: String,
    /// Whether an install of it was begun and not ended.
    pub is_broken: bool,
    /// Whether that only waits for its last step, which runs its scripts.
    pub is_unpacked: bool,
    /// Whether it has to be installed once more, which no repair does.
    pub needs_reinstall: bool,
    /// Other versions of it in the package database: because somebody or a rule of the manager wants
    /// them there, or because an install that was cut off left them.
    pub others: Vec<OtherVersion>,
    /// Whether the administrator holds it.
    pub is_held: bool,
    /// When it was installed, in seconds since 1970, where the list tells.
    pub installed_at: Option<i64>,
}

/// A version of a package that stands beside another in the package database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherVersion {
    /// The version.
    pub version: String,
    /// When it was installed, in seconds since 1970, where the list tells.
    pub installed_at: Option<i64>,
}

/// What an install that was cut off left in the package database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// The packages of which an install was begun and not ended.
    pub broken: Vec<String>,
    /// Those of them that have to be installed once more.
    pub needs_reinstall: Vec<String>,
    /// Versions that were to go.
    pub leftovers: Vec<Leftover>,
    /// What the manager says of dependencies that are not met, if it was asked.
    pub unmet: Option<String>,
}

impl Damage {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.broken.is_empty() && self.leftovers.is_empty() && self.unmet.is_none()
    }
}

/// A version that an install which was cut off was to replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The name of the package, as lists have it.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// The version that was to go.
    pub version: String,
    /// The version that came.
    pub newer: String,
    /// The package that came in its place, where that is another one.
    pub obsoleter: Option<String>,
}

/// What the manager's own history says of a run of it that was cut off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutOff {
    /// When that began, in seconds since 1970, where the history tells.
    pub began: Option<i64>,
    /// The versions that came, as `name-version-release.architecture`.
    pub comes: Vec<String>,
    /// The versions that were to go.
    pub goes: Vec<String>,
}

/// Where a manager keeps a history from which runs that were cut off can be told.
#[derive(Debug)]
pub struct History {
    /// Where its latest entries are.
    pub place: HistoryPlace,
    /// Reads them.
    pub parse: fn(&str) -> Vec<CutOff>,
}

/// Where the entries of a history are.
#[derive(Debug)]
pub enum HistoryPlace {
    /// The manager is asked for them; and for more about some, where it answers no more than what they
    /// are.
    Asked(fn() -> Invocation, Option<fn(&str) -> Option<Invocation>>),
    /// At the end of a file.
    File(&'static str),
    /// In the files of a directory whose names begin so. Each line is read with its file's name before it.
    Files(&'static str, &'static str),
}

impl Backend {
    /// Everything whose change can change what is pending.
    pub fn pending_basis(&self) -> Vec<&'static str> {
        [self.package_databases, self.source_config, self.index].concat()
    }

    /// Everything that configures the sources, with what the administrator has put elsewhere.
    pub fn source_places<'a>(&self, elsewhere: &'a [String]) -> Vec<&'a str> {
        self.source_config.iter().copied().chain(elsewhere.iter().map(String::as_str)).collect()
    }

    /// The files that every install rewrites, with where the administrator has put them.
    pub fn database_places<'a>(&self, elsewhere: &'a [String]) -> Vec<&'a str> {
        self.package_databases.iter().copied().chain(elsewhere.iter().map(String::as_str)).collect()
    }

    /// Where things are unless the manager is configured otherwise.
    pub fn usual_places(&self) -> Places {
        Places {
            database: PathBuf::from(self.package_databases[0]),
            cache: PathBuf::from(self.cache),
            selection_base: self.quirks.selection.map(|(base, _)| PathBuf::from(base)).unwrap_or_default(),
            architecture: String::new(),
            archives: PathBuf::new(),
        }
    }

    /// Whether the manager's own journal tells of an install that was cut off.
    pub fn was_cut_off(&self, places: &Places) -> bool {
        let (dir, is_entry) = self.quirks.journal;
        let entries = std::fs::read_dir(places.database.with_file_name(dir)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| is_entry(&name))
    }

    /// Why a command failed, if it did: how it ended comes before what it printed.
    pub fn failure(&self, invocation: &Invocation, finished: &Finished) -> Option<Failure> {
        let by_signal = matches!(finished.end, End::Signal(_));
        let cut = if by_signal && (self.quirks.ended_well)(finished) {
            None
        } else {
            cut_short(invocation, finished)
        };
        cut.or_else(|| {
            let failure = (self.classify)(finished)?;
            Some(Failure { culprits: (self.quirks.culprits)(finished), ..failure })
        })
    }

    /// The lock that is there while it is held.
    pub fn lock_file(&self, places: &Places) -> Option<PathBuf> {
        self.quirks.lock_by_existence.map(|name| places.database.with_file_name(name))
    }

    /// Names the process that holds one of the manager's locks, or one of `more` lock files.
    pub fn lock_holder(&self, more: &[PathBuf]) -> Option<String> {
        let known = lock_holders::of(self.locks).or_else(|| lock_holders::of_pid_files(self.pid_files));
        known.or_else(|| lock_holders::of_open_files(more))
    }
}

/// Why nothing may be concluded from a command's output: it did not end by itself.
pub fn cut_short(invocation: &Invocation, finished: &Finished) -> Option<Failure> {
    how_it_was_cut(invocation, finished, &last_line(finished))
}

/// Likewise, with these words behind those that have no reason of their own.
pub fn how_it_was_cut(invocation: &Invocation, finished: &Finished, last: &str) -> Option<Failure> {
    let program = invocation.program;
    let span = crate::system::time::span(finished.elapsed.as_secs() as i64);
    let (class, message) = match finished.end {
        End::TimedOut => (Class::Timeout, format!("{program} did not end within {span}{last}")),
        End::Stalled => {
            (Class::Timeout, format!("{program} made no more progress and was ended after {span}{last}"))
        }
        End::Flooded => (Class::Other, format!("{program} printed more than a report can be and was ended")),
        End::Waiting => (Class::Lock, format!("{program} waits for a lock that another process holds")),
        End::Interrupted(signal) => (Class::Interrupted, format!("{signal} received, {program} was stopped")),
        End::Signal(signal) => (Class::Interrupted, format!("{program} was killed by signal {signal}")),
        End::Code(_) => return None,
    };
    Some(Failure::new(class, message))
}

/// `; last line: ...`, for commands that said nothing decisive before they were ended.
fn last_line(finished: &Finished) -> String {
    let lines = finished.stdout.lines().chain(finished.stderr.lines());
    match lines.rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("; last line: {line}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::{MANAGERS, apt};

    /// Why apt-get failed that ended so, after two minutes.
    fn failed(end: End, stdout: &str, stderr: &str) -> Option<(Class, String)> {
        let (stdout, stderr, status) = (stdout.to_string(), stderr.to_string(), String::new());
        let elapsed = std::time::Duration::from_secs(120);
        let invocation = Invocation { program: "apt-get", ..Invocation::default() };
        let found = apt::BACKEND.failure(&invocation, &Finished { end, stdout, stderr, status, elapsed });
        found.map(|failure| (failure.class, failure.message))
    }

    #[test]
    fn how_a_command_ended_goes_before_what_it_printed() {
        let full = "E: Write error - write (28: No space left on device)\n";
        for (end, class, message) in [
            (End::TimedOut, Class::Timeout, "apt-get did not end within 2 min; last line: two"),
            (
                End::Stalled,
                Class::Timeout,
                "apt-get made no more progress and was ended after 2 min; last line: two",
            ),
            (End::Signal(9), Class::Interrupted, "apt-get was killed by signal 9"),
        ] {
            assert_eq!(failed(end, full, "one\ntwo\n \n"), Some((class, message.to_string())));
        }
        assert_eq!(failed(End::TimedOut, "", " \n").unwrap().1, "apt-get did not end within 2 min");
        assert_eq!(
            failed(End::TimedOut, "one\n", "").unwrap().1,
            "apt-get did not end within 2 min; last line: one"
        );
        assert_eq!(failed(End::Code(100), "", full).unwrap().0, Class::Space);
        assert_eq!(failed(End::Code(0), "one\n", ""), None);
    }

    #[test]
    fn a_number_in_the_journal_of_dpkg_is_an_install_that_was_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { database: dir.path().join("status"), ..apt::BACKEND.usual_places() };
        let was_cut_off = || MANAGERS.iter().filter(|backend| backend.was_cut_off(&places)).count();
        assert_eq!(was_cut_off(), 0, "there is no journal");
        std::fs::create_dir(dir.path().join("updates")).unwrap();
        std::fs::write(dir.path().join("updates/tmp.i"), "").unwrap();
        assert_eq!(was_cut_off(), 0, "none of its files is an entry");
        std::fs::write(dir.path().join("updates/0001"), "").unwrap();
        assert_eq!(was_cut_off(), 1, "of apt");
    }
}
