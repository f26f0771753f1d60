//! Reading yum's and rpm's error lines. Scripts print to standard output, so every line on standard error is yum's.

use super::classes::{class_of, is_space, reason_class};
use super::lists::pending;
use crate::managers::cut_short::NO_REASON;
use crate::managers::last_words;
use crate::managers::rpm::errors::{is_scriptlet, is_unreadable_database, known, unpacked_in_vain};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::REPORT_IT;
use crate::system::process::{End, Finished};

/// `yum check-update` exits so when updates are pending.
const UPDATES_PENDING: i32 = 100;
/// Exit code of yum after a signal that rpm had held back: 128 and its number.
const SIGNALLED: [i32; 3] = [129, 130, 143];

/// Why a command of yum or rpm failed. With exit code 0 a scriptlet may have failed, and in its shell yum exits with 0
/// after almost everything.
pub fn classify(finished: &Finished) -> Option<Failure> {
    let stderr = &finished.stderr;
    if let Some(line) = stderr.lines().find(|line| line.starts_with("There are no enabled repos")) {
        return Some(Failure::new(Class::Config, line));
    }
    if let Some(line) = stderr.lines().find(|line| is_unreadable_database(line)) {
        return Some(Failure::new(Class::Other, line));
    }
    let scriptlet = || {
        let line = scriptlet(finished)?;
        Some(Failure::new(Class::Script, last_words::of_scriptlet(&finished.stdout, line)))
    };
    let began = install_began(finished);
    match finished.end {
        End::Code(UPDATES_PENDING) if !began && pending(&finished.stdout).is_empty() => {
            let text = "yum says that updates are pending, but none can be read from its list";
            Some(Failure::new(Class::Other, format!("{text}; {REPORT_IT}")))
        }
        End::Code(0 | UPDATES_PENDING) | End::Signal(_) => scriptlet(),
        End::Code(_) if !began && ended_as_asked(finished) => None,
        // When rpm is done it ends yum, which says nothing.
        End::Code(_) if began && stderr.lines().all(is_remark) && cut_by_signal(finished) => {
            (!all_steps_done(finished))
                .then(|| Failure::new(Class::Interrupted, "yum was ended by a signal before it had finished"))
        }
        _ => Some(
            scriptlet()
                .filter(|_| began)
                .or_else(|| by_its_words(finished))
                .unwrap_or_else(|| undecided(finished)),
        ),
    }
}

/// `--assumeno` answered a question with no; before 2013 a download ended with 1.
fn ended_as_asked(finished: &Finished) -> bool {
    finished.lines().any(|line| {
        line == "Exiting on user command" || line == "exiting because \"Download Only\" specified"
    })
}

/// Whether an install ended by a signal: rpm then ends it, with exit code 1 in older versions; where yum itself ends
/// it, yum says a last word.
fn cut_by_signal(finished: &Finished) -> bool {
    let by_rpm = matches!(finished.end, End::Code(code) if code == 1 || SIGNALLED.contains(&code));
    by_rpm && !finished.stdout.lines().any(|line| line == "Complete!" || line == "Failed:")
}

/// Lines that say nothing about this run.
fn is_remark(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with("warning: ") || line.contains("yum-complete-transaction")
}

/// yum names the package; rpm's own line, if there is one, also gives the exit status. rpm's line alone proves nothing:
/// a script may print it.
fn scriptlet(finished: &Finished) -> Option<&str> {
    let of_yum = |line: &&str| {
        let rest = line.strip_prefix("Error in ").or_else(|| line.strip_prefix("Non-fatal "));
        rest.is_some_and(|rest| {
            rest.contains(" scriptlet in rpm package ") || rest.contains(" scriptlet failure in rpm package ")
        })
    };
    let line = finished.stderr.lines().find(of_yum)?;
    let package = line.rsplit(' ').next().unwrap_or_default();
    let mark = format!("({package}) scriptlet failed, ");
    let of_rpm = |line: &&str| is_scriptlet(line) && line.contains(&mark);
    finished.lines().find(of_rpm).or(Some(line))
}

/// `http://127.0.0.2/tb-a-2.0-1.noarch.rpm: [Errno 14] HTTP Error 404 - Not Found`: the address and why
/// it failed.
pub fn address(line: &str) -> Option<(&str, &str)> {
    let at = line.find(": [Errno ")?;
    let url = &line[..at];
    (url.contains("://") && !url.contains(' ')).then(|| (url, &line[at + 2..]))
}

const NO_METALINK: &str = "Cannot retrieve metalink for repository";

