//! The file that tells a manager what to leave out.

use super::Selection;
use crate::driver::Session;
use crate::driver::settings_files::{administrators, theirs};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::system::files::{remove_or_warn, write_atomic};
use std::path::Path;

/// The file in the state directory that tells the manager what to leave as it is.
const FILE: &str = "selection";

impl Selection {
    /// Writes what is left out for a manager that reads it from a file. The file takes the place of the administrator's
    /// own of that kind, whose content comes after ours.
    pub(super) fn write(&mut self, session: &Session, dir: &Path) -> Result<(), Failure> {
        let put = |path: &Path, content: &[u8]| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            write_atomic(dir, &name, content).map_err(Failure::of(Class::Space))
        };
        let Some(selection) = session.manager.leave_out_text(&self.plan) else { return Ok(()) };
        let file = dir.join(FILE);
        let mut base = session.places().leave_out_base.clone();
        if let Some(settings) = session.manager.settings() {
            let theirs = administrators(settings)?;
            base = settings.base(&theirs).unwrap_or(base);
            let ours = format!("{theirs}\n{}", settings.text(&file));
            put(&settings.path(&file), ours.as_bytes())?;
        }
        let mut content = selection.into_bytes();
        content.extend(theirs(&base)?.unwrap_or_default());
        put(&file, &content)?;
        self.plan.leave_out_file = Some(file);
        Ok(())
    }

    /// Removes what [`Selection::plan`] wrote in this run, or in one that was killed.
    pub fn clean_up(&mut self, dir: &Path) {
        self.plan.leave_out_file = None;
        let file = dir.join(FILE);
        let settings = self.manager.settings().map(|settings| settings.path(&file));
        for path in settings.iter().chain([&file]) {
            remove_or_warn(path);
        }
    }
}
