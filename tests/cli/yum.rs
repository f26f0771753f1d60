//! yum 3.4, which no Debian has: fakes that print and exit as the real one was recorded.

use crate::leisure::{at_leisure, option};
use crate::machine::{cut_off, fresh_state, signal};
use crate::world::{INSTALL_ALL, Ran, World, fixture, replay_of, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

fn play(case: &str) -> String {
    replay_of("yum", &format!("3.4.3-{case}"))
}

fn run(world: &World, args: &str) -> Value {
    world.json(&format!("{args} --manager yum"))
}

fn changed(doc: &Value) -> Vec<String> {
    let packages = doc["packages"].as_array().unwrap().iter();
    packages.map(|package| format!("{} {}", package["name"].as_str().unwrap(), package["to"])).collect()
}

const VERBS: [&str; 4] = ["yum-refresh", "yum-download", "yum-install", "rpm-erase"];

fn counts(world: &World) -> [usize; 4] {
    VERBS.map(|verb| world.count(verb))
}

/// Runs it where these files are all that `/etc` holds.
fn run_configured(world: &World, files: &[(&str, &str)], args: &str) -> Value {
    for (name, text) in files {
        let path = world.path("etc").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut command = world.bare("/usr/bin/unshare");
    command.args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c"]);
    command.arg("/bin/mount --bind \"$0\" /etc && exec \"$@\"").arg(world.path("etc"));
    command.arg(env!("CARGO_BIN_EXE_linux-patch")).arg("--state-dir").arg(world.state_dir());
    command.args(["--format", "json", "--manager", "yum"]).args(args.split(' '));
    Ran::of(command).json()
}

#[test]
fn a_limit_that_yum_conf_or_a_repository_sets_is_never_undercut() {
    let base = "[base]\nname=base\nbaseurl=http://h/base\n";
    for (conf, repo, more) in [
        // A proxy that looks into what it fetches needs its time.
        ("[main]\ntimeout=180\nretries=10\n", "", &["timeout=180", "retries=10"][..]),
        // yum ends at once where this is an option.
        ("[main]\n", "timeout=3m\n", &[]),
        ("[main]\ntimeout=2\nretries=1\n", "", &[]),
    ] {
        let world = World::of_yum();
        // What is left out makes it list what is to come.
        let table = "printf 'Dependencies Resolved\\n\\nUpdating:\\n tb-world noarch 2.0-1 base 5 k\\n\\nTransaction Summary\\n'";
        world.on("yum-list", &format!("{table}; echo Exiting on user command; exit 1"));
        world.on("yum-download", table);
        let files = [("yum.conf", conf), ("yum.repos.d/base.repo", &format!("{base}{repo}"))];
        let doc = run_configured(&world, &files, "apply --exclude tb-hello");
        assert!(doc["exit_code"] == 0 && world.count("yum-install") == 1, "{doc}");
        for verb in ["yum-refresh", "yum-list", "yum-download"] {
            let limits = |line: &str| -> Vec<String> {
                let words = line.split(' ').filter_map(|word| word.strip_prefix("--setopt=*."));
                words
                    .filter(|word| word.starts_with("timeout") || word.starts_with("retries"))
                    .map(str::to_owned)
                    .collect()
            };
            let calls = world.calls(verb);
            assert!(!calls.is_empty(), "{verb}");
            for line in calls {
                let found = limits(&line);
                assert!(
                    found.len() == 2 + more.len()
                        && found.ends_with(&more.iter().map(|limit| limit.to_string()).collect::<Vec<_>>()),
                    "{conf}{repo}: {line}"
                );
            }
        }
    }
}

#[test]
fn a_repository_that_yum_conf_puts_elsewhere_makes_the_index_stale_when_it_is_added() {
    for (file, stays) in [
        ("srv/more.repo", false),
        ("vars/site", false),
        ("srv/more.repo.rpmsave", true),
        ("other/more.repo", true),
    ] {
        let world = World::of_yum();
        let conf = "[main]\nreposdir=/etc/yum.repos.d, /etc/srv/\nvarsdir=/etc/vars\n";
        let base = "[base]\nname=base\nbaseurl=http://h/base\n";
        let files = [("yum.conf", conf), ("srv/base.repo", base), ("vars/x", "x\n")];
        let doc = run_configured(&world, &files, "refresh");
        assert_eq!(doc["exit_code"], 0, "{doc}");
        let doc = run_configured(&world, &[], "status");
        assert_eq!((&doc["exit_code"], &doc["cache_status"]), (&json!(0), &json!("fresh")), "{doc}");
        let doc = run_configured(&world, &[(file, "[more]\nname=more\nbaseurl=http://h/more\n")], "status");
        let expected = if stays { "fresh" } else { "stale" };
        assert_eq!(doc["cache_status"], expected, "{file}: {doc}");
    }
}

/// yum is ended before it says which repositories there are.
#[test]
fn every_configured_repository_is_in_the_ledger_also_where_yum_never_came_to_it() {
    let conf = "[main]\nreposdir=/etc/yum.repos.d /etc/srv\n[inline]\nname=i\nbaseurl=http://h/i\n";
    let of = |id: &str, more: &str| format!("[{id}]\nname={id}\nbaseurl=http://h/{id}\n{more}");
    for (script, class) in [("sleep 60", "timeout"), ("echo 'Error: disk I/O error' >&2; exit 1", "other")] {
        let world = World::of_yum();
        world.on("yum-refresh", script);
        let files = [
            ("yum.conf", conf),
            ("yum.repos.d/a.repo", &of("base", "") as &str),
            ("yum.repos.d/b.repo", &of("off", "enabled = no\n")),
            ("srv/c.repo", &of("extra", "")),
        ];
        let doc = run_configured(&world, &files, "refresh --timeout 1s");
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!(class)), "{doc}");
        let ids: Vec<_> = doc["sources"].as_array().unwrap().iter().map(|source| &source["id"]).collect();
        assert_eq!(ids, ["base", "extra", "inline"], "{doc}");
        let has_failed = |source: &Value| !source["error"].is_null();
        assert!(doc["sources"].as_array().unwrap().iter().all(has_failed), "{doc}");
    }
}

