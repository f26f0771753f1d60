//! Which of the pending updates an apply is to install.

use super::stale::{Stale, is_one, of_other_sources, stale_updates};
use crate::cli::ApplyArgs;
use crate::commands::exclude::{matches, patterns};
use crate::driver::Session;
use crate::driver::settings_files::{administrators, theirs};
use crate::managers::{Installed, Manager, Plan, Settings};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::text::{counted, is_printable};
use crate::model::updates::{HeldBack, Update};
use crate::store::state::{Pending, State};
use crate::system::files::{remove_if_there, write_atomic};
use crate::system::time::{Time, span};
use glob::Pattern;
use log::{info, warn};
use std::collections::BTreeSet;
use std::path::Path;

/// So often a plan is made anew without versions that no refreshed source offers.
const MOST_ROUNDS: usize = 10;

/// The file, in the state directory, that tells the manager what to leave as it is.
const FILE: &str = "selection";

/// Whether packages with new keys must be installed before those that are signed with them.
#[derive(Debug)]
enum Keys {
    NotNeeded,
    First(Vec<String>),
    Tried,
}

/// What the command line selects, and the plan made of it.
#[derive(Debug)]
pub(super) struct Selection {
    packages: Vec<String>,
    security: bool,
    exclude: Vec<Pattern>,
    /// Which sources, if not all.
    from: Vec<Pattern>,
    /// What only others offer.
    of_others: BTreeSet<String>,
    /// Whether what the patterns of `--exclude` do was said.
    is_told_of_excludes: bool,
    /// Whether what was asked for cannot be done at all.
    pub is_refused: bool,
    /// For how many seconds an update must have been known here, unless it is one of security.
    min_age: Option<i64>,
    /// What is left out because it has not.
    young: BTreeSet<String>,
    /// What turned out to be impossible to install.
    impossible: Vec<HeldBack>,
    /// The packages with keys that are installed before all others.
    keys: Keys,
    /// The plan for the manager, made by [`Selection::plan`].
    pub plan: Plan,
}

impl Selection {
    /// Checks the arguments before anything runs.
    ///
    /// # Errors
    /// One line that names the argument and what is wrong with it.
    pub fn new(manager: &dyn Manager, args: &ApplyArgs) -> Result<Self, String> {
        if let (Some(why), false) = (manager.facts().only_whole, args.packages.is_empty()) {
            return Err(format!(
                "packages cannot be chosen with {}: {why}; run apply without them",
                manager.facts().name
            ));
        }
        if let Some(name) = args.packages.iter().find(|name| !manager.database().is_package_name(name)) {
            return Err(format!("{name:?} is not a package name of {}", manager.facts().name));
        }
        let parts = [("--min-age", args.min_age.is_some()), ("--from", !args.from.is_empty())];
        if let (Some(why), Some((option, _))) =
            (manager.facts().only_whole, parts.iter().find(|(_, is_given)| *is_given))
        {
            return Err(format!(
                "{option} cannot be used with {}: {why}; run apply without it",
                manager.facts().name
            ));
        }
        if args.security && !manager.facts().knows_security {
            return Err(format!(
                "{} cannot tell security updates from others; run apply without --security",
                manager.facts().name
            ));
        }
        if args.download_only && manager.download(&Plan::default()).is_none() {
            return Err(format!(
                "{} downloads while it installs; run apply without --download-only",
                manager.facts().name
            ));
        }
        let selection = Selection {
            packages: args.packages.clone(),
            security: args.security,
            exclude: patterns(&args.exclude)?,
            from: sources(&args.from)?,
            of_others: BTreeSet::new(),
            is_told_of_excludes: false,
            is_refused: false,
            min_age: args.min_age.map(|age| age.as_secs() as i64),
            young: BTreeSet::new(),
            impossible: Vec::new(),
            keys: Keys::NotNeeded,
            plan: Plan { full: args.full, ..Plan::default() },
        };
        match args.packages.iter().find(|name| selection.is_excluded(name, manager)) {
            Some(name) => Err(format!("{name} is both named and excluded")),
            None => Ok(selection),
        }
    }

