//! What an auditor asks: since when an update has been open, what advisories say about it, how old the index is, until
//! when there is support.

use serde_json::{Value, json};

use crate::bench;
use crate::deb::deb;
use crate::dnf5;
use crate::manager::{Manager, package};
use crate::rpm::{self, RpmRepo, rpm};
use crate::sandbox::Sandbox;
use crate::server::Fault;
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
    let (root, repo) = rpm::one(&installed, &[]);
    advised(&repo);
    let state = root.patch(&["refresh"]).exits(0).state.clone();
    assert_eq!(told(&state, "tb-sec"), (json!("2026-01-01T00:00:00Z"), json!("Important")));
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
fn that_no_repository_has_advisories_is_said() {
    let (root, repo) = dnf5::one(&[rpm("tb-sec", "1.0")], &[rpm("tb-sec", "1.0")]);
    let caveats = || root.patch(&["refresh"]).exits(0).json["caveats"].clone();
    assert!(caveats()[0].as_str().unwrap().starts_with("no repository here has advisories"));
    advised(&repo);
    assert_eq!(caveats(), json!([]));
}

fn a_repository_without_advisories_is_named_where_updates_come_from_it<M: Manager<Repo = RpmRepo>>() {
    let manager = M::new();
    manager.install(&[package("tb-sec", "1.0"), package("tb-other", "1.0")]);
    let (told, other) = (RpmRepo::new(&[]), RpmRepo::new(&[rpm("tb-other", "1.0")]));
    told.publish_with_advisory("security", &[rpm("tb-sec", "2.0")]);
    manager.add_source("told", &told);
    manager.add_source("other", &other);
    let refresh = || manager.sandbox().patch(&["--manager", M::NAME, "refresh"]);
    refresh().exits(0).says("/caveats", json!([]));
    other.publish(&[rpm("tb-other", "2.0")]);
    let said = "no advisories in other: whether an update from there is a security update is not known";
    refresh().exits(0).says("/caveats", json!([said])).says("/pending/security", 1);
    [&told, &other].iter().for_each(|repo| repo.server.fault("/", Fault::Status(503)));
    refresh().exits(2).says("/caveats", json!([said]));
    [&told, &other].iter().for_each(|repo| repo.server.heal());
    refresh().exits(0).says("/caveats", json!([said]));
    manager.sandbox().patch(&["--manager", M::NAME, "apply"]).exits(0);
    manager.sandbox().patch(&["status"]).exits(0).says("/caveats", json!([]));
}

#[test]
fn a_repository_of_dnf_without_advisories_is_named() {
    a_repository_without_advisories_is_named_where_updates_come_from_it::<crate::dnf::Dnf>();
}

#[test]
fn a_repository_of_dnf5_without_advisories_is_named() {
    a_repository_without_advisories_is_named_where_updates_come_from_it::<dnf5::Dnf5>();
}

#[test]
fn a_repository_of_zypper_without_advisories_is_named() {
    a_repository_without_advisories_is_named_where_updates_come_from_it::<crate::zypper::Zypper>();
}

#[test]
fn security_updates_need_not_ripen() {
    let (root, repo) = dnf5::one(&[rpm("tb-sec", "1.0"), rpm("tb-other", "1.0")], &[]);
    advised(&repo);
    root.patch(&["apply", "--min-age", "7d"])
        .applied(&["tb-sec 1.0-1 2.0-1"])
        .leaves_pending(&["tb-other 1.0-1 2.0-1"]);
    let again = root.patch(&["apply", "--min-age", "7d", "--security"]);
    again.applied(&[]);
    change_state(&root.sandbox, |state| {
        state["pending"]["packages"][0]["first_seen"] = "2026-01-02T03:04:05Z".into();
    });
    root.patch(&["apply", "--min-age", "7d"]).applied(&["tb-other 1.0-1 2.0-1"]);
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
    // A state from an older program is read without inventing an age; the next refresh adds it.
    change_state(&root.sandbox, |state| {
        for package in state["pending"]["packages"].as_array_mut().unwrap() {
            for key in ["first_seen", "issued", "severity"] {
                package.as_object_mut().unwrap().remove(key);
            }
        }
    });
    // The schema is that of this program's states.
    let old = root.sandbox.run(&["linux-patch", "status", "--alert", "security-age:7d=critical"]);
    assert!(old.code == 3 && old.stdout.contains("not known how old"), "{old:?}");
    let refreshed = root.patch(&["refresh"]);
    assert!(refreshed.exits(0).state["pending"]["packages"][0]["first_seen"].is_string(), "{refreshed}");
    status("security-age:7d=critical").exits(0);
    root.patch(&["apply"]).exits(0);
    status("security-age:0s=critical").exits(0);
}

