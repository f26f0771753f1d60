//! Reading dnf's and rpm's error lines.

use super::lists::contradiction;
use crate::managers::cut_short::NO_REASON;
use crate::managers::last_words;
use crate::managers::rpm::errors::{
    KEYS, decisive, is_scriptlet, is_space, is_unreadable_database, known, reason_class, unpacked_in_vain,
};
use crate::managers::rpm::files::NO_UTF8;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::{contains_any, cut};
use crate::system::process::{End, Finished};

/// A longer message is cut.
const MOST_TEXT: usize = 4096;
/// `dnf check-update` exits so when updates are pending.
const UPDATES_PENDING: i32 = 100;
/// The first of many lines that explain why nothing can be installed.
const NO_KEY: &str = "You have enabled checking of packages via GPG keys.";
/// Exit code with `exit_on_lock` when another dnf is at work.
const LOCKED: i32 = 200;

/// Why a command of dnf or rpm failed, or why its list cannot be believed.
pub fn classify(finished: &Finished) -> Option<Failure> {
    let is_list = match finished.end {
        End::Code(0 | UPDATES_PENDING) => !install_began(finished),
        End::Code(_) => ended_as_asked(&finished.stderr),
        _ => false,
    };
    why_failed(finished).or_else(|| contradiction(finished).filter(|_| is_list))
}

/// Why a command failed. With exit code 0 a scriptlet may have failed; with exit code 1 a simulation may have ended as it
/// should.
pub fn why_failed(finished: &Finished) -> Option<Failure> {
    let scriptlet = || {
        let line = scriptlet(finished)?;
        Some(Failure::new(Class::Script, last_words::of_scriptlet(&finished.stdout, line)))
    };
    if let Some(line) = finished.stderr.lines().find(|line| is_unreadable_database(line)) {
        return Some(Failure::new(Class::Other, line));
    }
    match finished.end {
        End::Code(0 | UPDATES_PENDING) if !install_began(finished) => None,
        End::Code(0) | End::Signal(_) => scriptlet(),
        End::Code(LOCKED) => Some(locked(finished)),
        End::Code(_) if ended_as_asked(&finished.stderr) => None,
        _ => match by_its_words(finished) {
            Some(known) if known.class != Class::Other => Some(known),
            // With rpm 6, dnf exits with 1 after a failed scriptlet, and adds `Could not run transaction.`
            other => Some(scriptlet().or(other).unwrap_or_else(|| undecided(finished))),
        },
    }
}

/// If a package cannot be had, dnf says more; anything else that it fetches then is a key.
pub(super) fn lost_key(finished: &Finished) -> Option<&str> {
    let is_download = finished.stdout.lines().any(|line| line == "Downloading Packages:");
    let starts = ["Status code: ", "Curl error (", "Error: Status code: ", "Error: Curl error ("];
    let mut lines = finished.stderr.lines().filter(|_| is_download);
    let line = lines.find(|line| starts.iter().any(|start| line.starts_with(start)))?;
    Some(line.trim_start_matches("Error: "))
}

/// `--assumeno` answered a question with no, or `remove --duplicates` found none.
fn ended_as_asked(stderr: &str) -> bool {
    let mut lines = stderr.lines();
    lines.any(|line| {
        line == "Operation aborted." || line == "Error: No duplicated packages found for removal."
    })
}

/// `metadata already locked by 3432`
fn locked(finished: &Finished) -> Failure {
    let line = finished.stderr.lines().find(|line| line.contains("already locked by"));
    Failure::new(Class::Lock, line.unwrap_or("dnf is locked by another process"))
}

/// rpm's own line, which names version and exit status, or dnf's. What a script prints begins in another way.
fn scriptlet(finished: &Finished) -> Option<&str> {
    let of_dnf = |line: &&str| {
        let rest = line.strip_prefix("Error in ");
        rest.is_some_and(|rest| rest.contains(" scriptlet in rpm package "))
    };
    let of_rpm = finished.lines().find(|line| is_scriptlet(line));
    of_rpm.or_else(|| finished.lines().find(of_dnf))
}

