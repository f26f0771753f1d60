//! rpm's database, for dnf 4, dnf 5, yum and zypper.

use super::names::{is_package_name, listed_name, plain_name};
use super::systems;
use super::versions::compare_versions;
use crate::managers::database::Database;
use crate::managers::facts::Places;
use crate::managers::machine::Machine;
use crate::model::packages::{Installed, InstalledPackage, OtherVersion, Shared};
use crate::system::process::Invocation;
use glob::Pattern;
use std::collections::HashMap;
use std::collections::btree_map::Entry;

/// The database.
pub struct Rpm;

impl Database for Rpm {
    fn is_package_name(&self, name: &str) -> bool {
        is_package_name(name)
    }

    fn plain_name<'a>(&self, name: &'a str) -> &'a str {
        plain_name(name)
    }

    fn list_installed(&self, _: &Places) -> Invocation {
        list_installed()
    }

    fn parse_installed(&self, text: &str, _: &Places) -> Installed {
        parse_installed(text)
    }

    fn also_changes(&self, place: &str) -> Option<String> {
        // The journal of SQLite. Programs that change nothing empty it once more.
        let journal = format!("{place}-wal");
        std::fs::metadata(&journal).is_ok_and(|meta| meta.len() > 0).then_some(journal)
    }

    /// Beside dpkg, on a Debian for instance, the database of rpm is empty as a rule.
    fn holds_manager(&self) -> bool {
        systems::is_this_one()
    }

    fn keeps_several(&self, name: &str, provides: &[&str], rules: &str) -> bool {
        keeps_several(name, provides, rules)
    }

    fn provides(&self, machine: &dyn Machine, names: &[&str]) -> HashMap<String, Vec<String>> {
        let format = ["-q", "--qf", r"[%{=NAME}\t%{PROVIDENAME}\n]", "--"];
        let question = Invocation::of("rpm", format).with(names.iter().copied());
        let mut provides: HashMap<String, Vec<String>> = HashMap::new();
        for line in machine.ask(&question).iter().flat_map(|answer| answer.stdout.lines()) {
            if let Some((name, word)) = line.split_once('\t') {
                provides.entry(name.to_string()).or_default().push(word.to_string());
            }
        }
        provides
    }

    fn in_order(&self, machine: &dyn Machine, name: &str) -> Vec<String> {
        let format = r"%{DBINSTANCE}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n";
        let answer = machine.try_ask(&Invocation::of("rpm", ["-q", "--qf", format, "--", name]));
        answer.map(|answer| in_order(&answer.stdout)).unwrap_or_default()
    }
}

