//! Reading dnf5's and rpm's error lines.

use super::lists::{rows_to_change, said_to_change, transaction};
use crate::managers::last_words;
use crate::managers::rpm::errors::{KEYS, decisive, is_space, known, reason_class};
use crate::managers::rpm::listed_name;
use crate::model::class::{Class, Extra};
use crate::model::failure::Failure;
use crate::model::text::{contains_any, counted};
use crate::model::updates::{HeldBack, Update};
use crate::system::process::{End, Finished};

/// Why a command of dnf5 or rpm failed, or why its list cannot be believed.
pub fn classify(finished: &Finished) -> Option<Failure> {
    why_failed(finished).or_else(|| contradiction(finished))
}

/// A simulation lists something exactly if dnf5 would then have begun, and as many packages as it says.
fn contradiction(finished: &Finished) -> Option<Failure> {
    if !is_aborted(finished) {
        return None;
    }
    let (said, listed) = (said_to_change(&finished.stdout), rows_to_change(&finished.stdout));
    (said == 0 || said != listed).then(|| {
        let text = format!("dnf5 says that {} would change, but lists {listed}", counted(said, "package"));
        Failure::new(Class::Other, text)
    })
}

/// The updates that cannot be installed, where the test of a transaction says which: a signature that is
/// not as asked for, a file that two packages have, something that is missing.
///
/// ```text
/// OpenPGP check for package "tb-a-2.0-1.noarch" (/var/.../tb-a-2.0-1.noarch.rpm) from repo "x" has failed: The package is not signed.
///   - file /usr/share/x conflicts between attempted installs of tb-a-2.0-1.noarch and tb-b-2.0-1.noarch
///   - file /usr/share/x from install of tb-a-2.0-1.noarch conflicts with file from package tb-c-1.0-1.noarch
///   - tb-c = 1.0 is needed by tb-a-2.0-1.noarch
/// Problem: cannot install the best update candidate for package tb-a-1.0-1.noarch
/// ```
pub fn culprits(finished: &Finished) -> Vec<HeldBack> {
    if !matches!(finished.end, End::Code(_)) || began_for_real(finished) {
        return Vec::new();
    }
    let mut found: Vec<HeldBack> = Vec::new();
    let updates = transaction(&finished.stdout).updates;
    let mut add = |package: &str, class: Class, reason: &str| {
        let Some((name, arch)) = name_of_package(package) else { return };
        let name = listed_name(name, arch);
        if !found.iter().any(|held| held.name == name) {
            let update = updates.iter().find(|update| update.name == name);
            let candidate = update.map(|update| update.candidate.clone());
            found.push(left_out(name, candidate, class, reason));
        }
    };
    let is_unresolved =
        finished.stderr.lines().any(|line| line.starts_with("Failed to resolve the transaction"));
    for line in finished.stderr.lines() {
        let words = line.strip_prefix("  - ").unwrap_or(line);
        if let Some(check) = line.strip_prefix("OpenPGP check for package \"") {
            add(check.split('"').next().unwrap_or_default(), Class::Auth, &without_path(line));
        } else if words.starts_with("file ") && words.len() < line.len() {
            let installs = [" attempted installs of ", " from install of "];
            let package = installs.iter().find_map(|of| words.split_once(of)?.1.split(' ').next());
            add(package.unwrap_or_default(), Class::Dependency, words);
        } else if let Some((_, package)) = words.split_once(" is needed by ") {
            add(package.split(' ').next().unwrap_or_default(), Class::Dependency, words);
        } else if let Some((_, package)) = line.split_once(UNRESOLVED).filter(|_| is_unresolved) {
            add(package.trim(), Class::Dependency, "its dependencies cannot be met");
        }
    }
    found
}

const UNRESOLVED: &str = ": cannot install the best update candidate for package ";

