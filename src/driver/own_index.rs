//! A session with a manager that has an index of our own.

use super::Session;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::updates::HeldBack;
use crate::system::files::remove_whatever;
use crate::system::lock_holders;
use crate::system::process::{Finished, Invocation};

impl Session {
    /// The command with the directory of our own index among its arguments, if it takes that.
    pub(super) fn with_own_index(&self, invocation: &Invocation) -> Invocation {
        let mut invocation = invocation.clone();
        if let (Some(arg), Some(own)) = (invocation.private_arg.take(), &self.own_index) {
            invocation.args.insert(0, arg.replace("{}", &own.dir().display().to_string()));
        }
        invocation
    }

    /// Prepares it for a refresh.
    ///
    /// # Errors
    /// When something else is in the way.
    pub(super) fn prepare_own_index(&self, config_changed: bool) -> Result<(), Failure> {
        let Some(own) = &self.own_index else { return Ok(()) };
        own.prepare(self, config_changed)?;
        self.drop_left_lock()
    }

    /// Removes the lock of our own index if a manager that was killed has left it. Nobody else works there while we hold
    /// our lock, except a manager that has outlived its linux-patch.
    pub(super) fn drop_left_lock(&self) -> Result<(), Failure> {
        match self.own_index.as_ref().map(|own| own.lock()).filter(|lock| lock_holders::is_left(lock)) {
            Some(lock) => remove_whatever(&lock).map_err(Failure::of(Class::Lock)),
            None => Ok(()),
        }
    }

    /// The updates whose signatures are by keys that a download lacked, for a manager that names only the keys.
    pub fn signed_with_missing_keys(&self, downloaded: &Finished, planned: &Listing) -> Vec<HeldBack> {
        let own = self.own_index.as_ref();
        own.map(|own| own.signed_with_missing_keys(self, downloaded, planned)).unwrap_or_default()
    }

    /// Makes the install use exactly the index that the download used.
    ///
    /// # Errors
    /// When the manager cannot say what its configuration is, or something cannot be written.
    pub fn offer_own_index(&self, planned: &Listing) -> Result<(), Failure> {
        self.own_index.as_ref().map_or(Ok(()), |own| own.offer(self, planned))
    }
}
