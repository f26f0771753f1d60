//! Reading what apt lists: pending updates, what stays and why, which files a download brings.

use super::classes::fetch_class;
use super::commands::{apt_cache, apt_config, setting};
use crate::managers::facts::Places;
use crate::managers::origins::Origins;
use crate::model::class::Class;
use crate::model::listing::Listing;
use crate::model::published::{is_security_label, is_security_suite};
use crate::model::updates::{HeldBack, KEPT_BACK, PHASED, Update};
use crate::system::process::{Finished, Invocation};
use std::collections::HashSet;
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
///
/// Nothing that the `Inst` lines lack may be missed:
///
/// ```text
/// 2 upgraded, 0 newly installed, 1 downgraded, 1 to remove and 1 not upgraded.
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
    if let Some(told) = stdout.lines().rev().find_map(counts) {
        let (comes, goes) = (listing.updates.len(), listing.removals.len());
        listing.compare("apt-get", told.0 + told.1, comes.min(told.0) + goes.min(told.1));
    }
    // apt would do this, but refuses to do it unattended.
    let refused: Vec<_> = listing.held_back.iter().filter(|held| held.class.is_some()).cloned().collect();
    listing.leave_out(&refused);
    listing
}

/// How many packages apt counts that come, and that go: `1 upgraded, 2 newly installed, 1 reinstalled, 1 downgraded, 3 to
/// remove and 4 not upgraded.` A package that it removes only for a moment has a `Remv` line too.
fn counts(line: &str) -> Option<(usize, usize)> {
    let (coming, rest) = line.strip_suffix(" not upgraded.")?.rsplit_once(" to remove and ")?;
    rest.parse::<usize>().ok()?;
    let (coming, goes) = coming.rsplit_once(", ")?;
    let number = |part: &str| {
        let (number, what) = part.split_once(' ')?;
        let is_known = ["upgraded", "newly installed", "reinstalled", "downgraded"].contains(&what);
        number.parse::<usize>().ok().filter(|_| is_known)
    };
    let comes: Option<Vec<_>> = coming.split(", ").map(number).collect();
    Some((comes?.into_iter().sum(), goes.parse().ok()?))
}

fn lines(stdout: &str) -> impl Iterator<Item = &str> {
    stdout.split(['\n', '\r'])
}

/// A heading of apt's, what it means for the packages below it, and the error with which apt refuses to continue with
/// them.
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

/// The updates at which an unattended apt stops, and those for which the index has no safe hash.
pub fn culprits(finished: &Finished) -> Vec<HeldBack> {
    let is_refused = |heading: &Heading| {
        !heading.refusal.is_empty() && finished.stderr.lines().any(|line| line.contains(heading.refusal))
    };
    let refused = paragraphs(&finished.stdout).into_iter().filter(|found| is_refused(found.heading));
    let refused = refused.flat_map(|found| found.packages());
    refused.chain(unverifiable(&finished.stdout)).collect()
}

/// The packages of a download that cannot be had in a trusted way. A package that one mirror lacks may still be had by
/// another try. The lines below say why:
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
        // It is listed with its architecture where that is not the native one.
        let full = format!("{name}:{architecture}");
        let is_listed = stdout.split_whitespace().any(|word| word == full);
        let held = HeldBack::left_out(if is_listed { &full } else { *name }, class, reason);
        found.push(HeldBack { candidate: Some(version.to_string()), ..held });
    }
    found
}

/// The packages whose files are all owned by another package now. dpkg removes such a package by itself:
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

/// What the index says about the packages that a download did not need to fetch.
pub fn ask_hashes(planned: &Listing, downloaded: &Finished) -> Option<Invocation> {
    let fetched: HashSet<_> = lines(&downloaded.stdout).filter_map(fetched).collect();
    let is_cached = |update: &&Update| {
        let plain = update.name.split(':').next().unwrap_or_default();
        !fetched.contains(&(plain, update.candidate.as_str()))
    };
    let cached = planned.updates.iter().filter(is_cached);
    let words: Vec<_> = cached.map(|update| format!("{}={}", update.name, update.candidate)).collect();
    (!words.is_empty()).then(|| apt_cache("show", words))
}