#[test]
fn one_start_refreshes_names_the_repositories_and_lists_what_is_pending() {
    let world = World::of_yum();
    world.on("yum-refresh", &format!("cat >$world/asked; {}", play("v-a1-refresh")));
    world.on("yum-advisories", &play("v-a2-updateinfo"));
    let doc = run(&world, "refresh");
    assert_eq!((&doc["exit_code"], &doc["cache_status"]), (&json!(0), &json!("fresh")), "{doc}");
    let ids: Vec<_> =
        doc["sources"].as_array().unwrap().iter().map(|source| source["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["base", "extra"]);
    assert_eq!((&doc["pending"]["count"], &doc["pending"]["security"]), (&json!(6), &json!(1)), "{doc}");
    let asked = world.read("asked");
    assert_eq!(asked.lines().collect::<Vec<_>>(), ["repolist disabled", "check-update", "repolist all"]);
    let names = doc["pending"]["packages"].to_string();
    assert!(!names.contains("\"name\":\"tb-old\""), "what is obsoleted is no update: {names}");
    run(&world, "refresh");
    assert_eq!([world.count("yum-refresh"), world.count("yum-advisories")], [2, 1], "nothing had changed");
}

/// yum does not know such a repository, and with an option that names it, it does nothing at all.
#[test]
fn a_section_that_yum_cannot_read_keeps_nothing_else_from_being_installed() {
    let world = World::of_yum();
    world.on("yum-refresh", &play("v-k-bad-url-refresh"));
    let doc = run(&world, "apply");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(1), &Value::Null), "{doc}");
    assert!(!changed(&doc).is_empty(), "{doc}");
    let calls = ["yum-download", "yum-install"].map(|verb| world.calls(verb).join("\n"));
    assert!(calls.iter().all(|lines| !lines.is_empty() && !lines.contains("--disablerepo=")), "{calls:?}");
}

/// yum takes such an index for one that was just fetched, and asks nobody.
#[test]
fn a_date_of_the_index_that_lies_in_the_future_keeps_yum_from_nothing() {
    let world = World::of_yum();
    let dir = world.path("cache/x86_64/7/base");
    std::fs::create_dir_all(&dir).unwrap();
    let conf = format!("[main]\ncachedir={}/$basearch/$releasever\n", world.path("cache").display());
    let cookie = dir.join("cachecookie");
    for (days, is_kept) in [(-1, true), (1, false)] {
        std::fs::write(&cookie, "").unwrap();
        let at = SystemTime::now().checked_add(Duration::from_secs(86400)).unwrap();
        let at = if days < 0 { at - Duration::from_secs(2 * 86400) } else { at };
        std::fs::File::options().write(true).open(&cookie).unwrap().set_modified(at).unwrap();
        run_configured(&world, &[("yum.conf", &conf)], "refresh");
        assert_eq!(cookie.exists(), is_kept, "{days}");
    }
}

#[test]
fn a_repository_that_was_left_out_is_never_called_fresh() {
    let rows = [
        ("v-b-404", 1, "fetch"),
        ("v-b-hang", 1, "network"),
        ("v-b-hadcache-404", 1, "fetch"),
        // yum kept the index that it had, and said so only in passing.
        ("v-b-hadcache-primary-404", 1, "fetch"),
        ("v-b-hadcache-primary-flipped", 1, "fetch"),
        ("v-b-hadcache-html", 1, "fetch"),
        ("v-k-bad-url-refresh", 1, "config"),
        ("v-k-mirrorlist-down-refresh", 1, "network"),
        ("v-k-mirrors-all-down-refresh", 1, "fetch"),
        ("v-b-all-404", 2, "fetch"),
        // Not a word.
        ("v-h-full-refresh", 2, "other"),
        ("v-k-no-baseurl-refresh", 2, "config"),
        ("v-k-no-repository-refresh", 2, "config"),
        ("v-k-broken-file-refresh", 2, "config"),
        ("v-k-unsigned-index-refresh", 2, "auth"),
    ];
    for (case, code, class) in rows {
        let world = World::of_yum();
        world.on("yum-refresh", &play(case));
        let doc = run(&world, "refresh");
        assert_eq!(
            (&doc["exit_code"], &doc["error"]["class"]),
            (&json!(code), &json!(class)),
            "{case}: {doc}"
        );
        let last = &world.state()["last_cache_update"];
        assert_eq!(*last, Value::Null, "{case}");
    }
}

