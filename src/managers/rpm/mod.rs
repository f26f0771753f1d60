//! What all managers of rpm packages have in common: names, the package database, what is
//! installed.

pub mod advisories;
pub mod database;
pub mod errors;
pub mod excluded;
pub mod files;
pub mod history;
pub mod leftovers;
pub mod owned;
pub mod tables;

use crate::managers::capabilities::Unneeded;
use crate::managers::facts::Plan;
use crate::managers::origins;
use crate::model::listing::Listing;
use crate::model::packages::{Damage, Leftover, Origin};
use crate::model::text::one_line;
use crate::model::time::Time;
use crate::model::told::Advice;
use crate::model::updates::Update;
use crate::system::process::{Finished, Invocation};
use glob::Pattern;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

/// The package database, where Fedora and its relatives have had it.
pub const DATABASES: &[&str] = &[
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages.db",
    "/var/lib/rpm/Packages",
];

/// Why a protected package, and what would come in its place, stays as it is.
pub const WOULD_GO: &str =
    "it is protected, and an update would remove it: another package comes in its place or is in its way";

/// Its lock.
pub const LOCKS: &[&str] = &["/usr/lib/sysimage/rpm/.rpm.lock", "/var/lib/rpm/.rpm.lock"];

/// A pending update of a list that does not say what is installed.
pub fn update(name: &str, arch: &str, candidate: &str, source: &str) -> Update {
    Update {
        name: listed_name(name, arch),
        candidate: candidate.to_string(),
        source: Some(source.to_string()),
        ..Update::default()
    }
}

/// A list of updates with the packages that come in the place of others.
pub fn with_obsoleting(updates: Vec<Update>, obsoleting: Vec<Update>, obsoleted: Vec<String>) -> Vec<Update> {
    let mut obsoleted: HashSet<String> = obsoleted.into_iter().collect();
    // A package can obsolete an older one of its own name: that is an update like any other.
    for new in &obsoleting {
        obsoleted.remove(&new.name);
    }
    let mut updates = updates;
    updates.retain(|update| !obsoleted.contains(&update.name));
    let mut listed: HashSet<_> = updates.iter().map(|update| update.name.clone()).collect();
    updates.extend(obsoleting.into_iter().filter(|new| listed.insert(new.name.clone())));
    updates
}

/// The oldest of several kernels goes where a new one comes: that is an update.
pub fn without_replaced(mut listing: Listing) -> Listing {
    let comes: HashSet<_> = listing.updates.iter().map(|update| &update.name).collect();
    listing.removals.retain(|(name, _)| !comes.contains(name));
    listing
}

/// The 32-bit packages of a 64-bit PC stand beside those of the same name; every other
/// architecture is the native one, or none.
fn is_foreign(arch: &str) -> bool {
    cfg!(target_arch = "x86_64") && (arch == "athlon" || (arch.starts_with('i') && arch.ends_with("86")))
}

/// A name as our lists have it, with the architecture only where it is not the native one.
pub fn listed_name(name: &str, arch: &str) -> String {
    if is_foreign(arch) { format!("{name}.{arch}") } else { name.to_string() }
}

/// `glibc.i686` without its architecture.
pub fn plain_name(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((plain, arch)) if is_foreign(arch) => plain,
        _ => name,
    }
}

/// What rpm takes as a name, with an architecture or without. No group (`@core`), no path, no
/// pattern.
pub fn is_package_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

/// `EPOCHNUM` is 0 where a package has none.
pub fn list_installed() -> Invocation {
    let format = r"%{NAME}\t%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{INSTALLTIME}\t[%{OBSOLETENAME} %{OBSOLETEFLAGS:depflags} %{OBSOLETEVERSION},]\n";
    Invocation {
        program: "rpm",
        args: ["-qa", "--qf", format].map(str::to_owned).to_vec(),
        ..Invocation::default()
    }
}

/// Compares two `EPOCH:VERSION-RELEASE` as rpm does; an epoch that is not there is 0.
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    fn parts(text: &str) -> (u64, &str, &str) {
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch.parse().unwrap_or(0), version, release)
    }
    let (one, other) = (parts(one), parts(other));
    let by_epoch = one.0.cmp(&other.0);
    by_epoch.then_with(|| compare_parts(one.1, other.1)).then_with(|| compare_parts(one.2, other.2))
}

