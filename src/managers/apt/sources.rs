//! A source of apt: its name, its files, and how the files of the configuration write it.

use crate::managers::capabilities::Listed;
use crate::model::text::one_line;
use glob::Pattern;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// One configured source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// As apt prints it: without a login, and without a slash at its end.
    pub uri: String,
    /// As sources.list(5) has it; one that ends in a slash is the path of a flat repository.
    pub suite: String,
    /// The files that apt wants from it; none where apt could not be asked.
    pub targets: Vec<Target>,
}

/// One file of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in the Release file, without the extension of the compression.
    pub key: String,
    /// `Packages`, `Sources`, `Translations` and others.
    pub kind: String,
    /// Where it is kept.
    pub path: String,
}

impl Target {
    /// Whether the source offers less without it. Other files, translations for example, are optional.
    pub fn is_needed(&self) -> bool {
        matches!(self.kind.as_str(), "Packages" | "Sources")
    }

    /// Whether it is for all architectures together, which is optional.
    pub fn is_of_all(&self) -> bool {
        self.key.contains("/binary-all/")
    }

    /// What counts as one file: the files of a component for all architectures.
    pub fn group(&self) -> (&str, &str) {
        let end = self.key.find("/binary-").or_else(|| self.key.find("/source/"));
        (&self.kind, &self.key[..end.unwrap_or(0)])
    }

    /// The architecture that it is for. A flat repository has one index for all of them.
    fn architecture(&self) -> Option<&str> {
        let (_, rest) = self.key.split_once("/binary-")?;
        rest.split('/').next()
    }

    /// Whether this is the same index for a variant of another's architecture, such as `amd64v3` of `amd64`.
    fn is_variant_of(&self, other: &Target) -> bool {
        let end =
            self.architecture().zip(other.architecture()).and_then(|(own, base)| own.strip_prefix(base));
        let is_variant =
            |end: &str| end.starts_with('v') && end[1..].starts_with(|c: char| c.is_ascii_digit());
        self.group() == other.group() && end.is_some_and(is_variant)
    }

    /// Its name in the Release file.
    pub fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// The name of the source in the state.
pub fn source_id(uri: &str, suite: &str) -> String {
    // apt-cache(8) writes a cdrom's URI with two slashes, the progress lines with none.
    let uri = match uri.replacen("cdrom://[", "cdrom:[", 1) {
        cdrom if cdrom.starts_with("cdrom:") => cdrom,
        // apt shows a space where sources.list(5) needs an escape.
        uri => uri.replace(' ', "%20"),
    };
    one_line(&format!("{} {suite}", uri.trim_end_matches('/')))
}

impl Source {
    /// Its name in the state.
    pub fn id(&self) -> String {
        source_id(&self.uri, &self.suite)
    }

    /// Whether `url` is one of its files.
    pub fn owns(&self, url: &str) -> bool {
        let dists = if self.suite.ends_with('/') { "" } else { "dists/" };
        let path = url.strip_prefix(&self.uri).and_then(|path| path.strip_prefix('/'));
        let suite = self.suite.trim_end_matches('/');
        let in_suite = path.and_then(|path| path.strip_prefix(dists)?.strip_prefix(suite));
        in_suite.is_some_and(|file| suite.is_empty() || file.starts_with('/'))
    }

    /// The names that its Release files may have.
    pub fn lists(&self) -> Vec<String> {
        let prefix = self.prefix().unwrap_or_default();
        ["InRelease", "Release", "Release.gpg"].map(|name| format!("{prefix}{name}")).into()
    }

    /// How the names of all its files in the directory of the index begin.
    pub fn prefix(&self) -> Option<&str> {
        self.targets.iter().find_map(|target| {
            let key = target.key.replace('/', "_");
            ENDS.iter().find_map(|end| target.file().strip_suffix(end)?.strip_suffix(&key))
        })
    }

    /// Whether apt takes the index of a variant in the place of this one (`APT::Architecture-Variants`). It still lists
    /// both. `is_used` says whether an index is stored and in the Release file.
    pub fn is_supplanted(&self, target: &Target, is_used: impl Fn(&Target) -> bool) -> bool {
        self.targets.iter().any(|other| other.is_variant_of(target) && is_used(other))
    }

