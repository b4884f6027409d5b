//! Which objects snapshots need: a bit for each object of the pack catalog, and for each that lies by itself.
//!
//! Nothing is guessed. Every node, filemeta and content that a snapshot leads to is read and proven, each once however
//! many snapshots need it; chunks are only looked up. The one invariant: a [`Reach`] is whole. The first object that
//! cannot be read, or is nowhere, ends it with an error that names the object, so that nobody takes what lies behind it
//! for needless.
//!
//! Memory: a bit an object beside the catalog, and four bytes for each node of a level and each filemeta.

mod alone;
mod bits;
mod blame;
mod error;
mod holding;
mod links;
mod marks;
mod walk;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use alone::Alone;
pub use error::{ReachError, Unreadable};

use bits::Bits;
use marks::Marks;

use crate::object::{ObjectKind, ObjectRef, SnapshotEntry};
use crate::pack::Catalog;
use crate::progress::{Phase, Progress};
use crate::repository::{Repository, RepositoryError};
use crate::tree::ReadObjects;

/// The objects that some snapshots need, those snapshots among them.
#[derive(Debug)]
pub struct Reach(Marks);

/// The objects that are needed, by their numbers in the catalog.
#[derive(Debug)]
pub(crate) struct NeededInPacks([Bits; ObjectKind::ALL.len()]);

impl NeededInPacks {
    /// See [`Reach::needs_packed`].
    pub(crate) fn contains(&self, kind: ObjectKind, number: u32) -> bool {
        self.0[kind as usize].contains(number)
    }
}

impl Reach {
    /// What these snapshots need, which are in the repository now.
    ///
    /// # Errors
    /// See [`ReachError`].
    pub async fn of(
        repository: &Arc<Repository>,
        snapshots: Vec<SnapshotEntry>,
        progress: Arc<dyn Progress>,
        cancel: CancellationToken,
    ) -> Result<Self, ReachError> {
        progress.phase(Phase::Listing);
        let reader = repository.reader().await?;
        let alone = Alone::list(&**repository.store()).await.map_err(RepositoryError::from)?;
        progress.phase(Phase::Reading);
        tokio::task::spawn_blocking(move || Self::mark(&reader, alone, &snapshots, &*progress, &cancel)).await?
    }

    /// The same for objects that are read by `objects`, whose catalog and `alone` say what there is. Blocking.
    pub fn mark(
        objects: &dyn ReadObjects,
        alone: Alone,
        snapshots: &[SnapshotEntry],
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Self, ReachError> {
        let marks = Marks::new(objects.catalog(), alone);
        match walk::walk(objects, &marks, snapshots, progress, cancel) {
            Ok(()) => Ok(Self(marks)),
            Err(walk::Stop::Cancelled) => Err(ReachError::Cancelled),
            Err(walk::Stop::Store(error)) => Err(ReachError::Repository(error.into())),
            Err(walk::Stop::Fault(fault)) => {
                Err(ReachError::Unreadable(Box::new(blame::blame(objects, &marks, snapshots, *fault, cancel))))
            }
        }
    }

    /// Whether an object is needed.
    pub fn needs(&self, object: &ObjectRef) -> bool {
        self.0.find(object).is_some_and(|place| self.0.contains(object.kind, place))
    }

    /// Whether the object is needed that has this number in the catalog.
    pub fn needs_packed(&self, kind: ObjectKind, number: u32) -> bool {
        self.0.packed(kind).contains(number)
    }

    /// Whether the object is needed that has this number among those that lie by themselves. One that lies in a pack,
    /// too, is not: the one in the pack is.
    pub fn needs_alone(&self, kind: ObjectKind, number: u32) -> bool {
        self.0.alone_bits(kind).contains(number)
    }

    /// All that are needed, by kind and name, each with how many bytes it takes in the store.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectRef, u64)> + '_ {
        ObjectKind::ALL.into_iter().flat_map(|kind| self.0.objects(kind))
    }

    /// How many are needed.
    pub fn count(&self) -> u64 {
        self.0.count()
    }

    /// The catalog by which it numbers what is packed.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.0.catalog
    }

    /// What is needed of the catalog, without holding on to that, and what lies by itself.
    pub(crate) fn into_parts(self) -> (NeededInPacks, Alone) {
        let Marks { alone, in_packs, .. } = self.0;
        (NeededInPacks(in_packs), alone)
    }

    /// What lies by itself.
    pub fn alone(&self) -> &Alone {
        &self.0.alone
    }
}
