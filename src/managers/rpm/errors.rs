//! The words of librepo, which downloads for dnf 4 and dnf 5, and rpm's words about full disks and keys.

use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::{contains_any, one_line};
use crate::system::process::Finished;

/// Of two reasons the one that says more: "all mirrors were tried" says nothing.
pub fn known(first: Failure, other: Failure) -> Failure {
    if first.class == Class::Other { other } else { first.more_decisive(other) }
}

/// The failure by the reason that says most.
pub fn decisive<'a>(text: &str, reasons: impl Iterator<Item = &'a str>) -> Option<Failure> {
    let failure = reasons.map(|reason| Failure::new(reason_class(reason), reason)).reduce(known)?;
    Some(Failure::new(failure.class, format!("{text}: {}", failure.message)))
}

/// Whether this is rpm's line about a failed script. It writes `warning: %post(tb-brk-2.0-1.noarch) scriptlet failed,
/// exit status 1` if it goes on, and `error:` if it does not.
pub fn is_scriptlet(line: &str) -> bool {
    let rest = line.strip_prefix("warning: %").or_else(|| line.strip_prefix("error: %"));
    rest.is_some_and(|rest| rest.contains(") scriptlet failed, "))
}

/// `error: cannot open Packages database in /var/lib/rpm`: dnf 4 then goes on as if nothing were installed.
pub fn is_unreadable_database(line: &str) -> bool {
    line.starts_with("error: cannot open Packages ") || line.ends_with("rpmdb open failed")
}

/// Whether a text says that a file system is full.
pub fn is_space(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "No space left on device",
        "more space needed on",
        "more space on the",
        "more inodes",
        "enough free space",
        "Read-only file system",
        "Disk quota exceeded",
    ];
    // librepo words a full disk as a failed transfer: "Failed writing received data to disk".
    contains_any(text, WORDS) || text.contains("Curl error (23)")
}

/// rpm's line about a package that it could not unpack, where the disk is why. A script can print such a line too: only
/// where the manager itself says that a package could not be unpacked is it rpm's.
///
/// ```text
/// error: unpacking of archive failed on file /usr/share/tb/padding;6b0c726b: cpio: open failed - Read-only file system
/// error: failed to open dir tb-hello of /usr/share/tb-hello/: Read-only file system
/// ```
pub fn unpacked_in_vain(finished: &Finished) -> Option<&str> {
    let is_told = finished.stderr.lines().any(|line| line.starts_with("Error unpacking rpm package "));
    let is_rpms = |line: &&str| {
        ["error: unpacking of archive failed on file ", "error: failed to open dir "]
            .iter()
            .any(|start| line.starts_with(start))
    };
    finished.lines().filter(|_| is_told).find(|line| is_rpms(line) && is_space(line))
}

/// Words about keys and signatures, and the names of their files.
pub const KEYS: &[&str] = &[
    "repomd.xml.asc",
    "repomd.xml.key",
    "RPM-GPG-KEY",
    "GPG signature",
    "GPG verification",
    "ignature verification",
    "GPG check FAILED",
    "GPG key",
    "is not signed",
    "Failing package is",
    "Failed to read key",
    "Failed to download key",
    "bad signature",
];

/// Words about a file that does not exist, or is not as announced. The page of a login portal is a `parser error` too.
const DAMAGED: &[&str] = &[
    "Status code: ",
    "checksum doesn't match",
    "Inconsistent server data",
    "parser error: ",
    "Parse error at line",
    "was not found in metalink",
    "No URLs in metalink",
];

/// Words about a repository that names no place, or an impossible one such as a relative path.
const CONFIG: &[&str] = &[
    "Cannot find a valid baseurl",
    "No URLs in mirrorlist",
    "Bad option",
    "Empty mirrorlist and no basepath",
    "No valid source",
    "Cannot resolve path for: ",
    "Unsupported proxy s",
    "error reading X.509 ",
];

/// Words about settings with which nothing is asked at all.
const REFUSED: &[&str] = &["Bad value of LRO_", "' is set but not '", "Failed to set up metadata download"];

