//! Reading what pacman lists: pending updates, the packages of an upgrade.

use crate::model::listing::Listing;
use crate::model::updates::{HeldBack, KEPT_BACK, Update};
use crate::system::process::{End, Finished};

/// Reads `pacman -Qu`: every newer version, whether an upgrade would install it or not.
///
/// ```text
/// tb-hello 1.0-1 -> 2.0-1
/// tb-sec 1.0-1 -> 2.0-1 [ignored]
/// ```
pub fn newer(stdout: &str) -> Vec<HeldBack> {
    let rows = stdout.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (row, reason) = match words[..] {
            [.., "[ignored]"] => (&words[..words.len() - 1], "held"),
            _ => (&words[..], KEPT_BACK),
        };
        let [name, installed, "->", candidate] = row[..] else { return None };
        Some(HeldBack::listed(name, Some(installed), candidate, reason))
    });
    rows.collect()
}

/// Reads the replacements that are ignored, by the old or by the new package. `-Qu` does not list them.
///
/// ```text
/// warning: ignoring package replacement (tb-old-1.0-1 => tb-new-1.0-1)
/// ```
pub fn ignored_replacements(stderr: &str) -> Vec<HeldBack> {
    let pairs = stderr.lines().filter_map(|line| {
        let pair = line.strip_prefix("warning: ignoring package replacement (")?.strip_suffix(')')?;
        let mut parts = pair.split_once(" => ")?.1.rsplitn(3, '-');
        let (release, version, name) = (parts.next()?, parts.next()?, parts.next()?);
        Some(HeldBack::listed(name, None, format!("{version}-{release}"), "held"))
    });
    // One package may replace several.
    let mut found: Vec<HeldBack> = Vec::new();
    pairs.for_each(|held| {
        if !found.contains(&held) {
            found.push(held)
        }
    });
    found
}

fn update(name: &str, installed: Option<&str>, candidate: &str, source: Option<&str>) -> Update {
    Update {
        name: name.to_string(),
        installed: installed.map(str::to_owned),
        candidate: candidate.to_string(),
        source: source.map(str::to_owned),
        ..Update::default()
    }
}

/// Reads `-Sup --print-format '%n %v %r'`, which lists what an upgrade would install. `-Qu` does not list replacements,
/// and counts packages of repositories that may only be searched. Questions, providers to choose from and what is left
/// out stand between the lines.
pub fn plan(stdout: &str) -> Listing {
    let is_question = |line: &str| line.starts_with([' ', ':']) || line.starts_with("Enter a ");
    let rows = stdout.lines().filter(|line| !line.trim().is_empty() && !is_question(line));
    let updates = rows.filter(|line| !line.ends_with("...")).map(|line| {
        let words: Vec<_> = line.splitn(3, ' ').collect();
        match words[..] {
            [name, version, source] if is_version(version) => update(name, None, version, Some(source)),
            // A line that is not understood may be an update: then the list is not used.
            _ => update(&format!("({line})"), None, "", None),
        }
    });
    Listing { updates: updates.collect(), ..Listing::default() }
}

/// `1:2.0-1`: pkgver and pkgrel, neither of which contains a hyphen.
fn is_version(text: &str) -> bool {
    let mut parts = text.split('-');
    let part = |part: Option<&str>| part.is_some_and(|part| !part.is_empty());
    part(parts.next()) && part(parts.next()) && parts.next().is_none()
}

/// The packages that pacman says it will change; an empty list where there is nothing to do, `None` where it did not
/// come so far. With VerbosePkgLists they are a table.
///
/// ```text
/// Packages (3) tb-hello-2.0-1  tb-old-1.0-1 [removal]  tb-new-1.0-1
///
/// Package (2)     Old Version  New Version  Net Change  Download Size
///
/// base/tb-hello   1.0-1        2.0-1          0.00 MiB       0.02 MiB
/// base/tb-new                  1.0-1          0.02 MiB       0.02 MiB
/// tb-old          1.0-1                      -0.02 MiB
/// ```
pub fn table(stdout: &str) -> Option<Listing> {
    let mut lines = stdout.lines();
    let head = lines.by_ref().find(|line| {
        *line == " there is nothing to do" || line.starts_with("Packages (") || line.starts_with("Package (")
    })?;
    if head.starts_with(' ') {
        return Some(Listing::default());
    }
    if head.starts_with("Package (") {
        let columns = head.find("Old Version").zip(head.find("New Version")).zip(head.find("Net Change"));
        let ((old, new), net) = columns?;
        let rows = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
        let mut listing = Listing::default();
        for row in rows {
            let cell = |from: usize, to: usize| row.get(from..to).map(str::trim).unwrap_or_default();
            add(&mut listing, cell(0, old), cell(old, new), cell(new, net))?;
        }
        return Some(listing);
    }
    let (_, first) = head.split_once(')')?;
    let more = lines.take_while(|line| !line.is_empty());
    let words: Vec<_> = std::iter::once(first).chain(more).flat_map(str::split_whitespace).collect();
    let mut listing = Listing::default();
    for (nth, word) in words.iter().enumerate().filter(|(_, word)| **word != "[removal]") {
        let mut parts = word.rsplitn(3, '-');
        let (release, version, name) = (parts.next()?, parts.next()?, parts.next()?);
        let version = format!("{version}-{release}");
        match words.get(nth + 1) {
            Some(&"[removal]") => listing.removals.push((name.to_string(), Some(version))),
            _ => listing.updates.push(update(name, None, &version, None)),
        }
    }
    Some(listing)
}

