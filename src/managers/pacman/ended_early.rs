//! What was being downloaded when pacman was ended before its time. pacman says nothing of its downloads before its end,
//! also nothing of those that failed.

use crate::system::files::{paths_in, with_extension_in};
use std::path::{Path, PathBuf};

/// The downloads that ran just before pacman was ended. It has a `.part` file for each, from the moment when it begins
/// with it until it has come, has failed or has nothing newer (measured with pacman 6.0 and 7.1).
#[derive(Debug, Default)]
pub struct Downloads {
    /// These files.
    parts: Vec<PathBuf>,
}

impl Downloads {
    /// Looks at the directory of the index. pacman 7 downloads in one below it, `download-XXXXXX`, if it does so as
    /// another user (`DownloadUser`).
    pub fn look(index: &Path) -> Downloads {
        let dirs = [vec![index.to_path_buf()], paths_in(index)].concat();
        Downloads { parts: dirs.iter().flat_map(|dir| with_extension_in(dir, "part")).collect() }
    }

    /// Whether none ran.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether this file was being downloaded, or its signature.
    pub fn has(&self, file: &str) -> bool {
        let names = [format!("{file}.part"), format!("{file}.sig.part")];
        self.parts.iter().any(|part| names.iter().any(|name| part.ends_with(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir, write};

    #[test]
    fn what_is_downloaded_is_found_also_where_another_user_does_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Downloads::look(dir.path()).is_empty());
        create_dir(dir.path().join("download-a")).unwrap();
        for name in ["a.db.part", "b.db", "download-a/c.db.sig.part", "download-a/d.db", "e.part"] {
            write(dir.path().join(name), "").unwrap();
        }
        let downloads = Downloads::look(dir.path());
        let files = ["a.db", "b.db", "c.db", "d.db", "e.db"];
        let found: Vec<_> = files.into_iter().filter(|file| downloads.has(file)).collect();
        assert_eq!(found, ["a.db", "c.db"]);
    }
}
