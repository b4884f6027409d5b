//! Sets of numbers that many threads add to at once.

use std::sync::atomic::{AtomicU64, Ordering};

const BITS: usize = 64;

/// A set of numbers below a limit, a bit each.
#[derive(Debug, Default)]
pub(super) struct Bits(Box<[AtomicU64]>);

impl Bits {
    /// None of the numbers below `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Self((0..limit.div_ceil(BITS)).map(|_| AtomicU64::new(0)).collect())
    }

    /// Adds a number; `false` if it was there, or is not below the limit.
    pub(super) fn insert(&self, number: u32) -> bool {
        let (word, bit) = split(number);
        self.0.get(word).is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    /// Takes a number out.
    pub(super) fn remove(&self, number: u32) {
        let (word, bit) = split(number);
        if let Some(word) = self.0.get(word) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Whether a number is in it.
    pub(super) fn contains(&self, number: u32) -> bool {
        let (word, bit) = split(number);
        self.0.get(word).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// All of them, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let bits = |word: u64| (0..BITS as u32).filter(move |bit| word >> bit & 1 != 0);
        let words = self.0.iter().map(|word| word.load(Ordering::Relaxed)).enumerate();
        words.flat_map(move |(at, word)| bits(word).map(move |bit| (at * BITS) as u32 + bit))
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum()
    }
}

fn split(number: u32) -> (usize, u64) {
    (number as usize / BITS, 1 << (number as usize % BITS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Bits;

    proptest::proptest! {
        #[test]
        fn it_is_a_set(limit in 0u32..300, numbers in proptest::collection::vec(0u32..400, 0..200)) {
            let (bits, mut set) = (Bits::new(limit as usize), BTreeSet::new());
            let room = limit.div_ceil(64) * 64;
            for number in numbers {
                proptest::prop_assert_eq!(bits.insert(number), number < room && set.insert(number));
            }
            proptest::prop_assert!(bits.iter().eq(set.iter().copied()));
            proptest::prop_assert_eq!(bits.len(), set.len() as u64);
            proptest::prop_assert!((0..400).all(|number| bits.contains(number) == set.contains(&number)));
            for number in (0..500).step_by(3) {
                bits.remove(number);
                set.remove(&number);
            }
            proptest::prop_assert!(bits.iter().eq(set.iter().copied()));
        }
    }
}
