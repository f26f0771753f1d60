//! The administrator's settings for the manager, and our file that takes their place.

use super::Session;
use super::settings_files::{administrators, included, strs};
use crate::managers::{Elsewhere, Facts, Locate};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::store::state::Configuration;
use crate::system::files::{exact_fingerprint, files_of, write_atomic};
use crate::system::process::{Invocation, find};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The file, in the state directory, with the settings of one command.
const FILE: &str = "settings.conf";

impl Session {
    /// The command with its own settings behind the administrator's, if it has any.
    ///
    /// # Errors
    /// When the administrator's cannot be read, or ours cannot be written.
    pub(super) fn with_settings(&self, mut invocation: Invocation) -> Result<Invocation, Failure> {
        let has_own = !invocation.settings.is_empty();
        let settings = self.manager.settings().filter(|settings| has_own || settings.leaves_some_out());
        let Some(settings) = settings else { return Ok(invocation) };
        let theirs = administrators(settings)?;
        let kept = settings.kept(&theirs);
        let added = settings.added(invocation.settings, &theirs, &self.state_dir)?;
        if added.is_empty() && kept == theirs {
            return Ok(invocation);
        }
        let text = format!("{kept}\n{added}");
        write_atomic(&self.state_dir, FILE, text.as_bytes()).map_err(Failure::of(Class::Space))?;
        invocation.vars.push((settings.variable(), self.state_dir.join(FILE)));
        Ok(invocation)
    }

    /// The places that the administrator's settings name instead of the usual ones.
    pub fn elsewhere(&self) -> &Elsewhere {
        self.elsewhere.get_or_init(|| {
            let settings = self.manager.settings();
            let text = settings.and_then(|settings| administrators(settings).ok());
            let found = settings.zip(text).map(|(settings, text)| settings.elsewhere(&text));
            let asked = || self.configuration().map(|text| self.manager.elsewhere(text));
            let mut found = found.or_else(asked).unwrap_or_default();
            let named = settings.and_then(|settings| std::env::var(settings.variable()).ok());
            found.sources.extend(named);
            found.sources.extend(self.included());
            found
        })
    }

    /// The manager's configuration from an earlier answer, if nothing has changed since.
    pub(super) fn kept_configuration(&self, locate: &dyn Locate) -> Option<String> {
        let kept = self.kept.borrow().clone().filter(|_| !is_set(locate.variables()))?;
        (kept.basis == self.basis_of_configuration(locate, &kept.text)).then_some(kept.text)
    }

    /// Asks for it. The answer is kept if everything that it depends on is known and did not change meanwhile.
    pub(super) fn ask_and_keep_configuration(&self, locate: &dyn Locate) -> Option<String> {
        let before = self.basis_of_configuration(locate, "");
        let text = locate.of_use(&self.ask_configuration(locate)?);
        let depends_on_more = || {
            let files = self.files_of_configuration(locate, "");
            files_of(&strs(&files)).iter().any(|(path, _)| {
                let text = std::fs::read(path);
                text.map_or(true, |text| locate.depends_on_more(&String::from_utf8_lossy(&text)))
            })
        };
        let is_all_known = !is_set(locate.variables())
            && !locate.is_elsewhere(&text)
            && before == self.basis_of_configuration(locate, "")
            && !depends_on_more();
        let basis = || self.basis_of_configuration(locate, &text);
        let kept = is_all_known.then(|| Configuration { basis: basis(), text: text.clone() });
        self.kept.replace(kept);
        Some(text)
    }

    /// The whole answer of the manager about its configuration.
    pub(super) fn ask_configuration(&self, locate: &dyn Locate) -> Option<String> {
        let invocation = locate.ask();
        // This is the first question of a wait for a lock, so it must not wait for one itself.
        let answer = self.answer(&invocation).ok()?;
        self.manager.failure(&invocation, &answer).is_none().then_some(answer.stdout)
    }

    /// Shows whether a kept answer about the manager's configuration still holds. If the manager was replaced, the
    /// package database shows it.
    fn basis_of_configuration(&self, locate: &dyn Locate, text: &str) -> String {
        let question = locate.ask();
        let mut files = self.files_of_configuration(locate, text);
        files.extend(find(question.program).map(|path| path.display().to_string()));
        files.extend(self.manager.facts().package_databases.iter().map(|path| path.to_string()));
        format!("{} {}", exact_fingerprint(&strs(&files)), question.line())
    }

    fn files_of_configuration(&self, locate: &dyn Locate, text: &str) -> Vec<String> {
        let usual =
            locate.files().iter().chain(self.manager.facts().source_config).map(|path| path.to_string());
        let elsewhere = self.manager.elsewhere(text).sources;
        usual.chain(self.included()).chain(elsewhere).collect()
    }

    /// The files that the configuration of the sources includes.
    fn included(&self) -> Vec<String> {
        match self.manager.facts() {
            Facts { includes_files: true, source_config: [main, ..], .. } => {
                included(main, &|text| self.manager.includes(text))
            }
            _ => Vec::new(),
        }
    }

    /// Where the package database is, if not in one of the usual places.
    pub(super) fn database_elsewhere(&self) -> Vec<String> {
        let database = &self.places().database;
        let is_usual =
            self.manager.facts().package_databases.iter().any(|usual| Path::new(usual) == database);
        let end = if database.is_dir() { "/" } else { "" };
        if is_usual { Vec::new() } else { vec![format!("{}{end}", database.display())] }
    }
}

/// Whether a variable is set whose name begins so.
fn is_set(beginnings: &[&str]) -> bool {
    let mut names = std::env::vars_os().map(|(name, _)| name);
    names.any(|name| beginnings.iter().any(|start| name.as_bytes().starts_with(start.as_bytes())))
}
