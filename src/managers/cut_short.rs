//! Commands that did not end by themselves, from whose output nothing may be concluded, and those that gave no reason.

use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::system::process::{End, Finished, Invocation};

/// Why nothing may be concluded from a command's output, if it did not end by itself.
pub fn cut_short(invocation: &Invocation, finished: &Finished) -> Option<Failure> {
    how_it_was_cut(invocation, finished, &last_line(finished))
}

/// Added to the words about a crash.
pub const NO_NUMBER: &str = ": a value in its configuration must be a number and is not one";

/// How a command was cut short, with these words added where that says no more than that it was ended.
pub fn how_it_was_cut(invocation: &Invocation, finished: &Finished, last: &str) -> Option<Failure> {
    let program = invocation.program;
    let span = crate::system::time::span(finished.elapsed.as_secs() as i64);
    let (class, message) = match finished.end {
        End::TimedOut => (Class::Timeout, format!("{program} did not end within {span}{last}")),
        End::Stalled => {
            (Class::Timeout, format!("{program} made no more progress and was ended after {span}{last}"))
        }
        End::Flooded => (Class::Other, format!("{program} printed more than a report can be and was ended")),
        End::Waiting => (Class::Lock, format!("{program} waits for a lock that another process holds")),
        End::Interrupted(signal) => (Class::Interrupted, format!("{signal} received, {program} was stopped")),
        End::Signal(signal) if finished.end.is_crash() => {
            let last = words_of_crash(finished);
            let (class, why) = match () {
                // `what(): /etc/zypp/zypp.conf: Section []: Line 1 contains garbage`
                () if last.contains("what(): ") && last.contains(".conf: ") => (Class::Config, ""),
                // `what():  stod`, of C++.
                () if last.contains("what():  sto") => (Class::Config, NO_NUMBER),
                () => (Class::Interrupted, ""),
            };
            (class, format!("{program} crashed (signal {signal}){last}{why}"))
        }
        End::Signal(signal) => {
            let limit = match signal {
                24 => " (it used more processor time than a limit allows: ulimit -t)",
                25 => " (it wrote a file that is larger than a limit allows: ulimit -f)",
                _ => "",
            };
            (Class::Interrupted, format!("{program} was killed by signal {signal}{limit}"))
        }
        End::Code(_) => return None,
    };
    Some(Failure::new(class, message))
}

/// The words of a crash, or of an error just before it. Where there are none: the last line of the output, which says
/// what was done then. A remark on standard error has nothing to do with it if there is output.
fn words_of_crash(finished: &Finished) -> String {
    const WORDS: &[&str] = &[
        "what():",
        "terminate called ",
        "Fatal Python error: ",
        "MemoryError",
        "Assertion `",
        "*** stack smashing detected",
        "double free or corruption",
        "malloc(): ",
        "free(): ",
        "munmap_chunk(): ",
        "corrupted size vs. prev_size",
        "panicked at ",
    ];
    let is_crash = |line: &&str| WORDS.iter().any(|words| line.contains(words));
    let said = |text: &str| text.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned);
    let crash = finished.stderr.lines().chain(finished.stdout.lines()).filter(is_crash);
    // `what():` stands below `terminate called`, and says more.
    let crash = crash.reduce(|first, next| if next.contains("what():") { next } else { first });
    let is_markup = |line: &String| line.trim_start().starts_with('<');
    let is_error = |line: &String| line.starts_with("E: ") || line.to_lowercase().contains("error");
    let last = crash.map(str::to_owned).or_else(|| said(&finished.stderr).filter(is_error));
    let last = last.or_else(|| said(&finished.stdout).filter(|line| !is_markup(line)));
    let last = last.or_else(|| said(&finished.stderr));
    last.map(|line| format!("; last line: {line}")).unwrap_or_default()
}

/// `; last line: ...`, for a command that said nothing decisive before it was ended.
fn last_line(finished: &Finished) -> String {
    finished.last_line().map(|line| format!("; last line: {line}")).unwrap_or_default()
}

/// What is said of a command that failed and said nothing at all.
pub const NO_REASON: &str = "it failed and gave no reason";

