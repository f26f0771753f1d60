//! How often each verb starts a program of the manager. This is most of what a run costs, and it is promised. A start
//! that is added here needs a reason.

use crate::manager::{Manager, Repository, package};
use crate::rpm::{RpmRepo, rpm};
use crate::sandbox::Sandbox;
use crate::server::Fault;

const PROGRAMS: &[&str] = &[
    "apt-config",
    "apt-get",
    "apt-cache",
    "dpkg",
    "dpkg-query",
    "dnf",
    "dnf5",
    "zypper",
    "rpm",
    "pacman",
    "pacman-conf",
];

/// A program that notes that linux-patch itself started it, and then is the real one.
const NOTING: &str = r#"[ "$(cat /proc/$PPID/comm)" != linux-patch ] || echo NAME >>/tmp/starts
exec REAL "$@"
"#;

fn note_starts(sandbox: &Sandbox) {
    for name in PROGRAMS {
        let real = sandbox.run(&["sh", "-c", &format!("command -v {name}")]);
        if real.code == 0 {
            let script = NOTING.replace("NAME", name).replace("REAL", real.stdout.trim());
            sandbox.write_script(&format!("/usr/local/bin/{name}"), &script);
        }
    }
}

/// What this run, which ends with that code, started, in order, without the programs that are not counted here.
fn starts(sandbox: &Sandbox, args: &[&str], code: i32) -> String {
    sandbox.write("/tmp/starts", "");
    sandbox.patch(args).exits(code);
    let noted = sandbox.read("/tmp/starts").expect("nothing noted");
    noted.lines().collect::<Vec<_>>().join(" ")
}

/// A refresh of a new index (which also asks what no source offers any more), one that finds it unchanged, one with a changed setting, an apply of one update,
/// and one that finds nothing.
fn are<M: Manager>(setting: &str, expected: [&str; 5]) {
    let manager = M::new();
    let packages: Vec<_> = (0..10).map(|number| package(&format!("tb-number-{number}"), "2.0")).collect();
    let repo = M::Repo::with(&packages);
    manager.add_source("one", &repo);
    manager.install(&packages[1..]);
    manager.install(&[package("tb-number-0", "1.0")]);
    let sandbox = manager.sandbox();
    note_starts(sandbox);
    let run = |verb: &str| starts(sandbox, &["--manager", M::NAME, verb], 0);
    let new = run("refresh");
    let unchanged = run("refresh");
    sandbox.sh(setting);
    let with_setting = run("refresh");
    let found = [new, unchanged, with_setting, run("apply"), run("apply")];
    assert_eq!(found.each_ref().map(String::as_str), expected);
}

#[test]
fn apt_is_started_no_more_than_this() {
    are::<crate::apt::Apt>(
        "echo 'Acquire::Retries \"2\";' >/etc/apt/apt.conf.d/own",
        [
            "apt-config apt-get apt-get apt-get apt-cache apt-cache",
            "apt-get",
            "apt-config apt-get apt-get apt-get apt-cache apt-cache",
            "dpkg-query apt-get apt-get apt-cache apt-get apt-get dpkg-query",
            "apt-config dpkg-query apt-get apt-get",
        ],
    );
}

#[test]
fn dnf_is_started_no_more_than_this() {
    are::<crate::dnf::Dnf>(
        "echo 'retries=3' >>/etc/dnf/dnf.conf",
        ["dnf rpm dnf", "dnf", "dnf rpm dnf", "rpm dnf dnf dnf rpm", "rpm dnf"],
    );
}

#[test]
fn dnf5_is_started_no_more_than_this() {
    are::<crate::dnf5::Dnf5>(
        "printf '[main]\\nretries=3\\n' >>/etc/dnf/dnf.conf",
        ["dnf5 dnf5 rpm dnf5", "dnf5", "dnf5 dnf5 rpm dnf5", "rpm dnf5 dnf5 dnf5 rpm", "dnf5 rpm dnf5"],
    );
}

/// Three sources with an update each; the third is down since then.
fn one_of_three_down<M: Manager>() -> (M, [M::Repo; 3]) {
    let manager = M::new();
    let names = ["tb-a", "tb-b", "tb-down"];
    manager.install(&names.map(|name| package(name, "1.0")));
    let repos = names.map(|name| M::Repo::with(&[package(name, "2.0")]));
    for (id, repo) in ["a", "b", "down"].iter().zip(&repos) {
        manager.add_source(id, repo);
    }
    let sandbox = manager.sandbox();
    sandbox.patch(&["--manager", M::NAME, "refresh"]).exits(0);
    repos[2].server().fault("/", Fault::Status(404));
    note_starts(sandbox);
    (manager, repos)
}

