//! The three verbs.

pub mod apply;
pub mod refresh;
mod start;
pub mod status;
