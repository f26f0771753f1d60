//! apply with the real pacman: one full upgrade, with exactly the index that the download used.

use crate::pacman::{PkgRepo, Root, one, pending_update, pkg};
use crate::server::Fault;
use crate::vault::{Signer, Vault};

const HELLO: &str = "/tb-hello-";

#[test]
fn the_install_asks_no_mirror_and_gives_the_system_the_index_that_was_downloaded_from() {
    let (root, repo) = pending_update();
    root.patch(&["apply", "--download-only"]).exits(0).changed(&[]);
    root.watch_calls();
    let index = repo.server.requests(".db");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]).leaves_pending(&[]);
    assert_eq!(repo.server.requests(".db"), index + 1, "one refresh, and no mirror after it");
    assert_eq!(repo.server.requests(HELLO), 1, "downloaded once");
    is_the_index_of_the_system(&root);
    let calls = root.calls();
    let of = |word: &str| calls.iter().filter(|call| call.contains(word)).count();
    assert_eq!((of("-Sy "), of("-Suw"), of("-Syyu")), (1, 1, 1), "{calls:?}");
}

/// Also with its time, so that pacman next asks the mirrors only for a newer one.
#[track_caller]
fn is_the_index_of_the_system(root: &Root) {
    let index = |dir: &str| root.sandbox.sh(&format!("cd {dir}/sync; sha256sum *; stat -c '%n %Y' *"));
    assert_eq!(index("/var/lib/pacman"), index("/var/lib/linux-patch/pacman"));
}

#[test]
fn an_index_of_the_system_that_is_newer_than_what_was_downloaded_makes_no_difference() {
    let (root, repo) = pending_update();
    // An administrator's own, of a mirror that was ahead and is not any more.
    repo.publish(&[pkg("tb-hello", "3.0")]);
    root.sandbox.sh("pacman -Sy >/dev/null 2>&1; touch -d '2 hours' /var/lib/pacman/sync/test.db");
    repo.publish(&[pkg("tb-hello", "2.0")]);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]).says("/retried", false);
    is_the_index_of_the_system(&root);
}

#[test]
fn a_mirror_that_is_gone_after_the_download_is_not_missed() {
    let (root, repo) = pending_update();
    // From this package on, the server answers nothing.
    repo.server.fault_from("/tb-hello-", 2, Fault::Hang);
    repo.server.fault_from(".db", 2, Fault::Hang);
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-hello 1.0-1 2.0-1"]);
    let asked = |what: &str| repo.server.requests(what);
    assert_eq!((asked("/tb-hello-"), asked(".db")), (1, 1), "it was asked once more: {applied}");
}

#[test]
fn an_install_whose_download_is_gone_asks_no_mirror_for_it() {
    let (root, repo) = pending_update();
    let body =
        "case \" $* \" in *' -Syyu '*) rm -f /var/cache/pacman/pkg/* ;; esac; exec /usr/bin/pacman \"$@\"";
    root.sandbox.write_script("/usr/local/bin/pacman", body);
    root.patch(&["apply"]).apply_failed("fetch").says("/retried", true).changed(&[]);
    assert_eq!(repo.server.requests(HELLO), 2, "one download, and one more");
    root.has_exactly(&["tb-hello 1.0"]);
}

#[test]
fn a_download_that_fails_leaves_the_index_of_the_system_as_it_was() {
    let (root, repo) = one(&[pkg("tb-hello", "1.0")], &[pkg("tb-hello", "1.0")]);
    root.sandbox.sh("pacman -Sy >/dev/null 2>&1");
    let before = root.system_index();
    repo.publish(&[pkg("tb-hello", "2.0")]);
    repo.server.fault(HELLO, Fault::Status(404));
    root.patch(&["apply"]).apply_failed("fetch").says("/retried", true).changed(&[]);
    assert_eq!(root.system_index(), before);
}

