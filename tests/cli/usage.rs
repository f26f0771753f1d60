//! Command lines that are wrong: refused before anything runs, in one line, also in JSON.

use crate::world::{Ran, World, in_parallel};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

const DURATIONS: [&str; 13] =
    ["", "-5", "5x", "abc", "99999999999999999999", "999y", " ", "h", "1h-", "0x10", "５", "1e3", "NaN"];

/// Words behind `linux-patch`, each list wrong in one way.
fn wrong() -> Vec<Vec<String>> {
    let mut lists: Vec<Vec<String>> = Vec::new();
    let mut add = |words: &[&str]| lists.push(words.iter().map(|word| word.to_string()).collect());
    let options: [(&str, &[&str]); 3] = [
        ("refresh", &["--max-age", "--timeout", "--splay"]),
        ("status", &["--max-age", "--timeout"]),
        ("apply", &["--max-age", "--timeout", "--wait", "--reboot-delay"]),
    ];
    for (verb, names) in options {
        for name in names {
            add(&[verb, name]);
            for bad in DURATIONS {
                add(&[verb, name, bad]);
            }
        }
        for bad in ["0", "0s", "500ms", "999ms"] {
            add(&[verb, "--timeout", bad]);
        }
        for bad in ["", "xml", "JSON", "json,text", "--format"] {
            add(&[verb, "--format", bad]);
        }
        for bad in ["", "APT", "apt-get", "brew", "apt,dnf", "-"] {
            add(&[verb, "--manager", bad]);
            add(&["--manager", bad, verb]);
        }
        for bad in ["--bogus", "-x", "--", "--status", "--json", "--no-refresh", "--verbose=1", "--quiet="] {
            // "--" alone is fine; a word behind it is not, except for apply.
            add(&[verb, bad, "-word"]);
        }
        add(&[verb, "-v", "-q"]);
        add(&[verb, "--state-dir"]);
        add(&[verb, "--state-dir", ""]);
        add(&[verb, "--max-age", "1h", "--max-age", "2h"]);
    }
    for verb in ["refresh", "apply"] {
        add(&[verb, "--format", "nagios"]);
        add(&[verb, "--format", "openmetrics"]);
        add(&[verb, "--history"]);
    }
    for bad in ["refresh --strict", "refresh --refresh", "refresh tb-hello", "refresh --wait 1s"] {
        add(&bad.split(' ').collect::<Vec<_>>());
    }
    for bad in
        ["status --if-stale", "status tb-hello", "status --splay 1s", "status apply", "status --reboot"]
    {
        add(&bad.split(' ').collect::<Vec<_>>());
    }
    add(&["help", "nonsense"]);
    for bad in ["", "version", "Refresh", "refresh,status", "--", "upgrade", "-", "--refresh"] {
        add(&[bad]);
    }
    for package in [
        "-o",
        "--full-upgrade",
        "a",
        "Foo",
        "foo-",
        "foo=1",
        "foo/stable",
        "foo*",
        "foo bar",
        "foo:",
        "foo:-x",
        ".foo",
        "../x",
        "/etc/passwd",
        "foo\n",
        "fóo",
        "foo^",
        "foo;id",
        "$(id)",
        "`id`",
        "foo|x",
        "foo&",
        "",
        "foo,bar",
        "foo:i386:x",
        "?x",
        "~nfoo",
        "foo!",
        "+foo",
        "foo\t",
        "foo%s",
        "foo\\",
        "'foo'",
        "foo\u{7f}",
    ] {
        add(&["apply", "--", package]);
        add(&["apply", "--dry-run", "--", "tb-hello", package]);
    }
    for glob in
        ["", "[", "a b", "x;y", "$(id)", "***", "/x", "a\nb", "fóo", "a|b", "x,y", "[!", "{a,b}", "-\\"]
    {
        add(&["apply", "--exclude", glob]);
        add(&["apply", &format!("--exclude={glob}"), "tb-hello"]);
    }
    for glob in ["", " ", "[", "***", "a\nb", "[!", "a**b"] {
        add(&["apply", "--from", glob]);
        add(&["apply", "--from", "*", &format!("--from={glob}")]);
    }
    add(&["apply", "--from"]);
    add(&["apply", "--autoremove=yes"]);
    add(&["refresh", "--autoremove"]);
    add(&["refresh", "--from", "*"]);
    for bad in ["never", "", "yes", "ALWAYS", "if_needed", "now"] {
        add(&["apply", &format!("--reboot={bad}")]);
    }
    for bad in
        ["", "5", "5:00", "24:00", "05:60", "-1:00", "05:00:00", "5am", "now", "tomorrow 05:00", "05:00Z"]
    {
        add(&["apply", "--not-after", bad]);
        add(&["apply", &format!("--not-after={bad}"), "tb-hello"]);
    }
    add(&["apply", "--not-after"]);
    for bad in [
        "--reboot-at 05:00",
        "--reboot --reboot-at 5:00",
        "--reboot --reboot-at 24:00",
        "--reboot --reboot-at",
    ] {
        add(&["apply"].into_iter().chain(bad.split(' ')).collect::<Vec<_>>());
    }
    add(&["apply", "--reboot", "--reboot-at", "05:00", "--reboot-delay", "5m"]);
    add(&["refresh", "--reboot-at", "05:00"]);
    add(&["apply", "--not-after", "05:00", "--not-after", "06:00"]);
    add(&["refresh", "--not-after", "05:00"]);
    for (value, other) in [("always", "if-needed"), ("if-needed", "always")] {
        add(&["apply", "--reboot", value]);
        add(&["apply", value, "--reboot"]);
        add(&["apply", &format!("--reboot={value}"), "tb-hello", other]);
    }
    for bad in
        ["--download-only --dry-run", "--strict --strict", "--full=yes", "--security=no", "--dry-run=0"]
    {
        add(&["apply"].into_iter().chain(bad.split(' ')).collect::<Vec<_>>());
    }
    lists
}

