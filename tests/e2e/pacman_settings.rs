//! What pacman.conf says changes nothing that linux-patch reads, with the real pacman.

use std::time::Duration;

use crate::manager::{Manager, Package};
use crate::pacman::{Pacman, PkgRepo, Root, hold_lock, pending_update, pkg, three};
use crate::sandbox::{Running, Sandbox};
use crate::server::Fault;

/// Every setting that changes what is printed or asked and where things are kept, set to the wrong value. Some are of
/// other versions. pacman_refresh.rs has a test for fewer downloads at a time than sources.
pub struct Misconfigured(Pacman);

const WRONG: &str = "[options]\nDBPath = /srv/db/\nCacheDir = /srv/pkg/\nCacheDir = /srv/more/\nLogFile = /srv/log\n\
    HookDir = /srv/hooks/\nGPGDir = /srv/gpg/\nColor\nVerbosePkgLists\nILoveCandy\nTotalDownload\nNoProgressBar\nUseSyslog\n\
    CheckSpace\nDisableDownloadTimeout\nParallelDownloads = 4\nCleanMethod = KeepCurrent\nSyncFirst = pacman\n\
    HoldPkg = tb-hello tb-a\nIgnorePkg = nothing\nIgnoreGroup = none\nNoUpgrade = etc/none\nNoExtract = usr/none\n\
    DisableSandbox\nNonsense = 1\nSigLevel = Never\nLocalFileSigLevel = Optional\nInclude = /srv/repos/*.conf\n";

impl Manager for Misconfigured {
    as_unturned!(Pacman);
    const DOWNLOADS: &'static str = "/srv/pkg";
    const INDEXES: &'static str = Pacman::INDEXES;

    fn new() -> Misconfigured {
        let manager = Pacman::new();
        let places = "/srv/db /srv/pkg /srv/more /srv/hooks /srv/repos";
        let move_database =
            "cp -a /var/lib/pacman/local /srv/db/; rm -rf /var/lib/pacman /var/cache/pacman /etc/pacman.d";
        let keys = "mkdir -m 700 /srv/gpg; touch /srv/gpg/pubring.gpg";
        manager.sandbox().sh(&format!("mkdir -p {places}; {move_database}; {keys}"));
        manager.sandbox().write("/etc/pacman.conf", WRONG);
        Misconfigured(manager)
    }

    fn add_source(&self, name: &str, repo: &PkgRepo) {
        repo.serve_as(name);
        let lines = format!("[{name}]\nServer = {}\n", repo.server.url());
        self.sandbox().write(&format!("/srv/repos/{name}.conf"), lines);
    }

    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32) {
        hold_lock(self.sandbox(), "/srv/db/db.lck", time)
    }
}

#[test]
fn a_mirror_that_needs_longer_than_pacman_waits_gets_the_time_that_pacman_conf_gives_it() {
    let (root, repo) = pending_update();
    repo.server.fault(".db", Fault::Late(13_000));
    root.patch(&["refresh"]).refresh_failed("network");
    root.option("DisableDownloadTimeout");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
}

