//! The repositories as they are configured. apk asks them in this order, and apk 3 says nothing of them before its end.

use super::lists::{is_local, source_id};
use super::settings::OwnSettings;
use crate::managers::capabilities::{Asked, ConfigFile, InTurn, Settings};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::refreshed::{RefreshOutcome, Refreshed, SourceResult};
use crate::model::secrets::without_passwords;
use crate::system::process::Invocation;
use std::collections::{BTreeMap, BTreeSet};

/// Goes on without a repository that cannot be had.
pub const GO_ON_WITHOUT: &str = "--force-missing-repositories";

/// With `--force-refresh` no proxy answers with an index that it has kept.
pub const UPDATE: &[&str] = &["-U", "update", "--force-refresh"];

/// apk 3 replaces the file of an index when that has come whole and its signature was checked, also where nothing is new:
/// with `-U` it never asks whether anything is.
pub struct Repositories;

impl InTurn for Repositories {
    fn order(&self, files: &[ConfigFile]) -> Option<Vec<Asked>> {
        // A command line takes no repository of another format, and everybody on the machine can read a login in it.
        let order = configured(files)?;
        let is_fit = |asked: &Asked| {
            (asked.is_stored && without_passwords(&asked.address) == asked.address) || is_local(&asked.id)
        };
        order.iter().all(is_fit).then_some(order)
    }

    fn only(&self, addresses: &[&str]) -> Invocation {
        from(addresses.iter().map(ToString::to_string), UPDATE)
    }

    fn without(&self, command: &Invocation, sources: &[Asked], failed: &[String]) -> Option<Invocation> {
        let (lost, left): (Vec<_>, Vec<_>) = sources.iter().partition(|asked| failed.contains(&asked.id));
        if lost.is_empty() || left.is_empty() {
            return None;
        }
        // A tag counts for what follows too, with apk 3.
        let (tagged, untagged): (Vec<_>, Vec<_>) = left.into_iter().partition(|asked| asked.tag.is_some());
        let tags = |of: &[&Asked]| of.iter().filter_map(|asked| asked.tag.clone()).collect::<BTreeSet<_>>();
        let lost_tags: Vec<_> = tags(&lost).difference(&tags(&tagged)).cloned().collect();
        // apk does nothing where a tag of world is nowhere. A repository from which everything may come can have one.
        let place = untagged.first().map(|asked| asked.address.clone());
        if place.is_none() && !lost_tags.is_empty() {
            return None;
        }
        let of_lost = lost_tags.iter().zip(place.iter().cycle());
        let of_tagged = tagged.iter().filter_map(|asked| Some((asked.tag.as_ref()?, &asked.address)));
        let tagged = of_tagged.chain(of_lost).map(|(tag, address)| format!("{tag} {address}"));
        let options = untagged.iter().map(|asked| asked.address.clone()).chain(tagged);
        // None is missing now. apk 2.12 has no such option.
        let words = command.args.iter().filter(|word| *word != GO_ON_WITHOUT).cloned();
        let Invocation { args, .. } = from(options, &[]).with(words);
        Some(Invocation { args, ..command.clone() })
    }
}

/// The command with these repositories and no others.
fn from(addresses: impl Iterator<Item = String>, words: &[&str]) -> Invocation {
    let options = addresses.flat_map(|address| ["-X".to_string(), address]);
    Invocation::of("apk", ["--repositories-file", "/dev/null"]).with(options).with(words.iter().copied())
}

