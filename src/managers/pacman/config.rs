//! The administrator's configuration, as `pacman-conf` writes it out.

use crate::managers::facts::Places;
use crate::model::text::one_line;
use glob::Pattern;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where the database is, whether another program fetches (not which one: its line may hold passwords), whether
/// something is ignored, and the repositories that `-Sy` skips.
pub fn of_use(config: &str) -> String {
    let line = |name: &str, value: &str| format!("{name} = {value}\n");
    let place = option(config, "DBPath").map(|value| line("DBPath", value));
    let fetcher = option(config, "XferCommand").map(|_| line("XferCommand", "set"));
    let ignores = ["IgnorePkg", "IgnoreGroup"].iter().any(|name| option(config, name).is_some());
    let ignores = line(IGNORES, if ignores { "yes" } else { "no" });
    let skipped = repositories(config, false).into_iter().map(|id| line(SKIPPED, &id));
    place.into_iter().chain(fetcher).chain([ignores]).chain(skipped).collect()
}

const SKIPPED: &str = "Skipped";

const IGNORES: &str = "Ignores";

/// What `HoldPkg` names: pacman asks before it removes one of these. What is no pattern here is a name.
pub fn held(config: &str) -> Vec<Pattern> {
    let options = config.lines().take_while(|line| !is_repository(line));
    let pattern = |text: &str| {
        Pattern::new(&text.replace("**", "*").replace("[^", "[!"))
            .or_else(|_| Pattern::new(&Pattern::escape(text)))
            .ok()
    };
    values(options, "HoldPkg").filter_map(pattern).collect()
}

/// Whether packages or groups may be ignored, by what was kept of the configuration. Older versions of this program did
/// not keep it.
pub fn may_ignore(kept: &str) -> bool {
    option(kept, IGNORES) != Some("no")
}

pub fn parse_places(usual: Places, config: &str) -> Places {
    match option(config, "DBPath").filter(|path| path.starts_with('/')) {
        Some(path) => Places { database: Path::new(path).join("local"), ..usual },
        None => usual,
    }
}

/// An option of the section `[options]`, as `pacman-conf` writes it out.
fn option<'a>(config: &'a str, name: &str) -> Option<&'a str> {
    values(config.lines().take_while(|line| !is_repository(line)), name).next()
}

