//! An index of our own. After `-Sy` alone pacman's index would be newer than the packages, and what somebody then
//! installs by hand would be a partial upgrade.

use super::cached::{may_be_of, planned_package};
use super::commands::{self, CONFIG, SOME_CONFIG, pacman_conf};
use super::ended_early::Downloads;
use super::index_files::{drop_directories, drop_file, drop_parts, failed, make_old, write_secret};
use super::{config, errors, refresh};
use crate::managers::facts::Plan;
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::own_index::OwnIndex;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::model::text::one_line;
use crate::model::updates::HeldBack;
use crate::system::files::{
    entries, own_directory, own_link, paths_in, remove_if_there, remove_or_warn, remove_whatever,
    write_atomic,
};
use crate::system::process::{End, Finished};
use log::warn;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Tells the files of an index apart: if pacman stores a file again, it is another file.
type Stored = BTreeMap<String, (u64, i64, i64)>;

/// How long pacman is asked once more for those of which it had not said anything when it was ended.
const ONCE_MORE: Duration = Duration::from_secs(5);

/// A directory that pacman takes for its `DBPath`: a link in it leads to the packages of the system, the index in it is
/// ours.
#[derive(Debug)]
pub struct Own {
    manager: &'static dyn Manager,
    dir: PathBuf,
    /// The files of the index before the refresh.
    before: RefCell<Stored>,
    /// What ran just before the refresh was ended.
    at_end: RefCell<Downloads>,
}

impl Own {
    /// The directory below that of the state.
    pub fn below(state_dir: &Path, manager: &'static dyn Manager) -> Own {
        Own { manager, dir: state_dir.join("pacman"), before: RefCell::default(), at_end: RefCell::default() }
    }

    /// The link to the package database.
    fn link(&self) -> PathBuf {
        self.dir.join("local")
    }

    /// The file that holds the index of a source.
    fn file(&self, id: &str) -> PathBuf {
        self.files().join(file_name(id))
    }

    /// Of the repositories that pacman does not refresh (`Usage` without `Sync`) it uses the index that it has: without
    /// one it upgrades nothing at all.
    fn link_skipped(&self, machine: &dyn Machine) -> Result<(), Failure> {
        let skipped = machine.configuration().map(config::skipped).unwrap_or_default();
        let names: Vec<_> = skipped
            .iter()
            .filter(|id| !id.contains('/'))
            .flat_map(|id| [file_name(id), file_name(id) + ".sig"])
            .collect();
        // A link is of an earlier configuration; a file is of one in which the repository was refreshed.
        let is_ours = |path: &PathBuf| !path.is_symlink() && !names.iter().any(|name| path.ends_with(name));
        for path in paths_in(self.files()).into_iter().filter(|path| !is_ours(path)) {
            remove_whatever(&path).map_err(failed)?;
        }
        if names.is_empty() {
            return Ok(());
        }
        own_directory(&self.files()).map_err(failed)?;
        let theirs = machine.places().database.with_file_name("sync");
        names.iter().try_for_each(|name| {
            let target = theirs.join(name);
            if target.exists() { own_link(&self.files().join(name), &target).map_err(failed) } else { Ok(()) }
        })
    }