/// The failure by yum's own words.
fn by_its_words(finished: &Finished) -> Option<Failure> {
    let stderr = &finished.stderr;
    let find = |words: &[&str]| stderr.lines().find(|line| words.iter().any(|word| line.starts_with(word)));
    if let Some(line) = stderr.lines().find(|line| is_lock(line)) {
        return Some(Failure::new(Class::Lock, line));
    }
    if let Some(line) = stderr.lines().find(|line| is_space(line)).or_else(|| unpacked_in_vain(finished)) {
        return Some(Failure::new(Class::Space, line.trim()));
    }
    if let Some(line) =
        find(&["Error downloading packages:", "failure: repodata/", "Error downloading file "])
    {
        return Some(fetch(paragraph(stderr, line), finished));
    }
    if let Some(line) =
        find(&["Cannot find a valid baseurl for repo", "Cannot retrieve repository metadata", NO_METALINK])
    {
        let text = paragraph(stderr, line);
        let list = stderr.lines().skip_while(|line| !line.starts_with("Could not retrieve mirrorlist "));
        let reasons =
            list.take(2).skip(1).chain(stderr.lines().filter_map(address).map(|(_, reason)| reason));
        let reason = reasons.map(|reason| Failure::new(reason_class(reason), reason)).reduce(known);
        return Some(match reason {
            Some(reason) => Failure::new(reason.class, format!("{text}: {}", reason.message)),
            // yum does not say why.
            None if text.starts_with(NO_METALINK) => Failure::new(Class::Fetch, text),
            None => Failure::new(Class::Config, text),
        });
    }
    if let Some(line) = finished.stdout.lines().find(|line| line.starts_with("ERROR with transaction check"))
    {
        return Some(Failure::new(Class::Dependency, paragraph(&finished.stdout, line)));
    }
    // yum then only says that it cannot create a lock file.
    if let Some(line) = find(&["Could not create lock at ", "Could not open lock "]) {
        return Some(Failure::new(Class::Other, line));
    }
    // What it says about that before and after is advice.
    if let Some(line) = find(&["However, you do not have any GPG public keys"]) {
        let line = line.split(". ").next().unwrap_or(line).trim_start_matches("However, ");
        let repository = find(&["Problem repository: "]).unwrap_or_default();
        return Some(Failure::new(Class::Auth, format!("{line}. {repository}")));
    }
    let line = stderr.lines().find(|line| class_of(line) != Class::Other)?;
    Some(Failure::new(class_of(line), paragraph(stderr, line).trim_start_matches("Error: ")))
}

/// A line with the indented ones below it, as one.
fn paragraph(text: &str, first: &str) -> String {
    let mut lines = text.lines().skip_while(|line| *line != first);
    let head = lines.next().unwrap_or(first);
    let more = lines.take_while(|line| line.starts_with("  "));
    std::iter::once(head).chain(more).collect::<Vec<_>>().join(" ")
}

/// The lines above say why a file could not be had, one for each mirror that was tried.
fn fetch(text: String, finished: &Finished) -> Failure {
    // The packages without any other reason; there can be many.
    let head = text.split(':').next().unwrap_or(&text);
    let failures = finished.stderr.lines().filter_map(address).map(|(url, reason)| {
        let reason = format!("{url}: {reason}");
        Failure::new(reason_class(&reason), reason)
    });
    let failure = match failures.reduce(known) {
        Some(reason) => Failure::new(reason.class, format!("{head}: {}", reason.message)),
        None => Failure::new(reason_class(&text), &text),
    };
    match failure.class {
        Class::Other => Failure { class: Class::Fetch, ..failure },
        _ => failure,
    }
}

fn is_lock(line: &str) -> bool {
    line.starts_with("Another app is currently holding the yum lock")
        // rpm's own database; where rpm runs as a part of yum it is not named.
        || line.contains("can't create transaction lock")
        || (line.starts_with("Existing lock ") && line.contains("another copy is running as pid"))
}

/// `other`, with the last line that says something.
fn undecided(finished: &Finished) -> Failure {
    let last = finished.stderr.lines().rev().find(|line| !is_remark(line));
    let last = last.or_else(|| finished.stdout.lines().rev().find(|line| !line.trim().is_empty()));
    Failure::new(Class::Other, last.unwrap_or(NO_REASON))
}

/// A remark follows it where systemd holds back a shutdown meanwhile. `Running transaction check` and `Running
/// transaction test` come before it.
pub(super) fn install_began(finished: &Finished) -> bool {
    finished.stdout.lines().any(is_begin)
}

pub(super) fn is_begin(line: &str) -> bool {
    matches!(line, "Running transaction" | "Running transaction (shutdown inhibited)")
}

