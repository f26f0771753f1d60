//! Arguments, variables, state files and the managers' words are untrusted: none of them reaches a
//! manager as an option, a terminal as an order, or a monitoring system as a second line.

use crate::machine::{ago, boot_id, cut_off, fresh_state, hold_lock};
use crate::plain::is_plain;
use crate::rendered;
use crate::tally::{share, tried};
use crate::world::{BINARY, Ran, World, in_parallel};
use linux_patch::managers::MANAGERS;
use linux_patch::system::process::Finished;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Text that terminals, monitoring systems and readers of lines take for commands.
const ORDERS: [&str; 14] = [
    "\u{1b}[31mred",
    "\u{1b}]0;title\u{7}",
    "\u{1b}[2J\u{1b}[Hgone",
    "\u{9b}31mred",
    "\u{9d}0;title\u{9c}",
    "a\rOK: all is well",
    "a\nPATCH OK: fresh | age=0s;;;0",
    "a\u{8}\u{8}b",
    "a\u{7f}b",
    "a\u{2028}b\u{2029}c",
    "a\u{202e}b\u{2066}c",
    "a|age=0s;;;0 'b'=1;2;3 \"c\"",
    "a\\\"} 1\n# EOF\n",
    "a\u{feff}\u{200b}\u{e0041}b",
];

/// All of them for `make faults`, some otherwise.
fn orders() -> Vec<&'static str> {
    ORDERS.iter().copied().step_by(share(4, 1)).collect()
}

#[track_caller]
fn assert_harmless(what: &str, ran: &Ran) {
    for (name, text) in [("output", &ran.stdout), ("error output", &ran.stderr)] {
        let plain = |line: &str| line.chars().all(is_plain);
        assert!(text.split('\n').all(plain), "standard {name} of {what}: {text:?}");
    }
}

/// Words behind `linux-patch`, each list wrong in one way that no other test of wrong command lines
/// has.
fn bad_lists() -> Vec<Vec<String>> {
    let mut lists: Vec<Vec<String>> = Vec::new();
    let mut add = |words: &[&str]| lists.push(words.iter().map(|word| word.to_string()).collect());
    // Every ASCII character that no package name has, at each end of a name and within it.
    let in_names = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.:".contains(c);
    for c in (1..128u8).map(char::from).filter(|c| !in_names(*c)) {
        add(&["apply", "--", &format!("{c}tb-hello")]);
        add(&["apply", "--dry-run", "--", &format!("tb{c}hello")]);
        add(&["apply", "--security", "--", "tb-sec", &format!("tb-hello{c}")]);
        if !c.is_ascii_alphabetic() && !"_*?[]!".contains(c) {
            add(&["apply", "--exclude", &format!("tb{c}*")]);
            add(&["apply", "tb-hello", &format!("--exclude={c}")]);
        }
    }
    for option in [
        "-oDPkg::Pre-Invoke::=id",
        "--option=APT::Get::AllowUnauthenticated=1",
        "--allow-unauthenticated",
        "--force-yes",
        "-c=/tmp/x",
        "--config-file=/tmp/x",
        "--installroot=/",
        "--root=/tmp",
        "--setopt=gpgcheck=0",
        "--nogpgcheck",
        "--repofrompath=x,http://x",
        "--allow-untrusted",
        "--no-gpg-checks",
        "--noconfirm",
        "--admindir=/tmp",
        "@core",
        "@/etc/passwd",
        "tb-hello-",
        "tb-hello=2.0-1",
        "/tmp/x.deb",
        "./x.rpm",
        "http://x/y.rpm",
    ] {
        add(&["apply", "--", option]);
        add(&["apply", "--", "tb-hello", option]);
        if option.starts_with('-') {
            add(&["apply", option]);
            add(&["refresh", option]);
            add(&["apply", "--exclude", option]);
        }
    }
    for order in ORDERS {
        for verb in ["refresh", "status", "apply"] {
            for option in ["--max-age", "--timeout", "--manager", "--format", "--state-dir"] {
                // A directory may have any name that can be printed.
                if option != "--state-dir" || !order.chars().all(is_plain) {
                    add(&[verb, option, order]);
                }
            }
            add(&[order, verb]);
            add(&[verb, &format!("--{order}")]);
        }
        for option in ["--warning", "--critical", "--alert"] {
            add(&["status", option, order]);
        }
        add(&["status", "--alert", &format!("security={order}")]);
        add(&["status", "--output", &format!("/proc/nowhere/{order}/x")]);
        for option in ["--wait", "--reboot-delay", "--exclude"] {
            add(&["apply", option, order]);
        }
        add(&["apply", &format!("--reboot={order}")]);
        add(&["apply", "--", order]);
        add(&["refresh", "--splay", order]);
        add(&["refresh", order]);
        add(&["status", order]);
        add(&[order]);
    }
    let long = ["x".repeat(100_000), "://".repeat(33_000), " ".repeat(5000), "\u{1b}".repeat(5000)];
    for long in long.iter().map(String::as_str) {
        for words in [["refresh", "--max-age"], ["status", "--manager"], ["apply", "--exclude"]] {
            add(&[words[0], words[1], &format!("{long}\n")]);
        }
        add(&["apply", "--", &format!("{long}\n")]);
        add(&["status", "--format", long]);
        add(&[long]);
    }
    lists
}