/// The failure by dnf's own words.
fn by_its_words(finished: &Finished) -> Option<Failure> {
    let stderr = &finished.stderr;
    let began = install_began(finished);
    if let Some(line) = stderr.lines().find(|line| line.contains("can't create transaction lock")) {
        return Some(Failure::new(Class::Lock, line));
    }
    if let Some(line) = stderr.lines().find(|line| is_space(line)).or_else(|| unpacked_in_vain(finished)) {
        return Some(Failure::new(Class::Space, line));
    }
    if let Some(line) = stderr.lines().find(|line| is_no_utf8(line)).filter(|_| !began) {
        let text = format!(
            "a value or a name there {NO_UTF8}, so that dnf does nothing at all; save it as UTF-8: {line}"
        );
        return Some(Failure::new(Class::Config, text));
    }
    if let Some(id) = keyless(finished) {
        let text = format!(
            "repository {id}: its packages or its index are to be verified, but it names no key (gpgkey), and none is installed"
        );
        return Some(Failure::new(Class::Auth, text));
    }
    if let Some(line) = lost_key(finished).filter(|_| !began) {
        let class = match reason_class(line) {
            class @ (Class::Network | Class::Space) => class,
            _ => Class::Auth,
        };
        return Some(Failure::new(class, format!("could not get a key: {line}")));
    }
    let mut lines = stderr.lines().chain(finished.stdout.lines()).skip_while(|line| !is_error(line));
    let first = lines.next()?;
    // The lines below belong to it: `Error: Transaction test error:`, `Error: ` and ` Problem: ...`.
    let more: Vec<_> = lines.by_ref().take_while(|line| line.starts_with(' ')).collect();
    let text = std::iter::once(first).chain(more).collect::<Vec<_>>().join(" ");
    // The decisive part is at the beginning.
    let text = &cut(text.trim_start_matches("Error: ").trim_start_matches("RPM: error: ").into(), MOST_TEXT);
    if text.starts_with("Error downloading packages") && !began {
        return Some(download(text, finished));
    }
    let metadata = text.starts_with("Failed to download metadata for repo");
    if metadata {
        let reasons = stderr.lines().filter_map(|line| line.strip_prefix("  - "));
        let of_line = Failure::new(reason_class(text), text);
        return Some(match decisive(text, reasons) {
            Some(failure) => known(of_line, failure),
            None => of_line,
        });
    }
    let class = match class_of(text, began) {
        Class::Other if !began => reason_class(text),
        class => class,
    };
    Some(Failure::new(class, text))
}

/// How dnf ends at a byte of its configuration that is not UTF-8, with or without a trace.
///
/// ```text
/// TypeError: in method 'OptionBinds_Item_newString', argument 3 of type 'std::string const &'
/// Config error: 'utf-8' codec can't decode byte 0xe9 in position 3: invalid continuation byte
/// ```
fn is_no_utf8(line: &str) -> bool {
    (line.starts_with("TypeError: in method '") && line.contains(" of type 'std::string "))
        || line.starts_with("Config error: 'utf-8' codec can't decode ")
}

/// Whether dnf had all repositories, and then could not resolve the transaction. Repositories that it went on without
/// are named before that.
///
/// ```text
/// Error:
///  Problem: The operation would result in removing the following protected packages: tb-a
/// ```
pub fn is_unresolved(finished: &Finished) -> bool {
    let lines = finished.stderr.lines();
    let mut pairs = lines.clone().zip(lines.skip(1));
    pairs.any(|(first, next)| first.trim_end() == "Error:" && next.starts_with(" Problem"))
}

fn is_error(line: &str) -> bool {
    let words =
        ["Error: ", "Error:", "RPM: error: ", "error: ", "[Errno ", "Config error: ", "GPG key ", NO_KEY];
    words.iter().any(|word| line.starts_with(word))
}

/// On standard error all failed downloads look alike; standard output has the reason.
///
/// ```text
/// [MIRROR] tb-hello-2.0-1.noarch.rpm: Status code: 404 for http://...
/// [FAILED] tb-hello-2.0-1.noarch.rpm: No more mirrors to try - All mirrors were already tried without success
/// ```
fn download(text: &str, finished: &Finished) -> Failure {
    let reasons = finished.stdout.lines().filter_map(|line| {
        let rest = line.strip_prefix("[MIRROR] ").or_else(|| line.strip_prefix("[FAILED] "))?;
        Some(rest.split_once(": ")?.1)
    });
    let failure = decisive(text, reasons).unwrap_or_else(|| Failure::new(reason_class(text), text));
    match failure.class {
        Class::Other => Failure { class: Class::Fetch, ..failure },
        _ => failure,
    }
}

/// The class of one of dnf's error messages.
fn class_of(text: &str, began: bool) -> Class {
    const CONFIG: &[&str] = &[
        "There are no enabled repositories",
        "Unknown repo",
        "Config error",
        "Invalid config",
        "Parsing file",
        "Config file ",
        "Invalid tsflag",
        "Cannot find a valid baseurl",
    ];
    const DEPENDENCY: &[&str] = &[
        "Problem",
        "conflict",
        "Unable to find a match",
        "No match for argument",
        "No packages marked for",
        "is needed by",
        "nothing provides",
        "protected packages",
        "ependency problem",
    ];
    const SIGNATURES: &[&str] = &[
        "Public key for ",
        "Import of key(s)",
        "Key import failed",
        "automatically import keys",
        "rpmkeys executable",
    ];
    // Another dnf that ended meanwhile emptied the cache; a new download fills it again.
    let cache_gone =
        (text.starts_with("[Errno 2] ") && text.contains(".rpm")) || text.contains("\"--cacheonly\"");
    if is_space(text) || text.starts_with("[Errno 28]") || text.starts_with("[Errno 30]") {
        Class::Space
    } else if (cache_gone || text.contains("incorrect checksum")) && !began {
        Class::Fetch
    } else if contains_any(text, CONFIG) {
        Class::Config
    } else if contains_any(text, &["terrupted", "Terminated"]) {
        Class::Interrupted
    } else if contains_any(text, DEPENDENCY) {
        Class::Dependency
    } else if contains_any(text, KEYS) || contains_any(text, SIGNATURES) {
        Class::Auth
    } else if contains_any(text, &["scriptlet"]) {
        Class::Script
    } else {
        Class::Other
    }
}

