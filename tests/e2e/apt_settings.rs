//! Settings in apt.conf, dpkg.cfg and the environment change nothing that linux-patch reads or does.

use crate::leisure::at_leisure;
use std::time::Duration;

use crate::apt::Apt;
use crate::bench;
use crate::deb::deb;
use crate::manager::{Manager, Package};
use crate::repo::Repo;
use crate::sandbox::{Running, Sandbox};
use crate::server::Fault;

/// Every setting that changes what is done, printed or asked and how, set to the wrong value.
pub struct Misconfigured(Apt);

const WRONG: &str = r#"
APT::Get::Simulate "true";
APT::Get::Print-URIs "true";
APT::Get::Download-Only "true";
APT::Get::Download "false";
APT::Get::Trivial-Only "true";
APT::Get::Assume-No "true";
APT::Get::Fix-Missing "true";
APT::Get::Show-Versions "true";
APT::Get::Upgrade-Allow-New "false";
APT::Get::Only-Upgrade "true";
APT::Get::Only-Source "true";
APT::Get::Mark-Auto "true";
APT::Get::ReInstall "true";
APT::Get::Purge "true";
APT::Get::AutomaticRemove "true";
APT::Output-Version "30";
APT::Color "yes";
APT::Status-Fd "1";
APT::Keep-Fds { "1"; "2"; };
quiet "2";
quiet::NoUpdate "true";
quiet::NoProgress "true";
DPkg::Options { "--force-confnew"; "--force-confmiss"; };
DPkg::Use-Pty "true";
DPkg::Progress "true";
DPkg::Progress-Fancy "true";
DPkg::Lock::Timeout "-1";
DPkg::Run-Directory "/tmp";
Acquire::GzipIndexes "true";
Acquire::Languages "none";
Acquire::Queue-Mode "access";
Debug::pkgProblemResolver "true";
Debug::pkgDepCache::Marker "true";
Debug::pkgPolicy "true";
Debug::pkgDPkgPM "true";
Debug::NoLocking "true";
DPkg::NoTriggers "true";
DPkg::ConfigurePending "false";
APT::Cache::Generate "false";
"#;

impl Manager for Misconfigured {
    as_unturned!(Apt);
    const DOWNLOADS: &'static str = Apt::DOWNLOADS;
    const INDEXES: &'static str = Apt::INDEXES;

    fn new() -> Misconfigured {
        let manager = Apt::new();
        manager.sandbox().write("/etc/apt/apt.conf.d/wrong", WRONG);
        // Also as a setting for one of apt's programs alone.
        let of_program = WRONG.lines().filter(|line| line.ends_with("\";") && !line.contains('{'));
        let of_program: String = of_program
            .flat_map(|line| {
                ["apt-get", "apt-cache", "apt-config"].map(|name| format!("Binary::{name}::{line}\n"))
            })
            .collect();
        manager.sandbox().write("/etc/apt/apt.conf.d/wronger", of_program);
        manager.sandbox().write("/etc/dpkg/dpkg.cfg.d/wrong", "force-confnew\nstatus-fd 2\n");
        Misconfigured(manager)
    }

    fn add_source(&self, name: &str, repo: &Repo) {
        self.0.add_source(name, repo);
    }

    fn source_id(&self, name: &str, repo: &Repo) -> String {
        self.0.source_id(name, repo)
    }

    fn file_of(name: &str, version: &str) -> String {
        Apt::file_of(name, version)
    }

    fn core(&self, version: &str) -> Package {
        self.0.core(version)
    }

    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32) {
        self.0.hold_lock(time)
    }
}

#[test]
fn what_is_held_back_or_refused_is_read_whatever_apt_conf_says() {
    let manager = Misconfigured::new();
    let sandbox = manager.sandbox();
    let names = ["tb-held", "tb-hello", "tb-kept", "tb-pin"];
    sandbox.install(&names.map(|name| deb(name, "2.0")));
    let repo = Repo::new(&[
        deb("tb-held", "3.0"),
        deb("tb-hello", "3.0"),
        deb("tb-kept", "3.0").field("Depends", "tb-nowhere"),
        deb("tb-pin", "1.0"),
    ]);
    sandbox.add_source("test", &repo);
    // apt-mark would only print what it would do.
    sandbox.sh("echo tb-held hold | dpkg --set-selections");
    sandbox.write("/etc/apt/preferences", "Package: tb-pin\nPin: version 1.0\nPin-Priority: 1001\n");
    let held =
        ["tb-held 2.0 3.0 held", "tb-kept 2.0 3.0 kept back", "tb-pin 2.0 1.0 a pin makes it a downgrade"];
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 2.0 3.0"]).holds_back(&held);
    sandbox.patch(&["apply"]).applied(&["tb-hello 2.0 3.0"]).holds_back(&held);
}

