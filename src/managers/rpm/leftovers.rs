//! Old versions that a run that was cut off has left beside the new ones, and how they are removed.

use super::excludes::excludes_of_dnf;
use super::names::{all_names, is_package_name, nevra, plain_name};
use super::tables::is_repository;
use super::versions::is_obsoleted;
use crate::managers::{CutOff, Damage, Installed, InstalledPackage, Leftover, OtherVersion, Plan};
use crate::model::class::Class;
use crate::system::process::{Finished, Invocation};

/// The version of a package that was installed last, and the others.
pub fn by_age(package: &InstalledPackage) -> (OtherVersion, Vec<OtherVersion>) {
    let (version, architecture) = (package.version.clone(), package.architecture.clone());
    let main = OtherVersion { version, architecture, installed_at: package.installed_at };
    let mut newer = main;
    let mut olders = Vec::new();
    for other in &package.others {
        let mut older = other.clone();
        if older.installed_at > newer.installed_at {
            std::mem::swap(&mut older, &mut newer);
        }
        olders.push(older);
    }
    (newer, olders)
}

/// Whether this run of the manager, which was cut off, was to replace one version by the other.
pub fn is_left_by(run: &CutOff, name: &str, newer: &OtherVersion, older: &OtherVersion) -> bool {
    let named = |version: &OtherVersion| nevra(name, &version.version, &version.architecture);
    if !run.comes.is_empty() {
        return is_then(run, newer.installed_at) && run.comes.contains(&named(newer));
    }
    let is_in_time = run.began.is_none_or(|began| {
        newer.installed_at.is_some_and(|at| at >= began) && older.installed_at.is_some_and(|at| at <= began)
    });
    is_in_time && run.goes.contains(&named(older))
}

/// Pairs of installed packages of which the second obsoletes the first. A manager that installs the second removes the
/// first.
pub fn obsoleted(installed: &Installed) -> Vec<[(&String, &InstalledPackage); 2]> {
    let of_one = |new: (&'_ String, &'_ InstalledPackage)| {
        let found = new.1.obsoletes.iter().flat_map(|obsoletes| {
            let plain = obsoletes.split(' ').next().unwrap_or_default();
            let names = all_names(plain).into_iter().filter_map(|name| installed.get_key_value(&name));
            names.filter_map(move |(name, old)| {
                let is_it = is_obsoleted(obsoletes, plain, &old.version)
                    && plain_name(name) != plain_name(new.0)
                    && old.others.is_empty()
                    && is_of_one_kind(&old.architecture, &new.1.architecture)
                    && old.installed_at <= new.1.installed_at;
                is_it.then_some((name.clone(), new.0.clone()))
            })
        });
        found.collect::<Vec<_>>()
    };
    let mut names: Vec<_> = installed.iter().flat_map(of_one).collect();
    names.sort();
    names.dedup_by(|one, other| one.0 == other.0);
    let entry = |name: &String| installed.get_key_value(name);
    names.iter().filter_map(|(old, new)| Some([entry(old)?, entry(new)?])).collect()
}

/// Whether a package of the one architecture takes the place of one of the other. A 64-bit package leaves the 32-bit one
/// of the name that it obsoletes alone.
fn is_of_one_kind(old: &str, new: &str) -> bool {
    old == new || [old, new].contains(&"noarch")
}

/// Whether a run that began then came after the one was installed and before the other.
pub fn is_between(began: i64, old: (&String, &InstalledPackage), new: (&String, &InstalledPackage)) -> bool {
    old.1.installed_at.is_some_and(|at| at <= began) && new.1.installed_at.is_some_and(|at| at >= began)
}

/// Whether this run of the manager, which was cut off, was to replace one package by the other.
pub fn is_obsoleted_by(
    run: &CutOff,
    old: (&String, &InstalledPackage),
    new: (&String, &InstalledPackage),
) -> bool {
    let named =
        |(name, package): (&String, &InstalledPackage)| nevra(name, &package.version, &package.architecture);
    if !run.comes.is_empty() {
        return is_then(run, new.1.installed_at) && run.comes.contains(&named(new));
    }
    run.began.is_none_or(|began| is_between(began, old, new)) && run.goes.contains(&named(old))
}

