//! Reading pacman's error lines. Standard error holds nothing else: pacman passes on the output of scripts and hooks to
//! standard output.

use super::classes::{
    class_of, end_class, is_no_sandbox, is_of_entry, is_signature, lacks_keyring, retrieving,
    unreadable_database,
};
use super::fetch::{DOWNLOADER, downloader, fetch, unwritable};
use super::lines::{errors, warnings};
use super::scripts::talkative;
use crate::managers::cut_short::undecided;
use crate::managers::last_words;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::system::process::{End, Finished};

/// Why a command of pacman failed. With exit code 0 a script may have failed, or a signal may have cut it short.
pub fn classify(finished: &Finished) -> Option<Failure> {
    if let Some(line) = signal(finished) {
        return Some(Failure::new(Class::Interrupted, line));
    }
    match finished.end {
        End::Code(0) => exited_well(finished),
        // Nothing is pending, or installed.
        End::Code(1) if finished.stdout.trim().is_empty() && errors(finished).all(is_of_no_matter) => None,
        End::Signal(_) => exited_well(finished),
        _ => Some(by_its_words(finished)),
    }
}

/// pacman ends a transaction between two packages on INT and HUP, runs no more hooks, and exits with 0.
fn signal(finished: &Finished) -> Option<&str> {
    let lines = finished.stderr.lines().map(|line| line.trim_end_matches('\r'));
    let mut signals =
        lines.filter(|line| *line == "Interrupt signal received" || *line == "Hangup signal received");
    signals.next()
}

/// What is wrong although the exit code is 0. If another mirror had the file, nothing is.
fn exited_well(finished: &Finished) -> Option<Failure> {
    // Nor is a repository that pacman does without, nor a signature: pacman first says what is wrong with the
    // one that it has and then fetches another, without which it would not exit with 0.
    let is_harmless = |line: &str| {
        retrieving(line).is_some()
            || is_of_no_matter(line)
            || line.starts_with("key \"")
            || is_signature(line)
            // On a kernel without Landlock pacman 7.0 fetches all the same.
            || is_no_sandbox(line)
    };
    let serious = errors(finished).filter(|line| !is_harmless(line));
    let failures = serious.map(|line| match class_of(line) {
        Class::Script => script(finished, line),
        Class::Interrupted => Failure::new(Class::Interrupted, cut_off(line)),
        class => Failure::new(class, line),
    });
    // Without its databases an upgrade finds nothing to do.
    let upgrades = finished.stdout.lines().any(|line| line.starts_with(":: Starting full system "));
    let missing = unreadable(finished).filter(|_| upgrades).map(|(_, line)| Failure::new(Class::Fetch, line));
    let failures = failures.chain(missing);
    // An error with a class comes before one without.
    failures.reduce(|first, next| match (first.class, next.class) {
        (Class::Other, class) if class != Class::Other => next,
        _ => first.more_decisive(next),
    })
}

/// The repository in `could not register 'core' database (database already registered)`. pacman goes on without it, or
/// with the first of two; only a refresh says what that means.
pub fn refused(line: &str) -> Option<&str> {
    let (id, _) = line.strip_prefix("could not register '")?.rsplit_once("' database (")?;
    Some(id)
}

/// What pacman skips: a foreign directory among its packages, or an index entry whose name is not that of its package.
///
/// ```text
/// error: invalid name for database entry 'lost+found'
/// error: extra database is inconsistent: version mismatch on package tb-hello
/// ```
fn is_passed_over(line: &str) -> bool {
    line.starts_with("invalid name for database entry '")
        || (line.contains(" database is inconsistent: ") && line.contains(" mismatch on package "))
}

fn is_of_no_matter(line: &str) -> bool {
    refused(line).is_some() || is_passed_over(line)
}

