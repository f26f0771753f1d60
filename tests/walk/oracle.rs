//! What must hold after each step, by what the repositories serve, what lies on the host and what the package database
//! says. What linux-patch says is only ever compared with that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::manager::{Package, Repository};
use crate::report::Report;
use crate::system::System;
use crate::world::{Health, Memory, NAMES, NEW, Offer, Source, World, made, number};

type Installed = BTreeMap<String, BTreeSet<String>>;

/// The world before a run.
pub struct Before {
    installed: Installed,
    /// What each source served.
    served: Vec<Vec<u8>>,
    /// How often each was asked for its index.
    requests: Vec<usize>,
    state: Value,
    time: DateTime<Utc>,
    /// Whether a lock was left that only a person may take away.
    has_lock: bool,
}

impl Before {
    pub fn of<M: System>(world: &World<M>) -> Before {
        let sources = &world.plan.sources;
        Before {
            installed: installed(world).0,
            served: sources.iter().map(|source| M::served(&source.repo)).collect(),
            requests: sources.iter().map(|source| source.repo.server().requests(M::INDEX)).collect(),
            state: world.sandbox().kept_state(),
            time: world.now(),
            has_lock: M::LEFT_LOCK.is_some_and(|lock| world.sandbox().exists(lock)),
        }
    }
}

/// What is installed, in which versions, and what of it is not whole.
fn installed<M: System>(world: &World<M>) -> (Installed, BTreeSet<String>) {
    let (mut found, mut broken) = (Installed::new(), BTreeSet::new());
    for row in world.manager.installed() {
        let words: Vec<&str> = row.split(' ').collect();
        if !NAMES.contains(&words[0]) && !NEW.contains(&words[0]) {
            continue;
        }
        found.entry(words[0].into()).or_default().insert(words[1].into());
        if words.len() > 2 {
            broken.insert(words[0].into());
        }
    }
    (found, broken)
}

pub fn is_installed<M: System>(world: &World<M>, name: &str) -> bool {
    installed(world).0.contains_key(name)
}

fn newest(versions: &BTreeSet<String>) -> &str {
    versions.iter().max_by_key(|version| number(version)).map_or("", String::as_str)
}

/// What a run did, as the oracle sees it.
struct After<'a> {
    before: &'a Before,
    report: &'a Report,
    installed: Installed,
    broken: BTreeSet<String>,
    /// The sources that the ledger says were refreshed.
    good: BTreeSet<usize>,
    /// Not by a run that only puts back the state of one that could not keep it.
    has_refreshed: bool,
}

impl After<'_> {
    /// Packages that are not in the version that they had.
    fn changed(&self) -> BTreeSet<&String> {
        let names = self.before.installed.keys().chain(self.installed.keys());
        names.filter(|name| self.before.installed.get(*name) != self.installed.get(*name)).collect()
    }
}

/// After one run of linux-patch with these arguments.
pub fn look<M: System>(world: &mut World<M>, before: &Before, args: &[&str], report: &Report) {
    let (installed, broken) = installed(world);
    let total = |state: &Value| state["counters"]["refresh_total"].as_u64().unwrap_or(0);
    let has_refreshed = is_kept(world) && total(&report.state) > total(&before.state);
    let mut after = After { before, report, installed, broken, good: BTreeSet::new(), has_refreshed };
    is_over(world, &after, args);
    nothing_is_lost(world, &after, args);
    if after.has_refreshed {
        after.good = ledger(world, &after);
        // zypper stores a login page in the place of the index.
        let is_page = |source: &&mut Source<M>| source.fault_of_index() == Some("page");
        let pages = world.plan.sources.iter_mut().filter(|_| M::NAME == "zypper").filter(is_page);
        pages.filter(|source| source.is_configured).for_each(|source| source.known.clear());
        pending(world, &after);
    }
    match args[0] {
        "refresh" => refreshed(world, &after, args),
        "status" => told(world, &after, args),
        _ => applied(world, &after, args),
    }
    remember(world, &after, args);
}

