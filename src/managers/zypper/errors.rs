//! Reading zypper's and rpm's error lines.

use super::classes::{VAGUE, class_of};
use super::xml::{Element, elements, id_of};
use crate::managers::last_words;
use crate::managers::rpm::listed_name;
use crate::model::class::{Class, Extra};
use crate::model::failure::Failure;
use crate::model::refreshed::SourceResult;
use crate::model::text::{contains_any, one_line};
use crate::model::updates::HeldBack;
use crate::system::process::{End, Finished};
use std::collections::BTreeMap;

/// What zypper exits with (zypper(8), EXIT CODES).
mod code {
    pub const NO_REPOSITORY: i32 = 6;
    pub const LOCKED: i32 = 7;
    pub const RESTART_NEEDED: i32 = 103;
    /// 0, 100 and 101 (patch-check), 102 (restart the machine) and [`RESTART_NEEDED`].
    pub const SUCCESS: [i32; 5] = [0, 100, 101, 102, RESTART_NEEDED];
    pub const ON_SIGNAL: i32 = 105;
    pub const REPOSITORIES_SKIPPED: i32 = 106;
    pub const SCRIPT_FAILED: i32 = 107;
    pub const NOT_FOUND: i32 = 104;
}

/// Whether zypper itself was updated and asks to be run again.
pub fn asks_to_run_again(finished: &Finished) -> bool {
    finished.end == End::Code(code::RESTART_NEEDED)
}

/// Whether a report of `--xmlout` lacks its last tag.
pub fn is_cut_short(stdout: &str) -> bool {
    stdout.starts_with("<?xml ") && !stdout.contains("</stream>")
}

/// Whether zypper found no repository that is enabled.
pub fn has_no_repository(finished: &Finished) -> bool {
    finished.end == End::Code(code::NO_REPOSITORY)
}

/// Whether zypper went on without a repository.
pub fn has_skipped(finished: &Finished) -> bool {
    finished.end == End::Code(code::REPOSITORIES_SKIPPED)
}

/// Whether this is what a search says that finds nothing.
fn has_found_nothing(report: &str) -> bool {
    let is_it = |element: &Element| element.name == "message" && element.text().trim() == NOTHING_FOUND;
    !is_cut_short(report) && elements(report).any(|element| is_it(&element))
}

const NOTHING_FOUND: &str = "No matching items found.";

/// Whether this says what an update would install.
fn is_plan(stdout: &str) -> bool {
    contains_any(stdout, &["<install-summary", " going to be ", "Nothing to do."])
}

/// Why a command of zypper or rpm failed.
pub fn classify(finished: &Finished) -> Option<Failure> {
    let End::Code(code) = finished.end else { return None };
    let lines = lines(finished);
    if code::SUCCESS.contains(&code) {
        if is_cut_short(&finished.stdout) {
            return Some(Failure::new(Class::Other, "zypper's report ends in the middle"));
        }
        if let Some(failure) = failed_posttrans(&finished.stdout) {
            return Some(failure);
        }
        // A download alone ends well in new versions whatever is missing. An install would not.
        let missing: Vec<_> = lines.fetched.into_values().collect();
        return cause(&missing).filter(|_| !install_began(finished));
    }
    let by_code = |class, text: &str| Failure::new(class, lines.errors.first().map_or(text, String::as_str));
    match code {
        code::LOCKED => Some(by_code(Class::Lock, "zypper is locked by another process")),
        code::NO_REPOSITORY => Some(Failure::new(Class::Config, "no repository is defined and enabled")),
        code::SCRIPT_FAILED => {
            let line = lines.of_rpm.iter().find(|line| is_scriptlet(line));
            let line = line.map_or("a script of a package failed", String::as_str);
            Some(Failure::new(Class::Script, last_words::of_scriptlet(&finished.stdout, line)))
        }
        // What could be installed is installed, and which repositories failed the refresh has said.
        // Only a plan in which one is missing that was refreshed is not to be trusted.
        code::REPOSITORIES_SKIPPED if install_began(finished) || !is_plan(&finished.stdout) => None,
        code::NOT_FOUND if has_found_nothing(&finished.stdout) => None,
        code::ON_SIGNAL => Some(Failure::new(Class::Interrupted, "zypper was stopped by a signal")),
        _ => Some(decisive(&lines, install_began(finished)).unwrap_or_else(|| undecided(finished))),
    }
}