/// yum then goes on with the index that its older metalink names, and asks no mirror for a newer one. Taken from yum's
/// source; not recorded.
#[test]
fn a_repository_whose_metalink_is_older_than_this_refresh_is_not_fresh() {
    let recorded = std::fs::read_to_string(fixture("yum", "3.4.3-v-a1-refresh")).unwrap();
    let address =
        recorded.lines().filter_map(|line| line.strip_prefix("Repo-baseurl : ")).next_back().unwrap();
    let base = format!("Repo-baseurl : {address}");
    let with_list = recorded.replace(&base, &format!("Repo-metalink: http://list/extra\n{base}"));
    for (error, class) in [
        (
            "Could not get metalink http://list/extra error was\n14: HTTP Error 503 - Service Unavailable\n",
            "fetch",
        ),
        (
            "Could not get metalink http://list/extra error was\n12: Timeout on http://list/extra: x\n",
            "network",
        ),
        ("Could not parse metalink http://list/extra error was \nFile x is not XML\n", "fetch"),
    ] {
        let world = World::of_yum();
        world.write("text", &with_list.replace("--- stderr\n", &format!("--- stderr\n{error}")));
        world.on("yum-refresh", "replay $world/text");
        let doc = run(&world, "refresh");
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(1), &json!(class)), "{error}: {doc}");
        let failed: Vec<_> =
            doc["sources"].as_array().unwrap().iter().filter(|s| !s["error"].is_null()).collect();
        assert!(failed.len() == 1 && failed[0]["id"] == "extra", "{error}: {doc}");
    }
    // A list of mirrors that cannot be had is another thing: the mirrors of the older one are asked.
    let world = World::of_yum();
    let error = "Could not retrieve mirrorlist http://list/extra error was\n14: HTTP Error 503\n";
    let text = with_list
        .replace("Repo-metalink", "Repo-mirrors ")
        .replace("--- stderr\n", &format!("--- stderr\n{error}"));
    world.write("text", &text);
    world.on("yum-refresh", "replay $world/text");
    assert_eq!(run(&world, "refresh")["exit_code"], 0);
}

/// A yum from before March 2016 keeps an old index where there is no `repomd.xml` to be had, and leaves the repository
/// on.
#[test]
fn a_repository_that_an_older_yum_leaves_on_without_a_new_index_is_not_fresh() {
    let recorded = std::fs::read_to_string(fixture("yum", "3.4.3-v-b-hadcache-404")).unwrap();
    let world = World::of_yum();
    let (head, rest) = recorded.split_once("Repo-id      : extra").unwrap();
    let on = rest.replacen("Repo-status  : disabled", "Repo-status  : enabled", 1);
    world.write("text", &format!("{head}Repo-id      : extra{on}"));
    world.on("yum-refresh", "replay $world/text");
    let doc = run(&world, "refresh");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(1), &json!("fetch")), "{doc}");
}

#[test]
fn a_system_that_yum_may_not_write_to_is_named_and_not_the_option_that_would_let_it() {
    let world = World::of_yum();
    world.on(
        "yum-install",
        "printf 'No write access to /usr directory\\n  Maybe this is an ostree image?\\n  \
         To disable you can use --setopt=usr_w_check=false\\n' >&2; exit 1",
    );
    let doc = run(&world, "apply");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("space")), "{doc}");
    let words = doc["error"]["message"].as_str().unwrap();
    assert!(words.contains("No write access to /usr") && !words.contains("To disable"), "{doc}");
}

#[test]
fn a_mirror_that_failed_where_another_did_not_is_no_failure() {
    for case in ["v-k-mirror-fallback-refresh", "v-k-many-urls-refresh", "v-k-disabled-refresh"] {
        let world = World::of_yum();
        world.on("yum-refresh", &play(case));
        assert_eq!(run(&world, "refresh")["exit_code"], 0, "{case}");
    }
}

#[test]
fn an_apply_refreshes_downloads_and_installs() {
    let world = World::of_yum();
    let doc = run(&world, "apply");
    assert_eq!(doc["exit_code"], 0, "{doc}");
    assert_eq!(changed(&doc), ["tb-hello \"3.0-1\"", "tb-world \"2.0-1\""]);
    assert_eq!(counts(&world), [1, 1, 1, 0]);
    let install = &world.calls("yum-install")[0];
    assert!(install.ends_with(" --skip-broken -y -C --setopt=rpmverbosity=info update"), "{install}");
}

#[test]
fn a_package_that_only_a_restart_puts_to_use_requires_one() {
    let now = chrono::Utc::now().timestamp();
    let rows = [
        ("glibc", now - 1, vec!["glibc"]),
        ("glibc-common", now - 1, vec![]),
        ("glibc", 5, vec![]),
        // The time is from a wrong clock: the package would still be "installed since" after another restart.
        ("glibc", now + 86400, vec![]),
    ];
    for (name, installed_at, expected) in rows {
        let world = World::of_yum();
        let after = world.read("installed.after");
        world.write("installed.after", &format!("{after}{name}\tx86_64\t0:1-1\t{installed_at}\n"));
        let doc = run(&world, "refresh");
        assert_eq!(world.state()["reboot_packages"]["names"], json!([]), "{doc}");
        let doc = run(&world, "apply");
        let state = world.state();
        assert_eq!(state["reboot_packages"]["names"], json!(expected), "{name} {installed_at}: {doc}");
        assert!(doc["reboot_required"] == true || expected.is_empty(), "{name} {installed_at}: {doc}");
    }
}

