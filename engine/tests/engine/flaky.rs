//! A store that answers some reads as a failing disk does: with an error that says nothing of the bytes, or with others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cloudstic_engine::store::hooked::{Hook, HookedStore};
use cloudstic_engine::store::{MemoryStore, StoreError, StoreErrorKind, StoreResult};

use crate::memory::Objects;

/// Which reads are hit; those of indexes, of the marker and of key slots are not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hit {
    /// All of this object.
    Always(String),
    /// The one with this number, from 0.
    Once(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Error,
    /// One bit is another.
    Flipped,
}

/// Hits the reads of a store.
#[derive(Debug)]
pub(crate) struct Flaky {
    hit: Hit,
    answer: Answer,
    reads: AtomicUsize,
}

/// A store of these objects with such reads, and what is in it.
pub(crate) fn flaky(objects: Objects, hit: Hit, answer: Answer) -> (Arc<HookedStore<Flaky>>, Arc<MemoryStore>) {
    let memory = Arc::new(MemoryStore::of(objects));
    (HookedStore::new(memory.clone(), Flaky { hit, answer, reads: AtomicUsize::new(0) }), memory)
}

impl Flaky {
    /// How many reads there were.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Hook for Flaky {
    fn bytes(&self, key: &str, right: StoreResult<Bytes>) -> StoreResult<Bytes> {
        let is_data = ["chunk/", "content/", "filemeta/", "node/", "snapshot/", "packs/"];
        if !is_data.iter().any(|kind| key.starts_with(kind)) {
            return right;
        }
        let number = self.reads.fetch_add(1, Ordering::SeqCst);
        let is_hit = match &self.hit {
            Hit::Always(hit) => hit == key,
            Hit::Once(hit) => *hit == number,
        };
        match (is_hit, self.answer) {
            (false, _) => right,
            (true, Answer::Error) => {
                let (key, backend) = (key.to_owned(), "flaky".to_owned());
                Err(StoreError { kind: StoreErrorKind::Other, key, backend, detail: "input/output error".to_owned() })
            }
            (true, Answer::Flipped) => right.map(|bytes| {
                let mut bytes = bytes.to_vec();
                let middle = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(middle) {
                    *byte ^= 0x10;
                }
                bytes.into()
            }),
        }
    }
}
