//! A source is what the configuration names, whatever mirror or redirect it comes from, and the index is where the
//! configuration puts it.

use serde_json::Value;

use crate::bench;
use crate::deb::deb;
use crate::leisure::budget;
use crate::locks;
use crate::repo::{Claims, Repo};
use crate::report::Report;
use crate::sandbox::Sandbox;
use crate::server::{Fault, kept};

/// tb-alpha, tb-beta and tb-gamma as ever, and tb-delta 1.0 with an update at `delta`, which `line` makes
/// known to apt in place of its own address.
#[track_caller]
fn and_delta(line: impl FnOnce(&Sandbox, &Repo) -> String) -> (Sandbox, Repo, Vec<Repo>) {
    let (sandbox, repos) = bench::three();
    let delta = Repo::new(&[deb("tb-delta", "2.0")]);
    let line = line(&sandbox, &delta);
    sandbox.write("/etc/apt/sources.list.d/delta.list", line);
    sandbox.install(&[deb("tb-delta", "1.0")]);
    (sandbox, delta, repos.into())
}

const OTHERS: [&str; 3] = ["tb-alpha 1.0 2.0", "tb-beta 1.0 2.0", "tb-gamma 1.0 2.0"];

fn ids(report: &Report) -> Vec<String> {
    let sources = report.state["sources"].as_array().into_iter().flatten();
    sources.map(|source| source["id"].as_str().unwrap_or_default().to_owned()).collect()
}

fn signed(url: &str, rest: &str) -> String {
    format!("deb [signed-by=/etc/apt/keyrings/test.gpg] {url} {rest}\n")
}

#[test]
fn a_list_of_mirrors_that_are_all_down_is_one_source_that_failed() {
    let (sandbox, mirror, _others) = and_delta(|sandbox, mirror| {
        sandbox.write("/etc/apt/mirrors.txt", format!("{}\n{}\n", mirror.url(), bench::REFUSED));
        signed("mirror+file:/etc/apt/mirrors.txt", "stable main")
    });
    let good = sandbox.patch(&["refresh"]);
    good.exits(0);
    let id = "mirror+file:/etc/apt/mirrors.txt stable";
    assert!(ids(&good).iter().any(|known| known == id), "{good}");
    // Its update is still listed, and cannot be had.
    mirror.server.fault("/", Fault::Status(503));
    let applied = sandbox.patch(&["apply"]);
    applied.exits(1).changed(&OTHERS);
    let failed = applied.failed_sources();
    assert!(failed.len() == 1 && failed[0].0 == id, "{applied}");
    assert_eq!(ids(&applied).len(), 4, "{applied}");
}

/// apt's lines of progress name mirrors alone; its errors name the list.
#[test]
fn beside_a_list_of_mirrors_that_are_all_down_one_whose_second_mirror_is_well_has_not_failed() {
    for (down, well) in [("a", "b"), ("b", "a")] {
        let (sandbox, mirror, others) = and_delta(|sandbox, mirror| {
            let list = |name: &str, lines: [&str; 2]| {
                sandbox.write(&format!("/etc/apt/{name}.txt"), lines.join("\n"));
                signed(&format!("mirror+file:/etc/apt/{name}.txt"), "stable main")
            };
            let well = list(well, [bench::REFUSED, &mirror.url()]);
            list(down, [bench::REFUSED, bench::REFUSED]) + &well
        });
        let failed = sandbox.patch(&["refresh"]).exits(1).failed_sources();
        let id = format!("mirror+file:/etc/apt/{down}.txt stable");
        assert!(failed.len() == 1 && failed[0].0 == id, "{failed:?}");
        // And where apt says nothing of the list, because of another source, neither may be believed.
        others[0].server.fault("/", Fault::Status(404));
        mirror.publish(&[deb("tb-delta", "3.0")]);
        let failed = sandbox.patch(&["refresh"]).exits(1).failed_sources();
        assert!(failed.iter().any(|(failed, _)| *failed == id), "{failed:?}");
    }
}

#[test]
fn a_server_that_redirects_to_a_mirror_that_is_down_is_one_source_that_failed() {
    let (sandbox, server, _others) = and_delta(|_, server| signed(&server.url(), "stable main"));
    sandbox.patch(&["refresh"]).exits(0);
    server.server.fault("/", Fault::Redirect(kept(format!("{}/", bench::REFUSED))));
    let applied = sandbox.patch(&["apply"]);
    applied.exits(1).changed(&OTHERS).one_source_failed(4, &server.url(), "network");
}

