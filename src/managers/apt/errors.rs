//! Reading apt's and dpkg's error lines.

use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::cut;
use crate::system::process::Finished;
use std::path::PathBuf;

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
    if let Some(failure) = dpkg_failure(finished) {
        return failure;
    }
    // Once dpkg has begun, a maintainer script or a hook may print words like apt's. Apt's own come last,
    // and none of them is about a mirror.
    let began = install_began(finished);
    let own = if began { last_messages(&finished.stderr) } else { finished.stderr.clone() };
    let errors = messages(&own).into_iter().filter(|message| message.is_error);
    let errors = errors.filter(|message| !began || !message.text.starts_with("Failed to fetch "));
    let (summaries, reasons): (Vec<_>, Vec<_>) =
        errors.map(|message| message.text).partition(|text| is_summary(text));
    let failures = if reasons.is_empty() { summaries } else { reasons };
    let decisive = failures
        .into_iter()
        .map(|text| Failure::new(class_of(&text), text))
        .reduce(Failure::more_decisive)
        .unwrap_or_else(|| undecided(finished));
    // Apt's child ends so where it could not change the root or find dpkg, which itself never does.
    if decisive.message.starts_with("Sub-process /") && decisive.message.ends_with(" error code (100)") {
        let text = format!("could not start dpkg: {} ({})", last_line(finished), decisive.message);
        return Failure::new(Class::Config, text);
    }
    decisive
}

/// The messages below everything else that was printed.
fn last_messages(stderr: &str) -> String {
    let is_message = |line: &&str| line.starts_with("  ") || !messages(line).is_empty();
    let last: Vec<_> = stderr.lines().rev().take_while(is_message).collect();
    last.into_iter().rev().flat_map(|line| [line, "\n"]).collect()
}

/// The package list that apt says it cannot read, and its words:
///
/// ```text
/// E: Unable to parse package file /var/lib/apt/lists/HOST_dists_stable_main_binary-amd64_Packages (1)
/// E: Problem with MergeList /var/lib/apt/lists/HOST_dists_stable_main_binary-amd64_Packages
/// ```
pub fn unreadable(finished: &Finished) -> Option<(PathBuf, String)> {
    const WORDS: &[&str] = &["Unable to parse package file ", "Problem with MergeList "];
    let errors = messages(&finished.stderr).into_iter().filter(|message| message.is_error);
    errors.into_iter().find_map(|Message { text, .. }| {
        let rest = WORDS.iter().find_map(|words| text.strip_prefix(words))?;
        let path = PathBuf::from(rest.split(' ').next()?);
        Some((path, text))
    })
}

/// Whether a message only says that something failed of which another says why.
fn is_summary(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "Sub-process ",
        "Some files failed to download",
        "Unable to fetch some archives",
        "Failed to fetch some archives",
        "Some index files failed to download",
        "Aborting install",
        "The package lists or status file could not be parsed or opened",
        "The list of sources could not be read",
    ];
    WORDS.iter().any(|words| text.starts_with(words))
}

/// `other`, with the last line that was printed.
fn undecided(finished: &Finished) -> Failure {
    Failure::new(Class::Other, last_line(finished))
}

/// The last line that is not one of apt's summaries, else the last of all.
fn last_line(finished: &Finished) -> &str {
    let lines = || finished.stdout.lines().chain(finished.stderr.lines()).rev();
    let mut said = lines().filter(|line| !line.trim().is_empty());
    let reason = said.clone().find(|line| !line.trim_start_matches("E: ").starts_with("Sub-process "));
    reason.or_else(|| said.next()).unwrap_or("it failed without a word")
}

/// What dpkg itself reports. Its errors come over apt's status descriptor too, to which no script
/// writes: where there are any, only those count.
fn dpkg_failure(finished: &Finished) -> Option<Failure> {
    let mut errors = [dpkg_errors(&finished.stdout), dpkg_errors(&finished.stderr)].concat();
    let told: Vec<_> = finished.status.lines().filter_map(told_error).collect();
    if !told.is_empty() {
        errors.retain(|(_, reason)| told.iter().any(|(_, told)| reason.starts_with(told)));
    }
    if errors.is_empty() {
        errors = told.iter().map(|(what, why)| (format!("{what}: {why}"), why.to_string())).collect();
    }
    let failure = |(text, reason): &(String, String)| Failure::new(dpkg_class(reason), text);
    let is_full = errors.iter().find(|(_, reason)| is_space(reason));
    // That another package is not configured only follows from its own error.
    let is_cause = |(_, reason): &&(String, String)| !reason.starts_with("dependency problems");
    is_full.or_else(|| errors.iter().find(is_cause)).or(errors.first()).map(failure)
}

