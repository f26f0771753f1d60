//! What dnf.conf says changes nothing that linux-patch reads, with the real dnf 4.

use std::time::Duration;

use crate::dnf::Dnf;
use crate::locks;
use crate::manager::{Manager, Package};
use crate::rpm::{RpmRepo, one, pending_update, rpm};
use crate::sandbox::{Running, Sandbox};
use crate::server::Fault;

/// Every setting that changes what is printed, asked or answered and where it is kept, set to the wrong value.
pub struct Misconfigured(Dnf);

const WRONG: &str = "[main]\ncolor=always\ndebuglevel=0\nerrorlevel=0\nrpmverbosity=critical\nassumeno=1\n\
    defaultyes=1\nbest=1\nstrict=0\nskip_if_unavailable=1\nskip_broken=0\ncacheonly=1\ncachedir=/srv/moved\n\
    persistdir=/srv/persist\nlogdir=/srv/logs\nmetadata_expire=never\nmetadata_timer_sync=864000\n\
    exit_on_lock=0\nkeepcache=0\nobsoletes=1\nshowdupesfromrepos=1\nautocheck_running_kernel=1\n\
    clean_requirements_on_remove=0\ninstallonly_limit=2\nmultilib_policy=all\nhistory_record=0\n\
    history_list_view=users\ndestdir=/srv/dest\npluginconfpath=/srv/plugins\n\
    reposdir=/srv/none,/srv/repos\nvarsdir=/srv/vars\ndisable_excludes=all\nmax_parallel_downloads=1\nmodule_obsoletes=1\n";

impl Manager for Misconfigured {
    as_unturned!(Dnf);
    const DOWNLOADS: &'static str = "/srv/dest";
    const INDEXES: &'static str = "/srv/moved";

    fn new() -> Misconfigured {
        let manager = Dnf::new();
        manager.sandbox().write("/etc/dnf/dnf.conf", WRONG);
        manager.sandbox().sh("mkdir /srv/moved /srv/repos");
        let aliases = "[aliases]\nupgrade=downgrade\ncheck-update=makecache\nrepolist=list\nrepoquery=list\n";
        manager.sandbox().write("/etc/dnf/aliases.d/USER.conf", aliases);
        Misconfigured(manager)
    }

    fn add_source(&self, name: &str, repo: &RpmRepo) {
        self.0.add_source(name, repo);
        self.sandbox().sh("mv /etc/yum.repos.d/*.repo /srv/repos");
    }

    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32) {
        locks::hold_by_number(self.sandbox(), "/srv/moved/metadata_lock.pid", time)
    }
}

#[test]
fn an_index_kept_elsewhere_is_refreshed_and_its_advisories_are_counted() {
    let new = [rpm("tb-hello", "2.0")];
    let (root, repo) = one(&[rpm("tb-hello", "1.0")], &new);
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\ncachedir=/srv/moved\n");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    assert!(!root.sandbox.list("/srv/moved").is_empty());
    repo.publish_with_advisory("security", &new);
    root.patch(&["refresh"]).exits(0).remembers("/pending/security", 1);
    repo.publish(&[rpm("tb-hello", "3.0")]);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 3.0-1"]);
}

#[test]
fn the_holder_of_a_lock_that_dnf_conf_puts_elsewhere_is_named() {
    let (root, _repo) = pending_update();
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\npersistdir = /srv/persist/\n");
    root.patch(&["refresh"]).exits(0);
    root.sandbox.sh("mkdir -p /srv/persist");
    let (holder, pid) =
        locks::hold_by_number(&root.sandbox, "/srv/persist/rpmdb_lock.pid", Duration::from_secs(60));
    let applied = root.patch(&["apply", "--wait", "2"]);
    applied.apply_failed("lock").mentions("/reason", &format!("process {pid}"));
    let explained = root.sandbox.run(&["linux-patch", "status", "--explain"]).stdout;
    let line = explained.lines().find(|line| line.starts_with("! lock: ")).unwrap_or_default();
    assert!(line.contains(&format!("process {pid}")) && line.ends_with("holds a lock of dnf"), "{explained}");
    root.sandbox.sh(&format!("kill {pid}"));
    holder.wait();
    root.sandbox.sh("rm /srv/persist/rpmdb_lock.pid");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn a_repository_added_where_dnf_conf_puts_repositories_makes_the_state_stale() {
    for reposdir in
        ["reposdir=/srv/repos", "reposdir = /etc/none, /srv/repos/", "reposdir=/etc/none\n   /srv/repos"]
    {
        let (root, _repo) = pending_update();
        root.sandbox.sh("mkdir /srv/repos; mv /etc/yum.repos.d/test.repo /srv/repos");
        root.sandbox.write("/etc/dnf/dnf.conf", format!("[main]\n{reposdir}\n"));
        root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
        root.patch(&["status"]).exits(0);
        root.sandbox.write("/srv/repos/more.repo", "[more]\nname=more\nbaseurl=http://127.0.0.1:9/\n");
        root.patch(&["status"]).exits(1).says("/cache_status", "stale");
    }
}

#[test]
fn a_variable_changed_where_dnf_conf_puts_variables_makes_the_state_stale() {
    let (root, repo) = pending_update();
    let url = repo.server.url();
    root.sandbox.write("/srv/vars/place", &url);
    root.sandbox.write("/etc/yum.repos.d/test.repo", "[test]\nname=test\nbaseurl=$place\ngpgcheck=0\n");
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\nvarsdir=/srv/vars\n");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.patch(&["status"]).exits(0);
    root.sandbox.write("/srv/vars/place", "http://127.0.0.1:9/");
    root.patch(&["status"]).exits(1).says("/cache_status", "stale");
}

#[test]
fn limits_of_a_repository_elsewhere_are_kept() {
    let (root, repo) = pending_update();
    repo.server.fault("/repodata", Fault::Late(2500));
    root.sandbox.sh("mkdir /srv/repos; mv /etc/yum.repos.d/test.repo /srv/repos");
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\nreposdir=/srv/repos\n");
    root.patch(&["refresh", "--timeout", "29s"]).refresh_failed("network");
    root.sandbox.sh("echo timeout=15 >>/srv/repos/test.repo");
    root.patch(&["refresh", "--timeout", "29s"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn every_repository_is_in_the_ledger_where_dnf_itself_cannot_begin() {
    let (root, _repo) = pending_update();
    root.add_repo_with("more", "http://127.0.0.1:9/", "");
    root.add_repo_with("off", "http://127.0.0.1:9/", "enabled=0\n");
    let all = |report: &crate::report::Report| {
        let sources = report.state["sources"].as_array().cloned().unwrap_or_default();
        let ids: Vec<_> = sources.iter().map(|source| source["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, ["more", "test"], "{report}");
    };
    let (holder, pid) =
        locks::hold_by_number(&root.sandbox, "/var/cache/dnf/metadata_lock.pid", Duration::from_secs(60));
    let refreshed = root.patch(&["refresh", "--timeout", "8s"]);
    refreshed.refresh_failed("lock");
    all(&refreshed);
    root.sandbox.signal(pid, "KILL");
    holder.wait();
    root.sandbox.sh("rm /var/cache/dnf/metadata_lock.pid; rm -r /var/lib/linux-patch");
    root.sandbox.sh("for file in /var/lib/rpm/*; do echo garbage >$file; done");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(2);
    all(&refreshed);
}
