//! All managers.

use crate::managers::backend::Backend;
use crate::managers::{apk, apt, dnf, dnf5, pacman, yum, zypper};

/// The table. Where several managers are equally at home, the first is chosen.
pub const MANAGERS: &[&Backend] = &[
    &apt::BACKEND,
    &dnf::BACKEND,
    &dnf5::BACKEND,
    &yum::BACKEND,
    &zypper::BACKEND,
    &apk::BACKEND,
    &pacman::BACKEND,
];
