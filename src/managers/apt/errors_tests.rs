//! Tests of `errors.rs`.

use super::*;

fn finished(stdout: &str, stderr: &str, status: &str) -> Finished {
    Finished { progress: status.into(), ..Finished::ended(100, stdout, stderr) }
}

#[test]
fn a_script_that_speaks_of_404_is_no_fetch_error() {
    let script = "Setting up tb-brk (2.0-1) ...\nE: Failed to fetch http://x/y  404  Not Found\n";
    let dpkg = "dpkg: error processing package tb-brk (--configure):\n installed tb-brk package post-installation script subprocess returned error exit status 1\n";
    let apt = "E: Sub-process /usr/bin/dpkg returned an error code (1)\n";
    let failure = classify(&finished(&format!("{script}{dpkg}"), apt, "pmstatus:x:0:y"));
    assert_eq!(failure.class, Class::Script);
    assert!(failure.message.starts_with("package tb-brk (--configure): installed tb-brk"));
    // Also where dpkg's own lines are lost.
    let failure = classify(&finished("", &format!("{script}{apt}"), "pmstatus:x:0:y"));
    assert_eq!(failure.class, Class::Script);
}

#[test]
fn a_message_grows_no_longer_than_what_is_kept() {
    let length = |first: usize| {
        let text = format!("E: {}\n  more\n  more\n", "x".repeat(first));
        messages(&text)[0].text.len()
    };
    assert_eq!(length(1), 1 + 5 + 5);
    assert_eq!(length(MOST_TEXT - 1), MOST_TEXT - 1 + 5);
    assert_eq!(length(MOST_TEXT), MOST_TEXT);
}

#[test]
fn a_version_with_404_in_it_is_no_404() {
    let url = "http://h/pool/a_404-1_all.deb";
    assert_eq!(
        class_of(&format!("Failed to fetch {url}  Connection failed [IP: 127.0.0.1 80]")),
        Class::Network
    );
    assert_eq!(class_of(&format!("Failed to fetch {url}  404  Not Found [IP: 127.0.0.1 80]")), Class::Fetch);
    assert_eq!(
        class_of(&format!("Failed to fetch {url}  Write error - write (28: No space left on device)")),
        Class::Space
    );
}

#[test]
fn the_reasons_of_dpkg_have_their_class() {
    for (reason, class) in [
        ("trying to overwrite '/x', which is also in package b 1", Class::Dependency),
        ("dependency problems - leaving unconfigured", Class::Dependency),
        ("installed a post-installation script subprocess returned error exit status 1", Class::Script),
        ("end of file on stdin at conffile prompt", Class::Script),
        ("triggers looping, abandoned", Class::Script),
        ("cannot copy extracted data: failed to write (No space left on device)", Class::Space),
        ("new a package preinst maintainer script subprocess failed with exit status 2", Class::Script),
        ("installing a would break b, and", Class::Dependency),
        ("pre-dependency problem - not installing a", Class::Dependency),
        ("conflicting packages - not installing a", Class::Dependency),
        ("package architecture (i386) does not match system (amd64)", Class::Dependency),
        ("dpkg-deb --control subprocess returned error exit status 2", Class::Fetch),
        (
            "cannot copy extracted data for './a' to '/a.dpkg-new': unexpected end of file or stream",
            Class::Fetch,
        ),
        ("unable to open '/usr/share/scripts/x.dpkg-new': Operation not permitted", Class::Other),
        ("something else", Class::Other),
    ] {
        let text = format!("dpkg: error processing package a (--unpack):\n {reason}\n");
        let failure =
            classify(&finished(&text, "E: Sub-process /usr/bin/dpkg returned an error code (1)\n", ""));
        assert_eq!(failure.class, class, "{reason}");
    }
}

