//! When the indexes of apk were published, by files made as apk makes them.

use crate::apk::{Apk, OLD, VERSIONS};
use crate::leisure::at_leisure;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const DAY: i64 = 86400;
const FIRST: &str = "http://127.0.0.1:8080";

fn days_ago(days: i64) -> i64 {
    Utc::now().timestamp() - days * DAY
}

fn shell(dir: &Path, script: &str) {
    let status = Command::new("sh").arg("-euc").arg(script).current_dir(dir).status().unwrap();
    assert!(status.success(), "{script}");
}

/// An index: when it was signed, what time `apk index` gives it (apk 2: none), when its packages were built.
#[derive(Default)]
struct Index<'a> {
    signed: Option<i64>,
    made: i64,
    built: &'a [i64],
}

impl Index<'_> {
    /// The members as `abuild-sign` and `apk index` make them: the first without the end of an archive.
    fn bytes(&self) -> Vec<u8> {
        let work = tempfile::tempdir().unwrap();
        let records = self.built.iter().enumerate().map(|(at, built)| {
            format!(
                "C:Q1xyz=\nP:tb-{at}\nV:1.0-r0\nA:x86_64\nS:1\nI:2\nT:a test\nU:t:5\nL:MIT\no:tb\nm:T <t@t>\nt:{built}\nc:abc\n\n"
            )
        });
        std::fs::write(work.path().join("APKINDEX"), records.collect::<String>()).unwrap();
        std::fs::write(work.path().join("DESCRIPTION"), "tb").unwrap();
        std::fs::write(work.path().join(".SIGN.RSA.test.rsa.pub"), [0xa5; 512]).unwrap();
        if let Some(signed) = self.signed {
            let name = ".SIGN.RSA.test.rsa.pub";
            let pack = format!(
                "tar --format=posix --pax-option=delete=atime,delete=ctime,delete=mtime --mtime=@{signed} \
                 --owner=0 --group=0 -cf - {name} | head -c 1024 | gzip -n -9 >index"
            );
            shell(work.path(), &pack);
        }
        let made = self.made;
        let pack =
            format!("tar --format=ustar --mtime=@{made} -cf - DESCRIPTION APKINDEX | gzip -n -9 >>index");
        shell(work.path(), &pack);
        std::fs::read(work.path().join("index")).unwrap()
    }
}

/// The machine with the index of the first of its two repositories.
struct Stored {
    apk: Apk,
    file: &'static str,
}

impl Stored {
    fn of(version: &'static str) -> Stored {
        let apk = Apk::new(version);
        std::fs::create_dir(apk.world.path("cache")).unwrap();
        apk.world.write("config", &format!("cache-dir {}\n", apk.world.path("cache").display()));
        // By sha1sum or sha256sum of http://127.0.0.1:8080/x86_64/APKINDEX.tar.gz.
        let file =
            if OLD.contains(&version) { "APKINDEX.5725966a.tar.gz" } else { "APKINDEX.db7b2428.tar.gz" };
        Stored { apk, file }
    }

    /// What a refresh says of it, with this file stored. apk replaces the file, also by the same one.
    fn refresh(&self, bytes: &[u8]) -> Value {
        let path = self.apk.world.path("cache").join(self.file);
        let _ = std::fs::remove_file(&path);
        std::fs::write(path, bytes).unwrap();
        self.apk.with_settings("refresh")
    }

    fn exit_code(&self, alert: &str) -> i64 {
        self.apk.json(&format!("status --alert {alert}"))["exit_code"].as_i64().unwrap()
    }
}

fn source<'a>(doc: &'a Value, id: &str) -> &'a Value {
    doc["sources"].as_array().unwrap().iter().find(|source| source["id"] == id).unwrap()
}

fn published(doc: &Value) -> Option<i64> {
    let text = source(doc, FIRST)["published_at"].as_str()?;
    Some(DateTime::parse_from_rfc3339(text).unwrap().timestamp())
}

#[test]
fn every_version_says_when_its_index_was_published() {
    for version in VERSIONS {
        let stored = Stored::of(version);
        let (six, nine) = (days_ago(6), days_ago(9));
        let index = Index { built: &[nine, six, days_ago(-3), nine], ..Index::default() }.bytes();
        let doc = stored.refresh(&index);
        assert_eq!((&doc["exit_code"], published(&doc)), (&0.into(), Some(six)), "{version}: {doc}");
        assert_eq!(source(&doc, "http://127.0.0.2:8080")["published_at"], Value::Null, "{version}");
        let codes = ["mirror:14d", "mirror:4d", "mirror:4d=critical", "mirror:14d@*2:8080"];
        assert_eq!(codes.map(|alert| stored.exit_code(alert)), [0, 1, 2, 3], "{version}");
        // The same index again is not read again: these dates stay.
        let mut state = stored.apk.world.state();
        state["index_dates"][0]["built"] = state["last_cache_update"].clone();
        stored.apk.world.write_state(&state);
        let again = published(&stored.refresh(&index)).unwrap();
        assert!(again > days_ago(1), "{version}: {again}");
        let newer = Index { built: &[nine, six, days_ago(2)], ..Index::default() }.bytes();
        let age = days_ago(0) - published(&stored.refresh(&newer)).unwrap();
        assert!((2 * DAY..2 * DAY + 600).contains(&age), "{version}: {age}");
    }
}

