//! What dnf 4 and yum read of their own configuration: a file with a main section, and the files of the repositories.

use super::files::is_no;
use super::tables::{Setting, settings};
use crate::managers::facts::Elsewhere;
use crate::model::text::one_line;

/// The settings of the main section: name and value.
pub fn main_of(settings: &[Setting]) -> impl Iterator<Item = (&str, &str)> {
    let main = settings.iter().filter(|setting| setting.section == "main");
    main.map(|setting| (setting.name.as_str(), setting.value.as_str()))
}

/// Where the main section puts repositories and variables, if not in the usual places.
pub fn elsewhere(text: &str, usual: &[&str]) -> Elsewhere {
    let is_usual = |dir: &str| usual.iter().any(|usual| usual.trim_end_matches("/*.repo") == dir);
    let settings = settings(text);
    let places = main_of(&settings).filter(|(name, _)| matches!(*name, "reposdir" | "varsdir"));
    let paths = places
        .flat_map(|(_, value)| value.split([',', ' ', '\t']))
        .map(|path| path.trim_end_matches('/'))
        .filter(|path| path.starts_with('/') && !is_usual(path));
    Elsewhere { sources: paths.map(str::to_owned).collect(), ..Elsewhere::default() }
}

/// The repositories that are enabled.
pub fn enabled(text: &str) -> Vec<String> {
    let settings = settings(text);
    let is_off = |setting: &&Setting| setting.name == "enabled" && is_no(&setting.value);
    let off: Vec<_> = settings.iter().filter(is_off).map(|setting| &setting.section).collect();
    let ids = settings.iter().map(|setting| &setting.section);
    let ids = ids.filter(|id| !["main", ""].contains(&id.as_str()) && !off.contains(id));
    let mut ids: Vec<_> = ids.map(|id| one_line(id)).collect();
    ids.sort();
    ids.dedup();
    ids
}
