//! Updates that the administrator excludes. dnf behaves as if no repository offered them, so that a host that excludes a
//! security update would look patched.

use crate::managers::configuration::Configuration;
use crate::managers::machine::Machine;
use crate::model::listing::Listing;
use crate::model::updates::Update;
use crate::system::process::Invocation;

/// Looks also at what the main section of the configuration excludes.
pub const NOTHING_EXCLUDED: &str = "--setopt=disable_excludes=main";

/// Whether the main section of the configuration excludes packages (dnf.conf(5)), given its settings. What is excluded
/// for one repository alone is not to come from there: other repositories may have it.
pub fn is_any<'a>(mut main: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
    main.any(|(name, value)| {
        matches!(name, "exclude" | "excludepkgs" | "includepkgs") && !value.trim().is_empty()
    })
}

/// What an upgrade would bring without these exclusions. Asked only if there are any. `list` lists what an upgrade
/// brings with them, and `read` reads the list.
pub fn updates(
    machine: &dyn Machine,
    manager: &dyn Configuration,
    list: Invocation,
    read: fn(&str) -> Listing,
) -> Vec<Update> {
    if !machine.configuration().is_some_and(|text| manager.excludes(text)) {
        return Vec::new();
    }
    let list = list.with_before("upgrade", [NOTHING_EXCLUDED.to_string()]);
    machine.ask_in_passing(&list).map(|answer| read(&answer.stdout).updates).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::is_any;

    #[test]
    fn an_exclusion_has_a_name_and_a_value() {
        for (main, expected) in [
            (&[("best", "1"), ("exclude", "kernel*")][..], true),
            (&[("excludepkgs", "a b")], true),
            (&[("includepkgs", "a")], true),
            (&[("exclude", ""), ("excludepkgs", " "), ("disable_excludes", "main")], false),
            (&[], false),
        ] {
            assert_eq!(is_any(main.iter().copied()), expected, "{main:?}");
        }
    }
}
