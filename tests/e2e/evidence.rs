//! What counts as evidence: of a running apply, of the holder of a lock, of a run that was cut off.

use crate::leisure::at_leisure;
use std::process::Command;
use std::time::Duration;

use crate::apk::{Apk, ApkRepo};
use crate::apk_settings::Misconfigured;
use crate::bench;
use crate::deb::{Deb, deb};
use crate::dnf::shell;
use crate::locks;
use crate::manager::{Manager, Repository, package};
use crate::repo::Repo;
use crate::report::Report;
use crate::rpm::{self, Root, Rpm, RpmRepo, rpm};
use crate::sandbox::{Running, Sandbox};
use crate::server::Fault;
use crate::zypper;

/// A status for a user who may do nothing, who sees /proc as mounted with these options.
#[track_caller]
fn hidden_status(sandbox: &Sandbox, options: &str, args: &str) -> Report {
    let mut command: Command = sandbox.command("unshare");
    let script = format!(
        "mount -t proc -o {options} proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups \
         linux-patch --format json status {args}"
    );
    command.args(["--mount", "sh", "-ec", &script]);
    sandbox.start(command).report()
}

const HIDING: [&str; 3] = ["hidepid=2", "subset=pid", "hidepid=2,subset=pid"];

#[test]
fn a_running_apply_that_a_user_cannot_see_is_not_said_to_be_cut_off() {
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 60)]);
    let running = sandbox.start(sandbox.patch_command(&["apply"]));
    sandbox.wait_for_file(bench::IN_POSTINST);
    for options in HIDING {
        let seen = hidden_status(&sandbox, options, "");
        let sees = options == "subset=pid";
        seen.exits(0).says("/apply_interrupted", if sees { Some(false) } else { None });
        let critical = hidden_status(&sandbox, options, "--alert apply=critical");
        critical.exits(if sees { 0 } else { 3 });
        let mut text: Command = sandbox.command("unshare");
        let script = format!(
            "mount -t proc -o {options} proc /proc; exec setpriv --reuid=65534 --regid=65534 \
             --clear-groups linux-patch status"
        );
        text.args(["--mount", "sh", "-ec", &script]);
        let text = sandbox.start(text).wait().stdout;
        assert!(text.contains(if sees { "is running" } else { "not known whether it still runs" }), "{text}");
        assert!(!text.contains("interrupted") && !text.contains("dpkg"), "{text}");
    }
    sandbox.kill_everything();
    running.wait();
    for options in HIDING {
        hidden_status(&sandbox, options, "").says("/apply_interrupted", true);
    }
    sandbox.patch(&["status"]).says("/apply_interrupted", true);
}

#[test]
fn a_process_that_got_the_number_of_a_dead_apply_is_not_that_apply() {
    let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 60)]);
    let running = sandbox.start(sandbox.patch_command(&["apply"]));
    sandbox.wait_for_file(bench::IN_POSTINST);
    let pid = sandbox.patch_pid();
    sandbox.kill_everything();
    running.wait();
    // The next process gets this number. It holds a lock, as any daemon may.
    let script = format!(
        "echo {} >/proc/sys/kernel/ns_last_pid; flock /run/any sleep 80 & until flock -n /run/any true; [ $? = 1 ]; do :; done; \
         echo $! >/run/number; wait",
        pid - 1
    );
    let other = sandbox.start({
        let mut command = sandbox.command("sh");
        command.args(["-c", &script]);
        command
    });
    sandbox.wait_for_file("/run/number");
    assert_eq!(sandbox.read("/run/number").unwrap().trim(), pid.to_string());
    sandbox.patch(&["status"]).says("/apply_interrupted", true);
    sandbox.kill_everything();
    other.wait();
}

