//! The .deb and the .rpm, used by dpkg, apt, lintian, rpm and dnf, on a booted systemd.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::booted::{Booted, UNITS};
use crate::daemons::ours;
use crate::deb::deb;
use crate::rpm::{self, rpm};

const REFRESH_TIMER: &str = "linux-patch-refresh.timer";
const APPLY_TIMER: &str = "linux-patch-apply.timer";
const APPLY: &str = "linux-patch-apply.service";

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_path_buf()
}

/// What `make deb` or `make rpm` made last.
#[track_caller]
pub fn made(dir: &str, kind: &str) -> PathBuf {
    let entries = std::fs::read_dir(target().join(dir)).into_iter().flatten().flatten();
    let paths =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == kind));
    let newest = paths.max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    newest.unwrap_or_else(|| panic!("there is no package in {dir}: run `make {kind}`"))
}

/// Runs to success and gives what it prints.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The same package with a higher version.
fn newer_deb(package: &Path, work: &Path) -> PathBuf {
    let (tree, newer) = (work.join("tree"), work.join("newer.deb"));
    run(Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(&tree));
    let control = tree.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control).unwrap();
    let version = text.lines().find(|line| line.starts_with("Version: ")).unwrap().to_string();
    std::fs::write(&control, text.replace(&version, "Version: 99-1")).unwrap();
    run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&newer));
    newer
}

/// A booted root with systemd and nothing of ours, and the packages in /srv as old and new.
#[track_caller]
fn deb_host() -> Booted {
    let work = tempfile::tempdir().unwrap();
    let package = made("debian", "deb");
    let newer = newer_deb(&package, work.path());
    let booted = Booted::prepared("rm -f $root/usr/bin/linux-patch");
    booted.sandbox.sh("rm -f /usr/bin/linux-patch; mkdir -p /srv/flat");
    booted.sandbox.write("/srv/old.deb", std::fs::read(package).unwrap());
    booted.sandbox.write("/srv/flat/new.deb", std::fs::read(newer).unwrap());
    // What it depends on, of which dpkg knows nothing in here.
    booted.sandbox.install(&[deb("libc6", "99"), deb("tb-slow", "1.0")]);
    booted
}

/// Whether a unit is enabled, and whether it is active.
fn stands(booted: &Booted, unit: &str) -> (String, String) {
    let enabled = booted.run(&["systemctl", "is-enabled", unit]).stdout.trim().to_string();
    (enabled, booted.run(&["systemctl", "is-active", unit]).stdout.trim().to_string())
}

fn is(enabled: &str, active: &str) -> (String, String) {
    (enabled.to_string(), active.to_string())
}

#[test]
fn the_changelog_of_the_deb_has_the_version_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/deb/changelog");
    let text = std::fs::read_to_string(path).unwrap();
    let first = format!("linux-patch ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&first), "packaging/deb/changelog does not begin with {first:?}");
}

#[test]
#[ignore = "make integrations"]
fn lintian_finds_no_error_in_the_deb() {
    let package = made("debian", "deb");
    let output = Command::new("lintian")
        .args(["--allow-root", "--fail-on", "error"])
        .arg(&package)
        .output()
        .expect("could not run lintian (package lintian)");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("E: "), "{said}");
}

