//! Security updates that take a subscription: what the hook of Ubuntu's pro client says about them.

use super::commands::{apt_get, upgrade};
use crate::managers::facts::Plan;
use crate::system::process::Invocation;
use std::path::Path;
use std::time::Duration;

/// The program of `ubuntu-pro-client` that apt runs before it asks whether to upgrade.
const HOOK: &str = "/usr/lib/ubuntu-advantage/apt-esm-json-hook";
/// The client's settings of apt, where an administrator switches it off.
const SETTINGS: &str = "/etc/apt/apt.conf.d/20apt-esm-hook.conf";

/// How long its answer is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// More packages than these are only counted: on a server there may be dozens.
const MOST_NAMED: usize = 10;

/// Lists what is pending once more, with that hook, which the client configures for `apt` alone
/// (`binary::apt::AptCli::Hooks::Upgrade`). By itself: where the hook does not answer, apt lists nothing. `None` where it
/// is not installed or switched off.
pub(super) fn ask() -> Option<Invocation> {
    let settings = std::fs::read_to_string(SETTINGS).unwrap_or_default();
    let is_said = |line: &str| line.contains(HOOK) && !line.starts_with('#') && !line.starts_with("//");
    let is_on = settings.lines().any(|line| is_said(line.trim_start())) && Path::new(HOOK).exists();
    // What it complains about is nothing of apt's.
    let option = format!("AptCli::Hooks::Upgrade::={HOOK} 2>/dev/null || true");
    is_on.then(|| apt_get(&[&option], &[&["-s"], &upgrade(&Plan::default())[..]].concat()))
}

/// What the hook says where no subscription is attached, or one of its services is not enabled:
///
/// ```text
/// The following security updates require Ubuntu Pro with 'esm-infra' enabled:
///   tb-a tb-b
/// Learn more about Ubuntu Pro at https://ubuntu.com/pro
/// Get more security updates through Ubuntu Pro with 'esm-apps' enabled:
///   tb-c
/// ```
pub fn needs_subscription(stdout: &str) -> String {
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    let mut is_open = false;
    for line in stdout.lines() {
        if let Some(service) = service(line) {
            found.push((service.to_string(), Vec::new()));
            is_open = true;
        } else if let Some((_, names)) = found.last_mut().filter(|_| is_open && line.starts_with("  ")) {
            names.extend(line.split_whitespace());
        } else {
            is_open = false;
        }
    }
    let told = found.into_iter().map(|(service, names)| {
        let named = names[..names.len().min(MOST_NAMED)].join(" ");
        let more = names.len().saturating_sub(MOST_NAMED);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{service}: {named}{rest}")
    });
    told.collect::<Vec<_>>().join("; ")
}

/// `Ubuntu Pro with 'esm-infra' enabled`, in the line above the packages.
fn service(line: &str) -> Option<&str> {
    const STARTS: [&str; 4] = [
        "The following security update requires ",
        "The following security updates require ",
        "Get another security update through ",
        "Get more security updates through ",
    ];
    STARTS.iter().find_map(|start| line.strip_prefix(start))?.strip_suffix(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_subscription_is_read_from_the_words_of_the_hook() {
        let text = "Calculating upgrade...\nThe following security updates require Ubuntu Pro with 'esm-infra' enabled:\n\
                    \x20 tb-a tb-b\n  tb-c\nLearn more about Ubuntu Pro at https://ubuntu.com/pro\n\
                    Get another security update through Ubuntu Pro with 'esm-apps' enabled:\n  tb-d\n\
                    The following packages will be upgraded:\n  tb-e (1 => 2)\n";
        let expected =
            "Ubuntu Pro with 'esm-infra' enabled: tb-a tb-b tb-c; Ubuntu Pro with 'esm-apps' enabled: tb-d";
        assert_eq!(needs_subscription(text), expected);
        assert_eq!(needs_subscription("The following packages will be upgraded:\n  tb-e\n"), "");
        let many: Vec<_> = (1..=12).map(|number| format!("p{number}")).collect();
        let text = format!(
            "Get more security updates through Ubuntu Pro with 'esm-apps' enabled:\n  {}\n",
            many.join(" ")
        );
        assert!(needs_subscription(&text).ends_with(" p9 p10 and 2 more"));
        let one = "The following security update requires Ubuntu Pro with 'esm-infra' enabled:\n  tb-a\n";
        assert_eq!(needs_subscription(one), "Ubuntu Pro with 'esm-infra' enabled: tb-a");
    }
}
