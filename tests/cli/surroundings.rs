//! What a caller may leave us: closed descriptors, limits, a working directory that is gone, bytes that are no text.
//! None of it leads to another exit code, and a document that can be written is written.

use crate::world::{BINARY, Ran, World, in_parallel};

/// The commands, some with a mistake of the caller's.
pub const COMMANDS: [&str; 5] = ["refresh", "refresh --if-stale", "status", "apply --wait 1s", "bogus"];

/// One command with a JSON document, behind `exec`, started by a shell.
fn started(world: &World, before: &str, args: &str, behind: &str) -> Ran {
    let mut command = world.bare(world.path("tools/sh"));
    command.arg("-c").arg(format!("{before}\nexec \"$@\" {behind}")).arg("sh").arg(BINARY);
    command.arg("--state-dir").arg(world.state_dir()).args(args.split(' ')).args(["--format", "json"]);
    Ran::of(command)
}

#[test]
fn no_limit_of_the_callers_gives_an_exit_code_of_its_own_or_takes_the_document() {
    let limits = [
        "ulimit -f 0",
        "ulimit -f 1",
        "ulimit -n 4",
        "ulimit -n 5",
        "ulimit -n 7",
        "ulimit -n 9",
        "ulimit -s 64",
        "ulimit -s 128",
        "mkdir gone; cd gone; rmdir ../gone",
    ];
    let cases: Vec<_> =
        limits.iter().flat_map(|limit| COMMANDS.iter().map(move |args| (limit, args))).collect();
    in_parallel(&cases, |(limit, args)| {
        let world = World::new();
        let before = format!("cd '{}'; {limit}", world.path("").display());
        // Checks that the exit code is one of the four.
        let doc = started(&world, &before, args, "").json();
        let can_run = limit.starts_with("ulimit -s") || limit.contains("gone");
        if can_run && **args != "bogus" && **args != "status" {
            assert_eq!(doc["exit_code"], 0, "{limit}: {args}: {doc}");
        }
    });
}

#[test]
fn closed_descriptors_change_nothing_but_what_is_written_to_them() {
    let closed = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"];
    let cases: Vec<_> =
        closed.iter().flat_map(|close| COMMANDS.iter().map(move |args| (close, args))).collect();
    in_parallel(&cases, |(close, args)| {
        let world = World::new();
        let ran = started(&world, "", args, close);
        let expected = if matches!(**args, "bogus" | "status") { 3 } else { 0 };
        assert_eq!(ran.code, expected, "{close}: {args}: {}", ran.stderr);
        if !close.contains(" >&-") && !close.starts_with(">&-") {
            ran.json();
        }
        // No file of ours has the number of a stream.
        assert!(expected != 0 || world.has_good_state(), "{close}: {args}");
    });
}

#[test]
fn a_document_for_a_file_that_may_not_grow_costs_the_document_and_not_the_exit_code() {
    let world = World::new();
    assert_eq!(world.run("refresh").code, 0);
    let out = world.path("out");
    let behind = format!(">'{}'", out.display());
    for limit in [0, 1] {
        let ran = started(&world, &format!("ulimit -f {limit}"), "status", &behind);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(out.metadata().unwrap().len() <= 512);
    }
}

#[test]
fn words_and_variables_that_are_no_text_are_refused_in_one_document() {
    let bad = r"$(printf '\377\376')";
    for args in COMMANDS {
        let world = World::new();
        let words = format!("set -- \"$@\" \"{bad}\"");
        assert_eq!(started(&world, &words, args, "").json()["exit_code"], 3, "{args}");
        for name in ["MAX_AGE", "TIMEOUT", "SPLAY", "MANAGER"] {
            let variable = format!("LINUX_PATCH_{name}=\"{bad}\"; export LINUX_PATCH_{name}");
            started(&world, &variable, args, "").json();
        }
    }
}
