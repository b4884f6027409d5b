//! The Cloudstic backup daemon: configuration, jobs, and the API.

pub mod accounts;
pub mod clock;
pub mod config;
pub mod failure;
pub mod secrets;
pub mod state;
pub mod supervisor;
