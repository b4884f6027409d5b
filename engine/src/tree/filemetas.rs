//! The filemetas of all entries: as numbers of the catalog, which has the hash of nearly each of them already.

use std::sync::Arc;

use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::Catalog;

/// Marks the number of one that the catalog does not have.
const OTHER: u32 = 1 << 31;

#[derive(Debug)]
pub(super) struct Filemetas {
    /// The one that has these numbers, whatever becomes of the repository's.
    catalog: Arc<Catalog>,
    numbers: Vec<u32>,
    others: Vec<Hash>,
}

impl Filemetas {
    pub(super) const fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog, numbers: Vec::new(), others: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn push(&mut self, filemeta: ObjectRef) {
        let packed =
            self.catalog.number(&filemeta).filter(|number| filemeta.kind == ObjectKind::Filemeta && *number < OTHER);
        self.numbers.push(packed.unwrap_or_else(|| {
            self.others.push(filemeta.hash);
            OTHER | (self.others.len() as u32 - 1)
        }));
    }

    pub(super) fn get(&self, at: usize) -> Option<&Hash> {
        let number = *self.numbers.get(at)?;
        match number & OTHER {
            0 => self.catalog.hash_at(ObjectKind::Filemeta, number),
            _ => self.others.get((number & !OTHER) as usize),
        }
    }

    /// As an object. The number must be one of this tree.
    pub(super) fn object(&self, at: usize) -> ObjectRef {
        ObjectRef::new(ObjectKind::Filemeta, *self.of(at))
    }

    /// The number must be one of this tree.
    pub(super) fn of(&self, at: usize) -> &Hash {
        const NOTHING: &Hash = &Hash::from_bytes([0; 32]);
        self.get(at).unwrap_or(NOTHING)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Hash> {
        (0..self.len()).map(|at| self.of(at))
    }

    pub(super) fn swap(&mut self, a: usize, b: usize) {
        self.numbers.swap(a, b);
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.numbers.truncate(length);
    }
}
