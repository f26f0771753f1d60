//! The class of what yum says.

use crate::model::class::Class;
use crate::model::text::contains_any;

pub(super) fn is_space(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "No space left on device",
        "Insufficient space in download directory",
        "more space needed on the",
        "Read-only file system",
        "Disk quota exceeded",
        "[Errno 28]",
        "[Errno 30]",
        "No write access to ",
        "curl#23 ",
    ];
    let text = without_phrase(text);
    let needs = text.starts_with("  installing package ") && text.contains(" needs ");
    needs || contains_any(text, WORDS)
}

/// `[Errno 14] HTTP Error 404 - Not Found` without the words that a server puts behind the number.
fn without_phrase(text: &str) -> &str {
    let at = text.find("HTTP Error ").or_else(|| text.find("HTTPS Error "));
    let phrase = at.and_then(|at| Some(at + text[at..].find(" - ")?));
    phrase.map_or(text, |end| &text[..end])
}

/// Words about keys and signatures, and the names of their files.
const KEYS: &[&str] = &[
    "repomd.xml.asc",
    "RPM-GPG-KEY",
    "signature could not be verified",
    "GPG key",
    "GPG public key",
    "via GPG keys",
    "Public key for ",
    "is not signed",
    "Invalid GPG",
    "Import of key(s)",
    "Key import failed",
    "automatically import keys",
];

/// The class of the reason that yum gives for one file it could not fetch.
pub fn reason_class(text: &str) -> Class {
    let text = without_phrase(text);
    let curl = text.split_once("curl#").map(|(_, rest)| rest.split(' ').next().unwrap_or_default());
    if is_space(text) {
        Class::Space
    } else if contains_any(text, KEYS) {
        // Also a 404 for a key or a signature: no refresh mends that.
        Class::Auth
    } else if let Some(code) = curl {
        // A protocol error, a partial file, a range, a local file that does not exist.
        if matches!(code, "18" | "22" | "33" | "37" | "78") { Class::Fetch } else { Class::Network }
    } else if contains_any(text, &["[Errno 12]", "Timeout on "]) {
        Class::Network
    } else if contains_any(text, &["[Errno 15]", "User abort"]) {
        Class::Interrupted
    } else if contains_any(
        text,
        &[
            "HTTP Error ",
            "HTTPS Error ",
            "FTP Error",
            "[Errno -1]",
            "[Errno -3]",
            "[Errno 2] ",
            "no local cache of",
        ],
    ) {
        Class::Fetch
    } else {
        Class::Other
    }
}

/// The class of one of yum's error lines.
pub(super) fn class_of(line: &str) -> Class {
    const CONFIG: &[&str] = &[
        "Config error: ",
        "Config Error: ",
        "Configuration file ",
        "Invalid tsflag",
        "Options error: ",
        "File contains no section headers",
        "File contains parsing errors",
        "Error getting repository data for ",
        "Error parsing config",
    ];
    const DEPENDENCY: &[&str] = &[
        "Error: Package: ",
        " conflicts with ",
        " conflicts between ",
        "Protected multilib versions",
        "which is protected",
        "No Match for argument",
        "Error: Nothing to do",
        " is needed by ",
    ];
    if contains_any(line, CONFIG) {
        Class::Config
    } else if contains_any(line, KEYS) {
        Class::Auth
    } else if contains_any(line, DEPENDENCY) {
        Class::Dependency
    } else if contains_any(line, &["Exiting on user cancel", "Exiting on Broken Pipe", "Keyboard Interrupt"])
    {
        Class::Interrupted
    } else if contains_any(
        line,
        &["no local cache of ", "requested datatype ", "does not match intended", "does not match checksum"],
    ) {
        Class::Fetch
    } else {
        Class::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::assert_classes;

    #[test]
    fn reasons_have_their_class() {
        let table = [
            (Class::Network, "[Errno 14] curl#7 - \"Failed connect\""),
            (Class::Network, "[Errno 14] curl#60 - \"Peer's certificate\""),
            (Class::Fetch, "[Errno 14] curl#18 - \"transfer closed\""),
            (Class::Space, "[Errno 14] curl#23 - \"Failed writing body\""),
            (Class::Fetch, "[Errno 14] HTTPS Error 403 - Forbidden"),
            (Class::Fetch, "[Errno 14] HTTP Error 404 - No space left on device"),
            (Class::Fetch, "[Errno 14] HTTP Error 404 - GPG key curl#7 "),
            (Class::Auth, "http://h/RPM-GPG-KEY-x: [Errno 14] HTTP Error 404 - Not Found"),
            (Class::Network, "[Errno 12] Timeout on http://h/"),
            (Class::Auth, "[Errno -1] repomd.xml signature could not be verified for x"),
            (Class::Other, "[Errno 256] No more mirrors to try."),
        ];
        assert_classes(&table, reason_class);
    }
}
