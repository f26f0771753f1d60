//! Reading dnf5's and rpm's error lines.

use super::classes::class_of;
use super::lists::{rows_to_change, said_to_change};
use crate::managers::last_words;
use crate::managers::rpm::errors::{decisive, known, reason_class};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::not_believed;
use crate::system::process::{End, Finished};

/// Why a command of dnf5 or rpm failed, or why its list cannot be believed.
pub fn classify(finished: &Finished) -> Option<Failure> {
    why_failed(finished).or_else(|| contradiction(finished))
}

/// A simulation must list something exactly where dnf5 would begin a transaction, and as many packages as dnf5 counts.
fn contradiction(finished: &Finished) -> Option<Failure> {
    if !is_aborted(finished) {
        return None;
    }
    let (said, listed) = (said_to_change(&finished.stdout), rows_to_change(&finished.stdout));
    (said == 0 || said != listed).then(|| Failure::new(Class::Other, not_believed("dnf5", said, listed)))
}

/// A line without the path of the file in the cache, which does not help.
pub(super) fn without_path(line: &str) -> String {
    match line.split_once(" (/").and_then(|(start, rest)| Some((start, rest.split_once(") ")?.1))) {
        Some((start, end)) => format!("{start} {end}"),
        None => line.to_string(),
    }
}

/// Why a command failed. Exit code 1 is also that of a simulation that ended as it should, and of an install in which
/// only a script failed.
pub fn why_failed(finished: &Finished) -> Option<Failure> {
    let scriptlet = |own_only| {
        let line = scriptlet(finished, own_only)?;
        Some(Failure::new(Class::Script, last_words::quoted(line, said(finished, line))))
    };
    match finished.end {
        End::Code(0 | 100) => scriptlet(true),
        End::Code(_) if is_aborted(finished) => None,
        End::Code(_) => Some(by_its_words(finished, scriptlet(false))),
        _ => scriptlet(true),
    }
}

/// What dnf5 prints when `--assumeno` answered its question; the question may stand before it.
const ABORTED: &str = "Operation aborted by the user.";

fn is_aborted(finished: &Finished) -> bool {
    finished.stderr.lines().any(|line| line.ends_with(ABORTED))
}

/// A line of progress: ` base   100% |   1.0 MiB/s |   5.1 KiB |  00m00s`.
pub fn is_bar(line: &str) -> bool {
    line.starts_with(['[', ' ']) && line.contains("% | ") && line.matches(" | ").count() >= 3
}

/// `... for repository "extra": ...`
pub fn named_repository(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("repository \"").or_else(|| line.split_once("repo \""))?;
    rest.split_once('"').map(|(id, _)| id)
}

/// The line about a failed script. In a transaction, everything stands behind `>>> `, the output of scripts too; dnf5's
/// own lines come before the headline of a script's output. Before 5.2.14 it writes `post-install` for `%post`.
///
/// ```text
/// [3/4] Upgrading tb-brk-0:2.0-1.noarch   100% |  30.3 KiB/s | 124.0   B |  00m00s
/// >>> Running %post scriptlet: tb-brk-0:2.0-1.noarch
/// >>> Non-critical error in %post scriptlet: tb-brk-0:2.0-1.noarch
/// >>> Scriptlet output:
/// >>> anything
/// >>>
/// >>> [RPM] %post(tb-brk-2.0-1.noarch) scriptlet failed, exit status 1
/// ```
fn scriptlet(finished: &Finished, own_only: bool) -> Option<&str> {
    let mut is_output = false;
    finished.stderr.lines().find_map(|line| {
        let Some(words) = line.strip_prefix(">>> ") else {
            is_output = false;
            return None;
        };
        is_output |= words == "Scriptlet output:";
        let tells = ["Non-critical error in ", "Error in "].iter().any(|start| words.starts_with(start))
            && words.contains(" scriptlet: ");
        (tells && !(is_output && own_only)).then_some(words)
    })
}

/// What that script printed: the lines below the headline, up to rpm's own line.
fn said<'a>(finished: &'a Finished, line: &str) -> Option<&'a str> {
    let words = finished.stderr.lines().skip_while(|other| other.strip_prefix(">>> ") != Some(line)).skip(1);
    let words = words.map_while(|other| other.strip_prefix(">>> "));
    let output = words.skip_while(|words| *words != "Scriptlet output:").skip(1);
    last_words::decisive(output.take_while(|words| !words.starts_with("[RPM] ")))
}

