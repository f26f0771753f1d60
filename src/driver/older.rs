//! Updates that need an older version of another installed package, for managers that install it without being asked.

use super::Session;
use super::lists::MOST_LEFT_OUT;
use crate::managers::Plan;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::{HeldBack, OLDER, OLDER_ONES, Update};

impl Session {
    /// Holds back the updates of a list that need an older version of what is installed. An older version that comes
    /// also without any of the other updates is wanted by the administrator, and stays in the list; if the lists do not
    /// say what is replaced, it comes in the place of another package, and is held back itself. `newer` has the newer
    /// versions that there are; `plan` is what was listed.
    pub fn hold_back_older(
        &self,
        listing: &mut Listing,
        newer: &[HeldBack],
        plan: &dyn Fn() -> Result<Plan, Failure>,
    ) -> Result<(), Failure> {
        let mut older = listing.updates.clone();
        older.retain(|update| self.is_older(update, newer));
        if older.is_empty() {
            return Ok(());
        }
        let mut plan = plan()?;
        let is_older = |name: &String| older.iter().any(|update| update.name == *name);
        let others = listing.names().into_iter().filter(|name| !is_older(name));
        let left_out = others.chain(plan.left_out.clone()).collect();
        let wanted = self.list(&Plan { left_out, ..plan.clone() }).unwrap_or_default();
        let (alone, needed): (Vec<_>, Vec<_>) = older.into_iter().partition(|update| wanted.brings(update));
        if self.manager.facts().lists_no_replaced {
            plan.left_out.extend(alone.iter().map(|update| update.name.clone()));
            hold_back_replacing(listing, alone);
        }
        let older = needed;
        if older.is_empty() {
            return Ok(());
        }
        let names = older.iter().map(|update| update.name.clone());
        let left_out = plan.left_out.iter().cloned().chain(names).collect();
        let kept = Plan { left_out, ..plan.clone() };
        let Some(mut without) = self.list_without_culprits(kept) else { return Ok(()) };
        let is_one = |name: &String| older.iter().any(|update| update.name == *name);
        let updates = std::mem::take(&mut listing.updates).into_iter();
        let needing: Vec<_> =
            updates.filter(|update| !is_one(&update.name) && !without.brings(update)).collect();
        plan.left_out.extend(needing.iter().map(|update| update.name.clone()));
        // Without these, a newer version of the others may come.
        if let Some(newest) = self.list_without_culprits(plan) {
            if !newest.updates.iter().any(|update| is_one(&update.name) && self.is_older(update, newer)) {
                without = newest;
            }
        }
        (listing.updates, listing.removals) = (without.updates, without.removals);
        listing.updates.retain(|update| needing.iter().all(|needing| needing.name != update.name));
        let reason = reason(&older);
        let installed = needing.into_iter().filter(|update| update.installed.is_some());
        listing.held_back.extend(installed.map(|update| update.left_out(Class::Dependency, &reason)));
        Ok(())
    }

    /// Whether what comes is older than what is installed.
    fn is_older(&self, update: &Update, newer: &[HeldBack]) -> bool {
        let Some(installed) = update.installed.as_ref().filter(|old| **old != update.candidate) else {
            return false;
        };
        let mut of_it = newer.iter().filter(|held| held.name == update.name).peekable();
        let is_any = of_it.peek().is_some();
        if of_it.any(|held| held.candidate.as_ref() == Some(&update.candidate)) {
            return false;
        }
        self.manager.is_older(self, &update.candidate, installed).unwrap_or(!is_any)
    }

    /// Lists a plan. If the manager lists nothing because of some updates, and names them, these are left out too.
    fn list_without_culprits(&self, mut plan: Plan) -> Option<Listing> {
        let most = plan.left_out.len() + MOST_LEFT_OUT;
        loop {
            let culprits = match self.list(&plan) {
                Ok(listing) => return Some(listing),
                Err(failure) => failure.culprits,
            };
            let before = plan.left_out.len();
            let names = culprits.into_iter().map(|held| held.name);
            let new: Vec<_> = names.filter(|name| !plan.left_out.contains(name)).collect();
            plan.left_out.extend(new);
            if plan.left_out.len() == before || before >= most {
                return None;
            }
        }
    }
}

/// Holds back older versions that would come in the place of other packages.
fn hold_back_replacing(listing: &mut Listing, older: Vec<Update>) {
    listing.updates.retain(|update| !older.contains(update));
    listing.held_back.extend(older.into_iter().map(|update| {
        let installed = update.installed.as_deref().unwrap_or_default();
        let reason = format!("it would replace another package, and is {OLDER} {installed}");
        update.left_out(Class::Dependency, &reason)
    }));
}

/// Why an update stays that needs these.
fn reason(older: &[Update]) -> String {
    match older {
        [one] => {
            let Update { name, candidate, installed, .. } = one;
            let installed = installed.as_deref().unwrap_or_default();
            format!("it needs {name} {candidate}, which is {OLDER} {installed}")
        }
        several => {
            let names: Vec<_> = several.iter().map(|update| update.name.as_str()).collect();
            format!("it needs {OLDER_ONES}: {}", names.join(", "))
        }
    }
}
