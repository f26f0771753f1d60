//! The updates because of which apk does nothing at all.

use super::database::Packages;
use super::lists::name_and_version;
use crate::managers::database::Database;
use crate::model::class::Class;
use crate::model::text::one_line;
use crate::model::updates::HeldBack;
use crate::system::process::Finished;
use std::collections::BTreeMap;

/// The updates that need something that no repository has: apk does nothing while there is one.
///
/// ```text
/// ERROR: unable to select packages:
///   tb-none (no such package):
///     required by: tb-dep-2.0-r0[tb-none] world[tb-none]
///                  tb-other-2.0-r0[tb-none]
/// ```
pub fn culprits(finished: &Finished) -> Vec<HeldBack> {
    let lines = finished.stderr.lines().skip_while(|line| !line.contains("unable to select packages:"));
    let mut found: BTreeMap<String, HeldBack> = BTreeMap::new();
    let mut missing = None;
    for line in lines.skip(1).take_while(|line| line.starts_with(' ')) {
        let text = line.trim();
        if !line.starts_with("   ") {
            missing = text.strip_suffix(':').filter(|text| text.ends_with(')'));
        }
        let Some(missing) = missing else { continue };
        for word in text.strip_prefix("required by: ").unwrap_or(text).split(' ') {
            let package = word.strip_suffix(']').and_then(|word| word.split_once('['));
            let package = package.and_then(|(package, _)| name_and_version(package));
            let Some((name, version)) = package.filter(|(name, _)| Packages.is_package_name(name)) else {
                continue;
            };
            let reason = one_line(&format!("{missing}, required by {word}"));
            let held = HeldBack::left_out(name, Class::Dependency, reason);
            let held = HeldBack { candidate: Some(version.to_string()), ..held };
            found.entry(name.to_string()).or_insert(held);
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_updates_that_need_what_is_nowhere_are_named() {
        let text = "ERROR: unable to select packages:\n  tb-none (no such package):\n    \
                    required by: tb-dep-2.0-r0[tb-none] world[tb-none]\n                 gtk-4-4.1-r2[tb-none>=1]\n  \
                    cmd:x (virtual):\n    provided by: tb-p1-1-r0 tb-p2\n    required by: tb-v-2-r0[cmd:x]\n  \
                    d-2.0:\n    breaks: b-1[d<2.0]\n    satisfies: a-3[d>1.5]\n1 error\n  e (x):\n   f-1[x]\n";
        let found = culprits(&Finished::ended(2, "", text));
        let rows: Vec<_> =
            found.iter().map(|held| (held.name.as_str(), held.candidate.as_deref().unwrap())).collect();
        assert_eq!(rows, [("gtk-4", "4.1-r2"), ("tb-dep", "2.0-r0"), ("tb-v", "2-r0")]);
        assert_eq!(found[1].reason, "tb-none (no such package), required by tb-dep-2.0-r0[tb-none]");
        assert_eq!(culprits(&Finished::ended(2, "", "ERROR: unable to select packages:\n")), []);
    }
}