    /// The files of the index, as they are now.
    fn stored(&self) -> Stored {
        let files = entries(self.files()).filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            Some((entry.file_name().into_string().ok()?, (meta.ino(), meta.ctime(), meta.ctime_nsec())))
        });
        files.collect()
    }

    /// If it stayed, it would be taken for new as long as the source has nothing newer.
    fn drop_index_of(&self, sources: &[SourceResult]) {
        sources.iter().for_each(|source| self.drop(&file_name(&source.id)));
    }

    /// pacman fetches a signature at every refresh. One that stayed would be taken for that of an index that has none any
    /// more.
    fn drop_signatures(&self, sources: &[SourceResult]) {
        let now = self.stored();
        let is_bad = |source: &&SourceResult| {
            let is_auth = source.error.as_ref().is_some_and(|error| error.class == Class::Auth);
            is_auth && self.is_new(&file_name(&source.id), &now)
        };
        sources.iter().filter(is_bad).for_each(|source| self.drop(&format!("{}.sig", file_name(&source.id))));
    }

    fn drop(&self, file: &str) {
        if !file.contains('/') {
            remove_or_warn(&self.files().join(file));
        }
    }

    /// Removes the index of these sources, which is of no use, and notes why.
    fn blame(&self, bad: Vec<SourceResult>, sources: &mut Vec<SourceResult>) {
        self.drop_index_of(&bad);
        for failed in bad {
            match sources.iter_mut().find(|source| source.id == failed.id) {
                // Why it was not fetched says more than that it does not exist.
                Some(source) => source.error = source.error.take().or(failed.error),
                None => sources.push(failed),
            }
        }
    }

    /// Whether a file was stored since the refresh began.
    fn is_new(&self, file: &str, now: &Stored) -> bool {
        now.get(file).is_some_and(|stored| self.before.borrow().get(file) != Some(stored))
    }

    /// What became of these sources, whose downloads had ended when pacman was ended, or had not begun: whether they came,
    /// failed or had nothing newer it had not said. So it is asked once more for these alone.
    fn ask_once_more(&self, machine: &dyn Machine, config: &str, ids: &[String]) -> Vec<SourceResult> {
        let path = self.dir.join(SOME_CONFIG);
        let text = config::of_some(config, ids);
        // The pacman that was ended has left its lock.
        let written = write_secret(&path, &text).and_then(|()| remove_if_there(&self.lock()));
        let again = commands::refresh_some(&path);
        let finished = written.map(|()| machine.answer_within(&again, ONCE_MORE));
        remove_or_warn(&path);
        let finished = finished.unwrap_or_else(|error| {
            warn!("{}", one_line(&format!("{error:#}")));
            None
        });
        let Some(finished) = finished else { return Vec::new() };
        if !matches!(finished.end, End::Code(_)) {
            let now = self.stored();
            let new = ids.iter().filter(|id| self.is_new(&file_name(id), &now));
            return new.map(|id| SourceResult { id: id.clone(), error: None }).collect();
        }
        let mut refreshed = refresh::judge(&finished);
        self.complete(machine, &finished, &mut refreshed);
        refreshed.sources.retain(|source| ids.contains(&source.id));
        refreshed.sources
    }

    /// Adds the sources that pacman did not name: those whose files were stored are refreshed, the first of the others
    /// is the one that failed.
    fn add_unnamed(&self, ids: Vec<String>, finished: &Finished, refreshed: &mut Refreshed) {
        let nothing_stored = |id: &str| {
            let fetcher = "the program that XferCommand names";
            Failure::new(Class::Fetch, format!("{id}: {fetcher} stored no index, but reported no error"))
        };
        let now = self.stored();
        let mut first = !refreshed.sources.iter().any(|source| source.error.is_some());
        for id in ids {
            if refreshed.sources.iter().any(|source| source.id == id) {
                continue;
            }
            let failure = |error: &Failure| {
                let why = if std::mem::take(&mut first) { "" } else { "not refreshed after this failure: " };
                Failure::new(error.class, format!("{id}: {why}{}", error.message))
            };
            let is_done = self.is_new(&file_name(&id), &now) || refresh::has_begun(finished, &id);
            let of_all = refreshed.error.as_ref();
            let error = (!is_done).then(|| of_all.map_or_else(|| nothing_stored(&id), failure));
            refreshed.sources.push(SourceResult { id, error });
        }
    }

    /// The sources of which something was stored that is no index: there is nothing, or by what pacman said when it read
    /// them all it cannot be read or has a bad signature.
    fn of_no_use(&self, read: Option<&Finished>, sources: &[SourceResult]) -> Vec<SourceResult> {
        let got = sources.iter().filter(|source| source.error.is_none());
        let mut bad: Vec<_> = got.filter_map(|source| self.without_index(source)).collect();
        if let Some(read) = read {
            bad.extend(refresh::unreadable(read));
            bad.extend(refresh::with_bad_signature(read, sources));
        }
        bad
    }

    /// The sources among these whose index was stored since the refresh began and cannot be read, or not in time. An
    /// upgrade does not read all: none behind the one that has a package, and none without `Upgrade` in its `Usage`.
    fn unread(&self, machine: &dyn Machine, sources: &[SourceResult], class: Class) -> Vec<SourceResult> {
        let now = self.stored();
        let is_new =
            |source: &&SourceResult| source.error.is_none() && self.is_new(&file_name(&source.id), &now);
        let new: Vec<_> = sources.iter().filter(is_new).map(|source| source.id.clone()).collect();
        if new.is_empty() {
            return Vec::new();
        }
        match machine.try_ask(&commands::read(&new)) {
            Ok(finished) if matches!(finished.end, End::Code(_)) => refresh::unreadable(&finished),
            _ => new
                .into_iter()
                .map(|id| {
                    let text = format!(
                        "{id}: pacman did not end when it was to read its index: see pacman -Sl {id}"
                    );
                    SourceResult { error: Some(Failure::new(class, text)), id }
                })
                .collect(),
        }
    }

    /// The error of a source that answered with something that is not an index.
    fn without_index(&self, source: &SourceResult) -> Option<SourceResult> {
        let what = match self.file(&source.id).metadata().ok().map(|meta| meta.len()) {
            None => "missing",
            Some(0) => "empty",
            Some(_) => return None,
        };
        let text = format!("{}: its index is {what}", source.id);
        Some(SourceResult { id: source.id.clone(), error: Some(Failure::new(Class::Fetch, text)) })
    }
}

