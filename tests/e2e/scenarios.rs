//! What every manager must get right, once for all of them. Each scenario below becomes one test per manager:
//! `scenarios::dnf::nothing_pending_is_done`. What only one manager does is tested in its own files. A manager that
//! cannot play a scenario says why in [`Manager::LACKS`]; the scenario must then fail with it, so that no exception
//! outlives its reason.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::leisure::{at_leisure, budget};
use crate::manager::{Lack, Manager, Package, Repository, package};
use crate::report::Report;
use crate::sandbox::{Running, Sandbox};
use crate::server::{Fault, Server};

/// The steps of a scenario.
struct Stage<M: Manager> {
    manager: M,
    repos: Vec<M::Repo>,
}

const HELLO: &str = "/tb-hello";
const IN_SCRIPT: &str = "/run/in-script";

impl<M: Manager> Stage<M> {
    /// A root with these packages and one source with those.
    #[track_caller]
    fn one(installed: &[Package], published: &[Package]) -> Stage<M> {
        let manager = M::new();
        let repo = M::Repo::with(published);
        manager.add_source("test", &repo);
        manager.install(installed);
        Stage { manager, repos: vec![repo] }
    }

    /// tb-hello 1.0 is installed and 2.0 is published.
    #[track_caller]
    fn pending_update() -> Stage<M> {
        Stage::one(&[package("tb-hello", "1.0")], &[package("tb-hello", "2.0")])
    }

    /// The same, with a script in the new version that takes so many seconds, or until /run/fast is there.
    #[track_caller]
    fn slow_update(seconds: u32) -> Stage<M> {
        let script = format!(
            "[ -e /run/fast ] || echo $$ >{IN_SCRIPT}; n=0
             until [ -e /run/fast ] || [ $n = {seconds}0 ]; do n=$((n + 1)); /bin/sleep 0.1; done"
        );
        Stage::one(&[package("tb-slow", "1.0")], &[package("tb-slow", "2.0").script(&script)])
    }

    /// Three sources, each with an update for a package of its own: tb-alpha, tb-beta, tb-gamma.
    #[track_caller]
    fn three() -> Stage<M> {
        let manager = M::new();
        let names = ["alpha", "beta", "gamma"];
        let repos = names.map(|name| {
            let repo = M::Repo::with(&[package(&format!("tb-{name}"), "2.0")]);
            manager.add_source(name, &repo);
            repo
        });
        manager.install(&names.map(|name| package(&format!("tb-{name}"), "1.0")));
        Stage { manager, repos: repos.into() }
    }

    fn sandbox(&self) -> &Sandbox {
        self.manager.sandbox()
    }

    fn server(&self) -> &Server {
        self.repos[0].server()
    }

    fn refreshes(&self) -> usize {
        self.server().requests(M::INDEX)
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        self.sandbox().patch_command(&[&["--manager", M::NAME], args].concat())
    }

    #[track_caller]
    fn start(&self, args: &[&str]) -> Running<'_> {
        self.sandbox().start(self.command(args))
    }

    #[track_caller]
    fn patch(&self, args: &[&str]) -> Report {
        self.start(args).report()
    }

    /// An apply has come to the script of [`Stage::slow_update`].
    #[track_caller]
    fn in_mid_install(&self) -> Running<'_> {
        let running = self.start(&["apply"]);
        self.sandbox().wait_for_file(IN_SCRIPT);
        running
    }

    /// What `status` says to people.
    fn status(&self) -> String {
        self.sandbox().run(&["linux-patch", "status"]).stdout
    }

    #[track_caller]
    fn has_exactly(&self, expected: &[&str]) {
        let found = self.manager.installed();
        assert_eq!(
            found,
            expected,
            "installed packages\n{}\n{}",
            self.sandbox().state(),
            self.sandbox().log()
        );
    }
}

/// `tb-hello 1.0 2.0` as this manager writes versions.
fn versions<M: Manager>(changes: &[&str]) -> Vec<String> {
    let version = |word: &str| if word == "-" { word.to_owned() } else { format!("{word}{}", M::REVISION) };
    let line = |change: &&str| {
        let (name, rest) = change.split_once(' ').expect("a change has versions");
        let versions = rest.split(' ').map(version).collect::<Vec<_>>().join(" ");
        format!("{name} {versions}")
    };
    changes.iter().map(line).collect()
}

