//! Reading what apt and dpkg list: pending updates, their origin, installed packages.

use super::classes::fetch_class;
use super::commands::ENV;
use crate::managers::facts::Places;
use crate::model::class::{Class, Extra};
use crate::model::listing::Listing;
use crate::model::packages::Origin;
use crate::model::updates::{HeldBack, KEPT_BACK, PHASED, Update};
use crate::system::process::{Finished, Invocation};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// Reads `apt-get -s -V upgrade`. The paragraphs name what stays, the `Inst` lines what comes:
///
/// ```text
/// The following packages have been kept back:
///    tb-dep (1.0-1 => 2.0-1)
/// The following packages will be DOWNGRADED:
///    tb-pin (3.0-1 => 2.0-1)
/// Inst tb-pin [3.0-1] (2.0-1 Debian:stable [all])
/// Inst tb-sec [1.0-1] (2.0-1 Debian-Security:stable-security [all])
/// Remv tb-old [1.0-1]
/// ```
pub fn parse(stdout: &str) -> Listing {
    let mut listing = Listing::default();
    for paragraph in paragraphs(stdout) {
        listing.held_back.extend(paragraph.packages());
    }
    for line in lines(stdout) {
        if let Some(rest) = line.strip_prefix("Inst ") {
            listing.updates.extend(inst(rest));
        } else if let Some(rest) = line.strip_prefix("Remv ").or_else(|| line.strip_prefix("Purg ")) {
            let name = rest.split(' ').next().unwrap_or_default();
            listing.removals.push((name.to_string(), bracketed(rest)));
        }
    }
    // What apt would do here it refuses to do unattended.
    let refused: Vec<_> = listing.held_back.iter().filter(|held| held.class.is_some()).cloned().collect();
    listing.leave_out(&refused);
    listing
}

fn lines(stdout: &str) -> impl Iterator<Item = &str> {
    stdout.split(['\n', '\r'])
}

/// A heading of apt's, what it means for the packages below it, and with what error apt refuses to go on
/// with them.
struct Heading {
    line: &'static str,
    reason: &'static str,
    class: Option<Class>,
    refusal: &'static str,
}

const HEADINGS: &[Heading] = &[
    Heading {
        line: "The following packages have been kept back:",
        reason: KEPT_BACK,
        class: None,
        refusal: "",
    },
    Heading {
        line: "The following upgrades have been deferred due to phasing:",
        reason: PHASED,
        class: None,
        refusal: "",
    },
    Heading {
        line: "The following packages will be DOWNGRADED:",
        reason: "a pin makes it a downgrade",
        class: Some(Class::Dependency),
        refusal: "Packages were downgraded and -y was used",
    },
    Heading {
        line: "The following held packages will be changed:",
        reason: "held",
        class: Some(Class::Dependency),
        refusal: "Held packages were changed and -y was used",
    },
    Heading {
        line: "WARNING: The following packages cannot be authenticated!",
        reason: "it cannot be authenticated: its source is not trusted, or its hashes are weak",
        class: Some(Class::Auth),
        refusal: "unauthenticated packages and -y was used",
    },
];

/// One of these headings and the indented lines below it.
struct Paragraph<'a> {
    heading: &'static Heading,
    lines: Vec<&'a str>,
}

impl Paragraph<'_> {
    fn packages(&self) -> Vec<HeldBack> {
        self.lines.iter().flat_map(|line| stays(line, self.heading)).collect()
    }
}

fn paragraphs(stdout: &str) -> Vec<Paragraph<'_>> {
    let mut found: Vec<Paragraph> = Vec::new();
    let mut is_open = false;
    for line in lines(stdout) {
        if let Some(heading) = HEADINGS.iter().find(|heading| heading.line == line) {
            found.push(Paragraph { heading, lines: Vec::new() });
            is_open = true;
        } else if let Some(last) = found.last_mut().filter(|_| is_open && line.starts_with("  ")) {
            last.lines.push(line);
        } else {
            is_open = false;
        }
    }
    found
}

/// The updates for which an unattended apt stops, and those of which it knows no hash that is safe.
pub fn culprits(finished: &Finished) -> Vec<HeldBack> {
    let is_refused = |heading: &Heading| {
        !heading.refusal.is_empty() && finished.stderr.lines().any(|line| line.contains(heading.refusal))
    };
    let refused = paragraphs(&finished.stdout).into_iter().filter(|found| is_refused(found.heading));
    let refused = refused.flat_map(|found| found.packages());
    refused.chain(unverifiable(&finished.stdout)).collect()
}

