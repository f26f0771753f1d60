//! pacman: Arch Linux and its relatives. Behaviour measured with pacman 6.0.2 and 7.1.

mod classes;
mod culprits;
mod errors;
mod lists;
mod refresh;

use crate::managers::capabilities::{Locate, Private};
use crate::managers::database::Database;
use crate::managers::facts::{Facts, Kernels, Places, Plan, RebootPackages};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::{Damage, Installed};
use crate::model::refreshed::Refreshed;
use crate::model::text::one_line;
use crate::model::updates::HeldBack;
use crate::system::process::{Finished, Invocation};
use glob::Pattern;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is fixed of it.
static FACTS: Facts = Facts {
    name: "pacman",
    programs: &["pacman"],
    systems: &["arch", "archarm", "manjaro"],
    // Each package has a directory in it: every install changes that of all of them.
    package_databases: &["/var/lib/pacman/local/"],
    source_config: &["/etc/pacman.conf", "/etc/pacman.d"],
    index: &[],
    cache: "/var/lib/pacman/sync",
    locks: &[],
    pid_files: &[],
    reboot_flags: &[],
    reboot_packages: RebootPackages::NONE,
    kernels: Kernels::IN_BOOT,
    knows_security: false,
    lock_by_existence: Some("db.lck"),
    kernel_modules: Some("/usr/lib/modules"),
    only_whole: Some("pacman upgrades all or nothing, and a partial upgrade breaks the system"),
    includes_files: true,
    lists_newer: true,
    ..Facts::NONE
};

/// The manager of this folder.
#[derive(Debug)]
pub struct Pacman;

impl Manager for Pacman {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn database(&self) -> &'static dyn Database {
        &Pacman
    }

    fn repair(&self, _: &Places, _: &Damage) -> Vec<Invocation> {
        // The next upgrade ends what was cut off; an entry without content pacman itself cannot mend.
        Vec::new()
    }

    fn refresh(&self, _: Duration) -> Invocation {
        refresh()
    }

    fn judge(&self, finished: &Finished) -> Refreshed {
        refresh::judge(finished)
    }

    fn list(&self, plan: &Plan) -> Invocation {
        list(plan)
    }

    fn parse_list(&self, text: &str) -> Listing {
        lists::plan(text)
    }

    fn list_needs(&self, plan: &Plan, _: &[String]) -> Invocation {
        list(plan)
    }

    fn download(&self, plan: &Plan) -> Option<Invocation> {
        Some(download(plan))
    }

    fn install(&self, plan: &Plan, downloaded: &Finished) -> Invocation {
        install(plan, downloaded)
    }

    fn install_began(&self, finished: &Finished) -> bool {
        errors::install_began(finished)
    }

    fn classify(&self, finished: &Finished) -> Option<Failure> {
        errors::classify(finished)
    }

    fn locate(&self) -> Option<&'static Locate> {
        Some(&LOCATE)
    }

    fn parse_places(&self, usual: Places, configuration: &str) -> Places {
        parse_places(usual, configuration)
    }

    fn includes(&self, text: &str) -> Vec<String> {
        includes(text)
    }

    fn private(&self) -> Option<&'static Private> {
        Some(&PRIVATE)
    }

    fn newer(&self, machine: &dyn Machine) -> Result<Vec<HeldBack>, Failure> {
        Ok(lists::newer(&machine.ask(&private(&["-Qu"]))?.stdout))
    }

    fn plan_of_download(&self, finished: &Finished) -> Option<Listing> {
        lists::table(&finished.stdout)
    }

    fn notes(&self, finished: &Finished) -> Vec<String> {
        errors::notes(finished)
    }

    fn culprits(&self, finished: &Finished) -> Vec<HeldBack> {
        culprits::read(finished)
    }

    fn may_unpack_on_read_only(&self, machine: &dyn Machine) -> Result<bool, Failure> {
        let places = machine.ask(&pacman_conf(&["HookDir"]))?;
        Ok(places.stdout.lines().any(|dir| has_hook_before(Path::new(dir))))
    }

    fn is_keyring(&self, name: &str) -> bool {
        is_keyring(name)
    }

    fn release_files(&self, id: &str) -> Vec<String> {
        vec![Pattern::escape(&format!("{id}.db"))]
    }

    fn is_index(&self, path: &str) -> bool {
        path.ends_with(".db")
    }
}

impl Database for Pacman {
    fn is_package_name(&self, name: &str) -> bool {
        lists::is_package_name(name)
    }

