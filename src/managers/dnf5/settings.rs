//! What dnf5 answers when it is asked for all settings.

use super::Dnf5;
use super::commands::{SOURCES, dnf5};
use super::refresh::repository;
use crate::managers::capabilities::{ConfigFile, Locate};
use crate::managers::configuration::Configuration;
use crate::managers::facts::{Elsewhere, Places};
use crate::managers::rpm::files::release_of;
use crate::managers::rpm::{excluded, tables};
use crate::model::failure::Failure;
use crate::system::process::Invocation;

impl Configuration for Dnf5 {
    fn release_of(&self, configured: &[ConfigFile], id: &str) -> &'static [&'static str] {
        release_of(configured, id)
    }

    fn locate(&self) -> Option<&'static dyn Locate> {
        Some(&AllSettings)
    }

    fn parse_places(&self, usual: Places, configuration: &str) -> Places {
        // Reads `system_cachedir = /var/cache/libdnf5`.
        let mut dirs = main_of(configuration).filter(|(name, _)| *name == "system_cachedir");
        match dirs.find(|(_, dir)| dir.starts_with('/')) {
            Some((_, dir)) => Places { cache: dir.trim_end_matches('/').into(), ..usual },
            None => usual,
        }
    }

    fn elsewhere(&self, configuration: &str) -> Elsewhere {
        // Reads `reposdir = /etc/yum.repos.d,/srv/repos`, without the usual places.
        let places = main_of(configuration).flat_map(|(name, value)| match name {
            // It reads hidden files too.
            "reposdir" => {
                dirs(value).flat_map(|dir| ["*", ".*"].map(|name| format!("{dir}/{name}.repo"))).collect()
            }
            "varsdir" => dirs(value).map(str::to_owned).collect(),
            _ => Vec::new(),
        });
        let unusual = places.filter(|place| !SOURCES.contains(&place.as_str()));
        Elsewhere { sources: unusual.collect(), ..Elsewhere::default() }
    }

    fn sources_in(&self, configuration: &str) -> Vec<String> {
        // The identifiers of the enabled repositories.
        let settings = sections(configuration).filter(|(_, name, value)| (*name, *value) == ("enabled", "1"));
        settings.map(|(id, _, _)| id.to_string()).collect()
    }

    fn priority(&self, configuration: &str, id: &str) -> Option<i64> {
        // What an older linux-patch has kept does not have it.
        let mut all = sections(configuration);
        let (.., value) = all.find(|(of, name, _)| (*of, *name) == (id, "priority"))?;
        value.parse().ok()
    }

    fn with_limits(&self, mut invocation: Invocation, configuration: &str) -> Invocation {
        // Those that differ from the defaults, for each repository.
        let limits = sections(configuration).filter(|(_, name, value)| {
            let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            is_number && DEFAULTS.iter().any(|(limit, usual)| limit == name && usual != value)
        });
        let limits: Vec<_> =
            limits.map(|(id, name, value)| format!("--setopt={id}.{name}={value}")).collect();
        let command = invocation.args.len() - 1;
        invocation.args.splice(command..command, limits);
        invocation
    }

    fn excludes(&self, configuration: &str) -> bool {
        excluded::is_any(main_of(configuration))
    }

    fn objection(&self, configuration: &str, installs: bool) -> Option<Failure> {
        // What in dnf.conf keeps us from working.
        tables::objection(main_of(configuration), installs)
    }
}

/// The settings of the main section, which stands first: name and value.
fn main_of(configuration: &str) -> impl Iterator<Item = (&str, &str)> {
    let main = configuration.lines().take_while(|line| !line.contains("repository configuration: "));
    main.filter_map(|line| line.split_once(" = "))
}

/// Asks for all settings, as dnf.conf, the files of the repositories and what overrides these have them.
struct AllSettings;

impl Locate for AllSettings {
    fn ask(&self) -> Invocation {
        dnf5(&["--dump-main-config", "--dump-repo-config=*"], &[])
    }