#[test]
fn no_bad_argument_reaches_a_manager_or_a_terminal() {
    let all = bad_lists();
    assert!(all.len() >= 500, "only {} lists", all.len());
    let every = all.len() / share(150, all.len());
    let lists: Vec<_> = all.iter().step_by(every).collect();
    let world = World::new();
    in_parallel(&lists, |words| {
        for format in ["text", "json"] {
            let mut command = world.bare(BINARY);
            // If one is taken for a relative path, it is below this directory.
            command.current_dir(world.path(""));
            let is_named = |option: &str| words.iter().any(|word| word == option);
            if !is_named("--state-dir") {
                command.arg("--state-dir").arg(world.state_dir());
            }
            if !is_named("--format") {
                command.args(["--format", format]);
            }
            let ran = Ran::of({
                command.args(words.iter());
                command
            });
            let shown: String = format!("{words:?}").chars().take(200).collect();
            assert_eq!(ran.code, 3, "{shown}: {}{}", ran.stdout, ran.stderr);
            assert_harmless(&shown, &ran);
            assert_eq!(ran.stderr.lines().count(), 1, "{shown}: {:?}", ran.stderr);
            assert!(ran.stderr.starts_with("linux-patch: ") && ran.stderr.ends_with('\n'), "{shown}");
            assert!(ran.stderr.chars().count() < 2100, "{shown}: {} characters", ran.stderr.len());
            match format {
                _ if is_named("--format") => {}
                "json" => assert_eq!(ran.json()["error"]["class"], "other", "{shown}"),
                _ => assert_eq!(ran.stdout, "", "{shown}"),
            }
        }
    });
    assert_eq!(world.read("calls"), "", "something was run");
    assert!(!world.state_dir().exists(), "the state was touched");
    tried(lists.len(), "bad argument lists, each as text and as JSON");
}

