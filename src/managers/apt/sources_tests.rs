//! Tests of `sources.rs`.

use super::super::source_list::Configured;
use super::*;
use crate::managers::capabilities::SourceList;

#[test]
fn the_sources_of_a_file_are_read_also_beside_nonsense() {
    let lines = "# deb http://no.example/ x y\ndeb [arch=amd64 trusted=yes] http://b.example/d/ s main\n\
                 deb-src https://a.example/d s main\ndeb file:/srv/x ./\n\ndeb http://x\nnonsense\n";
    assert_eq!(written(lines), ["file:/srv/x ./", "http://b.example/d s"]);
    let stanzas = "Types: deb\nURIs: http://c.example/d\n https://d.example/\nSuites: s\n# x\n t\n\n\
                   Types: deb\nEnabled: no\nURIs: http://no.example/\nSuites: s\n";
    let expected =
        ["http://c.example/d s", "http://c.example/d t", "https://d.example s", "https://d.example t"];
    assert_eq!(written(stanzas), expected);
}

#[test]
fn the_hosts_of_a_file_are_those_of_what_is_switched_on() {
    let lines = "# deb http://no.example/ x y\ndeb [trusted=yes] http://me:x@b.example:81/d s main\n\
                 deb-src https://a.example/d s main\ndeb file:/srv/x ./\n";
    assert_eq!(hosts(lines), ["a.example", "b.example:81"]);
    let stanzas = "Types: deb\nURIs: http://c.example/d\n https://d.example\nSuites: s\n\n\
                   Types: deb\nEnabled: no\nURIs: http://no.example/\n";
    assert_eq!(hosts(stanzas), ["c.example", "d.example"]);
}

const ANSWER: &str = "http://h/d/\tstable\tmain/binary-amd64/Packages\tPackages\t/l/h_d_dists_stable_main_binary-amd64_Packages\n\
     http://h/d/\tstable\tmain/source/Sources\tSources\t/l/h_d_dists_stable_main_source_Sources\n\
     file:/srv/flat/\t./\tPackages\tPackages\t/l/_srv_flat_._Packages\n\
     file:/srv/flat/\t./\ten\tTranslations\t/l/_srv_flat_._en\nW: something\n\
     http://h/Packages/\t\tPackages\tPackages\t/l/h_Packages_Packages.lz4\n";

#[test]
fn sources_are_read_with_their_files() {
    let sources = parse(ANSWER);
    let ids: Vec<_> = sources.iter().map(Source::id).collect();
    assert_eq!(ids, ["http://h/d stable", "file:/srv/flat ./", "http://h/Packages /"]);
    let prefixes: Vec<_> = sources.iter().map(|source| source.prefix().unwrap()).collect();
    assert_eq!(prefixes, ["h_d_dists_stable_", "_srv_flat_._", "h_Packages_"]);
    let groups: Vec<_> = sources[0].targets.iter().map(Target::group).collect();
    assert_eq!(groups, [("Packages", "main"), ("Sources", "main")]);
    assert!(!sources[1].targets[1].is_needed());
    assert_eq!(Configured.files(ANSWER).len(), 4 * ENDS.len());
}

#[test]
fn an_index_is_wanted_where_the_release_file_says_that_something_is_in_it() {
    let release = |lines: &[&str]| format!("Suite: s\nSHA256:\n {}\n", lines.join("\n "));
    for (lines, expected) in [
        (&["a 9 main/binary-amd64/Packages"][..], true),
        (&["a 0 main/binary-amd64/Packages", "a 20 main/binary-amd64/Packages.gz"], false),
        (&["a 20 main/binary-amd64/Packages.gz"], true),
        (&["a 20 main/binary-amd64/Packages.diff/Index"], false),
        (&["a 9 main/binary-arm64/Packages"], false),
    ] {
        assert_eq!(is_named(&release(lines), "main/binary-amd64/Packages"), expected, "{lines:?}");
    }
}

#[test]
fn what_a_release_file_lists_is_compared_where_it_is_stored_as_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let (sum, put) = ("a".repeat(64), |name: &str, text: &str| {
        std::fs::write(dir.path().join(format!("h_dists_s_{name}")), text).unwrap();
    });
    let lines = [
        format!("MD5Sum:\n {} 3 main/binary-amd64/Packages", "b".repeat(32)),
        format!("SHA256:\n {sum} 3 main/binary-amd64/Packages\n {sum} 4 main/binary-amd64/Packages.gz"),
        format!(" {sum} 3 main/binary-i386/Packages\n {sum} 5 main/i18n/Translation-en"),
    ];
    put("InRelease", &lines.join("\n"));
    ["main_binary-amd64_Packages", "main_binary-amd64_Packages.gz", "main_i18n_Translation-en"]
        .into_iter()
        .for_each(|name| put(name, "abc"));
    let found = listed("http://h s", dir.path());
    let found: Vec<_> = found.iter().map(|file| (file.path.file_name().unwrap(), file.size)).collect();
    assert_eq!(found, [("h_dists_s_main_binary-amd64_Packages".as_ref(), 3)]);
    assert!(listed("http://other s", dir.path()).is_empty());
}

