//! What pacman fetched, and what it then says of it.

use crate::world::{World, replay_of};

/// A pacman that fetches two repositories and stores nothing, unless `store` says so.
fn fetches(store: &str, listed: &str) -> World {
    let world = World::new();
    world.install_fake("pacman");
    let refresh = replay_of("pacman", "6.0.2-a1-Sy");
    world.on("pacman", &format!("case $* in *' -Sy '*) {store} {refresh} ;; *' -Su '* | *' -Qu') {listed} ;; '-Q') echo 'pacman 6.0.2-1' ;; esac"));
    world
}

/// The directory that pacman was given for its index.
const SYNC: &str = "sync=${1#--dbpath=}/sync; mkdir -p $sync;";

#[test]
fn an_index_that_is_empty_or_missing_was_not_refreshed_whatever_pacman_says() {
    let silent = "exit 1";
    let missing =
        "echo \"warning: database file for 'base' does not exist (use '-Sy' to download)\" >&2; exit 1";
    for (store, listed, outcome) in [
        (": >$sync/base.db; echo >$sync/extra.db;", "exit 1", "stale"),
        (": >$sync/base.db; : >$sync/extra.db;", "exit 1", "failed"),
        ("echo >$sync/extra.db;", missing, "stale"),
        ("echo >$sync/extra.db;", silent, "stale"),
        ("", silent, "failed"),
        ("", "kill -9 $$", "failed"),
        ("echo >$sync/base.db; echo >$sync/extra.db;", silent, "fresh"),
    ] {
        let world = fetches(&format!("{SYNC} {store}"), listed);
        let doc = world.json("--manager pacman refresh");
        assert_eq!(doc["cache_status"], outcome, "{store} {listed}: {doc}");
    }
}