/// The values that these lines give an option.
fn values<'a>(lines: impl Iterator<Item = &'a str>, name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.filter(move |(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// Whether pacman fetches by itself. If another program does, only the files that it stores prove that it fetched
/// something.
pub fn fetches_by_itself(config: &str) -> bool {
    option(config, "XferCommand").is_none()
}

/// The repositories that `-Sy` refreshes, as `pacman-conf` writes them out. One whose `Usage` does not include `Sync`
/// is skipped.
pub fn sources(config: &str) -> Vec<String> {
    repositories(config, true)
}

/// The repositories that `-Sy` skips, by what was kept of the configuration. What pacman has of their index is used all
/// the same.
pub fn skipped(kept: &str) -> Vec<String> {
    let values = kept.lines().filter_map(|line| line.split_once(" = "));
    values.filter(|(key, _)| *key == SKIPPED).map(|(_, id)| id.to_string()).collect()
}

fn repositories(config: &str, refreshed: bool) -> Vec<String> {
    let mut found: Vec<(String, bool)> = Vec::new();
    for line in config.lines().skip_while(|line| !is_repository(line)) {
        if is_repository(line) {
            found.push((id_of(line), false));
        } else if let (Some((key, value)), Some((_, is_refreshed))) = (line.split_once('='), found.last_mut())
        {
            *is_refreshed |= key.trim() == "Usage" && ["All", "Sync"].contains(&value.trim());
        }
    }
    found.into_iter().filter(|(_, is_refreshed)| *is_refreshed == refreshed).map(|(id, _)| id).collect()
}

/// The mirrors of a repository, in the order in which pacman asks them.
pub fn servers(config: &str, id: &str) -> Vec<String> {
    let is_its = |line: &str| is_repository(line) && id_of(line) == id;
    let own = config.lines().skip_while(|line| !is_its(line)).skip(1).take_while(|line| !is_repository(line));
    values(own, "Server").map(str::to_owned).collect()
}

/// The repositories that a file of the configuration itself names.
pub fn written(file: &str) -> Vec<String> {
    let sections = file.lines().map(str::trim).filter(|line| is_repository(line));
    sections.map(id_of).collect()
}

/// The files that a file of the configuration includes; `*` may stand in their names.
pub fn includes(config: &str) -> Vec<String> {
    values(config.lines(), "Include").map(str::to_owned).collect()
}

/// The directories with downloaded packages.
pub fn downloads(config: &str) -> Vec<PathBuf> {
    values(config.lines(), "CacheDir").map(PathBuf::from).collect()
}

fn id_of(section: &str) -> String {
    one_line(section.trim_matches(['[', ']']))
}

fn is_repository(line: &str) -> bool {
    line.starts_with('[') && line.ends_with(']') && line != "[options]"
}

/// The administrator's configuration, as `pacman-conf` writes it out, with a directory of ours as the
/// only server of every repository.
pub fn for_install(config: &str, mirror: &Path) -> String {
    // To copy from a directory of root's, no other program and no other user is needed.
    const DROPPED: &[&str] = &["Server", "CacheServer", "XferCommand", "DownloadUser"];
    let mut text = String::from("# Made by linux-patch for one install.\n");
    for line in lines_of_use(config).filter(|line| !DROPPED.contains(&key_of(line))) {
        text.push_str(line);
        text.push('\n');
        if is_repository(line) {
            text.push_str(&format!("Server = file://{}\n", escaped(mirror)));
        }
    }
    text
}

/// The administrator's configuration, as `pacman-conf` writes it out, with these repositories alone.
pub fn of_some(config: &str, ids: &[String]) -> String {
    let mut text = String::from("# Made by linux-patch for one refresh.\n");
    let mut is_of_one = true;
    for line in lines_of_use(config) {
        if is_repository(line) {
            is_of_one = ids.contains(&id_of(line));
        }
        if is_of_one {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn key_of(line: &str) -> &str {
    line.split('=').next().unwrap_or_default().trim()
}

/// The lines of a configuration, without those that name directories which pacman uses without being told.
fn lines_of_use(config: &str) -> impl Iterator<Item = &str> {
    // pacman 7 fails where a directory that is named does not exist. These need not exist where they are not named: a
    // machine without hooks of its own has no directory for them.
    const USUAL: &[(&str, &str)] = &[
        ("HookDir", "/etc/pacman.d/hooks"),
        ("GPGDir", "/etc/pacman.d/gnupg"),
        ("CacheDir", "/var/cache/pacman/pkg"),
    ];
    let is_usual = move |line: &&str| {
        let value = line.split_once('=').map_or("", |(_, value)| value.trim().trim_end_matches('/'));
        let key = key_of(line);
        // If there are several, the administrator has named this one.
        USUAL.contains(&(key, value))
            && config.lines().filter(|other| key_of(other) == key).take(2).count() == 1
    };
    config.lines().filter(move |line| !is_usual(line))
}

/// Under which name pacman looks for a file in a directory that is its mirror: it writes the name into the address as it
/// is, and `my%20repo.db` is then the file `my repo.db`.
pub fn asked(name: &str) -> PathBuf {
    let name = name.split(['?', '#']).next().unwrap_or_default();
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        let digits =
            others.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &others[2..]),
            None => (bytes.push(first), rest = others),
        };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// A path as a URL writes it.
fn escaped(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes
        .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_an_install_knows_no_mirror() {
        let config = "[options]\nDBPath = /var/lib/pacman/\nXferCommand = /usr/bin/curl %u\nDownloadUser = alpm\nIgnorePkg = a\n[core]\nUsage = All\nSigLevel = PackageRequired\nCacheServer = http://x\nServer = https://m/core\nServer = https://n/core\n[my-own]\nServer = https://o";
        let made = for_install(config, Path::new("/var/lib/state dir/sync"));
        let server = "Server = file:///var/lib/state%20dir/sync\n";
        let expected = format!(
            "# Made by linux-patch for one install.\n[options]\nDBPath = /var/lib/pacman/\nIgnorePkg = a\n[core]\n{server}Usage = All\nSigLevel = PackageRequired\n[my-own]\n{server}"
        );
        assert_eq!(made, expected);
    }

    #[test]
    fn a_file_is_looked_for_under_the_name_that_an_address_makes_of_it() {
        for (name, expected) in [
            ("core.db", "core.db"),
            ("a%20b.db.sig", "a b.db.sig"),
            ("a%b%.db", "a%b%.db"),
            ("a%+1%2", "a%+1%2"),
            ("a?b.db", "a"),
            ("a#b.db", "a"),
        ] {
            assert_eq!(asked(name), Path::new(expected), "{name}");
        }
    }

    #[test]
    fn only_repositories_that_are_refreshed_are_sources() {
        let config = "[options]\nUsage = All\nServer = x\n[core]\nUsage = All\nServer = file:///[x]\n[two]\nUsage = Sync\n\
                      Usage = Search\n[three]\nUsage = Search\nUsage = Install\n[none]\n";
        assert_eq!(sources(config), ["core", "two"]);
    }

    #[test]
    fn a_usual_directory_that_need_not_be_there_is_not_named() {
        let usual = "[options]\nHookDir = /etc/pacman.d/hooks/\nGPGDir = /etc/pacman.d/gnupg/\nCacheDir = /var/cache/pacman/pkg/\n";
        let made =
            |config: &str| for_install(config, Path::new("/x")).lines().skip(2).collect::<Vec<_>>().join(" ");
        assert_eq!(made(usual), "");
        let more = "[options]\nHookDir = /etc/pacman.d/hooks/\nHookDir = /srv/hooks/\nCacheDir = /srv/pkg/\n";
        assert_eq!(made(more), "HookDir = /etc/pacman.d/hooks/ HookDir = /srv/hooks/ CacheDir = /srv/pkg/");
    }

    #[test]
    fn that_something_is_ignored_is_kept() {
        for (config, expected) in [
            ("DBPath = /\nIgnorePkg = a\n[core]\n", true),
            ("IgnoreGroup = g\n", true),
            ("DBPath = /\n[core]\nIgnorePkg = a\n", false),
        ] {
            assert_eq!(may_ignore(&of_use(config)), expected, "{config}");
        }
        assert!(may_ignore("DBPath = /\n"), "as an older program kept it");
    }

    #[test]
    fn what_is_kept_of_the_configuration_holds_no_password() {
        let config = "[options]\nDBPath = /srv/db/\nXferCommand = /usr/bin/curl -u me:secret %u\n[core]\nUsage = All\n\
            Server = http://me:secret@h\n[extra]\nUsage = Search\nUsage = Install\n";
        let kept = of_use(config);
        assert_eq!(kept, "DBPath = /srv/db/\nXferCommand = set\nIgnores = no\nSkipped = extra\n");
        assert_eq!(skipped(&kept), ["extra"]);
        assert!(!fetches_by_itself(&kept) && fetches_by_itself(&of_use("DBPath = /\n")));
    }
}