#[test]
#[ignore = "make integrations"]
fn the_deb_enables_the_refresh_only_and_purge_leaves_nothing() {
    let booted = deb_host();
    booted.boot();
    booted.sh("dpkg -i /srv/old.deb 2>&1");
    assert_eq!(stands(&booted, REFRESH_TIMER), is("enabled", "active"));
    assert_eq!(stands(&booted, APPLY_TIMER), is("disabled", "inactive"));
    for dir in ["/var/lib/linux-patch", "/var/log/linux-patch"] {
        assert_eq!(booted.sandbox.mode(dir), 0o755);
    }
    booted
        .sh("linux-patch --version; man -w linux-patch 2>&1 || test -e /usr/share/man/man8/linux-patch.8.gz");
    booted.sh("man -w linux-patch-managers 2>&1 || test -e /usr/share/man/man7/linux-patch-managers.7.gz");
    booted.sh("man -w linux-patch-state 2>&1 || test -e /usr/share/man/man5/linux-patch-state.5.gz");

    // In use.
    booted.sh("cd /srv/flat; dpkg-scanpackages . >Packages 2>/dev/null");
    booted.sandbox.write("/etc/apt/sources.list.d/flat.list", "deb [trusted=yes] file:/srv/flat ./\n");
    booted.sh("systemctl start linux-patch-refresh.service");
    assert_eq!(booted.sandbox.state()["pending"]["packages"][0]["name"], "linux-patch");

    // The administrator's choice is kept.
    booted.sh(&format!("systemctl disable --now {REFRESH_TIMER}; systemctl enable --now {APPLY_TIMER}"));
    booted.sh("dpkg -i /srv/flat/new.deb 2>&1");
    assert_eq!(stands(&booted, REFRESH_TIMER), is("disabled", "inactive"));
    assert_eq!(stands(&booted, APPLY_TIMER), is("enabled", "active"));
    // What is only stopped does not start, and makes up for nothing.
    booted.sh(&format!("systemctl enable --now {REFRESH_TIMER}; systemctl stop {APPLY_TIMER}"));
    booted.sh("dpkg --force-downgrade -i /srv/old.deb 2>&1; dpkg -i /srv/flat/new.deb 2>&1");
    assert_eq!(stands(&booted, REFRESH_TIMER), is("enabled", "active"));
    assert_eq!(stands(&booted, APPLY_TIMER), is("enabled", "inactive"));

    let drop_ins = write_metrics(&booted);
    let before = booted.sandbox.state();
    booted.sh("dpkg --remove linux-patch 2>&1");
    assert!(!booted.sandbox.exists(PAGE), "it would say that all is well for ever");
    assert!(drop_ins.iter().all(|path| booted.sandbox.exists(path)), "it is configuration");
    for unit in UNITS {
        assert_ne!(stands(&booted, unit).1, "active", "{unit}");
    }
    assert_eq!(booted.sandbox.state(), before, "the state is kept");
    // Installed again, it has its old settings.
    booted.sh("dpkg -i /srv/flat/new.deb 2>&1");
    assert_eq!(stands(&booted, REFRESH_TIMER), is("enabled", "active"));
    assert_eq!(stands(&booted, APPLY_TIMER), is("enabled", "active"));
    assert!(!booted.sandbox.exists("/run/linux-patch.reinstalled"));

    booted.sh("dpkg --purge linux-patch 2>&1");
    let left = booted
        .sh("find /etc /var /usr/bin /usr/lib/systemd /usr/share -name '*linux-patch*' 2>/dev/null || true");
    assert_eq!(left, "");
    assert_eq!(booted.sh("systemctl list-unit-files --no-legend 'linux-patch*' || true"), "");
    assert_eq!(booted.sh("systemctl list-units --all --no-legend 'linux-patch*'"), "");
}

/// Where the node exporter finds the metrics.
const PAGE: &str = "/var/lib/prometheus/node-exporter/linux-patch.prom";

/// Sets up the metrics of both units as the documentation says, and has them written once.
fn write_metrics(booted: &Booted) -> [String; 2] {
    let drop_ins = ["refresh", "apply"]
        .map(|unit| format!("/etc/systemd/system/linux-patch-{unit}.service.d/metrics.conf"));
    for path in &drop_ins {
        booted.sandbox.write(path, ours("contrib/prometheus/linux-patch-metrics.conf"));
    }
    booted.sh("mkdir -p /var/lib/prometheus/node-exporter; systemctl daemon-reload");
    booted.run(&["systemctl", "start", "linux-patch-refresh.service"]);
    assert!(booted.sandbox.exists(PAGE));
    drop_ins
}