const BOOKWORM: &str = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n";
const UBUNTU: &str = "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble\n";

/// The systems tried here say it in different ways, and two do not say it.
#[test]
fn until_when_there_is_support_is_what_the_distribution_says() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.write("/usr/share/distro-info/debian.csv", "version,codename,series,created,release,eol,eol-lts,eol-elts\n11,Bullseye,bullseye,2019-07-06,2021-08-14,2024-08-14,2024-08-31,2031-06-30\n12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-11,2098-06-30,2099-06-30\n");
    sandbox.write("/usr/share/distro-info/ubuntu.csv", "version,codename,series,created,release,eol,eol-server,eol-esm\n24.04 LTS,Noble Numbat,noble,2023-10-26,2024-04-25,2099-05-31,,2034-04-25\n");
    for (os_release, expected, code) in [
        (BOOKWORM, json!("2098-06-30"), 0),
        ("ID=debian\nVERSION_ID=11\n", json!("2024-08-31"), 1),
        (UBUNTU, json!("2099-05-31"), 0),
        ("ID=fedora\nVERSION_ID=40\nSUPPORT_END=2025-05-13\n", json!("2025-05-13"), 1),
        ("ID=\"rocky\"\nID_LIKE=\"rhel\"\nSUPPORT_END=\"2092-05-31\"\n", json!("2092-05-31"), 0),
        ("ID=arch\n", Value::Null, 3),
        ("ID=alpine\nVERSION_ID=3.20\n", Value::Null, 3),
    ] {
        sandbox.write("/etc/os-release", os_release);
        sandbox.patch(&["--manager", "apt", "refresh"]).exits(0).says("/support_ends", expected);
        sandbox.patch(&["status", "--alert", "support"]).exits(code);
        sandbox.patch(&["status"]).exits(0);
        let text = sandbox.run(&["linux-patch", "status"]).stdout;
        let words = ": no further updates will come";
        assert_eq!(text.contains(words) && text.contains("support ended on 20"), code == 1, "{text}");
    }
    sandbox.write("/etc/os-release", "ID=fedora\nSUPPORT_END=2099-12-31\n");
    sandbox.patch(&["--manager", "apt", "refresh"]).exits(0);
    sandbox.patch(&["status", "--alert", "support:3000d=critical"]).exits(0);
    change_state(&sandbox, |state| {
        let today = state["pending"]["as_of"].as_str().unwrap()[..10].to_string();
        state["support_ends"] = today.into();
    });
    sandbox.patch(&["status", "--alert", "support=critical"]).exits(0);
    sandbox
        .patch(&["status", "--alert", "support:60d=critical"])
        .exits(2)
        .mentions("/alerts/0", "support ends on 20");
}

/// As the hook of Ubuntu's pro client speaks to apt (`apt-hook/json-hook.cc` there).
const HOOK: &str = r#"#!/usr/bin/perl
use IO::Handle;
open(my $apt, "+<&=", $ENV{APT_HOOK_SOCKET}) or die;
open(my $asked, ">", "/run/asked");
$apt->autoflush(1);
$| = 1;
while (my $line = <$apt>) {
    print $apt qq({"jsonrpc":"2.0","id":0,"result":{"version":"0.2"}}\n\n) if $line =~ /hooks\.hello/;
    print "The following security updates require Ubuntu Pro with 'esm-infra' enabled:\n  tb-a tb-b\n"
        if $line =~ /install\.pre-prompt/ and ! -e "/run/attached";
    exit 0 if $line =~ /hooks\.bye/;
}
"#;