#[test]
fn a_restart_that_is_required_stays_required_though_the_clock_is_set() {
    let world = World::of_yum();
    let installed = world.read("installed");
    let with = |at: i64| world.write("installed", &format!("{installed}glibc\tx86_64\t0:1-1\t{at}\n"));
    with(chrono::Utc::now().timestamp() - 1);
    run(&world, "refresh");
    assert_eq!(world.state()["reboot_packages"]["names"], json!(["glibc"]));
    // What the list says is the same; the clock says that the machine started after it.
    with(5);
    run(&world, "apply --dry-run");
    assert_eq!(world.state()["reboot_packages"]["names"], json!(["glibc"]));
    let mut state = world.state();
    state["reboot_packages"]["start"] = json!("another");
    world.write_state(&state);
    run(&world, "apply --dry-run");
    assert_eq!(world.state()["reboot_packages"]["names"], json!([]));
}

#[test]
fn after_a_partial_refresh_the_rest_is_installed_without_the_stale_repository() {
    let world = World::of_yum();
    world.on("yum-refresh", &play("v-b-404"));
    let doc = run(&world, "apply");
    assert_eq!(doc["exit_code"], 1, "{doc}");
    for verb in ["yum-download", "yum-install"] {
        assert!(world.calls(verb)[0].contains(" --disablerepo=extra "), "{verb}");
    }
}

#[test]
fn a_stale_index_is_healed_by_one_retry() {
    for case in ["v-c1-stale-download", "v-h-package-flip", "v-h-package-hang", "v-h-package-refused"] {
        let world = World::of_yum();
        world.on_call("yum-download", 1, &play(case));
        let doc = run(&world, "apply");
        assert_eq!((&doc["exit_code"], &doc["retried"]), (&json!(0), &json!(true)), "{case}: {doc}");
        assert_eq!(counts(&world), [2, 2, 1, 0], "{case}");
    }
}

#[test]
fn no_other_failure_of_a_download_is_retried() {
    for (case, class) in [("v-h-full-download", "space"), ("v-k-unsigned-download", "auth")] {
        let world = World::of_yum();
        world.on("yum-download", &play(case));
        let doc = run(&world, "apply");
        assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!(class)), "{case}: {doc}");
        assert_eq!((&doc["retried"], world.count("yum-refresh")), (&json!(false), 1), "{case}: {doc}");
        // A repository that names no key is downloaded without, by another command line: this is no retry of the same
        // one.
        let mut downloads = world.calls("yum-download");
        downloads.iter_mut().for_each(|call| *call = call.split_once(' ').unwrap_or_default().1.to_string());
        let all = downloads.len();
        downloads.sort();
        downloads.dedup();
        assert_eq!((downloads.len(), all <= 2), (all, true), "{case}: {downloads:?}");
        assert!(
            all == 1 || downloads.iter().any(|call| call.contains("--setopt=base.gpgkey=")),
            "{downloads:?}"
        );
    }
}

/// yum looks for keys before it resolves anything, also where it is only to list what it would do.
#[test]
fn a_repository_without_a_key_stops_no_list() {
    let world = of_ten("", ":", &[]);
    let script = world.read("scripts/yum-list");
    let stops = format!(
        "case \" $* \" in *\" --setopt=*.gpgcheck=0 \"*) ;; *) {} ;; esac",
        play("v-k-no-key-download")
    );
    world.on("yum-list", &format!("{stops}; {script}"));
    let doc = run(&world, "apply --dry-run");
    assert_eq!((&doc["exit_code"], changed(&doc).len()), (&json!(0), 10), "{doc}");
    for verb in ["yum-download", "yum-install"] {
        world.on(verb, &format!("{stops}; {}", world.read(&format!("scripts/{verb}"))));
    }
    // An install checks signatures: yum stops there.
    let doc = run(&world, "apply");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("auth")), "{doc}");
}

#[test]
fn a_script_that_failed_is_told_whatever_the_exit_code() {
    // %post: yum exits with 0, and all is installed. %pre: it says Complete!, and one package is not.
    let world = World::of_yum();
    world.on("yum-install", &format!("{INSTALL_ALL}; {}", play("v-f-post-fails")));
    let doc = run(&world, "apply");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("script")), "{doc}");
    assert!(doc["reason"].as_str().unwrap().contains("%post(tb-brk-2.0-1.noarch) scriptlet failed"), "{doc}");
    assert_eq!(changed(&doc).len(), 2);

    let world = World::of_yum();
    let one = "sed -i 's/\\(tb-hello.*\\)1.0/\\13.0/' $world/installed";
    world.on("yum-install", &format!("{one}; {}", play("v-f-pre-fails")));
    let doc = run(&world, "apply");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("script")), "{doc}");
    assert_eq!(changed(&doc), ["tb-hello \"3.0-1\""]);
}

#[test]
fn an_install_that_a_signal_could_not_stop_is_done_and_no_failure() {
    let done = "v-g3-install-in-scriptlet-sigterm";
    let world = World::of_yum();
    world.on("yum-install", &format!("{INSTALL_ALL}; {}", play(done)));
    let doc = run(&world, "apply");
    assert_eq!((&doc["exit_code"], &doc["error"]), (&json!(0), &Value::Null), "{doc}");
    assert_eq!(changed(&doc).len(), 2);

    // The same words, but the packages say otherwise.
    let world = World::of_yum();
    world.on("yum-install", &play(done));
    let doc = run(&world, "apply");
    assert_eq!((&doc["exit_code"], &doc["packages"]), (&json!(2), &json!([])), "{doc}");
}

