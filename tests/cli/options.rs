//! Global options and their environment variables.

use crate::machine::fresh_state;
use crate::world::{Ran, World};

/// A run of bare words with some variables set.
fn with_env(world: &World, variables: &[(&str, &str)], args: &str) -> Ran {
    let mut command = world.bare(crate::world::BINARY);
    command.env("LINUX_PATCH_STATE_DIR", world.state_dir()).args(args.split_whitespace());
    command.envs(variables.iter().copied());
    Ran::of(command)
}

#[test]
fn global_options_mean_the_same_before_and_after_the_command() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    let dir = world.state_dir();
    let options = format!("--state-dir {} --format json --manager apt -q", dir.display());
    let ran = |args: String| {
        let mut doc = with_env(&world, &[("LINUX_PATCH_STATE_DIR", "/dev/null")], &args).json();
        // A second may pass between the runs.
        for key in ["age_seconds", "reason"] {
            doc.as_object_mut().unwrap().remove(key);
        }
        doc
    };
    let before = ran(format!("{options} status"));
    assert_eq!(before["exit_code"], 0);
    assert_eq!(before, ran(format!("status {options}")));
}

#[test]
fn every_documented_variable_works_and_the_command_line_wins() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    let code = |variables: &[(&str, &str)], args: &str| with_env(&world, variables, args).code;
    assert_eq!(code(&[], "status"), 0);
    assert_eq!(code(&[("LINUX_PATCH_MAX_AGE", "50s")], "status"), 1);
    assert_eq!(code(&[("LINUX_PATCH_MAX_AGE", "50s")], "status --max-age 1h"), 0);
    assert_eq!(code(&[("LINUX_PATCH_MAX_AGE", "50s")], "status --warning 1h"), 0);
    assert_eq!(code(&[("LINUX_PATCH_MAX_AGE", "1h")], "status -w 50s"), 1);
    assert_eq!(code(&[], "status --warning 1h --max-age 1h"), 3);
    assert_eq!(code(&[], "--quiet status --max-age=1h -w1h"), 3);
    assert_eq!(code(&[("LINUX_PATCH_MANAGER", "brew")], "status"), 3);
    assert_eq!(code(&[("LINUX_PATCH_MANAGER", "brew")], "status --manager apt"), 0);
    assert_eq!(code(&[("LINUX_PATCH_STATE_DIR", "/proc/nowhere")], "status"), 3);
    assert_eq!(with_env(&world, &[("LINUX_PATCH_FORMAT", "json")], "status").json()["exit_code"], 0);
    let nagios = with_env(&world, &[("LINUX_PATCH_FORMAT", "json")], "status --format nagios");
    assert!(nagios.stdout.starts_with("PATCH OK"), "{}", nagios.stdout);
    world.on("update", "sleep 100");
    let late = with_env(&world, &[("LINUX_PATCH_TIMEOUT", "1s"), ("LINUX_PATCH_SPLAY", "0")], "refresh");
    assert_eq!(late.code, 2, "{}", late.stderr);
    assert!(late.stderr.contains("splay"), "{}", late.stderr);
    assert!(late.took.as_secs() < 60);
}

#[test]
fn a_bad_value_of_a_variable_is_refused_before_anything_runs() {
    let world = World::new();
    for (name, value, args) in [
        ("MAX_AGE", "soon", "refresh"),
        ("MAX_AGE", "", "status"),
        ("TIMEOUT", "0", "refresh"),
        ("TIMEOUT", "-1", "apply"),
        ("SPLAY", "x", "refresh"),
        ("MANAGER", "brew", "apply"),
        ("MANAGER", "", "refresh"),
        ("FORMAT", "xml", "refresh"),
        ("FORMAT", "openmetrics", "apply"),
        ("STATE_DIR", "", "refresh"),
    ] {
        let ran = with_env(&world, &[(&format!("LINUX_PATCH_{name}"), value)], args);
        assert_eq!((ran.code, ran.stderr.lines().count()), (3, 1), "{name}={value}: {}", ran.stderr);
    }
    assert_eq!(world.read("calls"), "");
}

#[test]
fn a_variable_that_switches_a_flag_off_does_not_switch_it_on() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    for off in ["0", "false", "no", ""] {
        for name in ["LINUX_PATCH_QUIET", "LINUX_PATCH_VERBOSE"] {
            let ran = with_env(&world, &[(name, off)], "status");
            assert_eq!(ran.code, 0, "{name}={off}: {}", ran.stderr);
            assert!(ran.stdout.starts_with("fresh: "), "{name}={off}: {}", ran.stdout);
        }
    }
    assert_eq!(with_env(&world, &[("LINUX_PATCH_QUIET", "1")], "status").stdout, "");
}