/// The checks of [`Report`] that compare versions.
impl Report {
    #[track_caller]
    fn did<M: Manager>(&self, changes: &[&str]) -> &Report {
        let changes = versions::<M>(changes);
        self.changed(&changes.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn did_all<M: Manager>(&self, changes: &[&str]) -> &Report {
        let changes = versions::<M>(changes);
        self.applied(&changes.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn leaves<M: Manager>(&self, updates: &[&str]) -> &Report {
        let updates = versions::<M>(updates);
        self.leaves_pending(&updates.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn a_refresh_is_recorded_with_its_source_and_what_is_pending<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let refreshed = stage.patch(&["refresh"]);
    refreshed.exits(0).says("/cache_status", "fresh").leaves::<M>(&["tb-hello 1.0 2.0"]);
    refreshed.remembers("/manager", M::NAME).remembers("/sources/0/error", Value::Null);
    assert_eq!(refreshed.state["sources"].as_array().map(Vec::len), Some(1), "{refreshed}");
    assert_eq!(stage.refreshes(), 1);
    stage.patch(&["status"]).exits(0).says("/cache_status", "fresh");
    stage.sandbox().runs_nothing();
}

fn nothing_pending_is_done<M: Manager>() {
    let stage = Stage::<M>::one(&[package("tb-hello", "1.0")], &[package("tb-hello", "1.0")]);
    stage.patch(&["refresh"]).exits(0).leaves::<M>(&[]);
    stage.patch(&["apply"]).did_all::<M>(&[]).says("/reason", "nothing pending");
}

fn what_is_published_between_two_refreshes_is_counted<M: Manager>() {
    let stage = Stage::<M>::one(&[package("tb-hello", "1.0")], &[package("tb-hello", "1.0")]);
    stage.patch(&["refresh"]).exits(0).leaves::<M>(&[]);
    stage.repos[0].publish(&[package("tb-hello", "2.0")]);
    stage.patch(&["refresh"]).exits(0).leaves::<M>(&["tb-hello 1.0 2.0"]);
    stage.repos[0].publish(&[package("tb-hello", "3.0")]);
    stage.patch(&["refresh"]).exits(0).leaves::<M>(&["tb-hello 1.0 3.0"]);
}

/// One of three sources fails in this way: the refresh is partial, and the others are installed all the same.
#[track_caller]
fn one_of_three<M: Manager>(fault: Fault, class: &str) {
    let stage = Stage::<M>::three();
    let good = stage.patch(&["refresh"]);
    good.exits(0).remembers("/pending/count", 3);
    // Its own earlier updates must not count as current, and must not stop the others.
    stage.repos[1].server().fault("/", fault);
    let refreshed = stage.patch(&["refresh"]);
    refreshed.exits(1).says("/cache_status", "stale").one_source_failed(
        3,
        &stage.manager.source_id("beta", &stage.repos[1]),
        class,
    );
    refreshed.remembers("/last_attempt/outcome", "partial");
    refreshed.remembers("/last_cache_update", good.state["last_cache_update"].clone());
    stage.patch(&["status"]).exits(1);
    stage.patch(&["apply", "--strict"]).exits(2).did::<M>(&[]).remembers("/apply/last/error/class", class);
    stage.patch(&["apply"]).exits(1).did::<M>(&["tb-alpha 1.0 2.0", "tb-gamma 1.0 2.0"]);
    stage.has_exactly(&["tb-alpha 2.0", "tb-beta 1.0", "tb-gamma 2.0"]);
    stage.repos[1].server().heal();
    stage.patch(&["apply"]).did_all::<M>(&["tb-beta 1.0 2.0"]);
}

fn one_source_of_three_is_gone<M: Manager>() {
    one_of_three::<M>(Fault::Status(404), "fetch");
}

fn one_source_of_three_is_overloaded<M: Manager>() {
    one_of_three::<M>(Fault::Status(503), "fetch");
}

fn one_source_of_three_closes_its_connections<M: Manager>() {
    one_of_three::<M>(Fault::Close, "network");
}

/// What the manager says of one may be all that it says.
fn a_source_that_failed_hides_no_other_that_failed_otherwise<M: Manager>() {
    let stage = Stage::<M>::three();
    stage.patch(&["refresh"]).exits(0);
    let gone = Fault::Status(404);
    let all =
        [[gone, Fault::Cut], [Fault::Cut, gone], [Fault::Page, Fault::Close], [Fault::Close, Fault::Page]];
    for (nth, faults) in all.into_iter().enumerate() {
        for (repo, fault) in stage.repos.iter().zip(faults) {
            repo.publish(&[package("tb-alpha", &format!("{nth}.5"))]);
            repo.server().fault("/", fault);
        }
        let failed = stage.patch(&["refresh"]).exits(1).failed_sources();
        let ids = ["alpha", "beta"].iter().zip(&stage.repos);
        let ids: Vec<_> = ids.map(|(name, repo)| stage.manager.source_id(name, repo)).collect();
        let is_named = |id: &String| failed.iter().any(|(failed, _)| failed.contains(id));
        assert!(failed.len() == 2 && ids.iter().all(is_named), "{faults:?}: {failed:?}");
        stage.repos.iter().for_each(|repo| repo.server().heal());
    }
}

fn a_source_that_is_down_keeps_no_update_of_another_one_back<M: Manager>() {
    // It had a newer version, or the same, and stands before the other one or behind it.
    for (down, version) in [(0, "2.0"), (0, "3.0"), (1, "2.0"), (1, "3.0")] {
        let manager = M::new();
        let theirs = [package("tb-both", "3.0"), package("tb-own", "2.0")];
        let others = [package("tb-both", version), package("tb-more", "2.0")];
        let repos = [0, 1].map(|nth| M::Repo::with(if nth == down { &theirs } else { &others }));
        manager.add_source("alpha", &repos[0]);
        manager.add_source("beta", &repos[1]);
        manager.install(&["tb-both", "tb-more", "tb-own"].map(|name| package(name, "1.0")));
        let stage = Stage::<M> { manager, repos: repos.into() };
        stage.patch(&["refresh"]).exits(0);
        stage.repos[down].server().fault("/", Fault::Status(503));
        let changes = [format!("tb-both 1.0 {version}"), "tb-more 1.0 2.0".to_string()];
        let changes: Vec<_> = changes.iter().map(String::as_str).collect();
        stage.patch(&["apply"]).exits(1).says("/retried", false).did::<M>(&changes);
        stage.has_exactly(&[&format!("tb-both {version}"), "tb-more 2.0", "tb-own 1.0"]);
        stage.repos[down].server().heal();
        let later = ["tb-both 2.0 3.0", "tb-own 1.0 2.0"];
        stage.patch(&["apply"]).did_all::<M>(if version == "2.0" { &later } else { &later[1..] });
    }
}

fn every_source_down_is_failed<M: Manager>() {
    let stage = Stage::<M>::three();
    stage.patch(&["refresh"]).exits(0);
    stage.repos.iter().for_each(|repo| repo.server().fault("/", Fault::Status(404)));
    stage.patch(&["refresh"]).refresh_failed("fetch");
    stage.patch(&["status"]).exits(2);
    stage.patch(&["apply"]).apply_failed("fetch").did::<M>(&[]).says("/retried", false);
    stage.has_exactly(&["tb-alpha 1.0", "tb-beta 1.0", "tb-gamma 1.0"]);
}

fn every_source_down_from_the_start_is_failed<M: Manager>() {
    let stage = Stage::<M>::three();
    stage.repos.iter().for_each(|repo| repo.server().fault("/", Fault::Close));
    stage.patch(&["refresh"]).refresh_failed("network").remembers("/last_cache_update", Value::Null);
}

fn no_source_at_all_is_failed<M: Manager>() {
    let stage = Stage::<M> { manager: M::new(), repos: Vec::new() };
    stage.patch(&["refresh"]).refresh_failed("config");
    stage.patch(&["apply"]).apply_failed("config");
    // Nor are those that there were sources any more.
    let stage = Stage::<M>::three();
    stage.patch(&["refresh"]).exits(0);
    stage.sandbox().sh(
        "rm -f /etc/apt/sources.list.d/* /etc/yum.repos.d/* /etc/zypp/repos.d/* /srv/repos/*.* \
         /etc/apk/repositories.d/*; [ ! -e /srv/repos/all ] || : >/srv/repos/all; \
         [ ! -e /etc/pacman.conf ] || sed -i '/^\\[options\\]/,/^\\[/!d; /^\\[options\\]/!{/^\\[/d}' /etc/pacman.conf",
    );
    stage.patch(&["refresh"]).refresh_failed("config").remembers("/sources", Value::Array(Vec::new()));
}

fn a_damaged_index_is_a_fetch_failure<M: Manager>() {
    for fault in [Fault::Short, Fault::Cut] {
        let stage = Stage::<M>::pending_update();
        stage.server().fault("/", fault);
        let refreshed = stage.patch(&["refresh"]);
        refreshed.refresh_failed(one_of(&["fetch", "network"], &refreshed.state["last_update_error"]));
    }
}

/// The class of this error must be one of these: some managers cannot tell a truncated file from a closed connection.
#[track_caller]
fn one_of<'a>(classes: &[&'a str], error: &Value) -> &'a str {
    let found = classes.iter().find(|class| error["class"] == **class);
    found.unwrap_or_else(|| panic!("{error} is none of {classes:?}"))
}

fn a_source_that_hangs_costs_no_more_than_the_budget<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    stage.server().fault(M::INDEX, Fault::Hang);
    let refreshed = stage.patch(&["refresh", "--timeout", "2s"]);
    refreshed.refresh_failed("timeout");
    assert!(refreshed.elapsed < at_leisure(9), "{refreshed}");
    stage.sandbox().runs_nothing();
    // Nothing that an ended manager leaves is in the way.
    stage.server().heal();
    stage.patch(&["refresh"]).exits(0).leaves::<M>(&["tb-hello 1.0 2.0"]);
}

fn a_source_that_is_waited_for_is_named_on_a_terminal<M: Manager>() {
    let stage = Stage::<M>::three();
    let beta = &stage.repos[1];
    beta.server().fault(M::INDEX, Fault::Hang);
    let line = format!("stty cols 150; linux-patch --manager {} refresh --timeout 8s", M::NAME);
    let script = format!("TERM=xterm script -qec '{line}' /tmp/shown >/dev/null || :; cat /tmp/shown");
    let shown = stage.sandbox().sh(&script);
    // The first line may be from before anything was asked.
    let drawn =
        shown.split('\r').filter(|part| part.starts_with("refreshing the") && !part.contains("] 0 s"));
    let (id, host) = (stage.manager.source_id("beta", beta), beta.server().url().replace("http://", ""));
    let (named, unnamed): (Vec<_>, Vec<_>) =
        drawn.partition(|part| part.contains(&id) || part.contains(&host));
    assert!(named.len() > unnamed.len(), "{id} or {host} is not named in {unnamed:#?}");
}

fn a_termination_stops_a_refresh<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    stage.server().fault(M::INDEX, Fault::Hang);
    let running = stage.start(&["refresh"]);
    stage.sandbox().wait_until("the index is asked for", || stage.refreshes() > 0);
    stage.sandbox().signal(stage.sandbox().patch_pid(), "TERM");
    let since = Instant::now();
    let refreshed = running.report();
    refreshed.exits(2).says("/error/class", "interrupted").says("/cache_status", "unknown");
    // That is no verdict on the index.
    refreshed.remembers("/last_attempt", Value::Null).remembers("/last_update_error", Value::Null);
    assert!(since.elapsed() < at_leisure(10), "{refreshed}");
    stage.sandbox().runs_nothing();
}

fn an_interruption_is_no_verdict_and_what_was_done_counts<M: Manager>() {
    for signal in ["INT", "TERM"] {
        let stage = Stage::<M>::three();
        let before = stage.patch(&["refresh"]).exits(0).state.clone();
        let news = |at: usize, name: &str| stage.repos[at].publish(&[package(&format!("tb-{name}"), "3.0")]);
        ["alpha", "beta", "gamma"].iter().enumerate().for_each(|(at, name)| news(at, name));
        std::thread::sleep(Duration::from_millis(1100));
        let [alpha, beta] = [0, 1].map(|at| stage.repos[at].server());
        beta.fault("/", Fault::Hang);
        let asked = (alpha.requests(M::INDEX), beta.requests(""));
        let running = stage.start(&["refresh"]);
        stage.sandbox().wait_until("the silent one is asked", || {
            alpha.requests(M::INDEX) > asked.0 && beta.requests("") > asked.1
        });
        // What the others had to say is written down by then, and no manager gives up by itself.
        std::thread::sleep(at_leisure(2).min(Duration::from_secs(6)));
        stage.sandbox().signal(stage.sandbox().patch_pid(), signal);
        let stopped = running.report();
        let id = |at: usize, name: &str| stage.manager.source_id(name, &stage.repos[at]);
        let last = |state: &Value, id: &str| {
            let mut sources = state["sources"].as_array().into_iter().flatten();
            let found = sources.find(|source| source["id"].as_str().unwrap_or_default().contains(id));
            found.map(|source| source["last_success"].clone())
        };
        stopped.exits(2).says("/error/class", "interrupted").mentions("/error/message", &id(1, "beta"));
        for key in ["last_cache_update", "last_attempt", "last_update_error", "last_update_success"] {
            stopped.remembers(&format!("/{key}"), before[key].clone());
        }
        assert!(stopped.failed_sources().is_empty(), "{stopped}");
        let beta_id = id(1, "beta");
        assert_eq!(last(&stopped.state, &beta_id), last(&before, &beta_id), "{stopped}");
        stage.patch(&["status"]).exits(0).says("/cache_status", "fresh");
        stage.sandbox().runs_nothing();
        beta.heal();
        let updates = ["tb-alpha 1.0 3.0", "tb-beta 1.0 3.0", "tb-gamma 1.0 3.0"];
        stage.patch(&["refresh"]).exits(0).leaves::<M>(&updates);
        let alpha_id = id(0, "alpha");
        assert_ne!(last(&stopped.state, &alpha_id), last(&before, &alpha_id), "alpha was done: {stopped}");
    }
}

fn refreshes_at_the_same_time_cost_one_refresh<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let gate = stage.server().hold_back(M::INDEX);
    let first = stage.start(&["refresh"]);
    stage.sandbox().wait_until("the index is asked for", || stage.refreshes() == 1);
    let second = stage.start(&["refresh"]);
    second.wait_to_hear("waiting for linux-patch refresh");
    drop(gate);
    first.report().exits(0).says("/joined", false);
    second.report().exits(0).says("/joined", true);
    assert_eq!(stage.refreshes(), 1);
    // Those that shared it are counted by the next run.
    stage.patch(&["refresh"]).remembers("/counters/refresh_joined_total", 1);
}

