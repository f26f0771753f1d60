//! Hooks of an update print among apt's own words: which lines of progress are apt's.

use super::errors::{Message, is_loss, messages};
use super::progress::{Item, Kind, failed_uris, items, items_with};
use super::sources::Source;
use crate::system::process::Finished;
use std::collections::HashSet;

/// The items that apt's progress lines tell of. On standard output hooks may print such lines too, with any number. So
/// a line is a hook's that gives the number of one configured source to another, or says that something failed that had
/// not changed and that no error names: apt itself says so of an index whose signature it no longer accepts. If apt sums up what failed it has an error or a warning for each: if each of these names something that
/// failed, what none of them names is a hook's too. Where a source is damaged, unsigned or gone apt sums up nothing, and
/// says nothing more of the others that failed (`AcquireUpdate` in apt-pkg/update.cc).
pub fn items_of_apt<'a>(finished: &'a Finished, own: Option<&str>, configured: &[Source]) -> Vec<Item<'a>> {
    let stdout = &finished.stdout;
    let Some(own) = own else { return items(stdout) };
    let all = messages(own);
    let is_summed_up = sums_up(&all);
    let losses: Vec<Message> = all.into_iter().filter(speaks_of_loss).collect();
    let reasons = losses.iter().map(|loss| loss.text.as_str()).filter(|text| !text.starts_with(SUMMARY));
    let failed: HashSet<&str> = failed_uris(stdout).collect();
    let is_whole = match losses.is_empty() {
        true => finished.succeeded(),
        false => is_summed_up && reasons.clone().all(|text| failed.iter().any(|uri| speaks_of(text, uri))),
    };
    let told: HashSet<&str> =
        failed.into_iter().filter(|uri| reasons.clone().any(|text| speaks_of(text, uri))).collect();
    let uris: HashSet<&str> = configured.iter().map(|source| source.uri.as_str()).collect();
    // A list may name mirrors that are sources of their own too.
    let is_any_list = uris.iter().any(|uri| uri.starts_with("mirror"));
    items_with(stdout, &|line| {
        let is_of = |uri| !is_any_list && uris.contains(uri);
        let is_anothers = line.first != line.uri && is_of(line.first) && is_of(line.uri);
        let can_fail = told.contains(line.uri) || (!is_whole && line.before != Some(Kind::Hit));
        !is_anothers && (line.kind != Kind::Failed || can_fail)
    })
}

/// Whether a message says that something was not refreshed.
pub fn speaks_of_loss(message: &Message) -> bool {
    message.is_error || (message.is_warning && is_loss(&message.text))
}

/// Whether a message names a file of this URI, or the URI before a suite.
fn speaks_of(text: &str, uri: &str) -> bool {
    text.split(uri).skip(1).any(|rest| rest.starts_with(['/', ' ']))
}

/// Whether apt has said all that it has to say of what failed.
pub fn sums_up(messages: &[Message]) -> bool {
    messages.iter().any(|message| message.text.starts_with(SUMMARY))
}

/// This only sums up what stands before it.
pub const SUMMARY: &str = "Some index files failed to download";
