//! dnf's part in the scenarios and the benchmark of every manager.

use std::time::Duration;

use crate::locks;
use crate::manager::{Manager, Package, Repository, noise};
use crate::rpm::{Root, Rpm, RpmRepo, rpm};
use crate::sandbox::{Running, Sandbox};
use crate::server::Server;

pub struct Dnf {
    root: Root,
}

/// What the scripts of a package need, which here no distribution brings.
pub fn shell() -> Rpm {
    rpm("tb-sh", "1.0").tag("Provides: /bin/sh")
}

fn made(package: &Package) -> Rpm {
    let mut made = rpm(&package.name, &package.version);
    for name in &package.needs {
        made = made.tag(&format!("Requires: {name}"));
    }
    for name in &package.replaces {
        made = made.tag(&format!("Obsoletes: {name}"));
    }
    if let Some(lines) = &package.script {
        made = made.post(lines);
    }
    if let Some(text) = &package.config {
        made = made.file("%config(noreplace) ", &format!("/etc/{}.conf", package.name), text);
    }
    if package.padding > 0 {
        made = made.file("", &format!("/usr/share/{}/padding", package.name), &noise(package.padding));
    }
    made
}

pub fn all(packages: &[Package]) -> Vec<Rpm> {
    packages.iter().map(made).collect()
}

/// What rpm says is installed, but for [`shell`].
pub fn installed(sandbox: &Sandbox) -> Vec<String> {
    let text = sandbox.sh("rpm -qa --qf '%{NAME} %{VERSION}\\n' | sort");
    text.lines().filter(|line| !line.starts_with("tb-sh ")).map(str::to_owned).collect()
}

impl Repository for RpmRepo {
    fn with(packages: &[Package]) -> RpmRepo {
        RpmRepo::new(&all(packages))
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn publish(&self, packages: &[Package]) {
        RpmRepo::publish(self, &all(packages));
    }

    fn publish_before(&self, pattern: &str, nth: usize, packages: &[Package]) {
        RpmRepo::publish_before(self, pattern, nth, &all(packages));
    }
}

impl Manager for Dnf {
    const NAME: &'static str = "dnf";
    const PASSES_OVER: bool = true;
    const REVISION: &'static str = "-1";
    const INDEX: &'static str = "/repomd.xml";
    const DOWNLOADS: &'static str = "/var/cache/dnf";
    const INDEXES: &'static str = "/var/cache/dnf";
    type Repo = RpmRepo;

    fn new() -> Dnf {
        Dnf { root: Root::new(&[shell()]) }
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
        locks::hold_by_number(&self.root.sandbox, "/var/cache/dnf/metadata_lock.pid", time)
    }
}