#[test]
fn a_server_that_redirects_to_a_good_mirror_keeps_its_name() {
    let (sandbox, server, _others) = and_delta(|_, server| signed(&server.url(), "stable main"));
    let mirror = Repo::new(&[deb("tb-delta", "3.0")]);
    server.server.fault("/", Fault::Redirect(kept(format!("{}/", mirror.url()))));
    for _ in 0..2 {
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.exits(0);
        assert!(ids(&refreshed).contains(&format!("{} stable", server.url())), "{refreshed}");
        assert_eq!(ids(&refreshed).len(), 4, "{refreshed}");
    }
    sandbox.patch(&["apply"]).exits(0);
    assert_eq!(sandbox.installed()["tb-delta"], "3.0");
}

#[test]
fn a_source_without_a_key_that_redirects_to_another_source_is_blamed_and_not_that_one() {
    let sandbox = Sandbox::new();
    let security = Repo::claiming(
        |claims| (claims.suite, claims.label) = ("stable-security".into(), "Debian-Security".into()),
        &[deb("tb-alpha", "2.0")],
    );
    let bad = Repo::new(&[deb("tb-beta", "2.0")]);
    sandbox.install(&[deb("tb-alpha", "1.0"), deb("tb-beta", "1.0")]);
    sandbox.add_source("good", &security);
    sandbox.add_source("bad", &bad);
    sandbox.patch(&["refresh"]).exits(0);
    let other = "/usr/share/keyrings/debian-archive-keyring.gpg";
    sandbox.write(
        "/etc/apt/sources.list.d/bad.list",
        format!("deb [signed-by={other}] {} stable main\n", bad.url()),
    );
    security.publish(&[deb("tb-alpha", "3.0")]);
    let target = format!("{}/dists/stable-security/", security.url());
    bad.server.fault("/dists/stable/", Fault::Redirect(kept(target)));
    let applied = sandbox.patch(&["apply"]);
    applied.exits(1).one_source_failed(2, &bad.url(), "auth").changed(&["tb-alpha 1.0 3.0"]);
}

#[test]
fn a_server_that_redirects_to_another_suite_is_not_fresh_though_apt_says_so() {
    let security = Repo::claiming(
        |claims| (claims.suite, claims.label) = ("stable-security".into(), "Debian-Security".into()),
        &[deb("tb-alpha", "2.0")],
    );
    let other = Repo::new(&[deb("tb-beta", "2.0")]);
    let sandbox = Sandbox::new();
    sandbox.install(&[deb("tb-alpha", "1.0"), deb("tb-beta", "1.0")]);
    sandbox.add_source("test", &security);
    // From the very first fetch, and as long as it redirects.
    let target = format!("{}/dists/stable/", other.url());
    security.server.fault("/dists/stable-security/", Fault::Redirect(kept(target)));
    let name = format!("{} stable-security", security.url());
    for _ in 0..2 {
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.refresh_failed("fetch").one_source_failed(1, &name, "fetch");
        refreshed.mentions("/error/message", &other.url());
        assert!(!sandbox.sh("ls /var/lib/apt/lists").contains("Release"), "{refreshed}");
    }
    security.server.heal();
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-alpha 1.0 2.0"]);
    assert!(sandbox.sh("ls /var/lib/apt/lists").contains("Release"));
    assert_eq!(sandbox.list("/var/lib/linux-patch"), ["history.jsonl", "lock", "state.json"]);
}

#[test]
fn a_suite_that_has_another_name_in_its_release_file_is_fresh() {
    let (sandbox, repos) = bench::three();
    // As a mirror that links `current` to it would, and one that redirects to such a mirror.
    let line = |repo: &Repo| signed(&repo.url(), "current main");
    sandbox.write("/etc/apt/sources.list.d/beta.list", line(&repos[1]));
    repos[1].server.fault("/dists/current/", Fault::Alias("/dists/stable/"));
    let front = Repo::new(&[]);
    front.server.fault("/", Fault::Redirect(kept(format!("{}/", repos[1].url()))));
    sandbox.write("/etc/apt/sources.list.d/front.list", line(&front));
    let refreshed = sandbox.patch(&["refresh"]);
    refreshed.exits(0);
    assert!(sandbox.log().contains("Conflicting distribution"), "{refreshed}");
}

