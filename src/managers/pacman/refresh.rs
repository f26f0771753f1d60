//! Judging `pacman -Sy` repository by repository.

use super::classes::{self, reason_class};
use super::{config, errors, lines};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::text::one_line;
use crate::system::process::{End, Finished};
use std::collections::BTreeMap;

/// What a refresh that ended by itself did. pacman names a repository when it begins with it, and prints an error for
/// every mirror that fails. Whether another mirror had the file it says only by its exit code, for all repositories
/// together. If that is not 0, a repository with an error counts as failed, unless its mirrors tell otherwise
/// ([`came_from_another_mirror`]). If another program fetches (`XferCommand`),
/// pacman names none: then the configuration and the files tell.
pub fn judge(finished: &Finished) -> Refreshed {
    let mut sources: BTreeMap<String, Option<Failure>> = BTreeMap::new();
    for id in shown(finished) {
        sources.insert(one_line(id), None);
    }
    // A name that is there twice was begun, too: pacman takes the first.
    for (id, failure) in refused(finished).filter(|(id, _)| !shown(finished).any(|begun| begun == *id)) {
        sources.insert(one_line(id), Some(failure));
    }
    let decisive = errors::classify(finished);
    let ok = finished.end == End::Code(0) && decisive.is_none();
    for (id, failure) in failures(finished).into_iter().filter(|_| !ok) {
        let known = sources.remove(&id).flatten();
        let failure = known.map_or(failure.clone(), |known| known.more_decisive(failure));
        sources.insert(id, Some(failure));
    }
    let unnamed = "pacman named no repository that it refreshed";
    if ok {
        return Refreshed::of(sources, None, unnamed);
    }
    if sources.values().all(Option::is_none) {
        // Another failure: nothing is known of any of them.
        let error =
            decisive.unwrap_or_else(|| Failure::new(Class::Other, "pacman failed and gave no reason"));
        sources.values_mut().for_each(|source| *source = Some(error.clone()));
        return Refreshed::of(sources, Some(error), unnamed);
    }
    let mut refreshed = Refreshed::of(sources, None, unnamed);
    // A full disk, for example, is the reason for all.
    refreshed.error = refreshed.error.into_iter().chain(decisive).reduce(Failure::more_decisive);
    refreshed
}

/// The repositories that pacman began with, by the names that it shows.
fn shown(finished: &Finished) -> impl Iterator<Item = &str> {
    let lines = finished.stdout.lines().take_while(|line| !line.starts_with(":: Starting full system "));
    lines.filter_map(begun)
}

/// Whether pacman began with this repository. Of its file `my.pkgs.db` pacman shows what stands before `.pkg` or
/// `.db`.
pub fn has_begun(finished: &Finished, id: &str) -> bool {
    let file = format!("{id}.db");
    let end = [".pkg", ".db"].iter().find_map(|part| file.find(part));
    let name = &file[..end.unwrap_or(file.len())];
    shown(finished).any(|begun| begun == name)
}

/// ` core downloading...`, and on a terminal ` core is up to date`.
fn begun(line: &str) -> Option<&str> {
    let rest = line.strip_prefix(' ')?;
    let id = rest.strip_suffix(" downloading...").or_else(|| rest.strip_suffix(" is up to date"))?;
    (!id.starts_with(' ') && !id.is_empty() && !id.contains('/')).then_some(id)
}

/// The repositories that pacman refuses for their names. It goes on without them, and exits with 0.
///
/// ```text
/// error: could not register 'a/b' database (wrong or NULL argument passed)
/// error: could not register 'local' database (database already registered)
/// ```
fn refused(finished: &Finished) -> impl Iterator<Item = (&str, Failure)> {
    lines::errors(finished).filter_map(|line| {
        let id = errors::refused(line)?;
        let text = format!("{id}: {line}: pacman takes no such name, the repository needs another one");
        Some((id, Failure::new(Class::Config, text)))
    })
}

/// The repositories that errors name.
///
/// ```text
/// error: failed retrieving file 'extra.db' from 127.0.0.2:8080 : The requested URL returned error: 404
/// error: extra: signature from "Somebody <x@example.org>" is unknown trust
/// error: database 'extra' is not valid (invalid or corrupted database (PGP signature))
/// error: no servers configured for repository: extra
/// ```
fn failures(finished: &Finished) -> Vec<(String, Failure)> {
    let mut found = Vec::new();
    for line in lines::errors(finished) {
        if let Some((id, class)) = named(line) {
            let mut text =
                if line.starts_with(&format!("{id}: ")) { line.to_string() } else { format!("{id}: {line}") };
            if id.contains(' ') {
                text.push_str(" (no address can hold its name, which has a blank: it needs another one)");
            }
            found.push((one_line(id), Failure::new(class, text)));
        }
    }
    // pacman says this also before it asks for the signature; what became of that says more.
    found.sort_by_key(|(_, failure)| failure.message.ends_with("missing required signature"));
    found
}

