//! What a monitoring system can ask of a status, beside the verdict on the index.

use crate::machine::{ago, fail, fresh_state};
use crate::world::World;
use serde_json::{Value, json};

/// A fresh index of so many seconds, changed in some way.
fn world_with(age: i64, change: impl Fn(&mut Value)) -> World {
    let world = World::new();
    let mut state = fresh_state(age);
    // It belongs to no manager, so neither a flag nor the packages of this machine matter.
    state["manager"] = Value::Null;
    change(&mut state);
    world.write_state(&state);
    world
}

fn failed_apply(state: &mut Value) {
    state["apply"]["last"] = json!({
        "started_at": ago(90), "finished_at": ago(60), "outcome": "failed", "retried": true, "packages": [],
        "error": {"class": "fetch", "message": "404 | Not Found"}});
}

#[test]
fn ages_have_a_threshold_for_warning_and_one_for_critical() {
    let world = world_with(7200, |_| {});
    for (args, code) in [
        ("", 0),
        ("-w 1h", 1),
        ("--warning 3h", 0),
        ("-c 1h", 2),
        ("-w 3h -c 4h", 0),
        ("-w 1h -c 4h", 1),
        ("-w 1h -c 90m", 2),
        ("-w 3600 -c 100000", 1),
    ] {
        let ran = world.run(&format!("status --format nagios {args}"));
        assert_eq!(ran.code, code, "{args}: {}", ran.stdout);
        let words = ["OK", "WARNING", "CRITICAL"][code as usize];
        assert!(ran.stdout.starts_with(&format!("PATCH {words}: ")), "{args}: {}", ran.stdout);
    }
    let line = world.run("status --format nagios -w 3h -c 4h").stdout;
    assert!(line.contains("age=72") && line.contains("s;10800;14400;0"), "{line}");
    assert_eq!(world.run("status -w 3h --max-age 4h").code, 3);
    let never_complete = world_with(7200, |state| {
        fail(state, "partial", 60);
        state["last_cache_update"] = Value::Null;
    });
    assert_eq!(never_complete.run("status").code, 1);
    let line = never_complete.run("status --format nagios -c 1h");
    assert!(line.code == 3 && line.stdout.contains("never completely refreshed"), "{}", line.stdout);
    assert_eq!(world.run("status -c soon").code, 3);
    assert_eq!(world.run("refresh -w 3h").code, 3);
}

#[test]
fn each_alert_changes_the_exit_code_by_its_level_and_says_why() {
    let reboot = |state: &mut Value| state["reboot_required"] = json!(true);
    let nothing = |state: &mut Value| {
        state["pending"]["count"] = json!(0);
        state["pending"]["security"] = json!(0);
        state["pending"]["packages"] = json!([]);
        state["pending"]["held_back"] = json!([]);
    };
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [(&str, Change, &str); 6] = [
        ("updates", &|_| {}, "1 update pending"),
        ("security", &|_| {}, "1 security update pending"),
        ("held-back", &|_| {}, "1 update held back"),
        ("reboot", &reboot, "reboot required"),
        ("apply", &failed_apply, "the last apply failed (fetch: 404"),
        (
            "apply",
            &|state| {
                state["apply"]["in_progress"] =
                    json!({"pid": 1, "boot_id": "another", "started_at": ago(60), "phase": "install"})
            },
            "an apply was interrupted",
        ),
    ];
    for (what, change, words) in cases {
        let world = world_with(10, change);
        let unasked = i32::from(what == "apply");
        assert_eq!(world.run("status").code, unasked, "{what} without being asked");
        for (level, code) in [("", 1), ("=warning", 1), ("=critical", 2)] {
            let doc = world.json(&format!("status --alert {what}{level}"));
            assert_eq!(doc["exit_code"], code, "{what}{level}: {doc}");
            assert_eq!(doc["cache_status"], "fresh", "{what}{level}: {doc}");
            assert!(doc["alerts"][0].as_str().unwrap().contains(words), "{what}{level}: {doc}");
            let line = world.run(&format!("status --format nagios --alert {what}{level}")).stdout;
            let word = ["OK", "WARNING", "CRITICAL"][code as usize];
            assert!(line.starts_with(&format!("PATCH {word}: {words}")), "{line}");
            assert_eq!(line.matches('|').count(), 1, "{line}");
            let text = world.run(&format!("status --alert {what}{level}")).stdout;
            let first = text.lines().next().unwrap();
            // The reason why a status is degraded by itself is said once.
            let expected = match what {
                "apply" => first.starts_with(&format!("degraded: {words}")) && !first.contains("alert"),
                _ => first.starts_with("fresh: ") && first.contains(&format!("; alert: {words}")),
            };
            assert!(expected, "{text}");
        }
        // Where there is nothing to tell, nothing is told.
        let calm = world_with(10, nothing);
        assert_eq!(calm.json(&format!("status --alert {what}=critical"))["exit_code"], 0, "{what}");
    }
    let world = world_with(10, |state| {
        failed_apply(state);
        reboot(state);
    });
    let all = "status --alert reboot --alert apply=critical --alert security";
    let doc = world.json(all);
    assert_eq!((&doc["exit_code"], doc["alerts"].as_array().unwrap().len()), (&json!(2), 3), "{doc}");
}