#[test]
fn a_release_file_is_found_by_the_name_that_apt_gives_it() {
    for (id, expected) in [
        ("http://h:80/d stable", "h:80_d_dists_stable_InRelease"),
        ("file:/srv/x_y ./", "_srv_x%5fy_._InRelease"),
        ("copy:/srv/x sub/", "_srv_x_sub_InRelease"),
        ("file: ./", "_._InRelease"),
        ("file:///srv stable/updates", "_srv_dists_stable_updates_InRelease"),
        ("mirror+file:/srv/m s", "_srv_m_dists_s_InRelease"),
        ("https://h/~a/x x", "h_%7ea_x_dists_x_InRelease"),
        ("http://h/deb /", "h_deb_InRelease"),
        ("http://h/deb /sub/", "h_deb__sub_InRelease"),
        ("http://h/deb /abs", "h_deb_dists__abs_InRelease"),
        ("http://[::1]:80/d s", "::1:80_d_dists_s_InRelease"),
    ] {
        assert_eq!(release_files(id)[0], Pattern::escape(expected), "{id}");
    }
    assert!(release_files("cdrom:[x] stable").is_empty() && release_files("x").is_empty());
}

#[test]
fn a_cdrom_has_one_name() {
    assert_eq!(source_id("cdrom://[Debian 12]/", "x"), source_id("cdrom:[Debian 12]", "x"));
    assert_eq!(source_id("file:/media/my disk/", "x"), "file:/media/my%20disk x");
}

#[test]
fn an_index_is_lacking_where_neither_it_nor_that_of_a_variant_is_stored() {
    let line = |arch: &str| {
        let key = format!("main/binary-{arch}/Packages");
        format!("http://h/\ts\t{key}\tPackages\t/l/h_dists_s_{}\n", key.replace('/', "_"))
    };
    let source = |archs: &[&str]| {
        let answer: String = archs.iter().map(|arch| line(arch)).collect();
        parse(&answer).remove(0)
    };
    let (base, variant) = ("main/binary-amd64/Packages", "main/binary-amd64v3/Packages");
    for (archs, listed, stored, expected) in [
        (&["amd64v3", "amd64"][..], &[base, variant][..], "amd64v3", None),
        (&["amd64v3", "amd64"], &[base, variant], "i386", Some(variant)),
        (&["amd64v3", "amd64"], &[base, variant], "amd64", Some(variant)),
        // What an earlier refresh left.
        (&["amd64v3", "amd64"], &[base], "amd64v3", Some(base)),
        (&["amd64", "i386"], &[base], "i386", Some(base)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let lines: String = listed.iter().map(|key| format!(" a 9 {key}\n")).collect();
        std::fs::write(dir.path().join("h_dists_s_InRelease"), format!("SHA256:\n{lines}")).unwrap();
        std::fs::write(dir.path().join(format!("h_dists_s_main_binary-{stored}_Packages")), "x").unwrap();
        assert_eq!(source(archs).lacks(dir.path()).as_deref(), expected, "{listed:?} {stored}");
    }
}

#[test]
fn a_source_has_the_address_that_apt_prints() {
    for (configured, printed) in [
        ("https://me:secret@h:81/a/ubuntu/", "https://h:81/a/ubuntu"),
        ("https://token@h", "https://h"),
        ("https://h/~a@b/x", "https://h/~a@b/x"),
        ("http://me@[::1]:80/d/", "http://[::1]:80/d"),
        ("file:///srv/x/", "file:/srv/x"),
        ("mirror+file:///etc/m", "mirror+file:/etc/m"),
        ("file:/srv/x", "file:/srv/x"),
        ("cdrom:[Debian 12]/", "cdrom:[Debian 12]"),
    ] {
        assert_eq!(as_printed(configured), printed);
    }
}

#[test]
fn a_source_owns_what_lies_below_its_suite() {
    let source = |suite: &str| Source { uri: "http://h/d".into(), suite: suite.into(), targets: vec![] };
    assert!(source("s").owns("http://h/d/dists/s/InRelease"));
    assert!(!source("s").owns("http://h/d/dists/s-security/InRelease"));
    assert!(source("./").owns("http://h/d/./InRelease") && source("/").owns("http://h/d/InRelease"));
}
