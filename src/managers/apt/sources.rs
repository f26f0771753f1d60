//! The sources as apt is configured, whatever its progress lines call them.

use super::commands::apt_get;
use crate::model::outcome::one_line;
use crate::system::process::Invocation;
use std::collections::HashMap;
use std::path::PathBuf;

/// One configured source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Without a slash at its end.
    pub uri: String,
    /// As sources.list(5) has it; one that ends in a slash is the path of a flat repository.
    pub suite: String,
    /// What is wanted from it; nothing where apt could not be asked.
    pub targets: Vec<Target>,
}

/// One file of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in the Release file, without the end that tells how it is compressed.
    pub key: String,
    /// `Packages`, `Sources`, `Translations` and others.
    pub kind: String,
    /// Where it is kept.
    pub path: String,
}

impl Target {
    /// Whether a source without it offers less: others, translations for example, are optional.
    pub fn is_needed(&self) -> bool {
        matches!(self.kind.as_str(), "Packages" | "Sources")
    }

    /// What counts as one: the files of all architectures of a component.
    pub fn group(&self) -> (&str, &str) {
        let end = self.key.find("/binary-").or_else(|| self.key.find("/source/"));
        (&self.kind, &self.key[..end.unwrap_or(0)])
    }

    /// Its name there.
    pub fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// The name of a source in the ledger.
pub fn source_id(uri: &str, suite: &str) -> String {
    // apt-cache(8) writes a cdrom's URI with two slashes, the progress lines without.
    let uri = match uri.replacen("cdrom://[", "cdrom:[", 1) {
        cdrom if cdrom.starts_with("cdrom:") => cdrom,
        // apt shows a space where sources.list(5) wants it written so.
        uri => uri.replace(' ', "%20"),
    };
    one_line(&format!("{} {suite}", uri.trim_end_matches('/')))
}

impl Source {
    /// Its name in the ledger.
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

    /// The names of its Release files, those that it may have.
    pub fn lists(&self) -> Vec<String> {
        let prefix = self.prefix().unwrap_or_default();
        ["InRelease", "Release", "Release.gpg"].map(|name| format!("{prefix}{name}")).into()
    }

    /// What the names of all its files in the directory of the index begin with.
    pub fn prefix(&self) -> Option<&str> {
        self.targets.iter().find_map(|target| {
            let end = target.file().find(&target.key.replace('/', "_"))?;
            Some(&target.file()[..end])
        })
    }
}

/// What the name of a file can end in that is kept as it came (`Acquire::GzipIndexes`).
pub const ENDS: [&str; 7] = ["", ".lz4", ".gz", ".xz", ".zst", ".bz2", ".lzma"];

const FORMAT: &str = "$(REPO_URI)\t$(RELEASE)\t$(METAKEY)\t$(CREATED_BY)\t$(FILENAME)";

/// Asks for all of them, refreshed or not.
pub fn ask() -> Invocation {
    apt_get(&[], &["--no-release-info", "--format", FORMAT, "indextargets"])
}

/// Reads the answer.
pub fn parse(stdout: &str) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    for line in stdout.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [uri, suite, key, kind, path] = fields[..] else { continue };
        let name = (uri.trim_end_matches('/').to_string(), suite.to_string());
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

/// The files without which the index is not complete, if its sources have them.
pub fn files(stdout: &str) -> Vec<PathBuf> {
    let sources = parse(stdout);
    let targets = sources.iter().flat_map(|source| &source.targets);
    let needed = targets.filter(|target| target.is_needed());
    needed.flat_map(|target| ENDS.map(|end| PathBuf::from(format!("{}{end}", target.path)))).collect()
}

/// All files of the index of a source, those that it may have.
pub fn files_of(stdout: &str, id: &str) -> Vec<String> {
    let sources = parse(stdout);
    let Some(source) = sources.iter().find(|source| source.id() == id) else { return Vec::new() };
    let of_target = |target: &Target| ENDS.map(|end| format!("{}{end}", target.file()));
    source.lists().into_iter().chain(source.targets.iter().flat_map(of_target)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "http://h/d/\tstable\tmain/binary-amd64/Packages\tPackages\t/l/h_d_dists_stable_main_binary-amd64_Packages\n\
         http://h/d/\tstable\tmain/source/Sources\tSources\t/l/h_d_dists_stable_main_source_Sources\n\
         file:/srv/flat/\t./\tPackages\tPackages\t/l/_srv_flat_._Packages\n\
         file:/srv/flat/\t./\ten\tTranslations\t/l/_srv_flat_._en\nW: something\n";

    #[test]
    fn sources_are_read_with_their_files() {
        let sources = parse(ANSWER);
        let ids: Vec<_> = sources.iter().map(Source::id).collect();
        assert_eq!(ids, ["http://h/d stable", "file:/srv/flat ./"]);
        let prefixes: Vec<_> = sources.iter().map(|source| source.prefix().unwrap()).collect();
        assert_eq!(prefixes, ["h_d_dists_stable_", "_srv_flat_._"]);
        let groups: Vec<_> = sources[0].targets.iter().map(Target::group).collect();
        assert_eq!(groups, [("Packages", "main"), ("Sources", "main")]);
        assert!(!sources[1].targets[1].is_needed());
        assert_eq!(files(ANSWER).len(), 3 * ENDS.len());
    }

    #[test]
    fn a_cdrom_has_one_name() {
        assert_eq!(source_id("cdrom://[Debian 12]/", "x"), source_id("cdrom:[Debian 12]", "x"));
        assert_eq!(source_id("file:/media/my disk/", "x"), "file:/media/my%20disk x");
    }

    #[test]
    fn a_source_owns_what_lies_below_its_suite() {
        let source = |suite: &str| Source { uri: "http://h/d".into(), suite: suite.into(), targets: vec![] };
        assert!(source("s").owns("http://h/d/dists/s/InRelease"));
        assert!(!source("s").owns("http://h/d/dists/s-security/InRelease"));
        assert!(source("./").owns("http://h/d/./InRelease") && source("/").owns("http://h/d/InRelease"));
    }
}
