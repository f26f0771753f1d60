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
    "Failed to fetch mirrorlist",
    "Invalid data from server",
    "Expected medium ",
    " on medium ",
    "Failed to mount ",
    "No digest for file",
    "Unknown digest ",
];

/// Where no code says more.
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

/// A line without what stands in it between quotes: names and addresses, which others have chosen.
pub fn without_names(line: &str) -> String {
    let parts: Vec<_> = line.split('\'').collect();
    let is_quoted = |nth: usize| nth % 2 == 1 && nth + 1 < parts.len();
    let word = |(nth, part): (usize, &&str)| if is_quoted(nth) { String::new() } else { part.to_string() };
    // `Can't` is no quote.
    match parts.first().is_some_and(|first| first.ends_with("Can") || first.ends_with("can")) {
        true => line.to_string(),
        false => parts.iter().enumerate().map(word).collect::<Vec<_>>().join("'"),
    }
}

/// The class of one of zypper's lines, if it says anything.
pub fn class_of(line: &str) -> Option<Class> {
    // What stands behind the number of an answer are the words of the server.
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
        // `[alias|url]`, of a repository without one.
        Some(Class::Config)
    } else if contains_any(line, DEPENDENCY) {
        Some(Class::Dependency)
    } else if contains_any(line, FETCH) {
        Some(Class::Fetch)
    } else if let Some(code) = curl {
        // A partial file, an HTTP error, a range, a local file that is not there.
        Some(if matches!(code, "18" | "22" | "33" | "37" | "78") { Class::Fetch } else { Class::Network })
    } else if contains_any(line, NETWORK) {
        Some(Class::Network)
    } else {
        (contains_any(line, VAGUE) || contains_any(line, ANSWERS)).then_some(Class::Fetch)
    }
}
