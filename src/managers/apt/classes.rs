//! The class of what apt and dpkg say.

use crate::model::class::Class;
use crate::model::text::contains_any;

/// How apt says that a hook of its configuration failed.
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
        // In a file of dpkg's own database.
        Class::Other
    } else if reason.contains("was locked by ") {
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

/// What apt says where it stopped at something of the machine.
const STOPPED: &[(Class, &[&str])] = &[
    (Class::Lock, &["Could not get lock", "is another process using it"]),
    (
        Class::Interrupted,
        &[
            "dpkg was interrupted",
            "received signal",
            "received a segmentation fault",
            "Operation was interrupted before it could finish",
        ],
    ),
];

/// Where it stopped at what the administrator wrote.
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
    "Archives directory ",
    "List directory ",
    "Directory '",
];

/// Where it cannot solve what is asked for, or could not fetch it.
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

/// The first class of which the words stand in a text.
fn class_in(table: &[(Class, &[&str])], text: &str) -> Option<Class> {
    table.iter().find(|(_, words)| contains_any(text, words)).map(|(class, _)| *class)
}

/// The class of one of apt's messages.
pub fn class_of(text: &str) -> Class {
    if let Some(rest) = text.strip_prefix("Failed to fetch ") {
        // Two spaces end the URL, so that a 404 in a file name is not taken for the reason.
        return fetch_class(rest.split_once("  ").map_or(rest, |(_, reason)| reason));
    }
    if is_space(text) {
        return Class::Space;
    }
    if let Some(class) = class_in(STOPPED, text) {
        return class;
    }
    // What stands between quotes behind these is the administrator's.
    let hooks = [HOOK_FAILED, "Failure running script ", "Failure running hook "];
    let is_hook = hooks.iter().any(|words| text.starts_with(words));
    if is_hook || (text.starts_with("Sub-process ") && !is_signature(text)) {
        return Class::Script;
    }
    if is_validity(text) {
        return Class::Clock;
    }
    // Of the index, or dpkg's database; what else is read so the administrator wrote.
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
        // What cannot be unpacked.
        "lzma_read:",
        "gzread:",
        "BZ2_bzread",
        "LZ4F:",
        "ZSTD",
    ];
    // What a server writes behind the number is no reason.
    if is_status(reason) {
        Class::Fetch
    } else if is_space(reason) || reason.starts_with("Couldn't create temporary file ") {
        Class::Space
    } else if is_validity(reason) {
        Class::Clock
    } else if is_signature(reason) {
        Class::Auth
    } else if contains_any(reason, CONFIG) {
        Class::Config
    } else if contains_any(reason, FETCH) {
        Class::Fetch
    } else {
        // Resolving, connecting, TLS, closed connections: apt has many words for "no answer".
        Class::Network
    }
}

/// Whether a reason begins with the number of an answer of HTTP.
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
mod tests {
    use super::*;

