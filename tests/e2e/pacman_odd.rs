//! pacman as administrators configure it, and what can happen: other downloaders, optional signatures, repositories
//! only for searching, unknown messages.

use crate::leisure::budget;
use serde_json::Value;

use crate::pacman::{Pkg, PkgRepo, Root, one, pending_update, pkg, three};
use crate::server::Fault;
use crate::vault::Signer;

/// Where the index is that a refresh fetches.
const INDEX: &str = "/var/lib/linux-patch/pacman/sync/test.db";
const CURL: &str = "XferCommand = /usr/local/bin/fetch %o %u";

/// What curl does and says, for roots without curl.
const FETCH: &str = r#"#!/usr/bin/perl
use IO::Socket::INET;
my ($file, $url) = @ARGV;
my ($host, $path) = $url =~ m{^http://([^/]+)(/.*)$} or die "curl: (3) URL rejected\n";
my $server = IO::Socket::INET->new(PeerAddr => $host) or die "curl: (7) Failed to connect to $host: Connection refused\n";
print $server "GET $path HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n";
my $head = "";
while (my $line = <$server>) { $head .= $line; last if $line eq "\r\n"; }
my ($code) = $head =~ m{^HTTP/\S+ (\d+)} or die "curl: (52) Empty reply from server\n";
die "curl: (22) The requested URL returned error: $code\n" if $code >= 400;
my ($length) = $head =~ /content-length: (\d+)/i;
read $server, my $body, $length;
open my $out, ">", $file or die "curl: (23) $!\n";
print $out $body;
"#;

/// A downloader that exits with 0, whatever it did; `$1` is the address, and its place the directory of the index.
fn fetch_by_script(root: &Root, arguments: &str, body: &str) {
    root.sandbox.write_mode("/usr/local/bin/fetch", FETCH, 0o755);
    root.sandbox.write_script("/usr/local/bin/by-script", &format!("{body}\nexit 0"));
    root.option(&format!("XferCommand = /usr/local/bin/by-script {arguments}"));
}

/// pacman is to fetch with that.
pub fn fetch_otherwise(root: &Root) {
    root.sandbox.write_mode("/usr/local/bin/fetch", FETCH, 0o755);
    root.option(CURL);
}

#[test]
fn a_program_that_fails_with_unknown_words_never_leads_back_to_itself() {
    for (name, body) in [
        ("pacman-conf", "echo 'error: words that nobody knows' >&2; exit 1"),
        ("pacman-conf", "kill -SEGV $$"),
        ("pacman-conf", "exit 127"),
        ("pacman", "echo 'error: words that nobody knows' >&2; exit 1"),
    ] {
        let (root, _repo) = pending_update();
        root.sandbox.write_script(&format!("/usr/local/bin/{name}"), body);
        for command in ["refresh", "apply", "refresh"] {
            root.patch(&[command]);
        }
        root.sandbox.sh(&format!("rm /usr/local/bin/{name}"));
        root.has_exactly(&["tb-hello 1.0"]);
    }
}

#[test]
fn a_replacement_is_pending_like_any_update() {
    let (root, _repo) = one(
        &[pkg("tb-old", "1.0")],
        &[pkg("tb-new", "1.0").info("replaces = tb-old").info("conflict = tb-old")],
    );
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-new - 1.0-1"]);
    root.patch(&["apply", "--dry-run"]).exits(0).changed(&["tb-new - 1.0-1"]);
    root.patch(&["apply"]).applied(&["tb-new - 1.0-1", "tb-old 1.0-1 -"]).leaves_pending(&[]);
    root.patch(&["apply"]).applied(&[]);
}

#[test]
fn what_is_counted_is_what_an_upgrade_would_install() {
    let root = Root::new(&[pkg("tb-a", "1.0"), pkg("tb-b", "1.0")]);
    let main = PkgRepo::new(&[pkg("tb-a", "2.0").info("depend = tb-lib"), pkg("tb-lib", "1.0")]);
    let search = PkgRepo::new(&[pkg("tb-b", "2.0")]);
    root.add_repo("main", &main);
    root.add_repo("search", &search);
    root.configure("Usage = Sync Search Install\n");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 2.0-1", "tb-lib - 1.0-1"]);
    root.patch(&["apply"]).applied(&["tb-a 1.0-1 2.0-1", "tb-lib - 1.0-1"]).leaves_pending(&[]);
    root.has_exactly(&["tb-a 2.0", "tb-b 1.0", "tb-lib 1.0"]);
}

/// No upgrade reads the index of the first for it, nor that of the last.
#[test]
fn what_is_no_index_is_told_of_a_repository_that_an_upgrade_does_not_read() {
    let root = Root::new(&[pkg("tb-a", "1.0")]);
    let repos = [("testing", "tb-t"), ("main", "tb-a"), ("last", "tb-z")].map(|(name, offered)| {
        let repo = PkgRepo::new(&[pkg(offered, "2.0")]);
        root.add_repo(name, &repo);
        if name == "testing" {
            root.configure("Usage = Sync Search Install\n");
        }
        repo
    });
    root.patch(&["refresh"]).exits(0);
    for (nth, id) in [(0, "testing"), (2, "last")] {
        repos[nth].publish(&[pkg("tb-new", "1.0")]);
        repos[nth].server.fault(".db", Fault::Page);
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).one_source_failed(3, id, "fetch").leaves_pending(&["tb-a 1.0-1 2.0-1"]);
        repos[nth].server.heal();
        root.patch(&["refresh"]).exits(0);
    }
    root.patch(&["apply"]).applied(&["tb-a 1.0-1 2.0-1"]);
}