/// `pmerror:WHAT:PERCENT:REASON`; a package may be named with its architecture.
fn told_error(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("pmerror:")?;
    let colons = rest.match_indices(':').map(|(at, _)| at);
    let is_percent = |at: &usize| {
        let next = rest[at + 1..].split(':').next().unwrap_or_default();
        next.contains('.') && next.parse::<f64>().is_ok()
    };
    let at = colons.clone().find(is_percent)?;
    let (_, reason) = rest[at + 1..].split_once(':')?;
    Some((&rest[..at], reason.trim()))
}

/// The errors that dpkg itself prints, each with its reason, which may stand on the line below:
///
/// ```text
/// dpkg: error processing package tb-brk (--configure):
///  installed tb-brk package post-installation script subprocess returned error exit status 1
/// ```
fn dpkg_errors(output: &str) -> Vec<(String, String)> {
    let mut errors = Vec::new();
    let mut lines = output.split(['\n', '\r']).filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        if let Some(reason) = line.strip_prefix("dpkg-query: error: ") {
            let more = if reason.ends_with(':') { lines.next().unwrap_or_default() } else { "" };
            let reason = format!("{reason}{more}");
            errors.push((reason.clone(), reason));
        } else if let Some(rest) = line.strip_prefix("dpkg: error processing ") {
            let (what, reason) = (rest.trim_end_matches(':'), lines.next().unwrap_or_default().trim());
            errors.push((format!("{what}: {reason}"), reason.to_string()));
        } else if let Some(reason) = line.strip_prefix("dpkg: unrecoverable fatal error, aborting:") {
            let reason = format!("{} {}", reason.trim(), lines.next().unwrap_or_default().trim());
            errors.push((format!("dpkg: {}", reason.trim()), reason.trim().to_string()));
        } else if let Some(reason) = line.strip_prefix("dpkg: error: ") {
            errors.push((format!("dpkg: {reason}"), reason.to_string()));
        }
        if errors.len() >= MOST_ERRORS {
            break;
        }
    }
    errors
}

/// dpkg itself gives up after 50.
const MOST_ERRORS: usize = 1000;

