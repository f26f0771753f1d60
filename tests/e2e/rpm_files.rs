//! What is wrong with the files of repositories, with the real dnf 4, dnf 5 and zypper.

use serde_json::Value;

use crate::dnf5;
use crate::report::Report;
use crate::rpm::{Root, Rpm, RpmRepo, rpm};
use crate::zypper::Zypper;

/// A root of each manager in which tb-hello has an update in a repository `test`, and tb-a one elsewhere.
fn each(test: impl Fn(&Root, &RpmRepo, &str)) {
    let old = [rpm("tb-hello", "1.0"), rpm("tb-a", "1.0")];
    let (good, more) = (RpmRepo::new(&[rpm("tb-hello", "2.0")]), RpmRepo::new(&[rpm("tb-a", "2.0")]));
    let zypper = Zypper::with(&old);
    zypper.add_repo("test", &good);
    test(&zypper.root, &more, "/etc/zypp/repos.d");
    for make in [Root::new as fn(&[Rpm]) -> Root, dnf5::root] {
        let root = make(&old);
        root.add_repo("test", &good);
        test(&root, &more, "/etc/yum.repos.d");
    }
}

fn stanza(id: &str, repo: &RpmRepo, more: &str) -> String {
    format!("[{id}]\nname=x\nbaseurl={}\ngpgcheck=0\n{more}", repo.server.url())
}

#[test]
fn a_repository_that_is_switched_off_costs_nothing_whatever_is_wrong_with_it() {
    each(|root, more, dir| {
        let faults = [
            stanza("my repo", more, "enabled=0\n"),
            stanza("my/repo", more, "enabled = no\n"),
            "[more]\nname=x\nenabled=0\n".to_string(),
            "[more]\nname=x\nbaseurl=htp://x/\nenabled=0\n".to_string(),
            stanza("more", more, "enabled=0\ntimeout=abc\npriority=x\nmetadata_expire=sometimes\n"),
            stanza("test", more, "enabled=0\n"),
        ];
        for fault in faults {
            // dnf5 itself does nothing at all then, and which of two files zypper reads is not told by their names.
            let is_other = (root.manager == "dnf5" && fault.starts_with("[my"))
                || (root.manager == "zypper" && fault.starts_with("[test"));
            if is_other {
                continue;
            }
            root.sandbox.write(&format!("{dir}/zz.repo"), &fault);
            let refreshed = root.patch(&["refresh"]);
            refreshed.exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
            assert_eq!(refreshed.state["sources"].as_array().map(Vec::len), Some(1), "{fault}{refreshed}");
        }
        root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    });
}

#[test]
fn of_a_setting_that_a_manager_passes_over_the_repository_does_not_suffer() {
    each(|root, more, dir| {
        let text = stanza("more", more, "timeout=abc\nretries=many\n");
        root.sandbox.write(&format!("{dir}/more.repo"), text);
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-a 1.0-1 2.0-1", "tb-hello 1.0-1 2.0-1"]);
    });
}

#[test]
fn a_repository_whose_identifier_another_one_has_is_named_and_the_others_go_on() {
    each(|root, more, dir| {
        let id = |name: &str| format!("test ({dir}/{name}.repo)");
        let pending = |report: &Report| report.state["pending"]["packages"][0]["name"].clone();
        root.sandbox.write(&format!("{dir}/zz.repo"), stanza("test", more, ""));
        let refreshed = root.patch(&["refresh"]);
        // zypper reads first what the directory lists first, the others by name.
        let (read, other) = if pending(&refreshed) == "tb-a" { ("zz", "test") } else { ("test", "zz") };
        refreshed.exits(1).one_source_failed(2, &id(other), "config").remembers("/pending/count", 1);
        refreshed.mentions("/reason", &format!("{dir}/{read}.repo"));
        let changed = if read == "zz" { "tb-a 1.0-1 2.0-1" } else { "tb-hello 1.0-1 2.0-1" };
        root.patch(&["apply"]).exits(1).changed(&[changed]).leaves_pending(&[]);
        root.patch(&["apply"]).exits(1).changed(&[]);
        // What is read is switched off, so that the other one looks as if it were on.
        root.sandbox.sh(&format!("echo enabled=0 >>{dir}/{read}.repo"));
        root.sandbox.write(&format!("{dir}/other.repo"), stanza("other", more, ""));
        root.patch(&["refresh"]).exits(1).one_source_failed(2, &id(other), "config");
        // With the same packages nothing is missed.
        root.sandbox.sh(&format!(
            "sed 's/^name=.*/name=again/; /enabled/d' {dir}/{read}.repo >{dir}/{other}.repo; \
                                  sed -i /enabled/d {dir}/{read}.repo"
        ));
        root.patch(&["refresh"]).exits(0);
    });
}