#[test]
fn a_proxy_that_needs_its_time_gets_what_apt_conf_allows() {
    let (sandbox, repo) = bench::pending_update();
    sandbox.write("/etc/apt/apt.conf.d/proxy", "Acquire::http::Timeout \"60\";\nAcquire::Retries \"0\";\n");
    // With a budget of less than 30 s each silence may last 2 s.
    repo.server.fault("/", Fault::Late(4000));
    let applied = sandbox.patch_with(&["apply"], &[("LINUX_PATCH_TIMEOUT", "29s")]);
    applied.applied(&["tb-hello 1.0 2.0"]);
    // The budget still bounds a refresh.
    repo.server.heal();
    repo.server.fault("/", Fault::Hang);
    let refreshed = sandbox.patch(&["refresh", "--timeout", "3s"]);
    refreshed.refresh_failed("timeout");
    assert!(refreshed.elapsed < at_leisure(12), "{refreshed}");
}

#[test]
fn one_queue_for_all_sources_has_none_wait_for_a_mirror_that_closes_its_connections() {
    let (sandbox, _repos) = bench::three_with("/", Fault::Close);
    sandbox.write("/etc/apt/apt.conf.d/queue", "Acquire::Queue-Mode \"access\";\n");
    let refreshed = sandbox.patch(&["refresh", "--timeout", "20s"]);
    refreshed.exits(1).remembers("/pending/count", 2);
    assert_eq!(refreshed.failed_sources().len(), 1, "{refreshed}");
}

#[test]
fn colours_in_the_environment_hide_no_words_of_dpkg() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-hello", "1.0"), deb("tb-world", "1.0").file("/usr/share/tb/file", "world")],
        &[deb("tb-hello", "2.0").file("/usr/share/tb/file", "hello")],
    );
    sandbox
        .patch_with(&["apply"], &[("DPKG_COLORS", "always"), ("APT_COLOR", "always")])
        .apply_failed("dependency")
        .mentions("/error/message", "(--unpack): trying to overwrite");
}

#[test]
fn a_package_that_is_to_be_purged_is_a_removal_too() {
    let (sandbox, _repo) = bench::one(
        &[deb("tb-hello", "1.0"), deb("tb-old", "1.0").conffile("/etc/tb-old", "x\n")],
        &[deb("tb-hello", "2.0").field("Conflicts", "tb-old")],
    );
    sandbox.sh("apt-mark auto tb-old");
    sandbox.write("/etc/apt/apt.conf.d/purge", "APT::Get::Purge \"true\";\n");
    sandbox.patch(&["apply", "--full", "--dry-run"]).exits(0).changed(&["tb-hello 1.0 2.0", "tb-old 1.0 -"]);
    sandbox.patch(&["apply", "--full", "--exclude", "tb-old"]).exits(0).changed(&[]);
    sandbox.patch(&["apply", "--full"]).applied(&["tb-hello 1.0 2.0", "tb-old 1.0 -"]);
    assert!(!sandbox.exists("/etc/tb-old"));
}

#[test]
fn apt_conf_says_how_often_a_download_is_tried_again() {
    for (config, retried) in [("", true), ("Acquire::Retries \"3\";\n", false)] {
        let (sandbox, repo) = bench::pending_update();
        sandbox.write("/etc/apt/apt.conf.d/retries", config);
        repo.server.fault("/pool/", Fault::Close);
        repo.server.heal_before("/pool/", 5);
        sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]).says("/retried", retried);
    }
}

