//! What people and the journal see while a run goes on.

use std::time::Instant;

use crate::bench;
use crate::deb::deb;
use crate::leisure::at_leisure;
use crate::sandbox::Sandbox;
use crate::server::Fault;

#[test]
fn a_terminal_shows_a_bar_with_apts_own_percentages() {
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 1)]);
    let line = "stty cols 90; linux-patch apply";
    let begun = Instant::now();
    let shown = sandbox.sh(&format!("TERM=xterm script -qec '{line}' /tmp/shown >/dev/null; cat /tmp/shown"));
    for part in ["refreshing the package index [", "downloading updates [", "installing updates [####"] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    let mut seconds = shown.split("% ").filter_map(|part| part.split_once(" s Configuring tb-slow"));
    let of_phase = seconds.next().and_then(|(seconds, _)| seconds.parse::<u64>().ok());
    assert!(of_phase.is_some_and(|seconds| seconds <= begun.elapsed().as_secs()), "{shown}");
    let drawn = shown.lines().filter(|line| line.contains('[')).flat_map(|line| line.split('\r'));
    let widest =
        drawn.filter(|line| line.contains("updates [")).map(|line| line.trim_end_matches("\u{1b}[K"));
    assert!(widest.map(|line| line.chars().count()).max().unwrap() < 90, "{shown}");
    assert!(shown.contains("\u{1b}[1;32mdone\u{1b}[0m: 1 package changed"), "{shown}");
}

#[test]
fn without_a_terminal_each_phase_is_one_line_and_verbose_adds_apts_own() {
    let (sandbox, _repo) = bench::pending_update();
    let run = |args: &[&str]| sandbox.run(&[&["linux-patch"], args].concat()).stderr;
    assert_eq!(run(&["refresh"]), "linux-patch: refreshing the package index\n");
    assert_eq!(run(&["refresh", "--quiet"]), "");
    let verbose = run(&["apply", "--verbose"]);
    for line in ["linux-patch: downloading updates\n", "Setting up tb-hello (2.0) ...\n"] {
        assert!(verbose.contains(line), "no {line:?} in {verbose}");
    }
}

#[test]
fn lines_for_the_journal_carry_their_priority() {
    let (sandbox, _repo) = bench::pending_update();
    let told = |args: &str, journal: &str| {
        let script = format!(
            "exec 2>/tmp/err; export JOURNAL_STREAM={journal}; linux-patch {args} >/dev/null || :; cat /tmp/err"
        );
        sandbox.sh(&script)
    };
    let ours = "$(stat -Lc %d:%i /proc/self/fd/2)";
    assert_eq!(told("refresh", ours), "<6>linux-patch: refreshing the package index\n");
    assert!(told("refresh --bogus", ours).starts_with("<3>linux-patch: "));
    // The variable is inherited by everything a service starts: it need not be our standard error.
    assert_eq!(told("refresh", "1:1"), "linux-patch: refreshing the package index\n");
}

/// What a terminal of so many columns shows of a line of the shell.
fn shown(sandbox: &Sandbox, columns: u32, line: &str) -> String {
    let script = format!(
        "TERM=xterm script -qec 'stty cols {columns}; {line}' /tmp/shown >/dev/null || :; cat /tmp/shown"
    );
    sandbox.sh(&script).replace("\r\n", "\n")
}

/// The states of the line that is written over, each without what clears it.
fn drawn(shown: &str) -> Vec<String> {
    let parts = shown.split(['\r', '\n']).filter(|part| part.contains("\u{1b}[K"));
    parts.map(|part| part.replace("\u{1b}[K", "")).filter(|part| !part.starts_with("linux-patch")).collect()
}