/// The class of the reason that dpkg gives.
fn dpkg_class(reason: &str) -> Class {
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
    } else if reason.contains("syntax ") && !has(reason, CONFIG) {
        // In a file of dpkg's own database.
        Class::Other
    } else if reason.contains("was locked by ") {
        Class::Lock
    } else if has(reason, DEPENDENCY) {
        Class::Dependency
    } else if has(reason, DAMAGED) {
        Class::Fetch
    } else if has(reason, CONFIG) {
        Class::Config
    } else if has(reason, SCRIPT) {
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
    if let Some(rest) = text.strip_prefix("Failed to fetch ") {
        // Two spaces end the URL, so that a 404 in a file name is not taken for the reason.
        return fetch_class(rest.split_once("  ").map_or(rest, |(_, reason)| reason));
    }
    if is_space(text) {
        return Class::Space;
    }
    if has(text, &["Could not get lock", "is another process using it"]) {
        return Class::Lock;
    }
    const INTERRUPTED: &[&str] = &[
        "dpkg was interrupted",
        "received signal",
        "received a segmentation fault",
        "Operation was interrupted before it could finish",
    ];
    if has(text, INTERRUPTED) {
        return Class::Interrupted;
    }
    // What stands between quotes behind these is the administrator's.
    const SCRIPT: &[&str] = &[HOOK_FAILED, "Failure running script ", "Failure running hook "];
    if SCRIPT.iter().any(|words| text.starts_with(words)) {
        return Class::Script;
    }
    if text.starts_with("Sub-process ") && !is_signature(text) {
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
    const CONFIG: &[&str] = &[
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
    if has(text, CONFIG) {
        return Class::Config;
    }
    if is_signature(text) {
        return Class::Auth;
    }
    const DEPENDENCY: &[&str] = &[
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
    ];
    if has(text, DEPENDENCY) {
        return Class::Dependency;
    }
    const FETCH: &[&str] = &[
        "Unable to fetch some archives",
        "Failed to fetch some archives",
        "Some files failed to download",
        "have a Release file",
        "has a Release file",
        "Some index files failed",
        "Problem with MergeList",
    ];
    if has(text, FETCH) {
        return Class::Fetch;
    }
    Class::Other
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
    } else if has(reason, CONFIG) {
        Class::Config
    } else if has(reason, FETCH) {
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
    has(text, WORDS)
}

/// apt writes `pmstatus:dpkg-exec:...` just before it starts dpkg.
pub(super) fn install_began(finished: &Finished) -> bool {
    finished.status.contains("pmstatus:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::process::End;

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
            ("new a package preinst maintainer script subprocess failed with exit status 2", Class::Script),
            ("installing a would break b, and", Class::Dependency),
            ("pre-dependency problem - not installing a", Class::Dependency),
            ("conflicting packages - not installing a", Class::Dependency),
            ("package architecture (i386) does not match system (amd64)", Class::Dependency),
            ("dpkg-deb --control subprocess returned error exit status 2", Class::Fetch),
            (
                "cannot copy extracted data for './a' to '/a.dpkg-new': unexpected end of file or stream",
                Class::Fetch,
            ),
            ("unable to open '/usr/share/scripts/x.dpkg-new': Operation not permitted", Class::Other),
            ("something else", Class::Other),
        ] {
            let text = format!("dpkg: error processing package a (--unpack):\n {reason}\n");
            let failure =
                classify(&finished(&text, "E: Sub-process /usr/bin/dpkg returned an error code (1)\n", ""));
            assert_eq!(failure.class, class, "{reason}");
        }
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
    fn a_line_that_only_sums_up_is_not_the_reason() {
        for (stdout, stderr, class, words) in [
            (
                "",
                "E: Sub-process echo x; false returned an error code (1)\nE: Failure running script echo x; false\n",
                Class::Script,
                "Failure running script",
            ),
            (
                "Could not exec dpkg!\n",
                "E: Sub-process /usr/bin/nope returned an error code (100)\n",
                Class::Config,
                "could not start dpkg: Could not exec dpkg!",
            ),
            (
                "",
                "dpkg: error: unknown option --x\n\nE: Sub-process /usr/bin/dpkg returned an error code (2)\n",
                Class::Config,
                "unknown option --x",
            ),
            (
                "",
                "E: Problem executing scripts DPkg::Post-Invoke 'false'\nE: Sub-process returned an error code\n",
                Class::Script,
                "DPkg::Post-Invoke",
            ),
        ] {
            let failure = classify(&finished(stdout, stderr, ""));
            assert_eq!(failure.class, class, "{stderr}");
            assert!(failure.message.contains(words), "{failure:?}");
        }
    }

    #[test]
    fn a_script_is_taken_neither_for_dpkg_nor_for_apt() {
        // What dpkg itself says comes over the descriptor too.
        let error = "dpkg: error processing package a (--configure):\n installed a package post-installation script subprocess returned error exit status 1\n";
        let nested = "dpkg: error: dpkg frontend lock was locked by another process with pid 1\n";
        let status = "pmstatus:dpkg-exec:0.0000:Running dpkg\npmerror:a:71.4286:installed a package post-installation script subprocess returned error exit status 1\n";
        let failure = classify(&finished("", &format!("{nested}{error}"), status));
        assert_eq!(
            (failure.class, failure.message.split(':').next()),
            (Class::Script, Some("package a (--configure)"))
        );
        // Even where its words are lost.
        let failure = classify(&finished(nested, "", "pmerror:a:amd64:71.4:installed a script was killed\n"));
        assert_eq!(failure.message, "a:amd64: installed a script was killed");
        // A hook fails behind scripts that print what they like.
        let liar =
            "E: The following signatures were invalid: BADSIG\nE: No space left on device\nnot apt's\n";
        let hook =
            "E: Problem executing scripts DPkg::Post-Invoke 'x'\nE: Sub-process returned an error code\n";
        let failure = classify(&finished("", &format!("{liar}{hook}"), "pmstatus:x:0.0:y\n"));
        assert_eq!(failure.class, Class::Script, "{failure:?}");
    }

    #[test]
    fn of_several_errors_of_dpkg_the_cause_is_told() {
        let error = |package: &str, reason: &str| {
            format!("dpkg: error processing package {package} (--configure):\n {reason}\n")
        };
        let follows = error("b", "dependency problems - leaving unconfigured");
        let script = error(
            "a",
            "installed a package post-installation script subprocess returned error exit status 1",
        );
        let full = error("c", "cannot copy extracted data: failed to write (No space left on device)");
        for (text, class, package) in [
            (format!("{follows}{script}"), Class::Script, "package a "),
            (format!("{script}{follows}"), Class::Script, "package a "),
            (format!("{script}{full}"), Class::Space, "package c "),
            (follows.clone(), Class::Dependency, "package b "),
        ] {
            let failure =
                classify(&finished(&text, "E: Sub-process /usr/bin/dpkg returned an error code (1)\n", ""));
            assert_eq!(failure.class, class, "{text}");
            assert!(failure.message.starts_with(package), "{failure:?}");
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

    #[test]
    fn what_dpkg_says_of_its_database_names_the_file() {
        let text = "dpkg-query: error: parsing file '/var/lib/dpkg/status' near line 15 package 'x':\n field name 'Status' must be followed by colon\n";
        let failure = classify(&finished("", text, ""));
        assert!(
            failure.message.starts_with("parsing file '/var/lib/dpkg/status' near line 15"),
            "{failure:?}"
        );
        assert!(failure.message.ends_with("must be followed by colon"), "{failure:?}");
        let class = dpkg_class("there is no script in the new version of the package - giving up");
        assert_eq!(class, Class::Script);
        let class =
            dpkg_class("invalid syntax in configuration file: /etc/dpkg/dpkg.cfg.d/x:1: unknown option 'x'");
        assert_eq!(class, Class::Config);
        let class = dpkg_class("syntax error in file triggers file '/var/lib/dpkg/triggers/File'");
        assert_eq!(class, Class::Other);
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
