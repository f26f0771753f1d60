//! Units of a real systemd whose library is replaced by a real apply.

use serde_json::{Value, json};

use crate::booted::Booted;
use crate::deb::{Deb, deb};
use crate::repo::Repo;

const LIBRARY: &str = "/usr/lib/tb/libtb.so.1";

fn library(version: &str) -> Deb {
    deb("tb-library", version).program(LIBRARY, "/lib/x86_64-linux-gnu/libm.so.6")
}

/// As many services have it: with their own mount namespace.
fn units(booted: &Booted) {
    let unit = |more: &str| {
        format!("[Service]\nEnvironment=LD_PRELOAD={LIBRARY}\nExecStart=/usr/bin/sleep 600\n{more}\n")
    };
    let sandbox = &booted.sandbox;
    sandbox.write("/etc/systemd/system/tb-plain.service", unit(""));
    sandbox.write("/etc/systemd/system/tb-shut-in.service", unit("PrivateTmp=yes\nProtectSystem=strict"));
    sandbox.write("/etc/systemd/system/tb-other.service", "[Service]\nExecStart=/usr/bin/sleep 600\n");
}

#[test]
#[ignore = "make integrations"]
fn units_are_named_until_they_are_restarted_whatever_unit_looks() {
    let booted = Booted::with_units();
    units(&booted);
    let repo = Repo::new(&[library("2.0")]);
    booted.sandbox.add_source("test", &repo);
    booted.sandbox.install(&[library("1.0")]);
    booted.boot();
    booted.sh("systemctl start tb-plain tb-shut-in tb-other linux-patch-refresh");
    let state = booted.sandbox.state();
    assert_eq!(state["outdated_services"], json!([]), "{state}\n{}", booted.journal("linux-patch-refresh"));
    booted.sh("systemctl start linux-patch-apply");
    let names = |state: &Value| -> Vec<String> {
        let services = state["outdated_services"].as_array().into_iter().flatten();
        services.map(|service| service["unit"].as_str().unwrap().to_string()).collect()
    };
    let state = booted.sandbox.state();
    assert_eq!(names(&state), ["tb-plain.service", "tb-shut-in.service"], "{state}");
    assert_eq!(state["reboot_required"], false, "{state}");
    let text = booted.sh("linux-patch status");
    assert!(text.contains("; systemctl restart tb-plain.service tb-shut-in.service"), "{text}");
    booted.sh("systemctl restart tb-plain; systemctl start linux-patch-refresh");
    assert_eq!(names(&booted.sandbox.state()), ["tb-shut-in.service"]);
    booted.reboot_with(|| ());
    assert!(booted.sh("linux-patch status --alert services").lines().count() > 0);
}
