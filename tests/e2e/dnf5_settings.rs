//! What dnf.conf says changes nothing that linux-patch reads, with the real dnf 5.

use crate::leisure::{at_leisure, option};
use std::time::Duration;

use serde_json::Value;

use crate::dnf5::{Dnf5, one, pending_update, three};
use crate::manager::{Manager, Package};
use crate::rpm::{RpmRepo, rpm};
use crate::sandbox::{Running, Sandbox};
use crate::server::Fault;

/// Every setting that changes what is printed, asked or answered and where it is kept, set to the wrong value.
pub struct Misconfigured(Dnf5);

const WRONG: &str = "[main]\ncolor=always\ncacheonly=all\nassumeno=1\nassumeyes=1\ndefaultyes=1\nbest=1\n\
    debuglevel=0\nerrorlevel=0\nrpmverbosity=critical\nsystem_cachedir=/srv/moved\ncachedir=/srv/others\n\
    metadata_expire=never\nskip_if_unavailable=1\nskip_broken=0\nskip_unavailable=1\ndisable_excludes=*\n\
    obsoletes=0\nmultilib_policy=all\nkeepcache=1\nexit_on_lock=1\nlogdir=/srv/nowhere\nplugins=0\n\
    installonly_limit=2\noptional_metadata_types=comps\nhistory_record=0\nhistory_list_view=users\n\
    system_state_dir=/srv/state\ntransformdb=/srv/transform\n\
    pluginconfpath=/srv/plugins\ndebugdir=/srv/debug\nreposdir=/srv/none,/srv/repos\nvarsdir=/srv/vars\n";

impl Manager for Misconfigured {
    as_unturned!(Dnf5);
    const DOWNLOADS: &'static str = "/srv/moved";
    const INDEXES: &'static str = "/srv/moved";

    fn new() -> Misconfigured {
        let manager = Dnf5::new();
        manager.sandbox().write("/etc/dnf/dnf.conf", WRONG);
        // Also as another file of the configuration, as what overrides the repositories, and with no
        // file that names options as dnf 4 had them.
        manager.sandbox().write("/etc/dnf/libdnf5.conf.d/wrong.conf", WRONG);
        let overrides = "[*]\nname=\u{1b}[1m100% | x | y | z\nmetadata_expire=never\nskip_if_unavailable=1\n";
        manager.sandbox().write("/etc/dnf/repos.override.d/wrong.repo", overrides);
        manager.sandbox().sh("rm -r /usr/share/dnf5/aliases.d");
        Misconfigured(manager)
    }

    fn add_source(&self, name: &str, repo: &RpmRepo) {
        self.0.add_source(name, repo);
        self.sandbox().sh("mkdir -p /srv/repos; mv /etc/yum.repos.d/*.repo /srv/repos");
    }

    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32) {
        self.0.hold_lock(time)
    }
}

#[test]
fn a_list_in_colour_or_none_at_all_is_never_nothing_pending() {
    let (root, _repo) = pending_update();
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\ncolor=always\n");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    // A dnf5 that prints its list in a way nobody knows.
    let changed = "case \"$*\" in *upgrade*) exec 3>&1; { /usr/bin/dnf5 \"$@\" 3>&-; echo $? >/run/code; } | \
                   sed 's/^Upgrading:/New headline:/' >&3; exit $(cat /run/code);; esac\n\
                   exec /usr/bin/dnf5 \"$@\"";
    root.sandbox.write_script("/usr/local/bin/dnf5", changed);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(1).remembers("/pending/count", Value::Null).remembers("/pending/error/class", "other");
    let applied = root.patch(&["apply"]);
    applied.apply_failed("other").changed(&[]).mentions("/error/message", "says that 1 package would change");
}

#[test]
fn a_package_database_that_cannot_be_read_is_never_nothing_pending() {
    let (root, _repo) = pending_update();
    root.patch(&["refresh"]).exits(0);
    root.sandbox.sh("for file in /var/lib/rpm/*; do echo garbage >$file; done");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(2).mentions("/reason", "rpm");
    root.patch(&["apply"]).exits(2).changed(&[]);
}

#[test]
fn a_repository_that_needs_longer_than_we_would_wait_gets_the_time_that_dnf_conf_gives_it() {
    let (root, repo) = pending_update();
    repo.server.fault("/repodata", Fault::Late(2500));
    // With 30 s and more, ours would be longer.
    root.patch(&["refresh", "--timeout", "29s"]).refresh_failed("network");
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\ntimeout=15\n");
    root.patch(&["refresh", "--timeout", "29s"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn an_index_kept_elsewhere_is_refreshed_and_its_advisories_are_counted() {
    let new = [rpm("tb-hello", "2.0")];
    let (root, repo) = one(&[rpm("tb-hello", "1.0")], &new);
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\nsystem_cachedir=/srv/moved\n");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    assert!(!root.sandbox.list("/srv/moved").is_empty());
    repo.publish_with_advisory("security", &new);
    root.patch(&["refresh"]).exits(0).remembers("/pending/security", 1);
    repo.publish(&[rpm("tb-hello", "3.0")]);
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 3.0-1"]);
}

#[test]
fn a_repository_added_where_dnf_conf_puts_repositories_makes_the_state_stale() {
    let (root, _repo) = pending_update();
    root.patch(&["refresh"]).exits(0);
    // Files that it does not read are no sources, in dnf5 or here.
    root.sandbox.sh("touch /etc/yum.repos.d/README");
    root.patch(&["status"]).exits(0);
    root.sandbox.sh("mkdir /srv/repos; mv /etc/yum.repos.d/test.repo /srv/repos");
    root.sandbox.write("/etc/dnf/dnf.conf", "[main]\nreposdir=/srv/repos\n");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    root.sandbox.sh("touch /srv/repos/README");
    root.patch(&["status"]).exits(0);
    root.sandbox.write("/srv/repos/.more.repo", "[hidden]\nname=hidden\nbaseurl=http://127.0.0.1:9/\n");
    root.patch(&["status"]).exits(1).says("/cache_status", "stale");
    root.sandbox.sh("rm /srv/repos/.more.repo");
    root.sandbox.write("/srv/repos/more.repo", "[more]\nname=more\nbaseurl=http://127.0.0.1:9/\n");
    root.patch(&["status"]).exits(1).says("/cache_status", "stale");
}

#[test]
fn a_repository_that_dribbles_costs_only_itself() {
    for fault in [Fault::Trickle(5), Fault::Hang] {
        let (root, repos) = three("");
        root.patch(&["refresh"]).exits(0);
        repos.iter().for_each(|repo| repo.publish(&[]));
        root.sandbox.write("/etc/dnf/dnf.conf", "[main]\nminrate=1\ntimeout=100\n");
        repos[1].server.fault("/repodata", fault);
        // Time for dnf5 to start some times also on a machine that does much else.
        let time = at_leisure(40);
        let refreshed = root.patch(&["refresh", "--timeout", &option(time)]);
        refreshed.exits(1).leaves_pending(&[]);
        assert_eq!(refreshed.failed_sources().len(), 1, "{refreshed}");
        assert_eq!(refreshed.failed_sources()[0].0, "beta", "{refreshed}");
        assert_eq!(refreshed.state["sources"].as_array().map(Vec::len), Some(3), "{refreshed}");
        assert!(refreshed.elapsed < time + at_leisure(7), "{refreshed}");
        root.sandbox.runs_nothing();
    }
}