#[test]
fn a_line_that_only_sums_up_is_not_the_reason() {
    for (stdout, stderr, class, words) in [
        (
            "",
            "E: Sub-process echo x; false returned an error code (1)\nE: Failure running script echo x; false\n",
            Class::Script,
            "Failure running script",
        ),
        (
            "Could not exec dpkg!\n",
            "E: Sub-process /usr/bin/nope returned an error code (100)\n",
            Class::Config,
            "could not start dpkg: Could not exec dpkg!",
        ),
        (
            "",
            "dpkg: error: unknown option --x\n\nE: Sub-process /usr/bin/dpkg returned an error code (2)\n",
            Class::Config,
            "unknown option --x",
        ),
        (
            "",
            "E: Problem executing scripts DPkg::Post-Invoke 'false'\nE: Sub-process returned an error code\n",
            Class::Script,
            "DPkg::Post-Invoke",
        ),
    ] {
        let failure = classify(&finished(stdout, stderr, ""));
        assert_eq!(failure.class, class, "{stderr}");
        assert!(failure.message.contains(words), "{failure:?}");
    }
}

#[test]
fn a_script_is_taken_neither_for_dpkg_nor_for_apt() {
    // dpkg's own errors come over the descriptor too.
    let error = "dpkg: error processing package a (--configure):\n installed a package post-installation script subprocess returned error exit status 1\n";
    let nested = "dpkg: error: dpkg frontend lock was locked by another process with pid 1\n";
    let status = "pmstatus:dpkg-exec:0.0000:Running dpkg\npmerror:a:71.4286:installed a package post-installation script subprocess returned error exit status 1\n";
    let failure = classify(&finished("", &format!("{nested}{error}"), status));
    assert_eq!(
        (failure.class, failure.message.split(':').next()),
        (Class::Script, Some("package a (--configure)"))
    );
    // Also where its lines are lost.
    let failure = classify(&finished(nested, "", "pmerror:a:amd64:71.4:installed a script was killed\n"));
    assert_eq!(failure.message, "a:amd64: installed a script was killed");
    // A hook fails after scripts that print anything.
    let liar = "E: The following signatures were invalid: BADSIG\nE: No space left on device\nnot apt's\n";
    let hook = "E: Problem executing scripts DPkg::Post-Invoke 'x'\nE: Sub-process returned an error code\n";
    let failure = classify(&finished("", &format!("{liar}{hook}"), "pmstatus:x:0.0:y\n"));
    assert_eq!(failure.class, Class::Script, "{failure:?}");
}

#[test]
fn of_several_errors_of_dpkg_the_cause_is_told() {
    let error = |package: &str, reason: &str| {
        format!("dpkg: error processing package {package} (--configure):\n {reason}\n")
    };
    let follows = error("b", "dependency problems - leaving unconfigured");
    let script =
        error("a", "installed a package post-installation script subprocess returned error exit status 1");
    let full = error("c", "cannot copy extracted data: failed to write (No space left on device)");
    for (text, class, package) in [
        (format!("{follows}{script}"), Class::Script, "package a "),
        (format!("{script}{follows}"), Class::Script, "package a "),
        (format!("{script}{full}"), Class::Space, "package c "),
        (follows.clone(), Class::Dependency, "package b "),
    ] {
        let failure =
            classify(&finished(&text, "E: Sub-process /usr/bin/dpkg returned an error code (1)\n", ""));
        assert_eq!(failure.class, class, "{text}");
        assert!(failure.message.starts_with(package), "{failure:?}");
    }
}

#[test]
fn what_dpkg_says_of_its_database_names_the_file() {
    let text = "dpkg-query: error: parsing file '/var/lib/dpkg/status' near line 15 package 'x':\n field name 'Status' must be followed by colon\n";
    let failure = classify(&finished("", text, ""));
    assert!(failure.message.starts_with("parsing file '/var/lib/dpkg/status' near line 15"), "{failure:?}");
    assert!(failure.message.ends_with("must be followed by colon"), "{failure:?}");
    let class = dpkg_class("there is no script in the new version of the package - giving up");
    assert_eq!(class, Class::Script);
    let class =
        dpkg_class("invalid syntax in configuration file: /etc/dpkg/dpkg.cfg.d/x:1: unknown option 'x'");
    assert_eq!(class, Class::Config);
    let class = dpkg_class("syntax error in file triggers file '/var/lib/dpkg/triggers/File'");
    assert_eq!(class, Class::Other);
}

#[test]
fn where_no_line_decides_the_last_one_is_told() {
    let failure = classify(&finished("one\ntwo\n", "\n", ""));
    assert_eq!((failure.class, failure.message.as_str()), (Class::Other, "two"));
}

