//! The class of what apt and dpkg say.

use crate::model::class::Class;
use crate::model::text::contains_any;

/// How apt says that a hook from its configuration failed.
pub const HOOK_FAILED: &str = "Problem executing scripts";

/// The class of the reason that dpkg gives.
pub fn dpkg_class(reason: &str) -> Class {
    const DEPENDENCY: &[&str] = &[
        "trying to overwrite",
        "dependency problems",
        "pre-dependency problem",
        "cannot satisfy pre-dependencies",
        "conflicting packages",
        "would break ",
        "is not co-installable",
        "conflicting diversions",
        "does not match system",
        "cannot be configured because",
        "is not ready for configuration",
    ];
    const DAMAGED: &[&str] = &[
        "dpkg-deb --",
        "dpkg-split --",
        "corrupted filesystem tarfile",
        "truncated or corrupt",
        "is not a Debian",
        "unexpected end of file or stream",
        "compressed data is corrupt",
        "error reading from dpkg-deb pipe",
        "cannot read from dpkg-deb pipe",
    ];
    const CONFIG: &[&str] = &[
        "unknown option",
        "unknown verify output",
        "configuration error",
        "in configuration file",
        "unknown force/refuse option",
        "error opening configuration",
        "requires superuser privilege",
        "PATH is not set",
        "not found in PATH",
        "unknown system user",
        "unknown system group",
    ];
    const SCRIPT: &[&str] = &[
        "maintainer script",
        " script subprocess",
        " script returned",
        "there is no script in the new version",
        " script was killed",
        "conffile prompt",
        "triggers ",
        "cannot execute hook",
        "error executing hook",
    ];
    if is_space(reason) {
        Class::Space
    } else if reason.contains("syntax ") && !contains_any(reason, CONFIG) {
        // A file of dpkg's own database.
        Class::Other
    } else if contains_any(reason, &["was locked by ", "is locked by another process"]) {
        Class::Lock
    } else if contains_any(reason, DEPENDENCY) {
        Class::Dependency
    } else if contains_any(reason, DAMAGED) {
        Class::Fetch
    } else if contains_any(reason, CONFIG) {
        Class::Config
    } else if contains_any(reason, SCRIPT) {
        Class::Script
    } else {
        Class::Other
    }
}

pub fn is_space(text: &str) -> bool {
    contains_any(
        text,
        &[
            "No space left on device",
            "have enough free space",
            "Read-only file system",
            "Disk quota exceeded",
        ],
    )
}

/// What apt says when something on the machine stopped it.
const STOPPED: &[(Class, &[&str])] = &[
    (Class::Lock, &["Could not get lock", "is another process using it"]),
    (
        Class::Interrupted,
        &[
            "dpkg was interrupted",
            "received signal",
            "received a segmentation fault",
            // By another signal, such as that of a machine without memory.
            "dpkg exited unexpectedly",
            "Operation was interrupted before it could finish",
        ],
    ),
];

/// What it says when the administrator's configuration stopped it.
const CONFIGURATION: &[&str] = &[
    "Malformed ",
    "list of sources could not be read",
    "is not known on line",
    "is not known on stanza",
    "Unable to parse ",
    "Conflicting values set for option",
    "Invalid value set for option",
    "Unsupported 'Signed-By'",
    "method driver ",
    "did not start correctly",
    "explicitly disabled via configuration",
    "Snapshots not supported",
    "Syntax error ",
    "Opening configuration file ",
    "configured compressor",
    "in the preferences file",
    "specified for pin",
    "valid pin priorities",
    "can only be used for 'Package: *' records",
    "for APT::Default-Release",
    "changed its '",
    "doesn't have the component",
    "does not seem to provide it",
    "MMap ran out of room",
    "Cache-Limit",
    "apt-cdrom",
    "No sandbox user",
    "can not drop rights",
    "Could not switch ",
    "Command line option ",
    "Trivial Only specified",
    "Unknown update error mode",
    "suitable packaging system type",
    "external solver '",
    "external planner '",
    "ProxyAutoDetect",
    "Archives directory ",
    "List directory ",
    "Directory '",
];

/// What it says when it cannot solve what is asked, or could not fetch it.
const NOT_TO_BE_HAD: &[(Class, &[&str])] = &[
    (
        Class::Dependency,
        &[
            "Unable to locate package",
            "Can't find a source to download",
            "Couldn't find any package",
            "Couldn't find package",
            "has no installation candidate",
            " was not found",
            "I wasn't able to locate a file for the ",
            "Unable to correct",
            "Unable to satisfy dependencies",
            "two conflicting ",
            "Solver timed out",
            "External solver failed",
            "held broken packages",
            "generated breaks",
            "nmet dependencies",
            "Broken packages",
            "Held packages were changed",
            "but remove is disabled",
            "Essential packages",
            "the essential package",
            "Removing essential",
            "Packages were downgraded",
            "pkgProblemResolver",
            "immediate configuration on",
            "Could not configure '",
            "Couldn't configure ",
            "predepends looping",
            "conflicts violated",
            "needs to be reinstalled",
        ],
    ),
    (
        Class::Fetch,
        &[
            "Unable to fetch some archives",
            "Failed to fetch some archives",
            "Some files failed to download",
            "have a Release file",
            "has a Release file",
            "Some index files failed",
            "Problem with MergeList",
        ],
    ),
];

