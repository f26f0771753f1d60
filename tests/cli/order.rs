//! The order of steps, and the time spent on each: faults that show only when something is slow, is killed, or looks in
//! between.

use crate::leisure::{at_leisure, option};
use crate::machine::{end, fresh_state, hold_lock, is_running, pids_in};
use crate::world::{INSTALL_ALL, Ran, World, replay, until};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;

const LOCKED: &str =
    "echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)' >&2; exit 100";

#[test]
fn the_result_is_safe_before_a_reboot_is_asked_for() {
    let world = World::new();
    world.on("shutdown", "cp $world/state/state.json $world/seen");
    assert_eq!(world.json("apply --reboot=always --reboot-delay 0")["reboot_scheduled"], true);
    let seen: Value = serde_json::from_str(&world.read("seen")).expect("shutdown saw a state");
    assert_eq!(seen["apply"]["in_progress"], Value::Null, "{seen}");
    assert_eq!(seen["apply"]["last"]["outcome"], "success", "{seen}");
    assert_eq!(seen["apply"]["last"]["packages"].as_array().unwrap().len(), 3, "{seen}");
}

#[test]
fn a_reboot_that_could_not_be_asked_for_makes_the_apply_a_failed_one() {
    let world = World::new();
    world.on("shutdown", "echo 'Failed to talk to init daemon' >&2; exit 1");
    let doc = world.json("apply --reboot=always");
    assert_eq!((&doc["exit_code"], &doc["reboot_scheduled"]), (&json!(2), &json!(false)), "{doc}");
    let state = world.state();
    assert_eq!(state["apply"]["last"]["outcome"], "failed", "{state}");
    let counters = &state["counters"];
    assert_eq!((&counters["apply_total"], &counters["apply_failed_total"]), (&json!(1), &json!(1)));
    let metrics = world.run("status --format openmetrics").stdout;
    assert!(metrics.contains("linux_patch_last_apply_success 0\n"), "{metrics}");
    assert!(metrics.contains("linux_patch_apply_failed_total 1\n"), "{metrics}");
}

#[test]
fn security_updates_alone_with_nothing_pending_is_nothing_to_do() {
    let world = World::new();
    world.write("pending", "");
    let doc = world.json("apply --security");
    assert_eq!((&doc["exit_code"], &doc["reason"]), (&json!(0), &json!("nothing pending")), "{doc}");
}

/// `--wait` covers our lock and the manager's together. Ours takes five eighths of it.
#[test]
fn waiting_for_several_locks_takes_no_longer_than_was_allowed_in_all() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    world.on("update", LOCKED);
    let lock = hold_lock(&world, "refresh");
    let time = at_leisure(8);
    let started = std::time::Instant::now();
    let child = world.spawn_telling(&format!("apply --wait {} --format json", option(time)), "messages");
    until("it waits", || world.read("messages").contains("waiting for linux-patch refresh"));
    std::thread::sleep(time * 5 / 8);
    drop(lock);
    let ran = Ran::end(child);
    let took = started.elapsed();
    let doc = ran.json();
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("lock")), "{doc}");
    assert!(took >= time * 7 / 8, "it gave up after {took:?}");
    assert!(took < time + at_leisure(4), "it waited for {took:?}");
    // However often it tried.
    let told = world.read("messages");
    assert!(world.count("update") > 1, "it tried once");
    assert_eq!(told.matches("waiting for the lock of apt").count(), 1, "{told}");
}

/// The wait for a lock whose holder cannot be seen takes a second, and less than another second is left.
#[test]
fn a_last_try_that_has_no_time_left_is_no_manager_that_is_too_slow() {
    let tried_twice = (0..5).any(|_| {
        let world = World::new();
        world.on("update", "sleep 60").on_call("update", 1, LOCKED);
        let doc = world.json("refresh --timeout 2s");
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("lock")), "{doc}");
        assert!(doc["reason"].as_str().unwrap().contains("It is held by process 1 (apt-get)"), "{doc}");
        // On a busy machine there may be no time for a second one.
        world.count("update") == 2
    });
    assert!(tried_twice, "there was never another try");
    // One that had time is too slow.
    let slow = World::new();
    slow.on("update", "sleep 60");
    let doc = slow.json("refresh --timeout 2s");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("timeout")), "{doc}");
}

