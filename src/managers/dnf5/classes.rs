//! The class of what dnf 5 says.

use crate::managers::rpm::errors::{KEYS, is_space};
use crate::model::class::Class;
use crate::model::text::contains_any;

/// The class of one of dnf5's error messages.
pub(super) fn class_of(text: &str) -> Class {
    const CONFIG: &[&str] = &[
        "No matching repositories for ",
        "Error in configuration file",
        "Unknown argument",
        "No valid source",
        "Empty mirrorlist and no basepath",
        "Invalid configuration",
        "Id is present more than once in the configuration",
        "Invalid repository id ",
        "Config error in section ",
        "Cannot parse file: ",
        "Cannot set option ",
        " option value ",
        "Invalid boolean value ",
        "Invalid tsflag: ",
        "Cannot read repositories from directory ",
        "Configuration file ",
        "access configuration file ",
        "Incorrect configuration value",
        "read rpm config files",
    ];
    const DEPENDENCY: &[&str] = &[
        "Problem",
        "conflict",
        "No match for argument",
        "is needed by",
        "nothing provides",
        "protected packages",
        "Failed to resolve the transaction",
        "removing of running kernel",
        "Missing rpmlib features for ",
        "would modify the following paths",
        "is already installed",
        "Cannot perform ",
        "broken dependencies",
        "dependency problem",
    ];
    const SIGNATURES: &[&str] = &[
        "OpenPGP",
        "PGP check for package ",
        "Signing key not found",
        "Public key",
        "Signature verification",
        "An error occurred importing key",
        "Failed to import public key",
        "No corresponding key",
        "key is not trusted",
    ];
    if contains_any(text, &["rpm transaction lock", "can't create transaction lock"]) {
        Class::Lock
    } else if is_space(text) || text.contains("configured to be read-only") {
        Class::Space
    } else if is_of_cache(text) {
        Class::Fetch
    } else if contains_any(text, CONFIG) {
        Class::Config
    } else if contains_any(text, SIGNATURES) || contains_any(text, KEYS) {
        Class::Auth
    } else if contains_any(text, DEPENDENCY) {
        Class::Dependency
    } else {
        Class::Other
    }
}

/// Whether the stored copy of an index is damaged or gone; the next refresh mends that.
pub fn is_of_cache(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "Failed to re-load ",
        "Failed to load primary ",
        "Failed to load repomd ",
        "Error loading local metadata ",
        "Missing solvfile cache",
        "Cache-only enabled but no cache for repository ",
    ];
    contains_any(text, WORDS) || (text.contains("Failed to load ") && text.contains(" cache for repo "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::assert_classes;

    #[test]
    fn each_message_has_its_class() {
        let table = [
            (Class::Auth, "Public key is not installed."),
            (Class::Auth, "Public key import failed."),
            (Class::Auth, "No corresponding key was found."),
            (Class::Auth, "The package is not signed."),
            (Class::Auth, "The repository does not have any OpenPGP keys configured."),
            (Class::Auth, "The signature is valid, but the key is not trusted."),
            (Class::Auth, "Signature verification failed."),
            (Class::Auth, "Failed to import OpenPGP keys: x"),
            (Class::Auth, "Signing key not found"),
            (Class::Config, "Configuration file \"/etc/x\" not found"),
            (Class::Config, "Unable to access configuration file \"/etc/x\""),
            (Class::Config, "Error in configuration file \"/etc/x\""),
            (Class::Config, "No valid source (baseurl, mirrorlist or metalink) found for repository \"x\""),
            (Class::Config, "Incorrect configuration value for multilib_policy: x"),
            (Class::Config, "failed to read rpm config files"),
            (Class::Lock, "Failed to obtain rpm transaction lock. Another transaction is in progress."),
            (Class::Dependency, "The operation would result in broken dependencies"),
            (Class::Dependency, "some dependency problem"),
            (
                Class::Dependency,
                "This transaction would modify the following paths, possibly introducing inconsistencies",
            ),
            (Class::Auth, "PGP check for package \"a\" from repo \"x\" has failed: x"),
            (Class::Space, "Error: this bootc system is configured to be read-only. Pass --transient"),
        ];
        assert_classes(&table, class_of);
    }

    #[test]
    fn what_dnf5_says_has_its_class() {
        let table = [
            (Class::Lock, "Failed to obtain rpm transaction lock. Another transaction is in progress."),
            (Class::Space, "Error: /usr is configured to be read-only. You may be running an image"),
            (Class::Fetch, "Failed to re-load primary cache for repo \"x\" from \"/c\": not a SOLV file"),
            (Class::Fetch, "Cache-only enabled but no cache for repository \"x\""),
            (Class::Fetch, "Failed to load updateinfo cache for repo \"x\" from \"/c\": damaged"),
            (Class::Config, "Error in configuration file \"/x\" Missing '=' on line 4"),
            (Class::Config, "Invalid repository id \"a b\": unexpected character ' '"),
            (Class::Config, "Failed to create repo \"x\": Id is present more than once in the configuration"),
            (Class::Auth, "OpenPGP check for package \"a\" from repo \"x\" has failed: x"),
            (Class::Auth, "Failed to import public key \"x\" to rpmdb: x"),
            (Class::Dependency, "The operation would result in removing of running kernel: x"),
            (Class::Dependency, "package tb-a-2.0-1.noarch is already installed"),
            (Class::Other, "Something nobody has seen before"),
        ];
        assert_classes(&table, class_of);
    }
}
