//! Tests of `lists.rs`.

use super::*;
use crate::managers::apt::Apt;
use crate::managers::manager::Manager;

#[test]
fn updates_carry_versions_origin_and_security() {
    let text = "Inst libc6 [2.36-9] (2.36-9+deb12u14 Debian:12.14/oldstable, Debian-Security:12/oldstable-security [amd64])\n\
                Inst linux-image-6 (6.1-2 Debian:12/stable [amd64]) []\nInst tb-a [1] (2 localhost [all])\nConf tb-a (2 localhost [all])\n";
    let listing = parse(text);
    let short: Vec<_> = listing
        .updates
        .iter()
        .map(|update| (&*update.name, update.installed.as_deref(), &*update.candidate, update.security))
        .collect();
    assert_eq!(
        short,
        [
            ("libc6", Some("2.36-9"), "2.36-9+deb12u14", Some(true)),
            ("linux-image-6", None, "6.1-2", Some(false)),
            ("tb-a", Some("1"), "2", Some(false)),
        ]
    );
    assert_eq!(listing.updates[1].source.as_deref(), Some("Debian:12/stable"));
}

#[test]
fn what_stays_is_listed_with_its_reason() {
    let text = "The following packages have been kept back:\n   tb-a (1.0 => 2.0)\n   tb-b (1.0 => 3.0)\n\
                The following upgrades have been deferred due to phasing:\n   tb-c (1 => 2)\n\
                The following packages will be upgraded:\n   tb-d (1 => 2)\nRemv tb-old [1.0-1]\n";
    let listing = parse(text);
    let short: Vec<_> = listing
        .held_back
        .iter()
        .map(|held| (&*held.name, held.candidate.as_deref(), &*held.reason))
        .collect();
    assert_eq!(
        short,
        [
            ("tb-a", Some("2.0"), "kept back"),
            ("tb-b", Some("3.0"), "kept back"),
            ("tb-c", Some("2"), "phased")
        ]
    );
    assert_eq!(listing.removals, [("tb-old".to_string(), Some("1.0-1".to_string()))]);
    let plain = parse("The following packages have been kept back:\n  tb-a tb-b\n");
    assert_eq!(plain.held_back.len(), 2);
}

/// What `apt-get -y -d upgrade` printed, and what it said in the end.
fn culprits_of(stdout: &str, stderr: &str) -> Vec<(String, Class)> {
    let found = culprits(&Finished::ended(100, stdout, stderr));
    found.into_iter().map(|held| (held.name, held.class.unwrap())).collect()
}

#[test]
fn what_apt_refuses_unattended_is_named() {
    let paragraphs = "The following packages have been kept back:\n  tb-kept\nThe following held packages will be changed:\n  tb-held\nThe following packages will be DOWNGRADED:\n  tb-a tb-b:i386\nThe following packages will be upgraded:\n  tb-c\nWARNING: The following packages cannot be authenticated!\n  tb-d\n";
    let refusal = |words: &str| format!("E: {words} and -y was used without --allow-it.\n");
    for (words, expected) in [
        ("Packages were downgraded", &[("tb-a", Class::Dependency), ("tb-b:i386", Class::Dependency)][..]),
        ("Held packages were changed", &[("tb-held", Class::Dependency)]),
        ("There were unauthenticated packages", &[("tb-d", Class::Auth)]),
        ("Something", &[]),
    ] {
        let expected: Vec<_> = expected.iter().map(|(name, class)| (name.to_string(), *class)).collect();
        assert_eq!(culprits_of(paragraphs, &refusal(words)), expected, "{words}");
    }
}