#[test]
fn a_signal_in_the_download_installs_nothing() {
    let world = World::of_yum();
    world.on("yum-download", "touch $world/running; sleep 30");
    let child = world.spawn("apply --format json --manager yum");
    until("the download runs", || world.path("running").exists());
    signal(&child, Signal::TERM);
    let doc = Ran::end(child).json();
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("interrupted")), "{doc}");
    assert_eq!(counts(&world), [1, 1, 0, 0]);
}

#[test]
fn the_lock_of_another_yum_is_waited_for() {
    let world = World::of_yum();
    world.on_call("yum-refresh", 1, &play("v-e1-locked-refresh"));
    world.on_call("yum-download", 1, &play("v-e1-locked-download"));
    world.on_call("yum-install", 1, &play("v-e1-locked-install"));
    let ran = world.run("apply --format json --manager yum");
    let doc = ran.json();
    assert_eq!((&doc["exit_code"], &doc["retried"]), (&json!(0), &json!(false)), "{doc}");
    assert_eq!(counts(&world), [2, 2, 2, 0]);
    assert!(ran.stderr.contains("another copy is running as pid"), "{}", ran.stderr);
    for call in world.calls("yum-refresh") {
        assert!(call.contains(" --setopt=exit_on_lock=1 "), "yum would wait for ever: {call}");
    }

    let world = World::of_yum();
    world.on("yum-refresh", &play("v-e1-locked-refresh"));
    let doc = run(&world, &format!("refresh --timeout {}", option(at_leisure(2))));
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("lock")), "{doc}");
}

#[test]
fn what_cannot_be_updated_is_left_out_and_named() {
    let world = World::of_yum();
    world.on("yum-download", &play("v-f02-broken-dependency-download"));
    let one = "sed -i 's/\\(tb-hello.*\\)1.0/\\12.0/' $world/installed";
    world.on("yum-install", &format!("{one}; {}", play("v-f02-broken-dependency-install")));
    let ran = world.run("apply --format json --manager yum");
    assert_eq!(ran.json()["exit_code"], 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("tb-world stays as it is: its dependencies cannot be met"), "{}", ran.stderr);
    assert_eq!(changed(&ran.json()), ["tb-hello \"2.0-1\""]);
}

/// A yum with ten updates, tb-1 to tb-9 from base and tb-10 from extra, that refuses with these words where
/// `bad` are not excluded, and else installs the others.
fn of_ten(refuses: &str, words: &str, bad: &[&str]) -> World {
    let world = World::of_yum();
    let rows =
        |version: &str| (1..=10).map(|n| format!("tb-{n}\tnoarch\t0:{version}-1\t5\n")).collect::<String>();
    world.write("installed", &rows("1.0"));
    let left_out =
        bad.iter().map(|name| format!("case \"$* \" in *\" --exclude={name} \"*) ;; *) all= ;; esac; "));
    let left_out: String = left_out.collect();
    let table = "printf 'Dependencies Resolved\\n\\nUpdating:\\n'; for n in 1 2 3 4 5 6 7 8 9 10; do \
        from=base; [ $n != 10 ] || from=extra; \
        case \"$* \" in *\" --exclude=tb-$n \"*) ;; *) echo \" tb-$n noarch 2.0-1 $from 5 k\" ;; esac; done; \
        printf '\\nTransaction Summary\\n'";
    let refusal = format!("all=1; {left_out}[ \"$all\" ] || {{ {words}; exit 1; }}");
    let install = "for n in 1 2 3 4 5 6 7 8 9 10; do case \"$* \" in *\" --exclude=tb-$n \"*) ;; \
        *) sed -i \"s/^\\(tb-$n\\t.*\\)1.0/\\12.0/\" $world/installed ;; esac; done; echo 'Running transaction'";
    let script = |verb: &str, end: &str| {
        let refusal = if refuses == verb { &refusal } else { ":" };
        world.on(verb, &format!("{table}; {refusal}; {end}; exit 0"));
    };
    world.on("yum-list", &format!("{table}; echo Exiting on user command; exit 1"));
    let refreshed = include_str!("../fixtures/yum/3.4.3-v-c2-refresh.txt").lines().flat_map(|line| {
        let row =
            |n: usize| line.replace("tb-hello.noarch", &format!("tb-{n}.noarch")).replace("3.0-1", "2.0-1");
        match line {
            line if line.starts_with("tb-hello.noarch") => (1..=10).map(row).collect(),
            line if line.starts_with("tb-world.noarch") => Vec::new(),
            line => vec![line.to_string()],
        }
    });
    world.write("refreshed", &refreshed.map(|line| line + "\n").collect::<String>());
    world.on("yum-refresh", "replay $world/refreshed");
    let row = "s/^\\(tb-[0-9]*\\).*0:1.0-1.*/\\1.noarch 2.0-1 base/p";
    world.on("yum-pending", &format!("echo; sed -n '{row}' $world/installed; exit 100"));
    script("yum-download", ":");
    script("yum-install", install);
    world
}

