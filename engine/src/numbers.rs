//! Numbers for the objects of a kind: small, so that there can be many.

use std::collections::HashMap;
use std::sync::Arc;

use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::Catalog;

/// The number of an object: that of the catalog if it is packed; others follow as they come.
pub(crate) type Number = u32;

/// Numbers the objects of one kind.
#[derive(Debug)]
pub(crate) struct Numbers {
    kind: ObjectKind,
    catalog: Arc<Catalog>,
    others: Vec<Hash>,
    by_hash: HashMap<Hash, Number>,
}

impl Numbers {
    pub(crate) fn new(kind: ObjectKind, catalog: Arc<Catalog>) -> Self {
        Self { kind, catalog, others: Vec::new(), by_hash: HashMap::new() }
    }

    pub(crate) fn of(&mut self, object: &ObjectRef) -> Number {
        if let Some(number) = self.catalog.number(object) {
            return number;
        }
        let next = (self.catalog.count(self.kind) + self.others.len()) as Number;
        let Self { others, by_hash, .. } = self;
        *by_hash.entry(object.hash).or_insert_with(|| {
            others.push(object.hash);
            next
        })
    }

    /// The object with a number that this has given.
    pub(crate) fn object(&self, number: Number) -> Option<ObjectRef> {
        let packed = self.catalog.hash_at(self.kind, number);
        let other = || self.others.get((number as usize).checked_sub(self.catalog.count(self.kind))?);
        packed.or_else(other).map(|hash| ObjectRef::new(self.kind, *hash))
    }

    /// How many sealed bytes it has, if it is packed.
    pub(crate) fn packed_length(&self, number: Number) -> Option<u64> {
        self.catalog.length_at(self.kind, number)
    }

    /// Where it lies, for reading in physical order. What lies by itself comes last.
    pub(crate) fn place(&self, number: Number) -> (u32, u32) {
        self.catalog.order_at(self.kind, number).unwrap_or((u32::MAX, number))
    }
}

/// A set of numbers, a bit each.
#[derive(Debug, Default)]
pub(crate) struct Set(Vec<u64>);

impl Set {
    /// `false` if it was there.
    pub(crate) fn insert(&mut self, number: Number) -> bool {
        let (word, bit) = split(number);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    pub(crate) fn remove(&mut self, number: Number) {
        let (word, bit) = split(number);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }

    pub(crate) fn contains(&self, number: Number) -> bool {
        let (word, bit) = split(number);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

const fn split(number: Number) -> (usize, u64) {
    (number as usize / 64, 1 << (number % 64))
}