fn a_refresh_that_began_before_a_source_was_added_is_not_shared<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let gate = stage.server().hold_back(M::INDEX);
    let first = stage.start(&["refresh"]);
    stage.sandbox().wait_until("the index is asked for", || stage.refreshes() == 1);
    let more = M::Repo::with(&[package("tb-other", "1.0")]);
    stage.manager.add_source("more", &more);
    let second = stage.start(&["refresh"]);
    second.wait_to_hear("waiting for linux-patch refresh");
    drop(gate);
    // The refresh may find the new source without an index.
    assert_ne!(first.report().code, 2);
    let second = second.report();
    second.exits(0).says("/joined", false);
    assert_eq!(second.state["sources"].as_array().map(Vec::len), Some(2), "{second}");
    assert!(more.server().requests(M::INDEX) > 0, "the new source was not read: {second}");
}

fn a_source_added_after_the_refresh_makes_the_state_stale<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    stage.patch(&["refresh"]).exits(0);
    let more = M::Repo::with(&[package("tb-other", "1.0")]);
    stage.manager.add_source("more", &more);
    stage.patch(&["status"]).exits(1).says("/cache_status", "stale");
    stage.patch(&["refresh"]).exits(0);
    stage.patch(&["status"]).exits(0);
}

fn an_index_that_is_gone_is_stale_and_refreshed<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    stage.patch(&["refresh"]).exits(0);
    stage.patch(&["status"]).exits(0);
    stage.sandbox().sh(&format!("find {} -type f -delete", M::INDEXES));
    stage.patch(&["status"]).exits(1).says("/cache_status", "stale").mentions("/reason", "is gone");
    stage.patch(&["refresh", "--if-stale"]).exits(0).leaves::<M>(&["tb-hello 1.0 2.0"]);
    stage.patch(&["status"]).exits(0);
}

fn a_file_of_the_index_that_is_damaged_on_the_disk_is_never_no_update_and_heals<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    stage.patch(&["refresh"]).exits(0).leaves::<M>(&["tb-hello 1.0 2.0"]);
    let (dir, sandbox) = (M::INDEXES, stage.sandbox());
    sandbox.sh(&format!(
        "mkdir /srv/packed; cp -a {dir} /srv/saved; cp -a /var/cache/apt/*.bin /srv/packed || :"
    ));
    let files = sandbox.sh(&format!("find {dir} /var/cache/apt -type f -size +0 ! -name '*.deb'"));
    assert!(!files.is_empty());
    for file in files.lines() {
        for (damage, args) in DAMAGES {
            let restore =
                format!("rm -rf {dir}; cp -a /srv/saved {dir}; cp -a /srv/packed/* /var/cache/apt || :");
            sandbox.sh(&format!(
                "{restore}; f='{file}'; cp -p \"$f\" /srv/whole; exec </srv/whole; n=$(stat -c %s \"$f\"); \
                 {damage}; [ ! -e \"$f\" ] || touch -r /srv/whole \"$f\""
            ));
            let first = stage.patch(args);
            let count = first.state["pending"]["count"].clone();
            assert!(count == 1 || (first.code != 0 && count.is_null()), "{file} {damage}: {first}");
            let status = stage.patch(&["status"]);
            assert_ne!(status.json["pending"]["count"], 0, "{file} {damage}: {status}");
            if first.code != 0 {
                assert_ne!(status.code, 0, "{file} {damage}: {status}");
                let second = stage.patch(args);
                assert_eq!(second.code, 0, "{file} {damage}: {first} and then {second}");
                second.leaves::<M>(&["tb-hello 1.0 2.0"]);
            }
        }
    }
}

/// What a power cut, a full disk or a bad sector leaves of the file `$f`, which had `$n` bytes and can be read, and what
/// is done then. The time of the file stays; the last one has its size too, which only an apply can notice.
const DAMAGES: [(&str, &[&str]); 4] = [
    ("rm \"$f\"", &["refresh"]),
    (": >\"$f\"", &["refresh"]),
    ("head -c $((n / 2)) >\"$f\"", &["refresh"]),
    ("{ head -c $((n / 2)); head -c $((n - n / 2)) /dev/zero; } >\"$f\"", &["apply", "--dry-run"]),
];

fn a_source_that_moves_to_a_mirror_that_is_behind_has_what_that_has<M: Manager>() {
    let behind = M::Repo::with(&[package("tb-hello", "2.0")]);
    let stage = Stage::<M>::one(&[package("tb-hello", "1.0")], &[package("tb-hello", "2.0")]);
    stage.repos[0].publish(&[package("tb-hello", "3.0")]);
    stage.patch(&["refresh"]).exits(0).leaves::<M>(&["tb-hello 1.0 3.0"]);
    // In this file a source is a section, not a file of its own.
    stage.sandbox().sh("[ ! -e /etc/pacman.conf ] || sed -i '/^.test.$/,$d' /etc/pacman.conf");
    stage.manager.add_source("test", &behind);
    stage.patch(&["status"]).exits(1).says("/cache_status", "stale");
    stage.patch(&["refresh"]).exits(0).leaves::<M>(&["tb-hello 1.0 2.0"]);
    stage.patch(&["apply"]).did_all::<M>(&["tb-hello 1.0 2.0"]);
}

fn an_update_that_is_withdrawn_before_its_download_is_nothing_to_do<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    stage.patch(&["refresh"]).exits(0);
    stage.repos[0].publish_before(&M::file_of("tb-hello", "2.0"), 1, &[package("tb-hello", "1.0")]);
    let applied = stage.patch(&["apply"]);
    applied.exits(0).says("/retried", true).did::<M>(&[]).leaves::<M>(&[]);
    stage.has_exactly(&["tb-hello 1.0"]);
}

fn what_the_manager_does_not_read_leaves_the_index_fresh<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    const MORE: [&str; 15] = [
        "apt/apt.conf.d",
        "apt/preferences.d",
        "apt/trusted.gpg.d",
        "apt/keyrings",
        "dnf/vars",
        "dnf/modules.d",
        "dnf/plugins",
        "dnf/repos.override.d",
        "dnf/libdnf5.conf.d",
        "dnf",
        "yum/vars",
        "zypp/vars.d",
        "zypp/zypp.conf.d",
        "zypp/multiversion.d",
        "zypp",
    ];
    for dir in MORE {
        stage
            .sandbox()
            .sh(&format!("[ ! -d /etc/{} ] || mkdir -p /etc/{dir}", dir.split('/').next().unwrap()));
    }
    let refreshed = stage.patch(&["refresh"]);
    let sources = refreshed.exits(0).state["sources"].as_array().map(Vec::len);
    // What packages and editors leave, and what is no file.
    for dir in MORE.map(|dir| format!("/etc/{dir}")).into_iter().chain(["/etc".to_string()]) {
        if !stage.sandbox().exists(&dir) {
            continue;
        }
        for name in [
            "dnf.conf.rpmnew",
            "zypp.conf.rpmsave",
            "pacman.conf.pacnew",
            "50test.conf.dpkg-new",
            "50test.ucf-dist",
            "test.pref~",
            ".test.conf.swp",
            ".hidden",
            "locks.rpmsave",
            "x.toml.rpmnew",
        ] {
            stage.sandbox().write(&format!("{dir}/{name}"), "[broken\nno setting at all\n");
            let status = stage.patch(&["status"]);
            assert_eq!(
                (status.code, &status.json["pending"]["outdated"]),
                (0, &Value::Bool(false)),
                "{dir}/{name}"
            );
        }
        stage.sandbox().sh(&format!("mkdir {dir}/test.conf {dir}/test.d"));
        let status = stage.patch(&["status"]);
        assert_eq!((status.code, &status.json["pending"]["outdated"]), (0, &Value::Bool(false)), "{dir}");
        stage.sandbox().sh(&format!("rmdir {dir}/test.conf {dir}/test.d"));
    }
    for (dir, names) in [
        (
            "/etc/apt/sources.list.d",
            "a.list.dpkg-dist a.sources.ucf-dist a.list.save a.list~ .a.list a.disabled a|b.list a|b.sources a+b.list \
             \u{e9}.list a(1).sources a.list. a@b.list a.list.list~ LIST",
        ),
        (
            "/etc/apk",
            "repositories.apk-new repositories~ repositories.bak .repositories.swp arch.apk-new config.apk-new config~ \
             world.apk-new",
        ),
        (
            "/etc/apk/repositories.d",
            "a.list.apk-new a.list~ a.list.save a.list.bak .a.list a.disabled README LIST",
        ),
        ("/etc/yum.repos.d", "a.repo.rpmsave a.repo.rpmnew a.repo.rpmorig a.repo~ .a.repo.swp a.bak"),
        ("/etc/zypp/repos.d", "a.repo.rpmsave a.repo.rpmnew a.repo~ .a.repo.swp a.bak"),
        (
            "/etc/pacman.d",
            "mirrorlist.pacnew mirrorlist.pacsave mirrorlist.pacsave.1 mirrorlist.bak mirrorlist~ README 4913 mirrorlist.2 \
             mirrorlist-20261101 #mirrorlist# unused.conf",
        ),
    ] {
        for name in ["a.list", "a.repo", "a.sources"].into_iter().filter(|_| stage.sandbox().exists(dir)) {
            stage.sandbox().sh(&format!("mkdir {dir}/{name}"));
            assert_eq!(stage.patch(&["status"]).code, 0, "{dir}/{name}/");
            stage.sandbox().sh(&format!("rmdir {dir}/{name}"));
        }
        for name in names.split(' ').filter(|_| stage.sandbox().exists(dir)) {
            let name = name.replace('|', " ");
            stage.sandbox().write(&format!("{dir}/{name}"), "[broken\nno source at all\n");
            let status = stage.patch(&["status"]);
            assert_eq!(status.code, 0, "{dir}/{name}: {status}");
        }
    }
    // If one of them were read, this would fail.
    let refreshed = stage.patch(&["refresh"]);
    assert_eq!(refreshed.exits(0).state["sources"].as_array().map(Vec::len), sources);
}

