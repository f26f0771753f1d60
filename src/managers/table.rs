//! All managers.

use crate::managers::manager::Manager;
use crate::managers::{apk, apt, dnf, dnf5, pacman, yum, zypper};

/// The table. Where several managers are equally at home, the first is chosen.
pub const MANAGERS: &[&dyn Manager] =
    &[&apt::Apt, &dnf::Dnf, &dnf5::Dnf5, &yum::Yum, &zypper::Zypper, &apk::Apk, &pacman::Pacman];
