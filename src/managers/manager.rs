//! What a package manager must say of itself. Adding one is a folder and a word in the table.

use super::capabilities::{Autoremove, ConfigFile, EndedEarly, InTurn, PackedIndex, Settings, SourceList};
use super::configuration::Configuration;
use super::cut_short::cut_short;
use super::database::Database;
use super::facts::{Facts, Places, Plan};
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
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything the program knows about one package manager. The methods make command lines and read what those printed;
/// where one answer leads to the next question they ask the machine, and fail where that fails. Methods that only some
/// managers need have a default.
pub trait Manager: Configuration + Sync + std::fmt::Debug {
    /// What never changes: names, files, what it can do.
    fn facts(&self) -> &'static Facts;

    /// The database of installed packages.
    fn database(&self) -> &'static dyn Database;

    /// The commands that repair an install that was cut off, given what it left. They are run one after the other until
    /// the package database is whole. Empty where the next install repairs everything.
    fn repair(&self, places: &Places, damage: &Damage) -> Vec<Invocation>;

    /// Whether a command of the repair that failed with this class can end well another time, given the packages that are
    /// to stay. Then the next command is not run: it would remove what this one mends.
    fn may_repair_later(&self, _finished: &Finished, _class: Class, _stays: &[String]) -> bool {
        false
    }

    /// The command that refreshes the index, given its whole time budget.
    fn refresh(&self, budget: Duration) -> Invocation;

    /// What a refresh did that ended by itself, source by source.
    fn judge(&self, finished: &Finished) -> Refreshed;

    /// Lists what is pending, as a refresh counts it.
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

    /// Asks where newer versions of these packages can be had, or what kind of updates they are; `None` where the
    /// manager cannot say it.
    fn ask_origins(&self, _names: &[&str]) -> Option<Invocation> {
        None
    }

    /// Reads the answer, by package.
    fn parse_origins(&self, _text: &str) -> Origins {
        HashMap::new()
    }

    /// Lists what an install of the named packages would bring, without changing anything.
    fn list_needs(&self, plan: &Plan, names: &[String]) -> Invocation;

    /// Downloads what the plan installs. `None` where the install fetches each package when it comes to it; such an
    /// install leaves out what it cannot get, and may be run again.
    fn download(&self, _plan: &Plan) -> Option<Invocation> {
        None
    }

    /// Installs what was downloaded, given the download's output.
    fn install(&self, plan: &Plan, downloaded: &Finished) -> Invocation;

    /// Whether an install has begun to change packages.
    fn install_began(&self, finished: &Finished) -> bool;

    /// Why a command failed that ended by itself, or that was killed when all was done; `None` when it did what it should.
    /// The exit code is only one of the signs. What calls it is [`Manager::failure`].
    fn classify(&self, finished: &Finished) -> Option<Failure>;

    /// Ends the install of packages that are only unpacked, for a manager that leaves them so when another one fails.
    fn finish(&self, _places: &Places, _names: &[&str]) -> Option<Invocation> {
        None
    }

    /// The same install, which goes on after a package fails, for a manager that stops there.
    fn past_failures(&self, _install: Invocation) -> Option<Invocation> {
        None
    }

