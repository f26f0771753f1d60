//! Lines that are in no recording, one row each: often a single word decides about a class.

use super::class;
use linux_patch::managers::by_name;
use linux_patch::model::class::Class;
use linux_patch::model::failure::Failure;
use linux_patch::model::refreshed::RefreshOutcome;
use linux_patch::system::process::{End, Finished};
use std::time::Duration;

fn ended(code: i32, stdout: &str, stderr: &str) -> Finished {
    let end = if code < 0 { End::Signal(-code) } else { End::Code(code) };
    Finished { end, ..Finished::ended(0, stdout, stderr) }
}

fn failure(manager: &str, code: i32, stdout: &str, stderr: &str) -> Option<Failure> {
    by_name(manager).unwrap().classify(&ended(code, stdout, stderr))
}

/// Each line on standard error, of a command that failed: its class, and that it becomes the message.
#[track_caller]
fn errors(manager: &str, code: i32, rows: &[(&str, &str)]) {
    for (line, expected) in rows {
        let found = failure(manager, code, "", &format!("{line}\n"));
        assert_eq!(class(&found), *expected, "{manager}: {line}");
    }
}

/// Exit code 0, the usual last words, and no source: nothing was refreshed.
#[test]
fn a_refresh_that_names_no_source_is_never_fresh() {
    let loaded = "Updating and loading repositories:\nRepositories loaded.\n";
    for (manager, stdout, stderr) in [
        ("apt", "Reading package lists...\n", ""),
        ("dnf", "Metadata cache created.\n", ""),
        ("dnf5", "", loaded),
        ("yum", "Leaving Shell\n", ""),
        ("zypper", "All repositories have been refreshed.\n", ""),
        ("apk", "OK: 0 distinct packages available\n", ""),
        ("pacman", ":: Synchronizing package databases...\n", ""),
    ] {
        for code in [0, 100] {
            let judged = by_name(manager).unwrap().judge(&ended(code, stdout, stderr));
            assert_eq!(judged.outcome, RefreshOutcome::Failed, "{manager}, {code}");
            assert!(judged.sources.is_empty() && judged.error.is_some(), "{manager}, {code}");
            let class = judged.error.unwrap().class;
            assert!(code != 0 || class == Class::Config, "{manager}: {class:?}");
        }
    }
}

#[test]
fn apt() {
    errors(
        "apt",
        100,
        &[
            ("E: Could not get lock /x", "lock"),
            ("E: Unable to acquire the dpkg frontend lock (/x), is another process using it?", "lock"),
            ("E: dpkg was interrupted, you must run it", "interrupted"),
            ("E: Sub-process /usr/bin/dpkg received signal 2", "interrupted"),
            ("E: Sub-process /usr/bin/dpkg returned an error code (1)", "script"),
            ("E: Release file for http://h is expired (invalid since 1d)", "clock"),
            ("E: Release file for http://h is not valid yet (invalid for another 1d)", "clock"),
            ("E: Failed to fetch http://h/404  not  a  reason", "network"),
            ("E: Failed to fetch http://h/x  500  X", "fetch"),
            ("E: Failed to fetch http://h/x  5000  X", "network"),
            ("E: Failed to fetch http://h/x  50  X", "network"),
            ("E: Failed to fetch http://h/x  gpgv: no", "auth"),
            ("Error: Malformed entry", "config"),
            ("W: Malformed entry", "other"),
            ("  E: Malformed entry", "other"),
        ],
    );
    let told = |stdout: &str, stderr: &str| failure("apt", 100, stdout, stderr).unwrap().message;
    assert_eq!(told("one\n\ntwo\n", ""), "two");
    assert_eq!(told("", ""), "it failed and gave no reason");
    assert_eq!(told("", "E: a\n  b\nc\n"), "a b");
}

