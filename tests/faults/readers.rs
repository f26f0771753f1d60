//! All readers of manager output, and what must be true of their results whatever the manager printed.

use crate::plain::is_plain;
use crate::replay::Replay;
use linux_patch::managers::{Manager, Plan};
use linux_patch::model::class::Class;
use linux_patch::model::failure::Failure;
use linux_patch::model::listing::Listing;
use linux_patch::model::refreshed::RefreshOutcome;
use linux_patch::model::updates::HeldBack;
use linux_patch::system::process::Finished;

/// Text of a manager in our messages: one printable line that is not too long.
fn check_message(failure: &Failure) {
    let message = &failure.message;
    assert!(message.chars().all(is_plain), "{message:?}");
    assert!(message.chars().count() <= 1003, "{} characters", message.chars().count());
}

/// A list that is used has only valid package names and only printable text.
fn check_listing(listing: Listing) {
    match listing.checked() {
        Err(failure) => check_message(&failure),
        Ok(listing) => {
            let is_safe = |name: &str| {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._:~@^%".contains(&byte);
                !name.is_empty() && !name.starts_with('-') && name.bytes().all(plain)
            };
            for held in &listing.held_back {
                assert!(is_safe(&held.name), "{held:?}");
                for text in held.installed.iter().chain(&held.candidate).chain([&held.reason]) {
                    assert!(text.chars().all(is_plain), "{text:?}");
                }
            }
            for update in &listing.updates {
                let texts = update.source.iter().chain([&update.candidate]);
                assert!(texts.clone().all(|text| text.chars().all(is_plain)), "{update:?}");
            }
            for change in listing.as_changes() {
                assert!(is_safe(&change.name), "{change:?}");
                let versions = change.from.iter().chain(&change.to);
                assert!(versions.clone().all(|text| text.chars().all(is_plain)), "{change:?}");
            }
        }
    }
}

/// Gives the words to an index of our own as the configuration, as the list and as those of a download.
fn read_for_own_index(manager: &dyn Manager, machine: &Replay, finished: &Finished) {
    let dir = tempfile::tempdir().unwrap();
    let Some(own) = manager.own_index(dir.path()) else { return };
    let mut refreshed = manager.judge(finished);
    own.prepare(machine, true).unwrap();
    own.complete(machine, finished, &mut refreshed);
    own.check(machine, false, &mut refreshed).into_iter().for_each(check_listing);
    let cut = Failure::new(Class::Timeout, "cut");
    let cut = own.done_before(machine, &cut).into_iter().flatten();
    let failed = refreshed.sources.into_iter().chain(cut).filter_map(|source| source.error);
    failed.for_each(|failure| check_message(&failure));
    own.drop_unreadable(finished);
    let planned = manager.parse_list(&finished.stdout);
    own.signed_with_missing_keys(machine, finished, &planned);
    if own.offer(machine, &planned).is_ok() {
        let config = std::fs::read_to_string(own.dir().join("install.conf")).unwrap();
        let server = format!("Server = file://{}", own.dir().join("mirror").display());
        assert!(config.lines().all(|line| !line.starts_with("Server") || line == server), "{config}");
    }
}

/// Gives the words to every reader of a manager.
pub fn read_all(manager: &dyn Manager, finished: &Finished) {
    let failure = manager.classify(finished);
    let judged = manager.judge(finished);
    assert_eq!(judged.error.is_none(), judged.outcome == RefreshOutcome::Fresh);
    let failed = judged.sources.iter().filter(|source| source.error.is_some()).count();
    match judged.outcome {
        RefreshOutcome::Fresh => {
            // Whether something cannot be resolved is tested with a fresh index.
            let ended = failure.as_ref().is_none_or(|failure| failure.class == Class::Dependency);
            assert!(ended && failed == 0 && !judged.sources.is_empty(), "{judged:?}");
        }
        RefreshOutcome::Partial => assert!(judged.sources.len() > failed, "{judged:?}"),
        RefreshOutcome::Failed => {}
    }
    let of_sources = judged.sources.iter().filter_map(|source| source.error.as_ref());
    failure.iter().chain(&judged.error).chain(of_sources).for_each(check_message);
    assert!(judged.sources.iter().all(|source| source.id.chars().all(is_plain)), "{judged:?}");
    let listings = [manager.pending_of_refresh(finished), manager.plan_of_download(finished)];
    listings.into_iter().flatten().for_each(check_listing);
    check_listing(manager.parse_pending(&finished.stdout));
    check_listing(manager.parse_list(&finished.stdout));
    let machine = Replay::new(manager, finished);
    if let Ok(newer) = manager.newer(&machine) {
        let updates = newer.into_iter().filter_map(HeldBack::into_update).collect();
        check_listing(Listing { updates, ..Listing::default() });
    }
    manager.audited(&finished.stdout, &[("tb-hello", "2.0-r0")]).iter().for_each(check_message);
    let listing = manager.parse_list(&finished.stdout);
    if let Ok(completed) = manager.complete(&machine, &Plan::default(), listing) {
        check_listing(completed);
    }
    let _ = (
        manager.sources(&machine),
        manager.database().provides(&machine, &["tb-hello"]),
        manager.wanting_reboot(&machine),
    );
    let _ = manager.cut_off_runs(&machine);
    assert!(manager.notes(finished).iter().all(|note| note.chars().all(is_plain)));
    read_for_own_index(manager, &machine, finished);
    let origins = manager.parse_origins(&finished.stdout);
    let mut sources = origins.values().flatten().map(|origin| &origin.source);
    assert!(sources.all(|source| source.chars().all(is_plain)), "{origins:?}");
    let places = manager.parse_places(manager.facts().usual_places(), &finished.stdout);
    manager.database().parse_installed(&finished.stdout, &places);
    manager.install_began(finished);
    manager.asks_to_run_again(finished);
    manager.was_done_when_killed(finished);
    for line in finished.progress.lines().chain(finished.stdout.lines()) {
        manager.progress(line);
        let name = manager.database().plain_name(line);
        assert!(line.starts_with(name), "{line:?}");
        if manager.database().is_package_name(line) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._:@".contains(&byte);
            assert!(!line.starts_with('-') && line.bytes().all(plain), "{line:?}");
        }
    }
}
