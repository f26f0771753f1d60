//! A server that redirects to the index of another suite. On a first fetch apt accepts it with a warning, and prints
//! the same warning where a suite only has another name. The address from which the file came shows which it is, and
//! apt tells that address only when asked.

use super::commands::{ENV, FIXED};
use super::errors::messages;
use super::progress::{Item, Kind, items};
use super::refresh::items_of;
use super::sources::{Source, kept_as, path_of, source_id, suite_of};
use crate::managers::capabilities::Came;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::system::process::{Finished, Invocation};

/// No more than this are looked at again.
const MOST: usize = 20;

/// Reads warnings like this one; flat repositories have no suite:
///
/// ```text
/// W: Conflicting distribution: http://127.0.0.1 stable InRelease (expected stable but got stable-security)
/// ```
pub fn doubts(finished: &Finished) -> Vec<(String, Invocation)> {
    let messages = messages(&finished.stderr);
    let doubts = messages.iter().filter(|message| message.is_warning).filter_map(|message| {
        let rest = message.text.strip_prefix("Conflicting distribution: ")?.split_once(" (expected ")?.0;
        let mut words = rest.rsplitn(3, ' ');
        let (file, suite, uri) = (words.next()?, words.next()?, words.next()?);
        let uri = uri.trim_end_matches('/');
        let url = format!("{uri}/dists/{suite}/{file}");
        (!suite.ends_with('/')).then(|| (source_id(uri, suite), fetch(url)))
    });
    doubts.take(MOST).collect()
}

/// Reads which Release files were fetched, and not found unchanged:
///
/// ```text
/// Get:1 http://127.0.0.1 stable InRelease [548 B]
/// ```
pub fn came(finished: &Finished) -> Vec<Came> {
    let came = finished.stdout.lines().filter_map(|line| {
        let (_, rest) = line.strip_prefix("Get:")?.split_once(' ')?;
        let mut words = rest.split(" [").next()?.rsplitn(3, ' ');
        let (file, suite, uri) = (words.next()?, suite_of(words.next()?), words.next()?);
        let uri = uri.trim_end_matches('/');
        let is_one = matches!(file, "InRelease" | "Release") && !uri.contains('+');
        let id = source_id(uri, suite);
        let kept = kept_as(&id, file).filter(|_| is_one)?;
        Some(Came { id, file: kept, again: fetch(format!("{uri}/{}", path_of(suite, file))) })
    });
    came.collect()
}

/// The same for sources that are known: one that is redirected or has a list of mirrors is not printed by its address.
/// What may be that of several sources is left out.
pub fn came_of(finished: &Finished, sources: &[Source]) -> Vec<Came> {
    let items = items(&finished.stdout);
    let of_sources = sources.iter().zip(items_of(sources, &items));
    let came = of_sources.flat_map(|(source, given)| {
        let sure = given.into_iter().filter(|given| given.is_sure);
        sure.filter_map(|given| came_from(given.item, source)).collect::<Vec<_>>()
    });
    came.collect()
}

fn came_from(item: &Item, source: &Source) -> Option<Came> {
    let is_new = item.arrived && !matches!(item.last, Kind::Hit | Kind::Failed);
    let is_one = matches!(item.what, "InRelease" | "Release");
    let &(uri, place) = item.names.last().filter(|(uri, _)| is_new && is_one && !uri.contains('+'))?;
    let file = format!("{}{}", source.prefix()?, item.what);
    let again = fetch(format!("{uri}/{}", path_of(suite_of(place), item.what)));
    Some(Came { id: source.id(), file, again })
}

fn fetch(url: String) -> Invocation {
    let options = FIXED.iter().chain(&["Debug::pkgAcquire::Worker=true", "Acquire::Retries=0"]);
    let options = options.flat_map(|option| ["-o", option]);
    let helper = Invocation::of("/usr/lib/apt/apt-helper", options);
    Invocation { env: ENV, ..helper.with(["download-file", &url]) }
}