#[test]
fn no_bad_variable_of_ours_reaches_a_manager_or_a_terminal() {
    let long = "9".repeat(100_000);
    let words = ORDERS.iter().copied().chain(["-o", "--help", " ", "$(id)", &long]);
    let mut values: Vec<OsString> = words.map(OsString::from).collect();
    values.push(OsString::from_vec(b"\xff\x1b[31m".to_vec()));
    let durations = ["", "-1", "1e9", "0x10", "NaN", "1h-", "１h", "99999999999999999999", "11y"];
    let mut runs: Vec<(&str, &str, OsString)> = Vec::new();
    for verb in ["refresh", "status", "apply"] {
        for name in ["MANAGER", "STATE_DIR", "FORMAT", "MAX_AGE", "TIMEOUT", "SPLAY"] {
            if name == "SPLAY" && verb != "refresh" {
                continue;
            }
            let more: &[&str] = match name {
                "MAX_AGE" | "TIMEOUT" | "SPLAY" => &durations,
                "STATE_DIR" => &[],
                _ => &["", "APT", "Json", "apt,dnf"],
            };
            let is_directory = |value: &OsString| {
                let text = value.to_str().unwrap_or("\u{1b}");
                name == "STATE_DIR" && text.chars().all(is_plain)
            };
            let values = values.iter().cloned().chain(more.iter().map(OsString::from));
            runs.extend(values.filter(|value| !is_directory(value)).map(|value| (verb, name, value)));
        }
        // Any word except "no" and the like means yes: only a value that is not text is wrong.
        for name in ["VERBOSE", "QUIET"] {
            runs.push((verb, name, OsString::from_vec(b"\xff".to_vec())));
        }
    }
    let runs: Vec<_> = runs.into_iter().step_by(share(5, 1)).collect();
    let world = World::new();
    in_parallel(&runs, |(verb, name, value)| {
        for format in ["text", "json"] {
            let mut command = world.bare(BINARY);
            // If one is taken for a relative path, it is below this directory.
            command.current_dir(world.path(""));
            command.env("LINUX_PATCH_STATE_DIR", world.state_dir()).env("LINUX_PATCH_FORMAT", format);
            command.env(format!("LINUX_PATCH_{name}"), value).arg(verb);
            let ran = Ran::of(command);
            let shown: String = format!("{verb}, {name}={value:?}").chars().take(200).collect();
            assert_eq!(ran.code, 3, "{shown}: {}{}", ran.stdout, ran.stderr);
            assert_harmless(&shown, &ran);
            assert_eq!(ran.stderr.lines().count(), 1, "{shown}: {:?}", ran.stderr);
            assert!(ran.stderr.chars().count() < 2100, "{shown}: {} characters", ran.stderr.len());
            if format == "json" && *name != "FORMAT" {
                assert_eq!(ran.json()["error"]["class"], "other", "{shown}");
            }
        }
    });
    assert_eq!(world.read("calls"), "", "something was run");
    assert!(!world.state_dir().exists(), "the state was touched");
    tried(runs.len(), "bad values of the variables LINUX_PATCH_*, each as text and as JSON");
}

#[test]
fn variables_of_others_change_and_show_nothing() {
    let mut count = 0;
    for name in [
        "TERM",
        "JOURNAL_STREAM",
        "COLUMNS",
        "LANG",
        "LC_ALL",
        "LANGUAGE",
        "TZ",
        "RUST_LOG",
        "RUST_BACKTRACE",
        "CLICOLOR_FORCE",
    ] {
        for value in ["\u{1b}[31m", "0", "a\nb"].into_iter().take(share(1, 3)) {
            let world = World::new();
            for args in ["refresh", "status", "apply --verbose", "status --bogus"] {
                let mut command = world.command(args);
                command.env(name, value);
                let ran = Ran::of(command);
                assert_eq!(
                    ran.code,
                    if args.contains("bogus") { 3 } else { 0 },
                    "{name}={value:?} {args}: {}",
                    ran.stderr
                );
                assert_harmless(&format!("{args} with {name}"), &ran);
                count += 1;
            }
        }
    }
    tried(count, "runs with odd values of other programs' variables");
}

#[test]
fn what_the_caller_names_us_is_shown_nowhere() {
    let world = World::new();
    for args in ["--help", "status --help", "-h", "--version", "apply --bogus", ""] {
        for order in ORDERS {
            let mut command = world.command(args);
            command.arg0(format!("linux-patch{order}"));
            assert_harmless(args, &Ran::of(command));
        }
    }
}

/// A state with this text in every field that holds text.
fn state_of(text: &str) -> Value {
    let failure = json!({"class": "fetch", "message": text, text: text});
    let update =
        json!({"name": text, "installed": text, "candidate": text, "security": true, "source": text});
    let mut state = fresh_state(100);
    let source = json!({"id": text, "last_success": ago(100), "error": failure});
    state["last_update_error"] = failure.clone();
    state["last_attempt"]["outcome"] = json!("failed");
    // Two entries whose shown values are equal.
    let other = format!("http://me:secret@h/{text}");
    state["sources"] = json!([source, source, {"id": other}, {"id": other.replace("me", "you")}]);
    state["pending"]["packages"] = json!([update, update]);
    state["pending"]["held_back"] =
        json!([{"name": text, "installed": text, "candidate": text, "reason": text, "security": true}]);
    state["apply"]["in_progress"] = cut_off(text);
    state["apply"]["in_progress"]["boot_id"] = json!(text);
    state["apply"]["last"] = json!({"started_at": ago(90), "finished_at": ago(80), "outcome": "failed", "error": failure,
        "packages": [{"name": text, "from": text, "to": text}]});
    state["reboot_required"] = json!(true);
    state["reboot_boot_id"] = json!(boot_id());
    state[text] = json!({text: [text]});
    state["counters"]["refresh_total"] = json!(u64::MAX);
    state
}