fn file_name(id: &str) -> String {
    format!("{id}.db")
}

/// The administrator's whole configuration.
fn configuration(machine: &dyn Machine) -> Result<String, Failure> {
    Ok(machine.ask(&pacman_conf(&[]))?.stdout)
}

impl OwnIndex for Own {
    fn dir(&self) -> &Path {
        &self.dir
    }

    fn files(&self) -> PathBuf {
        self.dir.join("sync")
    }

    fn lock(&self) -> PathBuf {
        self.dir.join("db.lck")
    }

    fn basis(&self) -> Vec<String> {
        vec![self.files().display().to_string(), format!("{}/", self.link().display())]
    }

    /// If another program fetches, only the files that it stores prove that it fetched something.
    fn has_times_of_server(&self, machine: &dyn Machine) -> bool {
        machine.configuration().is_some_and(config::fetches_by_itself)
    }

    fn prepare(&self, machine: &dyn Machine, config_changed: bool) -> Result<(), Failure> {
        own_directory(&self.dir).map_err(failed)?;
        let usual = self.manager.facts().usual_places().database;
        // pacman is asked only if the answer may differ from the last one, because that starts another process.
        let is_usual = std::fs::read_link(self.link()).is_ok_and(|target| target == usual);
        if config_changed || !is_usual {
            own_link(&self.link(), &machine.places().database).map_err(failed)?;
        }
        drop_file(&self.files())?;
        drop_directories(&paths_in(self.files()))?;
        self.link_skipped(machine)?;
        drop_parts(&self.files());
        // Another mirror may be behind the one before, and would say that nothing is newer.
        if config_changed || !self.has_times_of_server(machine) {
            make_old(&self.files());
        }
        self.before.replace(self.stored());
        Ok(())
    }

    fn sources(&self, machine: &dyn Machine) -> Vec<String> {
        configuration(machine).map(|config| config::sources(&config)).unwrap_or_default()
    }

