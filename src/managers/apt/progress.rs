//! Reading apt's progress lines. An item is one file that is fetched.

use super::commands::UPDATE_BEGINS;
use std::collections::{HashMap, HashSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `Get:`, printed when it begins.
    Got,
    /// `Hit:`: it has not changed.
    Hit,
    /// `Ign:`: optional, or tried again later under the same number.
    Ignored,
    /// `Err:`.
    Failed,
}

/// A list of mirrors, which is no file of a source.
pub const MIRRORS: &str = "Mirrorlist";

/// One file. It keeps its number whatever mirror or redirect it comes from.
#[derive(Debug)]
pub struct Item<'a> {
    /// URI and place (`stable`, `stable/main`, `./`) in each of its lines, the last line last.
    pub names: Vec<(&'a str, &'a str)>,
    /// `InRelease`, `Packages`, `Translation-en` and the like.
    pub what: &'a str,
    /// What its last line says, which decides.
    pub last: Kind,
    /// Whether any line says that it was fetched or is unchanged. If apt ignores it afterwards that is no failure: apt
    /// does so with a signature that it cannot check, where the source is trusted anyway.
    pub arrived: bool,
    /// Why it failed.
    pub reason: String,
}

impl Item<'_> {
    /// Whether it is a Release file or its signature: a source has one of each.
    pub fn is_release(&self) -> bool {
        matches!(self.what, "InRelease" | "Release" | "Release.gpg")
    }
}

/// Reads lines like these; the indented ones give the reason:
///
/// ```text
/// Get:4 http://127.0.0.1:8080 stable/main amd64 Packages [224 B]
/// Err:2 http://127.0.0.2:8080 stable Release
///   404  X [IP: 127.0.0.2 8080]
/// ```
pub fn items(stdout: &str) -> Vec<Item<'_>> {
    items_with(stdout, &|_| true)
}

/// A line that may be apt's.
pub struct Line<'a> {
    /// What it says.
    pub kind: Kind,
    /// What the one before it with this number says.
    pub before: Option<Kind>,
    /// The first URI of its number.
    pub first: &'a str,
    /// Its own.
    pub uri: &'a str,
}

/// The same with some of the lines.
pub fn items_with<'a>(stdout: &'a str, is_taken: &dyn Fn(&Line) -> bool) -> Vec<Item<'a>> {
    let stdout = own_lines(stdout);
    let mut items: Vec<Item> = Vec::new();
    let mut places = HashMap::new();
    let mut firsts: Vec<&str> = Vec::new();
    let mut failed: Option<usize> = None;
    for line in stdout.split(['\n', '\r']) {
        if let (Some(at), Some(detail)) = (failed, line.strip_prefix("  ")) {
            let reason = &mut items[at].reason;
            reason.push_str(if reason.is_empty() { "" } else { " " });
            reason.push_str(detail.trim());
            continue;
        }
        failed = None;
        let Some((kind, number, text)) = progress_line(line) else { continue };
        let Some((uri, place, what)) = name_of(text) else { continue };
        let known = places.get(&number).map(|at: &usize| (firsts[*at], items[*at].last));
        let (first, before) = known.map_or((uri, None), |(first, last)| (first, Some(last)));
        if !is_taken(&Line { kind, before, first, uri }) {
            continue;
        }
        let at = *places.entry(number).or_insert_with(|| {
            let names = Vec::new();
            firsts.push(uri);
            items.push(Item { names, what, last: kind, arrived: false, reason: String::new() });
            items.len() - 1
        });
        let item = &mut items[at];
        item.names.retain(|name| *name != (uri, place));
        item.names.push((uri, place));
        item.last = kind;
        item.arrived |= matches!(kind, Kind::Got | Kind::Hit);
        if kind == Kind::Failed {
            item.reason.clear();
            failed = Some(at);
        }
    }
    items
}

/// What stands behind the words of the hooks that run before an update.
fn own_lines(stdout: &str) -> &str {
    stdout.rsplit_once(UPDATE_BEGINS).map_or(stdout, |(_, own)| own)
}

/// The URIs of which a line says that something failed.
pub fn failed_uris(stdout: &str) -> impl Iterator<Item = &str> {
    let lines = own_lines(stdout).split(['\n', '\r']).filter_map(progress_line);
    lines.filter(|(kind, ..)| *kind == Kind::Failed).filter_map(|(_, _, text)| Some(name_of(text)?.0))
}

