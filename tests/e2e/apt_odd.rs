//! Hosts with unusual setups.

use crate::bench;
use crate::deb::{Deb, deb};
use crate::repo::Repo;
use crate::sandbox::Sandbox;

/// tb-hello and tb-world are installed, with an update each.
#[track_caller]
fn two_pending() -> (Sandbox, Repo) {
    let two = |version: &str| -> [Deb; 2] { [deb("tb-hello", version), deb("tb-world", version)] };
    bench::one(&two("1.0"), &two("2.0"))
}

#[test]
fn a_relative_state_directory_selects_like_any_other() {
    let (sandbox, _repo) = two_pending();
    let mut command = sandbox.patch_command(&["--state-dir", "srv/state", "apply", "tb-hello"]);
    command.env("LINUX_PATCH_VERBOSE", "no");
    let ended = sandbox.start(command).wait();
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    sandbox.has_exactly(&["tb-hello 2.0", "tb-world 1.0"]);
}

#[test]
fn the_administrators_own_pins_hold_beside_a_selection() {
    for (config, preferences) in
        [("", "/etc/apt/preferences"), ("Dir::Etc::Preferences \"/etc/apt/mine\";\n", "/etc/apt/mine")]
    {
        let (sandbox, _repo) = two_pending();
        sandbox.write("/etc/apt/apt.conf.d/mine", config);
        let pin = b"Explanation: f\xfcr uns\nPackage: tb-world\nPin: version 2.0\nPin-Priority: -1\n";
        sandbox.write(preferences, pin);
        sandbox.patch(&["apply", "--exclude", "no-such-*"]).exits(0);
        sandbox.has_exactly(&["tb-hello 2.0", "tb-world 1.0"]);
    }
}

#[test]
fn an_index_that_is_kept_elsewhere_is_looked_at_all_the_same() {
    let (sandbox, repo) = bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "1.0")]);
    sandbox.sh("mkdir -p /srv/lists/partial");
    sandbox.write("/etc/apt/apt.conf.d/mine", "Dir::State::lists \"/srv/lists\";\n");
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&[]);
    repo.publish(&[deb("tb-hello", "2.0")]);
    sandbox.patch(&["refresh"]).exits(0).says("/pending/count", 1);
    // Another program refreshes: then our own refresh finds nothing new.
    repo.publish(&[deb("tb-hello", "3.0")]);
    sandbox.sh("apt-get -q update");
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 3.0"]);
}

