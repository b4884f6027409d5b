//! The packs that a reader used last, whole, once more than a few of their members are wanted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::object::Hash;

/// From so many reads on, made or known to come, a pack is fetched whole.
const FETCH_WHOLE_AT: u32 = 3;
/// The same for one that was whole before and had to make room: what is read here and there needs more packs than are kept.
const FETCH_AGAIN_AT: u32 = 64;
/// Bytes of whole packs that are kept, beside the last one.
const KEPT: usize = 32 << 20;

#[derive(Debug, Default)]
pub(super) struct PackCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    packs: HashMap<Hash, Pack>,
    clock: u64,
    /// Bytes of all whole packs.
    kept: usize,
}

#[derive(Debug, Default)]
struct Pack {
    /// Since it was whole, if it was.
    reads: u32,
    /// That are known to come.
    expected: u32,
    last_used: u64,
    had_to_go: bool,
    whole: Option<Whole>,
}

#[derive(Debug, Default)]
struct Whole {
    /// Filled by the first thread that wants it; others wait for that one.
    cell: Arc<Mutex<Option<Bytes>>>,
    /// Bytes, 0 until it is filled.
    size: usize,
}

/// How to read a member.
pub(super) enum Access {
    /// By its range.
    Range,
    /// From the whole pack: fill the cell if it is empty, and say so.
    Whole(Arc<Mutex<Option<Bytes>>>),
}

impl PackCache {
    /// So many more members of these packs are going to be read.
    pub(super) fn expect(&self, packs: impl IntoIterator<Item = (Hash, u32)>) {
        let mut state = self.lock();
        for (pack, count) in packs.into_iter().filter(|(_, count)| *count > 0) {
            let expected = &mut state.packs.entry(pack).or_default().expected;
            *expected = expected.saturating_add(count);
        }
    }

    /// Notes one more read of a pack, and says how to do it.
    pub(super) fn access(&self, pack: &Hash) -> Access {
        let mut state = self.lock();
        state.clock += 1;
        let clock = state.clock;
        let entry = state.packs.entry(*pack).or_default();
        entry.last_used = clock;
        entry.reads = entry.reads.saturating_add(1);
        let wanted = entry.reads.max(entry.expected);
        entry.expected = entry.expected.saturating_sub(1);
        let enough = if entry.had_to_go { FETCH_AGAIN_AT } else { FETCH_WHOLE_AT };
        if entry.whole.is_none() && wanted < enough {
            return Access::Range;
        }
        Access::Whole(Arc::clone(&entry.whole.get_or_insert_default().cell))
    }

    /// The cell of a pack was filled with so many bytes: others may have to make room.
    pub(super) fn filled(&self, pack: &Hash, size: usize) {
        let mut state = self.lock();
        let State { packs, kept, .. } = &mut *state;
        if let Some(whole) = packs.get_mut(pack).and_then(|entry| entry.whole.as_mut()) {
            *kept += size - std::mem::replace(&mut whole.size, size);
        }
        while *kept > KEPT {
            let others = packs.iter_mut().filter(|(name, _)| *name != pack).map(|(_, entry)| entry);
            let filled = others.filter(|entry| entry.whole.as_ref().is_some_and(|whole| whole.size > 0));
            let Some(oldest) = filled.min_by_key(|entry| entry.last_used) else { return };
            *kept -= oldest.whole.take().map_or(0, |whole| whole.size);
            (oldest.reads, oldest.had_to_go) = (0, true);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_whole(cache: &PackCache, pack: &Hash, size: usize) -> bool {
        let Access::Whole(cell) = cache.access(pack) else { return false };
        let is_empty = cell.lock().unwrap_or_else(PoisonError::into_inner).replace(Bytes::new()).is_none();
        if is_empty {
            cache.filled(pack, size);
        }
        true
    }

    #[test]
    fn a_pack_is_fetched_whole_at_its_third_read_or_at_once_where_that_many_will_come() {
        let (cache, [one, other]) = (PackCache::default(), ["one", "other"].map(|name| Hash::of(name.as_bytes())));
        assert_eq!([(); 4].map(|()| is_whole(&cache, &one, 9)), [false, false, true, true]);
        cache.expect([(other, 2)]);
        assert!(!is_whole(&cache, &other, 9));
        cache.expect([(other, 2), (one, 0)]);
        assert!(is_whole(&cache, &other, 9));
    }

    #[test]
    fn the_oldest_makes_room_and_comes_back_only_for_many_reads() {
        let cache = PackCache::default();
        let names: Vec<Hash> = (0..6_u8).map(|name| Hash::of(&[name])).collect();
        let size = KEPT / 4;
        for name in &names[..5] {
            cache.expect([(*name, 3)]);
            assert!(is_whole(&cache, name, size));
        }
        assert!(names[1..5].iter().all(|name| is_whole(&cache, name, size)));
        let again = (0..100).position(|_| is_whole(&cache, &names[0], size));
        assert_eq!(again, Some(FETCH_AGAIN_AT as usize - 1));
        // One that is larger than all that is kept stays as long as it is the last one.
        cache.expect([(names[5], 3)]);
        assert!(is_whole(&cache, &names[5], 2 * KEPT) && is_whole(&cache, &names[5], 2 * KEPT));
        assert!(names[..5].iter().all(|name| !is_whole(&cache, name, size)));
    }
}