/// The one apply there was has ended well, and these are what it changed.
#[track_caller]
fn applied(booted: &Booted, names: &[&str]) {
    booted.wait_until("the unit has ended", || stands(booted, APPLY).1 != "activating");
    let apply = booted.sandbox.state()["apply"].clone();
    let journal = booted.journal(APPLY);
    assert_eq!(apply["last"]["outcome"], "success", "{apply:#}\n{journal}");
    let changed: Vec<_> =
        apply["last"]["packages"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(changed, names, "{apply:#}");
    assert_eq!(apply["in_progress"], Value::Null);
    assert_eq!(booted.show(APPLY, "Result"), "success", "{journal}");
    assert!(!journal.contains("SIGTERM") && journal.contains("Finished"), "{journal}");
}

#[test]
#[ignore = "make integrations"]
fn an_apply_that_upgrades_the_deb_of_linux_patch_goes_on() {
    let booted = deb_host();
    booted.boot();
    booted.sh(&format!("dpkg -i /srv/old.deb 2>&1; systemctl enable --now {APPLY_TIMER}"));
    // Its scripts run before the one that waits, or after it.
    for (name, depends) in [("tb-slow", ""), ("tb-slow", "linux-patch (>= 99)")] {
        let version = if depends.is_empty() { "2.0" } else { "3.0" };
        let waits =
            "touch /srv/in-postinst; while [ -e /srv/gate ]; do sleep 0.02; done; rm /srv/in-postinst";
        let mut slow = deb(name, version).script("postinst", waits);
        if !depends.is_empty() {
            slow = slow.field("Depends", depends);
            booted.sh("dpkg --force-downgrade -i /srv/old.deb 2>&1");
        }
        booted.sandbox.write(&format!("/srv/flat/{}", slow.file_name()), slow.bytes().as_slice());
        booted.sh("cd /srv/flat; dpkg-scanpackages --multiversion . >Packages 2>/dev/null; touch /srv/gate");
        booted.sandbox.write("/etc/apt/sources.list.d/flat.list", "deb [trusted=yes] file:/srv/flat ./\n");
        booted.sh(&format!("systemctl start --no-block {APPLY}"));
        booted.sandbox.wait_for_file("/srv/in-postinst");
        let pid = booted.show(APPLY, "MainPID");
        booted.sh("systemctl daemon-reload");
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(booted.show(APPLY, "MainPID"), pid);
        booted.sandbox.sh("rm /srv/gate");
        applied(&booted, &["linux-patch", "tb-slow"]);
        assert_eq!(booted.sandbox.installed()["linux-patch"], "99-1");
        assert_eq!(stands(&booted, REFRESH_TIMER), is("enabled", "active"));
        assert_eq!(stands(&booted, APPLY_TIMER), is("enabled", "active"));
    }
}

#[test]
#[ignore = "make integrations"]
fn the_rpm_enables_the_refresh_only_and_an_apply_that_upgrades_it_goes_on() {
    let package = made("generate-rpm", "rpm");
    let work = tempfile::tempdir().unwrap();
    let newer = work.path().join("newer.rpm");
    run(Command::new("cargo")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target())
        .args([
            "generate-rpm",
            "--payload-compress",
            "gzip",
            "--set-metadata",
            "version = \"99\"",
            "--output",
        ])
        .arg(&newer));
    let booted = Booted::prepared("");
    booted.sandbox.sh("rm -f /usr/bin/linux-patch; mkdir -p /srv/flat");
    rpm::Root::prepare(&booted.sandbox);
    booted.sandbox.write("/srv/old.rpm", std::fs::read(&package).unwrap());
    booted.sandbox.write("/srv/flat/new.rpm", std::fs::read(&newer).unwrap());
    // The dependencies of both, which rpm does not know in this root.
    let needs = run(Command::new("rpm").args(["-qp", "--requires"]).arg(&package));
    let needs: Vec<_> = needs.lines().filter(|line| !line.starts_with("rpmlib(")).collect();
    let base = needs.iter().fold(rpm("tb-base", "1.0"), |base, need| base.tag(&format!("Provides: {need}")));
    booted.sandbox.write("/srv/base.rpm", base.bytes().as_slice());
    booted.sandbox.sh("rpm -i --nodeps /srv/base.rpm 2>&1");
    // As in Fedora and Red Hat: units that no preset names are disabled.
    booted.sandbox.write("/usr/lib/systemd/system-preset/99-default-disable.preset", "disable *\n");
    booted
        .sandbox
        .write("/etc/yum.repos.d/flat.repo", "[flat]\nname=flat\nbaseurl=file:///srv/flat\ngpgcheck=0\n");
    booted.sandbox.sh("createrepo_c --quiet /srv/flat");
    booted.boot();

    booted.sh("dnf --quiet -y --disablerepo=flat install /srv/old.rpm 2>&1");
    assert_eq!(stands(&booted, REFRESH_TIMER), is("enabled", "active"));
    assert_eq!(stands(&booted, APPLY_TIMER), is("disabled", "inactive"));
    for dir in ["/var/lib/linux-patch", "/var/log/linux-patch"] {
        assert_eq!(booted.sandbox.mode(dir), 0o755);
    }
    for unit in ["refresh", "apply"] {
        let path = format!("/etc/systemd/system/linux-patch-{unit}.service.d/test.conf");
        booted.sandbox.write(&path, "[Service]\nEnvironment=LINUX_PATCH_MANAGER=dnf\n");
    }
    booted.sh(&format!("systemctl daemon-reload; systemctl disable --now {REFRESH_TIMER}; systemctl enable --now {APPLY_TIMER}"));
    let started = booted.run(&["systemctl", "start", "linux-patch-refresh.service"]);
    assert_eq!(started.code, 0, "{}{}", booted.journal("linux-patch-refresh.service"), booted.sandbox.log());
    assert_eq!(booted.sandbox.state()["pending"]["packages"][0]["name"], "linux-patch");

    // An apply that upgrades linux-patch itself; the administrator's choice is kept.
    booted.run(&["systemctl", "start", APPLY]);
    applied(&booted, &["linux-patch"]);
    assert_eq!(booted.sh("rpm -q --qf '%{VERSION}' linux-patch"), "99");
    assert_eq!(stands(&booted, REFRESH_TIMER), is("disabled", "inactive"));
    assert_eq!(stands(&booted, APPLY_TIMER), is("enabled", "active"));

    let drop_ins = write_metrics(&booted);
    let before = booted.sandbox.state();
    booted.sh("dnf --quiet -y remove linux-patch 2>&1");
    assert!(!booted.sandbox.exists(PAGE), "it would say that all is well for ever");
    assert!(!drop_ins.iter().any(|path| booted.sandbox.exists(path)));
    // A drop-in of the administrator's own stays.
    assert_eq!(booted.sh("ls /etc/systemd/system/linux-patch-apply.service.d"), "test.conf\n");
    assert_eq!(booted.sandbox.state(), before, "the state is kept");
    assert_eq!(booted.sh("systemctl list-units --all --no-legend 'linux-patch*'"), "");
    assert_eq!(booted.sh("find /etc/systemd/system -name 'linux-patch*.timer'"), "");
    assert_eq!(
        booted.sh("find /usr/share /usr/lib/systemd -name '*linux-patch*'"),
        "",
        "a directory is left"
    );
}

