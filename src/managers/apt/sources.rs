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
#[path = "sources_tests.rs"]
mod tests;
