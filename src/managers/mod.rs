//! What is known of each package manager. It knows no state, no command line and no display.

mod apk;
mod apt;
pub mod backend;
mod detection;
mod dnf;
mod dnf5;
mod pacman;
pub mod rpm;
mod table;
mod yum;
mod zypper;

pub use backend::*;
pub use detection::{by_name, detect, installed};
pub use table::MANAGERS;
