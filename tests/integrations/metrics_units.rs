//! contrib/prometheus/linux-patch-metrics.conf beside the units, in a real systemd.

use std::collections::BTreeMap;

use crate::booted::Booted;
use crate::daemons::ours;
use crate::deb::deb;
use crate::repo::Repo;
use crate::server::Fault;

const PAGE: &str = "/var/lib/prometheus/node-exporter/linux-patch.prom";

/// The values of the page that is there, by series.
fn page(booted: &Booted) -> BTreeMap<String, String> {
    let text = booted.sandbox.read(PAGE).unwrap_or_default();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.rsplit_once(' ')).map(|(a, b)| (a.to_string(), b.to_string())).collect()
}

#[test]
#[ignore = "make integrations"]
fn each_run_of_a_unit_writes_the_metrics() {
    let booted = Booted::with_units();
    let repo = Repo::new(&[deb("tb-hello", "2.0")]);
    booted.sandbox.add_source("test", &repo);
    booted.sandbox.install(&[deb("tb-hello", "1.0")]);
    for unit in ["refresh", "apply"] {
        let path = format!("/etc/systemd/system/linux-patch-{unit}.service.d/metrics.conf");
        booted.sandbox.write(&path, ours("contrib/prometheus/linux-patch-metrics.conf"));
    }
    booted.sandbox.sh(&format!("mkdir -p {0}; rm -f {0}/*", PAGE.rsplit_once('/').unwrap().0));
    // It exits with 0 whatever it ignores.
    let verify = || {
        let verified =
            booted.sandbox.run(&["systemd-analyze", "verify", "--man=no", "linux-patch-refresh.service"]);
        format!("{}{}", verified.stdout, verified.stderr)
    };
    let bad = "/etc/systemd/system/linux-patch-refresh.service.d/bad-metrics.conf";
    booted.sandbox.write(bad, "[Service]\nNoSuchSetting=yes\n");
    assert!(verify().contains("bad-metrics.conf"), "{}", verify());
    booted.sandbox.sh(&format!("rm {bad}"));
    assert!(!verify().contains("metrics.conf"), "{}", verify());
    booted.boot();
    let start = |unit: &str| {
        let ended = booted.run(&["systemctl", "start", unit]);
        (ended.code, page(&booted))
    };
    let (code, samples) = start("linux-patch-refresh.service");
    assert_eq!((code, samples["linux_patch_pending_updates"].as_str()), (0, "1"), "{samples:?}");
    assert_eq!(samples["linux_patch_apply_total"], "0", "{samples:?}");
    // Only this file: nothing else is left behind.
    assert_eq!(booted.sandbox.list("/var/lib/prometheus/node-exporter"), ["linux-patch.prom"]);
    // A unit that fails fails because of its own command, and its metrics say so.
    repo.server.fault("/InRelease", Fault::Status(503));
    let (code, samples) = start("linux-patch-refresh.service");
    assert_eq!((code != 0, samples["linux_patch_exit_code"].as_str()), (true, "2"), "{samples:?}");
    assert_eq!(booted.show("linux-patch-refresh.service", "Result"), "exit-code");
    assert_eq!(booted.show("linux-patch-refresh.service", "ExecMainStatus"), "2");
    repo.server.heal();
    let (code, samples) = start("linux-patch-apply.service");
    assert_eq!((code, samples["linux_patch_pending_updates"].as_str()), (0, "0"), "{samples:?}");
    assert_eq!(samples["linux_patch_last_apply_success"], "1", "{samples:?}");
    assert_eq!((&*samples["linux_patch_apply_total"], &*samples["linux_patch_exit_code"]), ("1", "0"));
    let has = |words: &str| booted.journal("linux-patch-refresh.service").contains(words);
    assert!(!has("no regular file"), "the metrics were written until now");
    // The unit does not fail if the metrics say "stale" or cannot be written.
    booted.sandbox.sh(&format!("rm {PAGE}; mkdir {PAGE}"));
    let code = start("linux-patch-refresh.service").0;
    assert_eq!(code, 0, "{}", booted.journal("linux-patch-refresh.service"));
    booted.wait_until("it is told that they could not be", || has("no regular file"));
}
