//! Reading apt's and dpkg's error lines.

use crate::outcome::{Class, Failure, cut};
use crate::process::Finished;

/// How apt says that a hook of its configuration failed.
pub const HOOK_FAILED: &str = "Problem executing scripts";

/// A message that is longer is cut.
const MOST_TEXT: usize = 4096;

/// One `E:`, `W:` or `N:` message, its continuation lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether it is an error.
    pub is_error: bool,
    /// Whether it is a warning, and neither an error nor a notice.
    pub is_warning: bool,
    /// Its words, without the prefix.
    pub text: String,
}

/// apt's own messages on standard error. apt 3 can write `Error:` for `E:`.
pub fn messages(stderr: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut open = false;
    for line in stderr.lines() {
        let prefixes = [
            ("E: ", true),
            ("Error: ", true),
            ("W: ", false),
            ("Warning: ", false),
            ("N: ", false),
            ("Notice: ", false),
        ];
        let found =
            prefixes.iter().find_map(|(prefix, is_error)| Some((line.strip_prefix(prefix)?, *is_error)));
        if let Some((text, is_error)) = found {
            let text = cut(text.trim_end().to_string(), MOST_TEXT);
            messages.push(Message { is_error, is_warning: line.starts_with('W'), text });
            open = true;
        } else if let Some(last) = messages.last_mut().filter(|_| open && line.starts_with("  ")) {
            // What decides stands at the beginning.
            if last.text.len() < MOST_TEXT {
                last.text.push(' ');
                last.text.push_str(line.trim());
            }
        } else {
            open = false;
        }
    }
    messages
}

/// Why apt-get or dpkg, which ended by itself with a non-zero exit code, failed.
pub fn classify(finished: &Finished) -> Failure {
    // Once dpkg has begun, words about mirrors can only be a maintainer script's.
    let began = super::install_began(finished);
    let from_dpkg = dpkg_errors(&finished.stdout).or_else(|| dpkg_errors(&finished.stderr));
    if let Some(failure) = from_dpkg {
        return failure;
    }
    let errors = messages(&finished.stderr).into_iter().filter(|message| message.is_error);
    let failures = errors.filter(|message| !began || !message.text.starts_with("Failed to fetch "));
    failures
        .map(|message| Failure::new(class_of(&message.text), message.text))
        .reduce(Failure::more_decisive)
        .unwrap_or_else(|| undecided(finished))
}

/// `other`, with the last line that was printed.
fn undecided(finished: &Finished) -> Failure {
    let lines = finished.stdout.lines().chain(finished.stderr.lines());
    let last = lines.rev().find(|line| !line.trim().is_empty());
    Failure::new(Class::Other, last.unwrap_or("it failed without a word"))
}

/// The first error that dpkg itself reports, and its reason on the line below:
///
/// ```text
/// dpkg: error processing package tb-brk (--configure):
///  installed tb-brk package post-installation script subprocess returned error exit status 1
/// ```
fn dpkg_errors(output: &str) -> Option<Failure> {
    let mut lines = output.split(['\n', '\r']).filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("dpkg: error processing ") {
            let (what, reason) = (rest.trim_end_matches(':'), lines.next().unwrap_or_default().trim());
            return Some(Failure::new(dpkg_class(reason), format!("{what}: {reason}")));
        }
        if let Some(reason) = line.strip_prefix("dpkg: unrecoverable fatal error, aborting:") {
            let text = format!("dpkg: {reason} {}", lines.next().unwrap_or_default().trim());
            return Some(Failure::new(dpkg_class(&text), text));
        }
        if let Some(reason) = line.strip_prefix("dpkg: error: ") {
            let class = if reason.contains("lock was locked by ") { Class::Lock } else { dpkg_class(reason) };
            return Some(Failure::new(class, format!("dpkg: {reason}")));
        }
    }
    None
}