#[test]
fn whether_a_host_is_patched_is_quiet_loud_or_not_known() {
    let day = 86400;
    let security = |known_for: i64| {
        move |state: &mut Value| {
            state["pending"]["packages"] = json!([{"name": "tb-x", "installed": "1", "candidate": "2",
                "security": true, "source": null, "first_seen": ago(known_for)}]);
        }
    };
    let none_told = |state: &mut Value| {
        state["pending"]["security"] = Value::Null;
        state["pending"]["packages"][0]["security"] = Value::Null;
    };
    let boot = linux_patch::system::boot::this_start();
    let services = |found: Value| {
        let boot = boot.clone();
        move |state: &mut Value| {
            state["services_seen"] = json!({"boot_id": boot, "database": "", "needs_reboot": false});
            state["outdated_services"] = found.clone();
        }
    };
    let published = |main: Value, security: Value| {
        move |state: &mut Value| {
            let source = |id: &str, at: &Value| json!({"id": id, "last_success": ago(10), "published_at": at, "valid_until": null, "error": null});
            state["sources"] =
                json!([source("http://h/ main", &main), source("http://h/ main-security", &security)]);
        }
    };
    let ends = |date: Value| move |state: &mut Value| state["support_ends"] = date.clone();
    let cron = json!([{"unit": "cron.service", "processes": [4711]}]);
    let old = ago(20 * day);
    type Change = Box<dyn Fn(&mut Value)>;
    let cases: [(&str, Change, Change, Change, &str); 5] = [
        (
            "security-age:7d",
            Box::new(security(6 * day)),
            Box::new(security(8 * day)),
            Box::new(none_told),
            "a security update has been known for 8 d: tb-x",
        ),
        (
            "services",
            Box::new(services(json!([]))),
            Box::new(services(cron)),
            Box::new(services(Value::Null)),
            "1 service runs replaced code",
        ),
        (
            "mirror:14d",
            Box::new(published(json!(old), json!(ago(day)))),
            Box::new(published(json!(old), json!(old))),
            Box::new(published(Value::Null, Value::Null)),
            "the newest index was published 20 d ago",
        ),
        (
            "mirror:14d@*-security",
            Box::new(published(json!(old), json!(ago(day)))),
            Box::new(published(json!(ago(day)), json!(old))),
            Box::new(published(json!(ago(day)), Value::Null)),
            "the newest index of *-security was published 20 d ago",
        ),
        (
            "support:60d",
            Box::new(ends(json!("2999-12-31"))),
            Box::new(ends(json!("2020-06-30"))),
            Box::new(ends(Value::Null)),
            "support ended on 2020-06-30",
        ),
    ];
    for (what, quiet, loud, not_known, words) in cases {
        for level in ["", "=warning", "=critical"] {
            let args = format!("status --alert {what}{level}");
            let doc = world_with(10, &quiet).json(&args);
            assert_eq!((&doc["exit_code"], &doc["alerts"]), (&json!(0), &json!([])), "{args}: {doc}");
            let doc = world_with(10, &loud).json(&args);
            let code = if level == "=critical" { 2 } else { 1 };
            assert_eq!((&doc["exit_code"], &doc["alerts"]), (&json!(code), &json!([words])), "{args}: {doc}");
            let doc = world_with(10, &not_known).json(&args);
            assert_eq!(doc["exit_code"], 3, "{args}: {doc}");
            assert!(doc["alerts"][0].as_str().unwrap().starts_with("not known "), "{args}: {doc}");
        }
    }
}

