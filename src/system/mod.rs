//! The ground: processes, files, archives, streams, signals, time, the start of the system.

pub mod archive;
pub mod boot;
pub mod files;
pub mod image;
pub mod local_time;
pub mod lock_holders;
pub mod login_session;
pub mod process;
pub mod release;
pub mod replaced;
pub mod signals;
pub mod streams;
pub mod time;
