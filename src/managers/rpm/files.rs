//! What only the files of repositories show, because the managers do not say it: that a repository with a fault is
//! disabled, that a repository is never read, and which file stops everything.

use super::tables::{Setting, settings};
use crate::managers::capabilities::ConfigFile;
use crate::managers::cut_short::NO_NUMBER;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::model::text::one_line;
use crate::system::files::entries;

/// A repository in one of them.
struct Section {
    id: String,
    /// Where it stands.
    file: String,
    is_on: bool,
    /// Where its packages come from.
    places: Vec<(String, String)>,
}

/// Adds to a refresh what those files show. They stand in the order in which the manager reads them.
pub fn in_the_light_of(mut files: Vec<ConfigFile>, refreshed: Refreshed) -> Refreshed {
    // Repositories may also stand in the manager's own configuration, which it reads first.
    files.sort_by_key(is_of_repositories);
    let files = &files;
    let sections = sections(files);
    let mut refreshed = without_switched_off(&sections, refreshed);
    name_the_file(files, &mut refreshed);
    let never_read = never_read(&sections);
    // Where something else stopped it, the sources that are already known are better than names from files, which may
    // hold variables.
    let is_config = refreshed.error.as_ref().is_some_and(|error| error.class == Class::Config);
    if refreshed.sources.is_empty() && is_config {
        let error = &refreshed.error;
        let source = |id: String| SourceResult { id, error: error.clone() };
        refreshed.sources = enabled(files).into_iter().map(source).collect();
    }
    if !never_read.is_empty() {
        refreshed.sources.extend(never_read);
        if refreshed.outcome != RefreshOutcome::Failed {
            refreshed.judge_again();
        }
    }
    refreshed
}

/// The identifiers of the enabled repositories. What only overrides settings makes none.
pub fn enabled(files: &[ConfigFile]) -> Vec<String> {
    let is_one = |section: &Section| section.is_on && !is_override(&section.file);
    let mut ids: Vec<_> = sections(files).into_iter().filter(is_one).map(|section| section.id).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// The repositories that are to be asked, by their files.
pub fn to_be_asked(files: &[ConfigFile]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut known: Vec<String> = Vec::new();
    for Section { id, is_on, places, .. } in sections(files) {
        // Of several with one identifier the first counts.
        if !known.contains(&id) {
            known.push(id.clone());
            found.extend(Some(id).filter(|_| is_on && !places.is_empty()));
        }
    }
    found
}

/// The files that change with the release of the system, if the address of this repository has its number
/// (`$releasever`, `$releasever_major`).
pub fn release_of(files: &[ConfigFile], id: &str) -> &'static [&'static str] {
    const RELEASE: &[&str] = &["/etc/os-release", "/usr/lib/os-release", "/etc/products.d/baseproduct"];
    let has_it = |section: &Section| section.places.iter().any(|(_, place)| place.contains("releasever"));
    if sections(files).iter().any(|section| section.id == id && has_it(section)) { RELEASE } else { &[] }
}

/// Repositories in local directories that are not there or empty, as where something is not mounted: an old zypper takes
/// these for repositories without packages.
pub fn not_mounted(files: &[ConfigFile]) -> Vec<(String, String)> {
    let is_nothing = |dir: &str| entries(dir).next().is_none();
    let mut found = Vec::new();
    for section in sections(files).into_iter().filter(|section| section.is_on) {
        let addresses = section.places.iter().filter(|(name, _)| name == "baseurl");
        let mut addresses = addresses.flat_map(|(_, value)| value.split_whitespace());
        let dir = addresses.next().and_then(|address| address.strip_prefix("dir:"));
        let dir = dir.map(|dir| format!("/{}", dir.trim_start_matches('/')));
        found.extend(dir.filter(|dir| !dir.contains('$') && is_nothing(dir)).map(|dir| (section.id, dir)));
    }
    found
}

/// A disabled repository does no harm, whatever is wrong with it.
fn without_switched_off(sections: &[Section], refreshed: Refreshed) -> Refreshed {
    let is_off = |source: &SourceResult| {
        let is_fault = source.error.as_ref().is_some_and(|error| error.class == Class::Config);
        let is_it = |section: &&Section| names(&source.id, &section.id);
        let mut all = sections.iter().filter(is_it).peekable();
        is_fault && all.peek().is_some() && all.all(|section| !section.is_on)
    };
    let Refreshed { sources, outcome, error, changed } = refreshed;
    let (off, sources): (Vec<_>, Vec<_>) = sources.into_iter().partition(is_off);
    if off.is_empty() || outcome == RefreshOutcome::Failed {
        return Refreshed { sources, outcome, error, changed };
    }
    let sources = sources.into_iter().map(|source| (source.id, source.error));
    Refreshed { changed, ..Refreshed::of(sources, None, "no repository was refreshed") }
}

