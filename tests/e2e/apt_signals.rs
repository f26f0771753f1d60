//! Interruptions: clean before the install begins, without any effect once it has.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench;
use crate::deb::deb;
use crate::leisure::at_leisure;
use crate::locks;
use crate::repo::Repo;
use crate::sandbox::{Running, Sandbox};
use crate::server::Fault;

/// An apply in a session of its own, as under a terminal, has come to a script that takes a while.
#[track_caller]
fn in_mid_install(sandbox: &Sandbox) -> Running<'_> {
    let run = sandbox.start(in_own_session(sandbox));
    sandbox.wait_for_file(bench::IN_POSTINST);
    run
}

fn in_own_session(sandbox: &Sandbox) -> std::process::Command {
    let mut command = sandbox.command("setsid");
    command.args(["--wait", "linux-patch", "--format", "json", "apply"]);
    command
}

#[track_caller]
fn slow_pending() -> (Sandbox, Repo) {
    bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 80)])
}

#[track_caller]
fn installed_and_remembered(sandbox: &Sandbox) {
    sandbox.has_exactly(&["tb-slow 2.0"]);
    let last = &sandbox.state()["apply"]["last"];
    assert_eq!(last["outcome"], "success", "{last:#}");
    assert_eq!(last["packages"][0]["to"], "2.0", "{last:#}");
    assert_eq!(sandbox.state()["apply"]["in_progress"], Value::Null);
    sandbox.runs_nothing();
}

/// These signals (to `{pid}`, or to its group as a terminal sends them) do not stop an install.
#[track_caller]
fn does_not_stop_an_install(kill: &str) {
    let (sandbox, _repo) = slow_pending();
    let run = in_mid_install(&sandbox);
    let pid = sandbox.patch_pid().to_string();
    for _ in 0..3 {
        sandbox.sh(&kill.replace("{pid}", &pid));
        std::thread::sleep(Duration::from_millis(300));
    }
    sandbox.sh(bench::END_POSTINST);
    run.report().applied(&["tb-slow 1.0 2.0"]);
    installed_and_remembered(&sandbox);
}

#[test]
fn a_termination_does_not_stop_an_install() {
    does_not_stop_an_install("kill -s TERM {pid}");
}

#[test]
fn a_termination_of_the_whole_group_does_not_stop_an_install() {
    does_not_stop_an_install("kill -s TERM -- -{pid}");
}

#[test]
fn a_dropped_terminal_does_not_stop_an_install() {
    does_not_stop_an_install("kill -s HUP -- -{pid}");
}

#[test]
fn control_c_does_not_stop_an_install() {
    does_not_stop_an_install("kill -s INT -- -{pid}");
}

#[test]
fn a_closed_standard_output_does_not_stop_an_install() {
    let (sandbox, _repo) = slow_pending();
    let mut run = sandbox.start_piped(in_own_session(&sandbox));
    let reader = run.take_stdout();
    sandbox.wait_for_file(bench::IN_POSTINST);
    drop(reader);
    sandbox.sh(bench::END_POSTINST);
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    installed_and_remembered(&sandbox);
}

#[test]
fn a_dropped_connection_does_not_stop_an_install_that_talks() {
    // Both streams go to a reader that leaves while much is still to be said.
    let (sandbox, _repo) = bench::one(
        &[deb("tb-slow", "1.0")],
        &[deb("tb-slow", "2.0").script(
            "postinst",
            "touch /run/in-postinst\nfor n in 1 2 3 4 5 6 7 8 9 10; do echo talk $n; sleep 0.2; done",
        )],
    );
    sandbox.sh("{ linux-patch --verbose apply 2>&1; echo $? >/run/code; } | \
         { while [ ! -e /run/in-postinst ]; do sleep 0.1; done; }");
    sandbox.wait_for_file("/run/code");
    sandbox.wait_until("the code is written", || !sandbox.read("/run/code").unwrap_or_default().is_empty());
    assert_eq!(sandbox.read("/run/code").unwrap().trim(), "0");
    installed_and_remembered(&sandbox);
}

#[test]
fn closed_standard_streams_do_not_stop_an_install() {
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 1)]);
    sandbox.sh("linux-patch apply <&- >&- 2>&-");
    installed_and_remembered(&sandbox);
}

#[test]
fn an_ignored_sigchld_is_no_obstacle() {
    let (sandbox, _repo) = bench::pending_update();
    let mut command = sandbox.command("perl");
    command.args(["-e", "$SIG{CHLD} = 'IGNORE'; exec @ARGV", "linux-patch", "--format", "json", "apply"]);
    sandbox.start(command).report().applied(&["tb-hello 1.0 2.0"]);
}

/// A signal during the download ends the run, with nothing left of it.
#[track_caller]
fn stops_a_download(signal: &str) {
    let (sandbox, repo) = bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0").padded(50_000)]);
    repo.server.fault("/pool/", Fault::Trickle(500));
    let run = sandbox.start(in_own_session(&sandbox));
    sandbox.wait_until("the download has begun", || repo.server.requests("/pool/") == 1);
    sandbox.signal(sandbox.patch_pid(), signal);
    let since = Instant::now();
    let report = run.report();
    report
        .apply_failed("interrupted")
        .remembers("/apply/last/outcome", "interrupted")
        .says("/retried", false)
        .changed(&[]);
    assert!(since.elapsed() < at_leisure(10), "{report}");
    sandbox.runs_nothing();
    assert!(locks::is_free(&sandbox, locks::FRONTEND));
    sandbox.has_exactly(&["tb-hello 1.0"]);
    repo.server.heal();
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
}

#[test]
fn a_dropped_terminal_stops_a_download() {
    stops_a_download("HUP");
}

#[test]
fn everything_killed_outright_in_mid_install_is_repaired_by_the_next_apply() {
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 60)]);
    let run = in_mid_install(&sandbox);
    sandbox.kill_everything();
    run.wait();
    assert_eq!(sandbox.installed()["tb-slow"], "2.0 half-configured");
    let text = sandbox.run(&["linux-patch", "status"]).stdout;
    assert!(text.contains("interrupted") && text.contains("linux-patch apply"), "{text}");

    sandbox.write("/run/fast", "");
    sandbox.patch(&["apply"]).repaired();
    sandbox.has_exactly(&["tb-slow 2.0"]);
}
