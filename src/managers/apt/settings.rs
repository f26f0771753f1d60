//! What apt.conf says: places and limits.

use super::commands::{ENV, apt_config, setting};
use super::facts::FACTS;
use crate::managers::capabilities::Locate;
use crate::managers::facts::{Elsewhere, Places};
use crate::system::process::Invocation;
use std::path::PathBuf;
use std::time::Duration;

/// apt.conf(5).
pub const SETTINGS: &[&str] = &["/etc/apt/apt.conf", "/etc/apt/apt.conf.d"];

/// The file that APT_CONFIG names may set another directory for all others.
pub struct Configuration;

impl Locate for Configuration {
    /// Where apt keeps things: apt.conf and APT_CONFIG can put them anywhere.
    fn ask(&self) -> Invocation {
        apt_config([
            ("DATABASE", "Dir::State::status/f"),
            ("PREFERENCES", "Dir::Etc::Preferences/f"),
            ("ARCHITECTURE", "APT::Architecture"),
            ("LISTS", "Dir::State::lists/d"),
            ("SOURCELIST", "Dir::Etc::sourcelist/f"),
            ("SOURCEPARTS", "Dir::Etc::sourceparts/d"),
            ("PREFERENCEPARTS", "Dir::Etc::preferencesparts/d"),
            ("ARCHIVES", "Dir::Cache::archives/d"),
            ("MAIN", "Dir::Etc::main/f"),
            ("PARTS", "Dir::Etc::parts/d"),
            // A setting for apt-get alone outranks one for all.
            ("HTTP", "Acquire::http::Timeout"),
            ("HTTP", "Binary::apt-get::Acquire::http::Timeout"),
            ("HTTPS", "Acquire::https::Timeout"),
            ("HTTPS", "Binary::apt-get::Acquire::https::Timeout"),
            ("RETRIES", "Acquire::Retries"),
            ("RETRIES", "Binary::apt-get::Acquire::Retries"),
            ("DELAY", "Acquire::Retries::Delay::Maximum"),
            ("REMOVE", "APT::Get::Remove"),
            ("REMOVE", "Binary::apt-get::APT::Get::Remove"),
            ("RELEASE", "APT::Default-Release"),
            ("RELEASE", "Binary::apt-get::APT::Default-Release"),
        ])
    }

    fn files(&self) -> &'static [&'static str] {
        SETTINGS
    }

    fn variables(&self) -> &'static [&'static str] {
        &["APT_CONFIG"]
    }

    fn of_use(&self, answer: &str) -> String {
        answer.to_string()
    }

    fn depends_on_more(&self, file: &str) -> bool {
        file.to_ascii_lowercase().contains("#include")
    }

    /// apt.conf itself may not be in its usual place. A file that is read late can still move it.
    fn is_elsewhere(&self, answer: &str) -> bool {
        ["MAIN", "PARTS"].into_iter().any(|name| {
            let place = setting(answer, name).map(|path| path.trim_end_matches('/'));
            place.is_some_and(|place| !SETTINGS.contains(&place))
        })
    }
}

/// Asks for all settings of apt.conf.
pub fn dump() -> Invocation {
    Invocation { env: ENV, ..Invocation::of("apt-config", ["dump"]) }
}

/// Whether there is a line like `DPkg::Pre-Invoke:: "mount -o remount,rw /usr";`.
pub fn has_hooks(dump: &str) -> bool {
    let hooks = dump.lines().filter(|line| line.to_lowercase().starts_with("dpkg::pre-invoke"));
    let mut values = hooks.filter_map(|line| line.split_once(' '));
    values.any(|(_, value)| !value.trim_end_matches(';').trim_matches('"').is_empty())
}