/// Where the identifier holds variables, dnf 4 also shows it as written: `my x86_64 (my $basearch)`.
fn names(told: &str, id: &str) -> bool {
    let written = || told.rsplit_once(" (").and_then(|(_, rest)| rest.strip_suffix(')'));
    told.trim() == id || written() == Some(id)
}

/// If several repositories have one identifier, a manager reads only the first, and hardly says so. If the others have
/// the same packages, nothing is missed.
fn never_read(sections: &[Section]) -> Vec<SourceResult> {
    let mut found: Vec<SourceResult> = Vec::new();
    let is_switched_off = |id: &str| {
        let mut all = sections.iter().filter(|section| is_override(&section.file));
        all.any(|section| section.id == id && !section.is_on)
    };
    let files: Vec<_> = sections.iter().filter(|section| !is_override(&section.file)).collect();
    for (at, section) in files.iter().enumerate() {
        let Some(first) = files[..at].iter().find(|first| first.id == section.id) else { continue };
        let is_missed = section.is_on && !is_switched_off(&section.id) && !section.places.is_empty();
        if !is_missed || (first.is_on && first.places == section.places) {
            continue;
        }
        let (id, file) = (&section.id, &section.file);
        let why = match first.file == *file {
            true => format!("{id} stands twice in {file}, and only one of the two is read"),
            false => format!("{id} also stands in {}, and only that one is read", first.file),
        };
        let text = format!("{why}: give this one another identifier, or remove it");
        let id = format!("{id} ({file})");
        if found.iter().all(|known| known.id != id) {
            found.push(SourceResult { id, error: Some(Failure::new(Class::Config, text)) });
        }
    }
    found
}

/// Files of dnf 5 that only change settings of other files.
fn is_override(file: &str) -> bool {
    file.contains("/repos.override.d/")
}

/// Names the file at which a manager stops without naming it.
fn name_the_file(files: &[ConfigFile], refreshed: &mut Refreshed) {
    let Some(error) = refreshed.error.as_ref().filter(|error| error.class == Class::Config) else { return };
    let place = if error.message.contains(NO_UTF8) {
        no_utf8(files)
    } else if let Some((_, rest)) = error.message.split_once(BAD_ID) {
        let id = rest.split("\": ").next().unwrap_or(rest);
        sections(files).into_iter().find(|section| section.id == id).map(|section| section.file)
    } else if NO_ADDRESS.iter().any(|words| error.message.contains(words)) {
        no_address(files)
    } else if error.message.contains(NO_NUMBER) {
        no_number(files)
    } else {
        None
    };
    let Some(place) = place else { return };
    let before = error.message.clone();
    let name = |failure: &mut Failure| {
        if let Some(at) = failure.message.find(&before) {
            failure.message.insert_str(at, &format!("{place}: "));
        }
    };
    refreshed.sources.iter_mut().filter_map(|source| source.error.as_mut()).for_each(name);
    refreshed.error.iter_mut().for_each(name);
}

/// From dnf 4's words about a byte that is not UTF-8.
pub const NO_UTF8: &str = "is not UTF-8";
/// dnf 5 then does nothing at all.
const BAD_ID: &str = "Invalid repository id \"";

/// The first line with such a byte, as `FILE:LINE`. In comments such bytes do no harm, unless the file is one value.
fn no_utf8(files: &[ConfigFile]) -> Option<String> {
    files.iter().find_map(|file| {
        let is_value = file.path.extension().is_none();
        let is_read = |line: &&[u8]| is_value || !line.starts_with(b"#");
        let mut lines = file.bytes.split(|byte| *byte == b'\n');
        let at = lines.position(|line| is_read(&line) && std::str::from_utf8(line).is_err())?;
        Some(format!("{}:{}", file.path.display(), at + 1))
    })
}

/// zypper does nothing at all then.
const NO_ADDRESS: [&str; 3] =
    ["Invalid host component", "Invalid port component", "Url scheme is a required component"];

