//! The updates because of which zypper does nothing at all.

use super::errors::lines;
use super::xml::elements;
use crate::managers::rpm::names::{listed_name, parts_of_nevra};
use crate::model::class::Class;
use crate::model::text::one_line;
use crate::model::updates::HeldBack;
use crate::system::process::Finished;

/// The updates that stopped a download or an install before anything was changed: a package with a wrong signature, a
/// licence that nobody has accepted, conflicting files.
///
/// ```text
/// <message type="error">tb-a-2.0-1.noarch (first): Signature verification failed [6-File is unsigned]</message>
/// <message type="info">In order to install &apos;tb-lic&apos;, you must agree to terms of the following license agreement:
/// <lhs><file>/f</file><solvable><name>tb-x</name><repository name="third" alias="third"/></solvable></lhs>
/// <message type="error">... file /f from install of tb-b-2.0-1.noarch conflicts with file from package tb-a-1.0-1.noarch
/// ```
pub fn culprits(finished: &Finished) -> Vec<HeldBack> {
    let mut found = Vec::new();
    // One of the two sides of a conflict is enough: the last that is not installed yet.
    let (mut in_conflict, mut last_name, mut name) = (false, String::new(), String::new());
    for element in elements(&finished.stdout) {
        let text = element.text();
        match element.name {
            "message" => found.extend(text.lines().filter_map(culprit)),
            "fileconflict" => (in_conflict, name) = (true, String::new()),
            "name" => last_name = text.trim().to_string(),
            "repository" if in_conflict && element.get("alias").as_deref() != Some("@System") => {
                name.clone_from(&last_name);
            }
            "/fileconflict" if !name.is_empty() => {
                in_conflict = false;
                let reason = format!("a file of another package is in its way: {name}");
                let known = lines(finished).errors.into_iter().find(|line| {
                    line.strip_prefix("file conflict: ")
                        .is_some_and(|of| of.split(' ').any(|word| word == name))
                });
                found.push(held_back(&name, None, Class::Dependency, &known.unwrap_or(reason)));
            }
            _ => {}
        }
    }
    found
}

fn culprit(line: &str) -> Option<HeldBack> {
    let line = line.trim();
    let of_file = |file: &str, class| {
        let (name, version) = name_of_file(file)?;
        Some(held_back(&name, Some(version), class, line))
    };
    if let Some((file, rest)) =
        line.split_once(" (").filter(|_| line.contains("): Signature verification failed"))
    {
        return of_file(file, Class::Auth).filter(|_| rest.contains("): Signature verification failed"));
    }
    if let Some(rest) = line.strip_prefix("In order to install '") {
        let (name, rest) = rest.split_once('\'')?;
        let reason = "nobody has agreed to its licence: run zypper update, or set autoAgreeWithLicenses in zypper.conf";
        return rest
            .starts_with(", you must agree to ")
            .then(|| held_back(name, None, Class::Config, reason));
    }
    let rest = line.strip_prefix("file ")?;
    if let Some((_, rest)) = rest.split_once(" from install of ") {
        return of_file(rest.split_once(" conflicts with ")?.0, Class::Dependency);
    }
    let (_, rest) = rest.split_once(" conflicts between attempted installs of ")?;
    of_file(rest.split_once(" and ")?.1, Class::Dependency)
}

fn held_back(name: &str, candidate: Option<String>, class: Class, reason: &str) -> HeldBack {
    HeldBack { candidate, ..HeldBack::left_out(one_line(name), class, one_line(reason)) }
}

/// Name and version of `tb-a-2.0-1.noarch`.
fn name_of_file(file: &str) -> Option<(String, String)> {
    let (name, version, arch) = parts_of_nevra(file.trim())?;
    Some((listed_name(name, arch), version.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(inner: &str) -> String {
        format!("<?xml version='1.0'?>\n<stream>\n{inner}\n</stream>\n")
    }

    #[test]
    fn what_is_in_the_way_of_the_others_is_named() {
        let named = |inner: &str| {
            let found = culprits(&Finished::ended(8, &report(inner), ""));
            found.into_iter().map(|held| (held.name, held.class.unwrap())).collect::<Vec<_>>()
        };
        let message = |text: &str| format!("<message type=\"error\">{text}\n</message>");
        let unsigned =
            message("tb-a-b-2.0-1.noarch (first): Signature verification failed [6-File is unsigned]");
        assert_eq!(named(&unsigned), [("tb-a-b".to_string(), Class::Auth)]);
        let rpms = message(
            "Executing the transaction failed because of the following problems:\n    file /f from install of tb-b-2.0-1.noarch conflicts with file from package tb-a-1.0-1.noarch\n    file /g conflicts between attempted installs of tb-c-2-1.noarch and tb-d-2-1.noarch",
        );
        let both = [("tb-b".to_string(), Class::Dependency), ("tb-d".to_string(), Class::Dependency)];
        assert_eq!(named(&rpms), both);
        let licence =
            message("In order to install &apos;tb-lic&apos;, you must agree to terms of the following");
        assert_eq!(named(&licence), [("tb-lic".to_string(), Class::Config)]);
        assert!(named(&message("In order to install 'x', do this")).is_empty());
        let side = |name: &str, alias: &str| {
            format!(
                "<file>/f</file><solvable><name>{name}</name><repository name=\"x\" alias=\"{alias}\"/></solvable>"
            )
        };
        let conflict = |first: &str, second: &str| {
            format!("<fileconflict><lhs>{first}</lhs><rhs>{second}</rhs></fileconflict>")
        };
        let with_installed = conflict(&side("tb-new", "base"), &side("tb-old", "@System"));
        assert_eq!(named(&with_installed), [("tb-new".to_string(), Class::Dependency)]);
        let of_two = conflict(&side("tb-x", "base"), &side("tb-y", "base"));
        assert_eq!(named(&of_two), [("tb-y".to_string(), Class::Dependency)]);
    }
}