fn a_package_installed_behind_its_back_outdates_what_is_pending<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    stage.patch(&["refresh"]).exits(0);
    stage.patch(&["status"]).exits(0).says("/pending/outdated", false);
    stage.manager.install(&[package("tb-world", "1.0")]);
    stage.patch(&["status"]).exits(0).says("/pending/outdated", true);
    stage.patch(&["apply"]).did_all::<M>(&["tb-hello 1.0 2.0"]);
    stage.patch(&["status"]).exits(0).says("/pending/outdated", false).says("/pending/count", 0);
}

fn updates_come_with_their_new_dependencies_and_are_reported_with_both_versions<M: Manager>() {
    let stage = Stage::<M>::one(
        &[package("tb-hello", "1.0"), package("tb-world", "1.0")],
        &[package("tb-hello", "2.0").needs("tb-new"), package("tb-new", "1.0"), package("tb-world", "2.0")],
    );
    let applied = stage.patch(&["apply"]);
    applied.did_all::<M>(&["tb-hello 1.0 2.0", "tb-new - 1.0", "tb-world 1.0 2.0"]).leaves::<M>(&[]);
    applied.says("/retried", false);
    stage.has_exactly(&["tb-hello 2.0", "tb-new 1.0", "tb-world 2.0"]);
    stage.sandbox().runs_nothing();
    stage.patch(&["status"]).exits(0).says("/apply/last/outcome", "success");
}

fn a_dry_run_says_what_would_change_and_changes_nothing<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let dry = stage.patch(&["apply", "--dry-run"]);
    dry.exits(0).did::<M>(&["tb-hello 1.0 2.0"]).says("/reboot_expected", Value::Null);
    let bytes = dry.json["download_bytes"].as_u64();
    let is_told = ["dnf", "dnf5", "zypper"].contains(&M::NAME);
    assert_eq!(bytes.is_some_and(|bytes| bytes > 1000), is_told, "{dry}");
    stage.has_exactly(&["tb-hello 1.0"]);
    assert_eq!(stage.server().requests(HELLO), 0);
    let core = stage.manager.core("1.0");
    stage.repos[0].publish(&[core.clone(), package("tb-hello", "3.0").needs(&core.name)]);
    let dry = stage.patch(&["apply", "--dry-run"]);
    dry.exits(0).did::<M>(&[&format!("{} - 1.0", core.name), "tb-hello 1.0 3.0"]);
    dry.says("/reboot_expected", true).says("/reboot_required", false);
    stage.patch(&["apply", "--dry-run", "--exclude", "*"]).exits(0).says("/reboot_expected", false);
}

fn what_was_downloaded_is_installed_without_another_request<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    stage.patch(&["apply", "--download-only"]).exits(0).did::<M>(&[]);
    stage.has_exactly(&["tb-hello 1.0"]);
    assert!(stage.server().requests(HELLO) > 0, "downloaded");
    let requests = stage.server().requests(HELLO);
    stage.patch(&["apply"]).did_all::<M>(&["tb-hello 1.0 2.0"]);
    assert_eq!(stage.server().requests(HELLO), requests, "downloaded once");
}

fn a_package_replaced_between_refresh_and_download_is_installed_in_its_newer_version<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    stage.repos[0].publish_before(HELLO, 1, &[package("tb-hello", "3.0")]);
    let applied = stage.patch(&["apply"]);
    applied.did_all::<M>(&["tb-hello 1.0 3.0"]).leaves::<M>(&[]);
    applied
        .says("/retried", true)
        .remembers("/apply/last/retried", true)
        .remembers("/counters/refresh_total", 2)
        .remembers("/counters/apply_retried_total", 1)
        .remembers("/counters/apply_failed_total", 0);
    stage.has_exactly(&["tb-hello 3.0"]);
}

fn a_package_replaced_twice_in_a_row_fails_after_exactly_one_retry<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    for (gone, new) in [("2.0", "3.0"), ("3.0", "4.0")] {
        stage.repos[0].publish_before(&M::file_of("tb-hello", gone), 1, &[package("tb-hello", new)]);
    }
    stage
        .patch(&["apply"])
        .apply_failed("fetch")
        .mentions("/error/message", M::gone())
        .says("/retried", true)
        .did::<M>(&[])
        .remembers("/counters/refresh_total", 2)
        .remembers("/counters/apply_retried_total", 1);
    stage.has_exactly(&["tb-hello 1.0"]);
    stage.patch(&["apply"]).did_all::<M>(&["tb-hello 1.0 4.0"]).says("/retried", false);
}

/// A download that fails like this is retried once, and the next apply is fine.
#[track_caller]
fn is_retried_once<M: Manager>(fault: Fault, classes: &[&str]) {
    let stage = Stage::<M>::pending_update();
    stage.server().fault(HELLO, fault);
    let applied = stage.patch(&["apply"]);
    applied.apply_failed(one_of(classes, &applied.json["error"])).says("/retried", true).did::<M>(&[]);
    applied.remembers("/counters/refresh_total", 2).remembers("/counters/apply_retried_total", 1);
    stage.has_exactly(&["tb-hello 1.0"]);
    stage.server().heal();
    stage.patch(&["apply"]).did_all::<M>(&["tb-hello 1.0 2.0"]).says("/retried", false);
}

/// A server may write anything there.
fn the_words_behind_the_number_of_an_answer_decide_nothing<M: Manager>() {
    let words = ["No space left on device", "NO_PUBKEY 0123456789ABCDEF"];
    let stage = Stage::<M>::three();
    let server = stage.repos[1].server();
    for words in words {
        server.fault("/", Fault::Reason(404, words));
        let id = stage.manager.source_id("beta", &stage.repos[1]);
        stage.patch(&["refresh"]).exits(1).one_source_failed(3, &id, "fetch");
        server.heal();
        stage.patch(&["refresh"]).exits(0);
    }
    for words in words {
        is_retried_once::<M>(Fault::Reason(403, words), &["fetch"]);
    }
}

fn a_package_that_stays_away_is_retried_once<M: Manager>() {
    is_retried_once::<M>(Fault::Status(404), &["fetch"]);
}

fn a_forbidden_package_is_retried_once<M: Manager>() {
    is_retried_once::<M>(Fault::Status(403), &["fetch"]);
}

fn an_overloaded_mirror_is_retried_once<M: Manager>() {
    is_retried_once::<M>(Fault::Status(503), &["fetch"]);
}

fn a_connection_closed_during_the_download_is_retried_once<M: Manager>() {
    is_retried_once::<M>(Fault::Close, &["network"]);
}

fn a_damaged_package_is_never_installed<M: Manager>() {
    is_retried_once::<M>(Fault::Flip, &["fetch"]);
    is_retried_once::<M>(Fault::Short, &["fetch"]);
    is_retried_once::<M>(Fault::Cut, &["fetch", "network"]);
}

/// Gives a directory a disk of its own, with so many kilobytes left.
fn fill<M: Manager>(stage: &Stage<M>, dir: &str, room: u32) {
    stage.sandbox().sh(&format!(
        "mkdir -p {dir} /run/disk && mount -t tmpfs -o size=4M full /run/disk && cp -a {dir} /run/disk/dir && \
         {{ cat /dev/zero >/run/disk/filler 2>/dev/null || true; }} && truncate -s -{room}K /run/disk/filler && \
         mount --bind /run/disk/dir {dir}"
    ));
}

fn empty<M: Manager>(stage: &Stage<M>, dir: &str) {
    stage.sandbox().sh(&format!("umount {dir} /run/disk"));
}

fn a_full_disk_under_the_downloads_is_no_fetch_error<M: Manager>() {
    let stage = Stage::<M>::one(&[package("tb-hello", "1.0")], &[package("tb-hello", "2.0").padded(400_000)]);
    stage.patch(&["refresh"]).exits(0);
    let downloads = M::DOWNLOADS;
    for room in [0, 64, 200] {
        fill(&stage, downloads, room);
        stage.patch(&["apply"]).apply_failed("space").says("/retried", false).did::<M>(&[]);
        stage.has_exactly(&["tb-hello 1.0"]);
        empty(&stage, downloads);
    }
    stage.patch(&["apply"]).did_all::<M>(&["tb-hello 1.0 2.0"]);
}

/// So little space that the manager may not find out itself why its files are too short.
fn a_disk_without_room_for_the_smallest_file_is_no_fetch_error<M: Manager>() {
    let stage = Stage::<M>::one(&[package("tb-hello", "1.0")], &[package("tb-hello", "2.0")]);
    stage.patch(&["refresh"]).exits(0);
    let indexes = M::INDEXES;
    for (version, room) in [("3.0", 0), ("4.0", 4), ("5.0", 12)] {
        fill(&stage, indexes, room);
        stage.repos[0].publish(&[package("tb-hello", version)]);
        let report = stage.patch(&["refresh"]);
        // Some need very little.
        if room == 0 || report.json["exit_code"] != 0 {
            report.refresh_failed("space");
        }
        empty(&stage, indexes);
    }
    stage.patch(&["refresh"]).exits(0);
}

/// Some managers then only say that the index is damaged.
fn a_full_disk_under_temporary_files_is_no_fetch_error<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    stage.patch(&["refresh"]).exits(0);
    for dir in ["/tmp", "/var/tmp"] {
        let room = format!(
            "mount -t tmpfs -o size=4k,mode=1777 full {dir}; head -c 8192 /dev/zero >{dir}/x || true"
        );
        stage.sandbox().sh(&room);
    }
    for version in ["2.0", "3.0"] {
        stage.repos[0].publish(&[package("tb-hello", version)]);
        let refreshed = stage.patch(&["refresh"]);
        if refreshed.code != 0 {
            refreshed.refresh_failed("space");
        }
    }
    stage.sandbox().sh("umount /tmp /var/tmp");
    stage.patch(&["refresh"]).exits(0).leaves::<M>(&["tb-hello 1.0 3.0"]);
}

