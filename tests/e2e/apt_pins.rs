//! Security updates that the administrator's pins and APT::Default-Release hide: apt lists them nowhere.

use crate::bench;
use crate::deb::deb;
use crate::repo::Repo;
use crate::sandbox::Sandbox;
use serde_json::json;

const OF_RELEASE: &str = "APT::Default-Release keeps 1.0";
const OF_PIN: &str = "a pin keeps 1.0";

/// What hides the fix, and the reason that is told.
const HIDES: [(&str, &str, &str); 4] = [
    ("/etc/apt/apt.conf.d/release", "APT::Default-Release \"stable\";\n", OF_RELEASE),
    ("/etc/apt/preferences.d/stable.pref", "Package: *\nPin: release a=stable\nPin-Priority: 990\n", OF_PIN),
    ("/etc/apt/preferences", "Package: tb-hello\nPin: version *\nPin-Priority: -1\n", OF_PIN),
    (
        "/etc/apt/preferences.d/security",
        "Package: *\nPin: release a=stable-security\nPin-Priority: 50\n",
        OF_PIN,
    ),
];

/// tb-hello 1.0 is the version of stable, and 2.0 that of its security archive. tb-world has an update in stable. The
/// others have none that an apt without pins would install, or none for security.
fn with_a_fix() -> (Sandbox, [Repo; 4]) {
    let names = ["tb-hello", "tb-world", "tb-other", "tb-port"];
    let old = names.map(|name| deb(name, "1.0"));
    let mut stable = old.clone();
    stable[1] = deb("tb-world", "2.0");
    let (sandbox, stable) = bench::one(&old, &stable);
    let suite = |suite: &str, package: &str, is_not_automatic: bool| {
        let claims = |claims: &mut crate::repo::Claims| {
            (claims.suite, claims.is_not_automatic) = (suite.into(), is_not_automatic);
        };
        let repo = Repo::claiming(claims, &[deb(package, "2.0")]);
        sandbox.add_source(suite, &repo);
        repo
    };
    let security = suite("stable-security", "tb-hello", false);
    let testing = suite("testing", "tb-other", false);
    let backports = suite("backports-security", "tb-port", true);
    (sandbox, [stable, security, testing, backports])
}

#[test]
fn a_security_update_that_a_pin_or_the_default_release_hides_is_held_back_and_alerted_of() {
    for (path, text, reason) in HIDES {
        let (sandbox, _repos) = with_a_fix();
        sandbox.write(path, text);
        let held = [&*format!("tb-hello 1.0 2.0 {reason}")];
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.exits(0).holds_back(&held);
        assert_eq!(refreshed.state["pending"]["held_back"][0]["security"], json!(true), "{refreshed}");
        let alerted = sandbox.patch(&["status", "--alert", "security=critical"]);
        alerted.exits(2);
        assert_eq!(alerted.json["alerts"], json!(["1 security update held back"]), "{alerted}");
        // It is held back also in the next count, and where nothing has changed.
        sandbox.patch(&["refresh"]).exits(0).holds_back(&held);
        let applied = sandbox.patch(&["apply"]);
        applied.exits(0).holds_back(&held);
        assert_eq!(sandbox.installed()["tb-hello"], "1.0", "{path}: {applied}");
        assert_eq!(sandbox.installed()["tb-world"], "2.0", "{path}: {applied}");
        sandbox.patch(&["apply", "--security"]).exits(0).changed(&[]).holds_back(&held);
        sandbox.patch(&["apply", "tb-hello", "tb-world"]).exits(0).changed(&[]).holds_back(&held);
        // What the command line leaves out is no work of a pin.
        sandbox.patch(&["apply", "--exclude", "tb-hello"]).exits(0).holds_back(&held);
        sandbox.sh(&format!("rm {path}"));
        let applied = sandbox.patch(&["apply"]);
        applied.exits(0).holds_back(&[]);
        assert_eq!(sandbox.installed()["tb-hello"], "2.0", "{path}: {applied}");
    }
}

#[test]
fn a_hold_is_told_before_a_pin_and_what_is_pending_is_told_once() {
    let (sandbox, _repos) = with_a_fix();
    sandbox.write(HIDES[0].0, HIDES[0].1);
    sandbox.write("/etc/apt/preferences", "Package: tb-port\nPin: version *\nPin-Priority: 500\n");
    sandbox.sh("apt-mark hold tb-hello");
    let refreshed = sandbox.patch(&["refresh"]);
    refreshed.exits(0).holds_back(&["tb-hello 1.0 2.0 held"]);
    refreshed.leaves_pending(&["tb-port 1.0 2.0", "tb-world 1.0 2.0"]);
    let applied = sandbox.patch(&["apply", "--exclude", "tb-world"]);
    applied.exits(0).changed(&["tb-port 1.0 2.0"]).holds_back(&["tb-hello 1.0 2.0 held"]);
}