#[test]
fn a_repository_in_a_directory_and_one_with_a_password_are_dated_too() {
    let stored = Stored::of("2.14.10");
    let world = &stored.apk.world;
    let local = world.path("apks");
    std::fs::create_dir_all(local.join(std::env::consts::ARCH)).unwrap();
    let five = days_ago(5);
    let index = Index { built: &[five], ..Index::default() }.bytes();
    std::fs::write(local.join(std::env::consts::ARCH).join("APKINDEX.tar.gz"), &index).unwrap();
    world.write(
        "refresh",
        &format!("tb [{}]\ntb [http://*:*@h/main/]\nOK: 5 distinct packages available\n", local.display()),
    );
    world.on("update", "cat $world/refresh");
    // Its name is a hash of the address with the password.
    let secret = "http://me:secret@h/main/";
    world.write("repositories", &format!("{}\n{secret}\n", local.display()));
    let config = std::fs::read_to_string(world.path("config")).unwrap();
    world.write("config", &format!("{config}repositories-file {}\n", world.path("repositories").display()));
    world.write("address", &format!("{secret}{}/APKINDEX.tar.gz", std::env::consts::ARCH));
    shell(&world.path(""), "tr -d '\\n' <address | sha1sum | cut -c1-8 >hash");
    let name = format!("cache/APKINDEX.{}.tar.gz", world.read("hash").trim());
    std::fs::write(world.path(&name), &index).unwrap();
    let doc = stored.apk.with_settings("refresh");
    let sources = doc["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 2, "{doc}");
    for source in sources {
        let at = DateTime::parse_from_rfc3339(source["published_at"].as_str().unwrap_or_default());
        assert_eq!(at.map(|at| at.timestamp()), Ok(five), "{doc}");
    }
}

#[test]
fn the_dates_of_the_archive_say_more_than_those_of_its_packages() {
    let (one, three, five, tomorrow) = (days_ago(1), days_ago(3), days_ago(5), days_ago(-1));
    for (signed, made, built, expected) in [
        (Some(one), 0, five, one),
        (None, one, five, one),
        (Some(one), three, five, one),
        (Some(three), 0, one, one),
        (Some(tomorrow), tomorrow, five, five),
        (Some(1), 1, five, five),
    ] {
        let stored = Stored::of("3.0.6");
        let index = Index { signed, made, built: &[built] };
        let doc = stored.refresh(&index.bytes());
        assert_eq!(published(&doc), Some(expected), "{signed:?} {made} {built}: {doc}");
    }
}

#[test]
fn an_index_is_older_only_if_the_archive_itself_is() {
    let (one, three, five, nine) = (days_ago(1), days_ago(3), days_ago(5), days_ago(9));
    let built = |built| Index { built, ..Index::default() };
    let signed = |signed, built| Index { signed: Some(signed), built, ..Index::default() };
    for (before, now, is_older) in [
        // The newest package was withdrawn.
        (built(&[five, one]), built(&[five]), false),
        (signed(nine, &[five, one]), built(&[five]), false),
        (signed(three, &[three, five]), signed(one, &[five]), false),
        // A builder gave it the time of the package that was built last (SOURCE_DATE_EPOCH).
        (signed(one, &[one, five]), signed(three, &[three, five]), false),
        (signed(one, &[five]), signed(five, &[five]), false),
        (signed(one, &[five]), signed(three, &[five]), true),
        (signed(one, &[five]), signed(three, &[nine]), true),
    ] {
        let stored = Stored::of("2.14.10");
        assert_eq!(stored.refresh(&before.bytes())["exit_code"], 0);
        let doc = stored.refresh(&now.bytes());
        let (before, now) = ((before.signed, before.built), (now.signed, now.built));
        let error = &source(&doc, FIRST)["error"];
        assert_eq!(error["class"] == "fetch", is_older, "{before:?} {now:?}: {doc}");
        if is_older {
            let words = error["message"].as_str().unwrap();
            assert_eq!(words.matches('Z').count(), 2, "two dates: {words}");
            assert_eq!((&doc["exit_code"], published(&doc)), (&1.into(), Some(one)), "{doc}");
        }
    }
}

#[test]
fn a_damaged_or_endless_index_costs_nothing_but_its_date() {
    let whole = Index { signed: Some(days_ago(1)), made: 0, built: &[days_ago(5); 2000] }.bytes();
    let work = tempfile::tempdir().unwrap();
    // Two gigabytes of nothing, and one file without end.
    shell(
        work.path(),
        "head -c 67108864 /dev/zero | gzip -1 >z; for n in 1 2 3 4 5 6 7 8; do cat z z z z; done >bomb",
    );
    let bomb = std::fs::read(work.path().join("bomb")).unwrap();
    let stored = Stored::of("3.0.6");
    for (bytes, is_known) in [
        (&b""[..], false),
        (b"\x1f\x8b", false),
        (b"<html>Sign in</html>", false),
        (b"ADBd\x01\x02\x03", false),
        (&whole[..whole.len() / 2], true),
        (&whole[..whole.len() - 8], true),
        (&[&whole[..300], &[0xff; 2000]].concat(), true),
        (&bomb, false),
        (&whole, true),
    ] {
        let started = Instant::now();
        let doc = stored.refresh(bytes);
        assert!(started.elapsed() < at_leisure(20), "{:?}", started.elapsed());
        assert_eq!(doc["exit_code"], 0, "{} bytes: {doc}", bytes.len());
        assert_eq!(published(&doc).is_some(), is_known, "{} bytes: {doc}", bytes.len());
    }
}