#[test]
fn what_apt_conf_says_is_kept_no_longer_than_it_says_so() {
    let (sandbox, _repo) = bench::pending_update();
    let lists_are_in = |dir: &str, env: &[(&str, &str)]| {
        let refreshed = sandbox.patch_with(&["refresh"], env);
        refreshed.exits(0);
        let file = refreshed.state["index"]["files"][0].as_str().unwrap_or_default().to_string();
        assert!(file.starts_with(&format!("{dir}/")), "not in {dir}: {file}: {refreshed}");
    };
    let lists_go_to = |file: &str, dir: &str| {
        sandbox.sh(&format!("mkdir -p {dir}/partial"));
        sandbox.write(file, format!("Dir::State::lists \"{dir}\";\n"));
    };
    lists_are_in("/var/lib/apt/lists", &[]);
    lists_are_in("/var/lib/apt/lists", &[]);
    lists_go_to("/etc/apt/apt.conf.d/lists", "/srv/a");
    lists_are_in("/srv/a", &[]);
    // With the same length and the same time.
    sandbox.sh("cp -p /etc/apt/apt.conf.d/lists /srv/before");
    lists_go_to("/etc/apt/apt.conf.d/lists", "/srv/b");
    sandbox.sh("touch -r /srv/before /etc/apt/apt.conf.d/lists");
    lists_are_in("/srv/b", &[]);
    lists_go_to("/srv/of-variable", "/srv/c");
    lists_are_in("/srv/b", &[]);
    sandbox.sh("rm /etc/apt/apt.conf.d/lists");
    lists_are_in("/srv/c", &[("APT_CONFIG", "/srv/of-variable")]);
    lists_are_in("/var/lib/apt/lists", &[]);
    // A file that no directory of apt.conf holds.
    lists_go_to("/srv/included", "/srv/d");
    sandbox.write("/etc/apt/apt.conf.d/more", "#include \"/srv/included\";\n");
    lists_are_in("/srv/d", &[]);
    lists_go_to("/srv/included", "/srv/e");
    lists_are_in("/srv/e", &[]);
    // The same by what moves the main file, alone and with the directory that it is in.
    for (line, file) in [
        ("Dir::Etc::main \"/srv/own.conf\";", "/srv/own.conf"),
        ("Dir { Etc { main \"own.conf\"; }; };", "/etc/apt/own.conf"),
        ("Dir::Etc \"/srv/apt\"; Dir::Etc::sourceparts \"/etc/apt/sources.list.d\";", "/srv/apt/apt.conf"),
    ] {
        lists_go_to(file, "/srv/f");
        sandbox.write("/etc/apt/apt.conf.d/more", line);
        lists_are_in("/srv/f", &[]);
        lists_go_to(file, "/srv/g");
        lists_are_in("/srv/g", &[]);
    }
    // A link, and what it leads to.
    sandbox.sh("mkdir /srv/conf /srv/conf2; rm -r /etc/apt/apt.conf.d; ln -s /srv/conf /etc/apt/apt.conf.d");
    lists_go_to("/srv/conf/lists", "/srv/h");
    lists_are_in("/srv/h", &[]);
    lists_go_to("/srv/conf2/lists", "/srv/i");
    lists_are_in("/srv/h", &[]);
    sandbox.sh("ln -sfn /srv/conf2 /etc/apt/apt.conf.d");
    lists_are_in("/srv/i", &[]);
    sandbox.sh("mount --bind /srv/conf /srv/conf2");
    lists_are_in("/srv/h", &[]);
}

#[test]
fn a_full_upgrade_without_removals_leaves_what_needs_one_and_installs_the_rest() {
    let (sandbox, _repo) = bench::one(
        &["tb-hello", "tb-old", "tb-world"].map(|name| deb(name, "1.0")),
        &[deb("tb-hello", "2.0").field("Conflicts", "tb-old"), deb("tb-world", "2.0")],
    );
    sandbox.sh("apt-mark auto tb-old");
    sandbox.write("/etc/apt/apt.conf.d/keep", "APT::Get::Remove \"false\";\n");
    sandbox.patch(&["apply", "--full", "--dry-run"]).exits(0).changed(&["tb-world 1.0 2.0"]);
    let applied = sandbox.patch(&["apply", "--full"]);
    applied.applied(&["tb-world 1.0 2.0"]).holds_back(&["tb-hello 1.0 2.0 kept back"]);
    assert!(applied.stderr.contains("configured to remove nothing"), "{applied}");
    sandbox.patch(&["apply", "--full"]).applied(&[]);
    sandbox.patch(&["apply", "--full", "tb-hello"]).apply_failed("dependency");
    sandbox.write("/etc/apt/apt.conf.d/keep", "");
    sandbox.patch(&["apply", "--full"]).applied(&["tb-hello 1.0 2.0", "tb-old 1.0 -"]);
}