#[test]
fn a_hostile_state_is_harmless_in_every_form() {
    let long: Vec<_> = ORDERS.iter().map(|order| order.repeat(300)).collect();
    let texts: Vec<&str> = ORDERS.iter().copied().chain(long.iter().map(String::as_str)).collect();
    let texts: Vec<&str> = texts.into_iter().step_by(share(3, 1)).collect();
    let mut count = 0;
    for text in &texts {
        let state = state_of(text).to_string();
        let (_, samples) = rendered::check(state.as_bytes()).expect("it is shown");
        let ups = samples.iter().filter(|sample| sample.metric == "linux_patch_source_up");
        assert_eq!(ups.map(|sample| sample.value).collect::<Vec<_>>().len(), 2, "{text}");
        count += 4;
    }
    in_parallel(&texts, |text| {
        let world = World::new();
        world.write_state(&state_of(text));
        let entry = json!({"time": ago(5), "command": text, "exit_code": 0, "class": "fetch", "message": text, "duration_ms": 1, "packages": 1});
        std::fs::write(world.state_dir().join("history.jsonl"), format!("{entry}\n{text}\n")).unwrap();
        for format in ["text", "json", "nagios", "openmetrics"] {
            let ran = world.run(&format!("status --history --format {format}"));
            assert_eq!((ran.code, ran.stderr.as_str()), (2, ""), "{text:?}");
            assert_harmless(&format!("status as {format} of {text:?}"), &ran);
        }
        // A run that continues from this state writes one that the next run can read.
        for args in ["refresh", "apply"] {
            let ran = world.run(args);
            assert_eq!(ran.code, 0, "{text:?}: {}", ran.stderr);
            assert_harmless(&format!("{args} after {text:?}"), &ran);
        }
        for name in ["state.json", "history.jsonl"] {
            let written = world.read(&format!("state/{name}"));
            let ours = written.lines().filter(|_| name == "state.json");
            assert!(ours.flat_map(str::chars).all(is_plain), "{name}: {written:?}");
        }
        assert_eq!(world.json("status")["exit_code"], 0);
    });
    tried(count + 8 * texts.len(), "forms of states with orders to terminals and monitoring in every field");
}

#[test]
fn the_text_of_the_lock_is_harmless() {
    for order in orders() {
        let world = World::new();
        let lock = hold_lock(&world, "apply");
        let words = order.replace(char::is_whitespace, "");
        // The text names a process that really holds the lock: this one.
        let text = format!("{} hostile{words} {words}tail\n", std::process::id());
        std::fs::write(world.state_dir().join("lock"), text).unwrap();
        for args in ["refresh --timeout 1s", "apply --wait 1s", "refresh --timeout 1s --format json"] {
            let ran = world.run(args);
            assert!(ran.code >= 2, "{args}: {}", ran.stdout);
            for told in [&ran.stdout, &ran.stderr] {
                let is_told = ["linux-patch hostile", "tail"].iter().all(|word| told.contains(word));
                assert!(is_told, "{args}: the text of the lock is not told: {told:?}");
            }
            assert_harmless(&format!("{args}, lock of {order:?}"), &ran);
        }
        drop(lock);
    }
    tried(3 * orders().len(), "waits for a lock whose text is hostile");
}

/// Fakes that print a file of such commands besides their normal output.
fn world_that_prints(order: &str, code: i32) -> World {
    let world = World::new();
    let lines = format!(
        "{order}\nE: {order}\nW: Failed to fetch http://a/dists/s/{order}  {order}\nErr:7 http://a{order} s InRelease\n  {order}\n\
         Hit:8 http://b{order} s InRelease\ndpkg: error processing package {order} (--configure):\n {order}\n"
    );
    world.write("orders", &lines);
    world.write("progress", &format!("dlstatus:1:50.0:{order}\n"));
    let say = "cat $world/orders; cat $world/orders >&2; cat $world/progress >>/proc/self/fd/$fd;";
    world.on("update", &format!("{say} echo 'Hit:1 http://a s InRelease'; exit {code}"));
    world.on("download", &format!("{say} exit {code}"));
    world.on("install", &format!("{say} unpack; exit {code}"));
    for verb in ["apt-cache", "dpkg", "shutdown"] {
        world.on(verb, &format!("cat $world/orders; cat $world/orders >&2; exit {code}"));
    }
    let row = order.replace(['\n', '\t'], " ");
    world.write("installed.after", &format!("{}{row}\tall\t{row}\tii \n", world.read("installed.after")));
    world
}

