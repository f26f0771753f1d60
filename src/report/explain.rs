//! Why a host is not fresh or not patched, as far as the state shows.

use super::Report;
use crate::model::exit_code::ExitCode;
use crate::model::text::counted;
use crate::model::updates::HeldBack;
use crate::report::finding::Finding;
use crate::store::health::Life;
use crate::store::state::Pending;
use crate::system::time::span;

/// So many held-back updates are listed one by one.
const MOST_HELD: usize = 20;

impl Report {
    /// What the state itself says.
    pub fn explained_index(&self) -> Vec<Finding> {
        let verdict = &self.health.verdict;
        let text = format!("{}: {}", verdict.code.word(), verdict.reason);
        let of_index = match verdict.code {
            ExitCode::Fresh => Finding::ok("index", text),
            ExitCode::Unknown if self.state.is_some() => {
                Finding::unknown("index", text, "timedatectl; then linux-patch refresh")
            }
            ExitCode::Unknown => Finding::unknown("index", text, "linux-patch refresh"),
            ExitCode::Stale | ExitCode::Failed => Finding::problem("index", text, "linux-patch refresh"),
        };
        vec![of_index, self.explained_apply()]
    }

    fn explained_apply(&self) -> Finding {
        const TOPIC: &str = "apply";
        let apply = self.state.as_ref().map(|state| &state.apply);
        let log = apply.and_then(|apply| apply.last.as_ref()?.log.clone());
        let look = log.map(|log| format!("less {log}; then linux-patch apply"));
        match (&self.health.unfinished, &self.health.apply_trouble) {
            (Some(unfinished), _) if unfinished.life != Life::Gone => {
                Finding::ok(TOPIC, self.unfinished_words().unwrap_or_default())
            }
            (Some(_), _) => {
                Finding::problem(TOPIC, self.unfinished_words().unwrap_or_default(), "linux-patch apply")
            }
            (None, Some(trouble)) => {
                Finding::problem(TOPIC, trouble, look.unwrap_or_else(|| "linux-patch apply".to_string()))
            }
            (None, None) => match apply.and_then(|apply| apply.last.as_ref()) {
                Some(last) => {
                    let ago = span(self.now.seconds_since(last.finished_at).max(0));
                    let changed = counted(last.changed(), "package");
                    Finding::ok(TOPIC, format!("the last one ended {ago} ago and changed {changed}"))
                }
                None => Finding::ok(TOPIC, "none has run on this host yet"),
            },
        }
    }

    /// What is pending, what is held back and why, and what an update still needs to take effect.
    pub fn explained_updates(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let pending = self.pending();
        findings.push(match (pending, self.pending_words()) {
            (Some(pending), Some(words)) if pending.error.is_some() => {
                Finding::problem("updates", words, "linux-patch refresh --verbose")
            }
            (Some(Pending { count: Some(0), .. }), Some(words)) => Finding::ok("updates", words),
            (Some(_), Some(words)) => Finding::problem("updates", words, "linux-patch apply"),
            _ => Finding::unknown("updates", "never counted", "linux-patch refresh"),
        });
        let held = pending.map(Pending::held_back).unwrap_or_default();
        findings.extend(held.iter().take(MOST_HELD).map(explained_held));
        if held.len() > MOST_HELD {
            let text = format!("and {} more", held.len() - MOST_HELD);
            findings.push(Finding::problem("held back", text, "linux-patch status --format json"));
        }
        if self.state.is_some() {
            findings.push(match self.health.reboot_required {
                true => Finding::problem(
                    "reboot",
                    "a reboot is required: updates take effect only then",
                    "reboot",
                ),
                false => Finding::ok("reboot", "none is required"),
            });
            findings.extend(self.missed_words().map(|words| Finding::problem("reboot", words, "reboot")));
        }
        findings.push(match (&self.health.outdated_services, self.services_words()) {
            (_, Some(words)) => {
                let (text, command) = words.split_once("; ").unwrap_or((&words, "reboot"));
                Finding::problem("services", text, command)
            }
            (Some(_), None) => Finding::ok("services", "none runs replaced code"),
            (None, None) => Finding::unknown(
                "services",
                "not known whether any runs replaced code",
                "linux-patch refresh, as root",
            ),
        });
        let caveats = self.state.iter().flat_map(|state| &state.caveats);
        findings.extend(
            caveats
                .map(|text| Finding::problem("sources", text, "look into the configuration of the sources")),
        );
        findings
    }
}

fn explained_held(held: &HeldBack) -> Finding {
    let candidate = held.candidate.as_deref().unwrap_or("a newer version");
    let mark = if held.security == Some(true) { ", security" } else { "" };
    let text = format!("{} {candidate} ({}{mark})", held.name, held.reason);
    let name = &held.name;
    match (held.class, held.reason.as_str()) {
        (Some(_), _) => {
            Finding::problem("held back", text, "linux-patch apply (tries it again, and says why not)")
        }
        (None, "phased") => Finding::ok("held back", text + "; its turn comes by itself"),
        (None, "kept back") => Finding::problem(
            "held back",
            text,
            format!("linux-patch apply --full --dry-run, and then with {name}"),
        ),
        (None, _) => Finding::problem(
            "held back",
            text,
            "take the administrator's hold back; see EXCLUDING PACKAGES FOR GOOD in linux-patch(8)",
        ),
    }
}
