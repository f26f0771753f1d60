//! What yum has in common with dnf, which came after it: options, and the table of a transaction.

use super::Plan;
use super::rpm::{listed_name, update, without_replaced};
use crate::outcome::{Extra, HeldBack, Listing};
use std::time::Duration;

/// How long to listen to a mirror that says nothing. With `retries=1` it is asked four times, which
/// makes a third of the budget.
pub fn silence(budget: Duration) -> String {
    format!("--setopt=*.timeout={}", (budget.as_secs() / 12).clamp(1, 30))
}

/// What a plan adds to a command line.
pub fn choice(plan: &Plan) -> Vec<String> {
    // A file that could not be read is a source that failed, but no repository.
    let repositories = plan.without.iter().filter(|source| !source.contains('/'));
    let without = repositories.map(|source| format!("--disablerepo={source}"));
    let left_out = plan.left_out.iter().map(|name| format!("--exclude={name}"));
    without.chain(left_out).collect()
}

/// What the rows below a headline of a transaction's table are.
#[derive(Clone, Copy)]
pub enum Section {
    /// Packages that are installed.
    Comes,
    /// Packages that are removed.
    Goes,
    /// Packages that are left as they are, and why.
    Stays(&'static str),
    /// Nothing of that.
    Unread,
}

/// A row of such a package.
pub fn stays(name: &str, arch: &str, version: &str, reason: &str) -> HeldBack {
    HeldBack {
        name: listed_name(name, arch),
        installed: None,
        candidate: Some(version.to_string()),
        reason: reason.to_string(),
        class: None,
        security: None,
        extra: Extra::new(),
    }
}

/// The table of a transaction.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What it lists.
    pub listing: Listing,
    /// How many rows there are of packages that come, go or stay.
    pub rows: usize,
    /// Whether it has rows of something else, such as groups.
    pub has_more: bool,
}

/// Reads the table that is printed before every transaction, below a line that says that all is
/// resolved. A name that is too long for its column moves the rest of the row to the next line.
///
/// ```text
/// Installing:
///  tb-obs              noarch            1.0-1             extra             26 k
///      replacing  tb-world.noarch 1.0-1
/// Transaction Summary
/// ```
pub fn table(stdout: &str, resolved: &str, section: fn(&str) -> Section) -> Table {
    let mut table = Table::default();
    let listing = &mut table.listing;
    let mut part = Section::Unread;
    let mut row: Vec<&str> = Vec::new();
    let lines = stdout.lines().skip_while(|line| *line != resolved);
    for line in lines.take_while(|line| *line != "Transaction Summary") {
        if !line.starts_with(' ') {
            // A headline, or the remark in brackets below one.
            if line.ends_with(':') && !line.starts_with('(') {
                part = section(line);
                table.has_more |= matches!(part, Section::Unread);
            }
            row.clear();
            continue;
        }
        if let Some(replaced) = line.trim_start().strip_prefix("replacing  ") {
            let mut words = replaced.split_whitespace();
            if let Some((name, arch)) = words.next().and_then(|package| package.rsplit_once('.')) {
                let old = listed_name(name, arch);
                if let Some(new) = listing.updates.last_mut().filter(|new| new.name != old) {
                    new.replaces.push(old.clone());
                }
                listing.removals.push((old, words.next().map(str::to_owned)));
            }
            continue;
        }
        if !line.starts_with("  ") {
            row.clear();
        }
        row.extend(line.split_whitespace());
        let [name, arch, version, source, ..] = row[..] else { continue };
        match part {
            Section::Comes => listing.updates.push(update(name, arch, version, source)),
            Section::Goes => listing.removals.push((listed_name(name, arch), Some(version.to_string()))),
            Section::Stays(reason) => listing.held_back.push(stays(name, arch, version, reason)),
            Section::Unread => {}
        }
        table.rows += usize::from(!matches!(part, Section::Unread));
        row.clear();
    }
    Table { listing: without_replaced(table.listing), ..table }
}
