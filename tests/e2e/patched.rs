//! What an auditor asks: since when is an update open, what do advisories say of it, how old is the index, until
//! when is there support.

use serde_json::{Value, json};

use crate::dnf5;
use crate::rpm::{self, RpmRepo, rpm};
use crate::sandbox::Sandbox;
use crate::zypper;

const STATE: &str = "/var/lib/linux-patch/state.json";

/// Changes the state as if time had passed, or another program had written it.
fn change_state(sandbox: &Sandbox, change: impl Fn(&mut Value)) {
    let mut state = sandbox.state();
    change(&mut state);
    sandbox.write(STATE, state.to_string());
}

/// Two fixes of one package, the first of which is the graver one, and one package of which no advisory speaks.
fn advised(repo: &RpmRepo) {
    let fixes = [("TB-1", "security", "tb-sec", "1.5"), ("TB-2", "security", "tb-sec", "2.0")];
    repo.publish_with_advisories(&fixes, &[rpm("tb-sec", "2.0"), rpm("tb-other", "2.0")]);
}

#[track_caller]
fn told(state: &Value, name: &str) -> (Value, Value) {
    let packages = state["pending"]["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == name).unwrap();
    assert!(package["first_seen"].is_string(), "{state}");
    (package["issued"].clone(), package["severity"].clone())
}

#[test]
fn what_advisories_say_of_an_update_is_told() {
    let installed = [rpm("tb-sec", "1.0"), rpm("tb-other", "1.0")];
    let nothing = (Value::Null, Value::Null);
    let (root, repo) = dnf5::one(&installed, &[]);
    advised(&repo);
    let state = root.patch(&["refresh"]).exits(0).state.clone();
    assert_eq!(told(&state, "tb-sec"), (json!("2026-01-01T00:00:00Z"), json!("Important")));
    assert_eq!(told(&state, "tb-other"), nothing);
    // Its list of advisories has no days.
    let (root, repo) = rpm::one(&installed, &[]);
    advised(&repo);
    let state = root.patch(&["refresh"]).exits(0).state.clone();
    assert_eq!(told(&state, "tb-sec"), (Value::Null, json!("Important")));
    assert_eq!(told(&state, "tb-other"), nothing);
    let (root, repo) = zypper::one(&installed, &[]);
    // It writes times as they are here.
    root.sandbox().sh("ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime; [ -e /etc/localtime ]");
    advised(&repo);
    let state = root.patch(&["refresh"]).exits(0).state.clone();
    assert_eq!(told(&state, "tb-sec"), (json!("2026-01-01T00:00:00Z"), json!("important")));
    assert_eq!(told(&state, "tb-other"), nothing);
}

#[test]
fn a_security_update_that_has_been_known_for_too_long_is_alerted_of() {
    let (root, repo) = dnf5::one(&[rpm("tb-sec", "1.0"), rpm("tb-other", "1.0")], &[]);
    let status = |alert: &str| root.patch(&["status", "--alert", alert]);
    root.patch(&["refresh"]).exits(0);
    status("security-age:0s=critical").exits(0);
    advised(&repo);
    root.patch(&["refresh"]).exits(0).remembers("/pending/security", 1);
    status("security-age:7d=critical").exits(0);
    change_state(&root.sandbox, |state| {
        for package in state["pending"]["packages"].as_array_mut().unwrap() {
            let first =
                if package["name"] == "tb-sec" { "2026-02-03T04:05:06Z" } else { "2026-01-02T03:04:05Z" };
            package["first_seen"] = first.into();
        }
    });
    let words = "a security update has been known for ";
    status("security-age:7d=critical").exits(2).mentions("/alerts/0", words).mentions("/alerts/0", "tb-sec");
    status("security-age:7d").exits(1);
    root.patch(&["status", "--alert", "security-age:7d", "--exclude", "tb-s*"]).exits(0);
    let text = root.sandbox.run(&["linux-patch", "status"]).stdout;
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words:?} in {text}"));
    assert!(at("tb-sec 1.0-1 -> 2.0-1 (security, Important, known for") < at("tb-other 1.0-1"), "{text}");
    // A state as an older program has left it is read, and no age is made up; the next refresh says it.
    change_state(&root.sandbox, |state| {
        for package in state["pending"]["packages"].as_array_mut().unwrap() {
            for key in ["first_seen", "issued", "severity"] {
                package.as_object_mut().unwrap().remove(key);
            }
        }
    });
    status("security-age:7d=critical").exits(3);
    let refreshed = root.patch(&["refresh"]);
    assert!(refreshed.exits(0).state["pending"]["packages"][0]["first_seen"].is_string(), "{refreshed}");
    status("security-age:7d=critical").exits(0);
    root.patch(&["apply"]).exits(0);
    status("security-age:0s=critical").exits(0);
}
