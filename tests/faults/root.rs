//! We run as root: links of other users are not followed, and our own files are no trap for root.

use std::os::unix::fs::{PermissionsExt, chown, symlink};

use crate::tally::tried;
use crate::world::{Ran, World, replay, until};

/// A state directory made unsafe in some way; only root can give it to another user.
fn unsafe_directories() -> Vec<(&'static str, World)> {
    let made = |spoil: &dyn Fn(&World)| {
        let world = World::new();
        spoil(&world);
        world
    };
    let mode = |world: &World, mode| {
        std::fs::create_dir_all(world.state_dir()).unwrap();
        std::fs::set_permissions(world.state_dir(), PermissionsExt::from_mode(mode)).unwrap();
    };
    assert!(rustix::process::geteuid().is_root(), "this test must run as root");
    vec![
        (
            "symbolic link",
            made(&|world| {
                std::fs::create_dir(world.path("elsewhere")).unwrap();
                symlink(world.path("elsewhere"), world.state_dir()).unwrap();
            }),
        ),
        (
            "belongs to user 65534",
            made(&|world| {
                mode(world, 0o755);
                chown(world.state_dir(), Some(65534), Some(65534)).unwrap();
            }),
        ),
        // The owner of a directory above it can replace it at any time.
        ("belongs to user 65534", made(&|world| chown(world.path(""), Some(65534), None).unwrap())),
        (
            "can be written to by others",
            made(&|world| {
                std::fs::set_permissions(world.path(""), PermissionsExt::from_mode(0o777)).unwrap()
            }),
        ),
        ("by others", made(&|world| mode(world, 0o777))),
        ("by others", made(&|world| mode(world, 0o1777))),
        (
            "by others",
            made(&|world| {
                mode(world, 0o775);
                chown(world.state_dir(), Some(0), Some(65534)).unwrap();
            }),
        ),
    ]
}

#[test]
fn a_state_directory_of_somebody_elses_is_refused_before_anything_runs() {
    let mut count = 0;
    for verb in ["refresh", "refresh --if-stale", "apply", "apply --dry-run", "status --refresh"] {
        for (words, world) in unsafe_directories() {
            let doc = world.json(verb);
            assert_eq!(doc["exit_code"], 3, "{verb}, {words}: {doc}");
            assert!(doc["reason"].as_str().unwrap().contains(words), "{verb}, {words}: {doc}");
            assert_eq!(world.read("calls"), "", "{verb}, {words}");
            assert_eq!(world.state_files(), [""; 0], "{verb}, {words}");
            assert!(!world.path("elsewhere/lock").exists(), "{verb}, {words}");
            count += 1;
        }
    }
    tried(count, "runs in a state directory that others could have prepared");
}

#[test]
fn a_state_that_anybody_could_have_written_is_unknown() {
    let world = World::new();
    world.write_state(&crate::machine::fresh_state(10));
    assert_eq!(world.json("status")["exit_code"], 0);
    std::fs::set_permissions(world.state_dir(), PermissionsExt::from_mode(0o777)).unwrap();
    let doc = world.json("status");
    assert_eq!(doc["exit_code"], 3, "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("by others"), "{doc}");
}

/// Secrets in the address of a source, in every place where a manager can print them.
#[test]
fn a_password_in_an_address_stands_nowhere_that_is_kept_or_shown() {
    let secret = "s3cr3t-pa55";
    let world = World::new();
    let address = format!("http://user:{secret}@mirror.example/debian");
    world.on(
        "update",
        &format!(
            "echo 'Hit:1 {address} stable InRelease'
             echo 'Err:2 {address}-security stable-security InRelease'
             echo '  404  Not Found [IP: 127.0.0.1 80]'
             echo 'E: Failed to fetch {address}-security/dists/x/InRelease  404  Not Found' >&2
             exit 100"
        ),
    );
    world.on(
        "download",
        &format!("echo 'E: Failed to fetch {address}/pool/x.deb  404  Not Found' >&2; exit 100"),
    );
    let mut count = 0;
    for run in ["refresh", "refresh --verbose", "apply", "apply --verbose", "apply --strict"] {
        for format in ["text", "json"] {
            let ran = world.run(&format!("{run} --format {format}"));
            assert!(
                !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
                "{run}: {}{}",
                ran.stdout,
                ran.stderr
            );
            // The address itself is shown.
            assert!(
                ran.stderr.contains("mirror.example") || !run.contains("--verbose"),
                "{run}: {}",
                ran.stderr
            );
            count += 1;
        }
    }
    for format in ["text", "json", "nagios", "openmetrics"] {
        let ran = world.run(&format!("status --history --format {format}"));
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{format}: {}", ran.stdout);
        count += 1;
    }
    for name in ["state.json", "history.jsonl", "lock"] {
        let text = world.read(&format!("state/{name}"));
        assert!(!text.contains(secret), "{name}: {text}");
    }
    for entry in std::fs::read_dir(world.state_dir().join("log")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains(secret) && text.contains("mirror.example"), "{text}");
    }
    tried(count, "runs with a password in the address of a source");
}

