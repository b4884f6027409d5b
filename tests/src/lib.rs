//! What tests share: the golden repositories, the oracle, trees to back up, and a daemon of their own.
//!
//! Nothing here links the engine, the daemon or the client: they are held against it from outside, as a user would
//! see them. A crate's own tests may use [`golden`] and [`tree`] as a dev-dependency.
//!
//! Everything here is test code: what cannot go on panics, with what it knows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod binaries;
pub mod golden;
pub mod mount;
pub mod oracle;
pub mod ran;
pub mod random;
pub mod servers;
pub mod site;
pub mod skip;
pub mod tree;

use std::path::{Path, PathBuf};

/// The root of the checkout.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project").to_path_buf()
}

/// The folder of the fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}