#[test]
fn a_byte_that_is_no_utf_8_is_a_fault_of_the_configuration_that_is_named_or_none() {
    each(|root, more, dir| {
        let latin = |text: String| -> Vec<u8> {
            text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect()
        };
        let files = [
            (format!("{dir}/more.repo"), stanza("more", more, "password=gr\u{fc}n\n"), 5),
            (format!("{dir}/more.repo"), stanza("more", more, "enabled=0\nn\u{e9}=1\n"), 6),
            (
                format!("{dir}/more.repo"),
                format!("# caf\u{e9}\n{}", stanza("caf\u{e9}", more, "enabled=0\n")),
                2,
            ),
            ("/etc/dnf/dnf.conf".to_string(), "[main]\nbest=1\nexcludepkgs=caf\u{e9}\n".to_string(), 3),
            ("/etc/dnf/vars/tbvar".to_string(), "caf\u{e9}\n".to_string(), 1),
        ];
        for (path, text, line) in files {
            root.sandbox.write(&path, latin(text.clone()));
            let refreshed = root.patch(&["refresh"]);
            let is_bad_id = root.manager == "dnf5" && text.contains("[caf");
            // Newer versions of dnf 4 read some of it.
            let plain = root.sandbox.run(&["sh", "-c", "dnf -C repolist --all"]);
            if is_bad_id || (root.manager == "dnf" && plain.code != 0) {
                let place = if is_bad_id { path.clone() } else { format!("{path}:{line}: ") };
                refreshed.refresh_failed("config").mentions("/reason", &place);
                assert!(refreshed.failed_sources().iter().any(|(id, _)| id == "test"), "{refreshed}");
                root.patch(&["apply"]).apply_failed("config").changed(&[]);
            } else {
                refreshed.exits(0).remembers("/last_update_error", Value::Null);
            }
            root.sandbox.sh(&format!("rm {path}"));
        }
        root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    });
}

