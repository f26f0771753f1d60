//! What a child of linux-patch gets, and what happens to one that does not end.

use crate::leisure::{at_leisure, option};
use crate::machine::{end, is_running, pids_in};
use crate::world::{Ran, World, until};
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;

/// Variables that could make a manager or one of its scripts run something of the caller's.
const WITHHELD: [&str; 12] = [
    "BASH_ENV",
    "ENV",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "HOSTALIASES",
    "IFS",
    "PERL5LIB",
    "PERL5OPT",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYOPT",
    "SHELLOPTS",
];

#[test]
fn a_child_speaks_english_asks_nothing_and_reads_nothing() {
    let world = World::new();
    let look = "env >$world/env.$verb; readlink /proc/$$/fd/0 >$world/stdin.$verb
         sed 's/.*) . [0-9]* \\([0-9]*\\) .*/\\1/' /proc/$$/stat >$world/group.$verb; echo $$ >>$world/group.$verb\n";
    world.on("update", &format!("{look}echo 'Hit:1 http://a s InRelease'"));
    world.on("simulate", &format!("{look}cat $world/pending"));
    world.on("download", look);
    world.on("install", &format!("{look}unpack"));
    world.on("dpkg-query", &format!("{look}cat $world/installed"));
    world.on("apt-cache", look);
    let mut command = world.command("apply");
    for name in ["LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LC_TIME", "LANG_X"] {
        command.env(name, "de_DE.UTF-8");
    }
    command.env("LD_LIBRARY_PATH", "/nonexistent").env("LD_BIND_NOW", "1");
    for name in WITHHELD {
        command.env(name, "/nonexistent");
    }
    command.env("FUNCTION", "() { :; }; echo").env("https_proxy", "http://proxy:1").env("NO_PROXY", "a,b");
    command.env("DEBIAN_FRONTEND", "dialog").env("KEPT", "yes").stdin(Stdio::piped());
    assert_eq!(Ran::of(command).code, 0);
    for verb in ["update", "simulate", "download", "install", "dpkg-query", "apt-cache"] {
        let env = world.read(&format!("env.{verb}"));
        let has = |line: &str| env.lines().any(|found| found == line);
        assert!(has("LC_ALL=C") && has("KEPT=yes"), "{verb}: {env}");
        assert!(has("https_proxy=http://proxy:1") && has("NO_PROXY=a,b"), "{verb}: {env}");
        let foreign = |line: &&str| {
            (line.starts_with("LC_") && *line != "LC_ALL=C")
                || line.starts_with("LANG")
                || line.starts_with("LD_")
                || line.starts_with("FUNCTION")
                || WITHHELD.iter().any(|name| line.starts_with(&format!("{name}=")))
        };
        assert_eq!(env.lines().find(foreign), None, "{verb}");
        assert_eq!(world.read(&format!("stdin.{verb}")), "/dev/null\n", "{verb}");
        // cron leaves out what dpkg wants.
        let dirs = ["fakes", "tools"].map(|dir| world.path(dir).display().to_string()).join(":");
        assert!(has(&format!("PATH={dirs}:/usr/local/sbin:/usr/sbin:/sbin")), "{verb}: {env}");
        let group: Vec<_> = pids_in(&world, &format!("group.{verb}"));
        assert_eq!(group[0], group[1], "{verb} leads no group of its own");
        if verb != "dpkg-query" {
            for line in
                ["DEBIAN_FRONTEND=noninteractive", "APT_LISTCHANGES_FRONTEND=none", "UCF_FORCE_CONFFOLD=1"]
            {
                assert!(has(line), "{verb}: no {line} in {env}");
            }
        }
        if ["update", "download", "install"].contains(&verb) {
            assert!(has("NEEDRESTART_MODE=l"), "{verb}: {env}");
        }
    }
    let mut command = world.command("refresh");
    command.env("NEEDRESTART_MODE", "a");
    Ran::of(command);
    assert!(world.read("env.update").contains("NEEDRESTART_MODE=a\n"));
}

#[test]
fn a_child_gets_no_file_of_ours_but_the_log_and_the_progress_descriptor() {
    let world = World::new();
    world.on("update", "ls -l /proc/$$/fd >$world/files; echo 'Hit:1 http://a s InRelease'");
    world.on("install", "ls -l /proc/$$/fd >$world/files.install; unpack");
    assert_eq!(world.run("apply").code, 0);
    // The output of a command that may be ended is kept in memory; that of an install goes to the disk at once.
    let files = world.read("files");
    assert!(files.contains("memfd:progress") && files.contains("memfd:output"), "{files}");
    let files = files + &world.read("files.install");
    assert!(files.contains("/state/log/"), "{files}");
    for ours in ["/state/lock", "history.jsonl", "state.json"] {
        assert!(!files.contains(ours), "{files}");
    }
}

