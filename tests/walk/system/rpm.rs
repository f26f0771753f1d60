//! What dnf 4, dnf 5 and zypper have in common, and each one's part.

use std::collections::BTreeMap;

use crate::dnf::{Dnf, all};
use crate::dnf5::Dnf5;
use crate::manager::Manager;
use crate::rpm::RpmRepo;
use crate::sandbox::{Sandbox, is_newer};
use crate::system::System;
use crate::world::{DOWN, Plan, Source};
use crate::zypper::Zypper;

/// A file a source in this directory, and one with the settings.
fn configuration<M>(plan: &Plan<M>, dir: &str, main: &str) -> BTreeMap<String, String>
where
    M: System<Repo = RpmRepo>,
{
    let mut files = BTreeMap::new();
    for (nth, source) in plan.configured() {
        let (name, url) = (source.name, source.repo.server.url());
        let priority = if plan.preferred == Some(nth) { "priority=10\n" } else { "" };
        let address = if source.has_metalink {
            format!("metalink={url}/metalink")
        } else if source.has_list {
            let list = format!("/etc/{name}.mirrors");
            // To see what a repository is, a new zypper asks the first mirror alone.
            let is_first = M::NAME == "zypper" && is_newer();
            let lines = if is_first { [&url[..], DOWN] } else { [DOWN, &url[..]] };
            files.insert(list.clone(), lines.join("\n") + "\n");
            format!("mirrorlist=file://{list}")
        } else {
            format!("baseurl={url}")
        };
        let text =
            format!("[{name}]\nname={name}\nenabled=1\nautorefresh=1\n{address}\ngpgcheck=0\n{priority}");
        files.insert(format!("{dir}/{}.repo", source.file), text);
    }
    let settings: Vec<_> = plan.settings.iter().map(|nth| M::SETTINGS[*nth]).collect();
    files.insert(main.into(), format!("[main]\n{}\n", settings.join("\n")));
    files
}

fn is_index(path: &str) -> bool {
    path.ends_with("/repomd.xml") || path.contains("-primary.xml")
}

fn served(repo: &RpmRepo) -> Vec<u8> {
    repo.files().iter().filter(|(path, _)| is_index(path)).flat_map(|(_, bytes)| bytes.to_vec()).collect()
}

/// Below the directory in `dir` whose name begins so, the index that lies on this host. Where a source had another
/// address there is one of that too.
fn here(sandbox: &Sandbox, dir: &str, start: &str, repo: &RpmRepo) -> Vec<u8> {
    let read = |name: String| {
        let dir = format!("{dir}/{name}/repodata");
        let paths = sandbox.list(&dir).into_iter().map(|name| format!("{dir}/{name}"));
        paths.filter(|path| is_index(path)).flat_map(|path| sandbox.read_bytes(&path)).collect()
    };
    let dirs = sandbox.list(dir).into_iter().filter(|name| name.starts_with(start));
    let found: Vec<Vec<u8>> = dirs.map(read).collect();
    let served = served(repo);
    let of_now = found.iter().position(|bytes| *bytes == served).unwrap_or_default();
    found.into_iter().nth(of_now).unwrap_or_default()
}

/// Settings of dnf 4 and 5 that change what is printed, asked, answered or chosen.
const OF_DNF: &[&str] = &[
    "color=always",
    "debuglevel=0",
    "errorlevel=0",
    "rpmverbosity=critical",
    "assumeno=1",
    "defaultyes=1",
    "best=1",
    "skip_if_unavailable=1",
    "skip_broken=0",
    "metadata_expire=never",
    "keepcache=1",
    "max_parallel_downloads=1",
    "clean_requirements_on_remove=0",
    "history_list_view=users",
    "multilib_policy=all",
];

