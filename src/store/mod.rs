//! What is remembered: the state, the lock, the history.

pub mod history;
pub mod lock;
pub mod state;
pub mod verdict;
