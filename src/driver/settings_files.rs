//! The files of the administrator's settings.

use crate::managers::{Elsewhere, Settings};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::system::files::{globbed, with_extension_in};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The text of files, and of the files `*.repo` in directories, by name. A file that does not exist or cannot be read
/// says nothing to the manager either. Files in other directories, which the first files name, come last.
pub fn text_of(places: &[&str], elsewhere: &dyn Fn(&str) -> Elsewhere) -> String {
    let text = text_in(places);
    let others = elsewhere(&text).sources;
    text + &text_in(&strs(&others))
}

/// The files that a configuration includes, and those that these include in turn.
pub(super) fn included(main: &str, includes: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut named: Vec<String> = Vec::new();
    let mut files = vec![PathBuf::from(main)];
    // No configuration has more; some include themselves.
    while let Some(file) = files.pop().filter(|_| named.len() < 100) {
        let text = theirs(&file).ok().flatten().unwrap_or_default();
        for path in includes(&String::from_utf8_lossy(&text)) {
            if !named.contains(&path) {
                files.extend(globbed(&path));
                named.push(path);
            }
        }
    }
    named
}

/// A file of the administrator's, if it exists.
pub fn theirs(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let text = format!("could not read {}: {error}", path.display());
            Err(Failure::new(Class::Config, text))
        }
    }
}

/// All settings that the manager would read without ours, in its own order.
pub fn administrators(settings: &dyn Settings) -> Result<String, Failure> {
    let named = std::env::var_os(settings.variable()).map(PathBuf::from);
    let files: Vec<PathBuf> = match named {
        Some(file) => vec![file],
        None => {
            let main = settings.files().iter().map(PathBuf::from).find(|file| file.exists());
            let more = settings.directories().iter().flat_map(|dir| with_extension_in(dir, "conf"));
            let by_name: BTreeMap<_, _> =
                more.map(|path| (path.file_name().map(OsString::from), path)).collect();
            main.into_iter().chain(by_name.into_values()).collect()
        }
    };
    let mut all = String::new();
    for file in files {
        all.push_str(&String::from_utf8_lossy(&theirs(&file)?.unwrap_or_default()));
        all.push('\n');
    }
    Ok(all)
}

fn text_in(places: &[&str]) -> String {
    let in_order = |place: &&str| {
        if Path::new(place).is_dir() { with_extension_in(place, "repo") } else { vec![PathBuf::from(place)] }
    };
    let files = places.iter().flat_map(in_order).filter(|path| path.is_file());
    let texts = files.filter_map(|path| std::fs::read(path).ok());
    texts.map(|text| String::from_utf8_lossy(&text).into_owned() + "\n").collect()
}

pub(super) fn strs(paths: &[String]) -> Vec<&str> {
    paths.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_files_and_directories_is_read_in_order_and_what_is_missing_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::create_dir(path("repos")).unwrap();
        for (name, text) in [
            ("main", "[main]"),
            ("repos/b.repo", "[b]\n"),
            ("repos/a.repo", "[a]"),
            ("repos/a.repo.save", "[x]"),
        ] {
            std::fs::write(path(name), text).unwrap();
        }
        let places = [path("none"), path("main"), path("repos")];
        assert_eq!(text_in(&places.each_ref().map(String::as_str)), "[main]\n[a]\n[b]\n\n");
    }
}