    fn list_installed(&self, _: &Places) -> Invocation {
        pacman(&["-Q"])
    }

    fn parse_installed(&self, text: &str, _: &Places) -> Installed {
        lists::installed(text)
    }

    fn holds_manager(&self) -> bool {
        true
    }

    fn entry(&self, name: &str, version: &str) -> Option<String> {
        Some(format!("{name}-{version}/desc"))
    }
}

const PRIVATE: Private = Private {
    dir: "pacman",
    link: "local",
    lock: "db.lck",
    index: "sync",
    file: |id| format!("{id}.db"),
    sources,
    fetches_by_itself: |config| option(config, "XferCommand").is_none(),
    fetcher: "the program that XferCommand names",
    unreadable: refresh::unreadable,
    blamed: |failure, config| refresh::without_server(failure, &sources(config), config),
    mirror: "mirror",
    downloads,
    package_of: culprits::package_of,
    missing_keys: errors::missing_keys,
    config: "install.conf",
    ask_config: || pacman_conf(&[]),
    make_config,
};

fn pacman(words: &[&str]) -> Invocation {
    let args = words.iter().map(|word| word.to_string()).collect();
    Invocation { program: "pacman", args, ..Invocation::default() }
}

fn pacman_conf(words: &[&str]) -> Invocation {
    Invocation { program: "pacman-conf", ..pacman(words) }
}

/// pacman with the private directory for that of the system: it has another index and another lock.
fn private(words: &[&str]) -> Invocation {
    Invocation { private_arg: Some("--dbpath={}"), ..pacman(words) }
}

const LOCATE: Locate = Locate {
    ask: || pacman_conf(&[]),
    files: &[],
    variables: &[],
    of_use,
    depends_on_more: |_| false,
    is_elsewhere: |_| false,
};

/// Where the database is, and whether another program fetches: not which, since passwords may stand there.
fn of_use(config: &str) -> String {
    let line = |name: &str, value: &str| format!("{name} = {value}\n");
    let place = option(config, "DBPath").map(|value| line("DBPath", value));
    let fetcher = option(config, "XferCommand").map(|_| line("XferCommand", "set"));
    place.into_iter().chain(fetcher).collect()
}

fn parse_places(usual: Places, config: &str) -> Places {
    match option(config, "DBPath").filter(|path| path.starts_with('/')) {
        Some(path) => Places { database: Path::new(path).join("local"), ..usual },
        None => usual,
    }
}

/// An option of the whole, of the configuration as `pacman-conf` writes it out.
fn option<'a>(config: &'a str, name: &str) -> Option<&'a str> {
    let options = config.lines().take_while(|line| !is_repository(line));
    let mut values = options.filter_map(|line| line.split_once('='));
    values.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// The repositories that `-Sy` refreshes, of the configuration as `pacman-conf` writes it out: one
/// with a `Usage` that is not `Sync` it passes over.
fn sources(config: &str) -> Vec<String> {
    let mut found: Vec<(String, bool)> = Vec::new();
    for line in config.lines().skip_while(|line| !is_repository(line)) {
        if is_repository(line) {
            found.push((one_line(line.trim_matches(['[', ']'])), false));
        } else if let (Some((key, value)), Some((_, is_refreshed))) = (line.split_once('='), found.last_mut())
        {
            *is_refreshed |= key.trim() == "Usage" && ["All", "Sync"].contains(&value.trim());
        }
    }
    found.into_iter().filter(|(_, is_refreshed)| *is_refreshed).map(|(id, _)| id).collect()
}

/// `archlinux-keyring` and those of its relatives. gnome-keyring and python-keyring keep other keys.
fn is_keyring(name: &str) -> bool {
    const OTHERS: &[&str] = &["gnome", "libgnome", "python"];
    name.strip_suffix("-keyring").is_some_and(|of| !of.is_empty() && !OTHERS.contains(&of))
}

/// Whether a directory of the administrator's has a hook that runs before packages are changed.
fn has_hook_before(dir: &Path) -> bool {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut hooks = files.filter(|path| path.extension().is_some_and(|end| end == "hook"));
    hooks.any(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("PreTransaction")))
}

/// The files that a file of the configuration includes; `*` may stand in their names.
fn includes(config: &str) -> Vec<String> {
    let values = config.lines().filter_map(|line| line.split_once('='));
    let files = values.filter(|(key, _)| key.trim() == "Include");
    files.map(|(_, value)| value.trim().to_string()).collect()
}