macro_rules! like_all_of_rpm {
    () => {
        const INDEX_PATH: &'static str = "/repodata";

        fn publish(source: &Source<Self>) {
            let (repo, packages) = (&source.repo, all(&source.packages));
            let of_security = source.packages.iter().filter(|package| package.is_security);
            let ids: Vec<_> =
                of_security.map(|made| (format!("TB-{}-{}", made.name, made.version), made)).collect();
            let advisories =
                ids.iter().map(|(id, made)| (&id[..], "security", &made.name[..], &made.version[..]));
            let advisories: Vec<_> = advisories.collect();
            match advisories.is_empty() {
                _ if source.is_modular => repo.publish_module(&packages, true),
                true => repo.publish(&packages),
                false => repo.publish_with_advisories(&advisories, &packages),
            }
        }

        fn served(repo: &RpmRepo) -> Vec<u8> {
            served(repo)
        }
    };
}

macro_rules! like_both_dnf {
    () => {
        const SETTINGS: &'static [&'static str] = OF_DNF;
        const SOURCE_FILES: &'static [&'static str] = &[".repo", "/dnf.conf"];
        const METALINKS: bool = true;

        fn start(source: &Source<Self>) {
            source.repo.offer_metalink(&[DOWN, &source.repo.server.url()]);
        }

        /// With what dnf leaves out, and for which system modules are: settings of its own.
        fn configuration(plan: &Plan<Self>) -> BTreeMap<String, String> {
            let mut files = configuration(plan, "/etc/yum.repos.d", "/etc/dnf/dnf.conf");
            let names: Vec<_> = plan.held.iter().map(String::as_str).collect();
            if let Some(text) = files.get_mut("/etc/dnf/dnf.conf") {
                text.push_str(&format!("module_platform_id=platform:el9\nexcludepkgs={}\n", names.join(",")));
            }
            files
        }

        fn here(&self, _: &Plan<Self>, source: &Source<Self>) -> Vec<u8> {
            here(self.sandbox(), Self::INDEXES, &format!("{}-", source.name), &source.repo)
        }
    };
}

impl System for Dnf {
    const PROGRAMS: &'static [&'static str] = &["dnf"];
    // First for the small file that says whether the index is new.
    const REQUESTS: usize = 2;
    const BUDGET: u64 = 10;
    const MODULES: bool = true;

    like_all_of_rpm!();
    like_both_dnf!();
}

impl System for Dnf5 {
    const OWNS_OLDER: bool = true;
    const PROGRAMS: &'static [&'static str] = &["dnf5"];

    like_all_of_rpm!();
    like_both_dnf!();
}

impl System for Zypper {
    const SETTINGS: &'static [&'static str] = &[
        "repo.refresh.delay = 100000",
        "repo.add.probe = true",
        "commit.downloadMode = DownloadOnly",
        "lock_timeout = -1",
        "download.max_concurrent_connections = 1",
        "download.max_silent_tries = 1",
        "solver.focus = Update",
        "solver.onlyRequires = true",
        "solver.cleandepsOnRemove = true",
        "solver.dupAllowDowngrade = true",
        "solver.upgradeRemoveDroppedPackages = true",
        "rpm.install.excludedocs = yes",
    ];
    const SOURCE_FILES: &'static [&'static str] = &[".repo", "/zypp.conf"];
    const ASKED: &'static str = "/repomd.xml";
    const PROGRAMS: &'static [&'static str] = &["zypper"];
    const BUDGET: u64 = 10;

    like_all_of_rpm!();

    fn configuration(plan: &Plan<Zypper>) -> BTreeMap<String, String> {
        configuration(plan, "/etc/zypp/repos.d", "/etc/zypp/zypp.conf")
    }

    fn here(&self, _: &Plan<Zypper>, source: &Source<Zypper>) -> Vec<u8> {
        here(self.sandbox(), "/var/cache/zypp/raw", source.name, &source.repo)
    }

    fn hold(&self, name: &str, is_held: bool) {
        let verb = if is_held { "addlock" } else { "removelock" };
        self.sandbox().sh(&format!("zypper --quiet {verb} {name} >/run/zypper 2>&1 || cat /run/zypper >&2"));
    }
}
