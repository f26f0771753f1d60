//! dnf 5's part in the scenarios of every manager, in the root of a newer Debian.

use std::time::Duration;

use crate::dnf::{all, installed, shell};
use crate::locks;
use crate::manager::{Lack, Manager, Package};
use crate::rpm::{Root, Rpm, RpmRepo, one_in, rpm, three_in};
use crate::sandbox::{Running, Sandbox};

/// Which every dnf5 takes before it looks at the package database.
pub const SYSTEM_LOCK: &str = "/var/lib/dnf/system-repo.lock";

pub struct Dnf5 {
    root: Root,
}

pub fn root(installed: &[Rpm]) -> Root {
    let root = Root::of("dnf5", Sandbox::newer(), installed);
    // Debian switches on a plugin that Fedora does not, and that needs a package of its own: it
    // makes a repository of all that was installed. Its dnf.conf decides what dnf5 leaves out.
    root.sandbox.sh("mkdir -p /var/lib/dnf; rm -f /etc/dnf/dnf.conf; \
         printf '[main]\\nenabled=0\\n' >/etc/dnf/libdnf5-plugins/local.conf");
    root
}

/// A root with these packages and one repository with those.
#[track_caller]
pub fn one(installed: &[Rpm], published: &[Rpm]) -> (Root, RpmRepo) {
    one_in(root(installed), published)
}

/// tb-hello 1.0 is installed and 2.0 is published.
#[track_caller]
pub fn pending_update() -> (Root, RpmRepo) {
    one(&[rpm("tb-hello", "1.0")], &[rpm("tb-hello", "2.0")])
}

/// Three repositories, each with an update for a package of its own.
#[track_caller]
pub fn three(more: &str) -> (Root, [RpmRepo; 3]) {
    three_in(root(&[]), more)
}

impl Manager for Dnf5 {
    const NAME: &'static str = "dnf5";
    const PASSES_OVER: bool = true;
    const LACKS: &'static [Lack] = &[Lack {
        scenario: "an_interruption_is_no_verdict_and_what_was_done_counts",
        why: "dnf5 stores no index before it has all of them: nothing was done",
        fails_with: "alpha was done",
    }];
    const REVISION: &'static str = "-1";
    const INDEX: &'static str = "/repomd.xml";
    const DOWNLOADS: &'static str = "/var/cache/libdnf5";
    const INDEXES: &'static str = "/var/cache/libdnf5";
    type Repo = RpmRepo;

    fn new() -> Dnf5 {
        Dnf5 { root: root(&[shell()]) }
    }

    fn sandbox(&self) -> &Sandbox {
        &self.root.sandbox
    }

    fn install(&self, packages: &[Package]) {
        self.root.install(&all(packages));
    }

    fn add_source(&self, name: &str, repo: &RpmRepo) {
        self.root.add_repo(name, repo);
    }

    fn installed(&self) -> Vec<String> {
        installed(&self.root.sandbox)
    }

    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32) {
        locks::hold(&self.root.sandbox, SYSTEM_LOCK, time)
    }
}