/// No path is followed that the owner of a directory in it can change at any time, also during a run.
#[test]
fn no_link_of_another_users_on_the_way_is_followed() {
    let made = || {
        let world = World::new();
        world.json("refresh");
        std::fs::create_dir_all(world.path("theirs")).unwrap();
        std::fs::create_dir_all(world.path("target/below")).unwrap();
        symlink(world.path("target"), world.path("theirs/link")).unwrap();
        for name in ["theirs", "theirs/link"] {
            std::os::unix::fs::lchown(world.path(name), Some(65534), Some(65534)).unwrap();
        }
        world
    };
    for place in ["theirs/link", "theirs/link/below"] {
        let world = made();
        let file = world.path(place).join("x.prom");
        let ran = world.run(&format!("status --format openmetrics --output {}", file.display()));
        assert_eq!(ran.code, 3, "{place}: {}", ran.stderr);
        assert!(ran.stderr.contains("is a link of user 65534, and not followed"), "{place}: {}", ran.stderr);
        for verb in ["refresh", "apply", "refresh --if-stale"] {
            let dir = world.path(place).join("state");
            let mut command = world.bare(crate::world::BINARY);
            command.arg("--state-dir").arg(&dir).args(verb.split(' '));
            let ran = Ran::of(command);
            assert_eq!(ran.code, 3, "{place}: {verb}: {}", ran.stderr);
            assert!(ran.stderr.contains("belongs to user 65534"), "{place}: {verb}: {}", ran.stderr);
        }
        let found = std::fs::read_dir(world.path("target"))
            .unwrap()
            .chain(std::fs::read_dir(world.path("target/below")).unwrap());
        assert_eq!(found.count(), 1, "{place}");
    }
    // A user's own directory is no trap, nor is a link of ours.
    let world = made();
    symlink(world.path("target"), world.path("ours")).unwrap();
    for place in ["theirs", "ours", "ours/below"] {
        let file = world.path(place).join("x.prom");
        let ran = world.run(&format!("status --format openmetrics --output {}", file.display()));
        assert_eq!((ran.code, file.exists()), (0, true), "{place}: {}", ran.stderr);
    }
}

/// The owner of a directory in the path replaces it by a link, again and again, while root writes below it.
#[test]
fn a_directory_that_is_swapped_while_a_result_is_written_leads_nowhere_else() {
    let world = World::new();
    world.json("refresh");
    for dir in ["theirs/place", "victim/place"] {
        std::fs::create_dir_all(world.path(dir)).unwrap();
    }
    let (place, aside) = (world.path("theirs/place"), world.path("theirs/aside"));
    let link = world.path("theirs/link");
    symlink(world.path("victim/place"), &link).unwrap();
    for path in [&world.path("theirs"), &place, &link] {
        std::os::unix::fs::lchown(path, Some(65534), Some(65534)).unwrap();
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut written = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for (from, to) in [(&place, &aside), (&link, &place), (&place, &link), (&aside, &place)] {
                    std::fs::rename(from, to).unwrap();
                }
            }
        });
        for _ in 0..200 {
            let ran = world.run(&format!("status --output {}", place.join("x.prom").display()));
            written += usize::from(ran.code == 0);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!((1..200).contains(&written), "{written} of 200 written: nothing was tried");
    assert_eq!(std::fs::read_dir(world.path("victim/place")).unwrap().count(), 0);
    tried(200, "results below a directory that is swapped all the time");
}

#[test]
fn closed_descriptors_without_dev_null_give_no_exit_code_of_their_own() {
    let mut count = 0;
    for (hidden, args) in
        [("/dev", "refresh"), ("/dev", "status"), ("/dev /proc", "apply"), ("/dev", "bogus")]
    {
        for close in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
            let world = World::new();
            world.json("refresh");
            let script =
                format!("for dir in {hidden}; do mount -t tmpfs none $dir; done; exec \"$@\" {close}");
            let mut command = world.bare("/usr/bin/unshare");
            command.args(["--mount", "/bin/sh", "-c", &script, "sh", crate::world::BINARY]);
            command.arg("--state-dir").arg(world.state_dir()).args(["--format", "json"]);
            let path = format!("{}:/usr/bin:/bin", world.path("fakes").display());
            let ran = Ran::of({
                command.args(args.split(' ')).env("PATH", path);
                command
            });
            let what = format!("{hidden} {close}: {args}: {}", ran.stderr);
            assert!((0..=3).contains(&ran.code), "exit {}, {what}", ran.code);
            // Without /dev/null the fakes cannot even be started.
            let expected = [("status", 0), ("bogus", 3)];
            for (_, code) in expected.iter().filter(|(verb, _)| *verb == args) {
                assert_eq!(ran.code, *code, "{what}");
            }
            if !close.contains(" >&-") && !close.starts_with(">&-") {
                ran.json();
            }
            assert!(world.has_good_state(), "{what}");
            count += 1;
        }
    }
    tried(count, "runs with closed descriptors and without /dev");
}

#[test]
fn a_lock_that_is_removed_under_a_run_keeps_out_a_run_by_another_way_to_the_directory() {
    let world = World::new();
    std::fs::create_dir(world.path("bound")).unwrap();
    world.on_call("update", 1, &format!("gate; {}", replay("3.0-a1-refresh-no-updates")));
    let first = world.spawn("refresh --format json");
    until("the first run refreshes", || world.count("update") == 1);
    std::fs::remove_file(world.path("state/lock")).unwrap();
    let mut command = world.bare("/usr/bin/unshare");
    command.args([
        "--mount",
        "/bin/sh",
        "-c",
        "mount --bind \"$1\" \"$2\"; shift; exec \"$0\" --state-dir \"$@\"",
    ]);
    command.arg(crate::world::BINARY).arg(world.state_dir()).arg(world.path("bound"));
    command.args(["refresh", "--format", "json"]);
    command.env("PATH", format!("{}:/usr/bin:/bin", world.path("fakes").display()));
    let second = command.stderr(world.messages("messages")).spawn().unwrap();
    until("it waits", || world.read("messages").contains("waiting for "));
    assert_eq!(world.count("update"), 1, "two managers at once");
    world.write("go", "");
    let (first, second) = (Ran::end(first).json(), Ran::end(second).json());
    assert_eq!((&first["exit_code"], &second["exit_code"]), (&2.into(), &0.into()), "{first} {second}");
}