/// The packages of a download that cannot be had in a way to be trusted; one that a mirror does not have
/// may be had by another try. The lines below say why:
///
/// ```text
/// Err:1 http://127.0.0.1:8080 stable/main amd64 tb-weak all 2.0
///   Insufficient information available to perform this download securely
///   Hashes of expected file:
/// ```
fn unverifiable(stdout: &str) -> Vec<HeldBack> {
    let mut found = Vec::new();
    let mut lines = lines(stdout).peekable();
    while let Some(line) = lines.next() {
        let item = line.strip_prefix("Err:").and_then(|rest| rest.split_once(' '));
        let words: Vec<_> = item.map(|(_, item)| item.split(' ').collect()).unwrap_or_default();
        let [.., name, architecture, version] = words.as_slice() else { continue };
        let reason = lines.peek().and_then(|line| line.strip_prefix("  ")).unwrap_or_default().trim();
        let class = fetch_class(reason);
        if !matches!(class, Class::Auth | Class::Config) {
            continue;
        }
        // Listed with its architecture where that is not the native one.
        let full = format!("{name}:{architecture}");
        let is_listed = stdout.split_whitespace().any(|word| word == full);
        found.push(HeldBack {
            name: if is_listed { full } else { name.to_string() },
            installed: None,
            candidate: Some(version.to_string()),
            reason: reason.to_string(),
            class: Some(class),
            security: None,
            told: Default::default(),
            extra: Extra::new(),
        });
    }
    found
}

/// The packages of which the files are all another's now; dpkg removes such a package by itself:
///
/// ```text
/// The following package disappeared from your system as
/// all files have been overwritten by other packages:
///   tb-old
/// ```
pub fn disappeared(finished: &Finished) -> Vec<String> {
    let is_heading = |line: &&str| *line == "all files have been overwritten by other packages:";
    let below = lines(&finished.stdout).skip_while(|line| !is_heading(line)).skip(1);
    let names = below.take_while(|line| line.starts_with("  ")).flat_map(str::split_whitespace);
    names.map(str::to_owned).collect()
}

/// What the index knows of the packages that a download had no need to fetch.
pub fn ask_hashes(planned: &Listing, downloaded: &Finished) -> Option<Invocation> {
    let fetched: HashSet<_> = lines(&downloaded.stdout).filter_map(fetched).collect();
    let is_cached = |update: &&Update| {
        let plain = update.name.split(':').next().unwrap_or_default();
        !fetched.contains(&(plain, update.candidate.as_str()))
    };
    let cached = planned.updates.iter().filter(is_cached);
    let words: Vec<_> = cached.map(|update| format!("{}={}", update.name, update.candidate)).collect();
    (!words.is_empty()).then(|| Invocation {
        program: "apt-cache",
        args: std::iter::once("show".to_string()).chain(words).collect(),
        env: ENV,
        ..Invocation::default()
    })
}

/// `Get:1 http://127.0.0.1:8080 stable/main amd64 tb-a all 2.0 [20.7 kB]`
fn fetched(line: &str) -> Option<(&str, &str)> {
    let (item, _size) = line.strip_prefix("Get:")?.rsplit_once(" [")?;
    let mut words = item.rsplit(' ');
    let (version, _architecture) = (words.next()?, words.next()?);
    Some((words.next()?, version))
}

/// Reads `apt-cache show`: paragraphs of fields. In the name of a file apt writes `%3a` for a colon.
pub fn hashes(stdout: &str, places: &Places) -> Vec<(PathBuf, String)> {
    let file = |paragraph: &str| {
        let field = |name: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
        };
        let quoted = |text: &str| text.replace('_', "%5f").replace(':', "%3a");
        let (name, version) = (quoted(field("Package")?), quoted(field("Version")?));
        let path = places.archives.join(format!("{name}_{version}_{}.deb", field("Architecture")?));
        let is_safe = !name.contains('/') && !version.contains('/') && !path.ends_with("..");
        is_safe.then_some((path, field("SHA256")?.to_string()))
    };
    stdout.split("\n\n").filter_map(file).collect()
}