/// The run ended in time, left no process, and wrote no time that lies in the future.
fn is_over<M: System>(world: &World<M>, after: &After, args: &[&str]) {
    let report = after.report;
    let left = world.sandbox().processes();
    assert!(left.is_empty(), "left running: {left:?} by {report}");
    if let Some(lock) = M::LEFT_LOCK.filter(|_| !world.memory.is_cut_off && !after.before.has_lock) {
        assert!(!world.sandbox().exists(lock), "left lock: {lock} by {report}");
    }
    // Each refresh has its budget, five seconds to end in, and this machine is busy.
    let refreshes = if args[0] == "apply" { 2 } else { 1 };
    let budget = if args.contains(&"--timeout") { 24 } else { M::BUDGET };
    let most = Duration::from_secs(refreshes * (budget + 6) + 60);
    assert!(report.elapsed < most, "budget: {:?} of {most:?} for {report}", report.elapsed);
    let now = world.now() + chrono::Duration::seconds(2);
    let age = report.json["age_seconds"].as_i64().unwrap_or_default();
    assert!(age >= 0, "time: an age of {age} in {report}");
    for pointer in
        ["/last_cache_update", "/last_attempt/finished_at", "/pending/as_of", "/apply/last/finished_at"]
    {
        let old = time(&after.before.state, pointer);
        if let Some(time) = time(&report.state, pointer).filter(|time| Some(*time) != old) {
            assert!(time <= now, "time: {pointer} lies in the future of {report}");
        }
    }
    let complete = |state: &Value| time(state, "/last_cache_update");
    if complete(&report.state) != complete(&after.before.state) && report.state.is_object() && is_kept(world)
    {
        let is_now = complete(&report.state) >= Some(after.before.time - chrono::Duration::seconds(1));
        assert!(is_now, "time: an index became fresh at another time: {report}");
        let outcome = &report.state["last_attempt"]["outcome"];
        assert_eq!(outcome, "fresh", "time: an incomplete refresh counts: {report}");
    }
}

fn time(state: &Value, pointer: &str) -> Option<DateTime<Utc>> {
    let text = state.pointer(pointer)?.as_str()?;
    Some(DateTime::parse_from_rfc3339(text).unwrap_or_else(|_| panic!("time: {text}")).with_timezone(&Utc))
}

/// Nothing was removed or downgraded that should not be, and the administrator's files are unchanged.
fn nothing_is_lost<M: System>(world: &World<M>, after: &After, args: &[&str]) {
    let report = after.report;
    for (path, text) in &world.files {
        let found = world.sandbox().read(path);
        assert_eq!(found.as_ref(), Some(text), "administrator's file: {path} after {report}");
    }
    let changed = after.changed();
    // Packages that are no longer needed, and packages that another one replaces.
    let may_remove = |name: &String| {
        let is_full = args.contains(&"--full");
        let is_unneeded =
            (M::SWEEPS || is_full || args.contains(&"--autoremove")) && NEW[..2].contains(&name.as_str());
        let replacers = world.replacers.get(name).filter(|_| M::OBSOLETES || is_full);
        // What was cut off may have brought the other one before, or may not come to it.
        let comes = |new: &String| changed.contains(new) || world.memory.is_cut_off;
        is_unneeded || replacers.is_some_and(|names| names.iter().any(comes))
    };
    for (name, versions) in &after.before.installed {
        let Some(now) = after.installed.get(name) else {
            assert!(may_remove(name), "removed: {name} by {report}");
            continue;
        };
        // An upgrade of the whole distribution follows its repositories, and leaves one version of each package.
        let may_go_back = M::NAME == "zypper" && args.contains(&"--full");
        let is_newer = number(newest(now)) >= number(newest(versions));
        assert!(is_newer || may_go_back, "downgraded: {name} by {report}");
        let lost = versions.iter().any(|version| !now.contains(version));
        let is_update = newest(now) != newest(versions);
        let may_go = is_update || may_go_back || world.memory.is_cut_off;
        assert!(!lost || may_go, "removed: a version of {name} by {report}");
    }
    let changes = args[0] == "apply" && !args.contains(&"--dry-run") && !args.contains(&"--download-only");
    assert!(changes || changed.is_empty(), "changed: {changed:?} by {report}");
    let held = changed.iter().find(|name| world.plan.held.contains(**name) && !is_left(world, after, name));
    assert_eq!(held, None, "held: it was changed by {report}");
}

/// Whether only what a run that was cut off had left of a package went: it does whatever is held or asked for.
fn is_left<M: System>(world: &World<M>, after: &After, name: &str) -> bool {
    let newest_of = |found: &Installed| found.get(name).map(|versions| newest(versions).to_owned());
    world.memory.is_cut_off && newest_of(&after.installed) == newest_of(&after.before.installed)
}

