//! The Cloudstic repository: format, stores, sources, locks and operations.
//!
//! An operation ([`backup`], [`restore`], …) is a plain function that takes the open [`repository::Repository`], a
//! request, a [`progress::Progress`] sink and a cancellation token, and gives a report. It never prints and never
//! exits; jobs, schedules, configuration files and terminals are the business of others.

pub mod backup;
pub mod cache;
pub mod cat;
pub mod check;
pub mod chunker;
pub mod clock;
pub mod copy;
pub mod crypto;
pub mod diff;
pub mod dump;
pub mod find;
pub mod finding;
pub mod forget;
pub mod hamt;
pub mod keys;
pub mod lock;
pub mod midway;
mod numbers;
pub mod object;
pub mod pack;
mod parallel;
pub mod progress;
pub mod prune;
pub mod reach;
pub mod repair;
pub mod repository;
pub mod restore;
mod shown;
pub mod source;
pub mod sparse;
pub mod stats;
pub mod store;
pub mod tag;
pub mod tree;
pub mod view;
pub mod warnings;
mod workers;

pub use shown::path as show_path;