#[test]
fn sources_of_apt() {
    let sources = |stdout: &str, stderr: &str| {
        let judged = by_name("apt").unwrap().judge(&ended(0, stdout, stderr));
        let told = |error: &Option<Failure>| error.as_ref().map_or("ok".to_string(), |e| e.message.clone());
        judged
            .sources
            .iter()
            .map(|source| format!("{} {}", source.id, told(&source.error)))
            .collect::<Vec<_>>()
    };
    let disc = "cdrom:[Debian 12 - Disc 1/2]";
    assert_eq!(
        sources(
            &format!("Hit:1 {disc}/ bookworm InRelease\nGet:2 {disc}/ bookworm/main amd64 Packages [1 B]\n"),
            ""
        ),
        [format!("{disc} bookworm ok")]
    );
    // Known suites first, whole parts only, and the longest.
    assert_eq!(
        sources("Hit:1 http://h s InRelease\nHit:2 http://h sid/main amd64 Packages\n", ""),
        ["http://h s ok", "http://h sid ok"]
    );
    assert_eq!(
        sources(
            "Hit:1 http://h s InRelease\nHit:2 http://h s/u InRelease\nErr:3 http://h s/u/main amd64 Packages\n  404  X\n",
            ""
        ),
        ["http://h s ok", "http://h s/u 404 X"]
    );
    assert_eq!(
        sources("Hit:1 http://h s InRelease\nHit:2 http://h s/u/main amd64 Packages\n", ""),
        ["http://h s ok"]
    );
    assert_eq!(sources("Hit:1 http://h s/ InRelease\nHit:2 http://h s/x Packages\n", ""), ["http://h s/ ok"]);
    // The report ends with the reason, or goes on.
    assert_eq!(sources("Err:1 http://h s InRelease\n  404  X\n  more", ""), ["http://h s 404 X more"]);
    let many = |count: usize| -> String {
        (0..count).map(|number| format!("Hit:{number} http://h{number} s InRelease\n")).collect()
    };
    assert_eq!(sources(&many(3000), "").len(), 3000);
    let hit = "Hit:1 http://h s InRelease\n";
    assert_eq!(sources(hit, &"W: x\n".repeat(20_000)).len(), 1);
}

#[test]
fn dnf() {
    errors(
        "dnf",
        1,
        &[
            ("Error: Something, Status code: 404 for http://h", "fetch"),
            ("Error: x [Errno 28] y", "other"),
            ("[Errno 28] x", "space"),
            ("[Errno 30] x", "space"),
            ("[Errno 2] No such file: '/x/a.rpm'", "fetch"),
            ("[Errno 2] No such file: '/x/a.conf'", "other"),
            ("Error: x \"--cacheonly\" y", "fetch"),
            ("Error: Unknown repo: 'x'", "config"),
            ("Error: Interrupted", "interrupted"),
            ("Error: Terminated.", "interrupted"),
            ("Error: nothing provides x", "dependency"),
            ("Error: x is not signed", "auth"),
            ("Error: Could not run a scriptlet", "script"),
            ("Error: Error downloading packages:\n  a: x", "fetch"),
            ("Error: can't create transaction lock on /x", "lock"),
            ("Error: Something nobody has seen before", "other"),
        ],
    );
    // Once packages are changed, only what decides by itself counts.
    let began = "Running transaction\n  Preparing        :                1/1\n";
    let after = |line: &str| {
        let found = failure("dnf", 1, began, &format!("{line}\n"));
        class(&found)
    };
    assert!(by_name("dnf").unwrap().install_began(&ended(1, began, "")));
    assert_eq!(after("Error: x Status code: 404 for http://h"), "other");
    assert_eq!(after("Error: x \"--cacheonly\" y"), "other");
    assert_eq!(after("Error: Error downloading packages: x"), "other");
    assert_eq!(after("Error: x\nwarning: %post(a-1) scriptlet failed, exit status 1"), "script");
    assert_eq!(
        after("Error: nothing provides x\nwarning: %post(a-1) scriptlet failed, exit status 1"),
        "dependency"
    );
    assert_eq!(failure("dnf", 1, "one\n \n", "\n").unwrap().message, "one");
    assert_eq!(
        failure("dnf", 200, "", "a\nx already locked by 1\n").unwrap().message,
        "x already locked by 1"
    );
    // Only one word can be the name of a repository.
    let judged = by_name("dnf").unwrap().judge(&ended(
        0,
        "a b: using metadata from x\n: using metadata from x\nbase: using metadata from x\n",
        "",
    ));
    assert_eq!(judged.sources.iter().map(|source| source.id.as_str()).collect::<Vec<_>>(), ["base"]);
}