/// The first class that has a phrase in this text.
fn class_in(table: &[(Class, &[&str])], text: &str) -> Option<Class> {
    table.iter().find(|(_, words)| contains_any(text, words)).map(|(class, _)| *class)
}

/// Whether apt says that a hook failed. The words in quotes behind this come from the administrator.
pub fn is_failed_hook(text: &str) -> bool {
    let hooks = [HOOK_FAILED, "Failure running script ", "Failure running hook "];
    hooks.iter().any(|words| text.starts_with(words))
}

/// The class of one of apt's messages.
pub fn class_of(text: &str) -> Class {
    if let Some(rest) = text.strip_prefix("Failed to fetch ") {
        // Two spaces end the URL, so that a 404 in a file name is not read as the reason.
        return fetch_class(rest.split_once("  ").map_or(rest, |(_, reason)| reason));
    }
    if is_space(text) {
        return Class::Space;
    }
    if let Some(reason) = of_verification(text) {
        return match fetch_class(reason) {
            Class::Network => Class::Auth,
            class => class,
        };
    }
    if let Some(class) = class_in(STOPPED, text) {
        return class;
    }
    let is_program = text.starts_with("Sub-process ") && !text.contains("ProxyAutoDetect");
    if is_failed_hook(text) || (is_program && !is_signature(text)) {
        return Class::Script;
    }
    if is_validity(text) {
        return Class::Clock;
    }
    // The index or dpkg's database; everything else that apt reads was written by the administrator.
    if text.starts_with("Unable to parse package file ") {
        let ours = [("/lists/", Class::Fetch), ("/status (", Class::Other)];
        let found = ours.into_iter().find(|(part, _)| text.contains(part));
        return found.map_or(Class::Config, |(_, class)| class);
    }
    if contains_any(text, CONFIGURATION) {
        return Class::Config;
    }
    if is_signature(text) {
        return Class::Auth;
    }
    class_in(NOT_TO_BE_HAD, text).unwrap_or(Class::Other)
}

/// Why a signature was not verified: not every reason is one of keys.
///
/// ```text
/// GPG error: http://HOST stable InRelease: Couldn't spawn new process
/// OpenPGP signature verification failed: http://HOST stable InRelease: Couldn't spawn new process
/// ```
fn of_verification(text: &str) -> Option<&str> {
    let starts =
        ["GPG error: ", "OpenPGP signature verification failed: ", "Signature verification failed: "];
    let rest = starts.iter().find_map(|start| text.split_once(start))?.1;
    rest.split_once("Release: ").map(|(_, reason)| reason)
}

/// The class of the reason that apt gives for one file it could not fetch.
pub fn fetch_class(reason: &str) -> Class {
    const CONFIG: &[&str] = &[
        "apt-cdrom",
        "method driver",
        "explicitly disabled via configuration",
        "Unsupported proxy configured",
        "Downloading mirror file failed",
    ];
    const FETCH: &[&str] = &[
        "Hash Sum mismatch",
        "Size mismatch",
        "unexpected size",
        "Mirror sync in progress",
        "File not found",
        "No such file or directory",
        "Invalid file format",
        "can't be valid archives",
        "Redirection loop",
        "Redirection from ",
        "Failed to stat",
        // A Release file that came damaged, or a page that came in its place.
        "Splitting up ",
        "Clearsigned file isn't valid",
        // A file that cannot be unpacked.
        "lzma_read:",
        "gzread:",
        "BZ2_bzread",
        "LZ4F:",
        "ZSTD",
    ];
    // Limits of this machine.
    const MACHINE: &[&str] = &[
        "Couldn't create temporary file ",
        "Unable to mkstemp ",
        "Couldn't spawn new process",
        "Couldn't execute ",
        "Unknown error executing ",
        "Cannot allocate memory",
        "Too many open files",
    ];
    // The words that a server writes behind the number are no reason.
    if is_status(reason) {
        Class::Fetch
    } else if is_space(reason) {
        Class::Space
    } else if is_validity(reason) {
        Class::Clock
    } else if is_signature(reason) {
        Class::Auth
    } else if contains_any(reason, CONFIG) {
        Class::Config
    } else if contains_any(reason, FETCH) {
        Class::Fetch
    } else if contains_any(reason, MACHINE) {
        Class::Other
    } else {
        // Resolving, connecting, TLS, closed connections: apt has many ways to say "no answer".
        Class::Network
    }
}

/// Whether a reason begins with a status number of HTTP.
fn is_status(reason: &str) -> bool {
    let digits = reason.bytes().take_while(u8::is_ascii_digit).count();
    digits == 3 && (reason.len() == 3 || reason[3..].starts_with(' '))
}

fn is_validity(text: &str) -> bool {
    text.contains("is expired (invalid since") || text.contains("is not valid yet (invalid for")
}

pub fn is_signature(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "NO_PUBKEY",
        "BADSIG",
        "EXPKEYSIG",
        "REVKEYSIG",
        "is not signed",
        "is no longer signed",
        "signature verification",
        "ignature verification failed",
        "signatures couldn't be verified",
        "signatures were invalid",
        "invalid signature",
        "GPG error",
        "gpgv",
        "/sqv ",
        "uses weak algorithm",
        "untrusted public key algorithm",
        "weak security information",
        "strong enough for security",
        "download securely",
        "No good signature",
        "unauthenticated packages",
        "could not be authenticated",
    ];
    contains_any(text, WORDS)
}

#[cfg(test)]
#[path = "classes_tests.rs"]
mod tests;