    /// Makes the plan for what is pending now, and lists what it installs.
    ///
    /// # Errors
    /// When a named package cannot be updated, or the manager cannot list the plan.
    pub fn plan(
        &mut self,
        session: &Session,
        state: &State,
        installed: Option<&Installed>,
        dir: &Path,
    ) -> Result<Listing, Failure> {
        if self.plan.full && !session.may_remove() {
            info!(
                "{} is configured to remove nothing: what needs removals stays",
                session.manager.facts().name
            );
            self.plan.full = false;
        }
        self.knows_sources(state)?;
        let choice = session.choice(state)?;
        self.plan.without = choice.without;
        self.plan.from = choice.from;
        self.plan.left_out = self.known_excluded(session.manager, state);
        if self.plan.full {
            self.plan.left_out.extend(self.impossible.iter().map(|held| held.name.clone()));
        }
        let (pending, mut left_out) = self.pending_of_refreshed(session, state, dir)?;
        self.note_replacing(&pending);
        left_out.extend(self.left_out_by_us(&pending).into_iter().map(|held| held.name));
        if let Keys::First(names) = &self.keys {
            let others = pending.updates.iter().filter(|update| !names.contains(&update.name));
            left_out.extend(others.map(|update| update.name.clone()));
        }
        self.can_tell(session.manager, &pending)?;
        if self.is_everything() && left_out.is_empty() && self.plan.passed_over.is_empty() {
            self.clean_up(dir, session.manager.settings());
            self.plan.left_out.clear();
            self.plan.kept.clear();
            return Ok(pending);
        }
        let named = self.named(&pending, installed)?;
        self.young = self.known_too_shortly(&pending, state);
        let mut wanted = self.wanted(session, &pending, &named)?;
        let names = pending.updates.iter().map(|update| update.name.clone());
        let not_wanted: Vec<_> = names.filter(|name| !wanted.contains(name)).collect();
        self.plan.kept = kept(&pending, &wanted);
        left_out.extend(not_wanted);
        let nothing = pending.updates.iter().all(|update| left_out.contains(&update.name));
        left_out.extend(std::mem::take(&mut self.plan.left_out));
        self.plan.left_out = left_out.into_iter().collect();
        let planned = if nothing { Listing::default() } else { self.list(session, dir, &pending)? };
        wanted.retain(|name| !self.plan.left_out.contains(name));
        self.check(session, dir, &planned)?;
        self.note_dependents(&planned, &pending, &wanted);
        self.tell_excludes(session.manager, installed, &planned, &pending, &wanted);
        let comes = |name: &String| planned.updates.iter().any(|update| update.name == *name);
        match named.iter().find(|name| wanted.contains(*name) && !comes(name)) {
            Some(name) => {
                let held = planned.held_back.iter().find(|held| held.name == **name);
                let text = match held {
                    Some(held) => format!("{name} cannot be updated: {}", held.reason),
                    None => format!("{name} cannot be updated without a package that is left out"),
                };
                Err(Failure::new(Class::Dependency, text))
            }
            None => Ok(planned),
        }
    }

