//! The database of installed packages. It has no journal, and is written last: an update that was cut off is still
//! pending.

use crate::managers::database::Database;
use crate::managers::facts::Places;
use crate::model::packages::{Installed, InstalledPackage};
use crate::system::process::Invocation;

/// Where apk keeps them.
pub struct Packages;

impl Database for Packages {
    /// What apk takes as the name of a package: no version (`a=1`), no repository (`a@edge`), no conflict (`!a`), nothing
    /// that is provided (`so:libc.so`), no pattern.
    fn is_package_name(&self, name: &str) -> bool {
        name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
    }

    /// Only the database itself tells which packages have a failed script. The constraints in world are read with it: no
    /// line of the database has one of their characters before its first colon.
    fn list_installed(&self, places: &Places) -> Invocation {
        let database = places.database.to_string_lossy().into_owned();
        Invocation::of("grep", ["-h", "-e", "^[PVAf]:", "-e", "^[^:]*[=<>~]", &database, "/etc/apk/world"])
    }

    /// Reads the lines of that list.
    ///
    /// ```text
    /// P:tb-hello
    /// V:1.0-r0
    /// A:x86_64
    /// f:s
    /// tb-hello=1.0-r0
    /// ```
    fn parse_installed(&self, text: &str, _: &Places) -> Installed {
        let mut installed = Installed::new();
        let mut name = "";
        for line in text.lines() {
            match line.split_once(':') {
                Some(("P", value)) => {
                    name = value;
                    installed.insert(name.to_string(), InstalledPackage::default());
                }
                Some((field @ ("V" | "A" | "f"), value)) => {
                    let Some(package) = installed.get_mut(name) else { continue };
                    match field {
                        "V" => package.version = value.to_string(),
                        "A" => package.architecture = value.into(),
                        // `x` marks an attribute that the file system cannot store.
                        _ => package.is_broken = value.contains(['f', 's']),
                    }
                }
                // `tb-hello=1.0-r0`, `tb-hello@edge<2`
                _ => {
                    let Some((held, _)) = line.split_once(['=', '<', '>', '~']) else { continue };
                    let held = held.split('@').next().unwrap_or(held);
                    if let Some(package) = installed.get_mut(held) {
                        package.is_held = true;
                    }
                }
            }
        }
        installed
    }
}

#[cfg(test)]
mod tests {
    use super::super::Apk;
    use super::*;
    use crate::managers::manager::Manager;

    #[test]
    fn only_names_that_apk_takes_as_names_are_accepted() {
        for name in ["tb-hello", "libstdc++", "py3-yaml", "font-noto_x", "gtk4.0", "7zip", "R"] {
            assert!(Packages.is_package_name(name), "{name}");
        }
        let refused = [
            "",
            "-U",
            "--root=/",
            ".virtual",
            "a=1",
            "a<2",
            "a~1",
            "a@edge",
            "!a",
            "so:libc.so",
            "a*",
            "a b",
        ];
        for name in refused.iter().chain(&["/tmp/a.apk", "a\n", "ä"]) {
            assert!(!Packages.is_package_name(name), "{name:?}");
        }
    }

    #[test]
    fn broken_and_held_packages_are_seen() {
        let text = "P:a\nV:1-r0\nA:x86_64\nf:s\nP:b\nV:2-r0\nA:noarch\nf:x\nP:c\nV:3-r0\nP:d\nV:4\nb=2-r0\n\
            c@edge<4\nnone~1\nd\nV\n";
        let installed = Packages.parse_installed(text, &Apk.facts().usual_places());
        let flags = |name: &str| (installed[name].is_broken, installed[name].is_held);
        assert_eq!(
            [flags("a"), flags("b"), flags("c"), flags("d")],
            [(true, false), (false, true), (false, true), (false, false)]
        );
        assert_eq!(
            (installed["a"].version.as_str(), installed["b"].architecture.as_ref()),
            ("1-r0", "noarch")
        );
        assert!(!installed.contains_key("none"));
    }
}