#[test]
fn options_of_the_administrator_hold_during_the_install_too() {
    let (root, _repo) = one(
        &[pkg("tb-hello", "1.0"), pkg("tb-keep", "1.0")],
        &[pkg("tb-hello", "2.0").file("/usr/share/tb/unwanted", "x"), pkg("tb-keep", "2.0")],
    );
    root.option("NoExtract = usr/share/tb/unwanted");
    root.option("IgnorePkg = tb-keep");
    root.option("HookDir = /srv/hooks");
    let hook = "[Trigger]\nType = Package\nOperation = Upgrade\nTarget = *\n[Action]\nWhen = PostTransaction\nExec = /bin/touch /run/hook-ran\n";
    root.sandbox.write("/srv/hooks/test.hook", hook);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    assert!(root.sandbox.exists("/run/hook-ran") && !root.sandbox.exists("/usr/share/tb/unwanted"));
    root.has_exactly(&["tb-hello 2.0", "tb-keep 1.0"]);
}

#[test]
fn packages_and_security_updates_cannot_be_chosen() {
    let (root, repo) = pending_update();
    root.patch(&["apply", "tb-hello"]).exits(3).mentions("/reason", "a partial upgrade breaks the system");
    root.patch(&["apply", "--security"]).exits(3).mentions("/reason", "cannot tell security updates");
    assert_eq!(repo.server.requests(""), 0);
    root.has_exactly(&["tb-hello 1.0"]);
}

#[test]
fn an_excluded_package_holds_back_those_that_need_it_newer_and_no_other() {
    let (root, _repo) = one(
        &[pkg("tb-lib", "1.0"), pkg("tb-app", "1.0").info("depend = tb-lib=1.0"), pkg("tb-x", "1.0")],
        &[pkg("tb-lib", "2.0"), pkg("tb-app", "2.0").info("depend = tb-lib=2.0"), pkg("tb-x", "2.0")],
    );
    root.patch(&["apply", "--exclude", "tb-lib"])
        .applied(&["tb-x 1.0-1 2.0-1"])
        .mentions("/held_back/0/reason", "'tb-lib=2.0' required by tb-app");
    root.has_exactly(&["tb-app 1.0", "tb-lib 1.0", "tb-x 2.0"]);
    root.patch(&["apply"]).applied(&["tb-app 1.0-1 2.0-1", "tb-lib 1.0-1 2.0-1"]);
}

#[test]
fn an_update_that_cannot_be_resolved_holds_back_those_that_need_it_and_no_other() {
    let (root, repo) = one(
        &["tb-app", "tb-dep", "tb-hello", "tb-lib", "tb-old", "tb-user"].map(|name| match name {
            "tb-user" => pkg(name, "1.0").info("depend = tb-lib=1.0"),
            _ => pkg(name, "1.0"),
        }),
        &[
            pkg("tb-dep", "2.0").info("depend = tb-none"),
            pkg("tb-app", "2.0").info("depend = tb-dep=2.0"),
            // The one that needs the old version has no newer one.
            pkg("tb-lib", "2.0"),
            pkg("tb-new", "1.0").info("replaces = tb-old").info("depend = tb-none"),
            pkg("tb-hello", "2.0"),
        ],
    );
    let held = [
        "tb-app 1.0-1 2.0-1 unable to satisfy dependency 'tb-dep=2.0' required by tb-app",
        "tb-dep 1.0-1 2.0-1 unable to satisfy dependency 'tb-none' required by tb-dep",
        "tb-lib 1.0-1 2.0-1 installing tb-lib (2.0-1) breaks dependency 'tb-lib=1.0' required by tb-user",
        "tb-new - - unable to satisfy dependency 'tb-none' required by tb-new",
    ];
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]).holds_back(&held);
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-hello 1.0-1 2.0-1"]).says("/retried", false).leaves_pending(&[]).holds_back(&held);
    assert!(applied.stderr.contains("tb-dep stays as it is (dependency: "), "{applied}");
    root.patch(&["refresh"]).exits(0).leaves_pending(&[]).holds_back(&held);
    repo.publish(&[
        pkg("tb-dep", "3.0"),
        pkg("tb-app", "2.0"),
        pkg("tb-new", "1.0").info("replaces = tb-old"),
    ]);
    root.patch(&["apply"]).applied(&[
        "tb-app 1.0-1 2.0-1",
        "tb-dep 1.0-1 3.0-1",
        "tb-new - 1.0-1",
        "tb-old 1.0-1 -",
    ]);
}

