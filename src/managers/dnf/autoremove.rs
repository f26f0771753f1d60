//! `dnf autoremove`.

use super::commands::{LOOK, dnf};
use super::lists;
use crate::managers::rpm::autoremove::OfOthers;

/// If dnf.conf turns it off, dnf finds nothing that could be removed.
const CLEAN: &str = "--setopt=clean_requirements_on_remove=1";
const ALONE: &str = "--setopt=clean_requirements_on_remove=0";

pub(super) static UNNEEDED: OfOthers = OfOthers {
    list: || dnf(&[&["-C", CLEAN], LOOK].concat(), &["autoremove"]),
    look: || dnf(&[&["-C"], LOOK, &[ALONE]].concat(), &["remove"]),
    remove: || dnf(&["-y", "--setopt=assumeno=0", "-C", ALONE], &["remove"]),
    read: lists::transaction,
};
