//! pacman's part.

use std::collections::BTreeMap;

use crate::manager::Manager;
use crate::pacman::{LOCK, Pacman, PkgRepo};
use crate::sandbox::is_newer;
use crate::system::System;
use crate::world::{DOWN, Offer, Plan, Source};

/// A compressed file without its checksum and its length, which pacman does not look at.
fn without_sum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len().saturating_sub(8));
    bytes
}

impl System for Pacman {
    const SETTINGS: &'static [&'static str] = &[
        "Color",
        "VerbosePkgLists",
        "ILoveCandy",
        "DisableDownloadTimeout",
        "NoProgressBar",
        "UseSyslog",
        "CleanMethod = KeepCurrent",
        "XferCommand = /usr/bin/curl -sSfL -C - -o %o %u",
    ];
    const SOURCE_FILES: &'static [&'static str] = &["/pacman.conf", "/pacman.d/"];
    const INDEX_PATH: &'static str = ".db";
    const PREFERS: bool = false;
    const CHOOSES: bool = false;
    const PROGRAMS: &'static [&'static str] = &["pacman"];
    const HIDES_MIRRORS: bool = true;
    const LEFT_LOCK: Option<&'static str> = Some(LOCK);

    /// It does where another program fetches.
    fn stops_at_failure(plan: &Plan<Pacman>) -> bool {
        !is_newer() && plan.settings.iter().any(|nth| Pacman::SETTINGS[*nth].contains("curl"))
    }

    fn start(source: &Source<Pacman>) {
        source.repo.serve_as(source.name);
    }

    fn configuration(plan: &Plan<Pacman>) -> BTreeMap<String, String> {
        let mut text = String::from(
            "[options]\nHoldPkg = pacman glibc\nArchitecture = auto\nSigLevel = Never\nParallelDownloads = 5\n",
        );
        // The newer Debian has no curl.
        let settings = plan.settings.iter().map(|nth| Pacman::SETTINGS[*nth]);
        let settings = settings.filter(|line| !(is_newer() && line.contains("curl")));
        settings.for_each(|line| text += &format!("{line}\n"));
        plan.held.iter().for_each(|name| text += &format!("IgnorePkg = {name}\n"));
        let mut files = BTreeMap::new();
        for (_, source) in plan.configured() {
            let (name, server) = (source.name, format!("Server = {}\n", source.repo.server.url()));
            let list = format!("/etc/pacman.d/{name}.mirrors");
            text += &format!("[{name}]\n");
            if source.has_list {
                text += &format!("Include = {list}\n");
                files.insert(list, format!("Server = {DOWN}\n{server}"));
            } else {
                text += &server;
            }
        }
        files.insert("/etc/pacman.conf".to_owned(), text);
        files
    }

    /// The first source that has a package decides about it.
    fn candidate<'a>(_: &Plan<Pacman>, _: &str, offers: &'a [Offer]) -> Option<&'a Offer> {
        offers.iter().min_by_key(|offer| offer.source)
    }

    fn served(repo: &PkgRepo) -> Vec<u8> {
        without_sum(repo.index())
    }

    /// Data after the end of a compressed file is not read either.
    fn here(&self, _: &Plan<Pacman>, source: &Source<Pacman>) -> Vec<u8> {
        let path = format!("{}/{}.db", Pacman::INDEXES, source.name);
        let mut found =
            if self.sandbox().exists(&path) { self.sandbox().read_bytes(&path) } else { Vec::new() };
        found.truncate(found.strip_suffix(&[0; 2000]).map_or(found.len(), <[u8]>::len));
        let served = Pacman::served(&source.repo);
        if found.starts_with(&served) { served } else { without_sum(found) }
    }
}
