//! The least that can be called a prune: under an exclusive lock it deletes each pack that no snapshot needs. What a
//! backup has stored and not committed is such a pack, so whoever works beside it loses something.

use std::collections::HashSet;
use std::sync::Arc;

use cloudstic_engine::lock::{LeaseWatch, LockLost};
use cloudstic_engine::object::{Content, FileMeta, Node, ObjectKind, ObjectRef, json};
use cloudstic_engine::repository::{ObjectReader, Repository};
use futures::TryStreamExt;

/// Why it did not prune.
#[derive(Debug)]
pub(crate) enum PruneError {
    Lost(LockLost),
    Other(anyhow::Error),
}

impl From<LockLost> for PruneError {
    fn from(lost: LockLost) -> Self {
        Self::Lost(lost)
    }
}

impl<E: Into<anyhow::Error>> From<Wrapped<E>> for PruneError {
    fn from(Wrapped(error): Wrapped<E>) -> Self {
        Self::Other(error.into())
    }
}

struct Wrapped<E>(E);

/// Deletes the packs that are not needed, and tells how many those were.
pub(crate) async fn prune(repository: Arc<Repository>, lease: LeaseWatch) -> Result<usize, PruneError> {
    let packs: Vec<String> =
        repository.store().list("packs/").map_ok(|pack| pack.key).try_collect().await.map_err(Wrapped)?;
    let snapshots = repository.snapshots().await.map_err(Wrapped)?;
    if !snapshots.unreadable.is_empty() {
        return Err(PruneError::Other(anyhow::anyhow!("snapshots that cannot be read: {:?}", snapshots.unreadable)));
    }
    let reader = repository.reader().await.map_err(Wrapped)?;
    let marking = tokio::task::spawn_blocking(move || {
        let mut needed = HashSet::new();
        let mut seen = HashSet::new();
        for root in snapshots.readable.iter().filter_map(|snapshot| snapshot.root) {
            mark(&reader, root, &mut seen, &mut needed)?;
        }
        anyhow::Ok(needed)
    });
    let needed = marking.await.map_err(Wrapped)?.map_err(PruneError::Other)?;
    let mut deleted = 0;
    for pack in packs.into_iter().filter(|pack| !needed.contains(pack)) {
        lease.confirm().await?;
        repository.store().delete(&pack).await.map_err(Wrapped)?;
        deleted += 1;
    }
    Ok(deleted)
}

fn mark(
    reader: &ObjectReader,
    object: ObjectRef,
    seen: &mut HashSet<ObjectRef>,
    packs: &mut HashSet<String>,
) -> anyhow::Result<()> {
    if !seen.insert(object) {
        return Ok(());
    }
    if let Some(place) = reader.catalog().find(&object) {
        packs.insert(format!("packs/{}", place.pack));
    }
    match object.kind {
        ObjectKind::Node => match json::decode(&reader.read(&object)?)? {
            Node::Internal { children, .. } => {
                children.into_iter().try_for_each(|child| mark(reader, child, seen, packs))?;
            }
            Node::Leaf(leaf) => {
                leaf.entries.into_iter().try_for_each(|entry| mark(reader, entry.filemeta, seen, packs))?;
            }
        },
        ObjectKind::Filemeta => {
            let meta: FileMeta = json::decode(&reader.read(&object)?)?;
            meta.content().map_or(Ok(()), |content| mark(reader, content, seen, packs))?;
        }
        ObjectKind::Content => {
            let content: Content = json::decode(&reader.read(&object)?)?;
            content.chunks.into_iter().try_for_each(|chunk| mark(reader, chunk, seen, packs))?;
        }
        ObjectKind::Chunk | ObjectKind::Snapshot => {}
    }
    Ok(())
}