/// Some managers try all the same, and say no more than that a file could not be renamed.
fn a_system_that_is_mounted_read_only_is_named_and_keeps_its_packages<M: Manager>() {
    let names = ["tb-hello", "tb-world"];
    let stage = Stage::<M>::one(
        &names.map(|name| package(name, "1.0")),
        &names.map(|name| package(name, "2.0").padded(1000)),
    );
    stage.sandbox().sh("mount --bind /usr /usr; mount -o remount,ro,bind /usr");
    let applied = stage.patch(&["apply"]);
    applied.apply_failed("space").says("/retried", false).did::<M>(&[]);
    // In our words, in pacman's or in those of dnf5.
    let message = applied.json["error"]["message"].as_str().unwrap_or_default();
    let says =
        ["/usr is mounted read-only", "/usr is mounted read only", "/usr is configured to be read-only"];
    assert!(says.iter().any(|words| message.contains(words)), "{applied}");
    stage.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
    stage.sandbox().sh("mount -o remount,rw,bind /usr");
    stage.patch(&["apply"]).did_all::<M>(&["tb-hello 1.0 2.0", "tb-world 1.0 2.0"]);
    stage.has_exactly(&["tb-hello 2.0", "tb-world 2.0"]);
}

fn a_failing_script_is_reported_as_one_whatever_it_prints<M: Manager>() {
    let words =
        "echo 'E: Failed to fetch http://x 404 Not Found'; echo 'Error: Failed to download metadata' >&2";
    let stage = Stage::<M>::one(
        &[package("tb-brk", "1.0"), package("tb-hello", "1.0")],
        &[package("tb-brk", "2.0").script(&format!("{words}; exit 1")), package("tb-hello", "2.0")],
    );
    let applied = stage.patch(&["apply"]);
    applied.apply_failed("script").mentions("/error/message", "tb-brk").says("/retried", false);
    assert_eq!(stage.refreshes(), 1);
    // What has changed is reported, whether or not the package with the script counts as installed.
    let told = applied.state["apply"]["last"]["packages"].to_string();
    let found = stage.manager.installed();
    assert_eq!(told.contains("tb-hello"), found.contains(&"tb-hello 2.0".to_string()), "{applied}");
    assert!(found.iter().any(|row| row == "tb-hello 2.0"), "{found:?} {applied}");
    // A machine whose last apply failed is not healthy, however fresh its index is.
    let status = stage.patch(&["status"]);
    status.exits(1).says("/cache_status", "fresh").says("/status", "degraded");
    let reason = status.json["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("the last apply failed (script: ") && reason.contains(".log"), "{status}");
}

fn a_script_that_succeeds_may_say_what_it_likes<M: Manager>() {
    let words = "echo 'E: Failed to fetch http://x 404 Not Found'; echo 'error: failed to retrieve some files' >&2; \
                 echo 'No space left on device'";
    let stage = Stage::<M>::one(&[package("tb-talk", "1.0")], &[package("tb-talk", "2.0").script(words)]);
    stage.patch(&["apply"]).did_all::<M>(&["tb-talk 1.0 2.0"]).says("/retried", false);
}

fn an_update_that_cannot_be_resolved_stays_and_the_others_come<M: Manager>() {
    let stage = Stage::<M>::one(
        &[package("tb-dep", "1.0"), package("tb-hello", "1.0")],
        &[package("tb-dep", "2.0").needs("tb-none"), package("tb-hello", "2.0")],
    );
    stage.patch(&["apply"]).did_all::<M>(&["tb-hello 1.0 2.0"]);
    stage.has_exactly(&["tb-dep 1.0", "tb-hello 2.0"]);
}

/// What is said of it is not why the download of another one failed.
fn a_package_that_is_gone_is_retried_beside_an_update_that_stays<M: Manager>() {
    let stays = || package("tb-dep", "2.0").needs("tb-none");
    let stage = Stage::<M>::one(
        &[package("tb-dep", "1.0"), package("tb-hello", "1.0")],
        &[stays(), package("tb-hello", "2.0")],
    );
    stage.repos[0].publish_before(HELLO, 1, &[stays(), package("tb-hello", "3.0")]);
    stage.patch(&["apply"]).did_all::<M>(&["tb-hello 1.0 3.0"]).says("/retried", true);
    stage.has_exactly(&["tb-dep 1.0", "tb-hello 3.0"]);
}

fn an_update_that_cannot_be_resolved_never_looks_like_success<M: Manager>() {
    let stage = Stage::<M>::one(
        &[package("tb-dep", "1.0")],
        &[package("tb-dep", "2.0").needs("tb-none"), package("tb-hello", "2.0")],
    );
    let applied = stage.patch(&["apply"]);
    applied.did::<M>(&[]);
    let held_back = applied.json["pending"]["held_back"].to_string().contains("tb-dep");
    let failed = applied.code == 2 && applied.json["error"]["class"] == "dependency";
    let said = held_back || failed || applied.stderr.contains("tb-dep stays as it is");
    assert!(said, "{applied}");
    stage.has_exactly(&["tb-dep 1.0"]);
}

fn a_configuration_file_changed_on_the_machine_is_kept<M: Manager>() {
    let stage = Stage::<M>::one(
        &[package("tb-conf", "1.0").config("one\n")],
        &[package("tb-conf", "2.0").config("two\n")],
    );
    stage.sandbox().sh("echo mine >/etc/tb-conf.conf");
    let applied = stage.patch(&["apply"]);
    applied.did_all::<M>(&["tb-conf 1.0 2.0"]);
    assert_eq!(stage.sandbox().read("/etc/tb-conf.conf").as_deref(), Some("mine\n"));
    // What came with the package lies beside it, and is named.
    let beside: Vec<_> =
        stage.sandbox().list("/etc").into_iter().filter(|name| name.starts_with("tb-conf.conf.")).collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
    let path = format!("/etc/{}", beside[0]);
    applied.says("/config_files", serde_json::json!([path]));
    applied.remembers("/apply/last/config_files", serde_json::json!([path]));
}

fn named_packages_are_installed_and_no_other<M: Manager>() {
    let stage = Stage::<M>::one(
        &["tb-a", "tb-b", "tb-c"].map(|name| package(name, "1.0")),
        &["tb-a", "tb-b", "tb-c"].map(|name| package(name, "2.0")),
    );
    stage.patch(&["apply", "tb-a"]).did_all::<M>(&["tb-a 1.0 2.0"]);
    stage.has_exactly(&["tb-a 2.0", "tb-b 1.0", "tb-c 1.0"]);
    stage.patch(&["apply", "tb-unknown"]).apply_failed("dependency").did::<M>(&[]);
    stage.patch(&["apply", "-y"]).exits(3);
    stage.patch(&["apply", "--", "--assumeyes"]).exits(3);
    stage.patch(&["apply", "tb b"]).exits(3);
    stage.has_exactly(&["tb-a 2.0", "tb-b 1.0", "tb-c 1.0"]);
}

fn only_what_the_chosen_sources_offer_is_installed<M: Manager>() {
    // Each updates one of its own; "vendor" also one that needs a new package and a newer one of "base".
    let manager = M::new();
    let base =
        M::Repo::with(&[package("tb-base", "2.0"), package("tb-lib", "2.0"), package("tb-new", "1.0")]);
    let app = package("tb-app", "2.0").needs("tb-new");
    let vendor = M::Repo::with(&[package("tb-own", "2.0"), app.clone()]);
    manager.add_source("base", &base);
    manager.add_source("vendor", &vendor);
    manager.install(&["tb-base", "tb-lib", "tb-own", "tb-app"].map(|name| package(name, "1.0")));
    let stage = Stage::<M> { manager, repos: vec![base, vendor] };
    let glob = format!("*{}*", stage.manager.source_id("vendor", &stage.repos[1]));

    let wrong = stage.patch(&["apply", "--from", "nowhere*"]);
    wrong.exits(3).says("/error/class", "config").says("/packages", serde_json::json!([]));
    wrong.mentions("/reason", "--from nowhere* matches no source; there are: ");
    wrong.mentions("/reason", &stage.manager.source_id("base", &stage.repos[0]));
    wrong.remembers("/apply/in_progress", Value::Null).remembers("/apply/last", Value::Null);

    stage.patch(&["apply", "--from", &glob, "tb-base"]).did_all::<M>(&[]);
    stage
        .patch(&["apply", "--from", &glob, "--exclude", "tb-app", "--dry-run"])
        .did::<M>(&["tb-own 1.0 2.0"]);
    stage.patch(&["apply", "--from", &glob, "tb-own"]).did_all::<M>(&["tb-own 1.0 2.0"]);
    let applied = stage.patch(&["apply", "--from", &glob]);
    applied.did_all::<M>(&["tb-app 1.0 2.0", "tb-new - 1.0"]);
    stage.has_exactly(&["tb-app 2.0", "tb-base 1.0", "tb-lib 1.0", "tb-new 1.0", "tb-own 2.0"]);

    // A newer version in another source is not what this one offers.
    stage.repos[0].publish(&[package("tb-base", "2.0"), package("tb-own", "9.0")]);
    stage.repos[1].publish(&[package("tb-app", "3.0"), package("tb-own", "3.0")]);
    let applied = stage.patch(&["apply", "--from", &glob, "--full"]);
    applied.exits(0);
    let installed = stage.manager.installed();
    assert!(installed.contains(&"tb-app 3.0".to_string()), "{applied}");
    assert!(installed.contains(&"tb-base 1.0".to_string()), "{applied}");
    let own: Vec<_> = installed.iter().filter(|line| line.starts_with("tb-own ")).collect();
    assert!(own == ["tb-own 3.0"] || own == ["tb-own 2.0"], "{applied}");
    assert_eq!(own == ["tb-own 3.0"], M::PASSES_OVER, "{applied}");
    stage.patch(&["apply", "--from", &glob, "--from", "*"]).exits(0);
    assert!(stage.manager.installed().contains(&"tb-base 2.0".to_string()));
}

fn what_nothing_needs_any_more_goes_where_that_is_asked_for<M: Manager>() {
    let dep = package("tb-dep", "1.0").needs("tb-deep");
    let stage = Stage::<M>::one(
        &["tb-app", "tb-own"].map(|name| package(name, "1.0")),
        &[package("tb-app", "2.0").needs("tb-dep"), dep, package("tb-deep", "1.0")],
    );
    let came = ["tb-app 1.0 2.0", "tb-deep - 1.0", "tb-dep - 1.0"];
    stage.patch(&["apply", "--autoremove"]).did_all::<M>(&came);
    stage.repos[0].publish(&[package("tb-app", "3.0")]);
    let set = stage.sandbox().run(&["grep", "-rqs", "AutomaticRemove", "/etc/apt"]).code == 0;
    let applied = stage.patch(&["apply"]);
    if set && M::NAME == "apt" {
        // The administrator has apt do so by itself.
        applied.did_all::<M>(&["tb-app 2.0 3.0", "tb-deep 1.0 -", "tb-dep 1.0 -"]);
        return;
    }
    applied.did_all::<M>(&["tb-app 2.0 3.0"]);
    stage.has_exactly(&["tb-app 3.0", "tb-deep 1.0", "tb-dep 1.0", "tb-own 1.0"]);

    if stage.sandbox().run(&["grep", "-qs", "history_record=0", "/etc/dnf/dnf.conf"]).code == 0
        && M::NAME == "dnf"
    {
        // Its record does not say of any package why it came: somebody may want all of them.
        stage.patch(&["apply", "--autoremove"]).exits(0).did::<M>(&[]);
        return;
    }
    let goes = ["tb-deep 1.0 -", "tb-dep 1.0 -"];
    stage.patch(&["apply", "--autoremove", "--dry-run"]).exits(0).did::<M>(&goes);
    stage.patch(&["apply", "--autoremove", "--download-only"]).exits(0);
    // What is excluded keeps what it needs.
    stage.patch(&["apply", "--autoremove", "--exclude", "tb-dep"]).exits(0).did::<M>(&[]);
    stage.has_exactly(&["tb-app 3.0", "tb-deep 1.0", "tb-dep 1.0", "tb-own 1.0"]);
    stage.repos[0].publish(&[package("tb-app", "4.0")]);
    let applied = stage.patch(&["apply", "--autoremove", "--exclude", "tb-deep"]);
    applied.exits(0).did::<M>(&["tb-app 3.0 4.0", "tb-dep 1.0 -"]);
    let applied = stage.patch(&["apply", "--autoremove"]);
    applied.exits(0).did::<M>(&["tb-deep 1.0 -"]).mentions("/reason", "1 package changed");
    stage.has_exactly(&["tb-app 4.0", "tb-own 1.0"]);
    stage.patch(&["apply", "--autoremove"]).exits(0).says("/reason", "nothing pending");
    stage.patch(&["status"]).exits(0);
}

fn what_no_source_offers_any_more_is_told<M: Manager>() {
    let stage = Stage::<M>::one(
        &[package("tb-gone", "1.0"), package("tb-hello", "1.0"), package("tb-newer", "3.0")],
        &[package("tb-hello", "2.0"), package("tb-newer", "2.0")],
    );
    // Some packages need others that no repository here has.
    let is_gone = |name: &str| {
        let status = stage.patch(&["status"]);
        let names = status.json["not_offered"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| panic!("not_offered is not told: {status}"));
        names.iter().any(|known| known == name)
    };
    stage.patch(&["refresh"]).exits(0);
    assert!(is_gone("tb-gone") && !is_gone("tb-hello") && !is_gone("tb-newer"));
    let text = stage.sandbox().run(&["linux-patch", "status", "-v"]).stdout;
    assert!(text.contains("offered by no source, and will get no updates: "), "{text}");
    // While its source is down nobody knows.
    stage.server().fault("/", Fault::Status(404));
    stage.patch(&["refresh"]).exits(2);
    assert!(is_gone("tb-gone") && !is_gone("tb-hello"));
    stage.server().heal();
    stage.repos[0].publish(&[package("tb-gone", "1.0"), package("tb-newer", "2.0")]);
    stage.patch(&["refresh"]).exits(0);
    assert!(!is_gone("tb-gone") && is_gone("tb-hello"));
}

fn while_a_source_was_never_read_nobody_knows_what_no_source_offers<M: Manager>() {
    let stage = Stage::<M>::three();
    stage.repos[1].server().fault("/", Fault::Status(404));
    let told = |code: i32| stage.patch(&["refresh"]).exits(code).state["not_offered"].clone();
    assert_eq!(told(1), Value::Null, "its packages would be among them");
    stage.repos[1].server().heal();
    let whole = told(0);
    let names = whole.as_array().unwrap_or_else(|| panic!("not told: {whole}"));
    assert!(!names.iter().any(|name| name == "tb-beta"), "{whole}");
    // Nor is it asked anew while one is down, though another has something new.
    stage.repos[1].server().fault("/", Fault::Status(404));
    stage.repos[0].publish(&[package("tb-alpha-new", "1.0")]);
    assert_eq!(told(1), whole);
}

fn what_an_exclude_drags_along_is_said<M: Manager>() {
    let stage = Stage::<M>::one(
        &["tb-app", "tb-lib", "tb-own"].map(|name| package(name, "1.0")),
        &[
            package("tb-app", "2.0").needs("tb-lib-new"),
            package("tb-lib-new", "1.0"),
            package("tb-own", "2.0"),
        ],
    );
    let applied =
        stage.patch(&["apply", "--exclude", "tb-lib-new", "--exclude", "tb-nothing*", "--exclude", "tb-lib"]);
    applied.exits(0).did::<M>(&["tb-own 1.0 2.0"]);
    let warned = |words: &str| assert!(applied.stderr.contains(words), "no {words:?}: {applied}");
    warned("--exclude tb-nothing* matches no installed package");
    // pacman refuses everything, and names the package: then it is held back.
    let is_held = applied.stderr.contains("tb-app stays as it is (dependency: ");
    assert_eq!(is_held, M::NAME == "pacman", "{applied}");
    if !is_held {
        warned("left out too, because of what is excluded: tb-app");
    }
    assert!(!applied.stderr.contains("--exclude tb-lib"), "{applied}");
    // Also where nothing is pending any more.
    stage.patch(&["apply"]).exits(0);
    let nothing = stage.patch(&["apply", "--exclude", "tb-other*"]);
    assert!(nothing.stderr.contains("--exclude tb-other* matches no installed package"), "{nothing}");
}

fn excluded_packages_stay_as_they_are<M: Manager>() {
    let stage = Stage::<M>::one(
        &["tb-a", "tb-b", "tb-c"].map(|name| package(name, "1.0")),
        &["tb-a", "tb-b", "tb-c"].map(|name| package(name, "2.0")),
    );
    stage.patch(&["apply", "--exclude", "tb-[ab]"]).did_all::<M>(&["tb-c 1.0 2.0"]);
    stage.has_exactly(&["tb-a 1.0", "tb-b 1.0", "tb-c 2.0"]);
    stage
        .patch(&["apply", "--exclude", "tb-b"])
        .did_all::<M>(&["tb-a 1.0 2.0"])
        .leaves::<M>(&["tb-b 1.0 2.0"]);
    stage.patch(&["apply", "--exclude", "*"]).did_all::<M>(&[]);
    stage.patch(&["apply"]).did_all::<M>(&["tb-b 1.0 2.0"]);
}

fn a_refresh_waits_for_the_managers_lock<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let (holder, pid) = stage.manager.hold_lock(Duration::from_secs(80));
    let refresh = stage.start(&["refresh", "--timeout", &budget(30)]);
    refresh.wait_to_hear(&format!("process {pid}"));
    stage.sandbox().signal(pid, "KILL");
    holder.wait();
    refresh.report().exits(0).leaves::<M>(&["tb-hello 1.0 2.0"]);
}

fn a_refresh_gives_up_on_a_lock_that_is_never_let_go_and_names_its_holder<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let (holder, pid) = stage.manager.hold_lock(Duration::from_secs(80));
    let refreshed = stage.patch(&["refresh", "--timeout", "5s"]);
    refreshed.refresh_failed("lock").mentions("/reason", &format!("process {pid}"));
    assert!(refreshed.elapsed < Duration::from_secs(5) + at_leisure(7), "{refreshed}");
    stage.sandbox().signal(pid, "KILL");
    holder.wait();
    stage.sandbox().runs_nothing();
    stage.patch(&["refresh"]).exits(0);
}