    fn files(&self) -> &'static [&'static str] {
        // Its plugin `actions` can change settings.
        &[
            "/etc/dnf/libdnf5-plugins",
            "/etc/dnf/libdnf5-plugins/actions.d",
            "/usr/share/dnf5/libdnf.plugins.conf.d",
            "/usr/share/dnf5/libdnf.plugins.conf.d/actions.d",
        ]
    }

    fn variables(&self) -> &'static [&'static str] {
        &["DNF"]
    }

    fn of_use(&self, configuration: &str) -> String {
        // The settings that we read, each below the line of its section.
        const KEYS: [&str; 12] = [
            "system_cachedir",
            "reposdir",
            "varsdir",
            "installroot",
            "destdir",
            "tsflags",
            "enabled",
            "priority",
            "timeout",
            "retries",
            "excludepkgs",
            "includepkgs",
        ];
        let is_of_use = |line: &&str| {
            line.starts_with("======== ")
                || line.split_once(" = ").is_some_and(|(key, _)| KEYS.contains(&key))
        };
        configuration.lines().filter(is_of_use).flat_map(|line| [line, "\n"]).collect()
    }

    fn depends_on_more(&self, file: &str) -> bool {
        file.contains("_base_setup:") || file.contains("repos_configured:")
    }
}

fn dirs(value: &str) -> impl Iterator<Item = &str> {
    let dirs = value.split(',').map(|dir| dir.trim().trim_end_matches('/'));
    dirs.filter(|dir| dir.starts_with('/'))
}

/// The settings of the repositories: identifier, name, value.
///
/// ```text
/// ======== "extra" repository configuration: ========
/// retries = 10
/// timeout = 180
/// ```
fn sections(configuration: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut id = None;
    configuration.lines().filter_map(move |line| {
        if line.starts_with("======== ") {
            id = line.split('"').nth(1).and_then(repository);
            return None;
        }
        let (name, value) = line.split_once(" = ")?;
        Some((id?, name, value))
    })
}

/// The values that dnf5 uses where nobody has set others.
const DEFAULTS: [(&str, &str); 2] = [("timeout", "30"), ("retries", "10")];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::manager::Manager;
    use std::time::Duration;

    #[test]
    fn what_is_kept_of_the_configuration_is_enough_to_read_and_holds_no_secret() {
        let text = "======== Main configuration: ========\nproxy_password = secret\nsystem_cachedir = /srv/cache/\n\
                    reposdir = /etc/yum.repos.d,/srv/repos\nexcludepkgs = kernel*\n\
                    ======== \"extra\" repository configuration: ========\nenabled = 1\npriority = 5\ntimeout = 180\n\
                    baseurl = http://me:secret@h/\npassword = secret\ngpgkey = http://me:secret@h/KEY\n";
        let kept = AllSettings.of_use(text);
        assert!(!kept.contains("secret") && kept.contains("/srv/cache/"), "{kept}");
        assert_eq!(
            (Dnf5.sources_in(&kept), Dnf5.elsewhere(&kept)),
            (Dnf5.sources_in(text), Dnf5.elsewhere(text))
        );
        let priority = |id| Dnf5.priority(&kept, id);
        assert_eq!(["extra", "other"].map(priority), [Some(5), None]);
        let usual = super::super::FACTS.usual_places();
        assert_eq!(Dnf5.parse_places(usual.clone(), &kept), Dnf5.parse_places(usual, text));
        let limited = |text: &str| {
            Dnf5.with_limits(crate::managers::dnf5::commands::dnf5(&[], &["upgrade"]), text).args
        };
        assert_eq!(limited(&kept), limited(text));
        assert!(limited(&kept).contains(&"--setopt=extra.timeout=180".to_string()));
        let repository = "======== \"extra\" repository configuration: ========\nexcludepkgs = a\n";
        assert!(Dnf5.excludes(text) && Dnf5.excludes(&kept) && !Dnf5.excludes(repository));
    }

    #[test]
    fn limits_that_are_set_go_before_ours_and_others_do_not() {
        let text = "======== \"a\" repository configuration: ========\nbaseurl = http://a/\nretries = 10\n\
                    timeout = 180\n======== \"b\" repository configuration: ========\nretries = 3\ntimeout = 30\n\
                    ======== \"c d\" repository configuration: ========\ntimeout = 5\n";
        let refresh = Dnf5.with_limits(Dnf5.refresh(Duration::from_secs(60)), text);
        assert!(refresh.line().contains("--setopt=*.timeout=4 "), "{}", refresh.line());
        let end = " --setopt=a.timeout=180 --setopt=b.retries=3 upgrade";
        assert!(refresh.line().ends_with(end), "{}", refresh.line());
    }
}
