//! Where apt can have newer versions from: `apt-cache policy`.

use super::commands::apt_cache;
use super::sources::{kept_as, source_id, suite_of};
use crate::managers::origins::Origins;
use crate::model::packages::Origin;
use crate::model::published::{Published, is_security_suite};
use crate::system::files::beginning;
use crate::system::process::{Finished, Invocation};
use std::collections::HashMap;
use std::path::Path;

/// The version table of packages shows what the list does not: security updates below the candidate, and the URI of the
/// source.
pub fn ask_origins(names: &[&str]) -> Invocation {
    apt_cache("policy", names.iter().copied())
}

/// Reads `apt-cache policy NAME...`. Versions stand from new to old, the installed one behind three asterisks. Below
/// each are the lines that say where it can be had:
///
/// ```text
/// tb-sec:
///   Installed: 1.0-1
///   Candidate: 3.0-1
///   Version table:
///      3.0-1 500 (phased 20%)
///         500 http://127.0.0.1:8080 stable/main amd64 Packages
///      2.0-1 500
///         500 http://127.0.0.3:8080 stable-security/main amd64 Packages
///  *** 1.0-1 100
///         100 /var/lib/dpkg/status
/// ```
pub fn parse_origins(stdout: &str) -> Origins {
    let mut packages = Origins::new();
    let (mut name, mut candidate, mut version, mut is_phased) = ("", "", None, false);
    let mut is_newer = true;
    for line in stdout.lines() {
        let text = line.trim_start_matches(' ');
        match line.len() - text.len() {
            0 if text.ends_with(':') => {
                (name, candidate, version, is_newer) = (text.trim_end_matches(':'), "", None, true);
                packages.entry(name.to_string()).or_default();
            }
            // The installed version, and those below it, are not newer. A pin may make one of these the candidate.
            1 if text.starts_with("*** ") => (version, is_newer) = (None, false),
            2 => candidate = text.strip_prefix("Candidate: ").unwrap_or(candidate),
            5 => {
                let mut words = text.split(' ');
                let (found, priority) = (words.next(), words.next());
                let priority = priority.and_then(|priority| priority.parse().ok());
                version = found.zip(priority);
                is_phased = text.contains(" (phased ");
            }
            spaces if spaces > 5 => {
                let Some(((uri, suite), (version, priority))) = source_of(text).zip(version) else {
                    continue;
                };
                if !is_newer && version != candidate {
                    continue;
                }
                let origin = Origin {
                    source: source_id(uri, suite),
                    is_security: is_security_suite(suite),
                    is_candidate: version == candidate,
                    version: Some(version.to_string()),
                    priority,
                    is_phased,
                    ..Origin::default()
                };
                packages.entry(name.to_string()).or_default().push(origin);
            }
            _ => {}
        }
    }
    packages
}

/// For each package, the sources that offer the installed version, or, where none does, an older one: in its version
/// table they stand below the asterisks.
pub fn installed_from(stdout: &str) -> HashMap<String, Vec<String>> {
    let mut packages: HashMap<String, [Vec<String>; 2]> = HashMap::new();
    let (mut name, mut below) = ("", None);
    for line in stdout.lines() {
        let text = line.trim_start_matches(' ');
        match (line.len() - text.len(), below) {
            (0, _) => (name, below) = (text.trim_end_matches(':'), None),
            (1, _) => below = text.starts_with("*** ").then_some(0),
            (5, Some(_)) => below = Some(1),
            (spaces, Some(of)) if spaces > 5 => {
                let ids = source_of(text).map(|(uri, suite)| source_id(uri, suite));
                packages.entry(name.to_string()).or_default()[of].extend(ids);
            }
            _ => {}
        }
    }
    let sources = |[own, older]: [Vec<String>; 2]| if own.is_empty() { older } else { own };
    packages.into_iter().map(|(name, found)| (name, sources(found))).collect()
}

/// The release that a source belongs to.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// `Origin` in its Release file: who makes it. A vendor's repository may have the suite of the distribution. `None` if
    /// that is not known, empty if the file does not say it.
    maker: Option<String>,
    /// `bookworm` and `stable` of `bookworm-security`. The sources may call it by one of them, and its Release file says
    /// the other.
    names: Vec<String>,
}

