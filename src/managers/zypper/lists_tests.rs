//! Tests of `lists.rs`.

use super::*;

#[test]
fn what_comes_what_goes_and_what_stays() {
    let report = "<install-summary><to-upgrade><solvable type=\"package\" name=\"a\" edition=\"2-1\" arch=\"noarch\" edition-old=\"1-1\"/><solvable type=\"patch\" name=\"P\" edition=\"1\" arch=\"noarch\"/></to-upgrade><to-install><solvable type=\"package\" name=\"n\" edition=\"1-1\" arch=\"i586\" repository=\"r\"/></to-install><to-reinstall><solvable type=\"package\" name=\"x\" edition=\"1\" arch=\"noarch\"/></to-reinstall><to-remove><solvable type=\"package\" name=\"o\" edition=\"1-1\" arch=\"noarch\"/></to-remove><to-change-vendor><solvable type=\"package\" name=\"a\" edition=\"2-1\" arch=\"noarch\"/></to-change-vendor></install-summary><solvable type=\"package\" name=\"z\" edition=\"1\"/>";
    let listing = plan(report);
    let names: Vec<_> = listing.updates.iter().map(|update| update.name.as_str()).collect();
    assert_eq!(names[0], "a");
    assert_eq!(names.len(), 2);
    assert_eq!(listing.removals, [("o".to_string(), Some("1-1".to_string()))]);

    let all = "<update kind=\"package\" name=\"a\" edition=\"2-1\" arch=\"noarch\"><summary>s</summary><source alias=\"base\"/></update><update kind=\"package\" name=\"o\" edition=\"2\" arch=\"noarch\"><source alias=\"base\"/></update><update kind=\"package\" name=\"k\" edition=\"2-1\" edition-old=\"1-1\" arch=\"noarch\"><source alias=\"base\"/></update>";
    let listing = add_held_back(all, listing);
    assert_eq!(listing.updates[0].source.as_deref(), Some("base"));
    assert_eq!(listing.updates[1].source.as_deref(), Some("r"));
    assert_eq!(listing.held_back.len(), 1);
    assert_eq!((&*listing.held_back[0].name, &*listing.held_back[0].reason), ("k", "kept back"));
    let locks = "<lock number=\"1\"><name>k*</name><type>package</type></lock>";
    assert_eq!(add_locks(locks, listing).held_back[0].reason, "held");
}

fn update(name: &str, installed: Option<&str>, candidate: &str) -> Update {
    Update {
        name: name.into(),
        installed: installed.map(str::to_string),
        candidate: candidate.into(),
        ..Update::default()
    }
}

#[test]
fn what_makes_room_for_an_update_is_told_with_it() {
    let updates = vec![update("new", None, "2-1"), update("many", Some("1-1"), "2-1")];
    let removals = ["a", "x", "y", "z", "w"].map(|name| (name.to_string(), Some("1.0-1".to_string())));
    let listing = Listing { updates, removals: removals.into(), ..Listing::default() };
    let found = "<solvable name=\"new\" edition=\"2-1\" arch=\"noarch\"/><solvable name=\"new\" edition=\"3-1\" arch=\"noarch\"/><solvable name=\"many\" edition=\"1-1\" arch=\"noarch\"/>";
    assert_eq!(found_updates(found, &listing), ["new"]);
    let text = "Name           : new\nDescription    : \n    Obsoletes      : z\nObsoletes      : a < 3\n\nName           : many\nConflicts      : w\nObsoletes      : [4]\n    x\n    y < 1:0.5-1\n    z < 1.0\n    none\n";
    let listing = add_replaced(text, listing);
    let replaced = listing.updates.iter().map(|update| update.replaces.join(" "));
    assert_eq!(replaced.collect::<Vec<_>>(), ["a", "x y"]);
}

