//! Plain values, which know nothing of where they come from.

pub mod exit_code;
pub mod outcome;
pub mod packages;
pub mod published;
pub mod time;
pub mod told;
