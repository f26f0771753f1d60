//! apk by fakes that replay what the real one printed, in the four versions that were recorded. The end-to-end tests
//! drive a real one, of the newest version alone.

use crate::machine::{cut_off, fresh_state, signal};
use crate::world::{Ran, World, in_parallel, replay_of, until};
use rustix::process::Signal;
use serde_json::{Value, json};

pub const VERSIONS: [&str; 4] = ["2.12.14", "2.14.6", "2.14.10", "3.0.6"];
pub const OLD: [&str; 3] = ["2.12.14", "2.14.6", "2.14.10"];

/// A machine with one version of apk.
pub struct Apk {
    pub world: World,
    version: &'static str,
}

/// Packages in the words of apk's database.
fn database(packages: &[(&str, &str)]) -> String {
    packages.iter().map(|(name, version)| format!("P:{name}\nV:{version}\nA:x86_64\n")).collect()
}

const THREE: [(&str, &str); 3] = [("tb-hello", "1.0-r0"), ("tb-sec", "1.0-r0"), ("tb-world", "1.0-r0")];

impl Apk {
    /// tb-hello, tb-sec and tb-world are installed in 1.0-r0, pending in 2.0-r0, and everything goes
    /// well.
    pub fn new(version: &'static str) -> Apk {
        let apk = Apk { world: World::new(), version };
        apk.world.install_fake("apk");
        apk.world.install_fake("grep");
        apk.database("installed", &THREE);
        apk.database("installed.after", &THREE.map(|(name, _)| (name, "2.0-r0")));
        apk.world.on("grep", "cat $world/installed");
        let apk = apk
            .on("update", "v-refresh")
            .on("version", "v-newer")
            .on("policy", "v-policy")
            .on("audit", "v-audit");
        apk.list("v-list").installs("v-install");
        apk.on("fix", "v-fix-nothing")
    }

    fn database(&self, file: &str, packages: &[(&str, &str)]) {
        self.world.write(file, &database(packages));
    }

    fn recorded(&self, case: &str) -> String {
        replay_of("apk", &format!("{}-{case}", self.version))
    }

    fn on(self, verb: &str, case: &str) -> Apk {
        self.world.on(verb, &self.recorded(case));
        self
    }

    fn on_call(&self, verb: &str, nth: usize, case: &str) {
        self.world.on_call(verb, nth, &self.recorded(case));
    }

    /// What a simulation lists until everything is installed.
    fn list(&self, case: &str) -> &Apk {
        let (pending, done) = (self.recorded(case), self.recorded("v-list-nothing"));
        self.world.on("simulate", &format!("[ -e $world/done ] && {done}\n{pending}"));
        self
    }

    /// What an install prints; the database is `installed.after` then.
    fn installs(&self, case: &str) -> &Apk {
        let change = "cp $world/installed.after $world/installed; touch $world/done";
        self.world.on("install", &format!("{change}; {}", self.recorded(case)));
        self
    }

    fn run(&self, args: &str) -> Ran {
        self.world.run(&format!("--manager apk --format json {args}"))
    }

    pub fn json(&self, args: &str) -> Value {
        self.run(args).json()
    }

    /// Likewise, with the settings of the file `config`.
    pub fn with_settings(&self, args: &str) -> Value {
        let mut command = self.world.command(&format!("--manager apk --format json {args}"));
        command.env("APK_CONFIG", self.world.path("config"));
        Ran::of(command).json()
    }

    fn counts<const N: usize>(&self, verbs: [&str; N]) -> [usize; N] {
        verbs.map(|verb| self.world.count(verb))
    }
}

fn packages(changes: &[(&str, &str, &str)]) -> Value {
    changes.iter().map(|(name, from, to)| json!({"name": name, "from": from, "to": to})).collect()
}

fn everything() -> Value {
    packages(&THREE.map(|(name, from)| (name, from, "2.0-r0")))
}

fn class(doc: &Value) -> &str {
    doc["error"]["class"].as_str().unwrap_or("none")
}

