//! What a package manager must say of itself. Adding one is a folder and a word in the table.

use super::capabilities::{Autoremove, ConfigFile, EndedEarly, Locate, Settings, SourceList};
use super::database::Database;
use super::ended::cut_short;
use super::facts::{Elsewhere, Facts, Places, Plan};
use super::machine::Machine;
use super::origins::{self, Origins};
use crate::managers::own_index::OwnIndex;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::{CutOff, Damage};
use crate::model::published::Published;
use crate::model::refreshed::{Refreshed, SourceResult};
use crate::model::updates::{HeldBack, Update};
use crate::system::process::{End, Finished, Invocation};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything the program knows about one package manager. The functions make command lines and read what
/// those printed, or ask the machine where one answer leads to the next question. What only some managers need has a default.
pub trait Manager: Sync + std::fmt::Debug {
    /// What is fixed of it.
    fn facts(&self) -> &'static Facts;

    /// The package database that it installs to.
    fn database(&self) -> &'static dyn Database;

    /// The commands that repair an install that was cut off, given what it left: they are run one after the other
    /// until the package database is whole. None where the next install repairs everything.
    fn repair(&self, places: &Places, damage: &Damage) -> Vec<Invocation>;

    /// The refresh, given its whole time budget.
    fn refresh(&self, budget: Duration) -> Invocation;

    /// What a refresh that ended by itself did, source by source.
    fn judge(&self, finished: &Finished) -> Refreshed;

    /// Lists what is pending as a refresh would.
    fn pending(&self, plan: &Plan) -> Invocation {
        self.list(plan)
    }

    /// Reads that list.
    fn parse_pending(&self, text: &str) -> Listing {
        self.parse_list(text)
    }

    /// Lists what the plan would install, without changing anything.
    fn list(&self, plan: &Plan) -> Invocation;

    /// Reads that list.
    fn parse_list(&self, text: &str) -> Listing;

    /// Asks where the newer versions of these packages can be had, or what they are; `None` where
    /// the manager cannot say more of them.
    fn ask_origins(&self, _names: &[&str]) -> Option<Invocation> {
        None
    }

    /// Reads the answer, by package.
    fn parse_origins(&self, _text: &str) -> Origins {
        HashMap::new()
    }

    /// Lists what the named packages need, without changing anything.
    fn list_needs(&self, plan: &Plan, names: &[String]) -> Invocation;

    /// Downloads what the plan installs. Where there is none, the install fetches each package as it comes to it,
    /// leaves out what it cannot get, and may be run once more.
    fn download(&self, _plan: &Plan) -> Option<Invocation> {
        None
    }

    /// Installs what was downloaded, given the download's output.
    fn install(&self, plan: &Plan, downloaded: &Finished) -> Invocation;

    /// Whether an install that ended has begun to change packages.
    fn install_began(&self, finished: &Finished) -> bool;

    /// Why a command failed that ended by itself; `None` when it did what it was to do. The exit
    /// code is only one of the signs.
    fn classify(&self, finished: &Finished) -> Option<Failure>;

    /// Ends the install of packages that are unpacked, for a manager that leaves those where another
    /// package of the same run fails.
    fn finish(&self, _places: &Places, _names: &[&str]) -> Option<Invocation> {
        None
    }

    /// Makes an install go on past what fails in it, for a manager that stops there.
    fn past_failures(&self, _install: Invocation) -> Option<Invocation> {
        None
    }