    /// Lists what the plan installs. Without one package another may come in the place of an excluded
    /// one, or an excluded one be updated itself: that is left out too. What is excluded stays.
    fn list(&mut self, session: &Session, dir: &Path, pending: &Listing) -> Result<Listing, Failure> {
        let manager = session.manager;
        for _ in 0..MOST_ROUNDS {
            self.write(session, dir)?;
            let mut planned = session.list(&self.plan)?;
            planned.allow(pending);
            let excluded = planned.updates.iter().filter(|update| self.touches_excluded(update, manager));
            let names = excluded.map(|update| update.name.clone());
            let more: Vec<_> = names.filter(|name| !self.plan.left_out.contains(name)).collect();
            let goes =
                planned.removals.iter().map(|(name, _)| name).filter(|name| self.is_excluded(name, manager));
            let goes: Vec<_> = goes.filter(|name| !self.plan.kept.contains(name)).cloned().collect();
            if more.is_empty() && goes.is_empty() {
                return Ok(planned);
            }
            self.plan.left_out.extend(more);
            self.plan.kept.extend(goes);
        }
        let text = "what is excluded would be replaced by ever another package".to_string();
        Err(Failure::new(Class::Dependency, text))
    }

    /// What is pending, and the updates to leave out because only sources offer them that were not
    /// refreshed. Where one that was offers an older version, which nothing keeps back, that is pending instead.
    fn pending_of_refreshed(
        &mut self,
        session: &Session,
        state: &State,
        dir: &Path,
    ) -> Result<(Listing, BTreeSet<String>), Failure> {
        self.plan.passed_over.clear();
        let mut pending = self.pending(session, state)?;
        let mut stale = stale_updates(session, state, &pending)?;
        for _ in 0..MOST_ROUNDS {
            let before = self.plan.passed_over.len();
            self.plan.passed_over.append(&mut stale.passed_over);
            if self.plan.passed_over.len() == before {
                break;
            }
            self.write(session, dir)?;
            pending = session.complete(session.told_more(session.list(&self.plan)?, &self.plan)?)?;
            stale = stale_updates(session, state, &pending)?;
        }
        self.of_others = self.choose_sources(session, dir, &mut pending)?;
        if !stale.names.is_empty() {
            let names: Vec<_> = stale.names.iter().map(String::as_str).collect();
            warn!("left out, because their source was not refreshed: {}", names.join(", "));
        }
        Ok((pending, stale.names))
    }

    /// Has what the chosen sources offer take the place of newer versions of others, where the manager can do that,
    /// and says which updates only others offer.
    fn choose_sources(
        &mut self,
        session: &Session,
        dir: &Path,
        pending: &mut Listing,
    ) -> Result<BTreeSet<String>, Failure> {
        if self.from.is_empty() {
            return Ok(BTreeSet::new());
        }
        for _ in 0..MOST_ROUNDS {
            let Stale { names, mut passed_over } = of_other_sources(session, pending, &self.from)?;
            let before = self.plan.passed_over.len();
            self.plan.passed_over.append(&mut passed_over);
            if self.plan.passed_over.len() == before {
                return Ok(names);
            }
            self.write(session, dir)?;
            *pending = session.complete(session.told_more(session.list(&self.plan)?, &self.plan)?)?;
        }
        let text = "the chosen sources offer ever another version".to_string();
        Err(Failure::new(Class::Dependency, text))
    }

    /// That every pattern of a source matches one: a slip of the pen would else look like nothing to do.
    ///
    /// # Errors
    /// When one matches none, with all that there are.
    fn knows_sources(&mut self, state: &State) -> Result<(), Failure> {
        let is_any = |pattern: &&Pattern| {
            state.sources.iter().any(|source| is_one(std::slice::from_ref(pattern), &source.id))
        };
        let Some(unknown) = self.from.iter().find(|pattern| !is_any(pattern)) else { return Ok(()) };
        self.is_refused = true;
        let ids: Vec<_> = state.sources.iter().map(|source| source.id.as_str()).collect();
        let text = format!("--from {unknown} matches no source; there are: {}", ids.join(", "));
        Err(Failure::new(Class::Config, text))
    }

    /// Makes the plan for nothing but mending dependencies that are not met. What is excluded stays.
    ///
    /// # Errors
    /// When it cannot be written down for the manager.
    pub fn mend(&mut self, session: &Session, installed: &Installed, dir: &Path) -> Result<(), Failure> {
        let excluded = installed.keys().filter(|name| self.is_excluded(name, session.manager));
        self.plan.left_out = excluded.cloned().collect();
        self.plan.mends = true;
        self.write(session, dir)
    }