/// How many numbers have no line. If several sources lead to the same file apt fetches it once, and prints no line for
/// the sources that come to it meanwhile.
pub fn unprinted(stdout: &str) -> usize {
    let numbers =
        own_lines(stdout).split(['\n', '\r']).filter_map(progress_line).map(|(_, number, _)| number);
    let numbers: HashSet<_> = numbers.collect();
    let most = numbers.iter().max().map_or(0, |most| *most as usize);
    most.saturating_sub(numbers.len())
}

fn progress_line(line: &str) -> Option<(Kind, u32, &str)> {
    let (kind, rest) = line.split_once(':')?;
    let kind = match kind {
        "Get" => Kind::Got,
        "Hit" => Kind::Hit,
        "Ign" => Kind::Ignored,
        "Err" => Kind::Failed,
        _ => return None,
    };
    let (number, item) = rest.split_once(' ')?;
    Some((kind, number.parse().ok()?, item))
}

/// URI, place and kind of an item: `URI SUITE InRelease` or `URI SUITE/COMPONENT ARCHITECTURE Packages [SIZE]`. The URI
/// may hold spaces (a cdrom's, `file:/media/my%20disk`), so the rest is read from the end. The flat repository `/` is
/// written as nothing between two spaces.
fn name_of(item: &str) -> Option<(&str, &str, &str)> {
    let size = item.rfind(" [").filter(|_| item.ends_with(']'));
    let item = item[..size.unwrap_or(item.len())].trim_end();
    let (rest, what) = item.rsplit_once(' ')?;
    let (uri, place) = match what {
        MIRRORS => (rest, ""),
        "Packages" => {
            let (before, last) = rest.rsplit_once(' ')?;
            if last.is_empty() || last.ends_with('/') { (before, last) } else { before.rsplit_once(' ')? }
        }
        "InRelease" | "Release" | "Release.gpg" | "Sources" => rest.rsplit_once(' ')?,
        _ if what.starts_with("Translation-") => rest.rsplit_once(' ')?,
        _ => {
            let (uri, rest) = rest.split_once(' ')?;
            (uri, rest.split(' ').next().unwrap_or_default())
        }
    };
    Some((uri.trim_end_matches('/'), place, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_all_the_names_of_its_lines_and_the_last_one_decides() {
        let text = "Get:1 file:/etc/apt/mirrors.txt Mirrorlist [44 B]\nIgn:2 http://m1 s InRelease\nErr:2 http://m2 s InRelease\n\
                    \x20 Could not connect\n  503  X\nGet:3 http://h s/main amd64 Packages [9,352 kB]\n\
                    Get:4 cdrom:[Debian 12]/ s Release [1 B]\nHit:5 http://h/deb  InRelease\n";
        let items = items(text);
        assert_eq!(items.len(), 5);
        let items = &items[1..];
        assert_eq!(items[0].names, [("http://m1", "s"), ("http://m2", "s")]);
        assert_eq!((items[0].last, &*items[0].reason), (Kind::Failed, "Could not connect 503  X"));
        assert_eq!((items[1].names[0], items[1].what), (("http://h", "s/main"), "Packages"));
        assert_eq!((items[2].names[0], items[2].what), (("cdrom:[Debian 12]", "s"), "Release"));
        assert_eq!(items[3].names, [("http://h/deb", "")]);
    }

    #[test]
    fn what_decides_is_read_from_the_end() {
        for (line, name) in [
            (
                "cdrom://[Debian 12 _B_ - DVD] bookworm Release",
                ("cdrom://[Debian 12 _B_ - DVD]", "bookworm", "Release"),
            ),
            ("cdrom:[Debian 12]/ s/main amd64 Packages [9 B]", ("cdrom:[Debian 12]", "s/main", "Packages")),
            ("file:/media/my disk stable InRelease [9 B]", ("file:/media/my disk", "stable", "InRelease")),
            (
                "file:/media/my disk s/main amd64 Packages [9 B]",
                ("file:/media/my disk", "s/main", "Packages"),
            ),
            ("file:/media/my disk ./ Packages", ("file:/media/my disk", "./", "Packages")),
            ("http://h/deb  Packages", ("http://h/deb", "", "Packages")),
            ("http://h s/main Sources [1,024 B]", ("http://h", "s/main", "Sources")),
            ("http://h s/main Translation-en", ("http://h", "s/main", "Translation-en")),
            ("http://h s/main amd64 DEP-11 Metadata [9 B]", ("http://h", "s/main", "Metadata")),
            ("http://h s/main amd64 Packages 2026-1.pdiff [9 B]", ("http://h", "s/main", "2026-1.pdiff")),
            ("file:/etc/apt/mirrors.txt Mirrorlist [40 B]", ("file:/etc/apt/mirrors.txt", "", "Mirrorlist")),
        ] {
            assert_eq!(name_of(line), Some(name), "{line}");
        }
    }
}