#[test]
fn a_repository_whose_index_is_signed_no_more_is_refreshed_again() {
    let (root, repo) = one(&[pkg("tb-a", "1.0")], &[pkg("tb-a", "2.0")]);
    root.trust("DatabaseOptional PackageNever");
    repo.sign_index(Signer::Known);
    root.patch(&["refresh"]).exits(0);
    repo.sign_no_index();
    repo.publish(&[pkg("tb-a", "3.0")]);
    root.patch(&["refresh"]);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 3.0-1"]);
}

/// The file of such a package has another name, as on GitHub.
#[test]
fn a_package_whose_file_is_named_otherwise_is_installed() {
    let (root, _repo) = one(&[pkg("tb-a", "1.0")], &[pkg("tb-a", "1:2.0")]);
    root.trust("Optional TrustAll");
    root.patch(&["apply"]).applied(&["tb-a 1.0-1 1:2.0-1"]);
}

/// `pacman -Qu` looks only at the first repository that has a package, and an upgrade passes over this one.
#[test]
fn a_repository_for_searches_that_stands_first_keeps_no_update_back() {
    let root = Root::new(&[pkg("tb-a", "1.0")]);
    let (search, main) = (PkgRepo::new(&[pkg("tb-a", "1.0")]), PkgRepo::new(&[pkg("tb-a", "2.0")]));
    root.add_repo("search", &search);
    root.configure("Usage = Sync Search Install\n");
    root.add_repo("main", &main);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 2.0-1"]).holds_back(&[]);
    root.patch(&["apply"]).applied(&["tb-a 1.0-1 2.0-1"]).leaves_pending(&[]);
}

#[test]
fn what_is_needed_optionally_or_held_stays_though_an_unneeded_package_needs_it_too() {
    let names = ["tb-app", "tb-dep", "tb-held", "tb-hold", "tb-opt", "tb-own"];
    let needs =
        |pkg: Pkg, names: &[&str]| names.iter().fold(pkg, |pkg, name| pkg.info(&format!("depend = {name}")));
    let root = Root::new(&[
        pkg("tb-app", "1.0").info("optdepend = tb-opt: for more"),
        needs(pkg("tb-dep", "1.0"), &["tb-opt", "tb-own", "tb-held"]),
        pkg("tb-held", "1.0"),
        pkg("tb-hold", "1.0"),
        pkg("tb-opt", "1.0"),
        pkg("tb-own", "1.0"),
    ]);
    let repo = PkgRepo::new(&[pkg("tb-app", "1.0")]);
    root.add_repo("test", &repo);
    root.sandbox.sh(&format!("pacman -D --asdeps {}", names[1..].join(" ")));
    root.option("HoldPkg = tb-hold pacman tb-he*");
    let dry = root.patch(&["apply", "--autoremove", "--dry-run"]);
    dry.exits(0).changed(&["tb-dep 1.0-1 -", "tb-own 1.0-1 -"]);
    root.patch(&["apply", "--autoremove"]).exits(0).changed(&["tb-dep 1.0-1 -", "tb-own 1.0-1 -"]);
    root.has_exactly(&["tb-app 1.0", "tb-held 1.0", "tb-hold 1.0", "tb-opt 1.0"]);
}