#[test]
fn a_flat_repository_without_a_release_file_is_fresh_without_translations() {
    for scheme in ["file:/srv/flat", "copy:/srv/flat", "http"] {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&[deb("tb-hello", "2.0")]);
        sandbox.install(&[deb("tb-hello", "1.0")]);
        for (path, bytes) in repo.files() {
            let path = path.strip_prefix("/dists/stable/main/binary-amd64").unwrap_or(&path).to_owned();
            sandbox.write(&format!("/srv/flat{path}"), bytes.as_slice());
        }
        sandbox.sh("cd /srv/flat; rm -r dists; gzip -n Packages");
        let server;
        let url = match scheme {
            "http" => {
                server =
                    Repo::flat(&[("/./Packages.gz", sandbox.read_bytes("/srv/flat/Packages.gz"))], &repo);
                server.url()
            }
            local => local.to_owned(),
        };
        sandbox.write("/etc/apt/sources.list.d/flat.list", format!("deb [trusted=yes] {url} ./\n"));
        for _ in 0..2 {
            let refreshed = sandbox.patch(&["refresh"]);
            refreshed.exits(0).leaves_pending(&["tb-hello 1.0 2.0"]);
            assert_eq!(ids(&refreshed), [format!("{url} ./")], "{refreshed}");
        }
        sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
    }
}

#[test]
fn a_component_that_is_gone_is_named_and_the_others_of_its_source_are_used() {
    let (sandbox, repos) = bench::three();
    sandbox.write("/etc/apt/sources.list.d/beta.list", signed(&repos[1].url(), "stable main gone"));
    let applied = sandbox.patch(&["apply"]);
    applied.exits(1).changed(&OTHERS);
    let failed = applied.failed_sources();
    assert!(
        failed.len() == 1 && failed[0].0.contains("stable gone/") && failed[0].1 == "config",
        "{applied}"
    );
    let healthy = format!("{} stable", repos[1].url());
    assert!(ids(&applied).contains(&healthy), "{applied}");
    // Without the others it is the only address of its source.
    sandbox.write("/etc/apt/sources.list.d/beta.list", signed(&repos[1].url(), "stable gone"));
    sandbox.patch(&["refresh"]).exits(1).one_source_failed(3, &healthy, "config");
}

#[test]
fn sources_without_an_index_of_source_packages_are_used_for_their_packages() {
    let (sandbox, repos) = bench::three();
    let line = signed(&repos[0].url(), "stable main");
    sandbox.write("/etc/apt/sources.list.d/src.list", line.replace("deb ", "deb-src "));
    let applied = sandbox.patch(&["apply"]);
    applied.exits(1).changed(&OTHERS).one_source_failed(4, "main/source/Sources", "config");
}

#[test]
fn a_source_whose_method_is_missing_is_one_that_failed() {
    let (sandbox, _repos) = bench::three();
    sandbox.write("/etc/apt/sources.list.d/tor.list", "deb tor+http://tb.invalid/debian stable main\n");
    let applied = sandbox.patch(&["apply"]);
    applied.exits(1).changed(&OTHERS).one_source_failed(4, "tor+http://tb.invalid/debian stable", "config");
}

#[test]
fn an_index_that_is_gone_is_stale_for_the_price_of_a_look() {
    let gone = [
        "rm -r /var/lib/apt/lists",
        "find /var/lib/apt/lists -type f -delete",
        "rm /var/lib/apt/lists/*Packages",
        "mount -t tmpfs none /var/lib/apt/lists",
    ];
    for how in gone {
        let (sandbox, repo) = bench::pending_update();
        sandbox.patch(&["refresh"]).exits(0);
        sandbox.patch(&["status"]).exits(0);
        sandbox.sh(how);
        let status = sandbox.patch(&["status"]);
        status.exits(1).says("/cache_status", "stale").mentions("/reason", "is gone");
        sandbox.patch(&["refresh", "--if-stale"]).exits(0).leaves_pending(&["tb-hello 1.0 2.0"]);
        assert!(repo.refreshes() > 1, "{how}");
        sandbox.patch(&["status"]).exits(0);
    }
}

