//! The class of what zypper says.

use crate::model::class::Class;
use crate::model::text::contains_any;

pub const SPACE: &[&str] = &[
    "No space left on device",
    "Failure writing output",
    "Failed writing",
    "Read-only file system",
    "Disk quota exceeded",
    "needs more space",
    " more space on the ",
    "Can't create ",
    "Can not create ",
    "Can't hardlink/copy ",
    "Failed to create file ",
    "Write error",
    "Cannot write file ",
    "no writing permissions",
    "No permission to write repository cache",
    "Curl error (23)",
    "Curl error 23",
    "for writing",
    "ailed to rename temporary file",
    "Cannot create directory",
    "Cannot create temporary file",
    "find a writable directory",
    "failed to write credentials",
];

pub const AUTH: &[&str] = &[
    "ignature verification",
    "is unsigned",
    "not signed",
    "public key",
    "Signature file ",
    "Signature does not verify",
    "key is not trusted",
    "Unknown type of signature",
    "signed with an unknown key",
    "signed with unknown key",
    "signature can't be checked",
    "Failed to import key",
    "gpg key signing",
    "does not define '' URLs",
];

pub const CONFIG: &[&str] = &[
    "Invalid ssl_",
    "no or invalid url",
    "No URIs defined",
    "Parsing .repo file",
    "contains garbage",
    "Invalid URI",
    "Unsupported URI scheme",
    "No alias defined",
    "Malformed URI",
    "Empty host name in URI",
    "Empty filesystem in URI",
    "Empty destination in URI",
    "Unsupported protocol",
    "Invalid repo file name",
    "Cannot read repo ",
    "Unhandled repository type",
    "No url in repository",
    " not found by its alias, number, or URI",
    " component",
    "Invalid Url scheme",
    "Query string parsing not supported",
    "Relative path not allowed",
    "alias cannot start with dot",
    "Required attribute ",
    "Failed to read directory ",
    "figure out where the ",
    "configuration file parser",
    "initialize transfer settings",
    "setting download (curl) options",
    "Unsupported HTTP authentication method",
    "Unsupported proxy s",
    "Root privileges are required",
    "license confirmation",
    "user disagreement with",
    "you must agree to",
];

pub const DEPENDENCY: &[&str] = &[
    "Problem: ",
    "nothing provides ",
    "No provider of ",
    "not found in package names",
    "file conflict",
    "File conflict",
    "conflicts with file",
    "cannot install both ",
    "this requirement cannot be provided",
    "conflicting requests",
    "some dependency problem",
    "cannot be erased",
    "ackage '' not found",
    "is locked. Use ",
    " conflicts with '' provided by",
    " obsoletes '' provided by",
];

pub const FETCH: &[&str] = &[
    "not found on medium",
    "temporarily unaccessible",
    "Permission to access",
    "has wrong checksum",
    "Digest verification failed",
    "corrupted during transfer",
    "exceeded the expected filesize",
    "exceeded the maximum download size",
    "valid checksum",
    "Invalid checksum",
    "integrity check failed",
    "Access to requested URL is forbidden",
    "Authentication required",
    "Login failed",
    "did not send all requested ranges",
    "Did not receive all requested data",
    "File not found",
    "File '' not found",
    "does not contain the desired medium",
    "Failed to cache repo",
    "bytes missing",
    "Repository type can't be determined",
    "Error parsing metadata",
    "[not found]",
    ".rpm [error]",
    "Failed to fetch mirrorlist",
    "Invalid data from server",
    "Expected medium ",
    " on medium ",
    "Failed to mount ",
    "No digest for file",
    "Unknown digest ",
];

/// Where no code tells the class.
pub const ANSWERS: &[&str] = &["Server returned an error for the given request", "Download of block failed"];

pub const NETWORK: &[&str] = &[
    "Connection failed",
    "Could not resolve",
    "Couldn't resolve",
    "ailed to connect",
    "Timeout exceeded",
    "Timeout reached",
    "peer certificate could not be verified",
    "Server returned a HTTP/2",
    "timed out",
    "Connection reset",
    "Recv failure",
    "Empty reply",
    "SSL certificate",
    "SSL connect",
    "SSL peer",
    "certificate problem",
];

pub const VAGUE: &[&str] = &[
    "Valid metadata not found",
    "Failed to retrieve new repository metadata",
    "Error trying to read from",
    "Unknown error reading from",
    "Failed to provide Package",
    "Problem retrieving ",
    "Download (curl) error for",
    "Can't provide ",
];

