//! The settings in zypp.conf, and the file of ours that takes their place.

use super::commands::{KEPT_SERVICES, SETTINGS_VARIABLE, settings_path};
use crate::managers::capabilities::Settings;
use crate::managers::facts::Elsewhere;
use crate::managers::machine::Machine;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::system::files::write_atomic;
use anyhow::Context;
use log::debug;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where zypper writes down what it does.
pub(super) fn history(machine: &dyn Machine) -> &Path {
    machine.elsewhere().history.as_deref().unwrap_or(Path::new("/var/log/zypp/history"))
}

/// The file that tells zypper of our locks. Because the variable is set, zypper reads none of the usual files and
/// directories, so our file repeats their content: without `multiversion`, a new kernel would replace the running one.
pub struct OwnSettings;

impl Settings for OwnSettings {
    fn variable(&self) -> &'static str {
        SETTINGS_VARIABLE
    }

    fn files(&self) -> &'static [&'static str] {
        // Debian's builds use /usr/share where SUSE's use /usr/etc.
        &[
            "/etc/zypp/zypp.conf",
            "/run/zypp/zypp.conf",
            "/usr/etc/zypp/zypp.conf",
            "/usr/share/zypp/zypp.conf",
        ]
    }

    fn directories(&self) -> &'static [&'static str] {
        &[
            "/usr/share/zypp/zypp.conf.d",
            "/usr/etc/zypp/zypp.conf.d",
            "/run/zypp/zypp.conf.d",
            "/etc/zypp/zypp.conf.d",
        ]
    }

    fn path(&self, selection: &Path) -> PathBuf {
        settings_path(selection)
    }

    fn text(&self, selection: &Path) -> String {
        format!("[main]\nlocksfile.apply = yes\nlocksfile.path = {}\n", selection.display())
    }

    /// Where the administrator keeps the locks, if not in the usual place; /dev/null if they are not to be applied.
    fn base(&self, settings: &str) -> Option<PathBuf> {
        let is_off =
            |value: &str| ["0", "no", "off", "false", "never", "-"].contains(&&*value.to_lowercase());
        match value_of(settings, "locksfile.apply") {
            Some(value) if is_off(value) => Some(PathBuf::from("/dev/null")),
            _ => path_of(settings, "locksfile.path"),
        }
    }

    fn elsewhere(&self, settings: &str) -> Elsewhere {
        elsewhere(settings)
    }

    fn added(&self, asked: &'static str, theirs: &str, dir: &Path) -> Result<String, Failure> {
        if asked != KEPT_SERVICES {
            return Ok(asked.to_string());
        }
        let Some(texts) = services(theirs) else {
            debug!(
                "not every file of zypper's services can be read as it is: zypper refreshes them as usual"
            );
            return Ok(String::new());
        };
        if texts.is_empty() {
            return Ok(String::new());
        }
        let texts: Vec<String> = texts.iter().map(|text| kept_services(text)).collect();
        let copies = dir.join("services.d");
        let written = DirBuilder::new().recursive(true).mode(0o700).create(&copies);
        let written = written.with_context(|| format!("could not make {}", copies.display()));
        let written = written.and_then(|()| write_atomic(&copies, "all", texts.concat().as_bytes()));
        written.map_err(Failure::of(Class::Space))?;
        Ok(format!("[main]\nservicesdir = {}\n", copies.display()))
    }
}

/// The files of the services by these settings, as zypper reads them. `None` where one cannot be copied just as it is:
/// zypper removes the repositories of a service that it misses.
fn services(settings: &str) -> Option<Vec<String>> {
    let place = |key: &str, usual: PathBuf| match value_of(settings, key).map(Path::new) {
        Some(path) if path.is_absolute() => Some(path.to_path_buf()),
        Some(path) if path != Path::new("") => None,
        _ => Some(usual),
    };
    let config = place("configdir", PathBuf::from("/etc/zypp"));
    let dir = match value_of(settings, "servicesdir") {
        Some(_) => place("servicesdir", config.unwrap_or_default().join("services.d"))?,
        None => config?.join("services.d"),
    };
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(Vec::new()),
        entries => entries.ok()?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().ok()?;
    // zypper passes over hidden files.
    paths.retain(|path| !path.file_name().is_some_and(|name| name.as_bytes().starts_with(b".")));
    paths.sort();
    let text = |path: &PathBuf| {
        let is_file = std::fs::metadata(path).ok()?.is_file();
        let bytes = if is_file { std::fs::read(path).ok()? } else { return None };
        // One that is being written begins as an empty one.
        let is_whole = |text: &String| text.lines().any(|line| line.trim_start().starts_with('['));
        String::from_utf8(bytes).ok().filter(is_whole)
    };
    paths.iter().map(text).collect()
}

/// The same services, none of which is refreshed by itself.
fn kept_services(text: &str) -> String {
    let is_kept = |line: &&str| line.split('=').next().is_some_and(|key| key.trim() != "autorefresh");
    let lines = text.lines().filter(is_kept).map(|line| match line.trim_start().starts_with('[') {
        true => format!("{line}\nautorefresh=0\n"),
        false => format!("{line}\n"),
    });
    lines.collect()
}

/// The last value of a key.
fn value_of<'a>(settings: &'a str, key: &str) -> Option<&'a str> {
    let mut values = settings.lines().rev().filter_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found.trim() == key).then(|| value.trim())
    });
    values.next()
}

