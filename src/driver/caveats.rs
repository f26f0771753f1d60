//! What the numbers of this host mean: until when anybody says that something is pending, and whether anybody does.

use super::Session;
use super::published::OfSources;
use crate::store::state::State;
use crate::system::release::Release;

impl Session {
    /// Remembers until when the distribution is supported, and what makes "nothing is pending" mean less.
    pub(super) fn note_caveats(&self, state: &mut State, published: &OfSources) {
        let release = Release::of_this_system();
        state.support_ends = release.support_ends();
        state.caveats = Vec::new();
        if lacks_security_archive(&release, state) {
            let text =
                "no security archive is among the sources: security updates of the distribution are not seen";
            state.caveats.push(text.to_string());
        }
        let told: Vec<_> = published.values().filter_map(|published| published.has_advisories).collect();
        if !told.is_empty() && !told.contains(&true) {
            let text = "no repository here has advisories: that no security update is pending means nothing";
            state.caveats.push(text.to_string());
        }
    }
}

/// Whether a release whose security updates come from an archive of their own has sources, and none is that one.
fn lacks_security_archive(release: &Release, state: &State) -> bool {
    let is_one = |id: &str| {
        let (place, suite) = id.rsplit_once(' ').unwrap_or((id, ""));
        let suite = suite.trim_end_matches('/');
        suite.ends_with("-security")
            || suite.ends_with("/updates")
            || place.contains("security.debian.org")
            || place.contains("debian-security")
            || place.contains("security.ubuntu.com")
    };
    state.manager.as_deref() == Some("apt")
        && release.has_security_archive()
        && !state.sources.is_empty()
        && !state.sources.iter().any(|source| is_one(&source.id))
}
