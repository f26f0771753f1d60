//! What is remembered: the state, the lock, the history, and what follows from them.

mod applies;
pub mod glance;
pub mod health;
pub mod history;
pub mod lock;
pub mod pending;
pub mod state;
pub mod state_file;