#[test]
fn every_version_refreshes_lists_installs_and_checks() {
    in_parallel(&VERSIONS, |version| {
        let apk = Apk::new(version);
        apk.json("refresh");
        let pending = apk.world.state()["pending"]["packages"].clone();
        let security: Vec<_> = pending.as_array().unwrap().iter().map(|update| &update["security"]).collect();
        assert_eq!(security, [&Value::Null; 3], "{version}: nobody said what they are: {pending}");
        let doc = apk.json("apply");
        assert_eq!((&doc["exit_code"], &doc["packages"]), (&json!(0), &everything()), "{version}: {doc}");
        assert_eq!(apk.counts(["update", "install", "audit", "fix"]), [2, 1, 1, 0], "{version}");
        assert!(
            apk.world.calls("update")[0].ends_with(" update -U update --force-refresh"),
            "{:?}",
            apk.world.calls("update")
        );
        let install = &apk.world.calls("install")[0];
        assert!(install.ends_with(" --cache-max-age 525600 upgrade"), "{install}");
        assert!(install.contains("--progress-fd="), "{install}");
        let state = apk.world.state();
        assert_eq!((&state["pending"]["count"], &state["pending"]["security"]), (&json!(0), &json!(0)));
    });
}

#[test]
fn a_refresh_is_judged_by_its_words_in_every_version() {
    // Case, exit code, class, sources that failed of all.
    let cases = [
        ("v-refresh", 0, "none", [0, 2]),
        ("b-404-update", 1, "fetch", [1, 2]),
        ("b-dns-update", 1, "network", [1, 2]),
        ("b-refused-update", 1, "network", [1, 2]),
        ("b-all-404-update", 2, "fetch", [2, 2]),
        // An old index of it is there still: it was not refreshed.
        ("b-hadcache-404-force-refresh-update", 1, "fetch", [1, 2]),
        ("b-nokey-update", 2, "auth", [2, 2]),
        ("v-refresh-zero", 2, "config", [0, 0]),
        ("v-refresh-cache-full", 2, "space", [2, 2]),
        ("v-refresh-no-description", 0, "none", [0, 2]),
    ];
    let all: Vec<_> = VERSIONS.iter().flat_map(|version| cases.map(|case| (*version, case))).collect();
    in_parallel(&all, |(version, (case, code, expected, [failed, sources]))| {
        let apk = Apk::new(version).on("update", case);
        let doc = apk.json("refresh");
        assert_eq!((&doc["exit_code"], class(&doc)), (&json!(code), *expected), "{version} {case}: {doc}");
        let listed = doc["sources"].as_array().unwrap();
        let bad = listed.iter().filter(|source| !source["error"].is_null()).count();
        assert_eq!([bad, listed.len()], [*failed, *sources], "{version} {case}: {doc}");
    });
}

#[test]
fn a_source_has_one_name_in_every_version_and_no_password_in_it() {
    for version in VERSIONS {
        for case in ["b-404-update", "v-refresh-password"] {
            let doc = Apk::new(version).on("update", case).json("refresh");
            let ids: Vec<_> = doc["sources"].as_array().unwrap().iter().map(|source| &source["id"]).collect();
            assert_eq!(ids, ["http://127.0.0.1:8080", "http://127.0.0.2:8080"], "{version}: {doc}");
        }
    }
}

#[test]
fn an_index_that_was_cut_off_looks_like_an_unknown_key_and_that_is_said() {
    for version in OLD {
        let doc = Apk::new(version).on("update", "h-index-trunc-update").json("refresh");
        assert_eq!(class(&doc), "auth", "{version}: {doc}");
        let reason = doc["reason"].as_str().unwrap();
        assert!(reason.contains("UNTRUSTED signature") && reason.contains("cut off"), "{version}: {reason}");
    }
}