#[test]
fn what_is_not_known_is_never_taken_for_none() {
    let world = world_with(10, |state| state["pending"]["security"] = Value::Null);
    assert_eq!(world.run("status --alert security").code, 3);
    assert_eq!(world.run("status --alert updates").code, 1);
    let world = world_with(10, |state| state["pending"] = Value::Null);
    for what in ["updates", "held-back", "updates:100"] {
        assert_eq!(world.run(&format!("status --alert {what}")).code, 3, "{what}");
    }
    // A failed refresh stays critical, and a state that cannot be read unknown.
    let world = World::new();
    assert_eq!(world.run("status --alert security=critical").code, 3);
}

#[test]
fn alerts_that_are_none_are_refused() {
    let world = world_with(10, |_| {});
    for args in [
        "--alert",
        "--alert disk",
        "--alert security=red",
        "--alert=",
        "--alert reboot=critical,x",
        "--alert updates:0",
        "--alert reboot:2",
        "--exclude",
        "--exclude=",
        "--exclude linux-$(id)",
    ] {
        let ran = world.run(&format!("status {args}"));
        assert_eq!((ran.code, ran.stderr.lines().count()), (3, 1), "{args}: {}", ran.stderr);
    }
    assert_eq!(world.run("apply --alert security").code, 3);
}

#[test]
fn a_result_in_a_file_is_whole_and_readable_and_leaves_nothing_else() {
    let world = world_with(10, |_| {});
    std::fs::create_dir(world.path("out")).unwrap();
    let file = world.path("out/linux-patch.prom");
    std::fs::write(&file, "old").unwrap();
    let ran = world.run(&format!("status --format openmetrics --output {}", file.display()));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert_eq!(world.read("out/linux-patch.prom"), world.run("status --format openmetrics").stdout);
    let mut command = world.command("status --format json --output result.json --max-age 5");
    command.current_dir(world.path("out"));
    assert_eq!(crate::world::Ran::of(command).code, 1, "the exit code is that of the status");
    let doc: Value = serde_json::from_str(&world.read("out/result.json")).unwrap();
    assert_eq!(doc["exit_code"], 1);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read_dir(world.path("out")).unwrap().count(), 2);
    let directory = world.path("out");
    for wrong in ["/proc/nowhere/x.prom", "/", directory.to_str().unwrap()] {
        let ran = world.run(&format!("status --output {wrong}"));
        assert_eq!((ran.code, ran.stderr.lines().count()), (3, 1), "{wrong}: {}", ran.stderr);
    }
}