/// Takes the limits from apt.conf where they are higher than ours: a proxy may need its time. Where https has no
/// timeout of its own apt uses that of http.
pub fn with_limits(mut invocation: Invocation, configuration: &str) -> Invocation {
    let value = |name: &str| number(configuration, name);
    let http = value("HTTP");
    for (option, theirs) in [
        ("Acquire::http::Timeout=", http),
        ("Acquire::https::Timeout=", value("HTTPS").or(http)),
        ("Acquire::Retries=", value("RETRIES")),
    ] {
        for arg in &mut invocation.args {
            let ours = arg.strip_prefix(option).and_then(|ours| ours.parse().ok());
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                *arg = format!("{option}{}", theirs.max(ours));
            }
        }
    }
    invocation
}

/// With `APT::Get::Remove "false"` apt refuses any run that would remove something.
pub fn may_remove(configuration: &str) -> bool {
    let mut values =
        configuration.lines().filter_map(|line| line.strip_prefix("REMOVE='")?.strip_suffix('\''));
    // As apt's StringToBool reads it.
    let is_off = |value: &str| {
        ["no", "false", "without", "off", "disable"].contains(&value.to_lowercase().as_str())
            || value.parse::<i64>() == Ok(0)
    };
    !values.next_back().is_some_and(is_off)
}

/// The last value with this name, if it is a number.
pub fn number(configuration: &str, name: &str) -> Option<u64> {
    let values = configuration.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("='"));
    values.filter_map(|value| value.strip_suffix('\'')?.parse().ok()).next_back()
}

/// How long apt is silent in a download from a mirror that never answers: it tries again after a pause, and each time
/// waits for two addresses that a mirror may have.
pub fn longest_silence(invocation: &Invocation, configuration: &str) -> Duration {
    const ADDRESSES: u64 = 2;
    let timeout = ["HTTP", "HTTPS"].into_iter().filter_map(|name| number(configuration, name)).max();
    let mut retries =
        invocation.args.iter().filter_map(|arg| arg.strip_prefix("Acquire::Retries=")?.parse().ok());
    let retries: u64 = retries.next_back().unwrap_or(0);
    let pause = number(configuration, "DELAY").unwrap_or(30);
    let waits = timeout.unwrap_or(30).saturating_mul(ADDRESSES).saturating_mul(retries.saturating_add(1));
    Duration::from_secs(waits.saturating_add(retries.saturating_mul(pause)))
}

/// Where apt.conf puts the sources and the preferences, if not in the usual place.
pub fn elsewhere(configuration: &str) -> Elsewhere {
    let usual = [FACTS.source_config, FACTS.index].concat();
    let is_usual =
        |path: &str| usual.iter().any(|usual| *usual == path || usual.starts_with(&format!("{path}/")));
    let unusual = |name: &str| {
        let path = setting(configuration, name)?.trim_end_matches('/');
        (!is_usual(path)).then(|| path.to_string())
    };
    let parts = unusual("SOURCEPARTS")
        .into_iter()
        .flat_map(|dir| ["list", "sources"].map(|end| format!("{dir}/*.{end}")));
    let index = ["PREFERENCES", "PREFERENCEPARTS"].into_iter().filter_map(unusual).collect();
    let sources = unusual("SOURCELIST").into_iter().chain(parts).collect();
    Elsewhere { sources, index, ..Elsewhere::default() }
}

