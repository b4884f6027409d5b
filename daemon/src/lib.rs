//! The Cloudstic backup daemon: configuration, jobs, and the API.

pub mod accounts;
pub mod config;
pub mod secrets;
