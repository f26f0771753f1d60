//! The settings of apk 3, and the file of ours that takes their place.

use crate::managers::capabilities::Settings;
use crate::managers::facts::Elsewhere;
use std::path::{Path, PathBuf};

/// The settings of apk 3. apk 2 has none, and does not know the variable.
pub struct OwnSettings;

impl Settings for OwnSettings {
    fn variable(&self) -> &'static str {
        "APK_CONFIG"
    }

    fn files(&self) -> &'static [&'static str] {
        &["/etc/apk/config", "/lib/apk/config"]
    }

    fn path(&self, selection: &Path) -> PathBuf {
        selection.with_extension("conf")
    }

    /// Where the settings put the index, and the file with the repositories.
    fn elsewhere(&self, settings: &str) -> Elsewhere {
        let value_of = |name: &str| settings.lines().rev().map(option).find(|(found, _)| *found == name);
        let path = |name: &str| {
            let (_, value) = value_of(name).filter(|(_, value)| !value.is_empty())?;
            Some(Path::new("/").join(value))
        };
        let words = |path: Option<PathBuf>| path.map(|path| path.display().to_string()).into_iter().collect();
        let cache = path("cache-dir");
        let index = words(cache.clone());
        Elsewhere { sources: words(path("repositories-file")), index, cache, ..Elsewhere::default() }
    }

    fn leaves_some_out(&self) -> bool {
        true
    }

    /// The settings without those that change what apk prints, keep it from asking a mirror, make it only pretend, or
    /// change the meaning of one of our commands.
    fn kept(&self, settings: &str) -> String {
        const DROPPED: &[&str] = &[
            // Options of all commands.
            "force-binary-stdout",
            "help",
            "interactive",
            "legacy-info",
            "network",
            "pretty-print",
            "print-arch",
            "progress",
            "progress-fd",
            "quiet",
            "update-cache",
            "verbose",
            "version",
            // We wait for its lock ourselves, within a budget; and what we read is this system's.
            "wait",
            "root",
            // Options of all commands that change something.
            "simulate",
            // Options of upgrade.
            "ignore",
            "self-upgrade-only",
            "preupgrade-only",
            // Options of version.
            "all",
            "check",
            "indexes",
            "limit",
            "test",
            // Options of audit.
            "backup",
            "check-permissions",
            "details",
            "full",
            "ignore-busybox-symlinks",
            "packages",
            "protected-paths",
            "recursive",
            "system",
            // Options of fix.
            "depends",
            "directory-permissions",
            "reinstall",
            "upgrade",
            "xattr",
            // Options of fetch.
            "built-after",
            "link",
            "output",
            "pkgname-spec",
            "stdout",
            "url",
            // Options of fetch and info, and of info alone.
            "all-matches",
            "available",
            "fields",
            "format",
            "from",
            "installed",
            "match",
            "orphaned",
            "summarize",
            "upgradable",
            "world",
            "contents",
            "description",
            "exists",
            "install-if",
            "license",
            "provides",
            "rdepends",
            "replaces",
            "rinstall-if",
            "size",
            "triggers",
            "webpage",
            "who-owns",
        ];
        let lines = settings.lines().filter(|line| !DROPPED.contains(&option(line).0));
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// The option in a line of the settings, without the `no-` of options that are yes or no; and its value.
fn option(line: &str) -> (&str, &str) {
    let text = line.split('#').next().unwrap_or_default().trim();
    let (name, value) = text.split_once(' ').unwrap_or((text, ""));
    (name.strip_prefix("no-").unwrap_or(name), value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_change_what_is_read_are_dropped_and_the_others_kept() {
        let theirs = "quiet\n # a note\ntimeout 180\nno-network\nnetwork no # offline\nno-cache\nsimulate\nverbose\ncache-dir srv/cache\n\
                      repositories-file /srv/repos\nallow-untrusted\ninteractive yes\nprogress-fd 1\nignore\nwait 60\nroot /srv\npreupgrade-only\n";
        let ours = " # a note\ntimeout 180\nno-cache\ncache-dir srv/cache\nrepositories-file /srv/repos\nallow-untrusted\n";
        assert_eq!(OwnSettings.kept(theirs), ours);
        assert_eq!(OwnSettings.kept(ours), ours);
        let found = OwnSettings.elsewhere(theirs);
        assert_eq!(found.cache, Some(PathBuf::from("/srv/cache")));
        assert_eq!(
            (found.sources, found.index),
            (vec!["/srv/repos".to_string()], vec!["/srv/cache".to_string()])
        );
        assert_eq!(OwnSettings.elsewhere("timeout 5\n"), Elsewhere::default());
    }
}