/// Reads lines like `DATABASE='/var/lib/dpkg/status'`.
pub fn parse_places(usual: Places, stdout: &str) -> Places {
    let value = |name: &str| setting(stdout, name);
    Places {
        database: value("DATABASE").map_or(usual.database, PathBuf::from),
        leave_out_base: value("PREFERENCES").map_or(usual.leave_out_base, PathBuf::from),
        architecture: value("ARCHITECTURE").map_or(usual.architecture, str::to_owned),
        cache: value("LISTS").map_or(usual.cache, |dir| PathBuf::from(dir.trim_end_matches('/'))),
        archives: value("ARCHIVES").map_or(usual.archives, PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::apt::commands::{download, refresh, repair};
    use crate::managers::facts::Plan;

    #[test]
    fn limits_of_apt_conf_are_never_undercut() {
        let limits = |configuration: &str| {
            let limited = with_limits(refresh(Duration::from_secs(120)), configuration);
            let ends = ["http::Timeout=", "https::Timeout=", "Retries="];
            let of = |end: &str| {
                limited.args.iter().find_map(|arg| arg.strip_prefix("Acquire::")?.strip_prefix(end))
            };
            ends.map(|end| of(end).unwrap().to_string()).join(" ")
        };
        for (configuration, expected) in [
            ("", "10 10 1"),
            ("HTTP='180'\n", "180 180 1"),
            ("HTTP='180'\nHTTPS='60'\nRETRIES='5'\n", "180 60 5"),
            ("HTTP='180'\nHTTP='200'\n", "200 200 1"),
            ("HTTP='3'\nRETRIES='0'\n", "10 10 1"),
            ("HTTP='never'\n", "10 10 1"),
        ] {
            assert_eq!(limits(configuration), expected, "{configuration}");
        }
    }

    #[test]
    fn removals_are_off_where_apt_takes_them_for_off() {
        for off in ["REMOVE='false'\n", "REMOVE='0'\n", "REMOVE='true'\nREMOVE='Off'\n"] {
            assert!(!may_remove(off), "{off}");
        }
        for on in ["", "REMOVE='true'\n", "REMOVE='x'\n", "REMOVE='false'\nREMOVE='1'\n"] {
            assert!(may_remove(on), "{on}");
        }
    }

    #[test]
    fn a_silence_that_apt_conf_allows_is_no_standstill() {
        let silence = |configuration: &str| {
            let download = download(&Plan::default());
            longest_silence(&with_limits(download, configuration), configuration).as_secs()
        };
        // Two attempts of 30 s, each at two addresses, and a pause.
        assert_eq!(silence(""), 150);
        assert_eq!(silence("HTTP='180'\n"), 750);
        assert_eq!(silence("HTTPS='600'\n"), 2430);
        assert_eq!(silence("HTTP='180'\nRETRIES='5'\nDELAY='120'\n"), 2760);
        assert_eq!(silence("HTTP='18446744073709551615'\n"), u64::MAX);
    }

    #[test]
    fn only_what_is_run_before_dpkg_is_a_hook() {
        assert!(has_hooks(
            "DPkg \"\";\nDPkg::Pre-Invoke \"\";\nDPkg::Pre-Invoke:: \"mount -o remount,rw /usr\";\n"
        ));
        assert!(has_hooks("dpkg::pre-invoke:: \"/usr/local/sbin/rw\";\n"));
        assert!(!has_hooks(
            "DPkg::Pre-Invoke \"\";\nDPkg::Post-Invoke:: \"x\";\nDPkg::Pre-Install-Pkgs:: \"x\";\n"
        ));
    }

    #[test]
    fn a_database_elsewhere_is_told_to_dpkg() {
        let usual =
            parse_places(FACTS.usual_places(), "DATABASE='/var/lib/dpkg/status'\nARCHITECTURE='amd64'\n");
        assert_eq!(usual, Places { architecture: "amd64".into(), ..FACTS.usual_places() });
        assert_eq!(repair(&usual).args[0], "--force-confdef");
        let elsewhere = parse_places(usual, "DATABASE='/srv/root/dpkg/status'\nPREFERENCES='/srv/prefs'\n");
        assert_eq!(repair(&elsewhere).args[0], "--admindir=/srv/root/dpkg");
        assert_eq!(elsewhere.leave_out_base, std::path::Path::new("/srv/prefs"));
    }

    #[test]
    fn sources_and_preferences_in_unusual_places_are_known() {
        let usual = "SOURCELIST='/etc/apt/sources.list'\nSOURCEPARTS='/etc/apt/sources.list.d/'\n\
                     PREFERENCES='/etc/apt/preferences'\nPREFERENCEPARTS='/etc/apt/preferences.d/'\n";
        assert_eq!(elsewhere(usual), Elsewhere::default());
        let found = elsewhere("SOURCEPARTS='/srv/parts/'\nPREFERENCES='/srv/prefs'\n");
        assert_eq!(
            (found.sources, found.index),
            (vec!["/srv/parts/*.list".into(), "/srv/parts/*.sources".into()], vec!["/srv/prefs".into()])
        );
    }
}