#[test]
fn dnf5() {
    errors(
        "dnf5",
        1,
        &[
            ("Transaction failed: Rpm transaction failed.", "other"),
            ("Failed to obtain rpm transaction lock", "lock"),
            ("x can't create transaction lock on y", "lock"),
            ("Unknown argument \"x\"", "config"),
            ("OpenPGP check for package \"x\" has failed", "auth"),
            ("x is not signed", "auth"),
            ("Failed to resolve the transaction:\nProblem: x", "dependency"),
            ("Failed to download packages\n Librepo error: x", "fetch"),
            ("Something nobody has seen before", "other"),
            ("", "interrupted"),
        ],
    );
    // What a script prints is no line of dnf5's, and a failed script is the reason only if dnf5 names no other.
    let script = ">>> Running %post scriptlet: a-1\n>>> Error in %post scriptlet: a-1\n";
    let code = |code: i32, rest: &str| {
        let found = failure("dnf5", code, "", &format!("{script}{rest}"));
        class(&found)
    };
    assert_eq!(code(0, ""), "script");
    assert_eq!(code(1, "Transaction failed: Rpm transaction failed.\n"), "script");
    assert_eq!(code(1, "Something nobody has seen before\n"), "other");
    let printed = ">>> Scriptlet output:\n>>> Error in %post scriptlet: a-1\n";
    assert_eq!(failure("dnf5", 0, "", printed), None);
    let next = format!("{printed}[2/2] Upgrading b\n>>> Error in %post scriptlet: b-1\n");
    assert_eq!(failure("dnf5", 0, "", &next).unwrap().message, "Error in %post scriptlet: b-1");
    assert_eq!(failure("dnf5", 0, "", ">>> Error in %post\n>>> x scriptlet: y\n"), None);
    // What looks like a line of progress, or like a mirror that another one stood in for.
    let refreshed = |words: &str| {
        let text = format!(
            "Updating and loading repositories:\n base   100% | 1 B/s | 1 B | 0m\n{words}\nRepositories loaded.\n"
        );
        let judged = by_name("dnf5").unwrap().judge(&ended(0, "", &text));
        let told = |error: &Option<Failure>| if error.is_some() { "failed" } else { "ok" };
        let sources = judged.sources.iter().map(|source| format!("{} {}", source.id, told(&source.error)));
        sources.collect::<Vec<_>>().join(" ")
    };
    for words in ["", " a", " a 100% | b", "a 100% | b | c | d", " a | b | c | d", ">>> x - http://h/y"] {
        assert_eq!(refreshed(words), "base ok", "{words}");
    }
    // Sources that failed are left out of the next run only if this one stopped at them by itself.
    let manager = by_name("dnf5").unwrap();
    let first = manager.refresh(Duration::from_secs(60));
    let failed = "Updating and loading repositories:\n base   100% | 1 B/s | 1 B | 0m\n>>> x\n";
    let others = |code: i32, stderr: &str| {
        manager.refresh_others(&first, &ended(code, "", stderr), &Vec::new).is_some()
    };
    assert!(others(1, failed));
    assert!(!others(-15, failed));
    assert!(!others(1, &format!("{failed}Repositories loaded.\n")));
    for words in [">>> x", ">>> x - y", ">>> x - http://h y"] {
        assert_eq!(refreshed(words), "base failed", "{words}");
    }
}