#[test]
fn the_file_with_an_identifier_at_which_dnf5_stops_is_named() {
    let root = dnf5::root(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    root.add_repo("test", &repo);
    for more in ["", "enabled=0\n"] {
        root.sandbox.write("/etc/yum.repos.d/more.repo", stanza("my repo", &repo, more));
        let refreshed = root.patch(&["refresh"]);
        refreshed.refresh_failed("config").mentions("/reason", "/etc/yum.repos.d/more.repo: ");
        assert!(refreshed.failed_sources().iter().any(|(id, _)| id == "test"), "{refreshed}");
    }
}

#[test]
fn repositories_that_the_manager_never_came_to_stand_in_the_ledger() {
    each(|root, more, dir| {
        root.sandbox.write(&format!("{dir}/off.repo"), stanza("off", more, "enabled=0\n"));
        root.sandbox.write(&format!("{dir}/more.repo"), stanza("more", more, ""));
        // zypper crashes over the one, dnf 5 over the other.
        root.sandbox.write("/etc/zypp/zypp.conf", "nonsense\n");
        root.sandbox.write("/etc/dnf/dnf.conf", "[main]\nbandwidth=x\n");
        let refreshed = root.patch(&["refresh"]);
        if root.manager == "dnf" {
            // It passes over that.
            refreshed.exits(0);
        } else {
            refreshed.refresh_failed("config");
            let named = if root.manager == "dnf5" { "/etc/dnf/dnf.conf: bandwidth=x" } else { "zypp.conf" };
            refreshed.mentions("/error/message", named);
            let failed = ["more", "test"].map(|id| (id.to_string(), "config".to_string()));
            assert_eq!(refreshed.failed_sources(), failed, "{refreshed}");
        }
    });
}

#[test]
fn a_package_database_that_is_gone_or_elsewhere_is_not_one_with_nothing_pending() {
    each(|root, _more, _dir| {
        // On another system rpm may well have none.
        root.sandbox.write("/etc/os-release", "ID=x\nID_LIKE=\"fedora suse\"\n");
        root.sandbox.write("/root/.rpmmacros", "%_dbpath /srv/nowhere\n");
        // zypper does not read that, but rpm does.
        if root.manager != "zypper" {
            let refreshed = root.patch(&["refresh"]);
            refreshed.exits(1).remembers("/pending/count", Value::Null);
            refreshed.mentions("/error/message", "lists no package");
        }
        root.patch(&["apply"]).exits(2).changed(&[]).mentions("/error/message", "lists no package");
        root.sandbox.sh("rm /root/.rpmmacros; mv /var/lib/rpm /srv/rpm; mkdir /var/lib/rpm");
        root.patch(&["refresh"]).exits(1).mentions("/error/message", "lists no package");
        root.patch(&["apply"]).exits(2).changed(&[]);
        root.sandbox.sh("rm -r /var/lib/rpm; mv /srv/rpm /var/lib/rpm");
        root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    });
}

#[test]
fn the_file_with_an_address_at_which_zypper_stops_is_named() {
    let manager = Zypper::with(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    manager.add_repo("test", &repo);
    for address in ["http://[::1/", "http://127.0.0.1:99999/", "http://me@127.0.0.1:abc/x", "a b"] {
        let stanza = format!("[more]\nname=x\nenabled=0\nbaseurl={address}\n");
        manager.sandbox().write("/etc/zypp/repos.d/zz.repo", stanza);
        let refreshed = manager.patch(&["refresh"]);
        refreshed.refresh_failed("config");
        refreshed.mentions("/error/message", "/etc/zypp/repos.d/zz.repo: [more]: ");
    }
}

#[test]
fn every_file_in_which_a_source_is_found_makes_the_index_stale_and_no_other_does() {
    each(|root, more, dir| {
        let is_zypper = root.manager == "zypper";
        let names = "a.repo a.repo_1 a.repo_12 a.repo_x1 a.repo_1.rpmsave a.repo_ a.REPO a.repo.rpmnew .a.repo a.repo~ a";
        let services = "a.service a a.service.rpmsave a.service~ .a.service a.repo";
        let services =
            services.split(' ').filter(|_| is_zypper).map(|name| format!("/etc/zypp/services.d/{name}"));
        let lists: &[&str] = match root.manager {
            "zypper" => &["zypper", "--no-refresh", "services", "--with-repos"],
            "dnf" => &["dnf", "-C", "repolist", "--all"],
            _ => &["dnf5", "-C", "repo", "list", "--all"],
        };
        root.sandbox.sh("mkdir -p /etc/zypp/services.d");
        root.patch(&["refresh"]).exits(0);
        let mut wrong = Vec::new();
        for path in names.split(' ').map(|name| format!("{dir}/{name}")).chain(services) {
            let service = "[tb-new]\nname=x\nenabled=0\nurl=http://127.0.0.1/a\ntype=ris\n".to_string();
            let is_service = path.contains("services.d");
            let text = if is_service { service } else { stanza("tb-new", more, "enabled=0\n") };
            root.sandbox.write(&path, text);
            let listed = root.sandbox.run(lists).stdout;
            assert!(listed.contains("test"), "{listed}");
            let is_read = listed.contains("tb-new");
            if (root.patch(&["status"]).code == 1) != is_read {
                wrong.push((path.clone(), is_read));
            }
            root.sandbox.sh(&format!("rm '{path}'"));
            root.patch(&["status"]).exits(0);
        }
        assert!(wrong.is_empty(), "{}, with whether it is read: {wrong:?}", root.manager);
    });
}