/// What dnf5 says beside its errors.
const REMARKS: &[&str] = &[
    "Updating and loading repositories:",
    "Repositories loaded.",
    "Waiting for a lock on the system repository",
    "Use the \"--skip-file-locks\" option",
    "Total size of inbound packages is ",
    "After this operation, ",
    "The operation will only download packages",
    "Test mode enabled: ",
    "Running transaction",
    "Warning: ",
    "Importing OpenPGP key ",
    // Before 5.2.7.
    "Importing PGP key ",
    // Of its plugin expired-pgp-keys.
    "The following OpenPGP key (",
    "As a result, installing packages signed",
    "It is recommended to remove the expired",
    "an updated key. This might",
    "The system will now proceed with",
    "Key 0x",
    "The key was successfully imported",
    "Failed to set locale",
    "----",
    "Complete!",
    "[",
    ">>>",
];

/// The lines that are an error of dnf5 itself, and what stands indented below them.
pub(super) fn errors(stderr: &str) -> impl Iterator<Item = &str> {
    let is_remark = |line: &str| REMARKS.iter().any(|start| line.starts_with(start));
    let mut below_remark = false;
    stderr.lines().filter(move |line| {
        if !line.starts_with(' ') {
            below_remark = is_remark(line) || is_holder(line);
        }
        let is_problem = line.starts_with("  - ");
        // The end of a parser's message, which has lines of its own.
        line.trim() != ")" && !line.trim().is_empty() && !is_bar(line) && (is_problem || !below_remark)
    })
}