/// pacman does not mend an empty entry: it can neither upgrade nor install that package. Nor does it mend two entries
/// of one package.
fn cut_off(line: &str) -> String {
    if let Some(name) = line.strip_prefix(DUPLICATE).and_then(|rest| rest.strip_suffix('\'')) {
        return format!(
            "{line}: an install of {name} was cut off, and nothing is installed as long as it has two entries; of the \
             directories {name}-VERSION in local, below DBPath (/var/lib/pacman), remove that of the older version, \
             and install the package again with pacman -S --overwrite '*' {name}"
        );
    }
    let path = line.strip_prefix("could not open file ");
    let path = path.and_then(|rest| rest.split_once("/desc: ").or_else(|| rest.split_once("/files: ")));
    match path.and_then(|(entry, _)| Some((entry, entry.rsplit_once('/')?.1))) {
        Some((entry, package)) => format!(
            "{line}: an install of {package} was cut off; remove {entry} and install the package again \
             with pacman -S --overwrite '*'"
        ),
        None => line.to_string(),
    }
}

/// `duplicated database entry 'tb-a'`
const DUPLICATE: &str = "duplicated database entry '";

fn script(finished: &Finished, line: &str) -> Failure {
    // `hook /etc/pacman.d/hooks/b.hook line 2: invalid option Nonsense`
    let is_reason = |other: &&str| class_of(other) == Class::Config || is_directory(other);
    if let Some(reason) = errors(finished).find(is_reason).filter(|_| !install_began(finished)) {
        return Failure::new(Class::Script, format!("{line}: {reason}"));
    }
    let talkative = talkative(&finished.stdout);
    let names =
        || talkative.iter().map(|(name, _)| *name).take(MOST_TALKATIVE).collect::<Vec<_>>().join(", ");
    let text = match talkative.as_slice() {
        [] => line.to_string(),
        [(name, said)] => {
            last_words::quoted(&format!("{line} at {name}"), last_words::decisive(said.iter().copied()))
        }
        _ => format!("{line}; a script or hook printed something at: {}", names()),
    };
    Failure::new(Class::Script, text)
}

/// How many packages are named.
const MOST_TALKATIVE: usize = 10;

/// Why pacman ended with another code.
fn by_its_words(finished: &Finished) -> Failure {
    if let Some(line) = errors(finished).find(|line| class_of(line) == Class::Space) {
        return Failure::new(Class::Space, line);
    }
    if let Some(line) = errors(finished).find(|line| is_of_entry(line)) {
        return Failure::new(Class::Interrupted, cut_off(line));
    }
    if let Some(line) = lacking_keyring(finished).filter(|_| errors(finished).any(is_keyring_error)) {
        return Failure::new(Class::Auth, line);
    }
    let ends = errors(finished).filter(|line| line.starts_with("failed to ") && line.ends_with(')'));
    let Some(end) = ends.last() else {
        let lines = || errors(finished).filter(|line| retrieving(line).is_none());
        let told = lines().find(|line| class_of(line) != Class::Other);
        let line = told.or_else(|| lines().next()).or_else(|| errors(finished).next());
        let Some(line) = line else { return undecided(finished) };
        let text = whole(finished, line);
        let is_old = text.contains("database is incorrect version");
        return Failure::new(if is_old { Class::Config } else { class_of(line) }, text);
    };
    let class = end_class(end);
    match class {
        Class::Fetch if end.ends_with(DOWNLOADER) => downloader(finished, end),
        Class::Fetch if unwritable(finished).is_some() => {
            Failure::new(Class::Config, unwritable(finished).unwrap_or_default())
        }
        Class::Fetch => fetch(finished, end),
        Class::Lock => locked(finished, end),
        Class::Script => script(finished, end),
        Class::Dependency => Failure::new(class, with_details(end, details(finished))),
        Class::Other => {
            let mut lines = errors(finished).filter(|line| *line != end);
            let told = lines.find(|line| {
                !matches!(class_of(line), Class::Other | Class::Script) && retrieving(line).is_none()
            });
            let first = errors(finished).find(|line| *line != end && retrieving(line).is_none());
            match told {
                Some(line) => Failure::new(class_of(line), with_details(end, vec![line])),
                None => Failure::new(class, with_details(end, first.into_iter().collect())),
            }
        }
        _ => Failure::new(class, end),
    }
}