impl Release {
    pub fn of(id: &str, lists: &Path) -> Release {
        let file = |name: &str| kept_as(id, name).map(|name| beginning(&lists.join(name), HEAD));
        let text: String = ["InRelease", "Release"].into_iter().filter_map(file).collect();
        let told = |field: &'static str| text.lines().filter_map(move |line| line.strip_prefix(field));
        let suite = id.rsplit_once(' ').map(|(_, suite)| suite);
        let suites = suite.into_iter().chain(told("Codename: ")).chain(told("Suite: "));
        let names = suites.filter_map(|suite| suite.trim().split(['-', '/']).next());
        let names = names.filter(|name| !name.is_empty() && *name != ".").map(str::to_owned).collect();
        let maker = (!text.is_empty()).then(|| match told("Origin: ").next().unwrap_or_default().trim() {
            // Ubuntu Pro has fixes for packages of the archive.
            "UbuntuESM" | "UbuntuESMApps" => "Ubuntu".to_string(),
            maker => maker.to_string(),
        });
        // aptly writes `. bookworm-security` if nobody has told it.
        let is_of_suite = |maker: &String| suite.is_some_and(|suite| maker.ends_with(&format!(" {suite}")));
        Release { maker: maker.filter(|maker| !is_of_suite(maker)), names }
    }

    /// Whether nothing shows that they are two.
    pub fn is_same(&self, other: &Release) -> bool {
        let is_unknown = |release: &Release| release.maker.is_none() && release.names.is_empty();
        let has_same_maker = self.maker.is_none() || other.maker.is_none() || self.maker == other.maker;
        let has_same_name = self.names.iter().any(|name| other.names.contains(name));
        has_same_maker && (has_same_name || is_unknown(self) || is_unknown(other))
    }
}

/// A Release file says what it is in its first lines.
const HEAD: u64 = 4096;

/// Marks as such also the origins that call themselves an archive of security updates, in a Release file below `lists`.
/// The version table has only the suite as it is configured.
pub fn add_labels(origins: &mut Origins, lists: &Path) {
    let mut known: HashMap<String, bool> = HashMap::new();
    for origin in origins.values_mut().flatten() {
        let is_labelled = |file: &str| {
            let file = kept_as(&origin.source, file).map(|name| lists.join(name));
            file.is_some_and(|file| Published::of_release(&beginning(&file, HEAD)).is_security)
        };
        let is_known = known.entry(origin.source.clone());
        origin.is_security |=
            *is_known.or_insert_with(|| ["InRelease", "Release"].into_iter().any(is_labelled));
    }
}

/// URI and suite of `500 URI SUITE/COMPONENT ARCHITECTURE Packages`, or of `500 URI SUITE/ Packages` of a flat
/// repository. A suite may contain slashes, a URI spaces. The flat repository `/` is written as nothing between two
/// spaces.
fn source_of(line: &str) -> Option<(&str, &str)> {
    let (_, item) = line.split_once(' ')?;
    let (item, _) = item.rsplit_once(' ')?;
    let (before, last) = item.rsplit_once(' ')?;
    let (uri, place) =
        if last.is_empty() || last.ends_with('/') { (before, last) } else { before.rsplit_once(' ')? };
    let suite = match suite_of(place) {
        flat if flat.ends_with('/') => flat,
        place => place.rsplit_once('/').map_or(place, |(suite, _)| suite),
    };
    uri.contains(':').then_some((uri, suite))
}

