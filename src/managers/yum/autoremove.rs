//! `yum autoremove`.

use super::commands::yum;
use super::lists;
use crate::managers::rpm::autoremove::OfOthers;

const LOOK: &[&str] = &["--assumeno", "-C", "--setopt=tsflags=test"];
const ALONE: &str = "--setopt=clean_requirements_on_remove=0";

pub(super) static UNNEEDED: OfOthers = OfOthers {
    list: || yum(&[&["--setopt=clean_requirements_on_remove=1"], LOOK].concat(), &["autoremove"]),
    look: || yum(&[LOOK, &[ALONE]].concat(), &["remove"]),
    remove: || yum(&["-y", "-C", ALONE], &["remove"]),
    read: lists::transaction,
};