#[test]
fn one_update_that_cannot_be_installed_holds_back_no_other() {
    let nokey = "echo 'warning: /var/cache/yum/x86_64/7/extra/packages/tb-10-2.0-1.noarch.rpm: Header V4 RSA/SHA512 \
                 Signature, key ID cac94235: NOKEY' >&2";
    let lost = format!("{nokey}; echo 'GPG key retrieval failed: [Errno 14] HTTP Error 404 - Not Found' >&2");
    let wrong = format!(
        "{nokey}; echo 'The GPG keys listed for the \"x\" repository are already installed but they are not correct \
         for this package.' >&2; echo ' Failing package is: tb-10-2.0-1.noarch' >&2"
    );
    let check = "echo Running transaction test; echo 'Transaction check error:' >&2";
    let rows = [
        ("yum-install", "echo 'Package tb-3-2.0-1.noarch.rpm is not signed' >&2".to_string(), "tb-3", "auth"),
        // In the cache a file may have more in front of the name of the package.
        (
            "yum-install",
            "echo 'Public key for 1db8f4-tb-3-2.0-1.noarch.rpm is not installed' >&2".into(),
            "tb-3",
            "auth",
        ),
        ("yum-install", lost, "tb-10", "auth"),
        ("yum-install", wrong, "tb-10", "auth"),
        (
            "yum-install",
            format!(
                "{check}; echo '  file /usr/x from install of tb-4-2.0-1.noarch conflicts with file from package tb-z-1-1.noarch' >&2"
            ),
            "tb-4",
            "dependency",
        ),
        (
            "yum-install",
            "echo 'ERROR with transaction check vs depsolve:'; echo 'tb-none is needed by tb-5-2.0-1.noarch'"
                .into(),
            "tb-5",
            "dependency",
        ),
        (
            "yum-download",
            "echo 'Error: Protected multilib versions: tb-6-2.0-1.noarch != tb-6-1.0-1.noarch' >&2".into(),
            "tb-6",
            "dependency",
        ),
    ];
    for (verb, words, bad, class) in rows {
        let world = of_ten(verb, &words, &[bad]);
        let doc = run(&world, "apply");
        let code = if class == "auth" { 1 } else { 0 };
        assert_eq!((&doc["exit_code"], changed(&doc).len()), (&json!(code), 9), "{words}: {doc}");
        let held: Vec<_> = doc["held_back"].as_array().unwrap().iter().collect();
        assert_eq!(
            (held.len(), &held[0]["name"], &held[0]["class"]),
            (1, &json!(bad), &json!(class)),
            "{doc}"
        );
    }
    // If nothing at all can be installed that is said, and nothing is installed.
    let words = "echo 'Transaction check error:' >&2; echo '  something else' >&2";
    let doc = run(&of_ten("yum-install", words, &["tb-3"]), "apply");
    assert_eq!((&doc["exit_code"], changed(&doc).len()), (&json!(2), 0), "{doc}");
}

#[test]
fn what_would_come_in_the_place_of_a_protected_package_stays_and_the_others_come() {
    for (more, bad) in
        [("", &["tb-new"][..]), ("  Trying to remove \"tb-2\", which is protected", &["tb-new", "tb-newer"])]
    {
        let words =
            format!("echo 'Error: Trying to remove \"tb-1\", which is protected' >&2; echo '{more}' >&2");
        let world = of_ten("yum-download", &words, bad);
        let rows =
            |new: &str, old: &str| format!("{new}.noarch 1.0-1 base\n    {old}.noarch 1.0-1 installed\n");
        let mut obsoleting = format!("Obsoleting Packages\n{}", rows("tb-new", "tb-1"));
        if bad.len() > 1 {
            obsoleting += &rows("tb-newer", "tb-2");
        }
        world.write("obsoleting", &obsoleting);
        let refreshed = world.read("refreshed");
        let last = refreshed.lines().rfind(|line| line.starts_with("tb-10.")).unwrap();
        world.write("refreshed", &refreshed.replace(last, &format!("{last}\n{obsoleting}")));
        let pending = world.read("scripts/yum-pending");
        world.on("yum-pending", &pending.replace("exit 100", "cat $world/obsoleting; exit 100"));
        let doc = run(&world, "apply");
        assert_eq!((&doc["exit_code"], changed(&doc).len()), (&json!(0), 10 - bad.len()), "{doc}");
        assert_eq!(doc["retried"], false, "{doc}");
        let held: Vec<_> = doc["held_back"].as_array().unwrap().iter().collect();
        for name in bad {
            let held =
                held.iter().find(|held| held["name"] == **name).unwrap_or_else(|| panic!("{name}: {doc}"));
            assert!(
                held["class"] == "dependency" && held["reason"].to_string().contains("it is protected"),
                "{doc}"
            );
        }
        let install = &world.calls("yum-install")[0];
        assert!(install.contains(" --exclude=tb-new ") && install.contains(" --exclude=tb-1 "), "{install}");
        assert_eq!(world.state()["pending"]["count"], 0, "{doc}");
    }
}

#[test]
fn a_list_that_is_short_against_yums_own_word_is_never_nothing_pending() {
    // Rows that nobody can read, and an exit code that says that there are some.
    let world = of_ten(
        "",
        "sed -i 's/\\(tb-1 .*\\)1.0/\\12.0/' $world/installed; echo Running transaction; exit 0",
        &[],
    );
    world.on("yum-pending", "echo; echo 'tb-hello: 2.0-1, of base'; exit 100");
    let doc = run(&world, "apply");
    assert_eq!(doc["pending"]["count"], Value::Null, "{doc}");
    let told = doc["pending"]["error"]["message"].to_string();
    assert!(told.contains("yum says that updates are pending, but none can be read"), "{doc}");
    // Rows below a headline that nobody knows, and a count of them.
    let world = of_ten("", ":", &[]);
    let recorded = include_str!("../fixtures/yum/3.4.3-v-a4-list.txt");
    world.write("list", &recorded.replace("\nUpdating:", "\nRenewing:"));
    world.on("yum-download", "replay $world/list");
    let doc = run(&world, "apply");
    assert_eq!((&doc["exit_code"], &doc["packages"]), (&json!(2), &json!([])), "{doc}");
    let told = doc["error"]["message"].to_string();
    assert!(told.contains("yum says that 7 packages would change, but lists 3"), "{doc}");
    assert!(world.calls("yum-install").is_empty(), "{doc}");
}