/// The repositories in these files; `None` where apk 3 puts values into them that only it knows.
pub fn configured(files: &[ConfigFile]) -> Option<Vec<Asked>> {
    let text = |file: &ConfigFile| String::from_utf8_lossy(&file.bytes).into_owned();
    let named = std::env::var_os(OwnSettings.variable());
    let is_setting = |file: &&ConfigFile| {
        let is_named = named.as_ref().is_some_and(|named| file.path.as_os_str() == named);
        is_named || file.path.ends_with("apk/config")
    };
    let moved =
        files.iter().find(is_setting).and_then(|file| OwnSettings.elsewhere(&text(file)).sources.pop());
    let mut lists: Vec<&ConfigFile> = Vec::new();
    // Of two files with one name it reads the first; it reads those of both directories by name.
    let mut by_name = BTreeMap::new();
    for file in files.iter().filter(|file| !is_setting(file) && !file.path.ends_with("apk/arch")) {
        match &moved {
            Some(moved) if !file.path.ends_with(moved) => {}
            None if file.path.parent().is_some_and(|dir| dir.ends_with("repositories.d")) => {
                by_name.entry(file.path.file_name()).or_insert(file);
            }
            _ => lists.push(file),
        }
    }
    lists.extend(by_name.into_values());
    let mut all: Vec<Asked> = Vec::new();
    for asked in lists.into_iter().map(|file| in_file(&text(file))).collect::<Option<Vec<_>>>()?.concat() {
        // One address may have several tags.
        if !all.iter().any(|known| (&known.id, &known.tag) == (&asked.id, &asked.tag)) {
            all.push(asked);
        }
    }
    Some(all)
}

/// The identifiers of the repositories in these files.
pub fn ids(files: &[ConfigFile]) -> Option<Vec<String>> {
    let mut ids: Vec<String> = Vec::new();
    for asked in configured(files)? {
        if !ids.contains(&asked.id) {
            ids.push(asked.id);
        }
    }
    Some(ids)
}

/// Adds the repositories of which apk said nothing: apk 3 reads no further in a file at a line that begins with a blank,
/// nor more than 32, and does not tell. Only of plain ones, which it names by their addresses.
pub fn add_unread(files: &[ConfigFile], refreshed: &mut Refreshed) {
    // apk 2 does not read these.
    let files: Vec<_> = files.iter().filter(|file| !file.path.starts_with("/lib")).cloned().collect();
    let all = configured(&files).unwrap_or_default();
    let is_told = |id: &String| refreshed.sources.iter().any(|source| source.id == *id);
    let is_unread = |asked: &Asked| asked.is_stored && asked.address.contains("://") && !is_told(&asked.id);
    let unread: BTreeSet<_> = all.into_iter().filter(is_unread).map(|asked| asked.id).collect();
    // One that was ended has not come to all.
    let was_ended = refreshed.error.as_ref().is_some_and(|error| error.class == Class::Timeout);
    if was_ended || refreshed.outcome == RefreshOutcome::Failed || unread.is_empty() {
        return;
    }
    let text = "apk did not read it: remove the blank at the beginning of a line before it in its file";
    refreshed.sources.extend(unread.into_iter().map(|id| {
        let error = Some(Failure::new(Class::Config, format!("{id}: {text}")));
        SourceResult { id, error }
    }));
    refreshed.judge_again();
}