#[test]
fn a_package_without_a_hash_that_is_safe_is_named_and_one_that_is_not_there_is_not() {
    let stdout = "The following packages will be upgraded:\n  tb-a tb-b:i386\nErr:1 http://h stable/main amd64 tb-a all 2.0\n  Insufficient information available to perform this download securely\n  Hashes of expected file:\n   - MD5Sum:9 [weak]\nErr:2 http://h stable/main i386 tb-b i386 2.0\n  Insufficient information available to perform this download securely\nErr:3 http://h stable/main amd64 tb-c all 2.0\n  404  Not Found [IP: 127.0.0.1 80]\n";
    let expected = [("tb-a".to_string(), Class::Auth), ("tb-b:i386".to_string(), Class::Auth)];
    assert_eq!(culprits_of(stdout, ""), expected);
}

#[test]
fn only_what_was_not_fetched_just_now_is_looked_at() {
    let plan = parse("Inst a [1] (1:2 x [all])\nInst b:i386 [1] (2 x [i386])\nInst c [1] (2 x [all])\n");
    let got = |lines: &str| {
        let asked = ask_hashes(&plan, &Finished::ended(0, lines, ""));
        asked.map(|asked| asked.args[2..].join(" ")).unwrap_or_default()
    };
    let (a, b, c) = (
        "Get:1 http://h s/main amd64 a all 1:2 [9 B]\n",
        "Get:2 http://h s/main i386 b i386 2 [20.7 kB]\n",
        "Get:3 cdrom:[Debian 12 x]/ s/main amd64 c all 2 [9 B]\n",
    );
    assert_eq!(got(""), "show a=1:2 b:i386=2 c=2");
    assert_eq!(got(&format!("{a}{c}")), "show b:i386=2");
    assert_eq!(got(&format!("{a}{b}{c}")), "");
    let places = Places { archives: "/x".into(), ..Apt.facts().usual_places() };
    let shown = "Package: a\nVersion: 1:2\nArchitecture: all\nSHA256: 12\nDescription: x\n Package: y\n\nPackage: b\nVersion: 2\nArchitecture: i386\nMD5sum: 1\n\n";
    assert_eq!(hashes(shown, &places), [("/x/a_1%3a2_all.deb".into(), "12".to_string())]);
}

#[test]
fn packages_that_disappeared_are_read_and_what_stands_below_is_not() {
    let text = "Setting up tb-world (2.0) ...\nThe following packages disappeared from your system as\nall files have been overwritten by other packages:\n  tb-a tb-b\n  tb-c\nNote: x\n  tb-d\n";
    assert_eq!(disappeared(&Finished::ended(0, text, "")), ["tb-a", "tb-b", "tb-c"]);
    assert!(disappeared(&Finished::ended(0, "  tb-a\n", "")).is_empty());
}

#[test]
fn a_downgrade_is_held_back_unless_the_administrator_allows_it() {
    let text = "The following held packages will be changed:\n   tb-held (1.0 => 2.0)\nThe following packages will be DOWNGRADED:\n   tb-a (2.0 => 1.0)\n1 upgraded, 0 newly installed, 1 downgraded, 0 to remove and 0 not upgraded.\nInst tb-a [2.0] (1.0 Debian:stable [all])\nInst tb-held [1.0] (2.0 Debian:stable [all])\nPurg tb-old [1.0]\n";
    let listing = parse(text);
    assert!(listing.updates.is_empty() && listing.removals.len() == 1);
    let held = |listing: &Listing| -> Vec<String> {
        listing.held_back.iter().map(|held| format!("{} {}", held.name, held.reason)).collect()
    };
    assert_eq!(held(&listing), ["tb-held held", "tb-a a pin makes it a downgrade"]);
    assert!(ask_allowed(&listing).is_some());
    assert!(ask_allowed(&Listing::default()).is_none());
    for (answer, left) in [
        ("", 2),
        ("DOWNGRADE='false'\nHOLD='0'\nALL='no'\n", 2),
        ("DOWNGRADE='true'\n", 1),
        ("HOLD='1'\n", 1),
        ("ALL='yes'\n", 0),
    ] {
        let listing = add_allowed(answer, listing.clone());
        assert_eq!((listing.held_back.len(), listing.updates.len()), (left, 2 - left), "{answer}");
    }
}