#[test]
fn a_cache_that_cannot_be_made_leaves_nothing_usable() {
    for (what, damage, class) in [
        (
            "a limit that is too small",
            "rm /var/cache/apt/*.bin; echo 'APT::Cache-Start \"30000\"; APT::Cache-Limit \"30000\";' >/etc/apt/apt.conf.d/small",
            "config",
        ),
        (
            "a file of the index that is none",
            "printf 'Nonsense: x\n\n' | tee /var/lib/apt/lists/*beta*Packages",
            "fetch",
        ),
    ] {
        let (sandbox, repos) = bench::three();
        sandbox.patch(&["refresh"]).exits(0);
        let host = repos[1].url().replace("http://", "");
        sandbox.sh(&damage.replace("*beta*Packages", &format!("{host}_dists_stable_main_binary-*_Packages")));
        let refreshed = sandbox.patch(&["refresh"]);
        assert_eq!(refreshed.code, 2, "{what}: {refreshed}");
        refreshed.refresh_failed(class);
        sandbox.patch(&["status"]).exits(2);
    }
}

#[test]
fn what_somebody_else_refreshes_in_an_unusual_place_is_counted() {
    let (sandbox, repo) = bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "1.0")]);
    sandbox.sh("mkdir -p /srv/lists/partial");
    sandbox.write("/etc/apt/apt.conf.d/mine", "Dir::State::lists \"/srv/lists\";\n");
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&[]);
    repo.publish(&[deb("tb-hello", "2.0")]);
    bench::tick();
    sandbox.sh("apt-get -q update");
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0 2.0"]);
    // And so is an index that was moved after a refresh.
    sandbox.sh("mkdir -p /srv/others/partial");
    sandbox.write("/etc/apt/apt.conf.d/mine", "Dir::State::lists \"/srv/others\";\n");
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0 2.0"]);
    sandbox.sh("rm -r /srv/others");
    sandbox.patch(&["status"]).exits(1);
}

#[test]
fn the_number_of_an_answer_decides_and_not_the_words_behind_it() {
    for (code, words) in [
        (404, "No space left on device"),
        (404, "NO_PUBKEY 0123456789ABCDEF"),
        (403, "is not valid yet (invalid for another 2h)"),
        (500, "method driver apt-cdrom"),
        (404, "Could not resolve host"),
    ] {
        let (sandbox, repos) = bench::three();
        repos[1].server.fault("/", Fault::Reason(code, words));
        sandbox.patch(&["refresh"]).exits(1).one_source_failed(3, &repos[1].url(), "fetch");
        repos[1].server.heal();
        sandbox.patch(&["refresh"]).exits(0);
        repos[1].server.fault("/pool/", Fault::Reason(code, words));
        sandbox.patch(&["apply"]).apply_failed("fetch").says("/retried", true);
    }
}

#[test]
fn an_all_well_refresh_asks_for_its_sources_only_where_they_may_have_changed() {
    let (sandbox, _repos) = bench::three();
    bench::spy(&sandbox);
    let asks = || bench::calls(&sandbox).iter().filter(|call| call.contains("indextargets")).count();
    sandbox.patch(&["refresh"]).exits(0);
    assert_eq!(asks(), 1);
    sandbox.patch(&["refresh"]).exits(0);
    assert_eq!(asks(), 0);
    sandbox.write("/etc/apt/apt.conf.d/more", "Acquire::Languages \"none\";\n");
    sandbox.patch(&["refresh"]).exits(0).remembers("/last_update_error", Value::Null);
    assert_eq!(asks(), 1);
}

#[test]
fn a_count_that_fails_is_not_known_and_keeps_its_reason() {
    for (what, lines, class) in [
        (
            "broken preferences",
            "printf 'Package: x\nPin: version 1\nPin-Priority: y\n' >/etc/apt/preferences",
            "config",
        ),
        (
            "unmet dependencies",
            "sed -i '/^Package: tb-alpha/a Depends: tb-nowhere' /var/lib/dpkg/status",
            "dependency",
        ),
    ] {
        let (sandbox, _repos) = bench::three();
        sandbox.patch(&["refresh"]).exits(0);
        bench::tick();
        sandbox.sh(lines);
        let refreshed = sandbox.patch(&["refresh"]);
        assert_eq!(refreshed.code, 1, "{what}: {refreshed}");
        refreshed.remembers("/pending/count", Value::Null).remembers("/pending/error/class", class);
        sandbox.patch(&["status"]).exits(1);
    }
}

