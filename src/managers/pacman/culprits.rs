//! The updates that keep the others from being installed: pacman installs all or nothing, and names
//! them when it stops.

use super::classes::{is_about_signature, reason_class, retrieving};
use super::database::Packages;
use crate::managers::database::Database;
use crate::model::class::Class;
use crate::model::text::one_line;
use crate::model::updates::HeldBack;
use crate::system::process::Finished;
use std::collections::BTreeMap;

/// Reads them from a list, a download or an install that changed nothing.
pub fn read(finished: &Finished) -> Vec<HeldBack> {
    if super::errors::install_began(finished) {
        return Vec::new();
    }
    let mut found: BTreeMap<&str, (Class, String)> = BTreeMap::new();
    for line in finished.lines().map(str::trim_end) {
        let line = line.strip_prefix(":: ").or_else(|| line.strip_prefix("error: ")).unwrap_or(line);
        let removers = removers(finished, line).into_iter().map(|name| (name, Class::Dependency));
        for (name, class) in culprit(line).into_iter().chain(removers) {
            if Packages.is_package_name(name) {
                found.entry(name).or_insert_with(|| (class, one_line(line)));
            }
        }
    }
    found.into_iter().map(|(name, (class, reason))| HeldBack::left_out(name, class, reason)).collect()
}

/// The updates for which a package that another one needs would have to be removed: pacman asked before.
///
/// ```text
/// :: Replace tb-old with extra/tb-new? [Y/n]
/// :: tb-hello and tb-old are in conflict. Remove tb-old? [y/N]
/// :: removing tb-old breaks dependency 'tb-old' required by tb-user
/// ```
fn removers<'a>(finished: &'a Finished, line: &'a str) -> Vec<&'a str> {
    let goes = line.strip_prefix("removing ").and_then(|rest| rest.split_once(" breaks dependency '"));
    let Some((goes, _)) = goes else { return Vec::new() };
    let questions = finished.stdout.lines().filter_map(|line| line.strip_prefix(":: "));
    let of_question = questions.filter_map(|line| {
        if let Some((old, new)) = line.strip_prefix("Replace ").and_then(|rest| rest.split_once(" with ")) {
            let (new, _) = new.split_once('?')?;
            return (old == goes).then_some(new.rsplit('/').next()?);
        }
        let (pair, rest) = line.split_once(" are in conflict")?;
        let (first, _) = pair.split_once(" and ")?;
        rest.contains(&format!(". Remove {goes}? ")).then(|| without_version(first))
    });
    let found: Vec<_> = of_question.collect();
    // With `--print` pacman asks nothing. An ignored package is not replaced either.
    if found.is_empty() { vec![goes] } else { found }
}

/// The update that a line blames.
///
/// ```text
/// :: unable to satisfy dependency 'tb-none' required by tb-dep
/// :: installing tb-lib (2.0-1) breaks dependency 'tb-lib=1.0' required by tb-app
/// :: package tb-hello-2.0-1-armv7h does not have a valid architecture
/// :: tb-hello-2.0-1 and tb-foe-1.0-1 are in conflict          (pacman 6: without the versions)
/// :: tb-hello-2.0-1 and tb-foe-1.0-1 are in conflict (tb-foe<2)
/// tb-f: /usr/share/tb/taken exists in filesystem (owned by tb-x)
/// /usr/share/tb/both exists in both 'tb-f' and 'tb-g'
/// error: tb-hello: signature from "Somebody <x@example.org>" is unknown trust
/// error: failed retrieving file 'tb-hello-2.0-1-any.pkg.tar.zst.sig' from h : The requested URL returned error: 404
/// ```
fn culprit(line: &str) -> Option<(&str, Class)> {
    let dependency = |name| Some((name, Class::Dependency));
    if let Some(rest) = line.strip_prefix("unable to satisfy dependency '") {
        return dependency(rest.split_once("' required by ")?.1);
    }
    if let Some(rest) = line.strip_prefix("installing ").filter(|rest| rest.contains(" breaks dependency '"))
    {
        return dependency(rest.split_once(" (")?.0);
    }
    if let Some((pair, rest)) = line.split_once(" are in conflict") {
        let is_answer = rest.is_empty() || (rest.starts_with(" (") && rest.ends_with(')'));
        return dependency(without_version(pair.split_once(" and ")?.0)).filter(|_| is_answer);
    }
    if let Some(package) = line.strip_suffix(" does not have a valid architecture") {
        return dependency(name_of(package.strip_prefix("package ")?.rsplit_once('-')?.0)?);
    }
    if let Some((_, both)) = line.split_once(" exists in both '") {
        return dependency(both.split_once("' and '")?.1.strip_suffix('\'')?);
    }
    if let Some((file, reason)) = retrieving(line) {
        let class = Some(reason_class(file, reason)).filter(|class| *class == Class::Auth)?;
        return Some((name_of(package_of(file)?)?, class));
    }
    let (name, rest) = line.split_once(": ")?;
    if rest.starts_with('/') && rest.contains(" exists in filesystem") {
        return dependency(name);
    }
    is_about_signature(rest).then_some((name, Class::Auth))
}

