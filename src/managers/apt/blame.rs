//! The file and line that apt complains about without naming them.

use super::commands::setting;
use crate::system::files::paths_in;
use std::path::{Path, PathBuf};

/// As `FILE:LINE`, given apt's message and where its configuration is.
pub fn place_of(message: &str, configuration: &str) -> Option<String> {
    let place = |name: &str, usual: &str| PathBuf::from(setting(configuration, name).unwrap_or(usual));
    let (file, dir, end, find): (_, _, _, fn(&str) -> Option<usize>) = if message.starts_with("No priority") {
        let dir = place("PREFERENCEPARTS", "/etc/apt/preferences.d");
        (place("PREFERENCES", "/etc/apt/preferences"), dir, "pref", pin_without_priority)
    } else if message.contains("for APT::Default-Release") {
        (place("MAIN", "/etc/apt/apt.conf"), place("PARTS", "/etc/apt/apt.conf.d"), "conf", default_release)
    } else {
        return None;
    };
    let files = std::iter::once(file).chain(parts(&dir, end));
    files.into_iter().find_map(|file| {
        let text = std::fs::read(&file).ok()?;
        let line = find(&String::from_utf8_lossy(&text))?;
        Some(format!("{}:{line}", file.display()))
    })
}

/// The files of a directory that apt reads: those with this extension or none.
pub(super) fn parts(dir: &Path, end: &str) -> Vec<PathBuf> {
    let is_read = |path: &PathBuf| path.extension().is_none_or(|found| found == end);
    paths_in(dir).into_iter().filter(is_read).collect()
}

/// The line of the first record of apt_preferences(5) with a pin and without a priority.
fn pin_without_priority(text: &str) -> Option<usize> {
    let (mut pin, mut number, mut priority) = (None, None, 0);
    for (at, line) in text.lines().chain([""]).enumerate() {
        if line.trim().is_empty() {
            if pin.is_some() && priority == 0 {
                return number.or(pin);
            }
            (pin, number, priority) = (None, None, 0);
        }
        let Some((field, value)) = line.split_once(':') else { continue };
        if field.eq_ignore_ascii_case("Pin") {
            pin = Some(at + 1);
        } else if field.eq_ignore_ascii_case("Pin-Priority") {
            number = Some(at + 1);
            priority = value.trim().parse().unwrap_or(0);
        }
    }
    None
}

fn default_release(text: &str) -> Option<usize> {
    text.lines().position(|line| line.contains("Default-Release")).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_pin_without_a_priority_is_found() {
        let good = "Package: a\nPin: version 1\nPin-Priority: 5\n\n";
        for (record, line) in [
            ("Package: b\nPin: version 1\nPin-Priority: x\n", Some(7)),
            ("Package: b\nPin: version 1\n", Some(6)),
            ("Package: b\nPin: version 1\npin-priority: 0\n\nPackage: c\n", Some(7)),
            ("Explanation: nothing\n", None),
            ("Package: b\nPin: version 1\nPin-Priority: -1", None),
        ] {
            assert_eq!(pin_without_priority(&format!("{good}{record}")), line, "{record}");
        }
    }

    #[test]
    fn the_file_is_named_where_apts_configuration_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::create_dir(path("parts")).unwrap();
        for (name, text) in [
            ("parts/a.pref", "Package: a\nPin: version 1\nPin-Priority: 1\n"),
            ("parts/b.save", "Package: b\nPin: version 1\n"),
            ("parts/c", "\nPackage: c\nPin: version 1\n"),
        ] {
            std::fs::write(path(name), text).unwrap();
        }
        let configuration = format!("PREFERENCES='{}'\nPREFERENCEPARTS='{}/'\n", path("none"), path("parts"));
        let found = place_of("No priority (or zero) specified for pin", &configuration);
        assert_eq!(found, Some(format!("{}:3", path("parts/c"))));
        assert_eq!(place_of("Something else", &configuration), None);
    }
}