#[test]
fn an_excluded_package_is_not_removed_by_a_full_upgrade_either() {
    let names = ["tb-auto", "tb-hello", "tb-old", "tb-third", "tb-world"];
    let (sandbox, _repo) = bench::one(
        &names.map(|name| deb(name, "1.0")),
        &[
            deb("tb-hello", "2.0").field("Conflicts", "tb-old"),
            deb("tb-third", "2.0").field("Conflicts", "tb-auto"),
            deb("tb-world", "2.0"),
        ],
    );
    // apt 3 removes no package that somebody asked for.
    sandbox.sh("apt-mark auto tb-auto tb-old");
    let changes = ["tb-auto 1.0 -", "tb-third 1.0 2.0", "tb-world 1.0 2.0"];
    sandbox.patch(&["apply", "--full", "--exclude", "tb-old", "--dry-run"]).exits(0).changed(&changes);
    sandbox
        .patch(&["apply", "--full", "--exclude", "tb-old"])
        .applied(&changes)
        .holds_back(&["tb-hello 1.0 2.0 kept back"]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-old 1.0", "tb-third 2.0", "tb-world 2.0"]);
    sandbox.patch(&["apply", "--full", "tb-hello"]).exits(0).changed(&["tb-hello 1.0 2.0", "tb-old 1.0 -"]);
}

#[test]
fn an_update_that_breaks_or_needs_an_excluded_package_stays_with_it() {
    let names = ["tb-breaks", "tb-hello", "tb-needs", "tb-world"];
    let (sandbox, _repo) = bench::one(
        &names.map(|name| deb(name, "1.0")),
        &[
            deb("tb-breaks", "2.0")
                .field("Breaks", "tb-hello (<< 2.0)")
                .field("Replaces", "tb-hello (<< 2.0)"),
            deb("tb-hello", "2.0"),
            deb("tb-needs", "2.0").field("Depends", "tb-hello (>= 2.0)"),
            deb("tb-world", "2.0"),
        ],
    );
    sandbox.patch(&["apply", "--exclude", "tb-hello"]).applied(&["tb-world 1.0 2.0"]);
    sandbox.has_exactly(&["tb-breaks 1.0", "tb-hello 1.0", "tb-needs 1.0", "tb-world 2.0"]);
    sandbox
        .patch(&["apply", "tb-needs", "--exclude", "tb-hello"])
        .apply_failed("dependency")
        .mentions("/error/message", "tb-needs");
    // One brings the other, whichever is named.
    sandbox.patch(&["apply", "tb-breaks"]).applied(&["tb-breaks 1.0 2.0", "tb-hello 1.0 2.0"]);
}

#[test]
fn a_security_update_that_breaks_an_older_package_brings_its_update() {
    for field in ["Breaks", "Conflicts"] {
        let sandbox = Sandbox::new();
        sandbox.install(&["tb-hello", "tb-other", "tb-world"].map(|name| deb(name, "1.0")));
        let security = Repo::claiming(
            |claims| claims.suite = "stable-security".into(),
            &[deb("tb-hello", "2.0").field(field, "tb-world (<< 2.0)")],
        );
        let repo = Repo::new(&[deb("tb-other", "2.0"), deb("tb-world", "2.0")]);
        sandbox.add_source("security", &security);
        sandbox.add_source("test", &repo);
        sandbox.patch(&["apply", "--security"]).applied(&["tb-hello 1.0 2.0", "tb-world 1.0 2.0"]);
        sandbox.has_exactly(&["tb-hello 2.0", "tb-other 1.0", "tb-world 2.0"]);
    }
}

#[test]
fn a_repair_works_with_the_short_path_of_cron() {
    let (sandbox, _repo) = bench::pending_update();
    let path = sandbox.bring(&deb("tb-half", "1.0"));
    sandbox.sh(&format!("dpkg --unpack {path}"));
    let mut command = sandbox.patch_command(&["apply"]);
    command.env("PATH", "/usr/bin:/bin");
    sandbox.start(command).report().exits(0).repaired();
    assert_eq!(sandbox.installed()["tb-half"], "1.0");
}

/// Some supervisors and containers give no PATH. Who owns the working directory is not asked for his programs.
#[test]
fn without_a_path_the_directories_of_the_system_are_looked_in_and_never_the_working_directory() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.write_script("/tmp/theirs/apt-get", "touch /run/taken; exec /usr/bin/apt-get \"$@\"");
    for (path, code) in [(None, 0), (Some(".:/usr/bin:/bin"), 0), (Some(":/usr/bin:bin"), 0), (Some("."), 3)]
    {
        let mut command = sandbox.command("env");
        command.args(["-C", "/tmp/theirs", "/usr/bin/env", "-i"]);
        command.args(path.map(|path| format!("PATH={path}")));
        command.args(["/usr/bin/linux-patch", "--format", "json", "refresh"]);
        let report = sandbox.start(command).report();
        report.exits(code);
        assert!(!sandbox.exists("/run/taken"), "{path:?}: {report}");
    }
    let mut command = sandbox.command("env");
    command.args(["-i", "/usr/bin/linux-patch", "--format", "json", "apply"]);
    sandbox.start(command).report().applied(&["tb-hello 1.0 2.0"]);
}

#[test]
fn what_others_install_while_we_wait_is_not_claimed() {
    let (sandbox, _repo) = two_pending();
    let other = sandbox.bring(&deb("tb-other", "1.0"));
    // Another program refreshes, and installs something before our turn.
    let hook = format!("APT::Update::Post-Invoke {{ \"dpkg --install {other} >/dev/null\"; }};\n");
    sandbox.write("/etc/apt/apt.conf.d/hook", hook);
    sandbox.patch(&["apply", "--download-only"]).exits(0).changed(&[]);
    assert!(sandbox.installed().contains_key("tb-other"));
    sandbox.sh("dpkg --remove tb-other");
    sandbox.patch(&["apply", "tb-hello"]).applied(&["tb-hello 1.0 2.0"]);
    sandbox.has_exactly(&["tb-hello 2.0", "tb-other 1.0", "tb-world 1.0"]);
}