#[test]
fn a_list_of_sources_in_an_unusual_place_is_source_configuration() {
    let (sandbox, repo) = bench::pending_update();
    sandbox.sh("mkdir /srv/parts && mv /etc/apt/sources.list.d/* /srv/parts/");
    let config = "Dir::Etc::sourceparts \"/srv/parts\";\nDir::Etc::sourcelist \"/srv/sources.list\";\n";
    sandbox.write("/etc/apt/apt.conf.d/mine", config);
    sandbox.patch(&["refresh"]).exits(0);
    sandbox.patch(&["status"]).exits(0);
    bench::tick();
    let other = Repo::new(&[deb("tb-other", "1.0")]);
    for file in ["/srv/parts/more.list", "/srv/sources.list"] {
        sandbox.write(file, signed(&other.url(), "stable main"));
        sandbox.patch(&["status"]).exits(1).says("/cache_status", "stale");
        sandbox.patch(&["refresh"]).exits(0);
        sandbox.patch(&["status"]).exits(0);
    }
    assert!(repo.refreshes() > 1 && other.refreshes() > 0);
}

#[test]
fn an_index_that_cannot_be_written_is_no_fetch_error() {
    for place in ["/var/lib/apt/lists", "/var/lib/apt", "/var/cache/apt"] {
        let (sandbox, repos) = bench::three();
        sandbox.patch(&["refresh"]).exits(0);
        repos[1].publish(&[deb("tb-beta", "3.0")]);
        sandbox.sh(&format!("mount --bind {place} {place}; mount -o remount,bind,ro {place}"));
        let refreshed = sandbox.patch(&["refresh"]);
        // With a cache that cannot be written apt does without one.
        match place {
            "/var/cache/apt" => refreshed.exits(0).remembers("/last_update_error", Value::Null),
            _ => refreshed.exits(1).one_source_failed(3, &repos[1].url(), "space"),
        };
    }
}

#[test]
fn a_source_that_is_not_trusted_is_read_and_its_neighbours_too() {
    let (sandbox, repos) = bench::three();
    let line = signed(&repos[1].url(), "stable main").replace("signed-by", "trusted=no signed-by");
    sandbox.write("/etc/apt/sources.list.d/beta.list", line);
    let refreshed = sandbox.patch(&["refresh"]);
    refreshed.exits(0).remembers("/last_update_error", Value::Null).remembers("/pending/count", 3);
    assert!(ids(&refreshed).contains(&format!("{} stable", repos[1].url())), "{refreshed}");
}

#[test]
fn a_source_with_a_space_in_its_address_is_named_as_it_is_configured() {
    let (sandbox, _delta, _others) = and_delta(|sandbox, repo| {
        for (path, bytes) in repo.files() {
            sandbox.write(&format!("/srv/my disk{path}"), bytes.as_slice());
        }
        signed("file:/srv/my%20disk", "stable main")
    });
    let refreshed = sandbox.patch(&["refresh"]);
    refreshed.exits(0);
    assert!(ids(&refreshed).contains(&"file:/srv/my%20disk stable".to_owned()), "{refreshed}");
    sandbox.sh("mv '/srv/my disk' /srv/away");
    let applied = sandbox.patch(&["apply"]);
    applied.exits(1).changed(&OTHERS).one_source_failed(4, "file:/srv/my%20disk stable", "fetch");
    sandbox.sh("mv /srv/away '/srv/my disk'");
    sandbox.patch(&["apply"]).applied(&["tb-delta 1.0 2.0"]);
}

#[test]
fn a_disc_that_nobody_put_in_is_told_with_what_to_do() {
    let disc = "deb cdrom:[Debian GNU/Linux 12 _Bookworm_ - Official amd64 DVD]/ bookworm main\n";
    let (sandbox, _repos) = bench::three();
    sandbox.write("/etc/apt/sources.list.d/disc.list", disc);
    let applied = sandbox.patch(&["apply"]);
    applied.exits(1).changed(&OTHERS).one_source_failed(4, "cdrom:[Debian GNU/Linux 12", "config");
    assert!(
        applied.state["last_update_error"]["message"].as_str().unwrap().contains("apt-cdrom"),
        "{applied}"
    );
}

#[test]
fn a_list_of_mirrors_that_does_not_come_is_told_with_its_reason() {
    for (list, class, words) in [
        (None, "fetch", "File not found"),
        (Some("no address of a mirror\n"), "config", "methods/no address of a mirror"),
    ] {
        let (sandbox, _delta, _others) = and_delta(|sandbox, _| {
            if let Some(text) = list {
                sandbox.write("/etc/apt/mirrors.txt", text);
            }
            signed("mirror+file:/etc/apt/mirrors.txt", "stable main")
        });
        let applied = sandbox.patch(&["apply"]);
        let id = "mirror+file:/etc/apt/mirrors.txt stable";
        applied.exits(1).changed(&OTHERS).one_source_failed(4, id, class);
        let failed = &applied.state["sources"].as_array().unwrap().iter().find(|source| source["id"] == id);
        let message = failed.unwrap()["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{applied}");
    }
}