#[test]
fn at_forty_columns_the_percentage_stays_and_a_phase_that_is_over_shows_its_time() {
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 2)]);
    let shown = shown(&sandbox, 40, "linux-patch apply");
    let drawn = drawn(&shown);
    assert!(drawn.iter().all(|line| line.chars().count() < 40), "{drawn:#?}");
    let percent = |line: &&String| line.starts_with("installing updates") && line.contains('%');
    assert!(drawn.iter().any(|line| percent(&line)), "{drawn:#?}");
    let took = shown.lines().find_map(|line| line.split_once("linux-patch: installing updates: "));
    let took: f64 = took.and_then(|(_, took)| took.trim_end().strip_suffix(" s")?.parse().ok()).unwrap();
    assert!((2.0..at_leisure(10).as_secs_f64()).contains(&took), "{shown}");
}

#[test]
fn a_host_that_does_not_answer_is_named_while_it_is_waited_for() {
    let (sandbox, repos) = bench::three_with("/dists/", Fault::Hang);
    let silent = repos[1].server.url().replace("http://", "");
    let shown = shown(&sandbox, 120, "linux-patch refresh --timeout 8s");
    let drawn = drawn(&shown);
    let waiting = format!("no answer yet from {silent}");
    assert!(drawn.iter().any(|line| line.trim_end().ends_with(&waiting)), "no {waiting:?} in {drawn:#?}");
    // The others have answered by the end.
    let last = drawn.iter().rfind(|line| line.contains("no answer yet from")).unwrap();
    for other in [&repos[0], &repos[2]] {
        assert!(!last.contains(&other.server.url().replace("http://", "")), "{drawn:#?}");
    }
}

#[test]
fn a_question_that_takes_long_is_shown_and_leaves_no_line() {
    let (sandbox, _repo) = bench::pending_update();
    let slow = r#"case " $* " in *" -s "*) sleep 1;; esac; exec /usr/bin/apt-get "$@""#;
    sandbox.write_script("/usr/local/bin/apt-get", slow);
    let shown = shown(&sandbox, 80, "linux-patch refresh");
    let drawn = drawn(&shown);
    assert!(drawn.iter().any(|line| line.starts_with("listing packages [")), "{drawn:#?}");
    assert!(drawn.iter().any(|line| line.ends_with(" apt-get")), "{drawn:#?}");
    assert!(!shown.contains("linux-patch: listing"), "{shown}");
}

#[test]
fn a_terminal_gets_colours_unless_it_has_none_or_nobody_wants_them() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.patch(&["refresh"]).exits(0);
    let colour = "\u{1b}[1;3";
    let fresh = shown(&sandbox, 80, "linux-patch status");
    assert!(fresh.contains("\u{1b}[1;32mfresh\u{1b}[0m: "), "{fresh}");
    bench::tick();
    let stale = shown(&sandbox, 80, "linux-patch status --max-age 0");
    assert!(stale.contains("\u{1b}[1;33mstale\u{1b}[0m: "), "{stale}");
    for line in [
        "NO_COLOR=1 linux-patch status",
        "TERM=dumb linux-patch status",
        "TERM= linux-patch status",
        "linux-patch status | cat",
        "linux-patch status --quiet --max-age 0",
        "linux-patch status --format nagios",
        "linux-patch status --format json",
        "linux-patch status --output /tmp/out; cat /tmp/out",
    ] {
        let shown = shown(&sandbox, 80, line);
        assert!(!shown.contains(colour), "{line}: {shown}");
    }
    assert!(shown(&sandbox, 80, "NO_COLOR= linux-patch status").contains(colour));
}

#[test]
fn help_is_as_wide_as_the_terminal() {
    let sandbox = Sandbox::new();
    for (line, width) in [
        ("linux-patch help apply", 60),
        ("COLUMNS=50 linux-patch apply --help", 50),
        ("COLUMNS=nonsense linux-patch -h", 60),
        ("linux-patch --help | cat", 60),
    ] {
        let shown = shown(&sandbox, 60, line);
        let help: Vec<_> = shown.lines().filter(|line| !line.starts_with("Script ")).collect();
        let widest = help.iter().map(|line| line.chars().count()).max().unwrap();
        assert!((width - 12..=width).contains(&widest), "{line}: {widest} in {shown}");
    }
    let wide = shown(&sandbox, 250, "linux-patch help status");
    assert!(wide.lines().all(|line| line.chars().count() <= 100 || line.starts_with("Script ")), "{wide}");
}
