//! What the histories of dnf, yum and zypper say about runs that were cut off.

use super::names::nevra;
use crate::model::packages::CutOff;
use crate::system::files::{self, paths_in};
use chrono::NaiveDateTime;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Reads `history info` of dnf 4 and 5, asked for in UTC: when the runs that did not end well began, and what they were
/// to remove.
///
/// ```text
/// Transaction ID : 1
/// Begin time     : Sat Nov 28 03:18:24 2026
/// Return-Code    : Failure: 1
/// Packages Altered:
///  ** Upgrade  tb-a-2.0-1.noarch    @test
///  ** Upgraded tb-a-1.0-1.noarch    @@System
/// ```
pub fn cut_off_runs(stdout: &str) -> Vec<CutOff> {
    const GOES: &[&str] = &["Upgraded", "Obsoleted", "Downgraded", "Replaced"];
    let mut runs = Vec::new();
    let mut run = CutOff::default();
    let mut failed = false;
    for line in stdout.lines().chain(["Transaction ID : "]) {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        match key.trim_end() {
            "Transaction ID" => {
                let ended = std::mem::take(&mut run);
                runs.extend(Some(ended).filter(|ended| failed && !ended.goes.is_empty()));
                failed = false;
            }
            "Begin time" => run.began = moment(value.trim()),
            "Return-Code" => failed = !value.contains("Success"),
            "Status" => failed = value.trim() != "Ok",
            _ => {
                let mut words =
                    line.split_whitespace().filter(|word| !word.chars().all(|c| "*#?".contains(c)));
                if let (Some(action), Some(package)) = (words.next(), words.next()) {
                    run.goes.extend(GOES.contains(&action).then(|| package.replacen("-0:", "-", 1)));
                }
            }
        }
    }
    runs
}

/// `Sat Nov 28 03:18:24 2026` or `2026-11-28 03:18:26`, in UTC.
fn moment(text: &str) -> Option<i64> {
    let formats = ["%a %b %e %H:%M:%S %Y", "%Y-%m-%d %H:%M:%S"];
    let mut times = formats.iter().filter_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    times.next().map(|time| time.and_utc().timestamp())
}

/// Reads `history list` of dnf 4: the numbers of the latest runs that did not end well. A mark behind the number of
/// packages shows them.
///
/// ```text
/// ID     | Command line             | Date and time    | Action(s)      | Altered
/// -------------------------------------------------------------------------------
///      1 | -y upgrade --refresh     | 2026-11-28 03:18 | Upgrade        |    3 ##
/// ```
pub fn marked_runs(stdout: &str) -> Vec<&str> {
    // Each is a question of its own, and a machine that fails every night has many.
    const MOST: usize = 20;
    let rows = stdout.lines().filter_map(|line| {
        let number = line.split('|').next()?.trim();
        let altered = line.rsplit('|').next()?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && altered.contains(['*', '#'])).then_some(number)
    });
    rows.take(MOST).collect()
}

/// Reads zypper's log: what was installed, and when, in local time.
///
/// ```text
/// 2026-11-28 03:18:28|command|root@host|'zypper' 'up'|
/// 2026-11-28 03:18:28|install|tb-z|2.0-1|noarch||test|6c8d53f1|
/// ```
pub fn came(log: &str) -> Vec<CutOff> {
    let lines = log.lines().filter_map(|line| {
        let fields: Vec<_> = line.split('|').collect();
        let [time, "install", name, version, architecture, ..] = fields[..] else { return None };
        let comes = vec![nevra(name, version, architecture)];
        Some(CutOff { began: moment(time), comes, goes: Vec::new() })
    });
    lines.collect()
}

/// Reads yum's two files about a transaction, one with what was planned and one with what is done, as grep prints them:
///
/// ```text
/// /var/lib/yum/transaction-all.2026-11-28.03:18.24:install 0:tb-a-2.0-1.noarch
/// /var/lib/yum/transaction-all.2026-11-28.03:18.24:erase 0:tb-a-1.0-1.noarch
/// /var/lib/yum/transaction-done.2026-11-28.03:18.24:install 0:tb-a-2.0-1.noarch
/// ```
pub fn not_done(stdout: &str) -> Vec<CutOff> {
    let erased = |which: &str| {
        let lines = stdout.lines().filter(|line| line.contains(which)).filter_map(|line| {
            let (file, package) = line.split_once(":erase ")?;
            let (epoch, package) = package.trim().split_once(':')?;
            let mut parts = package.rsplitn(3, '-');
            let (release, version, name) = (parts.next()?, parts.next()?, parts.next()?);
            let epoch = if epoch == "0" { String::new() } else { format!("{epoch}:") };
            let run = file.split_once(which)?.1.to_string();
            Some((run, format!("{name}-{epoch}{version}-{release}")))
        });
        lines.collect::<HashSet<_>>()
    };
    let done = erased("/transaction-done");
    let mut goes: Vec<_> =
        erased("/transaction-all").difference(&done).map(|(_, name)| name.clone()).collect();
    goes.sort();
    if goes.is_empty() { Vec::new() } else { vec![CutOff { goes, ..CutOff::default() }] }
}