#[test]
fn security_updates_that_need_a_subscription_are_said_as_apt_says_them() {
    let (sandbox, repo) = bench::pending_update();
    sandbox.write_mode("/usr/lib/ubuntu-advantage/apt-esm-json-hook", HOOK, 0o755);
    // As the package has it: for `apt`, and not for `apt-get`.
    let hook = "binary::apt::AptCli::Hooks::Upgrade {\n\t\"/usr/lib/ubuntu-advantage/apt-esm-json-hook || true\";\n};\n";
    sandbox.write("/etc/apt/apt.conf.d/20apt-esm-hook.conf", hook);
    let caveats = || sandbox.patch(&["--manager", "apt", "refresh"]).exits(0).json["caveats"].to_string();
    let words = "require Ubuntu Pro with 'esm-infra' enabled: tb-a tb-b";
    let first = caveats();
    assert!(first.contains(words), "{first}\n{}", sandbox.log());
    sandbox.sh("rm /run/asked");
    assert!(caveats().contains(words), "nothing was listed anew");
    assert!(sandbox.read("/run/asked").is_none(), "so nobody is asked");
    sandbox.patch(&["--manager", "apt", "apply"]).applied(&["tb-hello 1.0 2.0"]);
    assert!(sandbox.read("/run/asked").is_some(), "an apply asks");
    assert!(sandbox.run(&["linux-patch", "status"]).stdout.contains(words));
    // While the hook does not answer, what it said before stays, and what is pending is known all the same.
    repo.publish(&[deb("tb-hello", "2.5")]);
    sandbox.write_mode("/usr/lib/ubuntu-advantage/apt-esm-json-hook", "#!/bin/sh\nexec sleep 600\n", 0o755);
    let refreshed = sandbox.patch(&["--manager", "apt", "refresh"]);
    refreshed.exits(0).leaves_pending(&["tb-hello 2.0 2.5"]);
    assert!(refreshed.json["caveats"].to_string().contains(words), "{refreshed}");
    sandbox.write_mode("/usr/lib/ubuntu-advantage/apt-esm-json-hook", HOOK, 0o755);
    sandbox.write("/run/attached", "");
    repo.publish(&[deb("tb-hello", "3.0")]);
    assert!(!caveats().contains(words));
    // As the client's hook ends where it does not know apt's version of the protocol: apt then lists nothing.
    sandbox.sh("rm /run/attached");
    repo.publish(&[deb("tb-hello", "4.0")]);
    sandbox.write_mode("/usr/lib/ubuntu-advantage/apt-esm-json-hook", "#!/bin/sh\nread hello <&3\n", 0o755);
    let refreshed = sandbox.patch(&["--manager", "apt", "refresh"]);
    refreshed.exits(0).leaves_pending(&["tb-hello 2.0 4.0"]);
    assert!(!refreshed.json["caveats"].to_string().contains("Ubuntu Pro"), "{refreshed}");
    // An administrator has switched it off.
    sandbox.write_mode("/usr/lib/ubuntu-advantage/apt-esm-json-hook", HOOK, 0o755);
    sandbox.write("/etc/apt/apt.conf.d/20apt-esm-hook.conf", hook.replace("\t\"", "\t//\""));
    repo.publish(&[deb("tb-hello", "5.0")]);
    assert!(!caveats().contains("Ubuntu Pro"));
}

#[test]
fn that_no_security_archive_is_among_the_sources_is_said() {
    let (sandbox, repo) = bench::pending_update();
    let caveats = |os_release: &str| {
        sandbox.write("/etc/os-release", os_release);
        sandbox.patch(&["--manager", "apt", "refresh"]).json["caveats"].clone()
    };
    assert!(caveats(BOOKWORM)[0].as_str().unwrap().starts_with("no security archive is among"));
    let text = sandbox.run(&["linux-patch", "status"]).stdout;
    assert!(text.contains("no security archive is among the sources"), "{text}");
    assert_eq!(caveats("ID=debian\nVERSION_CODENAME=forky\n"), json!([]));
    assert_eq!(caveats("ID=raspbian\nID_LIKE=debian\nVERSION_ID=12\n"), json!([]));
    // Also where it cannot be reached: it is configured.
    sandbox.add_source_at("security", &repo.url(), "bookworm-security");
    assert_eq!(caveats(BOOKWORM), json!([]));
}
