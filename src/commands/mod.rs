//! The three verbs.

pub mod apply;
mod exclude;
pub mod refresh;
mod start;
pub mod status;