#[test]
fn a_package_database_that_yum_cannot_read_is_never_nothing_pending() {
    let words = "echo 'error: cannot open Packages database in /var/lib/rpm' >&2";
    // As yum 3.4.3 does it, and as dnf 4 does it.
    for end in ["echo 'Error: rpmdb open failed' >&2; exit 1", "echo 'Leaving Shell'; exit 0"] {
        let world = World::of_yum();
        world.on("yum-refresh", &format!("{words}; {end}"));
        let doc = run(&world, "refresh");
        assert_eq!((&doc["exit_code"], &doc["pending"]["count"]), (&json!(2), &Value::Null), "{doc}");
        assert!(doc["reason"].to_string().contains("cannot open Packages database"), "{doc}");
    }
}

#[test]
fn a_conflict_of_files_as_yum_was_recorded_costs_one_update() {
    let world = World::of_yum();
    let table = "printf 'Dependencies Resolved\\n\\nUpdating:\\n tb-world noarch 2.0-1 base 5 k\\n\\n'";
    for verb in ["yum-list", "yum-download"] {
        world.on(verb, &format!("{table}; exit 0"));
    }
    world.on_call("yum-download", 1, &play("v-f05-file-conflict-download"));
    let rest = "sed -i 's/\\(tb-world.*\\)1.0/\\12.0/' $world/installed; echo Running transaction; exit 0";
    world.on("yum-install", rest);
    world.on_call("yum-install", 1, &play("v-f05-file-conflict-install"));
    world.on("yum-pending", "echo; echo tb-hello.noarch 2.0-1 base; exit 100");
    let doc = run(&world, "apply");
    assert_eq!(
        (&doc["exit_code"], changed(&doc)),
        (&json!(0), vec!["tb-world \"2.0-1\"".to_string()]),
        "{doc}"
    );
    assert_eq!(doc["held_back"][0]["name"], "tb-hello", "{doc}");
    assert!(world.calls("yum-install")[1].contains(" --exclude=tb-hello "), "{doc}");
}

#[test]
fn a_repository_that_names_no_key_costs_its_own_updates() {
    let world = of_ten("", ":", &[]);
    world.on_call("yum-download", 1, &play("v-k-no-key-download"));
    let unsigned = "case \"$* \" in *\" --exclude=tb-1 \"*) ;; *) echo \
        'warning: /x/base/packages/tb-1-2.0-1.noarch.rpm: Header V4, key ID cac94235: NOKEY' >&2; \
        echo 'GPG key retrieval failed: [Errno 14] curl#37 - \"x\"' >&2; exit 1 ;; esac";
    let script = world.read("scripts/yum-install");
    world.on("yum-install", &script.replace("; :; ", &format!("; {unsigned}; ")));
    let doc = run(&world, "apply");
    assert_eq!((&doc["exit_code"], changed(&doc)), (&json!(1), vec!["tb-10 \"2.0-1\"".to_string()]), "{doc}");
    let download = &world.calls("yum-download")[1];
    assert!(download.contains(" --setopt=base.gpgkey=file:///nonexistent update"), "{download}");
}

#[test]
fn a_cut_off_install_is_repaired_by_removing_what_is_old_and_nothing_else() {
    let world = World::of_yum();
    let twice = "tb-hello\tnoarch\t0:1.0-1\t5\ntb-hello\tnoarch\t0:3.0-1\t9\ntb-world\tnoarch\t0:1.0-1\t5\n";
    world.write("installed", twice);
    world.on("rpm-erase", "sed -i '1d' $world/installed");
    let mut state = fresh_state(100);
    state["apply"]["in_progress"] = cut_off("install");
    world.write_state(&state);
    let doc = run(&world, "apply");
    assert_eq!((&doc["exit_code"], &doc["repaired"]), (&json!(0), &json!(true)), "{doc}");
    let erased = &world.calls("rpm-erase")[0];
    assert!(erased.ends_with(" -e --nodeps tb-hello-1.0-1.noarch"), "{erased}");
    assert_eq!(changed(&doc), ["tb-hello null", "tb-world \"2.0-1\""]);
    // Without a run that was cut off they are there because somebody wants them.
    let world = World::of_yum();
    world.write("installed", twice);
    let doc = run(&world, "apply");
    assert_eq!((world.calls("rpm-erase").len(), &doc["repaired"]), (0, &json!(false)), "{doc}");
}

#[test]
fn an_old_version_that_stays_is_told_with_what_takes_it_away() {
    let world = World::of_yum();
    let both = "sed -i 's/^tb-world.*/&\\n&/; s/^\\(tb-hello.*\\)1.0/\\13.0/' $world/installed; \
        sed -i '$ s/1.0-1.*/2.0-1\\t4000000000/' $world/installed";
    world.on("yum-install", &format!("{both}; {}", play("v-f-preun-fails")));
    let doc = run(&world, "apply");
    assert_eq!((&doc["exit_code"], &doc["error"]["class"]), (&json!(2), &json!("script")), "{doc}");
    assert_eq!(changed(&doc), ["tb-hello \"3.0-1\"", "tb-world \"2.0-1\""], "{}", world.read("installed"));
    let words = doc["error"]["message"].as_str().unwrap();
    assert!(words.contains("`rpm -e --nodeps --noscripts tb-world-1.0-1.noarch`"), "{words}");
}

