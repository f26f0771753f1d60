//! Judging `pacman -Sy` repository by repository.

use super::classes::{self, reason_class};
use super::errors;
use super::lines;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::text::one_line;
use crate::system::process::{End, Finished};
use std::collections::BTreeMap;

/// What a refresh that ended by itself did. pacman names a repository when it begins with it, and prints an error for
/// every mirror that fails. Whether another mirror had the file it says only by its exit code, for all repositories
/// together. If that is not 0, a repository with an error counts as failed. If another program fetches (`XferCommand`),
/// pacman names none: then the configuration and the files tell.
pub fn judge(finished: &Finished) -> Refreshed {
    let mut sources: BTreeMap<String, Option<Failure>> = BTreeMap::new();
    let lines = finished.stdout.lines().take_while(|line| !line.starts_with(":: Starting full system "));
    for id in lines.filter_map(begun) {
        sources.insert(one_line(id), None);
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

/// ` core downloading...`, and on a terminal ` core is up to date`.
fn begun(line: &str) -> Option<&str> {
    let rest = line.strip_prefix(' ')?;
    let id = rest.strip_suffix(" downloading...").or_else(|| rest.strip_suffix(" is up to date"))?;
    (!id.is_empty() && !id.contains([' ', '/'])).then_some(id)
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
        let named = if let Some((file, reason)) = classes::retrieving(line) {
            let id = file.strip_suffix(".sig").unwrap_or(file).strip_suffix(".db");
            id.map(|id| (id, reason_class(file, reason)))
        } else if let Some(rest) = line.strip_prefix("database '") {
            rest.split_once("' is not valid").map(|(id, words)| (id, classes::database_class(words)))
        } else if let Some(id) = line.strip_prefix("no servers configured for repository: ") {
            Some((id, Class::Config))
        } else {
            line.split_once(": ")
                .filter(|(_, words)| classes::is_about_signature(words))
                .map(|(id, _)| (id, Class::Auth))
        };
        if let Some((id, class)) = named.filter(|(id, _)| !id.contains([' ', '/'])) {
            let text =
                if line.starts_with(&format!("{id}: ")) { line.to_string() } else { format!("{id}: {line}") };
            found.push((one_line(id), Failure::new(class, text)));
        }
    }
    // pacman says this also before it asks for the signature; what became of that says more.
    found.sort_by_key(|(_, failure)| failure.message.ends_with("missing required signature"));
    found
}

/// The repositories without a server, where pacman says that there is one and refreshes none.
///
/// ```text
/// error: failed to synchronize all databases (no servers configured for repository)
/// ```
pub fn without_server(failure: &Failure, ids: &[String], config: &str) -> Vec<(String, Failure)> {
    const WORDS: &str = "no servers configured for repository";
    let has_server = |id: &&String| {
        let own = config.lines().skip_while(|line| line.trim_matches(['[', ']']) != id.as_str()).skip(1);
        let mut own = own.take_while(|line| !line.starts_with('['));
        own.any(|line| line.split('=').next().is_some_and(|key| key.trim() == "Server"))
    };
    let is_it = failure.message.contains(WORDS);
    let bare = ids.iter().filter(|id| is_it && !has_server(id));
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
        for line in ["  downloading...", " a b downloading...", " a/b is up to date", "core downloading..."] {
            assert_eq!(begun(line), None, "{line}");
        }
        assert_eq!(begun(" core downloading..."), Some("core"));
        assert_eq!(begun(" core is up to date"), Some("core"));
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