/// The repository that an error names.
fn named(line: &str) -> Option<(&str, Class)> {
    let named = if let Some((file, reason)) = classes::retrieving(line) {
        let id = file.strip_suffix(".sig").unwrap_or(file).strip_suffix(".db");
        id.map(|id| (id, if id.contains(' ') { Class::Config } else { reason_class(file, reason) }))
    } else if let Some(rest) = line.strip_prefix("database '") {
        rest.split_once("' is not valid").map(|(id, words)| (id, classes::database_class(words)))
    } else if let Some(id) = line.strip_prefix("no servers configured for repository: ") {
        Some((id, Class::Config))
    } else {
        line.split_once(": ")
            .filter(|(_, words)| classes::is_about_signature(words))
            .map(|(id, _)| (id, Class::Auth))
    };
    named.filter(|(id, _)| !id.contains('/'))
}

/// Whether another mirror has sent the index of this repository, of which errors name mirrors alone. pacman asks one
/// after the other, in the order of its configuration, until one answers; each that fails is an error. It stops asking
/// a host that failed three times, or has no address:
///
/// ```text
/// error: failed retrieving file 'core.db' from 127.0.0.2 : The requested URL returned error: 404
/// warning: too many errors from 127.0.0.2, skipping for the remainder of this transaction
/// ```
pub fn came_from_another_mirror(finished: &Finished, id: &str, servers: &[String]) -> bool {
    let lines: Vec<&str> = finished.stderr.lines().collect();
    let skipped = |line: &&str| {
        let rest = line.strip_prefix("warning: too many errors from ");
        let rest = rest.or_else(|| line.strip_prefix("warning: fatal error from "))?;
        Some(rest.strip_suffix(", skipping for the remainder of this transaction")?.to_string())
    };
    let file = format!("{id}.db");
    let mut left = servers;
    let mut goes_on = false;
    for (at, line) in lines.iter().enumerate() {
        let Some(error) =
            line.strip_prefix("error: ").filter(|error| named(error).is_some_and(|it| it.0 == id))
        else {
            continue;
        };
        let mirror = error.strip_prefix(&format!("failed retrieving file '{file}' from "));
        let mirror = mirror.and_then(|rest| rest.split_once(" : "));
        let Some((host, _)) = mirror.filter(|(_, reason)| *reason != TOO_LONG) else { return false };
        // The warning about this very error comes right after it.
        let skipped: Vec<String> = lines.iter().take(at + 2).filter_map(skipped).collect();
        let Some(nth) = left.iter().position(|server| host_of(server) == host) else { return false };
        left = &left[nth + 1..];
        goes_on = left.iter().any(|server| !skipped.iter().any(|host| host == host_of(server)));
    }
    goes_on
}

/// After this pacman asks no other mirror.
const TOO_LONG: &str = "expected download size exceeded";