    /// How what nothing needs is removed; `None` where every install does that.
    fn autoremove(&self) -> Option<&'static dyn Autoremove> {
        None
    }

    /// What the manager says of dependencies of installed packages that are not met, where it else does nothing
    /// but mend them, given [`Plan::mends`].
    fn unmet(&self, _machine: &dyn Machine) -> Option<String> {
        None
    }

    /// Whether the repair leaves packages as they are that must be installed once more, and says nothing of it.
    fn repair_leaves_some(&self) -> bool {
        false
    }

    /// How a person installs this package once more.
    fn reinstall(&self, name: &str) -> String {
        format!("install {name} again")
    }

    /// The runs that its own history says were cut off, with what they left.
    fn cut_off_runs(&self, _machine: &dyn Machine) -> Vec<CutOff> {
        Vec::new()
    }

    /// Asks the manager for its configuration, for its own idea of [`Places`] and for limits.
    fn locate(&self) -> Option<&'static dyn Locate> {
        None
    }

    /// The files that a file of the configuration includes, where such can be anywhere. The first of
    /// [`Facts::source_config`] is the one that the manager reads.
    fn includes(&self, _text: &str) -> Vec<String> {
        Vec::new()
    }

    /// Lock files of the kind of [`Facts::pid_files`] that the configuration puts elsewhere, beside those that
    /// lie with the index.
    fn moved_pid_files(&self, _configuration: &str) -> Vec<String> {
        Vec::new()
    }

    /// Reads the answer over the usual places.
    fn parse_places(&self, usual: Places, _configuration: &str) -> Places {
        usual
    }

    /// The index of our own that is refreshed in the place of the manager's, for a manager whose own must not
    /// become newer than the packages. It is kept below the state directory, of which the path is absolute.
    fn own_index(&self, _state_dir: &Path) -> Option<Box<dyn OwnIndex>> {
        None
    }

    /// The refresh to run next where one stopped at sources that failed, so that the others are
    /// refreshed too. What they print is read as one.
    fn refresh_others(&self, _refresh: &Invocation, _finished: &Finished) -> Option<Invocation> {
        None
    }

    /// The identifiers of the configured sources, where a refresh that fails may not have come to all of them;
    /// none where the manager cannot be asked.
    fn sources(&self, _machine: &dyn Machine) -> Vec<String> {
        Vec::new()
    }

    /// Reads them from the configuration, where the manager could not even begin.
    fn sources_in(&self, _configuration: &str) -> Vec<String> {
        Vec::new()
    }

    /// Reads them from the files that configure the sources, where nothing else tells.
    fn sources_of_files(&self, _files: Vec<ConfigFile>) -> Vec<String> {
        Vec::new()
    }

    /// What it did with what the files that configure the sources add to the manager's words. `read` reads them, and
    /// is called only where they are of use.
    fn with_files(&self, refreshed: Refreshed, _read: &dyn Fn() -> Vec<ConfigFile>) -> Refreshed {
        refreshed
    }

    /// How much of the time that is left one run of a refresh may take, where others may have to follow.
    fn share(&self, left: Duration) -> Duration {
        left
    }

    /// Puts the limits that the administrator has set into a refresh, in the place of ours, given the
    /// answer to [`Manager::locate`].
    fn with_limits(&self, invocation: Invocation, _configuration: &str) -> Invocation {
        invocation
    }

    /// The file and line of the configuration that a message is about which does not name them.
    fn place_of(&self, _message: &str, _configuration: &str) -> Option<String> {
        None
    }

    /// Whether the administrator lets packages be removed, given that answer.
    fn may_remove(&self, _configuration: &str) -> bool {
        true
    }

    /// What in its configuration makes it speak of another system than this one, or keeps it from
    /// installing anything though it says that it did, given the answer to [`Manager::locate`].
    fn objection(&self, _configuration: &str, _installs: bool) -> Option<Failure> {
        None
    }

    /// How long it may be silent with its own limits, given such a command and that answer; where it is not
    /// asked, the administrator's settings.
    fn longest_silence(&self, _invocation: &Invocation, _configuration: &str) -> Duration {
        Duration::ZERO
    }

    /// For managers whose refresh names mirrors, or not all sources: what they are by configuration.
    fn configured(&self) -> Option<&'static dyn SourceList> {
        None
    }

    /// The refresh of one source alone, given the refresh of all, for managers that store nothing before they have
    /// all sources.
    fn alone(&self, _refresh: &Invocation, _source: &str) -> Option<Invocation> {
        None
    }

    /// The refresh without this source, for those.
    fn leave_out_source(&self, refresh: Invocation, _source: &str) -> Invocation {
        refresh
    }

    /// Reads places out of the answer to [`Manager::locate`].
    fn elsewhere(&self, _configuration: &str) -> Elsewhere {
        Elsewhere::default()
    }

    /// What its output shows of a refresh that was ended before its time: the sources that were refreshed, and those
    /// that had failed before; `None` where it shows nothing.
    fn read_cut(&self, _finished: &Finished) -> Option<Vec<SourceResult>> {
        None
    }

    /// The same for managers whose words do not show it.
    fn ended_early(&self) -> Option<&'static dyn EndedEarly> {
        None
    }

    /// Whether a path below [`Facts::cache`], or below the private directory of the index, is that of a file
    /// without which a source has no index. It must keep its name from one refresh to the next.
    fn is_index(&self, _path: &str) -> bool {
        false
    }

    /// What is pending, where the refresh says that too.
    fn pending_of_refresh(&self, _finished: &Finished) -> Option<Listing> {
        None
    }

    /// Adds to a list of what is pending what the manager says only when it is asked for it.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn complete(&self, _machine: &dyn Machine, _plan: &Plan, listing: Listing) -> Result<Listing, Failure> {
        Ok(listing)
    }

    /// Updates that the lists pass over because the administrator excludes them, as far as that can be told. What
    /// is not installed may be among them.
    fn excluded(&self, _machine: &dyn Machine) -> Vec<Update> {
        Vec::new()
    }

    /// Where the newer versions of these packages can be had; no package, or no answer to be had, no question.
    ///
    /// # Errors
    /// When the manager cannot say it.
    fn origins(&self, machine: &dyn Machine, names: &[&str]) -> Result<Origins, Failure> {
        match self.ask_origins(names) {
            Some(question) if !names.is_empty() => Ok(self.parse_origins(&machine.ask(&question)?.stdout)),
            _ => Ok(HashMap::new()),
        }
    }

    /// Which sources offer these updates, of which there are some, with the versions. Most lists name the source of each.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn offers(&self, _machine: &dyn Machine, updates: &[Update]) -> Result<Origins, Failure> {
        Ok(origins::of_lists(updates))
    }

    /// Tells which updates are security updates. Most say it by the sources that offer them.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn tell_security(&self, machine: &dyn Machine, listing: &mut Listing) -> Result<(), Failure> {
        let knows = self.facts().knows_security;
        let found = if knows { self.origins(machine, &origins::open(listing))? } else { HashMap::new() };
        origins::tell(listing, &found, knows && self.ask_origins(&[]).is_some());
        Ok(())
    }

    /// Every newer version, installable or not, where [`Facts::lists_newer`].
    ///
    /// # Errors
    /// When the manager cannot list them.
    fn newer(&self, _machine: &dyn Machine) -> Result<Vec<HeldBack>, Failure> {
        Ok(Vec::new())
    }

    /// For managers that read from a file what to leave out: what goes into [`Plan::selection`] before what
    /// stands in [`Facts::selection_base`].
    fn selection(&self, _plan: &Plan) -> Option<String> {
        None
    }

    /// For managers that a variable can tell to read settings of ours instead of the administrator's.
    fn settings(&self) -> Option<&'static dyn Settings> {
        None
    }

    /// The sources as a command line names them.
    ///
    /// # Errors
    /// When the manager cannot list them.
    fn arguments_of(&self, _machine: &dyn Machine, sources: Vec<String>) -> Result<Vec<String>, Failure> {
        Ok(sources)
    }

    /// The security updates that only a subscription brings, with its name, where the manager says so beside what it
    /// lists as pending.
    fn needs_subscription(&self, _listed: &Finished) -> Option<String> {
        None
    }

    /// Asks for the installed packages that no source offers, in any version; `None` where the manager cannot say it.
    fn ask_not_offered(&self) -> Option<Invocation> {
        None
    }

    /// Reads the answer, which ended well; `None` where it is none.
    fn parse_not_offered(&self, _answer: &Finished) -> Option<Vec<String>> {
        None
    }

    /// Which files below the directory of the index say when that of a source was published, as patterns, the better
    /// ones first. Of an index of our own the time of the file says it.
    fn release_files(&self, _id: &str) -> Vec<String> {
        Vec::new()
    }

    /// What such a file says.
    fn published(&self, _text: &str) -> Published {
        Published::default()
    }

    /// The list without the packages that belong to a source of [`Plan::without`], as the old index of that source
    /// shows, for a manager that keeps such an index. The source failed with this class.
    ///
    /// # Errors
    /// When the manager cannot list its sources.
    fn without_owned(
        &self,
        _: &dyn Machine,
        listing: Listing,
        _: &Plan,
        _: Class,
    ) -> Result<Listing, Failure> {
        Ok(listing)
    }

    /// The sources whose index has come to the end of its own validity, for a manager that uses it all the same.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn expired(&self, _machine: &dyn Machine) -> Result<Vec<SourceResult>, Failure> {
        Ok(Vec::new())
    }

    /// What a download says will be installed, where that is more exact than the list before it.
    fn plan_of_download(&self, _finished: &Finished) -> Option<Listing> {
        None
    }

    /// Whether an install that a signal ended had done all its work.
    fn ended_well(&self, _finished: &Finished) -> bool {
        false
    }

    /// Compares all files with what was installed, for a manager whose success does not say that all are there.
    fn ask_audit(&self) -> Option<Invocation> {
        None
    }

    /// What the answer says is wrong with files of the changed packages (name and version), and how that is mended.
    fn audited(&self, _answer: &str, _changed: &[(&str, &str)]) -> Option<Failure> {
        None
    }

    /// The packages that were installed since the start and for which their advisories want a reboot. It may
    /// fetch much, so it is asked after an install alone.
    fn wanting_reboot(&self, _machine: &dyn Machine) -> Option<Vec<String>> {
        None
    }

    /// What to look at after an install, which is no failure: one line each.
    fn notes(&self, _finished: &Finished) -> Vec<String> {
        Vec::new()
    }

    /// Whether an install that ended well is to be run once more, because the manager itself was
    /// updated and has left the rest for its new version.
    fn asks_to_run_again(&self, _finished: &Finished) -> bool {
        false
    }

    /// The updates that kept a list, a download or a check before the install from succeeding, and without
    /// which the others can be installed; each with its class and reason.
    fn culprits(&self, _finished: &Finished) -> Vec<HeldBack> {
        Vec::new()
    }

    /// Whether the administrator has something run before an install, which may make a read-only system writable,
    /// for a manager that else begins to unpack there and leaves packages half installed.
    ///
    /// # Errors
    /// When the manager cannot say it.
    fn may_unpack_on_read_only(&self, _machine: &dyn Machine) -> Result<bool, Failure> {
        Ok(true)
    }

    /// The packages that an install removed because others have taken over all their files.
    fn disappeared(&self, _finished: &Finished) -> Vec<String> {
        Vec::new()
    }

    /// The packages that a download found in the manager's cache, and the SHA-256 that the index gives them, for a
    /// manager that looks at no more than their size: a power cut leaves files of the right size with nothing in
    /// them.
    fn cached(
        &self,
        _machine: &dyn Machine,
        _planned: &Listing,
        _downloaded: &Finished,
    ) -> Vec<(PathBuf, String)> {
        Vec::new()
    }

    /// A source for whose want of a key the manager refused to do anything at all.
    fn keyless(&self, _finished: &Finished) -> Option<String> {
        None
    }

    /// Culprits likewise, where that takes the configuration, as [`Manager::locate`] asks for it.
    fn culprits_of_sources(
        &self,
        _failure: &Failure,
        _finished: &Finished,
        _configuration: &str,
    ) -> Vec<HeldBack> {
        Vec::new()
    }

    /// Whether a package with this name brings the keys of others.
    fn is_keyring(&self, _name: &str) -> bool {
        false
    }

    /// Percent and words of a line of the progress descriptor.
    fn progress<'a>(&self, _line: &'a str) -> Option<(f64, &'a str)> {
        None
    }

    /// Why a command failed, if it did: how it ended comes before what it printed.
    fn failure(&self, invocation: &Invocation, finished: &Finished) -> Option<Failure> {
        let by_signal = matches!(finished.end, End::Signal(_));
        let cut = if by_signal && self.ended_well(finished) { None } else { cut_short(invocation, finished) };
        cut.or_else(|| {
            let failure = self.classify(finished)?;
            Some(Failure { culprits: self.culprits(finished), ..failure })
        })
    }
}