    /// How packages are removed that nothing needs any more; `None` where every install removes them.
    fn autoremove(&self) -> Option<&'static dyn Autoremove> {
        None
    }

    /// Why dependencies of installed packages are not met, for a manager that then only mends them ([`Plan::mends`]).
    ///
    /// # Errors
    /// When the manager cannot say.
    fn unmet(&self, _machine: &dyn Machine) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// Whether the repair leaves some packages that must be installed again, and does not say so.
    fn repair_leaves_some(&self) -> bool {
        false
    }

    /// What a person does to install this package again.
    fn reinstall(&self, name: &str) -> String {
        format!("install {name} again")
    }

    /// What a person does to end the install or the removal of this package, if its scripts let the manager.
    fn end_by_hand(&self, _name: &str, _is_removal: bool) -> Option<String> {
        None
    }

    /// What a person can do about unmet dependencies, for such a manager.
    fn mend_by_hand(&self) -> &'static str {
        ""
    }

    /// The runs that its own history says were cut off, with what they left.
    fn cut_off_runs(&self, _machine: &dyn Machine) -> Vec<CutOff> {
        Vec::new()
    }

    /// The index of our own that is refreshed instead of the manager's, for a manager whose own index must not become
    /// newer than the packages. It is kept below the state directory, whose path must be absolute.
    fn own_index(&self, _state_dir: &Path) -> Option<Box<dyn OwnIndex>> {
        None
    }

    /// The refresh to run next when one stopped at sources that failed, or passed over some that the files name which
    /// configure them, so that the others are refreshed too. The output of all is read as one.
    fn refresh_others(
        &self,
        _refresh: &Invocation,
        _finished: &Finished,
        _read: &dyn Fn() -> Vec<ConfigFile>,
    ) -> Option<Invocation> {
        None
    }

    /// The identifiers of the configured sources, if a failed refresh may not name all; empty where it cannot be asked.
    fn sources(&self, _machine: &dyn Machine) -> Vec<String> {
        Vec::new()
    }

    /// The same by the files that configure the sources, where nothing else tells; `None` where they are not read.
    fn sources_of_files(&self, _files: Vec<ConfigFile>) -> Option<Vec<String>> {
        None
    }

    /// Adds to a refresh what only the files of the sources tell. `read` reads them, and is called if they are needed.
    fn with_files(&self, refreshed: Refreshed, _read: &dyn Fn() -> Vec<ConfigFile>) -> Refreshed {
        refreshed
    }

    /// How much of the remaining time one run of a refresh may take, where other runs may have to follow.
    fn share(&self, left: Duration) -> Duration {
        left
    }

    /// The sources by configuration, for managers whose refresh names mirrors, or not all sources.
    fn configured(&self) -> Option<&'static dyn SourceList> {
        None
    }

    /// The refresh of this source alone, given that of all, for managers that store nothing before they have all.
    fn alone(&self, _refresh: &Invocation, _source: &str) -> Option<Invocation> {
        None
    }

    /// The refresh without this source, for the same managers.
    fn leave_out_source(&self, refresh: Invocation, _source: &str) -> Invocation {
        refresh
    }

    /// What the output of a refresh shows that was ended before its time: the sources that were refreshed, and those
    /// that had failed. `None` where it shows nothing.
    fn read_cut(&self, _finished: &Finished) -> Option<Vec<SourceResult>> {
        None
    }

    /// The same for managers whose output does not show it.
    fn ended_early(&self) -> Option<&'static dyn EndedEarly> {
        None
    }

    /// The same for managers that ask one source after the other; [`PackedIndex`] has the names of the files.
    fn in_turn(&self) -> Option<&'static dyn InTurn> {
        None
    }

    /// Whether a path below [`Facts::cache`], or below the directory of our own index, is that of a file without which
    /// a source has no index. Its name must stay the same from one refresh to the next.
    fn is_index(&self, _path: &str) -> bool {
        false
    }

    /// Files below the directory of the index, as patterns, that the manager itself makes of the index and says it could
    /// not read. It makes them anew where they are missing.
    fn unreadable_copies(&self, _finished: &Finished) -> Vec<String> {
        Vec::new()
    }

    /// What is pending, where the refresh lists that too.
    fn pending_of_refresh(&self, _finished: &Finished) -> Option<Listing> {
        None
    }

    /// Adds to a list of what is pending the things that the manager says only when asked.
    fn complete(&self, _machine: &dyn Machine, _plan: &Plan, listing: Listing) -> Result<Listing, Failure> {
        Ok(listing)
    }

    /// The updates that the lists leave out because the administrator excludes them, as far as that can be told. Packages
    /// that are not installed may be among them.
    fn excluded(&self, _machine: &dyn Machine) -> Vec<Update> {
        Vec::new()
    }

    /// Where newer versions of these packages can be had. Nothing is asked if there is no package, or the manager
    /// cannot say it.
    fn origins(&self, machine: &dyn Machine, names: &[&str]) -> Result<Origins, Failure> {
        match self.ask_origins(names) {
            Some(question) if !names.is_empty() => Ok(self.parse_origins(&machine.ask(&question)?.stdout)),
            _ => Ok(HashMap::new()),
        }
    }

    /// Which sources offer these updates, in which versions. There is at least one update. Most lists name the source
    /// of each.
    fn offers(&self, _machine: &dyn Machine, updates: &[Update]) -> Result<Origins, Failure> {
        Ok(origins::of_lists(updates))
    }

    /// Finds out which updates are security updates. Most managers show it by the sources that offer them.
    fn tell_security(&self, machine: &dyn Machine, listing: &mut Listing) -> Result<(), Failure> {
        let knows = self.facts().knows_security;
        let found = if knows { self.origins(machine, &origins::open(listing))? } else { HashMap::new() };
        origins::tell(listing, &found, knows && self.ask_origins(&[]).is_some());
        Ok(())
    }

    /// Whether a version is older than another one, where the manager can be asked.
    fn is_older(&self, _machine: &dyn Machine, _version: &str, _than: &str) -> Option<bool> {
        None
    }

    /// Every newer version, whether it can be installed or not, where [`Facts::lists_newer`].
    fn newer(&self, _machine: &dyn Machine) -> Result<Vec<HeldBack>, Failure> {
        Ok(Vec::new())
    }

    /// What is written to [`Plan::leave_out_file`] before the administrator's own [`Facts::leave_out_base`], for managers
    /// that read from a file what to leave out.
    fn leave_out_text(&self, _plan: &Plan) -> Option<String> {
        None
    }

    /// The file of ours that a variable makes the manager read instead of the administrator's settings.
    fn settings(&self) -> Option<&'static dyn Settings> {
        None
    }

    /// The sources under the names that a command line takes.
    fn arguments_of(&self, _machine: &dyn Machine, sources: Vec<String>) -> Result<Vec<String>, Failure> {
        Ok(sources)
    }

    /// The security updates that need a subscription, with its name; empty where none does, `None` where it cannot be told
    /// now.
    fn needs_subscription(&self, _machine: &dyn Machine) -> Option<String> {
        Some(String::new())
    }

    /// Asks for the installed packages that no source offers in any version; `None` where the manager cannot say it.
    fn ask_not_offered(&self) -> Option<Invocation> {
        None
    }

    /// Reads the answer; `None` where it cannot be understood.
    fn parse_not_offered(&self, _answer: &Finished) -> Option<Vec<String>> {
        None
    }

    /// Which files below the directory of the index say when the index of a source was published: patterns, the best
    /// first. For an index of our own, the time of the file says it.
    fn release_files(&self, _id: &str) -> Vec<String> {
        Vec::new()
    }

    /// The index of a source, where it is an archive that must be read through for a date.
    fn packed_index(&self) -> Option<&'static dyn PackedIndex> {
        None
    }

    /// What such a file says.
    fn published(&self, _text: &str) -> Published {
        Published::default()
    }

    /// What [`Plan::not_from`] is to be, for a manager that keeps the old indexes of [`Plan::without`] in mind: a source
    /// that counts no more than the others decides nothing by the height of its versions.
    fn not_from(&self, _: &dyn Machine, _: &Plan) -> BTreeSet<(String, String)> {
        BTreeSet::new()
    }

    /// The list without the packages that are decided by a source of [`Plan::without`], for a manager that keeps the
    /// old index of that source. The source failed with this class.
    fn without_owned(
        &self,
        _: &dyn Machine,
        listing: Listing,
        _: &Plan,
        _: Class,
    ) -> Result<Listing, Failure> {
        Ok(listing)
    }

    /// The sources whose index is older than it says it is valid, for a manager that uses it all the same.
    fn expired(&self, _machine: &dyn Machine) -> Result<Vec<SourceResult>, Failure> {
        Ok(Vec::new())
    }

    /// What a download says will be installed, if that is more exact than the list before it.
    fn plan_of_download(&self, _finished: &Finished) -> Option<Listing> {
        None
    }

    /// Whether an install that a signal killed had done all its work.
    fn was_done_when_killed(&self, _finished: &Finished) -> bool {
        false
    }

    /// Compares the installed files with the database, for a manager whose success does not prove that all are there.
    fn ask_audit(&self) -> Option<Invocation> {
        None
    }

    /// What is wrong with files of the changed packages (name and version) by this answer, and how a person mends it.
    fn audited(&self, _answer: &str, _changed: &[(&str, &str)]) -> Option<Failure> {
        None
    }

    /// The packages installed since the start whose advisories ask for a reboot. The question may fetch much, so it is
    /// asked only after an install.
    fn wanting_reboot(&self, _machine: &dyn Machine) -> Option<Vec<String>> {
        None
    }

    /// What a person should look at after an install though it is no failure: one line each.
    fn notes(&self, _finished: &Finished) -> Vec<String> {
        Vec::new()
    }

    /// Whether an install that ended well must be run again: it updated the manager itself, and left it the rest.
    fn asks_to_run_again(&self, _finished: &Finished) -> bool {
        false
    }

    /// The updates that made a list, a download or a check before the install fail, and without which the others can be
    /// installed; each with its class and reason.
    fn culprits(&self, _finished: &Finished) -> Vec<HeldBack> {
        Vec::new()
    }

    /// Whether the administrator has configured a command that may make a read-only system writable before an install.
    /// Asked of a manager that otherwise begins to unpack there and leaves packages half installed.
    fn may_unpack_on_read_only(&self, _machine: &dyn Machine) -> Result<bool, Failure> {
        Ok(true)
    }

    /// The packages that an install removed because other packages now own all their files.
    fn disappeared(&self, _finished: &Finished) -> Vec<String> {
        Vec::new()
    }

    /// The packages that a download found in the manager's cache, with the SHA-256 that the index gives. For a manager
    /// that compares only their size: a power cut leaves files of the right size with nothing in them.
    fn cached(
        &self,
        _machine: &dyn Machine,
        _planned: &Listing,
        _downloaded: &Finished,
    ) -> Vec<(PathBuf, String)> {
        Vec::new()
    }

    /// The source without a key because of which the manager refused to do anything.
    fn keyless(&self, _finished: &Finished) -> Option<String> {
        None
    }

    /// More culprits, for a failure that can only be read with the configuration.
    fn culprits_of_sources(
        &self,
        _failure: &Failure,
        _finished: &Finished,
        _configuration: &str,
    ) -> Vec<HeldBack> {
        Vec::new()
    }

    /// The setting of the administrator's because of which the installer changes nothing here, if there is one.
    fn diverted(&self) -> Option<String> {
        None
    }

    /// Whether a package with this name brings the keys that other packages are signed with.
    fn is_keyring(&self, _name: &str) -> bool {
        false
    }

    /// Percent and words from a line of the progress descriptor.
    fn progress<'a>(&self, _line: &'a str) -> Option<(f64, &'a str)> {
        None
    }

    /// Why a command failed, if it did. How it ended counts more than what it printed.
    fn failure(&self, invocation: &Invocation, finished: &Finished) -> Option<Failure> {
        let by_signal = matches!(finished.end, End::Signal(_));
        let cut = if by_signal && self.was_done_when_killed(finished) {
            None
        } else {
            cut_short(invocation, finished)
        };
        cut.or_else(|| {
            let failure = self.classify(finished)?;
            Some(Failure { culprits: self.culprits(finished), ..failure })
        })
    }
}