/// What old versions say of a script that failed, and end with 0:
///
/// ```text
/// <message type="warning">tb-y-3.0-1.noarch.rpm %posttrans script failed (returned 1)</message>
/// ```
fn failed_posttrans(report: &str) -> Option<Failure> {
    let mut warnings = elements(report)
        .filter(|element| element.name == "message" && element.get("type").as_deref() == Some("warning"));
    let failed = warnings.find_map(|warning| {
        let text = warning.text().trim().to_string();
        let is_one_line = !text.contains('\n');
        (is_one_line && text.contains(".rpm %posttrans script failed (returned ")).then_some(text)
    });
    failed.map(|text| Failure::new(Class::Script, text))
}

/// The updates that stopped a download or an install before anything was changed: a package that is not
/// signed as it is to be, a licence that nobody has agreed to, files that are in the way.
///
/// ```text
/// <message type="error">tb-a-2.0-1.noarch (first): Signature verification failed [6-File is unsigned]</message>
/// <message type="info">In order to install &apos;tb-lic&apos;, you must agree to terms of the following license agreement:
/// <lhs><file>/f</file><solvable><name>tb-x</name><repository name="third" alias="third"/></solvable></lhs>
/// <message type="error">... file /f from install of tb-b-2.0-1.noarch conflicts with file from package tb-a-1.0-1.noarch
/// ```
pub fn culprits(finished: &Finished) -> Vec<HeldBack> {
    let mut found = Vec::new();
    // Of the two sides of a conflict one is enough: the last that is not installed yet.
    let (mut in_conflict, mut last_name, mut name) = (false, String::new(), String::new());
    for element in elements(&finished.stdout) {
        let text = element.text();
        match element.name {
            "message" => found.extend(text.lines().filter_map(culprit)),
            "fileconflict" => (in_conflict, name) = (true, String::new()),
            "name" => last_name = text.trim().to_string(),
            "repository" if in_conflict && element.get("alias").as_deref() != Some("@System") => {
                name.clone_from(&last_name);
            }
            "/fileconflict" if !name.is_empty() => {
                in_conflict = false;
                let reason = format!("a file of another package is in its way: {name}");
                let known = lines(finished).errors.into_iter().find(|line| {
                    line.strip_prefix("file conflict: ")
                        .is_some_and(|of| of.split(' ').any(|word| word == name))
                });
                found.push(held_back(&name, None, Class::Dependency, &known.unwrap_or(reason)));
            }
            _ => {}
        }
    }
    found
}

fn culprit(line: &str) -> Option<HeldBack> {
    let line = line.trim();
    let of_file = |file: &str, class| {
        let (name, version) = name_of_file(file)?;
        Some(held_back(&name, Some(version), class, line))
    };
    if let Some((file, rest)) =
        line.split_once(" (").filter(|_| line.contains("): Signature verification failed"))
    {
        return of_file(file, Class::Auth).filter(|_| rest.contains("): Signature verification failed"));
    }
    if let Some(rest) = line.strip_prefix("In order to install '") {
        let (name, rest) = rest.split_once('\'')?;
        let reason = "nobody has agreed to its licence: run zypper update, or set autoAgreeWithLicenses in zypper.conf";
        return rest
            .starts_with(", you must agree to ")
            .then(|| held_back(name, None, Class::Config, reason));
    }
    let rest = line.strip_prefix("file ")?;
    if let Some((_, rest)) = rest.split_once(" from install of ") {
        return of_file(rest.split_once(" conflicts with ")?.0, Class::Dependency);
    }
    let (_, rest) = rest.split_once(" conflicts between attempted installs of ")?;
    of_file(rest.split_once(" and ")?.1, Class::Dependency)
}

