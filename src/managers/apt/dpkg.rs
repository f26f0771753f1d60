//! dpkg's database.

use super::commands::{DATABASE, admin_dir};
use crate::managers::database::Database;
use crate::managers::facts::Places;
use crate::model::packages::{Installed, InstalledPackage, Shared};
use crate::model::text::one_line;
use crate::system::files::{entries, paths_in};
use crate::system::process::Invocation;
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;

/// The database.
pub struct Dpkg;

impl Database for Dpkg {
    /// The rules of Debian Policy 5.6.7, with an optional architecture. A name that ends in `-` means "remove" to apt.
    fn is_package_name(&self, name: &str) -> bool {
        let (name, architecture) = name.split_once(':').unwrap_or((name, "any"));
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        name.len() >= 2
            && name.bytes().next().is_some_and(lower)
            && name.bytes().all(|byte| lower(byte) || b"+-.".contains(&byte))
            && !name.ends_with('-')
            && !architecture.is_empty()
            && architecture.bytes().all(|byte| lower(byte) || byte == b'-')
            && !architecture.starts_with('-')
            // apt-get would remove such a package.
            && !architecture.ends_with('-')
    }

    fn plain_name<'a>(&self, name: &'a str) -> &'a str {
        name.split(':').next().unwrap_or(name)
    }

    /// dpkg-query(1) also reads dpkg's journal, so the answer is right after a crash too.
    fn list_installed(&self, places: &Places) -> Invocation {
        let format = "-f=${Package}\\t${Architecture}\\t${Version}\\t${db:Status-Abbrev}\\n";
        Invocation::of("dpkg-query", admin_dir(places)).with(["-W", format])
    }

    fn parse_installed(&self, text: &str, places: &Places) -> Installed {
        parse_installed(text, places)
    }

    /// A database that a power cut emptied or cut short looks to apt like that of a machine with fewer packages. The
    /// lists of the files of the lost packages are still there beside it.
    fn lost(&self, places: &Places) -> Option<String> {
        let database = &places.database;
        let place = database.display();
        let content = match std::fs::read(database) {
            Ok(content) => content,
            // apt takes that, too, for a machine without packages.
            Err(error) if error.kind() == ErrorKind::NotFound && database != Path::new(DATABASE) => {
                return Some(format!("{place} is not there: look where apt.conf puts Dir::State::status"));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            // The manager says why.
            Err(_) => return None,
        };
        let what = what_is_lost(&content, &names_in(database, "info", ".list"), &journal(database))?;
        Some(format!(
            "{place} {what}; put back a copy of it (status-old beside it, dpkg.status.* in /var/backups)"
        ))
    }

    fn also_changes(&self, place: &str) -> Option<String> {
        // Its journal.
        Some(Path::new(place).with_file_name("updates").display().to_string())
    }

    fn was_cut_off(&self, places: &Places) -> bool {
        // The names that apt's debSystem::CheckUpdates takes as a sign of an interrupted dpkg.
        let names = names_in(&places.database, "updates", "");
        names.iter().any(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// What in dpkg's own configuration has it change nothing, or another system, by the file and the line there. dpkg then
/// succeeds all the same.
pub fn diverted() -> Option<String> {
    let of_root = std::env::var_os("HOME").map(|home| Path::new(&home).join(".dpkg.cfg"));
    let main = Path::new("/etc/dpkg/dpkg.cfg").to_path_buf();
    paths_in("/etc/dpkg/dpkg.cfg.d").into_iter().chain([main]).chain(of_root).find_map(|file| {
        let text = std::fs::read_to_string(&file).ok()?;
        let line = text.lines().find(|line| diverts(line))?;
        Some(one_line(&format!("{} in {}", line.trim(), file.display())))
    })
}

/// Whether a line of dpkg.cfg does that: an option without its dashes, with `=` or a space before its value.
fn diverts(line: &str) -> bool {
    const OPTIONS: &[&str] = &["no-act", "dry-run", "simulate", "root", "instdir", "admindir"];
    let name = line.trim().split(|letter: char| letter == '=' || letter.is_whitespace()).next();
    name.is_some_and(|name| OPTIONS.contains(&name))
}

fn what_is_lost(content: &[u8], owners: &[String], journal: &[u8]) -> Option<String> {
    if content.len() < 2 {
        return (!owners.is_empty()).then(|| "is empty or gone though packages are installed".to_string());
    }
    let (text, journal) = (String::from_utf8_lossy(content), String::from_utf8_lossy(journal));
    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let has = |field: &str| last.lines().any(|line| line.starts_with(field));
    let is_whole = has("Status: ") && (has("Version: ") || last.contains(" not-installed"));
    if text.contains('\0') || !text.ends_with('\n') || !is_whole {
        return Some("is damaged: its end is not one that dpkg writes".to_string());
    }
    let lines = text.lines().chain(journal.lines());
    let known: HashSet<_> = lines.filter_map(|line| line.strip_prefix("Package: ")).map(str::trim).collect();
    let is_lost = |name: &&String| !known.contains(name.split(':').next().unwrap_or_default());
    let lost = owners.iter().filter(is_lost).count();
    // A list may be the leftover of something else; so many lists never are.
    (lost > owners.len() / 10)
        .then(|| format!("lacks {lost} of {} packages of which dpkg keeps a list of files", owners.len()))
}

/// The names of the files with this ending in a directory beside the database, without the ending.
fn names_in(database: &Path, dir: &str, end: &str) -> Vec<String> {
    let names =
        entries(database.with_file_name(dir)).filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| Some(name.strip_suffix(end)?.to_string())).collect()
}

/// What dpkg still has to write into the database.
fn journal(database: &Path) -> Vec<u8> {
    let dir = database.with_file_name("updates");
    let files = names_in(database, "updates", "").into_iter().map(|name| dir.join(name));
    files
        .filter_map(|file| std::fs::read(file).ok())
        .flat_map(|text| [text, b"\n".to_vec()].concat())
        .collect()
}

/// Reads that list. Names are written as apt writes them: with the architecture where it is not the native one. Where
/// the native one is not known, it is taken to be the one of most packages.
fn parse_installed(stdout: &str, places: &Places) -> Installed {
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
    let mut shared = Shared::default();
    let package = |[name, architecture, version, status]: [&str; 4]| {
        let mut status = status.chars();
        let (wanted, state, error) = (status.next(), status.next(), status.next());
        // not-installed and config-files: the package is gone, only its record is left.
        if matches!(state, None | Some('n' | 'c')) {
            return None;
        }
        let name = match architecture {
            "all" => name.to_string(),
            _ if Some(architecture) == native => name.to_string(),
            _ => format!("{name}:{architecture}"),
        };
        let package = InstalledPackage {
            version: version.to_string(),
            architecture: shared.of(architecture),
            is_broken: state != Some('i') || error == Some('R'),
            is_unpacked: matches!(state, Some('U' | 't')) && error != Some('R'),
            needs_reinstall: error == Some('R'),
            // An install that was cut off here has `R`, too. What is wanted says nothing: apt-get puts it back.
            removal_failed: state == Some('H') && error != Some('R'),
            is_held: wanted == Some('h'),
            ..InstalledPackage::default()
        };
        Some((name, package))
    };
    // One by one in their order, they would fill the map only half.
    rows.filter_map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::files::exact_fingerprint;

    #[test]
    fn what_is_only_in_the_journal_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("status").display().to_string();
        std::fs::write(&place, "").unwrap();
        std::fs::create_dir(dir.path().join("updates")).unwrap();
        let stamp = || exact_fingerprint(&[&place, &Dpkg.also_changes(&place).unwrap()]);
        let before = stamp();
        std::fs::write(dir.path().join("updates/0001"), "Package: a\n").unwrap();
        assert_ne!(stamp(), before);
    }

    #[test]
    fn a_database_without_its_end_is_lost() {
        let owners = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let (two, three) = (owners(&["a", "b:amd64"]), owners(&["a", "b:amd64", "c"]));
        let whole =
            "Package: a\nStatus: x\n\nPackage: b\nStatus: x\nVersion: 1\nDescription: x\n Package: c\n\n";
        let what = |text: &str, owners: &[String], journal: &str| {
            what_is_lost(text.as_bytes(), owners, journal.as_bytes()).unwrap_or_default()
        };
        assert_eq!(what(whole, &two, ""), "");
        assert_eq!(what("", &[], ""), "", "of a machine without packages");
        assert_eq!(what(whole, &three, "Package: c\nStatus: x\n"), "", "dpkg was cut off");
        for (text, owners, journal, expected) in [
            ("", &two, "", "is empty or gone"),
            ("\n", &two, "", "is empty or gone"),
            (&whole[..whole.len() - 9], &two, "", "is damaged"),
            ("Package: a\n", &two, "", "is damaged"),
            ("Package: a\nStatus: x\nVersion: 1\n\0\0\n", &two, "", "is damaged"),
            (whole, &three, "", "lacks 1 of 3 packages"),
        ] {
            assert!(
                what(text, owners, journal).starts_with(expected),
                "{text:?}: {}",
                what(text, owners, journal)
            );
        }
        let many: Vec<_> = (0..20).map(|number| format!("p{number}")).collect();
        let text = |count: usize| {
            many[..count]
                .iter()
                .map(|name| format!("Package: {name}\nStatus: not-installed\nVersion: 1\n\n"))
                .collect::<String>()
        };
        assert_eq!(what(&text(18), &many, ""), "", "two lists that something else left");
        assert_eq!(what(&text(17), &many, "").split(' ').nth(1), Some("3"));
    }

    #[test]
    fn installed_packages_are_named_as_apt_names_them() {
        let text = "libc6\tamd64\t2.36\tii \nlibc6\ti386\t2.36\tii \ntb\tall\t1\thi \ngone\tamd64\t1\trc \nhalf\tamd64\t2\tiF \nbad\tamd64\t2\tiHR\n";
        let places = Places::default();
        let installed = parse_installed(text, &places);
        let i386 = Places { architecture: "i386".into(), ..places };
        assert!(parse_installed(text, &i386).contains_key("libc6:amd64"));
        let names: Vec<_> = installed.keys().map(String::as_str).collect();
        assert_eq!(names, ["bad", "half", "libc6", "libc6:i386", "tb"]);
        assert!(installed["tb"].is_held && !installed["tb"].is_broken);
        assert!(installed["half"].is_broken && installed["bad"].is_broken);
    }

    #[test]
    fn only_names_that_apt_takes_as_names_are_accepted() {
        for name in ["tb-hello", "g++", "libc6:i386", "python3.11", "0ad", "libstdc++6:amd64"] {
            assert!(Dpkg.is_package_name(name), "{name}");
        }
        for name in [
            "",
            "a",
            "-o",
            "--full",
            "foo-",
            "Foo",
            "foo=1",
            "foo/stable",
            "foo*",
            "foo bar",
            "foo:",
            "foo:-x",
            ".foo",
            "../x",
            "foo\n",
            "fóo",
            "foo:i386:x",
            "foo^",
        ] {
            assert!(!Dpkg.is_package_name(name), "{name:?}");
        }
    }
}