fn is_keyring_error(line: &str) -> bool {
    line.starts_with("keyring is not writable")
        || line.starts_with("required key missing")
        || lacks_keyring(line)
}

/// pacman's words where there is no keyring; they name what makes it.
///
/// ```text
/// warning: Public keyring not found; have you run 'pacman-key --init'?
/// error: keyring is not writable
/// ```
fn lacking_keyring(finished: &Finished) -> Option<&str> {
    warnings(finished).chain(errors(finished)).find(|line| lacks_keyring(line))
}

/// If a line ends with a colon, the reason is on the lines below.
///
/// ```text
/// error: failed to initialize alpm library:
/// (root: /, dbpath: /var/lib/pacman)
/// database is incorrect version
/// error: try running pacman-db-upgrade
/// ```
fn whole(finished: &Finished, line: &str) -> String {
    let below = finished.stderr.lines().skip_while(|other| !other.ends_with(line)).skip(1);
    let is_more = |line: &str| line.contains("pacman-db-upgrade");
    let below = below.take(3).enumerate().filter(|(nth, below)| *nth < 2 || is_more(below));
    let below: Vec<_> = below.map(|(_, below)| below).filter(|_| line.ends_with(':')).collect();
    std::iter::once(line).chain(below).collect::<Vec<_>>().join(" ")
}

fn with_details(end: &str, details: Vec<&str>) -> String {
    if details.is_empty() { end.to_string() } else { format!("{end}: {}", details.join("; ")) }
}

/// pacman takes the lock by making a file, and says why it cannot.
///
/// ```text
/// error: failed to init transaction (unable to lock database)
/// error: could not lock database: File exists
/// ```
fn locked(finished: &Finished, end: &str) -> Failure {
    let reason = errors(finished).find(|line| line.starts_with("could not lock database: "));
    match reason {
        Some(line) if line.ends_with(": File exists") => Failure::new(Class::Lock, line),
        Some(line) => Failure::new(class_of(line), line),
        None => Failure::new(Class::Lock, end),
    }
}

/// The keys that pacman would like to import.
///
/// ```text
/// :: Import PGP key FA915EA03E2F5395, "Somebody <x@example.org>"? [Y/n]
/// ```
pub fn missing_keys(finished: &Finished) -> Vec<String> {
    let lines = finished.stdout.lines().filter_map(|line| line.strip_prefix(":: Import PGP key "));
    let numbers = lines.filter_map(|rest| {
        let number = rest.split([',', '?', ' ']).next()?;
        let number = number.rsplit('/').next()?;
        let is_long = number.len() >= 16 && number.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_long.then(|| number[number.len() - 16..].to_string())
    });
    numbers.collect()
}

/// `could not open directory: /srv/hooks/: Not a directory`
fn is_directory(line: &str) -> bool {
    line.starts_with("could not open directory: ")
}

/// The lines that say which packages conflict; some are on standard output.
fn details(finished: &Finished) -> Vec<&str> {
    let is_detail = |line: &&str| {
        (line.starts_with(":: ") && !line.ends_with(['.', ']', ' ']))
            || line.ends_with(" exists in filesystem")
            || line.contains(" exists in both ")
            || line.contains(" exists in filesystem (owned by ")
    };
    finished.lines().filter(is_detail).take(5).map(|line| line.trim_start_matches(":: ")).collect()
}

/// The repositories whose files could not be read, and the lines that say so.
pub fn unreadable(finished: &Finished) -> impl Iterator<Item = (&str, &str)> {
    let missing = warnings(finished).filter_map(|line| {
        let (id, rest) = line.strip_prefix("database file for '")?.split_once('\'')?;
        rest.starts_with(" does not exist").then_some((id, line))
    });
    errors(finished).filter_map(|line| Some((unreadable_database(line)?, line))).chain(missing)
}

