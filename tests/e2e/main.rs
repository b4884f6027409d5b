//! The programs as a user has them: a real daemon, a real client, real trees, and the oracle as the judge.
//!
//! One binary, so that it links once; a module for each kind of thing that can go wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod checks;
mod client;
mod cloud;
mod completions;
mod copies;
mod credentials;
mod damage;
mod documents;
mod findings;
mod fixtures;
mod foreign;
mod forget;
mod interruptions;
mod keys;
mod locks;
mod looking;
mod manual;
mod mistakes;
mod mount;
mod prune;
mod repair;
mod replaced;
mod roundtrip;
mod secrets;
mod sftp;
mod together;