/// The directories with downloaded packages.
fn downloads(config: &str) -> Vec<PathBuf> {
    let values = config.lines().filter_map(|line| line.split_once('='));
    let dirs = values.filter(|(key, _)| key.trim() == "CacheDir");
    dirs.map(|(_, value)| PathBuf::from(value.trim())).collect()
}

fn is_repository(line: &str) -> bool {
    line.starts_with('[') && line.ends_with(']') && line != "[options]"
}

/// How pacman's questions are answered that `--noconfirm` would answer otherwise; each is a bit.
mod answers {
    /// No: what is ignored is not brought in by another package.
    pub const INSTALL_IGNORED: u32 = 1;
    /// Yes: a package that is in the way may be removed.
    pub const REMOVE_CONFLICTING: u32 = 4;
    /// No: no key is accepted that is not there.
    pub const IMPORT_KEY: u32 = 64;
}

/// What a plan adds to a command line.
fn choice(plan: &Plan) -> Vec<String> {
    let full = if plan.full { answers::REMOVE_CONFLICTING } else { 0 };
    let ignored = if plan.left_out.is_empty() { 0 } else { answers::INSTALL_IGNORED };
    let mut args = vec!["--ask".to_string(), (answers::IMPORT_KEY | full | ignored).to_string()];
    args.extend(plan.left_out.iter().flat_map(|name| ["--ignore".to_string(), name.clone()]));
    args
}

fn upgrade(mut invocation: Invocation, plan: &Plan) -> Invocation {
    invocation.args.extend(choice(plan));
    invocation
}

fn refresh() -> Invocation {
    upgrade(private(&["-Sy", "--noconfirm", "--logfile", "/dev/null"]), &Plan::default())
}

fn list(plan: &Plan) -> Invocation {
    upgrade(private(&["-Su", "--print", "--print-format", "%n %v %r", "--noconfirm"]), plan)
}

fn download(plan: &Plan) -> Invocation {
    upgrade(private(&["-Suw", "--noconfirm"]), plan)
}

/// A directory of ours is the only source in the configuration: `-yy` gives the system that index, no
/// other, in the same run that upgrades, and no mirror can be asked for anything.
fn install(plan: &Plan, _: &Finished) -> Invocation {
    let with_config = Some("--config={}/install.conf");
    upgrade(Invocation { private_arg: with_config, ..pacman(&["-Syyu", "--noconfirm"]) }, plan)
}