/// A line without the parts in quotes: names and addresses, which others have chosen.
pub fn without_names(line: &str) -> String {
    let parts: Vec<_> = line.split('\'').collect();
    let is_quoted = |nth: usize| nth % 2 == 1 && nth + 1 < parts.len();
    let word = |(nth, part): (usize, &&str)| if is_quoted(nth) { String::new() } else { part.to_string() };
    // The apostrophe of `Can't` is not a quote.
    match parts.first().is_some_and(|first| first.ends_with("Can") || first.ends_with("can")) {
        true => line.to_string(),
        false => parts.iter().enumerate().map(word).collect::<Vec<_>>().join("'"),
    }
}

/// The class of one of zypper's lines, if it has one.
pub fn class_of(line: &str) -> Option<Class> {
    // The words behind the number are the server's.
    if line.contains("returned error: ") {
        return Some(Class::Fetch);
    }
    let line = &*without_names(line);
    let curl = line.split_once("Curl error ").map(|(_, rest)| rest.trim_start_matches('('));
    let curl = curl.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    if contains_any(line, SPACE) {
        Some(Class::Space)
    } else if contains_any(line, AUTH) {
        Some(Class::Auth)
    } else if contains_any(line, CONFIG) {
        Some(Class::Config)
    } else if line.starts_with('[') && !line.starts_with("[|") && line.contains("|] ") {
        // `[alias|url]`, of a repository that names neither.
        Some(Class::Config)
    } else if contains_any(line, DEPENDENCY) {
        Some(Class::Dependency)
    } else if contains_any(line, FETCH) {
        Some(Class::Fetch)
    } else if let Some(code) = curl {
        // A partial file, an HTTP error, a range, a local file that does not exist.
        Some(if matches!(code, "18" | "22" | "33" | "37" | "78") { Class::Fetch } else { Class::Network })
    } else if contains_any(line, NETWORK) {
        Some(Class::Network)
    } else {
        (contains_any(line, VAGUE) || contains_any(line, ANSWERS)).then_some(Class::Fetch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_server_nor_the_names_of_its_files_choose_the_class() {
        for (line, class) in [
            ("The requested URL returned error: 404 No space left on device", Class::Fetch),
            ("The requested URL returned error: 404 NO_PUBKEY public key", Class::Fetch),
            ("File './repodata/No space left on device' not found on medium 'http://x/'", Class::Fetch),
            ("Location 'http://x/is unsigned' is temporarily unaccessible.", Class::Fetch),
            ("Permission to access 'http://x/public key' denied.", Class::Fetch),
            (
                "Downloaded data exceeded the expected filesize '5.4 KiB' of 'http://x/No alias defined'.",
                Class::Fetch,
            ),
            ("Timeout exceeded when accessing 'http://x/Problem: '.", Class::Network),
            ("Can't create /var/cache/zypp/raw/x", Class::Space),
            ("Cannot write file '/var/cache/x'.", Class::Space),
            (
                "tb-a-2.0-1.noarch (x): Signature verification failed [4-Signatures public key is not available]",
                Class::Auth,
            ),
        ] {
            assert_eq!(class_of(line), Some(class), "{line}");
        }
    }

    /// What libzypp and zypper say about keys, settings, dependencies, files, disks and locks.
    #[test]
    fn every_message_has_its_class() {
        for (class, messages) in [
            (
                Class::Auth,
                &[
                    "Signature verification failed for file 'repomd.xml' from repository 'x'.",
                    "File 'repomd.xml' from repository 'x' is unsigned.",
                    "File 'repomd.xml' from repository 'x' is signed with an unknown key 'AB'.",
                    "x-1-1.noarch (x): Signature verification failed [5-File does not exist or signature can't be checked]",
                    "File does not exist or signature can't be checked",
                    "Package header is not signed!",
                    "Package payload is not signed!",
                    "Failed to import public key AB",
                    "Failed to import key.",
                    "The gpg key signing file 'repomd.xml' has expired.",
                    "Repository x does not define 'gpgkey=' URLs.",
                    "Unknown type of signature",
                ][..],
            ),
            (
                Class::Config,
                &[
                    "Invalid port component 'x'",
                    "Invalid host component 'x'",
                    "Unable to parse Url components",
                    "Invalid Url scheme 'x'",
                    "Malformed URI",
                    "Query string parsing not supported for this URL",
                    "Relative path not allowed if authority exists",
                    "Repository alias cannot start with dot.",
                    "Service alias cannot start with dot.",
                    "Required attribute 'url' is missing.",
                    "Cannot read repo directory '/etc/zypp/repos.d': Permission denied",
                    "Cannot read repo file '/etc/zypp/repos.d/x.repo': Permission denied",
                    "Failed to read directory '/etc/zypp/repos.d'",
                    "Can't figure out where the repo is stored.",
                    "Cannot initialize configuration file parser.",
                    "Error: Failed to initialize transfer settings (x).",
                    "Error occurred while setting download (curl) options for 'http://x/':",
                    "Unsupported HTTP authentication method 'x'",
                    "Connection failed: Unsupported proxy scheme for 'foo://h:9'",
                    "Unsupported URI scheme in 'foo://x'.",
                    "Unsupported protocol",
                    "Root privileges are required to run this command.",
                    "Aborting installation due to the need for license confirmation.",
                    "Aborting installation due to user disagreement with x 1 license.",
                    "Repository 'x' not found by its alias, number, or URI.",
                ],
            ),
            (
                Class::Dependency,
                &[
                    "nothing provides 'a' needed by the to be installed b",
                    "nothing provides the requested 'a'",
                    "cannot install both a and b",
                    "the installed a requires 'b', but this requirement cannot be provided",
                    "the to be installed a conflicts with 'b' provided by the installed c",
                    "the installed a obsoletes 'b' provided by the to be installed c",
                    "'a' is provided by the system and cannot be erased",
                    "conflicting requests",
                    "some dependency problem",
                    "No provider of 'a' found.",
                    "'a' not found in package names. Trying capabilities.",
                    "Package 'a' not found.",
                    "'a' is locked. Use 'zypper rl' to unlock it.",
                ],
            ),
            (
                Class::Space,
                &[
                    "Can't create /var/cache/zypp/raw/x",
                    "Can't create cache at /var/cache - no writing permissions.",
                    "Can't create metadata cache directory.",
                    "Can't create or access download directory '/x'.",
                    "Can't open file '/etc/zypp/x' for writing.",
                    "Cannot create directory /x",
                    "Cannot create temporary file under /var/tmp.",
                    "Cannot write file '/x'.",
                    "No permission to write repository cache.",
                    "failed to rename temporary file.",
                    "Create attach point: Can't find a writable directory to create an attach point",
                ],
            ),
            (
                Class::Fetch,
                &[
                    "File '/repodata/repomd.xml' not found on medium 'http://x/'",
                    "Path '/x' on medium 'http://x/' is not a file.",
                    "Permission to access 'http://x/' denied.",
                    "Authentication required for 'http://x/'",
                    "Authentication required but not provided.",
                    "Login failed.",
                    "Access to requested URL is forbidden",
                    "Digest verification failed for file 'x'",
                    "No digest for file x.",
                    "Unknown digest md5 for file x.",
                    "Package x seems to be corrupted during transfer. Do you want to retry retrieval?",
                    "Downloaded data exceeded the expected filesize '1 KiB' of 'http://x/'.",
                    "The downloaded data did not result in a valid checksum",
                    "The request exceeded the maximum download size",
                    "Invalid data from server, multipart was requested but there was no range status code.",
                    "Failed to fetch mirrorlist/metalink data.",
                    "Media source 'http://x/' does not contain the desired medium",
                    "Expected medium x/1 identified by file 'media' with content:",
                    "Failed to mount nfs://x/ on /var/adm/mount/AP_1",
                    "Failed to cache repo (1).",
                    "Can't provide file 'x' from repository 'y'",
                    "Failed to provide Package x. Do you want to retry retrieval?",
                ],
            ),
            (
                Class::Network,
                &[
                    "Connection failed",
                    "Timeout exceeded when accessing 'http://x/'.",
                    "Timeout reached",
                    "The peer certificate could not be verified",
                    "SSL certificate problem, verify that the CA cert is OK for 'https://x/'.",
                    "Server returned a HTTP/2 stream error.",
                ],
            ),
        ] {
            for message in messages {
                assert_eq!(class_of(message), Some(class), "{message}");
            }
        }
        for message in [
            "Please see the above error message for a hint.",
            "Visit the SUSE Customer Center to check whether your registration is valid and has not expired.",
        ] {
            assert_eq!(class_of(message), None, "{message}");
        }
    }
}
