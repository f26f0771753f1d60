//! What the numbers of this host may leave out: support that has ended, sources without advisories, packages that no
//! source offers.

use super::Session;
use super::published::OfSources;
use crate::model::published::is_security_suite;
use crate::model::text::one_line;
use crate::store::state::{Source, State};
use crate::system::release::Release;
use std::collections::BTreeSet;

const NO_ADVISORIES: &str =
    "no repository here has advisories: that no security update is pending means nothing";

const NONE_IN: &str = "no advisories in ";
const NONE_THERE: &str = ": whether an update from there is a security update is not known";

/// More repositories than this are only counted.
const MOST_NAMED: usize = 5;

const NO_ARCHIVE: &str =
    "no security archive is among the sources: security updates of the distribution are not seen";

const SUBSCRIPTION: &str = "security updates that are not installed here require ";

impl Session {
    /// Remembers which installed packages no source offers any more. `changed`: something that decides about it has
    /// changed. While a source cannot be reached, the earlier answer stays. Each question is asked once, whatever the
    /// answer: otherwise every refresh would start a manager that cannot answer it.
    pub(super) fn note_not_offered(&self, state: &mut State, changed: bool) {
        state.not_offered_asked &= !changed;
        let is_due = !state.not_offered_asked && state.last_update_success;
        let Some(question) = self.manager.ask_not_offered().filter(|_| is_due) else { return };
        state.not_offered_asked = true;
        let answer = self.answer(&question).ok();
        let names = answer.and_then(|answer| self.manager.parse_not_offered(&answer));
        state.not_offered = names.map(|names| names.iter().map(|name| one_line(name)).collect());
    }

    /// Security updates that need a subscription. Where there is no answer, the earlier one stays.
    fn caveat_of_subscription(&self, state: &State, is_asked_anew: bool) -> Option<String> {
        match is_asked_anew.then(|| self.manager.needs_subscription(self)).flatten() {
            Some(what) => (!what.is_empty()).then(|| one_line(&format!("{SUBSCRIPTION}{what}"))),
            None => state.caveats.iter().find(|caveat| caveat.starts_with(SUBSCRIPTION)).cloned(),
        }
    }

    /// Remembers whether advisories need not be asked for, because no index that is stored here has any.
    pub(super) fn note_advisories(&mut self, state: &State, published: &OfSources) {
        let (failed, refreshed): (Vec<_>, Vec<_>) =
            state.sources.iter().cloned().partition(|source| source.error.is_some());
        let is_known = refreshed.is_empty() || have_no_advisories(&refreshed, published);
        let ids = failed.iter().map(|source| &source.id);
        self.has_no_advisories = !state.sources.is_empty() && is_known && self.stores_no_advisories(ids);
    }

    /// Remembers until when the distribution is supported, and why "nothing is pending" may mean less than it says.
    pub(super) fn note_caveats(&self, state: &mut State, published: &OfSources, is_asked_anew: bool) {
        let release = Release::of_this_system();
        state.support_ends = release.support_ends();
        let has_no_advisories =
            have_no_advisories(&state.sources, published) || still_lacks_advisories(state);
        let has_no_archive = lacks_security_archive(&release, state, published);
        let subscription = self.caveat_of_subscription(state, is_asked_anew);
        // Where no index could be looked at, what was found before still holds.
        let before =
            state.caveats.iter().find(|caveat| is_of_updates(caveat) && published.is_empty()).cloned();
        state.caveats = subscription.into_iter().collect();
        if has_no_archive {
            state.caveats.push(NO_ARCHIVE.to_string());
        }
        if has_no_advisories {
            state.caveats.push(NO_ADVISORIES.to_string());
        } else {
            state.caveats.extend(updates_without_advisories(state, published).or(before));
        }
    }
}

/// Whether the indexes of all sources are known, and none has advisories.
fn have_no_advisories(sources: &[Source], published: &OfSources) -> bool {
    let has_none = |source: &Source| {
        let published = published.get(&source.id).filter(|_| source.error.is_none());
        published.is_some_and(|published| published.has_advisories == Some(false))
    };
    !sources.is_empty() && sources.iter().all(has_none)
}

/// Whether a caveat is about pending updates of repositories without advisories.
pub(super) fn is_of_updates(caveat: &str) -> bool {
    caveat.starts_with(NONE_IN)
}

/// Says which repositories have updates here and no advisories, where others have some: none of these updates counts as
/// a security update.
fn updates_without_advisories(state: &State, published: &OfSources) -> Option<String> {
    let updates = state.pending.iter().flat_map(|pending| pending.packages());
    let sources =
        updates.filter(|update| update.security != Some(true)).filter_map(|update| update.source.as_ref());
    let has_none =
        |id: &&String| published.get(*id).is_some_and(|published| published.has_advisories == Some(false));
    let ids: BTreeSet<&str> = sources.filter(has_none).map(String::as_str).collect();
    let named: Vec<_> = ids.iter().copied().take(MOST_NAMED).collect();
    let more = ids.len() - named.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!ids.is_empty()).then(|| one_line(&format!("{NONE_IN}{}{rest}{NONE_THERE}", named.join(", "))))
}

/// Whether that was known before, and a source that could not be refreshed may have some now.
fn still_lacks_advisories(state: &State) -> bool {
    state.sources.iter().any(|source| source.error.is_some())
        && state.caveats.iter().any(|caveat| caveat == NO_ADVISORIES)
}