/// Where a list holds what apt refuses to do unattended: whether the administrator allows it.
pub fn ask_allowed(listing: &Listing) -> Option<Invocation> {
    let is_refused = listing.held_back.iter().any(|held| held.class.is_some());
    let options =
        ["APT::Get::allow-downgrades", "APT::Get::allow-change-held-packages", "APT::Get::force-yes"];
    let words = options.iter().zip(["DOWNGRADE", "HOLD", "ALL"]).flat_map(|(option, name)| [name, option]);
    is_refused.then(|| Invocation {
        program: "apt-config",
        args: std::iter::once("shell").chain(words).map(str::to_owned).collect(),
        env: ENV,
        ..Invocation::default()
    })
}

/// Whether an update may only wait for its phase: a list of older versions says no more than that it is kept back.
pub fn may_wait(listing: &Listing, origins: &HashMap<String, Vec<Origin>>) -> bool {
    listing.held_back.iter().any(|held| is_of_phases(held, origins))
}

fn is_of_phases(held: &HeldBack, origins: &HashMap<String, Vec<Origin>>) -> bool {
    let mut of = origins.get(&held.name).into_iter().flatten();
    held.reason == KEPT_BACK && of.any(|origin| origin.is_candidate && origin.is_phased)
}

/// Finds the updates that only wait for their phase, given what would be installed if every host were offered what
/// is phased.
pub fn tell_phased(listing: &mut Listing, origins: &HashMap<String, Vec<Origin>>, all: &Listing) {
    let comes = |held: &HeldBack| all.updates.iter().any(|update| update.name == held.name);
    for held in &mut listing.held_back {
        if is_of_phases(held, origins) && comes(held) {
            held.reason = PHASED.to_string();
        }
    }
}