fn an_apply_waits_for_the_managers_lock<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let (holder, pid) = stage.manager.hold_lock(Duration::from_secs(80));
    let apply = stage.start(&["apply", "--wait", &budget(30)]);
    apply.wait_to_hear(&format!("process {pid}"));
    stage.sandbox().signal(pid, "KILL");
    holder.wait();
    apply.report().did_all::<M>(&["tb-hello 1.0 2.0"]).says("/retried", false);
}

fn an_apply_gives_up_on_the_lock_in_time<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let (holder, pid) = stage.manager.hold_lock(Duration::from_secs(80));
    let applied = stage.patch(&["apply", "--wait", "2s"]);
    applied.apply_failed("lock").says("/retried", false).did::<M>(&[]);
    applied.mentions("/error/message", &format!("process {pid}"));
    assert!(applied.elapsed < at_leisure(12), "{applied}");
    stage.sandbox().signal(pid, "KILL");
    holder.wait();
    stage.sandbox().runs_nothing();
    stage.patch(&["apply"]).did_all::<M>(&["tb-hello 1.0 2.0"]);
}

/// A signal during the download ends the run, with nothing left of it.
#[track_caller]
fn stops_a_download<M: Manager>(signal: &str) {
    let stage = Stage::<M>::pending_update();
    stage.server().fault(HELLO, Fault::Hang);
    let running = stage.start(&["apply"]);
    stage.sandbox().wait_until("the download has begun", || stage.server().requests(HELLO) > 0);
    stage.sandbox().signal(stage.sandbox().patch_pid(), signal);
    let since = Instant::now();
    let applied = running.report();
    applied.apply_failed("interrupted").did::<M>(&[]).says("/retried", false);
    applied.remembers("/apply/last/outcome", "interrupted");
    assert!(since.elapsed() < at_leisure(10), "{applied}");
    stage.sandbox().runs_nothing();
    stage.has_exactly(&["tb-hello 1.0"]);
    stage.server().heal();
    stage.patch(&["apply"]).did_all::<M>(&["tb-hello 1.0 2.0"]);
}