#[test]
fn a_full_directory_of_temporary_files_is_no_doubt_about_signatures() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.sh("mkdir /mnt/tmp; mount -t tmpfs -o mode=1777,nr_inodes=1 none /mnt/tmp");
    let refreshed = sandbox.patch_with(&["refresh"], &[("TMPDIR", "/mnt/tmp")]);
    refreshed.refresh_failed("space").one_source_failed(1, "stable", "space");
}

#[test]
fn a_package_database_that_was_lost_is_not_one_with_nothing_pending() {
    // Cut in a field, behind one, and behind a package.
    let cut = |perl: &str| format!("cd /var/lib/dpkg; perl -0pe '{perl}' status >x; cat x >status; rm x");
    let (in_field, in_package, behind) = (
        cut("s/^(Package: tb-h)ello.*/$1/ms"),
        cut("s/^(Package: tb-hello\n).*/$1/ms"),
        cut("s/\n\n.*/\n\n/s"),
    );
    for how in [": >/var/lib/dpkg/status", "rm /var/lib/dpkg/status", &*in_field, &*in_package, &*behind] {
        let (sandbox, _repo) = bench::pending_update();
        sandbox.install(&["tb-a", "tb-b"].map(|name| deb(name, "1.0")));
        sandbox.sh(how);
        // Another installed manager does not make the system its own.
        sandbox.write("/var/lib/pacman/local/ALPM_DB_VERSION", "9\n");
        let left = sandbox.read("/var/lib/dpkg/status");
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.exits(1).remembers("/pending/count", Value::Null);
        refreshed
            .remembers("/pending/error/class", "other")
            .mentions("/error/message", "/var/lib/dpkg/status");
        sandbox.patch(&["apply"]).apply_failed("other");
        assert_eq!(sandbox.read("/var/lib/dpkg/status"), left, "{how}");
    }
}

#[test]
fn an_index_that_a_hook_removes_again_is_not_fresh() {
    for known_before in [false, true] {
        let (sandbox, repos) = bench::three();
        if known_before {
            sandbox.patch(&["refresh"]).exits(0);
        }
        let hook = |files: &str| format!("APT::Update::Post-Invoke-Success {{\"rm -rf {files}\";}};\n");
        let beta = repos[1].url().replace("http://", "");
        sandbox.write("/etc/apt/apt.conf.d/hook", hook(&format!("/var/lib/apt/lists/{beta}_*")));
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(3, &beta, "other");
        sandbox.write("/etc/apt/apt.conf.d/hook", hook("/var/lib/apt/lists/*"));
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.refresh_failed("other").mentions("/error/message", "a hook for example");
    }
}

#[test]
fn an_index_that_apt_passes_over_without_a_word_is_not_fresh() {
    for known_before in [false, true] {
        let (sandbox, repos) = bench::three();
        if known_before {
            sandbox.patch(&["refresh"]).exits(0);
        }
        // The Release file lists it only in this form, and this file is not there either.
        let only_packed = |claims: &mut Claims| claims.index = "Packages.xz";
        repos[1].publish_claiming(only_packed, &[deb("tb-beta", "2.0")]);
        for _ in 0..2 {
            let refreshed = sandbox.patch(&["refresh"]);
            refreshed.exits(1).one_source_failed(3, &repos[1].url(), "fetch");
            refreshed.mentions("/error/message", "/Packages");
        }
        sandbox.patch(&["apply"]).exits(1).changed(&["tb-alpha 1.0 2.0", "tb-gamma 1.0 2.0"]);
        repos[1].publish_claiming(|claims| claims.index = "Packages", &[deb("tb-beta", "3.0")]);
        sandbox.patch(&["apply"]).applied(&["tb-beta 1.0 3.0"]);
        // If the Release file says that there is nothing, nothing is stored either.
        repos[1].publish(&[]);
        sandbox.patch(&["refresh"]).exits(0).leaves_pending(&[]);
    }
}

