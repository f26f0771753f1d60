//! apply with the real dnf 4.

use crate::dnf::shell;
use crate::report::Report;
use crate::rpm::{Root, Rpm, RpmRepo, one, pending_update, rpm};
use crate::sandbox::is_newer;
use crate::vault::Signer;
use serde_json::json;

const HELLO: &str = "/tb-hello-";

#[test]
fn the_install_fetches_nothing() {
    let (root, repo) = pending_update();
    root.patch(&["apply", "--download-only"]).exits(0).changed(&[]);
    let requests = repo.server.requests("");
    root.sandbox.sh("rm -rf /run/x");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    assert_eq!(repo.server.requests(HELLO), 1, "downloaded once");
    assert_eq!(repo.server.requests(""), requests + 1, "the refresh asks for the index");
}

#[test]
fn a_failing_scriptlet_is_reported_although_dnf_exits_0() {
    let broken = rpm("tb-brk", "2.0").post("echo 'Error: Failed to download metadata 404'; exit 1");
    let (root, repo) = one(&[shell(), rpm("tb-brk", "1.0")], &[broken]);
    root.patch(&["apply"])
        .apply_failed("script")
        .mentions("/error/message", "tb-brk")
        .says("/retried", false)
        .changed(&["tb-brk 1.0-1 2.0-1"]);
    assert_eq!(repo.refreshes(), 1);
    // It is installed, and there is nothing to do again.
    root.patch(&["apply"]).applied(&[]);
}

#[test]
fn an_update_that_cannot_be_resolved_stays_and_the_others_come() {
    let old = [rpm("tb-dep", "1.0"), rpm("tb-hello", "1.0")];
    let (root, repo) = one(&old, &[rpm("tb-dep", "2.0").tag("Requires: tb-none"), rpm("tb-hello", "2.0")]);
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-hello 1.0-1 2.0-1"]);
    assert!(applied.stderr.contains("tb-dep stays as it is"), "{applied}");
    root.patch(&["apply", "tb-dep"]).apply_failed("dependency").changed(&[]);
    repo.publish(&[rpm("tb-dep", "2.0").tag("Requires: tb-none"), rpm("tb-hello", "3.0")]);
    root.patch(&["apply", "--full"]).applied(&["tb-hello 2.0-1 3.0-1"]);
}

#[test]
fn sigterm_at_dnf_during_the_install_is_no_failure_when_all_is_applied() {
    let slow = rpm("tb-slow", "2.0")
        .post("trap '' TERM; touch /run/in-post; until [ -e /run/go ]; do sleep 0.1; done");
    let (root, _repo) = one(&[shell(), rpm("tb-slow", "1.0")], &[slow]);
    let running = root.start(&["apply"]);
    root.sandbox.wait_for_file("/run/in-post");
    root.sandbox.sh("kill -TERM $(pgrep -x dnf); touch /run/go");
    running.report().applied(&["tb-slow 1.0-1 2.0-1"]);
    root.sandbox.runs_nothing();
}

/// The line of a repository that names its key, given the address of the repository.
type Key = fn(&str) -> String;

/// A repository whose packages must be signed, with these words of its key.
fn checked(root: &Root, id: &str, rpms: &[Rpm], key: Key) -> RpmRepo {
    let repo = RpmRepo::new(rpms);
    repo.offer_key(Signer::Known);
    let url = repo.server.url();
    let text = format!("[{id}]\nname={id}\nbaseurl={url}\ngpgcheck=1\npassword=secret\n{}", key(&url));
    root.sandbox.write(&format!("/etc/yum.repos.d/{id}.repo"), text);
    repo
}