    /// The first index that its Release file lists, that is not empty, and that apt did not store in this directory.
    /// apt says nothing where it passes over one that the Release file lists only in a compressed form.
    pub fn lacks(&self, dir: &Path) -> Option<String> {
        let read = |name: String| std::fs::read(dir.join(name)).ok();
        let release = self.lists().into_iter().find_map(read)?;
        let release = String::from_utf8_lossy(&release);
        let is_stored =
            |target: &Target| ENDS.iter().any(|end| dir.join(format!("{}{end}", target.file())).exists());
        let is_listed = |target: &Target| is_named(&release, &target.key);
        let is_used = |target: &Target| is_stored(target) && is_listed(target);
        let mut needed = self.targets.iter().filter(|target| target.is_needed() && !target.is_of_all());
        let lacking = needed
            .find(|target| !is_stored(target) && is_listed(target) && !self.is_supplanted(target, is_used));
        lacking.map(|target| target.key.clone())
    }
}

/// The extensions of a file that is kept as it came (`Acquire::GzipIndexes`).
pub const ENDS: [&str; 7] = ["", ".lz4", ".gz", ".xz", ".zst", ".bz2", ".lzma"];

/// Patterns for the Release files of a source in the state.
pub fn release_files(id: &str) -> Vec<String> {
    let names = ["InRelease", "Release"].into_iter().filter_map(|file| kept_as(id, file));
    names.map(|name| Pattern::escape(&name)).collect()
}

/// The address of a source as apt's lines of progress and its errors have it (`URI::ArchiveOnly` in apt).
///
/// ```text
/// https://me:secret@host/ubuntu/   https://host/ubuntu
/// file:///srv/x                    file:/srv/x
/// ```
fn as_printed(uri: &str) -> String {
    let uri = uri.trim_end_matches('/');
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_string() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match host.rsplit('@').next() {
        Some("") => format!("{scheme}:{path}"),
        host => format!("{scheme}://{}{path}", host.unwrap_or_default()),
    }
}

/// A suite as sources.list(5) has it. apt writes the flat repository `/` as nothing.
pub fn suite_of(word: &str) -> &str {
    if word.is_empty() { "/" } else { word }
}

/// The path of a file of a suite below the address of its source.
pub fn path_of(suite: &str, file: &str) -> String {
    match suite {
        "/" => file.to_string(),
        flat if flat.ends_with('/') => format!("{flat}{file}"),
        suite => format!("dists/{suite}/{file}"),
    }
}

/// The name under which apt stores a file of a suite: without scheme and password and the brackets of an address of
/// IPv6, with characters that mean something to a shell written as numbers (`MetaIndexURI` and `URItoFileName` in apt).
pub fn kept_as(id: &str, file: &str) -> Option<String> {
    let (uri, suite) = id.rsplit_once(' ')?;
    let (_, place) = uri.split_once(':').filter(|(_, place)| place.is_empty() || place.starts_with('/'))?;
    let place = place.strip_prefix("//").unwrap_or(place);
    let place = match place.strip_prefix('[') {
        Some(host) => host.replacen(']', "", 1),
        None => place.to_string(),
    };
    let mut name = String::new();
    for byte in format!("{place}/{}", path_of(suite, file)).bytes() {
        match byte {
            b'/' => name.push('_'),
            0..=b' ' | 0x7f.. => name += &format!("%{byte:02x}"),
            _ if b"\\|{}[]<>\"^~_=!@#$%^&*".contains(&byte) => name += &format!("%{byte:02x}"),
            _ => name.push(char::from(byte)),
        }
    }
    Some(name)
}

/// Reads the answer to [`SourceList::ask`](crate::managers::SourceList::ask).
pub fn parse(stdout: &str) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    for line in stdout.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [uri, suite, key, kind, path] = fields[..] else { continue };
        let name = (as_printed(uri), suite_of(suite).to_string());
        let at = *known.entry(name.clone()).or_insert_with(|| {
            sources.push(Source { uri: name.0, suite: name.1, targets: Vec::new() });
            sources.len() - 1
        });
        let target = Target { key: key.to_string(), kind: kind.to_string(), path: path.to_string() };
        if !sources[at].targets.contains(&target) {
            sources[at].targets.push(target);
        }
    }
    sources
}

/// The indexes that the Release file of a source lists and that are stored, packed or not.
pub fn listed(id: &str, dir: &Path) -> Vec<Listed> {
    let read = |file: &str| std::fs::read(dir.join(kept_as(id, file)?)).ok();
    let release = ["InRelease", "Release"].into_iter().find_map(read).unwrap_or_default();
    let release = String::from_utf8_lossy(&release);
    let entries = release.lines().filter_map(|line| {
        let mut words = line.strip_prefix(' ')?.split_whitespace();
        let (sum, size, name) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        let is_index = matches!(name.rsplit('/').next(), Some("Packages" | "Sources"));
        let path = dir.join(kept_as(id, name).filter(|_| is_index && sum.len() == SHA256)?);
        let (path, is_packed) = stored(path)?;
        Some(Listed { path, size, sum: sum.to_string(), is_packed })
    });
    entries.collect()
}

