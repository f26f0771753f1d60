//! The class of what apk says.

use crate::model::class::Class;

/// `failed to extract usr/share/tb/tb-hello: No space left on device`, or a reason alone.
pub fn package_class(reason: &str) -> Class {
    if reason.starts_with("trying to overwrite ") {
        return Class::Dependency;
    }
    // Packages are not signed one by one: this is not the file that the index lists.
    if reason == "BAD signature" {
        return Class::Fetch;
    }
    match last_reason(reason) {
        // The file on the server ended too early.
        Class::Network if reason.starts_with("failed to extract ") => Class::Fetch,
        class => class,
    }
}

/// The class of the words behind the last colon, or of the whole line.
pub fn last_reason(text: &str) -> Class {
    match reason_class(text) {
        Class::Other => reason_class(text.rsplit(": ").next().unwrap_or(text)),
        class => class,
    }
}

/// The words with which apk's reasons for a repository or a package begin or end, by class. They are apk's own and
/// those of the C library, which differ between musl and glibc. The first that fit decide.
const REASONS: &[(Class, &[&str])] = &[
    (
        Class::Space,
        &[
            "No space left on device",
            "Read-only file system",
            "Quota exceeded",
            "quota exceeded",
            // apk 2 says so about a file of its cache that it could not write on a full disk.
            "Operation not permitted",
        ],
    ),
    (
        Class::Auth,
        &["UNTRUSTED signature", "BAD signature", "cryptographic ", "cryptocraphic ", "crypto error"],
    ),
    (
        Class::Config,
        &[
            "invalid URL",
            "repositories file syntax error",
            "unsupported repositories file keyword",
            "undefined repositories file variable",
        ],
    ),
    (
        Class::Network,
        &[
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
        ],
    ),
    (
        Class::Fetch,
        &[
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
        ],
    ),
];

/// The class of such a reason.
pub fn reason_class(reason: &str) -> Class {
    // `HTTP 404: Not Found`: a server may write anything behind its number.
    if reason.starts_with("HTTP ") {
        return Class::Fetch;
    }
    let fits = |word: &str| reason.starts_with(word) || reason.ends_with(word);
    let found = REASONS.iter().find(|(_, words)| words.iter().any(|word| fits(word)));
    found.map_or(Class::Other, |(class, _)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::assert_classes;

    #[test]
    fn both_c_libraries_are_understood() {
        for reason in [
            "Connection timed out",
            "Operation timed out",
            "Network is unreachable",
            "Network unreachable",
            "Host is unreachable",
            "No route to host",
            "Connection aborted",
            "Software caused connection abort",
            "DNS: transient error (try again later)",
            "TLS: handshake failed (client cert needed?)",
        ] {
            assert_eq!(reason_class(reason), Class::Network, "{reason}");
        }
        for reason in ["Disk quota exceeded", "Quota exceeded", "No space left on device"] {
            assert_eq!(reason_class(reason), Class::Space, "{reason}");
        }
        for reason in [
            "HTTP 404: No space left on device",
            "HTTP 503: UNTRUSTED signature",
            "HTTP 403: Connection refused",
        ] {
            assert_eq!(reason_class(reason), Class::Fetch, "{reason}");
            assert_eq!(package_class(reason), Class::Fetch, "{reason}");
        }
        for reason in ["HTTP 503: Service Unavailable", "I/O error", "Input/output error"] {
            assert_eq!(reason_class(reason), Class::Fetch, "{reason}");
        }
        assert_eq!(reason_class("Permission denied"), Class::Other);
    }

    #[test]
    fn each_reason_that_apk_knows_has_its_class() {
        let table = [
            (Class::Network, "DNS: name does not exist"),
            (Class::Network, "DNS lookup error"),
            (Class::Network, "TLS: server certificate not trusted"),
            (Class::Network, "network connection aborted"),
            (Class::Network, "network error (check Internet connection and firewall)"),
            (Class::Network, "could not connect to server (check repositories file)"),
            (Class::Network, "temporary error (try again later)"),
            (Class::Network, "Connection reset by peer"),
            (Class::Network, "Network unreachable"),
            (Class::Fetch, "HTTP 404: Not Found"),
            (Class::Fetch, "HTTP: unrecognized server error"),
            (Class::Fetch, "remote server returned error (try 'apk update')"),
            (Class::Fetch, "package mentioned in index not found (try 'apk update')"),
            (Class::Fetch, "BAD archive"),
            (Class::Fetch, "archive does not contain expected data"),
            (Class::Fetch, "package file format error"),
            (Class::Fetch, "unexpected end of file"),
            (Class::Fetch, "ADB integrity error"),
            (Class::Other, "incompatible ADB version"),
            (Class::Other, "file format is obsolete (e.g. missing embedded checksum)"),
            (Class::Other, "file format not supported (in this applet)"),
            (Class::Fetch, "v2 package integrity error"),
            (Class::Auth, "UNTRUSTED signature"),
            (Class::Auth, "BAD signature"),
            (Class::Auth, "cryptographic key format not recognized"),
            (Class::Config, "invalid URL (check your repositories file)"),
            (Class::Config, "repositories file syntax error"),
            (Class::Space, "No space left on device"),
            (Class::Space, "Read-only file system"),
            (Class::Other, "database file format error"),
            (Class::Other, "v2 database format error"),
        ];
        assert_classes(&table, reason_class);
    }
}
