//! What an `apt-get update` did that was ended before its time. Its progress lines say when a file begins to come, not
//! when it is complete; whether it is in the index shows that.

use super::classes::fetch_class;
use super::progress::{Kind, items};
use super::refresh::{Given, items_of};
use super::sources::{ENDS, Source, Target, parse};
use crate::managers::capabilities::{Ended, EndedEarly, IndexDir, IndexFile};
use crate::model::failure::Failure;
use crate::system::process::Finished;

pub struct EndedRefresh;

impl EndedEarly for EndedRefresh {
    fn is_list(&self, name: &str) -> bool {
        ["InRelease", "Release", "Release.gpg"].iter().any(|end| name.ends_with(end))
    }

    fn read(&self, finished: &Finished, answer: &str, dirs: [&IndexDir; 3]) -> Vec<Ended> {
        let sources = parse(answer);
        let items = items(&finished.stdout);
        let of_sources = items_of(&sources, &items);
        let ended = sources.iter().zip(of_sources).map(|(source, of_source)| {
            let failed = of_source.iter().map(|given| given.item).filter(|item| item.last == Kind::Failed);
            let failed = failed.min_by_key(|item| item.reason.is_empty());
            Ended {
                id: source.id(),
                is_done: failed.is_none() && is_done(source, &of_source, dirs),
                error: failed.map(|item| Failure::new(fetch_class(&item.reason), &item.reason)),
                lists: source.lists(),
            }
        });
        ended.collect()
    }
}

/// Whether all files of a source have come and are in place. That a file came shows there; that it has not changed only
/// apt says.
fn is_done(source: &Source, items: &[Given], [start, before, after]: [&IndexDir; 3]) -> bool {
    let needed = source.targets.iter().filter(|target| target.is_needed());
    let inode = |dir: &IndexDir, name: &str| dir.get(name).map(|file| file.inode);
    let counts = |given: &&Given| given.is_sure || given.item.last != Kind::Hit;
    let counting = || items.iter().filter(counts).map(|given| given.item);
    let last = |what: &str| counting().find(|item| item.what == what).map(|item| item.last);
    let prefix = source.prefix().unwrap_or_default();
    let release = ["InRelease", "Release"].map(|what| (what, format!("{prefix}{what}")));
    let release = release.iter().find(|(_, name)| after.contains_key(name));
    let Some((what, name)) = release else {
        // The same for a flat repository.
        let came = |target: &Target| after.contains_key(target.file());
        let is_new = |target: &Target| inode(after, target.file()) != inode(start, target.file());
        return match last("Packages") {
            Some(Kind::Hit) => needed.into_iter().any(came),
            Some(Kind::Got) => needed.into_iter().any(is_new),
            _ => false,
        };
    };
    let is_stored = inode(after, name) != inode(start, name);
    match last(what).or_else(|| last("InRelease")) {
        Some(Kind::Hit) => {}
        Some(Kind::Got) if is_stored => {}
        _ => return false,
    }
    // apt puts all files in place at once, when it has all of them.
    let was_over = is_stored && inode(before, name) != inode(start, name);
    let old = before.get(name).filter(|_| !was_over);
    needed.into_iter().all(|target| {
        let (was, is) = (file_of(before, target), file_of(after, target));
        let wanted = lines(after.get(name), &target.key);
        let is_used = |other: &Target| {
            file_of(after, other).is_some() && !lines(after.get(name), &other.key).is_empty()
        };
        let may_be_absent =
            || wanted.is_empty() || target.is_of_all() || source.is_supplanted(target, is_used);
        let is_absent = is.is_none() && may_be_absent();
        let is_new = is.map(|file| file.inode) != was.map(|file| file.inode);
        is_absent || (is.is_some() && (was_over || is_new || wanted == lines(old, &target.key)))
    })
}

fn file_of<'a>(dir: &'a IndexDir, target: &Target) -> Option<&'a IndexFile> {
    ENDS.iter().find_map(|end| dir.get(&format!("{}{end}", target.file())))
}

