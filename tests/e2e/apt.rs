//! apt's part in the scenarios and the benchmark of every manager.

use std::time::Duration;

use crate::deb::{Deb, deb};
use crate::locks;
use crate::manager::{Manager, Package, Repository, noise, package};
use crate::repo::Repo;
use crate::sandbox::{Running, Sandbox};
use crate::server::Server;

pub struct Apt {
    sandbox: Sandbox,
}

fn made(package: &Package) -> Deb {
    let mut made = deb(&package.name, &package.version);
    if !package.needs.is_empty() {
        made = made.field("Depends", &package.needs.join(", "));
    }
    if !package.replaces.is_empty() {
        let names = package.replaces.join(", ");
        made = made.field("Conflicts", &names).field("Replaces", &names);
    }
    if package.is_phased {
        made = made.field("Phased-Update-Percentage", "0");
    }
    if let Some(text) = &package.config {
        made = made.conffile(&format!("/etc/{}.conf", package.name), text);
    }
    if package.padding > 0 {
        made = made.file(&format!("/usr/share/{}/padding", package.name), &noise(package.padding));
    }
    match &package.script {
        Some(lines) => made.script("postinst", lines),
        None => made,
    }
}

pub fn all(packages: &[Package]) -> Vec<Deb> {
    packages.iter().map(made).collect()
}

impl Repository for Repo {
    fn with(packages: &[Package]) -> Repo {
        Repo::new(&all(packages))
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn publish(&self, packages: &[Package]) {
        Repo::publish(self, &all(packages));
    }

    fn publish_before(&self, pattern: &str, nth: usize, packages: &[Package]) {
        Repo::publish_before(self, pattern, nth, &all(packages));
    }
}

impl Manager for Apt {
    const NAME: &'static str = "apt";
    const PASSES_OVER: bool = true;
    const REVISION: &'static str = "";
    const INDEX: &'static str = "/InRelease";
    const DOWNLOADS: &'static str = "/var/cache/apt/archives";
    const INDEXES: &'static str = "/var/lib/apt/lists";
    type Repo = Repo;

    fn new() -> Apt {
        Apt { sandbox: Sandbox::new() }
    }

    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn install(&self, packages: &[Package]) {
        if !packages.is_empty() {
            self.sandbox.install(&all(packages));
        }
    }

    fn add_source(&self, name: &str, repo: &Repo) {
        self.sandbox.add_source(name, repo);
    }

    fn source_id(&self, _: &str, repo: &Repo) -> String {
        repo.url()
    }

    fn installed(&self) -> Vec<String> {
        self.sandbox.installed().iter().map(|(name, version)| format!("{name} {version}")).collect()
    }

    fn file_of(name: &str, version: &str) -> String {
        format!("/{name}_{version}")
    }

    /// There the packages say so themselves.
    fn core(&self, version: &str) -> Package {
        package("systemd", version).script("touch /run/reboot-required")
    }

    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32) {
        locks::hold(&self.sandbox, locks::LISTS, time)
    }
}