/// A refresh while a source is down, an apply, and an apply that finds nothing else.
fn are_with_a_source_down<M: Manager>(expected: [&str; 3]) {
    let (manager, _repos) = one_of_three_down::<M>();
    let sandbox = manager.sandbox();
    let run = |verb: &str| starts(sandbox, &["--manager", M::NAME, verb], 1);
    let found = [run("refresh"), run("apply"), run("apply")];
    assert_eq!(found.each_ref().map(String::as_str), expected);
}

#[test]
fn a_source_that_is_down_starts_apt_no_more_than_this() {
    are_with_a_source_down::<crate::apt::Apt>([
        "apt-config apt-get apt-get apt-get apt-cache",
        "dpkg-query apt-get apt-get apt-get apt-cache apt-get apt-get apt-get dpkg-query apt-get apt-cache",
        "apt-config dpkg-query apt-get apt-get apt-get apt-cache",
    ]);
}

#[test]
fn a_source_that_is_down_starts_dnf_no_more_than_this() {
    are_with_a_source_down::<crate::dnf::Dnf>([
        "dnf dnf dnf dnf dnf rpm",
        "rpm dnf dnf dnf dnf dnf dnf dnf rpm dnf dnf dnf",
        "rpm dnf dnf dnf dnf dnf",
    ]);
}

#[test]
fn a_source_that_is_down_starts_dnf5_no_more_than_this() {
    are_with_a_source_down::<crate::dnf5::Dnf5>([
        "dnf5 dnf5 dnf5 dnf5 dnf5 dnf5 rpm dnf5 rpm",
        "rpm dnf5 dnf5 dnf5 dnf5 dnf5 rpm dnf5 dnf5 dnf5 rpm dnf5 dnf5 rpm dnf5",
        "dnf5 rpm dnf5 dnf5 dnf5 dnf5 dnf5 rpm dnf5",
    ]);
}

#[test]
fn a_source_that_is_down_starts_zypper_no_more_than_this() {
    are_with_a_source_down::<crate::zypper::Zypper>([
        "zypper zypper zypper zypper zypper zypper zypper rpm",
        "rpm zypper zypper zypper zypper zypper zypper zypper zypper zypper zypper rpm zypper zypper zypper zypper zypper",
        "rpm zypper zypper zypper zypper zypper zypper zypper",
    ]);
}

/// The plan of an apply is what was counted, unless somebody has changed the host in between.
#[test]
fn what_dnf_has_answered_holds_until_something_changes() {
    let (manager, _repos) = one_of_three_down::<crate::dnf::Dnf>();
    manager.install(&[package("tb-other", "1.0")]);
    let sandbox = manager.sandbox();
    let count = || starts(sandbox, &["--manager", "dnf", "apply", "--dry-run"], 1).matches("dnf").count();
    let kept = count();
    let real = sandbox.read("/usr/local/bin/dnf").expect("dnf is not noted").replace("exec ", "");
    let removes =
        "case $* in *--exclude=*) [ -e /tmp/once ] || { >/tmp/once; rpm -e --justdb tb-other; } ;; esac";
    sandbox.write_mode("/usr/local/bin/dnf", format!("{real}code=$?\n{removes}\nexit $code\n"), 0o755);
    // What the host without the source would do, with it, and without what that has.
    assert_eq!(count(), kept + 3);
    assert!(sandbox.exists("/tmp/once"), "nothing was removed");
    assert_eq!(count(), kept);
}

/// Advisories are asked for only where a repository has some. `open` more starts where one speaks of an update,
/// `settled` where none does.
fn advisories_take_more_starts<M: Manager<Repo = RpmRepo>>(open: usize, settled: usize) {
    let manager = M::new();
    manager.install(&[package("tb-a", "1.0"), package("tb-b", "1.0")]);
    let repo = M::Repo::with(&[package("tb-a", "2.0")]);
    manager.add_source("one", &repo);
    let sandbox = manager.sandbox();
    note_starts(sandbox);
    let refresh = || {
        let count = starts(sandbox, &["--manager", M::NAME, "refresh"], 0).matches(M::NAME).count();
        (count, sandbox.state()["pending"]["security"].clone())
    };
    refresh();
    Repository::publish(&repo, &[package("tb-a", "3.0")]);
    let (without, unknown) = refresh();
    assert!(unknown.is_null(), "{unknown}");
    repo.publish_with_advisories(&[("TB-1", "security", "tb-a", "4.0")], &[rpm("tb-a", "4.0")]);
    assert_eq!(refresh(), (without + open, 1.into()));
    repo.publish_with_advisories(&[("TB-2", "security", "tb-b", "1.0")], &[rpm("tb-a", "4.0")]);
    assert_eq!(refresh(), (without + settled, 0.into()));
}

#[test]
fn advisories_take_more_starts_of_dnf() {
    advisories_take_more_starts::<crate::dnf::Dnf>(1, 2);
}

