//! The three verbs.

pub mod apply;
pub mod refresh;
pub mod status;
