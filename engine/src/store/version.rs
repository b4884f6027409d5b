//! What tells one state of an object from another one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

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

    /// The same of all bytes of a file. Blocking.
    pub fn of_file(file: &File) -> io::Result<Self> {
        let (mut hash, mut piece, mut at) = (Sha256::new(), vec![0; 1 << 20], 0);
        loop {
            match file.read_at(&mut piece, at)? {
                0 => return Ok(Self(hex::encode(hash.finalize()))),
                read => {
                    hash.update(&piece[..read]);
                    at += read as u64;
                }
            }
        }
    }

    /// What the backend calls it.
    pub fn token(&self) -> &str {
        &self.0
    }
}
