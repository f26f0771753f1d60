//! Reading what dnf lists: pending updates, the table of a transaction, advisories.

use super::ENV;
use crate::backend::rpm::{update, with_obsoleting};
use crate::backend::yum_family::{self, Section};
use crate::outcome::{Listing, Update};
use crate::process::Invocation;

/// Reads `check-update`: the table begins below an empty line. A package that obsoletes another
/// comes in its place; the last section says which.
///
/// ```text
///
/// tb-hello.noarch                           2.0-1                            base
/// Obsoleting Packages
/// tb-obs.noarch                             1.0-1                            extra
///     tb-world.noarch                       1.0-1                            @System
/// ```
pub fn pending(stdout: &str) -> Listing {
    let mut updates: Vec<Update> = Vec::new();
    let mut obsoleting: Vec<Update> = Vec::new();
    let mut obsoleted: Vec<String> = Vec::new();
    let mut in_obsoletes = false;
    for line in stdout.lines().skip_while(|line| !line.is_empty()) {
        let words: Vec<_> = line.split_whitespace().collect();
        let row = match words[..] {
            [package, version, source] => {
                package.rsplit_once('.').map(|(name, arch)| update(name, arch, version, source))
            }
            _ => None,
        };
        in_obsoletes |= line == "Obsoleting Packages";
        match row {
            Some(row) if in_obsoletes && line.starts_with(' ') => obsoleted.push(row.name),
            Some(row) if in_obsoletes => obsoleting.push(row),
            Some(row) => updates.push(row),
            None => {}
        }
    }
    Listing { updates: with_obsoleting(updates, obsoleting, obsoleted), ..Listing::default() }
}

fn section(headline: &str) -> Section {
    let starts = |words: &[&str]| words.iter().any(|word| headline.starts_with(word));
    if headline.starts_with("Skipping packages with conflicts") {
        Section::Stays("it conflicts with another package")
    } else if headline.starts_with("Skipping packages") {
        Section::Stays("its dependencies cannot be met")
    } else if starts(&["Installing", "Upgrading", "Downgrading"]) {
        Section::Comes
    } else if starts(&["Removing"]) {
        Section::Goes
    } else {
        Section::Unread
    }
}

/// Reads the table of a transaction.
pub fn transaction(stdout: &str) -> Listing {
    yum_family::transaction(stdout, "Dependencies resolved.", section)
}

/// The advisories that what is pending would settle, of every kind.
pub fn ask_advisories() -> Invocation {
    let args = [super::EXIT_ON_LOCK, "-q", "-C", "updateinfo", "list", "--updates"];
    Invocation { program: "dnf", args: args.map(str::to_owned).to_vec(), env: ENV, ..Invocation::default() }
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

    #[test]
    fn an_obsoleting_package_comes_in_the_place_of_the_obsoleted() {
        let text = "\na.noarch 2-1 base\nb.noarch 2-1 base\ngrub.noarch 2-1 base\nObsoleting Packages\nc.noarch 1-1 extra\n    b.noarch 1-1 @System\ngrub.noarch 2-1 base\n    grub.noarch 1-1 @System\n";
        let names: Vec<_> = pending(text).updates.into_iter().map(|update| update.name).collect();
        assert_eq!(names, ["a", "grub", "c"]);
        assert!(pending("Last metadata expiration check: 0:00:01 ago.\n").is_empty());
    }
}