/// Whether what a package obsoletes, such as `tb-old < 2.0`, is this version of a package.
pub fn is_obsoleted(obsoletes: &str, name: &str, version: &str) -> bool {
    let words: Vec<_> = obsoletes.split_whitespace().collect();
    let (relation, limit) = match words[..] {
        [old] => return old == plain_name(name),
        [old, relation, limit] if old == plain_name(name) => (relation, limit),
        _ => return false,
    };
    // Without a release in the limit that of the package does not count.
    let version = match limit.contains('-') {
        true => version,
        false => version.rsplit_once('-').map_or(version, |(version, _)| version),
    };
    let wanted: &[Ordering] = match relation {
        "<" => &[Ordering::Less],
        "<=" => &[Ordering::Less, Ordering::Equal],
        "=" => &[Ordering::Equal],
        ">=" => &[Ordering::Greater, Ordering::Equal],
        ">" => &[Ordering::Greater],
        _ => return false,
    };
    wanted.contains(&compare_versions(version, limit))
}

/// Compares two versions or two releases run by run of digits or letters (rpmvercmp): digits are newer
/// than letters, `~` is older than the end, `^` newer than the end and older than anything else.
fn compare_parts(mut one: &str, mut other: &str) -> Ordering {
    let is_separator = |c: char| !c.is_ascii_alphanumeric() && c != '~' && c != '^';
    loop {
        (one, other) = (one.trim_start_matches(is_separator), other.trim_start_matches(is_separator));
        let rank = |text: &str| match text.bytes().next() {
            Some(b'~') => 0,
            None => 1,
            Some(b'^') => 2,
            Some(byte) if byte.is_ascii_digit() => 4,
            Some(_) => 3,
        };
        match (rank(one), rank(other)) {
            (1, 1) => return Ordering::Equal,
            (0, 0) | (2, 2) => (one, other) = (&one[1..], &other[1..]),
            (3, 3) | (4, 4) => {
                let is_digit = rank(one) == 4;
                let run = |text: &str| {
                    let same = |c: char| c.is_ascii_alphanumeric() && c.is_ascii_digit() == is_digit;
                    text.find(|c| !same(c)).unwrap_or(text.len())
                };
                let (of_one, of_other) = (&one[..run(one)], &other[..run(other)]);
                (one, other) = (&one[of_one.len()..], &other[of_other.len()..]);
                let order = if is_digit {
                    let (a, b) = (of_one.trim_start_matches('0'), of_other.trim_start_matches('0'));
                    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
                } else {
                    of_one.cmp(of_other)
                };
                if order != Ordering::Equal {
                    return order;
                }
            }
            (a, b) => return a.cmp(&b),
        }
    }
}

/// Where dnf, yum and libzypp are told of which packages they keep several versions.
pub const RULES: &[&str] = &[
    "/etc/dnf/dnf.conf",
    "/etc/dnf/libdnf5.conf.d",
    "/usr/share/dnf5/libdnf.conf.d",
    "/etc/yum.conf",
    "/usr/etc/zypp/zypp.conf",
    "/usr/etc/zypp/zypp.conf.d",
    "/etc/zypp/zypp.conf",
    "/etc/zypp/zypp.conf.d",
    "/etc/zypp/multiversion.d",
];

/// A package as rpm takes it for an argument, and as managers write it in their histories.
pub fn nevra(name: &str, version: &str, architecture: &str) -> String {
    format!("{}-{version}.{architecture}", plain_name(name))
}

/// Name, version and architecture of such a package: `tb-a-2.0-1.noarch`.
pub fn parts_of_nevra(package: &str) -> Option<(&str, &str, &str)> {
    let (rest, architecture) = package.rsplit_once('.')?;
    let name = rest.rsplitn(3, '-').nth(2)?;
    Some((name, &rest[name.len() + 1..], architecture))
}

/// Packages that may go, likewise.
pub fn nevras(packages: &[Unneeded]) -> Vec<String> {
    packages.iter().map(|one| nevra(&one.name, &one.version, &one.architecture)).collect()
}