/// Every configured source is in the ledger; who is well is not blamed, who is ill is, and of a source that was
/// refreshed the index lies here that it serves. Gives those.
fn ledger<M: System>(world: &World<M>, after: &After) -> BTreeSet<usize> {
    let report = after.report;
    let entries = report.state["sources"].as_array().cloned().unwrap_or_default();
    let configured: Vec<_> = world.plan.configured().collect();
    let mut good = BTreeSet::new();
    // In a short time not every manager comes to those behind a slow one, and none does on a machine that is too busy.
    let is_busy = report.elapsed >= Duration::from_secs(M::BUDGET);
    let is_any_slow = configured.iter().any(|(_, source)| source.is_slow());
    let all_well = configured.iter().all(|(_, source)| source.health() == Health::Well);
    let is_stopped = !all_well && M::stops_at_failure(&world.plan);
    let is_hurried = !report.what.contains("--timeout") && (is_busy || is_any_slow);
    for (nth, source) in &configured {
        let id = world.manager.id(&world.plan, source);
        let entry = entries.iter().find(|entry| entry["id"].as_str().is_some_and(|text| text.contains(&id)));
        let Some(entry) = entry else {
            assert!(!world.troubles.is_empty(), "ledger: {} is not in that of {report}", source.name);
            continue;
        };
        let has_failed = !entry["error"].is_null();
        match source.health() {
            Health::Well if world.troubles.is_empty() => {
                let is_late = entry["error"]["class"] == "timeout" && is_hurried;
                // Which mirror stood in for another it only says where no source failed.
                let is_unclear = M::HIDES_MIRRORS && source.has_list && !all_well;
                assert!(
                    !has_failed || is_late || is_stopped || is_unclear,
                    "blamed: {} is well; {report}",
                    source.name
                );
            }
            Health::Ill => assert!(has_failed, "believed: {} is ill; {report}", source.name),
            _ => {}
        }
        if !has_failed {
            good.insert(*nth);
            let here = world.manager.here(&world.plan, source);
            let is_served = here == M::served(&source.repo) || here == after.before.served[*nth];
            assert!(is_served, "index: of {} another one lies here than it serves; {report}", source.name);
        }
    }
    if world.troubles.is_empty() {
        assert_eq!(entries.len(), configured.len(), "ledger: sources of {report}");
    }
    let outcome = match (good.len(), configured.len()) {
        (0, _) => "failed",
        (good, all) if good == all => "fresh",
        _ => "partial",
    };
    let said = &report.state["last_attempt"]["outcome"];
    let is_agreed =
        said == outcome || (!world.troubles.is_empty() && outcome != "failed" && said == "failed");
    assert!(is_agreed, "outcome: {said} where {outcome} is true; {report}");
    good
}

/// What should happen to an installed package.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Becomes(String),
    /// Several answers are right.
    Open,
}

fn fate<M: System>(world: &World<M>, after: &After, name: &str, versions: &BTreeSet<String>) -> Fate {
    let installed = newest(versions);
    let is_good = |nth: usize| after.good.contains(&nth);
    let is_newer = |offer: &Offer| number(&offer.version) > number(installed);
    if world.plan.held.contains(name) {
        return Fate::Stays;
    }
    let is_unclear = world.plan.configured().any(|(nth, source)| !is_good(nth) && source.ever.contains(name));
    let is_raced = world.memory.raced.as_deref() == Some(name) || (M::SWEEPS && NEW.contains(&name));
    if is_raced || is_unclear || versions.len() > 1 || !after.broken.is_empty() || world.memory.is_cut_off {
        return Fate::Open;
    }
    // What another package comes in the place of, or in whose place it comes, or may not come to this host yet.
    let is_for_it = |package: &Package| package.replaces.iter().any(|old| old == name);
    let is_replaced = world.plan.configured().any(|(_, source)| source.packages.iter().any(is_for_it));
    let mut offers = world.offers(name, is_good);
    let owner = world.modular().filter(|nth| world.plan.sources[*nth].ever.contains(name));
    offers.retain(|offer| owner.is_none_or(|owner| offer.source == owner));
    // What a module said when it had it may be known here.
    let is_left = owner.is_some() && offers.is_empty();
    if is_replaced || is_left || offers.iter().any(|offer| !offer.replaces.is_empty() || offer.is_phased) {
        return Fate::Open;
    }
    let Some(candidate) = M::candidate(&world.plan, installed, &offers).filter(|offer| is_newer(offer))
    else {
        return Fate::Stays;
    };
    let is_met = |need: &String| {
        let is_there = after.installed.contains_key(need);
        is_there || world.offers(need, is_good).iter().any(|offer| offer.needs.is_empty())
    };
    if candidate.needs.iter().all(is_met) {
        return Fate::Becomes(candidate.version.clone());
    }
    // Something older may take its place.
    let is_any = offers.iter().any(|offer| is_newer(offer) && offer.version != candidate.version);
    if M::FALLS_BACK && is_any { Fate::Open } else { Fate::Stays }
}

