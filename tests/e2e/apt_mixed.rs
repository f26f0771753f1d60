//! An index of which only a half is new, though its Release file is signed and not too old.

use crate::bench;
use crate::deb::deb;
use crate::repo::Repo;
use crate::sandbox::Sandbox;
use crate::server::Fault;

const LISTS: &str = "/var/lib/apt/lists";

/// As a power cut leaves it, a killed apt, or a copy from a backup. apt looks at no file of a source that has nothing
/// new.
#[test]
fn a_list_that_is_older_than_its_release_file_is_not_fresh_and_comes_anew() {
    // The second one has the size of the newer one.
    for (change, by_others) in
        [("cp -p /srv/old", false), ("cp -p /srv/old", true), ("sed s/3[.]0/2.0/ /srv/new >", false)]
    {
        let (sandbox, repos) = bench::three();
        sandbox.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
        let host = repos[1].url().replace("http://", "");
        let list = format!("$(ls {LISTS}/{host}_*_Packages)");
        sandbox.sh(&format!("cp -p {list} /srv/old"));
        repos[1].publish(&[deb("tb-beta", "3.0")]);
        if by_others {
            sandbox.sh("apt-get -q update");
        } else {
            sandbox.patch(&["refresh"]).exits(0);
        }
        sandbox.sh(&format!("cp -p {list} /srv/new; {change} {list}; rm -f /var/cache/apt/*.bin"));
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(3, &host, "fetch");
        refreshed.mentions("/error/message", "the next refresh fetches it anew");
        sandbox.patch(&["status"]).exits(1);
        sandbox.patch(&["apply"]).exits(0);
        sandbox.has_exactly(&["tb-alpha 2.0", "tb-beta 3.0", "tb-gamma 2.0"]);
    }
}

#[test]
fn a_list_that_cannot_be_had_by_its_sum_is_never_an_old_one_that_counts_as_fresh() {
    for path in ["/by-hash/", "/Packages", "_none"] {
        let (sandbox, repos) = bench::three();
        repos[1].publish_claiming(|claims| claims.by_hash = true, &[deb("tb-beta", "2.0")]);
        sandbox.patch(&["refresh"]).exits(0);
        repos[1].publish(&[deb("tb-beta", "3.0")]);
        repos[1].server.fault(path, Fault::Status(404));
        let refreshed = sandbox.patch(&["refresh"]);
        if refreshed.code == 0 {
            refreshed.leaves_pending(&["tb-alpha 1.0 2.0", "tb-beta 1.0 3.0", "tb-gamma 1.0 2.0"]);
        } else {
            refreshed.exits(1).one_source_failed(3, &repos[1].url(), "fetch");
        }
        repos[1].server.heal();
        sandbox.patch(&["refresh"]).exits(0);
        sandbox.patch(&["apply"]).exits(0);
        sandbox.has_exactly(&["tb-alpha 2.0", "tb-beta 3.0", "tb-gamma 2.0"]);
    }
}

/// The same where somebody else's apt was killed between two of its files.
#[test]
fn an_update_of_others_that_was_killed_leaves_no_wrong_fresh() {
    for nth in 1..=8 {
        let (sandbox, repos) = bench::three();
        sandbox.patch(&["refresh"]).exits(0);
        repos[1].publish(&[deb("tb-beta", "3.0")]);
        // At its nth rename in the directory of the lists.
        let trace = format!(
            "strace -f -qq -o /dev/null -e trace=rename -e inject=rename:signal=KILL:when={nth} apt-get -q update || true"
        );
        sandbox.sh(&trace);
        sandbox.sh("rm -f /var/cache/apt/*.bin");
        let refreshed = sandbox.patch(&["refresh"]);
        if refreshed.code == 0 {
            refreshed.leaves_pending(&["tb-alpha 1.0 2.0", "tb-beta 1.0 3.0", "tb-gamma 1.0 2.0"]);
        }
        sandbox.patch(&["refresh"]).exits(0);
        sandbox.patch(&["apply"]).exits(0);
        sandbox.has_exactly(&["tb-alpha 2.0", "tb-beta 3.0", "tb-gamma 2.0"]);
    }
}

/// The server says that nothing is newer, and apt would fail until the next publication.
#[test]
fn a_release_file_that_is_cut_on_the_disk_costs_its_source_one_refresh() {
    let (sandbox, repos) = bench::three();
    sandbox.patch(&["refresh"]).exits(0);
    let host = repos[1].url().replace("http://", "");
    let file = format!("$(ls {LISTS}/{host}_*_InRelease)");
    sandbox.sh(&format!("cp -p {file} /srv/x; head -c 100 /srv/x >{file}; touch -r /srv/x {file}"));
    let refreshed = sandbox.patch(&["refresh"]);
    refreshed.exits(1).one_source_failed(3, &host, "fetch");
    refreshed.mentions("/error/message", "the next refresh fetches it anew");
    sandbox.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
}