#[test]
fn a_fault_in_the_configuration_is_told_with_its_file() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.sh(
        "mkdir -p /srv/prefs; echo 'Dir::Etc::preferencesparts \"/srv/prefs\";' >/etc/apt/apt.conf.d/place",
    );
    sandbox.patch(&["refresh"]).exits(0);
    for (file, text, place) in [
        ("/etc/apt/preferences", "\nPackage: x\nPin: version 1\n", "/etc/apt/preferences:3"),
        ("/srv/prefs/bad", "Package: x\nPin: version 1\nPin-Priority: y\n", "/srv/prefs/bad:3"),
        ("/srv/prefs/bad.pref", "Pin: version 1\n", "/srv/prefs/bad.pref"),
        ("/etc/apt/preferences", "nonsense\n", "/etc/apt/preferences"),
        ("/etc/apt/apt.conf.d/bad", "APT::Default-Release \"nowhere\";\n", "/etc/apt/apt.conf.d/bad:1"),
        ("/etc/apt/apt.conf.d/bad", "\nx \"y\n", "/etc/apt/apt.conf.d/bad:3"),
        ("/etc/apt/sources.list", "\ndeb http://x\n", "2 in list file /etc/apt/sources.list"),
        ("/etc/apt/sources.list.d/bad.sources", "nonsense\n", "/etc/apt/sources.list.d/bad.sources"),
        ("/etc/dpkg/dpkg.cfg.d/bad", "\nnonsense\n", "/etc/dpkg/dpkg.cfg.d/bad:2"),
        ("/etc/apt/apt.conf.d/bad", "APT::Solver \"nowhere\";\n", "external solver 'nowhere'"),
        ("/etc/apt/apt.conf.d/bad", "Acquire::http::Proxy-Auto-Detect \"/nowhere\";\n", "ProxyAutoDetect"),
    ] {
        sandbox.write(file, text);
        let report = sandbox.patch(&["apply"]);
        report.apply_failed("config").mentions("/error/message", place).changed(&[]);
        sandbox.sh(&format!("rm {file}"));
    }
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
}

#[test]
fn a_package_database_that_is_not_where_apt_conf_puts_it_is_not_one_with_nothing_pending() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.write("/etc/apt/apt.conf.d/place", "Dir::State::status \"/srv/nowhere/status\";\n");
    let refreshed = sandbox.patch(&["refresh"]);
    refreshed.exits(1).remembers("/pending/count", None::<u32>);
    refreshed.mentions("/error/message", "/srv/nowhere/status is not there");
    sandbox.patch(&["apply"]).exits(2).mentions("/error/message", "/srv/nowhere/status is not there");
    sandbox.sh("rm /etc/apt/apt.conf.d/place");
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
}

#[test]
fn what_apt_reads_of_its_directories_decides_whatever_it_is_called() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0 2.0"]);
    sandbox.write("/srv/pin", "Package: tb-hello\nPin: version *\nPin-Priority: -1\n");
    // apt reads names without an extension.
    sandbox.write("/etc/apt/apt.conf.d/lock", "Dir::Etc::preferences \"/srv/pin\";\n");
    sandbox.patch(&["refresh"]).exits(0).leaves_pending(&[]);
    // It reads none of these.
    sandbox.sh("rm /etc/apt/apt.conf.d/lock; mkdir /etc/apt/sources.list.d/dir.list");
    for name in ["a.list.disabled", "b.list~", "c.list.save", "d", ".e.list"] {
        sandbox.write(&format!("/etc/apt/sources.list.d/{name}"), "nonsense\n");
    }
    sandbox.patch(&["status"]).exits(0).says("/cache_status", "fresh");
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
}