/// The end of a file, which may be long.
pub fn end_of(path: &Path) -> String {
    const MOST: u64 = 1 << 20;
    let bytes = std::fs::File::open(path).and_then(|file| files::end_of(file, MOST));
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

/// The ends of the files of a directory whose names begin so, each line with the name of its file in front.
pub fn text_of_files(dir: &str, prefix: &str) -> String {
    let name = |path: &PathBuf| path.file_name()?.to_str().map(|name| name.starts_with(prefix));
    let files = paths_in(dir).into_iter().filter(|path| name(path).unwrap_or_default());
    let lines = files.map(|path| {
        let text = end_of(&path);
        text.lines().map(|line| format!("{}:{line}\n", path.display())).collect::<String>()
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_did_not_end_are_told_by_both_histories() {
        let dnf = "Transaction ID : 2\nBegin time     : Sat Nov 28 03:18:24 2026\nReturn-Code    : Success\nPackages Altered:\n    Upgraded tb-b-1.0-1.noarch @@System\n\
                   Transaction ID : 1\nBegin time     : Sat Nov  7 03:18:24 2026\nReturn-Code    : Failure: 1\nPackages Altered:\n ** Upgrade  tb-a-2.0-1.noarch    @test\n ** Upgraded tb-a-1:1.0-1.noarch    @@System\n";
        let dnf5 = "Transaction ID : 1\nBegin time     : 2026-11-07 03:18:24\nStatus         : Started\nPackages altered:\n  Action   Package             Reason        Repository\n  Upgrade  tb-a-0:2.0-1.noarch External User test\n  Replaced tb-a-1:1.0-1.noarch External User @System\n\n";
        for text in [dnf, dnf5] {
            let goes = vec!["tb-a-1:1.0-1.noarch".to_string()];
            let expected = CutOff { began: Some(1_794_021_504), comes: Vec::new(), goes };
            assert_eq!(cut_off_runs(text), [expected], "{text}");
        }
        assert!(cut_off_runs("").is_empty());
    }

    #[test]
    fn the_runs_of_dnf_with_a_mark_did_not_end_well() {
        let list = "ID     | Command line | Date and time    | Action(s)      | Altered\n-----\n     7 | -y | 2026-11-28 03:18 | Upgrade | 3 ##\n     6 | x | 2026 | Install | 1 EE\n     5 | x | 2026 | Install | 1  <\n     4 | x | 2026 | E, I | 9 **\n";
        assert_eq!(marked_runs(list), ["7", "4"]);
        assert!(marked_runs("").is_empty());
    }

    #[test]
    fn what_came_by_zypper_is_in_its_log() {
        let log = "2026-11-28 03:18:28|command|root@vm|'zypper' 'up'|\n2026-11-28 03:18:28|install|tb-z|2.0-1|noarch||test|6c|\n# 2026-11-28 03:18:28 tb-z installed ok\n2026-11-28 03:18:29|remove |tb-o|1-1|noarch|root@vm|\n";
        let comes = vec!["tb-z-2.0-1.noarch".to_string()];
        assert_eq!(came(log), [CutOff { began: Some(1_795_835_908), comes, goes: Vec::new() }]);
    }

    #[test]
    fn what_yum_had_still_to_erase_is_what_it_has_not_done() {
        let all = "/var/lib/yum/transaction-all.1:install 0:tb-a-2.0-1.noarch\n/var/lib/yum/transaction-all.1:erase 0:tb-a-1.0-1.noarch\n/var/lib/yum/transaction-all.1:erase 2:tb-b-c-1.0-1.noarch\n";
        let goes = |text: &str| not_done(text).into_iter().flat_map(|run| run.goes).collect::<Vec<_>>();
        assert_eq!(goes(all), ["tb-a-1.0-1.noarch", "tb-b-c-2:1.0-1.noarch"]);
        let done = format!("{all}/var/lib/yum/transaction-done.1:erase 0:tb-a-1.0-1.noarch\n");
        assert_eq!(goes(&done), ["tb-b-c-2:1.0-1.noarch"]);
        assert!(not_done("").is_empty());
    }
}
