//! One update that cannot be installed, with the real pacman, which installs all or nothing: it is held
//! back and named, and the others come.

use crate::pacman::{PkgRepo, Root, one, pkg, three};
use crate::server::Fault;
use crate::vault::Signer;

const CACHE: &str = "/var/cache/pacman/pkg";

#[test]
fn a_conflict_with_some_versions_of_a_package_holds_back_one_update() {
    for (installed, published) in [
        // The package that is in the way is installed, or comes too; pacman names either of the two.
        (pkg("tb-foe", "1.0").info("conflict = tb-b=2.0"), pkg("tb-b", "2.0")),
        (pkg("tb-afoe", "1.0").info("conflict = tb-b>1.5"), pkg("tb-b", "2.0")),
        (pkg("tb-zfoe", "1.0"), pkg("tb-b", "2.0").info("conflict = tb-zfoe<2")),
        (
            pkg("tb-foe", "1.0").info("provides = tb-virtual=3"),
            pkg("tb-b", "2.0").info("conflict = tb-virtual>2"),
        ),
    ] {
        let (root, _repo) = one(
            &[installed.clone(), pkg("tb-b", "1.0"), pkg("tb-x", "1.0")],
            &[published, pkg("tb-x", "2.0")],
        );
        let applied = root.patch(&["apply"]);
        applied.applied(&["tb-x 1.0-1 2.0-1"]).says("/held_back/0/name", "tb-b").leaves_pending(&[]);
        applied.says("/held_back/0/class", "dependency").mentions("/held_back/0/reason", "are in conflict");
        root.patch(&["apply"]).applied(&[]);
    }
    let (root, _repo) = one(
        &["tb-a", "tb-b", "tb-x"].map(|name| pkg(name, "1.0")),
        &[pkg("tb-a", "2.0"), pkg("tb-b", "2.0").info("conflict = tb-a>1.5"), pkg("tb-x", "2.0")],
    );
    root.patch(&["apply"])
        .applied(&["tb-a 1.0-1 2.0-1", "tb-x 1.0-1 2.0-1"])
        .says("/held_back/0/name", "tb-b");
}

#[test]
fn forty_conflicts_that_pacman_names_one_by_one_keep_no_other_update_back() {
    let numbers = || 0..40;
    let foe = |n| pkg(&format!("tb-foe{n}"), "1.0").info(&format!("conflict = tb-b{n}=2.0"));
    let b = |n, version: &str| pkg(&format!("tb-b{n}"), version);
    let mut installed: Vec<_> = numbers().flat_map(|n| [foe(n), b(n, "1.0")]).collect();
    installed.push(pkg("tb-x", "1.0"));
    let mut published: Vec<_> = numbers().map(|n| b(n, "2.0")).collect();
    published.push(pkg("tb-x", "2.0"));
    let (root, _repo) = one(&installed, &published);
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-x 1.0-1 2.0-1"]).says("/held_back/39/class", "dependency");
    assert!(applied.elapsed < std::time::Duration::from_secs(240), "{applied}");
}

#[test]
fn a_package_for_other_machines_holds_back_itself_and_those_that_need_it() {
    let (root, _repo) = one(
        &["tb-a", "tb-b", "tb-x"].map(|name| pkg(name, "1.0")),
        &[pkg("tb-a", "2.0").of("armv7h"), pkg("tb-b", "2.0").info("depend = tb-a=2.0"), pkg("tb-x", "2.0")],
    );
    let held = [
        "tb-a 1.0-1 2.0-1 package tb-a-2.0-1-armv7h does not have a valid architecture",
        "tb-b 1.0-1 2.0-1 unable to satisfy dependency 'tb-a=2.0' required by tb-b",
    ];
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-x 1.0-1 2.0-1"]).holds_back(&held);
    root.patch(&["apply"]).applied(&["tb-x 1.0-1 2.0-1"]).holds_back(&held);
}

#[test]
fn a_replacement_for_what_another_package_needs_is_held_back() {
    let (root, repo) =
        one(&[pkg("tb-old", "1.0"), pkg("tb-user", "1.0").info("depend = tb-old"), pkg("tb-x", "1.0")], &[]);
    let new = |name: &str| pkg(name, "1.0").info("replaces = tb-old").info("conflict = tb-old");
    repo.publish(&[new("tb-new"), new("tb-newer"), pkg("tb-x", "2.0")]);
    let held = ["tb-old 1.0-1 - removing tb-old breaks dependency 'tb-old' required by tb-user"];
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-x 1.0-1 2.0-1"]).holds_back(&held);
    root.patch(&["apply"]).applied(&["tb-x 1.0-1 2.0-1"]).holds_back(&held);
    repo.publish(&[new("tb-new").info("provides = tb-old")]);
    root.patch(&["apply"]).applied(&["tb-new - 1.0-1", "tb-old 1.0-1 -"]);
}

