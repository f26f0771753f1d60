//! Reading what apt and dpkg list: pending updates, their origin, installed packages.

use super::update::source_id;
use super::{ENV, admin_dir};
use crate::backend::{Installed, InstalledPackage, Origin, Places};
use crate::outcome::{Extra, HeldBack, Listing, Update};
use crate::process::Invocation;
use std::collections::HashMap;

/// Reads `apt-get -s -V upgrade`. The paragraphs name what stays, the `Inst` lines what comes:
///
/// ```text
/// The following packages have been kept back:
///    tb-dep (1.0-1 => 2.0-1)
/// Inst tb-sec [1.0-1] (2.0-1 Debian-Security:stable-security [all])
/// Remv tb-old [1.0-1]
/// ```
pub fn parse(stdout: &str) -> Listing {
    let mut listing = Listing::default();
    let mut reason = None;
    for line in stdout.split(['\n', '\r']) {
        if let Some(rest) = line.strip_prefix("Inst ") {
            listing.updates.extend(inst(rest));
        } else if let Some(rest) = line.strip_prefix("Remv ") {
            let name = rest.split(' ').next().unwrap_or_default();
            listing.removals.push((name.to_string(), bracketed(rest)));
        } else if let (Some(reason), true) = (reason, line.starts_with("  ")) {
            listing.held_back.extend(stays(line, reason));
        } else {
            reason = match line {
                "The following packages have been kept back:" => Some("kept back"),
                "The following upgrades have been deferred due to phasing:" => Some("phased"),
                _ => None,
            };
        }
    }
    listing
}

/// `tb-sec [1.0-1] (2.0-1 Debian-Security:stable-security [all]) []`
fn inst(line: &str) -> Option<Update> {
    let (name, rest) = line.split_once(' ')?;
    let open = rest.find('(')?;
    let inner = &rest[open + 1..];
    let inner = &inner[..inner.find("])").map(|at| at + 1).or_else(|| inner.find(')'))?];
    let (candidate, origins) = inner.split_once(' ').unwrap_or((inner, ""));
    let origins = origins.rsplit_once('[').map_or(origins, |(origins, _)| origins).trim();
    Some(Update {
        name: name.to_string(),
        installed: bracketed(&rest[..open]),
        candidate: candidate.to_string(),
        security: Some(origins.split(", ").any(is_security_origin)),
        source: (!origins.is_empty()).then(|| origins.to_string()),
        replaces: Vec::new(),
        extra: Extra::new(),
    })
}

fn bracketed(text: &str) -> Option<String> {
    let start = text.find('[')? + 1;
    Some(text[start..start + text[start..].find(']')?].to_string())
}

/// `Label:Version/Suite` or `Label:Suite`. Debian labels its security archive so, and the suites
/// of Debian's, Ubuntu's (ESM too) and their relatives' are named so.
fn is_security_origin(origin: &str) -> bool {
    let (label, place) = origin.split_once(':').unwrap_or(("", origin));
    label == "Debian-Security" || is_security_suite(place.rsplit('/').next().unwrap_or(place))
}

