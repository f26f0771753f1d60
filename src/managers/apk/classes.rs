//! The class of what apk says.

use crate::model::class::Class;

/// `failed to extract usr/share/tb/tb-hello: No space left on device`, or a reason alone.
pub fn package_class(reason: &str) -> Class {
    if reason.starts_with("trying to overwrite ") {
        return Class::Dependency;
    }
    // Packages are not signed one by one: it is not the file that the index speaks of.
    if reason == "BAD signature" {
        return Class::Fetch;
    }
    match last_reason(reason) {
        // The file on the server ended too early.
        Class::Network if reason.starts_with("failed to extract ") => Class::Fetch,
        class => class,
    }
}

/// The class of what stands behind the last colon, or of all.
pub fn last_reason(text: &str) -> Class {
    match reason_class(text) {
        Class::Other => reason_class(text.rsplit(": ").next().unwrap_or(text)),
        class => class,
    }
}

/// The class of the reason that apk gives for a repository or a package: its own words, and those
/// of the C library, which are others in musl and in glibc.
pub fn reason_class(reason: &str) -> Class {
    // apk 2 says the last one of a file of its cache that it could not write, on a full disk.
    const SPACE: &[&str] = &[
        "No space left on device",
        "Read-only file system",
        "Quota exceeded",
        "quota exceeded",
        "Operation not permitted",
    ];
    const AUTH: &[&str] =
        &["UNTRUSTED signature", "BAD signature", "cryptographic ", "cryptocraphic ", "crypto error"];
    const CONFIG: &[&str] = &[
        "invalid URL",
        "repositories file syntax error",
        "unsupported repositories file keyword",
        "undefined repositories file variable",
    ];
    const NETWORK: &[&str] = &[
        "DNS",
        "TLS: ",
        "temporary error (try again later)",
        "network ",
        "could not connect to server",
        "operation timed out",
        "Operation timed out",
        "Connection ",
        "connection abort",
        "No route to host",
        "Host is ",
        "Network ",
        "Broken pipe",
    ];
    const FETCH: &[&str] = &[
        "HTTP",
        "package mentioned in index not found",
        "could not find a repo which provides this package",
        "remote server returned error",
        "No such file or directory",
        "BAD archive",
        "archive does not contain expected data",
        "unexpected end of file",
        "file format is invalid or inconsistent",
        "file integrity error",
        "package file format error",
        "v2 package ",
        "v2 index ",
        "ADB ",
        "IO ERROR",
        "I/O error",
        "Input/output error",
        "Protocol error",
    ];
    // `HTTP 404: Not Found`: a server may put any words behind its number.
    if reason.starts_with("HTTP ") {
        return Class::Fetch;
    }
    let has = |words: &[&str]| words.iter().any(|word| reason.starts_with(word) || reason.ends_with(word));
    if has(SPACE) {
        Class::Space
    } else if has(AUTH) {
        Class::Auth
    } else if has(CONFIG) {
        Class::Config
    } else if has(NETWORK) {
        Class::Network
    } else if has(FETCH) {
        Class::Fetch
    } else {
        Class::Other
    }
}