/// Whether the sources lack the archive of security updates that this release has. One that could not be refreshed may
/// be that: the earlier answer stays then.
fn lacks_security_archive(release: &Release, state: &State, published: &OfSources) -> bool {
    let is_one = |id: &str| {
        let (place, suite) = id.rsplit_once(' ').unwrap_or((id, ""));
        is_security_suite(suite.trim_end_matches('/'))
            || ["security.debian.org", "debian-security", "security.ubuntu.com"]
                .iter()
                .any(|name| place.contains(name))
    };
    let is_expected = state.manager.as_deref() == Some("apt")
        && release.has_security_archive()
        && !state.sources.is_empty();
    let is_there = published.values().any(|published| published.is_security)
        || state.sources.iter().any(|source| is_one(&source.id));
    if is_expected && !is_there && state.sources.iter().any(|source| source.error.is_some()) {
        return state.caveats.iter().any(|caveat| caveat == NO_ARCHIVE);
    }
    is_expected && !is_there
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::published::Published;
    use serde_json::{Value, json};

    fn state(manager: &str, sources: Value) -> State {
        serde_json::from_value(json!({"manager": manager, "sources": sources})).unwrap()
    }

    #[test]
    fn an_archive_of_security_updates_is_known_by_its_suite_or_its_place() {
        let release = Release::parse("ID=debian\nVERSION_ID=12\n");
        let none = OfSources::new();
        let lacks = |id: &str| {
            let sources = json!([{"id": "http://a/debian stable"}, {"id": id}]);
            lacks_security_archive(&release, &state("apt", sources), &none)
        };
        for id in [
            "http://a/debian stable-security",
            "http://a/security stretch/updates",
            "http://a/security stretch/updates/",
            "http://security.debian.org stable/x",
            "https://a/debian-security stable",
            "http://security.ubuntu.com/ubuntu noble",
        ] {
            assert!(!lacks(id), "{id}");
        }
        for id in ["http://a/debian stable-updates", "http://a/debian stable-backports", "http://a/ ./"] {
            assert!(lacks(id), "{id}");
        }
        let failed = json!([{"id": "http://a/debian stable"}, {"id": "http://a/x y", "error": {"class": "fetch", "message": "x"}}]);
        let mut known = state("apt", failed);
        assert!(!lacks_security_archive(&release, &known, &none), "the one that failed may be it");
        known.caveats.push(NO_ARCHIVE.to_string());
        assert!(lacks_security_archive(&release, &known, &none), "it was looked at before");
        let sources = || json!([{"id": "http://a/debian stable"}]);
        assert!(!lacks_security_archive(&release, &state("dnf", sources()), &none));
        assert!(!lacks_security_archive(&Release::default(), &state("apt", sources()), &none));
        assert!(
            !lacks_security_archive(&release, &state("apt", json!([])), &none),
            "nothing is known of them"
        );
    }

    #[test]
    fn that_no_repository_has_advisories_is_said_only_where_all_are_known() {
        let of = |told: &[Option<bool>]| -> OfSources {
            let one = |(at, has): (usize, &Option<bool>)| {
                (at.to_string(), Published { has_advisories: *has, ..Published::default() })
            };
            told.iter().enumerate().map(one).collect()
        };
        let whole = state("dnf", json!([{"id": "0"}, {"id": "1"}]));
        for (told, expected) in [
            (&[Some(false), Some(false)][..], true),
            (&[Some(false), Some(true)], false),
            (&[Some(false), None], false),
            (&[Some(false)], false),
            (&[], false),
        ] {
            assert_eq!(have_no_advisories(&whole.sources, &of(told)), expected, "{told:?}");
        }
        assert!(!have_no_advisories(&[], &of(&[])));
        let failure = json!({"class": "fetch", "message": "x"});
        let mut partial = state("dnf", json!([{"id": "0"}, {"id": "1", "error": failure}]));
        assert!(
            !have_no_advisories(&partial.sources, &of(&[Some(false), Some(false)])),
            "that one may have some"
        );
        assert!(!still_lacks_advisories(&partial));
        partial.caveats.push(NO_ADVISORIES.to_string());
        assert!(still_lacks_advisories(&partial));
    }

    #[test]
    fn repositories_without_advisories_are_named_where_updates_come_from_them() {
        let of = |ids: &[(&str, Option<bool>)]| -> OfSources {
            let one = |(id, has): &(&str, Option<bool>)| {
                (id.to_string(), Published { has_advisories: *has, ..Published::default() })
            };
            ids.iter().map(one).collect()
        };
        let told = of(&[("a", Some(true)), ("b", Some(false)), ("c", Some(false)), ("d", None)]);
        let named = |updates: &[(&str, Option<bool>)]| {
            let one = |(source, security): &(&str, Option<bool>)| json!({"name": "x", "candidate": "2", "source": source, "security": security});
            let packages: Vec<_> = updates.iter().map(one).collect();
            let pending = json!({"as_of": "2026-01-02T03:04:05Z", "packages": packages});
            let state: State = serde_json::from_value(json!({"manager": "dnf", "pending": pending})).unwrap();
            updates_without_advisories(&state, &told)
        };
        assert_eq!(named(&[("c", Some(false)), ("b", None)]).unwrap(), format!("{NONE_IN}b, c{NONE_THERE}"));
        for (source, security) in [("a", Some(false)), ("d", Some(false)), ("e", None), ("b", Some(true))] {
            assert_eq!(named(&[(source, security)]), None, "{source}");
        }
        let ids: Vec<String> = (1..8).map(|at| format!("r{at}")).collect();
        let told = of(&ids.iter().map(|id| (id.as_str(), Some(false))).collect::<Vec<_>>());
        let packages: Vec<_> =
            ids.iter().map(|id| json!({"name": "x", "candidate": "2", "source": id})).collect();
        let pending = json!({"as_of": "2026-01-02T03:04:05Z", "packages": packages});
        let state: State = serde_json::from_value(json!({"pending": pending})).unwrap();
        let text = updates_without_advisories(&state, &told).unwrap();
        assert!(text.contains("r5 and 2 more: "), "{text}");
    }
}