/// The first address that is none, which zypper reads also where its repository is switched off.
fn no_address(files: &[ConfigFile]) -> Option<String> {
    let is_address = |word: &str| {
        let Some((_, rest)) = word.split_once("://") else {
            return word.starts_with('/') || word.contains(':') || word.contains('$');
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        let port = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or("", |found| found.1);
        let is_port = port.is_empty() || port.contains('$') || port.parse::<u16>().is_ok();
        is_port && host.starts_with('[') == host.contains(']')
    };
    files.iter().find_map(|file| {
        let settings = settings(&String::from_utf8_lossy(&file.bytes));
        let is_it = |setting: &&Setting| {
            ["baseurl", "mirrorlist", "metalink", "url"].contains(&setting.name.as_str())
                && !setting.value.split_whitespace().all(is_address)
        };
        let bad = settings.iter().find(is_it)?;
        Some(format!("{}: [{}]", file.path.display(), one_line(&bad.section)))
    })
}

/// The first setting for which dnf 5 wants a number, and crashes where it is none.
fn no_number(files: &[ConfigFile]) -> Option<String> {
    let is_number = |value: &str| value.starts_with(|first: char| first.is_ascii_digit());
    files.iter().find_map(|file| {
        let settings = settings(&String::from_utf8_lossy(&file.bytes));
        let is_it = |setting: &&Setting| {
            ["bandwidth", "throttle", "minrate"].contains(&setting.name.as_str())
                && !is_number(&setting.value)
        };
        let bad = settings.iter().find(is_it)?;
        Some(format!("{}: {}={}", file.path.display(), bad.name, bad.value))
    })
}

fn is_of_repositories(file: &ConfigFile) -> bool {
    file.path.extension().is_some_and(|end| end == "repo")
}

fn sections(files: &[ConfigFile]) -> Vec<Section> {
    let mut found = Vec::new();
    let dirs = directories(files);
    let is_read = |file: &&ConfigFile| {
        let dir = file.path.parent().map(|dir| dir.display().to_string()).unwrap_or_default();
        match is_of_repositories(file) {
            true => dirs.is_empty() || is_override(&format!("{dir}/")) || dirs.contains(&dir),
            false => file.path.extension().is_some_and(|end| end == "conf"),
        }
    };
    for file in files.iter().filter(is_read) {
        // Each section by itself, also where two have the same name.
        let text = String::from_utf8_lossy(&file.bytes);
        let text = text.trim_start_matches('\u{feff}');
        let starts = text.match_indices("\n[").map(|(at, _)| at + 1);
        let starts: Vec<_> = std::iter::once(0).chain(starts).chain([text.len()]).collect();
        for part in starts.windows(2).filter_map(|ends| text.get(ends[0]..ends[1])) {
            found.extend(section(&file.path.display().to_string(), &settings(part)));
        }
    }
    found
}

fn section(file: &str, settings: &[Setting]) -> Option<Section> {
    let id = &settings.first().filter(|first| !["", "main"].contains(&first.section.as_str()))?.section;
    let last = |name: &str| settings.iter().rfind(|setting| setting.name == name);
    let is_off = last("enabled").is_some_and(|setting| is_no(&setting.value));
    let is_place =
        |setting: &&Setting| ["baseurl", "mirrorlist", "metalink"].contains(&setting.name.as_str());
    let places =
        settings.iter().filter(is_place).map(|setting| (setting.name.clone(), setting.value.clone()));
    let mut places: Vec<_> = places.filter(|(_, value)| !value.is_empty()).collect();
    places.sort();
    Some(Section { id: one_line(id), file: file.to_string(), is_on: !is_off, places })
}

/// How dnf reads true and false.
pub fn is_no(value: &str) -> bool {
    matches!(&*value.to_ascii_lowercase(), "0" | "no" | "false" | "off")
}

/// The directories of repositories, where the configuration names them.
fn directories(files: &[ConfigFile]) -> Vec<String> {
    let of_file = |file: &ConfigFile| settings(&String::from_utf8_lossy(&file.bytes));
    let of_main = files.iter().filter(|file| file.path.extension().is_some_and(|end| end == "conf"));
    let settings = of_main.flat_map(of_file).filter(|setting| setting.section == "main");
    let dirs = settings.flat_map(|Setting { name, value, .. }| match name.as_str() {
        "reposdir" => value.split([',', ' ', '\t']).map(str::to_string).collect(),
        "configdir" => vec![format!("{}/repos.d", value.trim_end_matches('/'))],
        _ => Vec::new(),
    });
    dirs.map(|dir| dir.trim_end_matches('/').to_string()).filter(|dir| dir.starts_with('/')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> ConfigFile {
        ConfigFile { path: path.into(), bytes: text.as_bytes().to_vec(), listed_at: 0 }
    }

    fn ids(refreshed: &Refreshed) -> Vec<(&str, bool)> {
        refreshed.sources.iter().map(|source| (source.id.as_str(), source.error.is_none())).collect()
    }

    fn fresh(ids: &[&str]) -> Refreshed {
        Refreshed::of(ids.iter().map(|id| (id.to_string(), None)), None, "")
    }

    #[test]
    fn a_repository_that_is_never_read_is_a_source_that_failed_unless_nothing_is_missed() {
        let first = "[a]\nbaseurl=http://one/\n";
        for (second, is_missed) in [
            ("[a]\nbaseurl=http://two/\n", true),
            ("[a]\nmirrorlist=http://one/\n", true),
            ("[a]\nbaseurl = http://one/\ngpgcheck=0\n", false),
            ("[a]\nbaseurl=http://two/\nenabled=0\n", false),
            ("[a]\nenabled=1\n", false),
            ("[b]\nbaseurl=http://two/\n", false),
        ] {
            let files = || [file("/etc/yum.repos.d/1.repo", first), file("/etc/yum.repos.d/2.repo", second)];
            let found = in_the_light_of(files().into(), fresh(&["a"]));
            let expected = [("a", true), ("a (/etc/yum.repos.d/2.repo)", false)];
            assert_eq!(ids(&found), expected[..1 + usize::from(is_missed)], "{second}");
            assert_eq!(found.outcome == RefreshOutcome::Partial, is_missed, "{second}");
            // Here its directory is not read at all.
            let elsewhere = [file("/etc/dnf/dnf.conf", "[main]\nreposdir=/srv\n")];
            let files = files().into_iter().chain(elsewhere).collect();
            assert_eq!(ids(&in_the_light_of(files, fresh(&["a"]))), expected[..1], "{second}");
        }
        let off =
            [file("/r/1.repo", "[a]\nbaseurl=x:/\nenabled=0\n"), file("/r/2.repo", "[a]\nbaseurl=x:/\n")];
        assert_eq!(ids(&in_the_light_of(off.into(), fresh(&["b"]))), [("b", true), ("a (/r/2.repo)", false)]);
        let twice = [file("/r/1.repo", "[a]\nbaseurl=http://one/\n[a]\nbaseurl=http://two/\n")];
        assert_eq!(
            ids(&in_the_light_of(twice.into(), fresh(&["a"]))),
            [("a", true), ("a (/r/1.repo)", false)]
        );
        let changed = [
            file("/etc/yum.repos.d/1.repo", first),
            file("/etc/dnf/repos.override.d/1.repo", "[a]\nbaseurl=http://two/\n"),
        ];
        assert_eq!(ids(&in_the_light_of(changed.into(), fresh(&["a"]))), [("a", true)]);
    }

    #[test]
    fn a_repository_that_is_switched_off_costs_nothing_and_one_that_is_not_stays() {
        let told = |id: &str| {
            let error = |id: &str| (id != "a").then(|| Failure::new(Class::Config, "Bad id for repo"));
            Refreshed::of(["a", id].map(|id| (id.to_string(), error(id))), None, "")
        };
        for (id, text, is_off) in [
            ("my repo", "[my repo]\nenabled=0\n", true),
            ("my repo", "[my repo]\nenabled = False\n", true),
            ("my repo", "[my repo]\nenabled=1\n", false),
            ("my repo", "[my repo]\nname=x\n", false),
            ("my repo", "[my repo]\nenabled=0\n[my repo]\nenabled=1\n", false),
            ("my x86 (my $basearch)", "[my $basearch]\nenabled=0\n", true),
            ("other", "[my repo]\nenabled=0\n", false),
        ] {
            let found = in_the_light_of(vec![file("/r/1.repo", text)], told(id));
            assert_eq!(found.outcome == RefreshOutcome::Fresh, is_off, "{text}");
            assert_eq!(found.error.is_none(), is_off, "{text}");
        }
    }

    #[test]
    fn the_file_at_which_everything_stops_is_named() {
        let failed = |text: &str| {
            let error = Failure::new(Class::Config, text);
            let told = Failure::new(Class::Config, format!("b: not refreshed: {text}"));
            Refreshed::failed(vec![SourceResult { id: "b".into(), error: Some(told) }], error)
        };
        let bytes = b"# caf\xe9\n[more]\nname=caf\xe9\n".to_vec();
        let files = vec![
            file("/r/1.repo", "[b]\nname=b\n"),
            ConfigFile { path: "/r/2.repo".into(), bytes, listed_at: 1 },
        ];
        let found = in_the_light_of(files, failed("something is not UTF-8"));
        assert_eq!(found.error.unwrap().message, "/r/2.repo:3: something is not UTF-8");
        let of_source = &found.sources[0].error.as_ref().unwrap().message;
        assert_eq!(of_source, "b: not refreshed: /r/2.repo:3: something is not UTF-8");
        let files = || vec![file("/r/1.repo", "[b]\nname=b\n[m b]\nname=x\n")];
        let words = "Invalid repository id \"m b\": unexpected character ' '";
        let named = in_the_light_of(files(), failed(words)).error.unwrap().message;
        assert_eq!(named, format!("/r/1.repo: {words}"));
        let other = Refreshed::failed(Vec::new(), Failure::new(Class::Lock, "locked"));
        assert!(in_the_light_of(files(), other).sources.is_empty());
        let none = Refreshed::failed(Vec::new(), Failure::new(Class::Config, words));
        assert_eq!(ids(&in_the_light_of(files(), none)), [("b", false), ("m b", false)]);
    }
}