#[test]
fn one_package_that_is_not_signed_as_asked_for_holds_back_no_other() {
    let names = ["tb-a", "tb-b", "tb-c", "tb-d", "tb-hello"];
    let root = Root::new(&names.map(|name| rpm(name, "1.0")));
    let new = names.map(|name| match name {
        "tb-b" => rpm(name, "2.0"),
        "tb-c" => rpm(name, "2.0").signed(Signer::Stranger),
        _ => rpm(name, "2.0").signed(Signer::Known),
    });
    let _repo = checked(&root, "test", &new, |url| format!("gpgkey={url}/KEY\n"));
    let applied = root.patch(&["apply"]);
    applied.exits(1).changed(&["tb-a 1.0-1 2.0-1", "tb-d 1.0-1 2.0-1", "tb-hello 1.0-1 2.0-1"]);
    for (nth, name) in [(0, "tb-b"), (1, "tb-c")] {
        applied
            .says(&format!("/held_back/{nth}/name"), name)
            .says(&format!("/held_back/{nth}/class"), "auth");
        applied.mentions(&format!("/held_back/{nth}/reason"), &format!("{name}-2.0-1.noarch"));
        applied.mentions(&format!("/held_back/{nth}/reason"), "repository test");
    }
    applied.leaves_pending(&[]).says("/retried", false);
    root.patch(&["refresh"]).exits(0).leaves_pending(&[]);
}

#[test]
fn a_key_that_is_missing_holds_back_its_repository_and_no_other() {
    let keys: [(Key, &str); 3] = [
        (|_| String::new(), "is not signed"),
        (|url| format!("gpgkey={url}/GONE\n"), "404"),
        (|_| "gpgkey=file:///etc/pki/gone\n".into(), "/etc/pki/gone"),
    ];
    for (key, words) in keys {
        let root = Root::new(&[rpm("tb-a", "1.0"), rpm("tb-b", "1.0"), rpm("tb-hello", "1.0")]);
        let new = if words == "is not signed" {
            [rpm("tb-a", "2.0"), rpm("tb-b", "2.0")]
        } else {
            [rpm("tb-a", "2.0").signed(Signer::Known), rpm("tb-b", "2.0").signed(Signer::Known)]
        };
        let _repo = checked(&root, "signed", &new, key);
        let other = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
        root.add_repo("other", &other);
        let applied = root.patch(&["apply"]);
        applied.exits(1).changed(&["tb-hello 1.0-1 2.0-1"]).says("/retried", false);
        for nth in [0, 1] {
            applied.says(&format!("/held_back/{nth}/class"), "auth");
            applied.mentions(&format!("/held_back/{nth}/reason"), words);
            applied.mentions(&format!("/held_back/{nth}/reason"), "signed");
        }
        let log = root.sandbox.log();
        assert!(log.contains("tb-hello") && !log.contains("secret"), "{log}");
    }
}

#[test]
fn a_file_of_two_packages_holds_back_one_of_them_and_no_other() {
    let file = |rpm: Rpm, text| rpm.file("", "/usr/share/tb-file", text);
    let old = [file(rpm("tb-old", "1.0"), "old"), rpm("tb-a", "1.0"), rpm("tb-hello", "1.0")];
    let (root, _repo) = one(&old, &[file(rpm("tb-a", "2.0"), "a"), rpm("tb-hello", "2.0")]);
    let applied = root.patch(&["apply"]);
    applied.exits(0).changed(&["tb-hello 1.0-1 2.0-1"]).says("/held_back/0/name", "tb-a");
    applied.says("/held_back/0/class", "dependency").mentions("/held_back/0/reason", "/usr/share/tb-file");
    root.patch(&["apply", "tb-a"]).apply_failed("dependency").changed(&[]);
    let (root, _repo) = one(
        &[rpm("tb-a", "1.0"), rpm("tb-b", "1.0"), rpm("tb-hello", "1.0")],
        &[file(rpm("tb-a", "2.0"), "a"), file(rpm("tb-b", "2.0"), "b"), rpm("tb-hello", "2.0")],
    );
    let applied = root.patch(&["apply"]);
    applied.exits(0).says("/held_back/0/class", "dependency");
    assert_eq!(applied.json["packages"].as_array().map(Vec::len), Some(2), "{applied}");
}