#[test]
fn what_a_manager_prints_is_harmless_with_and_without_verbose() {
    let runs: Vec<_> = orders().into_iter().flat_map(|order| [(order, 0), (order, 100)]).collect();
    in_parallel(&runs, |(order, code)| {
        let world = world_that_prints(order, *code);
        for args in ["refresh --verbose", "refresh", "apply --verbose --reboot=always", "apply --format json"]
        {
            let ran = world.run(args);
            assert!((0..=2).contains(&ran.code), "{args}: {}{}", ran.stdout, ran.stderr);
            assert_harmless(&format!("{args} of {order:?}"), &ran);
        }
        for format in ["text", "json", "nagios", "openmetrics"] {
            let ran = world.run(&format!("status --history --format {format}"));
            assert_harmless(&format!("status as {format} of {order:?}"), &ran);
        }
        for name in ["state.json", "history.jsonl"] {
            let written = world.read(&format!("state/{name}"));
            assert!(written.split('\n').all(|line| line.chars().all(is_plain)), "{name}: {written:?}");
            rendered::check(world.read("state/state.json").as_bytes());
        }
    });
    tried(8 * runs.len(), "runs of managers whose every word is hostile");
}

#[test]
fn a_terminal_gets_no_order_but_our_own() {
    for order in orders() {
        let world = world_that_prints(order, 0);
        // Long enough for the bar to show the last line, and then what the progress descriptor says.
        world.on("update", "cat $world/orders; sleep 0.3; echo 'Hit:1 http://a s InRelease'");
        world.on("download", "cat $world/progress >>/proc/self/fd/$fd; sleep 0.3");
        for args in ["apply", "apply --verbose", "status"] {
            let line = format!("'{BINARY}' --state-dir '{}' {args}", world.state_dir().display());
            let mut command = world.bare("/usr/bin/script");
            command.env("TERM", "xterm").env("SHELL", "/bin/sh").args(["-qec", &line, "/dev/null"]);
            let ran = Ran::of(command);
            // The bar begins its line anew, and wipes what is behind it; the terminal ends lines so; our own
            // words have colours.
            let ours = ["[K", "[1;31m", "[1;32m", "[1;33m", "[0m"].map(|order| format!("\u{1b}{order}"));
            let shown = ours.iter().fold(ran.stdout.replace('\r', ""), |text, order| text.replace(order, ""));
            let plain = |line: &str| line.chars().all(is_plain);
            assert!(shown.split('\n').all(plain), "{args} of {order:?}: {:?}", ran.stdout);
            assert!(
                shown.contains("done") || shown.contains("fresh") || shown.contains("failed"),
                "{shown:?}"
            );
        }
    }
    tried(3 * orders().len(), "runs on a terminal with a manager whose every word is hostile");
}

#[test]
fn a_listed_name_that_is_an_option_or_a_pattern_is_passed_on_to_nobody() {
    let names = [
        "-oDPkg::Pre-Invoke::=id",
        "--full",
        "-y",
        "*",
        "tb-*",
        "a,b",
        "/etc/x",
        "\u{1b}[31mx",
        "$(id)",
        "a=1",
        "ü",
    ];
    in_parallel(&names, |name| {
        let world = World::new();
        let listed = format!("Inst {name} [1.0-1] (2.0-1 X:stable [all])\n{}", world.read("pending"));
        world.write("pending", &listed);
        for args in [
            "refresh",
            "apply",
            "apply tb-hello",
            "apply --exclude tb-world",
            "apply --security",
            "apply --full",
        ] {
            let doc = world.json(args);
            let expected = if args == "refresh" { 1 } else { 2 };
            assert_eq!(doc["exit_code"], expected, "{args} with {name:?}: {doc}");
            assert!(doc["pending"]["count"].is_null(), "{args} with {name:?}: {doc}");
            assert!(doc["pending"]["error"]["class"].is_string(), "{args} with {name:?}: {doc}");
            if expected == 2 {
                assert!(doc["reason"].as_str().unwrap().contains("that no package can have"), "{doc}");
            }
        }
        let calls = world.read("calls");
        assert!(!calls.contains(name) || *name == "-y" || *name == "--full", "{calls}");
        let calls = calls.lines().map(|line| line.split(' ').skip(2).collect::<Vec<_>>());
        assert!(calls.clone().all(|words| !words.contains(name)), "{name}");
        assert_eq!(world.count("install") + world.count("download"), 0, "{name}");
    });
    tried(6 * names.len(), "runs with a listed name that is an option, a pattern or a path");
}

