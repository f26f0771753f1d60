//! What a refresh costs the mirror, in requests and bytes, with every manager: the table in
//! docs/fleet.md.

use crate::manager::{Manager, Repository, package};

/// The row of a manager: a refresh that finds nothing new, of one source with a hundred packages.
fn row<M: Manager>() -> String {
    let manager = M::new();
    let packages: Vec<_> = (0..100).map(|number| package(&format!("tb-number-{number}"), "2.0")).collect();
    let repo = M::Repo::with(&packages);
    manager.add_source("test", &repo);
    manager.install(&[package("tb-number-0", "1.0")]);
    let server = repo.server();
    let refresh = || {
        let before = (server.requests(""), server.traffic());
        manager.sandbox().patch(&["--manager", M::NAME, "refresh"]).exits(0);
        let (asked, answered) = server.traffic();
        (server.requests("") - before.0, asked - before.1.0, answered - before.1.1)
    };
    refresh();
    // The second may still bring what only a later refresh needs.
    refresh();
    let (requests, asked, answered) = refresh();
    let (again, ..) = refresh();
    assert_eq!(requests, again, "{}: not always the same", M::NAME);
    format!("| {} | {requests} | {asked} | {answered} |", M::NAME)
}

/// Whether the table has a row like this, with or without a version behind the name: the same number of requests, and
/// about as many bytes, because each version has its own name and headers.
fn is_documented(docs: &str, row: &str) -> bool {
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let wanted = cells(row);
    let is_of_it = |found: &Vec<String>| {
        found.len() == wanted.len() && found[1].split(' ').next() == Some(wanted[1].as_str())
    };
    docs.lines().map(cells).filter(is_of_it).any(|found| {
        let about = |at: usize| {
            let [found, wanted] =
                [&found[at], &wanted[at]].map(|cell| cell.parse::<f64>().unwrap_or(f64::NAN));
            (found - wanted).abs() <= 50.0 + wanted / 10.0
        };
        found[2] == wanted[2] && about(3) && about(4)
    })
}

#[test]
fn a_refresh_that_finds_nothing_new_costs_what_is_documented() {
    let rows = [
        row::<crate::apt::Apt>(),
        row::<crate::dnf::Dnf>(),
        row::<crate::dnf5::Dnf5>(),
        row::<crate::zypper::Zypper>(),
        row::<crate::pacman::Pacman>(),
    ];
    let docs = format!("{}/docs/fleet.md", env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_to_string(docs).unwrap();
    let missing: Vec<_> = rows.iter().filter(|row| !is_documented(&docs, row)).map(String::as_str).collect();
    assert!(missing.is_empty(), "docs/fleet.md does not say:\n{}", missing.join("\n"));
}