/// If nothing is pending patches are still listed: they name fixes that no repository offers.
#[test]
fn advisories_take_more_starts_of_zypper() {
    advisories_take_more_starts::<crate::zypper::Zypper>(2, 2);
}

#[test]
fn advisories_take_more_starts_of_dnf5() {
    advisories_take_more_starts::<crate::dnf5::Dnf5>(1, 2);
}

/// What the last index of a source that is down says of its updates still holds.
fn advisories_of_a_source_that_is_down_count<M: Manager<Repo = RpmRepo>>() {
    let (manager, repos) = one_of_three_down::<M>();
    let run = |verb: &str| manager.sandbox().patch(&["--manager", M::NAME, verb]);
    repos[2].server().heal();
    repos[2].publish_with_advisory("security", &[rpm("tb-down", "3.0")]);
    run("refresh").exits(0).says("/pending/security", 1);
    repos[2].server().fault("/", Fault::Status(404));
    run("refresh").exits(1).says("/pending/held_back_security", 1);
    run("apply").exits(1).says("/pending/held_back_security", 1);
}

#[test]
fn advisories_of_a_dnf_source_that_is_down_count() {
    advisories_of_a_source_that_is_down_count::<crate::dnf::Dnf>();
}

#[test]
fn advisories_of_a_dnf5_source_that_is_down_count() {
    advisories_of_a_source_that_is_down_count::<crate::dnf5::Dnf5>();
}

#[test]
fn advisories_of_a_zypper_source_that_is_down_count() {
    advisories_of_a_source_that_is_down_count::<crate::zypper::Zypper>();
}

/// One more list, and the installed versions.
#[test]
fn what_dnf_conf_excludes_takes_one_more_start_of_dnf() {
    let manager = crate::dnf::Dnf::new();
    let both = |version: &str| ["tb-a", "tb-held"].map(|name| package(name, version));
    manager.install(&both("1.0"));
    let repo = <crate::dnf::Dnf as Manager>::Repo::with(&both("2.0"));
    manager.add_source("one", &repo);
    let sandbox = manager.sandbox();
    note_starts(sandbox);
    let refresh = || starts(sandbox, &["--manager", "dnf", "refresh"], 0).matches("dnf").count();
    let without = refresh();
    sandbox.sh("echo 'exclude=tb-held' >>/etc/dnf/dnf.conf");
    Repository::publish(&repo, &both("3.0"));
    assert_eq!(refresh(), without + 1);
    assert_eq!(refresh(), 1, "nothing has changed");
}

#[test]
fn zypper_is_started_no_more_than_this() {
    are::<crate::zypper::Zypper>(
        "echo '# A note' >>/etc/zypp/zypp.conf",
        [
            "zypper zypper zypper zypper",
            "zypper",
            "zypper zypper zypper zypper",
            "rpm zypper zypper zypper zypper zypper rpm",
            "rpm zypper zypper zypper",
        ],
    );
}

#[test]
fn pacman_is_started_no_more_than_this() {
    are::<crate::pacman::Pacman>(
        "sed -i '/options/a ParallelDownloads = 2' /etc/pacman.conf",
        [
            "pacman-conf pacman pacman pacman pacman pacman pacman",
            "pacman",
            "pacman-conf pacman pacman pacman pacman pacman pacman",
            "pacman pacman pacman pacman pacman pacman-conf pacman pacman",
            "pacman-conf pacman pacman pacman pacman",
        ],
    );
}

/// If an apply installed everything, its result must be what another count finds; if a script has changed what is
/// offered, it is counted again.
fn nothing_is_left_where_nothing_is<M: Manager>(leaves_out: &str, lifts: &str, changes_a_setting: &str) {
    let manager = M::new();
    let old = ["tb-lifts", "tb-left"].map(|name| package(name, "1.0"));
    manager.install(&old);
    let repo = M::Repo::with(&[package("tb-lifts", "2.0").script(lifts), package("tb-left", "2.0")]);
    manager.add_source("one", &repo);
    let sandbox = manager.sandbox();
    sandbox.sh(leaves_out);
    let run = |verb: &str| sandbox.patch(&["--manager", M::NAME, verb]);
    let lifted = run("apply");
    assert_eq!(lifted.json["packages"].as_array().map(Vec::len), Some(1), "{lifted}");
    lifted.exits(0).leaves_pending(&[&format!("tb-left 1.0{0} 2.0{0}", M::REVISION)]);
    let followed = run("apply");
    followed.exits(0).leaves_pending(&[]);
    sandbox.sh(changes_a_setting);
    let counted = run("refresh");
    counted.exits(0).leaves_pending(&[]);
    for key in ["count", "security", "packages", "held_back", "error"] {
        assert_eq!(followed.json["pending"][key], counted.json["pending"][key], "{key}");
    }
}

