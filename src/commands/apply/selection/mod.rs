//! Which of the pending updates an apply is to install.

mod excludes;
mod file;
mod sources;
mod wanted;

use crate::cli::ApplyArgs;
use crate::commands::exclude::patterns;
use crate::driver::Session;
use crate::managers::{Facts, Installed, Manager, Plan};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::{HeldBack, Update};
use crate::store::state::{Pending, State};
use glob::Pattern;
use log::info;
use std::collections::BTreeSet;
use std::path::Path;

/// So many times a plan is made again without versions that no refreshed source offers.
const MOST_ROUNDS: usize = 10;

/// Whether packages with new keys must be installed before the packages that are signed with them.
#[derive(Debug)]
enum Keys {
    NotNeeded,
    First(Vec<String>),
    Tried,
}

/// What a plan is made of.
#[derive(Debug)]
struct Counted<'a> {
    pending: &'a Listing,
    /// What is chosen of that, with what it needs; `None` for all of it.
    chosen: Option<BTreeSet<String>>,
}

/// What the command line selects, and the plan made of it.
#[derive(Debug)]
pub(super) struct Selection {
    manager: &'static dyn Manager,
    packages: Vec<String>,
    security: bool,
    exclude: Vec<Pattern>,
    /// The chosen sources, if not all.
    from: Vec<Pattern>,
    /// What only other sources offer.
    of_others: BTreeSet<String>,
    /// Whether the effect of the `--exclude` patterns was already reported.
    is_told_of_excludes: bool,
    /// Whether what was asked for cannot be done at all.
    pub is_refused: bool,
    /// For how many seconds an update must have been known here, unless it is a security update.
    min_age: Option<i64>,
    /// What is left out because it is not old enough.
    young: BTreeSet<String>,
    /// What turned out to be impossible to install.
    impossible: Vec<HeldBack>,
    /// The updates of the plan before.
    planned: Vec<String>,
    /// What was reported to be left out though it is not pending.
    told_unchecked: BTreeSet<String>,
    /// The packages with keys that are installed before all others.
    keys: Keys,
    /// The plan for the manager, made by [`Selection::make_plan`].
    pub plan: Plan,
}

impl Selection {
    /// Checks the arguments before anything runs.
    ///
    /// # Errors
    /// One line that names the argument and what is wrong with it.
    pub fn new(manager: &'static dyn Manager, args: &ApplyArgs) -> Result<Self, String> {
        let Facts { name: of, only_whole, knows_security, .. } = manager.facts();
        if let (Some(why), false) = (only_whole, args.packages.is_empty()) {
            return Err(format!("packages cannot be chosen with {of}: {why}; run apply without them"));
        }
        if let Some(name) = args.packages.iter().find(|name| !manager.database().is_package_name(name)) {
            return Err(format!("{name:?} is not a package name of {of}"));
        }
        let parts = [("--min-age", args.min_age.is_some()), ("--from", !args.from.is_empty())];
        if let (Some(why), Some((option, _))) = (only_whole, parts.iter().find(|(_, is_given)| *is_given)) {
            return Err(format!("{option} cannot be used with {of}: {why}; run apply without it"));
        }
        if args.security && !knows_security {
            return Err(format!(
                "{of} cannot tell security updates from others; run apply without --security"
            ));
        }
        if args.download_only && manager.download(&Plan::default()).is_none() {
            return Err(format!("{of} downloads while it installs; run apply without --download-only"));
        }
        let selection = Selection {
            manager,
            packages: args.packages.clone(),
            security: args.security,
            exclude: patterns(&args.exclude)?,
            from: Selection::patterns_of(&args.from)?,
            of_others: BTreeSet::new(),
            is_told_of_excludes: false,
            is_refused: false,
            min_age: args.min_age.map(|age| age.as_secs() as i64),
            young: BTreeSet::new(),
            impossible: Vec::new(),
            planned: Vec::new(),
            told_unchecked: BTreeSet::new(),
            keys: Keys::NotNeeded,
            plan: Plan { full: args.full, ..Plan::default() },
        };
        match args.packages.iter().find(|name| selection.is_excluded(name)) {
            Some(name) => Err(format!("{name} is both named and excluded")),
            None => Ok(selection),
        }
    }

    /// Makes the plan for what is pending now, and lists what it installs.
    ///
    /// # Errors
    /// When a named package cannot be updated, or the manager cannot list the plan.
    pub fn make_plan(
        &mut self,
        session: &Session,
        state: &State,
        installed: &Installed,
        dir: &Path,
    ) -> Result<Listing, Failure> {
        let planned = self.choose(session, state, installed, dir)?;
        self.planned = planned.names();
        Ok(planned)
    }

