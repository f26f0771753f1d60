//! How an `apt-get update` is judged.

use super::*;

fn update(code: i32, stdout: &str, stderr: &str) -> Refreshed {
    judge(&Finished::ended(code, stdout, stderr))
}

#[test]
fn no_source_is_never_fresh() {
    let judged = update(0, "Reading package lists...\n", "");
    assert_eq!(judged.outcome, RefreshOutcome::Failed);
    assert_eq!(judged.error.unwrap().class, Class::Config);
}

#[test]
fn an_exit_code_without_a_word_is_never_fresh() {
    let judged = update(100, "Hit:1 http://h stable InRelease\n", "");
    assert_eq!(judged.outcome, RefreshOutcome::Partial);
}

#[test]
fn a_suite_with_slashes_and_a_flat_source_are_one_source_each() {
    let lines = "Hit:1 http://h/d buster/updates InRelease\nGet:2 http://h/d buster/updates/main amd64 Packages [1 B]\n\
                 Ign:3 file:/srv ./ InRelease\nGet:4 file:/srv ./ Packages\nIgn:4 file:/srv ./ Packages\n\
                 Get:4 file:/srv ./ Packages [9 B]\n";
    let judged = update(0, lines, "");
    let ids: Vec<_> = judged.sources.iter().map(|source| &*source.id).collect();
    assert_eq!(ids, ["http://h/d buster/updates", "file:/srv ./"]);
    assert_eq!(judged.outcome, RefreshOutcome::Fresh);
}

#[test]
fn a_warning_of_a_loss_is_never_fresh_though_no_line_names_the_source() {
    let summary =
        "W: Some index files failed to download. They have been ignored, or old ones used instead.\n";
    let fetch = "W: Failed to fetch http://b/dists/s/InRelease  Could not connect to b:80 (1.2.3.4). - connect (111: Connection refused)\n";
    let old = "W: An error occurred during the signature verification. The repository is not updated and the previous index files will be used. GPG error: http://b s InRelease: The following signatures were invalid: BADSIG 1\n";
    for (warnings, class) in [
        (format!("{fetch}{summary}"), Class::Network),
        (fetch.to_string(), Class::Network),
        (old.to_string(), Class::Auth),
        (summary.to_string(), Class::Fetch),
    ] {
        let judged = update(0, "Hit:1 http://a s InRelease\n", &warnings);
        assert_eq!(judged.outcome, RefreshOutcome::Partial, "{warnings}");
        assert_eq!(judged.error.unwrap().class, class, "{warnings}");
        assert_eq!(update(0, "", &warnings).outcome, RefreshOutcome::Failed, "{warnings}");
    }
    let harmless = "W: http://a/dists/s/InRelease: Key is stored in legacy trusted.gpg keyring\n";
    assert_eq!(update(0, "Hit:1 http://a s InRelease\n", harmless).outcome, RefreshOutcome::Fresh);
}

#[test]
fn a_line_that_no_error_names_is_a_hooks_only_if_apt_sums_up_what_failed() {
    let lines = "Hit:1 http://a s InRelease\nGet:2 http://b s InRelease [9 B]\nErr:2 http://b s InRelease\n  Error reading from server.\n\
                 Err:3 http://c s InRelease\n  x\n";
    let fetch = "Failed to fetch http://c/dists/s/InRelease  x\n";
    let summary = "Some index files failed to download. They have been ignored, or old ones used instead.\n";
    let failed = |words: &str| {
        let judged = update(100, lines, &format!("{}\n{words}", super::super::commands::HOOKS_ENDED));
        let failed = judged.sources.into_iter().filter(|source| source.error.is_some());
        failed.map(|source| source.id).collect::<Vec<_>>()
    };
    for kind in ["E", "W"] {
        assert_eq!(failed(&format!("{kind}: {fetch}{kind}: {summary}")), ["http://c s"]);
    }
    let unsigned = "E: The repository 'http://c s InRelease' is no longer signed.\n";
    assert_eq!(failed(&format!("E: {fetch}{unsigned}")), ["http://b s", "http://c s"]);
    assert_eq!(failed(unsigned), ["http://b s", "http://c s"]);
}