    /// Takes updates out of this run, so that the others can be installed; says whether there was
    /// any that was not out already.
    pub fn leave_out(&mut self, impossible: Vec<HeldBack>) -> bool {
        let before = self.impossible.len();
        for held in impossible {
            if !self.impossible.iter().any(|known| known.name == held.name) {
                self.impossible.push(held);
            }
        }
        self.impossible.len() > before
    }

    /// What would come in the place of a package that turned out to have to stay is impossible too.
    fn note_replacing(&mut self, pending: &Listing) {
        let of_one = |update: &Update| {
            let mut stays = self.impossible.iter().filter(|held| held.candidate.is_none());
            let stays = stays.find(|held| update.replaces.contains(&held.name))?;
            let reason = format!("{}, in whose place it would come, stays: {}", stays.name, stays.reason);
            Some(HeldBack { class: Some(Class::Dependency), ..update.clone().held_back(&reason) })
        };
        let replacing = pending.updates.iter().filter_map(of_one).collect();
        self.leave_out(replacing);
    }

    /// What needs a package that turned out to be impossible is impossible too: the manager keeps it back
    /// only while that one is left out. What is excluded is for its user to say.
    fn note_dependents(&mut self, planned: &Listing, pending: &Listing, wanted: &BTreeSet<String>) {
        if self.impossible.is_empty() || !self.exclude.is_empty() {
            return;
        }
        let stays = |update: &&Update| {
            wanted.contains(&update.name) && planned.updates.iter().all(|comes| comes.name != update.name)
        };
        let names: Vec<_> = self.impossible.iter().map(|held| held.name.as_str()).collect();
        let without = format!(" without what stays as it is: {}", names.join(", "));
        let of_one = |update: &Update| {
            let held = planned.held_back.iter().find(|held| held.name == update.name)?;
            let reason = format!("{}{without}", held.reason);
            Some(HeldBack { class: Some(Class::Dependency), ..update.clone().held_back(&reason) })
        };
        let dependents: Vec<_> = pending.updates.iter().filter(stays).filter_map(of_one).collect();
        self.leave_out(dependents);
    }

    /// Warns of patterns of `--exclude` that match nothing, and says which updates stay for what they name: those
    /// need what is left out.
    fn tell_excludes(
        &mut self,
        manager: &dyn Manager,
        installed: Option<&Installed>,
        planned: &Listing,
        pending: &Listing,
        wanted: &BTreeSet<String>,
    ) {
        if self.exclude.is_empty() || std::mem::replace(&mut self.is_told_of_excludes, true) {
            return;
        }
        let plain = |name: &str| manager.database().plain_name(name).to_string();
        let is_known = |pattern: &&Pattern| {
            let updates = pending.updates.iter().map(|update| &update.name);
            let mut names = updates.chain(installed.into_iter().flat_map(|installed| installed.keys()));
            names.any(|name| matches(std::slice::from_ref(pattern), name, &plain(name)))
        };
        for pattern in self.exclude.iter().filter(|pattern| installed.is_some() && !is_known(pattern)) {
            warn!("--exclude {pattern} matches no installed package");
        }
        let stays = |update: &&Update| {
            wanted.contains(&update.name)
                && !self.is_excluded(&update.name, manager)
                && planned.updates.iter().all(|comes| comes.name != update.name)
                // Nothing else is in its way.
                && self.impossible.iter().all(|held| held.name != update.name)
        };
        let dragged: Vec<_> =
            pending.updates.iter().filter(stays).map(|update| update.name.as_str()).collect();
        if !dragged.is_empty() {
            warn!("left out too, because it needs what is excluded: {}", dragged.join(", "));
        }
    }