/// The file that is stored under this name, with the ending of what it was packed with, and whether it is packed.
fn stored(path: PathBuf) -> Option<(PathBuf, bool)> {
    if path.exists() {
        return Some((path, false));
    }
    let packed = |end: &&str| PathBuf::from(format!("{}.{end}", path.display()));
    let packed = ["lz4", "gz", "xz", "zst", "bz2", "lzma"].iter().map(packed).find(|path| path.exists());
    packed.map(|path| (path, true))
}

/// How many digits such a sum has.
const SHA256: usize = 64;

/// Whether a Release file lists this index with a size above 0:
///
/// ```text
///  e3b0c44298fc1c149afbf4c8996fb924 1340 main/binary-amd64/Packages.xz
/// ```
fn is_named(release: &str, key: &str) -> bool {
    let lines = release.lines().filter(|line| line.starts_with(' '));
    let entries = lines.filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (size, name) = (words.next()?, words.next()?);
        let end = name.strip_prefix(key).filter(|end| ENDS.contains(end))?;
        Some((end, size))
    });
    let (plain, packed): (Vec<_>, Vec<_>) = entries.partition(|(end, _)| end.is_empty());
    match plain.first() {
        Some((_, size)) => *size != "0",
        None => !packed.is_empty(),
    }
}

/// The hosts in a file of the directory of sources, in either of its two formats, without commented and disabled
/// sources.
///
/// ```text
/// deb [signed-by=/x] http://deb.example/debian stable main
/// URIs: http://deb.example/debian
/// ```
pub fn hosts(text: &str) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for line in text.split("\n\n").filter(|stanza| is_on(stanza)).flat_map(str::lines).map(str::trim) {
        let addresses = match line.split_whitespace().next() {
            Some("deb" | "deb-src") => line,
            Some(word) if word.eq_ignore_ascii_case("uris:") => line,
            // More addresses of the same field.
            Some(word) if word.contains("://") => line,
            _ => continue,
        };
        let over_http = addresses.split_whitespace().filter_map(|word| {
            word.strip_prefix("http://").or_else(|| word.strip_prefix("https://"))?.split('/').next()
        });
        let named = over_http.filter_map(|host| host.rsplit('@').next());
        hosts.extend(named.map(str::to_owned));
    }
    hosts.sort();
    hosts.dedup();
    hosts
}

/// The sources that a file of them names, in either of its forms, where apt reads none since something is wrong with
/// one of them.
pub fn written(text: &str) -> Vec<String> {
    let id = |uri: &str, suite: &str| source_id(&as_printed(uri), suite);
    let mut found: Vec<String> = Vec::new();
    for stanza in text.split("\n\n").filter(|stanza| is_on(stanza)) {
        let (mut uris, mut suites, mut field) = (Vec::new(), Vec::new(), String::new());
        for line in stanza.lines().filter(|line| !line.trim_start().starts_with('#')) {
            if let Some(rest) = line.trim_start().strip_prefix("deb ") {
                // Its options may hold blanks.
                let rest = rest.trim_start();
                let rest =
                    rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(rest, |it| it.1);
                let mut words = rest.split_whitespace();
                found.extend(words.next().zip(words.next()).map(|(uri, suite)| id(uri, suite)));
                continue;
            }
            let is_more = line.starts_with([' ', '\t']);
            let (key, value) = match line.split_once(':').filter(|_| !is_more) {
                Some((key, value)) => (key.to_ascii_lowercase(), value),
                None => (std::mem::take(&mut field), line),
            };
            match key.as_str() {
                "uris" => uris.extend(value.split_whitespace()),
                "suites" => suites.extend(value.split_whitespace()),
                _ => {}
            }
            field = key;
        }
        found.extend(uris.iter().flat_map(|uri| suites.iter().map(|suite| id(uri, suite))));
    }
    found.sort();
    found.dedup();
    found
}

/// Whether a stanza is switched on.
fn is_on(stanza: &str) -> bool {
    let switch = stanza.lines().filter_map(|line| line.split_once(':'));
    let mut switch = switch.filter(|(key, _)| key.trim().eq_ignore_ascii_case("enabled"));
    !switch.any(|(_, value)| matches!(value.trim().to_ascii_lowercase().as_str(), "no" | "false" | "0"))
}

#[cfg(test)]
mod tests {
    use super::super::source_list::Configured;
    use super::*;
    use crate::managers::capabilities::SourceList;