/// As in images of containers. apt names such a file in some of its words only, and takes an empty one for a list of
/// nothing.
#[test]
fn a_packed_list_that_is_damaged_or_old_is_no_empty_one_and_comes_anew() {
    for kind in ["lz4", "gz", "xz", "zst", "bz2"] {
        let (sandbox, repos) = bench::three();
        let settings = format!(
            "Acquire::GzipIndexes \"true\";\nAcquire::IndexTargets::deb::Packages::KeepCompressedAs \"{kind}\";\n"
        );
        sandbox.write("/etc/apt/apt.conf.d/packed", settings);
        sandbox.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
        let host = repos[1].url().replace("http://", "");
        let list = format!("$(ls {LISTS}/{host}_*_Packages.{kind})");
        sandbox.sh(&format!("cp -p {list} /srv/old"));
        repos[1].publish(&[deb("tb-beta", "3.0")]);
        sandbox.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
        sandbox.sh(&format!("cp -p {list} /srv/new"));
        for (damage, time) in [(":", "new"), ("head -c 100 /srv/new", "new"), ("cat /srv/old", "old")] {
            sandbox
                .sh(&format!("f={list}; {damage} >$f; touch -r /srv/{time} $f; rm -f /var/cache/apt/*.bin"));
            let refreshed = sandbox.patch(&["refresh"]);
            assert_ne!(refreshed.code, 0, "{kind} {damage}: {refreshed}");
            let failed = refreshed.failed_sources();
            assert!(
                failed.len() == 1 && failed[0].0.contains(&host),
                "{kind} {damage}: {failed:?} {refreshed}"
            );
            refreshed.mentions("/error/message", "the next refresh fetches it anew");
            let healed = sandbox.patch(&["refresh"]);
            assert_eq!(healed.code, 0, "{kind} {damage}: {healed}");
            healed.leaves_pending(&["tb-alpha 1.0 2.0", "tb-beta 1.0 3.0", "tb-gamma 1.0 2.0"]);
        }
    }
}

/// Repositories of vendors are often flat.
#[test]
fn a_list_of_a_flat_repository_that_is_older_than_its_release_file_is_not_fresh_either() {
    for (suite, dir) in [("/", ""), ("./", "/."), ("sub/", "/sub"), ("./", "copy:/srv/new")] {
        let sandbox = Sandbox::new();
        sandbox.install(&[deb("tb-hello", "1.0")]);
        let repo = Repo::new(&[deb("tb-hello", "3.0")]);
        for (name, version) in [("old", "2.0"), ("new", "3.0")] {
            let files = Repo::new(&[deb("tb-hello", version)]).files();
            let list = files.iter().find(|(path, _)| path.ends_with("/Packages")).unwrap();
            sandbox.write(&format!("/srv/{name}/Packages"), list.1.as_slice());
        }
        // In Latin-1, as some are.
        sandbox.sh("cd /srv/new; { printf 'Description: D\\351p\\364t\\nDate: '; date -u '+%a, %d %b %Y %T UTC'
            echo SHA256:; set -- $(sha256sum Packages); echo \" $1 $(stat -c %s Packages) Packages\"; } >Release");
        let served = ["Packages", "Release"]
            .map(|name| (format!("{dir}/{name}"), sandbox.read_bytes(&format!("/srv/new/{name}"))));
        let served: Vec<_> = served.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect();
        let flat = Repo::flat(&served, &repo);
        let is_local = dir.starts_with("copy:");
        let url = if is_local { dir.to_owned() } else { flat.url() };
        sandbox.write("/etc/apt/sources.list.d/flat.list", format!("deb [trusted=yes] {url} {suite}\n"));
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.exits(0).leaves_pending(&["tb-hello 1.0 3.0"]);
        let published = &refreshed.state["sources"][0]["published_at"];
        assert!(published.is_string(), "{refreshed}");
        sandbox.sh(&format!("cat /srv/old/Packages >$(ls {LISTS}/*_Packages); rm -f /var/cache/apt/*.bin"));
        let mixed = sandbox.patch(&["refresh"]);
        mixed.exits(2).mentions("/error/message", "the next refresh fetches it anew");
        sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0 3.0"]);
        if !is_local {
            sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 3.0"]);
        }
    }
}

/// What could not be compared is not what its source does not list.
#[test]
fn a_list_whose_sum_cannot_be_had_stays() {
    let (sandbox, _repos) = bench::three();
    sandbox.patch(&["refresh"]).exits(0);
    sandbox.write_script("/usr/local/bin/sha256sum", "echo x >>/run/asked");
    sandbox.sh("rm -f /var/cache/apt/*.bin; touch /var/lib/apt/lists/*_Packages");
    sandbox.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
    assert!(sandbox.exists("/run/asked"), "nothing was compared");
}
