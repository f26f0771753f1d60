//! Judging a refresh repository by repository. Run to stop at a repository that fails, dnf5 says
//! which; run to skip it, it may say nothing. So it stops, and is run again without it.

use super::classes::is_of_cache;
use super::commands::{SOURCES, WITHOUT};
use super::errors::{classify, is_bar, named_repository, why_failed};
use crate::managers::facts::{Elsewhere, Places};
use crate::managers::rpm::errors::{known, reason_class};
use crate::managers::rpm::tables;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::Refreshed;
use crate::system::process::{End, Finished, Invocation};
use std::collections::BTreeMap;

/// The first line of every run that asks repositories, and the one that follows when it has all.
const BEGINS: &str = "Updating and loading repositories:";
const LOADED: &str = "Repositories loaded.";

/// The refresh of one repository alone. dnf5 takes no command line that names one and leaves out another.
pub fn alone(all: &Invocation, id: &str) -> Invocation {
    let mut invocation = all.clone();
    invocation.args.pop();
    invocation.args.retain(|arg| !arg.starts_with(WITHOUT));
    invocation.args.extend([format!("--repo={id}"), "makecache".to_string()]);
    invocation
}

/// The refresh without one.
pub fn without_source(mut all: Invocation, id: &str) -> Invocation {
    let command = all.args.len() - 1;
    all.args.insert(command, format!("{WITHOUT}{id}"));
    all
}

/// The same refresh without the repositories that failed; none where it reached the end, or where
/// no repository was at fault.
pub fn others(last: &Invocation, finished: &Finished) -> Option<Invocation> {
    if !matches!(finished.end, End::Code(_)) || Seen::of(finished).is_loaded {
        return None;
    }
    let failed = Seen::of(finished).failed;
    let without = failed.keys().map(|id| format!("{WITHOUT}{id}"));
    let new: Vec<_> = without.filter(|option| !last.args.contains(option)).collect();
    if new.is_empty() {
        return None;
    }
    let mut next = last.clone();
    let command = next.args.len() - 1;
    next.args.splice(command..command, new);
    Some(next)
}

/// Reads `system_cachedir = /var/cache/libdnf5`.
pub fn parse_places(usual: Places, configuration: &str) -> Places {
    let main = configuration.lines().take_while(|line| !line.contains("repository configuration: "));
    match main.filter_map(|line| line.strip_prefix("system_cachedir = ")).find(|dir| dir.starts_with('/')) {
        Some(dir) => Places { cache: dir.trim_end_matches('/').into(), ..usual },
        None => usual,
    }
}

/// The settings that we read, each below the line of its section.
pub fn of_use(configuration: &str) -> String {
    const KEYS: [&str; 11] = [
        "system_cachedir",
        "reposdir",
        "varsdir",
        "installroot",
        "destdir",
        "tsflags",
        "enabled",
        "timeout",
        "retries",
        "excludepkgs",
        "includepkgs",
    ];
    let is_of_use = |line: &&str| {
        line.starts_with("======== ") || line.split_once(" = ").is_some_and(|(key, _)| KEYS.contains(&key))
    };
    configuration.lines().filter(is_of_use).flat_map(|line| [line, "\n"]).collect()
}

/// Reads `reposdir = /etc/yum.repos.d,/srv/repos`, less the usual places.
pub fn elsewhere(configuration: &str) -> Elsewhere {
    let main = configuration.lines().take_while(|line| !line.contains("repository configuration: "));
    let places = main.flat_map(|line| match line.split_once(" = ") {
        // It reads hidden files too.
        Some(("reposdir", value)) => {
            dirs(value).flat_map(|dir| ["*", ".*"].map(|name| format!("{dir}/{name}.repo"))).collect()
        }
        Some(("varsdir", value)) => dirs(value).map(str::to_owned).collect(),
        _ => Vec::new(),
    });
    let unusual = places.filter(|place| !SOURCES.contains(&place.as_str()));
    Elsewhere { sources: unusual.collect(), ..Elsewhere::default() }
}

/// What in dnf.conf is in the way.
pub fn objection(configuration: &str, installs: bool) -> Option<Failure> {
    let main = configuration.lines().take_while(|line| !line.contains("repository configuration: "));
    tables::objection(main.filter_map(|line| line.split_once(" = ")), installs)
}

fn dirs(value: &str) -> impl Iterator<Item = &str> {
    let dirs = value.split(',').map(|dir| dir.trim().trim_end_matches('/'));
    dirs.filter(|dir| dir.starts_with('/'))
}

