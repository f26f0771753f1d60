//! What yum.conf and the files of the repositories set.

use super::Yum;
use super::commands::SOURCES;
use crate::managers::capabilities::ConfigFile;
use crate::managers::configuration::Configuration;
use crate::managers::facts::{Elsewhere, Places};
use crate::managers::rpm;
use crate::managers::rpm::files::release_of;
use crate::managers::rpm::settings::main_of;
use crate::managers::rpm::tables::{objection, settings, with_longest_limits};
use crate::model::failure::Failure;
use crate::system::process::Invocation;
use std::path::{Component, Path};

impl Configuration for Yum {
    fn release_of(&self, configured: &[ConfigFile], id: &str) -> &'static [&'static str] {
        release_of(configured, id)
    }

    fn parse_places(&self, usual: Places, text: &str) -> Places {
        // `cachedir=/var/cache/yum/$basearch/$releasever`: what is below the first variable is searched.
        let settings = settings(text);
        let cache = main_of(&settings).filter(|(name, value)| *name == "cachedir" && value.starts_with('/'));
        let is_plain = |part: &Component| !part.as_os_str().to_string_lossy().contains('$');
        match cache.last() {
            Some((_, dir)) => {
                Places { cache: Path::new(dir).components().take_while(is_plain).collect(), ..usual }
            }
            None => usual,
        }
    }

    fn elsewhere(&self, text: &str) -> Elsewhere {
        rpm::settings::elsewhere(text, SOURCES)
    }

    fn sources_in(&self, text: &str) -> Vec<String> {
        rpm::settings::enabled(text)
    }

    fn with_limits(&self, invocation: Invocation, text: &str) -> Invocation {
        // It does not say which of two options counts of which one names all repositories and the other one of them.
        with_longest_limits(invocation, text)
    }

    fn objection(&self, text: &str, installs: bool) -> Option<Failure> {
        let settings = settings(text);
        objection(main_of(&settings).filter(|(name, _)| *name != "destdir"), installs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::manager::Manager;
    use std::time::Duration;

    #[test]
    fn the_longest_limit_that_yum_conf_or_a_repository_sets_counts_for_all() {
        let ours = Yum.refresh(Duration::from_secs(120));
        for (text, more) in [
            ("[main]\ntimeout=180\nretries=10\n", &["timeout=180", "retries=10"][..]),
            ("[main]\ntimeout=60\n[a]\ntimeout=3m\n[b]\ntimeout=90\n", &["timeout=90"]),
            ("[main]\nretries=0\n[a]\nretries=7\n", &["retries=0"]),
            ("[main]\ntimeout=5\nretries=1\n[a]\ntimeout=never\n", &[]),
            ("", &[]),
        ] {
            let limited = Yum.with_limits(ours.clone(), text);
            let mut expected = ours.args.clone();
            let end = expected.len() - 2;
            expected.splice(end..end, more.iter().map(|limit| format!("--setopt=*.{limit}")));
            assert_eq!(limited.args, expected, "{text}");
        }
    }

    #[test]
    fn what_yum_conf_puts_elsewhere_is_found() {
        let usual = || Yum.facts().usual_places();
        for (text, cache) in [
            ("[main]\ncachedir=/srv/yum/$basearch/$releasever\n", "/srv/yum"),
            ("[main]\ncachedir=/var/cache/yum/$basearch/$releasever\n", "/var/cache/yum"),
            ("[main]\ncachedir=relative\n[a]\ncachedir=/srv\n", "/var/cache/yum"),
        ] {
            assert_eq!(Yum.parse_places(usual(), text).cache, Path::new(cache), "{text}");
        }
        let text = "[main]\nreposdir=/etc/yum.repos.d /srv/repos/,/srv/b\n[a]\nname=a\n[b]\nenabled=0\n";
        assert_eq!(Yum.elsewhere(text).sources, ["/srv/repos", "/srv/b"]);
        assert_eq!(Yum.sources_in(text), ["a"]);
        assert!(Yum.objection("[main]\ntsflags=nodocs test\n", true).is_some());
        assert!(Yum.objection("[main]\ntsflags=nodocs\ninstallroot=/\n", true).is_none());
    }
}