/// The class of the reason that librepo gives for one file it could not fetch.
pub fn reason_class(text: &str) -> Class {
    let curl = text.split_once("Curl error (").and_then(|(_, rest)| rest.split_once(')'));
    // A list of mirrors that does not come is not a list without mirrors.
    let is_list_lost =
        text.contains("No URLs in mirrorlist") && (text.contains("Status code: ") || curl.is_some());
    if is_space(text) {
        Class::Space
    } else if text.contains("interrupted by a signal") {
        Class::Interrupted
    } else if contains_any(text, KEYS) {
        // Also a 404 for a key or a signature: no refresh mends that.
        Class::Auth
    } else if !is_list_lost && contains_any(text, CONFIG) {
        Class::Config
    } else if let Some((code, _)) = curl {
        match code {
            // A protocol error, a partial file, a range, a local file that does not exist.
            "18" | "22" | "33" | "37" | "78" => Class::Fetch,
            // An invalid address, settings that libcurl does not accept, missing files of certificates.
            "3" | "43" | "48" | "53" | "54" | "58" | "59" | "77" | "82" => Class::Config,
            // Except where a server redirects there.
            "1" if !text.contains(" for http") => Class::Config,
            _ => Class::Network,
        }
    } else if contains_any(text, REFUSED) {
        Class::Config
    } else if contains_any(text, DAMAGED) {
        Class::Fetch
    } else {
        Class::Other
    }
}

/// The cause that such a plugin gives has no more lines than these.
const MOST_OF_CAUSE: usize = 3;

/// The server of which a plugin asks what repositories there are, where it gave no answer, and why. The plugins for
/// Spacewalk, Uyuni, Red Hat Satellite and Oracle's ULN (`dnf-plugin-spacewalk`, `yum-rhn-plugin`) then say this, and the
/// manager goes on with the repositories that stand in files as if there were no others:
///
/// ```text
/// There was an error communicating with Spacewalk server.
/// Spacewalk based repositories will be disabled.
/// rhn-plugin: Error communicating with server. The message was:
/// Connection refused
/// ```
///
/// The name is none that a repository can have. That a host is not registered there is no failure: on many the plugin is
/// only installed.
pub fn silent_server(stderr: &str) -> Option<(String, Failure)> {
    let lines: Vec<_> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (at, words, is_config) = lines.windows(2).enumerate().find_map(|(at, pair)| {
        let of_server =
            pair[0].strip_prefix("There was an error communicating with ").map(|words| (words, false));
        let told =
            of_server.or_else(|| Some((pair[0].strip_prefix("There was an error parsing the ")?, true)));
        // Else it is about what it tells the server after an install.
        told.filter(|_| pair[1].ends_with(" will be disabled."))
            .map(|(words, is_config)| (at, words, is_config))
    })?;
    let id = format!("{} (plugin)", one_line(words.trim_end_matches(['.', ' '])));
    let mut cause = Vec::new();
    for line in lines[at + 2..].iter().take(MOST_OF_CAUSE) {
        cause.push(*line);
        if !line.ends_with(':') {
            break;
        }
    }
    let why = match cause.join(" ") {
        none if none.is_empty() => "it did not say which repositories there are".to_string(),
        why => why,
    };
    let class = match stderr.contains("Invalid System Credentials") {
        _ if is_config => Class::Config,
        true => Class::Auth,
        false => Class::Network,
    };
    let failure = Failure::new(class, format!("{id}: its repositories are left out: {why}"));
    Some((id, failure))
}