/// dnf installs nothing at all if something would replace a protected package. A newer version of it is installed.
#[test]
fn a_protected_package_stays_and_the_others_come() {
    let obsoleter = |name: &str, of: &str| rpm(name, "1.0").tag(&format!("Obsoletes: {of}"));
    let new = || rpm("tb-new", "1.0").tag("Requires: tb-lib");
    let situations: [(&str, &str, Vec<Rpm>, &[&str]); 5] = [
        ("/etc/dnf/protected.d/tb.conf", "tb-a\n", vec![obsoleter("tb-x", "tb-a")], &["tb-a"]),
        ("/etc/yum/protected.d/tb.conf", "tb-a\n", vec![obsoleter("tb-x", "tb-a")], &["tb-a"]),
        (
            "/etc/dnf/dnf.conf",
            "[main]\nprotected_packages=tb-a tb-b\n",
            vec![obsoleter("tb-x", "tb-a"), obsoleter("tb-y", "tb-b")],
            &["tb-a", "tb-b"],
        ),
        (
            "/etc/dnf/protected.d/tb.conf",
            "tb-a\n",
            vec![rpm("tb-b", "2.0").tag("Obsoletes: tb-a")],
            &["tb-a"],
        ),
        (
            "/etc/dnf/protected.d/tb.conf",
            "tb-a\n",
            vec![new().tag("Obsoletes: tb-b"), obsoleter("tb-lib", "tb-a")],
            &["tb-a"],
        ),
    ];
    for (file, text, more, protected) in situations {
        let old = ["tb-hello", "tb-a", "tb-b"].map(|name| rpm(name, "1.0"));
        let (root, repo) = one(&old, &[&[rpm("tb-hello", "2.0")][..], &more].concat());
        root.sandbox.write(file, text);
        let refreshed = root.patch(&["refresh"]);
        if is_newer() {
            // dnf itself lets a protected package be replaced there, and so it is said before.
            let pending = refreshed.exits(0).json["pending"]["packages"].clone();
            let replaced: Vec<_> = pending.as_array().into_iter().flatten().collect();
            let replaced = replaced.iter().filter_map(|update| update["replaces"].as_array()).flatten();
            let replaced: Vec<_> = replaced.filter_map(|name| name.as_str()).collect();
            assert!(protected.iter().all(|name| replaced.contains(name)), "{file} {refreshed}");
            root.patch(&["apply"]).exits(0).leaves_pending(&[]).says("/held_back", json!([]));
            continue;
        }
        refreshed.exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        let names = |report: &Report| -> Vec<String> {
            let held = report.state["pending"]["held_back"].as_array().cloned().unwrap_or_default();
            let held = held.iter().filter(|held| held["class"] == "dependency");
            held.map(|held| held["name"].as_str().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(names(&refreshed), protected, "{refreshed}");
        let applied = root.patch(&["apply"]);
        applied.applied(&["tb-hello 1.0-1 2.0-1"]).leaves_pending(&[]);
        assert_eq!(names(&applied), protected, "{applied}");
        root.has_exactly(&["tb-a 1.0", "tb-b 1.0", "tb-hello 2.0"]);
        if more[0].file_name().starts_with("tb-b") {
            root.patch(&["apply", "--full"]).applied(&[]);
        }
        if protected.len() == 1 {
            continue;
        }
        // A repository that is down beside it stops only itself.
        root.add_repo_with("down", "http://127.0.0.1:9/", "");
        repo.publish(&[&[rpm("tb-hello", "3.0")][..], &more].concat());
        root.patch(&["apply"]).exits(1).changed(&["tb-hello 2.0-1 3.0-1"]);
    }
}

/// In a plugin, or where there is no more memory.
#[test]
fn an_exception_in_mid_install_is_told_and_what_it_left_is_repaired() {
    for (raised, words, is_half) in [
        ("class Other(BaseException): pass\n            raise Other('says no')", "Other: says no", false),
        ("raise SystemExit(3)", "", false),
        ("T._instOpenFile = lambda self, key: fail(MemoryError())", "MemoryError", false),
        (
            "seen = []\n            def later(self, key):\n                seen.append(str(key))\n                \
             return fail(MemoryError()) if len(seen) == 5 else was(self, key)\n            T._instOpenFile = later",
            "MemoryError",
            true,
        ),
        ("T._instOpenFile = lambda self, key: os._exit(7)", "exit code 7", false),
    ] {
        let names = ["tb-a", "tb-m", "tb-z"];
        let old: Vec<_> = [shell()].into_iter().chain(names.map(|name| rpm(name, "1.0"))).collect();
        let (root, _repo) = one(&old, &names.map(|name| rpm(name, "2.0")));
        let plugin = format!(
            "import dnf, os, sys\nfrom dnf.yum.rpmtrans import RPMTransaction as T\ndef fail(error):\n    raise error\n\
             class Bad(dnf.Plugin):\n    name = 'bad'\n    def pre_transaction(self):\n        was = T._instOpenFile\n        \
             if '-y' in sys.argv and '-C' in sys.argv:\n            {raised}\n"
        );
        root.sandbox.sh("mkdir -p /srv/plugins /srv/conf");
        root.sandbox.write("/srv/plugins/bad.py", plugin);
        root.sandbox.sh("mkdir -p /etc/dnf; [ -e /etc/dnf/dnf.conf ] || echo '[main]' >/etc/dnf/dnf.conf; \
             printf 'plugins=1\npluginpath=/srv/plugins\npluginconfpath=/srv/conf\n' >>/etc/dnf/dnf.conf");
        let applied = root.patch(&["apply"]);
        applied.exits(2).mentions("/error/message", words);
        let text = applied.json["error"]["message"].as_str().unwrap();
        assert!(!text.contains("release version") && !text.contains("FATAL ERROR"), "{applied}");
        let changed = applied.json["packages"].as_array().map(Vec::len);
        assert_eq!(changed, Some(usize::from(is_half)), "{applied}");
        if is_half {
            applied.says("/error/class", "interrupted").remembers("/apply/in_progress/phase", "install");
        }
        root.sandbox.sh("rm /srv/plugins/bad.py");
        let applied = root.patch(&["apply"]);
        applied.exits(0).says("/repaired", is_half).remembers("/apply/in_progress", serde_json::Value::Null);
        root.has_exactly(&["tb-a 2.0", "tb-m 2.0", "tb-sh 1.0", "tb-z 2.0"]);
    }
}

/// rpm asks whether there is room before it begins. That it could not write a file then is said on standard output only.
#[test]
fn a_disk_that_turns_read_only_in_mid_install_is_named() {
    // A newer rpm gives its scripts mounts of their own.
    let read_only = "mkdir -p /opt/tb; nsenter --target 1 --mount --root sh -c \
                     'mount --bind /opt /opt; mount -o remount,ro,bind /opt'";
    let (root, _repo) = one(
        &[shell(), rpm("tb-a", "1.0"), rpm("tb-b", "1.0")],
        &[
            rpm("tb-a", "2.0").post(read_only),
            rpm("tb-b", "2.0").tag("Requires: tb-a").file("", "/opt/tb/b", "b"),
        ],
    );
    let applied = root.patch(&["apply"]);
    applied.apply_failed("space").changed(&["tb-a 1.0-1 2.0-1"]);
    applied.mentions("/error/message", "/opt/tb/b").mentions("/error/message", "Read-only file system");
    root.sandbox.sh("umount /opt");
    root.patch(&["apply"]).applied(&["tb-b 1.0-1 2.0-1"]);
}
