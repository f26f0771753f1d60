//! The release of the distribution, and until when it is supported, by what the distribution itself has put on the
//! disk.

use crate::system::time::Time;

/// What os-release(5) says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// `debian`.
    pub id: String,
    like: String,
    version: String,
    codename: String,
    support_end: String,
}

impl Release {
    /// The release of this system.
    pub fn of_this_system() -> Release {
        let files = ["/etc/os-release", "/usr/lib/os-release"];
        Release::parse(&files.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default())
    }

    /// Reads what such a file says.
    pub fn parse(text: &str) -> Release {
        let value = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
            lines.next_back().unwrap_or_default().trim_matches(['"', '\'']).trim().to_string()
        };
        Release {
            id: value("ID"),
            like: value("ID_LIKE"),
            version: value("VERSION_ID"),
            codename: value("VERSION_CODENAME"),
            support_end: value("SUPPORT_END"),
        }
    }

    /// Whether it is one of these systems, or like one of them.
    pub fn is_one_of(&self, ids: &[&str]) -> bool {
        self.is(ids) || self.like.split_whitespace().any(|id| ids.contains(&id))
    }

    /// Whether it is one of these systems itself.
    pub fn is(&self, ids: &[&str]) -> bool {
        ids.contains(&self.id.as_str())
    }

    /// Whether it is a release of Debian or Ubuntu with an archive of security updates. Testing and unstable have no
    /// number, and get theirs together with all other updates.
    pub fn has_security_archive(&self) -> bool {
        matches!(self.id.as_str(), "debian" | "ubuntu") && !self.version.is_empty()
    }

    /// The last day with updates, as 2028-06-30: os-release says it, or distro-info-data where that is installed.
    pub fn support_ends(&self) -> Option<String> {
        let own = Some(self.support_end.clone()).filter(|date| last_second(date).is_some());
        own.or_else(|| {
            let is_known = matches!(self.id.as_str(), "debian" | "ubuntu");
            let file = format!("/usr/share/distro-info/{}.csv", self.id);
            self.in_table(&is_known.then(|| std::fs::read_to_string(file).ok()).flatten()?)
        })
    }

    /// This day in a table of distro-info-data. It includes Debian's long-term support and that of Ubuntu's servers,
    /// which come without being asked for, and not what comes after them.
    ///
    /// ```text
    /// version,codename,series,created,release,eol,eol-lts,eol-elts
    /// 12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-11,2028-06-30,2033-06-30
    /// ```
    fn in_table(&self, table: &str) -> Option<String> {
        let mut lines = table.lines();
        let names: Vec<_> = lines.next()?.split(',').collect();
        let column = |name: &str| names.iter().position(|found| *found == name);
        let (version, series) = (column("version")?, column("series")?);
        let rows = lines.map(|line| line.split(',').collect::<Vec<_>>());
        let mut rows = rows.filter(|row| {
            // `24.04 LTS`
            let number = row.get(version).and_then(|number| number.split(' ').next());
            match self.codename.is_empty() {
                true => !self.version.is_empty() && number == Some(&self.version),
                false => row.get(series) == Some(&self.codename.as_str()),
            }
        });
        let row = rows.next()?;
        let ends = ["eol-lts", "eol-server", "eol"].iter().filter_map(|name| row.get(column(name)?));
        ends.filter(|date| last_second(date).is_some()).max().map(ToString::to_string)
    }
}

/// The end of a day that is written as 2028-06-30.
pub fn last_second(date: &str) -> Option<Time> {
    let is_day = date.len() == 10 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    Time::parse(&format!("{date} 23:59:59"), "%Y-%m-%d %H:%M:%S").filter(|_| is_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "version,codename,series,created,release,eol,eol-lts,eol-elts
11,Bullseye,bullseye,2019-07-06,2021-08-14,2024-08-14,2026-08-31,2031-06-30
12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-11,2028-06-30,2033-06-30
14,Forky,forky,2025-08-09
,Sid,sid,1993-08-16
";
    const UBUNTU: &str = "version,codename,series,created,release,eol,eol-server,eol-esm,eol-legacy
12.04 LTS,Precise Pangolin,precise,2011-10-13,2012-04-26,2017-04-28,2017-04-28,2019-04-30
24.04 LTS,Noble Numbat,noble,2023-10-26,2024-04-25,2029-05-31,,2034-04-25,2036-04-25
";

    fn ends(os_release: &str, table: &str) -> Option<String> {
        Release::parse(os_release).in_table(table)
    }

    #[test]
    fn the_end_of_support_is_that_of_what_comes_without_a_subscription() {
        for (text, table, expected) in [
            ("ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n", DEBIAN, Some("2028-06-30")),
            ("ID=debian\nVERSION_ID='11'\n", DEBIAN, Some("2026-08-31")),
            ("ID=debian\nVERSION_CODENAME=forky\n", DEBIAN, None),
            ("ID=debian\n", DEBIAN, None),
            ("ID=debian\nVERSION_ID=99\nVERSION_CODENAME=none\n", DEBIAN, None),
            ("ID=ubuntu\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble", UBUNTU, Some("2029-05-31")),
            ("ID=ubuntu\nVERSION_ID=\"12.04\"\n", UBUNTU, Some("2017-04-28")),
            ("ID=ubuntu\nVERSION_ID=\"12.04\"\n", "", None),
            ("ID=ubuntu\nVERSION_ID=\"12.04\"\n", "what,else\n1,2\n", None),
        ] {
            assert_eq!(ends(text, table).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn os_release_has_the_say() {
        let of = |text: &str| Release::parse(text).support_ends();
        assert_eq!(of("ID=fedora\nSUPPORT_END=2026-12-02\n").as_deref(), Some("2026-12-02"));
        assert_eq!(of("ID=rocky\nSUPPORT_END=\"2032-05-31\"\n").as_deref(), Some("2032-05-31"));
        for text in ["ID=fedora", "ID=arch\nSUPPORT_END=soon", "ID=../x", "SUPPORT_END=2026-13-02", "ID=\"\""]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn the_last_day_is_one_of_support() {
        assert_eq!(last_second("2028-06-30").unwrap().to_string(), "2028-06-30T23:59:59Z");
        for date in ["", "2028-6-30", "2028-06-31", "28-06-30", "2028-06-30 ", "+028-06-30"] {
            assert_eq!(last_second(date), None, "{date}");
        }
    }

    #[test]
    fn a_release_with_a_number_has_an_archive_of_security_updates() {
        let has = |text: &str| Release::parse(text).has_security_archive();
        assert!(has("ID=debian\nVERSION_ID=12") && has("ID=ubuntu\nVERSION_ID=24.04"));
        assert!(!has("ID=debian\nVERSION_CODENAME=forky") && !has("ID=raspbian\nVERSION_ID=12") && !has(""));
    }
}