/// The host of a mirror, as pacman names it.
fn host_of(server: &str) -> &str {
    if server.starts_with("file://") {
        return "disk";
    }
    let host = server.split_once("//").map_or(server, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    host.rsplit_once('@').map_or(host, |(_, host)| host)
}

/// The repositories without a server, where pacman says that there is one and refreshes none.
///
/// ```text
/// error: failed to synchronize all databases (no servers configured for repository)
/// ```
pub fn without_server(failure: &Failure, ids: &[String], config: &str) -> Vec<(String, Failure)> {
    const WORDS: &str = "no servers configured for repository";
    let is_it = failure.message.contains(WORDS);
    let bare = ids.iter().filter(|id| is_it && config::servers(config, id).is_empty());
    bare.map(|id| (id.clone(), Failure::new(Class::Config, format!("{id}: {WORDS}")))).collect()
}

/// The repositories whose files could not be read. pacman goes on with the others, and exits with 0.
///
/// ```text
/// error: could not open file /var/lib/pacman/sync/core.db: Unrecognized archive format
/// error: could not read db 'core' (Damaged tar archive)
/// warning: database file for 'core' does not exist (use '-Sy' to download)
/// ```
pub fn unreadable(finished: &Finished) -> Vec<SourceResult> {
    let mut found: BTreeMap<String, SourceResult> = BTreeMap::new();
    for (id, line) in errors::unreadable(finished) {
        let id = one_line(id);
        let error = Some(Failure::new(Class::Fetch, format!("{id}: {line}")));
        found.entry(id.clone()).or_insert(SourceResult { id, error });
    }
    found.into_values().collect()
}

/// The repositories among these whose signature is bad or missing. pacman does not look at it in a refresh in which a
/// download failed.
pub fn with_bad_signature(finished: &Finished, among: &[SourceResult]) -> Vec<SourceResult> {
    let found = failures(finished).into_iter().filter(|(_, failure)| failure.class == Class::Auth);
    let found = found.filter(|(id, _)| among.iter().any(|source| source.id == *id));
    let found: BTreeMap<_, _> = found.collect();
    found.into_iter().map(|(id, failure)| SourceResult { id, error: Some(failure) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::refreshed::RefreshOutcome;

    fn judged(code: i32, stdout: &str, stderr: &str) -> Refreshed {
        judge(&Finished::ended(code, stdout, stderr))
    }

    #[test]
    fn a_repository_without_a_server_is_found_in_the_configuration() {
        let config = "[options]\nServer = x\n[core]\nUsage = All\nServer = file:///a\n[extra]\nCacheServer = b\nUsage = All\n[more]\nServer = c\n";
        let ids = ["core", "extra", "more"].map(str::to_owned);
        let found = |message: &str| {
            let failure = Failure::new(Class::Config, message);
            let found = without_server(&failure, &ids, config).into_iter();
            found.map(|(_, failure)| failure.message).collect::<Vec<_>>()
        };
        let text = "failed to synchronize all databases (no servers configured for repository)";
        assert_eq!(found(text), ["extra: no servers configured for repository"]);
        assert!(found("failed to synchronize all databases (unexpected error)").is_empty());
    }

    #[test]
    fn a_repository_came_if_a_mirror_is_left_that_pacman_still_asks() {
        let error = |file: &str, host: &str| {
            format!(
                "error: failed retrieving file '{file}' from {host} : The requested URL returned error: 404\n"
            )
        };
        let skips = |host: &str, why: &str| {
            format!(
                "warning: {why} error{} from {host}, skipping for the remainder of this transaction\n",
                if why == "fatal" { "" } else { "s" }
            )
        };
        let servers =
            ["http://a/core", "https://me:x@b:81/core", "file:///c/core", "http://a/more"].map(str::to_owned);
        let (a, b, disk) = (error("core.db", "a"), error("core.db", "b:81"), error("core.db", "disk"));
        for (stderr, expected) in [
            (a.clone(), true),
            (format!("{a}{b}"), true),
            (format!("{a}{b}{disk}"), true),
            (format!("{a}{b}{disk}{a}"), false),
            (format!("{a}{b}{disk}{}", skips("a", "too many")), false),
            (format!("{a}{b}{disk}{}{}", error("more.db", "a"), skips("a", "too many")), true),
            (format!("{}{b}{disk}", skips("a", "fatal")), false),
            (format!("{a}error: core: missing required signature\n"), false),
            (format!("{}{a}", error("core.db.sig", "b")), false),
            (error("core.db", "other"), false),
            (a.replace("The requested URL returned error: 404", TOO_LONG), false),
            (error("more.db", "a"), false),
            (String::new(), false),
        ] {
            let finished = Finished::ended(1, "", &stderr);
            assert_eq!(came_from_another_mirror(&finished, "core", &servers), expected, "{stderr}");
        }
    }

    const BOTH: &str = ":: Synchronizing package databases...\n core downloading...\n extra downloading...\n";

    fn outcome(refreshed: &Refreshed) -> (RefreshOutcome, Vec<(&str, Option<Class>)>) {
        let class = |source: &SourceResult| source.error.as_ref().map(|error| error.class);
        let sources = refreshed.sources.iter().map(|source| (source.id.as_str(), class(source)));
        (refreshed.outcome, sources.collect())
    }

    #[test]
    fn a_mirror_that_another_stood_in_for_is_no_failure() {
        let error =
            "error: failed retrieving file 'core.db' from a : The requested URL returned error: 404\n";
        let good = judged(0, BOTH, error);
        assert_eq!(outcome(&good), (RefreshOutcome::Fresh, vec![("core", None), ("extra", None)]));
        let whole =
            format!("{error}error: failed to synchronize all databases (failed to retrieve some files)\n");
        let bad = judged(1, BOTH, &whole);
        assert_eq!(
            outcome(&bad),
            (RefreshOutcome::Partial, vec![("core", Some(Class::Fetch)), ("extra", None)])
        );
    }

    #[test]
    fn what_cannot_be_the_name_of_a_repository_is_none() {
        for line in ["  downloading...", "  a downloading...", " a/b is up to date", "core downloading..."] {
            assert_eq!(begun(line), None, "{line}");
        }
        assert_eq!(begun(" my core downloading..."), Some("my core"));
        assert_eq!(begun(" core downloading..."), Some("core"));
        assert_eq!(begun(" core is up to date"), Some("core"));
    }

    #[test]
    fn a_repository_is_begun_under_what_pacman_shows_of_its_name() {
        let finished = Finished::ended(0, " my downloading...\n x downloading...\n a b downloading...\n", "");
        for id in ["my", "my.pkgs", "my.db", "x.db.more", "a b"] {
            assert!(has_begun(&finished, id), "{id}");
        }
        assert!(!["y", "a", "my2", "mypkg"].iter().any(|id| has_begun(&finished, id)));
    }

    #[test]
    fn a_repository_that_pacman_refuses_has_failed_and_one_that_is_there_twice_has_not() {
        let words = |id: &str, why: &str| format!("error: could not register '{id}' database ({why})\n");
        let twice = words("core", "database already registered");
        assert_eq!(judged(0, BOTH, &twice).outcome, RefreshOutcome::Fresh);
        let refused = twice
            + &words("a/b", "wrong or NULL argument passed")
            + &words("local", "database already registered");
        let config = Some(Class::Config);
        let expected = vec![("a/b", config), ("core", None), ("extra", None), ("local", config)];
        assert_eq!(outcome(&judged(0, BOTH, &refused)), (RefreshOutcome::Partial, expected));
    }

    #[test]
    fn a_failure_that_names_no_repository_is_one_of_all() {
        let refreshed = judged(
            1,
            BOTH,
            "error: could not open file /x/sync/core.db.part: No space left on device\nerror: failed to synchronize all databases (unexpected error)\n",
        );
        let space = Some(Class::Space);
        assert_eq!(outcome(&refreshed), (RefreshOutcome::Failed, vec![("core", space), ("extra", space)]));
        assert_eq!(outcome(&judged(1, "", "")).0, RefreshOutcome::Failed);
        assert_eq!(outcome(&judged(0, "", "")).0, RefreshOutcome::Failed);
    }

    #[test]
    fn a_bad_signature_belongs_to_its_repository_and_is_no_fetch_error() {
        for error in [
            "error: extra: signature from \"X <x@y.z>\" is unknown trust\n",
            "error: extra: key \"0123456789ABCDEF\" is unknown\n",
            "error: extra: missing required signature\n",
            "error: failed retrieving file 'extra.db.sig' from a : The requested URL returned error: 404\n",
            "error: database 'extra' is not valid (invalid or corrupted database (PGP signature))\n",
        ] {
            let whole = format!(
                "{error}error: failed to synchronize all databases (invalid or corrupted database (PGP signature))\n"
            );
            let refreshed = judged(1, BOTH, &whole);
            let expected = vec![("core", None), ("extra", Some(Class::Auth))];
            assert_eq!(outcome(&refreshed), (RefreshOutcome::Partial, expected), "{error}");
        }
    }

    #[test]
    fn a_bad_signature_that_was_replaced_is_no_failure() {
        let error = "error: extra: key \"0123456789ABCDEF\" is unknown\nerror: key \"0123456789ABCDEF\" could not be looked up remotely\n";
        assert_eq!(outcome(&judged(0, BOTH, error)).0, RefreshOutcome::Fresh);
        assert_eq!(outcome(&judged(0, BOTH, "error: something new\n")).0, RefreshOutcome::Failed);
    }

    #[test]
    fn files_that_could_not_be_read_are_found_by_repository() {
        let text = "error: could not open file /x/pacman/sync/core.db: Unrecognized archive format\nerror: could not read db 'extra' (Damaged tar archive)\nerror: could not read db 'extra' (Damaged tar archive)\nerror: could not open file /x/local/a/desc: No such file\nwarning: database file for 'more' does not exist (use '-Sy' to download)\n";
        let finished = Finished::ended(0, "", text);
        let ids: Vec<_> = unreadable(&finished).into_iter().map(|source| source.id).collect();
        assert_eq!(ids, ["core", "extra", "more"]);
    }
}