#[test]
fn continuation_lines_belong_to_their_message() {
    let text =
        "E: Failed to fetch u  Hash Sum mismatch\n   Hashes:\n    - SHA256:x\nnot apt's\n   nor this\nW: w\n";
    let found = messages(text);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].text, "Failed to fetch u  Hash Sum mismatch Hashes: - SHA256:x");
    assert!(found[0].is_error && !found[1].is_error);
}

#[test]
fn in_an_update_only_what_stands_behind_the_hooks_is_apts() {
    let hook = "E: Could not get lock /var/lib/apt/lists/lock\ndpkg: error: dpkg frontend lock was locked by another process\n";
    let own = "E: Failed to fetch http://h/InRelease  503  X\n";
    let failure = classify(&finished("", &format!("{hook}{HOOKS_ENDED}\n{own}"), ""));
    assert_eq!(failure.class, Class::Fetch, "{failure:?}");
    let failure = classify(&finished("", &format!("{hook}{own}"), ""));
    assert_eq!(failure.class, Class::Lock, "without the mark all counts: {failure:?}");
}

#[test]
fn a_hook_that_failed_is_told_with_its_words_unless_dpkg_failed_too() {
    let words = "E: Could not get lock /x\n";
    let hook = "E: Problem executing scripts DPkg::Post-Invoke 'x'\nE: Sub-process returned an error code\n";
    let failure = classify(&finished("", &format!("{words}{hook}"), ""));
    let expected = "Problem executing scripts DPkg::Post-Invoke 'x': \"E: Could not get lock /x\"";
    assert_eq!((failure.class, &*failure.message), (Class::Script, expected));
    let dpkg = "dpkg: error processing archive /a.deb (--unpack):\n trying to overwrite '/x'\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n";
    let failure = classify(&finished("", &format!("{dpkg}{hook}"), "pmstatus:x:0.0:y\n"));
    assert!(failure.message.starts_with("archive /a.deb"), "{failure:?}");
    for words in ["exited unexpectedly", "received a segmentation fault."] {
        let died = format!("{hook}E: Sub-process /usr/bin/dpkg {words}\n");
        let failure = classify(&finished("", &died, "pmstatus:x:0.0:y\n"));
        assert_eq!(failure.class, Class::Interrupted, "{failure:?}");
    }
}

#[test]
fn an_archive_among_many_is_told_by_its_own_name() {
    let link = "/tmp/apt-dpkg-install-Ab3dEf/03-tb-x_1%3a2.0_all.deb";
    let reason = "trying to overwrite '/x', which is also in package tb-y 1.0";
    let told = "archive tb-x_1%3a2.0_all.deb (--unpack): trying to overwrite '/x', which is also in package tb-y 1.0";
    let dpkg = format!("dpkg: error processing archive {link} (--unpack):\n {reason}\n");
    assert_eq!(classify(&finished("", &dpkg, "pmstatus:x:0.0:y\n")).message, told);
    let script = "new tb-x package pre-installation script subprocess returned error exit status 1";
    let stdout = "Preparing to unpack .../03-tb-x_1%3a2.0_all.deb ...\nUnpacking tb-x (1:2.0) over (1.0) ...\nno room\n";
    let dpkg = format!("dpkg: error processing archive {link} (--unpack):\n {script}\n");
    let failure = classify(&finished(stdout, &dpkg, "pmstatus:x:0.0:y\n"));
    assert_eq!(failure.message, format!("archive tb-x_1%3a2.0_all.deb (--unpack): {script}: \"no room\""));
    // Where only apt's status descriptor has it.
    let status =
        format!("pmstatus:x:0.0:y\npmerror:{link}:33.3333:cannot access archive '{link}': No such file\n");
    let failure = classify(&finished("", "", &status));
    assert_eq!(
        failure.message,
        "tb-x_1%3a2.0_all.deb: cannot access archive 'tb-x_1%3a2.0_all.deb': No such file"
    );
    // The number of a package's own name stays.
    let dpkg = "dpkg: error processing archive /var/cache/apt/archives/2048-qt_2.0_all.deb (--unpack):\n trying to overwrite '/x'\n";
    let failure = classify(&finished("", dpkg, "pmstatus:x:0.0:y\n"));
    assert!(failure.message.contains("/var/cache/apt/archives/2048-qt_2.0_all.deb"), "{failure:?}");
}