#[test]
fn a_parent_that_ignores_the_end_of_children_changes_nothing() {
    let world = World::new();
    let ignoring = ["perl", "-e", "$SIG{CHLD} = 'IGNORE'; exec @ARGV"];
    for args in ["refresh", "apply", "status"] {
        let ran = Ran::of(world.launched(&ignoring, &format!("{args} --format json")));
        assert_eq!(ran.json()["exit_code"], 0, "{args}: {}", ran.stderr);
    }
    let doc = world.state();
    assert_eq!(doc["apply"]["last"]["packages"].as_array().unwrap().len(), 3);
    world.on("update", "exit 100");
    assert_eq!(Ran::of(world.launched(&ignoring, "refresh")).code, 2);
}

/// A refresh that runs out of time in a fake which notes the processes it starts.
fn assert_nothing_is_left_of(script: &str) {
    let world = World::new();
    world.on("update", &format!("echo $$ >>$world/pids; {script}"));
    let ran = world.run(&format!("refresh --timeout {} --format json", option(at_leisure(3))));
    let doc = ran.json();
    assert_eq!(
        (&doc["exit_code"], &doc["error"]["class"]),
        (&json!(2), &json!("timeout")),
        "{script}: {doc}"
    );
    // Far less than what it started would take, also on a busy machine.
    assert!(ran.took < Duration::from_secs(100), "{script}: {:?}", ran.took);
    let pids = pids_in(&world, "pids");
    let left: Vec<_> = pids.iter().copied().filter(|pid| is_running(*pid)).collect();
    left.iter().for_each(|pid| end(*pid));
    assert!(pids.len() >= 2 && left.is_empty(), "{left:?} of {pids:?} are left of {script}");
}

#[test]
fn a_spent_budget_ends_everything_the_manager_started() {
    let scripts = [
        // Everything ignores TERM.
        "trap '' TERM; sleep 300 & echo $! >>$world/pids; while :; do sleep 1; done",
        // A child with its own session.
        "setsid sleep 300 & echo $! >>$world/pids; sleep 300",
        // One whose parent has already ended, and that ignores TERM.
        "(trap '' TERM; setsid sh -c 'echo $$ >>'$world/pids'; exec sleep 300' &); sleep 300",
        // A stopped one.
        "sh -c 'echo $$ >>'$world/pids'; kill -STOP $$; sleep 300' & sleep 300",
    ];
    crate::world::in_parallel(&scripts, |script| assert_nothing_is_left_of(script));
}

#[test]
fn a_spent_budget_also_ends_what_loses_its_parent_only_then() {
    assert_nothing_is_left_of(
        "setsid sh -c 'sleep 300 & echo $! >>'$world/pids'; wait' & echo $! >>$world/pids; sleep 300",
    );
}

#[test]
fn a_child_that_a_shell_left_us_is_none_of_our_business() {
    let world = World::new();
    world.on("update", "sleep 30");
    let shell = ["sh", "-c", r#"sleep 20 >/dev/null 2>&1 & echo $! >"$1"; shift; exec "$@""#, "sh"];
    let pids = world.path("pids");
    let launcher = [&shell[..], &[pids.to_str().unwrap()]].concat();
    let ran = Ran::of(world.launched(&launcher, "refresh --timeout 1s"));
    let pid = pids_in(&world, "pids")[0];
    let runs = is_running(pid);
    end(pid);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(runs, "a stranger was ended");
}

#[test]
fn a_daemon_that_keeps_the_output_open_is_neither_waited_for_nor_ended() {
    let world = World::new();
    world.on("update", "sleep 100 & echo $! >$world/pids; echo 'Hit:1 http://a s InRelease'");
    let ran = world.run("refresh");
    let pid = pids_in(&world, "pids")[0];
    let runs = is_running(pid);
    end(pid);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.took < Duration::from_secs(60), "{:?}", ran.took);
    assert!(runs, "the daemon was ended");
}

#[test]
fn a_daemon_of_the_refresh_outlives_an_install_that_fails() {
    let world = World::new();
    world.on("update", "sleep 100 & echo $! >$world/pids; echo 'Hit:1 http://a s InRelease'");
    world.on("install", "exit 1");
    assert_eq!(world.run("apply").code, 2);
    let pid = pids_in(&world, "pids")[0];
    let runs = is_running(pid);
    end(pid);
    assert!(runs, "the daemon was ended");
}