#[test]
fn a_bound_without_a_release_holds_for_all() {
    for (sign, bound, expected) in [
        ("<", "1.0", false),
        ("<=", "1.0", true),
        ("=", "1.0", true),
        ("=", "1.0-2", false),
        ("<", "1.0-2", true),
        (">", "1.0-0", true),
        (">=", "1.1", false),
        ("<", "1:0.1", true),
        ("==", "1.0-1", true),
    ] {
        assert_eq!(is_within("1.0-1", sign, bound), expected, "{sign} {bound}");
    }
}

#[test]
fn a_patch_tells_of_its_packages_and_its_prose_of_none() {
    let text = "Name        : P-1\nCategory    : security\nDescription : \n    Conflicts   : [1]\n        x.noarch < 2\nProvides    : patch:P-1 = 1\nConflicts   : [2]\n    a.x86_64 < 2.0-1\n    python3.11 < 3\nName        : P-2\nCategory    : recommended\nConflicts   : b < 2\n";
    let found = patches(text);
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["a", "b", "python3.11"]);
    let is_security = |name: &str| found[name].iter().any(|fix| fix.is_security);
    assert!(is_security("a") && is_security("python3.11") && !is_security("b"));
    assert_eq!((&*found["a"][0].version, &*found["a"][0].patch), ("2.0-1", "P-1"));
}

#[test]
fn security_is_a_matter_of_versions() {
    let mut updates = vec![
        update("a", Some("1-1"), "2-1"),
        update("b", Some("1-1"), "2-1"),
        update("c", Some("2-1"), "3-1"),
        update("d", Some("1"), "2"),
        update("new", None, "2-1"),
    ];
    updates[4].replaces = vec!["old".into()];
    let listing = Listing { updates, ..Listing::default() };
    let text = "Name        : P-1\nCategory    : security\nConflicts   : [7]\n    a.noarch < 2-1\n    b.noarch < 3-1\n    b.noarch < 2.5-1\n    c.noarch < 2-1\n    old < 2\n    gone < 2-1\n    none < 2-1\nName        : P-2\nCategory    : recommended\nConflicts   : a < 1.5-1\n";
    let listing = add_patches(text, listing);
    let told: Vec<_> = listing.updates.iter().map(|update| update.security).collect();
    assert_eq!(told, [Some(true), Some(false), Some(false), None, Some(true)]);
    let more = "Name        : P-3\nCategory    : recommended\nConflicts   : a < 2-1\n";
    let listing = add_patches(more, listing);
    assert_eq!(listing.updates[0].security, Some(true));
    let installed = "gone\tnoarch\t0:1-1\t0\nb\tnoarch\t0:1-1\t0\n";
    let listing = without_fixes_of_others(installed, listing);
    let held: Vec<_> =
        listing.held_back.iter().map(|held| (&*held.name, held.candidate.as_deref())).collect();
    assert_eq!(held, [("b", Some("3-1")), ("gone", Some("2-1"))]);
    assert!(listing.held_back.iter().all(|held| held.security == Some(true) && held.reason.contains("P-1")));
    assert_eq!(listing.held_back[1].installed.as_deref(), Some("1-1"));
    let fixed = without_fixes_of_others(&installed.replace("1-1", "3-1"), listing.clone());
    assert!(fixed.held_back.is_empty());
    let mut listing = add_told("<stream/>", listing);
    listing.held_back.push(listing.updates[3].clone().held_back("locked"));
    assert_eq!((listing.updates[3].security, listing.held_back[2].security), (None, None));
    let listing = add_told("<update kind=\"patch\" name=\"P-1\" status=\"applied\"/>", listing);
    assert_eq!((listing.updates[3].security, listing.held_back[2].security), (Some(false), Some(false)));
}

#[test]
fn no_patch_becomes_an_option() {
    let report = "<update kind=\"patch\" name=\"--help\" status=\"needed\"/><update kind=\"patch\" name=\"A:1\" status=\"needed\"/><update kind=\"patch\" name=\"B\" status=\"applied\"/>";
    assert_eq!(needed_patches(report), ["A:1"]);
}
