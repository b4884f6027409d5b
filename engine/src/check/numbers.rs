//! Numbers in the place of hashes: there may be millions of objects, and nearly each has a number in the catalog already.

use std::collections::HashMap;
use std::sync::Arc;

use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::Catalog;

/// No object.
pub(crate) const NONE: u32 = u32::MAX;

/// The numbers of objects of one kind: first those of the catalog, then the others, as they come.
#[derive(Debug)]
pub(crate) struct Numbers {
    catalog: Arc<Catalog>,
    kind: ObjectKind,
    packed: u32,
    others: HashMap<Hash, u32>,
    list: Vec<Hash>,
}

impl Numbers {
    pub(crate) fn new(catalog: Arc<Catalog>, kind: ObjectKind) -> Self {
        let packed = catalog.objects(kind).count() as u32;
        Self { catalog, kind, packed, others: HashMap::new(), list: Vec::new() }
    }

    /// The number of an object, which gets one if it has none yet.
    pub(crate) fn number(&mut self, hash: &Hash) -> u32 {
        if let Some(number) = self.catalog.number(&ObjectRef::new(self.kind, *hash)) {
            return number;
        }
        let next = self.packed + self.list.len() as u32;
        let number = *self.others.entry(*hash).or_insert(next);
        if number == next {
            self.list.push(*hash);
        }
        number
    }

    /// The number of an object that has one.
    pub(crate) fn find(&self, hash: &Hash) -> Option<u32> {
        let packed = self.catalog.number(&ObjectRef::new(self.kind, *hash));
        packed.or_else(|| self.others.get(hash).copied())
    }

    /// The object with a number, which must be one of these.
    pub(crate) fn object(&self, number: u32) -> ObjectRef {
        const NOTHING: Hash = Hash::from_bytes([0; 32]);
        let hash = if number < self.packed {
            self.catalog.hash_at(self.kind, number)
        } else {
            self.list.get((number - self.packed) as usize)
        };
        ObjectRef::new(self.kind, *hash.unwrap_or(&NOTHING))
    }

    /// One more than the highest number.
    pub(crate) fn end(&self) -> u32 {
        self.packed + self.list.len() as u32
    }
}

/// A set of numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// Adds a number; `false` if it was there.
    pub(crate) fn insert(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    /// Whether a number is one of them.
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let of_word = |(at, word): (usize, &u64)| {
            let word = *word;
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at as u32 * 64 + bit)
        };
        self.0.iter().enumerate().flat_map(of_word)
    }
}