#[test]
fn quiet_is_quiet_about_warnings_and_never_about_an_exit_code() {
    let world = World::new();
    let well = world.run("refresh --quiet");
    assert_eq!((well.code, &*well.stdout, &*well.stderr), (0, "", ""));
    // A warning alone: its log cannot be written.
    std::fs::remove_dir_all(world.path("state/log")).unwrap();
    world.write("state/log", "");
    let warned = world.run("refresh");
    assert!(warned.code == 0 && warned.stderr.contains("could not write the log"), "{}", warned.stderr);
    for args in ["refresh --quiet", "apply --quiet"] {
        let ran = world.run(args);
        assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (0, "", ""), "{args}");
    }
    let mut state = fresh_state(100);
    state["pending"]["database"] = Value::Null;
    state["pending"]["as_of"] = json!(crate::machine::ago(0));
    world.write_state(&state);
    assert_eq!(world.run("status --quiet").stdout, "");
    let alerted = world.run("status --quiet --alert security=critical");
    assert_eq!(alerted.code, 2);
    assert!(alerted.stdout.contains("1 security update pending"), "an alert fired: {:?}", alerted.stdout);
    world.on("update", &replay("3.0-b07-refused-default"));
    let partial = world.run("refresh --quiet");
    assert_eq!((partial.code, partial.stdout.lines().count(), &*partial.stderr), (1, 1, ""));
}

/// A standard error that is the journal's socket: `$JOURNAL_STREAM` says so.
#[test]
fn under_systemd_every_line_begins_with_its_priority() {
    let told = |world: &World, args: &str, is_journal: bool| {
        let mut command = world.command(args);
        command.stderr(world.messages("messages"));
        let meta = std::fs::metadata(world.path("messages")).unwrap();
        let inode = meta.ino() + u64::from(!is_journal);
        command.env("JOURNAL_STREAM", format!("{}:{inode}", meta.dev()));
        Ran::end(command.spawn().unwrap());
        world.read("messages")
    };
    let world = World::new();
    std::fs::create_dir(world.state_dir()).unwrap();
    std::fs::write(world.path("state/log"), "").unwrap();
    // What is in the way of the state is an error, what is in the way of the log a warning.
    std::fs::create_dir(world.path("state/.state.json.new")).unwrap();
    let text = told(&world, "refresh", true);
    let has =
        |start: &str, words: &str| text.lines().any(|line| line.starts_with(start) && line.contains(words));
    assert!(has("<3>linux-patch: ", "is not remembered"), "{text}");
    assert!(has("<4>linux-patch: ", "could not write the log"), "{text}");
    assert!(has("<6>linux-patch: ", "refreshing the package index"), "{text}");
    assert!(text.lines().all(|line| line.starts_with('<')), "{text}");
    let refused = told(&world, "apply -- -x", true);
    assert!(refused.starts_with("<3>linux-patch: ") && refused.lines().count() == 1, "{refused}");
    // It is inherited; only this very file counts.
    let text = told(&world, "refresh", false);
    assert!(text.contains("linux-patch: refreshing") && !text.contains('<'), "{text}");
}

#[test]
fn what_only_root_should_read_and_what_everybody_may() {
    let world = World::new();
    // Whatever the caller's umask allows or forbids.
    for umask in ["000", "077"] {
        let script = format!("umask {umask}; exec \"$@\"");
        assert_eq!(Ran::of(world.launched(&["sh", "-c", &script, "sh"], "apply")).code, 0);
        let mode = |name: &str| {
            let meta = std::fs::metadata(world.state_dir().join(name));
            meta.unwrap_or_else(|error| panic!("{name}: {error}")).permissions().mode() & 0o7777
        };
        for (name, expected) in
            [("state.json", 0o644), ("history.jsonl", 0o644), ("lock", 0o600), ("log", 0o755), ("", 0o755)]
        {
            assert_eq!(mode(name), expected, "{name} with umask {umask}: {:o}", mode(name));
        }
        let logs: Vec<_> = std::fs::read_dir(world.state_dir().join("log")).unwrap().flatten().collect();
        assert!(!logs.is_empty());
        for log in logs {
            let mode = log.metadata().unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode & 0o027, 0, "{:?} with umask {umask}: {mode:o}", log.path());
        }
        std::fs::remove_dir_all(world.state_dir()).unwrap();
        world.write("installed", &world.read("installed").replace("\t2.0-1", "\t1.0-1"));
    }
}

