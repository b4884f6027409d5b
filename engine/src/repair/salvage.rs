//! Copies what is good out of damaged packs.

use std::sync::Arc;

use super::RepairError;
use super::damage::{Damage, all_members};
use crate::check::{Examined, pack_key};
use crate::lock::LeaseWatch;
use crate::object::{ObjectKind, ObjectRef};
use crate::pack::{Catalog, FinishedPack, Member, PackBuilder, PackMembers};
use crate::repository::{Repository, RepositoryError};

/// What was copied.
pub(super) struct Salvaged {
    /// Where everything is now.
    pub(super) catalog: Catalog,
    /// How many objects were copied.
    pub(super) objects: u64,
}

/// New packs, of file data and of metadata.
#[derive(Default)]
struct Packs {
    data: PackBuilder,
    metadata: PackBuilder,
    done: Vec<PackMembers>,
}

/// Copies everything good that snapshots need out of damaged packs; `catalog` has nothing bad any more. Snapshots, which
/// the CLI packs, become objects by themselves.
pub(super) async fn salvage(
    repository: &Arc<Repository>,
    examined: &Arc<Examined>,
    damage: &Damage,
    catalog: &Catalog,
    lease: &LeaseWatch,
) -> Result<Salvaged, RepairError> {
    let (damaged, mut kept): (Vec<PackMembers>, Vec<PackMembers>) =
        all_members(catalog).into_iter().partition(|pack| damage.packs.binary_search(&pack.pack).is_ok());
    let (mut packs, mut objects) = (Packs::default(), 0);
    for PackMembers { pack, mut members } in damaged {
        members.sort_unstable_by_key(|member| member.offset);
        for Member { object, offset, length } in
            members.into_iter().filter(|member| is_needed(examined, &member.object))
        {
            let range = u64::from(offset)..u64::from(offset) + u64::from(length);
            let sealed = repository.store().get_range(&pack_key(&pack), range).await?;
            let opener = Arc::clone(repository);
            let (sealed, opened) = tokio::task::spawn_blocking(move || {
                let opened = opener.prove(&object, &sealed);
                (sealed, opened)
            })
            .await
            .map_err(RepositoryError::from)?;
            opened.map_err(RepositoryError::from)?;
            objects += 1;
            if object.kind.is_data() {
                packs.add(object, &sealed, repository, lease).await?;
            } else {
                lease.confirm().await?;
                repository.store().put(&object.key(), sealed).await?;
            }
        }
    }
    kept.extend(packs.finish(repository, lease).await?);
    let mut pointers = catalog.pointers().clone();
    pointers.retain(|_, place| damage.packs.binary_search(&place.pack).is_err());
    Ok(Salvaged { catalog: Catalog::default().with(kept).with_pointers(pointers), objects })
}

fn is_needed(examined: &Examined, object: &ObjectRef) -> bool {
    let (entries, contents) = (&examined.entries, &examined.contents);
    let hash = &object.hash;
    match object.kind {
        ObjectKind::Snapshot => true,
        ObjectKind::Node => examined.graph.nodes.find(hash).is_some_and(|node| examined.graph.is_read(node)),
        ObjectKind::Filemeta => entries.numbers.find(hash).is_some_and(|number| entries.facts(number).is_read()),
        ObjectKind::Content => contents.numbers.find(hash).is_some_and(|number| contents.size(number).is_some()),
        ObjectKind::Chunk => contents.chunks.find(hash).is_some_and(|number| contents.needed_chunks.contains(number)),
    }
}

impl Packs {
    async fn add(
        &mut self,
        object: ObjectRef,
        sealed: &[u8],
        repository: &Arc<Repository>,
        lease: &LeaseWatch,
    ) -> Result<(), RepairError> {
        let builder = match object.kind {
            ObjectKind::Chunk | ObjectKind::Content => &mut self.data,
            ObjectKind::Filemeta | ObjectKind::Node | ObjectKind::Snapshot => &mut self.metadata,
        };
        builder.add(object, sealed);
        if builder.is_full() {
            let full = std::mem::take(builder);
            self.done.push(put(full, repository, lease).await?);
        }
        Ok(())
    }

    async fn finish(self, repository: &Arc<Repository>, lease: &LeaseWatch) -> Result<Vec<PackMembers>, RepairError> {
        let mut done = self.done;
        for builder in [self.data, self.metadata] {
            if !builder.is_empty() {
                done.push(put(builder, repository, lease).await?);
            }
        }
        Ok(done)
    }
}

async fn put(
    builder: PackBuilder,
    repository: &Arc<Repository>,
    lease: &LeaseWatch,
) -> Result<PackMembers, RepairError> {
    let sealer = repository.sealer().clone();
    let finishing = tokio::task::spawn_blocking(move || builder.finish(&sealer));
    let finished = finishing.await.map_err(RepositoryError::from)?.map_err(RepositoryError::from)?;
    let FinishedPack { bytes, members } = finished;
    lease.confirm().await?;
    repository.store().put(&pack_key(&members.pack), bytes).await?;
    Ok(members)
}