/// Installs the newer versions again with this command of the manager, if it has one, and takes away
/// what is left of the older ones then. Without dependencies: what needs the older one lost its files
/// when the newer one came.
pub fn repair(damage: &Damage, reinstall: Option<Invocation>) -> Vec<Invocation> {
    // Never an option, whatever the database says.
    let leftovers = damage.leftovers.iter().filter(|left| is_package_name(&left.name));
    let named = |package: fn(&Leftover) -> (&String, &String)| {
        let mut names: Vec<_> = leftovers
            .clone()
            .map(|left| {
                let (name, version) = package(left);
                let version = version.rsplit(':').next().unwrap_or_default();
                nevra(name, version, &left.architecture)
            })
            .collect();
        names.dedup();
        names
    };
    let olds = named(|left| (&left.name, &left.version));
    if olds.is_empty() {
        return Vec::new();
    }
    let again = reinstall.map(|mut invocation| {
        invocation.args.extend(named(|left| (left.obsoleter.as_ref().unwrap_or(&left.name), &left.newer)));
        invocation
    });
    let args = ["-e", "--nodeps"].map(str::to_owned).into_iter().chain(olds);
    let erase = Invocation { program: "rpm", args: args.collect(), ..Invocation::default() };
    again.into_iter().chain([erase]).collect()
}

/// Where dnf keeps the index of a repository: behind its name stand the digits of a checksum.
pub fn release_files(id: &str) -> Vec<String> {
    vec![format!("{}-{}/repodata/repomd.xml", Pattern::escape(id), "[0-9a-f]".repeat(16))]
}

/// Reads `repoquery --extras`: `tb-gone.noarch`.
pub fn not_offered(answer: &Finished) -> Option<Vec<String>> {
    let rows = || answer.stdout.lines().map(str::trim).filter(|row| !row.is_empty());
    let is_told = answer.succeeded() && rows().all(|row| row.contains('.') && !row.contains(' '));
    let name = |row: &str| row.rsplit_once('.').map(|(name, arch)| listed_name(name, arch));
    is_told.then(|| rows().filter_map(name).collect())
}

/// The format of `repoquery` that `offers` reads.
pub const OFFERS: &str = "%{name}.%{arch} %{epoch}:%{version}-%{release} %{repoid}\n";

/// Which repositories offer these updates, in which newer versions, from new to old. Reads
/// `tb-a.noarch 0:2.0-1 base`.
pub fn offers(stdout: &str, updates: &[Update]) -> HashMap<String, Vec<Origin>> {
    let mut found = origins::of_lists(updates);
    let installed = |update: &Update| Some((update.name.clone(), update.installed.clone()?));
    let installed: HashMap<_, _> = updates.iter().filter_map(installed).collect();
    for line in stdout.lines() {
        let [package, version, source] = line.split_whitespace().collect::<Vec<_>>()[..] else { continue };
        let Some((name, arch)) = package.rsplit_once('.') else { continue };
        let (name, version) = (listed_name(name, arch), version.strip_prefix("0:").unwrap_or(version));
        let is_newer = |old: &String| compare_versions(version, old) == Ordering::Greater;
        let Some(origins) = found.get_mut(&name).filter(|_| installed.get(&name).is_none_or(is_newer)) else {
            continue;
        };
        let (source, version) = (source.to_string(), Some(version.to_string()));
        origins.push(Origin { source, version, ..Origin::default() });
    }
    let version = |origin: &Origin| origin.version.clone().unwrap_or_default();
    found.values_mut().for_each(|origins| {
        origins.sort_by(|one, other| compare_versions(&version(other), &version(one)));
    });
    found
}

/// The packages that a plan leaves out, and the versions in whose place older ones come, for `--exclude`.
pub fn excludes(plan: &Plan) -> Vec<String> {
    let of_version = |(name, version): &(String, String)| match plain_name(name) {
        plain if plain != name => format!("{plain}-{version}{}", &name[plain.len()..]),
        plain => format!("{plain}-{version}"),
    };
    let names = plan.staying().cloned().chain(plan.passed_over.iter().map(of_version));
    let names = names.map(|name| format!("--exclude={name}"));
    // It would also switch off what is excluded here.
    let mut excludes = vec!["--setopt=disable_excludes=".to_string()];
    excludes.extend(names);
    if excludes.len() > 1 { excludes } else { Vec::new() }
}