/// The administrator's configuration, as `pacman-conf` writes it out, with a directory of ours as the
/// only server of every repository.
fn make_config(config: &str, mirror: &Path) -> String {
    // What is copied from a directory of root's needs no other program and no other user.
    const DROPPED: &[&str] = &["Server", "CacheServer", "XferCommand", "DownloadUser"];
    // pacman 7 wants a directory that is named to be there, and none of these need be where it is not
    // named: a machine without hooks of its own has no directory for them.
    const USUAL: &[(&str, &str)] = &[
        ("HookDir", "/etc/pacman.d/hooks"),
        ("GPGDir", "/etc/pacman.d/gnupg"),
        ("CacheDir", "/var/cache/pacman/pkg"),
    ];
    let key_of = |line: &str| line.split('=').next().unwrap_or_default().trim().to_string();
    let is_usual = |line: &str| {
        let value = line.split_once('=').map_or("", |(_, value)| value.trim().trim_end_matches('/'));
        let key = key_of(line);
        // One of several is there by the administrator's will.
        USUAL.contains(&(key.as_str(), value))
            && config.lines().filter(|other| key_of(other) == key).take(2).count() == 1
    };
    let mut text = String::from("# Made by linux-patch for one install.\n");
    for line in config.lines() {
        if DROPPED.contains(&key_of(line).as_str()) || is_usual(line) {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if is_repository(line) {
            text.push_str(&format!("Server = file://{}\n", escaped(mirror)));
        }
    }
    text
}

/// A path as a URL has it.
fn escaped(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes
        .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_an_install_knows_no_mirror() {
        let config = "[options]\nDBPath = /var/lib/pacman/\nXferCommand = /usr/bin/curl %u\nDownloadUser = alpm\nIgnorePkg = a\n[core]\nUsage = All\nSigLevel = PackageRequired\nCacheServer = http://x\nServer = https://m/core\nServer = https://n/core\n[my-own]\nServer = https://o";
        let made = make_config(config, Path::new("/var/lib/state dir/sync"));
        let server = "Server = file:///var/lib/state%20dir/sync\n";
        let expected = format!(
            "# Made by linux-patch for one install.\n[options]\nDBPath = /var/lib/pacman/\nIgnorePkg = a\n[core]\n{server}Usage = All\nSigLevel = PackageRequired\n[my-own]\n{server}"
        );
        assert_eq!(made, expected);
    }

    #[test]
    fn only_repositories_that_are_refreshed_are_sources() {
        let config = "[options]\nUsage = All\nServer = x\n[core]\nUsage = All\nServer = file:///[x]\n[two]\nUsage = Sync\n\
                      Usage = Search\n[three]\nUsage = Search\nUsage = Install\n[none]\n";
        assert_eq!(sources(config), ["core", "two"]);
    }

    #[test]
    fn a_downloaded_file_is_known_by_its_package() {
        for (file, package) in [
            ("tb-hello-2.0-1-any.pkg.tar.zst", "tb-hello-2.0-1"),
            ("a-b-1:2.0-1.1-x86_64.pkg.tar.xz.sig", "a-b-1:2.0-1.1"),
        ] {
            assert_eq!(culprits::package_of(file), Some(package));
        }
        assert!(
            ["", "x.db", "x.pkg.tar", "download-XyZ"].iter().all(|file| culprits::package_of(file).is_none())
        );
        assert_eq!(
            downloads("CacheDir = /a/\nHookDir = /b/\nCacheDir = /c d/\n"),
            ["/a/", "/c d/"].map(PathBuf::from)
        );
    }

    #[test]
    fn a_usual_directory_that_need_not_be_there_is_not_named() {
        let usual = "[options]\nHookDir = /etc/pacman.d/hooks/\nGPGDir = /etc/pacman.d/gnupg/\nCacheDir = /var/cache/pacman/pkg/\n";
        let made =
            |config: &str| make_config(config, Path::new("/x")).lines().skip(2).collect::<Vec<_>>().join(" ");
        assert_eq!(made(usual), "");
        let more = "[options]\nHookDir = /etc/pacman.d/hooks/\nHookDir = /srv/hooks/\nCacheDir = /srv/pkg/\n";
        assert_eq!(made(more), "HookDir = /etc/pacman.d/hooks/ HookDir = /srv/hooks/ CacheDir = /srv/pkg/");
    }

    #[test]
    fn a_plan_becomes_options() {
        let plan = Plan { full: true, left_out: vec!["a".into(), "b".into()], ..Plan::default() };
        assert!(download(&plan).line().ends_with("-Suw --noconfirm --ask 69 --ignore a --ignore b"));
        assert_eq!(download(&Plan::default()).line(), "pacman -Suw --noconfirm --ask 64");
    }

    #[test]
    fn nothing_that_asks_a_mirror_touches_the_index_of_the_system() {
        let plan = Plan::default();
        let finished = Finished::ended(0, "", "");
        let refresh = Pacman.refresh(Default::default());
        for invocation in [refresh, download(&plan), list(&plan), Pacman.pending(&plan)] {
            assert_eq!(invocation.private_arg, Some("--dbpath={}"), "{}", invocation.line());
        }
        assert_eq!(install(&plan, &finished).private_arg, Some("--config={}/install.conf"));
    }

    #[test]
    fn what_is_kept_of_the_configuration_holds_no_password() {
        let config = "[options]\nDBPath = /srv/db/\nXferCommand = /usr/bin/curl -u me:secret %u\n[core]\nServer = http://me:secret@h\n";
        let kept = of_use(config);
        assert_eq!(kept, "DBPath = /srv/db/\nXferCommand = set\n");
        assert!(!(PRIVATE.fetches_by_itself)(&kept) && (PRIVATE.fetches_by_itself)(&of_use("DBPath = /\n")));
    }

    #[test]
    fn the_database_is_where_the_configuration_says() {
        let places = parse_places(
            FACTS.usual_places(),
            "[options]\nRootDir = /\nDBPath = /srv/db/\n[x]\nDBPath = /no\n",
        );
        assert_eq!(places.database, Path::new("/srv/db/local"));
        assert_eq!(FACTS.lock_file(&places).unwrap(), Path::new("/srv/db/db.lck"));
        assert_eq!(parse_places(FACTS.usual_places(), ""), FACTS.usual_places());
        let usual = FACTS.lock_file(&FACTS.usual_places()).unwrap();
        assert_eq!(usual, Path::new("/var/lib/pacman/db.lck"));
    }
}