/// `other`, with the last line that was printed.
pub fn undecided(finished: &Finished) -> Failure {
    Failure::new(Class::Other, finished.last_line().unwrap_or(NO_REASON))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::facts::Places;
    use crate::managers::manager::Manager;
    use crate::managers::{MANAGERS, apt};

    /// Why apt-get failed that ended so, after two minutes.
    fn failed(end: End, stdout: &str, stderr: &str) -> Option<(Class, String)> {
        let elapsed = std::time::Duration::from_secs(120);
        let invocation = Invocation { program: "apt-get", ..Invocation::default() };
        let finished = Finished { end, elapsed, ..Finished::ended(0, stdout, stderr) };
        let found = apt::Apt.failure(&invocation, &finished);
        found.map(|failure| (failure.class, failure.message))
    }

    #[test]
    fn a_crash_is_told_with_its_own_words_or_with_what_was_done() {
        let remark = "Unable to detect release version\n";
        let step = "Running transaction\n  Running scriptlet: tb-m-2.0-1.noarch   1/6 \n\n";
        let python =
            "Fatal Python error: Segmentation fault\n\nCurrent thread 0x7f (most recent call first):\n";
        let uncaught =
            "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\nx\n";
        for (stdout, stderr, words) in [
            (step, remark, "; last line: Running scriptlet: tb-m-2.0-1.noarch 1/6"),
            (step, python, "; last line: Fatal Python error: Segmentation fault"),
            (step, uncaught, "; last line: what(): std::bad_alloc"),
            (step, "E: Write error\n", "; last line: E: Write error"),
            ("<stream>\n", "a remark\n", "; last line: a remark"),
            ("", "a remark\n", "; last line: a remark"),
            ("", "", ""),
        ] {
            let (_, message) = failed(End::Signal(11), stdout, stderr).unwrap();
            assert_eq!(message, format!("apt-get crashed (signal 11){words}"));
        }
    }

    #[test]
    fn a_crash_is_the_configurations_fault_only_where_its_own_words_say_so() {
        let class = |last: &str| failed(End::Signal(6), "", last).map(|(class, _)| class);
        let uncaught = "terminate called after throwing an instance of 'x'\n  what():  ";
        assert_eq!(
            class(&format!("{uncaught}/etc/zypp/zypp.conf: Section []: Line 1\n")),
            Some(Class::Config)
        );
        assert_eq!(class(&format!("{uncaught}stod\n")), Some(Class::Config));
        // An install that crashes half way was cut off.
        assert_eq!(class("warning: /etc/tb.conf: x\n"), Some(Class::Interrupted));
        assert_eq!(class(&format!("{uncaught}std::bad_alloc\n")), Some(Class::Interrupted));
    }

    #[test]
    fn how_a_command_ended_goes_before_what_it_printed() {
        let full = "E: Write error - write (28: No space left on device)\n";
        for (end, class, message) in [
            (End::TimedOut, Class::Timeout, "apt-get did not end within 2 min; last line: two"),
            (
                End::Stalled,
                Class::Timeout,
                "apt-get made no more progress and was ended after 2 min; last line: two",
            ),
            (End::Signal(9), Class::Interrupted, "apt-get was killed by signal 9"),
            (
                End::Signal(25),
                Class::Interrupted,
                "apt-get was killed by signal 25 (it wrote a file that is larger than a limit allows: ulimit -f)",
            ),
            (
                End::Signal(11),
                Class::Interrupted,
                "apt-get crashed (signal 11); last line: E: Write error - write (28: No space left on device)",
            ),
        ] {
            assert_eq!(failed(end, full, "one\ntwo\n \n"), Some((class, message.to_string())));
        }
        assert_eq!(failed(End::TimedOut, "", " \n").unwrap().1, "apt-get did not end within 2 min");
        assert_eq!(
            failed(End::TimedOut, "one\n", "").unwrap().1,
            "apt-get did not end within 2 min; last line: one"
        );
        assert_eq!(failed(End::Code(100), "", full).unwrap().0, Class::Space);
        assert_eq!(failed(End::Code(0), "one\n", ""), None);
    }

    #[test]
    fn a_number_in_the_journal_of_dpkg_is_an_install_that_was_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { database: dir.path().join("status"), ..apt::Apt.facts().usual_places() };
        let was_cut_off =
            || MANAGERS.iter().filter(|manager| manager.database().was_cut_off(&places)).count();
        assert_eq!(was_cut_off(), 0, "there is no journal");
        std::fs::create_dir(dir.path().join("updates")).unwrap();
        std::fs::write(dir.path().join("updates/tmp.i"), "").unwrap();
        assert_eq!(was_cut_off(), 0, "none of its files is an entry");
        std::fs::write(dir.path().join("updates/0001"), "").unwrap();
        assert_eq!(was_cut_off(), 1, "of apt");
    }
}
