//! What is fixed of a package manager, and the plain values that its functions take and give.

use crate::system::lock_holders;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What is fixed of one package manager: names, files, what it can.
#[derive(Debug)]
pub struct Facts {
    /// Its name on the command line and in the state.
    pub name: &'static str,
    /// The program that is run, then other names of its file: the first may be a link to one of these.
    pub programs: &'static [&'static str],
    /// The systems it owns, as `ID` or `ID_LIKE` in os-release(5) name them.
    pub systems: &'static [&'static str],
    /// The files that every install rewrites, under the names that they have had. Where one exists, the manager owns
    /// the system.
    pub package_databases: &'static [&'static str],
    /// Files and directories that configure the sources; of a directory only what it reads.
    pub source_config: &'static [&'static str],
    /// How lines of its output begin that say only how far a download is: the log has none of them.
    pub noise: Option<&'static str>,
    /// Other files that decide which updates are pending, beside those and the package database.
    pub index: &'static [&'static str],
    /// The directory below which it keeps the index.
    pub cache: &'static str,
    /// The name of a file beside each index whose date tells the manager how old that is. With one from the future the
    /// manager asks nobody.
    pub stamp: Option<&'static str>,
    /// Words of the failures of sources that the manager does not know at all: no option may name them.
    pub unknown: &'static [&'static str],
    /// Lock files of the manager that the kernel knows about.
    pub locks: &'static [&'static str],
    /// Lock files of the manager that only hold the number of the process.
    pub pid_files: &'static [&'static str],
    /// Files whose existence says that a reboot is required.
    pub reboot_flags: &'static [&'static str],
    /// Files that a new microcode of the processor replaces: only a reboot loads it.
    pub microcode: &'static [&'static str],
    /// Packages of which a new version is put to use only by a reboot.
    pub reboot_packages: RebootPackages,
    /// Where the installed kernels are, whose names tell their versions.
    pub kernels: Kernels,
    /// Whether security updates can be told from others, if the sources say it.
    pub knows_security: bool,
    /// The beginning of the line with which the manager says that it waits for a lock, if no option keeps it from
    /// waiting.
    pub waiting_for_lock: Option<&'static str>,
    /// Whether its configuration can include other files, which `Configuration::includes` finds.
    pub includes_files: bool,
    /// A lock file beside the package database that exists as long as the lock is held. The holder has it open; if
    /// nobody has, it was left by a process that was killed.
    pub lock_by_existence: Option<&'static str>,
    /// The files and directories that say which packages are kept in several versions.
    pub rules: &'static [&'static str],
    /// The usual place of the administrator's own selection file, for a manager that reads from a file what to leave
    /// out.
    pub leave_out_base: &'static str,
    /// Whether a repair fetches packages. It then comes after the refresh, and only where every source was refreshed.
    pub repair_fetches: bool,
    /// The files that are its configuration, for a manager that is not asked for it; in directories, the files
    /// `*.repo`.
    pub settings_in: &'static [&'static str],
    /// Why updates cannot be installed one by one, where that is so.
    pub only_whole: Option<&'static str>,
    /// Directories that are used instead of [`Facts::cache`] where they exist.
    pub caches: &'static [&'static str],
    /// Whether `Manager::list_needs` takes the names of packages that are not installed.
    pub needs_of_new: bool,
    /// Whether these lists name the installed versions.
    pub lists_installed: bool,
    /// Whether it lists every newer version there is: if all of these are installed, nothing is pending.
    pub lists_all: bool,
    /// Whether the lists leave out what stays as it is, and another command lists every newer version.
    pub lists_newer: bool,
    /// Whether they do not say which packages are replaced: excluded packages must then be named, so that they stay, and an
    /// older version that nothing needs comes in the place of another package.
    pub lists_no_replaced: bool,
    /// Whether they leave out what only sources offer that were not refreshed, given [`Plan::without`].
    pub lists_refreshed_only: bool,
    /// Its temporary files.
    pub temporary: Temporary,
    /// Whether a version can be left out so that an older one is installed, as [`Plan::passed_over`] says.
    pub passes_over: bool,
}

impl Facts {
    /// Nothing: a manager sets only what differs from this.
    pub const NONE: Facts = Facts {
        name: "",
        programs: &[],
        systems: &[],
        package_databases: &[],
        source_config: &[],
        noise: None,
        index: &[],
        cache: "",
        stamp: None,
        unknown: &[],
        locks: &[],
        pid_files: &[],
        reboot_flags: &[],
        microcode: &[],
        reboot_packages: RebootPackages::NONE,
        kernels: Kernels::IN_BOOT,
        knows_security: false,
        lock_by_existence: None,
        waiting_for_lock: None,
        includes_files: false,
        rules: &[],
        leave_out_base: "",
        repair_fetches: false,
        settings_in: &[],
        only_whole: None,
        caches: &[],
        needs_of_new: false,
        lists_installed: false,
        lists_all: false,
        lists_newer: false,
        lists_no_replaced: false,
        lists_refreshed_only: true,
        temporary: Temporary { dir: "", words: &[] },
        passes_over: false,
    };

