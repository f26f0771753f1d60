use super::*;
use crate::store::health::tests::refreshed;
use crate::store::lock::Lock;

/// Runs the command with these words, on a state directory of its own and with a manager that the machine does not
/// have: even a refresh would touch nothing of the machine.
fn ran(dir: &std::path::Path, words: &[&str]) -> Report {
    use clap::Parser;
    let dir = dir.to_str().unwrap();
    let words = [&["linux-patch", "--state-dir", dir, "--manager", "yum", "status"], words].concat();
    let cli = crate::cli::Cli::try_parse_from(words).unwrap();
    let crate::cli::Verb::Status(args) = cli.verb else { panic!("another command") };
    run(&cli.global, &args)
}

#[test]
fn exactly_as_old_as_critical_is_not_critical() {
    let dir = tempfile::tempdir().unwrap();
    let lock = Lock::try_acquire(dir.path(), "refresh").unwrap().unwrap();
    refreshed(1000, None).save(&lock).unwrap();
    assert_eq!(ran(dir.path(), &["--critical", "500s"]).exit, ExitCode::Failed);
    assert_eq!(ran(dir.path(), &["--critical", "5000s"]).exit, ExitCode::Fresh);
    let exact = || {
        refreshed(1000, None).save(&lock).unwrap();
        ran(dir.path(), &["--critical", "1000s"])
    };
    // Repeats it until no second begins in between.
    let found = (0..1000).map(|_| exact()).find(|report| report.health.verdict.age == Some(1000));
    assert_eq!(found.unwrap().exit, ExitCode::Fresh);
}

#[test]
fn the_history_is_listed_where_it_was_asked_for_and_has_a_place() {
    let dir = tempfile::tempdir().unwrap();
    let listed = |words: &[&str]| match ran(dir.path(), words).detail {
        Detail::Status { history, .. } => history.is_some(),
        _ => panic!("another command"),
    };
    assert!(listed(&["--history"]) && listed(&["--history", "--format", "json"]));
    assert!(!listed(&[]) && !listed(&["--history", "--format", "nagios"]));
}
