//! What the numbers of this host may leave out: support that has ended, sources without advisories, packages that no
//! source offers.

use super::Session;
use super::published::OfSources;
use crate::model::published::is_security_suite;
use crate::model::text::one_line;
use crate::store::state::{Source, State};
use crate::system::release::Release;

const NO_ADVISORIES: &str =
    "no repository here has advisories: that no security update is pending means nothing";

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

    /// Security updates that need a subscription, by the last list of what is pending.
    fn caveat_of_subscription(&self, state: &State) -> Option<String> {
        match self.subscription.borrow().as_ref() {
            Some(said) => said.as_ref().map(|what| one_line(&format!("{SUBSCRIPTION}{what}"))),
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
    pub(super) fn note_caveats(&self, state: &mut State, published: &OfSources) {
        let release = Release::of_this_system();
        state.support_ends = release.support_ends();
        let has_no_advisories =
            have_no_advisories(&state.sources, published) || still_lacks_advisories(state);
        let has_no_archive = lacks_security_archive(&release, state, published);
        let subscription = self.caveat_of_subscription(state);
        state.caveats = subscription.into_iter().collect();
        if has_no_archive {
            state.caveats.push(NO_ARCHIVE.to_string());
        }
        if has_no_advisories {
            state.caveats.push(NO_ADVISORIES.to_string());
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
}