/// From a newer release an administrator takes single packages. Its fixes are for its own packages.
#[test]
fn the_fixes_of_a_release_that_a_pin_keeps_away_are_none_of_this_one() {
    let (sandbox, repos) = with_a_fix();
    let newer = Repo::claiming(|claims| claims.suite = "testing-security".into(), &[deb("tb-other", "3.0")]);
    sandbox.add_source("newer", &newer);
    let pin = "Package: *\nPin: release a=testing*\nPin-Priority: 100\n";
    sandbox.write("/etc/apt/preferences.d/testing", pin);
    let pending = ["tb-hello 1.0 2.0", "tb-world 1.0 2.0"];
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&pending).holds_back(&[]);
    // One that is installed from there is kept from its fix.
    repos[2].publish(&[deb("tb-other", "2.0")]);
    sandbox.install(&[deb("tb-other", "2.0")]);
    let pin = "Package: tb-other\nPin: version 3.0\nPin-Priority: -1\n\nPackage: *\nPin: release a=testing*\nPin-Priority: 100\n";
    sandbox.write("/etc/apt/preferences.d/testing", pin);
    sandbox.patch(&["refresh"]).exits(0).holds_back(&["tb-other 2.0 3.0 a pin keeps 2.0"]);
}

/// What must be known is asked behind it.
#[test]
fn a_look_for_what_is_hidden_that_takes_too_long_leaves_time_for_the_rest() {
    let (sandbox, _repos) = with_a_fix();
    sandbox.write(HIDES[0].0, HIDES[0].1);
    let slow =
        "case \" $* \" in *Preferences=/dev/null*) exec sleep 600;; esac; exec /usr/bin/apt-get \"$@\"";
    sandbox.write_script("/usr/local/bin/apt-get", slow);
    sandbox.write_script("/usr/local/bin/apt-cache", "sleep 1; exec /usr/bin/apt-cache \"$@\"");
    let refreshed = sandbox.patch(&["refresh", "--timeout", "40s"]);
    refreshed.exits(0).leaves_pending(&["tb-world 1.0 2.0"]).holds_back(&[]);
    let words = "could not look for security updates that a pin hides: apt-get did not answer in time";
    assert!(refreshed.stderr.contains(words), "{refreshed}");
    sandbox.runs_nothing();
}

/// As MariaDB's and Mozilla's repositories, whose own versions are older than those of the distribution.
#[test]
fn the_fixes_of_the_distribution_are_none_of_what_a_vendor_makes() {
    let (sandbox, _repos) = with_a_fix();
    let vendor = |suite: &str| {
        let claims = |claims: &mut crate::repo::Claims| {
            (claims.suite, claims.origin) = (suite.into(), "vendor".into());
        };
        Repo::claiming(claims, &[deb("tb-hello", "1.5"), deb("tb-world", "3.0")])
    };
    sandbox.install(&[deb("tb-hello", "1.5")]);
    let pin = "Package: *\nPin: release o=vendor\nPin-Priority: 1000\n";
    sandbox.write("/etc/apt/preferences.d/vendor", pin);
    // A version that no source offers is the distribution's.
    sandbox.patch(&["refresh"]).exits(0).holds_back(&[]).leaves_pending(&[
        "tb-hello 1.5 2.0",
        "tb-other 1.0 2.0",
        "tb-world 1.0 2.0",
    ]);
    sandbox.write("/etc/apt/preferences", HIDES[2].1);
    sandbox.patch(&["refresh"]).exits(0).holds_back(&["tb-hello 1.5 2.0 a pin keeps 1.5"]);
    for suite in ["stable", "mozilla"] {
        let repo = vendor(suite);
        sandbox.add_source("vendor", &repo);
        sandbox
            .patch(&["refresh"])
            .exits(0)
            .holds_back(&[])
            .leaves_pending(&["tb-other 1.0 2.0", "tb-world 1.0 3.0"]);
    }
}

#[test]
fn apt_is_asked_once_more_only_where_something_may_be_hidden() {
    let (sandbox, _repos) = with_a_fix();
    let lists = || {
        sandbox.patch(&["refresh"]).exits(0);
        bench::calls(&sandbox).iter().filter(|call| call.contains(" -s ")).count()
    };
    bench::spy(&sandbox);
    assert_eq!(lists(), 1);
    sandbox.write("/etc/apt/preferences.d/none.pref", "# Pin: none yet\n");
    sandbox.write("/etc/apt/preferences.d/pin.save", HIDES[1].1);
    let of_pro = "Package: *\nPin: release o=UbuntuESMApps\nPin-Priority: 510\n";
    sandbox.write("/etc/apt/preferences.d/ubuntu-pro-esm-apps", of_pro);
    assert_eq!(lists(), 1);
    sandbox.write("/etc/apt/preferences.d/pin", HIDES[1].1);
    assert_eq!(lists(), 2);
}
