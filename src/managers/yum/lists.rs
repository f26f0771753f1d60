//! Reading what yum lists: pending updates, the table of a transaction, repositories.

use crate::managers::rpm::names::{listed_name, parts_of_nevra};
use crate::managers::rpm::tables::{self, Section};
use crate::managers::rpm::{update, with_obsoleting};
use crate::model::listing::Listing;
use crate::model::updates::{HeldBack, Update};
use std::collections::HashSet;

/// Reads `check-update`, alone or among the answers of a refresh. A row that is too long for the columns goes on in the
/// next line. The last section says which packages obsolete others, and so replace them.
///
/// ```text
/// kernel.x86_64                                                   3.11-1 base
/// tb-a-package-with-a-very-long-name-that-no-column-can-hold-at-all.noarch
///                                                                 2.0-1  base
/// Obsoleting Packages
/// tb-new.noarch                                                   1.0-1  base
///     tb-old.noarch                                               1.0-1  installed
/// ```
pub fn pending(stdout: &str) -> Listing {
    let mut updates: Vec<Update> = Vec::new();
    let mut obsoleting: Vec<Update> = Vec::new();
    let mut obsoleted: Vec<String> = Vec::new();
    let mut in_obsoletes = false;
    let mut is_old = false;
    let mut row: Vec<&str> = Vec::new();
    // No empty line stands above them where there is no other update.
    const OBSOLETES: &str = "Obsoleting Packages";
    for line in stdout.lines().skip_while(|line| !line.is_empty() && *line != OBSOLETES) {
        in_obsoletes |= line == OBSOLETES;
        if row.is_empty() || !line.starts_with(' ') {
            is_old = in_obsoletes && line.starts_with(' ');
            row.clear();
        }
        row.extend(line.split_whitespace());
        let [package, version, source] = row[..] else {
            // Only a package name stands alone in the first line of its row.
            if row.len() > 2 || row.first().is_none_or(|package| !package.contains('.')) {
                row.clear();
            }
            continue;
        };
        row.clear();
        // The answers of `repolist` begin so too.
        let Some((name, arch)) = package.rsplit_once('.').filter(|(name, _)| is_name(name)) else { continue };
        if is_old {
            let old = listed_name(name, arch);
            if let Some(new) = obsoleting.last_mut().filter(|new: &&mut Update| new.name != old) {
                new.replaces.push(old.clone());
            }
            obsoleted.push(old);
        } else if in_obsoletes {
            obsoleting.push(update(name, arch, version, source));
        } else {
            updates.push(update(name, arch, version, source));
        }
    }
    Listing { updates: with_obsoleting(updates, obsoleting, obsoleted), ..Listing::default() }
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

fn section(headline: &str) -> Section {
    let starts = |words: &[&str]| words.iter().any(|word| headline.starts_with(word));
    if starts(&["Installing", "Updating", "Downgrading"]) {
        Section::Comes
    } else if starts(&["Removing"]) {
        Section::Goes
    } else {
        // Where there is a table, what is skipped stands above it too.
        Section::Unread
    }
}

/// Reads the table of a transaction, and what yum says above it of packages that it skips.
///
/// ```text
/// Packages skipped because of dependency problems:
///     tb-world-2.0-1.noarch from base
///
/// Dependencies Resolved
/// ```
///
/// What it counts below the table must have been read:
///
/// ```text
/// Transaction Summary
/// ================================================================================
/// Install  2 Packages (+1 Dependent package)
/// Upgrade             ( 1 Dependent package)
/// Skipped (dependency problems)  1 Package
/// ```
pub fn transaction(stdout: &str) -> Listing {
    let table = tables::table(stdout, "Dependencies Resolved", section);
    let mut listing = Listing { held_back: skipped(stdout), ..table.listing };
    let summary = stdout.lines().skip_while(|line| *line != "Transaction Summary").skip(2);
    let counts = summary.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("Skipped "));
    let numbers =
        counts.flat_map(|line| line.split([' ', '(', '+']).filter_map(|word| word.parse::<usize>().ok()));
    listing.compare("yum", numbers.sum(), table.rows);
    listing
}

/// `    1:tb-world-2.0-1.noarch from base`; the epoch only where there is one.
fn skipped(stdout: &str) -> Vec<HeldBack> {
    let lines = stdout.lines().skip_while(|line| *line != "Packages skipped because of dependency problems:");
    let rows = lines.skip(1).take_while(|line| line.starts_with("    "));
    let read = rows.filter_map(|line| {
        let package = line.split_whitespace().next()?;
        let (name, version, arch) = parts_of_nevra(package)?;
        let (epoch, name) = name.split_once(':').map_or(("", name), |(epoch, name)| (epoch, name));
        let colon = if epoch.is_empty() { "" } else { ":" };
        Some(tables::stays(name, arch, &format!("{epoch}{colon}{version}"), "its dependencies cannot be met"))
    });
    read.collect()
}

/// A repository as `repolist` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// Its identifier, without the parts that yum adds for release and architecture.
    pub id: String,
    /// Whether it is enabled; `repolist disabled` does not say it.
    pub is_on: Option<bool>,
    /// Its addresses, as far as yum names them.
    pub urls: Vec<String>,
    /// How many more there are.
    pub more: usize,
    /// Where the list of its addresses comes from.
    pub mirrors: Option<String>,
    /// Whether yum has ever had an index of it.
    pub has_index: bool,
}