/// Inputs of about `size` bytes; a reader that looks back at every step would need minutes for them.
fn floods(size: usize) -> Vec<(String, String)> {
    let mut floods: Vec<(String, String)> = Vec::new();
    for piece in [
        "a",
        " ",
        "\r",
        "\t",
        "://",
        "://@",
        "(",
        "[",
        "{",
        "<a>",
        "'",
        "\"",
        "\\",
        "/",
        "-",
        ".",
        ":",
        "E: ",
        "é",
        "\u{1b}[m",
        "[1m",
        "<![CDATA[",
        "&amp;",
        "a.b ",
        "a-b-",
        ", ",
        " => ",
    ] {
        floods.push((format!("{piece:?} again and again"), piece.repeat(size / piece.len())));
        floods.push((format!("lines of {piece:?}"), format!("{piece}\n").repeat(size / (piece.len() + 1))));
    }
    for line in [
        "Hit:# http://h# s InRelease",
        "Hit:# http://h s# InRelease",
        "Get:# http://h s/#/main amd64 Packages [1 B]",
        "Err:# http://h# s InRelease\n  404  Not Found",
        "E: Failed to fetch http://h#/dists/s/InRelease  404  Not Found",
        "W: # http://h s#: x",
        "Inst p# [1] (2 X:s, Debian-Security:s-security [all])",
        "Remv p# [1]",
        "   p# (1 => 2)",
        "p#:\n  Candidate: 2\n  Version table:\n     2 500\n        500 http://h s/main amd64 Packages",
        "p#\tall\t1\tii ",
        "p#\tnoarch\t0:1-#\t5",
        "p\tnoarch\t0:1-#\t5",
        "p#.noarch 1-1 base",
        "    p#.noarch 1-1 @System",
        " p# noarch 1-1 base 26 k",
        " p#",
        "     replacing  p#.noarch 1-1",
        "r#: using metadata from now",
        "Error: Failed to download metadata for repo 'r#': x",
        "Ignoring repositories: r#",
        "  - Status code: 404 for http://h#/",
        "[MIRROR] p#: Status code: 404 for http://h#/",
        "X-# Important/Sec. p#-1-1.noarch",
        "Error: Error downloading packages:",
        " Problem #: x",
        "dpkg: error: #",
        "dlstatus:#:50.0:x",
        "  Upgrading : p# #/#",
        "warning: %post(p#) scriptlet failed, x",
        "(#/#) Upgrading p# (1 -> 2)",
        "p# 1 -> 2",
        "Repo-id : r#\nRepo-status : enabled\nRepo-baseurl : http://h#/\nRepo-expire : x (last: now)",
        "Repo-id : r#\nRepo-status : disabled\nRepo-mirrors : http://m#",
        "Repo-baseurl : http://h#/ (18446744073709551615 more)",
        "http://h#/repodata/#.xml: [Errno 14] HTTP Error 404",
        "Could not retrieve mirrorlist http://m# error was\n14: x",
        "    1:p#-2.0-1.noarch from base",
        "p#-1 < 2",
        "error: failed retrieving file 'r#.db' from h# : x",
        "WARNING: updating http://h#/x: temporary error",
        "<update name=\"p#\" kind=\"package\" edition=\"2\"/>",
        "<message type=\"error\">#</message>",
        "{\"name\": \"p#\"},",
    ] {
        let mut text = String::with_capacity(size + 200);
        let mut number = 0;
        while text.len() < size {
            number += 1;
            text += &line.replace('#', &number.to_string());
            text.push('\n');
        }
        floods.push((format!("lines like {line:?}"), text.clone()));
        for head in [
            "\n",
            "\nObsoleting Packages\n",
            "Dependencies resolved.\nUpgrading:\n",
            "Dependencies resolved.\nRemoving:\n",
            "Error: x\n",
        ] {
            if line.starts_with(' ') || line.contains(".noarch") {
                floods.push((format!("{head:?} and lines like {line:?}"), format!("{head}{text}")));
            }
        }
    }
    let ids: String = (0..size / 8).map(|number| format!("r{number}, ")).collect();
    floods.push(("one line of many names".into(), format!("Ignoring repositories: {ids}")));
    let long = "x".repeat(size / 2);
    let reasons = "  - Status code: 404\n[MIRROR] a: b\n".repeat(size / 80);
    for begin in ["Error: Failed to download metadata for repo", "Error: Error downloading packages:"] {
        floods.push((format!("{begin}, a long line and many reasons"), format!("{begin} {long}\n{reasons}")));
    }
    let sources: String =
        (0..size / 80).map(|number| format!("Hit:{number} http://h{number} s InRelease\n")).collect();
    let messages: String = (0..size / 80).map(|number| format!("E: http://x{number}/y {number}\n")).collect();
    floods.push(("many sources and many messages".into(), format!("{sources}{messages}")));
    floods
}

