//! Making the directory of our index ready for a refresh.

use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::text::one_line;
use crate::system::files::{paths_in, remove_or_warn, remove_whatever, with_extension_in};
use log::warn;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A failure of these.
pub fn failed(error: anyhow::Error) -> Failure {
    Failure::of(Class::Config)(error)
}

/// Gives the files of an index a very old time. A program that compares times then fetches all of them, and a file that
/// still has this time was not fetched.
pub fn make_old(index: &Path) {
    // What a link leads to is pacman's own.
    for path in paths_in(index).into_iter().filter(|path| !path.is_symlink()) {
        let done = File::options().write(true).open(&path).and_then(|file| file.set_modified(UNIX_EPOCH));
        if let Err(error) = done {
            warn!("{}", one_line(&format!("{}: {error:#}", path.display())));
        }
    }
}

/// Writes a file that only root can read, in a directory of ours: an address in it may have a password.
pub fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    remove_whatever(path)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Removes what is left of downloads that did not end: a program might continue them, and they look like downloads that
/// run.
pub fn drop_parts(index: &Path) {
    with_extension_in(index, "part").iter().for_each(|path| remove_or_warn(path));
}

/// Removes directories that are in the place of our files.
pub fn drop_directories(among: &[PathBuf]) -> Result<(), Failure> {
    let is_directory = |path: &&PathBuf| path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    among.iter().filter(is_directory).try_for_each(|path| remove_whatever(path).map_err(failed))
}

/// Removes a file that is in the place of one of our directories.
pub fn drop_file(place: &Path) -> Result<(), Failure> {
    let is_file = place.symlink_metadata().is_ok_and(|meta| meta.is_file());
    if is_file { remove_whatever(place).map_err(failed) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_may_have_a_password_is_for_root_alone_whatever_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let (path, theirs) = (dir.path().join("some.conf"), dir.path().join("theirs"));
        std::os::unix::fs::symlink(&theirs, &path).unwrap();
        write_secret(&path, "Server = http://me:x@h").unwrap();
        write_secret(&path, "Server = http://me:y@h").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "Server = http://me:y@h");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!theirs.exists());
    }
}