#[test]
fn a_full_log_disk_takes_none_of_apts_words() {
    let (sandbox, repo) = bench::pending_update();
    let line = format!(
        "deb [signed-by=/etc/apt/keyrings/test.gpg] {} {} main no-such-component\n",
        repo.url(),
        repo.suite()
    );
    sandbox.write("/etc/apt/sources.list.d/test.list", line);
    sandbox.sh("mkdir -p /var/log/linux-patch && mount -t tmpfs -o size=8k none /var/log/linux-patch");
    sandbox.sh("head -c 3000 /dev/zero >/var/log/linux-patch/full");
    // apt exits 0 and says only on standard error that a component does not exist.
    sandbox.patch(&["refresh"]).exits(1).one_source_failed(2, "no-such-component/", "config");
}

#[test]
fn a_selection_left_by_a_killed_run_is_gone_after_the_next() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.sh("mkdir -p /var/lib/linux-patch && echo left >/var/lib/linux-patch/selection");
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
    assert!(!sandbox.exists("/var/lib/linux-patch/selection"));
}

#[test]
fn a_hook_that_fails_after_the_refresh_does_not_make_the_index_stale() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.write("/etc/apt/apt.conf.d/hook", "APT::Update::Post-Invoke { \"false\"; };\n");
    sandbox.patch(&["refresh"]).exits(0).says("/cache_status", "fresh");
}

#[test]
fn a_reader_of_standard_error_that_stopped_reading_holds_up_nothing() {
    let (sandbox, _repo) = bench::pending_update();
    let ended = sandbox.run(&[
        "perl",
        "-e",
        "pipe(R, W); open(STDERR, '>&', W); fcntl(W, 4, 2048); 1 while syswrite(W, 'x' x 4096); \
         fcntl(W, 4, 0); exec 'linux-patch', '-v', 'apply'",
    ]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    sandbox.has_exactly(&["tb-hello 2.0"]);
}

#[test]
fn a_system_that_is_mounted_read_only_is_left_alone_and_told() {
    let (sandbox, repo) = two_pending();
    sandbox.sh("mount --bind /usr /usr; mount -o remount,ro,bind /usr");
    sandbox
        .patch(&["apply"])
        .apply_failed("space")
        .says("/retried", false)
        .mentions("/error/message", "/usr is mounted read-only")
        .changed(&[]);
    sandbox.has_exactly(&["tb-hello 1.0", "tb-world 1.0"]);
    assert_eq!(repo.server.requests("/pool/"), 0);
    // As apt.conf(5) has it.
    sandbox.write("/etc/apt/apt.conf.d/rw", "DPkg::Pre-Invoke { \"mount -o remount,rw,bind /usr\"; };\n");
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0", "tb-world 1.0 2.0"]);
}

#[test]
fn a_system_that_is_an_image_is_refreshed_and_never_changed() {
    let (sandbox, repo) = bench::pending_update();
    let refused = |words: &str| {
        for args in [&["apply"][..], &["apply", "--dry-run"], &["apply", "--download-only"]] {
            sandbox.patch(args).exits(3).mentions("/reason", words);
        }
        sandbox.patch(&["refresh"]).exits(0).remembers("/pending/count", 1);
        sandbox.patch(&["status"]).exits(0);
        assert_eq!(repo.server.requests("tb-hello"), 0);
    };
    sandbox.sh("touch /run/ostree-booted");
    refused("use ostree admin upgrade instead");
    sandbox.write_script("/usr/local/bin/rpm-ostree", "exit 1");
    refused("use rpm-ostree upgrade instead");
    sandbox.write_script("/usr/local/bin/bootc", "exit 1");
    refused("use bootc upgrade instead");
    // The tools alone are on many systems.
    sandbox.sh("rm /run/ostree-booted /usr/local/bin/*");
    sandbox.write_script("/usr/local/sbin/transactional-update", "exit 1");
    sandbox.patch(&["apply", "--dry-run"]).exits(0);
    sandbox.sh("mount -o remount,ro,bind /");
    refused("use transactional-update up instead");
    sandbox.sh("rm /usr/local/sbin/transactional-update");
    sandbox.patch(&["apply", "--dry-run"]).exits(0);
    sandbox.sh("mount -o remount,rw,bind /");
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
}
