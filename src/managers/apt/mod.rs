//! apt: Debian, Ubuntu and their relatives. Behaviour measured with apt 2.2, 2.6, 3.0 and 3.3.

mod alike;
mod autoremove;
mod blame;
mod classes;
mod commands;
mod dpkg;
mod ended_early;
mod errors;
mod facts;
mod hidden;
mod hooks;
mod lists;
mod policy;
mod pro;
mod progress;
mod redirect;
mod refresh;
mod settings;
mod source_list;
mod sources;
mod told;

use crate::managers::apt::dpkg::Dpkg;
use crate::managers::capabilities::{Autoremove, ConfigFile, EndedEarly, Locate, SourceList};
use crate::managers::configuration::Configuration;
use crate::managers::database::Database;
use crate::managers::facts::{Elsewhere, Facts, Places, Plan};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::origins::{self, Origins};
use crate::model::class::Class;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::Damage;
use crate::model::published::Published;
use crate::model::refreshed::Refreshed;
use crate::model::updates::{HeldBack, Update};
use crate::system::process::{End, Finished, Invocation};
use commands::apt_get;
use facts::FACTS;
use std::path::PathBuf;
use std::time::Duration;

/// The manager of this folder.
#[derive(Debug)]
pub struct Apt;

impl Manager for Apt {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn diverted(&self) -> Option<String> {
        dpkg::diverted()
    }

    fn database(&self) -> &'static dyn Database {
        &Dpkg
    }

    fn repair(&self, places: &Places, _: &Damage) -> Vec<Invocation> {
        vec![commands::repair(places)]
    }

    fn refresh(&self, budget: Duration) -> Invocation {
        commands::refresh(budget)
    }

    fn judge(&self, finished: &Finished) -> Refreshed {
        refresh::judge(finished)
    }

    fn list(&self, plan: &Plan) -> Invocation {
        commands::list(plan)
    }

    fn parse_list(&self, text: &str) -> Listing {
        lists::parse(text)
    }

    fn needs_subscription(&self, machine: &dyn Machine) -> Option<String> {
        let Some(question) = pro::ask() else { return Some(String::new()) };
        let answer = machine.answer_within(&question, pro::PATIENCE).filter(Finished::succeeded)?;
        Some(pro::needs_subscription(&answer.stdout))
    }

    fn ask_not_offered(&self) -> Option<Invocation> {
        Some(policy::ask_origins(&["?obsolete"]))
    }

    fn parse_not_offered(&self, answer: &Finished) -> Option<Vec<String>> {
        policy::not_offered(answer)
    }

    fn release_files(&self, id: &str) -> Vec<String> {
        sources::release_files(id)
    }

    fn published(&self, text: &str) -> Published {
        Published::of_release(text)
    }

    fn ask_origins(&self, names: &[&str]) -> Option<Invocation> {
        Some(policy::ask_origins(names))
    }

    fn parse_origins(&self, text: &str) -> Origins {
        policy::parse_origins(text)
    }

    fn origins(&self, machine: &dyn Machine, names: &[&str]) -> Result<Origins, Failure> {
        if names.is_empty() {
            return Ok(Origins::new());
        }
        let mut found = policy::parse_origins(&machine.ask(&policy::ask_origins(names))?.stdout);
        policy::add_labels(&mut found, &machine.places().cache);
        Ok(found)
    }

    fn list_needs(&self, plan: &Plan, names: &[String]) -> Invocation {
        commands::list_needs(plan, names)
    }

    fn download(&self, plan: &Plan) -> Option<Invocation> {
        Some(commands::download(plan))
    }

    fn install(&self, plan: &Plan, downloaded: &Finished) -> Invocation {
        commands::install(plan, downloaded)
    }

    fn install_began(&self, finished: &Finished) -> bool {
        errors::install_began(finished)
    }

    fn classify(&self, finished: &Finished) -> Option<Failure> {
        (finished.end != End::Code(0)).then(|| errors::classify(finished))
    }

    fn configured(&self) -> Option<&'static dyn SourceList> {
        Some(&source_list::Configured)
    }

    fn ended_early(&self) -> Option<&'static dyn EndedEarly> {
        Some(&ended_early::EndedRefresh)
    }

    fn unmet(&self, machine: &dyn Machine) -> Result<Option<String>, Failure> {
        match machine.ask(&apt_get(&[], &["check"])) {
            Ok(_) => Ok(None),
            Err(failure) if failure.class == Class::Dependency => Ok(Some(failure.message)),
            Err(failure) => Err(failure),
        }
    }

    fn mend_by_hand(&self) -> &'static str {
        "look at what `apt-get -f install` proposes, or install the versions that belong together by name \
         (apt-get install NAME=VERSION NAME=VERSION)"
    }

    fn complete(&self, machine: &dyn Machine, plan: &Plan, listing: Listing) -> Result<Listing, Failure> {
        let mut listing = match lists::ask_allowed(&listing) {
            Some(question) => lists::add_allowed(&machine.ask(&question)?.stdout, listing),
            None => listing,
        };
        hidden::add(machine, plan, &mut listing);
        Ok(listing)
    }

    fn offers(&self, machine: &dyn Machine, updates: &[Update]) -> Result<Origins, Failure> {
        // Its lists name the sources by what their indexes say of themselves.
        self.origins(machine, &origins::names(updates))
    }

    fn may_unpack_on_read_only(&self, machine: &dyn Machine) -> Result<bool, Failure> {
        Ok(settings::has_hooks(&machine.ask(&settings::dump())?.stdout))
    }

    fn cached(
        &self,
        machine: &dyn Machine,
        planned: &Listing,
        downloaded: &Finished,
    ) -> Vec<(PathBuf, String)> {
        let question = lists::ask_hashes(planned, downloaded);
        let answer = question.and_then(|question| machine.ask(&question).ok());
        answer.map(|answer| lists::hashes(&answer.stdout, machine.places())).unwrap_or_default()
    }

    fn finish(&self, places: &Places, names: &[&str]) -> Option<Invocation> {
        Some(commands::configure(places, names))
    }

    fn past_failures(&self, install: Invocation) -> Option<Invocation> {
        Some(commands::past_failures(install))
    }

    fn autoremove(&self) -> Option<&'static dyn Autoremove> {
        Some(&autoremove::Unneeded)
    }

    fn repair_leaves_some(&self) -> bool {
        // dpkg exits with 0 then.
        true
    }

    fn reinstall(&self, name: &str) -> String {
        format!("apt-get install --reinstall {name}")
    }

    fn end_by_hand(&self, name: &str, is_removal: bool) -> Option<String> {
        Some(match is_removal {
            true => format!("whose removal failed; once its script succeeds: dpkg --remove {name}"),
            false => format!("once its script succeeds: dpkg --configure {name}"),
        })
    }

    fn tell_security(&self, machine: &dyn Machine, listing: &mut Listing) -> Result<(), Failure> {
        let found = self.origins(machine, &origins::open(listing))?;
        origins::tell(listing, &found, true);
        if lists::may_wait(listing, &found) {
            let options = [
                "APT::Get::Always-Include-Phased-Updates=true",
                "APT::Get::Never-Include-Phased-Updates=false",
            ];
            let question =
                apt_get(&options, &[&["-s", "-V"], &commands::upgrade(&Plan::default())[..]].concat());
            let all = machine.ask(&question).map(|answer| lists::parse(&answer.stdout)).unwrap_or_default();
            lists::tell_phased(listing, &found, &all);
        }
        Ok(())
    }

    fn leave_out_text(&self, plan: &Plan) -> Option<String> {
        Some(commands::leave_out_text(plan))
    }

    fn sources_of_files(&self, files: Vec<ConfigFile>) -> Option<Vec<String>> {
        let text = |file: &ConfigFile| sources::written(&String::from_utf8_lossy(&file.bytes));
        Some(files.iter().flat_map(text).collect())
    }

    fn culprits(&self, finished: &Finished) -> Vec<HeldBack> {
        lists::culprits(finished)
    }

    fn disappeared(&self, finished: &Finished) -> Vec<String> {
        lists::disappeared(finished)
    }

    fn progress<'a>(&self, line: &'a str) -> Option<(f64, &'a str)> {
        // `dlstatus:3:66.6709:Retrieving file 3 of 3`, `pmstatus:tb-hello:7.6923:Unpacking tb-hello`.
        let mut parts = line.splitn(4, ':');
        let kind = parts.next()?;
        let percent = parts.nth(1)?.parse().ok()?;
        (kind == "dlstatus" || kind == "pmstatus").then_some((percent, parts.next()?))
    }
}

