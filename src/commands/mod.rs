//! The three verbs.

pub mod apply;
mod exclude;
mod explain;
pub mod refresh;
mod save;
mod start;
pub mod status;