#[test]
fn what_a_killed_status_left_beside_its_output_is_removed_by_the_next() {
    let world = world_with(10, |_| {});
    std::fs::create_dir(world.path("out")).unwrap();
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let live = std::process::id();
    let names =
        [format!(".a.prom.{}", dead.id()), format!(".a.prom.{live}"), format!(".b.prom.{}", dead.id())];
    for name in &names {
        world.write(&format!("out/{name}"), "half");
    }
    let file = world.path("out/a.prom");
    assert_eq!(world.run(&format!("status --output {}", file.display())).code, 0);
    let mut found: Vec<_> =
        std::fs::read_dir(world.path("out")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    found.sort();
    let mut expected = ["a.prom", &names[1], &names[2]];
    expected.sort();
    assert_eq!(found, expected, "that of a live process, and of another file, stays");
}

#[test]
fn a_result_goes_to_a_file_with_the_longest_name_there_is() {
    let world = world_with(10, |_| {});
    std::fs::create_dir(world.path("out")).unwrap();
    let file = |letters: usize| world.path("out").join("a".repeat(letters));
    let run = |letters: usize| world.run(&format!("status --output {}", file(letters).display()));
    let ran = run(255);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let ran = run(256);
    assert!(
        ran.code == 3 && ran.stderr.contains("the name is too long; give a shorter one"),
        "{}",
        ran.stderr
    );
    let found: Vec<_> =
        std::fs::read_dir(world.path("out")).unwrap().flatten().map(|entry| entry.path()).collect();
    assert_eq!(found, [file(255)]);
}

#[test]
fn only_a_regular_file_is_replaced_by_a_result() {
    // As root, on /dev/null, this would break the machine: here everything is in a directory of ours.
    let world = world_with(10, |_| {});
    std::fs::create_dir(world.path("out")).unwrap();
    let path = |name: &str| world.path("out").join(name);
    std::fs::write(path("file"), "old").unwrap();
    assert!(std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
    std::os::unix::fs::symlink("file", path("link")).unwrap();
    std::os::unix::fs::symlink("nothing", path("dangling")).unwrap();
    let kind = |name: &str| std::fs::symlink_metadata(path(name)).unwrap().file_type();
    for name in ["fifo", "link", "dangling"] {
        let before = kind(name);
        for format in ["text", "json", "nagios", "openmetrics"] {
            let ran = world.run(&format!("status --format {format} --output {}", path(name).display()));
            assert_eq!((ran.code, kind(name)), (3, before), "{name} {format}: {}", ran.stderr);
        }
    }
    assert_eq!(world.read("out/file"), "old");
    assert_eq!(std::fs::read_dir(world.path("out")).unwrap().count(), 4);
}

/// Some more packages pending: two security updates, three others.
fn five_pending(state: &mut Value) {
    state["manager"] = json!("apt");
    let package = |name: &str, security: bool| json!({"name": name, "installed": "1.0|1", "candidate": "2.0", "security": security, "source": "D:s"});
    let names =
        [("tb-b", false), ("tb-a", false), ("tb-z", true), ("tb-y:i386", true), ("linux-image-1", false)];
    state["pending"]["packages"] = names.iter().map(|(name, security)| package(name, *security)).collect();
    state["pending"]["count"] = json!(5);
    state["pending"]["security"] = json!(2);
}

#[test]
fn an_alert_can_begin_at_a_number_which_is_also_its_threshold() {
    let world = world_with(10, five_pending);
    for (args, code, thresholds) in [
        ("", 0, "pending=5;;;0 security=2;;;0 held_back=1;;;0 failed_sources=0;;;0 reboot_required=0;;;0;1"),
        ("--alert updates:5", 1, "pending=5;4;;0"),
        ("--alert updates:6", 0, "pending=5;5;;0"),
        ("--alert updates:2 --alert updates:5=critical", 2, "pending=5;1;4;0"),
        ("--alert updates:2 --alert updates:50=critical", 1, "pending=5;1;49;0"),
        ("--alert security:3=critical", 0, "security=2;;2;0"),
        ("--alert held-back --alert reboot=critical", 1, "held_back=1;0;;0"),
        ("--alert reboot=critical", 0, "reboot_required=0;;0;0;1"),
    ] {
        let ran = world.run(&format!("status --format nagios {args}"));
        assert_eq!(ran.code, code, "{args}: {}", ran.stdout);
        assert!(ran.stdout.contains(thresholds), "{args}: {}", ran.stdout);
    }
}

#[test]
fn an_update_that_is_held_back_may_be_a_security_update_where_nobody_can_tell() {
    for (security, code) in [(json!(null), 3), (json!(false), 0), (json!(true), 1)] {
        let world = world_with(10, |state| {
            state["pending"]["count"] = json!(0);
            state["pending"]["security"] = json!(0);
            state["pending"]["packages"] = json!([]);
            state["pending"]["held_back"][0]["security"] = security.clone();
            state["pending"]["held_back"][0]["first_seen"] = json!(ago(86400));
        });
        let run = world.run("status --format nagios --alert security");
        assert_eq!(run.code, code, "{security} {}", run.stdout);
        let of_age = world.run("status --alert security-age:7d").code;
        assert_eq!(of_age, if security.is_null() { 3 } else { 0 }, "{security}");
        let number = [" security=0;", " security=1;", "", " security=U;"][code as usize];
        assert!(run.stdout.contains(number), "{security} {}", run.stdout);
        assert_eq!(world.run("status --alert security:2").code, 0, "there is only one");
        // What is known is said.
        assert_eq!(world.run("status").code, 0, "{security}");
    }
}

#[test]
fn what_is_excluded_is_neither_counted_nor_listed_nor_alerted_of() {
    let world = world_with(10, five_pending);
    let doc =
        world.json("status --alert updates:5 --alert security=critical --exclude linux-* --exclude tb-[yz]");
    assert_eq!((&doc["exit_code"], &doc["alerts"]), (&json!(0), &json!([])), "{doc}");
    assert_eq!((&doc["pending"]["count"], &doc["pending"]["security"]), (&json!(2), &json!(0)), "{doc}");
    assert_eq!(doc["pending"]["packages"].as_array().unwrap().len(), 2, "{doc}");
    let line = world.run("status --format nagios --exclude tb-held --alert held-back").stdout;
    assert!(line.contains("pending=5;;;0") && line.contains("held_back=0;0;;0"), "{line}");
    let page = world.run("status --format openmetrics --exclude tb-*").stdout;
    assert!(page.contains("\nlinux_patch_pending_updates 1\n"), "{page}");
    // What is remembered stays whole, and the unknown stays unknown.
    assert_eq!(world.json("status")["pending"]["count"], 5);
    let world = world_with(10, |state| state["pending"]["security"] = Value::Null);
    let security = |line: &str| world.json(line)["pending"]["security"].clone();
    assert_eq!(security("status"), Value::Null);
    assert_eq!(security("status --exclude tb-*"), 0, "nothing is pending then");
}

#[test]
fn a_plugin_lists_the_packages_where_asked_and_never_too_many() {
    let world = world_with(10, five_pending);
    let text = world.run("status --format nagios -v").stdout;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[1..],
        [
            "tb-y:i386 1.0/1 -> 2.0 (security)",
            "tb-z 1.0/1 -> 2.0 (security)",
            "linux-image-1 1.0/1 -> 2.0",
            "tb-a 1.0/1 -> 2.0",
            "tb-b 1.0/1 -> 2.0",
        ]
    );
    // The age may have moved on by a second or two.
    let without_age = |line: &str| {
        let (words, perfdata) = line.split_once(" | age=").expect("performance data");
        format!(
            "{} {}",
            words.replace(|c: char| c.is_ascii_digit(), ""),
            perfdata.split_once("s;").unwrap().1
        )
    };
    let alone = world.run("status --format nagios").stdout;
    assert_eq!(without_age(lines[0]), without_age(alone.trim_end()));
    assert_eq!(alone.lines().count(), 1);
    let world = world_with(10, |state| {
        let package = |n| json!({"name": format!("package-{n}"), "installed": null, "candidate": "1", "security": null});
        state["pending"]["packages"] = (0..5000).map(package).collect();
        state["pending"]["count"] = json!(5000);
    });
    let text = world.run("status --format nagios --verbose").stdout;
    let (listed, last) = (text.lines().count() - 2, text.lines().last().unwrap());
    assert!(text.len() < 5000 && listed > 100, "{} bytes, {listed} listed", text.len());
    assert_eq!(last, format!("and {} more", 5000 - listed));
}

#[test]
fn a_plugin_says_nothing_on_standard_error() {
    let world = World::new();
    world.on(
        "update",
        "echo 'W: a warning' >&2; echo 'E: Failed to fetch http://a  404  Not Found' >&2; exit 100",
    );
    for (args, code) in [
        ("--refresh", 2),
        ("--refresh --verbose", 2),
        ("--bogus", 3),
        ("--exclude ;", 3),
        ("--verbose --quiet", 3),
        ("--manager apt --output /proc/nowhere/x", 3),
    ] {
        let ran = world.run(&format!("status --format nagios {args}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (code, ""), "{args}: {}", ran.stdout);
        let word = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][code as usize];
        assert!(ran.stdout.starts_with(&format!("PATCH {word}: ")), "{args}: {}", ran.stdout);
        // Where nothing was measured there is nothing to draw.
        assert_eq!(ran.stdout.contains('|'), code != 3, "{args}: {}", ran.stdout);
    }
    // Every other format has its reason there too.
    assert_eq!(world.run("status --bogus").stderr.lines().count(), 1);
}