    /// Has the pending keys installed alone, once, where a key was all that was missing.
    pub fn install_keys_first(
        &mut self,
        manager: &dyn Manager,
        failure: &Failure,
        planned: &[Update],
    ) -> bool {
        let is_missing = failure.class == Class::Auth;
        let names = planned.iter().map(|update| update.name.clone()).filter(|name| manager.is_keyring(name));
        let names: Vec<_> = names.collect();
        let is_use = is_missing && !names.is_empty() && matches!(self.keys, Keys::NotNeeded);
        self.keys = match std::mem::replace(&mut self.keys, Keys::Tried) {
            Keys::NotNeeded if is_use => Keys::First(names),
            Keys::NotNeeded => Keys::NotNeeded,
            _ => Keys::Tried,
        };
        is_use
    }

    /// Whether the run that ended well was that of the keys; the next is that of the others.
    pub fn has_installed_keys(&mut self, is_installed: bool) -> bool {
        let is_first = is_installed && matches!(self.keys, Keys::First(_));
        if is_first {
            self.keys = Keys::Tried;
        }
        is_first
    }

    /// What this run has found to be impossible.
    pub fn impossible(&self) -> &[HeldBack] {
        &self.impossible
    }

    /// What is left out because it cannot be installed: as the list says, or as this run has found.
    pub fn left_out_by_us(&self, pending: &Listing) -> Vec<HeldBack> {
        let listed = pending.held_back.iter().filter(|held| held.class.is_some());
        listed.chain(&self.impossible).cloned().collect()
    }

    fn is_everything(&self) -> bool {
        self.packages.is_empty()
            && !self.security
            && self.exclude.is_empty()
            && self.from.is_empty()
            && self.min_age.is_none()
    }

    /// The updates that this host has not known for long enough, less those of security: what it has never
    /// seen before is as young as can be.
    fn known_too_shortly(&self, pending: &Listing, state: &State) -> BTreeSet<String> {
        let Some(min_age) = self.min_age else { return BTreeSet::new() };
        let open = state.pending.as_ref().map(Pending::open).unwrap_or_default();
        let now = Time::now();
        let is_young = |update: &&Update| {
            let known = open.iter().filter(|open| open.name == update.name).map(|open| open.first_seen).min();
            let age = known.map(|first_seen| now.seconds_since(first_seen));
            update.security != Some(true) && age.is_none_or(|age| age < min_age)
        };
        pending.updates.iter().filter(is_young).map(|update| update.name.clone()).collect()
    }

    /// What of that the plan leaves out, in words.
    pub fn young_words(&self, planned: &Listing) -> Option<String> {
        let comes = |name: &String| planned.updates.iter().any(|update| update.name == *name);
        let count = self.young.iter().filter(|name| !comes(name)).count();
        let age = span(self.min_age?);
        (count > 0).then(|| format!("{} known for less than {age}", counted(count, "update")))
    }

    /// What is left out must stay as it is, and what is excluded must stay.
    ///
    /// # Errors
    /// When it would not, naming the updates to leave out too, if they can be told.
    fn check(&mut self, session: &Session, dir: &Path, planned: &Listing) -> Result<(), Failure> {
        let comes = planned.updates.iter().find(|update| self.plan.left_out.contains(&update.name));
        if let Some(update) = comes {
            let text = format!("{} was to be left out, but would be updated", update.name);
            return Err(Failure::new(Class::Other, text));
        }
        let Some(name) = self.excluded_removal(session.manager, planned) else { return Ok(()) };
        let text = format!("{name} is excluded, but would be removed; exclude what replaces it too");
        let culprits = self.removers(session, dir, planned, &name).unwrap_or_default();
        Err(Failure { culprits, ..Failure::new(Class::Dependency, text) })
    }

    fn excluded_removal(&self, manager: &dyn Manager, planned: &Listing) -> Option<String> {
        let mut names = planned.removals.iter().map(|(name, _)| name);
        names.find(|name| self.is_excluded(name, manager)).cloned()
    }

