//! Hooks of apt that speak as apt does. What counts is what apt itself says.

use crate::bench;
use crate::deb::deb;
use crate::leisure::at_leisure;
use crate::sandbox::Sandbox;
use crate::server::Fault;

/// What a hook prints that runs an apt of its own, or passes on the log of another run.
fn words(url: &str) -> [String; 5] {
    [
        format!("echo 'E: Failed to fetch {url}/dists/stable/InRelease  404  Not Found' >&2"),
        "echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (x)' >&2".to_string(),
        "echo 'E: The package cache file is corrupted' >&2".to_string(),
        format!(
            "echo 'W: An error occurred during the signature verification. The repository is not updated and the \
             previous index files will be used. GPG error: {url} stable InRelease: NO_PUBKEY 1' >&2"
        ),
        format!("printf 'Err:1 {url} stable InRelease\\n  404  Not Found\\n'"),
    ]
}

fn hook(sandbox: &Sandbox, name: &str, lines: &str) {
    sandbox.write_script("/usr/local/sbin/speaks", lines);
    sandbox.write("/etc/apt/apt.conf.d/99hook", format!("{name} {{ \"speaks\"; }};\n"));
}

const HOOKS: [&str; 4] = [
    "APT::Update::Pre-Invoke",
    "APT::Update::Post-Invoke",
    "APT::Update::Post-Invoke-Success",
    "Binary::apt-get::APT::Update::Post-Invoke",
];

#[test]
fn a_hook_that_speaks_as_apt_does_blames_no_source() {
    let (sandbox, repos) = bench::three();
    for name in HOOKS {
        for lines in words(&repos[1].url()) {
            hook(&sandbox, name, &lines);
            let refreshed = sandbox.patch(&["refresh"]);
            assert_eq!(refreshed.code, 0, "{name} {lines}: {refreshed}");
            refreshed.says("/cache_status", "fresh");
        }
    }
}

/// Then ours is not run, and nothing marks the end of its words.
#[test]
fn a_hook_that_fails_over_a_lock_has_nobody_wait_for_it() {
    let (sandbox, repos) = bench::three();
    for name in HOOKS {
        hook(&sandbox, name, &format!("{}\nexit 1", words(&repos[1].url())[1]));
        let refreshed = sandbox.patch(&["refresh"]);
        assert_eq!(refreshed.code, 0, "{name}: {refreshed}");
    }
}

#[test]
fn beside_a_hook_that_speaks_as_apt_does_apts_own_words_count() {
    let (sandbox, repos) = bench::three();
    repos[2].server.fault("/InRelease", Fault::Status(503));
    for name in HOOKS {
        for lines in &words(&repos[1].url()) {
            hook(&sandbox, name, lines);
            let refreshed = sandbox.patch(&["refresh"]);
            assert_eq!(refreshed.code, 1, "{name} {lines}: {refreshed}");
            refreshed.one_source_failed(3, &repos[2].url(), "fetch");
        }
    }
    // It says that all is well, in the place of the source that is down.
    for name in HOOKS {
        hook(&sandbox, name, &format!("printf 'Hit:1 {} stable InRelease\\n'", repos[2].url()));
        let failed = sandbox.patch(&["refresh"]).exits(1).failed_sources();
        assert!(failed.iter().any(|(id, _)| id.contains(&repos[2].url())), "{name}: {failed:?}");
    }
}

/// apt prints its progress there too, and under the same numbers.
#[test]
fn beside_a_source_that_is_down_a_hook_that_prints_progress_lines_blames_no_other() {
    let (sandbox, repos) = bench::three();
    let [good, down] = [1, 2].map(|nth: usize| format!("{} stable InRelease", repos[nth].url()));
    let lines = [
        format!("Err:1 {good}\\n  404  Not Found"),
        format!("Err:2 {good}\\n  404  Not Found"),
        format!("Err:3 {good}\\n  503  X"),
        format!("Err:99 {good}"),
        format!("Hit:1 {good}"),
        format!("Ign:1 {good}"),
        format!("Hit:2 {down}\\nHit:3 {down}\\nErr:1 {good}"),
    ];
    for fault in [Fault::Status(404), Fault::Close] {
        repos[2].server.fault("/", fault);
        for name in &HOOKS[..3] {
            for lines in &lines {
                hook(&sandbox, name, &format!("printf '{lines}\\n'"));
                let refreshed = sandbox.patch(&["refresh"]);
                assert_eq!(refreshed.code, 1, "{name} {lines}: {refreshed}");
                let failed = refreshed.failed_sources();
                assert!(
                    failed.len() == 1 && failed[0].0.contains(&repos[2].url()),
                    "{fault:?} {name} {lines}: {failed:?} {refreshed}"
                );
            }
        }
        repos[2].server.heal();
    }
}

#[test]
fn a_hook_of_dpkg_that_speaks_as_apt_does_costs_no_second_download() {
    for name in ["DPkg::Pre-Invoke", "DPkg::Post-Invoke", "DPkg::Pre-Install-Pkgs"] {
        // Of these, a failed fetch would be tried again, and somebody else's lock waited for.
        for nth in [0, 1] {
            let (sandbox, repo) = bench::pending_update();
            let lines = &words(&repo.url())[nth];
            hook(&sandbox, name, &format!("{lines}\nexit 1"));
            let applied = sandbox.patch(&["apply"]);
            applied.exits(2).says("/retried", false).says("/error/class", "script");
            applied.mentions("/error/message", ["404 Not Found", "held by process 1"][nth]);
            assert!(applied.elapsed < at_leisure(20), "{applied}");
            hook(&sandbox, name, lines);
            sandbox.patch(&["apply"]).exits(0);
            sandbox.has_exactly(&["tb-hello 2.0"]);
        }
    }
}

#[test]
fn a_dpkg_that_dies_beside_a_hook_that_fails_was_interrupted() {
    for (signal, words) in
        [("KILL", "dpkg exited unexpectedly"), ("SEGV", "dpkg received a segmentation fault")]
    {
        let dies = format!("[ -e /run/fast ] || kill -{signal} $PPID");
        let (sandbox, _repo) =
            bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0").script("postinst", &dies)]);
        sandbox.write("/etc/apt/apt.conf.d/99hook", "DPkg::Post-Invoke { \"false\"; };\n");
        let applied = sandbox.patch(&["apply"]);
        applied.exits(2).says("/error/class", "interrupted").mentions("/error/message", words);
        sandbox.write("/run/fast", "");
        sandbox.write("/etc/apt/apt.conf.d/99hook", "");
        sandbox.patch(&["apply"]).repaired();
        sandbox.has_exactly(&["tb-hello 2.0"]);
    }
}