/// The repositories in one file.
///
/// ```text
/// @edge https://dl-cdn.alpinelinux.org/alpine/edge/main
/// v2 @test https://dl-cdn.alpinelinux.org/alpine/edge main testing
/// ```
fn in_file(text: &str) -> Option<Vec<Asked>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut found = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace().peekable();
        let format = words.next_if(|word| ["v2", "v3", "ndx"].contains(word));
        let tag = words.next_if(|word| word.starts_with('@')).map(str::to_owned);
        let url = words.next()?;
        if url == "set" || line.contains("${") {
            return None;
        }
        let asked = |address: String| {
            let id = source_id(&address);
            let is_stored = !is_local(&id) && !matches!(format, Some("v3" | "ndx"));
            Asked { id, address, is_stored, tag: tag.clone() }
        };
        let components: Vec<_> = words.collect();
        match components.is_empty() {
            true => found.push(asked(url.to_string())),
            false => found
                .extend(components.iter().map(|name| asked(format!("{}/{name}", url.trim_end_matches('/'))))),
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> ConfigFile {
        ConfigFile { path: path.into(), bytes: text.into(), listed_at: 0 }
    }

    fn ids(files: &[ConfigFile]) -> Option<Vec<String>> {
        Some(configured(files)?.into_iter().map(|asked| asked.id).collect())
    }

    #[test]
    fn repositories_are_read_in_the_forms_of_all_versions() {
        let text = "# https://h/none\n\nhttps://h/main/\n@edge /srv/local\nv2 @test https://h/edge/ main community\n";
        let files = [file("/etc/apk/repositories", text)];
        let expected = ["https://h/main", "/srv/local", "https://h/edge/main", "https://h/edge/community"];
        assert_eq!(ids(&files).unwrap(), expected);
        let order = Repositories.order(&files).unwrap();
        let stored: Vec<_> = order.iter().map(|asked| asked.is_stored).collect();
        assert_eq!(stored, [true, false, true, true]);
        let line = Repositories.only(&[&order[0].address, &order[2].address]).line();
        let expected = "apk --repositories-file /dev/null -X https://h/main/ -X https://h/edge/main -U update --force-refresh";
        assert_eq!(line, expected);
        let install = Invocation::of("apk", [GO_ON_WITHOUT, "upgrade"]);
        let without = |failed: &[&str]| {
            let failed: Vec<_> = failed.iter().map(ToString::to_string).collect();
            Some(Repositories.without(&install, &order, &failed)?.args.join("|"))
        };
        let begins = "--repositories-file|/dev/null|-X|https://h/main/|-X|";
        for (failed, ends) in [
            (&["https://h/edge/main"][..], "@edge /srv/local|-X|@test https://h/edge/community|upgrade"),
            (
                &["/srv/local"],
                "@test https://h/edge/main|-X|@test https://h/edge/community|-X|@edge https://h/main/|upgrade",
            ),
        ] {
            assert_eq!(without(failed), Some(format!("{begins}{ends}")));
        }
        assert_eq!(without(&["https://h/main", "/srv/local"]), None);
        assert_eq!(without(&[]), None);
        assert_eq!(ids(&[file("/etc/apk/repositories", "#\n")]), Some(Vec::new()));
        let login = [file("/etc/apk/repositories", "https://u:p@h/main\n")];
        assert_eq!(
            (ids(&login), Repositories.order(&login)),
            (Some(vec!["https://h/main".to_string()]), None)
        );
        let v3 = [file("/etc/apk/repositories", "v3 https://h/edge main\n")];
        assert_eq!(
            (ids(&v3), Repositories.order(&v3)),
            (Some(vec!["https://h/edge/main".to_string()]), None)
        );
        for text in ["set mirror=https://h\n", "https://h/${VERSION_ID}/main\n", "@edge\n"] {
            assert_eq!(ids(&[file("/etc/apk/repositories", text)]), None, "{text}");
        }
    }

    /// As apk 3.0.8 was seen to ask them.
    #[test]
    fn the_files_of_both_directories_are_read_by_name_and_the_first_of_two_with_one_name() {
        let files = [
            file("/etc/apk/repositories", "http://h/1\n"),
            file("/etc/apk/repositories.d/m.list", "http://h/3\n"),
            file("/lib/apk/repositories.d/a.list", "http://h/2\n"),
            file("/lib/apk/repositories.d/m.list", "http://h/none\n"),
            file("/lib/apk/repositories.d/z.list", "http://h/1/\nhttp://h/4\n"),
            file("/etc/apk/arch", "x86_64\n"),
        ];
        assert_eq!(ids(&files).unwrap(), ["http://h/1", "http://h/2", "http://h/3", "http://h/4"]);
        let mut moved = files.to_vec();
        moved.push(file("/etc/apk/config", "timeout 9\nrepositories-file srv/own\n"));
        moved.push(file("/srv/own", "http://h/5\n"));
        assert_eq!(ids(&moved).unwrap(), ["http://h/5"]);
    }
}