/// `4711\tdnf5 upgrade`, below the line that it waits for a lock.
fn is_holder(line: &str) -> bool {
    let number = line.split_once('\t').map_or("", |(number, _)| number);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The failure by dnf5's own words.
fn by_its_words(finished: &Finished, scriptlet: Option<Failure>) -> Failure {
    let began = install_began(finished);
    let errors: Vec<_> = errors(&finished.stderr).collect();
    // What dnf5 says later counts more than what rpm said before.
    let is_own = |line: &&str| !line.starts_with("You can try to add") && !line.starts_with("error: ");
    // An update that dnf5 skips is told before it goes on with the others.
    let is_skipped = |line: &&str| line.starts_with("Problem") || line.starts_with(' ');
    let start = errors.iter().position(|line| is_own(line) && !is_skipped(line));
    let start = start.or_else(|| errors.iter().position(is_own)).unwrap_or(0);
    let first = errors.get(start).copied();
    let Some(first) = first else {
        // A signal ends dnf5 at once, and it says nothing.
        let text = match began {
            true => "dnf5 was stopped in the middle of an install, and said nothing",
            false => "dnf5 was stopped and said nothing",
        };
        return scriptlet.unwrap_or_else(|| Failure::new(Class::Interrupted, text));
    };
    // The lines below belong to it: `Failed to resolve the transaction:`, `Problem: ...`.
    let more = errors[start + 1..].iter().take_while(|line| {
        let of_key = ["OpenPGP check for package ", "PGP check for package ", "Public key \""];
        first.ends_with(':') || line.starts_with(' ') || of_key.iter().any(|start| line.starts_with(start))
    });
    let more = more.take_while(|line| !line.starts_with("You can try to add")).map(|line| line.trim());
    let text = std::iter::once(first.trim()).chain(more).collect::<Vec<_>>().join(" ");
    let text = without_path(&text);
    if let Some(line) = errors.iter().find(|line| class_of(line) == Class::Space) {
        return Failure::new(Class::Space, line.trim().trim_start_matches("- "));
    }
    // If a package cannot be had, dnf5 says so; anything else that it fetches in a transaction is a key.
    if !began && (text.starts_with("Failed to download files") || text.starts_with("cannot open file: ")) {
        let class = match reason_class(&text) {
            class @ (Class::Network | Class::Space) => class,
            _ => Class::Auth,
        };
        return Failure::new(class, format!("could not get a key: {text}"));
    }
    let is_fetch = ["Failed to download ", "Failed to set up metadata download", "Cannot download the \""];
    if !began && is_fetch.iter().any(|start| text.starts_with(start)) {
        return fetch(&text, finished);
    }
    match class_of(&text) {
        Class::Other if text.starts_with("Transaction failed: ") => {
            scriptlet.unwrap_or_else(|| Failure::new(Class::Other, text))
        }
        class => Failure::new(class, text),
    }
}

/// All failed downloads look alike; the reason stands behind `>>> ` as long as no script has run.
///
/// ```text
/// >>> Status code: 404 for http://.../tb-hello-2.0-1.noarch.rpm (IP: 127.0.0.1) - http://...
/// >>> No more mirrors to try - All mirrors were already tried without success
/// Failed to download packages
///  Librepo error: Cannot download tb-hello-2.0-1.noarch.rpm: All mirrors were tried
/// ```
fn fetch(text: &str, finished: &Finished) -> Failure {
    let of_text = Failure::new(reason_class(text), text);
    let reasons = finished.stderr.lines().filter_map(|line| line.strip_prefix(">>> "));
    let failure = match decisive(text, reasons) {
        Some(failure) => known(of_text, failure),
        None => of_text,
    };
    match (failure.class, class_of(text)) {
        (Class::Other, Class::Other) => Failure { class: Class::Fetch, ..failure },
        (Class::Other, class) => Failure { class, ..failure },
        _ => failure,
    }
}

/// `[2/8] Prepare transaction` is the first thing that rpm does. Before it, files are verified and keys are fetched,
/// each with a bar that shows its address. `Running transaction` is printed also where rpm's lock or a key cannot be
/// had; dnf5 says that below.
pub(super) fn install_began(finished: &Finished) -> bool {
    let mut lines = finished.stderr.lines().skip_while(|line| *line != "Running transaction");
    let runs = lines.next().is_some();
    let mut failed = false;
    for line in lines {
        let is_before = ["] Verify package files ", "] Total ", "://"].iter().any(|part| line.contains(part));
        if is_bar(line) && !is_before {
            return true;
        }
        failed |= NOT_BEGUN.iter().any(|start| line.starts_with(start));
    }
    runs && !failed
}

/// What dnf5 says about a transaction that did not begin.
pub(super) const NOT_BEGUN: &[&str] =
    &["Transaction failed: ", "Failed to download files", "Cannot download files", "cannot open file: "];

#[cfg(test)]
mod tests {
    use super::*;

    fn class(stderr: &str) -> (Class, String) {
        let failure = classify(&Finished::ended(1, "", stderr)).unwrap();
        (failure.class, failure.message)
    }

    const NOT_FOUND: &str = ">>> Status code: 404 for http://h/tb-a-2.0-1.noarch.rpm (IP: 127.0.0.1)\n\
                             Failed to download packages\n Librepo error: Cannot download tb-a-2.0-1.noarch.rpm\n";

    #[test]
    fn what_stands_before_an_error_is_not_the_error() {
        let key = "The following OpenPGP key (0x0123456789ABCDEF) is about to be removed:\n Reason     : Expired on 2026\n \
                   UserID     : \"x\"\n\nAs a result, installing packages signed with this key will fail.\n\
                   It is recommended to remove the expired key to allow importing\n\
                   an updated key. This might leave already installed packages unverifiable.\n\n\
                   The system will now proceed with removing the key.\nKey 0x01234567 was successfully removed.\n";
        let holder = "Waiting for a lock on the system repository. The following processes are currently accessing it:\n\
                      4711\tdnf5 upgrade\n";
        let imported =
            "Importing PGP key 0x01234567:\n UserID     : \"x\"\nThe key was successfully imported.\n";
        for before in ["", key, holder, imported] {
            let (class, message) = class(&format!("{before}{NOT_FOUND}"));
            assert_eq!(class, Class::Fetch, "{message}");
            assert!(message.starts_with("Failed to download packages"), "{message}");
        }
    }

    #[test]
    fn the_script_that_failed_is_named_in_the_words_of_each_version() {
        for kind in ["%post", "post-install"] {
            let text = format!(
                "Running transaction\n[1/2] Prepare transaction 100% | 1 | 2 | 3\n>>> Running {kind} scriptlet: tb-a-0:2.0-1.noarch\n\
                 >>> Error in {kind} scriptlet: tb-a-0:2.0-1.noarch\n>>> Scriptlet output:\n>>> it broke\n>>>\n\
                 Transaction failed: Rpm transaction failed.\n"
            );
            let (class, message) = class(&text);
            assert_eq!(class, Class::Script, "{message}");
            assert!(message.contains("tb-a") && message.contains("it broke"), "{message}");
        }
    }
}