#[test]
fn a_flag_that_a_variable_switches_off_is_in_nobodys_way() {
    let world = World::new();
    world.write_state(&fresh_state(100));
    let both = [("LINUX_PATCH_QUIET", "0"), ("LINUX_PATCH_VERBOSE", "0")];
    for (variables, args) in [(&both[..1], "status -v"), (&both[1..], "status -q"), (&both[..], "status")] {
        let ran = with_env(&world, variables, args);
        assert_eq!(ran.code, 0, "{variables:?} {args}: {}", ran.stderr);
        assert_eq!(ran.stdout.is_empty(), args.ends_with("-q"), "{variables:?} {args}: {}", ran.stdout);
    }
}

#[test]
fn no_other_variable_changes_what_an_apply_does() {
    let world = World::new();
    let stray = [
        ("LINUX_PATCH_REBOOT", "always"),
        ("LINUX_PATCH_FULL", "1"),
        ("LINUX_PATCH_SECURITY", "1"),
        ("LINUX_PATCH_EXCLUDE", "tb-*"),
        ("LINUX_PATCH_DRY_RUN", "1"),
        ("LINUX_PATCH_DOWNLOAD_ONLY", "1"),
        ("LINUX_PATCH_STRICT", "1"),
        ("LINUX_PATCH_WAIT", "soon"),
        ("LINUX_PATCH_REBOOT_DELAY", "soon"),
        ("LINUX_PATCH_REBOOT_AT", "soon"),
        ("LINUX_PATCH_NOT_AFTER", "soon"),
        ("LINUX_PATCH_FROM", "nowhere"),
        ("LINUX_PATCH_AUTOREMOVE", "1"),
        ("LINUX_PATCH_IF_STALE", "1"),
        ("LINUX_PATCH_HISTORY", "1"),
        ("LINUX_PATCH_PACKAGES", "x"),
    ];
    let ran = with_env(&world, &stray, "apply --format json");
    assert_eq!(ran.json()["packages"].as_array().unwrap().len(), 3, "{}", ran.stderr);
    assert_eq!((world.count("install"), world.count("shutdown")), (1, 0));
    assert!(!world.read("calls").contains("dist-upgrade"));
}

#[test]
fn quiet_says_nothing_when_all_is_well_and_one_line_when_not() {
    let world = World::new();
    for args in ["refresh -q", "status -q", "apply -q", "refresh --if-stale -q"] {
        let ran = world.run(args);
        assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (0, "", ""), "{args}");
    }
    assert_eq!(world.run("-q --format json status").json()["exit_code"], 0);
    assert!(world.run("-q --format nagios status").stdout.starts_with("PATCH OK: "));
    world.on("update", "echo 'Err:1 http://a s InRelease'; echo '  503  X'; exit 100");
    for args in ["refresh -q", "status -q", "apply -q"] {
        let ran = world.run(args);
        assert_eq!((ran.code, ran.stdout.lines().count()), (2, 1), "{args}: {}", ran.stdout);
        assert!(ran.stdout.contains("503"), "{args}: {}", ran.stdout);
    }
}

#[test]
fn the_managers_lines_are_shown_with_verbose_and_never_on_standard_output() {
    let world = World::new();
    let (plain, verbose) = (world.run("refresh"), world.run("refresh -v"));
    assert!(!plain.stderr.contains("InRelease"), "{}", plain.stderr);
    assert!(verbose.stderr.contains("Get:1 http://127.0.0.1:8080 stable InRelease"), "{}", verbose.stderr);
    for ran in [plain, verbose] {
        assert!(!ran.stdout.contains("Get:"), "{}", ran.stdout);
    }
    let json = world.run("apply -v --format json");
    assert_eq!(json.json()["exit_code"], 0);
    assert!(json.stderr.contains("refreshing the package index"), "{}", json.stderr);
}

#[test]
fn a_word_that_is_misspelt_is_answered_with_the_one_that_is_meant() {
    let world = World::new();
    for (args, words) in [
        ("statsu", "unrecognized subcommand 'statsu'; did you mean status? See linux-patch --help"),
        (
            "apply --exclud x",
            "unexpected argument '--exclud' found; did you mean --exclude? See linux-patch --help",
        ),
        ("refresh more", "unexpected argument 'more' found; see linux-patch --help"),
    ] {
        let ran = world.run(args);
        assert_eq!((ran.code, &*ran.stderr), (3, &*format!("linux-patch: {words}\n")), "{args}");
    }
}