/// `stable-security`, `jammy-security`, and `buster/updates` as it was until Debian 10.
fn is_security_suite(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

/// `   tb-dep (1.0-1 => 2.0-1)`; without `-V` several names stand on a line, as an apt-get that
/// does not know the option would print them.
fn stays(line: &str, reason: &str) -> Vec<HeldBack> {
    let one = |name: &str, versions: Option<(&str, &str)>| HeldBack {
        name: name.to_string(),
        installed: versions.map(|(installed, _)| installed.to_string()),
        candidate: versions.map(|(_, candidate)| candidate.to_string()),
        reason: reason.to_string(),
        class: None,
        security: None,
        extra: Extra::new(),
    };
    if let Some((name, versions)) = line.trim().split_once(" (") {
        return vec![one(name, versions.trim_end_matches(')').split_once(" => "))];
    }
    line.split_whitespace().map(|name| one(name, None)).collect()
}

/// The version table of packages tells what the list above does not: security updates below the
/// candidate, and the URI of the source.
pub fn ask_origins(names: &[&str]) -> Invocation {
    let names = names.iter().map(|name| name.to_string());
    Invocation {
        program: "apt-cache",
        args: std::iter::once("policy".to_string()).chain(names).collect(),
        env: ENV,
        ..Invocation::default()
    }
}

/// Reads `apt-cache policy NAME...`: versions stand from new to old, the installed one behind
/// three asterisks, each above the lines of where it can be had:
///
/// ```text
/// tb-sec:
///   Installed: 1.0-1
///   Candidate: 3.0-1
///   Version table:
///      3.0-1 500
///         500 http://127.0.0.1:8080 stable/main amd64 Packages
///      2.0-1 500
///         500 http://127.0.0.3:8080 stable-security/main amd64 Packages
///  *** 1.0-1 100
///         100 /var/lib/dpkg/status
/// ```
pub fn parse_origins(stdout: &str) -> HashMap<String, Vec<Origin>> {
    let mut packages: HashMap<String, Vec<Origin>> = HashMap::new();
    let (mut name, mut candidate, mut version) = ("", "", None);
    for line in stdout.lines() {
        // By single spaces: the flat repository `/` stands as two of them.
        let words: Vec<_> = line.trim_start().split(' ').collect();
        match words.as_slice() {
            [_] if !line.starts_with(' ') => {
                (name, candidate, version) = (line.trim_end_matches(':'), "", None);
                packages.entry(name.to_string()).or_default();
            }
            ["Candidate:", found] => candidate = found,
            // From the installed version on nothing is newer.
            ["***", ..] => name = "",
            [found, _priority] if line.starts_with("     ") => version = Some(*found),
            [_, uri, place, ..] if uri.contains(':') && !name.is_empty() => {
                let suite = match *place {
                    "" => "/",
                    flat if flat.ends_with('/') => flat,
                    place => place.rsplit_once('/').map_or(place, |(suite, _)| suite),
                };
                let origin = Origin {
                    source: source_id(uri, suite),
                    is_security: is_security_suite(suite),
                    is_candidate: version == Some(candidate),
                };
                packages.entry(name.to_string()).or_default().push(origin);
            }
            _ => {}
        }
    }
    packages
}

/// dpkg-query(1) reads the database and dpkg's journal, so it is right after a crash too.
pub fn list_installed(places: &Places) -> Invocation {
    let format = "${Package}\\t${Architecture}\\t${Version}\\t${db:Status-Abbrev}\\n";
    Invocation {
        program: "dpkg-query",
        args: [admin_dir(places), vec!["-W".into(), format!("-f={format}")]].concat(),
        ..Invocation::default()
    }
}

/// Reads that list. Names are as apt writes them: with the architecture where it is not the
/// native one; where that is not known it is taken to be the one of most packages.
pub fn parse_installed(stdout: &str, places: &Places) -> Installed {
    let rows = stdout.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        Some([fields.next()?, fields.next()?, fields.next()?, fields.next()?])
    });
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for [_, architecture, ..] in rows.clone().filter(|row| row[1] != "all") {
        *counts.entry(architecture).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(name, count)| (*count, *name)).map(|(name, _)| name);
    let native = Some(places.architecture.as_str()).filter(|name| !name.is_empty()).or(most);
    let mut installed = Installed::new();
    for [name, architecture, version, status] in rows {
        let mut status = status.chars();
        let (wanted, state, error) = (status.next(), status.next(), status.next());
        // not-installed and config-files: there is no package, only its memory.
        if matches!(state, None | Some('n' | 'c')) {
            continue;
        }
        let name = match architecture {
            "all" => name.to_string(),
            _ if Some(architecture) == native => name.to_string(),
            _ => format!("{name}:{architecture}"),
        };
        let package = InstalledPackage {
            version: version.to_string(),
            architecture: architecture.to_string(),
            is_broken: state != Some('i') || error == Some('R'),
            leftovers: Vec::new(),
            is_held: wanted == Some('h'),
            installed_at: None,
        };
        installed.insert(name, package);
    }
    installed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::apt::BACKEND;

    #[test]
    fn updates_carry_versions_origin_and_security() {
        let text = "Inst libc6 [2.36-9] (2.36-9+deb12u14 Debian:12.14/oldstable, Debian-Security:12/oldstable-security [amd64])\n\
                    Inst linux-image-6 (6.1-2 Debian:12/stable [amd64]) []\nInst tb-a [1] (2 localhost [all])\nConf tb-a (2 localhost [all])\n";
        let listing = parse(text);
        let short: Vec<_> = listing
            .updates
            .iter()
            .map(|update| (&*update.name, update.installed.as_deref(), &*update.candidate, update.security))
            .collect();
        assert_eq!(
            short,
            [
                ("libc6", Some("2.36-9"), "2.36-9+deb12u14", Some(true)),
                ("linux-image-6", None, "6.1-2", Some(false)),
                ("tb-a", Some("1"), "2", Some(false)),
            ]
        );
        assert_eq!(listing.updates[1].source.as_deref(), Some("Debian:12/stable"));
    }

    #[test]
    fn what_stays_is_listed_with_its_reason() {
        let text = "The following packages have been kept back:\n   tb-a (1.0 => 2.0)\n   tb-b (1.0 => 3.0)\n\
                    The following upgrades have been deferred due to phasing:\n   tb-c (1 => 2)\n\
                    The following packages will be upgraded:\n   tb-d (1 => 2)\nRemv tb-old [1.0-1]\n";
        let listing = parse(text);
        let short: Vec<_> = listing
            .held_back
            .iter()
            .map(|held| (&*held.name, held.candidate.as_deref(), &*held.reason))
            .collect();
        assert_eq!(
            short,
            [
                ("tb-a", Some("2.0"), "kept back"),
                ("tb-b", Some("3.0"), "kept back"),
                ("tb-c", Some("2"), "phased")
            ]
        );
        assert_eq!(listing.removals, [("tb-old".to_string(), Some("1.0-1".to_string()))]);
        let plain = parse("The following packages have been kept back:\n  tb-a tb-b\n");
        assert_eq!(plain.held_back.len(), 2);
    }

    #[test]
    fn origins_are_those_of_newer_versions() {
        let policy = "tb-sec:\n  Installed: 1.0-1\n  Candidate: 3.0-1\n  Version table:\n     3.0-1 500\n        500 http://h stable/main amd64 Packages\n     2.0-1 500\n        500 http://h stable-security/main amd64 Packages\n *** 1.0-1 100\n        500 http://h older-security/main amd64 Packages\n        100 /var/lib/dpkg/status\n\
                      tb-x:\n  Installed: 1\n  Candidate: 2\n  Version table:\n     2 500\n        500 file:/srv/repo ./ Packages\n *** 1 100\n        100 /var/lib/dpkg/status\n";
        let origins = parse_origins(policy);
        let short: Vec<_> = origins["tb-sec"]
            .iter()
            .map(|origin| (&*origin.source, origin.is_security, origin.is_candidate))
            .collect();
        assert_eq!(short, [("http://h stable", false, true), ("http://h stable-security", true, false)]);
        assert_eq!(origins["tb-x"][0].source, "file:/srv/repo ./");
    }

    #[test]
    fn installed_packages_are_named_as_apt_names_them() {
        let text = "libc6\tamd64\t2.36\tii \nlibc6\ti386\t2.36\tii \ntb\tall\t1\thi \ngone\tamd64\t1\trc \nhalf\tamd64\t2\tiF \nbad\tamd64\t2\tiHR\n";
        let places = BACKEND.usual_places();
        let installed = parse_installed(text, &places);
        let i386 = Places { architecture: "i386".into(), ..places };
        assert!(parse_installed(text, &i386).contains_key("libc6:amd64"));
        let names: Vec<_> = installed.keys().map(String::as_str).collect();
        assert_eq!(names, ["bad", "half", "libc6", "libc6:i386", "tb"]);
        assert!(installed["tb"].is_held && !installed["tb"].is_broken);
        assert!(installed["half"].is_broken && installed["bad"].is_broken);
    }
}
