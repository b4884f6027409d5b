//! The Cloudstic backup daemon: configuration, jobs, and the API.

pub mod access;
pub mod accounts;
pub mod api;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod failure;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod operations;
pub mod secrets;
pub mod state;
pub mod supervisor;
