//! What the tests of both operations need: a snapshot of a repository in memory.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::object::{ObjectKind, ObjectRef, Snapshot, SourceInfo, json};
use crate::tree::memory::Memory;

/// A snapshot of the entries so far, as a local source makes it.
pub(super) fn snapshot(memory: &mut Memory) -> (ObjectRef, Snapshot) {
    let snapshot = Snapshot {
        version: 1,
        created: "2026-01-02T03:04:05Z".parse().unwrap(),
        root: memory.root(),
        seq: 1,
        source: SourceInfo { source_type: "local".to_owned(), ..SourceInfo::default() },
        meta: BTreeMap::new(),
        tags: Vec::new(),
        change_token: String::new(),
        exclude_hash: String::new(),
    };
    (memory.put(ObjectKind::Snapshot, json::encode(&snapshot)), snapshot)
}

/// Bytes that do not compress, the same for the same seed.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let step = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 24) as u8
    };
    (0..length).map(|_| step(&mut state)).collect()
}
