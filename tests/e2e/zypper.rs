//! zypper's part in the scenarios of every manager, and roots in which it finds its repositories.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::dnf::{all, installed, shell};
use crate::locks;
use crate::manager::{Manager, Package, package};
use crate::report::Report;
use crate::rpm::{Root, Rpm, RpmRepo, rpm};
use crate::sandbox::{Running, Sandbox, is_newer};

/// zypper tries a file that it cannot get four times, half a minute apart, and no option changes that. In here zypper's
/// seconds are shorter.
const SHORT_SECONDS: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>
unsigned sleep(unsigned seconds) {
    int is_zypper = !strcmp(program_invocation_short_name, "zypper");
    for (; seconds; seconds--) usleep(is_zypper ? 10000 : 999999);
    return 0;
}
"#;

/// That as a library, made once.
fn short_seconds() -> &'static [u8] {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| {
        let work = tempfile::tempdir().expect("could not create a temporary directory");
        let (source, library) = (work.path().join("made.c"), work.path().join("made.so"));
        fs::write(&source, SHORT_SECONDS).unwrap();
        let done = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        assert!(done.expect("could not run cc (package gcc)").success());
        fs::read(library).unwrap()
    })
}

/// A root whose packages are rpm's, with zypper's own directories.
pub struct Zypper {
    pub root: Root,
}

impl Zypper {
    pub fn sandbox(&self) -> &Sandbox {
        &self.root.sandbox
    }

    #[track_caller]
    pub fn with(installed: &[Rpm]) -> Zypper {
        Zypper::over(Sandbox::new(), installed)
    }

    #[track_caller]
    pub fn over(sandbox: Sandbox, installed: &[Rpm]) -> Zypper {
        // New versions refuse to work without a glibc.
        let root = Root::of("zypper", sandbox, &[shell().tag("Provides: glibc")]);
        root.sandbox.sh("rm -rf /etc/zypp /usr/etc/zypp /var/cache/zypp /var/lib/zypp /var/log/zypp; \
             mkdir -p /etc/zypp/repos.d /var/cache/zypp /var/log/zypp");
        root.sandbox.write_mode("/usr/local/lib/short-seconds.so", short_seconds(), 0o755);
        root.sandbox.write("/etc/ld.so.preload", "/usr/local/lib/short-seconds.so\n");
        root.install(installed);
        Zypper { root }
    }

    pub fn add_repo_with(&self, alias: &str, url: &str, more: &str) {
        let text =
            format!("[{alias}]\nname={alias}\nenabled=1\nautorefresh=1\nbaseurl={url}\ngpgcheck=0\n{more}");
        self.root.sandbox.write(&format!("/etc/zypp/repos.d/{alias}.repo"), text);
    }

    pub fn add_repo(&self, alias: &str, repo: &RpmRepo) {
        self.add_repo_with(alias, &repo.server.url(), "");
    }

    #[track_caller]
    pub fn start(&self, args: &[&str]) -> Running<'_> {
        self.root.sandbox.start(self.root.sandbox.patch_command(&[&["--manager", "zypper"], args].concat()))
    }

    #[track_caller]
    pub fn patch(&self, args: &[&str]) -> Report {
        self.start(args).report()
    }

    #[track_caller]
    pub fn has_exactly(&self, expected: &[&str]) {
        let found = installed(&self.root.sandbox);
        assert_eq!(found, expected, "{}\n{}", self.root.sandbox.state(), self.root.sandbox.log());
    }

    /// From now on write down every call of zypper.
    pub fn spy(&self) {
        let body = "echo \"$*\" >>/run/calls; exec /usr/bin/zypper \"$@\"";
        self.root.sandbox.write_script("/usr/local/bin/zypper", body);
    }

    /// The calls since [`Zypper::spy`], or since this was last asked.
    pub fn calls(&self) -> Vec<String> {
        let text = self.root.sandbox.read("/run/calls").unwrap_or_default();
        self.root.sandbox.sh("rm -f /run/calls");
        text.lines().map(str::to_owned).collect()
    }
}

/// A root with these packages and one repository with those.
#[track_caller]
pub fn one(installed: &[Rpm], published: &[Rpm]) -> (Zypper, RpmRepo) {
    let root = Zypper::with(installed);
    let repo = RpmRepo::new(published);
    root.add_repo("test", &repo);
    (root, repo)
}

/// tb-hello 1.0 is installed and 2.0 is published.
#[track_caller]
pub fn pending_update() -> (Zypper, RpmRepo) {
    one(&[rpm("tb-hello", "1.0")], &[rpm("tb-hello", "2.0")])
}

impl Manager for Zypper {
    const NAME: &'static str = "zypper";
    const REVISION: &'static str = "-1";
    // It asks for repomd.xml several times where that has changed.
    const INDEX: &'static str = "-primary.xml";
    const DOWNLOADS: &'static str = "/var/cache/zypp/packages";
    const INDEXES: &'static str = "/var/cache/zypp";
    type Repo = RpmRepo;

    fn gone() -> &'static str {
        // Newer versions have a phase of their own for downloads, with the words of the server.
        if is_newer() { "404" } else { "not found on medium" }
    }

    fn new() -> Zypper {
        Zypper::with(&[])
    }

    fn sandbox(&self) -> &Sandbox {
        &self.root.sandbox
    }

    fn install(&self, packages: &[Package]) {
        self.root.install(&all(packages));
    }

    fn add_source(&self, name: &str, repo: &RpmRepo) {
        self.add_repo(name, repo);
    }

    fn installed(&self) -> Vec<String> {
        installed(&self.root.sandbox)
    }

    /// In SUSE's packages a `Provides` says so, which only new versions know.
    fn core(&self, version: &str) -> Package {
        self.root.sandbox.write("/etc/zypp/needreboot.d/test", "systemd\n");
        package("systemd", version)
    }

    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32) {
        locks::hold_by_number(&self.root.sandbox, "/run/zypp.pid", time)
    }
}