#[test]
fn nothing_is_left_for_dnf_where_nothing_is() {
    let lifts = "sed -i /^exclude/d /etc/dnf/dnf.conf";
    nothing_is_left_where_nothing_is::<crate::dnf::Dnf>(
        "echo 'exclude=tb-left' >>/etc/dnf/dnf.conf",
        lifts,
        "echo 'retries=3' >>/etc/dnf/dnf.conf",
    );
}

#[test]
fn nothing_is_left_for_dnf5_where_nothing_is() {
    let lifts = "sed -i /^excludepkgs/d /etc/dnf/dnf.conf";
    nothing_is_left_where_nothing_is::<crate::dnf5::Dnf5>(
        "printf '[main]\\nexcludepkgs=tb-left\\n' >>/etc/dnf/dnf.conf",
        lifts,
        "printf '[main]\\nretries=3\\n' >>/etc/dnf/dnf.conf",
    );
}

#[test]
fn nothing_is_left_for_zypper_where_nothing_is() {
    nothing_is_left_where_nothing_is::<crate::zypper::Zypper>(
        "zypper --non-interactive addlock tb-left",
        "rm -f /etc/zypp/locks",
        "echo '# A note' >>/etc/zypp/zypp.conf",
    );
}

#[test]
fn nothing_is_left_for_pacman_where_nothing_is() {
    nothing_is_left_where_nothing_is::<crate::pacman::Pacman>(
        "sed -i '/options/a IgnorePkg = tb-left' /etc/pacman.conf",
        "sed -i /IgnorePkg/d /etc/pacman.conf",
        "sed -i '/options/a ParallelDownloads = 2' /etc/pacman.conf",
    );
}

/// What came in anew is replaced by what its own repository offers for it.
#[test]
fn something_is_left_for_pacman_where_something_is_replaced_that_came_in_anew() {
    use crate::pacman::{one, pkg};
    let new =
        pkg("tb-new", "1.0").info("replaces = tb-old").info("conflict = tb-old").info("provides = tb-old");
    let offered = [pkg("tb-a", "2.0").info("depend = tb-old"), pkg("tb-old", "1.0"), new];
    let (root, _repo) = one(&[pkg("tb-a", "1.0")], &offered);
    let applied = root.patch(&["apply"]);
    assert_eq!(applied.exits(0).json["packages"].as_array().map(Vec::len), Some(2), "{applied}");
    assert_eq!(applied.json["pending"]["packages"][0]["name"], "tb-new", "{applied}");
}

/// What was all that is offered is not all that is left: what is held is, and what a source has that is down.
fn something_is_left_where_something_is<M: Manager>(leaves_out: &str) {
    let manager = M::new();
    manager.install(&["tb-a", "tb-held", "tb-down"].map(|name| package(name, "1.0")));
    let one = M::Repo::with(&["tb-a", "tb-held"].map(|name| package(name, "2.0")));
    let two = M::Repo::with(&[package("tb-down", "2.0")]);
    manager.add_source("one", &one);
    manager.add_source("two", &two);
    let sandbox = manager.sandbox();
    sandbox.sh(leaves_out);
    let run = |verb: &str| sandbox.patch(&["--manager", M::NAME, verb]);
    let version = |number: &str| format!("{number}{}", M::REVISION);
    let held = format!("tb-held {} {} held", version("1.0"), version("2.0"));
    run("refresh").exits(0);
    two.server().fault("/", Fault::Status(404));
    let applied = run("apply");
    let is_held = |row: &serde_json::Value| row["name"] == "tb-held" && row["reason"] == "held";
    assert!(applied.exits(1).json["held_back"].as_array().unwrap().iter().any(is_held), "{applied}");
    let seen = &applied.state["pending"];
    two.server().heal();
    assert_eq!(run("apply").exits(0).holds_back(&[&held]).json["packages"][0]["name"], "tb-down");
    assert_eq!(seen["error"], serde_json::Value::Null, "{applied}");
}

#[test]
fn something_is_left_for_dnf_where_something_is() {
    something_is_left_where_something_is::<crate::dnf::Dnf>("echo 'exclude=tb-held' >>/etc/dnf/dnf.conf");
}

#[test]
fn something_is_left_for_dnf5_where_something_is() {
    let leaves_out = "printf '[main]\\nexcludepkgs=tb-held\\n' >>/etc/dnf/dnf.conf";
    something_is_left_where_something_is::<crate::dnf5::Dnf5>(leaves_out);
}

#[test]
fn something_is_left_for_zypper_where_something_is() {
    something_is_left_where_something_is::<crate::zypper::Zypper>("zypper --non-interactive addlock tb-held");
}