/// What apt can print of its own item is no line of a hook.
#[test]
fn the_mirrors_of_a_list_may_be_sources_of_their_own() {
    let uris = ["http://m1", "http://m2", "http://c", "mirror+file:/m.txt"];
    let row = |uri: &&str| format!("{uri}\ts\tmain/binary-amd64/Packages\tPackages\t/l\n");
    let lines = "Hit:1 http://m1 s InRelease\nHit:2 http://m2 s InRelease\nGet:3 http://m1 s InRelease [9 B]\n\
                 Ign:3 http://m1 s InRelease\nErr:3 http://m2 s InRelease\n  x\nErr:4 http://c s InRelease\n  y\n";
    let words = format!(
        "{}\nE: The repository 'http://c s InRelease' is no longer signed.\n",
        super::super::commands::HOOKS_ENDED
    );
    let answer: String = uris.iter().map(row).collect();
    let judged = judge_configured(&Finished::ended(100, lines, &words), &answer);
    let failed: Vec<_> = judged.sources.iter().map(|source| source.error.is_some()).collect();
    assert_eq!(failed, [false, false, true, true], "{judged:?}");
}

/// What apt and its hooks say of two lists of mirrors; returns how each of them failed.
fn of_two_lists(lines: &str, words: &str) -> Vec<Option<Class>> {
    let rows = |list: &str| {
        let of =
            |part: &str| format!("mirror+file:/{list}.txt\ts\t{part}/binary-amd64/Packages\tPackages\t/l\n");
        ["main", "x"].map(of).concat()
    };
    let answer: String = ["a", "b"].map(rows).concat();
    let words = format!("{}\n{words}", super::super::commands::HOOKS_ENDED);
    let judged = judge_configured(&Finished::ended(0, lines, &words), &answer);
    judged.sources.iter().map(|source| source.error.as_ref().map(|error| error.class)).collect()
}

#[test]
fn an_unchanged_index_whose_key_has_expired_is_of_its_own_list_alone() {
    for of_first in ["Hit:1 http://m1 s InRelease\n", "Get:1 http://m1 s InRelease [9 B]\n"] {
        let lines =
            format!("{of_first}Err:1 http://m1 s InRelease\n  EXPKEYSIG 1\nHit:2 http://m2 s InRelease\n");
        let words = "W: An error occurred during the signature verification. The repository is not updated and the previous \
                     index files will be used. GPG error: http://m1 s InRelease: EXPKEYSIG 1\n\
                     W: Failed to fetch mirror+file:/a.txt/dists/s/InRelease  EXPKEYSIG 1\n\
                     W: Some index files failed to download. They have been ignored, or old ones used instead.\n";
        assert_eq!(of_two_lists(&lines, words), [Some(Class::Auth), None], "{of_first}");
    }
}

#[test]
fn a_component_that_one_list_lacks_does_not_make_it_fail_for_another() {
    let lines =
        "Hit:1 http://m1 s InRelease\nIgn:2 http://m1 s InRelease\nErr:2 http://m2 s InRelease\n  503\n";
    let words = "W: Skipping acquire of configured file 'x/binary-amd64/Packages' as repository 'mirror+file:/a.txt s InRelease' \
                 doesn't have the component 'x' (component misspelt in sources.list?)\n\
                 W: Failed to fetch mirror+file:/b.txt/dists/s/InRelease  503\n\
                 W: Some index files failed to download. They have been ignored, or old ones used instead.\n";
    // What a lacks is a source of its own.
    assert_eq!(of_two_lists(lines, words), [None, Some(Class::Fetch), Some(Class::Config)]);
}

#[test]
fn a_source_that_was_only_ignored_was_not_refreshed() {
    let judged = update(0, "Hit:1 http://a s InRelease\nIgn:2 http://b s InRelease\n", "");
    assert_eq!(judged.outcome, RefreshOutcome::Partial);
    assert!(judged.sources[1].error.is_some());
}

#[test]
fn a_missing_component_is_a_source_that_is_not_complete() {
    let warning = "W: Skipping acquire of configured file 'x/binary-amd64/Packages' as repository 'http://a s InRelease' doesn't have the component 'x' (component misspelt in sources.list?)\n";
    let judged = update(0, "Hit:1 http://a s InRelease\nHit:2 http://b s InRelease\n", warning);
    assert_eq!(judged.outcome, RefreshOutcome::Partial);
    assert_eq!(judged.sources[0].error.as_ref().unwrap().class, Class::Config);
    let notice = "N: Skipping acquire of configured file 'main/binary-i386/Packages' as repository 'http://a s InRelease' doesn't support architecture 'i386'\n";
    assert_eq!(update(0, "Hit:1 http://a s InRelease\n", notice).outcome, RefreshOutcome::Fresh);
}

#[test]
fn one_suite_whose_name_begins_like_another_is_not_blamed_for_it() {
    let lines = "Hit:1 http://a s InRelease\nErr:2 http://a s-security InRelease\n  503  X\n";
    let error = "E: Failed to fetch http://a/dists/s-security/InRelease  503  X\n";
    let judged = update(100, lines, error);
    assert!(judged.sources[0].error.is_none());
    assert_eq!(judged.sources[1].error.as_ref().unwrap().class, Class::Fetch);
}

