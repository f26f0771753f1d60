//! Where programs are found, and what of our environment they get.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Finds a program on our PATH. The directories that children get in addition count only where PATH names none but
/// directories of the system, as that of cron does: a caller with another one who keeps a program off it, a `shutdown`
/// for example, wants that.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = if is_of_system(&path) { path_with_sbin() } else { path };
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| is_program(file))
}

/// Whether PATH names directories of the system, and no others.
fn is_of_system(path: &OsStr) -> bool {
    const DIRS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let is_one = |dir: PathBuf| DIRS.iter().any(|known| dir == Path::new(known));
    !path.is_empty() && std::env::split_paths(path).all(is_one)
}

/// A file that may not be executed is skipped, as a shell does.
fn is_program(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}

/// PATH with some directories added at its end. cron and some shells lack them, and without them dpkg refuses to work.
pub(super) fn path_with_sbin() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = std::env::split_paths(&path).collect();
    for dir in ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    std::env::join_paths(dirs).unwrap_or(path)
}

/// Variables that would change a manager's words, or make it or one of its scripts load or run what the caller likes;
/// sudo removes the same (`env_delete` in sudoers(5)). Proxies, APT_CONFIG and what an administrator's own hooks read
/// stay.
pub(super) fn is_withheld(name: &str, value: &str) -> bool {
    const BEGINNINGS: &[&str] = &[
        "LC_", "LANG", "LD_", "_RLD", "GLIBC_", "MALLOC_", "PERL", "PYTHON", "RUBY", "BASH", "RUST_",
        "GCONV_",
    ];
    const NAMES: &[&str] = &[
        "CDPATH",
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
