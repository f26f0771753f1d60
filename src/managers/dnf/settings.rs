//! What dnf.conf and the files of the repositories set.

use super::Dnf;
use super::commands::SOURCES;
use crate::managers::capabilities::ConfigFile;
use crate::managers::configuration::Configuration;
use crate::managers::facts::{Elsewhere, Places};
use crate::managers::rpm::files::release_of;
use crate::managers::rpm::settings::main_of;
use crate::managers::rpm::tables::{self, Setting, settings};
use crate::managers::rpm::{self, excluded};
use crate::model::failure::Failure;
use crate::system::process::Invocation;

impl Configuration for Dnf {
    fn release_of(&self, configured: &[ConfigFile], id: &str) -> &'static [&'static str] {
        release_of(configured, id)
    }

    fn parse_places(&self, usual: Places, text: &str) -> Places {
        // Reads `cachedir`, which counts only in dnf.conf itself.
        let is_it = |setting: &Setting| {
            setting.section == "main" && matches!(setting.name.as_str(), "cachedir" | "system_cachedir")
        };
        match settings(text).into_iter().find(is_it) {
            Some(setting) if setting.value.starts_with('/') => {
                Places { cache: setting.value.into(), ..usual }
            }
            _ => usual,
        }
    }

    fn elsewhere(&self, text: &str) -> Elsewhere {
        rpm::settings::elsewhere(text, SOURCES)
    }

    fn moved_pid_files(&self, text: &str) -> Vec<String> {
        // The lock of the package database is in `persistdir`, of which the last one in dnf.conf counts.
        let is_it = |setting: &Setting| setting.section == "main" && setting.name == "persistdir";
        let dir = settings(text).into_iter().rfind(is_it).map(|setting| setting.value);
        let dir = dir.filter(|dir| dir.starts_with('/'));
        dir.map(|dir| format!("{}/rpmdb_lock.pid", dir.trim_end_matches('/'))).into_iter().collect()
    }

    fn sources_in(&self, text: &str) -> Vec<String> {
        // For when dnf itself cannot say.
        rpm::settings::enabled(text)
    }

    fn priority(&self, text: &str, id: &str) -> Option<i64> {
        let settings = settings(text);
        let of_it: Vec<_> = settings.iter().filter(|setting| setting.section == id).collect();
        of_it.first()?;
        let set = of_it.iter().rfind(|setting| setting.name == "priority");
        set.map_or(Some(rpm::DEFAULT_PRIORITY), |setting| setting.value.parse().ok())
    }

    fn with_limits(&self, refresh: Invocation, text: &str) -> Invocation {
        tables::with_limits(refresh, text)
    }

    fn excludes(&self, text: &str) -> bool {
        excluded::is_any(main_of(&settings(text)))
    }

    fn objection(&self, text: &str, installs: bool) -> Option<Failure> {
        // dnf follows `destdir` only where it is told to do nothing but download.
        let settings = settings(text);
        tables::objection(main_of(&settings).filter(|(name, _)| *name != "destdir"), installs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dnf_conf_puts_elsewhere_is_found_and_what_is_switched_on() {
        let text = "[main]\nreposdir=/etc/yum.repos.d, /srv/a/\n  /srv/b\nvarsdir = /etc/dnf/vars /srv/v\n[a]\nname=a\n\
                    enabled = 1\n[b]\nreposdir=/no\nenabled=False\n[c]\nbaseurl=x\n";
        assert_eq!(Dnf.elsewhere(text).sources, ["/srv/a", "/srv/b", "/srv/v"]);
        assert_eq!(Dnf.sources_in(text), ["a", "c"]);
        assert_eq!(Dnf.sources_in("retries=3\n[a]\nname=x\n"), ["a"], "a dnf.conf without a section");
        let priority = |id| Dnf.priority("[main]\n[a]\npriority=5\n[b]\nname=x\n[c]\npriority=x\n", id);
        assert_eq!(["a", "b", "c", "d"].map(priority), [Some(5), Some(99), None, None]);
        assert_eq!(Dnf.elsewhere(""), Elsewhere::default());
    }
}