    fn note_before_end(&self) {
        self.at_end.replace(Downloads::look(&self.files()));
    }

    fn done_before(&self, machine: &dyn Machine, cut: &Failure) -> Option<Vec<SourceResult>> {
        let config = configuration(machine).ok()?;
        let running = self.at_end.borrow();
        let now = self.stored();
        let result = |id: String| {
            let error = match (self.is_new(&file_name(&id), &now), running.has(&file_name(&id))) {
                (true, _) => None,
                (false, true) => Some(format!("{id}: not done when pacman was ended")),
                (false, false) => Some(cut.message.clone()),
            };
            SourceResult { id, error: error.map(|text| Failure::new(cut.class, text)) }
        };
        let mut results: Vec<_> = config::sources(&config).into_iter().map(result).collect();
        let is_unclear =
            |source: &&SourceResult| source.error.is_some() && !running.has(&file_name(&source.id));
        let unclear: Vec<_> = results.iter().filter(is_unclear).map(|source| source.id.clone()).collect();
        // pacman was ended before it had looked at what it fetched.
        let finished = machine.try_ask(&self.manager.pending(&Plan::default())).ok();
        let mut bad = self.of_no_use(finished.as_ref(), &results);
        bad.extend(self.unread(machine, &results, cut.class));
        self.blame(bad, &mut results);
        let may_ask = cut.class != Class::Interrupted && config::fetches_by_itself(&config);
        // If none ran, it hangs elsewhere.
        if may_ask && !running.is_empty() && !unclear.is_empty() {
            let mut asked = self.ask_once_more(machine, &config, &unclear);
            let mut bad = self.of_no_use(None, &asked);
            bad.extend(self.unread(machine, &asked, cut.class));
            self.blame(bad, &mut asked);
            for asked in asked {
                results.iter_mut().filter(|result| result.id == asked.id).for_each(|it| *it = asked.clone());
            }
        }
        Some(results)
    }

    /// If another program fetches for pacman (XferCommand), pacman names no source: the files that it stored tell,
    /// whatever its exit code.
    fn complete(&self, machine: &dyn Machine, finished: &Finished, refreshed: &mut Refreshed) {
        self.drop_signatures(&refreshed.sources);
        // Of some names pacman shows only a part. What has no file is looked at once more in the check.
        let is_fresh = refreshed.outcome == RefreshOutcome::Fresh;
        if is_fresh && refreshed.sources.iter().all(|source| self.file(&source.id).exists()) {
            return;
        }
        let is_well = finished.end == End::Code(0) && errors::classify(finished).is_none();
        let config = match configuration(machine) {
            Ok(config) => config,
            Err(failure) if is_well && !is_fresh => {
                let text = format!("could not list the repositories: {}", failure.message);
                *refreshed = Refreshed::failed(Vec::new(), Failure::new(failure.class, text));
                return;
            }
            Err(_) => return,
        };
        let ids = config::sources(&config);
        refreshed.sources.retain(|source| source.error.is_some() || ids.contains(&source.id));
        let came = |id: &str| {
            !is_well && refresh::came_from_another_mirror(finished, id, &config::servers(&config, id))
        };
        for source in refreshed.sources.iter_mut().filter(|source| came(&source.id)) {
            source.error = None;
        }
        if is_well && !ids.is_empty() {
            *refreshed = Refreshed { outcome: RefreshOutcome::Fresh, error: None, ..refreshed.clone() };
        }
        let of_all = refreshed.error.clone().filter(|_| refreshed.sources.is_empty());
        for (id, failure) in of_all.iter().flat_map(|of_all| refresh::without_server(of_all, &ids, &config)) {
            if refreshed.sources.is_empty() {
                refreshed.error = Some(failure.clone());
            }
            refreshed.sources.push(SourceResult { id, error: Some(failure) });
        }
        self.add_unnamed(ids, finished, refreshed);
        if is_well || refreshed.sources.iter().any(|source| source.error.is_none()) {
            refreshed.judge_again();
        }
    }

