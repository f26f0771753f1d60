//! Where programs are found, and what of our environment they get.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Finds a program on our PATH. The directories that children get in addition count only where PATH names none but
/// directories of the system, as that of cron does: a caller with another one who keeps a program off it, a `shutdown`
/// for example, wants that.
pub fn find(program: &str) -> Option<PathBuf> {
    let ours = directories();
    let dirs = if is_of_system(&ours) { with_sbin(ours) } else { ours };
    dirs.into_iter().map(|dir| dir.join(program)).find(|file| is_program(file))
}

const SYSTEM: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The directories of PATH, or those of the system where there is no PATH at all. Those that begin in the working
/// directory are left out: somebody else may own that.
fn directories() -> Vec<PathBuf> {
    match std::env::var_os("PATH") {
        Some(path) => std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect(),
        None => SYSTEM.map(PathBuf::from).to_vec(),
    }
}

/// Whether these are directories of the system, and no others.
fn is_of_system(dirs: &[PathBuf]) -> bool {
    !dirs.is_empty() && dirs.iter().all(|dir| SYSTEM.iter().any(|known| dir == Path::new(known)))
}

/// A file that may not be executed is skipped, as a shell does.
fn is_program(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}

/// What children get as PATH.
pub(super) fn path_with_sbin() -> OsString {
    std::env::join_paths(with_sbin(directories())).unwrap_or_default()
}

/// Adds some directories at the end. cron and some shells lack them, and without them dpkg refuses to work.
fn with_sbin(mut dirs: Vec<PathBuf>) -> Vec<PathBuf> {
    for dir in ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs
}

/// Variables that would change a manager's words, or make it or one of its scripts load or run what the caller likes;
/// sudo removes the same (`env_delete` in sudoers(5)). Proxies, APT_CONFIG and what an administrator's own hooks read
/// stay. What dpkg and debconf tell a maintainer script is withheld too: a daemon that such a script has restarted hands
/// it on, and debconf would then write to a descriptor that is not there.
pub(super) fn is_withheld(name: &str, value: &str) -> bool {
    const BEGINNINGS: &[&str] = &[
        "LC_",
        "LANG",
        "LD_",
        "_RLD",
        "GLIBC_",
        "MALLOC_",
        "PERL",
        "PYTHON",
        "RUBY",
        "BASH",
        "RUST_",
        "GCONV_",
        "DPKG_MAINTSCRIPT_",
    ];
    const NAMES: &[&str] = &[
        "CDPATH",
        "DEBCONF_REDIR",
        "DEBIAN_HAS_FRONTEND",
        "DPKG_FRONTEND_LOCKED",
        "DPKG_HOOK_ACTION",
        "DPKG_RUNNING_VERSION",
        "ENV",
        "FPATH",
        "GETCONF_DIR",
        "GLOBIGNORE",
        "HOSTALIASES",
        "IFS",
        "JAVA_TOOL_OPTIONS",
        "LOCALDOMAIN",
        "LOCPATH",
        "NLSPATH",
        "NODE_OPTIONS",
        "NULLCMD",
        "PATH_LOCALE",
        "PS4",
        "READNULLCMD",
        "RES_OPTIONS",
        "SHELLOPTS",
        "TERMCAP",
        "TERMINFO",
        "TERMINFO_DIRS",
        "TERMPATH",
        "TMPPREFIX",
        "TZDIR",
        "ZDOTDIR",
    ];
    // A shell takes such a value for a function.
    let is_function = value.starts_with("() {");
    is_function || NAMES.contains(&name) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}
