//! Settings of apk 3 change nothing that linux-patch reads, with the real apk.

use std::time::Duration;

use crate::apk::{Apk, ApkRepo};
use crate::manager::{Lack, Manager, Package};
use crate::sandbox::{Running, Sandbox};

/// Every setting that changes what is printed, asked or done by our commands, and where things are kept, set to the wrong
/// value. The usual place names a repository that does not count then.
pub struct Misconfigured(Apk);

const WRONG: &str = "# Wrong in every way.\nforce-binary-stdout\nhelp\ninteractive yes\nlegacy-info no\nno-network\n\
    pretty-print yes\nprint-arch\nprogress yes\nprogress-fd 1\nquiet\nupdate-cache\nverbose\nversion\nwait 3600\n\
    simulate\nignore\nself-upgrade-only\npreupgrade-only\nall\ncheck\nindexes\nlimit >\ntest\nbackup\n\
    check-permissions\ndetails\nfull\nignore-busybox-symlinks\npackages\nprotected-paths none\nrecursive\nsystem\n\
    depends\ndirectory-permissions\nreinstall\nupgrade\nxattr\nbuilt-after 2030-01-01 00:00:00\nlink\noutput /srv/other\n\
    pkgname-spec ${name}\nstdout\nurl\nall-matches\navailable\nfields name\nformat json\nfrom system\ninstalled\n\
    match name\norphaned\nsummarize name\nupgradable\nworld\ncontents\ndescription\nexists\ninstall-if\nlicense\n\
    provides\nrdepends\nreplaces\nrinstall-if\nsize\ntriggers\nwebpage\nwho-owns\nroot /srv/other\nno-logfile\n\
    cache-max-age 100000\ntimeout 61\nnonsense\n\
    cache-dir srv/cache\nrepositories-file /srv/repos/all\n";

const REPOSITORIES: &str = "/srv/repos/all";

impl Manager for Misconfigured {
    const NAME: &'static str = Apk::NAME;
    const LACKS: &'static [Lack] = Apk::LACKS.split_at(1).1;
    const REVISION: &'static str = Apk::REVISION;
    const INDEX: &'static str = Apk::INDEX;
    type Repo = ApkRepo;
    const DOWNLOADS: &'static str = "/srv/cache";
    const INDEXES: &'static str = "/srv/cache";

    fn new() -> Misconfigured {
        let manager = Apk::new();
        let sandbox = manager.sandbox();
        sandbox.sh("mkdir -p /srv/cache /srv/other; rm -rf /var/cache/apk");
        sandbox.write(REPOSITORIES, "");
        sandbox.write("/etc/apk/repositories", "http://127.0.0.1:9/none\n");
        sandbox.write("/etc/apk/config", WRONG);
        // It does not count beside that one.
        sandbox.write("/lib/apk/config", "repositories-file /srv/none\n");
        Misconfigured(manager)
    }

    fn sandbox(&self) -> &Sandbox {
        self.0.sandbox()
    }

    fn install(&self, packages: &[Package]) {
        Manager::install(&self.0, packages);
    }

    fn installed(&self) -> Vec<String> {
        self.0.installed()
    }

    fn add_source(&self, name: &str, repo: &ApkRepo) {
        let text = self.sandbox().read(REPOSITORIES).unwrap_or_default();
        // In the place of one with this name.
        let head = format!("# {name}\n");
        let (before, rest) = text.split_once(&head).unwrap_or((&text, ""));
        let rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        self.sandbox().write(REPOSITORIES, format!("{before}{head}{}\n{rest}", repo.server.url()));
    }

    fn source_id(&self, name: &str, repo: &ApkRepo) -> String {
        self.0.source_id(name, repo)
    }

    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32) {
        self.0.hold_lock(time)
    }
}