/// `  Updating   : tb-hello-2.0-1.noarch                 1/2 `. rpm holds back a signal until the last step is done;
/// yum then ends before it says more.
pub(super) fn all_steps_done(finished: &Finished) -> bool {
    const STEPS: [&str; 5] = ["  Updating ", "  Installing ", "  Cleanup ", "  Erasing ", "  Verifying "];
    let lines = finished.stdout.lines().skip_while(|line| !is_begin(line));
    let steps = lines.filter(|line| STEPS.iter().any(|step| line.starts_with(step)) && line.contains(" : "));
    let Some(last) = steps.last() else { return false };
    let count = last.split_whitespace().last().and_then(|count| count.split_once('/'));
    last.starts_with("  Verifying ") || count.is_some_and(|(step, of)| step == of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::assert_classes;

    #[test]
    fn each_message_has_its_class() {
        let table = [
            (Class::Auth, "Public key for tb-a-2.0-1.noarch.rpm is not installed"),
            (Class::Auth, "Package tb-a-2.0-1.noarch.rpm is not signed"),
            (Class::Auth, "Import of key(s) didn't help, wrong key(s)?"),
            (Class::Auth, "Key import failed (code 2)"),
            (Class::Auth, "GPG key retrieval failed: [Errno 14] curl#37 - \"Couldn't open file /x\""),
            (Class::Auth, "Refusing to automatically import keys when running unattended."),
            (Class::Config, "Config Error: Error accessing file for config file:///etc/x"),
            (Class::Config, "Configuration file /etc/x not found"),
            (Class::Config, "Invalid tsflag in config file: x"),
            (Class::Dependency, "Error: Package: tb-b-2.0-1.noarch (x)\n           Requires: tb-none"),
            (Class::Dependency, "Error: Protected multilib versions: a != b"),
            (
                Class::Fetch,
                "Package does not match intended download. Suggestion: run yum --enablerepo=x clean metadata",
            ),
            (
                Class::Space,
                "Error: Disk Requirements:\n  At least 20MB more space needed on the / filesystem.",
            ),
        ];
        let class = |line: &str| {
            classify(&Finished::ended(1, "", &format!("{line}\n")))
                .map_or(Class::Other, |failure| failure.class)
        };
        assert_classes(&table, class);
    }

    fn ended(code: i32, stdout: &str, stderr: &str) -> Option<Failure> {
        classify(&Finished::ended(code, stdout, stderr))
    }

    const BEGAN: &str = "Running transaction\n";

    #[test]
    fn older_ways_of_saying_that_all_was_downloaded_or_done() {
        assert_eq!(ended(1, "", "\n\nexiting because \"Download Only\" specified\n"), None);
        assert_eq!(ended(1, "Exiting on user command\n", ""), None);
        // rpm 4.11 exits with 1 where 4.14 exits with 143.
        let all =
            format!("{BEGAN}  Updating   : a-2-1.noarch     1/2 \n  Cleanup    : a-1-1.noarch     2/2 \n");
        assert_eq!(ended(1, &all, ""), None);
        let half = format!("{BEGAN}  Updating   : a-2-1.noarch     1/2 \n");
        assert_eq!(ended(1, &half, "").unwrap().class, Class::Interrupted);
        assert_eq!(ended(1, &all, "Error: something\n").unwrap().class, Class::Other);
    }

    #[test]
    fn what_a_script_prints_is_no_word_of_yums() {
        let printed = format!(
            "{BEGAN}Error in PREIN scriptlet in rpm package a-2-1.noarch\nerror: %pre(a-2-1.noarch) scriptlet failed, exit status 1\nhttp://x/a.rpm: [Errno 14] HTTP Error 404\nComplete!\n"
        );
        assert_eq!(ended(0, &printed, ""), None);
        assert_eq!(ended(1, &printed, "").unwrap().class, Class::Other);
        let told =
            ended(0, &printed, "Non-fatal POSTIN scriptlet failure in rpm package a-2-1.noarch\n").unwrap();
        assert_eq!(told.message, "error: %pre(a-2-1.noarch) scriptlet failed, exit status 1");
    }

    /// Taken from yum's source; not recorded.
    #[test]
    fn a_closing_line_is_no_reason() {
        let lock =
            "Could not create lock at /var/run/yum.pid: [Errno 13] Permission denied: '/var/run/yum.pid' ";
        let told = ended(1, "", &format!("{lock}\n\n\nCan't create lock file; exiting\n")).unwrap();
        assert_eq!((told.class, told.message.as_str()), (Class::Other, lock.trim()));
        let full = lock.replace("[Errno 13] Permission denied", "[Errno 28] No space left on device");
        assert_eq!(ended(1, "", &full).unwrap().class, Class::Space);
        let metalink =
            "Cannot retrieve metalink for repository: epel/x86_64. Please verify its path and try again";
        let told = ended(1, "", &format!(" One of the configured repositories failed (x),\n\n{metalink}\n"))
            .unwrap();
        assert_eq!((told.class, told.message.as_str()), (Class::Fetch, metalink));
    }

    #[test]
    fn a_message_has_the_reason_and_not_all_packages() {
        let stderr = "http://h/a.rpm: [Errno 14] HTTP Error 404 - Not Found\nTrying other mirror.\n\n\nError downloading packages:\n  a-2-1.noarch: [Errno 256] No more mirrors to try.\n  b-2-1.noarch: [Errno 256] No more mirrors to try.\n";
        let failure = ended(1, "", stderr).unwrap();
        assert_eq!(
            failure.message,
            "Error downloading packages: http://h/a.rpm: [Errno 14] HTTP Error 404 - Not Found"
        );
    }
}
