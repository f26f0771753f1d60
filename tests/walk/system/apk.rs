//! apk's part.

use std::collections::BTreeMap;

use sha1::{Digest, Sha1};

use crate::apk::{Apk, ApkRepo, Signer};
use crate::manager::{Manager, Repository};
use crate::system::{Flaw, System};
use crate::world::{Plan, Source};

impl System for Apk {
    const SETTINGS: &'static [&'static str] =
        &["quiet", "verbose", "no-network", "simulate", "interactive", "update-cache", "progress"];
    const FLAWS: &'static [Flaw] = &[Flaw::Stranger];
    const SOURCE_FILES: &'static [&'static str] = &["/apk/repositories", "/apk/config"];
    const INDEX_PATH: &'static str = Apk::INDEX;
    const PREFERS: bool = false;
    const OBSOLETES: bool = false;
    const SWEEPS: bool = true;
    const PROGRAMS: &'static [&'static str] = &["apk"];

    fn publish(source: &Source<Apk>) {
        source.repo.sign(if source.flaw.is_some() { Signer::Stranger } else { Signer::Known });
        Repository::publish(&source.repo, &source.packages);
    }

    fn configuration(plan: &Plan<Apk>) -> BTreeMap<String, String> {
        let settings = plan.settings.iter().map(|nth| Apk::SETTINGS[*nth].to_owned() + "\n");
        let urls = plan.configured().map(|(_, source)| source.repo.server.url() + "\n");
        [("repositories", urls.collect()), ("config", settings.collect())]
            .map(|(name, text): (_, String)| (format!("/etc/apk/{name}"), text))
            .into()
    }

    fn served(repo: &ApkRepo) -> Vec<u8> {
        repo.index()
    }

    /// Its name is that of its address.
    fn here(&self, _: &Plan<Apk>, source: &Source<Apk>) -> Vec<u8> {
        let sum = Sha1::digest(format!("{}/x86_64{}", source.repo.server.url(), Apk::INDEX));
        let name: String = sum[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let path = format!("{}/APKINDEX.{name}.tar.gz", Apk::INDEXES);
        if self.sandbox().exists(&path) { self.sandbox().read_bytes(&path) } else { Vec::new() }
    }

    /// By its version in the list of what is wanted.
    fn hold(&self, name: &str, is_held: bool) {
        let rows = self.installed().into_iter();
        let version = rows
            .filter_map(|row| row.strip_prefix(&format!("{name} "))?.split(' ').next().map(str::to_owned));
        let wanted = version.filter(|_| is_held).map(|version| format!("={version}-r0")).collect::<String>();
        self.sandbox().sh(&format!("sed -i 's/^{name}\\(=.*\\)\\?$/{name}{wanted}/' /etc/apk/world"));
    }
}