/// In the order of the system calls: the new state is on the disk before it replaces the old one, and its name is on
/// the disk before the run ends. These are the system calls of a refresh that goes well.
fn traced(world: &World, calls: &str) -> String {
    let trace = world.path("trace");
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-y", "-o"]).arg(&trace).args(["-e", &format!("trace={calls}")]);
    strace.arg(crate::world::BINARY).arg("--state-dir").arg(world.state_dir()).arg("refresh");
    strace.env_clear().env(
        "PATH",
        format!("{}:{}:/usr/bin:/bin", world.path("fakes").display(), world.path("tools").display()),
    );
    let ended = strace.output().expect("could not run strace (package strace)");
    assert!(ended.status.success(), "{ended:?}");
    world.read("trace")
}

/// Reading it takes the kernel 8 to 20 milliseconds, on every processor.
#[test]
fn the_table_of_locks_is_not_read_where_nobody_is_in_the_way() {
    let text = traced(&World::new(), "openat");
    assert!(text.contains("/proc/") && text.contains("/comm\""), "no process was looked at: {text}");
    assert!(!text.contains("/proc/locks"), "{text}");
}

#[test]
fn the_state_is_on_the_disk_before_and_after_it_is_renamed() {
    let world = World::new();
    let text = traced(&world, "fsync,fdatasync,rename,renameat,renameat2,linkat");
    let state = "state.json\"";
    let renamed = text.lines().position(|line| line.contains("rename") && line.contains(state));
    let renamed = renamed.unwrap_or_else(|| panic!("no rename: {text}"));
    let is_sync = |line: &&str| line.contains("fsync(") || line.contains("fdatasync(");
    let before: Vec<_> = text.lines().take(renamed).filter(is_sync).collect();
    assert!(before.iter().any(|line| line.contains("state.json")), "the file is not synced first: {text}");
    let after: Vec<_> = text.lines().skip(renamed).filter(is_sync).collect();
    let dir = format!("{}>", world.state_dir().canonicalize().unwrap().display());
    assert!(after.iter().any(|line| line.contains(&dir)), "the directory is not synced after it: {text}");
}

/// A manager that ignores which packages must stay.
#[test]
fn a_plan_that_updates_or_removes_what_is_excluded_is_never_carried_out() {
    let world = World::new();
    let pending = world.read("pending");
    for (planned, reason) in [
        (pending.clone(), "tb-hello was to be left out, but would be updated"),
        (
            format!("{}Remv tb-hello [1.0-1]\n", pending.replace("Inst tb-hello ", "Inst tb-other ")),
            "tb-hello is excluded, but would be removed",
        ),
    ] {
        world.write("planned", &planned);
        let list = "[ -e $world/state/selection ] && cat $world/planned || cat $world/pending";
        world.on("simulate", list);
        let doc = world.json("apply --exclude tb-hello");
        assert!(doc["reason"].as_str().unwrap().contains(reason), "{doc}");
        assert_eq!((&doc["exit_code"], &doc["packages"]), (&json!(2), &json!([])), "{doc}");
        assert_eq!((world.count("download"), world.count("install")), (0, 0), "{reason}");
    }
    // What is to be both is a mistake, told before anything runs.
    let calls = world.read("calls").len();
    let doc = world.json("apply tb-hello --exclude tb-*");
    assert_eq!(
        (&doc["exit_code"], &doc["reason"]),
        (&json!(3), &json!("tb-hello is both named and excluded"))
    );
    assert_eq!(world.read("calls").len(), calls);
}