#[test]
#[ignore = "make integrations"]
fn both_packages_have_the_documentation_and_every_example() {
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib");
    let files = |dir: &str| {
        let entries = std::fs::read_dir(contrib.join(dir)).unwrap().flatten();
        entries.map(|entry| format!("{dir}/{}", entry.file_name().to_str().unwrap())).collect::<Vec<_>>()
    };
    let examples: Vec<_> = ["icinga2", "mail", "nagios", "prometheus"].into_iter().flat_map(files).collect();
    let deb = run(Command::new("dpkg-deb").arg("--contents").arg(made("debian", "deb")));
    let rpm = run(Command::new("rpm").args(["-qpl"]).arg(made("generate-rpm", "rpm")));
    for (content, dir) in [(deb, "/usr/share/doc/linux-patch/examples"), (rpm, "/usr/share/doc/linux-patch")]
    {
        for file in &examples {
            assert!(
                content.lines().any(|line| line.ends_with(&format!("{dir}/{file}"))),
                "no {file}: {content}"
            );
        }
        assert!(content.contains("/usr/share/doc/linux-patch/timers.md"), "{content}");
    }
}

#[test]
#[ignore = "make integrations"]
fn make_install_puts_everything_in_place() {
    let work = tempfile::tempdir().unwrap();
    run(Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // Built by what runs this.
        .args(["--silent", "--assume-old=build", "install", "PREFIX=/opt/x"])
        .arg(format!("CARGO_TARGET_DIR={}", target().display()))
        .arg(format!("DESTDIR={}", work.path().display())));
    let found =
        run(Command::new("find").current_dir(work.path()).args([".", "-type", "f", "-printf", "%m %P\n"]));
    let mut found: Vec<_> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "644 opt/x/lib/systemd/system/linux-patch-apply.service",
            "644 opt/x/lib/systemd/system/linux-patch-apply.timer",
            "644 opt/x/lib/systemd/system/linux-patch-refresh.service",
            "644 opt/x/lib/systemd/system/linux-patch-refresh.timer",
            "644 opt/x/share/bash-completion/completions/linux-patch",
            "644 opt/x/share/fish/vendor_completions.d/linux-patch.fish",
            "644 opt/x/share/linux-patch/schema/linux-patch-apply.json",
            "644 opt/x/share/linux-patch/schema/linux-patch-history.json",
            "644 opt/x/share/linux-patch/schema/linux-patch-refresh.json",
            "644 opt/x/share/linux-patch/schema/linux-patch-state.json",
            "644 opt/x/share/linux-patch/schema/linux-patch-status.json",
            "644 opt/x/share/linux-patch/schema/linux-patch-usage-error.json",
            "644 opt/x/share/man/man5/linux-patch-state.5",
            "644 opt/x/share/man/man7/linux-patch-managers.7",
            "644 opt/x/share/man/man8/linux-patch.8",
            "644 opt/x/share/zsh/site-functions/_linux-patch",
            "755 opt/x/bin/linux-patch",
        ]
    );
    let unit = work.path().join("opt/x/lib/systemd/system/linux-patch-refresh.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    assert!(unit.contains("\nExecStart=/opt/x/bin/linux-patch refresh\n"), "{unit}");
}
