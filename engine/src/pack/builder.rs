//! Filling packs.

use bytes::Bytes;

use super::catalog::{Location, PackedObject};
use super::{PACK_TARGET, footer};
use crate::crypto::{OpenError, Sealer};
use crate::object::{Hash, ObjectRef};

/// A pack that is being filled.
#[derive(Debug, Default)]
pub struct PackBuilder {
    bytes: Vec<u8>,
    members: Vec<footer::Member>,
}

/// A whole pack.
#[derive(Debug)]
pub struct FinishedPack {
    /// Its name: the SHA-256 of its bytes.
    pub name: Hash,
    /// Its bytes.
    pub bytes: Bytes,
    /// What is in it.
    pub members: Vec<PackedObject>,
}

impl PackBuilder {
    /// Appends a sealed object.
    pub fn add(&mut self, object: ObjectRef, sealed: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.reserve(PACK_TARGET + PACK_TARGET / 16);
        }
        self.members.push((object, self.bytes.len() as u64, sealed.len() as u64));
        self.bytes.extend_from_slice(sealed);
    }

    /// Whether it is time to finish it.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= PACK_TARGET
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds the footer and names the pack. Hashes all of it: for worker threads.
    pub fn finish(mut self, sealer: &Sealer) -> Result<FinishedPack, OpenError> {
        let footer = footer::encode(sealer, &self.members)?;
        self.bytes.extend_from_slice(&footer);
        let name = Hash::of(&self.bytes);
        let members = self
            .members
            .into_iter()
            .map(|(object, offset, length)| PackedObject { object, location: Location { pack: name, offset, length } })
            .collect();
        Ok(FinishedPack { name, bytes: self.bytes.into(), members })
    }
}