#[test]
fn an_index_that_is_damaged_on_the_disk_costs_one_refresh() {
    for damage in ["tr 'a-zA-Z' '\\0'", "sed 's/.*/<html>/'", "sed 's/^Package/Bundle/'"] {
        let (sandbox, repos) = bench::three();
        sandbox.patch(&["refresh"]).exits(0);
        let host = |repo: &Repo| repo.url().replace("http://", "");
        for repo in &repos[1..] {
            let file = format!("/var/lib/apt/lists/{}_dists_*_Packages", host(repo));
            sandbox.sh(&format!("for f in {file}; do {damage} <$f >/tmp/x; cat /tmp/x >$f; done"));
        }
        sandbox.sh("rm -f /var/cache/apt/*.bin");
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.refresh_failed("fetch").mentions("/error/message", "it was removed, the next refresh");
        let failed: Vec<_> = refreshed.failed_sources().into_iter().map(|(id, _)| id).collect();
        assert_eq!(failed.len(), 2, "{damage}: {refreshed}");
        assert!(failed.iter().all(|id| !id.contains(&host(&repos[0]))), "{refreshed}");
        sandbox.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
    }
}

#[test]
fn a_page_that_comes_in_place_of_an_index_holds_up_no_other_source() {
    let (sandbox, _repos) = bench::three();
    let portal = Repo::flat(&[("/./Packages", b"<html>Please log in</html>\n".to_vec())], &Repo::new(&[]));
    sandbox.write("/etc/apt/sources.list.d/flat.list", format!("deb [trusted=yes] {} ./\n", portal.url()));
    for _ in 0..2 {
        sandbox.patch(&["refresh"]).exits(1).one_source_failed(4, &portal.url(), "fetch");
    }
    sandbox.patch(&["apply"]).exits(1).changed(&["tb-alpha 1.0 2.0", "tb-beta 1.0 2.0", "tb-gamma 1.0 2.0"]);
}

#[test]
fn a_flat_repository_that_is_empty_is_fresh_and_one_whose_index_is_gone_is_not() {
    let (sandbox, _repos) = bench::three();
    let flat = Repo::flat(&[("/./Packages", Vec::new())], &Repo::new(&[]));
    sandbox.write("/etc/apt/sources.list.d/flat.list", format!("deb [trusted=yes] {} ./\n", flat.url()));
    sandbox.patch(&["refresh"]).exits(0).remembers("/pending/count", 3);
    flat.server.fault("/Packages", Fault::Status(404));
    sandbox.patch(&["refresh"]).exits(1).one_source_failed(4, &flat.url(), "fetch");
}

#[test]
fn sources_that_apt_never_came_to_stand_in_the_ledger() {
    let (sandbox, repos) = bench::three();
    sandbox.write("/etc/apt/sources.list.d/zz.list", "deb http://x\n");
    let refreshed = sandbox.patch(&["refresh"]);
    refreshed.refresh_failed("config");
    let mut expected = repos.each_ref().map(|repo| (format!("{} stable", repo.url()), "config".to_string()));
    expected.sort();
    let mut failed = refreshed.failed_sources();
    failed.sort();
    assert_eq!(failed, expected, "{refreshed}");
}

#[test]
fn sources_stand_in_the_ledger_where_a_lock_kept_the_first_refresh_from_them() {
    let (sandbox, repos) = bench::three();
    let (holder, _) = locks::hold(&sandbox, locks::LISTS, std::time::Duration::from_secs(60));
    let refreshed = sandbox.patch(&["refresh", "--timeout", &budget(3)]);
    refreshed.refresh_failed("lock");
    let mut expected = repos.each_ref().map(|repo| (format!("{} stable", repo.url()), "lock".to_string()));
    expected.sort();
    let mut failed = refreshed.failed_sources();
    failed.sort();
    assert_eq!(failed, expected, "{refreshed}");
    sandbox.kill_everything();
    holder.wait();
}

const BELOW: &str = ":/v1/deb/";

/// Two sources of one server whose addresses end alike. It redirects each to a host of its own with a longer path.
#[track_caller]
fn redirected_alike() -> (Sandbox, Repo, [Repo; 2]) {
    let (sandbox, front) = (Sandbox::new(), Repo::new(&[]));
    let repos = ["core", "addons"].map(|name| {
        let package = format!("tb-{name}");
        let repo = Repo::new(&[deb(&package, "2.0")]);
        sandbox.install(&[deb(&package, "1.0")]);
        let line = signed(&format!("{}/{name}:/v1/deb", front.url()), "stable main");
        sandbox.write(&format!("/etc/apt/sources.list.d/{name}.list"), line);
        let target = format!("{}/isv:/{name}:/v1/deb/", repo.url());
        front.server.fault(&format!("/{name}:/v1/deb/"), Fault::Redirect(kept(target)));
        repo.server.fault(BELOW, Fault::Alias("/"));
        repo
    });
    (sandbox, front, repos)
}