/// A refresh that ends by itself would name them.
#[test]
fn an_index_that_is_none_does_not_count_as_refreshed_where_pacman_is_ended() {
    let names = ["tb-alpha", "tb-beta", "tb-gamma", "tb-delta"];
    let root = Root::new(&names.map(|name| pkg(name, "1.0")));
    let repos = names.map(|name| PkgRepo::new(&[pkg(name, "2.0")]));
    for (name, repo) in names.iter().zip(&repos) {
        root.add_repo(name.trim_start_matches("tb-"), repo);
    }
    root.option("ParallelDownloads = 4");
    repos[0].server.fault("/", Fault::Trickle(1));
    repos[1].server.fault(".db", Fault::Status(200));
    repos[2].server.fault(".db", Fault::Page);
    let refreshed = root.patch(&["refresh", "--timeout", &budget(5)]);
    refreshed.exits(1);
    let failed = refreshed.failed_sources();
    let failed: Vec<_> = failed.iter().map(|(id, class)| (id.as_str(), class.as_str())).collect();
    assert_eq!(failed, [("alpha", "timeout"), ("beta", "fetch"), ("gamma", "fetch")], "{refreshed}");
}

#[test]
fn a_database_without_any_package_is_not_one_with_nothing_to_do() {
    let (root, _repo) = pending_update();
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.sandbox.sh("mv /var/lib/pacman/local /var/lib/pacman/away");
    root.patch(&["refresh"]).exits(2);
    // pacman itself puts an empty one in its place.
    root.sandbox.sh("mkdir /var/lib/pacman/local");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).remembers("/pending/count", Value::Null);
    root.patch(&["apply"]).exits(2).changed(&[]);
    root.sandbox.sh("rm -rf /var/lib/pacman/local; mv /var/lib/pacman/away /var/lib/pacman/local");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn another_downloader_is_as_good_as_that_of_pacman() {
    let (root, repos) = three();
    fetch_otherwise(&root);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).remembers("/pending/count", 3);
    let ids: Vec<_> =
        refreshed.state["sources"].as_array().unwrap().iter().map(|source| &source["id"]).collect();
    assert_eq!(ids, ["alpha", "beta", "gamma"]);
    // The next one stops at the second, and never comes to the third.
    repos[1].server.fault("/", Fault::Status(404));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).remembers("/last_attempt/outcome", "partial");
    let expected =
        [("beta", "fetch"), ("gamma", "fetch")].map(|(id, class)| (id.to_string(), class.to_string()));
    assert_eq!(refreshed.failed_sources(), expected, "{refreshed}");
    root.patch(&["apply"]).apply_failed("fetch").changed(&[]);
    repos[1].server.heal();
    root.patch(&["apply"]).applied(&["tb-alpha 1.0-1 2.0-1", "tb-beta 1.0-1 2.0-1", "tb-gamma 1.0-1 2.0-1"]);
}

#[test]
fn what_another_downloader_says_tells_why_it_failed() {
    for (fault, class, words) in
        [(Fault::Status(404), "fetch", "error: 404"), (Fault::Close, "network", "curl: (52)")]
    {
        let (root, repo) = pending_update();
        fetch_otherwise(&root);
        repo.server.fault("/", fault);
        root.patch(&["refresh"]).refresh_failed(class).mentions("/reason", words);
    }
    let (root, repo) = pending_update();
    fetch_otherwise(&root);
    repo.server.fault("/tb-hello", Fault::Status(404));
    root.patch(&["apply"]).apply_failed("fetch").says("/retried", true).changed(&[]);
    // A login page with the code 200, and a program that is not there.
    let (root, repo) = pending_update();
    fetch_otherwise(&root);
    repo.publish_as_index(b"<html>please log in</html>");
    root.patch(&["refresh"]).refresh_failed("fetch");
    let (root, _repo) = pending_update();
    root.option("XferCommand = /usr/bin/nonesuch %o %u");
    root.patch(&["refresh"]).refresh_failed("config");
}

