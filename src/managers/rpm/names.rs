//! Names of packages, with or without version and architecture.

/// On a 64-bit PC, 32-bit packages can be installed beside those of the same name. Every other architecture is the
/// native one, or none.
fn is_foreign(arch: &str) -> bool {
    cfg!(target_arch = "x86_64") && (arch == "athlon" || (arch.starts_with('i') && arch.ends_with("86")))
}

/// A name as our lists write it: with the architecture only where it is not the native one.
pub fn listed_name(name: &str, arch: &str) -> String {
    if is_foreign(arch) { format!("{name}.{arch}") } else { name.to_string() }
}

/// The names under which our lists may have packages of this name.
pub fn all_names(name: &str) -> Vec<String> {
    const FOREIGN: &[&str] = &["athlon", "i386", "i486", "i586", "i686"];
    let foreign = FOREIGN.iter().filter(|arch| is_foreign(arch)).map(|arch| listed_name(name, arch));
    std::iter::once(name.to_string()).chain(foreign).collect()
}

/// `glibc.i686` without its architecture.
pub fn plain_name(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((plain, arch)) if is_foreign(arch) => plain,
        _ => name,
    }
}

/// What rpm takes as a name, with or without an architecture: no group (`@core`), no path, no pattern.
pub fn is_package_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

/// A package as rpm takes it as an argument, and as managers write it in their histories.
pub fn nevra(name: &str, version: &str, architecture: &str) -> String {
    format!("{}-{version}.{architecture}", plain_name(name))
}

/// Name, version and architecture of such a package: `tb-a-2.0-1.noarch`.
pub fn parts_of_nevra(package: &str) -> Option<(&str, &str, &str)> {
    let (rest, architecture) = package.rsplit_once('.')?;
    let name = rest.rsplitn(3, '-').nth(2)?;
    Some((name, &rest[name.len() + 1..], architecture))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_rpm_takes_as_names_are_accepted() {
        for name in ["tb-hello", "libstdc++", "glibc.i686", "python3.11", "NetworkManager", "compat_x"] {
            assert!(is_package_name(name), "{name}");
        }
        for name in [
            "",
            "-y",
            "--allowerasing",
            "@core",
            "a b",
            "/usr/bin/sh",
            "*",
            "foo*",
            "foo\n",
            "fóo",
            "a=1",
            "a>1",
        ] {
            assert!(!is_package_name(name), "{name:?}");
        }
    }
}