/// Reads the messages to and from the program that fetches. The answer to a redirect names the next address:
///
/// ```text
///  <- http:103%20Redirect%0aURI:%20http://a/dists/s/InRelease%0aNew-URI:%20http://b/dists/t/InRelease%0a
/// ```
pub fn is_others(args: &[String], finished: &Finished) -> Option<Failure> {
    let url = args.iter().find(|arg| arg.contains(":/") && arg.contains("/dists/"))?;
    let place = &url[url.rfind("/dists/")?..];
    let talk = finished.stderr.lines().chain(finished.stdout.lines());
    let targets = talk.filter_map(|line| line.split_once("New-URI:%20")?.1.split("%0a").next());
    let other = targets.into_iter().find(|target| !target.ends_with(place))?;
    let text = format!("what came is another's: the server redirects {url} to {other}");
    Some(Failure::new(Class::Fetch, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_what_was_found_unchanged_are_told_apart() {
        let text = "Hit:1 http://a x InRelease\nGet:2 http://b/d stable/updates InRelease [548 B]\n\
                    Get:3 http://b/d stable/updates/main amd64 Packages [257 B]\nGet:4 file:/srv s Release\n\
                    Get:5 mirror+file:/m s InRelease [9 B]\nGet:6 http://c ./ InRelease [1 B]\n\
                    Get:7 http://d  InRelease [1 B]\nGet:\n";
        let found = came(&Finished::ended(0, text, ""));
        let shown: Vec<_> = found.iter().map(|came| (came.id.as_str(), came.file.as_str())).collect();
        let first = ("http://b/d stable/updates", "b_d_dists_stable_updates_InRelease");
        let (flat, bare) = (("http://c ./", "c_._InRelease"), ("http://d /", "d_InRelease"));
        assert_eq!(shown, [first, ("file:/srv s", "_srv_dists_s_Release"), flat, bare]);
        assert_eq!(found[2].again.args.last().unwrap(), "http://c/./InRelease");
        assert_eq!(found[3].again.args.last().unwrap(), "http://d/InRelease");
        assert_eq!(found[0].again.args.last().unwrap(), "http://b/d/dists/stable/updates/InRelease");
        let many: String = (0..50).map(|at| format!("Get:{at} http://a{at} s InRelease [1 B]\n")).collect();
        assert_eq!(came(&Finished::ended(0, &many, "")).len(), 50, "the last may be the one that went back");
    }

    #[test]
    fn what_came_from_elsewhere_is_its_sources_if_it_can_be_no_others() {
        let line = |uri: &str, suite: &str| {
            format!(
                "{uri}\t{suite}\tmain/x/Packages\tPackages\t/l/{}_dists_{suite}_main_x_Packages\n",
                uri.len()
            )
        };
        let found = |answer: &[String], lines: &str| {
            let came =
                came_of(&Finished::ended(0, lines, ""), &super::super::sources::parse(&answer.concat()));
            let shown =
                came.into_iter().map(|came| (came.id, came.file, came.again.args.last().unwrap().clone()));
            shown.collect::<Vec<_>>()
        };
        let mirrors = line("mirror+file:/m/", "s");
        let lines = "Get:1 http://a/d s InRelease [9 B]\nGet:2 http://a/d s/main x Packages [9 B]\nHit:3 http://b t InRelease\n";
        let its =
            ("mirror+file:/m s".into(), "15_dists_s_InRelease".into(), "http://a/d/dists/s/InRelease".into());
        assert_eq!(found(&[mirrors.clone(), line("http://b/", "t")], lines), [its]);
        assert_eq!(found(&[mirrors, line("http://c/", "s")], lines), []);
    }

    #[test]
    fn only_a_redirect_to_another_suite_shows_that_an_index_is_anothers() {
        let warning = |suite: &str| {
            format!("W: Conflicting distribution: http://a {suite} InRelease (expected x but got y)\n")
        };
        assert!(doubts(&Finished::ended(0, "", &warning("./"))).is_empty());
        let doubts = doubts(&Finished::ended(0, "", &warning("s")));
        let (id, invocation) = &doubts[0];
        assert_eq!(id, "http://a s");
        let answer = |to: &str| {
            let line = format!(
                " <- http:103%20Redirect%0aURI:%20http://a/dists/s/InRelease%0aNew-URI:%20{to}%0aX:%20y%0a%0a\n"
            );
            is_others(&invocation.args, &Finished::ended(0, "", &line)).map(|failure| failure.class)
        };
        assert_eq!(answer("http://b/dists/t/InRelease"), Some(Class::Fetch));
        assert_eq!(answer("http://b/mirror/dists/s/InRelease"), None);
        assert_eq!(is_others(&invocation.args, &Finished::ended(0, "", "")), None);
    }
}