#[test]
fn any_output_gives_a_sane_exit_code_and_one_document() {
    let outputs = [
        "printf 'Hit:1 http://a s InRelease'",
        "head -c 300000 /dev/urandom; head -c 300000 /dev/urandom >&2",
        "printf '\\377\\376E: \\200'; printf 'E: \\377\\n' >&2; exit 100",
        "printf 'Hit:1 http://a s InRelease\\rErr:2 http://b s InRelease\\r  404  X\\r'",
        "yes 'Inst a [1] (2 x [all])' | head -c 1000000",
        "printf '\\0\\0\\0'",
        "printf 'E: %0100000d' 7 >&2; exit 100",
        "exit 255",
    ];
    crate::world::in_parallel(&outputs, |output| {
        for verb in ["update", "simulate", "download", "install", "dpkg-query", "apt-cache", "dpkg"] {
            let world = World::new();
            world.on(verb, output);
            for args in ["refresh", "apply"] {
                let ran = world.run(&format!("{args} --format json"));
                ran.json();
                assert!(
                    ran.stderr.lines().all(|line| line.starts_with("linux-patch: ")),
                    "{verb}: {}",
                    ran.stderr
                );
            }
            assert!(world.has_good_state(), "{verb} {output}");
        }
    });
    let world = World::new();
    world.on("update", outputs[0]);
    assert_eq!(world.run("refresh").code, 0, "a last line without its end was not read");
}

/// A pipe takes 64 KiB at once, and what it does not take is dropped in mid-character.
#[test]
fn no_line_for_people_is_as_long_as_what_it_is_about() {
    let world = World::new();
    world.on("dpkg-query", "perl -e 'print \"p\\303\\274$_\\tall\\t1\\tiF \\n\" for 1..20000'");
    let ran = world.run("apply --format json");
    assert_eq!(ran.json()["exit_code"], 2);
    assert!(ran.stderr.contains("not completely installed: p"), "{}", ran.stderr);
    let longest = ran.stderr.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest < 2100, "a line of {longest} characters");
}

#[test]
fn more_output_than_can_be_true_is_never_a_success() {
    let world = World::new();
    world.on("update", "echo 'Hit:1 http://a s InRelease'; head -c 70000000 /dev/zero");
    let doc = world.json("refresh");
    assert_eq!(doc["exit_code"], 2, "{doc}");
}

#[test]
fn a_closed_output_neither_panics_nor_changes_the_exit_code() {
    for (args, code) in [
        ("refresh", 0),
        ("apply", 0),
        ("status", 0),
        ("status --history", 0),
        ("status --format nagios", 0),
        ("status --format openmetrics", 0),
        ("status --max-age 0 --format json", 0),
        ("refresh -v", 0),
        ("apply -v", 0),
        ("--help", 0),
        ("--version", 0),
        ("bogus", 3),
        ("bogus --format json", 3),
    ] {
        for closing in ["pipe", "descriptor"] {
            let world = World::new();
            world.run("refresh");
            let mut command = match closing {
                "pipe" => world.command(args),
                _ => world.launched(&["sh", "-c", "exec \"$0\" \"$@\" >&- 2>&-"], args),
            };
            let mut child = command.spawn().unwrap();
            drop((child.stdout.take(), child.stderr.take()));
            let end = child.wait().unwrap().code().unwrap();
            // Exactly at max-age or a second above.
            let expected = if args.contains("--max-age 0") && end == 1 { 1 } else { code };
            assert_eq!(end, expected, "{args} with a closed {closing}");
        }
    }
    // The first line can be lost as well as a later one.
    let world = World::new();
    world.on("update", "sleep 0.3; exit 100");
    let mut child = world.spawn("refresh -v");
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_stopped_manager_that_goes_on_is_waited_for() {
    let world = World::new();
    world.on("update", "echo $$ >$world/pids; kill -STOP $$; echo 'Hit:1 http://a s InRelease'");
    let child = world.spawn("refresh");
    until("the manager stops", || !pids_in(&world, "pids").is_empty());
    let stat = format!("/proc/{}/stat", pids_in(&world, "pids")[0]);
    until("it stands still", || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    let pid = rustix::process::Pid::from_raw(pids_in(&world, "pids")[0]).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert_eq!(Ran::end(child).code, 0);
}
