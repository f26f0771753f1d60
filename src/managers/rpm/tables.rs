//! What yum and the later dnf have in common: options, and the table of a transaction.

use super::names::listed_name;
use super::{update, without_replaced};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::HeldBack;
use crate::system::process::Invocation;
use std::time::Duration;

/// How long to wait for a silent mirror. With `retries=1` it is asked four times, which takes a quarter of the budget, but
/// the server of a list of mirrors twelve times by dnf, which takes four fifths.
pub fn silence(budget: Duration) -> String {
    format!("--setopt=*.timeout={}", (budget.as_secs() / 15).clamp(1, 30))
}

/// How long a command waits for a silent mirror that has no budget to take a part of, with `retries=1`: as long as a
/// refresh does by default. A repair, which must not be killed, comes before the refresh, and asks a repository that was
/// never read.
pub const USUAL_SILENCE: &str = "--setopt=*.timeout=8";

/// Whether a repository can have this identifier.
pub fn is_repository(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

/// A setting of a file such as dnf.conf or a .repo file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `main`, or the identifier of a repository.
    pub section: String,
    /// Its name.
    pub name: String,
    /// Its value, on one line.
    pub value: String,
}

/// Reads such files, one after the other.
pub fn settings(text: &str) -> Vec<Setting> {
    let mut found: Vec<Setting> = Vec::new();
    let mut section = String::new();
    for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(id) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = id.trim().to_string();
        } else if line.starts_with([' ', '\t']) && !line.trim().is_empty() {
            if let Some(last) = found.last_mut() {
                last.value = format!("{} {}", last.value, line.trim());
            }
        } else if let Some((name, value)) = line.split_once('=') {
            let (name, value) = (name.trim().to_string(), value.trim().to_string());
            found.push(Setting { section: section.clone(), name, value });
        }
    }
    found
}

/// Takes the administrator's limits where they are not below ours: a proxy may need minutes.
pub fn with_limits(mut invocation: Invocation, text: &str) -> Invocation {
    // Those of a single repository outrank those of all.
    let (of_all, of_one): (Vec<_>, Vec<_>) =
        limits(&invocation, text).into_iter().partition(|setting| setting.section == "main");
    let options = of_all.into_iter().chain(of_one).map(|Setting { section, name, value }| {
        let id = if section == "main" { "*" } else { section.as_str() };
        format!("--setopt={id}.{name}={value}")
    });
    let command = invocation.args.len() - 1;
    invocation.args.splice(command..command, options.collect::<Vec<_>>());
    invocation
}

/// The same for yum, with the longest of them for all repositories. They follow ours. yum does nothing at all with one
/// that is no number, such as `3m`.
pub fn with_longest_limits(mut invocation: Invocation, text: &str) -> Invocation {
    let limits = limits(&invocation, text);
    let longest = |name: &str| {
        // What has no end is longer than all.
        let length = |setting: &&Setting| match setting.value.parse::<f64>() {
            Ok(0.0) | Err(_) => f64::INFINITY,
            Ok(seconds) => seconds,
        };
        let is_it = |setting: &&Setting| setting.name == name && setting.value.parse::<f64>().is_ok();
        let named = limits.iter().filter(is_it);
        named.max_by(|one, other| length(one).total_cmp(&length(other)))
    };
    let options = ["timeout", "retries"].into_iter().filter_map(longest);
    let options: Vec<_> =
        options.map(|Setting { name, value, .. }| format!("--setopt=*.{name}={value}")).collect();
    let is_ours =
        |arg: &String| arg.starts_with("--setopt=*.timeout=") || arg.starts_with("--setopt=*.retries=");
    if let Some(last) = invocation.args.iter().rposition(is_ours) {
        invocation.args.splice(last + 1..last + 1, options);
    }
    invocation
}

/// The administrator's limits that are not below those of a command.
fn limits(invocation: &Invocation, text: &str) -> Vec<Setting> {
    let ours = |name: &str| {
        let start = format!("--setopt=*.{name}=");
        let value = invocation.args.iter().find_map(|arg| arg.strip_prefix(start.as_str()));
        value.and_then(|value| value.parse::<u32>().ok()).unwrap_or(0)
    };
    let (timeout, retries) = (ours("timeout"), ours("retries"));
    let is_limit = |setting: &Setting| match setting.name.as_str() {
        // It need not be a number of seconds: `3m` is allowed, and `0` means no limit. The manager ignores what is no
        // time.
        "timeout" => match setting.value.parse::<u32>() {
            Ok(value) => value == 0 || value > timeout,
            Err(_) => is_time(&setting.value),
        },
        "retries" => setting.value.parse().is_ok_and(|value: u32| value == 0 || value > retries),
        _ => false,
    };
    let is_of_use = |setting: &Setting| is_limit(setting) && is_repository(&setting.section);
    settings(text).into_iter().filter(is_of_use).collect()
}

fn is_time(value: &str) -> bool {
    let number = value.trim_end_matches(['s', 'm', 'h', 'd', 'S', 'M', 'H', 'D']);
    value.len() - number.len() <= 1 && number.parse::<f64>().is_ok_and(|number| number >= 0.0)
}

/// What in the main section of the configuration keeps us from working: the manager looks at another system, or
/// installs nothing.
pub fn objection<'a>(mut main: impl Iterator<Item = (&'a str, &'a str)>, installs: bool) -> Option<Failure> {
    let words = |value: &'a str| value.split([',', ' ']);
    let objection = |(name, value): (&str, &'a str)| {
        let why = match name {
            "installroot" if !matches!(value, "" | "/") => "what is read and installed is another system's",
            "tsflags" if installs && words(value).any(|flag| flag == "test") => {
                "transactions are only tested, and nothing is installed"
            }
            "destdir" if installs && !value.is_empty() => {
                "packages are only downloaded, and none is installed"
            }
            _ => return None,
        };
        Some(format!("{name}={value} is set in the configuration: {why}; remove that setting"))
    };
    main.find_map(objection).map(|text| Failure::new(Class::Config, text))
}

/// The meaning of the rows below a headline of a transaction's table.
#[derive(Clone, Copy)]
pub enum Section {
    /// Packages that are installed.
    Comes,
    /// Packages that are removed.
    Goes,
    /// Packages that stay as they are, and why.
    Stays(&'static str),
    /// None of these.
    Unread,
}

/// A row of a package that stays.
pub fn stays(name: &str, arch: &str, version: &str, reason: &str) -> HeldBack {
    HeldBack::listed(listed_name(name, arch), None, version, reason)
}

/// The table of a transaction.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What it lists.
    pub listing: Listing,
    /// How many rows there are of packages that come, go or stay.
    pub rows: usize,
    /// Whether it has other rows, such as groups.
    pub has_more: bool,
}

/// Reads the table that is printed before every transaction, below a line that says that all is resolved. If a name is
/// too long for its column, the rest of the row is on the next line.
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
            // A headline, or the note in brackets below one.
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