/// The pending updates are those that the sources and the package database imply.
fn pending<M: System>(world: &World<M>, after: &After) {
    let report = after.report;
    let pending = &report.state["pending"];
    let is_known = pending["error"].is_null() && pending["packages"].is_array();
    if !world.troubles.is_empty() || after.good.is_empty() {
        return;
    }
    let is_whole = after.broken.is_empty() && !world.memory.is_cut_off;
    // Nor has a list the time that it needs then.
    let is_late = pending["error"]["class"] == "timeout" && !report.what.contains("--timeout");
    assert!(is_known || is_late || !is_whole, "pending: not known to {report}");
    if !is_known {
        return;
    }
    let plain = |value: &Value| value.as_str().map(|text| text.trim_end_matches(M::REVISION).to_owned());
    let rows: BTreeMap<String, Option<String>> = pending["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| (row["name"].as_str().unwrap_or_default().to_owned(), plain(&row["candidate"])))
        .collect();
    for (name, versions) in &after.installed {
        let row = rows.get(name).cloned().flatten();
        match fate(world, after, name, versions) {
            Fate::Stays => assert_eq!(row, None, "pending: {name} has no update; {report}"),
            Fate::Becomes(version) => assert_eq!(row, Some(version), "pending: {name} has one; {report}"),
            Fate::Open => {}
        }
    }
    for (name, candidate) in rows {
        let offers = world.offers(&name, |_| true);
        let is_offered = offers.iter().any(|offer| Some(&offer.version) == candidate.as_ref());
        let is_raced = report.code == 2 && world.memory.raced.as_deref() == Some(name.as_str());
        let may_be_old = is_raced || after.good.len() < world.plan.configured().count();
        assert!(is_offered || may_be_old, "pending: nobody offers {name} {candidate:?}; {report}");
    }
}

/// The exit code follows from the sources.
fn refreshed<M: System>(world: &World<M>, after: &After, args: &[&str]) {
    let (report, memory) = (after.report, &world.memory);
    asked_once(world, after, 1);
    if !after.has_refreshed {
        let is_skipped = args.contains(&"--if-stale") && report.code == 0;
        if is_skipped && is_kept(world) {
            assert_ne!(world.is_fresh(), Some(false), "stale: nothing was done by {report}");
        }
        assert!(is_skipped || !world.troubles.is_empty(), "no refresh: {report}");
        return;
    }
    if args.contains(&"--if-stale") && world.is_fresh() == Some(true) && memory.has_failed == Some(false) {
        panic!("fresh: it was refreshed all the same by {report}");
    }
    let all = world.plan.configured().count();
    let code = match after.good.len() {
        0 => 2,
        good if good == all => 0,
        _ => 1,
    };
    let is_open = !world.troubles.is_empty() || !report.state["pending"]["error"].is_null();
    // The state of an apply that cannot be kept is put aside, and the next run only puts it back.
    let is_right = report.code == code || !is_kept(world) || (is_open && report.code > code);
    assert!(is_right, "exit code: {code} is right; {report}");
}

/// No source that answers is asked more often than this number of refreshes would ask.
fn asked_once<M: System>(world: &World<M>, after: &After, refreshes: usize) {
    let all_well = world.plan.configured().all(|(_, source)| source.health() == Health::Well);
    for (nth, source) in world.plan.sources.iter().enumerate() {
        let asked = source.repo.server().requests(M::INDEX) - after.before.requests[nth];
        // Some programs follow fifty redirections.
        let tries = match source.faults.values().any(|fault| fault == "self") {
            true => 60,
            false if all_well && world.troubles.is_empty() => 1,
            false => M::TRIES,
        };
        // It also asks a source with a list of mirrors what it is, the first time; a repair asks what was never read.
        let more = usize::from(M::NAME == "zypper" && source.has_list);
        let (name, report) = (source.name, after.report);
        let most =
            refreshes * (tries * M::REQUESTS + more) + 2 * usize::from(report.json["repaired"] == true);
        assert!(asked <= most, "asked {asked} times: {name} by {report}");
        let is_read = source.is_configured && (after.has_refreshed || !is_kept(world));
        assert!(is_read || asked == 0, "asked: {} by {}", source.name, after.report);
    }
}

fn told<M: System>(world: &World<M>, after: &After, args: &[&str]) {
    let (report, memory) = (after.report, &world.memory);
    if after.has_refreshed {
        assert!(args.contains(&"--refresh"), "a status refreshed: {report}");
        return;
    }
    let is_fresh = world.is_fresh();
    if let Some(at) = memory.refreshed_at.filter(|_| world.troubles.is_empty()) {
        let age = (world.now() - at).num_seconds();
        assert!(age >= 0 || report.code == 3, "status: its time lies in the future of {report}");
        let told = report.json["age_seconds"].as_i64();
        let is_true = is_fresh != Some(true) || told.is_some_and(|told| (told - age).abs() < 90);
        assert!(is_true, "status: an age of {age} seconds; {report}");
    }
    if report.code == 0 {
        assert_ne!(is_fresh, Some(false), "status: not fresh, says {report}");
        assert_ne!(memory.has_failed, Some(true), "status: the last apply failed, says {report}");
        assert!(!memory.is_to_be_told, "status: an apply was cut off, says {report}");
    }
    let is_well = is_fresh == Some(true) && memory.has_failed == Some(false) && !memory.is_cut_off;
    if is_well && world.troubles.is_empty() && args.len() == 1 {
        assert_eq!(report.code, 0, "status: all is well, says {report}");
    }
}

fn applied<M: System>(world: &World<M>, after: &After, args: &[&str]) {
    let (report, before) = (after.report, after.before);
    asked_once(world, after, 2);
    let has = |option: &str| args.contains(&option);
    let is_trial = has("--dry-run") || has("--download-only");
    let may_stay = is_trial || (has("--exclude") && world.memory.is_cut_off);
    assert!(
        report.state["apply"]["in_progress"].is_null() || report.code > 1 || may_stay || !is_kept(world),
        "in progress: {report}"
    );
    let changed = after.changed();
    if !is_trial {
        what_changed_is_told::<M>(after);
    }
    let is_partial = after.good.len() < world.plan.configured().count();
    if has("--strict") && is_partial && after.has_refreshed {
        assert!(changed.is_empty() && report.code == 2, "strict: {changed:?} by {report}");
    }
    if report.code == 0 && after.has_refreshed {
        assert!(!is_partial, "exit code: a source failed, and 0 is that of {report}");
        assert!(after.broken.is_empty() || is_trial, "broken: {:?} after {report}", after.broken);
    }
    let is_value = |nth: usize| ["--exclude", "--from", "--min-age", "--not-after"].contains(&args[nth - 1]);
    let named = (1..args.len()).find(|nth| !args[*nth].starts_with("--") && !is_value(*nth));
    let named = named.map(|nth| args[nth]);
    let from = args.windows(2).find(|pair| pair[0] == "--from").map(|pair| {
        let is_one = |source: &Source<M>| pair[1].contains(&world.manager.id(&world.plan, source));
        world.plan.sources.iter().position(is_one)
    });
    for name in &changed {
        let is_new = NEW.contains(&name.as_str());
        let version = newest(&after.installed.get(*name).cloned().unwrap_or_default()).to_owned();
        let is_excluded = args.windows(2).any(|pair| pair == ["--exclude", name.as_str()]);
        assert!(!is_excluded, "excluded: {name} was changed by {report}");
        if is_left(world, after, name) {
            continue;
        }
        // A package that another one replaces goes with it.
        let is_replaced = version.is_empty() && !is_new;
        let is_for = |named: &str| world.replacers.get(named).is_some_and(|names| names.contains(*name));
        let is_meant = named.is_none_or(|named| named == *name || is_for(named));
        assert!(is_new || is_replaced || is_meant, "named: {name} was changed by {report}");
        if (has("--security") || has("--min-age")) && !is_replaced {
            let old = before.installed.get(*name).map(newest).unwrap_or_default();
            let is_old = has("--min-age") && is_known_for_a_week(world, name, old);
            let is_security = world.secured.contains(*name);
            assert!(is_new || is_security || is_old, "security: {name} was changed by {report}");
        }
        let had = |version: &String| before.installed.get(*name).is_some_and(|old| old.contains(version));
        if !after.has_refreshed || had(&version) {
            continue;
        }
        let module = world.modular().filter(|nth| world.plan.sources[*nth].ever.contains(*name));
        // No module has a say about what another one's update comes in the place of, and to dnf 5 no repository.
        let preferred = world.plan.preferred.filter(|_| !M::OWNS_OLDER || !is_replaced);
        let decides = |nth: &usize| module.or(preferred) == Some(*nth) && !(is_replaced && module.is_some());
        let failed = (0..world.plan.sources.len()).filter(|nth| !after.good.contains(nth));
        for source in failed.filter(decides).map(|nth| &world.plan.sources[nth]) {
            let old = before.installed.get(*name).map(newest).unwrap_or_default();
            let has_say = |known: &String| source.is_modular || M::OWNS_OLDER || number(known) >= number(old);
            let owns = source.is_configured && source.known.get(*name).is_some_and(has_say);
            assert!(!owns, "owned: {name} is that of {}, which failed; {report}", source.name);
        }
        if version.is_empty() {
            continue;
        }
        let givers: Vec<Offer> =
            world.offers(name, |_| true).into_iter().filter(|offer| offer.version == version).collect();
        let is_given = |offer: &Offer| after.good.contains(&offer.source);
        assert!(
            givers.iter().any(is_given),
            "stale: {name} {version} came from no refreshed source; {report}"
        );
        let is_chosen = |offer: &Offer| from.is_none_or(|from| Some(offer.source) == from);
        let is_from = is_new || givers.iter().any(is_chosen);
        assert!(is_from, "from: {name} {version} is of another source; {report}");
        let is_phased = givers.iter().all(|offer| offer.is_phased) && named.is_none();
        assert!(!is_phased, "phased: {name} {version} is not for this host yet; {report}");
    }
    let chooses = args.len() > 1 && args != ["apply", "--full"] && args != ["apply", "--strict"];
    if report.code == 0 && !chooses && !world.memory.is_cut_off && world.troubles.is_empty() {
        let (installed, broken, good) = (before.installed.clone(), BTreeSet::new(), after.good.clone());
        let old = After { installed, broken, good, ..*after };
        for (name, versions) in &before.installed {
            if let Fate::Becomes(version) = fate(world, &old, name, versions) {
                let now = after.installed.get(name).map(newest);
                assert!(now == Some(&version), "not installed: {name} {version} by {report}");
            }
        }
    }
    let was_whole = before.installed.values().all(|versions| versions.len() == 1);
    if report.code > 0 && !chooses && is_easy(world) && was_whole {
        panic!("exit code: nothing stands in the way of {report}");
    }
}

/// Whether an update from this version can be known here for seven days, by the clock of the host.
fn is_known_for_a_week<M: System>(world: &World<M>, name: &str, old: &str) -> bool {
    let week = chrono::Duration::days(7);
    let is_it = |of: &String, version: &String| of == name && number(version) > number(old);
    world.since.iter().any(|((of, version), since)| is_it(of, version) && world.now() - *since >= week)
}

/// Whether nothing at all is wrong with the world.
fn is_easy<M: System>(world: &World<M>) -> bool {
    let memory = &world.memory;
    let is_plain = |(_, source): (usize, &Source<M>)| {
        source.packages.iter().all(|package| {
            let is_met = package.replaces.is_empty() && !package.needs.contains(&"tb-none".into());
            is_met && !is_failing(package)
        })
    };
    let is_any = world.plan.configured().next().is_some();
    is_any
        && M::LEFT_LOCK.is_none_or(|lock| !world.sandbox().exists(lock))
        && world.troubles.is_empty()
        && world.is_well()
        && !memory.is_cut_off
        && memory.has_failed == Some(false)
        && world.plan.configured().all(is_plain)
}

fn is_failing(package: &Package) -> bool {
    package.script.as_ref().is_some_and(|lines| lines.ends_with("exit 1"))
}

/// Those and only those packages are reported that have another version than before.
fn what_changed_is_told<M: System>(after: &After) {
    let report = after.report;
    let told: BTreeSet<String> = report.json["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| row["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    let changed: BTreeSet<String> = after.changed().into_iter().cloned().collect();
    let is_whole = after.broken.is_empty();
    // For a package that is half installed, either answer is right.
    let differ: Vec<&String> =
        told.symmetric_difference(&changed).filter(|name| !after.broken.contains(*name)).collect();
    assert!(differ.is_empty() || !is_whole, "told: {told:?} where {changed:?} is true; {report}");
    for row in report.json["packages"].as_array().into_iter().flatten() {
        let name = row["name"].as_str().unwrap_or_default();
        let to = row["to"].as_str().map(|text| text.trim_end_matches(M::REVISION));
        let from = row["from"].as_str().map(|text| text.trim_end_matches(M::REVISION)).unwrap_or_default();
        let is_true = match (to, after.installed.get(name)) {
            (None, None) => true,
            // One of several, which went by itself.
            (None, Some(versions)) => !versions.contains(from),
            (Some(to), Some(versions)) => versions.contains(to),
            _ => false,
        };
        assert!(is_true || after.broken.contains(name), "told: {name} became {to:?}; {report}");
    }
}

/// Whether the state can be written.
fn is_kept<M: System>(world: &World<M>) -> bool {
    !world.troubles.iter().any(|trouble| trouble.starts_with("disk state"))
}

/// What the next status must know.
fn remember<M: System>(world: &mut World<M>, after: &After, args: &[&str]) {
    let (report, is_kept) = (after.report, is_kept(world));
    for nth in &after.good {
        let source = &mut world.plan.sources[*nth];
        source.leaves_parts = false;
        let of_one = |package: &Package| (package.name.clone(), package.version.clone());
        // What cannot be installed decides nothing where another version may come in its place.
        let is_of_use =
            |package: &&Package| !M::FALLS_BACK || !package.needs.iter().any(|need| need == "tb-none");
        source.known = source.packages.iter().filter(is_of_use).map(of_one).collect();
    }
    for name in after.changed() {
        let version = after.installed.get(name).map(newest);
        let is_it = |offer: &&Offer| Some(&offer.version[..]) == version;
        let offers = world.offers(name, |_| true);
        let givers: Vec<_> = offers.iter().filter(is_it).map(|offer| offer.source).collect();
        for (nth, source) in world.plan.sources.iter_mut().enumerate() {
            source.came.remove(name);
            source.came.extend((givers == [nth]).then(|| name.clone()));
        }
    }
    let (all, now) = (world.plan.configured().count(), world.now());
    let memory = &mut world.memory;
    if after.has_refreshed && is_kept {
        memory.refreshed_at = Some(now);
    }
    if after.has_refreshed || !is_kept {
        let is_known = report.state["pending"]["error"].is_null();
        memory.is_fresh = (is_kept && is_known).then_some(after.good.len() == all && all > 0);
        memory.has_failed = memory.has_failed.filter(|failed| is_kept && !failed);
    }
    let is_download = args.contains(&"--download-only");
    // One that fails is told, and one that ends well hides no failure.
    memory.has_failed = memory.has_failed.filter(|_| !is_download || report.code != 2);
    if args[0] == "apply" && !is_download && !args.contains(&"--dry-run") {
        memory.has_failed = match report.code {
            2 if after.has_refreshed => Some(true),
            0 => Some(false),
            _ => None,
        };
        memory.is_to_be_told &= report.code > 1;
        memory.is_cut_off &= report.code > 1 || args.contains(&"--exclude");
        if !is_kept {
            memory.has_failed = None;
        }
    }
    note_broken(world, &after.broken);
}

fn note_broken<M: System>(world: &mut World<M>, broken: &BTreeSet<String>) {
    world.troubles.remove("broken");
    world.troubles.extend((!broken.is_empty()).then(|| "broken".into()));
}

/// An apply was killed.
pub fn note_cut_off<M: System>(world: &mut World<M>) {
    world.memory = Memory { is_cut_off: true, is_to_be_told: true, ..Memory::default() };
    let report = world.run(&["status"]);
    assert!(report.code != 0, "status: cut off, says {report}");
}

/// The manager was killed under an apply, which must tell the truth about what it left.
pub fn look_after_accident<M: System>(world: &mut World<M>, before: &Before, report: &Report) {
    world.memory.is_cut_off = true;
    look(world, before, &["apply"], report);
    world.memory.is_fresh = None;
    world.memory.has_failed = None;
    (world.memory.is_cut_off, world.memory.is_to_be_told) = (report.code != 0, report.code != 0);
}

pub fn look_after_race<M: System>(world: &mut World<M>, before: &Before, name: &str, report: &Report) {
    world.memory.raced = Some(name.into());
    look(world, before, &["apply"], report);
    world.memory.raced = None;
    world.memory.is_fresh = None;
}

/// Two at once: one manager at a time, and two refreshes cost one.
pub fn look_at_both<M: System>(world: &mut World<M>, before: &Before, runs: [(&str, &Report); 2]) {
    let [(first, one), (second, other)] = runs;
    let is_shared = first == "refresh" && second == "refresh";
    for (nth, source) in world.plan.configured() {
        let asked = source.repo.server().requests(M::INDEX) - before.requests[nth];
        // The first one waits for the second, on a busy machine not for as long as that takes. A repair asks, too.
        let repairs = runs.iter().filter(|(_, run)| run.json["repaired"] == true).count();
        let late = usize::from(one.elapsed > Duration::from_secs(1)) + 2 * repairs;
        let most = if is_shared { 1 } else { 2 } + late;
        let name = source.name;
        assert!(asked <= most * M::REQUESTS, "at once: {name} was asked {asked} times by {one} and {other}");
    }
    world.sandbox().runs_nothing();
    if is_shared {
        assert_eq!(other.json["joined"], true, "at once: {one} and {other}");
        assert_eq!(one.code, other.code, "at once: {one} and {other}");
    }
    (world.memory.is_fresh, world.memory.refreshed_at, world.memory.has_failed) = (None, None, None);
    let has_applied = runs.iter().any(|(verb, report)| *verb == "apply" && report.code < 2);
    world.memory.is_cut_off &= !has_applied;
    world.memory.is_to_be_told &= !has_applied;
    let (_, broken) = installed(world);
    note_broken(world, &broken);
}

/// All mirrors are well again and nothing is held: one refresh and one apply bring the newest of everything.
pub fn heal<M: System>(world: &mut World<M>) {
    world.mend_disks();
    world.speaks_german = false;
    world.set_clock(0);
    // One that nobody offers any more, too, has a next version.
    for name in installed(world).1 {
        world.publish(0, &name, "2000.0", "plain");
    }
    for nth in 0..world.plan.sources.len() {
        world.plan.sources[nth].is_configured = true;
        world.recover(nth);
        // A script that fails is mended by its next version, as is what needs a removal.
        let is_in_the_way = |package: &Package| !M::OBSOLETES && !package.replaces.is_empty();
        let is_bad = |package: &Package| is_failing(package) || is_in_the_way(package);
        let source = &mut world.plan.sources[nth];
        for package in source.packages.iter_mut().filter(|package| is_bad(package)) {
            let (whole, part) = number(&package.version);
            *package = made(&package.name, &format!("{}.{part}", whole + 1000), "plain");
        }
        source.publish();
    }
    world.plan.preferred = None;
    world.configure();
    world.memory.is_fresh = Some(false);
    let refreshed = world.run(&["refresh"]);
    assert!(
        refreshed.code == 0 || world.troubles.contains("broken") || world.memory.is_cut_off,
        "heal: {refreshed}"
    );
    let mut applied = world.run(&["apply"]);
    if let Some(lock) = M::LEFT_LOCK.filter(|lock| world.sandbox().exists(lock)) {
        assert!(applied.to_string().contains(lock), "heal: {lock} is not named by {applied}");
        world.sandbox().sh(&format!("rm {lock}"));
        applied = world.run(&["apply"]);
    }
    for name in world.plan.held.clone() {
        world.unhold(&name);
    }
    if applied.code == 0 {
        applied = world.run(&["apply"]);
    }
    assert_eq!(applied.code, 0, "heal: {applied}");
    let (installed, broken) = installed(world);
    assert!(broken.is_empty(), "heal: {broken:?} is broken after {applied}");
    let good = (0..world.plan.sources.len()).collect();
    let (before, report, has_refreshed) = (&Before::of(world), &applied, true);
    let after = After { before, report, installed: installed.clone(), broken, good, has_refreshed };
    for (name, versions) in &installed {
        let fate = fate(world, &after, name, versions);
        assert!(!matches!(fate, Fate::Becomes(_)), "heal: {name} {versions:?} {fate:?}; {applied}");
    }
    let status = world.run(&["status"]);
    assert_eq!(status.code, 0, "heal: {status}");
}