    /// The updates that need the removal of an excluded package: among those that a plan without removals
    /// does not have the one without which it stays, or else all of them.
    fn removers(
        &mut self,
        session: &Session,
        dir: &Path,
        planned: &Listing,
        excluded: &str,
    ) -> Result<Vec<HeldBack>, Failure> {
        let kept = session.list(&Plan { full: false, ..self.plan.clone() })?;
        let stays = |update: &&Update| kept.updates.iter().all(|kept| kept.name != update.name);
        let reason = format!("it needs the removal of {excluded}, which is excluded");
        let suspects: Vec<_> = planned.updates.iter().filter(stays).collect();
        let held = |update: &&Update| HeldBack {
            class: Some(Class::Dependency),
            ..Update::clone(update).held_back(&reason)
        };
        for suspect in suspects.iter().take(MOST_ROUNDS) {
            self.plan.left_out.push(suspect.name.clone());
            let without = self.write(session, dir).and_then(|()| session.list(&self.plan));
            self.plan.left_out.pop();
            if without?.removals.iter().all(|(name, _)| name != excluded) {
                return Ok(vec![held(suspect)]);
            }
        }
        Ok(suspects.iter().map(held).collect())
    }

    /// What is excluded of what the last count knew: one update that cannot be installed at all can
    /// stop a full upgrade as a whole.
    fn known_excluded(&self, manager: &dyn Manager, state: &State) -> Vec<String> {
        let known = state.pending.iter().filter(|_| self.plan.full);
        let names = known.flat_map(|known| {
            let held = known.held_back().iter().map(|held| &held.name);
            held.chain(known.packages().iter().map(|update| &update.name))
        });
        names.filter(|name| self.is_excluded(name, manager)).cloned().collect()
    }

    /// What is pending as a whole: the count of the refresh says it, except for a full upgrade.
    fn pending(&self, session: &Session, state: &State) -> Result<Listing, Failure> {
        match &state.pending {
            Some(Pending { packages: Some(updates), held_back: Some(held_back), .. }) if !self.plan.full => {
                Ok(Listing { updates: updates.clone(), held_back: held_back.clone(), removals: Vec::new() })
            }
            _ => {
                let (without, from) = (self.plan.without.clone(), self.plan.from.clone());
                let mut left_out = self.plan.left_out.clone();
                left_out.extend(self.impossible.iter().map(|held| held.name.clone()));
                let whole = Plan { full: self.plan.full, without, from, left_out, ..Plan::default() };
                match session.list(&whole) {
                    // One update that cannot be had is in the way of all: it may be left out.
                    Err(failure)
                        if failure.class == Class::Dependency
                            && !self.is_everything()
                            && session.manager.facts().lists_newer =>
                    {
                        session.newer_versions()
                    }
                    listed => {
                        let listing = session.told_more(listed?, &whole)?;
                        session.complete(session.without_owned(listing, state, &whole)?)
                    }
                }
            }
        }
    }

