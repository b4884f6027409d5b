//! The engine's operations on real folders, held against the golden repositories and the oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod apply;
mod backup;
mod breaking;
mod changing;
mod check;
mod copy;
mod damage;
mod fake;
mod flaky;
mod forget;
mod golden;
mod identity;
mod indexes;
mod keys;
mod locks;
mod memory;
mod midway;
mod order;
mod properties;
mod queries;
mod recording;
mod requests;
mod retained;
mod several;
mod state;
mod stats;
mod steps;
mod support;
