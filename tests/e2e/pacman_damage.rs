//! A package database and disks that are not as they should be, with the real pacman; and what its
//! messages leave out.

use crate::pacman::{PkgRepo, Root, one, pending_update, pkg};
use crate::sandbox::is_newer;
use crate::server::Fault;
use crate::vault::Signer;

const LOCAL: &str = "/var/lib/pacman/local";

/// Two updates; the database of the system is treated like this before.
fn two(before: &str) -> (Root, PkgRepo) {
    let (root, repo) =
        one(&[pkg("tb-a", "1.0"), pkg("tb-z", "1.0")], &[pkg("tb-a", "2.0"), pkg("tb-z", "2.0")]);
    root.sandbox.sh(before);
    (root, repo)
}

#[test]
fn what_else_lies_in_the_package_database_stops_nothing() {
    for stray in ["lost+found", "nonsense"] {
        let (root, _repo) = two(&format!("mkdir {LOCAL}/{stray}; touch {LOCAL}/file"));
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 2.0-1", "tb-z 1.0-1 2.0-1"]);
        let applied = root.patch(&["apply"]);
        applied.applied(&["tb-a 1.0-1 2.0-1", "tb-z 1.0-1 2.0-1"]);
        assert!(applied.stderr.contains(&format!("invalid name for database entry '{stray}'")), "{applied}");
    }
}

#[test]
fn what_mends_two_entries_of_one_package_is_said() {
    let more =
        format!("cp -r {LOCAL}/tb-a-1.0-1 {LOCAL}/tb-a-0.9-1; sed -i s/1.0-1/0.9-1/ {LOCAL}/tb-a-0.9-1/desc");
    let (root, _repo) = two(&more);
    let advice =
        "remove that of the older version, and install the package again with pacman -S --overwrite '*' tb-a";
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).remembers("/pending/error/class", "interrupted");
    assert!(refreshed.state["pending"]["error"]["message"].as_str().unwrap().contains(advice), "{refreshed}");
    let applied = root.patch(&["apply"]);
    applied.apply_failed("interrupted").mentions("/error/message", advice).changed(&[]);
    root.sandbox.sh(&format!("rm -r {LOCAL}/tb-a-0.9-1; pacman -Sy --noconfirm --overwrite '*' tb-a 2>&1"));
    root.patch(&["apply"]).applied(&["tb-z 1.0-1 2.0-1"]);
    root.has_exactly(&["tb-a 2.0", "tb-z 2.0"]);
}

#[test]
fn an_entry_without_its_files_is_no_fetch_error_and_what_mends_it_is_said() {
    for lost in ["files", "desc", "*"] {
        let (root, _repo) = two(&format!("rm {LOCAL}/tb-a-1.0-1/{lost}"));
        let refreshed = root.patch(&["refresh"]);
        refreshed.exits(1).remembers("/pending/error/class", "interrupted");
        let applied = root.patch(&["apply"]);
        applied.apply_failed("interrupted").says("/retried", false).changed(&[]);
        applied.mentions("/error/message", "an install of tb-a-1.0-1 was cut off; remove ");
        root.sandbox
            .sh(&format!("rm -r {LOCAL}/tb-a-1.0-1; pacman -Sy --noconfirm --overwrite '*' tb-a 2>&1"));
        root.patch(&["apply"]).applied(&["tb-z 1.0-1 2.0-1"]);
    }
}

#[test]
fn a_database_of_another_version_is_a_matter_for_a_person() {
    let (root, _repo) = two(&format!("echo 8 >{LOCAL}/ALPM_DB_VERSION"));
    root.patch(&["refresh"]).refresh_failed("config").mentions("/reason", "pacman-db-upgrade");
    root.patch(&["apply"]).apply_failed("config").mentions("/error/message", "pacman-db-upgrade");
}

#[test]
fn a_place_of_the_packages_that_has_no_room_or_is_read_only_is_no_riddle() {
    let bind = "mount --bind /var/lib/pacman /var/lib/pacman; mount -o remount,ro,bind /var/lib/pacman";
    let full = "cp -a /var/lib/pacman /srv/keep; mount -t tmpfs -o size=60k full /var/lib/pacman; \
                cp -a /srv/keep/. /var/lib/pacman/; dd if=/dev/zero of=/var/lib/pacman/fill bs=1k 2>/dev/null || true";
    for before in [bind, full] {
        let (root, _repo) = two(before);
        root.patch(&["refresh"]).exits(0);
        let applied = root.patch(&["apply"]);
        applied.apply_failed("space").changed(&[]).says("/retried", false);
        applied.mentions("/error/message", "/var/lib/pacman");
    }
}