fn what_somebody_installs_during_the_download_is_not_ours<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let keeper = stage.server().hold_back(HELLO);
    let running = stage.start(&["apply"]);
    stage.sandbox().wait_until("the download has begun", || stage.server().requests(HELLO) > 0);
    stage.manager.install(&[package("tb-other", "1.0")]);
    drop(keeper);
    running.report().did_all::<M>(&["tb-hello 1.0 2.0"]);
    stage.has_exactly(&["tb-hello 2.0", "tb-other 1.0"]);
}

fn a_termination_stops_a_download<M: Manager>() {
    stops_a_download::<M>("TERM");
}

fn control_c_stops_a_download<M: Manager>() {
    stops_a_download::<M>("INT");
}

fn no_signal_stops_an_install<M: Manager>() {
    let stage = Stage::<M>::slow_update(60);
    let mut command = stage.sandbox().command("setsid");
    command.args(["--wait", "linux-patch", "--format", "json", "--manager", M::NAME, "apply"]);
    let running = stage.sandbox().start(command);
    stage.sandbox().wait_for_file(IN_SCRIPT);
    let pid = stage.sandbox().patch_pid();
    // To itself and, as a terminal does, to its whole group.
    for signal in ["TERM", "INT", "HUP"] {
        stage.sandbox().sh(&format!("kill -s {signal} {pid}; kill -s {signal} -- -{pid}"));
        std::thread::sleep(Duration::from_millis(200));
    }
    stage.sandbox().write("/run/fast", "");
    running.report().did_all::<M>(&["tb-slow 1.0 2.0"]);
    stage.has_exactly(&["tb-slow 2.0"]);
    stage.sandbox().runs_nothing();
}

fn an_install_outlives_a_linux_patch_that_is_killed_outright<M: Manager>() {
    let stage = Stage::<M>::slow_update(60);
    let running = stage.in_mid_install();
    stage.sandbox().signal(stage.sandbox().patch_pid(), "KILL");
    assert_eq!(running.wait().code, 137);
    stage.sandbox().write("/run/fast", "");
    stage.sandbox().wait_until("the manager has finished", || stage.sandbox().processes().is_empty());
    stage.has_exactly(&["tb-slow 2.0"]);
    let text = stage.status();
    assert!(text.contains("interrupted"), "{text}");
    stage.patch(&["apply"]).exits(0).says("/repaired", true);
    let text = stage.status();
    assert!(!text.contains("interrupted"), "{text}");
}

fn a_script_that_outlives_its_manager_is_waited_for<M: Manager>() {
    let stage = Stage::<M>::slow_update(60);
    let running = stage.in_mid_install();
    let pid = stage.sandbox().patch_pid();
    let started = stage.sandbox().read(&format!("/proc/{pid}/task/{pid}/children")).unwrap();
    stage.sandbox().signal(started.trim().parse().expect("one manager"), "KILL");
    stage.sandbox().write("/run/fast", "");
    running.report();
    stage.sandbox().runs_nothing();
}

fn everything_killed_in_mid_install_is_repaired_by_the_next_apply<M: Manager>() {
    let stage = Stage::<M>::slow_update(60);
    let running = stage.in_mid_install();
    stage.sandbox().kill_everything();
    running.wait();
    let text = stage.status();
    assert!(text.contains("interrupted") && text.contains("linux-patch apply"), "{text}");
    stage.sandbox().write("/run/fast", "");
    stage.patch(&["apply"]).repaired();
    stage.has_exactly(&["tb-slow 2.0"]);
    stage.sandbox().runs_nothing();
}

fn a_package_that_only_a_restart_puts_to_use_requires_one<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let core = stage.manager.core("1.0");
    let restarts = || stage.sandbox().read("/run/restarts").unwrap_or_default();
    stage.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
    let applied = stage.patch(&["apply", "--reboot=if-needed"]);
    applied.did_all::<M>(&["tb-hello 1.0 2.0"]).says("/reboot_required", false);
    assert_eq!(restarts(), "", "any package will do: {applied}");
    // Package times are whole seconds, and the root has only just started.
    std::thread::sleep(Duration::from_millis(1100));
    stage.repos[0].publish(&[core.clone(), package("tb-hello", "3.0").needs(&core.name)]);
    let applied = stage.patch(&["apply", "--reboot=if-needed"]);
    applied.did_all::<M>(&[&format!("{} - 1.0", core.name), "tb-hello 2.0 3.0"]);
    applied.says("/reboot_required", true).says("/reboot_scheduled", true);
    assert!(restarts().starts_with("shutdown -r ") && restarts().lines().count() == 1, "{}", restarts());
    stage.patch(&["status"]).exits(0).says("/reboot_required", true);
    stage.patch(&["refresh"]).exits(0).remembers("/reboot_required", true);
    // After the restart: another boot, and what lies in /run is gone.
    stage.sandbox().sh(
        "rm -f /run/reboot-* && sed -i 's/\"reboot_boot_id\": *\"[^\"]*\"/\"reboot_boot_id\": \"another\"/' \
         /var/lib/linux-patch/state.json && grep -q another /var/lib/linux-patch/state.json",
    );
    stage.patch(&["status"]).exits(0).says("/reboot_required", false);
}

fn an_update_is_known_since_the_first_refresh_that_found_it<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let refreshed = stage.patch(&["refresh"]);
    let first_seen = refreshed.state["pending"]["packages"][0]["first_seen"].clone();
    assert_eq!(first_seen, refreshed.state["pending"]["as_of"], "{refreshed}");
    // Three days ago, which no test can wait for. A state from an older program has no such time.
    let state = "/var/lib/linux-patch/state.json";
    stage
        .sandbox()
        .sh(&format!("sed -i 's/\"first_seen\": .*,/\"first_seen\": \"2026-01-02T03:04:05Z\",/' {state}"));
    stage.repos[0].publish(&[package("tb-hello", "3.0"), package("tb-other", "2.0")]);
    stage.manager.install(&[package("tb-other", "1.0")]);
    let since = |name: &str, state: &Value| {
        let packages = state["pending"]["packages"].as_array().unwrap();
        packages.iter().find(|package| package["name"] == name).unwrap()["first_seen"].clone()
    };
    for _ in 0..2 {
        let refreshed = stage.patch(&["refresh"]);
        assert_eq!(since("tb-hello", &refreshed.state), "2026-01-02T03:04:05Z", "{refreshed}");
        assert_ne!(since("tb-other", &refreshed.state), "2026-01-02T03:04:05Z", "{refreshed}");
    }
    let applied = stage.patch(&["apply"]);
    applied.did_all::<M>(&["tb-hello 1.0 3.0", "tb-other 1.0 2.0"]);
    let open = |at: usize| applied.json["open_for"][at]["seconds"].as_i64().unwrap();
    assert!(open(0) > 86400 && open(1) < 600, "{applied}");
    let history = stage.sandbox().read("/var/lib/linux-patch/history.jsonl").unwrap();
    assert!(history.lines().last().unwrap().contains("open_for"), "{history}");
    stage.repos[0].publish(&[package("tb-hello", "4.0"), package("tb-other", "2.0")]);
    let refreshed = stage.patch(&["refresh"]);
    assert_ne!(since("tb-hello", &refreshed.state), "2026-01-02T03:04:05Z", "{refreshed}");
}

fn updates_ripen_for_as_long_as_is_asked<M: Manager>() {
    let names = ["tb-a", "tb-b", "tb-c"];
    let of = |version: &str| names.map(|name| package(name, version)).to_vec();
    let stage = Stage::<M>::one(&of("1.0"), &of("2.0"));
    stage.patch(&["refresh"]).exits(0);
    // Two of them are known for long, as one more look at another candidate leaves it.
    let state = "/var/lib/linux-patch/state.json";
    let mut known = stage.sandbox().state();
    for package in known["pending"]["packages"].as_array_mut().unwrap() {
        if package["name"] != "tb-b" {
            package["first_seen"] = "2026-01-02T03:04:05Z".into();
        }
    }
    stage.sandbox().write(state, known.to_string());
    let new = package("tb-new", "1.0");
    let needing = package("tb-a", "3.0").needs("tb-new");
    stage.repos[0].publish(&[needing, package("tb-b", "3.0"), package("tb-c", "3.0"), new]);
    let dry = stage.patch(&["apply", "--dry-run", "--min-age", "7d", "--exclude", "tb-c"]);
    dry.did::<M>(&["tb-a 1.0 3.0", "tb-new - 1.0"]);
    stage.patch(&["apply", "--min-age", "7d", "tb-b"]).did_all::<M>(&[]);
    let applied = stage.patch(&["apply", "--min-age", "7d"]);
    applied.did_all::<M>(&["tb-a 1.0 3.0", "tb-c 1.0 3.0", "tb-new - 1.0"]).leaves::<M>(&["tb-b 1.0 3.0"]);
    applied.mentions("/reason", "1 update known for less than 7 d");
    stage.patch(&["apply", "--min-age", "0"]).did_all::<M>(&["tb-b 1.0 3.0"]);
}