#[test]
fn yum() {
    errors(
        "yum",
        1,
        &[
            ("Another app is currently holding the yum lock; x", "lock"),
            ("error: can't create transaction lock on /x", "lock"),
            ("Existing lock /var/run/yum.pid: another copy is running as pid 1.", "lock"),
            ("Existing lock /var/run/yum.pid", "other"),
            ("x another copy is running as pid 1.", "other"),
            ("  installing package a-1 needs 1MB on the / filesystem", "space"),
            ("  installing package a-1", "other"),
            ("x needs y", "other"),
            ("Config error: x", "config"),
            ("x is not signed", "auth"),
            ("x conflicts with y", "dependency"),
            ("Exiting on Broken Pipe", "interrupted"),
            ("requested datatype x not available", "fetch"),
            ("Something nobody has seen before", "other"),
            ("Error downloading packages:\n  a: http://h/a.rpm: [Errno 14] HTTP Error 404", "fetch"),
            ("http://h/a: [Errno 12] Timeout\nError downloading packages:\n  a: x", "network"),
            ("a b://h: [Errno 12] Timeout\nError downloading packages:\n  a: x", "fetch"),
            ("ab: [Errno 12] Timeout\nError downloading packages:\n  a: x", "fetch"),
        ],
    );
    let told = |stdout: &str, stderr: &str| failure("yum", 1, stdout, stderr).unwrap().message;
    assert_eq!(told("x\n\n", "warning: a\n \nrun yum-complete-transaction\n"), "x");
    assert_eq!(told("", "one\nwarning: a\n"), "one");
    // rpm's line must name the package that yum names; a script's line does not count.
    let scripts = "warning: %post(b-1.noarch) scriptlet failed, exit status 2\n\
        x (a-1.noarch) scriptlet failed, exit status 3\n\
        Error in POSTIN scriptlet in rpm package a-1.noarch\n\
        warning: %post(a-1.noarch) scriptlet failed, exit status 1\n";
    let found = failure("yum", 0, "", scripts).unwrap().message;
    assert_eq!(found, "warning: %post(a-1.noarch) scriptlet failed, exit status 1");
    // A signal from outside, in the middle of an install: yum itself says nothing.
    let began = "Running transaction\n  Updating   : a-2.noarch      1/2\n";
    assert_eq!(class(&failure("yum", 143, began, "warning: x\n\n")), "interrupted");
    assert_eq!(class(&failure("yum", 143, began, "warning: x\nsomething\n")), "other");
    assert_eq!(class(&failure("yum", 2, began, "")), "other");
    // No real machine says so much, and it is not compared: each repository, each of its addresses, each error.
    let repositories = "Repo-id : a\nRepo-mirrors : http://l\nRepo-baseurl : http://h/\n".repeat(1000);
    let refused = |errors: usize| {
        let errors = "Could not retrieve mirrorlist http://l error was\n14: x\n".repeat(errors);
        let judged = by_name("yum").unwrap().judge(&ended(0, &repositories, &errors));
        judged.error.is_some_and(|error| error.message.starts_with("yum named more repositories "))
    };
    assert_eq!([2000, 2001].map(refused), [false, true]);
}

#[test]
fn zypper() {
    errors(
        "zypper",
        4,
        &[
            ("[|http://h/] x", "other"),
            ("[a|] x", "config"),
            ("[a|http://h] x", "other"),
            ("Curl error 7 x", "network"),
            ("Curl error (22) x", "fetch"),
            ("Curl error (220) x", "network"),
            ("error: can't create transaction lock on /x", "lock"),
            ("error: unpacking failed: No space left on device", "space"),
            ("Problem: nothing provides x", "dependency"),
            ("Something nobody has seen before", "other"),
        ],
    );
    assert_eq!(class(&failure("zypper", 6, "", "")), "config");
    assert_eq!(class(&failure("zypper", 7, "", "")), "lock");
    assert_eq!(class(&failure("zypper", 105, "", "")), "interrupted");
    assert_eq!(class(&failure("zypper", 107, "", "")), "script");
    assert_eq!(class(&failure("zypper", 106, "", "")), "-");
    let judge = |code: i32, stdout: &str, stderr: &str| {
        by_name("zypper").unwrap().judge(&ended(code, stdout, stderr))
    };
    // Blank lines and the history of a reason are none.
    let skipped = "Error\n\nHistory:\n - x\nSkipping repository 'extra' because of the above error.\n";
    let judged = judge(106, "Repository 'base' is up to date.\n", skipped);
    let extra = judged.sources.iter().find(|source| source.id == "extra").unwrap();
    assert_eq!(extra.error.as_ref().unwrap().message, "extra: Error");
    let judged = judge(6, "Repository 'base' is up to date.\n", skipped);
    assert_eq!(judged.error.unwrap().message, "no repository is defined and enabled");
    let skipped = "\nHistory: x\nError\nSkipping repository 'extra' because of the above error.\n";
    assert_eq!(judge(106, "", skipped).error.unwrap().message, "extra: Error");
    // Five files are in the way, four are named.
    let files: String = (1..=5).map(|number| format!("<file>/{number}</file>")).collect();
    let report =
        format!("<?xml version='1.0'?>\n<stream>\n<fileconflict>{files}</fileconflict>\n</stream>\n");
    let found = failure("zypper", 8, &report, "").unwrap();
    assert_eq!((found.class, found.message.as_str()), (Class::Dependency, "file conflict: /1 /2 /3 /4"));
    let why = "No space left on device\nSkipping repository 'extra' because of the above error.\n";
    for (code, message) in
        [(6, "no repository is defined and enabled"), (8, "extra: No space left on device")]
    {
        assert_eq!(judge(code, "", why).error.unwrap().message, message);
    }
}