/// The package in a line such as `Package tb-a-2.0-1.noarch.rpm is not signed`.
pub fn of_signature(line: &str) -> Option<&str> {
    let starts = ["Package ", "Public key for ", "Problem opening package "];
    let rest = starts.iter().find_map(|start| line.strip_prefix(start))?;
    let (file, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let ends = ["", "is not signed", "is not installed", "is not trusted"];
    ends.contains(&rest.trim_end_matches('.')).then(|| file.strip_suffix(".rpm")).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::assert_classes;

    #[test]
    fn a_server_that_did_not_say_which_repositories_there_are_is_a_source_that_failed() {
        let told = |text: &str| silent_server(text).map(|(id, why)| (id, why.class, why.message));
        let dnf = "There was an error communicating with us.\nThere was an error communicating with Spacewalk server.\n\
                   Spacewalk based repositories will be disabled.\n\
                   rhn-plugin: Error communicating with server. The message was:\nConnection refused\nmore\n";
        let id = "Spacewalk server (plugin)";
        let cause = "rhn-plugin: Error communicating with server. The message was: Connection refused";
        let message = format!("{id}: its repositories are left out: {cause}");
        assert_eq!(told(dnf), Some((id.to_string(), Class::Network, message)));
        assert!(!crate::managers::rpm::tables::is_repository(id));
        let yum = "There was an error communicating with RHN.\nRed Hat Satellite or RHN Classic support will be \
                   disabled.\n\nError Message:\n    Please run rhn_register as root on this client\n\
                   Error Class Code: 9\nError Class Info: Invalid System Credentials.\n";
        let (_, class, message) = told(yum).unwrap();
        assert_eq!(class, Class::Auth);
        assert!(
            message.ends_with("Error Message: Please run rhn_register as root on this client"),
            "{message}"
        );
        let proxy = "There was an error parsing the Red Hat Satellite Proxy settings.\nRed Hat Satellite or RHN Classic \
                     support will be disabled.\n";
        let (id, class, _) = told(proxy).unwrap();
        assert_eq!((id.as_str(), class), ("Red Hat Satellite Proxy settings (plugin)", Class::Config));
        for other in [
            "There was an error communicating with Spacewalk server.\nPackage profile information could not be \
             sent.\nConnection refused\n",
            "This system is not registered with Spacewalk server.\nSpacewalk based repositories will be disabled.\n",
            "",
        ] {
            assert_eq!(told(other), None, "{other}");
        }
    }

    #[test]
    fn a_list_of_mirrors_that_is_not_there_is_told_from_an_empty_one() {
        let table = [
            (Class::Config, "Cannot prepare internal mirrorlist: No URLs in mirrorlist"),
            (
                Class::Fetch,
                "Status code: 404 for http://h/list,Cannot prepare internal mirrorlist: No URLs in mirrorlist",
            ),
            (
                Class::Network,
                "Curl error (28): Timeout was reached for http://h/list [],Cannot prepare internal mirrorlist: No URLs in mirrorlist",
            ),
            (
                Class::Config,
                "Curl error (3): URL using bad/illegal format or missing URL for http://h:99999/list [],Cannot prepare internal mirrorlist: No URLs in mirrorlist",
            ),
            (Class::Fetch, "Status code: 404 for http://h/x"),
            (
                Class::Fetch,
                "Cannot prepare internal mirrorlist: file \"repomd.xml\" was not found in metalink",
            ),
            (Class::Config, "Cannot download repomd.xml: Empty mirrorlist and no basepath specified!"),
            (Class::Config, "No valid source (baseurl, mirrorlist or metalink) found for repository \"x\""),
            (Class::Config, "Cannot prepare internal mirrorlist: Cannot resolve path for: \"b/\""),
            (
                Class::Config,
                "Curl error (3): URL using bad/illegal format or missing URL for http://h:99999/x []",
            ),
            (Class::Config, "Curl error (1): Unsupported protocol for foo://h/repodata/repomd.xml []"),
            (Class::Network, "Curl error (1): Unsupported protocol for http://h/repodata/repomd.xml []"),
            (
                Class::Network,
                "Curl error (5): Couldn't resolve proxy name for http://h/x [Could not resolve proxy: p]",
            ),
            (
                Class::Config,
                "Curl error (5): Couldn't resolve proxy name for http://h/x [Unsupported proxy syntax in 'x:y']",
            ),
        ];
        assert_classes(&table, reason_class);
    }
}
