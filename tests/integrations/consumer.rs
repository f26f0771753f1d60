//! The program in docs/monitoring.md that reads JSON, by python3 where that is there.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::booted::blocks;

const PYTHON: &str = "/usr/bin/python3";
/// Each host has a state of its own.
const SSH: &str = "#!/bin/sh
[ \"$1\" = -oBatchMode=yes ] || exit 9
host=${2#root@}
[ \"$host\" != gone ] || { echo 'ssh: connect to host gone: No route to host' >&2; exit 255; }
export LINUX_PATCH_STATE_DIR=\"$STATES/$host\"
exec $3
";

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn the_program_that_is_shown_reads_what_hosts_answer() {
    if !Path::new(PYTHON).exists() {
        return eprintln!("not run: there is no {PYTHON}");
    }
    let block = blocks("monitoring.md").into_iter().find(|block| block.starts_with("#!/usr/bin/python3\n"));
    let block = block.expect("docs/monitoring.md has no program");
    assert!(block.lines().count() <= 25, "it is to be short");
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str| dir.path().join(name);
    script(&of("consumer"), &block);
    script(&of("ssh"), SSH);
    let built = Path::new(env!("CARGO_BIN_EXE_linux-patch"));
    std::os::unix::fs::symlink(built, of("linux-patch")).unwrap();
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/full.json")).unwrap();
    let full: Value = serde_json::from_str(&text).unwrap();
    let mut uncounted = full.clone();
    uncounted["pending"] = Value::Null;
    let mut down = full.clone();
    down["last_attempt"]["outcome"] = json!("failed");
    for (name, state) in [("full", &full), ("uncounted", &uncounted), ("down", &down)] {
        std::fs::create_dir(of(name)).unwrap();
        std::fs::write(of(name).join("state.json"), state.to_string()).unwrap();
    }
    let run = |hosts: &[&str]| {
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let mut command = Command::new(PYTHON);
        command.arg(of("consumer")).args(hosts).env("PATH", path).env("STATES", dir.path());
        let output = command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors, "");
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = run(&["full", "never", "gone", "uncounted", "down"]);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!((code, lines.len()), (Some(3), 5), "{said}");
    assert!(lines[0].starts_with("never        3 unknown; the index was never refreshed"), "{said}");
    assert!(lines[0].ends_with("; pending: not known"), "{said}");
    assert_eq!(lines[1], "gone         3 no answer: ssh: connect to host gone: No route to host");
    assert!(lines[2].starts_with("down         2 failed; the last refresh failed"), "{said}");
    assert!(
        lines[3].starts_with("full         1 stale; ") && lines[3].contains("; pending: 3; security: "),
        "{said}"
    );
    assert!(lines[3].contains("tb-a") && !lines[3].contains("tb-b"), "{said}");
    assert!(
        lines[4].starts_with("uncounted    1 stale; ") && lines[4].contains("; pending: not known"),
        "{said}"
    );
    assert_eq!(run(&[]).0, Some(3));
}