#[test]
fn a_source_that_cannot_be_fetched_is_not_one_with_a_bad_signature() {
    let error = "E: Failed to fetch http://a/dists/s/InRelease  503  X\nE: The repository 'http://a s InRelease' is not signed.\n";
    let judged = update(100, "Err:1 http://a s InRelease\n  503  X\n", error);
    assert_eq!(judged.error.unwrap().class, Class::Fetch);
    let unsigned = "E: The repository 'http://a s InRelease' is not signed.\n";
    let judged = update(100, "Get:1 http://a s InRelease [1 B]\n", unsigned);
    assert_eq!(judged.error.unwrap().class, Class::Auth);
}

#[test]
fn the_next_mirror_of_a_list_is_the_same_source() {
    let lines = "Get:1 file:/etc/apt/mirrors.txt Mirrorlist [40 B]\nIgn:2 http://m1 s InRelease\nGet:2 http://m2 s InRelease [9 B]\n";
    let judged = update(0, lines, "");
    assert_eq!(judged.outcome, RefreshOutcome::Fresh);
    let ids: Vec<_> = judged.sources.iter().map(|source| &*source.id).collect();
    assert_eq!(ids, ["http://m2 s"], "the one that had it");
    let down = "Get:1 file:/etc/apt/mirrors.txt Mirrorlist [40 B]\nErr:2 http://m1 s InRelease\n  503  X\n";
    assert_eq!(update(100, down, "").outcome, RefreshOutcome::Failed);
}

#[test]
fn the_flat_repository_at_the_root_is_a_source() {
    let judged = update(0, "Hit:1 http://h/deb  InRelease\nGet:2 http://h/deb  Packages [9 B]\n", "");
    let ids: Vec<_> = judged.sources.iter().map(|source| &*source.id).collect();
    assert_eq!((judged.outcome, ids.as_slice()), (RefreshOutcome::Fresh, ["http://h/deb /"].as_slice()));
    let error = "E: Failed to fetch http://h/deb/InRelease  503  X\n";
    let judged = update(100, "Err:1 http://h/deb  InRelease\n  503  X\n", error);
    assert_eq!(judged.sources.len(), 1);
}

#[test]
fn a_source_that_leads_where_another_one_does_came_with_that() {
    let stdout = "Get:1 http://127.77.1.36:35565 current InRelease [548 B]\n\
         Get:3 http://127.77.1.35:33699 stable InRelease [548 B]\n\
         Get:4 http://127.77.1.36:35565 current/main amd64 Packages [255 B]\n\
         Get:5 http://127.77.1.36:35565 current/main amd64 Packages [255 B]\n";
    let target = |uri: &str, suite: &str| {
        let list = format!("/l/{}_dists_{suite}_main_binary-amd64_Packages", &uri[7..]);
        format!("{uri}/\t{suite}\tmain/binary-amd64/Packages\tPackages\t{list}\n")
    };
    let answer = target("http://127.77.1.36:35565", "current")
        + &target("http://127.77.1.35:33699", "stable")
        + &target("http://127.77.1.38:40967", "current");
    let judged = |code, stdout: &str| judge_configured(&Finished::ended(code, stdout, ""), &answer);
    let refreshed = judged(0, stdout);
    assert_eq!((refreshed.sources.len(), refreshed.outcome), (3, RefreshOutcome::Fresh), "{refreshed:?}");
    // It was not fetched unless a number without a line stands for it, nor where apt says that something failed.
    assert_eq!(
        judged(0, &stdout.replace("Get:3", "Get:2").replace("Get:4", "Get:3").replace("Get:5", "Get:4"))
            .outcome,
        RefreshOutcome::Partial
    );
    assert_eq!(judged(100, stdout).outcome, RefreshOutcome::Partial);
}

#[test]
fn a_trusted_source_with_an_unknown_signature_arrived() {
    let judged = update(0, "Get:1 http://h s InRelease [9 B]\nIgn:1 http://h s InRelease\n", "");
    assert_eq!(judged.outcome, RefreshOutcome::Fresh);
}

#[test]
fn an_index_that_apt_will_not_use_was_not_refreshed() {
    let warning = "W: Skipping acquire of configured file 'main/binary-amd64/Packages' as repository 'http://a s InRelease' provides only weak security information for it\n";
    let judged = update(0, "Hit:1 http://a s InRelease\n", warning);
    assert_eq!(judged.outcome, RefreshOutcome::Failed);
}