/// `tb-hello` of `tb-hello-2.0-1`, and of `tb-hello`. A version can begin with a letter, as `r12.gabc` or `1:r12`.
fn without_version(text: &str) -> &str {
    let mut parts = text.rsplitn(3, '-');
    let has_digit = |part: Option<&str>| part.is_some_and(|part| part.contains(|c: char| c.is_ascii_digit()));
    let is_release = parts.next().is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()));
    match (is_release, has_digit(parts.next()), parts.next()) {
        (true, true, Some(name)) => name,
        _ => text,
    }
}

/// `tb-hello` of `tb-hello-2.0-1`.
fn name_of(package: &str) -> Option<&str> {
    package.rsplitn(3, '-').nth(2)
}

/// `tb-hello-2.0-1` of `tb-hello-2.0-1-any.pkg.tar.zst` and of its signature.
pub(super) fn package_of(file: &str) -> Option<&str> {
    let (stem, _) = file.split_once(".pkg.tar")?;
    Some(stem.rsplit_once('-')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_update_that_a_line_blames_is_found() {
        for (line, name, class) in [
            (":: unable to satisfy dependency 'tb-none>=3' required by tb-dep", "tb-dep", Class::Dependency),
            (
                ":: installing tb-lib (2.0-1) breaks dependency 'tb-lib=1.0' required by tb-app",
                "tb-lib",
                Class::Dependency,
            ),
            (":: tb-hello-1:2.0-1 and tb-foe-1.0-1 are in conflict", "tb-hello", Class::Dependency),
            (":: a-git-1:r12.gabc-1 and tb-foe-1.0-1 are in conflict", "a-git", Class::Dependency),
            (":: tb-hello and tb-foe are in conflict", "tb-hello", Class::Dependency),
            (":: package a-git-v2-1-armv7h does not have a valid architecture", "a-git", Class::Dependency),
            (":: tb-hello and tb-foe are in conflict (tb-foe>=2)", "tb-hello", Class::Dependency),
            (":: package a-b-1:2.0-1-armv7h does not have a valid architecture", "a-b", Class::Dependency),
            ("tb-f: /usr/x exists in filesystem (owned by tb-x)", "tb-f", Class::Dependency),
            ("/usr/x exists in both 'tb-f' and 'tb-g'", "tb-g", Class::Dependency),
            ("error: tb-s: signature from \"X <x@y.z>\" is unknown trust", "tb-s", Class::Auth),
            ("error: tb-s: missing required signature", "tb-s", Class::Auth),
            (
                "error: failed retrieving file 'a-b-1:2.0-1-any.pkg.tar.zst.sig' from h : The requested URL returned error: 404",
                "a-b",
                Class::Auth,
            ),
        ] {
            let found = read(&Finished::ended(1, "", &format!("{line}\n")));
            let found: Vec<_> = found.iter().map(|held| (held.name.as_str(), held.class)).collect();
            assert_eq!(found, [(name, Some(class))], "{line}");
        }
    }

    #[test]
    fn who_would_have_a_package_removed_that_another_needs_is_found() {
        let text = ":: Replace tb-old with my repo/tb-new? [Y/n] \n:: Replace tb-else with x/tb-y? [Y/n] \n\
                    :: tb-a-2.0-1 and tb-old-1.0-1 are in conflict (tb-old<2). Remove tb-old? [y/N] \n\
                    :: removing tb-old breaks dependency 'tb-old' required by tb-user\n";
        let names: Vec<_> = read(&Finished::ended(1, text, "")).into_iter().map(|held| held.name).collect();
        assert_eq!(names, ["tb-a", "tb-new"]);
        let text = ":: removing tb-old breaks dependency 'tb-old' required by tb-user\n";
        assert_eq!(read(&Finished::ended(1, text, ""))[0].name, "tb-old");
    }

    #[test]
    fn nobody_is_blamed_for_anything_else() {
        for line in [
            "tb-hello",
            ":: tb-a and tb-b are in conflict. Remove tb-b? [y/N] ",
            ":: tb-a and tb-b are in conflict (tb-b<2). Remove tb-b? [y/N] ",
            "error: failed retrieving file 'tb-x.pkg.tar.gz' from h : The requested URL returned error: 404",
            "error: -x: missing required signature",
            "error: could not open file /x: No space left on device",
        ] {
            assert_eq!(read(&Finished::ended(1, "", line)), [], "{line}");
        }
        let began = ":: Processing package changes...\n:: tb-a and tb-b are in conflict\n";
        assert_eq!(read(&Finished::ended(1, began, "")), []);
    }
}