/// What a Release file says about a file, whichever way it is compressed: checksum, size and name.
fn lines<'a>(release: Option<&'a IndexFile>, key: &str) -> Vec<&'a [u8]> {
    let text = release.and_then(|file| file.text.as_deref()).unwrap_or_default();
    let is_of_file = |line: &&[u8]| {
        let name = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
        let end = name.strip_prefix(key.as_bytes());
        line.starts_with(b" ") && end.is_some_and(|end| end.is_empty() || end.starts_with(b"."))
    };
    text.split(|&byte| byte == b'\n').filter(is_of_file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str =
        "http://h/\ts\tmain/binary-amd64/Packages\tPackages\t/l/h_dists_s_main_binary-amd64_Packages\n";

    fn dir(files: &[(&str, u64, &str)]) -> IndexDir {
        let file = |(name, inode, text): &(&str, u64, &str)| {
            let text = (!text.is_empty()).then(|| text.as_bytes().to_vec());
            ((*name).to_string(), IndexFile { inode: *inode, modified: None, text })
        };
        files.iter().map(file).collect()
    }

    fn index(release: u64, text: &str, packages: u64) -> IndexDir {
        let text = format!("SHA256:\n {text} 9 main/binary-amd64/Packages.gz\n");
        dir(&[
            ("h_dists_s_InRelease", release, &text),
            ("h_dists_s_main_binary-amd64_Packages", packages, ""),
        ])
    }

    #[test]
    fn a_source_is_done_when_the_index_holds_what_came() {
        let got = "Get:1 http://h s InRelease [9 B]\n";
        let empty = IndexDir::new();
        let only_release = dir(&[("h_dists_s_InRelease", 3, " a 9 main/binary-amd64/Packages\n")]);
        for (what, stdout, start, before, after, is_done) in [
            (
                "unchanged",
                "Hit:1 http://h s InRelease\n",
                index(1, "a", 2),
                index(1, "a", 2),
                index(1, "a", 2),
                true,
            ),
            ("new, all in place", got, index(1, "a", 2), index(1, "a", 2), index(3, "b", 4), true),
            (
                "new, the packages did not come",
                got,
                index(1, "a", 2),
                index(1, "a", 2),
                index(3, "b", 2),
                false,
            ),
            (
                "new, the packages are the same",
                got,
                index(1, "a", 2),
                index(1, "a", 2),
                index(3, "a", 2),
                true,
            ),
            ("on its way", got, index(1, "a", 2), index(1, "a", 2), index(1, "a", 2), false),
            ("first, all in place", got, empty.clone(), empty.clone(), index(3, "b", 4), true),
            ("first, the packages did not come", got, empty.clone(), empty.clone(), only_release, false),
            (
                "over before the end, in a hook",
                got,
                index(1, "a", 2),
                index(3, "b", 4),
                index(3, "b", 4),
                true,
            ),
            ("not come to", "", index(1, "a", 2), index(1, "a", 2), index(1, "a", 2), false),
        ] {
            let ended = EndedRefresh.read(&Finished::ended(1, stdout, ""), ANSWER, [&start, &before, &after]);
            assert_eq!(ended[0].is_done, is_done, "{what}");
            assert_eq!(ended[0].lists[0], "h_dists_s_InRelease");
        }
        let failed = EndedRefresh.read(
            &Finished::ended(1, "Err:1 http://h s InRelease\n  503  X\n", ""),
            ANSWER,
            [&empty; 3],
        );
        assert_eq!(failed[0].error.as_ref().unwrap().message, "503 X");
    }

    #[test]
    fn an_unchanged_file_that_may_be_that_of_several_sources_is_no_sign_of_any() {
        let one = ANSWER.to_string();
        let two = format!("{one}{}", ANSWER.replace("http://h/", "http://g/x").replace("h_", "g_x_"));
        for (answer, lines, is_done) in [
            (&one, "Hit:1 http://m s InRelease\n", true),
            (&two, "Hit:1 http://m s InRelease\n", false),
            (&two, "Hit:1 http://m s InRelease\nHit:2 http://h s InRelease\n", true),
            (&two, "Hit:1 http://m s InRelease\nHit:2 http://g/x s InRelease\n", true),
        ] {
            let ended = EndedRefresh.read(&Finished::ended(1, lines, ""), answer, [&index(1, "a", 2); 3]);
            assert_eq!(ended[0].is_done, is_done, "{lines}{answer}");
        }
    }
}
