//! What is known of each package manager. It knows no state, no command line and no display.

mod apk;
mod apt;
mod capabilities;
mod configuration;
mod cut_short;
mod database;
mod detection;
mod dnf;
mod dnf5;
mod download_size;
mod facts;
mod last_words;
mod left_aside;
mod machine;
mod manager;
mod origins;
mod own_index;
mod pacman;
pub mod rpm;
mod table;
mod yum;
mod zypper;

pub use crate::model::packages::*;
pub use capabilities::*;
pub use configuration::Configuration;
pub use cut_short::{cut_short, how_it_was_cut};
pub use database::Database;
pub use detection::{by_name, detect, installed};
pub use download_size::download_size;
pub use facts::*;
pub use left_aside::left_aside;
pub use machine::Machine;
pub use manager::Manager;
pub use own_index::OwnIndex;
pub use table::MANAGERS;