fn dpkg_class(reason: &str) -> Class {
    if is_space(reason) {
        Class::Space
    } else if reason.contains("trying to overwrite") || reason.contains("dependency problems") {
        Class::Dependency
    } else if reason.contains("script") || reason.contains("conffile prompt") || reason.contains("trigger") {
        Class::Script
    } else {
        Class::Other
    }
}

fn is_space(text: &str) -> bool {
    has(
        text,
        &[
            "No space left on device",
            "have enough free space",
            "Read-only file system",
            "Disk quota exceeded",
        ],
    )
}

fn has(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// The class of one of apt's messages.
pub fn class_of(text: &str) -> Class {
    if is_space(text) {
        return Class::Space;
    }
    if let Some(rest) = text.strip_prefix("Failed to fetch ") {
        // Two spaces end the URL, so that a 404 in a file name is not taken for the reason.
        return fetch_class(rest.split_once("  ").map_or(rest, |(_, reason)| reason));
    }
    if has(text, &["Could not get lock", "is another process using it"]) {
        return Class::Lock;
    }
    if text.contains("dpkg was interrupted") || text.contains("received signal") {
        return Class::Interrupted;
    }
    if text.starts_with("Sub-process /usr/bin/dpkg") || text.starts_with(HOOK_FAILED) {
        return Class::Script;
    }
    if is_validity(text) {
        return Class::Clock;
    }
    const CONFIG: &[&str] = &[
        "Malformed ",
        "list of sources could not be read",
        "is not known on line",
        "Unable to parse ",
        "Conflicting values set for option",
        "method driver ",
        "Syntax error ",
        "in the preferences file",
        "changed its '",
        "doesn't have the component",
        "apt-cdrom",
        "No sandbox user",
        "weak security information",
    ];
    if has(text, CONFIG) {
        return Class::Config;
    }
    if is_signature(text) {
        return Class::Auth;
    }
    const DEPENDENCY: &[&str] = &[
        "Unable to locate package",
        "Couldn't find any package",
        "has no installation candidate",
        " was not found",
        "Unable to correct",
        "held broken packages",
        "nmet dependencies",
        "Broken packages",
        "Held packages were changed",
        "but remove is disabled",
        "Essential packages",
        "Packages were downgraded",
        "pkgProblemResolver",
    ];
    if has(text, DEPENDENCY) {
        return Class::Dependency;
    }
    const FETCH: &[&str] = &[
        "Unable to fetch some archives",
        "have a Release file",
        "has a Release file",
        "Some index files failed",
    ];
    if has(text, FETCH) {
        return Class::Fetch;
    }
    Class::Other
}

/// The class of the reason that apt gives for one file it could not fetch.
pub fn fetch_class(reason: &str) -> Class {
    let digits = reason.bytes().take_while(u8::is_ascii_digit).count();
    if is_space(reason) {
        Class::Space
    } else if is_validity(reason) {
        Class::Clock
    } else if is_signature(reason) {
        Class::Auth
    } else if reason.contains("apt-cdrom") || reason.contains("method driver") {
        Class::Config
    } else if (digits == 3 && reason[3..].starts_with(' '))
        || has(reason, &["Hash Sum mismatch", "unexpected size", "Mirror sync in progress", "File not found"])
    {
        Class::Fetch
    } else {
        // Resolving, connecting, TLS, closed connections: apt has many words for "no answer".
        Class::Network
    }
}

fn is_validity(text: &str) -> bool {
    text.contains("is expired (invalid since") || text.contains("is not valid yet (invalid for")
}

fn is_signature(text: &str) -> bool {
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
        "GPG error",
        "gpgv",
        "/sqv ",
        "unauthenticated packages",
    ];
    has(text, WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::End;

    fn finished(stdout: &str, stderr: &str, status: &str) -> Finished {
        Finished {
            end: End::Code(100),
            stdout: stdout.into(),
            stderr: stderr.into(),
            status: status.into(),
            elapsed: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn a_script_that_speaks_of_404_is_no_fetch_error() {
        let script = "Setting up tb-brk (2.0-1) ...\nE: Failed to fetch http://x/y  404  Not Found\n";
        let dpkg = "dpkg: error processing package tb-brk (--configure):\n installed tb-brk package post-installation script subprocess returned error exit status 1\n";
        let apt = "E: Sub-process /usr/bin/dpkg returned an error code (1)\n";
        let failure = classify(&finished(&format!("{script}{dpkg}"), apt, "pmstatus:x:0:y"));
        assert_eq!(failure.class, Class::Script);
        assert!(failure.message.starts_with("package tb-brk (--configure): installed tb-brk"));
        // Even where dpkg's own words are lost.
        let failure = classify(&finished("", &format!("{script}{apt}"), "pmstatus:x:0:y"));
        assert_eq!(failure.class, Class::Script);
    }

    #[test]
    fn a_message_grows_no_longer_than_what_is_kept() {
        let length = |first: usize| {
            let text = format!("E: {}\n  more\n  more\n", "x".repeat(first));
            messages(&text)[0].text.len()
        };
        assert_eq!(length(1), 1 + 5 + 5);
        assert_eq!(length(MOST_TEXT - 1), MOST_TEXT - 1 + 5);
        assert_eq!(length(MOST_TEXT), MOST_TEXT);
    }

    #[test]
    fn a_version_with_404_in_it_is_no_404() {
        let url = "http://h/pool/a_404-1_all.deb";
        assert_eq!(
            class_of(&format!("Failed to fetch {url}  Connection failed [IP: 127.0.0.1 80]")),
            Class::Network
        );
        assert_eq!(
            class_of(&format!("Failed to fetch {url}  404  Not Found [IP: 127.0.0.1 80]")),
            Class::Fetch
        );
        assert_eq!(
            class_of(&format!("Failed to fetch {url}  Write error - write (28: No space left on device)")),
            Class::Space
        );
    }

    #[test]
    fn the_reasons_of_dpkg_have_their_class() {
        for (reason, class) in [
            ("trying to overwrite '/x', which is also in package b 1", Class::Dependency),
            ("dependency problems - leaving unconfigured", Class::Dependency),
            ("installed a post-installation script subprocess returned error exit status 1", Class::Script),
            ("end of file on stdin at conffile prompt", Class::Script),
            ("triggers looping, abandoned", Class::Script),
            ("cannot copy extracted data: failed to write (No space left on device)", Class::Space),
            ("something else", Class::Other),
        ] {
            let text = format!("dpkg: error processing package a (--unpack):\n {reason}\n");
            let failure =
                classify(&finished(&text, "E: Sub-process /usr/bin/dpkg returned an error code (1)\n", ""));
            assert_eq!(failure.class, class, "{reason}");
        }
    }

    #[test]
    fn only_a_number_of_http_at_the_beginning_is_one() {
        for (reason, class) in [
            ("404  Not Found [IP: 127.0.0.1 80]", Class::Fetch),
            ("404x", Class::Network),
            ("Not a reason that is known", Class::Network),
            ("Please use apt-cdrom to make this CD-ROM recognized by APT", Class::Config),
            ("The method driver /usr/lib/apt/methods/x could not be found.", Class::Config),
        ] {
            assert_eq!(fetch_class(reason), class, "{reason}");
        }
    }

    #[test]
    fn where_no_line_decides_the_last_one_is_told() {
        let failure = classify(&finished("one\ntwo\n", "\n", ""));
        assert_eq!((failure.class, failure.message.as_str()), (Class::Other, "two"));
    }

    #[test]
    fn continuation_lines_belong_to_their_message() {
        let text = "E: Failed to fetch u  Hash Sum mismatch\n   Hashes:\n    - SHA256:x\nnot apt's\n   nor this\nW: w\n";
        let found = messages(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].text, "Failed to fetch u  Hash Sum mismatch Hashes: - SHA256:x");
        assert!(found[0].is_error && !found[1].is_error);
    }
}
