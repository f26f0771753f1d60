//! Step 6, where one package failed: the others are installed all the same.

use super::Run;
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::updates::Update;
use crate::system::process::{Invocation, Limits};
use crate::system::signals;
use log::warn;

impl Run<'_> {
    /// Finishes the packages that were left unpacked because another one failed.
    pub(super) fn finish_others(&mut self) -> Result<(), Failure> {
        if self.manager.finish(self.session.places(), &[]).is_none() {
            return Ok(());
        }
        let installed = self.session.installed()?;
        let unpacked = installed.iter().filter(|(_, package)| package.is_unpacked);
        let names: Vec<_> = unpacked.map(|(name, _)| name.as_str()).collect();
        let invocation = self.manager.finish(self.session.places(), &names);
        if let Some(invocation) = invocation.filter(|_| !names.is_empty()) {
            let label = "ending the install of the others";
            let finished = self.session.run(label, &invocation, &Limits::default())?;
            if let Some(failure) = self.manager.failure(&invocation, &finished) {
                warn!("{}", failure.message);
            }
        }
        Ok(())
    }

    /// Installs the updates that the manager did not come to because another one failed: it would stop there in every
    /// run. But not if something is to be removed, which would then be gone though its replacement is missing.
    pub(super) fn install_others(&mut self, install: Invocation, failed: &Failure) -> Result<(), Failure> {
        let Some(install) = self.manager.past_failures(install) else { return Ok(()) };
        let is_theirs = matches!(failed.class, Class::Script | Class::Dependency);
        if !is_theirs || self.selection.plan.full || signals::received().is_some() {
            return Ok(());
        }
        let installed = self.session.installed()?;
        // To end a removal that a person began, the manager tries it in every run.
        let is_begun = |name: &str| installed.get(name).is_some_and(|package| package.removal_failed);
        if self.work.planned.removals.iter().any(|(name, _)| !is_begun(name)) {
            return Ok(());
        }
        let is_named = |name: &str| names_package(&failed.message, self.manager.database().plain_name(name));
        let is_untouched = |update: &&Update| {
            let package = installed.get(&update.name);
            package.map(|package| &package.version) == update.installed.as_ref() && !is_named(&update.name)
        };
        let others = self.work.planned.updates.iter().filter(is_untouched).count();
        // If it is not known which package failed, it may be all of them.
        let is_planned = |name: &String| self.work.planned.comes(name);
        let is_known = self.work.planned.updates.iter().any(|update| is_named(&update.name))
            || installed.iter().any(|(name, package)| {
                package.is_broken && (is_planned(name) || (package.removal_failed && is_named(name)))
            });
        if others > 0 && is_known {
            warn!(
                "{}; going on with the {others} to which {} did not come",
                failed.message,
                self.manager.facts().name
            );
            let label = "installing the others";
            let finished = self.session.run(label, &install, &Limits::default())?;
            self.note_left_aside(&finished);
            self.session.wait_for_what_goes_on(&finished);
            self.finish_others()?;
        }
        Ok(())
    }
}

/// Whether a manager's message is about this package or its file, and not only about what that meets.
fn names_package(message: &str, plain: &str) -> bool {
    let message = message.split(", which is also in package ").next().unwrap_or(message);
    let forms = [
        format!("package {plain} "),
        format!("package {plain}:"),
        format!("archive {plain}_"),
        format!("/{plain}_"),
    ];
    forms.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_which_an_error_speaks_is_known_by_its_file_too() {
        for message in [
            "package tb-x (--configure): installed tb-x package post-installation script failed",
            "package tb-x:i386 (--configure): x",
            "archive /var/cache/apt/archives/tb-x_2.0_all.deb (--unpack): trying to overwrite '/x'",
            "archive tb-x_2.0_all.deb (--unpack): trying to overwrite '/x'",
        ] {
            assert!(names_package(message, "tb-x"), "{message}");
            assert!(!names_package(message, "x"), "{message}");
            assert!(
                !names_package(&format!("{message}, which is also in package tb-y 1.0"), "tb-y"),
                "{message}"
            );
        }
    }
}
