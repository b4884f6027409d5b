//! What tells one state of an object from another one.

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// One state of one object: an ETag, or whatever the backend has. Two states with the same bytes may be one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// The version that a backend calls this.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// For backends that know nothing better: what the bytes themselves say.
    pub fn of(bytes: &Bytes) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// What the backend calls it.
    pub fn token(&self) -> &str {
        &self.0
    }
}