    #[test]
    fn the_sources_of_a_file_are_read_also_beside_nonsense() {
        let lines = "# deb http://no.example/ x y\ndeb [arch=amd64 trusted=yes] http://b.example/d/ s main\n\
                     deb-src https://a.example/d s main\ndeb file:/srv/x ./\n\ndeb http://x\nnonsense\n";
        assert_eq!(written(lines), ["file:/srv/x ./", "http://b.example/d s"]);
        let stanzas = "Types: deb\nURIs: http://c.example/d\n https://d.example/\nSuites: s\n# x\n t\n\n\
                       Types: deb\nEnabled: no\nURIs: http://no.example/\nSuites: s\n";
        let expected =
            ["http://c.example/d s", "http://c.example/d t", "https://d.example s", "https://d.example t"];
        assert_eq!(written(stanzas), expected);
    }

    #[test]
    fn the_hosts_of_a_file_are_those_of_what_is_switched_on() {
        let lines = "# deb http://no.example/ x y\ndeb [trusted=yes] http://me:x@b.example:81/d s main\n\
                     deb-src https://a.example/d s main\ndeb file:/srv/x ./\n";
        assert_eq!(hosts(lines), ["a.example", "b.example:81"]);
        let stanzas = "Types: deb\nURIs: http://c.example/d\n https://d.example\nSuites: s\n\n\
                       Types: deb\nEnabled: no\nURIs: http://no.example/\n";
        assert_eq!(hosts(stanzas), ["c.example", "d.example"]);
    }

    const ANSWER: &str = "http://h/d/\tstable\tmain/binary-amd64/Packages\tPackages\t/l/h_d_dists_stable_main_binary-amd64_Packages\n\
         http://h/d/\tstable\tmain/source/Sources\tSources\t/l/h_d_dists_stable_main_source_Sources\n\
         file:/srv/flat/\t./\tPackages\tPackages\t/l/_srv_flat_._Packages\n\
         file:/srv/flat/\t./\ten\tTranslations\t/l/_srv_flat_._en\nW: something\n\
         http://h/Packages/\t\tPackages\tPackages\t/l/h_Packages_Packages.lz4\n";

    #[test]
    fn sources_are_read_with_their_files() {
        let sources = parse(ANSWER);
        let ids: Vec<_> = sources.iter().map(Source::id).collect();
        assert_eq!(ids, ["http://h/d stable", "file:/srv/flat ./", "http://h/Packages /"]);
        let prefixes: Vec<_> = sources.iter().map(|source| source.prefix().unwrap()).collect();
        assert_eq!(prefixes, ["h_d_dists_stable_", "_srv_flat_._", "h_Packages_"]);
        let groups: Vec<_> = sources[0].targets.iter().map(Target::group).collect();
        assert_eq!(groups, [("Packages", "main"), ("Sources", "main")]);
        assert!(!sources[1].targets[1].is_needed());
        assert_eq!(Configured.files(ANSWER).len(), 4 * ENDS.len());
    }

