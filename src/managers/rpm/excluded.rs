//! Updates that the administrator excludes. dnf and yum behave as if no repository offered them, so that a host
//! that excludes a security update would look patched.

use super::tables::settings;
use crate::managers::machine::Machine;
use crate::model::listing::Listing;
use crate::model::updates::Update;
use crate::system::process::Invocation;

/// What leaves packages out, in the main section and in those of repositories (dnf.conf(5), yum.conf(5)).
const SETTINGS: &[&str] = &["exclude", "excludes", "excludepkgs", "includepkgs"];

/// What an upgrade would bring without the exclusions, given the command that lists it with them, the option that switches
/// them off, and the reader of the list.
pub fn updates(
    machine: &dyn Machine,
    list: Invocation,
    option: &str,
    read: fn(&str) -> Listing,
) -> Vec<Update> {
    let question = ask(machine.configuration(), list, option);
    let answer = question.and_then(|question| machine.ask_in_passing(&question));
    answer.map(|answer| read(&answer.stdout).updates).unwrap_or_default()
}

/// The question for that, where anything is excluded.
pub fn ask(configuration: Option<&str>, mut list: Invocation, option: &str) -> Option<Invocation> {
    let settings = settings(configuration?);
    let leaves_out =
        settings.iter().any(|setting| SETTINGS.contains(&setting.name.as_str()) && !setting.value.is_empty());
    let command = list.args.iter().position(|arg| matches!(arg.as_str(), "upgrade" | "update"))?;
    list.args.insert(command, option.to_string());
    leaves_out.then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_something_is_excluded_is_it_asked() {
        let list = || Invocation {
            program: "dnf",
            args: ["-C", "upgrade"].map(str::to_string).to_vec(),
            ..Invocation::default()
        };
        for (text, is_asked) in [
            ("[main]\nexclude=kernel*\n", true),
            ("[main]\nexcludepkgs = a b\n", true),
            ("[updates]\nincludepkgs=a\n", true),
            ("[main]\nexclude=\n[updates]\nexcludepkgs = \n", false),
            ("[main]\n# exclude=a\nbest=1\n", false),
        ] {
            let question = ask(Some(text), list(), "--off").map(|question| question.args);
            assert_eq!(question, is_asked.then(|| ["-C", "--off", "upgrade"].map(str::to_string).to_vec()));
        }
        assert!(ask(None, list(), "--off").is_none());
    }
}
