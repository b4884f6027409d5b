//! What a prune decides about after the marking: contents that nobody needs and that stay in their packs all the same, for
//! they name chunks, and those may be going; and which of two copies is the needed one.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::error::ReachError;
use super::links::links;
use super::marks::{Marks, Place};
use super::walk::{Read, Stop, read_all};
use super::{NeededInPacks, Reach};
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::Catalog;
use crate::repository::ReadError;
use crate::tree::ReadObjects;

impl Reach {
    /// The contents that are not needed, lie in a pack that `stays`, and name a chunk that is not needed, or cannot be
    /// read. Blocking.
    pub(crate) fn holding(
        &self,
        objects: &dyn ReadObjects,
        stays: impl Fn(&Hash) -> bool,
        cancel: &CancellationToken,
    ) -> Result<Vec<ObjectRef>, ReachError> {
        let marks = &self.0;
        let chunks = marks.catalog.count(ObjectKind::Chunk) + marks.alone.objects(ObjectKind::Chunk).len();
        let needed = marks.packed(ObjectKind::Chunk).len() + marks.alone_bits(ObjectKind::Chunk).len();
        if chunks as u64 == needed {
            return Ok(Vec::new());
        }
        let kind = ObjectKind::Content;
        let is_waste = |number: &u32| {
            let location = marks.catalog.location_at(kind, *number);
            !self.needs_packed(kind, *number) && location.is_some_and(|location| stays(&location.pack))
        };
        let waste = (0..marks.catalog.count(kind) as u32).filter(is_waste);
        let places: Vec<Place> = waste.map(Place::in_pack).collect();
        let visit = |Read { object, bytes }: Read<'_>, found: &mut Vec<ObjectRef>| {
            let holds = match bytes {
                Ok(bytes) => {
                    let mut holds = false;
                    let read = links(object, &bytes, &mut |chunk| holds |= !self.needs(&chunk));
                    holds || read.is_err()
                }
                Err(ReadError::Store(error)) => return Err(Stop::Store(error)),
                Err(_) => true,
            };
            found.extend(holds.then_some(*object));
            Ok(())
        };
        read_all(objects, marks, cancel, kind, places, visit).map_err(|stop| match stop {
            Stop::Store(error) => ReachError::Repository(error.into()),
            Stop::Cancelled | Stop::Fault(_) => ReachError::Cancelled,
        })
    }

    /// Keeps some contents and what they name, as far as it is there. Blocking.
    pub(crate) fn keep(&self, objects: &dyn ReadObjects, contents: &[ObjectRef]) {
        let mark = |object: ObjectRef| {
            if let Some(place) = self.0.find(&object) {
                self.0.mark(object.kind, place);
            }
        };
        for content in contents {
            mark(*content);
            if let Ok(bytes) = objects.read(content) {
                // What is wrong with one that nobody needs hurts nobody.
                let _ = links(content, &bytes, &mut |chunk| mark(chunk));
            }
        }
    }
}

impl Reach {
    /// The same where some objects lie in other packs than it was thought.
    pub(crate) fn with_places(mut self, catalog: Arc<Catalog>) -> Self {
        self.0.catalog = catalog;
        self
    }

    /// Takes the object that lies by itself for the needed one, not that in a pack.
    pub(crate) fn prefer_alone(&self, object: &ObjectRef) {
        let Marks { catalog, alone, .. } = &self.0;
        if let (Some(packed), Some(alone)) = (catalog.number(object), alone.number(object)) {
            self.0.packed(object.kind).remove(packed);
            self.0.alone_bits(object.kind).insert(alone);
        }
    }
}

impl NeededInPacks {
    /// Counts in what has to be named as well.
    pub(crate) fn insert(&self, kind: ObjectKind, number: u32) {
        self.0[kind as usize].insert(number);
    }
}
