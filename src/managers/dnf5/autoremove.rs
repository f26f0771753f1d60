//! `dnf5 autoremove`.

use super::commands::{DO, LOOK, SKIP, dnf5};
use super::lists;
use crate::managers::rpm::autoremove::OfOthers;

const REMOVE: &[&str] = &["remove", "--no-autoremove"];

pub(super) static UNNEEDED: OfOthers = OfOthers {
    list: || dnf5(&[&["-C", SKIP], LOOK].concat(), &["autoremove"]),
    look: || dnf5(&[&["-C", SKIP], LOOK].concat(), REMOVE),
    remove: || dnf5(&[DO, &["-C", SKIP]].concat(), REMOVE),
    read: lists::transaction,
};