    /// pacman only stores what it fetches.
    fn check(&self, machine: &dyn Machine, was_read: bool, refreshed: &mut Refreshed) -> Option<Listing> {
        let invocation = self.manager.pending(&Plan::default());
        // If it could not be asked, the next question gives the reason.
        let finished = Some(()).filter(|()| !was_read).and_then(|()| machine.try_ask(&invocation).ok());
        let mut bad = self.of_no_use(finished.as_ref(), &refreshed.sources);
        bad.extend(self.unread(machine, &refreshed.sources, Class::Timeout));
        let is_whole =
            |finished: &Finished| bad.is_empty() && self.manager.failure(&invocation, finished).is_none();
        let listing = finished.filter(is_whole).map(|finished| self.manager.parse_pending(&finished.stdout));
        // A missing package database looks like one with nothing to do. The next question reports it.
        let listing = listing.filter(|listing| !listing.is_empty() || machine.installed().is_ok());
        self.blame(bad, &mut refreshed.sources);
        refreshed.judge_again();
        listing
    }

    fn lacks(&self, sources: &[String]) -> bool {
        sources.iter().any(|id| !self.file(id).exists())
    }

    fn drop_unreadable(&self, finished: &Finished) {
        self.drop_index_of(&refresh::unreadable(finished));
    }

    fn signed_with_missing_keys(
        &self,
        machine: &dyn Machine,
        downloaded: &Finished,
        planned: &Listing,
    ) -> Vec<HeldBack> {
        let keys = errors::missing_keys(downloaded);
        let config = Some(()).filter(|()| !keys.is_empty()).and_then(|()| configuration(machine).ok());
        let Some(config) = config else { return Vec::new() };
        let bytes_of = |key: &String| u64::from_str_radix(key, 16).map(u64::to_be_bytes).ok();
        let mut found = Vec::new();
        for path in config::downloads(&config).iter().flat_map(paths_in) {
            let is_signature = path.extension().is_some_and(|end| end == "sig");
            let Some(update) = planned_package(&path, planned).filter(|_| is_signature) else { continue };
            let signature = std::fs::read(&path).unwrap_or_default();
            let is_by =
                |key: &&String| bytes_of(key).is_some_and(|key| signature.windows(8).any(|part| part == key));
            if let Some(key) = keys.iter().find(is_by) {
                let reason = format!("its signature is by the key {key}, which is not in the keyring");
                found.push(update.clone().left_out(Class::Auth, &reason));
            }
        }
        found
    }

    /// If the signature of a package is optional and missing, pacman fetches it again. One directory holds index and
    /// packages, because pacman stops asking a server that lacked three files.
    fn offer(&self, machine: &dyn Machine, planned: &Listing) -> Result<(), Failure> {
        let config = configuration(machine)?;
        let mirror = self.dir.join("mirror");
        drop_file(&mirror)?;
        own_directory(&mirror).map_err(failed)?;
        for old in paths_in(&mirror) {
            remove_whatever(&old).map_err(failed)?;
        }
        drop_directories(&[self.dir.join(CONFIG)])?;
        let downloads = config::downloads(&config);
        let names: HashSet<&str> = planned.updates.iter().map(|update| update.name.as_str()).collect();
        let packages = downloads.iter().flat_map(paths_in).filter(|path| may_be_of(path, &names));
        for path in paths_in(self.files()).into_iter().chain(packages) {
            let link =
                path.file_name().and_then(|name| name.to_str()).map(|name| mirror.join(config::asked(name)));
            link.map_or(Ok(()), |link| own_link(&link, &path)).map_err(failed)?;
        }
        let text = config::for_install(&config, &mirror);
        write_atomic(&self.dir, CONFIG, text.as_bytes()).map_err(Failure::of(Class::Space))
    }
}