/// What an administrator must look at, such as `warning: /etc/tb.conf installed as /etc/tb.conf.pacnew`.
pub fn notes(finished: &Finished) -> Vec<String> {
    let of_config =
        warnings(finished).filter(|line| line.contains(" installed as ") || line.contains(" saved as "));
    let passed_over = errors(finished).filter(|line| is_passed_over(line));
    of_config.chain(passed_over).map(crate::model::text::one_line).collect()
}

/// Nothing before this line changes a package.
pub(super) fn install_began(finished: &Finished) -> bool {
    finished.stdout.lines().any(|line| line == ":: Processing package changes...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_would_be_imported_are_read() {
        let text = ":: Import PGP key FA915EA03E2F5395, \"none\"? [Y/n] \n:: Import PGP key 4096R/00112233445566778899AABBCCDDEEFF00112233? [Y/n] \n\
                    :: Import PGP key -x, \"y\"? [Y/n]\n";
        let keys = missing_keys(&Finished::ended(1, text, ""));
        assert_eq!(keys, ["FA915EA03E2F5395", "CCDDEEFF00112233"]);
    }

    #[test]
    fn a_sandbox_that_cannot_be_and_a_keyring_that_is_not_there_are_no_fetch_errors() {
        for (line, class) in [
            (
                "restricting filesystem access failed because landlock is not supported by the kernel!",
                Class::Config,
            ),
            ("switching to sandbox user 'alpm' failed!", Class::Config),
            ("public keyring not found; have you run 'pacman-key --init'?", Class::Auth),
        ] {
            let text =
                format!("error: {line}\nerror: failed to synchronize all databases (unexpected error)\n");
            let failure = classify(&Finished::ended(1, "", &text)).unwrap();
            assert_eq!(failure.class, class, "{line}");
            assert!(failure.message.contains(line), "{}", failure.message);
            // pacman 7.0 goes on without Landlock.
            let goes_on = line.contains("landlock");
            assert_eq!(
                classify(&Finished::ended(0, "", &text[..text.find('\n').unwrap()])).is_none(),
                goes_on
            );
            let gone = "error: failed retrieving file 'x' from h : The requested URL returned error: 404\n\
                        error: failed to commit transaction (failed to retrieve some files)\n";
            let failure = classify(&Finished::ended(1, "", &format!("error: {line}\n{gone}"))).unwrap();
            assert_eq!(failure.class, if goes_on { Class::Fetch } else { class }, "{line}");
        }
    }

    #[test]
    fn each_reason_behind_a_closing_line_has_its_class() {
        let table = [
            (Class::Lock, "init", "unable to lock database"),
            (Class::Space, "commit", "not enough free disk space"),
            (Class::Fetch, "commit", "failed to retrieve some files"),
            (Class::Fetch, "commit", "download library error"),
            (Class::Fetch, "commit", "invalid or corrupted package (checksum)"),
            (Class::Auth, "commit", "invalid or corrupted package (PGP signature)"),
            (Class::Auth, "commit", "package missing required signature"),
            (Class::Auth, "commit", "missing PGP signature"),
            (Class::Auth, "commit", "invalid PGP signature"),
            (Class::Auth, "commit", "required key missing from keyring"),
            (Class::Auth, "synchronize all", "invalid or corrupted database (PGP signature)"),
            (Class::Dependency, "prepare", "could not satisfy dependencies"),
            (Class::Dependency, "prepare", "conflicting dependencies"),
            (Class::Dependency, "prepare", "package architecture is not valid"),
            (Class::Dependency, "commit", "conflicting files"),
            (Class::Dependency, "prepare", "operation cancelled due to ignorepkg"),
            (Class::Config, "synchronize all", "no servers configured for repository"),
            (Class::Script, "commit", "failed to run transaction hooks"),
            (Class::Other, "commit", "out of memory!"),
        ];
        let class = |phase: &str, reason: &str| {
            let text = format!("error: failed to {phase} transaction ({reason})\n");
            classify(&Finished::ended(1, "", &text)).unwrap().class
        };
        let wrong = table.iter().filter(|(expected, phase, reason)| class(phase, reason) != *expected);
        let wrong: Vec<_> = wrong.map(|(_, phase, reason)| (reason, class(phase, reason))).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
