//! Which repositories offer a package, by `repoquery`.

use super::names::listed_name;
use super::versions::compare_versions;
use crate::managers::machine::Machine;
use crate::managers::origins::{self, Origins};
use crate::model::failure::Failure;
use crate::model::packages::Origin;
use crate::model::updates::Update;
use crate::system::process::{Finished, Invocation};
use std::cmp::Ordering;
use std::collections::HashMap;

/// Lists the installed packages that no repository offers.
pub const EXTRAS: &[&str] = &["repoquery", "--extras", "--queryformat", "%{name}.%{arch}\n"];

/// Which repositories offer these updates, in which newer versions, from new to old. `dnf` makes a command line of
/// options and words.
pub fn offers(
    machine: &dyn Machine,
    dnf: fn(&[&str], &[&str]) -> Invocation,
    updates: &[Update],
) -> Result<Origins, Failure> {
    const FORMAT: &str = "%{name}.%{arch} %{epoch}:%{version}-%{release} %{repoid}\n";
    let words = [&["repoquery", "--queryformat", FORMAT], &*origins::names(updates)].concat();
    Ok(read(&machine.ask(&dnf(&["-C"], &words))?.stdout, updates))
}

/// Reads `tb-a.noarch 0:2.0-1 base`.
fn read(stdout: &str, updates: &[Update]) -> Origins {
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

/// Reads `repoquery --extras`: `tb-gone.noarch`.
pub fn not_offered(answer: &Finished) -> Option<Vec<String>> {
    let rows = || answer.stdout.lines().map(str::trim).filter(|row| !row.is_empty());
    let is_told = answer.succeeded() && rows().all(|row| row.contains('.') && !row.contains(' '));
    let name = |row: &str| row.rsplit_once('.').map(|(name, arch)| listed_name(name, arch));
    is_told.then(|| rows().filter_map(name).collect())
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
        let found = read(table, &updates);
        let told = |name: &str| {
            let origins = found[name].iter();
            origins
                .map(|one| format!("{} {}", one.version.as_deref().unwrap(), one.source))
                .collect::<Vec<_>>()
        };
        assert_eq!(told("tb-a"), ["1:1.0-1 base", "1:1.0-1 base", "10.0-1 vendor", "3.0-1 vendor"]);
        assert_eq!(told("tb-new"), ["1.0-1 base", "0.1-1 vendor"]);
        assert!(!found.contains_key("tb-b"));
    }
}