#[test]
fn apk() {
    errors(
        "apk",
        99,
        &[
            ("ERROR: Package 'x' not found", "dependency"),
            ("ERROR: Package 'x' is odd", "other"),
            ("ERROR: x not found", "other"),
            ("ERROR: failed to read repositories: x", "config"),
            ("ERROR: Unable to lock database: temporary error (try again later)", "lock"),
            (
                "ERROR: System state may be inconsistent: failed to write database: No space left on device",
                "space",
            ),
            ("ERROR: Not continuing due to stale/unavailable repositories.", "fetch"),
        ],
    );
    let changes = |line: &str| by_name("apk").unwrap().parse_list(line).updates.len();
    assert_eq!(changes("(1/1) Upgrading a (1-r0 -> 2-r0)\n"), 1);
    for line in [
        "(1/1) Upgrading a b (1-r0 -> 2-r0)\n",
        "(1/1) Upgrading  (1-r0 -> 2-r0)\n",
        "(1/) Upgrading a (1-r0 -> 2-r0)\n",
        "(/1) Upgrading a (1-r0 -> 2-r0)\n",
        "(a/1) Upgrading a (1-r0 -> 2-r0)\n",
        "(1/a) Upgrading a (1-r0 -> 2-r0)\n",
    ] {
        assert_eq!(changes(line), 0, "{line}");
    }
}