#[test]
fn a_package_that_is_gone_costs_one_refresh_and_one_install_and_all_that_changed_is_told() {
    in_parallel(&VERSIONS, |version| {
        let apk = Apk::new(version);
        apk.database(
            "installed.first",
            &[("tb-hello", "1.0-r0"), ("tb-sec", "2.0-r0"), ("tb-world", "2.0-r0")],
        );
        apk.database(
            "installed.after",
            &[("tb-hello", "3.0-r0"), ("tb-sec", "2.0-r0"), ("tb-world", "2.0-r0")],
        );
        let first =
            format!("cp $world/installed.first $world/installed; {}", apk.recorded("c1-stale-upgrade"));
        apk.world.on_call("install", 1, &first);
        // After the second refresh only tb-hello is pending, as 3.0.
        let again = apk.recorded("d5-upgrade").replace("replay", "sed -n '/^(1/p'");
        apk.world.on_call("simulate", 2, &again);
        apk.installs("d5-upgrade");
        let doc = apk.json("apply");
        assert_eq!((&doc["exit_code"], &doc["retried"]), (&json!(0), &json!(true)), "{version}: {doc}");
        let changed = [
            ("tb-hello", "1.0-r0", "3.0-r0"),
            ("tb-sec", "1.0-r0", "2.0-r0"),
            ("tb-world", "1.0-r0", "2.0-r0"),
        ];
        assert_eq!(doc["packages"], packages(&changed), "{version}: {doc}");
        assert_eq!(apk.counts(["update", "install"]), [2, 2], "{version}");
    });
}

#[test]
fn a_second_fetch_error_ends_the_run_and_tells_what_was_installed() {
    let cases = [
        ("c1-stale-upgrade", "fetch"),
        ("h-flipped-byte", "fetch"),
        ("h-short-file", "fetch"),
        ("v-install-other-file", "fetch"),
        ("v-install-reset", "network"),
    ];
    let all: Vec<_> = VERSIONS.iter().flat_map(|version| cases.map(|case| (*version, case))).collect();
    in_parallel(&all, |(version, (case, expected))| {
        let apk = Apk::new(version);
        apk.database(
            "installed.after",
            &[("tb-hello", "1.0-r0"), ("tb-sec", "2.0-r0"), ("tb-world", "2.0-r0")],
        );
        let install = format!("cp $world/installed.after $world/installed; {}", apk.recorded(case));
        apk.world.on("install", &install);
        let doc = apk.json("apply");
        assert_eq!(
            (&doc["exit_code"], &doc["retried"]),
            (&json!(2), &json!(true)),
            "{version} {case}: {doc}"
        );
        assert_eq!(class(&doc), *expected, "{version} {case}: {doc}");
        let changed = [("tb-sec", "1.0-r0", "2.0-r0"), ("tb-world", "1.0-r0", "2.0-r0")];
        assert_eq!(doc["packages"], packages(&changed), "{version} {case}: {doc}");
        assert_eq!(apk.counts(["update", "install"]), [2, 2], "{version} {case}");
    });
}

#[test]
fn nothing_but_a_fetch_error_is_retried() {
    let cases = [
        ("f1-post-upgrade-fails", "script"),
        ("v-script-lies", "script"),
        ("v-trigger-install", "script"),
        ("v-hook-post-install", "script"),
        ("v-hook-pre-install", "script"),
        ("f3-again", "script"),
        ("f02-broken-dependency-upgrade", "dependency"),
        ("v-overwrite-install", "dependency"),
        ("v-tag-missing-list", "config"),
        ("g2-upgrade-in-script-sigterm-group", "interrupted"),
        ("g2-upgrade-in-script-sigint-direct", "interrupted"),
    ];
    let all: Vec<_> = VERSIONS.iter().flat_map(|version| cases.map(|case| (*version, case))).collect();
    in_parallel(&all, |(version, (case, expected))| {
        let apk = Apk::new(version).on("install", case);
        let doc = apk.json("apply");
        assert_eq!((&doc["exit_code"], class(&doc)), (&json!(2), *expected), "{version} {case}: {doc}");
        assert_eq!(
            (&doc["retried"], &doc["packages"]),
            (&json!(false), &json!([])),
            "{version} {case}: {doc}"
        );
        // Once more, without the update that is in the way.
        let installs = if case.starts_with("f02-") { 2 } else { 1 };
        assert_eq!(apk.counts(["update", "install"]), [1, installs], "{version} {case}");
    });
}