fn path_of(settings: &str, key: &str) -> Option<PathBuf> {
    value_of(settings, key).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The places that zypp.conf(5) can set. Some lie below others unless they are set themselves.
fn elsewhere(settings: &str) -> Elsewhere {
    let below = |key: &str, top: Option<&PathBuf>, name: &str| {
        path_of(settings, key).or_else(|| top.map(|top| top.join(name)))
    };
    let words = |paths: Vec<Option<PathBuf>>| -> Vec<String> {
        paths.into_iter().flatten().map(|path| path.display().to_string()).collect()
    };
    let (cache, config) = (path_of(settings, "cachedir"), path_of(settings, "configdir"));
    let of_config = |(key, name): (&str, &str)| below(key, config.as_ref(), name);
    let sources = [
        ("reposdir", "repos.d", "*.repo"),
        ("reposdir", "repos.d", "[!.]*.repo_[0-9]"),
        ("reposdir", "repos.d", "[!.]*.repo_[0-9][0-9]"),
        ("servicesdir", "services.d", "[!.]*"),
    ];
    let vendors = of_config(("vendordir", "vendors.d")).map(|dir| dir.join("[!.]*"));
    let index = [vendors, of_config(("multiversiondir", "multiversion.d"))];
    let solv = below("solvfilesdir", cache.as_ref(), "solv");
    let solv = ["[!@]*", "@[!S]*"].map(|names| solv.as_ref().map(|solv| solv.join(names)));
    let sources = sources.map(|(key, name, files)| of_config((key, name)).map(|dir| dir.join(files)));
    Elsewhere {
        sources: words([&sources[..], &[of_config(("varsdir", "vars.d"))]].concat()),
        index: words([&index[..], &solv, &[path_of(settings, "locksfile.path")]].concat()),
        rules: words(vec![below("multiversiondir", config.as_ref(), "multiversion.d")]),
        history: path_of(settings, "history.logfile"),
        cache: below("metadatadir", cache.as_ref(), "raw").or(cache),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_are_all_there_and_none_is_refreshed() {
        let dir = tempfile::tempdir().unwrap();
        let services = dir.path().join("theirs");
        let theirs = format!("[main]\nservicesdir = {}\n", services.display());
        let added = || OwnSettings.added(KEPT_SERVICES, &theirs, dir.path()).unwrap();
        assert_eq!(added(), "", "without services nothing is set");
        std::fs::create_dir(&services).unwrap();
        std::fs::write(services.join("a.service"), "[a]\nautorefresh = 1\nurl=http://x/\n").unwrap();
        std::fs::write(services.join("b"), "# more\n [b]\nenabled=0").unwrap();
        std::fs::write(services.join(".c.swp"), b"b0VIM\xff").unwrap();
        let copies = dir.path().join("services.d");
        assert_eq!(added(), format!("[main]\nservicesdir = {}\n", copies.display()));
        let text = std::fs::read_to_string(copies.join("all")).unwrap();
        assert_eq!(text, "[a]\nautorefresh=0\nurl=http://x/\n# more\n [b]\nautorefresh=0\nenabled=0\n");
        let mode = std::os::unix::fs::PermissionsExt::mode(&copies.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700, "an address may have a password");
        // One that is missing in the copy would cost its repositories.
        for bad in [&b"[c]\nname=\xff\n"[..], b"", b"# nothing yet\n"] {
            std::fs::write(services.join("c.service"), bad).unwrap();
            assert_eq!(added(), "", "{bad:?}");
        }
        std::fs::remove_file(services.join("c.service")).unwrap();
        assert_ne!(added(), "");
        std::os::unix::fs::symlink("/nowhere", services.join("c.service")).unwrap();
        assert_eq!(added(), "");
        for relative in ["configdir = etc\n", "servicesdir = etc\n", "configdir = /etc\nservicesdir = x\n"] {
            assert_eq!(super::services(relative), None, "{relative}");
        }
        assert_eq!(super::services("configdir = etc\nservicesdir = /nowhere\n"), Some(Vec::new()));
    }

    #[test]
    fn the_administrators_own_place_of_locks_is_found() {
        assert_eq!(OwnSettings.base("# locksfile.path = /x\n[main]\nmultiversion = a\n"), None);
        assert_eq!(OwnSettings.base("[main]\n locksfile.path=/a\nlocksfile.path = /b \n"), Some("/b".into()));
        assert_eq!(OwnSettings.base("locksfile.path = /b\nlocksfile.apply = No\n"), Some("/dev/null".into()));
    }

    #[test]
    fn what_settings_put_elsewhere_is_found() {
        assert_eq!(elsewhere("# cachedir = /x\n[main]\nreposdir = repos\n"), Elsewhere::default());
        let found = elsewhere("cachedir = /c\nconfigdir = /e\nreposdir=/r\nsolvfilesdir=/s\n");
        assert_eq!(found.cache, Some("/c/raw".into()));
        let numbered = ["/r/[!.]*.repo_[0-9]", "/r/[!.]*.repo_[0-9][0-9]"];
        assert_eq!(
            found.sources,
            ["/r/*.repo", numbered[0], numbered[1], "/e/services.d/[!.]*", "/e/vars.d"]
        );
        assert_eq!(found.index, ["/e/vendors.d/[!.]*", "/e/multiversion.d", "/s/[!@]*", "/s/@[!S]*"]);
        assert_eq!(found.rules, ["/e/multiversion.d"]);
        let found = elsewhere("history.logfile=/h\nmultiversiondir = /m\n");
        assert_eq!((found.history, &*found.rules), (Some("/h".into()), &["/m".to_string()][..]));
    }
}