#[test]
fn a_warning_that_costs_nothing_of_the_index_is_none_of_a_source() {
    let hit = "Hit:1 http://a s InRelease\n";
    for warning in [
        "http://a/dists/s/InRelease: Key is stored in legacy trusted.gpg keyring (/etc/apt/trusted.gpg), see the DEPRECATION section in apt-key(8) for details.",
        "http://a/dists/s/InRelease: Signature by key 0123 uses weak digest algorithm (SHA1)",
        "Conflicting distribution: http://a s InRelease (expected s but got t)",
    ] {
        let judged = update(0, hit, &format!("W: {warning}\n"));
        assert_eq!((judged.outcome, judged.error), (RefreshOutcome::Fresh, None), "{warning}");
    }
    let old = "W: An error occurred during the signature verification. The repository is not updated and the previous index files will be used. GPG error: http://a s InRelease: x\n";
    assert_eq!(update(0, hit, old).outcome, RefreshOutcome::Failed);
}

#[test]
fn a_hook_that_fails_takes_nothing_from_the_index() {
    let error = "E: Problem executing scripts APT::Update::Post-Invoke 'false'\nE: Sub-process returned an error code\n";
    let judged = update(
        100,
        "Hit:1 http://a s InRelease\n",
        "E: Problem executing scripts APT::Update::Post-Invoke 'false'\n",
    );
    assert_eq!(judged.outcome, RefreshOutcome::Fresh);
    assert_eq!(update(100, "", error).outcome, RefreshOutcome::Failed);
}

#[test]
fn credentials_do_not_reach_the_ledger() {
    let judged = update(0, "Hit:1 http://me:secret@h s InRelease\n", "");
    assert_eq!(judged.sources[0].id, "http://h s");
}

#[test]
fn a_file_that_apt_cannot_do_without_is_the_reason_of_its_source_and_not_those_that_it_gave_up_then() {
    let lines = "Get:1 http://a s InRelease [9 B]\nGet:2 http://a s/main amd64 Packages [9 B]\n\
                 Get:3 http://a s/main Translation-en [9 B]\nErr:3 http://a s/main Translation-en\n  404  Not Found\n\
                 Err:2 http://a s/main amd64 Packages\nIgn:4 http://b s InRelease\nErr:5 http://b s Release\n  404  X\n";
    let judged = update(100, lines, "E: The repository 'http://b s Release' does not have a Release file.\n");
    let errors: Vec<_> = judged
        .sources
        .iter()
        .map(|source| source.error.as_ref().map(|error| (error.class, &*error.message)))
        .collect();
    assert_eq!(errors[0], Some((Class::Fetch, "404 Not Found")));
    assert!(errors.iter().all(Option::is_some), "{errors:?}");
    let ignored = lines.replace("Err:3", "Ign:3").replace("Err:2 http://a s/main amd64 Packages\n", "");
    let judged =
        update(100, &ignored, "E: The repository 'http://b s Release' does not have a Release file.\n");
    assert_eq!(judged.outcome, RefreshOutcome::Partial);
    assert_eq!(judged.sources[0].error, None);
}

#[test]
fn the_ends_of_addresses_tell_redirected_sources_apart() {
    let source = |uri: &str| format!("{uri}\t/\tPackages\tPackages\t/l/{}_Packages\n", uri.len());
    let answer = ["http://k/core:/v1/deb", "http://k/addons:/cri:/v1/deb"].map(source).concat();
    let failed = |lines: &str| {
        let finished = Finished::ended(100, lines, "E: The repository 'http://x  Release' is not signed.\n");
        let judged = judge_configured(&finished, &answer);
        judged.sources.iter().map(|source| source.error.is_some()).collect::<Vec<_>>()
    };
    for (prefix, suffix) in [("", ""), ("/isv:/k", ""), ("/isv:/k", "/x")] {
        let lines = |core: &str, addons: &str| {
            format!(
                "Hit:1 http://p{prefix}/{core}/v1/deb{suffix}  InRelease\n\
                 Err:2 http://p{prefix}/{addons}/v1/deb{suffix}  InRelease\n  404  X\n"
            )
        };
        let expected = if suffix.is_empty() { [false, true] } else { [true, true] };
        assert_eq!(failed(&lines("core:", "addons:/cri:")), expected, "{prefix} {suffix}");
    }
    // A redirect may leave out what stands before.
    let shorter = "Hit:1 http://p/v1/deb  InRelease\nErr:2 http://p/cri:/v1/deb  InRelease\n  404  X\n";
    assert_eq!(failed(shorter), [false, true]);
}