    fn choose(
        &mut self,
        session: &Session,
        state: &State,
        installed: &Installed,
        dir: &Path,
    ) -> Result<Listing, Failure> {
        self.begin_plan(session, state)?;
        let (pending, mut left_out) = self.pending_of_refreshed(session, state, dir)?;
        self.note_replacing(&pending);
        left_out.extend(self.left_out_by_us(&pending).into_iter().map(|held| held.name));
        if let Keys::First(names) = &self.keys {
            let others = pending.updates.iter().filter(|update| !names.contains(&update.name));
            left_out.extend(others.map(|update| update.name.clone()));
        }
        self.can_tell(&pending, state)?;
        if self.is_everything() && left_out.is_empty() && self.plan.passed_over.is_empty() {
            self.clean_up(dir);
            self.plan.left_out.clear();
            self.plan.kept.clear();
            return Ok(pending);
        }
        let named = self.named(&pending, installed)?;
        self.young = self.known_too_shortly(&pending, state);
        let mut wanted = self.wanted(session, &pending, &named)?;
        // Where nothing is chosen, what is excluded counts as not offered: newer versions of what it would replace come.
        let is_absent = |update: &Update| self.chooses_nothing() && self.is_excluded(&update.name);
        self.plan.kept = Selection::kept(&pending, &wanted, &is_absent);
        if session.manager.facts().lists_no_replaced {
            let excluded = self.excluded_among(installed);
            self.plan.kept.extend(excluded);
        }
        left_out.extend(pending.names().into_iter().filter(|name| !wanted.contains(name)));
        let is_nothing = |update: &Update| {
            // What it would replace may have newer versions of its own.
            let stays = |old: &String| self.plan.kept.contains(old) || left_out.contains(old);
            left_out.contains(&update.name) && update.replaces.iter().all(stays)
        };
        let nothing = pending.updates.iter().all(is_nothing);
        left_out.extend(std::mem::take(&mut self.plan.left_out));
        self.plan.left_out = left_out.into_iter().collect();
        self.plan.new = new_among(&self.plan.left_out, installed);
        // What the list shows to be left out too comes behind these.
        let known = self.plan.left_out.len();
        let chosen = (!self.chooses_nothing()).then(|| wanted.iter().chain(&named).cloned().collect());
        let planned = match nothing {
            true => Listing::default(),
            false => self.list(session, state, dir, &Counted { pending: &pending, chosen })?,
        };
        wanted.retain(|name| !self.plan.left_out[..known].contains(name));
        self.check(session, dir, &planned)?;
        self.note_dependents(&planned, &pending, &wanted);
        self.tell_excludes(installed, &planned, &pending, &wanted);
        let Some(name) = named.iter().find(|name| wanted.contains(*name) && !planned.comes(name)) else {
            return Ok(planned);
        };
        let text = match planned.held(name) {
            Some(held) => format!("{name} cannot be updated: {}", held.reason),
            None => format!("{name} cannot be updated without a package that is left out"),
        };
        Err(Failure::new(Class::Dependency, text))
    }

    /// Begins the plan: which sources it uses, and what is left out before anything is listed.
    fn begin_plan(&mut self, session: &Session, state: &State) -> Result<(), Failure> {
        if self.plan.full && !session.may_remove() {
            info!("{} is configured to remove nothing: what needs removals stays", self.manager.facts().name);
            self.plan.full = false;
        }
        self.knows_sources(state)?;
        let choice = session.choice(state)?;
        self.plan.without = choice.without;
        self.plan.never_read = choice.never_read;
        self.plan.only_sources = choice.only_sources;
        self.plan.not_from = choice.not_from;
        // Those of an earlier round name what this one may ask for.
        self.plan.leave_out_file = None;
        self.plan.kept.clear();
        self.plan.new.clear();
        self.plan.left_out = self.known_excluded(state);
        if self.plan.full {
            self.plan.left_out.extend(self.impossible.iter().map(|held| held.name.clone()));
        }
        Ok(())
    }

    /// Lists what the plan installs. Where one package is left out, another may replace an excluded package, update it
    /// or bring it, or come in its place though it would have been held back, or was not chosen: then that is left out
    /// too. What is excluded stays.
    fn list(
        &mut self,
        session: &Session,
        state: &State,
        dir: &Path,
        counted: &Counted,
    ) -> Result<Listing, Failure> {
        let pending = counted.pending;
        for _ in 0..MOST_ROUNDS {
            self.write(session, dir)?;
            let mut planned = session.list(&self.plan)?;
            let needing = self.hold_back_older(session, &mut planned, pending)?;
            planned.allow(pending);
            let excluded = planned.updates.iter().filter(|update| self.touches_excluded(update));
            let names = excluded.map(|update| update.name.clone());
            let mut more: Vec<_> = names.filter(|name| !self.plan.left_out.contains(name)).collect();
            more.extend(self.what_brings(session, &planned)?);
            more.extend(needing);
            let goes = planned.removals.iter().map(|(name, _)| name).filter(|name| self.is_excluded(name));
            let goes: Vec<_> = goes.filter(|name| !self.plan.kept.contains(name)).cloned().collect();
            let is_last = more.is_empty() && goes.is_empty();
            if is_last && !self.leave_out_unchecked(session, state, &planned, counted)? {
                return Ok(planned);
            }
            self.plan.left_out.extend(more);
            self.plan.kept.extend(goes);
        }
        let text = "ever another package would come in the place of what is left out".to_string();
        Err(Failure::new(Class::Dependency, text))
    }

