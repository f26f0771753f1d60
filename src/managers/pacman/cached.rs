//! The packages that pacman has downloaded.

use super::culprits;
use crate::model::listing::Listing;
use crate::model::updates::Update;
use std::collections::HashSet;
use std::path::Path;

/// The planned package to which a downloaded file belongs.
pub fn planned_package<'a>(path: &Path, planned: &'a Listing) -> Option<&'a Update> {
    let package = culprits::package_of(path.file_name()?.to_str()?)?;
    planned.updates.iter().find(|update| package == format!("{}-{}", update.name, update.candidate))
}

/// Whether a downloaded file may be a package of these. Its name need not have the version of the package: GitHub for
/// example serves no file with a colon in the name.
pub fn may_be_of(path: &Path, names: &HashSet<&str>) -> bool {
    let file = path.file_name().and_then(|name| name.to_str()).filter(|file| file.contains(".pkg.tar"));
    file.is_some_and(|file| file.match_indices('-').any(|(at, _)| names.contains(&file[..at])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_be_of_a_package_whose_version_it_does_not_have() {
        let names = HashSet::from(["tb-a", "foo"]);
        let is = |file: &str| may_be_of(&Path::new("/var/cache").join(file), &names);
        for file in
            ["foo-1.2.0-1-any.pkg.tar.zst", "tb-a-1:2-1-any.pkg.tar.gz.sig", "foo-git-1-1-any.pkg.tar"]
        {
            assert!(is(file), "{file}");
        }
        assert!(!["foo", "foo-1-1-any.zst", "foo2-1-1-any.pkg.tar", "a-1-1-any.pkg.tar"].into_iter().any(is));
    }
}
