//! What other programs do around a run: logrotate, and dpkg that removes linux-patch itself.

use crate::bench;
use crate::deb::deb;
use crate::sandbox::{Running, Sandbox};

fn apply(sandbox: &Sandbox) -> Running<'_> {
    let mut command = sandbox.command("linux-patch");
    command.args(["--format", "json", "apply"]);
    sandbox.start(command)
}

/// An update whose script fails once the test lets it.
const GATED: &str = "i=0; while [ $i -lt 300 ]; do echo what was printed before; i=$((i + 1)); done
    touch /run/in; until [ -e /run/go ]; do sleep 0.05; done; echo 'the decisive line' >&2; exit 1";

#[test]
fn a_log_that_logrotate_moves_or_empties_in_mid_install_costs_no_word() {
    let log = "$(ls /var/log/linux-patch/*-apply-*.log)";
    for rotate in [
        format!("mv {log} /var/log/linux-patch/moved.log.1"),
        // With create.
        format!("log={log}; mv $log $log.1; : >$log"),
        // With copytruncate.
        format!("log={log}; cp $log $log.1; : >$log"),
        // With compress.
        format!("gzip {log}"),
    ] {
        let old = [deb("tb-brk", "1.0")];
        let (sandbox, _repo) = bench::one(&old, &[deb("tb-brk", "2.0").script("postinst", GATED)]);
        let running = apply(&sandbox);
        sandbox.wait_for_file("/run/in");
        sandbox.sh(&rotate);
        sandbox.write("/run/go", "");
        let report = running.report();
        report.apply_failed("script");
        report.mentions("/error/message", "the decisive line");
    }
}

#[test]
fn a_purge_in_mid_download_leaves_nothing_behind_and_no_install_follows() {
    let (sandbox, repo) = bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0")]);
    let keeper = repo.server.hold_back(".deb");
    let running = apply(&sandbox);
    sandbox.wait_until("the download", || repo.server.requests(".deb") > 0);
    // As postrm does.
    sandbox.sh("rm -rf /usr/bin/linux-patch /var/lib/linux-patch /var/log/linux-patch");
    drop(keeper);
    let ended = running.wait();
    assert_eq!(ended.code, 2, "{ended:?}");
    let left = sandbox.run(&["find", "/var/lib", "/var/log", "-name", "*linux-patch*"]).stdout;
    assert_eq!(left, "", "{ended:?}");
    sandbox.runs_nothing();
}