fn held_back(name: &str, candidate: Option<String>, class: Class, reason: &str) -> HeldBack {
    HeldBack {
        name: one_line(name),
        installed: None,
        candidate,
        reason: one_line(reason),
        class: Some(class),
        security: None,
        told: Default::default(),
        extra: Extra::new(),
    }
}

/// Name and version of `tb-a-2.0-1.noarch`.
fn name_of_file(file: &str) -> Option<(String, String)> {
    let (rest, arch) = file.trim().rsplit_once('.')?;
    let mut parts = rest.rsplitn(3, '-');
    let (release, version, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some((listed_name(name, arch), format!("{version}-{release}")))
}

/// The repositories whose index has come to the end of its own validity, which zypper says and uses it:
///
/// ```text
/// <message type="warning">Repository &apos;exp&apos; metadata expired since 2001-09-09 01:47:40 UTC.</message>
/// <message type="warning">Repository &apos;exp&apos; appears to be outdated. Consider using a different mirror or server.</message>
/// ```
pub fn expired(report: &str) -> Vec<SourceResult> {
    let warnings = elements(report)
        .filter(|element| element.name == "message" && element.get("type").as_deref() == Some("warning"));
    let read = |text: &str| {
        let rest = text.trim().strip_prefix("Repository '")?;
        let words = ["' metadata expired since ", "' appears to be outdated."];
        let (alias, _) = words.iter().find_map(|words| rest.split_once(words))?;
        let id = id_of(alias);
        let failure = Failure::new(Class::Clock, format!("{id}: {}", text.trim()));
        Some(SourceResult { id, error: Some(failure) })
    };
    warnings.filter_map(|warning| read(&warning.text())).collect()
}

/// What a command said, sorted by who said it.
#[derive(Debug, Default)]
struct Lines {
    /// zypper's errors, and the problems that its solver cannot settle.
    errors: Vec<String>,
    /// Why files could not be fetched, where a line says so: `Preloading: NAME [REASON]`.
    fetched: BTreeMap<String, String>,
    /// `error: ...` and `warning: ...`, as rpm writes them, and scripts can.
    of_rpm: Vec<String>,
}

impl Lines {
    /// Takes in `Preloading: tb-a-2.0-1.noarch.rpm [The requested URL returned error: 404]`. Another
    /// mirror may have the file after all.
    fn fetch(&mut self, line: String) {
        let Some((file, result)) = line.strip_prefix("Preloading: ").and_then(|rest| rest.split_once(" ["))
        else {
            return;
        };
        if matches!(result, "done]" | "already in cache]") {
            self.fetched.remove(file);
        } else {
            let file = file.to_string();
            self.fetched.insert(file, line);
        }
    }
}

fn lines(finished: &Finished) -> Lines {
    let mut lines = Lines::default();
    if finished.stdout.starts_with("<?xml ") {
        let mut in_the_way = Vec::new();
        for element in elements(&finished.stdout) {
            let text = element.text();
            let kind = element.get("type").unwrap_or_default();
            match element.name {
                "message" if kind == "error" => {
                    lines.errors.extend(solid(&text));
                    lines.of_rpm.extend(solid(&text).filter(|line| is_rpms(line)));
                }
                "message" => {
                    solid(&text).for_each(|line| lines.fetch(line));
                    lines.of_rpm.extend(solid(&text).filter(|line| is_rpms(line)));
                }
                "fileconflict" => in_the_way.clear(),
                "file" | "name" if in_the_way.len() < 4 && !in_the_way.contains(&text) => {
                    in_the_way.push(text)
                }
                "/fileconflict" => {
                    lines.errors.push(format!("file conflict: {}", in_the_way.join(" ")));
                }
                "description" => lines.errors.extend(solid(&text).filter_map(problem)),
                _ => {}
            }
        }
    } else {
        lines.errors.extend(solid(&finished.stdout).filter_map(problem));
        solid(&finished.stdout).for_each(|line| lines.fetch(line));
        lines.of_rpm.extend(solid(&finished.stdout).filter(|line| is_rpms(line)));
    }
    lines.errors.extend(solid(&finished.stderr));
    lines.of_rpm.extend(solid(&finished.stderr).filter(|line| is_rpms(line)));
    lines
}

fn solid(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

/// What the solver cannot settle: `Problem: nothing provides x`; or `Problem: 1: Detailed
/// information:` and below that `- nothing provides x`.
fn problem(line: String) -> Option<String> {
    let is_headline = line.trim_end().ends_with("Detailed information:");
    match line.strip_prefix("- ") {
        Some(detail) => Some(format!("Problem: {detail}")),
        None => (line.starts_with("Problem: ") && !is_headline).then_some(line),
    }
}

fn is_rpms(line: &str) -> bool {
    line.starts_with("error: ") || line.starts_with("warning: ")
}

/// `warning: %post(tb-brk-2.0-1.noarch) scriptlet failed, exit status 1`
fn is_scriptlet(line: &str) -> bool {
    let rest = line.strip_prefix("warning: %").or_else(|| line.strip_prefix("error: %"));
    rest.is_some_and(|rest| rest.contains(") scriptlet failed, "))
}

/// The failure that zypper's own words tell of. Once rpm is at work, what is in an error message
/// can be the output of a script: then only rpm's own forms count.
fn decisive(lines: &Lines, began: bool) -> Option<Failure> {
    let find = |all: &[String], is: &dyn Fn(&str) -> bool| all.iter().find(|line| is(line)).cloned();
    let is_lock = |line: &str| line.starts_with("error: can't create transaction lock");
    if let Some(line) = find(&lines.of_rpm, &is_lock) {
        return Some(Failure::new(Class::Lock, line));
    }
    if let Some(line) = find(&lines.of_rpm, &|line| line.starts_with("error: ") && is_scriptlet(line)) {
        return Some(Failure::new(Class::Script, line));
    }
    let is_full = |line: &str| {
        line.contains(" more space on the ")
            || (line.starts_with("error: ") && class_of(line) == Some(Class::Space))
    };
    if let Some(line) = find(&lines.errors, &is_full).or_else(|| find(&lines.of_rpm, &is_full)) {
        return Some(Failure::new(Class::Space, line));
    }
    if began {
        let line = lines.of_rpm.iter().find(|line| line.starts_with("error: ")).or(lines.errors.first())?;
        return Some(Failure::new(Class::Other, line));
    }
    let told: Vec<_> = lines.errors.iter().chain(lines.fetched.values()).cloned().collect();
    cause(&told).filter(|cause| cause.class != Class::Other)
}

/// The failure that some lines of zypper's tell of, the first of them when none says more.
pub fn cause(lines: &[String]) -> Option<Failure> {
    let lines = joined(lines);
    let known = lines.iter().filter_map(|line| Some(Failure::new(class_of(line)?, line)));
    let vague = || lines.first().map(|line| Failure::new(Class::Other, line));
    known.reduce(clearer).or_else(vague)
}

/// `Error code: Connection failed` and `Error message: Could not resolve host: x` are one reason.
fn joined(lines: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in lines {
        let code = all.last_mut().filter(|last| last.starts_with("Error code: "));
        match (line.strip_prefix("Error message: "), code) {
            (Some(message), Some(code)) => *code = format!("{}: {message}", code[12..].trim()),
            _ => all.push(line.clone()),
        }
    }
    all
}

/// Of two lines about one repository, the one that says what happened: that there is no valid
/// metadata is only what follows from it.
fn clearer(first: Failure, other: Failure) -> Failure {
    let is_vague = |failure: &Failure| contains_any(&failure.message, VAGUE);
    if is_vague(&first) && !is_vague(&other) { other } else { first.more_decisive(other) }
}

/// What zypper says behind the reason.
const CLOSING: &[&str] = &[
    "Please see the above error message",
    "Please check if the URIs defined",
    "Check if the URI is valid",
    "Problem occurred during or after installation",
    "Installation has been aborted as directed",
    "Some of the repositories have not been refreshed",
    "Some of the services have not been refreshed",
    "Executing the transaction failed because",
    "Please file a bug report about this",
    "for instructions.",
    "History:",
    "ABORT request",
];

/// `other`, with what was said last.
fn undecided(finished: &Finished) -> Failure {
    let lines = lines(finished);
    let telling = lines.errors.iter().rev().find(|line| !contains_any(line, CLOSING));
    if let Some(last) = telling.or(lines.errors.last()) {
        return Failure::new(Class::Other, last);
    }
    let steps = elements(&finished.stdout).filter(|element| element.name == "progress");
    let step = steps.last().and_then(|step| step.get("name").map(|name| format!(" at {name:?}")));
    Failure::new(Class::Other, format!("zypper ended without a word{}", step.unwrap_or_default()))
}

/// Whether rpm has begun to change packages. Old versions start it once for each package, and
/// where its lock is held already the first has done nothing.
pub(super) fn install_began(finished: &Finished) -> bool {
    const STEPS: &[&str] =
        &["install-resolvable", "remove-resolvable", "cleanup-task", "execute-resolvable-script"];
    let steps: Vec<bool> = if finished.stdout.starts_with("<?xml ") {
        let steps = elements(&finished.stdout).filter(|element| {
            element.name == "progress" && element.get("id").is_some_and(|id| STEPS.contains(&&*id))
        });
        steps.map(|step| step.get("done").as_deref() == Some("1")).collect()
    } else {
        let is_step = |line: &&str| {
            let label = line.strip_prefix('(').and_then(|rest| rest.split_once(") "));
            label.is_some_and(|(count, label)| {
                count.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/')
                    && ["Installing: ", "Removing: ", "Cleaning up: ", "Executing "]
                        .iter()
                        .any(|word| label.starts_with(word))
            })
        };
        finished.stdout.lines().filter(is_step).map(|line| line.ends_with("done]")).collect()
    };
    let is_locked = || {
        let mut lines = finished.stdout.lines().chain(finished.stderr.lines());
        lines.any(|line| line.starts_with("error: can") && line.contains(" create transaction lock on "))
    };
    steps.contains(&true) || (!steps.is_empty() && !is_locked())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ended(code: i32, stdout: &str) -> Option<Failure> {
        let (stderr, status) = (String::new(), String::new());
        let elapsed = Duration::ZERO;
        classify(&Finished { end: End::Code(code), stdout: stdout.to_string(), stderr, status, elapsed })
    }

    fn report(inner: &str) -> String {
        format!("<?xml version='1.0'?>\n<stream>\n{inner}\n</stream>\n")
    }

    #[test]
    fn what_a_script_prints_before_rpm_fails_is_not_zyppers() {
        let failed = report(
            "<progress id=\"install-resolvable\" name=\"(1/1) Installing: x\" done=\"0\"/><message type=\"error\">Installation of x failed:\nError: Subprocess failed. Error: RPM failed: No space left on device\nConnection failed\nerror: unpacking of archive failed on file /x\n</message>",
        );
        let failure = ended(8, &failed).unwrap();
        assert_eq!(
            (failure.class, &*failure.message),
            (Class::Other, "error: unpacking of archive failed on file /x")
        );
        let escaped = report(
            "<message type=\"info\">&lt;message type=\"error\"&gt;error: %post(x) scriptlet failed, </message>",
        );
        assert_eq!(ended(0, &escaped), None);
    }

    #[test]
    fn what_a_script_says_of_space_is_none_of_rpms_words() {
        let printed = report(
            "<progress id=\"install-resolvable\" name=\"(1/1) Installing: x\" done=\"0\"/><message type=\"info\">1 MB more space on the moon</message>",
        );
        let failure = ended(8, &printed).unwrap();
        let told = "zypper ended without a word at \"(1/1) Installing: x\"";
        assert_eq!((failure.class, &*failure.message), (Class::Other, told));
        let rpms = printed.replace("1 MB", "error: 1 MB");
        assert_eq!(ended(8, &rpms).unwrap().class, Class::Space);
    }

    #[test]
    fn a_file_conflict_is_of_the_files_in_it() {
        let conflict = report("<name>x</name><fileconflict><name>a</name><file>/1</file></fileconflict>");
        assert_eq!(ended(8, &conflict).unwrap().message, "file conflict: a /1");
    }

    #[test]
    fn neither_a_server_nor_the_names_of_its_files_choose_the_class() {
        for (line, class) in [
            ("The requested URL returned error: 404 No space left on device", Class::Fetch),
            ("The requested URL returned error: 404 NO_PUBKEY public key", Class::Fetch),
            ("File './repodata/No space left on device' not found on medium 'http://x/'", Class::Fetch),
            ("Location 'http://x/is unsigned' is temporarily unaccessible.", Class::Fetch),
            ("Permission to access 'http://x/public key' denied.", Class::Fetch),
            (
                "Downloaded data exceeded the expected filesize '5.4 KiB' of 'http://x/No alias defined'.",
                Class::Fetch,
            ),
            ("Timeout exceeded when accessing 'http://x/Problem: '.", Class::Network),
            ("Can't create /var/cache/zypp/raw/x", Class::Space),
            ("Cannot write file '/var/cache/x'.", Class::Space),
            (
                "tb-a-2.0-1.noarch (x): Signature verification failed [4-Signatures public key is not available]",
                Class::Auth,
            ),
        ] {
            assert_eq!(class_of(line), Some(class), "{line}");
        }
    }

    /// What libzypp and zypper say of keys, settings, dependencies, files, disks and locks.
    #[test]
    fn every_message_has_its_class() {
        for (class, messages) in [
            (
                Class::Auth,
                &[
                    "Signature verification failed for file 'repomd.xml' from repository 'x'.",
                    "File 'repomd.xml' from repository 'x' is unsigned.",
                    "File 'repomd.xml' from repository 'x' is signed with an unknown key 'AB'.",
                    "x-1-1.noarch (x): Signature verification failed [5-File does not exist or signature can't be checked]",
                    "File does not exist or signature can't be checked",
                    "Package header is not signed!",
                    "Package payload is not signed!",
                    "Failed to import public key AB",
                    "Failed to import key.",
                    "The gpg key signing file 'repomd.xml' has expired.",
                    "Repository x does not define 'gpgkey=' URLs.",
                    "Unknown type of signature",
                ][..],
            ),
            (
                Class::Config,
                &[
                    "Invalid port component 'x'",
                    "Invalid host component 'x'",
                    "Unable to parse Url components",
                    "Invalid Url scheme 'x'",
                    "Malformed URI",
                    "Query string parsing not supported for this URL",
                    "Relative path not allowed if authority exists",
                    "Repository alias cannot start with dot.",
                    "Service alias cannot start with dot.",
                    "Required attribute 'url' is missing.",
                    "Cannot read repo directory '/etc/zypp/repos.d': Permission denied",
                    "Cannot read repo file '/etc/zypp/repos.d/x.repo': Permission denied",
                    "Failed to read directory '/etc/zypp/repos.d'",
                    "Can't figure out where the repo is stored.",
                    "Cannot initialize configuration file parser.",
                    "Error: Failed to initialize transfer settings (x).",
                    "Error occurred while setting download (curl) options for 'http://x/':",
                    "Unsupported HTTP authentication method 'x'",
                    "Unsupported URI scheme in 'foo://x'.",
                    "Unsupported protocol",
                    "Root privileges are required to run this command.",
                    "Aborting installation due to the need for license confirmation.",
                    "Aborting installation due to user disagreement with x 1 license.",
                    "Repository 'x' not found by its alias, number, or URI.",
                ],
            ),
            (
                Class::Dependency,
                &[
                    "nothing provides 'a' needed by the to be installed b",
                    "nothing provides the requested 'a'",
                    "cannot install both a and b",
                    "the installed a requires 'b', but this requirement cannot be provided",
                    "the to be installed a conflicts with 'b' provided by the installed c",
                    "the installed a obsoletes 'b' provided by the to be installed c",
                    "'a' is provided by the system and cannot be erased",
                    "conflicting requests",
                    "some dependency problem",
                    "No provider of 'a' found.",
                    "'a' not found in package names. Trying capabilities.",
                    "Package 'a' not found.",
                    "'a' is locked. Use 'zypper rl' to unlock it.",
                ],
            ),
            (
                Class::Space,
                &[
                    "Can't create /var/cache/zypp/raw/x",
                    "Can't create cache at /var/cache - no writing permissions.",
                    "Can't create metadata cache directory.",
                    "Can't create or access download directory '/x'.",
                    "Can't open file '/etc/zypp/x' for writing.",
                    "Cannot create directory /x",
                    "Cannot create temporary file under /var/tmp.",
                    "Cannot write file '/x'.",
                    "No permission to write repository cache.",
                    "failed to rename temporary file.",
                    "Create attach point: Can't find a writable directory to create an attach point",
                ],
            ),
            (
                Class::Fetch,
                &[
                    "File '/repodata/repomd.xml' not found on medium 'http://x/'",
                    "Path '/x' on medium 'http://x/' is not a file.",
                    "Permission to access 'http://x/' denied.",
                    "Authentication required for 'http://x/'",
                    "Authentication required but not provided.",
                    "Login failed.",
                    "Access to requested URL is forbidden",
                    "Digest verification failed for file 'x'",
                    "No digest for file x.",
                    "Unknown digest md5 for file x.",
                    "Package x seems to be corrupted during transfer. Do you want to retry retrieval?",
                    "Downloaded data exceeded the expected filesize '1 KiB' of 'http://x/'.",
                    "The downloaded data did not result in a valid checksum",
                    "The request exceeded the maximum download size",
                    "Invalid data from server, multipart was requested but there was no range status code.",
                    "Failed to fetch mirrorlist/metalink data.",
                    "Media source 'http://x/' does not contain the desired medium",
                    "Expected medium x/1 identified by file 'media' with content:",
                    "Failed to mount nfs://x/ on /var/adm/mount/AP_1",
                    "Failed to cache repo (1).",
                    "Can't provide file 'x' from repository 'y'",
                    "Failed to provide Package x. Do you want to retry retrieval?",
                ],
            ),
            (
                Class::Network,
                &[
                    "Connection failed",
                    "Timeout exceeded when accessing 'http://x/'.",
                    "Timeout reached",
                    "The peer certificate could not be verified",
                    "SSL certificate problem, verify that the CA cert is OK for 'https://x/'.",
                    "Server returned a HTTP/2 stream error.",
                ],
            ),
        ] {
            for message in messages {
                assert_eq!(class_of(message), Some(class), "{message}");
            }
        }
        for message in [
            "Please see the above error message for a hint.",
            "Visit the SUSE Customer Center to check whether your registration is valid and has not expired.",
        ] {
            assert_eq!(class_of(message), None, "{message}");
        }
    }

    #[test]
    fn what_is_in_the_way_of_the_others_is_named() {
        let named = |inner: &str| {
            let found = culprits(&Finished::ended(8, &report(inner), ""));
            found.into_iter().map(|held| (held.name, held.class.unwrap())).collect::<Vec<_>>()
        };
        let message = |text: &str| format!("<message type=\"error\">{text}\n</message>");
        let unsigned =
            message("tb-a-b-2.0-1.noarch (first): Signature verification failed [6-File is unsigned]");
        assert_eq!(named(&unsigned), [("tb-a-b".to_string(), Class::Auth)]);
        let rpms = message(
            "Executing the transaction failed because of the following problems:\n    file /f from install of tb-b-2.0-1.noarch conflicts with file from package tb-a-1.0-1.noarch\n    file /g conflicts between attempted installs of tb-c-2-1.noarch and tb-d-2-1.noarch",
        );
        let both = [("tb-b".to_string(), Class::Dependency), ("tb-d".to_string(), Class::Dependency)];
        assert_eq!(named(&rpms), both);
        let licence =
            message("In order to install &apos;tb-lic&apos;, you must agree to terms of the following");
        assert_eq!(named(&licence), [("tb-lic".to_string(), Class::Config)]);
        assert!(named(&message("In order to install 'x', do this")).is_empty());
        let side = |name: &str, alias: &str| {
            format!(
                "<file>/f</file><solvable><name>{name}</name><repository name=\"x\" alias=\"{alias}\"/></solvable>"
            )
        };
        let conflict = |first: &str, second: &str| {
            format!("<fileconflict><lhs>{first}</lhs><rhs>{second}</rhs></fileconflict>")
        };
        let with_installed = conflict(&side("tb-new", "base"), &side("tb-old", "@System"));
        assert_eq!(named(&with_installed), [("tb-new".to_string(), Class::Dependency)]);
        let of_two = conflict(&side("tb-x", "base"), &side("tb-y", "base"));
        assert_eq!(named(&of_two), [("tb-y".to_string(), Class::Dependency)]);
    }

    #[test]
    fn a_script_that_failed_after_all_is_told_by_zypper_alone() {
        let warning = |kind: &str, text: &str| report(&format!("<message type=\"{kind}\">{text}</message>"));
        let text = "tb-y-3.0-1.noarch.rpm %posttrans script failed (returned 1)";
        assert_eq!(ended(0, &warning("warning", text)).unwrap().class, Class::Script);
        assert_eq!(ended(0, &warning("info", text)), None);
        assert_eq!(ended(0, &warning("warning", &format!("Output of x:\n{text}"))), None);
    }

    #[test]
    fn an_index_past_its_own_date_is_of_class_clock() {
        let text = "<message type=\"warning\">Repository &apos;a  b&apos; metadata expired since 2001-09-09 01:47:40 UTC.</message><message type=\"warning\">Repository &apos;c&apos; appears to be outdated. Consider using a different mirror or server.</message><message type=\"info\">Repository &apos;d&apos; metadata expired since x</message>";
        let found = expired(&report(text));
        let ids: Vec<_> = found.iter().map(|source| source.id.as_str()).collect();
        assert_eq!(ids, ["a  b", "c"]);
        assert!(found.iter().all(|source| source.error.as_ref().unwrap().class == Class::Clock));
    }

    #[test]
    fn a_search_that_finds_nothing_has_not_failed() {
        let nothing = report("<message type=\"info\">No matching items found.</message>");
        assert_eq!(ended(104, &nothing), None);
        assert_eq!(ended(104, &report("")).unwrap().class, Class::Other);
        assert!(ended(104, nothing.trim_end_matches("</stream>\n")).is_some());
    }

    #[test]
    fn a_report_without_its_end_is_none() {
        assert_eq!(
            ended(0, "<?xml version='1.0'?>\n<stream>\n<install-summary>").unwrap().class,
            Class::Other
        );
        assert_eq!(ended(0, &report("")), None);
    }

    #[test]
    fn a_file_that_another_mirror_had_is_not_missing() {
        let line = |result: &str| {
            format!("<message type=\"info\">Preloading: ca-certificates-2.rpm [{result}]</message>")
        };
        let (gone, done) = (line("The requested URL returned error: 404"), line("done"));
        assert_eq!(ended(0, &report(&gone)).unwrap().class, Class::Fetch);
        assert_eq!(ended(0, &report(&(gone + &done))), None);
    }

    #[test]
    fn a_code_and_its_message_are_one_reason() {
        let lines = [
            "Download (curl) error for 'http://x/y':",
            "Error code: Curl error 52",
            "Error message: Empty reply",
        ];
        let found = cause(&lines.map(str::to_owned)).unwrap();
        assert_eq!((found.class, &*found.message), (Class::Network, "Curl error 52: Empty reply"));
    }
}