/// What TZ must be so that it is this time of the day now.
fn at(hour: i64, minute: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let behind = (now - (hour * 60 + minute) * 60).rem_euclid(86400);
    format!("XXX+{}:{:02}:{:02}", behind / 3600, behind / 60 % 60, behind % 60)
}

fn no_install_begins_after_the_time_that_is_given<M: Manager>() {
    let stage = Stage::<M>::pending_update();
    let run = |zone: &str, time: &str| {
        let mut command =
            stage.command(&["apply", "--not-after", time, "--reboot=always", "--reboot-at", "04:00"]);
        command.env("TZ", zone);
        stage.sandbox().start(command).report()
    };
    let late = run(&at(10, 0), "05:00");
    late.exits(0).says("/too_late", true).says("/packages", serde_json::json!([]));
    late.mentions("/reason", "it is past 05:00 (--not-after): 1 update not installed");
    late.remembers("/pending/count", 1).remembers("/last_update_success", true);
    stage.has_exactly(&["tb-hello 1.0"]);
    assert_eq!(stage.server().requests(HELLO), 0, "{late}");
    let restarts = || stage.sandbox().read("/run/restarts").unwrap_or_default();
    assert!(restarts().starts_with("shutdown -r 04:00 "), "{}", restarts());
    let in_time = run(&at(23, 30), "02:00");
    in_time.did_all::<M>(&["tb-hello 1.0 2.0"]).says("/too_late", false).says("/reboot_scheduled", true);
    let at = in_time.json["reboot_at"].clone();
    in_time.remembers("/apply/last/reboot_at", at);
}

fn what_still_runs_code_that_an_apply_has_replaced_is_named<M: Manager>() {
    const DAEMON: &str = "/usr/lib/tb-daemon";
    // As the managers do it: the new file is put in the place of the old one.
    let script = format!("cp /usr/bin/sleep {DAEMON}.new && mv -f {DAEMON}.new {DAEMON}");
    let stage = Stage::<M>::one(&[package("tb-hello", "1.0")], &[package("tb-hello", "2.0").script(&script)]);
    stage.sandbox().sh(&format!("{script}; setsid {DAEMON} 600 >/dev/null 2>&1 </dev/null &"));
    stage
        .sandbox()
        .wait_until("it runs", || stage.sandbox().processes().iter().any(|(_, name)| name == "tb-daemon"));
    stage.patch(&["refresh"]).exits(0).remembers("/outdated_services", serde_json::json!([]));
    let applied = stage.patch(&["apply"]);
    applied.did_all::<M>(&["tb-hello 1.0 2.0"]).says("/outdated_services/0/unit", "tb-daemon");
    stage.sandbox().kill_everything();
    stage.patch(&["refresh"]).exits(0).remembers("/outdated_services", serde_json::json!([]));
}

/// Plays a scenario. One that the manager lacks must fail with it, for the given reason; any other failure is a failure
/// of the test.
fn play<M: Manager>(name: &str, scenario: fn()) {
    let Some(lack) = M::LACKS.iter().find(|lack| lack.scenario == name) else {
        return scenario();
    };
    let Err(panic) = catch_unwind(AssertUnwindSafe(scenario)) else {
        panic!("{} can play {name} after all, though it is said that {}", M::NAME, lack.why);
    };
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(
        text.contains(lack.fails_with),
        "{name} failed otherwise than with {:?}: {text}",
        lack.fails_with
    );
}

/// Every scenario as a test of every manager, and the rules for the exceptions.
macro_rules! scenarios {
    ({ $($module:ident: $manager:ty,)* } $list:tt) => {
        $(scenarios!(@tests $module $manager $list);)*

        #[test]
        fn who_lacks_a_scenario_says_which_and_why() {
            let all = scenarios!(@names $list);
            $(for Lack { scenario, why, fails_with } in <$manager>::LACKS {
                let name = <$manager>::NAME;
                assert!(all.contains(scenario), "{name} lacks {scenario}, which is no scenario");
                assert!(why.len() > 20, "{name} does not say why it lacks {scenario}");
                assert!(fails_with.len() > 10, "{name} does not say how {scenario} fails");
            })*
        }
    };
    (@names { $($scenario:ident,)* }) => { [$(stringify!($scenario)),*] };
    (@tests $module:ident $manager:ty { $($scenario:ident,)* }) => {
        mod $module {
            use super::*;

            $(#[test]
            fn $scenario() {
                play::<$manager>(stringify!($scenario), super::$scenario::<$manager>);
            })*
        }
    };
}

scenarios! {
    {
        apk: crate::apk::Apk,
        apk_misconfigured: crate::apk_settings::Misconfigured,
        apt: crate::apt::Apt,
        apt_misconfigured: crate::apt_settings::Misconfigured,
        dnf: crate::dnf::Dnf,
        dnf_misconfigured: crate::dnf_settings::Misconfigured,
        dnf5: crate::dnf5::Dnf5,
        dnf5_misconfigured: crate::dnf5_settings::Misconfigured,
        pacman: crate::pacman::Pacman,
        pacman_misconfigured: crate::pacman_settings::Misconfigured,
        zypper: crate::zypper::Zypper,
        zypper_misconfigured: crate::zypper_settings::Misconfigured,
    }
    {
        a_refresh_is_recorded_with_its_source_and_what_is_pending,
        nothing_pending_is_done,
        what_is_published_between_two_refreshes_is_counted,
        one_source_of_three_is_gone,
        one_source_of_three_is_overloaded,
        one_source_of_three_closes_its_connections,
        a_source_that_is_down_keeps_no_update_of_another_one_back,
        a_source_that_failed_hides_no_other_that_failed_otherwise,
        every_source_down_is_failed,
        every_source_down_from_the_start_is_failed,
        no_source_at_all_is_failed,
        a_damaged_index_is_a_fetch_failure,
        a_source_that_hangs_costs_no_more_than_the_budget,
        a_source_that_is_waited_for_is_named_on_a_terminal,
        a_termination_stops_a_refresh,
        an_interruption_is_no_verdict_and_what_was_done_counts,
        refreshes_at_the_same_time_cost_one_refresh,
        a_refresh_that_began_before_a_source_was_added_is_not_shared,
        a_source_added_after_the_refresh_makes_the_state_stale,
        an_index_that_is_gone_is_stale_and_refreshed,
        a_file_of_the_index_that_is_damaged_on_the_disk_is_never_no_update_and_heals,
        a_source_that_moves_to_a_mirror_that_is_behind_has_what_that_has,
        an_update_that_is_withdrawn_before_its_download_is_nothing_to_do,
        what_the_manager_does_not_read_leaves_the_index_fresh,
        a_package_installed_behind_its_back_outdates_what_is_pending,
        updates_come_with_their_new_dependencies_and_are_reported_with_both_versions,
        a_dry_run_says_what_would_change_and_changes_nothing,
        what_was_downloaded_is_installed_without_another_request,
        a_package_replaced_between_refresh_and_download_is_installed_in_its_newer_version,
        a_package_replaced_twice_in_a_row_fails_after_exactly_one_retry,
        the_words_behind_the_number_of_an_answer_decide_nothing,
        a_package_that_stays_away_is_retried_once,
        a_forbidden_package_is_retried_once,
        an_overloaded_mirror_is_retried_once,
        a_connection_closed_during_the_download_is_retried_once,
        a_damaged_package_is_never_installed,
        what_somebody_installs_during_the_download_is_not_ours,
        a_full_disk_under_the_downloads_is_no_fetch_error,
        a_disk_without_room_for_the_smallest_file_is_no_fetch_error,
        a_full_disk_under_temporary_files_is_no_fetch_error,
        a_system_that_is_mounted_read_only_is_named_and_keeps_its_packages,
        a_failing_script_is_reported_as_one_whatever_it_prints,
        a_script_that_succeeds_may_say_what_it_likes,
        an_update_that_cannot_be_resolved_stays_and_the_others_come,
        a_package_that_is_gone_is_retried_beside_an_update_that_stays,
        an_update_that_cannot_be_resolved_never_looks_like_success,
        a_configuration_file_changed_on_the_machine_is_kept,
        named_packages_are_installed_and_no_other,
        only_what_the_chosen_sources_offer_is_installed,
        what_nothing_needs_any_more_goes_where_that_is_asked_for,
        what_no_source_offers_any_more_is_told,
        while_a_source_was_never_read_nobody_knows_what_no_source_offers,
        what_an_exclude_drags_along_is_said,
        excluded_packages_stay_as_they_are,
        a_refresh_waits_for_the_managers_lock,
        a_refresh_gives_up_on_a_lock_that_is_never_let_go_and_names_its_holder,
        an_apply_waits_for_the_managers_lock,
        an_apply_gives_up_on_the_lock_in_time,
        a_termination_stops_a_download,
        control_c_stops_a_download,
        no_signal_stops_an_install,
        an_install_outlives_a_linux_patch_that_is_killed_outright,
        a_script_that_outlives_its_manager_is_waited_for,
        everything_killed_in_mid_install_is_repaired_by_the_next_apply,
        a_package_that_only_a_restart_puts_to_use_requires_one,
        an_update_is_known_since_the_first_refresh_that_found_it,
        updates_ripen_for_as_long_as_is_asked,
        no_install_begins_after_the_time_that_is_given,
        what_still_runs_code_that_an_apply_has_replaced_is_named,
    }
}