#[test]
fn pacman() {
    errors(
        "pacman",
        1,
        &[
            ("error: could not open file /var/lib/pacman/local/a-1/desc: No such file", "interrupted"),
            ("error: could not open file /x: No such file", "other"),
            ("error: duplicated database entry 'a'", "interrupted"),
            ("error: target not found: a", "dependency"),
            ("error: unresolvable package conflicts detected", "dependency"),
            ("error: keyring is not writable", "auth"),
            ("error: required key missing from keyring", "auth"),
            ("error: a: signature from \"x\" is unknown trust", "auth"),
            ("error: a: missing required signature", "auth"),
            ("error: a: signature format error", "auth"),
            ("error: a: key \"x\" is unknown", "auth"),
            ("error: a: key \"x\" could not be looked up locally", "other"),
            ("error: database 'core' is not valid (invalid or corrupted database (PGP signature))", "auth"),
            ("error: database 'core' is not valid (invalid or corrupted database)", "fetch"),
            ("error: url 'x' is invalid", "config"),
            ("error: url 'x' is odd", "other"),
            ("error: Partition / too full: 1 blocks needed", "space"),
            ("error: Partition / is fine", "other"),
            ("error: x too full", "other"),
            ("error: could not read db 'core' (x)", "fetch"),
            ("error: could not open file /x/sync/core.db: y", "fetch"),
            ("error: failed to init transaction (unable to lock database)", "lock"),
            ("error: failed to prepare transaction (no servers configured for repository)", "config"),
            ("error: failed to prepare transaction (not enough space)", "space"),
            ("error: failed to commit transaction (failed to run transaction hooks)", "script"),
            ("error: failed to commit transaction (conflicting files)", "dependency"),
        ],
    );
    let told = |code: i32, stdout: &str, stderr: &str| {
        failure("pacman", code, stdout, stderr)
            .map_or("-".to_string(), |found| format!("{}: {}", found.class.word(), found.message))
    };
    let conflict = "error: failed to commit transaction (conflicting files)\n";
    let rows = "a: /x exists in filesystem\na: /y exists in filesystem (owned by b)\n/z exists in both 'a' and 'b'\n\
        :: a and b are in conflict\n:: Proceed? [Y/n] \n:: Doing it...\n";
    assert_eq!(
        told(1, rows, conflict),
        "dependency: failed to commit transaction (conflicting files): a: /x exists in filesystem; \
         a: /y exists in filesystem (owned by b); /z exists in both 'a' and 'b'; a and b are in conflict"
    );
    // If the last line says nothing, one above it may; a failed mirror is no reason.
    let odd = "error: failed to commit transaction (odd)\n";
    let mirror = "error: failed retrieving file 'a' from h : timed out\n";
    let end = "failed to commit transaction (odd)";
    assert_eq!(
        told(1, "", &format!("error: x\nerror: target not found: a\n{odd}")),
        format!("dependency: {end}: target not found: a")
    );
    assert_eq!(told(1, "", &format!("error: x\n{odd}")), format!("other: {end}: x"));
    assert_eq!(told(1, "", &format!("{mirror}{odd}")), format!("other: {end}"));
    // A line that ends with a colon goes on for two more, wherever it stands.
    assert_eq!(
        told(1, "", "warning: x\nerror: failed to y:\n(root: /)\nno such directory\nz\n"),
        "other: failed to y: (root: /) no such directory"
    );
    // Which file is corrupted, and by what, says one kind of line only.
    let corrupted = "error: failed to commit transaction (invalid or corrupted package (checksum))\n";
    for (line, expected) in [
        (
            ":: File /a is corrupted (invalid or corrupted package (PGP signature)).",
            "auth: File /a is corrupted",
        ),
        (":: File /a (PGP signature)", "fetch: failed to commit transaction"),
        ("/a is corrupted (PGP signature)", "fetch: failed to commit transaction"),
    ] {
        let told = told(1, &format!("{line}\n"), corrupted);
        assert!(told.starts_with(expected), "{line}: {told}");
    }
    // Nothing is pending; and a signal that is not told of, as of any end.
    assert_eq!(told(1, "", ""), "-");
    assert_eq!(told(1, "x\n", ""), "other: x");
    assert_eq!(told(-15, "x\n", ""), "-");
    assert_eq!(
        told(-15, "x\n", "error: command failed to execute correctly\n"),
        "script: command failed to execute correctly"
    );
    // A known error outranks an unknown one, whichever came first.
    let known = "error: target not found: a\n";
    let unknown = "error: x\n";
    assert_eq!(told(0, "", &format!("{known}{unknown}")), "dependency: target not found: a");
    assert_eq!(told(0, "", &format!("{unknown}{known}")), "dependency: target not found: a");
    assert_eq!(told(0, "", &format!("{unknown}error: y\n")), "other: x");
    let cut_off = "could not open file /var/lib/pacman/local/a-1/desc: No such file or directory";
    assert_eq!(
        told(0, "", &format!("error: {cut_off}\n")),
        format!(
            "interrupted: {cut_off}: an install of a-1 was cut off; remove /var/lib/pacman/local/a-1 and install the package \
             again with pacman -S --overwrite '*'"
        )
    );
    // Without a last line a known error also outranks an unknown one.
    assert_eq!(told(1, "", &format!("{unknown}{known}")), "dependency: target not found: a");
    let lock = "error: failed to init transaction (unable to lock database)\n";
    let denied = "could not lock database: Permission denied";
    assert_eq!(told(1, "", &format!("{lock}error: {denied}\n")), format!("other: {denied}"));
    let notes = |stderr: &str| by_name("pacman").unwrap().notes(&ended(0, "", stderr)).len();
    assert_eq!(notes("warning: /a installed as /a.pacnew\nwarning: /b saved as /b.pacsave\nwarning: c\n"), 2);
}
