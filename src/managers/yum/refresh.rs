//! Judging a refresh repository by repository. yum never says what it refreshed. What it could not get it disables,
//! often without a word; where it could get only a part of the newest index, it keeps the old one.

use super::classes::reason_class;
use super::errors::classify;
use super::lists::{self, Repository, repositories};
use crate::managers::rpm::errors::{known, silent_server};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::Refreshed;
use crate::model::text::one_line;
use crate::system::process::Finished;
use std::collections::{BTreeMap, BTreeSet};

/// What a refresh that ended by itself did. A repository was refreshed if it is still enabled afterwards, and no line
/// says that its old index was kept.
pub fn judge(finished: &Finished) -> Refreshed {
    let mut sources: BTreeMap<String, Option<Failure>> = BTreeMap::new();
    let all = repositories(&finished.stdout);
    let off: BTreeSet<_> = all.iter().filter(|one| one.is_on.is_none()).map(|one| one.id.as_str()).collect();
    let errors = errors(&finished.stderr);
    let addresses: usize = all.iter().map(|one| one.urls.len() + 1).sum();
    if addresses.saturating_mul(errors.len()) > MOST_WORK {
        let text = "yum named more repositories and errors than there can be";
        return Refreshed::failed(Vec::new(), Failure::new(Class::Other, text));
    }
    let (parts, old_lists) = (parts(&errors), old_lists(&finished.stderr));
    let nobodys = errors.iter().filter(|(url, _)| !all.iter().any(|other| is_of(other, url)));
    let nobodys = nobodys.map(told).reduce(known);
    for one in all.iter().filter(|one| one.is_on.is_some()) {
        if one.is_on == Some(false) && off.contains(one.id.as_str()) {
            continue;
        }
        let list_is_old = one.mirrors.as_deref().is_some_and(|list| old_lists.contains(list));
        let kept_old = list_is_old || kept_old(one, &parts);
        let is_fresh = one.is_on == Some(true) && one.has_index && !kept_old;
        let mut failure = (!is_fresh).then(|| failure_of(one, &errors, &nobodys));
        // What came is no metalink.
        failure
            .iter_mut()
            .filter(|why| list_is_old && why.class == Class::Other)
            .for_each(|why| why.class = Class::Fetch);
        sources.insert(one_line(&one.id), failure);
    }
    let named = finished.stderr.lines().filter_map(named).chain(silent_server(&finished.stderr));
    for (id, failure) in named {
        sources.insert(one_line(&id), Some(failure));
    }
    // yum stopped before it had looked at every repository: nothing is known of the others.
    let is_whole = finished.stdout.lines().any(|line| line == "Leaving Shell");
    let unfinished = || Failure::new(Class::Other, "yum did not answer all that it was asked");
    let stopped = classify(finished).or_else(|| (!is_whole).then(unfinished));
    Refreshed::of(sources, stopped, "yum named no repository that it refreshed")
}

/// What is pending in the repositories that were refreshed: yum also lists what an old index offers.
pub fn pending(finished: &Finished) -> Listing {
    let mut listing = lists::pending(&finished.stdout);
    let sources = judge(finished).sources;
    let failed = sources.into_iter().filter(|source| source.error.is_some()).map(|source| source.id);
    let failed: BTreeSet<_> = failed.collect();
    listing.updates.retain(|update| !update.source.as_ref().is_some_and(|id| failed.contains(id)));
    listing
}

/// Each repository is compared with each error. More than this would take minutes, and no real machine has so many.
const MOST_WORK: usize = 4_000_000;

fn told((url, text): &(&str, &str)) -> Failure {
    let text = format!("{url}: {text}");
    Failure::new(reason_class(&text), text)
}

/// Why a repository was not refreshed, by the errors of its own addresses, or else by `nobodys`.
fn failure_of(one: &Repository, errors: &[(&str, &str)], nobodys: &Option<Failure>) -> Failure {
    let reasons = errors.iter().filter(|(url, _)| is_of(one, url)).map(told).reduce(known);
    // yum does not name the mirrors of a disabled repository, so an error that fits no other repository may be its.
    let others = || nobodys.clone().filter(|_| one.mirrors.is_some());
    match (reasons.or_else(others), &one.urls[..], &one.mirrors) {
        (Some(failure), ..) => Failure::new(failure.class, format!("{}: {}", one.id, failure.message)),
        (None, [], None) => {
            Failure::new(Class::Config, format!("Cannot find a valid baseurl for repo: {}", one.id))
        }
        _ => Failure::new(
            Class::Other,
            format!("{}: yum left it out and gave no reason, as it does where a disk is full", one.id),
        ),
    }
}