/// Reads the policy of the pattern `?obsolete`: each name is alone on its line, with a colon behind it. apt before 2.0
/// takes the pattern for a name and complains.
pub fn not_offered(answer: &Finished) -> Option<Vec<String>> {
    let is_told = answer.succeeded() && !answer.stderr.contains("?obsolete");
    let names = answer.stdout.lines().filter(|line| !line.starts_with(' '));
    is_told.then(|| names.filter_map(|line| line.strip_suffix(':')).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apt_that_knows_no_patterns_does_not_tell_what_is_not_offered() {
        let table = "tb-gone:\n  Installed: 1.0\n *** 1.0 100\ntb-gone:i386:\n  Installed: 1.0\n";
        let noise = "Prio of /var/lib/dpkg/status 100\n";
        let told = |stdout: &str, stderr: &str| not_offered(&Finished::ended(0, stdout, stderr));
        assert_eq!(told(table, noise), Some(vec!["tb-gone".into(), "tb-gone:i386".into()]));
        assert_eq!(told("", ""), Some(Vec::new()));
        assert_eq!(told("", "N: Unable to locate package ?obsolete\n"), None);
        assert_eq!(not_offered(&Finished::ended(100, table, "E: x\n")), None);
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
        let pinned = "tb-y:\n  Installed: 3\n  Candidate: 2\n  Version table:\n *** 3 500\n        500 http://h stable/main amd64 Packages\n     2 1001\n       1001 http://h old/main amd64 Packages\n     1 500\n        500 http://h older/main amd64 Packages\n";
        let found: Vec<_> =
            parse_origins(pinned)["tb-y"].iter().map(|origin| origin.source.clone()).collect();
        assert_eq!(found, ["http://h old"], "a candidate that is older than what is installed");
    }

    #[test]
    fn what_offers_the_installed_version_stands_below_the_asterisks() {
        let policy = "tb-a:\n  Installed: 1.0\n  Candidate: 1.0\n  Version table:\n     2.0 500\n        500 http://h new-security/main amd64 Packages\n *** 1.0 990\n        990 http://h stable/main amd64 Packages\n        100 /var/lib/dpkg/status\n     0.9 500\n        500 http://h old/updates/main amd64 Packages\ntb-b:\n  Installed: 1.0\n  Version table:\n     2.0 500\n        500 http://h new/main amd64 Packages\n *** 1.0 100\n        100 /var/lib/dpkg/status\n";
        let found = installed_from(policy);
        assert_eq!(found["tb-a"], ["http://h stable"]);
        assert!(found["tb-b"].is_empty());
        // Nothing offers it any more.
        let gone = policy.replace("        990 http://h stable/main amd64 Packages\n", "");
        assert_eq!(installed_from(&gone)["tb-a"], ["http://h old/updates"]);
    }

    #[test]
    fn a_release_has_the_names_of_its_sources_and_of_its_release_files() {
        let lists = tempfile::tempdir().unwrap();
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: x\nSuite: stable-security\nCodename: bookworm-security\n";
        std::fs::write(lists.path().join("h_dists_bookworm-security_InRelease"), text).unwrap();
        let release = |id: &str| Release::of(id, lists.path());
        let names = |id: &str| release(id).names.join(" ");
        assert_eq!(names("http://h bookworm-security"), "bookworm bookworm stable");
        assert_eq!(names("http://h jammy-apps-security"), "jammy");
        assert_eq!(names("http://h buster/updates"), "buster");
        assert_eq!(names("file:/srv/repo ./"), "");
        // A vendor has the same suite.
        let unsigned = "Origin: vendor\nSuite: bookworm\n";
        std::fs::write(lists.path().join("v_dists_bookworm_Release"), unsigned).unwrap();
        std::fs::write(lists.path().join("m_dists_stable_Release"), "Origin: x\nCodename: bookworm\n")
            .unwrap();
        let fix = release("http://h bookworm-security");
        let is_same = |id: &str| release(id).is_same(&fix);
        assert!(is_same("http://m stable"));
        assert!(!is_same("http://v bookworm"), "another maker");
        assert!(!is_same("http://m sid") && !is_same("http://h buster/updates"), "another name");
        assert!(is_same("cdrom:[x] bookworm") && is_same("file:/srv/debs ./"), "no Release file");
        std::fs::write(lists.path().join("c_._Release"), "Origin: NVIDIA\n").unwrap();
        std::fs::write(lists.path().join("c_Release"), "Origin: NVIDIA\n").unwrap();
        assert!(!is_same("http://c ./"), "flat, and of another maker");
        std::fs::write(lists.path().join("a_dists_bookworm_Release"), "Origin: . bookworm\n").unwrap();
        assert!(is_same("http://a bookworm"), "of aptly");
        let ubuntu = |name: &str, origin: &str| {
            let path = lists.path().join(format!("u_dists_{name}_Release"));
            std::fs::write(path, format!("Origin: {origin}\n")).unwrap();
            release(&format!("http://u {name}"))
        };
        let (archive, esm) = (ubuntu("jammy", "Ubuntu"), ubuntu("jammy-apps-security", "UbuntuESMApps"));
        assert!(archive.is_same(&esm) && !archive.is_same(&ubuntu("jammy-x", "UbuntuFIPS")));
    }

    #[test]
    fn sources_are_read_whatever_apt_writes_beside_them() {
        let policy = "tb-a:i386:\n  Installed: 1.0\n  Candidate: 3.0\n  Version table:\n     3.0 500 (phased 20%)\n       1001 mirror+file:/etc/apt/mirrors.txt stable/updates/main i386 Packages\n        -10 cdrom:[Debian GNU/Linux 12 _Bookworm_ - Official amd64]/ bookworm/main amd64 Packages\n     2.0 -1\n        500 http://h/deb  Packages\n *** 1.0 100\n        500 http://h stable/main i386 Packages\n        100 /var/lib/dpkg/status\n";
        let origins = parse_origins(policy);
        let short: Vec<_> = origins["tb-a:i386"]
            .iter()
            .map(|origin| (&*origin.source, origin.version.as_deref().unwrap_or_default(), origin.priority))
            .collect();
        assert_eq!(
            short,
            [
                ("mirror+file:/etc/apt/mirrors.txt stable/updates", "3.0", 500),
                ("cdrom:[Debian GNU/Linux 12 _Bookworm_ - Official amd64] bookworm", "3.0", 500),
                ("http://h/deb /", "2.0", -1),
            ]
        );
        assert!(origins["tb-a:i386"].iter().all(|origin| origin.is_candidate == (origin.priority == 500)));
        let phased: Vec<_> = origins["tb-a:i386"].iter().map(|origin| origin.is_phased).collect();
        assert_eq!(phased, [true, true, false]);
        assert!(origins["tb-a:i386"][0].is_security, "buster/updates was Debian's");
    }
}