    /// Takes updates out of this run, so that the others can be installed. Returns whether any of them was not out
    /// already.
    pub fn leave_out(&mut self, impossible: Vec<HeldBack>) -> bool {
        let before = self.impossible.len();
        for held in impossible {
            if !self.impossible.iter().any(|known| known.name == held.name) {
                self.impossible.push(held);
            }
        }
        self.impossible.len() > before
    }

    /// If a package must stay, what would replace it is impossible too.
    fn note_replacing(&mut self, pending: &Listing) {
        let of_one = |update: &Update| {
            let mut stays = self.impossible.iter().filter(|held| held.candidate.is_none());
            let stays = stays.find(|held| update.replaces.contains(&held.name))?;
            let reason = format!("{}, in whose place it would come, stays: {}", stays.name, stays.reason);
            Some(update.clone().left_out(Class::Dependency, &reason))
        };
        let replacing = pending.updates.iter().filter_map(of_one).collect();
        self.leave_out(replacing);
    }

    /// Makes the next run install only the pending keys, once, if only a key was missing.
    pub fn install_keys_first(&mut self, failure: &Failure, planned: &Listing) -> bool {
        let is_missing = failure.class == Class::Auth;
        let names: Vec<_> =
            planned.names().into_iter().filter(|name| self.manager.is_keyring(name)).collect();
        let is_use = is_missing && !names.is_empty() && matches!(self.keys, Keys::NotNeeded);
        self.keys = match std::mem::replace(&mut self.keys, Keys::Tried) {
            Keys::NotNeeded if is_use => Keys::First(names),
            Keys::NotNeeded => Keys::NotNeeded,
            _ => Keys::Tried,
        };
        is_use
    }

    /// Whether the run that ended well was for the keys. The next one is for the others.
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

    /// What is left out because it cannot be installed, by the list or by what this run has found.
    pub fn left_out_by_us(&self, pending: &Listing) -> Vec<HeldBack> {
        let listed = pending.held_back.iter().filter(|held| held.class.is_some());
        listed.chain(&self.impossible).cloned().collect()
    }

    fn is_everything(&self) -> bool {
        self.chooses_nothing() && self.exclude.is_empty()
    }

    /// Whether all is wanted but what is excluded.
    fn chooses_nothing(&self) -> bool {
        self.packages.is_empty() && !self.security && self.from.is_empty() && self.min_age.is_none()
    }

    /// Checks that what is left out and what is excluded stays.
    ///
    /// # Errors
    /// When it would not, naming the updates to leave out too, if they can be told.
    fn check(&mut self, session: &Session, dir: &Path, planned: &Listing) -> Result<(), Failure> {
        let comes = planned.updates.iter().find(|update| self.plan.left_out.contains(&update.name));
        if let Some(update) = comes {
            let text = format!("{} was to be left out, but would be updated", update.name);
            return Err(Failure::new(Class::Other, text));
        }
        let mut goes = planned.removals.iter().map(|(name, _)| name);
        let Some(name) = goes.find(|name| self.is_excluded(name)) else { return Ok(()) };
        let text = format!("{name} is excluded, but would be removed; exclude what replaces it too");
        let culprits = self.removers(session, dir, planned, name).unwrap_or_default();
        Err(Failure { culprits, ..Failure::new(Class::Dependency, text) })
    }

    /// Everything that is pending: the refresh has counted it, except for a full upgrade.
    fn pending(&self, session: &Session, state: &State) -> Result<Listing, Failure> {
        match &state.pending {
            Some(Pending { packages: Some(updates), held_back: Some(held_back), .. }) if !self.plan.full => {
                Ok(Listing { updates: updates.clone(), held_back: held_back.clone(), ..Listing::default() })
            }
            _ => {
                let Plan { full, without, only_sources, not_from, mut left_out, .. } = self.plan.clone();
                left_out.extend(self.impossible.iter().map(|held| held.name.clone()));
                let new = new_among(&left_out, &*session.installed()?);
                let whole = Plan { full, without, only_sources, not_from, left_out, new, ..Plan::default() };
                match session.list(&whole) {
                    // An update that cannot be had stops all the others: it may be left out.
                    Err(failure)
                        if failure.class == Class::Dependency
                            && !self.is_everything()
                            && session.manager.facts().lists_newer =>
                    {
                        session.newer_versions()
                    }
                    listed => {
                        let listing = session.ask_for_more(listed?, &whole)?;
                        let listing = session.without_owned(listing, state, &whole)?;
                        session.fill_in(listing, &|| Ok(whole.clone()))
                    }
                }
            }
        }
    }
}

/// Those of these packages that are not installed.
fn new_among(names: &[String], installed: &Installed) -> BTreeSet<String> {
    names.iter().filter(|name| !installed.contains_key(*name)).cloned().collect()
}