/// The addresses from which a part of an index could not be had, by that part.
fn parts<'a>(errors: &[(&'a str, &str)]) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut failed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (url, _) in errors {
        if let Some((_, file)) = url.rsplit_once("/repodata/") {
            failed.entry(file).or_default().insert(url);
        }
    }
    failed
}

/// Whether no mirror had a file of the new index: yum then keeps the old index. Each mirror that failed has a line. If
/// that file is `repomd.xml`, yum disables the repository; one from before March 2016 keeps its old index too.
fn kept_old(one: &Repository, parts: &BTreeMap<&str, BTreeSet<&str>>) -> bool {
    let all_failed = |urls: &BTreeSet<&str>| {
        let own = one.urls.iter().filter(|own| urls.iter().any(|url| is_below(own, url))).count();
        own > 0 && own == one.urls.len() && urls.len() >= own.saturating_add(one.more)
    };
    parts.values().any(all_failed)
}

/// Whether a file of an index belongs to the repository at this address, and not to one further down.
fn is_below(own: &str, url: &str) -> bool {
    let is_it = |base: &str| unquoted(base) == unquoted(own.trim_end_matches('/'));
    url.rsplit_once("/repodata/").is_some_and(|(base, _)| is_it(base))
}

/// An address without its `%40`: yum's errors quote what `repolist` shows as it was written, such as `@` and `~`.
fn unquoted(url: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (bytes, mut at) = (url.as_bytes(), 0);
    let mut plain = Vec::with_capacity(bytes.len());
    while let Some(byte) = bytes.get(at) {
        let quoted = digit(bytes.get(at + 1)).zip(digit(bytes.get(at + 2))).filter(|_| *byte == b'%');
        plain.push(quoted.map_or(*byte, |(high, low)| (high * 16 + low) as u8));
        at += if quoted.is_some() { 3 } else { 1 };
    }
    plain
}

/// The metalinks that could not be had or read. If yum has an older one it uses that, with the index that it names, and
/// asks no mirror whether there is a newer index.
///
/// ```text
/// Could not get metalink http://127.0.0.2:8080/metalink error was
/// 14: HTTP Error 503 - Service Unavailable
/// ```
fn old_lists(stderr: &str) -> BTreeSet<&str> {
    stderr.lines().filter_map(|line| METALINK.iter().find_map(|start| list_in(line, start))).collect()
}

const METALINK: [&str; 2] = ["Could not get metalink ", "Could not parse metalink "];
const LISTS: [&str; 3] = ["Could not retrieve mirrorlist ", METALINK[0], METALINK[1]];

fn list_in<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.trim_end().strip_suffix(" error was")
}

fn is_of(one: &Repository, url: &str) -> bool {
    one.urls.iter().any(|own| is_below(own, url))
        || one.mirrors.as_deref().is_some_and(|list| list == url || unquoted(list) == unquoted(url))
}

/// The addresses that failed, and why.
///
/// ```text
/// http://127.0.0.2:8080/repodata/repomd.xml: [Errno 14] HTTP Error 404 - Not Found
/// Trying other mirror.
/// Could not retrieve mirrorlist http://127.0.0.2:8080/list error was
/// 14: HTTP Error 404 - Not Found
/// ```
fn errors(stderr: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut list = None;
    for line in stderr.lines() {
        if let Some(list) = list.take() {
            found.push((list, line));
        } else if let Some(named) = LISTS.iter().find_map(|start| list_in(line, start)) {
            list = Some(named);
        } else if let Some(error) = super::errors::address(line) {
            found.push(error);
        }
    }
    found
}

/// Words about a section that yum does not take for a repository. With an option that names it, yum does nothing at all.
pub const NO_REPOSITORY: &[&str] = &["Bad id for repo: ", "': Error parsing config: "];