#[test]
fn a_system_that_is_mounted_read_only_gets_no_package_unless_a_hook_may_change_that() {
    let read_only = "mkdir -p /usr/share/tb; mount --bind /usr /usr; mount -o remount,ro,bind /usr";
    let (root, _repo) = two(read_only);
    let text = root.sandbox.read("/etc/pacman.conf").unwrap().replace("CheckSpace\n", "");
    root.sandbox.write("/etc/pacman.conf", text);
    // pacman itself takes the packages for installed then.
    let applied = root.patch(&["apply"]);
    applied.apply_failed("space").changed(&[]).mentions("/error/message", "/usr is mounted read-only");
    root.has_exactly(&["tb-a 1.0", "tb-z 1.0"]);
    let hook = "[Trigger]\nType = Package\nOperation = Upgrade\nTarget = *\n[Action]\nWhen = PreTransaction\n\
                Exec = /bin/mount -o remount,rw,bind /usr\n";
    root.sandbox.write("/etc/pacman.d/hooks/rw.hook", hook);
    root.patch(&["apply"]).applied(&["tb-a 1.0-1 2.0-1", "tb-z 1.0-1 2.0-1"]);
}

#[test]
fn a_hook_that_cannot_be_read_is_named() {
    let (root, _repo) = two("");
    root.sandbox.write("/etc/pacman.d/hooks/b.hook", "[Trigger]\nNonsense = x\n");
    let applied = root.patch(&["apply"]);
    applied.exits(2).changed(&[]).mentions("/error/message", "b.hook line 2: invalid option Nonsense");
    let (root, _repo) = two("touch /srv/file");
    root.option("HookDir = /srv/file");
    root.patch(&["apply"]).exits(2).mentions("/error/message", "/srv/file");
}

#[test]
fn a_keyring_that_was_never_made_is_named_with_the_command_that_makes_it() {
    let (root, repo) = pending_update();
    repo.sign_packages(&["tb-hello"], Signer::Known);
    repo.publish(&[pkg("tb-hello", "2.0")]);
    let text = root.sandbox.read("/etc/pacman.conf").unwrap();
    let text = text.replace("\nSigLevel = Never\n", "\nSigLevel = Required DatabaseOptional\n");
    root.sandbox.write("/etc/pacman.conf", text);
    root.patch(&["apply"]).apply_failed("auth").mentions("/error/message", "pacman-key --init");
}

#[test]
fn a_place_for_downloads_that_cannot_be_written_is_no_fetch_error() {
    let (root, _repo) = two("touch /srv/file");
    root.option("CacheDir = /srv/file/");
    root.patch(&["apply"])
        .apply_failed("config")
        .says("/retried", false)
        .mentions("/error/message", "/srv/file");
    if is_newer() {
        // pacman 7 downloads as another user, who must be able to enter the directory.
        let (root, _repo) = two("mkdir -m 700 /var/lib/linux-patch");
        root.option("DownloadUser = nobody");
        root.patch(&["refresh"]).refresh_failed("config").mentions("/reason", "DownloadUser");
        root.sandbox.sh("chmod 755 /var/lib/linux-patch");
        root.patch(&["apply"]).exits(0);
        root.option("DownloadUser = nosuchuser");
        root.patch(&["refresh"]).refresh_failed("config").mentions("/reason", "nosuchuser");
    }
}

#[test]
fn a_password_that_is_no_part_of_an_address_stands_nowhere() {
    const SECRET: &str = "s3cr3t";
    for (user, xfer) in [
        (format!("me:{SECRET}/{SECRET}@"), false),
        (format!("me:{SECRET}/{SECRET}@"), true),
        (format!("{SECRET}@"), true),
    ] {
        let (root, repo) = pending_update();
        repo.server.fault("/", Fault::Status(404));
        let text = root.sandbox.read("/etc/pacman.conf").unwrap();
        root.sandbox.write("/etc/pacman.conf", text.replace("http://", &format!("http://{user}")));
        if xfer {
            root.sandbox.write_script("/usr/local/bin/fetch", "echo \"cannot fetch $1\" >&2; exit 1");
            root.option("XferCommand = /usr/local/bin/fetch %u?x");
        }
        let shown = ["refresh", "apply", "status"].map(|command| {
            let ended = root.sandbox.run(&["linux-patch", "--manager", "pacman", "--verbose", command]);
            ended.stdout + &ended.stderr
        });
        let kept = "cat /var/lib/linux-patch/*.json* /var/log/linux-patch/*";
        let found = root.sandbox.sh(kept) + &shown.concat();
        let words = if xfer { "cannot fetch" } else { "failed retrieving" };
        assert!(found.contains(words) && !found.contains(SECRET), "{user} {xfer}: {found}");
    }
}