/// Reads the number of each entry of the database and its version. A new entry has a higher number than all before it.
///
/// ```text
/// 17    0:2.0-1
/// 18    0:1.0-1
/// ```
fn in_order(stdout: &str) -> Vec<String> {
    let rows = stdout.lines().filter_map(|line| {
        let (number, version) = line.split_once('\t')?;
        Some((number.parse::<u64>().ok()?, version.strip_prefix("0:").unwrap_or(version).to_string()))
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    rows.into_iter().map(|(_, version)| version).collect()
}

/// `EPOCHNUM` is 0 for a package without an epoch.
pub fn list_installed() -> Invocation {
    let format = r"%{NAME}\t%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{INSTALLTIME}\t[%{OBSOLETENAME} %{OBSOLETEFLAGS:depflags} %{OBSOLETEVERSION},]\n";
    Invocation::of("rpm", ["-qa", "--qf", format])
}

/// Whether it is one of the packages that `installonlypkgs` and `multiversion` have by default, or that the
/// configuration names, by name or by what they provide.
fn keeps_several(name: &str, provides: &[&str], rules: &str) -> bool {
    let plain = plain_name(name);
    let of_kernel = plain.contains("-kmod") || plain.contains("-kmp-");
    let by_default = |word: &str| word.starts_with("installonlypkg(") || word.starts_with("multiversion(");
    if of_kernel || plain.starts_with("kernel") || plain.starts_with("kmod-") {
        return true;
    }
    let is_named = |word: &str| {
        let word = word.strip_prefix("provides:").unwrap_or(word);
        let is_it = |text: &str| Pattern::new(word).map_or(word == text, |glob| glob.matches(text));
        is_it(plain) || provides.iter().any(|provided| is_it(provided))
    };
    provides.iter().any(|word| by_default(word)) || rules_words(rules).any(is_named)
}

/// The values of these settings, also on lines that go on with a blank, and the lines of files that hold only names.
fn rules_words(rules: &str) -> impl Iterator<Item = &str> {
    let mut is_ours = true;
    let lines = rules.lines().filter_map(move |line| {
        if line.starts_with('#') || line.trim().is_empty() {
            return None;
        }
        match line.split_once('=') {
            Some((key, value)) if !line.starts_with(' ') => {
                is_ours = matches!(key.trim(), "installonlypkgs" | "multiversion");
                is_ours.then_some(value)
            }
            _ if line.starts_with('[') => {
                is_ours = false;
                None
            }
            _ => is_ours.then_some(line),
        }
    });
    lines.flat_map(|line| line.split([' ', ',', '\t'])).filter(|word| !word.is_empty())
}

/// Reads that list. If a package has several versions the newest counts; the others are kept beside it.
pub fn parse_installed(stdout: &str) -> Installed {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = |text: &str| text.split(' ').next().unwrap_or_default().to_string();
    let mut installed = Installed::new();
    let mut shared = Shared::default();
    for line in stdout.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let (name, arch, version, time, obsoletes) = match fields[..] {
            [name, arch, version, time] => (name, arch, version, time, ""),
            [name, arch, version, time, obsoletes] => (name, arch, version, time, obsoletes),
            _ => continue,
        };
        if name == "gpg-pubkey" {
            continue;
        }
        let version = version.strip_prefix("0:").unwrap_or(version);
        let mut package = InstalledPackage {
            version: version.to_string(),
            architecture: shared.of(arch),
            installed_at: time.trim().parse().ok(),
            obsoletes: obsoletes.split(',').map(words).filter(|one| is_package_name(&plain(one))).collect(),
            ..InstalledPackage::default()
        };
        let other = |package: &InstalledPackage| OtherVersion {
            version: package.version.clone(),
            architecture: package.architecture.clone(),
            installed_at: package.installed_at,
        };
        match installed.entry(listed_name(name, arch)) {
            Entry::Vacant(entry) => {
                entry.insert(package);
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                if compare_versions(&known.version, version).is_lt() {
                    std::mem::swap(known, &mut package);
                    known.others = std::mem::take(&mut package.others);
                }
                let others = std::mem::take(&mut known.others).into_iter();
                known.others = others.chain([other(&package)]).collect();
            }
        }
    }
    installed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_journal_that_holds_something_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("rpmdb.sqlite").display().to_string();
        let journal = format!("{place}-wal");
        assert_eq!(Rpm.also_changes(&place), None);
        std::fs::write(&journal, "").unwrap();
        assert_eq!(Rpm.also_changes(&place), None);
        std::fs::write(&journal, "x").unwrap();
        assert_eq!(Rpm.also_changes(&place), Some(journal));
    }

    #[test]
    fn the_number_of_an_entry_tells_which_version_came_first() {
        assert_eq!(in_order("18\t0:1.0-1\n9\t0:2.0-1\nx\n10\t1:0.5-1\n"), ["2.0-1", "1:0.5-1", "1.0-1"]);
        assert!(in_order("package tb-a is not installed\n").is_empty());
    }

    #[test]
    fn of_several_versions_the_newest_counts_and_the_others_stand_beside_it() {
        let text = "a\tnoarch\t0:1-1\t5\na\tnoarch\t0:10-1\t6\na\tnoarch\t0:9-1\t7\nb\tnoarch\t1:1-1\t5\n";
        let installed = parse_installed(text);
        let a = &installed["a"];
        assert_eq!((&*a.version, a.installed_at, a.is_broken), ("10-1", Some(6), false));
        let others: Vec<_> = a.others.iter().map(|other| (&*other.version, other.installed_at)).collect();
        assert_eq!(others, [("1-1", Some(5)), ("9-1", Some(7))]);
        assert_eq!(installed["b"].version, "1:1-1");
    }

    #[test]
    fn what_is_kept_in_several_versions_is_known_by_name_by_what_it_provides_and_by_configuration() {
        for name in ["kernel-core", "kmod-x", "nvidia-kmp-default", "x-kmod-6.1", "kernel.i686"] {
            assert!(keeps_several(name, &[], ""), "{name}");
        }
        assert!(!keeps_several("tb-a", &["tb-a"], "[main]\nbest=1\n"));
        assert!(
            keeps_several("tb-a", &["installonlypkg(vm)"], "")
                && keeps_several("tb-a", &["multiversion(kernel)"], "")
        );
        let rules = "[main]\ngpgcheck=tb-a\ninstallonlypkgs=tb-x,\n tb-a tb-y*\nbest=1\n";
        assert!(keeps_several("tb-a", &[], rules) && keeps_several("tb-yes", &[], rules));
        assert!(!keeps_several("tb-b", &["tb-b"], rules));
        let zypp = "[main]\nmultiversion = provides:multiversion(kernel), tb-c\n##\n";
        assert!(keeps_several("tb-c", &[], zypp) && !keeps_several("main", &[], zypp));
        assert!(keeps_several("tb-d", &[], "# of multiversion.d\ntb-d\nprovides:x\n"));
        assert!(keeps_several("tb-e", &["x"], "tb-d\nprovides:x\n"));
    }
}