/// The lines that name a repository themselves.
///
/// ```text
/// Not using downloaded extra/repomd.xml because it is older than what we have:
/// Repository 'x': Error parsing config: Error parsing "baseurl = 'htp://x/'": ...
/// Bad id for repo: my repo, byte =   2
/// ```
fn named(line: &str) -> Option<(String, Failure)> {
    if let Some((id, _)) = line
        .strip_prefix("Not using downloaded ")
        .and_then(|rest| rest.split_once("/repomd.xml because it is older "))
    {
        return Some((id.to_string(), Failure::new(Class::Fetch, line.trim_end_matches(':'))));
    }
    let (id, _) = match line.strip_prefix(NO_REPOSITORY[0]) {
        // Taken from yum's source; not recorded.
        Some(rest) => rest.rsplit_once(", byte = ")?,
        None => line.strip_prefix("Repository '")?.split_once(NO_REPOSITORY[1])?,
    };
    Some((id.to_string(), Failure::new(Class::Config, line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(urls: &[&str], more: usize) -> Repository {
        Repository {
            id: "m".into(),
            is_on: Some(true),
            urls: urls.iter().map(|url| url.to_string()).collect(),
            more,
            mirrors: Some("http://list".into()),
            has_index: true,
        }
    }

    #[test]
    fn a_repository_that_yum_does_not_take_for_one_is_named() {
        for line in ["Bad id for repo: my repo, byte =   2", "Repository 'my repo': Error parsing config: x"]
        {
            let (id, failure) = named(line).unwrap();
            assert_eq!((&*id, failure.class), ("my repo", Class::Config));
        }
        assert!(named("Bad id").is_none());
    }

    #[test]
    fn a_server_that_did_not_say_which_repositories_there_are_is_a_source_that_failed() {
        let said = "There was an error communicating with RHN.\nRed Hat Satellite or RHN Classic support will be \
                    disabled.\nConnection refused\n";
        let sources = judge(&Finished::ended(0, "Leaving Shell\n", said)).sources;
        let failed = sources.iter().find(|source| source.id == "RHN (plugin)");
        assert_eq!(
            failed.and_then(|source| source.error.as_ref()).map(|why| why.class),
            Some(Class::Network)
        );
    }

    #[test]
    fn an_index_is_old_only_when_every_mirror_failed_to_give_a_part_of_it() {
        let part = |host: &str| format!("http://{host}/repodata/abc-primary.sqlite.bz2");
        let (a, b, c) = (part("a"), part("b"), part("c"));
        let errors =
            |urls: &[&'static str]| parts(&urls.iter().map(|url| (*url, "[Errno 14]")).collect::<Vec<_>>());
        let leak = |text: &String| -> &'static str { Box::leak(text.clone().into_boxed_str()) };
        let (a, b, c) = (leak(&a), leak(&b), leak(&c));
        assert!(!kept_old(&repository(&["http://a/"], 2), &errors(&[a, b])));
        assert!(!kept_old(&repository(&["http://a/"], 2), &errors(&[a, a, a])));
        assert!(kept_old(&repository(&["http://a/"], 2), &errors(&[a, b, c])));
        assert!(kept_old(&repository(&["http://a/"], 0), &errors(&[a])));
        assert!(!kept_old(&repository(&["http://a/", "http://b/"], 0), &errors(&[a])));
        assert!(!kept_old(&repository(&["http://d/"], 0), &errors(&[a])));
        assert!(!kept_old(&repository(&[], 0), &errors(&[a])), "nothing says that it is its own");
        let below = errors(&["http://a/updates/repodata/abc-primary.sqlite.bz2"]);
        assert!(!kept_old(&repository(&["http://a/"], 0), &below), "it is another repository's");
        let quoted = errors(&["http://a/%40group/%7Ex/repodata/abc-primary.sqlite.bz2"]);
        assert!(kept_old(&repository(&["http://a/@group/~x/"], 0), &quoted), "yum's errors quote addresses");
        assert_eq!(unquoted("%4"), b"%4");
        let repomd = errors(&["http://a/repodata/repomd.xml"]);
        assert!(kept_old(&repository(&["http://a/"], 0), &repomd), "an older yum does not turn it off");
    }
}
