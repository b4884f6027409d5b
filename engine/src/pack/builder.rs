//! Filling packs.

use bytes::Bytes;

use super::catalog::{Member, PackMembers};
use super::{PACK_TARGET, footer};
use crate::crypto::{OpenError, Sealer};
use crate::object::{Hash, ObjectRef};

/// A pack that is being filled.
#[derive(Debug, Default)]
pub struct PackBuilder {
    bytes: Vec<u8>,
    members: Vec<Member>,
}

/// A whole pack.
#[derive(Debug)]
pub struct FinishedPack {
    /// Its bytes.
    pub bytes: Bytes,
    /// What is in it.
    pub members: PackMembers,
}

impl PackBuilder {
    /// Appends a sealed object.
    pub fn add(&mut self, object: ObjectRef, sealed: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.reserve(PACK_TARGET + PACK_TARGET / 16);
        }
        // A pack is flushed at 8 MiB, and no member has more than half of one.
        self.members.push(Member { object, offset: self.bytes.len() as u32, length: sealed.len() as u32 });
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

    /// Adds the footer and names the pack, as no other one ever was: a delete of an earlier pack with the same members that
    /// arrives late cannot remove this one. Hashes all of it: for worker threads.
    pub fn finish(self, sealer: &Sealer) -> Result<FinishedPack, OpenError> {
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(|cause| OpenError::System(cause.to_string()))?;
        self.finish_with(sealer, u64::from_le_bytes(salt))
    }

    /// The same where the caller knows what makes it unlike any other.
    pub(crate) fn finish_with(mut self, sealer: &Sealer, salt: u64) -> Result<FinishedPack, OpenError> {
        let footer = footer::encode(sealer, &self.members, salt)?;
        self.bytes.extend_from_slice(&footer);
        // Its name.
        let pack = Hash::of(&self.bytes);
        Ok(FinishedPack { bytes: self.bytes.into(), members: PackMembers { pack, members: self.members } })
    }
}