/// Another user's pacman begins while we look: what is half installed then is its business.
#[test]
fn an_install_of_somebody_else_that_is_under_way_is_not_told_as_ours() {
    let world = |is_held: bool| {
        let world = World::new();
        for fake in ["pacman", "pacman-conf"] {
            world.install_fake(fake);
        }
        for package in ["pacman-6.0.2-1", "tb-x-1.0-1"] {
            std::fs::create_dir_all(world.path("db/local").join(package)).unwrap();
            world.write(&format!("db/local/{package}/desc"), "%NAME%");
        }
        world.on(
            "pacman-conf",
            &format!(
                "case $* in *DBPath*) echo {0}/ ;; *) printf '[options]\\nDBPath = {0}/\\n[base]\\nUsage = All\\n' ;; esac",
                world.path("db").display()
            ),
        );
        let hold = "sleep 60 <$world/db/db.lck >/dev/null 2>&1 & echo $! >$world/holder;";
        let hold = format!(": >$world/db/db.lck; {}", if is_held { hold } else { "" });
        world.on(
            "pacman",
            &format!(
                "case $* in
                    *' -Sy '*) sync=${{1#--dbpath=}}/sync; mkdir -p $sync; echo >$sync/base.db; echo >$sync/extra.db; {} ;;
                    *' -Su '*) [ -e $world/holder ] || {{ {hold} : >$world/db/local/tb-x-1.0-1/desc; }} ;;
                    -Q | *' -Q') printf 'pacman 6.0.2-1\\ntb-x 1.0-1\\n' ;;
                    *) exit 1 ;;
                esac",
                crate::world::replay_of("pacman", "6.0.2-a1-Sy")
            ),
        );
        world
    };
    let held = world(true);
    let doc = held.json("--manager pacman apply");
    let holders = pids_in(&held, "holder");
    assert!(holders.iter().all(|pid| is_running(*pid)) && holders.len() == 1, "nobody was at work");
    holders.into_iter().for_each(end);
    assert_eq!((&doc["exit_code"], &doc["reason"]), (&json!(0), &json!("nothing pending")), "{doc}");
    // If no other process is at work it is reported.
    let doc = world(false).json("--manager pacman apply");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("script")), "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("not completely installed: tb-x"), "{doc}");
}

/// Both at the same moment: one has written its file and not renamed it yet when the other comes.
#[test]
fn two_that_write_the_same_output_at_once_are_in_nobodys_way() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    std::fs::create_dir(world.path("out")).unwrap();
    let file = world.path("out/a.prom");
    let output = format!("status --format openmetrics --output {}", file.display());
    let mut slow = std::process::Command::new("strace");
    slow.args(["-f", "-o", "/dev/null", "-e", "inject=rename,renameat,renameat2:delay_enter=15000000"]);
    slow.arg(crate::world::BINARY).arg("--state-dir").arg(world.state_dir()).args(output.split(' '));
    slow.stdout(Stdio::piped()).stderr(Stdio::piped());
    let slow = slow.spawn().expect("could not run strace (package strace)");
    let files = || std::fs::read_dir(world.path("out")).unwrap().count();
    until("the first has written", || files() == 1);
    let quick = world.run(&output);
    assert_eq!((quick.code, &*quick.stderr), (0, ""));
    assert_eq!(files(), 2, "the first is done already");
    let slow = Ran::end(slow);
    assert_eq!((slow.code, &*slow.stderr), (0, ""));
    assert_eq!(files(), 1);
    assert!(world.read("out/a.prom").ends_with("# EOF\n"));
}

/// One that counts itself has read the state and not written it yet when a refresh begins and ends.
#[test]
fn a_refresh_is_not_lost_to_one_that_was_not_needed_and_is_counted_meanwhile() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    assert_eq!(world.run("refresh").code, 0);
    let lock = std::fs::metadata(world.state_dir().join("lock")).unwrap().ino();
    let before = world.state()["counters"]["refresh_total"].as_u64().unwrap();
    let mut slow = std::process::Command::new("strace");
    // The first thing that it does to write is to remove what a killed one may have left.
    slow.args(["-f", "-o", "/dev/null", "-e", "inject=unlink,unlinkat:delay_enter=3000000"]);
    slow.arg(crate::world::BINARY).arg("--state-dir").arg(world.state_dir()).args(["refresh", "--if-stale"]);
    slow.env_clear().env("PATH", format!("{}:/usr/bin:/bin", world.path("fakes").display()));
    slow.stdout(Stdio::piped()).stderr(Stdio::piped());
    let slow = slow.spawn().expect("could not run strace (package strace)");
    let is_its_moment = |line: &str| line.contains("POSIX") && line.contains(&format!(":{lock} "));
    until("it counts", || std::fs::read_to_string("/proc/locks").unwrap().lines().any(is_its_moment));
    assert_eq!(world.run("refresh").code, 0);
    assert_eq!(Ran::end(slow).code, 0);
    let after = world.state()["counters"].clone();
    assert_eq!(after["refresh_total"], json!(before + 1), "{after}");
    assert_eq!(after["refresh_skipped_fresh_total"], 1, "{after}");
}

