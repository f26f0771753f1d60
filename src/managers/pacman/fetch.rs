//! Why files could not be fetched, or not stored.

use super::classes::{class_of, is_about_key, is_no_sandbox, reason_class, retrieving};
use super::lines::errors;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::system::process::Finished;

/// What is wrong with the files: standard output tells a bad signature from a bad checksum.
///
/// ```text
/// :: File /var/cache/pacman/pkg/x.pkg.tar.zst is corrupted (invalid or corrupted package (checksum)).
/// ```
pub fn fetch(finished: &Finished, end: &str) -> Failure {
    let of_file = |line: &&str| line.starts_with(":: File ") && line.contains(" is corrupted (");
    let began = |line: &&str| *line == ":: Processing package changes...";
    let corrupted = finished.stdout.lines().take_while(|line| !began(line)).filter(of_file);
    if let Some(line) =
        corrupted.clone().next().filter(|_| corrupted.clone().all(|line| !is_downloaded(finished, line)))
    {
        // pacman removed a file that was there from before; the next download fetches it.
        return Failure::new(Class::Fetch, line.trim_start_matches(":: "));
    }
    let corrupted = corrupted.map(|line| {
        let line = line.trim_start_matches(":: ");
        let class = if line.contains("PGP signature") { Class::Auth } else { Class::Fetch };
        Failure::new(class, line)
    });
    // pacman 7.0 goes on without its sandbox: if it has asked for a file, that is not why it did not come.
    let has_asked = errors(finished).any(|line| retrieving(line).is_some());
    let retrieving = errors(finished).filter_map(|line| {
        let (file, reason) = retrieving(line)?;
        Some(Failure::new(reason_class(file, reason), line))
    });
    let is_other = |line: &&str| {
        matches!(class_of(line), Class::Auth | Class::Config) && !(has_asked && is_no_sandbox(line))
    };
    let others = errors(finished).filter(is_other);
    let others = others.map(|line| Failure::new(class_of(line), line));
    let named = corrupted.chain(others).chain(retrieving).reduce(Failure::more_decisive);
    let class = if is_about_key(end) { Class::Auth } else { Class::Fetch };
    let of_end = Failure::new(class, end);
    named.map_or(of_end.clone(), |named| named.more_decisive(of_end))
}

/// Whether this run has fetched the package that a line calls corrupted.
///
/// ```text
///  tb-hello-2.0-1-any downloading...
/// :: File /var/cache/pacman/pkg/tb-hello-2.0-1-any.pkg.tar.zst is corrupted (invalid or corrupted package (PGP signature)).
/// ```
fn is_downloaded(finished: &Finished, corrupted: &str) -> bool {
    let Some((path, _)) = corrupted.split_once(".pkg.tar") else { return true };
    let name = path.rsplit('/').next().unwrap_or_default();
    finished.stdout.lines().any(|line| line == format!(" {name} downloading..."))
}

/// Why nothing could be stored.
///
/// ```text
/// error: could not open file /var/lib/x/sync/download-5OMHuX/core.db.part: Permission denied
/// error: failed to setup a download payload for core.db
/// ```
pub fn unwritable(finished: &Finished) -> Option<String> {
    let mut lines = errors(finished);
    let (_, reason) = (&mut lines)
        .filter_map(|line| {
            line.strip_prefix("could not open file ")?.split_once(".part: ").map(|told| (line, told.1))
        })
        .next()?;
    lines.any(|line| line.starts_with("failed to setup a download payload ")).then_some(())?;
    let line = errors(finished).find(|line| line.contains(".part: "))?;
    Some(match reason {
        "Permission denied" => format!(
            "{line}; the user that DownloadUser in pacman.conf names must be able to enter all directories above it"
        ),
        _ => line.to_string(),
    })
}

/// How pacman ends where another program fetches for it.
pub const DOWNLOADER: &str = "(error invoking external downloader)";

/// Why another program (`XferCommand`) could not fetch: its own last words, if it has any.
///
/// ```text
/// curl: (22) The requested URL returned error: 404
/// error: failed to synchronize all databases (error invoking external downloader)
/// ```
pub fn downloader(finished: &Finished, end: &str) -> Failure {
    const OURS: &[&str] = &["error: ", "warning: "];
    let is_foreign = |line: &&str| !line.trim().is_empty() && !OURS.iter().any(|word| line.starts_with(word));
    let words = finished.stderr.lines().rfind(is_foreign);
    if finished.stderr.lines().any(|line| line == "warning: running XferCommand: fork failed!") {
        let text = format!("{end}: the program that XferCommand names could not be started");
        return Failure::new(Class::Config, text);
    }
    // `could not rename /.../core.db.part to /.../core.db (No such file or directory)`
    let is_nothing =
        |line: &str| line.starts_with("could not rename ") && line.ends_with("(No such file or directory)");
    if words.is_none() && errors(finished).any(is_nothing) {
        let text = format!("{end}: the program that XferCommand names stored nothing, but reported no error");
        return Failure::new(Class::Fetch, text);
    }
    let Some(words) = words else { return Failure::new(Class::Fetch, end) };
    // The program chooses its own way to fetch; if the shell does not find it, the shell says so.
    let class = if words.contains("not found") && words.starts_with("sh") {
        Class::Config
    } else {
        reason_class("", words)
    };
    Failure::new(class, format!("{end}: {words}"))
}