/// Whether the time that zypper wrote down is that of the install, in whatever time zone.
fn is_then(run: &CutOff, installed_at: Option<i64>) -> bool {
    let later = run.began.zip(installed_at).map(|(began, at)| began - at);
    later.is_some_and(|later| later.abs() <= 15 * 3600 && later.rem_euclid(900) <= 120)
}

/// Options for dnf with which a repair changes nothing that is to stay, and does not wait for a repository that the last
/// refresh did not reach.
pub fn options(damage: &Damage) -> Vec<String> {
    let mut options = excludes_of_dnf(&Plan { left_out: damage.stays.clone(), ..Plan::default() });
    let down = damage.not_refreshed.iter().filter(|source| is_repository(source));
    options.extend(down.map(|id| format!("--setopt={id}.timeout=1")));
    options
}

/// Whether a reinstall by dnf that failed with this class can end well another time: a repository has the package, but
/// did not give it, or one that is to stay is in its way.
pub fn may_repair_later(finished: &Finished, class: Class, stays: &[String]) -> bool {
    let names_one = |line: &str| stays.iter().any(|name| line.contains(&format!("package {name}-")));
    match class {
        Class::Dependency => finished.lines().any(names_one),
        _ => class.is_retried() && finished.stdout.contains("Transaction Summary"),
    }
}

