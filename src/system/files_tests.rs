//! Tests of `files.rs`.

use super::*;

#[test]
fn of_the_settings_of_apt_those_count_that_it_reads_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    for (name, read) in [("apt.conf.d", "conf"), ("preferences.d", "pref"), ("trusted", "")] {
        let path = dir.path().join(name);
        std::fs::create_dir(&path).unwrap();
        for file in ["10a", "a_b-C:1", "a.conf", "a.pref", "a.x.pref", "a b", "a+b.conf", "a.txt", "a."] {
            std::fs::write(path.join(file), "").unwrap();
        }
        let found = files(&path.display().to_string());
        let found: Vec<_> = found.iter().filter_map(|(path, _)| path.file_name()?.to_str()).collect();
        let expected = match read {
            "conf" => &["10a", "a.conf", "a_b-C:1"][..],
            "pref" => &["10a", "a.pref", "a.x.pref", "a_b-C:1"],
            _ => &["10a", "a b", "a+b.conf", "a.", "a.conf", "a.pref", "a.txt", "a.x.pref", "a_b-C:1"],
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_write_replaces_the_file_and_leaves_no_temporary() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".state.json.new"), "left by a crash").unwrap();
    write_atomic(dir.path(), "state.json", b"one").unwrap();
    write_atomic(dir.path(), "state.json", b"two").unwrap();
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["state.json"]);
    let path = dir.path().join("state.json");
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn a_link_under_the_temporary_name_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    std::os::unix::fs::symlink(&victim, dir.path().join(".state.json.new")).unwrap();
    write_atomic(dir.path(), "state.json", b"new").unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
}

#[test]
fn only_a_directory_that_others_cannot_write_to_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("own");
    assert_eq!(distrust(&own), None);
    std::fs::create_dir(&own).unwrap();
    let set = |mode| std::fs::set_permissions(&own, std::fs::Permissions::from_mode(mode)).unwrap();
    set(0o755);
    assert_eq!(distrust(&own), None);
    set(0o1777);
    assert!(distrust(&own).unwrap().contains("by others"));
    set(0o700);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&own, &link).unwrap();
    for path in [link.clone(), link.join("")] {
        assert!(distrust(&path).unwrap().contains("symbolic link"), "{}", path.display());
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&own, Some(65534), None).unwrap();
        assert!(distrust(&own).unwrap().contains("user 65534"));
        std::os::unix::fs::chown(&own, Some(0), Some(65534)).unwrap();
        assert_eq!(distrust(&own), None);
        set(0o775);
        assert!(distrust(&own).unwrap().contains("by others"));
    }
}

#[test]
fn a_directory_of_our_own_is_made_once_and_never_taken_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    own_directory(&path("ours")).unwrap();
    own_directory(&path("ours")).unwrap();
    assert_eq!(path("ours").metadata().unwrap().permissions().mode() & 0o777, 0o755);
    symlink(path("ours"), path("link")).unwrap();
    std::fs::write(path("file"), "").unwrap();
    own_directory(&path("open")).unwrap();
    std::fs::set_permissions(path("open"), std::fs::Permissions::from_mode(0o777)).unwrap();
    for other in ["link", "file", "open"] {
        assert!(own_directory(&path(other)).is_err(), "{other}");
    }
}

#[test]
fn a_link_is_corrected_and_a_directory_in_its_place_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("local");
    for target in ["/one", "/two", "/two"] {
        own_link(&link, Path::new(target)).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new(target));
    }
    let packages = dir.path().join("packages");
    std::fs::create_dir(&packages).unwrap();
    assert!(own_link(&packages, Path::new("/one")).is_err());
    assert!(packages.is_dir());
}

#[test]
fn a_slash_at_the_end_stands_for_the_directory_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = format!("{}/", dir.path().display());
    std::fs::write(dir.path().join("a"), "x").unwrap();
    let before = fingerprint(&[&path]);
    std::fs::write(dir.path().join("a"), "longer").unwrap();
    assert_eq!(before, fingerprint(&[&path]));
    // A fingerprint of its files would not notice directories in it.
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::create_dir(dir.path().join("tb-hello-1.0-1")).unwrap();
    assert_ne!(before, fingerprint(&[&path]));
}

#[test]
fn what_a_manager_does_not_read_leaves_its_configuration_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let all = dir.path().to_str().unwrap();
    let lists = format!("{all}/*.list");
    for name in ["a.list", "name"] {
        std::fs::write(dir.path().join(name), "x").unwrap();
    }
    let seen = || (fingerprint(&[all]), fingerprint(&[&lists]), newest_change(&[&lists]));
    let before = seen();
    let left = [
        "a.list~",
        "a.list.dpkg-dist",
        "a.list.save",
        "a.bak",
        "mirrorlist.pacnew",
        "m.pacsave.1",
        ".a.list",
        ".a.list.swp",
        "a.repo.rpmsave",
        "a.list.ucf-dist",
        "a.apk-new",
    ];
    for name in left {
        std::fs::write(dir.path().join(name), "left there").unwrap();
        assert_eq!(seen(), before, "{name}");
    }
    std::fs::write(dir.path().join("other"), "x").unwrap();
    assert_ne!(seen().0, before.0);
    assert_eq!(seen().1, before.1, "no list");
    std::fs::write(dir.path().join("b.list"), "x").unwrap();
    assert_ne!(seen().1, before.1);
    std::fs::create_dir(dir.path().join("deep")).unwrap();
    std::fs::write(dir.path().join("deep/solv"), "x").unwrap();
    for pattern in ["*/solv", "dee?/solv", "d[e]ep/s*"] {
        assert_ne!(fingerprint(&[&format!("{all}/{pattern}")]), fingerprint(&["/nowhere"]), "{pattern}");
    }
}

#[test]
fn a_fingerprint_sees_files_added_rewritten_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let empty = fingerprint(&[path, "/does/not/exist"]);
    std::fs::write(dir.path().join("a.list"), "x").unwrap();
    let one = fingerprint(&[path]);
    std::fs::write(dir.path().join("a.list"), "xy").unwrap();
    let longer = fingerprint(&[path]);
    std::fs::write(dir.path().join("lock"), "").unwrap();
    assert_eq!(longer, fingerprint(&[path]));
    std::fs::remove_file(dir.path().join("a.list")).unwrap();
    assert!(empty != one && one != longer);
    assert_eq!(fingerprint(&[path]), empty);
}
