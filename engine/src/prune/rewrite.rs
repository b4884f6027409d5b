//! Copies what is needed of wasteful packs into new ones, sealed as it is, each member proven first.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::PruneError;
use super::layout::Layout;
use super::plan::Plan;
use super::survey::Survey;
use crate::lock::LeaseWatch;
use crate::object::{Hash, Hasher, ObjectKind, ObjectRef, SnapshotEntry};
use crate::pack::{FinishedPack, Location, Member, PackBuilder, Placed, footer_size_of};
use crate::progress::Progress;
use crate::repository::{Repository, RepositoryError};

/// Packs that are made at once: each takes twice its size.
const AT_ONCE: usize = 2;

pub(super) struct Rewrite<'a> {
    repository: &'a Arc<Repository>,
    survey: &'a Survey,
    plan: &'a Plan,
    layout: Layout,
    lease: &'a LeaseWatch,
    cancel: &'a CancellationToken,
    salt: u64,
}

/// What was written.
pub(super) struct Rewritten {
    /// What of the catalog is in other packs now.
    pub(super) moved: Moved,
    /// Bytes of the new packs, and of snapshots that lie by themselves now.
    pub(super) bytes: u64,
}

/// The new packs.
pub(super) struct Moved {
    names: Vec<Hash>,
    layout: Layout,
}

impl Moved {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Each with what of the catalog is in it.
    pub(super) fn packs(&self) -> impl Iterator<Item = (Hash, &[Placed])> {
        self.names.iter().copied().zip(self.layout.packs())
    }
}

impl<'a> Rewrite<'a> {
    pub(super) fn new(
        repository: &'a Arc<Repository>,
        survey: &'a Survey,
        plan: &'a Plan,
        layout: Layout,
        lease: &'a LeaseWatch,
        cancel: &'a CancellationToken,
    ) -> Self {
        // What there was before makes what is new unlike it, and a dry run have just the size.
        let mut hasher = Hasher::new();
        survey.packs.iter().for_each(|(pack, _)| hasher.update(pack.as_bytes()));
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finish().as_bytes();
        let salt = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        Self { repository, survey, plan, layout, lease, cancel, salt }
    }

    /// How many bytes [`Self::run`] would write.
    pub(super) async fn measure(self) -> Result<u64, PruneError> {
        let mut bytes = self.plan.unpacked.iter().map(|(_, length)| length).sum();
        for placed in self.layout.packs() {
            let (sealer, salt, members) = (self.repository.sealer().clone(), self.salt, self.members(placed));
            let measured = tokio::task::spawn_blocking(move || {
                let size: u64 = members.iter().map(|member| u64::from(member.length)).sum();
                Ok::<_, RepositoryError>(size + footer_size_of(&sealer, &members, salt)?)
            });
            bytes += measured.await??;
        }
        Ok(bytes)
    }

    /// Writes the new packs, and by themselves the snapshots and the pointer that are in old ones.
    pub(super) async fn run(
        self,
        snapshots: &[SnapshotEntry],
        progress: &dyn Progress,
    ) -> Result<Rewritten, PruneError> {
        let copied = self.layout.packs().flatten().map(|placed| self.length(placed)).sum();
        progress.expect(self.layout.count() as u64, copied);
        let packs: Vec<(Hash, u64)> = stream::iter(0..self.layout.count())
            .map(|at| self.write_pack(self.layout.pack(at), progress))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut bytes = packs.iter().map(|(_, size)| size).sum();
        for (number, length) in &self.plan.unpacked {
            self.unpack_snapshot(*number).await?;
            bytes += length;
        }
        if self.plan.unpacks_latest {
            self.lease.confirm().await?;
            self.repository.unpack_latest(snapshots).await?;
        }
        let names = packs.into_iter().map(|(pack, _)| pack).collect();
        Ok(Rewritten { moved: Moved { names, layout: self.layout }, bytes })
    }

