//! The packs that a reader used last, whole, once more than a few of their members were asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::object::Hash;

/// From this read on, a pack is fetched whole.
const FETCH_WHOLE_AT: u32 = 3;
/// Whole packs that are kept.
const KEPT: usize = 4;

#[derive(Debug, Default)]
pub(super) struct PackCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    packs: HashMap<Hash, Pack>,
    clock: u64,
}

#[derive(Debug, Default)]
struct Pack {
    reads: u32,
    last_used: u64,
    /// Filled by the first thread that wants it whole; others wait for that one.
    whole: Option<Arc<Mutex<Option<Bytes>>>>,
}

/// How to read a member.
pub(super) enum Access {
    /// By its range.
    Range,
    /// From the whole pack: fill the cell if it is empty.
    Whole(Arc<Mutex<Option<Bytes>>>),
}

impl PackCache {
    /// Notes one more read of a pack, and says how to do it.
    pub(super) fn access(&self, pack: &Hash) -> Access {
        let mut state = self.lock();
        state.clock += 1;
        let clock = state.clock;
        let entry = state.packs.entry(*pack).or_default();
        entry.reads += 1;
        entry.last_used = clock;
        if entry.reads < FETCH_WHOLE_AT {
            return Access::Range;
        }
        let cell = Arc::clone(entry.whole.get_or_insert_default());
        evict(&mut state.packs);
        Access::Whole(cell)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn evict(packs: &mut HashMap<Hash, Pack>) {
    while packs.values().filter(|pack| pack.whole.is_some()).count() > KEPT {
        let oldest = packs.values_mut().filter(|pack| pack.whole.is_some()).min_by_key(|pack| pack.last_used);
        if let Some(pack) = oldest {
            pack.whole = None;
        }
    }
}