#[test]
fn a_setting_of_dpkg_that_keeps_it_from_installing_is_named() {
    let (sandbox, _repo) = bench::pending_update();
    sandbox.sh("mkdir -p /srv/other/var/lib; cp -a /var/lib/dpkg /srv/other/var/lib/");
    for setting in ["no-act", "admindir /srv/other/var/lib/dpkg"] {
        sandbox.write("/etc/dpkg/dpkg.cfg.d/other", format!("# root=/\n{setting}\n"));
        let applied = sandbox.patch(&["apply"]);
        let words = format!("tb-hello; {setting} in /etc/dpkg/dpkg.cfg.d/other");
        applied.apply_failed("config").mentions("/reason", &words);
    }
    sandbox.sh("rm /etc/dpkg/dpkg.cfg.d/other");
    sandbox.patch(&["apply"]).applied(&["tb-hello 1.0 2.0"]);
}

#[test]
fn no_password_stands_in_what_apt_says_where_it_is_told_to_say_everything() {
    let (sandbox, repo) = bench::pending_update();
    let host = repo.url();
    sandbox.write("/etc/apt/auth.conf", format!("machine {host} login me password s3cret-pw\n"));
    let names = ["Acquire::http", "Acquire::Auth", "Acquire::netrc", "pkgAcquire::Worker", "pkgAcquire"];
    let settings: String = names.iter().map(|name| format!("Debug::{name} \"true\";\n")).collect();
    sandbox.write("/etc/apt/apt.conf.d/debug", settings);
    let mut shown = String::new();
    for verb in ["refresh", "apply"] {
        let ended = sandbox.run(&["linux-patch", "--verbose", verb]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        shown += &format!("{}{}", ended.stdout, ended.stderr);
    }
    let everything = shown + &sandbox.log();
    assert!(everything.contains("Authorization: (not shown)"), "{everything}");
    // The second is both in base 64.
    for secret in ["s3cret-pw", "bWU6czNjcmV0LXB3"] {
        assert!(!everything.contains(secret), "{everything}");
    }
}

/// A daemon that a maintainer script has restarted keeps what dpkg and debconf told that script.
#[test]
fn what_a_maintainer_script_was_told_is_no_news_for_this_run() {
    let asks = "set -e; . /usr/share/debconf/confmodule; db_version 2.0; db_stop";
    for (name, value) in [
        ("DEBIAN_HAS_FRONTEND", "1"),
        ("DEBCONF_REDIR", "1"),
        ("DPKG_MAINTSCRIPT_PACKAGE", "cron"),
        ("DPKG_FRONTEND_LOCKED", "1"),
        ("DPKG_RUNNING_VERSION", "1.0"),
    ] {
        let new = deb("tb-hello", "2.0").script("postinst", asks);
        let (sandbox, _repo) = bench::one(&[deb("tb-hello", "1.0")], &[new]);
        sandbox.patch_with(&["apply"], &[(name, value)]).applied(&["tb-hello 1.0 2.0"]);
        sandbox.has_exactly(&["tb-hello 2.0"]);
    }
}

/// Old kernels are all that an upgrade removes because nothing needs it.
#[test]
fn an_excluded_kernel_stays_where_apt_conf_removes_old_ones() {
    let kernels = [1, 2, 3, 4].map(|nth| deb(&format!("linux-image-4.{nth}.0-1-amd64"), &format!("4.{nth}")));
    let (sandbox, repo) =
        bench::one(&[&kernels[..], &[deb("tb-hello", "1.0")]].concat(), &[deb("tb-hello", "2.0")]);
    sandbox.sh("apt-mark auto '^linux-image-.*'");
    let settings =
        "APT::Get::AutomaticRemove::Kernels \"true\";\nAPT::VersionedKernelPackages { \"linux-.*\"; };\n";
    sandbox.write("/etc/apt/apt.conf.d/auto", settings);
    let excluded = sandbox.patch(&["apply", "--exclude", "linux-image-4.1*"]);
    excluded.exits(0).changed(&["linux-image-4.2.0-1-amd64 4.2 -", "tb-hello 1.0 2.0"]);
    repo.publish(&[deb("tb-hello", "3.0")]);
    let applied = sandbox.patch(&["apply"]);
    applied.exits(0).changed(&["linux-image-4.1.0-1-amd64 4.1 -", "tb-hello 2.0 3.0"]);
}