/// Where a key of a repository cannot be had: all updates from there.
///
/// ```text
/// >>> Status code: 404 for http://127.0.0.1/KEY (IP: 127.0.0.1)
/// Failed to download files
///  Librepo error: Status code: 404 for http://127.0.0.1/KEY (IP: 127.0.0.1)
/// cannot open file: (2) - No such file or directory [/etc/pki/gone]
/// ```
pub fn culprits_of_keys(failure: &Failure, finished: &Finished, configuration: &str) -> Vec<HeldBack> {
    if !matches!(failure.class, Class::Auth | Class::Network) || began_for_real(finished) {
        return Vec::new();
    }
    let mut keys: Vec<(&str, &str)> = Vec::new();
    let mut id = "";
    for line in configuration.lines() {
        if line.starts_with("======== ") {
            id = line.split('"').nth(1).unwrap_or_default();
        } else if let Some(of_repository) = line.strip_prefix("gpgkey = ") {
            keys.extend(of_repository.split([',', ' ']).filter(|key| !key.is_empty()).map(|key| (id, key)));
        }
    }
    let says = |key: &str| {
        let path = key.strip_prefix("file://").unwrap_or(key);
        let words = [format!(" for {key} "), format!("[{path}]")];
        errors(&finished.stderr).any(|line| words.iter().any(|words| line.contains(words.as_str())))
    };
    let ids: Vec<_> = keys.into_iter().filter(|(_, key)| says(key)).map(|(id, _)| id).collect();
    let of_them =
        |update: &Update| update.source.as_ref().is_some_and(|source| ids.contains(&source.as_str()));
    let updates = transaction(&finished.stdout).updates.into_iter().filter(of_them);
    let reason = |update: &Update| {
        let source = update.source.as_deref().unwrap_or_default();
        format!("the key of its repository {source} could not be had: {}", failure.message)
    };
    updates
        .map(|update| {
            left_out(update.name.clone(), Some(update.candidate.clone()), failure.class, &reason(&update))
        })
        .collect()
}

/// Whether packages may have changed: in a run that was no test, after its transaction began.
fn began_for_real(finished: &Finished) -> bool {
    let is_test = finished.stderr.lines().any(|line| line.starts_with("Test mode enabled: "));
    !is_test && install_began(finished)
}

fn left_out(name: String, candidate: Option<String>, class: Class, reason: &str) -> HeldBack {
    HeldBack {
        name,
        installed: None,
        candidate,
        reason: reason.to_string(),
        class: Some(class),
        security: None,
        told: Default::default(),
        extra: Extra::new(),
    }
}

/// Name and architecture of `tb-a-2.0-1.noarch`.
fn name_of_package(package: &str) -> Option<(&str, &str)> {
    let (rest, arch) = package.rsplit_once('.')?;
    Some((rest.rsplitn(3, '-').nth(2)?, arch))
}

/// A line without the path of the file in the cache, which says nothing more.
fn without_path(line: &str) -> String {
    match line.split_once(" (/").and_then(|(start, rest)| Some((start, rest.split_once(") ")?.1))) {
        Some((start, end)) => format!("{start} {end}"),
        None => line.to_string(),
    }
}

/// Why a command failed. An exit code of 1 is also said where a simulation ended as it should, and
/// where all is installed but a script failed.
pub fn why_failed(finished: &Finished) -> Option<Failure> {
    let scriptlet = |own_only| {
        let line = scriptlet(finished, own_only)?;
        Some(Failure::new(Class::Script, last_words::quoted(line, said(finished, line))))
    };
    match finished.end {
        End::Code(0 | 100) => scriptlet(true),
        End::Code(_) if is_aborted(finished) => None,
        End::Code(_) => Some(failure(finished, scriptlet(false))),
        _ => scriptlet(true),
    }
}

/// `--assumeno` answers every question with no; the question may stand before it.
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

/// The line that tells of a failed script. Everything of a transaction, also what scripts print,
/// stands behind `>>> `; dnf5's own words come before the headline of a script's output.
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
        let tells = ["Non-critical error in %", "Error in %"].iter().any(|start| words.starts_with(start))
            && words.contains(" scriptlet: ");
        (tells && !(is_output && own_only)).then_some(words)
    })
}

/// What the script of that line printed: it stands below the headline, until rpm's own line.
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
    "The key was successfully imported",
    "Failed to set locale",
    "----",
    "Complete!",
    "[",
    ">>>",
];

/// The lines that are an error of dnf5 itself, and what stands indented below them.
fn errors(stderr: &str) -> impl Iterator<Item = &str> {
    let is_remark = |line: &str| REMARKS.iter().any(|start| line.starts_with(start));
    let mut below_remark = false;
    stderr.lines().filter(move |line| {
        if !line.starts_with(' ') {
            below_remark = is_remark(line);
        }
        let is_problem = line.starts_with("  - ");
        // The end of a parser's message, which has lines of its own.
        line.trim() != ")" && !line.trim().is_empty() && !is_bar(line) && (is_problem || !below_remark)
    })
}

