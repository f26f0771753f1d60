//! dnf asks one repository after the other. It tries a list of mirrors, such as a metalink, a dozen times, and does not
//! name the repository meanwhile.

use crate::managers::capabilities::{Asked, ConfigFile, InTurn};
use crate::managers::rpm::files::{by_name, to_be_asked};
use crate::managers::rpm::tables::is_repository;
use crate::system::process::Invocation;

/// The repositories of dnf.
pub(super) struct Repositories;

impl InTurn for Repositories {
    fn order(&self, files: &[ConfigFile]) -> Option<Vec<Asked>> {
        let ids = to_be_asked(&by_name(files.to_vec()));
        // What holds a variable has another name here.
        ids.iter().all(|id| is_repository(id)).then(|| ids.iter().map(|id| Asked::named(id)).collect())
    }

    fn only(&self, refresh: &Invocation, ids: &[&str]) -> Invocation {
        refresh.clone().with_before("upgrade", ids.iter().map(|id| format!("--repo={id}")))
    }

    fn without(&self, _: &Invocation, _: &[Asked], _: &[String]) -> Option<Invocation> {
        // The old index of one that failed decides about what others offer.
        None
    }
}