/// Installs the newer versions again with this command of the manager, if it has one, and then removes what is left of
/// the older ones. rpm ignores dependencies there: what needs the older version lost its files when the newer one came.
pub fn repair(damage: &Damage, reinstall: Option<Invocation>) -> Vec<Invocation> {
    // A name must never be read as an option, whatever the database says.
    let leftovers = damage.leftovers.iter().filter(|left| is_package_name(&left.name));
    let named = |package: fn(&Leftover) -> [&String; 3]| {
        let mut names: Vec<_> = leftovers
            .clone()
            .map(|left| {
                let [name, version, architecture] = package(left);
                let version = version.rsplit(':').next().unwrap_or_default();
                nevra(name, version, architecture)
            })
            .collect();
        names.dedup();
        names
    };
    let olds = named(|left| [&left.name, &left.version, &left.architecture]);
    if olds.is_empty() {
        return Vec::new();
    }
    let news =
        named(|left| [left.obsoleter.as_ref().unwrap_or(&left.name), &left.newer, &left.newer_architecture]);
    let again = reinstall.map(|invocation| invocation.with(news));
    let erase = Invocation::of("rpm", ["-e", "--nodeps"]).with(olds);
    again.into_iter().chain([erase]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::rpm::database;

    fn version(version: &str, at: i64) -> OtherVersion {
        OtherVersion { version: version.into(), architecture: "noarch".into(), installed_at: Some(at) }
    }

    fn package(versions: &[(&str, i64)]) -> InstalledPackage {
        let text = versions.iter().map(|(version, at)| format!("a\tnoarch\t0:{version}\t{at}\n"));
        database::parse_installed(&text.collect::<String>()).remove("a").unwrap()
    }

    #[test]
    fn a_version_is_left_by_a_run_that_was_to_take_it_away_and_came_between_the_two() {
        let both = package(&[("1-1", 50), ("2-1", 100)]);
        let (newer, olders) = by_age(&both);
        assert_eq!((newer.clone(), olders.clone()), (version("2-1", 100), vec![version("1-1", 50)]));
        let left = |run: &CutOff| is_left_by(run, "a", &newer, &olders[0]);
        let run = |began, goes: &str| CutOff { began, goes: vec![goes.into()], comes: Vec::new() };
        assert!(left(&run(Some(90), "a-1-1.noarch")) && left(&run(None, "a-1-1.noarch")));
        // Of another package or version; begun before the old one was there; begun after the new one was.
        for (began, goes) in
            [(90, "b-1-1.noarch"), (90, "a-0-1.noarch"), (40, "a-1-1.noarch"), (101, "a-1-1.noarch")]
        {
            assert!(!left(&run(Some(began), goes)), "{began} {goes}");
        }
    }

    #[test]
    fn what_zypper_logged_in_the_same_second_of_any_time_zone_came_by_it() {
        let both = package(&[("1-1", 50), ("2-1", 100_000)]);
        let (newer, olders) = by_age(&both);
        let left = |at: i64, comes: &str| {
            let run = CutOff { began: Some(at), comes: vec![comes.into()], goes: Vec::new() };
            is_left_by(&run, "a", &newer, &olders[0])
        };
        for at in [100_000, 100_001, 107_200, 100_000 - 5 * 3600 - 2700] {
            assert!(left(at, "a-2-1.noarch"), "{at}");
        }
        for at in [99_990, 100_300, 100_000 + 86_400] {
            assert!(!left(at, "a-2-1.noarch"), "{at}");
        }
        assert!(!left(100_000, "a-1-1.noarch"));
    }

    #[test]
    fn a_package_is_left_beside_what_obsoletes_it_by_a_run_that_came_between_the_two() {
        let pairs = |text: &str| {
            let installed = database::parse_installed(text);
            let names = obsoleted(&installed).into_iter().map(|[old, new]| format!("{} {}", old.0, new.0));
            names.collect::<Vec<_>>()
        };
        let new = "new\tnoarch\t0:1-1\t100\told < 2,none  ,new < 1,\n";
        let both = format!("old\tnoarch\t0:1-1\t50\t(none) (none) (none),\n{new}");
        assert_eq!(pairs(&both), ["old new"]);
        let of = |old: &str, new: &str| {
            pairs(&format!("old\t{old}\t0:1-1\t50\t\nnew\t{new}\t0:1-1\t100\told < 2,\n")).len()
        };
        assert_eq!((of("noarch", "x86_64"), of("x86_64", "noarch"), of("x86_64", "x86_64")), (1, 1, 1));
        assert_eq!((of("i686", "noarch"), of("i686", "x86_64"), of("x86_64", "i686")), (1, 0, 0));
        for old in ["old\tnoarch\t0:2-1\t50\t\n", "old\tnoarch\t0:1-1\t101\t\n"] {
            assert!(pairs(&format!("{old}{new}")).is_empty(), "{old}");
        }
        let installed = database::parse_installed(&both);
        let [old, new] = obsoleted(&installed)[0];
        let run = |began, goes: &str| CutOff { began, goes: vec![goes.into()], comes: Vec::new() };
        assert!(is_obsoleted_by(&run(Some(90), "old-1-1.noarch"), old, new));
        assert!(is_obsoleted_by(&run(None, "old-1-1.noarch"), old, new));
        for (began, goes) in [(90, "old-0-1.noarch"), (40, "old-1-1.noarch"), (101, "old-1-1.noarch")] {
            assert!(!is_obsoleted_by(&run(Some(began), goes), old, new), "{began} {goes}");
        }
        let logged =
            |began| CutOff { began: Some(began), comes: vec!["new-1-1.noarch".into()], goes: vec![] };
        assert!(is_obsoleted_by(&logged(101), old, new) && !is_obsoleted_by(&logged(90), old, new));
    }

    #[test]
    fn of_a_downgrade_the_older_version_is_the_one_that_came() {
        let (newer, olders) = by_age(&package(&[("2-1", 50), ("1-1", 100)]));
        assert_eq!((newer, olders), (version("1-1", 100), vec![version("2-1", 50)]));
        // Within one second, the higher version.
        assert_eq!(by_age(&package(&[("2-1", 50), ("1-1", 50)])).0, version("2-1", 50));
    }

    #[test]
    fn a_repair_takes_away_what_was_to_go_and_nothing_else() {
        let left = |name: &str| Leftover {
            name: name.into(),
            architecture: "noarch".into(),
            version: "1:1-1".into(),
            newer: "2-1".into(),
            newer_architecture: "noarch".into(),
            obsoleter: None,
        };
        let damage = Damage { leftovers: vec![left("a"), left("--root=.")], ..Damage::default() };
        let lines = |damage: &Damage, again| {
            let commands = repair(damage, again);
            commands.iter().map(Invocation::line).collect::<Vec<_>>()
        };
        assert_eq!(lines(&damage, None), ["rpm -e --nodeps a-1-1.noarch"]);
        let again = Invocation::of("dnf", ["reinstall"]);
        assert_eq!(
            lines(&damage, Some(again)),
            ["dnf reinstall a-2-1.noarch", "rpm -e --nodeps a-1-1.noarch"]
        );
        assert!(lines(&Damage::default(), None).is_empty());
    }
}