/// A row of the table. A package that is removed has no new version.
fn add(listing: &mut Listing, name: &str, old: &str, new: &str) -> Option<()> {
    let (source, name) = name.split_once('/').map_or((None, name), |(source, name)| (Some(source), name));
    let old = Some(old).filter(|old| !old.is_empty());
    match (is_version(new), old) {
        (true, _) => listing.updates.push(update(name, old, new, source)),
        (false, Some(_)) => listing.removals.push((name.to_string(), old.map(str::to_owned))),
        (false, None) => return None,
    }
    Some(())
}

/// Reads `pacman -Qmq`, which exits with 1 where there is none.
pub fn not_offered(answer: &Finished) -> Option<Vec<String>> {
    let is_told = matches!(answer.end, End::Code(0 | 1))
        && !answer.stderr.lines().any(|line| line.starts_with("error"));
    is_told.then(|| answer.stdout.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listing: &Listing) -> Vec<String> {
        let row = |update: &Update| format!("{} {}", update.name, update.candidate);
        listing.updates.iter().map(row).collect()
    }

    #[test]
    fn what_is_ignored_is_held_back() {
        let rows = newer("tb-hello 1.0-1 -> 2.0-1 [ignored]\ntb-sec 1:1.0-1 -> 1:2.0-1\nx\n");
        let told: Vec<_> = rows.iter().map(|held| (held.name.as_str(), held.reason.as_str())).collect();
        assert_eq!(told, [("tb-hello", "held"), ("tb-sec", "kept back")]);
        assert_eq!(rows[1].candidate.as_deref(), Some("1:2.0-1"));
    }

    #[test]
    fn an_ignored_replacement_is_held_back_once() {
        let text = "warning: ignoring package replacement (tb-a-1.0-1 => tb-a-new-1:1.0-1)\n\
                    warning: ignoring package replacement (tb-b-1.0-1 => tb-a-new-1:1.0-1)\n\
                    warning: tb-c: ignoring package upgrade (1.0-1 => 2.0-1)\n:: Proceed with download? [Y/n] \n";
        let rows = ignored_replacements(text);
        let told: Vec<_> = rows.iter().map(|held| (held.name.as_str(), held.candidate.as_deref())).collect();
        assert_eq!(told, [("tb-a-new", Some("1:1.0-1"))]);
        assert_eq!((rows[0].reason.as_str(), &rows[0].installed), ("held", &None));
    }

    #[test]
    fn packages_that_come_and_go_are_read_from_the_list_over_several_lines() {
        let text = ":: Replace tb-rep with extra/tb-repl? [Y/n] \nresolving dependencies...\n\nPackages (4) tb-a-b-1:2.0-1  tb-rep-1.0-1 [removal]\n             tb-repl-3-1  lib32-x.y-2.r3.gabc-1.1\n\nTotal Download Size:  0.00 MiB\n";
        let listing = table(text).unwrap();
        assert_eq!(names(&listing), ["tb-a-b 1:2.0-1", "tb-repl 3-1", "lib32-x.y 2.r3.gabc-1.1"]);
        assert_eq!(listing.removals, [("tb-rep".to_string(), Some("1.0-1".to_string()))]);
    }

    #[test]
    fn the_table_of_verbose_package_lists_is_read_too() {
        let text = "Package (3)       Old Version  New Version  Net Change\n\nbase/tb-hello     1.0-1        2.0-1          0.00 MiB\nextra/tb-new                   1.0-1          0.02 MiB\ntb-old            1.0-1                      -0.02 MiB\n\nTotal Installed Size:  0.06 MiB\n";
        let listing = table(text).unwrap();
        assert_eq!(names(&listing), ["tb-hello 2.0-1", "tb-new 1.0-1"]);
        assert_eq!(listing.removals, [("tb-old".to_string(), Some("1.0-1".to_string()))]);
    }

    #[test]
    fn nothing_to_do_is_an_empty_list_and_silence_is_none() {
        assert_eq!(
            table(":: Starting full system upgrade...\n there is nothing to do\n"),
            Some(Listing::default())
        );
        assert_eq!(table(":: Starting full system upgrade...\nresolving dependencies...\n"), None);
    }

    #[test]
    fn a_plan_has_the_source_of_each_package() {
        let text = ":: Replace tb-rep with extra/tb-repl? [Y/n] \n:: There are 2 providers available for tb-v:\n\
                    :: Repository test\n   1) tb-p1  2) tb-p2\n\nEnter a number (default=1): \n\
                    tb-hello 2.0-1 core\ntb-p1 1:1.0-1 my own\n";
        let listing = plan(text);
        assert_eq!(names(&listing), ["tb-hello 2.0-1", "tb-p1 1:1.0-1"]);
        let sources: Vec<_> = listing.updates.iter().flat_map(|update| update.source.as_deref()).collect();
        assert_eq!(sources, ["core", "my own"]);
    }

    #[test]
    fn a_line_that_is_not_understood_makes_the_list_none() {
        for text in
            ["tb-hello 2.0 core\n", "tb-hello\n", "tb-a 1-1 x\n\x1b[1mtb-b 1-1 x\n", "file:///x/tb-a.pkg\n"]
        {
            assert!(plan(text).checked().is_err(), "{text}");
        }
    }
}