#[test]
fn a_refresh_that_is_not_needed_is_counted_while_a_run_holds_the_lock_and_stays_counted() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    let skipped = || world.state()["counters"]["refresh_skipped_fresh_total"].as_u64().unwrap_or_default();
    world.on("update", "touch $world/running; gate; echo 'Hit:1 http://a s InRelease'");
    let running = world.spawn("refresh");
    until("it runs", || world.path("running").exists());
    for number in 1..=3 {
        assert_eq!(world.run("refresh --if-stale").code, 0);
        assert_eq!(skipped(), number);
    }
    world.write("go", "");
    assert_eq!(Ran::end(running).code, 0);
    assert_eq!(skipped(), 3);
}

/// What an install prints goes to the disk at once, and stays there whole however much it is.
#[test]
fn a_log_of_many_megabytes_has_every_line() {
    let world = World::new();
    world.on("install", "unpack; yes 'a line of the manager' | head -c 18000000; sleep 1; echo the end");
    let doc = world.json("apply");
    assert_eq!(doc["exit_code"], 0, "{doc}");
    let log = std::fs::read(doc["log"].as_str().unwrap()).unwrap();
    assert!(log.len() > 18_000_000, "{} bytes", log.len());
    assert!(log.ends_with(b" s\n") && log.windows(8).any(|part| part == b"the end\n"));
    assert!(!log.contains(&0), "there is a hole in it");
}

/// Where apt.conf puts the sources and the preferences.
fn places_of_its_own(world: &World) {
    std::fs::create_dir(world.path("sources")).unwrap();
    world.write("sources/a.list", "deb http://a stable main");
    world.on(
        "apt-config",
        "echo \"SOURCEPARTS='$world/sources/'\"; echo \"PREFERENCES='$world/preferences'\"",
    );
}

#[test]
fn a_source_that_is_added_while_sources_are_read_makes_the_index_stale() {
    let world = World::new();
    places_of_its_own(&world);
    assert_eq!(world.run("refresh").code, 0);
    assert_eq!(world.run("status").code, 0);
    let hello = replay("3.0-a1-refresh-no-updates");
    world.on_call("update", 2, &format!("echo deb >$world/sources/b.list; {hello}"));
    assert_eq!(world.json("refresh")["cache_status"], "stale");
    let doc = world.json("status");
    assert_eq!((&doc["exit_code"], &doc["cache_status"]), (&json!(1), &json!("stale")), "{doc}");
    assert_eq!((world.run("refresh").code, world.run("status").code), (0, 0));
}

#[test]
fn the_administrators_pins_stand_behind_ours_and_are_never_passed_over() {
    let world = World::new();
    places_of_its_own(&world);
    world.write("preferences", "Package: theirs\nPin: version 1\nPin-Priority: 900\n");
    world.on("simulate", "if [ -e $world/state/selection ]; then cp $world/state/selection $world/seen; sed '/tb-hello/d; s/^3 upgraded/2 upgraded/' $world/pending; else cat $world/pending; fi");
    world.on("install", "cp $world/state/selection $world/seen.install; unpack");
    let doc = world.json("apply --exclude tb-hello");
    assert_eq!((&doc["exit_code"], world.count("install")), (&json!(0), 1), "{doc}");
    for seen in ["seen", "seen.install"] {
        let text = world.read(seen);
        let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("no {word} in {seen}: {text}"));
        // The first record that names a package decides.
        assert!(at("Package: tb-hello\n") < at("Package: theirs\n"), "{text}");
    }
    // A directory is what root cannot read either.
    let world = World::new();
    places_of_its_own(&world);
    std::fs::create_dir(world.path("preferences")).unwrap();
    let doc = world.json("apply --exclude tb-hello");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("config")), "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("could not read "), "{doc}");
    assert_eq!((world.count("download"), world.count("install")), (0, 0));
}

#[test]
fn what_the_install_leaves_half_installed_is_told() {
    let world = World::new();
    world.on("install", &format!("{INSTALL_ALL}; sed -i 's/tb-sec\\tall\\t2.0-1\\tii /tb-sec\\tall\\t2.0-1\\tiF /' $world/installed; progress 'pmstatus:dpkg-exec:0.0000:Running dpkg'"));
    let doc = world.json("apply");
    assert_eq!(doc["exit_code"], 2, "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("tb-sec"), "{doc}");
}
