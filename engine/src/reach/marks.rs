//! What is marked so far.

use std::sync::Arc;

use super::alone::Alone;
use super::bits::Bits;
use crate::object::{ObjectKind, ObjectRef};
use crate::pack::Catalog;

/// Where an object lies, whose kind is known: its number in the catalog, or [`OTHER`] and its number among those that lie
/// by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u32);

const OTHER: u32 = 1 << 31;

impl Place {
    pub(super) const fn in_pack(number: u32) -> Self {
        Self(number)
    }
}

#[derive(Debug)]
pub(super) struct Marks {
    pub(super) catalog: Arc<Catalog>,
    pub(super) alone: Alone,
    pub(super) in_packs: [Bits; ObjectKind::ALL.len()],
    by_themselves: [Bits; ObjectKind::ALL.len()],
}

impl Marks {
    pub(super) fn new(catalog: Arc<Catalog>, alone: Alone) -> Self {
        let in_packs = ObjectKind::ALL.map(|kind| Bits::new(catalog.count(kind)));
        let by_themselves = ObjectKind::ALL.map(|kind| Bits::new(alone.objects(kind).len()));
        Self { catalog, alone, in_packs, by_themselves }
    }

    /// Where an object is read from: a pack, if it is in one.
    pub(super) fn find(&self, object: &ObjectRef) -> Option<Place> {
        let packed = self.catalog.number(object).filter(|number| *number < OTHER).map(Place);
        packed
            .or_else(|| self.alone.number(object).filter(|number| *number < OTHER).map(|number| Place(OTHER | number)))
    }

    /// Marks an object; `true` if it was not.
    pub(super) fn mark(&self, kind: ObjectKind, place: Place) -> bool {
        self.bits(kind, place).insert(place.0 & !OTHER)
    }

    pub(super) fn contains(&self, kind: ObjectKind, place: Place) -> bool {
        self.bits(kind, place).contains(place.0 & !OTHER)
    }

    /// The object at a place, which must be one that this gave.
    pub(super) fn object(&self, kind: ObjectKind, place: Place) -> Option<ObjectRef> {
        match place.0 & OTHER {
            0 => self.catalog.hash_at(kind, place.0).map(|hash| ObjectRef::new(kind, *hash)),
            _ => self.alone.get(kind, place.0 & !OTHER).map(|(object, _)| object),
        }
    }

    /// What is marked of a kind.
    pub(super) fn marked(&self, kind: ObjectKind) -> Vec<Place> {
        let alone = self.alone_bits(kind).iter().map(|number| Place(OTHER | number));
        self.packed(kind).iter().map(Place).chain(alone).collect()
    }

    /// Sorts places in the order in which they are best read.
    pub(super) fn sort(&self, kind: ObjectKind, places: &mut [Place]) {
        places.sort_unstable_by_key(|place| match place.0 & OTHER {
            0 => (self.catalog.order_at(kind, place.0).unwrap_or_default(), place.0),
            _ => ((u32::MAX, 0), place.0),
        });
    }

    pub(super) fn objects(&self, kind: ObjectKind) -> impl Iterator<Item = (ObjectRef, u64)> + '_ {
        let packed = self.packed(kind).iter().filter_map(move |number| {
            let object = ObjectRef::new(kind, *self.catalog.hash_at(kind, number)?);
            Some((object, self.catalog.length_at(kind, number)?))
        });
        packed.chain(self.alone_bits(kind).iter().filter_map(move |number| self.alone.get(kind, number)))
    }

    pub(super) fn count(&self) -> u64 {
        self.in_packs.iter().chain(&self.by_themselves).map(Bits::len).sum()
    }

    pub(super) fn packed(&self, kind: ObjectKind) -> &Bits {
        &self.in_packs[kind as usize]
    }

    pub(super) fn alone_bits(&self, kind: ObjectKind) -> &Bits {
        &self.by_themselves[kind as usize]
    }

    fn bits(&self, kind: ObjectKind, place: Place) -> &Bits {
        if place.0 & OTHER == 0 { self.packed(kind) } else { self.alone_bits(kind) }
    }
}