/// Reads `TB-2026:0001 Important/Sec. tb-sec-2.0-1.noarch`. A package of which no line speaks comes
/// from a repository that keeps no advisories, or none for it: nothing is told of it.
pub fn advisories(stdout: &str) -> HashMap<String, Vec<Origin>> {
    let mut found: HashMap<String, Vec<Origin>> = HashMap::new();
    for line in stdout.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let (advisory, kind, package, issued) = match words[..] {
            [advisory, kind, package] | [advisory, kind, package, "None"] => (advisory, kind, package, None),
            [advisory, kind, package, day, time] => {
                let Some(issued) = Time::parse(&format!("{day} {time}"), "%Y-%m-%d %H:%M:%S") else {
                    continue;
                };
                (advisory, kind, package, Some(issued))
            }
            _ => continue,
        };
        let Some((name, version, arch)) = parts_of_nevra(package) else { continue };
        let is_security = kind.ends_with("/Sec.") || kind == "security";
        let severity = kind.strip_suffix("/Sec.").unwrap_or_default();
        found.entry(listed_name(name, arch)).or_default().push(Origin {
            source: one_line(advisory),
            is_security,
            advice: Some(Advice::new(is_security, issued, severity)),
            version: Some(version.to_string()),
            ..Origin::default()
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_repository_offers_is_told_from_new_to_old_where_it_is_newer() {
        let update = |name: &str, installed: Option<&str>, candidate: &str| Update {
            name: name.into(),
            installed: installed.map(str::to_owned),
            candidate: candidate.into(),
            source: Some("base".into()),
            ..Update::default()
        };
        let updates = [update("tb-a", Some("1.0-1"), "1:1.0-1"), update("tb-new", None, "1.0-1")];
        let table = "tb-a.noarch 0:0.9-1 vendor\ntb-a.noarch 0:1.0-1 vendor\ntb-a.noarch 0:3.0-1 vendor\n\
                     tb-a.noarch 0:10.0-1 vendor\ntb-a.noarch 1:1.0-1 base\ntb-new.noarch 0:0.1-1 vendor\n\
                     tb-b.noarch 0:2.0-1 base\nLast metadata expiration check: x\n";
        let found = offers(table, &updates);
        let told = |name: &str| {
            let origins = found[name].iter();
            origins
                .map(|one| format!("{} {}", one.version.as_deref().unwrap(), one.source))
                .collect::<Vec<_>>()
        };
        assert_eq!(told("tb-a"), ["1:1.0-1 base", "1:1.0-1 base", "10.0-1 vendor", "3.0-1 vendor"]);
        assert_eq!(told("tb-new"), ["1.0-1 base", "0.1-1 vendor"]);
        assert!(!found.contains_key("tb-b"));
        let plan = Plan {
            left_out: vec!["tb-x".into()],
            passed_over: [("tb-a".to_string(), "1:1.0-1".to_string())].into(),
            ..Plan::default()
        };
        assert_eq!(
            excludes(&plan),
            ["--setopt=disable_excludes=", "--exclude=tb-x", "--exclude=tb-a-1:1.0-1"]
        );
        assert!(excludes(&Plan::default()).is_empty());
    }

    #[test]
    fn advisories_are_read_with_and_without_their_days() {
        let text = "TB-1 Important/Sec. tb-sec-2.0-1.noarch 2026-01-01 00:00:00\nTB-2 bugfix tb-a-b-1:2.0-1.noarch None\n\
                    TB-3 security tb-c-1-1.x86_64\ntimer: sack setup: 12.0 ms\n";
        let found = advisories(text);
        let advice = |name: &str| found[name][0].advice.clone().unwrap();
        let day = Time::parse("2026-01-01 00:00:00", "%Y-%m-%d %H:%M:%S");
        assert_eq!(advice("tb-sec"), Advice::new(true, day, "Important"));
        assert_eq!(
            (advice("tb-a-b"), advice("tb-c")),
            (Advice::new(false, None, ""), Advice::new(true, None, ""))
        );
        assert_eq!(found.len(), 3, "{found:?}");
    }

    /// Pairs as in rpm's own manual, rpm-version(7), and of real packages.
    #[test]
    fn versions_are_compared_as_rpm_compares_them() {
        use Ordering::{Equal, Greater, Less};
        for (one, other, order) in [
            ("1.0-1", "1.0-1", Equal),
            ("1.0-1", "1.0-2", Less),
            ("1.10-1", "1.9-1", Greater),
            ("1:1.0-1", "2.0-1", Greater),
            ("0:2.0-1", "2.0-1", Equal),
            ("1.0~rc1-1", "1.0-1", Less),
            ("1.0^git1-1", "1.0-1", Greater),
            ("1.0^git1-1", "1.0.1-1", Less),
            ("1.0~rc1^g1-1", "1.0~rc1-1", Greater),
            ("1.a-1", "1.1-1", Less),
            ("1.0a-1", "1.0-1", Greater),
            ("1.05-1", "1.5-1", Equal),
            ("1_0-1", "1.0-1", Equal),
            ("2.50-1", "2.5-1", Greater),
            ("5.14.0-362.8.1.el9_3", "5.14.0-362.13.1.el9_3", Less),
            ("6.0.rc1-1", "6.0-1", Greater),
            ("1.0-1.el9", "1.0-1.el9_2", Less),
            ("20230101-99999999999999999999", "20230101-100000000000000000000", Less),
        ] {
            assert_eq!(compare_versions(one, other), order, "{one} {other}");
            assert_eq!(compare_versions(other, one), order.reverse(), "{other} {one}");
        }
    }

    #[test]
    fn what_a_package_obsoletes_is_told_by_name_and_version() {
        for (obsoletes, version, is_it) in [
            ("tb-a", "1.0-1", true),
            ("tb-b", "1.0-1", false),
            ("tb-a < 2", "1.0-1", true),
            ("tb-a < 2", "2-0", false),
            ("tb-a <= 2", "2-5", true),
            ("tb-a <= 2-4", "2-5", false),
            ("tb-a = 1:2-5", "1:2-5", true),
            ("tb-a < 1:1", "2.0-1", true),
            ("tb-a >= 2", "1.9-1", false),
            ("tb-a > 1", "1.9-1", true),
            ("(none)", "1.0-1", false),
            ("tb-a ? 2", "1.0-1", false),
        ] {
            assert_eq!(is_obsoleted(obsoletes, "tb-a", version), is_it, "{obsoletes} {version}");
        }
    }

    #[test]
    fn only_names_that_rpm_takes_as_names_are_accepted() {
        for name in ["tb-hello", "libstdc++", "glibc.i686", "python3.11", "NetworkManager", "compat_x"] {
            assert!(is_package_name(name), "{name}");
        }
        for name in [
            "",
            "-y",
            "--allowerasing",
            "@core",
            "a b",
            "/usr/bin/sh",
            "*",
            "foo*",
            "foo\n",
            "fóo",
            "a=1",
            "a>1",
        ] {
            assert!(!is_package_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_repair_takes_away_what_was_to_go_and_nothing_else() {
        let left = |name: &str| Leftover {
            name: name.into(),
            architecture: "noarch".into(),
            version: "1:1-1".into(),
            newer: "2-1".into(),
            obsoleter: None,
        };
        let damage = Damage { leftovers: vec![left("a"), left("--root=.")], ..Damage::default() };
        let lines = |damage: &Damage, again| {
            let commands = repair(damage, again);
            commands.iter().map(Invocation::line).collect::<Vec<_>>()
        };
        assert_eq!(lines(&damage, None), ["rpm -e --nodeps a-1-1.noarch"]);
        let again = Invocation { program: "dnf", args: vec!["reinstall".into()], ..Invocation::default() };
        assert_eq!(
            lines(&damage, Some(again)),
            ["dnf reinstall a-2-1.noarch", "rpm -e --nodeps a-1-1.noarch"]
        );
        assert!(lines(&Damage::default(), None).is_empty());
    }

    #[test]
    fn advisories_tell_of_packages_by_name() {
        let found = advisories("X-1 Important/Sec. tb-sec-2.0-1.noarch\nX-2 bugfix tb-a-b-1:2.0-1.noarch\n");
        assert!(found["tb-sec"][0].is_security && !found["tb-a-b"][0].is_security);
    }
}
