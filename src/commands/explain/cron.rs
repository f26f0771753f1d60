//! Finds the lines of cron that run linux-patch, and when they next run.

use super::cron_rules::{Daemon, Rules, Unread};
use crate::system::files::{paths_in, small_text};
use chrono::{Datelike, Days, NaiveDateTime, Timelike};
use std::path::PathBuf;

/// The directories of tables with a column for the user, and of single users' tables.
const SYSTEM_TABLES: &[&str] = &["/etc/crontab"];
const ANACRON: &str = "/etc/anacrontab";
const SYSTEM_DIRS: &[&str] = &["/etc/cron.d"];
const USER_DIRS: &[&str] =
    &["/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron", "/etc/crontabs"];
/// The directories of scripts that run at these times.
const SCRIPT_DIRS: &[(&str, &str)] = &[
    ("/etc/cron.hourly", "hourly"),
    ("/etc/cron.daily", "daily"),
    ("/etc/cron.weekly", "weekly"),
    ("/etc/cron.monthly", "monthly"),
    ("/etc/periodic/15min", "every 15 minutes"),
    ("/etc/periodic/hourly", "hourly"),
    ("/etc/periodic/daily", "daily"),
    ("/etc/periodic/weekly", "weekly"),
    ("/etc/periodic/monthly", "monthly"),
];

/// A line or a script that runs linux-patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The file that it is in.
    pub file: PathBuf,
    /// When it runs, in cron's words.
    pub when: String,
    /// The command.
    pub command: String,
    /// Why cron does not read the file, and what mends that.
    pub unread: Option<Unread>,
}

/// Everything that can be found, for this daemon. Only root can read the tables of users.
pub fn jobs(daemon: Daemon) -> Vec<Job> {
    let mut jobs = Vec::new();
    let rules = Rules::of_this_system(daemon);
    let in_dir = |dir: &&str| paths_in(dir).into_iter().filter(|path| path.is_file() && !rules.is_copy(path));
    let system = SYSTEM_TABLES.iter().map(PathBuf::from).chain(SYSTEM_DIRS.iter().flat_map(in_dir));
    let of_users = USER_DIRS.iter().flat_map(in_dir).map(|file| (file, Table::OfUser));
    let all = system.map(|file| (file, Table::OfSystem)).chain(of_users);
    for (file, kind) in all.chain([(PathBuf::from(ANACRON), Table::Anacron)]) {
        let text = small_text(&file);
        let unread = if kind == Table::OfSystem { rules.unread_table(&file, &text) } else { None };
        let found = jobs_in(&text, kind);
        jobs.extend(found.map(|(when, command)| Job {
            file: file.clone(),
            when,
            command,
            unread: unread.clone(),
        }));
    }
    for (dir, when) in SCRIPT_DIRS {
        for path in in_dir(dir) {
            let text = small_text(&path);
            let mut lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
            if let Some(line) = lines.find(|line| runs_us(line)) {
                let (when, command) = (when.to_string(), line.to_string());
                jobs.push(Job { unread: rules.unread_script(&path), file: path.clone(), when, command });
            }
        }
    }
    jobs
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    OfSystem,
    OfUser,
    /// Days, minutes of delay, a name, the command.
    Anacron,
}

/// Whether a command line runs a refresh or an apply of linux-patch, not only a status.
pub fn runs_us(line: &str) -> bool {
    let is_program = |word: &str| word.rsplit('/').next() == Some("linux-patch");
    let mut words = line
        .split([' ', '\t', ';', '&', '|', '(', ')', '"', '\'', '`'])
        .map(|word| word.trim_start_matches(['-', '@', '+', '!', ':']));
    words.by_ref().any(is_program) && words.any(|word| matches!(word, "refresh" | "apply"))
}