/// Older versions do not know the setting.
#[test]
fn a_cache_of_packages_that_is_down_costs_no_update() {
    let root = Root::new(&[pkg("tb-hello", "1.0")]);
    let repo = PkgRepo::new(&[pkg("tb-hello", "2.0")]);
    repo.serve_as("test");
    root.configure(&format!("[test]\nCacheServer = http://127.0.0.1:9\nServer = {}\n", repo.server.url()));
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn repositories_that_pacman_never_came_to_stand_in_the_ledger() {
    let (root, _repo) = pending_update();
    root.option("CleanMethod = x");
    let refreshed = root.patch(&["refresh"]);
    refreshed.refresh_failed("config").one_source_failed(1, "test", "config");
}

#[test]
fn a_repository_that_pacman_does_not_refresh_is_used_as_it_is() {
    let (root, [alpha, beta, _gamma]) = three();
    let usage = |usage: &str| {
        let text = root.sandbox.read("/etc/pacman.conf").unwrap();
        let text = text.lines().filter(|line| !line.starts_with("Usage")).map(|line| format!("{line}\n"));
        let text = text.collect::<String>().replace("[alpha]\n", &format!("[alpha]\nUsage = {usage}\n"));
        root.sandbox.write("/etc/pacman.conf", text);
    };
    root.sandbox.sh("pacman -Sy >&2");
    usage("Upgrade");
    let requests = alpha.server.requests(".db");
    alpha.publish(&[pkg("tb-alpha", "3.0")]);
    let all = ["tb-alpha 1.0-1 2.0-1", "tb-beta 1.0-1 2.0-1", "tb-gamma 1.0-1 2.0-1"];
    root.patch(&["refresh"]).exits(0).leaves_pending(&all);
    usage("Search");
    root.patch(&["refresh"]).exits(0).leaves_pending(&all[1..]);
    root.patch(&["apply"]).applied(&all[1..]);
    assert_eq!(alpha.server.requests(".db"), requests, "it is not refreshed");
    usage("All");
    beta.publish(&[pkg("tb-beta", "3.0")]);
    root.patch(&["apply"]).applied(&["tb-alpha 1.0-1 3.0-1", "tb-beta 2.0-1 3.0-1"]);
    assert!(!root.sandbox.sh("ls -l /var/lib/pacman/sync").contains("linux-patch"));
}

/// The first of three repositories gets another name.
fn named(name: &str) -> (Root, [PkgRepo; 3]) {
    let (root, repos) = three();
    repos[0].serve_as(name);
    let text = root.sandbox.read("/etc/pacman.conf").unwrap();
    root.sandbox.write("/etc/pacman.conf", text.replace("[alpha]\n", &format!("[{name}]\n")));
    (root, repos)
}

const ALL: [&str; 3] = ["tb-alpha 1.0-1 2.0-1", "tb-beta 1.0-1 2.0-1", "tb-gamma 1.0-1 2.0-1"];

#[test]
fn a_repository_may_have_any_name_that_pacman_can_ask_for() {
    // What a shell, a glob or an address takes specially, and what pacman shows only in part.
    for name in [
        "a*b",
        "a?b",
        "[x]",
        "a]b",
        "$x",
        "`x`",
        "a'b",
        "a;b",
        "a:b",
        "a|b",
        "-x",
        "--root",
        "a%b",
        "a%20b",
        "a=b",
        ".hid",
        "..",
        "a\\b",
        "a\"b",
        "a&b",
        "~",
        "x.db",
        "my.pkgs",
        "x.files",
        "x.db.part",
        "x.sig",
    ] {
        let (root, _repos) = named(name);
        for _ in 0..2 {
            let refreshed = root.patch(&["refresh"]);
            refreshed.exits(0).leaves_pending(&ALL);
            let sources = refreshed.state["sources"].as_array().unwrap();
            assert!(sources.len() == 3 && sources.iter().any(|one| one["id"] == name), "{name}: {refreshed}");
        }
        root.patch(&["apply"]).applied(&ALL);
        root.patch(&["status"]).exits(0);
    }
}

#[test]
fn a_repository_with_a_name_that_pacman_cannot_ask_for_is_the_only_one_that_failed() {
    for name in ["my repo", "$(touch /run/x)", "a/b", "../b", "local"] {
        let (root, repos) = named(name);
        for _ in 0..2 {
            let refreshed = root.patch(&["refresh"]);
            let name = if name.starts_with('$') { "$(touch /run/x)" } else { name };
            refreshed.exits(1).one_source_failed(3, name, "config").mentions("/reason", name);
        }
        root.patch(&["apply"]).apply_failed("config").changed(&[]);
        assert!(!root.sandbox.exists("/run/x"));
        // The others still tell when they fail.
        repos[1].server.fault("/", Fault::Status(404));
        assert_eq!(root.patch(&["refresh"]).exits(1).failed_sources().len(), 2);
    }
}

#[test]
fn what_a_pattern_includes_is_source_configuration() {
    for (pattern, dir, file) in [
        ("/srv/*/repo?.conf", "/srv/a", "repo1.conf"),
        ("/srv/a/[a-z]*.conf", "/srv/a", "x.conf"),
        ("/srv/a/x[1].conf", "/srv/a", "x[1].conf"),
        ("/srv/a b/*", "/srv/a b", "x y"),
    ] {
        let (root, _repo) = pending_update();
        root.sandbox.sh(&format!("mkdir -p '{dir}'"));
        root.configure(&format!("Include = {pattern}\n"));
        let other = PkgRepo::new(&[pkg("tb-hello", "3.0")]);
        root.sandbox.sh("touch -d -1hour /etc/pacman.conf");
        other.serve_as("other");
        let path = format!("{dir}/{file}");
        root.sandbox.write(&path, "");
        root.patch(&["refresh"]).exits(0);
        root.patch(&["status"]).exits(0);
        root.sandbox.write(&path, format!("[other]\nServer = {}\n", other.server.url()));
        root.patch(&["status"]).exits(1);
        let refreshed = root.patch(&["refresh", "--if-stale"]);
        refreshed.exits(0);
        assert_eq!(refreshed.state["sources"].as_array().map(Vec::len), Some(2), "{refreshed}");
        other.server.fault("/", Fault::Status(404));
        root.patch(&["refresh"]).exits(1).one_source_failed(2, "other", "fetch");
    }
}