    /// The names of the updates that are selected, and of what they need, less the excluded.
    fn wanted(
        &self,
        session: &Session,
        pending: &Listing,
        named: &[String],
    ) -> Result<BTreeSet<String>, Failure> {
        let is_named = |update: &&Update| named.is_empty() || named.contains(&update.name);
        let is_secure = |update: &&Update| !self.security || update.security == Some(true);
        let is_old = |update: &&Update| !self.young.contains(&update.name);
        let is_from = |update: &&Update| !self.of_others.contains(&update.name);
        let updates = pending.updates.iter().filter(is_from);
        let selected = updates.filter(is_named).filter(is_secure).filter(is_old);
        let mut wanted: BTreeSet<_> = selected.map(|update| update.name.clone()).collect();
        if wanted.len() < pending.updates.len() && !wanted.is_empty() {
            // What comes in the place of an installed package is asked for by the name of that.
            let names = pending.updates.iter().filter(|update| wanted.contains(&update.name));
            let names = names.flat_map(|update| match update.installed {
                None if !update.replaces.is_empty() && !session.manager.facts().needs_of_new => {
                    update.replaces.clone()
                }
                _ => vec![update.name.clone()],
            });
            let names: Vec<_> = names.collect();
            let needs = session.ask(&session.manager.list_needs(&self.plan, &names))?;
            let needs = session.manager.parse_list(&needs.stdout).updates;
            wanted.extend(needs.into_iter().map(|update| update.name));
        }
        // A package that was split needs its own update beside what comes in the place of its old version:
        // without it, it would be removed.
        let split = pending.updates.iter().filter(|update| wanted.contains(&update.name));
        let split: Vec<_> = split.flat_map(|update| update.replaces.clone()).collect();
        let updates = pending.updates.iter().map(|update| &update.name);
        wanted.extend(updates.filter(|name| split.contains(name)).cloned());
        let manager = session.manager;
        wanted.retain(|name| !self.is_excluded(name, manager));
        let excluded = pending.updates.iter().filter(|update| self.touches_excluded(update, manager));
        for update in excluded {
            wanted.remove(&update.name);
            if !self.is_excluded(&update.name, manager) {
                let (name, old) = (&update.name, update.replaces.join(", "));
                warn!("left out, because it would come in the place of {old}, which is excluded: {name}");
            }
        }
        Ok(wanted)
    }

    /// Whether an update changes an excluded package, or comes in its place.
    fn touches_excluded(&self, update: &Update, manager: &dyn Manager) -> bool {
        std::iter::once(&update.name).chain(&update.replaces).any(|name| self.is_excluded(name, manager))
    }

    /// Whether `--exclude` names a package.
    pub fn is_excluded(&self, name: &str, manager: &dyn Manager) -> bool {
        matches(&self.exclude, name, manager.database().plain_name(name))
    }

    /// The PACKAGE arguments as the manager lists them.
    ///
    /// # Errors
    /// When one is not installed, or held back.
    fn named(&self, pending: &Listing, installed: Option<&Installed>) -> Result<Vec<String>, Failure> {
        let refuse = |text: String| Err(Failure::new(Class::Dependency, text));
        let mut names = Vec::new();
        for argument in &self.packages {
            let Some(name) = installed.and_then(|installed| listed_name(argument, installed)) else {
                return refuse(format!("{argument} is not installed; apply only updates what is"));
            };
            if let Some(held) = self.impossible.iter().find(|held| held.name == name) {
                let class = held.class.unwrap_or(Class::Other);
                return Err(Failure::new(class, format!("{name} cannot be updated: {}", held.reason)));
            }
            let is_pending = pending.updates.iter().any(|update| update.name == name);
            if let Some(held) = pending.held_back.iter().find(|held| held.name == name && !is_pending) {
                return refuse(format!("{name} cannot be updated: {}", held.reason));
            }
            let in_its_place =
                pending.updates.iter().filter(|update| update.replaces.iter().any(|old| old == name));
            names.extend(in_its_place.map(|update| update.name.clone()));
            names.push(name.to_string());
        }
        Ok(names)
    }

    /// Nothing chosen because nothing could be told would look like nothing to do.
    ///
    /// # Errors
    /// When security updates are asked for, and the sources say of no update what it is.
    fn can_tell(&self, manager: &dyn Manager, pending: &Listing) -> Result<(), Failure> {
        let told = pending.updates.iter().any(|update| update.security.is_some());
        if !self.security || told || pending.updates.is_empty() {
            return Ok(());
        }
        let text = format!(
            "{} cannot tell security updates from others: no advisory for any of what is pending; run apply without --security",
            manager.facts().name
        );
        Err(Failure::new(Class::Config, text))
    }