/// Reads the answers of `repolist`. A value that is too long for a line goes on in the next, behind a colon.
///
/// ```text
/// Repo-id      : base/7/x86_64
/// Repo-name    : base packages
/// Repo-status  : enabled
/// Repo-baseurl : http://127.0.7.11:8080/7/x86_64/
/// Repo-expire  : Instant (last: Sun Nov 22 03:45:42 2026)
/// ```
pub fn repositories(stdout: &str) -> Vec<Repository> {
    let mut found: Vec<Repository> = Vec::new();
    let mut bases: Vec<String> = Vec::new();
    let mut key = "";
    for line in stdout.lines() {
        let Some((word, value)) = line.split_once(": ") else {
            key = "";
            continue;
        };
        if !word.trim().is_empty() {
            key = word.trim();
        }
        if key == "Repo-id" {
            let id = value.split('/').next().unwrap_or(value).trim();
            found.push(Repository { id: id.to_string(), ..Repository::default() });
            bases.push(String::new());
            key = "";
            continue;
        }
        let (Some(repository), Some(base)) = (found.last_mut(), bases.last_mut()) else { continue };
        match key {
            "Repo-status" => repository.is_on = Some(value.trim() == "enabled"),
            // It is wrapped at any blank, also before and in `(9 more)`.
            "Repo-baseurl" => {
                base.push(' ');
                base.push_str(value.trim());
            }
            "Repo-mirrors" | "Repo-metalink" => {
                repository.mirrors.get_or_insert_with(String::new).push_str(value.trim());
            }
            "Repo-expire" => repository.has_index |= value.contains("(last: ") && !value.contains("Unknown"),
            _ => {}
        }
    }
    for (repository, base) in found.iter_mut().zip(bases) {
        let (urls, more) = base.rsplit_once(" (").unwrap_or((&base, ""));
        let named = urls.split(',').map(str::trim).filter(|url| !url.is_empty());
        // A mirror that is listed twice is asked once.
        let mut seen = HashSet::new();
        repository.urls = named.filter(|url| seen.insert(*url)).map(str::to_owned).collect();
        repository.more = more.split(' ').next().and_then(|more| more.parse().ok()).unwrap_or(0);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_wrapped_are_rows() {
        let text = "updates time: 0.1\n\nkernel.x86_64    3.11-1 base\ntb-long.noarch\n      1:2.0-1.with.a.very.long.release\n      base\nObsoleting Packages\ntb-new.noarch 1.0-1 base\n    tb-old.noarch 1.0-1 installed\n    tb-long-old.noarch\n         1.0-1  installed\nupdateinfo time: 0.001\nRepo-id      : base.x/7\nRepo-baseurl : http://x/\n";
        let updates = pending(text).updates;
        let read: Vec<_> = updates.iter().map(|u| (u.name.as_str(), u.candidate.as_str())).collect();
        let long = "1:2.0-1.with.a.very.long.release";
        assert_eq!(read, [("kernel", "3.11-1"), ("tb-long", long), ("tb-new", "1.0-1")]);
    }

    #[test]
    fn an_obsoleted_package_is_no_update() {
        let alone = "updates time: 0.1\nObsoleting Packages\nc.noarch 1-1 extra\n    b.noarch 1-1 installed\nRepo-id : x\n\n";
        assert_eq!(pending(alone).updates.iter().map(|update| &*update.name).collect::<Vec<_>>(), ["c"]);
        let text = "\na.noarch 2-1 base\nb.noarch 2-1 base\nObsoleting Packages\nc.noarch 1-1 extra\n    b.noarch 1-1 installed\n";
        let names: Vec<_> = pending(text).updates.into_iter().map(|update| update.name).collect();
        assert_eq!(names, ["a", "c"]);
    }

    #[test]
    fn what_is_skipped_has_its_reason() {
        let text = "Packages skipped because of dependency problems:\n    1:tb-a-b-2.0-1.noarch from base\n    tb-c-3-1.i686 from base\n\nDependencies Resolved\nUpdating:\n tb-d noarch 2-1 base 5 k\nSkipped (dependency problems):\n tb-a-b noarch 1:2.0-1 base 5 k\n\nTransaction Summary\n";
        let listing = transaction(text);
        let held: Vec<_> =
            listing.held_back.iter().map(|h| (h.name.as_str(), h.candidate.as_deref().unwrap())).collect();
        assert_eq!(held, [("tb-a-b", "1:2.0-1"), ("tb-c.i686", "3-1")]);
        assert_eq!(listing.updates.len(), 1);
    }

    #[test]
    fn addresses_of_a_repository_may_take_several_lines() {
        let text = "Repo-id      : m/7\nRepo-name    : a name\n             : Repo-status\nRepo-status  : enabled\nRepo-baseurl : http://a/,\n             : http://b/\nRepo-expire  : Instant (last: Unknown)\n\nRepo-id      : n\nRepo-mirrors : http://l\nRepo-baseurl : http://c/ (9 more)\nRepo-expire  : Instant (last: Sun Nov 22 03:45:42 2026)\n";
        let found = repositories(text);
        assert_eq!(found[0].id, "m");
        assert_eq!((found[0].is_on, found[0].has_index), (Some(true), false));
        assert_eq!(found[0].urls, ["http://a/", "http://b/"]);
        assert_eq!((found[1].is_on, found[1].has_index, found[1].more), (None, true, 9));
        let line = format!("Repo-baseurl : http://c/ ({} more)\n", usize::MAX);
        assert_eq!(repositories(&format!("Repo-id      : m\n{line}{line}"))[0].more, usize::MAX);
        for more in ["\n             : (9 more)", " (9\n             : more)"] {
            let text = format!("Repo-id      : m\nRepo-baseurl : http://h/{}/{more}\n", "x".repeat(60));
            let found = &repositories(&text)[0];
            assert_eq!((found.urls.len(), found.more), (1, 9), "{text}");
        }
        let twice = repositories("Repo-id      : m\nRepo-baseurl : http://a/, http://a/\n");
        assert_eq!(twice[0].urls, ["http://a/"]);
    }
}
