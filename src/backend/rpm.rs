//! What all managers of rpm packages have in common: names, the package database, what is
//! installed.

use super::{Installed, InstalledPackage, Origin};
use crate::outcome::{Extra, Listing, Update, one_line};
use crate::process::Invocation;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

/// The package database, where Fedora and its relatives have had it.
pub const DATABASES: &[&str] = &[
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages.db",
    "/var/lib/rpm/Packages",
];

/// Its lock.
pub const LOCKS: &[&str] = &["/usr/lib/sysimage/rpm/.rpm.lock", "/var/lib/rpm/.rpm.lock"];

/// A pending update of a list that does not say what is installed.
pub fn update(name: &str, arch: &str, candidate: &str, source: &str) -> Update {
    Update {
        name: listed_name(name, arch),
        installed: None,
        candidate: candidate.to_string(),
        security: None,
        source: Some(source.to_string()),
        replaces: Vec::new(),
        extra: Extra::new(),
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
    let format = r"%{NAME}\t%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{INSTALLTIME}\n";
    Invocation {
        program: "rpm",
        args: ["-qa", "--qf", format].map(str::to_owned).to_vec(),
        ..Invocation::default()
    }
}

/// Compares two `EPOCH:VERSION-RELEASE` as rpm does; an epoch that is not there is 0.
#[cfg_attr(not(test), expect(dead_code))]
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

/// Reads that list. Kernels and modules for them are installed beside each other, and the newest
/// one counts; of any other package two versions are left behind by an install that was cut off.
pub fn parse_installed(stdout: &str) -> Installed {
    let mut installed = Installed::new();
    let mut times: HashMap<String, (u64, Vec<u64>)> = HashMap::new();
    for line in stdout.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [name, arch, version, time] = fields[..] else { continue };
        if name == "gpg-pubkey" {
            continue;
        }
        let key = listed_name(name, arch);
        let version = version.strip_prefix("0:").unwrap_or(version);
        let age = (time.trim().parse().unwrap_or(0), numbers(version));
        let known = times.get(&key);
        let is_broken = known.is_some() && !stands_beside_others(name);
        if known.is_some_and(|known| *known > age) {
            if let Some(package) = installed.get_mut(&key).filter(|_| is_broken) {
                package.is_broken = true;
                package.leftovers.push(version.to_string());
            }
            continue;
        }
        times.insert(key.clone(), age);
        let package = InstalledPackage {
            version: version.to_string(),
            architecture: arch.to_string(),
            is_broken,
            leftovers: Vec::new(),
            is_held: false,
            installed_at: time.trim().parse().ok(),
        };
        let before = installed.insert(key.clone(), package);
        if let (Some(before), Some(now)) = (before, installed.get_mut(&key)) {
            now.is_broken |= before.is_broken;
            now.leftovers = before.leftovers;
            now.leftovers.extend(is_broken.then_some(before.version));
        }
    }
    installed
}

fn numbers(version: &str) -> Vec<u64> {
    let parts = version.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}

/// The packages of dnf's default for `installonlypkgs`, and of SUSE's for `multiversion`, by name.
fn stands_beside_others(name: &str) -> bool {
    let of_kernel = ["-kmod", "-kmp-"].iter().any(|part| name.contains(part));
    of_kernel || name.starts_with("kernel") || name.starts_with("kmod-")
}

/// The older versions that an install which was cut off left in the package database, as rpm
/// takes them as arguments.
pub fn leftovers(installed: &Installed) -> Vec<String> {
    // Never an option, whatever the database says.
    let packages = installed.iter().filter(|(name, package)| package.is_broken && is_package_name(name));
    let named = packages.flat_map(|(name, package)| {
        let plain = plain_name(name);
        package.leftovers.iter().map(move |version| {
            let version = version.rsplit(':').next().unwrap_or(version);
            format!("{plain}-{version}.{}", package.architecture)
        })
    });
    named.collect()
}

/// Reads `TB-2026:0001 Important/Sec. tb-sec-2.0-1.noarch`. A package of which no line speaks comes
/// from a repository that keeps no advisories, or none for it: nothing is told of it.
pub fn advisories(stdout: &str) -> HashMap<String, Vec<Origin>> {
    let mut found: HashMap<String, Vec<Origin>> = HashMap::new();
    for line in stdout.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [advisory, kind, package] = words[..] else { continue };
        let Some((rest, arch)) = package.rsplit_once('.') else { continue };
        let Some(name) = rest.rsplitn(3, '-').nth(2) else { continue };
        found.entry(listed_name(name, arch)).or_default().push(Origin {
            source: one_line(advisory),
            is_security: kind.ends_with("/Sec.") || kind == "security",
            is_candidate: false,
            version: None,
            priority: 0,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn two_versions_are_a_sign_of_a_cut_off_install_except_for_kernels() {
        let text = "a\tnoarch\t0:1-1\t5\na\tnoarch\t0:2-1\t5\nkernel\tx86_64\t0:5.14-9\t9\nkernel\tx86_64\t0:5.14-2\t3\nb\tnoarch\t1:1-1\t5\n";
        let installed = parse_installed(text);
        assert!(installed["a"].is_broken);
        assert_eq!(installed["a"].leftovers, ["1-1"]);
        assert!(installed["kernel"].leftovers.is_empty());
        assert_eq!(leftovers(&installed), ["a-1-1.noarch"]);
        let named_as_option = text.replace("a\tnoarch", "--root=.\tnoarch");
        assert!(leftovers(&parse_installed(&named_as_option)).is_empty());
        assert_eq!(installed["a"].version, "2-1");
        assert!(!installed["kernel"].is_broken);
        assert_eq!(installed["kernel"].version, "5.14-9");
        assert_eq!(installed["b"].version, "1:1-1");
    }

    #[test]
    fn advisories_tell_of_packages_by_name() {
        let found = advisories("X-1 Important/Sec. tb-sec-2.0-1.noarch\nX-2 bugfix tb-a-b-1:2.0-1.noarch\n");
        assert!(found["tb-sec"][0].is_security && !found["tb-a-b"][0].is_security);
    }
}
