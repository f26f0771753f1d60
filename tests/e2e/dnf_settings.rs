//! What dnf.conf says changes nothing that linux-patch reads, with the real dnf 4.

use std::time::Duration;

use crate::dnf::Dnf;
use crate::locks;
use crate::manager::{Manager, Package};
use crate::rpm::{RpmRepo, one, rpm};
use crate::sandbox::{Running, Sandbox};

/// Every setting that changes what is printed, what is asked, what is answered and where it is kept,
/// turned the wrong way.
pub struct Misconfigured(Dnf);

const WRONG: &str = "[main]\ncolor=always\ndebuglevel=0\nerrorlevel=0\nrpmverbosity=critical\nassumeno=1\n\
    defaultyes=1\nbest=1\nstrict=0\nskip_if_unavailable=1\nskip_broken=0\ncacheonly=1\ncachedir=/srv/moved\n\
    persistdir=/srv/persist\nlogdir=/srv/logs\nmetadata_expire=never\nmetadata_timer_sync=864000\n\
    exit_on_lock=0\nkeepcache=0\nobsoletes=1\nshowdupesfromrepos=1\nautocheck_running_kernel=1\n\
    clean_requirements_on_remove=0\ninstallonly_limit=2\nmultilib_policy=all\nhistory_record=0\n\
    history_list_view=users\ndisable_excludes=all\nmax_parallel_downloads=1\nmodule_obsoletes=1\n";

impl Manager for Misconfigured {
    as_unturned!(Dnf);
    const DOWNLOADS: &'static str = "/srv/moved";
    const INDEXES: &'static str = "/srv/moved";

    fn new() -> Misconfigured {
        let manager = Dnf::new();
        manager.sandbox().write("/etc/dnf/dnf.conf", WRONG);
        manager.sandbox().sh("mkdir /srv/moved");
        Misconfigured(manager)
    }

    fn add_source(&self, name: &str, repo: &RpmRepo) {
        self.0.add_source(name, repo);
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
