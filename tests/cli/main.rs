//! The program from outside: arguments, environment, signals and files in; exit codes, output
//! and state out. Every package tool is a fake (see `world`), so this needs neither root nor apt.

mod apk;
mod apk_index;
mod apply;
mod children;
mod concurrency;
mod exit_codes;
mod formats;
mod guard;
mod hangup;
mod kill9;
mod leisure;
mod machine;
mod monitoring;
mod options;
mod order;
mod pacman;
mod retry;
mod signals;
mod state_file;
mod status;
mod surroundings;
mod too_late;
mod usage;
mod world;
mod yum;
mod zypper;