#[test]
fn a_package_that_is_replaced_or_in_the_way_goes_only_where_it_may() {
    let (root, _repo) = one(
        &[pkg("tb-old", "1.0"), pkg("tb-foe", "1.0"), pkg("tb-hello", "1.0"), pkg("tb-x", "1.0")],
        &[
            pkg("tb-new", "1.0").info("replaces = tb-old").info("conflict = tb-old"),
            pkg("tb-hello", "2.0").info("conflict = tb-foe"),
            pkg("tb-x", "2.0"),
        ],
    );
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-new - 1.0-1", "tb-old 1.0-1 -", "tb-x 1.0-1 2.0-1"]).leaves_pending(&[]);
    applied.mentions("/held_back/0/reason", " are in conflict").says("/held_back/0/name", "tb-hello");
    root.patch(&["apply", "--full"]).applied(&["tb-foe 1.0-1 -", "tb-hello 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-hello 2.0", "tb-new 1.0", "tb-x 2.0"]);
}

/// pacman's list of what comes does not say what goes for it.
#[test]
fn an_excluded_package_goes_neither_for_what_comes_in_its_place_nor_for_what_it_is_in_the_way_of() {
    let old = ["tb-old", "tb-foe", "tb-hello", "tb-x"].map(|name| pkg(name, "1.0"));
    let new = [
        pkg("tb-new", "1.0").info("replaces = tb-old").info("conflict = tb-old"),
        pkg("tb-hello", "2.0").info("conflict = tb-foe"),
        pkg("tb-x", "2.0"),
    ];
    for exclude in [["--exclude", "tb-old"], ["--exclude", "tb-new"], ["--exclude", "tb-o*"]] {
        let (root, _repo) = one(&old, &[new[0].clone(), new[2].clone()]);
        let rows = ["tb-x 1.0-1 2.0-1"];
        root.patch(&[&["apply", "--dry-run"], &exclude[..]].concat()).exits(0).changed(&rows);
        let applied = root.patch(&[&["apply"], &exclude[..]].concat());
        applied.applied(&rows).says("/retried", false);
        // What is excluded itself needs no word.
        let words = "left out too, because of what is excluded: tb-new";
        assert_eq!(applied.stderr.contains(words), exclude[1] != "tb-new", "{applied}");
        root.has_exactly(&["tb-foe 1.0", "tb-hello 1.0", "tb-old 1.0", "tb-x 2.0"]);
        root.patch(&["apply"]).applied(&["tb-new - 1.0-1", "tb-old 1.0-1 -"]);
    }
    let (root, _repo) = one(&old, &new);
    let applied = root.patch(&["apply", "--full", "--exclude", "tb-foe"]);
    applied.applied(&["tb-new - 1.0-1", "tb-old 1.0-1 -", "tb-x 1.0-1 2.0-1"]);
    applied.says("/held_back/0/name", "tb-hello").mentions("/held_back/0/reason", " are in conflict");
    root.patch(&["apply", "--full"]).applied(&["tb-foe 1.0-1 -", "tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn a_file_conflict_holds_back_one_update_and_names_the_file() {
    let (root, _repo) = one(
        &["tb-a", "tb-b", "tb-hello", "tb-x"].map(|name| pkg(name, "1.0")),
        &[
            pkg("tb-hello", "2.0").file("/usr/share/tb/taken", "x"),
            pkg("tb-x", "2.0"),
            pkg("tb-a", "2.0").file("/usr/share/tb/both", "a"),
            pkg("tb-b", "2.0").file("/usr/share/tb/both", "b"),
        ],
    );
    root.sandbox.write("/usr/share/tb/taken", "somebody's");
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-a 1.0-1 2.0-1", "tb-x 1.0-1 2.0-1"]).says("/retried", false);
    let held = applied.json["held_back"].to_string();
    assert!(held.contains("/usr/share/tb/taken exists in filesystem"), "{applied}");
    assert!(held.contains("/usr/share/tb/both exists in both 'tb-a' and 'tb-b'"), "{applied}");
    assert_eq!(root.sandbox.read("/usr/share/tb/taken").as_deref(), Some("somebody's"));
    root.sandbox.sh("rm /usr/share/tb/taken");
    root.patch(&["apply", "--exclude", "tb-b"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn a_package_with_a_bad_signature_or_none_is_held_back_and_the_others_come() {
    let names = ["tb-good", "tb-none", "tb-strange"];
    let (root, repo) = one(&names.map(|name| pkg(name, "1.0")), &[]);
    repo.sign_packages(&["tb-good"], Signer::Known);
    repo.sign_packages(&["tb-strange"], Signer::Stranger);
    repo.publish(&names.map(|name| pkg(name, "2.0")));
    root.trust("PackageRequired DatabaseNever");
    let keys = || {
        root.sandbox.sh(
            "gpg --homedir /etc/pacman.d/gnupg --batch --with-colons --list-keys 2>/dev/null | grep -v ^tru:",
        )
    };
    let before = keys();
    assert!(before.contains("\nfpr:"), "{before}");
    let applied = root.patch(&["apply"]);
    applied.exits(1).changed(&["tb-good 1.0-1 2.0-1"]).says("/retried", false).leaves_pending(&[]);
    let held: Vec<_> = applied.json["held_back"].as_array().unwrap().iter().collect();
    let told: Vec<_> = held.iter().map(|held| format!("{} {}", held["name"], held["class"])).collect();
    assert_eq!(told, ["\"tb-none\" \"auth\"", "\"tb-strange\" \"auth\""], "{applied}");
    assert_eq!(repo.server.requests("/test.db"), 1);
    // No key was fetched or taken for it.
    assert_eq!(keys(), before, "{applied}");
}

#[test]
fn a_pending_keyring_is_installed_before_what_is_signed_with_its_keys() {
    let names = ["tb-a", "tb-b", "tb-keyring"];
    let (root, repo) = one(&names.map(|name| pkg(name, "1.0")), &[]);
    repo.sign_packages(&["tb-a", "tb-keyring"], Signer::Known);
    repo.sign_packages(&["tb-b"], Signer::Stranger);
    root.trust("PackageRequired DatabaseNever");
    let key = String::from_utf8(Vault::get().key_of(Signer::Stranger)).unwrap();
    let import = "export GNUPGHOME=/etc/pacman.d/gnupg; gpg --batch --no-autostart --import /usr/share/pacman/keyrings/tb.gpg; \
                  gpg --batch --with-colons --list-keys | sed -n 's/^fpr:*\\([^:]*\\):.*/\\1:6:/p' | \
                  gpg --batch --no-autostart --import-ownertrust";
    let keyring = pkg("tb-keyring", "2.0").file("/usr/share/pacman/keyrings/tb.gpg", &key).script(import);
    repo.publish(&[pkg("tb-a", "2.0"), pkg("tb-b", "2.0"), keyring]);
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-a 1.0-1 2.0-1", "tb-b 1.0-1 2.0-1", "tb-keyring 1.0-1 2.0-1"]).leaves_pending(&[]);
    // An upgrade that needs no new key installs everything in one run.
    repo.publish(&names.map(|name| pkg(name, "3.0")));
    root.watch_calls();
    root.patch(&["apply"]).exits(0);
    assert_eq!(root.calls().iter().filter(|call| call.contains("-Syyu")).count(), 1, "{:?}", root.calls());
}

#[test]
fn a_failing_script_is_one_although_pacman_exits_0_and_all_is_installed() {
    let (root, _repo) = one(
        &[pkg("tb-brk", "1.0"), pkg("tb-hello", "1.0")],
        &[pkg("tb-brk", "2.0").script("exit 1"), pkg("tb-hello", "2.0")],
    );
    let applied = root.patch(&["apply"]);
    applied.apply_failed("script").changed(&["tb-brk 1.0-1 2.0-1", "tb-hello 1.0-1 2.0-1"]);
    applied.mentions("/error/message", "command failed to execute correctly").says("/retried", false);
    root.patch(&["apply"]).applied(&[]);
}

fn hook(when: &str, exec: &str) -> String {
    format!(
        "[Trigger]\nType = Package\nOperation = Upgrade\nTarget = *\n[Action]\nDescription = test hook\nWhen = {when}\nExec = {exec}\nAbortOnFail\n"
    )
}

#[test]
fn a_hook_that_fails_is_reported_whether_or_not_it_stops_the_transaction() {
    let (root, _repo) = pending_update();
    root.sandbox.write("/etc/pacman.d/hooks/a.hook", hook("PreTransaction", "/bin/false"));
    root.patch(&["apply"]).apply_failed("script").mentions("/error/message", "hook").changed(&[]);
    root.sandbox.write(
        "/etc/pacman.d/hooks/a.hook",
        hook("PostTransaction", "/bin/false").replace("AbortOnFail\n", ""),
    );
    root.patch(&["apply"]).apply_failed("script").changed(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn a_configuration_file_that_stays_is_reported() {
    let made = |version: &str, text: &str| {
        pkg("tb-conf", version).file("/etc/tb.conf", text).info("backup = etc/tb.conf")
    };
    let (root, _repo) = one(&[made("1.0", "one\n")], &[made("2.0", "two\n")]);
    root.sandbox.sh("echo mine >/etc/tb.conf");
    let applied = root.patch(&["apply"]);
    applied.applied(&["tb-conf 1.0-1 2.0-1"]);
    assert!(applied.stderr.contains("/etc/tb.conf installed as /etc/tb.conf.pacnew"), "{applied}");
    assert_eq!(root.sandbox.read("/etc/tb.conf").as_deref(), Some("mine\n"));
    assert_eq!(root.sandbox.read("/etc/tb.conf.pacnew").as_deref(), Some("two\n"));
}

#[test]
fn a_disk_that_is_full_in_mid_install_is_reported_with_what_was_upgraded() {
    let big = "x".repeat(600_000);
    let (root, _repo) = one(
        &[pkg("tb-a", "1.0"), pkg("tb-b", "1.0").file("/srv/small/b", "b")],
        &[pkg("tb-a", "2.0"), pkg("tb-b", "2.0").file("/srv/small/b", &big)],
    );
    let text = root.sandbox.read("/etc/pacman.conf").unwrap().replace("CheckSpace\n", "");
    root.sandbox.write("/etc/pacman.conf", text);
    root.sandbox.sh("cp -a /srv/small /run/keep; mount -t tmpfs -o size=64k small /srv/small; cp -a /run/keep/. /srv/small");
    let applied = root.patch(&["apply"]);
    applied.apply_failed("space").says("/retried", false);
    assert!(root.sandbox.log().contains("no packages were upgraded"), "{applied}");
    let told = applied.json["packages"].to_string();
    assert!(told.contains("tb-a"), "{applied}");
    assert!(root.installed().contains(&"tb-a 2.0".to_string()), "{applied}");
}

#[test]
fn pacman_that_is_hung_up_in_mid_install_exits_0_with_a_package_missing() {
    for signal in ["HUP", "INT"] {
        let wait = "touch /run/in-script; until [ -e /run/go ]; do sleep 0.1; done";
        let slow = pkg("tb-a", "2.0").script(wait);
        let (root, _repo) = one(&[pkg("tb-a", "1.0"), pkg("tb-z", "1.0")], &[slow, pkg("tb-z", "2.0")]);
        let running = root.start(&["apply"]);
        root.sandbox.wait_for_file("/run/in-script");
        root.sandbox.sh(&format!("kill -{signal} $(pgrep -x pacman); touch /run/go"));
        let applied = running.report();
        applied
            .apply_failed("interrupted")
            .changed(&["tb-a 1.0-1 2.0-1"])
            .leaves_pending(&["tb-z 1.0-1 2.0-1"]);
        root.patch(&["apply"]).applied(&["tb-z 1.0-1 2.0-1"]);
    }
}

#[test]
fn a_package_that_is_missing_although_pacman_said_nothing_is_noticed() {
    let (root, _repo) =
        one(&[pkg("tb-a", "1.0"), pkg("tb-z", "1.0")], &[pkg("tb-a", "2.0"), pkg("tb-z", "2.0")]);
    // A pacman that leaves one out and exits with 0.
    let body = "case \" $* \" in *' -Syyu '*) set -- \"$@\" --ignore tb-z; exec /usr/bin/pacman \"$@\" 2>/dev/null ;; esac; exec /usr/bin/pacman \"$@\"";
    root.sandbox.write_script("/usr/local/bin/pacman", body);
    let applied = root.patch(&["apply"]);
    applied.apply_failed("other").mentions("/error/message", "tb-z").changed(&["tb-a 1.0-1 2.0-1"]);
}

#[test]
fn a_repository_with_a_package_in_the_cache_that_was_built_anew_is_fetched_again() {
    let (root, repo) = pending_update();
    root.patch(&["apply", "--download-only"]).exits(0);
    repo.publish(&[pkg("tb-hello", "2.0").file("/usr/share/tb/anew", "x")]);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]).says("/retried", true);
    assert!(root.sandbox.exists("/usr/share/tb/anew"));
}

#[test]
fn what_is_checked_after_the_install_is_the_list_above_the_download() {
    for option in ["", "VerbosePkgLists"] {
        let root = Root::new(&[pkg("tb-a", "1.0"), pkg("tb-x", "1.0")]);
        let first = PkgRepo::new(&[pkg("tb-b", "1.0").info("replaces = tb-a").info("conflict = tb-a")]);
        // -Qu lists the first of them, which never comes.
        let second = PkgRepo::new(&[pkg("tb-a", "2.0"), pkg("tb-x", "2.0")]);
        root.add_repo("first", &first);
        root.add_repo("second", &second);
        root.option(option);
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-b - 1.0-1", "tb-x 1.0-1 2.0-1"]);
        let applied = root.patch(&["apply"]);
        applied.applied(&["tb-a 1.0-1 -", "tb-b - 1.0-1", "tb-x 1.0-1 2.0-1"]).leaves_pending(&[]);
    }
}

#[test]
fn a_kernel_whose_modules_had_to_make_room_asks_for_a_restart() {
    let running = rustix::system::uname().release().to_string_lossy().into_owned();
    let kernel = |version: &str, release: &str| {
        pkg("tb-kernel", version).file(&format!("/usr/lib/modules/{release}/vmlinuz"), "kernel")
    };
    let root = Root::new(&[]);
    root.sandbox.sh("rm -rf /usr/lib/modules; mkdir /usr/lib/modules");
    root.install(&[kernel("1.0", &running)]);
    let repo = PkgRepo::new(&[kernel("2.0", "99.0.0-test")]);
    root.add_repo("test", &repo);
    root.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
    root.patch(&["apply"]).applied(&["tb-kernel 1.0-1 2.0-1"]).says("/reboot_required", true);
}

#[test]
fn new_microcode_asks_for_a_restart() {
    for name in ["intel-ucode", "amd-ucode"] {
        let root = Root::new(&[pkg(name, "1.0")]);
        let new = pkg(name, "2.0").file(&format!("/boot/{name}.img"), "code");
        let repo = PkgRepo::new(&[new]);
        root.add_repo("test", &repo);
        root.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
        // A file with the same time as the start, in whole seconds, was there at the start.
        std::thread::sleep(std::time::Duration::from_millis(2500));
        root.patch(&["apply", "--dry-run"]).exits(0).says("/reboot_expected", true);
        let applied = root.patch(&["apply"]);
        applied.applied(&[&format!("{name} 1.0-1 2.0-1")]).says("/reboot_required", true);
    }
}

#[test]
fn a_kernel_whose_modules_are_kept_beside_a_newer_one_or_that_was_built_anew_asks_for_a_restart() {
    let running = rustix::system::uname().release().to_string_lossy().into_owned();
    for file in ["/usr/lib/modules/99.0.0-test/vmlinuz".to_string(), format!("/boot/vmlinuz-{running}")] {
        let root = Root::new(&[pkg("tb-kernel", "1.0")]);
        // As by a hook that keeps them.
        root.sandbox.sh(&format!("rm -rf /usr/lib/modules; mkdir -p /usr/lib/modules/{running}"));
        let repo = PkgRepo::new(&[pkg("tb-kernel", "2.0").file(&file, "kernel")]);
        root.add_repo("test", &repo);
        root.patch(&["refresh"]).exits(0).remembers("/reboot_required", false);
        // A file with the same time as the start, in whole seconds, was there at the start.
        std::thread::sleep(std::time::Duration::from_millis(2500));
        let applied = root.patch(&["apply"]);
        applied.applied(&["tb-kernel 1.0-1 2.0-1"]).says("/reboot_required", true);
    }
}