/// Where dnf has no words for it: the exception at which it fell over, in a plugin for example, or the last line that
/// was printed. If the transaction had begun it was cut off by that.
fn undecided(finished: &Finished) -> Failure {
    let has_begun = install_began(finished);
    let cut_off = if has_begun { Class::Interrupted } else { Class::Other };
    if let Some(exception) = exception(&finished.stderr) {
        return Failure::new(cut_off, format!("dnf fell over: {exception}"));
    }
    let mut words =
        finished.lines().rev().filter(|line| !line.trim().is_empty() && !line.starts_with(NO_RELEASE));
    let is_reason = finished.stderr.lines().any(is_own_word);
    match (finished.end, words.next()) {
        (End::Code(code), last) if finished.stdout.contains("\nRunning transaction\n") && !is_reason => {
            let last = last.map(|line| format!("; last line: {}", line.trim())).unwrap_or_default();
            Failure::new(cut_off, format!("dnf ended with exit code {code} and gave no reason{last}"))
        }
        (_, Some(last)) => Failure::new(Class::Other, last),
        (_, None) => Failure::new(Class::Other, NO_REASON),
    }
}

/// A remark that has nothing to do with any failure, where no package says which release this is.
const NO_RELEASE: &str = "Unable to detect release version";

fn is_own_word(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with(NO_RELEASE)
}

/// The last exception of Python that nobody caught.
///
/// ```text
/// Traceback (most recent call last):
///   File "/usr/lib/python3/dist-packages/dnf/yum/rpmtrans.py", line 286, in callback
///     return self._instOpenFile(key)
/// MemoryError
/// FATAL ERROR: python callback ??? failed, aborting!
/// ```
fn exception(stderr: &str) -> Option<&str> {
    let lines: Vec<_> = stderr.lines().collect();
    let at = lines.iter().rposition(|line| *line == "Traceback (most recent call last):")?;
    lines[at + 1..].iter().find(|line| is_own_word(line) && !line.starts_with(' ')).copied()
}

/// `  Preparing        :   1/1` is the first thing rpm does. `Running transaction` is printed also where rpm's lock
/// cannot be had.
pub(super) fn install_began(finished: &Finished) -> bool {
    finished.stdout.lines().any(|line| line.starts_with("  Preparing  "))
}

/// The repository because of which dnf does nothing: it must be verified, and names no key. dnf then prints all
/// settings of that repository.
///
/// ```text
/// You have enabled checking of packages via GPG keys. This is a good thing.
/// Problem repository: [test]
/// bandwidth: 0
/// ```
pub fn keyless(finished: &Finished) -> Option<String> {
    finished.stderr.lines().find(|line| line.starts_with(NO_KEY))?;
    let line = finished.stderr.lines().find_map(|line| line.strip_prefix("Problem repository: "))?;
    Some(line.trim_matches(['[', ']']).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::assert_classes;

    #[test]
    fn each_message_has_its_class() {
        let table = [
            (Class::Auth, "Error: Public key for tb-a-2.0-1.noarch.rpm is not installed"),
            (Class::Auth, "Error: Public key for tb-a-2.0-1.noarch.rpm is not trusted"),
            (Class::Auth, "Error: Package tb-a-2.0-1.noarch.rpm is not signed"),
            (Class::Auth, "Error: Import of key(s) didn't help, wrong key(s)?"),
            (Class::Auth, "Error: Key import failed (code 2)"),
            (Class::Auth, "Error: Refusing to automatically import keys when running unattended."),
            (Class::Auth, "Error: Cannot find rpmkeys executable to verify signatures."),
            (Class::Config, "Config error: Parsing file \"/etc/dnf/dnf.conf\" failed: error"),
            (Class::Config, "Error: Config file \"/etc/x\" does not exist"),
            (Class::Config, "Error: Invalid tsflag in config file: x"),
            (Class::Config, "Error: Unknown repo: 'x'"),
            (Class::Config, "Error: There are no enabled repositories in \"/etc/yum.repos.d\"."),
            (Class::Dependency, "Error: Modular dependency problems:"),
            (Class::Dependency, "Error: Unable to find a match: tb-x"),
            (
                Class::Dependency,
                "Error: The operation would result in removing the following protected packages: dnf",
            ),
            (Class::Fetch, "Error: Some packages from local repository have incorrect checksum"),
            (
                Class::Space,
                "Error: Transaction test error:\n  installing package tb-a-2.0-1.noarch needs 20MB more space on the / filesystem",
            ),
        ];
        let class = |line: &str| {
            classify(&Finished::ended(1, "", &format!("{line}\n")))
                .map_or(Class::Other, |failure| failure.class)
        };
        assert_classes(&table, class);
    }
}
