//! Which source an item belongs to that has the name of none: it comes from a mirror or from the target of a redirect.

use super::progress::Item;
use super::sources::Source;

/// Of these sources (places in the list) those whose whole path ends the item's path, as where a redirect leads to a copy
/// in a deeper place. If there is none, those whose path ends most like it. One without a path may lead anywhere.
pub fn like(sources: &[Source], item: &Item, among: Vec<usize>) -> Vec<usize> {
    let path = |at: &usize| path(&sources[*at].uri);
    let equal = |at: &usize| item.names.iter().map(|(uri, _)| equal_ends(uri, &sources[*at].uri)).max();
    let (mut found, others): (Vec<_>, Vec<_>) = among.into_iter().partition(|at| path(at).count() == 0);
    let is_whole = |at: &usize| equal(at) == Some(path(at).count());
    let most = others.iter().map(equal).max().flatten();
    let is_any_whole = others.iter().any(is_whole);
    let is_like = |at: &usize| if is_any_whole { is_whole(at) } else { equal(at) == most };
    found.extend(others.into_iter().filter(is_like));
    found
}

/// The directories of a URI, the last one first.
fn path(uri: &str) -> impl Iterator<Item = &str> {
    let path = match uri.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => uri.split_once(":/").map_or(uri, |(_, path)| path),
    };
    path.rsplit('/').filter(|name| !name.is_empty())
}

/// How many directories at the end of two URIs are the same.
fn equal_ends(one: &str, other: &str) -> usize {
    path(one).zip(path(other)).take_while(|(one, other)| one == other).count()
}