    /// Writes what is left out where the manager reads it, if it reads it from a file: before the
    /// administrator's own file of that kind, which it takes the place of.
    fn write(&mut self, session: &Session, dir: &Path) -> Result<(), Failure> {
        let put = |path: &Path, content: &[u8]| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            write_atomic(dir, &name, content)
                .map_err(|error| Failure::new(Class::Space, format!("{error:#}")))
        };
        let Some(selection) = session.manager.selection(&self.plan) else { return Ok(()) };
        let file = dir.join(FILE);
        let mut base = session.places().selection_base.clone();
        if let Some(settings) = session.manager.settings() {
            let theirs = administrators(settings)?;
            base = settings.base(&theirs).unwrap_or(base);
            let ours = format!("{theirs}\n{}", settings.text(&file));
            put(&settings.path(&file), ours.as_bytes())?;
        }
        let mut content = selection.into_bytes();
        content.extend(theirs(&base)?.unwrap_or_default());
        put(&file, &content)?;
        self.plan.selection = Some(file);
        Ok(())
    }

    /// Removes what [`Selection::plan`] wrote, here or in a run that was killed.
    pub fn clean_up(&mut self, dir: &Path, settings: Option<&dyn Settings>) {
        self.plan.selection = None;
        let file = dir.join(FILE);
        let settings = settings.map(|settings| settings.path(&file));
        for path in settings.iter().chain([&file]) {
            if let Err(error) = remove_if_there(path) {
                warn!("{error:#}");
            }
        }
    }
}

/// The patterns of `--from`: an identifier may hold anything that can be printed.
///
/// # Errors
/// When one is no pattern.
fn sources(globs: &[String]) -> Result<Vec<Pattern>, String> {
    let pattern = |glob: &String| match Pattern::new(glob) {
        Ok(pattern) if !glob.trim().is_empty() && glob.chars().all(is_printable) => Ok(pattern),
        _ => Err(format!("{glob:?} is not a pattern of sources, like *-security")),
    };
    globs.iter().map(pattern).collect()
}

/// The installed packages in whose place only updates would come that are not wanted.
fn kept(pending: &Listing, wanted: &BTreeSet<String>) -> Vec<String> {
    let (of_wanted, of_others): (Vec<_>, Vec<_>) =
        pending.updates.iter().partition(|update| wanted.contains(&update.name));
    let goes =
        |name: &String| of_wanted.iter().any(|update| update.name == *name || update.replaces.contains(name));
    let names = of_others.iter().flat_map(|update| &update.replaces).filter(|name| !goes(name));
    names.cloned().collect()
}

/// `libc6:amd64` is listed as `libc6` where amd64 is the native architecture, `bash.x86_64` as
/// `bash`.
fn listed_name<'a>(argument: &'a str, installed: &Installed) -> Option<&'a str> {
    if installed.contains_key(argument) {
        return Some(argument);
    }
    let (plain, architecture) = argument.rsplit_once([':', '.'])?;
    let package = installed.get(plain)?;
    (package.architecture == architecture).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_unwanted_updates_would_replace_is_kept() {
        let update = |name: &str, replaces: &[&str]| Update {
            name: name.into(),
            installed: None,
            candidate: "2".into(),
            security: None,
            source: None,
            replaces: replaces.iter().map(ToString::to_string).collect(),
            told: Default::default(),
            extra: Default::default(),
        };
        let updates = vec![update("new", &["a", "b"]), update("other", &["b"]), update("plain", &[])];
        let pending = Listing { updates, ..Listing::default() };
        let kept = |wanted: &[&str]| kept(&pending, &wanted.iter().map(ToString::to_string).collect());
        assert_eq!(kept(&["new", "other", "plain"]), [""; 0]);
        assert_eq!(kept(&["other"]), ["a"]);
        assert_eq!(kept(&["plain"]), ["a", "b", "b"]);
    }
}