#[test]
fn only_security_updates_come_when_only_they_are_asked_for() {
    let world = World::of_yum();
    world.write("installed.after", "tb-hello\tnoarch\t0:1.0-1\t5\ntb-world\tnoarch\t0:2.0-1\t5\n");
    world.on(
        "yum-advisories",
        "echo X-1 Important/Sec. tb-world-2.0-1.noarch; echo X-2 bugfix tb-hello-3.0-1.noarch",
    );
    let table = "printf 'Dependencies Resolved\\n\\nUpdating:\\n tb-world noarch 2.0-1 base 5 k\\n\\nTransaction Summary\\n'";
    world.on("yum-list", &format!("{table}; echo Exiting on user command; exit 1"));
    world.on("yum-download", table);
    let doc = run(&world, "apply --security");
    assert_eq!(doc["exit_code"], 0, "{doc}");
    assert_eq!(changed(&doc), ["tb-world \"2.0-1\""]);
    for verb in ["yum-download", "yum-install"] {
        assert!(world.calls(verb)[0].contains(" --exclude=tb-hello update"), "{verb}");
    }
}

#[test]
fn what_nothing_needs_any_more_is_removed_by_its_whole_name() {
    let world = World::of_yum();
    let old = "tb-old\tnoarch\t0:1.0-1\t5\ntb-kept\tnoarch\t1:1.0-1\t5\n";
    for name in ["installed", "installed.after"] {
        let text = world.read(name);
        world.write(name, &(text + old));
    }
    let table = "Dependencies Resolved\n\n====\n Package Arch Version Repository Size\n====\nRemoving:\n \
                 tb-kept noarch 1:1.0-1 @base 0\n tb-old noarch 1.0-1 @base 0\n\nTransaction Summary\n====\n\
                 Remove  2 Packages\n\nExiting on user command\n";
    let one = table.replace(" tb-kept noarch 1:1.0-1 @base 0\n", "").replace("2 Packages", "1 Package");
    world.write("table", table);
    world.write("table.one", &one);
    let answer = "case \"$*\" in *' autoremove') [ ! -e $world/removed ] || exit 0; cat $world/table; exit 1 ;; \
                  *' remove '*) cat $world/table.one; exit 1 ;; esac";
    world.on("yum-list", answer).on("yum-pending", "exit 0");
    world.on_call("yum-install", 1, "sed -i /^tb-old/d $world/installed; touch $world/removed");
    let doc = run(&world, "apply --autoremove --exclude tb-kept");
    assert_eq!(doc["exit_code"], 0, "{doc}");
    let gone = &doc["packages"][0];
    assert_eq!((&gone["name"], &gone["to"]), (&"tb-old".into(), &Value::Null), "{}", world.read("calls"));
    let lines = world.calls("yum-list");
    assert!(lines.iter().any(|line| line.ends_with(" autoremove")), "{lines:?}");
    let removal = &world.calls("yum-install")[0];
    let end = " -y -C --setopt=clean_requirements_on_remove=0 remove tb-old-1.0-1.noarch";
    assert!(removal.ends_with(end), "{removal}");
    // A repair that ends well and removes nothing is not tried for ever.
    let text = world.read("installed");
    world.write("installed", &(text + "tb-old\tnoarch\t0:1.0-1\t5\n"));
    world.on("yum-list", answer).on("yum-install", "exit 0");
    std::fs::remove_file(world.path("removed")).unwrap();
    let before = world.count("yum-install");
    let doc = run(&world, "apply --autoremove --exclude tb-kept");
    let words = doc["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(doc["exit_code"], 2, "{doc}");
    assert!(words.contains("tb-old was removed") && words.contains("still installed"), "{doc}");
    let removals = world.calls("yum-install").split_off(before);
    let removals = removals.iter().filter(|call| call.contains(" remove ")).count();
    assert_eq!(removals, 1);
}

#[test]
fn what_nothing_needs_stays_where_it_is_too_late_and_what_was_installed_is_no_less_so() {
    let world = World::of_yum();
    for name in ["installed", "installed.after"] {
        let text = world.read(name);
        world.write(name, &(text + "tb-old\tnoarch\t0:1.0-1\t5\n"));
    }
    let table = "Dependencies Resolved\n\n====\n Package Arch Version Repository Size\n====\nRemoving:\n \
                 tb-old noarch 1.0-1 @base 0\n\nTransaction Summary\n====\nRemove  1 Package\n\n\
                 Exiting on user command\n";
    world.write("table", table);
    world.on("yum-list", "case \"$*\" in *remove*) cat $world/table; exit 1 ;; esac");
    world.install_fake("date");
    world.on("date", "echo 04:00:00");
    world.on("yum-install", &format!("{INSTALL_ALL}; echo 'echo 09:00:00' >$world/scripts/date"));
    let doc = run(&world, "apply --autoremove --not-after 05:00");
    let words = "it is past 05:00 (--not-after): 1 package not removed though no longer needed";
    let reason = doc["reason"].as_str().unwrap_or_default();
    assert!(reason.ends_with(words) && reason.contains("changed; it is"), "{doc}");
    assert_eq!((&doc["exit_code"], &doc["too_late"]), (&0.into(), &true.into()), "{doc}");
    assert_eq!(world.count("yum-install"), 1, "{}", world.read("calls"));
}