/// Takes what is allowed for an update like any other.
pub fn add_allowed(answer: &str, mut listing: Listing) -> Listing {
    let is_true = |name: &str| {
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("='"));
        let value = line.and_then(|value| value.strip_suffix('\'')).unwrap_or_default().to_lowercase();
        // As apt's StringToBool reads it.
        ["yes", "true", "with", "on", "enable"].contains(&value.as_str())
            || value.parse::<i64>().is_ok_and(|number| number != 0)
    };
    let is_allowed = |held: &HeldBack| {
        let option = if held.reason == "held" { "HOLD" } else { "DOWNGRADE" };
        held.class.is_some() && (is_true("ALL") || is_true(option))
    };
    let (allowed, held) = listing.held_back.into_iter().partition(is_allowed);
    listing.held_back = held;
    listing.updates.extend(Vec::into_iter(allowed).filter_map(HeldBack::into_update));
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
        told: Default::default(),
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
pub fn is_security_suite(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

/// `   tb-dep (1.0-1 => 2.0-1)`; without `-V` several names stand on a line, as an apt-get that
/// does not know the option would print them.
fn stays(line: &str, heading: &Heading) -> Vec<HeldBack> {
    let one = |name: &str, versions: Option<(&str, &str)>| HeldBack {
        name: name.to_string(),
        installed: versions.map(|(installed, _)| installed.to_string()),
        candidate: versions.map(|(_, candidate)| candidate.to_string()),
        reason: heading.reason.to_string(),
        class: heading.class,
        security: None,
        told: Default::default(),
        extra: Extra::new(),
    };
    if let Some((name, versions)) = line.trim().split_once(" (") {
        return vec![one(name, versions.trim_end_matches(')').split_once(" => "))];
    }
    line.split_whitespace().map(|name| one(name, None)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::apt::Apt;
    use crate::managers::manager::Manager;

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

    /// What `apt-get -y -d upgrade` printed, and what it said in the end.
    fn culprits_of(stdout: &str, stderr: &str) -> Vec<(String, Class)> {
        let found = culprits(&Finished::ended(100, stdout, stderr));
        found.into_iter().map(|held| (held.name, held.class.unwrap())).collect()
    }

    #[test]
    fn what_apt_refuses_unattended_is_named() {
        let paragraphs = "The following packages have been kept back:\n  tb-kept\nThe following held packages will be changed:\n  tb-held\nThe following packages will be DOWNGRADED:\n  tb-a tb-b:i386\nThe following packages will be upgraded:\n  tb-c\nWARNING: The following packages cannot be authenticated!\n  tb-d\n";
        let refusal = |words: &str| format!("E: {words} and -y was used without --allow-it.\n");
        for (words, expected) in [
            (
                "Packages were downgraded",
                &[("tb-a", Class::Dependency), ("tb-b:i386", Class::Dependency)][..],
            ),
            ("Held packages were changed", &[("tb-held", Class::Dependency)]),
            ("There were unauthenticated packages", &[("tb-d", Class::Auth)]),
            ("Something", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(name, class)| (name.to_string(), *class)).collect();
            assert_eq!(culprits_of(paragraphs, &refusal(words)), expected, "{words}");
        }
    }

    #[test]
    fn a_package_without_a_hash_that_is_safe_is_named_and_one_that_is_not_there_is_not() {
        let stdout = "The following packages will be upgraded:\n  tb-a tb-b:i386\nErr:1 http://h stable/main amd64 tb-a all 2.0\n  Insufficient information available to perform this download securely\n  Hashes of expected file:\n   - MD5Sum:9 [weak]\nErr:2 http://h stable/main i386 tb-b i386 2.0\n  Insufficient information available to perform this download securely\nErr:3 http://h stable/main amd64 tb-c all 2.0\n  404  Not Found [IP: 127.0.0.1 80]\n";
        let expected = [("tb-a".to_string(), Class::Auth), ("tb-b:i386".to_string(), Class::Auth)];
        assert_eq!(culprits_of(stdout, ""), expected);
    }

    #[test]
    fn only_what_was_not_fetched_just_now_is_looked_at() {
        let plan = parse("Inst a [1] (1:2 x [all])\nInst b:i386 [1] (2 x [i386])\nInst c [1] (2 x [all])\n");
        let got = |lines: &str| {
            let asked = ask_hashes(&plan, &Finished::ended(0, lines, ""));
            asked.map(|asked| asked.args.join(" ")).unwrap_or_default()
        };
        let (a, b, c) = (
            "Get:1 http://h s/main amd64 a all 1:2 [9 B]\n",
            "Get:2 http://h s/main i386 b i386 2 [20.7 kB]\n",
            "Get:3 cdrom:[Debian 12 x]/ s/main amd64 c all 2 [9 B]\n",
        );
        assert_eq!(got(""), "show a=1:2 b:i386=2 c=2");
        assert_eq!(got(&format!("{a}{c}")), "show b:i386=2");
        assert_eq!(got(&format!("{a}{b}{c}")), "");
        let places = Places { archives: "/x".into(), ..Apt.facts().usual_places() };
        let shown = "Package: a\nVersion: 1:2\nArchitecture: all\nSHA256: 12\nDescription: x\n Package: y\n\nPackage: b\nVersion: 2\nArchitecture: i386\nMD5sum: 1\n\n";
        assert_eq!(hashes(shown, &places), [("/x/a_1%3a2_all.deb".into(), "12".to_string())]);
    }

    #[test]
    fn packages_that_disappeared_are_read_and_what_stands_below_is_not() {
        let text = "Setting up tb-world (2.0) ...\nThe following packages disappeared from your system as\nall files have been overwritten by other packages:\n  tb-a tb-b\n  tb-c\nNote: x\n  tb-d\n";
        assert_eq!(disappeared(&Finished::ended(0, text, "")), ["tb-a", "tb-b", "tb-c"]);
        assert!(disappeared(&Finished::ended(0, "  tb-a\n", "")).is_empty());
    }

    #[test]
    fn a_downgrade_is_held_back_unless_the_administrator_allows_it() {
        let text = "The following held packages will be changed:\n   tb-held (1.0 => 2.0)\nThe following packages will be DOWNGRADED:\n   tb-a (2.0 => 1.0)\n1 upgraded, 0 newly installed, 1 downgraded, 0 to remove and 0 not upgraded.\nInst tb-a [2.0] (1.0 Debian:stable [all])\nInst tb-held [1.0] (2.0 Debian:stable [all])\nPurg tb-old [1.0]\n";
        let listing = parse(text);
        assert!(listing.updates.is_empty() && listing.removals.len() == 1);
        let held = |listing: &Listing| -> Vec<String> {
            listing.held_back.iter().map(|held| format!("{} {}", held.name, held.reason)).collect()
        };
        assert_eq!(held(&listing), ["tb-held held", "tb-a a pin makes it a downgrade"]);
        assert!(ask_allowed(&listing).is_some());
        assert!(ask_allowed(&Listing::default()).is_none());
        for (answer, left) in [
            ("", 2),
            ("DOWNGRADE='false'\nHOLD='0'\nALL='no'\n", 2),
            ("DOWNGRADE='true'\n", 1),
            ("HOLD='1'\n", 1),
            ("ALL='yes'\n", 0),
        ] {
            let listing = add_allowed(answer, listing.clone());
            assert_eq!((listing.held_back.len(), listing.updates.len()), (left, 2 - left), "{answer}");
        }
    }
}