#[test]
fn a_signature_that_is_optional_and_not_there_is_not_missed() {
    for level in
        ["Optional TrustAll", "PackageOptional DatabaseNever", "Never", "PackageNever DatabaseOptional"]
    {
        let names = ["a", "b", "c", "d", "e"].map(|name| format!("tb-{name}"));
        let root = Root::new(&names.clone().map(|name| pkg(&name, "1.0")));
        let repos = names.clone().map(|name| {
            let repo = PkgRepo::new(&[pkg(&name, "2.0")]);
            root.add_repo(&name, &repo);
            repo
        });
        root.trust(level);
        let changes = names.clone().map(|name| format!("{name} 1.0-1 2.0-1"));
        let changes: Vec<_> = changes.iter().map(String::as_str).collect();
        root.patch(&["apply"]).applied(&changes);
        assert!(
            repos.iter().all(|repo| repo.server.requests(".db") == repo.server.requests(".db.sig") + 1),
            "{level}"
        );
    }
}

#[test]
fn a_downloader_that_exits_with_0_and_stores_nothing_over_an_old_index_has_refreshed_nothing() {
    for (arguments, body) in [
        ("%u", "true"),
        ("%u %o", "true"),
        ("%u", "fetch /srv/elsewhere \"$1\""),
        ("%u %o", "fetch /srv/elsewhere \"$1\""),
        ("%u %o", ": >\"$2\""),
        ("%u", ": >\"${1##*/}\""),
        ("%u", "echo '<html>please log in</html>' >\"${1##*/}\""),
        ("%u %o", "fetch /srv/whole \"$1\"; head -c 100 /srv/whole >\"$2\""),
        ("%u", "fetch /srv/whole \"$1\"; head -c 100 /srv/whole >\"${1##*/}\""),
        // What an earlier run left unfinished is not today's index.
        ("%u %o", "[ -e \"$2\" ]"),
    ] {
        let (root, repo) = pending_update();
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        fetch_by_script(&root, arguments, body);
        repo.publish(&[pkg("tb-hello", "3.0")]);
        root.sandbox.sh(&format!("cp {INDEX} {INDEX}.part"));
        let case = format!("{arguments}: {body}");
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(2).remembers("/last_attempt/outcome", "failed");
        let failed = refreshed.failed_sources();
        assert_eq!(failed, [("test".to_string(), "fetch".to_string())], "{case}: {refreshed}");
        root.patch(&["refresh"]).exits(2);
        root.patch(&["apply"]).exits(2).changed(&[]);
        let good = "exec fetch \"${2:-${1##*/}}\" \"$1\"";
        root.sandbox.write_script("/usr/local/bin/by-script", good);
        root.patch(&["apply"]).applied(&["tb-hello 1.0-1 3.0-1"]);
    }
}

#[test]
fn a_downloader_that_compares_times_is_asked_for_the_whole_index() {
    // As `wget -N` does: what is there already, and not older, is not fetched again.
    let newer = "file=${1##*/}; [ -e \"$file\" ] && [ \"$file\" -nt /srv/changed ] || fetch \"$file\" \"$1\"";
    let (root, repo) = pending_update();
    root.sandbox.sh("touch -d '1 hour ago' /srv/changed");
    fetch_by_script(&root, "%u", newer);
    for _ in 0..2 {
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    }
    repo.publish(&[pkg("tb-hello", "3.0")]);
    root.sandbox.sh("touch /srv/changed");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 3.0-1"]);
}

#[test]
fn a_downloader_that_stores_nothing_costs_the_source_or_the_package_that_it_is_asked_for() {
    let (root, repos) = three();
    root.patch(&["refresh"]).exits(0);
    let but_not = |what: &str| format!("case \"$1\" in *{what}*) exit 0 ;; esac; fetch \"$2\" \"$1\"");
    let port = repos[1].server.url().rsplit(':').next().unwrap().to_owned();
    fetch_by_script(&root, "%u %o", &but_not(&format!(":{port}/*.db")));
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).mentions("/reason", "stored nothing");
    let failed: Vec<_> = refreshed.failed_sources().into_iter().map(|(id, _)| id).collect();
    assert_eq!(failed, ["beta", "gamma"], "pacman never comes to the third: {refreshed}");
    root.sandbox.write_script("/usr/local/bin/by-script", &but_not("tb-beta"));
    root.patch(&["apply"]).apply_failed("fetch").says("/retried", true).changed(&[]);
    let page = "case \"$1\" in *tb-beta*) echo '<html>' >\"$2\"; exit 0 ;; esac; fetch \"$2\" \"$1\"";
    root.sandbox.write_script("/usr/local/bin/by-script", page);
    root.patch(&["apply"]).apply_failed("fetch").says("/retried", true).changed(&[]);
}