#[test]
fn a_failed_script_says_how_it_is_run_again() {
    for version in VERSIONS {
        let doc = Apk::new(version).on("install", "f1-post-upgrade-fails").json("apply");
        assert!(doc["reason"].as_str().unwrap().contains("apk fix tb-brk "), "{version}: {doc}");
    }
}

#[test]
fn a_full_disk_that_apk_2_calls_ok_is_no_success() {
    for version in OLD {
        // The files are cut off.
        let apk = Apk::new(version).on("audit", "v-audit-full");
        apk.installs("f5-disk-full");
        let doc = apk.json("apply");
        assert_eq!((&doc["exit_code"], &doc["packages"]), (&json!(2), &everything()), "{version}: {doc}");
        let reason = doc["reason"].as_str().unwrap();
        assert!(reason.contains("apk fix tb-hello tb-sec tb-world"), "{version}: {reason}");
        // The database is not written.
        let apk = Apk::new(version).on("install", "v-install-database-full");
        let doc = apk.json("apply");
        assert_eq!((&doc["exit_code"], &doc["packages"]), (&json!(2), &json!([])), "{version}: {doc}");
        assert!(doc["reason"].as_str().unwrap().contains("selected but not installed"), "{version}: {doc}");
    }
    for case in ["f5-disk-full", "v-install-database-full"] {
        let doc = Apk::new("3.0.6").on("install", case).json("apply");
        assert_eq!((class(&doc), &doc["retried"]), ("space", &json!(false)), "{case}: {doc}");
    }
}

#[test]
fn a_check_that_cannot_be_made_is_said_and_fails_nothing() {
    let apk = Apk::new("3.0.6");
    apk.world.on("audit", "echo 'ERROR: audit does not support usermode!' >&2; exit 99");
    let ran = apk.run("apply");
    assert_eq!(ran.json()["exit_code"], 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("could not check the installed files"), "{}", ran.stderr);
}

#[test]
fn the_lock_is_waited_for_and_is_no_fetch_error() {
    in_parallel(&VERSIONS, |version| {
        let apk = Apk::new(version);
        apk.on_call("update", 1, "e1-real-contention-update");
        apk.on_call("install", 1, "e1-real-contention-upgrade");
        let doc = apk.json("apply");
        assert_eq!((&doc["exit_code"], &doc["retried"]), (&json!(0), &json!(false)), "{version}: {doc}");
        assert_eq!(apk.counts(["update", "install"]), [2, 2], "{version}");
        let doc = Apk::new(version).on("install", "e1-real-contention-upgrade").json("apply --wait 0");
        assert_eq!((class(&doc), &doc["retried"]), ("lock", &json!(false)), "{version}: {doc}");
    });
}

