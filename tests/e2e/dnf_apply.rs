//! apply with the real dnf 4.

use crate::dnf::shell;
use crate::rpm::{one, pending_update, rpm};

const HELLO: &str = "/tb-hello-";

#[test]
fn the_install_fetches_nothing() {
    let (root, repo) = pending_update();
    root.patch(&["apply", "--download-only"]).exits(0).changed(&[]);
    let requests = repo.server.requests("");
    root.sandbox.sh("rm -rf /run/x");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    assert_eq!(repo.server.requests(HELLO), 1, "downloaded once");
    assert_eq!(repo.server.requests(""), requests + 1, "the refresh asks for the index");
}

#[test]
fn a_failing_scriptlet_is_reported_although_dnf_exits_0() {
    let broken = rpm("tb-brk", "2.0").post("echo 'Error: Failed to download metadata 404'; exit 1");
    let (root, repo) = one(&[shell(), rpm("tb-brk", "1.0")], &[broken]);
    root.patch(&["apply"])
        .apply_failed("script")
        .mentions("/error/message", "tb-brk")
        .says("/retried", false)
        .changed(&["tb-brk 1.0-1 2.0-1"]);
    assert_eq!(repo.refreshes(), 1);
    // It is installed, and there is nothing to do again.
    root.patch(&["apply"]).applied(&[]);
}

#[test]
fn an_update_that_cannot_be_resolved_stays_and_the_others_come() {
    let old = [rpm("tb-dep", "1.0"), rpm("tb-hello", "1.0")];
    let (root, _repo) = one(&old, &[rpm("tb-dep", "2.0").tag("Requires: tb-none"), rpm("tb-hello", "2.0")]);
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-hello 1.0-1 2.0-1"]);
    assert!(applied.stderr.contains("tb-dep stays as it is"), "{applied}");
    root.patch(&["apply", "tb-dep"]).apply_failed("dependency").changed(&[]);
}

#[test]
fn sigterm_at_dnf_during_the_install_is_no_failure_when_all_is_applied() {
    let slow = rpm("tb-slow", "2.0").post("touch /run/in-post; trap '' TERM; sleep 2");
    let (root, _repo) = one(&[shell(), rpm("tb-slow", "1.0")], &[slow]);
    let running = root.start(&["apply"]);
    root.sandbox.wait_for_file("/run/in-post");
    root.sandbox.sh("kill -TERM $(pgrep -x dnf)");
    running.report().applied(&["tb-slow 1.0-1 2.0-1"]);
    root.sandbox.runs_nothing();
}