    #[test]
    fn each_message_has_its_class() {
        let table = [
            (Class::Auth, "At least one invalid signature was encountered."),
            (
                Class::Auth,
                "The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 0123",
            ),
            (Class::Auth, "The repository 'http://h s InRelease' is not signed."),
            (Class::Auth, "Could not execute 'gpgv' to verify signature (is gnupg installed?)"),
            (Class::Auth, "Can't verify signature: Sub-process /usr/bin/sqv returned an error code (1)"),
            (
                Class::Auth,
                "There were unauthenticated packages and -y was used without --allow-unauthenticated",
            ),
            (
                Class::Clock,
                "Release file for http://h/InRelease is expired (invalid since 1d). Updates for this repository will not be applied.",
            ),
            (Class::Clock, "Release file for http://h/InRelease is not valid yet (invalid for another 3h)."),
            (Class::Config, "Malformed entry 1 in list file /etc/apt/sources.list (URI parse)"),
            (Class::Config, "Malformed stanza 1 in source list /etc/apt/sources.list.d/x.sources (type)"),
            (Class::Config, "The list of sources could not be read."),
            (Class::Config, "Unable to parse package file /etc/apt/preferences.d/bad (1)"),
            (Class::Other, "Unable to parse package file /var/lib/dpkg/status (1)"),
            (Class::Fetch, "Unable to parse package file /var/lib/apt/lists/h_dists_s_InRelease (1)"),
            (Class::Config, "The method driver /usr/lib/apt/methods/tor could not be found."),
            (Class::Config, "Syntax error /etc/apt/apt.conf.d/99:3: Extra junk after value"),
            (
                Class::Config,
                "Opening configuration file /etc/apt/x - ifstream::ifstream (2: No such file or directory)",
            ),
            (Class::Config, "Can't find a configured compressor xz for file x"),
            (Class::Dependency, "Can't find a source to download version '2.0' of 'tb-a:amd64'"),
            (
                Class::Dependency,
                "Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution).",
            ),
            (
                Class::Dependency,
                "Held packages were changed and -y was used without --allow-change-held-packages.",
            ),
            (Class::Lock, "Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (apt)"),
            (
                Class::Interrupted,
                "dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.",
            ),
            (Class::Script, "Sub-process /usr/bin/dpkg returned an error code (1)"),
            (Class::Space, "You don't have enough free space in /var/cache/apt/archives/."),
            (Class::Space, "Write error - write (28: No space left on device)"),
            (Class::Fetch, "Unable to fetch some archives, maybe run apt update or try with --fix-missing?"),
        ];
        let class = |line: &str| class_of(line);
        let wrong = table.iter().filter(|(expected, line)| class(line) != *expected);
        let wrong: Vec<_> = wrong.map(|(_, line)| (line, class(line))).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// In apt's own words of all versions.
    #[test]
    fn what_apt_says_has_its_class() {
        for (text, class) in [
            (
                "Unable to satisfy dependencies. Reached two conflicting assignments: 1. a:amd64 is selected",
                Class::Dependency,
            ),
            ("Unable to satisfy dependencies. Reached two conflicting decisions:", Class::Dependency),
            ("Unmet dependencies. Try 'apt --fix-broken install' with no packages", Class::Dependency),
            (
                "Error, pkgProblemResolver::Resolve generated breaks, this may be caused by held packages.",
                Class::Dependency,
            ),
            (
                "This installation run will require temporarily removing the essential package a:amd64 due to a \
                 Conflicts/Pre-Depends loop.",
                Class::Dependency,
            ),
            (
                "Could not perform immediate configuration on 'a'. Please see man 5 apt.conf",
                Class::Dependency,
            ),
            (
                "Removing essential system-critical packages is not permitted. This might break the system.",
                Class::Dependency,
            ),
            ("Failure running script /usr/sbin/dpkg-preconfigure --apt || true", Class::Script),
            ("Failure running hook /usr/bin/snap advise-snap", Class::Script),
            ("Problem executing scripts DPkg::Post-Invoke 'echo Read-only; false'", Class::Script),
            ("Sub-process /usr/bin/dpkg received signal 9.", Class::Interrupted),
            ("Sub-process /usr/bin/dpkg received a segmentation fault.", Class::Interrupted),
            (
                "The value 'x' is invalid for APT::Default-Release as such a release is not available",
                Class::Config,
            ),
            ("No priority (or zero) specified for pin", Class::Config),
            ("Trivial Only specified but this is not a trivial operation.", Class::Config),
            ("The method 'http' is explicitly disabled via configuration.", Class::Config),
            (
                "Archives directory /x/partial is missing. - Acquire (2: No such file or directory)",
                Class::Config,
            ),
            (
                "Command line option --x is not understood in combination with the other options",
                Class::Config,
            ),
            ("Some packages could not be authenticated", Class::Auth),
            ("The repository 'http://h s InRelease' provides only weak security information.", Class::Auth),
            (
                "Failed to fetch http://h/a.deb  Insufficient information available to perform this download securely",
                Class::Auth,
            ),
            ("Failed to fetch http://h/a.deb  404  No space left on device [IP: 127.0.0.1 80]", Class::Fetch),
            ("Failed to fetch http://h/a.deb  404  NO_PUBKEY", Class::Fetch),
            ("Failed to fetch http://h/a.deb  503  is not valid yet (invalid for another 1s)", Class::Fetch),
            (
                "Failed to fetch file:/srv/a.deb  File not found - /srv/a.deb (2: No such file or directory)",
                Class::Fetch,
            ),
            ("Couldn't make mmap of 9 bytes - MMap-mmap (28: No space left on device)", Class::Space),
        ] {
            assert_eq!(class_of(text), class, "{text}");
        }
    }

    #[test]
    fn only_a_number_of_http_at_the_beginning_is_one() {
        for (reason, class) in [
            ("404  Not Found [IP: 127.0.0.1 80]", Class::Fetch),
            ("404x", Class::Network),
            ("Not a reason that is known", Class::Network),
            ("Please use apt-cdrom to make this CD-ROM recognized by APT", Class::Config),
            ("Unsupported proxy configured: foo://bar", Class::Config),
            ("Downloading mirror file failed", Class::Config),
            ("No good signature from required signer: 0123", Class::Auth),
            ("Couldn't create temporary file /tmp/apt.conf.x for passing config to apt-key", Class::Space),
            ("Redirection loop encountered", Class::Fetch),
            ("The method driver /usr/lib/apt/methods/x could not be found.", Class::Config),
        ] {
            assert_eq!(fetch_class(reason), class, "{reason}");
        }
    }
}