impl Configuration for Apt {
    fn locate(&self) -> Option<&'static dyn Locate> {
        Some(&settings::Configuration)
    }

    fn parse_places(&self, usual: Places, configuration: &str) -> Places {
        settings::parse_places(usual, configuration)
    }

    fn elsewhere(&self, configuration: &str) -> Elsewhere {
        settings::elsewhere(configuration)
    }

    fn with_limits(&self, invocation: Invocation, configuration: &str) -> Invocation {
        settings::with_limits(invocation, configuration)
    }

    fn longest_silence(&self, invocation: &Invocation, configuration: &str) -> Duration {
        settings::longest_silence(invocation, configuration)
    }

    fn may_remove(&self, configuration: &str) -> bool {
        settings::may_remove(configuration)
    }

    fn place_of(&self, message: &str, configuration: &str) -> Option<String> {
        blame::place_of(message, configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_lines_give_percent_and_words() {
        assert_eq!(
            Apt.progress("dlstatus:3:66.6709:Retrieving file 3 of 3"),
            Some((66.6709, "Retrieving file 3 of 3"))
        );
        assert_eq!(Apt.progress("pmstatus:dpkg-exec:0.0000:Running dpkg"), Some((0.0, "Running dpkg")));
        assert_eq!(Apt.progress("pmerror:x:1:y"), None);
        assert_eq!(Apt.progress(""), None);
    }
}