/// The processor time of this thread: waiting on a busy machine does not count.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts time");
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// The time that every reader of a manager takes for a text.
fn cost(manager: &dyn linux_patch::managers::Manager, text: &str, code: i32) -> Duration {
    let finished = Finished::ended(code, text, text);
    let before = spent();
    crate::readers::read_all(manager, &finished);
    spent() - before
}

#[test]
fn four_times_the_output_takes_a_reader_no_more_than_four_times_as_long() {
    let size = share(8 << 10, 64 << 10);
    let pairs: Vec<_> =
        floods(size).into_iter().zip(floods(4 * size)).zip([1, 0, 100].into_iter().cycle()).collect();
    let pairs: Vec<_> = pairs.into_iter().step_by(share(6, 1)).collect();
    in_parallel(&pairs, |(((what, text), (_, more)), code)| {
        for manager in MANAGERS {
            let (one, four) = (cost(*manager, text, *code), cost(*manager, more, *code));
            // A reader that looks back at every line takes sixteen times as long; the bound need not be more exact.
            let most = one * 8 + Duration::from_millis(500);
            assert!(four < most, "{}: {one:?}, then {four:?} for {what}", manager.facts().name);
            assert!(four < Duration::from_secs(30), "{}: {four:?} for {what}", manager.facts().name);
        }
    });
    tried(
        2 * MANAGERS.len() * pairs.len(),
        &format!("floods of {} and {} KiB into every reader of a manager", size >> 10, (4 * size) >> 10),
    );
}

#[test]
fn the_state_after_an_update_without_end_can_be_read() {
    let world = World::new();
    let lines = "perl -e 'print \"Hit:$_ http://h$_ s InRelease\\n\" for 1..1500'";
    world.on("update", lines);
    assert_eq!(world.json("refresh")["exit_code"], 0);
    world.on(
        "update",
        "perl -e 'print \"Hit:1 http://h s InRelease\\n\"; print STDERR \"W: x\\n\" for 1..12000'",
    );
    assert_eq!(world.json("refresh")["exit_code"], 0, "warnings of no source are no failure");
    // More updates than a state can hold.
    world.on("update", "echo 'Get:1 http://h s InRelease'");
    world.on("simulate", "perl -e 'print \"Inst p$_ [1] (2 X:a-security [all])\\n\" for 1..35000'");
    let doc = world.json("refresh");
    assert!(doc["exit_code"] == 1 && doc["pending"]["count"].is_null(), "{doc}");
    assert_eq!(world.json("status")["exit_code"], 1);
}

/// The tests of this file need the program `script`.
#[test]
fn a_terminal_can_be_made() {
    assert!(Path::new("/usr/bin/script").exists(), "these tests need script (bsdutils)");
    assert!(Command::new("/usr/bin/script").arg("--version").output().unwrap().status.success());
}