/// The schedules and commands of the lines that run it.
fn jobs_in(text: &str, kind: Table) -> impl Iterator<Item = (String, String)> + '_ {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#') && runs_us(line));
    lines.filter_map(move |line| {
        let fields = match kind {
            Table::Anacron => 2,
            _ if line.starts_with('@') => 1,
            _ => 5,
        };
        let mut rest = line;
        let mut taken = Vec::new();
        for _ in 0..fields + usize::from(kind != Table::OfUser) {
            let (word, after) = rest.split_once([' ', '\t'])?;
            taken.push(word);
            rest = after.trim_start();
        }
        taken.truncate(fields);
        let when = match kind {
            Table::Anacron => format!("anacron, days: {}", taken[0]),
            _ => taken.join(" "),
        };
        Some((when, rest.to_string()))
    })
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When a schedule next runs after that moment in local time; `None` where it is not an ordinary schedule of cron.
pub fn next(when: &str, now: NaiveDateTime) -> Option<NaiveDateTime> {
    let plain = match when {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        other => other,
    };
    let fields: Vec<_> = plain.split(' ').collect();
    let [minute, hour, day, month, weekday] = fields[..] else { return None };
    let minutes = field(minute, 0, 59, &[])?;
    let hours = field(hour, 0, 23, &[])?;
    let days = field(day, 1, 31, &[])?;
    let months = field(month, 1, 12, &MONTHS)?;
    let weekdays = field(weekday, 0, 7, &WEEKDAYS)?;
    let is_day = |date: &NaiveDateTime| {
        let of_week = date.weekday().num_days_from_sunday();
        let by_week = weekdays.contains(&of_week) || (of_week == 0 && weekdays.contains(&7));
        let by_month = days.contains(&date.day());
        // If both are restricted, a match of either is enough.
        let is_either = !day.starts_with('*') && !weekday.starts_with('*');
        months.contains(&date.month()) && if is_either { by_week || by_month } else { by_week && by_month }
    };
    let midnight = now.date().and_hms_opt(0, 0, 0)?;
    for ahead in 0..1500 {
        let date = midnight.checked_add_days(Days::new(ahead))?;
        if !is_day(&date) {
            continue;
        }
        for hour in &hours {
            for minute in &minutes {
                let at = date.with_hour(*hour)?.with_minute(*minute)?;
                if at > now {
                    return Some(at);
                }
            }
        }
    }
    None
}

/// The numbers that a field means, in order: `*`, `1,3-5`, `*/15`, `mon`.
fn field(text: &str, least: u32, most: u32, names: &[&str]) -> Option<Vec<u32>> {
    let number = |text: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text)).map(|at| at as u32);
        let named = named.map(|at| if most == 12 { at + 1 } else { at });
        named.or_else(|| text.parse().ok()).filter(|number| (least..=most).contains(number))
    };
    let mut found = Vec::new();
    for part in text.split(',') {
        let (range, step) =
            part.split_once('/').map_or((part, Some(1)), |(range, step)| (range, step.parse().ok()));
        let step = step.filter(|step: &usize| *step > 0)?;
        let (from, to) = match range {
            "*" => (least, most),
            _ => match range.split_once('-') {
                Some((from, to)) => (number(from)?, number(to)?),
                None if part.contains('/') => (number(range)?, most),
                None => (number(range)?, number(range)?),
            },
        };
        found.extend((from..=to).step_by(step));
    }
    found.sort_unstable();
    found.dedup();
    Some(found).filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
    }

    #[test]
    fn the_next_time_of_a_line_is_computed_as_cron_does() {
        // This is a Saturday.
        let now = at("2026-11-28 17:25");
        for (when, expected) in [
            ("0 * * * *", "2026-11-28 18:00"),
            ("25 17 * * *", "2026-11-29 17:25"),
            ("30 3 * * *", "2026-11-29 03:30"),
            ("*/20 17 * * *", "2026-11-28 17:40"),
            ("0 4 * * 1-5", "2026-11-30 04:00"),
            ("0 4 * * mon,Wed", "2026-11-30 04:00"),
            ("0 4 * * 7", "2026-11-29 04:00"),
            ("0 4 1 * *", "2026-12-01 04:00"),
            ("0 4 15 * sun", "2026-11-29 04:00"),
            ("0 4 1 jan *", "2027-01-01 04:00"),
            ("0 0 29 2 *", "2028-02-29 00:00"),
            ("@daily", "2026-11-29 00:00"),
        ] {
            assert_eq!(next(when, now), Some(at(expected)), "{when}");
        }
        for when in ["@reboot", "", "* * *", "61 * * * *", "0 4 31 2 *", "*/0 * * * *", "x * * * *"] {
            assert_eq!(next(when, now), None, "{when}");
        }
    }

    #[test]
    fn only_lines_that_refresh_or_apply_count() {
        let table = "# 0 * * * * root linux-patch apply\nMAILTO=root\n0 * * * *  root  PATH=/x /usr/bin/linux-patch refresh --quiet\n\
                     5 5 * * * root linux-patch status\n@daily root linux-patch -q apply && true\n";
        let found: Vec<_> = jobs_in(table, Table::OfSystem).collect();
        let expected = [
            ("0 * * * *", "PATH=/x /usr/bin/linux-patch refresh --quiet"),
            ("@daily", "linux-patch -q apply && true"),
        ];
        assert_eq!(found, expected.map(|(when, command)| (when.to_string(), command.to_string())));
        assert_eq!(jobs_in("1 2 * * * linux-patch apply", Table::OfUser).count(), 1);
        let found: Vec<_> =
            jobs_in("START_HOURS_RANGE=3-22\n1 10 lp.daily\tnice linux-patch apply", Table::Anacron)
                .collect();
        assert_eq!(found, [("anacron, days: 1".to_string(), "nice linux-patch apply".to_string())]);
        assert!(!runs_us("echo linux-patch-apply") && runs_us("-/usr/bin/linux-patch apply"));
    }
}
