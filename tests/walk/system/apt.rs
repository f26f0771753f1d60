//! apt's part.

use std::collections::BTreeMap;

use crate::apt::{Apt, all};
use crate::manager::Manager;
use crate::repo::{Repo, Validity};
use crate::system::{Flaw, System};
use crate::vault::Signer;
use crate::world::{DOWN, Plan, Source};

fn host(repo: &Repo) -> String {
    repo.url().trim_start_matches("http://").to_owned()
}

fn list(source: &Source<Apt>) -> String {
    format!("/etc/apt/{}.mirrors", source.name)
}

/// Whether the address of a source is that of a list. Such a one has no host by which it could be preferred.
fn is_list(plan: &Plan<Apt>, source: &Source<Apt>) -> bool {
    let is_preferred = plan.preferred.is_some_and(|nth| plan.sources[nth].name == source.name);
    source.has_list && !is_preferred
}

impl System for Apt {
    const SETTINGS: &'static [&'static str] = &[
        "APT::Get::Simulate \"true\";",
        "APT::Get::Download-Only \"true\";",
        "APT::Get::Assume-No \"true\";",
        "APT::Get::Show-Versions \"true\";",
        "APT::Get::Upgrade-Allow-New \"false\";",
        "APT::Get::Purge \"true\";",
        "APT::Output-Version \"30\";",
        "APT::Color \"yes\";",
        "APT::Status-Fd \"1\";",
        "quiet \"2\";",
        "quiet::NoUpdate \"true\";",
        "DPkg::Options { \"--force-confnew\"; \"--force-confmiss\"; };",
        "DPkg::Use-Pty \"true\";",
        "DPkg::Progress-Fancy \"true\";",
        "Acquire::Languages \"none\";",
        "Acquire::Queue-Mode \"access\";",
        "Acquire::PDiffs \"false\";",
        "Acquire::http::Pipeline-Depth \"0\";",
        "Debug::pkgDepCache::Marker \"true\";",
    ];
    const FLAWS: &'static [Flaw] = &[Flaw::Stranger, Flaw::Expired];
    const SOURCE_FILES: &'static [&'static str] = &["/sources.list.d/"];
    const INDEX_PATH: &'static str = "/dists";
    const FALLS_BACK: bool = false;
    const OBSOLETES: bool = false;
    const PHASES: bool = true;
    const PROGRAMS: &'static [&'static str] = &["apt-get"];

    fn publish(source: &Source<Apt>) {
        let flaw = source.flaw;
        let claim = |claims: &mut crate::repo::Claims| {
            claims.signer = if flaw == Some(Flaw::Stranger) { Signer::Stranger } else { Signer::Known };
            claims.validity = if flaw == Some(Flaw::Expired) { Validity::Expired } else { Validity::Always };
        };
        source.repo.publish_claiming(claim, &all(&source.packages));
    }

    fn configuration(plan: &Plan<Apt>) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for source in plan.sources.iter().filter(|source| source.is_configured) {
            let mut url = source.repo.url();
            if is_list(plan, source) {
                files.insert(list(source), format!("{DOWN}\tpriority:1\n{url}\tpriority:2\n"));
                url = format!("mirror+file:{}", list(source));
            }
            let suite = source.repo.suite();
            let line = format!("deb [signed-by=/etc/apt/keyrings/test.gpg] {url} {suite} main\n");
            files.insert(format!("/etc/apt/sources.list.d/{}.list", source.file), line);
        }
        if let Some(preferred) = plan.preferred {
            let host = host(&plan.sources[preferred].repo);
            let host = host.split(':').next().unwrap();
            let text = format!("Package: *\nPin: origin {host}\nPin-Priority: 700\n");
            files.insert("/etc/apt/preferences.d/walk".into(), text);
        }
        let settings: Vec<_> = plan.settings.iter().map(|nth| Apt::SETTINGS[*nth]).collect();
        files.insert("/etc/apt/apt.conf.d/walk".into(), settings.join("\n") + "\n");
        files
    }

    fn served(repo: &Repo) -> Vec<u8> {
        let files = repo.files();
        let of =
            |end: &str| files.iter().find(|(path, _)| path.ends_with(end)).map(|(_, bytes)| bytes.to_vec());
        [of("/InRelease"), of("/Packages")].into_iter().flatten().flatten().collect()
    }

    fn here(&self, plan: &Plan<Apt>, source: &Source<Apt>) -> Vec<u8> {
        let place = if is_list(plan, source) { list(source).replace('/', "_") } else { host(&source.repo) };
        let start = format!("{place}_dists_{}_", source.repo.suite());
        let of = |end: &str| {
            let names = self.sandbox().list(Apt::INDEXES).into_iter();
            let name = names.into_iter().find(|name| name.starts_with(&start) && name.ends_with(end));
            name.map(|name| self.sandbox().read_bytes(&format!("{}/{name}", Apt::INDEXES)))
        };
        [of("_InRelease"), of("_Packages")].into_iter().flatten().flatten().collect()
    }

    fn id(&self, plan: &Plan<Apt>, source: &Source<Apt>) -> String {
        if is_list(plan, source) { list(source) } else { source.repo.url() }
    }

    fn hold(&self, name: &str, is_held: bool) {
        self.sandbox().sh(&format!("apt-mark {} {name}", if is_held { "hold" } else { "unhold" }));
    }
}