/// The failure that dnf5's own words tell of.
fn failure(finished: &Finished, scriptlet: Option<Failure>) -> Failure {
    let began = install_began(finished);
    let errors: Vec<_> = errors(&finished.stderr).collect();
    // What rpm says before stands for less than what dnf5 then says itself.
    let is_own = |line: &&str| !line.starts_with("You can try to add") && !line.starts_with("error: ");
    let start = errors.iter().position(is_own).unwrap_or(0);
    let first = errors.get(start).copied();
    let Some(first) = first else {
        // dnf5 ends at once and without a word when a signal tells it to.
        let text = match began {
            true => "dnf5 was stopped in the middle of an install, and said nothing",
            false => "dnf5 was stopped and said nothing",
        };
        return scriptlet.unwrap_or_else(|| Failure::new(Class::Interrupted, text));
    };
    // The lines below belong to it: `Failed to resolve the transaction:`, `Problem: ...`.
    let more = errors[start + 1..].iter().take_while(|line| {
        first.ends_with(':') || line.starts_with(' ') || line.starts_with("OpenPGP check for package ")
    });
    let more = more.take_while(|line| !line.starts_with("You can try to add")).map(|line| line.trim());
    let text = std::iter::once(first.trim()).chain(more).collect::<Vec<_>>().join(" ");
    let text = without_path(&text);
    if let Some(line) = errors.iter().find(|line| class_of(line) == Class::Space) {
        return Failure::new(Class::Space, line.trim().trim_start_matches("- "));
    }
    // Of packages it says so; what else it fetches in a transaction are keys.
    if !began && (text.starts_with("Failed to download files") || text.starts_with("cannot open file: ")) {
        let class = match reason_class(&text) {
            class @ (Class::Network | Class::Space) => class,
            _ => Class::Auth,
        };
        return Failure::new(class, format!("a key could not be had: {text}"));
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

/// All downloads fail alike; why stands behind `>>> `, where no script has run yet.
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

/// Whether the copy of an index is damaged or gone, which the next refresh mends.
pub fn is_of_cache(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "Failed to re-load ",
        "Failed to load primary ",
        "Failed to load repomd ",
        "Error loading local metadata ",
        "Missing solvfile cache",
    ];
    contains_any(text, WORDS) || (text.contains("Failed to load ") && text.contains(" cache for repo "))
}

/// The class of one of dnf5's error messages.
fn class_of(text: &str) -> Class {
    const CONFIG: &[&str] = &[
        "No matching repositories for ",
        "Error in configuration file",
        "Unknown argument",
        "No valid source",
        "Empty mirrorlist and no basepath",
        "Invalid configuration",
        "Id is present more than once in the configuration",
        "Invalid repository id ",
        "Config error in section ",
        "Cannot parse file: ",
        "Cannot set option ",
        " option value ",
        "Invalid boolean value ",
        "Invalid tsflag: ",
        "Cannot read repositories from directory ",
        "Configuration file ",
        "access configuration file ",
        "Incorrect configuration value",
        "read rpm config files",
    ];
    const DEPENDENCY: &[&str] = &[
        "Problem",
        "conflict",
        "No match for argument",
        "is needed by",
        "nothing provides",
        "protected packages",
        "Failed to resolve the transaction",
        "removing of running kernel",
        "Missing rpmlib features for ",
        "is already installed",
        "Cannot perform ",
        "broken dependencies",
        "dependency problem",
    ];
    const SIGNATURES: &[&str] = &[
        "OpenPGP",
        "Signing key not found",
        "Public key",
        "Signature verification",
        "An error occurred importing key",
        "Failed to import public key",
        "No corresponding key",
        "key is not trusted",
    ];
    if contains_any(text, &["rpm transaction lock", "can't create transaction lock"]) {
        Class::Lock
    } else if is_space(text) || text.contains("configured to be read-only") {
        Class::Space
    } else if is_of_cache(text) {
        Class::Fetch
    } else if contains_any(text, CONFIG) {
        Class::Config
    } else if contains_any(text, SIGNATURES) || contains_any(text, KEYS) {
        Class::Auth
    } else if contains_any(text, DEPENDENCY) {
        Class::Dependency
    } else {
        Class::Other
    }
}

/// `[2/8] Prepare transaction` is the first thing that rpm does; before it only files are verified and
/// keys fetched, each with a bar that has its address. `Running transaction` is also printed where rpm's
/// lock or a key then cannot be had, which is said below.
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

/// What is said of a transaction that was not begun.
pub(super) const NOT_BEGUN: &[&str] =
    &["Transaction failed: ", "Failed to download files", "Cannot download files", "cannot open file: "];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_has_its_class() {
        let table = [
            (Class::Auth, "Public key is not installed."),
            (Class::Auth, "Public key import failed."),
            (Class::Auth, "No corresponding key was found."),
            (Class::Auth, "The package is not signed."),
            (Class::Auth, "The repository does not have any OpenPGP keys configured."),
            (Class::Auth, "The signature is valid, but the key is not trusted."),
            (Class::Auth, "Signature verification failed."),
            (Class::Auth, "Failed to import OpenPGP keys: x"),
            (Class::Auth, "Signing key not found"),
            (Class::Config, "Configuration file \"/etc/x\" not found"),
            (Class::Config, "Unable to access configuration file \"/etc/x\""),
            (Class::Config, "Error in configuration file \"/etc/x\""),
            (Class::Config, "No valid source (baseurl, mirrorlist or metalink) found for repository \"x\""),
            (Class::Config, "Incorrect configuration value for multilib_policy: x"),
            (Class::Config, "failed to read rpm config files"),
            (Class::Lock, "Failed to obtain rpm transaction lock. Another transaction is in progress."),
            (Class::Dependency, "The operation would result in broken dependencies"),
            (Class::Dependency, "some dependency problem"),
            (Class::Space, "Error: this bootc system is configured to be read-only. Pass --transient"),
        ];
        let class = |line: &str| class_of(line);
        let wrong = table.iter().filter(|(expected, line)| class(line) != *expected);
        let wrong: Vec<_> = wrong.map(|(_, line)| (line, class(line))).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn what_dnf5_says_has_its_class() {
        for (text, class) in [
            ("Failed to obtain rpm transaction lock. Another transaction is in progress.", Class::Lock),
            ("Error: /usr is configured to be read-only. You may be running an image", Class::Space),
            ("Failed to re-load primary cache for repo \"x\" from \"/c\": not a SOLV file", Class::Fetch),
            ("Failed to load updateinfo cache for repo \"x\" from \"/c\": damaged", Class::Fetch),
            ("Error in configuration file \"/x\" Missing '=' on line 4", Class::Config),
            ("Invalid repository id \"a b\": unexpected character ' '", Class::Config),
            ("Failed to create repo \"x\": Id is present more than once in the configuration", Class::Config),
            ("OpenPGP check for package \"a\" from repo \"x\" has failed: x", Class::Auth),
            ("Failed to import public key \"x\" to rpmdb: x", Class::Auth),
            ("The operation would result in removing of running kernel: x", Class::Dependency),
            ("package tb-a-2.0-1.noarch is already installed", Class::Dependency),
            ("Something nobody has seen before", Class::Other),
        ] {
            assert_eq!(class_of(text), class, "{text}");
        }
    }

    #[test]
    fn the_update_in_the_way_is_named_only_where_nothing_is_changed_yet() {
        let table = "Package Arch Version Repository Size\nUpgrading:\n tb-a noarch 0:2.0-1 x 1 B\n\n";
        let test = "Test mode enabled: x\nRunning transaction\nTransaction failed: Rpm transaction failed.\n";
        let conflict = "  - file /x from install of tb-a-2.0-1.noarch conflicts with file from package tb-b-1-1.noarch\n";
        let needed = "  - tb-b = 1.0 is needed by tb-a-2.0-1.noarch\n";
        for line in [conflict, needed] {
            let found = culprits(&Finished::ended(1, table, &format!("{test}{line}")));
            assert_eq!(found.len(), 1, "{line}");
            assert_eq!((found[0].name.as_str(), found[0].class), ("tb-a", Some(Class::Dependency)));
            assert_eq!(found[0].candidate.as_deref(), Some("2.0-1"));
        }
        let began = format!("Running transaction\n[1/2] Prepare transaction 100% | 1 | 2 | 3\n{conflict}");
        assert!(culprits(&Finished::ended(1, table, &began)).is_empty());
    }
}