    #[test]
    fn an_index_is_wanted_where_the_release_file_says_that_something_is_in_it() {
        let release = |lines: &[&str]| format!("Suite: s\nSHA256:\n {}\n", lines.join("\n "));
        for (lines, expected) in [
            (&["a 9 main/binary-amd64/Packages"][..], true),
            (&["a 0 main/binary-amd64/Packages", "a 20 main/binary-amd64/Packages.gz"], false),
            (&["a 20 main/binary-amd64/Packages.gz"], true),
            (&["a 20 main/binary-amd64/Packages.diff/Index"], false),
            (&["a 9 main/binary-arm64/Packages"], false),
        ] {
            assert_eq!(is_named(&release(lines), "main/binary-amd64/Packages"), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_a_release_file_lists_is_compared_where_it_is_stored_as_it_came() {
        let dir = tempfile::tempdir().unwrap();
        let (sum, put) = ("a".repeat(64), |name: &str, text: &str| {
            std::fs::write(dir.path().join(format!("h_dists_s_{name}")), text).unwrap();
        });
        let lines = [
            format!("MD5Sum:\n {} 3 main/binary-amd64/Packages", "b".repeat(32)),
            format!("SHA256:\n {sum} 3 main/binary-amd64/Packages\n {sum} 4 main/binary-amd64/Packages.gz"),
            format!(" {sum} 3 main/binary-i386/Packages\n {sum} 5 main/i18n/Translation-en"),
        ];
        put("InRelease", &lines.join("\n"));
        ["main_binary-amd64_Packages", "main_binary-amd64_Packages.gz", "main_i18n_Translation-en"]
            .into_iter()
            .for_each(|name| put(name, "abc"));
        let found = listed("http://h s", dir.path());
        let found: Vec<_> = found.iter().map(|file| (file.path.file_name().unwrap(), file.size)).collect();
        assert_eq!(found, [("h_dists_s_main_binary-amd64_Packages".as_ref(), 3)]);
        assert!(listed("http://other s", dir.path()).is_empty());
    }

    #[test]
    fn a_release_file_is_found_by_the_name_that_apt_gives_it() {
        for (id, expected) in [
            ("http://h:80/d stable", "h:80_d_dists_stable_InRelease"),
            ("file:/srv/x_y ./", "_srv_x%5fy_._InRelease"),
            ("copy:/srv/x sub/", "_srv_x_sub_InRelease"),
            ("file: ./", "_._InRelease"),
            ("file:///srv stable/updates", "_srv_dists_stable_updates_InRelease"),
            ("mirror+file:/srv/m s", "_srv_m_dists_s_InRelease"),
            ("https://h/~a/x x", "h_%7ea_x_dists_x_InRelease"),
            ("http://h/deb /", "h_deb_InRelease"),
            ("http://h/deb /sub/", "h_deb__sub_InRelease"),
            ("http://h/deb /abs", "h_deb_dists__abs_InRelease"),
            ("http://[::1]:80/d s", "::1:80_d_dists_s_InRelease"),
        ] {
            assert_eq!(release_files(id)[0], Pattern::escape(expected), "{id}");
        }
        assert!(release_files("cdrom:[x] stable").is_empty() && release_files("x").is_empty());
    }

    #[test]
    fn a_cdrom_has_one_name() {
        assert_eq!(source_id("cdrom://[Debian 12]/", "x"), source_id("cdrom:[Debian 12]", "x"));
        assert_eq!(source_id("file:/media/my disk/", "x"), "file:/media/my%20disk x");
    }

    #[test]
    fn an_index_is_lacking_where_neither_it_nor_that_of_a_variant_is_stored() {
        let line = |arch: &str| {
            let key = format!("main/binary-{arch}/Packages");
            format!("http://h/\ts\t{key}\tPackages\t/l/h_dists_s_{}\n", key.replace('/', "_"))
        };
        let source = |archs: &[&str]| {
            let answer: String = archs.iter().map(|arch| line(arch)).collect();
            parse(&answer).remove(0)
        };
        let (base, variant) = ("main/binary-amd64/Packages", "main/binary-amd64v3/Packages");
        for (archs, listed, stored, expected) in [
            (&["amd64v3", "amd64"][..], &[base, variant][..], "amd64v3", None),
            (&["amd64v3", "amd64"], &[base, variant], "i386", Some(variant)),
            (&["amd64v3", "amd64"], &[base, variant], "amd64", Some(variant)),
            // What an earlier refresh left.
            (&["amd64v3", "amd64"], &[base], "amd64v3", Some(base)),
            (&["amd64", "i386"], &[base], "i386", Some(base)),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let lines: String = listed.iter().map(|key| format!(" a 9 {key}\n")).collect();
            std::fs::write(dir.path().join("h_dists_s_InRelease"), format!("SHA256:\n{lines}")).unwrap();
            std::fs::write(dir.path().join(format!("h_dists_s_main_binary-{stored}_Packages")), "x").unwrap();
            assert_eq!(source(archs).lacks(dir.path()).as_deref(), expected, "{listed:?} {stored}");
        }
    }

    #[test]
    fn a_source_has_the_address_that_apt_prints() {
        for (configured, printed) in [
            ("https://me:secret@h:81/a/ubuntu/", "https://h:81/a/ubuntu"),
            ("https://token@h", "https://h"),
            ("https://h/~a@b/x", "https://h/~a@b/x"),
            ("http://me@[::1]:80/d/", "http://[::1]:80/d"),
            ("file:///srv/x/", "file:/srv/x"),
            ("mirror+file:///etc/m", "mirror+file:/etc/m"),
            ("file:/srv/x", "file:/srv/x"),
            ("cdrom:[Debian 12]/", "cdrom:[Debian 12]"),
        ] {
            assert_eq!(as_printed(configured), printed);
        }
    }

    #[test]
    fn a_source_owns_what_lies_below_its_suite() {
        let source = |suite: &str| Source { uri: "http://h/d".into(), suite: suite.into(), targets: vec![] };
        assert!(source("s").owns("http://h/d/dists/s/InRelease"));
        assert!(!source("s").owns("http://h/d/dists/s-security/InRelease"));
        assert!(source("./").owns("http://h/d/./InRelease") && source("/").owns("http://h/d/InRelease"));
    }
}