    async fn write_pack(&self, placed: &[Placed], progress: &dyn Progress) -> Result<(Hash, u64), PruneError> {
        let mut builder = PackBuilder::default();
        for members in placed.chunk_by(|a, b| a.pack == b.pack) {
            if self.cancel.is_cancelled() {
                return Err(PruneError::Cancelled);
            }
            builder = self.copy(builder, members).await?;
        }
        let (sealer, salt) = (self.repository.sealer().clone(), self.salt);
        let finishing = tokio::task::spawn_blocking(move || builder.finish_with(&sealer, salt));
        let FinishedPack { bytes, members } = finishing.await?.map_err(RepositoryError::from)?;
        if self.survey.size(&members.pack) > 0 {
            // It could be one of those that are going to be deleted.
            return Err(RepositoryError::System(format!("packs/{} is there already; prune again", members.pack)).into());
        }
        let size = bytes.len() as u64;
        self.lease.confirm().await?;
        self.repository.store().put(&format!("packs/{}", members.pack), bytes).await?;
        progress.advance(1, members.members.iter().map(|member| u64::from(member.length)).sum());
        Ok((members.pack, size))
    }

    /// Copies some members of one pack.
    async fn copy(&self, mut builder: PackBuilder, placed: &[Placed]) -> Result<PackBuilder, PruneError> {
        let places: Vec<(ObjectRef, Location)> = placed.iter().filter_map(|placed| self.place(placed)).collect();
        let Some((first, Location { pack, offset: start, .. })) = places.first().copied() else { return Ok(builder) };
        let end = places.iter().map(|(_, location)| location.offset + location.length).max().unwrap_or(start);
        let read = self.repository.store().get_range(&format!("packs/{pack}"), start..end).await;
        let bytes = read.map_err(|error| PruneError::of_member(first, error.into()))?;
        let repository = Arc::clone(self.repository);
        let copying = tokio::task::spawn_blocking(move || {
            for (object, location) in places {
                let from = (location.offset - start) as usize;
                let sealed = bytes.slice(from..from + location.length as usize);
                repository.prove(&object, &sealed).map_err(|error| PruneError::of_member(object, error))?;
                builder.add(object, &sealed);
            }
            Ok(builder)
        });
        copying.await?
    }

    /// Puts a snapshot that is in a pack by itself.
    async fn unpack_snapshot(&self, number: u32) -> Result<(), PruneError> {
        let placed = Placed { pack: 0, offset: 0, kind: ObjectKind::Snapshot, number };
        let Some((snapshot, Location { pack, offset, length })) = self.place(&placed) else { return Ok(()) };
        let store = self.repository.store();
        let sealed: Bytes = store.get_range(&format!("packs/{pack}"), offset..offset + length).await?;
        let (repository, copy) = (Arc::clone(self.repository), sealed.clone());
        let proving = tokio::task::spawn_blocking(move || repository.prove(&snapshot, &copy).map(drop));
        proving.await?.map_err(|error| PruneError::of_member(snapshot, error))?;
        self.lease.confirm().await?;
        Ok(store.put(&snapshot.key(), sealed).await?)
    }

    /// The members of a new pack.
    fn members(&self, placed: &[Placed]) -> Vec<Member> {
        let mut offset = 0;
        let member = |placed: &Placed| {
            let (object, Location { length, .. }) = self.place(placed)?;
            let member = Member { object, offset, length: length as u32 };
            offset += member.length;
            Some(member)
        };
        placed.iter().filter_map(member).collect()
    }

    fn length(&self, placed: &Placed) -> u64 {
        self.survey.whole.catalog.length_at(placed.kind, placed.number).unwrap_or(0)
    }

    fn place(&self, placed: &Placed) -> Option<(ObjectRef, Location)> {
        let catalog = &self.survey.whole.catalog;
        let object = ObjectRef::new(placed.kind, *catalog.hash_at(placed.kind, placed.number)?);
        Some((object, catalog.location_at(placed.kind, placed.number)?))
    }
}