#[test]
fn what_could_be_refreshed_is_installed_while_a_repository_is_down() {
    for version in ["2.14.6", "2.14.10", "3.0.6"] {
        let apk = Apk::new(version).on("update", "v-partial-refresh").on("policy", "v-partial-policy");
        apk.database(
            "installed.after",
            &[("tb-hello", "2.0-r0"), ("tb-sec", "2.0-r0"), ("tb-world", "1.0-r0")],
        );
        apk.on_call("version", 1, "v-partial-newer");
        apk.list("v-partial-list").installs("v-partial-install");
        let doc = apk.json("apply");
        assert_eq!(doc["exit_code"], 1, "{version}: {doc}");
        assert_eq!(doc["packages"].as_array().unwrap().len(), 2, "{version}: {doc}");
        for verb in ["simulate", "install"] {
            assert!(apk.world.calls(verb)[0].contains(" --force-missing-repositories "), "{version} {verb}");
        }
    }
    // 2.12 has no option for it.
    let apk = Apk::new("2.12.14").on("update", "v-partial-refresh");
    apk.list("v-partial-list");
    let doc = apk.json("apply");
    assert_eq!((class(&doc), apk.counts(["install"])), ("config", [0]), "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("too old"), "{doc}");
}

#[test]
fn what_only_an_old_index_offers_is_left_out() {
    for version in VERSIONS {
        let apk = Apk::new(version).on("update", "v-stale-refresh").on("policy", "v-stale-policy");
        apk.database(
            "installed.after",
            &[("tb-hello", "2.0-r0"), ("tb-sec", "2.0-r0"), ("tb-world", "1.0-r0")],
        );
        apk.list("v-stale-list").installs("v-stale-install");
        apk.on_call("simulate", 2, "v-stale-install");
        let ran = apk.run("apply");
        let doc = ran.json();
        assert_eq!(doc["exit_code"], 1, "{version}: {doc}");
        assert_eq!(doc["packages"].as_array().unwrap().len(), 2, "{version}: {doc}");
        assert!(apk.world.calls("install")[0].ends_with(" upgrade --ignore tb-world"), "{version}");
        assert!(ran.stderr.contains("left out") && ran.stderr.contains(": tb-world"), "{}", ran.stderr);
    }
}

#[test]
fn what_a_version_in_world_holds_back_is_told() {
    for version in VERSIONS {
        let apk = Apk::new(version).on("version", "v-held-newer");
        apk.list("v-held-list");
        apk.world.on("grep", &apk.recorded("v-held-installed"));
        apk.json("refresh");
        let pending = &apk.world.state()["pending"];
        assert_eq!(pending["count"], 1, "{version}: {pending}");
        let held: Vec<_> = pending["held_back"].as_array().unwrap().iter().collect();
        let held: Vec<_> =
            held.iter().map(|held| (&held["name"], &held["candidate"], &held["reason"])).collect();
        let expected = ["tb-hello", "tb-sec"].map(|name| (json!(name), json!("2.0-r0"), json!("held")));
        let expected: Vec<_> = expected.iter().map(|(name, version, why)| (name, version, why)).collect();
        assert_eq!(held, expected, "{version}: {pending}");
        let doc = apk.json("apply tb-hello");
        assert_eq!((class(&doc), apk.counts(["install"])), ("dependency", [0]), "{version}: {doc}");
        assert!(doc["reason"].as_str().unwrap().contains("held"), "{version}: {doc}");
    }
}

#[test]
fn an_update_that_needs_what_is_nowhere_is_held_back_and_the_others_are_installed() {
    for version in VERSIONS {
        for args in ["apply", "apply tb-hello", "apply --exclude tb-d*", "apply --full"] {
            let apk = Apk::new(version).on("version", "v-dependency-newer");
            apk.database("installed", &[("tb-dep", "1.0-r0"), ("tb-hello", "1.0-r0")]);
            apk.database("installed.after", &[("tb-dep", "1.0-r0"), ("tb-hello", "2.0-r0")]);
            let (whole, part) = (apk.recorded("v-dependency-list"), apk.recorded("v-dependency-list-ignore"));
            let done = apk.recorded("v-list-nothing");
            apk.world.on(
                "simulate",
                &format!("case $* in *tb-*) [ -e $world/done ] && {done}\n{part} ;; esac\n{whole}"),
            );
            apk.installs("c4-upgrade");
            let refreshed = apk.json("refresh");
            assert_eq!((&refreshed["exit_code"], &refreshed["pending"]["count"]), (&json!(0), &json!(1)));
            let doc = apk.json(args);
            assert_eq!(doc["exit_code"], 0, "{version} {args}: {doc}");
            let changed = packages(&[("tb-hello", "1.0-r0", "2.0-r0")]);
            assert_eq!(doc["packages"], changed, "{version} {args}: {doc}");
            assert!(apk.world.calls("install")[0].ends_with(" upgrade --ignore tb-dep"), "{version} {args}");
            let held = &apk.world.state()["pending"]["held_back"][0];
            let expected = [
                ("name", "tb-dep"),
                ("installed", "1.0-r0"),
                ("candidate", "2.0-r0"),
                ("class", "dependency"),
            ];
            expected
                .iter()
                .for_each(|(key, value)| assert_eq!(held[key], *value, "{version} {args}: {held}"));
            assert!(held["reason"].as_str().unwrap().contains("tb-none (no such package)"), "{held}");
        }
    }
}

#[test]
fn an_update_that_apk_does_not_name_is_found_by_trying_each() {
    let nowhere = "ERROR: unable to select packages:\n  tb-none (no such package):\n    required by: tb-new-1.0-r0[tb-none]";
    // Or a line that only says which versions conflict.
    let breaks =
        "ERROR: unable to select packages:\n  tb-lib-2.0-r0:\n    breaks: tb-app-1.0-r0[tb-lib=1.0-r0]";
    for words in [nowhere, breaks] {
        let apk = Apk::new("3.0.6").on("version", "v-dependency-newer");
        apk.database("installed", &[("tb-dep", "1.0-r0"), ("tb-hello", "1.0-r0")]);
        apk.database("installed.after", &[("tb-dep", "1.0-r0"), ("tb-hello", "2.0-r0")]);
        let (part, done) = (apk.recorded("v-dependency-list-ignore"), apk.recorded("v-list-nothing"));
        apk.world.on(
            "simulate",
            &format!(
                "case $* in *'--ignore '*tb-dep*) [ -e $world/done ] && {done}\n{part} ;; *' tb-hello') {part} ;; esac\n\
                 echo '{words}' >&2; exit 2"
            ),
        );
        apk.installs("c4-upgrade");
        let doc = apk.json("apply");
        assert_eq!(doc["exit_code"], 0, "{doc}");
        assert_eq!(doc["packages"], packages(&[("tb-hello", "1.0-r0", "2.0-r0")]), "{doc}");
        assert_eq!(doc["held_back"][0]["name"], "tb-dep", "{doc}");
    }
    // If nothing at all can be had, there is nothing to leave out.
    let apk = Apk::new("3.0.6").on("version", "v-dependency-newer").on("simulate", "v-dependency-list");
    apk.database("installed", &[("tb-dep", "1.0-r0"), ("tb-hello", "1.0-r0")]);
    let doc = apk.json("apply");
    assert_eq!((class(&doc), apk.counts(["install"])), ("dependency", [0]), "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("tb-none (no such package)"), "{doc}");
    assert_eq!(apk.world.state()["pending"]["count"], Value::Null, "an unknown number is none");
}

#[test]
fn what_apk_cannot_do_is_refused_before_anything_runs() {
    for (args, word) in [
        ("apply --security", "security"),
        ("apply --download-only", "--download-only"),
        ("apply tb-hello=2.0-r0", "package name"),
        ("apply tb-hello@edge", "package name"),
        ("apply so:libc.so", "package name"),
    ] {
        let apk = Apk::new("3.0.6");
        let doc = apk.json(args);
        assert_eq!(doc["exit_code"], 3, "{args}: {doc}");
        assert!(doc["reason"].as_str().unwrap().contains(word), "{args}: {doc}");
        assert_eq!(apk.world.read("calls"), "", "{args}");
    }
}

/// tb-brk's script failed in an earlier run.
fn with_broken_package(version: &'static str) -> Apk {
    let apk = Apk::new(version).on("version", "v-newer-none").on("simulate", "v-script-list");
    apk.world.on(
        "grep",
        &format!("[ ! -e $world/mended ] || {{ cat $world/installed; exit 0; }}\n{}", {
            apk.recorded("v-script-installed")
        }),
    );
    apk.database("installed", &[("tb-brk", "2.0-r0"), ("tb-hello", "2.0-r0")]);
    apk
}

#[test]
fn a_script_that_failed_is_run_again_when_every_index_is_new() {
    in_parallel(&VERSIONS, |version| {
        let apk = with_broken_package(version);
        apk.world.on("fix", &format!("touch $world/mended; {}", apk.recorded("f4-apk-fix")));
        let doc = apk.json("apply");
        assert_eq!((&doc["exit_code"], &doc["repaired"]), (&json!(0), &json!(true)), "{version}: {doc}");
        let calls = apk.world.read("calls");
        let at = |verb: &str| calls.lines().position(|line| line.split(' ').nth(1) == Some(verb));
        assert!(at("update") < at("fix"), "{version}: {calls}");
        // It fails again. That is no success, though nothing is pending.
        let apk = with_broken_package(version).on("fix", "v-fix-again");
        let doc = apk.json("apply");
        assert_eq!((class(&doc), &doc["repaired"]), ("script", &json!(false)), "{version}: {doc}");
        assert!(doc["reason"].as_str().unwrap().contains("tb-brk"), "{version}: {doc}");
        // A package whose file cannot be had is gone from the database after `apk fix`.
        let apk = with_broken_package(version).on("update", "v-partial-refresh");
        apk.json("apply");
        assert_eq!(apk.counts(["fix"]), [0], "{version}");
    });
}

/// apk 2 knows a name only, and has no other way past a newer version of a tagged repository.
#[test]
fn a_repair_asks_the_repositories_without_a_tag_where_a_tagged_one_has_a_newer_version() {
    let apk = with_broken_package("2.14.10");
    apk.world.on("fix", &format!("touch $world/mended; {}", apk.recorded("f4-apk-fix")));
    apk.world.on("info", "echo tb-brk-2.0-r0");
    let answers = |untagged: &str| {
        let found = format!("case $* in *--all-matches*) exit 1 ;; --repositories-file*) {untagged} ;; esac");
        apk.world.on("fetch", &format!("{found}; echo Downloading tb-brk-3.0-r0"));
    };
    answers("");
    let doc = apk.json("apply");
    assert_eq!((class(&doc), &doc["repaired"]), ("script", &json!(false)), "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("apk fetches only tb-brk-3.0-r0"), "{doc}");
    assert_eq!(apk.counts(["fix"]), [0]);
    answers("echo Downloading tb-brk-2.0-r0; exit");
    let doc = apk.json("apply");
    assert_eq!((&doc["exit_code"], &doc["repaired"]), (&json!(0), &json!(true)), "{doc}");
    let calls = apk.world.read("calls");
    let last = calls.lines().rfind(|line| line.contains(" fetch ")).unwrap();
    assert!(last.contains("--repositories-file /dev/null "), "{calls}");
    assert!(last.ends_with("fetch tb-brk --stdout"), "{calls}");
}

#[test]
fn a_package_that_apk_fix_lost_is_told() {
    for version in VERSIONS {
        let apk = with_broken_package(version);
        apk.database("installed", &[("tb-hello", "2.0-r0")]);
        apk.world.on("fix", &format!("touch $world/mended; {}", apk.recorded("v-fix-404")));
        let ran = apk.run("apply");
        let doc = ran.json();
        let lost = json!([{"name": "tb-brk", "from": "2.0-r0", "to": null}]);
        assert_eq!(doc["packages"], lost, "{version}: {doc}");
        assert!(ran.stderr.contains("the repair failed"), "{version}: {}", ran.stderr);
    }
}

#[test]
fn an_install_that_was_cut_off_is_pending_still_and_done_again() {
    for case in ["v-refresh", "v-partial-refresh"] {
        let apk = Apk::new("2.14.10").on("update", case).on("policy", "v-policy");
        let mut state = fresh_state(100);
        state["manager"] = json!("apk");
        state["apply"]["in_progress"] = cut_off("install");
        apk.world.write_state(&state);
        let doc = apk.json("apply");
        assert_eq!((&doc["repaired"], apk.counts(["fix"])), (&json!(true), [0]), "{case}: {doc}");
        assert_eq!(apk.json("status")["apply_interrupted"], false, "{case}");
    }
}

#[test]
fn a_signal_in_an_install_that_fails_to_fetch_stops_the_retry_and_not_the_install() {
    let apk = Apk::new("2.14.10");
    let first = format!("touch $world/begun; gate; {}", apk.recorded("c1-stale-upgrade"));
    apk.world.on("install", &first);
    let child = apk.world.spawn_telling("--manager apk --format json apply", "messages");
    until("the install has begun", || apk.world.path("begun").exists());
    signal(&child, Signal::TERM);
    until("it is told", || apk.world.read("messages").contains("an install under way is not interrupted"));
    apk.world.write("go", "");
    let doc = Ran::end(child).json();
    assert_eq!((class(&doc), &doc["retried"]), ("fetch", &json!(false)), "{doc}");
    assert_eq!(apk.counts(["update", "install"]), [1, 1]);
}

#[test]
fn full_changes_nothing_and_no_command_writes_to_world() {
    let apk = Apk::new("3.0.6");
    let doc = apk.json("apply --full");
    assert_eq!((&doc["exit_code"], &doc["packages"]), (&json!(0), &everything()), "{doc}");
    let calls = apk.world.read("calls");
    assert!(
        !calls.contains("--available") && !calls.contains(" add ") && !calls.contains("--latest"),
        "{calls}"
    );
}

/// What the real apk 3 does with such settings (`APK_CONFIG`), in every command.
fn heeds_settings(apk: &Apk) {
    let has = "has() { [ -n \"$(sed -n \"/^$1$/p\" \"${APK_CONFIG:-/dev/null}\")\" ]; }";
    let quiet = format!("{has}; has quiet && exit 0");
    let update =
        format!("{quiet}; has no-network && touch $world/asked-no-mirror\n{}", apk.recorded("v-refresh"));
    apk.world.on("update", &update);
    let change = "has simulate || { cp $world/installed.after $world/installed; touch $world/done; }";
    apk.world.on("install", &format!("{quiet}; {change}; {}", apk.recorded("v-install")));
}

#[test]
fn no_setting_of_apk_3_changes_what_is_read_or_keeps_it_from_asking_a_mirror() {
    for settings in
        ["quiet\n", "no-network\n", "simulate\n", "quiet\nno-network\nsimulate\ntimeout 180\n", ""]
    {
        let apk = Apk::new("3.0.6");
        heeds_settings(&apk);
        apk.world.write("config", settings);
        let doc = apk.with_settings("apply");
        assert_eq!((&doc["exit_code"], &doc["packages"]), (&json!(0), &everything()), "{settings:?}: {doc}");
        assert!(!apk.world.path("asked-no-mirror").exists(), "{settings:?}");
    }
}

#[test]
fn settings_that_change_sources_after_a_refresh_make_it_stale() {
    let apk = Apk::new("3.0.6");
    apk.world.write("repositories", "http://127.0.0.1:8080\n");
    let repositories = apk.world.path("repositories").display().to_string();
    apk.world.write("config", &format!("repositories-file {repositories}\n"));
    let run = |args: &str| apk.with_settings(args);
    assert_eq!(run("refresh")["exit_code"], 0);
    assert_eq!(apk.json("status")["exit_code"], 0);
    apk.world.write("repositories", "http://127.0.0.1:8080\nhttp://127.0.0.2:8080\n");
    assert_eq!(apk.json("status")["cache_status"], "stale", "another repository");
    assert_eq!(run("refresh")["exit_code"], 0);
    apk.world.write("config", &format!("repositories-file {repositories}\narch riscv64\n"));
    assert_eq!(apk.json("status")["cache_status"], "stale", "another architecture");
}

#[test]
fn an_index_that_is_gone_from_where_the_settings_put_it_is_stale() {
    let apk = Apk::new("3.0.6");
    std::fs::create_dir(apk.world.path("cache")).unwrap();
    apk.world.write("cache/APKINDEX.0123abcd.tar.gz", "an index");
    apk.world.write("config", &format!("cache-dir {}\n", apk.world.path("cache").display()));
    let doc = apk.with_settings("refresh");
    assert_eq!(doc["exit_code"], 0, "{doc}");
    assert_eq!(apk.json("status")["exit_code"], 0);
    std::fs::remove_file(apk.world.path("cache/APKINDEX.0123abcd.tar.gz")).unwrap();
    assert_eq!(apk.json("status")["cache_status"], "stale");
}
