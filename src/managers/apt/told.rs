//! What apt says about one source, and what that means for it.

use super::sources::Source;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::SourceResult;

/// What was said about one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Whether any of its files arrived or was found unchanged.
    pub(super) arrived: bool,
    pub(super) error: Option<Failure>,
    /// Its items, as places in the list of all.
    pub(super) items: Vec<usize>,
    /// The keys of files that its Release file does not list or that apt refuses to use, with apt's words.
    pub(super) skipped: Vec<(String, Failure)>,
    /// What apt says of a file with keys that it does not use.
    pub(super) unused_keys: Option<String>,
}

impl Told {
    /// Whether nothing at all was said about it.
    pub(super) fn is_silent(&self) -> bool {
        self.items.is_empty() && self.skipped.is_empty() && self.error.is_none() && !self.arrived
    }

    /// Adds to an error about keys why apt does not use those that there are.
    pub(super) fn explain_keys(&mut self) {
        let about_keys = self.error.as_mut().filter(|error| error.class == Class::Auth);
        let file =
            |why: &str| why.split(' ').find(|word| word.starts_with('/')).unwrap_or_default().to_string();
        let unsaid = |(error, why): &(&mut Failure, String)| !error.message.contains(&file(why));
        if let Some((error, why)) = about_keys.zip(self.unused_keys.take()).filter(unsaid) {
            error.message = format!("{}. {why}", error.message.trim_end_matches('.'));
        }
    }

    /// Adds a failure. If apt gives up a source because of one file, it says of the others only that they failed: that
    /// one gives the reason.
    pub(super) fn blame(&mut self, failure: Failure) {
        self.error = Some(match self.error.take() {
            Some(first) if failure.message.is_empty() => first,
            Some(first) if !first.message.is_empty() => first.more_decisive(failure),
            _ => failure,
        });
    }
}

/// The result of a source, and of single files that it lacks while its others are used. If apt says nothing about a
/// source, its result is the error that names no source.
pub(super) fn result(
    source: &Source,
    told: Told,
    stray: Option<&Failure>,
) -> (SourceResult, Vec<SourceResult>) {
    let id = source.id();
    let skips = |key: &str| told.skipped.iter().any(|(skipped, _)| skipped == key);
    let needed: Vec<_> = source.targets.iter().filter(|target| target.is_needed()).collect();
    let lacks =
        |group: (&str, &str)| needed.iter().any(|target| target.group() == group && skips(&target.key));
    let has_others = needed.iter().any(|target| !lacks(target.group()));
    let silent = || match stray {
        Some(failure) => failure.clone(),
        None => Failure::new(Class::Other, "apt-get fetched nothing of it and gave no reason"),
    };
    if !has_others || told.error.is_some() {
        let skipped = told.skipped.into_iter().map(|(_, failure)| failure).reduce(Failure::more_decisive);
        let error = told.error.or(skipped).or_else(|| (!told.arrived).then(silent));
        return (SourceResult { id, error }, Vec::new());
    }
    let is_needed = |key: &str| needed.iter().any(|target| target.key == key);
    let files = told.skipped.iter().filter(|(key, _)| is_needed(key));
    let files =
        files.map(|(key, failure)| SourceResult { id: format!("{id} {key}"), error: Some(failure.clone()) });
    let mut files: Vec<_> = files.collect();
    files.dedup();
    (SourceResult { id, error: (!told.arrived).then(silent) }, files)
}

/// Its error with its name: without it, a reason like "404  Not Found" helps nobody.
pub(super) fn named(source: &SourceResult) -> Option<Failure> {
    let failure = source.error.as_ref()?;
    let uri = source.id.split(' ').next().unwrap_or_default();
    let is_named = failure.message.contains(uri);
    let text = format!("{}: {}", source.id, failure.message);
    Some(if is_named { failure.clone() } else { Failure::new(failure.class, text) })
}