#[test]
fn a_number_in_a_lock_file_that_another_process_got_is_said_to_be_no_holder() {
    let (dnf, _repo) = rpm::pending_update();
    let (root, _repo) = zypper::pending_update();
    let all: [(&Sandbox, &str, &str); 2] =
        [(&dnf.sandbox, "dnf", "/var/lib/dnf/rpmdb_lock.pid"), (root.sandbox(), "zypper", "/run/zypp.pid")];
    for (sandbox, manager, file) in all {
        sandbox.sh(&format!("mkdir -p {}", file.rsplit_once('/').unwrap().0));
        let (holder, pid) = locks::hold_by_number(sandbox, file, std::time::Duration::from_secs(600));
        sandbox.sh(&format!("touch -d '1 hour ago' {file}"));
        let applied = sandbox.patch(&["--manager", manager, "apply"]);
        applied.apply_failed("lock").mentions("/error/message", &format!("rm {file}"));
        applied.mentions("/error/message", &format!("process {pid} (sleep"));
        assert!(applied.elapsed < at_leisure(30), "{applied}");
        sandbox.sh(&format!("rm {file}"));
        sandbox.patch(&["--manager", manager, "apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
        sandbox.signal(pid, "KILL");
        holder.wait();
    }
}

/// A root that one of the managers of rpm packages drives.
#[derive(Clone, Copy)]
enum Driven {
    Dnf,
    Dnf5,
    Zypper,
    ZypperNew,
}

const ALL: [Driven; 4] = [Driven::Dnf, Driven::Dnf5, Driven::Zypper, Driven::ZypperNew];

impl Driven {
    #[track_caller]
    fn root(self, installed: &[Rpm], published: &[Rpm]) -> (Root, RpmRepo) {
        let installed = [&[shell()], installed].concat();
        let root = match self {
            Driven::Dnf => Root::new(&installed),
            Driven::Dnf5 => crate::dnf5::root(&installed),
            // Of this machine, also where newer managers are tried.
            Driven::Zypper => zypper::Zypper::over(Sandbox::prepared(""), &installed).root,
            Driven::ZypperNew => zypper::Zypper::over(Sandbox::newer(), &installed).root,
        };
        let repo = RpmRepo::new(published);
        root.add_repo("test", &repo);
        if root.manager == "zypper" {
            root.sandbox.sh("cp /etc/yum.repos.d/test.repo /etc/zypp/repos.d/");
        }
        (root, repo)
    }

    /// What somebody runs by hand to upgrade everything.
    fn by_hand(self) -> &'static str {
        match self {
            Driven::Dnf => "dnf -y upgrade",
            Driven::Dnf5 => "dnf5 -y upgrade",
            Driven::Zypper | Driven::ZypperNew => "zypper -n update",
        }
    }
}

/// The packages but the shell, with their versions.
fn left(root: &Root) -> String {
    let text = root.sandbox.sh("rpm -qa --qf '%{NAME} %{VERSION}\\n' | grep -v ^tb-sh | sort");
    text.trim().replace('\n', ", ")
}

/// An update whose script takes a minute, unless /run/fast is there.
fn slow() -> Rpm {
    rpm("tb-slow", "2.0").post("touch /run/in-post; [ -e /run/fast ] || sleep 60")
}

/// Kills a command, with all that it has started, when it comes to that script.
#[track_caller]
fn cut_off(root: &Root, running: Running<'_>) {
    root.sandbox.wait_for_file("/run/in-post");
    root.sandbox.kill_everything();
    running.wait();
    root.sandbox.write("/run/fast", "");
}

#[test]
fn versions_that_somebody_put_side_by_side_are_left_alone() {
    for driven in ALL {
        let both = [rpm("tb-both", "1.0"), rpm("tb-both", "2.0"), rpm("tb-a", "1.0")];
        let (root, _repo) = driven.root(&both, &[rpm("tb-both", "2.0"), rpm("tb-a", "2.0")]);
        let there = |a: &str| assert_eq!(left(&root), format!("tb-a {a}, tb-both 1.0, tb-both 2.0"));
        root.patch(&["apply", "--dry-run"]).exits(0).says("/repaired", false);
        root.patch(&["apply", "--download-only"]).exits(0).says("/repaired", false).changed(&[]);
        root.patch(&["apply", "--exclude", "tb-a"]).exits(0).says("/repaired", false).changed(&[]);
        root.patch(&["apply", "--security"]).says("/repaired", false).changed(&[]);
        there("1.0");
        let applied = root.patch(&["apply"]);
        applied.applied(&["tb-a 1.0-1 2.0-1"]).says("/repaired", false);
        let told: Vec<_> = applied.stderr.lines().filter(|line| line.contains("tb-both")).collect();
        assert!(told.len() == 1 && told[0].contains("1.0-1 beside 2.0-1"), "{applied}");
        there("2.0");
        root.patch(&["apply"]).applied(&[]).says("/repaired", false);
        there("2.0");
    }
}

#[test]
fn a_version_that_comes_in_the_second_of_the_newer_one_is_left_alone() {
    for driven in [Driven::Zypper, Driven::ZypperNew] {
        let (root, _repo) = driven.root(&[rpm("tb-two", "1.0")], &[rpm("tb-two", "2.0")]);
        // In a log of zypper, and in rpm's database, times are seconds.
        root.sandbox.sh("mkdir /srv/old");
        root.sandbox.write_mode("/srv/old/tb-two.rpm", rpm("tb-two", "1.0").bytes().as_slice(), 0o644);
        let same_second = format!(
            "{} >/dev/null; at=$(rpm -q --qf '%{{INSTALLTIME}}' tb-two)
             SOURCE_DATE_EPOCH=$at rpm -i --oldpackage /srv/old/tb-two.rpm
             rpm -q --qf '%{{INSTALLTIME}}\\n' tb-two | sort -u | wc -l",
            driven.by_hand()
        );
        assert_eq!(root.sandbox.sh(&same_second), "1\n");
        root.patch(&["apply"]).exits(0).changed(&[]).says("/repaired", false);
        assert_eq!(left(&root), "tb-two 1.0, tb-two 2.0");
    }
}

/// A repair comes before the refresh, and reads the index of what was never read.
fn no_repair_waits_for_what_trickles(driven: Driven) {
    let (root, _repo) = driven.root(&[rpm("tb-slow", "1.0")], &[slow()]);
    cut_off(&root, root.start(&["apply"]));
    let trickles = RpmRepo::new(&[]);
    trickles.server.fault("/repodata", Fault::Trickle(5));
    root.add_repo("trickles", &trickles);
    // By itself dnf asks it for minutes, and dnf 5 for a quarter of an hour.
    let running = root.start(&["apply"]);
    let is_repaired = |_| {
        std::thread::sleep(Duration::from_secs(1));
        left(&root) == "tb-slow 2.0"
    };
    assert!((0..80).any(is_repaired), "{}", left(&root));
    trickles.server.heal();
    running.report().exits(0).says("/repaired", true);
}

#[test]
fn no_repair_waits_for_a_repository_that_trickles_with_dnf() {
    no_repair_waits_for_what_trickles(Driven::Dnf);
}

#[test]
fn no_repair_waits_for_a_repository_that_trickles_with_dnf5() {
    no_repair_waits_for_what_trickles(Driven::Dnf5);
}

/// The repair would take the other half along.
#[test]
fn an_excluded_package_that_needs_what_is_repaired_stays() {
    for driven in [Driven::Dnf, Driven::Dnf5] {
        let dev = |version: &str| rpm("tb-dev", version).tag(&format!("Requires: tb-slow = {version}"));
        let (root, _repo) = driven.root(&[rpm("tb-slow", "1.0"), dev("1.0")], &[slow(), dev("2.0")]);
        cut_off(&root, root.start(&["apply"]));
        let applied = root.patch(&["apply", "--exclude", "tb-dev"]);
        assert!(left(&root).starts_with("tb-dev 1.0, "), "{applied}");
        root.sandbox.patch(&["status"]).says("/apply_interrupted", true);
        root.patch(&["apply"]).repaired();
        assert_eq!(left(&root), "tb-dev 2.0, tb-slow 2.0");
    }
}

/// The index of before still names it, and what is excluded has nothing to do with it.
#[test]
fn of_what_no_repository_has_any_more_only_the_older_version_is_removed() {
    for driven in [Driven::Dnf, Driven::Dnf5] {
        let old = ["tb-other", "tb-slow"].map(|name| rpm(name, "1.0"));
        let (root, repo) = driven.root(&old, &[slow()]);
        cut_off(&root, root.start(&["apply"]));
        root.sandbox.sh("find /var/cache/dnf /var/cache/libdnf5 -name '*.rpm' -delete 2>/dev/null || :");
        repo.publish(&[rpm("tb-other", "2.0")]);
        root.patch(&["apply", "--exclude", "tb-other"]).repaired();
        assert_eq!(left(&root), "tb-other 1.0, tb-slow 2.0");
    }
}

/// dnf 5 does nothing at all if an option names a repository that it does not know. Then only the older version would be
/// removed, and what the newer one runs at its install would never have run to its end.
#[test]
fn a_repository_that_is_gone_since_keeps_no_repair_from_installing_again() {
    for driven in [Driven::Dnf, Driven::Dnf5] {
        let slow =
            rpm("tb-slow", "2.0").post("touch /run/in-post; [ -e /run/fast ] || sleep 60; touch /srv/ran");
        let (root, _repo) = driven.root(&[rpm("tb-slow", "1.0")], &[slow]);
        root.add_repo("gone", &RpmRepo::new(&[]));
        cut_off(&root, root.start(&["apply"]));
        root.sandbox.sh("rm /etc/yum.repos.d/gone.repo");
        let repaired = root.patch(&["apply"]);
        repaired.repaired();
        assert_eq!(left(&root), "tb-slow 2.0");
        assert!(root.sandbox.exists("/srv/ran"), "the script did not run: {repaired}");
    }
}

/// It is made at any time. A reboot is not.
#[test]
fn a_late_run_that_repairs_something_asks_for_no_reboot() {
    let (root, _repo) = Driven::Zypper.root(&[rpm("tb-slow", "1.0")], &[slow()]);
    cut_off(&root, root.start(&["apply"]));
    root.sandbox.write_script("/usr/local/sbin/shutdown", "touch /run/asked");
    let past = root.sandbox.sh("date -d '1 hour ago' +%H:%M");
    let late = root.patch(&["apply", "--not-after", past.trim(), "--reboot=always"]);
    late.repaired().says("/reboot_scheduled", false);
    assert!(!root.sandbox.exists("/run/asked"), "{late}");
}

/// Only that one is of the other architecture.
#[test]
fn what_is_left_of_another_architecture_is_removed() {
    for driven in ALL {
        let (root, _repo) = driven.root(&[rpm("tb-slow", "1.0")], &[slow().of("x86_64")]);
        cut_off(&root, root.start(&["apply"]));
        assert_eq!(left(&root), "tb-slow 1.0, tb-slow 2.0");
        root.patch(&["apply"]).repaired();
        assert_eq!(left(&root), "tb-slow 2.0");
    }
}

/// Only removing the older version would also make the database whole. But the script would never run to its end.
#[test]
fn a_repair_whose_download_fails_leaves_all_as_it_is() {
    for driven in [Driven::Dnf, Driven::Dnf5] {
        let (root, repo) = driven.root(&[rpm("tb-slow", "1.0")], &[slow()]);
        cut_off(&root, root.start(&["apply"]));
        let before = left(&root);
        root.sandbox.sh("find /var/cache/dnf /var/cache/libdnf5 -name '*.rpm' -delete 2>/dev/null || :");
        repo.server.fault(".rpm", Fault::Status(503));
        let applied = root.patch(&["apply"]);
        applied.exits(2).says("/repaired", false).changed(&[]);
        assert_eq!(left(&root), before, "{applied}");
        root.sandbox.patch(&["status"]).says("/apply_interrupted", true);
        repo.server.heal();
        root.patch(&["apply"]).repaired();
        assert_eq!(left(&root), "tb-slow 2.0");
    }
}

#[test]
fn what_a_run_of_ours_left_is_repaired_and_what_somebody_wanted_is_not() {
    for driven in ALL {
        let old = [rpm("tb-both", "1.0"), rpm("tb-both", "2.0"), rpm("tb-ex", "1.0"), rpm("tb-slow", "1.0")];
        // Needed by the one with the script, so that it comes first.
        let slow = slow().tag("Requires(post): tb-ex >= 2.0");
        let (root, _repo) = driven.root(&old, &[slow, rpm("tb-ex", "2.0")]);
        cut_off(&root, root.start(&["apply"]));
        let one_by_one = matches!(driven, Driven::Zypper);
        let before = left(&root);
        assert!(before.contains("tb-slow 1.0, tb-slow 2.0"), "{before}");
        root.sandbox.patch(&["status"]).says("/apply_interrupted", true);
        for option in ["--dry-run", "--download-only"] {
            root.patch(&["apply", option]).says("/repaired", false);
            assert_eq!(left(&root), before, "{option}");
        }
        root.sandbox.patch(&["status"]).says("/apply_interrupted", true);
        // A run that ends before it has repaired anything keeps the record.
        let mut command = root.sandbox.patch_command(&["--manager", root.manager, "apply"]);
        root.sandbox.write_script("/usr/local/bin/rpm", "exit 1");
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        root.sandbox.start(command).report().exits(2);
        root.sandbox.sh("rm /usr/local/bin/rpm");
        root.sandbox.patch(&["status"]).says("/apply_interrupted", true);
        // What somebody does between the two is not left over from that run.
        root.install(&[rpm("tb-late", "1.0"), rpm("tb-late", "2.0")]);
        if one_by_one {
            root.patch(&["apply"]).repaired().changed(&["tb-slow 1.0-1 -"]);
        } else {
            let kept = root.patch(&["apply", "--exclude", "tb-ex"]);
            kept.says("/repaired", true).changed(&["tb-slow 1.0-1 -"]);
            assert!(left(&root).contains("tb-ex 1.0, tb-ex 2.0, tb-late"), "{kept}");
            root.sandbox.patch(&["status"]).says("/apply_interrupted", true);
            root.patch(&["apply"]).repaired().changed(&["tb-ex 1.0-1 -"]);
        }
        root.sandbox.patch(&["status"]).says("/apply_interrupted", false);
        let expected = "tb-both 1.0, tb-both 2.0, tb-ex 2.0, tb-late 1.0, tb-late 2.0, tb-slow 2.0";
        assert_eq!(left(&root), expected);
        root.patch(&["apply"]).applied(&[]).says("/repaired", false);
        assert_eq!(left(&root), expected);
    }
}

#[test]
fn what_the_managers_own_run_left_is_known_by_its_history() {
    // An old zypper that is killed leaves no trace of what it was doing.
    for driven in [Driven::Dnf, Driven::Dnf5, Driven::ZypperNew] {
        let old = [rpm("tb-both", "1.0"), rpm("tb-both", "2.0"), rpm("tb-slow", "1.0")];
        let (root, _repo) =
            (0..10).find_map(|_| cut_off_by_hand(driven, &old, &[slow()])).expect("no history tells of it");
        assert_eq!(left(&root), "tb-both 1.0, tb-both 2.0, tb-slow 1.0, tb-slow 2.0");
        root.patch(&["apply", "--exclude", "tb-slow"]).says("/repaired", false);
        assert_eq!(left(&root), "tb-both 1.0, tb-both 2.0, tb-slow 1.0, tb-slow 2.0");
        root.patch(&["apply"]).repaired().changed(&["tb-slow 1.0-1 -"]);
        assert_eq!(left(&root), "tb-both 1.0, tb-both 2.0, tb-slow 2.0");
        root.patch(&["apply"]).applied(&[]).says("/repaired", false);
    }
}

/// A run that somebody began by hand and that was killed. zypper records what it installed while its script runs, or
/// only after that: if it is killed before, there is no evidence.
fn cut_off_by_hand(driven: Driven, old: &[Rpm], published: &[Rpm]) -> Option<(Root, RpmRepo)> {
    let (root, repo) = driven.root(old, published);
    let mut command = root.sandbox.command("sh");
    command.args(["-c", driven.by_hand()]);
    cut_off(&root, root.sandbox.start(command));
    let history = || root.sandbox.read("/var/log/zypp/history").unwrap_or_default();
    let is_told = !matches!(driven, Driven::ZypperNew) || history().contains("|install|tb-slow|");
    is_told.then_some((root, repo))
}

#[test]
fn an_old_version_that_stays_is_told_until_it_has_gone() {
    for driven in ALL {
        let old = [rpm("tb-a", "1.0").tag("%preun\n[ -e /run/goes ]"), rpm("tb-b", "1.0")];
        let (root, _repo) = driven.root(&old, &[rpm("tb-a", "2.0"), rpm("tb-b", "2.0")]);
        let first = root.patch(&["apply"]);
        assert!(left(&root).starts_with("tb-a 1.0, tb-a 2.0, tb-b "), "{first}");
        // An old zypper stops at the first that fails.
        let (came, rest) = (&["tb-a 1.0-1 2.0-1", "tb-b 1.0-1 2.0-1"], &[][..]);
        let (then, later) =
            if matches!(driven, Driven::Zypper) { came.split_at(1) } else { (&came[..], rest) };
        first.exits(2).says("/error/class", "script").changed(then);
        first.mentions("/error/message", "`rpm -e --nodeps --noscripts tb-a-1.0-1.noarch`");
        root.sandbox.patch(&["status"]).says("/apply_interrupted", true);
        let second = root.patch(&["apply"]);
        second.exits(2).says("/error/class", "script").says("/repaired", false).changed(later);
        second.mentions("/error/message", "`rpm -e --nodeps --noscripts tb-a-1.0-1.noarch`");
        root.sandbox.write("/run/goes", "");
        note_questions(&root);
        root.patch(&["apply"]).repaired().changed(&["tb-a 1.0-1 -"]);
        assert_eq!(left(&root), "tb-a 2.0, tb-b 2.0");
        let asked = root.sandbox.read("/run/asked").unwrap_or_default();
        let times = if root.manager == "zypper" { 0 } else { 1 };
        assert_eq!(asked.lines().count(), times, "{asked}");
        root.patch(&["apply"]).applied(&[]).says("/repaired", false);
    }
}

/// Writes down each time that a manager is asked for the list of its runs.
fn note_questions(root: &Root) {
    for name in ["dnf", "dnf5"] {
        let body = format!(
            "case \" $* \" in *' history list '*|*' history info last-20..last '*) echo \"$*\" >>/run/asked ;; esac; exec /usr/bin/{name} \"$@\""
        );
        root.sandbox.write_script(&format!("/usr/local/bin/{name}"), &body);
    }
}

/// A package that a run which was cut off had replaced by another.
#[test]
fn an_obsoleted_package_that_was_left_beside_its_obsoleter_goes() {
    for driven in ALL {
        let new = slow().tag("Obsoletes: tb-obs < 2");
        let (root, _repo) = driven.root(&[rpm("tb-obs", "1.0"), rpm("tb-kept", "1.0")], &[new]);
        cut_off(&root, root.start(&["apply"]));
        assert_eq!(left(&root), "tb-kept 1.0, tb-obs 1.0, tb-slow 2.0");
        // An excluded package stays, and the run stays on record.
        root.patch(&["apply", "--exclude", "tb-obs"]).says("/repaired", false).changed(&[]);
        root.sandbox.patch(&["status"]).says("/apply_interrupted", true);
        let applied = root.patch(&["apply"]);
        applied.repaired().changed(&["tb-obs 1.0-1 -"]).remembers("/apply/in_progress", None::<bool>);
        assert_eq!(left(&root), "tb-kept 1.0, tb-slow 2.0", "{applied}");
        root.patch(&["apply"]).applied(&[]).says("/repaired", false);
    }
}

/// dnf installs the obsoleter once more where an older version of it is left too.
#[test]
fn an_excluded_package_stays_though_an_older_version_of_its_obsoleter_is_left_too() {
    for driven in ALL {
        let new = slow().tag("Obsoletes: tb-obs < 2");
        let (root, _repo) = driven.root(&[rpm("tb-obs", "1.0"), rpm("tb-slow", "1.0")], &[new]);
        cut_off(&root, root.start(&["apply"]));
        assert_eq!(left(&root), "tb-obs 1.0, tb-slow 1.0, tb-slow 2.0");
        let kept = root.patch(&["apply", "--exclude", "tb-obs"]);
        assert!(left(&root).starts_with("tb-obs 1.0, "), "{kept}");
        root.sandbox.patch(&["status"]).says("/apply_interrupted", true);
        root.patch(&["apply"]).exits(0).repaired().remembers("/apply/in_progress", None::<bool>);
        assert_eq!(left(&root), "tb-slow 2.0");
    }
}

/// As packages that get another architecture with their new name. If the old one is there for two, dnf replaces none.
#[cfg(target_arch = "x86_64")]
#[test]
fn an_obsoleted_package_of_another_architecture_goes_too() {
    for driven in ALL {
        for (old, new) in [("noarch", "x86_64"), ("x86_64", "noarch")] {
            let obsoleter = slow().tag("Obsoletes: tb-obs < 2").of(new);
            let (root, _repo) = driven.root(&[rpm("tb-obs", "1.0").of(old)], &[obsoleter]);
            cut_off(&root, root.start(&["apply"]));
            assert_eq!(left(&root), "tb-obs 1.0, tb-slow 2.0");
            let applied = root.patch(&["apply"]);
            applied.repaired().changed(&["tb-obs 1.0-1 -"]).remembers("/apply/in_progress", None::<bool>);
            assert_eq!(left(&root), "tb-slow 2.0", "{old} {new}: {applied}");
            root.patch(&["apply"]).applied(&[]).says("/repaired", false);
        }
    }
}

#[test]
fn an_obsoleted_package_that_a_run_by_hand_left_beside_its_obsoleter_goes() {
    for driven in [Driven::Dnf, Driven::Dnf5, Driven::ZypperNew] {
        let new = slow().tag("Obsoletes: tb-obs < 2");
        let old = [rpm("tb-obs", "1.0"), rpm("tb-slow", "1.0"), rpm("tb-own", "1.0")];
        let left_by = |_| cut_off_by_hand(driven, &old, std::slice::from_ref(&new));
        let (root, _repo) = (0..10).find_map(left_by).expect("no history tells of it");
        assert_eq!(left(&root), "tb-obs 1.0, tb-own 1.0, tb-slow 1.0, tb-slow 2.0");
        let applied = root.patch(&["apply"]);
        applied.repaired().changed(&["tb-obs 1.0-1 -", "tb-slow 1.0-1 -"]);
        assert_eq!(left(&root), "tb-own 1.0, tb-slow 2.0", "{applied}");
        root.patch(&["apply"]).applied(&[]).says("/repaired", false);
    }
}

#[test]
fn an_obsoleted_package_that_somebody_put_beside_its_obsoleter_stays() {
    for driven in ALL {
        let new = rpm("tb-new", "1.0").tag("Obsoletes: tb-obs < 2, tb-gone");
        let (root, _repo) = driven.root(&[rpm("tb-obs", "1.0")], &[]);
        root.sandbox.write("/srv/new.rpm", new.bytes().as_slice());
        root.sandbox.sh("rpm -i --nodeps /srv/new.rpm 2>&1");
        for _ in 0..2 {
            root.patch(&["apply"]).says("/repaired", false).changed(&[]);
            assert_eq!(left(&root), "tb-new 1.0, tb-obs 1.0");
        }
    }
}

#[test]
fn what_the_manager_keeps_in_several_versions_is_no_rest_of_a_run_that_was_cut_off() {
    for driven in ALL {
        let keep = |version: &str| {
            rpm("tb-keep", version).tag("Provides: installonlypkg(kernel), multiversion(kernel)")
        };
        let old = [keep("1.0"), rpm("tb-conf", "1.0"), rpm("tb-slow", "1.0")];
        let slow = slow().tag("Requires(post): tb-keep >= 2.0, tb-conf >= 2.0");
        let (root, _repo) = driven.root(&old, &[slow, keep("2.0"), rpm("tb-conf", "2.0")]);
        root.sandbox.sh("mkdir -p /etc/dnf /etc/zypp; printf '[main]\\ninstallonlypkgs=kernel, installonlypkg(kernel)\\n  tb-conf\\n' >/etc/dnf/dnf.conf; \
             printf '[main]\\nmultiversion = provides:multiversion(kernel), tb-conf\\n' >/etc/zypp/zypp.conf");
        cut_off(&root, root.start(&["apply"]));
        let before = left(&root);
        assert!(
            before.starts_with("tb-conf 1.0, tb-conf 2.0, tb-keep 1.0, tb-keep 2.0, tb-slow 1.0"),
            "{before}"
        );
        root.patch(&["apply"]).repaired().changed(&["tb-slow 1.0-1 -"]);
        assert_eq!(left(&root), "tb-conf 1.0, tb-conf 2.0, tb-keep 1.0, tb-keep 2.0, tb-slow 2.0");
        root.patch(&["apply"]).applied(&[]).says("/repaired", false);
    }
}

#[test]
fn a_repair_that_does_not_make_the_database_whole_is_none() {
    for driven in ALL {
        let (root, _repo) = driven.root(&[rpm("tb-slow", "1.0")], &[slow()]);
        cut_off(&root, root.start(&["apply"]));
        // Every command says that all went well, but the package stays.
        root.sandbox
            .write_script("/usr/local/bin/rpm", "case $1 in -e) exit 0;; esac; exec /usr/bin/rpm \"$@\"");
        for name in ["dnf", "dnf5"] {
            let body = format!("case \"$*\" in *reinstall*) exit 0;; esac; exec /usr/bin/{name} \"$@\"");
            root.sandbox.write_script(&format!("/usr/local/bin/{name}"), &body);
        }
        let applied = root.patch(&["apply"]);
        applied.exits(2).says("/repaired", false).mentions("/error/message", "tb-slow");
        root.sandbox.patch(&["status"]).says("/apply_interrupted", true);
        root.sandbox
            .sh("rm /usr/local/bin/*dnf* /usr/local/bin/rpm; rm -rf /etc/yum.repos.d/* /etc/zypp/repos.d/*");
        // If no repository has the newer version any more, the older one is still removed.
        let again = root.patch(&["apply"]);
        again
            .says("/repaired", true)
            .changed(&["tb-slow 1.0-1 -"])
            .remembers("/apply/in_progress", None::<bool>);
        assert_eq!(left(&root), "tb-slow 2.0");
    }
}

/// dpkg goes on alone until it wants to print something, and nobody reads it.
#[test]
fn an_installer_that_outlives_its_manager_is_waited_for_and_what_it_left_stays_on_record() {
    for script in ["preinst", "postinst"] {
        let old = ["tb-a", "tb-b", "tb-slow"].map(|name| deb(name, "1.0"));
        let wait = "[ -e /run/fast ] || { touch /run/in-script; until [ -e /run/go ]; do sleep 0.1; done; }";
        let slow = deb("tb-a", "2.0").script(script, wait);
        let (sandbox, _repo) = bench::one(&old, &[slow, deb("tb-b", "2.0"), deb("tb-slow", "2.0")]);
        let running = sandbox.start(sandbox.patch_command(&["apply"]));
        sandbox.wait_for_file("/run/in-script");
        sandbox.sh("kill -KILL $(pgrep -x apt-get)");
        running.wait_to_hear("dpkg");
        sandbox.write("/run/go", "");
        let killed = running.report();
        killed.exits(2).says("/error/class", "interrupted").says("/repaired", false);
        sandbox.runs_nothing();
        killed.remembers("/apply/in_progress/phase", "install");
        let status = sandbox.run(&["linux-patch", "status"]).stdout;
        assert!(status.contains("interrupted in phase install"), "{status}");
        sandbox.write("/run/fast", "");
        let installed = sandbox.installed();
        assert!(installed.values().any(|version| version.contains(' ')), "{script}: {installed:?}");
        sandbox.patch(&["apply", "--download-only"]).says("/repaired", false);
        sandbox.patch(&["status"]).says("/apply_interrupted", true);
        sandbox.patch(&["apply"]).repaired().remembers("/apply/in_progress", None::<bool>);
        sandbox.has_exactly(&["tb-a 2.0", "tb-b 2.0", "tb-slow 2.0"]);
        sandbox.patch(&["status"]).says("/apply_interrupted", false);
    }
}

#[test]
fn a_dpkg_that_is_killed_alone_was_cut_off_until_the_database_is_whole() {
    for signal in ["KILL", "SEGV", "TERM"] {
        let (sandbox, _repo) = bench::one(&[deb("tb-slow", "1.0")], &[bench::slow("2.0", 60)]);
        let running = sandbox.start(sandbox.patch_command(&["apply"]));
        sandbox.wait_for_file(bench::IN_POSTINST);
        sandbox.sh(&format!("kill -{signal} $(pgrep -x dpkg)"));
        let killed = running.report();
        killed.exits(2).says("/error/class", "interrupted").says("/repaired", false);
        killed.mentions("/error/message", "dpkg").remembers("/apply/in_progress/phase", "install");
        sandbox.patch(&["status"]).says("/apply_interrupted", true);
        sandbox.kill_everything();
        sandbox.write("/run/fast", "");
        sandbox.patch(&["apply"]).repaired().remembers("/apply/in_progress", None::<bool>);
        sandbox.has_exactly(&["tb-slow 2.0"]);
    }
}

#[test]
fn a_package_that_fails_before_it_is_unpacked_leaves_the_others_installed_whole() {
    let old = ["tb-a", "tb-bad", "tb-z"].map(|name| deb(name, "1.0"));
    let bad = deb("tb-bad", "2.0").script("preinst", "echo no room for me; exit 1");
    let (sandbox, _repo) = bench::one(&old, &[deb("tb-a", "2.0"), bad, deb("tb-z", "2.0")]);
    let applied = sandbox.patch(&["apply"]);
    applied.exits(2).says("/error/class", "script").mentions("/error/message", "tb-bad");
    applied.remembers("/apply/in_progress", None::<bool>);
    let installed = sandbox.installed();
    assert!(installed.values().all(|version| !version.contains("unpacked")), "{installed:?}\n{applied}");
    assert_eq!((installed["tb-a"].as_str(), installed["tb-bad"].as_str()), ("2.0", "1.0"));
}

#[test]
fn what_has_to_be_configured_first_and_fails_keeps_back_nothing_but_what_needs_it() {
    for (field, value) in [("Essential", "yes"), ("Provides", "nothing-of-use")] {
        let first = |version: &str| deb("tb-first", version).field(field, value);
        let old = [deb("tb-a", "1.0"), first("1.0"), deb("tb-needs", "1.0")];
        let bad = first("2.0").script("postinst", "exit 1");
        let needs = deb("tb-needs", "2.0").field("Pre-Depends", "tb-first (>= 2.0)");
        let (sandbox, _repo) = bench::one(&old, &[deb("tb-a", "2.0"), bad, needs]);
        sandbox.patch(&["apply"]).apply_failed("script").mentions("/error/message", "tb-first");
        sandbox.has_exactly(&["tb-a 2.0", "tb-first 2.0 half-configured", "tb-needs 1.0"]);
    }
}

#[test]
fn a_script_that_fails_is_not_run_again_for_the_sake_of_the_others() {
    let old = ["tb-a", "tb-bad", "tb-z"].map(|name| deb(name, "1.0"));
    let bad = deb("tb-bad", "2.0").script("postinst", "echo >>/run/times; exit 1");
    let (sandbox, _repo) = bench::one(&old, &[deb("tb-a", "2.0"), bad, deb("tb-z", "2.0")]);
    sandbox.patch(&["apply"]).apply_failed("script").mentions("/error/message", "tb-bad");
    sandbox.has_exactly(&["tb-a 2.0", "tb-bad 2.0 half-configured", "tb-z 2.0"]);
    assert_eq!(sandbox.read("/run/times").as_deref(), Some("\n"));
}

/// A library and what needs it in exactly its version.
fn pair(version: &str) -> [Deb; 2] {
    [deb("tb-lib", version), deb("tb-dev", version).field("Depends", &format!("tb-lib (= {version})"))]
}

#[test]
fn a_run_cut_off_between_two_packages_that_need_each_other_is_mended() {
    for root in [Sandbox::new, Sandbox::newer] {
        for (unpacked, configured) in [("tb-lib", true), ("tb-lib", false), ("tb-dev", false)] {
            let old = [&pair("1.0")[..], &[deb("tb-x", "1.0")]].concat();
            let new = [&pair("2.0")[..], &[deb("tb-x", "2.0")]].concat();
            let (sandbox, _repo) = bench::one_in(root(), &old, &new);
            // What nothing needs has nothing to do with it, though apt.conf would have it removed.
            sandbox.install(&[deb("tb-alone", "1.0")]);
            sandbox.sh("apt-mark auto tb-alone");
            sandbox.write("/etc/apt/apt.conf.d/auto", "APT::Get::AutomaticRemove \"true\";\n");
            let path = sandbox.bring(new.iter().find(|deb| deb.name == unpacked).unwrap());
            sandbox.sh(&format!("dpkg --unpack {path}"));
            if configured {
                sandbox.sh(&format!("dpkg --configure {unpacked}"));
            }
            let before = sandbox.installed();
            let dry = sandbox.patch(&["apply", "--dry-run"]);
            dry.exits(2).says("/repaired", false).says("/error/class", "dependency");
            assert_eq!(sandbox.installed(), before);
            // The excluded package blocks every solution except its own removal.
            let other = if unpacked == "tb-lib" { "tb-dev" } else { "tb-lib" };
            let excluded = sandbox.patch(&["apply", "--exclude", other]);
            excluded.exits(2).says("/repaired", false).says("/error/class", "dependency");
            excluded.mentions("/error/message", "apt-get -f install");
            assert_eq!(sandbox.installed()[other], "1.0");
            let applied = sandbox.patch(&["apply"]);
            applied.exits(0).says("/repaired", true).says("/error", None::<bool>);
            applied.changed(&[&format!("{other} 1.0 2.0"), "tb-x 1.0 2.0"]);
            sandbox.has_exactly(&["tb-alone 1.0", "tb-dev 2.0", "tb-lib 2.0", "tb-x 2.0"]);
            sandbox.patch(&["apply"]).applied(&[]).says("/repaired", false);
        }
    }
}

/// apt-get may not be able to say, as where another program has locked the package database.
#[test]
fn dependencies_that_were_not_met_are_not_taken_for_met_where_apt_cannot_say() {
    let (sandbox, _repo) = bench::one(&pair("1.0"), &[deb("tb-lib", "2.0")]);
    sandbox.sh(&format!("dpkg --unpack {}", sandbox.bring(&deb("tb-lib", "2.0"))));
    let script = "case \" $* \" in *' check ') echo x >>/run/asked; [ $(wc -l </run/asked) -lt 3 ] || {\n\
                  echo 'E: Some other reason' >&2; exit 100; };; esac\nexec /usr/bin/apt-get \"$@\"";
    sandbox.write_script("/usr/local/bin/apt-get", script);
    let applied = sandbox.patch(&["apply"]);
    assert_eq!(sandbox.read("/run/asked").as_deref(), Some("x\nx\nx\n"), "{applied}");
    applied.exits(2).says("/error/class", "dependency").says("/repaired", false);
}

/// `apt-get -f install` would remove a package that others have installed since its list, with something unmet.
#[test]
fn a_mend_removes_nothing_that_came_after_its_list() {
    for root in [Sandbox::new, Sandbox::newer] {
        let [lib, dev] = pair("2.0");
        let (sandbox, _repo) = bench::one_in(root(), &pair("1.0"), &[lib.clone(), dev]);
        sandbox.sh(&format!("dpkg --unpack {}", sandbox.bring(&lib)));
        let path = sandbox.bring(&deb("tb-vendor", "1.0").field("Depends", "tb-nowhere"));
        let others = format!("dpkg --force-depends -i {path} >/dev/null 2>&1; echo >>/run/came");
        let script = format!("case \"$*\" in *' -d '*) {others};; esac\nexec /usr/bin/apt-get \"$@\"");
        sandbox.write_script("/usr/local/bin/apt-get", &script);
        let applied = sandbox.patch(&["apply"]);
        assert!(sandbox.exists("/run/came"), "{applied}");
        applied.exits(2).says("/error/class", "dependency");
        assert_eq!(sandbox.installed()["tb-vendor"], "1.0", "{applied}");
    }
}

/// The source that is down has newer versions of both, and the other one what is missing; what is gone from its mirror is
/// retried.
#[test]
fn a_repair_is_made_with_what_can_be_had_and_retried() {
    for root in [Sandbox::new, Sandbox::newer] {
        let [lib, dev] = pair("2.0");
        let (sandbox, repo) = bench::one_in(root(), &pair("1.0"), &[lib.clone(), dev]);
        let down = Repo::new(&pair("3.0"));
        sandbox.add_source("down", &down);
        sandbox.patch(&["refresh"]).exits(0);
        down.server.fault("/", Fault::Status(503));
        let path = sandbox.bring(&lib);
        sandbox.sh(&format!("dpkg --unpack {path}"));
        let newer = deb("tb-dev", "2.1").field("Depends", "tb-lib (= 2.0)");
        repo.publish_before("/tb-dev_2.0", 1, &[lib, newer]);
        // It is made at any time.
        let past = sandbox.sh("date -d '1 hour ago' +%H:%M");
        let applied = sandbox.patch(&["apply", "--not-after", past.trim()]);
        applied.exits(1).says("/repaired", true).says("/retried", true).changed(&["tb-dev 1.0 2.1"]);
        sandbox.has_exactly(&["tb-dev 2.1", "tb-lib 2.0"]);
    }
}

#[test]
fn a_run_of_ours_killed_between_two_packages_that_need_each_other_is_mended() {
    for root in [Sandbox::new, Sandbox::newer] {
        let [lib, dev] = pair("2.0");
        let wait = "[ -e /run/fast ] || { touch /run/in-script; sleep 60; }";
        for new in [[lib.clone().script("postinst", wait), dev.clone()], [lib, dev.script("preinst", wait)]] {
            let (sandbox, _repo) = bench::one_in(root(), &pair("1.0"), &new);
            let running = sandbox.start(sandbox.patch_command(&["apply"]));
            sandbox.wait_for_file("/run/in-script");
            sandbox.kill_everything();
            running.wait();
            sandbox.write("/run/fast", "");
            let applied = sandbox.patch(&["apply"]);
            applied.repaired().remembers("/apply/in_progress", None::<bool>);
            sandbox.has_exactly(&["tb-dev 2.0", "tb-lib 2.0"]);
        }
    }
}

#[test]
fn a_disk_that_was_full_at_the_second_package_is_mended_when_there_is_room() {
    for root in [Sandbox::new, Sandbox::newer] {
        let [lib, dev] = pair("2.0");
        let noise = crate::manager::noise(100_000);
        let (sandbox, _repo) =
            bench::one_in(root(), &pair("1.0"), &[lib, dev.file("/opt/full/file", &noise)]);
        sandbox.sh("mkdir -p /opt/full && mount -t tmpfs -o size=16k none /opt/full");
        let full = sandbox.patch(&["apply"]);
        full.exits(2).says("/error/class", "space");
        assert_eq!(sandbox.installed()["tb-dev"], "1.0", "{full}");
        sandbox.sh("mount -o remount,size=1m /opt/full");
        let applied = sandbox.patch(&["apply"]);
        applied.exits(0).says("/error", None::<bool>);
        sandbox.has_exactly(&["tb-dev 2.0", "tb-lib 2.0"]);
    }
}

#[test]
fn what_a_person_has_to_mend_is_said_and_stays_on_record() {
    let (sandbox, _repo) = bench::one(&pair("1.0"), &[deb("tb-lib", "2.0")]);
    // The other half is nowhere: mending would remove what is installed.
    let path = sandbox.bring(&deb("tb-lib", "2.0").script("postinst", "touch /run/in-script; sleep 60"));
    sandbox.sh(&format!("dpkg --unpack {path}"));
    let mut state = sandbox.state();
    state["version"] = 1.into();
    state["manager"] = "apt".into();
    state["apply"] = serde_json::json!({"in_progress": {"pid": 4194300, "boot_id": "another", "phase": "install",
        "started_at": "2026-01-01T00:00:00Z"}, "last": null});
    sandbox.write("/var/lib/linux-patch/state.json", state.to_string());
    sandbox.sh("rm -f /var/lib/dpkg/info/tb-lib.postinst");
    // With these settings apt-get finds nothing wrong.
    for settings in ["", "APT::Get::Fix-Broken \"true\";\nAPT::Get::Fix-Policy-Broken \"true\";\n"] {
        sandbox.write("/etc/apt/apt.conf.d/fix", settings);
        let applied = sandbox.patch(&["apply"]);
        applied.exits(2).says("/repaired", false).says("/error/class", "dependency").changed(&[]);
        applied.mentions("/error/message", "tb-dev").mentions("/error/message", "apt-get -f install");
        assert_eq!(sandbox.installed()["tb-dev"], "1.0");
        sandbox.patch(&["status"]).says("/apply_interrupted", true);
    }
}

#[test]
fn a_package_that_must_be_installed_once_more_is_told_with_the_command() {
    for root in [Sandbox::new, Sandbox::newer] {
        let (sandbox, repo) = bench::one_in(root(), &[deb("tb-x", "1.0")], &[deb("tb-x", "1.0")]);
        let damage = "sed -i '/^Package: tb-x$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/' \
                      /var/lib/dpkg/status";
        sandbox.sh(damage);
        let command = "apt-get install --reinstall tb-x";
        sandbox.patch(&["apply"]).exits(2).says("/repaired", false).mentions("/error/message", command);
        repo.publish(&[deb("tb-y", "1.0")]);
        sandbox.patch(&["apply"]).exits(2).says("/repaired", false).mentions("/error/message", command);
        repo.publish(&[deb("tb-x", "1.0")]);
        sandbox.sh(&format!("apt-get -q update; {command}"));
        sandbox.patch(&["apply"]).exits(0);
    }
}

#[test]
fn an_rpm_that_outlives_an_old_zypper_is_waited_for() {
    let slow =
        rpm("tb-slow", "2.0").post("touch /run/in-post; until [ -e /run/go ]; do /bin/sleep 0.1; done");
    let old = [rpm("tb-slow", "1.0"), rpm("tb-z", "1.0")];
    let (root, _repo) =
        Driven::Zypper.root(&old, &[slow, rpm("tb-z", "2.0").tag("Requires(post): tb-slow >= 2.0")]);
    let running = root.start(&["apply"]);
    root.sandbox.wait_for_file("/run/in-post");
    root.sandbox.sh("kill -KILL $(pgrep -x zypper)");
    root.sandbox
        .wait_until("zypper is gone", || root.sandbox.processes().iter().all(|(_, name)| name != "zypper"));
    root.sandbox.write("/run/go", "");
    let killed = running.report();
    killed.exits(2).says("/error/class", "interrupted").changed(&["tb-slow 1.0-1 2.0-1"]);
    assert_eq!(left(&root), "tb-slow 2.0, tb-z 1.0", "{killed}");
    root.sandbox.runs_nothing();
    root.patch(&["apply"]).exits(0).changed(&["tb-z 1.0-1 2.0-1"]);
}

/// `apk fix` would remove the package.
fn a_repair_removes_nothing<M: Manager<Repo = ApkRepo>>() {
    let apk = M::new();
    let fails = |name| package(name, "2.0").script("[ -e /run/fixed ]");
    let repo = ApkRepo::with(&[fails("tb-a"), fails("tb-b")]);
    apk.add_source("test", &repo);
    Manager::install(&apk, &["tb-a", "tb-b"].map(|name| package(name, "1.0")));
    let patch = || apk.sandbox().patch(&["--manager", "apk", "apply"]);
    patch().apply_failed("script");
    apk.sandbox().write("/run/fixed", "");
    for fault in [Fault::Status(404), Fault::Cut, Fault::Close] {
        repo.server.fault("/tb-a", fault);
        let applied = patch();
        assert_eq!(apk.installed().len(), 2, "{fault:?}: {applied}");
        assert_eq!(applied.json["packages"], serde_json::json!([]), "{fault:?}: {applied}");
        repo.server.heal();
    }
    assert_eq!(apk.installed(), ["tb-a 2.0 broken", "tb-b 2.0"]);
    // Variables of whoever runs it mean nothing to its shell.
    let mut command = apk.sandbox().patch_command(&["--manager", "apk", "apply"]);
    command.env("names", "tb-none").env("failed", "1");
    apk.sandbox().start(command).report().exits(0).says("/repaired", true);
    assert_eq!(apk.installed(), ["tb-a 2.0", "tb-b 2.0"]);
}

#[test]
fn a_repair_whose_file_cannot_be_had_removes_nothing() {
    a_repair_removes_nothing::<Apk>();
}

#[test]
fn a_repair_whose_file_cannot_be_had_removes_nothing_whatever_the_settings_say() {
    a_repair_removes_nothing::<Misconfigured>();
}

/// Of a name apk fetches the newest version, whatever a tag or a pin says.
#[test]
fn a_repair_takes_the_installed_version_where_a_newer_one_never_comes() {
    for is_tagged in [true, false] {
        let apk = Apk::new();
        let (failing, newer) = (package("tb-a", "2.0").script("[ -e /run/fixed ]"), package("tb-a", "3.0"));
        let repo = ApkRepo::with(std::slice::from_ref(&failing));
        let edge = ApkRepo::with(std::slice::from_ref(&newer));
        apk.add_source("test", &repo);
        Manager::install(&apk, &[package("tb-a", "1.0")]);
        let patch = || apk.sandbox().patch(&["--manager", "apk", "apply"]);
        patch().apply_failed("script");
        if is_tagged {
            apk.add_source("edge", &edge);
            apk.sandbox().sh("sed -i 's/^/@edge /' /etc/apk/repositories.d/edge.list");
        } else {
            repo.publish(&[failing, newer]);
            apk.sandbox().sh("sed -i 's/^tb-a$/tb-a=2.0-r0/' /etc/apk/world");
        }
        apk.sandbox().write("/run/fixed", "");
        patch().exits(0).says("/repaired", true);
        assert_eq!(apk.installed(), ["tb-a 2.0"]);
    }
}

#[test]
fn a_package_whose_script_failed_is_mended_by_its_update_where_there_is_one() {
    let apk = Apk::new();
    let repo = ApkRepo::with(&[package("tb-a", "2.0").script("exit 1")]);
    apk.add_source("test", &repo);
    Manager::install(&apk, &[package("tb-a", "1.0")]);
    let patch = || apk.sandbox().patch(&["--manager", "apk", "apply"]);
    patch().apply_failed("script");
    repo.publish(&[package("tb-a", "3.0")]);
    let excluded = apk.sandbox().patch(&["--manager", "apk", "apply", "--exclude", "tb-a"]);
    excluded.apply_failed("script");
    let why = "tb-a-2.0-r0: apk fetches only tb-a-3.0-r0";
    assert!(excluded.json["reason"].as_str().unwrap().contains(why), "{excluded}");
    patch().exits(0).changed(&["tb-a 2.0-r0 3.0-r0"]);
    assert_eq!(apk.installed(), ["tb-a 3.0"]);
}