/// `Get:1 http://127.0.0.1:8080 stable/main amd64 tb-a all 2.0 [20.7 kB]`
fn fetched(line: &str) -> Option<(&str, &str)> {
    let (item, _size) = line.strip_prefix("Get:")?.rsplit_once(" [")?;
    let mut words = item.rsplit(' ');
    let (version, _architecture) = (words.next()?, words.next()?);
    Some((words.next()?, version))
}

/// Reads `apt-cache show`: paragraphs of fields. In a file name apt writes `%3a` for a colon.
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

/// Asks whether the administrator allows what apt refuses to do unattended, where a list holds such a thing.
pub fn ask_allowed(listing: &Listing) -> Option<Invocation> {
    let is_refused = listing.held_back.iter().any(|held| held.class.is_some());
    let options = [
        ("DOWNGRADE", "APT::Get::allow-downgrades"),
        ("HOLD", "APT::Get::allow-change-held-packages"),
        ("ALL", "APT::Get::force-yes"),
    ];
    is_refused.then(|| apt_config(options))
}

/// Whether an update may be kept back only for its phase. The list of an older apt says no more than that it is kept
/// back.
pub fn may_wait(listing: &Listing, origins: &Origins) -> bool {
    listing.held_back.iter().any(|held| is_of_phases(held, origins))
}

fn is_of_phases(held: &HeldBack, origins: &Origins) -> bool {
    let mut of = origins.get(&held.name).into_iter().flatten();
    held.reason == KEPT_BACK && of.any(|origin| origin.is_candidate && origin.is_phased)
}

/// Finds the updates that only wait for their phase. `all` is what would be installed if phased updates were offered to
/// every host.
pub fn tell_phased(listing: &mut Listing, origins: &Origins, all: &Listing) {
    let comes = |held: &HeldBack| all.comes(&held.name);
    for held in &mut listing.held_back {
        if is_of_phases(held, origins) && comes(held) {
            held.reason = PHASED.to_string();
        }
    }
}

/// Counts what is allowed as an ordinary update.
pub fn add_allowed(answer: &str, mut listing: Listing) -> Listing {
    let is_true = |name: &str| {
        let value = setting(answer, name).unwrap_or_default().to_lowercase();
        // The words that apt's StringToBool reads as true.
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
        ..Update::default()
    })
}

fn bracketed(text: &str) -> Option<String> {
    let start = text.find('[')? + 1;
    Some(text[start..start + text[start..].find(']')?].to_string())
}

/// `Label:Version/Suite` or `Label:Suite`.
fn is_security_origin(origin: &str) -> bool {
    let (label, place) = origin.split_once(':').unwrap_or(("", origin));
    is_security_label(label) || is_security_suite(place.rsplit('/').next().unwrap_or(place))
}

/// `   tb-dep (1.0-1 => 2.0-1)`; several names on one line where apt-get does not know `-V`.
fn stays(line: &str, heading: &Heading) -> Vec<HeldBack> {
    let one = |name: &str, versions: Option<(&str, &str)>| HeldBack {
        name: name.to_string(),
        installed: versions.map(|(installed, _)| installed.to_string()),
        candidate: versions.map(|(_, candidate)| candidate.to_string()),
        reason: heading.reason.to_string(),
        class: heading.class,
        ..HeldBack::default()
    };
    if let Some((name, versions)) = line.trim().split_once(" (") {
        return vec![one(name, versions.trim_end_matches(')').split_once(" => "))];
    }
    line.split_whitespace().map(|name| one(name, None)).collect()
}

#[cfg(test)]
#[path = "lists_tests.rs"]
mod tests;