#[test]
fn no_wrong_command_line_reaches_a_manager_and_each_is_told_in_one_line() {
    let lists = wrong();
    assert!(lists.len() > 200, "only {} lists", lists.len());
    let world = World::new();
    in_parallel(&lists, |words| {
        for format in ["text", "json"] {
            let mut command = world.bare(crate::world::BINARY);
            command.env("LINUX_PATCH_STATE_DIR", world.state_dir()).env("LINUX_PATCH_FORMAT", format);
            command.args(words);
            let ran = Ran::of(command);
            assert_eq!(ran.code, 3, "{words:?}: {}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.stderr.lines().count(), 1, "{words:?}: {:?}", ran.stderr);
            assert!(ran.stderr.starts_with("linux-patch: ") && ran.stderr.len() > 20, "{:?}", ran.stderr);
            assert!(ran.stderr.ends_with('\n'), "{:?}", ran.stderr);
            let formats: Vec<_> = words.iter().filter(|word| word.starts_with("--format")).collect();
            match format {
                // The format on the command line is the one that is wrong.
                _ if !formats.is_empty() => {}
                "json" => assert_eq!(ran.json()["error"]["class"], "other", "{words:?}"),
                _ => assert_eq!(ran.stdout, "", "{words:?}"),
            }
        }
    });
    assert_eq!(world.read("calls"), "", "something was run");
    assert!(!world.state_dir().exists(), "the state was touched");
}

#[test]
fn json_asked_for_on_a_wrong_command_line_is_printed() {
    let world = World::new();
    for args in [
        "--format json --bogus",
        "--format=json apply -x",
        "refresh --max-age x --format json",
        "status x --format=json",
        "--format json",
    ] {
        let ran = world.run(args);
        let doc = ran.json();
        assert_eq!((ran.code, &doc["cache_status"]), (3, &"unknown".into()), "{args}");
        assert!(ran.stderr.contains(doc["reason"].as_str().unwrap()), "{args}: {}", ran.stderr);
    }
}

#[test]
fn words_that_are_no_text_are_refused() {
    let world = World::new();
    let bytes = || OsString::from_vec(b"\xff\xfe".to_vec());
    let lists: [Vec<OsString>; 4] = [
        vec!["apply".into(), bytes()],
        vec!["refresh".into(), "--max-age".into(), bytes()],
        vec![bytes()],
        vec!["status".into(), "--format".into(), bytes()],
    ];
    for words in lists {
        let mut command = world.bare(crate::world::BINARY);
        command.env("LINUX_PATCH_STATE_DIR", world.state_dir()).args(&words);
        let ran = Ran::of(command);
        assert_eq!((ran.code, ran.stderr.lines().count()), (3, 1), "{words:?}: {}", ran.stderr);
    }
    assert_eq!(world.read("calls"), "");
}

#[test]
fn help_and_version_exit_0_and_come_on_standard_output() {
    let world = World::new();
    for args in ["--help", "-h", "--version", "-V", "refresh --help", "status -h", "apply --help"] {
        let ran = world.run(args);
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{args}");
        assert!(ran.stdout.contains("linux-patch"), "{args}: {}", ran.stdout);
    }
    assert_eq!(world.run("--version").stdout, format!("linux-patch {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn quiet_and_verbose_contradict_each_other_wherever_they_stand() {
    let world = World::new();
    for args in ["-v -q status", "status -v -q", "-v status -q", "-q status -v", "-v refresh --quiet"] {
        assert_eq!(world.run(args).code, 3, "{args}");
    }
    assert_eq!(world.read("calls"), "");
}