#[test]
fn of_two_redirected_sources_whose_addresses_end_alike_the_one_that_is_gone_is_blamed() {
    let (sandbox, front, repos) = redirected_alike();
    sandbox.patch(&["refresh"]).exits(0).remembers("/pending/count", 2);
    for (at, name) in ["core", "addons"].into_iter().enumerate() {
        repos[at].server.fault("Release", Fault::Status(404));
        let id = format!("{}/{name}:/v1/deb stable", front.url());
        sandbox.patch(&["refresh"]).exits(1).one_source_failed(2, &id, "fetch");
        repos[at].server.heal();
        repos[at].server.fault(BELOW, Fault::Alias("/"));
    }
}

#[test]
fn of_two_redirected_sources_whose_addresses_end_alike_the_one_that_does_not_come_in_time_is_not_fresh() {
    for (has_other_news, fault) in [(true, Fault::Trickle(20)), (true, Fault::Hang), (false, Fault::Hang)] {
        let (sandbox, front, [core, addons]) = redirected_alike();
        sandbox.patch(&["refresh"]).exits(0);
        if has_other_news {
            core.publish(&[deb("tb-core", "3.0")]);
        }
        addons.publish(&[deb("tb-addons", "3.0")]);
        addons.server.fault("InRelease", fault);
        sandbox.write("/etc/apt/apt.conf.d/patient", bench::PATIENT);
        let refreshed = sandbox.patch(&["refresh", "--timeout", &budget(3)]);
        let id = format!("{}/addons:/v1/deb stable", front.url());
        // Where nothing came, apt's word for "unchanged" may be about either.
        match has_other_news {
            true => _ = refreshed.exits(1).one_source_failed(2, &id, "timeout"),
            false => assert!(refreshed.failed_sources().contains(&(id, "timeout".into())), "{refreshed}"),
        }
    }
}

#[test]
fn of_two_sources_with_a_login_the_one_that_is_gone_is_blamed() {
    let (sandbox, repos) = bench::three();
    for (name, repo) in ["beta", "gamma"].iter().zip(&repos[1..]) {
        let address = repo.url().replace("http://", "http://me:secret@");
        sandbox.write(&format!("/etc/apt/sources.list.d/{name}.list"), signed(&address, "stable main"));
    }
    for _ in 0..2 {
        let refreshed = sandbox.patch(&["refresh"]);
        refreshed.exits(0);
        for repo in &repos {
            assert!(ids(&refreshed).contains(&format!("{} stable", repo.url())), "{refreshed}");
        }
        assert_eq!(ids(&refreshed).len(), 3, "{refreshed}");
    }
    repos[1].server.fault("Release", Fault::Status(404));
    sandbox.patch(&["refresh"]).exits(1).one_source_failed(3, &repos[1].url(), "fetch");
    repos[1].server.heal();
    repos[1].server.fault("/Packages", Fault::Flip);
    repos[1].publish(&[deb("tb-beta", "3.0")]);
    sandbox.patch(&["refresh"]).exits(1).one_source_failed(3, &repos[1].url(), "fetch");
    sandbox.sh("! grep -r secret /var/lib/linux-patch");
}

/// apt 3.1.6 and later.
#[test]
fn an_index_in_whose_place_that_of_a_variant_of_the_architecture_comes_is_not_lacking() {
    let (sandbox, repo) = bench::pending_update();
    let base = sandbox.sh("dpkg --print-architecture").trim().to_owned();
    sandbox.write("/etc/apt/varianttable", format!("{base}v3\t{base}\t{base}\n"));
    let lines = format!(
        "Dir::dpkg::varianttable \"/etc/apt/varianttable\";\nAPT::Architecture-Variants \"{base}v3\";\n"
    );
    sandbox.write("/etc/apt/apt.conf.d/variant", lines);
    repo.publish_claiming(|claims| claims.variant = Some("v3"), &[deb("tb-hello", "2.0")]);
    for _ in 0..2 {
        sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0 2.0"]);
    }
    repo.server.fault("v3/Packages", Fault::Status(404));
    repo.publish(&[deb("tb-hello", "3.0")]);
    if crate::sandbox::is_newer() {
        sandbox.patch(&["refresh"]).refresh_failed("fetch");
    }
}
