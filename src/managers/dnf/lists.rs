//! Reading what dnf lists: the table of a transaction, repositories, advisories.

use super::commands::{WITHOUT, dnf, in_utc, list};
use crate::managers::facts::Plan;
use crate::managers::machine::Machine;
use crate::managers::rpm::excluded::NOTHING_EXCLUDED;
use crate::managers::rpm::owned::Lists;
use crate::managers::rpm::tables::{self, Section, Table};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::{Listing, REPORT_IT, not_believed};
use crate::model::text::one_line;
use crate::system::process::{Finished, Invocation};

/// The headlines of a table. Groups, module streams and profiles have headlines of their own, and rows of another form.
fn section(headline: &str) -> Section {
    const COMES: &[&str] = &[
        "Installing:",
        "Upgrading:",
        "Downgrading:",
        "Installing group/module packages:",
        "Installing group packages:",
        "Installing dependencies:",
        "Installing weak dependencies:",
    ];
    const GOES: &[&str] = &["Removing:", "Removing dependent packages:", "Removing unused dependencies:"];
    if headline.starts_with("Skipping packages with conflicts") {
        Section::Stays("it conflicts with another package")
    } else if headline.starts_with("Skipping packages") {
        Section::Stays("its dependencies cannot be met")
    } else if COMES.contains(&headline) {
        Section::Comes
    } else if GOES.contains(&headline) {
        Section::Goes
    } else {
        Section::Unread
    }
}

/// Where a repository was not refreshed: what others would do if it did not exist, and then what is left if nothing of
/// its own is installed.
pub fn complete(lists: &Lists, mut listing: Listing) -> Result<Listing, Failure> {
    lists.add_owned(WITHOUT, &mut listing)?;
    lists.hold_back_of_unread(&mut listing)?;
    lists.without_owned(listing)
}

/// How dnf lists what it would do.
pub fn lists<'a>(
    machine: &'a dyn Machine,
    plan: &'a Plan,
    priority: &'a dyn Fn(&str) -> Option<i64>,
) -> Lists<'a> {
    Lists { machine, plan, list, read: transaction, priority, query: |words| dnf(&["-C"], words) }
}

/// Why the list of a run that changes nothing cannot be used, if so: an empty or short list would look like nothing to
/// do.
///
/// ```text
/// Transaction Summary
/// ================================================================================
/// Install  1 Package
/// Upgrade  5 Packages
/// Skip     1 Package
/// ```
pub fn contradiction(finished: &Finished) -> Option<Failure> {
    let stdout = &finished.stdout;
    let table = table(stdout);
    let lines = stdout.lines().skip_while(|line| *line != "Transaction Summary").skip(2);
    let counts = lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().nth(1));
    let told: usize = counts.filter_map(|count| count.parse::<usize>().ok()).sum();
    let asked = finished.lines().any(|line| line == "Operation aborted.");
    let text = if told != table.rows {
        not_believed("dnf", told, table.rows)
    } else if asked && table.rows == 0 && !table.has_more {
        format!("dnf has something to do, but did not say what; {REPORT_IT}")
    } else {
        return None;
    };
    Some(Failure::new(Class::Other, text))
}

fn table(stdout: &str) -> Table {
    tables::table(stdout, "Dependencies resolved.", section)
}

/// The identifiers in the table of `repolist`: `fedora    Fedora 40 - x86_64`.
pub fn repositories(stdout: &str) -> Vec<String> {
    let rows = stdout.lines().skip_while(|line| !line.starts_with("repo id "));
    rows.skip(1).filter_map(|row| row.split(' ').next()).filter(|id| !id.is_empty()).map(one_line).collect()
}

/// Reads the table of a transaction.
pub fn transaction(stdout: &str) -> Listing {
    table(stdout).listing
}

/// Asks for the advisories of every kind for installed packages: for newer versions, even those that no repository
/// offers or that are excluded (`--available`), or up to the installed ones (`--installed`).
pub fn ask_advisories(which: &str) -> Invocation {
    // It prints the days only where it is to say much.
    in_utc(dnf(&["-C", "--setopt=debuglevel=6", NOTHING_EXCLUDED], &["updateinfo", "list", which]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_wrapped_is_one_row() {
        let table = "Dependencies resolved.\n====\n Package Arch Version Repo Size\n====\nUpgrading:\n tb-very-long\n               noarch 1:2.0-1 base 26 k\n tb-a noarch 2.0-1 base 0  \nSkipping packages with conflicts:\n(add '--best --allowerasing' to command line to force their upgrade):\n tb-c noarch 3-1 f 5 k\nRemoving dependent packages:\n tb-old noarch 1.0-1 @System 0  \n tb-a noarch 0.1-1 @System 0  \n\nTransaction Summary\n tb-x noarch 1 base 1\n";
        let listing = transaction(table);
        let updates: Vec<_> =
            listing.updates.iter().map(|u| (u.name.as_str(), u.candidate.as_str())).collect();
        assert_eq!(updates, [("tb-very-long", "1:2.0-1"), ("tb-a", "2.0-1")]);
        assert_eq!(listing.removals, [("tb-old".to_string(), Some("1.0-1".to_string()))]);
        assert_eq!(listing.held_back[0].name, "tb-c");
        assert_eq!(listing.held_back[0].reason, "it conflicts with another package");
    }
}