#[test]
fn a_full_upgrade_does_not_remove_what_another_package_needs() {
    let (root, _repo) = one(
        &[
            pkg("tb-foe", "1.0"),
            pkg("tb-user", "1.0").info("depend = tb-foe"),
            pkg("tb-b", "1.0"),
            pkg("tb-x", "1.0"),
        ],
        &[pkg("tb-b", "2.0").info("conflict = tb-foe"), pkg("tb-x", "2.0")],
    );
    let applied = root.patch(&["apply", "--full"]);
    applied.applied(&["tb-x 1.0-1 2.0-1"]).says("/held_back/0/name", "tb-b");
    root.has_exactly(&["tb-b 1.0", "tb-foe 1.0", "tb-user 1.0", "tb-x 2.0"]);
}

#[test]
fn several_that_cannot_be_installed_for_several_reasons_hold_back_no_other() {
    let (root, _repo) = one(
        &["tb-a", "tb-b", "tb-c", "tb-d", "tb-foe", "tb-x"].map(|name| pkg(name, "1.0")),
        &[
            pkg("tb-a", "2.0").info("depend = tb-none"),
            pkg("tb-b", "2.0").info("conflict = tb-foe<2"),
            pkg("tb-c", "2.0").file("/etc/passwd", "x"),
            pkg("tb-d", "2.0").of("armv7h"),
            pkg("tb-x", "2.0"),
        ],
    );
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-x 1.0-1 2.0-1"]).leaves_pending(&[]);
    assert_eq!(applied.json["held_back"].as_array().map(Vec::len), Some(4), "{applied}");
}

#[test]
fn a_damaged_signature_in_the_cache_is_fetched_again_and_one_that_is_served_is_held_back() {
    let signed = || {
        let (root, repo) = one(&[pkg("tb-hello", "1.0"), pkg("tb-x", "1.0")], &[]);
        repo.sign_packages(&["tb-hello", "tb-x"], Signer::Known);
        repo.publish(&[pkg("tb-hello", "2.0"), pkg("tb-x", "2.0")]);
        root.trust("PackageRequired DatabaseNever");
        (root, repo)
    };
    let bytes = pkg("tb-hello", "2.0").bytes();
    let zeros = vec![0; bytes.len()];
    // As a power cut leaves them; the good package is there too, or not.
    for (package, signature) in [
        (&bytes[..], &zeros[..119]),
        (&bytes[..], &[][..]),
        (&bytes[..], b"garbage"),
        (&zeros[..], &zeros[..119]),
    ] {
        let (root, _repo) = signed();
        root.sandbox.write(&format!("{CACHE}/tb-hello-2.0-1-any.pkg.tar.gz"), package);
        root.sandbox.write(&format!("{CACHE}/tb-hello-2.0-1-any.pkg.tar.gz.sig"), signature);
        let applied = root.patch(&["apply"]);
        applied.applied(&["tb-hello 1.0-1 2.0-1", "tb-x 1.0-1 2.0-1"]).says("/retried", true);
    }
    let (root, repo) = signed();
    repo.server.fault("/tb-hello-2.0-1-any.pkg.tar.gz.sig", Fault::Short);
    let applied = root.patch(&["apply"]);
    applied
        .exits(1)
        .changed(&["tb-x 1.0-1 2.0-1"])
        .says("/retried", false)
        .says("/held_back/0/class", "auth");
}

#[test]
fn a_mistake_in_an_index_that_pacman_does_not_mind_stops_nothing() {
    let (root, repo) = one(&[pkg("tb-a", "1.0"), pkg("tb-z", "1.0")], &[]);
    // The directory in the index names the one version, the file in it another.
    let packages = [pkg("tb-a", "2.0"), pkg("tb-z", "2.0")];
    repo.publish_altered(&packages, "%NAME%\ntb-a\n", "%NAME%\ntb-a\n\n%VERSION%\n2.1-1\n");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 2.0-1", "tb-z 1.0-1 2.0-1"]);
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-a 1.0-1 2.0-1", "tb-z 1.0-1 2.0-1"]);
    assert!(applied.stderr.contains("version mismatch on package tb-a"), "{applied}");
}

#[test]
fn an_index_that_pacman_drops_as_a_whole_is_not_refreshed() {
    let (root, repos) = three();
    const LIST: &str = "pacman -Sy >/dev/null 2>&1; pacman -Sup --print-format %n 2>/dev/null || true";
    let listed = root.sandbox.sh(LIST);
    assert!(listed.contains("tb-alpha"), "{listed}");
    repos[0].publish_altered(&[pkg("tb-alpha", "2.0")], "%FILENAME%\n", "%FILENAME%\n../../../etc/");
    // pacman 6 goes on with the others, and exits with 0.
    let listed = root.sandbox.sh(LIST);
    assert!(!listed.contains("tb-alpha"), "{listed}");
    root.patch(&["refresh"]).exits(1).one_source_failed(3, "alpha", "fetch");
    root.patch(&["apply"]).apply_failed("fetch").changed(&[]);
    repos[0].publish(&[pkg("tb-alpha", "3.0")]);
    root.patch(&["apply"]).exits(0);
    let root = Root::new(&[pkg("tb-a", "1.0")]);
    let repo = PkgRepo::new(&[]);
    repo.publish_altered(&[pkg("tb-a", "2.0")], "%FILENAME%\n", "%FILENAME%\n.");
    root.add_repo("test", &repo);
    root.patch(&["refresh"]).refresh_failed("fetch");
}