    /// Everything that can change what is pending.
    pub fn pending_basis(&self) -> Vec<&'static str> {
        [self.package_databases, &self.offer_basis()].concat()
    }

    /// Everything that can change what is offered: that without what every install changes.
    pub fn offer_basis(&self) -> Vec<&'static str> {
        [self.source_config, self.index].concat()
    }

    /// Everything that configures the sources, also in the places where the administrator has put it.
    pub fn source_places<'a>(&self, elsewhere: &'a [String]) -> Vec<&'a str> {
        self.source_config.iter().copied().chain(elsewhere.iter().map(String::as_str)).collect()
    }

    /// The files that every install rewrites, also in the places where the administrator has put them.
    pub fn database_places<'a>(&self, elsewhere: &'a [String]) -> Vec<&'a str> {
        self.package_databases.iter().copied().chain(elsewhere.iter().map(String::as_str)).collect()
    }

    /// Where things are if the manager's configuration does not move them.
    pub fn usual_places(&self) -> Places {
        Places {
            database: PathBuf::from(self.package_databases[0]),
            cache: PathBuf::from(self.cache),
            leave_out_base: PathBuf::from(self.leave_out_base),
            architecture: String::new(),
            archives: PathBuf::new(),
        }
    }

    /// The lock that exists as long as it is held.
    pub fn lock_file(&self, places: &Places) -> Option<PathBuf> {
        self.lock_by_existence.map(|name| places.database.with_file_name(name))
    }

    /// Names the process that holds one of the manager's locks, or one of `more` lock files.
    pub fn lock_holder(&self, more: &[PathBuf]) -> Option<String> {
        let known = lock_holders::of(self.locks).or_else(|| lock_holders::of_pid_files(self.pid_files));
        known.or_else(|| lock_holders::of_open_files(more))
    }
}

/// Temporary files.
#[derive(Debug)]
pub struct Temporary {
    /// Where the manager keeps them, unless `TMPDIR` names another place.
    pub dir: &'static str,
    /// Its words for another failure that it also has where it could not write one.
    pub words: &'static [&'static str],
}

/// A directory with an entry for each installed kernel, such as `vmlinuz-6.1.0-13-amd64`.
#[derive(Debug)]
pub struct Kernels {
    /// The directory.
    pub dir: &'static str,
    /// What comes before the version; it depends on the architecture.
    pub prefixes: &'static [&'static str],
}

impl Kernels {
    /// Where most distributions keep them.
    pub const IN_BOOT: Kernels =
        Kernels { dir: "/boot", prefixes: &["vmlinuz-", "vmlinux-", "Image-", "image-"] };
}

/// Where distributions without firmware in their initial file system keep the microcode.
pub const MICROCODE_IN_BOOT: &[&str] = &["/boot/intel-ucode.img", "/boot/amd-ucode.img"];

/// Packages that require a reboot once a new version is installed.
#[derive(Debug)]
pub struct RebootPackages {
    /// Their names.
    pub names: &'static [&'static str],
    /// Directories in which the administrator names more of them, one a line of a file `*.conf`.
    pub directories: &'static [&'static str],
}

impl RebootPackages {
    /// None, or the manager knows by itself.
    pub const NONE: RebootPackages = RebootPackages { names: &[], directories: &[] };
}

/// A source as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// As a refresh names it.
    pub id: String,
    /// As a command line names it.
    pub argument: String,
    /// The lower it is, the more the source counts.
    pub priority: i64,
    /// Whether it is in use.
    pub is_enabled: bool,
}

/// Places that the administrator's settings name instead of the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// The directory below which the index is kept; `None` for the usual.
    pub cache: Option<PathBuf>,
    /// Files and directories that configure the sources.
    pub sources: Vec<String>,
    /// Other files that decide what is pending.
    pub index: Vec<String>,
    /// More directories for [`Facts::rules`].
    pub rules: Vec<String>,
    /// The manager's own history, where it keeps one in a file.
    pub history: Option<PathBuf>,
}

/// What an apply is to install.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Also updates that need the removal of a package.
    pub full: bool,
    /// Only what mends unmet dependencies.
    pub mends: bool,
    /// Sources not to install from, because they were not refreshed.
    pub without: Vec<String>,
    /// Those of these sources that have no index at all, from whatever address.
    pub never_read: Vec<String>,
    /// The sources that were refreshed, if some were not, as a command line names them.
    pub only_sources: Vec<String>,
    /// Packages that do not come from a source of `without`, so that those of other sources come: source and package.
    /// Another source may have the very version, so that this cannot be passed over.
    pub not_from: BTreeSet<(String, String)>,
    /// Sources that have no key though their packages must be verified.
    pub keyless: Vec<String>,
    /// Packages to leave as they are.
    pub left_out: Vec<String>,
    /// Those of them that are not installed.
    pub new: BTreeSet<String>,
    /// Installed packages that stay because the package that would replace them is left out.
    pub kept: Vec<String>,
    /// Versions, by package, that are left out so that older ones are installed, because their sources were not
    /// refreshed, or are not among those of `--from`.
    pub passed_over: BTreeSet<(String, String)>,
    /// The file that names `left_out`, `kept` and, where it can, `passed_over` for the manager; `None` when nothing is
    /// left out, or when the manager takes them as arguments.
    pub leave_out_file: Option<PathBuf>,
}

impl Plan {
    /// The names of all packages that are to stay as they are.
    pub fn staying(&self) -> impl Iterator<Item = &String> {
        self.left_out.iter().chain(self.kept.iter().filter(|name| !self.left_out.contains(name)))
    }
}

/// Where the manager's configuration puts what we look at ourselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The package database.
    pub database: PathBuf,
    /// The directory below which the manager keeps the index.
    pub cache: PathBuf,
    /// The administrator's file of the kind that `Manager::leave_out_text` makes.
    pub leave_out_base: PathBuf,
    /// The native architecture; empty where it is not known.
    pub architecture: String,
    /// Where downloaded packages are kept, if we look at them.
    pub archives: PathBuf,
}
