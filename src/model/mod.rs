//! Plain values that do not know where they come from.

pub mod class;
pub mod exit_code;
pub mod failure;
pub mod listing;
pub mod packages;
pub mod published;
pub mod refreshed;
pub mod secrets;
pub mod text;
pub mod time;
pub mod told;
pub mod updates;