/// The identifiers of the repositories that are switched on.
pub fn configured(configuration: &str) -> Vec<String> {
    let settings = sections(configuration).filter(|(_, name, value)| (*name, *value) == ("enabled", "1"));
    settings.map(|(id, _, _)| id.to_string()).collect()
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

/// What dnf5 does where nobody has set anything else.
const DEFAULTS: [(&str, &str); 2] = [("timeout", "30"), ("retries", "10")];

/// Puts the limits into a refresh that differ from these, repository by repository.
pub fn with_limits(mut invocation: Invocation, configuration: &str) -> Invocation {
    let limits = sections(configuration).filter(|(_, name, value)| {
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        is_number && DEFAULTS.iter().any(|(limit, usual)| limit == name && usual != value)
    });
    let limits: Vec<_> = limits.map(|(id, name, value)| format!("--setopt={id}.{name}={value}")).collect();
    let command = invocation.args.len() - 1;
    invocation.args.splice(command..command, limits);
    invocation
}

/// Whether a repository failed.
pub fn has_failed(finished: &Finished) -> bool {
    !Seen::of(finished).failed.is_empty()
}

/// What a refresh did. Only a repository that was there when all repositories were loaded was
/// refreshed.
pub fn judge(finished: &Finished) -> Refreshed {
    let mut seen = Seen::of(finished);
    if !seen.is_loaded {
        // It stopped somewhere: what it had by then is not known.
        seen.refreshed.clear();
    }
    let refreshed = seen.refreshed.into_iter().map(|id| (id, None));
    let mut sources: BTreeMap<String, Option<Failure>> = refreshed.collect();
    sources.extend(seen.failed.into_iter().map(|(id, failure)| (id, Some(failure))));
    let is_any_failed = sources.values().any(Option::is_some);
    let stopped = match seen.is_loaded {
        false => {
            let unnamed = || Failure::new(Class::Other, "dnf5 did not say that the repositories are loaded");
            Some(why_failed(finished).unwrap_or_else(unnamed))
        }
        // What could not be resolved says nothing against the index; anything else that stopped dnf5
        // may be the index.
        true if !is_any_failed && !sources.is_empty() => {
            why_failed(finished).filter(|failure| failure.class != Class::Dependency)
        }
        true => None,
    };
    let mut refreshed = Refreshed::of(sources, stopped, "dnf5 named no repository that it refreshed");
    // What is pending is counted anew where its list cannot be believed.
    refreshed.changed |= !is_any_failed && classify(finished).is_some();
    refreshed
}

/// What one or more runs said of the repositories.
struct Seen {
    /// Whether the last run had all that it was to have.
    is_loaded: bool,
    /// Those that the last run asked, less the failed.
    refreshed: Vec<String>,
    failed: BTreeMap<String, Failure>,
}

impl Seen {
    /// Below the line of a repository stand the mirrors that failed, each with its URL, and last
    /// why none was left. A repository that another mirror had has no such last line.
    ///
    /// ```text
    /// Updating and loading repositories:
    ///  extra                     100% |  11.7 KiB/s |  24.0   B |  00m00s
    /// >>> Status code: 404 for http://127.0.0.2/repodata/repomd.xml (IP: 127.0.0.2) - http://127.0.0.2/repodata/repomd.xml
    /// >>> Usable URL not found
    /// Failed to download metadata (baseurl: "http://127.0.0.2/") for repository "extra": Usable URL not found
    /// ```
    fn of(finished: &Finished) -> Seen {
        let mut seen = Seen { is_loaded: false, refreshed: Vec::new(), failed: BTreeMap::new() };
        let mut current: Option<&str> = None;
        let mut reasons: BTreeMap<&str, Failure> = BTreeMap::new();
        let mut last_error: Option<&str> = None;
        // What became of a key that was asked for: its bar has its address.
        let mut of_key: Option<&str> = None;
        let mut is_key = false;
        for line in finished.stderr.lines() {
            if line == BEGINS {
                (seen.is_loaded, current, last_error) = (false, None, None);
                seen.refreshed.clear();
            } else if line == LOADED {
                seen.is_loaded = true;
            } else if let Some(bar) = asked(line) {
                current = repository(bar);
                is_key = bar.contains("://");
                of_key = None;
                seen.refreshed.extend(current.map(str::to_owned));
            } else if let Some(words) = line.strip_prefix(">>> ") {
                of_key = Some(words).filter(|_| is_key);
                let Some(id) = current else { continue };
                let reason = Failure::new(reason_class(words), format!("{id}: {words}"));
                let cause = match reasons.remove(id) {
                    Some(before) => known(before, reason),
                    None => reason,
                };
                if !is_of_a_mirror(words) {
                    seen.fail(id, not_to_be_had(cause.clone()));
                }
                reasons.insert(id, cause);
            } else if !line.starts_with("Is this ok") {
                // ` No valid source (...) found for repository "x"` stands below a headline.
                let text = last_error.filter(|_| line.starts_with(' ')).unwrap_or_default();
                if let Some(id) = named_repository(line).filter(|id| repository(id) == Some(id)) {
                    let text = format!("{text}{line}");
                    let of_line = match of_key.filter(|_| line.starts_with("Failed to download key ")) {
                        Some(words) => key_failure(line, words),
                        None if is_of_cache(&text) => Failure::new(Class::Fetch, text),
                        None => Failure::new(reason_class(&text), text),
                    };
                    let cause =
                        reasons.get(id).cloned().map_or(of_line.clone(), |cause| known(cause, of_line));
                    let is_download = line.starts_with("Failed to download ");
                    seen.fail(id, if is_download { not_to_be_had(cause) } else { cause });
                }
                last_error = Some(line);
            }
        }
        let Seen { refreshed, failed, .. } = &mut seen;
        refreshed.retain(|id| !failed.contains_key(id));
        seen
    }

    fn fail(&mut self, id: &str, cause: Failure) {
        let cause = match self.failed.remove(id) {
            Some(before) => known(before, cause),
            None => cause,
        };
        self.failed.insert(id.to_string(), cause);
    }
}

/// A key that is not there is no index that a later refresh could find.
fn key_failure(line: &str, words: &str) -> Failure {
    let class = match reason_class(words) {
        class @ (Class::Network | Class::Space | Class::Interrupted) => class,
        _ => Class::Auth,
    };
    let start = line.split_once(": ").map_or(line, |(start, _)| start);
    Failure::new(class, format!("{start}: {words}"))
}

/// A file that cannot be had, for no reason that is known, is a fetch error.
fn not_to_be_had(cause: Failure) -> Failure {
    if cause.class == Class::Other { Failure { class: Class::Fetch, ..cause } } else { cause }
}

/// What a line of progress is about, also behind a question that nobody answered.
fn asked(line: &str) -> Option<&str> {
    let bar = line.strip_prefix("Is this ok [y/N]: ").unwrap_or(line);
    (bar.starts_with(' ') && is_bar(bar)).then(|| bar.split_whitespace().next()).flatten()
}

/// A word that can be the identifier of a repository. Keys that are downloaded have lines too.
fn repository(word: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (!word.is_empty() && word.len() <= 200 && word.bytes().all(allowed)).then_some(word)
}

/// `Status code: 404 for URL (IP: ...) - URL`
fn is_of_a_mirror(words: &str) -> bool {
    words.rsplit_once(" - ").is_some_and(|(_, url)| url.contains("://") && !url.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::refreshed::RefreshOutcome;
    use std::time::Duration;

    fn printed(code: i32, stderr: &str) -> Finished {
        Finished::ended(code, "", stderr)
    }

    fn bar(id: &str) -> String {
        format!(" {id}      100% | 502.4 KiB/s |   3.5 KiB |  00m00s\n")
    }

    fn ids(refreshed: &Refreshed) -> Vec<(&str, bool)> {
        refreshed.sources.iter().map(|source| (source.id.as_str(), source.error.is_none())).collect()
    }

    const GONE: &str = ">>> Status code: 404 for http://a/r.xml (IP: 127.0.0.2) - http://a/r.xml\n>>> Usable URL not found\n";

    #[test]
    fn what_is_kept_of_the_configuration_is_enough_to_read_and_holds_no_secret() {
        let text = "======== Main configuration: ========\nproxy_password = secret\nsystem_cachedir = /srv/cache/\n\
                    reposdir = /etc/yum.repos.d,/srv/repos\nexcludepkgs = kernel*\n\
                    ======== \"extra\" repository configuration: ========\nenabled = 1\ntimeout = 180\n\
                    baseurl = http://me:secret@h/\npassword = secret\ngpgkey = http://me:secret@h/KEY\n";
        let kept = of_use(text);
        assert!(!kept.contains("secret") && kept.contains("/srv/cache/"), "{kept}");
        assert_eq!((configured(&kept), elsewhere(&kept)), (configured(text), elsewhere(text)));
        let usual = super::super::FACTS.usual_places();
        assert_eq!(parse_places(usual.clone(), &kept), parse_places(usual, text));
        let limited =
            |text: &str| with_limits(crate::managers::dnf5::commands::dnf5(&[], &["upgrade"]), text).args;
        assert_eq!(limited(&kept), limited(text));
        assert!(limited(&kept).contains(&"--setopt=extra.timeout=180".to_string()));
        let list = || crate::managers::dnf5::commands::dnf5(&[], &["upgrade"]);
        assert!(crate::managers::rpm::excluded::ask(Some(&kept), list(), "--off").is_some());
    }

    #[test]
    fn the_others_are_refreshed_without_those_that_failed() {
        let first = format!(
            "{BEGINS}\n{}{GONE}{}Failed to download metadata (baseurl: \"http://a/\") for repository \"b\": x\n",
            bar("a"),
            bar("c")
        );
        let finished = printed(1, &first);
        let next = others(&super::super::refresh(Duration::from_secs(60)), &finished).unwrap();
        let end = "--disable-repo=a --disable-repo=b upgrade";
        assert!(next.line().ends_with(end), "{}", next.line());
        assert_eq!(others(&next, &finished), None, "nothing new failed");
        assert_eq!(judge(&finished).outcome, RefreshOutcome::Failed);
        let both = finished.followed_by(printed(1, &format!("{BEGINS}\n{}{LOADED}\n", bar("c"))));
        assert_eq!(others(&next, &both), None);
        let judged = judge(&both);
        assert_eq!(ids(&judged), [("a", false), ("b", false), ("c", true)]);
        assert_eq!(judged.outcome, RefreshOutcome::Partial);
        assert_eq!(judged.error.unwrap().class, Class::Fetch);
    }

    #[test]
    fn a_mirror_that_another_one_stands_in_for_is_no_failure() {
        let mirror =
            ">>> Curl error (7): Could not connect to server for http://a/r.xml [x] - http://a/r.xml\n";
        let judged = judge(&printed(0, &format!("{BEGINS}\n{}{mirror}{LOADED}\n", bar("a"))));
        assert_eq!((ids(&judged), judged.outcome), (vec![("a", true)], RefreshOutcome::Fresh));
    }

    #[test]
    fn limits_that_are_set_go_before_ours_and_others_do_not() {
        let text = "======== \"a\" repository configuration: ========\nbaseurl = http://a/\nretries = 10\n\
                    timeout = 180\n======== \"b\" repository configuration: ========\nretries = 3\ntimeout = 30\n\
                    ======== \"c d\" repository configuration: ========\ntimeout = 5\n";
        let refresh = with_limits(super::super::refresh(Duration::from_secs(60)), text);
        assert!(refresh.line().contains("--setopt=*.timeout=5 "), "{}", refresh.line());
        let end = " --setopt=a.timeout=180 --setopt=b.retries=3 upgrade";
        assert!(refresh.line().ends_with(end), "{}", refresh.line());
    }

    /// Found by fuzzing: all was loaded, and dnf5 failed all the same.
    #[test]
    fn a_run_that_failed_after_all_was_loaded_is_not_fresh() {
        let after = |words: &str| judge(&printed(1, &format!("{BEGINS}\n{}{LOADED}\n{words}\n", bar("a"))));
        let judged = after("Something nobody has seen before");
        assert_eq!(judged.outcome, RefreshOutcome::Failed);
        assert_eq!(judged.error.unwrap().message, "Something nobody has seen before");
        let unresolved = "Failed to resolve the transaction:\nNo match for argument: x";
        assert_eq!(after(unresolved).outcome, RefreshOutcome::Fresh);
        assert_eq!(after("Operation aborted by the user.").outcome, RefreshOutcome::Fresh);
    }

    #[test]
    fn keys_are_no_repositories_and_an_unanswered_question_hides_none() {
        let text = format!(
            "{BEGINS}\n{}{}Importing OpenPGP key 0x7E28C160:\nIs this ok [y/N]: {}>>> Signing key not found\n{LOADED}\n",
            bar("http://a/key"),
            bar("b"),
            bar("sig")
        );
        assert_eq!(ids(&judge(&printed(0, &text))), [("b", true), ("sig", false)]);
    }

    #[test]
    fn an_option_can_not_be_slipped_in_as_a_repository() {
        let text = format!("{BEGINS}\nFailed to download metadata for repository \"a --foo\": x\n");
        assert_eq!(others(&super::super::refresh(Duration::ZERO), &printed(1, &text)), None);
    }
}
